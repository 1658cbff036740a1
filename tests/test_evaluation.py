"""The report: its arithmetic, what passes and what fails, what is said without a number, and how it is shown."""

from __future__ import annotations

import errno
import json
import math
import re
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ganmusic import evaluation, midi
from ganmusic.evaluation import (
    Clips,
    Condition,
    Reference,
    Report,
    Row,
    Verdict,
    clips_of_run,
    evaluate,
    read_clips,
    reference,
)
from ganmusic.evaluation.clips import joined
from ganmusic.evaluation.report import verdict_of
from ganmusic.metrics import METRICS
from ganmusic.metrics import evaluate as measure
from ganmusic.metrics.controls import CONTROLS
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track

GRID = Grid(8, 2, 48, 24)


def clips_of(counts, *, piece=None, drums=(), grid=GRID, n_tracks=2, n_bars=2):
    """Clips with so many short notes each, rising from the lowest pitch on the first track."""
    shape = (len(counts), n_tracks, n_bars, grid.n_steps, grid.n_pitches)
    roll = Roll(np.zeros(shape, bool), np.zeros(shape, bool))
    for clip, count in enumerate(counts):
        for k in range(count):
            for plane in roll:
                plane.reshape(len(counts), n_tracks, -1, grid.n_pitches)[clip, 0, k, k] = True
    return Clips(roll, grid, drums, None if piece is None else np.array(piece))


def piece_of(pitches, grid=GRID, is_drum=False):
    notes = tuple(Note(2 * k, 2, pitch) for k, pitch in enumerate(pitches))
    return Piece((Track("one", notes, is_drum=is_drum), Track("two", ())), grid)


PIECES = (piece_of([48, 50, 53, 55, 52, 49, 48, 50]),)
#: Held-out clips come from five pieces, of 3, 2, 1, 1 and 1 clips.
HELD_OUT = clips_of([2, 3, 3, 5, 4, 9, 1, 2], piece=[0, 0, 0, 1, 1, 2, 3, 4])
TRAINING = clips_of([3, 4, 2, 6, 5, 1], piece=[0, 0, 1, 1, 2, 2])


def small(held_out=HELD_OUT, training=TRAINING, pieces=PIECES):
    return Reference("made up", held_out, training, pieces)


@pytest.fixture(scope="module")
def bach():
    """A part of the chorales as a reference: all of it takes a minute."""
    whole = reference("chorales")
    held_out = whole.held_out.select(np.arange(0, len(whole.held_out), 2))
    training = whole.training.select(np.isin(whole.training.piece, np.unique(whole.training.piece)[:14]))
    few = Reference("chorales", held_out, training, whole.pieces[:16])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.compare, "DIVISIONS", 5)
        patch.setattr(evaluation.compare, "NULL_DIVISIONS", 1)
        for part in (evaluation.clips, evaluation.compare, evaluation.statistics):
            patch.setattr(part, "N_CLIPS", 100)
        yield few


def some(clips, n=100):
    return clips.select(np.sort(np.random.default_rng(1).permutation(len(clips))[:n]))


# Arithmetic -----------------------------------------------------------------------------------------


def test_a_clip_metric_is_compared_as_one_would_by_hand():
    generated = clips_of([6, 2, 4, 1, 7])
    report = evaluate(generated, small(), seed=8)
    row = report["notes_per_bar"]
    # Notes in two bars, halved.
    mine, theirs = np.array([3, 1, 2, 0.5, 3.5]), np.array([1, 1.5, 1.5, 2.5, 2, 4.5, 0.5, 1])
    assert (row.n, row.kind, row.dimension, row.worse) == (5, "clip", "rhythm", "both")
    assert row.value == pytest.approx(2.0)
    assert row.real == pytest.approx(theirs.mean())
    assert row.low == pytest.approx(np.percentile(theirs, 5))
    assert row.high == pytest.approx(np.percentile(theirs, 95))
    assert row.passed
    assert row.d == pytest.approx((2.0 - theirs.mean()) / math.sqrt((mine.var() + theirs.var()) / 2))
    control = CONTROLS[METRICS["notes_per_bar"].null](HELD_OUT.roll, GRID, 8)
    null = measure(control, GRID)["notes_per_bar"].mean()
    assert row.null == pytest.approx(null)
    assert row.place == pytest.approx((2.0 - theirs.mean()) / (null - theirs.mean()))


def test_a_gap_needs_pieces_and_says_how_many():
    report = evaluate(clips_of([6, 2, 4], piece=[0, 0, 1]), small())
    row = report["notes_per_bar"]
    assert (row.d, row.d_low, row.d_high, row.passed) == (None, None, None, None)
    assert row.reason == "needs at least 5 generated pieces, 2 given"
    assert row.reason in str(report)
    assert row.reason in report._repr_html_()
    assert f"cannot be told ({row.reason})" in report.verdict.conditions[-1].numbers


def test_few_clips_are_no_evidence_of_likeness():
    """An interval that is wide enough to hold 0 and a large gap as well does not make up for a value off the band."""
    held_out = clips_of([0] * 39 + [8], piece=range(40))
    row = evaluate(clips_of([0, 0, 0, 8, 0, 8]), small(held_out))["notes_per_bar"]
    assert row.value > row.high
    assert row.d_high > 0.5
    assert row.passed is False


def test_an_interval_is_wider_where_clips_come_from_few_pieces():
    counts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 3, 5]
    held_out = clips_of([2, 3, 4, 5, 6, 7], piece=range(6))
    alone, grouped = (
        evaluate(clips_of(sorted(counts), piece=piece), small(held_out))["notes_per_bar"]
        for piece in (None, np.arange(12) // 2)
    )
    assert alone.d == grouped.d
    assert alone.d_low < alone.d < alone.d_high
    assert grouped.d_high - grouped.d_low > 1.1 * (alone.d_high - alone.d_low)


def test_a_mean_outside_the_band_does_not_pass_on_either_side():
    for count, passes in ((2, True), (0, False), (7, True), (12, False)):
        row = evaluate(clips_of([count] * 6), small())["notes_per_bar"]
        assert row.passed is passes, count


def test_a_mean_that_cannot_be_told_from_real_music_passes_where_the_band_has_no_width():
    held_out = clips_of([0] * 39 + [8], piece=range(40))
    for counts, passes in (([0] * 38 + [9, 8], True), ([0, 8] * 20, False)):
        row = evaluate(clips_of(counts), small(held_out))["notes_per_bar"]
        assert (row.low, row.high) == (0, pytest.approx(0.1))  # 0.1: real music's mean
        assert row.value > row.high
        assert (row.d_low <= 0 <= row.d_high) is passes
        assert row.passed is passes


def test_where_nothing_varies_the_gap_is_zero_or_has_no_size():
    same = clips_of([3] * 6)
    row = evaluate(same, small(clips_of([3] * 8, piece=range(8))))["notes_per_bar"]
    assert (row.d, row.d_low, row.d_high, row.reason) == (0.0, 0.0, 0.0, "")
    row = evaluate(clips_of([4] * 6), small(clips_of([3] * 8, piece=range(8))))["notes_per_bar"]
    assert (row.d, row.passed, row.reason) == (None, False, "no value differs from another, so there is no d")


def test_halves_are_of_whole_pieces_and_about_equal():
    groups = np.repeat(np.arange(9), [1, 7, 3, 5, 2, 8, 4, 6, 4])
    halves = evaluation.compare._divided(groups, 6, seed=2)
    assert len({tuple(half) for half, _ in halves}) > 1
    for half, other in halves:
        assert sorted([*half, *other]) == list(range(40))
        assert not set(groups[half]) & set(groups[other])
        assert abs(len(half) - len(other)) <= 8
    assert evaluation.compare._divided(np.zeros(5, int), 6, seed=2) == []


def test_a_statistic_is_the_mean_over_divisions_and_its_band_that_of_real_music(monkeypatch):
    seen = []

    def count(music, real, training):
        seen.append((len(music), len(real), len(training)))
        return float(music.values["notes_per_bar"].sum() - real.values["notes_per_bar"].sum())

    made_up = evaluation.Statistic("distribution", count, "notes", "larger", "mute_bars")
    monkeypatch.setattr(evaluation.compare, "STATISTICS", {**evaluation.STATISTICS, "made_up": made_up})
    row = evaluate(clips_of([12, 12, 12, 12, 12]), small())["made_up"]
    n = row.n
    assert set(seen) == {(n, n, 6)}
    assert 2 <= n <= 4
    halves = evaluation.compare._divided(HELD_OUT.groups, evaluation.compare.DIVISIONS, 0)
    assert min(len(half) for pair in halves for half in pair) == n
    assert len(seen) == 2 * evaluation.compare.DIVISIONS + evaluation.compare.NULL_DIVISIONS
    assert row.value > row.high >= row.real >= row.low
    assert row.passed is False
    assert row.place == pytest.approx((row.value - row.real) / (row.null - row.real))


@pytest.mark.parametrize(("worse", "value", "passes"), [
    ("larger", 1.0, True), ("larger", 5.0, False), ("smaller", 1.0, False), ("smaller", 5.0, True),
    ("both", 1.0, False), ("both", 5.0, False), ("both", 3.0, True), ("both", 4.0 + 1e-12, True),
])  # fmt: skip
def test_a_value_passes_if_it_is_no_worse_than_the_band(worse, value, passes):
    row = Row("x", "rhythm", "share", "clip", "noise", worse, value=value, low=2.0, high=4.0)
    assert evaluation.compare._within(row) is passes


def test_the_verdict_needs_all_conditions():
    def verdict(*held):
        return Verdict(tuple(Condition(f"c{k}", each, "1") for k, each in enumerate(held))).innovative

    assert verdict(True, True, True) is True
    assert verdict(True, None, True) is None
    assert verdict(None, False, True) is False


# Bach, and Bach spoilt ------------------------------------------------------------------------------


def test_held_out_bach_passes_nearly_everything(bach):
    report = evaluate(some(bach.held_out), bach)
    failing = [row.name for row in report.rows if row.passed is False]
    assert len(failing) <= 3, failing
    assert [condition.holds for condition in report.verdict.conditions[1:3]] == [True, True]


def test_training_bach_is_good_music_but_not_new(bach):
    report = evaluate(some(bach.training), bach)
    assert [condition.holds for condition in report.verdict.conditions[:2]] == [False, False]
    assert report.verdict.innovative is False
    assert report["copied_share_2_bars"].value > 0.95
    assert report["copied_notes_z"].value < -3
    clip_rows = [row for row in report.rows if row.kind == "clip" and row.passed is not None]
    assert sum(row.passed for row in clip_rows) >= len(clip_rows) - 2


@pytest.mark.parametrize("control", ["shuffle_beats", "permute_pitches", "rotate_bass"])
def test_broken_music_may_be_original_but_is_not_music(bach, control):
    real = some(bach.held_out)
    report = evaluate(real.with_roll(CONTROLS[control](real.roll, real.grid, 7)), bach)
    conditions = [condition.holds for condition in report.verdict.conditions]
    assert conditions[0], "it is no more copied than Bach"
    assert conditions[3] is False
    failing = {row.name for row in report.rows if row.passed is False}
    assert {"coverage", "auc_features", "auc_rolls", "frechet_distance"} <= failing
    for name, metric in METRICS.items():
        if metric.null == control and report[name].place is not None:
            assert report[name].place == pytest.approx(1, abs=0.6), name


def test_a_collapsed_generator_fails_in_variety_alone(bach):
    real = some(bach.held_out)
    report = evaluate(real.with_roll(CONTROLS["one_clip_repeated"](real.roll, real.grid, 7)), bach)
    assert report["vendi_score"].value == pytest.approx(1)
    assert report["vendi_score"].passed is report["coverage"].passed is report["recall"].passed is False
    conditions = {each.name: each.holds for each in report.verdict.conditions}
    assert conditions["as varied as held-out music"] is False


def test_copies_with_noise_fail_in_novelty(bach):
    real = some(bach.training)
    report = evaluate(real.with_roll(CONTROLS["noisy_copies"](real.roll, real.grid, 7)), bach)
    assert report["copied_share_2_bars"].passed is report["copied_share_4_bars"].passed is False
    assert report["copied_notes_z"].value < -3
    assert report["copied_share_2_bars"].place == pytest.approx(1, abs=0.35)


def test_a_few_copies_among_many_clips_are_seen(bach):
    """They hardly move a mean; of four bars, no held-out passage is a copy."""
    clips, copies = clips_of_run("chorales"), some(bach.training, 4)
    clean, mixed = evaluate(clips, bach), evaluate(joined([clips.select(np.arange(96)), copies]), bach)
    assert clean["copied_passages_4_bars"].passed is clean.verdict.conditions[0].holds is True
    assert mixed["copied_share_2_bars"].passed is True
    assert mixed["copied_passages_2_bars"].value == pytest.approx(0.04, abs=0.015)
    assert mixed["copied_passages_2_bars"].passed is mixed["copied_passages_4_bars"].passed is False
    assert mixed.verdict.conditions[0].holds is False


@pytest.mark.parametrize(
    ("z", "inside", "holds"), [(0.0, True, True), (9.0, False, True), (-3.5, True, None), (-3.5, False, False)]
)
def test_a_low_z_is_never_called_new(z, inside, holds):
    names = [f"copied_share_{n}_bars" for n in (2, 4)] + ["copied_notes_z", "coverage", "vendi_score"]
    rows = [Row(name, "novelty", "", "set", "noise", "larger", value=1.0, real=1.0, passed=True) for name in names]
    rows += [Row("copying_z", "novelty", "", "set", "noise", "smaller", value=z, real=0.0, passed=inside)]
    assert verdict_of(rows).conditions[1].holds is holds


def test_the_same_seed_gives_the_same_report_and_another_one_another():
    clips = clips_of([k % 9 for k in range(30)])
    held_out = clips_of([(k * k) % 8 for k in range(60)], piece=np.arange(60) // 4)
    first, again, other = (evaluate(clips, small(held_out), seed=seed).to_dict() for seed in (0, 0, 4))
    assert first == again
    assert first["rows"] != other["rows"]


# No number ------------------------------------------------------------------------------------------


def test_too_few_clips_have_a_reason_and_no_number(bach):
    report = evaluate(some(bach.held_out, 12), bach)
    row = report["frechet_distance"]
    assert row.reason == "needs at least 100 clips, 12 given"
    assert (row.value, row.real, row.low, row.high, row.place, row.passed) == (None,) * 6
    assert report["copied_notes_z"].reason == "needs at least 20 clips, 12 given"
    assert report["vendi_score"].reason == "needs at least 100 clips, 12 given"
    assert report.verdict.innovative is not True
    line = next(line for line in str(report).splitlines() if "frechet distance" in line)
    assert line.split() == ["frechet", "distance", "-", "-", "needs", "at", "least", "100", "clips,", "12", "given"]


def test_too_little_held_out_music_has_a_reason():
    counts = [k % 7 for k in range(120)]
    report = evaluate(clips_of(counts), small())
    row = report["frechet_distance"]
    assert row.reason.startswith("needs at least 100 clips in each half of the held-out music, ")
    alone = small(clips_of([1, 2, 3], piece=[4, 4, 4]))
    assert evaluate(clips_of(counts), alone)["coverage"].reason == "needs at least 2 held-out pieces, 1 given"


def test_one_clip_has_means_and_no_statistics():
    report = evaluate(clips_of([3]), small())
    assert report["notes_per_bar"].value == 1.5
    assert all(row.value is None and row.reason for row in report.rows if row.kind == "set" and row.passed is None)


@pytest.mark.parametrize("counts", [[0] * 6, [1] * 6], ids=["silence", "one note"])
def test_silence_and_single_notes_have_defined_results(counts):
    report = evaluate(clips_of(counts), small())
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert "NaN" not in text
    assert report["empty_bars"].value == (1.0 if counts[0] == 0 else 0.75)
    if counts[0] == 0:
        assert report["scale_consistency"].reason == "nothing to measure in these clips"
        assert report["scale_consistency"].passed is False
        assert report["copied_share_2_bars"].reason.startswith("needs at least 20 clips")
    assert str(report)


def test_drums_alone_are_judged_by_the_drums():
    both = (True, True)
    held_out, training = (replace(clips, drums=both) for clips in (HELD_OUT, TRAINING))
    against = Reference("drums", held_out, training, (piece_of([48, 50], is_drum=True),))
    report = evaluate(clips_of([4, 3, 5, 2, 1, 6], drums=both), against)
    assert report["drum_pattern"].value is not None
    assert report["step_rate"].reason == "nothing to measure in held-out music"
    assert report["copied_share_2_bars"].reason == "nothing to measure in held-out music"
    json.dumps(report.to_dict(), allow_nan=False)


def test_other_clips_than_the_reference_has_are_refused_with_both():
    wrong = {
        r"2 tracks, 2 bars of 2 beats in 8 steps .*48\.\.71.* cannot be .*3 tracks": clips_of([1] * 3, n_tracks=3),
        r"2 bars of .* 3 bars of ": clips_of([1] * 3, n_bars=3),
        r"2 beats in 8 steps.*2 beats in 4 steps": clips_of([1] * 3, grid=Grid(4, 2, 48, 24)),
        r"48\.\.71.*48\.\.83": clips_of([1] * 3, grid=Grid(8, 2, 48, 36)),
        r"drums on 2": clips_of([1] * 3, drums=(False, True)),
    }
    for message, clips in wrong.items():
        with pytest.raises(ValueError, match="cannot be compared with") as caught:
            evaluate(clips, small())
        words = str(caught.value)
        ours, theirs = words.split(" cannot be compared with ")
        assert re.search(message, f"{theirs} cannot be {ours}"), words
    with pytest.raises(ValueError, match="no generated clips"):
        evaluate(clips_of([]), small())


def test_clips_that_do_not_fit_themselves_are_refused():
    roll = HELD_OUT.roll
    with pytest.raises(ValueError, match="2 tracks have as many drums, not 3"):
        Clips(roll, GRID, (True, False, True))
    with pytest.raises(ValueError, match="8 clips come from as many pieces"):
        Clips(roll, GRID, piece=np.arange(7))
    with pytest.raises(ValueError, match="as the grid has it"):
        Clips(roll, Grid())
    with pytest.raises(ValueError, match="one shape"):
        Clips(Roll(roll.sounding, roll.onset[:3]), GRID)


# How it is shown ------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Reads a page, and complains where elements are not closed in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def shown():
    held_out = replace(HELD_OUT, piece=np.array([0, 0, 0, 1, 2, 3, 4, 5]))
    remarks = ("<script>alert('x')</script>.mid: odd",)
    return evaluate(clips_of([3, 4, 5, 1, 2, 3]), small(held_out), name="<b>A & B</b>\x07", remarks=remarks)


def test_the_page_is_well_formed_and_what_is_not_ours_is_escaped(shown, tmp_path):
    shown.save(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    tags = [tag for tag, _ in page.seen]
    assert "script" not in tags
    assert "<b>A & B</b> beside held-out made up" in "".join(page.words)
    assert "<script>alert('x')</script>.mid: odd" in "".join(page.words)
    assert "\x07" not in text
    assert tags.count("table") == tags.count("caption") == 1
    headers = [attrs["scope"] for tag, attrs in page.seen if tag == "th"]
    assert headers.count("row") == len(shown.rows)
    assert headers.count("col") == 7
    images = [attrs for tag, attrs in page.seen if tag == "img"]
    assert len(images) == 2
    assert all(image["alt"] and image["src"].startswith("data:image/png;base64,") for image in images)
    again = Report(shown.rows, shown.facts, shown.values, shown.remarks)
    assert f"<main>{again._repr_html_()}</main>" in text, "the same bytes each time"


def test_json_holds_every_number_and_comes_back(shown, tmp_path):
    shown.save(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert found == shown.to_dict()
    assert [row["name"] for row in found["rows"]] == [*METRICS, *evaluation.STATISTICS]
    assert found["facts"]["clips"]["generated"] == 6
    assert found["facts"]["clips"]["held_out_pieces"] == 6
    assert found["facts"]["seed"] == 0
    assert set(found["facts"]["versions"]) == {"ganmusic", "python", "numpy", "scipy", "scikit-learn"}
    assert [each["holds"] for each in found["verdict"]["conditions"]] == [
        each.holds for each in shown.verdict.conditions
    ]


def test_a_report_is_saved_as_json_or_html_only(shown, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.json or \.html"):
        shown.save(tmp_path / "report.txt")
    assert not list(tmp_path.iterdir())


def test_the_text_has_a_line_for_each_number_with_its_verdict(shown):
    lines = str(shown).splitlines()
    row = shown["notes_per_bar"]
    line = next(line for line in lines if line.startswith("  notes per bar"))
    assert f"{row.value:.2f}" in line
    assert f"{row.d:+.2f} [" in line
    assert line.endswith("pass")
    assert any("seed" in line or "Chance started from 0" in line for line in lines)
    with pytest.raises(KeyError, match="has no number 'beauty'"):
        shown["beauty"]


# Files ----------------------------------------------------------------------------------------------


def chorale(title="song", *, low=0, n_bars=6, names=("soprano", "alto", "tenor", "bass"), beats=4):
    """Four voices in C major that move, so that there is a key to find."""
    lines = ([72, 74, 76, 72], [67, 67, 67, 67], [64, 62, 60, 64], [48, 55, 48, 48])
    tracks = [
        Track(name, tuple(Note(4 * k, 4, line[k % 4] + low) for k in range(beats * n_bars)), program=48)
        for name, line in zip(names, lines, strict=False)
    ]
    return Piece(tuple(tracks), Grid(4 * beats, beats), title=title)


def test_files_are_cut_moved_to_the_common_key_and_grouped_by_piece(tmp_path):
    midi.write(chorale(low=2), tmp_path / "a.mid")
    midi.write(chorale(n_bars=5, low=-3), tmp_path / "b.mid")
    clips, remarks = read_clips([tmp_path])
    assert remarks == ()
    assert clips.groups.tolist() == [0, 0, 0, 1, 1]
    assert clips.tracks == ("soprano", "alto", "tenor", "bass")
    first, other = (clips.roll.sounding[k, 0, 0, 0] for k in (0, 3))
    assert np.flatnonzero(first).tolist() == np.flatnonzero(other).tolist() == [72 - 36]


def test_other_tracks_are_shared_out_and_it_is_said(tmp_path):
    piano = Track("piano", tuple(sorted(note for track in chorale().tracks for note in track.notes)))
    midi.write(Piece((piano,), Grid()), tmp_path / "piano.mid")
    clips, remarks = read_clips([tmp_path / "piano.mid"])
    assert clips.roll.sounding.shape[:3] == (3, 4, 4)
    assert np.flatnonzero(clips.roll.sounding[0, 3, 0, 0]).tolist() == [48 - 36]
    assert len(remarks) == 1
    assert "piano.mid: its tracks (piano) become those of 'chorales' by the rule 'lines'" in remarks[0]


def test_notes_and_tracks_without_a_place_are_counted(tmp_path):
    # Five notes at a time have no place in four lines, and neither have drums.
    tracks = (*chorale().tracks, Track("fifth", tuple(Note(4 * k, 4, 57) for k in range(24))))
    drums = Track("kit", (Note(0, 1, 36), Note(8, 1, 38)), is_drum=True)
    midi.write(Piece((*tracks, drums), Grid()), tmp_path / "band.mid")
    _, remarks = read_clips([tmp_path / "band.mid"])
    assert any("its track 'kit' is left out: drums have no pitch" in remark for remark in remarks)
    assert any("24 of its 120 notes have no place in these tracks and are left out" in remark for remark in remarks)


def test_a_file_that_was_named_and_cannot_be_used_is_an_error_that_says_what_would_fit(tmp_path):
    midi.write(chorale(n_bars=3), tmp_path / "short.mid")
    midi.write(chorale(beats=3), tmp_path / "waltz.mid")
    midi.write(Piece((Track("kit", (Note(0, 1, 36), Note(8, 1, 38)), is_drum=True),)), tmp_path / "kit.mid")
    (tmp_path / "bad.mid").write_bytes(b"MThd but no more")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "short.mid": "short.mid: it has 3 full bars, and a clip has 4",
        "waltz.mid": "waltz.mid: it has 3 beats in a bar, and the music of 'chorales' has 4",
        "bad.mid": "bad.mid: ",
        "nothing.mid": "nothing.mid: there is no such file or folder",
        "empty": "empty: there is no MIDI or MusicXML file in this folder",
        "kit.mid": "kit.mid: it has drums alone, and the music of 'chorales' has none",
    }.items():
        with pytest.raises(ValueError, match=message):
            read_clips([tmp_path / name])
    with pytest.raises(ValueError, match="no file and no folder of music is given"):
        read_clips([])
    with pytest.raises(ValueError, match="a clip has at least 1 bar, not 0"):
        read_clips([tmp_path / "short.mid"], n_bars=0)


def test_one_path_is_a_list_of_one_and_two_copies_are_one_piece(tmp_path):
    midi.write(chorale(), tmp_path / "a.mid")
    (tmp_path / "b.mid").write_bytes((tmp_path / "a.mid").read_bytes())
    (tmp_path / "c.mid").symlink_to(tmp_path / "a.mid")
    clips, remarks = read_clips(str(tmp_path))
    assert len(clips) == len(read_clips(tmp_path / "c.mid")[0]) == 3
    assert [Path(remark.split(":")[0]).name for remark in remarks] == ["b.mid", "c.mid"]
    assert all(remark.endswith(f"it has the same content as {tmp_path / 'a.mid'}") for remark in remarks)


def test_junk_is_no_copy_of_junk_and_is_an_error_where_it_was_named(tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    midi.write(chorale(), folder / "good.mid")
    for path in (folder / "bad.mid", folder / "again.mid", tmp_path / "named.mid"):
        path.write_bytes(b"MThd but no more")
    remarks = read_clips(folder)[1]
    assert [Path(remark.split(":")[0]).name for remark in remarks] == ["again.mid", "bad.mid"]
    assert all("cut short" in remark for remark in remarks)
    with pytest.raises(ValueError, match=r"named\.mid: .*cut short"):
        read_clips([folder, tmp_path / "named.mid"])


def test_a_huge_file_is_refused_before_it_is_in_memory(tmp_path):
    with (tmp_path / "huge.mid").open("wb") as file:
        file.truncate(100_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"huge\.mid: the file is larger than 16 MB"):
            read_clips(tmp_path / "huge.mid")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("reads", [0, 1])
def test_a_file_that_the_system_does_not_read_is_named(tmp_path, monkeypatch, reads):
    """At once, or when it is read once more to be compared with the others."""
    opened, left = Path.open, reads

    def locked(path, *arguments, **options):
        nonlocal left
        if path.name == "locked.mid":
            if not left:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            left -= 1
        return opened(path, *arguments, **options)

    midi.write(chorale(), tmp_path / "a.mid")
    midi.write(chorale(low=1), tmp_path / "locked.mid")
    monkeypatch.setattr(Path, "open", locked)
    clips, remarks = read_clips(tmp_path)
    assert len(clips) == 3
    assert len(remarks) == 1
    assert re.search(r"locked\.mid: left out: .*Permission denied", remarks[0])
    left = reads
    with pytest.raises(ValueError, match=r"locked\.mid: .*Permission denied"):
        read_clips(tmp_path / "locked.mid")


@pytest.mark.parametrize("paths", ["", [""], ["song.mid", ""]])
def test_an_empty_path_is_not_the_current_folder(tmp_path, monkeypatch, paths):
    midi.write(chorale(), tmp_path / "song.mid")
    monkeypatch.chdir(tmp_path)
    assert len(read_clips(".")[0]) == 3
    with pytest.raises(ValueError, match="an empty path names no file and no folder of music"):
        read_clips(paths)


def test_clips_of_a_run_have_a_bar_and_a_seed():
    with pytest.raises(ValueError, match="a clip has at least 1 bar, not 0"):
        clips_of_run(n_bars=0)
    with pytest.raises(ValueError, match="a seed is 0 or more, not -1"):
        clips_of_run(seed=-1)


def test_of_a_folder_what_cannot_be_used_is_left_out_and_named(tmp_path):
    midi.write(chorale(), tmp_path / "good.mid")
    midi.write(chorale(n_bars=2), tmp_path / "short.mid")
    (tmp_path / "bad.mid").write_bytes(b"MThd but no more")
    clips, remarks = read_clips([tmp_path])
    assert len(clips) == 3
    assert [remark.split(": left out: ")[0] for remark in remarks] == [
        str(tmp_path / "bad.mid"), str(tmp_path / "short.mid")
    ]  # fmt: skip
    (tmp_path / "good.mid").unlink()
    with pytest.raises(ValueError, match=r"none of the files can be used: .*bad\.mid.*short\.mid"):
        read_clips([tmp_path])
    for k in range(8):
        (tmp_path / f"bad{k}.mid").write_bytes(bytes([k]))
    with pytest.raises(ValueError, match=r"bad0\.mid.*; and 5 more$"):
        read_clips([tmp_path])


def test_a_corpus_without_held_out_music_of_that_length_is_refused():
    with pytest.raises(ValueError, match=r"no piece|no held-out music"):
        reference("chorales", 60)
