"""The `ganmusic` command: exit codes, one-line errors, and the files it leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ganmusic
from ganmusic import cli, corpora, midi
from ganmusic.cli import main
from ganmusic.corpora import CORPORA, own
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

    recipes = {"choir": SimpleNamespace(description="four voices")}
    replace_module(monkeypatch, "recipes", RECIPES=recipes, train=train)

    def load_generator(run: Path) -> SimpleNamespace:
        return SimpleNamespace(
            name=f"network of {run}",
            generator=SimpleNamespace(),
            grid=Grid(),
            asking=lambda **told: None,
            takes_melody=False,
        )

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
    assert all(command in result.stdout for command in ("train", "compose", "recipes", "info"))
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
        ["train", "--out", "run", "--device", "tpu"],
        ["train", "--out", "run", "--precision", "int8"],
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
    told = ["--corpus", "mine", "--balance", "mode", "--minutes", "2.5", "--seed", "7", "--threads", "2"]
    told += ["--device", "cuda", "--precision", "bfloat16", "--tensorboard"]
    assert main(["train", "--out", str(run), *told]) == 0
    assert asked == [
        (
            "choir",
            {
                "out": run,
                "corpus": "mine",
                "balance": "mode",
                "steps": None,
                "minutes": 2.5,
                "resume": False,
                "seed": 7,
                "threads": 2,
                "device": "cuda",
                "precision": "bfloat16",
                "tensorboard": True,
                "progress": True,
            },
        )
    ]
    assert (
        f"1,234 updates; hear it with: ganmusic compose song.mp3 --run {run}"
        in capsys.readouterr().out
    )


def test_the_command_knows_the_devices_and_precisions_that_there_are() -> None:
    from ganmusic import parallel, train

    assert cli._DEVICES == parallel.DEVICES
    assert cli._PRECISIONS == train.PRECISIONS


def test_one_of_several_processes_leaves_speaking_to_the_first(
    asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert main(["train", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_an_unknown_recipe_is_a_usage_error(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--recipe", "opera", "--out", str(tmp_path / "run")])
    assert caught.value.code == 2
    assert "'opera' is not one of choir" in capsys.readouterr().err
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

    replace_module(monkeypatch, "recipes", RECIPES={"choir": None}, train=train)
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

    replace_module(monkeypatch, "recipes", RECIPES={"choir": None}, train=train)
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
    wishes = dict.fromkeys(("key", "chords", "mode", "density", "register"))
    assert asked == [("compose", {"n_bars": 3, "seed": 5, "run": "network of somewhere", **wishes})]


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


def test_compose_in_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = tmp_path / "song.musicxml"
    assert main(["compose", str(song), "--bars", "2", "--key", "D minor"]) == 0
    # One flat.
    assert "<fifths>-1</fifths>" in song.read_text(encoding="utf-8")
    capsys.readouterr()
    assert "'H minor'" in fails(["compose", str(tmp_path / "a.mid"), "--key", "H minor", "--count", "2"], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["song.musicxml"]


def test_training_that_diverges_ends_with_what_was_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ganmusic.recipes import RECIPES

    slopes = iter([1.0, 1e30, 1e60])  # the last is more than a float32 can hold
    game = {"loss": "relativistic", "penalty": lambda critic, real, fake: (critic(real) * next(slopes)).square().mean()}
    monkeypatch.setitem(RECIPES, "toy", replace(RECIPES["toy"], game=game, config={"batch_size": 8, "save_every": 1}))
    run = tmp_path / "run"
    assert main(["train", "--recipe", "toy", "--out", str(run), "--steps", "20"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    good = sorted(run.glob("checkpoint-*"))[-1]
    assert re.match(r"ganmusic: error: training diverged at step \d+: \S+ is not a finite number; ", line)
    assert f"the last good checkpoint is {good}, and can be played" in line
    assert "a smaller learning rate, a stronger penalty or another seed" in line
    assert main(["compose", str(tmp_path / "song.mid"), "--run", str(run), "--bars", "4"]) == 0


def test_compose_over_chords(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = tmp_path / "song.mid"
    assert main(["compose", str(song), "--chords", "G | Em | C | D7", "--seed", "3"]) == 0
    piece = midi.read(song)
    assert (piece.n_bars, [track.name for track in piece.tracks]) == (4, ["melody", "chords"])
    roots = [min(n.pitch for n in piece.tracks[1].notes if n.onset == bar * 16) % 12 for bar in range(4)]
    assert roots == [7, 4, 0, 2]
    capsys.readouterr()
    many = ["compose", str(tmp_path / "a.mid"), "--count", "2"]
    assert "bar 2, 'X', is not a chord" in fails([*many, "--chords", "C | X"], capsys)
    assert "takes no chords" in fails([*many, "--run", "chorales", "--chords", "C"], capsys)
    assert "give it chords in D minor instead" in fails([*many, "--run", "midinet", "--key", "Dm"], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["song.mid"]


def test_info_knows_what_comes_along(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--run", "midinet"]) == 0
    assert "recipe: midinet\n" in capsys.readouterr().out


def test_train_on_another_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    assert main(["train", "--recipe", "toy", "--corpus", "chorales", "--out", run, "--steps", "1"]) == 0
    # What is left out is said before it begins: chorales in 3/4, among others.
    assert "pieces to train on are left out" in capsys.readouterr().err
    assert main(["info", "--run", run]) == 0
    assert "corpus: chorales" in capsys.readouterr().out
    assert "'opera'" in fails(["train", "--corpus", "opera", "--out", str(tmp_path / "other")], capsys)
    assert not (tmp_path / "other").exists()


def test_train_on_a_folder_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANMUSIC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "songs").mkdir()
    pieces = [piece for piece in CORPORA["toy"].load() if piece.grid.n_steps == 16]
    for number, piece in enumerate(pieces):
        midi.write(piece, tmp_path / "songs" / f"{number}.mid")
    corpora.add("attic", tmp_path / "songs")
    run, song = str(tmp_path / "run"), tmp_path / "song.mid"
    train = ["train", "--recipe", "toy", "--out", run]
    assert main([*train, "--corpus", "attic", "--steps", "2"]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["corpus"] == "attic"
    assert config["data"]["normalise_key"] is True
    assert len(config["tracks"]) == len(config["drums"]) == 4
    # The network needs no corpus any more, and going on with training does.
    (tmp_path / "songs" / "0.mid").write_bytes((tmp_path / "songs" / "1.mid").read_bytes())
    capsys.readouterr()
    assert "cannot go on with" in fails_loudly([*train, "--resume", "--steps", "3"], capsys)
    assert main(["compose", str(song), "--run", run, "--bars", "2", "--key", "Eb"]) == 0
    assert midi.read(song).n_bars == 2


def fails_loudly(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that fails after it has said something, and return its last line on stderr."""
    assert main(arguments) == 1
    return capsys.readouterr().err.splitlines()[-1]


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


def test_recipes_are_listed_with_what_they_train_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    from ganmusic.recipes import RECIPES

    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert "toy: corpus toy, model convnet, 20 updates of 8 clips of 4 bars\n" in out
    assert "mlp: corpus chorales, model mlp, 2,000 updates of 32 clips of 4 bars\n" in out
    told = " ".join(out.split())
    for name, recipe in RECIPES.items():
        assert f"{name}: corpus {recipe.corpus}," in told
        assert " ".join(recipe.description.split()) in told
    assert max(map(len, out.splitlines())) <= 102


def test_info_tells_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "music").mkdir()
    midi.write(Piece((Track("solo", (Note(0, 4, 60), Note(4, 4, 62))),)), tmp_path / "music" / "song.mid")
    monkeypatch.setenv("GANMUSIC_CACHE", str(tmp_path / "cache"))
    corpora.add("attic", tmp_path / "music")
    assert main(["info"]) == 0
    told = capsys.readouterr().out
    for word in ("ganmusic:", "torch:", "recipes:", "chorales:", "corpora:", "comes with ganmusic", "attic: your own"):
        assert word in told


def test_compose_with_the_network_that_comes_along(tmp_path: Path) -> None:
    songs = [tmp_path / name for name in ("a.mid", "b.mid", "c.mid")]
    for song, seed in zip(songs, ("1", "1", "2"), strict=True):
        assert main(["compose", str(song), "--bars", "2", "--seed", seed]) == 0
    same, again, other = (song.read_bytes() for song in songs)
    assert same == again != other
    assert midi.read(songs[0]).n_bars == 2


# corpora --------------------------------------------------------------------------------------------


@pytest.fixture
def songs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A corpus 'songs' that is not for commercial use, with a download that costs nothing, in a cache of its own."""
    from dataclasses import replace

    from ganmusic.corpora import CORPORA, download

    def fetch(name: str, archive: Any, *, cache: Path | None, progress: bool) -> Path:
        assert progress
        shown.append(sys.stdout.getvalue())  # type: ignore[attr-defined]
        folder = download.corpus_folder(name, cache) / "files"
        folder.mkdir(parents=True)
        (folder.parent / download.MARKER).write_text("{}")
        return folder

    shown: list[str] = []
    archive = download.Archive("http://127.0.0.1:9/songs.zip", 1_234_567, "md5:00", 10_000_000)
    record = replace(CORPORA["toy"], name="songs", title="Songs", licence="CC BY-NC 4.0: not for commercial purposes.")
    monkeypatch.setitem(CORPORA, "songs", replace(record, commercial=False, archive=archive))
    monkeypatch.setattr(download, "fetch", fetch)
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "music").mkdir()
    midi.write(Piece((Track("solo", (Note(0, 4, 60), Note(4, 4, 62))),)), tmp_path / "music" / "song.mid")
    return SimpleNamespace(shown=shown, cache=tmp_path / "cache", music=tmp_path / "music")


def listed(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The row of a corpus in the list."""
    capsys.readouterr()
    assert main(["corpora", "list"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{name} ")]
    return [cell for cell in row.split("  ") if cell]


def test_corpora_are_listed_with_size_terms_and_whether_they_are_there(
    songs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [cell.strip() for cell in listed("songs", capsys)] == [
        "songs", "1.2 MB", "no", "no", "CC BY-NC 4.0", "Songs"
    ]  # fmt: skip
    assert [cell.strip() for cell in listed("toy", capsys)][2:4] == ["included", "yes"]
    assert main(["corpora", "fetch", "songs"]) == 0
    assert listed("songs", capsys)[2].strip() == "yes"
    own.add("mine", songs.music)
    assert listed("mine", capsys)[-1].strip() == f"your music in {songs.music}"


def test_fetching_shows_the_licence_before_anything_is_asked_of_a_server(
    songs: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(["corpora", "fetch", "songs"]) == 0
    (before,) = songs.shown
    assert "CC BY-NC 4.0: not for commercial purposes." in before
    assert "NOT FOR COMMERCIAL USE" in before
    assert screen.getvalue() == f"{before}{songs.cache / 'songs' / 'files'}\n"


def test_what_is_included_is_not_fetched(songs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "fetch", "toy"]) == 0
    out = capsys.readouterr().out
    assert "nothing to download" in out
    assert "NOT FOR" not in out
    assert songs.shown == []


def test_the_path_of_ones_own_corpus_is_ones_own_folder_and_removing_leaves_it(
    songs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    own.add("mine", songs.music)
    (songs.music / "song.mid").write_text("precious")
    assert main(["corpora", "path", "mine"]) == 0
    assert capsys.readouterr().out == f"{songs.music}\n"
    assert main(["corpora", "remove", "mine"]) == 0
    assert not (songs.cache / "mine").exists()
    assert (songs.music / "song.mid").read_text() == "precious"
    with pytest.raises(SystemExit):
        main(["corpora", "path", "mine"])


def test_the_path_of_a_corpus_is_that_of_its_files(songs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "ganmusic corpora fetch songs" in fails(["corpora", "path", "songs"], capsys)
    assert "has no folder" in fails(["corpora", "path", "toy"], capsys)
    other = songs.cache.parent / "other"
    assert main(["corpora", "fetch", "songs", "--cache", str(other)]) == 0
    capsys.readouterr()
    assert main(["corpora", "path", "songs", "--cache", str(other)]) == 0
    assert capsys.readouterr().out == f"{other / 'songs' / 'files'}\n"
    assert not songs.cache.exists()


def test_removing_deletes_inside_the_cache_and_says_where(songs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing of songs" in fails(["corpora", "remove", "songs"], capsys)
    assert main(["corpora", "fetch", "songs"]) == 0
    capsys.readouterr()
    assert main(["corpora", "remove", "songs"]) == 0
    assert capsys.readouterr().out == f"songs: removed from {songs.cache}\n"
    assert not (songs.cache / "songs").exists()


def test_a_corpus_is_cited_in_bibtex(songs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from pybtex.database import parse_string

    assert main(["corpora", "cite", "chorales"]) == 0
    assert list(parse_string(capsys.readouterr().out, "bibtex").entries) == ["cuthbert2010music21"]


@pytest.mark.parametrize("action", ["fetch", "path", "remove", "cite"])
@pytest.mark.parametrize("name", ["nothing", "../songs", ""])
def test_an_unknown_corpus_is_answered_with_the_known_ones(
    action: str, name: str, songs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["corpora", action, name])
    assert caught.value.code == 2
    assert f"{name!r} is not one of chorales, toy" in capsys.readouterr().err


# One's own music ------------------------------------------------------------------------------------


@pytest.fixture
def attic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three songs and a page of text, and a cache of its own."""
    monkeypatch.setenv("GANMUSIC_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "attic"
    folder.mkdir()
    for i in range(3):
        line = tuple(Note(4 * j, 4, 60 + (7 * i + 3 * j) % 11) for j in range(12))
        midi.write(Piece((Track("Flute", line, 73), Track("Cello", (Note(0, 48, 40 + i),), 42))), folder / f"{i}.mid")
    (folder / "page.mid").write_text("no music at all")
    return folder


def test_a_folder_becomes_a_corpus(attic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "add", "mine", str(attic), "--programs", "40", "41", "--steps", "8", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "4: 3 read, 1 skipped" in out
    assert "is not music that can be read" in out
    assert "train on it with: ganmusic train --corpus mine" in out
    pieces = corpora.get("mine").load()
    assert {piece.grid.n_steps for piece in pieces} == {8}
    assert [track.program for track in pieces[0].tracks] == [40, 41]
    assert (tmp_path / "cache/mine/notes/report.png").read_bytes().startswith(b"\x89PNG")
    assert main(["corpora", "list"]) == 0
    assert "mine" in capsys.readouterr().out
    # Adding it again with other options reads it again.
    assert main(["corpora", "add", "mine", str(attic), "--tracks", "1"]) == 0
    assert [track.name for track in corpora.get("mine").load()[0].tracks] == ["melody"]


def test_the_report_on_a_corpus(attic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "add", "mine", str(attic)]) == 0
    capsys.readouterr()
    written = [str(tmp_path / name) for name in ("report.json", "report.svg")]
    assert main(["corpora", "report", "mine", "--json", written[0], "--picture", written[1]]) == 0
    report = corpora.Report.load(written[0])
    assert capsys.readouterr().out == f"{report}\n"
    assert json.loads(Path(written[0]).read_text())["summary"]["read"] == 3
    assert "<svg" in Path(written[1]).read_text()
    assert ".png or .svg" in fails(["corpora", "report", "mine", "--picture", str(tmp_path / "x.gif")], capsys)


def test_there_is_no_report_on_what_was_not_read(attic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "toy: no files of it were read yet" in fails(["corpora", "report", "toy"], capsys)
    assert "no corpus is named 'yours'" in fails(["corpora", "report", "yours"], capsys)


def test_what_the_user_decides_about_tracks(attic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = tmp_path / "said.json"
    said.write_text('{"Cello": "melody", "Flute": ""}')
    add = ["corpora", "add", "mine", str(attic), "--voices", "roles", "--override", str(said)]
    assert main(add) == 0
    melody = corpora.get("mine").load()[0].tracks[0]
    assert (melody.name, len(melody.notes)) == ("melody", 1)
    capsys.readouterr()
    for text in ("{", "[1]", '{"Cello": 3}'):
        said.write_text(text)
        assert 'JSON of the form {"track name": "voice"}' in fails(add, capsys)
    said.write_text('{"Cello": "tuba"}')
    assert "no voice is named 'tuba'" in fails_loudly(add, capsys)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Mine", [], "cannot name a corpus"),
        ("chorales", [], "ganmusic knows already"),
        ("mine", ["--voices", "best"], "no rule is named 'best'"),
        ("mine", ["--voices", "roles", "--tracks", "3"], "makes 5 voices, not 3"),
        ("mine", ["--programs", "1", "2", "3"], "need as many programs"),
    ],
)
def test_what_does_not_fit_a_folder(
    name: str, options: list[str], message: str, attic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in fails_loudly(["corpora", "add", name, str(attic), *options], capsys)


def test_steps_that_do_not_fit_the_beats(attic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["corpora", "add", "mine", str(attic), "--steps", "10"])
    assert caught.value.code == 2
    assert "10 steps cannot be cut into 4 equal beats" in capsys.readouterr().err


def test_a_name_is_freed_even_if_nothing_could_be_read(
    attic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    add = ["corpora", "add", "mine"]
    assert "there is no such folder" in fails([*add, str(tmp_path / "nowhere")], capsys)
    assert "no music files" in fails_loudly([*add, str(tmp_path / "empty")], capsys)
    assert main([*add, str(attic)]) == 0
    capsys.readouterr()
    assert "'ganmusic corpora remove mine' frees it" in fails([*add, str(tmp_path / "empty")], capsys)
    assert main(["corpora", "report", "mine"]) == 0  # what was there stays
    assert len(list(attic.iterdir())) == 4


def test_output_that_nobody_reads_any_more_is_no_error() -> None:
    code = "import sys; from ganmusic.cli import main; sys.exit(main(['corpora', 'list']))"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        python = [sys.executable, "-c", code]
        done = subprocess.run(python, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
