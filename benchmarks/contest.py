"""The contest: ``make contest``, hours on two cores.

Trains every model on the same chorales for the same processor time on one core, three seeds each, and judges what it
has become with `ganmusic.evaluation`. Processor time means updates times what one update costs, which is measured once
for each recipe when nothing else runs, and lessons likewise; watching and saving are not counted. While a network
trains its distance to validation music is kept, a curve of quality against cost, and a clip from the same noise after
some minutes.

Every finished run is written into ``book/contest.json`` at once, and is not run again while it stands there: the
contest can be interrupted, moved to another machine and gone on with. The networks are in ``runs/contest`` while they
train. To run something again, delete its entry.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from scoreboard import rounded

from ganmusic import checkpoint, midi, recipes
from ganmusic.evaluation import Reference, clips_of_run, evaluate, reference
from ganmusic.files import atomic_path
from ganmusic.recipes import RECIPES, Recipe
from ganmusic.train import TrainConfig

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "runs" / "contest"

#: What takes part, by recipe.
TITLES = {
    "choir": "ours: the choir, on codes of beats",
    "chorales": "ours: the convolutional pair, on notes",
    "mlp": "plain network (MLP)",
    "musegan_small": "MuseGAN, small",
    "musegan_jamming": "MuseGAN, jamming",
    "musegan_composer": "MuseGAN, composer",
    "musegan_hybrid": "MuseGAN, hybrid",
    "binary_deterministic": "BinaryMuseGAN, deterministic",
    "binary_stochastic": "BinaryMuseGAN, stochastic",
    "binary_threshold": "BinaryMuseGAN's baseline, a sigmoid cut at one half",
}
#: Minutes of processor time that each network has, and by seed how often.
MINUTES = 20
SEEDS = (0, 1, 2)
#: What is also trained for an hour, one seed, to be heard.
HOUR = ("choir", "musegan_small")
#: Minutes after which a clip is kept.
MARKS = (1, 5, 20, 60)
#: Updates that a cost is measured over, and how often: all recipes in turn, so that a slow minute of the machine hits
#: all of them, and the least counts, since other work only adds. A multiple of 8: some penalties come every 8th.
N_TIMED, N_TIMES = 16, 4


@dataclass(frozen=True)
class Run:
    """One network: its recipe, its seed, and minutes of processor time."""

    recipe: str
    seed: int
    minutes: int = MINUTES

    @property
    def name(self) -> str:
        """What it is called in the results."""
        return f"{self.recipe}-{self.seed}-{self.minutes}"


def runs() -> list[Run]:
    """Everything that is to be trained, one seed of each model first."""
    return [Run(name, seed) for seed in SEEDS for name in TITLES] + [Run(name, 0, 60) for name in HOUR]


def costs(names: list[str]) -> dict[str, tuple[float, float]]:
    """Seconds of processor time that one update of each recipe takes, on one thread, and those that a lesson adds."""
    games = {}
    for name in names:
        config = TrainConfig(steps=1, **RECIPES[name].config)
        games[name] = recipes.game(RECIPES[name]), recipes.batches(RECIPES[name], config)
        games[name][0].n_updates = games[name][0].lessons  # they are over
    found = {name: [float("inf"), float("inf") if game.lessons else 0.0] for name, (game, _) in games.items()}
    for turn in range(N_TIMES + 1):
        for name, (game, batch) in games.items():
            for kind, update in enumerate((game.step, game.teach)[: 1 + bool(game.lessons)]):
                begin = time.process_time()
                for step in range(N_TIMED):
                    update(batch(step))
                if turn:  # the first is for getting warm
                    found[name][kind] = min(found[name][kind], (time.process_time() - begin) / N_TIMED)
    return {name: (update, lesson) for name, (update, lesson) in found.items()}


@dataclass(frozen=True)
class Clock:
    """Tells the processor time of a run's updates, the first of which have lessons.

    Parameters
    ----------
    update, lesson : float
        Seconds that each takes.
    lessons : int
    """

    update: float
    lesson: float = 0.0
    lessons: int = 0

    def minutes(self, step: int) -> float:
        """When an update is done."""
        return (step * self.update + min(step, self.lessons) * self.lesson) / 60

    def step(self, minutes: float) -> int:
        """The last update that is done by then."""
        within = int(60 * minutes / (self.update + self.lesson))
        return within if within < self.lessons else int((60 * minutes - self.lessons * self.lesson) / self.update)


class Results:
    """What has been measured so far, in a file that several processes add to."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = path, facts

    def read(self) -> dict[str, Any]:
        """All of it."""
        if self.path.exists():
            found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            return found
        machine = {"machine": platform.machine(), "torch": torch.__version__.split("+")[0]}
        return {"facts": {**self.facts, **machine}, "costs": {}, "runs": {}}

    def add(self, part: str, name: str, value: Any) -> None:
        """Add one thing, while other processes add theirs."""
        with FileLock(f"{self.path}.lock"):
            found = self.read()
            found[part][name] = value
            found[part] = dict(sorted(found[part].items()))
            with atomic_path(self.path) as temporary:
                text = json.dumps(found, separators=(",", ":"), allow_nan=False)
                temporary.write_text(text + "\n", encoding="utf-8")


RESULTS = Results(ROOT / "book" / "contest.json", {"corpus": "chorales", "minutes": MINUTES})


@cache
def against() -> Reference:
    """Held-out music, measured once a process."""
    return reference("chorales")


def train(name: str) -> None:
    """Train a network or go on with it, judge it, and keep what it was like."""
    torch.set_num_threads(1)
    run = next(each for each in runs() if each.name == name)
    recipe = RECIPES[run.recipe]
    clock = Clock(*RESULTS.read()["costs"][run.recipe], recipe.game.get("lessons", 0))
    steps = clock.step(run.minutes)
    # All are watched equally often, once a minute; the first minute's clip comes early where there are lessons.
    watch, listen = steps // run.minutes, clock.step(1)
    every = {"watch_every": watch, "save_every": watch, "sample_every": listen}
    RECIPES[run.recipe] = replace(recipe, config={**recipe.config, **every}, generator=stretched(recipe, steps))
    folder = RUNS / name
    begun = (folder / "config.json").exists()
    recipes.train(run.recipe, folder, steps=steps, seed=run.seed, threads=1, resume=begun, progress=False)
    report = evaluate(clips_of_run(folder), against()).to_dict()
    rows = [row for row in report["rows"] if row["real"] is not None]
    scores = {row["step"]: row["score"] for row in checkpoint.read_log(folder) if "score" in row}
    finished = {
        "title": TITLES[run.recipe],
        "recipe": run.recipe,
        "seed": run.seed,
        "minutes": run.minutes,
        "updates": steps,
        "curve": [[rounded(clock.minutes(step)), rounded(score)] for step, score in scores.items()],
        "best": min(scores, key=lambda step: scores[step]),
        "values": {row["name"]: rounded(row["value"]) for row in rows},
        "passed": {row["name"]: row["passed"] for row in rows},
        "innovative": report["verdict"]["innovative"],
    }
    if run.seed == 0:
        heard = [*range(listen, steps, listen), steps]
        last = {mark: max(step for step in heard if step <= clock.step(mark)) for mark in MARKS if mark <= run.minutes}
        finished["clips"] = {str(mark): notes(folder, step) for mark, step in last.items()}
    RESULTS.add("runs", name, finished)
    print(f"{name}: distance {finished['values']['frechet_distance']}", flush=True)


def stretched(recipe: Recipe, steps: int) -> dict[str, Any]:
    """A generator's settings, its binary neurons as steep at the end of the run as at the end of the recipe's own."""
    sizes = dict(recipe.generator)
    if "epoch" in sizes:
        sizes["epoch"] = sizes["epoch"] * steps // recipe.steps
    return sizes


def bach() -> float:
    """What the watched distance, that to validation music, is for the chorales of the test split."""
    test = torch.from_numpy(np.stack(recipes.held_out("chorales", "test", 4).roll, 1))
    watch: Any = recipes.distance(RECIPES["chorales"])
    return float(watch(SimpleNamespace(sample=lambda n: test[:n])))


def notes(folder: Path, step: int) -> list[list[int]]:
    """The first fixed-noise clip of a step: track, onset, duration and pitch of each note."""
    piece = midi.read(folder / "samples" / f"step-{step:08d}-0.mid")
    return [[k, *note] for k, track in enumerate(piece.tracks) for note in track.notes]


def main() -> None:
    """Measure the costs that are missing, then train and judge what is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument("names", nargs="*", help="runs to do, such as chorales-0-20 (default: all)")
    options = parser.parse_args()
    names = [run.name for run in runs()]
    if unknown := set(options.names) - set(names):
        parser.error(f"there is no run {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    RUNS.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    chosen = [run for run in runs() if not options.names or run.name in options.names]
    known = RESULTS.read()["costs"]
    for recipe, seconds in costs(sorted({run.recipe for run in chosen} - known.keys())).items():
        RESULTS.add("costs", recipe, [rounded(each) for each in seconds])
    if "bach" not in RESULTS.read()["facts"]:
        RESULTS.add("facts", "bach", rounded(bach()))
    left = [run.name for run in chosen if run.name not in RESULTS.read()["runs"]]
    with get_context("spawn").Pool(max(1, options.jobs)) as pool:
        for _ in pool.imap_unordered(train, left):  # stops at the first error
            pass
    print(f"{RESULTS.path.relative_to(ROOT)} has {len(RESULTS.read()['runs'])} of {len(names)} runs")


if __name__ == "__main__":
    main()
