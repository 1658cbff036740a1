"""Notebooks: as committed, they ran from top to bottom, say nothing of the machine, and use public names only.

That they run again, and give what they gave, is nbval's task (``make test``).
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parent.parent
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
COLAB = "https://colab.research.google.com/github/ganmusic/ganmusic/blob/main/notebooks"
INSTALL = """\
import importlib.util

if importlib.util.find_spec("ganmusic") is None:
    %pip install --quiet ganmusic"""
# Folders of machines on which notebooks are made; not preceded by what makes them part of an address or a word.
MACHINE_PATH = re.compile(r"(?<![\w./~-])/(?:work|tmp|root|home|Users|mnt|var/folders|private|opt|content)/[\w.~-]")
IGNORED = "nbval-ignore-output"


def cells(notebook, kind="code"):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def every_text(value):
    """All strings in a cell, outputs and metadata included, but for what is encoded as numbers and letters."""
    if isinstance(value, str):
        yield re.sub(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+|^[A-Za-z0-9+/=\s]{200,}$", "", value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from every_text(item)
    elif isinstance(value, list):
        for item in value:
            yield from every_text(item)


def not_run(notebook):
    """Numbers of the cells that were not run, or not in their order."""
    wanted, wrong = 1, []
    for index, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code" and cell["source"].strip():
            if cell["execution_count"] != wanted:
                wrong.append(index)
            wanted += 1
    return wrong


def complaints(notebook):
    """Errors, and what was written to stderr, with the cell's number."""
    found = []
    for index, cell in enumerate(notebook["cells"]):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                found.append(f"cell {index}: {output['ename']}: {output['evalue']}")
            elif output.get("name") == "stderr":
                found.append(f"cell {index}: {output['text']}")
    return found


def machine_paths(notebook):
    """What looks like a place on the author's machine."""
    texts = every_text(notebook["cells"])
    return [text[max(match.start() - 20, 0) :][:80] for text in texts for match in MACHINE_PATH.finditer(text)]


def private_imports(source):
    """Imports from the package that are neither modules nor in a module's ``__all__``, nor start with an underscore."""
    wrong = []
    for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                hidden = any(part.startswith("_") for part in parts)
                if parts[0] == "ganmusic" and (hidden or importlib.util.find_spec(alias.name) is None):
                    wrong.append(alias.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ganmusic":
            public = getattr(importlib.import_module(node.module), "__all__", ())
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if alias.name not in public and (alias.name.startswith("_") or not is_module(name)):
                    wrong.append(name)
    return wrong


def is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def pages(part):
    """Every page that a table of contents names."""
    if isinstance(part, dict):
        return [value for key, item in part.items() for value in ([item] if key == "file" else pages(item))]
    return [page for item in part for page in pages(item)] if isinstance(part, list) else []


# The checks themselves ------------------------------------------------------------------------------


def code(source, count, outputs=(), tags=()):
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "source": source, "execution_count": count, "outputs": outputs, "metadata": metadata}


def test_the_checks_find_what_is_wrong():
    stderr = {"output_type": "stream", "name": "stderr", "text": "UserWarning"}
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": []}
    fine = {"output_type": "stream", "name": "stdout", "text": "saved in runs/one; see https://a.org/home/x"}
    text = {"cell_type": "markdown", "source": "then `/tmp/song.mid`", "metadata": {}}
    notebook = {
        "cells": [code("1", 1, [fine]), code("", None), text, code("2", 3, [stderr]), code("3", None, [error])]
    }
    assert not_run(notebook) == [3, 4]
    assert complaints(notebook) == ["cell 3: UserWarning", "cell 4: KeyError: 'x'"]
    assert machine_paths(notebook) == ["then `/tmp/song.mid`"]
    picture = {"output_type": "display_data", "data": {"image/png": "iVBORw0/" + "root/a" * 60}}
    assert machine_paths({"cells": [code("x", 1, [picture])]}) == []
    assert machine_paths({"cells": [code("open('/home/me/x')", 1)]}) == ["open('/home/me/x')"]


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("from ganmusic.losses import LOSSES\nimport numpy as np\nfrom ganmusic import midi, viz", []),
        ("%pip install x\nimport ganmusic.corpora.chorales", []),
        ("from ganmusic.metrics import harmony", []),
        ("def f():\n    from ganmusic.corpora.chorales import CORPUS, pack", ["ganmusic.corpora.chorales.pack"]),
        ("from ganmusic.sampler import _soundfont", ["ganmusic.sampler._soundfont"]),
        ("from ganmusic import nothing", ["ganmusic.nothing"]),
        ("import ganmusic.nothing", ["ganmusic.nothing"]),
    ],
)
def test_imports_of_private_names_are_found(source, wrong):
    assert private_imports(source) == wrong


# The notebooks --------------------------------------------------------------------------------------


@pytest.fixture(params=PATHS, ids=[path.stem for path in PATHS])
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    assert PATHS


def test_a_notebook_is_valid_and_in_its_place(path, notebook):
    nbformat.validate(notebook)
    assert re.fullmatch(r"(\d\d-)?[a-z]+(-[a-z]+)*\.ipynb", path.name)
    contents = pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    assert contents.count(f"notebooks/{path.stem}") == 1
    assert path.stat().st_size <= 2_000_000


def test_every_cell_was_run_in_order(notebook):
    assert not not_run(notebook)
    assert cells(notebook)


def test_nothing_failed_and_nothing_complained(notebook):
    assert not complaints(notebook)


def test_the_first_cell_installs_the_package_where_it_is_missing(notebook):
    first = cells(notebook)[0]
    assert first["source"] == INSTALL
    assert not first["outputs"]


def test_it_uses_public_names_only(notebook):
    wrong = [name for cell in cells(notebook) for name in private_imports(cell["source"])]
    assert not wrong


def test_it_says_nothing_of_the_machine_it_ran_on(notebook):
    assert not machine_paths(notebook)


def test_the_badge_opens_this_very_notebook(path, notebook):
    text = "\n".join(cell["source"] for cell in cells(notebook, "markdown"))
    assert text.count(BADGE) == 1
    assert f"]({COLAB}/{path.name})" in text
    assert re.findall(rf"{re.escape(COLAB)}/([\w.-]+)", text) == [path.name]
    # The badge stands under the title.
    first = notebook["cells"][0]["source"]
    assert first.startswith("# ")
    assert BADGE in first


def test_most_outputs_are_compared_when_it_runs_again(notebook):
    shown = [cell for cell in cells(notebook) if cell["outputs"]]
    ignored = [cell for cell in shown if IGNORED in cell["metadata"].get("tags", [])]
    assert len(ignored) < len(shown) / 2


def test_every_picture_has_a_description(notebook):
    for index, cell in enumerate(notebook["cells"]):
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        shown = "remove-output" not in cell["metadata"].get("tags", [])
        if shown and kinds & {"image/png", "image/svg+xml", "image/jpeg"}:
            described = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(described) > 20, f"cell {index}"


def test_numbers_in_names_are_those_that_the_book_gives():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    (numbered,) = (part for part in contents["parts"] if part.get("numbered"))
    for number, page in enumerate(pages(numbered), 1):
        assert page.startswith(f"notebooks/{number:02}-")
    others = set(pages(contents)) - set(pages(numbered))
    assert not [page for page in others if re.match(r"notebooks/\d", page)]


def test_the_page_in_the_contents_is_there():
    contents = pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    chapters = [page for page in contents if page.startswith("notebooks/")]
    missing = [page for page in chapters if not (ROOT / f"{page}.ipynb").exists()]
    assert not missing
