"""From a trained generator to music: clips, and pieces of any number of bars.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganmusic import checkpoint
from ganmusic.models import MODELS
from ganmusic.pianoroll import Grid, Piece, Roll, chroma, roll_to_piece, transpose

__all__ = ["TEMPO", "Composer", "compose", "load_generator", "sample_rolls", "to_roll"]

#: Beats a minute, unless another tempo is asked for.
TEMPO = 80.0
#: Triads on which a piece in the corpus's common key may end: C major and A minor.
TONIC_TRIADS = ({0, 4, 7}, {9, 0, 4})


@dataclass(frozen=True)
class Composer:
    """A generator that is ready to play, with what it needs to be heard.

    Parameters
    ----------
    generator : Module
    grid : Grid
    names, programs : tuple
        The tracks' names and General MIDI programs.
    card : dict
        What it is and how it was trained.

    Taught in: notebooks/03-training.ipynb
    """

    generator: nn.Module
    grid: Grid
    names: tuple[str, ...]
    programs: tuple[int, ...]
    card: dict[str, Any]

    def piece(self, roll: Roll, **options: Any) -> Piece:
        """Read a piece off one clip ``[shape=(track, bar, step, pitch)]``."""
        return roll_to_piece(roll, self.grid, names=self.names, programs=self.programs, **options)


def load_generator(run: str | os.PathLike[str] | None = None) -> Composer:
    """Load the averaged generator of a run: its best checkpoint if a score was watched, else its newest.

    Parameters
    ----------
    run : path, optional
        The run's folder; without it, the chorale weights that come with the package.

    Raises
    ------
    CheckpointError
        If the run is missing, damaged or from another version, or has no checkpoint yet.

    Taught in: notebooks/03-training.ipynb
    """
    if run is None:
        with as_file(files("ganmusic") / "weights" / "chorales") as shipped:
            return load_generator(shipped)
    config = checkpoint.read_config(run)
    newest = checkpoint.latest(run)
    if newest is None:
        raise checkpoint.CheckpointError(f"{run} has no checkpoint yet")
    try:
        tensors, state = checkpoint.load(newest)
        if state["best"] and state["best"]["step"] != state["step"]:
            tensors, state = checkpoint.load(checkpoint.numbered(run, state["best"]["step"]))
        generator = MODELS[config["model"]][0](**config["generator"])
        weights = {k.removeprefix("averaged."): v.float() for k, v in tensors.items() if k.startswith("averaged.")}
        generator.load_state_dict(weights)
        composer = Composer(
            generator.eval().requires_grad_(False),
            Grid(**config["grid"]),
            tuple(config["tracks"]),
            tuple(config["programs"]),
            {**config, "step": state["step"], "best": state["best"]},
        )
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise checkpoint.CheckpointError.misfit(run, error) from None
    return composer


def to_roll(rolls: Tensor) -> Roll:
    """A model's rolls ``(n, plane, track, bar, step, pitch)`` as a `Roll` ``(n, track, bar, step, pitch)``."""
    array = rolls.numpy().astype(bool)
    return Roll(array[:, 0], array[:, 1])


def sample_rolls(composer: Composer, n: int, seed: int = 0, **latent: Any) -> Roll:
    """Draw `n` clips ``(n, track, bar, step, pitch)``; the seed decides them.

    Keyword arguments go to the generator's ``latent`` (``n_bars`` for those that can be of any length).
    """
    z = composer.generator.latent(n, generator=torch.Generator().manual_seed(seed), **latent)  # type: ignore[operator]
    return to_roll(composer.generator.sample(z))  # type: ignore[operator]


def compose(
    n_bars: int = 8,
    seed: int = 0,
    run: str | os.PathLike[str] | Composer | None = None,
    *,
    tempo: float = TEMPO,
    semitones: int = 0,
    candidates: int = 16,
) -> Piece:
    """Compose a piece of `n_bars`.

    The generator draws `candidates` pieces; the first that reaches the last bar's downbeat on the tonic triad is
    kept (else the first of all), and that chord is held to the end. This ending is the one rule: every other
    note is the generator's.

    Parameters
    ----------
    n_bars : int
        At least 1.
    seed : int
        Decides the piece: the same seed and weights give the same piece.
    run : path or Composer, optional
        What composes; the shipped weights by default.
    tempo : float
        Beats a minute.
    semitones : int
        Transposition; the generator knows only C major and A minor.
    candidates : int
        Pieces to choose the ending from, at least 1.

    Raises
    ------
    ValueError
        If `n_bars` or `candidates` is not positive, or the generator makes clips of another, fixed length only.
    CheckpointError
        If the run cannot be loaded.

    Taught in: notebooks/03-training.ipynb
    """
    composer = run if isinstance(run, Composer) else load_generator(run)
    if n_bars < 1:
        raise ValueError(f"a piece has at least 1 bar, not {n_bars}")
    if candidates < 1:
        raise ValueError(f"a piece is chosen from at least 1 candidate, not {candidates}")
    fixed = getattr(composer.generator, "n_bars", n_bars)
    if fixed != n_bars:
        raise ValueError(f"this generator makes clips of {fixed} bars, not {n_bars}")
    length = {} if hasattr(composer.generator, "n_bars") else {"n_bars": n_bars}
    rolls = sample_rolls(composer, candidates, seed, **length)
    classes = chroma(rolls.sounding[:, :, -1, 0]).sum(1) > 0  # (candidate, 12)
    ends_well = [set(np.flatnonzero(c)) in TONIC_TRIADS for c in classes]
    chosen = ends_well.index(True) if any(ends_well) else 0
    sounding, onset = rolls.sounding[chosen].copy(), rolls.onset[chosen].copy()
    sounding[:, -1] = sounding[:, -1, :1]
    onset[:, -1, 1:] = False
    piece = transpose(composer.piece(Roll(sounding, onset), tempo=tempo), semitones)
    return replace(piece, title=f"{composer.card['recipe']}, seed {seed}")
