"""One note of one instrument: the shipped recordings, and how they are played at any pitch.

A *sampler* answers a note with a recording of the instrument. It takes the recording of the
nearest key, reads it faster or slower to reach the pitch, goes round its loop for as long as the
note is held, and shapes the loudness with an envelope (attack, hold, decay, sustain, release).

The recordings are cut from a soundfont by ``scripts/build_instruments.py``; the file follows the
SoundFont 2.04 specification, whose section 8.1.2 numbers the *generators* read here, with Vorbis
streams for recordings (.sf3). Times are seconds, tuning is in semitones, every note equally strong.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import bisect
import io
import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

__all__ = ["INSTRUMENTS", "RATE", "Wave", "Zone", "instrument", "play", "zones"]

Wave = npt.NDArray[np.float32]

#: Samples a second of everything that is played.
RATE = 44100

#: The shipped instruments: General MIDI program -> name. There is a drum kit as well.
INSTRUMENTS: dict[int, str] = {
    0: "piano",
    19: "church organ",
    32: "double bass",
    46: "harp",
    48: "strings",
    52: "choir",
    56: "trumpet",
    57: "trombone",
    68: "oboe",
    71: "clarinet",
    73: "flute",
}

# (first program, instrument): each entry stands for the programs up to the next one.
_STAND_INS = (
    (0, 0),  # pianos
    (8, 46),  # celesta, glockenspiel, vibraphone ...
    (16, 19),  # organs
    (24, 46),  # guitars
    (32, 32),  # basses
    (40, 48),  # violin, viola, cello, contrabass, tremolo
    (45, 46),  # pizzicato, harp, timpani
    (48, 48),  # string ensembles
    (52, 52),  # choirs
    (55, 48),  # orchestra hit
    (56, 56),  # trumpet
    (57, 57),  # trombone, tuba
    (59, 56),  # muted trumpet
    (60, 57),  # horn, brass
    (64, 71),  # saxophones
    (68, 68),  # oboe, English horn
    (70, 71),  # bassoon, clarinet
    (72, 73),  # flutes
    (80, 71),  # synthesiser leads
    (88, 48),  # pads
    (91, 52),  # choir pad
    (92, 48),  # pads and effects
    (104, 46),  # sitar, banjo, koto, bells ...
    (120, 48),  # noises
)

# Generators: envelope times in timecents, tuning in cents, levels in centibels.
_ATTACK, _HOLD, _DECAY, _SUSTAIN, _RELEASE = 34, 35, 36, 37, 38
_KEYS, _ATTENUATION, _FINE, _SAMPLE, _LOOPS, _SCALE, _ROOT = 43, 48, 52, 53, 54, 56, 58
_MELODIC_BANK, _DRUM_BANK = 0, 128


def instrument(program: int) -> int:
    """Tell which shipped instrument plays a General MIDI program: itself, or the nearest in kind.

    Guitars and tuned percussion become the harp; bowed strings and pads the strings; low brass and
    horns the trombone; saxophones and leads the clarinet; every flute and bass the one shipped.

    Raises
    ------
    ValueError
        If `program` is not 0..127.
    """
    if not 0 <= program < 128:
        raise ValueError(f"General MIDI programs are 0..127, not {program}")
    return _STAND_INS[bisect.bisect_right(_STAND_INS, (program, 127)) - 1][1]


@dataclass(frozen=True)
class Zone:
    """One recording, the keys ``low..high`` that it plays, and how.

    `decay` and `release` are the times to fall by 100 dB; `sustain` is how far the decay falls, in
    dB; `scale` is 1 semitone a key, but 0 for drums; `loop` counts the recording's samples.
    """

    low: int
    high: int
    root: int
    tuning: float
    scale: float
    data: bytes
    loop: tuple[int, int] | None
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float
    gain: float


def zones(program: int, is_drum: bool = False) -> tuple[Zone, ...]:
    """Give the zones of the instrument that plays a program; together they cover every key."""
    return _soundfont()[(_DRUM_BANK, 0) if is_drum else (_MELODIC_BANK, instrument(program))]


@lru_cache
def _soundfont() -> dict[tuple[int, int], tuple[Zone, ...]]:
    """Read the shipped file, which has one instrument a preset: ``(bank, program)`` -> zones."""
    data = resources.files("ganmusic").joinpath("instruments/instruments.sf3").read_bytes()
    chunks: dict[bytes, memoryview] = {}
    at = 12
    while at < len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"LIST":
            at += 12  # step into the list
        else:
            chunks[name] = memoryview(data)[at + 8 : at + 8 + size]
            at += 8 + size + size % 2
    samples = list(struct.iter_unpack("<20sIIIIIBbHH", chunks[b"shdr"]))
    generators = list(struct.iter_unpack("<Hh", chunks[b"igen"]))
    bags = [first for first, _ in struct.iter_unpack("<HH", chunks[b"ibag"])]
    instruments = [bag for _, bag in struct.iter_unpack("<20sH", chunks[b"inst"])]

    def zone(first: int, end: int) -> Zone:
        g = dict(generators[first:end])
        _, start, stop, loop_start, loop_end, _, root, _, _, _ = samples[g[_SAMPLE]]
        attack, hold, decay, release = (
            2 ** (g.get(op, -12000) / 1200) for op in (_ATTACK, _HOLD, _DECAY, _RELEASE)
        )
        return Zone(
            low=g[_KEYS] & 127,
            high=g[_KEYS] >> 8 & 127,
            root=g.get(_ROOT, root),
            tuning=g.get(_FINE, 0) / 100,
            scale=g.get(_SCALE, 100) / 100,
            data=bytes(chunks[b"smpl"][start:stop]),
            loop=(loop_start, loop_end) if g.get(_LOOPS, 0) & 1 else None,
            attack=attack,
            hold=hold,
            decay=decay,
            sustain=g.get(_SUSTAIN, 0) / 10,
            release=release,
            # Players apply 0.4 of the attenuation in the file, as the first hardware did.
            gain=10 ** (-0.4 * g.get(_ATTENUATION, 0) / 200),
        )

    presets = list(struct.iter_unpack("<20sHHH12s", chunks[b"phdr"]))[:-1]
    return {
        (bank, program): tuple(
            zone(bags[bag], bags[bag + 1]) for bag in range(instruments[i], instruments[i + 1])
        )
        for i, (_, program, bank, _, _) in enumerate(presets)
    }


@lru_cache
def _recording(zone: Zone) -> tuple[Wave, int]:
    """Decode a zone's recording, up to the end of its loop, at twice its rate; the doubled rate.

    Reading between samples adds false tones near half the sample rate, where the organ's recordings
    still sound: doubling the rate first, with a proper filter, takes them from -39 to -65 dB.
    """
    import soundfile
    from scipy.signal import resample_poly

    wave, rate = soundfile.read(io.BytesIO(zone.data))
    if zone.loop is not None:
        start, end = zone.loop
        wave = np.concatenate([wave[:end], wave[start : start + 32]])
    # One sample of silence before, so that the first one has a neighbour too.
    doubled = np.concatenate([np.zeros(1), resample_poly(wave, 2, 1)])
    return doubled.astype(np.float32), 2 * rate


def play(zone: Zone, pitch: int, seconds: float) -> Wave:
    """Play one note, held for `seconds`, then released ``[shape=(n_samples,)]``."""
    wave, rate = _recording(zone)
    n_held = max(1, round(seconds * RATE))
    # Silent enough after 70 of the release's 100 dB.
    n = n_held + int(0.7 * zone.release * RATE)
    speed = rate / RATE * 2 ** (((pitch - zone.root) * zone.scale + zone.tuning) / 12)
    position = np.arange(n, dtype=np.float64) * speed
    if zone.loop is None:
        position = position[position < len(wave) - 4]
    else:
        start, end = 2 * zone.loop[0], 2 * zone.loop[1]
        looped = position[math.ceil(end / speed) :]
        np.add(np.mod(looped - start, end - start), start, out=looped)
    return _read_at(wave, position) * _envelope(zone, n_held, n)[: len(position)]


def _read_at(wave: Wave, position: npt.NDArray[np.float64]) -> Wave:
    """Read between samples, on the cubic through the four nearest (Catmull and Rom 1974).

    `wave` begins with one sample of silence, so that position 0 has a neighbour before it.
    """
    i = position.astype(np.intp)
    t = (position - i).astype(np.float32)
    a, b, c, d = (wave[i + k] for k in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def _envelope(zone: Zone, n_held: int, n: int) -> Wave:
    """Loudness over time ``[shape=(n,)]``: attack, hold, decay to the sustained level, release."""
    time = np.arange(n) / RATE
    decibels = np.clip((time - zone.attack - zone.hold) * (100 / zone.decay), 0, zone.sustain)
    # From the note's end on, the level that was reached falls at the rate of the release.
    decibels[n_held:] = decibels[n_held - 1] + np.arange(n - n_held) * (100 / zone.release / RATE)
    envelope = zone.gain * np.exp(-math.log(10) / 20 * decibels)
    # An attack of at least 3 ms, and an end of 5 ms, so that nothing clicks.
    envelope *= np.minimum(1, time / max(zone.attack, 0.003))
    n_end = min(n, int(0.005 * RATE))
    envelope[n - n_end :] *= np.linspace(1, 0, n_end)
    return envelope.astype(np.float32)
