"""One training run on several processes, and on the device that each of them computes on.

``torchrun --nproc-per-node=2 -m ganmusic train ...`` starts as many equal processes, told apart by their *rank*. All
hold the same networks, draw the same chance and see the same batch; each computes another part of it. They meet where
a result depends on the whole batch:

- logits and features are *gathered* before a loss is computed, so every loss is that of the whole batch, also one
  that compares means or pairs of samples;
- batch normalisation takes its mean and variance over all processes;
- gradients are averaged before an optimizer uses them.

So the weights stay the same on every rank, and are those that one process would find on the same batches, up to
rounding. A penalty that is a mean over samples needs nothing more: the mean over the ranks is the whole mean.

``torch.nn.parallel.DistributedDataParallel`` is not used: it averages the gradients of a module whose forward and one
backward it sees, of a loss that is a mean over samples. Here losses compare samples of different ranks, an update goes
through two networks of which one rests, a penalty differentiates a gradient, and lessons touch some weights only. What
it does, `broadcast` does once and `average_gradients` before each step of an optimizer.

Conventions
-----------
What is minimised is the mean over the ranks of the loss that each computes. What passes from rank to rank is
differentiated as what it is, which makes that gradient the mean of the gradients that the ranks find. In a single
process every function here does nothing.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = [
    "DEVICES",
    "SyncBatchNorm",
    "average_gradients",
    "broadcast",
    "check_same",
    "first",
    "gather",
    "mean",
    "mean_row",
    "part",
    "process_group",
    "rand",
    "rank",
    "select_device",
    "synchronise_norms",
    "world_size",
]

#: Kinds of devices that networks are trained on.
DEVICES = ("cpu", "cuda", "mps")


def rank() -> int:
    """Number of this process, from 0; rank 0 alone writes."""
    return distributed.get_rank() if _is_shared() else 0


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _is_shared() else 1


def _is_shared() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def select_device(name: str = "cpu") -> torch.device:
    """The device of this process: with ``cuda``, each process of a machine has one of its own.

    Raises
    ------
    ValueError
        If there is no such kind of device, this machine has none of it, or it has too few for its processes.

    Taught in: notebooks/03-training.ipynb
    """
    if name not in DEVICES:
        raise ValueError(f"there is no device {name!r}; there are {', '.join(DEVICES)}")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[name]:
        there = ", ".join(kind for kind in DEVICES if available[kind])
        raise ValueError(f"torch {torch.__version__} finds no {name} device on this machine; it can use: {there}")
    index, n = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if n > 1:
            raise ValueError(f"an mps device is one process's own, and there are {n}: train there without torchrun")
        return torch.device("mps")
    if n > torch.cuda.device_count():
        raise ValueError(
            f"{n} processes need as many cuda devices, and this machine has {torch.cuda.device_count()}: "
            f"torchrun --nproc-per-node={torch.cuda.device_count()}"
        )
    return torch.device("cuda", index)


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes that torchrun started, and leave them in the end; alone, do nothing.

    A group that was joined before is used, and not left.

    Taught in: notebooks/03-training.ipynb
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or _is_shared():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # What lies on the processor goes by gloo, also where the networks lie on graphics cards.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def check_same(what: str, value: str) -> None:
    """Make sure that all ranks are about to do the same.

    Raises
    ------
    ValueError
        On every rank, if one has another `value` than rank 0; it names `what` it is.
    """
    values: list[str | None] = [None] * world_size()
    if _is_shared():
        distributed.all_gather_object(values, value)
        if len(set(values)) > 1:
            raise ValueError(f"the processes do not see the same {what}: {' | '.join(map(str, values))}")


def part(batch: Tensor) -> Tensor:
    """Take this rank's part of a whole batch ``(batch, ...)``: as many rows as all others, in the order of ranks.

    Raises
    ------
    ValueError
        If the rows cannot be shared out evenly: means of means would then not be the whole mean.

    Taught in: notebooks/03-training.ipynb
    """
    n = world_size()
    if len(batch) % n:
        raise ValueError(f"{len(batch)} samples cannot be shared out evenly among {n} processes: use a multiple of {n}")
    return batch.chunk(n)[rank()]


def rand(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Uniform numbers for this rank's samples ``(batch, ...)``, on the device and of the type of `like`.

    Drawn for all ranks' samples and on the processor: a seed gives the same numbers on any device and on any number of
    processes. Whatever draws chance for single samples in training must draw it so.
    """
    return part(torch.rand(world_size() * shape[0], *shape[1:])).to(like)


def randn(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Normal numbers, drawn as those of `rand` are."""
    return part(torch.randn(world_size() * shape[0], *shape[1:])).to(like)


class _Sum(torch.autograd.Function):
    """Sum of a tensor over the ranks. Each rank's loss depends on each rank's tensor, so its gradient is summed too."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        summed = x.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return _total(gradient)


def _total(x: Tensor) -> Tensor:
    """Sum of a tensor over the ranks; differentiable."""
    return _Sum.apply(x) if world_size() > 1 else x  # type: ignore[no-untyped-call]


def mean(x: Tensor) -> Tensor:
    """Mean of a tensor over the ranks; differentiable.

    Taught in: notebooks/03-training.ipynb
    """
    return _total(x) / world_size()


def mean_row(row: dict[str, float]) -> dict[str, float]:
    """Means over the ranks of what each has measured, the same on all."""
    return dict(zip(row, mean(torch.tensor([*row.values()], dtype=torch.float64)).tolist(), strict=True))


def first(value: float) -> float:
    """Tell all ranks what rank 0 has found, which they wait for."""
    told = torch.tensor(value, dtype=torch.float64)
    if _is_shared():
        distributed.broadcast(told, 0)
    return told.item()


def gather(x: Tensor) -> Tensor:
    """All ranks' parts ``(batch, ...)`` as one whole batch, in the order of the ranks; differentiable.

    Taught in: notebooks/03-training.ipynb
    """
    n = world_size()
    if n == 1:
        return x
    nothing = torch.zeros_like(x)
    return _total(torch.cat([x if index == rank() else nothing for index in range(n)]))


@torch.no_grad()
def average_gradients(network: nn.Module) -> None:
    """Replace the gradients of a network's weights by their means over the ranks, all in one message.

    Taught in: notebooks/03-training.ipynb
    """
    if world_size() == 1:
        return
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    means = mean(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, new in zip(gradients, means.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(new.view_as(gradient))


@torch.no_grad()
def broadcast(network: nn.Module) -> None:
    """Give all ranks the weights and buffers of rank 0."""
    for tensor in network.state_dict().values() if _is_shared() else ():
        distributed.broadcast(tensor, 0)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation by the mean and variance over all ranks (torch's own of that name needs graphics cards).

    Taught in: notebooks/03-training.ipynb
    """

    def _check_input_dim(self, x: Tensor) -> None:
        """Take any number of axes."""

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channel, ...)`` both ways."""
        if not self.training:
            return super().forward(x)
        axes = [0, *range(2, x.dim())]
        shape = (1, -1, *[1] * (x.dim() - 2))
        whole = x.to(torch.promote_types(x.dtype, torch.float32))
        average = mean(whole.mean(axes))
        centred = whole - average.view(shape)
        variance = mean(centred.square().mean(axes))
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            weight = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.item()
            n = world_size() * x.numel() // x.shape[1]
            self.running_mean.lerp_(average.detach(), weight)
            self.running_var.lerp_(variance.detach() * n / (n - 1), weight)
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    @classmethod
    def of(cls, norm: _BatchNorm) -> SyncBatchNorm:
        """Make one that shares the weights and statistics of a normalisation."""
        new = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        new.weight, new.bias, new.training = norm.weight, norm.bias, norm.training
        new.running_mean, new.running_var = norm.running_mean, norm.running_var
        new.num_batches_tracked = norm.num_batches_tracked
        return new


def synchronise_norms(network: nn.Module) -> None:
    """Replace every batch normalisation inside a network by a `SyncBatchNorm` of the same weights; alone, none."""
    for module in list(network.modules()) if world_size() > 1 else ():
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                setattr(module, name, SyncBatchNorm.of(child))
