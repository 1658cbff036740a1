"""From pieces to what a network sees: windows of a few bars, in one key, and the order in which they come.

Pieces are split before they are cut: a corpus says which split a piece belongs to, and pieces on one tune are
in one split. Cutting first would put bars of the same piece on both sides, and what was learned by heart would
look like skill.

Conventions
-----------
A *window* is some bars of a piece, ``(track, bar, step, pitch)`` in two planes like any `Roll`. A window
begins with a full bar and holds whole bars only. A note that is held over the window's first bar line begins
with the window: what a network sees starts there. Bars are kept once and packed (`ganmusic.store`), in memory or
on disk; a window is cut from them when it is asked for.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganmusic.pianoroll import Grid, Piece, Roll
from ganmusic.store import Bars, describe, key_shift, pack

__all__ = ["Windows", "augment", "balanced_indices", "batch_indices", "key_shift", "windows"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Windows(Dataset[Tensor]):
    """Windows of `n_bars` bars, one every `hop` bars of a piece; a map-style torch dataset.

    Which windows there are follows from the number of bars of each piece, so that millions of them take no room;
    only those of a selection are numbered one by one.

    Parameters
    ----------
    bars : Bars
        The packed bars, in memory or on disk.
    n_bars, hop : int
    pieces : array of int [shape=(piece,)]
        The pieces that are cut, by their rows in the tables of `bars`.
    chosen : array of int [shape=(window,)], optional
        The windows of a selection, by their numbers among all; None: all of them.
    moved : array of int [shape=(window,)], optional
        Semitones by which each is transposed when it is loaded.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    bars: Bars
    n_bars: int
    hop: int
    pieces: Integers
    chosen: Integers | None = field(default=None, repr=False)
    moved: npt.NDArray[np.int16] | None = field(default=None, repr=False)

    @property
    def grid(self) -> Grid:
        """The grid of every window."""
        return self.bars.grid

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the tracks."""
        return self.bars.tracks

    @cached_property
    def _ends(self) -> Integers:
        """How many windows there are up to the end of each piece ``[shape=(piece,)]``."""
        n_bars = (self.bars.last - self.bars.first)[self.pieces]
        return np.cumsum(np.maximum(0, (n_bars - self.n_bars) // self.hop + 1))

    def __len__(self) -> int:
        return len(self.chosen) if self.chosen is not None else int(self._ends[-1]) if len(self._ends) else 0

    def _places(self, numbers: Integers) -> tuple[Integers, Integers]:
        """Row of each window's piece in the tables of `bars`, and how many bars after its first one it begins."""
        if self.chosen is not None:
            numbers = self.chosen[numbers]
        which = np.searchsorted(self._ends, numbers, side="right")
        before = np.where(which > 0, self._ends[which - 1], 0)
        return self.pieces[which], (numbers - before) * self.hop

    # Where windows come from ----------------------------------------------------------------------

    @cached_property
    def piece(self) -> Integers:
        """Each window's piece, by its place in the list that was cut ``[shape=(window,)]``."""
        return self.bars.piece[self._places(np.arange(len(self)))[0]]

    @cached_property
    def bar(self) -> Integers:
        """Each window's first bar, counted in its piece ``[shape=(window,)]``."""
        rows, behind = self._places(np.arange(len(self)))
        return self.bars.first[rows] + behind

    @cached_property
    def shift(self) -> Integers:
        """Semitones by which each window was moved ``[shape=(window,)]``: move it back to hear it as it was."""
        shift = self.bars.shift[self._places(np.arange(len(self)))[0]]
        return shift if self.moved is None else shift + self.moved

    def labels(self, name: str) -> npt.NDArray[Any]:
        """One label of the piece of each window ``[shape=(window,)]``.

        Raises
        ------
        ValueError
            If a piece does not have it.
        """
        values = self.bars.labels(name)
        simple = {type(value) for value in values} in ({str}, {int}, {float}, {bool})
        column = np.array(values) if simple else np.empty(len(values), object)
        if not simple:
            column[:] = values
        return column[self._places(np.arange(len(self)))[0]]

    def groups(self, name: str) -> dict[Any, Integers]:
        """The windows of each value of a label, by their numbers; see `balanced_indices`.

        Raises
        ------
        ValueError
            If a piece does not have the label, or it has not one value a piece: chords, say, are a list.
        """
        labels = self.labels(name)
        for value in labels if labels.dtype.hasobject else ():
            if isinstance(value, list | tuple | dict):
                raise ValueError(
                    f"the label {name!r} makes no groups: it is a {type(value).__name__}, such as {str(value)[:40]}, "
                    f"and not one value a piece"
                )
        return {value: np.flatnonzero(labels == value) for value in sorted(set(labels.tolist()), key=str)}

    # What they hold -------------------------------------------------------------------------------

    def load(self, numbers: npt.ArrayLike, n_planes: int = 2) -> npt.NDArray[np.bool_]:
        """Load windows by their numbers ``[shape=(window, plane, track, bar, step, pitch)]``.

        With one plane, the sounding one alone is read, in half the time.

        Raises
        ------
        IndexError
            If there is no such window.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        n = len(self)
        if numbers.size and not -n <= numbers.min() <= numbers.max() < n:
            raise IndexError(f"there are {n} windows, and not all of the numbers asked for")
        numbers = np.where(numbers < 0, numbers + n, numbers)
        pieces, behind = self._places(numbers)
        cells = self.bars.gather(self.bars.row[pieces] + behind, self.n_bars, n_planes)
        grid = self.grid
        if n_planes == 2:
            # The first step's bits come first in a cell. What sounds there begins there.
            first = np.packbits(np.ones(grid.n_pitches, bool))
            begin = cells[:, :, :, 0, : len(first)]
            begin[:, 1] = (begin[:, 1] & ~first) | (begin[:, 0] & first)
        n_cells = grid.n_steps * grid.n_pitches
        bits = np.unpackbits(cells, axis=-1, count=n_cells) if n_cells % 8 else np.unpackbits(cells.reshape(-1))
        planes = bits.view(np.bool_).reshape(*cells.shape[:-1], grid.n_steps, grid.n_pitches)
        if self.moved is not None:
            self._transpose(planes, self.moved[numbers])
        return planes

    def _transpose(self, planes: npt.NDArray[np.bool_], semitones: npt.NDArray[np.int16]) -> None:
        pitched = np.flatnonzero(~np.array(self.bars.drums))
        for shift in np.unique(semitones[semitones != 0]).tolist():
            here = np.ix_(np.flatnonzero(semitones == shift), np.arange(planes.shape[1]), pitched)
            planes[here] = np.roll(planes[here], shift, -1)

    def __getitem__(self, index: Any) -> Tensor:
        """One window ``(plane, track, bar, step, pitch)``, or several with ``(window, ...)`` before it."""
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        numbers = self._numbers(index)
        planes = self.load(numbers.reshape(-1))
        return torch.from_numpy(planes.reshape(*numbers.shape, *planes.shape[1:]))

    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Several windows at once, as torch's loaders ask for them."""
        return list(self[np.asarray(indices)])

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: not what can be worked out again."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def _numbers(self, index: npt.ArrayLike) -> Integers:
        """Numbers of windows, from numbers or a mask."""
        numbers = np.asarray(index)
        if numbers.dtype == np.bool_:
            if numbers.shape != (len(self),):
                raise IndexError(f"a mask over {len(self)} windows has as many values, not {numbers.shape}")
            numbers = np.flatnonzero(numbers)
        return numbers.astype(np.int64, casting="safe" if numbers.size else "unsafe")

    @cached_property
    def roll(self) -> Roll:
        """All windows as one `Roll` ``[shape=(window, track, bar, step, pitch)]``, unpacked in memory."""
        planes = self.load(np.arange(len(self)))
        return Roll(planes[:, 0], planes[:, 1])

    @property
    def sounding(self) -> npt.NDArray[np.bool_]:
        """Where a pitch sounds, in all windows; see `roll`."""
        return self.roll.sounding

    @property
    def onset(self) -> npt.NDArray[np.bool_]:
        """Where a note begins, in all windows; see `roll`."""
        return self.roll.onset

    def select(self, rows: npt.ArrayLike) -> Windows:
        """Return some of the windows, by their numbers or by a mask."""
        rows = self._numbers(rows)
        chosen = (np.arange(len(self)) if self.chosen is None else self.chosen)[rows]
        return replace(self, chosen=chosen, moved=None if self.moved is None else self.moved[rows])

    def fingerprint(self) -> str:
        """SHA-256 of the notes, the grid and the tracks: the same data give the same run."""
        shape = (len(self), len(self.tracks), self.n_bars, self.grid.n_steps, self.grid.n_pitches)
        digest = hashlib.sha256(repr((self.grid, self.tracks, shape)).encode())
        for plane in (0, 1):
            for _, planes in self.chunks(plane + 1):
                digest.update(np.packbits(planes[:, plane]).data)
        return digest.hexdigest()

    def chunks(self, n_planes: int = 2) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        """All windows, 256 at a time: the first one's number, and what `load` gives.

        The number is a multiple of 8, so that the bits of a chunk fill whole bytes.
        """
        for begin in range(0, len(self), 256):
            yield begin, self.load(np.arange(begin, min(begin + 256, len(self))), n_planes)


def windows(
    source: Iterable[Piece] | Bars,
    n_bars: int = 4,
    *,
    hop: int = 1,
    split: str | None = None,
    grid: Grid | None = None,
    normalise_key: bool | None = None,
) -> Windows:
    """Cut pieces into windows of `n_bars`, one every `hop` bars.

    Left out are pieces on another grid (in 3/4, where the grid has 4/4) or beyond its pitches, the incomplete
    first bar of a pickup, an incomplete last bar, and all bars after the piece's label ``regular_until``, if it
    has one.

    Parameters
    ----------
    source : iterable of Piece, or Bars
        Pieces with the same tracks, or what `ganmusic.store.prepare` made of them.
    n_bars, hop : int
    split : str, optional
        Cut the pieces of one split only.
    grid : Grid, optional
        The default grid by default: 4/4 in sixteenths. Bars have theirs.
    normalise_key : bool, optional
        Move every piece to C major or A minor (`key_shift`), as is the default; otherwise leave it where it is.
        Bars are already moved, or not.

    Raises
    ------
    ValueError
        If no window is left, the pieces' tracks differ, a piece's key is not known and is needed, or bars were
        packed on another grid or moved otherwise than is asked for.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if n_bars < 1 or hop < 1:
        raise ValueError(f"windows have at least 1 bar and 1 bar between them, not {n_bars} and {hop}")
    if isinstance(source, Bars):
        for asked, packed, name in (
            (grid, source.grid, "grid"), (normalise_key, source.normalise_key, "normalise_key")
        ):  # fmt: skip
            if asked not in (None, packed):
                raise ValueError(f"the bars were packed with {name}={packed}, and cannot be cut with {asked}")
        bars = source
    else:
        bars = pack(source, grid=grid, normalise_key=normalise_key is not False)
    pieces = np.arange(len(bars.piece)) if split is None else np.flatnonzero(bars.split == split)
    data = Windows(bars, n_bars, hop, pieces)
    if not len(data):
        where = "" if split is None else f" of the split {split!r}"
        raise ValueError(f"no piece{where} has {n_bars} full bars of {describe(bars.grid)}")
    return data


def augment(data: Windows, semitones: Iterable[int]) -> Windows:
    """Return transposed copies of windows, one set for each number of semitones; 0 keeps the originals.

    Windows that would leave the grid's pitches are left out of a copy. Drums stay as they are.

    Raises
    ------
    ValueError
        If nothing is left.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    n_pitches = data.grid.n_pitches
    pitched = ~np.array(data.bars.drums)
    used = np.zeros((len(data), n_pitches), bool)
    for begin, planes in data.chunks(1):
        used[begin : begin + len(planes)] = planes[:, 0, pitched].any((1, 2, 3))
    # The room below and above what sounds; a window of silence has all of it.
    room = [np.where(used.any(1), ways.argmax(1), n_pitches) for ways in (used, used[:, ::-1])]
    rows, moves = [], []
    for shift in semitones:
        if not abs(shift) < n_pitches:
            raise ValueError(f"a transposition by {shift} semitones leaves the grid's {n_pitches} pitches")
        fits = np.flatnonzero(room[shift > 0] >= abs(shift))
        rows.append(fits)
        moves.append((np.zeros(len(data), np.int16) if data.moved is None else data.moved)[fits] + np.int16(shift))
    if not sum(map(len, rows)):
        raise ValueError("no window is left")
    return replace(data.select(np.concatenate(rows)), moved=np.concatenate(moves))


def batch_indices(n: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Choose the windows of an update ``[shape=(batch_size,)]``: all `n` in a random order, then again in another.

    The answer depends on these numbers alone and not on earlier calls, so that a run can go on from any step.

    Raises
    ------
    ValueError
        If a number is not positive (or `seed` or `step` is negative).

    Taught in: notebooks/03-training.ipynb
    """
    if n < 1 or batch_size < 1 or seed < 0 or step < 0:
        raise ValueError(f"no batch of {batch_size} from {n} windows at step {step} with seed {seed}")
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = places // n
    chosen = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        chosen[here] = _order(n, seed, int(epoch))[places[here] % n]
    return torch.from_numpy(chosen)


@lru_cache(maxsize=2)  # a batch is of one epoch or two, and the order of millions takes longer than a batch
def _order(n: int, seed: int, epoch: int) -> Integers:
    return np.random.default_rng([seed, epoch]).permutation(n)


def balanced_indices(groups: Mapping[Any, npt.ArrayLike], batch_size: int, seed: int, step: int) -> Tensor:
    """Choose the windows of an update ``[shape=(batch_size,)]``, equally many of each group.

    The groups take turns, and each goes through its own windows as `batch_indices` goes through all: in a random
    order, then again in another. So windows of a small group come more often than those of a large one.

    Parameters
    ----------
    groups : mapping to array of int
        Numbers of the windows of each group, as `Windows.groups` gives them.
    batch_size, seed, step : int
        The answer depends on these alone.

    Raises
    ------
    ValueError
        If there is no group or an empty one, or a number is not positive (or `seed` or `step` is negative).

    Taught in: notebooks/03-training.ipynb
    """
    members = [np.asarray(numbers, np.int64) for numbers in groups.values()]
    if not members or not all(map(len, members)) or batch_size < 1 or seed < 0 or step < 0:
        sizes = [len(numbers) for numbers in members]
        raise ValueError(f"no batch of {batch_size} from groups of {sizes} windows at step {step} with seed {seed}")
    turn, group = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), len(members))
    chosen = np.empty(batch_size, dtype=np.int64)
    for k, numbers in enumerate(members):
        epochs = turn // len(numbers)
        for epoch in np.unique(epochs[group == k]):
            order = np.random.default_rng([seed, int(epoch), k]).permutation(numbers)
            here = (group == k) & (epochs == epoch)
            chosen[here] = order[turn[here] % len(numbers)]
    return torch.from_numpy(chosen)
