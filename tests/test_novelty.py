"""Novelty: exact against searches by plain loops and mir_eval, blind to transposition and shift, right about Bach."""

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ganmusic import corpora
from ganmusic.data import windows
from ganmusic.metrics.controls import noise, permute_pitches
from ganmusic.metrics.distribution import FeatureSpace, TooFewClips
from ganmusic.metrics.novelty import (
    Matches,
    NoteIndex,
    Run,
    copied_share,
    data_copying_z,
    longest_run,
    mann_whitney_z,
)
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track, notes_to_roll, piece_to_roll, roll_to_notes, transpose

GRID = Grid()
SMALL = Grid(n_steps=4, beats_per_bar=2, low=60, n_pitches=12)


def piece(*voices, grid=GRID, drums=()):
    """A piece of voices given as (onset, duration, pitch)."""
    tracks = tuple(
        Track(str(i), tuple(Note(*note) for note in notes), is_drum=i in drums) for i, notes in enumerate(voices)
    )
    return Piece(tracks, grid)


def line(*pitches, begin=0, step=4):
    """Notes one after another, as (onset, duration, pitch)."""
    return [(begin + step * i, step, pitch) for i, pitch in enumerate(pitches)]


def clips(*pieces, n_bars):
    rolls = [piece_to_roll(p, n_bars) for p in pieces]
    return Roll(*(np.stack(planes) for planes in zip(*rolls, strict=True)))


def pairs(p):
    return {(note.onset, note.pitch) for track in p.tracks if not track.is_drum for note in track.notes}


def plain_share(passage, pieces, length):
    """The best cardinality score by loops over pieces, steps and transpositions."""
    best = 0.0
    for notes in pieces:
        for step in range(-length + 1, max((onset for onset, _ in notes), default=-1) + 1):
            theirs = {(onset - step, pitch) for onset, pitch in notes if 0 <= onset - step < length}
            for semitones in range(-24, 25):
                ours = {(onset, pitch + semitones) for onset, pitch in passage}
                best = max(best, len(ours & theirs) / max(len(ours), len(theirs)))
    return best


def plain_run(p, pieces):
    """Most notes of a common stretch, by loops over all pairs of slices; what is struck again counts once."""

    def slices(notes):
        return [(onset, {pitch for at, pitch in notes if at == onset}) for onset in sorted({at for at, _ in notes})]

    best, ours = 0, slices(pairs(p))
    for theirs in map(slices, map(pairs, pieces)):
        for i in range(len(ours)):
            for j in range(len(theirs)):
                shift = theirs[j][0] - ours[i][0]
                semitones = min(theirs[j][1]) - min(ours[i][1])
                count, before = 0, None
                for (onset, pitches), (at, others) in zip(ours[i:], theirs[j:], strict=False):
                    if onset + shift != at or {pitch + semitones for pitch in pitches} != others:
                        break
                    count += 0 if pitches == before else len(pitches)
                    before = pitches
                best = max(best, count)
    return best


small_notes = st.lists(st.tuples(st.integers(0, 15), st.integers(60, 67)), max_size=14)


def small_piece(notes):
    return piece([(onset, 1, pitch) for onset, pitch in sorted(set(notes))], grid=SMALL)


# The search -------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(small_notes, min_size=1, max_size=3), small_notes)
def test_the_search_is_exact(training, query):
    if not any(training):
        return
    index = NoteIndex([small_piece(notes) for notes in training])
    matches = index.nearest(clips(small_piece(query), n_bars=4), SMALL, 2)
    assert matches.share.shape == (1, 3)
    for bar in range(3):
        passage = {(onset - 4 * bar, pitch) for onset, pitch in query if 0 <= onset - 4 * bar < 8}
        if not passage:
            assert np.isnan(matches.share[0, bar])
            continue
        assert matches.share[0, bar] == pytest.approx(plain_share(passage, training, 8))
        # The match that is named has that share.
        step, semitones = matches.step[0, bar], matches.semitones[0, bar]
        theirs = {(a - step, b) for a, b in training[matches.piece[0, bar]] if 0 <= a - step < 8}
        ours = {(a, b + semitones) for a, b in passage}
        assert matches.share[0, bar] == pytest.approx(len(ours & theirs) / max(len(ours), len(theirs)))


def test_many_blocks_give_what_one_block_gives(monkeypatch):
    rng = np.random.default_rng(0)
    training = [small_piece([(rng.integers(400), rng.integers(60, 72)) for _ in range(300)]) for _ in range(3)]
    query = clips(small_piece([(rng.integers(16), rng.integers(60, 72)) for _ in range(25)]), n_bars=4)
    index = NoteIndex(training)
    whole = index.nearest(query, SMALL)
    monkeypatch.setattr("ganmusic.metrics.novelty._CELLS", 1)
    for expected, found in zip(whole, index.nearest(query, SMALL), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_the_search_agrees_with_mir_eval():
    # mir_eval's cardinality score compares patterns as they are: every training passage, moved by every
    # transposition, is given to it as one more occurrence of a pattern.
    rng = np.random.default_rng(1)
    training = [(int(a), int(b)) for a, b in zip(rng.integers(16, size=20), rng.integers(60, 72, size=20), strict=True)]
    query = [(int(a), int(b)) for a, b in zip(rng.integers(8, size=9), rng.integers(60, 72, size=9), strict=True)]
    occurrences = []
    for step in range(-7, 16):
        passage = {(a - step, b) for a, b in training if 0 <= a - step < 8}
        occurrences += [[(float(a), float(b + t)) for a, b in passage] for t in range(-12, 13) if passage]
    pattern = [[(float(a), float(b)) for a, b in set(query)]]
    _, _, recall = mir_eval.pattern.establishment_FPR([pattern], [occurrences])
    found = NoteIndex([small_piece(training)]).nearest(clips(small_piece(query), n_bars=2), SMALL)
    assert found.share[0, 0] == pytest.approx(recall)
    assert 0.2 < recall < 0.9


def test_a_copy_is_found_where_it_is():
    other = piece(line(60, 67, 62, 69, 61, 68, 63, 70))
    source = piece(line(72, 71, 69, 72, 74, 76, 77, 74, 72, 79, 77, 76), line(48, 55, begin=2, step=16))
    # Two bars of it, beginning on step 5, a fifth lower.
    copy = [[Note(a - 5, 1, pitch - 7) for a, _, pitch in track.notes if 5 <= a < 37] for track in source.tracks]
    found = NoteIndex([other, source]).nearest(clips(piece(*copy), n_bars=2), GRID)
    assert [values.tolist() for values in found] == [[[1.0]], [[1]], [[5]], [[7]]]


@settings(max_examples=40, deadline=None)
@given(small_notes, st.lists(small_notes.filter(bool), min_size=1, max_size=2), st.integers(0, 90), st.integers(-9, 4))
def test_transposing_or_shifting_either_side_changes_nothing(query, training, shift, semitones):
    roll = clips(small_piece(query), n_bars=4)
    expected = NoteIndex([small_piece(notes) for notes in training]).nearest(roll, SMALL)
    moved = [small_piece([(a + shift, b + semitones) for a, b in notes]) for notes in training]
    found = NoteIndex(moved).nearest(roll, SMALL)
    np.testing.assert_allclose(found.share, expected.share)
    sounds = found.piece >= 0
    np.testing.assert_array_equal((found.step - expected.step)[sounds], shift)
    np.testing.assert_array_equal((found.semitones - expected.semitones)[sounds], semitones)
    # The same clips in another key.
    higher = clips(small_piece([(a, b + 4) for a, b in query]), n_bars=4)
    np.testing.assert_array_equal(NoteIndex(moved).nearest(higher, SMALL).share, found.share)
    # Shifted clips: whole bars later, the passages are the same ones.
    later = clips(small_piece([(a + 8, b) for a, b in query]), n_bars=6)
    np.testing.assert_array_equal(NoteIndex(moved).nearest(later, SMALL).share[:, 2:], found.share)


@pytest.mark.parametrize("shift", [0, 1, 5, 16, 27])
def test_a_copy_is_found_at_every_shift(shift):
    melody = [60, 67, 62, 69, 61, 68, 63, 70, 64, 71, 60, 66, 59, 72, 58, 73, 57, 65]
    index = NoteIndex([piece(line(*melody, step=3))])
    # The clip begins `shift` steps into the piece, on no bar line of it.
    query = piece([(a - shift, 1, b) for a, _, b in line(*melody, step=3) if 0 <= a - shift < 32])
    found = index.nearest(clips(query, n_bars=2), GRID)
    assert (found.share.item(), found.step.item()) == (1.0, shift)


def test_voices_and_durations_do_not_count():
    index = NoteIndex([piece(line(72, 71, 69, 67, 65, 64, 62, 60), line(48, 52, begin=3, step=9))])
    query = piece([(0, 1, 72), (8, 3, 69), (20, 2, 64)], [(3, 2, 48), (4, 1, 71), (12, 4, 67), (12, 4, 52)])
    other = Piece(tuple(reversed(query.tracks)), GRID)
    assert index.nearest(clips(query, n_bars=2), GRID).share == index.nearest(clips(other, n_bars=2), GRID).share
    assert index.nearest(clips(query, n_bars=2), GRID).share == pytest.approx(0.7)


def test_pieces_do_not_run_into_each_other():
    first, second = piece(line(60, 61, 63, 66)), piece(line(70, 65, 61, 58))
    both = clips(piece(line(60, 61, 63, 66, 70, 65, 61, 58)), n_bars=2)
    assert NoteIndex([first, second]).nearest(both, GRID).share == pytest.approx(0.5)
    whole = piece(line(60, 61, 63, 66, 70, 65, 61, 58))
    assert NoteIndex([first, second, whole]).nearest(both, GRID).share == pytest.approx(1.0)


def test_passages_may_reach_over_the_edges_of_a_piece():
    index = NoteIndex([piece(line(60, 62, 65, 69, 63, 70, 61, 73, 66))])
    opening = clips(piece(line(60, 62, 65, begin=20)), n_bars=2)
    assert [v.item() for v in index.nearest(opening, GRID)] == [1.0, 0, -20, 0]
    ending = clips(piece(line(62, 74, 67)), n_bars=2)
    assert [v.item() for v in index.nearest(ending, GRID)] == [1.0, 0, 24, -1]


def test_copied_share_is_the_mean_over_passages_that_sound():
    share = np.array([[0.5, np.nan, 1.0], [0.25, 0.5, 0.75], [np.nan] * 3])
    zeros = np.zeros(share.shape, int)
    np.testing.assert_allclose(copied_share(Matches(share, zeros, zeros, zeros)), [0.75, 0.5, np.nan])


def test_silence_single_notes_and_no_clips_are_defined():
    index = NoteIndex([piece(line(60, 64, 67)), piece([]), piece(line(36, 38), drums=[0])])
    silent, first, late = piece([]), piece([(2, 2, 50)]), piece([(17, 2, 50)])
    found = index.nearest(clips(silent, first, late, n_bars=2), GRID)
    # A passage of two bars can hold the last note alone near its beginning, but not 17 steps after it.
    np.testing.assert_allclose(found.share, [[np.nan], [1.0], [1 / 3]])
    assert found.piece.tolist() == [[-1], [0], [0]]
    assert found.step.tolist() == [[0], [6], [-17]]
    none = index.nearest(Roll(*(np.zeros((0, 1, 4, 16, 48), bool),) * 2), GRID)
    assert none.share.shape == none.step.shape == (0, 3)
    assert copied_share(none).shape == (0,)


def test_drums_are_left_out():
    drums = piece(line(60, 64, 67), line(36, 38, 36, 42), drums=[1])
    index = NoteIndex([drums])
    assert index.nearest(clips(piece(line(60, 64, 67)), n_bars=1), GRID, 1).share == 1.0


def test_what_cannot_be_compared_is_refused_with_both_sides():
    waltz = piece(line(60, 62), grid=Grid(12, 3))
    index = NoteIndex([piece(line(60, 62))])
    with pytest.raises(ValueError, match="12 steps in 3 beats is not one of 16 steps in 4 beats"):
        NoteIndex([piece(line(60, 62)), waltz])
    with pytest.raises(ValueError, match="12 steps in 3 beats is not one of 16 steps in 4 beats"):
        index.nearest(clips(waltz, n_bars=2), waltz.grid)
    with pytest.raises(ValueError, match="12 steps in 3 beats is not one of 16 steps in 4 beats"):
        longest_run(waltz, index)
    with pytest.raises(ValueError, match=r"\(1, 1, 2, 12, 48\) are not \(n, track, bar, 16, 48\)"):
        index.nearest(clips(waltz, n_bars=2), GRID)
    with pytest.raises(ValueError, match=r"\(1, 2, 16, 48\) are not"):
        index.nearest(piece_to_roll(piece(line(60)), 2), GRID)
    for n_bars in (0, 3):
        with pytest.raises(ValueError, match=f"clips of 2 bars have no passages of {n_bars} bars"):
            index.nearest(clips(piece(line(60)), n_bars=2), GRID, n_bars)
    # Other lowest and highest pitches are no obstacle.
    wide = Grid(low=24, n_pitches=84)
    assert index.nearest(clips(piece(line(30, 32), grid=wide), n_bars=2), wide).share == 1.0


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([], "no training pieces"),
        ([piece([]), piece(line(36), drums=[0])], "none of the 2 training pieces has a pitched note"),
        ([piece([(-3, 4, 60)])], "before its bar 0"),
    ],
)
def test_an_index_of_nothing_is_refused(pieces, message):
    with pytest.raises(ValueError, match=message):
        NoteIndex(pieces)


# The longest run --------------------------------------------------------------------------------------


def test_the_longest_run_is_found_in_both_pieces():
    # Four slices in common, a third lower and 14 steps later; the chord before and the note after differ.
    query = piece(line(60, 67, 69, 71, 67, 60), line(50, 60, 62, begin=0, step=8))
    training = piece([], line(72, 63, 65, 67, 63, 70, begin=14), line(47, 56, 58, begin=14, step=8))
    found = longest_run(query, NoteIndex([piece(line(1 + 60, 70)), training]))
    assert found == Run(notes=6, beats=3.0, onset=4, step=18, steps=12, piece=1, semitones=-4)


def test_the_longest_run_of_one_voice_may_lie_below_new_harmony():
    query = piece(line(40, 47, 41, 48), line(60, 62, 64, 65, 67))
    training = piece(line(80, 72, 80, 71), line(80), line(57, 59, 61, 62, 64, begin=32))
    index = NoteIndex([training])
    alone = longest_run(query, index, one_voice=True)
    assert alone == Run(5, 4.0, 0, 32, 16, piece=0, semitones=-3, track=1, training_track=2)
    # All tracks together: the last slice of the query, one note, is in the training piece at once.
    assert longest_run(query, index).notes < 5


def test_repetition_and_silence_make_no_runs():
    index = NoteIndex([piece(line(60, 60, 60, 60, 60, 60, 60, 60, 67, 62, 69, 65), [(640, 4, 50)])])
    same = longest_run(piece(line(*[55] * 30)), index)
    assert (same.notes, same.beats) == (1, 0.0)
    # Three notes that change beat seven that repeat, and repeated ones at the edge are not part of the run.
    found = longest_run(piece(line(*[55] * 7, 62, 57, 48)), index)
    assert (found.notes, found.onset, found.steps, found.semitones) == (3, 24, 8, 5)
    # The wait is 152 beats in both, but there are two notes in it.
    rest = longest_run(piece([(0, 4, 65), (596, 4, 50), (640, 4, 51)]), index)
    assert rest == Run(2, 149.0, 0, 44, 596, 0, 0)


@settings(max_examples=80, deadline=None)
@given(st.lists(small_notes, min_size=1, max_size=3), small_notes)
def test_the_longest_run_is_exact(training, query):
    if not any(training):
        return
    pieces, sought = [small_piece(notes) for notes in training], small_piece(query)
    run = longest_run(sought, NoteIndex(pieces))
    assert run.notes == plain_run(sought, pieces)
    assert run == longest_run(sought, NoteIndex(pieces), one_voice=True)._replace(track=-1, training_track=-1)
    if not run.notes:
        assert run == Run()
        return
    # The two stretches that are named are equal.
    ours = {(a - run.onset, b + run.semitones) for a, b in query if 0 <= a - run.onset <= run.steps}
    theirs = {(a - run.step, b) for a, b in training[run.piece] if 0 <= a - run.step <= run.steps}
    assert ours == theirs


def test_a_piece_without_pitched_notes_has_no_run():
    index = NoteIndex([piece(line(60, 62))])
    for nothing in (piece(), piece([]), piece(line(60, 62), drums=[0])):
        for one_voice in (False, True):
            assert longest_run(nothing, index, one_voice=one_voice) == Run()


# The data-copying test --------------------------------------------------------------------------------


def test_z_by_hand():
    low, high = np.arange(20.0), np.arange(100.0, 125.0)
    # No pair of 20 x 25 is won; U = 0. 46 values, all different.
    expected = -250 / np.sqrt(20 * 25 * 46 / 12)
    assert mann_whitney_z(low, high) == pytest.approx(expected)
    assert mann_whitney_z(high, low) == pytest.approx(-expected)
    # Ten of each side are equal, and every other one of x loses: U = 10 * 10 / 2 of 400 pairs; ten ones, ...
    x, y = np.repeat([0.0, 1.0], 10), np.repeat([1.0, 2.0], 10)
    variance = 400 / 12 * (41 - (990 + 990 + (8000 - 20)) / (40 * 39))
    assert mann_whitney_z(x, y) == pytest.approx((50 - 200) / np.sqrt(variance))


def test_z_has_the_p_value_that_scipy_gives():
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 12, 31).astype(float), rng.integers(2, 14, 45).astype(float)
    expected = stats.mannwhitneyu(x, y, use_continuity=False, method="asymptotic").pvalue
    z = mann_whitney_z(x, y)
    assert 2 * stats.norm.sf(abs(z)) == pytest.approx(expected)
    assert z < 0
    assert mann_whitney_z(np.append(x, np.nan), y) == z


def test_z_of_equal_values_is_zero():
    assert mann_whitney_z(np.full(20, 0.1), np.full(33, 0.1)) == 0.0


def test_the_data_copying_z_compares_distances_to_training():
    rng = np.random.default_rng(4)
    training, held_out = rng.normal(size=(300, 6)), rng.normal(size=(60, 6))
    near = training[:50] + 0.01 * rng.normal(size=(50, 6))
    assert data_copying_z(near, held_out, training) < -8
    assert data_copying_z(held_out + 5, held_out, training) > 8
    assert abs(data_copying_z(rng.normal(size=(50, 6)), held_out, training)) < 2
    distances = [np.linalg.norm(side[:, None] - training, axis=2).min(1) for side in (near, held_out)]
    assert data_copying_z(near, held_out, training) == pytest.approx(mann_whitney_z(*distances))
    # Exact copies are all equally near; they still win.
    assert data_copying_z(training[:40], held_out, training) == pytest.approx(
        mann_whitney_z(np.zeros(40), np.ones(60) + rng.random(60))
    )


def test_too_few_clips_say_how_many_are_needed():
    table = np.zeros((30, 2))
    with pytest.raises(TooFewClips, match="at least 20 clips on each side, not 12 and 30") as caught:
        data_copying_z(table[:12], table, table)
    assert (caught.value.needed, caught.value.given) == (20, (12, 30))
    with pytest.raises(TooFewClips, match="not 30 and 19"):
        mann_whitney_z(np.zeros(30), np.append(np.zeros(19), np.nan))


def test_tables_that_do_not_fit_are_refused():
    table = np.zeros((30, 2))
    with pytest.raises(ValueError, match=r"not \[\(30, 2\), \(30, 3\), \(30, 2\)\]"):
        data_copying_z(table, np.zeros((30, 3)), table)
    with pytest.raises(ValueError, match=r"\(30,\)"):
        data_copying_z(np.zeros(30), table, table)
    with pytest.raises(ValueError, match="no training clips"):
        data_copying_z(table, table, table[:0])
    with pytest.raises(ValueError, match="not a finite number"):
        data_copying_z(table, table + np.nan, table)
    with pytest.raises(ValueError, match="columns"):
        mann_whitney_z(table, table[:, 0])


# Bach -------------------------------------------------------------------------------------------------


def four_four(split):
    return [p for p in corpora.CORPORA["chorales"].load(split) if (p.grid.n_steps, p.grid.beats_per_bar) == (16, 4)]


def draw(data, n, seed=0):
    rows = np.random.default_rng(seed).permutation(len(data))[:n]
    return data.select(rows).roll


def fifth_of_the_notes_moved(roll):
    """The clips with every fifth note, at random, one or two semitones higher or lower."""
    rng = np.random.default_rng(0)
    out = Roll(*(np.zeros_like(plane) for plane in roll))
    for at in np.ndindex(*roll.sounding.shape[:2]):
        notes = [
            note._replace(pitch=note.pitch + int(rng.choice([-2, -1, 1, 2])))
            if rng.random() < 0.2 and 38 <= note.pitch < 82
            else note
            for note in roll_to_notes(Roll(roll.sounding[at], roll.onset[at]), GRID)
        ]
        out.sounding[at], out.onset[at] = notes_to_roll(notes, GRID, roll.sounding.shape[2])
    return out


@pytest.fixture(scope="module")
def bach():
    training = four_four("train")
    data = windows(training)
    held_out = windows(four_four("test") + four_four("valid"))
    return NoteIndex(training), data, held_out


def test_copied_share_ranks_copies_new_bach_and_noise(bach):
    index, training, held_out = bach
    real = draw(held_out, 40)
    copies = draw(training, 40, seed=1)
    sets = [copies, fifth_of_the_notes_moved(copies), real, permute_pitches(real, GRID), noise(real, GRID)]
    shares = [copied_share(index.nearest(roll, GRID)) for roll in sets]
    assert shares[0].min() > 0.9
    means = [share.mean() for share in shares]
    assert means == sorted(means, reverse=True)
    assert means[1] == pytest.approx(0.8, abs=0.05)
    assert means[1] - means[2] > 0.2
    assert means[2] - means[3] > 0.1
    # By shared notes, copies with wrong notes are nearer to training than new music is; new music is not. (One
    # division in twenty has |Z| > 1.96 by chance, so several are made.)
    assert mann_whitney_z(1 - shares[1], 1 - shares[2]) < -6
    orders = [np.random.default_rng(seed).permutation(40) for seed in range(21)]
    halves = [mann_whitney_z(shares[2][order[:20]], shares[2][order[20:]]) for order in orders]
    assert np.median(np.abs(halves)) < 1.5


def test_the_features_see_copies_but_not_new_music(bach):
    _, training, held_out = bach
    space = FeatureSpace(training.roll, GRID)
    table = space(training.roll)
    real = space(draw(held_out, 240))
    assert abs(data_copying_z(real[:120], real[120:], table)) < 2
    assert data_copying_z(space(draw(training, 120)), real, table) < -10
    assert data_copying_z(space(noise(draw(held_out, 60), GRID)), real, table) > 10


def test_training_pieces_are_copies_of_themselves_in_any_key(bach):
    index, _, _ = bach
    moved = transpose(index.pieces[3], -2)
    run = longest_run(moved, index)
    assert (run.piece, run.semitones, run.onset) == (3, 2, run.step)
    assert run.notes > 0.7 * len(pairs(moved))  # chords that are struck again do not count
    voice = longest_run(moved, index, one_voice=True)
    assert (voice.piece, voice.semitones, voice.track) == (3, 2, voice.training_track)
