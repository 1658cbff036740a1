"""Harmony: which notes sound together, and in which key.

Every metric takes a `Roll` of clips ``(n, track, bar, step, pitch)`` and its `Grid`, and returns one number a
clip, ``[shape=(n,)]``; NaN where a clip has nothing to measure.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ganmusic.pianoroll import Grid, Roll, chroma, note_starts

__all__ = ["consonant_pairs", "pitch_class_entropy", "scale_consistency", "tonal_distance", "triads_on_beats"]

FloatArray = npt.NDArray[np.float64]

MAJOR = (0, 2, 4, 5, 7, 9, 11)
CONSONANT = (0, 3, 4, 7, 8, 9)
#: Major, minor, diminished and augmented, as semitones above the root.
TRIADS = ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8))


def divide(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Quotient, NaN where the denominator is zero: there was nothing to measure."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def pitch_class_counts(roll: Roll) -> FloatArray:
    """Notes of each pitch class in a clip, ``[shape=(n, 12)]``."""
    return chroma(note_starts(roll)).sum((1, 2, 3)).astype(float)


def pitch_class_entropy(roll: Roll, grid: Grid) -> FloatArray:
    """``-sum p log2 p`` of the notes' pitch classes, in bits: 0 for one class, 3.58 for all twelve alike.

    Source: Wu & Yang 2020, sec. 4 (over a clip); oracle: muspy.
    """
    counts = pitch_class_counts(roll)
    p = divide(counts, counts.sum(1, keepdims=True))
    return -(p * np.log2(p, out=np.zeros_like(p), where=p > 0)).sum(1)


def scale_consistency(roll: Roll, grid: Grid) -> FloatArray:
    """Largest share of notes that lie in one major scale (or its relative natural minor).

    Source: Mogren 2016, sec. 4; oracle: muspy. Duration does not count.
    """
    counts = pitch_class_counts(roll)
    scales = np.zeros((12, 12))
    for tonic in range(12):
        scales[tonic, [(tonic + degree) % 12 for degree in MAJOR]] = 1
    return divide((counts @ scales.T).max(1), counts.sum(1))


def consonant_pairs(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the pairs of notes sounding together that make a consonance above the lower one: unison or
    octave, thirds, fifth, sixths (interval classes 0, 3, 4, 7, 8, 9; the fourth above the bass is a dissonance).
    """
    voices = roll.sounding.sum(1).reshape(len(roll.sounding), -1, grid.n_pitches).astype(float)
    # pairs[k] = sum_p voices[p] voices[p + k], by the correlation theorem
    spectrum = np.fft.rfft(voices, 2 * grid.n_pitches)
    pairs = np.fft.irfft(np.abs(spectrum) ** 2, 2 * grid.n_pitches)[..., : grid.n_pitches].sum(1)
    pairs = np.rint(pairs)
    pairs[:, 0] = (voices * (voices - 1) / 2).sum((1, 2))
    consonant = np.isin(np.arange(grid.n_pitches) % 12, CONSONANT)
    return divide(pairs[:, consonant].sum(1), pairs.sum(1))


def beats(sounding: npt.NDArray[np.bool_], grid: Grid) -> npt.NDArray[np.bool_]:
    """What sounds on each beat's first step, ``[shape=(n, track, beat, pitch)]``."""
    on_beat = sounding[:, :, :, :: grid.steps_per_beat]
    return on_beat.reshape(*on_beat.shape[:2], -1, grid.n_pitches)


def triads_on_beats(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the sounding beats whose pitch classes are exactly those of a major, minor, diminished or
    augmented triad. Oracle: `music21.chord.Chord.isTriad` on the same pitches.
    """
    classes = chroma(beats(roll.sounding, grid)).sum(1) > 0  # (n, beat, 12)
    code = classes @ (1 << np.arange(12))
    triads = {sum(1 << (root + k) % 12 for k in shape) for shape in TRIADS for root in range(12)}
    return divide(np.isin(code, list(triads)).sum(1), classes.any(2).sum(1))


def tonal_distance(roll: Roll, grid: Grid) -> FloatArray:
    """Mean distance between the first and the last track's harmony in tonal space, beat by beat.

    A beat's chroma, divided by its sum, is mapped to circles of fifths, minor thirds and major thirds with
    radii 1, 1 and 1/2; beats where a track is silent are left out.
    Source: Harte et al. 2006, eq. 1-3; used between tracks by Dong et al. 2018a, sec. 6.1.
    """
    per_beat = roll.sounding.reshape(*roll.sounding.shape[:2], -1, grid.steps_per_beat, grid.n_pitches)
    profile = chroma(per_beat).sum(3).astype(float)[:, [0, -1]]  # (n, 2, beat, 12)
    profile = divide(profile, profile.sum(3, keepdims=True))
    classes = np.arange(12)
    turns = ((7 / 6, 1.0), (3 / 2, 1.0), (2 / 3, 0.5))
    rows = [radius * wave(np.pi * turn * classes) for turn, radius in turns for wave in (np.sin, np.cos)]
    centroid = profile @ np.array(rows).T  # (n, 2, beat, 6)
    distance = np.linalg.norm(centroid[:, 0] - centroid[:, 1], axis=2)
    heard = ~np.isnan(distance)
    return divide(np.where(heard, distance, 0).sum(1), heard.sum(1))
