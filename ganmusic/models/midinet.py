"""MidiNet: a melody bar by bar, each made of noise, of the bar before it and of a chord (Yang et al. 2017).

The generator unfolds noise into the steps of one bar. At every scale of this unfolding it is told two things: the
chord, as 13 numbers, and what the *conditioner*, a second network that folds the bar before step by step into the
same scales, has found there. So it can answer a phrase, keep its rhythm, or lead on from its last note. The
discriminator is shown a bar with its chord, as in the paper, or two bars with theirs.

As in the paper, a convolution reads or writes the whole range of pitches at once; two-dimensional convolutions whose
kernels are as wide as the roll are convolutions over time, and are written so here. Two things are different. A
melody has one note at a time, chosen with straight-through gradients where the paper has a sigmoid for each pitch; and
a note may be held or begun anew, which the paper's rolls cannot tell apart.

Taught in: notebooks/07-midinet.ipynb
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from ganmusic.models.blocks import Examples, initialise, straight_through_argmax, straight_through_step
from ganmusic.models.convnet import HOLD, factors, hold, standardise

__all__ = ["CHORD", "ROOT", "MidiNetDiscriminator", "MidiNetGenerator", "chord_roll", "read_chords"]

#: Numbers that tell a chord: one for each of the twelve roots, and whether it is minor.
CHORD = 13
#: Column of the C above which chords have their roots.
ROOT = 12
#: Bars that were asked of the generator in training and are kept with its weights.
N_EXAMPLES = 256


def read_chords(sounding: Tensor) -> Tensor:
    """What chord each bar of a chord track has: ``(..., bar, step, pitch)`` to ``(..., bar, 13)``.

    The lowest pitch of a bar is the root; a minor third above it somewhere makes the chord minor. Silence is all zeros.

    Taught in: notebooks/07-midinet.ipynb
    """
    heard = (sounding > 0.5).any(-2)
    root = heard.int().argmax(-1)
    third = torch.gather(pad(heard, (0, 3)), -1, (root + 3).unsqueeze(-1))
    return torch.cat([one_hot(root % 12, 12) * heard.any(-1, keepdim=True), third], -1).to(sounding.dtype)


def chord_roll(chords: Tensor, n_steps: int, n_pitches: int) -> Tensor:
    """Chords in root position, begun in every bar: ``(batch, bar, 13)`` to ``(batch, plane, bar, step, pitch)``.

    Taught in: notebooks/07-midinet.ipynb
    """
    root, minor = pad(chords[..., :12], (ROOT, n_pitches - ROOT - 12)), chords[..., 12:]
    above = {semitones: root.roll(semitones, -1) for semitones in (3, 4, 7)}
    triad = root + minor * above[3] + (1 - minor) * above[4] + above[7]  # (batch, bar, pitch)
    sounding = triad.unsqueeze(2).expand(-1, -1, n_steps, -1)
    onset = torch.cat([sounding[:, :, :1], torch.zeros_like(sounding[:, :, 1:])], 2)
    return torch.stack([sounding, onset], 1)


def check_tracks(n_tracks: int, n_pitches: int) -> None:
    """Refuse a corpus that is no collection of lead sheets."""
    if n_tracks != 2:
        raise ValueError(
            f"MidiNet has two tracks, a melody and its chords, as the corpus 'leadsheets' has; {n_tracks} do not fit"
        )
    if n_pitches < ROOT + 24:
        raise ValueError(f"MidiNet's chords need {ROOT + 24} pitches; {n_pitches} do not fit")


class Conditioner(nn.Module):
    """The bar before, folded into the scales in which the generator unfolds the next one.

    Parameters
    ----------
    n_pitches : int
    strides : list of int
        How the generator unfolds, from few positions to a bar's steps.
    channels : int
        Channels at every scale.
    """

    def __init__(self, n_pitches: int, strides: list[int], channels: int) -> None:
        super().__init__()
        self.listen = nn.Sequential(nn.Conv1d(n_pitches + 2, channels, 1), nn.BatchNorm1d(channels), nn.LeakyReLU(0.2))
        self.fold = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, channels, stride, stride), nn.BatchNorm1d(channels), nn.LeakyReLU(0.2)
            )
            for stride in strides[::-1]
        )

    def forward(self, before: Tensor) -> list[Tensor]:
        """``(batch, plane, step, pitch)`` to what is found at each scale ``(batch, channel, time)``, coarsest first."""
        sounding, onset = before.unbind(1)
        begins = onset.sum(-1, keepdim=True)
        silence = 1 - sounding.sum(-1, keepdim=True)
        found = [self.listen(torch.cat([sounding, silence, begins], -1).transpose(1, 2))]
        for fold in self.fold:
            found.append(fold(found[-1]))
        return found[::-1]


class MidiNetGenerator(nn.Module):
    """Noise, the bar before and a chord to a bar of melody; any number of bars, one after the other.

    What it is asked, one row for each clip, is the melody of the first bar (for each step the pitch that sounds,
    counted from 1, or 0 for silence; then, for each step, whether a note begins) and the chord of each bar.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches : int
        Two tracks, melody and chords; bars of a clip that it is trained on; steps a bar; pitches of the grid.
    n_latent : int
        Length of a bar's noise vector.
    channels : int
        Channels at each scale of the unfolding.
    n_condition : int
        Channels of the conditioner.

    Raises
    ------
    ValueError
        If there are not two tracks, too few pitches for chords, or a bar's steps cannot be unfolded by twos and threes.

    Taught in: notebooks/07-midinet.ipynb
    """

    #: The chord track has three notes at a time.
    monophonic = False

    def __init__(
        self,
        n_tracks: int = 2,
        n_bars: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        n_latent: int = 100,
        channels: int = 128,
        n_condition: int = 32,
    ) -> None:
        super().__init__()
        check_tracks(n_tracks, n_pitches)
        self.n_tracks, self.n_window, self.n_steps, self.n_pitches = n_tracks, n_bars, n_steps, n_pitches
        self.n_latent, self.channels = n_latent, channels
        first, *strides = factors(n_steps)
        self.conditioner = Conditioner(n_pitches, strides, n_condition)
        self.begin = nn.Sequential(
            nn.Linear(n_latent + CHORD, 2 * channels),  # (batch, 2 * channels)
            nn.BatchNorm1d(2 * channels),
            nn.ReLU(),
            nn.Linear(2 * channels, channels * first),
            nn.Unflatten(1, (channels, first)),  # (batch, channels, first)
            nn.BatchNorm1d(channels),
            nn.ReLU(),
        )
        told = channels + CHORD + n_condition
        self.unfold = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose1d(told, channels, stride + 2, stride, padding=1),  # (batch, channels, time * stride)
                nn.BatchNorm1d(channels),
                nn.ReLU(),
            )
            for stride in strides
        )
        # For each step every pitch, silence, and whether what sounds is held instead.
        self.choose = nn.Conv1d(told, n_pitches + 2, 1)
        self.examples = Examples(N_EXAMPLES, 2 * n_steps + CHORD * n_bars)
        self.examples.rows[:, 2 * n_steps :: CHORD] = 1  # C major, before music has asked for anything
        initialise(self)
        nn.init.constant_(self.choose.bias[-1:], HOLD)  # type: ignore[index]

    def latent(self, n: int, n_bars: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Draw noise ``[shape=(n, n_bars, n_latent)]``, by default for as many bars as it is trained on."""
        return torch.randn(n, n_bars or self.n_window, self.n_latent, generator=generator)

    def ask(self, real: Tensor) -> Tensor:
        """What real rolls ask ``[shape=(batch, 2 * n_steps + 13 * n_bars)]``: the first bar's melody, and the chords.

        Of notes at once the melody has the highest.
        """
        sounding, onset = real[:, :, 0, 0].unbind(1)  # (batch, step, pitch)
        number = torch.arange(1, self.n_pitches + 1, device=real.device, dtype=real.dtype)
        line, begins = ((plane * number).amax(-1) for plane in (sounding, onset))
        asked = torch.cat([line, (begins > 0).to(real.dtype), read_chords(real[:, 0, 1]).flatten(1)], 1)
        if self.training:
            self.examples.keep(asked)
        return asked

    def familiar(self) -> Tensor:
        """Share that each chord has in the remembered music ``[shape=(12, 2)]``: by its root, major and minor."""
        _, chords = self._told(self.examples.take(max(1, int(self.examples.n_kept))))
        root, minor = chords[..., :12].flatten(0, 1), chords[..., 12:].flatten(0, 1)
        return torch.cat([(root * (1 - minor)).mean(0)[:, None], (root * minor).mean(0)[:, None]], 1)

    def forward(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """``(batch, bar, n_latent)`` to rolls of zeros and ones ``(batch, plane, track, bar, step, pitch)``.

        If asked, the first bar is the one that was given, and every other follows from what is before it. If not, all
        bars are its own: the first follows a bar of one of the examples, over whose chords, round again, it goes.
        """
        if asked is None:
            before, chords = self._told(self.examples.take(len(z)))
            return self.over(z, chords[:, torch.arange(z.shape[1], device=z.device) % self.n_window], before)
        before, chords = self._told(asked)
        rest = self.over(z[:, 1:], chords[:, 1:], before)
        return torch.cat([self._with_chords(before.unsqueeze(2), chords[:, :1]), rest], 3)

    def _told(self, asked: Tensor) -> tuple[Tensor, Tensor]:
        """The bar ``(batch, plane, step, pitch)`` and the chords ``(batch, bar, 13)`` that rows of `ask` stand for."""
        line, begins, chords = asked.split([self.n_steps, self.n_steps, CHORD * self.n_window], 1)
        sounding = one_hot(line.long(), self.n_pitches + 1)[..., 1:].to(asked.dtype)
        return torch.stack([sounding, sounding * begins.unsqueeze(-1)], 1), chords.unflatten(1, (-1, CHORD))

    def over(self, z: Tensor, chords: Tensor, before: Tensor) -> Tensor:
        """Melodies over chords.

        Parameters
        ----------
        z : Tensor [shape=(batch, bar, n_latent)]
        chords : Tensor [shape=(batch, bar, 13)]
        before : Tensor [shape=(batch, plane, step, pitch)]
            The bar that the first one follows.

        Returns
        -------
        Tensor [shape=(batch, plane, track, bar, step, pitch)]
        """
        bars = []
        for noise, chord in zip(z.unbind(1), chords.unbind(1), strict=True):
            before = self.bar(noise, before, chord)
            bars.append(before)
        return self._with_chords(torch.stack(bars, 2), chords)

    def bar(self, z: Tensor, before: Tensor, chord: Tensor) -> Tensor:
        """One bar: ``(batch, n_latent)``, ``(batch, plane, step, pitch)`` and ``(batch, 13)`` to another
        ``(batch, plane, step, pitch)``.
        """
        x = self.begin(torch.cat([z, chord], 1))
        found = self.conditioner(before)
        for unfold, condition in zip(self.unfold, found[:-1], strict=True):
            x = unfold(tell(x, chord, condition))
        logits = self.choose(tell(x, chord, found[-1]))  # (batch, pitch, step)
        choice = straight_through_argmax(standardise(logits[:, :-1].transpose(1, 2))).transpose(1, 2)
        begin = 1 - straight_through_step(logits[:, -1:])
        # What sounds at the end of the bar before may be held over the bar line.
        last = before[:, 0, -1:].transpose(1, 2)
        last = torch.cat([last, 1 - last.sum(1, keepdim=True)], 1)
        held = hold(torch.cat([last, choice], 2), pad(begin, (1, 0), value=1.0))[..., 1:]
        sounding = torch.stack([held, begin * choice], 1)
        return sounding[:, :, :-1].transpose(2, 3)

    def _with_chords(self, melody: Tensor, chords: Tensor) -> Tensor:
        """Add the chord track to a melody ``(batch, plane, bar, step, pitch)``."""
        return torch.stack([melody, chord_roll(chords, self.n_steps, self.n_pitches)], 2)

    @torch.no_grad()
    def sample(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """Rolls of booleans."""
        return self(z, asked) > 0.5

    @torch.no_grad()
    def sample_over(self, z: Tensor, chords: Sequence[tuple[int, bool]], begin: Tensor | None = None) -> Tensor:
        """Rolls of booleans over chords that are given, all clips over the same.

        Parameters
        ----------
        z : Tensor [shape=(batch, bar, n_latent)]
        chords : sequence of (int, bool)
            For each bar the root's pitch class, and whether the chord is minor.
        begin : Tensor of int [shape=(batch,)], optional
            Numbers of the examples, counted round again, whose bar is the one before the first; it is not heard. By
            default in their order.
        """
        vectors = z.new_zeros(len(chords), CHORD)
        for bar, (root, minor) in enumerate(chords):
            vectors[bar, root] = 1
            vectors[bar, -1] = float(minor)
        kept = self.examples.take(max(1, int(self.examples.n_kept)))
        number = torch.arange(len(z), device=z.device) if begin is None else begin
        before, _ = self._told(kept[number % len(kept)])
        return self.over(z, vectors.expand(len(z), -1, -1), before) > 0.5


def tell(x: Tensor, chord: Tensor, condition: Tensor) -> Tensor:
    """Lay a chord and what was found in the bar before beside ``(batch, channel, position)``."""
    return torch.cat([x, chord.unsqueeze(-1).expand(-1, -1, x.shape[-1]), condition], 1)


class MidiNetDiscriminator(nn.Module):
    """Bars of a melody with their chords to logits, one for every bar that follows another.

    Parameters
    ----------
    n_tracks, n_steps, n_pitches : int
        Shape of a bar.
    channels : tuple of int
        Channels of the two convolutions, and width of the layer after them.
    n_heard : int
        Bars that it hears at once: 1, the bar itself, as in the paper, or 2, with the one before.

    Raises
    ------
    ValueError
        If there are not two tracks, or a bar's steps cannot be folded by twos and threes.

    Taught in: notebooks/07-midinet.ipynb
    """

    def __init__(
        self,
        n_tracks: int = 2,
        n_steps: int = 16,
        n_pitches: int = 48,
        channels: tuple[int, int, int] = (64, 128, 128),
        n_heard: int = 2,
    ) -> None:
        super().__init__()
        check_tracks(n_tracks, n_pitches)
        self.n_heard = n_heard
        stride, other, *_ = [*factors(n_steps)[::-1], 1]
        low, high, wide = channels
        n_positions = n_heard * n_steps // stride // other
        self.listen = nn.Sequential(
            nn.Conv1d(n_pitches + 1 + CHORD, low, stride + 2, stride, padding=1),  # (batch, low, time / stride)
            nn.LeakyReLU(0.2),
        )
        self.judge = nn.Sequential(
            nn.Conv1d(low, high, other + 2, other, padding=1),  # (batch, high, position)
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(high * n_positions, wide),
            nn.LeakyReLU(0.2),
            nn.Linear(wide, 1),
        )
        initialise(self)

    def forward(self, rolls: Tensor) -> Tensor:
        """``(batch, plane, track, bar, step, pitch)`` to logits ``(batch, bar - 1)``."""
        return self.judge(self.listen(self.heard(rolls))).unflatten(0, (len(rolls), -1)).squeeze(-1)

    def features(self, rolls: Tensor) -> tuple[Tensor, Tensor]:
        """What may be matched: the bars themselves ``(judged, channel, time)``, and what the first layer hears."""
        heard = self.heard(rolls)
        return heard, self.listen(heard)

    def heard(self, rolls: Tensor) -> Tensor:
        """The bars to be judged, with their chords ``(batch * (bar - 1), channel, time)``."""
        (sounding, chords), onset = rolls[:, 0].unbind(1), rolls[:, 1, 0]
        told = read_chords(chords).unsqueeze(2).expand(-1, -1, sounding.shape[2], -1)
        bars = torch.cat([sounding, onset.sum(-1, keepdim=True), told], -1)  # (batch, bar, step, channel)
        ending = [bars[:, end - self.n_heard : end].flatten(1, 2) for end in range(2, bars.shape[1] + 1)]
        return torch.stack(ending, 1).flatten(0, 1).transpose(1, 2)
