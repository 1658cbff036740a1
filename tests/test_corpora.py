"""Corpora: what is said of each, what each piece knows, and that the shipped notes are those of their source."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from pybtex.database import parse_string

import ganmusic.corpora
from ganmusic import midi
from ganmusic.corpora import (
    CORPORA,
    SPLITS,
    Corpus,
    FetchError,
    chorales,
    download,
    emopia,
    folk,
    groove,
    lakh,
    leadsheets,
    maestro,
    musicnet,
    nesmdb,
    pop909,
    quartets,
)
from ganmusic.data import windows
from ganmusic.pianoroll import Grid, Note, Piece, Track

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "build_chorales.py"
# Lowest and highest note of each voice, counted once from the scores.
RANGES = {"soprano": (57, 81), "alto": (53, 74), "tenor": (48, 69), "bass": (36, 64)}
# The corpora whose notes come with the package; the others are read or downloaded first.
SHIPPED = {name: CORPORA[name] for name in ("chorales", "toy")}
FETCHED = ("emopia", "groove", "lakh", "maestro", "musicnet", "nesmdb", "pop909")
# A pickup; 3/4 after a pickup; a piece whose bar lines leave the grid; 3/2; no pickup.
REBUILT = ("66.6", "269", "276", "123.6", "10.7")


# Every corpus ---------------------------------------------------------------------------------------


def test_the_dictionary_has_the_records_names():
    assert {name: corpus.name for name, corpus in CORPORA.items()} == {name: name for name in CORPORA}
    assert set(CORPORA) == {"chorales", "toy", "folk", "leadsheets", "tunes", "quartets", *FETCHED}


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_a_record_says_what_it_is_whose_it_is_and_where_it_is_from(corpus):
    assert re.fullmatch("[a-z][a-z0-9_]*", corpus.name)
    assert len(corpus.title) > 10
    assert len(corpus.provenance) > 40
    assert re.search("licence|[Pp]ublic domain|MIT|CC", corpus.licence)
    assert len(corpus.terms) < 45
    assert corpus.licence.startswith(corpus.terms)
    # What one may do with it stands in the licence, in words.
    assert re.search("commercial|copyright|MIT|read, not passed on", corpus.licence)


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_a_licence_against_commercial_use_is_marked(corpus):
    against = "-NC" in corpus.terms or "No licence" in corpus.terms
    assert corpus.commercial is not against
    assert corpus.commercial or "commercial" in corpus.licence


@pytest.mark.parametrize("name", FETCHED)
def test_what_is_downloaded_has_an_address_a_checksum_and_a_bound(name):
    archive = CORPORA[name].archive
    assert re.fullmatch(r"https?://[^ ]+(\.zip|\.tar\.gz)", archive.url)
    kind, _, digest = archive.checksum.partition(":")
    assert len(digest) == {"sha256": 64, "md5": 32, "git-blob": 40}[kind]
    assert re.fullmatch("[0-9a-f]+", digest)
    assert archive.n_bytes is None or 2 * archive.n_bytes < archive.max_unpacked
    assert CORPORA[name].loader.args[0] == name


@pytest.mark.parametrize("name", FETCHED)
def test_what_was_not_fetched_says_how(name, tmp_path):
    with pytest.raises(FetchError, match=f"ganmusic corpora fetch {name}"):
        CORPORA[name].load("train", cache=tmp_path)


def test_only_what_is_downloaded_has_an_archive():
    assert {name for name, corpus in CORPORA.items() if corpus.archive} == set(FETCHED)


@pytest.mark.parametrize(
    ("licence", "terms"),
    [("CC BY 4.0: free.", "CC BY 4.0"), ("MIT, as the package", "MIT"), ("Public domain. Old.", "Public domain")],
)
def test_terms_are_the_licence_in_short(licence, terms):
    assert Corpus("x", "x", licence, "x", "x", loader=tuple).terms == terms


@pytest.mark.parametrize("corpus", SHIPPED.values(), ids=SHIPPED)
def test_what_needs_no_cache_takes_the_same_arguments(corpus, tmp_path):
    options = {"cache": tmp_path, "jobs": 1, "progress": True}
    assert corpus.load("valid", **options) == corpus.load("valid")
    assert tuple(corpus.stream("valid", **options)) == corpus.load("valid")
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_in_the_cache_is_told_where_and_how(tmp_path):
    asked = []

    def loader(split, **options):
        asked.append((split, options))
        yield from ()

    corpus = Corpus("x", "x", "x", "x", "x", loader=loader, home=lambda: tmp_path)
    assert corpus.load("train", cache=tmp_path, jobs=3, progress=True) == ()
    assert list(corpus.stream()) == []
    assert asked == [("train", {"cache": tmp_path, "jobs": 3, "progress": True}), (None, {})]


@pytest.mark.parametrize("corpus", SHIPPED.values(), ids=SHIPPED)
def test_the_number_in_the_title_is_the_number_of_pieces(corpus):
    assert str(len(corpus.load())) in corpus.title


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_a_record_can_be_cited(corpus):
    entries = parse_string(corpus.bibtex, "bibtex").entries
    assert len(entries) == 1
    (entry,) = entries.values()
    assert entry.persons["author"]
    assert entry.fields["title"]
    assert re.fullmatch(r"\d{4}", entry.fields["year"])


@pytest.mark.parametrize("corpus", SHIPPED.values(), ids=SHIPPED)
def test_the_splits_partition_the_pieces(corpus):
    everything = [piece.tracks for piece in corpus.load()]
    parts = {split: corpus.load(split) for split in SPLITS}
    assert all(parts.values())
    assert all(piece.labels["split"] == split for split, pieces in parts.items() for piece in pieces)
    together = [piece.tracks for pieces in parts.values() for piece in pieces]
    assert len(together) == len(everything)
    assert set(together) == set(everything)
    assert len(parts["train"]) > len(parts["valid"]) + len(parts["test"])


@pytest.mark.parametrize("corpus", SHIPPED.values(), ids=SHIPPED)
def test_no_two_pieces_are_the_same(corpus):
    pieces = corpus.load()
    assert len({piece.tracks for piece in pieces}) == len(pieces)


@pytest.mark.parametrize("corpus", SHIPPED.values(), ids=SHIPPED)
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


@pytest.mark.parametrize("corpus", SHIPPED.values(), ids=SHIPPED)
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


@pytest.mark.parametrize("corpus", SHIPPED.values(), ids=SHIPPED)
def test_voices_sing_one_note_at_a_time(corpus):
    for piece in corpus.load():
        assert [track.name for track in piece.tracks] == ["soprano", "alto", "tenor", "bass"]
        for track in piece.tracks:
            assert all(note.duration > 0 for note in track.notes)
            for note, following in zip(track.notes, track.notes[1:], strict=False):
                assert note.end <= following.onset, f"{piece.title}, {track.name}: {note}, {following}"


# Corpora that are downloaded: small archives of their true layout, by a loader of their own ------------


def tune(root: int, name: str = "piano", program: int = 0, is_drum: bool = False) -> Track:
    """A track of two bars that no other root repeats."""
    steps = (0, 4, 7, 5, 9, 2, 11, root % 5)
    notes = (Note(4 * i, 2 + i % 3, root + step) for i, step in enumerate(steps))
    return Track(name, tuple(notes), program, is_drum)


def put(root: Path, name: str, *tracks: Track) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".mid")
    midi.write(Piece(tracks, tempo=90.0), written)
    written.rename(path)


def loaded(name: str, cache: Path) -> dict[str, Piece]:
    """The pieces of a corpus by the name of their file."""
    return {piece.labels["file"]: piece for piece in CORPORA[name].load(cache=cache, jobs=1)}


def files(name: str, cache: Path) -> Path:
    return download.corpus_folder(name, cache) / "files"


def test_maestro_has_the_composers_and_the_splits_of_its_table(tmp_path):
    root = files("maestro", tmp_path) / "maestro-v3.0.0"
    head = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n"
    rows = [
        'Alban Berg,"Sonata, Op. 1",validation,2018,2018/berg.midi,2018/berg.wav,698.6',
        "Frédéric Chopin,Ballade,train,2004,2004/chopin.midi,2004/chopin.wav,1.5",
    ]
    for i, year in enumerate(("2018/berg", "2004/chopin", "2004/unknown")):
        put(root, f"{year}.midi", tune(50 + i))
    (root / "maestro-v3.0.0.csv").write_text(head + "\n".join(rows), encoding="utf-8")
    found = loaded("maestro", tmp_path)
    assert set(found) == {"maestro-v3.0.0/2018/berg.midi", "maestro-v3.0.0/2004/chopin.midi"}
    berg = found["maestro-v3.0.0/2018/berg.midi"]
    assert (berg.title, berg.labels["composer"], berg.labels["year"]) == ("Sonata, Op. 1", "Alban Berg", 2018)
    assert berg.labels["split"] == "valid"
    assert [piece.title for piece in CORPORA["maestro"].load("train", cache=tmp_path)] == ["Ballade"]


def test_musicnet_keeps_the_movements_of_a_work_together(tmp_path):
    root = files("musicnet", tmp_path) / "musicnet_midis"
    names = ("Bach/2186_vs6_1", "Bach/2191_vs6_5", "Beethoven/2313_qt15_1", "Schubert/1727_schubert")
    for i, name in enumerate(names):
        put(root, f"{name}.mid", tune(48 + i, "violin"), tune(36 + i, "cello"))
    found = loaded("musicnet", tmp_path)
    assert [piece.labels["composer"] for piece in found.values()] == ["Bach", "Bach", "Beethoven", "Schubert"]
    splits = {piece.labels["split"] for piece in found.values() if piece.labels["composer"] == "Bach"}
    assert len(splits) == 1
    said = {name: musicnet.annotate(root, root / f"{name}.mid") for name in names}
    assert [a.group for a in said.values()] == ["Bach vs6", "Bach vs6", "Beethoven qt15", "Schubert schubert"]
    assert {len(piece.tracks) for piece in found.values()} == {4}


def test_lakh_becomes_five_tracks(tmp_path):
    root = files("lakh", tmp_path) / "lmd_full"
    band = (tune(60, "p", 0), tune(40, "b", 33), tune(52, "g", 25), tune(36, "d", 0, is_drum=True))
    put(root, f"0/{'0' * 32}.mid", *band)
    put(root, f"f/{'f' * 32}.mid", tune(61, "v", 48))
    (root / "f" / f"{'e' * 32}.mid").write_bytes(b"MThd, and then nothing")
    found = loaded("lakh", tmp_path)
    assert len(found) == 2
    names = [track.name for track in found[f"lmd_full/0/{'0' * 32}.mid"].tracks]
    assert names == ["drums", "piano", "guitar", "bass", "strings"]
    only_strings = found[f"lmd_full/f/{'f' * 32}.mid"]
    assert [bool(track.notes) for track in only_strings.tracks] == [False, False, False, False, True]
    assert lakh.READING.voices == "families"


def test_emopia_has_quadrants_keys_and_keeps_a_song_together(tmp_path):
    root = files("emopia", tmp_path) / "EMOPIA_2.2"
    names = ("Q1__8v0MFBZoco_0", "Q1__8v0MFBZoco_1", "Q3_0vLPYiPN7qY_0", "Q4_a_b_c_d_e_f_12")
    for i, name in enumerate(names):
        put(root, f"midis/{name}.mid", tune(55 + i))
    put(root, "midis/readme.mid", tune(70))
    put(root, "midis/Q5_0vLPYiPN7qY_0.mid", tune(71))
    table = ",name,keyname,keymode,label,tempo\n0,Q1__8v0MFBZoco_0,Ab,1,1,90\n1,Q3_0vLPYiPN7qY_0,c#,2,3,70\n"
    (root / "key_mode_tempo.csv").write_text(table, encoding="utf-8")
    found = {piece.title: piece for piece in loaded("emopia", tmp_path).values()}
    assert {title: piece.labels["quadrant"] for title, piece in found.items()} == dict(
        zip(names, (1, 1, 3, 4), strict=True)
    )
    assert [found[n].labels["group"] for n in names[:2]] == ["_8v0MFBZoco"] * 2
    assert [found[names[0]].labels[k] for k in ("tonic", "mode")] == [8, "major"]
    assert [found[names[2]].labels[k] for k in ("tonic", "mode")] == [1, "minor"]


def test_nesmdb_has_the_splits_of_its_folders_and_the_games(tmp_path):
    root = files("nesmdb", tmp_path) / "nesmdb_midi"
    names = ("train/297_SkyKid_00_01StartMusic", "valid/002_10_YardFight_03_04Goal", "test/100_Game_00_01A")
    for i, name in enumerate(names):
        voices = (tune(40 + 3 * i + 12 * v, voice) for v, voice in enumerate(("p1", "p2", "tr", "no")))
        put(root, f"{name}.mid", *voices)
    found = loaded("nesmdb", tmp_path)
    assert [(p.labels["game"], p.labels["split"]) for p in found.values()] == [
        ("Game", "test"), ("SkyKid", "train"), ("10_YardFight", "valid")
    ]  # fmt: skip
    assert found[f"nesmdb_midi/{names[0]}.mid"].labels["group"] == "297_SkyKid"
    assert [t.name for t in found[f"nesmdb_midi/{names[0]}.mid"].tracks] == ["p1", "p2", "tr", "no"]
    assert nesmdb.annotate(root, root / "other" / "1_x_00_y.mid").skip


def test_groove_says_who_plays_what(tmp_path):
    root = files("groove", tmp_path) / "groove"
    head = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,audio_filename,duration,split\n"
    row = "drummer1,drummer1/eval_session,drummer1/eval_session/1,funk/groove1,138,beat,4-4,{},x.wav,27.8,validation\n"
    name = "drummer1/eval_session/1_funk-groove1_138_beat_4-4.mid"
    put(root, name, tune(36, "drums", is_drum=True))
    put(root, "drummer9/session1/1_unknown.mid", tune(37, "drums", is_drum=True))
    (root / "info.csv").write_text(head + row.format(name), encoding="utf-8")
    ((file, piece),) = loaded("groove", tmp_path).items()
    assert file == f"groove/{name}"
    said = {"drummer": "drummer1", "style": "funk/groove1", "bpm": 138, "beat_type": "beat", "metre": "4/4"}
    assert {name: piece.labels[name] for name in said} == said
    assert piece.labels["split"] == "valid"
    assert piece.tracks[0].is_drum
    assert groove.annotate(root, root / "none.mid").skip


def a_pop_song(root: Path, number: str, late: float) -> None:
    put(root, f"POP909/{number}/{number}.mid", tune(72, "MELODY"), tune(60, "BRIDGE"), tune(48, "PIANO"))
    put(root, f"POP909/{number}/versions/{number}-v1.mid", tune(50, "MELODY"), tune(61, "BRIDGE"), tune(49, "PIANO"))
    folder = root / "POP909" / number
    beats = [f"{late + 2 / 3 * i} {(i + 1) % 2}.0 {float(i % 4 == 0)}" for i in range(9)]
    (folder / "beat_midi.txt").write_text("\n".join(beats))
    (folder / "chord_midi.txt").write_text(f"0.0\t{late}\tN\n{late}\t2.0\tB:maj7/5\n{late + 2.7}\t4.0\tF#:min\n")
    (folder / "key_audio.txt").write_text("0.0\t2.0\tGb:maj\n2.0\t4.0\tA:min\n")


def test_pop909_has_beats_chords_and_keys_and_one_version_of_a_song(tmp_path):
    root = files("pop909", tmp_path)
    a_pop_song(root, "001", late=0.05)
    ((file, piece),) = loaded("pop909", tmp_path).items()
    assert file == "POP909/001/001.mid"
    assert [track.name for track in piece.tracks] == ["MELODY", "BRIDGE", "PIANO"]
    assert [piece.labels[k] for k in ("tonic", "mode", "group")] == [6, "major", "001"]


def test_pop909_counts_its_chords_in_steps(tmp_path):
    root = files("pop909", tmp_path)
    a_pop_song(root, "002", late=0.05)
    said = pop909.annotate(root, root / "POP909" / "002" / "002.mid")
    assert said.beats[:2] == pytest.approx((0.05, 0.05 + 2 / 3))
    assert said.downbeats == (0, 4, 8)
    (piece,) = loaded("pop909", tmp_path).values()
    assert piece.labels["chords"] == [[0, "B:maj7/5"], [16, "F#:min"]]


def test_pop909_does_without_what_is_missing(tmp_path):
    put(tmp_path, "POP909/003/003.mid", tune(72))
    said = pop909.annotate(tmp_path, tmp_path / "POP909" / "003" / "003.mid")
    assert (said.beats, said.downbeats, said.labels) == (None, None, {})


@pytest.mark.parametrize("corpus", [maestro, emopia, groove], ids=["maestro", "emopia", "groove"])
def test_a_corpus_without_its_table_is_no_crash(corpus, tmp_path):
    said = corpus.annotate(tmp_path, tmp_path / "Q2_0vLPYiPN7qY_7.mid")
    assert said.skip or said.labels == {"quadrant": 2}


@pytest.mark.parametrize(
    ("corpus", "table", "row", "name"),
    [
        (maestro, "maestro-v3.0.0.csv", "midi_filename,split,year,canonical_composer,canonical_title\n{},test,1,c,t",
         "2004/x.midi"),
        (groove, "info.csv", "midi_filename,drummer,session,id,style,bpm,beat_type,time_signature,split\n"
         "{},d,s,i,s,90,b,4-4,test", "drummer1/session1/x.mid"),
        (emopia, "key_mode_tempo.csv", "name,keyname\nQ1_0vLPYiPN7qY_0, c#", "midis/Q1_0vLPYiPN7qY_0.mid"),
    ],
    ids=["maestro", "groove", "emopia"],
)  # fmt: skip
def test_the_table_of_a_corpus_is_looked_for_once(corpus, table, row, name, tmp_path, monkeypatch):
    walks = []

    def counted(walk):
        return lambda path, pattern: walks.append(pattern) or walk(path, pattern)

    monkeypatch.setattr(Path, "glob", counted(Path.glob))
    monkeypatch.setattr(Path, "rglob", counted(Path.rglob))
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / table).write_text(row.format(name))
    said = [corpus.annotate(tmp_path, tmp_path / "whole" / name) for _ in range(5)]
    assert said[0].split == "test" or said[0].labels["tonic"] == 1
    assert said == said[:1] * 5
    assert len(walks) == 1


# Corpora that come with music21 ---------------------------------------------------------------------

ABC = """X: 7
T: The Third Tune
R: Reel
M: C|
L: 1/8
K: Ador
A | "2"e4 c2A2 | G8 | e4 {d}c4 | A7 |]

X: 8
T:Another One -- jig
M: 6/8
L: 1/8
K: D
DFA d3 | ege c3 | d6 |]
"""


def test_a_book_of_tunes_becomes_a_file_and_a_row_for_each(tmp_path):
    book = tmp_path / "oneills1850"
    book.mkdir()
    (book / "0007-0008.abc").write_text(ABC)
    out = tmp_path / "files"
    out.mkdir()
    assert folk.build([book / "0007-0008.abc"], out, jobs=1) == 2
    piece = midi.read(out / "oneills1850-0007-0008-0007.mid")
    assert [(n.pitch, n.duration) for n in piece.tracks[0].notes[:4]] == [(69, 2), (76, 8), (72, 4), (69, 4)]
    first, second = (folk.annotate(out, out / f"oneills1850-0007-0008-000{i}.mid") for i in (7, 8))
    assert (first.title, first.group, second.group) == ("The Third Tune", "thethirdtune", "anotherone")
    facts = {k: first.labels[k] for k in ("tonic", "mode", "scale", "kind", "book")}
    assert facts == {
        "tonic": 9, "mode": "minor", "scale": "dorian", "kind": "reel", "book": "O'Neill's Music of Ireland"
    }  # fmt: skip
    assert [second.labels[k] for k in ("tonic", "mode")] == [2, "major"]
    assert second.labels["chords"][0] == [0, "D:maj"]
    steps = [step for step, _ in second.labels["chords"]]
    assert steps == [bar * midi.read(out / "oneills1850-0007-0008-0008.mid").grid.n_steps for bar in range(len(steps))]
    assert folk.annotate(out, out / "other.mid").skip


def test_the_tunes_are_read_from_their_books_once(tmp_path, monkeypatch):
    (tmp_path / "books" / "oneills1850").mkdir(parents=True)
    (tmp_path / "books" / "oneills1850" / "7.abc").write_text(ABC)
    monkeypatch.setattr(folk, "music21_corpus", lambda: tmp_path / "books")
    first = CORPORA["folk"].load(cache=tmp_path / "cache", jobs=1)
    assert [piece.title for piece in first] == ["The Third Tune", "Another One -- jig"]
    monkeypatch.setattr(folk, "build", None)
    assert tuple(CORPORA["folk"].stream(cache=tmp_path / "cache")) == first
    download.remove("folk", tmp_path / "cache")
    assert not (tmp_path / "cache" / "folk").exists()


def test_the_quartets_are_loaded_and_removed_without_their_files(tmp_path, monkeypatch):
    (tmp_path / "music21" / "haydn" / "opus1").mkdir(parents=True)
    midi.write(Piece(tuple(tune(62 - 8 * i) for i in range(4))), tmp_path / "music21" / "haydn" / "opus1" / "m1.mxl")
    monkeypatch.setattr(quartets, "music21_corpus", lambda: tmp_path / "music21")
    (piece,) = CORPORA["quartets"].load(cache=tmp_path / "cache", jobs=1)
    assert piece.labels["work"] == "opus1"
    assert len(piece.tracks) == 4
    download.remove("quartets", tmp_path / "cache")
    assert not (tmp_path / "cache" / "quartets").exists()


def test_a_bar_gets_the_chord_that_most_of_it_belongs_to():
    # In G: G B D, then C E G with a passing D, then F sharp and A (both in D), silence, and G last.
    pitches = [(0, 4, 67), (4, 4, 71), (8, 8, 74), (16, 6, 72), (22, 2, 74), (24, 8, 76), (32, 8, 66), (40, 8, 69)]
    notes = tuple(Note(*note) for note in [*pitches, (64, 16, 67)])
    piece = Piece((Track("melody", notes),))
    assert folk.harmonise(piece, 7, "major") == ["G:maj", "C:maj", "D:maj", "D:maj", "G:maj"]
    assert folk.harmonise(piece, 4, "minor")[0] == "G:maj"


def test_the_melodies_of_the_books_have_no_chords_of_their_own():
    # If music21 ever adds chord symbols, they should take the place of what is worked out.
    chord = re.compile("[A-G][#b]?(m|min|maj|7|m7|dim|aug)?")
    books = [path for book in folk.BOOKS for path in (folk.music21_corpus() / book).glob("*.abc")]
    assert len(books) > 1000
    for path in books:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            said = [] if line[1:2] == ":" else re.findall('"([^"]*)"', line)  # fingerings, signs
            assert not [text for text in said if chord.fullmatch(text)], f"{path.name}: {line}"


def in_d(*notes, mode="major", pickup=0, chords=((0, "D:maj"), (16, "A:maj"), (32, "D:maj"))):
    labels = {"tonic": 2, "mode": mode, "chords": [list(chord) for chord in chords]}
    melody = Track("melody", tuple(Note(*note) for note in notes), 40)
    return Piece((melody,), title="A Tune", pickup=pickup, labels=labels)


def test_a_lead_sheet_has_one_chord_a_bar_in_one_place_of_the_common_key():
    sheet = leadsheets.lead_sheet(in_d((0, 8, 62), (0, 8, 66), (8, 8, 69), (16, 16, 73), (32, 4, 74)))
    tune, chords = sheet.tracks
    assert tune.notes == (Note(0, 8, 66), Note(8, 8, 69), Note(16, 16, 73), Note(32, 4, 74))
    # Two semitones lower they are C E G from C3 and G B D from G3; the last one ends with the tune.
    assert chords.notes == tuple(
        Note(begin, lasts, pitch)
        for begin, lasts, triad in ((0, 16, (50, 54, 57)), (16, 16, (57, 61, 64)), (32, 4, (50, 54, 57)))
        for pitch in triad
    )
    (window,) = windows([sheet], 2).roll.sounding[:, 1, :, 0]
    assert [np.flatnonzero(bar).tolist() for bar in window] == [[12, 16, 19], [19, 23, 26]]


def test_a_minor_chord_has_a_minor_third_and_a_pickup_has_no_chord():
    chords = ((0, "A:maj"), (16, "D:min"))
    sheet = leadsheets.lead_sheet(in_d((12, 4, 69), (16, 16, 74), mode="minor", pickup=4, chords=chords))
    # D minor goes down to A minor, where its tonic chord stands on A3.
    assert sheet.tracks[1].notes == tuple(Note(16, 16, pitch) for pitch in (62, 65, 69))


def test_what_becomes_no_lead_sheet_is_refused():
    with pytest.raises(ValueError, match="'A Tune' becomes no lead sheet: it has no label 'chords'"):
        leadsheets.lead_sheet(replace(in_d((0, 16, 62)), labels={"tonic": 2, "mode": "major"}))
    with pytest.raises(ValueError, match="notes beyond the grid"):
        leadsheets.lead_sheet(in_d((0, 8, 38), (8, 8, 86)))


def test_lead_sheets_and_tunes_are_the_folk_tunes_in_four_four(tmp_path, monkeypatch):
    (tmp_path / "books" / "oneills1850").mkdir(parents=True)
    (tmp_path / "books" / "oneills1850" / "7.abc").write_text(ABC)
    monkeypatch.setattr(folk, "music21_corpus", lambda: tmp_path / "books")
    options = {"cache": tmp_path / "cache", "jobs": 1}
    (sheet,) = CORPORA["leadsheets"].load(**options)  # the other tune is a jig
    (tune,) = CORPORA["tunes"].load("train", **options)
    assert (sheet.title, [track.name for track in sheet.tracks]) == ("The Third Tune", ["melody", "chords"])
    assert tune.tracks == sheet.tracks[:1]
    assert CORPORA["tunes"].load("test", **options) == ()
    assert tune.labels == sheet.labels


def test_the_quartets_are_there_and_nothing_else():
    root = folk.music21_corpus()
    found = [path.relative_to(root).as_posix() for path in quartets.READING.files(root)]
    assert len(found) == 46
    assert f"{len(found)} files" in quartets.CORPUS.title
    assert {name.split("/")[0] for name in found} == {"haydn", "mozart", "beethoven"}
    assert not [name for name in found if "k545" in name or "essen" in name]
    said = quartets.annotate(root, root / "mozart" / "k458" / "movement2.mxl")
    assert (said.group, said.title) == ("mozart k458", "Mozart, k458, movement2")
    assert quartets.annotate(root, root / "beethoven" / "opus132.mxl").group == "beethoven opus132"


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
    path = resources.files("ganmusic.corpora").joinpath(chorales.FILE)
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        packed = chorales.pack(bach)
        assert set(stored.files) == set(packed)
        for name in stored.files:
            np.testing.assert_array_equal(stored[name], packed[name])
            assert stored[name].dtype == packed[name].dtype


def test_the_file_is_small():
    assert len(resources.files("ganmusic.corpora").joinpath(chorales.FILE).read_bytes()) <= 300_000


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
