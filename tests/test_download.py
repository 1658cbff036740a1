"""Downloads: whole, cut off and gone on with, refused; archives that mean harm; what is removed. Loopback only."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ganmusic import midi
from ganmusic.corpora import CORPORA, download
from ganmusic.corpora.download import Archive, FetchError, fetch, installed, remove, unpack
from ganmusic.pianoroll import Note, Piece, Track

# Incompressible, and longer than the pieces in which it is sent and read.
NOISE = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(30_000))


class Server:
    """A server on loopback whose manners a test chooses; `requests` are the headers that it was sent."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[dict[str, str]] = []
        self.ranges = True
        self.etag = '"one"'
        self.breaks_after: list[int] = []  # bytes after which the connection breaks, one for each request
        self.wrong_offset = 0
        self.says_length = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *client: None  # a client that hangs up is what some tests are about
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(dict(request.headers))
        data = self.files.get(request.path)
        if data is None:
            request.send_error(404)
            return
        begin = 0
        asked = request.headers.get("Range")
        if asked and self.ranges and request.headers.get("If-Range", self.etag) == self.etag:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(data):
                request.send_error(416)
                return
            request.send_response(206)
            shown = begin + self.wrong_offset
            request.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
        else:
            request.send_response(200)
        if self.says_length:
            request.send_header("Content-Length", str(len(data) - begin))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        end = len(data)
        if self.breaks_after:
            end = min(end, begin + self.breaks_after.pop(0))
        request.wfile.write(data[begin:end])

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(download, "_WAIT", 0.0)
    monkeypatch.setattr(download, "_CHUNK", 1000)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in others:
            archive.addfile(member)
    return buffer.getvalue()


def offered(server: Server, data: bytes, **changes: Any) -> Archive:
    """The record of an archive that the server now offers."""
    server.files["/music.zip"] = data
    facts = {
        "url": f"{server.address}/music.zip",
        "n_bytes": len(data),
        "checksum": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "max_unpacked": 10_000_000,
    }
    return Archive(**{**facts, **changes})


FILES = {"music/one.mid": b"first", "music/more/two.mid": NOISE, "music/empty.txt": b""}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def left_behind(cache: Path, name: str = "songs") -> list[str]:
    """What is in the folder of a corpus, its files and the mark aside."""
    return sorted(path.name for path in (cache / name).glob("*") if path.name not in ("files", download.MARKER))


# Whole ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_is_downloaded_unpacked_and_thrown_away(server, tmp_path, pack):
    archive = offered(server, pack(FILES))
    assert not installed("songs", tmp_path)
    folder = fetch("songs", archive, cache=tmp_path)
    assert folder == tmp_path / "songs" / "files"
    assert contents(folder) == FILES
    assert installed("songs", tmp_path)
    assert left_behind(tmp_path) == []
    assert len(server.requests) == 1


def test_what_was_fetched_is_what_the_loader_loads(server, tmp_path, monkeypatch):
    row = "Alban Berg,Sonata,test,2018,2018/berg.midi,2018/berg.wav,698.6"
    song = Piece((Track("piano", tuple(Note(4 * i, 3, 60 + i) for i in range(8))),))
    midi.write(song, tmp_path / "berg.mid")
    files = {
        "maestro-v3.0.0/2018/berg.midi": (tmp_path / "berg.mid").read_bytes(),
        "maestro-v3.0.0/maestro-v3.0.0.csv": (
            f"canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n{row}\n".encode()
        ),
    }
    record = replace(CORPORA["maestro"], archive=offered(server, zipped(files)))
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "cache"))
    fetch(record.name, record.archive)
    (piece,) = record.load("test")
    assert (piece.title, piece.labels["composer"]) == ("Sonata", "Alban Berg")
    assert piece.tracks[0].notes == song.tracks[0].notes
    assert record.load("train") == ()


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    archive = offered(server, zipped(FILES))
    assert fetch("songs", archive, cache=tmp_path) == fetch("songs", archive, cache=tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["md5", "sha1", "git-blob"])
def test_checksums_of_every_kind_are_checked(server, tmp_path, kind):
    data = zipped(FILES)
    header = b"blob %d\0" % len(data) if kind == "git-blob" else b""
    digest = hashlib.new("sha1" if kind == "git-blob" else kind, header + data).hexdigest()
    fetch("songs", offered(server, data, checksum=f"{kind}:{digest}"), cache=tmp_path)
    wrong = digest.replace(digest[5], "0" if digest[5] != "0" else "1")
    with pytest.raises(FetchError, match=f"{wrong}.*{digest}"):
        fetch("others", offered(server, data, checksum=f"{kind}:{wrong}"), cache=tmp_path)
    assert left_behind(tmp_path, "others") == []


def test_a_bar_shows_the_progress(server, tmp_path, capsys):
    fetch("songs", offered(server, zipped(FILES)), cache=tmp_path, progress=True)
    shown = capsys.readouterr().err
    assert "download: 100%" in shown
    assert "unpack: 3 files" in shown


def test_two_processes_that_fetch_at_once_download_once(server, tmp_path):
    archive = offered(server, zipped(FILES))
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch("songs", archive, cache=tmp_path))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "songs" / "files"] * 3
    assert contents(found[0]) == FILES
    assert len(server.requests) == 1


def test_nothing_is_fetched_and_no_network_library_loaded_at_import():
    code = """
import socket, sys
def refuse(*arguments, **options): raise AssertionError("a connection at import")
socket.socket.connect = socket.create_connection = refuse
import ganmusic.corpora
assert not {"requests", "pooch", "music21"} & set(sys.modules), set(sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


# Cut off --------------------------------------------------------------------------------------------


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.breaks_after = [400_000, 300_000]
    fetch("songs", offered(server, zipped(FILES)), cache=tmp_path)
    first, second, third = server.requests
    assert "Range" not in first
    assert second["Range"] == "bytes=400000-"
    assert second["If-Range"] == '"one"'
    assert third["Range"] == "bytes=700000-"
    assert contents(tmp_path / "songs" / "files") == FILES


def test_a_download_that_failed_goes_on_with_the_next_call(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_TRIES", 1)
    server.breaks_after = [500_000]
    archive = offered(server, zipped(FILES))
    with pytest.raises(FetchError, match=r"the connection broke; 500,000 bytes are kept"):
        fetch("songs", archive, cache=tmp_path)
    assert not installed("songs", tmp_path)
    assert left_behind(tmp_path) == ["archive.part", "archive.validator"]
    fetch("songs", archive, cache=tmp_path)
    assert server.requests[1]["Range"] == "bytes=500000-"
    assert contents(tmp_path / "songs" / "files") == FILES
    assert left_behind(tmp_path) == []


def a_part(cache: Path, data: bytes, validator: str = "") -> None:
    (cache / "songs").mkdir()
    (cache / "songs" / download.MARKER).write_text("{}")
    (cache / "songs" / "archive.part").write_bytes(data)
    if validator:
        (cache / "songs" / "archive.validator").write_text(validator)


def test_a_server_that_sends_everything_is_listened_to_from_the_start(server, tmp_path):
    data = zipped(FILES)
    server.ranges = False
    a_part(tmp_path, data[:1000])
    fetch("songs", offered(server, data), cache=tmp_path)
    assert server.requests[0]["Range"] == "bytes=1000-"
    assert contents(tmp_path / "songs" / "files") == FILES


def test_a_file_that_changed_since_is_downloaded_from_the_start(server, tmp_path):
    data = zipped(FILES)
    a_part(tmp_path, b"x" * 1000, validator='"of another file"')
    fetch("songs", offered(server, data), cache=tmp_path)
    assert len(server.requests) == 1
    assert contents(tmp_path / "songs" / "files") == FILES


def test_a_part_of_another_file_is_found_by_the_checksum_and_dropped(server, tmp_path):
    server.etag = ""
    a_part(tmp_path, b"x" * 1000)
    fetch("songs", offered(server, zipped(FILES)), cache=tmp_path)
    assert [request.get("Range") for request in server.requests] == ["bytes=1000-", None]
    assert contents(tmp_path / "songs" / "files") == FILES


@pytest.mark.parametrize("known_size", [True, False])
def test_a_part_that_is_too_long_is_dropped(server, tmp_path, known_size):
    data = zipped(FILES)
    a_part(tmp_path, data + b"more")
    changes = {} if known_size else {"n_bytes": None}
    fetch("songs", offered(server, data, **changes), cache=tmp_path)
    assert contents(tmp_path / "songs" / "files") == FILES
    assert [request.get("Range") for request in server.requests] == (
        [None] if known_size else [f"bytes={len(data) + 4}-", None]
    )


def test_a_part_that_is_whole_needs_no_request(server, tmp_path):
    data = zipped(FILES)
    a_part(tmp_path, data)
    fetch("songs", offered(server, data), cache=tmp_path)
    assert server.requests == []
    assert contents(tmp_path / "songs" / "files") == FILES


def test_a_server_that_stops_early_without_a_length_is_asked_for_the_rest(server, tmp_path):
    server.says_length = False
    server.breaks_after = [400_000]
    fetch("songs", offered(server, zipped(FILES)), cache=tmp_path)
    assert [request.get("Range") for request in server.requests] == [None, "bytes=400000-"]
    assert contents(tmp_path / "songs" / "files") == FILES


def test_what_came_without_a_length_is_kept_for_the_next_call(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_TRIES", 1)
    server.says_length = False
    server.breaks_after = [500_000]
    with pytest.raises(FetchError, match=r"the connection broke; 500,000 bytes are kept"):
        fetch("songs", offered(server, zipped(FILES)), cache=tmp_path)


def test_an_answer_that_begins_elsewhere_is_not_appended(server, tmp_path):
    data = zipped(FILES)
    server.wrong_offset = 1
    a_part(tmp_path, data[:1000])
    fetch("songs", offered(server, data), cache=tmp_path)
    assert "Range" not in server.requests[1]
    assert contents(tmp_path / "songs" / "files") == FILES


# Refused --------------------------------------------------------------------------------------------


def test_a_wrong_checksum_names_both_and_keeps_nothing(server, tmp_path):
    data = zipped(FILES)
    right, wrong = hashlib.sha256(data).hexdigest(), "ab" * 32
    with pytest.raises(FetchError, match=f"{wrong}.*{right}.*nothing was kept"):
        fetch("songs", offered(server, data, checksum=f"sha256:{wrong}"), cache=tmp_path)
    assert not installed("songs", tmp_path)
    assert left_behind(tmp_path) == []
    assert len(server.requests) == 1


def test_wrong_contents_behind_a_connection_that_always_breaks_are_given_up(server, tmp_path):
    data = zipped(FILES)
    right, wrong = hashlib.sha256(data).hexdigest(), "ab" * 32
    whole = len(data)
    server.breaks_after = [400_000, whole, 300_000, whole]  # each download from the start breaks, and goes on
    with pytest.raises(FetchError, match=f"{wrong}.*{right}.*nothing was kept"):
        fetch("songs", offered(server, data, checksum=f"sha256:{wrong}"), cache=tmp_path)
    assert [request.get("Range") for request in server.requests] == [None, "bytes=400000-", None, "bytes=300000-"]
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("known_size", [True, False])
def test_no_more_is_taken_than_was_expected(server, tmp_path, known_size):
    data = zipped(FILES)
    server.says_length = False
    bounds = {"n_bytes": 5000 if known_size else None, "max_unpacked": 10_000_000 if known_size else 5000}
    with pytest.raises(FetchError, match="more came than the 5,000 bytes that were expected"):
        fetch("songs", offered(server, data, **bounds), cache=tmp_path)
    assert left_behind(tmp_path) == ["archive.validator"]


def test_an_endless_answer_is_not_listened_to_for_long(server, tmp_path, monkeypatch):
    def endless(response: Any, size: int) -> Iterator[bytes]:
        yield from [bytes(size)] * 6
        raise AssertionError("6,000 bytes were asked for, and then more")

    monkeypatch.setattr("requests.Response.iter_content", endless)
    server.says_length = False
    with pytest.raises(FetchError, match="more came than the 5,000 bytes"):
        fetch("songs", offered(server, NOISE, n_bytes=5000), cache=tmp_path)


def test_a_file_that_is_gone_is_said_so_at_once(server, tmp_path):
    archive = offered(server, b"x", url=f"{server.address}/moved.zip")
    with pytest.raises(FetchError, match=r"/moved\.zip: the server answers 404 \(Not Found\)"):
        fetch("songs", archive, cache=tmp_path)
    assert len(server.requests) == 1
    assert left_behind(tmp_path) == []


def test_without_a_connection_the_error_says_so(server, tmp_path):
    archive = offered(server, zipped(FILES))
    server.close()
    with pytest.raises(FetchError, match="no connection; is this computer online"):
        fetch("songs", archive, cache=tmp_path)
    server.__init__()  # for the fixture to close


def test_another_size_is_refused_before_anything_is_written(server, tmp_path):
    data = zipped(FILES)
    with pytest.raises(FetchError, match=f"has {len(data):,} bytes and not 12:"):
        fetch("songs", offered(server, data, n_bytes=12), cache=tmp_path)
    assert left_behind(tmp_path) == []


def test_a_full_disk_is_seen_before_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(FetchError, match=r"the disk is full .*1 MB are needed.*--cache FOLDER"):
        fetch("songs", offered(server, zipped(FILES)), cache=tmp_path)
    assert left_behind(tmp_path) == []


def test_a_disk_that_fills_while_unpacking_keeps_the_archive(server, tmp_path, monkeypatch):
    archive = offered(server, zipped(FILES))

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download, "unpack", full)
        with pytest.raises(FetchError, match="the disk is full"):
            fetch("songs", archive, cache=tmp_path)
    assert not installed("songs", tmp_path)
    assert left_behind(tmp_path) == ["archive"]
    fetch("songs", archive, cache=tmp_path)
    assert len(server.requests) == 1
    assert contents(tmp_path / "songs" / "files") == FILES


def test_a_killed_unpacking_never_looks_whole(server, tmp_path, monkeypatch):
    archive = offered(server, zipped(FILES))

    def killed(path: Path, folder: Path, *arguments: Any, **options: Any) -> None:
        (folder / "half").write_bytes(b"")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch("songs", archive, cache=tmp_path)
    (tmp_path / "songs" / ".unpack-left" / "files").mkdir(parents=True)  # as a kill -9 leaves it
    assert not installed("songs", tmp_path)
    fetch("songs", archive, cache=tmp_path)
    assert contents(tmp_path / "songs" / "files") == FILES
    assert left_behind(tmp_path) == []


# Archives that mean harm ----------------------------------------------------------------------------


def a_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo("link")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    return buffer.getvalue()


OUTSIDE = [
    *("../out", "a/../../out", "/absolute/out", "C:/out", "c:out", "..\\out", "\\out"),
    # What Windows makes of these: a drive, a stream of a file, the folder above, a device.
    *("a/C:/out", "./c:out", "a/fine:out", "a/.. /out", "a/.../out", "a/NUL", "con.mid", "a/Aux /out", "lpt1.tar.gz"),
]
UNSAFE = {
    **{f"zip {name}": zipped({"fine": b"1", name: b"2"}) for name in OUTSIDE},
    **{f"tar {name}": tarred({"fine": b"1", name: b"2"}) for name in OUTSIDE},
    "zip link": zip_link(),
    "tar link": tarred({}, a_link("link", "/etc/passwd")),
    "tar hard link": tarred({"fine": b"1"}, a_link("link", "fine", tarfile.LNKTYPE)),
    "tar device": tarred({}, a_link("device", "", tarfile.CHRTYPE)),
    "tar pipe": tarred({}, a_link("pipe", "", tarfile.FIFOTYPE)),
}


@pytest.mark.parametrize("data", UNSAFE.values(), ids=UNSAFE)
def test_an_archive_that_reaches_outside_its_folder_is_refused_and_dropped(server, tmp_path, data):
    cache = tmp_path / "deep" / "cache"
    with pytest.raises(FetchError, match="not safe"):
        fetch("songs", offered(server, data), cache=cache)
    assert not installed("songs", cache)
    assert left_behind(cache) == []
    assert [path.name for path in tmp_path.rglob("*") if path.name == "out"] == []


def lying_zip() -> bytes:
    """A zip file whose own table says that a megabyte is ten bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(1_000_000))
    data = bytearray(buffer.getvalue())
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(data)


def header_bomb() -> bytes:
    """A tar file with a header that claims to be 10 GB long, of which some MB follow, well packed."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 10_000_000_000
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(3_000_000))


BOMBS = {"zip": zipped({"bomb": bytes(100_001)}), "tar": tarred({"bomb": bytes(100_001)}), "header": header_bomb()}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused(tmp_path, data, monkeypatch):
    monkeypatch.setattr(download, "MAX_FILES", 10)
    (tmp_path / "bomb").write_bytes(data)
    with pytest.raises(FetchError, match="unpacks to"):
        unpack(tmp_path / "bomb", tmp_path / "files", 100_000)
    assert sum(path.stat().st_size for path in tmp_path.rglob("files/*")) <= 100_000


def test_a_disk_without_room_for_a_zip_file_is_seen_before_it_is_unpacked(tmp_path, monkeypatch):
    (tmp_path / "songs.zip").write_bytes(zipped(FILES))
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: SimpleNamespace(free=len(NOISE)))
    with pytest.raises(OSError, match="1 MB are needed"):
        unpack(tmp_path / "songs.zip", tmp_path / "files", 10_000_000)
    assert contents(tmp_path / "files") == {}


def test_names_that_only_look_unsafe_are_unpacked(tmp_path):
    names = ("a/concert.mid", "nullity", "com.mid", "a/b.con", "lpt10", ".hidden", "a..b", "a/./c")
    (tmp_path / "songs.zip").write_bytes(zipped({name: name.encode() for name in names}))
    unpack(tmp_path / "songs.zip", tmp_path / "files", 1000)
    assert set(contents(tmp_path / "files")) == {*names[:-1], "a/c"}


def test_a_zip_file_that_lies_about_its_size_writes_no_more_than_it_said(tmp_path):
    (tmp_path / "bomb").write_bytes(lying_zip())
    with pytest.raises(FetchError, match="damaged"):
        unpack(tmp_path / "bomb", tmp_path / "files", 100_000)
    assert sum(path.stat().st_size for path in tmp_path.rglob("files/*")) <= 100_000


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_too_many_files_are_refused(tmp_path, pack, monkeypatch):
    monkeypatch.setattr(download, "MAX_FILES", 3)
    (tmp_path / "many").write_bytes(pack({f"{i}": b"" for i in range(4)}))
    with pytest.raises(FetchError, match="more than 3 files"):
        unpack(tmp_path / "many", tmp_path / "files", 100_000)


@pytest.mark.parametrize(
    "data",
    [b"no archive", b"", zipped(FILES)[:-30], tarred(FILES)[: len(NOISE) // 2], gzip.compress(b"no tar file" * 99)],
    ids=["text", "empty", "cut zip", "cut tar", "not tar"],
)
def test_a_damaged_archive_is_a_clear_error(server, tmp_path, data):
    with pytest.raises(FetchError, match="damaged"):
        fetch("songs", offered(server, data), cache=tmp_path)
    assert left_behind(tmp_path) == []


def packed(method: int, **changes: int) -> bytes:
    """A zip file packed by one method, of which one byte is changed: 'data', of the contents, or 'name'."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("é", NOISE[:5000])
    data = bytearray(buffer.getvalue())
    for place, value in changes.items():
        data[data.rindex("é".encode()) if place == "name" else 2000] = value
    return bytes(data)


def misplaced() -> bytes:
    """A zip file whose table is said to lie behind its end."""
    data = bytearray(zipped({"a": b"1"}))
    data[data.rindex(b"PK\x05\x06") + 16] = 255
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zipped({"a": b"1"}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    return bytes(data)


BROKEN = {
    "deflate": packed(zipfile.ZIP_DEFLATED, data=7),
    "bzip2": packed(zipfile.ZIP_BZIP2, data=7),
    "lzma": packed(zipfile.ZIP_LZMA, data=7),
    "name": packed(zipfile.ZIP_STORED, name=255),
    "table": misplaced(),
    "encrypted": encrypted(),
    "file in a file": tarred({"a": b"1", "a/b": b"2"}),
    "file as folder": tarred({"a/b": b"1", "a": b"2"}),
    "too long a name": tarred({"a" * 300: b"1"}),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_an_archive_that_is_broken_inside_is_a_clear_error(tmp_path, data):
    (tmp_path / "songs").write_bytes(data)
    with pytest.raises(FetchError, match="damaged or of an unknown kind"):
        unpack(tmp_path / "songs", tmp_path / "files", 100_000)


# The cache ------------------------------------------------------------------------------------------


def test_the_cache_is_where_one_says(tmp_path, monkeypatch):
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "by variable"))
    assert download.cache_folder() == tmp_path / "by variable"
    assert download.cache_folder(tmp_path / "said") == tmp_path / "said"
    monkeypatch.delenv(download.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "ganmusic" in download.cache_folder().parts


@pytest.mark.parametrize("name", ["", "..", "../songs", "/songs", "a/b", "Songs", ".songs", "so ngs", "a\\b"])
def test_a_name_that_is_a_path_is_refused(tmp_path, name):
    for act in (download.corpus_folder, installed, remove, download.files_folder):
        with pytest.raises(ValueError, match="is not the name of a corpus"):
            act(name, tmp_path)


def made_files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


KEPT = ("notes/notes-00000.npz", "notes/pieces.json", f"bars/{'0a' * 8}/train/index.json")


def test_removing_deletes_what_was_made_and_nothing_else(server, tmp_path):
    fetch("songs", offered(server, zipped(FILES)), cache=tmp_path)
    made_files(tmp_path / "songs", *KEPT, ".unpack-left/files/half", "archive.part")
    (tmp_path / "others").mkdir()
    remove("songs", tmp_path)
    assert not installed("songs", tmp_path)
    # The lock file stays, as others may wait for it.
    assert sorted(path.name for path in tmp_path.iterdir()) == [".songs.lock", "others"]
    with pytest.raises(FetchError, match="nothing of songs is in"):
        remove("songs", tmp_path)


def test_removing_leaves_a_folder_that_ganmusic_did_not_make(tmp_path):
    theirs = ("files/precious.txt", "archive", "notes/diary.txt", "bars/in-town.txt", ".unpack-me", "letter.txt")
    folder = made_files(tmp_path / "songs", *theirs)
    with pytest.raises(FetchError, match="not for ganmusic to delete"):
        remove("songs", tmp_path)
    assert set(contents(folder)) == set(theirs)


@pytest.mark.parametrize(
    "made", [("corpus.json", *KEPT), KEPT, KEPT[:1], KEPT[2:], ("notes/.lock",), (".adding/notes/.lock",)]
)
def test_removing_what_was_read_from_files_of_ones_own_leaves_the_files(tmp_path, made):
    folder = made_files(tmp_path / "songs", "files/precious.txt", "letter.txt", *made)
    remove("songs", tmp_path)
    assert set(contents(folder)) == {"files/precious.txt", "letter.txt"}
    assert not {"notes", "bars", ".adding"} & {path.name for path in folder.iterdir()}


def test_nothing_is_fetched_into_a_folder_that_ganmusic_did_not_make(server, tmp_path):
    made_files(tmp_path / "songs", "archive", *KEPT)
    with pytest.raises(FetchError, match=r"did not make.*--cache FOLDER"):
        fetch("songs", offered(server, zipped(FILES)), cache=tmp_path)
    assert server.requests == []
    (tmp_path / "songs" / "archive").unlink()  # what is left, ganmusic did make
    fetch("songs", offered(server, zipped(FILES)), cache=tmp_path)
    remove("songs", tmp_path)
    assert not (tmp_path / "songs").exists()


def test_removing_never_follows_a_link(tmp_path):
    precious = made_files(tmp_path / "precious" / "files", "letter", "pieces.json")
    folder = made_files(tmp_path / "cache" / "songs", download.MARKER)
    for name in ("files", "notes"):
        (folder / name).symlink_to(precious)
    (tmp_path / "cache" / "others").symlink_to(precious.parent)
    remove("songs", tmp_path / "cache")
    assert not folder.exists()
    with pytest.raises(FetchError, match="nothing of others"):
        remove("others", tmp_path / "cache")
    assert set(contents(precious)) == {"letter", "pieces.json"}


def test_what_was_not_fetched_says_how_to_fetch_it(tmp_path):
    with pytest.raises(FetchError, match="ganmusic corpora fetch songs"):
        download.files_folder("songs", tmp_path)


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="cannot be written to"):
        fetch("songs", Archive("http://127.0.0.1:9", 1, "md5:00", 1), cache=tmp_path / "file")
