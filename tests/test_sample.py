"""Composing: which checkpoint plays, what the seed decides, how a piece ends, and what the package ships."""

from __future__ import annotations

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
from ganmusic.metrics.controls import shuffle_beats
from ganmusic.models.mlp import MLPGenerator
from ganmusic.pianoroll import Grid
from ganmusic.sample import Composer, compose, load_generator, sample_rolls

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
    with pytest.raises(CheckpointError, match=r"there is no run folder .*nowhere"):
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
     (other_model, "does not fit this version"), (other_size, "does not fit this version"),
     (other_option, "does not fit this version"), (no_grid, "does not fit this version")],
)  # fmt: skip
def test_what_is_wrong_with_a_run_is_said_with_its_name(harm, said, run):
    load_generator(run)
    harm(run)
    with pytest.raises(CheckpointError, match=rf"(?s)toy run.*{said}"):
        load_generator(run)


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

    def latent(self, n, n_bars=4, generator=None):
        self.asked = (n, n_bars)
        return torch.zeros(n, n_bars)

    def sample(self, z):
        rolls = torch.zeros(len(z), 2, 2, z.shape[1], 16, 48, dtype=torch.bool)
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


# What the package ships -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    return load_generator()


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


def test_the_shipped_weights_are_small_and_have_a_card():
    with as_file(files("ganmusic") / "weights") as folder:
        found = [path for path in folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in found) <= 6_000_000
        # Nothing that would have to be unpickled.
        assert {path.suffix for path in found} <= {".json", ".md", ".safetensors"}
        card = (folder / "chorales" / "README.md").read_text(encoding="utf-8")
        state = json.loads((checkpoint.latest(folder / "chorales") / "state.json").read_text(encoding="utf-8"))
    for said in ("Licence", "Data", "Training", "held-out", "Limits", f"{state['step']:,}"):
        assert said in card


def test_the_shipped_weights_are_those_of_the_shipped_recipe_and_corpus(shipped):
    recipe = recipes.RECIPES[shipped.card["recipe"]]
    data = recipes.clips(recipe.corpus, "train", recipe.n_bars)
    assert shipped.card["data"]["sha256"] == data.fingerprint()
    assert shipped.card["model"] == recipe.model
    assert shipped.card["generator"] == recipe.generator


def test_a_piece_needs_a_candidate():
    with pytest.raises(ValueError, match="at least 1 candidate, not 0"):
        compose(candidates=0)


def test_the_numbers_on_the_card_are_what_the_weights_give():
    """The card's and the recipe's distances, computed again; another processor may flip a note here and there."""
    recipe = recipes.RECIPES["chorales"]
    watch = recipes.distance(recipe)
    shipped = load_generator()

    def distance(roll):
        planes = torch.from_numpy(np.stack(roll, 1))
        return watch(SimpleNamespace(sample=lambda n: planes[:n]))

    test = recipes.held_out("chorales", "test", 4)
    ours = [sample_rolls(shipped, recipes.N_CLIPS, seed) for seed in (1, 2, 3)]
    sets = (ours, [test.roll], [shuffle_beats(test.roll, test.grid)])
    found = [np.mean([distance(roll) for roll in rolls]) for rolls in sets]
    card = (files("ganmusic") / "weights" / "chorales" / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"Fréchet distance to validation Bach \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)", card)
    assert found == pytest.approx([float(number) for number in row], rel=0.03)
    said = re.search(r"distance of (\d+) to validation music, where .* has (\d+) .* (\d+)\.", recipe.description)
    assert found == pytest.approx([float(number) for number in said.groups()], rel=0.04)
