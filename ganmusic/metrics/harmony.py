"""Harmony: which notes sound together, and in which key.

Every metric takes a `Roll` of clips ``(n, track, bar, step, pitch)`` and its `Grid`, and returns one number a
clip, ``[shape=(n,)]``; NaN where a clip has nothing to measure.

Some metrics need chords. A beat's *chord* is the major, minor, diminished or augmented triad whose three pitch classes
sound longest in that beat; see `chords`.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from ganmusic.metrics.reading import BLOCK, cells, highest, lowest, notes, once, read
from ganmusic.pianoroll import Grid, IntArray, Roll

__all__ = [
    "chord_coverage",
    "chord_entropy",
    "chord_tonal_distance",
    "chords",
    "consonant_pairs",
    "melody_chord_consonance",
    "parallel_fifths",
    "parallel_octaves",
    "pitch_class_entropy",
    "scale_consistency",
    "tonal_distance",
    "triads_on_beats",
]

FloatArray = npt.NDArray[np.float64]

MAJOR = (0, 2, 4, 5, 7, 9, 11)
CONSONANT = (0, 3, 4, 7, 8, 9)
#: Major, minor, diminished and augmented, as semitones above the root.
TRIADS = ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8))
#: Circles of fifths, minor thirds and major thirds: how far a semitone turns (in half circles), and the radius.
CIRCLES = ((7 / 6, 1.0), (3 / 2, 1.0), (2 / 3, 0.5))


def divide(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Quotient, NaN where the denominator is zero: there was nothing to measure."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def mean_where(values: FloatArray, heard: npt.NDArray[np.bool_]) -> FloatArray:
    """Mean of each row's values where `heard`; NaN for rows without any."""
    return divide(np.where(heard, values, 0).sum(1), heard.sum(1))


def entropy(counts: FloatArray) -> FloatArray:
    """Entropy in bits of counts along the last axis, NaN where there are none."""
    p = divide(counts, counts.sum(-1, keepdims=True))
    return np.asarray(0.0 - (p * np.log2(p, out=np.zeros_like(p), where=p > 0)).sum(-1))


def count(at: IntArray, shape: tuple[int, ...]) -> IntArray:
    """How often each place of an array of this shape is named; `at` holds places in the flattened array."""
    return np.bincount(at, minlength=int(np.prod(shape))).reshape(shape)


@once
def pitch_class_counts(roll: Roll) -> FloatArray:
    """Notes of each pitch class in a clip, ``[shape=(n, 12)]``."""
    note = notes(roll)
    return count(note.clip * 12 + note.pitch % 12, (len(roll.sounding), 12)).astype(float)


def pitch_class_entropy(roll: Roll, grid: Grid) -> FloatArray:
    """``-sum p log2 p`` of the notes' pitch classes, in bits: 0 for one class, 3.58 for all twelve alike.

    A note counts once, however long it is.
    Source: Wu & Yang 2020, sec. 4 (over a clip); oracle: `muspy.pitch_class_entropy`.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return entropy(pitch_class_counts(roll))


def scale_consistency(roll: Roll, grid: Grid) -> FloatArray:
    """Largest share of notes that lie in one major scale (or its relative natural minor): .6 to .7 for notes
    drawn by chance.

    A note counts once, however long it is.
    Source: Mogren 2016, sec. 4; oracle: `muspy.scale_consistency`.

    Taught in: notebooks/04-evaluation.ipynb
    """
    counts = pitch_class_counts(roll)
    scales = np.zeros((12, 12))
    for tonic in range(12):
        scales[tonic, [(tonic + degree) % 12 for degree in MAJOR]] = 1
    return divide((counts @ scales.T).max(1), counts.sum(1))


def consonant_pairs(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the pairs of notes sounding together that make a consonance above the lower one: unison or
    octave, thirds, fifth, sixths (interval classes 0, 3, 4, 7, 8, 9; the fourth above the bass is a dissonance).

    Pairs are counted step by step, two tracks on one pitch as one pair.
    Oracle: `music21.interval.Interval.isConsonant` (which spells the notes first).

    Taught in: notebooks/04-evaluation.ipynb
    """
    return _consonant_pairs(roll)


@once
def _consonant_pairs(roll: Roll) -> FloatArray:
    n, _, n_bars, n_steps, n_pitches = roll.sounding.shape
    places = np.arange(n_pitches)
    agree = np.isin(abs(places[:, None] - places) % 12, CONSONANT).astype(np.float32)
    consonant, pairs = np.zeros(n), np.zeros(n)
    for begin in range(0, n, BLOCK):
        some = slice(begin, begin + BLOCK)
        tracks = roll.sounding[some].sum(1, dtype=np.float32).reshape(-1, n_bars * n_steps, n_pitches)
        # t' A t counts each pair twice, and each note with itself once.
        notes = tracks.sum(2)
        consonant[some] = (((tracks @ agree) * tracks).sum(2) - notes).sum(1, dtype=float)
        pairs[some] = (notes * (notes - 1)).sum(1, dtype=float)
    return divide(consonant, pairs)


def triads_on_beats(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the sounding beats on whose first step the pitch classes are exactly those of a major, minor, diminished
    or augmented triad. Oracle: `music21.chord.Chord.isTriad` on the same pitches.

    Taught in: notebooks/04-evaluation.ipynb
    """
    heard = cells(roll)
    on_beat = heard.time % grid.steps_per_beat == 0
    n, n_beats = len(roll.sounding), roll.sounding.shape[2] * grid.beats_per_bar
    beat = heard.clip[on_beat] * n_beats + heard.time[on_beat] // grid.steps_per_beat
    classes = count(beat * 12 + heard.pitch[on_beat] % 12, (n, n_beats, 12)) > 0
    code = classes @ (1 << np.arange(12))
    triads = np.zeros(1 << 12, bool)
    triads[[sum(1 << (root + k) % 12 for k in shape) for shape in TRIADS for root in range(12)]] = True
    return divide(triads[code].sum(1), (code > 0).sum(1))


@once
def beat_chroma(roll: Roll, grid: Grid) -> IntArray:
    """Steps for which each pitch class sounds in each beat, ``[shape=(n, track, beat, 12)]``."""
    n, n_tracks, n_bars = roll.sounding.shape[:3]
    heard = cells(roll)
    # Beats are whole numbers of steps, so the steps' numbers over all tracks and clips divide into beats' numbers.
    at = heard.line // grid.steps_per_beat * 12 + heard.pitch % 12
    return count(at, (n, n_tracks, n_bars * grid.beats_per_bar, 12))


def centroids(profile: FloatArray) -> FloatArray:
    """Map profiles adding up to 1 ``[shape=(..., 12)]`` to points of tonal space ``[shape=(..., 6)]`` (Harte 2006)."""
    classes = np.arange(12)
    rows = [radius * wave(np.pi * turn * classes) for turn, radius in CIRCLES for wave in (np.sin, np.cos)]
    return np.asarray(profile @ np.array(rows).T)


def tonal_distance(roll: Roll, grid: Grid) -> FloatArray:
    """Mean distance between the first and the last track's harmony in tonal space, beat by beat.

    A beat's chroma, divided by its sum, is mapped to circles of fifths, minor thirds and major thirds with radii 1, 1
    and 1/2; beats where a track is silent are left out. Two notes are 0 (one pitch class) to 2.83 (a tritone) apart.
    Source: Harte et al. 2006, eq. 1-3; used between tracks by Dong et al. 2018a, sec. 6.1. Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    profile = beat_chroma(roll, grid)[:, [0, -1]].astype(float)  # (n, 2, beat, 12)
    profile = divide(profile, profile.sum(3, keepdims=True))
    centroid = centroids(profile)
    distance = np.linalg.norm(centroid[:, 0] - centroid[:, 1], axis=2)
    return mean_where(distance, ~np.isnan(distance))


def _templates() -> tuple[FloatArray, IntArray]:
    """The 48 triads above a bass of pitch class 0: templates, and ``12 quality + root``; who wins a tie goes first."""
    names = [
        (quality >= 2, all((root + k) % 12 for k in shape), root, quality)
        for quality, shape in enumerate(TRIADS)
        for root in range(12)
    ]
    table, code = np.zeros((12, 48)), np.zeros(48, np.int64)
    for column, (*_, root, quality) in enumerate(sorted(names)):
        table[[(root + k) % 12 for k in TRIADS[quality]], column] = 1
        code[column] = 12 * quality + root
    return table, code


@once
def chords(roll: Roll, grid: Grid) -> IntArray:
    """The chord of each beat ``[shape=(n, beat)]``: ``12 quality + root``, the qualities in the order of `TRIADS`; -1
    where nothing sounds.

    The triad is taken whose three pitch classes sound longest in the beat, all tracks together. Of equal ones, major
    and minor triads go before diminished and augmented ones, then those that contain the lowest pitch of the beat, and
    of them the one that stands on it. So a bare C - G is C major, and G - B - D - F is G major, wherever it is
    transposed to.

    Source: template matching after Fujishima 1999, with binary templates. Oracle: hand-made cases, and
    `music21.chord.Chord.root` where a beat is one triad.

    Taught in: notebooks/04-evaluation.ipynb
    """
    roll = read(roll)
    n, n_tracks, n_bars, _, n_pitches = roll.sounding.shape
    n_beats = n_bars * grid.beats_per_bar
    low = lowest(roll).reshape(n, n_tracks, n_beats, grid.steps_per_beat)
    bass = np.where(low < 0, n_pitches, low).min((1, 3), initial=n_pitches)[..., None] % 12
    profile = beat_chroma(roll, grid).sum(1)
    above_bass = np.take_along_axis(profile, (np.arange(12) + bass) % 12, 2).astype(float)
    templates, code = _templates()
    quality, root = np.divmod(code[(above_bass @ templates).argmax(2)], 12)
    return np.where(profile.any(2), 12 * quality + (root + bass[..., 0]) % 12, -1)


@once
def _chord_counts(roll: Roll, grid: Grid) -> FloatArray:
    """Beats with each chord in a clip, ``[shape=(n, 48)]``."""
    chord = chords(roll, grid)
    clip, beat = np.nonzero(chord >= 0)
    return count(clip * 48 + chord[clip, beat], (len(chord), 48)).astype(float)


def chord_entropy(roll: Roll, grid: Grid) -> FloatArray:
    """``-sum p ln p`` of the chords of the beats (chord histogram entropy), in nats: 0 for one chord, 3.87 for all 48
    alike.

    Source: Yeh et al. 2021, with chords estimated beat by beat (see `chords`). Oracle: hand-made cases, and
    `scipy.stats.entropy`.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return entropy(_chord_counts(roll, grid)) * np.log(2)


def chord_coverage(roll: Roll, grid: Grid) -> FloatArray:
    """How many different chords the beats have; it grows with the clip's length.

    Source: Yeh et al. 2021, with chords estimated beat by beat (see `chords`). Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    different = (_chord_counts(roll, grid) > 0).sum(1)
    return np.where(different > 0, different, np.nan)


def chord_tonal_distance(roll: Roll, grid: Grid) -> FloatArray:
    """Mean distance in tonal space between the chords of one beat and the next; 0 where a chord stays.

    The space is that of `tonal_distance`, a chord three equal pitch classes; neighbours of silent beats are left out.
    Source: Yeh et al. 2021, with chords estimated beat by beat (see `chords`). Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    profile = np.zeros((48, 12))
    for quality, shape in enumerate(TRIADS):
        for root in range(12):
            profile[12 * quality + root, [(root + k) % 12 for k in shape]] = 1 / 3
    point = centroids(profile)
    distance = np.linalg.norm(point[:, None] - point, axis=2)
    chord = chords(roll, grid)
    before, after = chord[:, :-1], chord[:, 1:]
    return mean_where(distance[before, after], (before >= 0) & (after >= 0))


def melody_chord_consonance(roll: Roll, grid: Grid) -> FloatArray:
    """How well the highest part fits the chords (pitch consonance score), -1 to 1, mean over the sounding steps.

    The interval from each note of the beat's chord up to the highest sounding pitch, octaves left out, counts 1 if it
    is a unison, third, fifth or sixth (0, 3, 4, 7, 8, 9 semitones), 0 if a fourth (5), and -1 otherwise. So a fifth
    or a third of a major or minor triad scores 1, a root 2/3.

    Source: Yeh et al. 2021 (pitch consonance score), with chords estimated beat by beat from all tracks, the melody's
    own among them (see `chords`): values are higher than those of a melody beside chords that are given.
    Oracle: hand-made cases.

    Taught in: notebooks/04-evaluation.ipynb
    """
    roll = read(roll)
    score = np.full(12, -1.0)
    score[list(CONSONANT)], score[5] = 1, 0
    # By quality and by semitones of the melody above the root.
    table = np.stack([score[(np.arange(12)[:, None] - shape) % 12].mean(1) for shape in map(np.array, TRIADS)])
    top = highest(roll).max(1, initial=-1)
    quality, root = np.divmod(np.repeat(chords(roll, grid), grid.steps_per_beat, 1), 12)
    return mean_where(table[quality, (top - root) % 12], top >= 0)


@once
def _parallels(roll: Roll) -> FloatArray:
    """Parallel unisons, seconds, ... sevenths a bar between any two tracks, by interval class ``[shape=(n, 12)]``."""
    n, n_tracks, n_bars = roll.sounding.shape[:3]
    top = highest(roll)
    goes_on = (top[..., 1:] >= 0) & (top[..., :-1] >= 0)
    moved = goes_on & (top[..., 1:] != top[..., :-1])
    found = np.zeros((n, 12))
    for a, b in combinations(range(n_tracks), 2):
        gap = top[:, a] - top[:, b]
        clip, step = np.nonzero(moved[:, a] & goes_on[:, b] & (gap[:, 1:] == gap[:, :-1]))
        found += count(clip * 12 + abs(gap[clip, step]) % 12, (n, 12))
    together = ((top >= 0).sum(1) >= 2).any(1)
    return np.where(together[:, None], found / n_bars, np.nan)


def parallel_fifths(roll: Roll, grid: Grid) -> FloatArray:
    """Parallel fifths a bar: two tracks move on the same step, and are the same perfect fifth (or fifth and octaves)
    apart before and after.

    A track's part is its highest pitch. Moves after a rest do not count, nor do fifths between which the parts move by
    different intervals (a fifth to a twelfth).
    Source: Fang et al. 2020. Oracle: `music21.voiceLeading.VoiceLeadingQuartet.parallelFifth`, which counts those too.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return _parallels(roll)[:, 7]


def parallel_octaves(roll: Roll, grid: Grid) -> FloatArray:
    """Parallel unisons and octaves a bar: two tracks move on the same step, and are the same number of octaves apart
    before and after. See `parallel_fifths`.

    Source: Fang et al. 2020. Oracle: `music21.voiceLeading.VoiceLeadingQuartet.parallelOctave`,
    `parallelUnison`.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return _parallels(roll)[:, 0]
