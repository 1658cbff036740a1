"""The project's own pair: the convolutional network, told what to sing.

Four things can be asked of it, each of them or none: the mode, how many notes there are, how high they lie, and a bar
to go on from. In training it is asked what real clips have, and each question is left out at random, so that it learns
to answer any of them and to be free where nothing is asked. What a clip has is measured on its notes by functions with
a gradient (`heard`); that is also how the generator learns to obey: how far it misses is part of its loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganmusic.keys import PROFILES
from ganmusic.models.blocks import Examples, initialise
from ganmusic.models.convnet import ConvGenerator, Given, Residual, factors, n_relations, relations

__all__ = ["CONTROLS", "ChoirGenerator", "given_bar", "heard"]

#: What can be asked for with a number, in the order of `heard`.
CONTROLS = ("mode", "density", "register")
#: Least standard deviation of each that counts: a corpus may have clips that are all alike in one of them.
LEAST_SPREAD = (0.01, 0.5, 0.5)
#: Share of the clips that are asked nothing in training, and of the questions that are left out of the others.
LEFT_OUT = 0.5
#: Clips that are remembered to know what is usual.
N_EXAMPLES = 256


def heard(rolls: Tensor) -> Tensor:
    """Measure the controls on rolls.

    Parameters
    ----------
    rolls : Tensor [shape=(batch, plane, track, bar, step, pitch)]
        In the common key, the lowest pitch a C.

    Returns
    -------
    Tensor [shape=(batch, 3)]
        The mode, from minor to major: the pitch classes' shares times what C major has more of each than A minor
        (`ganmusic.keys.PROFILES`); notes a bar; the mean pitch, in semitones above the lowest.
    """
    sounding, onset = rolls.unbind(1)
    notes = sounding.sum((1, 2, 3))  # (batch, pitch): steps for which each sounds
    share = notes / notes.sum(1, keepdim=True).clamp(min=1)
    classes = share.unflatten(1, (-1, 12)).sum(1)
    major, minor = rolls.new_tensor(PROFILES["major"]), rolls.new_tensor(PROFILES["minor"]).roll(9)
    pitch = torch.arange(rolls.shape[-1], dtype=rolls.dtype, device=rolls.device)
    density = onset.sum((1, 2, 3, 4)) / rolls.shape[3]
    return torch.stack([classes @ (major - minor), density, share @ pitch], 1)


def given_bar(bar: Tensor) -> Tensor:
    """A bar of one note a voice ``(batch, plane, track, step, pitch)`` as numbers ``(batch, 2 * track * step)``.

    First each voice's pitch at each step, from 0, where silence is the number of pitches; then whether it begins there,
    1 or 0; silence begins at each step.
    """
    sounding, onset = bar.unbind(1)
    silent = 1 - sounding.sum(-1, keepdim=True).clamp(max=1)
    pitch = torch.cat([sounding, silent], -1).argmax(-1)
    begin = (onset.sum(-1) + silent.squeeze(-1)).clamp(max=1)
    return torch.cat([pitch.flatten(1), begin.flatten(1)], 1)


class ChoirGenerator(ConvGenerator):
    """Latents, one a bar, and what is asked for, to the voices of a clip.

    What is asked is one row a clip, ``[shape=(batch, 7 + 2 * n_tracks * n_steps)]``: the values of `CONTROLS`; for each
    of them whether it is asked for, 1 or 0; whether a bar is given; and that bar: each voice's pitch at each step
    (from 0, silence is `n_pitches`), and whether it begins there. `asking` makes such rows.

    Parameters
    ----------
    n_tracks, n_steps, n_pitches, n_latent, channels
        See `ConvGenerator`.

    Raises
    ------
    ValueError
        If a bar's steps cannot be unfolded by twos and threes.
    """

    def __init__(
        self,
        n_tracks: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        n_latent: int = 64,
        channels: tuple[int, ...] = (256, 192, 128, 96, 64),
    ) -> None:
        super().__init__(n_tracks, n_steps, n_pitches, n_latent, channels)
        wide = self.wide
        self.examples = Examples(N_EXAMPLES, 2 * len(CONTROLS) + 1 + 2 * n_tracks * n_steps)
        self.tell = nn.Linear(2 * len(CONTROLS), wide, bias=False)
        n_features = n_tracks * (n_pitches + 1) + n_relations(n_tracks)
        narrow = wide // 4
        layers: list[nn.Module] = [nn.Conv1d(n_features, narrow, 3, padding=1)]
        for stride in factors(n_steps)[::-1]:
            layers += [Residual(narrow), nn.LeakyReLU(0.2), nn.Conv1d(narrow, narrow, stride + 2, stride, padding=1)]
        #: A given bar to what the first one begins from, ``(batch, feature, step)`` to ``(batch, wide, 1)``.
        self.recall = nn.Sequential(*layers, nn.LeakyReLU(0.2), nn.Conv1d(narrow, wide, 1))
        for part in (self.tell, self.recall):
            initialise(part)

    @torch.no_grad()
    def ask(self, real: Tensor) -> Tensor:
        """What real rolls ask: half of them nothing, the others any of the questions, drawn at random."""
        n = len(real)
        questions = torch.rand(n, len(CONTROLS) + 2).to(real) >= LEFT_OUT
        told = (questions[:, 1:] & questions[:, :1]).float()
        asked = torch.cat([heard(real), told, given_bar(real[:, :, :, 0])], 1)
        if self.training:
            self.examples.keep(asked)
        return asked

    @property
    def usual(self) -> Tensor:
        """The controls of remembered real clips ``[shape=(n, 3)]``; of none, a single row of zeros."""
        return self.examples.rows[: max(1, int(self.examples.n_kept)), : len(CONTROLS)]

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """What can be asked for: of each control the 1st and the 99th percentile of remembered real clips."""
        ends = self.usual.quantile(self.usual.new_tensor([0.01, 0.99]), 0)
        return {name: (low, high) for name, (low, high) in zip(CONTROLS, ends.T.tolist(), strict=True)}

    def asking(
        self,
        n: int,
        mode: str | None = None,
        density: float | None = None,
        register: float | None = None,
        before: Tensor | None = None,
    ) -> Tensor:
        """Rows of what is asked, the same for `n` clips, ``[shape=(n, ...)]``; of what is None nothing is.

        Parameters
        ----------
        n : int
        mode : str, optional
            'major' or 'minor': what the clips in the upper or in the lower half of the real ones have on average.
        density : float, optional
            Notes a bar, of all voices together.
        register : float, optional
            Mean pitch, in semitones above the lowest of the grid.
        before : Tensor, optional [shape=(plane, track, step, pitch)]
            A bar to go on from; it comes out as the first.

        Raises
        ------
        ValueError
            If there is no such mode, or a number is outside of `ranges`.
        """
        if mode not in (None, "major", "minor"):
            raise ValueError(f"a mode is 'major' or 'minor', not {mode!r}")
        for name, value in (("density", density), ("register", register)):
            low, high = self.ranges[name]
            if value is not None and not low <= value <= high:
                raise ValueError(
                    f"the {name} that this network can be asked for is {low:.1f} to {high:.1f}, not {value}"
                )
        modes = self.usual[:, 0]
        half = modes >= modes.median() if mode == "major" else modes <= modes.median()
        told = torch.tensor([[mode is not None, density is not None, register is not None, before is not None]]).float()
        values = torch.tensor([[float(modes[half].mean()), density or 0.0, register or 0.0]])
        bar = torch.zeros(2, self.n_tracks, self.n_steps, self.n_pitches) if before is None else before.float()
        return torch.cat([values, told, given_bar(bar[None])], 1).expand(n, -1)

    def standardised(self, values: Tensor) -> Tensor:
        """Values of the controls ``(batch, 3)`` in standard deviations of real clips, from their mean."""
        spread, mean = torch.std_mean(self.usual, 0, correction=0)
        return (values - mean) / spread.maximum(spread.new_tensor(LEAST_SPREAD))

    def forward(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """``(batch, bar, n_latent)`` to rolls of zeros and ones ``(batch, plane, track, bar, step, pitch)``.

        Without `asked` it is free. A bar that is given is the first of those that come out.
        """
        x = self.bars[0](z.transpose(1, 2))  # (batch, channel, bar)
        if asked is None:
            return self.sing(self.bars[1](x))
        n, voices = len(CONTROLS), (self.n_tracks, self.n_steps)
        values, told, has_bar, pitch, begin = asked.split([n, n, 1, *[self.n_tracks * self.n_steps] * 2], 1)
        x = x + self.tell(torch.cat([self.standardised(values) * told, told], 1)).unsqueeze(-1)
        choice = one_hot(pitch.long().unflatten(1, voices), self.n_pitches + 1).to(z.dtype)
        given = Given(choice.transpose(2, 3), begin.unflatten(1, voices).unsqueeze(2), has_bar[:, 0])
        features = torch.cat([given.choice.flatten(1, 2), relations(choice[..., :-1])], 1)
        x = torch.cat([x[..., :1] + self.recall(features) * has_bar.unsqueeze(-1), x[..., 1:]], -1)
        return self.sing(self.bars[1](x), given)

    def missed(self, fake: Tensor, asked: Tensor) -> Tensor:
        """Mean squared miss of the controls that were asked for, in standard deviations of real clips."""
        n = len(CONTROLS)
        told = asked[:, n : 2 * n]
        miss = self.standardised(heard(fake)) - self.standardised(asked[:, :n])
        return (miss.square() * told).sum() / told.sum().clamp(min=1)

    @torch.no_grad()
    def sample(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """Rolls of booleans."""
        return self(z, asked) > 0.5
