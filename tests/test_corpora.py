"""Corpora: what is said of each, what each piece knows, and that the shipped notes are those of their source."""

from __future__ import annotations

import importlib.util
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from pybtex.database import parse_string

import ganmusic.corpora
from ganmusic.corpora import CORPORA, SPLITS, chorales
from ganmusic.pianoroll import Grid

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "build_chorales.py"
# Lowest and highest note of each voice, counted once from the scores.
RANGES = {"soprano": (57, 81), "alto": (53, 74), "tenor": (48, 69), "bass": (36, 64)}
# A pickup; 3/4 after a pickup; a piece whose bar lines leave the grid; 3/2; no pickup.
REBUILT = ("66.6", "269", "276", "123.6", "10.7")


# Every corpus ---------------------------------------------------------------------------------------


def test_the_dictionary_has_the_records_names():
    assert {name: corpus.name for name, corpus in CORPORA.items()} == {name: name for name in CORPORA}
    assert {"chorales", "toy"} <= set(CORPORA)


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_a_record_says_what_it_is_whose_it_is_and_where_it_is_from(corpus):
    assert re.fullmatch("[a-z][a-z0-9_]*", corpus.name)
    assert len(corpus.title) > 10
    assert len(corpus.provenance) > 40
    assert re.search("licence|public domain|MIT|CC", corpus.licence)
    # The number in the title is the number of pieces.
    assert str(len(corpus.load())) in corpus.title


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_a_record_can_be_cited(corpus):
    entries = parse_string(corpus.bibtex, "bibtex").entries
    assert len(entries) == 1
    (entry,) = entries.values()
    assert entry.persons["author"]
    assert entry.fields["title"]
    assert re.fullmatch(r"\d{4}", entry.fields["year"])


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_the_splits_partition_the_pieces(corpus):
    everything = [piece.tracks for piece in corpus.load()]
    parts = {split: corpus.load(split) for split in SPLITS}
    assert all(parts.values())
    assert all(piece.labels["split"] == split for split, pieces in parts.items() for piece in pieces)
    together = [piece.tracks for pieces in parts.values() for piece in pieces]
    assert len(together) == len(everything)
    assert set(together) == set(everything)
    assert len(parts["train"]) > len(parts["valid"]) + len(parts["test"])


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_no_two_pieces_are_the_same(corpus):
    pieces = corpus.load()
    assert len({piece.tracks for piece in pieces}) == len(pieces)


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_a_tune_stays_in_one_split(corpus):
    splits: dict[str, set[str]] = {}
    for piece in corpus.load():
        splits.setdefault(piece.labels["tune"], set()).add(piece.labels["split"])
    assert all(len(found) == 1 for found in splits.values())
    # Some tunes are set more than once, or the check would say nothing.
    assert len(splits) < len(corpus.load())


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
@pytest.mark.parametrize("split", ["training", "Train", ""])
def test_an_unknown_split_is_an_error_that_names_those_there_are(corpus, split):
    with pytest.raises(ValueError, match=f"'{split}'; there are train, valid, test"):
        corpus.load(split)


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_every_piece_has_a_key_and_sound_bar_lines(corpus):
    for piece in corpus.load():
        assert piece.title
        assert piece.labels["tonic"] in range(12)
        assert piece.labels["mode"] in ("major", "minor")
        assert 0 <= piece.pickup < piece.grid.n_steps
        first = min(note.onset for track in piece.tracks for note in track.notes)
        # A piece may begin with a rest, as a few of Bach's do, but not with a silent bar.
        begin = piece.grid.n_steps - piece.pickup if piece.pickup else 0
        assert begin <= first < (piece.grid.n_steps if piece.pickup == 0 else begin + 1), piece.title


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_voices_sing_one_note_at_a_time(corpus):
    for piece in corpus.load():
        assert [track.name for track in piece.tracks] == ["soprano", "alto", "tenor", "bass"]
        for track in piece.tracks:
            assert all(note.duration > 0 for note in track.notes)
            for note, following in zip(track.notes, track.notes[1:], strict=False):
                assert note.end <= following.onset, f"{piece.title}, {track.name}: {note}, {following}"


# Bach's chorales ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bach():
    return CORPORA["chorales"].load()


def test_there_are_363_chorales_in_the_order_of_their_numbers(bach):
    assert len(bach) == 363
    numbers = [tuple(int(n) for n in re.findall(r"\d+", piece.bwv)) for piece in bach]
    assert numbers == sorted(numbers)
    assert len({piece.bwv for piece in bach}) == 363
    assert {split: sum(piece.split == split for piece in bach) for split in SPLITS} == {
        "train": 291, "valid": 36, "test": 36
    }  # fmt: skip


def test_the_voices_reach_as_far_as_the_scores_say(bach):
    for voice, (low, high) in enumerate(RANGES.values()):
        pitches = [note.pitch for piece in bach for note in piece.tracks[voice].notes]
        assert (min(pitches), max(pitches)) == (low, high)
    assert {track.program for piece in bach for track in piece.tracks} == {19}


def test_one_chorale_known_by_heart(bach):
    # BWV 66.6 in F sharp minor, "Christ ist erstanden": the soprano's first line, an upbeat of two eighths.
    (piece,) = (piece for piece in bach if piece.bwv == "66.6")
    assert (piece.tonic, piece.mode, piece.metre, piece.pickup) == (6, "minor", "4/4", 4)
    assert [(n.onset, n.duration, n.pitch) for n in piece.tracks[0].notes[:8]] == [
        (12, 2, 73), (14, 2, 71), (16, 4, 69), (20, 4, 71), (24, 4, 73), (28, 4, 76), (32, 4, 73), (36, 4, 71)
    ]  # fmt: skip
    assert piece.fermatas[0] == 24


def test_labels_have_their_types_and_values(bach):
    for piece in bach:
        assert isinstance(piece, chorales.Chorale)
        assert set(piece.labels) == {
            "bwv", "tonic", "mode", "metre", "fermatas", "chords", "regular_until", "tune", "split"
        }  # fmt: skip
        assert piece.grid == chorales.METRES[piece.metre]
        assert piece.tempo == chorales.TEMPOS[piece.metre]
        assert type(piece.labels["tonic"]) is int
        assert type(piece.pickup) is int
        assert piece.tune
        assert isinstance(piece.bwv, str)
    assert {piece.metre for piece in bach} == set(chorales.METRES)


def test_each_beat_has_a_chord(bach):
    known = set(chorales.CHORDS)
    assert len(known) == len(chorales.CHORDS) == 1 + 12 * 9
    for piece in bach:
        assert len(piece.chords) == piece.n_bars * piece.grid.beats_per_bar
        assert set(piece.chords) <= known
    named = [bool(chord) for piece in bach for chord in piece.chords]
    assert 0.8 < np.mean(named) < 0.9


def test_a_named_chord_is_what_sounds(bach):
    # Read again, from the notes: every sounding pitch class belongs to the chord, and its root sounds.
    for piece in bach[::11]:
        per_beat = piece.grid.steps_per_beat
        for beat, chord in enumerate(piece.chords):
            step = beat * per_beat
            heard = {
                note.pitch % 12 for track in piece.tracks for note in track.notes if note.onset <= step < note.end
            }
            if chord:
                root, quality = chord.split(":")
                tonic = chorales.PITCH_CLASSES.index(root)
                assert heard <= {(tonic + k) % 12 for k in chorales.QUALITIES[quality]}, f"{piece.bwv}, beat {beat}"
                assert tonic in heard


def test_fermatas_are_where_notes_begin_within_the_piece(bach):
    for piece in bach:
        onsets = {note.onset for track in piece.tracks for note in track.notes}
        assert list(piece.fermatas) == sorted(set(piece.fermatas))
        assert set(piece.fermatas) <= onsets
        assert all(0 <= step < piece.end for step in piece.fermatas)
    # A hymn has lines: several fermatas in nearly every piece.
    assert np.mean([len(piece.fermatas) >= 4 for piece in bach]) > 0.9


def test_bar_lines_are_regular_but_for_a_few_pieces(bach):
    irregular = {piece.bwv: piece.regular_until for piece in bach if piece.regular_until is not None}
    assert irregular == {
        "4.8": 76, "48.3": 84, "261": 184, "276": 340, "304": 128, "324": 136, "362": 256, "374": 316
    }  # fmt: skip
    assert all(0 < piece.regular_until < piece.end for piece in bach if piece.regular_until is not None)


def test_packing_is_lossless(bach):
    some = (*bach[5:8], *(piece for piece in bach if piece.bwv in REBUILT))
    arrays = chorales.pack(some)
    assert all(array.dtype != object for array in arrays.values())
    for one, other in zip(chorales.unpack(arrays), some, strict=True):
        assert one == other
        assert type(one) is type(other)
        assert {k: type(v) for k, v in one.labels.items()} == {k: type(v) for k, v in other.labels.items()}


def test_the_whole_file_is_what_packing_gives(bach):
    path = files("ganmusic.corpora").joinpath(chorales.FILE)
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        packed = chorales.pack(bach)
        assert set(stored.files) == set(packed)
        for name in stored.files:
            np.testing.assert_array_equal(stored[name], packed[name])
            assert stored[name].dtype == packed[name].dtype


def test_the_file_is_small():
    assert len(files("ganmusic.corpora").joinpath(chorales.FILE).read_bytes()) <= 300_000


def test_loading_never_unpickles(tmp_path, monkeypatch):
    # The file is replaced by one that holds a pickled object: it is refused, not run.
    arrays = chorales.pack(chorales.load()[:2])
    arrays["tune"] = np.array([{"a": 1}, {"b": 2}], dtype=object)
    np.savez(tmp_path / chorales.FILE, **arrays)
    monkeypatch.setattr(chorales, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        chorales.load()


# Against the source ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_chorales", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("bwv", REBUILT)
def test_shipped_pieces_are_those_of_the_scores(bwv, bach, build):
    (shipped,) = (piece for piece in bach if piece.bwv == bwv)
    rebuilt = build.build_piece(bwv)
    assert rebuilt.tracks == shipped.tracks
    assert (rebuilt.grid, rebuilt.tempo, rebuilt.pickup) == (shipped.grid, shipped.tempo, shipped.pickup)
    assert rebuilt.title in ("", shipped.title)
    # Tune and split come from all pieces together.
    of_all = {"tune": shipped.tune, "split": shipped.split}
    assert rebuilt.labels | of_all == shipped.labels


def test_the_rebuilt_pieces_differ_in_what_can_go_wrong(bach):
    pieces = [piece for piece in bach if piece.bwv in REBUILT]
    assert {piece.metre for piece in pieces} == {"4/4", "3/4", "3/2"}
    assert any(piece.regular_until for piece in pieces)
    assert {bool(piece.pickup) for piece in pieces} == {True, False}
    assert {piece.mode for piece in pieces} == {"major", "minor"}


def test_splits_come_from_the_names_of_the_tunes(bach, build):
    again = build.assign_splits(list(bach))
    assert [piece.split for piece in again] == [piece.split for piece in bach]
    assert build.drop_repeats([*bach, bach[40]]) == list(bach)


@pytest.mark.parametrize(
    ("pitches", "name"),
    [((48, 64, 67, 72), "C:maj"), ((52, 60, 67, 72), "C:maj"), ((45, 60, 64, 69), "A:min"),
     ((55, 59, 65, 74), "G:7"), ((47, 55, 62, 65), "G:7"), ((50, 60, 65, 69), "D:min7"), ((47, 53, 56, 62), "B:dim7"),
     ((56, 59, 62, 65), "Ab:dim7"), ((44, 60, 64, 72), "Ab:aug"), ((43, 59, 67), "G:maj"), ((48, 50, 52), ""),
     ((60,), ""), ((), "")],
)  # fmt: skip
def test_chords_are_named_from_what_sounds(pitches, name, build):
    assert build.chord_name(list(pitches)) == name


# The toy corpus -------------------------------------------------------------------------------------


def test_the_toy_corpus_is_the_same_each_time():
    assert CORPORA["toy"].load() == CORPORA["toy"].load()


def test_the_toy_corpus_has_what_the_code_must_handle():
    pieces = CORPORA["toy"].load()
    assert {piece.labels["metre"]: piece.grid for piece in pieces} == {"4/4": Grid(), "3/4": Grid(12, 3)}
    for split in SPLITS:
        some = [piece for piece in pieces if piece.labels["split"] == split]
        assert {piece.labels["metre"] for piece in some} == {"4/4", "3/4"}
        assert {piece.pickup for piece in some} == {0, 4}
        assert len({piece.labels["tonic"] for piece in some}) > 3
    durations = {note.duration for piece in pieces for track in piece.tracks for note in track.notes}
    assert durations == {2, 4}


def test_the_toy_corpus_plays_chord_progressions():
    scale = ganmusic.corpora.toy.SCALE
    played = set()
    for piece in CORPORA["toy"].load():
        progression = []
        for bar in range(1, piece.n_bars):
            start = bar * piece.grid.n_steps
            heard = {
                (note.pitch - piece.labels["tonic"]) % 12
                for track in piece.tracks
                for note in track.notes
                if note.onset < start + piece.grid.n_steps and note.end > start
            }
            bass = next(note.pitch for note in piece.tracks[3].notes if note.onset <= start < note.end)
            degree = scale.index((bass - piece.labels["tonic"]) % 12)
            assert heard <= {scale[(degree + third) % 7] for third in (0, 2, 4)}
            progression.append(degree)
        # Bar 0 holds the first degree, or the upbeat of the last; after four bars it comes again.
        played.add((0, *progression[:3]))
        assert progression[4:] == progression[:3]
    assert played == set(ganmusic.corpora.toy.DEGREES)
