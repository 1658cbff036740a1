"""Any folder of MIDI or MusicXML files as a corpus, and the report on what was found in it.

The files are read once, several at a time, and what is kept are note events: ``notes-00000.npz`` and so on, each of
some hundred files, beside ``pieces.json``, which says what all of them are, and ``report.json``. Reading that was
interrupted goes on where it stopped; a file that changed is read again.

What happens to a file, in this order: it is parsed; its notes are put on annotated beats, where there are any, and
otherwise moved by a constant delay onto the grid; it is cut where its metre changes; each stretch is laid on the grid
of its metre; its tracks become the corpus's voices (`ganmusic.voices`); its key is estimated. Then, of files with the
same contents all but the first are left out, and pieces that share much of their melody go into one group,
and a group goes into one split; only where a corpus has splits of its own these stand, and the report counts the groups
that they divide.

A bad file is skipped, and the report says why. Where there are many they are read in other processes, so that not even
a crash stops the rest.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ganmusic import midi, quantise
from ganmusic.corpora.record import Corpus
from ganmusic.corpora.report import FileReport, Report, instrument
from ganmusic.corpora.split import content, group, share_out, sketches
from ganmusic.files import atomic_path
from ganmusic.keys import PITCH_CLASSES, estimate_key
from ganmusic.pianoroll import Grid, Piece
from ganmusic.store import load_pieces, save_pieces
from ganmusic.voices import Assignment, Voicing, choose

__all__ = ["Annotation", "Folder", "Reading", "beats_beside", "load_files", "read_files", "stream_files"]

SURVEY = 100
"""Files that are looked at to choose the corpus's voices, where these depend on the files."""
CHUNK = 500
"""Files whose notes are kept together."""
TIME_LIMIT = 60.0
"""Seconds that a file may take before it is skipped, where the system has alarms (not on Windows)."""
FORMAT = 1
"""Number of what is kept and of how it is made; what another one wrote is read again."""


@dataclass(frozen=True)
class Annotation:
    """What a corpus says of one file.

    Parameters
    ----------
    labels : dict
        JSON values: a quadrant, a composer, chords. ``tonic`` (0-11) and ``mode`` take the place of an estimated key.
    split : str, optional
        The corpus's own split, where it has one: one of `SPLITS`.
    group : str, optional
        Files of one group stay in one split.
    beats : tuple of float, optional
        Times of the beats in seconds.
    downbeats : tuple of int, optional
        Which of the beats begin a bar.
    moments : dict
        What is said of moments, such as chords: for the name of a label a tuple of ``(seconds, value)``. The piece's
        label is a list of ``[step, value]``.
    title : str
    skip : str
        A reason to leave the file out.

    Taught in: notebooks/corpora.ipynb
    """

    labels: dict[str, Any] = field(default_factory=dict)
    split: str | None = None
    group: str | None = None
    beats: tuple[float, ...] | None = None
    downbeats: tuple[int, ...] | None = None
    moments: dict[str, tuple[tuple[float, Any], ...]] = field(default_factory=dict)
    title: str = ""
    skip: str = ""


def beats_beside(root: Path, file: Path) -> Annotation:
    """Look for annotated beats beside a file: ``song.beats.txt`` for ``song.mid``.

    Each line is the time of a beat in seconds and, optionally, its number in the bar, where 1 is a downbeat.

    Raises
    ------
    ValueError
        If the file of beats is not of that form.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    beside = file.with_suffix(".beats.txt")
    if not beside.is_file():
        return Annotation()
    try:
        rows = [line.split() for line in beside.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        beats = tuple(float(row[0]) for row in rows)
        numbers = [float(row[1]) for row in rows if len(row) > 1]
    except (ValueError, UnicodeDecodeError):
        raise ValueError(f"{beside.name} is not a list of beats: a time in seconds and a number a line") from None
    downbeats = tuple(i for i, number in enumerate(numbers) if number == 1)
    return Annotation(beats=beats, downbeats=downbeats or None)


@dataclass(frozen=True)
class Reading:
    """How the files of a corpus become pieces.

    Parameters
    ----------
    pattern : tuple of str
        Which files below the folder are read, as globs.
    voices : str
        A rule of `ganmusic.voices`, or 'auto'.
    n_tracks : int, optional
        How many voices.
    programs : tuple of int, optional
        A General MIDI program for each voice.
    grid : Grid, optional
        How finely a bar is cut. A bar of as many beats is cut like it, whatever note value a beat is; others get as
        many steps a quarter note, and at least one a beat. By default sixteenths. Its pitches do not matter here: each
        piece keeps its own.
    annotate : callable
        ``annotate(root, file)`` gives the `Annotation` of a file; a function of a module, as other processes call it.
    override : dict
        What became of tracks by the user's word; see `ganmusic.voices.Voicing`.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    pattern: tuple[str, ...] = ("**/*.mid", "**/*.midi", "**/*.mxl", "**/*.musicxml", "**/*.xml")
    voices: str = "auto"
    n_tracks: int | None = None
    programs: tuple[int, ...] | None = None
    grid: Grid | None = None
    annotate: Callable[[Path, Path], Annotation] = beats_beside
    override: Mapping[str, str] = field(default_factory=dict)

    def files(self, root: Path) -> list[Path]:
        """Find the files, in order of their names; endings in any case, hidden files and links to folders left out."""
        endings = {pattern.rpartition(".")[2].lower() for pattern in self.pattern}
        found = {path for pattern in self.pattern for path in root.glob(_any_case(pattern))}
        files = [
            path
            for path in found
            if path.is_file() and path.suffix.lower()[1:] in endings and not _hidden(path.relative_to(root))
        ]
        return sorted(files, key=Path.as_posix)  # paths themselves are ordered otherwise on Windows

    def settings(self) -> dict[str, Any]:
        """What the pieces depend on, as JSON values."""
        return {
            "format": FORMAT,
            "pattern": list(self.pattern),
            "voices": self.voices,
            "n_tracks": self.n_tracks,
            "programs": None if self.programs is None else list(self.programs),
            "grid": None if self.grid is None else [self.grid.n_steps, self.grid.beats_per_bar],
            "annotate": f"{self.annotate.__module__}.{self.annotate.__qualname__}",
            "override": dict(self.override),
        }


class Folder(Corpus):
    """A folder of one's own music as a corpus: ``Folder("my-midi").load("train")``.

    Parameters
    ----------
    root : path
        The folder; files in folders below it are read too.
    name : str, optional
        The corpus's name; the folder's by default.
    voices, n_tracks, programs, grid, override
        See `Reading`.
    store : path, optional
        Where its notes, its report and its packed bars are kept; by default they go when the program ends.
    jobs : int, optional
        Processes to read with; by default as many as there are processors, and one for a few files.

    Raises
    ------
    ValueError
        If the folder does not exist; later, if none of its files can be used, or the settings do not fit.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str | None = None,
        *,
        voices: str = "auto",
        n_tracks: int | None = None,
        programs: Sequence[int] | None = None,
        grid: Grid | None = None,
        override: Mapping[str, str] | None = None,
        store: str | os.PathLike[str] | None = None,
        jobs: int | None = None,
    ) -> None:
        root = Path(root).expanduser().resolve()
        if not root.is_dir() and not (store and (Path(store) / "notes" / "pieces.json").exists()):
            raise ValueError(f"{root}: {'is a file, not a folder' if root.exists() else 'there is no such folder'}")
        if store is None:
            store = tempfile.mkdtemp(prefix="ganmusic-")
            weakref.finalize(self, shutil.rmtree, store, ignore_errors=True)
        home = Path(store)
        chosen = None if programs is None else tuple(programs)
        reading = Reading(
            voices=voices, n_tracks=n_tracks, programs=chosen, grid=grid, override=dict(override or {})
        )
        for key, value in {
            "root": root,
            "reading": reading,
            "store": home / "notes",
            "jobs": jobs,
        }.items():
            object.__setattr__(self, key, value)
        super().__init__(
            name=name or root.name,
            title=f"your music in {root}",
            licence="Yours: on what terms these files may be used, you know.",
            provenance=f"The MIDI and MusicXML files below {root}.",
            bibtex=f"@misc{{{name or root.name},\n  title = {{Music files in {root.name}}},\n}}",
            loader=self._stream,
            home=lambda: home,
        )

    root: Path
    reading: Reading
    store: Path
    jobs: int | None

    def _stream(
        self, split: str | None = None, *, cache: object = None, jobs: int | None = None, progress: bool = False
    ) -> Iterator[Piece]:
        """Yield the pieces; whatever the cache of other corpora is, this one has its place."""
        yield from stream_files(
            self.root, self.store, self.reading, split=split, jobs=jobs or self.jobs, progress=progress
        )

    def read(self, progress: bool = False) -> Report:
        """Read the files, if that was not done yet, and report what was found."""
        return read_files(self.root, self.store, self.reading, jobs=self.jobs, progress=progress)


def load_files(root: Path, store: Path, reading: Reading, **options: Any) -> tuple[Piece, ...]:
    """Load the pieces of a folder, of one split or all of them, with the options of `stream_files`.

    Raises
    ------
    ValueError
        If no file can be used.

    Taught in: notebooks/corpora.ipynb
    """
    return tuple(stream_files(root, store, reading, **options))


def stream_files(
    root: Path,
    store: Path,
    reading: Reading,
    *,
    split: str | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Iterator[Piece]:
    """Yield the pieces of a folder one by one, never holding more than some hundred files' notes.

    The first time its files are read, with `jobs` and `progress` as in `read_files`.

    Raises
    ------
    ValueError
        If no file can be used, or the folder is read again with another result before the last piece came.

    Taught in: notebooks/corpora.ipynb
    """
    read_files(root, store, reading, jobs=jobs, progress=progress)
    text = (store / "pieces.json").read_bytes()
    table, state = json.loads(text), _identity(store / "pieces.json")
    for chunk, rows in enumerate(table["chunks"]):
        wanted = {row["at"]: row for row in rows if split in (None, row["split"])}
        if not wanted:
            continue
        try:
            pieces = load_pieces(store / _notes_name(chunk))
        except ValueError:  # damaged on disk
            if not root.is_dir():
                raise
            _about(store, chunk).unlink(missing_ok=True)
            read_files(root, store, reading, jobs=jobs, progress=progress)
            pieces = load_pieces(store / _notes_name(chunk))
        if _identity(store / "pieces.json") != state:  # written again: perhaps with the same result
            state = _identity(store / "pieces.json")
            if state is None or (store / "pieces.json").read_bytes() != text:
                raise ValueError(f"{root} was read again in another way while its pieces were being loaded")
        for at, piece in enumerate(pieces):
            if at in wanted:
                labels = {**piece.labels, "split": wanted[at]["split"], "group": wanted[at]["group"]}
                yield replace(piece, labels=labels)


def _identity(path: Path) -> tuple[int, int] | None:
    """What is another one when a file was written again; None while there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def read_files(
    root: Path, store: Path, reading: Reading, *, jobs: int | None = None, progress: bool = False
) -> Report:
    """Read the files of a folder, keep their notes under `store`, and report what was found.

    Files are kept some hundred together, in order of their names, and read again if one of these changed, came or went.
    When the folder is gone or empty, what was read stands. One process at a time reads into a store.

    Parameters
    ----------
    root, store : path
    reading : Reading
    jobs : int, optional
        Processes; by default as many as there are processors, and one for a few files.
    progress : bool
        Show a bar.

    Raises
    ------
    ValueError
        If there is no file, or none can be used.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    files = reading.files(root)
    if report := _known(root, store, reading, files):
        return report
    if jobs is not None and jobs < 1:
        raise ValueError(f"files are read with at least 1 process, not {jobs}")
    if not files:
        endings = ", ".join(sorted({f".{pattern.rpartition('.')[2]}" for pattern in reading.pattern}))
        raise ValueError(f"{root}: there are no music files in it (looked for {endings})")
    store.mkdir(parents=True, exist_ok=True)
    import filelock

    with filelock.FileLock(store / ".lock"):
        # Another process may have read them while this one waited.
        return _known(root, store, reading, files) or _read_all(root, store, reading, files, jobs, progress)


def _known(root: Path, store: Path, reading: Reading, files: Sequence[Path]) -> Report | None:
    """Load the report of what was read, if it stands: nothing changed, or there are no files to read it again.

    A folder that is gone or empty may be on a disk that is not there.
    """
    if (store / "pieces.json").exists() and (not files or _up_to_date(root, store, reading, files)):
        with contextlib.suppress(OSError, ValueError):  # a report that was deleted or damaged is made again
            return Report.load(store / "report.json")
    return None


def _read_all(
    root: Path, store: Path, reading: Reading, files: Sequence[Path], jobs: int | None, progress: bool
) -> Report:
    from tqdm import tqdm

    (store / "pieces.json").unlink(missing_ok=True)  # written last: without it the corpus is not there
    chunks = [files[i : i + CHUNK] for i in range(0, len(files), CHUNK)]
    reports: list[FileReport] = []
    marks: list[list[dict[str, Any]]] = []
    workers = jobs or min(os.cpu_count() or 1, len(files) // 32 + 1)
    with tqdm(total=len(files), unit="file", disable=not progress) as bar, contextlib.ExitStack() as stack:
        read_all = _in_this_process if workers == 1 else stack.enter_context(_Pool(workers)).read
        voicing = _survey(root, files, reading, read_all)
        work = _Work(root, reading, voicing)
        settings = {**reading.settings(), "voicing": [voicing.rule, list(voicing.names), list(voicing.programs)]}
        for number, chunk in enumerate(chunks):
            state = {"settings": settings, "files": [_state(path, root) for path in chunk]}
            kept = _kept(store, number, state)
            if kept is None:
                outcomes = read_all(work, chunk, bar.update)
                pieces = [piece for _, found, _ in outcomes for piece in found]
                rows = [mark for _, _, found in outcomes for mark in found]
                said = _about(store, number)
                said.unlink(missing_ok=True)  # what it says is of other notes than those that come now
                save_pieces(pieces, store / _notes_name(number))
                n_bytes = (store / _notes_name(number)).stat().st_size
                facts = [asdict(report) for report, _, _ in outcomes]
                kept = {**state, "bytes": n_bytes, "reports": facts, "marks": rows}
                with atomic_path(said) as temporary:
                    temporary.write_text(json.dumps(kept), encoding="utf-8")
            else:
                bar.update(len(chunk))
            reports += [FileReport(**report) for report in kept["reports"]]
            # As arrays, or the sketches of a large corpus fill the memory.
            arrays = ([np.array(one, np.uint32) for one in mark["sketches"]] for mark in kept["marks"])
            marks.append([{**mark, "sketches": some} for mark, some in zip(kept["marks"], arrays, strict=True)])
    for stale in store.iterdir():
        if (found := re.fullmatch(r"notes-(\d{5})\.(npz|json)", stale.name)) and int(found[1]) >= len(chunks):
            stale.unlink()
    table, n_groups, n_divided = _leave_out_and_split(reports, marks)
    report = Report(
        str(root),
        f"{voicing.rule!r}, because {voicing.why}",
        list(voicing.names),
        list(voicing.programs),
        reports,
        n_groups,
        n_divided,
        _unmatched(reading.override, reports),
    )
    report.save(store / "report.json")
    if not report.read:
        one = report.skipped[0]
        raise ValueError(f"{root}: none of its {len(files):,} files can be used; {one.file}, for one: {one.skipped}")
    with atomic_path(store / "pieces.json") as temporary:
        temporary.write_text(json.dumps({"settings": settings, "chunks": table}), encoding="utf-8")
    return report


def _unmatched(override: Mapping[str, str], reports: Sequence[FileReport]) -> list[str]:
    """Decisions of the user's on tracks that are in no file."""
    there = {name for file in reports for track, _, _ in file.voices for name in (track, f"{file.file}/{track}")}
    return sorted(key for key in set(override) - there if not re.search(r"(^|/)#\d+$", key))


# One file -------------------------------------------------------------------------------------------

_Outcome = tuple[FileReport, list[Piece], list[dict[str, Any]]]


@dataclass(frozen=True)
class _Work:
    """What a process has to know to read a file."""

    root: Path
    reading: Reading
    voicing: Voicing

    def __call__(self, path: Path) -> _Outcome:
        """Read a file: what was found, its pieces, and for each piece what the split is made by."""
        name = path.relative_to(self.root).as_posix()
        report = FileReport(name)
        try:
            with _time_limit(TIME_LIMIT):
                return self._read(path, report)
        except midi.MusicFileError as error:
            report.skipped = error.reason
        except _TimeUpError:
            report.skipped = f"took longer than {TIME_LIMIT:.0f} seconds"
        except MemoryError:
            report.skipped = "needs more memory than there is"
        except (ValueError, OSError) as error:
            report.skipped = quantise.one_line(error)
        except Exception as error:  # whatever it is: one file never stops a folder
            report.skipped = f"could not be understood ({type(error).__name__}: {quantise.one_line(error)})"
        return FileReport(name, skipped=report.skipped), [], []

    def crashed(self, path: Path) -> _Outcome:
        """Say of a file that it ended the process that read it."""
        name = path.relative_to(self.root).as_posix()
        return FileReport(name, skipped="the program that read it crashed"), [], []

    def _read(self, path: Path, report: FileReport) -> _Outcome:
        said = self.reading.annotate(self.root, path)
        if said.skip:
            raise ValueError(said.skip)
        music = midi.read_music(path)
        if not any(len(part.events) for part in music.parts):
            raise midi.MusicFileError(path, "there are no notes in it")
        report.tempo, report.n_tempos = round(music.quarters_a_minute, 2), len({q for _, q in music.tempos})
        for name, moments in said.moments.items():
            music = music.marked(name, moments)
        if said.beats is not None:
            music = quantise.on_beats(music, said.beats, said.downbeats)
            report.on_beats = True
        music = _with_bars(music, self.reading.grid)
        late = quantise.phase(music)
        if abs(late) > music.ticks / 40:  # a tenth of a sixteenth
            music = music.moved(-round(late))
            report.late = round(late / music.ticks * 4, 3)
        if said.beats is not None:
            report.tempo, report.n_tempos = round(music.quarters_a_minute, 2), 0
        steps = self.reading.grid.steps_per_beat if self.reading.grid else 4
        report.off_grid, report.triplets = (round(share, 4) for share in quantise.off_grid(music, steps))
        report.regular = round(quantise.regular(music), 4)
        report.instruments = sorted({instrument(p.program, p.is_drum) for p in music.parts if len(p.events)})
        pieces, marks = [], []
        stretches = quantise.sections(music)
        problem: ValueError | None = None
        decided: list[Assignment] = []
        if len(stretches) > 1:  # what a track is, is decided once for the file
            in_one = replace(music, metre_changes=())
            decided = self.voicing.arrange(
                quantise.lay_on_grid(in_one, _grid_of(in_one, self.reading.grid), path), report.file
            )[1]
        for number, stretch in enumerate(stretches):
            whole = quantise.lay_on_grid(stretch, _grid_of(stretch, self.reading.grid), path)
            n_notes = sum(len(part.events) for part in stretch.parts)
            report.n_notes += n_notes
            report.n_merged += n_notes - sum(len(track.notes) for track in whole.tracks)
            try:
                piece, assigned = self.voicing.arrange(whole, report.file, decided)
            except ValueError as error:  # the other stretches may have what this one lacks
                problem = error
                report.left_out += sum(len(track.notes) for track in whole.tracks)
                continue
            labels = {
                "file": report.file,
                **({"section": number} if len(stretches) > 1 else {}),
                **whole.labels,
                "metre": "{}/{}".format(*stretch.metre),
                **said.labels,
            }
            if "tonic" not in labels and (key := estimate_key(whole)):
                labels |= {"tonic": key.tonic, "mode": key.mode}
            title = said.title or whole.title or path.stem
            piece = replace(piece, title=title, labels=labels)
            pieces.append(piece)
            marks.append(
                {
                    "file": report.file,
                    "content": content(whole),
                    "sketches": [one.tolist() for one in sketches(whole)],
                    "split": said.split,
                    "group": said.group,
                }
            )
            report.left_out += sum(len(track.notes) for track in whole.tracks)
            report.left_out -= sum(len(track.notes) for track in piece.tracks)
            report.n_bars += whole.n_bars
            report.metres.append(labels["metre"])
            if "tonic" in labels:
                report.keys.append(_key_name(labels))
            report.voices = [[track, voice, why] for track, voice, why, _ in decided or assigned]
            report.pickup |= bool(whole.pickup)
        if problem and not pieces:
            raise problem
        report.n_pieces = len(pieces)
        pitches = np.concatenate([p.events[:, 2] for p in music.parts if not p.is_drum] or [np.empty(0, np.int64)])
        report.lowest, report.highest = (int(pitches.min()), int(pitches.max())) if len(pitches) else (0, 0)
        return report, pieces, marks


def _with_bars(music: quantise.Music, wanted: Grid | None) -> quantise.Music:
    """Give music in bars of one beat, which sequencers write where nobody said the metre, bars of several.

    And count two half notes as four quarter notes: the bars are the same.
    """
    n_beats = wanted.beats_per_bar if wanted else 4

    def usual(numerator: int, denominator: int) -> tuple[int, int]:
        if (numerator, denominator) == (2, 2):
            return 4, 4
        return (n_beats, denominator) if numerator == 1 else (numerator, denominator)

    changes = tuple((tick, *usual(*metre)) for tick, *metre in music.metre_changes)
    return replace(music, metre=usual(*music.metre), metre_changes=changes)


def _grid_of(music: quantise.Music, wanted: Grid | None) -> Grid | None:
    """Choose the steps of a metre, as `Reading.grid` says; None: sixteenths."""
    if wanted is None:
        return None
    numerator, denominator = music.metre
    steps = wanted.steps_per_beat
    if numerator != wanted.beats_per_bar:
        steps = max(1, wanted.steps_per_beat * 4 // denominator)
    pitches = np.concatenate([part.events[:, 2] for part in music.parts])
    low = min(36, int(pitches.min()) // 12 * 12)
    high = max(84, int(pitches.max()) // 12 * 12 + 12)
    return Grid(numerator * steps, numerator, low, high - low)


def _key_name(labels: Mapping[str, Any]) -> str:
    return f"{PITCH_CLASSES[labels['tonic']]} {labels['mode']}"


class _TimeUpError(BaseException):
    """A file took too long. No `Exception`: what reads the file catches those, and would call the file damaged."""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _TimeUpError after so many seconds, where the system can: with an alarm, in a main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise _TimeUpError

    begin, before = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    theirs, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again each second, if it was swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if theirs:  # somebody's own alarm goes on
            signal.setitimer(signal.ITIMER_REAL, max(0.001, theirs - (time.monotonic() - begin)), interval)


# Many files -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    """A first look at a file, for its tracks: the piece, or None if that fails."""

    root: Path
    reading: Reading

    def __call__(self, path: Path) -> Piece | None:
        with contextlib.suppress(Exception, _TimeUpError), _time_limit(TIME_LIMIT):  # the report will say why
            return None if self.reading.annotate(self.root, path).skip else midi.read(path)
        return None

    def crashed(self, path: Path) -> None:
        """Nothing is known of a file that ended the process that read it."""


def _survey(root: Path, files: Sequence[Path], reading: Reading, read_all: Callable[..., list[Any]]) -> Voicing:
    """Choose the voices, if need be by some of the files, spread over all of them."""
    options: dict[str, Any] = {"n_tracks": reading.n_tracks, "programs": reading.programs, "override": reading.override}
    if reading.voices not in ("auto", "parts"):
        return choose([], reading.voices, **options)
    places = np.unique(np.linspace(0, len(files) - 1, min(SURVEY, len(files))).astype(int))
    looks = read_all(_Look(root, reading), [files[place] for place in places], bool)
    found = [piece for piece in looks if piece is not None]
    if not found:  # the report on the files will say why
        return Voicing("lines", ("melody",), (0,), (False,), "no file that was looked at could be read")
    return choose(found, reading.voices, **options)


def _in_this_process(work: _Work | _Look, files: Sequence[Path], done: Callable[[int], object]) -> list[Any]:
    outcomes = []
    for path in files:
        outcomes.append(work(path))
        done(1)
    return outcomes


class _Pool:
    """Processes that read files. Of one that crashes the file is found, and the others are read."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.pool = self._start(workers)

    def _start(self, workers: int) -> Any:
        from loky import ProcessPoolExecutor

        # Processes that hear nothing any more, because this one was killed, end after a while.
        return ProcessPoolExecutor(workers, timeout=120)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown(kill_workers=True)

    def read(self, work: _Work | _Look, files: Sequence[Path], done: Callable[[int], object]) -> list[Any]:
        """Read files, in their order."""
        few = max(1, min(16, len(files) // (4 * self.workers)))
        groups = [files[i : i + few] for i in range(0, len(files), few)]
        outcomes: dict[Path, Any] = {}
        futures = []
        with contextlib.suppress(BrokenProcessPool):  # it can break while it is still being filled
            for some in groups:  # what it took before it broke is in the list
                futures.append((some, self.pool.submit(_read_some, work, some)))  # noqa: PERF401
        for some, future in futures:
            with contextlib.suppress(BrokenProcessPool):
                outcomes |= zip(some, future.result(), strict=True)
                done(len(some))
        if len(outcomes) < len(files):
            # One of what is left did it: they are read one at a time, so that it is known which.
            self.pool.shutdown(kill_workers=True)
            self.pool = self._start(1)
            for path in files:
                if path not in outcomes:
                    try:
                        outcomes[path] = self.pool.submit(work, path).result()
                    except BrokenProcessPool:
                        outcomes[path] = work.crashed(path)
                        self.pool.shutdown(kill_workers=True)
                        self.pool = self._start(1)
                    done(1)
            self.pool.shutdown(kill_workers=True)
            self.pool = self._start(self.workers)
        return [outcomes[path] for path in files]


def _read_some(work: _Work | _Look, files: Sequence[Path]) -> list[Any]:
    return [work(path) for path in files]


# What is kept ---------------------------------------------------------------------------------------


def _notes_name(number: int) -> str:
    return f"notes-{number:05d}.npz"


def _about(store: Path, number: int) -> Path:
    """Where stands what the notes of a number are of."""
    return store / f"notes-{number:05d}.json"


def _state(path: Path, root: Path) -> list[Any]:
    """What tells whether a file, or the beats beside it, changed: name, size and time."""
    name, beside = path.relative_to(root).as_posix(), path.with_suffix(".beats.txt")
    stats = [p.stat() for p in (path, beside) if p.exists()]
    return [name, *(value for stat in stats for value in (stat.st_size, stat.st_mtime_ns))]


def _kept(store: Path, number: int, state: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was read before of the same files with the same settings."""
    try:
        kept: dict[str, Any] = json.loads(_about(store, number).read_text(encoding="utf-8"))
        n_bytes = (store / _notes_name(number)).stat().st_size
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict) or not {"reports", "marks"} <= kept.keys():
        return None
    same = kept.get("bytes") == n_bytes and all(kept.get(key) == value for key, value in state.items())
    return kept if same else None


def _up_to_date(root: Path, store: Path, reading: Reading, files: Sequence[Path]) -> bool:
    """Tell whether what is kept is of these files with these settings."""
    try:
        table = json.loads((store / "pieces.json").read_text(encoding="utf-8"))
        settings = {key: value for key, value in table["settings"].items() if key != "voicing"}
    except (ValueError, KeyError, TypeError, AttributeError):  # damaged
        return False
    if settings != reading.settings() or len(table["chunks"]) != -(-len(files) // CHUNK):
        return False
    for number in range(len(table["chunks"])):
        states = [_state(path, root) for path in files[number * CHUNK : (number + 1) * CHUNK]]
        if _kept(store, number, {"settings": table["settings"], "files": states}) is None:
            return False
    return True


def _leave_out_and_split(
    reports: Sequence[FileReport], marks: Sequence[Sequence[dict[str, Any]]]
) -> tuple[list[list[dict[str, Any]]], int, int]:
    """Leave out copies, put what is alike into groups, and give each group a split.

    Returns, for each chunk, the pieces that stay: their place in it, their split and group; the number of groups, and
    of those that a corpus with splits of its own has in several.
    """
    places = [(chunk, at) for chunk, rows in enumerate(marks) for at in range(len(rows))]
    flat = [mark for rows in marks for mark in rows]
    contents: dict[str, list[str]] = {}
    for mark in flat:
        contents.setdefault(mark["file"], []).append(mark["content"])
    first: dict[tuple[str, ...], str] = {}
    copies: dict[str, str] = {}
    for file, hashes in contents.items():
        original = first.setdefault(tuple(hashes), file)
        if original != file:
            copies[file] = original
    for report in reports:
        if report.file in copies:
            report.same_as = copies[report.file]
            report.skipped = f"has the same notes as {report.same_as}"
    kept = [i for i, mark in enumerate(flat) if mark["file"] not in copies]
    together = [[("file", flat[i]["file"]), *([("song", flat[i]["group"])] if flat[i]["group"] else [])] for i in kept]
    members: dict[int, list[int]] = {}
    for i, root in zip(kept, group([flat[i]["sketches"] for i in kept], together), strict=True):
        members.setdefault(root, []).append(i)
    names = {root: min(flat[i]["group"] or flat[i]["file"] for i in rows) for root, rows in members.items()}
    splits = share_out([[flat[i]["content"] for i in rows] for rows in members.values()])
    table: list[list[dict[str, Any]]] = [[] for _ in marks]
    of_file: dict[str, str] = {}
    n_divided = 0
    for (root, rows), shared in zip(members.items(), splits, strict=True):
        # Where the corpus has a split for some of a group, the others follow.
        split = next((flat[i]["split"] for i in rows if flat[i]["split"]), shared)
        n_divided += len({flat[i]["split"] or split for i in rows}) > 1
        for i in rows:
            chunk, at = places[i]
            own = flat[i]["split"] or split
            table[chunk].append({"at": at, "split": own, "group": names[root]})
            of_file[flat[i]["file"]] = own
    for report in reports:
        report.split = of_file.get(report.file, "")
    return table, len(members), n_divided


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _any_case(pattern: str) -> str:
    """Let a glob's ending match in any case: '*.mid' also '*.MID'."""
    before, dot, ending = pattern.rpartition(".")
    return before + dot + "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in ending)
