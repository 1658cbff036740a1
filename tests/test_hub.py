"""Networks that are passed on: what is saved plays the same again, and the hub is asked for nothing else."""

import json
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ganmusic import checkpoint, recipes
from ganmusic.checkpoint import CheckpointError
from ganmusic.cli import main
from ganmusic.hub import HubError, from_pretrained, push_to_hub, save_pretrained
from ganmusic.pianoroll import Grid
from ganmusic.sample import Composer, compose, load_generator, sample_rolls


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "toy"
    recipes.train("toy", run, steps=2, progress=False)
    return run


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub of folders, in place of the library that asks the real one."""
    asked = []

    def snapshot_download(repo_id, **options):
        asked.append(("download", repo_id, options))
        if not (tmp_path / "hub" / repo_id).is_dir():
            raise ConnectionError("no route\nto host")
        return str(tmp_path / "hub" / repo_id)

    class HfApi:
        def __init__(self, token=None):
            asked.append(("token", token))

        def create_repo(self, repo_id, *, private=None, exist_ok=False):
            asked.append(("create", repo_id, private, exist_ok))
            return SimpleNamespace(repo_id=f"ada/{repo_id.split('/')[-1]}")

        def upload_folder(self, *, repo_id, folder_path, commit_message, revision):
            asked.append(("upload", repo_id, commit_message, revision))
            shutil.copytree(folder_path, tmp_path / "hub" / repo_id)
            return SimpleNamespace(commit_url=f"https://hub.example/{repo_id}/commit/1")

    library = SimpleNamespace(snapshot_download=snapshot_download, HfApi=HfApi)
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    return asked


@pytest.fixture
def no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


def same_music(one, other):
    one, other = sample_rolls(one, 5, seed=3), sample_rolls(other, 5, seed=3)
    return np.array_equal(one.sounding, other.sounding) and np.array_equal(one.onset, other.onset)


def test_a_saved_network_plays_the_same(run, tmp_path, no_library):
    composer = load_generator(run)
    assert save_pretrained(composer, tmp_path / "a" / "saved") == tmp_path / "a" / "saved"
    assert sorted(path.name for path in (tmp_path / "a" / "saved").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    loaded = from_pretrained(tmp_path / "a" / "saved")
    assert same_music(composer, loaded)
    weights, again = composer.generator.state_dict(), loaded.generator.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    # Half precision would not do for some, so that rounding would show.
    assert any(not torch.equal(each.half().float(), each) for each in weights.values() if each.is_floating_point())
    assert (loaded.grid, loaded.names, loaded.programs) == (composer.grid, composer.names, composer.programs)
    assert loaded.card["step"] == composer.card["step"] == 2
    assert compose(4, seed=2, run=loaded) == compose(4, seed=2, run=run)
    # Other weights would be heard: the comparison can fail.
    with torch.no_grad():
        next(loaded.generator.parameters()).normal_()
    assert not same_music(composer, loaded)


def test_a_run_is_saved_and_loaded_by_its_folder(run, tmp_path, no_library):
    save_pretrained(run, tmp_path / "saved")
    assert same_music(from_pretrained(run), from_pretrained(tmp_path / "saved"))


def test_a_saved_network_is_a_run_to_the_command(run, tmp_path):
    save_pretrained(run, tmp_path / "saved")
    assert main(["compose", str(tmp_path / "song.mid"), "--run", str(tmp_path / "saved"), "--bars", "4"]) == 0
    assert main(["compose", str(tmp_path / "same.mid"), "--run", str(run), "--bars", "4"]) == 0
    assert (tmp_path / "song.mid").read_bytes() == (tmp_path / "same.mid").read_bytes()


def test_what_was_saved_is_saved_again_from_what_the_composer_is(run, tmp_path):
    """The tracks' sounds are the composer's, which may have been changed since its card was written."""
    composer = load_generator(run)
    changed = Composer(
        composer.generator, composer.grid, composer.names, (0, 1, 2, 3), composer.card, (False, False, False, True)
    )
    save_pretrained(changed, tmp_path / "saved")
    loaded = from_pretrained(tmp_path / "saved")
    assert loaded.programs == (0, 1, 2, 3)
    assert loaded.drums == (False, False, False, True)


def test_the_shipped_network_can_be_saved_with_its_card(tmp_path):
    shipped = load_generator()
    save_pretrained(shipped, tmp_path)
    assert same_music(shipped, from_pretrained(tmp_path))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    n_parameters = sum(weight.numel() for weight in shipped.generator.parameters())
    assert f"- **Network**: `choir`, {n_parameters:,} parameters." in card
    assert "4 tracks (soprano, alto, tenor, bass)" in card
    assert "2,255 windows of `chorales`, moved to C major or A minor" in card
    assert f"Fréchet distance {shipped.card['best']['score']:.1f}" in card


def test_a_shipped_network_is_passed_on_by_its_name_with_its_own_card(tmp_path, no_library):
    save_pretrained("midinet", tmp_path)
    own = checkpoint.find("midinet") / "README.md"
    assert (tmp_path / "README.md").read_bytes() == own.read_bytes()
    weights = (tmp_path / "model.safetensors").stat().st_size  # in half precision, as the card says
    assert weights < 1.01 * sum(path.stat().st_size for path in own.parent.glob("*/*.safetensors"))
    assert from_pretrained("midinet").card["recipe"] == from_pretrained(tmp_path).card["recipe"] == "midinet"


def test_nothing_is_saved_over_a_run(run):
    before = (run / "config.json").read_bytes()
    with pytest.raises(ValueError, match="holds a run with checkpoints"):
        save_pretrained("chorales", run)
    assert (run / "config.json").read_bytes() == before
    assert not (run / "model.safetensors").exists()


def test_a_card_names_the_licence_and_the_repository(run, tmp_path):
    save_pretrained(run, tmp_path, repo_id="ada/toy", licence="cc-by-4.0")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: ganmusic\ntags: [music, midi, gan]\nlicense: cc-by-4.0\n---\n\n# toy\n")
    assert 'from_pretrained("ada/toy")' in card


def test_a_licence_is_never_lost(run, tmp_path):
    save_pretrained("midinet", tmp_path / "melodies", licence="mit")
    card = (tmp_path / "melodies" / "README.md").read_text(encoding="utf-8")
    own = (checkpoint.find("midinet") / "README.md").read_text(encoding="utf-8")
    assert card == f"---\nlibrary_name: ganmusic\ntags: [music, midi, gan]\nlicense: mit\n---\n\n{own}"
    for source, folder in (("midinet", "melodies"), (tmp_path / "melodies", "other")):
        with pytest.raises(ValueError, match="has a card of its own, which names the licence mit: write it there"):
            save_pretrained(source, tmp_path / folder, licence="apache-2.0")
        save_pretrained(source, tmp_path / folder, licence="mit")  # as it says
        assert (tmp_path / folder / "README.md").read_text(encoding="utf-8") == card


@pytest.mark.parametrize(("licence", "said"), [(None, "cc-by-4.0"), ("cc0-1.0", "cc0-1.0")])
def test_a_written_card_is_written_anew_and_keeps_its_licence(run, tmp_path, licence, said):
    save_pretrained(run, tmp_path / "toy", licence="cc-by-4.0")
    save_pretrained(tmp_path / "toy", tmp_path / "toy", licence=licence)
    save_pretrained(tmp_path / "toy", tmp_path / "again", licence=licence, repo_id="ada/toy")
    for name, called in (("toy", tmp_path / "toy"), ("again", "ada/toy")):
        card = (tmp_path / name / "README.md").read_text(encoding="utf-8")
        assert card.count("license:") == card.count(f"license: {said}\n") == 1
        assert f'from_pretrained("{called}")' in card
    # Another network's licence is not taken over.
    save_pretrained("choir", tmp_path / "choir")
    (tmp_path / "choir" / "README.md").unlink()
    save_pretrained(tmp_path / "choir", tmp_path / "toy")
    assert "license:" not in (tmp_path / "toy" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("begin", [b"", b"\n", b"\xef\xbb\xbf"])
def test_a_card_with_facts_of_its_own_is_taken_along_byte_by_byte(run, tmp_path, begin):
    save_pretrained(run, tmp_path / "one")
    card = begin + b"---\r\nlicense: gpl-3.0\r\n---\r\n# Gro\xdfer Chor\r\n"
    (tmp_path / "one" / "README.md").write_bytes(card)
    with pytest.raises(ValueError, match=r"names the licence gpl-3\.0"):
        save_pretrained(tmp_path / "one", tmp_path / "other", licence="mit")
    save_pretrained(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "other" / "README.md").read_bytes() == card


def test_a_card_that_is_there_is_left_alone(run, tmp_path):
    (tmp_path / "README.md").write_text("my own words")
    save_pretrained(run, tmp_path)
    assert (tmp_path / "README.md").read_text() == "my own words"
    save_pretrained(tmp_path, tmp_path / "copy")
    assert (tmp_path / "copy" / "README.md").read_text() == "my own words"


def test_no_network_is_saved_beside_another_s_card(run, tmp_path):
    save_pretrained("midinet", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"README\.md is the card of another network: move it away, or save into an"):
        save_pretrained(run, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    save_pretrained("midinet", tmp_path)  # the same again
    (tmp_path / "README.md").unlink()
    save_pretrained(run, tmp_path)
    assert from_pretrained(tmp_path).card["recipe"] == "toy"
    assert "`convnet`" in (tmp_path / "README.md").read_text()


def test_a_card_that_it_wrote_is_written_again(run, tmp_path):
    save_pretrained(load_generator("choir"), tmp_path)  # a Composer has no card of its own to take along
    assert "`choir`" in (tmp_path / "README.md").read_text()
    save_pretrained(run, tmp_path)
    assert "`convnet`" in (tmp_path / "README.md").read_text()


def test_one_s_own_card_stays_while_a_network_goes_on_learning(run, tmp_path):
    composer = load_generator(run)
    save_pretrained(composer, tmp_path)
    (tmp_path / "README.md").write_text("my own words")
    save_pretrained(replace(composer, card={**composer.card, "step": 99, "seconds": 9.0, "best": None}), tmp_path)
    assert (tmp_path / "README.md").read_text() == "my own words"
    assert from_pretrained(tmp_path).card["step"] == 99


def test_a_network_without_a_recipe_composes(run, tmp_path):
    composer = load_generator(run)
    card = {name: composer.card[name] for name in ("model", "generator")}
    save_pretrained(replace(composer, card=card), tmp_path)
    assert compose(1, run=tmp_path).title == "convnet, seed 0"


def test_a_network_that_no_card_describes_is_not_saved(run, tmp_path):
    composer = load_generator(run)
    nameless = Composer(composer.generator, Grid(), composer.names, composer.programs, {})
    with pytest.raises(ValueError, match="which model it is"):
        save_pretrained(nameless, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_published_and_loaded_from_the_hub(run, tmp_path, hub):
    address = push_to_hub(run, "toy", private=True, token="secret", branch="try", licence="mit")  # noqa: S106
    assert address == "https://hub.example/ada/toy/commit/1"
    assert hub == [
        ("token", "secret"),
        ("create", "toy", True, True),
        ("upload", "ada/toy", "Add a network made with ganmusic", "try"),
    ]
    assert "secret" not in (tmp_path / "hub" / "ada" / "toy" / "config.json").read_text()
    loaded = from_pretrained("ada/toy", revision="try", local_files_only=True)
    assert same_music(loaded, load_generator(run))
    (_, repo_id, options) = hub[-1]
    assert repo_id == "ada/toy"
    assert options["revision"] == "try"
    assert options["local_files_only"] is True
    assert options["allow_patterns"] == ["config.json", "model.safetensors", "README.md"]


def test_a_folder_comes_before_the_hub(run, tmp_path, hub, monkeypatch):
    save_pretrained(run, tmp_path / "ada" / "toy")
    monkeypatch.chdir(tmp_path)
    from_pretrained("ada/toy")
    assert hub == []


def test_without_the_library_it_is_named(no_library, run):
    with pytest.raises(HubError, match=r"pip install ganmusic\[hub\]"):
        from_pretrained("ada/toy")
    with pytest.raises(HubError, match=r"pip install ganmusic\[hub\]"):
        push_to_hub(run, "ada/toy")


def test_without_a_network_it_is_said_what_helps(hub):
    with pytest.raises(HubError, match=r"^ada/gone could not be downloaded \(.*no route to host\); .*give the folder"):
        from_pretrained("ada/gone")


def test_a_hub_that_says_no_is_named(run, hub, monkeypatch):
    def refuses(*args, **options):
        raise PermissionError("401 Unauthorized")

    monkeypatch.setattr(sys.modules["huggingface_hub"].HfApi, "create_repo", refuses)
    with pytest.raises(HubError, match=r"could not be published .*401 Unauthorized.*hf auth login"):
        push_to_hub(run, "ada/toy")


@pytest.mark.parametrize("name", ["nowhere", "../toy", "a/b/c", "/no/where", "https://hub.example/ada"])
def test_what_is_neither_a_folder_nor_a_repository_is_named(name, hub):
    with pytest.raises(CheckpointError, match=r"there is no folder .*owner/name"):
        from_pretrained(name)
    assert hub == []


def test_damaged_and_foreign_folders_are_named(run, tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        from_pretrained(tmp_path)
    saved = save_pretrained(run, tmp_path / "saved")
    weights = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        from_pretrained(saved)
    (saved / "model.safetensors").write_bytes(weights)
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "generator": {"n_tracks": 3}}))
    with pytest.raises(CheckpointError, match="its weights are not those of the network"):
        from_pretrained(saved)
    (saved / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        from_pretrained(saved)
