"""Make the weights that come with the package of a run: ``python scripts/ship_weights.py RUN``.

Kept is the averaged generator of the best checkpoint, in half precision; the discriminator and the optimizers'
memory stay behind. Beside it a model card is written, ``README.md``, with what the network gives as measured
here: each number of `ganmusic.evaluation` over three sampling seeds, beside held-out chorales and a control.
``python scripts/ship_weights.py`` without a run measures the weights that are there, and writes their card again.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch

from ganmusic import checkpoint
from ganmusic.evaluation import clips_of_run, evaluate, reference
from ganmusic.metrics.controls import shuffle_beats
from ganmusic.metrics.distribution import FeatureSpace, frechet_distance
from ganmusic.recipes import RECIPES, clips, held_out
from ganmusic.sample import load_generator

TARGET = Path(__file__).resolve().parent.parent / "ganmusic" / "weights"
SEEDS = (1, 2, 3)

CARD = """# Weights: {recipe}

A generator of four voices (soprano, alto, tenor, bass) in 4/4, after Bach's chorales, in C major or A minor. It comes
with the package and is what `ganmusic compose` uses when no run is named.

- **Network**: `ganmusic.models.convnet.ConvGenerator`, {parameters:,} parameters, stored in half precision.
- **Data**: {clips:,} four-bar windows of the training split of the chorales (`ganmusic.corpora`), in a common key.
- **Training**: recipe `{recipe}`, seed {seed}, update {step:,} of {steps:,} (the best by the distance to validation
  music); {minutes:.0f} minutes until then, on one core of a shared two-core x86 machine. To repeat it:
  `ganmusic train --recipe {recipe} --out RUN --steps {steps} --seed {seed}`.
- **Licence**: MIT. The chorales are in the public domain.

## What it gives

Means over {n} clips of four bars, averaged over {n_seeds} sampling seeds, by `ganmusic evaluate`. Held-out Bach is the
validation and the test split, on neither of which the network was trained. The band is that of single held-out clips,
and for what is said of whole sets that of halves of held-out Bach. The control is music spoilt on purpose, in the way
that the number is there to hear.

| number | this network | held-out Bach | band | control | in the band |
|---|---|---|---|---|---|
{rows}

The number that training watched, over the test split alone and with fewer pieces on the other side:

| | this network | held-out Bach | beats shuffled |
|---|---|---|---|
| Fréchet distance to validation Bach | {distance:.1f} | {own:.1f} | {null:.1f} |

## Is it new?

{verdict}

## Limits

It knows one style and one metre. Chords and voices are plausible over a few bars; nothing plans the whole, phrases do
not end where a hymn's lines would, and there are parallels that a student would be told off for. It writes no
words, dynamics or tempo.
"""


def main(run: str | None = None) -> None:
    """Write the weights, if there are new ones, and the card."""
    if run is not None:
        ship(run)
    composer = load_generator()
    name, target = composer.card["recipe"], TARGET / composer.card["recipe"]
    state = json.loads((checkpoint.latest(target) / "state.json").read_text(encoding="utf-8"))
    config = checkpoint.read_config(target)
    recipe = RECIPES[name]
    train = clips(recipe.corpus, "train", recipe.n_bars)
    valid, test = (held_out(recipe.corpus, split, recipe.n_bars) for split in ("valid", "test"))
    space = FeatureSpace(train.roll, train.grid)
    near = space(valid.roll)
    generated = [clips_of_run(composer, seed=seed) for seed in SEEDS]
    against = reference(recipe.corpus, recipe.n_bars)
    reports = [evaluate(each, against) for each in generated]
    rows = []
    for row in reports[0].rows:
        found = [report[row.name] for report in reports]
        if row.real is None or row.value is None:
            continue
        mean = np.mean([each.value for each in found])
        passed = sum(bool(each.passed) for each in found)
        rows.append(
            f"| {row.title} | {mean:.3f} | {row.real:.3f} | {row.low:.3f} to {row.high:.3f} "
            f"| {row.null:.3f} ({row.control.replace('_', ' ')}) | {passed} of {len(found)} |"
        )
    conditions = zip(*(report.verdict.conditions for report in reports), strict=True)
    verdict = []
    for each in conditions:
        held = f"{sum(bool(one.holds) for one in each)} of {len(each)} seeds"
        verdict.append(f"- {each[0].name}: {held} (seed {SEEDS[0]}: {each[0].numbers})")
    card = CARD.format(
        recipe=name,
        parameters=sum(weight.numel() for weight in composer.generator.parameters()),
        clips=config["data"]["clips"],
        seed=state["seed"],
        step=state["step"],
        steps=config["train"]["steps"] or state["step"],
        minutes=state["seconds"] / 60,
        n=len(generated[0]),
        n_seeds=len(SEEDS),
        rows="\n".join(rows),
        verdict="\n".join(verdict),
        distance=np.mean([frechet_distance(space(each.roll), near) for each in generated]),
        own=frechet_distance(space(test.roll), near),
        null=frechet_distance(space(shuffle_beats(test.roll, test.grid)), near),
    )
    (target / "README.md").write_text(card, encoding="utf-8")
    print(card)


def ship(run: str) -> None:
    """Keep the averaged generator of a run's best checkpoint, in half precision."""
    composer = load_generator(run)
    name, step = composer.card["recipe"], composer.card["step"]
    tensors, state = checkpoint.load(checkpoint.numbered(run, step))
    target = TARGET / name
    shutil.rmtree(target, ignore_errors=True)
    config = {key: value for key, value in checkpoint.read_config(run).items() if key != "format"}
    checkpoint.write_config(target, config)
    kept = {
        key: tensor.half() if tensor.is_floating_point() else tensor
        for key, tensor in tensors.items()
        if key.startswith("averaged.")
    }
    state = {key: state[key] for key in ("step", "seconds", "seed", "best")}
    checkpoint.save(checkpoint.numbered(target, step), kept, state)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
