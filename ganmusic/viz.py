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

from ganmusic.files import atomic_path, printable
from ganmusic.pianoroll import Grid, Piece, Roll, roll_to_piece

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ganmusic.corpora import Report

__all__ = [
    "COLOURS",
    "SUFFIXES",
    "curves",
    "describe",
    "note_name",
    "pianoroll",
    "picture",
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
    voices = _count(len(piece.tracks), "voice")
    if not pitches:
        return f"Piano-roll{title}: {voices}, no notes."
    names = ", ".join(track.name for track in piece.tracks)
    return (
        f"Piano-roll{title}: {voices} ({names}), {_count(piece.n_bars, 'bar')} "
        f"at {piece.tempo:g} beats a minute, {_count(len(pitches), 'note')} "
        f"from {note_name(min(pitches))} to {note_name(max(pitches))}."
    )


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


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
