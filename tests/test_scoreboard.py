"""The scoreboard: the committed results are those of the package as it is, and the page shows them."""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ganmusic import metrics
from ganmusic.evaluation import STATISTICS, clips_of_run, reference
from ganmusic.metrics import METRICS
from ganmusic.metrics.controls import CONTROLS

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "book" / "_ext"), str(ROOT / "benchmarks")]

import ganmusic_scoreboard as page  # noqa: E402 -- found in the book's own folder
from scoreboard import SHIPPED  # noqa: E402 -- found in its own folder


@pytest.fixture(scope="module")
def board():
    return json.loads((ROOT / "book" / "scoreboard.json").read_text(encoding="utf-8"))


def test_everything_is_judged_by_everything(board):
    rows = {row["name"] for row in board["rows"]}
    # There are no drums in chorales.
    assert rows == {name for name, metric in METRICS.items() if metric.dimension != "drums"} | set(STATISTICS)
    entries = {entry["name"]: entry for entry in board["entries"]}
    assert {name.replace("_", " ") for name in CONTROLS} < entries.keys()
    assert {*SHIPPED.values(), "plain network (MLP)", "convolutional network"} < entries.keys()
    for entry in entries.values():
        assert len(entry["seeds"]) == len(set(entry["seeds"])) >= 3
        for name in rows:
            assert len(entry["values"][name]) == len(entry["passed"][name]) == len(entry["seeds"])


def test_real_music_lies_in_its_own_band(board):
    for row in board["rows"]:
        assert row["low"] <= row["real"] <= row["high"], row["name"]


def test_every_control_fails_what_it_is_there_to_fail(board):
    entries = {entry["name"]: entry for entry in board["entries"]}
    for row in board["rows"]:
        if row["kind"] == "set" and row["name"] not in {"copying_z"}:
            passed = entries[row["control"].replace("_", " ")]["passed"][row["name"]]
            assert not any(passed), row["name"]
    # The clip metrics are held to their controls one by one in tests/test_metrics.py; here none may look like music.
    for name in CONTROLS:
        entry = entries[name.replace("_", " ")]
        assert not any(entry["innovative"]), name


@pytest.mark.parametrize("weights", SHIPPED)
def test_the_numbers_are_what_the_package_measures(board, weights):
    """Held-out music and the shipped weights, measured again; another processor may flip a note here and there."""
    against = reference("chorales")
    real = metrics.evaluate(against.held_out.roll, against.held_out.grid)
    for row in board["rows"]:
        if row["kind"] == "clip":
            assert np.nanmean(real[row["name"]]) == pytest.approx(row["real"], rel=1e-3), row["name"]
    (shipped,) = (entry for entry in board["entries"] if entry["name"] == SHIPPED[weights])
    clips = clips_of_run(weights, seed=shipped["seeds"][0])
    ours = metrics.evaluate(clips.roll, clips.grid)
    bands = {row["name"]: row["high"] - row["low"] for row in board["rows"]}
    for name in METRICS:
        if name in shipped["values"]:
            near = 0.05 * bands[name] + 1e-3
            assert np.nanmean(ours[name]) == pytest.approx(shipped["values"][name][0], abs=near), name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((None, "–"), (0.0431, "0.043"), (-3.25, "−3.25"), (12.34, "12.3")),
        *((1234.5, "1,234"), (0.9996, "1.00"), (-0.5, "−0.500")),
    ],
)
def test_a_number_has_three_figures(value, text):
    assert page.number(value) == text


def test_a_cell_says_mean_range_and_whether_all_seeds_pass():
    assert page.cell([1.0, 2.0, 3.0], [True, True, False]) == "<td>2.00<br><small>1.00 to 3.00</small></td>"
    assert "✓" in page.cell([1.0, 1.0], [True, True])
    assert page.cell([None, None], [None, None]) == "<td>–</td>"


def test_what_the_page_says_in_words_is_in_the_results(board):
    text = (ROOT / "book" / "scoreboard.md").read_text(encoding="utf-8")
    clips = board["facts"]["clips"]
    assert f"{clips['held_out_pieces']} pieces that no network was trained on" in text
    assert f"four bars long, {clips['generated']} of each entry" in text
    assert board["facts"]["bars"] == 4
    assert board["facts"]["divisions"] == 20
    assert "divided in two at random, twenty times" in text
    rows = {row["name"]: row for row in board["rows"]}
    two, four = (rows[f"copied_passages_{n}_bars"] for n in (2, 4))
    assert two["real"] > 0
    assert four["low"] == four["high"] == four["real"] == 0
    assert "the band of `copied passages 4 bars` is 0 to 0" in text


def test_the_shipped_choir_alone_is_new_and_music(board):
    """Chapter 10 says so."""
    passed = {entry["name"]: entry["innovative"] for entry in board["entries"] if entry["kind"] == "network"}
    assert passed.pop("choir, shipped weights") == [True] * 3
    assert not any(any(seeds) for seeds in passed.values())


@pytest.mark.parametrize("weights", SHIPPED)
def test_the_model_card_has_the_numbers_of_the_scoreboard(board, weights):
    """Both are of the same three sampling seeds."""
    card = (files("ganmusic") / "weights" / weights / "README.md").read_text(encoding="utf-8")
    (shipped,) = (entry for entry in board["entries"] if entry["name"] == SHIPPED[weights])
    rows = {row["name"]: row for row in board["rows"]}
    said = re.findall(r"^\| ([a-z0-9 ]+) \| (\S+) \| (\S+) \| (\S+) to (\S+) \| (\S+) \(", card, re.MULTILINE)
    assert {name.replace(" ", "_") for name, *_ in said} == set(rows)
    for name, *numbers in said:
        row, values = rows[name.replace(" ", "_")], shipped["values"][name.replace(" ", "_")]
        expected = [np.mean(values), row["real"], row["low"], row["high"], row["null"]]
        assert [float(number) for number in numbers] == pytest.approx(expected, rel=2e-3, abs=1e-3), name


def test_names_are_escaped():
    assert page.words("a_<b>") == "a &lt;b&gt;"
    assert page.words("frechet_distance") == "Fréchet distance"
    assert "<script>" not in page.table(["<b>"], [], "<script>")
