"""Cut the shipped instruments out of the FluidR3 Mono soundfont.

    python scripts/build_instruments.py [/usr/share/sounds/sf3/FluidR3Mono_GM.sf3]

The source (23.6 MB, MIT licence) is Debian's package ``fluidr3mono-gm-soundfont``. What is kept is
listed in `INSTRUMENTS` and `DRUMS` below: one velocity layer, and a recording about every six
semitones instead of every three. The recordings themselves are copied byte for byte (they are
Vorbis streams already). Two things are measured and written into the cut file, because ensembles
show them up:

- how far each recording lies from equal temperament (up to 40 cents in the choir): undone by its
  fine tuning;
- how loud each recording is: so that the instruments are equally loud and no key sticks out.

The result is an ordinary ``.sf3`` file for any soundfont player, and a licence file beside it.
"""

from __future__ import annotations

import hashlib
import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

SOURCE = Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3")
SOURCE_SHA256 = "cda013d8c370a48ae8dad271e761078d2e77455488dabdedbfbe5fc76a38c682"
TARGET = Path(__file__).resolve().parent.parent / "ganmusic" / "instruments"

VELOCITY = 80
MELODIC, PERCUSSION = 0, 128  # banks

#: General MIDI program -> (name, MIDI numbers of the recordings to keep).
INSTRUMENTS: dict[int, tuple[str, tuple[int, ...]]] = {
    0: ("Piano", (34, 42, 50, 58, 66, 74, 84, 94)),
    19: ("Church organ", (36, 42, 48, 54, 60, 66, 72, 78, 84, 90)),
    32: ("Double bass", (28, 36, 46, 60)),
    46: ("Harp", (34, 44, 54, 61, 70, 78)),
    48: ("Strings", (31, 37, 43, 52, 61, 67, 73, 79, 83)),
    52: ("Choir", (39, 45, 51, 57, 63, 69, 75, 81)),
    56: ("Trumpet", (64, 67, 72, 79, 88)),
    57: ("Trombone", (43, 48, 53, 58, 63, 67, 72)),
    68: ("Oboe", (63, 67, 74, 82)),
    71: ("Clarinet", (52, 56, 59, 65, 70, 76, 84)),
    73: ("Flute", (61, 67, 74, 84, 90)),
}
#: (lowest, highest) General MIDI drum key -> the key of the sound that plays it.
DRUMS: dict[tuple[int, int], int] = {
    (0, 36): 35,  # kick
    (37, 40): 38,  # snare; also stick and clap
    (41, 41): 41,  # floor tom
    (42, 42): 42,  # closed hi-hat
    (43, 43): 41,
    (44, 44): 42,
    (45, 45): 47,  # middle tom
    (46, 46): 46,  # open hi-hat
    (47, 48): 47,
    (49, 49): 55,  # splash, for every crash
    (50, 50): 50,  # high tom
    (51, 53): 51,  # ride
    (54, 54): 54,  # tambourine
    (55, 58): 55,
    (59, 59): 51,
    (60, 127): 54,  # for all hand percussion
}

# Generators of the SoundFont 2.04 specification, section 8.1.2.
ATTACK, HOLD, DECAY, SUSTAIN, RELEASE = 34, 35, 36, 37, 38
INSTRUMENT, KEYS, VELOCITIES, ATTENUATION = 41, 43, 44, 48
COARSE, FINE, SAMPLE, MODES, SCALE, ROOT = 51, 52, 53, 54, 56, 58
# Their defaults where they are not 0; an envelope time of -12000 timecents is 1 ms.
DEFAULTS = {ATTACK: -12000, HOLD: -12000, DECAY: -12000, RELEASE: -12000, SCALE: 100}
# What the cut file keeps of a zone. Filters, vibrato and effect sends go: our player has none.
KEPT = (ATTACK, HOLD, DECAY, SUSTAIN, RELEASE, ATTENUATION, FINE, MODES, SCALE, ROOT)

TABLES: dict[bytes, list[tuple[str, str]]] = {
    b"phdr": [
        ("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "S12"),
    ],
    b"pbag": [("gen", "<u2"), ("mod", "<u2")],
    b"pmod": [("rest", "S10")],
    b"pgen": [("op", "<u2"), ("amount", "<i2")],
    b"inst": [("name", "S20"), ("bag", "<u2")],
    b"ibag": [("gen", "<u2"), ("mod", "<u2")],
    b"imod": [("rest", "S10")],
    b"igen": [("op", "<u2"), ("amount", "<i2")],
    b"shdr": [
        ("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"),
        ("loop_end", "<u4"), ("rate", "<u4"), ("root", "u1"), ("correction", "i1"), ("link", "<u2"),
        ("kind", "<u2"),
    ],
}  # fmt: skip

#: Level of a note over its first half second, in dB: four voices then stay below full scale.
LEVEL = -24.0
#: How far all drums are turned down to sit beside the others.
DRUMS_DOWN = 8.0

NOTICE = """\
instruments.sf3 is cut from FluidR3Mono_GM.sf3 by scripts/build_instruments.py of ganmusic: fewer
keys and one velocity layer of some presets, retuned and levelled. The recordings are unchanged.
The licence of the source:"""

#: The generators of one zone by number; key and velocity ranges as pairs.
Zone = dict[int, Any]


class Soundfont:
    """The tables of a soundfont file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        # One search a table instead of walking the chunks: the source leaves out a padding byte.
        self.smpl = data.index(b"smpl") + 8
        at = data.rindex(b"pdta") + 4
        self.table: dict[bytes, Any] = {}
        for name, fields in TABLES.items():
            at = data.index(name, at)
            (size,) = struct.unpack_from("<I", data, at + 4)
            kind = np.dtype(fields)
            self.table[name] = np.frombuffer(data, kind, size // kind.itemsize, at + 8)
            at += 8 + size

    def text(self, name: bytes) -> str:
        """One field of the file's INFO list."""
        at = self.data.index(name)
        (size,) = struct.unpack_from("<I", self.data, at + 4)
        text = self.data[at + 8 : at + 8 + size].rstrip(b"\0").decode("utf-8")
        return text.replace("\r\n", "\n")

    def stream(self, sample: int) -> bytes:
        """The Vorbis stream of one sample: in an .sf3 file the sample table holds byte offsets."""
        row = self.table[b"shdr"][sample]
        return self.data[self.smpl + int(row["start"]) : self.smpl + int(row["end"])]

    def _read(self, bag: bytes, gen: bytes, first: int, end: int, last: int) -> list[Zone]:
        """The zones `first` to `end` of one level; `last` is the generator that ends a zone."""
        shared: Zone = {}
        zones = []
        for i in range(first, end):
            rows = self.table[gen][self.table[bag][i]["gen"] : self.table[bag][i + 1]["gen"]]
            zone: Zone = {int(row["op"]): int(row["amount"]) for row in rows}
            for op in (KEYS, VELOCITIES):
                if op in zone:
                    zone[op] = (zone[op] & 127, zone[op] >> 8 & 127)
            if last in zone:
                zones.append(shared | zone)
            elif i == first:
                shared = zone
        return zones

    def zones(self, bank: int, program: int) -> list[Zone]:
        """Every zone of a preset that sounds at `VELOCITY`, its two levels added up."""
        presets = self.table[b"phdr"][:-1]
        (i,) = np.flatnonzero((presets["bank"] == bank) & (presets["program"] == program))
        found = []
        for preset in self._read(
            b"pbag", b"pgen", presets[i]["bag"], self.table[b"phdr"][i + 1]["bag"], INSTRUMENT
        ):
            j = preset.pop(INSTRUMENT)
            bags = self.table[b"inst"]["bag"]
            for zone in self._read(b"ibag", b"igen", bags[j], bags[j + 1], SAMPLE):
                zone = DEFAULTS | zone
                for op in (KEYS, VELOCITIES):
                    a, b = zone.get(op, (0, 127)), preset.get(op, (0, 127))
                    zone[op] = (max(a[0], b[0]), min(a[1], b[1]))
                for op in preset.keys() - {KEYS, VELOCITIES}:
                    zone[op] = zone.get(op, 0) + preset[op]
                if (
                    zone[VELOCITIES][0] <= VELOCITY <= zone[VELOCITIES][1]
                    and zone[KEYS][0] <= zone[KEYS][1]
                ):
                    row = self.table[b"shdr"][zone[SAMPLE]]
                    # The key at which the recording plays at its own speed.
                    zone[ROOT] = zone.get(ROOT, int(row["root"])) - zone.pop(COARSE, 0)
                    zone[FINE] = zone.get(FINE, 0) + int(row["correction"])
                    found.append(zone)
        return found


def play(font: Soundfont, zone: Zone, seconds: float) -> tuple[np.ndarray, int]:
    """The recording of a zone at its own pitch, looped to `seconds`, untuned, without envelope."""
    row = font.table[b"shdr"][zone[SAMPLE]]
    wave, rate = soundfile.read(io.BytesIO(font.stream(zone[SAMPLE])))
    at = np.arange(int(seconds * rate))
    start, end = int(row["loop_start"]), int(row["loop_end"])
    if zone.get(MODES, 0) & 1:
        at = np.where(at < end, at, start + (at - start) % (end - start))
    return wave[at[at < len(wave)]], rate


def cents_off(wave: np.ndarray, rate: int, key: int) -> float:
    """How many cents a sustained sound lies above the equal-tempered pitch of `key`.

    Where the energy near the first four harmonics is centred: a section or a vibrato spreads it,
    and its highest peak is one player or one turning point. The window of 50 cents to each side
    follows the centre.
    """
    n_fft = 1 << 20
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), n_fft))
    window = np.arange(-50, 50.5, 0.5)
    centre = 0.0
    for _ in range(20):
        cents = centre + window
        frequency = 440 * 2 ** ((key - 69 + cents / 100) / 12)
        power = sum(
            np.interp(h * frequency * n_fft / rate, np.arange(len(spectrum)), spectrum) ** 2
            for h in range(1, 5)
            if h * frequency[-1] < rate / 2
        )
        centre = float(np.sum(power * cents) / np.sum(power))
    return centre


def decibels(wave: np.ndarray) -> float:
    """Root mean square level, 0 dB being full scale."""
    return float(10 * np.log10(np.mean(np.square(wave)) + 1e-12))


def attenuate(zone: Zone, louder_by: float) -> None:
    """Turn a zone down by decibels, of which players apply 0.4, as the first hardware did."""
    zone[ATTENUATION] = min(1440, max(0, round(louder_by * 10 / 0.4)))


def cut_melodic(font: Soundfont, program: int, keys: tuple[int, ...]) -> list[Zone]:
    """The zones of the recordings at `keys`, reaching half-way to each other, tuned, levelled."""
    by_root = {zone[ROOT]: zone for zone in font.zones(MELODIC, program)}
    zones = [by_root[key] for key in keys]
    levels = []
    for i, zone in enumerate(zones):
        low = 0 if i == 0 else (keys[i - 1] + keys[i]) // 2 + 1
        high = 127 if i == len(keys) - 1 else (keys[i] + keys[i + 1]) // 2
        zone[KEYS] = (low, high)
        wave, rate = play(font, zone, 4.0)
        zone[FINE] = -round(cents_off(wave[rate // 5 :], rate, zone[ROOT]))
        levels.append(decibels(wave[: rate // 2]))
        # For 100 dB: less than 0.35 s ends like a click; the harp's 9.6 s, here 2, blurs chords.
        zone[RELEASE] = min(max(zone[RELEASE], -1800), 1200)
    # What sustains is levelled key by key. What decays keeps its natural slope from low to high.
    sustained = zones[0].get(SUSTAIN, 0) < 100
    for zone, level in zip(zones, levels, strict=True):
        attenuate(zone, (level if sustained else float(np.median(levels))) - LEVEL)
    return zones


def cut_drums(font: Soundfont) -> list[Zone]:
    """One zone a drum sound, each at its own pitch on all the keys that play it."""
    by_key = {zone[KEYS][0]: zone for zone in font.zones(PERCUSSION, 0)}
    zones = []
    for keys, sound in DRUMS.items():
        zone = by_key[sound] | {KEYS: keys, SCALE: 0}
        attenuate(zone, zone.get(ATTENUATION, 0) * 0.04 + DRUMS_DOWN)
        zones.append(zone)
    return zones


def write(font: Soundfont, presets: list[tuple[int, int, str, list[Zone]]], path: Path) -> None:
    """Write an .sf3 file of presets ``(bank, program, name, zones)``: one instrument for each."""
    rows: dict[bytes, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    smpl = bytearray()
    samples: dict[int, int] = {}
    for bank, program, name, zones in presets:
        rows[b"phdr"].append((name, program, bank, len(rows[b"pbag"]), b""))
        rows[b"pbag"].append((len(rows[b"pgen"]), 0))
        rows[b"pgen"].append((INSTRUMENT, len(rows[b"inst"])))
        rows[b"inst"].append((name, len(rows[b"ibag"])))
        for zone in zones:
            rows[b"ibag"].append((len(rows[b"igen"]), 0))
            # The specification wants the key range first and the sample last.
            rows[b"igen"].append((KEYS, zone[KEYS][0] | zone[KEYS][1] << 8))
            for op in KEPT:
                if zone.get(op, 0) != DEFAULTS.get(op, 0):
                    rows[b"igen"].append((op, zone[op]))
            if zone[SAMPLE] not in samples:
                samples[zone[SAMPLE]] = len(rows[b"shdr"])
                old = font.table[b"shdr"][zone[SAMPLE]]
                start = len(smpl)
                smpl += font.stream(zone[SAMPLE])
                rows[b"shdr"].append(
                    (old["name"], start, len(smpl), old["loop_start"], old["loop_end"], old["rate"],
                     zone[ROOT], 0, 0, 17)
                )  # fmt: skip
            rows[b"igen"].append((SAMPLE, samples[zone[SAMPLE]]))
    # Every table ends with a row that only says where the others end.
    rows[b"phdr"].append((b"EOP", 0, 0, len(rows[b"pbag"]), b""))
    rows[b"pbag"].append((len(rows[b"pgen"]), 0))
    rows[b"inst"].append((b"EOI", len(rows[b"ibag"])))
    rows[b"ibag"].append((len(rows[b"igen"]), 0))
    rows[b"pgen"].append((0, 0))
    rows[b"igen"].append((0, 0))
    rows[b"pmod"].append((b"",))
    rows[b"imod"].append((b"",))
    rows[b"shdr"].append((b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0))

    info = [
        (b"ifil", struct.pack("<HH", 3, 1)),
        (b"isng", b"EMU8000\0"),
        (b"INAM", b"ganmusic instruments\0"),
        (b"ICOP", font.text(b"ICOP").encode() + b"\0"),
        (b"ICMT", f"{NOTICE}\n\n{font.text(b'ICMT')}".encode() + b"\0"),
    ]
    pdta = [(name, np.array(rows[name], TABLES[name]).tobytes()) for name in TABLES]
    body = b"sfbk" + b"".join(
        chunk(b"LIST", kind + b"".join(chunk(*item) for item in items))
        for kind, items in ((b"INFO", info), (b"sdta", [(b"smpl", bytes(smpl))]), (b"pdta", pdta))
    )
    path.write_bytes(chunk(b"RIFF", body))


def chunk(name: bytes, data: bytes) -> bytes:
    """A RIFF chunk, padded to an even length."""
    data += b"\0" * (len(data) % 2)
    return name + struct.pack("<I", len(data)) + data


def main() -> None:
    """Cut the instruments and write the file and its licence."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE
    data = source.read_bytes()
    if hashlib.sha256(data).hexdigest() != SOURCE_SHA256:
        sys.exit(f"{source} is not the FluidR3Mono_GM.sf3 that these cuts were made for")
    font = Soundfont(data)
    presets = [
        (MELODIC, program, name, cut_melodic(font, program, keys))
        for program, (name, keys) in INSTRUMENTS.items()
    ]
    presets.append((PERCUSSION, 0, "Drums", cut_drums(font)))
    TARGET.mkdir(exist_ok=True)
    write(font, presets, TARGET / "instruments.sf3")
    (TARGET / "LICENSE").write_text(f"{NOTICE}\n\n{font.text(b'ICMT')}\n", encoding="utf-8")
    print(f"{TARGET / 'instruments.sf3'}: {(TARGET / 'instruments.sf3').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
