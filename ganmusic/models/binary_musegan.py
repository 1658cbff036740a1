"""BinaryMuseGAN: a generator whose notes are on or off while it learns, not only when it is heard (Dong and Yang 2018).

A note is there or it is not. A generator that ends in a sigmoid gives numbers between, which must be cut afterwards: at
one half (hard threshold) or by lot (Bernoulli sampling). A *binary neuron* cuts inside the network, so that the critic
judges what will be heard. A cut has no slope to learn from, so that of the sigmoid stands in (straight-through
estimator, Bengio et al. 2013). The sigmoid is made steeper in each epoch, and so the two come nearer to each other
(slope annealing).

The networks are MuseGAN's, and all four ways to end them share every weight: what differs between two runs of one seed
is the ending alone. The paper puts its neurons into a second network, the refiner, which is trained after the first;
that is left out here, because it would change two things at once.

Taught in: notebooks/09-binary-neurons.ipynb
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganmusic.models.blocks import at_least_float32, straight_through_step
from ganmusic.models.musegan import MuseGANGenerator
from ganmusic.parallel import rand

__all__ = ["ENDINGS", "BinaryMuseGANGenerator", "deterministic_neuron", "stochastic_neuron"]

#: Ways to end a generator: two binary neurons, and two ways to cut a sigmoid's output when it is heard.
ENDINGS = ("deterministic", "stochastic", "threshold", "bernoulli")
#: Factor of the neurons' slope from one epoch to the next, as in the paper.
STEEPER = 1.1


def deterministic_neuron(logits: Tensor, slope: float = 1.0) -> Tensor:
    """1 where ``sigmoid(slope * logit) > 1/2``, else 0, with the gradient of that sigmoid (Dong and Yang 2018).

    Taught in: notebooks/09-binary-neurons.ipynb
    """
    return straight_through_step(slope * logits)


def stochastic_neuron(logits: Tensor, slope: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """1 with probability ``sigmoid(slope * logit)``, else 0, with the gradient of that sigmoid (Dong and Yang 2018).

    Taught in: notebooks/09-binary-neurons.ipynb
    """
    soft = at_least_float32(slope * logits).sigmoid()
    lots = torch.rand(soft.shape, generator=generator).to(soft) if generator else rand(soft.shape, like=soft)
    return (lots < soft).to(soft.dtype) + soft - soft.detach()


class BinaryMuseGANGenerator(MuseGANGenerator):
    """Noise to several tracks, whose cells are zeros and ones.

    Parameters
    ----------
    n_tracks, n_bars, n_steps, n_pitches, composition, n_noise, channels
        See `MuseGANGenerator`.
    ending : {"deterministic", "stochastic", "threshold", "bernoulli"}
        A binary neuron, or a sigmoid that is cut only when it is heard.
    epoch : int
        Updates after which the neurons' slope grows by a tenth. After 50 epochs it is over 100, and few cells still
        learn: choose it so that a run has tens of epochs at most.

    Raises
    ------
    ValueError
        If there is no such ending or composition, the shape does not fit, or an epoch has no updates.

    Taught in: notebooks/09-binary-neurons.ipynb
    """

    updates: Tensor

    def __init__(
        self,
        n_tracks: int = 4,
        n_bars: int = 4,
        n_steps: int = 16,
        n_pitches: int = 48,
        composition: str = "hybrid",
        ending: str = "deterministic",
        epoch: int = 300,
        n_noise: int = 32,
        channels: tuple[int, ...] = (192, 128, 96, 64, 48),
    ) -> None:
        if ending not in ENDINGS:
            raise ValueError(f"there is no ending {ending!r}; there are {', '.join(ENDINGS)}")
        if epoch < 1:
            raise ValueError(f"an epoch has at least one update, not {epoch}")
        super().__init__(n_tracks, n_bars, n_steps, n_pitches, composition, False, n_noise, channels)
        self.ending, self.epoch = ending, epoch
        # Saved with the weights, so that a resumed run goes on as steep as it was.
        self.register_buffer("updates", torch.tensor(0))

    @property
    def slope(self) -> float:
        """Of the sigmoid that the neurons' gradient is taken from."""
        return float(STEEPER ** (int(self.updates) // self.epoch))

    def updated(self) -> None:
        """Count an update, for the slope."""
        self.updates += 1

    def play(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Logits to what sounds and what is struck: zeros and ones of neurons, or probabilities."""
        if self.ending == "deterministic":
            logits = deterministic_neuron(logits, self.slope)
        elif self.ending == "stochastic":
            logits = stochastic_neuron(logits, self.slope)
        else:
            return super().play(logits)
        sounding, struck = logits.unbind(1)
        return sounding, struck

    def decide(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The same, with zeros and ones only.

        Lots are the same each time, so that the same noises give the same clips. Which lots a clip gets depends on its
        place among them.
        """
        if self.ending not in ("stochastic", "bernoulli"):
            return super().decide(logits)
        slope = self.slope if self.ending == "stochastic" else 1.0
        sounding, struck = stochastic_neuron(logits, slope, torch.Generator().manual_seed(0)).unbind(1)
        return sounding, struck
