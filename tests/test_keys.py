"""Keys: as the analysed chorales have them, moving with the music, none where there is none; names of keys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganmusic.corpora import chorales
from ganmusic.keys import PITCH_CLASSES, Chord, Key, common_shift, estimate_key, parse_chords, parse_key
from ganmusic.pianoroll import Note, Piece, Track, transpose

CHORALES = chorales.load()
DRUMS = Track("drums", tuple(Note(i, 1, 36 + i % 7) for i in range(40)), is_drum=True)


def test_the_keys_of_the_chorales() -> None:
    found = [estimate_key(piece) for piece in CHORALES]
    right = [key == (piece.tonic, piece.mode) for key, piece in zip(found, CHORALES, strict=True)]
    assert len(right) == 363
    assert np.mean(right) >= 0.98  # .986 when it was written


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 362), st.integers(-24, 24))
def test_transposition_moves_the_tonic_by_as_much(number: int, semitones: int) -> None:
    before, after = (estimate_key(transpose(CHORALES[number], n)) for n in (0, semitones))
    assert before is not None
    assert after == ((before.tonic + semitones) % 12, before.mode)


def test_drums_do_not_matter() -> None:
    piece = CHORALES[0]
    assert estimate_key(Piece((*piece.tracks, DRUMS))) == estimate_key(piece)


@pytest.mark.parametrize(
    "notes",
    [(), (Note(0, 4, 60), Note(4, 4, 72)), tuple(Note(i, 1, 60 + i) for i in range(12))],
    ids=["nothing", "one pitch class", "all twelve alike"],
)
def test_where_notes_say_nothing_there_is_no_key(notes: tuple[Note, ...]) -> None:
    assert estimate_key(Piece((Track("a", notes), DRUMS))) is None


def test_the_last_bass_note_decides_between_relatives() -> None:
    # The notes of C major and A minor, all alike.
    notes = [Note(4 * i, 4, 60 + p) for i, p in enumerate((0, 2, 4, 5, 7, 9, 11))]
    for last, key in ((36, "C major"), (33, "A minor")):
        upper = Track("upper", tuple(notes))
        assert str(estimate_key(Piece((upper, Track("bass", (Note(28, 1, last),)))))) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("D minor", "D minor"), ("F# major", "F# major"), ("Bb", "Bb major"), ("am", "A minor"), ("a", "A minor"),
        ("Gb:maj", "F# major"), ("C♯ min", "C# minor"), (" e♭-minor ", "Eb minor"), ("Cb", "B major"),
        ("CM", "C major"), ("b", "B minor"), ("bb", "Bb minor"), ("B#m", "C minor"),
    ],
)  # fmt: skip
def test_names_of_keys(text: str, key: str) -> None:
    assert str(parse_key(text)) == key


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("mode", ["major", "minor"])
def test_a_key_is_read_back_from_its_name(tonic: int, mode: str) -> None:
    assert parse_key(str(Key(tonic, mode))) == (tonic, mode)
    assert len(set(PITCH_CLASSES)) == 12


@pytest.mark.parametrize("text", ["", "H", "C##", "D dorian", "minor", "C minor!", "12"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a key; 'D minor'"):
        parse_key(text)


@pytest.mark.parametrize(
    ("text", "chords"),
    [
        ("C | Am | F | G7", ["C", "Am", "F", "G"]), ("| F#m | Bb |", ["F#m", "Bb"]), ("Dm7/G", ["Dm"]),
        ("Ebmaj7|Abmin|G♯-|CM7", ["Eb", "Abm", "Abm", "C"]), ("Cmaj | Dmin9 | Em6 | Cb", ["C", "Dm", "Em", "B"]),
    ],
)  # fmt: skip
def test_chords_are_read_one_a_bar(text: str, chords: list[str]) -> None:
    assert [str(chord) for chord in parse_chords(text)] == chords


def test_a_chord_knows_its_notes() -> None:
    assert Chord(9, True).pitch_classes == (9, 0, 4)
    assert Chord(11, False).pitch_classes == (11, 3, 6)


@pytest.mark.parametrize(
    ("text", "bar"), [("", "bar 1, ''"), ("C | H", "bar 2, 'H'"), ("C | | G", "bar 2, ''"), ("Cdim", "bar 1, 'Cdim'")]
)
def test_what_is_no_chord_is_refused_with_its_bar(text: str, bar: str) -> None:
    with pytest.raises(ValueError, match=f"{bar}, is not a chord; major and minor ones"):
        parse_chords(text)


def test_two_chords_in_a_bar_are_told_to_part() -> None:
    with pytest.raises(ValueError, match=r"bar 1, 'C Am', is not a chord \(one chord a bar: write | between bars\)"):
        parse_chords("C Am | F")


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("C | Am | F | G7", 0), ("D | Bm | G | A7", -2), ("Am | Dm | E | Am", 0), ("F#m | C#m", 3), ("G", 5),
        ("F | G", 0), ("Eb | Ab | Bb7 | Eb", -3),
    ],
)  # fmt: skip
def test_chords_move_to_the_common_key(text: str, shift: int) -> None:
    assert common_shift(parse_chords(text)) == shift
