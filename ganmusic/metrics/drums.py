"""Drums: whether the hits keep time.

Metrics are as in `ganmusic.metrics.harmony`: one number a clip. They are given the drum tracks alone; every metric of
another dimension is given the other tracks alone.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

import numpy as np

from ganmusic.metrics.harmony import FloatArray, count, divide
from ganmusic.metrics.reading import notes
from ganmusic.pianoroll import Grid, Roll

__all__ = ["drum_pattern"]


def drum_pattern(roll: Roll, grid: Grid) -> FloatArray:
    """Share of the hits that lie in a regular pattern: on quarters of a beat, or on thirds, whichever hold more of
    the clip.

    In 4/4 these are the patterns of 16 and of 12 hits a bar; where the grid has halves of a beat but no quarters, the
    first is the pattern of 8. Each drum's hit counts. A grid of one to four steps a beat has no place beside the
    pattern, and the value is 1, whatever is played: measure on 6 steps or more, 12 or 24 as a rule, and never compare
    across grids.

    Source: Dong et al. 2018a, sec. 6.1 (patterns of 8 and 16 beats, with a tolerance in their code), as
    `muspy.drum_pattern_consistency` has it, the oracle.

    Taught in: notebooks/04-evaluation.ipynb
    """
    per_beat = grid.steps_per_beat
    hit = notes(roll)
    hits = count(hit.clip * per_beat + hit.time % per_beat, (len(roll.sounding), per_beat))
    in_pattern = [hits[:, :: per_beat // parts].sum(1) for parts in (4, 3, 2) if per_beat % parts == 0] or [hits[:, 0]]
    return divide(np.max(in_pattern, 0), hits.sum(1))
