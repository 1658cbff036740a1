"""Files that are written whole or not at all, and text that they can hold."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_path", "counted", "printable", "umask"]


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to, and rename it to `path` on success.

    On any error (a full disk, an interrupt) the temporary file is removed, and whatever stood at `path`
    before is still there, whole. The suffix is kept, because encoders choose the format by it.

    Raises
    ------
    OSError
        If the folder is missing or cannot be written to.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file that can be written")
    try:
        handle, name = tempfile.mkstemp(prefix=".ganmusic-", suffix=path.suffix, dir=path.parent)
    except OSError as error:  # about a name that only this function knows
        raise type(error)(error.errno, error.strerror, str(path)) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; give the result the permissions that open() would have given.
        temporary.chmod(0o666 & ~umask())
        temporary.replace(path)
    except OSError as error:
        # Say which file, and not the name that only this function knows.
        if error.errno and error.filename in (None, str(temporary), temporary):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def umask() -> int:
    """Tell which permissions new files are denied; the system tells only by setting it, so it is set back."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def counted(n: float, what: str) -> str:
    """Say how many there are of something: '1 bar', '3 bars', '2.5 beats'."""
    number = f"{n:g}" if isinstance(n, float) else f"{n:,}"
    return f"{number} {what}" if n == 1 else f"{number} {what}s"


def printable(text: str) -> str:
    """Leave out the characters that XML forbids, such as control characters, which MIDI names may contain."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)
