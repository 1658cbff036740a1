"""Make the weights that come with the package of a run: ``python scripts/ship_weights.py RUN``.

Kept is the averaged generator of the best checkpoint, in half precision; the discriminator and the optimizers'
memory stay behind. Beside it a model card is written, ``README.md``, with what the network gives as measured
here: each number of the evaluation suite over three sampling seeds, beside held-out chorales and a control.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import torch

from ganmusic import checkpoint, metrics
from ganmusic.metrics.controls import shuffle_beats
from ganmusic.metrics.distribution import FeatureSpace, frechet_distance
from ganmusic.recipes import N_CLIPS, RECIPES, clips, held_out
from ganmusic.sample import load_generator, sample_rolls

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

Means over {n} clips of four bars, averaged over {n_seeds} sampling seeds; held-out Bach is the test split, which
took no part in training or in choosing the checkpoint. The last two columns say where a single held-out clip lies.

| metric | this network | held-out Bach | beats shuffled | Bach's 5 % | Bach's 95 % |
|---|---|---|---|---|---|
{rows}
| Fréchet distance to validation Bach | {distance:.1f} | {own:.1f} | {null:.1f} | | |

## Limits

It knows one style and one metre. Chords and voices are plausible over a few bars; nothing plans the whole, phrases do
not end where a hymn's lines would, and there are parallels that a student would be told off for. It writes no
words, dynamics or tempo. Nothing was done yet to measure how much it copies.
"""


def main(run: str) -> None:
    """Write the weights and the card."""
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

    composer = load_generator(target)
    recipe = RECIPES[name]
    train = clips(recipe.corpus, "train", recipe.n_bars)
    valid, test = (held_out(recipe.corpus, split, recipe.n_bars) for split in ("valid", "test"))
    space = FeatureSpace(train.roll, train.grid)
    reference = space(valid.roll)
    generated = [sample_rolls(composer, N_CLIPS, seed) for seed in SEEDS]
    ours = [metrics.evaluate(roll, composer.grid) for roll in generated]
    bach = metrics.evaluate(test.roll, test.grid)
    shuffled = shuffle_beats(test.roll, test.grid)
    null = metrics.evaluate(shuffled, test.grid)
    rows = [
        f"| {metric.replace('_', ' ')} | {np.mean([np.nanmean(values[metric]) for values in ours]):.3f} "
        f"| {np.nanmean(bach[metric]):.3f} | {np.nanmean(null[metric]):.3f} "
        f"| {np.nanpercentile(bach[metric], 5):.3f} | {np.nanpercentile(bach[metric], 95):.3f} |"
        for metric in bach
    ]
    card = CARD.format(
        recipe=name,
        parameters=sum(weight.numel() for weight in composer.generator.parameters()),
        clips=config["data"]["clips"],
        seed=state["seed"],
        step=step,
        steps=config["train"]["steps"] or step,
        minutes=state["seconds"] / 60,
        n=N_CLIPS,
        n_seeds=len(SEEDS),
        rows="\n".join(rows),
        distance=np.mean([frechet_distance(space(roll), reference) for roll in generated]),
        own=frechet_distance(space(test.roll), reference),
        null=frechet_distance(space(shuffled), reference),
    )
    (target / "README.md").write_text(card, encoding="utf-8")
    print(card)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
