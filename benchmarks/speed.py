"""How fast training, sampling and sound are: ``python benchmarks/speed.py``, about a minute on one core.

Everything is measured in one run, in seconds of processor time, so that ratios mean something on a machine that
does other work as well. Each figure is the median of several rounds.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

import torch

from ganmusic import audio, recipes, sample
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


def update(name: str, n: int = 16) -> float:
    """Seconds an update of a recipe; `n` updates hold a whole round of the lazy penalty."""
    recipe = recipes.RECIPES[name]
    game, batch = recipes.game(recipe), recipes.batches(recipe, TrainConfig(steps=1, **recipe.config))

    def some() -> None:
        for step in range(n):
            game.step(batch(step))

    return seconds(some, rounds=3) / n


def main() -> None:
    """Measure, and print one figure a line."""
    torch.set_num_threads(1)
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}")
    times = {name: update(name) for name in ("mlp", "chorales")}
    for name, cost in times.items():
        batch_size = TrainConfig(steps=1, **recipes.RECIPES[name].config).batch_size
        print(f"{name:9} {1 / cost:6.2f} updates/s, {batch_size / cost:6.0f} clips/s (batches of {batch_size})")
    print(f"an update of the convolutional recipe costs {times['chorales'] / times['mlp']:.1f} of the plain one's")
    composer = sample.load_generator()
    print(f"sampling  {64 / seconds(lambda: sample.sample_rolls(composer, 64)):6.0f} four-bar clips/s")
    piece = sample.compose(n_bars=16, seed=1, run=composer)
    print(f"sound     {piece.seconds / seconds(lambda: audio.render(piece)):6.0f} x real time (rendered)")
    print(f"          {piece.seconds / seconds(lambda: audio.encode(piece)):6.0f} x real time (rendered, MP3)")


if __name__ == "__main__":
    main()
