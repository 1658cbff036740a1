"""MuseGAN: several tracks that sound together, bar after bar (Dong et al. 2018).

Three ways to compose, made of one set of parts:

- *jamming*: each track has a generator, noise and a critic of its own; nobody listens to anybody;
- *composer*: one generator draws all tracks from one noise, and one critic judges them together;
- *hybrid*: each track has a generator, fed with shared noise and with noise of its own; one critic judges all.

Noise comes in two kinds: what stays the same in all bars, and what a temporal network unfolds into one vector a bar. A
bar generator then draws each bar, first its steps, then its pitches. The critic follows the notes, the pitch classes
and the onsets in three streams. `MuseGANAccompanist` is given one of the tracks and adds the others.

The paper's networks took up to a day on a graphics processor. These follow their design at the size of a
laptop, with two changes: a bar unfolds by kernels that overlap, and beside what sounds a generator says where a note is
struck again.

Taught in: notebooks/08-musegan.ipynb
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ganmusic.models.blocks import Examples, initialise, planes, straight_through_argmax, straight_through_step
from ganmusic.models.convnet import factors, last_channels
from ganmusic.parallel import rand

__all__ = [
    "COMPOSITIONS",
    "BarGenerator",
    "Critic",
    "MuseGANAccompanist",
    "MuseGANDiscriminator",
    "MuseGANGenerator",
    "Temporal",
    "jamming_penalty",
]

#: Ways to compose several tracks.
COMPOSITIONS = ("jamming", "composer", "hybrid")


def check(composition: str, n_tracks: int, n_bars: int, n_pitches: int) -> None:
    """Raise a ValueError unless there is such a composition, of clips of such a shape."""
    if composition not in COMPOSITIONS:
        raise ValueError(f"there is no composition {composition!r}; there are {', '.join(COMPOSITIONS)}")
    if min(n_tracks, n_bars) < 1:
        raise ValueError(f"a clip has at least one track and one bar, not {n_tracks} and {n_bars}")
    if n_pitches < 12 or n_pitches % 12:
        raise ValueError(f"pitches are drawn in whole octaves: {n_pitches} do not fit, a multiple of 12 does")


def stages(channels: tuple[int, ...], n_steps: int) -> list[int]:
    """Channels from one position a bar to one a step: as many as a bar has unfoldings, and one more."""
    return list(last_channels(channels, len(factors(n_steps)) + 1))


class Temporal(nn.Sequential):
    """Noise of a whole clip to a vector for each of its bars (sec. "Modeling the Temporal Structure").

    Parameters
    ----------
    n_noise, n_bars : int
        Length of the noise, and of each bar's vector; bars.

    Taught in: notebooks/08-musegan.ipynb
    """

    def __init__(self, n_noise: int, n_bars: int) -> None:
        first = (n_bars + 1) // 2
        super().__init__(
            nn.Unflatten(1, (n_noise, 1)),
            nn.ConvTranspose1d(n_noise, 4 * n_noise, first),  # (batch, 4 * n_noise, n_bars / 2)
            nn.BatchNorm1d(4 * n_noise),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(4 * n_noise, n_noise, n_bars - first + 1),  # (batch, n_noise, n_bars)
        )


class BarGenerator(nn.Module):
    """A bar's code to the logits of its notes: a bar unfolds into steps, then each step into pitches.

    Parameters
    ----------
    n_code : int
        Length of a bar's code.
    n_tracks, n_steps, n_pitches : int
        What a bar is drawn on.
    channels : tuple of int
        Channels as a bar unfolds, from one position a bar to one a step; cut from the left where there are fewer
        unfoldings, the first repeated where there are more.
    n_told : int
        Channels of what it is told at each stage (see `MuseGANAccompanist`).

    Taught in: notebooks/08-musegan.ipynb
    """

    def __init__(
        self, n_code: int, n_tracks: int, n_steps: int, n_pitches: int, channels: tuple[int, ...], n_told: int = 0
    ) -> None:
        super().__init__()
        self.n_tracks = n_tracks
        width = stages(channels, n_steps)
        self.begin = nn.Linear(n_code, width[0])  # (bar, width[0])
        self.unfold = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm1d(wide + n_told),
                nn.LeakyReLU(0.2),
                nn.ConvTranspose1d(wide + n_told, narrow, stride + 2, stride, 1),  # (bar, narrow, time * stride)
            )
            for stride, (wide, narrow) in zip(factors(n_steps), pairwise(width), strict=True)
        )
        last, n_octaves = width[-1], n_pitches // 12
        self.to_pitches = nn.Sequential(
            nn.BatchNorm2d(last + n_told),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(last + n_told, last, (1, n_octaves)),  # (bar, last, step, octave)
            nn.BatchNorm2d(last),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(last, 2 * n_tracks, (1, 12), (1, 12)),  # (bar, plane * track, step, pitch)
        )

    def forward(self, code: Tensor, told: Sequence[Tensor] = ()) -> Tensor:
        """Codes ``(bar, n_code)``, and what is told at each stage ``(bar, n_told, time)``, to logits ``(bar, plane,
        track, step, pitch)``: whether a pitch sounds, and whether it is struck again.
        """
        x = self.begin(code).unsqueeze(-1)
        for stage, unfold in enumerate(self.unfold):
            x = unfold(torch.cat([x, *told[stage : stage + 1]], 1))
        logits: Tensor = self.to_pitches(torch.cat([x, *told[-1:]], 1).unsqueeze(-1))
        return logits.unflatten(1, (2, self.n_tracks))


class MuseGANGenerator(nn.Module):
    """Noise to several tracks, in one of the three compositions.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of a clip: any number of tracks and bars, steps a bar that twos and threes divide, whole octaves.
    composition : {"hybrid", "composer", "jamming"}
    monophonic : bool
        Whether a track has one note at a time: each step then chooses a pitch or silence, with a straight-through
        gradient. Otherwise, as in the paper, each pitch sounds with a probability and is heard above one half.
    n_noise : int
        Length of each noise vector.
    channels : tuple of int
        Of each `BarGenerator`.
    n_told : int
        Channels of what the bar generators are told at each stage; see `MuseGANAccompanist`.

    Raises
    ------
    ValueError
        If there is no such composition, or the shape does not fit.

    Taught in: notebooks/08-musegan.ipynb
    """

    #: A track may have several notes at a time, unless asked for otherwise.
    monophonic = False

    def __init__(
        self,
        n_tracks: int = 4,
        n_bars: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        composition: str = "hybrid",
        monophonic: bool = False,
        n_noise: int = 32,
        channels: tuple[int, ...] = (192, 128, 96, 64, 48),
        n_told: int = 0,
    ) -> None:
        super().__init__()
        check(composition, n_tracks, n_bars, n_pitches)
        self.n_tracks, self.n_bars, self.n_steps, self.n_pitches = n_tracks, n_bars, n_steps, n_pitches
        self.composition, self.monophonic, self.n_noise = composition, monophonic, n_noise
        #: Noise vectors by owner: the band's shared one, if there is one, then each track's.
        self.n_shared, self.n_private = int(composition != "jamming"), n_tracks * (composition != "composer")
        self.temporal = nn.ModuleList(Temporal(n_noise, n_bars) for _ in range(self.n_shared + self.n_private))
        # A bar's code holds both kinds of noise of everybody that its generator listens to.
        n_code = 2 * n_noise * (2 if composition == "hybrid" else 1)
        together = n_tracks if composition == "composer" else 1
        self.bars = nn.ModuleList(
            BarGenerator(n_code, together, n_steps, n_pitches, channels, n_told) for _ in range(n_tracks // together)
        )
        initialise(self)

    def latent(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw noise ``[shape=(n, owner, 2, n_noise)]``.

        The owners are the band, unless it is jamming, then each track, unless there is a single composer. Of an owner's
        two vectors the first is the same in all bars, the second is unfolded into one a bar.
        """
        return torch.randn(n, self.n_shared + self.n_private, 2, self.n_noise, generator=generator)

    def codes(self, z: Tensor) -> Tensor:
        """Noise ``(batch, owner, 2, n_noise)`` to what each bar generator is fed ``(batch, player, bar, n_code)``.

        From left to right: the band's noise that is the same in all bars, its bar's own, then likewise the track's.
        """
        unfolded = [temporal(noise) for temporal, noise in zip(self.temporal, z[:, :, 1].unbind(1), strict=True)]
        by_bar = torch.stack(unfolded, 1)  # (batch, owner, n_noise, bar)
        own = torch.cat([z[:, :, 0].unsqueeze(-1).expand_as(by_bar), by_bar], 2).transpose(2, 3)
        if self.composition != "hybrid":
            return own
        shared, private = own.split([1, self.n_tracks], 1)
        return torch.cat([shared.expand_as(private), private], -1)

    def logits(self, z: Tensor, told: Sequence[Tensor] = ()) -> Tensor:
        """Noise to logits ``(batch, plane, track, bar, step, pitch)``: sounding, and struck again."""
        drawn = [
            bars(code.flatten(0, 1), told).unflatten(0, (-1, self.n_bars))
            for bars, code in zip(self.bars, self.codes(z).unbind(1), strict=True)
        ]  # of each player, (batch, bar, plane, track, step, pitch)
        return torch.cat(drawn, 3).movedim(1, 3)

    def play(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Logits to what sounds and what is struck, two times ``(batch, track, bar, step, pitch)`` from 0 to 1."""
        sounding, struck = logits.unbind(1)
        if self.monophonic:
            # Silence has the logit 0: a pitch sounds if its logit is the largest, and positive.
            return straight_through_argmax(pad(sounding, (0, 1)))[..., :-1], straight_through_step(struck)
        return sounding.sigmoid(), struck.sigmoid()

    def decide(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The same, with zeros and ones only: what is heard."""
        sounding, struck = self.play(logits)
        return (sounding > 0.5).float(), (struck > 0.5).float()

    def forward(self, z: Tensor, told: Sequence[Tensor] = ()) -> Tensor:
        """Noise to rolls ``(batch, plane, track, bar, step, pitch)`` from 0 to 1."""
        return planes(*self.play(self.logits(z, told)))

    @torch.no_grad()
    def sample(self, z: Tensor, told: Sequence[Tensor] = ()) -> Tensor:
        """Rolls of booleans."""
        return planes(*self.decide(self.logits(z, told))).bool()


class Encoder(nn.Module):
    """A track's bars to what the bar generators are told of them, at each of their stages.

    Parameters
    ----------
    n_steps, n_pitches : int
    n_told : int
        Channels at each stage.
    """

    def __init__(self, n_steps: int, n_pitches: int, n_told: int) -> None:
        super().__init__()
        self.notes = nn.Sequential(
            nn.Conv2d(2, 2 * n_told, (1, 12), (1, 12)),  # (bar, 2 * n_told, step, octave)
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * n_told, n_told, (1, n_pitches // 12)),  # (bar, n_told, step, 1)
            nn.LeakyReLU(0.2),
        )
        self.fold = nn.ModuleList(
            nn.Sequential(nn.Conv1d(n_told, n_told, stride + 2, stride, padding=1), nn.LeakyReLU(0.2))
            for stride in factors(n_steps)[::-1]
        )

    def forward(self, bars: Tensor) -> list[Tensor]:
        """``(bar, plane, step, pitch)`` to tensors ``(bar, n_told, time)``, from one position a bar to one a step."""
        told = [self.notes(bars).squeeze(-1)]
        for fold in self.fold:
            told.append(fold(told[-1]))
        return told[::-1]


class MuseGANAccompanist(nn.Module):
    """A given track and noise to all tracks: the hybrid, told at each stage what the given track does in the bar.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of a clip, the given track included.
    given : int
        Number of the given track.
    monophonic, n_noise, channels
        See `MuseGANGenerator`.
    n_told : int
        Channels of what is told of the given track at each stage.
    n_examples : int
        Given tracks that are remembered from training, to be played to when none is given.

    Raises
    ------
    ValueError
        If the shape does not fit, there is no such track, or nobody to accompany it.

    Taught in: notebooks/08-musegan.ipynb
    """

    monophonic = False

    def __init__(
        self,
        n_tracks: int = 4,
        n_bars: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        given: int = 0,
        monophonic: bool = False,
        n_noise: int = 32,
        channels: tuple[int, ...] = (192, 128, 96, 64, 48),
        n_told: int = 16,
        n_examples: int = 64,
    ) -> None:
        super().__init__()
        if n_tracks < 2:
            raise ValueError("an accompaniment needs a given track and at least one more")
        if not 0 <= given < n_tracks:
            raise ValueError(f"the given track is one of 0 to {n_tracks - 1}, not {given}")
        self.n_tracks, self.n_bars, self.n_steps, self.n_pitches = n_tracks, n_bars, n_steps, n_pitches
        self.given, self.monophonic = given, monophonic
        self.band = MuseGANGenerator(
            n_tracks - 1, n_bars, n_steps, n_pitches, "hybrid", monophonic, n_noise, channels, n_told
        )
        self.encoder = Encoder(n_steps, n_pitches, n_told)
        self.examples = Examples(n_examples, 2, n_bars, n_steps, n_pitches)
        initialise(self)

    def latent(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw noise of the other tracks ``[shape=(n, n_tracks, 2, n_noise)]``: the band's, then each one's."""
        return self.band.latent(n, generator)

    def ask(self, real: Tensor) -> Tensor:
        """The given track of real rolls ``[shape=(batch, plane, bar, step, pitch)]``; training remembers some."""
        asked = real[:, :, self.given].float()
        if self.training:
            self.examples.keep(asked)
        return asked

    def forward(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """Noise and the given track ``(batch, plane, bar, step, pitch)`` to rolls of all tracks, the given one too.

        Raises
        ------
        ValueError
            If the given track has another shape.
        """
        return self._with(self.band.forward, z, asked)

    @torch.no_grad()
    def sample(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """Rolls of booleans; a given track is one as in `forward`, or, if there is none, a remembered one."""
        return self._with(self.band.sample, z, asked).bool()

    @property
    def melody_track(self) -> int:
        """Where a given melody is played."""
        return self.given

    @property
    def melody_height(self) -> float:
        """Mean pitch of the given tracks that it remembers, in semitones above the lowest of the grid."""
        sung = self.examples.rows[: max(1, int(self.examples.n_kept)), 0].sum((0, 1, 2))
        pitches = torch.arange(self.n_pitches, device=sung.device, dtype=sung.dtype)
        return float(sung @ pitches / sung.sum()) if sung.any() else self.n_pitches / 2

    @torch.no_grad()
    def accompany(self, melody: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Accompany melodies of any number of bars ``(batch, plane, bar, step, pitch)``, clip by clip.

        Returns rolls of booleans ``(batch, plane, track, bar, step, pitch)``, and for each of them a 0: this network
        does not know how well it has done.
        """
        n, n_bars = len(melody), melody.shape[2]
        clips = pad(melody, (0, 0, 0, 0, 0, -n_bars % self.n_bars)).unflatten(2, (-1, self.n_bars)).transpose(1, 2)
        rolls = self.sample(self.latent(n * clips.shape[1], generator), clips.flatten(0, 1))
        whole = rolls.unflatten(0, (n, -1)).permute(0, 2, 3, 1, 4, 5, 6).flatten(3, 4)
        return whole[:, :, :, :n_bars], melody.new_zeros(n)

    def _with(self, draw: Callable[[Tensor, Sequence[Tensor]], Tensor], z: Tensor, asked: Tensor | None) -> Tensor:
        asked = (self.examples.take(len(z)) if asked is None else asked).to(z)
        wanted = (len(z), 2, self.n_bars, self.n_steps, self.n_pitches)
        if asked.shape != wanted:
            raise ValueError(
                f"a given track for each clip is (batch, plane, bar, step, pitch) = {wanted}, not {tuple(asked.shape)}"
            )
        told = self.encoder(asked.transpose(1, 2).flatten(0, 1))
        others = list(draw(z, told).unbind(2))
        return torch.stack([*others[: self.given], asked.to(others[0].dtype), *others[self.given :]], 2)


class Critic(nn.Module):
    """Tracks to one logit a clip: each bar is followed in three streams, then the bars are heard one after the other.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of what it judges.
    channels : tuple of int
        Channels from one position a step to one a bar, as in `MuseGANGenerator` but from right to left.

    Taught in: notebooks/08-musegan.ipynb
    """

    def __init__(
        self, n_tracks: int, n_bars: int, n_steps: int, n_pitches: int, channels: tuple[int, ...]
    ) -> None:
        super().__init__()
        width = stages(channels[::-1], n_steps)[::-1]
        self.n_bars = n_bars
        self.notes = nn.Sequential(
            nn.Conv2d(n_tracks, width[0], (1, 12), (1, 12)),  # (bar, channel, step, octave)
            nn.LeakyReLU(0.2),
            nn.Conv2d(width[0], width[0], (1, n_pitches // 12)),  # (bar, channel, step, 1)
        )
        self.chroma = nn.Conv1d(12 * n_tracks, width[0], 1)  # (bar, channel, step)
        self.onsets = nn.Conv1d(n_tracks, width[0] // 2, 3, padding=1)  # (bar, channel / 2, step)
        heard = [2 * width[0] + width[0] // 2, *width[1:]]
        self.fold = nn.Sequential(
            *(
                nn.Sequential(
                    nn.LeakyReLU(0.2),
                    nn.Conv1d(narrow, wide, stride + 2, stride, padding=1),  # (bar, wide, time / stride)
                )
                for stride, (narrow, wide) in zip(factors(n_steps)[::-1], pairwise(heard), strict=True)
            ),
            nn.LeakyReLU(0.2),
        )
        self.clip = nn.Sequential(
            nn.Linear(n_bars * width[-1], width[-1]),  # (batch, channel)
            nn.LeakyReLU(0.2),
            nn.Linear(width[-1], 1),
        )
        initialise(self)

    def forward(self, rolls: Tensor) -> Tensor:
        """``(batch, plane, track, bar, step, pitch)`` to logits ``(batch, 1)``."""
        sounding, onset = rolls.movedim(3, 1).flatten(0, 1).unbind(1)  # (bar, track, step, pitch)
        chroma = sounding.unflatten(-1, (-1, 12)).sum(-2)  # (bar, track, step, 12)
        streams = [
            self.notes(sounding).squeeze(-1),
            self.chroma(chroma.transpose(2, 3).flatten(1, 2)),
            self.onsets(onset.sum(-1)),
        ]
        bars = self.fold(torch.cat(streams, 1)).flatten(1)
        logits: Tensor = self.clip(bars.unflatten(0, (-1, self.n_bars)).flatten(1))
        return logits


class MuseGANDiscriminator(nn.Module):
    """Rolls to logits: of one critic for all tracks, or of one for each track that jams.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Shape of a clip.
    composition : {"hybrid", "composer", "jamming"}
    channels : tuple of int
        Of each `Critic`.

    Raises
    ------
    ValueError
        If there is no such composition, or the shape does not fit.

    Taught in: notebooks/08-musegan.ipynb
    """

    def __init__(
        self,
        n_tracks: int = 4,
        n_bars: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        composition: str = "hybrid",
        channels: tuple[int, ...] = (48, 64, 96, 128, 192),
    ) -> None:
        super().__init__()
        check(composition, n_tracks, n_bars, n_pitches)
        n_critics = n_tracks if composition == "jamming" else 1
        self.critics = nn.ModuleList(
            Critic(n_tracks // n_critics, n_bars, n_steps, n_pitches, channels) for _ in range(n_critics)
        )

    def forward(self, rolls: Tensor) -> Tensor:
        """``(batch, plane, track, bar, step, pitch)`` to logits ``(batch, critic)``."""
        parts = rolls.chunk(len(self.critics), 2)
        return torch.cat([critic(part) for critic, part in zip(self.critics, parts, strict=True)], 1)


def jamming_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """`ganmusic.penalties.gradient_penalty` for each critic of a jam by itself, averaged over them.

    Each critic hears one track, so the slope of its logit is that of the sum of all logits over its own track.

    Taught in: notebooks/08-musegan.ipynb
    """
    weight = rand((len(real), *[1] * (real.dim() - 1)), like=real)
    between = (weight * real + (1 - weight) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return (gradient.transpose(1, 2).flatten(2).norm(dim=2) - 1).square().mean()
