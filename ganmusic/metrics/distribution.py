"""Distribution: whether the clips, taken together, are like real ones.

A generator can make one perfect clip for ever; only a comparison of whole sets sees it. Each clip becomes a
vector of what a listener could count, standardised by real clips; two sets are compared through the mean and
the covariance of their vectors.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from ganmusic.metrics import harmony, melody, rhythm
from ganmusic.metrics.harmony import FloatArray, divide
from ganmusic.pianoroll import Grid, Roll

__all__ = ["FeatureSpace", "features", "frechet_distance"]


def features(roll: Roll, grid: Grid) -> FloatArray:
    """Describe each clip by countable features, ``[shape=(n, 12 + 12 + 13 + 4 * track + 11)]``.

    Shares of the pitch classes; of the interval classes between adjacent tracks; of the moves by size (0: held or
    repeated, up to 12 and wider); each track's mean pitch, range, silence and crossing with the one above;
    and the per-clip metrics. Undefined values count as 0.
    """
    counts = harmony.pitch_class_counts(roll)
    line = melody.melodies(roll)
    gap = line[:, :-1] - line[:, 1:]
    together = ~np.isnan(gap)
    interval = np.stack([(together & (gap % 12 == k)).sum((1, 2)) for k in range(12)], 1)
    size = np.abs(np.diff(line, axis=-1))
    motion = np.stack([(np.minimum(size, 12) == k).sum((1, 2)) for k in range(13)], 1)
    sounds = ~np.isnan(line)
    center = divide(np.where(sounds, line, 0).sum(2), sounds.sum(2))
    spread = np.where(sounds, line, -np.inf).max(2) - np.where(sounds, line, np.inf).min(2)
    crossing = np.concatenate([np.zeros((len(line), 1)), divide((gap < 0).sum(2), together.sum(2))], 1)
    per_clip = [
        metric(roll, grid)
        for metric in (
            harmony.pitch_class_entropy,
            harmony.scale_consistency,
            harmony.consonant_pairs,
            harmony.triads_on_beats,
            harmony.tonal_distance,
            melody.step_rate,
            melody.leap_rate,
            rhythm.notes_per_bar,
            rhythm.change_rate,
            rhythm.qualified_notes,
            rhythm.groove_similarity,
        )
    ]
    table = np.concatenate(
        [
            divide(counts, counts.sum(1, keepdims=True)),
            divide(interval, interval.sum(1, keepdims=True)),
            divide(motion, motion.sum(1, keepdims=True)),
            center,
            np.where(np.isfinite(spread), spread, 0),
            1 - sounds.mean(2),
            crossing,
            np.stack(per_clip, 1),
        ],
        1,
    )
    return np.nan_to_num(table, nan=0.0)


class FeatureSpace:
    """Features standardised by a set of real clips.

    Parameters
    ----------
    roll : Roll
        Real clips, the training set's as a rule.
    grid : Grid
    clip : float
        Standard deviations beyond which a feature counts no more: rare bins would explode otherwise.

    Taught in: notebooks/04-evaluation.ipynb
    """

    def __init__(self, roll: Roll, grid: Grid, clip: float = 5.0) -> None:
        table = features(roll, grid)
        self.grid, self.clip = grid, clip
        self.mean, self.scale = table.mean(0), table.std(0)
        # A feature that never varies in real music still has to show that it does elsewhere.
        self.scale = np.maximum(self.scale, 0.01)

    def __call__(self, roll: Roll) -> FloatArray:
        """Standardised, clipped features of clips, ``[shape=(n, feature)]``."""
        table = (features(roll, self.grid) - self.mean) / self.scale
        return np.asarray(np.clip(table, -self.clip, self.clip))


def frechet_distance(x: FloatArray, y: FloatArray) -> float:
    """``||mu_x - mu_y||^2 + Tr(S_x + S_y - 2 (S_x S_y)^(1/2))`` of two sets of feature vectors.

    The squared Wasserstein-2 distance of two Gaussians with the sets' means and covariances (Dowson & Landau
    1982; Heusel et al. 2017). It is biased upwards for few clips: compare only sets of equal size.

    Raises
    ------
    ValueError
        If a set has fewer than two clips.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"a Frechet distance needs at least 2 clips on each side, not {len(x)} and {len(y)}")
    s_x, s_y = (np.atleast_2d(np.cov(z, rowvar=False)) for z in (x, y))
    # The eigenvalues of S_x S_y are those of a positive semi-definite matrix: their roots' sum is the trace.
    roots = np.sqrt(np.maximum(linalg.eigvals(s_x @ s_y).real, 0))
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s_x) + np.trace(s_y) - 2 * roots.sum())
