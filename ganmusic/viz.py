"""Pictures of music and of training: piano-rolls, scores, loss curves, and words for them.

There are two piano-rolls. `pianoroll` draws on a matplotlib axes, for figures with several panels
and for files. `picture` writes a small SVG by hand (a note is eleven characters), for the player,
of which a page holds many. Both draw voices in the colours of Okabe and Ito (2008), which stay
apart for colour-blind readers, and leave a gap before each onset, so that repeated notes are seen.

Files are byte for byte the same each time they are written: no date, no random identifiers.
matplotlib and verovio are imported when something is drawn, so that importing this module is quick.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from ganmusic.files import atomic_path, counted, printable
from ganmusic.pianoroll import Grid, Piece, Roll, roll_to_piece

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ganmusic.corpora import Report

__all__ = [
    "COLOURS",
    "SUFFIXES",
    "bullet_size",
    "bullets",
    "compared",
    "curves",
    "describe",
    "describe_compared",
    "distributions",
    "distributions_size",
    "note_name",
    "pianoroll",
    "picture",
    "png",
    "position",
    "report",
    "save",
    "save_report",
    "score",
]

#: One colour a voice, from the top (Okabe and Ito 2008; the first four differ most, to every eye).
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#000000", "#e69f00", "#56b4e9", "#cc79a7")

#: How the name of a picture's file may end.
SUFFIXES = (".png", ".svg")

_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
_BLACK_KEYS = (1, 3, 6, 8, 10)
#: Pitch classes that are named on the axis: C, E and G.
_LABELLED = (0, 4, 7)
#: Steps by which a note is drawn shorter than it is, so that the next onset shows.
_GAP = 0.2


def note_name(pitch: int) -> str:
    """Name a MIDI pitch: 60 is C4, middle C."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def describe(piece: Piece) -> str:
    """Say in one sentence what a piano-roll of the piece shows: its alternative text."""
    pitches = [note.pitch for track in piece.tracks for note in track.notes]
    title = f" of “{piece.title}”" if piece.title else ""
    voices = counted(len(piece.tracks), "voice")
    if not pitches:
        return f"Piano-roll{title}: {voices}, no notes."
    names = ", ".join(track.name for track in piece.tracks)
    return (
        f"Piano-roll{title}: {voices} ({names}), {counted(piece.n_bars, 'bar')} "
        f"at {piece.tempo:g} beats a minute, {counted(len(pitches), 'note')} "
        f"from {note_name(min(pitches))} to {note_name(max(pitches))}."
    )


def _as_piece(music: Piece | Roll, grid: Grid | None) -> Piece:
    """A roll ``[shape=(track, bar, step, pitch)]`` as a piece; a piece as it is."""
    if isinstance(music, Piece):
        return music
    if music.sounding.ndim != 4:
        raise ValueError(
            "a picture shows one roll of four axes (track, bar, step, pitch), "
            f"not {music.sounding.ndim}"
        )
    n_tracks, _, n_steps, n_pitches = music.sounding.shape
    grid = grid or Grid(n_steps=n_steps, n_pitches=n_pitches)
    return roll_to_piece(music, grid, names=[f"voice {i + 1}" for i in range(n_tracks)])


def _extent(piece: Piece) -> tuple[int, int, int]:
    """Steps, lowest pitch, one past the highest to be shown: whole bars, at least an octave."""
    pitches = [note.pitch for track in piece.tracks for note in track.notes] or [60]
    low, high = min(pitches) - 1, max(pitches) + 2
    missing = max(0, 14 - (high - low))
    return (
        max(1, piece.n_bars) * piece.grid.n_steps,
        low - missing // 2,
        high + missing - missing // 2,
    )


def _bar_numbers(piece: Piece, n_steps: int) -> list[tuple[int, int]]:
    """``(step, number)`` of the bars to number; an incomplete first bar is 0, as in print."""
    n_bars = n_steps // piece.grid.n_steps
    first = 0 if piece.pickup else 1
    every = next(k for k in (1, 2, 4, 8, 16, 32, 64, 128, n_bars) if n_bars <= 16 * k)
    return [(i * piece.grid.n_steps, i + first) for i in range(0, n_bars, every)]


def pianoroll(
    music: Piece | Roll,
    ax: Axes | None = None,
    *,
    grid: Grid | None = None,
    title: str | None = None,
    legend: bool = True,
) -> Axes:
    """Draw a piano-roll: time from left to right, pitch upwards, a colour for each voice.

    Parameters
    ----------
    music : Piece or Roll
        A roll has the axes ``(track, bar, step, pitch)``.
    ax : matplotlib axes, optional
        Where to draw; a new figure by default.
    grid : Grid, optional
        The grid of a roll, where its lowest pitch is not the default grid's.
    title : str, optional
        The piece's own title by default.
    legend : bool
        Whether to name the voices beside the roll.

    Returns
    -------
    matplotlib axes

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    piece = _as_piece(music, grid)
    n_steps, low, high = _extent(piece)
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
    for pitch in range(low, high):
        if pitch % 12 in _BLACK_KEYS:
            ax.axhspan(pitch - 0.5, pitch + 0.5, color="0.96", lw=0, zorder=0)
    bar, beat = piece.grid.n_steps, piece.grid.steps_per_beat
    beats = [step for step in range(0, n_steps, beat) if step % bar]
    ax.vlines(beats, low - 0.5, high - 0.5, color="0.88", lw=0.6, zorder=1)
    ax.vlines(range(0, n_steps + 1, bar), low - 0.5, high - 0.5, color="0.6", lw=0.9, zorder=1)
    for i, track in enumerate(piece.tracks):
        colour = COLOURS[i % len(COLOURS)]
        for j, note in enumerate(track.notes):
            ax.broken_barh(
                [(note.onset, note.duration - _GAP)],
                (note.pitch - 0.4, 0.8),
                color=colour,
                lw=0,
                zorder=2,
                label=printable(track.name) if j == 0 else None,
            )
    ax.set_xlim(0, n_steps)
    ax.set_ylim(low - 0.5, high - 0.5)
    numbers = _bar_numbers(piece, n_steps)
    ax.set_xticks([step for step, _ in numbers], [str(number) for _, number in numbers])
    named = [pitch for pitch in range(low, high) if pitch % 12 in _LABELLED]
    ax.set_yticks(named, [note_name(pitch) for pitch in named])
    ax.tick_params(length=0, labelsize=8)
    ax.set_xlabel("bar")
    # Names are words, whatever dollar signs are in them.
    ax.set_title(printable(piece.title if title is None else title), fontsize=10, loc="left", parse_math=False)
    if legend and ax.get_legend_handles_labels()[0]:
        box = ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
        for text in box.get_texts():
            text.set_parse_math(False)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    return ax


def save(music: Piece | Roll, path: str | os.PathLike[str], **options: Any) -> None:
    """Draw a piano-roll into a PNG or SVG file; `options` as in `pianoroll`.

    Raises
    ------
    ValueError
        If the suffix is another.
    OSError
        If the file cannot be written; nothing is left half-written.
    """
    def draw(figure: Figure) -> None:
        pianoroll(music, figure.add_subplot(), **options)

    _save((9, 3.4), draw, path)


def report(found: Report, figure: Figure | None = None) -> Figure:
    """Draw what was found in a folder of music: ranges, keys, metres, lengths, time off the grid, instruments.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(9.5, 5), layout="constrained")
    files = found.read
    (ranges, keys, metres), (lengths, off, instruments) = figure.subplots(2, 3)
    heights = sorted((file.lowest, file.highest) for file in files if file.highest)
    for at, (low, high) in enumerate(heights):
        ranges.vlines(at, low - 0.5, high + 0.5, color=COLOURS[1], lw=max(0.4, min(6, 120 / len(heights))))
    ranges.set_yticks(range(24, 109, 12), [note_name(pitch) for pitch in range(24, 109, 12)])
    ranges.set(title="pitches of each file", xlabel="files, lowest first", xticks=[])
    _bars(keys, found.count("keys").most_common(10), "keys", "pieces", COLOURS[2])
    _bars(metres, found.count("metres").most_common(10), "metres", "pieces", COLOURS[0])
    lengths.hist([file.n_bars for file in files], 20, color=COLOURS[1])
    lengths.set(title="lengths", xlabel="bars", ylabel="files")
    off.hist([100 * file.off_grid for file in files], np.linspace(0, 100, 21), color=COLOURS[1])
    off.set(title="notes off the grid", xlabel="% of a file's notes", ylabel="files")
    _bars(instruments, found.count("instruments").most_common(10), "instruments", "files", COLOURS[2])
    for axis in (keys.xaxis, metres.xaxis, instruments.xaxis, lengths.xaxis, lengths.yaxis, off.yaxis):
        axis.get_major_locator().set_params(integer=True)  # they count
    for ax in (ranges, keys, metres, lengths, off, instruments):
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
        ax.title.set_fontsize(10)
    return figure


def _bars(ax: Axes, counts: Sequence[tuple[str, int]], title: str, unit: str, colour: str) -> None:
    """Draw counts as horizontal bars, the largest on top; a name of the file's own is cut where it is long."""
    names = [name if len(name) <= 22 else name[:21] + "…" for name, _ in counts]
    ax.barh(range(len(counts)), [n for _, n in counts], color=colour)
    ax.set_yticks(range(len(counts)), names)
    ax.set(title=title, xlabel=unit, ylim=(max(5.5, len(counts) - 0.5), -0.5))


def save_report(found: Report, path: str | os.PathLike[str]) -> None:
    """Draw a report, as `report` does, into a PNG or SVG file.

    Raises
    ------
    ValueError
        If the suffix is another.
    OSError
        If the file cannot be written; nothing is left half-written.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    _save((9.5, 5), lambda figure: report(found, figure), path)


def _save(size: tuple[float, float], draw: Callable[[Figure], object], path: str | os.PathLike[str]) -> None:
    """Draw a figure of a size in inches into a file, the same bytes each time."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: pictures end in {' or '.join(SUFFIXES)}")
    import matplotlib
    from matplotlib.figure import Figure

    # What matplotlib would add changes: the date, its version, identifiers salted at random.
    metadata: dict[str, Any] = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    with matplotlib.rc_context({"svg.hashsalt": "ganmusic"}), atomic_path(path) as temporary:
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(temporary, format=suffix[1:], dpi=150, metadata=metadata[suffix])


#: The marks of `bullets`: of a value that passes, of one that does not, and of one that was not judged.
_MARKS = {
    True: ("o", COLOURS[2], "passes"),
    False: ("X", COLOURS[0], "does not pass"),
    None: ("s", "0.4", "not judged"),
}
#: Where the axis of `bullets` ends: farther values are drawn at the edge.
_EDGES = (-1.0, 2.0)


def bullets(rows: Sequence[Mapping[str, Any]], figure: Figure | None = None) -> Figure:
    """Draw a bullet chart of a report: each number between held-out music (0) and its control (1).

    Parameters
    ----------
    rows : sequence of dict
        The rows of a report (`ganmusic.evaluation.Row`): ``name``, ``value``, ``real``, ``low``, ``high``, ``null``,
        ``control`` and ``passed``. Those that lack a number, or whose control is no different, are not drawn.
    figure : matplotlib figure, optional

    Taught in: notebooks/04-evaluation.ipynb
    """
    drawn = _placed(rows)
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=bullet_size(rows), layout="constrained")
    ax = figure.add_subplot()
    least, most = _EDGES
    for at, row in enumerate(drawn):
        low, high, place = (_place(row, row[name]) for name in ("low", "high", "value"))
        ends = np.clip(sorted((low, high)), least, most)
        # A band narrower than a line would not be seen.
        ax.barh(at, max(0.012, ends[1] - ends[0]), left=ends[0], height=0.7, color="0.85", zorder=1)
        mark, colour, label = _MARKS[row["passed"]]
        beyond = "<" if place < least else ">" if place > most else mark
        ax.plot(np.clip(place, least, most), at, marker=beyond, color=colour, ms=6, ls="", zorder=3, clip_on=False)
    ax.axvline(0, color="0.3", lw=1, zorder=2)
    ax.axvline(1, color="0.3", lw=1, ls="--", zorder=2)
    ax.set_yticks(range(len(drawn)), [f"{row['name']} ({row['control']})".replace("_", " ") for row in drawn])
    ax.set(xlim=_EDGES, ylim=(len(drawn) - 0.4, -0.6), xlabel="place of the value (the control is named in brackets)")
    ax.set_xticks([-1, 0, 1, 2], ["-1", "held-out music", "its control", "2"])
    ax.tick_params(length=0, labelsize=8)
    for mark, colour, label in _MARKS.values():
        ax.plot([], [], marker=mark, color=colour, ls="", label=label)
    ax.barh([0], [0], color="0.85", label="band of held-out music")
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4, frameon=False, fontsize=8)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    return figure


def bullet_size(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Width and height in inches that `bullets` needs.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return 7.5, 1.1 + 0.19 * len(_placed(rows))


def _placed(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that have a place between real music and a control."""
    needed = ("value", "low", "high", "place")
    return [row for row in rows if all(row[name] is not None for name in needed)]


def _place(row: Mapping[str, Any], value: float) -> float:
    return float((value - row["real"]) / (row["null"] - row["real"]))


def distributions(
    values: Mapping[str, Sequence[np.ndarray]],
    units: Mapping[str, str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw histograms of clip metrics: generated clips as a line over real ones, which are filled.

    Parameters
    ----------
    values : dict
        For each metric its values in generated and in held-out clips, two arrays; NaN are left out, and metrics that
        have no number on one side.
    units : dict, optional
        The unit of each metric.
    figure : matplotlib figure, optional

    Taught in: notebooks/04-evaluation.ipynb
    """
    known = {name: [column[~np.isnan(column)] for column in columns] for name, columns in values.items()}
    known = {name: columns for name, columns in known.items() if all(map(len, columns))}
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=distributions_size(len(known)), layout="constrained")
    n_rows = -(-len(known) // _COLUMNS)
    for at, (name, (mine, theirs)) in enumerate(known.items()):
        ax = figure.add_subplot(n_rows, _COLUMNS, at + 1)
        both = np.concatenate([mine, theirs])
        # Constant values get a bin of some width all the same.
        low, high = float(both.min()), float(both.max())
        edges = np.linspace(low, high, 25) if high > low else np.linspace(low - 0.5, low + 0.5, 26)
        for column, style in ((theirs, {"color": "0.8"}), (mine, {"color": COLOURS[1], "histtype": "step", "lw": 1.4})):
            ax.hist(column, list(edges), weights=np.full(len(column), 1 / len(column)), **style)
        ax.set_title(name.replace("_", " "), fontsize=8)
        if units:
            ax.set_xlabel(units[name], fontsize=7)
        ax.tick_params(labelsize=7, length=2)
        ax.set_yticks([])
        ax.locator_params(axis="x", nbins=4)
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
    figure.suptitle("share of clips: blue line generated, grey held-out", fontsize=9)
    return figure


#: Panels beside each other in `distributions`.
_COLUMNS = 5


def distributions_size(n_metrics: int) -> tuple[float, float]:
    """Width and height in inches that `distributions` needs.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return 9.0, 0.5 + 1.3 * -(-n_metrics // _COLUMNS)


def png(size: tuple[float, float], draw: Callable[[Figure], object]) -> bytes:
    """Draw a figure of a size in inches as the bytes of a PNG file, the same each time.

    Taught in: notebooks/04-evaluation.ipynb
    """
    from io import BytesIO

    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return stream.getvalue()


# The player's picture: pixels around the roll, and of the roll itself.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 800, 36, 8, 22, 20


def position(piece: Piece, step: float) -> float:
    """Where a step lies in `picture`, as a share of its width."""
    n_steps, _, _ = _extent(piece)
    return (_LEFT + (_WIDTH - _LEFT - _RIGHT) * step / n_steps) / _WIDTH


def picture(piece: Piece) -> str:
    """Write a piano-roll as a compact SVG: some 3 KB for eight bars of four voices.

    Inside the roll a unit is one step wide and one semitone high, so that most coordinates are
    small whole numbers; each voice is one path of horizontal strokes.
    """
    n_steps, low, high = _extent(piece)
    width = _WIDTH - _LEFT - _RIGHT
    height = min(320, max(130, 6 * (high - low)))
    bar, beat = piece.grid.n_steps, piece.grid.steps_per_beat
    rows = "".join(
        f"M0 {high - 1 - pitch}h{n_steps}v1H0z"
        for pitch in range(low, high)
        if pitch % 12 in _BLACK_KEYS
    )
    beats = "".join(f"M{step} 0v{high - low}" for step in range(0, n_steps, beat) if step % bar)
    bars = "".join(f"M{step} 0v{high - low}" for step in range(0, n_steps + 1, bar))
    voices, legend = [], []
    for i, track in enumerate(piece.tracks):
        colour = COLOURS[i % len(COLOURS)]
        strokes = "".join(
            f"M{note.onset} {high - 0.5 - note.pitch:g}h{note.duration - _GAP:g}"
            for note in track.notes
        )
        voices.append(f"<path stroke='{colour}' stroke-width='.8' d='{strokes}'/>")
        legend.append(f"<tspan fill='{colour}'>■</tspan> {escape(printable(track.name))}\u2003")
    labels = [
        f"<text x='{_LEFT - 5}' text-anchor='end' "
        f"y='{_TOP + (high - 0.5 - pitch) * height / (high - low) + 3.5:.0f}'>"
        f"{note_name(pitch)}</text>"
        for pitch in range(low, high)
        if pitch % 12 in _LABELLED
    ]
    labels += [
        f"<text x='{_LEFT + step * width / n_steps + 2:.0f}' "
        f"y='{_TOP + height + 14}'>{number}</text>"
        for step, number in _bar_numbers(piece, n_steps)
    ]
    total = _TOP + height + _BOTTOM
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{total}' "
        f"viewBox='0 0 {_WIDTH} {total}'><rect width='100%' height='100%' fill='#fff'/>"
        f"<g transform='translate({_LEFT} {_TOP}) "
        f"scale({width / n_steps:.5g} {height / (high - low):.5g})' fill='none'>"
        f"<path fill='#f3f3f3' d='{rows}'/>"
        # Lines are as thick as on the screen, however much the roll is stretched.
        f"<path stroke='#ddd' stroke-width='.7' vector-effect='non-scaling-stroke' d='{beats}'/>"
        f"<path stroke='#999' vector-effect='non-scaling-stroke' d='{bars}'/>{''.join(voices)}</g>"
        f"<g font-family='sans-serif' font-size='11' fill='#333'>"
        f"<text x='{_LEFT}' y='14'>{''.join(legend)}</text>{''.join(labels)}</g></svg>"
    )


def compared(
    first: Piece,
    second: Piece,
    n_steps: int,
    bars: tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]],
) -> str:
    """Write two passages as one SVG, one piano-roll above the other, with the notes that both have filled.

    A note that the other passage does not have, at the same step and pitch, is hollow: one sees what is shared
    without telling colours apart. Both rolls have the same axes, and each its own bar lines, which need not be
    at the same steps.

    Parameters
    ----------
    first, second : Piece
        The passages, from step 0; their titles stand above them.
    n_steps : int
        Steps that are shown.
    bars : pair of list of (step, number)
        Where a bar begins in each passage, and its number.

    Returns
    -------
    str
        An SVG document, the same each time; `describe_compared` gives its alternative text.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    shared = first.starts & second.starts
    pitches = [note.pitch for piece in (first, second) for track in piece.tracks for note in track.notes] or [60]
    low, high = min(pitches) - 1, max(pitches) + 2
    missing = max(0, 14 - (high - low))
    low, high = low - missing // 2, high + missing - missing // 2
    width, height = _WIDTH - _LEFT - _RIGHT, min(200, max(100, 5 * (high - low)))
    head, foot = 36, 18  # two lines of words above a roll, one of numbers below it
    total = 2 * (head + height + foot) + 16
    panels = [
        _panel(piece, shared, n_steps, low, high, lines, at * (head + height + foot), head, width, height)
        for at, (piece, lines) in enumerate(zip((first, second), bars, strict=True))
    ]
    key = "filled: a note that both have at this place and pitch\u2003hollow: a note of this one alone"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{total}' "
        f"viewBox='0 0 {_WIDTH} {total}'><rect width='100%' height='100%' fill='#fff'/>{''.join(panels)}"
        f"<text x='{_LEFT}' y='{total - 6}' font-family='sans-serif' font-size='11' fill='#333'>{key}</text></svg>"
    )


def _panel(
    piece: Piece,
    shared: set[tuple[int, int]],
    n_steps: int,
    low: int,
    high: int,
    lines: Sequence[tuple[int, int]],
    top: int,
    head: int,
    width: int,
    height: int,
) -> str:
    """Write one roll of `compared`; inside it a unit is one step wide and one semitone high."""
    beat = piece.grid.steps_per_beat
    begin = lines[0][0] % beat if lines else 0
    bars = {step for step, _ in lines}
    rows = "".join(
        f"M0 {high - 1 - pitch}h{n_steps}v1H0z" for pitch in range(low, high) if pitch % 12 in _BLACK_KEYS
    )
    beats = "".join(f"M{step} 0v{high - low}" for step in range(begin, n_steps, beat) if step not in bars)
    edges = "".join(f"M{step} 0v{high - low}" for step, _ in lines)
    voices, legend = [], []
    for i, track in enumerate(piece.tracks):
        colour = COLOURS[i % len(COLOURS)]
        strokes, holes = [], []
        for onset, duration, pitch in track.notes:
            y = high - 0.5 - pitch
            strokes.append(f"M{onset} {y:g}h{duration - _GAP:g}")
            if (onset, pitch) not in shared:
                holes.append(f"M{onset + 0.12:g} {y:g}h{duration - _GAP - 0.24:g}")
        voices.append(f"<path stroke='{colour}' stroke-width='.8' d='{''.join(strokes)}'/>")
        voices.append(f"<path stroke='#fff' stroke-width='.44' d='{''.join(holes)}'/>")
        legend.append(f"<tspan fill='{colour}'>■</tspan> {escape(printable(track.name))}\u2003")
    labels = [
        f"<text x='{_LEFT - 5}' text-anchor='end' y='{head + (high - 0.5 - pitch) * height / (high - low) + 3.5:.0f}'>"
        f"{note_name(pitch)}</text>"
        for pitch in range(low, high)
        if pitch % 12 in _LABELLED
    ]
    labels += [
        f"<text x='{_LEFT + step * width / n_steps + 2:.0f}' y='{head + height + 13}'>{number}</text>"
        for step, number in lines
        if step < n_steps
    ]
    title = escape(_shortened(printable(piece.title), 110))
    return (
        f"<g transform='translate(0 {top})'><g transform='translate({_LEFT} {head}) "
        f"scale({width / n_steps:.5g} {height / (high - low):.5g})' fill='none'>"
        f"<path fill='#f3f3f3' d='{rows}'/>"
        f"<path stroke='#ddd' stroke-width='.7' vector-effect='non-scaling-stroke' d='{beats}'/>"
        f"<path stroke='#999' vector-effect='non-scaling-stroke' d='{edges}'/>{''.join(voices)}</g>"
        f"<g font-family='sans-serif' font-size='11' fill='#333'>"
        f"<text x='{_LEFT}' y='14' font-size='13' font-weight='600'>{title}</text>"
        f"<text x='{_LEFT}' y='30'>{''.join(legend)}</text>{''.join(labels)}</g></g>"
    )


def describe_compared(first: Piece, second: Piece) -> str:
    """Say in one sentence what `compared` shows: its alternative text.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    shared = len(first.starts & second.starts)
    n_first, n_second = (sum(len(track.notes) for track in piece.tracks) for piece in (first, second))
    are = "is" if shared == 1 else "are"
    return (
        f"Two piano-rolls, one above the other: “{first.title}”, {counted(n_first, 'note')}, and “{second.title}”, "
        f"{counted(n_second, 'note')}; {counted(shared, 'note')} {are} in both at the same place and pitch."
    )


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def curves(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    ax: Axes | None = None,
    *,
    x: str = "step",
    smooth: float = 0.9,
    title: str = "",
) -> Axes:
    """Draw columns of a training history against the step, smoothed, raw values faint behind.

    Parameters
    ----------
    rows : iterable of dict
        A `History` or any rows with a column `x`; rows may lack a column.
    columns : list of str, optional
        What to draw; every column that ends in ``loss`` by default.
    smooth : float
        Weight of the past in the exponential mean, ``m <- smooth * m + (1 - smooth) * value``,
        corrected for its start at 0 as Adam does; 0 draws the values alone.

    Raises
    ------
    ValueError
        If there is nothing to draw.

    Taught in: notebooks/03-training.ipynb
    """
    rows = list(rows)
    if columns is None:
        columns = list(dict.fromkeys(name for row in rows for name in row if name.endswith("loss")))
    if not any(name in row for row in rows for name in columns):
        raise ValueError(
            f"none of the {len(rows)} rows has a column to draw"
            + "".join(f" {c!r}" for c in columns)
        )
    if not 0 <= smooth < 1:
        raise ValueError(f"smooth must be at least 0 and below 1, not {smooth}")
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for i, name in enumerate(columns):
        kept = [row for row in rows if row.get(name) is not None]
        steps = [row[x] for row in kept]
        values = np.array([row[name] for row in kept], dtype=float)
        colour = COLOURS[i % len(COLOURS)]
        if smooth:
            ax.plot(steps, values, color=colour, lw=0.7, alpha=0.3)
        ax.plot(
            steps, _smoothed(values, smooth), color=colour, lw=1.6, label=name.replace("_", " ")
        )
    ax.set_xlabel(x)
    ax.set_title(title, fontsize=10, loc="left")
    ax.grid(color="0.9", lw=0.6)
    ax.legend(frameon=False, fontsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential mean of ``values [shape=(n,)]`` without the pull of its start."""
    means = np.empty_like(values)
    mean = 0.0
    for i, value in enumerate(values):
        mean = weight * mean + (1 - weight) * value
        means[i] = mean / (1 - weight ** (i + 1))
    return means


def score(piece: Piece, *, width: int = 2200, scale: int = 36) -> str:
    """Engrave a piece as a page of notation, with verovio.

    verovio (8.6 MB, LGPL) is not installed with the package, because only fixed examples need it:
    ``pip install ganmusic[score]``.

    Parameters
    ----------
    width : int
        Width of the page in tenths of a millimetre; its height follows the music.
    scale : int
        Size in percent.

    Returns
    -------
    str
        An SVG document, the same each time.

    Raises
    ------
    ImportError
        If verovio is not installed.
    ValueError
        If verovio cannot read the piece, or if it does not fit on one page.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    try:
        import verovio
    except ImportError:
        raise ImportError("score images need verovio: pip install ganmusic[score]") from None
    from ganmusic.midi import to_musicxml

    toolkit = verovio.toolkit()
    toolkit.setOptions(
        {
            "pageWidth": width,
            "scale": scale,
            "adjustPageHeight": True,
            "pageHeight": 60000,
            "footer": "none",
            "svgViewBox": True,
            "svgFormatRaw": True,
            "xmlIdSeed": 1,
        }
    )
    if not toolkit.loadData(to_musicxml(piece)):
        raise ValueError(f"verovio cannot read the piece {piece.title!r}")
    if toolkit.getPageCount() > 1:
        raise ValueError(f"the piece {piece.title!r} is too long for one score image")
    return str(toolkit.renderToSVG(1))
