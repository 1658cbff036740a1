"""Lead sheets: melodies in 4/4 with a chord in every bar, and the same tunes without their chords.

They are those fiddle tunes of `ganmusic.corpora.folk` that are in 4/4 and, in the common key, within the default
grid's pitches: 1,113 tunes of 18,800 bars. What was decided on the way:

- In music21's corpus hardly anything has chord symbols: in the form of ABC two tunes of Nottingham's collection, in
  the form of MusicXML two songs. So the chords are those of the label ``chords``, *worked out from the melody* by
  `ganmusic.corpora.folk.harmonise`, one major or minor triad a bar.
- A chord is played as three notes in root position, begun in every bar. Its root lies in the octave above C3 once the
  tune is in the common key (`ganmusic.data.key_shift`), so that a chord is always the same three pitches there.
- Of notes that begin together the melody keeps the highest. An incomplete first bar has no chord.

The two corpora have the same tunes in the same splits: `CORPUS` to learn from, `TUNES` to judge melodies by.

Taught in: notebooks/07-midinet.ipynb
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ganmusic.corpora.chorales import CORPUS as CHORALES
from ganmusic.corpora.folk import CORPUS as FOLK
from ganmusic.corpora.record import Corpus
from ganmusic.keys import PITCH_CLASSES
from ganmusic.pianoroll import Grid, Note, Piece, Track
from ganmusic.store import key_shift
from ganmusic.voices import skyline

__all__ = ["CORPUS", "TUNES", "lead_sheet", "melody", "usable"]

#: General MIDI's steel guitar, for the chords.
PROGRAM = 25
#: MIDI number of the C above which roots lie in the common key.
ROOT = 48
_THIRDS = {"maj": 4, "min": 3}


def lead_sheet(piece: Piece) -> Piece:
    """Add the track ``chords`` to a tune that has the labels ``chords``, ``tonic`` and ``mode``.

    Raises
    ------
    ValueError
        If a label is missing, or the tune cannot be moved to the common key within the default grid's pitches.

    Taught in: notebooks/07-midinet.ipynb
    """
    tune = melody(piece)
    shift = key_shift(tune, Grid())
    if "chords" not in piece.labels or shift is None:
        lacks = "no label 'chords'" if "chords" not in piece.labels else "notes beyond the grid in the common key"
        raise ValueError(f"the tune {piece.title!r} becomes no lead sheet: it has {lacks}")
    notes = []
    for begin, name in piece.labels["chords"]:
        lasts = min(begin + piece.grid.n_steps, piece.end) - begin
        if lasts > 0 and (begin or not piece.pickup):
            root, quality = name.split(":")
            lowest = ROOT + (PITCH_CLASSES.index(root) + shift) % 12 - shift
            notes += [Note(begin, lasts, lowest + above) for above in (0, _THIRDS[quality], 7)]
    return replace(tune, tracks=(*tune.tracks, Track("chords", tuple(notes), PROGRAM)))


def melody(piece: Piece) -> Piece:
    """Keep the highest of a tune's notes at each moment, as the only track.

    Taught in: notebooks/07-midinet.ipynb
    """
    (track,) = piece.tracks
    return replace(piece, tracks=(replace(track, notes=skyline(track.notes)),))


def usable(piece: Piece) -> bool:
    """Whether a tune is in 4/4 and, in the common key, within the default grid's pitches.

    Taught in: notebooks/07-midinet.ipynb
    """
    in_four = (piece.grid.n_steps, piece.grid.beats_per_bar) == (Grid().n_steps, Grid().beats_per_bar)
    return in_four and key_shift(melody(piece), Grid()) is not None


def _load(make: Callable[[Piece], Piece], split: str | None = None, **options: Any) -> Iterator[Piece]:
    yield from map(make, filter(usable, FOLK.stream(split, **options)))


def _record(name: str, title: str, make: Callable[[Piece], Piece], chords: str) -> Corpus:
    return Corpus(
        name=name,
        title=title,
        licence=FOLK.licence,
        provenance=(
            "The tunes in 4/4 of Ryan's Mammoth Collection (1883) and O'Neill's Music of Ireland (1903), as in the "
            f"corpus 'folk', which is read from music21 first; {chords}."
        ),
        bibtex=CHORALES.bibtex,
        loader=partial(_load, make),
        home=FOLK.home,
    )


CORPUS = _record(
    "leadsheets",
    "Lead sheets: 1,113 fiddle tunes in 4/4 with a chord in every bar",
    lead_sheet,
    "with one triad a bar worked out from the melody",
)
TUNES = _record("tunes", "The melodies of 'leadsheets', without their chords", melody, "melodies alone")
