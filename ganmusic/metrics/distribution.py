"""Distribution: whether the clips, taken together, are like real ones.

A generator can make one perfect clip for ever; only a comparison of whole sets sees it. Each clip becomes a
vector of what a listener could count, standardised by real clips (`FeatureSpace`), and sets of such vectors are
compared: by their mean and covariance (`frechet_distance`), by a kernel (`kernel_distance`), by who lies near whom
(`precision_recall_density_coverage`), and by a classifier that tries to tell them apart (`classifier_auc`; `roll_auc`
on the notes themselves). `vendi_score` counts how many different clips one set holds. `overlapping_area` and
`kl_divergence` compare one metric's values, and know nothing of what that metric does not see.

All of them depend on the number of clips: compare only sets of equal size, and read each value beside the one that
real music gets against real music.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# scikit-learn takes a second to import, and training needs no more of this module than the Fréchet distance: the
# functions that need it import it.
import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.spatial.distance import cdist

from ganmusic.metrics import harmony, melody, rhythm
from ganmusic.metrics.harmony import FloatArray, divide
from ganmusic.pianoroll import Grid, Roll, chroma, note_starts

__all__ = [
    "MIN_CLIPS",
    "MIN_VALUES",
    "PRDC",
    "FeatureSpace",
    "TooFewClips",
    "classifier_auc",
    "features",
    "frechet_distance",
    "kernel_distance",
    "kl_divergence",
    "overlapping_area",
    "precision_recall_density_coverage",
    "roll_auc",
    "vendi_score",
]

#: Fewest clips on each side for what compares tables of features: with fewer, the bias outgrows what is to be measured
#: (the research log has the numbers).
MIN_CLIPS = 100
#: Fewest values on each side for what compares one column.
MIN_VALUES = 50
#: Parts that a classifier is trained and tested on in turn.
N_FOLDS = 5
#: Holds the classifier's weights small: with as many features as clips it would learn the clips by heart.
CLASSIFIER_C = 0.01


class TooFewClips(ValueError):  # noqa: N818 -- a sentence names it: too few clips
    """Raised where there are too few clips for a statistic to mean anything.

    Parameters
    ----------
    statistic : str
        Its name in a sentence, such as "the Fréchet distance".
    needed : int
        Fewest clips on each side.
    given : sequence of int
        Clips on each side.

    Taught in: notebooks/04-evaluation.ipynb
    """

    def __init__(self, statistic: str, needed: int, given: Sequence[int]) -> None:
        self.statistic, self.needed, self.given = statistic, needed, tuple(given)
        sides = " on each side" if len(self.given) > 1 else ""
        super().__init__(f"{statistic} needs at least {needed} clips{sides}, not {' and '.join(map(str, self.given))}")

    def __reduce__(self) -> tuple[type[TooFewClips], tuple[str, int, tuple[int, ...]]]:
        return type(self), (self.statistic, self.needed, self.given)


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


class PRDC(NamedTuple):
    """Precision, recall, density and coverage; see `precision_recall_density_coverage`.

    Taught in: notebooks/04-evaluation.ipynb
    """

    precision: float
    recall: float
    density: float
    coverage: float


def overlapping_area(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """``integral of min(p, q)``, with p and q the smoothed densities of two columns of values: 0 apart to 1 alike.

    Both are Gaussian kernel densities, evaluated on one common grid that reaches six bandwidths beyond both samples. A
    grid that ends at the smallest and the largest value cuts the tails off, and two grids compare the densities at
    different places: popular code does both. The bandwidth is Scott's, ``s n^(-1/5)`` with the root mean square s of
    the two standard deviations and the smaller n, and it is the same on both sides: of two columns that are 0 but for
    a few clips, one with a bandwidth of its own would be a wide bump and one a narrow, which overlap by a half. It is
    one hundredth of the common range at least, so that columns of equal values have densities too, narrow bumps. Two
    columns of one and the same value overlap by 1.

    It sees single metrics only: music whose beats are shuffled keeps its notes and overlaps almost as well as real
    music in whatever is counted note by note. Never use it alone.

    Parameters
    ----------
    x, y : array of float [shape=(n,)]
        A metric's values on two sets of clips, in any unit. NaN, a clip with nothing to measure, is left out.

    Raises
    ------
    TooFewClips
        If one side has fewer than `MIN_VALUES` (50) values.
    ValueError
        If the values are not columns of finite numbers.

    Notes
    -----
    Source: Yang & Lerch 2020, sec. 4.3, who compare distances between clips; here the values themselves are compared.
    Oracle: SciPy's ``gaussian_kde`` and ``quad``.

    Taught in: notebooks/04-evaluation.ipynb
    """
    densities = _densities("the overlapping area", x, y)
    if densities is None:
        return 1.0
    p, q, step, _ = densities
    return float(np.minimum(p, q).sum() * step)


def kl_divergence(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """``integral of p log(p / q)`` in nats, with p and q the densities of x and y: 0 where they agree.

    The densities are those of `overlapping_area`, on its one common grid, each with one more clip that lies anywhere
    on the grid with the same probability: ``(n p + u) / (n + 1)``. That nobody went there in n clips does not make a
    place impossible; without it a single clip far from the others would decide the value, and by how far it is. It is
    large where x goes and y does not (the more clips, the larger it can be), and it is not symmetric.

    Parameters
    ----------
    x, y : array of float [shape=(n,)]
        A metric's values on two sets of clips. NaN, a clip with nothing to measure, is left out.

    Raises
    ------
    TooFewClips
        If one side has fewer than `MIN_VALUES` (50) values.
    ValueError
        If the values are not columns of finite numbers.

    Notes
    -----
    Source: Yang & Lerch 2020, sec. 4.3, without the further clip. Oracle: SciPy's ``entropy`` of ``gaussian_kde``.

    Taught in: notebooks/04-evaluation.ipynb
    """
    densities = _densities("the Kullback-Leibler divergence", x, y)
    if densities is None:
        return 0.0
    p, q, step, counts = densities
    p, q = ((n * z + 1 / (len(z) * step)) / (n + 1) for n, z in zip(counts, (p, q), strict=True))
    return float((p * np.log(p / q)).sum() * step)


def _densities(
    statistic: str, x: npt.ArrayLike, y: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, float, list[int]] | None:
    """Densities of two columns on one grid, its step and the numbers of values; None if all values are the same.

    The unit is the common range, so that neither tiny nor huge numbers run out of digits.
    """
    from sklearn.neighbors import KernelDensity

    columns = [np.asarray(z, float) for z in (x, y)]
    if any(z.ndim != 1 for z in columns) or any(np.isinf(z).any() for z in columns):
        raise ValueError(f"{statistic} compares columns (n,) of finite numbers, not {[z.shape for z in columns]}")
    columns = [z[~np.isnan(z)] for z in columns]
    counts = [len(z) for z in columns]
    if min(counts) < MIN_VALUES:
        raise TooFewClips(statistic, MIN_VALUES, counts)
    low, high = min(z.min() for z in columns), max(z.max() for z in columns)
    if low == high:
        return None
    columns = [(z - low) / (high - low) for z in columns]
    width = max(np.sqrt(np.mean([z.var(ddof=1) for z in columns])) * min(counts) ** -0.2, 0.01)
    # Fine steps: the sum over the grid must be as good as the integral where the smaller density changes sides, too.
    step = float(width) / 10
    grid = np.arange(-6 * width, 1 + 6 * width, step)[:, None]
    p, q = (np.exp(KernelDensity(bandwidth=width).fit(z[:, None]).score_samples(grid)) for z in columns)
    return p, q, step, counts


def _check_tables(statistic: str, needed: int, *tables: FloatArray) -> None:
    """Refuse what are not tables of the same finite features, or hold too few clips."""
    shapes = [table.shape for table in tables]
    if any(len(shape) != 2 or not shape[1] or shape[1] != shapes[0][-1] for shape in shapes):
        raise ValueError(f"{statistic} compares tables (n, feature) with one number of features, not {shapes}")
    counts = [len(table) for table in tables]
    if min(counts) < needed:
        raise TooFewClips(statistic, needed, counts)
    if not all(np.isfinite(table).all() for table in tables):
        raise ValueError(f"{statistic} is of finite numbers only, and a feature is not one")


def frechet_distance(x: FloatArray, y: FloatArray, needed: int = 2) -> float:
    """``||mu_x - mu_y||^2 + Tr(S_x + S_y - 2 (S_x S_y)^(1/2))`` of two sets of feature vectors.

    The squared Wasserstein-2 distance of two Gaussians with the sets' means and covariances. It is biased upwards for
    few clips: compare only sets of equal size.

    Parameters
    ----------
    x, y : array of float [shape=(n, feature)]
        Standardised, clipped features; see `FeatureSpace`.
    needed : int
        Fewest clips on each side. Two have a covariance, and to watch a training any number does that stays the same;
        pass `MIN_CLIPS` where the value itself is to be read.

    Raises
    ------
    TooFewClips
        If a set has fewer than `needed` clips.

    Notes
    -----
    Source: Dowson & Landau 1982; Heusel et al. 2017. Oracle: SciPy's ``sqrtm``.

    Taught in: notebooks/04-evaluation.ipynb
    """
    if min(len(x), len(y)) < max(needed, 2):
        raise TooFewClips("the Fréchet distance", max(needed, 2), (len(x), len(y)))
    s_x, s_y = (np.atleast_2d(np.cov(z, rowvar=False)) for z in (x, y))
    # The eigenvalues of S_x S_y are those of a positive semi-definite matrix: their roots' sum is the trace.
    roots = np.sqrt(np.maximum(linalg.eigvals(s_x @ s_y).real, 0))
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s_x) + np.trace(s_y) - 2 * roots.sum())


def kernel_distance(x: FloatArray, y: FloatArray) -> float:
    """``E k(x, x') + E k(y, y') - 2 E k(x, y)`` with ``k(a, b) = (a.b / d + 1)^3`` over d features: KID.

    The squared maximum mean discrepancy, which sees the first three moments of all features together. The means leave
    out each clip's pair with itself, so that it is unbiased: about 0 between two sets of the same music, whatever
    their sizes, and sometimes below.

    Parameters
    ----------
    x, y : array of float [shape=(n, feature)]
        Standardised, clipped features; see `FeatureSpace`.

    Raises
    ------
    TooFewClips
        If one side has fewer than `MIN_CLIPS` (100) clips.
    ValueError
        If the tables have not the same features, or not finite ones.

    Notes
    -----
    Source: Bińkowski et al. 2018, sec. 4; Gretton et al. 2012, eq. 3. Oracle: sums in a plain loop.

    Taught in: notebooks/04-evaluation.ipynb
    """
    from sklearn.metrics.pairwise import polynomial_kernel

    _check_tables("the kernel distance", MIN_CLIPS, x, y)

    def among(z: FloatArray) -> float:
        kernel = polynomial_kernel(z, degree=3)
        return float((kernel.sum() - np.trace(kernel)) / (len(z) * (len(z) - 1)))

    return among(x) + among(y) - 2 * float(polynomial_kernel(x, y, degree=3).mean())


def precision_recall_density_coverage(real: FloatArray, generated: FloatArray, k: int = 5) -> PRDC:
    """How much of what is made lies near real music, and how much of real music is near what is made.

    Every clip has a ball around it that reaches to its k-th nearest neighbour in its own set. *Precision* is the share
    of generated clips inside some real clip's ball, *recall* the share of real clips inside some generated one's.
    *Density* is how many real balls a generated clip lies in, divided by k (1 for real music, and more where the
    generator stays in the middle of it); *coverage* the share of real balls that hold a generated clip. One outlier's
    wide ball raises precision and recall, and density and coverage hardly.

    Parameters
    ----------
    real, generated : array of float [shape=(n, feature)]
        As many clips on both sides, since a ball shrinks as its set grows.
    k : int
        From 1 to n - 1.

    Raises
    ------
    TooFewClips
        If one side has fewer than `MIN_CLIPS` (100) clips.
    ValueError
        If the sides have not as many clips, `k` does not fit, or the tables have not the same, finite features.

    Notes
    -----
    Source: Kynkäänniemi et al. 2019, sec. 3; Naeem et al. 2020, sec. 3. Oracle: ``prdc``.

    Taught in: notebooks/04-evaluation.ipynb
    """
    _check_tables("precision and recall", MIN_CLIPS, real, generated)
    n = len(real)
    if len(generated) != n:
        raise ValueError(f"precision and recall compare sets of equal size, not {n} and {len(generated)} clips")
    if not 1 <= k < n:
        raise ValueError(f"k must be from 1 to {n - 1}, as each of {n} clips has {n - 1} neighbours, not {k}")
    # Each clip is its own nearest: the k-th neighbour comes k + 1st.
    of_real, of_generated = (np.partition(cdist(z, z), k, axis=1)[:, k] for z in (real, generated))
    distance = cdist(real, generated)
    in_real = distance < of_real[:, None]
    in_generated = distance < of_generated
    return PRDC(
        precision=float(in_real.any(0).mean()),
        recall=float(in_generated.any(1).mean()),
        density=float(in_real.sum() / (k * n)),
        coverage=float(in_real.any(1).mean()),
    )


def vendi_score(x: FloatArray) -> float:
    """``exp(-sum of l log l)`` over the eigenvalues l of ``K / n``: how many different clips a set holds, 1 to n.

    ``K_ij = exp(-||x_i - x_j||^2 / 4d)`` over d features. Between two independent clips of standardised features the
    squared distance is 2d on average, so that they count as alike by ``exp(-1/2)``. The width is fixed: one taken from
    the set itself would make a collapsed set look wide, and so would the cosine, which sees the direction from real
    music's mean and not the way. One clip repeated scores 1, m clips repeated no more than m.

    A high score is not a good one: broken music is more diverse than real music. And it grows with n, so that it is
    compared at equal n only.

    Parameters
    ----------
    x : array of float [shape=(n, feature)]
        Standardised, clipped features; see `FeatureSpace`.

    Raises
    ------
    TooFewClips
        If there are fewer than `MIN_CLIPS` (100) clips.
    ValueError
        If it is not a table of finite numbers.

    Notes
    -----
    Source: Friedman & Dieng 2023, def. 3.1. Oracle: ``vendi-score``.

    Taught in: notebooks/04-evaluation.ipynb
    """
    _check_tables("the Vendi score", MIN_CLIPS, x)
    n, d = x.shape
    values = linalg.eigvalsh(np.exp(-cdist(x, x, "sqeuclidean") / (4 * d)) / n)
    # Rounding makes some of the smallest negative; their share of the sum is 0.
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def classifier_auc(
    x: FloatArray,
    y: FloatArray,
    groups_x: npt.ArrayLike | None = None,
    groups_y: npt.ArrayLike | None = None,
    seed: int = 0,
) -> float:
    """How well a classifier tells two sets apart: about .5 if it cannot, 1 if always.

    Logistic regression on standardised features is trained on four fifths of the pieces and tested on the rest, in
    turn. The result is the share of pairs (a clip of x, a clip of y) of a tested part in which it finds the clip of y
    the likelier one to be from y: the area under the ROC curve. Clips of one piece resemble each other, so all of a
    piece's clips are in one part; a classifier that had met the piece would recognise it by heart. Chance can bring
    it below .5: with few pieces real music against real music strays far.

    Parameters
    ----------
    x, y : array of float [shape=(n, feature)]
    groups_x, groups_y : array [shape=(n,)], optional
        The piece of each clip; equal values on both sides are one piece. None: each clip is a piece by itself.
    seed : int
        Of the division into parts; the same seed gives the same result.

    Raises
    ------
    TooFewClips
        If one side has fewer than `MIN_CLIPS` (100) clips.
    ValueError
        If one side has fewer than five pieces or the groups are not one a clip, or the pieces are so uneven that too
        few parts have clips of both sides, or the tables have not the same, finite features.

    Notes
    -----
    Source: Lopez-Paz & Oquab 2017, sec. 3 (accuracy there). Oracle: scikit-learn.

    Taught in: notebooks/04-evaluation.ipynb
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _check_tables("the classifier test", MIN_CLIPS, x, y)
    group = _groups(groups_x, groups_y, (len(x), len(y)))
    table, side = np.concatenate([x, y]), np.repeat([0, 1], [len(x), len(y)])
    areas, pairs = [], []
    for training, held_out in StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed).split(table, side, group):
        truth = side[held_out]
        # A piece much longer than the others can leave a part with one side only: it says nothing.
        if len(np.unique(truth)) < 2 or len(np.unique(side[training])) < 2:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=CLASSIFIER_C, max_iter=1000))
        score = model.fit(table[training], side[training]).decision_function(table[held_out])
        areas.append(roc_auc_score(truth, score))
        pairs.append(truth.sum() * (len(truth) - truth.sum()))
    if len(areas) < 2:
        raise ValueError("the pieces are too uneven for the classifier test: too few parts have clips of both sides")
    return float(np.average(areas, weights=pairs))


def _groups(
    groups_x: npt.ArrayLike | None, groups_y: npt.ArrayLike | None, counts: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Number the pieces of both sides' clips, ``[shape=(n_x + n_y,)]``; equal names are one piece."""
    numbers: dict[object, int] = {}
    sides = []
    for side, (groups, n) in enumerate(zip((groups_x, groups_y), counts, strict=True)):
        if groups is not None and np.shape(groups) != (n,):
            raise ValueError(f"groups name the piece of each clip: they have the shape {(n,)}, not {np.shape(groups)}")
        names = [(side, i) for i in range(n)] if groups is None else np.asarray(groups).tolist()
        if (found := len(set(names))) < N_FOLDS:
            raise ValueError(f"the classifier test needs clips of at least {N_FOLDS} pieces on each side, not {found}")
        sides += [numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(sides)


def roll_auc(
    x: Roll,
    y: Roll,
    grid: Grid,
    groups_x: npt.ArrayLike | None = None,
    groups_y: npt.ArrayLike | None = None,
    seed: int = 0,
) -> float:
    """How well a classifier tells two sets of clips apart by their notes: about .5 if it cannot, 1 if always.

    `classifier_auc` on what a clip's notes do with each other, counted over its beats: which pitch classes sound
    together, which lie above the lowest note, which follow each other from beat to beat; and on which steps of the bar
    the notes of each track begin. A classifier that sees single notes alone learns neither chords nor their order from
    a few hundred clips. It compares pitch classes, so both sets are in one key or in all keys.

    Parameters
    ----------
    x, y : Roll [shape=(n, track, bar, step, pitch)]
        Clips of one shape; the numbers of clips may differ.
    grid : Grid
    groups_x, groups_y : array [shape=(n,)], optional
    seed : int
        See `classifier_auc`.

    Raises
    ------
    TooFewClips
        If one side has fewer than `MIN_CLIPS` (100) clips.
    ValueError
        If the clips are not of one shape on this grid, or the groups do not fit; see `classifier_auc`.

    Notes
    -----
    Source: Lopez-Paz & Oquab 2017, sec. 3 (accuracy there). Oracle: counts in a plain loop.

    Taught in: notebooks/04-evaluation.ipynb
    """
    shapes = x.sounding.shape, y.sounding.shape
    if any(len(s) != 5 or s[1:] != shapes[0][1:] or s[3:] != (grid.n_steps, grid.n_pitches) for s in shapes):
        raise ValueError(
            f"the classifier compares clips of one shape (n, track, bar, {grid.n_steps}, {grid.n_pitches}), "
            f"not {shapes[0]} and {shapes[1]}"
        )
    if min(shapes[0][0], shapes[1][0]) < MIN_CLIPS:
        raise TooFewClips("the classifier test", MIN_CLIPS, (shapes[0][0], shapes[1][0]))
    return classifier_auc(_note_pairs(x, grid), _note_pairs(y, grid), groups_x, groups_y, seed)


def _note_pairs(roll: Roll, grid: Grid) -> FloatArray:
    """Count pitch classes that sound together, above the lowest note and in turn, and onsets; see `roll_auc`."""
    n, n_tracks, n_bars = roll.sounding.shape[:3]
    beats = roll.sounding[:, :, :, :: grid.steps_per_beat].any(1)
    beats = beats.reshape(n, n_bars * grid.beats_per_bar, grid.n_pitches)
    chord = (chroma(beats) > 0).astype(float)
    lowest = np.eye(12)[beats.argmax(-1) % 12] * beats.any(-1, keepdims=True)
    together = np.einsum("nbi,nbj->nij", chord, chord)[:, *np.triu_indices(12)]
    above_bass, in_turn = (
        np.einsum("nbi,nbj->nij", first, second).reshape(n, 144)
        for first, second in ((lowest, chord), (chord[:, :-1], chord[:, 1:]))
    )
    begins = note_starts(roll).sum((2, 4)).reshape(n, n_tracks * grid.n_steps)
    return np.concatenate([together, above_bass, in_turn, begins], 1)
