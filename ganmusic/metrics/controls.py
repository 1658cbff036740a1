"""Controls: music broken in a known way, which a metric worth its name must notice.

Each takes real clips ``(n, track, bar, step, pitch)`` and returns as many broken ones.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ganmusic.pianoroll import Grid, Roll

__all__ = ["CONTROLS", "noise", "one_clip_repeated", "permute_pitches", "rotate_bass", "shuffle_beats"]


def shuffle_beats(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Shuffle the beats of each track by itself: the same notes, no order, no agreement."""
    rng = np.random.default_rng(seed)
    n, tracks = roll.sounding.shape[:2]
    cut = (n, tracks, -1, grid.steps_per_beat, grid.n_pitches)
    n_beats = roll.sounding.reshape(cut).shape[2]
    order = rng.permuted(np.tile(np.arange(n_beats), (n, tracks, 1)), axis=2)[..., None, None]
    planes = (np.take_along_axis(plane.reshape(cut), order, 2).reshape(plane.shape) for plane in roll)
    return Roll(*planes)


def rotate_bass(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Move the last track's bars on by one, the last to the front: good voices that do not fit together."""
    sounding, onset = roll.sounding.copy(), roll.onset.copy()
    sounding[:, -1], onset[:, -1] = np.roll(sounding[:, -1], 1, 1), np.roll(onset[:, -1], 1, 1)
    return Roll(sounding, onset)


def permute_pitches(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Give each clip a random one-to-one map of the twelve pitch classes: the rhythm stays, harmony goes."""
    rng = np.random.default_rng(seed)
    classes = rng.permuted(np.tile(np.arange(12), (len(roll.sounding), 1)), axis=1)
    octaves = np.arange(grid.n_pitches) // 12 * 12
    source = (octaves + classes[:, np.arange(grid.n_pitches) % 12])[:, None, None, None]
    return Roll(*(np.take_along_axis(plane, np.broadcast_to(source, plane.shape), 4) for plane in roll))


def one_clip_repeated(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """One real clip, over and over: a generator that has collapsed."""
    chosen = np.random.default_rng(seed).integers(len(roll.sounding))
    return Roll(*(np.repeat(plane[chosen : chosen + 1], len(plane), 0) for plane in roll))


def noise(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Every cell sounds with the probability that a cell of the real clips does."""
    sounding = np.random.default_rng(seed).random(roll.sounding.shape) < roll.sounding.mean()
    return Roll(sounding, sounding)


#: Every control, by name.
CONTROLS: dict[str, Callable[..., Roll]] = {
    control.__name__: control
    for control in (shuffle_beats, rotate_bass, permute_pitches, one_clip_repeated, noise)
}
