"""What each part of the convolutional pair is worth: ``make ablations``, an hour and a half of one core.

Trains the recipe ``chorales`` with one part left out at a time, as many updates for each, three seeds, and judges what
came of it. Results go to ``book/ablations.json``, where chapter 10 reads them; what stands there is not run again.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from contest import ROOT, Results, against
from scoreboard import rounded
from torch import Tensor

from ganmusic import metrics, recipes
from ganmusic.metrics import distribution
from ganmusic.models import MODELS
from ganmusic.models.convnet import ConvDiscriminator, ConvGenerator
from ganmusic.recipes import RECIPES
from ganmusic.sample import to_roll
from ganmusic.train import AdversarialGame, TrainConfig, fit

#: Updates that take about three minutes of one core.
UPDATES = 970
SEEDS = (0, 1, 2)
N_CLIPS = recipes.N_CLIPS
RESULTS = Results(ROOT / "book" / "ablations.json", {"corpus": "chorales", "updates": UPDATES, "clips": N_CLIPS})
#: Metrics of clips that are kept, beside the statistics of the whole set.
KEPT = (
    *("step_rate", "leap_rate", "notes_per_bar", "triads_on_beats", "consonant_pairs", "scale_consistency"),
    *("qualified_notes", "groove_similarity", "parallel_fifths", "parallel_octaves"),
)


class DeafDiscriminator(ConvDiscriminator):
    """Is shown the voices, and not how they relate."""

    def hear(self, sounding: Tensor, onset: Tensor) -> Tensor:
        """The same, the relations silent."""
        heard = super().hear(sounding, onset)
        n_shown = sounding.shape[1] * (sounding.shape[3] + 1)
        return torch.cat([heard[:, :n_shown], torch.zeros_like(heard[:, n_shown:])], 1)


class SingleJudge(ConvDiscriminator):
    """Judges the clip as a whole alone."""

    def forward(self, rolls: Tensor) -> Tensor:
        """Logits ``(batch, 1, beat)``."""
        return super().forward(rolls)[:, :1]


class PlanlessGenerator(ConvGenerator):
    """Has no plan for each beat: all pitches are as welcome."""

    def welcome(self, plan: Tensor) -> Tensor:
        """Zeros of the right shape."""
        return 0 * super().welcome(plan)


#: What is left out: networks in place of those of the recipe, and settings of the game.
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "relations between voices": ({"discriminator": DeafDiscriminator}, {}),
    "judges of bars and beats": ({"discriminator": SingleJudge}, {}),
    "hidden voices": ({}, {"augment": None}),
    "pairs in the loss": ({}, {"loss": "non_saturating"}),
    "R1 and R2": ({}, {"penalty": None}),
    "the plan of each beat": ({"generator": PlanlessGenerator}, {}),
    "the average of weights": ({}, {"ema": 0.0}),
}


def build(part: str, seed: int) -> AdversarialGame:
    """The recipe's game without a part."""
    networks, settings = PARTS[part]
    generator, discriminator = MODELS["convnet"]
    MODELS["convnet"] = (networks.get("generator", generator), networks.get("discriminator", discriminator))
    try:
        return recipes.game(replace(RECIPES["chorales"], game={**RECIPES["chorales"].game, **settings}), seed)
    finally:
        MODELS["convnet"] = (generator, discriminator)


def train(task: tuple[str, int]) -> None:
    """Train without a part, judge, and keep the numbers."""
    part, seed = task
    torch.set_num_threads(1)
    game = build(part, seed)
    recipe = RECIPES["chorales"]
    config = TrainConfig(steps=UPDATES, seed=seed, **recipe.config)
    batch = recipes.batches(recipe, config)
    begin = time.process_time()
    fit(game, batch, config, progress=False)
    cost = time.process_time() - begin
    real = against()
    roll = to_roll(game.sample(N_CLIPS))
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
    print(f"without {part}, seed {seed}: distance {values['frechet_distance']}, {cost:.0f} s", flush=True)


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
