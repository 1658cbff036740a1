"""Notes, grids and rolls: lossless both ways, and refused where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganmusic.pianoroll import (
    Grid,
    Note,
    Piece,
    Roll,
    Track,
    chroma,
    note_starts,
    notes_to_roll,
    piece_to_roll,
    roll_to_notes,
    roll_to_piece,
    transpose,
    transpose_roll,
)

GRID = Grid(n_steps=6, beats_per_bar=3, low=48, n_pitches=24)


@st.composite
def note_lists(draw: st.DrawFn, grid: Grid = GRID, n_bars: int = 3) -> tuple[Note, ...]:
    """Notes on a grid, one sound at a time for each pitch; neighbours often touch."""
    notes = []
    for pitch in draw(st.sets(st.integers(grid.low, grid.high - 1), max_size=4)):
        step = 0
        for rest, duration in draw(
            st.lists(st.tuples(st.integers(0, 2), st.integers(1, 7)), max_size=5)
        ):
            if step + rest + duration > n_bars * grid.n_steps:
                break
            notes.append(Note(step + rest, duration, pitch))
            step += rest + duration
    return tuple(sorted(notes))


@given(note_lists())
def test_notes_survive_the_roll(notes: tuple[Note, ...]) -> None:
    assert roll_to_notes(notes_to_roll(notes, GRID, 3), GRID) == notes


def test_two_quarters_are_not_one_half() -> None:
    two = notes_to_roll([Note(0, 2, 60), Note(2, 2, 60)], GRID, 1)
    one = notes_to_roll([Note(0, 4, 60)], GRID, 1)
    np.testing.assert_array_equal(two.sounding, one.sounding)
    assert two.onset.sum() == 2
    assert one.onset.sum() == 1


def test_a_roll_has_bars_steps_and_pitches() -> None:
    roll = notes_to_roll([Note(5, 3, 49)], GRID, 2)
    assert roll.sounding.shape == roll.onset.shape == (2, 6, 24)
    assert np.argwhere(roll.sounding).tolist() == [[0, 5, 1], [1, 0, 1], [1, 1, 1]]
    assert np.argwhere(roll.onset).tolist() == [[0, 5, 1]]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_new_note_ends_the_old_one_of_its_pitch(order: tuple[int, int]) -> None:
    notes = [Note(0, 9, 60), Note(2, 3, 60)]
    roll = notes_to_roll([notes[i] for i in order], GRID, 2)
    assert roll_to_notes(roll, GRID) == (Note(0, 2, 60), Note(2, 3, 60))


def test_a_sound_without_an_onset_is_a_note() -> None:
    sounding = np.zeros((1, 6, 24), dtype=bool)
    sounding[0, 2:5, 7] = True
    assert roll_to_notes(Roll(sounding, np.zeros_like(sounding)), GRID) == (Note(2, 3, 55),)


def test_an_onset_without_a_sound_is_nothing() -> None:
    silent = np.zeros((1, 6, 24), dtype=bool)
    assert roll_to_notes(Roll(silent, ~silent), GRID) == ()


@pytest.mark.parametrize(
    "note", [Note(-1, 2, 60), Note(0, 0, 60), Note(5, 2, 60), Note(0, 1, 47), Note(0, 1, 72)]
)
def test_notes_off_the_grid_are_refused(note: Note) -> None:
    with pytest.raises(ValueError, match="Note"):
        notes_to_roll([note], GRID, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"n_steps": 16, "beats_per_bar": 3},
        {"n_steps": 0},
        {"beats_per_bar": 0},
        {"low": 40},
        {"n_pitches": 50},
        {"n_pitches": 0},
        {"low": 96, "n_pitches": 48},
        {"low": -12},
    ],
)
def test_impossible_grids_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"cannot be cut|whole octaves|not MIDI"):
        Grid(**fields)


def test_a_piece_survives_the_roll() -> None:
    piece = Piece(
        (Track("high", (Note(0, 2, 60), Note(2, 2, 60)), 5), Track("low", (Note(1, 8, 48),), 6)),
        GRID,
        tempo=77.0,
        title="two voices",
    )
    roll = piece_to_roll(piece)
    assert roll.sounding.shape == (2, 2, 6, 24)
    again = roll_to_piece(
        roll, GRID, names=("high", "low"), programs=(5, 6), tempo=77.0, title="two voices"
    )
    assert again == piece


def test_the_length_of_a_piece() -> None:
    piece = Piece((Track("a", (Note(0, 2, 60),)), Track("b", (Note(3, 4, 50),))), GRID, tempo=30.0)
    assert (piece.end, piece.n_bars, piece.seconds) == (7, 2, 7.0)  # 2 steps a beat, 2 s a beat
    assert (Piece((Track("a", ()),)).end, Piece(()).n_bars) == (0, 0)


def test_a_piece_without_tracks_has_no_roll() -> None:
    with pytest.raises(ValueError, match="without tracks"):
        piece_to_roll(Piece(()))


def test_transposing_leaves_drums_alone() -> None:
    piece = Piece((Track("a", (Note(0, 1, 60),)), Track("d", (Note(0, 1, 38),), is_drum=True)))
    moved = transpose(piece, -5)
    assert [track.notes[0].pitch for track in moved.tracks] == [55, 38]


@pytest.mark.parametrize("semitones", [-2, 0, 3])
def test_transposing_notes_and_rolls_agree(semitones: int) -> None:
    notes = (Note(0, 2, 50), Note(1, 4, 61))
    piece = Piece((Track("a", notes),), GRID)
    expected = piece_to_roll(transpose(piece, semitones), 1)
    moved = transpose_roll(piece_to_roll(piece, 1), semitones)
    np.testing.assert_array_equal(moved.sounding, expected.sounding)
    np.testing.assert_array_equal(moved.onset, expected.onset)


@pytest.mark.parametrize("semitones", [-3, 11])
def test_transposing_off_the_roll_is_refused(semitones: int) -> None:
    roll = notes_to_roll([Note(0, 2, 50), Note(1, 4, 61)], GRID, 1)
    with pytest.raises(ValueError, match="leaves the grid"):
        transpose_roll(roll, semitones)


def test_chroma_folds_octaves_not_neighbours() -> None:
    # 48 and 60 are both C; 49 is a neighbour of 48, and no C.
    roll = notes_to_roll([Note(0, 1, 48), Note(0, 1, 60), Note(0, 1, 49), Note(1, 1, 71)], GRID, 1)
    counts = chroma(roll.sounding)
    assert counts.shape == (1, 6, 12)
    assert counts[0, 0].tolist() == [2, 1] + [0] * 10
    assert counts[0, 1].tolist() == [0] * 11 + [1]


def test_a_piece_says_where_its_notes_begin_whoever_plays_them() -> None:
    tracks = (Track("a", (Note(0, 2, 50), Note(3, 1, 52))), Track("b", (Note(0, 4, 50), Note(2, 1, 61))))
    assert Piece(tracks, GRID).starts == {(0, 50), (3, 52), (2, 61)}


def test_no_clips_at_all_have_no_note_starts() -> None:
    empty = Roll(*(np.zeros((0, 2, 4, 16, 48), bool) for _ in range(2)))
    assert note_starts(empty).shape == (0, 2, 4, 16, 48)
