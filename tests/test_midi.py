"""Music files: pieces survive them, and files that are no music are refused in one sentence."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ganmusic import midi
from ganmusic.midi import MusicFileError
from ganmusic.musicxml import _spelled
from ganmusic.pianoroll import Grid, Note, Piece, Track, piece_to_roll
from ganmusic.quantise import MAX_BARS

# One of everything that a file can lose: repeated notes, notes over bar lines, a chord whose notes end
# apart, a silent track, drums, a pickup, a tempo with a fraction.
PIECE = Piece(
    (
        Track(
            "soprano",
            (Note(12, 2, 61), Note(14, 2, 61), Note(16, 5, 63), Note(21, 30, 65)),
            program=52,
        ),
        Track("silent", (), program=33),
        Track("bäss", (Note(12, 4, 48), Note(12, 8, 52), Note(30, 3, 40)), program=70),
        Track("drums", (Note(16, 1, 36), Note(17, 1, 36)), is_drum=True),
    ),
    tempo=90.5,
    title="T <é> & co",
    pickup=4,
)
ONE_NOTE = Piece((Track("a", (Note(0, 4, 60),)),))


# Round trips ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", midi.SUFFIXES)
def test_a_piece_survives_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"piece{suffix}"
    midi.write(PIECE, path)
    assert midi.read(path) == PIECE
    assert midi.read(path, PIECE.grid) == PIECE


@pytest.mark.parametrize("suffix", midi.SUFFIXES)
def test_the_same_piece_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        midi.write(PIECE, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("suffix", [".mid", ".musicxml"])
def test_a_roll_is_read_at_once_as_it_is_through_notes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"piece{suffix}"
    midi.write(PIECE, path)
    for grid in (None, Grid(n_steps=8, n_pitches=60)):
        roll, its_grid = midi.read_roll(path, grid)
        piece = midi.read(path, grid)
        expected = piece_to_roll(piece)
        assert its_grid == piece.grid
        assert roll.sounding.shape == expected.sounding.shape
        assert (roll.sounding == expected.sounding).all()
        assert (roll.onset == expected.onset).all()
        assert roll.sounding.any(axis=(1, 2, 3)).tolist() == [True, False, True, True]


def test_silent_drums_survive_midi(tmp_path: Path) -> None:
    silent = replace(PIECE, tracks=(*PIECE.tracks, Track("hats", (), 3, is_drum=True)))
    midi.write(silent, tmp_path / "piece.mid")
    assert midi.read(tmp_path / "piece.mid") == silent


def test_every_program_survives_musicxml(tmp_path: Path) -> None:
    # music21 takes a part named "alto" for a singer, and programs 0-3 for one piano, if one lets it.
    for first in range(0, 128, 12):
        programs = range(first, min(first + 12, 128))
        piece = Piece(tuple(Track("alto", (Note(0, 4, 60),), program) for program in programs))
        midi.write(piece, tmp_path / "piece.xml")
        assert midi.read(tmp_path / "piece.xml") == piece


def test_overlapping_notes_of_one_pitch_are_written_one_after_the_other(tmp_path: Path) -> None:
    piece = Piece((Track("a", (Note(0, 8, 60), Note(3, 9, 60), Note(3, 2, 60))),))
    for name in ("piece.mid", "piece.xml"):
        midi.write(piece, tmp_path / name)
        assert midi.read(tmp_path / name).tracks[0].notes == (Note(0, 3, 60), Note(3, 9, 60))


def test_pretty_midi_there_and_back() -> None:
    sounding = replace(PIECE, tracks=(PIECE.tracks[0], PIECE.tracks[2]), title="")
    pretty = midi.to_pretty_midi(sounding)
    assert [(i.name, i.program) for i in pretty.instruments] == [("soprano", 52), ("bäss", 70)]
    first = pretty.instruments[0].notes[0]
    assert (first.pitch, first.start) == (61, 0.0)
    assert first.end == pytest.approx(2 / 4 * 60 / 90.5)  # two sixteenths at 90.5 beats a minute
    assert midi.from_pretty_midi(pretty) == sounding


def test_music21_there_and_back() -> None:
    assert midi.from_music21(midi.to_music21(PIECE)) == PIECE


# What a file says -----------------------------------------------------------------------------------


def vlq(number: int) -> bytes:
    """Write a number as MIDI does: 7 bits a byte, the last byte without a top bit."""
    groups = [number & 127]
    while number := number >> 7:
        groups.append(number & 127 | 128)
    return bytes(reversed(groups))


def midi_file(*events: tuple[int, bytes], division: int = 480) -> bytes:
    """A MIDI file of one track, made of ``(ticks since the last event, event)``."""
    track = b"".join(vlq(delta) + event for delta, event in (*events, (0, b"\xff\x2f\x00")))
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, 1, division)
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def on(pitch: int, channel: int = 0) -> bytes:
    return bytes([0x90 | channel, pitch, 80])


def off(pitch: int, channel: int = 0) -> bytes:
    return bytes([0x80 | channel, pitch, 0])


def metre(numerator: int, power: int) -> bytes:
    """A time signature; MIDI writes the lower number as a power of two."""
    return b"\xff\x58\x04" + bytes([numerator, power, 24, 8])


def tempo(microseconds: int) -> bytes:
    return b"\xff\x51\x03" + microseconds.to_bytes(3, "big")


def read_bytes(tmp_path: Path, data: bytes, grid: Grid | None = None) -> Piece:
    path = tmp_path / "song.mid"
    path.write_bytes(data)
    return midi.read(path, grid)


def notes_of(piece: Piece) -> tuple[Note, ...]:
    return piece.tracks[0].notes


def test_both_ends_are_rounded_not_the_duration(tmp_path: Path) -> None:
    # A step is 120 ticks. 0.58..1.42 steps round to 1..1: the note keeps one step.
    # 2.45..4.55 round to 2..5: 3 steps, though it is 2.1 long.
    data = midi_file((70, on(60)), (100, off(60)), (124, on(62)), (252, off(62)))
    assert notes_of(read_bytes(tmp_path, data)) == (Note(1, 1, 60), Note(2, 3, 62))


def test_the_first_note_off_ends_the_first_note(tmp_path: Path) -> None:
    # On at 0 and 240, off at 480 and 960 (a note that began last and ended first would leave 2..4).
    data = midi_file((0, on(60)), (240, on(60)), (240, off(60)), (480, off(60)))
    assert notes_of(read_bytes(tmp_path, data)) == (Note(0, 2, 60), Note(2, 6, 60))


def test_what_is_read_survives_the_roll(tmp_path: Path) -> None:
    # Two fast notes fall on one step, and two overlap.
    data = midi_file(
        (0, on(60)), (20, off(60)), (10, on(60)), (20, off(60)), (0, on(60)), (500, off(60))
    )
    piece = read_bytes(tmp_path, data)
    assert notes_of(piece) == (Note(0, 5, 60),)
    assert piece_to_roll(piece).onset.sum() == 1


@pytest.mark.parametrize(
    ("numerator", "power", "grid"),
    [
        (3, 2, Grid(12, 3)),
        (6, 3, Grid(12, 6)),
        (2, 1, Grid(16, 2)),
        (5, 4, Grid(5, 5)),
        (0, 2, Grid()),
        (4, 200, Grid()),
    ],
)
def test_the_grid_of_a_time_signature(
    tmp_path: Path, numerator: int, power: int, grid: Grid
) -> None:
    data = midi_file((0, metre(numerator, power)), (360, on(60)), (120, off(60)))
    piece = read_bytes(tmp_path, data)
    assert piece.grid == grid
    assert notes_of(piece) == (Note(3, 1, 60),)  # a step is a sixteenth in each


def test_a_beat_is_what_the_time_signature_counts(tmp_path: Path) -> None:
    # 60 quarter notes a minute are 120 beats a minute in 6/8, and stay so in every format.
    name = b"\xff\x03\x04horn"
    data = midi_file(
        (0, name), (0, metre(6, 3)), (0, tempo(1_000_000)), (0, on(60)), (1440, off(60))
    )
    piece = read_bytes(tmp_path, data)
    assert (piece.tempo, piece.labels) == (120.0, {"time_signature": "6/8"})
    assert piece.seconds == 3.0
    for name in ("again.mid", "again.xml"):
        midi.write(piece, tmp_path / name)
        assert midi.read(tmp_path / name) == piece
        assert midi.read(tmp_path / name, piece.grid) == piece


def test_a_given_grid_of_another_metre_counts_quarter_notes(tmp_path: Path) -> None:
    data = midi_file((0, metre(2, 1)), (0, tempo(1_000_000)), (0, on(60)), (960, off(60)))
    piece = read_bytes(tmp_path, data, Grid())
    assert notes_of(piece) == (Note(0, 8, 60),)
    assert piece.tempo == 60.0


def test_a_short_first_metre_is_a_pickup(tmp_path: Path) -> None:
    data = midi_file((0, metre(1, 2)), (0, on(60)), (480, metre(3, 2)), (0, off(60)))
    piece = read_bytes(tmp_path, data)
    assert (piece.grid.beats_per_bar, piece.pickup) == (3, 4)
    assert notes_of(piece) == (Note(8, 4, 60),)


def test_a_later_change_of_metre_is_no_pickup(tmp_path: Path) -> None:
    data = midi_file((0, metre(3, 2)), (0, on(60)), (1440, metre(2, 2)), (0, off(60)))
    piece = read_bytes(tmp_path, data)
    assert (piece.grid.beats_per_bar, piece.pickup) == (3, 0)


def test_the_tempo_is_that_of_the_first_note(tmp_path: Path) -> None:
    changes = ((0, tempo(500_000)), (960, tempo(750_000)), (0, on(60)), (480, tempo(10**6)))
    assert read_bytes(tmp_path, midi_file(*changes, (0, off(60)))).tempo == 80.0
    nonsense = ((0, tempo(0)), (0, on(60)), (480, off(60)))
    assert read_bytes(tmp_path, midi_file(*nonsense)).tempo == 120.0


@pytest.mark.parametrize(
    ("pitches", "low", "high"),
    [((36, 83), 36, 84), ((35, 60), 24, 84), ((60, 84), 36, 96), ((0, 127), 0, 132)],
)
def test_the_grid_is_wide_enough(
    tmp_path: Path, pitches: tuple[int, int], low: int, high: int
) -> None:
    events = [event for p in pitches for event in ((0, on(p)), (480, off(p)))]
    grid = read_bytes(tmp_path, midi_file(*events)).grid
    assert (grid.low, grid.high) == (low, high)


def test_channels_are_tracks_and_channel_ten_is_drums(tmp_path: Path) -> None:
    data = midi_file(
        (0, b"\xc3\x09"), (0, on(60, 3)), (0, on(38, 9)), (480, off(60, 3)), (0, off(38, 9))
    )
    tracks = read_bytes(tmp_path, data).tracks
    assert [(t.program, t.is_drum, t.notes[0].pitch) for t in tracks] == [
        (9, False, 60),
        (0, True, 38),
    ]


SCORE = """<?xml version="1.0"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "partwise.dtd">
<score-partwise version="4.0"><part-list><score-part id="P1"><part-name>clarinet</part-name>
</score-part></part-list><part id="P1">{measures}</part></score-partwise>"""
ATTRIBUTES = """<attributes><divisions>2</divisions><time><beats>3</beats><beat-type>4</beat-type>
</time>{more}</attributes>"""


def score_note(step: str, duration: int, tie: str = "") -> str:
    ties = "".join(f'<tie type="{kind}"/>' for kind in tie.split())
    pitch = f"<pitch><step>{step}</step><octave>4</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration>{ties}</note>"


def read_score(tmp_path: Path, measures: str) -> Piece:
    path = tmp_path / "song.musicxml"
    path.write_text(SCORE.format(measures=measures))
    return midi.read(path)


def test_a_tie_on_one_note_of_a_chord_is_not_the_others(tmp_path: Path) -> None:
    """The lower note is held over the bar line, the upper one is struck again after it."""
    notes = (Note(0, 8, 72), Note(12, 4, 64), Note(12, 8, 60), Note(16, 4, 64))
    piece = Piece((Track("organ", notes, 19),), Grid(), 90.0)
    midi.write(piece, tmp_path / "tie.musicxml")
    assert midi.read(tmp_path / "tie.musicxml", piece.grid) == piece


def test_a_score_with_a_pickup_and_ties(tmp_path: Path) -> None:
    piece = read_score(
        tmp_path,
        f'<measure number="0">{ATTRIBUTES.format(more="")}{score_note("C", 2, "start")}</measure>'
        f'<measure number="1">{score_note("C", 6, "stop start")}</measure>'
        f'<measure number="2">{score_note("C", 1, "stop")}{score_note("C", 5)}</measure>',
    )
    assert (piece.grid.n_steps, piece.pickup) == (12, 4)
    assert notes_of(piece) == (Note(8, 18, 60), Note(26, 10, 60))
    assert piece.tempo == Piece.tempo  # a score may leave it open


def test_transposing_instruments_are_read_as_they_sound(tmp_path: Path) -> None:
    more = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    music = ATTRIBUTES.format(more=more) + score_note("C", 6)
    assert notes_of(read_score(tmp_path, f'<measure number="1">{music}</measure>'))[0].pitch == 58


def test_grace_notes_and_chord_symbols_are_no_notes(tmp_path: Path) -> None:
    grace = "<note><grace/><pitch><step>D</step><octave>4</octave></pitch></note>"
    symbol = "<harmony><root><root-step>A</root-step></root><kind>minor</kind></harmony>"
    music = ATTRIBUTES.format(more="") + symbol + grace + score_note("C", 6)
    piece = read_score(tmp_path, f'<measure number="1">{music}</measure>')
    assert notes_of(piece) == (Note(0, 12, 60),)


# A kit of two drums; MusicXML counts their numbers from 1, so that 37 is the bass drum, MIDI's 36.
KIT = """<score-instrument id="I37"><instrument-name>Bass Drum</instrument-name></score-instrument>
<score-instrument id="I39"><instrument-name>Snare</instrument-name></score-instrument>
<midi-instrument id="I37"><midi-channel>10</midi-channel><midi-program>26</midi-program>
<midi-unpitched>37</midi-unpitched></midi-instrument>
<midi-instrument id="I39"><midi-channel>10</midi-channel><midi-unpitched>39</midi-unpitched></midi-instrument>"""
ONE_DRUM = '<midi-instrument id="I57"><midi-unpitched>57</midi-unpitched></midi-instrument>'


def drum_note(duration: int, instrument: str = "", more: str = "") -> str:
    named = f'<instrument id="{instrument}"/>' if instrument else ""
    place = "<unpitched><display-step>C</display-step><display-octave>5</display-octave></unpitched>"
    return f"<note>{more}{place}<duration>{duration}</duration>{named}</note>"


def read_drums(tmp_path: Path, instruments: str, music: str) -> Track:
    score = SCORE.replace("</score-part>", instruments + "</score-part>")
    path = tmp_path / "drums.musicxml"
    path.write_text(score.format(measures=f'<measure number="1">{ATTRIBUTES.format(more="")}{music}</measure>'))
    (track,) = midi.read(path).tracks
    return track


def test_the_drums_of_a_kit_are_told_apart_by_their_instruments(tmp_path: Path) -> None:
    music = drum_note(2, "I37") + drum_note(2, "I39", "<chord/>") + drum_note(1, "I39") + drum_note(3)
    track = read_drums(tmp_path, KIT, music)
    # The last one names no instrument, and there are two: which drum it is cannot be known.
    assert track.notes == (Note(0, 4, 36), Note(0, 4, 38), Note(4, 2, 38))
    assert (track.program, track.is_drum) == (25, True)


def test_the_only_drum_of_a_part_need_not_be_named(tmp_path: Path) -> None:
    track = read_drums(tmp_path, ONE_DRUM, drum_note(4) + drum_note(2, "I57"))
    assert (track.notes, track.is_drum) == ((Note(0, 8, 56), Note(8, 4, 56)), True)


def test_every_drum_has_its_number_whatever_the_part_transposes_by(tmp_path: Path) -> None:
    transposed = "<attributes><transpose><chromatic>-2</chromatic></transpose></attributes>"
    for number in range(0, 128, 5):
        kit = ONE_DRUM.replace(">57<", f">{number + 1}<")
        assert read_drums(tmp_path, kit, transposed + drum_note(6)).notes == (Note(0, 12, number),)


def test_an_unknown_drum_takes_no_other_note_with_it(tmp_path: Path) -> None:
    track = read_drums(tmp_path, "", drum_note(2) + score_note("G", 4))
    assert (track.notes, track.is_drum) == ((Note(4, 8, 67),), False)


def test_a_part_on_channel_ten_is_drums_even_if_its_notes_have_pitches(tmp_path: Path) -> None:
    kit = KIT.replace("<midi-channel>10</midi-channel>", "", 1)  # the first instrument does not say so
    assert read_drums(tmp_path, kit, score_note("D", 6)) == Track("clarinet", (Note(0, 12, 62),), 25, True)


def test_a_score_of_unknown_drums_says_so(tmp_path: Path) -> None:
    with pytest.raises(MusicFileError, match="unpitched, and no <midi-unpitched> says which drums"):
        read_drums(tmp_path, "", drum_note(2) + drum_note(4))


def test_cue_notes_are_no_notes_of_the_part(tmp_path: Path) -> None:
    def cue(note: str) -> str:
        return note.replace("<note>", "<note><cue/>")

    def chord(note: str) -> str:
        return note.replace("<note>", "<note><chord/>")

    music = (
        cue(score_note("D", 1, "start")) + cue(score_note("D", 1, "stop")) + chord(cue(score_note("F", 1)))
        + score_note("C", 1) + chord(cue(score_note("E", 1)))
        + cue(score_note("A", 1)) + chord(score_note("B", 1))
        + score_note("G", 2)
    )  # fmt: skip
    piece = read_score(tmp_path, f'<measure number="1">{ATTRIBUTES.format(more="")}{music}</measure>')
    assert notes_of(piece) == (Note(4, 2, 60), Note(6, 2, 71), Note(8, 4, 67))


def test_repeats_are_read_once_as_written(tmp_path: Path) -> None:
    repeat = '<barline location="right"><repeat direction="backward"/></barline>'
    bars = ATTRIBUTES.format(more="") + score_note("C", 6) + repeat, score_note("D", 6)
    piece = read_score(tmp_path, "".join(f'<measure number="{n + 1}">{bar}</measure>' for n, bar in enumerate(bars)))
    assert notes_of(piece) == (Note(0, 12, 60), Note(12, 12, 62))


# Notation -------------------------------------------------------------------------------------------


def test_a_score_is_readable() -> None:
    from music21 import clef

    labels = {"tonic": 9, "mode": "major", "composer": "J. S. Bach"}
    score = midi.to_music21(replace(PIECE, labels=labels))
    soprano, _, bass, drums = score.parts
    assert [measure.number for measure in soprano.getElementsByClass("Measure")] == [0, 1, 2, 3]
    assert soprano.flatten().getElementsByClass("KeySignature").first().sharps == 3
    clefs = [part.flatten().getElementsByClass("Clef").first() for part in (soprano, bass, drums)]
    assert [type(c) for c in clefs] == [clef.TrebleClef, clef.BassClef, clef.PercussionClef]
    assert score.metadata.composer == "J. S. Bach"
    text = midi.to_musicxml(PIECE)
    assert "Music21" not in text.replace("music21 v", "")
    assert "<fifths>" not in text  # no key is known


@pytest.mark.parametrize(
    ("tonic", "mode", "names"),
    [
        (0, "major", "C4 C#4 D4 E-4 E4 F4 F#4 G4 G#4 A4 B-4 B4"),
        (9, "minor", "C4 C#4 D4 E-4 E4 F4 F#4 G4 G#4 A4 B-4 B4"),
        (8, "major", "C4 D-4 D4 E-4 E4 F4 G-4 G4 A-4 A4 B-4 C-5"),
        (1, "minor", "B#3 C#4 D4 D#4 E4 E#4 F#4 G4 G#4 A4 A#4 B4"),
    ],
)
def test_notes_are_spelled_in_their_key(tonic: int, mode: str, names: str) -> None:
    notes = tuple(Note(step, 1, 60 + step) for step in range(12))
    score = midi.to_music21(Piece((Track("a", notes),), labels={"tonic": tonic, "mode": mode}))
    written = [note.pitch.nameWithOctave for note in score.flatten().notes]
    assert written == names.split()


@pytest.mark.parametrize("sharps", range(-7, 8))
def test_every_spelling_is_the_right_pitch(sharps: int) -> None:
    assert [_spelled(number, sharps).ps for number in range(128)] == list(range(128))


# Errors ---------------------------------------------------------------------------------------------


BAD_FILES = {
    "empty": (b"", "is empty"),
    "text": (b"hello, this is no music", "is not music that can be read"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), "is not music that can be read"),
    "header only": (b"MThd\0\0", "cut short, inside its header"),
    "truncated": (midi_file((0, on(60)), (480, off(60)))[:-9], "damaged or cut short"),
    "zero resolution": (midi_file((0, on(60)), (480, off(60)), division=0), "zero ticks"),
    "film frames": (midi_file((0, on(60)), (480, off(60)), division=0xE728), "SMPTE"),
    "no notes": (midi_file((0, tempo(500_000))), "no notes"),
    "a huge pause": (midi_file((0xFFFFFFF, on(60)), (1, off(60))), r"139,810 bars long"),
    "clock overflow": (
        midi_file(*[(0xFFFFFFF, on(60)), (0xFFFFFFF, off(60))] * 5),
        "bars long, and at most 10,000",
    ),
    "clock below zero": (
        midi_file(*[(0xFFFFFFF, tempo(500_000))] * 9, (0, on(60)), (1, off(60))),
        "countless bars long",
    ),
    "many long tracks": (
        midi_file(
            *[(0, bytes([0xC0 | c, c])) for c in range(9)],
            *[(0, on(0, c)) for c in range(9)],
            (480 * 4 * 9000, off(0)),
            (0, on(127)),
            (1, off(127)),
            *[(0, off(0, c)) for c in range(1, 9)],
        ),
        "would make a piano-roll of more than 50,000,000 cells",
    ),
    "bad xml": (b"<score-partwise><part-list>", "not well-formed XML"),
    "other xml": (b"<html><body/></html>", "is XML but not a score: <html>"),
    "timewise": (b"<score-timewise/>", "<score-timewise> instead of <score-partwise>"),
    "no notes in xml": (b"<score-partwise><part-list/></score-partwise>", "no notes|made sense"),
    "billion laughs": (
        b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><score-partwise>&b;</score-partwise>',
        "declares XML entities",
    ),
    "external entity": (
        b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><score-partwise>&a;</score-partwise>',
        "declares XML entities",
    ),
    "parameter entity": (
        b'<!DOCTYPE l [<!ENTITY % a SYSTEM "http://example.org/x"> %a;]><score-partwise/>',
        "declares XML entities",
    ),
    "entities in utf-16": (
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE l [<!ENTITY a "ha">]><score-partwise/>'.encode(
            "utf-16"
        ),
        "declares XML entities",
    ),
    "broken zip": (b"PK\x03\x04" + bytes(40), "is not a compressed MusicXML file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    data, reason = BAD_FILES[name]
    path = tmp_path / "song.mid"
    path.write_bytes(data)
    with pytest.raises(MusicFileError, match=reason) as caught:
        midi.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.source == str(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MusicFileError, match=r"none\.mid: there is no such file"):
        midi.read(tmp_path / "none.mid")
    with pytest.raises(MusicFileError, match="is a folder"):
        midi.read(tmp_path)


def test_each_reader_refuses_the_other_kind(tmp_path: Path) -> None:
    midi.write(ONE_NOTE, tmp_path / "a.mid")
    midi.write(ONE_NOTE, tmp_path / "a.xml")
    assert midi.read_midi(tmp_path / "a.mid") == midi.read_musicxml(tmp_path / "a.xml") == ONE_NOTE
    with pytest.raises(MusicFileError, match="not a MIDI file"):
        midi.read_midi(tmp_path / "a.xml")
    with pytest.raises(MusicFileError, match="not well-formed XML"):
        midi.read_musicxml(tmp_path / "a.mid")


def test_notes_outside_a_given_grid_are_not_lost_in_silence(tmp_path: Path) -> None:
    with pytest.raises(MusicFileError, match=r"from 40 to 90, outside the grid's pitches 36\.\.83"):
        read_bytes(
            tmp_path, midi_file((0, on(40)), (0, on(90)), (480, off(40)), (0, off(90))), Grid()
        )


def test_a_file_of_too_many_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(midi, "MAX_BYTES", 100)
    with pytest.raises(MusicFileError, match="larger than"):
        read_bytes(tmp_path, midi_file(*[(0, on(60)), (1, off(60))] * 20))


def test_a_file_of_too_many_notes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganmusic.quantise.MAX_NOTES", 3)
    with pytest.raises(MusicFileError, match="4 notes are more than the 3 allowed"):
        read_bytes(tmp_path, midi_file(*[(0, on(60)), (480, off(60))] * 4))
    monkeypatch.setattr("ganmusic.musicxml.MAX_SCORE_NOTES", 3)
    with pytest.raises(MusicFileError, match="score of more than 3 notes"):
        read_score(tmp_path, f'<measure number="1">{score_note("C", 1) * 4}</measure>')


def test_an_absurd_duration_in_a_score_is_refused(tmp_path: Path) -> None:
    music = ATTRIBUTES.format(more="") + score_note("C", 10**15)
    with pytest.raises(MusicFileError, match="bars long"):
        read_score(tmp_path, f'<measure number="1">{music}</measure>')


def test_a_zip_bomb_is_refused_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganmusic.musicxml.MAX_BYTES", 1_000_000)
    container = '<container><rootfiles><rootfile full-path="s.xml"/></rootfiles></container>'
    with zipfile.ZipFile(tmp_path / "bomb.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("s.xml", bytes(200_000_000))
    assert (tmp_path / "bomb.mxl").stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(MusicFileError, match=r"s\.xml in it is larger than 1 MB"):
            midi.read(tmp_path / "bomb.mxl")
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (replace(ONE_NOTE, tempo=0.0), "tempo of 0"),
        (replace(ONE_NOTE, tempo=float("nan")), "tempo of nan"),
        (replace(ONE_NOTE, pickup=16), "pickup of 16"),
        (
            replace(ONE_NOTE, pickup=4),
            "not a note that can be written",
        ),  # it begins before the pickup
        (replace(ONE_NOTE, tracks=(Track("a", (Note(0, 0, 60),)),)), "not a note"),
        (replace(ONE_NOTE, tracks=(Track("a", (Note(0, 1, 128),)),)), "not a note"),
        (replace(ONE_NOTE, tracks=(Track("a", (), 128),)), "program 128"),
        (replace(ONE_NOTE, tracks=(Track("a", (Note(16 * MAX_BARS, 1, 60),)),)), "10,001 bars"),
        (replace(ONE_NOTE, grid=Grid(65, 65)), "65 beats"),
    ],
)
@pytest.mark.parametrize("suffix", [".mid", ".xml"])
def test_what_no_file_can_hold_is_refused(
    tmp_path: Path, piece: Piece, reason: str, suffix: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        midi.write(piece, tmp_path / f"song{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in one of \.mid"):
        midi.write(ONE_NOTE, tmp_path / "song.midi2")


def test_an_empty_piece_can_be_written_but_says_so_when_read(tmp_path: Path) -> None:
    for name in ("a.mid", "a.xml"):
        midi.write(Piece((Track("a", ()),)), tmp_path / name)
        with pytest.raises(MusicFileError, match="no notes"):
            midi.read(tmp_path / name)
