"""Emotion: proxies of what listeners may feel, and no more than proxies.

Listeners place music on two axes: *valence*, from sad or tense to happy or calm, and *arousal*, from quiet to
excited. Only listeners can say where a clip lies. The two numbers here are made of what is known to go along with
their answers, on scales that are fixed by decision and not fitted to anybody's ratings: they serve to compare one set
of clips with another, and must be called proxies wherever they are shown.

Metrics are as in `ganmusic.metrics.harmony`: one number a clip.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ganmusic.metrics.harmony import FloatArray, chords, consonant_pairs, count, divide, mean_where
from ganmusic.metrics.melody import moves
from ganmusic.metrics.reading import notes, read
from ganmusic.metrics.rhythm import onsets_per_beat
from ganmusic.pianoroll import Grid, Roll

__all__ = ["arousal_proxy", "valence_proxy"]

#: What counts 0 and what counts 1 in arousal; values beyond count no more.
ONSETS_PER_BEAT = (0.0, 4.0)
PITCH = (36.0, 84.0)  # MIDI numbers
MOVE = (0.0, 12.0)  # semitones
TEMPO = (40.0, 200.0)  # beats a minute


def scaled(values: FloatArray, bounds: tuple[float, float]) -> FloatArray:
    """Values on a scale from 0 at the first bound to 1 at the second; NaN stays."""
    return np.asarray(np.clip((values - bounds[0]) / (bounds[1] - bounds[0]), 0, 1))


def mean_of(parts: list[FloatArray]) -> FloatArray:
    """Mean over the parts that are numbers, clip by clip; NaN where none is."""
    table = np.stack(parts, 1)
    return mean_where(table, ~np.isnan(table))


def valence_proxy(roll: Roll, grid: Grid) -> FloatArray:
    """A proxy of valence, 0 (sad or tense) to 1 (happy or calm): the mean of two shares.

    Mode: of the beats with a major or a minor chord (`ganmusic.metrics.harmony.chords`), the share of major ones.
    Consonance: `ganmusic.metrics.harmony.consonant_pairs`. A part that is undefined is left out.

    In Bach's chorales the first tells pieces in major from pieces in minor (area under the curve about .9); what
    listeners say it does not tell.

    Source: two of the features that Hung et al. 2021 relate to ratings of piano
    music; the scale is ours. Oracle: hand-made cases only.

    Taught in: notebooks/04-evaluation.ipynb
    """
    roll = read(roll)
    chord = chords(roll, grid)
    major = ((chord >= 0) & (chord < 12)).sum(1)
    return mean_of([divide(major, ((chord >= 0) & (chord < 24)).sum(1)), consonant_pairs(roll, grid)])


def arousal_proxy(roll: Roll, grid: Grid, tempo: npt.ArrayLike | None = None) -> FloatArray:
    """A proxy of arousal, 0 (quiet) to 1 (excited): the mean of three or four parts, each from 0 to 1.

    Density: steps with onsets a beat, 0 to 4. Register: the notes' mean MIDI number, 36 to 84. Leaps: the mean size
    of the melodies' moves, 0 to 12 semitones. Tempo, where it is given: 40 to 200 beats a minute. Loudness, which
    listeners hear first, is not on a roll. A part that is undefined is left out; silence is NaN.

    Source: features that Hung et al. 2021 relate to ratings of piano music; the scale is ours. Oracle: hand-made
    cases only.

    Parameters
    ----------
    roll : Roll
    grid : Grid
    tempo : float or array [shape=(n,)], optional
        Beats a minute. Compare only values that were all made with it, or all without.

    Taught in: notebooks/04-evaluation.ipynb
    """
    roll = read(roll)
    n = len(roll.sounding)
    note = notes(roll)
    n_notes = count(note.clip, (n,))
    size, moved = moves(roll)
    parts = [
        scaled(onsets_per_beat(roll, grid), ONSETS_PER_BEAT),
        scaled(grid.low + divide(np.bincount(note.clip, note.pitch, n), n_notes), PITCH),
        scaled(divide(np.where(moved, abs(size), 0).sum((1, 2)), moved.sum((1, 2))), MOVE),
    ]
    if tempo is not None:
        parts.append(scaled(np.broadcast_to(np.asarray(tempo, float), n), TEMPO))
    return np.where(n_notes > 0, mean_of(parts), np.nan)
