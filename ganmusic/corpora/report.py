"""What was found in a folder of music: file by file, and in sum.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ganmusic.files import atomic_path
from ganmusic.keys import PITCH_CLASSES
from ganmusic.midi import program_name

__all__ = ["OFF_GRID", "REGULAR", "FileReport", "Report"]

OFF_GRID = 0.25
"""Share of onsets off the grid from which a file is said not to follow it (see `ganmusic.quantise.off_grid`)."""
REGULAR = 0.9
"""Share of onsets at regular places from which such a file is not played freely, but finer than the grid."""


@dataclass(slots=True)
class FileReport:
    """What was found in one file.

    Parameters
    ----------
    file : str
        Its path below the folder.
    skipped : str
        Why it is not in the corpus; '' if it is.
    n_pieces, n_notes, n_bars : int
        A file gives a piece for each stretch of one metre. Notes are those in the file.
    n_merged : int
        Notes that fall on one step of the grid with another of their pitch, and become one with it.
    metres, keys : list of str
    lowest, highest : int
        MIDI numbers of the pitched notes.
    tempo : float
        Quarter notes a minute at the first note.
    n_tempos : int
    pickup : bool
        Whether it begins with an incomplete bar.
    off_grid, triplets : float
        See `ganmusic.quantise.off_grid`; after `late` was taken away.
    regular : float
        See `ganmusic.quantise.regular`.
    late : float
        How late all notes are alike, in sixteenths; taken away (`ganmusic.quantise.phase`).
    on_beats : bool
        Whether annotated beats were used.
    instruments : list of str
    voices : list of [track, voice, why]
        What became of each track.
    left_out : int
        Notes of tracks that are in no voice, or that a voice had no room for.
    split : str
    same_as : str
        A file of the same contents, of which this one is a copy, and so skipped.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    file: str
    skipped: str = ""
    n_pieces: int = 0
    n_notes: int = 0
    n_bars: int = 0
    n_merged: int = 0
    metres: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    lowest: int = 0
    highest: int = 0
    tempo: float = 0.0
    n_tempos: int = 0
    pickup: bool = False
    off_grid: float = 0.0
    triplets: float = 0.0
    regular: float = 0.0
    late: float = 0.0
    on_beats: bool = False
    instruments: list[str] = field(default_factory=list)
    voices: list[list[str]] = field(default_factory=list)
    left_out: int = 0
    split: str = ""
    same_as: str = ""


@dataclass
class Report:
    """What was found in a folder; prints as a table.

    Parameters
    ----------
    folder : str
    rule : str
        What became of the tracks, and why; see `ganmusic.voices`.
    tracks : list of str
        The corpus's voices.
    programs : list of int
    files : list of FileReport
    n_groups : int
        Groups of pieces that share much of their melody, and so a split.
    n_divided : int
        Groups that are in several splits all the same, because the corpus has splits of its own.
    unmatched : list of str
        Decisions of the user's on tracks that are in no file.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    folder: str
    rule: str
    tracks: list[str]
    programs: list[int]
    files: list[FileReport]
    n_groups: int = 0
    n_divided: int = 0
    unmatched: list[str] = field(default_factory=list)

    @property
    def read(self) -> list[FileReport]:
        """The files that are in the corpus."""
        return [file for file in self.files if not file.skipped]

    @property
    def skipped(self) -> list[FileReport]:
        """The files that are not."""
        return [file for file in self.files if file.skipped]

    def count(self, name: str) -> Counter[str]:
        """Count pieces by ``metres`` or ``keys``, files by ``instruments`` or ``split``, tracks by ``voices``."""
        if name == "voices":
            return Counter(voice or "(left out)" for file in self.read for _, voice, _ in file.voices)
        values = [getattr(file, name) for file in self.read]
        return Counter(v for value in values for v in (value if isinstance(value, list) else [value]))

    def summary(self) -> dict[str, Any]:
        """The sums, by name."""
        read = self.read
        pitched = [file for file in read if file.highest]
        total = sum(file.n_notes for file in read)
        kept = sum(file.n_notes - file.n_merged - file.left_out for file in read)

        def share(name: str) -> float:
            """Mean over all notes."""
            return sum(getattr(file, name) * file.n_notes for file in read) / max(1, total)

        return {
            "files": len(self.files),
            "read": len(read),
            "skipped": len(self.skipped),
            "duplicates": sum(bool(file.same_as) for file in self.files),
            "pieces": sum(file.n_pieces for file in read),
            "groups": self.n_groups,
            "groups in several splits": self.n_divided,
            "notes": total,
            "notes merged": sum(file.n_merged for file in read),
            "notes kept": kept,
            "bars": sum(file.n_bars for file in read),
            # Of files of nothing but drums both are 0.
            "pitches": [min(f.lowest for f in pitched), max(f.highest for f in pitched)] if pitched else [],
            "off the grid": round(share("off_grid"), 4),
            "triplets": round(share("triplets"), 4),
            "files off the grid": sum(file.off_grid > OFF_GRID and file.regular < REGULAR for file in read),
            "files finer than the grid": sum(file.off_grid > OFF_GRID and file.regular >= REGULAR for file in read),
            "files put on annotated beats": sum(file.on_beats for file in read),
            "files moved onto the grid": sum(abs(file.late) > 0 for file in read),
            "files with tempo changes": sum(file.n_tempos > 1 for file in read),
            "files with metre changes": sum(file.n_pieces > 1 for file in read),
            "files with a pickup": sum(file.pickup for file in read),
            "metres": dict(self.count("metres").most_common()),
            "keys": dict(self.count("keys").most_common()),
            "instruments": dict(self.count("instruments").most_common()),
            "voices": dict(self.count("voices").most_common()),
            "splits": dict(self.count("split").most_common()),
        }

    def __str__(self) -> str:
        """A table of the sums, and of what was skipped."""
        facts = self.summary()
        low, high = facts["pitches"] or (0, 0)
        merged = f", and the grid merges {facts['notes merged']:,} with others" if facts["notes merged"] else ""
        rows = [
            ("folder", self.folder),
            ("files", f"{facts['files']:,}: {facts['read']:,} read, {facts['skipped']:,} skipped"),
            ("splits", _counts(facts["splits"])),
            ("pieces", f"{facts['pieces']:,}, of {facts['bars']:,} bars in all"),
            ("notes", f"{facts['notes']:,}, of which {facts['notes kept']:,} are in a voice{merged}"),
            ("pitches", f"{_note_name(low)} to {_note_name(high)} (MIDI {low} to {high})" if high else "drums alone"),
            ("voices", f"{', '.join(self.tracks)}: rule {self.rule}"),
            ("tracks", _counts(facts["voices"])),
            ("instruments", _counts(facts["instruments"])),
            ("metres", _counts(facts["metres"])),
            ("keys", _counts(facts["keys"])),
            ("off the grid", f"{facts['off the grid']:.1%} of the notes, and {facts['triplets']:.1%} are triplets"),
        ]
        rows += [
            (name, f"{facts[key]:,} of {facts['read']:,} files {text}")
            for name, key, text in (
                ("performances", "files off the grid", "on no grid; bars and steps mean little there"),
                ("fine", "files finer than the grid", "regular, and finer than the grid; more steps would hold them"),
                ("beats", "files put on annotated beats", "put on the beats annotated beside them"),
                ("late", "files moved onto the grid", "late (or early) as a whole, and moved"),
                ("tempo", "files with tempo changes", "with changes of tempo; notes are counted in beats"),
                ("metre", "files with metre changes", "with changes of metre, cut there into pieces"),
                ("pickup", "files with a pickup", "that begin with an incomplete bar"),
            )
            if facts[key]
        ]
        if self.n_divided:
            rows.append(("leaks", f"{self.n_divided:,} groups of pieces are in several of the corpus's own splits"))
        if self.unmatched:
            rows.append(("override", f"no file that was read has a track named {', '.join(self.unmatched)}"))
        rows += [("skipped", f"{n:,} x {reason}") for reason, n in self._reasons()]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {_printable(text)}" for name, text in rows if text)

    def _reasons(self) -> list[tuple[str, int]]:
        """Why files were skipped, most frequent first; the name of the first such file with it."""
        reasons = Counter("a copy of another file" if f.same_as else f.skipped for f in self.skipped)
        first = {("a copy of another file" if f.same_as else f.skipped): f.file for f in reversed(self.skipped)}
        return [(f"{reason} ({first[reason]})", n) for reason, n in reasons.most_common(12)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything as JSON: the sums, and each file with its tracks.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        content = {"summary": self.summary(), **asdict(self)}
        with atomic_path(path) as temporary:
            # A file's name may hold bytes that are no text; JSON has an escape for them.
            text = json.dumps(content, indent=1, ensure_ascii=False)
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Read a report that `save` wrote.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            content.pop("summary")
            return cls(**content | {"files": [FileReport(**file) for file in content["files"]]})
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is not a report on a corpus") from error


def instrument(program: int, is_drum: bool) -> str:
    """Name a General MIDI program, or the drums."""
    return "drums" if is_drum else program_name(program)


def _counts(counts: dict[str, int], most: int = 8) -> str:
    shown = [f"{name} {n:,}" for name, n in list(counts.items())[:most]]
    return ", ".join(shown) + (f", and {len(counts) - most} more" if len(counts) > most else "")


def _printable(text: str) -> str:
    """Escape what names of files and tracks may hold, and a terminal would obey or not know."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _note_name(pitch: int) -> str:
    return f"{PITCH_CLASSES[pitch % 12]}{pitch // 12 - 1}"
