"""Build `ganmusic/corpora/chorales.npz` from the scores inside music21: `python scripts/build_chorales.py`.

What is kept of a score are facts of works in the public domain: pitch, onset and duration of each note,
metre, fermatas, title and BWV number; key and chords are worked out here. Needs no network, takes about a
minute, and gives the same file each time.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from music21 import converter, corpus
from music21.corpus import chorales as lists

from ganmusic.corpora import chorales as target
from ganmusic.corpora.chorales import METRES, PITCH_CLASSES, QUALITIES, VOICES, Chorale
from ganmusic.files import atomic_path
from ganmusic.pianoroll import Note, Track

FINAL_BASS_BONUS = 0.1
"""Added to the correlation of a key whose tonic is the last bass note. By correlation alone a piece that ends
in D major can come out as B minor by a margin of .01."""

INCOMPLETE = {(0, 4): "maj", (0, 3): "min", (0, 4, 10): "7"}
"""Chords without their fifth, the note that is left out most readily."""

TUNE_BEATS = 16
SAME_STEPS = 14
"""Two sopranos sing one tune if, on 16 beats in a row, 14 of the 15 steps from beat to beat are the same.
Of 167 pairs with the same title 141 pass, and of the other pairs that pass, nearly all are known to
share a tune under two titles; at 13 the groups begin to run together (one of 49 pieces)."""

HELD_OUT = {"valid": 0.1, "test": 0.1}
LARGEST_HELD_OUT = 6
"""Pieces in the largest group that may be held out: a split should hold many tunes, not one many times."""

MISPRINTS = {"AAch Gott, vom Himmel sieh’ darein": "Ach Gott, vom Himmel sieh’ darein"}


class Heard(NamedTuple):
    """A note of a score, ties merged: start and length in quarter notes."""

    start: Fraction
    length: Fraction
    pitch: int
    fermata: bool


@cache
def scores() -> dict[str, Path]:
    """Find the MusicXML scores of Bach in music21, by BWV number; the few others are second encodings."""
    paths = [Path(path) for path in corpus.getComposer("bach")]
    found = {p.stem.removeprefix("bwv"): p for p in paths if p.suffix in (".mxl", ".xml")}
    return dict(sorted(found.items(), key=lambda item: [int(n) for n in re.findall(r"\d+", item[0])]))


def build_piece(bwv: str) -> Chorale | None:
    """Build one chorale, all but its tune and its split; None if the score does not have four parts."""
    score = converter.parse(scores()[bwv])
    if len(score.parts) != len(VOICES):
        return None
    voices = [heard(part) for part in score.parts]
    signs = list(score.parts[0].recurse().getElementsByClass("TimeSignature"))
    metre = signs[0].ratioString
    grid = METRES[metre]
    bar = Fraction(grid.n_steps, 4)
    measures = score.parts[0].getElementsByClass("Measure")
    downbeats = [exact(m.offset) for m in measures if exact(m.quarterLength) == bar]
    pickup = sixteenth(downbeats[0]) % grid.n_steps
    shift = -pickup % grid.n_steps  # silence that completes the upbeat's bar
    tracks = tuple(
        Track(name, on_grid(voice, shift), target.PROGRAM)
        for name, voice in zip(VOICES, voices, strict=True)
    )
    changes = [exact(sign.getOffsetInHierarchy(score.parts[0])) for sign in signs[1:]]
    off_phase = [start for start in downbeats if (start - downbeats[0]) % bar]
    irregular = min(changes + off_phase, default=None)
    tonic, mode = key_of(score, final_bass=tracks[-1].notes[-1].pitch % 12)
    marked = next((voice for voice in voices if any(note.fermata for note in voice)), [])
    piece = Chorale(tracks, grid, target.TEMPOS[metre], list_title(bwv), pickup)
    labels = {
        "bwv": bwv,
        "tonic": tonic,
        "mode": mode,
        "metre": metre,
        "fermatas": tuple(shift + sixteenth(note.start) for note in marked if note.fermata),
        "chords": chords_of(piece),
        "regular_until": None if irregular is None else shift + sixteenth(irregular),
        "tune": "",
        "split": "",
    }
    return replace(piece, labels=labels)


def exact(quarters: Any) -> Fraction:
    """music21's offsets are floats or fractions; all here are multiples of a small part of a quarter."""
    return Fraction(quarters).limit_denominator(192)


def sixteenth(quarters: Fraction) -> int:
    """The nearest sixteenth; the later one from halfway."""
    return int(quarters * 4 + Fraction(1, 2))


def heard(part: Any) -> list[Heard]:
    """The notes of a part as they are heard: ties merged, grace notes left out."""
    notes: list[Heard] = []
    for element in part.flatten().notes:
        start, length = exact(element.offset), exact(element.quarterLength)
        if not length:
            continue
        fermata = any("Fermata" in expression.classes for expression in element.expressions)
        note = Heard(start, length, element.pitch.midi, fermata)
        last = notes[-1] if notes else None
        tied = element.tie is not None and element.tie.type in ("stop", "continue")
        if tied and last and last.pitch == note.pitch and last.start + last.length == start:
            notes[-1] = last._replace(length=last.length + length, fermata=last.fermata or fermata)
        else:
            notes.append(note)
    return notes


def on_grid(voice: list[Heard], shift: int) -> tuple[Note, ...]:
    """Round a voice to sixteenths; of two notes that then begin together the first stays."""
    notes: dict[int, Note] = {}
    for note in voice:
        onset, end = sixteenth(note.start), sixteenth(note.start + note.length)
        notes.setdefault(onset, Note(shift + onset, max(end - onset, 1), note.pitch))
    line = list(notes.values())
    # A note that grew to one step must not sound into the next.
    for i, (note, following) in enumerate(pairwise(line)):
        line[i] = note._replace(duration=min(note.duration, following.onset - note.onset))
    return tuple(line)


def key_of(score: Any, final_bass: int) -> tuple[int, str]:
    """Tonic and mode by music21's key analysis, a little in favour of the last bass note."""
    best = score.analyze("key")

    def fit(key: Any) -> float:
        bonus = FINAL_BASS_BONUS * (key.tonic.pitchClass == final_bass)
        return float(key.correlationCoefficient) + bonus

    key = max([best, *best.alternateInterpretations], key=fit)
    return key.tonic.pitchClass, key.mode


def chords_of(piece: Chorale) -> tuple[str, ...]:
    """The chord that sounds as each beat begins."""
    per_beat = piece.grid.steps_per_beat
    sounding: list[list[int]] = [[] for _ in range(piece.n_bars * piece.grid.beats_per_bar)]
    for track in reversed(piece.tracks):  # the bass first
        for note in track.notes:
            for beat in range(-(-note.onset // per_beat), -(-note.end // per_beat)):
                sounding[beat].append(note.pitch)
    return tuple(chord_name(pitches) for pitches in sounding)


def chord_name(pitches: list[int]) -> str:
    """Name the triad or seventh chord that pitches form, or ''; `pitches[0]` is the bass.

    A chord that divides the octave evenly (augmented, diminished seventh) has the bass for its root.
    """
    kinds = {shape: name for name, shape in QUALITIES.items()} | INCOMPLETE
    classes = dict.fromkeys(pitch % 12 for pitch in pitches)
    for root in classes:
        shape = tuple(sorted((pitch_class - root) % 12 for pitch_class in classes))
        if shape in kinds:
            return f"{PITCH_CLASSES[root]}:{kinds[shape]}"
    return ""


@cache
def list_titles() -> dict[str, str]:
    """Titles by BWV number, from the two lists inside music21: hymn tunes' names rather than first lines."""
    budapest = lists.ChoraleList()
    budapest.prepareList()
    titles = {str(bwv): entry["title"] for bwv, entry in budapest.byBWV.items()}
    for entry in lists.ChoraleListRKBWV().byRiemenschneider.values():
        titles[str(entry["bwv"])] = entry["title"]
    return {bwv: MISPRINTS.get(title, title) for bwv, title in titles.items()}


def list_title(bwv: str) -> str:
    """The title that the lists give, or ''."""
    return list_titles().get(bwv, "")


def letters(title: str) -> str:
    """A title without case, accents and punctuation, which the lists write in several ways."""
    plain = unicodedata.normalize("NFKD", title.replace("ß", "ss").lower())
    return re.sub(r"[^a-z]", "", plain)


def drop_repeats(pieces: Iterable[Chorale]) -> list[Chorale]:
    """Leave out a piece that sounds, on every step of every voice, like an earlier one."""
    seen: set[bytes] = set()
    kept = []
    for piece in pieces:
        sound = np.stack([melody(piece, v) for v in range(len(VOICES))]).tobytes()
        if sound not in seen:
            kept.append(piece)
        seen.add(sound)
    return kept


def melody(piece: Chorale, voice: int = 0) -> npt.NDArray[np.int16]:
    """The pitch that a voice sings on each step; 0 where it is silent."""
    line = np.zeros(piece.end, dtype=np.int16)
    for note in piece.tracks[voice].notes:
        line[note.onset : note.end] = note.pitch
    return line


def same_tune(pieces: list[Chorale]) -> npt.NDArray[np.bool_]:
    """Which pairs of pieces share a hymn tune by title or by soprano, in whatever key ``(piece, piece)``."""
    windows, owners = [], []
    for i, piece in enumerate(pieces):
        beats = melody(piece)[::4]  # every quarter note
        steps = np.diff(beats)
        steps[(beats[1:] == 0) | (beats[:-1] == 0)] = 99
        for start in range(len(steps) - TUNE_BEATS + 2):
            windows.append(steps[start : start + TUNE_BEATS - 1])
            owners.append(i)
    one_hot = np.array(windows)[:, :, None] == np.arange(-12, 13)
    flat = one_hot.reshape(len(windows), -1).astype(np.float32)
    first = np.searchsorted(owners, np.arange(len(pieces)))
    same = np.zeros((len(pieces), len(pieces)), dtype=bool)
    for i, mine in enumerate(np.split(flat, first[1:])):
        equal_steps = (mine @ flat.T).max(0)
        same[i] = np.maximum.reduceat(equal_steps, first) > SAME_STEPS - 0.5
    titles = [letters(piece.title) or piece.bwv for piece in pieces]
    return same | (np.array(titles)[:, None] == np.array(titles))


def groups(linked: npt.NDArray[np.bool_]) -> Iterator[list[int]]:
    """The connected components of a graph given by its matrix."""
    left = set(range(len(linked)))
    while left:
        group: set[int] = set()
        edge = {min(left)}
        while edge:
            group |= edge
            edge = set(np.flatnonzero(linked[sorted(edge)].any(0)).tolist()) - group
        left -= group
        yield sorted(group)


def name_tunes(pieces: list[Chorale]) -> list[Chorale]:
    """Give each piece its tune: the commonest title of its group, which is also the title of those without."""
    named = list(pieces)
    taken: set[str] = set()
    for group in groups(same_tune(pieces)):
        titles = Counter(pieces[i].title for i in group if pieces[i].title)
        title = titles.most_common(1)[0][0] if titles else f"Chorale BWV {pieces[group[0]].bwv}"
        tune = title if title not in taken else f"{title} ({pieces[group[0]].bwv})"
        taken.add(tune)
        for i in group:
            labels = pieces[i].labels | {"tune": tune}
            named[i] = replace(pieces[i], title=pieces[i].title or title, labels=labels)
    return named


def assign_splits(pieces: list[Chorale]) -> list[Chorale]:
    """Hold out whole tunes, in the order of their names' hashes, until each held-out split is full."""
    sizes = Counter(piece.tune for piece in pieces)
    order = sorted(sizes, key=lambda tune: hashlib.sha256(tune.encode()).hexdigest())
    room = {split: round(share * len(pieces)) for split, share in HELD_OUT.items()}
    split_of = {}
    for tune in order:
        fits = [s for s, n in room.items() if sizes[tune] <= min(n, LARGEST_HELD_OUT)]
        split_of[tune] = max(fits, key=lambda s: room[s], default="train")
        if fits:
            room[split_of[tune]] -= sizes[tune]
    return [replace(p, labels=p.labels | {"split": split_of[p.tune]}) for p in pieces]


def main() -> None:
    """Build the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(target.__file__).with_name(target.FILE)
    parser.add_argument("--out", type=Path, default=default, help="default: the package's own file")
    out = parser.parse_args().out
    built = [piece for piece in map(build_piece, scores()) if piece]
    pieces = assign_splits(name_tunes(drop_repeats(built)))
    with atomic_path(out) as temporary:
        np.savez_compressed(temporary, **target.pack(tuple(pieces)))
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    print(f"{len(built)} scores, {len(pieces)} chorales, {out.stat().st_size} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
