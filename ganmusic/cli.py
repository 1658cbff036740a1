"""The `ganmusic` command: train a network, compose with one, say what is there.

Exit codes: 0 all went well; 1 it did not, and one line on stderr says why; 2 the command was not
understood; 130 it was interrupted. What can be checked before long work (the output's folder, its ending,
a run in the way) is. torch takes seconds to import, so everything that needs it is imported inside the
function that does the work, and ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
import tempfile
import textwrap
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
_MAX_MELODY = 250
_MAX_COUNT = 999
_DEVICES = ("cpu", "cuda", "mps")
_PRECISIONS = ("float32", "bfloat16")
_PACKAGES = ("torch", "numpy", "safetensors", "symusic", "music21", "soundfile")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process by default) and return its exit code.

    Raises
    ------
    SystemExit
        If the arguments are not understood (code 2), or ask for help or the version (code 0).
    """
    parser = _parser()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the terminal cannot show ends no command
    options = parser.parse_args(arguments)
    try:
        options.run_command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted" + _what_is_saved(options), code=130)
    except BrokenPipeError:  # what reads the output has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        description="Train a network by a recipe. Ctrl-C stops it; --resume goes on from there. On N processes or "
        "graphics cards: torchrun --nproc-per-node=N -m ganmusic train ...",
    )
    train.add_argument(
        "--recipe",
        help="name of the recipe (default: choir, or that of the run to resume); 'ganmusic recipes' lists them",
    )
    train.add_argument(
        "--corpus",
        metavar="NAME",
        help="train on this corpus, not on the recipe's own (default: that of the recipe, or of the run to resume); "
        "'ganmusic info' lists them",
    )
    train.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder of the run, made if it is missing",
    )
    train.add_argument(
        "--balance",
        metavar="LABEL",
        help="draw each value of this label of the corpus's pieces equally often, such as mode or quadrant",
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
    train.add_argument("--device", choices=_DEVICES, default="cpu", help="where to compute (default: cpu)")
    train.add_argument(
        "--precision",
        choices=_PRECISIONS,
        help="numbers to compute with (default: float32, or that of the run to resume); bfloat16 is faster where the "
        "device is made for it",
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
        help="run to compose with, or the name of a network that comes with ganmusic (default: choir)",
    )
    compose.add_argument(
        "--bars",
        type=_whole(1, _MAX_BARS),
        metavar="N",
        help=f"length, 1 to {_MAX_BARS} (default: 8, or what the run's network makes, or as many as there are chords)",
    )
    compose.add_argument(
        "--seed",
        type=_whole(0, 2**31 - 1),
        default=0,
        metavar="S",
        help="another seed, another piece (default: 0)",
    )
    compose.add_argument(
        "--key",
        metavar="KEY",
        help="key to compose in, such as 'D minor', 'F# major' or Bb (default: C major or A minor, as it comes)",
    )
    compose.add_argument(
        "--chords",
        metavar="CHORDS",
        help="chords to compose a melody over, one a bar and round again, such as 'C | Am | F | G7', in any key; "
        "the shipped network heeds the plain triads of one key (default network: midinet)",
    )
    compose.add_argument("--mode", choices=("major", "minor"), help="mode to tell the network, if it can be told")
    compose.add_argument(
        "--density", type=float, metavar="N", help="notes a bar, of all voices, to tell the network, if it can be told"
    )
    compose.add_argument(
        "--register",
        type=float,
        metavar="P",
        help="mean pitch, a MIDI number, to tell the network, if it can be told; with a key, the piece is moved up or "
        "down to where this can be played",
    )
    compose.add_argument(
        "--after",
        type=Path,
        metavar="FILE",
        help="MIDI or MusicXML file to go on from: OUT has its music, and N bars more",
    )
    compose.add_argument(
        "--melody",
        type=Path,
        metavar="FILE",
        help="MIDI or MusicXML file of a melody to accompany, in the network's metre (2/2 does for 4/4) and at one "
        f"tempo: OUT has it as its first voice, in its own length, at most {_MAX_MELODY} bars; takes half a second a "
        "bar; --key says its key, if it is not to be guessed from its notes",
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

    _evaluate_parser(commands)
    _originality_parser(commands)
    _corpora_parser(commands)

    recipes = commands.add_parser(
        "recipes",
        help="list what can be trained",
        description="List the recipes of 'ganmusic train': corpus, model, length, and what was measured.",
    )
    recipes.set_defaults(run_command=_recipes, parser=recipes)

    info = commands.add_parser(
        "info",
        help="say what is there",
        description="Show versions, recipes, corpora and the network that comes with ganmusic, or a run.",
    )
    info.add_argument(
        "--run", type=Path, metavar="RUN", help="run to describe, or the name of a network that comes with ganmusic"
    )
    info.set_defaults(run_command=_info, parser=info)
    return parser


def _evaluate_parser(commands: Any) -> None:
    """Describe ``ganmusic evaluate``."""
    evaluate = commands.add_parser(
        "evaluate",
        help="compare generated music with held-out music",
        description="Compare generated music with held-out music of a corpus, and with music spoilt on purpose: is it "
        "music, is it new, is it diverse. Takes a minute or two. Give files and folders of music, or --run.",
    )
    evaluate.add_argument(
        "music", nargs="*", metavar="MUSIC", help="MIDI or MusicXML files, or folders of them"
    )
    evaluate.add_argument("--run", type=Path, metavar="RUN", help="run of which 250 clips are drawn")
    evaluate.add_argument(
        "--against",
        metavar="CORPUS",
        help="corpus to compare with (default: that of the run, or chorales); 'ganmusic corpora list' lists them",
    )
    evaluate.add_argument(
        "--bars", type=_whole(1, 64), metavar="N", help="bars of a clip (default: 4, or what the run's network makes)"
    )
    evaluate.add_argument(
        "--seed",
        type=_whole(0, 2**31 - 1),
        default=1,
        metavar="S",
        help="decides all that is drawn by chance (default: 1)",
    )
    for suffix, what in (("html", "a page with figures"), ("json", "data")):
        evaluate.add_argument(f"--{suffix}", type=Path, metavar="OUT", help=f"also write {what} (.{suffix})")
    evaluate.set_defaults(run_command=_evaluate, parser=evaluate)


def _originality_parser(commands: Any) -> None:
    """Describe ``ganmusic originality``."""
    originality = commands.add_parser(
        "originality",
        help="look for a piece in the music that a network learned from",
        description="Look for a piece in the training pieces of a corpus, at every step and in every transposition, "
        "and say how much of held-out pieces is found there. Takes up to a minute.",
    )
    originality.add_argument("file", type=Path, metavar="FILE", help="MIDI or MusicXML file of the piece")
    originality.add_argument(
        "--against",
        default="chorales",
        metavar="CORPUS",
        help="corpus to look in (default: chorales); 'ganmusic corpora list' lists them",
    )
    for suffix, what in (("html", "a page with the passages side by side, to see and hear"), ("json", "data")):
        originality.add_argument(f"--{suffix}", type=Path, metavar="OUT", help=f"also write {what} (.{suffix})")
    originality.add_argument("--cache", type=Path, metavar="FOLDER", help="folder of the downloads, as in 'corpora'")
    originality.set_defaults(run_command=_originality, parser=originality)


def _corpora_parser(commands: Any) -> None:
    """Describe ``ganmusic corpora`` and its own commands."""
    corpora = commands.add_parser(
        "corpora",
        help="list, fetch and remove music to learn from",
        description="List, fetch and remove corpora: pieces of music to learn from.",
    )
    actions = corpora.add_subparsers(title="commands", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="folder of the downloads (default: that of the environment variable GANMUSIC_CACHE, or the system's)",
    )
    for name, run_command, about in (
        ("list", _corpora_list, "list the corpora: size, licence, on disk or not"),
        ("fetch", _corpora_fetch, "download a corpus, after showing its licence"),
        ("path", _corpora_path, "print the folder with the files of a corpus"),
        ("remove", _corpora_remove, "delete what was downloaded and made of a corpus"),
        ("cite", _corpora_cite, "print the BibTeX entry of a corpus"),
    ):
        sentence = about[0].upper() + about[1:] + "."
        action = actions.add_parser(name, help=about, description=sentence, parents=[where])
        if name != "list":
            action.add_argument("name", metavar="NAME", help="name of the corpus; 'ganmusic corpora list' lists them")
        action.set_defaults(run_command=run_command, parser=action)
    _own_parser(actions, where)


def _own_parser(actions: Any, where: argparse.ArgumentParser) -> None:
    """Describe ``ganmusic corpora add`` and ``report``."""
    add = actions.add_parser(
        "add",
        help="make a corpus of a folder of your own MIDI or MusicXML files",
        description="Make a corpus of a folder of your own MIDI or MusicXML files, and report what was found in it. "
        "Train on it with: ganmusic train --corpus NAME --out RUN. Run again after changing files or options.",
        parents=[where],
    )
    add.add_argument("name", metavar="NAME", help="what to call it: small letters, digits, - and _")
    add.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the files; those in folders below count")
    add.add_argument("--tracks", type=_whole(1, 8), metavar="N", help="voices that every piece will have")
    add.add_argument(
        "--voices",
        default="auto",
        metavar="RULE",
        help="how tracks become voices: parts (as they are), roles (melody, chords, bass, drums, other), families "
        "(drums, piano, guitar, bass, strings), lines (shared out by height; with 4: soprano, alto, tenor, bass), "
        "skyline (the highest notes), or auto (the default: what fits most files)",
    )
    add.add_argument(
        "--override",
        type=Path,
        metavar="FILE",
        help="JSON file of your own decisions, a voice for a track's name or for 'file.mid/track name': "
        '{"Lead": "melody", "Click": ""}, where "" leaves out',
    )
    add.add_argument(
        "--programs",
        type=_whole(0, 127),
        nargs="+",
        metavar="P",
        help="a General MIDI program (0-127) for each voice, to hear it with",
    )
    add.add_argument("--beats-per-bar", type=_whole(1, 64), default=4, metavar="B", help="default: 4")
    add.add_argument(
        "--steps",
        type=_whole(1, 1024),
        default=None,
        metavar="N",
        help="steps in a bar of that many beats (default: 4 a beat); bars of other metres are cut as finely",
    )
    add.add_argument("--jobs", type=_whole(1, 1024), metavar="J", help="processes that read (default: one a processor)")
    add.set_defaults(run_command=_corpora_add, parser=add)
    report = actions.add_parser(
        "report",
        help="say what was found in a corpus that you added",
        description="Say what was found in a corpus that you added, or that was fetched and read.",
        parents=[where],
    )
    report.add_argument("name", metavar="NAME", help="name of the corpus")
    for option, what in (("--json", "everything, file by file, as JSON"), ("--picture", "a picture (.png or .svg)")):
        report.add_argument(option, type=Path, metavar="OUT", help=f"also write {what}")
    report.set_defaults(run_command=_corpora_report, parser=report)


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
    from ganmusic.files import counted

    recipe = options.recipe or (None if options.resume else "choir")
    if recipe is not None and recipe not in recipes.RECIPES:
        known = ", ".join(recipes.RECIPES)
        options.parser.error(f"argument --recipe: {recipe!r} is not one of {known}")
    history = recipes.train(
        recipe,
        out,
        corpus=options.corpus,
        balance=options.balance,
        steps=options.steps,
        minutes=options.minutes,
        resume=options.resume,
        seed=options.seed,
        threads=options.threads,
        device=options.device,
        precision=options.precision,
        tensorboard=options.tensorboard,
        progress=True,
    )
    if os.environ.get("RANK", "0") != "0":  # one of several processes of torchrun, of which the first speaks
        return
    done = counted(history.rows[-1]["step"], "update") if history.rows else "nothing left to do"
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

    told = {name: getattr(options, name) for name in ("mode", "density", "register")}
    for given, others, why in (
        ("after", ("key", "chords", "melody"), "which goes on in the music's own key, with all of its voices"),
        ("melody", ("chords", "bars", *told), "which decides that itself"),
    ):
        for name in others:
            if getattr(options, given) is not None and getattr(options, name) is not None:
                raise ValueError(f"--{name} does not go with --{given}, {why}")
    for given in filter(None, (options.after, options.melody)):
        for path in paths:
            if path.exists() and given.exists() and path.samefile(given):
                raise ValueError(f"{path}: is the file to begin with, and would be overwritten")
    composer = sample.load_generator(options.run or ("midinet" if options.chords is not None else None))
    melody = None if options.melody is None else _read_melody(options, composer)
    home = None if options.key is None else composer.check_key(options.key)
    chords = [] if options.chords is None else composer.check_chords(options.chords)
    if chords and (rare := composer.unfamiliar(chords)):
        _remark(
            f"the network has hardly ever heard {', '.join(rare)} beside the other chords, and will not heed them: the "
            "tunes that it learned from keep to the triads of their key"
        )
    before = None if options.after is None else _read_beginning(options.after, composer)
    n_bars = options.bars or getattr(composer.generator, "n_bars", len(chords) or 8)
    if before is None and melody is None:
        composer.asking(**told, moved=composer.way_to(home, options.register) if home else 0)
        if composer.takes_melody and not composer.takes_wishes:
            _remark("without --melody this network accompanies melodies that it remembers from its training")
    if out.suffix.lower().removeprefix(".") in audio.FORMATS:
        begun = before or melody
        n_played = (begun.n_bars if begun else 0) + (0 if melody else n_bars)
        seconds = n_played * composer.grid.beats_per_bar * 60 / (begun.tempo if begun else sample.TEMPO)
        if seconds > audio.MAX_SECONDS:
            raise ValueError(
                f"{n_played} bars last {seconds / 60:.0f} minutes, and at most {audio.MAX_SECONDS / 60:.0f} "
                "can be played; as notes (.mid) they can be written"
            )
    if options.count > 1:
        folder.mkdir(exist_ok=True)
        _check_writable(folder)
    for i, path in enumerate(tqdm(paths, unit="piece", disable=len(paths) == 1)):
        seed = options.seed + i
        if before is not None:
            piece = sample.continue_piece(before, n_bars, seed, composer, **told)
        elif melody is not None:
            piece = sample.accompany(melody, seed, composer, key=options.key)
        else:
            wishes = {"key": options.key, "chords": options.chords, **told}
            piece = sample.compose(n_bars=n_bars, seed=seed, run=composer, **wishes)
        Clip(piece).save(path)
    print(out if len(paths) == 1 else f"{paths[0]} to {paths[-1].name}")


def _read_beginning(path: Path, composer: Any) -> Any:
    """The music that is to be gone on from; what is not kept of the file is said."""
    from ganmusic import midi

    music = midi.read_music(path)
    piece = composer.lay(music, path)
    try:
        composer.check_beginning(piece)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    _say_what_changes(music, piece, path, "the notes")
    return piece


def _read_melody(options: argparse.Namespace, composer: Any) -> Any:
    """The melody that is to be accompanied, alone; what is not kept of the file, and its key, is said."""
    from dataclasses import replace

    from ganmusic import midi

    path = options.melody
    music = midi.read_music(path)
    piece = composer.lay(music, path)
    try:
        given = composer.check_melody(piece, options.key)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if given.piece.n_bars > _MAX_MELODY:
        raise ValueError(f"{path}: has {given.piece.n_bars:,} bars, and at most {_MAX_MELODY} are accompanied")
    melody = replace(music, parts=[music.parts[given.number]])
    _say_what_changes(melody, piece, path, "the melody's notes")
    if composer.normalised and not options.key:
        found = f"taken to be in {given.key}" if given.key else "in no key that could be told"
        _remark(f"{path} is {found}; --key says so if it is in another")
    return given.piece


def _say_what_changes(music: Any, piece: Any, path: Path, what: str) -> None:
    """Say what of a file's rhythm is lost in the piece that it was laid on a grid as."""
    from ganmusic import quantise

    numerator, denominator = music.metre
    steps = piece.grid.n_steps * denominator // (4 * numerator)  # in a quarter note
    if off := sum(quantise.off_grid(music, steps)):
        _remark(f"{off:.0%} of {what} in {path} lie off a grid of {steps} steps a quarter, and are moved")
    if len({speed for _, speed in music.tempos}) > 1 or music.metre_changes:
        _remark(f"{path} changes its tempo or its metre; it is kept at one tempo, in bars of one length")
    if piece.grid.beats_per_bar != numerator:
        _remark(f"{path} is in {numerator}/{denominator}; what comes out is in quarters, in bars of the same length")


def _remark(text: str) -> None:
    """Say something on the way, beside the output."""
    print(f"ganmusic: {text}", file=sys.stderr)


# evaluate -------------------------------------------------------------------------------------------


def _report_files(options: argparse.Namespace) -> list[Path]:
    """The files that a report is asked for in, if all of them can be written."""
    found = []
    for suffix, out in ((".html", options.html), (".json", options.json)):
        if out is None:
            continue
        if out.suffix.lower() != suffix:
            raise ValueError(f"{out}: the name of this report ends in {suffix}")
        if out.is_dir():
            raise ValueError(f"{out}: is a folder, and the report needs a file name")
        _check_writable(out.parent)
        found.append(out)
    return found


def _save_and_show(report: Any, outputs: Sequence[Path]) -> None:
    """Write the files first: what reads the output may stop reading."""
    for out in outputs:
        report.save(out)
    print(report)
    for out in outputs:
        print(f"written: {out}")


def _evaluate(options: argparse.Namespace) -> None:
    if bool(options.music) == (options.run is not None):
        options.parser.error("give files or folders of music, or a run with --run, and not both")
    outputs = _report_files(options)

    from ganmusic import evaluation, sample

    remarks: tuple[str, ...] = ()
    if options.run is not None:
        composer = sample.load_generator(options.run)
        corpus = options.against or str(composer.card.get("data", {}).get("corpus", "chorales"))
        clips = evaluation.clips_of_run(composer, options.bars, options.seed)
        name = f"{len(clips)} clips of {options.run} (seed {options.seed})"
    else:
        corpus = options.against or "chorales"
        clips, remarks = evaluation.read_clips(options.music, corpus, options.bars or 4)
        name = ", ".join(Path(path).name or path for path in options.music)
        for remark in remarks:
            print(f"ganmusic: {remark}", file=sys.stderr)
    against = evaluation.reference(corpus, clips.roll.sounding.shape[2])
    report = evaluation.evaluate(
        clips, against, seed=options.seed, name=name, remarks=remarks, progress=sys.stderr.isatty()
    )
    _save_and_show(report, outputs)


# originality ----------------------------------------------------------------------------------------


def _originality(options: argparse.Namespace) -> None:
    outputs = _report_files(options)

    from ganmusic.originality import originality

    found = originality(options.file, options.against, cache=options.cache, progress=sys.stderr.isatty())
    _save_and_show(found, outputs)


# corpora --------------------------------------------------------------------------------------------


def _corpora_list(options: argparse.Namespace) -> None:
    from ganmusic.corpora import CORPORA, download, own

    rows = [("NAME", "SIZE", "ON DISK", "COMMERCIAL", "LICENCE", "TITLE")]
    for name, corpus in CORPORA.items():
        on_disk = "yes" if download.installed(name, options.cache) else "no"
        size = "-"
        if corpus.archive is None:
            on_disk = "included"
        else:
            n_bytes = corpus.archive.n_bytes
            size = "unknown" if n_bytes is None else f"{n_bytes / 1e6:,.1f} MB"
        rows.append((name, size, on_disk, "yes" if corpus.commercial else "no", corpus.terms, corpus.title))
    for name in own.names(options.cache):
        try:
            title = getattr(own.find(name, options.cache), "title", "")
        except ValueError as error:  # its folder is gone, or what is kept of it is damaged
            title = str(error)
        rows.append((name, "-", "yes", "-", "yours", title))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"\nfolder of the downloads: {download.cache_folder(options.cache)}")


def _corpora_fetch(options: argparse.Namespace) -> None:
    from ganmusic.corpora import download

    corpus = _corpora_record(options)
    print(f"{corpus.name}: {corpus.title}\nlicence: {corpus.licence}")
    if not corpus.commercial:
        print("NOT FOR COMMERCIAL USE")
    sys.stdout.flush()  # before anything is asked of a server
    if corpus.archive is None:
        print("it is on this computer; there is nothing to download")
        return
    print(download.fetch(corpus.name, corpus.archive, cache=options.cache, progress=True))


def _corpora_path(options: argparse.Namespace) -> None:
    from ganmusic.corpora import Folder, download

    corpus = _corpora_record(options)
    if isinstance(corpus, Folder):
        print(corpus.root)
    elif corpus.archive is None:
        raise ValueError(f"{corpus.name} comes with ganmusic or with music21, and has no folder of downloads")
    else:
        print(download.files_folder(corpus.name, options.cache))


def _corpora_remove(options: argparse.Namespace) -> None:
    from ganmusic.corpora import download, own

    if options.name not in own.names(options.cache):  # one's own is removed by its name, damaged or not
        _corpora_record(options)
    download.remove(options.name, options.cache)
    print(f"{options.name}: removed from {download.cache_folder(options.cache)}")


def _corpora_cite(options: argparse.Namespace) -> None:
    print(_corpora_record(options).bibtex)


def _corpora_add(options: argparse.Namespace) -> None:
    import json

    from ganmusic import corpora, viz
    from ganmusic.pianoroll import Grid

    steps = options.steps or 4 * options.beats_per_bar
    try:
        grid = Grid(steps, options.beats_per_bar)
    except ValueError as error:
        options.parser.error(f"argument --steps: {error}")
    override = {}
    if options.override is not None:
        try:
            override = json.loads(options.override.read_text(encoding="utf-8"))
            fits = isinstance(override, dict) and all(isinstance(voice, str) for voice in override.values())
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f'{options.override}: is not JSON of the form {{"track name": "voice"}}')
    corpus = corpora.add(
        options.name,
        options.folder,
        cache=options.cache,
        voices=options.voices,
        n_tracks=options.tracks,
        programs=options.programs,
        grid=grid,
        override=override,
        jobs=options.jobs,
        progress=True,
    )
    report = corpus.read()
    picture = corpus.store / "report.png"
    viz.save_report(report, picture)
    print(report)
    print(f"\nreport: {corpus.store / 'report.json'}\npicture: {picture}")
    print(f"train on it with: ganmusic train --corpus {corpus.name} --out RUN")


def _corpora_report(options: argparse.Namespace) -> None:
    from ganmusic import viz
    from ganmusic.corpora import Report, download, get

    corpus = get(options.name, options.cache)
    saved = download.corpus_folder(corpus.name, options.cache) / "notes" / "report.json"
    if not saved.exists():
        raise ValueError(f"{corpus.name}: no files of it were read yet, so there is no report")
    report = Report.load(saved)
    if options.json is not None:
        report.save(options.json)
    if options.picture is not None:
        viz.save_report(report, options.picture)
    print(report)


def _corpora_record(options: argparse.Namespace) -> Any:
    """Return the record that was asked for, also of one's own music; an unknown name is a misunderstood command."""
    from ganmusic.corpora import CORPORA, own

    corpus = CORPORA.get(options.name) or own.find(options.name, options.cache)
    if corpus is None:
        known = ", ".join([*CORPORA, *own.names(options.cache)])
        parser: argparse.ArgumentParser = options.parser
        parser.error(f"argument NAME: {options.name!r} is not one of {known}")
    return corpus


# recipes --------------------------------------------------------------------------------------------


def _recipes(options: argparse.Namespace) -> None:
    from ganmusic.files import counted
    from ganmusic.recipes import RECIPES
    from ganmusic.train import TrainConfig

    for name, recipe in RECIPES.items():
        batch_size = TrainConfig(steps=recipe.steps, **recipe.config).batch_size
        print(
            f"{name}: corpus {recipe.corpus}, model {recipe.model}, {recipe.steps:,} updates of {batch_size} clips of "
            f"{counted(recipe.n_bars, 'bar')}"
        )
        print(textwrap.indent(textwrap.fill(recipe.description, 100, break_on_hyphens=False), "  ") + "\n")
    print("train one with: ganmusic train --recipe NAME --out RUN")


# info -----------------------------------------------------------------------------------------------


def _info(options: argparse.Namespace) -> None:
    from ganmusic import checkpoint

    if options.run is not None:
        _show(checkpoint.read_card(options.run))
        return
    from ganmusic import recipes, sample
    from ganmusic.corpora import CORPORA, own

    versions = {package: _version(package) for package in _PACKAGES}
    _show(
        {
            "ganmusic": _version("ganmusic"),
            "versions": versions,
            "recipes": {name: recipe.description for name, recipe in recipes.RECIPES.items()},
            "corpora": {
                **{name: f"{corpus.title} ({corpus.terms})" for name, corpus in CORPORA.items()},
                **dict.fromkeys(own.names(), "your own music"),
            },
            "network that comes with ganmusic": sample.load_generator().card,
            "others that come with it": ", ".join(name for name in checkpoint.shipped() if name != sample.DEFAULT),
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
