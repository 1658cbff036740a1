"""Statistics: what is measured of whole sets of clips, beside the real music that they are compared with.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ganmusic import corpora, metrics, recipes
from ganmusic.evaluation.clips import MAX_CLIPS, N_CLIPS, Clips, check_like, heard, joined, unpack
from ganmusic.metrics import METRICS, distribution, melody, novelty
from ganmusic.metrics.distribution import FeatureSpace, TooFewClips
from ganmusic.metrics.harmony import FloatArray
from ganmusic.pianoroll import IntArray, Piece, Roll

__all__ = ["STATISTICS", "Reference", "Sample", "Statistic", "reference"]

#: Most training pieces that are searched for copies.
MAX_PIECES = 2000


@dataclass(frozen=True, eq=False)
class Reference:
    """Real music to compare with.

    Parameters
    ----------
    name : str
        Of the corpus.
    held_out : Clips
        Clips that no generator has learned from.
    training : Clips
        Clips that it has.
    pieces : tuple of Piece
        The training pieces, whole: copies are searched for in them.

    Raises
    ------
    ValueError
        If held-out and training clips differ in their grid, tracks or bars.

    Taught in: notebooks/04-evaluation.ipynb
    """

    name: str
    held_out: Clips
    training: Clips
    pieces: tuple[Piece, ...]
    #: What was measured of real music and of controls, which is the same for all that is judged.
    known: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_like(self.held_out, self.training, "the held-out clips", "the training clips")

    @cached_property
    def space(self) -> FeatureSpace:
        """Features, standardised by the training clips."""
        return FeatureSpace(heard(self.training), self.training.grid)

    @cached_property
    def index(self) -> novelty.NoteIndex | None:
        """The training pieces' notes; None if there are none with a pitch."""
        pitched = any(track.notes and not track.is_drum for piece in self.pieces for track in piece.tracks)
        return novelty.NoteIndex(self.pieces) if pitched else None

    @cached_property
    def held_out_sample(self) -> Sample:
        """The held-out clips, measured."""
        return Sample(self.held_out, self)

    @cached_property
    def training_sample(self) -> Sample:
        """The training clips, measured."""
        return Sample(self.training, self)


def reference(corpus: str = "chorales", n_bars: int = 4) -> Reference:
    """Prepare the music of a corpus to compare with: windows on its grid, in the common key if it has one.

    Held out are the validation and the test split, together. Of a large corpus some clips and pieces are taken, always
    the same ones.

    Parameters
    ----------
    corpus : str
        A name that `ganmusic.corpora.get` knows.
    n_bars : int

    Raises
    ------
    ValueError
        If there is no such corpus, or it has no held-out music of that length.

    Taught in: notebooks/04-evaluation.ipynb
    """
    form = recipes.layout(corpus)
    training = unpack(recipes.clips(corpus, "train", n_bars), MAX_CLIPS)
    parts = []
    for split in ("valid", "test"):
        try:
            parts.append(unpack(recipes.clips(corpus, split, n_bars), MAX_CLIPS // 2))
        except ValueError:  # this split has no window of that length
            continue
    if not parts:
        raise ValueError(
            f"the corpus {corpus!r} has no held-out music of {n_bars} bars or more to compare with: "
            "its validation and test splits are empty, or their pieces are shorter"
        )
    pieces = []
    for piece in corpora.get(corpus).stream("train"):
        if (piece.grid.n_steps, piece.grid.beats_per_bar) == (form.grid.n_steps, form.grid.beats_per_bar):
            pieces.append(piece)
        if len(pieces) == MAX_PIECES:
            break
    return Reference(corpus, joined(parts), training, tuple(pieces))


class Sample:
    """Clips with what statistics look at, each measured when it is first asked for.

    Parameters
    ----------
    clips : Clips
    reference : Reference
    most : int
        Most clips that are searched for copies, chosen by chance; searching takes longer than all the rest.

    Taught in: notebooks/04-evaluation.ipynb
    """

    def __init__(self, clips: Clips, reference: Reference, most: int = N_CLIPS) -> None:
        self._clips, self._reference, self._most = clips, reference, most
        self._whole: Sample | None = None
        self._rows: IntArray = np.arange(len(clips))
        self._matches: dict[int, novelty.Matches] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def select(self, rows: IntArray) -> Sample:
        """Some of the clips; nothing is measured again."""
        part = Sample(self._clips, self._reference, self._most)
        part._whole, part._rows = self, np.asarray(rows)
        return part

    @property
    def clips(self) -> Clips:
        """The clips themselves; those of a selection are not kept, as many selections would fill the memory."""
        return self._clips if self._whole is None else self._whole.clips.select(self._rows)

    @cached_property
    def groups(self) -> IntArray:
        """The piece of each clip, by a number ``[shape=(n,)]``."""
        return self._clips.groups if self._whole is None else self._whole.groups[self._rows]

    @cached_property
    def values(self) -> dict[str, FloatArray]:
        """Each clip metric, ``[shape=(n,)]``."""
        if self._whole is None:
            return metrics.evaluate(self._clips.roll, self._clips.grid, self._clips.drums)
        return {name: column[self._rows] for name, column in self._whole.values.items()}

    @cached_property
    def features(self) -> FloatArray:
        """Standardised features, ``[shape=(n, feature)]``."""
        if self._whole is None:
            return self._reference.space(heard(self._clips))
        return self._whole.features[self._rows]

    @property
    def searched(self) -> IntArray:
        """Numbers of the clips that are searched for copies."""
        if self._whole is not None:
            return np.flatnonzero(np.isin(self._rows, self._whole.searched))
        return np.sort(np.random.default_rng(0).permutation(len(self))[: self._most])

    def matches(self, n_bars: int) -> novelty.Matches:
        """The nearest training passage of each passage of so many bars; its share is NaN where none was searched."""
        if n_bars not in self._matches:
            if self._whole is not None:
                self._matches[n_bars] = self._whole.matches(n_bars).select(self._rows)
            else:
                self._matches[n_bars] = self._search(n_bars)
        return self._matches[n_bars]

    def copied(self, n_bars: int) -> FloatArray:
        """Mean copied share of each clip's passages of so many bars ``[shape=(n,)]``; NaN where it was not searched."""
        return novelty.copied_share(self.matches(n_bars))

    def _search(self, n_bars: int) -> novelty.Matches:
        n_passages = max(self._clips.roll.sounding.shape[2] - n_bars + 1, 0)
        nothing = np.full((3, len(self), n_passages), -1)
        every = novelty.Matches(np.full((len(self), n_passages), np.nan), *nothing)
        index, pitched = self._reference.index, ~self._clips.is_drum
        if index is not None and pitched.any() and n_passages:
            rows = self.searched
            roll = Roll(*(plane[rows][:, pitched] for plane in self._clips.roll))
            for column, found in zip(every, index.nearest(roll, self._clips.grid, n_bars), strict=True):
                column[rows] = found
        return every


@dataclass(frozen=True)
class Statistic:
    """A number about a whole set of clips.

    Parameters
    ----------
    dimension : str
        distribution, novelty or melody.
    function : callable
        ``function(music, real, training)`` of three `Sample`: what is judged, as many clips of real music, and what was
        learned from. NaN where there is nothing to measure.
    unit : str
    worse : str
        'larger' or 'smaller': which values are worse than real music's.
    null : str
        The control that it is there to catch; see `ganmusic.metrics.controls`.
    of_training : bool
        Whether the control is made of training clips, as copies are.
    searches : bool
        Whether it looks at clips that were searched for copies only.

    Taught in: notebooks/04-evaluation.ipynb
    """

    dimension: str
    function: Callable[[Sample, Sample, Sample], float]
    unit: str
    worse: str
    null: str
    of_training: bool = False
    searches: bool = False


class Missing(ValueError):  # noqa: N818 -- it names what it is about
    """Raised where a statistic has no number, with the reason for its row."""


def _over_metrics(function: Callable[[FloatArray, FloatArray], float]) -> Callable[[Sample, Sample, Sample], float]:
    """Median of a comparison of columns over the clip metrics that both samples have."""

    def compared(music: Sample, real: Sample, training: Sample) -> float:
        found, few = [], None
        for name in METRICS:
            columns = [column[~np.isnan(column)] for column in (music.values[name], real.values[name])]
            if not all(map(len, columns)):
                continue
            try:
                found.append(function(*columns))
            except TooFewClips as error:
                few = error
        if few is not None and not found:
            raise few
        # Not the mean: a metric with hardly any values but one has a divergence beyond all others.
        return float(np.median(found)) if found else math.nan

    return compared


def _on_features(function: Callable[[FloatArray, FloatArray], float]) -> Callable[[Sample, Sample, Sample], float]:
    """A comparison of two tables of features, that of real music second."""

    def compared(music: Sample, real: Sample, training: Sample) -> float:
        return function(music.features, real.features)

    return compared


def _frechet(x: FloatArray, y: FloatArray) -> float:
    return distribution.frechet_distance(x, y, distribution.MIN_CLIPS)


def _of_neighbours(name: str) -> Callable[[Sample, Sample, Sample], float]:
    """One of precision, recall, density and coverage."""

    def compared(music: Sample, real: Sample, training: Sample) -> float:
        found = distribution.precision_recall_density_coverage(real.features, music.features)
        return float(getattr(found, name))

    return compared


def _vendi(music: Sample, real: Sample, training: Sample) -> float:
    return distribution.vendi_score(music.features)


def _auc_features(music: Sample, real: Sample, training: Sample) -> float:
    with _even_pieces():
        return distribution.classifier_auc(music.features, real.features, *_pieces(music, real))


def _auc_rolls(music: Sample, real: Sample, training: Sample) -> float:
    rolls = heard(music.clips), heard(real.clips)
    with _even_pieces():
        return distribution.roll_auc(rolls[0], rolls[1], music.clips.grid, *_pieces(music, real))


@contextmanager
def _even_pieces() -> Iterator[None]:
    """Pieces of very different lengths may leave a classifier nothing to test on: then there is no number."""
    try:
        yield
    except (TooFewClips, Missing):
        raise
    except ValueError as error:
        raise Missing(str(error)) from error


def _pieces(music: Sample, real: Sample) -> tuple[IntArray, IntArray]:
    """The piece of each clip, on either side; no piece is on both."""
    groups = music.groups, real.groups
    fewest = min(len(np.unique(group)) for group in groups)
    if fewest < distribution.N_FOLDS <= min(map(len, groups)):
        raise Missing(f"needs clips of at least {distribution.N_FOLDS} pieces, {fewest} given")
    return -1 - groups[0], groups[1]


def _intervals(music: Sample, real: Sample, training: Sample) -> float:
    clips = music.clips
    if clips.is_drum.all():
        return math.nan
    if min(len(music), len(real)) < novelty.MIN_DISTANCES:
        raise TooFewClips("the interval distance", novelty.MIN_DISTANCES, (len(music), len(real)))
    return melody.interval_distance(heard(clips), heard(real.clips), clips.grid)


def _copied(measure: Callable[[novelty.Matches], FloatArray], n_bars: int) -> Callable[[Sample, Sample, Sample], float]:
    """Mean over clips of something that is measured of their passages of so many bars."""

    def compared(music: Sample, real: Sample, training: Sample) -> float:
        found = measure(music.matches(n_bars))
        found = found[~np.isnan(found)]
        if 0 < len(found) < novelty.MIN_DISTANCES:
            raise TooFewClips("the copied share", novelty.MIN_DISTANCES, (len(found),))
        return float(found.mean()) if len(found) else math.nan

    return compared


def _copying_z(music: Sample, real: Sample, training: Sample) -> float:
    return novelty.data_copying_z(music.features, real.features, training.features)


def _copied_notes_z(music: Sample, real: Sample, training: Sample) -> float:
    if np.isnan(music.copied(2)).all() or np.isnan(real.copied(2)).all():
        return math.nan
    return novelty.mann_whitney_z(1 - music.copied(2), 1 - real.copied(2))


STATISTICS: dict[str, Statistic] = {
    "interval_distance": Statistic("melody", _intervals, "semitones", "larger", "shuffle_beats"),
    "overlapping_area": Statistic(
        "distribution", _over_metrics(distribution.overlapping_area), "share", "smaller", "noise"
    ),
    "kl_divergence": Statistic("distribution", _over_metrics(distribution.kl_divergence), "nats", "larger", "noise"),
    "frechet_distance": Statistic(
        "distribution", _on_features(_frechet), "distance", "larger", "shuffle_beats"
    ),
    "kernel_distance": Statistic(
        "distribution", _on_features(distribution.kernel_distance), "distance", "larger", "shuffle_beats"
    ),
    "precision": Statistic("distribution", _of_neighbours("precision"), "share", "smaller", "shuffle_beats"),
    "recall": Statistic("distribution", _of_neighbours("recall"), "share", "smaller", "one_clip_repeated"),
    "density": Statistic("distribution", _of_neighbours("density"), "density", "smaller", "shuffle_beats"),
    "coverage": Statistic("distribution", _of_neighbours("coverage"), "share", "smaller", "one_clip_repeated"),
    "vendi_score": Statistic("distribution", _vendi, "clips", "smaller", "one_clip_repeated"),
    "auc_features": Statistic("distribution", _auc_features, "AUC", "larger", "shuffle_beats"),
    "auc_rolls": Statistic("distribution", _auc_rolls, "AUC", "larger", "rotate_bass"),
    **{
        f"{name}_{n_bars}_bars": Statistic(
            "novelty", _copied(measure, n_bars), "share", "larger", "noisy_copies", True, True
        )
        for name, measure in (("copied_share", novelty.copied_share), ("copied_passages", novelty.copied_passages))
        for n_bars in (2, 4)
    },
    "copying_z": Statistic("novelty", _copying_z, "standard deviations", "smaller", "one_clip_repeated", True),
    "copied_notes_z": Statistic(
        "novelty", _copied_notes_z, "standard deviations", "smaller", "noisy_copies", True, True
    ),
}
"""Every statistic of whole sets, by name; overlapping area and divergence are medians over the clip metrics."""
