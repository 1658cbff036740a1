"""Sphinx extension: the ``{contest}`` directive, what ``make contest`` measured.

``curves`` draws quality against cost, ``table`` shows how every model was judged, ``clips`` lets them be heard.
"""

from __future__ import annotations

import io
import json
from html import escape
from statistics import mean
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from ganmusic_scoreboard import RESULTS as SCOREBOARD
from ganmusic_scoreboard import cell, number, table, words
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ganmusic.pianoroll import Grid, Note, Piece, Track
from ganmusic.player import Clip

RESULTS = SCOREBOARD.with_name("contest.json")
#: What the table shows of each network.
COLUMNS = ("frechet_distance", "density", "coverage", "auc_features", "vendi_score", "copied_share_2_bars")


def by_model(contest: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The finished runs of equal cost, by title, the nearest to real music first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in contest["runs"].values():
        if run["minutes"] == contest["facts"]["minutes"]:
            found.setdefault(run["title"], []).append(run)
    return dict(sorted(found.items(), key=lambda item: average(item[1], "frechet_distance")))


def average(runs: list[dict[str, Any]], name: str) -> float:
    """Mean over seeds of one of the numbers that they were judged by."""
    return mean(run["values"][name] for run in runs)


def curves(contest: dict[str, Any]) -> str:
    """Distance to validation music against minutes of one core: a thin line a seed, a thick one their mean."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    ax = figure.subplots()
    said = []
    for colour, (title, runs) in enumerate(by_model(contest).items()):
        lines = [[distance for _, distance in run["curve"]] for run in runs]
        minutes = [minute for minute, _ in runs[0]["curve"]]
        for line in lines:
            ax.plot(minutes, line, color=f"C{colour}", lw=0.7, alpha=0.5)
        middle = [mean(values) for values in zip(*lines, strict=True)]
        ax.plot(minutes, middle, color=f"C{colour}", lw=2, label=title)
        said.append(f"{title} ends at {number(middle[-1])}")
    bach = contest["facts"]["bach"]
    ax.axhline(bach, color="0.5", lw=1, ls="--")
    ax.text(1, bach, "Bach's own, the test split", va="top", fontsize=9)
    said.append(f"the chorales of the test split have {number(bach)}")
    ax.set(xscale="log", yscale="log", xlabel="minutes of one core", ylabel="Fréchet distance to validation music")
    for axis, marks in ((ax.xaxis, (1, 2, 5, 10, 20)), (ax.yaxis, (10, 20, 50, 100, 200, 500))):
        axis.set_ticks(marks, labels=[str(mark) for mark in marks])
        axis.set_minor_locator(NullLocator())
    ax.grid(axis="y", color="0.9")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    alt = f"Curves of distance against minutes of one core, both on logarithmic axes: {'; '.join(said)}."
    svg = text.getvalue()[text.getvalue().index("<svg") :].replace("<svg", '<svg style="max-width:100%;height:auto"', 1)
    return f'<figure role="img" aria-label="{escape(alt)}">{svg}</figure>'


def standing(contest: dict[str, Any], rows: dict[str, dict[str, Any]]) -> str:
    """A model a row: what an update costs, and how its best checkpoints were judged."""
    real = ""
    for row in (rows[name] for name in COLUMNS):
        real += f"<td>{number(row['real'])}<br><small>{number(row['low'])} to {number(row['high'])}</small></td>"
    body = [f'<tr><th scope="row">held-out music</th><td>–</td><td>–</td>{real}</tr>']
    for title, runs in by_model(contest).items():
        cells = ""
        for name in COLUMNS:
            cells += cell([run["values"][name] for run in runs], [run["passed"][name] for run in runs])
        update, lesson = (1000 * seconds for seconds in contest["costs"][runs[0]["recipe"]])
        cost = f"{update:.0f}" + (f"<br><small>and {lesson:.0f} a lesson</small>" if lesson else "")
        body.append(f'<tr><th scope="row">{escape(title)}</th><td>{len(runs)}</td><td>{cost}</td>{cells}</tr>')
    head = ["", "seeds", "ms an update", *(words(name) for name in COLUMNS)]
    minutes = contest["facts"]["minutes"]
    return table(head, body, f"After {minutes} minutes of one core: means over seeds, smallest and largest below")


def clips(contest: dict[str, Any]) -> str:
    """For each model a clip from the same noise after some minutes."""
    heard: dict[str, dict[int, list[list[int]]]] = {title: {} for title in by_model(contest)}
    for run in contest["runs"].values():
        for minute, notes in run.get("clips", {}).items():
            heard[run["title"]].setdefault(int(minute), notes)
    parts = []
    for title, marks in heard.items():
        shown = ""
        for minute, notes in sorted(marks.items()):
            name = f"{title}, {minute} min"
            shown += Clip(piece(notes), title=name)._repr_html_() if notes else f"<p>{escape(name)}: silence</p>"
        parts.append(f"<details><summary>{escape(title)}</summary>{shown}</details>")
    return "".join(parts)


def piece(notes: list[list[int]]) -> Piece:
    """Four voices on strings, of notes given as track, onset, duration and pitch."""
    return Piece(
        tuple(
            Track(name, tuple(Note(*rest) for voice, *rest in notes if voice == k), program=48)
            for k, name in enumerate(("soprano", "alto", "tenor", "bass"))
        ),
        Grid(),
    )


class Contest(SphinxDirective):
    """Curves, table or clips of the committed results."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Read the results and write the HTML."""
        for file in (RESULTS, SCOREBOARD):
            self.env.note_dependency(str(file))
        part = directives.choice(self.arguments[0], ("curves", "table", "clips"))
        contest = json.loads(RESULTS.read_text(encoding="utf-8"))
        rows = {row["name"]: row for row in json.loads(SCOREBOARD.read_text(encoding="utf-8"))["rows"]}
        if part == "curves":
            html = curves(contest)
        elif part == "table":
            html = standing(contest, rows)
        else:
            html = clips(contest)
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("contest", Contest)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
