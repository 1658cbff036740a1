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
from ganmusic.pianoroll import Grid, Piece
from ganmusic.quantise import (
    MAX_BEATS,
    MAX_BYTES,
    MAX_TEMPO,
    MIN_TEMPO,
    UNITS,
    Music,
    MusicFileError,
    Part,
    lay_on_grid,
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
    "read",
    "read_midi",
    "read_musicxml",
    "to_music21",
    "to_musicxml",
    "to_pretty_midi",
    "write",
]

SUFFIXES = (".mid", ".midi", ".musicxml", ".xml", ".mxl")
"""Endings of the file names that `write` knows."""

_VELOCITY = 80
_SILENT = "silent, program "  # marks a track without notes, which a reader would drop
_TITLE = "title: "
_NAMES = "a MIDI file (.mid) or a MusicXML file (.musicxml, .xml, .mxl)"


def read(path: str | os.PathLike[str], grid: Grid | None = None) -> Piece:
    """Read a MIDI or MusicXML file as a piece on a grid.

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
        If the file is missing, empty, damaged, too large or too long, is not music, holds no notes or
        nothing but drums, or has notes outside the pitches of the given grid.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    data = _load(path)
    if data.startswith(b"MThd"):
        return lay_on_grid(_parse_midi(data, path), grid, path)
    if data.startswith(b"PK") or b"<" in data[:8]:
        return lay_on_grid(musicxml.parse(data, path), grid, path)
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


def _load(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file that exists and is neither empty nor too large."""
    try:
        if Path(path).is_dir():
            raise MusicFileError(path, f"is a folder; {_NAMES} would fit")
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
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
    try:
        score = symusic.Score.from_midi(data)
        parts = []
        for track in score.tracks:
            silent = [text.text for text in track.lyrics if text.text.startswith(_SILENT)]
            if not len(track.notes) and not silent:
                continue
            columns = track.notes.numpy()
            start = columns["time"].astype(np.int64)
            end = start + columns["duration"]
            events = np.stack([start, end, columns["pitch"].astype(np.int64)], axis=1)
            program = int(silent[0].removeprefix(_SILENT)) % 128 if silent else track.program
            parts.append(Part(track.name, events, program, track.is_drum))
        signatures = [(s.time, s.numerator, s.denominator) for s in score.time_signatures]
        tempos = [(tempo.time, tempo.qpm) for tempo in score.tempos]
        markers = [text.text for text in score.markers if text.time == 0]
    except Exception as error:  # whatever the parser says, the file is at fault
        reason = f"the file is damaged or cut short ({one_line(error)})"
        raise MusicFileError(source, reason) from error
    metre, pickup = _metre_and_pickup(signatures, division)
    onset = min((int(part.events[:, 0].min()) for part in parts if len(part.events)), default=0)
    titles = [text.removeprefix(_TITLE) for text in markers if text.startswith(_TITLE)]
    return Music(
        parts, division, metre, pickup, _tempo_at(onset, tempos), titles[0] if titles else ""
    )


def _metre_and_pickup(
    signatures: list[tuple[int, int, int]], division: int
) -> tuple[tuple[int, int], int]:
    """Find the metre, and the ticks before its first bar line, from ``(time, numerator, denominator)``."""
    sane = sorted(
        (time, numerator, denominator)
        for time, numerator, denominator in signatures
        if time >= 0 and 1 <= numerator <= MAX_BEATS and denominator in UNITS
    )
    at = {time: (numerator, denominator) for time, numerator, denominator in sane}
    if not at:
        return (4, 4), 0
    first, *later = sorted(at)
    if later:
        # A metre that begins before one of its own bars has gone by follows a pickup.
        numerator, denominator = at[later[0]]
        if later[0] * denominator < numerator * 4 * division:
            return at[later[0]], later[0]
    return at[first], 0


def _tempo_at(onset: int, tempos: list[tuple[int, float]]) -> float:
    """Return the quarter notes a minute at the first note; MIDI's own default is 120."""
    tempos = [(time, qpm) for time, qpm in tempos if MIN_TEMPO <= qpm <= MAX_TEMPO]
    before = [qpm for time, qpm in sorted(tempos) if time <= onset]
    return before[-1] if before else min(tempos)[1] if tempos else 120.0


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
            part.lyrics.append(symusic.TextMeta(0, f"{_SILENT}{track.program}"))
        score.tracks.append(part)
    return bytes(score.dumps_midi())
