"""The game and the loop: how a generator and a discriminator are trained against each other.

`fit` drives any `Game`: it counts, schedules, logs, saves, resumes, draws samples and stops in time. It knows
nothing of networks. `AdversarialGame` is the two-player game that most models play, with any `Loss` and penalty.

Repeatable by construction: the randomness of update k, and the batch it sees, depend on the seed and on k
alone. So a run that was killed goes on from its last checkpoint to the same weights, bit for bit, as one that
was not (on one machine, with as many threads, and a budget of steps: under a budget of minutes the learning rate
follows the clock). On another device, or on several processes (`ganmusic.parallel`), it sees the same batches and
the same chance, and its weights are the same up to rounding.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from tqdm.auto import tqdm

from ganmusic import checkpoint, parallel
from ganmusic.files import atomic_path, counted
from ganmusic.losses import LOSSES, Loss
from ganmusic.penalties import clip_weights, feature_matching, spectral_norm

__all__ = [
    "PRECISIONS",
    "AdversarialGame",
    "DivergenceError",
    "Game",
    "History",
    "TrainConfig",
    "fit",
    "summary_writer",
]

#: Types of number that networks compute with; weights, losses and penalties are float32 in any case.
PRECISIONS = ("float32", "bfloat16")

Penalty = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]
Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class DivergenceError(RuntimeError):
    """A loss or a weight is no longer a number; the message names the step and the last good checkpoint."""


class Game(Protocol):
    """What `fit` can train: anything with these four methods.

    Taught in: notebooks/03-training.ipynb
    """

    def step(self, batch: Tensor, scale: float = 1.0) -> dict[str, float]:
        """Update all players once, with their learning rates times `scale`; say what happened."""

    def sample(self, n: int) -> Tensor:
        """Draw `n` rolls ``(n, plane, track, bar, step, pitch)`` from noise that is the same each time."""

    def state_dict(self) -> dict[str, Tensor]:
        """All that a later `load_state_dict` needs to go on, as a flat dictionary of tensors."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go back to an earlier `state_dict`."""


class AdversarialGame:
    """Generator against discriminator.

    A generator that is told something (a bar before, a given track) has a method ``ask(real)``: what real rolls ask
    of it, ``(batch, ...)``. It is then called as ``generator(z, asked)``, so that its rolls answer the same questions
    as the real ones beside them.

    It is played on the device that the networks are on. Of several processes (`ganmusic.parallel`) each is given the
    whole batch and computes its part of it; the losses are those of the whole.

    One that plays about something else than rolls has a method ``see(real, asked)``: what the discriminator is shown of
    real rolls, as the generator, when it is called, returns what it is shown of its own. One that learns something by
    itself has ``learn(real)``, a loss; for its first updates it does so as well. One with a schedule of its own has
    ``updated()``, which is called after each step.

    Parameters
    ----------
    generator : Module
        Maps ``generator.latent(n)`` to rolls ``(n, plane, track, bar, step, pitch)``; has ``sample(z)`` too.
    discriminator : Module
        Maps rolls to logits ``(n, ...)``.
    loss : Loss or str
        What each player wants.
    penalty : callable, optional
        ``f(discriminator, real, fake) -> scalar`` added to the discriminator's loss with weight `penalty_weight`.
        Computed on every `penalty_every`-th update and then counted as many times, which costs less and does
        the same (lazy regularisation, Karras et al. 2020).
    augment : callable, optional
        ``f(real, fake) -> (real, fake)``, seen by the discriminator only; differentiable.
    learning_rate, betas
        Of both players' Adam.
    ema : float
        The averaged generator, which samples are drawn from, keeps this share of itself at each update
        (Yazici et al. 2018); 0: it is the generator.
    discriminator_steps, generator_steps : int
        Updates of each player in one step. The real rolls of a batch are shared out among the discriminator's.
    clip : float, optional
        Largest absolute weight of the discriminator, kept to after each of its updates (`clip_weights`).
    spectral : bool
        Bound each layer of the discriminator by its largest singular value (`spectral_norm`).
    matching : sequence of float
        Weights of feature matching, one for each tensor of ``discriminator.features(rolls)``, in the generator's loss.
    lessons : int
        Updates, the first ones, in which the generator also learns by itself, at a rate that falls to nothing.
    lesson_rate : float
        Learning rate of the first of them.
    precision : str
        One of `PRECISIONS`: that of the networks' larger operations. Half the bytes are faster where the device is made
        for it; a penalty, whose gradient is differentiated again, and lessons are computed in float32.

    Raises
    ------
    ValueError
        If there is no such loss or precision, a number is out of its range, or the parts do not fit each other: a loss
        of probabilities and logits, a loss that needs a bounded slope and nothing to bound it, a penalty on single
        samples' gradients and batch normalisation, which mixes them.

    Taught in: notebooks/03-training.ipynb
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: Loss | str = "non_saturating",
        *,
        penalty: Penalty | None = None,
        penalty_weight: float = 1.0,
        penalty_every: int = 1,
        augment: Augment | None = None,
        learning_rate: float = 2e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        ema: float = 0.0,
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        clip: float | None = None,
        spectral: bool = False,
        matching: Sequence[float] = (),
        lessons: int = 0,
        lesson_rate: float = 2e-3,
        precision: str = "float32",
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        if isinstance(loss, str) and loss not in LOSSES:
            raise ValueError(f"there is no loss {loss!r}; there are {', '.join(LOSSES)}")
        self.loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.penalty, self.penalty_weight, self.penalty_every = penalty, penalty_weight, penalty_every
        self.augment, self.learning_rate, self.ema = augment, learning_rate, ema
        self.discriminator_steps, self.generator_steps = discriminator_steps, generator_steps
        self.clip, self.matching = clip, tuple(matching)
        self.lessons, self.lesson_rate = lessons, lesson_rate
        self.precision = precision
        self.is_asked = hasattr(generator, "ask")
        self.mixes_samples = any(isinstance(layer, _BatchNorm) for layer in discriminator.modules())
        self._check_parts(spectral)
        if spectral:
            spectral_norm(discriminator)
        for network in (generator, discriminator):
            parallel.broadcast(network)
        # Before the norms are shared: each process samples alone.
        self.averaged = copy.deepcopy(generator).requires_grad_(False)
        for network in (generator, discriminator):
            parallel.synchronise_norms(network)
        # Fused: all of an update's arithmetic in one pass over the weights, which a processor feels.
        self.generator_optimizer, self.discriminator_optimizer = (
            torch.optim.Adam(network.parameters(), learning_rate, betas, fused=True)
            for network in (generator, discriminator)
        )
        self.n_updates = 0

    def _check_parts(self, spectral: bool) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"there is no precision {self.precision!r}; there are {', '.join(PRECISIONS)}")
        if min(self.discriminator_steps, self.generator_steps, self.penalty_every) < 1:
            raise ValueError("discriminator_steps, generator_steps and penalty_every are at least 1")
        for name in ("learning_rate", "lesson_rate", "penalty_weight", "clip"):
            number = getattr(self, name)
            if number is not None and not 0 < number < math.inf:
                raise ValueError(f"{name} is a positive number, not {number}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"the averaged generator keeps a share of itself from 0 to less than 1, not {self.ema}")
        of_probabilities = getattr(self.discriminator, "of_probabilities", False)
        if self.loss.of_probabilities != of_probabilities:
            theirs, ours = ("probabilities", "logits") if of_probabilities else ("logits", "probabilities")
            raise ValueError(f"the loss {self.loss.name!r} is one of {ours}, and the discriminator returns {theirs}")
        if self.loss.needs_lipschitz and not (self.penalty or self.clip or spectral):
            raise ValueError(
                f"the loss {self.loss.name!r} grows without end unless the discriminator's slope is bounded: "
                "give a penalty (gradient_penalty), clip or spectral"
            )
        normalising = (_NormBase, nn.LayerNorm, nn.GroupNorm)
        normalises = any(isinstance(layer, normalising) for layer in self.discriminator.modules())
        if self.loss.needs_lipschitz and normalises and not (self.penalty or self.clip):
            raise ValueError(
                f"the loss {self.loss.name!r} grows without end where layers normalise, which spectral does not bound: "
                "take a discriminator without, or clip"
            )
        if self.penalty and self.mixes_samples:
            instead = "clip" if self.loss.needs_lipschitz else "clip or spectral"
            raise ValueError(
                "a penalty on each sample's gradient does not fit a discriminator with batch normalisation, which "
                f"mixes samples: take one without, or {instead} instead"
            )
        if self.matching and not hasattr(self.discriminator, "features"):
            raise ValueError("this discriminator has no features to match")
        if self.lessons and not hasattr(self.generator, "learn"):
            raise ValueError("this generator has no lessons to learn")

    def step(self, batch: Tensor, scale: float = 1.0) -> dict[str, float]:
        """Update the discriminator, then the generator; return both losses and the mean logits. Before that give the
        generator a lesson, while there are some, and return its loss too.

        Parameters
        ----------
        batch : Tensor [shape=(batch, plane, track, bar, step, pitch)]
            Real rolls, as booleans or numbers.
        scale : float
            Factor of the learning rates; lessons have their own.

        Raises
        ------
        ValueError
            If the batch cannot be shared out evenly among the discriminator's updates, and these among the processes,
            or if it has another shape than what the generator makes.
        """
        self.check_batch(len(batch))
        row: dict[str, float] = {}
        if self.n_updates < self.lessons:
            row |= self.teach(batch)
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            _set_rate(optimizer, self.learning_rate * scale)
        for chunk in self._placed(batch).chunk(self.discriminator_steps):
            asked = self._asked(chunk)
            real = self._shown(parallel.part(chunk), asked)
            fake = self._draw(len(chunk), asked)
            row |= self._update_discriminator(real, fake.detach())
        for k in range(self.generator_steps):
            # Drawn once: the generator is first graded on the same fakes that the discriminator has learned from.
            fake = fake if k == 0 else self._draw(len(chunk), asked)
            row |= self._update_generator(real, fake)
        self._average()
        self.n_updates += 1
        if hasattr(self.generator, "updated"):
            self.generator.updated()  # type: ignore[operator]
        return row

    def teach(self, batch: Tensor) -> dict[str, float]:
        """Give the generator its next lesson; of a game that has any (`step` does so)."""
        _set_rate(self.generator_optimizer, self.lesson_rate * max(0.0, 1 - self.n_updates / self.lessons))
        loss: Tensor = self.generator.learn(parallel.part(self._placed(batch)))  # type: ignore[operator]
        # What the lesson does not touch has no gradient, and stays as it is.
        self.generator_optimizer.zero_grad()
        loss.backward()
        parallel.average_gradients(self.generator)
        self.generator_optimizer.step()
        return {"lesson_loss": loss.item()}

    def check_batch(self, n: int) -> None:
        """Refuse a batch of `n` that cannot be shared out evenly, as `step` would."""
        updates, processes = self.discriminator_steps, parallel.world_size()
        if n % (updates * processes):
            among = f"{updates} updates" if processes == 1 else f"{counted(updates, 'update')} on {processes} processes"
            raise ValueError(f"a batch of {n} cannot be shared out among {among}")

    def _placed(self, x: Tensor) -> Tensor:
        """Move a tensor to the networks' device, as numbers of their weights' type."""
        return x.to(next(self.generator.parameters()))

    def _mixed(self) -> torch.autocast:
        """Where networks compute in the precision asked for."""
        device = next(self.generator.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _asked(self, chunk: Tensor) -> Tensor | None:
        """What all processes' rolls ask, so that all keep the same examples."""
        return self._placed(self.generator.ask(chunk)) if self.is_asked else None  # type: ignore[operator]

    def _shown(self, real: Tensor, asked: Tensor | None) -> Tensor:
        """What the discriminator is shown of this process's real rolls."""
        if not hasattr(self.generator, "see"):
            return real
        return self._placed(self.generator.see(real, None if asked is None else parallel.part(asked)))  # type: ignore[operator]

    def _draw(self, n: int, asked: Tensor | None) -> Tensor:
        """Generate this process's part of `n` rolls that answer what was `asked`."""
        # On the processor, and for all: a seed gives the same noise anywhere.
        z = self._placed(parallel.part(self.generator.latent(n)))  # type: ignore[operator]
        with self._mixed():
            rolls: Tensor = self.generator(z) if asked is None else self.generator(z, parallel.part(asked))
        return self._placed(rolls)

    def _judge(self, rolls: Tensor) -> Tensor:
        """Logits of this process's rolls."""
        with self._mixed():
            logits: Tensor = self.discriminator(rolls)
        return self._placed(logits)

    def _features(self, rolls: Tensor) -> list[Tensor]:
        """The discriminator's features of all processes' rolls."""
        with self._mixed():
            features = self.discriminator.features(rolls)  # type: ignore[operator]
        return [parallel.gather(self._placed(each)) for each in features]

    def _seen(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        return self.augment(real, fake) if self.augment else (real, fake)

    def _update_discriminator(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        self.discriminator.requires_grad_(True)
        if real.shape != fake.shape:
            theirs, ours = (tuple(rolls.shape[1:]) for rolls in (real, fake))
            raise ValueError(f"real rolls are of the shape {theirs}, and the generator makes some of {ours}")
        real, fake = self._seen(real, fake)
        if self.mixes_samples:
            # Each side by its own statistics, as the generator's update has to do.
            real_logits, fake_logits = self._judge(real), self._judge(fake)
        else:
            real_logits, fake_logits = self._judge(torch.cat([real, fake])).chunk(2)
        real_logits, fake_logits = parallel.gather(real_logits), parallel.gather(fake_logits)
        loss = self.loss.discriminator(real_logits, fake_logits)
        row = {
            "discriminator_loss": loss.item(),
            "real_logit": real_logits.mean().item(),
            "fake_logit": fake_logits.mean().item(),
        }
        if self.penalty and self.n_updates % self.penalty_every == 0:
            penalty = self.penalty(self.discriminator, real, fake)
            row["penalty"] = penalty.item()
            loss = loss + self.penalty_weight * self.penalty_every * penalty
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        parallel.average_gradients(self.discriminator)
        self.discriminator_optimizer.step()
        if self.clip:
            clip_weights(self.discriminator, self.clip)
        return row

    def _update_generator(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        # Frozen: the gradient passes through the discriminator, and none is kept for its weights.
        self.discriminator.requires_grad_(False)
        real, fake = self._seen(real, fake)
        with torch.no_grad():
            real_logits = parallel.gather(self._judge(real))
        loss = self.loss.generator(real_logits, parallel.gather(self._judge(fake)))
        row = {"generator_loss": loss.item()}
        if self.matching:
            with torch.no_grad():
                wanted = self._features(real)
            if len(wanted) != len(self.matching):
                raise ValueError(f"matching has {len(self.matching)} weights for {len(wanted)} features")
            for weight, one, other in zip(self.matching, wanted, self._features(fake), strict=True):
                matching = weight * feature_matching(one, other)
                row["matching"] = row.get("matching", 0.0) + matching.item()
                loss = loss + matching
        self.generator_optimizer.zero_grad()
        loss.backward()
        parallel.average_gradients(self.generator)
        self.generator_optimizer.step()
        return row

    @torch.no_grad()
    def _average(self) -> None:
        # Early averages would remember the first, random weights: let the memory grow with the run.
        keep = min(self.ema, (1 + self.n_updates) / (10 + self.n_updates))
        for average, weight in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(weight, 1 - keep)

    @torch.no_grad()
    def _calibrate(self) -> None:
        """Give the averaged generator its buffers: those of the generator, but its own batch statistics, because those
        of the weights it averages do not fit it.
        """
        for average, buffer in zip(self.averaged.buffers(), self.generator.buffers(), strict=True):
            average.copy_(buffer)
        norms = [layer for layer in self.averaged.modules() if isinstance(layer, _BatchNorm)]
        for layer in norms:
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean
        if norms:
            self.averaged.train()
            z = self.averaged.latent(256, generator=torch.Generator().manual_seed(1))  # type: ignore[operator]
            # As in training: a generator that may be asked something is free some of the time.
            asked = [self.averaged.examples.take(len(z))] if self.is_asked else []  # type: ignore[operator, arg-type]
            self.averaged(self._placed(z), *asked)
        self.averaged.eval()

    def sample(self, n: int) -> Tensor:
        """Draw `n` boolean rolls ``(n, plane, track, bar, step, pitch)`` from the averaged generator; the same
        noise each time, so that one hears the weights change and nothing else.
        """
        self._calibrate()
        z = self.averaged.latent(n, generator=torch.Generator().manual_seed(0))  # type: ignore[operator]
        rolls: Tensor = self.averaged.sample(self._placed(z))  # type: ignore[operator]
        return rolls.cpu()

    def state_dict(self) -> dict[str, Tensor]:
        """Weights of the three networks, both optimizers' moments, and the count of updates."""
        self._calibrate()
        state = {"n_updates": torch.tensor(self.n_updates)}
        for name in ("generator", "discriminator", "averaged"):
            state |= {f"{name}.{key}": value for key, value in getattr(self, name).state_dict().items()}
        for name in ("generator_optimizer", "discriminator_optimizer"):
            for index, moments in getattr(self, name).state_dict()["state"].items():
                state |= {f"{name}.{index}.{key}": value for key, value in moments.items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go back to an earlier `state_dict`."""

        def under(name: str) -> dict[str, Tensor]:
            return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}

        self.n_updates = int(state["n_updates"])
        for name in ("generator", "discriminator", "averaged"):
            getattr(self, name).load_state_dict(under(name))
        for name in ("generator_optimizer", "discriminator_optimizer"):
            optimizer = getattr(self, name)
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in under(name).items():
                index, moment = key.split(".", 1)
                moments.setdefault(int(index), {})[moment] = value.clone()
            optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


@dataclass(frozen=True)
class TrainConfig:
    """How long to train, how to repeat it, and what to keep.

    Parameters
    ----------
    steps : int, optional
        Updates in all.
    minutes : float, optional
        Time in all, instead of `steps`; what it gives then depends on the machine.
    batch_size : int
    seed : int
    threads : int
        Torch's threads. One is the fastest on a small machine that has anything else to do.
    constant : float
        Share of the run before the learning rates begin to fall, in a line, to `final_rate` of what they were.
    final_rate : float
    save_every, sample_every, watch_every : int
        Updates between checkpoints, between fixed-noise samples, and between held-out scores.
    n_samples : int
        Clips in a fixed-noise sample.

    Raises
    ------
    ValueError
        Unless exactly one of `steps` and `minutes` is given, and is positive.

    Taught in: notebooks/03-training.ipynb
    """

    steps: int | None = None
    minutes: float | None = None
    batch_size: int = 32
    seed: int = 0
    threads: int = 1
    constant: float = 0.5
    final_rate: float = 0.05
    save_every: int = 250
    sample_every: int = 250
    watch_every: int = 250
    n_samples: int = 4

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes")
        if (self.steps is not None and self.steps < 1) or (self.minutes is not None and not self.minutes > 0):
            raise ValueError("the budget must be at least one step, or more than 0 minutes")
        if min(self.batch_size, self.threads, self.save_every, self.sample_every, self.watch_every) < 1:
            raise ValueError("batch_size, threads and the intervals are at least 1")

    def progress(self, step: int, seconds: float) -> float:
        """Share of the budget that is used, from 0 to 1."""
        if self.steps is not None:
            return min(step / self.steps, 1.0)
        return min(seconds / (60 * (self.minutes or 0)), 1.0)

    def rate(self, progress: float) -> float:
        """Factor of the learning rates at a share of the run."""
        falling = max(progress - self.constant, 0) / (1 - self.constant) if self.constant < 1 else 0.0
        return 1 - falling * (1 - self.final_rate)


@dataclass
class History:
    """What happened in training.

    Parameters
    ----------
    rows : list of dict
        One row an update: ``step``, ``seconds``, losses, logits, and held-out ``score`` where it was watched.
    samples : list of (int, Tensor)
        Steps and the fixed-noise rolls drawn after them.
    best : dict, optional
        ``step`` and ``score`` of the lowest held-out score.

    Taught in: notebooks/03-training.ipynb
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    samples: list[tuple[int, Tensor]] = field(default_factory=list)
    best: dict[str, float] | None = None

    def column(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of one column, where it was measured."""
        rows = [row for row in self.rows if name in row]
        return [row["step"] for row in rows], [row[name] for row in rows]


def fit(
    game: Game,
    batch: Callable[[int], Tensor],
    config: TrainConfig,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    watch: Callable[[Game], float] | None = None,
    on_sample: Callable[[int, Tensor], object] | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> History:
    """Train a game.

    Of several processes that train it together, all return the same rows, and the first alone watches, samples and
    writes. All must see the folder to resume from.

    Parameters
    ----------
    game : Game
    batch : callable
        ``batch(step)`` gives the real rolls of an update, ``(batch, plane, track, bar, step, pitch)``; it depends
        on the step alone.
    config : TrainConfig
    out : path, optional
        The run's folder (see `ganmusic.checkpoint`); without it nothing is written.
    resume : bool
        Go on from the last checkpoint in `out`, if there is one.
    watch : callable
        A held-out score, lower is better; the checkpoint of the best one is kept.
    on_sample : callable
        Called with the step and the fixed-noise rolls each time some are drawn.
    tensorboard : bool
        Log the rows to ``out/tensorboard`` as well (needs the ``tensorboard`` package).
    progress : bool
        Show a bar with rate, losses and time left.

    Raises
    ------
    DivergenceError
        If a loss or a weight is no longer finite.
    CheckpointError
        If the checkpoint to resume from is damaged, or holds no game to go on with.
    FileExistsError
        If `out` holds checkpoints already and `resume` was not asked for.

    Taught in: notebooks/03-training.ipynb
    """
    history = History()
    first = parallel.rank() == 0
    run = None if out is None else Path(out)
    step, before = 0, 0.0
    last = checkpoint.latest(run) if run else None
    if last and not resume:
        raise FileExistsError(f"{run} holds a run already: resume it, or choose another folder")
    if run and last:
        tensors, state = checkpoint.load(last)
        try:
            game.load_state_dict(tensors)
            step, before, history.best = state["step"], state["seconds"], state["best"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise checkpoint.CheckpointError.misfit(last, error) from None
        history.rows = checkpoint.read_log(run)[:step]
    with (
        _threads(config.threads),
        _log(run if first else None, history.rows, tensorboard) as log,
        _bar(config, step, before, progress and first) as bar,
    ):
        begin = time.monotonic() - before
        seconds = before
        while (share := config.progress(step, seconds)) < 1:
            real = batch(step)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed * 1_000_003 + step)
                try:
                    row = game.step(real, config.rate(share))
                except RuntimeError:
                    # Some losses refuse what is not a number before one can look at it.
                    if bad := _not_finite(game.state_dict()):
                        raise DivergenceError(_diverged(step + 1, bad, last)) from None
                    raise
            step += 1
            row = parallel.mean_row({"seconds": time.monotonic() - begin, **row})
            seconds = row["seconds"]
            row = {"step": step, **row, "seconds": round(seconds, 3)}
            done = config.progress(step, seconds) >= 1
            _check(row, step, last)
            if watch and (done or step % config.watch_every == 0):
                row["score"] = parallel.first(float(watch(game)) if first else 0.0)
                _check(row, step, last)
                if history.best is None or row["score"] < history.best["score"]:
                    history.best = {"step": step, "score": row["score"]}
            history.rows.append(row)
            log(row)
            if first and (step == 1 or done or step % config.sample_every == 0):
                history.samples.append((step, game.sample(config.n_samples)))
                if on_sample:
                    on_sample(*history.samples[-1])
            if run and (done or step % config.save_every == 0 or _is_best(history, step)):
                tensors = game.state_dict()
                if bad := _not_finite(tensors):
                    raise DivergenceError(_diverged(step, bad, last))
                best = history.best
                state = {"step": step, "seconds": seconds, "seed": config.seed, "best": best}
                last = checkpoint.numbered(run, step)
                if first:
                    checkpoint.save_numbered(run, step, tensors, state, int(best["step"]) if best else None)
            _show(bar, config, row)
    return history


def _is_best(history: History, step: int) -> bool:
    return history.best is not None and history.best["step"] == step


def _check(row: dict[str, float], step: int, last: Path | None) -> None:
    for name, value in row.items():
        if not math.isfinite(value):
            raise DivergenceError(_diverged(step, name, last))


def _not_finite(tensors: dict[str, Tensor]) -> str | None:
    """Name the first tensor that holds something which is not a number."""
    return next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)


def _diverged(step: int, name: str, last: Path | None) -> str:
    good = f"the last good checkpoint is {last}, and can be played" if last else "no checkpoint was saved before"
    return (
        f"training diverged at step {step}: {name} is not a finite number; {good}. The same settings would diverge "
        "again: a smaller learning rate, a stronger penalty or another seed may not"
    )


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def summary_writer() -> Any:
    """Import TensorBoard's writer, or say what to install."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError("logging for TensorBoard needs it: pip install ganmusic[tensorboard]") from None
    return SummaryWriter


@contextmanager
def _log(
    run: Path | None, rows: list[dict[str, float]], tensorboard: bool
) -> Iterator[Callable[[dict[str, float]], None]]:
    """A function that logs a row. The file is cut back to `rows` first: a resumed run repeats the later ones."""
    if run is None:
        yield lambda _: None
        return
    run.mkdir(parents=True, exist_ok=True)
    with atomic_path(run / "log.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    writer: Any = None
    if tensorboard:
        writer = summary_writer()(str(run / "tensorboard"), purge_step=len(rows) + 1)
    # Line by line, so that the rows before a checkpoint are there whenever the checkpoint is.
    with (run / "log.jsonl").open("a", buffering=1, encoding="utf-8") as file:

        def log(row: dict[str, float]) -> None:
            file.write(json.dumps(row) + "\n")
            for name, value in row.items() if writer else ():
                writer.add_scalar(name, value, row["step"])

        try:
            yield log
        finally:
            if writer:
                writer.close()


def _bar(config: TrainConfig, step: int, seconds: float, progress: bool) -> Any:
    """Begin a bar that goes on from what an earlier run has done."""
    if config.steps is not None:
        return tqdm(total=config.steps, initial=step, unit="update", disable=not progress)
    clock = "{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}"
    total = 60 * (config.minutes or 0)
    return tqdm(total=total, initial=min(seconds, total), bar_format=clock, disable=not progress)


def _show(bar: Any, config: TrainConfig, row: dict[str, float]) -> None:
    bar.update((row["step"] if config.steps is not None else min(row["seconds"], bar.total)) - bar.n)
    if row["step"] % 10 == 0:
        losses = " ".join(f"{name[0].upper()} {row[name]:.2f}" for name in row if name.endswith("_loss"))
        rate = "" if config.steps is not None else f", {row['step'] / row['seconds']:.1f} updates/s"
        bar.set_postfix_str(losses + rate, refresh=False)
