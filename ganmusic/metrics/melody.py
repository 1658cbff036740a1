"""Melody: how each voice moves.

A track's melody is its highest sounding pitch at each step; a *move* is a change of that pitch from one
step to the next, both sounding. Metrics are as in `ganmusic.metrics.harmony`: one number a clip.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ganmusic.metrics.harmony import FloatArray, divide, mean_where
from ganmusic.metrics.reading import highest, once
from ganmusic.pianoroll import Grid, Roll

__all__ = ["interval_distance", "leap_rate", "melodies", "moves", "pitch_range", "step_rate"]


@once
def melodies(roll: Roll) -> FloatArray:
    """Highest sounding pitch's index at each step ``[shape=(n, track, time)]``; NaN in silence.

    Taught in: notebooks/04-evaluation.ipynb
    """
    top = highest(roll)
    return np.where(top >= 0, top, np.nan)


@once
def moves(roll: Roll) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Size of each change in semitones ``[shape=(n, track, time - 1)]``, and where there is one.

    Taught in: notebooks/04-evaluation.ipynb
    """
    size = np.diff(melodies(roll), axis=-1)
    return size, ~np.isnan(size) & (size != 0)


def step_rate(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the moves that are steps: one or two semitones. Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    size, moved = moves(roll)
    return divide((moved & (np.abs(size) <= 2)).sum((1, 2)), moved.sum((1, 2)))


def leap_rate(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the moves that are wider than a fifth: more than seven semitones. Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    size, moved = moves(roll)
    return divide((moved & (np.abs(size) > 7)).sum((1, 2)), moved.sum((1, 2)))


def pitch_range(roll: Roll, grid: Grid) -> FloatArray:
    """Semitones between a melody's highest and lowest pitch, averaged over the tracks that sound.

    Oracle: `muspy.pitch_range` of each track alone.

    Taught in: notebooks/04-evaluation.ipynb
    """
    top = highest(roll)
    above = roll.sounding.shape[-1]
    span = top.max(-1, initial=-1) - np.where(top >= 0, top, above).min(-1, initial=above)
    return mean_where(span, span >= 0)


def interval_distance(roll: Roll, reference: Roll, grid: Grid) -> float:
    """How differently two sets of clips move: the Wasserstein-1 distance between the distributions of their signed
    moves in semitones, averaged over the tracks; NaN if no track moves in both sets.

    Moves up and down are told apart: a melody that leaps up and falls in steps is not the same the other way round.
    It is a statistic of whole sets, and larger for few clips even of the same music: compare at equal numbers.
    Source: Fang et al. 2020 (intervals of each voice). Oracle: `scipy.stats.wasserstein_distance`.

    Parameters
    ----------
    roll, reference : Roll
        Clips ``[shape=(n, track, bar, step, pitch)]`` with the same tracks; the number of clips and bars may differ.
    grid : Grid

    Raises
    ------
    ValueError
        If the numbers of tracks differ.

    Taught in: notebooks/04-evaluation.ipynb
    """
    # It takes half a second to import, and training, which reads this module, has no use for it.
    from scipy.stats import wasserstein_distance

    n_tracks = [clips.sounding.shape[1] for clips in (roll, reference)]
    if n_tracks[0] != n_tracks[1]:
        raise ValueError(f"intervals are compared track by track, and {n_tracks[0]} tracks are not {n_tracks[1]}")
    found = [moves(clips) for clips in (roll, reference)]
    of_track = [[size[:, track][moved[:, track]] for size, moved in found] for track in range(n_tracks[0])]
    distances = [wasserstein_distance(ours, theirs) for ours, theirs in of_track if len(ours) and len(theirs)]
    return float(np.mean(distances)) if distances else float("nan")
