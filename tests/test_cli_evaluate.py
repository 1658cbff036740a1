"""``ganmusic evaluate``: what it reads, prints and writes, and what it refuses before the long work."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ganmusic import evaluation, midi, recipes
from ganmusic.cli import main
from ganmusic.pianoroll import Grid, Note, Piece, Track
from ganmusic.sample import load_generator


@pytest.fixture
def quick(monkeypatch):
    """Compare with few chorales; and note what was asked for."""
    asked = []
    prepared = evaluation.reference

    def reference(corpus, n_bars):
        asked.append((corpus, n_bars))
        whole = prepared(corpus, n_bars)
        return evaluation.Reference(
            corpus, whole.held_out.select(np.arange(0, 700, 5)), whole.training.select(np.arange(90)), whole.pieces[:6]
        )

    monkeypatch.setattr(evaluation, "reference", reference)
    monkeypatch.setattr(evaluation.compare, "DIVISIONS", 3)
    monkeypatch.setattr(evaluation.compare, "NULL_DIVISIONS", 1)
    for part in (evaluation.clips, evaluation.compare):
        monkeypatch.setattr(part, "N_CLIPS", 30)
    return asked


def fails(arguments, capsys):
    assert main(["evaluate", *map(str, arguments)]) == 1
    found = capsys.readouterr()
    assert found.err.startswith("ganmusic: error: ")
    assert found.err.count("\n") == 1
    assert not found.out
    return found.err


def test_a_folder_of_composed_pieces_from_files_to_reports(quick, tmp_path, capsys):
    songs = tmp_path / "songs"
    assert main(["compose", str(tmp_path / "songs.mid"), "--count", "5", "--bars", "6", "--key", "E minor"]) == 0
    midi.write(Piece((Track("a", (Note(0, 16, 60),)),)), songs / "short.mid")
    (songs / "bad.mid").write_bytes(b"MThd")
    capsys.readouterr()
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    assert main(["evaluate", str(songs), "--html", str(page), "--json", str(data)]) == 0
    out, err = capsys.readouterr()
    assert quick == [("chorales", 4)]
    assert out.startswith("songs beside held-out chorales\n")
    assert "notes per bar" in out
    assert "needs at least 100 clips, 15 given" in out
    assert "new and music: " in out
    assert out.endswith(f"written: {page}\nwritten: {data}\n")
    # Nothing is lost without a word: on the screen, in the table and in the files.
    for text in (out, err, page.read_text(encoding="utf-8")):
        assert "bad.mid: left out: " in text
        assert "short.mid: left out: it has 1 full bar, and a clip has 4" in text
    report = json.loads(data.read_text(encoding="utf-8"))
    assert (report["facts"]["clips"]["generated"], report["facts"]["clips"]["generated_pieces"]) == (15, 5)
    assert len(report["remarks"]) == 2


def test_clips_of_a_run_are_compared_with_what_it_learned_from(quick, tmp_path, capsys, monkeypatch):
    composer = load_generator()
    card = {**composer.card, "data": {**composer.card.get("data", {}), "corpus": "chorales"}}
    monkeypatch.setattr("ganmusic.sample.load_generator", lambda run: replace(composer, card=card))
    assert main(["evaluate", "--run", "my-run", "--seed", "4"]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("30 clips of my-run (seed 4) beside held-out chorales\n")
    assert "Chance started from 4." in out
    assert quick == [("chorales", 4)]


def test_another_number_of_bars_and_another_corpus_are_asked_for(quick, tmp_path, capsys):
    notes = tuple(Note(4 * k, 4, 60 + k % 5) for k in range(20))
    midi.write(Piece((Track("solo", notes),)), tmp_path / "solo.mid")
    assert main(["evaluate", str(tmp_path / "solo.mid"), "--bars", "2", "--against", "chorales"]) == 0
    assert quick == [("chorales", 2)]
    out, err = capsys.readouterr()
    assert "4 generated clips from 1 generated piece (" in out
    assert "its tracks (solo) become those of 'chorales' by the rule 'lines'" in err


def test_damaged_and_unfitting_files_are_named(tmp_path, capsys):
    bad = tmp_path / "bad.mid"
    bad.write_bytes(b"no music")
    assert "bad.mid" in fails([bad], capsys)
    waltz = tmp_path / "waltz.mid"
    midi.write(Piece((Track("a", tuple(Note(4 * k, 4, 60) for k in range(24))),), Grid(12, 3)), waltz)
    assert "waltz.mid: it has 3 beats in a bar, and the music of 'chorales' has 4" in fails([waltz], capsys)
    assert "there is no such file or folder" in fails([tmp_path / "none.mid"], capsys)
    assert "an empty path names no file" in fails([""], capsys)


def test_reports_that_cannot_be_written_are_refused_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recipes, "layout", lambda corpus: pytest.fail("the work began"))
    song = tmp_path / "song.mid"
    assert "no such folder" in fails([song, "--html", tmp_path / "none" / "a.html"], capsys)
    assert "the name of this report ends in .json" in fails([song, "--json", tmp_path / "a.html"], capsys)
    (tmp_path / "b.html").mkdir()
    assert "is a folder" in fails([song, "--html", tmp_path / "b.html"], capsys)


@pytest.mark.parametrize("arguments", [[], ["song.mid", "--run", "run"], ["song.mid", "--bars", "0"]])
def test_what_is_not_understood_has_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *arguments])
    assert caught.value.code == 2
    assert "usage: ganmusic evaluate" in capsys.readouterr().err


def test_a_run_that_is_not_there_and_a_corpus_that_is_unknown_are_errors(tmp_path, capsys):
    assert "nowhere" in fails(["--run", tmp_path / "nowhere"], capsys)
    midi.write(Piece((Track("a", (Note(0, 64, 60),)),)), tmp_path / "a.mid")
    assert "'unheard'" in fails([tmp_path / "a.mid", "--against", "unheard"], capsys)
