"""Structure: whether the bars of a clip belong together.

Metrics are as in `ganmusic.metrics.harmony`: one number a clip. A clip of four bars shows little of form: compare
only clips of the same length.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np

from ganmusic.metrics.harmony import FloatArray, chords, count, divide, entropy, mean_where
from ganmusic.metrics.reading import notes, once
from ganmusic.pianoroll import Grid, Roll

__all__ = ["bar_entropy", "four_bar_entropy", "progression_irregularity", "recurrence"]

#: Bars of a passage that may return.
PASSAGE = 2


@once
def _bar_pitch_classes(roll: Roll) -> FloatArray:
    """Notes of each pitch class in each bar, all tracks together ``[shape=(n, bar, 12)]``."""
    n, _, n_bars, n_steps, _ = roll.sounding.shape
    note = notes(roll)
    bar = note.clip * n_bars + note.time // n_steps
    return count(bar * 12 + note.pitch % 12, (n, n_bars, 12)).astype(float)


def _window_entropy(roll: Roll, n_bars: int) -> FloatArray:
    """Mean over all windows of so many bars, silent ones left out, of the entropy of their pitch classes."""
    counts = _bar_pitch_classes(roll)
    n_windows = counts.shape[1] - n_bars + 1
    if n_windows < 1:
        return np.full(len(counts), np.nan)
    windows = np.zeros((len(counts), n_windows, 12))
    for bar in range(n_bars):
        windows += counts[:, bar : bar + n_windows]
    values = entropy(windows)
    return mean_where(values, ~np.isnan(values))


def bar_entropy(roll: Roll, grid: Grid) -> FloatArray:
    """Entropy of the pitch classes of one bar, in bits, mean over the bars with notes: how many a bar uses (H1).

    Notes count in the bar that they begin in, once, however long they are.
    Source: Wu & Yang 2020, sec. 4. Oracle: `muspy.pitch_class_entropy` of each bar alone.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return _window_entropy(roll, 1)


def four_bar_entropy(roll: Roll, grid: Grid) -> FloatArray:
    """Entropy of the pitch classes of four bars, in bits, mean over all passages of four bars with notes; NaN for
    shorter clips (H4).

    Of clips of four bars it is `ganmusic.metrics.harmony.pitch_class_entropy`.
    Source: Wu & Yang 2020, sec. 4. Oracle: `muspy.pitch_class_entropy` of each passage alone.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return _window_entropy(roll, 4)


def recurrence(roll: Roll, grid: Grid) -> FloatArray:
    """How much of a passage of two bars returns, 0 to 1: the share of its notes that the most similar other passage
    has too, mean over the passages that sound. NaN for clips of fewer than four bars.

    A passage P is the set of its notes' (onset, pitch), all tracks together, and begins at any bar; the others, Q, do
    not overlap it::

        max over Q of |P and Q| / max(|P|, |Q|)

    It is the score of `ganmusic.metrics.novelty`, of a clip with itself and without transposition; a passage returns
    entirely in few clips of four bars, so the score is not cut at a threshold.
    Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    n, _, n_bars, n_steps, n_pitches = roll.sounding.shape
    n_passages = n_bars - PASSAGE + 1
    if n_bars < 2 * PASSAGE:
        return np.full(n, np.nan)
    note = notes(roll)
    bars = np.zeros((n, n_bars, n_steps * n_pitches), np.float32)
    bars.reshape(-1)[(note.clip * (n_bars * n_steps) + note.time) * n_pitches + note.pitch] = 1
    # What two bars share, and so what two passages do: sums along the diagonals.
    alike = bars @ bars.swapaxes(1, 2)
    common = np.zeros((n, n_passages, n_passages))
    for k in range(PASSAGE):
        common += alike[:, k : k + n_passages, k : k + n_passages]
    size = np.diagonal(common, axis1=1, axis2=2)
    place = np.arange(n_passages)
    apart = abs(place[:, None] - place) >= PASSAGE
    score = np.where(apart, common, 0) / np.maximum(np.maximum(size[:, :, None], size[:, None]), 1)
    return mean_where(score.max(2), (size > 0) & apart.any(1))


def progression_irregularity(roll: Roll, grid: Grid) -> FloatArray:
    """Share of different ones among the sequences of three chords, beat by beat: 1 where no progression ever returns.

    Sequences with a silent beat are left out. Short clips have few, so that nearly all differ.
    Source: Wu & Yang 2020, sec. 4 (chord progression irregularity), with chords estimated beat by beat
    (`ganmusic.metrics.harmony.chords`). Oracle: hand-made cases; the published code divides by one less than there are.

    Taught in: notebooks/04-evaluation.ipynb
    """
    chord = chords(roll, grid)
    first, second, third = chord[:, :-2], chord[:, 1:-1], chord[:, 2:]
    whole = (first >= 0) & (second >= 0) & (third >= 0)
    name = np.sort(np.where(whole, (first * 48 + second) * 48 + third, -1), axis=1)
    new = np.ones(name.shape, bool)
    new[:, 1:] = name[:, 1:] != name[:, :-1]
    return divide((new & (name >= 0)).sum(1), whole.sum(1))
