"""Metrics: rolls to numbers, one dimension of music a file.

`METRICS` holds what is measured on each clip; `evaluate` measures all of it. Rolls are
``(n, track, bar, step, pitch)``; a value alone says little, so compare with held-out music and with the
`controls`.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ganmusic.metrics import drums as drum_metrics
from ganmusic.metrics import emotion, harmony, melody, rhythm, structure
from ganmusic.metrics.harmony import FloatArray
from ganmusic.metrics.reading import read
from ganmusic.pianoroll import Grid, Roll

__all__ = ["METRICS", "Metric", "check_grid", "evaluate"]


@dataclass(frozen=True)
class Metric:
    """A number measured on each clip.

    Parameters
    ----------
    dimension : str
        Of music: harmony, melody, rhythm, structure, drums or emotion.
    function : callable
        ``function(roll, grid)``, one value a clip ``[shape=(n,)]``; NaN where there is nothing to measure.
    unit : str
    null : str
        Name of the control in `ganmusic.metrics.controls.CONTROLS` that the metric is there to catch.
    depends_on_key : bool
        Whether transposing a clip changes the value.
    depends_on_order : bool
        Whether the order of the tracks changes the value.

    Taught in: notebooks/04-evaluation.ipynb
    """

    dimension: str
    function: Callable[[Roll, Grid], FloatArray]
    unit: str
    null: str
    depends_on_key: bool = False
    depends_on_order: bool = False


#: Every per-clip metric, by name.
METRICS: dict[str, Metric] = {
    metric.function.__name__: metric
    for metric in (
        Metric("harmony", harmony.pitch_class_entropy, "bits", "noise"),
        Metric("harmony", harmony.scale_consistency, "share", "permute_pitches"),
        Metric("harmony", harmony.consonant_pairs, "share", "rotate_bass"),
        Metric("harmony", harmony.triads_on_beats, "share", "rotate_bass"),
        Metric("harmony", harmony.tonal_distance, "distance", "rotate_bass", depends_on_order=True),
        Metric("harmony", harmony.chord_entropy, "nats", "shuffle_beats"),
        Metric("harmony", harmony.chord_coverage, "chords", "shuffle_beats"),
        Metric("harmony", harmony.chord_tonal_distance, "distance", "shuffle_beats"),
        Metric("harmony", harmony.melody_chord_consonance, "score", "shuffle_beats"),
        Metric("harmony", harmony.parallel_fifths, "a bar", "rotate_bass"),
        Metric("harmony", harmony.parallel_octaves, "a bar", "rotate_bass"),
        Metric("melody", melody.step_rate, "share", "shuffle_beats"),
        Metric("melody", melody.leap_rate, "share", "shuffle_beats"),
        Metric("melody", melody.pitch_range, "semitones", "permute_pitches"),
        Metric("rhythm", rhythm.notes_per_bar, "a bar", "noise"),
        Metric("rhythm", rhythm.onsets_per_beat, "a beat", "noise"),
        Metric("rhythm", rhythm.polyphony_rate, "share", "noise"),
        Metric("rhythm", rhythm.change_rate, "share", "noise"),
        Metric("rhythm", rhythm.qualified_notes, "share", "noise"),
        Metric("rhythm", rhythm.empty_bars, "share", "mute_bars"),
        Metric("rhythm", rhythm.groove_similarity, "share", "mix_bars"),
        Metric("structure", structure.bar_entropy, "bits", "noise"),
        Metric("structure", structure.four_bar_entropy, "bits", "noise"),
        Metric("structure", structure.recurrence, "share", "mix_bars"),
        Metric("structure", structure.progression_irregularity, "share", "shuffle_beats"),
        Metric("drums", drum_metrics.drum_pattern, "share", "noise"),
        Metric("emotion", emotion.valence_proxy, "proxy, 0 to 1", "permute_pitches"),
        Metric("emotion", emotion.arousal_proxy, "proxy, 0 to 1", "noise", depends_on_key=True),
    )
}

#: Clips that are measured at once: so few that what was read of them stays in the processor's cache.
CLIPS = 128


def check_grid(roll: Roll, grid: Grid) -> None:
    """Refuse rolls that are not ``(n, track, bar, step, pitch)`` on this grid.

    Raises
    ------
    ValueError
        Which names both.

    Taught in: notebooks/04-evaluation.ipynb
    """
    shape = roll.sounding.shape
    if len(shape) != 5 or shape[3:] != (grid.n_steps, grid.n_pitches):
        raise ValueError(
            f"rolls of shape {shape} are not (n, track, bar, {grid.n_steps}, {grid.n_pitches}) as the grid has it"
        )


def evaluate(roll: Roll, grid: Grid, drums: Sequence[bool] = ()) -> dict[str, FloatArray]:
    """Measure every clip: name to ``[shape=(n,)]``.

    Metrics of the dimension "drums" are given the drum tracks alone, all others the pitched tracks alone; without any
    such track their values are NaN.

    Parameters
    ----------
    roll : Roll
        Clips ``[shape=(n, track, bar, step, pitch)]``.
    grid : Grid
    drums : sequence of bool
        Whether each track is one of drums; empty: none is.

    Raises
    ------
    ValueError
        If the rolls are not on this grid, or `drums` does not fit the number of tracks.

    Taught in: notebooks/04-evaluation.ipynb
    """
    check_grid(roll, grid)
    n_clips, n_tracks = roll.sounding.shape[:2]
    is_drum = np.array(drums if len(drums) else [False] * n_tracks, dtype=bool)
    if len(is_drum) != n_tracks:
        raise ValueError(f"drums says of {len(is_drum)} tracks whether they are drums, but the clips have {n_tracks}")
    values = {name: np.full(n_clips, np.nan) for name in METRICS}
    for of_drums in (False, True):
        tracks = is_drum == of_drums
        if not tracks.any():
            continue
        for begin in range(0, n_clips, CLIPS):
            some = slice(begin, begin + CLIPS)
            clips = read(Roll(*(plane[some] if tracks.all() else plane[some, tracks] for plane in roll)))
            for name, metric in METRICS.items():
                if (metric.dimension == "drums") == of_drums:
                    values[name][some] = metric.function(clips, grid)
    return values
