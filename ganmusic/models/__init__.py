"""Models: one paper or one idea a file, networks only.

Each model is a pair of networks over rolls ``(batch, plane, track, bar, step, pitch)``. A generator also has
``latent(n)``, which draws what it is fed, and ``sample(z)``, which returns booleans.
"""

from __future__ import annotations

from torch import nn

from ganmusic.models.convnet import ConvDiscriminator, ConvGenerator
from ganmusic.models.mlp import MLPDiscriminator, MLPGenerator

__all__ = ["MODELS"]

#: Generator and discriminator of every model, by name.
MODELS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "convnet": (ConvGenerator, ConvDiscriminator),
    "mlp": (MLPGenerator, MLPDiscriminator),
}
