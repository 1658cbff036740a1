"""Bach's four-part chorales: 363 hymn tunes set for soprano, alto, tenor and bass.

The notes come from the scores inside music21 and lie in ``chorales.npz`` beside this file; the script
``scripts/build_chorales.py`` makes it. What was decided on the way:

- Of music21's 368 four-part scores five are left out: three are a second encoding of BWV 277, 281 and 366;
  BWV 274 and 398 repeat BWV 62.6 and 197.7a note for note.
- Tied notes are one note. Repeats stand as the score has them. Three grace notes are left out, and ten notes
  that lie off the sixteenth grid begin at the nearest sixteenth (a pair of thirty-seconds becomes one).
- The grid runs on from the first full downbeat; `Piece.pickup` is the upbeat before it. In eight pieces the
  printed bar lines leave that grid on the way, or the metre changes: `Chorale.regular_until`.
- The key is the best of music21's key analysis, a little in favour of the last bass note's.
- The chord of a beat is what sounds as the beat begins, if it is a triad or a seventh chord (`CHORDS`).
- Pieces on one hymn tune, by title or by soprano, are in one group (`Chorale.tune`), and so in one split.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from ganmusic.corpora.record import Corpus
from ganmusic.keys import PITCH_CLASSES
from ganmusic.pianoroll import Grid, Note, Piece, Track

__all__ = ["CHORDS", "CORPUS", "METRES", "PITCH_CLASSES", "VOICES", "Chorale", "load"]

FILE = "chorales.npz"
VOICES = ("soprano", "alto", "tenor", "bass")
PROGRAM = 19
"""General MIDI's church organ."""
METRES = {"4/4": Grid(16, 4), "3/4": Grid(12, 3), "3/2": Grid(24, 3)}
"""A step is a sixteenth in each metre."""
TEMPOS = {"4/4": 80.0, "3/4": 80.0, "3/2": 40.0}
"""Beats a minute: 80 quarter notes. Bach wrote none down."""

QUALITIES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "hdim7": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
}
"""Kinds of chord and their semitones above the root, under the names of Harte et al. (2005)."""
CHORDS = ("", *(f"{root}:{quality}" for root in PITCH_CLASSES for quality in QUALITIES))
"""Every chord that a beat can have; '' where what sounds is none of them."""


class Chorale(Piece):
    """A four-part chorale: a piece whose `labels` have names.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    @property
    def bwv(self) -> str:
        """Number in the catalogue of Bach's works, as music21 writes it: '66.6' is the sixth movement of BWV 66."""
        return str(self.labels["bwv"])

    @property
    def tonic(self) -> int:
        """Pitch class of the key's tonic, 0 (C) to 11 (B)."""
        return int(self.labels["tonic"])

    @property
    def mode(self) -> str:
        """Mode of the key: 'major' or 'minor'."""
        return str(self.labels["mode"])

    @property
    def metre(self) -> str:
        """Time signature that the piece begins with: a key of `METRES`."""
        return str(self.labels["metre"])

    @property
    def fermatas(self) -> tuple[int, ...]:
        """Steps at which a note with a fermata begins: the ends of the hymn's lines."""
        return tuple(self.labels["fermatas"])

    @property
    def chords(self) -> tuple[str, ...]:
        """Chord of each beat, bar 0's first: one of `CHORDS`."""
        return tuple(self.labels["chords"])

    @property
    def regular_until(self) -> int | None:
        """Step from which the printed bar lines no longer lie on the grid; None: they do to the end."""
        step: int | None = self.labels["regular_until"]
        return step

    @property
    def tune(self) -> str:
        """Group of pieces on one hymn tune."""
        return str(self.labels["tune"])

    @property
    def split(self) -> str:
        """Split that the piece, with its whole group, belongs to: 'train', 'valid' or 'test'."""
        return str(self.labels["split"])


def load(split: str | None = None) -> tuple[Chorale, ...]:
    """Load the chorales of one split ('train', 'valid', 'test') or all of them, in the order of BWV numbers.

    Raises
    ------
    ValueError
        If there is no such split.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    with (
        files(__package__).joinpath(FILE).open("rb") as stream,
        np.load(stream, allow_pickle=False) as arrays,
    ):
        pieces = unpack({name: arrays[name] for name in arrays.files})
    if split is None:
        return pieces
    chosen = tuple(piece for piece in pieces if piece.split == split)
    if not chosen:
        raise ValueError(f"no split is named {split!r}; there are train, valid, test")
    return chosen


def pack(pieces: tuple[Chorale, ...]) -> dict[str, npt.NDArray[Any]]:
    """Lay chorales out in flat arrays; the inverse of `unpack`.

    A note's onset is kept as the rest before it, nearly always 0: so the file is a third of the size.
    """
    tracks = [track for piece in pieces for track in piece.tracks]
    rows: list[tuple[int, int, int]] = []
    for track in tracks:
        ends = (0, *(note.end for note in track.notes))
        rows += [(n.onset - end, n.duration, n.pitch) for n, end in zip(track.notes, ends, strict=False)]
    rest, duration, pitch = np.array(rows, dtype=np.uint8).T
    fermatas = [piece.fermatas for piece in pieces]
    chords = [piece.chords for piece in pieces]
    code = {chord: i for i, chord in enumerate(CHORDS)}
    return {
        "rest": rest.copy(),
        "duration": duration.copy(),
        "pitch": pitch.copy(),
        "n_notes": np.array([len(track.notes) for track in tracks], dtype=np.uint16),
        "fermata": np.array([s for steps in fermatas for s in steps], dtype=np.uint16),
        "n_fermatas": np.array([len(steps) for steps in fermatas], dtype=np.uint16),
        "chord": np.array([code[c] for names in chords for c in names], dtype=np.uint8),
        "n_chords": np.array([len(names) for names in chords], dtype=np.uint16),
        "pickup": np.array([piece.pickup for piece in pieces], dtype=np.uint8),
        "tonic": np.array([piece.tonic for piece in pieces], dtype=np.uint8),
        "regular_until": np.array(
            [-1 if p.regular_until is None else p.regular_until for p in pieces], dtype=np.int16
        ),
        **{
            name: np.array([getattr(piece, name) for piece in pieces])
            for name in ("bwv", "title", "mode", "metre", "tune", "split")
        },
    }


def unpack(arrays: dict[str, npt.NDArray[Any]]) -> tuple[Chorale, ...]:
    """Make chorales of the arrays of `pack`."""
    n_notes = arrays["n_notes"]
    # Within a voice, a note ends after all rests and durations up to it.
    span = arrays["rest"].astype(np.int64) + arrays["duration"]
    ends = np.cumsum(span)
    before = np.concatenate([[0], ends])[np.cumsum(n_notes) - n_notes]
    onsets = ends - np.repeat(before, n_notes) - arrays["duration"]
    notes = map(Note, onsets.tolist(), arrays["duration"].tolist(), arrays["pitch"].tolist())
    voices = [tuple(next(notes) for _ in range(n)) for n in n_notes.tolist()]
    fermatas = _cut(arrays["fermata"].tolist(), arrays["n_fermatas"])
    chords = _cut([CHORDS[i] for i in arrays["chord"]], arrays["n_chords"])
    columns = {
        name: arrays[name].tolist()
        for name in ("bwv", "title", "mode", "metre", "tune", "split", "tonic", "pickup", "regular_until")
    }
    pieces = []
    for i in range(len(columns["bwv"])):
        row = {name: column[i] for name, column in columns.items()}
        title, pickup, metre = row.pop("title"), row.pop("pickup"), row["metre"]
        if row["regular_until"] < 0:
            row["regular_until"] = None
        tracks = tuple(
            Track(name, voices[len(VOICES) * i + v], PROGRAM) for v, name in enumerate(VOICES)
        )
        labels = {**row, "fermatas": fermatas[i], "chords": chords[i]}
        pieces.append(Chorale(tracks, METRES[metre], TEMPOS[metre], title, pickup, labels))
    return tuple(pieces)


def _cut(values: list[Any], lengths: npt.NDArray[Any]) -> list[tuple[Any, ...]]:
    ends = np.cumsum(lengths).tolist()
    return [tuple(values[end - n : end]) for end, n in zip(ends, lengths.tolist(), strict=True)]


CORPUS = Corpus(
    name="chorales",
    title="363 four-part chorales by Johann Sebastian Bach",
    licence=(
        "Bach's chorales are in the public domain. music21 states no licence for its encodings of them; "
        "what is kept here are facts of the works: pitch, onset, duration, metre, fermata, title, and the key "
        "and chords worked out from them. May be used freely, also commercially."
    ),
    provenance=(
        "The four-part scores of Bach in the corpus of music21 (365 with named voices, of which two repeat "
        "another; three second encodings left out), read and quantised by scripts/build_chorales.py. "
        "Titles: music21.corpus.chorales."
    ),
    bibtex="""@inproceedings{cuthbert2010music21,
  author    = {Cuthbert, Michael Scott and Ariza, Christopher},
  title     = {music21: A Toolkit for Computer-Aided Musicology and Symbolic Music Data},
  booktitle = {Proceedings of the 11th International Society for Music Information Retrieval Conference},
  pages     = {637--642},
  year      = {2010},
}""",
    loader=load,
)
