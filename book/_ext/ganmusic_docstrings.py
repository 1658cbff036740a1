"""Sphinx extension: the package's docstrings, as the API pages show them.

- The line *Taught in* leads to its chapter.
- A name in single backquotes links to what it names, if that is documented; a parameter's name stays code.
- The first line of an attribute's description is a sentence, even if it holds a colon.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole

TAUGHT_IN = re.compile(r"\s*Taught in: notebooks/([\w-]+)\.ipynb")
BEFORE_NAPOLEON = 400


class NameRole(XRefRole):
    """The role of text in single backquotes."""

    def process_link(
        self,
        env: BuildEnvironment,
        refnode: nodes.Element,
        has_explicit_title: bool,
        title: str,
        target: str,
    ) -> tuple[str, str]:
        """Look the name up where the docstring stands, and refer to the place that defines it."""
        module = env.ref_context.get("py:module")
        refnode["refdomain"], refnode["reftype"], refnode["may_be_plain"] = "py", "obj", True
        refnode["py:module"], refnode["py:class"] = module, env.ref_context.get("py:class")
        head, dot, rest = target.partition(".")
        named = vars(sys.modules[module]).get(head) if module in sys.modules else None
        if callable(named) and hasattr(named, "__qualname__"):
            target = f"{named.__module__}.{named.__qualname__}{dot}{rest}"
        return title, target


def prepare(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring before its sections are read."""
    if what in ("attribute", "data", "property"):
        # Napoleon reads "type: description" on the first line: give it a line that says nothing.
        lines[:0] = [":meta public:", ""]
    for i, line in enumerate(lines):
        if match := TAUGHT_IN.fullmatch(line):
            lines[i : i + 1] = ["Taught in", "---------", f":doc:`/notebooks/{match[1]}`"]
            return


def accept_plain(app: Sphinx, domain: Any, node: nodes.Element) -> bool | None:
    """Say nothing of a name that is only code."""
    return True if node.get("may_be_plain") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all of it."""
    app.add_role("name", NameRole(innernodeclass=nodes.literal))
    app.connect("warn-missing-reference", accept_plain)
    app.connect("autodoc-process-docstring", prepare, priority=BEFORE_NAPOLEON)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
