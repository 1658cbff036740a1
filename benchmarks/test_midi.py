"""How fast MIDI files become rolls, beside three other libraries: ``pytest benchmarks/test_midi.py``.

Every line of a table reads the same files in one run, in seconds of processor time of one core, and the numbers in
brackets are the ratios. The files are the chorales, written here; other ones are taken with
``GANMUSIC_BENCHMARK_MIDI=folder``. The others need ``pip install ganmusic[benchmark]``.

To a roll means: to an array of time x pitch for each track, four steps a quarter note (ganmusic makes two planes).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganmusic import midi
from ganmusic.corpora import CORPORA

pytestmark = pytest.mark.filterwarnings("ignore")  # of the other libraries


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """At least 200 MIDI files."""
    given = os.environ.get("GANMUSIC_BENCHMARK_MIDI")
    if given:
        found = sorted(Path(given).rglob("*.mid"))[:400]
    else:
        folder = tmp_path_factory.mktemp("midi")
        found = [folder / f"{i:03d}.mid" for i in range(363)]
        for path, piece in zip(found, CORPORA["chorales"].load(), strict=True):
            midi.write(piece, path)
    assert len(found) >= 200
    return found


def ganmusic_roll(path: Path) -> object:
    return midi.read_roll(path)


def pretty_midi_roll(path: Path) -> object:
    import pretty_midi

    file = pretty_midi.PrettyMIDI(str(path))
    tempo = file.get_tempo_changes()[1][0]
    return [instrument.get_piano_roll(fs=4 * tempo / 60) for instrument in file.instruments]


def muspy_roll(path: Path) -> object:
    import muspy

    music = muspy.read_midi(path)
    music.adjust_resolution(4)
    rolls = []
    for track in music.tracks:
        alone = muspy.Music(resolution=4, tracks=[track])
        rolls.append(muspy.to_pianoroll_representation(alone))
    return rolls


def pypianoroll_roll(path: Path) -> object:
    import pypianoroll

    return [track.pianoroll for track in pypianoroll.read(path, resolution=4).tracks]


def pretty_midi_parse(path: Path) -> object:
    import pretty_midi

    return pretty_midi.PrettyMIDI(str(path))


def muspy_parse(path: Path) -> object:
    import muspy

    return muspy.read_midi(path)


def symusic_parse(path: Path) -> object:
    import symusic

    return symusic.Score(str(path))


ROLLS = {
    "ganmusic": ganmusic_roll, "pretty_midi": pretty_midi_roll, "muspy": muspy_roll, "pypianoroll": pypianoroll_roll
}  # fmt: skip
PARSERS = {
    "symusic": symusic_parse,
    "ganmusic (to note events)": midi.read_music,
    "ganmusic (to a piece)": midi.read,
    "pretty_midi": pretty_midi_parse,
    "muspy": muspy_parse,
}


def every(files: list[Path], work: Callable[[Path], object]) -> None:
    for path in files:
        work(path)


def measure(benchmark: Any, files: list[Path], library: str, work: Callable[[Path], object]) -> None:
    if not library.startswith("ganmusic"):
        pytest.importorskip(library)
    work(files[0])
    benchmark.pedantic(every, (files, work), rounds=3)
    benchmark.extra_info["files a second"] = round(len(files) / benchmark.stats.stats.median)


@pytest.mark.benchmark(group="MIDI to roll", timer=time.process_time)
@pytest.mark.parametrize("library", ROLLS)
def test_midi_to_roll(benchmark: Any, files: list[Path], library: str) -> None:
    measure(benchmark, files, library, ROLLS[library])


@pytest.mark.benchmark(group="parsing alone", timer=time.process_time)
@pytest.mark.parametrize("library", PARSERS)
def test_parsing_alone(benchmark: Any, files: list[Path], library: str) -> None:
    measure(benchmark, files, library, PARSERS[library])
