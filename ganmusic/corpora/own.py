"""One's own corpora: folders of music that were given a name, and are found by it again.

What is kept of one in the cache: ``corpus.json``, where the folder is and how it is read, and ``notes/``, what was
read. The files themselves stay where they are, untouched; when they are gone, the notes still are there.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from ganmusic.corpora.download import cache_folder, corpus_folder, locked
from ganmusic.corpora.folder import Folder
from ganmusic.files import atomic_path
from ganmusic.pianoroll import Grid

__all__ = ["SETTINGS", "add", "find", "names"]

SETTINGS = "corpus.json"
"""Name of the file that says where the folder is and how it is read."""


def add(
    name: str,
    root: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    **options: Any,
) -> Folder:
    """Read a folder of music and give it a name, under which `find` finds it from then on.

    Adding the same folder under the same name again reads what changed; with other options it is read anew, and takes
    the place of what was there only when that went well.

    Parameters
    ----------
    name : str
        Small letters, digits, ``-`` and ``_``; the first a letter.
    root : path
    cache : path, optional
        See `ganmusic.corpora.download.cache_folder`.
    progress : bool
        Show a bar.
    **options
        ``voices``, ``n_tracks``, ``programs``, ``grid``, ``override`` and ``jobs`` of `Folder`.

    Raises
    ------
    ValueError
        If the name is none, or is another folder's; if there is no such folder, or nothing in it can be used.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
        raise ValueError(f"{name!r} cannot name a corpus: small letters, digits, - and _, the first a letter, can")
    home = corpus_folder(name, cache)
    folder = Folder(root, name, store=home, **options)
    place = home.resolve()
    if place == folder.root or place in folder.root.parents or folder.root in place.parents:
        raise ValueError(f"{folder.root}: the music and {place}, where what is made of it is kept, must lie apart")
    settings = _settings_of(folder)
    with locked(home):
        before = _settings(home) if (home / "notes" / "pieces.json").exists() else None
        if before and before["root"] != settings["root"]:
            raise ValueError(
                f"{name!r} is already the name of {before['root']}; 'ganmusic corpora remove {name}' frees it"
            )
        if before == settings:
            folder.read(progress)
            return folder
        aside = home / ".adding"  # stays when reading is interrupted, and is gone on with
        try:
            Folder(root, name, store=aside, **options).read(progress)
            for old in ("notes", "bars"):
                shutil.rmtree(home / old, ignore_errors=True)
            (aside / "notes").replace(home / "notes")
            with atomic_path(home / SETTINGS) as temporary:
                # A name that is not UTF-8 is written as the bytes that it has.
                text = json.dumps(settings, indent=1, ensure_ascii=False)
                temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
        except ValueError:
            shutil.rmtree(aside, ignore_errors=True)
            if not any(home.iterdir()):
                home.rmdir()
            raise
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _settings_of(folder: Folder) -> dict[str, Any]:
    settings = folder.reading.settings()
    own = ("voices", "n_tracks", "programs", "grid", "override")
    return {"root": str(folder.root), **{name: settings[name] for name in own}}


def find(name: str, cache: str | os.PathLike[str] | None = None) -> Folder | None:
    """Return one's own corpus of that name; None if there is none.

    Raises
    ------
    ValueError
        If what is kept of it is damaged.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
        return None
    home = corpus_folder(name, cache)
    if not (home / SETTINGS).exists():
        return None
    settings = _settings(home)
    try:
        grid = settings.pop("grid")
        return Folder(
            settings.pop("root"), name, store=home, grid=None if grid is None else Grid(*grid), **settings
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"{home / SETTINGS} is damaged; add the folder again") from error


def names(cache: str | os.PathLike[str] | None = None) -> list[str]:
    """Name one's own corpora.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    return sorted(path.parent.name for path in cache_folder(cache).glob(f"*/{SETTINGS}"))


def _settings(home: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads(
            (home / SETTINGS).read_text(encoding="utf-8", errors="surrogateescape")
        )
        settings["root"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{home / SETTINGS} is damaged; delete it, and add the folder again") from error
    return settings
