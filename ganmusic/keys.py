"""The key of a piece, found from its notes: which of the 24 major and minor keys they fit best; names of chords.

How long each pitch class sounds is compared with a *profile* of each key, the share that each degree of the scale
usually has, and the key that correlates best is taken: the method of Krumhansl and Schmuckler (Krumhansl 1990) with
the profiles that Albrecht and Shanahan (2013) counted in 490 pieces. A piece tends to end on its tonic, so the last
note of the lowest track adds a little to the keys it is the tonic of.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ganmusic.pianoroll import Piece

__all__ = ["PITCH_CLASSES", "Chord", "Key", "common_shift", "estimate_key", "parse_chords", "parse_key"]

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


class Chord(NamedTuple):
    """A triad: the pitch class of its root, 0 (C) to 11 (B), and whether its third is minor."""

    root: int
    minor: bool

    def __str__(self) -> str:
        return PITCH_CLASSES[self.root] + ("m" if self.minor else "")

    @property
    def pitch_classes(self) -> tuple[int, int, int]:
        """Pitch classes of its root, third and fifth."""
        return self.root, (self.root + 3 + (not self.minor)) % 12, (self.root + 7) % 12


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
    minor = mode in ("minor", "min", "m") or (mode is None and letter.islower())
    return Key(_pitch_class(letter, accidental), "minor" if minor else "major")


def _pitch_class(letter: str, accidental: str | None) -> int:
    """The pitch class of a letter, large or small, with its sharp or flat."""
    sharp = {"#": 1, "♯": 1, "b": -1, "♭": -1}.get(accidental or "", 0)
    return ({"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter.upper()] + sharp) % 12


#: The major and minor triads of the seven notes of C major and A minor.
_COMMON_TRIADS = {Chord(root, False) for root in (0, 5, 7)} | {Chord(root, True) for root in (2, 4, 9)}


def parse_chords(text: str) -> list[Chord]:
    """Read a chord a bar: ``"C | Am | F | G7"``.

    A chord is a letter, with # or b, major, or minor with m, min or -. What stands on top of the triad (6, 7, 9, maj7
    and so on) and under it (a bass after a slash) is read and left out: Am7/G is A minor.

    Parameters
    ----------
    text : str
        Chords with ``|`` between the bars.

    Returns
    -------
    list of Chord [shape=(bar,)]

    Raises
    ------
    ValueError
        If a bar holds none, several, or one of another kind.

    Taught in: notebooks/07-midinet.ipynb
    """
    bars = text.strip().removeprefix("|").removesuffix("|").split("|")
    return [_parse_chord(bar, number) for number, bar in enumerate(bars, 1)]


def _parse_chord(bar: str, number: int) -> Chord:
    triad, added, bass = r"([A-G])([#b♯♭]?)(m(?!aj)|min|-)?", "(?:maj|M)?(?:6|7|9|11|13)?", "(?:/[A-G][#b♯♭]?)?"
    found = re.fullmatch(triad + added + bass, bar.strip())
    if not found:
        several = " (one chord a bar: write | between bars)" if len(bar.split()) > 1 else ""
        raise ValueError(
            f"bar {number}, {bar.strip()!r}, is not a chord{several}; major and minor ones are understood, such as "
            "'C | Am | F#m | Bb | G7', one a bar"
        )
    letter, accidental, minor = found.groups()
    return Chord(_pitch_class(letter, accidental), minor is not None)


def common_shift(chords: Sequence[Chord]) -> int:
    """Semitones, -6 to 5, that move chords to where most of them are triads of C major or A minor.

    Of several such ways the first of these that begins or ends on C major or A minor is taken, then the shortest.

    Taught in: notebooks/07-midinet.ipynb
    """

    def fit(shift: int) -> tuple[int, int, int]:
        moved = [Chord((root + shift) % 12, minor) for root, minor in chords]
        n_inside = sum(chord in _COMMON_TRIADS for chord in moved)
        at_home = sum(chord in (Chord(0, False), Chord(9, True)) for chord in (moved[0], moved[-1]))
        return n_inside, at_home, -abs(shift)

    return max(range(-6, 6), key=fit)
