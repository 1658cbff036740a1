"""The project's own pair: a choir that plans in beats and sings in notes.

Notes are awkward for a generative adversarial network: they are there or not, and no small change leads from one to
another. So the choir learns to write first. An encoder folds each beat of real music into a few numbers, its *code*,
and a decoder writes a code out as notes, voice after voice, each hearing those above it and what was sung just before:
a variational autoencoder (Kingma & Welling 2014). The game is played about sequences of codes, which may be moved by
as little as one likes. The generator makes them of noise, the discriminator compares them with those of real clips,
and the decoder is needed only to be heard. An autoencoder and a game in one is the idea of the VAE-GAN (Larsen et al.
2016); this one meets on the autoencoder's codes, as a latent GAN does (Achlioptas et al. 2018).

Four things can be asked of it, each of them or none: the mode, how many notes there are, how high they lie, and a bar
to go on from. In training it is asked what real clips have, and each question is left out at random, so that it learns
to answer any of them and to be free where nothing is asked. The discriminator is shown what was asked as well, and so
compares with real clips that have just that (Mirza & Osindero 2014).

Taught in: notebooks/10-our-model.ipynb
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from math import ceil, floor, prod

import torch
from torch import Tensor, nn
from torch.amp import is_autocast_available
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, leaky_relu, one_hot, pad

from ganmusic.keys import PROFILES
from ganmusic.models.blocks import Examples, bar_latents, initialise
from ganmusic.models.convnet import (
    HOLD,
    Residual,
    activation,
    at_each_beat,
    factors,
    last_channels,
    near_line,
    quiet_residuals,
    standardise,
    unfolding,
)
from ganmusic.parallel import rand, randn

__all__ = [
    "CONTROLS",
    "WIDEST",
    "BeatDecoder",
    "BeatEncoder",
    "ChoirDiscriminator",
    "ChoirGenerator",
    "blur",
    "by_move",
    "given_bar",
    "heard",
    "held_line",
    "parallels",
]

#: What can be asked for with a number, in the order of `heard`.
CONTROLS = ("mode", "density", "register")
#: Least standard deviation of each that counts: a corpus may have clips that are all alike in one of them.
LEAST_SPREAD = (0.01, 0.5, 0.5)
#: Share of the clips that are asked nothing in training, and of the questions that are left out of the others.
LEFT_OUT = 0.3
#: Clips that are remembered to know what is usual.
N_EXAMPLES = 256
#: Semitones, up or down, of the widest moves that a voice has a liking for.
WIDEST = 12
#: Share of the beats that do not know what came before them while the decoder learns: so a code has to say where the
#: voices are, and not only where they go (word dropout; Bowman et al. 2016).
FORGET = 0.25
#: Weight of a step's pitch where nothing begins, in the autoencoder's loss: what is held sounds without it.
UNHEARD = 0.01
#: Steps in which latents are moved towards a given melody, how far at first, and steps after which the other voices
#: sing anew to the codes.
FITTING, FITTING_RATE, LISTEN_EVERY = 300, 0.1, 10


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

    Taught in: notebooks/10-our-model.ipynb
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

    Taught in: notebooks/10-our-model.ipynb
    """
    pitch, begin = _choices(*bar.unbind(1))
    return torch.cat([pitch.flatten(1).to(bar.dtype), begin.flatten(1)], 1)


def _choices(sounding: Tensor, onset: Tensor) -> tuple[Tensor, Tensor]:
    """Planes ``(..., step, pitch)`` as each step's pitch ``(..., step)`` (silence: one more), and whether it begins."""
    silent = 1 - sounding.sum(-1, keepdim=True).clamp(max=1)
    pitch = torch.cat([sounding, silent], -1).argmax(-1)
    return pitch, (onset.sum(-1) + silent.squeeze(-1)).clamp(max=1)


class BeatEncoder(nn.Module):
    """Beats to codes: mean and logarithm of the variance of each number.

    Parameters
    ----------
    n_tracks, n_pitches, steps_per_beat, n_codes : int
        Voices, pitches of the grid, steps of a beat, and numbers of its code.
    hidden : int
        Width of the layers in between.

    Taught in: notebooks/10-our-model.ipynb
    """

    def __init__(self, n_tracks: int, n_pitches: int, steps_per_beat: int, n_codes: int, hidden: int = 192) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(n_tracks * (n_pitches + 1), hidden, steps_per_beat, steps_per_beat),
            nn.LeakyReLU(0.2),
            nn.Conv1d(hidden, hidden, 1),
            nn.LeakyReLU(0.2),
            nn.Conv1d(hidden, 2 * n_codes, 1),
        )
        initialise(self)

    def forward(self, sounding: Tensor, onset: Tensor) -> tuple[Tensor, Tensor]:
        """Both planes ``(batch, track, time, pitch)`` to means and log variances ``(batch, n_codes, beat)``."""
        x = torch.cat([sounding.transpose(2, 3).flatten(1, 2), onset.sum(-1)], 1)
        mean, log_variance = self.layers(x).chunk(2, 1)
        return mean, (log_variance - 2).clamp(-8, 4)


class BeatDecoder(nn.Module):
    """Codes to notes, beat after beat, and in each beat voice after voice.

    A voice hears what the voices before it sing in this beat, and what all sang on the step before it. It has a liking
    for each pitch, and one for each move from the step before: a seventh is a seventh from wherever it starts. And it
    is shown which pitches would make it go in parallel fifths or octaves with a voice that has chosen, and learns what
    to think of them.

    Parameters
    ----------
    n_tracks, n_pitches, steps_per_beat, n_codes : int
        See `BeatEncoder`.
    hidden : int
        Width of the layers in between.

    Taught in: notebooks/10-our-model.ipynb
    """

    def __init__(self, n_tracks: int, n_pitches: int, steps_per_beat: int, n_codes: int, hidden: int = 160) -> None:
        super().__init__()
        self.n_tracks, self.n_pitches, self.steps_per_beat = n_tracks, n_pitches, steps_per_beat
        self.read = nn.Sequential(nn.Conv1d(n_codes, hidden, 3, padding=1), Residual(hidden), nn.LeakyReLU(0.2))
        # As in `ConvGenerator`, where each voice's line runs: a code can then be moved up and down as a whole.
        self.line = nn.Conv1d(n_codes, n_tracks, 1)
        self.centre = nn.Parameter(torch.linspace(0.75, 0.25, n_tracks) * n_pitches)
        # For each step: every pitch, silence, and whether what sounds is held; fifths and octaves with other voices;
        # every move.
        self.outputs = [(n_pitches + 2, 2 * voice, 2 * WIDEST + 1) for voice in range(n_tracks)]
        self.voices = nn.ModuleList(
            nn.Sequential(
                nn.Linear(hidden + (n_tracks + voice * steps_per_beat) * n_pitches, hidden),
                nn.LeakyReLU(0.2),
                nn.Linear(hidden, sum(outputs) * steps_per_beat),
            )
            for voice, outputs in enumerate(self.outputs)
        )
        initialise(self)
        quiet_residuals(self)
        for voice in self.voices:
            bias = voice[-1].bias.data.unflatten(0, (steps_per_beat, -1))  # type: ignore[index]
            bias[:, n_pitches + 1] = HOLD

    def tell(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What codes ``(batch, n_codes, beat)`` tell all voices, ``(batch, beat, hidden)``, and how near each pitch is
        to the line of its voice, ``(batch, beat, track, step, pitch)``.
        """
        near = near_line(self.line(codes), self.centre, self.n_pitches, self.steps_per_beat)
        near = near.permute(0, 3, 1, 2).unflatten(1, (-1, self.steps_per_beat)).transpose(2, 3)
        return self.read(codes).transpose(1, 2), near

    def scores(
        self, told: Tensor, near: Tensor, before: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the next voice thinks of its choices.

        Parameters
        ----------
        told, near : Tensor
            See `tell`; the second for this voice, ``(batch, beat, step, pitch)``.
        before : Tensor [shape=(batch, beat, track, pitch)]
            What all voices sang on the step before each beat, if it knows.
        above : Tensor [shape=(batch, beat, voice, step, pitch)]
            What the voices that have chosen sing in it.

        Returns
        -------
        scores : Tensor [shape=(batch, beat, step, pitch + 1)]
            Of every pitch and of silence.
        likes : Tensor [shape=(batch, beat, step, 2 * WIDEST + 1)]
            Of every move from the step before, from an octave down to an octave up; see `by_move`.
        parallel : Tensor [shape=(batch, beat, step, 2 * voice)]
            Of the pitches that would make parallels with each of the voices that have chosen; see `parallels`.
        hold : Tensor [shape=(batch, beat, step)]
            Logits of holding what sounds instead.
        """
        voice = above.shape[2]
        x = self.voices[voice](torch.cat([told, before.flatten(2), above.flatten(2)], 2))
        each, parallel, likes = x.unflatten(2, (self.steps_per_beat, -1)).split(self.outputs[voice], -1)
        return standardise(each[..., :-1]) + pad(near, (0, 1)), likes, parallel, each[..., -1]

    def forward(self, codes: Tensor, sounding: Tensor, n_voices: int | None = None) -> tuple[Tensor, Tensor]:
        """Score real choices, for all beats at once. In training, `FORGET` of the beats do not know what came before.

        Parameters
        ----------
        codes : Tensor [shape=(batch, n_codes, beat)]
        sounding : Tensor [shape=(batch, track, time, pitch)]
            The notes that the codes are of: what each voice then hears.
        n_voices : int, optional
            Voices whose choices are scored, from the first; by default all.

        Returns
        -------
        scores, hold : Tensor [shape=(batch, voice, time, pitch + 1)], Tensor [shape=(batch, voice, time)]
        """
        told, near = self.tell(codes)
        late = pad(sounding[:, :, :-1], (0, 0, 1, 0))  # on the step before each
        # (batch, beat, step, track, pitch)
        now, late = (x.unflatten(2, (-1, self.steps_per_beat)).movedim(1, 3) for x in (sounding, late))
        known = late
        if self.training:  # the moves within a beat are known in any case, and parallels are shown
            knows = (rand(late.shape[:2], like=late) >= FORGET).to(late.dtype)[:, :, None, None, None]
            known = torch.cat([late[:, :, :1] * knows, late[:, :, 1:]], 2)
        choices, holds = [], []
        for k in range(self.n_tracks if n_voices is None else n_voices):
            above = now[:, :, :, :k]
            scores, likes, parallel, hold = self.scores(told, near[:, :, k], known[:, :, 0], above.transpose(2, 3))
            shown = parallels(late[:, :, :, k], late[:, :, :, :k], above)
            choices.append((scores + by_move(likes, known[:, :, :, k]) + weighed(parallel, shown)).flatten(1, 2))
            holds.append(hold.flatten(1))
        return torch.stack(choices, 1), torch.stack(holds, 1)

    @torch.no_grad()
    def sing(self, codes: Tensor, given: Tensor | None = None, is_given: Tensor | None = None) -> Tensor:
        """Write codes out as notes.

        Parameters
        ----------
        codes : Tensor [shape=(batch, n_codes, beat)]
        given : Tensor, optional [shape=(batch, plane, track, step, pitch)]
            What voices begin with, whatever their codes.
        is_given : Tensor, optional [shape=(batch, track)]
            1 for the voices that do, else 0.

        Returns
        -------
        Tensor [shape=(batch, plane, track, time, pitch)]
            Zeros and ones.
        """
        told, near = self.tell(codes)
        n, n_beats, _ = told.shape
        n_given = 0 if given is None else given.shape[3] // self.steps_per_beat
        before = codes.new_zeros(n, 1, self.n_tracks, self.n_pitches)
        sung = []
        for beat in range(n_beats):
            now = slice(beat, beat + 1)
            planes = codes.new_zeros(n, 2, 0, self.steps_per_beat, self.n_pitches)
            for voice in range(self.n_tracks):
                scores, likes, parallel, hold = self.scores(told[:, now], near[:, now, voice], before, planes[:, :1])
                others = torch.cat([before[:, 0, :voice].unsqueeze(2), planes[:, 0]], 2)
                one = held_line(
                    scores[:, 0],
                    hold[:, 0] <= 0,
                    before[:, 0, voice] if beat else None,
                    likes[:, 0],
                    parallel[:, 0],
                    others,
                )
                if given is not None and is_given is not None and beat < n_given:
                    steps = slice(beat * self.steps_per_beat, (beat + 1) * self.steps_per_beat)
                    one = torch.where(is_given[:, voice, None, None, None] > 0, given[:, :, voice, steps], one)
                planes = torch.cat([planes, one.unsqueeze(2)], 2)
            before = planes[:, :1, :, -1]
            sung.append(planes)
        return torch.cat(sung, 3)


def by_move(likes: Tensor, before: Tensor) -> Tensor:
    """What a voice of one note at most thinks of every pitch and of silence, by how far each is from where it was.

    Parameters
    ----------
    likes : Tensor [shape=(..., 2 * WIDEST + 1)]
        Of every move, from an octave down to an octave up.
    before : Tensor [shape=(..., pitch)]
        Where the voice was; zeros if it rested.

    Returns
    -------
    Tensor [shape=(..., pitch + 1)]

    Taught in: notebooks/10-our-model.ipynb
    """
    pitch = torch.arange(before.shape[-1], device=before.device)
    move = (pitch - before.argmax(-1, keepdim=True)).clamp(-WIDEST - 1, WIDEST + 1)  # of wider ones it thinks nothing
    return pad(pad(likes, (1, 1)).gather(-1, move + WIDEST + 1) * before.sum(-1, keepdim=True), (0, 1))


def held_line(
    scores: Tensor, begin: Tensor, before: Tensor | None, likes: Tensor, parallel: Tensor, others: Tensor
) -> Tensor:
    """Take up the best choice where something begins, else hold what sounded.

    Parameters
    ----------
    scores : Tensor [shape=(batch, step, pitch + 1)]
    begin : Tensor [shape=(batch, step)]
        Booleans; without anything before, the first step begins in any case.
    before : Tensor, optional [shape=(batch, pitch)]
        What sounded on the step before.
    likes : Tensor [shape=(batch, step, 2 * WIDEST + 1)]
        Of every move from what sounded on the step before; see `by_move`.
    parallel : Tensor [shape=(batch, step, 2 * voice)]
        Of the pitches that make parallels with other voices; see `parallels`.
    others : Tensor [shape=(batch, voice, 1 + step, pitch)]
        What those sing, the step before included.

    Returns
    -------
    Tensor [shape=(batch, plane, step, pitch)]
        Sounding, and where it begins.

    Taught in: notebooks/10-our-model.ipynb
    """
    n_pitches = scores.shape[-1] - 1
    held, onset = [], []
    for step in range(scores.shape[1]):
        begins = begin[:, step]
        if before is None:
            before, begins = scores.new_zeros(len(scores), n_pitches), torch.ones_like(begins)
        shown = parallels(before, others[:, :, step], others[:, :, step + 1])
        score = scores[:, step] + by_move(likes[:, step], before) + weighed(parallel[:, step], shown)
        choice = one_hot(score.argmax(-1), n_pitches + 1)[:, :-1].to(scores.dtype)
        before = torch.where(begins.unsqueeze(1), choice, before)
        held.append(before)
        onset.append(choice * begins.unsqueeze(1))
    return torch.stack([torch.stack(held, 1), torch.stack(onset, 1)], 1)


def weighed(parallel: Tensor, shown: Tensor) -> Tensor:
    """What a voice thinks ``(..., 2 * voice)`` of marked pitches ``(..., 2 * voice, pitch)``, for each pitch and
    silence ``(..., pitch + 1)``.
    """
    return pad((parallel.unsqueeze(-2) @ shown).squeeze(-2), (0, 1))


def parallels(before: Tensor, others_before: Tensor, others_now: Tensor) -> Tensor:
    """The pitch that would make a voice move in parallel fifths, or octaves, with each of some others.

    Parameters
    ----------
    before : Tensor [shape=(..., pitch)]
        Where the voice was.
    others_before, others_now : Tensor [shape=(..., voice, pitch)]
        Where the others were, and where they have gone.

    Returns
    -------
    Tensor [shape=(..., 2 * voice, pitch)]
        For each other first fifths, then octaves and unisons; zeros where one rests or the other stays,
        or where they lay at another interval.

    Taught in: notebooks/10-our-model.ipynb
    """
    n_pitches = before.shape[-1]
    was, other, now = before.argmax(-1).unsqueeze(-1), others_before.argmax(-1), others_now.argmax(-1)
    sings = before.sum(-1).unsqueeze(-1) * others_before.sum(-1) * others_now.sum(-1) > 0
    to = was + now - other
    moves = sings & (now != other) & (to >= 0) & (to < n_pitches)
    perfect = torch.stack([moves & ((other - was).abs() % 12 == interval) for interval in (7, 0)], -1)
    target = one_hot(to.clamp(0, n_pitches - 1), n_pitches)
    return (perfect.unsqueeze(-1) * target.unsqueeze(-2)).flatten(-3, -2).to(before.dtype)


class ChoirGenerator(nn.Module):
    """Latents, one a bar, and what is asked for, to codes of beats, and these to voices.

    What is asked is one row a clip, ``[shape=(batch, 7 + 2 * n_tracks * n_steps)]``: the values of `CONTROLS`; for each
    of them whether it is asked for, 1 or 0; whether a bar is given; and that bar: each voice's pitch at each step
    (from 0, silence is `n_pitches`), and whether it begins there. `asking` makes such rows.

    It plays its game about ``[shape=(batch, n_codes + 6, beat)]``: the codes, and at each beat the controls' values, in
    standard deviations of real clips, and whether they are asked for.

    Parameters
    ----------
    n_tracks, n_steps, n_pitches : int
        Voices, steps a bar, pitches of the grid.
    n_latent : int
        Length of a bar's latent vector; even, and at least 6. Its first half is shared by all bars of a clip, and the
        first three numbers say what a clip wishes of which nothing is asked (`wishes`).
    n_codes : int
        Numbers of a beat's code.
    kl : float
        Weight of the autoencoder's Kullback-Leibler divergence: with more of it a code says less about its beat, but
        no small error in it is a wrong note (Higgins et al. 2017).
    channels : tuple of int
        Channels as a bar unfolds, from one position a bar to one a beat; cut from the left where there are fewer
        unfoldings, the first repeated where there are more.
    hidden : int
        Width of the decoder.

    Raises
    ------
    ValueError
        If a bar's steps cannot be unfolded by twos and threes, the latent vector is too short, or there is no voice or
        no pitch.

    Taught in: notebooks/10-our-model.ipynb
    """

    #: A track has one note at a time.
    monophonic = True
    #: Where a given melody is sung.
    melody_track = 0

    def __init__(
        self,
        n_tracks: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        n_latent: int = 64,
        n_codes: int = 32,
        kl: float = 0.45,
        channels: tuple[int, ...] = (160, 128, 128),
        hidden: int = 160,
    ) -> None:
        super().__init__()
        self.n_tracks, self.n_steps, self.n_pitches, self.n_latent = n_tracks, n_steps, n_pitches, n_latent
        self.n_codes, self.kl = n_codes, kl
        if min(n_tracks, n_pitches) < 1:
            raise ValueError(f"a choir has at least one voice and one pitch, not {n_tracks} and {n_pitches}")
        if n_latent < 2 * len(CONTROLS):
            raise ValueError(f"a latent vector of the choir has at least {2 * len(CONTROLS)} numbers, not {n_latent}")
        strides = to_beats(n_steps)
        self.beats_per_bar = prod(strides)
        steps_per_beat = n_steps // self.beats_per_bar
        channels = last_channels(channels, len(strides) + 1)
        self.examples = Examples(N_EXAMPLES, 2 * len(CONTROLS) + 1 + 2 * n_tracks * n_steps)
        self.encoder = BeatEncoder(n_tracks, n_pitches, steps_per_beat, n_codes)
        self.decoder = BeatDecoder(n_tracks, n_pitches, steps_per_beat, n_codes, hidden)
        last = channels[-1]
        layers = [Residual(channels[0], True), *unfolding(strides, channels)]
        layers += [Residual(last, True), activation(last, True), nn.Conv1d(last, n_codes, 3, padding=1)]
        self.enter = nn.Conv1d(n_latent, channels[0], 3, padding=1)
        self.tell = nn.Linear(2 * len(CONTROLS), channels[0], bias=False)
        self.recall = nn.Linear(n_codes * self.beats_per_bar, channels[0])
        self.unfold = nn.Sequential(*layers)
        for part in (self.enter, self.tell, self.recall, self.unfold):
            initialise(part)
            quiet_residuals(part)

    def latent(self, n: int, n_bars: int = 4, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents ``[shape=(n, n_bars, n_latent)]``; the first half is the same in all bars."""
        return bar_latents(n, n_bars, self.n_latent, generator)

    @torch.no_grad()
    def ask(self, real: Tensor) -> Tensor:
        """What real rolls ask: some of them nothing, the others any of the questions, drawn at random."""
        n = len(real)
        questions = torch.rand(n, len(CONTROLS) + 2).to(real) >= LEFT_OUT
        told = (questions[:, 1:] & questions[:, :1]).to(real.dtype)
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
        """What can be asked for: of the density and of the register the 1st and the 99th percentile of remembered real
        clips, inwards to whole tenths, so that what is said of them holds.
        """
        ends = self.usual.quantile(self.usual.new_tensor([0.01, 0.99]), 0).T.tolist()
        tenths = {name: (ceil(10 * low), floor(10 * high)) for name, (low, high) in zip(CONTROLS, ends, strict=True)}
        return {name: (low / 10, max(low, high) / 10) for name, (low, high) in tenths.items() if name != "mode"}

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
            If there is no such mode, a number is outside of `ranges`, or the bar has another shape.
        """
        shape = (2, self.n_tracks, self.n_steps, self.n_pitches)
        if before is not None and before.shape != shape:
            raise ValueError(f"a bar to go on from has the shape {shape}, not {tuple(before.shape)}")
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
        bar = torch.zeros(shape) if before is None else before.float()
        return torch.cat([values, told, given_bar(bar[None])], 1).expand(n, -1)

    def wishes(self, z: Tensor) -> Tensor | None:
        """What real clips have of all `CONTROLS`, as rows to ask, one a latent; None if no real clip is remembered.

        The first number of a latent says which quantile of the remembered modes it is, the second and the third which
        one of the densities and of the registers. Latents that lie near each other so ask for nearly the same.
        """
        n = len(CONTROLS)
        if not self.examples.n_kept:
            return None
        ranks = torch.special.ndtr(z[:, 0, :n])
        asked = z.new_zeros(len(z), self.examples.rows.shape[1])
        asked[:, :n] = torch.stack([self.usual[:, k].quantile(ranks[:, k]) for k in range(n)], 1)
        asked[:, n : 2 * n] = 1
        return asked

    def controls(self, asked: Tensor) -> Tensor:
        """What is asked, as the networks hear it ``(batch, 6)``: values in standard deviations of real clips, from
        their mean, 0 where nothing is asked; and 1 where something is.
        """
        n = len(CONTROLS)
        values, told = asked[:, :n], asked[:, n : 2 * n]
        spread, mean = torch.std_mean(self.usual, 0, correction=0)
        return torch.cat([(values - mean) / spread.maximum(spread.new_tensor(LEAST_SPREAD)) * told, told], 1)

    def missed(self, rolls: Tensor, asked: Tensor) -> Tensor:
        """How far rolls miss what they were asked ``[shape=(batch,)]``: the sum of the squared misses, each in
        standard deviations of real clips.

        Taught in: notebooks/10-our-model.ipynb
        """
        n = len(CONTROLS)
        got = self.controls(torch.cat([heard(rolls.to(asked.dtype)), asked[:, n:]], 1))
        return (got - self.controls(asked)).square().sum(1)

    def given(self, asked: Tensor) -> tuple[Tensor, Tensor]:
        """The bars that are asked to be gone on from ``(batch, plane, track, step, pitch)``, and which clips are."""
        n = 2 * len(CONTROLS)
        pitch, begin = asked[:, n + 1 :].unflatten(1, (2, self.n_tracks, self.n_steps)).unbind(1)
        sounding = one_hot(pitch.long(), self.n_pitches + 1)[..., :-1].to(asked.dtype)
        return torch.stack([sounding, sounding * begin.unsqueeze(-1)], 1), asked[:, n]

    def codes(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """``(batch, bar, n_latent)`` to codes ``(batch, n_codes, beat)``; those of a given bar come out as they are."""
        x = self.enter(z.transpose(1, 2))  # (batch, channel, bar)
        if asked is None:
            return self.unfold(x)
        bar, is_given = self.given(asked)
        with torch.no_grad(), unmixed(z.device.type):  # as exact as those that `see` shows
            first, _ = self.encoder(*bar.unbind(1))
        is_given = is_given[:, None, None]
        x = x + self.tell(self.controls(asked)).unsqueeze(-1)
        x = torch.cat([x[..., :1] + self.recall(first.flatten(1)).unsqueeze(-1) * is_given, x[..., 1:]], -1)
        made = self.unfold(x)
        n_given = first.shape[-1]
        return torch.cat([torch.where(is_given > 0, first, made[..., :n_given]), made[..., n_given:]], -1)

    def forward(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """What the discriminator is shown of what is made; without `asked` the generator is free."""
        return self._shown(self.codes(z, asked), asked)

    @torch.no_grad()
    def see(self, real: Tensor, asked: Tensor) -> Tensor:
        """What the discriminator is shown of real rolls: the means of their codes, and what they ask."""
        return self._shown(self.encoder(*real.flatten(3, 4).unbind(1))[0], asked)

    def _shown(self, codes: Tensor, asked: Tensor | None) -> Tensor:
        told = codes.new_zeros(len(codes), 2 * len(CONTROLS)) if asked is None else self.controls(asked)
        return torch.cat([codes, told.unsqueeze(-1).expand(-1, -1, codes.shape[-1])], 1)

    def learn(self, real: Tensor) -> Tensor:
        """The autoencoder's loss on real rolls, in nats a beat: how badly it writes the notes out, given a code drawn
        from what the encoder makes of them and the notes before, and `kl` times how much the code tells.
        """
        sounding, onset = real.flatten(3, 4).unbind(1)
        mean, log_variance = self.encoder(sounding, onset)
        scores, hold = self.decoder(mean + (log_variance / 2).exp() * randn(mean.shape, like=mean), sounding)
        of_pitch, of_begin = _surprise(scores, hold, sounding, onset)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        n_beats = mean.shape[0] * mean.shape[2]
        return (of_pitch.sum() + of_begin.sum() + self.kl * divergence.sum()) / n_beats

    @torch.no_grad()
    def sample(self, z: Tensor, asked: Tensor | None = None) -> Tensor:
        """Rolls of booleans ``(batch, plane, track, bar, step, pitch)``. A bar that is given is the first of them.

        Without `asked`, each clip is asked for a mode, a density and a register that real clips have (`wishes`), so
        that all together are as varied as those: a network that is left free prefers the middle.
        """
        asked = self.wishes(z) if asked is None else asked
        given, is_given = (None, None) if asked is None else self.given(asked)
        voices = None if is_given is None else is_given.unsqueeze(1).expand(-1, self.n_tracks)
        rolls = self.decoder.sing(self.codes(z, asked), given, voices)
        return rolls.unflatten(3, (-1, self.n_steps)) > 0.5

    @property
    def melody_height(self) -> float:
        """Mean pitch of the first voice in remembered real bars, in semitones above the lowest of the grid."""
        first = 2 * len(CONTROLS) + 1
        sung = self.examples.rows[: int(self.examples.n_kept), first : first + self.n_steps]
        return float(sung[sung < self.n_pitches].mean()) if len(sung) else float(self.decoder.centre[0])

    def accompany(self, melody: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Let the first voice sing a melody, and the others sing to it.

        Nothing was trained for this. Latents are drawn and then moved, by the gradient, to where the codes made of them
        would make the first voice sing the melody if it could choose: the generator is inverted (Zhu et al. 2016). The
        other voices sing what these codes and the melody tell them, anew every few steps.

        Parameters
        ----------
        melody : Tensor [shape=(batch, plane, bar, step, pitch)]
            One note at a time, of any number of bars.
        generator : torch.Generator, optional
            Draws the latents.

        Returns
        -------
        rolls : Tensor [shape=(batch, plane, track, bar, step, pitch)]
            Booleans, the melody included.
        surprise : Tensor [shape=(batch,)]
            How unlikely the melody stays, in nats: the less, the better it and the other voices are of one mind.

        Taught in: notebooks/10-our-model.ipynb
        """
        line = melody.flatten(2, 3)  # (batch, plane, time, pitch)
        z = self.latent(len(melody), melody.shape[2], generator).to(melody)
        asked = self.wishes(z)
        others = line.new_zeros(*line.shape[:2], self.n_tracks - 1, *line.shape[2:])
        given, is_given = torch.cat([line.unsqueeze(2), others], 2), line.new_zeros(len(line), self.n_tracks)
        is_given[:, 0] = 1
        # Two ways to go from `z`: in what all bars of a clip share, and in what each bar has of its own.
        shared, own = (torch.zeros_like(part, requires_grad=True) for part in (z[:, :1], z))
        half = torch.arange(self.n_latent, device=z.device) < self.n_latent // 2
        optimizer = torch.optim.Adam([shared, own], FITTING_RATE)
        for step in range(FITTING + 1):
            with torch.enable_grad():
                codes = self.codes(z + torch.where(half, shared, own), asked)
                if step % LISTEN_EVERY == 0 or step == FITTING:
                    rolls = self.decoder.sing(codes, given, is_given)
                scores, hold = self.decoder(codes, rolls[:, 0], 1)
                of_pitch, of_begin = _surprise(scores, hold, *given[:, :, :1].unbind(1))
                surprise = of_pitch.sum((1, 2)) + of_begin.sum((1, 2))
                if step < FITTING:
                    shared.grad, own.grad = torch.autograd.grad(surprise.sum(), [shared, own])
                    optimizer.step()
        return rolls.unflatten(3, (-1, self.n_steps)) > 0.5, surprise.detach()


def _surprise(scores: Tensor, hold: Tensor, sounding: Tensor, onset: Tensor) -> tuple[Tensor, Tensor]:
    """How unlikely the choices of planes ``(batch, track, time, pitch)`` are, in nats: of pitches ``(batch, track,
    time)``, as far as they are heard, and of beginnings ``(batch, track, time - 1)``.
    """
    pitch, begin = _choices(sounding, onset)
    # What comes before the first step nobody knows: there all voices begin.
    weight = pad(begin[..., 1:], (1, 0), value=1.0).clamp(min=UNHEARD)
    of_pitch = cross_entropy(scores.movedim(-1, 1), pitch, reduction="none") * weight
    return of_pitch, binary_cross_entropy_with_logits(-hold, begin, reduction="none")[..., 1:]


def unmixed(device: str) -> AbstractContextManager[object]:
    """Where mixed precision is suspended, on devices that have it."""
    return torch.autocast(device, enabled=False) if is_autocast_available(device) else nullcontext()


def to_beats(n_steps: int) -> list[int]:
    """The first half of a bar's unfoldings, which lead to what is called its beats: those of 3/4 and 4/4 with four
    steps a beat, and in other metres other parts of three or four steps.
    """
    strides = factors(n_steps)
    return strides[: len(strides) // 2]


class ChoirDiscriminator(nn.Module):
    """What a generator shows of a clip to logits: for the whole, for each bar and for each beat.

    Parameters
    ----------
    n_bars, n_steps : int
        Shape of a clip.
    n_codes : int
        Numbers of a beat's code.
    channels : int
        Of all layers.

    Raises
    ------
    ValueError
        If a bar's steps cannot be folded by twos and threes.

    Taught in: notebooks/10-our-model.ipynb
    """

    def __init__(self, n_bars: int = 4, n_steps: int = 16, n_codes: int = 32, channels: int = 96) -> None:
        super().__init__()
        strides = to_beats(n_steps)[::-1]
        self.listen = nn.Conv1d(n_codes + 2 * len(CONTROLS), channels, 3, padding=1)
        # As in `ConvDiscriminator`: the judges know where in the clip they listen.
        self.beat_position = nn.Parameter(torch.zeros(channels, n_bars * prod(strides)))
        self.bar_position = nn.Parameter(torch.zeros(channels, n_bars))
        self.beats = nn.Sequential(Residual(channels), Residual(channels))
        layers: list[nn.Module] = []
        for stride in strides:
            layers += [nn.LeakyReLU(0.2), nn.Conv1d(channels, channels, stride + 2, stride, padding=1)]
            layers.append(Residual(channels))
        self.fold = nn.Sequential(*layers)
        self.beat_logit, self.bar_logit = (
            nn.Sequential(nn.Conv1d(channels, channels, 1), nn.LeakyReLU(0.2), nn.Conv1d(channels, 1, 1))
            for _ in range(2)
        )
        self.clip_logit = nn.Sequential(
            nn.Linear(channels * n_bars, channels), nn.LeakyReLU(0.2), nn.Linear(channels, 1)
        )
        initialise(self)
        quiet_residuals(self)

    def forward(self, shown: Tensor) -> Tensor:
        """``(batch, n_codes + 6, beat)`` to logits ``(batch, scale, beat)``: what the judges of the clip, of the bar
        and of the beat say at each beat.
        """
        x = self.beats(self.listen(shown) + self.beat_position)
        beat = self.beat_logit(leaky_relu(x, 0.2))
        x = self.fold(x)
        bar = self.bar_logit(leaky_relu(x + self.bar_position, 0.2))
        clip = self.clip_logit(leaky_relu(x, 0.2).flatten(1)).unsqueeze(1)
        return at_each_beat(clip, bar, beat)


def blur(real: Tensor, fake: Tensor, deviation: float) -> tuple[Tensor, Tensor]:
    """Add noise to both sides ``(batch, ...)``, so that the discriminator cannot go by details that are not heard
    (instance noise; Sønderby et al. 2017).

    Taught in: notebooks/10-our-model.ipynb
    """
    return tuple(x + deviation * randn(x.shape, like=x) for x in (real, fake))  # type: ignore[return-value]
