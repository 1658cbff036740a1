"""Novelty: whether music is new, or copied from the pieces that a generator learned from.

Three looks at the same question. The *copied share* of a passage is how much of it the most similar passage of the
training pieces has in common with it; `longest_run` finds the longest stretch taken over note by note; the
data-copying Z asks whether a whole set of clips lies nearer to the training set than new pieces by the same composer
do. None of them means anything alone: noise is original too, and composers quote.

Conventions
-----------
A passage is the set of its ``(onset, pitch)`` pairs, all pitched tracks together: who plays a note, and for how long,
does not count. A *shift* moves a passage by steps, a transposition by semitones; both are searched in full, so that
neither hides a copy.

Taught in: notebooks/05-is-it-new.ipynb
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from ganmusic.metrics import check_grid
from ganmusic.metrics.distribution import TooFewClips
from ganmusic.metrics.harmony import FloatArray, divide
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track, note_starts

__all__ = [
    "COPY",
    "MIN_DISTANCES",
    "Matches",
    "NoteIndex",
    "Run",
    "copied_passages",
    "copied_share",
    "data_copying_z",
    "longest_run",
    "mann_whitney_z",
]

IntArray = npt.NDArray[np.int64]

MIN_DISTANCES = 20
"""Fewest clips on each side of `mann_whitney_z`: from about there on, the distribution of U is as good as normal."""

COPY = 0.8
"""The copied share from which on a passage is called a copy."""

_CELLS = 1 << 16  # votes counted at a time: half a megabyte, which stays in a core's own cache
_NEVER = -1  # a token that equals no other


class Matches(NamedTuple):
    """The most similar training passage of each passage of each clip, four arrays ``[shape=(n, passage)]``.

    `share` is their copied share. The training passage lies in piece number `piece` of the index and begins on `step`
    of it, counted from the start of its bar 0; a negative step, or one near the end, is a passage that reaches over
    the piece's edge. `semitones` moves the clip's passage to it. A silent passage has the share NaN, piece -1, and
    zeros.

    Taught in: notebooks/05-is-it-new.ipynb
    """

    share: FloatArray
    piece: IntArray
    step: IntArray
    semitones: IntArray

    def select(self, rows: IntArray) -> Matches:
        """Those of some of the clips, by their numbers."""
        return Matches(self.share[rows], self.piece[rows], self.step[rows], self.semitones[rows])


class Run(NamedTuple):
    """A stretch that two pieces have in common, note by note.

    Parameters
    ----------
    notes : int
        Notes in it; a chord that is struck again unchanged counts once. 0: nothing was found.
    beats : float
        From the first onset of it to the last one.
    onset, step : int
        Where it begins in the piece that was looked up, and in the training piece: steps from the start of bar 0.
    steps : int
        From its first onset to its last one, the same in both.
    piece : int
        The training piece, by its number in the index; -1: none.
    semitones : int
        What moves the piece that was looked up onto the training piece.
    track, training_track : int
        Numbers of the tracks, if tracks were compared one by one; -1: all tracks together.

    Taught in: notebooks/05-is-it-new.ipynb
    """

    notes: int = 0
    beats: float = 0.0
    onset: int = 0
    step: int = 0
    steps: int = 0
    piece: int = -1
    semitones: int = 0
    track: int = -1
    training_track: int = -1


class _Slices(NamedTuple):
    """Onsets in order with what begins there, as tokens that transposition and shift do not change."""

    onset: IntArray
    lowest: IntArray
    shape: list[tuple[int, ...]]  # the pitches above the lowest one


class _Texts(NamedTuple):
    """The slices of all training pieces (or all their tracks) one after another, as numbers."""

    onset: IntArray
    lowest: IntArray
    piece: IntArray
    track: IntArray
    shape: IntArray  # by `shapes`
    wait: IntArray  # steps since the slice before; -1 for the first
    rise: IntArray  # semitones from the lowest pitch of the slice before
    shapes: dict[tuple[int, ...], int]


class NoteIndex:
    """The notes of training pieces, to search for copies.

    Drums are left out. Whole pieces are kept, not windows: a copy may begin on any step.

    Parameters
    ----------
    pieces : sequence of Piece
        On one grid; where their lowest and highest pitch lie may differ.

    Raises
    ------
    ValueError
        If there are no pieces, none of them has a pitched note, one has a note before its bar 0, or two have bars of
        different steps or beats.

    Taught in: notebooks/05-is-it-new.ipynb
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = tuple(pieces)
        if not self.pieces:
            raise ValueError("there are no training pieces to search")
        self.grid = self.pieces[0].grid
        for piece in self.pieces:
            _check_bars(piece.grid, self.grid, "all training pieces must have the bars of the first")
        notes = [_pairs(note for track in _pitched(piece) for note in track.notes) for piece in self.pieces]
        self._notes = np.concatenate(notes)  # (note, 2): onset and pitch
        if not len(self._notes):
            raise ValueError(f"none of the {len(self.pieces)} training pieces has a pitched note")
        if self._notes[:, 0].min() < 0:
            raise ValueError("a training piece has a note before its bar 0")
        self._ends = np.cumsum([len(pairs) for pairs in notes])

    def nearest(self, roll: Roll, grid: Grid, n_bars: int = 2) -> Matches:
        """Find the most similar training passage of every passage of `n_bars`, one at each bar of each clip.

        The copied share of a passage P (the cardinality score) is::

            max over steps and transpositions t of  |(P + t) & Q| / max(|P|, |Q|)

        where Q is the training passage of the same length that begins on that step; 1: an exact copy. Q may reach
        over the beginning or the end of its piece, into silence, so that a piece's first bar is found behind an upbeat;
        it never reaches into the next piece. Of equal matches the first piece's, then the earliest, then the
        lowest counts. Nothing is approximate.

        The fewer notes a passage has, the more of it is found by chance. A note that is cut by a clip's first bar
        line begins there (`ganmusic.data`), in the piece it does not: a clip from the training pieces can have a
        share a little below 1.

        Source: Yin et al. 2022 (originality report). Oracle: `mir_eval.pattern`, whose cardinality score
        takes patterns where they are: it is given every training passage in every transposition.

        Parameters
        ----------
        roll : Roll
            Clips ``(n, track, bar, step, pitch)``, pitched tracks alone.
        grid : Grid
        n_bars : int

        Raises
        ------
        ValueError
            If the bars of clips and training pieces differ, or the clips are shorter than a passage.

        Taught in: notebooks/05-is-it-new.ipynb
        """
        shape = roll.sounding.shape
        check_grid(roll, grid)
        _check_bars(grid, self.grid, "clips are compared with training pieces of the same bars only")
        if not 1 <= n_bars <= shape[2]:
            raise ValueError(f"clips of {shape[2]} bars have no passages of {n_bars} bars")
        starts = np.asarray(note_starts(roll).any(1))
        search = _Search(self._notes, self._ends, n_bars * grid.n_steps)
        found = np.zeros((3, shape[0], shape[2] - n_bars + 1), np.int64)
        share = np.full(found.shape[1:], np.nan)
        for clip, bar in np.ndindex(*share.shape):
            notes = np.argwhere(starts[clip, bar : bar + n_bars].reshape(-1, grid.n_pitches))
            if len(notes):
                share[clip, bar], found[:, clip, bar] = search(notes + np.array([0, grid.low]))
        found[0][np.isnan(share)] = -1
        return Matches(share, *found)

    @cached_property
    def _textures(self) -> _Texts:
        return _texts([(i, -1, _slices(_pitched(piece))) for i, piece in enumerate(self.pieces)])

    @cached_property
    def _voices(self) -> _Texts:
        return _texts(
            [
                (i, k, _slices([track]))
                for i, piece in enumerate(self.pieces)
                for k, track in enumerate(piece.tracks)
                if not track.is_drum
            ]
        )


class _Search:
    """Counts votes: a note p of the passage and a training note q vote for the shift and transposition q - p.

    The votes for a shift and a transposition are exactly the notes that agree under them.
    """

    def __init__(self, notes: IntArray, ends: IntArray, length: int) -> None:
        begins = np.concatenate([[0], ends[:-1]])
        lasts = np.array([notes[a:b, 0].max(initial=0) for a, b in zip(begins, ends, strict=True)])
        # Pieces lie one after another with so much silence between that no passage touches two of them.
        self.length = length
        rooms = lasts + length
        self.bases = np.cumsum(rooms) - rooms + length - 1  # where each piece's step 0 lies
        self.n_steps = int(rooms.sum())
        self.time = notes[:, 0] + np.repeat(self.bases, ends - begins)
        self.pitch = notes[:, 1]
        counts = np.bincount(self.time, minlength=self.n_steps + length)
        self.before = np.concatenate([[0], np.cumsum(counts)])  # notes before each step
        #: Notes in the training passage that begins on each step.
        self.sizes = self.before[length : length + self.n_steps] - self.before[: self.n_steps]
        self.limits = np.cumsum(rooms)

    def __call__(self, passage: IntArray) -> tuple[float, tuple[int, int, int]]:
        """Share, and piece, step and semitones, of the best match of (onset, pitch) pairs ``[shape=(note, 2)]``."""
        best = np.zeros(self.n_steps, np.int64)
        lowest = int(self.pitch.min()) - int(passage[:, 1].max())
        n_moves = int(self.pitch.max()) - int(passage[:, 1].min()) - lowest + 1
        reach = self.length - 1
        # Some shifts at a time. The notes that decide on them vote for others too, which lie to both sides and are
        # not read.
        size = max(_CELLS // n_moves - 2 * reach, self.length)
        width = size + 2 * reach
        ours = passage[:, 1] * width + passage[:, 0]
        for begin in range(0, self.n_steps, size):
            first, last = self.before[[begin, min(begin + size + reach, len(self.before) - 1)]]
            if first == last:
                continue
            # A vote is one number for shift and transposition, so that one difference casts it.
            theirs = (self.pitch[first:last] - lowest) * width + self.time[first:last] - begin + reach
            votes = np.bincount((theirs - ours[:, None]).ravel(), minlength=n_moves * width)
            here = best[begin : begin + size]
            votes.reshape(n_moves, width)[:, reach : reach + len(here)].max(0, out=here)
        share = best / np.maximum(self.sizes, len(passage))
        at = int(share.argmax())
        piece = int(np.searchsorted(self.limits, at, side="right"))
        return float(share[at]), (piece, at - int(self.bases[piece]), self._move(passage, at, lowest))

    def _move(self, passage: IntArray, at: int, lowest: int) -> int:
        """Semitones that most notes agree on, once the shift is known."""
        here = (self.time >= at) & (self.time < at + self.length)
        same = self.time[here] - at == passage[:, :1]
        moves = (self.pitch[here] - passage[:, 1:])[same]
        return int(np.bincount(moves - lowest).argmax()) + lowest


def copied_share(matches: Matches) -> FloatArray:
    """Mean copied share over the passages of each clip that sound ``[shape=(n,)]``; NaN for silent clips.

    0: nothing in common, 1: copied whole. *Originality* is 1 minus it.

    Source: Yin et al. 2022. See `NoteIndex.nearest`.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    heard = ~np.isnan(matches.share)
    return divide(np.where(heard, matches.share, 0).sum(1), heard.sum(1))


def copied_passages(matches: Matches) -> FloatArray:
    """Share of the sounding passages of each clip that are copies ``[shape=(n,)]``; NaN for silent clips.

    A copy has a copied share of `COPY` or more. The mean over many clips hides a few that are copied whole; this
    number does not.

    Source: after Yin et al. 2022; the threshold is ours. Of all 710 held-out windows of the chorales one passage in
    sixty of 2 bars reaches it, and not one of 4 bars.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    heard = ~np.isnan(matches.share)
    return divide((heard & (np.nan_to_num(matches.share) >= COPY)).sum(1).astype(float), heard.sum(1))


def longest_run(piece: Piece, index: NoteIndex, *, one_voice: bool = False) -> Run:
    """Find the longest stretch of a piece that a training piece has too, under one transposition and one shift.

    Everything that begins in the stretch is the same in both: not a note more, not a note less; durations do not
    count. The longest one has the most notes. A chord or a note that is struck again unchanged is not counted, and
    silence has no notes, so that neither makes a run; the first of equal ones in the piece is returned.

    Parameters
    ----------
    piece : Piece
        Drums are left out.
    index : NoteIndex
    one_voice : bool
        Compare each track with each training track, rather than all tracks together: a melody may be copied below
        new harmony. Tracks are compared as they are, chords and all.

    Raises
    ------
    ValueError
        If the bars of the piece and of the training pieces differ.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    _check_bars(piece.grid, index.grid, "a piece is compared with training pieces of the same bars only")
    if not one_voice:
        return _longest(_slices(_pitched(piece)), index._textures, index.grid)
    runs = [
        _longest(_slices([track]), index._voices, index.grid)._replace(track=k)
        for k, track in enumerate(piece.tracks)
        if not track.is_drum
    ]
    best = max(runs, key=lambda run: run.notes, default=Run())
    return best if best.notes else Run()


def mann_whitney_z(x: FloatArray, y: FloatArray) -> float:
    """Whether values of x are larger than values of y, in standard deviations of what chance gives.

    U counts the pairs in which x is larger (ties count half). With m and n values, N = m + n, and t values in each
    group of equal ones::

        Z = (U - m n / 2) / sqrt(m n / 12 (N + 1 - sum (t^3 - t) / (N (N - 1))))

    If all values are equal, 0. NaN (silent clips) are left out. Of the originality ``1 - copied_share`` of generated
    and of held-out clips it is the data-copying test by shared notes, whatever the key: it sees copies of which a
    fifth of the notes were moved, to which `data_copying_z` on countable features is blind.

    Source: Mann & Whitney 1947, with the usual correction for ties. Oracle: the p-value of
    `scipy.stats.mannwhitneyu`.

    Parameters
    ----------
    x, y : array [shape=(n,)]

    Raises
    ------
    TooFewClips
        If one side has fewer than 20 values.
    ValueError
        If the values are not columns of numbers.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    # It takes half a second to import, and to look for one piece's copies it is not needed.
    from scipy.stats import mannwhitneyu

    columns = [np.asarray(values, float) for values in (x, y)]
    if any(column.ndim != 1 for column in columns):
        raise ValueError(f"columns of values are compared, not arrays of shape {[c.shape for c in columns]}")
    x, y = (column[~np.isnan(column)] for column in columns)
    m, n = len(x), len(y)
    if min(m, n) < MIN_DISTANCES:
        raise TooFewClips("the data-copying test", MIN_DISTANCES, (m, n))
    total = m + n
    ties = np.unique(np.concatenate([x, y]), return_counts=True)[1].astype(float)
    if len(ties) == 1:  # no variance, and rounding must not make some
        return 0.0
    variance = m * n / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1)))
    return float((mannwhitneyu(x, y).statistic - m * n / 2) / np.sqrt(variance))


def data_copying_z(generated: FloatArray, held_out: FloatArray, training: FloatArray) -> float:
    """Z of the data-copying test: whether generated clips lie nearer to the training clips than held-out ones do.

    `mann_whitney_z` of the distances of generated and held-out clips to their nearest training clips. About 0: as
    near as new music; below -3: copies, if nothing else explains it; far above: unlike the training set altogether.
    Only features are compared, so that a copy with some wrong notes, which have features of their own, passes:
    take `mann_whitney_z` of copied shares as well. Clips of one piece are not independent, which makes Z larger in
    size than chance alone would: halves of the held-out chorales have Z from -5 to 5 against each other if whole
    pieces are drawn, and about -2 to 2 if clips are. Read Z beside that range.

    Source: Meehan et al. 2020, without its division of the space into cells.

    Parameters
    ----------
    generated, held_out, training : array [shape=(n, feature)]
        Standardised features (`ganmusic.metrics.distribution.FeatureSpace`).

    Raises
    ------
    TooFewClips
        If one side has fewer than 20 clips.
    ValueError
        If the tables have no such shape, there is no training clip, or a feature is not a finite number.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    tables = [np.asarray(table, float) for table in (generated, held_out, training)]
    if any(table.ndim != 2 for table in tables) or len({table.shape[1] for table in tables}) > 1:
        shapes = [table.shape for table in tables]
        raise ValueError(f"tables of the same features are (n, feature) with one number of features, not {shapes}")
    if min(len(tables[0]), len(tables[1])) < MIN_DISTANCES:
        raise TooFewClips("the data-copying test", MIN_DISTANCES, (len(tables[0]), len(tables[1])))
    if not len(tables[2]):
        raise ValueError("there are no training clips to be near to")
    if not all(np.isfinite(table).all() for table in tables):
        raise ValueError("a feature is not a finite number")
    return mann_whitney_z(*(_to_nearest(table, tables[2]) for table in tables[:2]))


def _to_nearest(table: FloatArray, training: FloatArray) -> FloatArray:
    """Distance of each row to the nearest training row, some rows at a time to save memory."""
    size = max(1, 2**22 // len(training))
    parts = [cdist(table[at : at + size], training).min(1) for at in range(0, len(table), size)]
    return np.concatenate(parts)


def _check_bars(grid: Grid, other: Grid, rule: str) -> None:
    bars = [f"{g.n_steps} steps in {g.beats_per_bar} beats" for g in (grid, other)]
    if bars[0] != bars[1]:
        raise ValueError(f"{rule}: a bar of {bars[0]} is not one of {bars[1]}")


def _pitched(piece: Piece) -> list[Track]:
    return [track for track in piece.tracks if not track.is_drum]


def _pairs(notes: Iterable[Note]) -> IntArray:
    """The (onset, pitch) pairs of notes in order, each once ``[shape=(note, 2)]``."""
    pairs = sorted({(note.onset, note.pitch) for note in notes})
    return np.array(pairs, np.int64).reshape(-1, 2)


def _slices(tracks: Iterable[Track]) -> _Slices:
    """Cut tracks where notes begin."""
    pairs = _pairs(note for track in tracks for note in track.notes)
    onset, first = np.unique(pairs[:, 0], return_index=True)
    lowest = pairs[first, 1]
    groups = np.split(pairs[:, 1], first[1:]) if len(first) else []
    shape = [tuple((group - low).tolist()) for group, low in zip(groups, lowest, strict=True)]
    return _Slices(onset, lowest, shape)


def _texts(parts: list[tuple[int, int, _Slices]]) -> _Texts:
    """Write slices of many pieces one after another."""
    shapes: dict[tuple[int, ...], int] = {}
    shape = [shapes.setdefault(s, len(shapes)) for _, _, slices in parts for s in slices.shape]
    lengths = [len(slices.onset) for _, _, slices in parts]
    return _Texts(
        np.concatenate([slices.onset for _, _, slices in parts]),
        np.concatenate([slices.lowest for _, _, slices in parts]),
        np.repeat([piece for piece, _, _ in parts], lengths),
        np.repeat([track for _, track, _ in parts], lengths),
        np.array(shape, np.int64),
        np.concatenate([_steps(slices.onset, _NEVER) for _, _, slices in parts]),
        np.concatenate([_steps(slices.lowest, 0) for _, _, slices in parts]),
        shapes,
    )


def _steps(values: IntArray, first: int) -> IntArray:
    """Each value minus the one before it."""
    steps = np.empty_like(values)
    steps[:1] = first
    steps[1:] = np.diff(values)
    return steps


def _longest(slices: _Slices, texts: _Texts, grid: Grid) -> Run:
    """Longest common substring, by the classic table: one row a slice of the piece, one column a training slice."""
    wait, rise = _steps(slices.onset, _NEVER), _steps(slices.lowest, 0)
    repeats = [i > 0 and rise[i] == 0 and slices.shape[i] == slices.shape[i - 1] for i in range(len(slices.onset))]
    best, row, column = 0, 0, 0
    score = np.zeros(len(texts.onset), np.int64)  # notes in the run that ends with this pair of slices
    for i, shape in enumerate(slices.shape):
        before = np.concatenate([[0], score[:-1]])
        # A first slice has no slice before: its wait of -1 is nobody's.
        follows = (texts.wait == wait[i]) & (texts.rise == rise[i]) & (texts.wait != _NEVER) & (before > 0)
        longer = before + (0 if repeats[i] else len(shape))
        score = np.where(follows, longer, len(shape)) * (texts.shape == texts.shapes.get(shape, _NEVER))
        at = int(score.argmax()) if len(score) else 0
        if len(score) and score[at] > best:
            best, row, column = int(score[at]), i, at
    if not best:
        return Run()
    first, back = row, column
    while (
        first > 0
        and texts.wait[back] == wait[first] != _NEVER
        and texts.rise[back] == rise[first]
        and texts.shape[back - 1] == texts.shapes.get(slices.shape[first - 1], _NEVER)
    ):
        first, back = first - 1, back - 1
    while first < row and repeats[first + 1]:  # what only repeats is no part of the run, before it or behind
        first, back = first + 1, back + 1
    steps = int(slices.onset[row] - slices.onset[first])
    return Run(
        notes=best,
        beats=steps / grid.steps_per_beat,
        onset=int(slices.onset[first]),
        step=int(texts.onset[back]),
        steps=steps,
        piece=int(texts.piece[back]),
        semitones=int(texts.lowest[back] - slices.lowest[first]),
        training_track=int(texts.track[back]),
    )
