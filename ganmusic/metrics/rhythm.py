"""Rhythm: when notes begin, and how long they last.

Metrics are as in `ganmusic.metrics.harmony`: one number a clip.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np

from ganmusic.metrics.harmony import FloatArray, divide
from ganmusic.metrics.melody import melodies, moves
from ganmusic.pianoroll import Grid, Roll, note_starts

__all__ = ["change_rate", "empty_bars", "groove_similarity", "notes_per_bar", "qualified_notes"]


def notes_per_bar(roll: Roll, grid: Grid) -> FloatArray:
    """Notes that begin in a bar, all tracks together."""
    starts = note_starts(roll)
    return starts.sum((1, 2, 3, 4)) / starts.shape[2]


def change_rate(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the steps on which a sounding track's melody moves to another pitch."""
    _, moved = moves(roll)
    sounds = ~np.isnan(melodies(roll))
    return divide(moved.sum((1, 2)), (sounds[..., 1:] & sounds[..., :-1]).sum((1, 2)))


def qualified_notes(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the notes that last at least half a beat (an eighth note in 4/4).

    Notes cut off by the end of the clip before they could are left out.
    Source: Dong et al. 2018a, sec. 6.1, with the bound in beats (their code's, in steps, differs from the paper's).
    """
    length = max(grid.steps_per_beat // 2, 1)
    shape = roll.sounding.shape
    starts = note_starts(roll).reshape(*shape[:2], -1, shape[-1])
    goes_on = roll.sounding.reshape(starts.shape) & ~starts
    countable = starts[:, :, : starts.shape[2] - length + 1]
    long = countable.copy()
    for ahead in range(1, length):
        long &= goes_on[:, :, ahead : ahead + long.shape[2]]
    return divide(long.sum((1, 2, 3)), countable.sum((1, 2, 3)))


def empty_bars(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the bars, track by track, in which nothing sounds. Source: Dong et al. 2018a, sec. 6.1."""
    return np.asarray(1 - roll.sounding.any((3, 4)).mean((1, 2)))


def groove_similarity(roll: Roll, grid: Grid) -> FloatArray:
    """Mean over all pairs of bars of ``1 - (onset patterns that differ) / steps``; 1 where every bar has the
    same rhythm. Source: Wu & Yang 2020, sec. 4. NaN for clips of one bar.
    """
    groove = note_starts(roll).any((1, 4)).astype(float)  # (n, bar, step)
    n_bars, n_steps = groove.shape[1:]
    agree = groove @ groove.transpose(0, 2, 1) + (1 - groove) @ (1 - groove).transpose(0, 2, 1)
    pairs = n_bars * (n_bars - 1)
    return divide(agree.sum((1, 2)) / n_steps - n_bars, pairs)
