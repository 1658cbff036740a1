"""Figures, checked by what they hold: places of notes, labels, colours; bytes that stay."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from ganmusic import viz
from ganmusic.corpora.report import FileReport, Report
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track, piece_to_roll

# Two voices that differ in everything; the lower one repeats a note without a rest.
PIECE = Piece(
    (
        Track("flute", (Note(4, 12, 74), Note(16, 6, 77), Note(22, 2, 76)), 73),
        Track("cello & bass", (Note(0, 4, 50), Note(4, 4, 50), Note(8, 24, 45))),
    ),
    Grid(),
    96.0,
    "Two <voices>",
)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  (our own output)


SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def note_boxes(ax):
    """``(left, right, bottom, top, colour)`` of every drawn note."""
    boxes = []
    for collection in ax.collections:
        if collection.get_zorder() == 2:
            for path in collection.get_paths():
                (x0, y0), (x1, y1) = path.vertices.min(0), path.vertices.max(0)
                boxes.append(
                    (x0, x1, y0, y1, matplotlib.colors.to_hex(collection.get_facecolor()[0]))
                )
    return boxes


@pytest.mark.parametrize(
    ("pitch", "name"),
    [(60, "C4"), (0, "C-1"), (127, "G9"), (61, "C♯4"), (70, "B♭4"), (69, "A4"), (59, "B3")],
)
def test_note_names(pitch, name):
    assert viz.note_name(pitch) == name


def test_notes_lie_at_their_step_and_pitch():
    boxes = note_boxes(viz.pianoroll(PIECE))
    expected = [note for track in PIECE.tracks for note in track.notes]
    assert len(boxes) == len(expected)
    for (left, right, bottom, top, _), note in zip(boxes, expected, strict=True):
        assert left == note.onset
        assert note.end - 0.5 < right < note.end
        assert bottom < note.pitch < top
        assert top - bottom < 1


def test_repeated_notes_are_seen_as_two():
    boxes = note_boxes(viz.pianoroll(PIECE))
    first, second = (box for box in boxes if box[2] < 50 < box[3])
    assert first[1] < second[0]


def test_each_voice_has_its_colour_and_its_name():
    ax = viz.pianoroll(PIECE)
    colours = [box[4] for box in note_boxes(ax)]
    assert colours == [viz.COLOURS[0]] * 3 + [viz.COLOURS[1]] * 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["flute", "cello & bass"]
    assert viz.pianoroll(PIECE, legend=False).get_legend() is None


def test_colours_differ_for_every_kind_of_eye():
    # After Viénot, Brettel and Mollon (1999), in linear RGB: no red, then no green receptors.
    rgb = np.array([matplotlib.colors.to_rgb(c) for c in viz.COLOURS[:4]])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for red, green, blue in (
        ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
        ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ):
        seen = np.clip(linear @ np.array([red, green, blue]).T, 0, 1) ** (1 / 2.2)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert distance[np.triu_indices(4, 1)].min() > 0.25


def test_axes_name_bars_and_notes():
    ax = viz.pianoroll(PIECE)
    assert ax.get_xlim() == (0, 32)
    assert [(t.get_position()[0], t.get_text()) for t in ax.get_xticklabels()] == [
        (0, "1"),
        (16, "2"),
    ]
    labels = {t.get_text(): t.get_position()[1] for t in ax.get_yticklabels()}
    assert labels["C4"] == 60
    assert labels["E5"] == 76
    assert ax.get_title(loc="left") == "Two <voices>"
    assert viz.pianoroll(PIECE, title="Other").get_title(loc="left") == "Other"


def test_an_incomplete_first_bar_is_bar_0():
    upbeat = Piece((Track("air", (Note(12, 4, 67), Note(16, 16, 72))),), pickup=4)
    assert [t.get_text() for t in viz.pianoroll(upbeat).get_xticklabels()] == ["0", "1"]


def test_long_pieces_number_few_bars():
    long = Piece((Track("air", (Note(0, 16 * 100, 67),)),))
    assert [t.get_text() for t in viz.pianoroll(long).get_xticklabels()][:3] == ["1", "9", "17"]


def test_a_roll_looks_like_its_piece():
    roll = piece_to_roll(PIECE)
    np.testing.assert_allclose(
        [box[:4] for box in note_boxes(viz.pianoroll(roll))],
        [box[:4] for box in note_boxes(viz.pianoroll(PIECE))],
    )
    low = Grid(low=24, n_pitches=60)
    moved = note_boxes(viz.pianoroll(piece_to_roll(Piece(PIECE.tracks, low)), grid=low))
    assert [box[:4] for box in moved] == pytest.approx(
        np.array([box[:4] for box in note_boxes(viz.pianoroll(PIECE))])
    )


def test_a_batch_of_rolls_is_no_picture():
    roll = piece_to_roll(PIECE)
    with pytest.raises(ValueError, match="not 5"):
        viz.pianoroll(Roll(roll.sounding[None], roll.onset[None]))


def test_draws_into_given_axes():
    _, axes = plt.subplots(2)
    assert viz.pianoroll(PIECE, axes[1]) is axes[1]
    assert not note_boxes(axes[0])


def test_a_piece_without_notes_is_an_empty_roll():
    empty = Piece((Track("rest", ()),))
    assert note_boxes(viz.pianoroll(empty)) == []
    assert viz.describe(empty) == "Piano-roll: 1 voice, no notes."
    parse(viz.picture(empty))


def test_description():
    assert viz.describe(PIECE) == (
        "Piano-roll of “Two <voices>”: 2 voices (flute, cello & bass), 2 bars "
        "at 96 beats a minute, 6 notes from A2 to F5."
    )


@pytest.mark.parametrize("suffix", ["png", "SVG"])
def test_saved_files_are_the_same_each_time(suffix, tmp_path):
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        viz.save(PIECE, file)
    a, b = (file.read_bytes() for file in files)
    assert a == b
    assert a.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    assert b"date" not in a.lower()


def test_saving_under_another_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"roll\.jpg: pictures end in \.png or \.svg"):
        viz.save(PIECE, tmp_path / "roll.jpg")
    assert list(tmp_path.iterdir()) == []


def test_picture_is_small_valid_svg_with_escaped_names():
    svg = viz.picture(PIECE)
    tree = parse(svg)
    assert "cello & bass" in "".join(tree.itertext())
    assert '"' not in svg  # so that it needs no escaping in an attribute
    many = Piece(
        tuple(Track(str(v), tuple(Note(i, 1, 60 + v) for i in range(128))) for v in range(4))
    )
    assert len(viz.picture(many)) < 9000


def test_picture_draws_every_note_as_a_stroke():
    paths = [
        p for p in parse(viz.picture(PIECE)).iter(f"{SVG}path") if p.get("stroke") in viz.COLOURS
    ]
    assert [p.get("d").count("M") for p in paths] == [3, 3]
    # The top row is one semitone above F5, the highest note: F5 has its middle at 1.5 rows.
    assert paths[0].get("d") == "M4 4.5h11.8M16 1.5h5.8M22 2.5h1.8"


def test_position_says_where_a_step_lies_in_the_picture():
    tree = parse(viz.picture(PIECE))
    group = next(g for g in tree.iter(f"{SVG}g") if g.get("transform"))
    left, scale = (
        float(group.get("transform").split(word)[1].split()[0]) for word in ("translate(", "scale(")
    )
    for step in (0, 5, 32):
        assert viz.position(PIECE, step) * 800 == pytest.approx(left + step * scale, abs=0.01)


ROWS = [
    {"step": 10, "discriminator_loss": 1.0, "generator_loss": 4.0},
    {"step": 20, "discriminator_loss": 3.0, "generator_loss": 2.0, "distance": 9.0},
    {"step": 40, "discriminator_loss": 5.0, "generator_loss": 6.0},
]


def test_curves_of_losses_by_default():
    ax = viz.curves(ROWS, smooth=0, title="Losses")
    assert [line.get_label() for line in ax.lines] == ["discriminator loss", "generator loss"]
    assert ax.lines[0].get_xydata().tolist() == [[10, 1], [20, 3], [40, 5]]
    assert ax.get_xlabel() == "step"
    assert ax.get_title(loc="left") == "Losses"


def test_curves_are_smoothed_without_bias():
    ax = viz.curves(ROWS, ["generator_loss"], smooth=0.5)
    raw, smooth = ax.lines
    assert raw.get_ydata().tolist() == [4, 2, 6]
    # 4; (.25 * 4 + .5 * 2) / .75; (.125 * 4 + .25 * 2 + .5 * 6) / .875
    assert smooth.get_ydata() == pytest.approx([4, 8 / 3, 32 / 7])


def test_curves_of_a_column_that_some_rows_lack():
    ax = viz.curves(ROWS, ["distance"], smooth=0)
    assert ax.lines[0].get_xydata().tolist() == [[20, 9]]


def test_curves_of_nothing():
    with pytest.raises(ValueError, match="none of the 3 rows has a column to draw 'los'"):
        viz.curves(ROWS, ["los"])
    with pytest.raises(ValueError, match="none of the 0 rows"):
        viz.curves([])
    with pytest.raises(ValueError, match="smooth"):
        viz.curves(ROWS, smooth=1.0)


def test_score_is_notation_and_the_same_each_time():
    svg = viz.score(PIECE)
    tree = parse(svg)
    classes = [g.get("class") for g in tree.iter(f"{SVG}g")]
    assert classes.count("staff") == 2 * 2
    # Eight noteheads: the long notes of both voices are tied over a bar line or a beat.
    assert classes.count("note") >= 6
    assert viz.score(PIECE) == svg


def test_score_without_verovio_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "verovio", None)
    with pytest.raises(ImportError, match=r"pip install ganmusic\[score\]"):
        viz.score(PIECE)


def test_importing_loads_neither_matplotlib_nor_verovio():
    code = (
        "import sys, ganmusic.viz;"
        "print([m for m in ('matplotlib', 'verovio', 'torch') if m in sys.modules])"
    )
    root = Path(viz.__file__).parent.parent
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert out.stdout.strip() == "[]"


def test_names_are_words_whatever_is_in_them(tmp_path):
    odd = replace(PIECE, title="$\\alpha$ and $\\foo$ \x01", tracks=(replace(PIECE.tracks[0], name="$\\foo$ \x02"),))
    viz.save(odd, tmp_path / "odd.svg")
    assert parse((tmp_path / "odd.svg").read_text()) is not None
    assert "$\\foo$" in "".join(parse(viz.picture(odd)).itertext())


def found_in_a_folder() -> Report:
    """A report on two files that differ, a file of drums, and one that was skipped."""
    long = FileReport(
        "a.mid", n_notes=90, n_bars=30, metres=["4/4", "3/4"], keys=["D minor", "F major"], lowest=40, highest=81,
        off_grid=0.62, instruments=["Electric Bass (finger)", "Violin"], n_pieces=2,
    )  # fmt: skip
    short = FileReport("b.mid", n_notes=9, n_bars=4, metres=["4/4"], keys=["D minor"], lowest=28, highest=52)
    drums = FileReport("c.mid", n_notes=9, n_bars=4, metres=["4/4"], instruments=["drums"])
    return Report("/x", "'parts'", ["a"], [0], [long, short, drums, FileReport("d.mid", skipped="damaged")], 3)


def test_a_report_is_drawn_with_its_counts():
    figure = viz.report(found_in_a_folder())
    ranges, keys, metres, lengths, off, instruments = figure.axes
    spans = [segment[:, 1].tolist() for lines in ranges.collections for segment in lines.get_segments()]
    assert spans == [[27.5, 52.5], [39.5, 81.5]]  # lowest first; drums have no pitch
    drawn = {}
    for ax in (keys, metres, instruments):
        names = [label.get_text() for label in ax.get_yticklabels()]
        drawn[ax.get_title()] = dict(zip(names, [bar.get_width() for bar in ax.patches], strict=True))
    assert drawn["keys"] == {"D minor": 2, "F major": 1}
    assert drawn["metres"] == {"4/4": 3, "3/4": 1}
    assert drawn["instruments"] == {"Electric Bass (finger)": 1, "Violin": 1, "drums": 1}
    assert sum(bar.get_height() for bar in lengths.patches) == 3
    assert [(round(bar.get_x()), bar.get_height()) for bar in off.patches if bar.get_height()] == [(0, 2), (60, 1)]
    assert all(ax.get_title() and ax.get_xlabel() for ax in figure.axes)


def test_a_report_is_drawn_into_a_figure_and_if_it_is_empty():
    figure = plt.figure()
    assert viz.report(Report("/x", "", ["a"], [0], [FileReport("d.mid", skipped="damaged")]), figure) is figure
    assert len(figure.axes) == 6


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_report_is_saved_the_same_each_time(suffix, tmp_path):
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        viz.save_report(found_in_a_folder(), file)
    a, b = (file.read_bytes() for file in files)
    assert a == b
    with pytest.raises(ValueError, match=r"pictures end in \.png or \.svg"):
        viz.save_report(found_in_a_folder(), tmp_path / "c.pdf")
    assert sorted(tmp_path.iterdir()) == files


# Two passages ---------------------------------------------------------------------------------------

# Of the upper one's three notes the first and the last are in the lower one, which has a voice more.
UPPER = Piece((Track("a & b", (Note(0, 4, 60), Note(4, 4, 62), Note(8, 2, 67)), 19),), Grid(), title="Mine <1>")
LOWER = Piece(
    (Track("low", (Note(0, 2, 60), Note(4, 4, 63))), Track("high", (Note(8, 8, 67), Note(20, 4, 72)))),
    Grid(),
    title="Bach's",
)
BAR_LINES = (((0, 5), (16, 6)), ((4, 12), (20, 13)))


def strokes(group: ET.Element) -> list[tuple[str, str, int]]:
    """``(colour, width, how many)`` of the note strokes in one roll."""
    return [
        (path.get("stroke", ""), path.get("stroke-width", ""), path.get("d", "").count("M"))
        for path in group.iter(SVG + "path")
        if path.get("stroke-width") in (".8", ".44")
    ]


def test_of_two_passages_the_shared_notes_are_filled_and_the_others_hollow():
    upper, lower = parse(viz.compared(UPPER, LOWER, 32, BAR_LINES)).findall(SVG + "g")
    assert strokes(upper) == [(viz.COLOURS[0], ".8", 3), ("#fff", ".44", 1)]
    assert strokes(lower) == [
        *((viz.COLOURS[0], ".8", 2), ("#fff", ".44", 1)),
        *((viz.COLOURS[1], ".8", 2), ("#fff", ".44", 1)),
    ]


def test_two_passages_have_one_axis_of_pitch_and_each_its_own_bars():
    panels = parse(viz.compared(UPPER, LOWER, 32, BAR_LINES)).findall(SVG + "g")
    words = [[text.text for text in panel.iter(SVG + "text") if text.text] for panel in panels]
    pitches = [[word for word in panel if word[0] in "CEG" and word[-1].isdigit()] for panel in words]
    assert pitches[0] == pitches[1] == ["C4", "E4", "G4", "C5"]
    assert [panel[-2:] for panel in words] == [["5", "6"], ["12", "13"]]
    assert [panel[0] for panel in words] == ["Mine <1>", "Bach's"]
    # The lower one's bars begin at steps 4 and 20, and its beats four steps apart from there.
    lines = [path.get("d") for path in panels[1].iter(SVG + "path") if path.get("vector-effect")]
    assert [[part.split()[0] for part in line.split("M")[1:]] for line in lines] == [
        ["0", "8", "12", "16", "24", "28"],
        ["4", "20"],
    ]


def test_two_passages_are_told_in_words():
    assert viz.describe_compared(UPPER, LOWER) == (
        "Two piano-rolls, one above the other: “Mine <1>”, 3 notes, and “Bach's”, 4 notes; "
        "2 notes are in both at the same place and pitch."
    )
    nothing = replace(LOWER, tracks=(), title="")
    assert "0 notes are in both" in viz.describe_compared(UPPER, nothing)


def test_two_passages_without_notes_and_with_long_names_still_make_a_picture():
    silent = replace(UPPER, tracks=(Track("t" * 9, ()),), title="x" * 500)
    svg = viz.compared(silent, silent, 16, ((), ()))
    assert "x" * 109 + "…" in svg
    assert len(parse(svg).findall(SVG + "g")) == 2
    assert svg == viz.compared(silent, silent, 16, ((), ()))


# Reports on generated music -------------------------------------------------------------------------


def row_of(name: str, value: float | None, passed: bool | None, **numbers: float) -> dict[str, object]:
    row = {"name": name, "control": "noise", "value": value, "passed": passed, "place": None}
    row |= {"real": 2.0, "low": 1.5, "high": 3.0, "null": 4.0, **numbers}
    if value is not None and row["null"] != row["real"]:
        row["place"] = (value - row["real"]) / (row["null"] - row["real"])
    return row


#: Inside the band; outside; far beyond the control; without a number; no different from its control.
REPORTED = [
    row_of("step_rate", 2.5, True),
    row_of("leap_rate", 1.0, False),
    row_of("far", 40.0, False, null=1.0),
    row_of("none", None, None),
    row_of("blind", 2.0, True, null=2.0),
]


def test_bullets_lie_between_real_music_and_the_control():
    figure = viz.bullets(REPORTED)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "step rate (noise)", "leap rate (noise)", "far (noise)"
    ]  # fmt: skip
    points = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert [(float(p.get_xdata()[0]), float(p.get_ydata()[0])) for p in points] == [(0.25, 0), (-0.5, 1), (-1, 2)]
    assert [p.get_marker() for p in points] == ["o", "X", "<"]
    bands = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches[:3]]
    assert bands[:2] == [(-0.25, 0.5)] * 2
    assert bands[2] == (-1, 0.5)  # the control lies below real music, so the band is the other way round


def test_distributions_are_shares_on_one_axis_and_leave_out_what_is_not_there():
    nothing = np.full(3, np.nan)
    values = {"a_b": (np.array([0.0, 1, np.nan]), np.array([1.0, 2, 4, 4])), "c": (nothing, np.ones(2))}
    values["same"] = (np.ones(3), np.ones(2))
    figure = viz.distributions(values, {"a_b": "notes", "c": "x", "same": "share"})
    assert [ax.get_title() for ax in figure.axes] == ["a b", "same"]
    assert [ax.get_xlabel() for ax in figure.axes] == ["notes", "share"]
    bars = figure.axes[0].patches[:24]
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
    assert bars[0].get_x() == pytest.approx(0)
    assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(4)
    assert bars[-1].get_height() == 0.5


def test_figures_grow_with_what_they_show_and_are_the_same_bytes_each_time():
    assert viz.bullet_size(REPORTED)[1] > viz.bullet_size(REPORTED[:2])[1]
    assert viz.distributions_size(11)[1] > viz.distributions_size(5)[1]
    first, second = (
        viz.png(viz.bullet_size(REPORTED), lambda figure: viz.bullets(REPORTED, figure)) for _ in range(2)
    )
    assert first == second
    assert first.startswith(b"\x89PNG")
