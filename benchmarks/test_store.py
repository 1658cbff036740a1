"""How fast bars are prepared and loaded: ``pytest benchmarks/test_store.py``, under a minute on one core.

The data are generated: pieces of five tracks on a grid of 16 steps and 84 pitches, of 100 bars each. A batch is of
64 windows of four bars, drawn at random: 64 x 5 x 64 x 84 cells a plane. Everything is measured in one run and in
seconds of processor time, so that ratios mean something on a machine that does other work as well.

Memory is read in a fresh process from ``/proc`` (Linux). A mapped shard counts as the process's own only as
``RssFile``: those pages are the system's copy of the file, shared by all processes and dropped when memory is short.
What a process needs for itself is ``RssAnon``.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganmusic.data import batch_indices, windows
from ganmusic.pianoroll import Grid, Note, Piece, Track
from ganmusic.store import Store, prepare

pytestmark = pytest.mark.benchmark(timer=time.process_time)

GRID = Grid(16, 4, 24, 84)
NAMES = ("drums", "piano", "guitar", "bass", "strings")
BARS = 100
BATCH = 64


def piece(seed: int, n_bars: int = BARS) -> Piece:
    """Five tracks with 16 notes a bar together, about as many as Lakh's songs have."""
    rng, end = random.Random(seed), 16 * n_bars
    lengths = (1, 2, 2, 3, 8)
    tracks = tuple(
        Track(
            name,
            (*(Note(step, length, rng.randint(36, 96)) for step in range(0, end - 8, 5)), Note(end - 8, 8, 60)),
            is_drum=name == "drums",
        )
        for name, length in zip(NAMES, lengths, strict=True)
    )
    return Piece(tracks, GRID, title=f"Piece {seed}", labels={"tonic": seed % 12, "mode": "major", "split": "train"})


def pieces(n: int) -> Iterator[Piece]:
    """Pieces, of which only twenty differ, so that what is measured is not the making of them."""
    some = [piece(seed) for seed in range(20)]
    return (some[k % 20] for k in range(n))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A store of so many thousand bars; each is prepared once."""
    root = tmp_path_factory.mktemp("stores")

    def make(thousands: int) -> Path:
        path = root / str(thousands)
        if not path.exists():
            prepare(pieces(thousands * 1000 // BARS), path, grid=GRID)
        return path

    return make


@pytest.mark.parametrize("n_planes", [1, 2])
@pytest.mark.parametrize("thousands", [1, 10, 100])
def test_batches_from_packed_shards(
    benchmark: Any, folder: Callable[[int], Path], thousands: int, n_planes: int
) -> None:
    data = windows(Store(folder(thousands)))
    rng = np.random.default_rng(0)
    benchmark.group = f"a batch of 64 windows at random, {n_planes} of 2 planes"
    found = benchmark.pedantic(
        lambda chosen: data.load(chosen, n_planes),
        setup=lambda: ((rng.integers(len(data), size=BATCH),), {}),
        rounds=1000,
        warmup_rounds=50,
    )
    assert found.shape == (BATCH, n_planes, 5, 4, 16, 84)


@pytest.mark.parametrize("way", ["one_by_one", "getitems", "tensor"])
def test_other_ways_to_ask_a_store(benchmark: Any, folder: Callable[[int], Path], way: str) -> None:
    data = windows(Store(folder(10)))
    ways: dict[str, Callable[[Any], Any]] = {
        "one_by_one": lambda chosen: [data[int(number)] for number in chosen],
        "getitems": lambda chosen: data.__getitems__(chosen.tolist()),
        "tensor": lambda chosen: data[chosen],
    }
    rng = np.random.default_rng(0)
    benchmark.group = "a batch of 64 windows at random, 2 of 2 planes"
    found = benchmark.pedantic(
        ways[way], setup=lambda: ((rng.integers(len(data), size=BATCH),), {}), rounds=200, warmup_rounds=10
    )
    assert len(found) == BATCH


@pytest.mark.parametrize("n_planes", [1, 2])
def test_batches_from_a_bool_array_in_memory(benchmark: Any, folder: Callable[[int], Path], n_planes: int) -> None:
    """What a store is compared with: windows unpacked, a byte a cell, of a corpus that has room for that."""
    data = windows(Store(folder(10)))
    array = data.load(np.arange(len(data)), n_planes)
    rng = np.random.default_rng(0)
    benchmark.group = f"a batch of 64 windows at random, {n_planes} of 2 planes"
    found = benchmark.pedantic(
        lambda chosen: array[chosen],
        setup=lambda: ((rng.integers(len(array), size=BATCH),), {}),
        rounds=1000,
        warmup_rounds=50,
    )
    assert found.shape == (BATCH, n_planes, 5, 4, 16, 84)


def test_a_batch_of_numbers(benchmark: Any) -> None:
    benchmark.group = "which windows a batch has"
    benchmark(batch_indices, 1_000_000, BATCH, 0, 5)


CHILD = """
import sys
import numpy as np
from ganmusic.data import windows
from ganmusic.store import Store

def memory():
    rows = dict(line.split(":") for line in open("/proc/self/status") if line.startswith("Rss"))
    return [int(rows[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile")]

rng = np.random.default_rng(0)
np.unpackbits(rng.integers(0, 256, 2_000_000, dtype=np.uint8))
before = memory()
data = windows(Store(sys.argv[1]))
for _ in range(500):
    data[rng.integers(len(data), size=64)]
print(*(after - first for first, after in zip(before, memory())))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_flat(folder: Callable[[int], Path], capsys: pytest.CaptureFixture[str]) -> None:
    own = []
    for thousands in (1, 10, 100):
        command = [sys.executable, "-c", CHILD, str(folder(thousands))]
        growth = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        size = sum(path.stat().st_size for path in folder(thousands).glob("*.npy")) / 2**20
        own.append(float(growth[0]))
        with capsys.disabled():
            print(f"\n{thousands:4},000 bars, {size:6.1f} MB: its own memory + {growth[0]} MB, mapped + {growth[1]} MB")
    assert own[-1] < own[0] + 8


def test_preparing_is_linear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    each = {}
    for n in (100, 1000):
        begin = time.process_time()
        prepare(pieces(n), tmp_path / str(n), grid=GRID)
        each[n] = (time.process_time() - begin) / n
        with capsys.disabled():
            print(f"\n{n:6} pieces of {BARS} bars: {1000 * each[n]:.2f} ms of processor time a piece")
    for n in (1000, 10_000):
        begin = time.process_time()
        prepare((piece for _ in range(n // 20) for piece in SHORT), tmp_path / f"short-{n}", grid=GRID)
        each[-n] = (time.process_time() - begin) / n
        with capsys.disabled():
            print(f"{n:6} pieces of 8 bars: {1000 * each[-n]:.2f} ms of processor time a piece")
    with capsys.disabled():
        print(f"100,000 pieces of 8 bars would take {each[-10_000] * 100_000:.0f} s, 100,000 of {BARS} bars "
              f"{each[1000] * 100_000:.0f} s (extrapolated)")  # fmt: skip
    assert each[1000] < 1.5 * each[100]
    assert each[-10_000] < 1.5 * each[-1000]


SHORT = [piece(seed, 8) for seed in range(20)]
