"""Penalties against discriminators whose gradients are known."""

import pytest
import torch

from ganmusic.models.convnet import ConvDiscriminator
from ganmusic.penalties import (
    clip_weights,
    feature_matching,
    gradient_penalty,
    r1,
    r1_r2,
    r2,
    spectral_norm,
    zero_centred,
)

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
    assert r1(square, real, fake).item() == pytest.approx(0.5 * 5)
    assert r2(square, real, fake).item() == pytest.approx(0.5 * 9)


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


def test_spectral_norm_by_hand():
    """The matrix ((3, 0), (4, 5)) has the singular values 3 sqrt(5) and sqrt(5)."""
    layer = torch.nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[3.0, 0.0], [4.0, 5.0]])
    original = layer.weight.detach().clone()
    network = spectral_norm(torch.nn.Sequential(layer))
    for _ in range(30):  # power iteration, a step a pass
        network(torch.zeros(1, 2))
    assert torch.allclose(layer.weight, original / (3 * 5**0.5), atol=1e-5)


def test_spectral_norm_takes_layers_that_begin_at_zero():
    discriminator = spectral_norm(ConvDiscriminator(channels=(8, 8, 8, 8, 8)))
    assert discriminator(torch.rand(2, 2, 4, 4, 16, 48)).isfinite().all()
    assert discriminator.fold[0][0][-1].weight.abs().sum() > 0


def test_clip_weights():
    layer = torch.nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[0.5, -0.003]])
    layer.bias.data = torch.tensor([-2.0])
    clip_weights(layer, 0.01)
    assert torch.equal(layer.weight, torch.tensor([[0.01, -0.003]]))
    assert torch.equal(layer.bias, torch.tensor([-0.01]))
