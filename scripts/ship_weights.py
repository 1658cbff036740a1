"""Make the weights that come with the package of a run: ``python scripts/ship_weights.py NAME RUN``.

NAME is one of `ABOUT`, the recipe of the run. Kept is the averaged generator of the best checkpoint, in half precision;
the discriminator and the optimizers' memory stay behind. Beside it a model card is written, ``README.md``, with what
the network gives as measured here: each number of `ganmusic.evaluation` over three sampling seeds, beside held-out
music and a control. ``python scripts/ship_weights.py NAME`` without a run measures the weights that are there, and
writes their card again.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import contest  # found in its own folder

from ganmusic import checkpoint
from ganmusic.evaluation import N_CLIPS, Clips, clips_of_run, evaluate, reference
from ganmusic.metrics.controls import shuffle_beats
from ganmusic.metrics.distribution import FeatureSpace, frechet_distance
from ganmusic.pianoroll import Roll
from ganmusic.recipes import RECIPES, clips, held_out
from ganmusic.sample import Composer, load_generator, to_roll

TARGET = Path(__file__).resolve().parent.parent / "ganmusic" / "weights"
SEEDS = (1, 2, 3)
#: Bars of the clips that are judged.
N_BARS = 4


def all_tracks(composer: Composer, seed: int) -> Clips:
    """Clips of all that a network makes."""
    return clips_of_run(composer, N_BARS, seed)


def melodies(composer: Composer, seed: int) -> Clips:
    """Clips of the first track alone: the others are what the network was given."""
    clips = clips_of_run(composer, N_BARS, seed)
    first = (slice(None), slice(0, 1))
    return Clips(Roll(clips.roll.sounding[first], clips.roll.onset[first]), clips.grid, tracks=clips.tracks[:1])


def accompanied(composer: Composer, seed: int) -> Clips:
    """Clips of the test split, of which the given track is kept and the others are the network's."""
    test = held_out("chorales", "test", N_BARS)
    real = torch.from_numpy(np.stack(test.roll, 1)[:N_CLIPS]).float()
    generator: Any = composer.generator
    noise = generator.latent(len(real), generator=torch.Generator().manual_seed(seed))
    return Clips(to_roll(generator.sample(noise, generator.ask(real))), composer.grid, tracks=composer.names)


@dataclass(frozen=True)
class About:
    """What a model card says of weights in words, and how they are judged.

    Parameters
    ----------
    intro, limits : str
        What it is, and what it is not good at.
    licence : str
    real : str
        The held-out music in a word or two.
    against : str
        The corpus whose held-out clips it is compared with.
    clips : callable
        ``clips(composer, seed)`` draws what is compared.
    """

    intro: str
    limits: str
    licence: str
    real: str
    against: str
    clips: Callable[[Composer, int], Clips] = all_tracks


ABOUT = {
    "chorales": About(
        intro="A generator of four voices (soprano, alto, tenor, bass) in 4/4, after Bach's chorales, in C major or A "
        "minor, by the convolutional pair of chapter 3, which chapters 3 to 5 of the book listen to: `ganmusic compose "
        "chorale.mid --run chorales`.",
        limits="It knows one style and one metre. Chords and voices are plausible over a few bars; nothing plans the "
        "whole, phrases do not end where a hymn's lines would, and there are parallels that a student would be told "
        "off for. It writes no words, dynamics or tempo.",
        licence="The chorales are in the public domain.",
        real="held-out Bach",
        against="chorales",
    ),
    "choir": About(
        intro="A generator of four voices (soprano, alto, tenor, bass) in 4/4, after Bach's chorales, that can be told "
        "a mode, a density in notes a bar, a mean pitch, and a bar to go on from: `ganmusic compose more.mid --after "
        "begun.mid --density 14`. It sings to a given melody, too: `ganmusic compose four.mid --melody tune.mid`. It "
        "is what `ganmusic compose` uses when no run is named. Each clip that is judged below was told a mode, a "
        "density and a mean pitch that training clips have, as is every one of which nobody wishes anything.",
        limits="It comes near to what it is told and promises nothing; chapter 10 of the book shows how near. Of a "
        "piece that it goes on from it hears the last bar alone. It knows one style and one metre, and prefers what is "
        "common in them. Nothing plans the whole: phrases do not end where a hymn's lines would, and no line returns. "
        "It writes no words, dynamics or tempo. With the weights come the densities, heights and modes of 256 training "
        "clips, which say what can be asked for and what is asked where nobody does, and a bar of each, which is not "
        "heard. The autoencoder knows the beats that it learned from nearly by heart.",
        licence="The chorales are in the public domain.",
        real="held-out Bach",
        against="chorales",
    ),
    "midinet": About(
        intro="A generator of fiddle tunes in 4/4, bar by bar over chords that it is given, after tunes printed in "
        "1883 and 1903. It comes with the package: `ganmusic compose song.mid --chords \"C | Am | F | G7\"`. What is "
        "judged below is the melody alone, over chords of training clips.",
        limits="It knows one style and one metre, and a chord a bar, major or minor. Each bar follows from the one "
        "before and from nothing else: there are no phrases, no repeats and no plan. Note by note it is like a tune; "
        "by the Frechet distance it is about as far from real tunes as these are with their beats shuffled, and it "
        "covers half of the variety that they have. Of a melody alone triads, tonal distance, chord entropy, chord "
        "coverage and the consonance of melody and chord say nothing: even the control has what real tunes have. The "
        "chords that it learned from were worked out from the melodies by rule, so it knows what fits a chord and "
        "not what a musician would choose. With the weights come the first bars and the chords of 256 training "
        "clips, to begin from; the bars are not heard.",
        licence="The tunes are in the public domain.",
        real="held-out tunes",
        against="tunes",
        clips=melodies,
    ),
    "musegan_accompanist": About(
        intro="The hybrid of MuseGAN with the soprano given: alto, tenor and bass in 4/4, after Bach's chorales, "
        "that go with a melody. It comes with the package for chapter 8 of the book: `ganmusic compose four.mid "
        "--melody tune.mid --run musegan_accompanist`. What is judged below are its lower voices together with "
        "sopranos of the test split, which it never heard and which are Bach's own: they bring every number nearer "
        "to his.",
        limits="It hears four bars of the melody at a time and knows one style and one metre. Its chords fit the "
        "melody nearly as often as Bach's; its lines are broken, because each step is chosen anew, and move in "
        "parallels. The choir of chapter 10 sings to melodies, too, in whole lines and with fewer parallels. With the "
        "weights come the sopranos of 64 training clips, which it accompanies where no melody is given.",
        licence="The chorales are in the public domain.",
        real="held-out Bach",
        against="chorales",
        clips=accompanied,
    ),
    "musegan_hybrid": About(
        intro="The hybrid of MuseGAN on four voices (soprano, alto, tenor, bass) in 4/4, after Bach's chorales, in C "
        "major or A minor: a generator for each voice, with noise that all share and noise of its own. It comes with "
        "the package for chapter 8 of the book, which swaps its noise one vector at a time: "
        "`ganmusic.sample.load_generator(\"musegan_hybrid\")`.",
        limits="It makes clips of four bars and of no other length, and it is here to be studied: the weights called "
        "`chorales` make better music. Its notes are too short, because each step is chosen anew.",
        licence="The chorales are in the public domain.",
        real="held-out Bach",
        against="chorales",
    ),
}

CARD = """# Weights: {name}

{intro}

- **Network**: `{network}`, {parameters:,} parameters, stored in half precision.
- **Data**: {clips:,} windows of {n_trained} bars of the training split of the corpus `{corpus}`, in a common key.
- **Training**: recipe `{name}`, seed {seed}, update {step:,} of {steps:,} (the best by the distance to validation
  music); {minutes:.0f} minutes of one core until then, on {machine} two-core x86 machine. To repeat it:
  `ganmusic train --recipe {name} --out RUN --steps {steps} --seed {seed}`.
- **Licence**: MIT. {licence}

## What it gives

Means over {n} clips of {n_bars} bars, averaged over {n_seeds} sampling seeds, by `ganmusic.evaluation`. {Real} are the
validation and the test split of `{against}`, on neither of which the network was trained. The band is that of single
held-out clips, and for what is said of whole sets that of halves of the held-out music; a mean of single clips passes
outside of it, too, where it cannot be told from that of held-out music. The control is music spoilt on purpose, in the
way that the number is there to hear.

| number | this network | {real} | band | control | in the band |
|---|---|---|---|---|---|
{rows}

The distance to the validation split, over the test split alone and with fewer pieces on the other side:

| | this network | {real} | beats shuffled |
|---|---|---|---|
| Fréchet distance to validation {kind} | {distance:.1f} | {own:.1f} | {null:.1f} |

## Is it new?

{verdict}

## Limits

{limits}
"""


def main(name: str = "", run: str | None = None) -> None:
    """Write the weights, if there are new ones, and the card."""
    if name not in ABOUT:
        sys.exit(f"give one of {', '.join(ABOUT)}, and a run of that recipe if there are new weights")
    about, target = ABOUT[name], TARGET / name
    if run is not None:
        ship(name, run)
    composer = load_generator(target)
    state = json.loads((checkpoint.latest(target) / "state.json").read_text(encoding="utf-8"))
    config = checkpoint.read_config(target)
    recipe = RECIPES[name]
    train = clips(about.against, "train", N_BARS)
    valid, test = (held_out(about.against, split, N_BARS) for split in ("valid", "test"))
    space = FeatureSpace(train.roll, train.grid)
    near = space(valid.roll)
    generated = [about.clips(composer, seed) for seed in SEEDS]
    against = reference(about.against, N_BARS)
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
    minutes, machine = state["seconds"] / 60, "a shared"
    if costs := contest.RESULTS.read()["costs"].get(name):
        minutes, machine = contest.Clock(*costs, recipe.game.get("lessons", 0)).minutes(state["step"]), "a quiet"
    network = type(composer.generator)
    card = CARD.format(
        name=name,
        intro=fill(about.intro, 118),
        limits=fill(about.limits, 118),
        licence=about.licence,
        network=f"{network.__module__}.{network.__qualname__}",
        corpus=recipe.corpus,
        against=about.against,
        real=about.real,
        Real=about.real[0].upper() + about.real[1:],
        kind=about.real.removeprefix("held-out "),
        n_trained=recipe.n_bars,
        n_bars=N_BARS,
        parameters=sum(weight.numel() for weight in composer.generator.parameters()),
        clips=config["data"]["clips"],
        seed=state["seed"],
        step=state["step"],
        steps=config["train"]["steps"] or state["step"],
        minutes=minutes,
        machine=machine,
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


def ship(name: str, run: str) -> None:
    """Keep the averaged generator of a run's best checkpoint, in half precision."""
    card = load_generator(run).card
    if card["recipe"] != name:
        sys.exit(f"{run} is of the recipe {card['recipe']}, not of {name}")
    step = card["step"]
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
