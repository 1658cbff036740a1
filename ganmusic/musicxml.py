"""MusicXML and notation: scores to notes and back, through music21.

In MusicXML a pickup is a shorter measure 0, and a note that crosses a bar line, or meets a change in a
chord, is written as tied notes; reading merges them. Repeats are read once, as written. Grace notes, which
take no time, and cue notes, which another player plays, are left out. music21 knows notation and is slow,
so it is imported only where it is needed.

A drum has no pitch in MusicXML: its note is unpitched, and names an instrument of the part, whose
``<midi-unpitched>`` is the General MIDI number, counted from 1. A part with an instrument on MIDI channel
10, or with such a number for one of its notes, is drums. Where the file gives no number, the unpitched
notes are left out, since their height on the staff says nothing about the sound; the part and its other
notes stay.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import io
import itertools
import math
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
    MAX_METRES,
    MAX_TEMPO,
    MAX_TEMPOS,
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

MAX_SCORE_NOTES = 40_000
"""Most notes, rests and measures that a MusicXML file may hold: music21 needs 4 KB and 0.1 ms for each."""

_MAX_MEMBERS = 1_000
_MAX_TEXT = 1_000  # characters of a title, a name or a number
_SCORE = {
    parent: frozenset(children.split())
    for parent, children in {
        "score-partwise": "work movement-title identification part-list part",
        "work": "work-title",
        "identification": "encoding",
        "encoding": "software",  # music21 knows whose habits to allow for
        "part-list": "score-part",
        "score-part": "part-name part-abbreviation score-instrument midi-instrument",
        "score-instrument": "instrument-name instrument-abbreviation instrument-sound",
        "midi-instrument": "midi-channel midi-program midi-unpitched",
        "part": "measure",
        "measure": "attributes note backup forward direction sound",
        "attributes": "divisions time staves transpose",
        "time": "beats beat-type",
        "transpose": "diatonic chromatic octave-change double",
        "note": "grace cue chord pitch unpitched rest duration type tie staff instrument",
        "pitch": "step alter octave",
        "backup": "duration",
        "forward": "duration staff",
        "direction": "direction-type sound staff",
        "direction-type": "metronome",
        "metronome": "beat-unit beat-unit-dot per-minute",
    }.items()
}
_CONTAINER = {"container": frozenset({"rootfiles"}), "rootfiles": frozenset({"rootfile"})}
_ATTRIBUTES = frozenset({"id", "number", "implicit", "type", "measure", "tempo", "full-path"})
_WORK = {"note": 1.0, "measure": 1.5, "part": 2.0, "sound": 1.0, "metronome": 1.0, "time": 25.0, "transpose": 40.0}
"""What music21 needs for an element, in units of a note's."""
_MAX_WORK = 6_000.0  # in 100 KB of score, where hundreds would do
_BOUNDS = {
    "divisions": (1e-3, 1e6),
    "duration": (0, 1e300),
    "octave": (-1, 10),
    "chromatic": (-48, 48),
    "diatonic": (-28, 28),
    "octave-change": (-4, 4),
    "midi-unpitched": (1, 128),
    "staves": (1, 4),
    "staff": (1, 4),
}
_TICKS = 10080  # a quarter note, in ticks of this module: divides by 2, 3, 5 and 7


def parse(data: bytes, source: str | os.PathLike[str]) -> Music:
    """Read the contents of a MusicXML file, plain or compressed.

    Repeats are read once, as written; grace notes and cue notes are left out, and so are drums without a MIDI number.

    Raises
    ------
    MusicFileError
        If they are damaged, too large, no score, or XML that only an attacker writes; if all their notes are drums
        without a MIDI number.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if data.startswith(b"PK"):
        data = _unzip(data, source)
    tree = _tree(data, source, _SCORE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on notation that music21 passes over
            music = _music_of_score(_score_of_tree(tree))
    except Exception as error:  # music21 raises whatever the notation made it trip over
        reason = f"the score cannot be made sense of ({one_line(error)})"
        raise MusicFileError(source, reason) from error
    if not any(len(part.events) for part in music.parts) and tree.find("part/measure/note/unpitched") is not None:
        raise MusicFileError(source, "its notes are unpitched, and no <midi-unpitched> says which drums they are")
    return music


def _score_of_tree(tree: ElementTree.Element) -> Any:
    """Convert the tree of a MusicXML file to a `music21.stream.Score`."""
    from music21.musicxml import xmlToM21

    for instrument in tree.iterfind("part-list/score-part[midi-instrument]/score-instrument"):
        instrument.clear()  # where the program is stated, music21 must not guess it from a name
    _number_drums(tree)
    for measure in tree.iterfind("part/measure"):
        # Grace notes take no time, but music21 may give them some, and the bars then drift apart.
        measure[:] = [element for element in measure if element.find("grace") is None]
        _silence_cues(measure)
        for attributes in measure.iterfind("attributes"):
            attributes[:] = [element for element in attributes if element.tag != "time" or _sane(element)]

    class PartParser(xmlToM21.PartParser):  # type: ignore[misc]  # music21 has no types
        def adjustTimeAttributesFromMeasure(self, m: Any) -> None:  # noqa: N802  (music21's name)
            metre = self.lastTimeSignature
            length = m.highestTime
            if length < (metre.barDuration.quarterLength if metre else 4) and m.recurse().notesAndRests:
                # A short measure lasts as long as its notes. music21 says the same, and searches the
                # whole part to see how short: a minute for 1,000 such measures.
                self.lastMeasureOffset += length
            else:
                super().adjustTimeAttributesFromMeasure(m)

    class Importer(xmlToM21.MusicXMLImporter):  # type: ignore[misc]
        def xmlPartToPart(self, part: Any, about: Any) -> Any:  # noqa: N802
            parser = PartParser(part, mxScorePart=about, parent=self)
            parser.parse()
            return parser.stream if parser.appendToScoreAfterParse else None

    importer = Importer()
    importer.xmlRootToScore(tree, importer.stream)  # the staves of a piano part go nowhere else
    return importer.stream


def _number_drums(tree: ElementTree.Element) -> None:
    """Write unpitched notes as the pitches that General MIDI has for them, and their parts as `to_musicxml` would.

    music21 keeps one instrument of a part, so it could not tell the drums of a kit apart.
    """
    numbers: dict[str | None, dict[str | None, int]] = {}  # by part and instrument
    drums = set()
    for about in tree.iterfind("part-list/score-part"):
        known = numbers[about.get("id")] = {}
        instruments = about.findall("midi-instrument")
        for instrument in instruments:
            key = _number(instrument.findtext("midi-unpitched"))
            if not math.isnan(key):
                known[instrument.get("id")] = int(key) - 1
            if _number(instrument.findtext("midi-channel")) == 10:
                drums.add(about.get("id"))
        if len(instruments) == 1 and known:
            [known[None]] = known.values()  # its notes need not name it
    for part in tree.iterfind("part"):
        known = numbers.get(part.get("id"), {})
        for note in part.iterfind("measure/note"):
            if note.find("unpitched") is None:
                continue
            names = [instrument.get("id") for instrument in note.iterfind("instrument")] or [None]
            number = next((known[name] for name in names if name in known), None)
            if number is not None:
                note[:] = [element for element in note if element.tag != "unpitched"] + [_pitch(number)]
                drums.add(part.get("id"))
        if part.get("id") in drums:
            for attributes in part.iterfind("measure/attributes"):  # a number is that of the sound
                attributes[:] = [element for element in attributes if element.tag != "transpose"]
    for about in tree.iterfind("part-list/score-part"):
        if about.get("id") in drums:
            program = (about.findtext("midi-instrument/midi-program") or "").strip()
            about[:] = [element for element in about if element.tag != "midi-instrument"]
            instrument = ElementTree.SubElement(about, "midi-instrument")
            ElementTree.SubElement(instrument, "midi-channel").text = "10"
            ElementTree.SubElement(instrument, "midi-program").text = program or "1"


def _pitch(number: int) -> ElementTree.Element:
    """Write a MIDI number as a pitch, black keys as sharps."""
    octave, step = divmod(number, 12)
    pitch = ElementTree.Element("pitch")
    ElementTree.SubElement(pitch, "step").text = "CCDDEFFGGAAB"[step]
    ElementTree.SubElement(pitch, "alter").text = "010100101010"[step]
    ElementTree.SubElement(pitch, "octave").text = str(octave - 1)
    return pitch


def _silence_cues(measure: ElementTree.Element) -> None:
    """Leave out cue notes, with a rest where nothing else sounds; music21 would take them for the part's own."""
    if measure.find("note/cue") is None:
        return
    chords: list[list[ElementTree.Element]] = []
    for note in measure.iterfind("note"):
        if note.find("chord") is None or not chords:
            chords.append([])
        chords[-1].append(note)
    dropped: set[ElementTree.Element] = set()
    for notes in chords:
        cues = [note for note in notes if note.find("cue") is not None]
        if len(cues) == len(notes):
            first = notes[0]
            first[:] = [element for element in first if element.tag in ("duration", "type", "staff")]
            ElementTree.SubElement(first, "rest")
        elif cues:
            first = next(note for note in notes if note.find("cue") is None)
            first[:] = [element for element in first if element.tag != "chord"]
        else:
            continue
        dropped.update(note for note in cues if note is not first)
    measure[:] = [element for element in measure if element not in dropped]


def _number(text: str | None) -> float:
    """Return the number in an element, NaN if it is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _sane(time: ElementTree.Element) -> bool:
    """Tell whether a time signature is one, such as 3+2/8; others are taken for damage, or leave the metre open."""
    beats = "+".join(element.text or "" for element in time.iter("beats")).split("+")
    units = [element.text or "" for element in time.iter("beat-type")]
    numbers = [int(beat) for beat in beats if beat.strip().isdecimal() and len(beat) < 9]
    known = all(unit.strip() in map(str, UNITS) for unit in units) and len(units) > 0
    return known and len(numbers) == len(beats) and min(numbers) >= 1 and sum(numbers) <= MAX_BEATS


def _unzip(data: bytes, source: str | os.PathLike[str]) -> bytes:
    """Return the score inside a compressed file, reading no more of it than `MAX_BYTES`."""
    try:
        # The list of members is read whole, at 500 bytes of memory for each of at least 46 in the file.
        if data.count(b"PK\x01\x02") > _MAX_MEMBERS:
            raise MusicFileError(source, f"an archive of more than {_MAX_MEMBERS:,} files is no score")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:

            def member(name: str) -> bytes:
                with archive.open(name) as file:
                    content = file.read(MAX_BYTES + 1)
                if len(content) > MAX_BYTES:
                    reason = f"{name} in it is larger than {MAX_BYTES / 1e6:.0f} MB unpacked"
                    raise MusicFileError(source, reason)
                return content

            container = _tree(member("META-INF/container.xml"), source, _CONTAINER)
            return member(next(container.iter("rootfile")).attrib["full-path"])
    except MusicFileError:
        raise
    except Exception as error:  # zipfile raises eight kinds of error for damaged archives
        reason = f"is not a compressed MusicXML file, or is damaged ({one_line(error)})"
        raise MusicFileError(source, reason) from error


def _tree(
    data: bytes, source: str | os.PathLike[str], kept: dict[str, frozenset[str]]
) -> ElementTree.Element:
    """Parse XML to a tree of only the elements in `kept`, in memory that does not grow with the others.

    Engraving (beams, slurs, fonts, lyrics) is most of a score, and says nothing about which notes sound
    when. Leaving it out here saves time, and lets no mistake in it spoil the reading. Entities are how a
    small file expands to gigabytes or pulls in another file; no score needs them.
    """
    root = next(iter(kept))
    builder = ElementTree.TreeBuilder()
    open_tags: list[str] = []  # of the elements that are kept
    skipped = 0  # how deep inside an element that is left out
    n_elements = n_kept = n_notes = n_written = n_staves = 0
    work = 0.0

    def count(units: float) -> None:
        nonlocal work
        work += units
        if work > _MAX_WORK * max(1.0, len(data) / 100_000):
            raise MusicFileError(source, "it has more measures, or changes of metre and key, than its size explains")

    def count_notes(more: int) -> None:
        nonlocal n_notes
        n_notes += more
        if n_notes > MAX_SCORE_NOTES:
            reason = f"a score of more than {MAX_SCORE_NOTES:,} notes, rests and measures is too large"
            raise MusicFileError(source, reason)

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal skipped, n_elements, n_kept, n_written
        n_elements += 1
        if n_elements == 1 and name != root:
            raise MusicFileError(source, f"is XML but not a score: <{name}> instead of <{root}>")
        if n_elements > 40 * MAX_SCORE_NOTES or n_kept > 12 * MAX_SCORE_NOTES:
            raise MusicFileError(source, f"a score of more than {n_elements - 1:,} elements is too large")
        if skipped or (open_tags and name not in kept.get(open_tags[-1], ())):
            skipped += 1
            return
        n_kept += 1
        count(_WORK.get(name, 0.0))
        count_notes(name in ("note", "measure"))
        open_tags.append(name)
        n_written = 0
        builder.start(name, {key: value[:_MAX_TEXT] for key, value in attributes.items() if key in _ATTRIBUTES})

    def text(characters: str) -> None:
        nonlocal n_written
        if not skipped and open_tags[-1] not in kept and n_written < _MAX_TEXT:
            builder.data(characters[: _MAX_TEXT - n_written])
            n_written += len(characters)

    def end(name: str) -> None:
        nonlocal skipped, n_staves
        if skipped:
            skipped -= 1
            return
        element = builder.end(open_tags.pop())
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            value = _number(element.text)
            if not low <= value <= high:
                text = (element.text or "")[:30]
                raise MusicFileError(source, f"its <{name}> of {text!r} is not a number from {low:g} to {high:g}")
            if name in ("staff", "staves"):
                n_staves = max(n_staves, math.ceil(value))
        elif name == "part":
            count(2.0 * n_staves * len(element))  # each staff gets all measures
            count_notes(n_staves * len(element))
            n_staves = 0

    def declaration(*_: Any) -> None:
        raise MusicFileError(source, "it declares XML entities, which no score needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.CharacterDataHandler = text
    parser.EndElementHandler = end
    parser.EntityDeclHandler = declaration
    parser.AttlistDeclHandler = declaration  # a default value is copied into every element
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, MusicFileError):
            raise
        reason = f"is not well-formed XML, or is cut short ({one_line(error)})"
        raise MusicFileError(source, reason) from error


def from_music21(score: Any, grid: Grid | None = None) -> Piece:
    """Lay the notes of a `music21.stream.Score` on a grid, like `read`.

    Tied notes are merged; grace notes, which take no time, and chord symbols are left out. music21 does not mark cue
    notes, which are notes here, nor which drum a note is in a file that it read itself: `ganmusic.midi.read` does.

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

    parts = list(getattr(score, "parts", ())) or [score]
    flat = [part.flatten() for part in parts]
    measures = list(parts[0].getElementsByClass(stream.Measure))
    # Measure by measure: a score read from ABC has one object in several of them, and flattened it has one place.
    signatures = [
        (_ticks((0 if bar is flat[0] else bar.offset) + bar.elementOffset(s)), s.numerator, s.denominator)
        for bar in measures or flat[:1]
        for s in bar.getElementsByClass(meter.TimeSignature)
        if 1 <= s.numerator <= MAX_BEATS and s.denominator in UNITS
    ]
    if len(signatures) > MAX_METRES:
        raise ValueError(f"{len(signatures):,} changes of metre")
    _, *metre = signatures[0] if signatures else (0, 4, 4)
    pickup = 0
    if measures and (len(measures) > 1 or measures[0].number == 0):
        length = Fraction(measures[0].highestTime)
        if length < Fraction(4 * metre[0], metre[1]):
            pickup = _ticks(length)
    marks = [
        (_ticks(mark.offset), float(quarters))
        for source in (score, *flat)
        for mark in source.getElementsByClass(tempo.MetronomeMark)
        if (quarters := mark.getQuarterBPM()) and MIN_TEMPO <= quarters <= MAX_TEMPO
    ]
    tempos = sorted(dict(reversed(marks)).items())  # of marks at one time, that of the upper part
    return Music(
        [_read_part(part) for part in parts],
        _TICKS,
        (metre[0], metre[1]),
        pickup,
        tempos[0][1] if tempos else Piece.tempo * 4 / metre[1],
        (score.metadata and score.metadata.bestTitle) or "",
        tuple(signatures[1:]),
        tuple(tempos[:MAX_TEMPOS]),
    )


def _ticks(quarters: Any) -> int:
    """Convert music21's quarter notes to ticks; the cap keeps absurd lengths within 64 bits."""
    return round(min(Fraction(quarters), Fraction(2**30)) * _TICKS)


def _read_part(part: Any) -> Part:
    """Read the notes of one part, tied ones as one."""
    from music21 import chord, harmony, instrument, note

    events: list[list[int]] = []
    tied: dict[int, list[int]] = {}
    is_drum = unpitched = False
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
                unpitched = True
                is_drum = is_drum or pitch is not None
            if pitch is None or not 0 <= pitch <= 127:
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
    is_drum = is_drum or (unpitched and not events)
    array = np.array(events, dtype=np.int64).reshape(-1, 3)
    return Part(getattr(part, "partName", None) or "", array, program, is_drum)


def to_musicxml(piece: Piece) -> str:
    """Convert a piece to the text of a MusicXML file; the same piece always gives the same text.

    Raises
    ------
    ValueError
        If the piece holds what a score cannot.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    from music21.musicxml.m21ToXml import GeneralObjectExporter
    from music21.musicxml.xmlObjects import MusicXMLExportException

    try:
        xml: bytes = GeneralObjectExporter(to_music21(piece)).parse()
    except MusicXMLExportException as error:
        raise ValueError(f"the piece cannot be written in notation: {one_line(error)}") from error
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
    longest = range(first, last, int(16 / step))  # a longa; a bar of 63/1 lasts longer than any note value
    for start, end in itertools.pairwise(sorted({first, last, *ends, *longest})):
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
