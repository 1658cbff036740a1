"""Sphinx extension: the ``{composed-piece}`` directive, a piece composed while the book is being built."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ganmusic.player import Clip
from ganmusic.sample import compose

FILES = {"mp3": "MP3", "mid": "MIDI", "musicxml": "MusicXML, the score"}


class ComposedPiece(SphinxDirective):
    """Compose with the weights that the package carries; show the clip, and offer it as files."""

    option_spec: ClassVar[dict[str, Any]] = {
        "bars": directives.positive_int,
        "seed": directives.nonnegative_int,
    }

    def run(self) -> list[nodes.Node]:
        """Build the clip's HTML, and write the files beside the page."""
        # The weights or the package may have changed although the page has not.
        self.env.note_reread()
        seed = int(os.environ.get("GANMUSIC_BOOK_SEED", self.options.get("seed", 0)))
        clip = Clip(compose(n_bars=self.options.get("bars", 16), seed=seed), title=f"Seed {seed}")
        folder = Path(self.env.app.outdir) / "piece"
        folder.mkdir(parents=True, exist_ok=True)
        links = []
        for suffix, label in FILES.items():
            name = f"ganmusic-{seed}.{suffix}"
            clip.save(folder / name)
            links.append(f'<a href="piece/{name}" download>{label}</a>')
        html = f'{clip._repr_html_()}<p class="piece-files">Keep it: {" · ".join(links)}</p>'
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("composed-piece", ComposedPiece)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
