"""Is one piece new? What of it stands in the pieces that a network learned from, and how much would of anybody's.

Every passage of the piece is looked for in the training pieces of a corpus, at every step and in every
transposition (`ganmusic.metrics.novelty`). A number alone says little: hymn tunes are shared, cadences are common
property, and half of any two bars of a chorale is to be found in another one. So the same is measured for the
corpus's held-out pieces, music of the same kind that no network had a part in, and each number of the piece is told
with its place among theirs.

Conventions
-----------
Like is compared with like: the longer a piece, the more chances of a long run. Of each held-out piece the middle is
taken, as many bars as the piece has; all of it where it is shorter. Bars are numbered as in print, an incomplete
first one 0; beats begin with 1. Training pieces in another metre are not searched: the same step is another beat
there. Drums are left out.

Taught in: notebooks/05-is-it-new.ipynb
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from html import escape
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from tqdm import tqdm

from ganmusic import corpora, midi, viz
from ganmusic.files import atomic_path, counted, printable
from ganmusic.metrics.novelty import Matches, NoteIndex, Run, copied_share, longest_run
from ganmusic.pianoroll import Grid, Note, Piece, Roll, piece_to_roll
from ganmusic.player import Clip

__all__ = [
    "FEWEST_HELD_OUT",
    "FEWEST_NOTES",
    "LENGTHS",
    "MOST_BARS",
    "MOST_HELD_OUT",
    "N_SHOWN",
    "UNUSUAL",
    "Originality",
    "Passage",
    "Place",
    "originality",
]

LENGTHS = (2, 4)
"""Bars of the passages that are compared."""
FEWEST_HELD_OUT = 20
"""With fewer held-out pieces there is no verdict: one in twenty could not be told from none."""
FEWEST_NOTES = 2
"""With fewer notes a bar there is no verdict, either."""
MOST_HELD_OUT = 40
"""Of more held-out pieces so many are measured, spread evenly over all of them."""
N_SHOWN = 3
"""Nearest passages of each length that are shown."""
MOST_BARS = 8
"""Of a longer run its first bars are shown: a whole piece would be hard to see, and take long to hear."""
UNUSUAL = 95.0
"""A number above this share of the held-out pieces, in percent, is called unusual; one below 5 % of them, too."""


@dataclass(frozen=True)
class Place:
    """A number of the piece, and where it stands among the same number of held-out pieces.

    Parameters
    ----------
    value : float
    held_out : tuple of float
        The number of each held-out piece, in ascending order.

    Taught in: notebooks/05-is-it-new.ipynb
    """

    value: float
    held_out: tuple[float, ...]

    @property
    def percent(self) -> float | None:
        """Share of the held-out pieces with less, in percent; of those with as much, half. None where there are none.

        A piece like the held-out ones is at 50 %, give or take.
        """
        if not self.held_out:
            return None
        values = np.array(self.held_out)
        return float(100 * ((values < self.value).mean() + (values == self.value).mean() / 2))

    def __str__(self) -> str:
        if not self.held_out:
            return "no held-out piece to compare with"
        low, middle, high = np.percentile(self.held_out, [5, 50, 95])
        form = ".2f" if isinstance(self.value, float) else ".0f"
        return (
            f"more than in {self.percent:.0f} % of {counted(len(self.held_out), 'held-out piece')} "
            f"({middle:{form}} in the middle, nine in ten from {low:{form}} to {high:{form}})"
        )

    def to_dict(self) -> dict[str, Any]:
        """The value, its place, and the held-out pieces' values, for JSON."""
        return {"value": self.value, "percent": self.percent, "held_out": list(self.held_out)}


@dataclass(frozen=True, repr=False)
class Passage:
    """A passage of the piece beside the one of a training piece that it is likest to.

    Parameters
    ----------
    kind : str
        '2 bars', '4 bars', 'longest run, all voices' or 'longest run, one voice'.
    share : float
        Copied share (`ganmusic.metrics.novelty`): notes that are in both, of the notes of the one with more.
    bar, beat : int, float
        Where it begins in the piece; a run is shown with the bars around it, at most `MOST_BARS`, but begins here.
    source : str
        The training piece.
    source_bar, source_beat : int, float
        Where it begins there; before its first bar, if the passage reaches over the beginning.
    semitones : int
        How much higher it stands there.
    piece, training : Piece
        The two passages, each from step 0 and in the key of the piece.
    n_steps : int
        Their length.
    bars : pair of list of (step, number)
        Where bars begin in each.
    run : Run or None
        The run, if it is one.

    Taught in: notebooks/05-is-it-new.ipynb
    """

    kind: str
    share: float
    bar: int
    beat: float
    source: str
    source_bar: int
    source_beat: float
    semitones: int
    piece: Piece
    training: Piece
    n_steps: int
    bars: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
    run: Run | None = None

    @cached_property
    def clips(self) -> tuple[Clip, Clip]:
        """Both passages, to be heard one after the other: the piece's, then the training piece's in the same key."""
        return Clip(self.piece), Clip(self.training)

    def __str__(self) -> str:
        if self.run is None:
            what = f"{self.share:.0%} of the notes from bar {self.bar}, beat {self.beat:g}"
        else:
            length = f"{counted(self.run.notes, 'note')} in {counted(self.run.beats, 'beat')}"
            what = f"{length}, from bar {self.bar}, beat {self.beat:g}"
        return (
            f"{self.kind}: {what}, are those of {self.source} from bar {self.source_bar}, beat {self.source_beat:g}, "
            f"there {_interval(self.semitones)}"
        )

    def __repr__(self) -> str:
        return f"Passage({self})"

    def to_dict(self) -> dict[str, Any]:
        """What and where, for JSON; without the notes."""
        names = ("kind", "share", "bar", "beat", "source", "source_bar", "source_beat", "semitones")
        run = {} if self.run is None else {"notes": self.run.notes, "beats": self.run.beats}
        return {name: getattr(self, name) for name in names} | run

    def _repr_html_(self) -> str:
        svg = quote(viz.compared(self.piece, self.training, self.n_steps, self.bars), safe=" '=/:;,()")
        players = []
        for name, clip in zip(("the piece", "the training piece"), self.clips, strict=True):
            sound = base64.b64encode(clip.mp3).decode()
            players.append(
                f'<div style="flex:1 1 300px">{name}<audio controls preload="none" '
                f'aria-label="{escape(printable(clip.title))}" style="display:block;width:100%" '
                f'src="data:audio/mpeg;base64,{sound}"></audio></div>'
            )
        return (
            f'<figure style="margin:1em 0;max-width:800px"><figcaption style="font-weight:600;margin-bottom:8px">'
            f"{escape(printable(str(self)))}</figcaption>"
            f'<img alt="{escape(viz.describe_compared(self.piece, self.training))}" src="data:image/svg+xml,{svg}" '
            f'style="display:block;width:100%;height:auto">'
            f'<div style="display:flex;flex-wrap:wrap;gap:1em;margin-top:8px">{"".join(players)}</div></figure>'
        )


@dataclass(frozen=True, repr=False)
class Originality:
    """What of a piece stands in the training pieces; prints as a text, and shows itself in a notebook.

    Parameters
    ----------
    title : str
    n_bars, n_notes : int
        Its bars, and its notes; those of one pitch that begin together count once.
    corpus : str
    metre : str
        That of the piece and of the pieces it was compared with.
    n_training : int
        Training pieces in its metre, all of which were searched.
    held_out_bars : tuple of int
        Bars of each held-out piece that it was compared with.
    places : dict of Place
        'copied share, 2 bars', the mean over all passages, and 'highest share, 2 bars', that of the most copied one;
        the same for 4 bars. 'longest run, all voices: notes' and ': beats', from its first note to its last; the same
        for 'one voice', any track beside any track of a training piece.
    nearest : tuple of Passage
        The most copied passages of each length that do not overlap; those with less than half the notes of the
        piece's usual passage are not among them, because a few notes are found anywhere.
    runs : tuple of Passage
        The longest runs, of all voices and of one, with the bars around them.

    Taught in: notebooks/05-is-it-new.ipynb
    """

    title: str
    n_bars: int
    n_notes: int
    corpus: str
    metre: str
    n_training: int
    held_out_bars: tuple[int, ...]
    places: Mapping[str, Place]
    nearest: tuple[Passage, ...]
    runs: tuple[Passage, ...]

    @property
    def n_held_out(self) -> int:
        """Held-out pieces that it was compared with."""
        return len(self.held_out_bars)

    @property
    def verdict(self) -> str:
        """What four of the numbers say: mean and highest copied share, and the longest runs of all voices and of one.

        A held-out piece is itself above 95 % of the others in each of the four once in twenty times; of the 63 that
        chorales have in 4/4, each beside all others, about one in five is in at least one (excerpts of 4 to 20 bars).
        """
        length = f"{max(n for n in LENGTHS if n <= self.n_bars)} bars"
        share = self.places[f"copied share, {length}"]
        looked_at = {
            "its copied share": share,
            "that of its most copied passage": self.places[f"highest share, {length}"],
            "its longest run": self.places["longest run, all voices: notes"],
            "the longest run of one voice": self.places["longest run, one voice: notes"],
        }
        if self.n_notes < FEWEST_NOTES * self.n_bars:
            return (
                f"No verdict: it has {counted(self.n_notes, 'note')} in {counted(self.n_bars, 'bar')}, and so few are "
                "found in any music."
            )
        if share.value >= 0.95:
            return (
                "It is a copy: nearly all of its notes stand in training pieces, bar by bar, at the same places and "
                "distances."
            )
        if self.n_held_out < FEWEST_HELD_OUT:
            return (
                f"No verdict: that needs {FEWEST_HELD_OUT} held-out pieces of its metre to compare with, and there "
                f"are {self.n_held_out}."
            )
        high = [
            f"{what} ({place.percent:.0f} %)" for what, place in looked_at.items() if (place.percent or 0) > UNUSUAL
        ]
        if high:
            return (
                f"More of it stands in the training pieces than of nearly all held-out pieces: {', '.join(high)} "
                f"{'are' if len(high) > 1 else 'is'} above theirs. A reason to listen to the passages, and no proof: "
                "about one held-out piece in five is so."
            )
        if (share.percent or 0) < 100 - UNUSUAL:
            return (
                "Less of it stands in the training pieces than of nearly all held-out pieces, and no passage or run of "
                "it is unusual: by these numbers it is no copy. Whether it is new music or no music of this kind they "
                "do not tell: random notes are new, too."
            )
        return (
            "It has about as much in common with the training pieces as held-out pieces do. By these numbers it is no "
            "copy, and no more than that."
        )

    @property
    def limits(self) -> str:
        """What the numbers cannot see, in words."""
        return (
            "Compared are the places and pitches where notes begin. Not seen are: a tune in other note values or with "
            "ornaments, voices that changed places, borrowed harmony, form or style, how long notes last, and music "
            f"outside the training pieces of {self.corpus}."
        )

    def __str__(self) -> str:
        width = max(map(len, self.places))
        lines = [self._head(), "", self.verdict, ""]
        lines += [f"{name:{width}}  {_shown(place.value):>5}  {place}" for name, place in self.places.items()]
        lines += ["", "Nearest training passages, and the longest runs:"]
        lines += [f"  {passage}" for passage in (*self.nearest, *self.runs)]
        lines += ["", *self.remarks, self.limits]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Originality({self._head()})"

    def _head(self) -> str:
        title = f"“{self.title}”, " if self.title else ""
        return (
            f"{title}{counted(self.n_bars, 'bar')} of {self.metre}, beside {self.corpus}: "
            f"{counted(self.n_training, 'training piece')}, {counted(self.n_held_out, 'held-out piece')}"
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What keeps a number from being compared as it should be, in words."""
        remarks = []
        shorter = sum(n < self.n_bars for n in self.held_out_bars)
        if shorter:
            remarks.append(
                f"{shorter} of {counted(self.n_held_out, 'held-out piece')} have fewer bars than the piece, and so "
                "fewer chances of a long run or of a passage much like another."
            )
        remarks += [f"It is too short for passages of {n} bars." for n in LENGTHS if n > self.n_bars]
        return tuple(remarks)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the notes, for JSON."""
        return {
            "title": self.title,
            "n_bars": self.n_bars,
            "corpus": self.corpus,
            "metre": self.metre,
            "n_training": self.n_training,
            "n_held_out": self.n_held_out,
            "verdict": self.verdict,
            "limits": self.limits,
            "remarks": list(self.remarks),
            "places": {name: place.to_dict() for name, place in self.places.items()},
            "nearest": [passage.to_dict() for passage in self.nearest],
            "runs": [passage.to_dict() for passage in self.runs],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report as a page that needs nothing else (``.html``) or as data (``.json``).

        Raises
        ------
        ValueError
            If the suffix is another.
        OSError
            If the file cannot be written; nothing is left half-written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        elif suffix in (".html", ".htm"):
            title = escape(printable(f"Originality of {self.title or 'a piece'}"))
            text = (
                f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
                f'<meta name="viewport" content="width=device-width"></head>'
                f'<body style="font-family:sans-serif;max-width:860px;margin:2em auto;padding:0 1em">'
                f"<h1>{title}</h1>{self._repr_html_()}</body></html>\n"
            )
        else:
            raise ValueError(f"{path}: a report can be saved as .html or .json")
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:right">{_shown(place.value)}</td><td>{escape(str(place))}</td></tr>'
            for name, place in self.places.items()
        )
        words = "".join(f"<p>{escape(text)}</p>" for text in (*self.remarks, self.limits))
        return (
            f"<section><p>{escape(printable(self._head()))}</p><p><strong>{escape(self.verdict)}</strong></p>"
            f"<table><caption>What stands in the training pieces, and how much of held-out pieces does</caption>"
            f'<thead><tr><th scope="col">number</th><th scope="col">the piece</th>'
            f'<th scope="col">among held-out pieces</th></tr></thead><tbody>{rows}</tbody></table>{words}'
            f"{''.join(passage._repr_html_() for passage in (*self.nearest, *self.runs))}</section>"
        )


def originality(
    music: Piece | str | os.PathLike[str],
    corpus: str = "chorales",
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Originality:
    """Look for a piece in the training pieces of a corpus, and say how much of held-out pieces is found there.

    The corpus is read once in a process; so are its held-out pieces measured, once for each number of bars.

    Parameters
    ----------
    music : Piece or path
        The piece, or a MIDI or MusicXML file of it.
    corpus : str
        Name of a corpus that is on this computer (`ganmusic.corpora.get`), one's own too.
    cache : path, optional
        See `ganmusic.corpora.download.cache_folder`.
    progress : bool
        Show a bar while held-out pieces are measured.

    Raises
    ------
    ValueError
        If there is no such corpus; if the piece is in a metre of which it has no training pieces, has no notes or
        drums alone, has notes that do not fit its grid, or is shorter than the shortest passage.
    MusicFileError
        If the file cannot be read as music.
    FetchError
        If the corpus has to be fetched first.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    against = _against(corpus, None if cache is None else os.fspath(cache))
    whole = music if isinstance(music, Piece) else _read(music, against)
    piece = replace(whole, tracks=tuple(track for track in whole.tracks if not track.is_drum))
    titled = f"the piece {whole.title!r}" if whole.title else "the piece"
    name = titled if isinstance(music, Piece) else str(music)
    for note in (note for track in piece.tracks for note in track.notes):
        if not all(isinstance(number, Integral) for number in note):
            raise ValueError(f"{name}: {note} is not on the grid: onset, duration and pitch are whole numbers")
    if not any(track.notes for track in piece.tracks):
        found = "drums alone" if any(track.notes for track in whole.tracks) else "no notes"
        raise ValueError(f"{name} has {found}, and where pitched notes begin is what is compared")
    if piece.n_bars < LENGTHS[0]:
        raise ValueError(f"{name} has {counted(piece.n_bars, 'bar')}, and the shortest passage that is compared has 2")
    music_of_metre = against.of_metre(piece.grid, name)
    try:
        measured = _measure(piece, music_of_metre.index)
    except ValueError as error:  # its notes and its grid do not fit each other
        raise ValueError(f"{name}: {error}") from error
    ours = measured.numbers
    theirs = music_of_metre.baseline(piece.n_bars, progress)
    places = {
        number: Place(value, tuple(sorted(other[number] for other in theirs if number in other)))
        for number, value in ours.items()
    }
    sources = music_of_metre.training
    nearest = tuple(
        _passage(piece, sources[match.piece], f"{n} bars", match)
        for n, matches in measured.matches.items()
        for match in _apart(piece, matches, n)
    )
    runs = tuple(
        _passage(piece, sources[run.piece], kind, _around(run, piece.grid), run)
        for kind, run in zip(_RUNS, measured.runs, strict=True)
        if run.notes
    )
    return Originality(
        title=printable(whole.title),
        n_bars=piece.n_bars,
        n_notes=len(piece.starts),
        corpus=corpus,
        metre=_describe(piece.grid),
        n_training=len(sources),
        held_out_bars=tuple(one.n_bars for one in music_of_metre.held_out),
        places=places,
        nearest=nearest,
        runs=runs,
    )


# The corpus -----------------------------------------------------------------------------------------


class _Metre:
    """The pieces of a corpus in one metre, and what was measured of those held out."""

    def __init__(self, training: Sequence[Piece], held_out: Sequence[Piece]) -> None:
        self.training = training
        # Spread evenly, so that neither split nor end of the list is favoured.
        chosen = np.unique(np.linspace(0, len(held_out) - 1, min(len(held_out), MOST_HELD_OUT)).round().astype(int))
        self.held_out = [held_out[at] for at in chosen]
        self._baselines: dict[int, list[dict[str, float]]] = {}

    @cached_property
    def index(self) -> NoteIndex:
        return NoteIndex(self.training)

    def baseline(self, n_bars: int, progress: bool = False) -> list[dict[str, float]]:
        """The numbers of the middle `n_bars` of each held-out piece."""
        # Pieces as long as the longest one are all taken whole.
        n_bars = min(n_bars, max((piece.n_bars for piece in self.held_out), default=0))
        if n_bars not in self._baselines:
            bar = tqdm(self.held_out, desc="held-out pieces", unit="piece", disable=not progress)
            self._baselines[n_bars] = [_measure(_middle(piece, n_bars), self.index).numbers for piece in bar]
        return self._baselines[n_bars]


class _Against:
    """The pieces of a corpus that have pitched notes, by metre."""

    def __init__(self, name: str, cache: str | None) -> None:
        self.name = name
        corpus = corpora.get(name, cache)
        self.pieces: dict[tuple[int, int], list[list[Piece]]] = {}
        for split in corpora.SPLITS:
            for piece in corpus.stream(split, cache=cache):
                if any(track.notes for track in piece.tracks if not track.is_drum):
                    both = self.pieces.setdefault(_bars(piece.grid), [[], []])
                    both[split != "train"].append(piece)
        self.metres = {bars: _Metre(*both) for bars, both in self.pieces.items() if both[0]}
        if not self.metres:
            raise ValueError(f"the corpus {name!r} has no training piece with pitched notes to compare with")

    def of_metre(self, grid: Grid, name: str) -> _Metre:
        found = self.metres.get(_bars(grid))
        if found is None:
            known = " or ".join(f"{steps} steps in {counted(beats, 'beat')}" for steps, beats in self.metres)
            raise ValueError(
                f"{name} has bars of {_describe(grid)}, and the training pieces of {self.name} have bars of {known}"
            )
        return found


@lru_cache(maxsize=4)
def _against(name: str, cache: str | None) -> _Against:
    return _Against(name, cache)


def _read(path: str | os.PathLike[str], against: _Against) -> Piece:
    """Read a file, in steps as fine as the corpus has in a metre of as many beats."""
    piece = midi.read(path)
    if _bars(piece.grid) not in against.metres and "time_signature" not in piece.labels:
        for steps, beats in against.metres:
            if beats == piece.grid.beats_per_bar:
                piece = midi.read(path, Grid(steps, beats, piece.grid.low, piece.grid.n_pitches))
                break
    return piece if piece.title else replace(piece, title=Path(path).stem)


def _bars(grid: Grid) -> tuple[int, int]:
    return grid.n_steps, grid.beats_per_bar


def _describe(grid: Grid) -> str:
    return f"{grid.n_steps} steps in {counted(grid.beats_per_bar, 'beat')}"


def _title(piece: Piece) -> str:
    """Name a piece of a corpus."""
    title = printable(piece.title) or printable(str(piece.labels.get("file", ""))) or "a piece without a title"
    return f"{title} (BWV {piece.labels['bwv']})" if "bwv" in piece.labels else title


# Measuring ------------------------------------------------------------------------------------------

_RUNS = ("longest run, all voices", "longest run, one voice")


class _Match(NamedTuple):
    """A stretch of the piece, and the same stretch of a training piece."""

    onset: int
    step: int
    n_steps: int
    piece: int
    semitones: int
    share: float | None = None  # None: not known before both are laid side by side
    track: int = -1
    training_track: int = -1


class _Measured(NamedTuple):
    matches: dict[int, Matches]
    runs: tuple[Run, Run]

    @property
    def numbers(self) -> dict[str, float]:
        """What is compared with held-out pieces, by name."""
        numbers: dict[str, float] = {}
        for n, matches in self.matches.items():
            if not np.isnan(matches.share).all():
                numbers[f"copied share, {n} bars"] = float(copied_share(matches)[0])
                numbers[f"highest share, {n} bars"] = float(np.nanmax(matches.share))
        for name, run in zip(_RUNS, self.runs, strict=True):
            numbers[f"{name}: notes"] = run.notes
            numbers[f"{name}: beats"] = run.beats
        return numbers


def _measure(piece: Piece, index: NoteIndex) -> _Measured:
    """Look for a piece without drums in the training pieces."""
    roll = Roll(*(plane[None] for plane in piece_to_roll(piece)))
    matches = {n: index.nearest(roll, piece.grid, n) for n in LENGTHS if n <= piece.n_bars}
    return _Measured(matches, (longest_run(piece, index), longest_run(piece, index, one_voice=True)))


def _middle(piece: Piece, n_bars: int) -> Piece:
    """The middle bars of a piece: what begins in them."""
    bar = piece.grid.n_steps
    before = max(0, (piece.n_bars - n_bars) // 2)
    return _excerpt(piece, before * bar, n_bars * bar)


def _excerpt(piece: Piece, step: int, n_steps: int, semitones: int = 0, track: int = -1) -> Piece:
    """What begins on some steps of a piece, transposed; it ends with them. Drums, and other tracks, are left out."""
    tracks = tuple(
        replace(
            one,
            notes=tuple(
                Note(note.onset - step, min(note.duration, step + n_steps - note.onset), note.pitch + semitones)
                for note in one.notes
                # A note beyond MIDI's pitches is no shared one: those have the pitch of a note of the piece.
                if step <= note.onset < step + n_steps and 0 <= note.pitch + semitones < 128
            ),
        )
        for number, one in enumerate(piece.tracks)
        if not one.is_drum and track in (-1, number)
    )
    grid = Grid(piece.grid.n_steps, piece.grid.beats_per_bar, 0, 132)
    return replace(piece, tracks=tracks, grid=grid, pickup=0, labels={})


def _apart(piece: Piece, matches: Matches, n_bars: int) -> list[_Match]:
    """The most copied passages of some bars that do not overlap, the best first."""
    bar = piece.grid.n_steps
    in_bar = np.bincount([onset // bar for onset, _ in piece.starts], minlength=piece.n_bars)
    n_notes = np.convolve(in_bar, np.ones(n_bars, int), "valid")
    enough = n_notes >= np.median(n_notes[n_notes > 0]) / 2
    share = matches.share[0]
    chosen: list[int] = []
    # Of equally copied ones the one with more notes says more.
    for at in np.lexsort((-n_notes, -np.nan_to_num(share))).tolist():
        if enough[at] and n_notes[at] and all(abs(at - other) >= n_bars for other in chosen):
            chosen.append(at)
    return [
        _Match(
            at * bar,
            int(matches.step[0, at]),
            n_bars * bar,
            int(matches.piece[0, at]),
            int(matches.semitones[0, at]),
            float(share[at]),
        )
        for at in chosen[:N_SHOWN]
    ]


def _around(run: Run, grid: Grid) -> _Match:
    """A run with the bars of the piece that it lies in, or begins in."""
    bar = grid.n_steps
    begin = run.onset // bar * bar
    end = min((run.onset + run.steps) // bar * bar + bar, begin + MOST_BARS * bar)
    step = run.step - (run.onset - begin)
    return _Match(begin, step, end - begin, run.piece, run.semitones, None, run.track, run.training_track)


def _passage(piece: Piece, source: Piece, kind: str, match: _Match, run: Run | None = None) -> Passage:
    """Lay a stretch of the piece beside that of the training piece, in one key and tempo."""
    name, (bar, _), (source_bar, beat) = _title(source), _place(piece, match.onset), _place(source, match.step)
    ours = _excerpt(piece, match.onset, match.n_steps, track=match.track)
    theirs = _excerpt(source, match.step, match.n_steps, -match.semitones, match.training_track)
    ours = replace(ours, title=f"{printable(piece.title) or 'the piece'}, from bar {bar}")
    moved = "" if not match.semitones else f", moved here by {-match.semitones:+d} semitones"
    theirs = replace(theirs, title=f"{name}, from bar {source_bar}, beat {beat:g}{moved}", tempo=piece.tempo)
    share = match.share
    if share is None:
        share = len(ours.starts & theirs.starts) / max(len(ours.starts), len(theirs.starts))
    lines = (_bar_lines(piece, match.onset, match.n_steps), _bar_lines(source, match.step, match.n_steps))
    begin = _place(piece, run.onset if run else match.onset)
    begin_there = _place(source, run.step if run else match.step)
    return Passage(kind, share, *begin, name, *begin_there, match.semitones, ours, theirs, match.n_steps, lines, run)


def _place(piece: Piece, step: int) -> tuple[int, float]:
    """Bar and beat of a step, as in print."""
    bar, behind = divmod(step, piece.grid.n_steps)
    return bar + (not piece.pickup), 1 + behind / piece.grid.steps_per_beat


def _bar_lines(piece: Piece, step: int, n_steps: int) -> tuple[tuple[int, int], ...]:
    """Where the bars of a piece begin in a stretch of it, counted from there, and their numbers."""
    bar = piece.grid.n_steps
    return tuple(
        (at * bar - step, at + (not piece.pickup)) for at in range(max(0, -(-step // bar)), -(-(step + n_steps) // bar))
    )


def _interval(semitones: int) -> str:
    if not semitones:
        return "at the same pitch"
    return f"{counted(abs(semitones), 'semitone')} {'higher' if semitones > 0 else 'lower'}"


def _shown(value: float) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
