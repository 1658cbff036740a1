"""Metrics: hand-made cases, other implementations, invariances, and the order of real music and its controls.

Where another implementation measures the same thing, the test says how its definition differs, and makes it agree.
"""

from itertools import pairwise

import muspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music21 import chord, interval, note, voiceLeading
from scipy import linalg
from scipy.stats import entropy, wasserstein_distance
from sklearn.metrics import roc_auc_score

from ganmusic import corpora, metrics
from ganmusic.data import windows
from ganmusic.metrics import drums, emotion, harmony, melody, reading, rhythm, structure
from ganmusic.metrics.controls import (
    CONTROLS,
    mix_bars,
    mute_bars,
    noisy_copies,
    one_clip_repeated,
    permute_pitches,
    rotate_bass,
    shuffle_beats,
)
from ganmusic.metrics.distribution import FeatureSpace, features, frechet_distance
from ganmusic.pianoroll import (
    Grid,
    Note,
    Piece,
    Roll,
    Track,
    note_starts,
    piece_to_roll,
    roll_to_notes,
    transpose_roll,
)

GRID = Grid()
#: A grid that drums can leave the beat on: twelve steps a beat.
FINE = Grid(48, 4, 24, 60)


def clip(*voices, n_bars=1, grid=GRID):
    """A clip ``(1, track, bar, step, pitch)`` of voices given as (onset, duration, pitch)."""
    tracks = tuple(Track(str(i), tuple(Note(*note) for note in notes)) for i, notes in enumerate(voices))
    roll = piece_to_roll(Piece(tracks, grid), n_bars)
    return Roll(roll.sounding[None], roll.onset[None])


def triads(*names, duration=4):
    """Voices that hold chords for so many steps each, given as lists of MIDI numbers."""
    return [[(i * duration, duration, chord[voice]) for i, chord in enumerate(names)] for voice in range(len(names[0]))]


def stack(*clips):
    """Several clips of one shape as one set."""
    return Roll(*(np.concatenate(planes) for planes in zip(*clips, strict=True)))


C_MAJOR, F_MAJOR, G_MAJOR, A_MINOR = (48, 64, 67), (53, 57, 60), (43, 62, 71), (45, 60, 64)


@pytest.fixture(scope="module")
def real():
    data = windows(corpora.CORPORA["chorales"].load("test"))
    rows = np.random.default_rng(0).permutation(len(data.sounding))[:200]
    return Roll(data.sounding[rows], data.onset[rows])


@pytest.fixture(scope="module")
def pattern():
    """100 clips of two bars of rock drums: kick, snare, hi-hat in eighths; some hits late, none alike in all clips."""
    rng, clips = np.random.default_rng(0), []
    for _ in range(100):
        hits = [(6 * k, 1, 42) for k in range(16)] + [(12 * k, 1, (36, 38)[k % 2]) for k in range(8)]
        late = rng.random(len(hits)) < 0.1
        hits = [
            (step + int(rng.integers(1, 3)) * moved, *rest) for (step, *rest), moved in zip(hits, late, strict=True)
        ]
        clips.append(clip(sorted(set(hits)), n_bars=2, grid=FINE))
    return stack(*clips)


def one_of(roll, row):
    """One clip of a set, as a set."""
    return Roll(roll.sounding[row : row + 1], roll.onset[row : row + 1])


def to_muspy(roll, row, grid, *, is_drum=False, shorter=0):
    """The same clip for the library muspy, the notes so many steps shorter."""
    tracks = [
        muspy.Track(
            is_drum=is_drum,
            notes=[muspy.Note(n.onset, n.pitch, n.duration - shorter) for n in roll_to_notes(Roll(*planes), grid)],
        )
        for planes in zip(roll.sounding[row], roll.onset[row], strict=True)
    ]
    return muspy.Music(resolution=grid.steps_per_beat, tracks=tracks)


def test_every_metric_says_what_it_is():
    dimensions = {"harmony", "melody", "rhythm", "structure", "drums", "emotion"}
    assert {metric.dimension for metric in metrics.METRICS.values()} == dimensions
    for name, metric in metrics.METRICS.items():
        assert metric.function.__name__ == name
        assert metric.function.__module__ == f"ganmusic.metrics.{metric.dimension}"
        assert metric.unit
        assert metric.null in CONTROLS, name
        assert ("proxy" in name and "proxy" in metric.unit) == (metric.dimension == "emotion")


# Harmony


def test_pitch_class_entropy():
    # C twice (an octave apart), E and G: shares 1/2, 1/4, 1/4. Durations do not count.
    roll = clip([(0, 1, 60), (4, 8, 64), (12, 2, 67)], [(0, 16, 48)])
    assert harmony.pitch_class_entropy(roll, GRID) == pytest.approx([1.5])


def test_scale_consistency():
    # C D E F# G: four of five in C major, all five in G major.
    notes = [(i, 1, pitch) for i, pitch in enumerate((60, 62, 64, 66, 67))]
    assert harmony.scale_consistency(clip(notes), GRID) == pytest.approx([1.0])
    # C C# D: never more than two of them.
    assert harmony.scale_consistency(clip([(0, 1, 60), (1, 1, 61), (2, 1, 62)]), GRID) == pytest.approx([2 / 3])


def test_consonant_pairs():
    # C3 F3 A3: C-F a fourth (dissonant above the bass), C-A a sixth, F-A a third.
    roll = clip([(0, 4, 57)], [(0, 4, 53)], [(0, 4, 48)])
    assert harmony.consonant_pairs(roll, GRID) == pytest.approx([2 / 3])
    # A unison of two voices is a consonance; one voice alone makes no pair.
    assert harmony.consonant_pairs(clip([(0, 4, 60)], [(0, 4, 60)]), GRID) == pytest.approx([1.0])
    assert np.isnan(harmony.consonant_pairs(clip([(0, 4, 60)]), GRID))


def test_triads_on_beats():
    # Beat 1: C major. Beat 2: a fifth only. Beat 3: D diminished, spread. Beat 4: silence.
    roll = clip([(0, 8, 67), (8, 4, 74)], [(0, 4, 64), (8, 4, 65)], [(0, 8, 48), (8, 4, 56)])
    assert harmony.triads_on_beats(roll, GRID) == pytest.approx([2 / 3])


def test_triads_agree_with_music21(real):
    expected = []
    for sounding in real.sounding[:10]:
        beats = sounding[:, :, ::4].reshape(4, -1, 48)
        pitches = [36 + np.flatnonzero(beats[:, beat].any(0)) for beat in range(beats.shape[1])]
        expected.append(np.mean([chord.Chord(p.tolist()).isTriad() for p in pitches if len(p)]))
    found = harmony.triads_on_beats(Roll(real.sounding[:10], real.onset[:10]), GRID)
    # music21 spells the pitches first, and then takes some diminished and augmented triads for others.
    assert np.abs(found - expected).mean() < 0.02


def test_tonal_distance():
    same = clip([(0, 16, 72)], [(0, 16, 48)])
    assert harmony.tonal_distance(same, GRID) == pytest.approx([0.0], abs=1e-12)
    # A fifth apart: on the circle of fifths 7*7/6 pi - 0, a step of pi/6; see Harte et al. 2006.
    fifth = clip([(0, 16, 67)], [(0, 16, 48)])
    angles = np.array([7 / 6, 3 / 2, 2 / 3]) * np.pi * 7
    expected = np.sqrt((np.array([1, 1, 0.25]) * (2 - 2 * np.cos(angles))).sum())
    assert harmony.tonal_distance(fifth, GRID) == pytest.approx([expected])
    tritone = clip([(0, 16, 66)], [(0, 16, 48)])
    assert harmony.tonal_distance(tritone, GRID) > harmony.tonal_distance(fifth, GRID)


def test_entropy_and_scale_consistency_are_muspys(real):
    for row in range(20):
        one, music = one_of(real, row), to_muspy(real, row, GRID)
        assert harmony.pitch_class_entropy(one, GRID) == pytest.approx([muspy.pitch_class_entropy(music)])
        # muspy looks through minor scales too, which are major ones from another tonic.
        assert harmony.scale_consistency(one, GRID) == pytest.approx([muspy.scale_consistency(music)])


def test_consonant_pairs_agree_with_music21():
    # Over C3 each pitch of the octave above. music21 takes the fourth for a consonance; above the bass it is none.
    names = ("P1", "m2", "M2", "m3", "M3", "P4", "d5", "P5", "m6", "M6", "m7", "M7")
    for semitones, name in enumerate(names):
        consonant = interval.Interval(name).isConsonant() and name != "P4"
        found = harmony.consonant_pairs(clip([(0, 4, 48 + 12 + semitones)], [(0, 4, 48)]), GRID)
        assert found == [consonant], name


def test_chords_are_the_triads_that_sound_longest():
    voices = triads(C_MAJOR, A_MINOR, (50, 53, 56), (48, 52, 56))  # and D diminished, C augmented
    assert harmony.chords(clip(*voices), GRID).tolist() == [[0, 12 + 9, 24 + 2, 36 + 0]]
    # G - B - D - F in three positions: G major and B diminished cover it alike, and G major is taken.
    sevenths = triads((43, 59, 62, 65), (47, 55, 62, 65), (53, 55, 59, 62))
    assert harmony.chords(clip(*sevenths), GRID)[0, :3].tolist() == [7, 7, 7]
    # A passing B over a held C - E - G, and a beat of silence.
    passing = clip([(0, 3, 72), (3, 1, 71)], [(0, 4, 64)], [(0, 4, 55)])
    assert harmony.chords(passing, GRID).tolist() == [[0, -1, -1, -1]]
    # What is missing is filled in from the bass: E - G is E minor, not C major; C - G and C alone are C major.
    dyads = clip([(0, 4, 55), (4, 4, 55)], [(0, 4, 52), (4, 8, 48)])
    assert harmony.chords(dyads, GRID)[0, :3].tolist() == [12 + 4, 0, 0]


def test_roots_agree_with_music21_where_a_beat_is_one_triad(real):
    compared = 0
    for row in range(10):
        beats = real.sounding[row].reshape(4, 16, 4, 48).any(0)
        found = harmony.chords(one_of(real, row), GRID)[0]
        for beat, code in zip(beats, found, strict=True):
            pitches = (36 + np.flatnonzero(beat.any(0))).tolist()
            known = chord.Chord(pitches)
            if known.isMajorTriad() or known.isMinorTriad():
                assert code == 12 * known.isMinorTriad() + known.root().pitchClass, pitches
                compared += 1
    assert compared > 30


def test_chord_statistics():
    # C C F C | G A minor C C: shares 5/8, 1/8, 1/8, 1/8.
    voices = triads(C_MAJOR, C_MAJOR, F_MAJOR, C_MAJOR, G_MAJOR, A_MINOR, C_MAJOR, C_MAJOR)
    roll = clip(*voices, n_bars=2)
    assert harmony.chord_entropy(roll, GRID) == pytest.approx([entropy([5, 1, 1, 1])])
    assert harmony.chord_coverage(roll, GRID) == [4]
    one = clip(*triads(C_MAJOR, C_MAJOR, C_MAJOR, C_MAJOR))
    assert harmony.chord_entropy(one, GRID) == [0]
    assert harmony.chord_coverage(one, GRID) == [1]
    assert harmony.chord_tonal_distance(one, GRID) == [0]


def test_chord_tonal_distance_is_that_of_their_pitch_classes():
    def point(pitches):
        angles = np.pi * np.outer(np.array([7 / 6, 3 / 2, 2 / 3]), np.array(pitches) % 12)
        return np.concatenate([np.sin(angles).mean(1) * [1, 1, 0.5], np.cos(angles).mean(1) * [1, 1, 0.5]])

    def distance(a, b):
        return np.linalg.norm(point(a) - point(b))

    # Silence between the second and the third chord: what lies across it does not count.
    roll = clip(*triads(C_MAJOR, G_MAJOR), *[[(12, 4, pitch)] for pitch in A_MINOR])
    assert harmony.chord_tonal_distance(roll, GRID) == pytest.approx([distance(C_MAJOR, G_MAJOR)])
    roll = clip(*triads(C_MAJOR, A_MINOR, F_MAJOR))
    expected = (distance(C_MAJOR, A_MINOR) + distance(A_MINOR, F_MAJOR)) / 2
    assert harmony.chord_tonal_distance(roll, GRID) == pytest.approx([expected])


def test_melody_chord_consonance():
    def score(*melody):
        return harmony.melody_chord_consonance(clip(list(melody), *triads((48, 52, 55))), GRID)

    assert score((0, 4, 79)) == pytest.approx([1])  # the fifth: a fifth, a third and an octave above the chord's notes
    assert score((0, 4, 72)) == pytest.approx([2 / 3])  # the root is a fourth above the fifth
    # A seventh, B, for one step of four: 11, 7 and 4 semitones above C, E and G.
    assert score((0, 3, 79), (3, 1, 71)) == pytest.approx([(3 * 1 + 1 / 3) / 4])
    # An F: a fourth, a second and a seventh.
    assert score((0, 3, 79), (3, 1, 77)) == pytest.approx([(3 * 1 - 2 / 3) / 4])


def test_parallel_fifths_and_octaves():
    # G over C to A over D to B over E, then on in contrary motion.
    fifths = clip([(0, 4, 67), (4, 4, 69), (8, 4, 71), (12, 4, 72)], [(0, 4, 60), (4, 4, 62), (8, 4, 64), (12, 4, 60)])
    assert harmony.parallel_fifths(fifths, GRID) == [2]
    assert harmony.parallel_octaves(fifths, GRID) == [0]
    # A repeated fifth, one that is kept up by one voice, one after a rest, and a fifth to a twelfth are none.
    none = clip(
        [(0, 4, 67), (4, 4, 67), (8, 3, 67), (12, 2, 69), (14, 2, 83)],
        [(0, 4, 60), (4, 4, 60), (8, 3, 60), (12, 2, 62), (14, 2, 64)],
    )
    assert harmony.parallel_fifths(none, GRID) == [0]
    # Octaves in two bars, between the first and the third of three voices: one in two bars.
    octaves = clip([(0, 16, 72), (16, 16, 74)], [(0, 32, 69)], [(0, 16, 48), (16, 16, 50)], n_bars=2)
    assert harmony.parallel_octaves(octaves, GRID) == [1 / 2]
    unisons = clip([(0, 4, 60), (4, 4, 62)], [(0, 4, 60), (4, 4, 62)])
    assert harmony.parallel_octaves(unisons, GRID) == [1]
    assert np.isnan(harmony.parallel_fifths(clip([(0, 4, 60), (4, 4, 62)], [(8, 4, 60)]), GRID))


def test_parallels_agree_with_music21(real):
    # In rotated clips there are enough. music21 takes fifths by contrary motion, or to a twelfth, for parallel as well:
    # those in which the voices move by different intervals are left out here. It spells the notes, so that some fifths
    # are diminished sixths to it; all are given by semitones instead.
    roll = rotate_bass(Roll(real.sounding[:30], real.onset[:30]), GRID)
    lines = 36 + melody.melodies(roll)
    found = {"fifths": 0, "octaves": 0}
    for clip_lines in lines:
        for a in range(4):
            for b in range(a + 1, 4):
                pairs = np.stack([clip_lines[a], clip_lines[b]], 1)
                for before, after in pairwise(pairs):
                    move = after - before
                    if np.isnan(move).any() or (move == 0).any() or move[0] != move[1]:
                        continue
                    if (before[0] - before[1]) % 12 not in (0, 5, 7):
                        continue
                    top, bottom = (0, 1) if before[0] >= before[1] else (1, 0)
                    notes = [note.Note(), note.Note(), note.Note(), note.Note()]
                    for n, value in zip(notes, (before[top], after[top], before[bottom], after[bottom]), strict=True):
                        n.pitch.ps = value
                    # The upper notes, spelled a perfect interval above the lower ones.
                    size = int(before[top] - before[bottom])
                    if size % 12 in (0, 7):
                        name = f"P{ {0: 1, 7: 5}[size % 12] + 7 * (size // 12) }"
                        notes[0].pitch, notes[1].pitch = (n.pitch.transpose(name) for n in notes[2:])
                    quartet = voiceLeading.VoiceLeadingQuartet(*notes)
                    found["fifths"] += quartet.parallelFifth()
                    found["octaves"] += quartet.parallelOctave() or quartet.parallelUnison()
    assert found["fifths"] > 5
    assert found["octaves"] > 5
    assert harmony.parallel_fifths(roll, GRID).sum() * 4 == found["fifths"]
    assert harmony.parallel_octaves(roll, GRID).sum() * 4 == found["octaves"]


# Melody


def test_steps_and_leaps():
    # +2 (step), a repeat (no move), -9 (leap), +5 (neither)
    roll = clip([(0, 2, 60), (2, 2, 62), (4, 2, 62), (6, 2, 53), (8, 2, 58)])
    assert melody.step_rate(roll, GRID) == pytest.approx([1 / 3])
    assert melody.leap_rate(roll, GRID) == pytest.approx([1 / 3])
    assert melody.pitch_range(roll, GRID) == pytest.approx([9])


def test_melody_is_the_highest_pitch_and_rests_are_no_moves():
    chords = clip([(0, 4, 60), (0, 4, 48), (8, 4, 72)])
    size, moved = melody.moves(chords)
    assert moved.sum() == 0
    assert np.isnan(size).any()
    assert melody.melodies(chords)[0, 0, :4].tolist() == [24] * 4


def test_range_is_muspys_of_each_track(real):
    for row in range(20):
        one = one_of(real, row)
        tracks = [muspy.Music(tracks=[track]) for track in to_muspy(real, row, GRID).tracks if track.notes]
        expected = np.mean([muspy.pitch_range(track) for track in tracks])
        assert melody.pitch_range(one, GRID) == pytest.approx([expected])


def test_interval_distance(real):
    rising, falling = clip([(0, 2, 60), (2, 2, 62), (4, 2, 67)]), clip([(0, 2, 67), (2, 2, 62), (4, 2, 60)])
    # +2 and +5 against -5 and -2: each moves by seven.
    assert melody.interval_distance(rising, falling, GRID) == pytest.approx(7)
    assert melody.interval_distance(rising, rising, GRID) == 0
    held = clip([(0, 16, 60)])
    assert np.isnan(melody.interval_distance(rising, held, GRID))
    with pytest.raises(ValueError, match="1 tracks are not 4"):
        melody.interval_distance(rising, real, GRID)


def test_interval_distance_is_scipys_averaged_over_the_tracks(real):
    halves = [Roll(real.sounding[i::2], real.onset[i::2]) for i in (0, 1)]

    def moves(roll, track):
        return [
            after.pitch - before.pitch
            for planes in zip(roll.sounding[:, track], roll.onset[:, track], strict=True)
            for before, after in pairwise(roll_to_notes(Roll(*planes), GRID))
            if before.end == after.onset and before.pitch != after.pitch
        ]

    expected = [wasserstein_distance(*(moves(half, track) for half in halves)) for track in range(4)]
    assert melody.interval_distance(*halves, GRID) == pytest.approx(np.mean(expected))
    shuffled = shuffle_beats(halves[1], GRID)
    assert melody.interval_distance(shuffled, halves[0], GRID) > 3 * melody.interval_distance(*halves[::-1], GRID)


# Rhythm


def test_change_rate():
    # Eight sounding steps, so seven transitions, two of which change pitch.
    roll = clip([(0, 3, 60), (3, 2, 62), (5, 3, 60)])
    assert rhythm.change_rate(roll, GRID) == pytest.approx([2 / 7])


def test_notes_per_bar_counts_repeats():
    roll = clip([(0, 4, 60), (4, 4, 60), (16, 4, 62)], [(8, 8, 50)], n_bars=2)
    assert rhythm.notes_per_bar(roll, GRID) == pytest.approx([2.0])


def test_qualified_notes():
    # An eighth, a sixteenth, and a repeated pitch of one sixteenth each; the last, cut by the end, is left out.
    roll = clip([(0, 2, 60), (2, 1, 62), (3, 1, 62), (15, 1, 65)])
    assert rhythm.qualified_notes(roll, GRID) == pytest.approx([1 / 3])


def test_empty_bars_and_groove():
    roll = clip([(0, 4, 60), (8, 4, 60), (16, 4, 60), (20, 4, 62)], [(0, 16, 48)], n_bars=2)
    assert rhythm.empty_bars(roll, GRID) == pytest.approx([1 / 4])
    # Onsets on steps {0, 8} and {0, 4}: they differ on two of sixteen steps.
    assert rhythm.groove_similarity(roll, GRID) == pytest.approx([14 / 16])


def test_notes_and_durations_are_those_of_the_notes(real):
    for row in range(20):
        one = one_of(real, row)
        notes = [
            n
            for planes in zip(real.sounding[row], real.onset[row], strict=True)
            for n in roll_to_notes(Roll(*planes), GRID)
        ]
        assert rhythm.notes_per_bar(one, GRID) == [len(notes) / 4]
        in_time = [n for n in notes if n.onset <= 62]
        assert rhythm.qualified_notes(one, GRID) == pytest.approx([np.mean([n.duration >= 2 for n in in_time])])


def test_what_sounds_without_an_onset_begins_a_note_on_the_first_step_too():
    # The first track ends on the pitch that the second one begins on, so in memory the one follows the other.
    roll = clip([(12, 4, 60)], [(0, 4, 60), (8, 4, 60)])
    silent_start = Roll(roll.sounding, np.zeros_like(roll.onset))
    assert rhythm.notes_per_bar(silent_start, GRID) == [3]
    assert reading.cells(silent_start).starts.sum() == note_starts(silent_start).sum()


def test_a_tie_over_the_bar_line_is_one_note():
    tied = clip([(15, 2, 60), (20, 1, 62)], n_bars=2)
    assert rhythm.qualified_notes(tied, GRID) == pytest.approx([1 / 2])


def test_onsets_per_beat():
    # Steps 0, 4, 6 and 8 of four beats, some with two notes.
    roll = clip([(0, 4, 60), (4, 2, 62), (6, 2, 64)], [(0, 8, 48), (8, 8, 50)])
    assert rhythm.onsets_per_beat(roll, GRID) == [4 / 4]


def test_polyphony_rate_counts_two_pitches_and_sounding_steps_only():
    # One pitch for four steps, two for four, a unison for two, two in one track for two, then four of silence.
    roll = clip([(0, 8, 60), (8, 2, 60), (10, 2, 64)], [(4, 4, 52), (8, 2, 60), (10, 2, 67), (10, 2, 64)])
    assert rhythm.polyphony_rate(roll, GRID) == pytest.approx([(4 + 2) / 12])
    music = to_muspy(roll, 0, GRID)
    # muspy counts more than its threshold, and divides by all steps up to the last note's end: here those that sound.
    assert muspy.polyphony_rate(music, threshold=1) == pytest.approx(6 / 12)
    assert muspy.polyphony_rate(music, threshold=2) == 0


def test_polyphony_rate_is_muspys(real):
    muted = mute_bars(Roll(real.sounding[:20, 2:], real.onset[:20, 2:]), GRID)
    for row, found in enumerate(rhythm.polyphony_rate(muted, GRID)):
        music = to_muspy(muted, row, GRID)
        length = max(track.get_end_time() for track in music.tracks)
        sounding = muted.sounding[row].any((0, 3)).sum()
        assert found == pytest.approx(muspy.polyphony_rate(music, threshold=1) * length / sounding)
    assert rhythm.polyphony_rate(muted, GRID).min() < 0.9


def test_empty_bars_are_muspys_of_each_track(real):
    # muspy counts a note into the bar that it ends at, and a bar more where music ends on a bar line, so it is given
    # notes that are a step shorter; and it counts no bar after the last note, so only tracks that sound at the end do.
    muted = mute_bars(Roll(real.sounding[:40], real.onset[:40]), GRID)
    compared = 0
    for row in range(40):
        for track in np.flatnonzero(muted.sounding[row, :, 3, -1].any(1)):
            alone = Roll(muted.sounding[:, [track]], muted.onset[:, [track]])
            expected = muspy.empty_measure_rate(to_muspy(alone, row, GRID, shorter=1), 16)
            assert rhythm.empty_bars(one_of(alone, row), GRID) == pytest.approx([expected])
            compared += expected > 0
    assert compared > 50


def test_groove_is_muspys_of_two_bars(real):
    # muspy compares neighbouring bars only, so that two bars are compared alike. It adds an empty bar behind music that
    # ends on a bar line, so the last step is cut off.
    two = Roll(real.sounding[:30, :, :2].copy(), real.onset[:30, :, :2].copy())
    two.sounding[:, :, 1, -1] = two.onset[:, :, 1, -1] = False
    for row, found in enumerate(rhythm.groove_similarity(two, GRID)):
        assert found == pytest.approx(muspy.groove_consistency(to_muspy(two, row, GRID), 16))


def test_groove_compares_all_pairs_of_bars():
    # Onsets on 0 | 0, 4 | 0, 8: one, one and two steps of sixteen differ. Neighbours alone would give 1 - 3/32.
    roll = clip([(0, 2, 60), (16, 2, 60), (20, 2, 60), (32, 2, 60), (40, 2, 62)], n_bars=3)
    assert rhythm.groove_similarity(roll, GRID) == pytest.approx([1 - (1 + 1 + 2) / 3 / 16])
    assert np.isnan(rhythm.groove_similarity(clip([(0, 4, 60)]), GRID))


# Structure


def test_bar_and_four_bar_entropy():
    # Bars of C; of C and G; of silence; of C, C, E, G.
    roll = clip([(0, 4, 60), (16, 4, 60), (20, 4, 67), (48, 4, 60), (52, 4, 72), (56, 4, 64), (60, 4, 67)], n_bars=4)
    assert structure.bar_entropy(roll, GRID) == pytest.approx([(0 + 1 + 1.5) / 3])
    assert structure.four_bar_entropy(roll, GRID) == pytest.approx([entropy([4, 2, 1], base=2)])
    assert np.isnan(structure.four_bar_entropy(clip([(0, 4, 60)], n_bars=3), GRID))
    longer = clip([(0, 4, 60), (16, 4, 62), (32, 4, 60), (64, 4, 67)], n_bars=5)
    expected = (entropy([2, 1], base=2) + entropy([1, 1, 1], base=2)) / 2
    assert structure.four_bar_entropy(longer, GRID) == pytest.approx([expected])


def test_bar_entropy_is_muspys_of_each_bar(real):
    for row in range(10):
        bars = Roll(real.sounding[row].swapaxes(0, 1)[:, :, None], real.onset[row].swapaxes(0, 1)[:, :, None].copy())
        # A note that is tied into a bar begins in the bar before.
        bars = Roll(note_starts(Roll(real.sounding[row], real.onset[row])).swapaxes(0, 1)[:, :, None], bars.onset)
        values = [muspy.pitch_class_entropy(to_muspy(bars, bar, GRID)) for bar in range(4)]
        one = one_of(real, row)
        assert structure.bar_entropy(one, GRID) == pytest.approx([np.nanmean(values)])


def test_recurrence():
    theme, answer = [(0, 4, 60), (4, 4, 62), (16, 8, 64)], [(0, 8, 67), (8, 8, 65), (16, 16, 60)]
    later = [(onset + 32, *rest) for onset, *rest in theme]
    assert structure.recurrence(clip([*theme, *later], n_bars=4), GRID) == pytest.approx([1])
    other = [(onset + 32, *rest) for onset, *rest in answer]
    assert structure.recurrence(clip([*theme, *other], n_bars=4), GRID) == pytest.approx([0])
    # Two of three notes return, and one more comes: 2 / 3. Bars 2-3 overlap the others, and are no passage to compare.
    varied = [(32, 4, 60), (36, 4, 62), (48, 8, 65)]
    assert structure.recurrence(clip([*theme, *varied], n_bars=4), GRID) == pytest.approx([2 / 3])
    # Three notes return with a fourth: 3 / 4 for both passages, as the larger one counts.
    assert structure.recurrence(clip([*theme, *later, (40, 4, 69)], n_bars=4), GRID) == pytest.approx([3 / 4])
    # The same notes, shared out differently, are the same; a silent passage is left out.
    parts = clip([*theme, later[0], later[2]], [later[1]], n_bars=4)
    assert structure.recurrence(parts, GRID) == pytest.approx([1])
    assert structure.recurrence(clip(theme, n_bars=4), GRID) == pytest.approx([0])
    assert np.isnan(structure.recurrence(clip(theme, n_bars=3), GRID))


def test_progression_irregularity():
    # C F C F C F C F: CFC and FCF, six in all.
    roll = clip(*triads(*[C_MAJOR, F_MAJOR] * 4), n_bars=2)
    assert structure.progression_irregularity(roll, GRID) == pytest.approx([2 / 6])
    # A silent beat cuts the progression: C F G, rest, C F G A minor gives CFG, CFG, FGa.
    voices = [
        [*first, *((onset + 16, *rest) for onset, *rest in second)]
        for first, second in zip(
            triads(C_MAJOR, F_MAJOR, G_MAJOR), triads(C_MAJOR, F_MAJOR, G_MAJOR, A_MINOR), strict=True
        )
    ]
    assert structure.progression_irregularity(clip(*voices, n_bars=2), GRID) == pytest.approx([2 / 3])
    assert np.isnan(structure.progression_irregularity(clip(*triads(C_MAJOR, F_MAJOR)), GRID))


# Drums


def test_drum_pattern():
    # Quarters of a beat: 0, 3, 6, 9. Hits on 0 (two drums), 3, 6, 7 and 8.
    roll = clip([(0, 1, 36), (0, 1, 42), (3, 1, 42), (18, 1, 42), (31, 1, 38), (20, 1, 42)], grid=FINE)
    assert drums.drum_pattern(roll, FINE) == pytest.approx([4 / 6])
    swung = clip([(0, 1, 36), (4, 1, 42), (8, 1, 42), (12, 1, 36), (18, 1, 38)], grid=FINE)
    assert drums.drum_pattern(swung, FINE) == pytest.approx([4 / 5])
    assert drums.drum_pattern(clip([(1, 1, 36), (2, 1, 38), (7, 1, 38)]), GRID) == [1]  # no place beside the pattern
    assert np.isnan(drums.drum_pattern(clip([]), GRID))


@pytest.mark.parametrize("per_beat", [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 24])
def test_drum_pattern_is_muspys(per_beat):
    grid = Grid(4 * per_beat, 4, 24, 60)
    sounding, onset = np.random.default_rng(per_beat).random((2, 3, 2, 2, grid.n_steps, 60)) < 0.01
    roll = Roll(sounding | onset, onset)
    for row, found in enumerate(drums.drum_pattern(roll, grid)):
        assert found == pytest.approx(muspy.drum_pattern_consistency(to_muspy(roll, row, grid, is_drum=True)))


# Emotion


def test_the_proxy_of_valence():
    # C, F, A minor: two of three chords are major; every pair is a consonance but the fourth in F (C over G is none).
    roll = clip(*triads(C_MAJOR, (53, 57, 60), A_MINOR))
    assert emotion.valence_proxy(roll, GRID) == pytest.approx([(2 / 3 + 1) / 2])
    # One voice has no pairs: its chord alone counts.
    assert emotion.valence_proxy(clip([(0, 4, 60), (4, 4, 64)]), GRID) == pytest.approx([1])


def test_the_proxy_of_valence_tells_major_from_minor():
    pieces = corpora.CORPORA["chorales"].load("test")
    values = {"major": [], "minor": []}
    for piece in pieces:
        roll = piece_to_roll(piece)
        found = emotion.valence_proxy(Roll(roll.sounding[None], roll.onset[None]), piece.grid)
        values[piece.labels["mode"]].append(found[0])
    wins = np.mean([a > b for a in values["major"] for b in values["minor"]])
    assert wins > 0.75


def test_the_proxy_of_arousal():
    # Onsets on 4 of 4 beats: 1/4. Pitches 60, 72, 60, 66: mean 64.5, 28.5/48. Moves 12, 12, 6: mean 10, 10/12.
    roll = clip([(0, 4, 60), (4, 4, 72), (8, 4, 60), (12, 4, 66)])
    parts = [1 / 4, 28.5 / 48, 10 / 12]
    assert emotion.arousal_proxy(roll, GRID) == pytest.approx([np.mean(parts)])
    assert emotion.arousal_proxy(roll, GRID, tempo=120) == pytest.approx([np.mean([*parts, 0.5])])
    assert emotion.arousal_proxy(stack(roll, roll), GRID, tempo=[40, 300]) == pytest.approx(
        [np.mean([*parts, 0]), np.mean([*parts, 1])]
    )
    # One note moves nowhere: density and register alone.
    assert emotion.arousal_proxy(clip([(0, 4, 60)]), GRID) == pytest.approx([(1 / 16 + 1 / 2) / 2])


# All metrics


def test_silence_is_not_a_number_but_never_an_error():
    silence = Roll(np.zeros((2, 4, 4, 16, 48), bool), np.zeros((2, 4, 4, 16, 48), bool))
    values = metrics.evaluate(silence, GRID)
    assert values["notes_per_bar"].tolist() == values["onsets_per_beat"].tolist() == [0, 0]
    assert values["empty_bars"].tolist() == values["groove_similarity"].tolist() == [1, 1]
    rest = set(metrics.METRICS) - {"notes_per_bar", "onsets_per_beat", "empty_bars", "groove_similarity"}
    assert all(np.isnan(values[name]).all() for name in rest)
    assert np.isfinite(features(silence, GRID)).all()


def test_one_note_has_the_values_it_can_have():
    values = metrics.evaluate(clip([(4, 4, 60)], n_bars=4), GRID)
    defined = {name: value[0] for name, value in values.items() if not np.isnan(value[0])}
    arousal = defined.pop("arousal_proxy")
    assert arousal == pytest.approx((1 / 64 + 1 / 2) / 2)
    assert defined == pytest.approx(
        {
            "pitch_class_entropy": 0,
            "scale_consistency": 1,
            "triads_on_beats": 0,
            "tonal_distance": 0,
            "chord_entropy": 0,
            "chord_coverage": 1,
            "melody_chord_consonance": 2 / 3,
            "pitch_range": 0,
            "notes_per_bar": 1 / 4,
            "onsets_per_beat": 1 / 16,
            "polyphony_rate": 0,
            "change_rate": 0,
            "qualified_notes": 1,
            "empty_bars": 3 / 4,
            "groove_similarity": 1 - 3 / 6 / 16,
            "bar_entropy": 0,
            "four_bar_entropy": 0,
            "recurrence": 0,
            "valence_proxy": 1,
        }
    )


def test_drums_and_pitched_tracks_are_measured_apart(real):
    melody_and_drums = Roll(real.sounding[:50].copy(), real.onset[:50].copy())
    values = metrics.evaluate(melody_and_drums, GRID, drums=(False, False, True, False))
    pitched = Roll(melody_and_drums.sounding[:, [0, 1, 3]], melody_and_drums.onset[:, [0, 1, 3]])
    beaten = Roll(melody_and_drums.sounding[:, [2]], melody_and_drums.onset[:, [2]])
    for name, metric in metrics.METRICS.items():
        expected = metric.function(beaten if metric.dimension == "drums" else pitched, GRID)
        assert np.array_equal(values[name], expected, equal_nan=True), name
    assert not np.array_equal(values["notes_per_bar"], metrics.evaluate(melody_and_drums, GRID)["notes_per_bar"])


def test_without_drums_or_without_pitched_tracks_there_is_nothing_to_measure(pattern, real):
    values = metrics.evaluate(pattern, FINE, drums=[True])
    assert {name for name, value in values.items() if not np.isnan(value).all()} == {"drum_pattern"}
    assert np.isnan(metrics.evaluate(real, GRID)["drum_pattern"]).all()


def test_many_clips_are_measured_like_a_few(real, monkeypatch):
    at_once = metrics.evaluate(real, GRID)
    monkeypatch.setattr(metrics, "CLIPS", 7)
    for name, values in metrics.evaluate(real, GRID).items():
        assert np.array_equal(values, at_once[name], equal_nan=True), name


def test_no_clips_have_no_values(real):
    none = Roll(real.sounding[:0], real.onset[:0])
    assert all(values.shape == (0,) for values in metrics.evaluate(none, GRID).values())
    for name, metric in metrics.METRICS.items():
        assert metric.function(none, GRID).shape == (0,), name
    for name, control in CONTROLS.items():
        assert control(none, GRID).sounding.shape == none.sounding.shape, name
    assert np.isnan(melody.interval_distance(none, real, GRID))


@pytest.mark.parametrize(
    ("grid", "shape"),
    [
        (Grid(12, 3), (3, 3, 4)),
        (Grid(12, 2, 24, 84), (2, 1, 5)),
        (Grid(48, 4, 0, 132), (2, 2, 1)),
        (Grid(5, 5), (1, 3, 4)),
    ],
    ids=["3/4", "6/8, one track", "one bar of 48 steps", "5/4, a step a beat"],
)
def test_any_metre_any_length_and_polyphonic_tracks(grid, shape):
    rng = np.random.default_rng(1)
    sounding = rng.random((*shape, grid.n_steps, grid.n_pitches)) < 0.04
    roll = Roll(sounding, sounding & (rng.random(sounding.shape) < 0.5))
    for of_drums in (False, True):
        values = metrics.evaluate(roll, grid, drums=[of_drums] * shape[1])
        for name, metric in metrics.METRICS.items():
            assert values[name].shape == shape[:1]
            known = not np.isnan(values[name]).any()
            if (metric.dimension == "drums") != of_drums:
                assert not known
            else:
                needs = {
                    "four_bar_entropy": shape[2] >= 4,
                    "recurrence": shape[2] >= 4,
                    "groove_similarity": shape[2] > 1,
                    "parallel_fifths": shape[1] > 1,
                    "parallel_octaves": shape[1] > 1,
                }
                assert known == needs.get(name, True), name
    for name, control in CONTROLS.items():
        broken = control(roll, grid)
        assert broken.sounding.shape == roll.sounding.shape, name
        assert not (broken.onset & ~broken.sounding).any(), name


def test_a_beat_in_three_four_is_four_steps():
    grid = Grid(12, 3)
    roll = clip(*triads(C_MAJOR, F_MAJOR, G_MAJOR, C_MAJOR, F_MAJOR, C_MAJOR), n_bars=2, grid=grid)
    assert harmony.chords(roll, grid).tolist() == [[0, 5, 7, 0, 5, 0]]
    assert rhythm.onsets_per_beat(roll, grid) == [1]
    six_eight = Grid(12, 2)  # two beats of three eighths each
    roll = clip(*triads(C_MAJOR, F_MAJOR, duration=6), grid=six_eight)
    assert harmony.chords(roll, six_eight).tolist() == [[0, 5]]
    assert rhythm.onsets_per_beat(roll, six_eight) == [1]


def test_another_grid_is_refused(real):
    with pytest.raises(ValueError, match=r"\(200, 4, 4, 16, 48\) are not \(n, track, bar, 12, 48\)"):
        metrics.evaluate(real, Grid(12, 3))
    with pytest.raises(ValueError, match=r"\(n, track, bar, 16, 60\)"):
        metrics.check_grid(real, Grid(16, 4, 24, 60))
    with pytest.raises(ValueError, match="of 2 tracks whether they are drums, but the clips have 4"):
        metrics.evaluate(real, GRID, drums=(True, False))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_transposing_changes_nothing_but_what_says_so(real, name):
    inside = ~(real.sounding[..., :3].any((1, 2, 3, 4)) | real.sounding[..., -3:].any((1, 2, 3, 4)))
    roll = Roll(real.sounding[inside], real.onset[inside])
    assert inside.sum() > 50
    metric = metrics.METRICS[name]
    here, there = metric.function(roll, GRID), metric.function(transpose_roll(roll, 3), GRID)
    if metric.depends_on_key:
        assert np.abs(here - there).min() > 0
    else:
        assert there == pytest.approx(here, nan_ok=True)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_the_order_of_tracks_changes_nothing_but_what_says_so(real, name):
    metric = metrics.METRICS[name]
    here, there = metric.function(real, GRID), metric.function(Roll(*(plane[:, [2, 0, 3, 1]] for plane in real)), GRID)
    if metric.depends_on_order:
        assert np.abs(here - there).max() > 0.1
    else:
        assert there == pytest.approx(here, nan_ok=True)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_clips_value_does_not_depend_on_the_others(real, name):
    function = metrics.METRICS[name].function
    some = [3, 17, 101]
    alone = function(Roll(real.sounding[some], real.onset[some]), GRID)
    assert alone == pytest.approx(function(real, GRID)[some], nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_roll_has_values_within_bounds(data):
    shape = (*(data.draw(st.integers(1, most)) for most in (3, 3, 5)), 8, 36)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    density = data.draw(st.sampled_from((0.0, 0.01, 0.1, 1.0)))
    grid = Grid(8, 2, 36, 36)
    values = metrics.evaluate(Roll(rng.random(shape) < density, rng.random(shape) < 0.5 * density), grid)
    for name, metric in metrics.METRICS.items():
        found = values[name][~np.isnan(values[name])]
        assert np.isfinite(found).all()
        low, high = {"share": (0, 1), "proxy, 0 to 1": (0, 1), "score": (-1, 1)}.get(metric.unit, (0, np.inf))
        assert ((found >= low - 1e-9) & (found <= high + 1e-9)).all(), name


def test_what_is_read_once_is_not_read_again(real):
    clips = reading.read(real)
    assert reading.read(clips) is clips
    assert harmony.chords(clips, GRID) is harmony.chords(clips, GRID)
    assert harmony.chords(clips, Grid(16, 2)).shape != harmony.chords(clips, GRID).shape
    assert harmony.chords(real, GRID) is not harmony.chords(real, GRID)


# Controls

#: What each metric is there to tell from its control: +1 if real music scores higher, and by how many of its standard
#: deviations the means differ at least. Real music's own sets of clips differ by about .1.
HIGHER = {
    "pitch_class_entropy": (-1, 2), "scale_consistency": (1, 2), "consonant_pairs": (1, 2), "triads_on_beats": (1, 2),
    "tonal_distance": (-1, 0.8), "chord_entropy": (-1, 0.4), "chord_coverage": (-1, 0.5),
    "chord_tonal_distance": (-1, 0.4), "melody_chord_consonance": (1, 2), "parallel_fifths": (-1, 0.8),
    "parallel_octaves": (-1, 2), "step_rate": (1, 2), "leap_rate": (-1, 1.5), "pitch_range": (-1, 2),
    "notes_per_bar": (-1, 2), "onsets_per_beat": (-1, 2), "polyphony_rate": (1, 2), "change_rate": (-1, 2),
    "qualified_notes": (1, 2), "empty_bars": (-1, 2), "groove_similarity": (1, 0.35), "bar_entropy": (-1, 2),
    "four_bar_entropy": (-1, 2), "recurrence": (1, 0.35), "progression_irregularity": (-1, 0.3),
    "drum_pattern": (1, 2), "valence_proxy": (1, 1), "arousal_proxy": (-1, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", metrics.METRICS)
def test_every_metric_tells_real_music_from_its_control(real, pattern, name):
    metric = metrics.METRICS[name]
    clips, grid = (pattern, FINE) if metric.dimension == "drums" else (real, GRID)
    sign, margin = HIGHER[name]
    measured, null = metric.function(clips, grid), metric.function(CONTROLS[metric.null](clips, grid), grid)
    gap = np.nanmean(measured) - np.nanmean(null)
    assert sign * gap > margin * np.nanstd(measured)
    assert abs(gap) > 0.005  # where no two real clips differ, as in polyphony, any gap would do


#: What else each control breaks, and so which metrics must notice, and which way: +1 if real music scores higher.
CAUGHT = {
    "shuffle_beats": {
        "triads_on_beats": 1,
        "consonant_pairs": 1,
        "tonal_distance": -1,
        "step_rate": 1,
        "leap_rate": -1,
    },
    "rotate_bass": {"triads_on_beats": 1, "consonant_pairs": 1, "tonal_distance": -1},
    "permute_pitches": {"scale_consistency": 1, "consonant_pairs": 1, "triads_on_beats": 1, "step_rate": 1},
    "noise": {
        "scale_consistency": 1,
        "pitch_class_entropy": -1,
        "qualified_notes": 1,
        "notes_per_bar": -1,
        "change_rate": -1,
    },
}


@pytest.mark.parametrize(("control", "metric"), [(c, m) for c, found in CAUGHT.items() for m in found])
def test_real_music_and_controls_are_told_apart(real, control, metric):
    function = metrics.METRICS[metric].function
    gap = np.nanmean(function(real, GRID)) - np.nanmean(function(CONTROLS[control](real, GRID), GRID))
    spread = np.nanstd(function(real, GRID))
    assert CAUGHT[control][metric] * gap > 0.4 * spread


def test_controls_keep_what_they_say_they_keep(real):
    assert np.array_equal(shuffle_beats(real, GRID).onset.sum((2, 3)), real.onset.sum((2, 3)))
    assert np.array_equal(rotate_bass(real, GRID).sounding[:, :3], real.sounding[:, :3])
    assert np.array_equal(permute_pitches(real, GRID).sounding.sum(4), real.sounding.sum(4))
    assert all(control(real, GRID).sounding.shape == real.sounding.shape for control in CONTROLS.values())


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_repeat_for_a_seed(real, name):
    few = Roll(real.sounding[:20], real.onset[:20])
    before = few.sounding.copy()
    control = CONTROLS[name]
    assert np.array_equal(control(few, GRID, 1).sounding, control(few, GRID, 1).sounding)
    assert np.array_equal(few.sounding, before)
    if name != "rotate_bass":
        assert not np.array_equal(control(few, GRID, 1).sounding, control(few, GRID, 2).sounding)


def test_mixed_bars_are_real_bars_of_different_clips(real):
    named = Roll(np.broadcast_to(np.arange(200)[:, None, None, None, None], (200, 4, 4, 1, 1)), real.onset)
    source = mix_bars(named, GRID, 5).sounding[..., 0, 0]  # the clip that each bar is from
    assert (source == source[:, :1]).all()  # all tracks together
    assert all(len(set(bars)) == 4 for bars in source[:, 0].tolist())
    assert np.array_equal(np.sort(source[:, 0, 2]), np.arange(200))  # each is used once in each place
    mixed = mix_bars(real, GRID, 5)
    assert np.array_equal(mixed.sounding[0, :, 2], real.sounding[source[0, 0, 2], :, 2])
    assert np.array_equal(mixed.onset[9, :, 1], real.onset[source[9, 0, 1], :, 1])


def test_a_quarter_of_each_tracks_bars_is_muted(real):
    muted = mute_bars(real, GRID)
    silent = ~muted.sounding.any((3, 4))
    assert (silent.sum(2) >= 1).all()
    assert (silent | real.sounding.any((3, 4))).all()
    kept = ~silent
    assert np.array_equal(muted.sounding[kept], real.sounding[kept])
    assert len({tuple(row) for row in silent.reshape(-1, 4).tolist()}) >= 4  # not always the same one


def test_noisy_copies_move_a_fifth_of_the_notes(real):
    copies = noisy_copies(real, GRID)
    original, copied = note_starts(real), note_starts(copies)
    kept = (original & copied).sum() / original.sum()
    assert 0.79 < kept < 0.84  # a moved note may land where another was
    # Every note that was lost moved by one to seven semitones, on its step and with its length.
    one = clip([(0, 3, 40), (3, 2, 40), (5, 9, 79)])
    for seed in range(20):
        moved = roll_to_notes(Roll(*(plane[0, 0] for plane in noisy_copies(one, GRID, seed))), GRID)
        assert [n[:2] for n in moved] == [(0, 3), (3, 2), (5, 9)]
        assert all(abs(n.pitch - pitch) <= 7 for n, pitch in zip(moved, (40, 40, 79), strict=True))


def test_one_clip_is_repeated(real):
    copies = one_clip_repeated(real, GRID, 3)
    assert (copies.sounding == copies.sounding[:1]).all()
    assert (real.sounding == copies.sounding[0]).all((1, 2, 3, 4)).any()


# The Fréchet distance


def test_frechet_distance_of_gaussians():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) * [1, 2, 3]
    y = rng.normal(size=(400, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 2]]) + [1, 0, 0]
    s_x, s_y = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(s_x @ s_y).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s_x + s_y - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="not 1 and 400"):
        frechet_distance(x[:1], y)


def test_frechet_distance_in_one_dimension_is_the_textbooks():
    x, y = np.array([[1.0], [3.0], [5.0]]), np.array([[2.0], [2.0], [8.0]])
    # Means 3 and 4, standard deviations 2 and sqrt(12).
    assert frechet_distance(x, y) == pytest.approx((3 - 4) ** 2 + (2 - 12**0.5) ** 2)


def test_features_have_the_shape_that_is_promised(real):
    assert features(real, GRID).shape == (200, 12 + 12 + 13 + 4 * 4 + 11)


def test_every_control_is_farther_than_held_out_music(real):
    half = [Roll(real.sounding[i::2], real.onset[i::2]) for i in (0, 1)]
    space = FeatureSpace(half[0], GRID)
    reference = space(half[0])
    own = frechet_distance(space(half[1]), reference)
    for name, control in CONTROLS.items():
        assert frechet_distance(space(control(half[1], GRID)), reference) > 2 * own, name


def test_the_share_of_major_chords_tells_the_mode_of_chorales():
    pieces = corpora.CORPORA["chorales"].load("test")
    major, share = [], []
    for piece in pieces:
        plane = piece_to_roll(piece)
        chord = harmony.chords(Roll(*(each[None] for each in plane)), piece.grid)
        known = chord[(chord >= 0) & (chord < 24)]
        major.append(piece.labels["mode"] == "major")
        share.append((known < 12).mean())
    assert 0.8 < roc_auc_score(major, share) < 0.96


def test_half_a_beat_is_rounded_up_where_the_grid_has_no_half():
    # Three steps a beat: one step is a third of a beat, two are two thirds.
    grid = Grid(12, 4)
    notes = (Note(0, 1, 60), Note(3, 2, 62), Note(6, 1, 64), Note(9, 1, 65))
    roll = Roll(*(plane[None] for plane in piece_to_roll(Piece((Track("a", notes),), grid), 1)))
    assert rhythm.qualified_notes(roll, grid) == pytest.approx([1 / 4])


def test_the_bass_is_the_lowest_track_wherever_it_stands():
    low, high = [(0, 16, 40), (16, 16, 43)], [(0, 16, 72), (16, 16, 74)]
    roll = clip(low, high, n_bars=2)
    rotated = rotate_bass(roll, GRID)
    assert np.array_equal(rotated.sounding[:, 1], roll.sounding[:, 1])
    assert np.array_equal(rotated.sounding[:, 0], roll.sounding[:, 0, ::-1])


def test_copies_with_noise_stay_on_a_narrow_axis():
    grid = Grid(16, 4, 60, 12)
    notes = tuple(Note(k, 1, 65 + k % 2) for k in range(16))
    roll = Roll(*(plane[None] for plane in piece_to_roll(Piece((Track("a", notes),), grid), 1)))
    for seed in range(60):
        moved = CONTROLS["noisy_copies"](roll, grid, seed)
        assert np.array_equal(moved.sounding.any(4), roll.sounding.any(4))


def test_a_table_is_kept_for_each_grid_however_it_is_given():
    roll = reading.read(clip([(0, 4, 60), (4, 4, 67)], [(0, 4, 48), (4, 4, 55)]))
    assert harmony.chords(roll, grid=GRID).shape == (1, 4)
    assert harmony.chords(roll, grid=Grid(16, 2)).shape == (1, 2)
