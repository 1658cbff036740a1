"""Wishes and continuations: what a network is told, and a piece that goes on from its own last bar."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import symusic
import torch

from ganmusic import midi
from ganmusic.cli import main
from ganmusic.corpora import get
from ganmusic.keys import Key, estimate_key
from ganmusic.metrics.harmony import parallel_fifths, parallel_octaves
from ganmusic.models.choir import ChoirGenerator, heard
from ganmusic.pianoroll import Grid, Note, Piece, Track, transpose
from ganmusic.sample import Composer, compose, continue_piece, load_generator, to_roll

VOICES = ("soprano", "alto", "tenor", "bass")


@pytest.fixture(scope="module")
def composer():
    """A small choir that has learned nothing and remembers clips of 10 to 20 notes a bar."""
    torch.manual_seed(0)
    generator = ChoirGenerator(n_latent=8, n_codes=6, channels=(16, 16, 8), hidden=16).eval()
    for voice in generator.decoder.voices:  # which would else hold their first notes to the end
        voice[-1].bias.data = torch.randn_like(voice[-1].bias)
    rows = torch.zeros(100, generator.examples.rows.shape[1])
    rows[:, 0] = torch.linspace(-0.05, 0.05, 100)
    rows[:, 1] = torch.linspace(10, 20, 100)
    rows[:, 2] = torch.linspace(20, 32, 100)
    generator.examples.keep(rows)
    return Composer(generator, Grid(), VOICES, (48,) * 4, {"recipe": "choir", "model": "choir"})


@pytest.fixture(scope="module")
def chorale():
    """A held-out chorale in 4/4 that is not in the common key."""
    pieces = (piece for piece in get("chorales").stream("test") if piece.grid.n_steps == 16)
    return next(piece for piece in pieces if piece.labels["tonic"] not in (0, 9))


def held(track, start):
    return [note for note in track.notes if note.onset < start < note.end]


def test_the_piece_stays_as_it_was_and_goes_on(composer, chorale):
    whole = continue_piece(chorale, 5, seed=3, run=composer)
    start = (chorale.n_bars - 1) * 16
    assert whole.n_bars == chorale.n_bars + 5
    assert whole.tempo == chorale.tempo
    for before, after in zip(chorale.tracks, whole.tracks, strict=True):
        first = [note for note in after.notes if note.onset < start + 16]
        # Only the last note may have grown, where it is held over the bar line.
        assert [note[::2] for note in first] == [note[::2] for note in before.notes]
        assert all(a.end >= b.end for a, b in zip(first, before.notes, strict=True))
        grown = [a for a, b in zip(first, before.notes, strict=True) if a.end > b.end]
        assert all(note.end > start + 16 for note in grown)
        assert all(one.end <= other.onset for one, other in zip(after.notes, after.notes[1:], strict=False))


def test_what_follows_depends_on_the_last_bar_and_the_seed(composer, chorale):
    start = chorale.n_bars * 16

    def rest(piece, seed):
        whole = continue_piece(piece, 2, seed, composer)
        return [[note for note in track.notes if note.onset >= start] for track in whole.tracks]

    last = [[n for n in track.notes if n.onset < start - 16] for track in chorale.tracks]
    other = replace(
        chorale,
        tracks=tuple(
            replace(track, notes=(*notes, Note(start - 16, 16, pitch)))
            for track, notes, pitch in zip(chorale.tracks, last, (72, 65, 57, 50), strict=True)
        ),
    )
    assert rest(chorale, 1) == rest(chorale, 1)
    assert rest(chorale, 1) != rest(chorale, 2)
    assert rest(chorale, 1) != rest(other, 1)


def test_a_transposed_piece_goes_on_transposed(composer, chorale):
    moved = transpose(chorale, 1)
    moved = replace(moved, labels={**chorale.labels, "tonic": (chorale.labels["tonic"] + 1) % 12})
    one, other = (continue_piece(piece, 3, 0, composer) for piece in (chorale, moved))
    assert [track.notes for track in transpose(one, 1).tracks] == [track.notes for track in other.tracks]


def test_a_note_that_was_held_into_the_last_bar_stays_one(composer):
    ends = {"soprano": (24, 72), "alto": (20, 67), "tenor": (32, 64), "bass": (28, 48)}
    tracks = tuple(Track(name, (Note(0, end, pitch),)) for name, (end, pitch) in ends.items())
    piece = Piece(tracks, labels={"tonic": 0, "mode": "major"})
    whole = continue_piece(piece, 2, run=composer)
    for before, after in zip(piece.tracks, whole.tracks, strict=True):
        assert after.notes[0].onset == 0
        assert after.notes[0].pitch == before.notes[0].pitch
        assert after.notes[0].end >= before.notes[0].end
        assert all(note.onset >= before.notes[0].end for note in after.notes[1:])


def chords(piece, *notes):
    return replace(piece, tracks=tuple(replace(track, notes=notes) for track in piece.tracks))


def called(piece, *names):
    tracks = zip(piece.tracks, names, strict=True)
    return replace(piece, tracks=tuple(replace(track, name=name) for track, name in tracks))


def drummed(piece):
    return replace(piece, tracks=(*piece.tracks[:3], replace(piece.tracks[3], is_drum=True)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: replace(p, tracks=p.tracks[:3]), "a piece with 3 tracks"),
        (lambda p: replace(p, grid=Grid(12, 3)), "12 steps and 3 beats does not fit this network"),
        (lambda p: replace(p, tracks=p.tracks[::-1]), "are bass, tenor, alto, soprano, .* as soprano, alto"),
        (lambda p: called(p, "Cantus", "Tenor ", "Altus", "Bass"), "are cantus, tenor, altus, bass, .* as soprano"),
        (drummed, "track 'bass' is drums, unlike this network's 'bass'"),
        (lambda p: chords(p), "a piece without notes"),
        (lambda p: chords(p, Note(0, 16, 60), Note(0, 16, 64)), "several"),
        (lambda p: chords(p, Note(0, 16, 20), Note(0, 16, 83)), "reaches"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(composer, chorale, change, says):
    with pytest.raises(ValueError, match=says):
        continue_piece(change(chorale), 2, run=composer)


def test_tracks_may_have_names_of_their_own(composer, chorale):
    one, other = (continue_piece(piece, 2, run=composer) for piece in (chorale, called(chorale, *"SATB")))
    assert [track.notes for track in one.tracks] == [track.notes for track in other.tracks]


def test_a_network_that_cannot_be_told_says_so(chorale):
    for call in (
        lambda: compose(4, run="chorales", mode="minor"),
        lambda: compose(4, run="chorales", density=12),
        lambda: continue_piece(chorale, 2, run="chorales"),
        lambda: continue_piece(replace(chorale, tracks=chorale.tracks[:3]), 2, run="chorales"),
    ):
        with pytest.raises(ValueError, match="'convnet', cannot be told what to play; one of the model choir can"):
            call()


def test_wishes_reach_the_network(composer):
    free = compose(4, run=composer)
    assert compose(4, run=composer, density=12).tracks != free.tracks
    assert compose(4, run=composer, register=65).tracks != free.tracks
    assert compose(4, run=composer, mode="minor").tracks != free.tracks


def test_the_candidate_that_comes_nearest_is_kept(composer):
    """Of sixteen that nobody taught anything, where any ending will do."""

    def notes_a_bar(candidates):
        piece = compose(4, seed=1, run=anywhere, density=12.0, candidates=candidates)
        return sum(note.onset < 3 * 16 for track in piece.tracks for note in track.notes) / 3

    anywhere = replace(composer, card={**composer.card, "data": {"normalise_key": False}})
    assert abs(notes_a_bar(64) - 12) < abs(notes_a_bar(1) - 12)


def test_a_key_tells_its_mode(composer):
    heard = {}

    class Listening(Composer):
        def asking(self, mode, density, register, before=None, **options):
            heard["mode"] = mode
            return super().asking(mode, density, register, before, **options)

    listening = Listening(**vars(composer))
    compose(4, run=listening, key="D minor")
    assert heard["mode"] == "minor"
    with pytest.raises(ValueError, match="D minor is not major"):
        compose(4, run=listening, key="D minor", mode="major")


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"density": 100}, r"is 10\.2 to 19\.9, not 100"),
        ({"register": 20}, r"is 56\.2 to 67\.8 \(MIDI\), not 20"),
        ({"mode": "dorian"}, "'major' or 'minor'"),
    ],
)
def test_wishes_out_of_range_name_what_fits(composer, wish, says):
    with pytest.raises(ValueError, match=says):
        compose(4, run=composer, **wish)


def test_a_file_goes_on_from_the_command_line(composer, chorale, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ganmusic.sample.load_generator", lambda run: composer)
    midi.write(chorale, tmp_path / "begun.mid")
    arguments = ["compose", str(tmp_path / "more.mid"), "--after", str(tmp_path / "begun.mid"), "--bars", "3"]
    assert main([*arguments, "--mode", "major"]) == 0
    assert midi.read(tmp_path / "more.mid").n_bars == chorale.n_bars + 3
    assert main([*arguments, "--key", "C"]) != 0
    assert "goes on in the music's own key" in capsys.readouterr().err
    assert main([*arguments, "--density", "3"]) != 0
    assert "10.2 to 19.9" in capsys.readouterr().err


def test_music_without_labels_is_moved_by_the_key_that_it_seems_to_be_in(composer, chorale):
    plain = replace(chorale, labels={})
    key = estimate_key(plain)
    assert key == Key(chorale.labels["tonic"], chorale.labels["mode"])
    one, other = (continue_piece(piece, 2, 0, composer) for piece in (chorale, plain))
    assert [track.notes for track in one.tracks] == [track.notes for track in other.tracks]


# The weights that come with the package -------------------------------------------------------------


@pytest.fixture(scope="module")
def choir():
    return load_generator("choir")


def drawn(choir, n=60, **wishes):
    """The controls of some clips, and their rolls."""
    wishes = choir.generator.asking(n, **wishes) if wishes else None
    rolls = choir.generator.sample(choir.generator.latent(n, generator=torch.Generator().manual_seed(0)), wishes)
    return heard(rolls.float()), rolls


def test_the_shipped_choir_comes_near_to_what_it_is_asked(choir):
    for density in (14.0, 20.0):
        assert drawn(choir, density=density)[0][:, 1].mean().item() == pytest.approx(density, abs=1.5)
    low, high = (drawn(choir, register=register)[0][:, 2].mean().item() for register in (22.0, 30.0))
    assert high - low > 4
    minor, major = (drawn(choir, mode=mode)[0][:, 0].mean().item() for mode in ("minor", "major"))
    assert major - minor > 0.02


def mean_pitch(piece, first_bar=0):
    notes = [note for track in piece.tracks for note in track.notes if note.onset >= 16 * first_bar]
    return sum(note.pitch * note.duration for note in notes) / sum(note.duration for note in notes)


@pytest.mark.parametrize(
    ("register", "options"),
    [(62, {}), (65, {"key": "F# major"}), (59, {"key": "G major"}), (66, {"key": "Eb minor"}), (68, {"semitones": 5}),
     (54, {"semitones": -7}), (70, {"key": "G major"}), (55, {"key": "F major"})],
)  # fmt: skip
def test_the_register_is_that_of_what_sounds(choir, register, options):
    pieces = [compose(8, seed, choir, register=register, **options) for seed in range(3)]
    assert sum(map(mean_pitch, pieces)) / 3 == pytest.approx(register, abs=2)


@pytest.mark.parametrize("semitones", [-3, 0, 5])
def test_the_register_of_what_follows_is_that_of_what_sounds(choir, chorale, semitones):
    tonic = (chorale.labels["tonic"] + semitones) % 12
    begun = replace(transpose(chorale, semitones), labels={**chorale.labels, "tonic": tonic})
    means = [mean_pitch(continue_piece(begun, 8, seed, choir, register=62), begun.n_bars) for seed in range(3)]
    assert sum(means) / 3 == pytest.approx(62, abs=2.5)


def test_the_range_of_the_register_is_that_of_what_sounds(composer):
    ends = r"in F major, .* is 49\.2 to 60\.8 or 61\.2 to 72\.8 \(MIDI\)"  # a fifth down, a fourth up
    for register in (20, 61, 80):
        with pytest.raises(ValueError, match=f"{ends}, not {register}"):
            compose(4, run=composer, register=register, key="F major")
    for register in (49.2, 60.8, 61.2, 72.8):
        compose(4, run=composer, register=register, key="F major", candidates=1)


def test_the_command_goes_on_from_bars_of_two_halves(composer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ganmusic.sample.load_generator", lambda run: composer)
    voices = tuple((Note(0, 3, pitch), Note(3, 13, pitch)) for pitch in (72, 67, 64, 48))
    midi.write(Piece(tuple(Track(str(notes[0].pitch), notes) for notes in voices)), tmp_path / "four.mid")
    score = symusic.Score(str(tmp_path / "four.mid"))
    score.time_signatures = [symusic.TimeSignature(0, 2, 2)]
    score.dump_midi(str(tmp_path / "two.mid"))
    for name in ("four", "two"):
        arguments = ["compose", str(tmp_path / f"{name}-on.mid"), "--after", str(tmp_path / f"{name}.mid")]
        assert main([*arguments, "--bars", "2"]) == 0
    assert "two.mid is in 2/2; what comes out is in quarters" in capsys.readouterr().err
    assert midi.read(tmp_path / "two-on.mid") == midi.read(tmp_path / "four-on.mid")
    score.time_signatures = [symusic.TimeSignature(0, 6, 8)]
    score.dump_midi(str(tmp_path / "two.mid"))
    assert main([*arguments, "--bars", "2"]) == 1
    (error,) = capsys.readouterr().err.splitlines()  # and nothing of notes that would be moved
    assert "two.mid: a piece with 4 tracks in bars of 12 steps and 6 beats does not fit this network" in error


def test_a_bar_of_other_tracks_is_refused(composer):
    with pytest.raises(ValueError, match=r"has the shape \(2, 4, 16, 48\), not \(2, 5, 16, 48\)"):
        composer.asking(None, None, None, torch.zeros(2, 5, 16, 48))


def test_the_shipped_choir_seldom_writes_parallels(choir):
    rolls = to_roll(drawn(choir, 200)[1])
    for metric in (parallel_fifths, parallel_octaves):
        assert np.nanmean(metric(rolls, choir.grid)) < 0.12


def test_the_shipped_choir_goes_on_in_the_key_of_what_was_begun(choir, chorale):
    whole = continue_piece(chorale, 6, seed=1, run=choir)
    start = chorale.n_bars * 16
    tail = replace(
        whole, tracks=tuple(replace(t, notes=tuple(n for n in t.notes if n.onset >= start)) for t in whole.tracks)
    )
    scale = {(chorale.labels["tonic"] + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
    if chorale.labels["mode"] == "minor":
        scale = {(chorale.labels["tonic"] + step) % 12 for step in (0, 2, 3, 5, 7, 8, 10, 11)}
    notes = [note for track in tail.tracks for note in track.notes]
    assert len(notes) > 40
    assert np.mean([note.pitch % 12 in scale for note in notes]) > 0.85
