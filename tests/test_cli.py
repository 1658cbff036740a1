"""The `ganmusic` command: exit codes, one-line errors, and the files it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ganmusic
from ganmusic import cli, midi
from ganmusic.cli import main
from ganmusic.pianoroll import Grid, Note, Piece, Track


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def replace_module(monkeypatch: pytest.MonkeyPatch, name: str, **names: Any) -> None:
    """Let ``from ganmusic import name`` find `names` in place of the module, until the test's end."""
    module = SimpleNamespace(**names)
    monkeypatch.setitem(sys.modules, f"ganmusic.{name}", module)
    monkeypatch.setattr(ganmusic, name, module, raising=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Networks that cost nothing: what they were asked for is noted."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def train(recipe: str, out: Path, **options: Any) -> SimpleNamespace:
        calls.append((recipe, {"out": out, **options}))
        return SimpleNamespace(rows=[{"step": 1234}])

    def compose(**options: Any) -> Piece:
        calls.append(("compose", {**options, "run": options["run"].name}))
        return Piece((Track("solo", (Note(0, 4, 60 + options["seed"]),)),))

    recipes = {"chorales": SimpleNamespace(description="four voices")}
    replace_module(monkeypatch, "recipes", RECIPES=recipes, train=train)

    def load_generator(run: Path) -> SimpleNamespace:
        return SimpleNamespace(name=f"network of {run}", generator=SimpleNamespace(), grid=Grid())

    replace_module(monkeypatch, "sample", compose=compose, load_generator=load_generator, TEMPO=80.0)
    return calls


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that fails, and return the one line that says why."""
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ganmusic: error: ")
    assert err.count("\n") == 1
    return err


# Without any work -----------------------------------------------------------------------------------


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = """
import sys
from ganmusic.cli import main
try:
    main(["--help"])
finally:
    heavy = {"torch", "numpy", "music21", "symusic", "pretty_midi", "matplotlib"} & set(sys.modules)
    assert not heavy, heavy
"""
    begin = time.perf_counter()
    result = run_python(code)
    seconds = time.perf_counter() - begin
    assert result.returncode == 0, result.stderr
    assert all(command in result.stdout for command in ("train", "compose", "info"))
    assert seconds < 1


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "ganmusic", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0
    assert result.stdout.startswith("ganmusic ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["train"],
        ["train", "--out", "run", "--minutes", "1", "--steps", "1"],
        ["train", "--out", "run", "--minutes", "0"],
        ["train", "--out", "run", "--minutes", "nan"],
        ["train", "--out", "run", "--steps", "0"],
        ["train", "--out", "run", "--steps", "1.5"],
        ["train", "--out", "run", "--threads", "0"],
        ["train", "--out", "run", "--seed", "-1"],
        ["compose"],
        ["compose", "a.mid", "--bars", "0"],
        ["compose", "a.mid", "--bars", "1001"],
        ["compose", "a.mid", "--count", "0"],
        ["compose", "a.mid", "--seed", "one"],
        ["info", "run"],
    ],
)
def test_usage_errors_have_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: ganmusic" in capsys.readouterr().err


# train ----------------------------------------------------------------------------------------------


def test_train_passes_on_what_it_was_told(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "new" / "run"
    told = ["--minutes", "2.5", "--seed", "7", "--threads", "2", "--tensorboard"]
    assert main(["train", "--out", str(run), *told]) == 0
    assert asked == [
        (
            "chorales",
            {
                "out": run,
                "steps": None,
                "minutes": 2.5,
                "resume": False,
                "seed": 7,
                "threads": 2,
                "tensorboard": True,
                "progress": True,
            },
        )
    ]
    assert (
        f"1,234 updates; hear it with: ganmusic compose song.mp3 --run {run}"
        in capsys.readouterr().out
    )


def test_an_unknown_recipe_is_a_usage_error(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--recipe", "opera", "--out", str(tmp_path / "run")])
    assert caught.value.code == 2
    assert "'opera' is not one of chorales" in capsys.readouterr().err
    assert asked == []


def test_a_run_is_not_overwritten(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("precious")
    assert "is not empty; --resume goes on" in fails(["train", "--out", str(tmp_path)], capsys)
    assert asked == []
    assert main(["train", "--out", str(tmp_path), "--resume"]) == 0
    assert asked[0][1]["resume"] is True
    assert (tmp_path / "config.json").read_text() == "precious"


def test_an_empty_folder_is_a_new_run(asked: list[Any], tmp_path: Path) -> None:
    assert main(["train", "--out", str(tmp_path)]) == 0
    assert len(asked) == 1


def test_nothing_to_resume_and_a_file_in_the_way(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ["train", "--out", str(tmp_path / "run"), "--resume"]
    assert "there is no run to resume" in fails(missing, capsys)
    (tmp_path / "file").touch()
    assert "is a file" in fails(["train", "--out", str(tmp_path / "file")], capsys)
    assert "is not a folder" in fails(["train", "--out", str(tmp_path / "file" / "run")], capsys)
    assert asked == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("training diverged at step 7:\nD is nan"), "diverged at step 7: D is nan"),
        (OSError(28, "No space left on device", "run/log.jsonl"), "run/log.jsonl: No space left"),
        (ImportError("No module named 'tensorboard'"), "No module named 'tensorboard'"),
        (MemoryError(), "MemoryError"),
        (ValueError("the recipe is wrong"), "the recipe is wrong"),
    ],
)
def test_what_goes_wrong_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    line: str,
) -> None:
    def train(*_: Any, **__: Any) -> None:
        raise error

    replace_module(monkeypatch, "recipes", RECIPES={"chorales": None}, train=train)
    assert line in fails(["train", "--out", str(tmp_path / "run")], capsys)


@pytest.mark.parametrize(
    ("saved", "line"),
    [
        (["checkpoint-00000050", "checkpoint-00000100"], "checkpoint-00000100, and --resume"),
        ([], "no checkpoint was saved"),
    ],
)
def test_an_interrupt_says_what_is_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], saved: list[str], line: str
) -> None:
    run = tmp_path / "run"

    def train(*_: Any, **__: Any) -> None:
        for name in saved:
            (run / name).mkdir(parents=True)
        raise KeyboardInterrupt

    replace_module(monkeypatch, "recipes", RECIPES={"chorales": None}, train=train)
    assert main(["train", "--out", str(run)]) == 130
    err = capsys.readouterr().err
    assert err.startswith("ganmusic: error: interrupted; ")
    assert line in err


# compose --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", cli.SUFFIXES)
def test_compose_writes_every_format(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    path = tmp_path / f"song{suffix.upper() if suffix == '.mid' else suffix}"
    assert main(["compose", str(path), "--bars", "3", "--seed", "5", "--run", "somewhere"]) == 0
    assert path.stat().st_size > 0
    assert capsys.readouterr().out == f"{path}\n"
    assert asked == [("compose", {"n_bars": 3, "seed": 5, "run": "network of somewhere"})]


def test_a_count_makes_a_folder_of_numbered_files(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compose", str(tmp_path / "songs.mid"), "--count", "3", "--seed", "4"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["songs"]
    names = ["songs-001.mid", "songs-002.mid", "songs-003.mid"]
    assert sorted(path.name for path in (tmp_path / "songs").iterdir()) == names
    pieces = [midi.read(tmp_path / "songs" / name) for name in names]
    assert [piece.tracks[0].notes[0].pitch for piece in pieces] == [64, 65, 66]
    assert capsys.readouterr().out == f"{tmp_path}/songs/songs-001.mid to songs-003.mid\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("song.doc", "ends in one of .mid"),
        ("song", "ends in one of .mid"),
        ("none/song.mid", "there is no such folder"),
        ("file/song.mid", "is not a folder"),
        ("folder.mid", "is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.mid").mkdir()
    line = fails(["compose", str(tmp_path / name)], capsys)
    assert reason in line
    assert str(tmp_path) in line
    assert asked == []


def test_a_folder_without_permission_is_refused_before_the_work(
    asked: list[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ganmusic.cli.tempfile.TemporaryFile", denied)
    line = fails(["compose", str(tmp_path / "song.mid")], capsys)
    assert f"{tmp_path}: cannot be written to (Permission denied)" in line
    assert asked == []


def test_a_piece_that_cannot_be_written_leaves_no_file(
    asked: list[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left on device" in fails(["compose", str(tmp_path / "song.mid")], capsys)
    assert list(tmp_path.iterdir()) == []


# With the real networks -----------------------------------------------------------------------------


def test_a_missing_run_and_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["compose", str(tmp_path / "song.mid")], ["info"]):
        assert "no run" in fails([*command, "--run", str(tmp_path / "none")], capsys)
        assert "not a run" in fails([*command, "--run", str(tmp_path)], capsys)
    assert list(tmp_path.iterdir()) == []


def test_train_then_compose_then_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    song = tmp_path / "song.mid"
    assert main(["train", "--recipe", "toy", "--out", run, "--steps", "2", "--seed", "3"]) == 0
    assert (
        # The recipe and the seed are the run's own.
        main(["train", "--out", run, "--steps", "3", "--resume"]) == 0
    )
    capsys.readouterr()
    assert main(["info", "--run", run]) == 0
    told = capsys.readouterr().out
    assert "recipe: toy" in told
    assert "seed: 3" in told
    assert "step: 3" in told
    assert "generator_loss" in told
    assert main(["compose", str(song), "--run", run, "--bars", "4"]) == 0
    assert song.exists()


def test_compose_makes_as_many_bars_as_the_network_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, song = str(tmp_path / "run"), tmp_path / "song.mid"
    assert main(["train", "--recipe", "mlp", "--out", run, "--steps", "1"]) == 0
    assert main(["compose", str(song), "--run", run]) == 0
    assert song.exists()
    capsys.readouterr()
    assert "clips of 4 bars, not 8" in fails(["compose", str(song), "--run", run, "--bars", "8"], capsys)


def test_a_piece_too_long_to_play_is_refused_before_it_is_composed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "400 bars last 20 minutes" in fails(["compose", str(tmp_path / "a.mp3"), "--bars", "400"], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_run_leaves_no_folder_for_its_pieces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no run" in fails(["compose", str(tmp_path / "a.mid"), "--count", "2", "--run", "nowhere"], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_config_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["train", "--recipe", "toy", "--out", str(run), "--steps", "1"]) == 0
    config = json.loads((run / "config.json").read_text())
    del config["train"]
    (run / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    line = fails(["train", "--out", str(run), "--resume"], capsys)
    assert f"{run} does not fit this version of ganmusic: no entry 'train'" in line


def test_info_tells_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    told = capsys.readouterr().out
    for word in ("ganmusic:", "torch:", "recipes:", "chorales:", "corpora:", "comes with ganmusic"):
        assert word in told


def test_compose_with_the_network_that_comes_along(tmp_path: Path) -> None:
    songs = [tmp_path / name for name in ("a.mid", "b.mid", "c.mid")]
    for song, seed in zip(songs, ("1", "1", "2"), strict=True):
        assert main(["compose", str(song), "--bars", "2", "--seed", seed]) == 0
    same, again, other = (song.read_bytes() for song in songs)
    assert same == again != other
    assert midi.read(songs[0]).n_bars == 2
