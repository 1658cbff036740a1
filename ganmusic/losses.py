"""Adversarial losses: what each player wants, as pure functions of the discriminator's raw logits.

Conventions
-----------
Every function takes ``(real_logits, fake_logits)`` in that order, of any equal shape ``(batch, ...)``, and
returns a scalar to *minimise*. High means real: ``sigmoid(logit)`` is the probability that a sample is real.
A `Loss` holds one function for each player, so that the two cannot be mixed up.
Means are over the batch and, where a discriminator has several judges, over these.

The formulas are computed with ``softplus(x) = log(1 + exp(x))``, because ``log(sigmoid(x))`` in two steps
overflows: ``-log D = softplus(-logit)`` and ``-log(1 - D) = softplus(logit)`` for ``D = sigmoid(logit)``.

Taught in: notebooks/01-minimax-objective.ipynb
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = ["LOSSES", "Loss", "one_sided"]

LossFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """The losses of the two players of one game.

    Parameters
    ----------
    name : str
    discriminator, generator : callable
        ``f(real_logits, fake_logits) -> scalar`` to minimise.
    source : str
        The paper that defines the pair.
    needs_lipschitz : bool
        Whether it means something only for a discriminator whose slope is bounded, by a penalty or otherwise.
    of_probabilities : bool
        Whether it takes probabilities instead of logits.

    Taught in: notebooks/01-minimax-objective.ipynb
    """

    name: str
    discriminator: LossFunction
    generator: LossFunction
    source: str
    needs_lipschitz: bool = False
    of_probabilities: bool = False


def _cross_entropy(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # -E log D(x) - E log(1 - D(G(z))): the value function's negative
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def _minimax_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # E log(1 - D(G(z))): saturates where the discriminator is sure
    return -softplus(fake_logits).mean()


def _non_saturating_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # -E log D(G(z))
    return softplus(-fake_logits).mean()


def _least_squares_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # 1/2 E (f(x) - 1)^2 + 1/2 E f(G(z))^2
    return 0.5 * (real_logits - 1).square().mean() + 0.5 * fake_logits.square().mean()


def _least_squares_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # 1/2 E (f(G(z)) - 1)^2
    return 0.5 * (fake_logits - 1).square().mean()


def _wasserstein_critic(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # E f(G(z)) - E f(x), for a 1-Lipschitz critic f
    return fake_logits.mean() - real_logits.mean()


def _raise_fake(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # -E f(G(z))
    return -fake_logits.mean()


def _hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # E max(0, 1 - f(x)) + E max(0, 1 + f(G(z)))
    return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()


def _pairing_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # E softplus(-(f(x) - f(G(z)))): each real sample is compared with one fake
    return softplus(fake_logits - real_logits).mean()


def _pairing_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # E softplus(-(f(G(z)) - f(x)))
    return softplus(real_logits - fake_logits).mean()


def _relativistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # E softplus(-(f(x) - E f(G(z)))) + E softplus(f(G(z)) - E f(x)): each sample against the other side's mean
    real_over_fake = real_logits - fake_logits.mean(0)
    fake_over_real = fake_logits - real_logits.mean(0)
    return softplus(-real_over_fake).mean() + softplus(fake_over_real).mean()


def _relativistic_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    # The same with the sides exchanged
    return _relativistic_discriminator(fake_logits, real_logits)


#: Every adversarial loss, by its name.
LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("minimax", _cross_entropy, _minimax_generator, "Goodfellow et al. 2014, eq. 1"),
        Loss("non_saturating", _cross_entropy, _non_saturating_generator, "Goodfellow et al. 2014, sec. 3"),
        Loss("least_squares", _least_squares_discriminator, _least_squares_generator, "Mao et al. 2017, eq. 9"),
        Loss("wasserstein", _wasserstein_critic, _raise_fake, "Arjovsky et al. 2017, sec. 3", needs_lipschitz=True),
        Loss("hinge", _hinge_discriminator, _raise_fake, "Miyato et al. 2018, eq. 16-17"),
        Loss(
            "relativistic",
            _pairing_discriminator,
            _pairing_generator,
            "Jolicoeur-Martineau 2018; Huang et al. 2024, eq. 2",
        ),
        Loss(
            "relativistic_average",
            _relativistic_discriminator,
            _relativistic_generator,
            "Jolicoeur-Martineau 2018, sec. 4.2",
        ),
    )
}


def one_sided(target: float = 0.9) -> Loss:
    """The non-saturating loss with smooth labels for real samples (Salimans et al. 2016, sec. 3.4).

    The discriminator is asked for the probability `target` of real samples instead of 1, so that it gains nothing by
    ever larger logits; generated samples keep the label 0, because smoothing it would reward the generator for staying
    where it is.

    Parameters
    ----------
    target : float
        Above 0.5, at most 1.

    Raises
    ------
    ValueError
        If `target` is not.

    Taught in: notebooks/06-losses-and-stability.ipynb
    """
    if not 0.5 < target <= 1:
        raise ValueError(f"the target of real samples is above 0.5 and at most 1, not {target}")

    def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        # -E [target log D(x) + (1 - target) log(1 - D(x))] - E log(1 - D(G(z)))
        real = target * softplus(-real_logits) + (1 - target) * softplus(real_logits)
        return real.mean() + softplus(fake_logits).mean()

    source = "Salimans et al. 2016, sec. 3.4"
    return replace(LOSSES["non_saturating"], name=f"one_sided_{target:g}", discriminator=discriminator, source=source)
