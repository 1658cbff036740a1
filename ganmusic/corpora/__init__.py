"""Corpora: pieces of music to learn from, each a record that says where it comes from and what one may do with it.

One corpus a file. A corpus is a record, `Corpus`, in the dictionary `CORPORA`, and a test fails any that lacks
a field. Nothing is read, let alone downloaded, at import.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

from ganmusic.corpora import chorales, toy
from ganmusic.corpora.record import SPLITS, Corpus

__all__ = ["CORPORA", "SPLITS", "Corpus"]

CORPORA: dict[str, Corpus] = {corpus.name: corpus for corpus in (chorales.CORPUS, toy.CORPUS)}
"""Every corpus by its name."""
