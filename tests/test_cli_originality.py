"""``ganmusic originality``: the text, the two files, and one line where it cannot be done."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ganmusic import midi, originality
from ganmusic.cli import main
from ganmusic.corpora import CORPORA, Corpus
from ganmusic.pianoroll import Grid, Note, Piece, Track

LINE = tuple(Note(4 * i, 4, 60 + 5 * i % 12 + i // 7) for i in range(24))
LEARNED = Piece((Track("air", LINE, 73), Track("bass", (Note(0, 40, 43), Note(40, 56, 36)))), title="Learned")


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of a training piece of a corpus of two."""
    held_out = Piece((Track("air", LINE[5::-1] + LINE[6:]),), title="Held out")

    def load(split: str | None) -> list[Piece]:
        return {"train": [LEARNED], "test": [held_out]}.get(str(split), [])

    monkeypatch.setitem(CORPORA, "two", Corpus("two", "", "", "", "", load))
    originality._against.cache_clear()
    midi.write(LEARNED, tmp_path / "tune.mid")
    return tmp_path / "tune.mid"


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that fails, and return the one line that says why."""
    assert main(["originality", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ganmusic: error: ")
    assert err.count("\n") == 1
    return err


def test_it_prints_a_short_report(tune: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["originality", str(tune), "--against", "two"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == (
        "“Learned”, 6 bars of 16 steps in 4 beats, beside two: 1 training piece, 1 held-out piece"
    )
    assert lines[2].startswith("It is a copy")
    assert " ".join(next(line for line in lines if line.startswith("copied share, 2 bars")).split()[3:5]) == "bars 1.00"
    assert sum("are those of Learned from bar" in line for line in lines) >= 4
    assert len(lines) < 30
    assert sorted(path.name for path in tune.parent.iterdir()) == ["tune.mid"]


def test_it_writes_a_page_and_data(tune: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, data = tmp_path / "tune.html", tmp_path / "tune.json"
    assert main(["originality", str(tune), "--against", "two", "--html", str(page), "--json", str(data)]) == 0
    assert capsys.readouterr().out.endswith(f"written: {page}\nwritten: {data}\n")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(data.read_text(encoding="utf-8"))["places"]["copied share, 4 bars"]["value"] == 1


@pytest.mark.parametrize(
    ("option", "name", "reason"),
    [
        ("--html", "report.json", "the name of this report ends in .html"),
        ("--json", "report.txt", "the name of this report ends in .json"),
        ("--html", "missing/report.html", "there is no such folder to write to"),
        ("--json", "folder.json", "is a folder, and the report needs a file name"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_search(
    option: str,
    name: str,
    reason: str,
    tune: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder.json").mkdir()
    monkeypatch.setattr(originality, "_against", lambda *arguments: pytest.fail("searched"))
    assert reason in fails([str(tune), "--against", "two", option, str(tmp_path / name)], capsys)


def test_what_cannot_be_compared_is_one_line(
    tune: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = ["--against", "two"]
    assert "missing.mid" in fails([str(tmp_path / "missing.mid"), *two], capsys)
    (tmp_path / "bad.mid").write_bytes(b"\x00nonsense")
    assert "bad.mid" in fails([str(tmp_path / "bad.mid"), *two], capsys)
    for name, piece, reason in (
        ("short", Piece((Track("a", LINE[:3]),)), "short.mid has 1 bar, and the shortest passage"),
        ("waltz", Piece((Track("a", LINE),), Grid(12, 3)), "waltz.mid has bars of 12 steps in 3 beats"),
        ("kit", Piece((Track("k", LINE, is_drum=True),)), "kit.mid has drums alone"),
    ):
        midi.write(piece, tmp_path / f"{name}.mid")
        assert reason in fails([str(tmp_path / f"{name}.mid"), *two], capsys)
    assert "no corpus is named 'three'" in fails([str(tune), "--against", "three"], capsys)
    assert "ganmusic corpora fetch" in fails(
        [str(tune), "--against", "nesmdb", "--cache", str(tmp_path / "c")], capsys
    )


@pytest.mark.parametrize("reader", ["closed", "ascii"])
def test_what_reads_the_output_cannot_keep_the_files_from_being_written(
    tune: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    out = tmp_path / "pipe"
    if reader == "closed":
        read, write = os.pipe()
        os.close(read)
        stream = os.fdopen(write, "w", encoding="utf-8")
    else:
        stream = out.open("w", encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    page, data = tmp_path / "tune.html", tmp_path / "tune.json"
    assert main(["originality", str(tune), "--against", "two", "--html", str(page), "--json", str(data)]) == 0
    assert json.loads(data.read_text(encoding="utf-8"))["title"] == "Learned"
    assert "Learned" in page.read_text(encoding="utf-8")
    stream.close()
    if reader == "ascii":
        assert "?Learned?" in out.read_text(encoding="ascii")


def test_it_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["originality"])
    assert caught.value.code == 2
    assert "FILE" in capsys.readouterr().err
