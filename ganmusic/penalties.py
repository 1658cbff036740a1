"""Penalties and bounds on the discriminator: what keeps the game smooth.

Conventions
-----------
`discriminator` maps ``(batch, ...)`` to logits ``(batch, ...)``; ``real`` and ``fake`` are inputs of one shape.
Every penalty is a scalar *without* its weight. Where a discriminator returns several logits a sample, the
gradient is that of their mean.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganmusic.parallel import rand

__all__ = [
    "clip_weights",
    "feature_matching",
    "gradient_penalty",
    "r1",
    "r1_r2",
    "r2",
    "spectral_norm",
    "zero_centred",
]

Discriminator = Callable[[Tensor], Tensor]


def input_gradient(discriminator: Discriminator, x: Tensor) -> Tensor:
    """Gradient of each sample's mean logit with respect to the sample, ``[shape=(batch, elements)]``."""
    x = x.detach().requires_grad_(True)
    logits = discriminator(x).flatten(1).mean(1)
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.flatten(1)


def zero_centred(discriminator: Discriminator, x: Tensor) -> Tensor:
    """Half the mean squared gradient norm at `x`: R1 for real samples, R2 for generated ones.

    ``1/2 E ||grad_x f(x)||^2`` (Mescheder et al. 2018, eq. 9-10), to be weighted by gamma.

    Taught in: notebooks/03-training.ipynb
    """
    return 0.5 * input_gradient(discriminator, x).square().sum(1).mean()


def r1(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """`zero_centred` on the real samples (Mescheder et al. 2018, eq. 9).

    Taught in: notebooks/06-losses-and-stability.ipynb
    """
    return zero_centred(discriminator, real)


def r2(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """`zero_centred` on the generated samples (Mescheder et al. 2018, eq. 10).

    Taught in: notebooks/06-losses-and-stability.ipynb
    """
    return zero_centred(discriminator, fake)


def r1_r2(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """R1 on the real samples plus R2 on the generated ones (Huang et al. 2024, eq. 4-5).

    Taught in: notebooks/03-training.ipynb
    """
    return zero_centred(discriminator, real) + zero_centred(discriminator, fake)


def gradient_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """``E (||grad_x f(x)|| - 1)^2`` at points between real and fake samples (Gulrajani et al. 2017, eq. 3).

    The point between is drawn anew for each sample.
    """
    weight = rand((len(real), *[1] * (real.dim() - 1)), like=real)
    between = weight * real + (1 - weight) * fake
    return (input_gradient(discriminator, between).norm(dim=1) - 1).square().mean()


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """``||E real - E fake||^2`` of an inner layer's features ``(batch, ...)`` (Salimans et al. 2016, sec. 3.1)."""
    return (real_features.mean(0) - fake_features.mean(0)).square().sum()


def spectral_norm(network: nn.Module) -> nn.Module:
    """Divide the weight matrix of every linear and convolutional layer by its largest singular value, in place.

    Each layer's slope is then at most about 1 (Miyato et al. 2018, sec. 2.1; by power iteration, one step a forward
    pass in training). Weights that are all zero have no such value and are drawn anew.

    Taught in: notebooks/06-losses-and-stability.ipynb
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            if not layer.weight.any():
                nn.init.kaiming_normal_(layer.weight, a=0.2)
            parametrizations.spectral_norm(layer)
    return network


@torch.no_grad()
def clip_weights(network: nn.Module, bound: float) -> None:
    """Move every weight into ``[-bound, bound]``, in place (Arjovsky et al. 2017, algorithm 1).

    Taught in: notebooks/06-losses-and-stability.ipynb
    """
    for weight in network.parameters():
        weight.clamp_(-bound, bound)
