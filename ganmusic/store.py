"""Music kept on disk: note events, which are the truth, and packed bars, which a network reads fast.

Note events are small (those of the chorales take some 26 bytes a bar) and exact, and every roll can be drawn from
them. Drawing takes time, and so a large corpus is drawn once: `prepare` packs its bars into *shards*, files of bits
that are mapped into memory and read from where they lie, in any order.

Conventions
-----------
A *packed bar* holds its two planes, sounding and onset, of each track: ``[shape=(plane, track, byte)]``. A *cell*
is one bar of one track in one plane; its ``step x pitch`` bits are packed to whole bytes, eight a byte, so that
cells can be put in any order without unpacking them. Only *usable* bars are kept: full ones, on the piece's grid.

A folder that `prepare` made holds

- ``settings.json``: how it was prepared;
- ``shard-00000.npy``, ...: packed bars ``[shape=(bar, byte)]``, and beside each a ``.json`` with the titles and
  labels of its pieces, which is written only when the shard is whole;
- ``index.json``, written last of all: where each piece's bars lie;
- ``prepare.lock``, which keeps two processes from preparing it at once.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from numpy.lib.format import write_array_header_1_0
from tqdm import tqdm

from ganmusic.files import atomic_path
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track, piece_to_roll, transpose

__all__ = [
    "COMMON_TONIC",
    "MAX_SHARD_BYTES",
    "Bars",
    "Store",
    "describe",
    "key_shift",
    "load_pieces",
    "pack",
    "prepare",
    "save_pieces",
]

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

COMMON_TONIC = {"major": 0, "minor": 9}
"""Pitch class that the tonic is moved to, by mode: C major and A minor have the same seven notes."""

MAX_SHARD_BYTES = 1_000_000_000
"""The largest shard: one that any file system takes, and that is soon copied or checked."""

FORMAT = 1
"""Number of the layout on disk; another one is refused."""

_HEADER_BYTES = 128
"""Length of the header that numpy writes before an array of bytes."""

_TRACKS = ("tracks", "programs", "drums")
"""What is kept of the tracks; see `Bars`."""

COLUMNS = ("piece", "first", "last", "shift")
"""What is kept of each piece, in numbers; see `Bars`."""


# Note events ----------------------------------------------------------------------------------------


def save_pieces(pieces: Iterable[Piece], path: str | os.PathLike[str]) -> None:
    """Write pieces to one ``.npz`` file of flat columns, whole or not at all; never pickled.

    Raises
    ------
    ValueError
        If a note, a program or a label does not fit: onsets and durations are below 2^31, pitches and programs
        0-255, and labels are what JSON can hold.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    pieces = tuple(pieces)
    tracks = [track for piece in pieces for track in piece.tracks]
    text = [[p.title, [t.name for t in p.tracks], _checked_labels(p)] for p in pieces]
    try:
        notes = _note_rows(tracks)
        columns: dict[str, Any] = {
            "onset": _narrow(notes[:, 0], np.int32),
            "duration": _narrow(notes[:, 1], np.int32),
            "pitch": _narrow(notes[:, 2], np.uint8),
            "n_notes": np.array([len(track.notes) for track in tracks], np.int32),
            "program": np.array([track.program for track in tracks], np.uint8),
            "is_drum": np.array([track.is_drum for track in tracks], bool),
            "n_tracks": np.array([len(piece.tracks) for piece in pieces], np.int32),
            "grid": np.array([_numbers(piece.grid) for piece in pieces], np.int32).reshape(-1, 4),
            "tempo": np.array([piece.tempo for piece in pieces], np.float64),
            "pickup": np.array([piece.pickup for piece in pieces], np.int32),
            # JSON is the text of any length that an array without pickle can hold.
            "text": np.frombuffer(json.dumps(text).encode(), np.uint8),
        }
    except OverflowError as error:
        raise ValueError(f"the pieces cannot be kept in {path}: {error}") from None
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        # None of them is of objects, which alone would be pickled.
        np.savez_compressed(stream, **columns)


def load_pieces(path: str | os.PathLike[str]) -> tuple[Piece, ...]:
    """Load the pieces that `save_pieces` wrote.

    They are equal to what was saved, but plain: of any class of pieces, a `Piece` comes back, and tuples in its
    labels come back as lists (`json` knows no tuples).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or not a file of pieces.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    try:
        # Opened here: numpy would leave a damaged file open.
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            columns = {name: arrays[name].tolist() for name in arrays.files if name != "text"}
            text = json.loads(arrays["text"].tobytes())
        rows = zip(columns["onset"], columns["duration"], columns["pitch"], strict=True)
        notes = (Note(*row) for row in rows)
        events = [tuple(next(notes) for _ in range(n)) for n in columns["n_notes"]]
        names = [name for _, names, _ in text for name in names]
        tracks = map(Track, names, events, columns["program"], columns["is_drum"])
        return tuple(
            Piece(tuple(next(tracks) for _ in range(n)), Grid(*grid), tempo, title, pickup, labels)
            for n, grid, tempo, (title, _, labels), pickup in zip(
                *(columns[name] for name in ("n_tracks", "grid", "tempo")), text, columns["pickup"], strict=True
            )
        )
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{path} is damaged, or no file of pieces: {error}") from error


#: What reading a damaged archive can raise (a generator that runs out of notes raises RuntimeError).
_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, MemoryError, OverflowError),
)


def _note_rows(tracks: Iterable[Track]) -> Integers:
    """Onset, duration and pitch of all notes ``[shape=(note, 3)]``."""
    notes = chain.from_iterable(track.notes for track in tracks)
    return np.fromiter(chain.from_iterable(notes), np.int64).reshape(-1, 3)


def _narrow(values: Integers, kind: type[np.integer[Any]]) -> npt.NDArray[Any]:
    limits = np.iinfo(kind)
    if values.size and (values.min() < limits.min or values.max() > limits.max):
        raise OverflowError(f"{values.min()}..{values.max()} are not all within {limits.min}..{limits.max}")
    return values.astype(kind)


def _numbers(grid: Grid) -> tuple[int, int, int, int]:
    return grid.n_steps, grid.beats_per_bar, grid.low, grid.n_pitches


def _checked_labels(piece: Piece) -> dict[str, Any]:
    try:
        json.dumps(piece.labels)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a label of the piece {piece.title!r} is not what JSON can hold: {error}") from None
    return piece.labels


# Bars -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Bars:
    """The usable bars of pieces, packed; each is kept once, however many windows it is in.

    Parameters
    ----------
    grid : Grid
    tracks : tuple of str
        Names of the tracks.
    programs : tuple of int
        Their General MIDI programs, as the first piece has them.
    drums : tuple of bool
        Which tracks are drums, and are never transposed.
    piece, first, last, shift : array of int [shape=(piece,)]
        A piece's place in the list that was packed, the number of its first usable bar and of the bar after the
        last usable one, and the semitones by which the piece was moved.
    split : array of str [shape=(piece,)]
        The piece's label ``split``; empty where it has none.
    normalise_key : bool
        Whether the pieces were moved to a common key.
    left_out : dict
        How many pieces do not fit, by reason.
    ends : array of int [shape=(shard,)]
        The row after each shard's last one.
    shards : sequence of array of uint8 [shape=(bar, byte)]
        The bars themselves, of one piece after the other.
    facts : iterable of (str, dict)
        Title and labels of each piece.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    grid: Grid
    tracks: tuple[str, ...]
    programs: tuple[int, ...]
    drums: tuple[bool, ...]
    piece: Integers
    first: Integers
    last: Integers
    shift: Integers
    split: npt.NDArray[np.str_]
    normalise_key: bool
    left_out: dict[str, int]
    ends: Integers
    shards: Sequence[Bytes] = field(repr=False)
    facts: Iterable[tuple[str, dict[str, Any]]] = field(repr=False)

    def __len__(self) -> int:
        """Number of bars."""
        return int(self.ends[-1])

    @cached_property
    def row(self) -> Integers:
        """Row of each piece's first usable bar, counted through all shards ``[shape=(piece,)]``."""
        n_bars = self.last - self.first
        return np.cumsum(n_bars) - n_bars

    def titles(self) -> list[str]:
        """Title of each piece."""
        return [title for title, _ in self.facts]

    def labels(self, name: str) -> list[Any]:
        """One label of each piece.

        Raises
        ------
        ValueError
            If a piece does not have it.
        """
        return [_label(title, labels, name) for title, labels in self.facts]

    def gather(self, rows: Integers, n_bars: int, n_planes: int = 2) -> Bytes:
        """Copy `n_bars` bars from each row on ``[shape=(row, plane, track, bar, byte)]``, packed.

        One plane is the sounding one alone. The bars of a row are of one piece, and so in one shard.
        """
        n_tracks = len(self.tracks)
        cell = _cell_bytes(self.grid)
        bar, plane, track = np.arange(n_bars), np.arange(n_planes), np.arange(n_tracks)
        # Where the cells of a window lie behind its first, in the order in which they are wanted: it is
        # cheaper to fetch them in that order than to put bits in order afterwards.
        behind = ((plane[:, None, None] * n_tracks + track[:, None]) + bar * 2 * n_tracks).reshape(-1)
        cells = np.empty((len(rows), behind.size, cell), np.uint8)
        home = np.searchsorted(self.ends, rows, side="right")
        for k in np.unique(home).tolist():
            here = home == k
            shard = self.shards[k]
            begin = (rows[here] - (self.ends[k] - len(shard))) * 2 * n_tracks
            source = shard.reshape(-1, cell)
            if here.all():
                # Any other mode makes numpy fill a buffer of its own first.
                np.take(source, begin[:, None] + behind, axis=0, out=cells, mode="clip")
            else:
                cells[here] = source[begin[:, None] + behind]
        return cells.reshape(len(rows), n_planes, n_tracks, n_bars, cell)


class _Fit(NamedTuple):
    """The usable bars of a piece that fits a grid."""

    bars: Bytes
    first: int
    last: int
    shift: int


def pack(pieces: Iterable[Piece], *, grid: Grid | None = None, normalise_key: bool = True) -> Bars:
    """Pack the usable bars of pieces, in memory.

    Left out, and counted, are pieces on another grid (in 3/4, where the grid has 4/4) or beyond its pitches.
    Of the others the incomplete first bar of a pickup, an incomplete last bar, and all bars after the piece's
    label ``regular_until``, if it has one, are not usable.

    Parameters
    ----------
    pieces : iterable of Piece
        With the same tracks.
    grid : Grid, optional
        The default grid by default: 4/4 in sixteenths.
    normalise_key : bool
        Move every piece to C major or A minor (`key_shift`); otherwise leave it where it is.

    Raises
    ------
    ValueError
        If the pieces' tracks differ, or a piece's key is not known and is needed.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    grid = grid or Grid()
    left_out: Counter[str] = Counter()
    kept: list[tuple[int, Piece, _Fit]] = []
    tracks: tuple[Track, ...] = ()
    for place, piece in enumerate(pieces):
        fit = _fit(piece, grid, normalise_key)
        if isinstance(fit, str):
            left_out[fit] += 1
            continue
        tracks = tracks or piece.tracks
        _check_tracks(piece, [t.name for t in tracks], [t.is_drum for t in tracks])
        kept.append((place, piece, fit))
    bars = np.concatenate([fit.bars for _, _, fit in kept] or [np.empty((0, 1), np.uint8)])
    return Bars(
        grid=grid,
        tracks=tuple(track.name for track in tracks),
        programs=tuple(track.program for track in tracks),
        drums=tuple(track.is_drum for track in tracks),
        piece=np.array([place for place, _, _ in kept], np.int64),
        first=np.array([fit.first for _, _, fit in kept], np.int64),
        last=np.array([fit.last for _, _, fit in kept], np.int64),
        shift=np.array([fit.shift for _, _, fit in kept], np.int64),
        split=np.array([_split(piece) for _, piece, _ in kept], np.str_),
        normalise_key=normalise_key,
        left_out=dict(left_out),
        ends=np.array([len(bars)]),
        shards=(bars,),
        facts=tuple((piece.title, piece.labels) for _, piece, _ in kept),
    )


def key_shift(piece: Piece, grid: Grid) -> int | None:
    """Semitones that move a piece to C major or A minor and onto the grid's pitches.

    Of the two ways, up and down, the shorter one that keeps every note on the grid; None if neither does.
    Drums have no key and do not move.

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
    pitches = [note.pitch for track in piece.tracks if not track.is_drum for note in track.notes]
    for shift in sorted((up, up - 12), key=abs):
        if not pitches or (grid.low <= min(pitches) + shift and max(pitches) + shift < grid.high):
            return shift
    return None


def _fit(piece: Piece, grid: Grid, normalise_key: bool, room: int | None = None) -> _Fit | str:
    """Draw and pack the usable bars of a piece, moved to the common key; or the reason why it does not fit."""
    if _metre(piece.grid) != _metre(grid):
        return "another metre"
    until = piece.labels.get("regular_until")
    first, last = 1 if piece.pickup else 0, (piece.end if until is None else min(piece.end, until)) // grid.n_steps
    if last <= first:
        return "no full bar"
    # Before anything as large as a roll is made.
    bar_bytes = 2 * len(piece.tracks) * _cell_bytes(grid)
    if room is not None and piece.n_bars * bar_bytes > room:
        return "longer than a shard"
    shift = key_shift(piece, grid) if normalise_key else 0
    if shift is None:
        return "beyond the grid's pitches"
    moved = transpose(piece, shift) if shift else piece
    pitches = [note.pitch for track in moved.tracks for note in track.notes]
    if min(pitches) < grid.low or max(pitches) >= grid.high:
        return "beyond the grid's pitches"
    roll = piece_to_roll(Piece(moved.tracks, grid))
    return _Fit(_packed(Roll(*(plane[:, first:last] for plane in roll))), first, last, shift)


def _cell_bytes(grid: Grid) -> int:
    """Bytes of a packed bar of one track in one plane."""
    return -(-grid.n_steps * grid.n_pitches // 8)


def describe(grid: Grid) -> str:
    """Say what a grid can hold: '4 beats in 16 steps within the pitches 36..83'."""
    return f"{grid.beats_per_bar} beats in {grid.n_steps} steps within the pitches {grid.low}..{grid.high - 1}"


def _metre(grid: Grid) -> tuple[int, int]:
    return grid.n_steps, grid.beats_per_bar


def _packed(roll: Roll) -> Bytes:
    """Pack a roll ``[shape=(track, bar, step, pitch)]`` into bars ``[shape=(bar, byte)]``."""
    n_bars = roll.sounding.shape[1]
    planes = [np.packbits(plane.reshape(*plane.shape[:2], -1), axis=-1) for plane in roll]
    return np.ascontiguousarray(np.stack(planes).transpose(2, 0, 1, 3)).reshape(n_bars, -1)


def _check_tracks(piece: Piece, names: list[str], drums: list[bool]) -> None:
    theirs = tuple(track.name for track in piece.tracks)
    if theirs != tuple(names):
        raise ValueError(f"the piece {piece.title!r} has the tracks {theirs}, and those before it {tuple(names)}")
    if [track.is_drum for track in piece.tracks] != drums:
        raise ValueError(f"other tracks of the piece {piece.title!r} are drums than of those before it")


def _split(piece: Piece) -> str:
    return str(piece.labels.get("split") or "")


def _label(title: str, labels: dict[str, Any], name: str) -> Any:
    if name not in labels:
        raise ValueError(f"the piece {title!r} has no label {name!r}; it has {', '.join(labels) or 'none'}")
    return labels[name]


# Shards ---------------------------------------------------------------------------------------------


class Store(Bars):
    """The packed bars of a folder that `prepare` has finished.

    Opening it reads the index; a shard is mapped into memory when a bar of it is first asked for, by each process
    for itself, and titles and labels stay on disk. So memory does not grow with the music, and a store may be
    handed to worker processes: what is sent to them is the folder's name.

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished store.
    ValueError
        If the index is damaged, a shard is missing or not as long as it should be, or the folder is of another layout.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        path = self.folder / "index.json"
        with _naming(path):
            try:
                index = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                raise FileNotFoundError(f"{folder} holds no store that prepare() has finished") from None
            layout = index["format"]
        if layout != FORMAT:
            raise ValueError(f"{folder} is of layout {layout}, not {FORMAT}: prepare it again")
        with _naming(path):
            pieces, shards = index["pieces"], index["shards"]
            sizes = [int(record["bytes"]) for record in shards]
            self.sha256 = tuple(record["sha256"] for record in shards)
            super().__init__(
                grid=Grid(**index["grid"]),
                tracks=tuple(index["tracks"]),
                programs=tuple(index["programs"]),
                drums=tuple(index["drums"]),
                piece=np.array(pieces["piece"], np.int64),
                first=np.array(pieces["first"], np.int64),
                last=np.array(pieces["last"], np.int64),
                shift=np.array(pieces["shift"], np.int64),
                split=np.array(pieces["split"], np.str_),
                normalise_key=index["normalise_key"],
                left_out=index["left_out"],
                ends=np.cumsum([record["bars"] for record in shards]),
                shards=_Maps(self.folder, len(shards)),
                facts=_Facts(self.folder, len(shards)),
            )
            if np.sum(self.last - self.first) != len(self):
                raise ValueError("the pieces have not as many bars as the shards")
        for k, size in enumerate(sizes):
            if not _is_whole(self.folder, k, size):
                raise ValueError(
                    f"{self.folder / _name(k)} is damaged: it should have {size:,} bytes; "
                    f"remove {self.folder} and prepare it again"
                )

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.folder,)

    def verify(self) -> None:
        """Read every shard whole, and compare its SHA-256 with what was written.

        Raises
        ------
        ValueError
            If one is damaged.
        """
        for k, (shard, expected) in enumerate(zip(self.shards, self.sha256, strict=True)):
            digest = hashlib.sha256()
            for begin in range(0, len(shard), 4096):
                digest.update(shard[begin : begin + 4096].data)
            if digest.hexdigest() != expected:
                raise ValueError(f"{self.folder / _name(k)} is damaged: its SHA-256 is not the one that was written")


class _Maps(Sequence[Bytes]):
    """Shards, each mapped when it is first asked for."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder, self.n = folder, n
        self.maps: dict[int, Bytes] = {}

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, k: Any) -> Any:
        if not 0 <= k < self.n:
            raise IndexError(k)
        if k not in self.maps:
            path = self.folder / _name(k)
            with _naming(path):
                self.maps[k] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        return self.maps[k]


class _Facts:
    """Titles and labels, read a shard at a time, and not kept."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder, self.n = folder, n

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for k in range(self.n):
            record = _record(self.folder, k)
            yield from zip(record["titles"], record["labels"], strict=True)


def prepare(
    pieces: Iterable[Piece],
    folder: str | os.PathLike[str],
    *,
    grid: Grid | None = None,
    normalise_key: bool = True,
    shard_bytes: int = MAX_SHARD_BYTES,
    progress: bool = False,
) -> Store:
    """Pack the usable bars of pieces into shards on disk, and open them.

    Takes one piece after the other and holds none of them, so `pieces` may be a generator over any number. What
    is left out, and which bars are usable, is as `pack` has it. Interrupted at any moment and called again with
    the same pieces, it goes on after the last whole shard; called again when all is done, it only checks that the
    pieces are the same ones, and makes again what is damaged. While one process prepares a folder, others wait.

    Parameters
    ----------
    pieces : iterable of Piece
        With the same tracks.
    folder : path
        A new or empty folder, or one that was begun.
    grid, normalise_key
        As in `pack`.
    shard_bytes : int
        Size of a shard at most, in bytes, up to `MAX_SHARD_BYTES`. A piece stays in one shard.
    progress : bool
        Show a progress bar.

    Raises
    ------
    ValueError
        If the folder was prepared from other pieces or with other settings, or holds something else; if no piece
        fits; and as in `pack`.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    grid, folder = grid or Grid(), Path(folder)
    if not 0 < shard_bytes <= MAX_SHARD_BYTES:
        raise ValueError(f"a shard has between 1 and {MAX_SHARD_BYTES:,} bytes, not {shard_bytes:,}")
    settings = {
        "format": FORMAT, "grid": asdict(grid), "normalise_key": normalise_key, "shard_bytes": shard_bytes
    }  # fmt: skip
    if folder.exists() and not _is_ours(folder):
        raise ValueError(f"{folder} holds other files, and is no place to prepare pieces in")
    folder.mkdir(parents=True, exist_ok=True)
    stream = enumerate(tqdm(pieces, desc="preparing", unit="piece", disable=not progress))
    with FileLock(folder / _LOCK):
        _begin(folder, settings)
        _write_shards(folder, stream, settings)
    return Store(folder)


def _write_shards(folder: Path, stream: Iterator[tuple[int, Piece]], settings: dict[str, Any]) -> None:
    """Write the shards that are not there, check that the others are of the same pieces, and write the index."""
    records: list[dict[str, Any]] = []
    waiting: list[tuple[int, Piece]] = []
    for k in count():
        rest = chain(waiting, stream)
        if _sidecar(folder, k).exists():
            record = _record(folder, k)
            _compare(record, rest, folder)
            waiting = []
        else:
            record, waiting = _write_shard(folder, k, rest, settings, records[0] if records else None)
        # Titles and labels stay on disk.
        records.append({name: value for name, value in record.items() if name not in ("titles", "labels")})
        if record["is_last"]:
            break
    if next(stream, None) is not None:
        raise ValueError(_OTHER_PIECES.format(folder))
    if not (folder / "index.json").exists():
        _write_json(folder / "index.json", {**settings, **_index(records)})


_OTHER_PIECES = "{} was prepared from other pieces: prepare these in another folder, or remove it first"


_LOCK = "prepare.lock"


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty, or was begun by `prepare`."""
    names = {path.name for path in folder.iterdir()}
    return not names or bool(names & {"settings.json", _LOCK})


def _begin(folder: Path, settings: dict[str, Any]) -> None:
    """Make or check a folder's settings, and remove what is not finished in it, or damaged."""
    for path in folder.glob(".ganmusic-*"):  # as atomic_path calls them
        path.unlink(missing_ok=True)
    path = folder / "settings.json"
    if not path.exists():
        _write_json(path, settings)
    with _naming(path):
        begun = dict(json.loads(path.read_text(encoding="utf-8")))
    if begun != settings:
        differ = [name for name in settings if begun.get(name) != settings[name]]
        had, has = ({name: values.get(name) for name in differ} for values in (begun, settings))
        raise ValueError(f"{folder} was prepared with other settings, {had} and not {has}: use another folder")
    index = folder / "index.json"
    if index.exists():
        try:
            Store(folder)
        except ValueError:
            # Before anything else: as long as there is an index, what is there looks finished.
            index.unlink()
    for stem in sorted({path.stem for path in folder.glob("shard-*")}):
        k = int(stem.removeprefix("shard-"))
        try:
            whole = _is_whole(folder, k, _record(folder, k)["bytes"])
        except (FileNotFoundError, ValueError):
            whole = False
        if not whole:
            index.unlink(missing_ok=True)
            # In this order: at no moment is there a sidecar of a shard that is not whole.
            _sidecar(folder, k).unlink(missing_ok=True)
            (folder / _name(k)).unlink(missing_ok=True)


def _compare(record: dict[str, Any], stream: Iterator[tuple[int, Piece]], folder: Path) -> None:
    """Pass over the pieces that a finished shard was made from."""
    digest, n = hashlib.sha256(), 0
    for _, piece in islice(stream, record["n_read"]):
        digest.update(_fingerprint(piece))
        n += 1
    if (n, digest.hexdigest()) != (record["n_read"], record["read_sha256"]):
        raise ValueError(_OTHER_PIECES.format(folder))


def _write_shard(
    folder: Path,
    k: int,
    stream: Iterator[tuple[int, Piece]],
    settings: dict[str, Any],
    before: dict[str, Any] | None,
) -> tuple[dict[str, Any], list[tuple[int, Piece]]]:
    """Fill one shard; returns its record, and the piece that has no room in it (which begins the next one)."""
    grid, room = Grid(**settings["grid"]), settings["shard_bytes"] - _HEADER_BYTES
    tracks = {name: before[name] for name in _TRACKS} if before else {}
    bars, read = hashlib.sha256(), hashlib.sha256()
    n_read, left_out, unused = 0, Counter[str](), list[tuple[int, Piece]]()
    columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "split", "titles", "labels")}
    path = folder / _name(k)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(bytes(_HEADER_BYTES))
        for place, piece in stream:
            fit = _fit(piece, grid, settings["normalise_key"], room)
            if isinstance(fit, str):
                left_out[fit] += 1
            else:
                tracks = tracks or _tracks(piece)
                _check_tracks(piece, tracks["tracks"], tracks["drums"])
                if file.tell() + fit.bars.nbytes > settings["shard_bytes"]:
                    unused = [(place, piece)]
                    break
                file.write(fit.bars.data)
                bars.update(fit.bars.data)
                facts = (place, *fit[1:], _split(piece), piece.title, piece.labels)
                for column, fact in zip(columns.values(), facts, strict=True):
                    column.append(fact)
            n_read += 1
            read.update(_fingerprint(piece))
        if not columns["piece"]:
            raise ValueError(f"no piece fits a grid of {describe(grid)}: {dict(left_out) or 'there are none'}")
        n_bars, n_bytes = sum(columns["last"]) - sum(columns["first"]), file.tell()
        # numpy leaves room in a header for any number of rows, so it can be written when that is known.
        file.seek(0)
        write_array_header_1_0(
            file,
            {"descr": "|u1", "fortran_order": False, "shape": (n_bars, (n_bytes - _HEADER_BYTES) // n_bars)},
        )
        if file.tell() != _HEADER_BYTES:
            raise RuntimeError(f"a header of {file.tell()} bytes, not {_HEADER_BYTES}, would overwrite bars")
        file.flush()
        os.fsync(file.fileno())
    record = {
        "bars": n_bars,
        "bytes": n_bytes,
        "sha256": bars.hexdigest(),
        "n_read": n_read,
        "read_sha256": read.hexdigest(),
        "is_last": not unused,
        "left_out": left_out,
        **tracks,
        "pieces": {name: columns[name] for name in (*COLUMNS, "split")},
        "titles": columns["titles"],
        "labels": columns["labels"],
    }
    # The shard's new name must be on the disk before a file there says that the shard is whole.
    _sync_folder(folder)
    _write_json(_sidecar(folder, k), record)
    return record, unused


def _index(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What stands in the index: the shards' records taken together."""
    left_out: Counter[str] = Counter()
    for record in records:
        left_out.update(record["left_out"])
    return {
        **{name: records[0][name] for name in _TRACKS},
        "left_out": left_out,
        "shards": [{name: record[name] for name in ("bars", "bytes", "sha256")} for record in records],
        "pieces": {
            name: [value for record in records for value in record["pieces"][name]] for name in (*COLUMNS, "split")
        },
    }


def _fingerprint(piece: Piece) -> bytes:
    """SHA-256 of all that a piece says."""
    tracks = [(track.name, track.program, track.is_drum, len(track.notes)) for track in piece.tracks]
    text = [_numbers(piece.grid), piece.tempo, piece.title, piece.pickup, tracks, _checked_labels(piece)]
    digest = hashlib.sha256(json.dumps(text).encode())
    digest.update(_note_rows(piece.tracks).data)
    return digest.digest()


def _tracks(piece: Piece) -> dict[str, list[Any]]:
    return {
        "tracks": [track.name for track in piece.tracks],
        "programs": [track.program for track in piece.tracks],
        "drums": [track.is_drum for track in piece.tracks],
    }


def _name(k: int) -> str:
    return f"shard-{k:05d}.npy"


def _sidecar(folder: Path, k: int) -> Path:
    return (folder / _name(k)).with_suffix(".json")


def _is_whole(folder: Path, k: int, size: int) -> bool:
    path = folder / _name(k)
    return path.is_file() and path.stat().st_size == size


def _record(folder: Path, k: int) -> dict[str, Any]:
    """What the file beside a shard says of it."""
    path = _sidecar(folder, k)
    with _naming(path):
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        columns = [record["pieces"][name] for name in (*COLUMNS, "split")] + [record["titles"], record["labels"]]
        if len({len(column) for column in columns}) != 1:
            raise ValueError("its columns are not of one length")
        wanted = {"bars", "bytes", "sha256", "n_read", "read_sha256", "is_last", "left_out", *_TRACKS}
        if missing := wanted - record.keys():
            raise ValueError(f"there is no {', '.join(sorted(missing))}")
    return record


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of which file it is that it cannot be read as it was written."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        text = f"{path} is damaged ({type(error).__name__}: {error}); remove {path.parent} and prepare it again"
        raise ValueError(text) from error


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file whole, down to the disk."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring new names in a folder to the disk, where the system can (Windows cannot open a folder)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
