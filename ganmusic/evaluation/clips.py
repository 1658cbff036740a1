"""Clips to judge: where they come from, and what there is to know about them.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganmusic import metrics, midi, recipes
from ganmusic.corpora.folder import Reading
from ganmusic.data import Windows, windows
from ganmusic.files import counted
from ganmusic.keys import estimate_key
from ganmusic.pianoroll import Grid, IntArray, Piece, Roll
from ganmusic.sample import Composer, load_generator, sample_rolls
from ganmusic.store import describe, pack
from ganmusic.voices import FAMILIES, MAX_VOICES, ROLES, Voicing

__all__ = ["N_CLIPS", "Clips", "clips_of_run", "read_clips"]

N_CLIPS = 250
"""Most clips on a side of a statistic, and most that are searched for copies."""

#: Most clips that are held in memory; a corpus of millions would not fit.
MAX_CLIPS = 3000
#: Most files that an error tells of.
MAX_NAMED = 5


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips of music, all of one length on one grid.

    Parameters
    ----------
    roll : Roll
        ``[shape=(n, track, bar, step, pitch)]``.
    grid : Grid
    drums : tuple of bool
        Which tracks are drums; empty: none is.
    piece : array of int [shape=(n,)], optional
        The piece that each clip comes from: clips of one piece are not independent. None: each is a piece of its own.
    tracks : tuple of str
        Names of the tracks; empty: they have none.

    Raises
    ------
    ValueError
        If the rolls are not on this grid, or something does not fit their number of clips or tracks.

    Taught in: notebooks/04-evaluation.ipynb
    """

    roll: Roll
    grid: Grid
    drums: tuple[bool, ...] = ()
    piece: IntArray | None = None
    tracks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        metrics.check_grid(self.roll, self.grid)
        n, n_tracks = self.roll.sounding.shape[:2]
        if self.roll.onset.shape != self.roll.sounding.shape:
            raise ValueError(f"the planes of a roll have one shape, not {[plane.shape for plane in self.roll]}")
        for name, values in (("drums", self.drums), ("tracks", self.tracks)):
            if values and len(values) != n_tracks:
                raise ValueError(f"clips of {n_tracks} tracks have as many {name}, not {len(values)}")
        if self.piece is not None and np.shape(self.piece) != (n,):
            raise ValueError(f"{n} clips come from as many pieces, not from {np.shape(self.piece)}")

    def __len__(self) -> int:
        return len(self.roll.sounding)

    @property
    def groups(self) -> IntArray:
        """The piece of each clip, counted from 0 ``[shape=(n,)]``."""
        if self.piece is None:
            return np.arange(len(self))
        return np.unique(self.piece, return_inverse=True)[1].reshape(-1)

    @property
    def is_drum(self) -> npt.NDArray[np.bool_]:
        """Which tracks are drums ``[shape=(track,)]``."""
        return np.array(self.drums or (False,) * self.roll.sounding.shape[1], bool)

    def select(self, rows: npt.ArrayLike) -> Clips:
        """Some of the clips, by their numbers or by a mask."""
        rows = np.asarray(rows)
        rows = rows if rows.dtype == np.bool_ else rows.astype(np.int64)
        piece = None if self.piece is None else self.piece[rows]
        return replace(self, roll=Roll(*(plane[rows] for plane in self.roll)), piece=piece)

    def with_roll(self, roll: Roll) -> Clips:
        """As many clips of other notes, such as a control makes of these."""
        return replace(self, roll=roll)


def unpack(data: Windows, most: int) -> Clips:
    """Unpack windows, or a choice of them."""
    if len(data) > most:
        data = data.select(np.sort(np.random.default_rng(0).permutation(len(data))[:most]))
    return Clips(data.roll, data.grid, data.bars.drums, data.piece, data.tracks)


def joined(parts: Sequence[Clips]) -> Clips:
    """Clips of several sets as one; no piece is in two of them."""
    ends = np.cumsum([0] + [1 + int(part.groups.max(initial=-1)) for part in parts])
    groups = [part.groups + end for part, end in zip(parts, ends[:-1], strict=True)]
    planes = zip(*(part.roll for part in parts), strict=True)
    roll = Roll(*(np.concatenate(plane) for plane in planes))
    return replace(parts[0], roll=roll, piece=np.concatenate(groups))


def heard(clips: Clips) -> Roll:
    """The tracks that features and classifiers compare: those with a pitch; of drums alone, the drums."""
    chosen = ~clips.is_drum if not clips.is_drum.all() else clips.is_drum
    return clips.roll if chosen.all() else Roll(*(plane[:, chosen] for plane in clips.roll))


def check_like(clips: Clips, other: Clips, name: str, other_name: str) -> None:
    facts = []
    for each in (clips, other):
        n_tracks, n_bars = each.roll.sounding.shape[1:3]
        numbers = [i + 1 for i in np.flatnonzero(each.is_drum)]
        drums = f", drums on {', '.join(map(str, numbers))}" if numbers else ""
        facts.append(f"{n_tracks} tracks{drums}, {n_bars} bars of {describe(each.grid)}")
    if facts[0] != facts[1]:
        raise ValueError(f"{name} ({facts[0]}) cannot be compared with {other_name} ({facts[1]})")


def clips_of_run(
    run: str | os.PathLike[str] | Composer | None = None, n_bars: int | None = None, seed: int = 1
) -> Clips:
    """Draw `N_CLIPS` clips of a run, or of the weights that come with the package.

    Parameters
    ----------
    run : path or Composer, optional
    n_bars : int, optional
        At least 1; by default what its network makes, or 4.
    seed : int
        0 or more.

    Raises
    ------
    ValueError
        If the network makes clips of another, fixed length, or a number is too small.
    CheckpointError
        If the run cannot be loaded.

    Taught in: notebooks/04-evaluation.ipynb
    """
    if n_bars is not None and n_bars < 1:
        raise ValueError(f"a clip has at least 1 bar, not {n_bars}")
    if seed < 0:
        raise ValueError(f"a seed is 0 or more, not {seed}")
    composer = run if isinstance(run, Composer) else load_generator(run)
    fixed = getattr(composer.generator, "n_bars", None)
    if fixed is not None and n_bars not in (None, fixed):
        raise ValueError(f"this generator makes clips of {fixed} bars, not {n_bars}")
    length: dict[str, Any] = {} if fixed is not None else {"n_bars": 4 if n_bars is None else n_bars}
    roll = sample_rolls(composer, N_CLIPS, seed, **length)
    return Clips(roll, composer.grid, tuple(composer.drums), tracks=tuple(composer.names))


def read_clips(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], corpus: str = "chorales", n_bars: int = 4
) -> tuple[Clips, tuple[str, ...]]:
    """Read files of music, and cut them as a corpus is cut: its metre, its tracks, the common key if it has one.

    A piece whose tracks are not those of the corpus is shared out among them (`ganmusic.voices`), where a rule fits.
    The key is estimated. There is a clip at each bar that has enough full bars behind it. A file that was named and
    cannot be used is an error; one that was found in a folder is left out, and named in the remarks. So is a file with
    the content of another, because two copies are one piece.

    Parameters
    ----------
    paths : path or iterable of path
        MIDI and MusicXML files, and folders of them.
    corpus : str
    n_bars : int
        At least 1.

    Returns
    -------
    Clips, tuple of str
        The clips, and remarks: what was left out, and what was done to the tracks.

    Raises
    ------
    ValueError
        If a file that was named cannot be used, or no file is given, or a path is empty, or no clip is left.

    Taught in: notebooks/04-evaluation.ipynb
    """
    if n_bars < 1:
        raise ValueError(f"a clip has at least 1 bar, not {n_bars}")
    form = recipes.layout(corpus)
    parts: list[Windows] = []
    remarks: list[str] = []
    seen: dict[bytes, Path] = {}
    for path, named in _files([paths] if isinstance(paths, str | os.PathLike) else paths).items():
        try:
            # The reader comes first: it refuses what is too large, and a file that cannot be used is nothing to copy.
            data, said = _read(path, form, n_bars, corpus)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
        except (OSError, ValueError) as error:
            reason = str(error).removeprefix(str(path)).removeprefix(":").strip()
            if named:
                raise ValueError(f"{path}: {reason}") from error
            remarks.append(f"{path}: left out: {reason}")
            continue
        same = seen.setdefault(digest, path)
        if same is not path:
            remarks.append(f"{path}: left out: it has the same content as {same}")
            continue
        remarks += [f"{path}: {each}" for each in said]
        parts.append(data)
    if not parts:
        said = remarks[:MAX_NAMED] + [f"and {len(remarks) - MAX_NAMED} more"] * (len(remarks) > MAX_NAMED)
        raise ValueError("none of the files can be used: " + "; ".join(said))
    ends = np.cumsum([0] + [len(data) for data in parts])
    rows = np.arange(ends[-1])
    if len(rows) > MAX_CLIPS:
        remarks.append(f"of {len(rows):,} clips {MAX_CLIPS:,} are taken by chance")
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MAX_CLIPS])
    chosen = [rows[(rows >= first) & (rows < last)] - first for first, last in pairwise(ends)]
    unpacked = [unpack(data.select(some), MAX_CLIPS) for data, some in zip(parts, chosen, strict=True) if len(some)]
    return joined(unpacked), tuple(remarks)


def _files(paths: Iterable[str | os.PathLike[str]]) -> dict[Path, bool]:
    """Find the files to read, each once, and whether it was named itself."""
    found: dict[Path, bool] = {}
    given = list(paths)
    if not given:
        raise ValueError("no file and no folder of music is given")
    if "" in given:  # Path("") is the folder that one happens to be in
        raise ValueError("an empty path names no file and no folder of music; '.' is the current folder")
    for path in map(Path, given):
        if path.is_dir():
            inside = Reading().files(path)
            if not inside:
                raise ValueError(f"{path}: there is no MIDI or MusicXML file in this folder")
            for file in inside:
                found.setdefault(file, False)
        elif path.exists():
            found[path] = True
        else:
            raise ValueError(f"{path}: there is no such file or folder")
    return found


def _read(path: Path, form: recipes.Layout, n_bars: int, corpus: str) -> tuple[Windows, list[str]]:
    """Read one file as windows of a corpus's layout, and say what was done to it.

    Raises
    ------
    ValueError
        If it cannot be read or does not fit; with the reason, and what would fit.
    """
    piece = midi.read(path)
    if piece.grid.beats_per_bar != form.grid.beats_per_bar:
        theirs, ours = piece.grid.beats_per_bar, form.grid.beats_per_bar
        raise ValueError(f"it has {theirs} beats in a bar, and the music of {corpus!r} has {ours}")
    if piece.grid.n_steps != form.grid.n_steps:
        piece = midi.read(path, replace(form.grid, low=0, n_pitches=132))
    piece, remarks = _arranged(piece, form, corpus)
    if form.normalise_key and not {"tonic", "mode"} <= piece.labels.keys():
        key = estimate_key(piece)
        if key is None:
            remarks.append("its key cannot be told from its notes, so they stay where they are")
        labels = {"tonic": key.tonic, "mode": key.mode} if key else {"tonic": 0, "mode": "major"}
        piece = replace(piece, labels={**piece.labels, **labels})
    bars = pack([piece], grid=form.grid, normalise_key=form.normalise_key)
    if "beyond the grid's pitches" in bars.left_out:
        pitches = [note.pitch for track in piece.tracks for note in track.notes]
        moved = ", moved to the common key," if form.normalise_key else ""
        raise ValueError(
            f"its notes from {min(pitches)} to {max(pitches)}{moved} do not fit the pitches {form.grid.low} to "
            f"{form.grid.high - 1} of {corpus!r}"
        )
    n_full = int((bars.last - bars.first).sum())
    if n_full < n_bars:
        raise ValueError(f"it has {counted(n_full, 'full bar') if n_full else 'no full bar'}, and a clip has {n_bars}")
    return windows(bars, n_bars), remarks


def _arranged(piece: Piece, form: recipes.Layout, corpus: str) -> tuple[Piece, list[str]]:
    """Give a piece the tracks of a corpus, and say what was done to its own."""
    sounding = [track for track in piece.tracks if track.notes]
    is_drum = dict(zip(form.tracks, form.drums, strict=True))
    if sounding and all(track.is_drum for track in sounding) and not any(form.drums):
        raise ValueError(f"it has drums alone, and the music of {corpus!r} has none")
    named = [track.name.strip() for track in sounding]
    if len(set(named)) == len(named) and all(is_drum.get(track.name.strip()) == track.is_drum for track in sounding):
        rule = "parts"
    elif form.tracks in (ROLES, FAMILIES):
        rule = "roles" if form.tracks == ROLES else "families"
    elif tuple(track.is_drum for track in piece.tracks) == form.drums:
        rule = "parts"
    elif not any(form.drums) and len(form.tracks) <= MAX_VOICES:
        rule = "skyline" if len(form.tracks) == 1 else "lines"
    else:
        tracks = [[f"{name} (drums)" if drum else name for name, drum in each] for each in (
            [(track.name, track.is_drum) for track in piece.tracks], is_drum.items()
        )]  # fmt: skip
        raise ValueError(
            f"its tracks ({', '.join(tracks[0])}) are not those of {corpus!r} ({', '.join(tracks[1])}), "
            "by name or by number"
        )
    arranged, said = Voicing(rule, form.tracks, form.programs, form.drums).arrange(piece)
    remarks = []
    if rule != "parts":
        remarks.append(f"its tracks ({', '.join(named)}) become those of {corpus!r} by the rule {rule!r}")
    remarks += [f"its track {each.track!r} is left out: {each.why}" for each in said if not each.voice]
    dropped = {each.number for each in said if not each.voice}
    before = sum(len(track.notes) for i, track in enumerate(piece.tracks, start=1) if i not in dropped)
    lost = before - sum(len(track.notes) for track in arranged.tracks)
    if lost > 0:
        remarks.append(f"{lost:,} of its {before:,} notes have no place in these tracks and are left out")
    return arranged, remarks
