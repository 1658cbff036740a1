"""One piece beside the training pieces: found where it was copied from, and judged by held-out pieces."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from ganmusic import corpora, midi, originality, viz
from ganmusic.corpora import CORPORA, Corpus
from ganmusic.originality import Originality, Passage, Place
from ganmusic.pianoroll import Grid, Note, Piece, Track, transpose


def tune(seed: int, n_bars: int = 6, grid: Grid = Grid(), split: str = "train", **options) -> Piece:  # noqa: B008
    """Two voices drawn by chance, which have nothing in common with those of another seed but chance."""
    rng = random.Random(seed)
    tracks = []
    for name, low in (("high", 62), ("low", 43)):
        at, notes = 0, []
        while at < n_bars * grid.n_steps:
            lasts = min(rng.choice((2, 3, 4, 6)), n_bars * grid.n_steps - at)
            notes.append(Note(at, lasts, low + rng.randrange(15)))
            at += lasts
        tracks.append(Track(name, tuple(notes), 19))
    return Piece(tuple(tracks), grid, 100.0, f"Tune {seed}", labels={"split": split}, **options)


def later(piece: Piece, steps: int) -> Piece:
    moved = [replace(t, notes=tuple(n._replace(onset=n.onset + steps) for n in t.notes)) for t in piece.tracks]
    return replace(piece, tracks=tuple(moved))


def corpus_of(*pieces: Piece, name: str = "tiny") -> Corpus:
    def load(split):
        return [piece for piece in pieces if split in (None, piece.labels["split"])]

    return Corpus(name, "", "", "", "", load)


TRAINING = [tune(seed) for seed in range(5)]
HELD_OUT = [tune(seed, 4 + seed % 5, split="test") for seed in range(100, 122)]
WALTZ = tune(50, grid=Grid(12, 3))


@pytest.fixture(autouse=True, scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CORPORA, "tiny", corpus_of(*TRAINING, *HELD_OUT, WALTZ))
        originality._against.cache_clear()
        yield
    originality._against.cache_clear()


@pytest.fixture
def nothing_measured():
    """As in a new process, and nothing of the test is kept."""
    originality._against.cache_clear()
    yield
    originality._against.cache_clear()


def look(piece, corpus="tiny", **options) -> Originality:
    return originality.originality(piece, corpus, **options)


# Where the piece stands -----------------------------------------------------------------------------


def test_a_training_piece_is_found_whole_under_its_own_title():
    found = look(TRAINING[3])
    shares = [place for name, place in found.places.items() if "share" in name]
    assert [place.value for place in shares] == [1, 1, 1, 1]
    assert {place.percent for place in shares} == {100}
    assert [passage.kind for passage in found.nearest] == ["2 bars"] * 3 + ["4 bars"]
    for passage in (*found.nearest, *found.runs):
        assert (passage.source, passage.semitones, passage.share) == ("Tune 3", 0, 1)
        assert (passage.source_bar, passage.source_beat) == (passage.bar, passage.beat)
    n_notes = len({(n.onset, n.pitch) for track in TRAINING[3].tracks for n in track.notes})
    assert n_notes - 3 <= found.places["longest run, all voices: notes"].value <= n_notes  # repeated notes count once
    assert "It is a copy" in found.verdict


def test_a_copy_is_found_when_it_was_transposed_and_shifted():
    found = look(later(transpose(TRAINING[3], 5), 3))
    assert found.n_bars == 7
    assert found.places["highest share, 4 bars"].value == 1
    for passage in (*found.nearest, *found.runs):
        assert (passage.source, passage.semitones) == ("Tune 3", -5)
    first = found.runs[0]
    # It begins three sixteenths after the first beat here, and on the beat there.
    assert (first.bar, first.beat, first.source_bar, first.source_beat) == (1, 1.75, 1, 1)
    passage = found.nearest[0]
    assert (passage.beat, passage.source_beat) == (1, 4.25)
    assert passage.source_bar == passage.bar - 1


def test_only_the_copied_bars_are_found():
    """Two bars of a training piece, a third higher, stand in bars 3 and 4 of a new one."""
    new = tune(900, 8)
    tracks = tuple(
        replace(
            track,
            notes=tuple(
                sorted(
                    [n for n in track.notes if not 32 <= n.onset < 64]
                    + [Note(n.onset - 16, n.duration, n.pitch + 4) for n in copied.notes if 48 <= n.onset < 80]
                )
            ),
        )
        for track, copied in zip(new.tracks, TRAINING[1].tracks, strict=True)
    )
    found = look(replace(new, tracks=tracks))
    best = found.nearest[0]
    assert (best.kind, best.share, best.bar, best.source, best.source_bar) == ("2 bars", 1, 3, "Tune 1", 4)
    assert best.semitones == -4
    assert 0.2 < found.places["copied share, 2 bars"].value < 0.7
    assert found.nearest[1].share < 0.7
    line = "2 bars: 100% of the notes from bar 3, beat 1, are those of Tune 1 from bar 4, beat 1, there 4 semitones"
    assert line in str(found)


def test_bars_are_numbered_as_in_print():
    """With an incomplete first bar, bar 0 is that one, and what is copied there counts from it."""
    whole = TRAINING[2]
    upbeat = replace(whole, pickup=4)
    found = look(upbeat).nearest
    assert {passage.source_bar - passage.bar for passage in found} == {1}
    for passage in found:
        assert passage.bars[0][0] == (0, passage.bar)
        assert passage.bars[1][0] == (0, passage.bar + 1)


def test_both_passages_are_in_the_key_and_tempo_of_the_piece():
    piece = replace(transpose(TRAINING[0], -7), tempo=63.0)
    for passage in look(piece).nearest:
        ours, theirs = ({(n.onset, n.pitch) for t in one.tracks for n in t.notes}
                        for one in (passage.piece, passage.training))  # fmt: skip
        assert ours == theirs
        assert [clip.piece.tempo for clip in passage.clips] == [63, 63]
        assert all(0 <= onset < passage.n_steps for onset, _ in ours)
        assert passage.piece.end <= passage.n_steps
        assert "moved here by -7 semitones" in passage.clips[1].title


def test_nearest_passages_do_not_overlap_and_their_share_is_what_is_seen():
    found = look(tune(901, 12))
    for n in (2, 4):
        bars = sorted(passage.bar for passage in found.nearest if passage.kind == f"{n} bars")
        assert 2 <= len(bars) <= 3
        assert all(b - a >= n for a, b in pairwise(bars))
    for passage in found.nearest:
        ours, theirs = ({(x.onset, x.pitch) for t in one.tracks for x in t.notes}
                        for one in (passage.piece, passage.training))  # fmt: skip
        assert passage.share == pytest.approx(len(ours & theirs) / max(len(ours), len(theirs)))


def test_a_few_notes_that_are_found_anywhere_are_not_shown_as_nearest():
    piece = tune(902, 6)
    thin = later(replace(piece, tracks=piece.tracks[:1]), 0)
    tracks = (replace(thin.tracks[0], notes=(*thin.tracks[0].notes, Note(8 * 16, 4, 60))),)
    found = look(replace(thin, tracks=tracks))
    assert found.places["highest share, 2 bars"].value < 1 or found.n_bars == 9
    assert 8 not in {passage.bar for passage in found.nearest if passage.kind == "2 bars"}


def test_of_a_long_run_the_first_bars_are_shown(monkeypatch):
    whole = tune(60, 12)
    monkeypatch.setitem(CORPORA, "long", corpus_of(whole))
    run = look(later(whole, 20), "long").runs[0]
    assert run.run.steps > 10 * 16
    assert (run.bar, run.beat, run.source_bar, run.source_beat) == (2, 2, 1, 1)
    assert (run.n_steps, run.bars[0][0], run.bars[0][-1]) == (8 * 16, (0, 2), (7 * 16, 9))
    assert run.bars[1][0] == (4, 1)  # the shown bars begin four steps before the training piece does


def test_drums_change_nothing():
    piece = tune(903, 4)
    drums = Track("kit", tuple(Note(4 * i, 1, 36) for i in range(32)), 0, is_drum=True)
    a, b = look(piece), look(replace(piece, tracks=(drums, *piece.tracks)))
    assert a.to_dict() == b.to_dict()
    assert [(one.piece, one.training) for one in a.nearest] == [(one.piece, one.training) for one in b.nearest]


# Among held-out pieces ------------------------------------------------------------------------------


def test_a_place_counts_ties_by_half():
    place = Place(0.5, (0.1, 0.25, 0.5, 0.5, 0.9))
    assert place.percent == pytest.approx(60)
    assert str(place) == "more than in 60 % of 5 held-out pieces (0.50 in the middle, nine in ten from 0.13 to 0.82)"
    assert Place(3, (1, 2, 2)).percent == 100
    assert Place(3, (4,)).percent == 0
    assert place.to_dict() == {"value": 0.5, "percent": place.percent, "held_out": [0.1, 0.25, 0.5, 0.5, 0.9]}


def test_no_held_out_piece_gives_no_place_and_no_verdict(monkeypatch):
    monkeypatch.setitem(CORPORA, "alone", corpus_of(*TRAINING))
    found = look(tune(904, 4), "alone")
    place = found.places["copied share, 2 bars"]
    assert (place.percent, str(place)) == (None, "no held-out piece to compare with")
    assert found.n_held_out == 0
    assert found.verdict.startswith("No verdict: that needs 20 held-out pieces")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["places"]["copied share, 2 bars"]["percent"] is None


def test_like_is_compared_with_like():
    """The middle bars of each held-out piece, as many as the piece has; a shorter one whole."""
    found = look(tune(905, 4))
    index = originality.NoteIndex(TRAINING)
    by_hand = []
    for piece in HELD_OUT:
        first = (piece.n_bars - 4) // 2 * 16
        notes = [
            tuple(Note(n.onset - first, 1, n.pitch) for n in track.notes if first <= n.onset < first + 64)
            for track in piece.tracks
        ]
        run = originality.longest_run(Piece(tuple(Track("", part) for part in notes)), index)
        by_hand.append(run.notes)
    assert found.places["longest run, all voices: notes"].held_out == tuple(sorted(by_hand))
    assert found.remarks == ()
    longer = look(tune(905, 7))
    shorter = sum(piece.n_bars < 7 for piece in HELD_OUT)
    assert f"{shorter} of 22 held-out pieces have fewer bars than the piece" in longer.remarks[0]


def test_many_held_out_pieces_are_drawn_evenly(nothing_measured, monkeypatch):
    monkeypatch.setattr(originality, "MOST_HELD_OUT", 4)
    found = look(tune(906, 4))
    assert found.held_out_bars == tuple(HELD_OUT[i].n_bars for i in (0, 7, 14, 21))


def test_held_out_pieces_are_measured_once_for_a_number_of_bars(nothing_measured, monkeypatch):
    measured = []
    real = originality._measure
    monkeypatch.setattr(originality, "_measure", lambda piece, index: measured.append(piece) or real(piece, index))
    look(tune(907, 4))
    assert len(measured) == 1 + len(HELD_OUT)
    look(tune(908, 4))
    assert len(measured) == 2 + len(HELD_OUT)


MORE = "More of it stands in the training pieces than of nearly all held-out pieces: its"


def made_up(
    share: float, notes: int, held_out: int = 40, n_bars: int = 8, *, highest: float = 0.5, one_voice: int = 20
) -> Originality:
    shares, counts = tuple(np.linspace(0.4, 0.6, held_out).tolist()), tuple(range(held_out))
    places = {
        "copied share, 2 bars": Place(share, shares),
        "copied share, 4 bars": Place(share, shares),
        "highest share, 2 bars": Place(highest, shares),
        "highest share, 4 bars": Place(highest, shares),
        "longest run, all voices: notes": Place(notes, counts),
        "longest run, one voice: notes": Place(one_voice, counts),
    }
    return Originality("x", n_bars, 8 * n_bars, "tiny", "16 steps in 4 beats", 5, (8,) * held_out, places, (), ())


@pytest.mark.parametrize(
    ("share", "notes", "begin"),
    [
        (0.5, 20, "It has about as much in common"),
        (0.97, 200, "It is a copy"),
        (0.7, 20, MORE + " copied share (100 %)"),
        (0.5, 100, MORE + " longest run (100 %)"),
        (0.2, 20, "Less of it stands in the training pieces than of nearly all held-out pieces, and no passage"),
    ],
)
def test_the_verdict_says_what_the_numbers_say(share, notes, begin):
    assert made_up(share, notes).verdict.startswith(begin)


def test_a_stolen_tune_or_passage_is_no_clean_bill():
    """A soprano under which other voices were written has a low share and no run of all voices."""
    tune_of = made_up(0.2, 3, one_voice=48)
    assert tune_of.verdict.startswith("More of it")
    assert "the longest run of one voice (100 %) is above" in tune_of.verdict
    passage = made_up(0.2, 3, highest=0.95)
    assert "that of its most copied passage (100 %) is above" in passage.verdict
    both = made_up(0.2, 100, one_voice=48).verdict
    assert "its longest run (100 %), the longest run of one voice (100 %) are above" in both


def test_too_few_held_out_pieces_give_no_verdict_but_a_copy_is_one():
    assert "and there are 19" in made_up(0.7, 20, 19).verdict
    assert made_up(0.7, 20, 20).verdict.startswith("More of it")
    assert made_up(1.0, 20, 2).verdict.startswith("It is a copy")


# What bad input gets --------------------------------------------------------------------------------


def test_too_few_notes_give_no_verdict_as_they_are_found_in_any_music(monkeypatch):
    monkeypatch.setitem(CORPORA, "sparse", corpus_of(*(tune(k) for k in range(4)), tune(9, split="valid")))
    two = Piece((Track("high", (Note(0, 4, 60), Note(16 * 5, 4, 62)), 19),))
    found = originality.originality(two, "sparse")
    assert found.places["highest share, 2 bars"].value == 1.0
    assert (found.n_notes, found.n_bars) == (2, 6)
    assert found.verdict == "No verdict: it has 2 notes in 6 bars, and so few are found in any music."


def test_a_short_piece_has_the_numbers_that_it_can_have():
    found = look(tune(909, 3))
    assert not any("4 bars" in name for name in found.places)
    assert found.remarks == ("It is too short for passages of 4 bars.",)
    assert {passage.kind for passage in found.nearest} == {"2 bars"}
    with pytest.raises(ValueError, match="'Tune 910' has 1 bar, and the shortest passage that is compared has 2"):
        look(tune(910, 1))


def test_one_note_in_two_bars_has_defined_numbers():
    found = look(Piece((Track("a", (Note(16, 4, 60),)),)))
    assert found.places["copied share, 2 bars"].value <= 1
    assert found.places["longest run, all voices: notes"].value == 1
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert found.title == ""


def test_silence_and_drums_alone_are_refused():
    with pytest.raises(ValueError, match="'quiet' has no notes"):
        look(Piece((Track("a", ()),), title="quiet"))
    with pytest.raises(ValueError, match="'quiet' has no notes"):
        look(Piece((), title="quiet"))
    kit = Track("kit", tuple(Note(4 * i, 1, 36) for i in range(16)), 0, is_drum=True)
    with pytest.raises(ValueError, match="'beat' has drums alone"):
        look(Piece((kit,), title="beat"))


@pytest.mark.parametrize("wrong", [Note(0.5, 4, 60), Note(0, 1.5, 60), Note(0, 4, 60.5), Note(0, 0, 60)])
def test_notes_that_do_not_fit_the_grid_are_named_with_their_piece(wrong):
    piece = tune(913)
    piece = replace(piece, tracks=(*piece.tracks, Track("more", (wrong,))))
    with pytest.raises(ValueError, match=f"the piece 'Tune 913': {re.escape(str(wrong))}"):
        look(piece)
    with pytest.raises(ValueError, match=f"^the piece: {re.escape(str(wrong))}"):
        look(replace(piece, title=""))


def test_another_metre_is_refused_with_both():
    message = r"has bars of 20 steps in 5 beats, .* of tiny have bars of 16 steps in 4 beats or 12 steps in 3 beats"
    with pytest.raises(ValueError, match=message):
        look(tune(911, grid=Grid(20, 5)))


def test_a_metre_is_compared_with_its_own_pieces():
    found = look(WALTZ)
    assert (found.n_training, found.n_held_out, found.metre) == (1, 0, "12 steps in 3 beats")
    assert found.places["copied share, 4 bars"].value == 1


def test_unknown_corpora_and_those_without_pitches_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="no corpus is named 'nothing'"):
        look(TRAINING[0], "nothing")
    kit = Track("kit", (Note(0, 1, 36),), 0, is_drum=True)
    monkeypatch.setitem(CORPORA, "kits", corpus_of(Piece((kit,), labels={"split": "train"})))
    with pytest.raises(ValueError, match="'kits' has no training piece with pitched notes"):
        look(TRAINING[0], "kits")


def test_a_file_is_read_as_fine_as_the_corpus(tmp_path, monkeypatch):
    coarse = tune(1, grid=Grid(8, 4))
    monkeypatch.setitem(CORPORA, "eighths", corpus_of(coarse))
    path = tmp_path / "my tune.mid"
    midi.write(replace(coarse, title=""), path)
    assert midi.read(path).grid.n_steps == 16
    found = look(path, "eighths")
    assert found.places["copied share, 4 bars"].value == 1
    assert found.title == "my tune"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "bad.mid"
    path.write_bytes(b"MThd nonsense")
    with pytest.raises(midi.MusicFileError, match=r"bad\.mid"):
        look(path)
    midi.write(tune(912, 1), tmp_path / "short.mid")
    with pytest.raises(ValueError, match=r"short\.mid has 1 bar"):
        look(tmp_path / "short.mid")


def test_a_folder_of_ones_own_is_a_corpus(tmp_path):
    root = tmp_path / "songs"
    root.mkdir()
    for number, piece in enumerate([*TRAINING, *HELD_OUT[:5]]):
        midi.write(piece, root / f"{number}.mid")
    added = corpora.add("mine", root, cache=tmp_path / "cache", voices="parts", n_tracks=2, jobs=1)
    learned = added.load("train")[0]
    found = look(learned, "mine", cache=tmp_path / "cache")
    assert found.n_training == len(added.load("train"))
    assert found.places["copied share, 2 bars"].value == 1
    assert found.nearest[0].source == learned.title


# What it looks like ---------------------------------------------------------------------------------


class Tags(HTMLParser):
    """All tags and attributes; everything that is opened is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def look_at_markup() -> Originality:
    piece = transpose(replace(TRAINING[4], title='<b>"R&B"</b>\x07', tempo=200.0), 1)
    voice = replace(piece.tracks[0], name="<i>&'voice'")
    return look(replace(piece, tracks=(voice, piece.tracks[1])))


@pytest.fixture(scope="module")
def odd() -> Originality:
    """The report on a piece whose names are markup, with one passage of each length."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(originality, "N_SHOWN", 1)
        return look_at_markup()


def test_html_is_well_formed_and_holds_everything(odd):
    html = odd._repr_html_()
    page = Tags(html)
    tags = [tag for tag, _ in page.tags]
    passages = [*odd.nearest, *odd.runs]
    assert (tags.count("img"), tags.count("audio"), tags.count("table")) == (len(passages), 2 * len(passages), 1)
    assert tags.count("tr") == 1 + len(odd.places)
    assert not {"script", "b", "i"} & set(tags)
    text = "".join(page.words)
    assert odd.verdict in text
    assert odd.limits in text
    assert '<b>"R&B"</b>' in text
    alternatives = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert alternatives == [viz.describe_compared(one.piece, one.training) for one in passages]
    assert all(attributes["aria-label"] for tag, attributes in page.tags if tag == "audio")
    for _, attributes in page.tags:
        assert attributes.get("src", "data:").startswith("data:")
    assert "\x07" not in html


def test_html_is_the_same_each_time(odd, nothing_measured, monkeypatch):
    monkeypatch.setattr(originality, "N_SHOWN", 1)
    assert look_at_markup()._repr_html_() == odd._repr_html_()


def test_saved_as_a_page_and_as_data(odd, tmp_path):
    odd.save(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert Tags(page).tags[0] == ("html", {"lang": "en"})
    assert odd._repr_html_() in page
    odd.save(tmp_path / "a.JSON")
    data = json.loads((tmp_path / "a.JSON").read_text(encoding="utf-8"))
    assert data == json.loads(json.dumps(odd.to_dict()))
    assert (data["n_training"], data["n_held_out"], data["corpus"]) == (5, 22, "tiny")
    assert set(data["runs"][0]) - set(data["nearest"][0]) == {"notes", "beats"}
    with pytest.raises(ValueError, match=r"a\.pdf: a report can be saved as \.html or \.json"):
        odd.save(tmp_path / "a.pdf")
    assert len(list(tmp_path.iterdir())) == 2


def test_it_prints_as_a_short_text(odd):
    text = str(odd)
    assert text.count("\n") < 30
    assert odd.verdict in text
    assert "longest run, all voices: notes" in text
    assert "\x07" not in text
    assert repr(odd).startswith("Originality(")
    assert repr(odd.nearest[0]) == f"Passage({odd.nearest[0]})"
    assert isinstance(odd.runs[0], Passage)


# Bach -----------------------------------------------------------------------------------------------


def four_bars(piece: Piece) -> Piece:
    return originality._middle(piece, 4)


def test_bach_is_told_from_a_copy_of_bach(nothing_measured, monkeypatch):
    monkeypatch.setattr(originality, "MOST_HELD_OUT", 24)
    training = next(piece for piece in CORPORA["chorales"].load("train") if piece.labels["bwv"] == "9.7")
    copy = look(later(transpose(four_bars(training), 2), 3), "chorales")
    assert copy.places["highest share, 2 bars"].value == 1
    # The last of its four bars is full only in the training piece: the shift pushed notes over the end.
    assert copy.places["highest share, 4 bars"].value > 0.95
    assert copy.nearest[0].source == "Es ist das Heil uns kommen her (BWV 9.7)"
    assert {place.percent for name, place in copy.places.items() if "share" in name} == {100}
    held_out = [piece for piece in CORPORA["chorales"].load("test") if piece.grid == Grid()][1:27:5]
    percents = [look(four_bars(piece), "chorales").places["copied share, 2 bars"].percent for piece in held_out]
    assert 25 < np.mean(percents) < 75
    rng = np.random.default_rng(0)
    notes = {(int(s), int(p)) for s, p in zip(rng.integers(0, 64, 80), rng.integers(40, 80, 80), strict=True)}
    noise = Piece((Track("noise", tuple(sorted(Note(s, 1, p) for s, p in notes))),))
    found = look(noise, "chorales")
    assert found.places["copied share, 2 bars"].percent == 0
    assert "random notes are new, too" in found.verdict


def test_a_soprano_of_bachs_is_found_under_other_voices(nothing_measured, monkeypatch):
    """A training tune a tone higher, above three voices of a held-out chorale: only the run of one voice tells."""
    monkeypatch.setattr(originality, "MOST_HELD_OUT", 24)
    chorales = {piece.labels["bwv"]: piece for piece in CORPORA["chorales"].load()}
    assert (chorales["9.7"].labels["split"], chorales["300"].labels["split"]) == ("train", "test")
    tune, new = (originality._excerpt(chorales[bwv], 0, 8 * 16).tracks for bwv in ("9.7", "300"))
    higher = transpose(Piece(tune[:1]), 2).tracks
    found = look(Piece((*higher, *new[1:]), title="New voices"), "chorales")
    run = found.runs[1]
    assert (run.kind, run.source) == ("longest run, one voice", "Es ist das Heil uns kommen her (BWV 9.7)")
    assert (run.semitones, run.run.track, run.run.training_track) == (-2, 0, 0)
    assert run.run.notes >= 30
    assert {name for name, place in found.places.items() if place.percent > 50} == {
        "longest run, one voice: notes", "longest run, one voice: beats"
    }  # fmt: skip
    assert "the longest run of one voice (100 %) is above theirs" in found.verdict
