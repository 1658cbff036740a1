"""The clip's custom element in a headless Chromium; skipped only where there is no Chromium."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from ganmusic.pianoroll import Grid, Note, Piece, Track
from ganmusic.player import Clip

pytestmark = pytest.mark.browser

ASSETS = Path(__file__).resolve().parent.parent / "book" / "assets"
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

# At 120 a beat is half a second, and the music lasts 4 s. The first bar is one beat of upbeat.
PIECE = Piece(
    (Track("air", (Note(12, 4, 67), Note(16, 8, 72), Note(24, 8, 71), Note(32, 12, 72)), 71),),
    Grid(),
    120.0,
    "Upbeat",
    pickup=4,
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine, and pip brings none")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--autoplay-policy=no-user-gesture-required",
                "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost",
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    for name in ("clip.js", "clip.css"):
        shutil.copy(ASSETS / name, folder)
    clips = Clip(PIECE)._repr_html_() + Clip(PIECE, title="Second", program=19)._repr_html_()
    head = '<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">'
    script = '<link rel="stylesheet" href="clip.css"><script type="module" src="clip.js"></script>'
    dark = "<style>body{background:#121212;color:#eee}</style>"
    (folder / "light.html").write_text(f"{head.format(theme='light')}{script}{clips}")
    (folder / "dark.html").write_text(f"{head.format(theme='dark')}{script}{dark}{clips}")
    (folder / "plain.html").write_text(f"{head.format(theme='light')}{clips}")
    server = http.server.ThreadingHTTPServer(
        ("localhost", 0), functools.partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 900, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    yield page
    page.close()
    # The browser asks for a favicon by itself.
    assert [p for p in problems if "404" not in p] == []


def head_left(page: Any, clip: int = 0) -> float:
    """The playhead's place, as a share of the roll's width."""
    return float(
        page.locator(".clip-head")
        .nth(clip)
        .evaluate(
            """h => {
                const box = h.parentElement.getBoundingClientRect();
                return (h.getBoundingClientRect().left + 1 - box.left) / box.width;
            }"""
        )
    )


def test_without_the_script_the_browsers_own_player_shows(page: Any, site: str) -> None:
    page.goto(f"{site}/plain.html")
    assert page.locator("audio[controls]").count() == 2
    assert page.locator("img").first.evaluate("i => i.naturalWidth") == 800


def test_sound_is_in_the_page(page: Any, site: str) -> None:
    page.goto(f"{site}/light.html")
    peak, seconds = page.evaluate(
        """async () => {
            const data = await (await fetch(document.querySelector("audio").src)).arrayBuffer();
            const sound = await new AudioContext().decodeAudioData(data);
            const peak = sound.getChannelData(0).reduce((m, x) => Math.max(m, Math.abs(x)), 0);
            return [peak, sound.duration];
        }"""
    )
    assert 0.1 < peak <= 1.0
    assert seconds == pytest.approx(4.0 + 1.5, abs=0.15)


def test_playhead_starts_at_the_upbeat_moves_and_pauses(page: Any, site: str) -> None:
    page.goto(f"{site}/light.html")
    start = head_left(page)
    # The roll begins 36 of 800 pixels in; the first note 12 of 48 steps later.
    assert start == pytest.approx((36 + 756 * 12 / 48) / 800, abs=0.005)
    button = page.locator("button").first
    assert button.get_attribute("aria-label") == "Play Upbeat"
    button.click()
    page.wait_for_function("document.querySelector('audio').currentTime > 0.4")
    assert button.get_attribute("aria-label") == "Pause Upbeat"
    moved = head_left(page)
    assert moved > start + 0.03
    button.click()
    page.wait_for_timeout(150)
    stopped = head_left(page)
    page.wait_for_timeout(250)
    assert head_left(page) == stopped


def test_one_clip_plays_at_a_time(page: Any, site: str) -> None:
    page.goto(f"{site}/light.html")
    page.locator("button").nth(0).click()
    page.wait_for_function("document.querySelectorAll('audio')[0].currentTime > 0.1")
    page.locator("button").nth(1).click()
    page.wait_for_function("document.querySelectorAll('audio')[1].currentTime > 0.1")
    assert page.evaluate("[...document.querySelectorAll('audio')].map(a => a.paused)") == [
        True,
        False,
    ]


def test_keyboard(page: Any, site: str) -> None:
    page.goto(f"{site}/light.html")
    page.keyboard.press("Tab")
    roll = page.locator(".clip-roll").first
    assert roll.evaluate("r => r === document.activeElement")
    assert roll.evaluate("r => getComputedStyle(r).outlineStyle") == "solid"
    page.keyboard.press("PageUp")  # a bar: 2 s of 4
    assert roll.get_attribute("aria-valuetext") == "2 of 4 seconds"
    half = (36 + 756 * (12 + 16) / 48) / 800
    assert head_left(page) == pytest.approx(half, abs=0.005)
    page.keyboard.press("ArrowLeft")
    assert head_left(page) == pytest.approx(half - 756 * 4 / 48 / 800, abs=0.005)
    # Playing begins where the playhead was put before the sound was loaded.
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('audio').currentTime > 1.6")
    assert page.evaluate("document.querySelector('audio').paused") is False
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('audio').paused") is True
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelector('audio').currentTime === 0")


def test_click_seeks(page: Any, site: str) -> None:
    page.goto(f"{site}/light.html")
    box = page.locator(".clip-roll").first.bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 40)
    assert head_left(page) == pytest.approx(0.7, abs=0.005)


def test_playhead_returns_when_the_music_is_over(page: Any, site: str) -> None:
    page.goto(f"{site}/light.html")
    start = head_left(page)
    page.locator(".clip-roll").first.focus()
    page.keyboard.press("End")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('audio').paused", timeout=5000)
    page.wait_for_function("document.querySelector('audio').currentTime === 0", timeout=5000)
    assert head_left(page) == pytest.approx(start, abs=0.005)


def test_dark_theme_button_has_contrast(page: Any, site: str) -> None:
    page.goto(f"{site}/dark.html")
    colours = page.locator("button").first.evaluate(
        "b => [getComputedStyle(b).color, getComputedStyle(b).backgroundColor]"
    )
    ink, face = (sum(int(x) for x in c[4:-1].split(",")) / 3 for c in colours)
    assert ink - face > 120
