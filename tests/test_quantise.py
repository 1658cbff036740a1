"""Time: metres, constant delays, what is off the grid, performances on annotated beats, and what is too much."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganmusic import midi, quantise
from ganmusic.quantise import Music, MusicFileError, Part, lay_on_grid, off_grid, on_beats, phase, regular, sections

Q = 480  # ticks in a quarter note


def music(*events: tuple[float, float, int], **fields: object) -> Music:
    """Music of one part; starts and ends in quarter notes."""
    rows = np.array([(round(a * Q), round(b * Q), p) for a, b, p in events], dtype=np.int64).reshape(-1, 3)
    return Music([Part("a", rows)], Q, **fields)  # type: ignore[arg-type]


def at(*onsets: float) -> Music:
    """Short notes that begin at these quarter notes."""
    return music(*((onset, onset + 0.1, 60 + i % 12) for i, onset in enumerate(onsets)))


def events(one: Music) -> list[list[float]]:
    return [[start / one.ticks, end / one.ticks, pitch] for start, end, pitch in one.parts[0].events.tolist()]


# Metres ---------------------------------------------------------------------------------------------


def test_music_is_cut_where_its_metre_changes() -> None:
    whole = music(
        *((0, 1, 60), (7, 9, 62), (8, 9, 64), (12.5, 13, 65)),
        metre_changes=((8 * Q, 3, 4), (11 * Q, 6, 8), (99 * Q, 2, 4)),
    )
    first, second, third = sections(whole)
    assert [one.metre for one in (first, second, third)] == [(4, 4), (3, 4), (6, 8)]
    assert events(first) == [[0, 1, 60], [7, 8, 62]]  # the note over the cut ends there
    assert events(second) == [[0, 1, 64]]
    assert events(third) == [[1.5, 2, 65]]
    assert not any(one.metre_changes for one in (first, second, third))
    assert events(whole)[1] == [7, 9, 62]


def test_a_metre_said_again_cuts_only_off_a_bar_line() -> None:
    notes = ((0, 1, 60), (9, 10, 62))
    assert len(sections(music(*notes, metre_changes=((8 * Q, 4, 4),)))) == 1
    assert len(sections(music(*notes, metre_changes=((7 * Q, 4, 4),)))) == 2
    assert len(sections(music(*notes, pickup=3 * Q, metre_changes=((7 * Q, 4, 4),)))) == 1
    assert len(sections(music(*notes, pickup=3 * Q, metre_changes=((8 * Q, 4, 4),)))) == 2


def test_only_the_first_stretch_has_the_pickup() -> None:
    whole = music((0, 1, 60), (1, 2, 62), (9, 10, 64), pickup=Q, metre_changes=((9 * Q, 3, 4),))
    assert [(one.metre, one.pickup) for one in sections(whole)] == [((4, 4), Q), ((3, 4), 0)]


def test_each_stretch_has_its_own_tempo() -> None:
    tempos = ((0, 90.0), (8 * Q, 140.0), (10 * Q, 60.0))
    whole = music(
        (0, 1, 60), (9, 10, 62), (12, 13, 64), quarters_a_minute=90.0, tempos=tempos, metre_changes=((8 * Q, 3, 4),)
    )
    first, second = sections(whole)
    assert (first.quarters_a_minute, second.quarters_a_minute) == (90.0, 140.0)
    assert second.tempos == ((0, 140.0), (2 * Q, 60.0))


def test_a_stretch_without_notes_is_left_out() -> None:
    assert sections(music(metre_changes=((4 * Q, 3, 4),))) == []
    whole = music((20, 21, 60), metre_changes=((4 * Q, 3, 4), (7 * Q, 5, 4)))
    assert [(one.metre, events(one)) for one in sections(whole)] == [((5, 4), [[13, 14, 60]])]


def test_countless_stretches_are_refused() -> None:
    changes = tuple((i * Q, 3 + i % 2, 4) for i in range(1, quantise.MAX_SECTIONS + 1))
    with pytest.raises(ValueError, match="changes its metre 1,001 times"):
        sections(music((0, 1, 60), metre_changes=changes))


# Constant delays, and what is off the grid ----------------------------------------------------------


@pytest.mark.parametrize("late", [-0.11, -0.03, 0.0, 0.05, 0.12])  # quarter notes; a sixteenth is 0.25
def test_a_constant_delay_is_found_and_taken_away(late: float) -> None:
    straight = at(1, 1.25, 2, 3.75, 5, 6.5, 7)
    moved = straight.moved(round(late * Q))
    assert phase(moved) == pytest.approx(round(late * Q), abs=1e-6)
    assert events(moved.moved(-round(phase(moved)))) == events(straight)


def test_half_a_step_early_and_half_a_step_late_are_one_place() -> None:
    both = at(1.12, 2.13, 3.12, 4.13)
    assert abs(phase(both)) == pytest.approx(0.125 * Q, abs=2)


@pytest.mark.parametrize(
    "onsets",
    [
        [i / 3 for i in range(24)],
        [i + swing for i in range(8) for swing in (0, 2 / 3)],
        [i + 2 / 3 for i in range(8)] + [float(i) for i in range(12)],
        [],
    ],
    ids=["triplets", "swing", "swing and beats", "nothing"],
)
def test_rhythms_of_three_are_not_taken_for_a_delay(onsets: list[float]) -> None:
    assert phase(at(*onsets)) == 0.0


def test_a_performance_has_no_constant_delay() -> None:
    assert phase(at(*np.random.default_rng(1).uniform(0, 100, 400))) == 0.0


def test_drums_do_not_decide_about_the_delay() -> None:
    late = at(0.05, 1.05, 2.05)
    drums = Part("drums", np.array([(t * Q + 60, t * Q + 80, 36) for t in range(40)]), is_drum=True)
    assert phase(Music([*late.parts, drums], Q)) == pytest.approx(0.05 * Q)
    assert phase(Music([drums], Q)) != 0.0


def test_no_note_is_moved_to_before_the_start() -> None:
    assert events(music((0.1, 1, 60), (2, 3, 62)).moved(-Q)) == [[0, 0, 60], [1, 2, 62]]


def test_off_the_grid() -> None:
    assert off_grid(at(0, 0.25, 1.5, 2.74, 3.03)) == (0.0, 0.0)
    assert off_grid(at(0, 1 / 3, 2 / 3, 1.0, 1 + 1 / 6, 1.5)) == (0.0, pytest.approx(3 / 6))
    assert off_grid(at(0, 1.1, 2, 3, 4)) == (pytest.approx(1 / 5), 0.0)
    assert off_grid(at()) == (0.0, 0.0)


def test_onsets_at_random_places() -> None:
    off, triplets = off_grid(at(*np.random.default_rng(2).uniform(0, 1000, 5000)))
    assert off == pytest.approx(0.44, abs=0.03)
    assert triplets == pytest.approx(0.16, abs=0.03)


# Performances ---------------------------------------------------------------------------------------


def performed(notated: Music, beats: np.ndarray) -> Music:
    """Play music with its beats at these seconds, in a file whose own tempo says nothing about it."""
    seconds = [
        (np.interp(a, range(len(beats)), beats), np.interp(b, range(len(beats)), beats), p)
        for a, b, p in events(notated)
    ]
    rows = np.array([(round(a * 2 * Q), round(b * 2 * Q), p) for a, b, p in seconds])  # 120 a minute
    return Music([Part("a", rows)], Q)


RUBATO = np.cumsum([0.8, *(0.5 + 0.2 * np.sin(np.arange(23)))])  # seconds; the first beat comes late
NOTATED = ((4, 5, 60), (5, 5.25, 62), (5.25, 7, 64), (7, 8.5, 65), (9.75, 12, 67), (13, 14, 69))


def steps(one: Music) -> list[tuple[int, ...]]:
    return [tuple(note) for note in lay_on_grid(one, None, "x").tracks[0].notes]


def test_a_performance_comes_back_as_it_was_notated() -> None:
    played = performed(music(*NOTATED), RUBATO)
    assert steps(played) != steps(music(*NOTATED))
    found = on_beats(played, RUBATO, [0, 4, 8, 12, 16])
    assert [(o, d, p) for o, d, p in steps(found)] == [(o - 16, d, p) for o, d, p in steps(music(*NOTATED))]
    assert (found.metre, found.pickup, found.metre_changes) == ((4, 4), 0, ())
    assert found.quarters_a_minute == pytest.approx(60 / np.median(np.diff(RUBATO)))


def test_a_performance_with_a_pickup() -> None:
    found = on_beats(performed(music(*NOTATED), RUBATO), RUBATO, [1, 5, 9, 13])  # its first note is a beat before a bar
    assert found.pickup == found.ticks
    assert lay_on_grid(found, None, "x").pickup == 4
    assert [n - 12 for n, *_ in steps(found)] == [n - 16 for n, *_ in steps(music(*NOTATED))]


def test_beats_that_begin_late_and_end_early_go_on_evenly() -> None:
    even = np.arange(40) * 0.7
    notated = music(*NOTATED)
    found = on_beats(performed(notated, even), even[6:9], [2])  # bar lines at 8, 4, 0
    assert [(o, d) for o, d, _ in steps(found)] == [(o - 16, d) for o, d, _ in steps(notated)]


def test_beats_in_another_metre_and_its_changes() -> None:
    even = np.arange(24) * 0.6
    played = performed(music((3, 4, 60), (6, 7, 62), (9, 10, 64), (13, 14, 65)), even)
    found = on_beats(played, even, [0, 3, 6, 9, 13, 17])  # 3 + 3 + 3 + 4 + 4
    assert [(one.metre, events(one)) for one in sections(found)] == [
        ((3, 4), [[0, 1, 60], [3, 4, 62]]),
        ((4, 4), [[0, 1, 64], [4, 5, 65]]),
    ]
    late = on_beats(performed(music((13, 14, 65), (17, 18, 67)), even), even, [0, 3, 6, 9, 13, 17])
    assert (late.metre, events(late)) == ((4, 4), [[0, 1, 65], [4, 5, 67]])


def test_beats_that_change_their_metre_after_a_pickup() -> None:
    even = np.arange(24) * 0.6
    played = performed(music((2, 3, 60), (3, 4, 62), (9, 10, 64), (13, 14, 65)), even)
    first, second = sections(on_beats(played, even, [3, 6, 9, 13, 17]))  # 1 + 3 + 3 + 4 + 4
    assert (first.metre, first.pickup, events(first)) == ((3, 4), first.ticks, [[0, 1, 60], [1, 2, 62]])
    assert (second.metre, second.pickup, events(second)) == ((4, 4), 0, [[0, 1, 64], [4, 5, 65]])


def test_without_downbeats_the_metre_stays() -> None:
    even = np.arange(24) * 0.6
    played = replace(performed(music((3, 4, 60), (6, 7, 62)), even), metre=(6, 8))
    found = on_beats(played, even)
    assert (found.metre, events(found), found.pickup) == ((6, 8), [[0, 1, 60], [3, 4, 62]], 0)


def test_beats_follow_the_tempos_of_the_file() -> None:
    slow = music((0, 1, 60), (2, 3, 62), (4, 5, 64), tempos=((0, 60.0), (2 * Q, 120.0)))  # at 0, 2, 3 seconds
    assert [start for start, *_ in events(on_beats(slow, [0, 1, 2, 3, 4]))] == [0, 2, 3]


@pytest.mark.parametrize(
    ("beats", "downbeats"),
    [
        ([], None), ([1.0], None), ([1.0, 1.0], None), ([2.0, 1.0], None), ([0.0, float("nan")], None),
        ([0.0, float("inf")], None), ([0.0, 1.0], []), ([0.0, 1.0], [2]), ([0.0, 1.0], [-1]), ([0.0, 1.0], [1, 0]),
        ([5.0, 5.0000001], None), (np.arange(99) / 9, [0, 70]),
    ],
)  # fmt: skip
def test_beats_that_are_none_are_refused(beats: list[float], downbeats: list[int] | None) -> None:
    with pytest.raises(ValueError, match="beats"):
        on_beats(at(0, 1, 20), beats, downbeats)


# Files ----------------------------------------------------------------------------------------------


def chunk(*parts: bytes) -> bytes:
    body = b"".join(parts) + b"\x00\xff\x2f\x00"
    return b"MThd" + bytes([0, 0, 0, 6, 0, 1, 0, 1, 1, 0xE0]) + b"MTrk" + len(body).to_bytes(4, "big") + body


def test_what_a_file_says(tmp_path: Path) -> None:
    path = tmp_path / "x.mid"
    path.write_bytes(
        chunk(
            b"\x00\xff\x03\x05Oboe\xc3",  # a name that is cut inside a letter
            b"\x00\xff\x51\x03\x07\xa1\x20\x00\xff\x58\x04\x03\x02\x18\x08",  # 120 a minute, 3/4
            b"\x00\xc0\x44\x00\x90\x3c\x40\x83\x60\x80\x3c\x00",  # a quarter note
            b"\x87\x40\xff\x51\x03\x0f\x42\x40\x00\xff\x58\x04\x06\x03\x18\x08",  # at 3 quarters 60 a minute and 6/8
            b"\x00\x90\x3e\x40\x83\x60\x80\x3e\x00",
        )
    )
    found = midi.read_music(path)
    assert events(found) == [[0, 1, 60], [3, 4, 62]]
    assert (found.ticks, found.metre, found.pickup, found.quarters_a_minute) == (Q, (3, 4), 0, 120.0)
    assert found.metre_changes == ((3 * Q, 6, 8),)
    assert found.tempos == ((0, 120.0), (3 * Q, 60.0))
    assert found.parts[0].program == 0x44


def test_too_many_tracks_and_notes_are_refused() -> None:
    quantise.check_size([1] * quantise.MAX_TRACKS, "x")
    quantise.check_size([quantise.MAX_NOTES], "x")
    with pytest.raises(MusicFileError, match="1,001 tracks"):
        quantise.check_size([1] * (quantise.MAX_TRACKS + 1), "x")
    with pytest.raises(MusicFileError, match="400,001 notes"):
        quantise.check_size([quantise.MAX_NOTES, 1], "x")


EVENTS = {
    "tempo": (b"", b"\x01\xff\x51\x03\x07\xa1\x20"),
    "metre": (b"", b"\x01\xff\x58\x04\x03\x02\x18\x08"),
    "note": (b"\x00\x90\x40\x50", b"\x01\x40\x00\x00\x40\x50"),
    "marker": (b"", b"\x01\xff\x06\x01a"),
    "lyric": (b"", b"\x01\xff\x05\x01a"),
    "bend": (b"\x00\xe0\x01\x40", b"\x00\x01\x40"),
}
READ = """
import pathlib, re, resource, sys
from ganmusic import midi
for path in sys.argv[1:]:
    try:
        print(len(midi.read_music(path).parts))
    except midi.MusicFileError as error:
        print(error)
status = pathlib.Path("/proc/self/status")
if status.exists():  # what getrusage says includes the process that started this one
    print(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1])
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_large_files_of_one_kind_of_event_take_little_memory(tmp_path: Path) -> None:
    paths = []
    for name, (head, event) in EVENTS.items():
        paths.append(tmp_path / f"{name}.mid")
        paths[-1].write_bytes(chunk(head, event * ((quantise.MAX_BYTES - 100) // len(event))))
    done = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True, timeout=60, check=True)
    *said, peak = done.stdout.splitlines()
    assert len(said) == len(EVENTS)
    assert all("file is damaged" in line or "notes are more" in line for line in said[:-1])
    assert said[-1] == "0"
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(peak) * unit < 300e6


# What is said of moments ----------------------------------------------------------------------------


def test_marks_go_where_the_notes_go() -> None:
    # A chord a second at 120 quarter notes a minute: every second quarter note, whatever is done to the notes.
    whole = replace(
        music((0, 1, 60), (2, 3, 62), (4, 5, 64), (6, 7, 65), (8, 9, 67)), metre_changes=((4 * Q, 3, 4),)
    ).marked("chords", [(0.0, "C"), (1.0, "Dm"), (3.0, "F"), (4.0, "G")])
    assert [(tick // Q, value) for tick, _, value in whole.marks] == [(0, "C"), (2, "Dm"), (6, "F"), (8, "G")]
    first, second = (lay_on_grid(part, None, "x").labels["chords"] for part in sections(whole))
    assert first == [[0, "C"], [8, "Dm"]]
    assert second == [[0, "Dm"], [8, "F"], [16, "G"]]  # what held before the cut goes on holding
    late = whole.moved(3 * Q)
    assert [tick // Q for tick, _, _ in late.marks] == [3, 5, 9, 11]


def test_marks_are_put_on_beats_with_the_notes() -> None:
    played = music((0, 1, 60), (2, 3, 62), (4, 5, 64)).marked("chords", [(1.0, "Dm"), (2.0, "F")])
    # Beats of half the speed: the note at quarter note 2 (one second) lies on beat 1.
    slow = on_beats(played, [0.0, 1.0, 2.0, 3.0], [0])
    piece = lay_on_grid(slow, None, "x")
    assert [note.onset for note in piece.tracks[0].notes] == [0, 4, 8]
    assert piece.labels["chords"] == [[4, "Dm"], [8, "F"]]


def test_of_what_is_said_of_one_step_the_last_holds() -> None:
    piece = lay_on_grid(music((0, 1, 60)).marked("chords", [(0.0, "N"), (0.01, "C")]), None, "x")
    assert piece.labels["chords"] == [[0, "C"]]


def test_regular_places_are_those_that_notation_holds() -> None:
    for per_quarter in (4, 8, 12, 5, 7):
        assert regular(at(*(i / per_quarter for i in range(4 * per_quarter)))) == 1.0
    random = np.random.default_rng(0).uniform(0, 4000, 4000)
    assert 0.52 < regular(at(*random)) < 0.58


def test_a_finer_grid_has_less_off_it() -> None:
    thirty_seconds = at(*(i / 8 for i in range(64)))
    assert off_grid(thirty_seconds)[0] == 0.5
    assert off_grid(thirty_seconds, 8) == (0.0, 0.0)
    triplets = at(*(i / 3 for i in range(24)))
    assert off_grid(triplets)[1] > 0.5
    assert off_grid(triplets, 3) == (0.0, 0.0)
