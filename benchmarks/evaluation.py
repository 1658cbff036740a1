"""What a full report costs: ``python benchmarks/evaluation.py``, about a minute on one core.

Draws 250 clips of the weights that come with the package, compares them with held-out chorales, and writes the report
as a page of HTML, in a process of its own and on one thread. Prints the processor time of each part and the most memory
that the process had. A second report in the same process finds real music and controls measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
CHILD = "--in-this-process"


def timed(name: str, work: Callable[[], T]) -> T:
    """Do some work and print how much processor time it took."""
    begin = time.process_time()
    done = work()
    print(f"{name}: {time.process_time() - begin:.1f} s", flush=True)
    return done


def measure() -> None:
    """Make two reports, and say what each part of the first cost."""
    begin = time.process_time()
    import torch

    from ganmusic import evaluation

    torch.set_num_threads(1)
    print(f"imports: {time.process_time() - begin:.1f} s")
    clips = timed("drawing 250 clips", evaluation.clips_of_run)
    against = timed("reference", evaluation.reference)
    report = timed("comparing", lambda: evaluation.evaluate(clips, against))
    with tempfile.TemporaryDirectory() as folder:
        timed("page of HTML", lambda: report.save(Path(folder) / "report.html"))
    print(f"full report: {time.process_time() - begin:.1f} s of processor time")
    again = timed("a second set of clips", lambda: evaluation.clips_of_run(seed=2))
    timed("comparing it with the same reference", lambda: evaluation.evaluate(again, against))
    status = Path("/proc/self/status")
    if status.exists():  # Linux
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        print(f"most memory: {int(line.split()[1]) / 1024:,.0f} MiB")


def main() -> None:
    """Measure in a fresh process, on one thread."""
    if CHILD in sys.argv:
        measure()
    else:
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        subprocess.run([sys.executable, __file__, CHILD], env={**os.environ, **one}, check=True)


if __name__ == "__main__":
    main()
