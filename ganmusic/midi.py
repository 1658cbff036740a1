"""Music files to pieces and back. The only module that imports a MIDI library.

What a MIDI file cannot say, it says like notation programs do: a pickup is a shorter first time
signature, a title is a marker at the start. Where notes of one pitch overlap on a track, the first
note-off ends the first note. How time becomes steps is `ganmusic.quantise`, MusicXML is
`ganmusic.musicxml`; this module chooses between the formats.

The engine was chosen by measurement: symusic reads thousands of files a second where pretty_midi reads
twenty, and refused 125,000 damaged ones without falling over.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import copy
import io
import math
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganmusic import musicxml
from ganmusic.files import atomic_path
from ganmusic.musicxml import from_music21, to_music21, to_musicxml
from ganmusic.pianoroll import Grid, Piece, Roll
from ganmusic.quantise import (
    MAX_BEATS,
    MAX_BYTES,
    MAX_METRES,
    MAX_TEMPO,
    MAX_TEMPOS,
    MIN_TEMPO,
    UNITS,
    Music,
    MusicFileError,
    Part,
    check_size,
    lay_on_grid,
    lay_on_roll,
    metre_of,
    one_line,
    sounds,
)

if TYPE_CHECKING:
    import pretty_midi

__all__ = [
    "SUFFIXES",
    "MusicFileError",
    "from_music21",
    "from_pretty_midi",
    "program_name",
    "read",
    "read_midi",
    "read_music",
    "read_musicxml",
    "read_roll",
    "to_music21",
    "to_musicxml",
    "to_pretty_midi",
    "write",
]

SUFFIXES = (".mid", ".midi", ".musicxml", ".xml", ".mxl")
"""Endings of the file names that `write` knows."""

_VELOCITY = 80
#: Most texts (lyrics and markers) in a file; each takes ten times as much memory as in the file.
_MAX_TEXTS = 400_000
_SILENT = "silent, program "  # marks a track without notes, which a reader would drop
_DRUMS = " drums"
_TITLE = "title: "
_NAMES = "a MIDI file (.mid) or a MusicXML file (.musicxml, .xml, .mxl)"


def read(path: str | os.PathLike[str], grid: Grid | None = None) -> Piece:
    """Read a MIDI or MusicXML file as a piece on a grid.

    Of a score, repeats are read once, as written; grace notes, cue notes and drums without a MIDI number are left out.

    Parameters
    ----------
    path : str or path
        The file; what it is, is seen from its contents, not from its name.
    grid : Grid, optional
        By default the bar is that of the file's first time signature, cut into sixteenths, and the pitches
        are 36..83, with as many octaves more as the notes need. A given grid's beats are taken to be those
        of the time signature if there are as many in a bar, and quarter notes otherwise.

    Returns
    -------
    Piece
        Its label ``time_signature`` (such as ``'6/8'``) is set where a beat is not a quarter note.

    Raises
    ------
    MusicFileError
        If the file is missing, empty, damaged, too large or too long, is not music, holds no notes, or has
        notes outside the pitches of the given grid.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    return lay_on_grid(read_music(path), grid, path)


def read_roll(path: str | os.PathLike[str], grid: Grid | None = None) -> tuple[Roll, Grid]:
    """Read a MIDI or MusicXML file as a roll ``[shape=(track, bar, step, pitch)]``, and say on which grid.

    The same as `read` and `piece_to_roll`, in less than half the time: no `Note` is made on the way.

    Raises
    ------
    MusicFileError
        As `read`.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    return lay_on_roll(read_music(path), grid, path)


def read_music(path: str | os.PathLike[str]) -> Music:
    """Read what a MIDI or MusicXML file says, before it lies on a grid.

    Raises
    ------
    MusicFileError
        If the file is missing, empty, damaged, too large, or is not music.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    data = _load(path)
    if data.startswith(b"MThd"):
        return _parse_midi(data, path)
    if data.startswith(b"PK") or b"<" in data[:8]:
        return musicxml.parse(data, path)
    raise MusicFileError(path, f"is not music that can be read; {_NAMES} would fit")


def read_midi(path: str | os.PathLike[str], grid: Grid | None = None) -> Piece:
    """Read a MIDI file as a piece, like `read`, and refuse any other file.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    return lay_on_grid(_parse_midi(_load(path), path), grid, path)


def read_musicxml(path: str | os.PathLike[str], grid: Grid | None = None) -> Piece:
    """Read a MusicXML file, plain or compressed, as a piece, like `read`, and refuse any other file.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    return lay_on_grid(musicxml.parse(_load(path), path), grid, path)


def write(piece: Piece, path: str | os.PathLike[str]) -> None:
    """Write a piece to a MIDI or MusicXML file, chosen by the name's ending (`SUFFIXES`).

    The same piece always gives the same bytes, and no half-written file is left behind on an error.

    Raises
    ------
    ValueError
        If the ending is unknown, or the piece holds what such a file cannot.
    OSError
        If the file cannot be written.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: a music file ends in one of {', '.join(SUFFIXES)}")
    if suffix in (".mid", ".midi"):
        data = _midi_bytes(piece)
    else:
        score = to_musicxml(piece)
        data = musicxml.compress(score) if suffix == ".mxl" else score.encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def from_pretty_midi(midi: pretty_midi.PrettyMIDI, grid: Grid | None = None) -> Piece:
    """Lay the notes of a `pretty_midi.PrettyMIDI` on a grid, like `read`.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    midi = copy.deepcopy(midi)
    for instrument in midi.instruments:  # pretty_midi writes Latin-1, and MIDI names are UTF-8
        instrument.name = instrument.name.encode().decode("latin-1")
    buffer = io.BytesIO()
    midi.write(buffer)
    source = "PrettyMIDI object"
    return lay_on_grid(_parse_midi(buffer.getvalue(), source), grid, source)


def to_pretty_midi(piece: Piece) -> pretty_midi.PrettyMIDI:
    """Convert a piece to a `pretty_midi.PrettyMIDI`, whose times are seconds, and which has no title.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    import pretty_midi

    midi = pretty_midi.PrettyMIDI(io.BytesIO(_midi_bytes(piece)))
    for instrument in midi.instruments:  # pretty_midi reads Latin-1, and MIDI names are UTF-8
        instrument.name = instrument.name.encode("latin-1").decode()
    return midi


def program_name(program: int) -> str:
    """Name a General MIDI program, 0 to 127: 'Acoustic Grand Piano'.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    import pretty_midi

    return str(pretty_midi.program_to_instrument_name(program))


def _load(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file that exists and is neither empty nor too large."""
    try:
        with Path(path).open("rb") as file:
            # Not at once: room for the largest file would be made for the smallest.
            data = file.read(min(MAX_BYTES, os.fstat(file.fileno()).st_size) + 1)
    except IsADirectoryError as error:
        raise MusicFileError(path, f"is a folder; {_NAMES} would fit") from error
    except FileNotFoundError as error:
        raise MusicFileError(path, "there is no such file") from error
    except OSError as error:
        raise MusicFileError(path, f"cannot be read ({error.strerror})") from error
    if not data:
        raise MusicFileError(path, "the file is empty")
    if len(data) > MAX_BYTES:
        raise MusicFileError(path, f"the file is larger than {MAX_BYTES / 1e6:.0f} MB")
    return data


def _parse_midi(data: bytes, source: str | os.PathLike[str]) -> Music:
    """Read the contents of a MIDI file."""
    import symusic

    if not data.startswith(b"MThd"):
        raise MusicFileError(source, "is not a MIDI file: it does not begin with 'MThd'")
    if len(data) < 14:
        raise MusicFileError(source, "the file is cut short, inside its header")
    division = int.from_bytes(data[12:14], "big")
    if division == 0:
        raise MusicFileError(source, "its resolution is zero ticks a quarter note")
    if division & 0x8000:
        raise MusicFileError(source, "its clock counts film frames (SMPTE), not parts of a beat")
    if data.count(b"\xff\x05") + data.count(b"\xff\x06") > _MAX_TEXTS:
        raise MusicFileError(source, "the file is damaged (countless lyrics or markers)")
    try:
        score = symusic.Score.from_midi(data)
        tracks = list(score.tracks)
        lists = [track.notes for track in tracks]
        check_size([len(notes) for notes in lists if len(notes)], source)
        if len(score.time_signatures) > MAX_METRES or len(score.tempos) > MAX_TEMPOS:
            raise ValueError("countless changes of tempo or metre")
        parts = []
        for track, notes in zip(tracks, lists, strict=True):
            silent = None
            if not len(notes):
                texts = (text.text for text in track.lyrics)
                silent = next((text for text in texts if text.startswith(_SILENT)), None)
                if silent is None:
                    continue
            columns = notes.numpy()
            events = np.empty((len(notes), 3), dtype=np.int64)
            events[:, 0] = columns["time"]
            events[:, 1] = columns["duration"]
            events[:, 1] += events[:, 0]
            events[:, 2] = columns["pitch"]
            program, is_drum = track.program, track.is_drum
            if silent:
                number, _, kind = silent.removeprefix(_SILENT).partition(",")
                program, is_drum = int(number) % 128, kind == _DRUMS
            parts.append(Part(track.name, events, program, is_drum))
        metres = [(mark.time, mark.numerator, mark.denominator) for mark in score.time_signatures]
        tempos = [(mark.time, 60e6 / max(1, mark.mspq)) for mark in score.tempos]
        title = next((m.text for m in score.markers if m.time == 0 and m.text.startswith(_TITLE)), "")
    except MusicFileError:
        raise
    except Exception as error:  # whatever the parser says, the file is at fault
        reason = f"the file is damaged or cut short ({one_line(error)})"
        raise MusicFileError(source, reason) from error
    tempos = sorted({time: qpm for time, qpm in tempos if time >= 0 and MIN_TEMPO <= qpm <= MAX_TEMPO}.items())
    onset = min((int(part.events[:, 0].min()) for part in parts if len(part.events)), default=0)
    metre, pickup, changes = _metres(metres, division)
    return Music(
        parts,
        division,
        metre,
        pickup,
        _tempo_at(onset, tempos),
        title.removeprefix(_TITLE),
        changes,
        tuple(tempos),
    )


def _metres(
    marks: list[tuple[int, int, int]], division: int
) -> tuple[tuple[int, int], int, tuple[tuple[int, int, int], ...]]:
    """Find the metre, the ticks before its first bar line, and the later metres with their ticks.

    `marks` are time, numerator and denominator; of what is said at one time the last holds, and damage is left out.
    """
    sane = {
        time: (time, numerator, denominator)
        for time, numerator, denominator in marks
        if time >= 0 and 1 <= numerator <= MAX_BEATS and denominator in UNITS
    }
    if not sane:
        return (4, 4), 0, ()
    found = [sane[time] for time in sorted(sane)]
    begin = 0
    if len(found) > 1:
        # A metre that begins before one of its own bars has gone by follows a pickup.
        bar_line, beats, unit = found[1]
        begin = int(bar_line * unit < beats * 4 * division)
    tick, numerator, denominator = found[begin]
    return (numerator, denominator), tick if begin else 0, tuple(found[begin + 1 :])


def _tempo_at(onset: int, tempos: list[tuple[int, float]]) -> float:
    """Return the quarter notes a minute at the first note; MIDI's own default is 120."""
    before = [qpm for time, qpm in tempos if time <= onset]
    return before[-1] if before else tempos[0][1] if tempos else 120.0


def _midi_bytes(piece: Piece) -> bytes:
    """Write the contents of a MIDI file."""
    import symusic

    numerator, denominator = metre_of(piece)
    per_whole = denominator * piece.grid.steps_per_beat
    ticks = math.lcm(480, per_whole)  # a quarter note; so a step is a whole number of ticks
    if ticks >= 0x8000:
        raise ValueError(f"{piece.grid.steps_per_beat} steps a beat are too fine for a MIDI file")
    step = 4 * ticks // per_whole
    first = -piece.pickup % piece.grid.n_steps

    score = symusic.Score(ticks)
    score.tempos.append(symusic.Tempo(0, piece.tempo * 4 / denominator))
    if piece.pickup:
        # The pickup as a metre of its own if it has one (it has none if it is a third of a beat).
        length = Fraction(piece.pickup, per_whole)
        unit = max(denominator, length.denominator)
        beats = int(length * unit)
        own = unit in UNITS and beats <= MAX_BEATS
        opening = (beats, unit) if own else (numerator, denominator)
        score.time_signatures.append(symusic.TimeSignature(0, *opening))
    bar_line = piece.pickup * step
    score.time_signatures.append(symusic.TimeSignature(bar_line, numerator, denominator))
    if piece.title:
        score.markers.append(symusic.TextMeta(0, _TITLE + piece.title))
    for track in piece.tracks:
        part = symusic.Track(track.name, track.program, track.is_drum)
        for note in sounds(track):
            start, duration = (note.onset - first) * step, note.duration * step
            part.notes.append(symusic.Note(start, duration, note.pitch, _VELOCITY))
        if not track.notes:
            kind = f",{_DRUMS}" if track.is_drum else ""
            part.lyrics.append(symusic.TextMeta(0, f"{_SILENT}{track.program}{kind}"))
        score.tracks.append(part)
    return bytes(score.dumps_midi())
