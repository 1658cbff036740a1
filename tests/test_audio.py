"""Sound, checked by numbers: pitch by spectrum, level, ends without clicks, files that read."""

from __future__ import annotations

import io
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from ganmusic import audio, sampler
from ganmusic.pianoroll import Grid, Note, Piece, Track

RATE = 44100


def single(key: int, program: int = 0, beats: int = 4, drum: bool = False) -> Piece:
    """One held note at 60 beats a minute: a beat is a second."""
    return Piece((Track("solo", (Note(0, 4 * beats, key),), program, drum),), Grid(), 60.0)


def four_voices(program: int = 19, n_bars: int = 2, tempo: float = 90.0) -> Piece:
    """Voices that differ in rhythm, register and number of notes."""
    patterns = (
        ("soprano", 72, (0, 4, 8, 10, 12)),
        ("alto", 67, (0, 4, 8, 12)),
        ("tenor", 60, (0, 8)),
        ("bass", 48, (0, 2, 4, 8, 12)),
    )
    tracks = []
    for name, pitch, onsets in patterns:
        ends = (*onsets[1:], 16)
        notes = [
            Note(16 * bar + start, end - start, pitch + (3 * bar + start) % 5)
            for bar in range(n_bars)
            for start, end in zip(onsets, ends, strict=True)
        ]
        tracks.append(Track(name, tuple(notes), program))
    return Piece(tuple(tracks), Grid(), tempo, "Four voices")


def db(wave: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-15))


def cents_off(wave: np.ndarray, key: int) -> float:
    """Centre of the energy within 50 cents of the first three harmonics, in cents off `key`."""
    n_fft = 1 << 20
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), n_fft)) ** 2
    frequency = np.fft.rfftfreq(n_fft, 1 / RATE)
    weights, moments = 0.0, 0.0
    for harmonic in (1, 2, 3):
        target = harmonic * 440 * 2 ** ((key - 69) / 12)
        near = slice(*np.searchsorted(frequency, target * 2 ** (np.array([-50, 50]) / 1200)))
        cents = 1200 * np.log2(frequency[near] / target)
        # A spectrum has more bins a cent as it goes up: weigh by cents, not by bins.
        energy = power[near] / frequency[near]
        weights += energy.sum()
        moments += (energy * cents).sum()
    return moments / weights


# Keys that each instrument is written for.
RANGES = {
    0: (36, 96), 19: (36, 96), 32: (28, 60), 46: (33, 84), 48: (31, 86), 52: (40, 84),
    56: (55, 86), 57: (40, 72), 68: (59, 86), 71: (50, 89), 73: (60, 91),
}  # fmt: skip


@pytest.mark.parametrize("program", audio.INSTRUMENTS)
def test_every_instrument_is_in_tune(program: int) -> None:
    low, high = RANGES[program]
    for key in range(low, high + 1, 5):
        wave = audio.render(single(key, program))[int(0.2 * RATE) : int(3.9 * RATE)].mean(1)
        assert abs(cents_off(wave, key)) < 5.5, f"{audio.INSTRUMENTS[program]} at {key}"


@pytest.mark.parametrize("program", audio.INSTRUMENTS)
def test_pitch_is_not_an_octave_off(program: int) -> None:
    # The lowest strong line of the spectrum is the fundamental: nothing sounds an octave below.
    key = sum(RANGES[program]) // 2
    wave = audio.render(single(key, program))[int(0.3 * RATE) : int(2.3 * RATE)].mean(1)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    fundamental = 440 * 2 ** ((key - 69) / 12) * len(wave) / RATE

    def peak(at: float) -> float:
        return float(spectrum[int(at * 0.97) : int(at * 1.03) + 1].max())

    # The organ's lower stop does sound: it is the one that may.
    if program != 19:
        assert peak(fundamental / 2) < 0.15 * max(peak(fundamental), peak(2 * fundamental))
    assert max(peak(fundamental), peak(2 * fundamental)) > 0.3 * spectrum.max()


@pytest.mark.parametrize("program", audio.INSTRUMENTS)
def test_level_and_silence(program: int) -> None:
    piece = four_voices(program)
    wave = audio.render(piece)
    n_music = round(piece.seconds * RATE)
    assert wave.dtype == np.float32
    assert wave.shape == (n_music + round(audio.TAIL_SECONDS * RATE), 2)
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() <= 10 ** (audio.PEAK_DB / 20) + 1e-6
    assert db(wave[:n_music]) == pytest.approx(audio.LEVEL_DB, abs=0.1)
    # It begins at once, never falls silent within, dies away after, and ends at nothing.
    assert db(wave[: RATE // 5]) > -32
    seconds = [db(wave[i : i + RATE // 4]) for i in range(0, n_music - RATE // 4, RATE // 4)]
    assert min(seconds) > -40
    assert db(wave[-RATE // 2 : -RATE // 4]) < -50
    assert np.abs(wave[-1]).max() == 0


def clickiness(wave: np.ndarray, at: float) -> float:
    """Energy above 12 kHz in 10 ms round a moment, over the half second before, in dB."""
    high = sosfilt(butter(8, 12000, "high", fs=RATE, output="sos"), wave)
    size = RATE // 100
    before = [
        db(high[i : i + size])
        for i in range(round((at - 0.5) * RATE), round((at - 0.02) * RATE), size)
    ]
    edge = [
        db(high[i : i + size])
        for i in range(round((at - 0.005) * RATE), round((at + 0.3) * RATE), size)
    ]
    return max(edge) - max(before)


@pytest.mark.parametrize("program", audio.INSTRUMENTS)
def test_notes_end_without_a_click(program: int) -> None:
    for key in (RANGES[program][0] + 7, RANGES[program][1] - 8):
        wave = audio.render(single(key, program, beats=2)).mean(1)
        assert clickiness(wave, 2.0) < 2.0


def test_clickiness_hears_a_click() -> None:
    wave = audio.render(single(60, 19, beats=2)).mean(1)
    cut = int(1.98 * RATE) + np.argmax(np.abs(wave[int(1.98 * RATE) : 2 * RATE]))
    wave[cut:] = 0
    assert clickiness(wave, cut / RATE) > 10


def test_notes_last_as_long_as_written() -> None:
    for beats in (1, 2):
        wave = audio.render(single(60, 71, beats))
        assert db(wave[int((beats - 0.1) * RATE) : int((beats - 0.05) * RATE)]) > -26
        assert db(wave[int((beats + 0.5) * RATE) : int((beats + 0.6) * RATE)]) < -40


def test_long_notes_go_round_the_loop() -> None:
    # The clarinet's recording lasts half a second.
    wave = audio.render(single(65, 71, beats=8)).mean(1)
    assert db(wave[7 * RATE : 8 * RATE]) == pytest.approx(db(wave[RATE : 2 * RATE]), abs=1.5)


def test_repeated_notes_are_struck_again() -> None:
    def rise(notes: tuple[Note, ...]) -> float:
        wave = audio.render(Piece((Track("piano", notes),), Grid(), 60.0)).mean(1)
        return db(wave[RATE : RATE + RATE // 10]) - db(wave[RATE - RATE // 10 : RATE])

    assert rise((Note(0, 4, 60), Note(4, 4, 60))) > rise((Note(0, 8, 60),)) + 3


def test_the_silence_before_an_upbeat_is_left_out() -> None:
    notes = (Note(12, 4, 67), Note(16, 8, 72))
    late = Piece((Track("air", notes),), Grid(), 120.0, pickup=4)
    early = Piece(
        (Track("air", tuple(n._replace(onset=n.onset - 12) for n in notes)),), Grid(), 120.0
    )
    np.testing.assert_array_equal(audio.render(late), audio.render(early))


def test_first_voice_stands_left_and_last_right() -> None:
    tracks = (Track("high", (Note(0, 4, 72),), 73), Track("low", (Note(8, 4, 60),), 73))
    wave = audio.render(Piece(tracks, Grid(), 60.0))
    left, right = (
        [db(wave[int(t * RATE) : int((t + 0.9) * RATE), side]) for t in (0, 2)] for side in (0, 1)
    )
    assert left[0] - right[0] > 2
    assert right[1] - left[1] > 2


def test_program_overrides_all_but_drums() -> None:
    piece = Piece(
        (
            Track("tune", (Note(0, 8, 64),), 0),
            Track("kit", (Note(0, 2, 38), Note(4, 2, 42)), 0, is_drum=True),
        ),
        tempo=120.0,
    )
    organ = Piece((Track("tune", (Note(0, 8, 64),), 19), piece.tracks[1]), tempo=120.0)
    np.testing.assert_array_equal(audio.render(piece, program=19), audio.render(organ))
    assert not np.array_equal(audio.render(piece), audio.render(organ))


def test_drums_keep_their_own_pitch_and_ring_out() -> None:
    # The kick lies below 300 Hz, the closed hi-hat above; a short note does not cut the splash.
    def centre(key: int) -> float:
        wave = audio.render(single(key, drum=True, beats=1)).mean(1)[: RATE // 4]
        power = np.abs(np.fft.rfft(wave)) ** 2
        return float((power * np.fft.rfftfreq(len(wave), 1 / RATE)).sum() / power.sum())

    assert centre(36) < 300 < 3000 < centre(42)
    short = Piece((Track("kit", (Note(0, 1, 49),), is_drum=True),), Grid(), 240.0)
    wave = audio.render(short)
    assert db(wave[RATE // 2 : RATE]) > db(wave[: RATE // 16]) - 30


def test_every_key_of_every_program_sounds() -> None:
    for zones in [sampler.zones(program) for program in range(128)] + [sampler.zones(0, True)]:
        for key in range(128):
            assert sum(zone.low <= key <= zone.high for zone in zones) == 1
    for key in (0, 127):
        assert db(audio.render(single(key, 48))) > -30


@pytest.mark.parametrize(
    ("program", "name"),
    [(0, "piano"), (7, "piano"), (9, "harp"), (16, "church organ"), (20, "church organ"),
     (25, "harp"), (33, "double bass"), (40, "strings"), (42, "strings"), (46, "harp"),
     (49, "strings"), (53, "choir"), (56, "trumpet"), (58, "trombone"), (60, "trombone"),
     (65, "clarinet"), (69, "oboe"), (70, "clarinet"), (75, "flute"), (89, "strings"),
     (91, "choir"), (127, "strings")],
)  # fmt: skip
def test_every_program_has_an_instrument(program: int, name: str) -> None:
    assert audio.INSTRUMENTS[audio.instrument(program)] == name


def test_shipped_instruments_stand_for_themselves() -> None:
    assert [audio.instrument(program) for program in audio.INSTRUMENTS] == list(audio.INSTRUMENTS)


@pytest.mark.parametrize("program", [-1, 128])
def test_program_out_of_range(program: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.127"):
        audio.instrument(program)


def test_same_bytes_each_time() -> None:
    piece = four_voices(52)
    for name in ("mp3", "wav", "flac"):
        assert audio.encode(piece, name) == audio.encode(piece, name)


@pytest.mark.parametrize("suffix", audio.FORMATS)
def test_files_read_back(suffix: str, tmp_path: Path) -> None:
    piece = four_voices(19)
    path = tmp_path / f"out.{suffix.upper()}"
    audio.write(piece, path)
    wave, rate = soundfile.read(path)
    expected = audio.render(piece)
    assert rate == RATE
    assert wave.shape[1] == 2
    assert len(wave) == pytest.approx(len(expected), abs=3000)
    if suffix in ("wav", "flac"):
        np.testing.assert_allclose(wave, expected, atol=2**-15)
    assert db(wave) == pytest.approx(db(expected), abs=0.5)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_encode_mono_at_half_the_rate_is_small() -> None:
    piece = four_voices(19, n_bars=8)
    data = audio.encode(piece, "mp3", sample_rate=22050, mono=True, compression=0.9)
    wave, rate = soundfile.read(io.BytesIO(data))
    assert (rate, wave.ndim) == (22050, 1)
    assert len(data) / (len(wave) / rate) < 4500


def test_other_rates_keep_pitch_and_length() -> None:
    # The rate is converted, not the recordings read slower: a high tone must not fold down.
    wave = audio.render(single(96, 73, beats=2), sample_rate=16000).mean(1)
    assert len(wave) == round((2 + audio.TAIL_SECONDS) * 16000)
    spectrum = np.abs(np.fft.rfft(wave[4000:28000]))
    # 24,000 samples at 16,000 a second: bins of 2/3 Hz.
    assert np.argmax(spectrum) * 16000 / 24000 == pytest.approx(2093, rel=0.01)


def test_unknown_suffix_names_what_fits(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"song\.aiff.*\.wav, \.flac, \.mp3, \.ogg"):
        audio.write(four_voices(), tmp_path / "song.aiff")
    with pytest.raises(ValueError, match="opus"):
        audio.encode(four_voices(), "opus")


def test_nothing_to_play() -> None:
    with pytest.raises(ValueError, match="'Nothing' has no notes"):
        audio.render(Piece((Track("empty", ()),), title="Nothing"))


def test_absurd_length_is_refused_before_anything_is_allocated() -> None:
    long = Piece((Track("endless", (Note(0, 10**12, 60),)),), title="Endless")
    with pytest.raises(ValueError, match=r"'Endless' lasts .* at most 15"):
        audio.render(long)


@pytest.mark.parametrize("tempo", [0.0, -60.0, float("nan"), float("inf")])
def test_tempo_that_cannot_be_played(tempo: float) -> None:
    with pytest.raises(ValueError, match="tempo"):
        audio.render(Piece((Track("x", (Note(0, 4, 60),)),), tempo=tempo))


def test_pitch_that_is_no_midi_number() -> None:
    with pytest.raises(ValueError, match=r"pitch=128.* in track 'solo'"):
        audio.render(single(128))


@pytest.mark.parametrize("rate", [0, 7999, 200_000])
def test_rate_out_of_range(rate: int) -> None:
    with pytest.raises(ValueError, match=r"8000\.\.96000"):
        audio.render(single(60), rate)


def test_shipped_file_is_small_and_carries_its_licence() -> None:
    folder = resources.files("ganmusic").joinpath("instruments")
    data = folder.joinpath("instruments.sf3").read_bytes()
    assert len(data) <= 2_000_000
    licence = folder.joinpath("LICENSE").read_text(encoding="utf-8")
    for text in ("Frank Wen", "Michael Cowgill", "Permission is hereby granted", "cut from"):
        assert text in licence
        assert text.encode() in data
