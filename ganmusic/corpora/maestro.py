"""MAESTRO: 1,276 performances of the piano repertoire, played at a competition and recorded by the piano itself.

What was decided on the way: the split is the corpus's own, in which a composition never stands in two splits.
The performers were not bound to a clock, and the files name no beats: so there is nothing to lay a grid by, and
the steps of these pieces are steps of time (the files' nominal 120 beats a minute), not of the music.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

from pathlib import Path

from ganmusic.corpora.download import Archive
from ganmusic.corpora.fetched import SPLIT_NAMES, fetched, table
from ganmusic.corpora.folder import Annotation, Reading
from ganmusic.corpora.record import Corpus

__all__ = ["CORPUS", "READING", "annotate"]

NAME = "maestro"


def annotate(root: Path, file: Path) -> Annotation:
    """Return the composer, the year and the split that the corpus's table gives for a file.

    Taught in: notebooks/corpora.ipynb
    """
    row = table(root, "maestro-v*.csv", "midi_filename").get("/".join(file.parts[-2:]))
    if row is None:
        return Annotation(skip="the table of the corpus does not name it")
    composer, title = row["canonical_composer"], row["canonical_title"]
    return Annotation(
        labels={"composer": composer, "year": int(row["year"])},
        split=SPLIT_NAMES[row["split"]],
        group=f"{composer}: {title}",
        title=title,
    )


READING = Reading(pattern=("**/*.midi", "**/*.mid"), voices="parts", n_tracks=1, annotate=annotate)


CORPUS = Corpus(
    **fetched(NAME, READING),
    title="MAESTRO v3: 1,276 piano performances, about 200 hours",
    licence=(
        "CC BY-NC-SA 4.0: may be used and passed on with the names of its makers and under the same licence, but not "
        "for commercial purposes."
    ),
    provenance=(
        "MIDI of the International Piano-e-Competition, 2004-2018, recorded by Disklavier pianos; published by the "
        "Magenta project at Google. Read without beats: steps are steps of time."
    ),
    bibtex="""@inproceedings{hawthorne2019maestro,
  author    = {Hawthorne, Curtis and Stasyuk, Andriy and Roberts, Adam and Simon, Ian and Huang, Cheng-Zhi Anna
               and Dieleman, Sander and Elsen, Erich and Engel, Jesse and Eck, Douglas},
  title     = {Enabling Factorized Piano Music Modeling and Generation with the {MAESTRO} Dataset},
  booktitle = {International Conference on Learning Representations},
  year      = {2019},
  url       = {https://openreview.net/forum?id=r1lYRjC9F7},
}""",
    commercial=False,
    archive=Archive(
        url="https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0-midi.zip",
        n_bytes=58_416_533,
        checksum="sha256:70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c",
        max_unpacked=500_000_000,
    ),
)
