"""Pieces to sound, and to audio files.

`render` plays every note with the sampler, places the voices from left to right, adds the sound of
a room, and sets the loudness. `encode` and `write` make files of it.

Why a sampler of our own
------------------------
The sound must come after a plain ``pip install`` on Linux, macOS and Windows, be the same at each
run, and fit the book's pages. Tried in November 2026, with the instruments that are shipped (.sf3):

- ``midirenderer`` 0.1.3 stops with *SoundFont3 is not yet supported*: the instruments would have to
  travel uncompressed, at about seven times the size.
- ``tinysoundfont`` 0.3.7 plays such files, but requires ``pyaudio``, which has no wheel for Linux:
  the installation fails where there is no compiler and no PortAudio.
- ``symusic`` 0.6.0: ``Synthesizer.render`` raises ``TypeError`` on its way back to Python.
- ``pyfluidsynth`` needs the system's FluidSynth library.

`ganmusic.sampler` needs numpy, scipy and ``soundfile`` (whose wheels hold the Vorbis and MP3
codecs), plays four voices about a hundred times faster than they last, and is read in ten minutes.

Conventions
-----------
Times are seconds, levels are decibels below full scale. Whatever may differ in its last bit between
processors (transforms, exponentials) is computed in double precision, and a file is made of numbers
rounded to 16 bits: so the bytes of a WAV, FLAC or MP3 file are the same each time. OGG files are
not: the format asks for a random serial number.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import io
import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganmusic.files import atomic_path
from ganmusic.pianoroll import Piece, Track
from ganmusic.sampler import INSTRUMENTS, RATE, Wave, Zone, instrument, play, zones

__all__ = [
    "FORMATS",
    "INSTRUMENTS",
    "MAX_SECONDS",
    "MP3_RATES",
    "TAIL_SECONDS",
    "encode",
    "instrument",
    "render",
    "write",
]

#: Suffix -> (libsndfile's format, its subtype).
FORMATS: dict[str, tuple[str, str]] = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
}

#: Samples a second that the MP3 standards know.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
#: A piece that lasts longer is refused: a quarter of an hour takes a gigabyte while it is mixed.
MAX_SECONDS = 900.0
#: What follows the last note: its release and the room.
TAIL_SECONDS = 1.5
#: Loudness of every rendering (root mean square), and the peak that it must not pass.
LEVEL_DB, PEAK_DB = -20.0, -1.0
#: How far apart the voices stand: 0 all in the middle, 1 from full left to full right.
WIDTH = 0.5


def render(piece: Piece, sample_rate: int = RATE, *, program: int | None = None) -> Wave:
    """Play a piece.

    The sound begins with the first note, without the silence of an incomplete first bar, and ends
    `TAIL_SECONDS` after the last one, when its release and the room have died away.

    Parameters
    ----------
    piece : Piece
    sample_rate : int
        Samples a second, 8000 to 96000.
    program : int, optional
        General MIDI program for all tracks that are not drums, instead of their own.

    Returns
    -------
    array [shape=(n_samples, 2)]
        Left and right, in [-1, 1], at `LEVEL_DB` (root mean square over the music), or lower where
        a peak would pass `PEAK_DB`.

    Raises
    ------
    ValueError
        If there is no note, if the piece lasts longer than `MAX_SECONDS`, or if a rate, tempo,
        program or pitch is out of its range.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if not 8000 <= sample_rate <= 96000:
        raise ValueError(f"a sample rate of {sample_rate} is outside 8000..96000 samples a second")
    first, seconds_per_step = _timing(piece)
    n_music = round((piece.end - first) * seconds_per_step * RATE)
    mix = np.zeros((n_music + round(TAIL_SECONDS * RATE), 2), np.float32)
    for i, track in enumerate(piece.tracks):
        voice = _play_track(track, program, first, seconds_per_step, len(mix))
        # Voices stand from left to right; cosine and sine keep the power equal at every place.
        place = (2 * i + 1) / len(piece.tracks) - 1
        angle = math.pi / 4 * (1 + WIDTH * place)
        mix += voice[:, None] * np.array([math.cos(angle), math.sin(angle)], np.float32)
    mix = _add_room(mix)
    n_fade = round(0.2 * RATE)
    mix[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)[:, None]
    if sample_rate != RATE:
        # Converted at the end: reading the recordings at a low rate would fold high tones down.
        from scipy.signal import resample_poly

        mix = resample_poly(mix.astype(np.float64), sample_rate, RATE, axis=0)
        n_music = round(n_music * sample_rate / RATE)
    level = math.sqrt(np.square(mix[:n_music]).mean(dtype=np.float64))
    peak = float(max(mix.max(), -mix.min()))
    # A sound that no 16-bit file could hold stays silence instead of being blown up.
    gain = min(10 ** (LEVEL_DB / 20) / max(level, 1e-6), 10 ** (PEAK_DB / 20) / max(peak, 1e-6))
    return (mix * gain).astype(np.float32)


def _timing(piece: Piece) -> tuple[int, float]:
    """First sounding step, and seconds a step; refuses what cannot be played, before allocating."""
    onsets = [note.onset for track in piece.tracks for note in track.notes]
    if not onsets:
        raise ValueError(f"the piece {piece.title!r} has no notes to play")
    if not (math.isfinite(piece.tempo) and piece.tempo > 0):
        raise ValueError(f"a tempo of {piece.tempo} beats a minute cannot be played")
    seconds_per_step = 60 / piece.tempo / piece.grid.steps_per_beat
    seconds = (piece.end - min(onsets)) * seconds_per_step
    if seconds > MAX_SECONDS:
        raise ValueError(
            f"the piece {piece.title!r} lasts {seconds / 60:.0f} minutes; "
            f"at most {MAX_SECONDS / 60:.0f} can be rendered"
        )
    return min(onsets), seconds_per_step


def _play_track(
    track: Track, program: int | None, first: int, seconds_per_step: float, n: int
) -> Wave:
    """Play one voice, without a place or a room ``[shape=(n,)]``."""
    keys = _by_key(zones(track.program if program is None else program, track.is_drum))
    # Music repeats itself: the last different notes are kept, unless they are long.
    play_again = lru_cache(maxsize=64)(play)
    voice = np.zeros(n, np.float32)
    for note in track.notes:
        if note.pitch not in keys:
            raise ValueError(f"{note} in track {track.name!r}: pitches are MIDI numbers, 0..127")
        seconds = note.duration * seconds_per_step
        start = round((note.onset - first) * seconds_per_step * RATE)
        sound = (play_again if seconds < 4 else play)(keys[note.pitch], note.pitch, seconds)
        sound = sound[: n - start]
        voice[start : start + len(sound)] += sound
    return voice


def _by_key(instrument_zones: tuple[Zone, ...]) -> dict[int, Zone]:
    return {key: zone for zone in instrument_zones for key in range(zone.low, zone.high + 1)}


@lru_cache
def _room() -> npt.NDArray[np.float64]:
    """Impulse response of a small hall ``[shape=(n, 2)]``: noise dying away, other on each side.

    The walls' answer comes 20 ms after the sound, falls by 60 dB in 1.3 s, and is dull (a one-pole
    low-pass), because air and cloth swallow high tones: low tones come back with a sixth of their
    energy, high ones with less than a hundredth.
    """
    from scipy.signal import lfilter

    time = np.arange(int(1.3 * RATE)) / RATE
    noise = np.random.default_rng(1685).standard_normal((len(time), 2))
    noise = lfilter([0.25], [1, -0.75], noise, axis=0) * 10 ** (-3 * time / 1.3)[:, None]
    room = np.concatenate([np.zeros((int(0.02 * RATE), 2)), noise])
    return np.asarray(room * math.sqrt(0.025) / np.sqrt(np.square(room).sum(0)))


def _add_room(mix: Wave) -> Wave:
    """Add the room's answer to a dry mix ``[shape=(n, 2)]``: a convolution, block by block."""
    from scipy.signal import fftconvolve

    room = _room()
    wet = mix.copy()
    n_block = 1 << 18
    for start in range(0, len(mix), n_block):
        answer = fftconvolve(mix[start : start + n_block].astype(np.float64), room, axes=0)
        end = min(start + len(answer), len(mix))
        wet[start:end] += answer[: end - start].astype(np.float32)
    return wet


def encode(
    piece: Piece,
    format: str = "mp3",  # noqa: A002  (the name that soundfile and pydub use)
    *,
    sample_rate: int = RATE,
    mono: bool = False,
    compression: float = 0.5,
    program: int | None = None,
) -> bytes:
    """Play a piece and pack the sound as the bytes of an audio file.

    Parameters
    ----------
    piece : Piece
    format : {'mp3', 'wav', 'flac', 'ogg'}
    sample_rate : int
        As in `render`; an MP3 file has one of `MP3_RATES`.
    mono : bool
        One channel instead of two.
    compression : float
        0 (best sound) to 1 (smallest file), for MP3 and OGG.
    program : int, optional
        As in `render`.

    Raises
    ------
    ValueError
        As in `render`, and if the format is unknown or cannot have the rate.
    """
    import soundfile

    if format not in FORMATS:
        raise ValueError(f"{format!r} is no audio format of ganmusic: {', '.join(FORMATS)}")
    if format == "mp3" and sample_rate not in MP3_RATES:
        raise ValueError(f"an MP3 file cannot have {sample_rate} samples a second: {MP3_RATES}")
    wave = render(piece, sample_rate, program=program)
    if mono:
        wave = wave.mean(1, keepdims=True)
    # Rounded to 16 bits, but handed over as floats: libsndfile 1.2.2 garbles 16-bit stereo on its
    # way to MP3.
    wave = np.round(wave * 32768) / np.float32(32768)
    container, subtype = FORMATS[format]
    options: dict[str, Any] = {}
    if format in ("mp3", "ogg"):
        options["compression_level"] = compression
    if format == "mp3":
        options["bitrate_mode"] = "VARIABLE"
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", sample_rate, wave.shape[1], subtype, format=container, **options
    ) as sound:
        # In blocks: libsndfile's Vorbis encoder overflows its stack on a long array.
        for start in range(0, len(wave), RATE):
            sound.write(wave[start : start + RATE])
    return file.getvalue()


def write(piece: Piece, path: str | os.PathLike[str], **options: Any) -> None:
    """Play a piece into a file, whose suffix says the format (`FORMATS`); `options` as in `encode`.

    Raises
    ------
    ValueError
        As in `encode`.
    OSError
        If the file cannot be written; nothing is left half-written.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    path = Path(path)
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise ValueError(f"{path}: audio files end in {', '.join(f'.{name}' for name in FORMATS)}")
    data = encode(piece, suffix, **options)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
