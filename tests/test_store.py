"""The store: what goes in comes out, from any moment of interruption, and what is damaged says so."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from ganmusic import store as store_module
from ganmusic.corpora import CORPORA
from ganmusic.data import augment, windows
from ganmusic.pianoroll import Grid, Note, Piece, Track, piece_to_roll
from ganmusic.store import Store, load_pieces, pack, prepare, save_pieces

GRID = Grid(8, 4, 36, 36)
"""A small grid, so that shards of a few pieces are small."""


def song(seed, n_bars=None, **labels):
    """A piece of a tune and drums, told by its number; every piece has another length."""
    rng = random.Random(seed)
    end = 8 * (n_bars or 3 + seed % 4)
    tune = [Note(step, rng.randint(1, 4), rng.randint(40, 63)) for step in range(0, end - 4, 2)]
    beat = [Note(step, 1, 36 + 5 * (step % 8 // 4)) for step in range(0, end, 4)]
    tracks = (Track("tune", (*tune, Note(end - 2, 2, 60)), 40), Track("drums", tuple(beat), 0, is_drum=True))
    facts = {"tonic": seed % 5, "mode": ("major", "minor")[seed % 2], "split": ("train", "test")[seed % 3 == 0]}
    return Piece(tracks, GRID, 100.0 + seed, f"Song {seed}", labels={**facts, **labels})


def songs(n):
    return [song(seed) for seed in range(n)]


def store_files(folder):
    """All but the lock, which some versions of `filelock` delete."""
    return {name: sha256 for name, sha256 in contents(folder).items() if name != "prepare.lock"}


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# Note events ----------------------------------------------------------------------------------------


words = st.text(st.characters(codec=None), max_size=8)
labels = st.dictionaries(words, st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=5,
), max_size=3)  # fmt: skip
notes = st.builds(Note, st.integers(0, 2**31 - 1), st.integers(1, 2**31 - 1), st.integers(0, 127))
tracks = st.builds(
    Track, words, st.lists(notes, max_size=4).map(tuple), st.integers(0, 127), st.booleans()
)
pieces = st.builds(
    Piece, st.lists(tracks, max_size=3).map(tuple), st.sampled_from([Grid(), GRID, Grid(12, 3, 0, 132)]),
    st.floats(1, 999), words, st.integers(0, 15), labels,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(pieces, max_size=3))
def test_pieces_come_back_as_they_were(tmp_path_factory, some):
    path = tmp_path_factory.mktemp("pieces") / "pieces.npz"
    save_pieces(some, path)
    assert load_pieces(path) == tuple(some)


@pytest.mark.parametrize("name", ["chorales", "toy"])
def test_a_corpus_comes_back_note_for_note_and_small(tmp_path, name):
    corpus = CORPORA[name].load()
    save_pieces(corpus, tmp_path / "corpus.npz")
    back = load_pieces(tmp_path / "corpus.npz")
    assert len(back) == len(corpus)
    for ours, theirs in zip(back, corpus, strict=True):
        assert type(ours) is Piece
        assert ours == Piece(**{**vars(theirs), "labels": json.loads(json.dumps(theirs.labels))})
    assert (tmp_path / "corpus.npz").stat().st_size < 100 * sum(piece.n_bars for piece in corpus)


def test_the_same_pieces_make_the_same_file(tmp_path):
    for name in ("one.npz", "other.npz"):
        save_pieces(iter(songs(4)), tmp_path / name)
    assert len(set(contents(tmp_path).values())) == 1


def test_nothing_but_plain_arrays_is_given_to_numpy(tmp_path, monkeypatch):
    # numpy 2.0 takes any other argument for an array, and keeps it.
    def savez(file, **arrays):
        assert not any(array.dtype.hasobject for array in arrays.values())
        np.savez(file, **arrays)

    monkeypatch.setattr(store_module.np, "savez_compressed", savez)
    save_pieces(songs(3), tmp_path / "pieces.npz")
    assert load_pieces(tmp_path / "pieces.npz") == tuple(songs(3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {"chords": {1, 2}}}, "label of the piece 'Song 3'"),
        ({"labels": {"year": np.int64(5)}}, "label of the piece 'Song 3'"),
        ({"tracks": (Track("far", (Note(2**31, 1, 60),)),)}, "cannot be kept in .*2147483648"),
        ({"tracks": (Track("low", (Note(0, 1, -1),)),)}, "cannot be kept in .*-1..60 are not all within 0..255"),
        ({"tracks": (Track("organ", (), 300),)}, "cannot be kept in"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_and_leaves_the_old_file(tmp_path, change, message):
    path = tmp_path / "pieces.npz"
    save_pieces(songs(1), path)
    before = contents(tmp_path)
    wrong = replace(song(3), **change)
    with pytest.raises(ValueError, match=message):
        save_pieces([replace(song(1), tracks=(Track("a", (Note(0, 1, 60),)),)), wrong], path)
    assert contents(tmp_path) == before


def test_a_damaged_file_is_an_error_with_its_name(tmp_path):
    whole, path = tmp_path / "whole.npz", tmp_path / "damaged.npz"
    save_pieces(songs(3), whole)
    data, expected = whole.read_bytes(), tuple(songs(3))
    rng = random.Random(5)
    refused = 0
    for k in range(150):
        damaged = bytearray(data)
        if k % 3:
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            del damaged[rng.randrange(len(data)) :]
        path.write_bytes(damaged)
        try:
            assert load_pieces(path) == expected  # a bit that means nothing, such as a date
        except ValueError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017
    assert refused > 100
    for content in (b"", b"MThd", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged\.npz is damaged, or no file of pieces"):
            load_pieces(path)
    np.savez(path, something=np.arange(3))
    with pytest.raises(ValueError, match=r"damaged\.npz is damaged, or no file of pieces"):
        load_pieces(path)
    with pytest.raises(FileNotFoundError):
        load_pieces(tmp_path / "nowhere.npz")


# In memory and on disk ------------------------------------------------------------------------------


def assert_equal_windows(one, other):
    for name in ("piece", "bar", "shift", "sounding", "onset"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    assert (one.grid, one.tracks, len(one), one.bars.drums) == (other.grid, other.tracks, len(other), other.bars.drums)
    assert one.fingerprint() == other.fingerprint()


@pytest.mark.parametrize(("name", "shard_bytes"), [("chorales", 300_000), ("toy", 300_000), ("toy", 1_000_000_000)])
def test_windows_of_a_store_are_those_of_the_pieces(tmp_path, name, shard_bytes):
    corpus = CORPORA[name].load()
    store = prepare(iter(corpus), tmp_path / "store", shard_bytes=shard_bytes)
    assert_equal_windows(windows(store, hop=3), windows(corpus, hop=3))
    train, own = windows(store, split="train", n_bars=2), windows(corpus, split="train", n_bars=2)
    assert train.fingerprint() == own.fingerprint()
    assert train.labels("tonic").tolist() == own.labels("tonic").tolist()
    assert store.titles() == [corpus[i].title for i in store.piece]
    assert store.left_out == pack(corpus).left_out
    store.verify()


def test_a_store_of_several_shards_is_one(tmp_path):
    store = prepare(songs(30), tmp_path, grid=GRID, shard_bytes=2000)
    sizes = [path.stat().st_size for path in tmp_path.glob("shard-*.npy")]
    assert len(sizes) == len(store.ends) > 5
    assert max(sizes) <= 2000
    assert len(store) == sum(song(seed).n_bars for seed in range(30))
    # numpy alone can read a shard.
    assert sum(len(np.load(path)) for path in tmp_path.glob("shard-*.npy")) == len(store)
    ours, theirs = windows(store, n_bars=2), windows(songs(30), n_bars=2, grid=GRID)
    assert_equal_windows(ours, theirs)
    assert_equal_windows(augment(ours, [0, 3, -2]), augment(theirs, [0, 3, -2]))
    order = np.random.default_rng(1).permutation(len(ours))
    assert torch.equal(ours[order], theirs[order])
    assert_equal_windows(ours.select(order[:9]), theirs.select(order[:9]))
    assert (store.programs, store.drums, store.grid) == ((40, 0), (False, True), GRID)


def test_a_bar_is_packed_as_it_sounds(tmp_path):
    store = prepare([song(4)], tmp_path, grid=GRID, normalise_key=False)
    roll = piece_to_roll(song(4))
    bars = np.unpackbits(np.load(tmp_path / "shard-00000.npy"), axis=1).reshape(-1, 2, 2, 8, 36)
    np.testing.assert_array_equal(bars[:, 0].swapaxes(0, 1), roll.sounding)
    np.testing.assert_array_equal(bars[:, 1].swapaxes(0, 1), roll.onset)
    assert store.shift.tolist() == [0]


def test_pieces_that_do_not_fit_are_counted(tmp_path):
    others = [
        replace(song(1), grid=Grid(6, 3, 36, 36)),
        replace(song(2), tracks=(Track("tune", (Note(0, 9, 95),)), Track("drums", (), is_drum=True))),
        replace(song(3), labels={**song(3).labels, "regular_until": 7}),
        song(5, n_bars=40),
    ]
    store = prepare([others[0], song(6), *others[1:], song(7)], tmp_path, grid=GRID, shard_bytes=128 + 20 * 144)
    assert store.piece.tolist() == [1, 5]
    assert store.left_out == {
        "another metre": 1, "beyond the grid's pitches": 1, "no full bar": 1, "longer than a shard": 1
    }  # fmt: skip


def test_what_was_prepared_is_not_cut_otherwise(tmp_path):
    store = prepare(songs(3), tmp_path, grid=GRID)
    assert len(windows(store, n_bars=2, grid=GRID, normalise_key=True)) == len(windows(store, n_bars=2))
    with pytest.raises(ValueError, match="packed with grid=Grid"):
        windows(store, grid=Grid())
    with pytest.raises(ValueError, match="packed with normalise_key=True, and cannot be cut with False"):
        windows(store, normalise_key=False)


def test_pieces_are_streamed(tmp_path):
    given_out = []

    def stream():
        for seed in range(20):
            piece = song(seed)
            given_out.append(weakref.ref(piece))
            yield piece
            del piece
            # The last one, the one before it, and one that waited for its shard.
            assert sum(piece() is not None for piece in given_out) <= 3

    prepare(stream(), tmp_path, grid=GRID, shard_bytes=2000)
    assert len(given_out) == 20


# Interruption and damage ----------------------------------------------------------------------------


CHILD = """
import sys
from ganmusic.pianoroll import Grid
from ganmusic.store import load_pieces, prepare
pieces = load_pieces(sys.argv[1])
print("ready", flush=True)
prepare(pieces, sys.argv[2], grid=Grid(8, 4, 36, 36), shard_bytes=4000)
"""


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path):
    whole, folder, pieces = tmp_path / "whole", tmp_path / "killed", tmp_path / "pieces.npz"
    save_pieces(songs(200), pieces)
    begin = time.monotonic()
    prepare(load_pieces(pieces), whole, grid=GRID, shard_bytes=4000)
    seconds = time.monotonic() - begin
    a_shard = seconds / len(list(whole.glob("shard-*.npy")))
    rng = random.Random(2)
    kept = [0]
    while len(kept) < 7:
        child = subprocess.Popen([sys.executable, "-c", CHILD, pieces, folder], stdout=subprocess.PIPE)
        with child:
            child.stdout.readline()
            # Whenever it is, what is asserted afterwards must be true. It is after at least one more whole shard,
            # or no round would get further than the one before.
            while child.poll() is None and len(list(folder.glob("shard-*.json"))) <= kept[-1]:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 2 * a_shard))
            child.kill()
        check_that_nothing_looks_whole_but_is_not(folder, whole)
        kept.append(len(list(folder.glob("shard-*.json"))))
    assert kept == sorted(kept)
    assert kept[-1] > 4
    prepare(load_pieces(pieces), folder, grid=GRID, shard_bytes=4000).verify()
    assert store_files(folder) == store_files(whole)


def check_that_nothing_looks_whole_but_is_not(folder, whole):
    for path in folder.iterdir():
        if path.suffix == ".json" and not path.name.startswith("."):
            assert path.read_bytes() == (whole / path.name).read_bytes()
            if path.name.startswith("shard"):
                assert path.with_suffix(".npy").read_bytes() == (whole / path.name).with_suffix(".npy").read_bytes()
    if not (folder / "index.json").exists():
        with pytest.raises(FileNotFoundError, match="no store that prepare"):
            Store(folder)


@pytest.mark.parametrize("survivors", [0, 1, 3, 99])
def test_whole_shards_are_kept_and_the_rest_is_made_again(tmp_path, survivors):
    prepare(songs(30), tmp_path, grid=GRID, shard_bytes=2000)
    expected = contents(tmp_path)
    (tmp_path / "index.json").unlink()
    shards = sorted(tmp_path.glob("shard-*.npy"))
    for path in shards[survivors:]:
        path.with_suffix(".json").unlink()
    (tmp_path / ".ganmusic-x.npy").write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in shards[:survivors]}
    prepare(songs(30), tmp_path, grid=GRID, shard_bytes=2000)
    assert contents(tmp_path) == expected
    assert {path: path.stat().st_mtime_ns for path in shards[:survivors]} == before


def test_prepared_again_nothing_is_written(tmp_path):
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    prepare(iter(songs(9)), tmp_path, grid=GRID, shard_bytes=2000)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


OTHERS = {
    "one more": [*songs(9), song(9)],
    "one fewer": songs(8),
    "another order": [song(1), song(0), *songs(9)[2:]],
    "another title": [*songs(8), replace(song(8), title="Other")],
    "another label": [song(0, mood="calm"), *songs(9)[1:]],
    "another note": [*songs(8), replace(song(8), tracks=(song(7).tracks[0], song(8).tracks[1]))],
}


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("other", OTHERS)
def test_a_folder_of_other_pieces_is_refused(tmp_path, other, finished):
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    if not finished:
        (tmp_path / "index.json").unlink()
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="was prepared from other pieces"):
        prepare(OTHERS[other], tmp_path, grid=GRID, shard_bytes=2000)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "change", [{"grid": Grid(8, 4, 36, 48)}, {"normalise_key": False}, {"shard_bytes": 7000}]
)
def test_other_settings_are_refused(tmp_path, change):
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f"with other settings, {{'{next(iter(change))}'"):
        prepare(songs(9), tmp_path, **{"grid": GRID, "shard_bytes": 2000, **change})
    assert contents(tmp_path) == before


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "shard-00000.npy").write_bytes(b"mine")
    with pytest.raises(ValueError, match="holds other files"):
        prepare(songs(2), tmp_path, grid=GRID)
    assert list(contents(tmp_path)) == ["shard-00000.npy"]


@pytest.mark.parametrize("damage", ["shorter", "longer", "missing"])
def test_a_shard_of_another_size_is_seen_at_once_and_made_again(tmp_path, damage):
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    expected, path = contents(tmp_path), tmp_path / "shard-00001.npy"
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-100] if damage == "shorter" else data + b"x")
    with pytest.raises(ValueError, match=r"shard-00001\.npy is damaged"):
        Store(tmp_path)
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    assert contents(tmp_path) == expected


def test_a_changed_bit_is_found_by_its_checksum(tmp_path):
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000).verify()
    path = tmp_path / "shard-00001.npy"
    data = bytearray(path.read_bytes())
    data[-70] ^= 16
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"shard-00001\.npy is damaged: its SHA-256"):
        Store(tmp_path).verify()


def test_what_cannot_be_prepared_says_why(tmp_path):
    with pytest.raises(ValueError, match=r"no piece fits a grid of 4 beats in 16 steps .*'another metre': 2"):
        prepare(songs(2), tmp_path / "metre")
    with pytest.raises(ValueError, match="there are none"):
        prepare([], tmp_path / "none")
    with pytest.raises(ValueError, match="between 1 and 1,000,000,000 bytes, not 2,000,000,000"):
        prepare(songs(2), tmp_path / "size", shard_bytes=2_000_000_000)
    renamed = replace(song(3), tracks=song(3).tracks[::-1])
    with pytest.raises(ValueError, match=r"'Song 3' has the tracks \('drums', 'tune'\)"):
        prepare([song(0), renamed], tmp_path / "tracks", grid=GRID)
    tuned = replace(song(3), tracks=tuple(replace(track, is_drum=False) for track in song(3).tracks))
    with pytest.raises(ValueError, match="other tracks of the piece 'Song 3' are drums"):
        prepare([song(0), tuned], tmp_path / "drums", grid=GRID)
    unknown = replace(song(3), labels={})
    with pytest.raises(ValueError, match="'Song 3' cannot be moved to a common key"):
        prepare([song(0), unknown], tmp_path / "key", grid=GRID)
    for folder in tmp_path.iterdir():
        assert not list(folder.glob("shard-*")), folder


@pytest.mark.parametrize("damage", ["a shorter shard", "no sidecar"])
def test_a_store_is_not_finished_while_a_shard_is_made_again(tmp_path, damage):
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    n_first = json.loads((tmp_path / "shard-00000.json").read_text())["n_read"]
    if damage == "no sidecar":
        (tmp_path / "shard-00000.json").unlink()
    else:
        (tmp_path / "shard-00000.npy").write_bytes(b"half")

    def cut_off():
        # As long as the others, and of another split: the old index would call the new bars training music.
        for piece in songs(n_first + 1):
            yield replace(piece, labels={**piece.labels, "split": "valid"})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(cut_off(), tmp_path, grid=GRID, shard_bytes=2000)
    assert (tmp_path / "shard-00000.json").exists()
    with pytest.raises(FileNotFoundError, match="no store that prepare"):
        Store(tmp_path)


def use(folder):
    """Whatever reads what is in a folder."""
    data = windows(Store(folder), n_bars=2)
    data.bars.titles()
    data.labels("tonic")
    data[:]


@pytest.mark.parametrize("name", ["index.json", "shard-00001.json", "settings.json"])
def test_a_damaged_record_is_an_error_with_its_name_and_is_made_again(tmp_path, name):
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    expected, data = store_files(tmp_path), (tmp_path / name).read_bytes()
    rng = random.Random(4)
    damaged = [b"", b"[]", b"7", b"{}", b'{"format": 1}', b"\xff\x00", data[:-9], bytes(len(data))]
    damaged += [data.replace(f'"{key}"'.encode(), b'"other"') for key in json.loads(data)]
    for _ in range(25):
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        (tmp_path / name).write_bytes(content)
        try:
            prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000) if name == "settings.json" else use(tmp_path)
        except ValueError as error:
            refused += 1
            assert str(tmp_path) in str(error)  # noqa: PT017
            if "is damaged" in str(error):
                assert name in str(error)  # noqa: PT017
    assert refused > 12
    (tmp_path / name).write_bytes(data[:-9])
    if name == "settings.json":
        with pytest.raises(ValueError, match=r"settings\.json is damaged"):
            prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    else:
        prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
        assert store_files(tmp_path) == expected


def test_an_index_that_contradicts_itself_is_an_error_with_its_name(tmp_path):
    prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    index = json.loads((tmp_path / "index.json").read_text())
    index["pieces"]["last"][2] += 1
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"index\.json is damaged .*not as many bars as the shards"):
        Store(tmp_path)


def test_a_damaged_header_of_a_shard_is_an_error_with_its_name(tmp_path):
    store = prepare(songs(9), tmp_path, grid=GRID, shard_bytes=2000)
    data = (tmp_path / "shard-00001.npy").read_bytes()
    (tmp_path / "shard-00001.npy").write_bytes(b"x" + data[1:])
    with pytest.raises(ValueError, match=r"shard-00001\.npy is damaged"):
        store.verify()


def test_who_prepares_a_folder_that_is_being_prepared_waits(tmp_path):
    in_the_middle, go_on, second_reads = threading.Event(), threading.Event(), threading.Event()
    stores, errors = [], []

    def slowly():
        yield from songs(15)
        in_the_middle.set()
        go_on.wait(60)
        yield from songs(30)[15:]

    def second():
        second_reads.set()
        yield from songs(30)

    def run(pieces):
        try:
            stores.append(prepare(pieces, tmp_path, grid=GRID, shard_bytes=2000))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(pieces,)) for pieces in (slowly(), second())]
    threads[0].start()
    assert in_the_middle.wait(60)
    threads[1].start()
    assert not second_reads.wait(0.3)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert [len(store) for store in stores] == [sum(song(seed).n_bars for seed in range(30))] * 2
    stores[0].verify()


def test_another_layout_is_refused(tmp_path):
    prepare(songs(2), tmp_path, grid=GRID)
    index = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**index, "format": 99}))
    with pytest.raises(ValueError, match="is of layout 99, not 1"):
        Store(tmp_path)


# With torch's loaders -------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # of the loader's own forks, since 3.12
def test_torchs_loader_reads_a_store(tmp_path, workers):
    data = windows(prepare(songs(12), tmp_path, grid=GRID, shard_bytes=2000), n_bars=2)
    data[0]  # maps a shard in this process
    assert torch.equal(torch.cat(list(DataLoader(data, batch_size=5, num_workers=workers))), data[:])


def test_what_is_sent_to_another_process_is_the_folder_and_the_choice(tmp_path):
    data = windows(prepare(songs(60), tmp_path, grid=GRID, shard_bytes=2000), n_bars=2)
    data.sounding, data.bar  # noqa: B018  (maps all shards, and works out what need not be sent)
    sent = ForkingPickler.dumps(data)
    assert len(sent) < 1500
    opened = ForkingPickler.loads(sent)
    assert not opened.bars.shards.maps
    assert opened.fingerprint() == data.fingerprint()


def test_a_sampler_of_batches_gives_them_without_copies(tmp_path):
    data = windows(prepare(songs(12), tmp_path, grid=GRID), n_bars=2)
    sampler = BatchSampler(SequentialSampler(data), batch_size=5, drop_last=False)
    assert torch.equal(torch.cat(list(DataLoader(data, sampler=sampler, batch_size=None))), data[:])


def test_a_store_is_opened_without_reading_its_bars(tmp_path):
    store = prepare(songs(12), tmp_path, grid=GRID, shard_bytes=2000)
    data = windows(store, n_bars=2)
    assert not store.shards.maps
    data[0]
    assert list(store.shards.maps) == [0]
