"""A toy corpus: four voices over plain chord progressions, made by rule.

It is for tests and for trying things out: it has every property that the code relies on (four named voices,
keys, upbeats, two metres, chords, splits by tune), a tune nobody owns, and loads in a few milliseconds.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import numpy as np

from ganmusic.corpora.record import SPLITS, Corpus
from ganmusic.pianoroll import Grid, Note, Piece, Track

__all__ = ["CORPUS", "load"]

VOICES = ("soprano", "alto", "tenor", "bass")
#: Where each voice is at home, as a MIDI number.
CENTRES = (70, 64, 57, 48)
DEGREES = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3))
"""Progressions, as degrees of the major scale: I IV V I, I vi IV V, I V vi IV."""
SCALE = (0, 2, 4, 5, 7, 9, 11)
N_PIECES, N_BARS = 40, 8


def load(split: str | None = None) -> tuple[Piece, ...]:
    """Make the pieces of one split, or all of them; the same each time.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    pieces = [_piece(number) for number in range(N_PIECES)]
    return tuple(piece for piece in pieces if split in (None, piece.labels["split"]))


def _piece(number: int) -> Piece:
    rng = np.random.default_rng([1685, number])
    tonic, progression = int(rng.integers(12)), DEGREES[rng.integers(len(DEGREES))]
    metre, grid = (("3/4", Grid(12, 3)) if number % 8 == 7 else ("4/4", Grid()))
    pickup = grid.steps_per_beat if number % 2 else 0
    begin, end = (grid.n_steps - pickup if pickup else 0, N_BARS * grid.n_steps)
    voices: list[list[Note]] = [[] for _ in VOICES]
    line = np.array(CENTRES)
    for start in range(begin, end, grid.steps_per_beat):
        bar, beat = divmod(start // grid.steps_per_beat, grid.beats_per_bar)
        degree = progression[-1 if bar == 0 and pickup else bar % len(progression)]
        chord = [(tonic + SCALE[(degree + third) % 7]) % 12 for third in (0, 2, 4)]
        if beat == 0 or start == begin:
            line = np.array([_nearest(c + int(rng.integers(-2, 3)), chord) for c in CENTRES[:-1]] + [0])
            line[-1] = _nearest(CENTRES[-1], chord[:1])
        for voice, pitch in zip(voices, line.tolist(), strict=True):
            quick = rng.random() < 0.15
            for at, length in ((0, 2), (2, 2)) if quick else ((0, 4),):
                voice.append(Note(start + at, length, pitch))
    tracks = tuple(Track(name, tuple(notes), 19) for name, notes in zip(VOICES, voices, strict=True))
    # Of five pairs of pieces three are for training; a pair shares its tune, and so its split.
    split = SPLITS[(0, 0, 0, 1, 2)[number // 2 % 5]]
    labels = {"tonic": tonic, "mode": "major", "metre": metre, "tune": f"tune {number // 2}", "split": split}
    return Piece(tracks, grid, 90.0, f"Toy {number + 1}", pickup, labels)


def _nearest(pitch: int, classes: list[int]) -> int:
    """Return the pitch nearest to `pitch` that is of one of the pitch classes."""
    return min((p for p in range(pitch - 12, pitch + 13) if p % 12 in classes), key=lambda p: abs(p - pitch))


CORPUS = Corpus(
    name="toy",
    title=f"{N_PIECES} short pieces for four voices, made by rule",
    licence="MIT, as the package; made by rule, nobody's music.",
    provenance="Made by ganmusic.corpora.toy when it is loaded: block chords on three progressions, with a seed.",
    bibtex="""@misc{ganmusic,
  author = {{The ganmusic authors}},
  title  = {ganmusic: music with generative adversarial networks},
  year   = {2026},
  url    = {https://github.com/ganmusic/ganmusic},
}""",
    loader=load,
)
