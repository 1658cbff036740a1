"""Parts that several models share.

Conventions
-----------
Networks pass rolls as one tensor ``(batch, plane, track, bar, step, pitch)``: plane 0 is what sounds, plane 1
where a note begins (`ganmusic.pianoroll.Roll`).
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

__all__ = [
    "Examples",
    "at_least_float32",
    "bar_latents",
    "initialise",
    "planes",
    "straight_through_argmax",
    "straight_through_step",
]


def bar_latents(n: int, n_bars: int, n_latent: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw a latent for each bar ``(n, n_bars, n_latent)``, whose first half is the same in all bars of a clip."""
    own = torch.randn(n, n_bars, n_latent // 2, generator=generator)
    shared = torch.randn(n, 1, n_latent - n_latent // 2, generator=generator)
    return torch.cat([shared.expand(-1, n_bars, -1), own], -1)


def initialise(network: nn.Module, slope: float = 0.2) -> None:
    """Draw weights that keep a signal's variance through leaky ReLUs, and set biases to zero (He et al. 2015).

    Torch's default shrinks the signal at every layer until the biases drown it: a deep generator that begins
    so gives the same clip whatever its latent, and takes thousands of updates to find out.
    """
    gain = nn.init.calculate_gain("leaky_relu", slope)
    for layer in network.modules():
        if not isinstance(layer, nn.Linear | _ConvNd):
            continue
        fan_in: float = layer.weight[0].numel()
        if isinstance(layer, _ConvTransposeNd):
            # Of the kernel's taps, one in `stride` meets any output position.
            fan_in = layer.in_channels * prod(layer.kernel_size) / prod(layer.stride)
        nn.init.normal_(layer.weight, std=gain / fan_in**0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class Examples(nn.Module):
    """A handful of what real music asked of a generator that must be told something.

    They are buffers: saved with the weights, so that the generator can be heard wherever it is loaded. The first ones
    asked are kept, so that samples drawn during training are answers to the same questions.

    Parameters
    ----------
    n : int
        Examples that there is room for.
    shape : int
        Shape of one.
    """

    rows: Tensor
    n_kept: Tensor

    def __init__(self, n: int, *shape: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(n, *shape))
        self.register_buffer("n_kept", torch.tensor(0))

    @torch.no_grad()
    def keep(self, asked: Tensor) -> None:
        """Keep what is asked ``(batch, ...)`` while there is room."""
        kept = int(self.n_kept)
        new = asked[: len(self.rows) - kept]
        self.rows[kept : kept + len(new)] = new
        self.n_kept += len(new)

    def take(self, n: int) -> Tensor:
        """`n` of them ``(n, ...)``, in their order and round again; zeros, if none was kept."""
        return self.rows[torch.arange(n, device=self.rows.device) % max(1, int(self.n_kept))]


def planes(sounding: Tensor, struck: Tensor | None = None) -> Tensor:
    """Add the onset plane to what sounds: a note begins where sound follows silence, or where it is struck again.

    Both are ``(batch, track, bar, step, pitch)``; without `struck`, for models that draw none, nothing is. The result
    is ``(batch, plane, track, bar, step, pitch)``; differentiable.
    """
    time = sounding.flatten(2, 3)
    goes_on = pad(time, (0, 0, 1, 0))[:, :, :-1]
    if struck is not None:
        goes_on = goes_on * (1 - struck.flatten(2, 3))
    onset = (time * (1 - goes_on)).unflatten(2, sounding.shape[2:4])
    return torch.stack([sounding, onset], 1)


def at_least_float32(x: Tensor) -> Tensor:
    """Leave mixed precision, in which zero and one would come back from a detour through a softmax as in-betweens."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def straight_through_argmax(logits: Tensor) -> Tensor:
    """One-hot of the largest entry of the last axis, with the softmax's gradient (Bengio et al. 2013).

    The generator's output is discrete, as notes are, so that the discriminator never sees in-betweens that
    would give it away; the gradient passes as if the output had been the softmax.
    """
    soft = at_least_float32(logits).softmax(-1)
    hard = one_hot(logits.argmax(-1), logits.shape[-1]).to(soft.dtype)
    return hard + soft - soft.detach()


def straight_through_step(logits: Tensor) -> Tensor:
    """1 where a logit is positive, else 0, with the sigmoid's gradient (Bengio et al. 2013)."""
    soft = at_least_float32(logits).sigmoid()
    return (logits > 0).to(soft.dtype) + soft - soft.detach()
