"""Recipes: named, measured combinations of corpus, model, losses and schedule.

`train` is what the ``ganmusic train`` command runs. A recipe's docstring-like `description` states what it
gives and what it costs.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganmusic import checkpoint, midi
from ganmusic.corpora import CORPORA
from ganmusic.data import Windows, batch_indices, windows
from ganmusic.metrics.distribution import FeatureSpace, frechet_distance
from ganmusic.models import MODELS
from ganmusic.models.convnet import hide_voices
from ganmusic.models.mlp import BINARY_CROSS_ENTROPY
from ganmusic.penalties import r1_r2
from ganmusic.pianoroll import Roll, roll_to_piece
from ganmusic.sample import to_roll
from ganmusic.train import AdversarialGame, Game, History, TrainConfig, fit, summary_writer

__all__ = ["RECIPES", "Recipe", "batches", "clips", "distance", "game", "held_out", "train"]

#: Clips on each side of the held-out distance; it is biased, so all distances use the same number.
N_CLIPS = 250


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    Parameters
    ----------
    description : str
        What it gives and costs, as measured.
    corpus, model : str
        Names in `CORPORA` and `MODELS`.
    game : dict
        Keyword arguments of `AdversarialGame`.
    steps : int
        Updates when no other budget is given.
    config : dict
        Keyword arguments of `TrainConfig`.
    generator, discriminator : dict
        Keyword arguments of the networks.
    programs : tuple of int
        General MIDI programs that the tracks are heard with.

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
    programs: tuple[int, ...] = (48, 48, 48, 48)
    n_bars: int = 4


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

#: Every recipe, by name.
RECIPES: dict[str, Recipe] = {
    "chorales": Recipe(
        "Four voices after Bach: the convolutional pair, relativistic loss, R1 and R2. After 6,000 updates (26 "
        "minutes on one core of a shared two-core x86 machine) a Frechet distance of 27 to validation music, where "
        "held-out Bach has 18 and Bach with his beats shuffled 147.",
        corpus="chorales",
        model="convnet",
        steps=6000,
        game=_CONVNET,
        config={"batch_size": 16},
    ),
    "mlp": Recipe(
        "The plain network of most articles, on the same chorales.",
        corpus="chorales",
        model="mlp",
        steps=2000,
        game={"loss": BINARY_CROSS_ENTROPY, "learning_rate": 2e-4},
        config={"constant": 1.0},
    ),
    "toy": Recipe(
        "A tiny convolutional pair on synthetic chords: seconds, for trying things out.",
        corpus="toy",
        model="convnet",
        steps=20,
        game=_CONVNET,
        config={"batch_size": 8},
        generator={"channels": (16, 16, 8, 8, 8), "n_latent": 8},
        discriminator={"channels": (8, 8, 16, 16, 16)},
    ),
}


@cache
def clips(corpus: str, split: str, n_bars: int) -> Windows:
    """The windows of one split of a corpus, in the common key."""
    return windows(CORPORA[corpus].load(split), n_bars=n_bars)


def held_out(corpus: str, split: str, n_bars: int) -> Windows:
    """`N_CLIPS` of those windows to compare with, chosen at random and the same each time (all, if there are fewer)."""
    data = clips(corpus, split, n_bars)
    return data.select(np.random.default_rng(0).permutation(len(data))[:N_CLIPS])


def batches(recipe: Recipe, config: TrainConfig) -> Callable[[int], Tensor]:
    """A function from the update's number to its real rolls ``(batch, plane, track, bar, step, pitch)``."""
    data = clips(recipe.corpus, "train", recipe.n_bars)
    rolls = data[:]

    def batch(step: int) -> Tensor:
        return rolls[batch_indices(len(rolls), config.batch_size, config.seed, step)]

    return batch


def game(recipe: Recipe, seed: int = 0) -> AdversarialGame:
    """The recipe's networks, freshly drawn from the seed, in their game."""
    generator, discriminator = MODELS[recipe.model]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AdversarialGame(generator(**recipe.generator), discriminator(**recipe.discriminator), **recipe.game)


def distance(recipe: Recipe) -> Callable[[Game], float]:
    """A held-out score for `fit`: Frechet distance of `N_CLIPS` generated clips to as many validation clips."""
    train = clips(recipe.corpus, "train", recipe.n_bars)
    space = FeatureSpace(train.roll, train.grid)
    reference = space(held_out(recipe.corpus, "valid", recipe.n_bars).roll)

    def watch(game: Game) -> float:
        return frechet_distance(space(to_roll(game.sample(N_CLIPS))), reference)

    return watch


def train(
    name: str | None,
    out: str | os.PathLike[str],
    *,
    steps: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    seed: int | None = None,
    threads: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> History:
    """Train a recipe into a run folder.

    Parameters
    ----------
    name : str, optional
        A name in `RECIPES`; None takes that of the run to resume.
    out : path
        The run's folder; a new one, unless `resume`.
    steps, minutes : optional
        Budget; the recipe's steps by default.
    resume : bool
        Go on from the last checkpoint in `out`, with the run's own settings where none are given.
    seed, threads : int, optional
        See `TrainConfig`.
    tensorboard, progress : bool
        See `fit`.

    Raises
    ------
    ValueError
        If there is no such recipe, or the budget is not one.
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
        options: dict[str, Any] = {**recipe.config, **(stored["train"] if begun else {})}
        theirs = begun and {
            "recipe": stored["recipe"], "seed": stored["train"]["seed"], "data": stored["data"]["sha256"]
        }
        if steps is not None or minutes is not None or not begun:
            options |= {"steps": recipe.steps if steps is None and minutes is None else steps, "minutes": minutes}
        options |= {key: value for key, value in (("seed", seed), ("threads", threads)) if value is not None}
        config = TrainConfig(**options)
    except (KeyError, TypeError, AttributeError) as error:
        raise checkpoint.CheckpointError.misfit(run, error) from None
    data = clips(recipe.corpus, "train", recipe.n_bars)
    card = {
        "recipe": name,
        "model": recipe.model,
        "generator": recipe.generator,
        "grid": asdict(data.grid),
        "tracks": list(data.tracks),
        "programs": list(recipe.programs),
        "train": asdict(config),
        "data": {"corpus": recipe.corpus, "clips": len(data.sounding), "sha256": data.fingerprint()},
        "versions": {
            "ganmusic": version("ganmusic"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    if theirs:
        ours = {"recipe": name, "seed": config.seed, "data": data.fingerprint()}
        for key in ours:
            if ours[key] != theirs[key]:
                raise checkpoint.CheckpointError(f"{run} has {key} {theirs[key]}, and cannot go on with {ours[key]}")
    checkpoint.write_config(run, card)
    samples = run / "samples"
    samples.mkdir(exist_ok=True)

    def keep(step: int, rolls: Tensor) -> None:
        for index, roll in enumerate(zip(*to_roll(rolls), strict=True)):
            piece = roll_to_piece(Roll(*roll), data.grid, names=data.tracks, programs=recipe.programs)
            midi.write(piece, samples / f"step-{step:08d}-{index}.mid")

    return fit(
        game(recipe, config.seed),
        batches(recipe, config),
        config,
        run,
        resume=resume,
        watch=distance(recipe),
        on_sample=keep,
        tensorboard=tensorboard,
        progress=progress,
    )
