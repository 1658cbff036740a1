"""Evaluation: generated music beside held-out music, in one report.

A number means nothing alone. So each stands beside the same number of held-out music, with the band that real music
fills, and beside that of a *control*, music spoilt in the way that the metric is there to hear. `reference` prepares
the real music of a corpus, `evaluate` compares clips with it, and the `Report` shows itself.

Two kinds of numbers are compared in two ways:

- A *clip metric* (`ganmusic.metrics.METRICS`) has a value for each clip. The mean over the generated clips passes if it
  lies where nine of ten single held-out clips do, or cannot be told from that of held-out music. The gap of the means
  is Cohen's d, with a bootstrap interval for which whole pieces are drawn, as clips of one piece are not independent.
- A *statistic* (`STATISTICS`) has a value for a whole set, and depends on the size of the sets. So held-out pieces are
  divided at random into two halves, many times: one half is the reference, and the other stands for real music, which
  gets a value too, with as many clips. The band from the 5th to the 95th percentile of its values is widened by the
  root of two, since halves of one set stray less than new pieces would; generated clips pass if they do no worse.

Neither proves that music is good or new. The `Verdict` therefore asks for several things at once.

Taught in: notebooks/04-evaluation.ipynb
"""

from __future__ import annotations

from ganmusic.evaluation.clips import N_CLIPS, Clips, clips_of_run, read_clips
from ganmusic.evaluation.compare import evaluate
from ganmusic.evaluation.report import SUFFIXES, Condition, Report, Row, Verdict
from ganmusic.evaluation.statistics import STATISTICS, Reference, Sample, Statistic, reference

__all__ = [
    "N_CLIPS",
    "STATISTICS",
    "SUFFIXES",
    "Clips",
    "Condition",
    "Reference",
    "Report",
    "Row",
    "Sample",
    "Statistic",
    "Verdict",
    "clips_of_run",
    "evaluate",
    "read_clips",
    "reference",
]
