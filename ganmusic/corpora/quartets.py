"""String quartets by Haydn, Mozart and Beethoven: the movements that come with music21.

What was decided on the way: the tracks are the four instruments. Movements of one work are kept together. A score is
read once, which takes music21 up to half a minute for a long one, and its notes are kept in the cache.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

from pathlib import Path

from ganmusic.corpora.chorales import CORPUS as CHORALES
from ganmusic.corpora.fetched import fetched
from ganmusic.corpora.folder import Annotation, Reading
from ganmusic.corpora.folk import music21_corpus
from ganmusic.corpora.record import Corpus

__all__ = ["CORPUS", "READING", "annotate"]

NAME = "quartets"


def annotate(root: Path, file: Path) -> Annotation:
    """Return the composer, and the work as the group: ``mozart/k458/movement2.mxl`` belongs to 'mozart k458'.

    Taught in: notebooks/corpora.ipynb
    """
    composer, *work = file.relative_to(root).with_suffix("").parts
    return Annotation(
        labels={"composer": composer.title(), "work": work[0]},
        group=f"{composer} {work[0]}",
        title=f"{composer.title()}, {', '.join(work)}",
    )


READING = Reading(
    # Mozart's K. 545 is a piano sonata; Beethoven's longer works are one file, with all their movements.
    pattern=(
        *("haydn/opus*/*.mxl", "mozart/k80/*.mxl", "mozart/k155/*.mxl", "mozart/k156/*.mxl", "mozart/k458/*.mxl"),
        *("beethoven/opus*.mxl", "beethoven/opus*/*.mxl"),
    ),
    voices="parts",
    n_tracks=4,
    annotate=annotate,
)


CORPUS = Corpus(
    **fetched(NAME, READING, lambda *_: music21_corpus()),
    title="String quartets by Haydn, Mozart and Beethoven: 46 files, movements and whole works",
    licence=(
        "Public domain: the quartets, of 1755 to 1826. The encodings come with music21, by the leave of those who made "
        "them; here they are read, not passed on."
    ),
    provenance="MusicXML scores in the corpus of music21: 9 files by Haydn, 15 by Mozart, 22 by Beethoven.",
    bibtex=CHORALES.bibtex,
)
