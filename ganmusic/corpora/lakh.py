"""The Lakh MIDI dataset: 178,561 files from the open web, of every kind and quality, as rolls of five tracks.

What was decided on the way: the tracks of a file are gathered by families of instruments into drums, piano, guitar,
bass and strings, as in the Lakh Pianoroll Dataset (LPD-5). A file is named by its MD5 sum and no sum occurs twice, but
many songs do, in other arrangements. Thousands of the files are damaged; they are left out, and the report says why.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

from ganmusic.corpora.download import Archive
from ganmusic.corpora.fetched import fetched
from ganmusic.corpora.folder import Reading
from ganmusic.corpora.record import Corpus

__all__ = ["CORPUS", "READING"]

NAME = "lakh"
READING = Reading(pattern=("**/*.mid",), voices="families", n_tracks=5)


CORPUS = Corpus(
    **fetched(NAME, READING),
    title="Lakh MIDI dataset (full): 178,561 files of songs of every kind, in five tracks",
    licence=(
        "CC BY 4.0: the collection may be used and passed on, also commercially, with the name of its maker. That "
        "covers the collection; most of the songs in it are under the copyright of their writers."
    ),
    provenance=(
        "Files found on the open web by Colin Raffel, one for each MD5 sum. Gathered here into the tracks drums, "
        "piano, guitar, bass and strings."
    ),
    bibtex="""@phdthesis{raffel2016lakh,
  author = {Raffel, Colin},
  title  = {Learning-Based Methods for Comparing Sequences, with Applications to Audio-to-{MIDI} Alignment and
            Matching},
  school = {Columbia University},
  year   = {2016},
  url    = {https://colinraffel.com/projects/lmd/},
}""",
    archive=Archive(
        url="http://hog.ee.columbia.edu/craffel/lmd/lmd_full.tar.gz",
        n_bytes=1_768_163_879,
        checksum="sha256:6fcfe2ac49ca08f3f214cec86ab138d4fc4dabcd7f27f491a838dae6db45a12b",
        max_unpacked=20_000_000_000,
    ),
)
