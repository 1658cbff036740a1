"""Melody: how each voice moves.

A track's melody is its highest sounding pitch at each step; a *move* is a change of that pitch from one
step to the next, both sounding. Metrics are as in `ganmusic.metrics.harmony`: one number a clip.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ganmusic.metrics.harmony import FloatArray, divide
from ganmusic.pianoroll import Grid, Roll

__all__ = ["leap_rate", "melodies", "moves", "pitch_range", "step_rate"]


def melodies(roll: Roll) -> FloatArray:
    """Highest sounding pitch's index at each step ``[shape=(n, track, time)]``; NaN in silence."""
    sounding = roll.sounding.reshape(*roll.sounding.shape[:2], -1, roll.sounding.shape[-1])
    top = sounding.shape[-1] - 1 - sounding[..., ::-1].argmax(-1)
    return np.where(sounding.any(-1), top, np.nan)


def moves(roll: Roll) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Size of each change in semitones ``[shape=(n, track, time - 1)]``, and where there is one."""
    size = np.diff(melodies(roll), axis=-1)
    return size, ~np.isnan(size) & (size != 0)


def step_rate(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the moves that are steps: one or two semitones."""
    size, moved = moves(roll)
    return divide((moved & (np.abs(size) <= 2)).sum((1, 2)), moved.sum((1, 2)))


def leap_rate(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the moves that are wider than a fifth: more than seven semitones."""
    size, moved = moves(roll)
    return divide((moved & (np.abs(size) > 7)).sum((1, 2)), moved.sum((1, 2)))


def pitch_range(roll: Roll, grid: Grid) -> FloatArray:
    """Semitones between a melody's highest and lowest pitch, averaged over the tracks that sound."""
    melody = melodies(roll)
    sounds = ~np.isnan(melody)
    highest = np.where(sounds, melody, -np.inf).max(-1)
    lowest = np.where(sounds, melody, np.inf).min(-1)
    heard = sounds.any(-1)
    return divide(np.where(heard, highest - lowest, 0).sum(1), heard.sum(1))
