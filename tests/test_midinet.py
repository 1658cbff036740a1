"""MidiNet: what it is told, what it makes of that, and what its discriminator hears."""

import pytest
import torch

from ganmusic.models.midinet import (
    CHORD,
    MidiNetDiscriminator,
    MidiNetGenerator,
    chord_roll,
    read_chords,
)
from ganmusic.recipes import RECIPES, sizes
from ganmusic.train import AdversarialGame

C_MAJOR, A_MINOR = (0, False), (9, True)


def vector(root, minor):
    numbers = torch.zeros(CHORD)
    numbers[root], numbers[-1] = 1, float(minor)
    return numbers


def rolls(*melodies):
    """Rolls of two bars over C major and A minor: for each melody its notes as (step, steps, column)."""
    found = torch.zeros(len(melodies), 2, 2, 2, 16, 48)
    for clip, notes in zip(found, melodies, strict=True):
        for begin, lasts, column in notes:
            clip[0, 0].flatten(0, 1)[begin : begin + lasts, column] = 1
            clip[1, 0].flatten(0, 1)[begin, column] = 1
    found[:, :, 1] = chord_roll(torch.stack([vector(*C_MAJOR), vector(*A_MINOR)]).expand(len(melodies), -1, -1), 16, 48)
    return found


#: The first bar is over at step 12, the other ties its last note over the bar line.
TWO = rolls([(0, 4, 24), (4, 8, 28), (16, 16, 31)], [(0, 2, 40), (2, 2, 40), (8, 12, 30)])


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return MidiNetGenerator(n_bars=2, channels=16, n_condition=8)


def test_chords_are_triads_in_root_position():
    found = chord_roll(torch.stack([vector(*C_MAJOR), vector(*A_MINOR), torch.zeros(CHORD)])[None], 16, 48)[0]
    assert [bar[0].nonzero().flatten().tolist() for bar in found[0]] == [[12, 16, 19], [21, 24, 28], []]
    assert torch.equal(found[0, :, 0], found[0, :, -1])  # they are held ...
    assert torch.equal(found[1].sum((1, 2)), torch.tensor([3.0, 3, 0]))  # ... and begin once


@pytest.mark.parametrize("chord", [(root, minor) for root in range(12) for minor in (False, True)])
def test_a_chord_is_read_back_from_its_notes(chord):
    numbers = vector(*chord)
    assert torch.equal(read_chords(chord_roll(numbers.expand(2, 3, -1), 8, 36)[:, 0]), numbers.expand(2, 3, -1))


def test_a_bar_without_a_chord_is_told_as_nothing():
    assert not read_chords(torch.zeros(1, 1, 4, 36)).any()


def test_what_is_asked_is_the_first_bar_and_the_chords(generator):
    line, begins, chords = generator.eval().ask(TWO).split([16, 16, 2 * CHORD], 1)
    assert line[0].tolist() == [25] * 4 + [29] * 8 + [0] * 4
    assert begins[1].nonzero().flatten().tolist() == [0, 2, 8]
    assert torch.equal(chords[0], torch.cat([vector(*C_MAJOR), vector(*A_MINOR)]))


def test_what_is_given_comes_out_as_it_went_in(generator):
    torch.manual_seed(1)
    made = generator(generator.latent(2), generator.ask(TWO))
    assert torch.equal(made[:, :, :, 0], TWO[:, :, :, 0])
    assert torch.equal(made[:, :, 1], TWO[:, :, 1])
    assert not torch.equal(made[:, :, 0, 1], TWO[:, :, 0, 1])


def test_a_bar_depends_on_its_noise_on_its_chord_and_on_the_bar_before(generator):
    torch.manual_seed(1)
    generator.eval()
    z, other = torch.randn(2, 3, 100).unbind()
    chord, before = vector(*C_MAJOR).expand(3, -1), TWO[:1, :, 0, 0].expand(3, -1, -1, -1)
    bar = generator.bar(z, before, chord)
    assert torch.equal(bar, generator.bar(z, before, chord))
    assert not torch.equal(bar, generator.bar(other, before, chord))
    assert not torch.equal(bar, generator.bar(z, before, vector(*A_MINOR).expand(3, -1)))
    assert not torch.equal(bar, generator.bar(z, TWO[1:, :, 0, 0].expand(3, -1, -1, -1), chord))


def test_a_note_may_be_held_over_the_bar_line(generator):
    with torch.no_grad():
        generator.choose.bias[-1] = 100.0  # hold, whatever happens
    before = TWO[1:, :, 0, 0]  # sounds to its end
    sounding, onset = generator.eval().bar(torch.randn(1, 100), before, vector(*C_MAJOR)[None])[0]
    assert torch.equal(sounding, before[0, 0, -1:].expand(16, -1))
    assert not onset.any()


def test_a_melody_has_one_note_at_a_time_and_what_begins_sounds(generator):
    made = generator.eval().sample(generator.latent(8, 5))
    assert made.shape == (8, 2, 2, 5, 16, 48)
    assert made[:, 0, 0].sum(-1).max() == 1
    assert not (made[:, 1] & ~made[:, 0]).any()


def test_bars_follow_one_another(generator):
    torch.manual_seed(1)
    generator.eval()
    z, chords = generator.latent(2, 3), torch.stack([vector(*C_MAJOR)] * 3).expand(2, -1, -1)
    made = generator.over(z, chords, TWO[:, :, 0, 0])
    for bar, before in enumerate([TWO[:, :, 0, 0], *made[:, :, 0, :-1].unbind(2)]):
        assert torch.equal(made[:, :, 0, bar], generator.bar(z[:, bar], before, chords[:, bar]))


def test_it_remembers_what_music_asked_and_goes_on_from_there(generator):
    generator.eval().ask(TWO)
    assert generator.examples.n_kept == 0  # not in training
    silent = generator.sample(generator.latent(1, 4))
    assert silent[0, 0, 1, :, 0].nonzero()[:3, 1].tolist() == [12, 16, 19]  # C major, before anything was asked
    generator.train().ask(TWO)
    made = generator.eval().sample(generator.latent(3, 4))
    roots = made[:, 0, 1, :, 0].int().argmax(-1)
    assert roots.tolist() == [[12, 21, 12, 21]] * 3  # its chords, round again
    assert torch.equal(made, generator.sample(generator.latent(3, 4))) is False  # new noise, new melodies


def test_chords_that_are_given_are_kept_to(generator):
    generator.eval()
    z = generator.latent(2, 3)
    made = generator.sample_over(z, [C_MAJOR, A_MINOR, (11, False)])
    assert made.dtype == torch.bool
    assert made[0, 0, 1, :, 7].nonzero()[:, 1].tolist() == [12, 16, 19, 21, 24, 28, 23, 27, 30]
    assert torch.equal(made[0, :, 1], made[1, :, 1])


def test_a_melody_begins_from_the_example_that_is_asked_for(generator):
    generator.ask(TWO)
    z = generator.eval().latent(1, 2).expand(3, -1, -1)
    first, second, third = generator.sample_over(z, [C_MAJOR, A_MINOR], torch.tensor([0, 1, 2]))
    assert torch.equal(first, third)  # there are two, and then it is the first one's turn again
    assert not torch.equal(first, second)


@pytest.mark.parametrize("n_heard", [1, 2])
def test_the_discriminator_hears_the_bar_its_chord_and_perhaps_the_bar_before(n_heard):
    torch.manual_seed(0)
    discriminator = MidiNetDiscriminator(channels=(8, 8, 8), n_heard=n_heard)
    before, chord = (TWO.clone() for _ in range(2))
    before[:, :, 0, 0] = before[:, :, 0, 0].roll(1, -1)
    chord[:, :, 1, 1] = chord[:, :, 1, 1].roll(1, -1)
    logits = discriminator(TWO)
    assert logits.shape == (2, 1)
    assert torch.equal(discriminator(before), logits) == (n_heard == 1)
    assert not torch.equal(discriminator(chord), logits)
    assert discriminator(torch.cat([TWO, TWO], 3)).shape == (2, 3)


def test_its_first_feature_is_the_bar_itself():
    discriminator = MidiNetDiscriminator(channels=(8, 8, 8), n_heard=1)
    heard, inner = discriminator.features(TWO)
    assert torch.equal(heard[:, :48].transpose(1, 2), TWO[:, 0, 0, 1])
    assert torch.equal(heard[:, 48], TWO[:, 1, 0, 1].sum(-1))
    assert torch.equal(heard[0, 49:, 3], vector(*A_MINOR))
    assert inner.shape == (2, 8, 8)


@pytest.mark.parametrize("recipe", ["midinet", "midinet_paper"])
def test_the_recipes_play(recipe):
    torch.manual_seed(0)
    game = RECIPES[recipe].game
    players = AdversarialGame(
        MidiNetGenerator(n_bars=2, channels=16, n_condition=8), MidiNetDiscriminator(channels=(8, 8, 8)), **game
    )
    row = players.step(TWO.repeat(2, 1, 1, 1, 1, 1))
    assert row["matching"] > 0
    assert players.sample(3).shape == (3, 2, 2, 2, 16, 48)


def test_other_tracks_and_few_pitches_are_refused():
    with pytest.raises(ValueError, match="two tracks, a melody and its chords, as the corpus 'leadsheets' has; 4 do"):
        MidiNetGenerator(n_tracks=4)
    with pytest.raises(ValueError, match="two tracks"):
        MidiNetDiscriminator(n_tracks=1)
    with pytest.raises(ValueError, match="chords need 36 pitches; 24 do not fit"):
        MidiNetGenerator(n_pitches=24)


@pytest.mark.parametrize("n_steps", [6, 12, 24])
def test_bars_of_twos_and_threes_fit(n_steps):
    generator, discriminator = MidiNetGenerator(n_steps=n_steps, channels=8), MidiNetDiscriminator(n_steps=n_steps)
    made = generator(generator.latent(3))
    assert made.shape == (3, 2, 2, 4, n_steps, 48)
    assert discriminator(made).shape == (3, 3)


def test_a_recipe_is_trained_on_two_bars(monkeypatch):
    generator, discriminator = sizes(RECIPES["midinet"])
    assert (generator["n_tracks"], generator["n_bars"]) == (2, 2)
    assert "n_bars" not in discriminator
