"""What each part of the choir is worth: ``make ablations``, two and a half hours of one core.

Trains the recipe ``choir`` with one part left out or changed at a time, as many updates for each, three seeds, and
judges what came of it. Results go to ``book/ablations.json``; what stands there is not run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing import get_context
from statistics import fmean
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from contest import ROOT, Results, against
from scoreboard import rounded, some
from torch import Tensor

from ganmusic import metrics, recipes
from ganmusic.metrics import distribution
from ganmusic.models import MODELS, choir
from ganmusic.models.choir import CONTROLS, heard
from ganmusic.pianoroll import Roll
from ganmusic.recipes import RECIPES
from ganmusic.sample import to_roll
from ganmusic.train import AdversarialGame, TrainConfig, fit

#: Updates, of which the first are lessons as well: about three minutes of one core.
UPDATES, LESSONS = 4000, 2000
SEEDS = (0, 1, 2)
N_CLIPS = recipes.N_CLIPS
RESULTS = Results(ROOT / "book" / "ablations.json", {"corpus": "chorales", "updates": UPDATES, "clips": N_CLIPS})
#: Metrics of clips that are kept, beside the statistics of the whole set.
KEPT = (
    *("step_rate", "leap_rate", "notes_per_bar", "triads_on_beats", "consonant_pairs", "scale_consistency"),
    *("qualified_notes", "groove_similarity", "parallel_fifths", "parallel_octaves"),
)
#: Of these, and of the statistics, what the table shows beside the distance.
SHOWN = (
    *("density", "coverage", "vendi_score", "auc_features", "parallel_fifths"),
    *("heeds_mode", "heeds_density", "heeds_register", "right_pitches"),
)
#: Semitones by which music is moved at most, up or down.
MOVED = 5
#: How many clips are asked for little and for much, and for which quantiles of real clips.
N_ASKED, ASKED = 100, (0.1, 0.9)


class SingleJudge(choir.ChoirDiscriminator):
    """Judges the clip as a whole alone."""

    def forward(self, shown: Tensor) -> Tensor:
        """Logits ``(batch, 1, beat)``."""
        return super().forward(shown)[:, :1]


def silent(function: str) -> Any:
    """Replace a function of the choir's by zeros of what it returns."""
    original = getattr(choir, function)
    return patch.object(choir, function, lambda *arguments: torch.zeros_like(original(*arguments)))


def deaf() -> Any:
    """Let no voice hear what was sung before its beat: no parallels into it are shown then, and no move is liked."""
    scores = choir.BeatDecoder.scores

    def without_before(self: choir.BeatDecoder, told: Tensor, near: Tensor, before: Tensor, above: Tensor) -> Any:
        liked, likes, parallel, hold = scores(self, told, near, torch.zeros_like(before), above)
        likes, parallel = (torch.cat([torch.zeros_like(x[:, :, :1]), x[:, :, 1:]], 2) for x in (likes, parallel))
        return liked, likes, parallel, hold

    return patch.object(choir.BeatDecoder, "scores", without_before)


def free() -> Any:
    """Ask for nothing where nobody does."""
    return patch.object(choir.ChoirGenerator, "wishes", lambda *_: None)


def unasked() -> Any:
    """Ask for nothing, neither in training nor afterwards."""
    both = ExitStack()
    both.enter_context(patch.object(choir, "LEFT_OUT", 1.0))
    both.enter_context(free())
    return both


def moved(real: Tensor) -> Tensor:
    """Real rolls, each moved by up to `MOVED` semitones that leave all of its notes within the grid."""
    pitches = real.flatten(1, 4).any(1).to(real.dtype)  # (batch, pitch)
    below, above = (ends.argmax(1).clamp(max=MOVED) for ends in (pitches, pitches.flip(1)))
    shift = (torch.rand(len(real)) * (below + above + 1)).long() - below
    source = (torch.arange(real.shape[-1]) - shift.unsqueeze(1)) % real.shape[-1]
    return real.gather(-1, source[:, None, None, None, None].expand_as(real))


def in_other_keys() -> Any:
    """Let the autoencoder hear its lessons in other keys than the one that the game is played in."""
    learn = choir.ChoirGenerator.learn
    return patch.object(choir.ChoirGenerator, "learn", lambda self, real: learn(self, moved(real)))


#: What is left out or changed: settings of the game, of the generator, and what is patched while it is played.
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "nothing": ({}, {}, None),
    "a lower price of codes": ({}, {"kl": 0.05}, None),
    "a higher price of codes": ({}, {"kl": 1.0}, None),
    "lessons in one key": ({}, {}, in_other_keys),
    "the voices' lines": ({}, {}, lambda: silent("near_line")),
    "the step before each beat": ({}, {}, deaf),
    "beats that forget": ({}, {}, lambda: patch.object(choir, "FORGET", 0.0)),
    "a liking for moves": ({}, {}, lambda: silent("by_move")),
    "parallels shown": ({}, {}, lambda: silent("parallels")),
    "judges of bars and beats": ({}, {}, lambda: patch.dict(MODELS, choir=(choir.ChoirGenerator, SingleJudge))),
    "blurred codes": ({"augment": None}, {}, None),
    "pairs in the loss": ({"loss": "non_saturating"}, {}, None),
    "R1 and R2": ({"penalty": None}, {}, None),
    "the average of weights": ({"ema": 0.0}, {}, None),
    "questions": ({}, {}, unasked),
}
#: What all of them are compared with: nothing is trained, the clips are those that the others learn from.
BACH = "Bach, as learned from"
#: Not left out in training, but when it is heard.
WISHES = "wishes where nobody has any"


@contextmanager
def without(part: str, seed: int) -> Iterator[AdversarialGame]:
    """The recipe's game without a part."""
    settings, sizes, patched = PARTS[part]
    recipe = RECIPES["choir"]
    with ExitStack() as stack:
        if patched:
            stack.enter_context(patched())
        options = {**recipe.game, "lessons": LESSONS, **settings}
        yield recipes.game(replace(recipe, game=options, generator={**recipe.generator, **sizes}), seed)


def train(task: tuple[str, int]) -> None:
    """Train without a part, judge, and keep the numbers."""
    part, seed = task
    torch.set_num_threads(1)
    begin = time.process_time()
    made = {BACH: (some(against().training, seed).roll, {})} if part == BACH else trained(part, seed)
    cost = round(time.process_time() - begin)
    for name, (roll, heeded) in made.items():
        values = {key: rounded(value) for key, value in {**judged(roll, seed), **heeded}.items()}
        RESULTS.add("runs", f"{name}, seed {seed}", {"part": name, "seed": seed, "seconds": cost, "values": values})
        print(f"{name}, seed {seed}: distance {values['frechet_distance']}, {cost} s", flush=True)


def trained(part: str, seed: int) -> dict[str, tuple[Roll, dict[str, float]]]:
    """What the choir makes if it is trained without a part, how it heeds what it is asked, and how well it writes.

    The whole choir is also heard without wishes, for which it is trained no other way.
    """
    recipe = RECIPES["choir"]
    config = TrainConfig(steps=UPDATES, seed=seed, **recipe.config)
    batch = recipes.batches(recipe, config)
    with without(part, seed) as game:
        fit(game, batch, config, progress=False)
        made = {part: (to_roll(game.sample(N_CLIPS)), {**heeds(game.averaged), **writes(game.averaged)})}
        if part == "nothing":
            with free():
                made[WISHES] = to_roll(game.sample(N_CLIPS)), made[part][1]
    return made


@torch.no_grad()
def heeds(network: Any) -> dict[str, float]:
    """Of the difference between minor and major, few notes and many, low ones and high, how much is heard if asked."""
    z = network.latent(N_ASKED, generator=torch.Generator().manual_seed(0))
    found = {}
    for column, name in enumerate(CONTROLS):
        few_many = network.usual[:, column].quantile(torch.tensor(ASKED)).tolist()
        wishes = ("minor", "major") if name == "mode" else few_many
        rows = [network.asking(N_ASKED, **{name: wish}) for wish in wishes]
        low, high = (heard(network.sample(z, asked).float())[:, column].mean() for asked in rows)
        found[f"heeds_{name}"] = float((high - low) / (rows[1] - rows[0])[0, column])
    return found


@torch.no_grad()
def writes(network: Any) -> dict[str, float]:
    """Share of the steps of unseen music that have the right pitch after a way through the codes."""
    data = recipes.held_out("chorales", "test", 4).roll
    rolls = torch.from_numpy(np.stack(data, 1)).float().flatten(3, 4)
    codes, _ = network.encoder(*rolls.unbind(1))
    again = network.decoder.sing(codes)
    return {"right_pitches": (rolls[:, 0] == again[:, 0]).all(-1).float().mean().item()}


def judged(roll: Roll, seed: int) -> dict[str, float]:
    """Compare clips with as many held-out ones, and measure them by themselves."""
    real = against()
    features = real.space(roll)
    held_out = real.space(some(real.held_out, seed).roll)
    neighbours = distribution.precision_recall_density_coverage(held_out, features)
    clips = metrics.evaluate(roll, real.held_out.grid)
    return {
        "frechet_distance": distribution.frechet_distance(features, held_out),
        "density": neighbours.density,
        "coverage": neighbours.coverage,
        "vendi_score": distribution.vendi_score(features),
        "auc_features": distribution.classifier_auc(features, held_out),
        **{name: float(np.nanmean(clips[name])) for name in KEPT},
    }


def table(found: dict[str, Any]) -> str:
    """What was measured, as the rows of a table in Markdown: means over seeds, distances with smallest and largest.

    An arrow says that a number lies above, or below, that of the whole choir in every seed.
    """
    values: dict[str, dict[int, dict[str, float]]] = {}
    for run in found["runs"].values():
        values.setdefault(run["part"], {})[run["seed"]] = run["values"]
    rows = []
    for part in (BACH, *PARTS, WISHES):
        if runs := values.get(part):
            cells = [part]
            for name in ("frechet_distance", *SHOWN):
                each = {seed: run[name] for seed, run in runs.items() if name in run}
                whole = {seed: run[name] for seed, run in values["nothing"].items()}
                if not each:
                    cells.append("–")
                elif name == "frechet_distance":
                    ends = f"({min(each.values()):.0f} to {max(each.values()):.0f})"
                    cells.append(f"{fmean(each.values()):.0f}{arrow(each, whole)} {ends}")
                else:
                    cells.append(f"{fmean(each.values()):.2f}{arrow(each, whole)}")
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def arrow(values: dict[int, float], others: dict[int, float]) -> str:
    """Up or down, where all seeds' values lie on that side of the others; nothing for a single seed."""
    signs = {np.sign(value - others[seed]) for seed, value in values.items()} if len(values) > 1 else set()
    return {1.0: "↑", -1.0: "↓"}.get(signs.pop(), "") if len(signs) == 1 else ""


def main() -> None:
    """Do what is missing, and show all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    jobs = max(1, parser.parse_args().jobs)
    done = RESULTS.read()["runs"]
    tasks = [(part, seed) for seed in SEEDS for part in (BACH, *PARTS) if f"{part}, seed {seed}" not in done]
    with get_context("spawn").Pool(jobs) as pool:
        for _ in pool.imap_unordered(train, tasks):  # stops at the first error
            pass
    print(table(RESULTS.read()))


if __name__ == "__main__":
    main()
