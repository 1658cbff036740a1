"""The wheel: what is in it, and that it is all a reader needs beside the dependencies.

What is real: pip builds the wheel as it is published, with the build backend in an isolated environment (which it
downloads, a few hundred kilobytes); the wheel is installed by pip into a new environment, outside the repository; the
command and a chapter run there, in empty folders, in processes that know nothing of the working tree.

What is saved: the dependencies are not installed again (minutes, and more than a gigabyte). The new environment
sees those of the environment that runs the tests, through a folder of links to its packages, all but ganmusic's own
files: neither the editable install's ``.pth`` nor its metadata can be found from there. Tests assert as much. Not
shown here is, therefore, that the dependencies listed suffice; continuous integration installs them anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from ganmusic import midi
from ganmusic.checkpoint import shipped

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "02-music-as-tensors.ipynb"
LIGHT = 12_000_000

pytestmark = pytest.mark.slow


def run(*command, cwd, timeout=300, **variables):
    """Run a command as a user would who has no settings that point at this working tree."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "COVERAGE"))}
    environment = inherited | {"OMP_NUM_THREADS": "1", "PYTHONNOUSERSITE": "1"} | variables
    process = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert process.returncode == 0, f"{command}\n{process.stdout[-3000:]}\n{process.stderr[-3000:]}"
    return process.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", ROOT, "--no-deps", "--quiet", "-w", folder, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of a new environment that holds the wheel and sees the dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", system_site_packages=False, with_pip=False)
    python = folder / "venv" / "bin" / "python"
    # Links, not the folder itself: what is not linked cannot be imported, and no .pth file in it is read.
    links = folder / "dependencies"
    links.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "ganmusic" not in path.name.lower() and path.suffix != ".pth" and path.name != "__pycache__":
            (links / path.name).symlink_to(path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site / "dependencies.pth").write_text(f"{links}\n", encoding="utf-8")
    options = ["--quiet", "--no-deps", "--no-index"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, cwd=folder)
    return python


# What is in it --------------------------------------------------------------------------------------


def test_it_is_small(wheel):
    assert wheel.stat().st_size <= LIGHT


def test_it_holds_code_instruments_chorales_weights_and_licences(wheel, names):
    for name in (
        "ganmusic/__init__.py",
        "ganmusic/corpora/chorales.npz",
        "ganmusic/instruments/instruments.sf3",
        "ganmusic/instruments/LICENSE",
        *(f"ganmusic/weights/{weights}/{file}" for weights in shipped() for file in ("config.json", "README.md")),
    ):
        assert name in names
    for weights in shipped():
        tensors = rf"ganmusic/weights/{weights}/checkpoint-\d+/tensors\.safetensors"
        assert any(re.fullmatch(tensors, name) for name in names), weights
    assert {"chorales", "midinet"} <= set(shipped())
    # A licence that is there says something.
    with zipfile.ZipFile(wheel) as archive:
        for licence in ("LICENSE", "THIRD_PARTY.md", "ganmusic/instruments/LICENSE"):
            (name,) = [name for name in names if name.endswith(f".dist-info/licenses/{licence}")]
            assert len(archive.read(name)) > 500, licence


def test_it_holds_every_file_of_the_package_and_nothing_else(names):
    shipped = {name for name in names if ".dist-info/" not in name}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ganmusic").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == package


def test_it_holds_no_tests_no_book_and_nothing_compiled(names):
    assert not [name for name in names if re.search(r"(^|/)(tests?|book|notebooks|scripts)/|\.pyc$|\.ipynb$", name)]
    assert {name.split("/")[0].removesuffix(".dist-info").split("-")[0] for name in names} == {"ganmusic"}


def test_its_metadata_is_what_a_registry_shows(wheel, names):
    (name,) = [name for name in names if name.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    assert metadata["Name"] == "ganmusic"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    required = {re.match(r"[\w-]+", line)[0] for line in metadata.get_all("Requires-Dist") if "extra ==" not in line}
    assert {"numpy", "torch", "safetensors"} <= required
    assert not required & {"pytest", "jupyter-book", "ruff"}
    assert len(metadata.get_payload()) > 500, "the README is the page that a registry shows"


# What it does ---------------------------------------------------------------------------------------


def test_it_is_the_wheel_that_is_imported(python, tmp_path):
    code = "import sys, ganmusic, numpy; print(ganmusic.__file__); print(numpy.__file__); print(sys.path)"
    own, dependency, path = run(python, "-c", code, cwd=tmp_path).splitlines()
    assert Path(own).is_relative_to(python.parent.parent)
    assert not Path(own).resolve().is_relative_to(ROOT / "ganmusic")
    assert "dependencies" in dependency
    assert str(ROOT) not in [entry.rstrip("/") for entry in strings_in(path)]


def strings_in(text):
    """The strings of a printed list."""
    return re.findall(r"'([^']*)'", text)


def test_without_the_wheel_there_is_no_ganmusic(python, tmp_path):
    # In the same environment but for the wheel: the editable install is not seen.
    code = "import sys; sys.path = [p for p in sys.path if 'venv' not in p]; import numpy, ganmusic"
    with pytest.raises(AssertionError, match="No module named 'ganmusic'"):
        run(python, "-c", code, cwd=tmp_path)


def test_the_command_tells_its_version(python, tmp_path, wheel):
    assert run(python.with_name("ganmusic"), "--version", cwd=tmp_path) == f"ganmusic {wheel.name.split('-')[1]}\n"


def test_the_command_composes(python, tmp_path):
    run(python.with_name("ganmusic"), "compose", "x.mid", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.mid"]
    piece = midi.read(tmp_path / "x.mid")
    assert piece.n_bars == 8
    assert len(piece.tracks) == 4


def test_a_chapter_runs_in_an_empty_folder(python, tmp_path):
    code = """
import sys
import nbformat
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from jupyter_client import KernelManager

notebook = nbformat.read(sys.argv[1], as_version=4)
check = "import ganmusic; print(ganmusic.__file__)"
notebook.cells.append(nbformat.v4.new_code_cell(check))
manager = KernelManager()
# This very Python, whatever kernels the user has installed.
manager._kernel_spec = KernelSpec(
    argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
)
client = NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": "."}})
client.execute()
print(notebook.cells[-1].outputs[0].text)
"""
    imported = run(python, "-c", code, NOTEBOOK, cwd=tmp_path, timeout=590)
    assert Path(imported.strip().splitlines()[-1]).is_relative_to(python.parent.parent)
