"""Sphinx extension: the ``{scoreboard}`` directive, tables of what ``make scoreboard`` measured.

Without an argument it shows every number of every entry, a metric a row; with names of metrics those alone, an entry
a row.
A cell is the mean over seeds, with the smallest and the largest beneath it; a tick says that all seeds pass.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

#: Parts of names that are not written as they are in code.
SPELLINGS = {"frechet": "Fréchet", "auc": "AUC", "kl": "KL", "z": "Z"}
RESULTS = Path(__file__).resolve().parent.parent / "scoreboard.json"


def number(value: float | None) -> str:
    """Three figures, without an exponent."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:,.{digits}f}" if digits < 2 or abs(value) >= 0.995 else f"{value:.3f}"
    return text.replace("-", "−")


def cell(values: list[float | None], passed: list[bool | None]) -> str:
    """A table cell: the mean, whether all seeds pass, and what they lie between."""
    known = [value for value in values if value is not None]
    if not known:
        return "<td>–</td>"
    tick = ' <span aria-label="passes">✓</span>' if all(passed) else ""
    text = number(sum(known) / len(known))
    lowest, highest = number(min(known)), number(max(known))
    between = f"<br><small>{lowest} to {highest}</small>" if lowest != highest else ""
    return f"<td>{text}{tick}{between}</td>"


def words(name: str) -> str:
    """A metric's name as words."""
    return escape(" ".join(SPELLINGS.get(word, word) for word in name.split("_")))


def table(head: list[str], body: list[str], caption: str) -> str:
    """A table that scrolls by itself where the page is too narrow."""
    columns = "".join(f'<th scope="col">{title}</th>' for title in head)
    return (
        f'<div class="scoreboard" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="table">'
        f"<caption>{escape(caption)}</caption><thead><tr>{columns}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


class Scoreboard(SphinxDirective):
    """Tables of the committed results."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Read the results and write the table's HTML."""
        self.env.note_dependency(str(RESULTS))
        board = json.loads(RESULTS.read_text(encoding="utf-8"))
        rows = {row["name"]: row for row in board["rows"]}
        chosen = self.arguments[0].split() if self.arguments else []
        if unknown := [name for name in chosen if name not in rows]:
            raise self.error(f"the scoreboard has no {', '.join(unknown)}, only {', '.join(rows)}")
        caption = self.options.get("caption", "The scoreboard")
        html = by_entry(board, [rows[name] for name in chosen], caption) if chosen else by_metric(board, caption)
        return [nodes.raw("", html, format="html")]


def by_entry(board: dict[str, Any], rows: list[dict[str, Any]], caption: str) -> str:
    """An entry a row, some metrics as columns; held-out music first."""
    bands = [f"<br><small>{number(row['low'])} to {number(row['high'])}</small>" for row in rows]
    real = "".join(f"<td>{number(row['real'])}{band}</td>" for row, band in zip(rows, bands, strict=True))
    n_metrics = sum(row["kind"] == "clip" for row in board["rows"])
    body = [f'<tr><th scope="row">held-out music</th>{real}<td>–</td><td>–</td></tr>']
    for entry in board["entries"]:
        cells = "".join(cell(entry["values"][row["name"]], entry["passed"][row["name"]]) for row in rows)
        inside = [
            sum(bool(entry["passed"][row["name"]][k]) for row in board["rows"] if row["kind"] == "clip")
            for k in range(len(entry["seeds"]))
        ]
        lowest, highest = min(inside), max(inside)
        share = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
        new = sum(bool(verdict) for verdict in entry["innovative"])
        body.append(
            f'<tr><th scope="row">{escape(entry["name"])}</th>{cells}<td>{share} of {n_metrics}</td>'
            f"<td>{new} of {len(entry['seeds'])}</td></tr>"
        )
    head = ["", *(words(row["name"]) for row in rows), "clip metrics inside real music's band", "new, jointly"]
    return table(head, body, caption)


def by_metric(board: dict[str, Any], caption: str) -> str:
    """A metric a row, every entry a column."""
    body, dimension = [], ""
    for row in board["rows"]:
        if row["dimension"] != dimension:
            dimension = row["dimension"]
            body.append(f'<tr><th scope="rowgroup" colspan="{3 + len(board["entries"])}">{escape(dimension)}</th></tr>')
        cells = "".join(cell(entry["values"][row["name"]], entry["passed"][row["name"]]) for entry in board["entries"])
        band = f"{number(row['low'])} to {number(row['high'])}"
        body.append(
            f'<tr><th scope="row">{words(row["name"])}<br><small>{escape(row["unit"])}</small></th>'
            f"<td>{number(row['real'])}</td><td>{band}</td>{cells}</tr>"
        )
    head = ["", "held-out music", "its band", *(escape(entry["name"]) for entry in board["entries"])]
    return table(head, body, caption)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("scoreboard", Scoreboard)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
