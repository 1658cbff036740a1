"""Distribution: equal to other implementations, right by hand, and real chorales apart from their controls."""

import copy

import numpy as np
import prdc
import pytest
from scipy import integrate, linalg, stats
from sklearn.metrics import roc_auc_score
from vendi_score import vendi

from ganmusic import recipes
from ganmusic.metrics import distribution, evaluate
from ganmusic.metrics.controls import CONTROLS
from ganmusic.metrics.distribution import (
    MIN_CLIPS,
    MIN_VALUES,
    FeatureSpace,
    TooFewClips,
    classifier_auc,
    frechet_distance,
    kernel_distance,
    kl_divergence,
    overlapping_area,
    precision_recall_density_coverage,
    roll_auc,
    vendi_score,
)
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track, piece_to_roll

N = 250
RNG = np.random.default_rng(3)
TABLE = RNG.normal(size=(130, 6)) @ RNG.normal(size=(6, 6))
OTHER = RNG.normal(size=(130, 6)) @ RNG.normal(size=(6, 6)) + 0.4
COLUMN, SHIFTED = RNG.normal(size=90), RNG.gamma(2.0, size=120)


def compare_two(x, y):
    """Every statistic of two tables, by its name in a sentence."""
    return {
        "the kernel distance": lambda: kernel_distance(x, y),
        "precision and recall": lambda: precision_recall_density_coverage(x, y),
        "the classifier test": lambda: classifier_auc(x, y),
        "the Fréchet distance": lambda: frechet_distance(x, y, MIN_CLIPS),
    }


# Columns of values ------------------------------------------------------------------------------------


def scipy_densities(x, y):
    """The densities of two columns by SciPy, of the common bandwidth that the docstring states."""
    width = np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2) * min(len(x), len(y)) ** -0.2
    return [stats.gaussian_kde(z, bw_method=width / z.std(ddof=1)) for z in (x, y)]


@pytest.mark.parametrize("unit", [1.0, 1e-12, 1e9])
def test_overlapping_area_agrees_with_scipy_in_any_unit(unit):
    p, q = scipy_densities(COLUMN, SHIFTED)
    points = np.linspace(-12, 20, 200)  # quad finds no narrow bump on a wide line by itself
    expected, _ = integrate.quad(lambda at: min(p(at)[0], q(at)[0]), -12, 20, points=points, limit=900)
    assert overlapping_area(COLUMN * unit, SHIFTED * unit) == pytest.approx(expected, abs=2e-4)


def test_kl_divergence_agrees_with_scipy():
    width = np.sqrt((COLUMN.var(ddof=1) + SHIFTED.var(ddof=1)) / 2) * 90**-0.2
    low, high = min(COLUMN.min(), SHIFTED.min()) - 6 * width, max(COLUMN.max(), SHIFTED.max()) + 6 * width
    grid = np.linspace(low, high, 20001)
    # One clip more on each side, which lies anywhere on the grid.
    p, q = (
        (n * density(grid) + 1 / (high - low)) / (n + 1)
        for n, density in zip((90, 120), scipy_densities(COLUMN, SHIFTED), strict=True)
    )
    assert kl_divergence(COLUMN, SHIFTED) == pytest.approx(stats.entropy(p, q), rel=2e-3)
    assert kl_divergence(SHIFTED, COLUMN) == pytest.approx(stats.entropy(q, p), rel=2e-3)
    assert kl_divergence(COLUMN, SHIFTED) != pytest.approx(kl_divergence(SHIFTED, COLUMN), rel=0.1)


def test_one_clip_far_away_does_not_decide_the_divergence():
    near, far = (kl_divergence(np.append(COLUMN, outlier), COLUMN) for outlier in (8.0, 80.0))
    assert 0 < near < far < 0.1


def test_the_grid_reaches_beyond_both_samples():
    # The samples' own range would hold less than the whole of the densities; the whole of them is 1.
    assert overlapping_area(COLUMN, COLUMN) == pytest.approx(1.0, abs=1e-6)
    p, q, step, _ = distribution._densities("", COLUMN, SHIFTED + 30)
    assert np.sum([p, q], 1) * step == pytest.approx([1.0, 1.0], abs=1e-6)


def test_columns_that_agree_or_are_apart():
    assert kl_divergence(COLUMN, COLUMN) == 0.0
    assert overlapping_area(COLUMN, SHIFTED) == pytest.approx(overlapping_area(SHIFTED, COLUMN), abs=1e-3)
    assert overlapping_area(COLUMN, COLUMN + 30) < 1e-6
    assert 3 < kl_divergence(COLUMN, COLUMN + 30) < np.log(91 * 40)


def test_columns_of_equal_values_are_defined():
    same, other = np.full(60, 0.25), np.full(70, 0.75)
    assert (overlapping_area(same, same[:50]), kl_divergence(same, same[:50])) == (1.0, 0.0)
    assert overlapping_area(same, other) < 1e-6
    assert 5 < kl_divergence(same, other) < np.log(71 * 50)
    # A generator that collapsed to real music's most usual value still is not real music.
    assert overlapping_area(np.zeros(60), COLUMN) < 0.6
    assert kl_divergence(np.zeros(60), COLUMN) > 0.3


def test_columns_that_are_zero_but_for_a_few_clips_are_alike():
    # 4 of 250 clips on one side, 1 of 250 on the other: with bandwidths of their own they would overlap by a half.
    x, y = np.zeros(250), np.zeros(250)
    x[:4], y[:1] = 0.25, 0.25
    assert overlapping_area(x, y) > 0.98
    assert kl_divergence(x, y) < 0.1


def test_clips_with_nothing_to_measure_are_left_out():
    gaps = np.concatenate([COLUMN, np.full(40, np.nan)])
    assert overlapping_area(gaps, SHIFTED) == overlapping_area(COLUMN, SHIFTED)
    with pytest.raises(TooFewClips, match=r"the overlapping area needs at least 50 clips on each side, not 49 and 120"):
        overlapping_area(np.where(np.arange(len(gaps)) < MIN_VALUES - 1, gaps, np.nan), SHIFTED)


@pytest.mark.parametrize("column", [np.zeros((60, 1)), np.append(COLUMN, np.inf)])
def test_what_is_no_column_of_numbers_is_refused(column):
    with pytest.raises(ValueError, match="columns"):
        overlapping_area(column, COLUMN)
    with pytest.raises(ValueError, match="columns"):
        kl_divergence(COLUMN, column)


# Tables of features -----------------------------------------------------------------------------------


def test_frechet_distance_agrees_with_the_matrix_root():
    s_x, s_y = np.cov(TABLE.T), np.cov(OTHER.T)
    expected = ((TABLE.mean(0) - OTHER.mean(0)) ** 2).sum() + np.trace(s_x + s_y - 2 * linalg.sqrtm(s_x @ s_y).real)
    assert frechet_distance(TABLE, OTHER) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_agrees_with_a_plain_loop():
    def mean(x, y, same):
        values = [(a @ b / 6 + 1) ** 3 for i, a in enumerate(x) for j, b in enumerate(y) if not same or i != j]
        return np.mean(values)

    x, y = TABLE, OTHER[:110]
    assert kernel_distance(x, y) == pytest.approx(mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False))


def test_kernel_distance_is_unbiased_and_sees_spread():
    rng = np.random.default_rng(0)
    draws = [kernel_distance(rng.normal(size=(100, 4)), rng.normal(size=(150, 4))) for _ in range(60)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(len(draws))
    assert min(draws) < 0
    assert kernel_distance(rng.normal(size=(100, 4)), 2 * rng.normal(size=(100, 4))) > 5 * max(draws)


@pytest.mark.parametrize("k", [1, 5, 17])
def test_precision_and_recall_agree_with_prdc(k, capsys):
    expected = prdc.compute_prdc(TABLE, OTHER, k)
    capsys.readouterr()
    found = precision_recall_density_coverage(TABLE, OTHER, k)._asdict()
    assert found == pytest.approx(expected, abs=1e-9)
    assert len({round(value, 3) for value in found.values()}) == 4


def test_precision_and_recall_by_hand(monkeypatch):
    monkeypatch.setattr(distribution, "MIN_CLIPS", 3)
    real, generated = np.array([[0.0], [1.0], [5.0]]), np.array([[0.5], [1.5], [2.2]])
    # k = 1: the real balls reach 1, 1 and 4 far and hold {.5}, {.5, 1.5} and {1.5, 2.2};
    # the generated ones reach 1, .7 and .7 far and hold {0, 1}, {1} and nothing.
    assert precision_recall_density_coverage(real, generated, 1) == pytest.approx((1, 2 / 3, 5 / 3, 1))
    assert precision_recall_density_coverage(generated, real, 1) == pytest.approx((2 / 3, 1, 1, 2 / 3))


@pytest.mark.parametrize("k", [0, 130])
def test_neighbours_that_do_not_fit_are_refused(k):
    with pytest.raises(ValueError, match="k must be from 1 to 129"):
        precision_recall_density_coverage(TABLE, OTHER, k)


def test_sets_of_unequal_size_are_refused_where_the_size_matters():
    with pytest.raises(ValueError, match="equal size, not 130 and 129"):
        precision_recall_density_coverage(TABLE, OTHER[1:])


@pytest.mark.filterwarnings("ignore:Please import `csr_matrix`:DeprecationWarning")  # vendi-score itself does
def test_vendi_score_agrees_with_vendi_score():
    kernel = np.exp(-((TABLE[:, None] - TABLE) ** 2).sum(-1) / (4 * 6))
    assert vendi_score(TABLE) == pytest.approx(vendi.score_K(kernel), rel=1e-6)


def test_vendi_score_counts_what_differs():
    assert vendi_score(np.repeat(TABLE[:1], 120, 0)) == pytest.approx(1.0, abs=1e-9)
    # Clips that are nothing like each other, each repeated alike often: exactly as many as there are.
    assert vendi_score(np.repeat(np.eye(4) * 1000, 30, 0)) == pytest.approx(4.0)
    # A set that shrinks to its mean holds less and less; a cosine would not see it.
    assert 1 < vendi_score(TABLE * 0.1) < vendi_score(TABLE)


def test_classifier_auc_is_half_for_one_source_and_one_for_two():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 200, 5))
    assert 0.4 < classifier_auc(x, y) < 0.6
    assert classifier_auc(x, y + np.array([8, 0, 0, 0, 0])) == 1.0
    assert classifier_auc(np.zeros((100, 3)), np.zeros((130, 3))) == 0.5


def test_classifier_auc_is_what_the_best_cut_gives():
    # Two normal distributions a standard deviation apart: the area is Phi(1 / sqrt 2) = .760.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3000, 1)), rng.normal(1, size=(2000, 1))
    truth = np.repeat([0, 1], [3000, 2000])
    assert classifier_auc(x, y) == pytest.approx(roc_auc_score(truth, np.concatenate([x, y])), abs=0.01)
    assert classifier_auc(x, y) == pytest.approx(stats.norm.cdf(np.sqrt(0.5)), abs=0.02)


def test_a_piece_that_lies_in_both_parts_would_be_recognised():
    # Ten pieces a side of one source, each with its own colour: known by heart, unless kept out of the training.
    rng = np.random.default_rng(1)
    pieces = np.repeat(np.arange(20), 20)
    table = rng.normal(size=(20, 40))[pieces] + 0.1 * rng.normal(size=(400, 40))
    x, y = table[:200], table[200:]
    assert classifier_auc(x, y) > 0.95
    assert classifier_auc(x, y, pieces[:200], pieces[200:]) < 0.7
    assert classifier_auc(x, y, pieces[:200].astype(str), pieces[200:].astype(str)) < 0.7


def test_equal_names_on_both_sides_are_one_piece():
    names = np.arange(MIN_CLIPS)
    together = distribution._groups(names, names[::-1], (MIN_CLIPS, MIN_CLIPS))
    assert (together[:MIN_CLIPS] == together[MIN_CLIPS:][::-1]).all()
    assert len(set(distribution._groups(names, None, (MIN_CLIPS, MIN_CLIPS)).tolist())) == 2 * MIN_CLIPS


def test_the_seed_decides_the_parts():
    assert classifier_auc(TABLE, OTHER, seed=4) == classifier_auc(TABLE, OTHER, seed=4)
    assert classifier_auc(TABLE, OTHER, seed=4) != classifier_auc(TABLE, OTHER, seed=5)


def test_pieces_that_cannot_be_divided_are_refused():
    four = np.arange(130) % 4
    with pytest.raises(ValueError, match="at least 5 pieces on each side, not 4"):
        classifier_auc(TABLE, OTHER, None, four)
    with pytest.raises(ValueError, match=r"shape \(130,\), not \(4,\)"):
        classifier_auc(TABLE, OTHER, [0, 1, 2, 3], None)


# Bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statistic", compare_two(TABLE, OTHER))
def test_too_few_clips_are_refused_by_name(statistic):
    with pytest.raises(TooFewClips) as error:
        compare_two(TABLE, OTHER[:12])[statistic]()
    assert str(error.value) == f"{statistic} needs at least 100 clips on each side, not 130 and 12"
    assert (error.value.needed, error.value.given) == (100, (130, 12))
    compare_two(TABLE[:100], OTHER[:100])[statistic]()


def test_too_few_clips_of_a_single_set():
    with pytest.raises(TooFewClips, match=r"^the Vendi score needs at least 100 clips, not 99$"):
        vendi_score(TABLE[:99])


def test_no_clips_are_too_few():
    none = Roll(*np.zeros((2, 0, 2, 4, 16, 48), bool))
    with pytest.raises(TooFewClips, match="not 0 and 0"):
        roll_auc(none, none, Grid())


def test_too_few_clips_survives_a_worker_process():
    error = copy.copy(TooFewClips("the Vendi score", 100, (7,)))  # by the way that pickle goes
    assert (str(error), error.needed, error.given) == ("the Vendi score needs at least 100 clips, not 7", 100, (7,))


@pytest.mark.parametrize("statistic", [s for s in compare_two(TABLE, OTHER) if "Fréchet" not in s])
def test_tables_that_do_not_fit_are_refused(statistic):
    with pytest.raises(ValueError, match="one number of features"):
        compare_two(TABLE, OTHER[:, :5])[statistic]()
    with pytest.raises(ValueError, match="one number of features"):
        compare_two(TABLE[:, 0], OTHER[:, 0])[statistic]()
    with pytest.raises(ValueError, match="finite"):
        compare_two(TABLE, np.where(np.eye(*OTHER.shape) > 0, np.nan, OTHER))[statistic]()


# Rolls ------------------------------------------------------------------------------------------------


def test_note_pairs_by_hand():
    # 3/4, two steps a beat, two tracks, one of two notes at once. Beats: E over C with G; silence; A over C.
    grid = Grid(n_steps=6, beats_per_bar=3, low=48, n_pitches=24)
    upper = Track("upper", (Note(0, 2, 64), Note(0, 2, 67), Note(3, 3, 69)))
    roll = piece_to_roll(Piece((upper, Track("lower", (Note(0, 1, 48), Note(4, 2, 60)))), grid), 1)
    row = distribution._note_pairs(Roll(roll.sounding[None], roll.onset[None]), grid)[0]
    together, above_bass, in_turn, begins = np.split(row, [78, 78 + 144, 78 + 288])
    pairs = dict(zip(zip(*(axis.tolist() for axis in np.triu_indices(12)), strict=True), together, strict=True))
    assert {pair for pair, count in pairs.items() if count} == {
        *((0, 0), (0, 4), (0, 7), (4, 4), (4, 7), (7, 7)),
        *((0, 9), (9, 9)),
    }
    assert pairs[0, 0] == 2
    assert np.argwhere(above_bass.reshape(12, 12)).tolist() == [[0, 0], [0, 4], [0, 7], [0, 9]]
    assert not in_turn.any()  # the silent beat stands between the two chords
    assert begins.reshape(2, 6).tolist() == [[2, 0, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0]]


def test_clips_of_two_shapes_or_another_grid_are_refused():
    clips = Roll(*np.zeros((2, 100, 2, 4, 16, 48), bool))
    three = Roll(*np.zeros((2, 100, 3, 4, 16, 48), bool))
    with pytest.raises(ValueError, match=r"not \(100, 2, 4, 16, 48\) and \(100, 3, 4, 16, 48\)"):
        roll_auc(clips, three, Grid())
    with pytest.raises(ValueError, match=r"\(n, track, bar, 12, 48\)"):
        roll_auc(clips, clips, Grid(n_steps=12, beats_per_bar=3))
    assert roll_auc(clips, clips, Grid()) == 0.5  # silence against silence


# Real music and its controls --------------------------------------------------------------------------


class Chorales:
    """Two sets of held-out chorales' clips, of no common piece, and what the statistics say of the second."""

    def __init__(self):
        held_out = [recipes.clips("chorales", split, 4) for split in ("valid", "test")]
        data = Roll(*(np.concatenate([getattr(w, name) for w in held_out]) for name in ("sounding", "onset")))
        piece = np.concatenate([w.piece + 1000 * i for i, w in enumerate(held_out)])
        rng = np.random.default_rng(1)
        names = rng.permutation(np.unique(piece))
        left = np.isin(piece, names[: len(names) // 2])
        rows = [rng.permutation(np.flatnonzero(side))[:N] for side in (left, ~left)]
        (self.x, self.y), self.pieces = [Roll(data.sounding[i], data.onset[i]) for i in rows], [piece[i] for i in rows]
        self.grid = held_out[0].grid
        self.space = FeatureSpace(self.x, self.grid)
        self.table = self.space(self.x)

    def measure(self, clips):
        table = self.space(clips)
        return {
            "frechet": frechet_distance(self.table, table, MIN_CLIPS),
            "kernel": kernel_distance(self.table, table),
            **precision_recall_density_coverage(self.table, table)._asdict(),
            "vendi": vendi_score(table),
            "features": classifier_auc(self.table, table, *self.pieces),
            "rolls": roll_auc(self.x, clips, self.grid, *self.pieces),
        }


@pytest.fixture(scope="module")
def chorales():
    return Chorales()


@pytest.fixture(scope="module")
def real(chorales):
    return chorales.measure(chorales.y)


def test_no_classifier_tells_chorales_from_other_chorales(real):
    assert 0.25 < real["features"] < 0.7
    assert 0.25 < real["rolls"] < 0.7


@pytest.mark.parametrize("name", ["shuffle_beats", "rotate_bass", "permute_pitches", "one_clip_repeated", "noise"])
def test_statistics_tell_chorales_from_controls(chorales, real, name):
    control = chorales.measure(CONTROLS[name](chorales.y, chorales.grid, 0))
    assert control["frechet"] > 2 * real["frechet"]
    assert control["kernel"] > 4 * real["kernel"]
    assert min(control["features"], control["rolls"]) > 0.9
    assert control["coverage"] < 0.5 * real["coverage"]
    assert control["density"] < 0.8 * real["density"] or name == "one_clip_repeated"
    if name == "one_clip_repeated":
        # Collapse is what precision cannot see; recall and the count of different clips do.
        assert control["recall"] == 0
        assert control["vendi"] == pytest.approx(1.0)
    else:
        assert control["precision"] < 0.6 * real["precision"]


def test_overlap_of_single_metrics_hardly_sees_that_beats_are_shuffled(chorales):
    x, y = (evaluate(clips, chorales.grid) for clips in (chorales.x, chorales.y))
    shuffled = evaluate(CONTROLS["shuffle_beats"](chorales.y, chorales.grid, 0), chorales.grid)
    for name in ("pitch_class_entropy", "scale_consistency", "pitch_range", "notes_per_bar"):
        assert overlapping_area(shuffled[name], x[name]) > overlapping_area(y[name], x[name]) - 0.1
