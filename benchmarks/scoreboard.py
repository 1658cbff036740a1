"""The scoreboard: ``make scoreboard``, most of an hour on two cores.

Trains the plain and the convolutional recipe, three seeds each, for about the same processor time; draws clips of them
and of the weights that come with the package, takes real music and every control; judges all with
`ganmusic.evaluation` on the same held-out music; and writes ``book/scoreboard.json``, which the book's page is made of.

Everything is kept in ``runs/scoreboard`` as it is done: a run that was interrupted goes on, and a second one changes
nothing. What was judged by other code is judged again; delete the folder to train again as well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganmusic import checkpoint, evaluation, recipes
from ganmusic.evaluation import N_CLIPS, Clips, Reference, clips_of_run, evaluate, reference
from ganmusic.files import atomic_path
from ganmusic.metrics.controls import CONTROLS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "book" / "scoreboard.json"
RUNS = ROOT / "runs" / "scoreboard"

#: Updates that take about three minutes of one core of a shared two-core x86 machine, by recipe.
UPDATES = {"mlp": 2500, "chorales": 970}
TITLES = {"mlp": "plain network (MLP)", "chorales": "convolutional network"}
SEEDS = (0, 1, 2)
#: Weights that come with the package, by name; their seeds are those of the noise.
SHIPPED = {"choir": "choir, shipped weights", "chorales": "convolutional network, shipped weights"}
SHIPPED_SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Entry:
    """What is judged, once: a network or music with one seed, and how its clips come to be."""

    name: str
    kind: str  # network, real or control
    seed: int
    clips: Callable[[Reference, int], Clips]
    about: str
    updates: int | None = None
    run: Path | None = None

    @property
    def file(self) -> Path:
        """Where its numbers are kept."""
        return RUNS / f"{self.name.replace(' ', '-')}-{self.seed}.json"


def train(number: int) -> None:
    """Train the network of an entry, or go on with its training."""
    entry = entries()[number]
    name = next(recipe for recipe, title in TITLES.items() if title == entry.name)
    begun = (RUNS / f"{name}-{entry.seed}" / "config.json").exists()
    recipes.train(
        name, str(entry.run), steps=entry.updates, seed=entry.seed, threads=1, resume=begun, progress=False
    )


def of_run(run: Path, _: Reference, seed: int) -> Clips:
    """Clips of a run's best checkpoint, always by the same noise: the seed is that of the training."""
    return clips_of_run(run)


def of_weights(name: str, _: Reference, seed: int) -> Clips:
    """Clips of weights that come with the package."""
    return clips_of_run(name, seed=seed)


def some(clips: Clips, seed: int) -> Clips:
    """As many clips as there are of a network, by chance."""
    return clips.select(np.sort(np.random.default_rng(seed).permutation(len(clips))[:N_CLIPS]))


def spoilt(control: str, real: Reference, seed: int) -> Clips:
    """Clips of a control, made of held-out music; copies with noise are copies of what was learned from."""
    clips = some(real.training if control == "noisy_copies" else real.held_out, seed)
    return clips.with_roll(CONTROLS[control](clips.roll, clips.grid, seed))


def entries() -> list[Entry]:
    """Everything that is judged, in the order of the page."""
    made = [
        Entry(title, "network", seed, partial(of_weights, name), "sampling seed")
        for name, title in SHIPPED.items()
        for seed in SHIPPED_SEEDS
    ]
    for recipe in UPDATES:
        for seed in SEEDS:
            run = RUNS / f"{recipe}-{seed}"
            made.append(
                Entry(TITLES[recipe], "network", seed, partial(of_run, run), "training seed", UPDATES[recipe], run)
            )
    made += [
        Entry("training music itself", "real", seed, lambda real, seed: some(real.training, seed), "choice of clips")
        for seed in SEEDS
    ]
    for name in CONTROLS:
        made += [Entry(name.replace("_", " "), "control", seed, partial(spoilt, name), "chance") for seed in SEEDS]
    return made


def made_by() -> str:
    """A fingerprint of the code that judges: what other code has measured is measured again."""
    package = Path(evaluation.__file__).parent.parent
    sources = sorted([*(package / "evaluation").glob("*.py"), *(package / "metrics").glob("*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


def is_judged(entry: Entry) -> bool:
    """Whether an entry's numbers are there, and of this code."""
    return entry.file.exists() and json.loads(entry.file.read_text(encoding="utf-8"))["made_by"] == made_by()


def judge(numbers: list[int]) -> None:
    """Measure some entries, by their numbers, and keep what was measured."""
    torch.set_num_threads(1)
    against = reference("chorales")
    todo = entries()
    for entry in (todo[number] for number in numbers):
        begin = time.process_time()
        report = {**evaluate(entry.clips(against, entry.seed), against).to_dict(), "made_by": made_by()}
        with atomic_path(entry.file) as temporary:
            temporary.write_text(json.dumps(report), encoding="utf-8")
        print(f"{entry.name}, seed {entry.seed}: judged in {time.process_time() - begin:.0f} s", flush=True)


def rounded(value: float | None) -> float | None:
    """Four figures: more would change with the processor, and say nothing."""
    return None if value is None else float(f"{value:.4g}")


def board() -> dict[str, Any]:
    """Everything that was measured, as one table."""
    by_name: dict[str, list[tuple[Entry, dict[str, Any]]]] = {}
    for entry in entries():
        by_name.setdefault(entry.name, []).append((entry, json.loads(entry.file.read_text(encoding="utf-8"))))
    first = next(iter(by_name.values()))[0][1]
    kept = ("name", "dimension", "unit", "kind", "control", "worse")
    numbers = ("real", "low", "high", "null")
    # Drums have no place in these four voices.
    names = [row["name"] for row in first["rows"] if row["real"] is not None]
    rows = [
        {**{key: row[key] for key in kept}, **{key: rounded(row[key]) for key in numbers}}
        for row in first["rows"]
        if row["name"] in names
    ]
    found = []
    for name, seeds in by_name.items():
        reports = [{row["name"]: row for row in report["rows"]} for _, report in seeds]
        entry = seeds[0][0]
        minutes = [minutes_of(each.run) for each, _ in seeds if each.run is not None]
        found.append(
            {
                "name": name,
                "kind": entry.kind,
                "seeds": [each.seed for each, _ in seeds],
                "seeds_are": entry.about,
                "updates": entry.updates,
                "minutes": minutes or None,
                "values": {row: [rounded(report[row]["value"]) for report in reports] for row in names},
                "d": {row: [rounded(report[row]["d"]) for report in reports] for row in names},
                "place": {row: [rounded(report[row]["place"]) for report in reports] for row in names},
                "passed": {row: [report[row]["passed"] for report in reports] for row in names},
                "conditions": [
                    {condition["name"]: condition["holds"] for condition in report["verdict"]["conditions"]}
                    for _, report in seeds
                ],
                "innovative": [report["verdict"]["innovative"] for _, report in seeds],
            }
        )
    facts = {key: first["facts"][key] for key in ("corpus", "bars", "clips", "divisions", "seed", "versions")}
    machine = {"machine": platform.machine(), "torch": torch.__version__.split("+")[0]}
    return {"facts": {**facts, **machine}, "rows": rows, "entries": found}


def minutes_of(run: Path) -> float:
    """Minutes of training until the last checkpoint."""
    last = checkpoint.latest(run)
    return round(json.loads((last / "state.json").read_text(encoding="utf-8"))["seconds"] / 60, 2)


def main() -> None:
    """Train, judge and write; whatever is done already is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    jobs = max(1, parser.parse_args().jobs)
    RUNS.mkdir(parents=True, exist_ok=True)
    todo = entries()
    with get_context("spawn").Pool(jobs) as pool:
        pool.map(train, [number for number, entry in enumerate(todo) if entry.run is not None], chunksize=1)
        left = [number for number, entry in enumerate(todo) if not is_judged(entry)]
        # A process measures real music and the controls once, for all of its entries.
        pool.map(judge, [left[job::jobs] for job in range(jobs)], chunksize=1)
    with atomic_path(RESULTS) as temporary:
        temporary.write_text(json.dumps(board(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"{RESULTS.relative_to(ROOT)} is written; look at it with: make serve")


if __name__ == "__main__":
    main()
