"""The small MuseGAN of the ISMIR 2019 tutorial on music GANs (Dong and Yang 2019), which most PyTorch users start from.

One noise vector unfolds into bars, then steps, then octaves, then, for each track by itself, into pitches; the
discriminator folds the other way. For five tracks of four bars, 16 steps and 72 pitches the generator has 313,951
weights and the discriminator 204,321, as in the tutorial. Layers and sizes are its own; the code is not. One thing
differs: the generator ends in a sigmoid where the tutorial's ends in a ReLU, so that a cell is a probability here as
everywhere in this package.

Taught in: notebooks/08-musegan.ipynb
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganmusic.models.blocks import planes

__all__ = ["SmallMuseGANDiscriminator", "SmallMuseGANGenerator"]

Size = tuple[int, int, int]


def check(n_tracks: int, n_bars: int, n_steps: int, n_pitches: int) -> None:
    """Raise a ValueError unless the fixed kernels fit a clip of this shape."""
    if n_tracks < 1 or n_bars < 2:
        raise ValueError(f"the small MuseGAN has at least one track and two bars, not {n_tracks} and {n_bars}")
    if n_steps < 4 or n_steps % 4:
        raise ValueError(f"the small MuseGAN has a multiple of 4 steps a bar, not {n_steps}")
    if n_pitches < 36 or n_pitches % 12:
        raise ValueError(f"the small MuseGAN has whole octaves of pitches, at least three, not {n_pitches} pitches")


def up(wide: int, narrow: int, kernel: Size, stride: Size | None = None) -> nn.Sequential:
    """One layer of the generator: transposed convolution over (bar, step, pitch), batch norm, ReLU."""
    return nn.Sequential(
        nn.ConvTranspose3d(wide, narrow, kernel, stride or kernel), nn.BatchNorm3d(narrow), nn.ReLU()
    )


def down(narrow: int, wide: int, kernel: Size, stride: Size | None = None) -> nn.Sequential:
    """One layer of the discriminator: convolution, layer norm over the whole sample, leaky ReLU."""
    # Group normalisation with one group is layer normalisation with a weight and a bias a channel.
    return nn.Sequential(
        nn.Conv3d(narrow, wide, kernel, stride or kernel), nn.GroupNorm(1, wide), nn.LeakyReLU(0.01)
    )


class SmallMuseGANGenerator(nn.Module):
    """One noise vector to several tracks.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of a clip: at least two bars, a multiple of four steps, at least three octaves.
    n_latent : int
        Length of the noise vector.

    Raises
    ------
    ValueError
        If the shape does not fit.

    Taught in: notebooks/08-musegan.ipynb
    """

    #: A track may have several notes at a time.
    monophonic = False

    def __init__(
        self, n_tracks: int = 4, n_bars: int = 4, n_steps: int = 16, n_pitches: int = 48, n_latent: int = 128
    ) -> None:
        super().__init__()
        check(n_tracks, n_bars, n_steps, n_pitches)
        self.n_tracks, self.n_bars, self.n_latent = n_tracks, n_bars, n_latent
        n_octaves = n_pitches // 12
        self.together = nn.Sequential(
            nn.Unflatten(1, (n_latent, 1, 1, 1)),
            up(n_latent, 256, (n_bars, 1, 1)),  # (batch, 256, bar, 1, 1)
            up(256, 128, (1, n_steps // 4, 1)),  # (batch, 128, bar, step / 4, 1)
            up(128, 64, (1, 1, n_octaves - 2)),  # (batch, 64, bar, step / 4, octave - 2)
            up(64, 32, (1, 1, 3), (1, 1, 1)),  # (batch, 32, bar, step / 4, octave)
        )
        self.tracks = nn.ModuleList(
            nn.Sequential(
                up(32, 16, (1, 4, 1)),  # (batch, 16, bar, step, octave)
                *list(up(16, 1, (1, 1, 12)))[:2],  # (batch, 1, bar, step, pitch)
                nn.Sigmoid(),
            )
            for _ in range(n_tracks)
        )

    def latent(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw noise ``[shape=(n, n_latent)]``."""
        return torch.randn(n, self.n_latent, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        """``(batch, n_latent)`` to probabilities ``(batch, plane, track, bar, step, pitch)``."""
        return planes(self._sounding(z))

    @torch.no_grad()
    def sample(self, z: Tensor) -> Tensor:
        """Rolls of booleans: what is more likely to sound than not, sounds."""
        return planes((self._sounding(z) > 0.5).float()).bool()

    def _sounding(self, z: Tensor) -> Tensor:
        x = self.together(z)
        return torch.cat([track(x) for track in self.tracks], 1)


class SmallMuseGANDiscriminator(nn.Module):
    """What sounds to a logit a clip.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of a clip, as of `SmallMuseGANGenerator`.

    Raises
    ------
    ValueError
        If the shape does not fit.

    Taught in: notebooks/08-musegan.ipynb
    """

    def __init__(self, n_tracks: int = 4, n_bars: int = 4, n_steps: int = 16, n_pitches: int = 48) -> None:
        super().__init__()
        check(n_tracks, n_bars, n_steps, n_pitches)
        self.tracks = nn.ModuleList(
            nn.Sequential(
                down(1, 16, (1, 1, 12)),  # (batch, 16, bar, step, octave)
                down(16, 16, (1, 4, 1)),  # (batch, 16, bar, step / 4, octave)
            )
            for _ in range(n_tracks)
        )
        self.together = nn.Sequential(
            down(16 * n_tracks, 64, (1, 1, 3), (1, 1, 1)),  # (batch, 64, bar, step / 4, octave - 2)
            down(64, 64, (1, 1, n_pitches // 12 - 2)),  # (batch, 64, bar, step / 4, 1)
            down(64, 128, (1, n_steps // 4, 1)),  # (batch, 128, bar, 1, 1)
            down(128, 128, (2, 1, 1), (1, 1, 1)),  # (batch, 128, bar - 1, 1, 1)
            down(128, 256, (n_bars - 1, 1, 1)),  # (batch, 256, 1, 1, 1)
            nn.Flatten(),
            nn.Linear(256, 1),
        )

    def forward(self, rolls: Tensor) -> Tensor:
        """``(batch, plane, track, bar, step, pitch)`` to logits ``(batch, 1)``."""
        tracks = rolls[:, 0].unsqueeze(2).unbind(1)  # of each, (batch, 1, bar, step, pitch)
        x = torch.cat([network(track) for network, track in zip(self.tracks, tracks, strict=True)], 1)
        logits: Tensor = self.together(x)
        return logits
