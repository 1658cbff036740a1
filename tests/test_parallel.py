"""Several processes train what one process trains; devices, and numbers of half the bytes."""

import os
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_train import batch
from torch import nn

from ganmusic import checkpoint, parallel, recipes
from ganmusic.models import MODELS
from ganmusic.models.binary_musegan import BinaryMuseGANGenerator
from ganmusic.models.blocks import Examples
from ganmusic.models.choir import ChoirDiscriminator, ChoirGenerator, blur
from ganmusic.models.convnet import ConvDiscriminator, ConvGenerator, hide_voices
from ganmusic.models.mlp import BINARY_CROSS_ENTROPY, MLPDiscriminator, MLPGenerator
from ganmusic.models.musegan import MuseGANDiscriminator, jamming_penalty
from ganmusic.penalties import gradient_penalty, r1_r2
from ganmusic.sample import load_generator
from ganmusic.train import PRECISIONS, AdversarialGame

SIZE = 2 * 4 * 4 * 16 * 48


class AskedGenerator(nn.Module):
    """A generator that is told the first voice, and is normalised over the batch."""

    def __init__(self):
        super().__init__()
        self.examples = Examples(3, 48)
        self.layers = nn.Sequential(
            nn.Linear(8 + 48, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, SIZE), nn.Sigmoid()
        )

    def latent(self, n, generator=None):
        return torch.randn(n, 8, generator=generator)

    def ask(self, real):
        asked = real[:, 0, 0].mean((1, 2))
        self.examples.keep(asked)
        return asked

    def forward(self, z, asked=None):
        asked = self.examples.take(len(z)) if asked is None else asked
        return self.layers(torch.cat([z, asked], 1)).reshape(-1, 2, 4, 4, 16, 48)


class NormalisedDiscriminator(nn.Module):
    """A discriminator with features to match, normalised over the batch."""

    def __init__(self):
        super().__init__()
        self.listen = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 5), nn.BatchNorm1d(5))
        self.logit = nn.Linear(5, 1)

    def features(self, rolls):
        return (self.listen(rolls),)

    def forward(self, rolls):
        return self.logit(self.listen(rolls))


def convolutional(loss, penalty, **options):
    return AdversarialGame(
        ConvGenerator(channels=(8, 8, 8, 8, 8), n_latent=4),
        ConvDiscriminator(channels=(8, 8, 8, 8, 8)),
        loss,
        penalty=penalty,
        penalty_every=2,
        augment=partial(hide_voices, share=0.25),
        learning_rate=8e-4,
        betas=(0.0, 0.99),
        ema=0.9,
        **options,
    )


GAMES = {
    "plain": lambda: AdversarialGame(MLPGenerator(), MLPDiscriminator(), BINARY_CROSS_ENTROPY, ema=0.5),
    "convolutional": lambda: convolutional("relativistic", r1_r2),
    "average": lambda: convolutional("relativistic_average", gradient_penalty, discriminator_steps=2),
    "stochastic": lambda: AdversarialGame(
        BinaryMuseGANGenerator(composition="jamming", ending="stochastic", channels=(8, 8, 8, 8, 8)),
        MuseGANDiscriminator(composition="jamming", channels=(8, 8, 8, 8, 8)),
        "wasserstein",
        penalty=jamming_penalty,
    ),
    "choir": lambda: AdversarialGame(
        ChoirGenerator(channels=(8, 8, 8), n_latent=8, n_codes=6, hidden=8),
        ChoirDiscriminator(n_codes=6, channels=8),
        "relativistic",
        augment=partial(blur, deviation=0.3),
        lessons=4,
    ),
    "asked": lambda: AdversarialGame(
        AskedGenerator(), NormalisedDiscriminator(), "hinge", matching=(0.3,), generator_steps=2
    ),
}


def play(name, dtype):
    """Six updates; the rows of the last, and the state."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        torch.manual_seed(0)
        game = GAMES[name]()
        for step in range(6):
            torch.manual_seed(100 + step)
            row = game.step(torch.cat([batch(step), batch(100 + step)]))
        row = parallel.mean_row(row)
        return {key: tensor.clone() for key, tensor in game.state_dict().items()} | {
            f"row.{key}": torch.tensor(value) for key, value in row.items()
        }
    finally:
        torch.set_default_dtype(before)


RANK = f"""
import sys
import torch
sys.path.insert(0, {str(Path(__file__).parent)!r})
from safetensors.torch import save_file
from test_parallel import GAMES, parallel, play

with parallel.process_group(torch.device("cpu")):
    assert parallel.world_size() == 2
    for name in GAMES:
        save_file(play(name, torch.float64), f"{{sys.argv[1]}}/{{name}}-{{parallel.rank()}}")
    save_file(play("plain", torch.float32), f"{{sys.argv[1]}}/float32-{{parallel.rank()}}")
    assert parallel.first(5.0 + parallel.rank()) == 5.0
    assert parallel.part(torch.arange(6)).tolist() == [[0, 1, 2], [3, 4, 5]][parallel.rank()]
    try:
        parallel.check_same("run", f"seed {{parallel.rank()}}")
    except ValueError as error:
        assert str(error) == "the processes do not see the same run: seed 0 | seed 1"
    else:
        raise AssertionError("not seen")
    parallel.check_same("run", "seed 0")
assert parallel.world_size() == 1
"""


def on_processes(n, *command):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
    return subprocess.run([*launch, *map(str, command)], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "rank.py").write_text(RANK)
    done = on_processes(2, folder / "rank.py", folder)
    assert done.returncode == 0, done.stderr
    return folder


def difference(one, other):
    assert one.keys() == other.keys()
    return {name: (one[name].double() - other[name].double()).abs().max().item() for name in one}


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_two_processes_find_the_weights_of_one(name, two_ranks):
    """In double precision: some weights have no gradient but for rounding (a bias before batch normalisation, the last
    bias under a relativistic loss), and Adam makes whole steps of whatever gradient there is. In double precision
    rounding is far below Adam's epsilon, and everything else would show.
    """
    found = difference(load_file(two_ranks / f"{name}-0"), play(name, torch.float64))
    assert max(found.values()) < 1e-5, found
    # On both ranks to the last bit, or they would drift apart.
    assert max(difference(load_file(two_ranks / f"{name}-0"), load_file(two_ranks / f"{name}-1")).values()) == 0


@pytest.mark.slow
def test_two_processes_find_the_weights_of_one_in_single_precision(two_ranks):
    found = difference(load_file(two_ranks / "float32-0"), play("plain", torch.float32))
    assert max(found.values()) < 1e-5, found


@pytest.mark.slow
def test_the_command_trains_on_two_processes(tmp_path):
    """Begun by one process and gone on with by two, as by one; only the first writes."""
    train = ("-m", "ganmusic", "train", "--recipe", "toy")
    for run in ("one", "two"):
        recipes.train("toy", tmp_path / run, steps=2, progress=False)
    recipes.train("toy", tmp_path / "one", steps=4, resume=True, progress=False)
    done = on_processes(2, *train, "--out", tmp_path / "two", "--steps", "4", "--resume")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("4 updates; hear it") == 1
    rows, expected = (checkpoint.read_log(tmp_path / run) for run in ("two", "one"))
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        assert row["discriminator_loss"] == pytest.approx(other["discriminator_loss"], abs=1e-3)
    one, two = ({path.relative_to(tmp_path / run) for path in (tmp_path / run).rglob("*")} for run in ("one", "two"))
    assert one == two
    assert load_generator(tmp_path / "two").card["processes"] == 2
    failed = on_processes(3, *train, "--out", tmp_path / "three", "--steps", "1")
    assert failed.returncode != 0
    assert "a batch of 8 cannot be shared out among 1 update on 3 processes" in failed.stderr
    assert not (tmp_path / "three").exists()


def test_alone_nothing_is_shared():
    x = torch.arange(6.0).reshape(3, 2)
    for function in (parallel.part, parallel.gather, parallel.mean):
        assert torch.equal(function(x), x)
    assert (parallel.rank(), parallel.world_size(), parallel.first(2.5)) == (0, 1, 2.5)
    assert parallel.mean_row({"a": 1.5, "b": float("inf")}) == {"a": 1.5, "b": float("inf")}
    network = nn.Sequential(nn.BatchNorm1d(2))
    parallel.synchronise_norms(network)
    assert type(network[0]) is nn.BatchNorm1d


def test_what_cannot_be_shared_out_evenly_is_refused(monkeypatch):
    monkeypatch.setattr(parallel, "world_size", lambda: 3)
    with pytest.raises(ValueError, match="8 samples cannot be shared out evenly among 3 processes"):
        parallel.part(torch.zeros(8, 1))


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 7), (2, 3, 4, 5)])
@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}])
def test_shared_batch_normalisation_is_torchs_own_in_one_process(shape, options):
    torch.manual_seed(0)
    own = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](3, **options)
    if own.affine:
        nn.init.uniform_(own.weight)
        nn.init.uniform_(own.bias)
    ours = parallel.SyncBatchNorm.of(own)
    assert own.state_dict().keys() == ours.state_dict().keys()
    assert all(one is other for one, other in zip(own.parameters(), ours.parameters(), strict=True))
    ours = parallel.SyncBatchNorm.of(nn.BatchNorm1d(3, **options))
    ours.load_state_dict(own.state_dict())
    for _ in range(2):
        x = (3 + 2 * torch.randn(shape)).requires_grad_(True)
        weight = torch.randn(shape)
        expected, found = own(x), ours(x)
        assert torch.allclose(found, expected, atol=1e-5)
        one, other = (torch.autograd.grad((y * weight).sum(), x)[0] for y in (expected, found))
        assert torch.allclose(one, other, atol=1e-5)
    for name, statistic in own.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], statistic, atol=1e-5), name
    x = torch.randn(shape)
    assert torch.allclose(ours.eval()(x), own.eval()(x), atol=1e-5)


# devices --------------------------------------------------------------------------------------------


def test_devices_that_are_not_there_are_named(monkeypatch):
    assert parallel.select_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(ValueError, match=f"no {name} device on this machine; it can use: cpu$"):
            parallel.select_device(name)
    with pytest.raises(ValueError, match="no device 'tpu'; there are cpu, cuda, mps"):
        parallel.select_device("tpu")


def test_a_device_that_is_not_there_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no cuda device"):
        recipes.train("toy", tmp_path / "run", steps=1, device="cuda", progress=False)
    with pytest.raises(ValueError, match="no precision 'int8'; there are float32, bfloat16"):
        recipes.train("toy", tmp_path / "run", steps=1, precision="int8", progress=False)
    assert not (tmp_path / "run").exists()


def test_each_process_of_a_machine_has_a_graphics_card_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert parallel.select_device("cuda") == torch.device("cuda", 0)
    monkeypatch.setitem(os.environ, "LOCAL_WORLD_SIZE", "2")
    monkeypatch.setitem(os.environ, "LOCAL_RANK", "1")
    assert parallel.select_device("cuda") == torch.device("cuda", 1)
    monkeypatch.setitem(os.environ, "LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="3 processes need as many cuda devices, and this machine has 2"):
        parallel.select_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ValueError, match="without torchrun"):
        parallel.select_device("mps")


@pytest.fixture
def elsewhere(monkeypatch):
    """Torch's device for shapes without numbers, which as a graphics card refuses what lies on another."""
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda weights, rate, betas, fused: adam(weights, rate, betas))
    monkeypatch.setattr(AdversarialGame, "_mixed", lambda game: nullcontext())
    for name, number in (("item", 1.0), ("__float__", 1.0), ("__int__", 1)):
        monkeypatch.setattr(torch.Tensor, name, lambda tensor, number=number: number)
    # That it refuses what lies on another.
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(3, device="meta") + torch.zeros(3)
    return torch.device("meta")


@pytest.mark.parametrize("name", GAMES)
def test_a_game_is_played_where_its_networks_are(name, elsewhere):
    with elsewhere:
        game = GAMES[name]()
    assert all(weight.is_meta for weight in game.generator.parameters())
    game.step(torch.cat([batch(0), batch(1)]))
    game._calibrate()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_computes_where_its_weights_are(name, elsewhere):
    with elsewhere:
        generator, discriminator = (network() for network in MODELS[name])
    z = generator.latent(2)
    assert not z.is_meta
    assert generator(z.to(elsewhere)).is_meta
    rolls = torch.zeros(2, 2, 4, 4, 16, 48, device=elsewhere)
    asked = [generator.ask(rolls)] if hasattr(generator, "ask") else []
    assert all(each.is_meta for each in asked)
    assert discriminator(generator(z.to(elsewhere), *asked)).is_meta


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_graphics_card_trains_what_the_processor_trains(precision, tmp_path):
    recipes.train("toy", tmp_path / "cpu", steps=2, progress=False)
    recipes.train("toy", tmp_path / "cuda", steps=2, device="cuda", precision=precision, progress=False)
    rows, expected = (checkpoint.read_log(tmp_path / run) for run in ("cuda", "cpu"))
    assert rows[0]["discriminator_loss"] == pytest.approx(expected[0]["discriminator_loss"], abs=0.02)
    recipes.train("toy", tmp_path / "cuda", steps=3, resume=True, progress=False)  # on the processor again


# precision ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GAMES)
def test_half_the_bytes_give_nearly_the_same(name):
    rows, weights = {}, {}
    for precision in PRECISIONS:
        torch.manual_seed(0)
        game = GAMES[name]()
        game.precision = precision
        torch.manual_seed(1)
        rows[precision] = [game.step(torch.cat([batch(step), batch(9 + step)])) for step in range(2)]
        weights[precision] = game.state_dict()
    assert all(tensor.isfinite().all() for tensor in weights["bfloat16"].values())
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights["bfloat16"].values())
    for key, value in rows["float32"][0].items():
        assert rows["bfloat16"][0][key] == pytest.approx(value, rel=0.05, abs=0.05), key
    assert rows["bfloat16"][0] != rows["float32"][0]


def test_notes_stay_whole_in_half_the_bytes_and_the_penalty_is_in_all():
    seen = []

    def spy(discriminator, real, fake):
        penalty = r1_r2(discriminator, real, fake)
        seen.append((real.dtype, fake.dtype, torch.is_autocast_enabled("cpu"), discriminator(real).dtype))
        assert (fake - fake.round()).abs().max() < 1e-5  # in bfloat16, 4e-3
        return penalty

    torch.manual_seed(0)
    game = convolutional("relativistic", spy, precision="bfloat16")
    game.augment = None
    game.step(batch(0))
    assert seen == [(torch.float32, torch.float32, False, torch.float32)]


@pytest.mark.slow
def test_a_run_goes_on_in_its_own_precision(tmp_path):
    recipes.train("toy", tmp_path, steps=1, precision="bfloat16", progress=False)
    recipes.train("toy", tmp_path, steps=2, resume=True, progress=False)
    assert load_generator(tmp_path).card["precision"] == "bfloat16"
    recipes.train("toy", tmp_path, steps=3, resume=True, precision="float32", progress=False)
    assert load_generator(tmp_path).card["precision"] == "float32"
