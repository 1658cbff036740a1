"""Penalties against discriminators whose gradients are known."""

import pytest
import torch

from ganmusic.penalties import feature_matching, gradient_penalty, r1_r2, zero_centred

WEIGHT = torch.tensor([3.0, 4.0])


def linear(x):
    """Gradient (3, 4) everywhere: norm 5."""
    return x @ WEIGHT[:, None]


def square(x):
    """Gradient x: the squared norm is the sample's own."""
    return 0.5 * x.square().sum(1, keepdim=True)


def test_zero_centred():
    x = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    assert zero_centred(linear, x).item() == pytest.approx(0.5 * 25)
    assert zero_centred(square, x).item() == pytest.approx(0.5 * (5 + 9) / 2)


def test_several_logits_count_as_their_mean():
    x = torch.tensor([[1.0, 2.0]])
    assert zero_centred(lambda y: torch.cat([linear(y), 0 * linear(y)], 1), x).item() == pytest.approx(0.5 * 25 / 4)


def test_r1_r2_adds_both_sides():
    real, fake = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0]])
    assert r1_r2(square, real, fake).item() == pytest.approx(0.5 * 5 + 0.5 * 9)


def test_gradient_penalty():
    real, fake = torch.rand(4, 2), torch.rand(4, 2)
    assert gradient_penalty(linear, real, fake).item() == pytest.approx(16.0, rel=1e-5)


def test_gradient_penalty_draws_a_point_for_each_sample():
    """With one shared weight, all the points between would lie at the same share of the way."""
    torch.manual_seed(0)
    seen = []
    gradient_penalty(lambda x: (seen.append(x.detach()), linear(x))[1], torch.zeros(64, 2), torch.ones(64, 2))
    assert seen[0][:, 0].std() > 0.2
    assert torch.equal(seen[0][:, 0], seen[0][:, 1])


def test_penalties_reach_the_weights():
    layer = torch.nn.Linear(2, 1)
    zero_centred(layer, torch.rand(3, 2)).backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0


def test_feature_matching():
    real, fake = torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.tensor([[0.0, 4.0], [0.0, 2.0]])
    assert feature_matching(real, fake).item() == pytest.approx(2.0**2 + 2.0**2)
