"""Recipes: named, measured combinations of corpus, model, losses and schedule.

`train` is what the ``ganmusic train`` command runs. A recipe's docstring-like `description` states what it
gives and what it costs.

Any corpus trains any model: the networks are built for the corpus as `layout` finds it, which decides from the training
split alone on what grid its windows lie, whether they are moved to the common key, and how its tracks are heard.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from tqdm.auto import tqdm

from ganmusic import checkpoint, midi, parallel
from ganmusic.corpora import CORPORA, get
from ganmusic.data import Windows, balanced_indices, batch_indices, key_shift, windows
from ganmusic.files import atomic_path
from ganmusic.losses import one_sided
from ganmusic.metrics.distribution import FeatureSpace, frechet_distance
from ganmusic.models import MODELS
from ganmusic.models.choir import blur
from ganmusic.models.convnet import hide_voices
from ganmusic.models.mlp import BINARY_CROSS_ENTROPY
from ganmusic.models.musegan import jamming_penalty
from ganmusic.penalties import gradient_penalty, r1_r2
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track
from ganmusic.sample import Composer, to_roll
from ganmusic.store import Store, describe, prepare
from ganmusic.train import AdversarialGame, Game, History, TrainConfig, fit, summary_writer
from ganmusic.voices import skyline

__all__ = [
    "RECIPES",
    "Layout",
    "Recipe",
    "batches",
    "clips",
    "distance",
    "game",
    "held_out",
    "layout",
    "single_line",
    "sizes",
    "train",
]

#: Clips on each side of the held-out distance; it is biased, so all distances use the same number.
N_CLIPS = 250
#: Training pieces that a corpus's layout is found from, at most: the first ones, in the corpus's own order.
SURVEY = 10_000
#: Training clips that the distance's features are standardised by, at most: more change nothing but the time.
N_STANDARD = 3000
#: Share of the pieces that a grid's pitches may leave out: one piece with a single far note widens every network.
MAY_BE_LEFT_OUT = 0.05
#: Seconds for which packed bars are kept after they were last opened, once their corpus has changed: a day.
KEEP = 86_400


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    Parameters
    ----------
    description : str
        What it gives and costs, as measured.
    corpus, model : str
        A name that `ganmusic.corpora.get` knows, and one in `MODELS`.
    game : dict
        Keyword arguments of `AdversarialGame`.
    steps : int
        Updates when no other budget is given.
    config : dict
        Keyword arguments of `TrainConfig`.
    generator, discriminator : dict
        Keyword arguments of the networks.
    programs : tuple of int, optional
        General MIDI programs that the tracks are heard with; by default the corpus's own.
    n_bars : int
        Bars of a window.

    Taught in: notebooks/03-training.ipynb
    """

    description: str
    corpus: str
    model: str
    steps: int
    game: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    generator: dict[str, Any] = field(default_factory=dict)
    discriminator: dict[str, Any] = field(default_factory=dict)
    programs: tuple[int, ...] | None = None
    n_bars: int = 4


#: Held chords of four voices sound best on a program that does not die away.
_STRINGS = (48, 48, 48, 48)
_CONVNET: dict[str, Any] = {
    "loss": "relativistic",
    "penalty": r1_r2,
    "penalty_weight": 1.0,
    "penalty_every": 8,
    "augment": partial(hide_voices, share=0.25),
    "learning_rate": 8e-4,
    "betas": (0.0, 0.99),
    "ema": 0.998,
}
#: WGAN-GP with one update of each player, as in the small MuseGAN's tutorial.
_WGAN_GP: dict[str, Any] = {
    "loss": "wasserstein",
    "penalty": gradient_penalty,
    "penalty_weight": 10.0,
    "learning_rate": 1e-3,
    "betas": (0.5, 0.9),
}
#: The same for the three compositions, which are heard as averages of their weights.
_MUSEGAN: dict[str, Any] = {**_WGAN_GP, "ema": 0.998}


def _in_the_contest(updates: int, mean: int, low: int, high: int) -> str:
    """What ``make contest`` found of a recipe, as ``book/contest.json`` has it."""
    return (
        f"In 20 minutes of one core of a quiet two-core x86 machine ({updates:,} updates) it comes as near as a "
        f"Frechet distance of {mean} ({low} to {high}, three seeds) to held-out music, where held-out Bach has 15."
    )


def _musegan(description: str, model: str = "musegan", steps: int = 5000, **changed: Any) -> Recipe:
    """A MuseGAN on chorales, with its paper's loss; where nothing else is said, each voice has one note at a time."""
    batch_size = changed.pop("batch_size", 16)
    config = {"batch_size": batch_size, **changed.pop("config", {})}
    options = {"game": _MUSEGAN, "generator": {"monophonic": True}, **changed}
    return Recipe(description, "chorales", model, steps, config=config, programs=_STRINGS, **options)


def _binary(ending: str, description: str) -> Recipe:
    """One of four endings of one generator, the composer's; nothing else differs."""
    together: dict[str, Any] = {"composition": "composer"}
    # 300 updates of eight clips see about as many as there are to train on.
    return _musegan(
        description,
        "binary_musegan",
        steps=2000,
        batch_size=8,
        generator={**together, "ending": ending, "epoch": 300},
        discriminator=together,
    )


#: The game of MidiNet's paper (Yang et al. 2017, sec. 3.3), but for its learning rate, 5e-5.
_MIDINET: dict[str, Any] = {
    "loss": one_sided(0.9),
    "matching": (0.1, 0.01),
    "generator_steps": 2,
    "learning_rate": 5e-4,
    "betas": (0.5, 0.999),
}


def _midinet(description: str, steps: int, **changed: Any) -> Recipe:
    """MidiNet on lead sheets, with two bars to a clip."""
    return Recipe(description, "leadsheets", "midinet", steps, config={"batch_size": 32}, n_bars=2, **changed)


#: Every recipe, by name.
RECIPES: dict[str, Recipe] = {
    "chorales": Recipe(
        "Four voices after Bach: the convolutional pair, relativistic loss, R1 and R2. "
        f"{_in_the_contest(11_799, 27, 23, 34)} The shipped one has, after 6,000 updates (10 "
        "minutes), a Frechet distance of 27 to validation music, where "
        "held-out Bach has 18 and Bach with his beats shuffled 147.",
        corpus="chorales",
        model="convnet",
        steps=6000,
        game=_CONVNET,
        config={"batch_size": 16},
        programs=_STRINGS,
    ),
    "choir": Recipe(
        "Four voices after Bach that can be told their mode, density, register and a bar to go on from: an autoencoder "
        f"learns beats as codes, and the game is played about codes. {_in_the_contest(35_991, 17, 16, 17)} The shipped "
        "one has, after 5 minutes of a run of 9,000 updates, a Frechet distance of 17 to validation music, where "
        "held-out Bach has 18 and Bach with his beats shuffled 147.",
        corpus="chorales",
        model="choir",
        steps=9000,
        game={**_CONVNET, "augment": partial(blur, deviation=0.3), "lessons": 3000},
        config={"batch_size": 16},
        programs=_STRINGS,
    ),
    "mlp": Recipe(
        "The plain network of most articles, on the same chorales: one cloud of notes again and again. "
        f"{_in_the_contest(26_200, 524, 448, 607)} After two of the minutes nothing changes any more.",
        corpus="chorales",
        model="mlp",
        steps=2000,
        game={"loss": BINARY_CROSS_ENTROPY, "learning_rate": 2e-4},
        config={"constant": 1.0},
        programs=_STRINGS,
    ),
    "musegan_small": _musegan(
        "The small MuseGAN networks of the ISMIR 2019 tutorial, played as there. "
        f"{_in_the_contest(15_141, 310, 289, 330)}",
        "musegan_small",
        game=_WGAN_GP,
        config={"constant": 1.0},
        generator={},
    ),
    "musegan_jamming": _musegan(
        "MuseGAN, jamming: a generator and a critic for each voice, so that no voice hears another. What it is trained "
        "towards, Bach's voices from different chorales, has a distance of 141. "
        f"{_in_the_contest(6_489, 208, 199, 223)}",
        game={**_MUSEGAN, "penalty": jamming_penalty},
        generator={"composition": "jamming", "monophonic": True},
        discriminator={"composition": "jamming"},
    ),
    "musegan_composer": _musegan(
        "MuseGAN, composer: one generator and one critic for all voices. "
        f"{_in_the_contest(19_672, 88, 85, 93)}",
        generator={"composition": "composer", "monophonic": True},
        discriminator={"composition": "composer"},
    ),
    "musegan_hybrid": _musegan(
        "MuseGAN, hybrid: a generator for each voice with shared and private noise, one critic for all. "
        f"{_in_the_contest(13_678, 168, 160, 175)} The shipped one has, after 3,750 updates (5 "
        "minutes), a Frechet distance of 156 to validation music, where held-out Bach has 18; after that it overfits.",
    ),
    "musegan_accompanist": _musegan(
        "MuseGAN, hybrid, with the soprano given: the other voices accompany it. After 3,000 updates (5 minutes of one "
        "core of a shared two-core x86 machine) a Frechet distance of 82 to validation music with held-out sopranos, "
        "where held-out Bach has 18 and lower voices from other chorales have 64; .67 of the beats have a triad (Bach "
        ".73), and .27 under another soprano than the one that was given.",
        "musegan_accompanist",
    ),
    "binary_deterministic": _binary(
        "deterministic", f"Deterministic binary neurons. {_in_the_contest(31_372, 181, 175, 189)}"
    ),
    "binary_stochastic": _binary(
        "stochastic", f"Stochastic binary neurons. {_in_the_contest(31_889, 324, 304, 354)}"
    ),
    "binary_threshold": _binary(
        "threshold", f"A sigmoid, cut at one half when it is heard. {_in_the_contest(34_413, 84, 74, 92)}"
    ),
    "binary_bernoulli": _binary(
        "bernoulli",
        "A sigmoid, drawn by lot when it is heard. After its 2,000 updates (70 seconds of one core of a quiet two-core "
        "x86 machine) a Frechet distance of 364 to validation music, where held-out Bach has 18; 346 at best.",
    ),
    "midinet": _midinet(
        "Fiddle tunes bar by bar over chords: MidiNet, whose discriminator hears the bar before as well. After 1,000 "
        "updates (2 minutes on one core of a shared two-core x86 machine) a Frechet distance of 11 to validation "
        "music by clips of two bars, where held-out tunes have 6, and 31 with their beats shuffled.",
        steps=2000,
        game={**_MIDINET, "learning_rate": 2e-4, "ema": 0.998},
    ),
    "midinet_paper": _midinet(
        "MidiNet as its paper plays it, at ten times its learning rate: the discriminator hears a bar alone, and no "
        "weights are averaged. After 1,500 updates (110 seconds on one core of a shared two-core x86 machine) a "
        "Frechet distance of 21 to validation music, on a wandering course.",
        steps=1500,
        game=_MIDINET,
        discriminator={"n_heard": 1},
    ),
    "toy": Recipe(
        "A tiny convolutional pair on synthetic chords, for trying things out. After 20 updates (one second of a core "
        "of a quiet two-core x86 machine) a Frechet distance of 370 to 385 to validation music (three seeds), where "
        "held-out music of its kind has 25: it has learned next to nothing.",
        corpus="toy",
        model="convnet",
        steps=20,
        game=_CONVNET,
        config={"batch_size": 8},
        generator={"channels": (16, 16, 8, 8, 8), "n_latent": 8},
        discriminator={"channels": (8, 8, 16, 16, 16)},
        programs=_STRINGS,
    ),
}


@dataclass(frozen=True)
class Layout:
    """What a corpus is like, as far as networks must know.

    Parameters
    ----------
    grid : Grid
        The metre of most bars, and the pitches that nearly all pieces keep to.
    tracks : tuple of str
    programs : tuple of int
        The program that most pieces give each track.
    drums : tuple of bool
        Which tracks are drums.
    normalise_key : bool
        Whether pieces are moved to the common key: nearly all have labels for theirs, and the others are left out.
    left_out : float
        Share of the notes that a network of one note a track and step has to do without (see `single_line`).

    Taught in: notebooks/03-training.ipynb
    """

    grid: Grid
    tracks: tuple[str, ...]
    programs: tuple[int, ...]
    drums: tuple[bool, ...]
    normalise_key: bool
    left_out: float


@cache
def layout(corpus: str) -> Layout:
    """Find the layout of a corpus from its training split: from the first `SURVEY` pieces, one after the other.

    The pitches are whole octaves: the default 36 to 83 if they leave out no more than one piece in twenty, else
    the fewest octaves that do.

    Raises
    ------
    ValueError
        If there is no such corpus, it has nothing to train on, or its pieces have not the same tracks.

    Taught in: notebooks/03-training.ipynb
    """
    metres: dict[tuple[int, int], _Metre] = {}
    for piece in islice(get(corpus).stream("train"), SURVEY):
        metres.setdefault((piece.grid.n_steps, piece.grid.beats_per_bar), _Metre()).add(piece)
    metre = max(metres, key=lambda each: metres[each].n_bars, default=(0, 0))
    found = metres.get(metre, _Metre())
    if not found.n_bars:
        raise ValueError(f"the corpus {corpus!r} has no notes to train on")
    kind, *others = found.titles
    if others:
        names = [[f"{name} (drums)" if drum else name for name, drum in tracks] for tracks in (others[0], kind)]
        raise ValueError(
            f"the pieces of {corpus!r} have different tracks: {found.titles[others[0]]!r} has {', '.join(names[0])}, "
            f"others have {', '.join(names[1])}"
        )
    normalise_key = found.n_pitched > 0 and found.n_keyed >= (1 - MAY_BE_LEFT_OUT) * found.n_pitched
    return Layout(
        _grid(found.outlines, metre, normalise_key),
        tuple(name for name, _ in kind),
        tuple(found.programs[k].most_common(1)[0][0] for k in range(len(kind))),
        tuple(drum for _, drum in kind),
        normalise_key,
        1 - found.n_sung / found.n_notes,
    )


@dataclass
class _Metre:
    """What is counted of the pieces in one metre, so that the pieces need not be held."""

    n_bars: int = 0
    n_notes: int = 0
    n_sung: int = 0
    n_pitched: int = 0
    n_keyed: int = 0
    #: The first piece with each list of tracks (name, whether drums).
    titles: dict[tuple[tuple[str, bool], ...], str] = field(default_factory=dict)
    #: How often each track has a program.
    programs: dict[int, Counter[int]] = field(default_factory=dict)
    outlines: list[Piece] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        self.titles.setdefault(tuple((track.name, track.is_drum) for track in piece.tracks), piece.title)
        for k, track in enumerate(piece.tracks):
            self.programs.setdefault(k, Counter())[track.program] += 1
            self.n_notes += len(track.notes)
            self.n_sung += len(single_line(track).notes)
        self.n_bars += piece.n_bars
        if _is_pitched(piece):
            self.n_pitched += 1
            self.n_keyed += _has_key(piece)
        self.outlines.append(_outline(piece))


def _outline(piece: Piece) -> Piece:
    """The lowest and the highest note, of drums and of the others: they say whether a piece fits."""
    tracks = []
    for is_drum in (False, True):
        notes = [note for track in piece.tracks if track.is_drum == is_drum for note in track.notes]
        ends = {min(notes, key=_pitch), max(notes, key=_pitch)} if notes else ()
        tracks.append(Track("", tuple(sorted(ends)), is_drum=is_drum))
    key = {name: value for name, value in piece.labels.items() if name in ("tonic", "mode")}
    return Piece(tuple(tracks), piece.grid, labels=key)


def _grid(outlines: Sequence[Piece], metre: tuple[int, int], normalise_key: bool) -> Grid:
    """Choose the fewest octaves, at least four, that nearly all pieces keep to."""
    known = _with_keys(outlines) if normalise_key else outlines

    def share(grid: Grid) -> float:
        return sum(_fits(piece, grid, normalise_key) for piece in known) / max(1, len(known))

    best = Grid(*metre)
    for n_pitches in range(best.n_pitches, 121, 12):  # 120 pitches from 0 are the whole octaves of MIDI
        if share(best) >= 1 - MAY_BE_LEFT_OUT:
            break
        # Of two that serve as well the one nearer the default: far below it, all would be moved down an octave.
        lows = sorted(range(0, 121 - n_pitches, 12), key=lambda low: abs(low - Grid().low))
        best = max((Grid(*metre, low, n_pitches) for low in lows), key=share)
    return best


def _pitch(note: Note) -> int:
    return note.pitch


def _fits(piece: Piece, grid: Grid, normalise_key: bool) -> bool:
    """Whether all notes are within the grid's pitches, the pitched ones once they are moved to the common key."""
    shift = key_shift(piece, grid) if normalise_key else 0
    if shift is None:
        return False
    moved = ((note.pitch + (0 if t.is_drum else shift)) for t in piece.tracks for note in t.notes)
    return all(grid.low <= pitch < grid.high for pitch in moved)


def _is_pitched(piece: Piece) -> bool:
    return any(track.notes and not track.is_drum for track in piece.tracks)


def _has_key(piece: Piece) -> bool:
    return {"tonic", "mode"} <= piece.labels.keys()


def _with_keys(pieces: Iterable[Piece]) -> list[Piece]:
    """Those that can be moved to the common key; a piece without pitched notes counts as there: nothing moves."""
    moved = []
    for piece in pieces:
        if not _is_pitched(piece):
            moved.append(replace(piece, labels={**piece.labels, "tonic": 0, "mode": "major"}))
        elif _has_key(piece):
            moved.append(piece)
    return moved


def single_line(track: Track) -> Track:
    """Keep one note at a time: the highest of a track, and of drums the lowest (see `ganmusic.voices.skyline`).

    Taught in: notebooks/03-training.ipynb
    """
    return replace(track, notes=skyline(track.notes, lowest=track.is_drum))


@cache
def clips(corpus: str, split: str, n_bars: int, monophonic: bool = False) -> Windows:
    """The windows of one split of a corpus, on its grid (`layout`) and in the common key if it has one.

    With `monophonic`, each track is reduced to a single line first. Of a corpus that has a folder of its own on disk
    the bars are packed there, once, and mapped into memory; of one that comes with ganmusic they are packed in memory.
    """
    form, record = layout(corpus), get(corpus)
    lines = monophonic and form.left_out > 0

    def ready(left_out: Counter[str]) -> Iterator[Piece]:
        for piece in record.stream(split):
            known = _with_keys([piece]) if form.normalise_key else [piece]
            left_out["no known key"] += not known
            for each in known:
                yield replace(each, tracks=tuple(map(single_line, each.tracks))) if lines else each

    if record.home is not None:
        name = f"{corpus}-{split}-lines" if lines else f"{corpus}-{split}"
        return windows(_packed(record.home(), name, form, ready), n_bars)
    left_out: Counter[str] = Counter()
    data = windows(ready(left_out), n_bars, grid=form.grid, normalise_key=form.normalise_key)
    data.bars.left_out.update(+left_out)
    return data


def _packed(home: Path, name: str, form: Layout, pieces: Callable[[Counter[str]], Iterable[Piece]]) -> Store:
    """Open the packed bars of a corpus on disk, or make them of ``pieces(left_out)``, which counts what it leaves out.

    They are below ``home/bars`` in a folder that is called after what they are made from. So once they are finished
    no piece is read to open them, and of a corpus that changed new ones are made. The old ones another run may be
    reading: they are deleted when nobody has opened them for a day.
    """
    made_from = hashlib.sha256(repr((form.grid, form.normalise_key, version("ganmusic"))).encode())
    # All of what is kept: the table alone does not say on which track or in which bar a note is.
    for path in (home / "notes" / "pieces.json", *sorted((home / "notes").glob("*.npz"))):
        with path.open("rb") as stream:
            made_from.update(hashlib.file_digest(stream, "sha256").digest())
    bars = home / "bars"
    state = bars / made_from.hexdigest()[:16]
    folder, counts = state / name, state / f"{name}.json"
    state.mkdir(parents=True, exist_ok=True)
    with FileLock(bars / ".lock"):
        os.utime(state)
        for stale in bars.glob("[0-9a-f]" * 16):
            if time.time() - stale.stat().st_mtime > KEEP:
                shutil.rmtree(stale, ignore_errors=True)  # Windows keeps what is open
        left_out: Counter[str] = Counter()
        store = None
        with suppress(OSError, ValueError, TypeError):  # not finished, or damaged
            left_out.update(dict(json.loads(counts.read_text(encoding="utf-8"))))
            store = Store(folder)
        if store is None:
            store = _prepared(folder, form, pieces, left_out)
            with atomic_path(counts) as temporary:
                temporary.write_text(json.dumps(left_out), encoding="utf-8")
        list(store.shards)  # mapped now, so that they can be read even if the folder is deleted
    store.left_out.update(+left_out)
    return store


def _prepared(
    folder: Path, form: Layout, pieces: Callable[[Counter[str]], Iterable[Piece]], left_out: Counter[str]
) -> Store:
    """Prepare a folder, or go on where that was interrupted; of no use are bars of other pieces and damaged ones."""
    begun = folder.exists()
    left_out.clear()
    try:
        return prepare(pieces(left_out), folder, grid=form.grid, normalise_key=form.normalise_key)
    except ValueError:
        if not begun:
            raise
    shutil.rmtree(folder)
    return _prepared(folder, form, pieces, left_out)


def held_out(corpus: str, split: str, n_bars: int, monophonic: bool = False) -> Windows:
    """`N_CLIPS` of those windows to compare with, chosen at random and the same each time (all, if there are fewer)."""
    return _some(clips(corpus, split, n_bars, monophonic), N_CLIPS)


def _some(data: Windows, n: int) -> Windows:
    return data.select(np.random.default_rng(0).permutation(len(data))[:n])


def _is_monophonic(recipe: Recipe) -> bool:
    return bool(MODELS[recipe.model][0].monophonic)  # type: ignore[attr-defined]


def batches(recipe: Recipe, config: TrainConfig, balance: str | None = None) -> Callable[[int], Tensor]:
    """A function from the update's number to its real rolls ``(batch, plane, track, bar, step, pitch)``.

    With `balance`, the name of a label, each of the label's values is drawn equally often (`balanced_indices`).

    Raises
    ------
    ValueError
        If a piece does not have the label, or it has not one value a piece.
    """
    data = clips(recipe.corpus, "train", recipe.n_bars, _is_monophonic(recipe))
    groups = {} if balance is None else data.groups(balance)

    def batch(step: int) -> Tensor:
        if groups:
            return data[balanced_indices(groups, config.batch_size, config.seed, step).numpy()]
        return data[batch_indices(len(data), config.batch_size, config.seed, step).numpy()]

    return batch


def sizes(recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keyword arguments of the recipe's generator and discriminator, built for its corpus's windows.

    Taught in: notebooks/03-training.ipynb
    """
    form = layout(recipe.corpus)
    shape = {
        "n_tracks": len(form.tracks),
        "n_bars": recipe.n_bars,
        "n_steps": form.grid.n_steps,
        "n_pitches": form.grid.n_pitches,
    }
    generator, discriminator = (
        {name: size for name, size in shape.items() if name in inspect.signature(network).parameters}
        for network in MODELS[recipe.model]
    )
    return generator | recipe.generator, discriminator | recipe.discriminator


def game(
    recipe: Recipe, seed: int = 0, device: torch.device | str = "cpu", precision: str = "float32"
) -> AdversarialGame:
    """The recipe's networks for its corpus, freshly drawn from the seed, in their game on a device.

    Raises
    ------
    ValueError
        If the model cannot be built for the corpus's windows.
    """
    generator, discriminator = MODELS[recipe.model]
    g, d = sizes(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Drawn on the processor: the seed gives the same weights anywhere.
        one, other = generator(**g).to(device), discriminator(**d).to(device)
        return AdversarialGame(one, other, precision=precision, **recipe.game)


def distance(recipe: Recipe) -> Callable[[Game], float] | None:
    """A held-out score for `fit`: Frechet distance of `N_CLIPS` generated clips to as many validation clips.

    Drums are not compared: what the features count, melodies and harmony, they have not. None if the corpus has not
    at least two validation windows.
    """
    monophonic = _is_monophonic(recipe)
    train = clips(recipe.corpus, "train", recipe.n_bars, monophonic)
    try:
        valid = held_out(recipe.corpus, "valid", recipe.n_bars, monophonic)
    except ValueError:  # no window is left
        return None
    if len(valid) < 2:
        return None
    drums = np.array(layout(recipe.corpus).drums)
    # Of drums alone, better the features that there are than none.
    compared = ~drums if not drums.all() else drums

    def heard(roll: Roll) -> Roll:
        return Roll(*(plane[:, compared] for plane in roll))

    standard = _some(train, N_STANDARD) if len(train) > N_STANDARD else train
    space = FeatureSpace(heard(standard.roll), train.grid)
    reference = space(heard(valid.roll))

    def watch(game: Game) -> float:
        return frechet_distance(space(heard(to_roll(game.sample(N_CLIPS)))), reference)

    return watch


def train(
    name: str | None,
    out: str | os.PathLike[str],
    *,
    corpus: str | None = None,
    balance: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    seed: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
    precision: str | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> History:
    """Train a recipe into a run folder.

    Started by ``torchrun``, its processes share every batch out among themselves (see `ganmusic.parallel`). A run may
    go on with another number of them, and on another device.

    What is done to the corpus on the way (notes that the model cannot sing, pieces in another metre, nothing to watch)
    is in the run's card, under ``data``, and shown before training begins.

    Parameters
    ----------
    name : str, optional
        A name in `RECIPES`; None takes that of the run to resume.
    out : path
        The run's folder; a new one, unless `resume`.
    corpus : str, optional
        A corpus to train on in place of the recipe's, by a name that `ganmusic.corpora.get` knows.
    balance : str, optional
        Name of a label; each of its values is then drawn equally often.
    steps, minutes : optional
        Budget; the recipe's steps by default.
    resume : bool
        Go on from the last checkpoint in `out`, with the run's own settings where none are given.
    seed, threads : int, optional
        See `TrainConfig`.
    device : str
        One of `ganmusic.parallel.DEVICES`.
    precision : str, optional
        One of `ganmusic.train.PRECISIONS`; float32 by default, or that of the run to resume.
    tensorboard, progress : bool
        See `fit`.

    Raises
    ------
    ValueError
        If there is no such recipe or corpus, the budget is not one, the corpus and the model do not fit, the device is
        not there, or the batch cannot be shared out among the processes.
    FileExistsError
        If `out` holds a run already and `resume` was not asked for.
    CheckpointError
        If the run to resume is damaged, or is of another recipe, seed or corpus.
    DivergenceError
        If training diverges.

    Taught in: notebooks/03-training.ipynb
    """
    if tensorboard:
        summary_writer()  # complains before anything is written
    place = parallel.select_device(device)
    run = Path(out)
    begun = (run / "config.json").exists()
    if begun and not resume:
        raise FileExistsError(f"{run} holds a run already: resume it, or choose another folder")
    stored = checkpoint.read_config(run) if begun or name is None else {}
    try:
        name = name or str(stored["recipe"])
        if name not in RECIPES:
            raise ValueError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
        recipe = RECIPES[name]
        corpus = corpus or str(stored["data"]["corpus"] if stored else recipe.corpus)
        if corpus != recipe.corpus:
            recipe = replace(recipe, corpus=corpus, programs=None)
        options: dict[str, Any] = {**recipe.config, **(stored["train"] if begun else {})}
        theirs = begun and {
            "recipe": stored["recipe"],
            "seed": stored["train"]["seed"],
            "corpus": stored["data"]["corpus"],
            "data": stored["data"]["sha256"],
            "balance": stored["data"].get("balance"),
        }
        balance = balance or (stored["data"].get("balance") if begun else None)
        if steps is not None or minutes is not None or not begun:
            options |= {"steps": recipe.steps if steps is None and minutes is None else steps, "minutes": minutes}
        options |= {key: value for key, value in (("seed", seed), ("threads", threads)) if value is not None}
        config = TrainConfig(**options)
        precision = precision or (str(stored.get("precision", "float32")) if begun else "float32")
    except (KeyError, TypeError, AttributeError) as error:
        raise checkpoint.CheckpointError.misfit(run, error) from None
    if recipe.corpus not in CORPORA:  # a folder's files may have changed since they were last looked at
        for kept in (layout, clips):
            kept.cache_clear()
    data = clips(recipe.corpus, "train", recipe.n_bars, _is_monophonic(recipe))
    form = layout(recipe.corpus)
    facts = _facts(recipe, data)
    sha256 = str(facts["sha256"])
    if theirs:
        ours = {"recipe": name, "seed": config.seed, "corpus": recipe.corpus, "data": sha256, "balance": balance}
        for key in ours:
            if ours[key] != theirs[key]:
                raise checkpoint.CheckpointError(f"{run} has {key} {theirs[key]}, and cannot go on with {ours[key]}")
    watch = distance(recipe)
    batch = batches(recipe, config, balance)
    with parallel.process_group(place):
        first, n_processes = parallel.rank() == 0, parallel.world_size()
        players = game(recipe, config.seed, place, precision)
        players.check_batch(config.batch_size)
        card = {
            "recipe": name,
            "model": recipe.model,
            "generator": sizes(recipe)[0],
            "grid": asdict(data.grid),
            "tracks": list(form.tracks),
            "programs": list(recipe.programs or form.programs),
            "drums": list(form.drums),
            "train": asdict(config),
            "precision": precision,
            "device": place.type,
            "processes": n_processes,
            "data": {**facts, "balance": balance, "watched": watch is not None},
            "versions": {
                "ganmusic": version("ganmusic"),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        if progress and first:
            for remark in _remarks(card):
                tqdm.write(remark, file=sys.stderr)
        # Also waits until all have looked at what is there, before anything is written.
        begin = checkpoint.latest(run)
        what = f"{name} on {recipe.corpus} {sha256[:16]}, {config}, from {begin.name if begin else 'its beginning'}"
        parallel.check_same("run", what)
        if first:
            checkpoint.write_config(run, card)
        samples = run / "samples"
        heard = Composer(players.averaged, data.grid, form.tracks, recipe.programs or form.programs, card, form.drums)

        def keep(step: int, rolls: Tensor) -> None:
            samples.mkdir(exist_ok=True)
            for index, roll in enumerate(zip(*to_roll(rolls), strict=True)):
                midi.write(heard.piece(Roll(*roll)), samples / f"step-{step:08d}-{index}.mid")

        return fit(
            players,
            batch,
            config,
            run,
            resume=resume,
            watch=watch,
            on_sample=keep,
            tensorboard=tensorboard,
            progress=progress,
        )


def _facts(recipe: Recipe, data: Windows) -> dict[str, Any]:
    """What a run's card says of its data: all that composing needs, without the corpus, and what was done to it."""
    form = layout(recipe.corpus)
    n_pieces = len(np.unique(data.piece))
    shifts = dict(zip(*(column.tolist() for column in np.unique(data.shift, return_counts=True)), strict=True))
    left_out = Counter(data.bars.left_out)
    left_out[f"fewer than {recipe.n_bars} full bars"] = len(data.bars.piece) - n_pieces
    return {
        "corpus": recipe.corpus,
        "pieces": n_pieces,
        "pieces_left_out": dict(+left_out),
        "clips": len(data),
        "sha256": data.fingerprint(),
        "normalise_key": form.normalise_key,
        # Windows by the semitones that they were moved by.
        "shifts": {str(shift): shifts[shift] for shift in sorted(shifts)},
        "notes_left_out": round(form.left_out, 4) if _is_monophonic(recipe) else 0.0,
    }


def _remarks(card: dict[str, Any]) -> list[str]:
    """What someone who trains on their own music should know before it begins; nothing, if all of it is used."""
    data, grid = card["data"], Grid(**card["grid"])
    name = f"corpus {data['corpus']!r}"
    remarks = []
    if left_out := data["pieces_left_out"]:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in left_out.items())
        remarks.append(
            f"{name}: {sum(left_out.values()):,} of {sum(left_out.values()) + data['pieces']:,} pieces to train on are "
            f"left out ({reasons}); what is trained on has {describe(grid)}"
        )
    if data["notes_left_out"]:
        remarks.append(
            f"{name}: the {card['model']} model has one note a track and step: {data['notes_left_out']:.1%} of the "
            "notes, below the highest of a track (of drums, above the lowest), are left out"
        )
    if not data["normalise_key"]:
        remarks.append(f"{name}: keys are not known, so the pieces stay in theirs, and none can be asked for later")
    if data["clips"] < card["train"]["batch_size"]:
        remarks.append(
            f"{name}: {data['clips']} windows are fewer than a batch of {card['train']['batch_size']}: each is seen "
            "more than once an update, and will be learned by heart"
        )
    if not data["watched"]:
        remarks.append(
            f"{name}: there is no validation music to speak of, so no held-out distance is watched, and the newest "
            "checkpoint counts, not the best"
        )
    return remarks
