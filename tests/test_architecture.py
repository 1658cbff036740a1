"""The shape of the package: who may import whom, names that say something, docstrings everywhere.

What a module may import is written down here once, and read from its source; a new module has no place
in the package until it has a line in `MAY_IMPORT`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ganmusic

ROOT = Path(ganmusic.__file__).parent
MODULES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}

# Folders stand for the modules in them. Imports point up this table only, towards `pianoroll`.
MAY_IMPORT: dict[str, set[str]] = {
    "pianoroll": set(),
    "files": set(),
    "quantise": {"pianoroll"},
    "musicxml": {"pianoroll", "files", "quantise"},
    "midi": {"pianoroll", "files", "quantise", "musicxml"},
    "keys": {"pianoroll"},
    "voices": {"pianoroll", "files"},
    "store": {"pianoroll", "files"},
    "corpora": {"pianoroll", "files", "quantise", "midi", "keys", "voices", "store", "corpora"},
    "parallel": set(),
    "losses": set(),
    "penalties": {"parallel"},
    "metrics": {"pianoroll", "metrics"},
    "data": {"pianoroll", "store"},
    "models": {"pianoroll", "keys", "parallel", "losses", "penalties", "models"},
    "checkpoint": {"files"},
    "train": {"parallel", "losses", "penalties", "checkpoint", "files"},
    "sample": {"pianoroll", "quantise", "keys", "models", "checkpoint"},
    "hub": {
        *("pianoroll", "files", "midi", "keys", "voices", "store", "corpora", "models", "checkpoint", "sample"),
    },
    "sampler": set(),
    "audio": {"pianoroll", "files", "sampler"},
    "viz": {"pianoroll", "files", "midi", "corpora"},
    "player": {"pianoroll", "files", "midi", "audio", "viz"},
    "recipes": {
        *("pianoroll", "files", "midi", "keys", "voices", "store", "corpora", "data", "losses", "penalties"),
        *("models", "train", "checkpoint", "sample", "metrics", "parallel"),
    },
    "evaluation": {
        *("pianoroll", "files", "midi", "keys", "voices", "store", "corpora", "data", "sample", "metrics"),
        *("viz", "recipes", "evaluation"),
    },
    "originality": {
        *("pianoroll", "files", "midi", "keys", "voices", "corpora", "data", "metrics", "audio", "viz"),
        *("player", "recipes", "evaluation"),
    },
    "cli": {
        *("pianoroll", "files", "quantise", "midi", "keys", "corpora", "data", "losses", "penalties", "models"),
        *("train", "checkpoint", "sample", "metrics", "audio", "viz", "player", "recipes"),
        *("evaluation", "originality"),
    },
    "__main__": {"cli"},
    "__init__": {
        *("pianoroll", "midi", "corpora", "data", "losses", "penalties", "models", "train"),
        *("checkpoint", "sample", "metrics", "audio", "viz", "player", "recipes", "evaluation", "originality"),
    },
}

# Who may import what from outside; everybody may import everything else.
ONLY_IN: dict[str, set[str]] = {
    "symusic": {"midi"},
    "pretty_midi": {"midi"},
    "mido": set(),
    "music21": {"musicxml", "corpora"},  # corpora: what music21 brings along
    "huggingface_hub": {"hub"},
    "pickle": set(),
    "torch": {
        *("losses", "penalties", "models", "data", "train", "checkpoint", "sample", "recipes", "parallel"),
    },
}

EMPTY_NAMES = {"utils", "util", "common", "core", "helpers", "helper", "misc", "tools", "lib"}


def concept(module: str) -> str:
    """The line of the table that a module belongs to: 'models/mlp.py' to 'models'."""
    return module.removesuffix(".py").split("/")[0]


def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"), module)


def imports(tree: ast.Module, module: str = "x.py") -> set[str]:
    """Every imported module by its dotted name, also inside functions: 'torch.nn', 'ganmusic.midi'."""
    package = ["ganmusic", *module.split("/")[:-1]]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            # ``from ganmusic import midi`` imports the module ganmusic.midi.
            found |= {f"{source}.{alias.name}" for alias in node.names}
    return found


def own(names: set[str]) -> set[str]:
    """The concepts of this package among imported names."""
    return {name.split(".")[1] for name in names if name.startswith("ganmusic.")}


def type_checking_only(tree: ast.Module) -> ast.Module:
    """A copy without what stands under ``if TYPE_CHECKING:``, which is never executed."""
    body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return ast.Module(body, [])


def test_the_reader_of_imports_sees_them_all() -> None:
    tree = ast.parse(
        "import torch.nn as nn\nfrom ganmusic import midi, viz\nfrom ganmusic.pianoroll import Grid\n"
        "from . import blocks\nfrom ..losses import hinge\ndef f():\n    import symusic\n"
    )
    names = imports(tree, "models/mlp.py")
    assert own(names) == {"midi", "viz", "pianoroll", "models", "losses"}
    assert {name.split(".")[0] for name in names} == {"torch", "ganmusic", "symusic"}


def test_the_table_itself_points_one_way() -> None:
    order = list(MAY_IMPORT)
    for name, allowed in MAY_IMPORT.items():
        for other in allowed - {name}:
            if name != "__init__":
                assert order.index(other) < order.index(name), f"{name} may import {other} below it"
    assert not MAY_IMPORT["models"] & {"data", "train", "metrics"}
    assert "models" not in MAY_IMPORT["train"]
    assert "metrics" not in ONLY_IN["torch"]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_it_may(module: str) -> None:
    assert concept(module) in MAY_IMPORT, f"{module} has no line in MAY_IMPORT"
    too_much = own(imports(parsed(module), module)) - MAY_IMPORT[concept(module)]
    assert not too_much, f"{module} may not import {sorted(too_much)}"


@pytest.mark.parametrize("module", MODULES)
def test_libraries_stay_where_they_belong(module: str) -> None:
    for name in imports(type_checking_only(parsed(module)), module):
        library = name.split(".")[0]
        allowed = ONLY_IN.get(library)
        assert allowed is None or concept(module) in allowed, f"{module} may not import {library}"


@pytest.mark.parametrize("module", ["cli.py", "__main__.py", "__init__.py"])
def test_the_command_starts_without_heavy_imports(module: str) -> None:
    at_the_top = ast.Module([n for n in parsed(module).body if not is_definition(n)], [])
    heavy = {"torch", "numpy", "matplotlib", "tqdm", "music21", "scipy"}
    assert not heavy & {name.split(".")[0] for name in imports(at_the_top, module)}
    assert own(imports(at_the_top, module)) <= {"cli"}


def is_definition(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is(module: str) -> None:
    assert not set(module.removesuffix(".py").split("/")) & EMPTY_NAMES
    assert ast.get_docstring(parsed(module)), f"{module} has no docstring"


@pytest.mark.parametrize("module", MODULES)
def test_public_names_exist_are_sorted_and_have_docstrings(module: str) -> None:
    tree = parsed(module)
    names = public_names(tree)
    if names is None:
        assert module.endswith(("__init__.py", "__main__.py")), f"{module} has no __all__"
        return
    assert sorted(names, key=sort_key) == names, f"__all__ of {module} is not sorted"
    described = {n.name: bool(ast.get_docstring(n)) for n in tree.body if is_definition(n)}  # type: ignore[attr-defined]
    others = assigned_or_imported(tree)
    for name in names:
        assert described.get(name, name in others), (
            f"{module}: {name} is missing or has no docstring"
        )


def public_names(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def sort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts them."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def assigned_or_imported(tree: ast.Module) -> set[str]:
    """Constants and names from other modules, which have no docstring of their own here."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names |= {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names
