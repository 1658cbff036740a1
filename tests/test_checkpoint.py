"""Runs on disk: what is written is what is read, and what is damaged is named."""

import json

import pytest
import torch
from safetensors import SafetensorError

from ganmusic import checkpoint
from ganmusic.checkpoint import CheckpointError

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)}
STATE = {"step": 3, "seconds": 1.5, "seed": 0, "best": None}


def test_round_trip(tmp_path):
    checkpoint.save(tmp_path / "one", TENSORS, STATE)
    tensors, state = checkpoint.load(tmp_path / "one")
    assert set(tensors) == set(TENSORS)
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert {key: state[key] for key in STATE} == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_failed_save_leaves_the_earlier_one(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "one", TENSORS, STATE)

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path / "one", {"other": torch.zeros(1)}, STATE)
    assert set(checkpoint.load(tmp_path / "one")[0]) == set(TENSORS)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_the_last_two_and_the_best_are_kept(tmp_path):
    for step in (10, 20, 30, 40, 50):
        checkpoint.save_numbered(tmp_path, step, TENSORS, {**STATE, "step": step}, best=20)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == [
        "checkpoint-00000020",
        "checkpoint-00000040",
        "checkpoint-00000050",
    ]
    assert checkpoint.latest(tmp_path) == checkpoint.numbered(tmp_path, 50)


def test_a_full_disk_is_an_ordinary_error(tmp_path, monkeypatch):
    def full(*args):
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match=r"one cannot be written: .*No space left"):
        checkpoint.save(tmp_path / "one", TENSORS, STATE)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_like_name_is_no_checkpoint(tmp_path):
    checkpoint.save_numbered(tmp_path, 30, TENSORS, STATE)
    (tmp_path / "checkpoint-old").mkdir()
    assert checkpoint.checkpoints(tmp_path) == [checkpoint.numbered(tmp_path, 30)]


def test_latest_of_nothing(tmp_path):
    assert checkpoint.latest(tmp_path) is None


def damage_tensors(folder):
    path = folder / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (damage_tensors, "tensors.safetensors is damaged"),
        (lambda folder: (folder / "tensors.safetensors").unlink(), "tensors.safetensors is missing"),
        (lambda folder: (folder / "state.json").unlink(), "state.json is missing"),
        (lambda folder: (folder / "state.json").write_text('{"step": 3'), "state.json is damaged"),
        (lambda folder: (folder / "state.json").write_text("[1]"), "state.json is damaged"),
        (lambda folder: (folder / "state.json").write_text('{"format": 99}'), "has format 99"),
    ],
)
def test_damage_is_named(tmp_path, harm, said):
    checkpoint.save(tmp_path / "one", TENSORS, STATE)
    harm(tmp_path / "one")
    with pytest.raises(CheckpointError, match=said):
        checkpoint.load(tmp_path / "one")


def test_config(tmp_path):
    checkpoint.write_config(tmp_path / "run", {"recipe": "toy"})
    assert checkpoint.read_config(tmp_path / "run")["recipe"] == "toy"
    with pytest.raises(CheckpointError, match="there is no run folder"):
        checkpoint.read_config(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is not a run"):
        checkpoint.read_config(tmp_path)
    (tmp_path / "run" / "config.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(CheckpointError, match="has format 0"):
        checkpoint.read_config(tmp_path / "run")


def test_a_cut_off_log_line_is_left_out(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert checkpoint.read_log(tmp_path) == [{"step": 1}, {"step": 2}]
    assert checkpoint.read_log(tmp_path / "nowhere") == []
