"""Networks that are passed on: a folder to keep or to send, or a repository on the Hugging Face Hub.

The three functions are called as the methods of ``huggingface_hub.PyTorchModelHubMixin`` are, and write the same files:
``config.json``, ``model.safetensors`` and a model card, ``README.md``. A folder needs no network and no further
library, and is a run like any other to ``ganmusic compose --run``. Only for what is named as ``owner/name`` and is no
folder the hub is asked, by ``huggingface_hub``: ``pip install ganmusic[hub]``. Nothing is ever unpickled.

Taught in: notebooks/03-training.ipynb
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from ganmusic import checkpoint
from ganmusic.corpora import CORPORA
from ganmusic.files import atomic_path, counted
from ganmusic.sample import Composer, load_generator
from ganmusic.store import describe

__all__ = ["HubError", "from_pretrained", "push_to_hub", "save_pretrained"]

#: The last line of a card that `save_pretrained` writes, and may write again.
WRITTEN = "<!-- Written by ganmusic, and again with the weights, as long as this line stands here. -->"

#: Facts for the hub, at the top of a card.
_FACTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*---[\r\n](.*?)[\r\n]---", re.DOTALL)

_Result = TypeVar("_Result")


class HubError(RuntimeError):
    """The hub cannot be asked, or does not do what it was asked; the message says why and what helps."""


def save_pretrained(
    source: Composer | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    repo_id: str | None = None,
    licence: str | None = None,
) -> Path:
    """Write a network to a folder: its weights, what it is built of, and a model card.

    A card that is there is left as it is, for it may be yours; else a run's own ``README.md`` is taken along. Cards
    that this function wrote are written anew, and keep their licence if no other is given.

    Parameters
    ----------
    source : Composer or path
        A network, or the folder of a run: that of its best checkpoint.
    folder : path
        Made if it is missing.
    repo_id : str, optional
        ``owner/name`` by which the card will tell people to load it; by default the folder.
    licence : str, optional
        On what terms the weights are given, as the hub writes it: ``mit``, ``cc-by-nc-4.0``. A card that is taken
        along, and has no facts for the hub at its top, is given some.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CheckpointError
        If the run cannot be loaded, or the folder's own `config.json` is damaged.
    ValueError
        If the network is not one of `ganmusic.models.MODELS`, by its card; or the folder holds a run with checkpoints,
        which would be played instead of what is saved, or another network and a card that this function did not write;
        or a licence is given that such a card, being left as it is, or having facts of its own, does not say.

    Taught in: notebooks/03-training.ipynb
    """
    composer = source if isinstance(source, Composer) else load_generator(source)
    if not {"model", "generator"} <= composer.card.keys():
        raise ValueError("the card of this network does not say which model it is, so it could not be loaded again")
    folder = Path(folder)
    if checkpoint.latest(folder):
        raise ValueError(f"{folder} holds a run with checkpoints: save the network into another folder")
    config = {
        **composer.card,
        "grid": asdict(composer.grid),
        "tracks": list(composer.names),
        "programs": list(composer.programs),
        "drums": list(composer.drums),
    }
    card = folder / "README.md"
    there = _read(card)
    own = b"" if isinstance(source, Composer) else _read(checkpoint.find(source) / "README.md")
    yours = next((text for text in (there, own) if text and WRITTEN.encode() not in text), b"")
    is_other = bool(there) and _holds_another(folder, config)
    if yours and yours is there and is_other:
        raise ValueError(f"{card} is the card of another network: move it away, or save into another folder")
    if yours and licence and (said := _licence(yours)) != licence:
        if yours is there or _FACTS.match(yours):
            whose, says = card if yours is there else source, f"the licence {said}" if said else "no licence"
            raise ValueError(f"{whose} has a card of its own, which names {says}: write it there")
        yours = _head(licence).encode() + yours
    checkpoint.write_config(folder, config)
    checkpoint.save_weights(folder, composer.generator.state_dict())
    if not yours:
        licence = licence or _licence(own) or (None if is_other else _licence(there))
        yours = _model_card(composer, repo_id or str(folder), licence).encode()
    if yours != there:
        with atomic_path(card) as temporary:
            temporary.write_bytes(yours)
    return folder


def _read(path: Path) -> bytes:
    """What is in a file; nothing, if there is none."""
    return path.read_bytes() if path.exists() else b""


def _licence(card: bytes) -> str | None:
    """The licence that a card names among its facts for the hub."""
    facts = _FACTS.match(card)
    found = re.search(rb"^license: *(\S+)", facts[1], re.MULTILINE) if facts else None
    return found[1].decode(errors="replace") if found else None


def _holds_another(folder: Path, config: dict[str, Any]) -> bool:
    """Whether a folder has a network that differs in more than how far it has been trained."""
    path = folder / "config.json"
    if not path.exists():
        return False
    there, here = checkpoint.read_json(path), json.loads(json.dumps(config))
    return any(there.get(name) != here.get(name) for name in ("model", "generator", "grid", "tracks", "recipe", "data"))


def from_pretrained(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Composer:
    """Load a network from a folder, or from a repository on the hub.

    Parameters
    ----------
    name : path or str
        A folder that `save_pretrained` made, a run, or the name of weights that come with the package; or
        ``owner/name`` on the hub, where there is no such folder.
    revision, cache_dir, token, local_files_only
        Of the hub, see ``huggingface_hub.snapshot_download``: a commit or tag, the folder of the downloads, what proves
        who asks, and whether only what was downloaded before may be used.

    Raises
    ------
    CheckpointError
        If there is no such folder, or it is damaged or holds no network of this version.
    HubError
        If it is to come from the hub, and ``huggingface_hub`` is not installed, nothing answers, or the hub says no.

    Taught in: notebooks/03-training.ipynb
    """
    if checkpoint.find(name).is_dir():
        return load_generator(name)
    repo_id = str(name)
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo_id):
        raise checkpoint.CheckpointError(f"there is no folder {repo_id}; a repository on the hub is named owner/name")
    download = _library().snapshot_download
    folder = _asked(
        f"{repo_id} could not be downloaded",
        "without a network, give the folder of a copy",
        lambda: download(
            repo_id,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            allow_patterns=["config.json", "model.safetensors", "README.md"],
            library_name="ganmusic",
        ),
    )
    return load_generator(folder)


def push_to_hub(
    source: Composer | str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    branch: str | None = None,
    commit_message: str = "Add a network made with ganmusic",
    licence: str | None = None,
) -> str:
    """Publish a network as a repository on the hub, and return the address of the commit.

    Parameters
    ----------
    source : Composer or path
        See `save_pretrained`, which writes what is published.
    repo_id : str
        ``owner/name``; made if it is missing.
    private, token, branch, commit_message
        See ``huggingface_hub.HfApi``.
    licence : str, optional
        See `save_pretrained`. What a network learned from may bind you.

    Raises
    ------
    CheckpointError, ValueError
        As `save_pretrained`.
    HubError
        If ``huggingface_hub`` is not installed, nothing answers, or the hub says no.

    Taught in: notebooks/03-training.ipynb
    """
    api = _library().HfApi(token=token)
    with TemporaryDirectory() as temporary:
        folder = save_pretrained(source, temporary, repo_id=repo_id, licence=licence)

        def push() -> Any:
            full_name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            return api.upload_folder(
                repo_id=full_name, folder_path=folder, commit_message=commit_message, revision=branch
            ).commit_url

        return str(_asked(f"{repo_id} could not be published", "log in with: hf auth login", push))


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise HubError("the hub is asked by a library of its own: pip install ganmusic[hub]") from None
    return huggingface_hub


def _asked(failure: str, advice: str, question: Callable[[], _Result]) -> _Result:
    """Ask the hub, or say what failed and what may help."""
    try:
        return question()
    except Exception as error:  # the library's, and those of whichever network library that one uses
        reason = " ".join(str(error).split())[:300]
        raise HubError(f"{failure} ({type(error).__name__}: {reason}); {advice}") from error


def _head(licence: str | None) -> str:
    """The hub's facts about a network, which stand on the top of its card."""
    lines = ["library_name: ganmusic", "tags: [music, midi, gan]", *([f"license: {licence}"] if licence else [])]
    return "\n".join(["---", *lines, "---", "", ""])


def _model_card(composer: Composer, name: str, licence: str | None) -> str:
    """What there is to know of a network, as Markdown, with the hub's facts about it at the top."""
    card, data = composer.card, composer.card.get("data", {})
    n_parameters = sum(weight.numel() for weight in composer.generator.parameters())
    n_bars = getattr(composer.generator, "n_bars", None)
    corpus = CORPORA.get(data.get("corpus", ""))
    key = "moved to C major or A minor" if composer.normalised else "in its own keys"
    facts = {
        "Network": f"`{card['model']}`, {n_parameters:,} parameters",
        "Music": f"{counted(len(composer.names), 'track')} ({', '.join(composer.names)}), {describe(composer.grid)}, "
        + (f"clips of {counted(n_bars, 'bar')}" if n_bars else "any number of bars"),
    }
    if data:
        source = f"{corpus.title} ({corpus.terms})" if corpus else "a folder of music, whose terms are its owner's"
        facts["Data"] = f"{data.get('clips', 0):,} windows of `{data.get('corpus')}`, {key}: {source}"
    if "step" in card:
        facts["Training"] = f"recipe `{card.get('recipe')}`, {counted(card['step'], 'update')}" + (
            f", {card['seconds'] / 60:.1f} minutes" if "seconds" in card else ""
        )
    if card.get("best"):
        facts["Measured"] = f"Fréchet distance {card['best']['score']:.1f} to validation music, which training watched"
    lines = [f"- **{what}**: {fact}." for what, fact in facts.items()]
    return _head(licence) + "\n".join(
        [
            f"# {Path(name).name}",
            "",
            "A generator of music, trained with `ganmusic` as one player of a generative adversarial network.",
            "",
            *lines,
            "",
            "```python",
            "from ganmusic.hub import from_pretrained",
            "from ganmusic.player import Clip",
            "from ganmusic.sample import compose",
            "",
            f'Clip(compose({n_bars or 8}, seed=1, run=from_pretrained("{name}"))).save("song.mid")',
            "```",
            "",
            "It knows the style, the metre and the tracks of its data, and nothing else. To judge it beside held-out",
            "music, and to see whether it copies: `ganmusic evaluate --run FOLDER`.",
            "",
            WRITTEN,
            "",
        ]
    )
