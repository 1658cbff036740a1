"""Nothing a hostile file can do: the fuzz target, on as many files as a test run can wait for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import fuzz_files
import pytest

from ganmusic import midi
from ganmusic.midi import MusicFileError


@pytest.mark.parametrize(("kind", "n"), [("midi", 600), ("musicxml", 150)])
def test_hostile_files_give_a_piece_or_an_error_and_nothing_else(kind: str, n: int) -> None:
    # Five times the second that a file may take: a crowded machine works slowly, a hang takes for ever.
    result = fuzz_files.fuzz(kind, n, seed=1, patience=5.0)
    assert result.failures == []
    assert sum(result.outcomes.values()) == n
    assert 0.1 * n < result.outcomes["piece"] < 0.8 * n  # the damage is neither always fatal nor always harmless
    assert 30 < result.megabytes <= fuzz_files.MEGABYTES


@pytest.mark.parametrize(("name", "n"), [("large_midi", 4), ("large_xml", 2)])
def test_the_largest_files_are_read_or_refused_in_bounded_memory(
    name: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_files, "midi_file", lambda chance, *_: getattr(fuzz_files, name)(chance))
    result = fuzz_files.fuzz("midi", n, seed=1, patience=30.0)
    assert result.failures == []


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("import os; os.abort()", "the reader died"),
        ("import time; time.sleep(60)", "hang"),
        ("print('hello')", "noise: hello"),
        ("import warnings; warnings.warn('look out')", "noise: "),
        ("import os; os.write(2, b'oops')", "noise: oops"),
        ("x = bytearray(10**6) * 400", "MB of memory"),
        ("open('left', 'w').close()", "left behind {'left'}"),
        ("import socket; socket.create_connection(('127.0.0.1', {port})).close()", "socket.connect"),
        ("t = __import__('time').process_time; b = t()\nwhile t() < b + 1.2: pass", " s (error"),
    ],
)
def test_the_target_sees_what_it_looks_for(
    code: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader runs with a `read` that misbehaves: without this, a target that sees nothing would pass."""
    script = tmp_path / "worker.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(fuzz_files.__file__).parent)!r})\nimport fuzz_files\n"
        "from ganmusic import midi\nread = midi.read\ndef bad(path):\n"
        + "".join(f"    {line}\n" for line in code.splitlines())
        + "    return read(path)\nmidi.read = bad\nfuzz_files.worker()\n"
    )
    monkeypatch.setattr(fuzz_files, "__file__", str(script))
    monkeypatch.setattr(fuzz_files, "HANG", 4.0 if failure == "hang" else 30.0)

    def mutants(*arguments: object) -> list[bytes]:
        port = arguments[-1]
        script.write_text(script.read_text().replace("{port}", str(port)))
        return [fuzz_files.header() + fuzz_files.chunk(fuzz_files.END)]

    monkeypatch.setattr(fuzz_files, "mutants", mutants)
    result = fuzz_files.fuzz("midi", 1, keep=tmp_path / "kept")
    assert any(failure in text for text in result.failures), result
    assert (tmp_path / "kept" / "midi-0-0").exists()


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for kind in ("midi", "musicxml"):
        a, b = (list(fuzz_files.mutants(kind, 30, 3, tmp_path, 9)) for _ in range(2))
        assert a == b
        assert len(set(a)) > 25
        assert list(fuzz_files.mutants(kind, 30, 4, tmp_path, 9)) != a


# What the target found, kept ------------------------------------------------------------------------


def read(tmp_path: Path, data: bytes) -> midi.Piece:
    path = tmp_path / "song"
    path.write_bytes(data)
    return midi.read(path)


def test_both_staves_of_a_piano_part_are_read(tmp_path: Path) -> None:
    piece = read(tmp_path, fuzz_files.score(fuzz_files.piano()))
    upper, lower = ([(n.onset, n.duration, n.pitch) for n in t.notes] for t in piece.tracks)
    assert upper == [(0, 8, 76), (8, 24, 76)]
    assert lower == [(0, 16, 48), (16, 16, 48)]


def test_a_part_without_a_score_is_read_from_music21() -> None:
    from music21 import note, stream

    for kind in (stream.Score, stream.Part, stream.Stream):
        piece = midi.from_music21(kind([note.Note("C4"), note.Note("E4", quarterLength=2)]))
        assert [(n.onset, n.duration, n.pitch) for n in piece.tracks[0].notes] == [(0, 4, 60), (4, 8, 64)]


def test_grace_notes_do_not_move_the_bars(tmp_path: Path) -> None:
    grace = "<note><grace/><pitch><step>D</step><octave>4</octave></pitch><type>quarter</type></note>"
    first = fuzz_files.attributes(1, 3) + grace + fuzz_files.note(duration=2)
    measures = (fuzz_files.measure(content) for content in (first, fuzz_files.note("G"), first))
    piece = read(tmp_path, fuzz_files.score("".join(measures)))
    assert [n.onset - piece.tracks[0].notes[0].onset for n in piece.tracks[0].notes] == [0, 8, 12]


def test_changes_of_metre_and_tempo_in_a_score_are_kept(tmp_path: Path) -> None:
    sound = '<sound tempo="{}"/>'
    music = [
        fuzz_files.attributes(1, 3) + sound.format(60) + fuzz_files.note(duration=3),
        fuzz_files.attributes(1, 2) + fuzz_files.note(duration=1) + sound.format(90) + fuzz_files.note("G"),
    ]
    path = tmp_path / "song.xml"
    path.write_bytes(fuzz_files.score("".join(map(fuzz_files.measure, music))))
    read = midi.read_music(path)
    assert (read.metre, read.metre_changes) == ((3, 4), ((3 * read.ticks, 2, 4),))
    assert read.tempos == ((0, 60.0), (4 * read.ticks, 90.0))


@pytest.mark.parametrize("beats", ["1000000", "0", "-3", "NaN", "", "3+2+60", "9" * 5000])
def test_an_absurd_metre_in_a_score_is_taken_for_damage(tmp_path: Path, beats: str) -> None:
    # music21 would make an object for each of a million beats.
    music = fuzz_files.measure(fuzz_files.attributes(1, beats) + fuzz_files.note(duration=4))
    piece = read(tmp_path, fuzz_files.score(music))
    assert (piece.grid.beats_per_bar, piece.tracks[0].notes[0].duration) == (4, 16)


ABSURD = {
    "staves": fuzz_files.attributes(more="<staves>1000000</staves>") + fuzz_files.note(),
    "staff": fuzz_files.note(more="<staff>77</staff>"),
    "duration": fuzz_files.note(duration="inf"),
    "divisions": fuzz_files.attributes(0) + fuzz_files.note(),
    "octave": fuzz_files.note(octave=4000),
    "chromatic": fuzz_files.attributes(more="<transpose><chromatic>-999</chromatic></transpose>") + fuzz_files.note(),
}


@pytest.mark.parametrize("tag", ABSURD)
def test_an_absurd_number_in_a_score_is_named(tmp_path: Path, tag: str) -> None:
    with pytest.raises(MusicFileError, match=f"its <{tag}> of .* is not a number from"):
        read(tmp_path, fuzz_files.score(fuzz_files.measure(ABSURD[tag])))


@pytest.mark.parametrize(
    "measures",
    [
        "<measure/>" * 9000,
        fuzz_files.measure(fuzz_files.attributes(2, 63, 64)) * 800,
        fuzz_files.measure(fuzz_files.attributes(more="<transpose><chromatic>2</chromatic></transpose>")) * 400,
        fuzz_files.measure(fuzz_files.attributes(more="<staves>4</staves>")) + "<measure><note/></measure>" * 2500,
    ],
)
def test_a_small_score_that_would_take_long_is_refused(tmp_path: Path, measures: str) -> None:
    with pytest.raises(MusicFileError, match="than its size explains"):
        read(tmp_path, fuzz_files.score(measures))


def drum(tmp_path: Path, key: str) -> midi.Piece:
    about = f'<midi-instrument id="i"><midi-channel>{key}</midi-channel><midi-unpitched>{key}</midi-unpitched>'
    parts = f'<score-part id="P1">{about}</midi-instrument></score-part>'
    hit = '<note><unpitched/><duration>2</duration><instrument id="i"/></note>'
    return read(tmp_path, fuzz_files.score(fuzz_files.measure(fuzz_files.attributes() + hit), parts=parts))


@pytest.mark.parametrize(("key", "pitch"), [("1", 0), (" 37 ", 36), ("7.5", 6), ("128", 127)])
def test_a_drum_has_a_number_of_midi(tmp_path: Path, key: str, pitch: int) -> None:
    (track,) = drum(tmp_path, key).tracks
    assert (track.is_drum, [note.pitch for note in track.notes]) == (True, [pitch])


@pytest.mark.parametrize("key", ["", "129", "0", "-3", "NaN", "abc", "9" * 5000])
def test_an_absurd_drum_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(MusicFileError, match=r"its <midi-unpitched> of .* is not a number from"):
        drum(tmp_path, key)


def test_default_attributes_are_refused_like_entities(tmp_path: Path) -> None:
    before = '<!DOCTYPE s [<!ATTLIST note x CDATA "y">]>'
    with pytest.raises(MusicFileError, match="declares"):
        read(tmp_path, fuzz_files.score(fuzz_files.measure(fuzz_files.note()), before=before))


def test_an_archive_of_thousands_of_files_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for i in range(1500):
            out.writestr(f"{i}", b"")
    with pytest.raises(MusicFileError, match="more than 1,000 files"):
        read(tmp_path, buffer.getvalue())


def test_engraving_changes_no_note(tmp_path: Path) -> None:
    """What is left out of a score before music21 sees it may be as damaged as it likes."""
    plain = read(tmp_path, fuzz_files.score(fuzz_files.engraved()))
    beam = "<notations><tuplet type='x'/></notations><beam number='-1'>?</beam><lyric><text>a</text></lyric>"
    odd = fuzz_files.engraved().replace("</note>", beam + "</note>")
    odd = odd.replace("<barline", "<print new-page='?'/><barline").replace("<root-step>A", "<root-step>77")
    assert read(tmp_path, fuzz_files.score(odd)) == plain
