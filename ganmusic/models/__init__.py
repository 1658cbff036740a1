"""Models: one paper or one idea a file, networks only.

Each model is a pair of networks over rolls ``(batch, plane, track, bar, step, pitch)``. A generator also has
``latent(n)``, which draws what it is fed, ``sample(z)``, which returns booleans, and ``monophonic``, which says
whether its tracks have one note at a time. The networks take those of ``n_tracks``, ``n_bars``, ``n_steps`` and
``n_pitches`` that their weights depend on. A generator that is told something has ``ask(real)``, what real rolls ask of
it, and takes that beside its latent. One that plays about something else than rolls has ``see(real, asked)``, and one
that learns something by itself has ``learn(real)``; `ganmusic.train.AdversarialGame` says how.
"""

from __future__ import annotations

from torch import nn

from ganmusic.models.binary_musegan import BinaryMuseGANGenerator
from ganmusic.models.choir import ChoirDiscriminator, ChoirGenerator
from ganmusic.models.convnet import ConvDiscriminator, ConvGenerator
from ganmusic.models.midinet import MidiNetDiscriminator, MidiNetGenerator
from ganmusic.models.mlp import MLPDiscriminator, MLPGenerator
from ganmusic.models.musegan import MuseGANAccompanist, MuseGANDiscriminator, MuseGANGenerator
from ganmusic.models.musegan_small import SmallMuseGANDiscriminator, SmallMuseGANGenerator

__all__ = ["MODELS"]

#: Generator and discriminator of every model, by name.
MODELS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "binary_musegan": (BinaryMuseGANGenerator, MuseGANDiscriminator),
    "choir": (ChoirGenerator, ChoirDiscriminator),
    "convnet": (ConvGenerator, ConvDiscriminator),
    "midinet": (MidiNetGenerator, MidiNetDiscriminator),
    "mlp": (MLPGenerator, MLPDiscriminator),
    "musegan": (MuseGANGenerator, MuseGANDiscriminator),
    "musegan_accompanist": (MuseGANAccompanist, MuseGANDiscriminator),
    "musegan_small": (SmallMuseGANGenerator, SmallMuseGANDiscriminator),
}
