"""What is said of every corpus.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ganmusic.corpora.download import Archive
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
        On what terms its pieces may be used and passed on; begins with the licence's name (`terms`).
    provenance : str
        Where they come from and what was done to them on the way.
    bibtex : str
        The entry to cite.
    loader : callable
        ``loader(split)`` gives the pieces, of one of `SPLITS` or all of them, as a tuple or one by one. Where there is
        a `home`, it takes the other arguments of `load` too.
    commercial : bool
        False where the licence forbids commercial use, or nobody gave leave for it.
    archive : Archive or None
        What is downloaded; None where nothing is, because the music comes with ganmusic or with music21.
    home : callable or None
        Gives the folder where what is made of the corpus is kept; None where nothing is.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    name: str
    title: str
    licence: str
    provenance: str
    bibtex: str
    loader: Callable[..., Iterable[Piece]]
    commercial: bool = True
    archive: Archive | None = None
    home: Callable[[], Path] | None = None

    @property
    def terms(self) -> str:
        """The licence in short: what stands before the first stop, comma or colon of `licence`."""
        return re.split(r"[.,:;](?:\s|$)", self.licence, maxsplit=1)[0]

    def load(
        self,
        split: str | None = None,
        *,
        cache: str | os.PathLike[str] | None = None,
        jobs: int | None = None,
        progress: bool = False,
    ) -> tuple[Piece, ...]:
        """Load the pieces of one split, or all of them.

        Parameters
        ----------
        split : str, optional
            One of `SPLITS`.
        cache : path, optional
            See `ganmusic.corpora.download.cache_folder`; what is not kept in the cache is loaded without.
        jobs : int, optional
            Processes that read, the first time.
        progress : bool, optional
            Whether to show a bar, the first time.

        Raises
        ------
        ValueError
            If there is no such split.
        FetchError
            If the corpus has to be fetched first.
        """
        return tuple(self.stream(split, cache=cache, jobs=jobs, progress=progress))

    def stream(
        self,
        split: str | None = None,
        *,
        cache: str | os.PathLike[str] | None = None,
        jobs: int | None = None,
        progress: bool = False,
    ) -> Iterator[Piece]:
        """Yield the same pieces one by one, with the same arguments; a corpus of any size fits.

        Raises
        ------
        ValueError
            If there is no such split.
        FetchError
            If the corpus has to be fetched first.
        """
        if split is not None and split not in SPLITS:
            raise ValueError(f"no split is named {split!r}; there are {', '.join(SPLITS)}")
        given = {"cache": cache, "jobs": jobs, "progress": progress}
        options = {name: value for name, value in given.items() if value and self.home is not None}
        yield from self.loader(split, **options)
