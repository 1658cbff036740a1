"""Metrics: rolls to numbers, one dimension of music a file.

`METRICS` holds what is measured on each clip; `evaluate` measures all of it. Rolls are
``(n, track, bar, step, pitch)``; a value alone says little, so compare with held-out music and with the
`controls`.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ganmusic.metrics import harmony, melody, rhythm
from ganmusic.metrics.harmony import FloatArray
from ganmusic.pianoroll import Grid, Roll

__all__ = ["METRICS", "Metric", "evaluate"]


@dataclass(frozen=True)
class Metric:
    """A number measured on each clip: its dimension of music, and ``function(roll, grid) -> (n,)``."""

    dimension: str
    function: Callable[[Roll, Grid], FloatArray]


#: Every per-clip metric, by name.
METRICS: dict[str, Metric] = {
    function.__name__: Metric(dimension, function)
    for dimension, functions in (
        (
            "harmony",
            (
                harmony.pitch_class_entropy,
                harmony.scale_consistency,
                harmony.consonant_pairs,
                harmony.triads_on_beats,
                harmony.tonal_distance,
            ),
        ),
        ("melody", (melody.step_rate, melody.leap_rate, melody.pitch_range)),
        (
            "rhythm",
            (
                rhythm.notes_per_bar,
                rhythm.change_rate,
                rhythm.qualified_notes,
                rhythm.empty_bars,
                rhythm.groove_similarity,
            ),
        ),
    )
    for function in functions
}


def evaluate(roll: Roll, grid: Grid) -> dict[str, FloatArray]:
    """Measure every clip: name to ``[shape=(n,)]``.

    Raises
    ------
    ValueError
        If the rolls are not ``(n, track, bar, step, pitch)`` on this grid.

    Taught in: notebooks/04-evaluation.ipynb
    """
    shape = roll.sounding.shape
    if len(shape) != 5 or shape[3:] != (grid.n_steps, grid.n_pitches):
        raise ValueError(
            f"rolls of shape {shape} are not (n, track, bar, {grid.n_steps}, {grid.n_pitches}) as the grid has it"
        )
    return {name: metric.function(roll, grid) for name, metric in METRICS.items()}
