"""From a trained generator to music: clips, and pieces of any number of bars.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from textwrap import shorten
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ganmusic import checkpoint
from ganmusic.keys import PITCH_CLASSES, Chord, Key, common_shift, estimate_key, parse_chords, parse_key
from ganmusic.models import MODELS
from ganmusic.pianoroll import Grid, Piece, Roll, Track, chroma, piece_to_roll, roll_to_piece, transpose
from ganmusic.quantise import Music, lay_on_grid

__all__ = [
    "CHORDS",
    "DEFAULT",
    "TEMPO",
    "Composer",
    "Melody",
    "accompany",
    "compose",
    "continue_piece",
    "load_generator",
    "sample_rolls",
    "to_roll",
]

#: The weights that compose when no run is named, and no chords.
DEFAULT = "choir"
#: Beats a minute, unless another tempo is asked for.
TEMPO = 80.0
#: What a network that goes by chords is given, unless others are asked for.
CHORDS = "C | Am | F | G | C | Am | G | C"
#: Triads on which a piece in the common key may end, by mode, the tonic first: C major and A minor.
TONIC_TRIADS = {"major": (0, 4, 7), "minor": (9, 0, 4)}


@dataclass(frozen=True)
class Melody:
    """A melody as a network is given it.

    Parameters
    ----------
    piece : Piece
        The melody alone, as it sounds.
    key : Key or None
        The one that it is in, if that can be told.
    planes : Tensor [shape=(plane, bar, step, pitch)]
        Where it lies in the common key, on the network's grid.
    shift : int
        Semitones that move it there.
    number : int
        Which track it was, of the piece that it comes from.
    """

    piece: Piece
    key: Key | None
    planes: Tensor
    shift: int
    number: int


@dataclass(frozen=True)
class Composer:
    """A generator that is ready to play, with what it needs to be heard.

    Parameters
    ----------
    generator : Module
    grid : Grid
    names, programs : tuple
        The tracks' names and General MIDI programs.
    card : dict
        What it is and how it was trained.
    drums : tuple of bool
        Which tracks are drums; empty: none is.

    Taught in: notebooks/03-training.ipynb
    """

    generator: nn.Module
    grid: Grid
    names: tuple[str, ...]
    programs: tuple[int, ...]
    card: dict[str, Any]
    drums: tuple[bool, ...] = ()

    @property
    def pitched(self) -> tuple[bool, ...]:
        """Which tracks are not drums."""
        return tuple(not drum for drum in self.drums) or (True,) * len(self.names)

    @property
    def n_triad(self) -> int:
        """How many notes of a triad its tracks can sound at once, at most 3."""
        return min(3, sum(self.pitched)) if getattr(self.generator, "monophonic", False) else 3

    @property
    def normalised(self) -> bool:
        """Whether what it learned from had been moved to the common key, C major or A minor."""
        # Runs from before the card said so were all moved.
        return bool(self.card.get("data", {}).get("normalise_key", True))

    @property
    def takes_chords(self) -> bool:
        """Whether it makes its music over chords that it is given."""
        return hasattr(self.generator, "sample_over")

    @property
    def takes_melody(self) -> bool:
        """Whether it can be given a melody to accompany."""
        return hasattr(self.generator, "accompany")

    @property
    def takes_wishes(self) -> bool:
        """Whether it can be told a mode, a density, a register, and a bar to go on from."""
        return hasattr(self.generator, "asking")

    def piece(self, roll: Roll, **options: Any) -> Piece:
        """Read a piece off one clip ``[shape=(track, bar, step, pitch)]``."""
        piece = roll_to_piece(roll, self.grid, names=self.names, programs=self.programs, **options)
        marked = zip(piece.tracks, self.pitched, strict=True)
        return replace(piece, tracks=tuple(replace(track, is_drum=not pitched) for track, pitched in marked))

    def check_key(self, name: str) -> Key:
        """Read a key that a piece is asked for in (see `ganmusic.keys.parse_key`).

        Raises
        ------
        ValueError
            If it is none, what the network learned from was not moved to a common key, or its chords say the key.
        """
        key = parse_key(name)
        if self.takes_chords:
            raise ValueError(f"this network composes over chords, which say the key: give it chords in {key} instead")
        if not self.normalised:
            raise ValueError(f"this network learned from music that was not moved to one key: it cannot play in {key}")
        return key

    def check_chords(self, text: str) -> list[Chord]:
        """Read the chords that a piece is asked for over (see `ganmusic.keys.parse_chords`).

        Raises
        ------
        ValueError
            If they cannot be read, or the network takes none.
        """
        chords = parse_chords(text)
        if not self.takes_chords:
            raise ValueError("this network takes no chords; a MidiNet does, such as the shipped one, 'midinet'")
        return chords

    def check_beginning(self, piece: Piece) -> tuple[Tensor, int]:
        """Read the bar that a piece is gone on from (see `continue_piece`): its last, in the common key,
        ``(plane, track, step, pitch)``, and the semitones that move it there.

        Raises
        ------
        ValueError
            If the network goes on from no bar, or the piece does not fit, or has no notes.
        """
        self._check_asking()
        theirs, ours = (
            f"{len(tracks)} tracks in bars of {grid.n_steps} steps and {grid.beats_per_bar} beats"
            for tracks, grid in ((piece.tracks, piece.grid), (self.names, self.grid))
        )
        if theirs != ours:
            raise ValueError(f"a piece with {theirs} does not fit this network, which has {ours}")
        for track, name, pitched in zip(piece.tracks, self.names, self.pitched, strict=True):
            if track.is_drum == pitched:
                is_what = "is drums" if pitched else "is no drums"
                raise ValueError(f"track {track.name!r} {is_what}, unlike this network's {name!r}")
        called = [track.name.strip().casefold() for track in piece.tracks]
        names = [name.strip().casefold() for name in self.names]
        if any(theirs != ours and theirs in names for theirs, ours in zip(called, names, strict=True)):
            raise ValueError(f"the tracks are {', '.join(called)}, and this network has them as {', '.join(names)}")
        if not any(track.notes for track in piece.tracks):
            raise ValueError("a piece without notes is nothing to go on from")
        start = (piece.n_bars - 1) * self.grid.n_steps
        tracks = tuple(replace(t, notes=tuple(n for n in t.notes if n.end > start)) for t in piece.tracks)
        planes, shift = _at_home(self, replace(piece, tracks=tracks), _key_of(piece), "the last bar")
        return planes[:, :, -1], shift

    def check_melody(self, melody: Piece, key: str | None = None) -> Melody:
        """Read a melody that is to be accompanied (see `accompany`).

        Raises
        ------
        ValueError
            If it does not fit, the network accompanies none, or the key is none or cannot be named.
        """
        if not self.takes_melody:
            raise ValueError("this network accompanies no melody; a choir does, such as the shipped one, 'choir'")
        grids = (melody.grid, self.grid)
        theirs, ours = (f"bars of {each.n_steps} steps and {each.beats_per_bar} beats" for each in grids)
        if theirs != ours:
            raise ValueError(f"a melody in {theirs} does not fit this network, which has {ours}")
        voice = int(self.generator.melody_track)  # type: ignore[arg-type]
        if not self.pitched[voice]:
            raise ValueError(f"this network would put the melody on {self.names[voice]!r}, and that is drums")
        number = _melody_track(melody, self.names[voice])
        alone = replace(melody, tracks=(_one_at_a_time(melody, number),))
        home = _key_of(alone) if key is None else self.check_key(key)
        planes, shift = _at_home(self, alone, home, "the melody", float(self.generator.melody_height))  # type: ignore[arg-type]
        if self.grid.low < shift or self.grid.high - 1 - shift > 127:
            far = "low" if shift > 0 else "high"
            raise ValueError(f"the melody lies so {far} that voices beside it would leave MIDI's pitches, 0 to 127")
        return Melody(alone, home, planes[:, 0], shift, number)

    def unfamiliar(self, chords: Collection[Chord]) -> list[str]:
        """Those of some chords that the network has hardly ever heard, by name: it will not heed them.

        In the common key, to which all are moved together, less than one in a hundred of the remembered ones.
        """
        shift = common_shift(list(chords)) if self.normalised else 0
        share: Tensor = self.generator.familiar()  # type: ignore[operator]
        rare = [chord for chord in chords if share[(chord.root + shift) % 12, int(chord.minor)] < 0.01]
        return [str(chord) for chord in dict.fromkeys(rare)]

    def lay(self, music: Music, source: str | os.PathLike[str]) -> Piece:
        """Lay music of a file in the network's steps where its bars are as long, as those of 2/2 and 4/4 are; else in
        its own (`ganmusic.midi.read`), for what then refuses it to name them. Bars of eighths are not taken for bars of
        quarters: 6/8 is no 3/4.

        Parameters
        ----------
        music : Music
            As `ganmusic.midi.read_music` reads it.
        source : str or path
            Where it came from, for the error's text.

        Raises
        ------
        MusicFileError
            As `ganmusic.midi.read`.
        """
        grid, (numerator, denominator) = self.grid, music.metre
        as_long = denominator <= 4 and 4 * numerator == denominator * grid.beats_per_bar
        return lay_on_grid(music, Grid(grid.n_steps, grid.beats_per_bar, 0, 132) if as_long else None, source)

    def way_to(self, key: Key, register: float | None = None) -> int:
        """Semitones from the common key to another: the shorter way, or the rest of the octave where only that leads to
        the register that is asked for (see `asking`).

        Raises
        ------
        ValueError
            If neither does.
        """
        there = ways(key.tonic - TONIC_TRIADS[key.mode][0])
        if register is None or not self.takes_wishes:
            return there[0]
        low, high = (end + self.grid.low for end in self.generator.ranges["register"])  # type: ignore[index]
        fits = [way for way in there if round(low + way, 6) <= register <= round(high + way, 6)]
        if not fits:
            ranges = " or ".join(f"{low + way:.1f} to {high + way:.1f}" for way in sorted(there))
            raise ValueError(
                f"in {key}, the register that this network can be asked for is {ranges} (MIDI), not {register}"
            )
        return fits[0]

    def asking(
        self,
        mode: str | None,
        density: float | None,
        register: float | None,
        before: Tensor | None = None,
        *,
        moved: int = 0,
    ) -> Tensor | None:
        """What the generator is asked, as a row that it understands; None if there is nothing to ask.

        Parameters
        ----------
        mode : str, optional
            'major' or 'minor'.
        density : float, optional
            Notes a bar, of all voices together.
        register : float, optional
            Mean pitch of all that sounds, as a MIDI number.
        before : Tensor, optional [shape=(plane, track, step, pitch)]
            A bar to go on from.
        moved : int
            Semitones by which the piece will be moved afterwards: it sounds in the register asked for when it has been.

        Raises
        ------
        ValueError
            If something is asked that the network cannot be asked for, or that no music it learned from has.
        """
        if (mode, density, register) == (None, None, None) and before is None:
            return None
        self._check_asking()
        lowest = self.grid.low + moved
        low, high = (round(end + lowest, 6) for end in self.generator.ranges["register"])  # type: ignore[index]
        if register is not None and not low <= register <= high:
            raise ValueError(
                f"the register that this network can be asked for is {low:.1f} to {high:.1f} (MIDI), not {register}"
            )
        above = None if register is None else round(register - lowest, 6)
        asked: Tensor = self.generator.asking(1, mode, density, above, before)  # type: ignore[operator]
        return asked

    def _check_asking(self) -> None:
        if not self.takes_wishes:
            takes = [name for name, (generator, _) in MODELS.items() if hasattr(generator, "asking")]
            but = ", but takes no chords" if self.takes_chords else ""
            raise ValueError(
                f"this network, of the model {self.card['model']!r}, cannot be told what to play; one of the model "
                f"{', '.join(takes)} can{but}"
            )


def load_generator(run: str | os.PathLike[str] | None = None) -> Composer:
    """Load the averaged generator of a run: its best checkpoint if a score was watched, else its newest.

    Parameters
    ----------
    run : path, optional
        The run's folder, one that `ganmusic.hub.save_pretrained` made, or the name of weights that come with the
        package (`ganmusic.checkpoint.shipped`); `DEFAULT` otherwise.

    Raises
    ------
    CheckpointError
        If the run is missing, damaged or from another version, or has no checkpoint yet.

    Taught in: notebooks/03-training.ipynb
    """
    run = checkpoint.find(run or DEFAULT)
    config = checkpoint.read_config(run)
    newest = checkpoint.latest(run)
    weights = {} if newest else checkpoint.load_weights(run)
    if not newest and not weights:
        raise checkpoint.CheckpointError(f"{run} has no checkpoint yet")
    try:
        if newest:
            tensors, state = checkpoint.load(newest)
            if state["best"] and state["best"]["step"] != state["step"]:
                tensors, state = checkpoint.load(checkpoint.numbered(run, state["best"]["step"]))
            config |= {key: state[key] for key in ("step", "seconds", "best")}
            weights = {k.removeprefix("averaged."): v for k, v in tensors.items() if k.startswith("averaged.")}
        if config["model"] not in MODELS:
            raise ValueError(f"there is no model {config['model']!r}; there are {', '.join(MODELS)}")
        generator = MODELS[config["model"]][0](**config["generator"])
        _load(generator, weights, run, config)
        composer = Composer(
            generator.eval().requires_grad_(False),
            _grid(config["grid"]),
            _listed(config, "tracks", str),
            _listed(config, "programs", int),
            config,
            _listed({"drums": []} | config, "drums", bool),
        )
    except checkpoint.CheckpointError:
        raise
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError, ArithmeticError) as error:
        raise checkpoint.CheckpointError.misfit(run, error) from None
    _check_parts(composer, run)
    return composer


def _listed(config: dict[str, Any], name: str, kind: type) -> tuple[Any, ...]:
    """A list as it stands in a file, where anything may stand."""
    found = config[name]
    if not isinstance(found, list) or any(type(each) is not kind for each in found):
        text = {str: "texts", int: "whole numbers", bool: "true or false"}[kind]
        raise ValueError(f"{name} {found!r} is no list of {text}")
    return tuple(found)


def _grid(sides: dict[str, Any]) -> Grid:
    """A grid as it stands in a file, where any value may stand."""
    for side, n in sides.items():
        if type(n) is not int:
            raise ValueError(f"{side} {n!r} of the grid is no whole number")
    return Grid(**sides)


def _load(generator: nn.Module, weights: dict[str, Tensor], run: Path, config: dict[str, Any]) -> None:
    """Give a generator its weights, or say that they are another network's."""
    try:
        generator.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    except RuntimeError as error:
        sizes = ", ".join(f"{name}={size}" for name, size in config["generator"].items())
        raise checkpoint.CheckpointError(
            f"{run}: its weights are not those of the network that its config.json describes, {config['model']} with "
            f"{sizes} ({shorten(' '.join(str(error).splitlines()[:2]), 300)})"
        ) from None


def _check_parts(composer: Composer, run: Path) -> None:
    """Refuse a grid and tracks that are not those of the generator."""
    # A network's own sizes where the run names none: those that it has by itself.
    sizes = {name: n for name, n in vars(composer.generator).items() if isinstance(n, int)} | composer.card["generator"]
    tracks = {"programs": len(composer.programs), "drums": len(composer.drums or composer.names)}
    wrong = [f"{n} {name} for {len(composer.names)} tracks" for name, n in tracks.items() if n != len(composer.names)]
    grid = {"tracks": len(composer.names), "steps": composer.grid.n_steps, "pitches": composer.grid.n_pitches}
    wrong += [
        f"a network of {sizes[f'n_{name}']} {name} and a {'list' if name == 'tracks' else 'grid'} of {n}"
        for name, n in grid.items()
        if sizes.get(f"n_{name}", n) != n
    ]
    wrong += [f"a program {each!r}, and they are 0 to 127" for each in composer.programs if each not in range(128)]
    data = composer.card.get("data", {})
    if not isinstance(data, dict):
        wrong.append(f"data {data!r}, and they are an object")
    elif type(data.get("normalise_key", False)) is not bool:
        wrong.append(f"normalise_key {data['normalise_key']!r}, and it is true or false")
    if wrong:
        raise checkpoint.CheckpointError(f"{run}: its config.json does not fit itself: {'; '.join(wrong)}")


def to_roll(rolls: Tensor) -> Roll:
    """A model's rolls ``(n, plane, track, bar, step, pitch)`` as a `Roll` ``(n, track, bar, step, pitch)``."""
    array = rolls.numpy().astype(bool)
    return Roll(array[:, 0], array[:, 1])


def sample_rolls(composer: Composer, n: int, seed: int = 0, asked: Tensor | None = None, **latent: Any) -> Roll:
    """Draw `n` clips ``(n, track, bar, step, pitch)``; the seed decides them.

    `asked` is a row of `Composer.asking`, for all of them. Keyword arguments go to the generator's ``latent``
    (``n_bars`` for those that can be of any length).
    """
    z = composer.generator.latent(n, generator=torch.Generator().manual_seed(seed), **latent)  # type: ignore[operator]
    rows = [] if asked is None else [asked.expand(n, -1)]
    return to_roll(composer.generator.sample(z, *rows))  # type: ignore[operator]


def compose(
    n_bars: int | None = None,
    seed: int = 0,
    run: str | os.PathLike[str] | Composer | None = None,
    *,
    tempo: float = TEMPO,
    semitones: int = 0,
    key: str | None = None,
    chords: str | None = None,
    mode: str | None = None,
    density: float | None = None,
    register: float | None = None,
    candidates: int = 16,
) -> Piece:
    """Compose a piece of `n_bars`.

    The generator draws `candidates` pieces; the first that reaches the last bar's downbeat on the tonic triad is
    kept (else the first of all; a `key` is choosier), and that chord is held to the end. This ending is the one rule:
    every other note is the generator's. Drums take no part in it and play on. One or two voices of one note each need
    no whole triad, but its tonic and another of its notes for the second; where the network knows no common key, the
    first piece is kept. Over `chords` the last of them is the last bar's, and the melody comes home to its root.

    Parameters
    ----------
    n_bars : int, optional
        At least 1; by default 8, or what the network makes, or as many as there are chords.
    seed : int
        Decides the piece: the same seed and weights give the same piece.
    run : path or Composer, optional
        What composes (see `load_generator`); by default weights that come with the package: MidiNet's over chords, else
        those of `DEFAULT`.
    tempo : float
        Beats a minute.
    semitones : int
        Transposition; a network that was trained in the common key knows only C major and A minor.
    key : str, optional
        A key to compose in, as `ganmusic.keys.parse_key` reads it ('D minor', 'Bb'): the piece is moved there from C
        major or A minor, by the shorter way that keeps to MIDI's pitches, or by the one that leads to the `register`.
        Of the candidates that end in its mode, the first is kept that `ganmusic.keys.estimate_key` finds to be in the
        key as a whole, else the first of them, else the first of all. So the key is looked for and not promised. The
        piece's labels then name the ``tonic`` and ``mode`` that were asked for. By default it stays where it is, in
        either.
    chords : str, optional
        Chords to compose over, one a bar and round again, as `ganmusic.keys.parse_chords` reads them ('C | Am | F |
        G7'), in any key: they are moved to C major or A minor (`ganmusic.keys.common_shift`), and the piece back. The
        piece's label ``chords`` has a ``[step, chord]`` for each bar. Only for networks that take them, and without a
        key. By default such a network is given `CHORDS`.
    mode, density, register : optional
        What the network is told (`Composer.asking`): 'major' or 'minor', notes a bar, mean pitch. It has learned to
        come near, and of the candidates that end well the nearest is kept. A `key` tells its mode too.
    candidates : int
        Pieces to choose the ending from, at least 1.

    Returns
    -------
    Piece
        On the network's grid, with as many octaves more as a transposed piece needs.

    Raises
    ------
    ValueError
        If `n_bars` or `candidates` is not positive, the generator makes clips of another, fixed length only, the key
        or the chords are none or cannot be asked for (`Composer.check_key`, `Composer.check_chords`), both a key and
        `semitones` or chords are given, or the transposed piece would leave MIDI's pitches.
    CheckpointError
        If the run cannot be loaded.

    Taught in: notebooks/03-training.ipynb
    """
    composer = run if isinstance(run, Composer) else load_generator(run or ("midinet" if chords is not None else None))
    given = CHORDS if chords is None and composer.takes_chords else chords
    over = [] if given is None else composer.check_chords(given)
    n_bars = n_bars if n_bars is not None else len(over) or getattr(composer.generator, "n_bars", 8)
    if n_bars < 1:
        raise ValueError(f"a piece has at least 1 bar, not {n_bars}")
    if candidates < 1:
        raise ValueError(f"a piece is chosen from at least 1 candidate, not {candidates}")
    if key is not None and semitones:
        raise ValueError(f"a piece is moved to a key or by semitones, not to {key!r} and by {semitones}")
    home = None if key is None else composer.check_key(key)
    if home and mode not in (None, home.mode):
        raise ValueError(f"{home} is not {mode}")
    told = home.mode if home and composer.takes_wishes else mode
    way = composer.way_to(home, register) if home else semitones
    wishes = composer.asking(told, density, register, moved=way)
    if over:
        piece = _compose_over(composer, over, n_bars, seed, tempo, candidates)
    else:
        modes = [told] if told else [home.mode] if home else list(TONIC_TRIADS) if composer.normalised else []
        rolls, ends_well = _candidates(composer, n_bars, seed, candidates, modes, wishes)
        piece = _chosen(composer, rolls, ends_well, tempo, home)
        if home and register is None:  # else the way is decided
            way = shortest_shift(piece, way)
    moved = _widened(transpose(piece, way))
    return replace(moved, title=f"{_learned(composer.card)}, seed {seed}")


def continue_piece(
    piece: Piece,
    n_bars: int = 8,
    seed: int = 0,
    run: str | os.PathLike[str] | Composer | None = None,
    *,
    mode: str | None = None,
    density: float | None = None,
    register: float | None = None,
    candidates: int = 16,
) -> Piece:
    """Go on from the last bar of a piece, and come home `n_bars` later (see `compose`).

    Parameters
    ----------
    piece : Piece
        On the network's metre and steps (`Composer.lay`), with the network's tracks in its order (under any names
        but those of its others), drums where it has drums, and one note at a time on each. Its key is that of its
        labels, or the one that `ganmusic.keys.estimate_key` finds.
    n_bars : int
        Bars to add, at least 1.
    seed, run, mode, density, register, candidates
        See `compose`.

    Returns
    -------
    Piece
        The piece, its last bar included, and what follows.

    Raises
    ------
    ValueError
        If the piece does not fit the network, the network cannot go on from a bar, or something else is asked of it
        that it cannot do.
    CheckpointError
        If the run cannot be loaded.

    Taught in: notebooks/10-our-model.ipynb
    """
    composer = run if isinstance(run, Composer) else load_generator(run)
    if n_bars < 1:
        raise ValueError(f"a piece goes on for at least 1 bar, not {n_bars}")
    if candidates < 1:
        raise ValueError(f"a piece is chosen from at least 1 candidate, not {candidates}")
    bar, shift = composer.check_beginning(piece)
    wishes = composer.asking(mode, density, register, bar, moved=-shift)
    modes = list(TONIC_TRIADS) if mode is None else [mode]
    rolls, ends_well = _candidates(composer, n_bars + 1, seed, candidates, modes, wishes)
    made = _chosen(composer, rolls, ends_well, piece.tempo, None)
    return _joined(piece, transpose(made, -shift))


def accompany(
    melody: Piece,
    seed: int = 0,
    run: str | os.PathLike[str] | Composer | None = None,
    *,
    key: str | None = None,
    candidates: int = 8,
) -> Piece:
    """Write the other voices to a melody, which stays as it is, note for note.

    The generator sings to the melody `candidates` times. Kept is, of those that are on the tonic triad when the
    melody's last note begins (else of all), the one in which melody and voices agree best, as the generator hears it.
    The voices begin with the melody, and hold that chord to its end.

    Parameters
    ----------
    melody : Piece
        On the network's metre and steps (`Composer.lay`). Its melody is the one track with notes, or the one called
        'melody' or as the network calls the track that it puts it on; of notes that overlap the earlier ends. It is
        sung in the octave in which that voice of the network is at home, and comes out in its own.
    seed, run, candidates
        See `compose`. Time grows with the candidates and with the length: some two seconds, and half a second a bar.
    key : str, optional
        The key that the melody is in, as `ganmusic.keys.parse_key` reads it; by default that of its labels, or the one
        that `ganmusic.keys.estimate_key` finds.

    Returns
    -------
    Piece
        The melody on the track that the network keeps for it (of the choir, the soprano), and the others.

    Raises
    ------
    ValueError
        If the melody does not fit the network, the network can be given none, the key is none, or `candidates` is not
        positive.
    CheckpointError
        If the run cannot be loaded.

    Taught in: notebooks/10-our-model.ipynb
    """
    composer = run if isinstance(run, Composer) else load_generator(run)
    if candidates < 1:
        raise ValueError(f"a piece is chosen from at least 1 candidate, not {candidates}")
    given = composer.check_melody(melody, key)
    several, chance = given.planes.expand(candidates, *given.planes.shape), torch.Generator().manual_seed(seed)
    rolls, surprise = composer.generator.accompany(several, chance)  # type: ignore[operator]
    best = surprise.argsort(stable=True)
    sounding, onset = rolls[best].flatten(3, 4).numpy().swapaxes(0, 1)  # (candidate, track, time, pitch)
    notes = given.piece.tracks[0].notes
    first, last, end = notes[0].onset, notes[-1].onset, notes[-1].end
    pitched = np.array(composer.pitched)
    modes = [] if not composer.normalised else [given.key.mode] if given.key else list(TONIC_TRIADS)
    ends_well = comes_home(sounding[:, pitched, last].any(1), modes, composer.n_triad)
    kept = int(ends_well.argmax())  # the first of all, where none does
    sounding, onset = sounding[kept], onset[kept]
    sounding[pitched, last:end], onset[pitched, last + 1 :] = sounding[pitched, last : last + 1], False
    for plane in (sounding, onset):
        plane[:, :first] = plane[:, end:] = False
    made = composer.piece(Roll(*(plane.reshape(len(plane), *given.planes.shape[1:]) for plane in (sounding, onset))))
    title = f"{melody.title or 'a melody'}, accompanied by {_learned(composer.card)}, seed {seed}"
    whole = _widened(transpose(made, -given.shift))
    return replace(whole, title=title, tempo=melody.tempo, pickup=melody.pickup, labels=melody.labels)


def _melody_track(piece: Piece, voice: str) -> int:
    """Which track of a piece is its melody: the only one with notes, or the one that is called so."""
    tracks = [k for k, track in enumerate(piece.tracks) if track.notes and not track.is_drum]
    called = [k for k in tracks if piece.tracks[k].name.casefold() in ("melody", voice.casefold())]
    if len(tracks) != 1 and len(called) != 1:
        raise ValueError(
            f"a melody is one track with notes, or the one called 'melody' or {voice!r}; here are {len(tracks)} with "
            f"notes, and {len(called)} called so"
        )
    return called[0] if len(called) == 1 else tracks[0]


def _one_at_a_time(piece: Piece, number: int) -> Track:
    """A track of a piece; of notes that overlap the earlier ends where the later begins."""
    track = piece.tracks[number]
    notes = sorted(track.notes)
    for one, other in pairwise(notes):
        if one.onset == other.onset:
            bar = one.onset // piece.grid.n_steps + 1
            raise ValueError(f"a melody is one note at a time, and in bar {bar} two begin on one step of the grid")
    ends = [*(note.onset for note in notes[1:]), notes[-1].end]
    cut = (note._replace(duration=min(note.end, end) - note.onset) for note, end in zip(notes, ends, strict=True))
    return replace(track, notes=tuple(cut))


def _key_of(piece: Piece) -> Key | None:
    """The key of a piece: that of its labels, or the one that it seems to be in."""
    labelled = {"tonic", "mode"} <= piece.labels.keys()
    return Key(piece.labels["tonic"], piece.labels["mode"]) if labelled else estimate_key(piece)


def _at_home(
    composer: Composer, piece: Piece, key: Key | None, what: str, height: float | None = None
) -> tuple[Tensor, int]:
    """A piece on a network's grid, in the common key, ``(plane, track, bar, step, pitch)``, and what moves it there: of
    the ways on which all notes lie within the grid the shortest, or the one to the mean pitch that is nearest a height.

    Raises
    ------
    ValueError
        If there is none, or a track has several notes at a time; it is said of `what`.
    """
    grid = composer.grid
    up = (TONIC_TRIADS[key.mode][0] - key.tonic) % 12 if key and composer.normalised else 0
    pitches = [note.pitch for track in piece.tracks for note in track.notes]
    fits = [up + 12 * octave for octave in range(-11, 11)]
    fits = [shift for shift in fits if grid.low <= min(pitches) + shift and max(pitches) + shift < grid.high]
    if not fits:
        raise ValueError(
            f"{what} reaches from {min(pitches)} to {max(pitches)}, and in no octave does it lie within this "
            f"network's pitches, {grid.low} to {grid.high - 1}"
        )
    goal = 0 if height is None else grid.low + height - fmean(pitches)
    shift = min(fits, key=lambda shift: abs(shift - goal))
    planes = np.stack(piece_to_roll(transpose(replace(piece, grid=replace(grid, low=0, n_pitches=132)), shift)))
    planes = planes[..., grid.low : grid.high]
    if (planes[0].sum(-1) > 1).any():
        raise ValueError(f"{what} has several notes at a time on a track, and this network has one")
    return torch.from_numpy(planes).float(), shift


def _joined(piece: Piece, made: Piece) -> Piece:
    """A piece, and one that begins with its last bar; a note that was held into that bar stays one note."""
    start = (piece.n_bars - 1) * piece.grid.n_steps
    tracks = []
    for before, after in zip(piece.tracks, made.tracks, strict=True):
        notes = [note for note in before.notes if note.onset < start]
        held = {note.pitch: index for index, note in enumerate(notes) if note.end > start}
        anew = {note.pitch for note in before.notes if note.onset == start}
        for note in after.notes:
            moved = note._replace(onset=note.onset + start)
            if moved.onset == start and note.pitch in held.keys() - anew:
                first = notes[held[note.pitch]]
                notes[held[note.pitch]] = first._replace(duration=moved.end - first.onset)
            else:
                notes.append(moved)
        tracks.append(replace(before, notes=tuple(notes)))
    return _widened(replace(piece, tracks=tuple(tracks)))


def _candidates(
    composer: Composer, n_bars: int, seed: int, candidates: int, modes: Collection[str], wishes: Tensor | None
) -> tuple[Roll, npt.NDArray[np.bool_]]:
    """Some clips ``(candidate, track, bar, step, pitch)``, and which of them come home in one of the modes; the nearest
    to what was wished come first.
    """
    fixed = getattr(composer.generator, "n_bars", n_bars)
    if fixed != n_bars:
        raise ValueError(f"this generator makes clips of {fixed} bars, not {n_bars}")
    length = {} if hasattr(composer.generator, "n_bars") else {"n_bars": n_bars}
    rolls = sample_rolls(composer, candidates, seed, wishes, **length)
    if wishes is not None:
        planes = torch.from_numpy(np.stack(rolls, 1))
        missed: Tensor = composer.generator.missed(planes, wishes.expand(candidates, -1))  # type: ignore[operator]
        rolls = Roll(*(plane[missed.argsort(stable=True).numpy()] for plane in rolls))
    pitched = np.array(composer.pitched)
    return rolls, comes_home(np.asarray(rolls.sounding[:, pitched, -1, 0].any(1)), modes, composer.n_triad)


def _chosen(
    composer: Composer, rolls: Roll, ends_well: npt.NDArray[np.bool_], tempo: float, home: Key | None
) -> Piece:
    """The candidate that is kept, where it was composed, with the labels of the key asked for."""
    piece = _ended(composer, rolls, int(ends_well.argmax()), tempo)  # the first of all, where none does
    if home is None:
        return piece
    tonic, mode = home
    common = Key(TONIC_TRIADS[mode][0], mode)
    # A piece can end in A minor and be in C major all the way there.
    endings = (_ended(composer, rolls, int(candidate), tempo) for candidate in np.flatnonzero(ends_well))
    piece = next((ending for ending in endings if estimate_key(ending) == common), piece)
    return replace(piece, labels={"tonic": tonic, "mode": mode})


def _compose_over(
    composer: Composer, chords: list[Chord], n_bars: int, seed: int, tempo: float, candidates: int
) -> Piece:
    """A melody over chords that comes home to the root of the last one, in the chords' own key."""
    shift = common_shift(chords) if composer.normalised else 0
    chords = [*(chords[bar % len(chords)] for bar in range(n_bars - 1)), chords[-1]]
    moved = [((root + shift) % 12, minor) for root, minor in chords]
    generator = torch.Generator().manual_seed(seed)
    z = composer.generator.latent(candidates, n_bars, generator=generator)  # type: ignore[operator]
    begin = torch.randint(2**31, (candidates,), generator=generator)
    rolls = to_roll(composer.generator.sample_over(z, moved, begin))  # type: ignore[operator]
    home = chroma(rolls.sounding[:, 0, -1, 0])[:, moved[-1][0]] > 0
    piece = _ended(composer, rolls, int(home.argmax()), tempo)
    n_steps, qualities = composer.grid.n_steps, ("maj", "min")
    named = [[bar * n_steps, f"{PITCH_CLASSES[root]}:{qualities[minor]}"] for bar, (root, minor) in enumerate(chords)]
    piece = transpose(piece, shortest_shift(piece, -shift))
    return replace(piece, labels={"chords": named})


def _ended(composer: Composer, rolls: Roll, candidate: int, tempo: float) -> Piece:
    """One of several clips as a piece that holds its last downbeat to the end."""
    sounding, onset = rolls.sounding[candidate].copy(), rolls.onset[candidate].copy()
    pitched = np.array(composer.pitched)
    sounding[pitched, -1] = sounding[pitched, -1, :1]
    onset[pitched, -1, 1:] = False
    return composer.piece(Roll(sounding, onset), tempo=tempo)


def comes_home(chords: npt.NDArray[np.bool_], modes: Collection[str], n_notes: int = 3) -> npt.NDArray[np.bool_]:
    """Say which chords ``(candidate, pitch)`` are the tonic triad of one of the modes ``[shape=(candidate,)]``.

    A triad is whole if `n_notes` of its notes sound, the tonic among them, and nothing else does.
    """
    classes = chroma(chords) > 0  # (candidate, 12)
    home = np.zeros(len(classes), dtype=bool)
    for mode in modes:
        triad = list(TONIC_TRIADS[mode])
        inside = classes[:, triad].sum(1)
        home |= classes[:, triad[0]] & (inside == classes.sum(1)) & (inside >= n_notes)
    return home


def ways(semitones: int) -> list[int]:
    """`semitones` up and the rest of the octave down, the shorter way first."""
    up = semitones % 12
    return sorted((up, up - 12), key=abs)


def shortest_shift(piece: Piece, semitones: int) -> int:
    """`semitones` up or the rest of the octave down, whichever is shorter and keeps all notes within MIDI's pitches.

    Raises
    ------
    ValueError
        If neither does.
    """
    pitches = [note.pitch for track in piece.tracks if not track.is_drum for note in track.notes]
    for shift in ways(semitones):
        if not pitches or (min(pitches) + shift >= 0 and max(pitches) + shift <= 127):
            return shift
    raise ValueError(
        f"notes from {min(pitches)} to {max(pitches)} leave no room to move them by {semitones % 12} semitones"
    )


def _widened(piece: Piece) -> Piece:
    """Add the octaves to a piece's grid that its notes need."""
    pitches = [note.pitch for track in piece.tracks for note in track.notes]
    if not pitches or (piece.grid.low <= min(pitches) and max(pitches) < piece.grid.high):
        return piece
    if min(pitches) < 0 or max(pitches) > 127:
        raise ValueError(f"the piece would reach from {min(pitches)} to {max(pitches)}; MIDI's pitches are 0 to 127")
    low = min(piece.grid.low, min(pitches) // 12 * 12)
    high = max(piece.grid.high, max(pitches) // 12 * 12 + 12)
    return replace(piece, grid=replace(piece.grid, low=low, n_pitches=high - low))


def _learned(card: dict[str, Any]) -> str:
    """Name a network: by its recipe, and by its corpus where that is not in the recipe's name."""
    recipe, corpus = card.get("recipe", card.get("model")), card.get("data", {}).get("corpus")
    return str(recipe) if corpus in (None, recipe) else f"{recipe} on {corpus}"
