"""The `ganmusic` command: train a network, compose with one, say what is there.

Exit codes: 0 all went well; 1 it did not, and one line on stderr says why; 2 the command was not
understood; 130 it was interrupted. What can be checked before long work (the output's folder, its ending,
a run in the way) is. torch takes seconds to import, so everything that needs it is imported inside the
function that does the work, and ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["SUFFIXES", "main"]

SUFFIXES = (
    *(".mid", ".midi", ".musicxml", ".xml", ".mxl"),
    *(".mp3", ".wav", ".flac", ".ogg"),
    *(".png", ".svg"),
)
"""Endings of the files that ``ganmusic compose`` writes: notes, sound, picture."""

_MAX_BARS = 1000
_MAX_COUNT = 999
_PACKAGES = ("torch", "numpy", "safetensors", "symusic", "music21", "soundfile")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process by default) and return its exit code.

    Raises
    ------
    SystemExit
        If the arguments are not understood (code 2), or ask for help or the version (code 0).
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.run_command(options)
    except KeyboardInterrupt:
        return _fail("interrupted" + _what_is_saved(options), code=130)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(where + (error.strerror or str(error)))
    except (ValueError, RuntimeError, ImportError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__)
    return 0


def _fail(reason: str, code: int = 1) -> int:
    print("ganmusic: error:", " ".join(reason.split()), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ganmusic", description="Make music with generative adversarial networks."
    )
    parser.add_argument("--version", action="version", version=f"ganmusic {_version('ganmusic')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train a network",
        description="Train a network by a recipe. Ctrl-C stops it; --resume goes on from there.",
    )
    train.add_argument(
        "--recipe",
        help="name of the recipe (default: chorales, or that of the run to resume); 'ganmusic info' lists them",
    )
    train.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder of the run, made if it is missing",
    )
    budget = train.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=_positive, metavar="M", help="stop after this time")
    budget.add_argument("--steps", type=_whole(1), metavar="N", help="stop after this many updates")
    train.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    train.add_argument(
        "--seed",
        type=_whole(0, 2**31 - 1),
        metavar="S",
        help="starting point of chance (default: 0, or that of the run to resume)",
    )
    train.add_argument(
        "--threads", type=_whole(1, 1024), metavar="T", help="processor threads to use"
    )
    train.add_argument("--tensorboard", action="store_true", help="also log to RUN/tensorboard")
    train.set_defaults(run_command=_train, parser=train)

    compose = commands.add_parser(
        "compose",
        help="compose a piece",
        description="Compose a piece and write it as notes, sound or picture, as the ending of OUT says: "
        + " ".join(SUFFIXES),
    )
    compose.add_argument("out", type=Path, metavar="OUT", help="file to write")
    compose.add_argument(
        "--run",
        type=Path,
        metavar="RUN",
        help="run to compose with (default: the network that comes with ganmusic)",
    )
    compose.add_argument(
        "--bars",
        type=_whole(1, _MAX_BARS),
        metavar="N",
        help=f"length, 1 to {_MAX_BARS} (default: 8, or what the run's network makes)",
    )
    compose.add_argument(
        "--seed",
        type=_whole(0, 2**31 - 1),
        default=0,
        metavar="S",
        help="another seed, another piece (default: 0)",
    )
    compose.add_argument(
        "--count",
        type=_whole(1, _MAX_COUNT),
        default=1,
        metavar="K",
        help="compose K pieces, with seeds S, S+1, ...: songs.mp3 then makes a folder songs with "
        "songs-001.mp3, songs-002.mp3, ...",
    )
    compose.set_defaults(run_command=_compose, parser=compose)

    info = commands.add_parser(
        "info",
        help="say what is there",
        description="Show versions, recipes, corpora and the network that comes with ganmusic, or a run.",
    )
    info.add_argument("--run", type=Path, metavar="RUN", help="run to describe")
    info.set_defaults(run_command=_info, parser=info)
    return parser


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Make an argument type: a whole number in a range."""

    def parse(text: str) -> int:
        fits = f"{low} to {high}" if high is not None else f"{low} or more"
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number ({fits})") from None
        if number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"{text} is out of range ({fits})")
        return number

    return parse


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _check_writable(folder: Path) -> None:
    """Refuse a folder in which no file can be made, before the work and not after."""
    if not folder.exists():
        raise ValueError(f"{folder}: there is no such folder to write to")
    if not folder.is_dir():
        raise ValueError(f"{folder}: is not a folder")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written to ({error.strerror})") from error


# train ----------------------------------------------------------------------------------------------


def _train(options: argparse.Namespace) -> None:
    out: Path = options.out
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; a run is a folder")
    if options.resume and not (out / "config.json").exists():
        raise ValueError(f"{out}: there is no run to resume")
    if not options.resume and out.is_dir() and any(out.iterdir()):
        raise ValueError(
            f"{out}: is not empty; --resume goes on with a run, a new one needs a new folder"
        )
    _check_writable(out if out.is_dir() else _first_folder(out))

    from ganmusic import recipes

    recipe = options.recipe or (None if options.resume else "chorales")
    if recipe is not None and recipe not in recipes.RECIPES:
        known = ", ".join(recipes.RECIPES)
        options.parser.error(f"argument --recipe: {recipe!r} is not one of {known}")
    history = recipes.train(
        recipe,
        out,
        steps=options.steps,
        minutes=options.minutes,
        resume=options.resume,
        seed=options.seed,
        threads=options.threads,
        tensorboard=options.tensorboard,
        progress=True,
    )
    done = f"{history.rows[-1]['step']:,} updates" if history.rows else "nothing left to do"
    print(f"{out}: {done}; hear it with: ganmusic compose song.mp3 --run {out}")


def _first_folder(path: Path) -> Path:
    """Return the nearest parent that exists: the one in which the missing ones will be made."""
    return next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))


def _what_is_saved(options: argparse.Namespace) -> str:
    """Say where an interrupted training left its last checkpoint."""
    if options.run_command is not _train:
        return ""
    # Not by the module that knows: the interrupt may have come while torch was being imported.
    saved = sorted(Path(options.out).glob("checkpoint-[0-9]*"))
    if not saved:
        return "; no checkpoint was saved yet"
    return f"; the last checkpoint is {saved[-1]}, and --resume goes on from it"


# compose --------------------------------------------------------------------------------------------


def _compose(options: argparse.Namespace) -> None:
    out: Path = options.out
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{out}: the name of a piece ends in one of {' '.join(SUFFIXES)}")
    if out.is_dir():
        raise ValueError(f"{out}: is a folder, and the piece needs a file name")
    _check_writable(out.parent)
    paths = [out]
    folder = out.with_suffix("")
    if options.count > 1:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder}: is a file, and the pieces need a folder of that name")
        paths = [folder / f"{out.stem}-{i + 1:03d}{out.suffix}" for i in range(options.count)]

    from tqdm import tqdm

    from ganmusic import audio, sample
    from ganmusic.player import Clip

    composer = sample.load_generator(options.run)
    n_bars = options.bars or getattr(composer.generator, "n_bars", 8)
    if out.suffix.lower().removeprefix(".") in audio.FORMATS:
        seconds = n_bars * composer.grid.beats_per_bar * 60 / sample.TEMPO
        if seconds > audio.MAX_SECONDS:
            raise ValueError(
                f"{n_bars} bars last {seconds / 60:.0f} minutes, and at most {audio.MAX_SECONDS / 60:.0f} "
                "can be played; as notes (.mid) they can be written"
            )
    if options.count > 1:
        folder.mkdir(exist_ok=True)
        _check_writable(folder)
    for i, path in enumerate(tqdm(paths, unit="piece", disable=len(paths) == 1)):
        piece = sample.compose(n_bars=n_bars, seed=options.seed + i, run=composer)
        Clip(piece).save(path)
    print(out if len(paths) == 1 else f"{paths[0]} to {paths[-1].name}")


# info -----------------------------------------------------------------------------------------------


def _info(options: argparse.Namespace) -> None:
    if options.run is not None:
        from ganmusic import checkpoint

        _show(checkpoint.read_card(options.run))
        return
    from ganmusic import recipes, sample
    from ganmusic.corpora import CORPORA

    versions = {package: _version(package) for package in _PACKAGES}
    _show(
        {
            "ganmusic": _version("ganmusic"),
            "versions": versions,
            "recipes": {name: recipe.description for name, recipe in recipes.RECIPES.items()},
            "corpora": {
                name: f"{corpus.title} ({corpus.licence})" for name, corpus in CORPORA.items()
            },
            "network that comes with ganmusic": sample.load_generator().card,
        }
    )


def _show(facts: dict[str, Any], indent: str = "") -> None:
    """Print names and values, one a line, what is inside something indented under it."""
    for name, value in facts.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            _show(value, indent + "  ")
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
            print(f"{indent}{name}: {shown}")
