"""A folder of anybody's files: what is read, what is skipped and why, what is kept, and what no file can do."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import symusic

from ganmusic import midi
from ganmusic.corpora import SPLITS, Folder, Report, folder
from ganmusic.corpora.folder import Annotation, Reading, beats_beside, load_files, read_files, stream_files
from ganmusic.pianoroll import Grid, Note, Piece, Track, transpose


def tune(seed: int, n_bars: int = 8, grid: Grid | None = None, tonic: int = 0) -> Piece:
    """Two voices of eighths and quarters in a major key, at random: a melody and a bass."""
    grid = grid or Grid()
    rng = random.Random(seed)
    scale = [tonic + p for p in (0, 2, 4, 5, 7, 9, 11)]
    melody, onset = [], 0
    while onset < n_bars * grid.n_steps - 8:
        lasts = rng.choice([2, 2, 4])
        melody.append(Note(onset, lasts, 60 + 12 * rng.randint(0, 1) + rng.choice(scale)))
        onset += lasts
    melody.append(Note(onset, n_bars * grid.n_steps - onset, 60 + tonic))
    roots = [*(tonic + rng.choice([0, 5, 7]) for _ in range(n_bars - 1)), tonic]
    bass = tuple(Note(bar * grid.n_steps, grid.n_steps, 36 + root) for bar, root in enumerate(roots))
    return Piece((Track("Violin", tuple(melody), 40), Track("Cello", bass, 42)), grid, 100.0)


def write(path: Path, piece: Piece) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(piece, path)
    return path


def change(path: Path, alter: Callable[[symusic.Score], None]) -> None:
    score = symusic.Score(str(path))
    alter(score)
    score.dump_midi(str(path))


def shift(ticks: int) -> Callable[[symusic.Score], None]:
    def alter(score: symusic.Score) -> None:
        for track in score.tracks:
            for note in track.notes:
                note.time += ticks

    return alter


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """A folder of four plain files."""
    root = tmp_path / "four"
    for i, name in enumerate("abcd"):
        write(root / f"{name}.mid", tune(i))
    return root


def by_name(report: Report) -> dict[str, folder.FileReport]:
    return {file.file: file for file in report.files}


# What is in a folder --------------------------------------------------------------------------------


@pytest.fixture
def motley(tmp_path: Path) -> Path:
    """A folder as people have them: 9 files that can be used, 7 that cannot, and some that are none of ours."""
    root = tmp_path / "my music"
    write(root / "plain.mid", tune(1))
    (write(root / "x.mid", tune(2, tonic=7))).rename(root / "LOUD.MID")
    write(root / "scores/score.musicxml", tune(3))
    write(root / "scores/deep/er/packed.mxl", tune(4))
    write(root / "waltz.midi", tune(5, grid=Grid(12, 3)))
    write(root / "transposed.mid", transpose(tune(1), 3))
    write(root / "two metres.mid", tune(6))
    change(root / "two metres.mid", lambda s: s.time_signatures.append(symusic.TimeSignature(4 * 1920, 3, 4)))
    write(root / "late.mid", tune(7))
    change(root / "late.mid", shift(40))
    write(root / "performance.mid", tune(8))
    (root / "performance.beats.txt").write_text("".join(f"{i * 0.6:.3f} {i % 4 + 1}\n" for i in range(40)))
    # What cannot be used.
    shutil.copy(root / "plain.mid", root / "z copy.mid")
    (root / "damaged.mid").write_bytes((root / "plain.mid").read_bytes()[:100])
    (root / "empty.mid").write_bytes(b"")
    (root / "page.xml").write_text("<html><body>not music</body></html>")
    write(root / "silence.mid", Piece((Track("a", ()),)))
    write(root / "beaten.mid", tune(9))
    (root / "beaten.beats.txt").write_text("one two three\n")
    write(root / "three.mid", replace(tune(10), tracks=(*tune(10).tracks, replace(tune(11).tracks[0], name="Viola"))))
    # What is not looked at.
    (root / "notes.txt").write_text("a list")
    write(root / ".hidden/a.mid", tune(12))
    write(root / "b.mid", tune(13)).rename(root / "._b.mid")
    write(root / "__MACOSX/c.mid", tune(14))
    (root / "folder.mid").mkdir()
    return root


def test_what_is_read_and_what_is_skipped(motley: Path, tmp_path: Path) -> None:
    report = read_files(motley, tmp_path / "store", Reading())
    files = by_name(report)
    assert {name for name, file in files.items() if not file.skipped} == {
        "plain.mid", "LOUD.MID", "scores/score.musicxml", "scores/deep/er/packed.mxl", "waltz.midi", "transposed.mid",
        "two metres.mid", "late.mid", "performance.mid",
    }  # fmt: skip
    skipped = {file.file: file.skipped for file in report.skipped}
    for name, reason in {
        "z copy.mid": "same notes as plain.mid",
        "damaged.mid": "damaged or cut short",
        "empty.mid": "the file is empty",
        "page.xml": "is XML but not a score: <html>",
        "silence.mid": "there are no notes in it",
        "beaten.mid": "beaten.beats.txt is not a list of beats",
        "three.mid": "it has 3 tracks, and the corpus has 2",
    }.items():
        assert reason in skipped.pop(name)
    assert not skipped


def test_what_the_report_says_of_each_file(motley: Path, tmp_path: Path) -> None:
    files = by_name(read_files(motley, tmp_path / "store", Reading()))
    plain, loud = files["plain.mid"], files["LOUD.MID"]
    notes = [note for track in tune(1).tracks for note in track.notes]
    assert (plain.n_pieces, plain.n_notes, plain.n_bars, plain.left_out) == (1, len(notes), 8, 0)
    assert (plain.lowest, plain.highest) == (min(n.pitch for n in notes), max(n.pitch for n in notes))
    assert (plain.metres, plain.keys, loud.keys) == (["4/4"], ["C major"], ["G major"])
    assert (plain.tempo, plain.n_tempos, plain.late, plain.off_grid) == (100.0, 1, 0.0, 0.0)
    assert plain.instruments == ["Cello", "Violin"]
    assert plain.voices == [["Violin", "Violin", "is named 'Violin'"], ["Cello", "Cello", "is named 'Cello'"]]
    assert (files["waltz.midi"].metres, files["waltz.midi"].n_bars) == (["3/4"], 8)
    assert (files["two metres.mid"].n_pieces, files["two metres.mid"].metres) == (2, ["4/4", "3/4"])
    assert files["late.mid"].late == pytest.approx(40 / 480 * 4, abs=0.01)
    assert files["late.mid"].off_grid == 0.0
    assert [name for name, file in files.items() if file.late] == ["late.mid"]
    assert [name for name, file in files.items() if file.on_beats] == ["performance.mid"]
    assert files["z copy.mid"].same_as == "plain.mid"
    assert files["transposed.mid"].split == plain.split
    assert {file.split for file in files.values() if not file.skipped} <= set(SPLITS)


def test_the_sums_of_the_report(motley: Path, tmp_path: Path) -> None:
    report = read_files(motley, tmp_path / "store", Reading())
    sums = report.summary()
    used = [tune(i) for i in (1, 2, 3, 4, 6, 7, 8, 1)] + [tune(5, grid=Grid(12, 3))]
    notes = sum(len(track.notes) for piece in used for track in piece.tracks)
    assert (sums["files"], sums["read"], sums["skipped"], sums["duplicates"]) == (16, 9, 7, 1)
    assert (sums["pieces"], sums["groups"]) == (10, 8)  # a version and its model, and two stretches, are a group
    assert (sums["notes"], sums["notes kept"]) == (notes, notes)
    assert sums["metres"] == {"4/4": 8, "3/4": 2}
    assert sums["instruments"] == {"Cello": 9, "Violin": 9}
    assert sums["voices"] == {"Violin": 9, "Cello": 9}
    assert sums["files with metre changes"] == sums["files moved onto the grid"] == 1
    assert sums["files put on annotated beats"] == 1
    assert (sums["files off the grid"], sums["off the grid"], sums["files with a pickup"]) == (0, 0.0, 0)
    assert sum(sums["splits"].values()) == 9


def test_the_report_prints_and_is_json(motley: Path, tmp_path: Path) -> None:
    report = read_files(motley, tmp_path / "store", Reading())
    text = str(report)
    for part in (
        "16: 9 read, 7 skipped", "10, of ", "rule 'parts', because", "4/4 8, 3/4 2", "1 of 9 files late",
        "1 x a copy of another file (z copy.mid)", "1 x the file is empty (empty.mid)",
    ):  # fmt: skip
        assert part in text
    report.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == report == Report.load(tmp_path / "store" / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["summary"] == report.summary()
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match="is not a report"):
        Report.load(tmp_path / "other.json")


def test_the_pieces_of_a_folder(motley: Path, tmp_path: Path) -> None:
    pieces = load_files(motley, tmp_path / "store", Reading())
    found = {(p.labels["file"], p.labels.get("section", 0)): p for p in pieces}
    assert found["plain.mid", 0].tracks == tune(1).tracks
    assert found["plain.mid", 0].title == "plain"
    assert (found["LOUD.MID", 0].labels["tonic"], found["LOUD.MID", 0].labels["mode"]) == (7, "major")
    assert found["scores/deep/er/packed.mxl", 0].tracks == tune(4).tracks
    assert found["late.mid", 0].tracks == tune(7).tracks
    assert found["waltz.midi", 0].grid.beats_per_bar == 3
    assert [found["two metres.mid", i].n_bars for i in (0, 1)] == [4, 6]  # 4 of 4/4, and 16 quarters of 3/4
    # A beat of 0.6 seconds is a beat at 100 a minute, whatever the file's own beats are.
    assert found["performance.mid", 0].tracks == tune(8).tracks
    assert found["transposed.mid", 0].labels["group"] == found["plain.mid", 0].labels["group"]
    by_split = [load_files(motley, tmp_path / "store", Reading(), split=split) for split in SPLITS]
    assert all(by_split)
    assert sorted(p.labels["file"] for some in by_split for p in some) == sorted(p.labels["file"] for p in pieces)
    assert all(p.labels["split"] == s for s, some in zip(SPLITS, by_split, strict=True) for p in some)


def test_a_grid_of_ones_own(motley: Path, tmp_path: Path) -> None:
    pieces = load_files(motley, tmp_path / "store", Reading(grid=Grid(8, 4)))
    found = {piece.labels["file"]: piece.grid for piece in pieces}
    assert (found["plain.mid"].n_steps, found["plain.mid"].beats_per_bar) == (8, 4)
    assert (found["waltz.midi"].n_steps, found["waltz.midi"].beats_per_bar) == (6, 3)


def test_a_metre_of_one_beat_is_nobodys_word(four: Path, tmp_path: Path) -> None:
    for path in four.iterdir():
        change(path, lambda s: s.time_signatures.append(symusic.TimeSignature(0, 1, 4)))
    assert read_files(four, tmp_path / "s", Reading()).summary()["metres"] == {"4/4": 4}


def test_names_of_any_kind(tmp_path: Path) -> None:
    root = tmp_path / "Mūsika ♫"
    names = ["ä ö.mid", "夜.mid", "a\nb\x1b[31m.mid", "[x]{y}*.mid"]
    for i, name in enumerate(names):
        write(root / name, tune(i))
    if os.name == "posix":
        try:
            names.append(os.fsdecode(b"\xff\xfe.mid"))  # no text in any encoding
            (root / names[-1]).write_bytes(b"MThd and nothing")
        except OSError:  # a file system that wants text
            names.pop()
    report = read_files(root, tmp_path / "s", Reading())
    assert {file.file for file in report.files} == set(names)
    assert len(load_files(root, tmp_path / "s", Reading())) == 4
    assert Report.load(tmp_path / "s" / "report.json") == report
    table = str(report)
    table.encode()
    assert "\x1b" not in table
    assert len(table.splitlines()) < 20


def test_a_file_without_permission_is_skipped(four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "b.mid":  # nothing is forbidden to root, so that the mode of the file would not do
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    report = read_files(four, tmp_path / "s", Reading())
    assert by_name(report)["b.mid"].skipped == "cannot be read (Permission denied)"
    assert len(report.read) == 3


def test_what_is_finer_than_the_grid_is_no_free_performance(tmp_path: Path) -> None:
    quick = tuple(Note(step, 1, 60 + step % 5) for step in range(128))
    grid = Grid(32, 4)  # a step is a thirty-second note
    for i in range(3):
        write(tmp_path / "f" / f"{i}.mid", Piece((Track("a", (*quick, Note(128, 8, 70 + i))),), grid))
    coarse = Folder(tmp_path / "f").read()
    assert coarse.summary()["files finer than the grid"] == 3
    assert coarse.summary()["files off the grid"] == 0
    assert "3 of 3 files regular, and finer than the grid" in str(coarse)
    fine = Folder(tmp_path / "f", grid=grid).read()
    assert fine.summary()["files finer than the grid"] == 0
    assert fine.files[0].off_grid == 0


def test_notes_that_the_grid_merges_are_counted(tmp_path: Path) -> None:
    repeated = tuple(Note(step, 1, 60) for step in range(64))
    for i in range(3):
        write(tmp_path / "f" / f"{i}.mid", Piece((Track("a", (*repeated, Note(64, 8, 70 + i))),), Grid(32, 4)))
    report = Folder(tmp_path / "f").read()
    facts = report.summary()
    assert facts["notes"] == 3 * 65
    assert facts["notes merged"] == facts["notes"] - facts["notes kept"] > 3 * 16
    assert f"the grid merges {facts['notes merged']} with others" in str(report)


def test_a_track_is_one_voice_through_all_stretches_of_a_file(tmp_path: Path) -> None:
    high = Track("one", (*(Note(4 * i, 4, 76) for i in range(16)), *(Note(64 + 4 * i, 4, 45) for i in range(16))))
    low = Track("two", (*(Note(4 * i, 4, 48) for i in range(16)), *(Note(64 + 4 * i, 4, 50) for i in range(16))))
    write(tmp_path / "f" / "a.mid", Piece((high, low)))
    change(tmp_path / "f" / "a.mid", lambda s: s.time_signatures.append(symusic.TimeSignature(4 * 1920, 3, 4)))
    corpus = Folder(tmp_path / "f", voices="roles")
    (report,) = corpus.read().files
    assert [(track, voice) for track, voice, _ in report.voices] == [("one", "melody"), ("two", "bass")]
    for piece in corpus.load():  # in the second stretch alone the roles would be the other way round
        voices = {track.name: track.notes for track in piece.tracks}
        assert len(voices["melody"]) == len(voices["bass"]) == 16


def test_links_to_nothing_and_in_circles(four: Path, tmp_path: Path) -> None:
    (four / "gone.mid").symlink_to(tmp_path / "nowhere.mid")
    (four / "again").symlink_to(four)
    assert len(read_files(four, tmp_path / "s", Reading()).files) == 4


# Beats ----------------------------------------------------------------------------------------------


def test_beats_beside_a_file(tmp_path: Path) -> None:
    assert beats_beside(tmp_path, tmp_path / "a.mid") == Annotation()
    (tmp_path / "a.beats.txt").write_text("0.5\t2\n\n1.25 3.0\n2 1\n3 2\n")
    assert beats_beside(tmp_path, tmp_path / "a.mid") == Annotation(beats=(0.5, 1.25, 2.0, 3.0), downbeats=(2,))
    (tmp_path / "a.beats.txt").write_text("0.5\n1\n")
    assert beats_beside(tmp_path, tmp_path / "a.mid") == Annotation(beats=(0.5, 1.0))
    for text in ("0.5 one\n", "bar\n"):
        (tmp_path / "a.beats.txt").write_text(text)
        with pytest.raises(ValueError, match=r"a\.beats\.txt is not a list of beats"):
            beats_beside(tmp_path, tmp_path / "a.mid")


# Nothing, or little ---------------------------------------------------------------------------------


def test_a_folder_of_nothing_useful_says_so(tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    with pytest.raises(ValueError, match=r"no music files in it \(looked for \.mid, .*, \.mxl, \.xml\)"):
        read_files(root, tmp_path / "s", Reading())
    (root / "a.mid").write_bytes(b"MThd")
    (root / "b.xml").write_text("<a/>")
    with pytest.raises(ValueError, match=r"none of its 2 files can be used; a\.mid, for one: the file is cut short"):
        read_files(root, tmp_path / "s", Reading())
    assert not (tmp_path / "s" / "pieces.json").exists()
    assert len(Report.load(tmp_path / "s" / "report.json").skipped) == 2
    with pytest.raises(ValueError, match="there is no such folder"):
        Folder(tmp_path / "nowhere")


def test_one_or_two_files_are_for_training(four: Path, tmp_path: Path) -> None:
    for name in ("a.mid", "b.mid"):
        (four / name).unlink()
    assert read_files(four, tmp_path / "s", Reading()).summary()["splits"] == {"train": 2}
    (four / "c.mid").unlink()
    assert len(load_files(four, tmp_path / "s", Reading(), split="train")) == 1


# What is kept ---------------------------------------------------------------------------------------


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were parsed for their pieces."""
    names: list[str] = []
    read = folder._Work.__call__

    def call(work: folder._Work, path: Path) -> object:
        names.append(path.name)
        return read(work, path)

    monkeypatch.setattr(folder._Work, "__call__", call)
    return names


def test_what_was_read_is_not_read_again(four: Path, tmp_path: Path, parsed: list[str]) -> None:
    first = read_files(four, tmp_path / "s", Reading())
    assert parsed == ["a.mid", "b.mid", "c.mid", "d.mid"]
    assert read_files(four, tmp_path / "s", Reading()) == first
    assert len(parsed) == 4


def test_interrupted_reading_goes_on(
    four: Path, tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "CHUNK", 2)
    whole = load_files(four, tmp_path / "whole", Reading())
    parsed.clear()
    save = folder.save_pieces

    def stop(pieces: list[Piece], path: Path) -> None:
        if path.name == "notes-00001.npz":
            raise KeyboardInterrupt
        save(pieces, path)

    monkeypatch.setattr(folder, "save_pieces", stop)
    with pytest.raises(KeyboardInterrupt):
        read_files(four, tmp_path / "s", Reading())
    monkeypatch.setattr(folder, "save_pieces", save)
    assert not (tmp_path / "s" / "pieces.json").exists()
    parsed.clear()
    assert load_files(four, tmp_path / "s", Reading()) == whole
    assert parsed == ["c.mid", "d.mid"]


def test_changed_added_and_removed_files_are_seen(
    four: Path, tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "CHUNK", 2)

    def names() -> list[str]:
        parsed.clear()
        return [piece.title for piece in load_files(four, tmp_path / "s", Reading())]

    names()
    write(four / "c.mid", tune(20))
    assert names() == ["a", "b", "c", "d"]
    assert parsed == ["c.mid", "d.mid"]
    assert load_files(four, tmp_path / "s", Reading())[2].tracks == tune(20).tracks
    write(four / "e.mid", tune(21))
    assert names() == ["a", "b", "c", "d", "e"]
    assert parsed == ["e.mid"]
    (four / "e.mid").unlink()
    (four / "d.mid").unlink()
    assert names() == ["a", "b", "c"]
    assert {path.stem for path in (tmp_path / "s").glob("notes-*")} == {"notes-00000", "notes-00001"}
    (four / "a.beats.txt").write_text("0 1\n0.6 2\n1.2 3\n")
    assert names() == ["a", "b", "c"]
    assert parsed == ["a.mid", "b.mid"]


def test_other_settings_read_again(four: Path, tmp_path: Path, parsed: list[str]) -> None:
    for reading in (
        Reading(), Reading(voices="roles"), Reading(grid=Grid(8, 4)), Reading(n_tracks=2, programs=(1, 2)),
        Reading(override={"Cello": ""}), Reading(pattern=("**/*.mid",)),
    ):  # fmt: skip
        parsed.clear()
        read_files(four, tmp_path / "s", reading)
        assert len(parsed) == 4, reading
        read_files(four, tmp_path / "s", reading)
        assert len(parsed) == 4, reading


def test_when_the_folder_is_gone_its_notes_are_still_there(four: Path, tmp_path: Path) -> None:
    before = Folder(four, store=tmp_path / "s").load()
    shutil.rmtree(four)
    assert Folder(four, store=tmp_path / "s").load() == before


@pytest.mark.parametrize("name", ["pieces.json", "report.json", "notes-00000.json", "notes-00000.npz"])
def test_what_is_kept_and_damaged_is_made_again(four: Path, tmp_path: Path, name: str) -> None:
    before = load_files(four, tmp_path / "s", Reading())

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)

    for damage in (lambda p: p.unlink(), lambda p: p.write_text("{"), lambda p: p.write_text("[]"), flip):
        damage(tmp_path / "s" / name)
        assert load_files(four, tmp_path / "s", Reading()) == before


def test_what_another_version_kept_is_read_again(four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "FORMAT", 0)
    before = load_files(four, tmp_path / "s", Reading())
    about = tmp_path / "s" / "notes-00000.json"
    kept = json.loads(about.read_text())
    kept["reports"][0]["something"] = "else"
    about.write_text(json.dumps(kept))
    monkeypatch.undo()
    assert load_files(four, tmp_path / "s", Reading()) == before


def test_a_stream_says_that_its_corpus_changed_under_it(
    four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "CHUNK", 1)
    stream = stream_files(four, tmp_path / "s", Reading())
    next(stream)
    read_files(four, tmp_path / "s", Reading(voices="skyline"))
    with pytest.raises(ValueError, match="was read again in another way"):
        next(stream)


def test_foreign_files_in_the_store_are_left_alone(four: Path, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "notes-to-self.txt").write_text("buy milk")
    read_files(four, tmp_path / "s", Reading())
    assert (tmp_path / "s" / "notes-to-self.txt").read_text() == "buy milk"


def test_a_stretch_without_a_voice_is_left_out_and_counted(four: Path, tmp_path: Path) -> None:
    drums = Track("drums", tuple(Note(4 * beat, 1, 36) for beat in range(6)), is_drum=True)
    melody = Track("melody", tuple(Note(24 + 4 * beat, 4, 60 + beat) for beat in range(8)))
    write(four / "intro.mid", Piece((drums, melody), Grid(12, 3)))
    change(four / "intro.mid", lambda s: s.time_signatures.append(symusic.TimeSignature(2 * 1440, 4, 4)))
    corpus = Folder(four, voices="lines", n_tracks=4)
    report = by_name(corpus.read())["intro.mid"]
    assert (report.n_pieces, report.n_notes, report.left_out, report.metres) == (1, 14, 6, ["4/4"])
    (piece,) = (piece for piece in corpus.load() if piece.labels["file"] == "intro.mid")
    assert sum(len(track.notes) for track in piece.tracks) == 8


def test_two_half_notes_a_bar_are_four_quarter_notes(four: Path, tmp_path: Path) -> None:
    change(four / "a.mid", lambda s: setattr(s.time_signatures[0], "numerator", 2))
    change(four / "a.mid", lambda s: setattr(s.time_signatures[0], "denominator", 2))
    cut, common = load_files(four, tmp_path / "s", Reading())[:2]
    assert cut.labels["metre"] == common.labels["metre"] == "4/4"
    assert (cut.grid.n_steps, cut.grid.beats_per_bar) == (16, 4)


def test_an_override_that_matches_nothing_is_said(four: Path) -> None:
    report = Folder(four, override={"Chello": "", "b.mid/Violin": "", "x.mid/Violin": ""}).read()
    assert report.unmatched == ["Chello", "x.mid/Violin"]
    assert "no file that was read has a track named Chello, x.mid/Violin" in str(report)


def test_files_of_drums_alone_say_nothing_of_pitches(four: Path) -> None:
    beat = Track("kit", tuple(Note(4 * i, 1, 36 + i % 7) for i in range(32)), is_drum=True)
    write(four / "beat.mid", Piece((beat,)))
    low, high = Folder(four, voices="roles").read().summary()["pitches"]
    assert 36 <= low < high <= 90


def test_notes_of_an_interrupted_change_of_settings_are_not_taken_for_the_old_ones(
    four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_files(four, tmp_path / "s", Reading())
    save = folder.save_pieces

    def stop(pieces: list[Piece], path: Path) -> None:
        save(pieces, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "save_pieces", stop)
    with pytest.raises(KeyboardInterrupt):
        read_files(four, tmp_path / "s", Reading(voices="roles"))
    monkeypatch.setattr(folder, "save_pieces", save)
    assert load_files(four, tmp_path / "s", Reading()) == before


def test_pieces_are_streamed(four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "CHUNK", 1)
    read_files(four, tmp_path / "s", Reading())
    loaded: list[str] = []
    load = folder.load_pieces
    monkeypatch.setattr(folder, "load_pieces", lambda path: loaded.append(path.name) or load(path))
    stream = stream_files(four, tmp_path / "s", Reading())
    next(stream)
    assert loaded == ["notes-00000.npz"]
    assert len(list(stream)) == 3
    only = next(p.labels["file"] for p in load_files(four, tmp_path / "s", Reading()) if p.labels["split"] == "test")
    loaded.clear()
    assert [p.labels["file"] for p in stream_files(four, tmp_path / "s", Reading(), split="test")] == [only]
    assert len(loaded) == 1


# What no file can do --------------------------------------------------------------------------------


def says(root: Path, file: Path) -> Annotation:
    """Do what a file's name asks for."""
    match file.stem:
        case "exit":
            os._exit(7)
        case "abort":
            os.abort()
        case "slow":
            time.sleep(30)
        case "memory":
            raise MemoryError
        case "error":
            return {}["nothing"]
        case "skip":
            return Annotation(skip="not wanted")
        case "said":
            labels = {"tonic": 3, "mode": "minor", "composer": "X"}
            return Annotation(labels, split="test", group="song", title="Said")
        case "same":
            return Annotation(group="song")
        case "apart":
            return Annotation(group="song", split="train")
    return Annotation()


def test_what_a_corpus_says_of_a_file(four: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("said", "same", "skip", "error")):
        write(four / f"{name}.mid", tune(30 + number))
    reading = Reading(annotate=says)
    found = {piece.labels["file"]: piece for piece in load_files(four, tmp_path / "s", reading)}
    files = by_name(read_files(four, tmp_path / "s", reading))
    assert files["skip.mid"].skipped == "not wanted"
    assert "KeyError" in files["error.mid"].skipped
    assert set(found) == {"a.mid", "b.mid", "c.mid", "d.mid", "said.mid", "same.mid"}
    said, same = found["said.mid"], found["same.mid"]
    assert (said.title, said.labels["composer"], said.labels["tonic"]) == ("Said", "X", 3)
    assert files["said.mid"].keys == ["Eb minor"]
    assert said.labels["group"] == same.labels["group"] == "song"
    assert said.labels["split"] == same.labels["split"] == "test"  # the others of a group follow
    assert files["said.mid"].split == "test"


def test_splits_of_the_corpus_stand_and_what_they_divide_is_said(four: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("said", "apart")):
        write(four / f"{name}.mid", tune(30 + number))
    report = read_files(four, tmp_path / "s", Reading(annotate=says))
    splits = {p.labels["file"]: p.labels["split"] for p in load_files(four, tmp_path / "s", Reading(annotate=says))}
    assert (splits["said.mid"], splits["apart.mid"]) == ("test", "train")
    assert report.n_divided == 1
    assert "1 groups of pieces are in several of the corpus's own splits" in str(report)


def test_a_score_that_takes_too_long_is_not_called_damaged(
    four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*arguments: object) -> None:
        while True:
            try:
                time.sleep(10)
            except Exception:  # noqa: S112  (as notation libraries do)
                continue

    write(four / "score.musicxml", tune(30))
    monkeypatch.setattr("ganmusic.musicxml._music_of_score", endless)
    monkeypatch.setattr(folder, "TIME_LIMIT", 0.3)
    assert "took longer than" in by_name(read_files(four, tmp_path / "s", Reading()))["score.musicxml"].skipped


def test_somebody_elses_alarm_goes_on(four: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 500, 3)
    try:
        read_files(four, tmp_path / "s", Reading())
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 400 < left <= 500
        assert interval == pytest.approx(3)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_endless_file_and_one_for_all_the_memory_are_skipped(
    four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "TIME_LIMIT", 0.2)
    write(four / "slow.mid", tune(30))
    write(four / "memory.mid", tune(31))
    files = by_name(read_files(four, tmp_path / "s", Reading(annotate=says)))
    assert "took longer than" in files["slow.mid"].skipped
    assert files["memory.mid"].skipped == "needs more memory than there is"
    assert sum(not file.skipped for file in files.values()) == 4


def test_processes_read_the_same_and_a_crash_skips_only_its_file(four: Path, tmp_path: Path) -> None:
    for number in range(8):
        write(four / f"more{number}.mid", tune(40 + number))
    here = load_files(four, tmp_path / "here", Reading(annotate=says), jobs=1)
    for name in ("exit", "abort"):
        write(four / f"{name}.mid", tune(50))
    report = read_files(four, tmp_path / "there", Reading(annotate=says), jobs=2)
    assert {file.file: file.skipped for file in report.skipped} == dict.fromkeys(
        ["exit.mid", "abort.mid"], "the program that read it crashed"
    )
    there = load_files(four, tmp_path / "there", Reading(annotate=says), jobs=2)
    assert there == here


def test_reading_takes_no_more_memory_for_more_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "CHUNK", 4)
    monkeypatch.setattr(folder, "SURVEY", 4)
    peaks = []
    for n in (8, 40):
        root = tmp_path / str(n)
        for number in range(n):
            write(root / f"{number:03}.mid", tune(number, 60))
        read_files(root, tmp_path / f"s{n}", Reading())
        tracemalloc.start()
        for _ in stream_files(root, tmp_path / f"s{n}", Reading()):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


# A corpus -------------------------------------------------------------------------------------------


def test_a_folder_is_a_corpus(four: Path) -> None:
    corpus = Folder(four, n_tracks=2, programs=[24, 32])
    assert corpus.name == "four"
    assert str(four.resolve()) in corpus.provenance
    assert [t.program for t in corpus.load("train")[0].tracks] == [24, 32]
    assert sum(len(corpus.load(split)) for split in SPLITS) == len(corpus.load()) == 4
    assert corpus.read().summary()["read"] == 4
    with pytest.raises(ValueError, match="no split is named 'best'"):
        corpus.load("best")


def test_without_a_place_of_its_own_a_folder_leaves_nothing_behind(four: Path) -> None:
    corpus = Folder(four)
    corpus.load()
    store = corpus.store
    assert (store / "pieces.json").exists()
    del corpus
    gc.collect()
    assert not store.exists()


def test_settings_that_do_not_fit_are_said(four: Path) -> None:
    with pytest.raises(ValueError, match="no rule is named 'best'"):
        Folder(four, voices="best").load()
    with pytest.raises(ValueError, match="need as many programs"):
        Folder(four, programs=[1]).load()
