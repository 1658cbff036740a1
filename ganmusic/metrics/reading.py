"""Reading clips: what several metrics need of the same clips, found once.

A roll is mostly silence: of the 12,288 cells of a four-bar chorale window some 250 sound. So the metrics count `cells`,
the list of what sounds, and hardly ever the whole roll. A function marked `once` keeps its result as long as the
`Reading` lives that it was given; a plain `Roll` is read afresh each time.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from ganmusic.pianoroll import BoolArray, IntArray, Roll

__all__ = ["Cells", "Reading", "cells", "highest", "lowest", "notes", "once", "read"]

#: Clips whose planes are looked through at once: they are copied to lie in one piece, and stay in a processor's cache.
BLOCK = 32

P = ParamSpec("P")
T = TypeVar("T")


class Reading(Roll):
    """Clips whose tables are kept once they are made; their planes must not change as long as it is used.

    Taught in: notebooks/04-evaluation.ipynb
    """

    def __init__(self, sounding: BoolArray, onset: BoolArray) -> None:
        self.known: dict[Any, Any] = {}


def read(roll: Roll) -> Reading:
    """Begin to read clips; what is a `Reading` already stays the same.

    Taught in: notebooks/04-evaluation.ipynb
    """
    if isinstance(roll, Reading):
        return roll
    return Reading(*(np.asarray(plane, dtype=bool) for plane in roll))


def once(table: Callable[Concatenate[Roll, P], T]) -> Callable[Concatenate[Roll, P], T]:
    """Mark a function of clips (and of a grid) whose result a `Reading` keeps.

    Taught in: notebooks/04-evaluation.ipynb
    """

    @wraps(table)
    def kept(roll: Roll, /, *args: P.args, **kwargs: P.kwargs) -> T:
        roll = read(roll)
        known = roll.known
        key = (table, *args, *kwargs.items())
        if key not in known:
            known[key] = table(roll, *args, **kwargs)
        found: T = known[key]
        return found

    return kept


class Cells(NamedTuple):
    """The cells of clips that sound, in the order of clip, track, time and pitch, each array ``[shape=(cell,)]``.

    `clip`, `track` and `time` (in steps from the clip's beginning) say where the cell lies, `pitch` is its place on
    the pitch axis, `line` numbers the steps of all tracks of all clips, and `starts` is true where a note begins: at
    an onset, or where sound follows silence.
    """

    clip: IntArray
    track: IntArray
    time: IntArray
    pitch: IntArray
    line: IntArray
    starts: BoolArray


@once
def cells(roll: Roll) -> Cells:
    """List the sounding cells of clips ``[shape=(n, track, bar, step, pitch)]``.

    Taught in: notebooks/04-evaluation.ipynb
    """
    n, n_tracks, n_bars, n_steps, n_pitches = roll.sounding.shape
    length = n_bars * n_steps
    found, begun = [], []
    for begin in range(0, max(n, 1), BLOCK):
        sounding, onset = (np.ascontiguousarray(plane[begin : begin + BLOCK]).reshape(-1) for plane in roll)
        at = np.flatnonzero(sounding)
        begun.append(onset[at] | ~sounding[at - n_pitches])
        found.append(at + begin * n_tracks * length * n_pitches)
    at = np.concatenate(found)
    if roll.sounding.size < 2**31:  # half the memory to go through
        at = at.astype(np.int32)
    line = at // n_pitches
    voice = line // length
    clip = voice // n_tracks
    time = line - voice * length
    # Before the first step of a track lies another track, which does not count.
    starts = np.concatenate(begun) | (time == 0)
    return Cells(clip, voice - clip * n_tracks, time, at - line * n_pitches, line, starts)


@once
def notes(roll: Roll) -> Cells:
    """List the cells of clips in which a note begins.

    Taught in: notebooks/04-evaluation.ipynb
    """
    heard = cells(roll)
    begins = np.flatnonzero(heard.starts)
    clip, track, time, pitch, line = (table[begins] for table in heard[:5])
    return Cells(clip, track, time, pitch, line, heard.starts[begins])


def highest(roll: Roll) -> IntArray:
    """Place on the pitch axis of each track's highest sounding pitch, step by step ``[shape=(n, track, time)]``; -1 in
    silence.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return _outermost(roll, 1)


def lowest(roll: Roll) -> IntArray:
    """Place on the pitch axis of each track's lowest sounding pitch, step by step ``[shape=(n, track, time)]``; -1 in
    silence.

    Taught in: notebooks/04-evaluation.ipynb
    """
    return _outermost(roll, -1)


@once
def _outermost(roll: Roll, direction: int) -> IntArray:
    n, n_tracks, n_bars, n_steps, _ = roll.sounding.shape
    heard = cells(roll)
    found = np.full(n * n_tracks * n_bars * n_steps, -1)
    # Cells of one step are in the order of pitch, and the last one that is assigned stays.
    found[heard.line[::direction]] = heard.pitch[::direction]
    return found.reshape(n, n_tracks, n_bars * n_steps)
