"""From pieces to what a network sees: windows of a few bars, in one key, and the order in which they come.

Pieces are split before they are cut: a corpus says which split a piece belongs to, and pieces on one tune are
in one split. Cutting first would put bars of the same piece on both sides, and what was learned by heart would
look like skill.

Conventions
-----------
A *window* is some bars of a piece, ``(track, bar, step, pitch)`` in two planes like any `Roll`. A window
begins with a full bar and holds whole bars only. A note that is held over the window's first bar line begins
with the window: what a network sees starts there.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganmusic.pianoroll import Grid, Piece, Roll, piece_to_roll, transpose

__all__ = ["Windows", "augment", "batch_indices", "key_shift", "windows"]

#: Pitch class that the tonic is moved to, by mode: C major and A minor have the same seven notes.
COMMON_TONIC = {"major": 0, "minor": 9}


@dataclass(frozen=True, eq=False)
class Windows(Dataset[Tensor]):
    """Windows cut from pieces; a map-style torch dataset.

    Parameters
    ----------
    sounding, onset : array of bool [shape=(window, track, bar, step, pitch)]
    grid : Grid
    tracks : tuple of str
        Names of the tracks.
    piece, bar, shift : array of int [shape=(window,)]
        Where a window comes from: the piece's place in the list that was cut, the window's first bar, and the
        semitones by which it was moved (move it back by as many to hear it as it was).

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    sounding: npt.NDArray[np.bool_]
    onset: npt.NDArray[np.bool_]
    grid: Grid
    tracks: tuple[str, ...]
    piece: npt.NDArray[np.int64]
    bar: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int64]

    @property
    def roll(self) -> Roll:
        """All windows as one `Roll` ``[shape=(window, track, bar, step, pitch)]``."""
        return Roll(self.sounding, self.onset)

    def __len__(self) -> int:
        return len(self.sounding)

    def __getitem__(self, index: Any) -> Tensor:
        """One window ``(plane, track, bar, step, pitch)``, or several with ``(window, ...)`` before it."""
        planes = np.stack([self.sounding[index], self.onset[index]], axis=-5)
        return torch.from_numpy(planes)

    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Several windows at once, as torch's loaders ask for them."""
        return list(self[np.asarray(indices)])

    def select(self, rows: npt.ArrayLike) -> Windows:
        """Return some of the windows, by their numbers or by a mask."""
        rows = np.asarray(rows)
        arrays = {name: getattr(self, name)[rows] for name in ("sounding", "onset", "piece", "bar", "shift")}
        return replace(self, **arrays)

    def fingerprint(self) -> str:
        """SHA-256 of the notes, the grid and the tracks: the same data give the same run."""
        digest = hashlib.sha256(repr((self.grid, self.tracks, self.sounding.shape)).encode())
        for plane in self.roll:
            digest.update(np.packbits(plane).tobytes())
        return digest.hexdigest()


def key_shift(piece: Piece, grid: Grid) -> int | None:
    """Semitones that move a piece to C major or A minor and onto the grid's pitches.

    Of the two ways, up and down, the shorter one that keeps every note on the grid; None if neither does.

    Raises
    ------
    ValueError
        If the piece has no label ``tonic`` or ``mode``.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    try:
        home, tonic = COMMON_TONIC[piece.labels["mode"]], piece.labels["tonic"]
    except KeyError as error:
        raise ValueError(f"the piece {piece.title!r} cannot be moved to a common key: no label {error}") from None
    up = (home - tonic) % 12
    pitches = [note.pitch for track in piece.tracks for note in track.notes]
    for shift in sorted((up, up - 12), key=abs):
        if not pitches or (grid.low <= min(pitches) + shift and max(pitches) + shift < grid.high):
            return shift
    return None


def windows(
    pieces: Iterable[Piece],
    n_bars: int = 4,
    *,
    hop: int = 1,
    grid: Grid | None = None,
    normalise_key: bool = True,
) -> Windows:
    """Cut pieces into windows of `n_bars`, one every `hop` bars.

    Left out are pieces on another grid (in 3/4, where the grid has 4/4) or beyond its pitches, the incomplete
    first bar of a pickup, an incomplete last bar, and all bars after the piece's label ``regular_until``, if it
    has one.

    Parameters
    ----------
    pieces : iterable of Piece
        With the same tracks.
    n_bars, hop : int
    grid : Grid, optional
        The default grid by default: 4/4 in sixteenths.
    normalise_key : bool
        Move every piece to C major or A minor (`key_shift`); otherwise leave it where it is.

    Raises
    ------
    ValueError
        If no window is left, the pieces' tracks differ, or a piece's key is not known and is needed.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    grid = grid or Grid()
    if n_bars < 1 or hop < 1:
        raise ValueError(f"windows have at least 1 bar and 1 bar between them, not {n_bars} and {hop}")
    cuts: list[tuple[Roll, int, int, int]] = []
    tracks: tuple[str, ...] | None = None
    for index, piece in enumerate(pieces):
        if (piece.grid.n_steps, piece.grid.beats_per_bar) != (grid.n_steps, grid.beats_per_bar):
            continue
        names = tuple(track.name for track in piece.tracks)
        tracks = tracks or names
        if names != tracks:
            raise ValueError(f"the piece {piece.title!r} has the tracks {names}, and those before it {tracks}")
        shift = key_shift(piece, grid) if normalise_key else 0
        roll = _on_grid(piece, shift, grid)
        if roll is None or shift is None:
            continue
        until = piece.labels.get("regular_until")
        end = (piece.end if until is None else min(piece.end, until)) // grid.n_steps
        for bar in range(1 if piece.pickup else 0, end - n_bars + 1, hop):
            window = Roll(*(plane[:, bar : bar + n_bars].copy() for plane in roll))
            window.onset[:, 0, 0] = window.sounding[:, 0, 0]
            cuts.append((window, index, bar, shift))
    if not cuts or tracks is None:
        raise ValueError(
            f"no piece has {n_bars} full bars of {grid.beats_per_bar} beats in {grid.n_steps} steps "
            f"within the pitches {grid.low}..{grid.high - 1}"
        )
    rolls, *places = zip(*cuts, strict=True)
    sounding, onset = (np.stack([roll[plane] for roll in rolls]) for plane in (0, 1))
    return Windows(sounding, onset, grid, tracks, *(np.array(place, dtype=np.int64) for place in places))


def _on_grid(piece: Piece, shift: int | None, grid: Grid) -> Roll | None:
    """Draw a moved piece on the grid; None where its notes do not fit."""
    if shift is None:
        return None
    moved = transpose(piece, shift)
    pitches = [note.pitch for track in moved.tracks for note in track.notes]
    if not pitches or min(pitches) < grid.low or max(pitches) >= grid.high:
        return None
    return piece_to_roll(Piece(moved.tracks, grid))


def augment(data: Windows, semitones: Iterable[int]) -> Windows:
    """Return transposed copies of windows, one set for each number of semitones; 0 keeps the originals.

    Windows that would leave the grid's pitches are left out of a copy.

    Raises
    ------
    ValueError
        If nothing is left.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    n_pitches = data.grid.n_pitches
    kept: list[tuple[int, npt.NDArray[np.intp]]] = []
    for shift in semitones:
        if not abs(shift) < n_pitches:
            raise ValueError(f"a transposition by {shift} semitones leaves the grid's {n_pitches} pitches")
        lost = data.sounding[..., n_pitches - shift :] if shift > 0 else data.sounding[..., :-shift]
        kept.append((shift, np.flatnonzero(~lost.any(axis=(1, 2, 3, 4)))))
    rows = np.concatenate([chosen for _, chosen in kept] or [np.empty(0, np.intp)])
    if not len(rows):
        raise ValueError("no window is left")
    copies = data.select(rows)
    begin = 0
    for shift, chosen in kept:
        here = slice(begin, begin + len(chosen))
        for plane in copies.roll:
            plane[here] = np.roll(plane[here], shift, -1)
        copies.shift[here] += shift
        begin += len(chosen)
    return copies


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
        order = np.random.default_rng([seed, int(epoch)]).permutation(n)
        here = epochs == epoch
        chosen[here] = order[places[here] % n]
    return torch.from_numpy(chosen)
