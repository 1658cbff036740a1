"""Groove: 13.6 hours of drumming by ten drummers, played to a click.

What was decided on the way: the split is the corpus's own. Because the drummers had a click in their ears, the beats of
the files are the beats of the music, and what lies between the steps of the grid is how they play. Every note is kept
at the number that the drum kit sent.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

from pathlib import Path

from ganmusic.corpora.download import Archive
from ganmusic.corpora.fetched import SPLIT_NAMES, fetched, table
from ganmusic.corpora.folder import Annotation, Reading
from ganmusic.corpora.record import Corpus

__all__ = ["CORPUS", "READING", "annotate"]

NAME = "groove"


def annotate(root: Path, file: Path) -> Annotation:
    """Return what the corpus's table says of a file: drummer, style, tempo, beat or fill, metre, split.

    Taught in: notebooks/corpora.ipynb
    """
    row = table(root, "info.csv", "midi_filename").get("/".join(file.parts[-3:]))
    if row is None:
        return Annotation(skip="the table of the corpus does not name it")
    labels = {
        "drummer": row["drummer"],
        "style": row["style"],
        "bpm": int(row["bpm"]),
        "beat_type": row["beat_type"],
        "metre": row["time_signature"].replace("-", "/"),
    }
    return Annotation(labels, SPLIT_NAMES[row["split"]], group=row["session"], title=row["id"])


READING = Reading(pattern=("**/*.mid",), voices="parts", n_tracks=1, annotate=annotate)


CORPUS = Corpus(
    **fetched(NAME, READING),
    title="Groove: 1,150 drum performances, 13.6 hours, played to a click",
    licence="CC BY 4.0: may be used and passed on, also commercially, with the names of its makers.",
    provenance=(
        "Played on a Roland TD-11 electronic drum kit by ten drummers; published by the Magenta project at Google, "
        "the version 1.0.0 without sound."
    ),
    bibtex="""@inproceedings{gillick2019groove,
  author    = {Gillick, Jon and Roberts, Adam and Engel, Jesse and Eck, Douglas and Bamman, David},
  title     = {Learning to Groove with Inverse Sequence Transformations},
  booktitle = {Proceedings of the 36th International Conference on Machine Learning},
  year      = {2019},
}""",
    archive=Archive(
        url="https://storage.googleapis.com/magentadata/datasets/groove/groove-v1.0.0-midionly.zip",
        n_bytes=3_260_318,
        checksum="sha256:651cbc524ffb891be1a3e46d89dc82a1cecb09a57c748c7b45b844c4841dcc1e",
        max_unpacked=100_000_000,
    ),
)
