"""Comparing: generated clips beside held-out ones, number by number.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version

import numpy as np
from tqdm.auto import tqdm

from ganmusic.evaluation.clips import N_CLIPS, Clips, check_like
from ganmusic.evaluation.report import NOT_IN_REAL, NOT_IN_THESE, Report, Row
from ganmusic.evaluation.statistics import STATISTICS, Missing, Reference, Sample, Statistic
from ganmusic.metrics import METRICS
from ganmusic.metrics.controls import CONTROLS
from ganmusic.metrics.distribution import TooFewClips
from ganmusic.metrics.harmony import FloatArray
from ganmusic.pianoroll import IntArray, Roll

__all__ = ["evaluate"]

#: Times that held-out pieces are divided in two; the first few of them also judge the controls.
DIVISIONS, NULL_DIVISIONS = 20, 4
#: Times that pieces are drawn for an interval, and fewest pieces that there must be to draw from.
DRAWS, MIN_PIECES = 1000, 5
#: A gap in standard deviations that is noticed.
NOTICED = 0.5
#: How the reason begins if there are too few pieces.
FEW = "needs at least"


def evaluate(
    generated: Clips,
    reference: Reference,
    *,
    seed: int = 0,
    name: str = "",
    remarks: Sequence[str] = (),
    progress: bool = False,
) -> Report:
    """Compare generated clips with held-out music: every clip metric, every statistic, and the joint verdict.

    Parameters
    ----------
    generated : Clips
        On the reference's grid, with its tracks and as many bars.
    reference : Reference
    seed : int
        Decides the divisions, the controls and the bootstrap: the same seed, the same report.
    name : str
        What is compared, for the report's title.
    remarks : sequence of str
        Sentences for the report: where the clips come from, and what was left out.
    progress : bool
        Show how far it is.

    Raises
    ------
    ValueError
        If there is no clip, or the grids, the tracks or the number of bars differ; both are named.

    Taught in: notebooks/04-evaluation.ipynb
    """
    if not len(generated):
        raise ValueError("there are no generated clips to evaluate")
    held_out = reference.held_out
    check_like(generated, held_out, "the generated clips", f"those of {reference.name!r}")
    ours = Sample(generated, reference)
    bar = tqdm(total=1 + len(STATISTICS), unit="number", desc="evaluating", leave=False, disable=not progress)
    with bar:
        rows, values = _clip_rows(ours, reference, seed)
        bar.update()
        halves = _divided(held_out.groups, DIVISIONS, seed)
        draws = _Draws(ours, reference, halves, seed)
        for statistic in STATISTICS:
            rows.append(draws.row(statistic))
            bar.update()
    facts = {
        "name": name,
        "corpus": reference.name,
        "bars": int(held_out.roll.sounding.shape[2]),
        "grid": asdict(held_out.grid),
        "tracks": list(held_out.tracks),
        "drums": held_out.is_drum.tolist(),
        "clips": {
            "generated": len(generated),
            "generated_pieces": len(np.unique(generated.groups)),
            "held_out": len(held_out),
            "held_out_pieces": len(np.unique(held_out.groups)),
            "training": len(reference.training),
            "training_pieces": len(reference.pieces),
            "each_side": draws.n[False] if halves else 0,
            "searched": int((~np.isnan(ours.copied(2))).sum()),
        },
        "divisions": len(halves),
        "seed": seed,
        "versions": {
            "ganmusic": version("ganmusic"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": version("scipy"),
            "scikit-learn": version("scikit-learn"),
        },
    }
    return Report(tuple(rows), facts, values, tuple(remarks))


def _clip_rows(
    ours: Sample, reference: Reference, seed: int
) -> tuple[list[Row], dict[str, tuple[FloatArray, FloatArray, FloatArray]]]:
    """The rows of the clip metrics, and the values they come from."""
    real = reference.held_out_sample
    spoilt = {}
    for control in {metric.null for metric in METRICS.values()}:
        key = ("clip metrics", control, seed)
        if key not in reference.known:
            reference.known[key] = Sample(_broken(real.clips, control, seed), reference).values
        spoilt[control] = reference.known[key]
    gaps = _gaps(ours, real, seed)
    rows, values = [], {}
    for name, metric in METRICS.items():
        row = Row(name, metric.dimension, metric.unit, "clip", metric.null, "both")
        values[name] = ours.values[name], real.values[name], spoilt[metric.null][name]
        mine, theirs, broken = (column[~np.isnan(column)] for column in values[name])
        if not len(theirs):
            rows.append(replace(row, reason=NOT_IN_REAL))
            continue
        mean = float(theirs.mean())
        low, high = (float(end) for end in np.percentile(theirs, [5, 95]))
        # Where nearly all clips have one value, real music's own mean may lie outside their percentiles.
        row = replace(row, real=mean, low=min(low, mean), high=max(high, mean))
        if len(mine):
            value = float(mine.mean())
            null = float(broken.mean()) if len(broken) else None
            d, d_low, d_high, reason = gaps[name]
            row = replace(row, n=len(mine), value=value, null=null, place=_place(value, mean, null))
            row = replace(row, d=d, d_low=d_low, d_high=d_high, reason=reason)
            # The band of a metric that is nearly always 0 has no width, and real music itself would fall out of it. A
            # wide interval is no evidence of likeness: it must leave no room for a gap that one would notice.
            alike = d_low is not None and d_high is not None and -NOTICED < d_low <= 0 <= d_high < NOTICED
            row = replace(row, passed=None if reason.startswith(FEW) else _within(row) or alike)
        else:
            row = replace(row, passed=False, reason=NOT_IN_THESE)
        rows.append(row)
    return rows, values


def _broken(clips: Clips, control: str, seed: int) -> Clips:
    """Clips that a control has spoilt, the pitched tracks and the drums apart: a drum is nobody's bass."""
    planes = [plane.copy() for plane in clips.roll]
    for of_drums in (False, True):
        tracks = np.flatnonzero(clips.is_drum == of_drums)
        if len(tracks):
            broken = CONTROLS[control](Roll(*(plane[:, tracks] for plane in clips.roll)), clips.grid, seed)
            for plane, part in zip(planes, broken, strict=True):
                plane[:, tracks] = part
    return clips.with_roll(Roll(*planes))


def _within(row: Row) -> bool:
    """Whether the value is no worse than the band; rounding must not decide."""
    value, low, high = (math.nan if number is None else number for number in (row.value, row.low, row.high))
    little = 1e-9 * max(1.0, abs(low), abs(high))
    return (row.worse == "smaller" or value <= high + little) and (row.worse == "larger" or value >= low - little)


def _place(value: float, real: float, null: float | None) -> float | None:
    """Where a value lies between real music and a control; None if these are the same."""
    if null is None or abs(null - real) < 1e-9 * max(1.0, abs(real)):
        return None
    return (value - real) / (null - real)


def _gaps(
    ours: Sample, real: Sample, seed: int
) -> dict[str, tuple[float | None, float | None, float | None, str]]:
    """Cohen's d of each clip metric, the ends of its interval, and why one of them is missing."""
    rng = np.random.default_rng(seed)
    names = list(METRICS)
    once, often, n_known = [], [], []
    for sample in (ours, real):
        table = np.stack([sample.values[name] for name in names], 1)
        groups = sample.groups
        n_groups = int(groups.max()) + 1
        # Of each piece: how many values there are, their sum and the sum of their squares, from which all follows.
        known = ~np.isnan(table)
        filled = np.where(known, table - np.where(known, table, 0).sum(0) / np.maximum(1, known.sum(0)), 0)
        centre = np.where(known, table, 0).sum(0) / np.maximum(1, known.sum(0))
        sums = np.zeros((n_groups, 3, len(names)))
        np.add.at(sums, groups, np.stack([known, filled, filled**2], 1).astype(float))
        weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=DRAWS).astype(float)
        once.append(_moments(sums.sum(0)[None], centre))
        often.append(_moments(np.einsum("dg,gkm->dkm", weights, sums), centre))
        n_known.append((sums[:, 0] > 0).sum(0))
    d, drawn = _cohen(*once)[0], _cohen(*often)
    found: dict[str, tuple[float | None, float | None, float | None, str]] = {}
    for k, name in enumerate(names):
        n_pieces = int(min(n[k] for n in n_known))
        whose = "generated" if n_known[0][k] <= n_known[1][k] else "held-out"
        if n_pieces < MIN_PIECES:
            found[name] = None, None, None, f"{FEW} {MIN_PIECES} {whose} pieces, {n_pieces} given"
        elif np.isnan(d[k]):
            found[name] = None, None, None, "no value differs from another, so there is no d"
        else:
            ends = drawn[:, k][~np.isnan(drawn[:, k])]
            low, high = np.percentile(ends, [2.5, 97.5]) if len(ends) else (d[k], d[k])
            found[name] = float(d[k]), float(low), float(high), ""
    return found


def _moments(sums: FloatArray, centre: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance from ``(draw, count and sum and squares, metric)``; sums are those about the centre."""
    count = np.maximum(sums[:, 0], 1)
    mean = sums[:, 1] / count
    return np.where(sums[:, 0] > 0, mean + centre, np.nan), np.maximum(sums[:, 2] / count - mean**2, 0)


def _cohen(ours: tuple[FloatArray, FloatArray], real: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Cohen's d; 0 where nothing varies and nothing differs, NaN where nothing varies and the means differ."""
    spread, gap = np.sqrt((ours[1] + real[1]) / 2), ours[0] - real[0]
    flat = spread <= 1e-9
    return np.asarray(np.where(flat, np.where(np.abs(gap) <= 1e-9, 0.0, np.nan), gap / np.where(flat, 1, spread)))


def _divided(groups: IntArray, times: int, seed: int) -> list[tuple[IntArray, IntArray]]:
    """Divide clips in two halves of whole pieces, about equally large, several times; one piece is not divided."""
    sizes = np.bincount(groups)
    if len(sizes) < 2:
        return []
    halves = []
    for k in range(times):
        order = np.random.default_rng([seed, k]).permutation(len(sizes))
        reached = np.cumsum(sizes[order])
        cut = 1 + int(np.abs(reached[:-1] - reached[-1] / 2).argmin())
        in_first = np.isin(groups, order[:cut])
        halves.append((np.flatnonzero(in_first), np.flatnonzero(~in_first)))
    return halves


class _Draws:
    """Statistics over the divisions of held-out music."""

    def __init__(
        self, ours: Sample, reference: Reference, halves: Sequence[tuple[IntArray, IntArray]], seed: int
    ) -> None:
        self.ours, self.reference, self.seed, self.halves = ours, reference, seed, halves
        found = reference.held_out_sample.searched
        #: The halves, and of each the clips that are searched for copies.
        self.pools = {
            False: halves,
            True: [(half[np.isin(half, found)], other[np.isin(other, found)]) for half, other in halves],
        }
        #: Clips on each side.
        self.n = {
            searches: min([N_CLIPS, len(ours), *(len(half) for pair in pools for half in pair)])
            for searches, pools in self.pools.items()
        }

    def row(self, name: str) -> Row:
        """Measure one statistic."""
        statistic = STATISTICS[name]
        n = self.n[statistic.searches]
        row = Row(name, statistic.dimension, statistic.unit, "set", statistic.null, statistic.worse, n)
        if not self.halves:
            return replace(row, n=0, reason="needs at least 2 held-out pieces, 1 given")

        def measured(judged: Callable[[Statistic, int], Sample], times: int) -> list[float]:
            training = self.reference.training_sample
            found, missing = [], None
            for k in range(times):
                try:
                    found.append(statistic.function(judged(statistic, k), self._real(statistic, k), training))
                except Missing as error:  # one draw may leave a piece out
                    missing = error
            if missing is not None and not found:
                raise missing
            return found

        try:
            values = measured(self._ours, DIVISIONS)
            # What does not depend on the music that is judged is measured once a reference.
            known, key = self.reference.known, (name, n, self.seed)
            if key not in known:
                # To search for copies takes longer than all the rest.
                times = 1 if statistic.searches else NULL_DIVISIONS
                known[key] = measured(self._other, DIVISIONS), measured(self._spoilt, times)
            real, null = known[key]
        except TooFewClips as error:
            return replace(row, reason=self._too_few(error, statistic))
        except Missing as error:
            return replace(row, reason=str(error))
        if np.isnan(real).all():
            return replace(row, reason=NOT_IN_REAL)
        mean = float(np.nanmean(real))
        # Two halves of one set stray less than new pieces would: where one is above the whole's mean, the other is
        # below it. Sampling without replacement at one half takes half of the variance away.
        low, high = (mean + math.sqrt(2) * (float(end) - mean) for end in np.nanpercentile(real, [5, 95]))
        if np.nanmin(real) >= 0:  # a share has no band below 0
            low = max(low, 0.0)
        row = replace(row, real=mean, low=low, high=high)
        if np.isnan(values).all():
            return replace(row, reason=NOT_IN_THESE)
        value = float(np.nanmean(values))
        spoilt = None if np.isnan(null).all() else float(np.nanmean(null))
        row = replace(row, value=value, null=spoilt, place=_place(value, mean, spoilt))
        return replace(row, passed=_within(row))

    def _too_few(self, error: TooFewClips, statistic: Statistic) -> str:
        smallest = min(len(half) for pair in self.pools[statistic.searches] for half in pair)
        if len(self.ours) < error.needed:
            return f"needs at least {error.needed} clips, {len(self.ours)} given"
        if smallest < error.needed:
            return f"needs at least {error.needed} clips in each half of the held-out music, {smallest} given"
        return f"needs at least {error.needed} clips with something to measure, {min(error.given)} given"

    def _chosen(self, rows: IntArray, k: int, which: int, statistic: Statistic) -> IntArray:
        rng = np.random.default_rng([self.seed, k, which])
        return np.sort(rng.permutation(rows)[: self.n[statistic.searches]])

    def _ours(self, statistic: Statistic, k: int) -> Sample:
        rows = self.ours.searched if statistic.searches else np.arange(len(self.ours))
        return self.ours.select(self._chosen(rows, k, 2, statistic))

    def _half(self, statistic: Statistic, k: int, which: int) -> Sample:
        rows = self._chosen(self.pools[statistic.searches][k][which], k, which, statistic)
        return self.reference.held_out_sample.select(rows)

    def _real(self, statistic: Statistic, k: int) -> Sample:
        """The half that is the reference."""
        return self._half(statistic, k, 0)

    def _other(self, statistic: Statistic, k: int) -> Sample:
        """The half that stands for real music."""
        return self._half(statistic, k, 1)

    def _spoilt(self, statistic: Statistic, k: int) -> Sample:
        """A control made of the half that stands for real music, or of training music."""
        key = ("control", statistic.null, statistic.of_training, self.n[statistic.searches], self.seed, k)
        if key not in self.reference.known:
            if statistic.of_training:
                training = self.reference.training
                real = training.select(self._chosen(np.arange(len(training)), k, 3, statistic))
            else:
                real = self._other(statistic, k).clips
            self.reference.known[key] = Sample(_broken(real, statistic.null, self.seed + k), self.reference)
        found: Sample = self.reference.known[key]
        return found
