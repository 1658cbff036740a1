"""How fast copies are found, beside plain loops: ``pytest benchmarks/test_novelty.py``, about a minute.

250 held-out clips of four bars are looked up in the chorales in 4/4 of the training split, in all transpositions and
at every step. Everything is in seconds of processor time of one core. The plain way, loops over passages, steps and
transpositions with sets of notes, would take hours for that: both take a small part of it in the same run, and must
agree on it. Needs ``pip install ganmusic[benchmark]``.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import pytest

from ganmusic.corpora import CORPORA
from ganmusic.data import windows
from ganmusic.metrics.novelty import NoteIndex, copied_share, longest_run
from ganmusic.pianoroll import Grid, Piece, Roll, note_starts

GRID = Grid()


def four_four(split: str) -> list[Piece]:
    return [p for p in CORPORA["chorales"].load(split) if (p.grid.n_steps, p.grid.beats_per_bar) == (16, 4)]


@pytest.fixture(scope="module")
def training() -> list[Piece]:
    return four_four("train")


@pytest.fixture(scope="module")
def clips() -> Roll:
    data = windows(four_four("test"))
    return data.select(np.random.default_rng(0).permutation(len(data))[:250]).roll


def plain(pieces: list[Piece], clips: Roll, n_bars: int) -> list[float]:
    """The copied share of every passage, by its definition."""
    length = n_bars * GRID.n_steps
    sets = [{(note.onset, note.pitch) for track in piece.tracks for note in track.notes} for piece in pieces]
    shares = []
    for starts in note_starts(clips).any(1):
        for bar in range(len(starts) - n_bars + 1):
            cells = np.argwhere(starts[bar : bar + n_bars].reshape(length, -1)).tolist()
            best = 0.0
            for notes in sets:
                for step in range(1 - length, max(onset for onset, _ in notes) + 1):
                    theirs = {(onset - step, pitch) for onset, pitch in notes if 0 <= onset - step < length}
                    for semitones in range(-GRID.n_pitches + 1, GRID.n_pitches):
                        ours = {(onset, pitch + GRID.low + semitones) for onset, pitch in cells}
                        best = max(best, len(ours & theirs) / max(len(ours), len(theirs)))
            shares.append(best)
    return shares


@pytest.mark.benchmark(group="250 clips in the training split", timer=time.process_time)
@pytest.mark.parametrize("n_bars", [2, 4])
def test_search(benchmark: Any, training: list[Piece], clips: Roll, n_bars: int) -> None:
    matches = benchmark.pedantic(lambda: NoteIndex(training).nearest(clips, GRID, n_bars), rounds=1)
    share = copied_share(matches)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # all of this process, torch with it
    benchmark.extra_info |= {
        "mean share": round(float(share.mean()), 3),
        "share >= .8": round(float((share >= 0.8).mean()), 3),
        "most memory, MB": round(megabytes),
    }
    assert benchmark.stats.stats.median < 30
    assert megabytes < 500


@pytest.mark.benchmark(group="2 clips in 2 pieces", timer=time.process_time)
@pytest.mark.parametrize("way", ["ganmusic", "plain loops"])
def test_search_beside_the_plain_way(benchmark: Any, training: list[Piece], clips: Roll, way: str) -> None:
    few, pieces = Roll(clips.sounding[:2], clips.onset[:2]), training[:2]
    index = NoteIndex(pieces)

    def ours() -> list[float]:
        return index.nearest(few, GRID, 2).share.ravel().tolist()

    if way == "ganmusic":
        benchmark.pedantic(ours, rounds=5, warmup_rounds=1)
    else:
        found = benchmark.pedantic(plain, (pieces, few, 2), rounds=1)
        assert found == pytest.approx(ours())


@pytest.mark.benchmark(group="longest run of a piece", timer=time.process_time)
@pytest.mark.parametrize("one_voice", [False, True], ids=["all voices", "single voices"])
def test_longest_run(benchmark: Any, training: list[Piece], one_voice: bool) -> None:
    index, piece = NoteIndex(training), max(four_four("test"), key=lambda piece: piece.n_bars)
    benchmark.pedantic(longest_run, (piece, index), {"one_voice": one_voice}, rounds=5, warmup_rounds=1)
    benchmark.extra_info["bars"] = piece.n_bars
    assert benchmark.stats.stats.median < 1
