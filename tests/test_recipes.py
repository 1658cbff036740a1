"""Recipes: what a run folder holds, what cannot be mixed up, and that a run goes on as if it had not stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import ganmusic
from ganmusic import checkpoint, midi, recipes
from ganmusic.checkpoint import CheckpointError
from ganmusic.corpora import CORPORA
from ganmusic.models import MODELS
from ganmusic.recipes import RECIPES
from ganmusic.train import TrainConfig

SEED = 7


def train(out, **options):
    return recipes.train("toy", out, **{"seed": SEED, "progress": False, **options})


def content(run):
    """Every file of a run, byte for byte; for the times in them, see `same_weights`."""
    return {path.relative_to(run): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def same_weights(run, other):
    one, two = (checkpoint.load(checkpoint.latest(folder))[0] for folder in (run, other))
    return set(one) == set(two) and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of three updates; tests that write have a folder of their own."""
    out = tmp_path_factory.mktemp("runs") / "new" / "toy"
    train(out, steps=3)
    return out


# What a run holds -----------------------------------------------------------------------------------


def test_the_config_says_what_was_trained_on_what_and_with_which_versions(run):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["format"] == checkpoint.FORMAT
    assert (config["recipe"], config["model"]) == ("toy", "convnet")
    assert config["generator"] == {"channels": [16, 16, 8, 8, 8], "n_latent": 8}
    assert config["grid"] == {"n_steps": 16, "beats_per_bar": 4, "low": 36, "n_pitches": 48}
    assert config["tracks"] == ["soprano", "alto", "tenor", "bass"]
    assert config["programs"] == [48, 48, 48, 48]
    assert (config["train"]["steps"], config["train"]["minutes"]) == (3, None)
    assert (config["train"]["seed"], config["train"]["batch_size"]) == (SEED, 8)
    data = recipes.clips("toy", "train", 4)
    assert config["data"] == {"corpus": "toy", "clips": len(data), "sha256": data.fingerprint()}
    assert config["versions"]["ganmusic"] == ganmusic.__version__
    assert config["versions"]["torch"] == torch.__version__
    assert set(config["versions"]) >= {"ganmusic", "torch", "python"}


def test_the_run_has_a_log_and_a_checkpoint_with_its_score(run):
    assert [row["step"] for row in checkpoint.read_log(run)] == [1, 2, 3]
    _, state = checkpoint.load(checkpoint.latest(run))
    assert state["step"] == 3
    assert state["best"]["step"] == 3
    assert state["best"]["score"] == checkpoint.read_log(run)[-1]["score"] > 0


def test_samples_are_midi_files_of_four_bars(run):
    paths = sorted((run / "samples").iterdir())
    # Four clips after the first update and four after the last.
    assert [path.name for path in paths] == [f"step-{step:08d}-{index}.mid" for step in (1, 3) for index in range(4)]
    pieces = [midi.read(path) for path in paths]
    assert all(0 < piece.n_bars <= 4 for piece in pieces)
    assert all(len(piece.tracks) <= 4 for piece in pieces)
    assert any(len(piece.tracks) == 4 for piece in pieces)
    assert all(36 <= note.pitch < 84 for piece in pieces for track in piece.tracks for note in track.notes)
    assert len({piece.tracks for piece in pieces[:4]}) == 4


def test_samples_are_drawn_from_the_same_noise(run, tmp_path):
    # The first update's samples are those of any run with this seed.
    train(tmp_path / "short", steps=1)
    for index in range(4):
        name = f"samples/step-00000001-{index}.mid"
        # Of a run that ends there, with its learning rate and all: the first update is the same.
        assert (tmp_path / "short" / name).read_bytes() == (run / name).read_bytes()


def test_a_seed_repeats_a_run_and_another_does_not(run, tmp_path):
    train(tmp_path / "again", steps=3)
    assert same_weights(tmp_path / "again", run)
    train(tmp_path / "other", steps=3, seed=SEED + 1)
    assert not same_weights(tmp_path / "other", run)


def test_without_a_budget_a_recipe_trains_for_its_own_steps(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(recipes, "fit", lambda game, batch, config, *args, **options: asked.append(config))
    train(tmp_path / "own")
    train(tmp_path / "timed", minutes=1.5, threads=2)
    assert (asked[0].steps, asked[0].minutes, asked[0].batch_size) == (20, None, 8)
    assert (asked[1].steps, asked[1].minutes, asked[1].threads) == (None, 1.5, 2)
    with pytest.raises(ValueError, match="either steps or minutes"):
        train(tmp_path / "both", steps=3, minutes=1.0)
    assert len(asked) == 2


# What is refused ------------------------------------------------------------------------------------


def test_an_unknown_recipe_is_an_error_that_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="'opera'; there are chorales, mlp, toy"):
        recipes.train("opera", tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(run):
    before = content(run)
    with pytest.raises(FileExistsError, match=r"toy holds a run already: resume it"):
        train(run, steps=3)
    assert content(run) == before


@pytest.fixture
def begun(tmp_path):
    """A run that was cut off after two of four updates, with a checkpoint at the second."""
    out = tmp_path / "begun"
    stop_after(out, 2)
    return out


def stop_after(out, step, n_steps=4, **options):
    """Begin a run of `n_steps` with checkpoints and scores at every update, and kill it in the one after `step`."""
    often = {"batch_size": 8, "save_every": 1, "watch_every": 1, "sample_every": 1}
    recipe = recipes.Recipe(**{**vars(RECIPES["toy"]), "config": often})

    class KilledError(Exception):
        pass

    def dies(recipe, config):
        batch = batches(recipe, config)

        def until(update):
            if update >= step:
                raise KilledError
            return batch(update)

        return until

    batches = recipes.batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "toy", recipe)
        if step < n_steps:
            patch.setattr(recipes, "batches", dies)
            with pytest.raises(KilledError):
                train(out, steps=n_steps, **options)
        else:
            train(out, steps=n_steps, **options)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [("toy", {"seed": SEED + 1}, r"has seed 7, and cannot go on with 8"),
     ("mlp", {}, r"has recipe toy, and cannot go on with mlp")],
)  # fmt: skip
def test_a_run_goes_on_with_its_own_recipe_and_seed_only(name, changes, said, begun):
    before = content(begun)
    with pytest.raises(CheckpointError, match=f"begun {said}"):
        recipes.train(name, begun, resume=True, progress=False, **changes)
    assert content(begun) == before


def test_a_run_goes_on_with_its_own_data_only(begun):
    path = begun / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"data": config["data"] | {"sha256": "abc"}}), encoding="utf-8")
    before = content(begun)
    with pytest.raises(CheckpointError, match="begun has data abc, and cannot go on with"):
        recipes.train("toy", begun, resume=True, progress=False)
    assert content(begun) == before


def test_there_must_be_a_run_to_take_the_recipe_from(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no run folder .*nowhere"):
        recipes.train(None, tmp_path / "nowhere", resume=True, progress=False)
    assert not (tmp_path / "nowhere").exists()


# Going on -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["toy", None])
def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(name, begun, tmp_path):
    assert checkpoint.latest(begun).name == "checkpoint-00000002"
    stop_after(tmp_path / "whole", 4)
    # No seed, no budget: the run's own.
    history = recipes.train(name, begun, resume=True, progress=False)
    assert [row["step"] for row in history.rows] == [1, 2, 3, 4]
    assert same_weights(begun, tmp_path / "whole")
    rows, expected = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in checkpoint.read_log(folder)]
        for folder in (begun, tmp_path / "whole")
    )
    assert rows == expected
    assert checkpoint.read_config(begun) == checkpoint.read_config(tmp_path / "whole")
    samples = {path: data for path, data in content(begun).items() if path.parts[0] == "samples"}
    assert samples == {p: d for p, d in content(tmp_path / "whole").items() if p.parts[0] == "samples"}
    assert len(samples) == 16


def test_resuming_where_nothing_was_begun_begins(tmp_path, run):
    train(tmp_path / "fresh", steps=3, resume=True)
    assert same_weights(tmp_path / "fresh", run)


def test_a_finished_run_can_be_made_longer(tmp_path):
    out = tmp_path / "longer"
    train(out, steps=1)
    history = recipes.train("toy", out, steps=2, resume=True, progress=False)
    assert [row["step"] for row in history.rows] == [1, 2]
    assert checkpoint.read_config(out)["train"]["steps"] == 2
    assert checkpoint.read_config(out)["train"]["seed"] == SEED


# The parts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_says_what_it_gives_and_names_what_there_is(recipe):
    assert len(recipe.description) > 20
    assert recipe.corpus in CORPORA
    assert recipe.model in MODELS
    assert recipe.steps >= 1
    assert TrainConfig(steps=recipe.steps, **recipe.config).batch_size >= 1


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_builds_networks_that_fit_its_data(recipe):
    players = recipes.game(recipe, seed=1)
    config = TrainConfig(steps=2, **{**recipe.config, "batch_size": 3})
    batch = recipes.batches(recipe, config)(0)
    assert batch.shape == players.generator(players.generator.latent(3)).shape
    assert len(recipe.programs) == batch.shape[2]
    row = players.step(batch)
    assert all(np.isfinite(value) for value in row.values())
    assert {"discriminator_loss", "generator_loss"} <= set(row)


def test_batches_depend_on_seed_and_step_alone():
    recipe = RECIPES["toy"]
    one, again = (recipes.batches(recipe, TrainConfig(steps=9, batch_size=5, seed=2)) for _ in range(2))
    for step in (4, 0, 7):
        assert torch.equal(one(step), again(step))
    assert not torch.equal(one(4), one(5))
    assert not torch.equal(one(4), recipes.batches(recipe, TrainConfig(steps=9, batch_size=5, seed=3))(4))
    assert one(0).shape == (5, 2, 4, 4, 16, 48)


def test_batches_are_of_the_training_split():
    recipe = RECIPES["toy"]
    data = recipes.clips("toy", "train", 4)
    epoch = recipes.batches(recipe, TrainConfig(steps=1, batch_size=len(data)))(0)
    known = sorted(window.numpy().tobytes() for window in data[:])
    assert sorted(window.numpy().tobytes() for window in epoch) == known


def test_a_game_is_drawn_from_its_seed():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    one, again, other = (recipes.game(RECIPES["toy"], seed) for seed in (3, 3, 5))
    assert torch.equal(torch.get_rng_state(), before)
    for player in ("generator", "discriminator", "averaged"):
        weights, same, others = (getattr(game, player).state_dict() for game in (one, again, other))
        assert set(weights) == set(same)
        assert all(torch.equal(weights[name], same[name]) for name in weights)
        assert any(not torch.equal(weights[name], others[name]) for name in weights)


class Plays:
    """A game that only samples: given clips, or noise as dense."""

    def __init__(self, rolls):
        self.rolls = rolls

    def sample(self, n):
        return self.rolls[np.random.default_rng(1).permutation(len(self.rolls))[:n]]


def test_the_held_out_distance_prefers_music_to_noise():
    recipe = RECIPES["chorales"]
    watch = recipes.distance(recipe)
    held_out, seen = (recipes.clips("chorales", split, 4)[:] for split in ("test", "train"))
    # Noise with the voices' own ranges and as many notes: each clip's pitches are moved at random, step by step.
    generator = torch.Generator().manual_seed(0)
    shifts = torch.randint(-3, 4, (4, 4, 16), generator=generator)
    noise = held_out.clone()
    for track, bar, step in np.ndindex(4, 4, 16):
        shift = int(shifts[track, bar, step])
        noise[:, :, track, bar, step] = held_out[:, :, track, bar, step].roll(shift, -1)
    real, trained_on, spoilt = (watch(Plays(rolls)) for rolls in (held_out, seen, noise))
    assert 0 < real < 40
    assert 0 < trained_on < 40
    assert spoilt > 2 * max(real, trained_on)
    assert watch(Plays(held_out)) == real


def test_the_held_out_distance_is_to_validation_music(monkeypatch):
    recipe = RECIPES["chorales"]
    monkeypatch.setattr(recipes, "N_CLIPS", 60)
    validation = recipes.clips("chorales", "valid", 4)
    # Whoever plays the validation clips themselves is at no distance.
    chosen = np.random.default_rng(0).permutation(len(validation))[:60]
    game = Plays(validation[chosen])
    assert recipes.distance(recipe)(game) == pytest.approx(0, abs=1e-3)
    assert recipes.distance(recipe)(Plays(recipes.clips("chorales", "test", 4)[:])) > 5
