"""The multi-voice convolutional pair: four (or any number of) voices that move and sound together.

The generator unfolds one latent a bar into sixteenths by transposed convolutions over time. For each voice and
step it ends in a choice of pitch (or silence), and in another: to take it up, or to hold what sounds. The
discriminator hears what a listener hears: not only which notes there are but their relations, judged for the
whole clip, for every bar and for every beat.

What each part is for was found by measurement (see the research log): discrete outputs with straight-through
gradients, relations between voices as features, logits at three scales, voices dropped at random. Losses and
penalties follow Huang et al. 2024 (relativistic pairing, R1 and R2).

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad

from ganmusic.models.blocks import (
    at_least_float32,
    bar_latents,
    initialise,
    straight_through_argmax,
    straight_through_step,
)
from ganmusic.parallel import rand

__all__ = ["ConvDiscriminator", "ConvGenerator", "hide_voices", "hold", "relations"]

#: Logit for holding on that a generator begins with: in Bach, a note begins on one step in four.
HOLD = 1.0
#: Semitones by which a note may well lie off its voice's line.
WIDTH = 4.0


def factors(n_steps: int) -> list[int]:
    """Cut a bar into ever smaller parts: 16 -> [2, 2, 2, 2], 12 -> [3, 2, 2].

    Raises
    ------
    ValueError
        If `n_steps` is less than 2, or has a prime factor above 3.
    """
    rest, found = max(1, n_steps), []
    for prime in (3, 2):
        while rest % prime == 0:
            found.append(prime)
            rest //= prime
    if rest != 1 or not found:
        raise ValueError(f"bars of {n_steps} steps do not fit: use a product of twos and threes")
    return found


def activation(channels: int, normalise: bool) -> nn.Module:
    """Leaky ReLU, after batch normalisation in a generator."""
    relu = nn.LeakyReLU(0.2)
    return nn.Sequential(nn.BatchNorm1d(channels), relu) if normalise else relu


class Residual(nn.Sequential):
    """Two convolutions over time added to what they read, ``(batch, channel, time)`` both ways."""

    def __init__(self, channels: int, normalise: bool = False) -> None:
        super().__init__(
            activation(channels, normalise),
            nn.Conv1d(channels, channels, 3, padding=1),
            activation(channels, normalise),
            nn.Conv1d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        y = x
        for layer in self:
            y = layer(y)
        return x + y


def quiet_residuals(network: nn.Module) -> None:
    """Let residual blocks begin as the identity, so that depth costs nothing at first (Zhang et al. 2019)."""
    for block in network.modules():
        if isinstance(block, Residual):
            nn.init.zeros_(block[-1].weight)  # type: ignore[arg-type]


def last_channels(channels: tuple[int, ...], n: int) -> tuple[int, ...]:
    """The last `n` of some channels, the first repeated where there are fewer."""
    return (channels[:1] * (n - len(channels)) + channels)[-n:]


def unfolding(strides: Sequence[int], channels: tuple[int, ...]) -> list[nn.Module]:
    """Three layers for each stride, which unfold ``(batch, wide, time)`` to ``(batch, narrow, time * stride)``."""
    layers: list[nn.Module] = []
    for stride, wide, narrow in zip(strides, channels[:-1], channels[1:], strict=True):
        layers += [
            activation(wide, True),
            nn.ConvTranspose1d(wide, narrow, stride + 2, stride, padding=1),
            Residual(narrow, True),
        ]
    return layers


def at_each_beat(clip: Tensor, bar: Tensor, beat: Tensor) -> Tensor:
    """Logits for a clip, its bars and its beats ``(batch, 1, time)``, as what each scale says at each beat
    ``(batch, scale, beat)``.
    """
    n_beats = beat.shape[-1]
    return torch.cat([clip.expand(-1, -1, n_beats), bar.repeat_interleave(n_beats // bar.shape[-1], -1), beat], 1)


class ConvGenerator(nn.Module):
    """Latents, one a bar, to the voices of a clip.

    Fully convolutional over bars: it is trained on clips of four bars and composes any number of them.
    Half of each bar's latent is shared by all bars of a clip (its character), half is the bar's own.

    Parameters
    ----------
    n_tracks, n_steps, n_pitches : int
        Voices, steps a bar, pitches of the grid.
    n_latent : int
        Length of a bar's latent vector; even.
    channels : tuple of int
        Channels as a bar unfolds, from one position a bar to one a step; cut from the left where there are
        fewer unfoldings, the first repeated where there are more.

    Raises
    ------
    ValueError
        If a bar's steps cannot be unfolded by twos and threes.

    Taught in: notebooks/03-training.ipynb
    """

    #: A track has one note at a time.
    monophonic = True

    def __init__(
        self,
        n_tracks: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        n_latent: int = 64,
        channels: tuple[int, ...] = (256, 192, 128, 96, 64),
    ) -> None:
        super().__init__()
        self.n_tracks, self.n_steps, self.n_pitches, self.n_latent = n_tracks, n_steps, n_pitches, n_latent
        strides = factors(n_steps)
        channels = last_channels(channels, len(strides) + 1)
        self.bars = nn.Sequential(nn.Conv1d(n_latent, channels[0], 3, padding=1), Residual(channels[0], True))
        layers = unfolding(strides, channels)
        to_beats = len(strides) // 2
        self.to_beats = nn.Sequential(*layers[: 3 * to_beats])  # (batch, channel, beat)
        self.to_steps = nn.Sequential(*layers[3 * to_beats :], activation(channels[-1], True))  # (batch, channel, time)
        # Each beat has a plan: where each voice's line runs, and how welcome each pitch class is.
        self.plan = nn.Sequential(
            activation(channels[to_beats], True), nn.Conv1d(channels[to_beats], n_tracks + 12, 1)
        )
        self.steps_per_beat = prod(strides[to_beats:])
        self.centre = nn.Parameter(torch.linspace(0.75, 0.25, n_tracks) * n_pitches)
        # Each voice chooses in turn and hears the choices before its own, as a choir tunes to those who have begun.
        # Its outputs: every pitch, silence, and whether what sounds is held instead.
        self.voices = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels[-1] + voice * n_pitches, 2 * channels[-1], 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv1d(2 * channels[-1], n_pitches + 2, 1),
            )
            for voice in range(n_tracks)
        )
        initialise(self)
        quiet_residuals(self)
        for voice in self.voices:
            voice[-1].bias.data[-1] = HOLD  # type: ignore[index]

    def latent(self, n: int, n_bars: int = 4, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents ``[shape=(n, n_bars, n_latent)]``; the first half is the same in all bars."""
        return bar_latents(n, n_bars, self.n_latent, generator)

    def forward(self, z: Tensor) -> Tensor:
        """``(batch, bar, n_latent)`` to rolls of zeros and ones ``(batch, plane, track, bar, step, pitch)``."""
        x = self.to_beats(self.bars(z.transpose(1, 2)))
        liked = self.welcome(self.plan(x))  # (batch, track, pitch, time)
        x = self.to_steps(x)
        sounding: list[Tensor] = []  # of each voice, (batch, pitch, time)
        onset: list[Tensor] = []
        for voice, pitches in zip(self.voices, liked.unbind(1), strict=True):
            logits = voice(torch.cat([x, *sounding], 1))
            scores = standardise(logits[:, :-1].transpose(1, 2)) + pad(pitches.transpose(1, 2), (0, 1))
            choice = straight_through_argmax(scores).transpose(1, 2)  # (batch, pitch or silence, time)
            begin = 1 - straight_through_step(logits[:, None, -1])  # (batch, 1, time)
            begin = torch.cat([torch.ones_like(begin[..., :1]), begin[..., 1:]], -1)
            sounding.append(hold(choice, begin)[:, :-1])
            onset.append((begin * choice)[:, :-1])
        planes = torch.stack([torch.stack(sounding, 1), torch.stack(onset, 1)], 1)
        return planes.transpose(3, 4).unflatten(3, (-1, self.n_steps))

    def welcome(self, plan: Tensor) -> Tensor:
        """How a plan favours pitches ``(batch, track, pitch, time)``: those near the voice's line, which runs straight
        from beat to beat, and those of the beat's pitch classes.

        Parameters
        ----------
        plan : Tensor [shape=(batch, track + 12, beat)]
            Each voice's line, in units of `WIDTH` semitones from its centre, and the twelve pitch classes.
        """
        line, harmony = plan.split([len(self.centre), 12], 1)
        harmony = standardise(harmony.transpose(1, 2), 1.0).transpose(1, 2)
        harmony = harmony.repeat(1, self.n_pitches // 12, 1).repeat_interleave(self.steps_per_beat, -1)
        return harmony.unsqueeze(1) + near_line(line, self.centre, self.n_pitches, self.steps_per_beat)

    @torch.no_grad()
    def sample(self, z: Tensor) -> Tensor:
        """Rolls of booleans."""
        return self(z) > 0.5


def near_line(line: Tensor, centre: Tensor, n_pitches: int, steps_per_beat: int) -> Tensor:
    """How near pitches are to each voice's line ``(batch, track, pitch, time)``: minus half the squared distance.

    Parameters
    ----------
    line : Tensor [shape=(batch, track, beat)]
        In units of `WIDTH` semitones from the voice's centre; it runs straight from beat to beat.
    centre : Tensor [shape=(track,)]
        The pitches, counted from the grid's lowest, about which the voices lie.
    n_pitches, steps_per_beat : int
    """
    line = interpolate(line, scale_factor=steps_per_beat, mode="linear").unsqueeze(2)
    distance = torch.arange(n_pitches, device=line.device)[:, None] - centre[:, None, None] - WIDTH * line
    return -0.5 * (distance / WIDTH).square()


def hold(choice: Tensor, begin: Tensor) -> Tensor:
    """Keep each choice until the next one begins: ``held[t] = begin[t] choice[t] + (1 - begin[t]) held[t - 1]``.

    Parameters
    ----------
    choice : Tensor [shape=(batch, pitch, time)]
        A one-hot of pitches for each step.
    begin : Tensor [shape=(batch, 1, time)]
        1 where the choice is taken up, 0 where it is passed over; the first step is 1.

    Returns
    -------
    Tensor [shape=(batch, pitch, time)]
        What sounds. A note's gradient is the sum over all steps for which it is held.

    Taught in: notebooks/03-training.ipynb
    """
    held = [choice[..., 0]]
    for now, new in zip(choice.unbind(-1)[1:], begin.unbind(-1)[1:], strict=True):
        held.append(torch.lerp(held[-1], now, new))
    return torch.stack(held, -1)


def standardise(logits: Tensor, scale: float = 2.0) -> Tensor:
    """Give the logits of each choice mean 0 and standard deviation `scale`.

    A choice can then be clear but never so certain that its softmax, whose gradient trains it, has none left.
    """
    logits = at_least_float32(logits)
    centred = logits - logits.mean(-1, keepdim=True)
    return scale * centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + 1e-6)


def correlation(x: Tensor, y: Tensor, period: int) -> Tensor:
    """``c[k] = sum_i y[i] x[i + k mod period]`` over the last axis: for two one-hots, the interval between them.

    By the correlation theorem, in a tenth of the time that the sum itself takes.
    """
    spectrum = torch.fft.rfft(x, period) * torch.fft.rfft(y, period).conj()
    return torch.fft.irfft(spectrum, period)


def n_relations(n_tracks: int) -> int:
    """How many features `relations` has of so many voices."""
    return 12 + 12 * (n_tracks * (n_tracks - 1) // 2) + 25 * n_tracks + n_tracks - 1


def relations(sounding: Tensor, n_motion: int = 12) -> Tensor:
    """What a listener hears between notes, as differentiable features of monophonic voices.

    Parameters
    ----------
    sounding : Tensor [shape=(batch, track, time, pitch)]
        One pitch or none in each voice and step.
    n_motion : int
        Largest melodic step told apart, in semitones.

    Returns
    -------
    Tensor [shape=(batch, feature, time)]
        The chord's pitch classes (12); for each pair of voices their interval class (12 each); for each
        voice its motion from the step before (``2 * n_motion + 1`` each); for each adjacent pair whether the
        upper lies above the lower (1 each).

    Taught in: notebooks/03-training.ipynb
    """
    tracks, pitches = sounding.shape[1], sounding.shape[3]
    classes = sounding.unflatten(3, (pitches // 12, 12)).sum(3)
    pairs = list(combinations(range(tracks), 2))
    upper, lower = [one for one, _ in pairs], [other for _, other in pairs]
    # A single voice has no intervals, and an empty transform is an error in some builds of torch.
    interval = correlation(classes[:, upper], classes[:, lower], 12) if pairs else classes[:, :0]
    before = pad(sounding, (0, 0, 1, 0))[:, :, :-1]
    # Padded by n_motion, so that no larger step wraps round into the bins that are kept.
    motion = correlation(sounding, before, pitches + n_motion)
    motion = torch.cat([motion[..., -n_motion:], motion[..., : n_motion + 1]], -1)
    below = pad(sounding.cumsum(-1), (1, 0))[:, 1:, :, :-1]
    above = (sounding[:, :-1] * below).sum(-1)
    return torch.cat(
        [
            classes.sum(1).transpose(1, 2),
            interval.transpose(2, 3).flatten(1, 2),
            motion.transpose(2, 3).flatten(1, 2),
            above,
        ],
        1,
    )


class ConvDiscriminator(nn.Module):
    """A clip to logits: for the whole, for each bar and for each beat.

    Local logits keep the discriminator from remembering whole clips, which it soon does with a few thousand
    of them, and tell the generator where the music is wrong. Each of the three scales has equal weight.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of a clip.
    channels : tuple of int
        Channels from one position a step to one position a bar; cut from the right where there are fewer foldings,
        the last repeated where there are more.

    Raises
    ------
    ValueError
        If a bar's steps cannot be folded by twos and threes.

    Taught in: notebooks/03-training.ipynb
    """

    def __init__(
        self,
        n_tracks: int = 4,
        n_bars: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        channels: tuple[int, ...] = (64, 96, 128, 160, 192),
    ) -> None:
        super().__init__()
        n_features = n_tracks * (n_pitches + 1) + n_relations(n_tracks)
        strides = factors(n_steps)[::-1]
        channels = (channels + channels[-1:] * (len(strides) + 1 - len(channels)))[: len(strides) + 1]
        self.listen = nn.Conv1d(n_features, channels[0], 3, padding=1)
        self.fold = nn.ModuleList(
            nn.Sequential(
                Residual(narrow),
                nn.LeakyReLU(0.2),
                nn.Conv1d(narrow, wide, stride + 2, stride, padding=1),  # (batch, wide, time / stride)
            )
            for stride, narrow, wide in zip(strides, channels[:-1], channels[1:], strict=True)
        )
        # A bar of one folding (three steps, say) has no scale between the step's and its own.
        self.beat_scale = max(1, len(strides) // 2)
        beats = channels[self.beat_scale]
        n_beats = n_bars * n_steps
        for stride in strides[: self.beat_scale]:
            n_beats //= stride
        # A learned position tells the local judges where in the clip they listen (downbeats are not upbeats).
        self.beat_position = nn.Parameter(torch.zeros(beats, n_beats))
        self.bar_position = nn.Parameter(torch.zeros(channels[-1], n_bars))
        self.beat_logit = nn.Sequential(nn.Conv1d(beats, beats, 1), nn.LeakyReLU(0.2), nn.Conv1d(beats, 1, 1))
        self.bar_logit = nn.Sequential(
            nn.Conv1d(channels[-1], channels[-1], 1), nn.LeakyReLU(0.2), nn.Conv1d(channels[-1], 1, 1)
        )
        self.clip_logit = nn.Sequential(
            nn.Linear(channels[-1] * n_bars, channels[-1]), nn.LeakyReLU(0.2), nn.Linear(channels[-1], 1)
        )
        initialise(self)
        quiet_residuals(self)

    def forward(self, rolls: Tensor) -> Tensor:
        """``(batch, plane, track, bar, step, pitch)`` to logits ``(batch, scale, beat)``: what the judges of the
        clip, of the bar and of the beat say at each beat.
        """
        x = self.listen(self.hear(*rolls.flatten(3, 4).unbind(1)))
        for scale, fold in enumerate(self.fold, 1):
            x = fold(x)
            if scale == self.beat_scale:
                beat = self.beat_logit(leaky_relu(x + self.beat_position, 0.2))
        bar = self.bar_logit(leaky_relu(x + self.bar_position, 0.2))
        clip = self.clip_logit(leaky_relu(x, 0.2).flatten(1)).unsqueeze(1)
        return at_each_beat(clip, bar, beat)

    def hear(self, sounding: Tensor, onset: Tensor) -> Tensor:
        """Both planes ``(batch, track, time, pitch)`` as what is listened to ``(batch, feature, time)``: the voices,
        where they begin, and their relations.
        """
        return torch.cat([sounding.transpose(2, 3).flatten(1, 2), onset.sum(-1), relations(sounding)], 1)


def hide_voices(real: Tensor, fake: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Silence voices at random, the same ones in each pair of clips ``(batch, plane, track, ...)``.

    The discriminator must then judge every voice and every combination of voices, and cannot learn whole
    clips by heart. Differentiable, and the same for both sides, so that it does not leak into what is generated
    (the principle of Zhao et al. 2020).
    """
    kept = rand((len(real), 1, real.shape[2], 1, 1, 1), like=real) >= share
    return real * kept, fake * kept
