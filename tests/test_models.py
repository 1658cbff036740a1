"""One contract for every model, and the parts whose arithmetic can be checked by hand."""

import itertools

import numpy as np
import pytest
import torch

from ganmusic.losses import LOSSES
from ganmusic.models import MODELS
from ganmusic.models.blocks import planes, straight_through_argmax, straight_through_step
from ganmusic.models.convnet import ConvDiscriminator, ConvGenerator, factors, hide_voices, hold, relations
from ganmusic.models.mlp import BINARY_CROSS_ENTROPY, MLPDiscriminator, MLPGenerator


@pytest.fixture(params=MODELS)
def pair(request):
    torch.manual_seed(0)
    generator, discriminator = MODELS[request.param]
    return generator(), discriminator()


def test_shapes(pair):
    generator, discriminator = pair
    made = generator(generator.latent(3))
    assert discriminator(made).shape[0] == 3
    rolls = generator.eval().sample(generator.latent(3))
    assert rolls.shape == (3, 2, getattr(generator, "n_tracks", 4), getattr(generator, "n_bars", 4), 16, 48)
    if hasattr(generator, "see"):
        real = rolls.float()
        assert generator.see(real, *([generator.ask(real)] if hasattr(generator, "ask") else [])).shape == made.shape
    else:
        assert made.shape == rolls.shape


def test_values_are_probabilities_and_onsets_sound(pair):
    generator, _ = pair
    if not hasattr(generator, "see"):
        rolls = generator(generator.latent(3))
        assert rolls.min() >= 0
        assert rolls.max() <= 1
    sampled = generator.eval().sample(generator.latent(3))
    assert sampled.dtype == torch.bool
    assert not (sampled[:, 1] & ~sampled[:, 0]).any()


def test_gradients_reach_every_weight(pair):
    generator, discriminator = pair
    real = (torch.rand(16, *generator.sample(generator.latent(2)).shape[1:]) < 0.1).float()
    # Residual branches begin at zero, and what lies before them then has no gradient: nudge them.
    with torch.no_grad():
        for weight in itertools.chain(generator.parameters(), discriminator.parameters()):
            weight.add_(0.01 * torch.randn_like(weight))
    # One that is told something is told more than the silence which it has to remember yet.
    asked = [generator.ask(real)] if hasattr(generator, "ask") else []
    discriminator(generator(generator.latent(16), *asked)).sum().backward()
    if hasattr(generator, "learn"):
        generator.learn(real * (real.cumsum(-1) <= 1)).backward()
    for name, weight in itertools.chain(generator.named_parameters(), discriminator.named_parameters()):
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0 or weight.grad.numel() == 1, name


def test_latents_follow_their_generator(pair):
    generator, _ = pair
    one, two, other = (generator.latent(2, generator=torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_mlp_is_the_tutorial_network():
    sizes = [tuple(p.shape) for p in MLPGenerator().parameters()]
    assert sizes == [(256, 100), (256,), (512, 256), (512,), (12288, 512), (12288,)]
    sizes = [tuple(p.shape) for p in MLPDiscriminator().parameters()]
    assert sizes == [(256, 12288), (256,), (128, 256), (128,), (1, 128), (1,)]


def test_cross_entropy_on_probabilities_is_the_non_saturating_loss():
    real, fake = torch.tensor([[1.2], [-0.4]]), torch.tensor([[0.3], [-2.0]])
    on_logits = LOSSES["non_saturating"]
    for player in ("discriminator", "generator"):
        with_sigmoid = getattr(BINARY_CROSS_ENTROPY, player)(real.sigmoid(), fake.sigmoid())
        assert with_sigmoid.item() == pytest.approx(getattr(on_logits, player)(real, fake).item(), rel=1e-5)


def test_planes_find_onsets():
    sounding = torch.zeros(1, 1, 2, 4, 12)
    sounding[0, 0, 0, 2:, 5] = 1  # sounds from step 2 of the first bar ...
    sounding[0, 0, 1, :1, 5] = 1  # ... over the bar line
    onset = planes(sounding)[:, 1]
    assert onset.nonzero().tolist() == [[0, 0, 0, 2, 5]]


def test_straight_through():
    logits = torch.tensor([[0.1, 2.0, -1.0]], requires_grad=True)
    choice = straight_through_argmax(logits)
    assert torch.allclose(choice, torch.tensor([[0.0, 1.0, 0.0]]))
    (gradient,) = torch.autograd.grad(choice[0, 0], logits)
    (soft,) = torch.autograd.grad(logits.softmax(-1)[0, 0], logits)
    assert torch.allclose(gradient, soft)
    step = straight_through_step(torch.tensor([0.5, -0.5], requires_grad=True))
    assert torch.allclose(step, torch.tensor([1.0, 0.0]))


def test_factors():
    assert factors(16) == [2, 2, 2, 2]
    assert factors(12) == [3, 2, 2]
    for n_steps in (20, 1):
        with pytest.raises(ValueError, match=f"bars of {n_steps} steps"):
            factors(n_steps)


@pytest.mark.parametrize("n_steps", [3, 4, 6, 24, 48, 96])
@pytest.mark.parametrize("n_tracks", [1, 5])
def test_the_convolutional_pair_fits_any_tracks_and_bars_of_twos_and_threes(n_steps, n_tracks):
    generator = ConvGenerator(n_tracks, n_steps, 36, 8, channels=(12, 12, 8, 8, 8))
    discriminator = ConvDiscriminator(n_tracks, 2, n_steps, 36, channels=(8, 8, 12, 12, 12))
    rolls = generator(generator.latent(3, 2))
    assert rolls.shape == (3, 2, n_tracks, 2, n_steps, 36)
    logits = discriminator(rolls)
    assert logits.shape[:2] == (3, 3)
    logits.sum().backward()
    assert all(weight.grad is not None for weight in generator.parameters())


def test_a_monophonic_model_has_one_note_a_track_and_step(pair):
    generator, _ = pair
    # Louder at the end, so that the plain network's notes sound at once.
    with torch.no_grad():
        list(generator.parameters())[-1].add_(5)
    notes = generator.eval().sample(generator.latent(3))[:, 0].sum(-1)
    assert (notes.max() <= 1) == generator.monophonic


def test_a_single_voice_has_relations_of_its_own_only():
    """G2 up to C3: pitch classes 7 and 0, and a fourth up."""
    sounding = torch.zeros(1, 1, 2, 24)
    sounding[0, 0, 0, 7] = sounding[0, 0, 1, 12] = 1
    found = relations(sounding)[0].round().int()
    assert found.shape == (12 + 25, 2)
    assert found.nonzero().tolist() == [[0, 1], [7, 0], [12 + 12 + 5, 1]]


@pytest.mark.parametrize("n_bars", [1, 5])
def test_convnet_composes_any_number_of_bars(n_bars):
    generator = ConvGenerator(n_steps=12).eval()
    z = generator.latent(2, n_bars)
    assert generator.sample(z).shape == (2, 2, 4, n_bars, 12, 48)
    # Half of the latent is the clip's, the same in every bar.
    assert torch.equal(z[:, 0, :32], z[:, -1, :32])


def test_relations_by_hand():
    """Two voices: the upper steps up from C5 to D5, the lower leaps down from E4 to A3."""
    pitches = {"upper": (36, 38), "lower": (28, 21)}  # columns above C2: C5 D5, E4 A3
    sounding = torch.zeros(1, 2, 2, 48)
    for voice, columns in enumerate(pitches.values()):
        for time, column in enumerate(columns):
            sounding[0, voice, time, column] = 1
    found = relations(sounding)[0].round().int()
    classes, interval, motion, above = found.split([12, 12, 50, 1])
    assert classes.nonzero().tolist() == [[0, 0], [2, 1], [4, 0], [9, 1]]
    # C above E is a minor sixth (8), D above A a fourth (5).
    assert interval.nonzero().tolist() == [[5, 1], [8, 0]]
    # Bins run from -12 to 12: +2 is bin 14 of the first voice, -7 bin 5 of the second.
    assert motion.nonzero().tolist() == [[14, 1], [25 + 5, 1]]
    assert above.tolist() == [[1, 1]]


def test_relations_agree_with_plain_sums():
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 48, (3, 20))
    sounding = torch.zeros(1, 3, 20, 48)
    for voice, time in itertools.product(range(3), range(20)):
        sounding[0, voice, time, columns[voice, time]] = 1
    found = relations(sounding)[0].round().int().numpy()
    for time in range(20):
        for index, (upper, lower) in enumerate(itertools.combinations(range(3), 2)):
            expected = np.eye(12, dtype=int)[(columns[upper, time] - columns[lower, time]) % 12]
            assert (found[12 + 12 * index : 24 + 12 * index, time] == expected).all()
        for voice in range(3):
            move = columns[voice, time] - columns[voice, time - 1] if time else 99
            expected = [int(move == k) for k in range(-12, 13)]
            assert found[48 + 25 * voice : 48 + 25 * (voice + 1), time].tolist() == expected
        order = [int(columns[v, time] > columns[v + 1, time]) for v in range(2)]
        assert found[-2:, time].tolist() == order


def test_hidden_voices_are_the_same_on_both_sides():
    torch.manual_seed(0)
    real, fake = hide_voices(torch.ones(50, 2, 4, 1, 1, 1), 2 * torch.ones(50, 2, 4, 1, 1, 1), 0.25)
    assert torch.equal(2 * real, fake)
    assert 0.15 < (real == 0).float().mean() < 0.35
    assert torch.equal(real[:, 0], real[:, 1])


def test_hold_by_hand():
    """Three steps of two pitches: taken up, held although the choice changed, taken up."""
    choice = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]], requires_grad=True)
    begin = torch.tensor([[[1.0, 0.0, 1.0]]], requires_grad=True)
    held = hold(choice, begin)
    assert held[0].tolist() == [[1, 1, 0], [0, 0, 1]]
    held[0, 0].sum().backward()
    # The first choice is heard on two steps; the one that was passed over on none.
    assert choice.grad[0, 0].tolist() == [2, 0, 1]
    # Taking up the second choice would silence the first pitch there.
    assert begin.grad[0, 0].tolist() == [0, -1, -1]
