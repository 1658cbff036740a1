"""Recipes: what a run folder holds, what cannot be mixed up, and that a run goes on as if it had not stopped."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

import ganmusic
from ganmusic import checkpoint, midi, recipes
from ganmusic.checkpoint import CheckpointError
from ganmusic.corpora import CORPORA, Corpus, add
from ganmusic.models import MODELS
from ganmusic.pianoroll import Grid, Note, Piece, Track
from ganmusic.recipes import RECIPES
from ganmusic.sample import compose, load_generator
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
    sizes = {"n_tracks": 4, "n_steps": 16, "n_pitches": 48}
    assert config["generator"] == {**sizes, "channels": [16, 16, 8, 8, 8], "n_latent": 8}
    assert config["grid"] == {"n_steps": 16, "beats_per_bar": 4, "low": 36, "n_pitches": 48}
    assert config["tracks"] == ["soprano", "alto", "tenor", "bass"]
    assert config["programs"] == [48, 48, 48, 48]
    assert config["drums"] == [False, False, False, False]
    assert (config["train"]["steps"], config["train"]["minutes"]) == (3, None)
    assert (config["train"]["seed"], config["train"]["batch_size"]) == (SEED, 8)
    data = recipes.clips("toy", "train", 4)
    # Three of the toy's 24 pieces to train on are in 3/4.
    assert config["data"] == {
        "corpus": "toy",
        "pieces": 21,
        "pieces_left_out": {"another metre": 3},
        "clips": len(data),
        "sha256": data.fingerprint(),
        "normalise_key": True,
        "shifts": {str(shift): n for shift, n in sorted(Counter(data.shift.tolist()).items())},
        "notes_left_out": 0.0,
        "balance": None,
        "watched": True,
    }
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
    with pytest.raises(ValueError, match=r"'opera'; there are chorales, .*mlp, .*toy"):
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

    def dies(recipe, config, balance):
        batch = batches(recipe, config, balance)

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
    assert batch.shape == players.sample(3).shape
    assert recipe.programs is None or len(recipe.programs) == batch.shape[2]
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


# Other corpora --------------------------------------------------------------------------------------

NAMES = itertools.count()


@pytest.fixture
def corpus(monkeypatch):
    """A function that makes a corpus of pieces and returns its name; each piece's label says which split it is in."""

    def make(pieces, home=None):
        name = f"made-{next(NAMES)}"

        def load(split=None):
            yield from (piece for piece in pieces if split in (None, piece.labels["split"]))

        record = CORPORA["toy"]
        facts = {field: getattr(record, field) for field in ("title", "licence", "provenance", "bibtex")}
        kept = {} if home is None else {"home": lambda: home}
        monkeypatch.setitem(CORPORA, name, Corpus(name=name, loader=load, **facts, **kept))
        return name

    return make


def tune(number, grid, lines, *, n_bars=6, split="train", key=True):
    """A piece with a track for each line: (name, program, is_drum, chords), a chord a beat, cycled and transposed."""
    rng = np.random.default_rng([3, number])
    shift = number % 5
    tracks = []
    for name, program, is_drum, chords in lines:
        notes = [
            Note(beat * grid.steps_per_beat, grid.steps_per_beat, pitch + (0 if is_drum else shift))
            for beat in range(n_bars * grid.beats_per_bar)
            for pitch in chords[int(rng.integers(len(chords)))]
        ]
        tracks.append(Track(name, tuple(notes), program, is_drum))
    labels = {"split": split, **({"tonic": shift, "mode": "major"} if key else {})}
    return Piece(tuple(tracks), grid, 100.0, f"Tune {number}", 0, labels)


MELODY = ("melody", 73, False, ((72,), (76,), (79,), (74,)))
PIANO = ("piano", 0, False, ((60, 64, 67), (57, 60, 65), (55, 59, 62)))
LOW = ("bass", 33, False, ((29,), (36,), (31,)))
HIGH = ("bells", 9, False, ((96, 103), (91,)))
DRUMS = ("drums", 0, True, ((36, 42), (42,), (38, 42, 49)))

SHAPES = {
    "one melody": (Grid(), (MELODY,), 48),
    "five tracks with drums over seven octaves": (Grid(), (DRUMS, PIANO, MELODY, LOW, HIGH), 84),
    "three beats in twelve steps": (Grid(12, 3), (MELODY, PIANO), 48),
    "six eighths": (Grid(12, 2), (MELODY, LOW), 60),
    "twenty-four steps": (Grid(24, 4), (PIANO, DRUMS), 48),
    "eight tracks": (Grid(8, 4), tuple((f"part {k}", k, False, MELODY[3]) for k in range(8)), 48),
    "drums alone": (Grid(), (DRUMS,), 48),
    "a silent track": (Grid(), (MELODY, ("silence", 5, False, ((),))), 48),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_any_corpus_trains_and_composes_without_it(shape, corpus, tmp_path):
    grid, lines, n_pitches = SHAPES[shape]
    splits = ("train", "train", "train", "valid", "test")
    name = corpus([tune(i, grid, lines, split=split) for i, split in enumerate(splits)])
    history = recipes.train("toy", tmp_path / "run", corpus=name, steps=2, progress=False)
    assert np.isfinite([value for row in history.rows for value in row.values()]).all()
    assert history.best is not None
    recipes.clips.cache_clear()
    del CORPORA[name]
    composer = load_generator(tmp_path / "run")
    assert composer.grid.n_pitches == n_pitches
    piece = compose(3, run=composer, candidates=2)
    assert (piece.grid.n_steps, piece.grid.beats_per_bar) == (grid.n_steps, grid.beats_per_bar)
    assert [(t.name, t.program, t.is_drum) for t in piece.tracks] == [line[:3] for line in lines]
    assert piece.end <= 3 * grid.n_steps
    CORPORA[name] = CORPORA["toy"]  # for the fixture to take away


def test_the_plain_network_trains_on_other_shapes_too(corpus, tmp_path):
    name = corpus([tune(i, Grid(6, 3), (MELODY, DRUMS), split=("train", "valid")[i % 2]) for i in range(4)])
    recipes.train("mlp", tmp_path / "run", corpus=name, steps=1, progress=False)
    composer = load_generator(tmp_path / "run")
    piece = compose(4, run=composer, candidates=2)
    assert piece.grid == Grid(6, 3)
    assert [track.is_drum for track in piece.tracks] == [False, True]
    assert piece.title.startswith("mlp on made-")


def test_the_metre_of_most_bars_is_the_grid(corpus):
    long, short = (Grid(12, 3), Grid())
    pieces = [tune(0, long, (MELODY,), n_bars=20), tune(1, short, (MELODY,)), tune(2, short, (MELODY,))]
    name = corpus(pieces)
    assert recipes.layout(name).grid == Grid(12, 3)
    assert set(recipes.clips(name, "train", 4).piece.tolist()) == {0}


def test_the_pitches_are_those_that_nearly_all_pieces_keep_to(corpus):
    def layout(n_low):
        low = ("melody", 73, False, ((26, 76),))
        return recipes.layout(corpus([tune(0, Grid(), (low if i < n_low else MELODY,)) for i in range(40)]))

    assert layout(2).grid == Grid()  # one in twenty may be left out
    assert layout(3).grid == Grid(low=24, n_pitches=60)


def test_a_layout_is_that_of_the_training_split_alone(corpus):
    train = [tune(i, Grid(), (MELODY,)) for i in range(2)]
    unlike = [tune(i, Grid(12, 3), (LOW, DRUMS), split="valid", key=False) for i in range(9)]
    form = recipes.layout(corpus(train + unlike))
    assert form == recipes.layout(corpus(train))
    assert (form.tracks, form.programs, form.drums) == (("melody",), (73,), (False,))
    assert form.normalise_key


def test_a_layout_holds_none_of_the_pieces_and_looks_at_the_first_ones(corpus, monkeypatch):
    given_out = []

    class Endless:
        def __iter__(self):
            for i in itertools.count():
                piece = tune(i, Grid(), (MELODY,) if i < 30 else (MELODY, DRUMS))
                given_out.append(weakref.ref(piece))
                yield piece
                del piece
                assert sum(ref() is not None for ref in given_out) <= 2

    monkeypatch.setattr(recipes, "SURVEY", 30)
    assert recipes.layout(corpus(Endless())).tracks == ("melody",)
    assert len(given_out) == 30


def test_the_program_of_a_track_is_the_most_frequent(corpus):
    lines = [(("solo", program, False, MELODY[3]),) for program in (40, 56, 56)]
    assert recipes.layout(corpus([tune(i, Grid(), line) for i, line in enumerate(lines)])).programs == (56,)


def test_the_common_key_is_for_corpora_whose_keys_are_known(corpus):
    known = [tune(i, Grid(), (MELODY, DRUMS)) for i in range(20)]
    drums = tune(30, Grid(), (("melody", 73, False, ((),)), DRUMS), key=False)
    unknown = [tune(i, Grid(), (MELODY, DRUMS), key=False) for i in range(40, 42)]
    # A piece that has no pitches has no key to miss, and one in twenty without a key is left out.
    name = corpus([*known, drums, unknown[0]])
    assert recipes.layout(name).normalise_key
    data = recipes.clips(name, "train", 4)
    assert len(set(data.piece.tolist())) == 21
    assert sorted(set(data.shift.tolist())) == [-4, -3, -2, -1, 0]
    assert recipes._facts(recipes.Recipe(**{**vars(RECIPES["toy"]), "corpus": name}), data)["pieces_left_out"] == {
        "no known key": 1
    }
    other = corpus(known + unknown)
    assert not recipes.layout(other).normalise_key
    assert set(recipes.clips(other, "train", 4).shift.tolist()) == {0}
    assert not recipes.layout(corpus([tune(0, Grid(), (DRUMS,))])).normalise_key


def test_drums_stay_where_they_are_when_the_key_changes(corpus):
    data = recipes.clips(corpus([tune(3, Grid(), (MELODY, DRUMS))]), "train", 4)
    melody, drums = (set((np.flatnonzero(data.sounding[:, k].any((0, 1, 2))) + 36).tolist()) for k in (0, 1))
    assert set(data.shift.tolist()) == {-3}
    assert melody <= {72, 74, 76, 79}
    assert drums == {36, 38, 42, 49}


def test_a_single_line_is_the_highest_note_and_the_lowest_drum():
    notes = (Note(0, 8, 60), Note(0, 4, 67), Note(2, 4, 64), Note(4, 6, 55), Note(6, 2, 72), Note(8, 2, 72))
    line = recipes.single_line(Track("piano", notes, 1))
    # 60 lies under 67, and 64 begins while it sounds; 55 is cut off by 72.
    assert line == Track("piano", (Note(0, 4, 67), Note(4, 2, 55), Note(6, 2, 72), Note(8, 2, 72)), 1)
    drums = recipes.single_line(Track("kit", (Note(0, 1, 36), Note(0, 1, 42), Note(2, 2, 42), Note(3, 1, 38)), 0, True))
    assert drums.notes == (Note(0, 1, 36), Note(2, 1, 42), Note(3, 1, 38))


def test_the_convolutional_pair_sings_single_lines_and_the_plain_network_chords(corpus):
    chords = ("piano", 0, False, ((60, 64, 67),))
    name = corpus([tune(0, Grid(), (chords, MELODY))])
    recipe = recipes.Recipe(**{**vars(RECIPES["toy"]), "corpus": name})
    plain = recipes.Recipe(**{**vars(RECIPES["mlp"]), "corpus": name})
    config = TrainConfig(steps=1, batch_size=3)
    single, whole = (recipes.batches(r, config)(0).sum(-1) for r in (recipe, plain))
    assert single.max() == 1
    assert whole[:, 0, 0].unique().tolist() == [3]
    # Of each beat's four notes two are not sung.
    assert recipes.layout(name).left_out == 0.5


def test_a_run_says_what_was_left_out_before_it_begins(corpus, tmp_path, capsys):
    metres = [(Grid(), 6), (Grid(12, 3), 4), (Grid(), 3)]
    name = corpus([tune(i, grid, (PIANO,), n_bars=n, key=False) for i, (grid, n) in enumerate(metres)])
    recipes.train("toy", tmp_path / "run", corpus=name, steps=1)
    said = capsys.readouterr().err
    for remark in (
        "2 of 3 pieces to train on are left out (another metre 1, fewer than 4 full bars 1)",
        "what is trained on has 4 beats in 16 steps within the pitches 36..83",
        "66.7% of the notes",
        "keys are not known",
        "3 windows are fewer than a batch of 8",
        "no held-out distance is watched",
    ):
        assert f"corpus '{name}': " in said
        assert remark in said
    data = checkpoint.read_config(tmp_path / "run")["data"]
    assert (data["notes_left_out"], data["normalise_key"], data["shifts"]) == (0.6667, False, {"0": 3})
    assert (data["pieces"], data["watched"]) == (1, False)
    assert data["pieces_left_out"] == {"another metre": 1, "fewer than 4 full bars": 1}
    train(tmp_path / "toy", steps=1, progress=True)
    # Nothing of that for a corpus that is used whole, but for the pieces in 3/4.
    assert capsys.readouterr().err.count("corpus 'toy'") == 1


def test_without_validation_music_the_newest_checkpoint_plays(corpus, tmp_path):
    name = corpus([tune(0, Grid(), (MELODY,))])
    history = recipes.train("toy", tmp_path / "run", corpus=name, steps=2, progress=False)
    assert history.best is None
    assert load_generator(tmp_path / "run").card["step"] == 2


def test_drums_take_no_part_in_the_distance(corpus):
    pieces = [tune(i, Grid(), (DRUMS, MELODY), n_bars=9, split=("train", "valid")[i % 2]) for i in range(6)]
    name = corpus(pieces)
    recipe = recipes.Recipe(**{**vars(RECIPES["toy"]), "corpus": name})
    watch = recipes.distance(recipe)
    valid = recipes.clips(name, "valid", 4, monophonic=True)[:]
    other_drums, other_melody = valid.clone(), valid.clone()
    other_drums[:, :, 0] = other_drums[:, :, 0].flip(-2)
    other_melody[:, :, 1] = other_melody[:, :, 1].flip(-2)
    assert not torch.equal(other_drums, valid)
    assert watch(Plays(other_drums)) == watch(Plays(valid)) < watch(Plays(other_melody))


@pytest.mark.parametrize(
    ("pieces", "said"),
    [([], "has no notes to train on"),
     ([tune(0, Grid(20, 4), (MELODY,))], "bars of 20 steps do not fit"),
     ([tune(0, Grid(), (MELODY,)), tune(1, Grid(), (MELODY, DRUMS))],
      r"different tracks: 'Tune 1' has melody, drums \(drums\), others have melody$"),
     ([tune(0, Grid(), (MELODY,), n_bars=3)], "no piece has 4 full bars")],
    ids=["empty", "odd steps", "other tracks", "short"],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_said_before_a_run_begins(pieces, said, corpus, tmp_path):
    with pytest.raises(ValueError, match=said):
        recipes.train("toy", tmp_path / "run", corpus=corpus(pieces), steps=1, progress=False)
    assert not (tmp_path / "run").exists()


def test_an_unknown_corpus_is_an_error_that_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"'opera'.*chorales"):
        recipes.train("toy", tmp_path / "run", corpus="opera", steps=1, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_its_own_corpus(corpus, tmp_path):
    name = corpus([tune(i, Grid(), (MELODY,)) for i in range(2)])
    out = tmp_path / "run"
    recipes.train("toy", out, corpus=name, steps=1, progress=False)
    with pytest.raises(CheckpointError, match=f"run has corpus {name}, and cannot go on with toy"):
        recipes.train("toy", out, corpus="toy", steps=2, resume=True, progress=False)
    for recipe, steps in (("toy", 2), (None, 3)):
        recipes.train(recipe, out, steps=steps, resume=True, progress=False)
        config = checkpoint.read_config(out)
        assert (config["recipe"], config["data"]["corpus"], config["programs"]) == ("toy", name, [73])
    assert [row["step"] for row in checkpoint.read_log(out)] == [1, 2, 3]


def test_a_label_can_be_balanced(corpus, tmp_path):
    long, *short = (tune(i, Grid(), (MELODY,), n_bars=4 if i else 20) for i in range(3))
    moods = [(long, "tense"), *((piece, "calm") for piece in short)]
    name = corpus([replace(piece, labels={**piece.labels, "mood": mood}) for piece, mood in moods])
    data = recipes.clips(name, "train", 4, monophonic=True)
    assert {mood: len(numbers) for mood, numbers in data.groups("mood").items()} == {"calm": 2, "tense": 17}
    recipe = replace(recipes.RECIPES["toy"], corpus=name, programs=None)
    batch = recipes.batches(recipe, TrainConfig(steps=1, batch_size=8), balance="mood")(0)
    tense = {roll.numpy().tobytes() for roll in data[data.groups("mood")["tense"]]}
    assert sum(roll.numpy().tobytes() in tense for roll in batch) == 4
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="no label 'weather'"):
        recipes.train("toy", out, corpus=name, balance="weather", steps=1, progress=False)
    assert not out.exists()
    recipes.train("toy", out, corpus=name, balance="mood", steps=1, progress=False)
    assert checkpoint.read_config(out)["data"]["balance"] == "mood"
    recipes.train(None, out, steps=2, resume=True, progress=False)  # goes on balanced
    with pytest.raises(CheckpointError, match="run has balance mood, and cannot go on with mode"):
        recipes.train(None, out, balance="mode", steps=3, resume=True, progress=False)


# Bars on disk ---------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    """The folder of a corpus on disk."""
    (tmp_path / "home" / "notes").mkdir(parents=True)
    (tmp_path / "home" / "notes" / "pieces.json").write_text('{"contents": "1"}', encoding="utf-8")
    return tmp_path / "home"


def opened_again(name):
    recipes.clips.cache_clear()
    return recipes.clips(name, "train", 4)


def states(home):
    return [path for path in (home / "bars").iterdir() if path.is_dir()]


def test_finished_bars_are_opened_without_reading_a_piece(corpus, home):
    pieces = [tune(i, Grid(), (MELODY,), key=i > 0) for i in range(21)]
    name = corpus(pieces, home)
    data = recipes.clips(name, "train", 4)
    assert data.bars.left_out == {"no known key": 1}
    before = data.fingerprint()
    pieces.clear()
    again = opened_again(name)
    assert again.fingerprint() == before
    assert again.bars.left_out == {"no known key": 1}


@pytest.mark.parametrize("damage", ["interrupted", "no index", "damaged index", "damaged sidecar", "no settings"])
def test_bars_that_are_of_no_use_are_made_again(corpus, home, damage):
    pieces = [tune(i, Grid(), (MELODY,)) for i in range(4)]
    name = corpus(pieces, home)
    recipes.clips(name, "train", 4)
    (state,) = states(home)
    folder = state / f"{name}-train"
    if damage == "interrupted":  # of other pieces
        (state / f"{name}-train.json").unlink()
        (folder / "index.json").unlink()
    elif damage == "no index":
        (folder / "index.json").unlink()
    elif damage == "damaged index":
        (folder / "index.json").write_text("{", encoding="utf-8")
    elif damage == "damaged sidecar":
        (folder / "shard-00000.json").write_text("{", encoding="utf-8")
        (folder / "index.json").unlink()
    else:
        (folder / "settings.json").unlink()
        (folder / "index.json").unlink()
    pieces[1] = tune(9, Grid(), (MELODY,))
    data = opened_again(name)
    assert data.bars.titles() == ["Tune 0", "Tune 9", "Tune 2", "Tune 3"]
    data.bars.verify()


def test_bars_of_a_corpus_that_changed_are_kept_for_a_day_and_nothing_else_is_deleted(corpus, home):
    pieces = [tune(i, Grid(), (MELODY,)) for i in range(4)]
    name = corpus(pieces, home)
    old = recipes.clips(name, "train", 4)
    (state,) = states(home)
    mine = home / "bars" / "mine"
    mine.mkdir()
    long_ago = time.time() - 2 * recipes.KEEP
    os.utime(mine, (long_ago, long_ago))
    pieces[1] = tune(9, Grid(), (MELODY,))
    (home / "notes" / "pieces.json").write_text('{"contents": "2"}', encoding="utf-8")
    assert opened_again(name).fingerprint() != old.fingerprint()
    assert state.exists()  # a run that began before may be reading it
    os.utime(state, (long_ago, long_ago))
    before = old.fingerprint()
    opened_again(name)
    assert mine.exists()
    assert not state.exists()
    assert old.fingerprint() == before
    # What is opened is not old, however long ago it was made.
    (state,) = set(states(home)) - {mine}
    made = (state / f"{name}-train" / "index.json").stat().st_mtime_ns
    os.utime(state, (long_ago, long_ago))
    opened_again(name)
    assert (state / f"{name}-train" / "index.json").stat().st_mtime_ns == made
    assert time.time() - state.stat().st_mtime < recipes.KEEP


@pytest.mark.skipif(os.name != "posix", reason="Windows does not delete what is open")
def test_bars_that_are_deleted_in_a_run_can_still_be_read(corpus, home):
    pieces = [tune(i, Grid(), (MELODY,)) for i in range(4)]
    name = corpus(pieces, home)
    expected = recipes.clips(corpus(pieces), "train", 4)[:]
    data = recipes.clips(name, "train", 4)
    shutil.rmtree(home)
    assert torch.equal(data[:], expected)


def test_a_folder_whose_music_changed_is_trained_on_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("GANMUSIC_CACHE", str(tmp_path / "cache"))
    songs = tmp_path / "songs"
    songs.mkdir()
    hashes = set()
    # Other notes, and then the same notes a beat later.
    for k, (number, later) in enumerate(((0, 0), (20, 0), (20, 4))):
        for i in range(6):  # every file, as some are not trained on
            piece = tune(i + number, Grid(), (MELODY,), n_bars=8)
            notes = tuple(note._replace(onset=note.onset + later) for note in piece.tracks[0].notes)
            midi.write(replace(piece, tracks=(replace(piece.tracks[0], notes=notes),)), songs / f"{i}.mid")
        if k == 0:
            add("changing", songs)
        recipes.train("toy", tmp_path / f"run-{k}", corpus="changing", steps=1, progress=False)
        hashes.add(checkpoint.read_config(tmp_path / f"run-{k}")["data"]["sha256"])
    assert len(hashes) == 3
