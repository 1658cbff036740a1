"""Voices: what each rule does with tracks, which rule fits, what the user decides, and the reasons that are given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ganmusic.corpora import chorales
from ganmusic.pianoroll import Note, Piece, Track
from ganmusic.voices import FAMILIES, ROLES, Voicing, choose, lines, polyphony, skyline

MELODY = Track("flute 1", tuple(Note(4 * i, 4, 72 + i % 5) for i in range(16)), 73)
ANSWER = Track("bell", (Note(8, 2, 96), Note(40, 2, 91)), 14)
CHORDS = Track("keys", tuple(Note(16 * i, 16, p) for i in range(4) for p in (55, 59, 62)), 0)
BASS = Track("low", tuple(Note(8 * i, 8, 36 + 2 * (i % 3)) for i in range(8)), 33)
DRUMS = Track("kit", tuple(Note(2 * i, 1, 38 if i % 4 else 36) for i in range(32)), is_drum=True)
BAND = Piece((DRUMS, CHORDS, ANSWER, BASS, MELODY))


def arranged(piece: Piece, rule: str, **options: object) -> tuple[dict[str, Track], dict[str, tuple[str, str]]]:
    """The voices by name, and for each track the voice it came to and why."""
    found, said = choose([piece], rule, **options).arrange(piece)  # type: ignore[arg-type]
    return {track.name: track for track in found.tracks}, {a.track: (a.voice, a.why) for a in said}


# Lines ----------------------------------------------------------------------------------------------


def test_the_skyline_is_the_highest_note_at_each_time() -> None:
    notes = [Note(0, 8, 60), Note(2, 2, 67), Note(3, 4, 55), Note(4, 3, 62), Note(4, 3, 59), Note(8, 1, 40)]
    assert skyline(notes) == (Note(0, 2, 60), Note(2, 2, 67), Note(4, 3, 62), Note(8, 1, 40))
    assert skyline([]) == ()


def test_how_many_notes_sound_at_a_time() -> None:
    assert polyphony([]) == 0.0
    assert polyphony([Note(0, 4, 60), Note(10, 2, 61)]) == 1.0
    assert polyphony([Note(0, 4, 60), Note(0, 4, 64), Note(2, 6, 67)]) == pytest.approx((2 * 2 + 3 * 2 + 1 * 4) / 8)


def test_lines_of_a_chorale_are_its_voices() -> None:
    own = total = 0
    for piece in chorales.load()[::6]:
        found = lines([note for track in piece.tracks for note in track.notes], 4)
        for line, track in zip(found, piece.tracks, strict=True):
            starts = {(note.onset, note.pitch) for note in line}
            own += sum((note.onset, note.pitch) in starts for note in track.notes)
            total += len(track.notes)
    assert own / total >= 0.94  # .956 of all chorales when it was written; unisons are in one voice alone


def test_lines_have_one_note_at_a_time_and_lose_only_what_has_no_room() -> None:
    notes = [Note(0, 8, 72), Note(0, 8, 64), Note(0, 8, 60), Note(0, 8, 48), Note(4, 4, 74), Note(8, 2, 47)]
    found = lines(notes, 3)
    assert found[0] == (Note(0, 4, 72), Note(4, 4, 74))
    assert found[1] == (Note(0, 8, 64),)
    assert found[2] == (Note(0, 8, 48), Note(8, 2, 47))  # the 60 had no room: the lowest is kept
    assert lines([], 3) == [(), (), ()]
    assert lines([Note(0, 2, 60), Note(0, 6, 60)], 2)[0] == (Note(0, 6, 60),)


def test_the_rule_of_lines_shares_out_all_pitched_tracks() -> None:
    voices, said = arranged(Piece((DRUMS, CHORDS, MELODY)), "lines", n_tracks=4)
    assert list(voices) == ["soprano", "alto", "tenor", "bass"]
    assert voices["soprano"].notes == MELODY.notes
    assert {note.pitch for note in voices["bass"].notes} == {55}
    assert said["kit"] == ("", "drums have no pitch")
    assert "height among 4 lines" in said["flute 1"][1]


def test_the_rule_of_the_skyline_has_one_voice() -> None:
    voices, said = arranged(Piece((CHORDS, MELODY)), "auto", n_tracks=1)
    assert list(voices) == ["melody"]
    assert voices["melody"].notes == MELODY.notes
    assert said["flute 1"] == ("melody", "the highest notes are the melody")


# Roles ----------------------------------------------------------------------------------------------


def test_roles_by_channel_program_register_and_polyphony() -> None:
    voices, said = arranged(BAND, "roles")
    assert tuple(voices) == ROLES
    assert {name: voice for name, (voice, _) in said.items()} == {
        "kit": "drums", "keys": "chords", "bell": "other", "low": "bass", "flute 1": "melody"
    }  # fmt: skip
    assert said["low"][1] == "program 33 is a bass"
    assert said["flute 1"][1].startswith("single notes, highest of all (mean 74")  # the bell is higher, and too rare
    assert said["keys"][1] == "3.0 notes at a time"
    assert voices["drums"].is_drum
    assert not voices["melody"].is_drum


def test_names_go_before_programs_and_heights() -> None:
    piece = Piece((replace(BASS, name="Lead vocal"), replace(MELODY, name="Chord pad"), ANSWER))
    _, said = arranged(piece, "roles")
    assert said["Lead vocal"] == ("melody", "is named 'Lead vocal'")
    assert said["Chord pad"] == ("chords", "is named 'Chord pad'")
    assert said["bell"][0] == "other"


def test_names_that_say_two_things_or_only_look_so_say_nothing() -> None:
    _, said = arranged(Piece((replace(MELODY, name="bassoon solo chords"), BASS)), "roles")
    assert said["bassoon solo chords"][1].startswith("single notes, highest")
    _, said = arranged(Piece((replace(MELODY, name="bassoon"), BASS)), "roles")
    assert said["bassoon"][0] == "melody"


def test_the_lowest_single_line_is_the_bass_if_it_is_low() -> None:
    _, said = arranged(Piece((MELODY, replace(BASS, program=42))), "roles")
    assert said["low"][0] == "bass"
    high = tuple(note._replace(pitch=note.pitch + 24) for note in BASS.notes)
    _, said = arranged(Piece((MELODY, Track("low", high, 42))), "roles")
    assert said["low"][0] == "other"


def test_a_piano_alone_gives_its_highest_notes_as_the_melody() -> None:
    solo = Track("piano", tuple(sorted([*MELODY.notes, *CHORDS.notes])))
    voices, _ = arranged(Piece((solo,)), "roles")
    assert voices["melody"].notes == MELODY.notes
    assert voices["chords"].notes == CHORDS.notes
    assert not voices["bass"].notes


def test_two_tracks_in_one_voice_sound_a_pitch_once() -> None:
    twice = replace(CHORDS, name="more keys", notes=(Note(0, 20, 55), Note(64, 4, 50)))
    voices, _ = arranged(Piece((MELODY, CHORDS, replace(twice, program=48))), "families")
    assert voices["piano"].notes == CHORDS.notes
    voices, _ = arranged(Piece((MELODY, CHORDS, twice)), "families")
    assert voices["piano"].notes == tuple(sorted([*CHORDS.notes, Note(64, 4, 50)]))


def test_families_by_program() -> None:
    guitar, strings = replace(CHORDS, name="g", program=27), replace(CHORDS, name="s", program=48)
    voices, said = arranged(Piece((MELODY, guitar, BASS, DRUMS, strings, CHORDS)), "families")
    assert tuple(voices) == FAMILIES
    assert {name: voice for name, (voice, _) in said.items()} == {
        "flute 1": "strings", "g": "guitar", "low": "bass", "kit": "drums", "s": "strings", "keys": "piano"
    }  # fmt: skip
    assert said["g"][1] == "program 27"
    assert [voices[name].program for name in FAMILIES] == [0, 0, 24, 33, 48]


# Which rule -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "n_tracks", "rule", "why"),
    [
        ([Piece((MELODY, BASS))] * 4 + [BAND], None, "parts", "4 of 5 pieces have 2 tracks of single notes"),
        ([Piece((MELODY, CHORDS))] * 4 + [BAND], None, "parts", "4 of 5 pieces have the same 2 tracks by name"),
        ([Piece((CHORDS,)), Piece((CHORDS, DRUMS)), BAND], None, "lines", "one or two tracks"),
        ([BAND, Piece((MELODY, CHORDS, DRUMS))], None, "roles", "different tracks"),
        ([BAND, Piece((MELODY, CHORDS, DRUMS))], 5, "roles", "5 voices were asked for"),
        ([Piece((CHORDS,))], 3, "lines", "3 voices were asked for"),
        ([Piece((CHORDS,))], 1, "skyline", "one voice was asked for"),
        ([Piece((MELODY, BASS))], 1, "skyline", "one voice was asked for"),
    ],
)
def test_the_rule_that_fits_and_why(pieces: list[Piece], n_tracks: int | None, rule: str, why: str) -> None:
    voicing = choose(pieces, n_tracks=n_tracks)
    assert voicing.rule == rule
    assert why in voicing.why


def test_parts_are_named_and_heard_as_most_files_have_them() -> None:
    others = Piece((replace(MELODY, name="oboe", program=68), replace(BASS, name="")))
    usual = Piece((MELODY, replace(BASS, name="")))
    voicing = choose([others, usual, usual], "parts")
    assert (voicing.names, voicing.programs, voicing.drums) == (("flute 1", "part 2"), (73, 33), (False, False))
    found, _ = voicing.arrange(others)
    assert [(t.name, t.program, t.notes) for t in found.tracks] == [
        ("flute 1", 73, MELODY.notes), ("part 2", 33, BASS.notes)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="it has 5 tracks, and the corpus has 2"):
        voicing.arrange(BAND)


def test_silent_tracks_do_not_count() -> None:
    silent = Track("silent", ())
    assert choose([Piece((silent, MELODY, silent, BASS))]).names == ("flute 1", "low")


def test_programs_that_were_asked_for() -> None:
    voicing = choose([Piece((CHORDS,))], "lines", n_tracks=3, programs=[40, 41, 42])
    assert (voicing.names, voicing.programs) == (("line 1", "line 2", "line 3"), (40, 41, 42))
    assert [track.program for track in voicing.arrange(Piece((CHORDS,)))[0].tracks] == [40, 41, 42]


# The user decides -----------------------------------------------------------------------------------


def test_a_track_goes_where_the_user_says() -> None:
    voices, said = arranged(BAND, "roles", override={"bell": "melody", "kit": "", "flute 1": "other"})
    assert voices["melody"].notes == ANSWER.notes
    assert voices["other"].notes == MELODY.notes
    assert not voices["drums"].notes
    assert said["bell"] == ("melody", "you said so")
    assert said["kit"] == ("", "you said so")


def test_a_voice_that_the_user_filled_is_not_filled_again() -> None:
    voices, said = arranged(Piece((CHORDS, ANSWER)), "roles", override={"bell": "melody"})
    assert voices["melody"].notes == ANSWER.notes
    assert voices["chords"].notes == CHORDS.notes  # all of it: its highest notes are no second melody
    assert said["keys"][0] == "chords"


def test_a_part_that_rests_in_a_stretch_keeps_its_place() -> None:
    voicing = choose([Piece((MELODY, BASS))], "parts")
    alone = Piece((replace(MELODY, notes=()), BASS))
    for piece in (alone, Piece((BASS,))):
        found, _ = voicing.arrange(piece)
        assert [track.notes for track in found.tracks] == [(), BASS.notes]


def test_the_word_for_one_file_goes_before_the_word_for_all() -> None:
    voicing = choose([BAND], "roles", override={"bell": "melody", "a/one.mid/bell": "chords"})
    for file, voice in (("a/one.mid", "chords"), ("one.mid", "melody"), ("", "melody")):
        said = {a.track: a.voice for a in voicing.arrange(BAND, file)[1]}
        assert said["bell"] == voice


def test_what_the_user_leaves_out_or_places_is_no_part() -> None:
    click = Track("Click", tuple(Note(4 * i, 1, 100) for i in range(16)))
    piece = Piece((click, MELODY, BASS))
    assert choose([piece], override={"Click": ""}).names == ("flute 1", "low")
    voices, said = arranged(piece, "parts", override={"Click": ""})
    assert {name: track.notes for name, track in voices.items()} == {"flute 1": MELODY.notes, "low": BASS.notes}
    assert said["Click"] == ("", "you said so")
    voices, _ = arranged(Piece((MELODY, BASS)), "parts", override={"flute 1": "low"}, n_tracks=2)
    assert not voices["flute 1"].notes  # a track with the name of a voice stays where it is
    assert {note.pitch for note in voices["low"].notes} >= {note.pitch for note in BASS.notes}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "best"}, "no rule is named 'best'; there are auto, parts"),
        ({"n_tracks": 0}, "1 to 8 voices, not 0"),
        ({"n_tracks": 9}, "1 to 8 voices, not 9"),
        ({"rule": "roles", "n_tracks": 4}, "'roles' makes 5 voices, not 4"),
        ({"rule": "lines", "n_tracks": 1}, "for one there is 'skyline'"),
        ({"rule": "roles", "programs": [1, 2]}, "5 voices .* need as many programs from 0 to 127"),
        ({"rule": "skyline", "programs": [128]}, "programs from 0 to 127"),
        ({"rule": "roles", "override": {"x": "lead"}}, "no voice is named 'lead'; there are melody"),
        ({"rule": "parts", "n_tracks": 3}, "no piece has 3 tracks with notes"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose([Piece((MELODY, BASS))], **options)  # type: ignore[arg-type]


def test_nothing_to_choose_by_and_nothing_left() -> None:
    with pytest.raises(ValueError, match="no piece"):
        choose([])
    with pytest.raises(ValueError, match="9 tracks are more parts"):
        choose([Piece(tuple(replace(BASS, name=str(i)) for i in range(9)))], "parts")
    only_drums = Voicing("skyline", ("melody",), (0,), (False,))
    with pytest.raises(ValueError, match="none of its tracks is in a voice"):
        only_drums.arrange(Piece((DRUMS,)))


def test_single_lines_and_drums_alone_are_parts() -> None:
    assert choose([Piece((MELODY,))] * 5).rule == "parts"
    assert choose([Piece((DRUMS,))] * 5).rule == "parts"
    assert choose([Piece((CHORDS,))] * 5).rule == "lines"
    many = Piece(tuple(replace(DRUMS, name=f"kit {i}") for i in range(9)))
    assert choose([many] * 5).rule == "roles"


def test_a_track_can_be_named_by_its_number() -> None:
    twins = Piece((replace(MELODY, name="x"), replace(BASS, name="x")))
    voicing = choose([twins], "roles", override={"#2": "other", "a.mid/#2": "chords"})
    for file, voice in (("a.mid", "chords"), ("b.mid", "other")):
        found, said = voicing.arrange(twins, file)
        assert {track.name: track.notes for track in found.tracks}[voice] == BASS.notes
        assert [(a.number, a.voice) for a in said] == [(1, "melody"), (2, voice)]
