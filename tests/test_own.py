"""One's own corpora: named, found again, changed, and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ganmusic import corpora, midi
from ganmusic.corpora import folder, own
from ganmusic.pianoroll import Grid, Note, Piece, Track


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    folder.mkdir()
    for i in range(3):
        line = Track("a", tuple(Note(4 * j, 4, 60 + j * i % 7) for j in range(8)))
        midi.write(Piece((line, Track("b", (Note(0, 32, 40 + i),)))), folder / f"{i}.mid")
    return folder


def test_a_folder_is_found_by_its_name_with_its_settings(root: Path, tmp_path: Path) -> None:
    options = {"voices": "parts", "n_tracks": 2, "programs": [3, 4], "grid": Grid(8, 4), "override": {"c": ""}}
    added = corpora.add("my-songs_2", root, cache=tmp_path / "cache", **options)
    found = corpora.get("my-songs_2", cache=tmp_path / "cache")
    assert isinstance(found, corpora.Folder)
    assert (found.root, found.reading, found.store) == (added.root, added.reading, added.store)
    assert found.reading.programs == (3, 4)
    assert len(found.load()) == 3
    assert own.names(tmp_path / "cache") == ["my-songs_2"]
    assert sorted(path.name for path in root.iterdir()) == ["0.mid", "1.mid", "2.mid"]  # nothing was added


def test_the_notes_stay_when_the_folder_goes(root: Path, tmp_path: Path) -> None:
    before = corpora.add("mine", root, cache=tmp_path / "c").load()
    shutil.rmtree(root)
    assert corpora.get("mine", cache=tmp_path / "c").load() == before


def test_adding_again_changes_how_it_is_read(root: Path, tmp_path: Path) -> None:
    corpora.add("mine", root, cache=tmp_path / "c").load()
    corpora.add("mine", root, cache=tmp_path / "c", n_tracks=1)
    assert len(corpora.get("mine", cache=tmp_path / "c").load()[0].tracks) == 1


def test_a_name_that_is_taken(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ValueError, match="there are no music files in it"):
        corpora.add("mine", other, cache=tmp_path / "c")
    assert own.names(tmp_path / "c") == []  # the name is free again
    corpora.add("mine", root, cache=tmp_path / "c")
    with pytest.raises(ValueError, match=r"already the name of .*songs; 'ganmusic corpora remove mine' frees it"):
        corpora.add("mine", other, cache=tmp_path / "c")
    with pytest.raises(ValueError, match="'chorales' is the name of a corpus that ganmusic knows"):
        corpora.add("chorales", root, cache=tmp_path / "c")


@pytest.mark.parametrize("name", ["", "My", "1st", "a b", "../x", "a/b", "ä", "x" * 65, "a\n"])
def test_what_cannot_be_a_name(name: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a corpus"):
        corpora.add(name, root, cache=tmp_path / "c")
    with pytest.raises(ValueError, match="no corpus is named"):
        corpora.get(name, cache=tmp_path / "c")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such folder"):
        corpora.add("mine", tmp_path / "nowhere", cache=tmp_path / "c")
    assert own.names(tmp_path / "c") == []


def test_an_unknown_name_lists_the_known_ones(root: Path, tmp_path: Path) -> None:
    corpora.add("mine", root, cache=tmp_path / "c")
    with pytest.raises(ValueError, match=r"no corpus is named 'yours'; there are chorales, .*mine"):
        corpora.get("yours", cache=tmp_path / "c")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"root": "/", "surprise": 1}', '{"root": 3, "grid": null}'])
def test_damaged_settings_are_said(text: str, root: Path, tmp_path: Path) -> None:
    corpora.add("mine", root, cache=tmp_path / "c")
    (tmp_path / "c" / "mine" / own.SETTINGS).write_text(text)
    with pytest.raises(ValueError, match=r"corpus\.json is damaged"):
        own.find("mine", tmp_path / "c")


def test_settings_are_readable_json(root: Path, tmp_path: Path) -> None:
    corpora.add("mine", root, cache=tmp_path / "c", override={"Flöte": "a"})
    text = (tmp_path / "c" / "mine" / own.SETTINGS).read_text(encoding="utf-8")
    assert json.loads(text)["root"] == str(root.resolve())
    assert "Flöte" in text


def test_other_options_take_the_place_of_those_that_were_there_only_when_they_work(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "c"
    before = corpora.add("mine", root, cache=cache).load()
    for wrong in ({"voices": "parts", "n_tracks": 3}, {"programs": [1]}, {"override": {"a": "x"}}):
        with pytest.raises(ValueError, match=r"no piece has 3 tracks|as many programs|no voice is named"):
            corpora.add("mine", root, cache=cache, **wrong)
        assert corpora.get("mine", cache=cache).load() == before
        assert [path.name for path in sorted((cache / "mine").iterdir())] == ["corpus.json", "notes"]


def test_interrupted_adding_is_gone_on_with(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "CHUNK", 1)
    read, calls = folder.midi.read_music, []

    def stops(path: Path) -> object:
        calls.append(path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(folder.midi, "read_music", stops)
    with pytest.raises(KeyboardInterrupt):
        corpora.add("mine", root, cache=tmp_path / "c", voices="roles")
    assert own.names(tmp_path / "c") == []
    assert len(corpora.add("mine", root, cache=tmp_path / "c", voices="roles").load()) == 3
    assert calls == ["0.mid", "1.mid", "1.mid", "2.mid"]


@pytest.mark.parametrize("where", ["c/mine", "c/mine/files", "."])
def test_music_is_not_kept_where_what_is_made_of_it_is(where: str, root: Path, tmp_path: Path) -> None:
    place = tmp_path / where
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / "0.mid", place / "precious.mid")
    with pytest.raises(ValueError, match="must lie apart"):
        corpora.add("mine", place, cache=tmp_path / "c")
    assert (place / "precious.mid").exists()
