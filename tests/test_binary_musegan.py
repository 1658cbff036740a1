"""Binary neurons: zeros and ones forward, a sigmoid's slope backward, and nothing else that differs."""

import numpy as np
import pytest
import torch

from ganmusic import recipes
from ganmusic.models.binary_musegan import (
    ENDINGS,
    BinaryMuseGANGenerator,
    deterministic_neuron,
    stochastic_neuron,
)
from ganmusic.models.musegan import COMPOSITIONS, MuseGANDiscriminator
from ganmusic.penalties import gradient_penalty
from ganmusic.recipes import RECIPES, Recipe
from ganmusic.sample import load_generator, sample_rolls
from ganmusic.train import AdversarialGame

SMALL = {"n_noise": 6, "channels": (12, 10, 8, 8, 6)}
NARROW = {"channels": (6, 8, 8, 10, 12)}
NEURONS = ("deterministic", "stochastic")


def generator(ending, seed=0, **options):
    torch.manual_seed(seed)
    return BinaryMuseGANGenerator(**{"ending": ending, **SMALL, **options})


def game(ending, **options):
    network = generator(ending, **options)
    judge = MuseGANDiscriminator(**NARROW)
    return AdversarialGame(network, judge, "wasserstein", penalty=gradient_penalty, penalty_weight=10.0, ema=0.9)


def real(n=4):
    sounding = torch.rand(n, 1, 4, 4, 16, 48, generator=torch.Generator().manual_seed(2)) < 0.1
    return sounding.expand(-1, 2, -1, -1, -1, -1)


# Neurons --------------------------------------------------------------------------------------------


def test_a_deterministic_neuron_is_a_step():
    logits = torch.tensor([-2.0, -0.1, 0.1, 3.0])
    for slope in (0.5, 1.0, 4.0):
        assert deterministic_neuron(logits, slope).tolist() == pytest.approx([0, 0, 1, 1])


@pytest.mark.parametrize("neuron", [deterministic_neuron, stochastic_neuron])
@pytest.mark.parametrize("slope", [1.0, 2.5])
def test_backward_it_is_a_sigmoid_of_that_slope(neuron, slope):
    """The slope of sigmoid(a x) is a s (1 - s): at x = 0.4 and a = 2.5, s = sigmoid(1), it is 2.5 * .1966119."""
    logits = torch.tensor([0.4, -1.0], requires_grad=True)
    weight = torch.tensor([1.0, 3.0])
    (neuron(logits, slope) * weight).sum().backward()
    s = 1 / (1 + np.exp(-slope * np.array([0.4, -1.0])))
    assert logits.grad.tolist() == pytest.approx((slope * s * (1 - s) * [1, 3]).tolist(), rel=1e-5)
    if slope == 2.5:
        assert logits.grad[0].item() == pytest.approx(2.5 * 0.1966119, rel=1e-5)


def test_a_stochastic_neuron_is_on_as_often_as_its_sigmoid_says():
    torch.manual_seed(0)
    logits = torch.tensor([-1.0, 0.0, 0.5]).expand(20_000, 3)
    for slope, expected in ((1.0, [0.2689, 0.5, 0.6225]), (3.0, [0.0474, 0.5, 0.8176])):
        drawn = stochastic_neuron(logits, slope)
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert drawn.mean(0).tolist() == pytest.approx(expected, abs=0.015)


def test_a_stochastic_neuron_draws_from_the_generator_it_is_given():
    logits = torch.zeros(100)
    one, two, other = (stochastic_neuron(logits, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


# Generators -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_all_endings_share_every_weight_and_every_noise(ending):
    one, other = generator("threshold"), generator(ending)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    z = one.latent(2)
    assert torch.equal(one.logits(z), other.logits(z))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_neurons_give_the_critic_zeros_and_ones_and_a_sigmoid_what_is_between(ending, composition):
    network = generator(ending, composition=composition)
    rolls = network(network.latent(2)).detach()
    assert rolls.shape == (2, 2, 4, 4, 16, 48)
    between = ((rolls - rolls.round()).abs() > 1e-3).any()
    assert bool(between) == (ending not in NEURONS)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_gradient_reaches_every_weight(ending):
    network = generator(ending)
    network(network.latent(3))[:, 0].sum().backward()
    assert all(weight.grad.abs().sum() > 0 for name, weight in network.named_parameters() if name.endswith("weight"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_noise_alone_decides_what_is_heard(ending):
    network = generator(ending).eval()
    z = network.latent(3)
    heard = network.sample(z)
    torch.manual_seed(99)
    assert torch.equal(network.sample(z), heard)
    assert not torch.equal(network.sample(network.latent(3)), heard)


def test_what_is_heard_of_the_four_endings():
    heard = {}
    for ending in ENDINGS:
        network = generator(ending).eval()
        z = network.latent(4, generator=torch.Generator().manual_seed(0))
        heard[ending] = network.sample(z)
        soft = network.logits(z)[:, 0].sigmoid()
        share = heard[ending][:, 0].float().mean()
        if ending in ("deterministic", "threshold"):
            assert torch.equal(heard[ending][:, 0], soft > 0.5)
        else:
            assert share.item() == pytest.approx(soft.mean().item(), abs=0.01)
    assert torch.equal(heard["deterministic"], heard["threshold"])
    assert torch.equal(heard["stochastic"], heard["bernoulli"])  # before the slope has grown
    assert not torch.equal(heard["deterministic"], heard["stochastic"])


# Slope ----------------------------------------------------------------------------------------------


def test_the_slope_grows_by_a_tenth_each_epoch_of_training():
    playing = game("deterministic", epoch=2)
    slopes = []
    for _ in range(5):
        slopes.append(playing.generator.slope)
        playing.step(real())
    assert slopes == pytest.approx([1, 1, 1.1, 1.1, 1.21])
    assert int(playing.generator.updates) == 5


def test_several_draws_are_one_update():
    playing = game("deterministic", epoch=2)
    playing.discriminator_steps = playing.generator_steps = 2
    playing.step(real())
    assert int(playing.generator.updates) == playing.n_updates == 1


def test_sampling_does_not_count_and_the_averaged_generator_has_the_slope_of_the_other():
    playing = game("stochastic", epoch=1)
    playing.step(real())
    playing.step(real())
    playing.sample(2)
    playing.generator.eval()(playing.generator.latent(2))
    assert playing.generator.slope == playing.averaged.slope == pytest.approx(1.21)


def test_a_steep_slope_is_saved_with_the_weights():
    playing, other = game("deterministic", epoch=1), game("deterministic", epoch=1, seed=1)
    playing.step(real())
    other.load_state_dict(playing.state_dict())
    assert other.generator.slope == pytest.approx(1.1)
    # Then both go on alike.
    rows = []
    for each in (playing, other):
        torch.manual_seed(5)
        rows.append(each.step(real()))
    assert rows[0] == rows[1]


def test_the_slope_has_no_part_in_a_sigmoid():
    network = generator("threshold", epoch=1)
    z = network.latent(2)
    rolls = network(z)
    network.updates += 7
    assert torch.equal(network(z), rolls)
    for ending in NEURONS:
        steep = generator(ending, epoch=1)
        torch.manual_seed(1)
        steep(z)[:, 0].sum().backward()
        flat = steep.bars[0].begin.weight.grad.clone()
        steep.zero_grad()
        steep.updates += 7
        torch.manual_seed(1)
        steep(z)[:, 0].sum().backward()
        assert not torch.allclose(steep.bars[0].begin.weight.grad, flat)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"ending": "dice"}, "'dice'; there are deterministic, stochastic, threshold, bernoulli"),
     ({"epoch": 0}, "at least one update, not 0"),
     ({"composition": "choir"}, "'choir'; there are jamming")],
    ids=["ending", "epoch", "composition"],
)  # fmt: skip
def test_what_does_not_fit_is_said(options, said):
    with pytest.raises(ValueError, match=said):
        BinaryMuseGANGenerator(**options)


# The ablation ---------------------------------------------------------------------------------------

NAMES = [f"binary_{ending}" for ending in ENDINGS]


def test_the_recipes_differ_in_the_ending_alone():
    first = RECIPES[NAMES[0]]
    for name in NAMES:
        recipe = RECIPES[name]
        assert recipe.generator["ending"] == name.removeprefix("binary_")
        same = {**vars(recipe), "description": "", "generator": {**recipe.generator, "ending": ""}}
        assert same == {**vars(first), "description": "", "generator": {**first.generator, "ending": ""}}


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_trains(name, tmp_path, monkeypatch):
    recipe = RECIPES[name]
    sizes = {"generator": {**recipe.generator, **SMALL}, "discriminator": {**recipe.discriminator, **NARROW}}
    monkeypatch.setitem(recipes.RECIPES, name, Recipe(**{**vars(recipe), **sizes, "corpus": "toy"}))
    history = recipes.train(name, tmp_path / "run", steps=2, progress=False)
    assert all(np.isfinite(value) for row in history.rows for value in row.values())
    composer = load_generator(tmp_path / "run")
    assert composer.generator.ending == name.removeprefix("binary_")
    assert int(composer.generator.updates) == composer.card["step"]
    rolls = sample_rolls(composer, 3, seed=1)
    assert (rolls.sounding == sample_rolls(composer, 3, seed=1).sounding).all()


def test_two_endings_that_train_alike_learn_the_same():
    """Threshold and Bernoulli part only when they are heard."""
    games = [game(ending) for ending in ("threshold", "bernoulli")]
    for each in games:
        torch.manual_seed(4)
        each.step(real())
    one, other = (dict(each.generator.named_parameters()) for each in games)
    assert all(torch.equal(one[name], other[name]) for name in one)
