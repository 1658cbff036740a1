"""Run notebooks in place, so that a second run on the same machine changes nothing but what the code changes.

Used by ``make notebooks``. Each notebook runs in an empty folder of its own, as it will after
``pip install ganmusic``. Left out of the file: times of execution, and the versions of the machine's Python.
The random identifiers of widgets become numbers in the order in which they appear.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from ganmusic.files import atomic_path

IDENTIFIER = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-f])"
)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TIMEOUT = 600


def number_identifiers(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Replace random 128-bit identifiers by 1, 2, 3 and so on, written as long as they were."""
    seen: dict[str, str] = {}
    # As JSON in the order of creation: the file's own order is sorted by the random names.
    text = IDENTIFIER.sub(
        lambda match: seen.setdefault(match[0], f"{len(seen) + 1:032x}"), json.dumps(notebook)
    )
    return nbformat.from_dict(json.loads(text))


def execute(path: Path) -> float:
    """Run one notebook and write it back; the seconds it took. It stays as it was if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        start = time.perf_counter()
        client.execute()
        seconds = time.perf_counter() - start
    notebook.metadata["language_info"] = {"name": "python"}
    with atomic_path(path) as temporary:
        temporary.write_text(nbformat.writes(number_identifiers(notebook)) + "\n", encoding="utf8")
    return seconds


def main(paths: list[str]) -> None:
    """Run the notebooks one after the other."""
    for path in map(Path, paths):
        print(f"{path} ...", end=" ", flush=True)
        print(f"{execute(path):.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
