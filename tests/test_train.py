"""The loop: budgets, schedules, repeatability, kill and resume, divergence."""

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ganmusic import checkpoint
from ganmusic.losses import LOSSES
from ganmusic.models.blocks import Examples
from ganmusic.models.convnet import ConvDiscriminator, ConvGenerator, hide_voices
from ganmusic.models.mlp import BINARY_CROSS_ENTROPY, MLPDiscriminator, MLPGenerator
from ganmusic.penalties import gradient_penalty, r1_r2
from ganmusic.train import AdversarialGame, DivergenceError, TrainConfig, fit


def tiny_game(seed=0, **options):
    torch.manual_seed(seed)
    generator = ConvGenerator(channels=(8, 8, 8, 8, 8), n_latent=4)
    discriminator = ConvDiscriminator(channels=(8, 8, 8, 8, 8))
    options = {"loss": "relativistic", "penalty": r1_r2, "penalty_every": 2, "ema": 0.9} | options
    return AdversarialGame(generator, discriminator, **options)


def batch(step):
    generator = torch.Generator().manual_seed(step)
    pitches = torch.randint(0, 48, (4, 4, 4, 16), generator=generator)
    sounding = torch.nn.functional.one_hot(pitches, 48).bool()
    return torch.stack([sounding, sounding], 1)


def same(one, two):
    return set(one) == set(two) and all(torch.equal(one[name], two[name]) for name in one)


def test_a_seed_repeats_a_run_bit_for_bit():
    runs = []
    for seed in (1, 1, 2):
        game = tiny_game()
        fit(game, batch, TrainConfig(steps=3, seed=seed), progress=False)
        runs.append(game.state_dict())
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_training_leaves_the_random_state_and_threads_alone():
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    game = tiny_game(seed=5)
    torch.set_rng_state(state)
    fit(game, batch, TrainConfig(steps=1, threads=threads + 1), progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_resume_equals_an_uninterrupted_run(tmp_path):
    config = TrainConfig(steps=6, save_every=2, sample_every=4, watch_every=3)
    whole = tiny_game()
    fit(whole, batch, config, tmp_path / "whole", watch=lambda game: 1.0, progress=False)

    class KilledError(Exception):
        pass

    def dies(step):
        if step == 5:
            raise KilledError
        return batch(step)

    with pytest.raises(KilledError):
        fit(tiny_game(), dies, config, tmp_path / "cut", watch=lambda game: 1.0, progress=False)
    resumed = tiny_game(seed=99)  # other weights, all of which are read back
    history = fit(resumed, batch, config, tmp_path / "cut", resume=True, watch=lambda game: 1.0, progress=False)
    assert same(whole.state_dict(), resumed.state_dict())
    assert [row["step"] for row in history.rows] == [1, 2, 3, 4, 5, 6]
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in checkpoint.read_log(tmp_path / "cut")]
    expected = [{k: v for k, v in row.items() if k != "seconds"} for row in checkpoint.read_log(tmp_path / "whole")]
    assert rows == expected


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
from test_train import TrainConfig, batch, fit, tiny_game
fit(tiny_game(), batch, TrainConfig(steps=40, save_every=3), sys.argv[1], resume=True, progress=False)
"""


def test_kill_minus_nine_then_resume(tmp_path):
    """The process is killed where it happens to be, twice, and goes on to the same weights."""
    run, here = tmp_path / "run", str(Path(__file__).parent)
    for already in (6, 15):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(run), here])
        while checkpoint.latest(run) is None or int(checkpoint.latest(run).name[-8:]) < already:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    subprocess.run([sys.executable, "-c", SCRIPT, str(run), here], check=True)
    whole = tiny_game()
    fit(whole, batch, TrainConfig(steps=40), progress=False)
    assert same(checkpoint.load(checkpoint.latest(run))[0], whole.state_dict())
    assert [row["step"] for row in checkpoint.read_log(run)] == list(range(1, 41))


def test_best_checkpoint_is_kept(tmp_path):
    scores = iter([5.0, 2.0, 4.0, 3.0, 6.0])
    config = TrainConfig(steps=5, save_every=1, watch_every=1)
    history = fit(tiny_game(), batch, config, tmp_path, watch=lambda game: next(scores), progress=False)
    assert history.best == {"step": 2, "score": 2.0}
    assert [int(path.name[-8:]) for path in checkpoint.checkpoints(tmp_path)] == [2, 4, 5]
    assert history.column("score") == ([1, 2, 3, 4, 5], [5.0, 2.0, 4.0, 3.0, 6.0])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("penalty", [None, r1_r2, gradient_penalty])
def test_any_loss_plays_with_any_penalty(name, penalty):
    # What nothing else bounds is bounded by its largest singular values.
    game = tiny_game(loss=name, penalty=penalty, spectral=penalty is None)
    row = game.step(batch(0))
    assert all(math.isfinite(value) for value in row.values())
    assert ("penalty" in row) == (penalty is not None)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'wasserstein' grows without end unless"):
        tiny_game(loss="wasserstein", penalty=None)
    with pytest.raises(ValueError, match="one of probabilities, and the discriminator returns logits"):
        tiny_game(loss=BINARY_CROSS_ENTROPY)
    with pytest.raises(ValueError, match="one of logits, and the discriminator returns probabilities"):
        AdversarialGame(MLPGenerator(), MLPDiscriminator(), "hinge")
    with pytest.raises(ValueError, match="no features to match"):
        tiny_game(matching=(0.1,))
    with pytest.raises(ValueError, match="no lessons to learn"):
        tiny_game(lessons=1)
    with pytest.raises(ValueError, match="are at least 1"):
        tiny_game(discriminator_steps=0)
    with pytest.raises(ValueError, match="no loss 'hings'; there are minimax, "):
        tiny_game(loss="hings")
    wrong = {"penalty_weight": 0.0, "clip": -0.1, "learning_rate": math.nan, "lesson_rate": math.inf}
    for name, number in wrong.items():
        with pytest.raises(ValueError, match=f"{name} is a positive number, not {number}"):
            tiny_game(**{name: number})
    with pytest.raises(ValueError, match=r"from 0 to less than 1, not 1\.0"):
        tiny_game(ema=1.0)
    mixing = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 4 * 4 * 16 * 48, 4), torch.nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match="batch normalisation, which mixes samples"):
        AdversarialGame(ConvGenerator(channels=(8, 8, 8, 8, 8)), mixing, penalty=r1_r2)
    for layer in (mixing, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LayerNorm(2 * 4 * 4 * 16 * 48))):
        with pytest.raises(ValueError, match="grows without end where layers normalise, which spectral does not bound"):
            AdversarialGame(ConvGenerator(channels=(8, 8, 8, 8, 8)), layer, "wasserstein", spectral=True)
    with pytest.raises(ValueError, match="take one without, or clip instead"):
        AdversarialGame(ConvGenerator(channels=(8, 8, 8, 8, 8)), mixing, "wasserstein", penalty=r1_r2)
    AdversarialGame(ConvGenerator(channels=(8, 8, 8, 8, 8)), mixing, "wasserstein", clip=0.1)
    with pytest.raises(ValueError, match="a batch of 4 cannot be shared out among 3 updates"):
        tiny_game(discriminator_steps=3).step(batch(0))
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4, 16, 48\), and the generator makes some of \(2, 4, "):
        tiny_game().step(batch(0)[:, :, :3])


def test_the_mlp_without_its_sigmoid_plays_by_any_loss():
    torch.manual_seed(0)
    game = AdversarialGame(MLPGenerator(), MLPDiscriminator(sigmoid=False), "wasserstein", clip=0.01)
    row = game.step(batch(0))
    assert all(math.isfinite(value) for value in row.values())
    assert max(weight.abs().max() for weight in game.discriminator.parameters()) <= 0.01


class Pitch(torch.nn.Module):
    """A generator and a discriminator of one weight each: what one update does can be followed."""

    monophonic = True

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.5]))
        self.calls = []

    def latent(self, n, generator=None):
        return torch.ones(n, 1)

    def forward(self, x):
        self.calls.append(len(x))
        return self.weight * x

    def features(self, x):
        return (x, 2 * x)


class Told(Pitch):
    """A generator that adds what it is asked."""

    def __init__(self):
        super().__init__()
        self.examples = Examples(3, 1)
        self.learned = torch.nn.Parameter(torch.tensor(0.0))

    def ask(self, real):
        self.examples.keep(real[:, :1])
        return real[:, :1]

    def forward(self, z, asked=None):
        asked = self.examples.take(len(z)) if asked is None else asked
        return self.weight * z + asked

    def sample(self, z, asked=None):
        return self(z, asked)

    def see(self, real, asked):
        return 10 * real + asked

    def learn(self, real):
        return (self.learned - real).square().mean()


def test_each_player_updates_as_often_as_it_is_told():
    game = AdversarialGame(Pitch(), Pitch(), discriminator_steps=3, generator_steps=2)
    game.step(torch.zeros(6, 1))
    # The discriminator judges two real and two generated samples three times; the generator draws for each of these
    # updates, and once more for its own second one.
    assert game.discriminator.calls[:3] == [4, 4, 4]
    assert game.generator.calls == [2, 2, 2, 2]
    steps = [optimizer.state_dict()["state"][0]["step"].item() for optimizer in (
        game.discriminator_optimizer, game.generator_optimizer
    )]  # fmt: skip
    assert steps == [3, 2]


def test_matching_is_in_the_generators_loss():
    """Real 2, generated 0.5: features differ by 1.5 and 3."""
    game = AdversarialGame(Pitch(), Pitch(), matching=(0.1, 0.01))
    row = game.step(torch.full((4, 1), 2.0))
    assert row["matching"] == pytest.approx(0.1 * 1.5**2 + 0.01 * 3.0**2)
    with pytest.raises(ValueError, match="matching has 1 weights for 2 features"):
        AdversarialGame(Pitch(), Pitch(), matching=(0.1,)).step(torch.full((4, 1), 2.0))


def test_a_generator_says_what_is_seen_of_real_music():
    """Real 2, asked 2: the discriminator is shown 22."""
    game = AdversarialGame(Told(), Pitch())
    assert game.step(torch.full((4, 1), 2.0))["real_logit"] == pytest.approx(22 * 0.5)


def test_lessons_come_first_and_then_end():
    """Adam moves a weight by its rate: 0.2, then half of that; nothing else learns from a lesson."""
    game = AdversarialGame(Told(), Pitch(), lessons=2, lesson_rate=0.2, learning_rate=1e-9, betas=(0.0, 0.0))
    real = torch.full((4, 1), 2.0)
    rows = [game.step(real) for _ in range(3)]
    assert [row.get("lesson_loss") for row in rows] == [pytest.approx(4.0), pytest.approx(1.8**2), None]
    assert game.generator.learned.item() == pytest.approx(0.3, abs=1e-6)
    assert game.generator.weight.item() == pytest.approx(0.5, abs=1e-6)


def test_what_real_music_asks_reaches_the_generator_and_its_average():
    game = AdversarialGame(Told(), Pitch(), ema=0.5)
    game.step(torch.tensor([[1.0], [2.0]]))
    game.step(torch.tensor([[3.0], [4.0]]))  # there is room for one more
    drawn = game.sample(4) - game.averaged.weight
    assert drawn[:, 0].tolist() == pytest.approx([1.0, 2.0, 3.0, 1.0])
    other = AdversarialGame(Told(), Pitch(), ema=0.5)
    other.load_state_dict(game.state_dict())
    assert torch.equal(other.sample(4), game.sample(4))


def test_spectral_norm_survives_a_checkpoint():
    game, other = tiny_game(spectral=True), tiny_game(seed=7, spectral=True)
    game.step(batch(0))
    other.load_state_dict(game.state_dict())
    torch.manual_seed(3)
    row = game.step(batch(1))
    torch.manual_seed(3)
    assert other.step(batch(1)) == row


def test_lazy_penalty_counts_as_often_as_it_is_left_out():
    """Every second update with twice the weight: only the first of two updates reports one."""
    game = tiny_game(penalty_every=2)
    assert ["penalty" in game.step(batch(step)) for step in range(4)] == [True, False, True, False]


def test_augmentation_is_seen_by_the_discriminator_only():
    torch.manual_seed(0)
    seen = []

    def hide(real, fake):
        seen.append(torch.equal(real, batch(0).float()))
        return hide_voices(real, fake, 1.0)

    game = tiny_game(augment=hide, penalty=None)
    row = game.step(batch(0))
    assert seen == [True, True]
    # With all voices hidden from it, the discriminator cannot tell one from the other.
    assert row["discriminator_loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_nan_names_the_step_and_the_last_good_checkpoint(tmp_path):
    game = tiny_game()
    plain = game.step

    def breaks(rolls, scale=1.0):
        return plain(rolls, scale) | ({"generator_loss": float("nan")} if game.n_updates == 5 else {})

    game.step = breaks
    with pytest.raises(DivergenceError, match=r"step 5: generator_loss .*checkpoint-00000004"):
        fit(game, batch, TrainConfig(steps=9, save_every=2), tmp_path, progress=False)
    checkpoint.load(checkpoint.latest(tmp_path))
    game.n_updates = 4
    with pytest.raises(DivergenceError, match="no checkpoint was saved"):
        fit(game, batch, TrainConfig(steps=9), progress=False)


def test_a_loss_that_refuses_nan_is_a_divergence_too():
    torch.manual_seed(0)
    game = AdversarialGame(MLPGenerator(), MLPDiscriminator(), BINARY_CROSS_ENTROPY)
    with torch.no_grad():
        next(game.generator.parameters())[0, 0] = math.nan
    with pytest.raises(DivergenceError, match=r"step 1: generator\.layers\.0\.weight is not a finite number"):
        fit(game, batch, TrainConfig(steps=3), progress=False)


def test_a_score_that_is_nan_is_never_the_best():
    with pytest.raises(DivergenceError, match="step 2: score"):
        fit(tiny_game(), batch, TrainConfig(steps=4, watch_every=2), watch=lambda game: math.nan, progress=False)


def test_a_run_is_not_begun_on_top_of_another(tmp_path):
    fit(tiny_game(), batch, TrainConfig(steps=2), tmp_path, progress=False)
    log = (tmp_path / "log.jsonl").read_text()
    with pytest.raises(FileExistsError, match="holds a run already"):
        fit(tiny_game(), batch, TrainConfig(steps=1), tmp_path, progress=False)
    assert (tmp_path / "log.jsonl").read_text() == log


def test_a_checkpoint_without_a_game_is_named(tmp_path):
    checkpoint.save_numbered(tmp_path, 7, {"averaged.weight": torch.zeros(2)}, {"step": 7})
    with pytest.raises(checkpoint.CheckpointError, match=r"checkpoint-00000007 does not fit .*no entry 'n_updates'"):
        fit(tiny_game(), batch, TrainConfig(steps=9), tmp_path, resume=True, progress=False)


def test_a_game_may_report_whatever_it_likes(tmp_path):
    class Plain:
        def step(self, batch, scale=1.0):
            return {"generator_loss": 0.5, "energy": 2.0}

        def sample(self, n):
            return torch.zeros(n)

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    history = fit(Plain(), batch, TrainConfig(steps=20))
    assert history.column("energy")[1] == [2.0] * 20


def test_a_weight_that_is_nan_is_never_saved(tmp_path):
    game = tiny_game()
    plain = game.step

    def poisons(rolls, scale=1.0):
        row = plain(rolls, scale)
        if game.n_updates == 4:
            with torch.no_grad():
                game.discriminator.listen.bias[0] = torch.nan
        return row

    game.step = poisons
    with pytest.raises(DivergenceError, match=r"step 4: discriminator.listen.bias .*checkpoint-00000002"):
        fit(game, batch, TrainConfig(steps=9, save_every=2), tmp_path, progress=False)


def test_minutes_are_a_budget():
    started = time.monotonic()
    history = fit(tiny_game(), batch, TrainConfig(minutes=0.02), progress=False)
    assert time.monotonic() - started > 1.2
    assert history.rows[-1]["seconds"] >= 1.2
    assert history.rows[-2]["seconds"] < 1.2


def test_learning_rate_falls_over_the_second_half():
    config = TrainConfig(steps=100)
    assert config.rate(config.progress(0, 0)) == 1
    assert config.rate(config.progress(50, 0)) == 1
    assert config.rate(config.progress(75, 0)) == pytest.approx(0.525)
    assert config.rate(config.progress(100, 0)) == pytest.approx(0.05)
    game = tiny_game()
    game.step(batch(0), scale=0.5)
    assert game.generator_optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * game.learning_rate)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"steps": 1, "minutes": 1}, {"steps": 0}, {"minutes": 0}, {"minutes": math.nan}, {"steps": 1, "threads": 0}],
)
def test_wrong_configs(wrong):
    with pytest.raises(ValueError, match=r"budget|either|at least"):
        TrainConfig(**wrong)


def test_samples_use_the_same_noise():
    game = tiny_game()
    assert torch.equal(game.sample(3), game.sample(3))
    history = fit(game, batch, TrainConfig(steps=4, sample_every=2, n_samples=3), progress=False)
    assert [step for step, _ in history.samples] == [1, 2, 4]
    assert history.samples[0][1].shape == (3, 2, 4, 4, 16, 48)


def test_average_follows_the_generator():
    game = tiny_game(ema=0.0)
    game.step(batch(0))
    pairs = zip(game.averaged.parameters(), game.generator.parameters(), strict=True)
    assert all(torch.equal(average, weight) for average, weight in pairs)
    game = tiny_game(ema=0.9)
    before = [weight.clone() for weight in game.averaged.parameters()]
    game.step(batch(0))  # early on the memory is short: one part in ten is kept
    for old, average, weight in zip(before, game.averaged.parameters(), game.generator.parameters(), strict=True):
        assert torch.allclose(average, 0.1 * old + 0.9 * weight, atol=1e-6)


def test_batch_statistics_are_those_of_the_averaged_weights():
    game = tiny_game(ema=0.9)
    for step in range(3):
        game.step(batch(step))
    game.sample(1)
    kept, seen = {}, {}
    for layer in game.averaged.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            kept[layer] = layer.running_mean.clone(), layer.running_var.clone()
            layer.register_forward_pre_hook(
                lambda layer, x: seen.update({layer: (x[0].mean((0, 2)), x[0].var((0, 2)))})
            )
    game.averaged.train()(game.averaged.latent(256, generator=torch.Generator().manual_seed(1)))
    assert kept.keys() == seen.keys()
    assert len(kept) > 5
    for layer in kept:
        (mean, var), (seen_mean, seen_var) = kept[layer], seen[layer]
        assert torch.allclose(mean, seen_mean, atol=1e-5)
        assert torch.allclose(var, seen_var, rtol=1e-4, atol=1e-7)


def test_tensorboard(tmp_path):
    fit(tiny_game(), batch, TrainConfig(steps=2), tmp_path, tensorboard=True, progress=False)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("generator_loss")]
    rows = [json.loads(line)["generator_loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert logged == pytest.approx(rows, rel=1e-6)


def test_the_plain_network_learns_its_objective():
    """Against a frozen generator the discriminator's loss falls; against it the generator's would."""
    torch.manual_seed(0)
    game = AdversarialGame(MLPGenerator(), MLPDiscriminator(sigmoid=False), "non_saturating", learning_rate=1e-3)
    real = batch(0).float()
    with torch.no_grad():
        fake = game._draw(len(real), None)
    losses = [game._update_discriminator(real, fake)["discriminator_loss"] for _ in range(8)]
    assert losses[-1] < 0.9 * losses[0]
    losses = [game._update_generator(real, game._draw(len(real), None))["generator_loss"] for _ in range(8)]
    assert losses[-1] < losses[0]
