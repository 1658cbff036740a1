"""From a file's own time to the steps of a grid: rounding, metres, pickups, and what is too much.

Conventions
-----------
A *beat* is the note value that the time signature counts (its lower number), and `Piece.tempo` counts
beats a minute. Without a grid of its own a file is read at sixteenths: 4 steps a beat in 4/4, 2 in 6/8.
A file keeps one metre and one tempo, those it begins with.

Both ends of a note are rounded to the grid, never the duration, so that notes which touch in the file
still touch on the grid; a note keeps at least one step. A pitch has one sound at a time on a track:
where notes of one pitch overlap, a new note ends the old one.

Files are foreign: each is checked for size, notes and length *before* anything of that size is made.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganmusic.pianoroll import Grid, Note, Piece, Track

__all__ = [
    "MAX_BARS",
    "MAX_BEATS",
    "MAX_BYTES",
    "MAX_CELLS",
    "MAX_NOTES",
    "MAX_TEMPO",
    "MIN_TEMPO",
    "UNITS",
    "Music",
    "MusicFileError",
    "Part",
    "lay_on_grid",
    "metre_of",
    "one_line",
    "sounds",
]

MAX_BYTES = 32_000_000
"""Largest file that is read, in bytes (unpacked, where it is compressed)."""
MAX_NOTES = 1_000_000
"""Most notes that a file may hold: about 50 hours of a busy piano."""
MAX_BARS = 10_000
"""Longest piece that is read or written: over 5 hours of 4/4 at 120 beats a minute."""
MAX_CELLS = 100_000_000
"""Most cells, ``track x bar x step x pitch``, that a piece's roll may need: 100 MB a plane."""
MAX_BEATS = 64
"""Most beats in a bar; a larger number in a file is taken for damage."""
MIN_TEMPO, MAX_TEMPO = 4, 1000
"""Slowest and fastest tempo in quarter notes a minute; others in a file are taken for damage."""
UNITS = (1, 2, 4, 8, 16, 32, 64)
"""Note values that a time signature can count, as parts of a whole note."""


class MusicFileError(ValueError):
    """A file that cannot be read as music: says which file, and why.

    Parameters
    ----------
    source : str or path
        The file, or what else the music came from.
    reason : str

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    def __init__(self, source: str | os.PathLike[str], reason: str) -> None:
        super().__init__(str(source), reason)
        self.source = str(source)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True)
class Part:
    """A track before it lies on a grid.

    Parameters
    ----------
    name : str
    events : int64 array [shape=(note, 3)]
        Start and end in ticks, and pitch.
    program : int
    is_drum : bool

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    name: str
    events: npt.NDArray[np.int64]
    program: int = 0
    is_drum: bool = False


@dataclass(frozen=True)
class Music:
    """What a file says, before it lies on a grid.

    Parameters
    ----------
    parts : list of Part
    ticks : int
        Ticks in a quarter note.
    metre : tuple of int
        Beats in a bar, and the beat as a part of a whole note: ``(6, 8)``.
    pickup : int
        Ticks before the first bar line; 0 where the music starts on it.
    quarters_a_minute : float
    title : str

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    parts: list[Part]
    ticks: int
    metre: tuple[int, int] = (4, 4)
    pickup: int = 0
    quarters_a_minute: float = 120.0
    title: str = ""


def lay_on_grid(music: Music, grid: Grid | None, source: str | os.PathLike[str]) -> Piece:
    """Round music to a grid, after checking that the result is of a bearable size.

    Parameters
    ----------
    music : Music
    grid : Grid, optional
        By default one that fits; see `ganmusic.midi.read`.
    source : str or path
        Where the music came from, for the error's text.

    Raises
    ------
    MusicFileError
        If there are no notes, or only drums, or too many; if the piece would be too long, or its notes
        lie outside the grid's pitches.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    n_notes = sum(len(part.events) for part in music.parts)
    if n_notes == 0:
        raise MusicFileError(source, "there are no notes in it")
    if all(part.is_drum for part in music.parts if len(part.events)):
        raise MusicFileError(
            source, "it holds only drums, and a piano-roll needs notes with a pitch"
        )
    if n_notes > MAX_NOTES:
        raise MusicFileError(source, f"{n_notes:,} notes are more than the {MAX_NOTES:,} allowed")

    events = np.concatenate([part.events for part in music.parts])
    numerator, denominator = music.metre
    if grid is None:
        low = min(36, int(events[:, 2].min()) // 12 * 12)
        high = max(84, int(events[:, 2].max()) // 12 * 12 + 12)
        per_beat = max(1, 16 // denominator)
        grid = Grid(numerator * per_beat, numerator, low, high - low)
    elif grid.beats_per_bar != numerator:
        denominator = 4

    # In ticks of a whole note, a step is `whole / per_whole`: both integers, so rounding is exact.
    whole, per_whole = 4 * music.ticks, denominator * grid.steps_per_beat
    longest = max(int(events[:, 1].max()), music.pickup)
    n_bars = longest * per_whole / whole / grid.n_steps
    if events[:, 0].min() < 0 or n_bars > MAX_BARS:  # a clock that overflowed comes out negative
        length = f"{n_bars:,.0f}" if n_bars > MAX_BARS else "countless"
        raise MusicFileError(
            source, f"it is {length} bars long, and at most {MAX_BARS:,} can be read"
        )
    if n_bars * len(music.parts) * grid.n_steps * grid.n_pitches > MAX_CELLS:
        raise MusicFileError(
            source,
            f"its {len(music.parts)} tracks of {n_bars:,.0f} bars would make a piano-roll of more "
            f"than {MAX_CELLS:,} cells",
        )
    if events[:, 2].min() < grid.low or events[:, 2].max() >= grid.high:
        raise MusicFileError(
            source,
            f"its notes reach from {events[:, 2].min()} to {events[:, 2].max()}, outside the grid's "
            f"pitches {grid.low}..{grid.high - 1}",
        )

    def steps(time: Any) -> Any:
        return (2 * time * per_whole + whole) // (2 * whole)

    pickup = -steps(-music.pickup)  # steps before the first bar line
    lead = -pickup % grid.n_steps  # silent steps that complete the first bar
    tracks = []
    for part in music.parts:
        rounded = part.events.copy()
        rounded[:, :2] = steps(part.events[:, :2] - music.pickup) + pickup + lead
        rounded[:, 1] = np.maximum(rounded[:, 1], rounded[:, 0] + 1)
        notes = sorted(Note(s, e - s, p) for s, e, p in _one_sound_a_pitch(rounded).tolist())
        tracks.append(Track(part.name, tuple(notes), part.program, part.is_drum))
    return Piece(
        tuple(tracks),
        grid,
        round(music.quarters_a_minute * denominator / 4, 2),
        music.title,
        pickup % grid.n_steps,
        {} if denominator == 4 else {"time_signature": f"{numerator}/{denominator}"},
    )


def _one_sound_a_pitch(events: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """End each note where the next one of its pitch begins; of notes that begin together keep the longest."""
    start, end, pitch = events.T
    events = events[np.lexsort((-end, start, pitch))]
    again = (events[1:, 0] == events[:-1, 0]) & (events[1:, 2] == events[:-1, 2])
    events = events[np.concatenate([np.full(min(1, len(events)), True), ~again])]
    same_pitch = events[1:, 2] == events[:-1, 2]
    ends = events[:-1, 1]
    events[:-1, 1] = np.where(same_pitch, np.minimum(ends, events[1:, 0]), ends)
    return events


def one_line(error: BaseException) -> str:
    """Say in one short line what went wrong, for the end of a sentence.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    return " ".join(str(error).split())[:200] or type(error).__name__


def sounds(track: Track) -> list[Note]:
    """Return a track's notes as a roll would have them: a pitch has one sound at a time.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    events = np.array([(n.onset, n.end, n.pitch) for n in track.notes], dtype=np.int64)
    rows = _one_sound_a_pitch(events.reshape(-1, 3)).tolist()
    return sorted(Note(start, end - start, pitch) for start, end, pitch in rows)


def metre_of(piece: Piece) -> tuple[int, int]:
    """Return a piece's time signature, after checking that a file can hold the piece.

    Raises
    ------
    ValueError
        If a tempo, a metre, a pickup, a length, a program or a note cannot be written.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    beats, _, unit = str(piece.labels.get("time_signature", "")).partition("/")
    known = beats == str(piece.grid.beats_per_bar) and unit in map(str, UNITS)
    denominator = int(unit) if known else 4
    if piece.grid.beats_per_bar > MAX_BEATS:
        raise ValueError(
            f"a bar of {piece.grid.beats_per_bar} beats cannot be written: 1 to {MAX_BEATS} can"
        )
    slowest, fastest = MIN_TEMPO * denominator / 4, MAX_TEMPO * denominator / 4
    if not slowest <= piece.tempo <= fastest:
        raise ValueError(
            f"a tempo of {piece.tempo:g} beats a minute cannot be written: "
            f"{slowest:g} to {fastest:g} can"
        )
    if not 0 <= piece.pickup < piece.grid.n_steps:
        raise ValueError(
            f"a pickup of {piece.pickup} steps is not part of a bar of {piece.grid.n_steps}"
        )
    if piece.n_bars > MAX_BARS:
        raise ValueError(
            f"a piece of {piece.n_bars:,} bars cannot be written: {MAX_BARS:,} at most can"
        )
    first = -piece.pickup % piece.grid.n_steps
    for track in piece.tracks:
        if not 0 <= track.program <= 127:
            raise ValueError(f"track {track.name!r}: program {track.program} is not one of 0..127")
        for note in track.notes:
            if not (0 <= note.pitch <= 127 and note.duration > 0 and note.onset >= first):
                raise ValueError(f"track {track.name!r}: {note} is not a note that can be written")
    return piece.grid.beats_per_bar, denominator
