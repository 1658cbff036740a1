"""From a file's own time to the steps of a grid: rounding, metres, pickups, and what is too much.

Conventions
-----------
A *beat* is the note value that the time signature counts (its lower number), and `Piece.tempo` counts
beats a minute. Without a grid of its own a file is read at sixteenths: 4 steps a beat in 4/4, 2 in 6/8.
A piece has one metre and one tempo, those of its first note; where a file changes its metre, `sections` cuts it
into stretches that can each be a piece. A change of tempo moves no note: positions are counted in beats.

Both ends of a note are rounded to the grid, never the duration, so that notes which touch in the file
still touch on the grid; a note keeps at least one step. A pitch has one sound at a time on a track:
where notes of one pitch overlap, a new note ends the old one.

Files are foreign: each is checked for size, notes and length *before* anything of that size is made.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track, events_to_roll

__all__ = [
    "MAX_BARS",
    "MAX_BEATS",
    "MAX_BYTES",
    "MAX_CELLS",
    "MAX_METRES",
    "MAX_NOTES",
    "MAX_SECTIONS",
    "MAX_TEMPO",
    "MAX_TEMPOS",
    "MAX_TRACKS",
    "MIN_TEMPO",
    "UNITS",
    "Music",
    "MusicFileError",
    "Part",
    "check_size",
    "lay_on_grid",
    "lay_on_roll",
    "metre_of",
    "off_grid",
    "on_beats",
    "one_line",
    "phase",
    "regular",
    "sections",
    "sounds",
]

MAX_BYTES = 16_000_000
"""Largest file that is read, in bytes (unpacked, where it is compressed)."""
MAX_TRACKS = 1000
"""Most tracks with notes that a file may hold."""
MAX_NOTES = 400_000
"""Most notes that a file may hold: about 20 hours of a busy piano."""
MAX_BARS = 10_000
"""Longest piece that is read or written: over 5 hours of 4/4 at 120 beats a minute."""
MAX_CELLS = 50_000_000
"""Most cells, ``track x bar x step x pitch``, that a piece's roll may need: 50 MB a plane."""
MAX_METRES = 10_000
"""Most changes of metre in a file; more are taken for damage."""
MAX_TEMPOS = 100_000
"""Most changes of tempo in a file; more are taken for damage."""
MAX_SECTIONS = 1000
"""Most stretches of one metre that a file is cut into."""
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
        Tempo at the first note.
    title : str
    metre_changes : tuple of (int, int, int)
        Later metres: the tick at which one begins, and its two numbers.
    tempos : tuple of (int, float)
        Every tempo: the tick at which it begins, and its quarter notes a minute.
    marks : tuple of (int, str, value)
        What is said of moments: the tick from which it holds, the name of a label, its value. On a grid a label is
        a list of ``[step, value]``.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    parts: list[Part]
    ticks: int
    metre: tuple[int, int] = (4, 4)
    pickup: int = 0
    quarters_a_minute: float = 120.0
    title: str = ""
    metre_changes: tuple[tuple[int, int, int], ...] = ()
    tempos: tuple[tuple[int, float], ...] = ()
    marks: tuple[tuple[int, str, Any], ...] = ()

    @property
    def onsets(self) -> npt.NDArray[np.int64]:
        """Onset of every note that has a pitch, in ticks (of every note, where all are drums)."""
        pitched = [part for part in self.parts if not part.is_drum and len(part.events)] or self.parts
        return np.concatenate([part.events[:, 0] for part in pitched] or [np.empty(0, np.int64)])

    def moved(self, ticks: int) -> Music:
        """Return the music with its notes moved in time, none to before the start."""
        parts = []
        for part in self.parts:
            events = part.events.copy()
            events[:, :2] = np.maximum(events[:, :2] + ticks, 0)
            parts.append(replace(part, events=events))
        marks = tuple((max(tick + ticks, 0), name, value) for tick, name, value in self.marks)
        return replace(self, parts=parts, marks=marks)

    def marked(self, name: str, moments: Iterable[tuple[float, Any]]) -> Music:
        """Return the music with marks from a list of ``(seconds, value)``."""
        ticks, seconds, quarter = _clock(self)

        def tick(time: float) -> int:
            at = max(0, int(np.searchsorted(seconds, time, side="right")) - 1)
            return max(0, round(float(ticks[at] + (time - seconds[at]) / quarter[at])))

        return replace(self, marks=(*self.marks, *((tick(time), name, value) for time, value in moments)))


def sections(music: Music) -> list[Music]:
    """Cut music where its metre changes: a list of stretches, each in one metre from its first bar line on.

    A note belongs to the stretch that it begins in, and ends with it at the latest. Where the same metre is
    stated again on one of its own bar lines nothing is cut. Stretches without notes are left out.

    Raises
    ------
    ValueError
        If there are more than `MAX_SECTIONS` stretches.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    cuts = [(0, *music.metre)]
    bar_line = music.pickup
    for tick, numerator, denominator in music.metre_changes:
        _, *metre = cuts[-1]
        off = (tick - bar_line) * metre[1] % (4 * music.ticks * metre[0])
        if tick > bar_line and (off or metre != [numerator, denominator]):
            cuts.append((tick, numerator, denominator))
            bar_line = tick
    if len(cuts) > MAX_SECTIONS:
        raise ValueError(f"it changes its metre {len(cuts):,} times, and at most {MAX_SECTIONS:,} can be read")
    found = []
    for (begin, *metre), (end, *_) in zip(cuts, [*cuts[1:], (None,)], strict=True):
        parts = []
        for part in music.parts:
            start = part.events[:, 0]
            here = part.events[(start >= begin) if end is None else (start >= begin) & (start < end)]
            if end is not None:
                here[:, 1] = np.minimum(here[:, 1], end)
            here[:, :2] -= begin
            parts.append(replace(part, events=here))
        if any(len(part.events) for part in parts):
            stretch = replace(music, parts=parts, metre=(metre[0], metre[1]), metre_changes=())
            stretch = replace(stretch, marks=_marks_within(music, begin, end))
            found.append(_begun_at(stretch, begin) if begin else stretch)
    return found


def _marks_within(music: Music, begin: int, end: int | None) -> tuple[tuple[int, str, Any], ...]:
    """Return the marks of a stretch, counted from its start; what held before goes on holding there."""
    held = {name: (0, name, value) for tick, name, value in sorted(music.marks, key=lambda m: m[0]) if tick < begin}
    here = [(t - begin, name, value) for t, name, value in music.marks if t >= begin and (end is None or t < end)]
    at_start = {name for tick, name, _ in here if tick == 0}
    return (*(mark for name, mark in held.items() if name not in at_start), *here)


def _begun_at(stretch: Music, begin: int) -> Music:
    """Let a stretch begin on a bar line, with the tempos from there on and the one of its first note as its own."""
    before = [qpm for tick, qpm in stretch.tempos if tick <= begin][-1:]
    tempos = [(0, qpm) for qpm in before] + [(tick - begin, qpm) for tick, qpm in stretch.tempos if tick > begin]
    onset = min(int(part.events[:, 0].min()) for part in stretch.parts if len(part.events))
    at_onset = [qpm for tick, qpm in tempos if tick <= onset][-1:] or [stretch.quarters_a_minute]
    return replace(stretch, pickup=0, tempos=tuple(tempos), quarters_a_minute=at_onset[0])


def phase(music: Music) -> float:
    """How late the notes are as a whole, in ticks: the mean distance of their onsets to the nearest sixteenth.

    The mean is taken on the circle, where half a sixteenth early and half a sixteenth late are one place. It is 0
    unless the onsets agree (a resultant of at least .6), as those of a real performance do not; nor do those of swing,
    which has one place for notes on the beat and another, a third of a sixteenth away, for those between.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    onsets = music.onsets
    if not len(onsets):
        return 0.0
    step = music.ticks / 4
    resultant = np.exp(2j * np.pi * (onsets % step) / step).mean()
    return float(np.angle(resultant) / (2 * np.pi) * step) if abs(resultant) >= 0.6 else 0.0


def off_grid(music: Music, steps: int = 4) -> tuple[float, float]:
    """Share of onsets off a grid of so many steps a quarter note, and share that are triplets.

    Off the grid is an onset farther than a fifth of a step from the nearest, unless it is within a fiftieth of a
    quarter note of a third or sixth of a beat, which makes it a triplet. Of onsets at random places .44 are off
    a grid of sixteenths, and .16 look like triplets.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    onsets = music.onsets
    if not len(onsets):
        return 0.0, 0.0
    place = onsets % music.ticks / music.ticks  # in quarter notes
    off = np.abs(place * steps - np.round(place * steps)) > 0.2
    triplet = off & (np.abs(place * 6 - np.round(place * 6)) < 0.02 * 6)
    return float((off & ~triplet).mean()), float(triplet.mean())


def regular(music: Music) -> float:
    """Share of onsets at a regular place: within .012 quarter notes of an eighth, twelfth, fifth or seventh of one.

    1 for whatever notation holds; of onsets at random places some .55 are.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    onsets = music.onsets
    if not len(onsets):
        return 0.0
    place = onsets % music.ticks / music.ticks
    near = [np.abs(place * n - np.round(place * n)) < 0.012 * n for n in (8, 12, 5, 7)]
    return float(np.any(near, axis=0).mean())


def on_beats(music: Music, beats: npt.ArrayLike, downbeats: npt.ArrayLike | None = None) -> Music:
    """Move notes from the clock to annotated beats: a performance then lies on a grid.

    Between two beats time is taken to run evenly; before the first and after the last it goes on as between the
    two beats nearest.

    Parameters
    ----------
    music : Music
    beats : array of float [shape=(beat,)]
        Times of the beats in seconds, ascending; each is a quarter note.
    downbeats : array of int, optional
        Which of the beats begin a bar. Without them the metre stays, and the first beat begins a bar.

    Raises
    ------
    ValueError
        If there are fewer than two beats, or they do not ascend.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    times = np.asarray(beats, dtype=float)
    if len(times) < 2 or not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise ValueError("beats are at least two ascending times in seconds")
    quarters_a_minute = 60 / float(np.median(np.diff(times)))
    if not MIN_TEMPO <= quarters_a_minute <= MAX_TEMPO:
        raise ValueError(f"{quarters_a_minute:g} beats a minute are no beats; {MIN_TEMPO} to {MAX_TEMPO} are")
    bars = np.asarray([0] if downbeats is None else downbeats, dtype=np.int64)
    if not len(bars) or bars.min() < 0 or bars.max() >= len(times) or not (np.diff(bars) > 0).all():
        raise ValueError("downbeats are ascending places in the list of beats")
    ticks = 480
    starts, seconds, quarter = _clock(music)

    def to_seconds(time: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        at = np.searchsorted(starts, time, side="right") - 1
        return seconds[at] + (time - starts[at]) * quarter[at]

    def to_places(time: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.round(np.interp(to_seconds(time), clock, places)).astype(np.int64)

    # Beats as long as their neighbours before the first and after the last, as many as the notes need.
    latest = max((to_seconds(part.events[:, 1]).max() for part in music.parts if len(part.events)), default=0.0)
    first_beat, last_beat = times[1] - times[0], times[-1] - times[-2]
    before = max(0, math.ceil(times[0] / first_beat))
    after = max(0, math.ceil((latest - times[-1]) / last_beat))
    if before + after > MAX_BARS * MAX_BEATS:
        raise ValueError("the beats cover too little of the music")
    early, late = np.arange(-before, 0), np.arange(1, after + 1)
    clock = np.concatenate([times[0] + first_beat * early, times, times[-1] + last_beat * late])
    places = np.arange(len(clock)) * ticks
    parts = []
    for part in music.parts:
        events = part.events.copy()
        for column in (0, 1):
            events[:, column] = to_places(events[:, column])
        parts.append(replace(part, events=events))
    # The music begins with the bar, or the beat of a pickup, that its first note lies in, to the nearest sixteenth.
    onset = min((int(part.events[:, 0].min()) for part in parts if len(part.events)), default=0)
    onset = round(onset / (ticks // 4)) * (ticks // 4)
    lengths = np.diff(bars)
    at = max(0, int(np.searchsorted((before + bars) * ticks, onset, side="right")) - 1)
    metre = (int(lengths[min(at, len(lengths) - 1)]), 4) if len(lengths) else music.metre
    bar = metre[0] * 4 * ticks // metre[1]
    bar_line = (before + int(bars[at])) * ticks
    bar_line += (onset - bar_line) // bar * bar
    lead = (onset - bar_line) // ticks * ticks
    changes = [
        ((before + int(place)) * ticks - bar_line - lead, int(n), 4)
        for place, n, last in zip(bars[1:], lengths[1:], lengths, strict=False)
        if n != last
    ]
    if metre[0] > MAX_BEATS or any(n > MAX_BEATS for _, n, _ in changes):
        raise ValueError(f"bars have at most {MAX_BEATS} beats")
    at_marks = to_places(np.array([tick for tick, _, _ in music.marks], dtype=np.int64)).tolist()
    marks = tuple((tick, name, value) for tick, (_, name, value) in zip(at_marks, music.marks, strict=True))
    moved = Music(parts, ticks, marks=marks).moved(-bar_line - lead)
    return replace(
        moved,
        metre=metre,
        pickup=bar - lead if lead else 0,
        quarters_a_minute=quarters_a_minute,
        title=music.title,
        metre_changes=tuple(change for change in changes if change[0] > 0),
    )


def _clock(music: Music) -> tuple[npt.NDArray[np.float64], ...]:
    """Return where each tempo begins, in ticks and in seconds, and how many seconds a tick then lasts."""
    ticks = np.array([0, *(tick for tick, _ in music.tempos)], dtype=float)
    length = 60 / np.array([120.0, *(qpm for _, qpm in music.tempos)]) / music.ticks
    return ticks, np.concatenate([[0.0], np.cumsum(np.diff(ticks) * length[:-1])]), length


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
        If there are no notes, or too many; if the piece would be too long, or its notes lie outside the grid's
        pitches.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    laid = _laid(music, grid, source)
    order = np.lexsort((laid.pitch, laid.duration, laid.onset, laid.track))
    rows = np.stack([laid.onset, laid.duration, laid.pitch], axis=1)[order].tolist()
    notes = list(map(Note._make, rows))
    bounds = np.searchsorted(laid.track[order], np.arange(len(music.parts) + 1)).tolist()
    tracks = tuple(
        Track(part.name, tuple(notes[first:last]), part.program, part.is_drum)
        for part, (first, last) in zip(music.parts, itertools.pairwise(bounds), strict=True)
    )
    denominator = laid.metre[1]
    labels: dict[str, Any] = {} if denominator == 4 else {"time_signature": "{}/{}".format(*laid.metre)}
    for tick, name, value in sorted(music.marks, key=lambda mark: mark[0]):
        said = labels.setdefault(name, [])
        step = int(laid.steps(tick))
        if said and said[-1][0] == step:
            said.pop()  # what is said last of a moment holds
        said.append([step, value])
    return Piece(
        tracks,
        laid.grid,
        round(music.quarters_a_minute * denominator / 4, 2),
        music.title,
        laid.pickup,
        labels,
    )


def lay_on_roll(music: Music, grid: Grid | None, source: str | os.PathLike[str]) -> tuple[Roll, Grid]:
    """Round music to a roll ``[shape=(track, bar, step, pitch)]`` at once, as `lay_on_grid` and `piece_to_roll` would.

    Returns
    -------
    Roll, Grid

    Raises
    ------
    MusicFileError
        As `lay_on_grid`.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    laid = _laid(music, grid, source)
    n_bars = -(-int((laid.onset + laid.duration).max()) // laid.grid.n_steps)
    roll = events_to_roll(
        laid.track, laid.onset, laid.duration, laid.pitch, laid.grid, len(music.parts), n_bars
    )
    return roll, laid.grid


class _Laid(NamedTuple):
    """Notes of all tracks on a grid, a pitch with one sound at a time on a track: a number of each note an array."""

    track: npt.NDArray[np.int64]
    onset: npt.NDArray[np.int64]
    duration: npt.NDArray[np.int64]
    pitch: npt.NDArray[np.int64]
    grid: Grid
    pickup: int
    metre: tuple[int, int]
    steps: Callable[[Any], Any]  # from ticks to steps


def _laid(music: Music, grid: Grid | None, source: str | os.PathLike[str]) -> _Laid:
    lengths = [len(part.events) for part in music.parts]
    if sum(lengths) == 0:
        raise MusicFileError(source, "there are no notes in it")
    check_size(lengths, source)

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

    def rounded(time: Any) -> Any:
        return (2 * time * per_whole + whole) // (2 * whole)

    pickup = -rounded(-music.pickup)  # steps before the first bar line
    lead = -pickup % grid.n_steps  # silent steps that complete the first bar

    def steps(time: Any) -> Any:
        return rounded(time - music.pickup) + pickup + lead

    events[:, :2] = steps(events[:, :2])
    np.maximum(events[:, 1], events[:, 0] + 1, out=events[:, 1])
    track = np.repeat(np.arange(len(lengths)), lengths)
    track, onset, duration, pitch = _one_sound_a_pitch(track, *events.T)
    return _Laid(track, onset, duration, pitch, grid, pickup % grid.n_steps, (numerator, denominator), steps)


def check_size(lengths: Sequence[int], source: str | os.PathLike[str]) -> None:
    """Refuse music of too many tracks or notes, given the notes of each track.

    Raises
    ------
    MusicFileError
        If there are more than `MAX_TRACKS` tracks, or more than `MAX_NOTES` notes in all.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if len(lengths) > MAX_TRACKS:
        raise MusicFileError(source, f"{len(lengths):,} tracks are more than the {MAX_TRACKS:,} allowed")
    if sum(lengths) > MAX_NOTES:
        raise MusicFileError(source, f"{sum(lengths):,} notes are more than the {MAX_NOTES:,} allowed")


def _one_sound_a_pitch(
    track: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    pitch: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], ...]:
    """End each note where the next one of its pitch on its track begins; of notes that begin together keep the longest.

    Returns track, onset, duration and pitch, ordered by track, then pitch, then onset.
    """
    order = np.lexsort((-end, start, pitch, track))
    start, end, pitch, track = start[order], end[order], pitch[order], track[order]
    same_pitch = (pitch[1:] == pitch[:-1]) & (track[1:] == track[:-1])
    again = same_pitch & (start[1:] == start[:-1])
    if again.any():
        keep = np.append(True, ~again)
        start, end, pitch, track = start[keep], end[keep], pitch[keep], track[keep]
        same_pitch = (pitch[1:] == pitch[:-1]) & (track[1:] == track[:-1])
    np.minimum(end[:-1], start[1:], out=end[:-1], where=same_pitch)
    return track, start, end - start, pitch


def one_line(error: BaseException) -> str:
    """Say in one short line what went wrong, for the end of a sentence.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    return " ".join(str(error).split())[:200] or type(error).__name__


def sounds(track: Track) -> list[Note]:
    """Return a track's notes as a roll would have them: a pitch has one sound at a time.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if not track.notes:
        return []
    onset, duration, pitch = np.array(track.notes, dtype=np.int64).T
    _, *columns = _one_sound_a_pitch(np.zeros_like(onset), onset, onset + duration, pitch)
    return sorted(map(Note, *(column.tolist() for column in columns)))


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
