"""How fast clips are measured, beside muspy: ``pytest benchmarks/test_metrics.py``, under a minute on one core.

All measure the same four-bar windows of the chorales (four voices, four steps a quarter note) in one run, in seconds
of processor time of one core; the numbers in brackets are the ratios. Each library begins with what it works on:
ganmusic with a roll of all windows, muspy with a `Music` each. muspy has twelve metrics that are not about drums, and
needs ``pip install ganmusic[benchmark]``.

The six that ganmusic has as well are measured one by one, and together as `evaluate` does it: what metrics share, the
list of what sounds, is found once. That list takes most of the time of a metric alone, so alone the cheap ones gain
least. Then all that either library has: twelve metrics of muspy against the whole suite.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from ganmusic import metrics
from ganmusic.metrics.reading import read
from ganmusic.pianoroll import Grid, Roll, roll_to_notes
from ganmusic.recipes import clips

pytestmark = pytest.mark.filterwarnings("ignore")  # of the other library

N_CLIPS = 250
#: The name of ganmusic's metric, and of muspy's; definitions differ as the tests of the metrics say.
SHARED = {
    "scale_consistency": "scale_consistency",
    "pitch_class_entropy": "pitch_class_entropy",
    "pitch_range": "pitch_range",
    "polyphony_rate": "polyphony_rate",
    "empty_bars": "empty_measure_rate",
    "groove_similarity": "groove_consistency",
}
ONLY_MUSPY = (
    *("n_pitches_used", "n_pitch_classes_used", "pitch_entropy", "pitch_in_scale_rate", "polyphony", "empty_beat_rate"),
)


class Clips(NamedTuple):
    """The same windows for either library."""

    roll: Roll
    grid: Grid
    music: list[Any]


@pytest.fixture(scope="module")
def windows() -> Clips:
    muspy = pytest.importorskip("muspy")
    found = clips("chorales", "test", 4)
    rows = np.random.default_rng(0).permutation(len(found))[:N_CLIPS]
    roll = Roll(*(np.ascontiguousarray(plane[rows]) for plane in found.roll))

    def music(row: int) -> Any:
        tracks = [
            muspy.Track(
                notes=[muspy.Note(n.onset, n.pitch, n.duration) for n in roll_to_notes(Roll(*planes), found.grid)]
            )
            for planes in zip(roll.sounding[row], roll.onset[row], strict=True)
        ]
        return muspy.Music(resolution=found.grid.steps_per_beat, tracks=tracks)

    return Clips(roll, found.grid, [music(row) for row in range(len(rows))])


def ganmusic_metrics(windows: Clips, names: list[str]) -> None:
    roll = read(windows.roll)
    for name in names:
        metrics.METRICS[name].function(roll, windows.grid)


def muspy_metrics(windows: Clips, names: list[str]) -> None:
    import muspy

    more: dict[str, tuple[Any, ...]] = {
        "empty_measure_rate": (windows.grid.n_steps,),
        "groove_consistency": (windows.grid.n_steps,),
        "pitch_in_scale_rate": (0, "major"),
    }
    for music in windows.music:
        for name in names:
            getattr(muspy, name)(music, *more.get(name, ()))


def measure(benchmark: Any, windows: Clips, library: str, ours: list[str], theirs: list[str]) -> None:
    work: Callable[[], None]
    if library == "ganmusic":
        work = lambda: ganmusic_metrics(windows, ours)  # noqa: E731
    else:
        work = lambda: muspy_metrics(windows, theirs)  # noqa: E731
    work()
    benchmark.pedantic(work, rounds=15 if library == "ganmusic" else 5)
    benchmark.extra_info["clips a second"] = round(N_CLIPS / benchmark.stats.stats.median)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("library", ["ganmusic", "muspy"])
@pytest.mark.parametrize("name", SHARED)
def test_one_metric(benchmark: Any, windows: Clips, name: str, library: str) -> None:
    benchmark.group = f"{name} alone"
    measure(benchmark, windows, library, [name], [SHARED[name]])


@pytest.mark.benchmark(group="the six that both have", timer=time.process_time)
@pytest.mark.parametrize("library", ["ganmusic", "muspy"])
def test_shared_metrics_together(benchmark: Any, windows: Clips, library: str) -> None:
    measure(benchmark, windows, library, list(SHARED), list(SHARED.values()))


@pytest.mark.benchmark(group="everything but drums", timer=time.process_time)
@pytest.mark.parametrize("library", ["ganmusic", "muspy"])
def test_all_metrics(benchmark: Any, windows: Clips, library: str) -> None:
    ours = [name for name, metric in metrics.METRICS.items() if metric.dimension != "drums"]
    measure(benchmark, windows, library, ours, [*SHARED.values(), *ONLY_MUSPY])


@pytest.mark.benchmark(group="evaluate", timer=time.process_time)
def test_evaluate(benchmark: Any, windows: Clips) -> None:
    benchmark.pedantic(metrics.evaluate, (windows.roll, windows.grid), rounds=15)
    benchmark.extra_info["clips a second"] = round(N_CLIPS / benchmark.stats.stats.median)
