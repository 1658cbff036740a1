"""Sphinx extension: what the theme's settings cannot say about the site.

- The front page, ``book/index.md``, becomes ``index.html`` at the top of the site.
- Scripts are left out where they have nothing to do: the connection to a remote kernel (thebe), which
  would be on every page although the book offers Colab instead; MathJax on a page without formulas, the
  front page above all, which would get it for its sub-pages' sake; a custom element's on a page without it; the
  search index on a page that does not search.
- The custom elements are loaded as modules.
- A notebook's Colab badge, a picture on Google's server, becomes a link in words: pages load nothing from elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder

FRONT_PAGE = "book/index"
ELEMENTS = {"clip.js": "<ganmusic-clip", "divergence-explorer.js": "<ganmusic-divergence"}
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
SEARCH = re.compile(r'\s*<script src="[^"]*\b(?:searchtools|language_data|searchindex)\.js[^"]*"></script>')
MOVED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>ganmusic</title>
<meta http-equiv="refresh" content="0; url=../index.html"><a href="../index.html">The front page</a></html>
"""


class SiteBuilder(StandaloneHTMLBuilder):
    """The HTML builder, with the front page at the top of the site."""

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        """Where a page lies, from the top of the site; links and assets are relative to it."""
        return super().get_target_uri("index" if docname == FRONT_PAGE else docname, typ)

    def get_outfilename(self, pagename: str) -> str:
        """The file that a page is written to."""
        return super().get_outfilename("index" if pagename == FRONT_PAGE else pagename)


def leave_out_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node | None
) -> None:
    """Drop the scripts that the page has no use for."""
    unused = ["thebe"]
    if doctree is None or not any(
        isinstance(node, nodes.math | nodes.math_block) for node in doctree.findall()
    ):
        unused.append("mathjax")
    unused += [script for script, element in ELEMENTS.items() if element not in context.get("body", "")]
    for script in list(context.get("script_files", [])):
        source = f"{script.filename} {script.attributes.get('body', '')}".lower()
        if any(name in source for name in unused):
            context["script_files"].remove(script)


def lead_to_the_front_page(app: Sphinx, exception: Exception | None) -> None:
    """Leave a signpost where the search page expects the front page: it knows pages by their source's name."""
    if exception is None and isinstance(app.builder, SiteBuilder):
        (Path(app.outdir) / FRONT_PAGE).with_suffix(".html").write_text(MOVED, encoding="utf8")


def leave_searching_to_its_page(app: Sphinx, exception: Exception | None) -> None:
    """Take the search index, which grows with the book, off every page but the one that searches.

    The theme loads it everywhere for a search while one types, which this book does not offer.
    """
    if exception is None and isinstance(app.builder, SiteBuilder):
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf8")
            if page.name != "search.html" and SEARCH.search(text):
                page.write_text(SEARCH.sub("", text), encoding="utf8")


def put_badges_in_words(app: Sphinx, doctree: nodes.document) -> None:
    """Replace each badge by its text; it stays within its link."""
    for image in list(doctree.findall(nodes.image)):
        if image["uri"] == BADGE:
            image.replace_self(nodes.inline("", image["alt"], classes=["colab-badge"]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all of it."""
    app.add_builder(SiteBuilder, override=True)
    # After the extensions that add the scripts (their priority is 500).
    app.connect("html-page-context", leave_out_scripts, priority=900)
    app.connect("doctree-read", put_badges_in_words)
    app.connect("build-finished", lead_to_the_front_page)
    app.connect("build-finished", leave_searching_to_its_page)
    app.add_css_file("clip.css")
    app.add_css_file("book.css")
    for script in ELEMENTS:
        app.add_js_file(script, type="module")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
