"""Runs on disk: weights as safetensors, everything else as JSON that a person can read.

A run is a folder::

    RUN/config.json               what is trained, on what, with which versions and budget
    RUN/log.jsonl                 one row of numbers a line, as training went
    RUN/samples/                  fixed-noise samples along the way
    RUN/checkpoint-00001000/      tensors.safetensors and state.json (step, row, best, checksum)

A network that is passed on alone (see `ganmusic.hub`) is a folder with `config.json`, and ``model.safetensors`` in
place of checkpoints.

A checkpoint is written under a temporary name and renamed, so one that is there is whole; the last two
and the best one are kept. Nothing is ever unpickled: a run from a stranger can hold wrong numbers, but no program.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ganmusic.files import atomic_path, umask

__all__ = [
    "FORMAT",
    "CheckpointError",
    "checkpoints",
    "find",
    "latest",
    "load",
    "load_weights",
    "numbered",
    "read_card",
    "read_config",
    "read_log",
    "save",
    "save_numbered",
    "save_weights",
    "shipped",
    "write_config",
]

#: Version of the layout above; a run of another one is refused.
FORMAT = 1
#: The file's name that loaders of published networks look for.
_WEIGHTS = "model.safetensors"


_SHIPPED = Path(__file__).resolve().parent / "weights"


class CheckpointError(ValueError):
    """A run or checkpoint that is missing, damaged or from another version; the message says which."""

    @classmethod
    def misfit(cls, path: str | os.PathLike[str], error: Exception) -> CheckpointError:
        """Say that what was read is whole, but not what this version expects."""
        reason = f"no entry {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        return cls(f"{path} does not fit this version of ganmusic: {reason}")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read JSON, or say which file is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is damaged: it holds no JSON object")
    return content


def sha256(path: Path) -> str:
    """Checksum of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shipped() -> list[str]:
    """Names of the weights that come with the package.

    Taught in: notebooks/07-midinet.ipynb
    """
    return sorted(path.parent.name for path in _SHIPPED.glob("*/config.json"))


def find(run: str | os.PathLike[str]) -> Path:
    """Where a run is: a folder, or the name of weights that come with the package, unless there is such a folder."""
    run = Path(run)
    return _SHIPPED / run if not run.exists() and str(run) in shipped() else run


def write_config(run: str | os.PathLike[str], config: dict[str, Any]) -> None:
    """Begin a run: make its folder and write its `config.json`."""
    run = Path(run)
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / "config.json", {"format": FORMAT, **config})


def read_config(run: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a run was made of.

    Raises
    ------
    CheckpointError
        If the folder is missing, is no run, is damaged or has another format.
    """
    run = Path(run)
    if not run.is_dir():
        raise CheckpointError(f"there is no run folder {run}; with the package come {', '.join(shipped())}")
    if not (run / "config.json").exists():
        raise CheckpointError(f"{run} is not a run: it has no config.json")
    config = read_json(run / "config.json")
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"{run} has format {config.get('format')}, and this version of ganmusic reads format {FORMAT}"
        )
    return config


def save(folder: str | os.PathLike[str], tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint folder under a temporary name, then rename it."""
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        path = temporary / "tensors.safetensors"
        _write_tensors(path, tensors, folder)
        write_json(temporary / "state.json", {"format": FORMAT, **state, "sha256": sha256(path)})
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_tensors(path: Path, tensors: dict[str, Tensor], goal: Path) -> None:
    """Write a file of tensors, on the way to its `goal`."""
    try:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, path)
    except SafetensorError as error:  # a full disk, among others
        raise OSError(f"{goal} cannot be written: {error}") from None
    path.chmod(0o666 & ~umask())  # the library's own choice would hide a run from the machine's other users


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def load(folder: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint's tensors and state.

    Raises
    ------
    CheckpointError
        If a file is missing, or its content is not what was written.
    """
    folder = Path(folder)
    state = read_json(folder / "state.json")
    if state.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder} has format {state.get('format')}, and this version of ganmusic reads format {FORMAT}"
        )
    path = folder / "tensors.safetensors"
    if not path.exists():
        raise CheckpointError(f"{path} is missing")
    if sha256(path) != state.get("sha256"):
        raise CheckpointError(f"{path} is damaged: its checksum is not the one in state.json")
    return _read_tensors(path), state


def save_weights(folder: str | os.PathLike[str], weights: dict[str, Tensor]) -> None:
    """Write a network's weights to a folder, without its training; those that are the same numbers in half precision,
    as of a network that was stored so before, are stored so.
    """
    path = Path(folder) / _WEIGHTS
    with atomic_path(path) as temporary:
        _write_tensors(temporary, {name: _smallest(each) for name, each in weights.items()}, path)


def _smallest(weights: Tensor) -> Tensor:
    half = weights.half()
    return half if weights.is_floating_point() and half.to(weights).equal(weights) else weights


def load_weights(folder: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read what `save_weights` wrote; nothing, if it wrote nothing there.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    path = Path(folder) / _WEIGHTS
    return _read_tensors(path) if path.exists() else {}


def checkpoints(run: str | os.PathLike[str]) -> list[Path]:
    """The numbered checkpoints of a run, oldest first."""
    named = [(path.name.removeprefix("checkpoint-"), path) for path in Path(run).glob("checkpoint-*")]
    return [path for _, path in sorted((int(step), path) for step, path in named if step.isdecimal())]


def latest(run: str | os.PathLike[str]) -> Path | None:
    """The newest numbered checkpoint of a run, or None before the first."""
    return next(reversed(checkpoints(run)), None)


def save_numbered(
    run: str | os.PathLike[str], step: int, tensors: dict[str, Tensor], state: dict[str, Any], best: int | None = None
) -> Path:
    """Save the checkpoint of a step, then remove all but the last two and that of the `best` step."""
    save(numbered(run, step), tensors, state)
    for old in checkpoints(run)[:-2]:
        if best is None or old != numbered(run, best):
            shutil.rmtree(old)
    return numbered(run, step)


def numbered(run: str | os.PathLike[str], step: int) -> Path:
    """Where a run keeps the checkpoint of a step."""
    return Path(run) / f"checkpoint-{step:08d}"


def read_log(run: str | os.PathLike[str]) -> list[dict[str, float]]:
    """Read the rows of a run's log; a last line that was cut off by a crash is left out."""
    path = Path(run) / "log.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def read_card(run: str | os.PathLike[str]) -> dict[str, Any]:
    """What `ganmusic info` tells of a run (see `find`): its config, its newest checkpoint's state and its last row."""
    run = find(run)
    config = read_config(run)
    folder = latest(run)
    rows = read_log(run)
    return {
        "config": config,
        "checkpoint": read_json(folder / "state.json") if folder else None,
        "last_row": rows[-1] if rows else None,
    }
