"""POP909: 909 Chinese pop songs, arranged for the piano: melody, second melody, accompaniment.

What was decided on the way: the files keep the tempo of the recording but begin a little late against their own clock,
so the beats are taken from the corpus (``beat_midi.txt``: time, and whether a bar begins there). Its chords
(``chord_midi.txt``) are the label ``chords``, each with the step at which it begins.
Its key (``key_audio.txt``) is ``tonic`` and ``mode``, the first where a song changes key. The other versions of each
song are left out.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganmusic.corpora.download import Archive
from ganmusic.corpora.fetched import fetched
from ganmusic.corpora.folder import Annotation, Reading
from ganmusic.corpora.record import Corpus
from ganmusic.keys import parse_key

__all__ = ["CORPUS", "READING", "annotate"]

NAME = "pop909"


def annotate(root: Path, file: Path) -> Annotation:
    """Return the beats, the chords and the key that lie beside a song.

    In a piece a chord is ``[step, name]``.

    Taught in: notebooks/corpora.ipynb
    """
    rows = _rows(file.parent / "beat_midi.txt")
    beats = tuple(float(row[0]) for row in rows)
    # The second column marks the bars if they have two or three beats, the third if they have four or six.
    downbeats = tuple(i for i, row in enumerate(rows) if float(row[2]) == 1)
    labels: dict[str, Any] = {}
    moments: dict[str, tuple[tuple[float, Any], ...]] = {}
    chords = _rows(file.parent / "chord_midi.txt")
    if chords:
        moments["chords"] = tuple((float(start), name) for start, _, name in chords)
    for _, _, key in _rows(file.parent / "key_audio.txt")[:1]:
        tonic, mode = parse_key(key)
        labels |= {"tonic": tonic, "mode": mode}
    return Annotation(
        labels,
        group=file.stem,
        beats=beats or None,
        downbeats=downbeats or None,
        moments=moments,
        title=f"POP909 {file.stem}",
    )


def _rows(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


# Three digits are the song; its other versions are called 001-v1.mid.
READING = Reading(pattern=("**/[0-9][0-9][0-9].mid",), voices="parts", n_tracks=3, annotate=annotate)


CORPUS = Corpus(
    **fetched(NAME, READING),
    title="POP909: 909 pop songs arranged for piano in three tracks, with chords, keys and beats",
    licence=(
        "MIT: the arrangements may be used and passed on, also commercially, with the licence's text. The songs "
        "themselves are under the copyright of their writers."
    ),
    provenance=(
        "Arranged by professional musicians for the Music X Lab at NYU Shanghai; beats and chords found in the MIDI, "
        "keys in the recordings. The zip file in the repository, at one fixed commit; without the other versions."
    ),
    bibtex="""@inproceedings{wang2020pop909,
  author    = {Wang, Ziyu and Chen, Ke and Jiang, Junyan and Zhang, Yiyi and Xu, Maoran and Dai, Shuqi and Bin, Guxian
               and Xia, Gus},
  title     = {{POP909}: A Pop-Song Dataset for Music Arrangement Generation},
  booktitle = {Proceedings of the 21st International Society for Music Information Retrieval Conference},
  year      = {2020},
}""",
    archive=Archive(
        url=(
            "https://raw.githubusercontent.com/music-x-lab/POP909-Dataset/"
            "d83e6edba6872a704f5d3b8b32f5cb540088dae6/POP909.zip"
        ),
        n_bytes=None,
        checksum="git-blob:0a9647e499a0a6f88f84c0d450570fd805129f9d",
        max_unpacked=500_000_000,
    ),
)
