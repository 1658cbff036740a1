"""MuseGAN: who hears which noise, what the critics listen to, and that a given track is played as it was given."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ganmusic import recipes
from ganmusic.metrics.harmony import triads_on_beats
from ganmusic.models.blocks import planes
from ganmusic.models.musegan import (
    COMPOSITIONS,
    MuseGANAccompanist,
    MuseGANDiscriminator,
    MuseGANGenerator,
    Temporal,
    jamming_penalty,
)
from ganmusic.models.musegan_small import SmallMuseGANDiscriminator, SmallMuseGANGenerator
from ganmusic.penalties import gradient_penalty
from ganmusic.recipes import RECIPES, Recipe, held_out
from ganmusic.sample import load_generator, sample_rolls, to_roll
from ganmusic.train import AdversarialGame

ROOT = Path(__file__).resolve().parent.parent
CHORALE, BAND = (4, 4, 16, 48), (5, 4, 16, 72)
SMALL = {"n_noise": 6, "channels": (12, 10, 8, 8, 6)}
NARROW = {"channels": (6, 8, 8, 10, 12)}
NAMES = [name for name in RECIPES if name.startswith("musegan")]


def n_weights(network):
    return sum(weight.numel() for weight in network.parameters())


def music(n, shape, seed=0):
    """Random rolls in which every track has something to do."""
    tracks, bars, steps, pitches = shape
    generator = torch.Generator().manual_seed(seed)
    sounding = torch.rand(n, tracks, bars, steps, pitches, generator=generator) < 0.1
    return planes(sounding.float())


def generator(composition="hybrid", shape=CHORALE, seed=0, **options):
    torch.manual_seed(seed)
    return MuseGANGenerator(*shape, composition=composition, **SMALL, **options).eval()


def critics(composition="hybrid", shape=CHORALE):
    torch.manual_seed(0)
    return MuseGANDiscriminator(*shape, composition=composition, **NARROW)


# Shapes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize(
    "shape", [CHORALE, BAND, (5, 4, 48, 84), (3, 2, 12, 36), (1, 1, 3, 12), (2, 7, 24, 24)], ids=str
)
def test_any_tracks_bars_and_octaves_fit_and_every_weight_learns(composition, shape):
    network, judge = generator(composition, shape).train(), critics(composition, shape)
    rolls = network(network.latent(3))
    assert rolls.shape == (3, 2, *shape)
    logits = judge(rolls)
    assert logits.shape == (3, shape[0] if composition == "jamming" else 1)
    logits.sum().backward()
    assert all(weight.grad is not None for weight in [*network.parameters(), *judge.parameters()])


def test_the_small_networks_are_of_the_tutorials_size():
    assert n_weights(SmallMuseGANGenerator(*BAND)) == 313_951
    assert n_weights(SmallMuseGANDiscriminator(*BAND)) == 204_321
    chorales = [n_weights(network(*CHORALE)) for network in (SmallMuseGANGenerator, SmallMuseGANDiscriminator)]
    said = "{:,} and {:,} weights".format(*chorales)
    for page in ("book/scoreboard.md", "notebooks/08-musegan.ipynb"):
        assert said in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("shape", [CHORALE, BAND, (1, 2, 4, 36), (2, 3, 24, 120)], ids=str)
def test_the_small_networks_fit_other_shapes(shape):
    small = SmallMuseGANGenerator(*shape)
    rolls = small(small.latent(2))
    assert rolls.shape == (2, 2, *shape)
    assert SmallMuseGANDiscriminator(*shape)(rolls).shape == (2, 1)


@pytest.mark.parametrize(
    ("build", "said"),
    [(lambda: MuseGANGenerator(composition="choir"), "'choir'; there are jamming, composer, hybrid"),
     (lambda: MuseGANDiscriminator(composition="choir"), "'choir'; there are jamming, composer, hybrid"),
     (lambda: MuseGANGenerator(n_pitches=50), "50 do not fit, a multiple of 12 does"),
     (lambda: MuseGANGenerator(n_steps=20), "bars of 20 steps"),
     (lambda: MuseGANGenerator(n_bars=0), "at least one track and one bar, not 4 and 0"),
     (lambda: MuseGANAccompanist(n_tracks=1), "at least one more"),
     (lambda: MuseGANAccompanist(given=4), "one of 0 to 3, not 4"),
     (lambda: SmallMuseGANGenerator(n_bars=1), "two bars, not 4 and 1"),
     (lambda: SmallMuseGANDiscriminator(n_steps=18), "multiple of 4 steps a bar, not 18"),
     (lambda: SmallMuseGANGenerator(n_pitches=24), "at least three, not 24")],
    ids=range(10),
)  # fmt: skip
def test_what_does_not_fit_is_said(build, said):
    with pytest.raises(ValueError, match=said):
        build()


# Noise ----------------------------------------------------------------------------------------------


def changed(network, owner, kind):
    """Tracks ``(track, bar)`` whose logits change with one noise vector."""
    z = network.latent(1, generator=torch.Generator().manual_seed(1))
    other = z.clone()
    other[:, owner, kind] += 1
    with torch.no_grad():
        return (network.logits(z) != network.logits(other)).flatten(4).any(-1).any(1)[0]


@pytest.mark.parametrize("kind", [0, 1], ids=["same in all bars", "each bar's"])
def test_shared_noise_is_heard_by_all_and_private_noise_by_its_track(kind):
    hybrid = generator("hybrid")
    assert changed(hybrid, 0, kind).all()
    for track in range(4):
        assert changed(hybrid, 1 + track, kind).any(1).tolist() == [other == track for other in range(4)]


@pytest.mark.parametrize("kind", [0, 1], ids=["same in all bars", "each bar's"])
def test_who_jams_hears_nobody_and_a_composer_has_one_noise(kind):
    jam = generator("jamming")
    for track in range(4):
        assert changed(jam, track, kind).any(1).tolist() == [other == track for other in range(4)]
    composer = generator("composer")
    assert composer.latent(2).shape[1] == 1
    assert changed(composer, 0, kind).all()


def test_one_noise_is_the_same_in_all_bars_and_the_other_unfolds():
    hybrid = generator("hybrid")
    n = hybrid.n_noise
    z = hybrid.latent(2)
    codes = hybrid.codes(z)
    assert codes.shape == (2, 4, 4, 4 * n)
    shared_clip, shared_bar, own_clip, own_bar = codes.split(n, -1)
    for track, bar in np.ndindex(4, 4):
        assert torch.equal(shared_clip[:, track, bar], z[:, 0, 0])
        assert torch.equal(own_clip[:, track, bar], z[:, 1 + track, 0])
    assert torch.equal(shared_bar[:, 0], shared_bar[:, 3])
    assert not torch.equal(own_bar[:, 0], own_bar[:, 3])
    for unfolded in (shared_bar, own_bar):
        assert (unfolded.std(2) > 0).all()


@pytest.mark.parametrize("n_bars", [1, 2, 3, 4, 9])
def test_the_temporal_network_unfolds_any_number_of_bars(n_bars):
    assert Temporal(5, n_bars)(torch.randn(3, 5)).shape == (3, 5, n_bars)


def test_noise_without_change_from_bar_to_bar_repeats_the_bar():
    """With the unfolded noise at nought, the four bars are one."""
    hybrid = generator("hybrid")
    for temporal in hybrid.temporal:
        torch.nn.init.zeros_(temporal[-1].weight)
    logits = hybrid.logits(hybrid.latent(2))
    assert torch.equal(logits[:, :, :, 0], logits[:, :, :, 3])


# Notes ----------------------------------------------------------------------------------------------


def test_a_monophonic_generator_chooses_one_pitch_or_silence():
    one = generator(monophonic=True)
    assert one.monophonic
    sounding = one(one.latent(3))[:, 0]
    assert set(sounding.detach().round(decimals=5).unique().tolist()) <= {0.0, 1.0}
    assert sounding.sum(-1).max() < 1.001
    logits = torch.full((1, 2, 1, 1, 2, 3), -1.0)
    logits[0, 0, 0, 0, 1, 2] = 0.5
    heard, _ = one.decide(logits)
    assert heard[0, 0, 0].tolist() == [[0, 0, 0], [0, 0, 1]]  # nothing is over 0; one is


def test_otherwise_a_pitch_is_heard_above_one_half():
    many = generator()
    assert not many.monophonic
    z = many.latent(3)
    rolls, heard = many(z), many.sample(z)
    assert torch.equal(rolls[:, 0] > 0.5, heard[:, 0])
    assert heard[:, 0].sum(-1).max() > 1


def test_a_held_pitch_that_is_struck_again_is_two_notes():
    sounding = torch.ones(1, 1, 2, 3, 1)
    struck = torch.zeros(1, 1, 2, 3, 1)
    struck[0, 0, 1, 1] = 1
    assert planes(sounding, struck)[0, 1].flatten().tolist() == [1, 0, 0, 0, 1, 0]
    assert planes(sounding)[0, 1].flatten().tolist() == [1, 0, 0, 0, 0, 0]


# Critics --------------------------------------------------------------------------------------------


def test_a_critic_hears_notes_chroma_and_onsets():
    judge = critics()
    rolls = music(2, CHORALE)
    heard = judge(rolls)
    softer = rolls.clone()
    softer[:, 1] = softer[:, 1].flip(-2)  # the same sound, other onsets
    assert not torch.allclose(judge(softer), heard)
    # Each stream by itself: with the others deafened, its own change is still heard.
    for stream, change in (
        ("onsets", lambda x: torch.stack([x[:, 0], x[:, 1].flip(-2)], 1)),
        ("chroma", lambda x: x.roll(1, -1)),
        ("notes", lambda x: x.roll(12, -1)),
    ):
        deaf = critics()
        for name in {"onsets", "chroma", "notes"} - {stream}:
            for weight in getattr(deaf.critics[0], name).parameters():
                torch.nn.init.zeros_(weight)
        assert not torch.allclose(deaf(change(rolls)), deaf(rolls)), stream


def test_the_chroma_stream_is_deaf_to_octaves_and_the_onset_stream_to_pitches():
    rolls = music(2, CHORALE)
    for stream, change in (("chroma", rolls.roll(12, -1)), ("onsets", rolls[..., torch.randperm(48)])):
        deaf = critics()
        for name in {"onsets", "chroma", "notes"} - {stream}:
            for weight in getattr(deaf.critics[0], name).parameters():
                torch.nn.init.zeros_(weight)
        assert torch.allclose(deaf(change), deaf(rolls), atol=1e-5), stream


def test_a_critic_hears_which_bar_comes_first():
    judge, rolls = critics(), music(2, CHORALE)
    assert not torch.allclose(judge(rolls.flip(3)), judge(rolls))


def test_each_critic_of_a_jam_hears_its_own_track():
    judge, rolls = critics("jamming"), music(2, CHORALE)
    other = rolls.clone()
    other[:, :, 2] = other[:, :, 2].roll(3, -1)
    differs = (judge(other) - judge(rolls)).abs().sum(0) > 1e-6
    assert differs.tolist() == [False, False, True, False]


def test_the_penalty_of_a_jam_is_that_of_each_track_by_itself():
    shape = (2, 1, 4, 12)
    judge, real, fake = critics("jamming", shape), music(3, shape), music(3, shape, seed=1)
    torch.manual_seed(3)
    together = jamming_penalty(judge, real, fake)
    alone = []
    for track in range(2):
        torch.manual_seed(3)
        alone.append(gradient_penalty(judge.critics[track], real[:, :, [track]], fake[:, :, [track]]))
    assert alone[0].item() != pytest.approx(alone[1].item(), rel=1e-3)
    assert together.item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)
    together.backward()
    assert all(weight.grad is not None for name, weight in judge.named_parameters() if name.endswith("weight"))


# A given track --------------------------------------------------------------------------------------


def accompanist(shape=CHORALE, given=0, **options):
    torch.manual_seed(0)
    return MuseGANAccompanist(*shape, given=given, n_told=3, **SMALL, **options)


@pytest.mark.parametrize("given", [0, 2, 3])
def test_a_given_track_is_played_bit_for_bit_among_others(given):
    network, real = accompanist(given=given), music(3, CHORALE)
    z, asked = network.latent(3), network.ask(real)
    assert asked.shape == (3, 2, 4, 16, 48)
    for rolls in (network(z, asked), network.eval().sample(z, asked)):
        assert rolls.shape == real.shape
        assert torch.equal(rolls[:, :, given].float(), real[:, :, given])
        assert not any(torch.equal(rolls[:, :, k].float(), real[:, :, given]) for k in range(4) if k != given)


def test_the_others_follow_the_given_track_in_the_bar_that_it_changes():
    network, real = accompanist(given=1).eval(), music(1, CHORALE)
    z = network.latent(1)
    other = real.clone()
    other[:, :, 1, 2] = other[:, :, 1, 2].roll(5, -1)
    one, two = (network(z, network.ask(x)) for x in (real, other))
    differs = (one != two)[0, 0].flatten(2).any(-1)  # (track, bar); onsets look back over the bar line
    assert differs.tolist() == [[False, False, True, False]] * 4


def test_a_given_track_of_another_shape_is_refused():
    network = accompanist()
    z = network.latent(2)
    with pytest.raises(ValueError, match=r"= \(2, 2, 4, 16, 48\), not \(1, 2, 4, 16, 48\)"):
        network(z, torch.zeros(1, 2, 4, 16, 48))


def test_without_a_given_track_it_plays_to_those_it_remembers():
    network, real = accompanist(n_examples=2), music(3, CHORALE)
    network.eval().ask(real)
    assert not network.sample(network.latent(2))[:, :, 0].any()  # it has learned from none
    network.train().ask(real)
    rolls = network.eval().sample(network.latent(5))
    for k in range(5):
        assert torch.equal(rolls[k, :, 0].float(), real[k % 2, :, 0])


def test_a_band_of_five_accompanies_too():
    network = accompanist(BAND, given=4)
    assert network(network.latent(2), network.ask(music(2, BAND))).shape == (2, 2, *BAND)


# Training -------------------------------------------------------------------------------------------


def small_recipe(name, corpus="chorales", batch_size=4):
    recipe = RECIPES[name]
    if recipe.model == "musegan_small":
        sizes = ({}, {})
    else:
        sizes = ({**recipe.generator, **SMALL}, {**recipe.discriminator, **NARROW})
    return Recipe(**{**vars(recipe), "generator": sizes[0], "discriminator": sizes[1], "corpus": corpus})


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_trains(name, tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, name, small_recipe(name, "toy"))
    before = recipes.game(RECIPES[name]).generator.state_dict()
    history = recipes.train(name, tmp_path / "run", steps=2, progress=False)
    assert [row["step"] for row in history.rows] == [1, 2]
    assert all(np.isfinite(value) for row in history.rows for value in row.values())
    composer = load_generator(tmp_path / "run")
    assert any(not torch.equal(before[key], value) for key, value in composer.generator.state_dict().items())
    rolls = sample_rolls(composer, 3, seed=1)
    assert rolls.sounding.shape == (3, 4, 4, 16, 48)
    assert (rolls.sounding == sample_rolls(composer, 3, seed=1).sounding).all()


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_a_band_of_five_is_trained(composition):
    penalty = jamming_penalty if composition == "jamming" else gradient_penalty
    network = generator(composition, BAND).train()
    game = AdversarialGame(network, critics(composition, BAND), "wasserstein", penalty=penalty, learning_rate=1e-3)
    row = game.step(music(4, BAND))
    assert all(np.isfinite(value) for value in row.values())
    assert game.sample(2).shape == (2, 2, *BAND)


def test_in_training_an_accompanist_is_asked_for_what_its_batch_has():
    network = accompanist()
    game = AdversarialGame(network, critics(), "wasserstein", penalty=gradient_penalty)
    real = music(4, CHORALE)
    game.step(real)
    assert torch.equal(game.sample(3)[:, :, 0].float(), real[:3, :, 0])


# The weights that come with the package -------------------------------------------------------------


def test_the_shipped_hybrid_makes_chords_out_of_what_its_voices_share():
    composer = load_generator("musegan_hybrid")
    rolls = sample_rolls(composer, 60, seed=1)
    assert rolls.sounding.shape == (60, 4, 4, 16, 48)
    assert rolls.sounding.sum(-1).max() == 1
    # Of voices that do not know of each other, Bach's from different chorales, .11.
    assert np.nanmean(triads_on_beats(rolls, composer.grid)) > 0.2
    z = composer.generator.latent(60, generator=torch.Generator().manual_seed(1))
    strangers = z.clone()
    strangers[:, 0] = z[:, 0].roll(1, 0)
    same = (composer.generator.sample(z) == composer.generator.sample(strangers))[:, 0].all(-1)
    assert same.float().mean() < 0.5


def test_the_shipped_accompanist_answers_the_melody_that_it_is_given():
    composer = load_generator("musegan_accompanist")
    player = composer.generator
    real = torch.from_numpy(np.stack(held_out("chorales", "test", 4).roll, 1)[:250]).float()
    answered = player.sample(player.latent(250, generator=torch.Generator().manual_seed(1)), player.ask(real))
    assert torch.equal(answered[:, :, 0].float(), real[:, :, 0])
    stranger = torch.cat([answered[:, :, :1].roll(20, 0), answered[:, :, 1:]], 2)
    rolls = {"ours": answered, "Bach": real, "stranger": stranger}
    triads = {who: np.nanmean(triads_on_beats(to_roll(each), composer.grid)) for who, each in rolls.items()}
    said = r"82 to validation .* (\.\d+) of the beats have a triad \(Bach (\.\d+)\), and (\.\d+) under another soprano"
    numbers = re.search(said, RECIPES["musegan_accompanist"].description).groups()
    assert list(triads.values()) == pytest.approx([float(number) for number in numbers], abs=0.012)
    watched = recipes.distance(RECIPES["chorales"])(SimpleNamespace(sample=lambda n: answered[:n]))
    assert watched == pytest.approx(82, rel=0.03)
