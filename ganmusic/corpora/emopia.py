"""EMOPIA: 1,087 clips of pop songs on the piano, each with the quadrant of its emotion.

What was decided on the way: the quadrant (label ``quadrant``: 1 happy, 2 tense, 3 sad, 4 calm) and the song stand in a
file's name, ``Q1_<song>_<clip>.mid``; clips of one song are kept together. The key is that of the corpus's table, where
a small letter means minor. The clips are transcribed from recordings: their times follow the player, not a clock.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ganmusic.corpora.download import Archive
from ganmusic.corpora.fetched import fetched, table
from ganmusic.corpora.folder import Annotation, Reading
from ganmusic.corpora.record import Corpus

__all__ = ["CORPUS", "READING", "annotate"]

NAME = "emopia"
_NATURALS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}


def annotate(root: Path, file: Path) -> Annotation:
    """Return the quadrant, the song as the group, and the key where the corpus's table has it.

    Taught in: notebooks/corpora.ipynb
    """
    # A song is named by the eleven characters of its address, which may be underlines themselves.
    found = re.fullmatch(r"Q([1-4])_(.{11})_(\d+)", file.stem)
    if found is None or "__MACOSX" in file.parts:
        return Annotation(skip="its name is not that of a clip, Q1_<song>_<clip>")
    labels: dict[str, Any] = {"quadrant": int(found[1])}
    key = table(root, "key_mode_tempo.csv", "name").get(file.stem, {}).get("keyname", "").strip()
    if re.fullmatch("[A-Ga-g][#b]?", key):
        tonic = _NATURALS[key[0].lower()] + {"#": 1, "b": -1}.get(key[1:], 0)
        labels |= {"tonic": tonic % 12, "mode": "minor" if key[0].islower() else "major"}
    return Annotation(labels=labels, group=found[2], title=file.stem)


READING = Reading(pattern=("**/Q[1-4]_*.mid",), voices="parts", n_tracks=1, annotate=annotate)


CORPUS = Corpus(
    **fetched(NAME, READING),
    title="EMOPIA 2.2: about 1,080 piano clips from 387 pop songs, labelled by emotion",
    licence=(
        "CC BY-NC-SA 4.0: may be used and passed on with the names of its makers and under the same licence, but not "
        "for commercial purposes."
    ),
    provenance=(
        "Piano covers of pop songs, transcribed from recordings by a network and labelled by four listeners (Zenodo, "
        "record 5257995). Read without beats: steps are steps of time."
    ),
    bibtex="""@inproceedings{hung2021emopia,
  author    = {Hung, Hsiao-Tzu and Ching, Joann and Doh, Seungheon and Kim, Nabin and Nam, Juhan and Yang, Yi-Hsuan},
  title     = {{EMOPIA}: A Multi-Modal Pop Piano Dataset for Emotion Recognition and Emotion-based Music Generation},
  booktitle = {Proceedings of the 22nd International Society for Music Information Retrieval Conference},
  year      = {2021},
}""",
    commercial=False,
    archive=Archive(
        url="https://zenodo.org/records/5257995/files/EMOPIA_2.2.zip",
        n_bytes=None,
        checksum="md5:bad5171786a4898f37fc2678e99afd94",
        max_unpacked=500_000_000,
    ),
)
