"""One note of one instrument: its pitch between recordings, its loop, its envelope.

What a whole piece sounds like is in test_audio.py; here a note is played without mixing and levelling.
"""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, resample_poly, sosfiltfilt

from ganmusic import sampler
from ganmusic.sampler import INSTRUMENTS, RATE, instrument, play, zones

LOOPED = [program for program in INSTRUMENTS if any(zone.loop for zone in zones(program))]
# Soft attacks and clear pitch: what autocorrelation can measure to a cent.
TUNED = {19: (43, 60, 79), 46: (40, 57, 76), 56: (58, 67, 80), 57: (41, 52, 67), 68: (62, 69, 81),
         71: (52, 64, 83), 73: (63, 72, 86), 0: (45, 60, 74)}  # fmt: skip


def zone_of(program, key, is_drum=False):
    return next(zone for zone in zones(program, is_drum) if zone.low <= key <= zone.high)


def fundamental(wave, near):
    """The frequency whose multiples of a period the wave repeats itself after, within a semitone of `near`."""
    wave = wave.astype(np.float64) - wave.mean()
    size = 1 << (2 * len(wave) - 1).bit_length()
    power = np.abs(np.fft.rfft(wave, size)) ** 2
    correlation = np.fft.irfft(power, size)[: len(wave) // 2] / np.arange(len(wave), len(wave) - len(wave) // 2, -1)
    # First one period, roughly; then ever more of them, so that a lag's rounding matters less and less.
    period = RATE / near
    for n in (1, 2, 4, 8, 12):
        low, high = (int(n * period * 2 ** (cents / 1200)) for cents in (-100 / n, 100 / n))
        lag = low - 1 + int(np.argmax(correlation[low - 1 : high + 2]))
        before, at, after = correlation[lag - 1 : lag + 2]
        period = (lag + 0.5 * (before - after) / (before - 2 * at + after)) / n
    return RATE / period


def hertz(key):
    return 440 * 2 ** ((key - 69) / 12)


# Instruments ----------------------------------------------------------------------------------------


def test_each_instrument_has_recordings_of_its_own():
    recordings = [{zone.data for zone in zones(program)} for program in INSTRUMENTS]
    assert all(len(found) >= 2 for found in recordings)
    assert len(set.union(*recordings)) == sum(map(len, recordings))
    assert len(set(INSTRUMENTS.values())) == len(INSTRUMENTS)


def test_a_program_is_played_by_its_stand_ins_recordings():
    assert zones(24) == zones(46)
    assert zones(24) != zones(48)
    assert zones(24, is_drum=True) == zones(99, is_drum=True) != zones(24)


@pytest.mark.parametrize("program", INSTRUMENTS)
def test_zones_follow_one_another_and_hold_their_recorded_key(program):
    found = zones(program)
    assert (found[0].low, found[-1].high) == (0, 127)
    for lower, upper in pairwise(found):
        assert upper.low == lower.high + 1
        assert upper.root > lower.root
    # Within an instrument's compass a recording is never stretched by more than an octave.
    assert all(zone.low - 1 <= zone.root <= zone.high + 1 for zone in found)


@pytest.mark.parametrize("program", INSTRUMENTS)
def test_loops_lie_within_the_recordings(program):
    for zone in zones(program):
        wave, rate = soundfile.read(io.BytesIO(zone.data))
        assert wave.ndim == 1
        assert 16000 <= rate <= 48000
        if zone.loop is not None:
            start, end = zone.loop
            assert 0 < start < end <= len(wave)
            # Whole periods, or a held note would change its pitch when the loop begins.
            periods = (end - start) * hertz(zone.root - zone.tuning) / rate
            assert round(periods) >= 1
            assert 1200 * np.log2(periods / round(periods)) == pytest.approx(0, abs=12), zone.root


@pytest.mark.parametrize("program", [-1, 128, 1000])
def test_zones_of_no_program_are_an_error(program):
    with pytest.raises(ValueError, match=f"not {program}"):
        zones(program)
    with pytest.raises(ValueError, match=f"not {program}"):
        instrument(program)


# Pitch ----------------------------------------------------------------------------------------------


def test_the_measure_of_pitch_is_right_to_a_cent():
    time = np.arange(RATE) / RATE
    for frequency in (83.3, 440.0, 1234.5):
        # The second harmonic is stronger than the first: the octave is not mistaken for the pitch.
        wave = 0.3 * np.sin(2 * np.pi * frequency * time) + 0.8 * np.sin(4 * np.pi * frequency * time + 1)
        assert 1200 * np.log2(fundamental(wave, frequency * 1.01) / frequency) == pytest.approx(0, abs=1)
        sharp = fundamental(wave, frequency * 2 ** (30 / 1200))
        assert 1200 * np.log2(sharp / frequency) == pytest.approx(0, abs=1)


@pytest.mark.parametrize(("program", "key"), [(program, key) for program, keys in TUNED.items() for key in keys])
def test_the_fundamental_is_that_of_the_key(program, key):
    # Long enough for the flute's vibrato to be averaged.
    wave = play(zone_of(program, key), key, 3.0)[int(0.3 * RATE) : int(2.9 * RATE)]
    assert 1200 * np.log2(fundamental(wave, hertz(key)) / hertz(key)) == pytest.approx(0, abs=7)


# Not the organ, whose stops beat with each other: no two recordings of it repeat after the same time.
@pytest.mark.parametrize("program", [56, 57, 71, 73])
def test_neighbouring_recordings_meet_in_tune(program):
    # The same key, from the recording below and from the one above.
    for lower, upper in pairwise(zones(program)):
        key = lower.high
        pitches = [
            fundamental(play(zone, key, 1.2)[int(0.3 * RATE) : int(1.1 * RATE)], hertz(key)) for zone in (lower, upper)
        ]
        assert 1200 * np.log2(pitches[1] / pitches[0]) == pytest.approx(0, abs=8)


def test_an_octave_up_is_the_recording_read_twice_as_fast():
    # The flute's lowest recording, before its loop.
    zone = zones(73)[0]
    plain = replace(zone, tuning=0.0, attack=0.0, decay=1e6)
    slow, fast = play(plain, plain.root, 1.0), play(plain, plain.root + 12, 1.0)
    np.testing.assert_allclose(fast[1000:8000], slow[2000:16000:2], atol=2e-3)
    assert np.abs(slow[2000:16000]).max() > 0.05


def test_at_its_own_key_a_recording_is_only_resampled():
    zone = replace(zones(68)[1], tuning=0.0, attack=0.0, hold=10.0, gain=1.0)
    source, rate = soundfile.read(io.BytesIO(zone.data))
    wave = play(zone, zone.root, 0.4)[500:15000]
    expected = resample_poly(source, RATE, rate)[: len(wave) + 600]
    # The same wave, a fraction of a sample late at most.
    best = max(np.corrcoef(wave, expected[500 + lag : 500 + lag + len(wave)])[0, 1] for lag in range(-3, 4))
    assert best > 0.995


@pytest.mark.parametrize("key", [36, 38, 42, 49])
def test_a_drum_sounds_the_same_at_any_pitch(key):
    zone = zone_of(0, key, is_drum=True)
    np.testing.assert_array_equal(play(zone, key, 0.2), play(zone, key + 17, 0.2))
    assert zone_of(0, 36, is_drum=True) != zone_of(0, 42, is_drum=True)


# The loop -------------------------------------------------------------------------------------------


def click(zone, key):
    """How sharp the corner is where a held note goes round its loop: in dB below the tone, and over the rest of it.

    A click is a corner in the wave: energy above 9 kHz within a millisecond.
    """
    _, rate = soundfile.read(io.BytesIO(zone.data))
    speed = rate / RATE * 2 ** ((key - zone.root + zone.tuning) / 12)
    start, end = (samples / speed for samples in zone.loop)
    wraps = end + (end - start) * np.arange(4)
    seconds = (end + 4 * (end - start)) / RATE
    wave = play(replace(zone, attack=0.0, decay=1e6), key, seconds)[: int(seconds * RATE)].astype(np.float64)
    high = sosfiltfilt(butter(6, 9000, "high", fs=RATE, output="sos"), wave)
    energy = np.convolve(high**2, np.ones(44) / 44, "same")
    elsewhere = np.ones(len(wave), dtype=bool)
    elsewhere[: int(start)] = elsewhere[-400:] = False
    for wrap in wraps:
        elsewhere[int(wrap) - 60 : int(wrap) + 60] = False
    corner = max(energy[int(wrap) - 30 : int(wrap) + 30].max() for wrap in wraps)
    tone = np.mean(wave[int(start) :] ** 2)
    return 10 * np.log10(corner / tone), 10 * np.log10(corner / energy[elsewhere].max())


# Loudest corner that may stand out, in dB below the tone. Three of the piano's recordings, looped after seconds,
# tick faintly.
FAINT = {0: -32.0}


@pytest.mark.parametrize("program", LOOPED)
def test_going_round_the_loop_makes_no_click(program):
    for zone in zones(program):
        if zone.loop is not None:
            below_tone, over_rest = click(zone, zone.root)
            assert over_rest < 3 or below_tone < FAINT.get(program, -48.0), f"recording of {zone.root}"


@pytest.mark.parametrize("program", [0, 19, 56, 68])
def test_a_loop_that_ends_in_the_wrong_place_clicks(program):
    # The measure of the test above hears a loop that is a third of a period too short.
    zone = zones(program)[1]
    _, rate = soundfile.read(io.BytesIO(zone.data))
    start, end = zone.loop
    below_tone, over_rest = click(replace(zone, loop=(start, end - round(rate / hertz(zone.root) / 3))), zone.root)
    assert over_rest > 3
    assert below_tone > FAINT.get(program, -48.0)


def test_the_looped_part_repeats():
    # An oboe held for four rounds: the wave comes back after the loop's length.
    zone = replace(zone_of(68, 74), tuning=0.0, hold=30.0, attack=0.0)
    _, rate = soundfile.read(io.BytesIO(zone.data))
    start, end = (round(samples * RATE / rate) for samples in zone.loop)
    wave = play(zone, zone.root, (end + 3 * (end - start)) / RATE)
    one, two = wave[end : 2 * end - start], wave[2 * end - start : 3 * end - 2 * start]
    assert np.corrcoef(one, two)[0, 1] > 0.98
    assert np.abs(one).max() > 0.01


# The envelope ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", INSTRUMENTS)
def test_a_note_begins_and_ends_at_nothing(program):
    wave = play(zone_of(program, 60), 60, 0.7)
    assert wave.dtype == np.float32
    assert wave.ndim == 1
    assert np.isfinite(wave).all()
    assert wave[0] == 0
    assert wave[-1] == 0
    assert 0.005 < np.abs(wave).max() < 2


def test_a_note_lasts_as_long_as_it_is_held_and_then_dies_away():
    zone = replace(zone_of(71, 64), release=0.5)
    for seconds in (0.25, 0.8):
        wave = play(zone, 64, seconds)
        assert len(wave) == round(seconds * RATE) + int(0.7 * 0.5 * RATE)
        held, tail = np.split(wave, [round(seconds * RATE)])
        peaks = [np.abs(part).max() for part in np.array_split(tail[: len(tail) // 7 * 7], 7)]
        assert all(later < earlier for earlier, later in pairwise(peaks))
        assert np.abs(held[-2000:]).max() > 0.2 * np.abs(held).max()
    assert np.array_equal(play(zone, 64, 0.8)[:11000], play(zone, 64, 0.25)[:11000])


def test_the_release_falls_by_its_own_rate():
    # 100 dB in a second: 20 dB in 0.2 s. Measured on a sustained tone without decay.
    zone = replace(zone_of(71, 64), release=1.0, hold=9.0)
    wave = play(zone, 64, 1.0)

    def level(at):
        return 20 * np.log10(np.sqrt(np.mean(wave[int(at * RATE) : int((at + 0.05) * RATE)].astype(float) ** 2)))

    assert level(1.1) - level(1.3) == pytest.approx(20, abs=1)
    assert level(0.7) - level(0.9) == pytest.approx(0, abs=1)


def test_decay_falls_to_the_sustained_level_and_stays():
    zone = replace(zone_of(71, 64), hold=0.0, decay=0.5, sustain=12.0)
    flat = play(replace(zone, sustain=0.0), 64, 2.0)
    wave = play(zone, 64, 2.0)
    for at, expected in ((0.03, 6.0), (0.06, 12.0), (1.0, 12.0), (1.9, 12.0)):
        n = int(at * RATE)
        ratio = np.abs(flat[n : n + 200]).max() / np.abs(wave[n : n + 200]).max()
        assert 20 * np.log10(ratio) == pytest.approx(expected, abs=0.8)


def test_a_note_of_no_length_is_still_a_sound_without_a_click():
    for program in (0, 46, 73):
        wave = play(zone_of(program, 67), 67, 0.0)
        assert len(wave) > 1
        assert np.isfinite(wave).all()
        assert wave[-1] == 0


def test_a_note_is_the_same_each_time():
    zone = zone_of(48, 55)
    np.testing.assert_array_equal(play(zone, 55, 0.3), play(zone, 55, 0.3))
    assert sampler.zones(48) is sampler.zones(48)
