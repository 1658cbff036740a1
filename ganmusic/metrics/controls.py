"""Controls: music broken in a known way, which a metric worth its name must notice.

Each takes real clips ``(n, track, bar, step, pitch)`` and returns as many broken ones, the same ones for a seed.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ganmusic.metrics.reading import cells
from ganmusic.pianoroll import Grid, Roll

__all__ = [
    "CONTROLS",
    "mix_bars",
    "mute_bars",
    "noise",
    "noisy_copies",
    "one_clip_repeated",
    "permute_pitches",
    "rotate_bass",
    "shuffle_beats",
]

#: Share of the notes that `noisy_copies` moves, and the farthest that it moves them, in semitones.
MOVED, FARTHEST = 0.2, 7


def shuffle_beats(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Shuffle the beats of each track by itself: the same sounds, no order, no agreement.

    Notes that are held over a beat are cut there, so there are a few more of them.

    Taught in: notebooks/04-evaluation.ipynb
    """
    rng = np.random.default_rng(seed)
    n, tracks, n_bars = roll.sounding.shape[:3]
    n_beats = n_bars * grid.beats_per_bar
    cut = (n, tracks, n_beats, grid.steps_per_beat, grid.n_pitches)
    order = rng.permuted(np.tile(np.arange(n_beats), (n, tracks, 1)), axis=2)[..., None, None]
    planes = (np.take_along_axis(plane.reshape(cut), order, 2).reshape(plane.shape) for plane in roll)
    return Roll(*planes)


def rotate_bass(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Move the bass's bars on by one, the last to the front: good voices that do not fit together.

    The bass is the track that lies lowest on average. Clips of one track or of one bar stay as they are.

    Taught in: notebooks/04-evaluation.ipynb
    """
    sounding, onset = roll.sounding.copy(), roll.onset.copy()
    heard = cells(roll)
    n_tracks = sounding.shape[1]
    if n_tracks > 1 and len(heard.track):
        n_cells = np.bincount(heard.track, minlength=n_tracks)
        mean = np.bincount(heard.track, heard.pitch, n_tracks) / np.maximum(n_cells, 1)
        bass = np.where(n_cells > 0, mean, np.inf).argmin()
        sounding[:, bass], onset[:, bass] = np.roll(sounding[:, bass], 1, 1), np.roll(onset[:, bass], 1, 1)
    return Roll(sounding, onset)


def permute_pitches(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Give each clip a random one-to-one map of the twelve pitch classes: the rhythm stays, harmony goes.

    Taught in: notebooks/04-evaluation.ipynb
    """
    rng = np.random.default_rng(seed)
    classes = rng.permuted(np.tile(np.arange(12), (len(roll.sounding), 1)), axis=1)
    octaves = np.arange(grid.n_pitches) // 12 * 12
    source = (octaves + classes[:, np.arange(grid.n_pitches) % 12])[:, None, None, None]
    return Roll(*(np.take_along_axis(plane, np.broadcast_to(source, plane.shape), 4) for plane in roll))


def mix_bars(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Make each clip of bars from different clips, all tracks together: each bar is good, and none belongs to the next.

    A bar keeps its place, the first, second and so on. With fewer clips than bars a clip gives more than one bar.

    Taught in: notebooks/04-evaluation.ipynb
    """
    n, _, n_bars = roll.sounding.shape[:3]
    order = np.random.default_rng(seed).permutation(n)
    source = np.empty((n, n_bars), np.int64)
    # Neighbours in a random order give to each other, so that no clip gives two bars to another.
    source[order] = np.stack([np.roll(order, -bar) for bar in range(n_bars)], 1)
    bars = np.arange(n_bars)
    return Roll(*(plane[source, :, bars].swapaxes(1, 2) for plane in roll))


def mute_bars(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Silence a quarter of each track's bars (at least one), by chance: music full of holes.

    Taught in: notebooks/04-evaluation.ipynb
    """
    n, tracks, n_bars = roll.sounding.shape[:3]
    muted = np.arange(n_bars) < max(n_bars // 4, 1)
    muted = np.random.default_rng(seed).permuted(np.tile(muted, (n, tracks, 1)), axis=2)
    return Roll(*(plane & ~muted[..., None, None] for plane in roll))


def noisy_copies(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Copy the clips, but move a fifth of their notes by one to seven semitones up or down: the control of novelty.

    A note that would leave the pitch axis moves the other way, or not at all; one that lands on another note of its
    track joins it. Give it training clips, and a test of copying must find them.

    Taught in: notebooks/05-is-it-new.ipynb
    """
    rng = np.random.default_rng(seed)
    heard = cells(roll)
    # In the order of tracks and pitches, the cells of a note stand together, and its first one starts it.
    order = np.lexsort((heard.time, heard.pitch, heard.track, heard.clip))
    note = np.empty(len(order), np.int64)
    note[order] = np.cumsum(heard.starts[order]) - 1
    n_notes = int(heard.starts.sum())
    move = rng.integers(1, FARTHEST + 1, n_notes) * rng.choice((-1, 1), n_notes) * (rng.random(n_notes) < MOVED)
    pitch = heard.pitch + move[note]
    outside = (pitch < 0) | (pitch >= grid.n_pitches)
    pitch[outside] = (heard.pitch - move[note])[outside]
    nowhere = (pitch < 0) | (pitch >= grid.n_pitches)
    pitch[nowhere] = heard.pitch[nowhere]
    at = heard.line * grid.n_pitches + pitch
    sounding, onset = (np.zeros(roll.sounding.size, bool) for _ in range(2))
    sounding[at], onset[at[heard.starts]] = True, True
    return Roll(sounding.reshape(roll.sounding.shape), onset.reshape(roll.sounding.shape))


def one_clip_repeated(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """One real clip, over and over: a generator that has collapsed.

    Taught in: notebooks/04-evaluation.ipynb
    """
    chosen = np.random.default_rng(seed).integers(max(len(roll.sounding), 1))
    return Roll(*(np.repeat(plane[chosen : chosen + 1], len(plane), 0) for plane in roll))


def noise(roll: Roll, grid: Grid, seed: int = 0) -> Roll:
    """Every cell sounds with the probability that a cell of the real clips does.

    Taught in: notebooks/04-evaluation.ipynb
    """
    density = roll.sounding.mean() if roll.sounding.size else 0.0
    sounding = np.random.default_rng(seed).random(roll.sounding.shape) < density
    return Roll(sounding, sounding)


#: Every control, by name.
CONTROLS: dict[str, Callable[..., Roll]] = {
    control.__name__: control
    for control in (
        shuffle_beats,
        rotate_bass,
        permute_pitches,
        mix_bars,
        mute_bars,
        noisy_copies,
        one_clip_repeated,
        noise,
    )
}
