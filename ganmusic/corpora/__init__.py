"""Corpora: pieces of music to learn from, each a record that says where it comes from and what one may do with it.

One corpus a file. A corpus is a record, `Corpus`, in the dictionary `CORPORA`, and a test fails any that lacks
a field; a folder of one's own music is one too, `Folder`. Nothing is read, let alone downloaded, at import.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import os
from typing import Any

from ganmusic.corpora import (
    chorales,
    emopia,
    folk,
    groove,
    lakh,
    leadsheets,
    maestro,
    musicnet,
    nesmdb,
    own,
    pop909,
    quartets,
    toy,
)
from ganmusic.corpora.download import FetchError
from ganmusic.corpora.folder import Annotation, Folder, Reading
from ganmusic.corpora.own import find
from ganmusic.corpora.record import SPLITS, Corpus
from ganmusic.corpora.report import Report

__all__ = ["CORPORA", "SPLITS", "Annotation", "Corpus", "FetchError", "Folder", "Reading", "Report", "add", "get"]

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        chorales.CORPUS,
        toy.CORPUS,
        folk.CORPUS,
        leadsheets.CORPUS,
        leadsheets.TUNES,
        quartets.CORPUS,
        pop909.CORPUS,
        lakh.CORPUS,
        nesmdb.CORPUS,
        maestro.CORPUS,
        emopia.CORPUS,
        musicnet.CORPUS,
        groove.CORPUS,
    )
}
"""Every corpus by its name."""


def add(name: str, root: str | os.PathLike[str], **options: Any) -> Folder:
    """Read a folder of one's own music and give it a name; see `ganmusic.corpora.own.add`.

    Raises
    ------
    ValueError
        If the name is none, or taken; if there is no such folder.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if name in CORPORA:
        raise ValueError(f"{name!r} is the name of a corpus that ganmusic knows already")
    return own.add(name, root, **options)


def get(name: str, cache: str | os.PathLike[str] | None = None) -> Corpus:
    """Return a corpus by its name: one of `CORPORA`, or a folder that was added.

    Raises
    ------
    ValueError
        If there is no such corpus.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    corpus = CORPORA.get(name) or find(name, cache)
    if corpus is None:
        known = ", ".join([*CORPORA, *own.names(cache)])
        raise ValueError(f"no corpus is named {name!r}; there are {known}")
    return corpus
