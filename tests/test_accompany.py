"""Accompaniment: voices that sing to a given melody."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch

from ganmusic import midi, recipes
from ganmusic.cli import main
from ganmusic.corpora import get
from ganmusic.keys import Key, estimate_key
from ganmusic.metrics import evaluate
from ganmusic.models import choir as choir_module
from ganmusic.models.choir import ChoirGenerator
from ganmusic.models.musegan import MuseGANAccompanist
from ganmusic.pianoroll import Grid, Note, Piece, Roll, Track, transpose
from ganmusic.sample import Composer, accompany, load_generator, to_roll

VOICES = ("soprano", "alto", "tenor", "bass")


def tune(text, up=0, **options):
    """A melody of notes such as E4: a letter of C major and steps; a dash rests."""
    pitches = dict(zip("CDEFGABc", (60, 62, 64, 65, 67, 69, 71, 72), strict=True))
    notes, now = [], 0
    for name, *steps in text.split():
        duration = int("".join(steps))
        if name != "-":
            notes.append(Note(now, duration, pitches[name] + up))
        now += duration
    return Piece((Track("tune", tuple(notes)),), **options)


ODE = "E4 E4 F4 G4 G4 F4 E4 D4 C4 C4 D4 E4 E6 D2 D8 E4 E4 F4 G4 G4 F4 E4 D4 C4 C4 D4 E4 D6 C2 C8"


@pytest.fixture
def composer(monkeypatch):
    """A small choir that has learned nothing."""
    monkeypatch.setattr(choir_module, "FITTING", 20)
    torch.manual_seed(0)
    generator = ChoirGenerator(n_latent=8, n_codes=6, channels=(16, 16, 8), hidden=16).eval().requires_grad_(False)
    for voice in generator.decoder.voices:  # which would else hold their first notes to the end
        voice[-1].bias.data = torch.randn_like(voice[-1].bias)
    rows = torch.zeros(100, generator.examples.rows.shape[1])
    rows[:, :3] = torch.tensor([0.0, 15.0, 26.0]) + torch.linspace(-1, 1, 100)[:, None] * torch.tensor([0.05, 5, 6])
    rows[:, 7:23] = 30.0  # its sopranos sing F sharp
    generator.examples.keep(rows)
    return Composer(generator, Grid(), VOICES, (48,) * 4, {"recipe": "choir", "model": "choir"})


@pytest.fixture
def band():
    """A small accompanist of the alto that has learned nothing."""
    torch.manual_seed(0)
    sizes = {"n_noise": 4, "channels": (16, 12, 8, 6, 4), "n_told": 3}
    generator = MuseGANAccompanist(given=1, monophonic=True, **sizes).eval().requires_grad_(False)
    return Composer(generator, Grid(), VOICES, (48,) * 4, {"recipe": "accompanist", "model": "musegan_accompanist"})


@pytest.mark.parametrize("up", [0, -5, 6, 12, -24, 31])
def test_the_melody_stays_as_it_is(composer, up):
    melody = tune(ODE, up, tempo=77.0, title="Ode")
    piece = accompany(melody, run=composer)
    assert piece.tracks[0].notes == melody.tracks[0].notes
    assert [track.name for track in piece.tracks] == list(VOICES)
    assert (piece.tempo, piece.end, piece.title) == (77.0, melody.end, "Ode, accompanied by choir, seed 0")
    assert all(track.notes for track in piece.tracks)


def test_the_last_chord_is_held_to_the_end_of_the_melody(composer):
    piece = accompany(tune("C4 D4 E8 F4 G4 E4 C10", tempo=90.0), run=composer)
    assert piece.end == 38
    assert all(note.onset <= 28 for track in piece.tracks for note in track.notes)
    for track in piece.tracks:
        assert track.notes[-1].end == 38 or track.notes[-1].end <= 28  # held, or it rests there
    assert sum(track.notes[-1].end == 38 for track in piece.tracks) >= 2


def test_the_seed_decides_the_voices(composer):
    melody = tune(ODE)
    one = accompany(melody, 1, composer)
    assert accompany(melody, 1, composer) == one
    assert accompany(melody, 2, composer).tracks[1:] != one.tracks[1:]


@pytest.mark.parametrize("suffix", [".mid", ".musicxml"])
def test_the_voices_begin_with_an_upbeat(composer, suffix, tmp_path):
    bar = tune("-12 G4 E4 D4 C8 E4 D4 G4 C4 C12")
    melody = replace(bar, pickup=4)
    piece = accompany(melody, run=composer)
    assert piece.pickup == 4
    assert min(note.onset for track in piece.tracks for note in track.notes) == 12
    midi.write(piece, tmp_path / f"upbeat{suffix}")
    again = midi.read(tmp_path / f"upbeat{suffix}")
    assert again.pickup == 4
    assert again.tracks[0].notes == melody.tracks[0].notes


def test_the_melody_is_sung_where_its_voice_is_at_home(composer):
    """The remembered sopranos lie around C5: 72."""
    composer.generator.examples.rows[:, 7:23] = 36.0
    for up in (-24, -12, 0, 12, 24):
        given = composer.check_melody(tune(ODE, up))
        mean = np.mean([note.pitch for note in given.piece.tracks[0].notes])
        assert abs(mean + given.shift - 72) <= 6
        assert given.shift == 12 - up


def test_the_key_can_be_said(composer):
    melody = tune("A4 c4 B4 A4 E8 A8")
    assert composer.check_melody(melody).key == Key(9, "minor")
    assert composer.check_melody(melody, "C").key == Key(0, "major")
    assert composer.check_melody(melody, "F").shift % 12 == 7
    labelled = replace(melody, labels={"tonic": 5, "mode": "major"})
    assert composer.check_melody(labelled).key == Key(5, "major")
    assert accompany(labelled, run=composer).labels == labelled.labels
    assert accompany(melody, run=composer).tracks != accompany(melody, run=composer, key="F").tracks


def test_the_melody_of_several_tracks_is_found_by_its_name(composer):
    line, other = tune(ODE).tracks[0], Track("chords", (Note(0, 16, 48), Note(0, 16, 52)))
    for name in ("Melody", "soprano"):
        piece = accompany(Piece((other, replace(line, name=name))), run=composer)
        assert piece.tracks[0].notes == line.notes
    drums = Track("kit", (Note(0, 4, 40), Note(16_000, 4, 40)), is_drum=True)
    assert accompany(Piece((line, drums)), run=composer).end == line.notes[-1].end


def test_notes_that_overlap_end_with_the_next(composer):
    legato = Piece((Track("a", (Note(0, 6, 60), Note(4, 4, 62), Note(8, 20, 64), Note(12, 2, 65))),))
    notes = accompany(legato, run=composer).tracks[0].notes
    assert notes == (Note(0, 4, 60), Note(4, 4, 62), Note(8, 4, 64), Note(12, 2, 65))


def test_a_transposed_melody_is_accompanied_transposed(composer):
    one, other = (accompany(tune(ODE, up), run=composer) for up in (0, 3))
    assert [track.notes for track in transpose(one, 3).tracks] == [track.notes for track in other.tracks]


def test_the_choir_comes_to_agree_with_the_melody(composer, monkeypatch):
    """The longer it listens the less the melody surprises it."""
    planes = composer.check_melody(tune(ODE)).planes.expand(4, -1, -1, -1, -1)
    surprise = []
    for steps in (1, 60):
        monkeypatch.setattr(choir_module, "FITTING", steps)
        rolls, nats = composer.generator.accompany(planes, generator=torch.Generator().manual_seed(0))
        assert rolls.shape == (4, 2, 4, 8, 16, 48)
        assert torch.equal(rolls[:, :, 0].float(), planes)
        surprise.append(nats)
    assert (surprise[1] < 0.9 * surprise[0]).all()


def test_what_agrees_best_is_kept(composer):
    """Where any ending will do."""
    anywhere = replace(composer, card={**composer.card, "data": {"normalise_key": False}})
    melody = tune(ODE)
    planes = anywhere.check_melody(melody).planes.expand(8, -1, -1, -1, -1)
    rolls, nats = anywhere.generator.accompany(planes, generator=torch.Generator().manual_seed(5))
    best = anywhere.piece(Roll(*(plane[nats.argmin()] for plane in to_roll(rolls))))
    kept = accompany(melody, 5, anywhere)
    for one, other in zip(best.tracks, kept.tracks, strict=True):
        assert [note for note in one.notes if note.end <= 112] == [note for note in other.notes if note.end <= 112]


def test_a_candidate_that_comes_home_is_kept_before_one_that_agrees_better(composer):
    """Three candidates whose last chords are in A minor, in C major, and nothing; the first agrees least."""
    chords = {0: (9, 0, 4), 1: (0, 4, 7), 2: (2, 5, 11)}

    def sing(planes, generator):
        rolls = torch.zeros(3, 2, 4, *planes.shape[2:])
        rolls[:, :, 0] = planes
        for candidate, chord in chords.items():
            for voice, pitch in enumerate(chord, 1):
                rolls[candidate, :, voice, -1, 8, pitch + 12] = 1
        return rolls.bool(), torch.tensor([3.0, 2.0, 1.0])

    composer.generator.accompany = sing
    for key, low, bass in (("A minor", "A", 9), ("C major", "C", 0)):
        piece = accompany(tune(f"E4 D4 E16 {low}8"), run=composer, key=key, candidates=3)
        assert {track.notes[-1].pitch % 12 for track in piece.tracks[1:]} == set(chords[0 if bass else 1])
    nowhere = accompany(tune("E4 D4 E16 F8"), run=composer, key="C", candidates=3)
    assert {track.notes[-1].pitch % 12 for track in nowhere.tracks[1:]} == set(chords[2])


def test_a_band_accompanies_melodies_of_any_length(band):
    for text in ("C4 D4 E8", ODE, f"{ODE} C16"):
        melody = tune(text)
        piece = accompany(melody, run=band)
        assert piece.tracks[1].notes == melody.tracks[0].notes
        assert piece.end == melody.end
    planes = band.check_melody(melody).planes.expand(2, -1, -1, -1, -1)
    rolls, _ = band.generator.accompany(planes, generator=torch.Generator().manual_seed(0))
    z = band.generator.latent(6, torch.Generator().manual_seed(0))
    # Its first four bars and its last: clips of their own.
    first, last = planes[:, :, :4], torch.cat([planes[:, :, 8:], torch.zeros(2, 2, 3, 16, 48)], 2)
    assert torch.equal(band.generator.sample(z[[0, 3]], first), rolls[:, :, :, :4])
    assert torch.equal(band.generator.sample(z[[2, 5]], last)[:, :, :, :1], rolls[:, :, :, 8:])


@pytest.mark.parametrize(
    ("melody", "says"),
    [
        (Piece((Track("a", ()),)), "here are 0 with notes, and 0 called so"),
        (
            Piece((Track("a", (Note(0, 4, 60),)), Track("", (Note(0, 4, 60),)))),
            "or the one called 'melody' or 'soprano'; here are 2 with notes, and 0 called so",
        ),
        (Piece((Track("kit", (Note(0, 4, 40),), is_drum=True),)), "here are 0 with"),
        (tune("C4", grid=Grid(12, 3)), "bars of 12 steps and 3 beats does not fit this network, which has bars of 16"),
        (
            Piece((Track("a", (Note(0, 4, 60), Note(20, 4, 60), Note(20, 4, 64))),)),
            "in bar 2 two begin on one step",
        ),
        (
            Piece((Track("a", (Note(0, 4, 36), Note(4, 4, 96))),), Grid(low=36, n_pitches=72)),
            "from 36 to 96, and in no octave",
        ),
    ],
)
def test_melodies_that_do_not_fit_are_refused(composer, melody, says):
    with pytest.raises(ValueError, match=says):
        accompany(melody, run=composer)


def test_what_cannot_be_done_is_said(composer, band):
    melody = tune(ODE)
    with pytest.raises(ValueError, match="accompanies no melody; a choir does, such as the shipped one, 'choir'"):
        accompany(melody, run="chorales")
    with pytest.raises(ValueError, match="at least 1 candidate"):
        accompany(melody, run=composer, candidates=0)
    with pytest.raises(ValueError, match="'H minor'"):
        accompany(melody, run=composer, key="H minor")
    with pytest.raises(ValueError, match="put the melody on 'alto', and that is drums"):
        accompany(melody, run=replace(band, drums=(False, True, False, False)))


def test_a_band_is_at_home_where_what_it_remembers_lies(band):
    assert band.generator.melody_height == 24.0
    assert band.check_melody(tune("C4 E4 G8")).shift == 0
    given = torch.zeros(1, 2, 4, 16, 48)
    given[:, 0, :, :, 41] = given[:, 0, :, :8, 35] = 1
    band.generator.examples.keep(given)
    assert band.generator.melody_height == 39.0
    assert band.check_melody(tune("C4 E4 G8")).shift == 12


def test_the_command_accompanies_a_file(composer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ganmusic.sample.load_generator", lambda run: composer)
    midi.write(tune(ODE, 2), tmp_path / "ode.mid")
    arguments = ["compose", str(tmp_path / "four.mid"), "--melody", str(tmp_path / "ode.mid")]
    assert main(arguments) == 0
    assert f"{tmp_path / 'ode.mid'} is taken to be in D major; --key says so if it is" in capsys.readouterr().err
    piece = midi.read(tmp_path / "four.mid")
    assert piece.tracks[0].notes == tune(ODE, 2).tracks[0].notes
    assert len(piece.tracks) == 4
    assert main([*arguments, "--key", "G"]) == 0
    assert midi.read(tmp_path / "four.mid") != piece
    assert capsys.readouterr().err == ""
    midi.write(Piece((Track("a", (Note(0, 4, 60), Note(0, 4, 64))),)), tmp_path / "chord.mid")
    midi.write(Piece((Track("a", (Note(0, 4, 14), Note(4, 4, 16))),), Grid(low=12, n_pitches=72)), tmp_path / "low.mid")
    midi.write(tune("E4", labels={"time_signature": "6/8"}, grid=Grid(12, 6)), tmp_path / "six.mid")
    for more, says in (
        (["--density", "13"], "--density does not go with --melody"),
        (["--bars", "4"], "--bars does not go with --melody"),
        (["--after", str(tmp_path / "ode.mid")], "--melody does not go with --after"),
        (["--key", "H", "--count", "2"], "'H'"),
        (["--melody", str(tmp_path / "none.mid")], "none.mid"),
        (["--melody", str(tmp_path / "four.mid")], "four.mid: is the file to begin with, and would be overwritten"),
        (["--melody", str(tmp_path / "chord.mid")], "chord.mid: a melody is one note at a time, and in bar 1 two"),
        (["--melody", str(tmp_path / "six.mid")], "six.mid: a melody in bars of 12 steps and 6 beats does not fit"),
        (["--melody", str(tmp_path / "low.mid")], "low.mid: the melody lies so low that voices beside it"),
    ):
        assert main([*arguments, *more]) == 1
        assert says in capsys.readouterr().err
    midi.write(Piece((Track("long", (Note(4_000, 4, 60),)),)), tmp_path / "long.mid")
    assert main([*arguments[:2], "--melody", str(tmp_path / "long.mid")]) == 1
    assert "has 251 bars, and at most 250" in capsys.readouterr().err
    slow = tune(" ".join([ODE] * 8), tempo=15.0)  # 64 bars of 16 seconds
    midi.write(slow, tmp_path / "slow.mid")
    assert main(["compose", str(tmp_path / "slow.mp3"), "--melody", str(tmp_path / "slow.mid")]) == 1
    assert "64 bars last 17 minutes, and at most 15" in capsys.readouterr().err
    assert not (tmp_path / "four").exists()


@pytest.mark.parametrize(("metre", "n_steps"), [((2, 2), 16), ((4, 4), 24)])
def test_a_file_is_laid_on_the_network_s_grid(composer, metre, n_steps, tmp_path, monkeypatch):
    """Bars of two halves are as long as those of four quarters, and a quarter may have triplets."""
    composer = replace(composer, grid=replace(composer.grid, n_steps=n_steps))
    midi.write(tune(ODE), tmp_path / "ode.mid")
    score = symusic.Score(str(tmp_path / "ode.mid"))
    score.time_signatures = [symusic.TimeSignature(0, *metre)]
    score.dump_midi(str(tmp_path / "ode.mid"))
    heard = []

    def listened(several, chance):
        heard.append(several)
        return torch.zeros(len(several), 2, 4, *several.shape[2:]), torch.zeros(len(several))

    monkeypatch.setattr(composer.generator, "accompany", listened)
    monkeypatch.setattr("ganmusic.sample.load_generator", lambda run: composer)
    main(["compose", str(tmp_path / "four.mid"), "--melody", str(tmp_path / "ode.mid")])
    onsets = heard[0][0, 1].flatten(0, 1).any(-1).nonzero().squeeze(1)
    assert onsets.tolist() == [note.onset * n_steps // 16 for note in tune(ODE).tracks[0].notes]


def test_one_of_many_may_not_be_the_melody_itself(composer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ganmusic.sample.load_generator", lambda run: composer)
    (tmp_path / "many").mkdir()
    midi.write(tune(ODE), tmp_path / "many" / "many-002.mid")
    midi.write(tune(ODE), tmp_path / "many.mid")
    before = (tmp_path / "many" / "many-002.mid").read_bytes()
    arguments = ["compose", str(tmp_path / "many.mid"), "--count", "2", "--key", "C", "--melody"]
    assert main([*arguments, str(tmp_path / "many" / "many-002.mid")]) == 1
    assert "many-002.mid: is the file to begin with" in capsys.readouterr().err
    assert (tmp_path / "many" / "many-002.mid").read_bytes() == before
    assert main([*arguments, str(tmp_path / "many.mid")]) == 0  # which writes into the folder alone


def test_the_command_says_what_it_does_not_keep(composer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ganmusic.sample.load_generator", lambda run: composer)
    def write(starts, speeds):
        score = symusic.Score(12)
        for name, each in (("melody", starts), ("chords", (0, 4, 8))):
            score.tracks.append(symusic.Track(name))
            for start in each:
                score.tracks[-1].notes.append(symusic.Note(start, 4, 60 + start // 8, 80))
        for time, speed in zip((0, 48), speeds, strict=True):
            score.tempos.append(symusic.Tempo(time, qpm=speed))
        score.dump_midi(str(tmp_path / "tune.mid"))
        assert main(["compose", str(tmp_path / "four.mid"), "--melody", str(tmp_path / "tune.mid"), *key]) == 0
        return capsys.readouterr().err.splitlines()

    key = ["--key", "C"]
    assert write((0, 12, 24, 36), (90, 90)) == []  # the chords' triplets are not sung
    off, changes = write((0, 4, 8, 12, 24), (100, 60))
    assert "40% of the melody's notes in" in off
    assert "changes its tempo or its metre" in changes
    key = []
    (unknown,) = write((0,), (90, 90))
    assert "is in no key that could be told; --key says so" in unknown


def test_the_command_says_when_a_band_plays_to_what_it_remembers(band, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ganmusic.sample.load_generator", lambda run: band)
    band.generator.examples.keep(torch.ones(1, 2, 4, 16, 48))
    assert main(["compose", str(tmp_path / "a.mid")]) == 0
    assert "without --melody this network accompanies melodies that it remembers" in capsys.readouterr().err


# The weights that come with the package -------------------------------------------------------------


def test_the_shipped_choir_harmonises_a_tune_that_it_does_not_know():
    piece = accompany(tune(ODE, 7), run="choir")
    assert str(estimate_key(piece)) == "G major"
    last = sorted(track.notes[-1].pitch % 12 for track in piece.tracks)
    assert set(last) <= {7, 11, 2}  # G, B, D
    assert piece.tracks[3].notes[-1].pitch % 12 in {7, 11}


def test_the_shipped_choir_sings_to_unseen_sopranos_nearly_as_bach_does():
    """Bach's own lower voices make triads on 73 % of the beats, those of other chorales on 29 %."""
    data = recipes.held_out("chorales", "test", 4)
    bach = torch.from_numpy(np.stack(data.roll, 1))[:40].float()
    rolls, _ = load_generator("choir").generator.accompany(bach[:, :, 0], torch.Generator().manual_seed(0))
    strangers = torch.cat([bach[:, :, :1], bach.roll(20, 0)[:, :, 1:]], 2)
    theirs, ours, others = (evaluate(to_roll(each), data.grid) for each in (bach, rolls, strangers))
    for name in ("triads_on_beats", "consonant_pairs"):
        high, middle, low = (np.nanmean(each[name]) for each in (theirs, ours, others))
        assert low + 0.6 * (high - low) < middle < high + 0.02
    for name in ("parallel_fifths", "parallel_octaves"):
        assert np.nanmean(ours[name]) < 0.08 < np.nanmean(others[name])


def test_the_faq_says_how_often_the_key_of_a_melody_is_found():
    held_out = [piece for split in ("valid", "test") for piece in get("chorales").stream(split)]
    held_out = [piece for piece in held_out if piece.grid == Grid()]
    keys = [estimate_key(replace(piece, tracks=piece.tracks[:1])) for piece in held_out]
    right = sum(
        key == Key(piece.labels["tonic"], piece.labels["mode"]) for key, piece in zip(keys, held_out, strict=True)
    )
    faq = (Path(__file__).parent.parent / "book" / "faq.md").read_text(encoding="utf-8")
    assert f"Of {len(held_out)} sopranos of held-out chorales {right} are taken rightly." in faq


def test_chapter_10_says_what_is_done():
    chapter = (Path(__file__).parent.parent / "notebooks" / "10-our-model.ipynb").read_text(encoding="utf-8")
    assert f"is looked for in {choir_module.FITTING} small steps" in chapter
    words = {8: "eight", 10: "ten"}
    assert f"that sing anew every {words[choir_module.LISTEN_EVERY]} steps" in chapter
    candidates = inspect.signature(accompany).parameters["candidates"].default
    assert f"`accompany` does so {words[candidates]} times" in chapter
    assert f"`accompany` chooses among {words[candidates]} besides" in chapter
