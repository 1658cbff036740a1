"""How fast training, sampling and sound are: ``python benchmarks/speed.py``, about a minute on one core.

Everything is measured in one run, in seconds of processor time, so that ratios mean something on a machine that
does other work as well. Each figure is the median of several rounds, of updates the least.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

import torch
from contest import costs

from ganmusic import audio, sample
from ganmusic.recipes import RECIPES
from ganmusic.train import TrainConfig


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Median processor time of one call, after one call to warm up."""
    work()
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return statistics.median(times)


def main() -> None:
    """Measure, and print one figure a line."""
    torch.set_num_threads(1)
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}")
    times = costs(["choir", "chorales", "mlp", "musegan_small"])
    for name, (cost, lesson) in times.items():
        batch_size = TrainConfig(steps=1, **RECIPES[name].config).batch_size
        print(f"{name:13} {1 / cost:6.2f} updates/s, {batch_size / cost:6.0f} clips/s (batches of {batch_size})")
        if lesson:
            print(f"{'':13} {1 / (cost + lesson):6.2f} updates/s with a lesson")
    (update, lesson), (bar, _) = times["choir"], times["musegan_small"]
    print(f"an update of the choir costs {update / bar:.2f} of the small MuseGAN's")
    print(f"with a lesson {(update + lesson) / bar:.2f}")
    print(f"an update of the convolutional pair costs {times['chorales'][0] / times['mlp'][0]:.1f} of the plain pair's")
    composer = sample.load_generator()
    print(f"sampling      {64 / seconds(lambda: sample.sample_rolls(composer, 64)):6.0f} four-bar clips/s")
    piece = sample.compose(n_bars=16, seed=1, run=composer)
    print(f"sound         {piece.seconds / seconds(lambda: audio.render(piece)):6.0f} x real time (rendered)")
    print(f"              {piece.seconds / seconds(lambda: audio.encode(piece)):6.0f} x real time (rendered, MP3)")


if __name__ == "__main__":
    main()
