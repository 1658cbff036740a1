"""The book, built as ``make book`` builds it: pages that load nothing from elsewhere, whose links lead somewhere.

The checks read the HTML; what the clips do in a browser is in test_browser.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import soundfile
from bs4 import BeautifulSoup

from ganmusic import midi

ROOT = Path(__file__).resolve().parent.parent
SEED = 1685
LIGHT = 6_000_000
# <link> elements of other kinds only tell of a page; a browser fetches these.
FETCHED = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "manifest"}
SOURCES = {
    "script": ["src"], "img": ["src", "srcset"], "source": ["src", "srcset"], "audio": ["src"], "iframe": ["src"],
    "video": ["src", "poster"], "embed": ["src"], "object": ["data"], "input": ["src"], "track": ["src"],
    "image": ["href", "xlink:href"], "use": ["href", "xlink:href"],
}  # fmt: skip
CSS_URL = re.compile(r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""")
# A program or a style that a script in the page would load from somewhere.
SCRIPT_URL = re.compile(r"""(?:import|src|href|fetch|load)\W[^\n]{0,40}?["'`](\w*:?//[^"'`]+)["'`]""")


@dataclass
class Page:
    """A page of the book: where it lies, its text, and the folder of the site."""

    path: Path
    text: str
    site: Path

    @property
    def soup(self) -> BeautifulSoup:
        if not hasattr(self, "_soup"):
            self._soup = BeautifulSoup(self.text, "html.parser")
            # The theme writes the title and the contents once more, for paper; on a screen they are not there.
            for paper in self._soup.select("#jb-print-docs-body, .onlyprint"):
                paper.decompose()
        return self._soup


def page_at(path, site):
    return Page(path, path.read_text(encoding="utf-8"), site)


# The checks -----------------------------------------------------------------------------------------


def loaded(page):
    """Every address that a browser fetches to show the page, as written."""
    found = []
    for tag in page.soup.find_all(True):
        if tag.name == "link" and FETCHED & set(tag.get("rel", [])):
            found.append(tag.get("href", ""))
        for name in SOURCES.get(tag.name, []):
            value = tag.get(name, "")
            if name == "srcset":
                found += [item.split()[0] for item in value.split(",") if item.strip()]
            elif value:
                found.append(value)
        styles = [tag.get("style", "")] + ([tag.get_text()] if tag.name == "style" else [])
        found += [url for style in styles for url in css_urls(style)]
    return [url for url in found if not url.startswith(("data:", "#", "blob:"))]


def css_urls(text):
    return [a or b for a, b in CSS_URL.findall(text) if not (a or b).startswith(("data:", "#"))]


def is_outside(url):
    return bool(urlsplit(url).netloc) or urlsplit(url).scheme not in ("", "data", "mailto", "blob", "javascript")


def outside_requests(page):
    """Addresses elsewhere that the page, its styles or the scripts within it would fetch."""
    found = [url for url in loaded(page) if is_outside(url)]
    for style in local_files(page, {".css"}):
        found += [url for url in css_urls(style.read_text(encoding="utf-8")) if is_outside(url)]
    for script in page.soup.find_all("script", src=False):
        if script.get("type", "") not in ("application/json", "application/vnd.jupyter.widget-state+json"):
            found += SCRIPT_URL.findall(script.get_text())
    return found


def target(base, url, site):
    """The file that a local address leads to from the file `base`."""
    path = unquote(urlsplit(url).path)
    file = (site / path.lstrip("/") if path.startswith("/") else base.parent / path) if path else base
    return file / "index.html" if file.is_dir() else file


def local_files(page, suffixes=None):
    """Files that the page loads, with what its styles load."""
    found, queue = [], [(page.path, url) for url in loaded(page) if not is_outside(url)]
    while queue:
        base, url = queue.pop()
        file = target(base, url, page.site).resolve()
        if file in found or not file.is_file():
            continue
        found.append(file)
        if file.suffix == ".css":
            queue += [(file, url) for url in css_urls(file.read_text(encoding="utf-8")) if not is_outside(url)]
    return [file for file in found if suffixes is None or file.suffix in suffixes]


def broken_links(page, ids):
    """Local links and sources that lead to no file, or to no place in it. `ids` gives the places in a file."""
    anchors = [a["href"] for a in page.soup.find_all("a", href=True)]
    broken = []
    for url in [*anchors, *loaded(page)]:
        if is_outside(url) or url.startswith(("mailto:", "javascript:")):
            continue
        file = target(page.path, url, page.site)
        fragment = unquote(urlsplit(url).fragment)
        if not file.is_file() or (file.suffix == ".html" and fragment and fragment not in ids(file)):
            broken.append(url)
    return broken


def broken_in_styles(page):
    """Local addresses in the page's styles that lead to no file."""
    return [
        f"{style.name}: {url}"
        for style in local_files(page, {".css"})
        for url in css_urls(style.read_text(encoding="utf-8"))
        if not is_outside(url) and not target(style, url, page.site).is_file()
    ]


def undescribed_images(page):
    return [image.get("src", "")[:60] for image in page.soup.find_all("img") if not image.get("alt", "").strip()]


def weight(page):
    """Bytes of the page and of the scripts, styles and pictures that it loads, uncompressed; without the fonts."""
    kinds = {".js", ".mjs", ".css", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp3"}
    return page.path.stat().st_size + sum(file.stat().st_size for file in local_files(page, kinds))


def opens_with_a_clip(page):
    """Whether a clip that sounds stands between the title and the first heading below it."""
    clip = page.soup.find("ganmusic-clip")
    if clip is None or not clip.find("audio"):
        return False
    return clip.find_previous("h1") is not None and clip.find_previous("h2") is None


# The checks, checked --------------------------------------------------------------------------------

GOOD = """<!doctype html><html lang="en"><head>
<link rel="canonical" href="https://elsewhere.org/page.html"><link rel="stylesheet" href="static/a.css?v=3">
<script src="static/a.js"></script><script>const home = "https://elsewhere.org"; fetch("static/a.js")</script>
<style>b {background: url('static/dot.svg')}</style></head><body>
<h1 id="top">Title</h1><ganmusic-clip><img alt="A roll" src="data:image/svg+xml,%3Csvg/%3E"><audio
src="data:audio/mpeg;base64,AAAA"></audio></ganmusic-clip>
<h2 id="more%20">More</h2><img src="static/dot.svg" alt="A dot"><a href="https://elsewhere.org">out</a>
<a href="#top">up</a><a href="sub/">down</a><a href="sub/index.html#here">there</a><a href="mailto:a@b.org">write</a>
</body></html>"""


@pytest.fixture
def small(tmp_path):
    """Make a page in a small site, changed by replacements."""
    (tmp_path / "static").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "static" / "a.css").write_text("@font-face {src: url(dot.svg)} i {background: url(data:x)}")
    (tmp_path / "static" / "a.js").write_text("1;" * 50)
    (tmp_path / "static" / "dot.svg").write_text("<svg/>" * 10)
    (tmp_path / "sub" / "index.html").write_text('<h1 id="here">x</h1>')

    def make(old="", new=""):
        assert old in GOOD
        (tmp_path / "page.html").write_text(GOOD.replace(old, new) if old else GOOD)
        return page_at(tmp_path / "page.html", tmp_path)

    return make


def ids_of(file):
    return {tag["id"] for tag in BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser").find_all(id=True)}


def test_a_good_page_passes_all_checks(small):
    page = small()
    assert outside_requests(page) == []
    assert broken_links(page, ids_of) == broken_in_styles(page) == []
    assert undescribed_images(page) == []
    assert opens_with_a_clip(page)
    # The style, the picture (which the style names as well: once), and the script.
    assert weight(page) == len(GOOD.encode()) + 58 + 100 + 60


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('src="static/a.js"', 'src="https://cdn.org/a.js"'),
        ('src="static/a.js"', 'src="//cdn.org/a.js"'),
        ('"static/a.css?v=3"', '"http://cdn.org/a.css"'),
        ('rel="canonical"', 'rel="preconnect"'),
        ("url('static/dot.svg')", "url(https://cdn.org/dot.svg)"),
        ("<style>", '<style>@import "https://cdn.org/a.css";'),
        ('src="static/dot.svg"', 'src="https://cdn.org/dot.svg"'),
        ('src="static/dot.svg"', 'src="static/dot.svg" srcset="static/dot.svg 1x, https://cdn.org/2.svg 2x"'),
        ("<h2", '<iframe src="https://video.org/x"></iframe><h2'),
        ("<h2", '<p style="background: url(//cdn.org/x.png)"><h2'),
        ('fetch("static/a.js")', 'import("https://cdn.org/a.js")'),
    ],
)
def test_requests_to_other_hosts_are_found(old, new, small):
    assert len(outside_requests(small(old, new))) == 1


def test_requests_to_other_hosts_are_found_in_styles(small):
    page = small()
    (page.site / "static" / "a.css").write_text("@import 'b.css';")
    (page.site / "static" / "b.css").write_text("i {background: url(https://cdn.org/x.png)}")
    assert outside_requests(page) == ["https://cdn.org/x.png"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"#top"', '"#bottom"'), ('"sub/"', '"sup/"'), ("index.html#here", "index.html#there"),
        ("index.html#here", "other.html"), ('src="static/dot.svg"', 'src="static/no.svg"'), ("a.css?v=3", "b.css?v=3"),
    ],
)  # fmt: skip
def test_links_that_lead_nowhere_are_found(old, new, small):
    assert len(broken_links(small(old, new), ids_of)) == 1


def test_styles_that_name_a_missing_file_are_found(small):
    page = small()
    (page.site / "static" / "dot.svg").unlink()
    assert broken_in_styles(page) == ["a.css: dot.svg"]


@pytest.mark.parametrize(("old", "new"), [(' alt="A dot"', ""), ('alt="A roll"', 'alt=" "')])
def test_images_without_a_description_are_found(old, new, small):
    assert len(undescribed_images(small(old, new))) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [("</h1>", "</h1><h2>First</h2>"), ("<audio", "<b"), ("ganmusic-clip", "div"), ("<h1", "<p")],
)
def test_a_front_page_without_a_clip_at_the_top_is_found(old, new, small):
    assert not opens_with_a_clip(small(old, new))


# The book -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the book as the Makefile does, elsewhere; the site, and how the build went."""
    folder = tmp_path_factory.mktemp("book")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT), "--path-output", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONNOUSERSITE": "1", "GANMUSIC_BOOK_SEED": str(SEED)}
    options = ["-W", "--keep-going", "-n", "--quiet"]
    process = subprocess.run(
        command + options, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    return folder / "_build" / "html", process


@pytest.fixture(scope="module")
def pages(built):
    """Every page of the book, but for the signpost that `ganmusic_site` leaves where the front page was."""
    site, process = built
    paths = sorted(path for path in site.rglob("*.html") if path != site / "book" / "index.html")
    assert paths, process.stderr
    # _static holds parts of pages; _modules holds pages, the code listings.
    return [page_at(path, site) for path in paths if path.relative_to(site).parts[0] != "_static"]


def listed(pages, check):
    """What a check finds, by page."""
    found = {page.path.relative_to(page.site).as_posix(): check(page) for page in pages}
    return {name: what for name, what in found.items() if what}


@pytest.mark.slow
def test_the_book_builds_without_a_warning(built):
    site, process = built
    assert process.returncode == 0, process.stderr[-5000:]
    assert (site / "index.html").exists()
    assert not re.findall(r"(?i)warning|error", process.stderr)


@pytest.mark.slow
def test_every_page_of_the_contents_is_built(pages):
    entries = re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = {page.path.relative_to(page.site).as_posix() for page in pages}
    expected = {f"{entry}.html" if entry != "book/index" else "index.html" for entry in entries}
    assert len(expected) == len(entries) > 10
    assert not expected - names


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(pages):
    assert not listed(pages, outside_requests)


@pytest.mark.slow
def test_every_link_within_the_book_leads_somewhere(pages):
    known = {}

    def ids(file):
        file = file.resolve()
        if file not in known:
            known[file] = ids_of(file)
        return known[file]

    assert not listed(pages, lambda page: broken_links(page, ids))
    assert not listed(pages[:1], broken_in_styles)


@pytest.mark.slow
def test_every_image_has_a_description(pages):
    assert not listed(pages, undescribed_images)


@pytest.mark.slow
def test_every_page_has_one_title_and_a_language(pages):
    assert not listed(pages, lambda page: len(page.soup.find_all("h1")) != 1)
    assert not listed(pages, lambda page: page.soup.html.get("lang") != "en")


@pytest.mark.slow
def test_no_page_is_heavy(pages):
    weights = {page.path.relative_to(page.site).as_posix(): weight(page) for page in pages}
    assert min(weights.values()) > 10_000
    assert not {name: f"{size:,} bytes" for name, size in weights.items() if size > LIGHT}


@pytest.mark.slow
def test_the_front_page_opens_with_the_piece(pages):
    front = next(page for page in pages if page.path == page.site / "index.html")
    assert opens_with_a_clip(front)
    links = [a["href"] for a in front.soup.select(".piece-files a")]
    assert links == [f"piece/ganmusic-{SEED}.{suffix}" for suffix in ("mp3", "mid", "musicxml")]


@pytest.mark.slow
def test_the_piece_can_be_kept_as_sound_notes_and_score(built):
    site, _ = built
    piece, score = (midi.read(site / "piece" / f"ganmusic-{SEED}.{suffix}") for suffix in ("mid", "musicxml"))
    assert piece.n_bars == score.n_bars == 16
    assert len(piece.tracks) == len(score.tracks) == 4
    for track, written in zip(piece.tracks, score.tracks, strict=True):
        assert [(n.onset, n.pitch) for n in track.notes] == [(n.onset, n.pitch) for n in written.notes]
        assert len(track.notes) >= 16
    wave, rate = soundfile.read(site / "piece" / f"ganmusic-{SEED}.mp3")
    assert abs(wave).max() > 0.1
    assert len(wave) / rate == pytest.approx(piece.seconds, abs=4)


@pytest.mark.slow
def test_the_book_has_no_traceback(pages):
    # A cell that failed would be published with its error.
    errors = ".cell_output .output.traceback, .cell_output .output.stderr"
    assert not listed(pages, lambda page: [str(tag)[:200] for tag in page.soup.select(errors)])
