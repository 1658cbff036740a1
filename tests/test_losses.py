"""Losses against numbers worked out by hand, on asymmetric logits, and one contract for every pair."""

import math

import pytest
import torch

from ganmusic.losses import LOSSES

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
