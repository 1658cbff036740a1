"""Windows: what is cut, into which key it is moved, how it is split, and in which order it comes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ganmusic.corpora import CORPORA, SPLITS
from ganmusic.data import augment, balanced_indices, batch_indices, key_shift, windows
from ganmusic.pianoroll import Grid, Note, Piece, Track, piece_to_roll, roll_to_notes, transpose

C_MAJOR = {0, 2, 4, 5, 7, 9, 11}


def piece(notes, *, low=(), grid=None, pickup=0, tonic=0, mode="major", **labels):
    """Two voices that differ."""
    tracks = (Track("high", tuple(Note(*n) for n in notes)), Track("low", tuple(Note(*n) for n in low)))
    labels = {"tonic": tonic, "mode": mode, **labels}
    return Piece(tracks, grid or Grid(), title="Fixture", pickup=pickup, labels=labels)


def bars_of(n_bars, end=None, **options):
    """A note on each downbeat, a semitone higher in each bar; the second voice has but one note, in bar 1."""
    notes = [(16 * bar, 5, 60 + bar) for bar in range(n_bars)]
    if end is not None:
        notes[-1] = (notes[-1][0], end - notes[-1][0], notes[-1][2])
    else:
        notes[-1] = (notes[-1][0], 16, notes[-1][2])
    return piece(notes, low=[(19, 3, 41)], **options)


def first_pitches(data):
    """The pitch of the first voice at the beginning of each window."""
    return (data.sounding[:, 0, 0, 0].argmax(-1) + data.grid.low).tolist()


# Cutting --------------------------------------------------------------------------------------------


def test_a_window_holds_the_notes_of_its_bars():
    data = windows([bars_of(5)], n_bars=3)
    assert data.sounding.shape == data.onset.shape == (3, 2, 3, 16, 48)
    assert data.sounding.dtype == data.onset.dtype == np.bool_
    assert data.tracks == ("high", "low")
    assert first_pitches(data) == [60, 61, 62]
    notes = roll_to_notes(type(data.roll)(data.sounding[1, 0], data.onset[1, 0]), data.grid)
    assert notes == (Note(0, 5, 61), Note(16, 5, 62), Note(32, 5, 63))
    low = [roll_to_notes(type(data.roll)(s[1], o[1]), data.grid) for s, o in zip(*data.roll, strict=True)]
    assert low == [(Note(19, 3, 41),), (Note(3, 3, 41),), ()]
    assert data.piece.tolist() == [0, 0, 0]
    assert data.bar.tolist() == [0, 1, 2]
    assert data.shift.tolist() == [0, 0, 0]


def test_a_window_knows_its_piece_in_the_list_that_was_cut():
    too_short, other = bars_of(1), replace(bars_of(3), title="Other")
    data = windows([too_short, bars_of(2), other], n_bars=2)
    assert data.piece.tolist() == [1, 2, 2]
    assert data.bar.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("n_bars", "hop", "begins"), [(2, 1, [0, 1, 2, 3, 4, 5]), (2, 3, [0, 3]), (4, 2, [0, 2]), (7, 1, [0])]
)
def test_windows_begin_every_hop_bars(n_bars, hop, begins):
    data = windows([bars_of(7)], n_bars, hop=hop)
    assert data.bar.tolist() == begins
    assert data.sounding.shape[2] == n_bars
    assert first_pitches(data) == [60 + bar for bar in begins]


def test_a_note_held_over_the_cut_begins_with_the_window():
    # From the middle of bar 0 to the middle of bar 1; struck again in the third beat of bar 1.
    held = piece([(8, 16, 64), (24, 8, 64)], low=[(0, 3, 40)])
    data = windows([held], n_bars=1)
    assert data.bar.tolist() == [0, 1]
    column = 64 - data.grid.low
    assert np.flatnonzero(data.onset[0, 0, 0, :, column]).tolist() == [8]
    assert np.flatnonzero(data.onset[1, 0, 0, :, column]).tolist() == [0, 8]
    assert data.sounding[1, 0, 0, :, column].all()
    assert not data.onset[1, 1].any()


def test_a_held_note_is_no_onset_within_a_window():
    data = windows([piece([(8, 24, 64)])], n_bars=2)
    assert np.argwhere(data.onset[0, 0]).tolist() == [[0, 8, 28]]


def test_the_bar_of_an_upbeat_and_a_partial_last_bar_are_left_out():
    upbeat = piece([(12, 4, 59), (16, 16, 60), (32, 16, 62), (48, 16, 64), (64, 12, 65)], pickup=4)
    data = windows([upbeat], n_bars=2)
    assert data.bar.tolist() == [1, 2]
    assert first_pitches(data) == [60, 62]
    # Without the label the first bar counts: it begins with a rest.
    assert windows([replace(upbeat, pickup=0)], n_bars=2).bar.tolist() == [0, 1, 2]
    # A sixteenth short of the bar line, and on it.
    assert windows([bars_of(4, end=63)], n_bars=2).bar.tolist() == [0, 1]
    assert windows([bars_of(4, end=64)], n_bars=2).bar.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("until", "begins"),
    [(None, [0, 1, 2, 3]), (80, [0, 1, 2, 3]), (79, [0, 1, 2]), (35, [0]), (999, [0, 1, 2, 3])],
)
def test_bars_after_the_regular_ones_are_left_out(until, begins):
    data = windows([bars_of(5, regular_until=until)], n_bars=2)
    assert data.bar.tolist() == begins


def test_other_metres_are_left_out():
    waltz = piece([(12 * bar, 12, 70 + bar) for bar in range(4)], grid=Grid(12, 3))
    # Twelve steps a bar as well, but two beats.
    jig = piece([(12 * bar, 12, 50 + bar) for bar in range(4)], grid=Grid(12, 2))
    data = windows([waltz, bars_of(3), jig], n_bars=2)
    assert set(data.piece.tolist()) == {1}
    threes = windows([bars_of(3), jig, waltz], n_bars=3, grid=Grid(12, 3))
    assert threes.piece.tolist() == [2, 2]
    assert threes.sounding.shape == (2, 2, 3, 12, 48)
    assert first_pitches(threes) == [70, 71]


def test_pieces_beyond_the_grids_pitches_are_left_out():
    fits, too_low, too_high = bars_of(2), piece([(0, 32, 35)]), piece([(0, 32, 60)], low=[(0, 4, 84)])
    data = windows([too_low, fits, too_high], n_bars=2, normalise_key=False)
    assert data.piece.tolist() == [1]
    wide = windows([too_low, fits, too_high], n_bars=2, grid=Grid(low=24, n_pitches=72), normalise_key=False)
    assert wide.piece.tolist() == [0, 1, 2]
    assert first_pitches(wide) == [35, 60, 60]


# One key --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tonic", "mode", "pitch", "shift"),
    [(0, "major", 60, 0), (9, "minor", 60, 0), (2, "major", 62, -2), (10, "major", 58, 2), (7, "minor", 67, 2),
     (11, "minor", 59, -2), (6, "major", 66, 6), (3, "minor", 63, 6),
     # The shorter way would leave the grid, 36..83: the longer one is taken.
     (2, "major", 37, 10), (10, "major", 82, -10)],
)  # fmt: skip
def test_major_is_moved_to_c_and_minor_to_a(tonic, mode, pitch, shift):
    assert key_shift(piece([(0, 16, pitch)], tonic=tonic, mode=mode), Grid()) == shift


def test_a_piece_that_fits_neither_way_is_left_out():
    # In D: two semitones down are too low, ten up too high.
    wide = piece([(0, 16, 75)], low=[(0, 16, 37)], tonic=2)
    assert key_shift(wide, Grid()) is None
    assert windows([wide, bars_of(1)], n_bars=1).piece.tolist() == [1]
    with pytest.raises(ValueError, match="no piece has 1 full bars"):
        windows([wide], n_bars=1)


def test_windows_are_moved_by_the_shift_they_record():
    tune = piece([(0, 6, 67), (6, 10, 71), (16, 16, 74)], low=[(4, 28, 43)], tonic=7)
    one, own = windows([tune], n_bars=2), windows([tune], n_bars=2, normalise_key=False)
    assert one.shift.tolist() == [5]
    assert own.shift.tolist() == [0]
    assert first_pitches(own) == [67]
    assert first_pitches(one) == [72]
    for moved, plane in zip(one.roll, own.roll, strict=True):
        np.testing.assert_array_equal(moved[..., 5:], plane[..., :-5])


@pytest.fixture(scope="module")
def chorales():
    return CORPORA["chorales"].load()


def test_every_chorale_window_is_in_c_or_a_minor(chorales):
    data = windows(chorales, hop=4)
    own = {}
    for index, bar, shift, sounding in zip(data.piece, data.bar, data.shift, data.sounding, strict=True):
        source = chorales[index]
        home = (source.tonic + shift) % 12
        assert home == {"major": 0, "minor": 9}[source.mode]
        assert abs(shift) < 12
        if index not in own:
            own[index] = piece_to_roll(replace(source, grid=Grid(low=24, n_pitches=72))).sounding
        expected = own[index][:, bar : bar + 4]
        assert (sounding.nonzero()[3] + 36 - shift).tolist() == (expected.nonzero()[3] + 24).tolist()
    assert {chorales[i].mode for i in data.piece} == {"major", "minor"}
    assert len(set(data.shift.tolist())) == 12
    # Heard, not read off the labels: the scale of C major has nearly all notes, any other scale fewer.
    counts = data.sounding.reshape(-1, 48).sum(0).reshape(4, 12).sum(0)
    share = [sum(counts[(k + c) % 12] for c in C_MAJOR) / counts.sum() for k in range(12)]
    assert share[0] > 0.92
    assert np.argmax(share) == 0
    assert sorted(share)[-2] < share[0] - 0.04


def test_without_one_key_chorales_use_all_keys(chorales):
    data = windows(chorales, hop=4, normalise_key=False)
    assert not data.shift.any()
    counts = data.sounding.reshape(-1, 48).sum(0).reshape(4, 12).sum(0)
    assert sum(counts[c] for c in C_MAJOR) / counts.sum() < 0.9


def test_chorale_windows_hold_four_monophonic_voices(chorales):
    data = windows(chorales, hop=3)
    assert data.tracks == ("soprano", "alto", "tenor", "bass")
    assert data.sounding.sum(-1).max() == 1
    assert not (data.onset & ~data.sounding).any()
    assert (data.onset[:, :, 0, 0] == data.sounding[:, :, 0, 0]).all()


@pytest.mark.parametrize("name", ["chorales", "toy"])
def test_splits_share_neither_pieces_nor_tunes(name):
    tunes, titles, clips = {}, {}, {}
    for split in SPLITS:
        pieces = CORPORA[name].load(split)
        data = windows(pieces)
        tunes[split] = {pieces[i].labels["tune"] for i in data.piece}
        titles[split] = {pieces[i].labels.get("bwv", pieces[i].title) for i in data.piece}
        clips[split] = len(data)
    for i, one in enumerate(SPLITS):
        assert clips[one] > 0
        for other in SPLITS[i + 1 :]:
            assert not tunes[one] & tunes[other]
            assert not titles[one] & titles[other]
    assert clips["train"] > clips["valid"] + clips["test"]


# What cannot be cut ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_bars", "hop"), [(0, 1), (-1, 1), (4, 0), (4, -2)])
def test_sizes_are_positive(n_bars, hop):
    with pytest.raises(ValueError, match="at least 1 bar"):
        windows([bars_of(6)], n_bars, hop=hop)


@pytest.mark.parametrize("pieces", [[], [bars_of(3)], [bars_of(9, grid=Grid(16, 2))], [piece([])]])
def test_no_window_is_an_error_that_says_what_was_sought(pieces):
    with pytest.raises(ValueError, match=r"4 full bars of 4 beats in 16 steps within the pitches 36\.\.83"):
        windows(pieces)


def test_pieces_have_the_same_tracks():
    trio = replace(bars_of(5), tracks=(*bars_of(5).tracks, Track("extra", (Note(0, 4, 50),))), title="Trio")
    with pytest.raises(ValueError, match=r"'Trio' has the tracks .*'extra'\), and those before it"):
        windows([bars_of(5), trio])
    renamed = replace(bars_of(5), tracks=bars_of(5).tracks[::-1], title="Upside down")
    with pytest.raises(ValueError, match="'Upside down' has the tracks"):
        windows([bars_of(5), renamed])


@pytest.mark.parametrize("label", ["tonic", "mode"])
def test_a_piece_without_a_key_is_an_error_only_where_the_key_is_needed(label):
    unknown = bars_of(5)
    del unknown.labels[label]
    with pytest.raises(ValueError, match=f"'Fixture' cannot be moved to a common key: no label '{label}'"):
        windows([unknown])
    assert len(windows([unknown], normalise_key=False)) == 2


# Augmentation ---------------------------------------------------------------------------------------


def two_windows():
    """Bars of unequal range: the first reaches from 38 to 76, the second from 41 to 83, the grid's top."""
    first = [(0, 5, 76), (5, 11, 70), (16, 7, 83), (23, 9, 65)]
    return windows([piece(first, low=[(2, 9, 38), (18, 14, 41)])], n_bars=1)


def test_augmented_windows_are_transposed_exactly():
    data = augment(two_windows(), [-2])
    assert data.shift.tolist() == [-2, -2]
    assert data.bar.tolist() == [0, 1]
    notes = [
        [roll_to_notes(type(data.roll)(s, o), data.grid) for s, o in zip(sounding, onset, strict=True)]
        for sounding, onset in zip(*data.roll, strict=True)
    ]
    assert notes == [
        [(Note(0, 5, 74), Note(5, 11, 68)), (Note(2, 9, 36),)],
        [(Note(0, 7, 81), Note(7, 9, 63)), (Note(2, 14, 39),)],
    ]


@pytest.mark.parametrize(
    ("semitones", "kept"),
    [([0], [(0, 0), (1, 0)]), ([7], [(0, 7)]), ([1], [(0, 1)]), ([-3], [(1, -3)]), ([-5], [(1, -5)]),
     ([0, 7, -3], [(0, 0), (1, 0), (0, 7), (1, -3)]), ([8, -5], [(1, -5)])],
)  # fmt: skip
def test_windows_that_would_leave_the_grid_are_left_out(semitones, kept):
    data = augment(two_windows(), semitones)
    assert list(zip(data.bar.tolist(), data.shift.tolist(), strict=True)) == kept
    assert len(data.sounding) == len(data.onset) == len(data.piece) == len(kept)


def test_a_transposition_is_added_to_the_shift_and_can_be_undone():
    moved = windows([piece([(0, 6, 67), (6, 10, 71)], low=[(4, 12, 43)], tonic=7)], n_bars=1)
    assert moved.shift.tolist() == [5]
    up = augment(moved, [3])
    assert up.shift.tolist() == [8]
    assert up.fingerprint() != moved.fingerprint()
    back = augment(up, [-3])
    assert back.shift.tolist() == [5]
    np.testing.assert_array_equal(back.sounding, moved.sounding)
    np.testing.assert_array_equal(back.onset, moved.onset)


def test_no_copy_or_an_impossible_one_is_an_error():
    with pytest.raises(ValueError, match="no window is left"):
        augment(two_windows(), [8, -6])
    with pytest.raises(ValueError, match="no window is left"):
        augment(two_windows(), [])
    for shift in (48, -48):
        with pytest.raises(ValueError, match=f"by {shift} semitones leaves the grid's 48 pitches"):
            augment(two_windows(), [shift])


# As a dataset ---------------------------------------------------------------------------------------


def test_items_are_both_planes_of_a_window():
    data = windows([bars_of(6)], n_bars=2)
    assert len(data) == 5
    item = data[3]
    assert item.dtype == torch.bool
    assert item.shape == (2, 2, 2, 16, 48)
    np.testing.assert_array_equal(item[0].numpy(), data.sounding[3])
    np.testing.assert_array_equal(item[1].numpy(), data.onset[3])
    several = data[[4, 1]]
    assert several.shape == (2, 2, 2, 2, 16, 48)
    assert torch.equal(several[1], data[1])
    assert torch.equal(several[0], data[4])


def test_torchs_own_loader_gives_each_window_once():
    data = windows([bars_of(6)], n_bars=2)
    loader = DataLoader(data, batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(3))
    batches = list(loader)
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert batches[0].shape == (2, 2, 2, 2, 16, 48)
    # The first voice's first pitch tells the windows apart.
    heard = (torch.cat(batches)[:, 0, 0, 0, 0].int().argmax(-1) + data.grid.low).tolist()
    assert sorted(heard) == [60, 61, 62, 63, 64]
    assert heard != sorted(heard)


def test_select_keeps_notes_and_places_together():
    data = windows([bars_of(3), bars_of(6, tonic=2)], n_bars=2)
    for rows in ([5, 2], np.isin(np.arange(len(data)), [2, 5])):
        some = data.select(rows)
        assert sorted(some.bar.tolist()) == [0, 3]
        assert some.shift.tolist() == [-2, -2]
        assert first_pitches(some) == [58 + bar for bar in some.bar]
        assert some.tracks == data.tracks


def test_the_fingerprint_is_that_of_the_notes_and_the_grid():
    tune = bars_of(5)
    mark = windows([tune], n_bars=2).fingerprint()
    assert len(mark) == 64
    assert windows([tune], n_bars=2).fingerprint() == mark
    # Where they come from is not what they are.
    in_d = replace(transpose(tune, 2), labels={"tonic": 2, "mode": "major"})
    elsewhere = windows([bars_of(1), in_d], n_bars=2)
    assert (elsewhere.piece[0], elsewhere.shift[0]) == (1, -2)
    assert elsewhere.fingerprint() == mark
    high, low = tune.tracks
    others = [
        windows([replace(tune, tracks=(high, replace(low, notes=(Note(19, 4, 41),))))], n_bars=2),
        windows([replace(tune, tracks=(high, replace(low, notes=(Note(19, 1, 41), Note(20, 2, 41)))))], n_bars=2),
        windows([replace(tune, tracks=(replace(high, name="other"), low))], n_bars=2),
        windows([tune], n_bars=2, grid=Grid(low=24, n_pitches=60)),
        windows([tune], n_bars=3),
        windows([tune], n_bars=2).select([1, 0, 2, 3]),
        augment(windows([tune], n_bars=2), [1]),
    ]
    marks = {mark, *(other.fingerprint() for other in others)}
    assert len(marks) == len(others) + 1


def test_the_fingerprint_is_a_plain_sha256_of_both_planes(chorales):
    data = windows(chorales, hop=5)
    assert len(data) > 256  # more than is read at a time
    plain = hashlib.sha256(repr((data.grid, data.tracks, data.sounding.shape)).encode())
    for plane in data.roll:
        plain.update(np.packbits(plane).tobytes())
    assert data.fingerprint() == plain.hexdigest()


def test_windows_that_fill_no_whole_bytes_are_exact():
    # Five steps of 36 pitches are 22 and a half bytes.
    grid = Grid(5, 1, 48, 36)
    tune = piece([(3, 4, 60), (7, 3, 83), (10, 5, 48)], low=[(0, 15, 50)], grid=grid)
    data = windows([tune], n_bars=2, grid=grid)
    whole = piece_to_roll(tune)
    for i in range(2):
        np.testing.assert_array_equal(data.sounding[i], whole.sounding[:, i : i + 2])
        np.testing.assert_array_equal(data.onset[i, :, 0, 1:], whole.onset[:, i, 1:])
        np.testing.assert_array_equal(data.onset[i, :, 0, 0], whole.sounding[:, i, 0])
        np.testing.assert_array_equal(data.onset[i, :, 1], whole.onset[:, i + 1])
    again = data.select([1, 0, 1])
    assert again.fingerprint() != data.fingerprint()


@pytest.mark.parametrize("wrong", [5, -6, [0, 5], [True, False]])
def test_a_window_that_is_not_there_is_an_index_error(wrong):
    data = windows([bars_of(6)], n_bars=2)
    with pytest.raises(IndexError, match="5 windows"):
        data[wrong]


def test_indexing_is_that_of_an_array():
    data = windows([bars_of(6)], n_bars=2)
    planes = np.stack(data.roll, 1)
    for index in (-1, slice(1, 4), slice(None, None, -2), [-5, 2], np.array([[0, 1, 2], [4, 3, 3]])):
        np.testing.assert_array_equal(data[index].numpy(), planes[index])
    assert data[[]].shape == (0, *planes.shape[1:])
    mask = np.array([True, False, False, True, True])
    np.testing.assert_array_equal(data[mask].numpy(), planes[mask])
    assert len(list(data)) == 5


def test_one_plane_is_the_sounding_one():
    data = windows([bars_of(6)], n_bars=2)
    np.testing.assert_array_equal(data.load([3, 0], n_planes=1)[:, 0], data.sounding[[3, 0]])


def test_windows_keep_their_place_when_they_are_selected_twice():
    data = windows([bars_of(3), bars_of(6)], n_bars=2)
    some = data.select([5, 0, 3]).select([2, 0])
    assert list(zip(some.piece.tolist(), some.bar.tolist(), strict=True)) == [(1, 1), (1, 3)]
    assert first_pitches(some) == [61, 63]


def test_a_pickled_dataset_is_small_and_equal():
    data = windows([bars_of(60)], n_bars=4, grid=Grid(low=24, n_pitches=108))
    data.sounding, data.piece  # noqa: B018  (worked out before, and not sent)
    sent = ForkingPickler.dumps(data)
    # Bits for bytes, and each bar once instead of four times (less the two at both ends).
    assert len(sent) < data.sounding.nbytes / 8
    assert ForkingPickler.loads(sent).fingerprint() == data.fingerprint()


# Labels ---------------------------------------------------------------------------------------------


def labelled():
    """Nine windows of three pieces: two calm, six lively, one calm."""
    facts = ((3, "calm", 3), (7, "lively", None), (2, "calm", 1))
    return windows([bars_of(n, mood=mood, year=year) for n, mood, year in facts], n_bars=2)


def test_each_window_has_the_labels_of_its_piece():
    data = labelled()
    assert data.labels("mood").tolist() == ["calm"] * 2 + ["lively"] * 6 + ["calm"]
    assert data.labels("year").tolist() == [3] * 2 + [None] * 6 + [1]
    assert data.select([8, 2]).labels("mood").tolist() == ["calm", "lively"]
    groups = {value: numbers.tolist() for value, numbers in data.groups("mood").items()}
    assert groups == {"calm": [0, 1, 8], "lively": [2, 3, 4, 5, 6, 7]}
    with pytest.raises(ValueError, match="'Fixture' has no label 'quadrant'; it has tonic, mode, mood, year"):
        data.labels("quadrant")


@pytest.mark.parametrize("chords", [["C", "F"], ("C", "F"), {"0": "C"}])
def test_a_label_of_lists_comes_back_and_makes_no_groups(chords):
    data = windows([bars_of(3, chords=chords), bars_of(4, chords=chords)], n_bars=2)
    assert data.labels("chords").tolist() == [chords] * 5
    with pytest.raises(ValueError, match=r"the label 'chords' makes no groups: .*'C'.* not one value a piece"):
        data.groups("chords")


def test_windows_of_one_split_are_those_of_its_pieces():
    pieces = [bars_of(3, split="train"), bars_of(4, split="test"), bars_of(2, split="train"), bars_of(5)]
    data = windows(pieces, n_bars=2, split="train")
    assert data.piece.tolist() == [0, 0, 2]
    assert data.bar.tolist() == [0, 1, 0]
    assert first_pitches(data) == [60, 61, 60]
    with pytest.raises(ValueError, match="no piece of the split 'valid' has 2 full bars of 4 beats"):
        windows(pieces, n_bars=2, split="valid")


def test_balanced_batches_hold_as_many_of_each_group():
    groups = labelled().groups("mood") | {"other": np.array([20, 21])}
    seen = torch.cat([balanced_indices(groups, 6, 3, step) for step in range(6)])
    for batch in seen.reshape(6, 6).tolist():
        assert [sum(i in members for i in batch) for members in groups.values()] == [2, 2, 2]
    # 12 draws from 3, 6 and 2 windows: each four times, twice and six times.
    assert np.bincount(seen)[[0, 1, 8, *range(2, 8), 20, 21]].tolist() == [4] * 3 + [2] * 6 + [6] * 2
    # In another order each time.
    lively = [i for i in seen.tolist() if 2 <= i < 8]
    assert lively[:6] != lively[6:]


def test_balanced_batches_depend_on_seed_and_step_alone():
    groups = labelled().groups("mood")
    expected = [balanced_indices(groups, 5, 4, step).tolist() for step in range(8)]
    for step in (6, 0, 3, 3):
        assert balanced_indices(groups, 5, 4, step).tolist() == expected[step]
    assert balanced_indices(groups, 5, 5, 3).tolist() != expected[3]
    # A batch of odd size gives the group whose turn it is one more; over two batches all are equal.
    both = expected[0] + expected[1]
    assert sum(i in groups["calm"] for i in both) == 5


@pytest.mark.parametrize(
    ("groups", "size", "seed", "step"),
    [({}, 4, 0, 0), ({"a": [1], "b": []}, 4, 0, 0), ({"a": [1]}, 0, 0, 0), ({"a": [1]}, 4, -1, 0),
     ({"a": [1]}, 4, 0, -1)],
)  # fmt: skip
def test_balanced_batches_need_members_and_sensible_numbers(groups, size, seed, step):
    with pytest.raises(ValueError, match=f"no batch of {size} from groups of .* at step {step} with seed {seed}"):
        balanced_indices(groups, size, seed, step)


# Drums ----------------------------------------------------------------------------------------------


def with_drums(notes=((0, 16, 62), (16, 16, 71)), drum=38, tonic=2):
    tracks = (
        Track("tune", tuple(Note(*n) for n in notes)),
        Track("drums", (Note(0, 1, drum), Note(24, 8, drum)), is_drum=True),
    )
    return Piece(tracks, Grid(), title="Beat", labels={"tonic": tonic, "mode": "major"})


def test_drums_have_no_key_and_do_not_move():
    beat = with_drums()
    data = windows([beat], n_bars=1)
    assert data.shift.tolist() == [-2, -2]
    assert data.sounding[:, 0].any((1, 2)).argmax(-1).tolist() == [60 - 36, 69 - 36]
    assert data.sounding[:, 1].any((1, 2)).argmax(-1).tolist() == [38 - 36] * 2
    # Moved with the rest, the drum on 36 would fall off the grid, and the tune would go up ten.
    assert key_shift(with_drums(drum=36), Grid()) == -2
    up = augment(data, [0, 11, 14])
    assert up.bar.tolist() == [0, 1, 0, 1, 0, 1]
    assert up.shift.tolist() == [-2, -2, 9, 9, 12, 12]
    assert up.sounding[:, 1].any((1, 2)).argmax(-1).tolist() == [2] * 6
    assert up.sounding[:, 0].any((1, 2)).argmax(-1).tolist() == [24, 33, 35, 44, 38, 47]
    np.testing.assert_array_equal(up.onset[2, 1], data.onset[0, 1])


def test_drums_beyond_the_grid_leave_a_piece_out():
    data = windows([with_drums(drum=35), with_drums()], n_bars=1)
    assert data.piece.tolist() == [1, 1]
    assert data.bars.left_out == {"beyond the grid's pitches": 1}


# The order ------------------------------------------------------------------------------------------


def updates(n, size, seed, steps):
    return torch.cat([batch_indices(n, size, seed, step) for step in range(steps)]).tolist()


@pytest.mark.parametrize(("n", "size"), [(12, 4), (10, 4), (7, 3), (5, 8), (3, 10), (6, 6), (9, 1)])
def test_an_epoch_sees_each_window_once(n, size):
    # As many updates as windows: whole epochs, however the batches lie across their boundaries.
    seen = updates(n, size, seed=2, steps=n)
    for start in range(0, len(seen), n):
        assert sorted(seen[start : start + n]) == list(range(n))


def test_each_epoch_has_its_own_order():
    seen = updates(40, 8, seed=0, steps=15)
    assert len({tuple(seen[start : start + 40]) for start in (0, 40, 80)}) == 3
    assert seen[:40] != sorted(seen[:40])


def test_a_batch_depends_on_seed_and_step_alone():
    expected = [batch_indices(50, 16, 4, step).tolist() for step in range(8)]
    torch.manual_seed(9)
    np.random.seed(9)  # noqa: NPY002  (what must not matter)
    for step in (6, 0, 3, 3, 7):
        assert batch_indices(50, 16, 4, step).tolist() == expected[step]
    assert batch_indices(50, 16, 5, 3).tolist() != expected[3]
    assert len({tuple(batch) for batch in expected}) == 8


def test_a_batch_larger_than_the_data_goes_through_them_again():
    batch = batch_indices(3, 8, 1, 0)
    assert batch.shape == (8,)
    assert batch.dtype == torch.int64
    assert sorted(batch.tolist()[:3]) == sorted(batch.tolist()[3:6]) == [0, 1, 2]
    # The windows of the third epoch that this batch has no room for begin the next one.
    assert sorted(batch.tolist()[6:] + batch_indices(3, 8, 1, 1).tolist()[:1]) == [0, 1, 2]


@pytest.mark.parametrize("numbers", [(0, 4, 0, 0), (-2, 4, 0, 0), (5, 0, 0, 0), (5, 4, -1, 0), (5, 4, 0, -1)])
def test_batches_need_sensible_numbers(numbers):
    n, size, seed, step = numbers
    with pytest.raises(ValueError, match=f"batch of {size} from {n} windows at step {step} with seed {seed}"):
        batch_indices(n, size, seed, step)
