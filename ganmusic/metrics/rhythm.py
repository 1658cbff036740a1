"""Rhythm: when notes begin, and how long they last.

Metrics are as in `ganmusic.metrics.harmony`: one number a clip.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ganmusic.metrics.harmony import FloatArray, count, divide
from ganmusic.metrics.melody import moves
from ganmusic.metrics.reading import highest, lowest, notes, once, read
from ganmusic.pianoroll import Grid, Roll

__all__ = [
    "change_rate",
    "empty_bars",
    "groove_similarity",
    "notes_per_bar",
    "onsets_per_beat",
    "polyphony_rate",
    "qualified_notes",
]


@once
def onsets(roll: Roll) -> npt.NDArray[np.bool_]:
    """Whether any note begins on each step ``[shape=(n, time)]``, all tracks together."""
    n, _, n_bars, n_steps, _ = roll.sounding.shape
    note = notes(roll)
    return count(note.clip * (n_bars * n_steps) + note.time, (n, n_bars * n_steps)) > 0


def notes_per_bar(roll: Roll, grid: Grid) -> FloatArray:
    """Notes that begin in a bar, all tracks together. Oracle: the notes of `ganmusic.pianoroll.roll_to_notes`.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return count(notes(roll).clip, (len(roll.sounding),)) / roll.sounding.shape[2]


def onsets_per_beat(roll: Roll, grid: Grid) -> FloatArray:
    """Steps on which at least one note begins, for each beat: 1 for quarter notes in 4/4, however many sound.

    Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return np.asarray(onsets(roll).sum(1) / (roll.sounding.shape[2] * grid.beats_per_bar))


def polyphony_rate(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the sounding steps on which at least two different pitches sound, in one track or in several.

    Published numbers differ by definition: one implementation counts two pitches or more, others more than two, and
    some divide by all steps, silent ones too. Source: Dong & Yang 2018. Oracle: `muspy.polyphony_rate` with
    ``threshold=1`` (it counts *more* than the threshold), times all steps, by those that sound.

    Taught in: notebooks/04-evaluation.ipynb
    """
    roll = read(roll)
    top, bottom = highest(roll).max(1, initial=-1), lowest(roll)
    # Two pitches sound where the highest of all tracks is not the lowest too.
    bottom = np.where(bottom < 0, roll.sounding.shape[-1], bottom).min(1, initial=roll.sounding.shape[-1])
    return divide((top > bottom).sum(1), (top >= 0).sum(1))


def change_rate(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the steps on which a sounding track's melody moves to another pitch. Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    roll = read(roll)
    sounds = highest(roll) >= 0
    return divide(moves(roll)[1].sum((1, 2)), (sounds[..., 1:] & sounds[..., :-1]).sum((1, 2)))


def qualified_notes(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the notes that last at least half a beat (an eighth note in 4/4).

    Notes cut off by the end of the clip before they could are left out; a tie over a bar line is one note.
    Source: Dong et al. 2018a, sec. 6.1, with the bound in beats (their code's, in steps, differs from the paper's).
    Oracle: the durations of `ganmusic.pianoroll.roll_to_notes`.

    Taught in: notebooks/04-evaluation.ipynb
    """
    n, _, n_bars, n_steps, _ = roll.sounding.shape
    length = max(-(-grid.steps_per_beat // 2), 1)
    note = notes(roll)
    countable = note.time <= n_bars * n_steps - length
    clip, track, time, pitch = (table[countable] for table in (note.clip, note.track, note.time, note.pitch))
    long = np.ones(len(clip), bool)
    for ahead in range(1, length):
        at = (clip, track, *np.divmod(time + ahead, n_steps), pitch)
        long &= np.asarray(roll.sounding[at], bool) & ~np.asarray(roll.onset[at], bool)
    return divide(count(clip[long], (n,)), count(clip, (n,)))


def empty_bars(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the bars, track by track, in which nothing sounds.

    Source: Dong et al. 2018a, sec. 6.1. Oracle: `muspy.empty_measure_rate` of each track alone, which counts a bar more
    where music ends on a bar line, and a note into the bar that it ends at.

    Taught in: notebooks/04-evaluation.ipynb
    """
    n, n_tracks, n_bars = roll.sounding.shape[:3]
    sounds = (highest(roll) >= 0).reshape(n, n_tracks, n_bars, grid.n_steps).any(3)
    return np.asarray(1 - sounds.mean((1, 2)))


def groove_similarity(roll: Roll, grid: Grid) -> FloatArray:
    """Mean over all pairs of bars of ``1 - (onset patterns that differ) / steps``; 1 where every bar has the
    same rhythm, silence among them. NaN for clips of one bar.

    It depends on the grid: the finer it is, the more steps are empty in all bars, and the higher the value. Source:
    Wu & Yang 2020, sec. 4. Oracle: `muspy.groove_consistency` for clips of two bars, with a barline's extra bar.

    Taught in: notebooks/04-evaluation.ipynb
    """
    n, _, n_bars, n_steps, _ = roll.sounding.shape
    groove = onsets(roll).reshape(n, n_bars, n_steps).astype(float)
    agree = groove @ groove.transpose(0, 2, 1) + (1 - groove) @ (1 - groove).transpose(0, 2, 1)
    pairs = n_bars * (n_bars - 1)
    return divide(agree.sum((1, 2)) / n_steps - n_bars, pairs)
