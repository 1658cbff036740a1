"""The choir: its autoencoder, what it is asked, how it obeys, and that it is free where nothing is asked."""

import pytest
import torch

from ganmusic.keys import PROFILES
from ganmusic.models.choir import (
    BeatDecoder,
    ChoirDiscriminator,
    ChoirGenerator,
    blur,
    by_move,
    heard,
    held_line,
    parallels,
)
from ganmusic.train import AdversarialGame


def notes(*voices, n_bars=2, n_steps=4, n_pitches=24):
    """A roll ``(1, plane, track, bar, step, pitch)`` of (onset, duration, pitch) for each voice."""
    roll = torch.zeros(2, len(voices), n_bars * n_steps, n_pitches)
    for k, voice in enumerate(voices):
        for onset, duration, pitch in voice:
            roll[0, k, onset : onset + duration, pitch] = 1
            roll[1, k, onset, pitch] = 1
    return roll.unflatten(2, (n_bars, n_steps))[None]


def tiny(n_tracks=2, **sizes):
    torch.manual_seed(0)
    sizes = {"n_latent": 8, "n_codes": 6, "channels": (16, 8), "hidden": 16, **sizes}
    return ChoirGenerator(n_tracks, n_steps=4, n_pitches=24, **sizes)


ROLL = notes([(0, 4, 12), (4, 2, 14)], [(0, 3, 0), (3, 5, 9)])


def test_controls_by_hand():
    """Steps: C 4 + 3, D 2, A 5 of 14; four notes in two bars; and the mean pitch is (48 + 28 + 0 + 45) / 14."""
    ((mode, density, register),) = heard(ROLL).tolist()

    def at(pitch_class):  # of A minor the first degree is 9
        return PROFILES["major"][pitch_class] - PROFILES["minor"][(pitch_class + 3) % 12]

    assert mode == pytest.approx((7 * at(0) + 2 * at(2) + 5 * at(9)) / 14, abs=1e-6)
    assert density == pytest.approx(2.0)
    assert register == pytest.approx((4 * 12 + 2 * 14 + 5 * 9) / 14, abs=1e-5)


def test_silence_has_controls():
    assert heard(torch.zeros(1, 2, 2, 2, 4, 24)).isfinite().all()


def test_major_is_above_minor():
    major = notes([(0, 8, 12)], [(0, 8, 4)], [(0, 8, 7)])
    minor = notes([(0, 8, 12)], [(0, 8, 4)], [(0, 8, 9)])
    assert heard(major)[0, 0] > 0 > heard(minor)[0, 0]


def test_what_is_asked_is_what_was_there():
    generator = tiny()
    asked = generator.ask(ROLL.expand(400, -1, -1, -1, -1, -1))
    assert torch.allclose(asked[:, :3], heard(ROLL).expand(400, -1))
    pitch, begin = asked[0, 7:].split(8)
    assert pitch.tolist() == [12, 12, 12, 12, 0, 0, 0, 9]
    assert begin.tolist() == [1, 0, 0, 0, 1, 0, 0, 1]


def test_questions_are_left_out_at_random():
    asked = tiny().ask(ROLL.expand(4000, -1, -1, -1, -1, -1))
    told = asked[:, 3:7]
    assert told.unique().tolist() == [0, 1]
    # Three clips in ten are asked nothing at all, and of the others as often each question is left out.
    assert told.mean(0).tolist() == pytest.approx([0.49] * 4, abs=0.03)
    assert (told.sum(1) == 0).float().mean().item() == pytest.approx(0.3 + 0.7 * 0.3**4, abs=0.03)


def test_silent_steps_of_a_given_bar_are_silent():
    generator = tiny()
    asked = generator.ask(notes([(1, 2, 5)], []))
    pitch, begin = asked[0, 7:].split(8)
    assert pitch.tolist() == [24, 5, 5, 24, 24, 24, 24, 24]
    assert begin.tolist() == [1, 1, 0, 1, 1, 1, 1, 1]


def test_a_given_bar_is_kept_note_for_note():
    generator = tiny().eval()
    asked = generator.ask(ROLL.expand(2, -1, -1, -1, -1, -1))
    asked[:, 3:7] = torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, 0]])
    z = generator.latent(2, n_bars=3, generator=torch.Generator().manual_seed(1))
    rolls = generator.sample(z, asked)
    assert rolls.shape == (2, 2, 2, 3, 4, 24)
    assert torch.equal(rolls[0, :, :, 0], ROLL[0, :, :, 0].bool())
    assert torch.equal(rolls[1], generator.sample(z)[1])  # asked nothing: free
    assert not torch.equal(rolls[0, :, :, 1:], generator.sample(z)[0, :, :, 1:])  # and goes on from it


def test_a_note_may_be_held_over_from_the_given_bar():
    """A generator that always holds keeps the last note of the bar that it was given."""
    generator = tiny().eval()
    for voice in generator.decoder.voices:
        hold = voice[-1].out_features // 2 * torch.arange(2) + 25  # after the pitches and silence, at each step
        voice[-1].weight.data[hold] = 0
        voice[-1].bias.data[hold] = 9.0
    asked = generator.ask(ROLL)
    asked[:, 3:7] = torch.tensor([0.0, 0, 0, 1])
    sounding, onset = generator.sample(generator.latent(1, n_bars=2), asked)[0].unbind(0)
    assert sounding[0, 1, :, 12].all()
    assert sounding[1, 1, :, 9].all()
    assert not onset[:, 1].any()


@pytest.mark.parametrize("control", range(3))
def test_each_question_changes_the_music(control):
    generator = tiny().eval()
    generator.examples.keep(generator.ask(torch.cat([ROLL, ROLL.roll(3, -1)])))
    asked = generator.ask(ROLL)
    asked[:, 3:7] = 0
    z = generator.latent(1)
    free = generator(z, asked)
    asked[:, 3 + control] = 1
    asked[:, control] += 5.0
    assert not torch.equal(generator(z, asked), free)
    assert torch.equal(generator(z), free)


def test_controls_are_heard_in_deviations_of_real_clips_where_they_are_asked():
    """Two real clips: one note a bar and three, spread by 1 about 2."""
    generator = tiny().eval()
    rows = torch.zeros(2, generator.examples.rows.shape[1])
    rows[:, :3] = torch.tensor([[0.0, 1.0, 5.0], [0.0, 3.0, 9.0]])
    generator.examples.keep(rows)
    asked = generator.ask(ROLL)
    asked[:, :7] = torch.tensor([0.02, 5.0, 11.0, 1, 1, 0, 0])
    # The real clips do not differ in their mode: the least spread counts, 0.01.
    assert generator.controls(asked)[0].tolist() == pytest.approx([2.0, 3.0, 0.0, 1, 1, 0])


def test_the_miss_counts_only_what_was_asked():
    """In standard deviations of what real clips have: two of them, one note a bar and three, spread by 1."""
    generator = tiny().eval()
    rows = torch.zeros(2, generator.examples.rows.shape[1])
    rows[:, :3] = torch.tensor([[0.0, 1.0, 5.0], [0.0, 3.0, 9.0]])
    generator.examples.keep(rows)
    asked = generator.ask(ROLL)  # 2 notes a bar
    asked[:, 3:7] = 0
    assert generator.missed(ROLL, asked).tolist() == [0]
    asked[0, 1], asked[0, 4] = 5.0, 1.0
    assert generator.missed(ROLL.bool(), asked).tolist() == pytest.approx([9.0], rel=1e-5)
    asked[0, 2], asked[0, 5] = heard(ROLL)[0, 2] + 4.0, 1.0
    assert generator.missed(ROLL, asked).tolist() == pytest.approx([9.0 + 4.0], rel=1e-5)


def test_the_discriminator_is_shown_codes_and_what_was_asked():
    generator = tiny().eval()
    asked = generator.ask(ROLL)
    asked[:, 3:7] = torch.tensor([0.0, 1, 0, 1])
    shown = generator.see(ROLL, asked)
    mean, _ = generator.encoder(*ROLL.flatten(3, 4).unbind(1))
    assert shown.shape == (1, 6 + 6, 4)  # two beats a bar
    assert torch.equal(shown[:, :6], mean)
    assert torch.equal(shown[0, 6:], generator.controls(asked)[0].unsqueeze(1).expand(-1, 4))
    made = generator(generator.latent(1, n_bars=2), asked)
    assert torch.equal(made[:, 6:], shown[:, 6:])
    assert torch.allclose(made[..., :2], shown[..., :2])  # the given bar's codes are its own
    assert not torch.allclose(made[:, :6, 2:], shown[:, :6, 2:])
    assert not generator(generator.latent(1, n_bars=2))[:, 6:].any()


def test_a_line_is_held_until_something_begins():
    def scores(*pitches):
        return torch.eye(4)[list(pitches)][None]

    begin = torch.tensor([[False, True, False, True]])
    alone = torch.zeros(1, 4, 25), torch.zeros(1, 4, 0), torch.zeros(1, 0, 5, 3)  # no likings, no other voices
    sounding, onset = held_line(scores(0, 1, 2, 3), begin, torch.eye(3)[2:], *alone)[0]
    assert sounding.tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 0, 0]]  # pitch 3 is silence
    assert onset.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    sounding, onset = held_line(scores(0, 1, 2, 3), begin, None, *alone)[0]  # before the first step nothing to hold
    assert sounding[0].tolist() == onset[0].tolist() == [1, 0, 0]


def test_a_line_goes_on_by_the_moves_that_it_likes():
    """Up a tone and up again, from wherever it is; scores of pitches decide only where there is nothing before."""
    likes, begin = torch.zeros(2, 3, 25), torch.ones(2, 3, dtype=torch.bool)
    likes[:, :, 12 + 2] = 2.0
    scores = torch.eye(25)[torch.tensor([[7, 0, 0], [3, 0, 0]])]
    alone = torch.zeros(2, 3, 0), torch.zeros(2, 0, 4, 24)
    sounding, _ = held_line(scores, begin, None, likes, *alone).unbind(1)
    assert sounding.argmax(-1).tolist() == [[7, 9, 11], [3, 5, 7]]
    sounding, _ = held_line(scores, begin, torch.eye(24)[[10, 20]], likes, *alone).unbind(1)
    assert sounding.argmax(-1).tolist() == [[12, 14, 16], [22, 0, 2]]  # 24 is not on the grid


@pytest.mark.parametrize(
    ("fifths", "octaves", "sung"),
    [(0.0, 0.0, [2, 4, 6]), (-3.0, 0.0, [2, 4, 6]), (0.0, -3.0, [3, 4, 4])],
)
def test_a_line_keeps_out_of_parallels_that_it_dislikes_at_every_step(fifths, octaves, sung):
    """It would like to go up an octave below another voice. From 3 to 4, below 14 and 16, there are no octaves."""
    scores = 2 * torch.eye(25)[[2, 4, 6]] + torch.eye(25)[[3, 7, 4]]
    begin, likes = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 3, 25)
    parallel = torch.tensor([fifths, octaves]).expand(1, 3, 2)
    others = torch.eye(24)[[12, 14, 16, 18]][None, None]
    line = held_line(scores[None], begin, torch.eye(24)[:1], likes, parallel, others)
    assert line[0, 0].argmax(-1).tolist() == sung


@pytest.mark.parametrize(
    ("was", "move", "to"),
    [(5, 2, 7), (5, -3, 2), (5, 0, 5), (0, 12, 12), (23, -12, 11), (20, 5, None), (2, -5, None), (None, 1, None)],
)
def test_moves_by_hand(was, move, to):
    likes = torch.zeros(2, 25)
    likes[1, move + 12] = 3.0
    before = torch.zeros(2, 24) if was is None else torch.eye(24)[[was, was]]
    expected = torch.zeros(2, 25)
    if to is not None:
        expected[1, to] = 3.0
    assert torch.equal(by_move(likes, before), expected)


@pytest.mark.parametrize(
    ("was", "other", "now", "fifth", "octave"),
    [
        (0, 7, 9, 2, None),  # a fifth apart, the other goes up a tone
        (5, 12, 10, 3, None),
        (0, 19, 21, 2, None),  # a twelfth is a fifth
        (3, 15, 14, None, 2),
        (3, 3, 5, None, 5),  # so is a unison an octave
        (7, 0, 2, 9, None),  # the other may lie below
        (5, 0, 2, None, None),  # a fourth is none
        (0, 7, 7, None, None),  # it stays
        (0, 4, 6, None, None),  # a third
        (1, 8, 2, None, None),  # it would leave the grid
        (None, 7, 9, None, None),
        (0, 7, None, None, None),
    ],
)
def test_parallels_by_hand(was, other, now, fifth, octave):
    def at(pitch):
        return torch.eye(24)[pitch] if pitch is not None else torch.zeros(24)

    found = parallels(at(was), at(other)[None], at(now)[None])
    assert torch.equal(found, torch.stack([at(fifth), at(octave)]))


def decoder(n_tracks=3):
    torch.manual_seed(1)
    made = BeatDecoder(n_tracks, n_pitches=24, steps_per_beat=2, n_codes=6, hidden=16)
    for voice in made.voices:  # so that something is held, and something begins, and something is silent
        voice[-1].bias.data = torch.randn_like(voice[-1].bias)
    return made.eval()


def test_what_is_sung_is_what_scores_best():
    """Told what it has sung, the decoder scores just that highest: what it learns from is what it does."""
    made = decoder()
    for voice, network in enumerate(made.voices):  # that likes parallels, so that there are many
        network[-1].bias.data.unflatten(0, (2, -1))[:, 26 : 26 + 2 * voice] = 20
    codes = 3 * torch.randn(1000, 6, 4)
    planes = made.sing(codes)
    scores, hold = made(codes, planes[:, 0])  # likings for moves are in these scores, and what is thought of parallels
    none = torch.zeros(1000, 8, 25), torch.zeros(1000, 8, 0), torch.zeros(1000, 0, 9, 24)
    again = torch.stack(
        [held_line(scores[:, voice], hold[:, voice] <= 0, None, *none) for voice in range(3)], 2
    )
    assert torch.equal(again, planes)
    assert 0 < planes[:, 1].sum() < planes[:, 0].sum()
    before, now = planes[:, 0, :, :-1].transpose(1, 2), planes[:, 0, :, 1:].transpose(1, 2)
    marked = parallels(before[:, :, 2], before[:, :, :2], now[:, :, :2]).sum((0, 2, 3))
    assert marked[::2].sum() > 10  # within beats
    assert marked[1::2].sum() > 50  # and into them


def test_a_quarter_of_the_beats_forgets_what_came_before_while_the_decoder_learns():
    """They score as if the beat before had been silent: no move into them is liked."""
    made = decoder().train()
    codes, sounding = torch.randn(1, 6, 1).expand(400, -1, 3), torch.zeros(400, 3, 6, 24)
    sounding[:, torch.arange(3), :, torch.tensor([15, 10, 5])] = 1
    scores, _ = made(codes, sounding)
    middle = scores[:, :, 2:4]  # a beat with one before and one after: its codes are read with both
    whole, _ = made.eval()(codes, sounding)
    untold, _ = made.train()(codes, torch.cat([torch.zeros(400, 3, 2, 24), sounding[:, :, 2:]], 2))
    remembers = torch.isclose(middle, whole[:, :, 2:4], atol=1e-5).flatten(1).all(1)
    forgets = torch.isclose(middle, untold[:, :, 2:4], atol=1e-5).flatten(1).all(1)
    assert (remembers ^ forgets).all()
    assert 260 < remembers.sum() < 340


def test_parallels_are_shown_at_every_step_even_to_who_forgets(monkeypatch):
    """The soprano goes 12, 14, 16, 18; a fifth below it the alto is on 5, 7, 9, 11, and a fifth further on none."""
    monkeypatch.setattr("ganmusic.models.choir.FORGET", 1.0)
    made, codes = decoder(2).train(), torch.randn(1, 6, 2)
    sounding = torch.zeros(1, 2, 4, 24)
    sounding[0, 0, range(4), [12, 14, 16, 18]] = sounding[0, 1, range(4), [5, 7, 9, 11]] = 1
    scores, _ = made(codes, sounding)
    with monkeypatch.context() as patched:
        patched.setattr("ganmusic.models.choir.parallels", lambda *given: torch.zeros_like(parallels(*given)))
        unshown, _ = made(codes, sounding)
    step, pitch = (scores != unshown)[0, 1].nonzero().T.tolist()
    assert (step, pitch) == ([1, 2, 3], [7, 9, 11])
    assert torch.equal(scores[0, 0], unshown[0, 0])


def test_a_clip_depends_on_its_own_codes_alone():
    made = decoder()
    codes = torch.randn(5, 6, 4)
    assert torch.equal(made.sing(codes)[2], made.sing(codes[2:3])[0])
    assert not torch.equal(made.sing(codes)[2], made.sing(codes)[3])


def test_given_and_real_codes_are_equally_exact_in_half_precision():
    generator = tiny()
    asked = generator.ask(ROLL.expand(8, -1, -1, -1, -1, -1))
    asked[:, 6] = 1
    z = generator.latent(8, n_bars=2)
    with torch.autocast("cpu", torch.bfloat16):
        shown = generator(z, asked)
    assert torch.equal(shown[..., :2], generator.see(ROLL.expand(8, -1, -1, -1, -1, -1), asked)[..., :2])
    assert not torch.equal(shown[..., 2:], generator(z, asked)[..., 2:])  # those that are made are half as exact


def test_the_price_of_a_code_by_hand():
    """An encoder that says nothing: means 0, log variances -2, so (e^-2 - 1 + 2) / 2 nats for each of six numbers."""
    losses = []
    for kl in (1.0, 3.0):
        generator = tiny(kl=kl)
        generator.encoder.layers[-1].weight.data.zero_()
        torch.manual_seed(0)
        losses.append(generator.learn(ROLL).item())
    assert (losses[1] - losses[0]) / 2 == pytest.approx(6 * (torch.tensor(-2.0).exp().item() + 1) / 2, rel=1e-4)


def test_the_autoencoder_learns_to_write_down_what_it_hears():
    torch.manual_seed(0)
    generator = tiny(kl=0.05, hidden=48)
    real = torch.cat([ROLL, ROLL.roll(3, -1), ROLL.flip(2)])
    optimizer = torch.optim.Adam(generator.parameters(), 2e-3)
    for _ in range(400):
        optimizer.zero_grad()
        generator.learn(real).backward()
        optimizer.step()
    codes, _ = generator.encoder(*real.flatten(3, 4).unbind(1))
    assert torch.equal(generator.decoder.sing(codes), real.flatten(3, 4))
    assert all(weight.grad is None for weight in generator.unfold.parameters())


def test_the_game_leaves_the_autoencoder_alone():
    generator = tiny()
    asked = generator.ask(ROLL.expand(8, -1, -1, -1, -1, -1))
    asked[:, 6] = 1
    ChoirDiscriminator(2, 4, n_codes=6, channels=8)(generator(generator.latent(8, n_bars=2), asked)).sum().backward()
    assert all(weight.grad is None for weight in (*generator.encoder.parameters(), *generator.decoder.parameters()))
    assert generator.recall.weight.grad.abs().sum() > 0


def test_the_price_of_wrong_notes_by_hand():
    """A decoder that scores all alike, on one voice that sings a note of two steps and a rest of two."""
    torch.manual_seed(0)
    generator = tiny(n_tracks=1, kl=0.0)
    for part in (generator.decoder.voices[0][-1], generator.decoder.line):
        part.weight.data.zero_()
        part.bias.data.zero_()
    generator.decoder.centre.data.fill_(0)
    real = notes([(0, 2, 0)], n_bars=1)
    liked = torch.cat([-0.5 * (torch.arange(24) / 4.0) ** 2, torch.zeros(1)])  # the voice's line, and silence
    low, rest = -liked.log_softmax(0)[[0, 24]].double()
    # Steps 0, 2 and 3 begin (silence does at each step), step 1 is held; whether step 0 begins is not asked.
    expected = low + 0.01 * low + 2 * rest + 3 * torch.tensor(2.0).log()
    assert generator.learn(real).item() == pytest.approx(expected.item() / 2, rel=1e-4)  # two beats


def test_codes_can_be_moved_up_and_down():
    """The lines are a linear function of the codes: a step along them lifts every voice."""
    torch.manual_seed(0)
    made = decoder()
    made.line.weight.data.zero_()
    made.line.weight.data[:, 0] = 1
    codes = 0.1 * torch.randn(1, 6, 4)
    (_, near), (_, nearer_above) = made.tell(codes), made.tell(codes + torch.eye(6)[0, :, None])
    assert (nearer_above.argmax(-1) - near.argmax(-1)).eq(4).all()  # `WIDTH` semitones


def test_without_questions_the_wishes_are_those_of_real_clips():
    torch.manual_seed(0)
    generator = tiny().eval()
    z = generator.latent(400)
    assert generator.wishes(z) is None
    asked = torch.rand(5, generator.examples.rows.shape[1])
    generator.examples.keep(asked)
    wishes = generator.wishes(z)
    assert wishes[:, 3:6].eq(1).all()
    assert wishes[:, 6:].eq(0).all()
    # A quarter of the wishes lies between each two neighbours of five.
    for wished, real in zip(wishes.T, asked.T[:3], strict=False):
        assert wished.min() >= real.min()
        assert wished.max() <= real.max()
        counts = torch.histogram(wished, real.sort().values).hist
        assert counts.sum() == 400
        assert counts.min() > 70
    # Each number has its own say, and the median's is that of the remembered ones.
    middle = generator.wishes(torch.zeros_like(z[:1]))[0, :3]
    assert torch.equal(middle, asked[:, :3].median(0).values)
    moved = torch.zeros_like(z[:3])
    moved[:, 0, :3] = torch.eye(3)
    assert torch.equal(generator.wishes(moved)[:, :3] > middle, torch.eye(3) > 0)
    assert torch.equal(generator.sample(z[:3]), generator.sample(z[:3], wishes[:3]))
    assert generator.examples.rows[:5].equal(asked)  # and they stay as they were


def test_sizes_that_cannot_be_are_refused():
    tiny(n_latent=6)
    with pytest.raises(ValueError, match="at least 6 numbers, not 4"):
        tiny(n_latent=4)
    with pytest.raises(ValueError, match="at least one voice and one pitch, not 0 and 48"):
        ChoirGenerator(n_tracks=0)
    with pytest.raises(ValueError, match="bars of 0 steps do not fit"):
        ChoirGenerator(n_steps=0)


def test_near_latents_ask_for_nearly_the_same():
    torch.manual_seed(0)
    generator = tiny().eval()
    generator.examples.keep(torch.rand(50, generator.examples.rows.shape[1]))
    z = generator.latent(100)
    steps = torch.stack([generator.wishes(z + step)[:, :3] for step in torch.linspace(0, 1, 101)])
    assert steps.diff(dim=0).abs().max() < 0.1
    assert (steps[-1] > steps[0]).all()


def test_both_sides_are_blurred():
    torch.manual_seed(0)
    real, fake = blur(torch.zeros(500, 8), torch.ones(500, 8), 0.3)
    assert real.mean().item() == pytest.approx(0, abs=0.02)
    assert fake.mean().item() == pytest.approx(1, abs=0.02)
    assert real.std().item() == pytest.approx(0.3, abs=0.02)
    assert (real - (fake - 1)).std() > 0.38  # independent: the root of two times as much


@pytest.mark.parametrize(("n_steps", "n_beats"), [(16, 4), (12, 3), (2, 1), (24, 6)])
def test_bars_of_other_metres(n_steps, n_beats):
    generator = ChoirGenerator(2, n_steps, 24, n_latent=8, n_codes=6, channels=(16, 8), hidden=8).eval()
    assert generator.beats_per_bar == n_beats
    rolls = generator.sample(generator.latent(3))
    assert rolls.shape == (3, 2, 2, 4, n_steps, 24)
    logits = ChoirDiscriminator(4, n_steps, n_codes=6, channels=8)(generator(generator.latent(3)))
    assert logits.shape == (3, 3, 4 * n_beats)


def remembering(n_clips=40):
    """A choir that remembers clips of 1 to 8 notes a bar and of many heights, each in major or in minor."""
    generator = tiny().eval()
    rows = torch.zeros(n_clips, generator.examples.rows.shape[1])
    rows[:, 0] = torch.linspace(-0.05, 0.05, n_clips)
    rows[:, 1] = torch.linspace(1, 8, n_clips)
    rows[:, 2] = torch.linspace(4, 20, n_clips)
    generator.examples.keep(rows)
    return generator


def test_asking_makes_the_rows_that_real_music_makes():
    generator = remembering()
    asked = generator.ask(ROLL)
    asked[:, 3:7] = torch.tensor([0.0, 1, 1, 1])
    density, register = heard(ROLL)[0, 1:].tolist()
    rows = generator.asking(2, density=density, register=register, before=ROLL[0, :, :, 0])
    assert rows.shape == (2, asked.shape[1])
    assert torch.allclose(rows[:, 1:], asked[:, 1:].expand(2, -1))
    assert not generator.asking(3)[:, 3:7].any()


def test_a_mode_is_what_its_half_of_real_music_has():
    generator = remembering()
    (minor,), (major,) = (generator.asking(1, mode=mode)[:, 0].tolist() for mode in ("minor", "major"))
    assert minor == pytest.approx(-0.026, abs=0.002)
    assert major == pytest.approx(0.026, abs=0.002)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"mode": "dorian"}, "a mode is 'major' or 'minor', not 'dorian'"),
        ({"density": 30.0}, r"the density that this network can be asked for is 1\.1 to 7\.9, not 30\.0"),
        ({"register": -1}, r"the register that this network can be asked for is 4\.2 to 19\.8, not -1"),
        ({"density": float("nan")}, "not nan"),
    ],
)
def test_what_no_real_music_has_cannot_be_asked_for(asked, says):
    with pytest.raises(ValueError, match=says):
        remembering().asking(1, **asked)


def test_examples_are_kept_in_training_only():
    generator = tiny().eval()
    generator.ask(ROLL)
    assert generator.examples.n_kept == 0
    generator.train().ask(ROLL)
    assert generator.examples.n_kept == 1


def test_it_learns_to_obey():
    """Asked for many notes or few, after some updates it has more where more were asked for."""
    torch.manual_seed(0)
    generator = tiny()
    discriminator = ChoirDiscriminator(n_steps=4, n_codes=6, channels=16)
    game = AdversarialGame(
        generator,
        discriminator,
        "relativistic",
        lessons=150,
        lesson_rate=1e-2,
        learning_rate=5e-3,
        betas=(0.0, 0.99),
        ema=0.9,
    )
    few = notes([(0, 16, 12)], [(0, 16, 7)], n_bars=4)
    many = notes([(t, 1, 12) for t in range(16)], [(t, 1, 7) for t in range(16)], n_bars=4)
    real = torch.cat([few, many]).repeat(8, 1, 1, 1, 1, 1)
    for _ in range(150):
        game.step(real)
    game._calibrate()
    asked = game.averaged.examples.rows[:2].clone()
    asked[:, 3:7] = torch.tensor([0.0, 1, 0, 0])
    asked[:, 1] = torch.tensor([0.5, 8.0])
    z = game.averaged.latent(16).repeat(2, 1, 1)
    rolls = game.averaged.sample(z, asked.repeat_interleave(16, 0))
    low, high = heard(rolls.float())[:, 1].unflatten(0, (2, 16)).mean(1)
    assert high > low + 1
