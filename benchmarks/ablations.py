"""What each part of the choir is worth: ``make ablations``, two hours of one core.

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
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from contest import ROOT, Results, against
from scoreboard import rounded
from torch import Tensor

from ganmusic import metrics, recipes
from ganmusic.metrics import distribution
from ganmusic.models import MODELS, choir
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


class SingleJudge(choir.ChoirDiscriminator):
    """Judges the clip as a whole alone."""

    def forward(self, shown: Tensor) -> Tensor:
        """Logits ``(batch, 1, beat)``."""
        return super().forward(shown)[:, :1]


def silent(function: str) -> Any:
    """Replace a function of the choir's by zeros of what it returns."""
    original = getattr(choir, function)
    return patch.object(choir, function, lambda *arguments: torch.zeros_like(original(*arguments)))


#: What is left out or changed: settings of the game, of the generator, and what is patched while it is played.
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "nothing": ({}, {}, None),
    "a lower price of codes": ({}, {"kl": 0.05}, None),
    "a higher price of codes": ({}, {"kl": 1.0}, None),
    "music moved in lessons": ({}, {}, lambda: patch.object(choir, "MOVED", 0)),
    "the plan of each beat": ({}, {}, lambda: silent("welcome")),
    "parallels shown": ({}, {}, lambda: silent("parallels")),
    "judges of bars and beats": ({}, {}, lambda: patch.dict(MODELS, choir=(choir.ChoirGenerator, SingleJudge))),
    "blurred codes": ({"augment": None}, {}, None),
    "pairs in the loss": ({"loss": "non_saturating"}, {}, None),
    "R1 and R2": ({"penalty": None}, {}, None),
    "the average of weights": ({"ema": 0.0}, {}, None),
    "questions": ({}, {}, lambda: patch.object(choir, "LEFT_OUT", 1.0)),
}


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
    recipe = RECIPES["choir"]
    config = TrainConfig(steps=UPDATES, seed=seed, **recipe.config)
    batch = recipes.batches(recipe, config)
    with without(part, seed) as game:
        begin = time.process_time()
        fit(game, batch, config, progress=False)
        cost = time.process_time() - begin
        roll = to_roll(game.sample(N_CLIPS))
    real = against()
    features = real.space(roll)
    rows = np.sort(np.random.default_rng(seed).permutation(len(real.held_out))[:N_CLIPS])
    held_out = real.space(real.held_out.select(rows).roll)
    neighbours = distribution.precision_recall_density_coverage(held_out, features)
    clips = metrics.evaluate(roll, real.held_out.grid)
    found = {
        "frechet_distance": distribution.frechet_distance(features, held_out),
        "density": neighbours.density,
        "coverage": neighbours.coverage,
        "vendi_score": distribution.vendi_score(features),
        "auc_features": distribution.classifier_auc(features, held_out),
        **{name: float(np.nanmean(clips[name])) for name in KEPT},
    }
    values = {name: rounded(value) for name, value in found.items()}
    RESULTS.add("runs", f"{part}, seed {seed}", {"part": part, "seed": seed, "seconds": round(cost), "values": values})
    print(f"{part}, seed {seed}: distance {values['frechet_distance']}, {cost:.0f} s", flush=True)


def main() -> None:
    """Do what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    jobs = max(1, parser.parse_args().jobs)
    done = RESULTS.read()["runs"]
    tasks = [(part, seed) for seed in SEEDS for part in PARTS if f"{part}, seed {seed}" not in done]
    with get_context("spawn").Pool(jobs) as pool:
        pool.map(train, tasks, chunksize=1)
    print(f"{RESULTS.path.relative_to(ROOT)} has {len(RESULTS.read()['runs'])} runs")


if __name__ == "__main__":
    main()
