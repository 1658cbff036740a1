"""What the corpora that are read from files share: how a record loads them, and the tables that describe the files.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from functools import cache as remember
from functools import partial
from pathlib import Path
from typing import Any

from ganmusic.corpora.download import corpus_folder, files_folder
from ganmusic.corpora.folder import Reading, stream_files
from ganmusic.pianoroll import Piece

__all__ = ["SPLIT_NAMES", "Finder", "fetched", "table"]

SPLIT_NAMES = {"train": "train", "validation": "valid", "test": "test"}
"""The splits by the names that the tables of published corpora give them."""

Finder = Callable[[str | os.PathLike[str] | None, int | None, bool], Path]
"""Finds, or makes, the folder of a corpus's files, given `cache`, `jobs` and `progress`."""


def fetched(name: str, reading: Reading, find: Finder | None = None) -> dict[str, Any]:
    """Make the fields ``name``, ``loader`` and ``home`` of the record of a corpus that is read from files.

    The loader raises `FetchError` if the corpus was not fetched.

    Parameters
    ----------
    name : str
        Name of the corpus.
    reading : Reading
        How its files become pieces.
    find : callable, optional
        Where its files are; by default where `ganmusic.corpora.download.fetch` puts them.

    Taught in: notebooks/corpora.ipynb
    """
    return {"name": name, "loader": partial(_load, name, reading, find), "home": partial(corpus_folder, name)}


def _load(
    name: str,
    reading: Reading,
    find: Finder | None,
    split: str | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Iterator[Piece]:
    root = files_folder(name, cache) if find is None else find(cache, jobs, progress)
    store = corpus_folder(name, cache) / "notes"
    yield from stream_files(root, store, reading, split=split, jobs=jobs, progress=progress)


@remember
def table(root: Path, pattern: str, key: str) -> dict[str, dict[str, str]]:
    """Return the rows of a corpus's table, by one of its columns; no rows if there is no such file.

    It is looked for and read once in a process, and not for every file that it describes.

    Parameters
    ----------
    root : path
        Folder of the corpus's files; the table is in it, or in a folder below it.
    pattern : str
        Name of the table, a CSV file with a heading; ``*`` stands for anything. The first is taken.
    key : str
        Name of the column.

    Taught in: notebooks/corpora.ipynb
    """
    for path in sorted(root.rglob(pattern))[:1]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row[key]: row for row in csv.DictReader(file)}
    return {}
