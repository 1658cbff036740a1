"""MusicNet: scores of chamber and piano music by ten composers, as the MIDI files behind its recordings.

What was decided on the way: the instruments differ from piece to piece, so the notes are divided by height into
four lines, as for a quartet. Movements of one work are kept together. The composer is the name of the folder.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

from pathlib import Path

from ganmusic.corpora.download import Archive
from ganmusic.corpora.fetched import fetched
from ganmusic.corpora.folder import Annotation, Reading
from ganmusic.corpora.record import Corpus

__all__ = ["CORPUS", "READING", "annotate"]

NAME = "musicnet"


def annotate(root: Path, file: Path) -> Annotation:
    """Return the composer, and the work as the group: ``Bach/2186_vs6_1.mid`` is a movement of 'Bach vs6'.

    Taught in: notebooks/corpora.ipynb
    """
    number, *work = file.stem.split("_")
    composer = file.parent.name
    group = f"{composer} {'_'.join(work[:-1] or work)}"
    return Annotation(
        labels={"composer": composer, "recording": number}, group=group, title=f"{composer} {' '.join(work)}"
    )


READING = Reading(pattern=("**/*.mid",), voices="lines", n_tracks=4, annotate=annotate)


CORPUS = Corpus(
    **fetched(NAME, READING),
    title="MusicNet: scores of 330 recordings of chamber and piano music by ten composers",
    licence="CC BY 4.0: may be used and passed on, also commercially, with the names of its makers.",
    provenance=(
        "The MIDI files that MusicNet's annotations were aligned from (Zenodo, record 5120004), by volunteers and in "
        "the public domain or freely licensed. Divided here into four lines by height."
    ),
    bibtex="""@inproceedings{thickstun2017musicnet,
  author    = {Thickstun, John and Harchaoui, Zaid and Kakade, Sham M.},
  title     = {Learning Features of Music from Scratch},
  booktitle = {International Conference on Learning Representations},
  year      = {2017},
  url       = {https://openreview.net/forum?id=rkFBJv9gg},
}""",
    archive=Archive(
        url="https://zenodo.org/records/5120004/files/musicnet_midis.tar.gz",
        n_bytes=2_601_302,
        checksum="md5:b5fa98a113bfc51c8a445def9f24dc7e",
        max_unpacked=200_000_000,
    ),
)
