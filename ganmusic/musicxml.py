"""MusicXML and notation: scores to notes and back, through music21.

In MusicXML a pickup is a shorter measure 0, and a note that crosses a bar line, or meets a change in a
chord, is written as tied notes; reading merges them. Repeats are read once, as written. music21 knows
notation and is slow, so it is imported only where it is needed.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import io
import itertools
import os
import re
import warnings
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from xml.parsers import expat

import numpy as np

from ganmusic.files import printable
from ganmusic.pianoroll import Grid, Note, Piece, Track
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

__all__ = [
    "MAX_SCORE_NOTES",
    "compress",
    "from_music21",
    "parse",
    "to_music21",
    "to_musicxml",
]

MAX_SCORE_NOTES = 100_000
"""Most notes that a MusicXML file may hold: music21 needs about 4 KB for each."""

_TICKS = 10080  # a quarter note, in ticks of this module: divides by 2, 3, 5 and 7


def parse(data: bytes, source: str | os.PathLike[str]) -> Music:
    """Read the contents of a MusicXML file, plain or compressed.

    Raises
    ------
    MusicFileError
        If they are damaged, too large, no score, or XML that only an attacker writes.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    from music21.musicxml.xmlToM21 import MusicXMLImporter

    if data.startswith(b"PK"):
        data = _unzip(data, source)
    _check_xml(data, source)
    try:
        tree = ElementTree.fromstring(data)  # noqa: S314  (checked above: no entities)
        for instrument in tree.iterfind("part-list/score-part[midi-instrument]/score-instrument"):
            instrument.clear()  # where the program is stated, music21 must not guess it from a name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on notation that it passes over
            return _music_of_score(MusicXMLImporter().xmlRootToScore(tree))
    except Exception as error:  # music21 raises whatever the notation made it trip over
        reason = f"the score cannot be made sense of ({one_line(error)})"
        raise MusicFileError(source, reason) from error


def _unzip(data: bytes, source: str | os.PathLike[str]) -> bytes:
    """Return the score inside a compressed file, reading no more of it than `MAX_BYTES`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:

            def member(name: str) -> bytes:
                with archive.open(name) as file:
                    content = file.read(MAX_BYTES + 1)
                if len(content) > MAX_BYTES:
                    reason = f"{name} in it is larger than {MAX_BYTES / 1e6:.0f} MB unpacked"
                    raise MusicFileError(source, reason)
                return content

            container = member("META-INF/container.xml")
            _check_xml(container, source, root="container")
            files = ElementTree.fromstring(container).iter("rootfile")  # noqa: S314  (checked above)
            return member(next(file.attrib["full-path"] for file in files))
    except MusicFileError:
        raise
    except Exception as error:  # zipfile raises eight kinds of error for damaged archives
        reason = f"is not a compressed MusicXML file, or is damaged ({one_line(error)})"
        raise MusicFileError(source, reason) from error


def _check_xml(data: bytes, source: str | os.PathLike[str], root: str = "score-partwise") -> None:
    """Refuse XML that is broken, is not a score, is too large or declares entities, in constant memory.

    Entities are how a small file expands to gigabytes or pulls in another file; no score needs them.
    """
    n_elements = n_notes = 0

    def element(name: str, attributes: dict[str, str]) -> None:
        nonlocal n_elements, n_notes
        if n_elements == 0 and name != root:
            raise MusicFileError(source, f"is XML but not a score: <{name}> instead of <{root}>")
        n_elements += 1
        n_notes += name == "note"
        if n_notes > MAX_SCORE_NOTES or n_elements > 40 * MAX_SCORE_NOTES:
            raise MusicFileError(
                source, f"a score of more than {MAX_SCORE_NOTES:,} notes is too large"
            )

    def entity(*declaration: Any) -> None:
        raise MusicFileError(source, "it declares XML entities, which no score needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler = element
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, MusicFileError):
            raise
        reason = f"is not well-formed XML, or is cut short ({one_line(error)})"
        raise MusicFileError(source, reason) from error


def from_music21(score: Any, grid: Grid | None = None) -> Piece:
    """Lay the notes of a `music21.stream.Score` on a grid, like `read`.

    Tied notes are merged; grace notes, which take no time, and chord symbols are left out.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    source = "music21 score"
    try:
        music = _music_of_score(score)
    except Exception as error:  # music21 raises whatever the notation made it trip over
        raise MusicFileError(source, f"cannot be made sense of ({one_line(error)})") from error
    return lay_on_grid(music, grid, source)


def _music_of_score(score: Any) -> Music:
    """Read a music21 score: notes in ticks, ties merged."""
    from music21 import meter, stream, tempo

    parts = list(score.parts) or [score]
    signatures = parts[0].recurse().getElementsByClass(meter.TimeSignature)
    metres = [(s.numerator, s.denominator) for s in signatures]
    metre = next((m for m in metres if 1 <= m[0] <= MAX_BEATS and m[1] in UNITS), (4, 4))
    measures = list(parts[0].getElementsByClass(stream.Measure))
    pickup = 0
    if measures and (len(measures) > 1 or measures[0].number == 0):
        length = Fraction(measures[0].highestTime)
        if length < Fraction(4 * metre[0], metre[1]):
            pickup = _ticks(length)
    marks = score.recurse().getElementsByClass(tempo.MetronomeMark)
    tempos = [mark.getQuarterBPM() for mark in marks]
    known = [
        float(quarters) for quarters in tempos if quarters and MIN_TEMPO <= quarters <= MAX_TEMPO
    ]
    return Music(
        [_read_part(part) for part in parts],
        _TICKS,
        metre,
        pickup,
        known[0] if known else Piece.tempo * 4 / metre[1],
        (score.metadata and score.metadata.bestTitle) or "",
    )


def _ticks(quarters: Any) -> int:
    """Convert music21's quarter notes to ticks; the cap keeps absurd lengths within 64 bits."""
    return round(min(Fraction(quarters), Fraction(2**30)) * _TICKS)


def _read_part(part: Any) -> Part:
    """Read the notes of one part, tied ones as one."""
    from music21 import chord, harmony, instrument, note

    events: list[list[int]] = []
    tied: dict[int, list[int]] = {}
    is_drum = False
    program = 0
    for element in part.recurse().getElementsByClass(instrument.Instrument):
        program = (element.midiProgram or program) % 128
        is_drum = is_drum or element.midiChannel == 9
    if part.atSoundingPitch is False:  # a transposing instrument, such as a clarinet in B flat
        part = part.toSoundingPitch()
    for element in part.flatten().notes:
        if isinstance(element, harmony.Harmony) or not element.quarterLength:
            continue
        start = _ticks(element.offset)
        end = _ticks(Fraction(element.offset) + Fraction(element.quarterLength))
        for sound in element.notes if isinstance(element, chord.ChordBase) else [element]:
            if isinstance(sound, note.Note):
                pitch = sound.pitch.midi
            else:  # an unpitched note is a drum; its instrument may know the General MIDI number
                pitch = getattr(sound.storedInstrument, "percMapPitch", None)
                is_drum = True
            if pitch is None:
                continue
            tie = sound.tie  # its own: `Chord.tie` is that of any of its notes
            before = tied.pop(pitch, None)
            if before and tie and tie.type in ("stop", "continue") and before[1] == start:
                event = before
                event[1] = end
            else:
                event = [start, end, pitch]
                events.append(event)
            if tie and tie.type in ("start", "continue"):
                tied[pitch] = event
    array = np.array(events, dtype=np.int64).reshape(-1, 3)
    return Part(part.partName or "", array, program, is_drum)


def to_musicxml(piece: Piece) -> str:
    """Convert a piece to the text of a MusicXML file; the same piece always gives the same text.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    xml: bytes = GeneralObjectExporter(to_music21(piece)).parse()
    # The date of writing is no part of the music.
    return re.sub(r"\s*<encoding-date>[^<]*</encoding-date>", "", xml.decode())


def compress(xml: str) -> bytes:
    """Pack the text of a MusicXML file as a compressed one (``.mxl``).

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    container = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles>'
        '<rootfile full-path="score.musicxml"/></rootfiles></container>\n'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in (("META-INF/container.xml", container), ("score.musicxml", xml)):
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def to_music21(piece: Piece) -> Any:
    """Convert a piece to a `music21.stream.Score`: one staff a track, in measures, ready to engrave.

    If the piece's labels name a ``tonic`` (0-11) and a ``mode`` ('major' or 'minor'), the score has the key
    signature and the notes are spelled in that key; otherwise as in C major.

    Raises
    ------
    ValueError
        If the piece holds what a score cannot.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    from music21 import layout, metadata, stream

    metre = metre_of(piece)
    score = stream.Score()
    about = metadata.Metadata(movementName=printable(piece.title))
    # An empty composer, or music21 signs the score with its own name.
    about.composer = printable(str(piece.labels.get("composer", "")))
    score.insert(0, about)
    staves = [_staff(piece, track, index, metre) for index, track in enumerate(piece.tracks)]
    for staff in staves:
        score.insert(0, staff)
    if len(staves) > 1:
        score.insert(0, layout.StaffGroup(staves, symbol="bracket", barTogether=True))
    return score


def _staff(piece: Piece, track: Track, index: int, metre: tuple[int, int]) -> Any:
    """Write one track in measures; `index` is its place in the score."""
    from music21 import clef, instrument, key, meter, stream, tempo

    staff = stream.Part(id=f"P{index + 1}")
    staff.partName = printable(track.name)
    sound = instrument.Instrument(
        instrument.instrumentFromMidiProgram(track.program).instrumentName
    )
    # Named ids, or music21 draws random ones and the same piece never gives the same file.
    sound.partId, sound.instrumentId = f"P{index + 1}", f"I{index + 1}"
    sound.midiProgram = track.program
    sound.midiChannel = 9 if track.is_drum else (*range(9), *range(10, 16))[index % 15]
    staff.insert(0, sound)

    n_steps = piece.grid.n_steps
    step = Fraction(4, metre[1] * piece.grid.steps_per_beat)  # in quarter notes
    sharps = _sharps(piece)
    bars: list[list[Note]] = [[] for _ in range(max(1, piece.n_bars))]
    for note in sounds(track):
        for bar in range(note.onset // n_steps, -(-note.end // n_steps)):
            bars[bar].append(note)
    for bar, notes in enumerate(bars):
        measure = stream.Measure(number=bar if piece.pickup else bar + 1)
        silent = n_steps - piece.pickup if piece.pickup and bar == 0 else 0
        measure.paddingLeft = silent * step
        if bar == 0:
            measure.append(clef.PercussionClef() if track.is_drum else _clef(track))
            if sharps is not None:
                measure.append(key.KeySignature(sharps))
            measure.append(meter.TimeSignature(f"{metre[0]}/{metre[1]}"))
            if index == 0:
                measure.append(tempo.MetronomeMark(number=piece.tempo, referent=4 / metre[1]))
        for element in _slices(notes, bar * n_steps + silent, (bar + 1) * n_steps, step, sharps):
            measure.append(element)
        staff.append(measure)
    measure.rightBarline = "final"
    return staff


def _slices(
    notes: list[Note], first: int, last: int, step: Fraction, sharps: int | None
) -> Iterator[Any]:
    """Cut the steps ``first <= step < last`` wherever a note begins or ends, with ties across the cuts."""
    from music21 import chord, note, tie

    ends = (min(max(end, first), last) for n in notes for end in (n.onset, n.end))
    for start, end in itertools.pairwise(sorted({first, last, *ends})):
        sounding = []
        for n in notes:
            if n.onset <= start and end <= n.end:
                sound = note.Note(_spelled(n.pitch, sharps or 0))
                if n.onset < start or end < n.end:
                    going_on = "continue" if n.onset < start else "start"
                    sound.tie = tie.Tie(going_on if end < n.end else "stop")
                sounding.append(sound)
        element: Any = chord.Chord(sounding) if sounding else note.Rest()
        if len(sounding) == 1:
            element = sounding[0]
        element.quarterLength = (end - start) * step
        yield element


def _clef(track: Track) -> Any:
    """Choose the clef whose staff the notes lie on: treble around G4, bass around D3."""
    from music21 import clef

    pitches = [note.pitch for note in track.notes]
    return clef.TrebleClef() if not pitches or np.mean(pitches) >= 60 else clef.BassClef()


def _sharps(piece: Piece) -> int | None:
    """Return the sharps (negative: flats) of the key signature, or None where no key is known."""
    tonic, mode = piece.labels.get("tonic"), piece.labels.get("mode")
    if tonic is None or mode not in ("major", "minor"):
        return None
    relative_major = (tonic + (3 if mode == "minor" else 0)) % 12
    return int((relative_major * 7 + 5) % 12 - 5)


def _spelled(number: int, sharps: int) -> Any:
    """Spell a MIDI pitch in a key: 61 is C sharp in C major and D flat in A flat major.

    On the line of fifths (... B flat, F, C, G, D ...) a key of `s` sharps takes the twelve names from
    ``s - 3`` to ``s + 8``: its scale, the raised notes that lead to its degrees, and two flattened ones.
    """
    from music21 import pitch

    lowest = sharps - 3
    fifths = lowest + (number * 7 - lowest) % 12
    alter, letter = divmod(fifths + 1, 7)
    octave = (number - alter) // 12 - 1
    return pitch.Pitch(step="FCGDAEB"[letter], accidental=alter or None, octave=octave)
