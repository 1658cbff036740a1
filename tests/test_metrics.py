"""Metrics: hand-made cases, invariances, and the order of real music and its controls."""

import numpy as np
import pytest
from music21 import chord
from scipy import linalg

from ganmusic import corpora, metrics
from ganmusic.data import windows
from ganmusic.metrics import harmony, melody, rhythm
from ganmusic.metrics.controls import CONTROLS, permute_pitches, rotate_bass, shuffle_beats
from ganmusic.metrics.distribution import FeatureSpace, features, frechet_distance
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track, piece_to_roll, transpose_roll

GRID = Grid()


def clip(*voices, n_bars=1):
    """A clip ``(1, track, bar, step, pitch)`` of voices given as (onset, duration, pitch)."""
    tracks = tuple(Track(str(i), tuple(Note(*note) for note in notes)) for i, notes in enumerate(voices))
    roll = piece_to_roll(Piece(tracks, GRID), n_bars)
    return Roll(roll.sounding[None], roll.onset[None])


@pytest.fixture(scope="module")
def real():
    data = windows(corpora.CORPORA["chorales"].load("test"))
    rows = np.random.default_rng(0).permutation(len(data.sounding))[:200]
    return Roll(data.sounding[rows], data.onset[rows])


def test_pitch_class_entropy():
    # C twice (an octave apart), E and G: shares 1/2, 1/4, 1/4. Durations do not count.
    roll = clip([(0, 1, 60), (4, 8, 64), (12, 2, 67)], [(0, 16, 48)])
    assert harmony.pitch_class_entropy(roll, GRID) == pytest.approx([1.5])


def test_scale_consistency():
    # C D E F# G: four of five in C major, all five in G major.
    notes = [(i, 1, pitch) for i, pitch in enumerate((60, 62, 64, 66, 67))]
    assert harmony.scale_consistency(clip(notes), GRID) == pytest.approx([1.0])
    # C C# D: never more than two of them.
    assert harmony.scale_consistency(clip([(0, 1, 60), (1, 1, 61), (2, 1, 62)]), GRID) == pytest.approx([2 / 3])


def test_consonant_pairs():
    # C3 F3 A3: C-F a fourth (dissonant above the bass), C-A a sixth, F-A a third.
    roll = clip([(0, 4, 57)], [(0, 4, 53)], [(0, 4, 48)])
    assert harmony.consonant_pairs(roll, GRID) == pytest.approx([2 / 3])
    # A unison of two voices is a consonance; one voice alone makes no pair.
    assert harmony.consonant_pairs(clip([(0, 4, 60)], [(0, 4, 60)]), GRID) == pytest.approx([1.0])
    assert np.isnan(harmony.consonant_pairs(clip([(0, 4, 60)]), GRID))


def test_triads_on_beats():
    # Beat 1: C major. Beat 2: a fifth only. Beat 3: D diminished, spread. Beat 4: silence.
    roll = clip([(0, 8, 67), (8, 4, 74)], [(0, 4, 64), (8, 4, 65)], [(0, 8, 48), (8, 4, 56)])
    assert harmony.triads_on_beats(roll, GRID) == pytest.approx([2 / 3])


def test_triads_agree_with_music21(real):
    expected = []
    for sounding in real.sounding[:20]:
        beats = sounding[:, :, ::4].reshape(4, -1, 48)
        pitches = [36 + np.flatnonzero(beats[:, beat].any(0)) for beat in range(beats.shape[1])]
        expected.append(np.mean([chord.Chord(p.tolist()).isTriad() for p in pitches if len(p)]))
    found = harmony.triads_on_beats(Roll(real.sounding[:20], real.onset[:20]), GRID)
    # music21 spells the pitches first, and then takes some diminished and augmented triads for others.
    assert np.abs(found - expected).mean() < 0.02


def test_tonal_distance():
    same = clip([(0, 16, 72)], [(0, 16, 48)])
    assert harmony.tonal_distance(same, GRID) == pytest.approx([0.0], abs=1e-12)
    # A fifth apart: on the circle of fifths 7*7/6 pi - 0, a step of pi/6; see Harte et al. 2006.
    fifth = clip([(0, 16, 67)], [(0, 16, 48)])
    angles = np.array([7 / 6, 3 / 2, 2 / 3]) * np.pi * 7
    expected = np.sqrt((np.array([1, 1, 0.25]) * (2 - 2 * np.cos(angles))).sum())
    assert harmony.tonal_distance(fifth, GRID) == pytest.approx([expected])
    tritone = clip([(0, 16, 66)], [(0, 16, 48)])
    assert harmony.tonal_distance(tritone, GRID) > harmony.tonal_distance(fifth, GRID)


def test_steps_and_leaps():
    # +2 (step), a repeat (no move), -9 (leap), +5 (neither)
    roll = clip([(0, 2, 60), (2, 2, 62), (4, 2, 62), (6, 2, 53), (8, 2, 58)])
    assert melody.step_rate(roll, GRID) == pytest.approx([1 / 3])
    assert melody.leap_rate(roll, GRID) == pytest.approx([1 / 3])
    assert melody.pitch_range(roll, GRID) == pytest.approx([9])


def test_melody_is_the_highest_pitch_and_rests_are_no_moves():
    chords = clip([(0, 4, 60), (0, 4, 48), (8, 4, 72)])
    size, moved = melody.moves(chords)
    assert moved.sum() == 0
    assert np.isnan(size).any()
    assert melody.melodies(chords)[0, 0, :4].tolist() == [24] * 4


def test_change_rate():
    # Eight sounding steps, so seven transitions, two of which change pitch.
    roll = clip([(0, 3, 60), (3, 2, 62), (5, 3, 60)])
    assert rhythm.change_rate(roll, GRID) == pytest.approx([2 / 7])


def test_notes_per_bar_counts_repeats():
    roll = clip([(0, 4, 60), (4, 4, 60), (16, 4, 62)], [(8, 8, 50)], n_bars=2)
    assert rhythm.notes_per_bar(roll, GRID) == pytest.approx([2.0])


def test_qualified_notes():
    # An eighth, a sixteenth, and a repeated pitch of one sixteenth each; the last, cut by the end, is left out.
    roll = clip([(0, 2, 60), (2, 1, 62), (3, 1, 62), (15, 1, 65)])
    assert rhythm.qualified_notes(roll, GRID) == pytest.approx([1 / 3])


def test_empty_bars_and_groove():
    roll = clip([(0, 4, 60), (8, 4, 60), (16, 4, 60), (20, 4, 62)], [(0, 16, 48)], n_bars=2)
    assert rhythm.empty_bars(roll, GRID) == pytest.approx([1 / 4])
    # Onsets on steps {0, 8} and {0, 4}: they differ on two of sixteen steps.
    assert rhythm.groove_similarity(roll, GRID) == pytest.approx([14 / 16])


def test_silence_is_not_a_number_but_never_an_error():
    silence = Roll(np.zeros((2, 4, 4, 16, 48), bool), np.zeros((2, 4, 4, 16, 48), bool))
    values = metrics.evaluate(silence, GRID)
    assert values["notes_per_bar"].tolist() == [0, 0]
    assert values["empty_bars"].tolist() == [1, 1]
    assert np.isnan(values["scale_consistency"]).all()
    assert np.isfinite(features(silence, GRID)).all()


def test_another_grid_is_refused(real):
    with pytest.raises(ValueError, match=r"\(n, track, bar, 12, 48\)"):
        metrics.evaluate(real, Grid(12, 3))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_transposing_changes_nothing(real, name):
    inside = ~(real.sounding[..., :3].any((1, 2, 3, 4)) | real.sounding[..., -3:].any((1, 2, 3, 4)))
    roll = Roll(real.sounding[inside], real.onset[inside])
    assert inside.sum() > 50
    function = metrics.METRICS[name].function
    assert function(transpose_roll(roll, 3), GRID) == pytest.approx(function(roll, GRID), nan_ok=True)


#: What each control breaks, and so which metrics must notice, and which way: +1 if real music scores higher.
CAUGHT = {
    "shuffle_beats": {
        "triads_on_beats": 1, "consonant_pairs": 1, "tonal_distance": -1,
        "step_rate": 1, "leap_rate": -1,
    },
    "rotate_bass": {"triads_on_beats": 1, "consonant_pairs": 1, "tonal_distance": -1},
    "permute_pitches": {"scale_consistency": 1, "consonant_pairs": 1, "triads_on_beats": 1, "step_rate": 1},
    "noise": {
        "scale_consistency": 1, "pitch_class_entropy": -1,
        "qualified_notes": 1, "notes_per_bar": -1, "change_rate": -1,
    },
}


@pytest.mark.parametrize(("control", "metric"), [(c, m) for c, found in CAUGHT.items() for m in found])
def test_real_music_and_controls_are_told_apart(real, control, metric):
    function = metrics.METRICS[metric].function
    gap = np.nanmean(function(real, GRID)) - np.nanmean(function(CONTROLS[control](real, GRID), GRID))
    spread = np.nanstd(function(real, GRID))
    assert CAUGHT[control][metric] * gap > 0.4 * spread


def test_controls_keep_what_they_say_they_keep(real):
    assert np.array_equal(shuffle_beats(real, GRID).onset.sum((2, 3)), real.onset.sum((2, 3)))
    assert np.array_equal(rotate_bass(real, GRID).sounding[:, :3], real.sounding[:, :3])
    assert np.array_equal(permute_pitches(real, GRID).sounding.sum(4), real.sounding.sum(4))
    assert all(control(real, GRID).sounding.shape == real.sounding.shape for control in CONTROLS.values())
    assert not np.array_equal(shuffle_beats(real, GRID, 1).sounding, shuffle_beats(real, GRID, 2).sounding)


def test_frechet_distance_of_gaussians():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) * [1, 2, 3]
    y = rng.normal(size=(400, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 2]]) + [1, 0, 0]
    s_x, s_y = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(s_x @ s_y).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s_x + s_y - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="not 1 and 400"):
        frechet_distance(x[:1], y)


def test_frechet_distance_in_one_dimension_is_the_textbooks():
    x, y = np.array([[1.0], [3.0], [5.0]]), np.array([[2.0], [2.0], [8.0]])
    # Means 3 and 4, standard deviations 2 and sqrt(12).
    assert frechet_distance(x, y) == pytest.approx((3 - 4) ** 2 + (2 - 12**0.5) ** 2)


def test_features_have_the_shape_that_is_promised(real):
    assert features(real, GRID).shape == (200, 12 + 12 + 13 + 4 * 4 + 11)


def test_every_control_is_farther_than_held_out_music(real):
    half = [Roll(real.sounding[i::2], real.onset[i::2]) for i in (0, 1)]
    space = FeatureSpace(half[0], GRID)
    reference = space(half[0])
    own = frechet_distance(space(half[1]), reference)
    for name, control in CONTROLS.items():
        assert frechet_distance(space(control(half[1], GRID)), reference) > 2 * own, name
