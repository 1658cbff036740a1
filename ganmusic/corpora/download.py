"""Corpora that are downloaded: from an address, checked, unpacked into a cache folder, and removed again.

Nothing is downloaded before `fetch` is called. What it makes, for a corpus ``maestro``::

    <cache>/maestro/ganmusic.json    says that the folder is ganmusic's, and so may be deleted by it
    <cache>/maestro/files/           what was in the archive; the folder exists only once it is whole
    <cache>/maestro/notes/           what the loader keeps, so that the files are read once

A download that was cut off is kept as ``archive.part`` and goes on from there, if the server can. The archive
itself is kept only until it is unpacked. Two processes that fetch one corpus take turns, by a lock file beside the
corpus's folder (`filelock`): the second finds the files of the first. The lock file, ``.maestro.lock``, is empty and
stays: if it were deleted while a process waits for it, a third could make another, and both would go on. What is
unpacked goes to a temporary folder that gets its name last, so a folder ``files`` is never half of a corpus.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

import errno
import fnmatch
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

__all__ = [
    "CACHE_VARIABLE",
    "MARKER",
    "MAX_FILES",
    "Archive",
    "FetchError",
    "cache_folder",
    "corpus_folder",
    "fetch",
    "files_folder",
    "installed",
    "locked",
    "new_files",
    "remove",
    "unpack",
]

CACHE_VARIABLE = "GANMUSIC_CACHE"
"""Name of the environment variable that sets the cache folder."""
MARKER = "ganmusic.json"
"""Name of the file that marks a corpus's folder as made here; without it no ``files`` are ever deleted."""
MAX_FILES = 400_000
"""Most files that an archive may hold; the largest corpus here has 178,561."""

_TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte
_TRIES, _WAIT = 4, 1.0  # a connection that broke on the way is taken up again; seconds before that
_CHUNK = 1 << 16
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, ValueError, RuntimeError),
)
_NOT_INSIDE = re.compile(
    r"(?!\.?$)[. ]+ | .*:.* | (con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) [ ]* (\..*)?",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_MARKED = ("files", "archive", "archive.part", "archive.validator", ".unpack-*", MARKER)  # the marker goes last
_SIGNS = {  # what lies in folders of ours
    "notes": ("notes-*", "pieces.json", "report.json"),
    "bars": ("[0-9a-f]" * 16,),
    ".adding": ("notes",),
}


@dataclass(frozen=True)
class Archive:
    """An archive to download.

    Parameters
    ----------
    url : str
        Address of a ``.zip`` or ``.tar.gz`` file.
    n_bytes : int or None
        Its size; None where the source does not state it.
    checksum : str
        Kind and digest, ``'sha256:70470e…'``. Kinds are those of `hashlib`, and ``git-blob``, the name that git
        gives a file's contents.
    max_unpacked : int
        Most bytes that it may unpack to: a bound on damage, well above the truth.

    Taught in: notebooks/corpora.ipynb
    """

    url: str
    n_bytes: int | None
    checksum: str
    max_unpacked: int


class FetchError(RuntimeError):
    """A corpus that could not be fetched, or is not on the disk: says which, why, and what would help.

    Taught in: notebooks/corpora.ipynb
    """


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of all downloads: `cache`, else ``$GANMUSIC_CACHE``, else the system's cache folder.

    Taught in: notebooks/corpora.ipynb
    """
    chosen = cache or os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("ganmusic"))


def corpus_folder(name: str, cache: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of one corpus in the cache, whether or not it exists.

    Raises
    ------
    ValueError
        If the name is not that of a corpus: a lower-case letter, then letters, digits, ``_`` and ``-``.

    Taught in: notebooks/corpora.ipynb
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError(f"{name!r} is not the name of a corpus: small letters, digits, _ and - would fit")
    return cache_folder(cache) / name


def installed(name: str, cache: str | os.PathLike[str] | None = None) -> bool:
    """Say whether the files of a corpus lie in the cache, whole.

    Taught in: notebooks/corpora.ipynb
    """
    return (corpus_folder(name, cache) / "files").is_dir()


def files_folder(name: str, cache: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder with the unpacked files of a corpus.

    Raises
    ------
    FetchError
        If the corpus was not fetched.

    Taught in: notebooks/corpora.ipynb
    """
    folder = corpus_folder(name, cache)
    if not (folder / "files").is_dir():
        raise FetchError(f"{name} is not on this computer; this downloads it: ganmusic corpora fetch {name}")
    return folder / "files"


def fetch(
    name: str, archive: Archive, *, cache: str | os.PathLike[str] | None = None, progress: bool = False
) -> Path:
    """Download and unpack a corpus, unless it is there already, and return the folder of its files.

    Parameters
    ----------
    name : str
    archive : Archive
    cache : path, optional
        See `cache_folder`.
    progress : bool, optional
        Whether to show bars.

    Raises
    ------
    FetchError
        If there is no connection, or the server has no such file; if what comes is not what was expected, or is
        an archive that would write outside its folder or fill the disk; if the disk has no room. A checksum that
        is wrong leaves nothing behind; a connection that breaks leaves what came, and the next call goes on.

    Taught in: notebooks/corpora.ipynb
    """
    folder = corpus_folder(name, cache)
    with locked(folder):
        files = folder / "files"
        if files.is_dir():
            return files
        _mark(folder)
        path = _download(archive, folder, progress)
        try:
            with new_files(folder) as unpacked:
                unpack(path, unpacked, archive.max_unpacked, progress=progress)
        except FetchError:
            path.unlink()
            raise
        except OSError as error:  # the archive stays: it is whole, and need not be downloaded again
            raise _disk_error(error, folder) from error
        path.unlink()
        return files


def remove(name: str, cache: str | os.PathLike[str] | None = None) -> None:
    """Delete what `fetch`, a loader, a training or `ganmusic.corpora.own.add` made for a corpus, and nothing else.

    ``files`` and the archive go only where the `MARKER` says whose they are; ``notes`` and ``bars`` only if what
    ganmusic keeps under these names, or nothing, is in them.

    Raises
    ------
    FetchError
        If nothing of it is in the cache.

    Taught in: notebooks/corpora.ipynb
    """
    folder = corpus_folder(name, cache)
    if folder.is_symlink() or not folder.is_dir():
        raise FetchError(f"nothing of {name} is in {cache_folder(cache)}")
    with locked(folder):
        made = _made(folder)
        if not made:
            raise FetchError(f"nothing of {name} is in {folder}, and what is there is not for ganmusic to delete")
        for path in made:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def _made(folder: Path) -> list[Path]:
    """Find what ganmusic made in a corpus's folder."""
    names = ["corpus.json", *(_MARKED if (folder / MARKER).is_file() else ())]
    for name, signs in _SIGNS.items():
        if (folder / name).is_dir():
            inside = {path.name for path in (folder / name).iterdir()} - {".lock"}
            if not inside or any(fnmatch.filter(inside, sign) for sign in signs):
                names.insert(0, name)
    return [path for name in names for path in folder.glob(name)]


def _mark(folder: Path) -> None:
    """Mark a corpus's folder as made by ganmusic, unless something else is in it."""
    if (folder / MARKER).is_file():
        return
    if set(folder.iterdir()) - set(_made(folder)):
        raise FetchError(
            f"{folder}: there is something in it that ganmusic did not make; "
            f"another folder can be chosen: --cache FOLDER or {CACHE_VARIABLE}"
        )
    try:
        (folder / MARKER).write_text(json.dumps({"made by": "ganmusic", "corpus": folder.name}), encoding="utf-8")
    except OSError as error:
        raise _disk_error(error, folder) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a corpus's folder, and let one process at a time change what is in it.

    Taught in: notebooks/corpora.ipynb
    """
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.parent / f".{folder.name}.lock")
        lock.acquire()
    except OSError as error:
        raise FetchError(f"{folder}: cannot be written to ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_files(folder: Path) -> Iterator[Path]:
    """Give a temporary folder in a corpus's folder, which is called ``files`` once it is filled without an error.

    Raises
    ------
    FetchError
        If there is something in the corpus's folder that ganmusic did not make.

    Taught in: notebooks/corpora.ipynb
    """
    _mark(folder)
    for left in folder.glob(".unpack-*"):  # by a process that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as temporary:
        files = Path(temporary) / "files"
        files.mkdir()
        yield files
        files.rename(folder / "files")


# Download -------------------------------------------------------------------------------------------


def _download(archive: Archive, folder: Path, progress: bool) -> Path:
    """Bring the archive to the folder, checked, and return its path."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the bar says enough
    kind = archive.checksum.partition(":")[0]
    part = folder / "archive.part"
    for is_last in (False, True):
        downloader = _Downloader(archive, part, progress)
        known = None if kind == "git-blob" else archive.checksum
        try:
            pooch.retrieve(archive.url, known, fname="archive", path=folder, downloader=downloader)
        except ValueError as error:  # the checksum; a part that was gone on with may be of another file
            if is_last or not downloader.went_on:
                reason = str(error).split(". ")[0]
                raise FetchError(f"{archive.url}: {reason}; nothing was kept") from error
        except OSError as error:
            raise _disk_error(error, folder) from error
        else:
            break
    return folder / "archive"


class _Downloader:
    """What `pooch.retrieve` calls to bring a file; goes on with what an earlier call left behind.

    `went_on` says afterwards whether it did.
    """

    def __init__(self, archive: Archive, part: Path, progress: bool) -> None:
        self.archive, self.part, self.progress = archive, part, progress
        self.validator = part.with_suffix(".validator")
        self.went_on = False

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        import requests

        for attempt in range(_TRIES):
            before = self._n_bytes()
            try:
                self._go_on(url)
                break
            except requests.RequestException as error:
                have = self._n_bytes()
                # Where nothing comes at all, waiting will not help.
                if attempt == _TRIES - 1 or have <= before:
                    kept = f"; {have:,} bytes are kept, and the next try goes on from there" if have else ""
                    raise FetchError(f"{url}: {_why(error)}{kept}") from error
                time.sleep(_WAIT * 2**attempt)
        self._check_blob()
        self.part.replace(output_file)
        self.validator.unlink(missing_ok=True)

    def _n_bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _go_on(self, url: str) -> None:
        import requests

        have, n_bytes = self._n_bytes(), self.archive.n_bytes
        if have == n_bytes:
            self.went_on = True
            return
        if n_bytes is not None and have > n_bytes:
            self.part.unlink()
            have = 0
        headers = {"Accept-Encoding": "identity", "User-Agent": "ganmusic"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self.validator.exists():  # then a server sends the whole file if it has changed since
                headers["If-Range"] = self.validator.read_text(encoding="utf-8")
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            wrong_part = response.status_code == 206 and not _begins_at(response, have)
            if have and (wrong_part or response.status_code == 416):
                self.part.unlink()
                self._go_on(url)
                return
            if response.status_code not in (200, 206):
                raise FetchError(
                    f"{url}: the server answers {response.status_code} ({response.reason or 'no reason given'})"
                )
            self._store(response, have if response.status_code == 206 else 0)

    def _store(self, response: requests.Response, have: int) -> None:
        """Append what comes to the first `have` bytes."""
        import requests
        from tqdm import tqdm

        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        expected = self.archive.n_bytes
        if total is not None and expected not in (None, total):
            self.part.unlink(missing_ok=True)
            raise FetchError(
                f"{response.url}: the file has {total:,} bytes and not {expected:,}: another one stands there now"
            )
        at_most = expected or self.archive.max_unpacked
        needed = (total or at_most) - have
        if shutil.disk_usage(self.part.parent).free < needed:
            raise OSError(errno.ENOSPC, f"{needed / 1e6:,.0f} MB are needed", str(self.part.parent))
        if have:
            self.went_on = True
        else:
            self._remember(response)
        with (
            self.part.open("ab" if have else "wb") as file,
            tqdm(
                total=total, initial=have, unit="B", unit_scale=True, desc="download", disable=not self.progress
            ) as bar,
        ):
            for chunk in response.iter_content(_CHUNK):
                have += len(chunk)
                if have > at_most:
                    break
                file.write(chunk)
                bar.update(len(chunk))
        if have > at_most:
            self.part.unlink()
            raise FetchError(f"{response.url}: more came than the {at_most:,} bytes that were expected")
        if have < (total or expected or 0):  # where the server does not say how long it is, nobody else notices
            raise requests.exceptions.ChunkedEncodingError("fewer bytes came than were expected")

    def _remember(self, response: requests.Response) -> None:
        """Keep what tells whether the file has changed when a download goes on; weak tags may not be used."""
        tag = response.headers.get("ETag", "")
        validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
        if validator:
            self.validator.write_text(validator, encoding="utf-8")
        else:
            self.validator.unlink(missing_ok=True)

    def _check_blob(self) -> None:
        """Check the one kind of checksum that pooch does not know; raises ValueError, as pooch does."""
        kind, _, known = self.archive.checksum.partition(":")
        if kind != "git-blob":
            return
        # What git names is a header with the size, and the contents.
        digest = hashlib.sha1(b"blob %d\0" % self._n_bytes(), usedforsecurity=False)
        with self.part.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != known:
            self.part.unlink()
            self.validator.unlink(missing_ok=True)
            raise ValueError(f"the git blob does not match: expected {known} but got {digest.hexdigest()}")


def _begins_at(response: requests.Response, have: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _why(error: requests.RequestException) -> str:
    import requests

    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server cannot prove who it is (certificate)"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    if isinstance(error, requests.ConnectionError):
        return "no connection; is this computer online, and is the address still right?"
    return " ".join(str(error).split())[:200]


def _disk_error(error: OSError, folder: Path) -> FetchError:
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(folder).free / 1e6
        return FetchError(
            f"{folder}: the disk is full ({free:,.0f} MB are free; {error.strerror}); "
            f"another folder can be chosen: --cache FOLDER or {CACHE_VARIABLE}"
        )
    return FetchError(f"{error.filename or folder}: {error.strerror or error}")


# Unpacking ------------------------------------------------------------------------------------------


def unpack(path: str | os.PathLike[str], folder: Path, max_unpacked: int, *, progress: bool = False) -> None:
    """Unpack a ``.zip`` or ``.tar.gz`` archive into a folder, which is made if it is missing.

    Raises
    ------
    FetchError
        If the archive is damaged, or of an unknown kind; if a member would lie outside the folder (an absolute path,
        ``..``, a drive), is a link or a device, or has the name of one; if it unpacks to more than `max_unpacked`
        bytes or `MAX_FILES` files. What was unpacked before that is left to the caller to delete.
    OSError
        If the disk has no room, or cannot be written to.

    Taught in: notebooks/corpora.ipynb
    """
    from tqdm import tqdm

    folder.mkdir(exist_ok=True)
    n_bytes = 0
    members = _zip_members if zipfile.is_zipfile(path) else _tar_members
    try:
        bar = tqdm(members(Path(path), folder, max_unpacked), desc="unpack", unit=" files", disable=not progress)
        for n_files, (name, stream) in enumerate(bar):
            if n_files >= MAX_FILES:
                raise FetchError(f"the archive holds more than {MAX_FILES:,} files")
            target = folder.joinpath(*_parts(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                while chunk := stream.read(_CHUNK):
                    n_bytes += len(chunk)
                    if n_bytes > max_unpacked:
                        raise FetchError(f"the archive unpacks to more than the {max_unpacked:,} bytes expected")
                    file.write(chunk)
    except FetchError:  # which is a RuntimeError, as those of zipfile are
        raise
    except _DAMAGED as error:
        raise FetchError(f"the archive is damaged or of an unknown kind ({error})") from error
    except OSError as error:
        # Of bzip2 and gzip, or of a place that the archive names: the others are the disk's.
        if error.errno in (None, errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG):
            raise FetchError(f"the archive is damaged or of an unknown kind ({error})") from error
        raise


def _parts(name: str) -> list[str]:
    """Return the parts of a member's path, after checking that it stays inside, on any system.

    Windows ignores dots and spaces at the end of a part, takes a colon for a drive or a stream beside the file, and
    some names, whatever their ending, for devices.
    """
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or "\0" in name or any(map(_NOT_INSIDE.fullmatch, parts)):
        raise FetchError(f"the archive is not safe: {name!r} would lie outside its folder")
    return [part for part in parts if part not in ("", ".")]


def _zip_members(path: Path, folder: Path, max_unpacked: int) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        stated = sum(member.file_size for member in members)
        if stated > max_unpacked:
            raise FetchError(f"the archive unpacks to {stated:,} bytes, more than the {max_unpacked:,} expected")
        if shutil.disk_usage(folder).free < stated:
            raise OSError(errno.ENOSPC, f"{stated / 1e6:,.0f} MB are needed", str(folder))
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise FetchError(f"the archive is not safe: {member.filename!r} is a link or a device")
            _parts(member.filename)
            if not member.is_dir():
                with archive.open(member) as stream:
                    yield member.filename, stream


def _tar_members(path: Path, folder: Path, max_unpacked: int) -> Iterator[tuple[str, IO[bytes]]]:
    with gzip.open(path) as unzipped:
        bounded: Any = _Bounded(unzipped, max_unpacked)  # of a file, tarfile's streams want `read` alone
        archive = tarfile.open(fileobj=bounded, mode="r|")  # noqa: SIM115  (a stream: nothing to close)
        for member in archive:
            if not (member.isfile() or member.isdir()):
                raise FetchError(f"the archive is not safe: {member.name!r} is a link or a device")
            _parts(member.name)
            stream = archive.extractfile(member)
            if stream is not None:
                yield member.name, stream


class _Bounded:
    """A stream that refuses to give more than so many bytes, whatever tarfile asks for (headers too)."""

    def __init__(self, stream: gzip.GzipFile, max_unpacked: int) -> None:
        # A tar file adds a header and padding, at most 1.5 KB a file, and its own end.
        self.stream, self.left = stream, max_unpacked + 1536 * MAX_FILES

    def read(self, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise FetchError("the archive unpacks to more bytes than expected")
        return self.stream.read(size)
