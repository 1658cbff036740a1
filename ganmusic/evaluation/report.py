"""The report: every number beside that of real music and of a control, a joint verdict, and two figures.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganmusic import viz
from ganmusic.files import atomic_path, counted, printable
from ganmusic.metrics.harmony import FloatArray
from ganmusic.pianoroll import Grid
from ganmusic.store import describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Condition", "Report", "Row", "Verdict"]

#: The Z of a data-copying test below which music counts as copied.
COPIED_BELOW = -3.0


@dataclass(frozen=True)
class Row:
    """A number of the report, beside that of real music and that of its control; None where there is none.

    Parameters
    ----------
    name, dimension, unit : str
    kind : str
        'clip': the mean of a clip metric; 'set': a statistic.
    n : int
        Clips that the value comes from.
    value, real, null : float, optional
        Of the generated music, of held-out music, and of the control.
    low, high : float, optional
        Band of real music: 5th and 95th percentile, for a clip metric of single held-out clips (it reaches to their
        mean at least), for a statistic of its values over the divisions, widened by the root of two.
    d, d_low, d_high : float, optional
        Cohen's d of generated to held-out clips, ``(value - real) / sqrt((s_1^2 + s_2^2) / 2)``, and its 95 % interval.
    control : str
        What spoilt the music that has the value `null`.
    place : float, optional
        ``(value - real) / (null - real)``: 0 at real music, 1 at the control.
    worse : str
        Which values are worse than the band: 'larger', 'smaller' or 'both'.
    passed : bool, optional
    reason : str
        Why a number is missing.

    Taught in: notebooks/04-evaluation.ipynb
    """

    name: str
    dimension: str
    unit: str
    kind: str
    control: str
    worse: str
    n: int = 0
    value: float | None = None
    real: float | None = None
    low: float | None = None
    high: float | None = None
    d: float | None = None
    d_low: float | None = None
    d_high: float | None = None
    null: float | None = None
    place: float | None = None
    passed: bool | None = None
    reason: str = ""

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    @property
    def null_passes(self) -> bool:
        """Whether the control lies in the band itself, so that the metric can tell it apart by the mean alone."""
        known = self.null is not None and self.low is not None and self.high is not None
        return known and self.low <= self.null <= self.high  # type: ignore[operator]


@dataclass(frozen=True)
class Condition:
    """One condition of the verdict: whether it holds (None: it cannot be told), and its numbers in words.

    Taught in: notebooks/05-is-it-new.ipynb
    """

    name: str
    holds: bool | None
    numbers: str


@dataclass(frozen=True)
class Verdict:
    """Whether the music is new *and* music: original alone is noise too, and a copy alone is good.

    Parameters
    ----------
    conditions : tuple of Condition

    Taught in: notebooks/05-is-it-new.ipynb
    """

    conditions: tuple[Condition, ...]

    @property
    def innovative(self) -> bool | None:
        """Whether all conditions hold; None if none fails and one cannot be told."""
        held = [condition.holds for condition in self.conditions]
        if False in held:
            return False
        return None if None in held else True

    def __str__(self) -> str:
        words = {True: "yes, all conditions hold", False: "no", None: "cannot be told"}
        lines = [f"new and music: {words[self.innovative]}"]
        mark = {True: "holds ", False: "FAILS ", None: "unsure"}
        lines += [f"  {mark[each.holds]}  {each.name}: {each.numbers}" for each in self.conditions]
        return "\n".join(lines)


def verdict_of(rows: Sequence[Row]) -> Verdict:
    """Judge all conditions at once."""
    by_name = {row.name: row for row in rows}

    def passing(name: str, rows: Sequence[Row]) -> Condition:
        known = [row.passed for row in rows]
        holds = False if False in known else None if None in known else True
        return Condition(name, holds, "; ".join(_against_band(row) for row in rows))

    def low(row: Row) -> bool:
        return row.value is not None and row.value <= COPIED_BELOW

    # The mean share and the share of copies: a few copies among many clips hardly move a mean.
    names = "copied_share", "copied_passages"
    shares = [row for row in rows if row.name.startswith(names) and not _not_there(row)]
    tests = [by_name[name] for name in ("copying_z", "copied_notes_z")]
    # Where held-out music strays as far by itself, a low Z proves neither copies nor that there are none.
    known = [None if row.value is None or (row.passed and low(row)) else not low(row) for row in tests]
    conditions = [
        passing("no more copied than held-out music", shares or [by_name["copied_share_2_bars"]]),
        Condition(
            f"not nearer to the training music than held-out music is (Z above {COPIED_BELOW:g})",
            False if False in known else None if None in known else True,
            "; ".join(f"{row.title} {_number(row.value)}" if row.value is not None else row.reason for row in tests),
        ),
        passing("as varied as held-out music", [by_name["coverage"], by_name["vendi_score"]]),
    ]
    # The proxies of emotion say nothing about quality.
    quality = [row for row in rows if row.kind == "clip" and row.dimension != "emotion" and not _not_there(row)]
    outside = [row for row in quality if row.passed is False]
    unsure = [row for row in quality if row.passed is None]
    numbers = f"{sum(bool(row.passed) for row in quality)} of {len(quality)} clip metrics pass"
    if outside:
        numbers += f"; not {', '.join(map(_against_band, outside))}"
    if unsure:
        numbers += f"; {len(unsure)} cannot be told ({unsure[0].reason})"
    holds = False if outside else None if unsure or not quality else True
    conditions.append(Condition("like held-out music, clip by clip", holds, numbers))
    return Verdict(tuple(conditions))


def _not_there(row: Row) -> bool:
    """Whether real music has no such number, so that nothing is missing."""
    return row.value is None and row.real is None and row.reason == NOT_IN_REAL


def _against_band(row: Row) -> str:
    if row.value is None:
        return f"{row.title}: {row.reason}"
    return f"{row.title} {_number(row.value)} (held-out {_number(row.real)}, {_number(row.low)} to {_number(row.high)})"


NOT_IN_REAL = "nothing to measure in held-out music"
NOT_IN_THESE = "nothing to measure in these clips"


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluate` found: a table, a verdict and two figures. In a notebook it shows itself.

    Parameters
    ----------
    rows : tuple of Row
    facts : dict
        What was compared with what: JSON values.
    values : dict
        Of each clip metric its values in generated clips, in held-out clips and in its control.
    remarks : tuple of str
        What a reader must know about where the clips come from.

    Taught in: notebooks/04-evaluation.ipynb
    """

    rows: tuple[Row, ...]
    facts: Mapping[str, Any]
    values: Mapping[str, tuple[FloatArray, FloatArray, FloatArray]] = field(repr=False)
    remarks: tuple[str, ...] = ()

    @cached_property
    def verdict(self) -> Verdict:
        """The joint verdict."""
        return verdict_of(self.rows)

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"the report has no number {name!r}; it has {', '.join(row.name for row in self.rows)}")

    @property
    def title(self) -> str:
        """What was compared with what."""
        return f"{self.facts['name'] or 'Generated music'} beside held-out {self.facts['corpus']}"

    def about(self) -> list[str]:
        """Say how the numbers came to be."""
        facts = self.facts
        deaf = [row.title for row in self.rows if row.kind == "clip" and row.null_passes]

        def n(what: str) -> str:
            """How many there are of 'held-out pieces', which the facts call ``held_out_pieces``."""
            of, kind = what.split()
            name = of.replace("-", "_") + ("_pieces" if kind == "piece" else "")
            return counted(facts["clips"][name], what)

        return [
            f"{n('generated clip')} from {n('generated piece')} ({facts['clips']['searched']:,} of them searched for "
            f"copies of {n('training piece')}); {n('held-out clip')} from {n('held-out piece')}; {n('training clip')}. "
            f"A clip is {counted(facts['bars'], 'bar')} of {describe(Grid(**facts['grid']))}.",
            "Band: for the mean of a clip metric the 5th to 95th percentile of single held-out clips; for a statistic "
            f"of whole sets that of its values between halves of the held-out pieces, divided {facts['divisions']} "
            f"times, at {counted(facts['clips']['each_side'], 'clip')} a side, and widened by the root of two. d: "
            "Cohen's, with its 95 % bootstrap interval over pieces. What lies in its band passes, and a mean whose "
            "interval of d holds 0 and nothing beyond 0.5 to either side. Place: 0 at held-out music, 1 at the "
            "control.",
            *([f"Spoilt music passes too, so that to pass says little: {', '.join(deaf)}."] if deaf else []),
            f"Chance started from {facts['seed']}. "
            + ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
            + ".",
            *self.remarks,
        ]

    def __str__(self) -> str:
        head = ("", "value", "held-out", "band", "d [95 %]", "place", "")
        lines: list[tuple[str, ...]] = [head]
        for dimension, rows in _by_dimension(self.rows):
            lines.append((dimension.upper(), *[""] * 6))
            lines += [("  " + row.title, *_cells(row)) for row in rows]
        widths = [max(len(line[k]) for line in lines) for k in range(6)]
        table = []
        for line in lines:
            cells = [line[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(line[1:6], widths[1:], strict=True)]
            table.append("  ".join([*cells, line[6]]).rstrip())
        return "\n".join([self.title, "", *table, "", str(self.verdict), "", *self.about()])

    def __repr__(self) -> str:
        passed = sum(bool(row.passed) for row in self.rows)
        return f"Report({self.title}: {passed} of {len(self.rows)} numbers pass)"

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON values; None where there is none."""
        return {
            "title": printable(self.title),
            "verdict": {
                "innovative": self.verdict.innovative,
                "conditions": [asdict(condition) for condition in self.verdict.conditions],
            },
            "rows": [asdict(row) for row in self.rows],
            "facts": {**self.facts, "name": printable(self.facts["name"])},
            "remarks": list(map(printable, self.remarks)),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report as JSON or as a page of HTML, by the suffix of `path`.

        Raises
        ------
        ValueError
            If the suffix is another.
        OSError
            If the file cannot be written; nothing is left half-written.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"{path}: a report ends in {' or '.join(SUFFIXES)}")
        if suffix == ".json":
            text = json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        else:
            text = (
                f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(self.title)}</title>'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                "<style>body{max-width:62rem;margin:2rem auto;padding:0 1rem;font-family:sans-serif;color:#222}</style>"
                f"</head><body><main>{self._repr_html_()}</main></body></html>\n"
            )
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def figure(self, figure: Figure | None = None) -> Figure:
        """Draw a bullet chart: each number between real music and its control (see `ganmusic.viz.bullets`)."""
        return viz.bullets([asdict(row) for row in self.rows], figure)

    def distributions(self, figure: Figure | None = None) -> Figure:
        """Draw the values of clips over those of real music (see `ganmusic.viz.distributions`)."""
        units = {row.name: row.unit for row in self.rows}
        return viz.distributions({name: columns[:2] for name, columns in self.values.items()}, units, figure)

    def _repr_html_(self) -> str:
        words = {True: "yes: all conditions hold", False: "no", None: "it cannot be told"}
        marks = {True: "✓ holds", False: "✗ fails", None: "? cannot be told"}
        verdict = "".join(
            f"<li><b>{marks[each.holds]}</b>: {_text(each.name)}. {_text(each.numbers)}</li>"
            for each in self.verdict.conditions
        )
        body = ""
        for dimension, rows in _by_dimension(self.rows):
            style = f"{_LEFT};padding-top:.6em"
            body += f'<tr><th scope="colgroup" colspan="7" style="{style}">{_text(dimension)}</th></tr>'
            body += "".join(map(_html_row, rows))
        heads = ("", "value", "held-out", "band", "d [95 %]", "place", "")
        head = "".join(f'<th scope="col">{name}</th>' for name in heads[1:-1])
        pictures = "".join(
            f'<p><img alt="{_text(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}" '
            'style="max-width:100%;height:auto"></p>'
            for png, alt in self._pictures()
        )
        about = "".join(f"<p style='margin:.3em 0'>{_text(line)}</p>" for line in self.about())
        return (
            f"<section><h3>{_text(self.title)}</h3><p><b>New and music: {words[self.verdict.innovative]}.</b></p>"
            f"<ul>{verdict}</ul>"
            f'<div style="overflow-x:auto" tabindex="0" role="region" aria-label="{_text(self.title)}">'
            '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
            f"<caption>{_text(self.title)}: each number, that of held-out music, and its control</caption>"
            f'<thead><tr><th scope="col">number</th>{head}<th scope="col">passes</th></tr></thead>'
            f"<tbody>{body}</tbody></table></div>{pictures}<small>{about}</small></section>"
        )

    def _pictures(self) -> Iterator[tuple[bytes, str]]:
        passed = [row.title for row in self.rows if row.passed]
        failed = [row.title for row in self.rows if row.passed is False]
        yield (
            viz.png(viz.bullet_size([asdict(row) for row in self.rows]), self.figure),
            f"Bullet chart: of {len(passed) + len(failed)} numbers {len(passed)} pass, beside held-out music's band; "
            f"not {', '.join(failed) or 'a single one fails'}. The numbers are in the table.",
        )
        shown = [name for name, columns in self.values.items() if all(map(_any_number, columns[:2]))]
        if shown:
            yield (
                viz.png(viz.distributions_size(len(shown)), self.distributions),
                f"Histograms of {len(shown)} clip metrics: generated clips over held-out clips.",
            )


SUFFIXES = (".json", ".html")
"""How the name of a report's file may end."""

_LEFT, _RIGHT = "text-align:left", "text-align:right;padding:.1em .5em;white-space:nowrap"


def _text(text: str) -> str:
    return escape(printable(text))


def _html_row(row: Row) -> str:
    cells = _cells(row)
    words = f"{_text(row.title)} <small>({_text(row.unit)})</small>"
    title = f'<th scope="row" style="{_LEFT};font-weight:400">{words}</th>'
    if row.value is None:
        return f'<tr>{title}<td colspan="6" style="{_LEFT}"><i>{_text(row.reason)}</i></td></tr>'
    tip = f' title="{_text(row.control.replace("_", " "))}: {_number(row.null)}"'
    mark = {True: "✓ yes", False: "✗ no", None: f"<i>{_text(row.reason) or '–'}</i>"}[row.passed]
    middle = "".join(f'<td style="{_RIGHT}">{_text(cell)}</td>' for cell in cells[:4])
    return f'<tr>{title}{middle}<td style="{_RIGHT}"{tip}>{_text(cells[4])}</td><td style="{_RIGHT}">{mark}</td></tr>'


def _cells(row: Row) -> tuple[str, str, str, str, str, str]:
    """Value, held-out value, band, d, place and verdict of a row, as text."""
    if row.value is None:
        return "-", _number(row.real), "", "", "", row.reason
    d = "" if row.d is None else f"{row.d:+.2f}"
    if row.d_low is not None:
        d += f" [{row.d_low:+.2f}, {row.d_high:+.2f}]"
    place = "" if row.place is None else f"{row.place:.2f}".replace("-0.00", "0.00")
    band = f"{_number(row.low)} to {_number(row.high)}"
    mark = {True: "pass", False: "FAIL", None: row.reason}[row.passed]
    return _number(row.value), _number(row.real), band, d, place, mark


def _number(value: float | None) -> str:
    """Three figures, without an exponent."""
    if value is None:
        return "-"
    size = abs(value)
    text = f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"
    return text.removeprefix("-") if not float(text.replace(",", "")) else text


def _by_dimension(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows of each dimension, in the order in which dimensions first come."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.dimension, []).append(row)
    return list(found.items())


def _any_number(column: FloatArray) -> bool:
    return bool((~np.isnan(column)).any())
