"""Folk tunes: the fiddle tunes of Ryan's Mammoth Collection (1883) and O'Neill's Music of Ireland, 1850 (1903).

The tunes come with music21, as ABC. The first time they are loaded they are read, which takes music21 three minutes on
one processor, and kept as MIDI files in the cache. What was decided on the way:

- The books print melodies, and no chords. The label ``chords`` has one ``[step, chord]`` a bar, *worked out from the
  melody* by `harmonise`: a rule to condition a network on, nobody's accompaniment. There is no second track.
- Repeats are played once, first endings and second endings one after the other. Grace notes are left out.
- The key is that of the score; of the modes, those with a minor third are ``minor`` and the others ``major``, and the
  label ``scale`` keeps the name ('dorian').
- Tunes with one title are in one group, and so in one split: many are in both books.

Taught in: notebooks/corpora.ipynb
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache as remember
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ganmusic import midi
from ganmusic.corpora.chorales import CORPUS as CHORALES
from ganmusic.corpora.download import corpus_folder, locked, new_files
from ganmusic.corpora.fetched import fetched
from ganmusic.corpora.folder import Annotation, Reading
from ganmusic.corpora.record import Corpus
from ganmusic.keys import PITCH_CLASSES
from ganmusic.pianoroll import Piece, Track

__all__ = ["BOOKS", "CORPUS", "READING", "annotate", "build", "harmonise", "music21_corpus"]

NAME = "folk"
BOOKS = {"ryansMammoth": "Ryan's Mammoth Collection", "oneills1850": "O'Neill's Music of Ireland"}
"""The folders of music21 that the tunes are in."""
PROGRAM = 40
"""General MIDI's violin."""
TABLE = "tunes.json"

_MINOR = ("minor", "aeolian", "dorian", "phrygian", "locrian")
#: Roots, as semitones above the tonic, of the triads that a bar may have; the first three are taken where in doubt.
_TRIADS = {
    "major": ((0, "maj"), (7, "maj"), (5, "maj"), (9, "min"), (2, "min"), (4, "min"), (10, "maj")),
    "minor": ((0, "min"), (7, "maj"), (5, "min"), (10, "maj"), (3, "maj"), (8, "maj"), (7, "min"), (5, "maj")),
}
_THIRDS = {"maj": 4, "min": 3}


def music21_corpus() -> Path:
    """Return the folder of music21's corpus, without importing music21.

    Taught in: notebooks/corpora.ipynb
    """
    spec = find_spec("music21")
    assert spec is not None  # noqa: S101  (a dependency)
    assert spec.origin is not None  # noqa: S101
    return Path(spec.origin).parent / "corpus"


def harmonise(piece: Piece, tonic: int, mode: str) -> list[str]:
    """Find a chord for each bar of a melody: the triad of the key that most of the bar belongs to.

    A note counts by its length, twice where a beat begins in it. A tie goes to I, V and IV in this order (they weigh a
    twentieth of a bar more); the last bar takes the tonic if half as much of it belongs there. An empty bar keeps the
    chord before it.

    Parameters
    ----------
    piece : Piece
        Of one track.
    tonic : int
        Pitch class, 0..11.
    mode : str
        'major' or 'minor'.

    Returns
    -------
    list of str [shape=(bar,)]
        Names such as ``'G:maj'``.

    Taught in: notebooks/corpora.ipynb
    """
    n_steps, per_beat = piece.grid.n_steps, piece.grid.steps_per_beat
    weight = np.zeros((piece.n_bars, 12))
    for note in piece.tracks[0].notes:
        for step in range(note.onset, note.end):
            weight[step // n_steps, note.pitch % 12] += 1 + (step % per_beat == 0)
    triads = [((tonic + root) % 12, quality) for root, quality in _TRIADS[mode]]
    names, name = [], f"{PITCH_CLASSES[tonic]}:{triads[0][1]}"
    for bar, heard in enumerate(weight):
        if heard.any():
            fits = np.array([heard[[r, (r + _THIRDS[q]) % 12, (r + 7) % 12]].sum() for r, q in triads]) / heard.sum()
            fits[:3] += 0.05 - 0.001 * np.arange(3)
            best = int(fits.argmax())
            if bar == piece.n_bars - 1 and fits[0] >= fits[best] / 2:
                best = 0
            root, quality = triads[best]
            name = f"{PITCH_CLASSES[root]}:{quality}"
        names.append(name)
    return names


def annotate(root: Path, file: Path) -> Annotation:
    """Return the key, the chords, the kind of tune and the book of a tune that `build` wrote.

    Taught in: notebooks/corpora.ipynb
    """
    tune = _table(root / TABLE).get(file.name)
    if tune is None:
        return Annotation(skip="the table of tunes does not name it")
    title = tune["title"]
    group = re.sub(r"[^a-z0-9]", "", re.sub(r" *--.*", "", title.lower()))
    return Annotation(labels=tune["labels"], group=group or file.stem, title=title)


@remember
def _table(path: Path) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return table


READING = Reading(pattern=("*.mid",), voices="parts", n_tracks=1, annotate=annotate)


def _tunes(cache: str | os.PathLike[str] | None, jobs: int | None, progress: bool) -> Path:
    """Find the folder of the tunes' files; the first time they are read from music21."""
    folder = corpus_folder(NAME, cache)
    with locked(folder):
        if not (folder / "files").is_dir():
            books = (sorted((music21_corpus() / book).glob("*.abc")) for book in BOOKS)
            with new_files(folder) as files:
                build([path for book in books for path in book], files, jobs=jobs, progress=progress)
    return folder / "files"


def build(paths: Iterable[Path], folder: Path, *, jobs: int | None = None, progress: bool = False) -> int:
    """Read ABC files and write each tune as a MIDI file, and a table of what else is known; return how many.

    Tunes that music21 cannot read are left out.

    Taught in: notebooks/corpora.ipynb
    """
    from tqdm import tqdm

    paths = list(paths)
    jobs = min(jobs or os.cpu_count() or 1, len(paths))
    table: dict[str, Any] = {}
    write = partial(_write_tunes, folder=folder)
    with tqdm(total=len(paths), desc="read tunes", unit=" files", disable=not progress) as bar:
        if jobs <= 1:
            for tunes in map(write, paths):
                table |= tunes
                bar.update()
        else:
            from loky import ProcessPoolExecutor  # it starts processes without importing the user's script again

            with ProcessPoolExecutor(jobs) as pool:
                for tunes in pool.map(write, paths):
                    table |= tunes
                    bar.update()
    (folder / TABLE).write_text(json.dumps(table, indent=1), encoding="utf-8")
    return len(table)


def _write_tunes(path: Path, folder: Path) -> dict[str, Any]:
    """Write the tunes of one ABC file as MIDI files, and return what the table says of them."""
    from music21 import abcFormat, key
    from music21.abcFormat import translate

    book = path.parent.name
    handler = abcFormat.ABCFile().readstr(path.read_text(encoding="utf-8", errors="replace"))
    several = handler.definesReferenceNumbers() and len(handler.splitByReferenceNumber()) > 1
    handlers = handler.splitByReferenceNumber() if several else {None: handler}
    found: dict[str, Any] = {}
    for number, tune in handlers.items():
        # The file too: O'Neill's files overlap, with other versions under one number.
        name = f"{book}-{path.stem}" if number is None else f"{book}-{path.stem}-{int(number):04d}"
        try:
            score = translate.abcToStreamScore(tune)
            piece = midi.from_music21(score)
            signature = next(iter(score.recurse().getElementsByClass(key.Key)))
        except Exception:  # noqa: S112  (a tune that music21 cannot read; it raises whatever it trips over)
            continue
        piece = replace(piece, tracks=(Track("melody", piece.tracks[0].notes, PROGRAM),))
        midi.write(piece, folder / f"{name}.mid")
        tonic, mode = signature.tonic.pitchClass, "minor" if signature.mode in _MINOR else "major"
        named = enumerate(harmonise(piece, tonic, mode))
        chords = [[bar * piece.grid.n_steps, chord] for bar, chord in named]
        rhythm = next((t.data.strip() for t in tune.tokens if getattr(t, "tag", "") == "R" and t.data), "")
        labels = {"tonic": tonic, "mode": mode, "scale": signature.mode, "chords": chords}
        labels |= {"book": BOOKS.get(book, book), "kind": rhythm.lower()}
        found[f"{name}.mid"] = {"title": piece.title or name, "labels": labels}
    return found


CORPUS = Corpus(
    **fetched(NAME, READING, _tunes),
    title="Folk tunes: about 3,000 fiddle tunes of Ireland and America, with a chord for each bar",
    licence=(
        "Public domain: the books are of 1883 and 1903. The encodings come with music21, by the leave of those who "
        "made them; here they are read, not passed on. The chords are worked out from the melodies."
    ),
    provenance=(
        "Ryan's Mammoth Collection (1,059 tunes) and O'Neill's Music of Ireland (2,009), as ABC in the corpus of "
        "music21, read once on this computer. What music21 cannot read and what stands there twice is left out."
    ),
    bibtex=CHORALES.bibtex,
)
