"""Make new music with generative adversarial networks.

Every module is a concept: notes and rolls in `pianoroll`, files in `midi`, Bach in `corpora`, the two players
in `models`, their game in `train`, music in `sample`, judgement in `metrics`, sound in `audio` and `player`.
The book teaches them under the same names.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("ganmusic")
