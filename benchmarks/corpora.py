"""What is in each corpus on this computer: ``python benchmarks/corpora.py [NAME ...] [--cache FOLDER]``.

For every corpus that can be loaded without a download it prints the measures of the chapter "What is in a
corpus" (notebooks/corpora.ipynb), and the seconds of processor time that loading and measuring took. Loading is
timed the second time: the first time the files are read, by as many processes as there are processors, and their notes
kept. Each corpus is measured in a process of its own, so that one does not pay for another; a corpus that is not on
disk is named at the end. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from ganmusic.corpora import CORPORA, FetchError, Report
from ganmusic.corpora.download import corpus_folder
from ganmusic.corpora.split import group, sketch
from ganmusic.keys import PITCH_CLASSES
from ganmusic.pianoroll import Note, Piece
from ganmusic.voices import polyphony, skyline

N_BARS = 300
"""Bars in a draw of `distinct`: as many as the smallest corpus has."""
N_DRAWS = 40


def pitched(piece: Piece) -> list[Note]:
    """The notes of all tracks together, the drums' only where there is nothing else."""
    tracks = [track for track in piece.tracks if not track.is_drum] or list(piece.tracks)
    return sorted({note for track in tracks for note in track.notes})


def entropy(counts: Iterable[float]) -> float:
    """Bits in a draw from a distribution: 0 where it is always the same."""
    p = np.array([count for count in counts if count], dtype=float)
    p /= p.sum()
    return float(-(p * np.log2(p)).sum())


def bars(piece: Piece, notes: Sequence[Note], *, pitches: bool = True) -> list[tuple[tuple[int, ...], ...]]:
    """What begins in each bar that is not empty: steps, and semitones above the tonic modulo octaves of the piece."""
    found: dict[int, list[tuple[int, ...]]] = {}
    tonic = int(piece.labels.get("tonic", 0))
    for note in notes:
        bar, step = divmod(note.onset, piece.grid.n_steps)
        found.setdefault(bar, []).append((step, note.pitch - tonic) if pitches else (step,))
    return [tuple(sorted(set(content))) for _, content in sorted(found.items())]


def distinct(corpus: Sequence[Sequence[object]], n_bars: int = N_BARS, n_draws: int = N_DRAWS) -> tuple[float, float]:
    """Different bars among the first `n_bars` of pieces in random order: mean and standard deviation of the draws."""
    draws = []
    for seed in range(n_draws):
        order = np.random.default_rng(seed).permutation(len(corpus))
        taken: list[object] = []
        for i in order:
            if len(taken) >= n_bars:
                break
            taken += corpus[i]
        draws.append(len(set(taken[:n_bars])))
    return float(np.mean(draws)), float(np.std(draws))


def measures(pieces: Sequence[Piece]) -> dict[str, float | str]:
    """The measures of the chapter, by name."""
    notes = [pitched(piece) for piece in pieces]
    melodies = [skyline(some) for some in notes]
    n_bars = sum(piece.n_bars for piece in pieces)
    n_notes = sum(len(track.notes) for piece in pieces for track in piece.tracks)
    filled = sum(len({n.onset // p.grid.n_steps for n in track.notes}) for p in pieces for track in p.tracks)
    metres: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    for piece in pieces:
        metres[str(piece.labels.get("metre", "?"))] += piece.n_bars
        if "tonic" in piece.labels:
            keys[f"{PITCH_CLASSES[piece.labels['tonic']]} {piece.labels['mode']}"] += 1
    metre, in_metre = metres.most_common(1)[0]
    key, in_key = keys.most_common(1)[0] if keys else ("none", 0)
    classes = [entropy(Counter(note.pitch % 12 for note in some).values()) for some in notes]
    groups = Counter(group([sketch(piece) for piece in pieces]))
    kinds: dict[str, Callable[[Piece, int], list[tuple[tuple[int, ...], ...]]]] = {
        "rhythms": lambda piece, i: bars(piece, melodies[i], pitches=False),
        "melodies": lambda piece, i: bars(piece, melodies[i]),
        "textures": lambda piece, i: bars(piece, notes[i]),
    }
    row: dict[str, float | str] = {
        "pieces": len(pieces),
        "bars": n_bars,
        "notes": n_notes,
        "notes a bar": n_notes / n_bars,
        "sounding at once": float(np.mean([polyphony(some) for some in notes])),
        "empty track bars": 1 - filled / sum(piece.n_bars * len(piece.tracks) for piece in pieces),
        "commonest metre": f"{metre} ({in_metre / n_bars:.0%})",
        "commonest key": f"{key} ({in_key / len(pieces):.0%})",
        "keys, bits": entropy(keys.values()) if keys else 0.0,
        "pitch classes, bits": float(np.mean(classes)),
        "with a near-duplicate": sum(size for size in groups.values() if size > 1) / len(pieces),
    }
    for name, kind in kinds.items():
        mean, _ = distinct([kind(piece, i) for i, piece in enumerate(pieces)])
        row[f"distinct {name}"] = mean
    return row


def row(name: str, cache: str | None) -> dict[str, float | str] | None:
    """Load and measure one corpus; None where it has to be fetched first."""
    try:
        CORPORA[name].load(cache=cache)
    except FetchError:
        return None
    start = time.process_time()
    pieces = CORPORA[name].load(cache=cache)
    loaded = time.process_time()
    found = measures(pieces)
    found |= {"seconds to load": loaded - start, "seconds to measure": time.process_time() - loaded}
    report = corpus_folder(name, cache) / "notes" / "report.json"
    if report.exists():
        facts = Report.load(report).summary()
        found["off the grid"] = float(facts["off the grid"])
    return found


def shown(value: float | str | None) -> str:
    """A number as the table has it: thousands, or a few digits."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CORPORA)}; by default all")
    parser.add_argument("--cache", help="the folder of all downloads")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CORPORA]
    if unknown:
        parser.error(f"no corpus is named {unknown[0]!r}; there are {', '.join(CORPORA)}")
    rows: dict[str, dict[str, float | str]] = {}
    missing = []
    for name in options.names or CORPORA:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found = pool.submit(row, name, options.cache).result()
        if found is None:
            missing.append(name)
        else:
            rows[name] = found
            print(f"{name}: {found['seconds to load']:.1f} s to load, {found['seconds to measure']:.1f} s to measure")
    names = list(dict.fromkeys(key for found in rows.values() for key in found))
    print(f"\n| | {' | '.join(rows)} |\n|---|{'---|' * len(rows)}")
    for measure in names:
        print(f"| {measure} | {' | '.join(shown(found.get(measure)) for found in rows.values())} |")
    if missing:
        print(f"\nNot on disk (ganmusic corpora fetch NAME): {', '.join(missing)}")


if __name__ == "__main__":
    main()
