"""Losses against numbers worked out by hand, on asymmetric logits, and one contract for every pair."""

import math

import pytest
import torch

from ganmusic.losses import LOSSES, one_sided

# exp(real) = 3 and exp(fake) = 1/2, so D(x) = 3/4 and D(G(z)) = 1/3.
REAL = torch.tensor([[math.log(3.0)]])
FAKE = torch.tensor([[math.log(0.5)]])
R, F = math.log(3.0), math.log(0.5)

BY_HAND = {
    "minimax": (-math.log(3 / 4) - math.log(2 / 3), math.log(2 / 3)),
    "non_saturating": (-math.log(3 / 4) - math.log(2 / 3), -math.log(1 / 3)),
    "least_squares": (0.5 * (R - 1) ** 2 + 0.5 * F**2, 0.5 * (F - 1) ** 2),
    "wasserstein": (F - R, -F),
    "hinge": (0.0 + (1 + F), -F),
    # sigmoid(real - fake) = 6/7
    "relativistic": (-math.log(6 / 7), -math.log(1 / 7)),
    # With one sample a side its mean is itself, and both terms are equal.
    "relativistic_average": (-2 * math.log(6 / 7), -2 * math.log(1 / 7)),
}


def test_every_loss_has_a_hand_computed_case():
    assert set(BY_HAND) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_hand_computed(name):
    discriminator, generator = BY_HAND[name]
    assert LOSSES[name].discriminator(REAL, FAKE).item() == pytest.approx(discriminator, abs=1e-6)
    assert LOSSES[name].generator(REAL, FAKE).item() == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_push_the_right_way(name):
    """The discriminator wants real logits up and fake ones down; the generator wants fake ones up."""
    real = torch.tensor([0.3, -0.2], requires_grad=True)
    fake = torch.tensor([0.1, 0.4], requires_grad=True)
    g_real, g_fake = torch.autograd.grad(LOSSES[name].discriminator(real, fake), (real, fake))
    assert (g_real < 0).all()
    assert (g_fake > 0).all()
    (g_fake,) = torch.autograd.grad(LOSSES[name].generator(real, fake), fake)
    assert (g_fake < 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_means_and_finite_far_out(name):
    real, fake = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([0.25, -3.0, 1.0])
    for function in (LOSSES[name].discriminator, LOSSES[name].generator):
        if name != "relativistic_average":  # whose samples meet the other side's mean
            each = [function(r[None], f[None]).item() for r, f in zip(real, fake, strict=True)]
            assert function(real, fake).item() == pytest.approx(sum(each) / 3, rel=1e-5)
        assert math.isfinite(function(-1e4 * REAL, 1e4 * REAL).item())


def test_minimax_saturates_and_non_saturating_does_not():
    """Where the discriminator is sure that a sample is fake, only one of the two still has a gradient."""
    fake = torch.tensor([-10.0], requires_grad=True)
    (weak,) = torch.autograd.grad(LOSSES["minimax"].generator(fake, fake), fake)
    (strong,) = torch.autograd.grad(LOSSES["non_saturating"].generator(fake, fake), fake)
    assert abs(weak.item()) < 1e-4
    assert abs(strong.item()) > 0.999


def test_relativistic_average_compares_with_the_mean():
    """Worked out by hand for real logits 1 and 3 and fake ones 0 and -1: their means are 2 and -1/2."""
    real, fake = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [-1.0]])

    def softplus(x):
        return math.log1p(math.exp(x))

    discriminator = (softplus(-1.5) + softplus(-3.5)) / 2 + (softplus(-2.0) + softplus(-3.0)) / 2
    generator = (softplus(2.0) + softplus(3.0)) / 2 + (softplus(1.5) + softplus(3.5)) / 2
    assert LOSSES["relativistic_average"].discriminator(real, fake).item() == pytest.approx(discriminator, rel=1e-6)
    assert LOSSES["relativistic_average"].generator(real, fake).item() == pytest.approx(generator, rel=1e-6)


def test_every_judge_has_its_own_mean_in_the_relativistic_average():
    real, fake = torch.randn(5, 3), torch.randn(5, 3)
    each = [LOSSES["relativistic_average"].discriminator(real[:, k], fake[:, k]).item() for k in range(3)]
    assert LOSSES["relativistic_average"].discriminator(real, fake).item() == pytest.approx(sum(each) / 3, rel=1e-5)


def test_one_sided_labels_by_hand():
    # D(x) = 3/4 and D(G(z)) = 1/3
    expected = -0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4) - math.log(2 / 3)
    assert one_sided(0.9).discriminator(REAL, FAKE).item() == pytest.approx(expected, abs=1e-6)
    assert one_sided(0.9).generator(REAL, FAKE).item() == pytest.approx(-math.log(1 / 3), abs=1e-6)


def test_one_sided_labels_are_best_met_at_their_target():
    """The gradient on a real logit is zero where D(x) = .9, and there is no such place for hard labels."""
    logit = torch.tensor([math.log(9.0)], requires_grad=True)
    (at_target,) = torch.autograd.grad(one_sided(0.9).discriminator(logit, logit.detach()), logit)
    (hard,) = torch.autograd.grad(LOSSES["non_saturating"].discriminator(logit, logit.detach()), logit)
    assert at_target.item() == pytest.approx(0, abs=1e-6)
    assert hard.item() == pytest.approx(-0.1, abs=1e-6)


@pytest.mark.parametrize("target", [0.5, 0.0, 1.1, math.nan])
def test_one_sided_targets_out_of_range_are_refused(target):
    with pytest.raises(ValueError, match="and at most 1"):
        one_sided(target)
