"""Notes, the grid they lie on, and piano-rolls: the one representation that everything else uses.

A *note* is an onset, a duration and a pitch, counted in steps of a *grid*. A *roll* is the same music
as two boolean planes, so that two repeated quarter notes and one half note stay different::

    sounding  # # # # # # # #        onset  # . . . # . . .      two quarter notes
    sounding  # # # # # # # #        onset  # . . . . . . .      one half note

Conventions
-----------
Axes are always ``(batch, track, bar, step, pitch)``, leading ones left out where there is only one.
Time is in steps from the start of bar 0, and note ends are half-open: a note sounds on the steps
``onset <= step < onset + duration``. Pitch is a MIDI number; the pitch axis starts on a C, so the pitch
class of column ``i`` is ``i % 12``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import index
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Grid",
    "Note",
    "Piece",
    "Roll",
    "Track",
    "chroma",
    "events_to_roll",
    "note_starts",
    "notes_to_roll",
    "piece_to_roll",
    "roll_to_notes",
    "roll_to_piece",
    "transpose",
    "transpose_roll",
]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """The steps and pitches that music is written on.

    Parameters
    ----------
    n_steps : int
        Steps in a bar: 16 in 4/4 makes a step a sixteenth note.
    beats_per_bar : int
        Beats in a bar; divides `n_steps`.
    low : int
        MIDI number of the lowest pitch; a C, so a multiple of 12.
    n_pitches : int
        Number of pitches; a multiple of 12.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    n_steps: int = 16
    beats_per_bar: int = 4
    low: int = 36
    n_pitches: int = 48

    def __post_init__(self) -> None:
        if self.n_steps < 1 or self.beats_per_bar < 1 or self.n_steps % self.beats_per_bar:
            raise ValueError(
                f"a bar of {self.n_steps} steps cannot be cut into {self.beats_per_bar} equal beats"
            )
        if self.low % 12 or self.n_pitches % 12 or self.n_pitches < 12:
            raise ValueError(
                f"the pitch axis must start on a C and hold whole octaves, "
                f"not {self.n_pitches} pitches from {self.low}"
            )
        if self.low < 0 or self.high > 132:
            raise ValueError(f"pitches {self.low}..{self.high - 1} are not MIDI numbers")

    @property
    def high(self) -> int:
        """One past the highest pitch."""
        return self.low + self.n_pitches

    @property
    def steps_per_beat(self) -> int:
        """Steps in a beat."""
        return self.n_steps // self.beats_per_bar


class Note(NamedTuple):
    """One note: `onset` and `duration` in steps, `pitch` as a MIDI number."""

    onset: int
    duration: int
    pitch: int

    @property
    def end(self) -> int:
        """First step on which the note no longer sounds."""
        return self.onset + self.duration


@dataclass(frozen=True)
class Track:
    """A voice or an instrument: its name, its notes in order, and its General MIDI program (0-127)."""

    name: str
    notes: tuple[Note, ...]
    program: int = 0
    is_drum: bool = False


@dataclass(frozen=True)
class Piece:
    """A piece of music on a grid.

    Parameters
    ----------
    tracks : tuple of Track
    grid : Grid
    tempo : float
        Beats a minute.
    title : str
    pickup : int
        Steps of an incomplete first bar (an upbeat). Bar 0 then begins with ``n_steps - pickup`` silent
        steps, so that every bar line stays on the grid. 0: the piece starts on a downbeat.
    labels : dict
        What the corpus knows about the piece, by name.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    tracks: tuple[Track, ...]
    grid: Grid = Grid()
    tempo: float = 90.0
    title: str = ""
    pickup: int = 0
    labels: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """First step after the last note."""
        return max((note.end for track in self.tracks for note in track.notes), default=0)

    @property
    def n_bars(self) -> int:
        """Bars that the notes reach into."""
        return -(-self.end // self.grid.n_steps)

    @property
    def starts(self) -> set[tuple[int, int]]:
        """Where notes begin, all tracks together: their onsets and pitches."""
        return {(note.onset, note.pitch) for track in self.tracks for note in track.notes}

    @property
    def seconds(self) -> float:
        """Length up to the last note's end, in seconds at `tempo`."""
        return self.end / self.grid.steps_per_beat * 60.0 / self.tempo


class Roll(NamedTuple):
    """Two boolean planes of one shape, ``[shape=(..., track, bar, step, pitch)]``.

    `sounding` is true where a pitch sounds, `onset` where a note begins (so ``onset <= sounding``).
    """

    sounding: BoolArray
    onset: BoolArray


def notes_to_roll(notes: Iterable[Note], grid: Grid, n_bars: int) -> Roll:
    """Draw the notes of one track on a roll ``[shape=(bar, step, pitch)]``.

    A note that begins while the same pitch sounds ends the earlier one: a pitch has one sound at a time.

    Raises
    ------
    ValueError
        If a note lies outside the grid.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    sounding, onset = _draw([notes], grid, n_bars)
    return Roll(sounding[0], onset[0])


def _draw(tracks: Iterable[Iterable[Note]], grid: Grid, n_bars: int) -> Roll:
    """Draw the notes of several tracks ``[shape=(track, bar, step, pitch)]``, all of them at once."""
    lists = [list(notes) for notes in tracks]
    length = n_bars * grid.n_steps
    # index() refuses what is no whole number; numpy would cut it off without a word.
    numbers = map(index, chain.from_iterable(chain.from_iterable(lists)))
    try:
        begin, duration, pitch = np.fromiter(numbers, np.int64).reshape(-1, 3).T
    except OverflowError:
        raise ValueError(f"a Note does not lie within {n_bars} bars of {grid.n_steps} steps") from None
    track = np.repeat(np.arange(len(lists)), [len(notes) for notes in lists])
    late = (begin < 0) | (duration <= 0) | (duration > length - begin)
    for wrong in np.flatnonzero(late | (pitch < grid.low) | (pitch >= grid.high))[:1]:
        note = Note(int(begin[wrong]), int(duration[wrong]), int(pitch[wrong]))
        if late[wrong]:
            raise ValueError(f"{note} does not lie within {n_bars} bars of {grid.n_steps} steps")
        raise ValueError(f"{note} is outside the pitches {grid.low}..{grid.high - 1}")

    order = np.lexsort((duration, begin, pitch, track))
    begin, duration, pitch, track = begin[order], duration[order], pitch[order], track[order]
    # Within a track and a pitch, a sound lasts until the next one at most.
    same = (track[1:] == track[:-1]) & (pitch[1:] == pitch[:-1])
    duration[:-1][same] = np.minimum(duration[:-1], begin[1:] - begin[:-1])[same]
    return events_to_roll(track, begin, duration, pitch, grid, len(lists), n_bars)


def events_to_roll(
    track: IntArray, onset: IntArray, duration: IntArray, pitch: IntArray, grid: Grid, n_tracks: int, n_bars: int
) -> Roll:
    """Draw note events on a roll ``[shape=(track, bar, step, pitch)]``, without a `Note` for each of them.

    Parameters
    ----------
    track, onset, duration, pitch : array of int [shape=(note,)]
        Each note: the number of its track, its steps, its MIDI number. They lie on the grid, and no two notes of a
        pitch sound at once on a track; neither is checked.
    grid : Grid
    n_tracks, n_bars : int

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    first = (track * (n_bars * grid.n_steps) + onset) * grid.n_pitches + pitch - grid.low
    sounding = np.zeros((n_tracks, n_bars, grid.n_steps, grid.n_pitches), dtype=bool)
    onsets = np.zeros_like(sounding)
    onsets.reshape(-1)[first] = True
    # The cells of all notes in one list: 0, 1, 2, ... steps after each note's first.
    after = np.arange(duration.sum()) - np.repeat(np.cumsum(duration) - duration, duration)
    sounding.reshape(-1)[np.repeat(first, duration) + after * grid.n_pitches] = True
    return Roll(sounding, onsets)


def roll_to_notes(roll: Roll, grid: Grid) -> tuple[Note, ...]:
    """Read the notes off a roll ``[shape=(bar, step, pitch)]``, ordered by onset, then duration, then pitch.

    A sound that begins without an onset (a generator may draw one) begins a note all the same.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    starts = note_starts(roll).reshape(-1, grid.n_pitches)
    sounding = np.asarray(roll.sounding, dtype=bool).reshape(-1, grid.n_pitches)
    # A note ends where the sound stops or where the next one starts.
    silence = np.zeros((1, grid.n_pitches), dtype=bool)
    goes_on = np.concatenate([sounding[1:] & ~starts[1:], silence])
    ends = sounding & ~goes_on
    # Column by column, the k-th start belongs to the k-th end.
    start_pitch, start_step = np.nonzero(starts.T)
    _, end_step = np.nonzero(ends.T)
    notes = (
        Note(int(s), int(e - s + 1), int(p) + grid.low)
        for p, s, e in zip(start_pitch, start_step, end_step, strict=True)
    )
    return tuple(sorted(notes))


def note_starts(roll: Roll) -> BoolArray:
    """Where a note begins, ``[shape=(..., bar, step, pitch)]``: at an onset, or where sound follows silence.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    shape = roll.sounding.shape
    # The number of steps is written out: of no clips at all, it could not be worked out.
    sounding = np.asarray(roll.sounding, dtype=bool).reshape(*shape[:-3], shape[-3] * shape[-2], shape[-1])
    onset = np.asarray(roll.onset, dtype=bool).reshape(sounding.shape)
    starts = sounding.copy()
    starts[..., 1:, :] &= onset[..., 1:, :] | ~sounding[..., :-1, :]
    return starts.reshape(shape)


def piece_to_roll(piece: Piece, n_bars: int | None = None) -> Roll:
    """Draw a piece on a roll ``[shape=(track, bar, step, pitch)]`` of `n_bars` (all of it by default)."""
    n_bars = piece.n_bars if n_bars is None else n_bars
    if not piece.tracks:
        raise ValueError("a piece without tracks has no roll")
    return _draw((track.notes for track in piece.tracks), piece.grid, n_bars)


def roll_to_piece(
    roll: Roll,
    grid: Grid,
    *,
    names: Iterable[str],
    programs: Iterable[int] | None = None,
    tempo: float = 90.0,
    title: str = "",
) -> Piece:
    """Read a piece off a roll ``[shape=(track, bar, step, pitch)]``; the inverse of `piece_to_roll`."""
    names = tuple(names)
    programs = (0,) * len(names) if programs is None else tuple(programs)
    tracks = tuple(
        Track(name, roll_to_notes(Roll(sounding, onset), grid), program)
        for name, program, sounding, onset in zip(
            names, programs, roll.sounding, roll.onset, strict=True
        )
    )
    return Piece(tracks, grid, tempo, title)


def transpose(piece: Piece, semitones: int) -> Piece:
    """Move every note that is not a drum by a number of semitones."""
    tracks = tuple(
        track
        if track.is_drum
        else replace(
            track, notes=tuple(Note(begin, lasts, pitch + semitones) for begin, lasts, pitch in track.notes)
        )
        for track in piece.tracks
    )
    return replace(piece, tracks=tracks)


def transpose_roll(roll: Roll, semitones: int) -> Roll:
    """Move a roll along its pitch axis.

    Raises
    ------
    ValueError
        If a sounding pitch would leave the axis.
    """
    k = abs(semitones)
    if k == 0:
        return roll
    lost = roll.sounding[..., -k:] if semitones > 0 else roll.sounding[..., :k]
    if lost.any():
        raise ValueError(f"transposing by {semitones} semitones leaves the grid's pitches")
    return Roll(np.roll(roll.sounding, semitones, -1), np.roll(roll.onset, semitones, -1))


def chroma(sounding: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Count the sounding pitches of each pitch class: ``(..., pitch)`` to ``(..., 12)``.

    The pitch axis starts on a C and holds whole octaves (`Grid` sees to it), so octaves are the slow axis
    of the fold: ``reshape(..., n_octaves, 12)``. The other way round would group neighbouring semitones.
    """
    counts: npt.NDArray[Any] = sounding.reshape(*sounding.shape[:-1], sounding.shape[-1] // 12, 12).sum(-2)
    return counts
