"""What holds for any music: notes survive rolls and files, whatever the grid, the metre and the instruments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganmusic import midi
from ganmusic.pianoroll import (
    Grid,
    Note,
    Piece,
    Roll,
    Track,
    notes_to_roll,
    piece_to_roll,
    roll_to_notes,
    roll_to_piece,
    transpose,
    transpose_roll,
)
from ganmusic.quantise import MAX_TEMPO, MIN_TEMPO, UNITS

settings.register_profile(
    "always the same",
    derandomize=True,  # a test run says the same today and tomorrow
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
SAME = settings.get_profile("always the same")


@st.composite
def grids(draw: st.DrawFn, most_beats: int = 12, octaves: int = 10) -> Grid:
    """Grids of any metre, fineness and range."""
    beats = draw(st.integers(1, most_beats))
    low = draw(st.integers(0, 9))
    wide = draw(st.integers(1, min(octaves, 10 - low)))
    return Grid(beats * draw(st.sampled_from([1, 2, 3, 4, 5, 6, 8, 12])), beats, 12 * low, 12 * wide)


@st.composite
def notes_on(draw: st.DrawFn, grid: Grid, first: int = 0, most: int = 4) -> tuple[Note, ...]:
    """Notes of which no two of one pitch sound together: chords, repetitions, rests, and polyphony."""
    notes = []
    high = min(grid.high, 128)
    for pitch in draw(st.sets(st.integers(grid.low, high - 1), max_size=most)):
        step = first
        for rest, duration in draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 25)), max_size=most)):
            notes.append(Note(step + rest, duration, pitch))
            step += rest + duration
    return tuple(sorted(notes))


@st.composite
def pieces(
    draw: st.DrawFn, most_beats: int = 12, most: int = 4, units: tuple[int, ...] = UNITS, unnamed: bool = True
) -> Piece:
    """Pieces of any metre, pickup, tempo, title and instruments that a file can hold."""
    grid = draw(grids(most_beats))
    unit = draw(st.sampled_from(units))
    pickup = draw(st.integers(0, grid.n_steps - 1))
    first = -pickup % grid.n_steps
    tracks = []
    for name in draw(st.lists(names if unnamed else names.filter(bool), min_size=1, max_size=3)):
        drum = draw(st.booleans())
        program = 0 if drum else draw(st.integers(0, 127))
        notes = draw(notes_on(grid, first, most))
        tracks.append(Track(name, notes, program, drum and len(notes) > 0))  # silent drums are no drums in a file
    # Somebody has to begin, at the start and with a pitch, or no file can say where the start is.
    opening = Note(first, 1, grid.low)
    kept = tuple(note for note in tracks[0].notes if note.pitch != grid.low)
    tracks[0] = replace(tracks[0], notes=tuple(sorted((opening, *kept))), is_drum=False)
    tempo = draw(st.floats(MIN_TEMPO * 1.01, MAX_TEMPO * 0.99)) * unit / 4
    labels = {} if unit == 4 else {"time_signature": f"{grid.beats_per_bar}/{unit}"}
    return Piece(tuple(tracks), grid, tempo, draw(names), pickup, labels)


names = st.text("abcXYZ 0189.,:;!?&<>'\"/éßŁ漢字ø♯", max_size=12).map(lambda text: " ".join(text.split()))


def survives(piece: Piece, path: Path) -> None:
    """Write a piece, and read the same one again."""
    midi.write(piece, path)
    read = midi.read(path, piece.grid)
    assert read.tempo == pytest.approx(piece.tempo, rel=2e-5, abs=0.01)  # files count microseconds, or digits
    assert replace(read, tempo=piece.tempo) == piece


# Notes and rolls ------------------------------------------------------------------------------------


@settings(SAME, max_examples=200)
@given(st.data(), grids())
def test_notes_survive_the_roll(data: st.DataObject, grid: Grid) -> None:
    notes = data.draw(notes_on(grid))
    n_bars = -(-max((note.end for note in notes), default=1) // grid.n_steps)
    roll = notes_to_roll(notes, grid, n_bars)
    assert roll_to_notes(roll, grid) == notes
    assert roll.onset.sum() == len(notes)
    assert roll.sounding.sum() == sum(note.duration for note in notes)
    assert not (roll.onset & ~roll.sounding).any()


@settings(SAME, max_examples=60)
@given(pieces())
def test_pieces_survive_the_roll(piece: Piece) -> None:
    piece = replace(piece, labels={}, pickup=0, tracks=tuple(replace(t, is_drum=False) for t in piece.tracks))
    programs = [track.program for track in piece.tracks]
    names = [track.name for track in piece.tracks]
    roll = piece_to_roll(piece)
    again = roll_to_piece(roll, piece.grid, names=names, programs=programs, tempo=piece.tempo, title=piece.title)
    assert again == piece


@settings(SAME, max_examples=60)
@given(st.data(), st.integers(1, 4), st.booleans())
def test_any_two_planes_are_some_notes(data: st.DataObject, n_bars: int, struck: bool) -> None:
    """What a generator draws need not be consistent; what is read off it is, and stays so."""
    grid = Grid(4, 2, 48, 12)
    seed = data.draw(st.integers(0, 2**32 - 1))
    planes = np.random.default_rng(seed).random((2, n_bars, 4, 12)) < (0.5, 0.9)[struck]
    notes = roll_to_notes(Roll(*planes), grid)
    roll = notes_to_roll(notes, grid, n_bars)
    assert (roll.sounding == planes[0]).all()  # an onset without a sound is none
    assert (roll.onset >= (planes[1] & planes[0])).all()
    assert roll_to_notes(roll, grid) == notes


@settings(SAME, max_examples=60)
@given(pieces(), st.integers(-127, 127))
def test_transposing_there_and_back_is_nothing(piece: Piece, semitones: int) -> None:
    there = transpose(piece, semitones)
    assert transpose(there, -semitones) == piece
    for before, after in zip(piece.tracks, there.tracks, strict=True):
        moved = 0 if before.is_drum else semitones
        assert [n.pitch + moved for n in before.notes] == [n.pitch for n in after.notes]


@settings(SAME, max_examples=60)
@given(st.data(), grids(octaves=3), st.integers(-11, 11))
def test_transposing_notes_or_their_roll_is_the_same(data: st.DataObject, grid: Grid, semitones: int) -> None:
    notes = data.draw(notes_on(grid))
    piece = Piece((Track("a", notes),), grid)
    roll = piece_to_roll(piece)
    if all(grid.low <= note.pitch + semitones < grid.high for note in notes):
        there = transpose_roll(roll, semitones)
        assert all(map(np.array_equal, there, piece_to_roll(transpose(piece, semitones))))
        assert all(map(np.array_equal, transpose_roll(there, -semitones), roll))
    else:
        with pytest.raises(ValueError, match="leaves the grid"):
            transpose_roll(roll, semitones)


# Notes and files ------------------------------------------------------------------------------------


@settings(SAME, max_examples=150)
@given(pieces(most_beats=64))
def test_any_piece_survives_a_midi_file(tmp_path_factory: pytest.TempPathFactory, piece: Piece) -> None:
    survives(piece, tmp_path_factory.getbasetemp() / "any.mid")


# A staff without a name gets one, and a pickup of a whole rest is taken for a bar's, so neither is drawn here.
@settings(SAME, max_examples=15)
@given(pieces(most_beats=4, most=2, units=(4, 8, 16), unnamed=False))
def test_any_piece_survives_a_musicxml_file(tmp_path_factory: pytest.TempPathFactory, piece: Piece) -> None:
    survives(piece, tmp_path_factory.getbasetemp() / "any.musicxml")


def test_a_bar_longer_than_any_note_value_survives_a_musicxml_file(tmp_path: Path) -> None:
    notes = (Note(0, 2, 60), Note(200, 30, 62), Note(251, 252, 64))
    piece = Piece((Track("long", notes),), Grid(252, 63), 30.0, labels={"time_signature": "63/1"})
    survives(piece, tmp_path / "long.xml")


def test_what_notation_cannot_say_is_refused(tmp_path: Path) -> None:
    piece = Piece((Track("fast", (Note(0, 1, 60),)),), Grid(64, 1), 500.0, labels={"time_signature": "1/64"})
    with pytest.raises(ValueError, match="cannot be written in notation"):
        midi.write(piece, tmp_path / "fast.xml")
    assert list(tmp_path.iterdir()) == []
