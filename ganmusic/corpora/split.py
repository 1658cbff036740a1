"""Copies, near-duplicates and splits: what must not be on both sides of a test.

Files with the same notes are copies. Pieces of which two lines have many *shingles* in common, runs of eight notes as
intervals and times, are near-duplicates: versions, transpositions, the same song in another arrangement.
Near-duplicates and stretches of one file are a group, and a group goes into one split, unless the corpus itself
divides it.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from ganmusic.corpora.record import SPLITS
from ganmusic.pianoroll import Note, Piece
from ganmusic.voices import polyphony, skyline

__all__ = ["ALIKE", "alike", "content", "group", "share_out", "sketch", "sketches"]

ALIKE = 0.15
"""Share of shingles in common, as `alike` estimates it, from which pieces are near-duplicates.

Of two chorales in one group .99 are on one tune, and .66 of the pairs on one tune are found; the research log has the
figures of other thresholds and corpora. With .05, unlike jigs and reels hang together in groups of more than a hundred.
"""

_SKETCH = 48  # shingles in a sketch
_SHINGLE = 8  # notes in a shingle
_BUCKET = 64  # pieces with a shingle in common of which every two are compared


def content(piece: Piece) -> str:
    """Hash the notes of a piece, whatever track they are on and in whatever bar they begin.

    Taught in: notebooks/corpora.ipynb
    """
    notes = sorted({note for track in piece.tracks for note in track.notes})
    rows = np.array(notes, dtype=np.int64)
    rows[:, 0] -= rows[0, 0]
    return hashlib.sha256(rows.tobytes()).hexdigest()[:32]


def sketch(piece: Piece) -> npt.NDArray[np.uint32]:
    """Return the smallest hashes of the shingles of a piece's highest line, ascending (Broder 1997).

    A shingle is eight notes of the line as intervals and times between onsets: transposition changes nothing.

    Taught in: notebooks/corpora.ipynb
    """
    pitched = [track for track in piece.tracks if not track.is_drum] or list(piece.tracks)
    return _sketch(skyline([note for track in pitched for note in track.notes]))


def sketches(piece: Piece) -> list[npt.NDArray[np.uint32]]:
    """Return the `sketch` of the highest line, and one for each of up to four tracks that are single lines.

    So a song is known by its melody, whatever is played above it.

    Taught in: notebooks/corpora.ipynb
    """
    single = [t for t in piece.tracks if not t.is_drum and len(t.notes) >= 3 * _SHINGLE and polyphony(t.notes) < 1.2]
    busiest = sorted(single, key=lambda track: -len(track.notes))[:4] if len(piece.tracks) > 1 else []
    found = [sketch(piece), *(_sketch(skyline(track.notes)) for track in busiest)]
    return [one for i, one in enumerate(found) if not any(np.array_equal(one, other) for other in found[:i])]


def _sketch(notes: Sequence[Note]) -> npt.NDArray[np.uint32]:
    line = np.array(notes, dtype=np.int64)
    if len(line) < _SHINGLE:
        return np.empty(0, dtype=np.uint32)
    moves = (np.diff(line[:, 2]) + 128) * 4096 + np.minimum(np.diff(line[:, 0]), 4095)
    shingles = np.lib.stride_tricks.sliding_window_view(moves, _SHINGLE - 1).astype(np.uint64)
    mixed = np.zeros(len(shingles), dtype=np.uint64)
    for column in shingles.T:  # a multiplicative hash; numbers wrap around
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return np.unique((mixed >> np.uint64(32)).astype(np.uint32))[:_SKETCH]


def alike(a: npt.NDArray[np.uint32], b: npt.NDArray[np.uint32]) -> float:
    """Estimate, from two sketches, the share of shingles in common of all that the two pieces have: 0 to 1.

    Taught in: notebooks/corpora.ipynb
    """
    union = np.union1d(a, b)[:_SKETCH]
    return float(np.isin(union, np.intersect1d(a, b, assume_unique=True)).mean()) if len(union) else 0.0


def group(
    sketches: Sequence[npt.NDArray[np.uint32] | Sequence[npt.NDArray[np.uint32]]],
    together: Sequence[Sequence[Hashable]] = (),
) -> list[int]:
    """Number the groups of pieces with much of their melody in common (`ALIKE`), and those known to belong together.

    Parameters
    ----------
    sketches : sequence of array, or of lists of arrays
        Of each piece; see `sketch` and `sketches`. Of two pieces with several, two that are alike are enough.
    together : sequence of sequence
        For each piece what puts it into one group with every other piece that has it too: its file, its song.

    Returns
    -------
    list of int
        For each piece the number of its group: the place of one of its members.

    Taught in: notebooks/corpora.ipynb
    """
    parent = list(range(len(sketches)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, reasons in enumerate(together):
        for reason in reasons:
            parent[root(i)] = root(first.setdefault(reason, i))
    several = [[some] if isinstance(some, np.ndarray) else some for some in sketches]
    lines = [one for some in several for one in some]
    piece = [i for i, some in enumerate(several) for _ in some]
    hashes = np.concatenate([*lines, np.empty(0, np.uint32)])
    owners = np.repeat(np.arange(len(lines)), [len(one) for one in lines])
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    pairs: set[tuple[int, int]] = set()
    for bucket in np.split(owners, np.flatnonzero(hashes[1:] != hashes[:-1]) + 1):
        if 1 < len(bucket) <= _BUCKET:
            pairs.update(itertools.combinations(bucket.tolist(), 2))
        elif len(bucket) > _BUCKET:
            # A shingle of very many pieces: each is compared with the next, in an order that depends on contents alone.
            pairs.update(itertools.pairwise(sorted(bucket.tolist(), key=lambda i: lines[i].tolist())))
    for a, b in pairs:
        if root(piece[a]) != root(piece[b]) and alike(lines[a], lines[b]) >= ALIKE:
            parent[root(piece[a])] = root(piece[b])
    return [root(i) for i in range(len(sketches))]


def share_out(groups: Sequence[Sequence[str]]) -> list[str]:
    """Give a tenth of the pieces to validation, a tenth to the test, the rest to training, whole groups only.

    Which groups depends on their contents alone. With fewer than three groups all are for training.

    Parameters
    ----------
    groups : sequence of sequence of str
        For each group the `content` of its pieces.

    Returns
    -------
    list of str
        The split of each group, one of `SPLITS`.

    Taught in: notebooks/corpora.ipynb
    """
    n = sum(len(group) for group in groups)
    splits = ["train"] * len(groups)
    if len(groups) < 3:
        return splits
    order = sorted(range(len(groups)), key=lambda i: min(groups[i]))
    largest = max(order, key=lambda i: len(groups[i]))  # is for training, whatever happens
    enough = max(1, round(0.1 * n))
    for split in SPLITS[:0:-1]:
        free = [i for i in order if splits[i] == "train" and i != largest]
        # Groups of a bearable size first: one that is much of the corpus is for training.
        fitting = [i for i in free if len(groups[i]) <= 2 * enough] or sorted(free, key=lambda i: len(groups[i]))[:1]
        others = len(free) - (split == SPLITS[-1])  # the test leaves one for validation
        taken = 0
        for i in fitting[:others]:
            if taken >= enough:
                break
            splits[i] = split
            taken += len(groups[i])
    return splits
