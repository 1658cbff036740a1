"""Fuzz target: what a hostile music file can do, tried with as many damaged and crafted files as one likes.

    python tests/fuzz_files.py --n 10000 --seed 0 --format midi
    python tests/fuzz_files.py --n 10000 --seed 0 --format musicxml

Each file is made here, from a seed and a number, and read in another process, so that a crash or a hang is
seen and survived. Reading must give a piece or a `MusicFileError`; what is read must make a roll and be
written again. More than a second of work, more than 300 MB of memory, a word on the standard streams, a
connection or a file left behind is a failure. What failed is kept beside the log, to be read again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganmusic.quantise import MAX_BYTES

SECONDS = 1.0
"""Most seconds of work for a file of ordinary size."""
LARGE = 100_000
"""Bytes of score (unpacked) from which the honest work of reading it may take longer, up to ten times `SECONDS`."""
MEGABYTES = 300
"""Most memory of the reading process, all its libraries included."""
HANG = 60.0
"""Seconds of wall clock after which a reader is given up: on a crowded machine many times its work."""
CANARY = "canary-of-the-fuzz-target"


@dataclass
class Result:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    slowest_small: tuple[float, str] = (0.0, "")
    megabytes: float = 0.0


# Seeds ----------------------------------------------------------------------------------------------


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """Small whole files of both formats, as `ganmusic` writes them: chords, drums, pickups, several metres."""
    from ganmusic import midi
    from ganmusic.pianoroll import Grid, Note, Piece, Track

    pieces = [
        Piece((Track("a", (Note(0, 4, 60),)),)),
        Piece(
            (
                Track("soprano", (Note(12, 2, 61), Note(14, 2, 61), Note(16, 5, 63), Note(21, 30, 65)), 52),
                Track("silent", (), 33),
                Track("bäss", (Note(12, 4, 48), Note(12, 8, 52), Note(30, 3, 40)), 70),
                Track("drums", (Note(16, 1, 36), Note(17, 1, 36)), is_drum=True),
            ),
            tempo=90.5,
            title="T <é> & co",
            pickup=4,
        ),
        Piece((Track("waltz", tuple(Note(2 * i, 3, 50 + 7 * i % 31) for i in range(20))),), Grid(12, 3), 200.0),
        Piece(
            (Track("jig", (Note(1, 2, 70), Note(3, 1, 72))), Track("b", (Note(0, 12, 33),), 32)),
            Grid(12, 6, 24, 72),
            pickup=0,
            labels={"time_signature": "6/8"},
        ),
        Piece((Track("triplets", tuple(Note(i, 1, 60 + i % 5) for i in range(24))),), Grid(12, 4), 61.0),
        Piece((Track("chords", tuple(Note(8 * i, 8, 48 + p) for i in range(4) for p in (0, 4, 7, 10))),)),
    ]
    found: dict[str, list[bytes]] = {"midi": [], "musicxml": []}
    for piece in pieces:
        for name, kind in (("seed.mid", "midi"), ("seed.xml", "musicxml")):
            midi.write(piece, folder / name)
            found[kind].append((folder / name).read_bytes())
            (folder / name).unlink()
    found["midi"] += [crafted(random.Random(0)) for crafted in (running_status, overlaps)]
    found["musicxml"] += [score(piano()), score(engraved())]
    return found


# MIDI -----------------------------------------------------------------------------------------------


def number(value: int) -> bytes:
    """Write a number as MIDI does: 7 bits a byte, the last byte without a top bit."""
    groups = [value & 127]
    while value := value >> 7:
        groups.append(value & 127 | 128)
    return bytes(reversed(groups))


def chunk(body: bytes, name: bytes = b"MTrk", lie: int = 0) -> bytes:
    """A chunk, whose stated length may lie."""
    return name + struct.pack(">I", max(0, len(body) + lie) & 0xFFFFFFFF) + body


def header(kind: int = 1, n_tracks: int = 1, division: int = 480, length: int = 6) -> bytes:
    """The header of a MIDI file."""
    return struct.pack(">4sIHHH", b"MThd", length, kind, n_tracks, division & 0xFFFF)


END = b"\x00\xff\x2f\x00"
NOTE = b"\x00\x90\x3c\x50\x60\x80\x3c\x00"


def crafted_header(chance: random.Random) -> bytes:
    """Formats, track counts, resolutions and chunk lengths that are not so."""
    division = chance.choice([0, 1, 2, 3, 24, 480, 0x7FFF, 0x8000, 0xE728, 0xFFFF, 0xE200])
    tracks = b"".join(
        chunk(NOTE * chance.randint(0, 9) + END, lie=chance.choice([0, 0, 0, -3, 5, 10**6, 2**31, 2**32 - 50]))
        for _ in range(chance.randint(0, 4))
    )
    length = chance.choice([6, 6, 6, 0, 1, 8, 2**31, 2**32 - 1])
    return header(chance.choice([0, 1, 2, 3, 65535]), chance.choice([0, 1, 2, 65535]), division, length) + tracks


def running_status(chance: random.Random) -> bytes:
    """Notes without status bytes, whose ends are notes of no velocity; times of every size."""
    body = b"\x00\x90"
    for i in range(chance.randint(1, 60)):
        body += (b"" if i == 0 else number(chance.choice([0, 1, 119, 120, 480, 2**14]))) + bytes(
            [chance.randrange(128), chance.choice([0, 80])]
        )
    return header() + chunk(body + END)


def overlaps(chance: random.Random) -> bytes:
    """Notes of one pitch that begin, overlap and never end, on many channels and programs."""
    body = b""
    for _ in range(chance.randint(1, 80)):
        channel = chance.randrange(16)
        status = chance.choice([0x80, 0x90, 0x90, 0xC0]) | channel
        values = bytes([chance.randrange(128)]) if status >> 4 == 0xC else bytes([chance.choice([0, 60, 61, 127]), 64])
        body += number(chance.choice([0, 0, 60, 480])) + bytes([status]) + values
    return header() + chunk(body + END)


def huge_times(chance: random.Random) -> bytes:
    """Pauses that make clocks overflow."""
    body = b""
    for _ in range(chance.randint(1, 40)):
        delta = number(chance.choice([0, 1, 0xFFFFFFF, 0x7FFFFFF, 10**7]))
        if chance.random() < 0.05:
            delta = b"\xff" * chance.randint(4, 12) + b"\x7f"
        body += delta + chance.choice([b"\x90\x3c\x40", b"\x80\x3c\x00", b"\xff\x51\x03\x07\xa1\x20"])
    return header(division=chance.choice([1, 480, 0x7FFF])) + chunk(body + END)


def odd_metres_and_tempos(chance: random.Random) -> bytes:
    """Time signatures, tempos and keys from one end of a byte to the other."""
    body = b""
    for _ in range(chance.randint(1, 60)):
        byte = lambda: bytes([chance.choice([0, 1, 2, 3, 4, 5, 6, 7, 63, 64, 65, 127, 128, 255])])  # noqa: E731
        body += number(chance.choice([0, 0, 1, 240, 480, 1920])) + chance.choice(
            [
                b"\xff\x58\x04" + byte() + byte() + b"\x18\x08",
                b"\xff\x58\x01" + byte(),
                b"\xff\x51\x03" + byte() + byte() + byte(),
                b"\xff\x59\x02" + byte() + byte(),
                b"\xff\x06" + number(7) + b"title: \xff"[:7],
                b"\x90\x3c\x40",
                b"\x80\x3c\x00",
            ]
        )
    return header(division=chance.choice([1, 96, 480])) + chunk(body + NOTE + END)


def many_tracks(chance: random.Random) -> bytes:
    """Thousands of tracks."""
    n = chance.choice([500, 3000, 20_000])
    bar = chance.choice([b"", NOTE, number(480 * 4000) + NOTE[1:]])
    return header(n_tracks=n & 0xFFFF) + chunk(bar + END) * n


def large_midi(chance: random.Random) -> bytes:
    """One kind of event, up to the largest file that is read."""
    size = chance.choice([1_000_000, MAX_BYTES - 1000, MAX_BYTES - 1000])
    event = chance.choice(
        [
            b"\x00\xff\x51\x03\x07\xa1\x20",  # tempos at one time
            b"\x01\xff\x51\x03\x07\xa1\x20",  # tempos one after the other
            b"\x01\xff\x58\x04\x03\x02\x18\x08",  # metres
            b"\x00\xff\x06\x00",  # markers
            b"\x00\xff\x06\x08title: x",
            b"\x00\xff\x05\x00",  # lyrics
            b"\x01\xff\x59\x02\x00\x00",  # keys
            b"\x00\x90\x3c\x40\x01\x80\x3c\x40",  # notes
            b"\x01\xb0\x40\x7f\x01\x40\x00",  # the pedal
            b"\x00\xe0\x00\x40",  # bends
            b"\x00\xc0\x05",  # programs
            b"\x00\x90\x3c\x40",  # notes that never end
            b"\x00\xf0\x01\xf7",  # system exclusive
        ]
    )
    return header() + chunk(NOTE + event * (size // len(event)) + END)


def mutated_midi(chance: random.Random, parents: list[bytes]) -> bytes:
    """A whole file with flipped bits, lost, doubled and exchanged stretches and chunks, or a cut end."""
    copy = bytearray(chance.choice(parents))
    for _ in range(chance.randint(1, 8)):
        damage(copy, chance, parents, [m.start() for m in re.finditer(b"MT[hr][dk]", bytes(copy))] or [0])
    return bytes(copy[: chance.randrange(len(copy) + 1)] if chance.random() < 0.15 else copy)


def damage(copy: bytearray, chance: random.Random, parents: list[bytes], joints: list[int]) -> None:
    """Damage a file in one place; `joints` are where its chunks or elements begin."""
    if not copy:
        return
    at = chance.randrange(len(copy))
    kind = chance.randrange(8)
    if kind == 0:
        copy[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
    elif kind == 1:
        copy[at] ^= 1 << chance.randrange(8)
    elif kind == 2:
        del copy[at : at + chance.randint(1, 9)]
    elif kind == 3:
        copy[at:at] = copy[at : at + chance.randint(1, 30)] * chance.choice((1, 2, 50))
    elif kind == 4:
        copy[at : at + 4] = struct.pack(">I", chance.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000)))
    elif kind == 5:  # splice another file in
        other = chance.choice(parents)
        copy[at:] = other[chance.randrange(len(other)) :]
    elif kind == 6:  # a chunk twice
        begin = chance.choice(joints)
        copy[begin:begin] = copy[begin : min((j for j in joints if j > begin), default=len(copy))]
    else:  # a chunk lost
        begin = chance.choice(joints)
        del copy[begin : min((j for j in joints if j > begin), default=len(copy))]


def midi_file(chance: random.Random, parents: list[bytes], index: int) -> bytes:
    """The file of a number: mostly mutants, and every kind of crafted one; large ones are rare."""
    if index % 500 == 499:
        return large_midi(chance)
    if index % 250 == 124:
        return many_tracks(chance)
    if index % 3:
        return mutated_midi(chance, parents)
    kinds = (crafted_header, running_status, overlaps, huge_times, odd_metres_and_tempos)
    return chance.choice(kinds)(chance)


# MusicXML -------------------------------------------------------------------------------------------


def score(measures: str, *, before: str = "", parts: str = "", version: str = ' version="4.0"') -> bytes:
    """A score of one part."""
    return (
        f'<?xml version="1.0"?>{before}<score-partwise{version}><part-list><score-part id="P1">'
        f"<part-name>a</part-name></score-part>{parts}</part-list>"
        f'<part id="P1">{measures}</part></score-partwise>'
    ).encode()


def note(step: str = "C", octave: Any = 4, duration: Any = 1, more: str = "") -> str:
    """A note."""
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration>{more}</note>"


def measure(content: str, n: Any = 1) -> str:
    """A measure."""
    return f'<measure number="{n}">{content}</measure>'


def attributes(divisions: Any = 2, beats: Any = 4, unit: Any = 4, more: str = "") -> str:
    """Divisions and a time signature."""
    time = f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
    return f"<attributes><divisions>{divisions}</divisions>{time}{more}</attributes>"


def piano() -> str:
    """A part of two staves, two voices, ties and a backup."""
    upper = note("E", 5, 4, '<tie type="start"/><voice>1</voice><staff>1</staff>')
    held = note("E", 5, 8, '<tie type="stop"/><voice>1</voice><staff>1</staff>')
    lower = note("C", 3, 8, "<voice>2</voice><staff>2</staff>")
    back = "<backup><duration>8</duration></backup>"
    first = attributes(more="<staves>2</staves>") + upper + upper + back + lower
    return measure(first) + measure(held + back + lower, 2)


def engraved() -> str:
    """All that is written around notes: grace notes, tuplets, repeats, directions, chord symbols, lyrics."""
    triplet = (
        "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes></time-modification>"
        '<notations><tuplet type="start"/><slur type="start" number="1"/></notations><lyric><text>la</text></lyric>'
    )
    return measure(
        attributes(6, 3, 4, "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>")
        + "<direction><direction-type><metronome><beat-unit>quarter</beat-unit><per-minute>90</per-minute>"
        '</metronome></direction-type><sound tempo="90"/></direction>'
        + "<harmony><root><root-step>A</root-step></root><kind>minor</kind></harmony>"
        + "<note><grace/><pitch><step>D</step><octave>4</octave></pitch><type>eighth</type></note>"
        + note("D", 5, 4, "<type>quarter</type>" + triplet)
        + "<note><chord/><pitch><step>F</step><alter>1</alter><octave>5</octave></pitch><duration>4</duration></note>"
        + "<forward><duration>2</duration></forward><note><rest/><duration>6</duration></note>"
        + "<note><unpitched/><duration>6</duration></note>"
        + '<barline location="right"><repeat direction="backward" times="3"/></barline>'
    ) + measure("<attributes><measure-style><multiple-rest>3</multiple-rest></measure-style></attributes>", 2)


NUMBERS = (
    "", "0", "-1", "1", "3", "7.5", "1/3", "1e400", "-1e9", "NaN", "inf", "9" * 30, "9" * 5000, "2147483648",
    "0x10", "١٢", "1_0", " 4 ", "4\n", "abc", "C", "1e-320", "+5", "1000000", "127", "128", "255", "65", "10000",
)  # fmt: skip


def mutated_xml(chance: random.Random, parents: list[bytes]) -> bytes:
    """A whole score with elements lost, doubled, renamed, moved or nested, numbers exchanged, and bytes damaged."""
    text = chance.choice(parents).decode()
    for _ in range(chance.randint(1, 5)):
        tags = list(re.finditer(r"<(/?)([a-z][a-z-]*)[^<>]*>", text))
        if not tags:
            break
        tag = chance.choice(tags)
        end = text.find(f"</{tag[2]}>", tag.end())
        end = tag.end() if end < 0 or tag[1] else end + len(tag[2]) + 3
        whole = text[tag.start() : end]
        kind = chance.randrange(9)
        if kind == 0:
            text = text[: tag.start()] + text[end:]
        elif kind == 1:
            text = text[:end] + whole * chance.choice([1, 2, 30]) + text[end:]
        elif kind == 2:
            name = chance.choice(tags)[2] if chance.random() < 0.8 else "x" * chance.choice([1, 3000])
            text = text[: tag.start()] + whole.replace(tag[2], name) + text[end:]
        elif kind == 3:
            other = chance.choice(tags)
            text = text[: other.start()] + whole + text[other.start() :]
        elif kind == 4:
            depth = chance.choice([1, 2, 50, 3000])
            text = text[: tag.start()] + f"<{tag[2]}>" * depth + whole + f"</{tag[2]}>" * depth + text[end:]
        else:
            places = list(re.finditer(r'(?<=>)[^<>]+(?=<)|(?<==")[^"<>]*(?=")', text))
            if places:
                place = chance.choice(places)
                text = text[: place.start()] + chance.choice(NUMBERS) + text[place.end() :]
    copy = bytearray(text.encode())
    if chance.random() < 0.2:
        damage(copy, chance, parents, [0])
    if chance.random() < 0.05:
        copy = copy[: chance.randrange(len(copy) + 1)]
    return bytes(copy)


def absurd_numbers(chance: random.Random) -> bytes:
    """Lengths, octaves, divisions, metres, repeats, staves and transpositions that no music has."""
    pick = lambda: chance.choice(NUMBERS)  # noqa: E731
    numbers = [2, 4, 4, 4, 1, 1]
    numbers[chance.randrange(6)] = pick()
    divisions, beats, unit, octave, duration, n = numbers
    more = chance.choice(
        [
            "",
            f"<staves>{pick()}</staves>",
            f"<transpose><diatonic>{pick()}</diatonic><chromatic>{pick()}</chromatic></transpose>",
            f"<transpose><chromatic>1</chromatic><octave-change>{pick()}</octave-change></transpose>",
            f"<measure-style><multiple-rest>{pick()}</multiple-rest></measure-style>",
            f'<measure-style><measure-repeat type="start" slashes="{pick()}">{pick()}</measure-repeat></measure-style>',
            f"<key><fifths>{pick()}</fifths></key>",
            f"<staff-details><staff-lines>{pick()}</staff-lines></staff-details>",
            f"<time><senza-misura>{pick()}</senza-misura></time>",
            f"<clef><sign>G</sign><line>{pick()}</line></clef>",
        ]
    )
    around = chance.choice(
        [
            "",
            f'<sound tempo="{pick()}"/>',
            f"<backup><duration>{pick()}</duration></backup>",
            f"<forward><duration>{pick()}</duration></forward>",
            f'<barline><repeat direction="backward" times="{pick()}"/></barline>',
            f'<barline><ending number="{pick()}" type="start"/></barline>',
            "<direction><direction-type><metronome><beat-unit>quarter</beat-unit>"
            f"<per-minute>{pick()}</per-minute></metronome></direction-type></direction>",
            f'<direction><direction-type><octave-shift type="up" size="{pick()}"/></direction-type></direction>',
        ]
    )
    inside = chance.choice(
        [
            "",
            f"<staff>{pick()}</staff>",
            f"<voice>{pick()}</voice>",
            f'<tie type="{pick()}"/>',
            f"<type>{pick()}</type><dot/><dot/>",
            f"<time-modification><actual-notes>{pick()}</actual-notes><normal-notes>{pick()}</normal-notes>"
            "</time-modification><type>eighth</type>",
            f"<notations><ornaments><tremolo>{pick()}</tremolo></ornaments></notations>",
        ]
    )
    notes = note("C", octave, duration, inside) + around + note("G", 4, 1, inside)
    return score(measure(attributes(divisions, beats, unit, more) + notes, n) * chance.choice([1, 2, 20]))


def repetitions(chance: random.Random) -> bytes:
    """One element, thousands of times: what is slow, or grows faster than its number, shows."""
    size = chance.choice([5_000, 90_000, 90_000, 90_000])
    plain = note()
    start = attributes()
    many = lambda text: text * (size // len(text))  # noqa: E731
    kind = chance.randrange(16)
    two = "<staves>2</staves>"
    odd = [f"<staff>{i % 4 + 1}</staff>" for i in range(size // 120)]
    return [
        lambda: score(measure(start + many(plain))),
        lambda: score(measure(start + plain) + many(measure(plain))),
        lambda: score(many("<measure/>") + measure(plain)),
        lambda: score(measure(plain + many("<note><rest/></note>"))),
        lambda: score(measure(plain + many("<note/>"))),
        lambda: score(measure(many(start) + plain)),
        lambda: score(many(measure(attributes(2, chance.randint(1, 64), 64) + plain))),
        lambda: score(many(measure(attributes(more="<transpose><chromatic>2</chromatic></transpose>") + plain))),
        lambda: score(
            "".join(
                measure(attributes(more=f"<transpose><chromatic>{i % 9}</chromatic></transpose>") + plain)
                for i in range(size // 300)
            )
        ),
        lambda: score(measure(attributes(more=two)) + "".join(measure(note(more=staff)) for staff in odd)),
        lambda: score(many(measure(plain + note(more="<voice>2</voice>")))),
        lambda: score(measure(plain + many('<sound tempo="99"/>'))),
        lambda: score(measure(plain + many(plain.replace("<pitch>", "<chord/><pitch>")))),
        lambda: score(measure(plain + many("<backup><duration>1</duration></backup>"))),
        lambda: score(measure(plain), parts=many('<score-part id="P2"><part-name>b</part-name></score-part>')),
        lambda: score(measure(plain) + "</part>" + many('<part id="P1"><measure/></part>') + '<part id="P1">'),
    ][kind]()


def attacks(chance: random.Random, port: int) -> bytes:
    """Entities, document types, nesting and encodings that only an attacker writes."""
    music = measure(attributes() + note("C", 4, 4))
    local = f"//127.0.0.1:{port}/x"
    address = chance.choice([f"http:{local}", f"ftp:{local}", "file:///etc/hostname", "canary"])
    depth = chance.choice([10, 1000, 100_000])
    laughs = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(9))
    title = "<work><work-title>{}</work-title></work><part-list>"
    plain = score(music).decode()
    codings = ["utf-16", "utf-7", "cp037", "x", "base64", "idna", "utf-32", "shift_jis", "zlib"]
    include = ' xmlns:xi="http://www.w3.org/2001/XInclude"'

    def declared(before: str, name: str = "a") -> bytes:
        return score(music, before=before).replace(b"<part-name>a", f"<part-name>{name}".encode())

    kinds: list[Callable[[], bytes]] = [
        lambda: declared(f'<!DOCTYPE s [<!ENTITY a0 "ha">{laughs}]>', "&a9;"),
        lambda: declared(f'<!DOCTYPE s [<!ENTITY e SYSTEM "{address}">]>', "&e;"),
        lambda: declared(f'<!DOCTYPE s [<!ENTITY % e SYSTEM "{address}"> %e;]>'),
        lambda: declared(f'<!DOCTYPE score-partwise SYSTEM "{address}">'),
        lambda: declared(f'<!DOCTYPE score-partwise PUBLIC "-//x" "{address}">', "&e;"),
        lambda: declared(f'<!DOCTYPE s [<!ATTLIST note x CDATA "{"y" * 50_000}">]>'),
        lambda: declared(f"<!DOCTYPE s [<!ELEMENT note {'(a,' * depth}a{')' * depth}>]>"),
        lambda: declared(f'<?xml-stylesheet href="{address}"?>'),
        lambda: score(music, version=f'{include} xsi:schemaLocation="{address}"'),
        lambda: score(f'<xi:include href="{address}"/>' + music, version=include),
        lambda: score(music + "<x>" * depth + "</x>" * depth),
        lambda: score(music + "<measure>" * depth + "</measure>" * depth),
        lambda: plain.encode("utf-16"),
        lambda: plain.replace("1.0", '1.0" encoding="utf-16', 1).encode("utf-16-be"),
        lambda: plain.replace('"1.0"', f'"1.0" encoding="{chance.choice(codings)}"', 1).encode(),
        lambda: plain.replace('"1.0"', '"1.0" encoding="latin-1"', 1).replace(">a<", ">é<").encode("latin-1"),
        lambda: plain.encode("utf-32"),
        lambda: b"\xef\xbb\xbf" + plain.encode(),
        lambda: plain.replace("<part-list>", title.format("x" * chance.choice([10**4, 10**6]))).encode(),
        lambda: plain.replace('id="P1"', f'id="{"P" * chance.choice([10**4, 10**6])}"').encode(),
        lambda: plain.replace("<note>", "<note" + "".join(f' a{i}="b"' for i in range(20_000)) + ">").encode(),
        lambda: plain.replace("<duration>4", f"<duration>{'4' * 10**6}").encode(),
        lambda: plain.replace("<note>", "<!--" + "x" * 10**6 + "--><note>").encode(),
        lambda: plain.replace(">a<", "><![CDATA[" + "<" * 10**5 + "]]><").encode(),
        lambda: plain.replace(">a<", ">&#0;<").encode(),
        lambda: plain.replace("score-partwise", "score-timewise").encode(),
    ]
    return chance.choice(kinds)()


def container(path: str) -> str:
    """The list of contents of a compressed score."""
    return f'<container><rootfiles><rootfile full-path="{path}"/></rootfiles></container>'


def archive(chance: random.Random, inside: bytes) -> bytes:
    """A compressed score: whole, with lies in it, with bombs, or damaged."""
    buffer = io.BytesIO()
    method = chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    kind = chance.randrange(9)
    names = ["../../escaped.xml", "/escaped.xml", "meta-inf/container.xml", "", "none.xml", "dir/", "s.xml\0.png"]
    with zipfile.ZipFile(buffer, "w") as out:

        def add(name: str, content: bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
            out.writestr(zipfile.ZipInfo(name), content, how)  # no date, so that the same file comes again

        path = chance.choice(names) if kind == 0 else "s.xml"
        add("META-INF/container.xml", container(path).encode() * (2 if kind == 1 else 1), method)
        if kind == 2:  # a bomb, empty from the start, or behind a score
            add("s.xml", (inside if chance.random() < 0.5 else b"") + bytes(60_000_000))
        elif kind == 3:  # a score, and spaces that say nothing
            add("s.xml", inside + b" " * chance.choice([10**6, MAX_BYTES - 10**6]))
        elif kind == 4:  # an archive in an archive
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as second:
                second.writestr(zipfile.ZipInfo("s.xml"), bytes(20_000_000), zipfile.ZIP_DEFLATED)
            add("s.xml", inner.getvalue())
        elif kind == 5:
            add("s.xml", inside)
            for i in range(chance.choice([50, 5000])):
                add(f"{i}", b"")
        elif kind == 6:  # spaces by the million inside the score
            add("s.xml", inside.replace(b"<measure", b" " * (MAX_BYTES // 2) + b"<measure", 1))
        else:
            add(path or "x", inside, method)
    data = bytearray(buffer.getvalue())
    if kind == 7:  # wrong sizes, offsets and checksums in the directory, members on top of one another
        at = data.rfind(b"PK\x01\x02") + chance.randrange(10, 46)
        data[at : at + 4] = struct.pack("<I", chance.choice([0, 1, 2**31, 2**32 - 1]))[: len(data[at : at + 4])]
    elif kind == 8:
        for _ in range(chance.randint(1, 4)):
            damage(data, chance, [bytes(data)], [m.start() for m in re.finditer(b"PK", bytes(data))])
    return bytes(data) if data.startswith(b"PK") else b"PK" + bytes(data)


def large_xml(chance: random.Random) -> bytes:
    """Scores up to the largest that is read."""
    size = chance.choice([3_000_000, MAX_BYTES - 1000])
    element = chance.choice(
        [
            note(),
            measure(note()),
            note(more='<tie type="start"/><tie type="stop"/><type>quarter</type><staff>1</staff>'),
            "<note><rest/><duration>1</duration></note>",
            "<a/>",
            "<attributes/>",
            '<direction><direction-type/><sound tempo="80"/></direction>',
            "<x>" + "y" * 1000 + "</x>",
        ]
    )
    body = element * (size // len(element))
    return score(body + measure(note()) if element.startswith("<measure") else measure(attributes() + note() + body))


def musicxml_file(chance: random.Random, parents: list[bytes], index: int, port: int) -> bytes:
    """The file of a number: mostly mutants, and every kind of crafted one, a part of them compressed."""
    if index % 500 == 499:
        return large_xml(chance)
    kind = index % 10
    if kind < 6:
        data = mutated_xml(chance, parents)
    elif kind < 8:
        data = absurd_numbers(chance)
    elif kind == 8:
        data = attacks(chance, port)
    else:
        data = repetitions(chance)
    if index % 8 == 3:
        return archive(chance, data)
    return data


# Reading, in another process ------------------------------------------------------------------------


def megabytes() -> float:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` also counts the parent that this process was started from
        return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def worker() -> None:
    """Read the files whose paths come in, a line each, and say what became of each."""
    import warnings

    answers = os.fdopen(os.dup(1), "w")
    noise = os.open("noise", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(noise, 1)
    os.dup2(noise, 2)
    warnings.simplefilter("always")

    from ganmusic import midi
    from ganmusic.midi import MusicFileError
    from ganmusic.pianoroll import piece_to_roll

    events: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.posix_spawn"):
            events.append(event)

    sys.addaudithook(watch)
    for line in sys.stdin:
        path, again = json.loads(line)
        begin = time.process_time()
        piece = None
        try:
            piece = midi.read(path)
            outcome = "piece"
        except MusicFileError as error:
            text = str(error)
            bad = "\n" in text or len(text) > 600 or CANARY in text
            outcome = f"!an error that is no sentence: {text[:300]!r}" if bad else "error: " + error.reason
        except BaseException as error:  # that is what is looked for
            outcome = f"!{type(error).__name__}: {error}"[:500]
        seconds = time.process_time() - begin
        if piece is not None:
            try:
                piece_to_roll(piece)
                if CANARY in repr(piece):
                    outcome = "!it holds another file's text"
                if again and piece.n_bars * len(piece.tracks) < 200:  # music21 writes 500 measures a second
                    rewrite(midi, piece)
            except Exception as error:
                outcome = f"!after reading, {type(error).__name__}: {error}"[:500]
        del piece
        if events:
            outcome = f"!{events.pop()}"
        answers.write(json.dumps([outcome, seconds, megabytes(), os.fstat(noise).st_size]) + "\n")
        answers.flush()


def rewrite(midi: Any, piece: Any) -> None:
    """Write a piece in both formats, and read it again."""
    for name in ("again.mid", "again.xml"):
        path = Path(name)
        try:
            midi.write(piece, name)
            read = midi.read(path, piece.grid)
            if [t.notes for t in read.tracks] != [t.notes for t in piece.tracks] and name.endswith("mid"):
                raise AssertionError("it is another piece after it was written and read")
        except midi.MusicFileError as error:
            if "too large" not in str(error):
                raise AssertionError(f"what was written cannot be read: {error}") from error
        except ValueError as error:
            if "notation" not in str(error):
                raise
        finally:
            path.unlink(missing_ok=True)


class Reader:
    """A process that reads files, started again when one has killed it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        """Start the process, if none is running."""
        if self.process is None:
            (self.folder / "noise").write_bytes(b"")
            environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(self.folder), "HOME": str(self.folder)}
            command = [sys.executable, "-B", str(Path(__file__).resolve()), "--worker"]
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return self.process

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def read(self, path: Path, again: bool) -> tuple[str, float, float]:
        """Have a file read: what became of it, seconds of work, and megabytes of memory."""
        process = self.start()
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps([str(path), again]) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], HANG)
        line = process.stdout.readline() if ready else ""
        if not line:
            self.stop()
            return (f"!the reader died (status {process.returncode})" if ready else "!hang"), HANG, 0.0
        outcome, seconds, size, noise = json.loads(line)
        if noise:
            outcome = "!noise: " + (self.folder / "noise").read_text(errors="replace")[:300]
            self.stop()
        elif size > MEGABYTES:
            outcome = f"!{size:.0f} MB of memory ({outcome})"
            self.stop()
        return outcome, seconds, size


def kind_of(outcome: str) -> str:
    """An outcome without its numbers and names, to be counted."""
    return re.sub(r"\d[\d,.e+-]*|'[^']*'|\([^()]*\)*|<[^<>]*>|in it .*", "#", outcome)[:60]


def mutants(kind: str, n: int, seed: int, folder: Path, port: int) -> Iterator[bytes]:
    """The `n` files of a seed."""
    parents = seeds(folder)[kind]
    for index in range(n):
        chance = random.Random(f"{seed} {kind} {index}")
        if kind == "midi":
            yield midi_file(chance, parents, index)
        else:
            yield musicxml_file(chance, parents, index, port)


def unpacked(data: bytes) -> int:
    """Bytes of a file, unpacked."""
    try:
        return sum(member.file_size for member in zipfile.ZipFile(io.BytesIO(data)).infolist())
    except Exception:  # it is no archive, or a damaged one
        return len(data)


def fuzz(
    kind: str, n: int, seed: int = 0, *, patience: float = 1.0, keep: Path | None = None, log: Any = None
) -> Result:
    """Read `n` hostile files of a kind ('midi' or 'musicxml'); `patience` stretches the seconds allowed.

    With `keep`, the files that failed are kept in that folder.
    """
    result = Result()
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as server:
        folder = Path(name)
        server.settimeout(0)
        (folder / "canary").write_text(CANARY)
        path = folder / "song"
        reader = Reader(folder)
        try:
            port = server.getsockname()[1]
            for index, data in enumerate(mutants(kind, n, seed, folder, port)):
                path.write_bytes(data)
                label = f"{kind} {seed}:{index}, {len(data):,} bytes"
                outcome, seconds, size = reader.read(path, again=index % 10 == 0)
                small = max(len(data), unpacked(data)) < LARGE
                result.slowest = max(result.slowest, (seconds, label))
                if small:
                    result.slowest_small = max(result.slowest_small, (seconds, label))
                result.megabytes = max(result.megabytes, size)
                allowed = patience * SECONDS * (1 if small or kind == "midi" else 10)
                if seconds > allowed and not outcome.startswith("!"):
                    outcome = f"!{seconds:.1f} s ({outcome})"
                left = {entry.name for entry in folder.iterdir()} - {"canary", "song", "noise"}
                if left and not outcome.startswith("!"):
                    outcome = f"!left behind {left}"
                if left:
                    for entry in left:
                        (folder / entry).unlink()
                if outcome.startswith("!"):
                    result.failures.append(f"{label}: {outcome[1:]}")
                    if log:
                        print(result.failures[-1], file=log, flush=True)
                    if keep:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{kind}-{seed}-{index}").write_bytes(data)
                result.outcomes[kind_of(outcome)] += 1
        finally:
            reader.stop()
        try:
            server.accept()[0].close()
            result.failures.append("a file made its reader open a connection")
        except BlockingIOError:
            pass
    return result


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="number of files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=("midi", "musicxml"), default="midi")
    parser.add_argument("--keep", type=Path, help="folder for the files that fail")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker()
        return 0
    out = sys.stdout
    begin = time.monotonic()
    result = fuzz(arguments.format, arguments.n, arguments.seed, keep=arguments.keep, log=out)
    for outcome, count in result.outcomes.most_common():
        out.write(f"{count:6} {outcome}\n")
    out.write(
        f"{arguments.n} files in {time.monotonic() - begin:.0f} s; {len(result.failures)} failures; "
        f"slowest {result.slowest[0]:.2f} s ({result.slowest[1]}), of the small ones {result.slowest_small[0]:.2f} s "
        f"({result.slowest_small[1]}); peak memory {result.megabytes:.0f} MB\n"
    )
    return bool(result.failures)


if __name__ == "__main__":
    sys.exit(main())
