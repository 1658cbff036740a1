"""NES-MDB: 5,278 pieces from the games of a console of the 1980s, which had four voices.

What was decided on the way: the tracks are those of the machine, two pulse waves (``p1``, ``p2``), a triangle wave
(``tr``) and noise (``no``). The split is the corpus's own, in which no composer stands in two splits; the game is a
label and the group. The files count samples of sound, not beats: steps are steps of time.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

import re
from pathlib import Path

from ganmusic.corpora.download import Archive
from ganmusic.corpora.fetched import fetched
from ganmusic.corpora.folder import Annotation, Reading
from ganmusic.corpora.record import SPLITS, Corpus

__all__ = ["CORPUS", "READING", "annotate"]

NAME = "nesmdb"


def annotate(root: Path, file: Path) -> Annotation:
    """Return the game, and the split that is the name of the file's folder.

    Taught in: notebooks/corpora.ipynb
    """
    found = re.fullmatch(r"(\d+_.+?)_(\d+)_(.*)", file.stem)
    split = file.parent.name
    if found is None or split not in SPLITS:
        return Annotation(skip="it does not lie in train, valid or test under the name of a game")
    game = found[1].partition("_")[2]
    return Annotation(labels={"game": game}, split=split, group=found[1], title=f"{game}: {found[3]}")


READING = Reading(pattern=("**/*.mid",), voices="parts", n_tracks=4, annotate=annotate)


CORPUS = Corpus(
    **fetched(NAME, READING),
    title="NES-MDB: 5,278 pieces of four voices from 397 console games",
    licence=(
        "No licence: the music is under the copyright of the games' makers, and was collected for research. What one "
        "may do with it depends on one's country; nobody gave leave for commercial use."
    ),
    provenance=(
        "Read out of the code of the games by Chris Donahue, Huanru Henry Mao and Julian McAuley, as MIDI with the "
        "console's four voices. Read without beats: steps are steps of time."
    ),
    bibtex="""@inproceedings{donahue2018nesmdb,
  author    = {Donahue, Chris and Mao, Huanru Henry and McAuley, Julian},
  title     = {The {NES} Music Database: A Multi-Instrumental Dataset with Expressive Performance Attributes},
  booktitle = {Proceedings of the 19th International Society for Music Information Retrieval Conference},
  year      = {2018},
}""",
    commercial=False,
    archive=Archive(
        url="http://deepyeti.ucsd.edu/cdonahue/nesmdb/nesmdb_midi.tar.gz",
        n_bytes=12_922_275,
        checksum="sha256:37610e2ca5fe70359c85170cf1f4982596783bb304c59d9c439f68c24ff4ee93",
        max_unpacked=1_000_000_000,
    ),
)
