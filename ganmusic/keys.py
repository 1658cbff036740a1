"""The key of a piece, found from its notes: which of the 24 major and minor keys they fit best.

How long each pitch class sounds is compared with a *profile* of each key, the share that each degree of the scale
usually has, and the key that correlates best is taken: the method of Krumhansl and Schmuckler (Krumhansl 1990) with
the profiles that Albrecht and Shanahan (2013) counted in 490 pieces. A piece tends to end on its tonic, so the last
note of the lowest track adds a little to the keys it is the tonic of.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ganmusic.pianoroll import Piece

__all__ = ["PITCH_CLASSES", "Key", "estimate_key", "parse_key"]

PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
"""Names of the pitch classes 0 to 11, each in the spelling that is most usual for a tonic."""

PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}
#: What the last bass note adds to the correlation of the keys whose tonic it is.
LAST_BASS = 0.1


class Key(NamedTuple):
    """A key: the pitch class of its tonic, 0 (C) to 11 (B), and its mode, 'major' or 'minor'."""

    tonic: int
    mode: str

    def __str__(self) -> str:
        return f"{PITCH_CLASSES[self.tonic]} {self.mode}"


_KEYS = [Key(tonic, mode) for mode in PROFILES for tonic in range(12)]


def estimate_key(piece: Piece) -> Key | None:
    """Find the key of a piece from its notes; None if they say nothing (only drums, one note, all twelve alike).

    Taught in: notebooks/corpora.ipynb
    """
    tracks = [track for track in piece.tracks if track.notes and not track.is_drum]
    if not tracks:
        return None
    pitches = np.array([n.pitch for track in tracks for n in track.notes])
    durations = np.array([n.duration for track in tracks for n in track.notes], dtype=float)
    heard = np.bincount(pitches % 12, weights=durations, minlength=12)
    if np.count_nonzero(heard) < 2 or np.ptp(heard) == 0:
        return None
    lowest = min(tracks, key=lambda track: np.mean([n.pitch for n in track.notes]))
    last = max(lowest.notes, key=lambda note: (note.end, -note.pitch)).pitch % 12

    fits = _profiles() @ ((heard - heard.mean()) / heard.std()) / 12  # correlation with each profile
    fits[[key.tonic == last for key in _KEYS]] += LAST_BASS
    return _KEYS[int(fits.argmax())]


@cache
def _profiles() -> npt.NDArray[np.float64]:
    """The profiles of all keys ``[shape=(key, pitch class)]``, each of mean 0 and standard deviation 1."""
    rows = np.array([np.roll(PROFILES[key.mode], key.tonic) for key in _KEYS])
    return (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)


def parse_key(text: str) -> Key:
    """Read the name of a key: 'D minor', 'F# major', 'Bb', 'am' (a small letter or an m: minor), 'Gb:maj'.

    Raises
    ------
    ValueError
        If it is none.

    Taught in: notebooks/corpora.ipynb
    """
    found = re.fullmatch(r"([A-Ga-g])(#|b|♯|♭)?[ :_-]*(major|maj|M|minor|min|m)?", text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a key; 'D minor', 'F# major' or 'Bb' would be")
    letter, accidental, mode = found.groups()
    sharp = {"#": 1, "♯": 1, "b": -1, "♭": -1}.get(accidental, 0)
    tonic = ({"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter.upper()] + sharp) % 12
    minor = mode in ("minor", "min", "m") or (mode is None and letter.islower())
    return Key(tonic, "minor" if minor else "major")
