"""From a file's tracks to the voices of a corpus: every piece of a corpus has the same tracks in the same order.

Files do not: one has a piano on one track, the next has fourteen instruments. A *rule* decides which track becomes
which voice, and gives its reason for each, so that a user can read it, disagree, and say it otherwise:

- ``parts``: the tracks as they are, by their names, or by their order in files that have as many as the corpus;
- ``roles``: melody, chords, bass, drums, other, by program, name, register and polyphony;
- ``families``: drums, piano, guitar, bass, strings, by program alone, as the five-track Lakh piano-rolls (Dong 2018);
- ``lines``: all pitched notes, shared out by height among so many lines of one note at a time (four of them are
  soprano, alto, tenor and bass);
- ``skyline``: the highest notes alone, a melody (Uitdenbogerd and Zobel 1999).

`choose` looks at some pieces and takes the rule that fits; `Voicing.arrange` applies it to one piece.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ganmusic.files import counted
from ganmusic.pianoroll import Note, Piece, Track

__all__ = [
    "FAMILIES",
    "MAX_VOICES",
    "ROLES",
    "RULES",
    "Assignment",
    "Voicing",
    "choose",
    "lines",
    "polyphony",
    "skyline",
]

RULES = ("parts", "roles", "families", "lines", "skyline")
"""The rules by name."""
ROLES = ("melody", "chords", "bass", "drums", "other")
"""Voices of the rule ``roles``."""
FAMILIES = ("drums", "piano", "guitar", "bass", "strings")
"""Voices of the rule ``families``."""
MAX_VOICES = 8
"""Most voices that ``lines`` shares notes out to, and that ``parts`` takes for a corpus."""

_SATB = ("soprano", "alto", "tenor", "bass")
#: General MIDI programs that the voices are heard with: flute, piano, fingered bass, drums, strings; nylon guitar.
_PROGRAMS = {
    "melody": 73, "chords": 0, "bass": 33, "drums": 0, "other": 48, "piano": 0, "guitar": 24, "strings": 48
}  # fmt: skip
_BASSES = {*range(32, 40), 43, 58}  # the bass family, contrabass, tuba
#: Words in a track's name that say its role.
_HINTS = {
    "melody": re.compile(r"melod|vocal|\bvoice\b|\blead\b|\bsolo\b|\bsing", re.IGNORECASE),
    "bass": re.compile(r"\bbass(o|us)?\b|contrabass|\b(violon)?cello\b|continuo", re.IGNORECASE),
    "chords": re.compile(r"chord|accomp|\bpad\b|rhythm", re.IGNORECASE),
    "drums": re.compile(r"\bdrum|percussion", re.IGNORECASE),
}


class Assignment(NamedTuple):
    """What became of one track: its name, the voice it is in ('' if it was left out), why, and its number from 1."""

    track: str
    voice: str
    why: str
    number: int = 0


@dataclass(frozen=True)
class Voicing:
    """A rule, ready to be applied: the corpus's voices, and how tracks get there.

    Parameters
    ----------
    rule : str
        One of `RULES`.
    names, programs, drums : tuple
        Of each voice: its name, the General MIDI program that it is heard with, whether it is drums.
    why : str
        Why this rule was chosen.
    override : dict
        What the user decided: the voice ('' leaves out) by a track's name or number (``'#2'``), for one file also
        ``'file.mid/track name'`` or ``'file.mid/#2'``.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    rule: str
    names: tuple[str, ...]
    programs: tuple[int, ...]
    drums: tuple[bool, ...]
    why: str = ""
    override: Mapping[str, str] = field(default_factory=dict)

    def arrange(
        self, piece: Piece, file: str = "", decided: Sequence[Assignment] = ()
    ) -> tuple[Piece, list[Assignment]]:
        """Give a piece the corpus's voices, and say what became of each of its tracks.

        Parameters
        ----------
        piece : Piece
        file : str
            Its name, for the user's decisions on it.
        decided : sequence of Assignment
            What was decided before, of the whole file that the piece is a stretch of: a track that is in one voice
            there is in it here.

        Raises
        ------
        ValueError
            If the piece does not fit the rule: it has other parts, or no note is left.
        """
        once = Counter(a.number for a in decided)
        forced: dict[int, str | None] = {a.number: a.voice for a in decided if once[a.number] == 1}
        reasons = {a.number: a.why for a in decided}
        number = {id(track): i for i, track in enumerate(piece.tracks, start=1)}
        for track in piece.tracks:
            i = number[id(track)]
            for key in (f"{file}/{track.name}", f"{file}/#{i}", track.name, f"#{i}"):
                if key in self.override:
                    forced[i], reasons[i] = self.override[key], "you said so"
                    break
        tracks = [track for track in piece.tracks if track.notes]
        free = [track for track in piece.tracks if forced.get(number[id(track)]) is None]
        # A part may rest through a stretch of its file, and keeps its place then.
        if self.rule != "parts" or len(free) != len(self.names):
            free = [track for track in free if track.notes]
        left = [name for name in self.names if name not in forced.values()]
        # For `parts`: the tracks that the user placed, and their voices, are out of the count.
        names = left if len(free) == len(left) else list(self.names)
        rules: dict[str, Callable[[list[Track]], list[_Placed]]] = {
            "parts": partial(self._parts, names),
            "roles": partial(_roles, {voice for voice in forced.values() if voice}),
            "families": _families,
            "lines": self._lines,
            "skyline": self._lines,
        }
        by_rule = rules[self.rule](free)
        found = [(voice, notes, Assignment(t.name, voice, why, number[id(t)])) for voice, notes, t, why in by_rule]
        for track in tracks:
            i = number[id(track)]
            voice = forced.get(i)
            if voice is not None:
                found.append((voice, track.notes, Assignment(track.name, voice, reasons[i], i)))
        voices = {name: [notes for voice, notes, _ in found if voice == name] for name in self.names}
        if not any(voices.values()):
            kept = "; the rules parts, roles and families keep drums" if all(t.is_drum for t in tracks) else ""
            raise ValueError(f"none of its tracks is in a voice of the corpus ({', '.join(self.names)}){kept}")
        arranged = tuple(
            Track(name, _merged(voices[name]), program, is_drum)
            for name, program, is_drum in zip(self.names, self.programs, self.drums, strict=True)
        )
        # A track that was shared out among several voices is reported once for each.
        said = [a if a.voice in self.names else a._replace(voice="") for _, _, a in found]
        return replace(piece, tracks=arranged), sorted(said, key=lambda a: a.number)

    def _parts(self, names: Sequence[str], tracks: Sequence[Track]) -> list[_Placed]:
        by_name = {track.name.strip(): track for track in tracks}
        if len(by_name) == len(tracks) and by_name.keys() <= set(self.names):  # a voice may be silent in a piece
            return [(name, track.notes, track, f"is named {name!r}") for name, track in by_name.items()]
        if len(tracks) != len(names):
            raise ValueError(f"it has {counted(len(tracks), 'track')}, and the corpus has {len(names)}")
        pairs = enumerate(zip(names, tracks, strict=True), start=1)
        return [(name, track.notes, track, f"is track {i}") for i, (name, track) in pairs]

    def _lines(self, tracks: Sequence[Track]) -> list[_Placed]:
        pitched = [track for track in tracks if not track.is_drum]
        notes = _merged([track.notes for track in pitched])
        n = len(self.names)
        if n == 1:
            shared = [skyline(notes)]
            why = "the highest notes are the melody"
        else:
            shared = lines(notes, n)
            why = f"its notes are shared out by height among {n} lines"
        placed: list[_Placed] = []
        for track in pitched:
            own = set(track.notes)
            starts = {(note.onset, note.pitch) for note in own}
            for name, line in zip(self.names, shared, strict=True):
                part = tuple(note for note in line if (note.onset, note.pitch) in starts)
                if part:
                    placed.append((name, part, track, why))
        placed += [("", track.notes, track, "drums have no pitch") for track in tracks if track.is_drum]
        return placed


#: A voice, the notes that go there, the track they come from, and why.
_Placed = tuple[str, tuple[Note, ...], Track, str]


def choose(
    pieces: Sequence[Piece],
    rule: str = "auto",
    *,
    n_tracks: int | None = None,
    programs: Sequence[int] | None = None,
    override: Mapping[str, str] | None = None,
) -> Voicing:
    """Choose the voices of a corpus by looking at some of its pieces.

    With the rule ``auto``: ``parts`` where at least 8 of 10 pieces have one number of tracks (`n_tracks`, if it is
    given), and these are single lines (nearly always one note at a time), or drums, or several of the same names; else,
    by `n_tracks`: 1 ``skyline``, 2 to 4 ``lines``, 5 ``roles``; and without it ``lines`` (four of them) where most
    pieces are for one or two tracks, and ``roles`` for the rest.

    Parameters
    ----------
    pieces : sequence of Piece
        Only the rules ``auto`` and ``parts`` look at them.
    rule : str
        One of `RULES`, or 'auto'.
    n_tracks : int, optional
        How many voices.
    programs : sequence of int, optional
        A General MIDI program for each voice.
    override : dict, optional
        See `Voicing`.

    Raises
    ------
    ValueError
        If the rule is unknown, there are no pieces, or the numbers do not fit each other.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if rule not in ("auto", *RULES):
        raise ValueError(f"no rule is named {rule!r}; there are auto, {', '.join(RULES)}")
    if n_tracks is not None and not 1 <= n_tracks <= MAX_VOICES:
        raise ValueError(f"a corpus has 1 to {MAX_VOICES} voices, not {n_tracks}")
    why = "it was asked for"
    if rule in ("auto", "parts"):
        if not pieces:
            raise ValueError("there is no piece to choose the voices by")
        left_out = {name for name, voice in (override or {}).items() if not voice}
        sounding = [[t for t in piece.tracks if t.notes and t.name not in left_out] for piece in pieces]
        wanted = n_tracks or Counter(map(len, sounding)).most_common(1)[0][0]
    if rule == "auto":
        rule, why = _fitting(sounding, wanted, n_tracks)
    if rule == "parts":
        if wanted > MAX_VOICES:
            raise ValueError(f"{wanted} tracks are more parts than the {MAX_VOICES} there can be; roles would fit")
        names, chosen, drums = _usual_parts([tracks for tracks in sounding if len(tracks) == wanted], wanted)
    else:
        fixed: dict[str, tuple[str, ...]] = {"roles": ROLES, "families": FAMILIES}
        n = {"roles": 5, "families": 5, "skyline": 1}.get(rule, n_tracks or 4)
        if n_tracks not in (None, n):
            raise ValueError(f"the rule {rule!r} makes {counted(n, 'voice')}, not {n_tracks}")
        if rule == "lines" and n == 1:
            raise ValueError("the rule 'lines' makes 2 voices or more; for one there is 'skyline'")
        names = fixed.get(rule) or (
            ("melody",) if n == 1 else _SATB if n == 4 else tuple(f"line {i + 1}" for i in range(n))
        )
        chosen = tuple(_PROGRAMS.get(name, 0) if rule in fixed or n == 1 else 0 for name in names)
        drums = tuple(name == "drums" for name in names)
    if programs is not None:
        if len(programs) != len(names) or not all(0 <= p <= 127 for p in programs):
            raise ValueError(f"{len(names)} voices ({', '.join(names)}) need as many programs from 0 to 127")
        chosen = tuple(programs)
    strange = sorted({voice for voice in (override or {}).values() if voice and voice not in names})
    if strange:
        raise ValueError(f"no voice is named {strange[0]!r}; there are {', '.join(names)}")
    return Voicing(rule, names, chosen, drums, why, dict(override or {}))


def _fitting(files: Sequence[Sequence[Track]], wanted: int, n_tracks: int | None) -> tuple[str, str]:
    """Choose the rule that fits the tracks of some files, `wanted` of them in a corpus of parts; and say why."""
    fitting = [tracks for tracks in files if len(tracks) == wanted]
    n_single = sum(all(polyphony(track.notes) < 1.1 for track in tracks) for tracks in fitting)
    n_alike = max(Counter(tuple(track.name for track in tracks) for tracks in fitting).values(), default=0)
    n_drums = sum(all(track.is_drum for track in tracks) for tracks in fitting)
    if wanted <= MAX_VOICES:
        tracks_are = "one track" if wanted == 1 else f"{wanted} tracks"
        if n_single >= 0.8 * len(files):
            return "parts", f"{n_single} of {len(files)} pieces have {tracks_are} of single notes"
        if n_drums >= 0.8 * len(files):
            return "parts", f"{n_drums} of {len(files)} pieces have {tracks_are} of nothing but drums"
        if wanted > 1 and n_alike >= 0.8 * len(files):
            return "parts", f"{n_alike} of {len(files)} pieces have the same {wanted} tracks by name"
    if sum(all(track.is_drum for track in tracks) for tracks in files) >= 0.8 * len(files):
        return "roles", "most pieces are of nothing but drums"
    if n_tracks is not None:
        asked = "one voice was asked for" if n_tracks == 1 else f"{n_tracks} voices were asked for"
        return {1: "skyline", 2: "lines", 3: "lines", 4: "lines"}.get(n_tracks, "roles"), asked
    if sum(len(tracks) <= 2 for tracks in files) >= 0.5 * len(files):
        return "lines", "most pieces have their notes on one or two tracks"
    usual = f"most often {wanted}: {len(fitting)} of {len(files)} pieces"
    return "roles", f"the pieces have different tracks ({usual})"


def _usual_parts(
    files: Sequence[Sequence[Track]], n: int
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[bool, ...]]:
    """Name each part as most files do, and give it the program and kind that most have."""
    if not files:
        raise ValueError(f"no piece has {counted(n, 'track')} with notes")
    columns = list(zip(*files, strict=True))
    usual = [Counter(track.name.strip() for track in column).most_common(1)[0] for column in columns]
    names = [name if name and 2 * count > len(files) else "" for name, count in usual]
    names = [name if name and names.count(name) == 1 else f"part {i + 1}" for i, name in enumerate(names)]
    programs = tuple(Counter(track.program for track in column).most_common(1)[0][0] for column in columns)
    drums = tuple(2 * sum(track.is_drum for track in column) > len(files) for column in columns)
    return tuple(names), programs, drums


def polyphony(notes: Sequence[Note]) -> float:
    """Mean number of notes that sound where any does; 1.0 for a single line, 0.0 for none.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if not notes:
        return 0.0
    onset, duration, _ = np.array(notes).T
    change = np.zeros(int((onset + duration).max()) + 1, dtype=np.int64)
    np.add.at(change, onset, 1)
    np.add.at(change, onset + duration, -1)
    sounding = np.cumsum(change)
    return float(sounding[sounding > 0].mean())


def skyline(notes: Iterable[Note], lowest: bool = False) -> tuple[Note, ...]:
    """The highest notes: a line of one note at a time, in which a higher note ends a lower one.

    A note is left out if a higher one sounds as it begins. With `lowest` it is the other way round: of drums the lowest
    number is kept, which prefers the bass drum and the snare to hats and cymbals.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    up = -1 if lowest else 1
    line: list[Note] = []
    for note in sorted(notes, key=lambda n: (n.onset, -up * n.pitch)):
        if line and line[-1].end > note.onset:
            if up * line[-1].pitch >= up * note.pitch:
                continue
            line[-1] = line[-1]._replace(duration=note.onset - line[-1].onset)
        line.append(note)
    return tuple(line)


def lines(notes: Sequence[Note], n: int) -> list[tuple[Note, ...]]:
    """Share notes out among `n` lines of one note at a time, the highest line first.

    Notes that begin together keep their order of height; each goes to the line whose last note is nearest, and a
    note that still sounds is ended only if no other place costs less than an octave of distance. Of more notes
    than lines the highest and the lowest are kept, and of the inner ones those from above.

    Taught in: notebooks/02-music-as-tensors.ipynb
    """
    if not notes:
        return [() for _ in range(n)]
    pitches = np.array([note.pitch for note in notes])
    at = [float(q) for q in np.quantile(pitches, [1 - (i + 0.5) / n for i in range(n)])]
    found: list[list[Note]] = [[] for _ in range(n)]
    ordered = sorted(notes, key=lambda note: (note.onset, -note.pitch, -note.duration))
    for onset, group in itertools.groupby(ordered, key=lambda note: note.onset):
        chord = list({note.pitch: note for note in reversed(list(group))}.values())[::-1]
        if len(chord) > n:
            chord = [*chord[: n - 1], chord[-1]]
        held = [bool(line) and line[-1].end > onset for line in found]

        _, best = min(
            (sum(abs(at[i] - note.pitch) + 12 * held[i] for i, note in zip(places, chord, strict=True)), places)
            for places in itertools.combinations(range(n), len(chord))
        )
        for i, note in zip(best, chord, strict=True):
            if held[i]:
                found[i][-1] = found[i][-1]._replace(duration=onset - found[i][-1].onset)
            found[i].append(note)
            at[i] = note.pitch
    return [tuple(line) for line in found]


def _families(tracks: Sequence[Track]) -> list[_Placed]:
    placed: list[_Placed] = []
    for track in tracks:
        family = track.program // 8
        voice = "drums" if track.is_drum else {0: "piano", 3: "guitar", 4: "bass"}.get(family, "strings")
        why = "is on the drum channel" if track.is_drum else f"program {track.program}"
        placed.append((voice, track.notes, track, why))
    return placed


def _roles(filled: Set[str], tracks: Sequence[Track]) -> list[_Placed]:
    """Drums, then what names say, then basses by program, then chords by polyphony, then lines by height.

    No melody or bass is looked for where the user already put a track there (`filled`).
    """
    placed: list[_Placed] = []
    rest = []
    for track in tracks:
        hints = [role for role, words in _HINTS.items() if words.search(track.name)]
        if track.is_drum:
            placed.append(("drums", track.notes, track, "is on the drum channel"))
        elif len(hints) == 1 and hints[0] != "drums":
            placed.append((hints[0], track.notes, track, f"is named {track.name.strip()!r}"))
        elif track.program in _BASSES:
            placed.append(("bass", track.notes, track, f"program {track.program} is a bass"))
        else:
            rest.append(track)
    taken = {voice for voice, *_ in placed} | filled
    height = {id(track): float(np.mean([note.pitch for note in track.notes])) for track in rest}
    single = [track for track in rest if polyphony(track.notes) < 1.2]
    if "bass" not in taken and single:
        lowest = min(single, key=lambda track: height[id(track)])
        if height[id(lowest)] < 55:
            why = f"single notes, lowest of all (mean {height[id(lowest)]:.0f})"
            placed.append(("bass", lowest.notes, lowest, why))
            single.remove(lowest)
            rest.remove(lowest)
    if "melody" not in taken and single:
        # A track that only answers now and then is no melody: at least half as many notes as the busiest.
        busiest = max(len(track.notes) for track in single)
        tops = [track for track in single if 2 * len(track.notes) >= busiest]
        top = max(tops, key=lambda track: height[id(track)])
        placed.append(("melody", top.notes, top, f"single notes, highest of all (mean {height[id(top)]:.0f})"))
        rest.remove(top)
    elif "melody" not in taken and rest:
        top = max(rest, key=lambda track: height[id(track)])
        line = skyline(top.notes)
        below = tuple(sorted({n[::2]: n for n in top.notes if n[::2] not in {m[::2] for m in line}}.values()))
        placed.append(("melody", line, top, "no track sings alone, so its highest notes are the melody"))
        if below:
            placed.append(("chords", below, top, "its other notes are chords"))
        rest.remove(top)
    for track in rest:
        many = polyphony(track.notes)
        if many >= 1.2:
            placed.append(("chords", track.notes, track, f"{many:.1f} notes at a time"))
        else:
            placed.append(("other", track.notes, track, "one more line"))
    return placed


def _merged(parts: Sequence[Sequence[Note]]) -> tuple[Note, ...]:
    """All notes in order; where two tracks have one pitch at one time, it sounds once, and the longer."""
    if len(parts) == 1:
        return tuple(parts[0])
    ends: dict[tuple[int, int], int] = {}
    for note in itertools.chain.from_iterable(parts):
        ends[note.onset, note.pitch] = max(ends.get((note.onset, note.pitch), 0), note.duration)
    by_pitch = sorted((pitch, onset, duration) for (onset, pitch), duration in ends.items())
    notes = []
    for (pitch, onset, duration), after in itertools.zip_longest(by_pitch, by_pitch[1:]):
        if after is not None and after[0] == pitch:
            duration = min(duration, after[1] - onset)
        notes.append(Note(onset, duration, pitch))
    return tuple(sorted(notes))
