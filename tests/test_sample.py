"""Composing: which checkpoint plays, what the seed decides, how a piece ends, and what the package ships."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from dataclasses import replace
from importlib.resources import as_file, files
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ganmusic import checkpoint, recipes
from ganmusic.checkpoint import CheckpointError
from ganmusic.keys import Key, estimate_key, parse_chords, parse_key
from ganmusic.metrics.controls import shuffle_beats
from ganmusic.models.mlp import MLPGenerator
from ganmusic.pianoroll import Grid, Note, Piece, Track, chroma, piece_to_roll
from ganmusic.sample import CHORDS, Composer, compose, load_generator, sample_rolls, shortest_shift

C_MAJOR = {0, 2, 4, 5, 7, 9, 11}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A run of a few updates."""
    run = tmp_path_factory.mktemp("runs") / "toy"
    recipes.train("toy", run, steps=2, progress=False)
    return run


@pytest.fixture
def run(toy, tmp_path):
    """A copy to be damaged."""
    return shutil.copytree(toy, tmp_path / "toy run")


@pytest.fixture(scope="module")
def composer(toy):
    return load_generator(toy)


def weights(composer):
    return {name: tensor.clone() for name, tensor in composer.generator.state_dict().items()}


def rewrite(run, step, *, best=None, factor=1.0):
    """Save the run's newest checkpoint again under another step, its averaged weights times a factor."""
    tensors, state = checkpoint.load(checkpoint.latest(run))
    tensors = {k: v * factor if k.startswith("averaged.") and v.is_floating_point() else v for k, v in tensors.items()}
    state = {key: value for key, value in state.items() if key not in ("format", "sha256")}
    checkpoint.save(checkpoint.numbered(run, step), tensors, {**state, "step": step, "best": best})


# Loading --------------------------------------------------------------------------------------------


def test_a_composer_is_ready_to_play(toy, composer):
    assert composer.grid == Grid()
    assert composer.names == ("soprano", "alto", "tenor", "bass")
    assert composer.programs == (48, 48, 48, 48)
    assert composer.card["recipe"] == "toy"
    assert composer.card["step"] == 2
    assert not composer.generator.training
    assert not any(parameter.requires_grad for parameter in composer.generator.parameters())
    tensors, _ = checkpoint.load(checkpoint.latest(toy))
    loaded = weights(composer)
    for name, tensor in loaded.items():
        assert torch.equal(tensor, tensors[f"averaged.{name}"].to(tensor.dtype))
    # The averaged generator, not the one that was last trained.
    assert any(not torch.equal(loaded[n], tensors[f"generator.{n}"].to(loaded[n].dtype)) for n in loaded)


def test_the_best_checkpoint_plays_not_the_newest(run):
    rewrite(run, 5, best={"step": 5, "score": 1.0}, factor=0.5)
    best = weights(load_generator(run))
    rewrite(run, 9, best={"step": 5, "score": 1.0}, factor=0.25)
    composer = load_generator(run)
    assert composer.card["step"] == 5
    assert all(torch.equal(best[name], tensor) for name, tensor in weights(composer).items())


def test_without_a_score_the_newest_plays(run):
    rewrite(run, 9, factor=0.5)
    rewrite(run, 11)
    assert load_generator(run).card["step"] == 11


def test_half_precision_weights_play_in_full_precision(run, toy):
    folder = checkpoint.latest(run)
    tensors, state = checkpoint.load(folder)
    state = {key: value for key, value in state.items() if key not in ("format", "sha256")}
    half = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items() if k.startswith("averaged.")}
    checkpoint.save(folder, half, state)
    small, full = load_generator(run), load_generator(toy)
    for one, other in zip(small.generator.parameters(), full.generator.parameters(), strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    assert compose(2, run=small).n_bars == 2


def test_a_run_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"folder .*nowhere; with the package come choir, chorales, midinet"):
        load_generator(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="empty is not a run"):
        load_generator(tmp_path / "empty")


def test_a_run_that_has_just_begun_is_named(run):
    shutil.rmtree(checkpoint.latest(run))
    with pytest.raises(CheckpointError, match="toy run has no checkpoint yet"):
        load_generator(run)


def flip(run):
    path = checkpoint.latest(run) / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


def lose_tensors(run):
    (checkpoint.latest(run) / "tensors.safetensors").unlink()


def cut_state(run):
    path = checkpoint.latest(run) / "state.json"
    path.write_text(path.read_text()[:-20])


def cut_config(run):
    (run / "config.json").write_text('{"format": 1, ')


def edit_config(run, **changes):
    path = run / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def changed_config(run, name, **changes):
    edit_config(run, **{name: {**json.loads((run / "config.json").read_text())[name], **changes}})


def other_format(run):
    edit_config(run, format=99)


def other_model(run):
    edit_config(run, model="transformer")


def other_size(run):
    edit_config(run, generator={"channels": (24, 16, 8, 8, 8), "n_latent": 8})


def other_option(run):
    edit_config(run, generator={"n_heads": 3})


def no_grid(run):
    path = run / "config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "grid"}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [(flip, "is damaged: its checksum"), (lose_tensors, "is missing"), (cut_state, "is damaged"),
     (cut_config, "is damaged"), (other_format, "has format 99, and this version of ganmusic reads format 1"),
     (other_model, "there is no model 'transformer'; there are binary_musegan, choir"),
     (other_size, "its weights are not those of the network"),
     (other_option, "does not fit this version"), (no_grid, "does not fit this version"),
     (lambda run: changed_config(run, "grid", n_pitches=60), "itself: a network of 48 pitches and a grid of 60"),
     (lambda run: changed_config(run, "grid", n_steps=12, beats_per_bar=3), "of 16 steps and a grid of 12"),
     (lambda run: changed_config(run, "generator", n_pitches=60),
      r"describes, convnet with .*n_pitches=60.*Size\(\[.*Size\(\[.*\]\)\.\)"),
     (lambda run: edit_config(run, tracks=["a", "b"]),
      "4 programs for 2 tracks; 4 drums .* a network of 4 tracks and a list of 2"),
     (lambda run: edit_config(run, programs=[1]), "1 programs for 4 tracks"),
     (lambda run: edit_config(run, programs=[0, 0, 0, 128]), "a program 128, and they are 0 to 127"),
     (lambda run: edit_config(run, programs=[0, 0, 0, "organ"]), "programs .*'organ'.* is no list of whole numbers"),
     (lambda run: edit_config(run, programs=[0, 0, 0, 1.0]), r"programs \[0, 0, 0, 1\.0\] is no list of whole numbers"),
     (lambda run: edit_config(run, tracks=["a", "b", "c", 4]), "tracks .* is no list of texts"),
     (lambda run: edit_config(run, tracks="satb"), "tracks 'satb' is no list of texts"),
     (lambda run: edit_config(run, drums=[None] * 4), "drums .* is no list of true or false"),
     (lambda run: edit_config(run, data=["chorales"]), "data \\['chorales'\\], and they are an object"),
     (lambda run: edit_config(run, data={"normalise_key": "no"}), "normalise_key 'no', and it is true or false"),
     (lambda run: changed_config(run, "grid", beats_per_bar="4"), "beats_per_bar '4' of the grid is no whole number"),
     (lambda run: changed_config(run, "grid", n_steps=16.0), r"n_steps 16\.0 of the grid is no whole number"),
     (lambda run: changed_config(run, "generator", channels=[]), "does not fit this version"),
     (lambda run: changed_config(run, "grid", low=37), "does not fit .* must start on a C"),
     (lambda run: changed_config(run, "grid", beats_per_bar=3), "does not fit .* 16 steps cannot be cut into 3"),
     (lambda run: edit_config(run, drums=[True]), "1 drums for 4 tracks")],
)  # fmt: skip
def test_what_is_wrong_with_a_run_is_said_with_its_name(harm, said, run):
    load_generator(run)
    harm(run)
    with pytest.raises(CheckpointError, match=rf"(?s)toy run.*{said}"):
        load_generator(run)


@pytest.mark.parametrize("name", checkpoint.shipped())
def test_shipped_weights_fit_their_own_grid_alone(name, tmp_path):
    shutil.copytree(checkpoint.find(name), tmp_path / name)
    load_generator(tmp_path / name)
    changed_config(tmp_path / name, "grid", n_pitches=60)
    with pytest.raises(CheckpointError, match=f"{name}: its config.json does not fit itself: .* a grid of 60"):
        load_generator(tmp_path / name)
    changed_config(tmp_path / name, "generator", n_tracks=0)
    with pytest.raises(CheckpointError, match=f"{name} does not fit this version of|{name}: its weights are not those"):
        load_generator(tmp_path / name)


# Clips ----------------------------------------------------------------------------------------------


def test_the_seed_decides_the_clips(composer):
    one, again, other = (sample_rolls(composer, 3, seed) for seed in (7, 7, 8))
    assert one.sounding.shape == one.onset.shape == (3, 4, 4, 16, 48)
    assert one.sounding.dtype == np.bool_
    for plane, same, differs in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(plane, same)
        assert not np.array_equal(plane, differs)
    assert not np.array_equal(one.sounding[0], one.sounding[1])


def test_the_random_state_stays_as_it_was(composer):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    sample_rolls(composer, 2, 5)
    compose(2, seed=5, run=composer)
    assert torch.equal(torch.get_rng_state(), before)


def test_clips_can_be_of_other_lengths(composer):
    assert sample_rolls(composer, 2, 0, n_bars=3).sounding.shape == (2, 4, 3, 16, 48)


def test_a_clip_reads_as_a_piece_of_named_voices(composer):
    roll = sample_rolls(composer, 2, 1)
    piece = composer.piece(type(roll)(roll.sounding[1], roll.onset[1]), tempo=66.0, title="Second")
    assert (piece.tempo, piece.title) == (66.0, "Second")
    assert [(track.name, track.program) for track in piece.tracks] == [
        ("soprano", 48), ("alto", 48), ("tenor", 48), ("bass", 48)
    ]  # fmt: skip
    assert sum(len(track.notes) for track in piece.tracks) > 4


# Pieces ---------------------------------------------------------------------------------------------


class Scripted(torch.nn.Module):
    """A generator of two voices whose candidates are written down: each has its own last downbeat."""

    # Pitches of the two voices at the last downbeat: D, a seventh on C, then A minor without its fifth ... and with.
    endings = (((62,), (50,)), ((60, 64, 67, 70), (48,)), ((60,), (57,)), ((64, 69), (48, 57)), ((60, 64), (67,)))

    n_tracks = 2

    def latent(self, n, n_bars=4, generator=None):
        self.asked = (n, n_bars)
        return torch.zeros(n, n_bars)

    def sample(self, z):
        rolls = torch.zeros(len(z), 2, self.n_tracks, z.shape[1], 16, 48, dtype=torch.bool)
        # A quick figure in all bars, the last one's second half included, that tells the candidates apart.
        for index in range(len(z)):
            rolls[index, :, 0, :, 6::4, index] = True
            for voice, pitches in enumerate(self.endings[index % len(self.endings)]):
                for pitch in pitches:
                    rolls[index, :, voice, -1, 0, pitch - 36] = True
        return rolls


@pytest.fixture
def scripted():
    return Composer(Scripted(), Grid(), ("high", "low"), (73, 71), {"recipe": "script"})


def test_the_first_candidate_that_comes_home_is_kept_and_its_chord_held(scripted):
    piece = compose(3, seed=4, run=scripted, candidates=5)
    assert scripted.generator.asked == (5, 3)
    # The fourth: A minor over both voices. Its figure is that of index 3.
    assert [n for n in piece.tracks[0].notes if n.onset >= 32] == [(32, 16, 64), (32, 16, 69)]
    assert [n for n in piece.tracks[1].notes if n.onset >= 32] == [(32, 16, 48), (32, 16, 57)]
    before = [n for n in piece.tracks[0].notes if n.onset < 32]
    assert before == [(step, 1, 39) for step in (6, 10, 14, 22, 26, 30)]
    assert piece.title == "script, seed 4"
    assert piece.end == 48


def test_if_none_comes_home_the_first_is_kept(scripted):
    piece = compose(2, run=scripted, candidates=3)
    assert {n.pitch for n in piece.tracks[0].notes if n.onset < 16} == {36}
    assert [n for n in piece.tracks[0].notes if n.onset >= 16] == [(16, 16, 62)]
    assert [n for n in piece.tracks[1].notes if n.onset >= 16] == [(16, 16, 50)]


def test_c_major_is_home_too(scripted):
    scripted.generator.endings = Scripted.endings[:3] + Scripted.endings[4:]
    piece = compose(2, run=scripted, candidates=4)
    assert {n.pitch for track in piece.tracks for n in track.notes if n.onset >= 16} == {60, 64, 67}


@pytest.mark.parametrize("n_bars", [1, 2, 5, 13])
def test_a_piece_has_as_many_bars_as_asked_and_ends_on_a_held_chord(n_bars, composer):
    piece = compose(n_bars, seed=2, run=composer, candidates=3)
    assert piece.grid == Grid()
    assert len(piece.tracks) == 4
    last = 16 * (n_bars - 1)
    for track in piece.tracks:
        final = [note for note in track.notes if note.end > last]
        # One note a voice at most, to the very end; it may have begun before.
        assert len(final) <= 1
        assert all(note.end == 16 * n_bars and note.onset <= last for note in final)
    assert piece.end <= 16 * n_bars


def test_seed_and_weights_decide_the_piece(composer, toy):
    piece = compose(3, seed=11, run=composer)
    assert compose(3, seed=11, run=toy) == piece
    assert compose(3, seed=12, run=composer).tracks != piece.tracks
    assert piece.title == "toy, seed 11"
    assert compose(3, seed=11, run=composer, tempo=132.0) == replace(piece, tempo=132.0)


@pytest.mark.parametrize("semitones", [-4, 3])
def test_a_piece_is_transposed_after_it_is_composed(semitones, composer):
    piece, moved = (compose(3, seed=1, run=composer, semitones=by) for by in (0, semitones))
    for one, other in zip(piece.tracks, moved.tracks, strict=True):
        assert [(n.onset, n.duration, n.pitch + semitones) for n in one.notes] == list(other.notes)
    assert moved.title == piece.title


@pytest.mark.parametrize("n_bars", [0, -3])
def test_a_piece_has_at_least_one_bar(n_bars, composer):
    with pytest.raises(ValueError, match=f"at least 1 bar, not {n_bars}"):
        compose(n_bars, run=composer)


def test_a_generator_of_fixed_length_composes_that_length_only(tmp_path):
    torch.manual_seed(0)
    fixed = Composer(MLPGenerator(n_bars=3), Grid(), ("s", "a", "t", "b"), (48,) * 4, {"recipe": "mlp"})
    with pytest.raises(ValueError, match="clips of 3 bars, not 8"):
        compose(8, run=fixed)
    assert compose(3, run=fixed, candidates=2).title == "mlp, seed 0"


def test_an_unknown_run_cannot_compose(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no run folder .*gone"):
        compose(2, run=tmp_path / "gone")


# Keys -----------------------------------------------------------------------------------------------


def pitches(piece):
    return [[note.pitch for note in track.notes] for track in piece.tracks]


@pytest.mark.parametrize(
    ("key", "tonic", "mode", "shift"),
    [("D", 2, "major", 2), ("Bb", 10, "major", -2), ("F# major", 6, "major", 6), ("C", 0, "major", 0),
     ("D minor", 2, "minor", 5), ("am", 9, "minor", 0), ("F minor", 5, "minor", -4)],
)  # fmt: skip
def test_a_piece_in_a_key_ends_in_its_mode_and_is_moved_the_shorter_way(key, tonic, mode, shift, scripted):
    # The fourth candidate ends in A minor, the fifth in C major.
    chosen = {"major": (60, 64, 67), "minor": (48, 57, 64, 69)}[mode]
    piece = compose(3, seed=4, run=scripted, candidates=5, key=key)
    last = {n.pitch for track in piece.tracks for n in track.notes if n.onset >= 32}
    assert last == {pitch + shift for pitch in chosen}
    assert piece.tracks[0].notes[0].pitch == 36 + {"major": 4, "minor": 3}[mode] + shift
    assert piece.labels == {"tonic": tonic, "mode": mode}


def test_without_an_ending_in_the_mode_the_first_is_moved(scripted):
    piece = compose(2, run=scripted, candidates=4, key="D major")
    assert {n.pitch for n in piece.tracks[0].notes if n.onset < 16} == {38}
    assert piece.labels["mode"] == "major"


@pytest.mark.parametrize(("low", "high", "shift"), [(36, 83, 5), (36, 123, -7), (3, 60, 5)])
def test_a_piece_goes_the_longer_way_where_the_shorter_leaves_midi(low, high, shift):
    piece = Piece((Track("one", (Note(0, 4, low), Note(4, 4, high))), Track("drums", (Note(0, 1, 126),), 0, True)))
    assert shortest_shift(piece, 5 - 24) == shift


def test_a_piece_that_cannot_be_moved_is_an_error():
    piece = Piece((Track("one", (Note(0, 4, 2), Note(4, 4, 124))),))
    with pytest.raises(ValueError, match="notes from 2 to 124 leave no room to move them by 5 semitones"):
        shortest_shift(piece, 5)


def test_a_key_needs_a_network_that_learned_in_one(scripted):
    wild = replace(scripted, card={"recipe": "script", "data": {"normalise_key": False}})
    with pytest.raises(ValueError, match="not moved to one key: it cannot play in D minor"):
        compose(2, run=wild, key="D minor")
    # And no chord is home there: the first candidate is kept.
    piece = compose(2, run=wild, candidates=5)
    assert {n.pitch for n in piece.tracks[0].notes if n.onset < 16} == {36}
    assert piece.labels == {}


def test_a_key_is_a_key_and_takes_no_other_transposition(scripted):
    with pytest.raises(ValueError, match="'H major'"):
        compose(2, run=scripted, key="H major")
    with pytest.raises(ValueError, match="to a key or by semitones, not to 'D' and by 2"):
        compose(2, run=scripted, key="D", semitones=2)


def test_drums_keep_their_pitches_and_are_not_held(scripted):
    drummer = replace(scripted, names=("melody", "drums"), drums=(False, True))
    scripted.generator.endings = (((64, 67), (48,)), ((60, 64, 67), (50,)))
    piece = compose(2, run=drummer, candidates=2, key="E")
    assert [track.is_drum for track in piece.tracks] == [False, True]
    # The second candidate: C major in the melody, whatever the drum; moved up by four semitones and held.
    assert pitches(piece)[0] == [41, 41, 41, 64, 68, 71]
    assert piece.tracks[0].notes[-1] == Note(16, 16, 71)
    assert piece.tracks[1].notes == (Note(16, 1, 50),)


@pytest.mark.parametrize(
    ("endings", "chosen"),
    [((((64,),), ((67,),), ((60,),)), 2), ((((62,),), ((57,),), ((60,),)), 1), ((((64,),), ((67,),)), 0)],
)
def test_a_single_voice_comes_home_to_its_tonic(endings, chosen):
    solo = Composer(Scripted(), Grid(), ("solo",), (73,), {"recipe": "script"})
    solo.generator.endings, solo.generator.monophonic = endings, True
    solo.generator.n_tracks = 1
    piece = compose(2, run=solo, candidates=len(endings))
    assert {n.pitch for n in piece.tracks[0].notes if n.onset < 16} == {36 + chosen}


def test_a_composition_in_a_key_is_the_same_piece_moved(composer):
    plain, moved = compose(2, seed=1, run=composer, candidates=1), compose(2, 1, composer, candidates=1, key="Eb")
    assert pitches(moved) == [[pitch + 3 for pitch in line] for line in pitches(plain)]
    assert (plain.labels, moved.labels) == ({}, {"tonic": 3, "mode": "major"})
    assert plain.title == moved.title


class InKeys(Scripted):
    """Candidates that hold one chord each up to the last bar, whatever they end on there."""

    # In G major, in A minor, in C major: all of them end in C major. The last is in C major too, and ends on D.
    bodies = ((43, 62, 66, 71), (45, 57, 64, 72), (48, 60, 64, 67), (60, 64, 67, 72))
    endings = (((60, 64, 67), (48,)),) * 3 + (((62,), (50,)),)

    def sample(self, z):
        rolls = super().sample(z)
        rolls[:, :, :, :, 1:] = False
        for index, body in enumerate(self.bodies):
            for pitch in body:
                rolls[index, 0, 0, :-1, :, pitch - 36] = True
        return rolls


@pytest.mark.parametrize(("order", "chosen"), [((0, 1, 2, 3), 2), ((3, 1, 0, 2), 3), ((3, 1, 0), 1), ((3,), 0)])
def test_of_the_pieces_that_end_in_a_key_the_first_that_is_in_it_is_kept(order, chosen):
    generator = InKeys()
    generator.bodies, generator.endings = ([of[i] for i in order] for of in (InKeys.bodies, InKeys.endings))
    composer = Composer(generator, Grid(), ("high", "low"), (73, 71), {"recipe": "script"})
    piece = compose(4, run=composer, candidates=len(order), key="Eb")
    body = {note.pitch for note in piece.tracks[0].notes if note.onset < 48}
    assert body == {pitch + 3 for pitch in InKeys.bodies[order[chosen]]}
    assert (estimate_key(piece) == Key(3, "major")) == (order[chosen] in (2, 3))


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [({"key": "F# major"}, 36, 96), ({"key": "G"}, 24, 84), ({"semitones": -36}, 0, 84), ({"semitones": 2}, 36, 84)],
)
def test_a_moved_piece_lies_on_its_own_grid(asked, low, high, scripted):
    # From C2 up to G5, so that a fifth up and a fourth down both leave the four octaves from C2.
    scripted.generator.endings = (((60, 64, 67, 72, 79, 76), (48,)),)
    piece = compose(2, run=scripted, candidates=1, **asked)
    assert (piece.grid.low, piece.grid.high) == (low, high)
    assert piece_to_roll(piece).sounding.sum() == piece_to_roll(compose(2, run=scripted, candidates=1)).sounding.sum()


@pytest.mark.parametrize("semitones", [-37, 66])
def test_a_piece_is_not_moved_out_of_the_pitches_that_files_have(semitones, scripted):
    with pytest.raises(ValueError, match=r"would reach from .*; MIDI's pitches are 0 to 127"):
        compose(2, run=scripted, candidates=1, semitones=semitones)


# Over chords ----------------------------------------------------------------------------------------


class OverChords(Scripted):
    """A melody whose candidates have their own last downbeats, over chords that are noted."""

    endings = (((62,),), ((64,),), ((60,),), ((69,),))

    def sample_over(self, z, chords, begin):
        self.chords, self.begin = chords, begin
        rolls = self.sample(z)
        for bar, (root, minor) in enumerate(chords):
            rolls[:, 0, 1, bar, :, [12 + root, 16 + root - minor, 19 + root]] = True
            rolls[:, 1, 1, bar, 0, [12 + root, 16 + root - minor, 19 + root]] = True
        return rolls


@pytest.fixture
def over_chords():
    return Composer(OverChords(), Grid(), ("melody", "chords"), (40, 25), {"recipe": "script"})


def test_a_melody_comes_home_to_the_root_of_the_last_chord(over_chords):
    piece = compose(run=over_chords, chords="C | G7 | Am", candidates=4)
    assert over_chords.generator.asked == (4, 3)
    assert over_chords.generator.chords == [(0, False), (7, False), (9, True)]
    melody, chords = piece.tracks
    assert melody.notes[-1] == Note(32, 16, 69)  # of the four the one on A
    assert chords.notes[-3:] == (Note(32, 16, 57), Note(32, 16, 60), Note(32, 16, 64))
    assert piece.labels == {"chords": [[0, "C:maj"], [16, "G:maj"], [32, "A:min"]]}
    assert piece.title == "script, seed 0"


def test_the_seed_decides_what_a_melody_begins_from(over_chords):
    begins = []
    for seed in (1, 1, 2):
        compose(run=over_chords, chords="C", seed=seed, candidates=5)
        begins.append(over_chords.generator.begin.tolist())
    assert begins[0] == begins[1] != begins[2]
    assert len(set(begins[0])) == 5


@pytest.mark.parametrize(("n_bars", "roots"), [(1, [7]), (2, [0, 7]), (3, [0, 9, 7]), (5, [0, 9, 7, 0, 7])])
def test_chords_go_round_and_the_last_one_is_last(n_bars, roots, over_chords):
    piece = compose(n_bars, run=over_chords, chords="C | Am | G")
    assert [root for root, _ in over_chords.generator.chords] == roots
    assert piece.n_bars == n_bars


def test_chords_in_another_key_are_composed_over_in_the_common_one(over_chords):
    plain = compose(run=over_chords, chords="C | Am | G | C")
    moved = compose(run=over_chords, chords="D | Bm | A | D")
    assert [root for root, _ in over_chords.generator.chords] == [0, 9, 7, 0]
    assert pitches(moved) == [[pitch + 2 for pitch in line] for line in pitches(plain)]
    assert [chord for _, chord in moved.labels["chords"]] == ["D:maj", "B:min", "A:maj", "D:maj"]
    low = compose(run=over_chords, chords="C | Am | G | C", semitones=-5)
    assert pitches(low) == [[pitch - 5 for pitch in line] for line in pitches(plain)]
    assert low.labels == plain.labels


def test_a_network_that_knows_no_common_key_gets_the_chords_as_they_are(over_chords):
    there = replace(over_chords, card={"recipe": "script", "data": {"normalise_key": False}})
    compose(run=there, chords="D | A")
    assert there.generator.chords == [(2, False), (9, False)]


def test_chords_have_a_default_where_they_are_needed(over_chords):
    piece = compose(run=over_chords)
    assert [str(chord) for chord in parse_chords(CHORDS)] == ["C", "Am", "F", "G", "C", "Am", "G", "C"]
    assert piece.n_bars == 8
    assert piece.labels["chords"][1] == [16, "A:min"]


def test_chords_that_cannot_be_asked_for_are_refused(composer, over_chords):
    with pytest.raises(ValueError, match="this network takes no chords; a MidiNet does"):
        compose(run=composer, chords="C | G")
    with pytest.raises(ValueError, match="bar 2, 'H', is not a chord"):
        compose(run=over_chords, chords="C | H")
    with pytest.raises(ValueError, match="which say the key: give it chords in D minor instead"):
        compose(run=over_chords, chords="C | G", key="D minor")


# What the package ships -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    return load_generator()


@pytest.mark.parametrize("name", ["C major", "A minor", "F# major", "D minor"])
def test_the_shipped_network_is_mostly_in_the_key_it_is_asked_for(name, shipped):
    found = [estimate_key(compose(8, seed, shipped, key=name)) for seed in range(8)]
    assert found.count(parse_key(name)) >= 7
    for seed in (2, 6):  # these were A minor for C major, and the other way round
        assert found[seed] == parse_key(name)


def test_the_shipped_network_composes_four_voices(shipped):
    piece = compose(8, seed=3, run=shipped)
    assert piece.n_bars == 8
    assert [track.name for track in piece.tracks] == ["soprano", "alto", "tenor", "bass"]
    assert all(len(track.notes) >= 8 for track in piece.tracks)
    for track in piece.tracks:
        assert all(a.end <= b.onset for a, b in zip(track.notes, track.notes[1:], strict=False))
    means = [np.average([n.pitch for n in t.notes], weights=[n.duration for n in t.notes]) for t in piece.tracks]
    assert means == sorted(means, reverse=True)
    assert compose(8, seed=3) == piece


def test_the_shipped_network_stays_in_key(shipped):
    inside = total = 0
    for seed in range(4):
        for track in compose(8, seed=seed, run=shipped).tracks:
            inside += sum(note.duration for note in track.notes if note.pitch % 12 in C_MAJOR)
            total += sum(note.duration for note in track.notes)
    # Seven of twelve keys by chance.
    assert inside / total > 0.8


def test_the_shipped_network_mostly_comes_home(shipped):
    home = 0
    for seed in range(8):
        piece = compose(4, seed=seed, run=shipped)
        last = {n.pitch % 12 for track in piece.tracks for n in track.notes if n.end == piece.n_bars * 16}
        home += last in ({0, 4, 7}, {9, 0, 4})
    assert home >= 6


def test_the_shipped_network_does_not_repeat_itself(shipped):
    assert len({compose(4, seed=seed, run=shipped).tracks for seed in range(6)}) == 6


def test_the_shipped_weights_are_small():
    with as_file(files("ganmusic") / "weights") as folder:
        found = [path for path in folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in found) <= 12_000_000
        # Nothing that would have to be unpickled.
        assert {path.suffix for path in found} <= {".json", ".md", ".safetensors"}
    assert {"choir", "chorales", "midinet", "musegan_hybrid"} <= set(checkpoint.shipped())


@pytest.mark.parametrize("name", checkpoint.shipped())
def test_shipped_weights_are_loaded_by_their_name_and_have_a_card(name):
    composer = load_generator(name)
    assert composer.card["recipe"] == name
    card = (checkpoint.find(name) / "README.md").read_text(encoding="utf-8")
    n_weights = sum(weight.numel() for weight in composer.generator.parameters())
    numbers = (f"update {composer.card['step']:,} of", f"{n_weights:,} parameters")
    for said in ("Licence", "Data", "held-out", "Limits", *numbers):
        assert said in card


def test_a_folder_of_one_s_own_comes_before_shipped_weights(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.rename("midinet")
    assert load_generator("midinet").card["recipe"] == "toy"
    with pytest.raises(CheckpointError, match="there is no run folder"):
        load_generator("weights/midinet")


def test_the_shipped_melodies_heed_their_chords():
    midinet = load_generator("midinet")
    z = midinet.generator.latent(100, 4, generator=torch.Generator().manual_seed(0))
    progressions = ("C | Am | F | C", "Am | F | G | Am")
    over = {text: midinet.generator.sample_over(z, parse_chords(text)) for text in progressions}
    heard = {text: chroma(rolls[:, 0, 0].numpy()) > 0 for text, rolls in over.items()}
    told = {text: chroma(rolls[:, 0, 1].numpy()) > 0 for text, rolls in over.items()}
    share = {(a, b): (heard[a] & told[b]).sum() / heard[a].sum() for a in over for b in over}
    for a, b in itertools.permutations(over, 2):
        assert 0.6 < share[a, a] < 0.8
        assert share[a, b] < share[a, a] - 0.12


def test_the_shipped_melodies_are_single_lines_of_fiddle_tunes():
    pieces = [compose(8, seed, "midinet", chords="D | Bm | G | A7 | D | Bm | A | D") for seed in range(4)]
    for piece in pieces:
        melody, chords = piece.tracks
        assert piece.n_bars == 8
        assert all(one.end <= other.onset for one, other in itertools.pairwise(melody.notes))
        assert 30 < len(melody.notes) < 90
        assert melody.notes[-1].pitch % 12 == 2 or melody.notes[-1].onset < 112  # on the tonic, where one came home
        assert len(chords.notes) == 24
        assert np.mean([note.pitch % 12 in {2, 4, 6, 7, 9, 11, 1} for note in melody.notes]) > 0.85
    assert len({piece.tracks[0].notes for piece in pieces}) == 4


def test_the_shipped_weights_are_those_of_the_shipped_recipe_and_corpus(shipped):
    recipe = recipes.RECIPES[shipped.card["recipe"]]
    data = recipes.clips(recipe.corpus, "train", recipe.n_bars)
    assert shipped.card["data"]["sha256"] == data.fingerprint()
    assert shipped.card["model"] == recipe.model
    sizes = recipes.sizes(recipe)[0]
    assert {**sizes, **shipped.card["generator"]} == sizes
    form = recipes.layout(recipe.corpus)
    assert (shipped.grid, shipped.names) == (form.grid, form.tracks)
    assert shipped.pitched == (True,) * 4
    assert shipped.normalised == form.normalise_key


def test_a_piece_needs_a_candidate():
    with pytest.raises(ValueError, match="at least 1 candidate, not 0"):
        compose(candidates=0)


@pytest.mark.parametrize("name", ["choir", "chorales"])
def test_the_numbers_on_the_card_are_what_the_weights_give(name):
    """The card's and the recipe's distances, computed again; another processor may flip a note here and there."""
    recipe = recipes.RECIPES[name]
    watch = recipes.distance(recipe)
    shipped = load_generator(name)

    def distance(roll):
        planes = torch.from_numpy(np.stack(roll, 1))
        return watch(SimpleNamespace(sample=lambda n: planes[:n]))

    test = recipes.held_out("chorales", "test", 4)
    ours = [sample_rolls(shipped, recipes.N_CLIPS, seed) for seed in (1, 2, 3)]
    sets = (ours, [test.roll], [shuffle_beats(test.roll, test.grid)])
    found = [np.mean([distance(roll) for roll in rolls]) for rolls in sets]
    card = (files("ganmusic") / "weights" / name / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"Fréchet distance to validation Bach \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)", card)
    assert found == pytest.approx([float(number) for number in row], rel=0.03)
    said = re.search(r"distance of (\d+) to validation music, where .* has (\d+) .* (\d+)\.", recipe.description)
    assert found == pytest.approx([float(number) for number in said.groups()], rel=0.04)


def test_chords_that_the_network_has_hardly_heard_are_named():
    """Fiddle tunes keep to the triads of their key: in D, those of D, G, A and their relatives."""
    midinet = load_generator("midinet")
    share = midinet.generator.familiar()
    assert share.sum().item() == pytest.approx(1.0, abs=1e-3)
    assert share[0, 0] > 0.3  # C major
    assert midinet.unfamiliar(parse_chords("D | G | A | Bm")) == []
    assert midinet.unfamiliar(parse_chords("Am | E | Dm | E")) == ["E"]


def test_a_network_of_a_fixed_length_composes_it_by_default():
    assert compose(run="musegan_hybrid").n_bars == 4
