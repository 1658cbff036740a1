"""A clip of music that shows and plays itself: in Jupyter, VS Code, Colab and the book's pages.

A `Clip` displays a picture of the piece with an audio player under it, as plain HTML that needs no
script: the picture and the sound travel inside it. Where the book's ``clip.js`` is loaded, its
custom element ``<ganmusic-clip>`` takes over the same HTML and moves a playhead over the roll;
elsewhere browsers ignore the unknown element and show what is in it. The HTML of a piece is the
same at each run, so that a notebook's saved outputs can be compared.

Taught in: notebooks/02-music-as-tensors.ipynb
"""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ganmusic import audio, viz
from ganmusic.pianoroll import Piece

__all__ = ["Clip"]


class Clip:
    """A piece with its picture and sound, ready to be shown.

    Parameters
    ----------
    piece : Piece
    title : str, optional
        Shown above the picture; the piece's own title by default.
    program : int, optional
        General MIDI program for all tracks that are not drums, instead of their own.
    audio : bool
        Whether there is sound; False shows the picture alone.

    Raises
    ------
    ValueError
        When shown or saved, if the piece cannot be rendered (see `ganmusic.audio.render`).

    Examples
    --------
    >>> Clip(compose(n_bars=8, seed=1), title="Eight bars")  # doctest: +SKIP

    Taught in: notebooks/02-music-as-tensors.ipynb
    """

    def __init__(
        self,
        piece: Piece,
        title: str | None = None,
        *,
        program: int | None = None,
        audio: bool = True,
    ) -> None:
        self.piece = piece if title is None else replace(piece, title=title)
        self.program = program
        self.audio = audio

    @property
    def title(self) -> str:
        """What stands above the picture."""
        return self.piece.title

    @cached_property
    def mp3(self) -> bytes:
        """The sound as a small MP3 file: one channel of 22,050 samples, 3 to 4 KB a second."""
        return audio.encode(
            self.piece, "mp3", sample_rate=22050, mono=True, compression=0.92, program=self.program
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the clip as sound, notes or picture, by the suffix of `path`.

        Sound: ``.mp3 .wav .flac .ogg``; notes: ``.mid .midi .musicxml .xml .mxl``;
        picture: ``.png .svg``.

        Raises
        ------
        ValueError
            If the suffix is another.
        OSError
            If the file cannot be written; nothing is left half-written.
        """
        from ganmusic import midi

        suffix = Path(path).suffix.lower()
        if suffix.removeprefix(".") in audio.FORMATS:
            audio.write(self.piece, path, program=self.program)
        elif suffix in viz.SUFFIXES:
            viz.save(self.piece, path)
        elif suffix in midi.SUFFIXES:
            midi.write(self.piece, path)
        else:
            known = [f".{name}" for name in audio.FORMATS] + [*midi.SUFFIXES, *viz.SUFFIXES]
            raise ValueError(f"{path}: a clip can be saved as {', '.join(known)}")

    def _repr_html_(self) -> str:
        piece = self.piece
        svg = quote(viz.picture(piece), safe=" '=/:;,()")
        picture = (
            f'<img alt="{escape(viz.describe(piece))}" src="data:image/svg+xml,{svg}" '
            f'style="display:block;width:100%;max-width:800px;height:auto">'
        )
        if self.title:
            style = "font-weight:600;margin-bottom:8px"
            picture = f'<figcaption style="{style}">{escape(self.title)}</figcaption>{picture}'
        if not self.audio:
            return f'<figure style="margin:1em 0">{picture}</figure>'
        sound = base64.b64encode(self.mp3).decode()
        # What the playhead has to know, in seconds and in shares of the picture's width.
        first = min(note.onset for track in piece.tracks for note in track.notes)
        beat = 60 / piece.tempo
        seconds = (piece.end - first) / piece.grid.steps_per_beat * beat
        return (
            f'<ganmusic-clip data-start="{viz.position(piece, first):.5f}" '
            f'data-end="{viz.position(piece, piece.end):.5f}" data-seconds="{seconds:.3f}" '
            f'data-beat="{beat:.4f}" data-beats-per-bar="{piece.grid.beats_per_bar}">'
            f'<figure style="margin:1em 0">{picture}'
            f'<audio controls preload="none" aria-label="{escape(self.title or "clip")}" '
            f'style="width:100%;max-width:800px" src="data:audio/mpeg;base64,{sound}"></audio>'
            f"</figure></ganmusic-clip>"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        # IPython says which types it would like; both are small enough to give always.
        del kwargs
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def __repr__(self) -> str:
        return f"Clip({viz.describe(self.piece)})"
