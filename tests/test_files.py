"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganmusic.files import atomic_path, counted


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".mid"
        assert temporary.parent == tmp_path
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["song.mid"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_no_rubbish(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "song.mid"
    path.write_text("old")
    with pytest.raises(type(error)), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half of the new")
        raise error
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["song.mid"]


def test_a_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic_path(tmp_path / "made") as temporary:
        temporary.touch()
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=str(tmp_path)), atomic_path(tmp_path):
        raise AssertionError("never reached")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "none" / "song.mid"):
        raise AssertionError("never reached")


@pytest.mark.parametrize(
    ("n", "said"), [(1, "1 bar"), (0, "0 bars"), (1.0, "1 bar"), (2.5, "2.5 bars"), (1234567, "1,234,567 bars")]
)
def test_things_are_counted_in_words(n: float, said: str) -> None:
    assert counted(n, "bar") == said
