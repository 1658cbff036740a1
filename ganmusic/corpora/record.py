"""What is said of every corpus.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganmusic.pianoroll import Piece

__all__ = ["SPLITS", "Corpus"]

SPLITS = ("train", "valid", "test")
"""The parts of a split: to learn from, to choose by, to judge by."""


@dataclass(frozen=True)
class Corpus:
    """A corpus: what it is, whose it is, and how to load it.

    Parameters
    ----------
    name : str
        Its key in `CORPORA`, and its name on the command line.
    title : str
        What it is, in a line.
    licence : str
        On what terms its pieces may be used and passed on.
    provenance : str
        Where they come from and what was done to them on the way.
    bibtex : str
        The entry to cite.
    loader : callable
        ``loader(split=None)`` gives the pieces, of one of `SPLITS` or all of them.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    name: str
    title: str
    licence: str
    provenance: str
    bibtex: str
    loader: Callable[..., tuple[Piece, ...]]

    def load(self, split: str | None = None, **options: Any) -> tuple[Piece, ...]:
        """Load the pieces of one split, or all of them.

        Raises
        ------
        ValueError
            If there is no such split.
        """
        if split is not None and split not in SPLITS:
            raise ValueError(f"no split is named {split!r}; there are {', '.join(SPLITS)}")
        return self.loader(split, **options)
