"""The clip's HTML: complete without a script, the same each time, and small."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import soundfile

from ganmusic import audio, viz
from ganmusic.pianoroll import Grid, Note, Piece, Track
from ganmusic.player import Clip

UPBEAT = Piece(
    (Track("air", (Note(12, 4, 67), Note(16, 8, 72), Note(24, 4, 71)), 71),),
    Grid(),
    120.0,
    "Up & down",
    pickup=4,
)


class Parts(HTMLParser):
    """Every tag with its attributes, in order, and what stays open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def attributes(self, tag: str) -> dict[str, str | None]:
        (found,) = (attributes for name, attributes in self.tags if name == tag)
        return found


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts(Clip(UPBEAT)._repr_html_())


def test_html_holds_picture_and_player_in_the_element(parts):
    assert [tag for tag, _ in parts.tags] == [
        "ganmusic-clip",
        "figure",
        "figcaption",
        "img",
        "audio",
    ]
    assert parts.open == []


def test_no_script_and_no_outside_address(parts):
    html = Clip(UPBEAT)._repr_html_()
    assert "<script" not in html
    assert not any(name.startswith("on") for _, attributes in parts.tags for name in attributes)
    for _, attributes in parts.tags:
        assert (attributes.get("src") or "data:").startswith("data:")


def test_picture_has_alternative_text_and_is_the_piano_roll(parts):
    image = parts.attributes("img")
    assert image["alt"] == viz.describe(UPBEAT)
    kind, svg = image["src"].split(",", 1)
    assert kind == "data:image/svg+xml"
    assert unquote(svg) == viz.picture(UPBEAT)
    assert not re.search(r'["<>#]', svg)


def test_sound_is_a_small_mp3_of_the_piece(parts):
    sound = parts.attributes("audio")
    assert sound["preload"] == "none"
    assert "controls" in sound
    assert "autoplay" not in sound
    kind, data = sound["src"].split(",", 1)
    assert kind == "data:audio/mpeg;base64"
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert wave.ndim == 1
    # Four beats at 120: two seconds, without the silence before the upbeat.
    assert len(wave) / rate == pytest.approx(2.0 + audio.TAIL_SECONDS, abs=0.15)


def test_playhead_runs_from_the_first_note_to_the_last(parts):
    clip = parts.attributes("ganmusic-clip")
    assert float(clip["data-seconds"]) == pytest.approx(2.0)
    assert float(clip["data-beat"]) == 0.5
    assert clip["data-beats-per-bar"] == "4"
    assert float(clip["data-start"]) == pytest.approx(viz.position(UPBEAT, 12), abs=1e-4)
    assert float(clip["data-end"]) == pytest.approx(viz.position(UPBEAT, 28), abs=1e-4)


def test_same_html_each_time():
    assert Clip(UPBEAT)._repr_html_() == Clip(UPBEAT)._repr_html_()


def test_eight_bars_of_four_voices_stay_under_120_kb():
    voices = tuple(
        Track(name, tuple(Note(s, step, low + (3 * s) % 7) for s in range(0, 128, step)), 19)
        for name, low, step in (("s", 70, 4), ("a", 64, 2), ("t", 57, 4), ("b", 43, 2))
    )
    assert len(Clip(Piece(voices, Grid(), 90.0, "Eight bars"))._repr_html_()) < 120_000


def test_mime_bundle():
    bundle = Clip(UPBEAT)._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/html"] == Clip(UPBEAT)._repr_html_()
    assert bundle["text/plain"] == repr(Clip(UPBEAT)) == f"Clip({viz.describe(UPBEAT)})"


def test_title_replaces_the_pieces_and_is_escaped():
    clip = Clip(UPBEAT, title='<b>"A" & b</b>', audio=False)
    html = clip._repr_html_()
    assert "&lt;b&gt;&quot;A&quot; &amp; b&lt;/b&gt;</figcaption>" in html
    assert "<b>" not in html
    assert clip.piece.title == clip.title == '<b>"A" & b</b>'
    assert "Up & down" not in repr(clip)


def test_without_a_title_there_is_no_caption():
    assert "figcaption" not in Clip(UPBEAT, title="", audio=False)._repr_html_()


def test_picture_alone():
    tags = [tag for tag, _ in Parts(Clip(UPBEAT, audio=False)._repr_html_()).tags]
    assert tags == ["figure", "figcaption", "img"]


def test_program_changes_the_sound():
    assert Clip(UPBEAT).mp3 != Clip(UPBEAT, program=0).mp3
    assert Clip(UPBEAT).mp3 == Clip(UPBEAT, program=71).mp3


@pytest.mark.parametrize(
    ("suffix", "start"),
    [("mp3", None), ("wav", b"RIFF"), ("flac", b"fLaC"), ("ogg", b"OggS"), ("mid", b"MThd"),
     ("musicxml", b"<?xml"), ("mxl", b"PK"), ("png", b"\x89PNG"), ("SVG", b"<?xml")],
)  # fmt: skip
def test_save_by_suffix(suffix: str, start: bytes | None, tmp_path: Path):
    path = tmp_path / f"out.{suffix}"
    Clip(UPBEAT, program=0).save(path)
    data = path.read_bytes()
    if start is None:
        assert data == audio.encode(UPBEAT, "mp3", program=0)
    else:
        assert data.startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_save_under_another_suffix(tmp_path: Path):
    with pytest.raises(ValueError, match=r"out\.doc: .*\.mp3, .*\.mid, .*\.svg"):
        Clip(UPBEAT).save(tmp_path / "out.doc")


def test_a_piece_without_notes_shows_its_picture_alone_or_says_why():
    empty = Piece((Track("rest", ()),), title="Nothing")
    assert "no notes" in Clip(empty, audio=False)._repr_html_()
    with pytest.raises(ValueError, match="'Nothing' has no notes"):
        Clip(empty)._repr_html_()
