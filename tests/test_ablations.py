"""The ablations: that each part is really left out, and what is kept of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import ablations  # noqa: E402 -- found in its own folder

from ganmusic import recipes  # noqa: E402
from ganmusic.keys import PROFILES  # noqa: E402
from ganmusic.models import choir  # noqa: E402
from ganmusic.sample import load_generator  # noqa: E402
from ganmusic.train import TrainConfig  # noqa: E402


def played(part):
    """The state after two updates without a part; the averaged weights, which are heard, by name."""
    recipe = recipes.RECIPES["choir"]
    batch = recipes.batches(recipe, TrainConfig(steps=2, **recipe.config))
    with ablations.without(part, 0) as game:
        torch.manual_seed(0)
        for step in range(2):
            game.step(batch(step))
    return game.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(scope="module")
def whole():
    return played("nothing")


def test_nothing_is_left_out_when_nothing_is_and_afterwards(whole):
    played("judges of bars and beats")
    assert same(whole, played("nothing"))


@pytest.mark.parametrize("part", [part for part in ablations.PARTS if part != "nothing"])
def test_each_part_makes_a_difference(part, whole):
    assert not same(whole, played(part))


def scores(game, before):
    """What the second voice thinks of its choices, by what was before."""
    told, near = game.generator.decoder.tell(torch.zeros(1, 32, 1))
    above = torch.eye(48)[50 - 36 + 2].expand(1, 1, 1, 4, 48)
    return game.generator.decoder.scores(told, near[:, :, 1], before, above)[0]


def into_beat(game):
    """Whether moves into a beat are liked, and parallels into it thought of."""
    told, near = game.generator.decoder.tell(torch.randn(1, 32, 1))
    above = torch.zeros(1, 1, 1, 4, 48)
    _, likes, parallel, _ = game.generator.decoder.scores(told, near[:, :, 1], torch.zeros(1, 1, 4, 48), above)
    assert all(x[:, :, 1:].any() for x in (likes, parallel))  # within the beat they are in any case
    return likes[:, :, 0].any(), parallel[:, :, 0].any()


CHORD = torch.zeros(64, 2, 4, 4, 16, 48)
CHORD[..., 20] = 1


def heard_in_lessons(game):
    """What the encoder hears of chords, all on one pitch."""
    heard = []
    hook = game.generator.encoder.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    game.generator.learn(CHORD)
    hook.remove()
    return heard[0]


#: For each part what shows that it is there, of a game that is played with it.
SHOWS = {
    "a lower price of codes": lambda game: game.generator.kl == 0.45,
    "a higher price of codes": lambda game: game.generator.kl == 0.45,
    "lessons in one key": lambda game: torch.equal(heard_in_lessons(game), CHORD[:, 0].flatten(2, 3)),
    "the voices' lines": lambda game: game.generator.decoder.tell(torch.randn(1, 32, 1))[1].any(),
    "the step before each beat": lambda game: not torch.equal(
        scores(game, torch.zeros(1, 1, 4, 48)), scores(game, torch.eye(48)[:4][None, None])
    ) or any(into_beat(game)),
    "beats that forget": lambda game: choir.FORGET > 0,
    "a liking for moves": lambda game: choir.by_move(torch.ones(25), torch.eye(48)[7]).any(),
    "parallels shown": lambda game: choir.parallels(torch.eye(48)[7], torch.eye(48)[:1], torch.eye(48)[2:3]).any(),
    "judges of bars and beats": lambda game: game.discriminator(torch.randn(1, 38, 16)).shape[1] == 3,
    "blurred codes": lambda game: game.augment is not None,
    "pairs in the loss": lambda game: game.loss.name.startswith("relativistic"),
    "R1 and R2": lambda game: game.penalty is not None,
    "the average of weights": lambda game: game.ema > 0,
    "questions": lambda game: game.generator.ask(torch.zeros(64, 2, 4, 4, 16, 48))[:, 3:7].any(),
}


@pytest.mark.parametrize("part", SHOWS)
def test_what_is_left_out_is_left_out_and_nothing_else(part):
    assert SHOWS.keys() == ablations.PARTS.keys() - {"nothing"}
    with ablations.without(part, 0) as game:
        torch.manual_seed(0)
        for other, there in SHOWS.items():
            if "price" in part and "price" in other:
                continue
            assert bool(there(game)) != (other == part), other


def test_the_table_has_means_and_spreads_and_arrows():
    heeded = ("heeds_mode", "heeds_density", "heeds_register", "right_pitches")

    def run(part, seed, distance, *left_out):
        values = dict.fromkeys(ablations.SHOWN, distance / 100) | {"frechet_distance": distance}
        return {"part": part, "seed": seed, "values": {k: v for k, v in values.items() if k not in left_out}}

    runs = [run("R1 and R2", 0, 40.0), run("R1 and R2", 1, 26.0), run("nothing", 0, 20.0), run("nothing", 1, 24.0)]
    runs += [run(ablations.BACH, 0, 7.0, *heeded), run("questions", 0, 20.0), run("questions", 1, 12.0)]
    runs += [run("blurred codes", seed, 12.0 - 2 * seed) for seed in (0, 1)]
    assert ablations.table({"runs": dict(enumerate(runs))}).splitlines() == [
        "| Bach, as learned from | 7 (7 to 7) | 0.07 | 0.07 | 0.07 | 0.07 | 0.07 | – | – | – | – |",
        "| nothing | 22 (20 to 24)" + " | 0.22" * 9 + " |",
        "| blurred codes | 11↓ (10 to 12)" + " | 0.11↓" * 9 + " |",
        "| R1 and R2 | 33↑ (26 to 40)" + " | 0.33↑" * 9 + " |",
        "| questions | 16 (12 to 20)" + " | 0.16" * 9 + " |",
    ]


def test_music_is_moved_within_the_grid():
    torch.manual_seed(0)
    low, high = torch.zeros(2, 1, 2, 1, 1, 4, 24)
    low[..., 3] = high[..., 22] = 1
    moved = ablations.moved(torch.cat([low, high]).repeat_interleave(300, 0))
    pitches = moved[:, 0, 0, 0, 0].argmax(-1)
    assert set(pitches[:300].tolist()) == set(range(9))
    assert set(pitches[300:].tolist()) == set(range(17, 24))
    assert torch.equal(moved.sum(-1), torch.ones(600, 2, 1, 1, 4))
    silent = torch.zeros(3, 2, 2, 2, 4, 24)
    assert torch.equal(ablations.moved(silent), silent)


def test_bach_is_what_was_learned_from_and_judged_like_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(ablations.RESULTS, "path", tmp_path / "ablations.json")
    ablations.train((ablations.BACH, 0))
    (run,) = ablations.RESULTS.read()["runs"].values()
    assert (run["part"], run["seed"]) == (ablations.BACH, 0)
    values = run["values"]
    assert {name for name in ablations.SHOWN if not name.startswith(("heeds", "right"))} < set(values)
    assert values["frechet_distance"] < 10
    assert 0.5 < values["coverage"] < 1


def test_heeding_is_the_share_of_the_difference_that_is_heard():
    class Obedient:
        """Is asked for something, and makes rolls that have a share of it."""

        usual = torch.linspace(0, 1, 101)[:, None] * torch.tensor([1.0, 10.0, 20.0])

        def latent(self, n, generator):
            return torch.zeros(n)

        def asking(self, n, mode=None, density=0.0, register=0.0):
            return torch.tensor([[{None: 0.0, "minor": 0.25, "major": 0.75}[mode], density, register]]).expand(n, -1)

        def sample(self, z, asked):
            mode, density, register = asked[0].tolist()
            roll = torch.zeros(len(z), 2, 1, 1, 64, 48)
            if mode:
                roll[:, 0, :, :, :, 0 if mode > 0.5 else 9] = 1  # C or A alone
            elif density:
                roll[:, :, :, :, : round(density), 0] = 1
            else:
                roll[:, 0, :, :, :, round(register / 2)] = 1
            return roll.bool()

    # Of modes of .25 and .75 what C and A alone have.
    major, minor = PROFILES["major"], PROFILES["minor"]
    mode = ((major[0] - minor[3]) - (major[9] - minor[0])) / 0.5
    # Of 1 to 9 notes a bar all; of a mean pitch of 2 to 18 half, 1 to 9.
    expected = {"heeds_mode": mode, "heeds_density": 1.0, "heeds_register": 0.5}
    assert ablations.heeds(Obedient()) == pytest.approx(expected, rel=1e-4)


def test_the_shipped_choir_writes_most_of_unseen_music():
    assert 0.65 < ablations.writes(load_generator("choir").generator)["right_pitches"] < 0.75


def test_chapter_10_has_the_table_as_it_was_measured():
    """All parts with the same seeds, word for word."""
    found = ablations.RESULTS.read()
    seeds = {part: set() for part in (ablations.BACH, *ablations.PARTS, ablations.WISHES)}
    for run in found["runs"].values():
        seeds[run["part"]].add(run["seed"])
    assert all(each == set(ablations.SEEDS) for each in seeds.values())
    chapter = json.loads((ROOT / "notebooks" / "10-our-model.ipynb").read_text(encoding="utf-8"))
    assert any(ablations.table(found) in "".join(cell["source"]) for cell in chapter["cells"])
