"""Penalties on the discriminator: what keeps the game smooth.

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
from torch import Tensor

__all__ = ["feature_matching", "gradient_penalty", "r1_r2", "zero_centred"]

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


def r1_r2(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """R1 on the real samples plus R2 on the generated ones (Huang et al. 2024, eq. 4-5).

    Taught in: notebooks/03-training.ipynb
    """
    return zero_centred(discriminator, real) + zero_centred(discriminator, fake)


def gradient_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """``E (||grad_x f(x)|| - 1)^2`` at points between real and fake samples (Gulrajani et al. 2017, eq. 3).

    The point between is drawn anew for each sample.
    """
    weight = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    between = weight * real + (1 - weight) * fake
    return (input_gradient(discriminator, between).norm(dim=1) - 1).square().mean()


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """``||E real - E fake||^2`` of an inner layer's features ``(batch, ...)`` (Salimans et al. 2016, sec. 3.1)."""
    return (real_features.mean(0) - fake_features.mean(0)).square().sum()
