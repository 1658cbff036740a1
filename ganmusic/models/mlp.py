"""The plain network that most articles about GANs begin with.

Two multilayer perceptrons that know nothing of music: to them a roll is one long vector (Goodfellow et al.
2014; the sizes are those of countless tutorials). The discriminator ends in a sigmoid, as there, so this pair
is trained with binary cross-entropy on probabilities; every other model of the package returns raw logits.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from ganmusic.losses import Loss
from ganmusic.models.blocks import planes

__all__ = ["BINARY_CROSS_ENTROPY", "MLPDiscriminator", "MLPGenerator"]


def _discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    # Real clips should be called 1 and generated ones 0.
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    return binary_cross_entropy(real, ones) + binary_cross_entropy(fake, zeros)


def _generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    # The generator wants its clips called 1: the non-saturating loss.
    return binary_cross_entropy(fake, torch.ones_like(fake))


#: The non-saturating loss on *probabilities*, as most articles write it; on logits it is
#: ``LOSSES["non_saturating"]``, which is the same function and does not lose precision near 0 and 1.
BINARY_CROSS_ENTROPY = Loss(
    "binary_cross_entropy",
    _discriminator_loss,
    _generator_loss,
    "Goodfellow et al. 2014, sec. 3",
    of_probabilities=True,
)


class MLPGenerator(nn.Module):
    """Noise to a roll through two hidden layers.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of a roll.
    n_latent : int
        Length of the noise vector.

    Taught in: notebooks/03-training.ipynb
    """

    #: A track may have several notes at a time.
    monophonic = False

    def __init__(
        self, n_tracks: int = 4, n_bars: int = 4, n_steps: int = 16, n_pitches: int = 48, n_latent: int = 100
    ) -> None:
        super().__init__()
        self.shape = (n_tracks, n_bars, n_steps, n_pitches)
        self.n_bars, self.n_latent = n_bars, n_latent
        self.layers = nn.Sequential(
            nn.Linear(n_latent, 256),  # (batch, 256)
            nn.ReLU(),
            nn.Linear(256, 512),  # (batch, 512)
            nn.ReLU(),
            nn.Linear(512, math.prod(self.shape)),  # (batch, track * bar * step * pitch)
            nn.Sigmoid(),
        )

    def latent(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw noise ``[shape=(n, n_latent)]``."""
        return torch.randn(n, self.n_latent, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        """``(batch, n_latent)`` to probabilities ``(batch, plane, track, bar, step, pitch)``."""
        return planes(self.layers(z).unflatten(1, self.shape))

    @torch.no_grad()
    def sample(self, z: Tensor) -> Tensor:
        """Rolls of booleans: what is more likely to sound than not, sounds."""
        sounding = self.layers(z).unflatten(1, self.shape) > 0.5
        return planes(sounding.float()).bool()


class MLPDiscriminator(nn.Module):
    """A roll's sounding plane to the probability that it is real, or to its logit.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of a roll.
    sigmoid : bool
        Whether it ends in a sigmoid. Without, it plays by any loss of `ganmusic.losses`.

    Taught in: notebooks/03-training.ipynb
    """

    def __init__(
        self, n_tracks: int = 4, n_bars: int = 4, n_steps: int = 16, n_pitches: int = 48, sigmoid: bool = True
    ) -> None:
        super().__init__()
        #: Whether it returns probabilities instead of logits.
        self.of_probabilities = sigmoid
        self.layers = nn.Sequential(
            nn.Linear(n_tracks * n_bars * n_steps * n_pitches, 256),  # (batch, 256)
            nn.LeakyReLU(0.2),
            nn.Linear(256, 128),  # (batch, 128)
            nn.LeakyReLU(0.2),
            nn.Linear(128, 1),  # (batch, 1)
            nn.Sigmoid() if sigmoid else nn.Identity(),
        )

    def forward(self, rolls: Tensor) -> Tensor:
        """``(batch, plane, track, bar, step, pitch)`` to probabilities, or logits, ``(batch, 1)``."""
        return self.layers(rolls[:, 0].flatten(1))
