"""How long a folder of MIDI files takes to become a corpus: ``pytest benchmarks/test_folder.py``, some minutes.

The files are generated, five tracks of eight bars each, no two alike. Reading, comparing and splitting them is measured
for 1,000 and 10,000 files, then packing their bars; in seconds of processor time of one core. If the time for each file
stays the same, ten times as many take ten times as long. With ``GANMUSIC_BENCHMARK_LARGE=1`` also 100,000 files.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganmusic import midi
from ganmusic.corpora import Folder
from ganmusic.pianoroll import Grid, Note, Piece, Track
from ganmusic.store import prepare

SIZES = [1, 10, *([100] if os.environ.get("GANMUSIC_BENCHMARK_LARGE") else [])]
NAMES = ("drums", "piano", "guitar", "bass", "strings")
PROGRAMS = (0, 0, 25, 33, 48)


def song(seed: int) -> Piece:
    """Eight bars for five tracks, of notes at random from a scale."""
    rng = random.Random(seed)
    scale = [36 + octave * 12 + degree for octave in range(3) for degree in (0, 2, 4, 5, 7, 9, 11)]
    tracks = []
    for name, program in zip(NAMES, PROGRAMS, strict=True):
        notes, step = [], 0
        while step < 120:
            length = rng.choice((2, 2, 4, 4, 8))
            notes.append(Note(step, length, rng.choice(scale)))
            step += length
        tracks.append(Track(name, tuple(notes), program, name == "drums"))
    return Piece(tuple(tracks), title=f"song {seed}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A folder of so many thousand files, a thousand in each folder below it."""
    root = tmp_path_factory.mktemp("files")

    def make(thousands: int) -> Path:
        path = root / str(thousands)
        for number in range(thousands * 1000 if not path.exists() else 0):
            place = path / f"{number // 1000:03d}"
            place.mkdir(parents=True, exist_ok=True)
            midi.write(song(number), place / f"{number:06d}.mid")
        return path

    return make


def note_time_of_each(benchmark: Any, thousands: int) -> None:
    milliseconds = benchmark.stats.stats.median / thousands
    benchmark.extra_info["milliseconds a file"] = round(milliseconds, 3)
    print(f"\n{thousands:,},000 files: {milliseconds:.2f} ms each; 100,000 would take {milliseconds * 100:.0f} s")


@pytest.mark.benchmark(group="reading a folder", timer=time.process_time)
@pytest.mark.parametrize("thousands", SIZES)
def test_reading_a_folder(benchmark: Any, folder: Callable[[int], Path], tmp_path: Path, thousands: int) -> None:
    corpus = Folder(folder(thousands), store=tmp_path / "notes", voices="families", jobs=1)
    report = benchmark.pedantic(corpus.read, rounds=1)
    assert len(report.read) == 1000 * thousands
    note_time_of_each(benchmark, thousands)


@pytest.mark.benchmark(group="packing its bars", timer=time.process_time)
@pytest.mark.parametrize("thousands", SIZES)
def test_packing_its_bars(benchmark: Any, folder: Callable[[int], Path], tmp_path: Path, thousands: int) -> None:
    corpus = Folder(folder(thousands), store=tmp_path / "notes", voices="families", jobs=1)
    corpus.read()
    grid = Grid(16, 4, 24, 84)
    store = benchmark.pedantic(lambda: prepare(corpus.stream(), tmp_path / "bars", grid=grid), rounds=1)
    assert len(store.piece) == 1000 * thousands
    note_time_of_each(benchmark, thousands)
