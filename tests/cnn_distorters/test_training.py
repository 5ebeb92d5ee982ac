"""Training one distorter: repeatable, resumable, and honest about failure."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bapps_gen.cnn_distorters import training
from bapps_gen.cnn_distorters.features import FeatureLoss
from bapps_gen.cnn_distorters.network import UNet
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.trainer import Trainer, TrainingError, TrainingSettings
from bapps_gen.cnn_distorters.training import TrainingFiles, train_distorter
from bapps_gen.errors import UserError, WorkError

CPU = torch.device("cpu")
PLAIN = DistorterSpec("plain", "white_noise", 0.1, layers=2, first_channels=8, max_channels=8)
EVERYTHING = DistorterSpec(
    "everything",
    "pink_noise",
    0.1,
    layers=3,
    skips=1,
    dropout_layers=2,
    upsampling="nearest",
    normalization="batch",
    first_channels=8,
    max_channels=16,
    discriminator_layers=2,
    feature_weight=0.2,
    gan_weight=0.05,
)
SETTINGS = TrainingSettings(
    images=320,
    batch=8,
    feature_share=0.25,
    feature_net="alex",
    precision="float32",
    seed=0,
    crops_digest="test",
)


class Stop(Exception):
    """Stands for a kill in the middle."""


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    from skimage import data

    image = data.coffee()
    places = np.random.default_rng(1).integers(0, 330, (640, 2))
    return np.stack([image[y : y + 64, x : x + 64] for y, x in places])


@pytest.fixture(scope="module")
def features() -> FeatureLoss:
    return FeatureLoss("alex", None, CPU, torch.float32)


def files(folder: Path) -> TrainingFiles:
    folder.mkdir(exist_ok=True)
    return TrainingFiles(folder / "checkpoint", folder / "losses.jsonl")


def same(a: UNet, b: UNet) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def train(
    spec: DistorterSpec,
    crops: NDArray[np.uint8],
    where: TrainingFiles,
    features: FeatureLoss | None = None,
    settings: TrainingSettings = SETTINGS,
    stop_at: int | None = None,
) -> UNet:
    def progress(images: int) -> None:
        if stop_at is not None and images >= stop_at:
            raise Stop

    return train_distorter(
        spec,
        settings,
        crops,
        where,
        device=CPU,
        features=features,
        progress=progress,
        checkpoint_steps=20,
    )


@dataclass(frozen=True)
class Whole:
    """A training in one go, and what it left."""

    network: UNet
    losses: bytes


@pytest.fixture(scope="module")
def everything(
    crops: NDArray[np.uint8], features: FeatureLoss, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    """EVERYTHING."""
    where = files(tmp_path_factory.mktemp("training") / "everything")
    return Whole(train(EVERYTHING, crops, where, features), where.losses.read_bytes())


@pytest.fixture(scope="module")
def plain(crops: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """PLAIN."""
    where = files(tmp_path_factory.mktemp("training") / "plain")
    return Whole(train(PLAIN, crops, where), where.losses.read_bytes())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_lowers_the_loss(precision: str, crops: NDArray[np.uint8], tmp_path: Path) -> None:
    where = files(tmp_path)
    train(PLAIN, crops, where, settings=replace(SETTINGS, images=640, precision=precision))
    lines = [json.loads(line) for line in where.losses.read_text().splitlines()]
    assert [line["images"] for line in lines] == [160, 320, 480, 640]
    assert lines[-1]["l1"] < 0.7 * lines[0]["l1"]


def test_two_runs_give_the_same_bytes(
    everything: Whole, crops: NDArray[np.uint8], features: FeatureLoss, tmp_path: Path
) -> None:
    where = files(tmp_path)
    assert same(train(EVERYTHING, crops, where, features), everything.network)
    assert where.losses.read_bytes() == everything.losses
    losses = json.loads(everything.losses.splitlines()[0])
    assert set(losses) == {"step", "images", "color", "l1", "feature", "gan", "discriminator"}


def test_another_seed_gives_another_network(crops: NDArray[np.uint8], tmp_path: Path) -> None:
    short = replace(SETTINGS, images=160)
    a = train(PLAIN, crops, files(tmp_path / "a"), settings=short)
    b = train(PLAIN, crops, files(tmp_path / "b"), settings=replace(short, seed=1))
    c = train(replace(PLAIN, seed=1), crops, files(tmp_path / "c"), settings=short)
    assert not same(a, b)
    assert not same(a, c)
    assert not same(b, c)


@pytest.mark.parametrize("stop_at", [pytest.param(160, marks=pytest.mark.slow), 240])
def test_a_resumed_training_equals_an_uninterrupted_one_byte_for_byte(
    stop_at: int,
    everything: Whole,
    crops: NDArray[np.uint8],
    features: FeatureLoss,
    tmp_path: Path,
) -> None:
    cut = files(tmp_path)
    with pytest.raises(Stop):
        train(EVERYTHING, crops, cut, features, stop_at=stop_at)
    assert cut.checkpoint.exists() == (stop_at > 160)
    assert same(train(EVERYTHING, crops, cut, features), everything.network)
    assert cut.losses.read_bytes() == everything.losses


def test_a_loss_log_has_every_line_once_whatever_was_done_to_it(
    plain: Whole, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    cut = files(tmp_path)
    with pytest.raises(Stop):
        train(PLAIN, crops, cut, stop_at=240)
    # As a worker that outlives its killed parent would leave it.
    cut.losses.write_bytes(cut.losses.read_bytes() * 2)
    train(PLAIN, crops, cut)
    assert cut.losses.read_bytes() == plain.losses


@pytest.mark.parametrize("spec", [replace(PLAIN, seed=5), replace(PLAIN, learning_rate=2e-3)])
def test_a_checkpoint_of_another_training_is_not_taken_up(
    spec: DistorterSpec,
    crops: NDArray[np.uint8],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    where = files(tmp_path / "cut")
    with pytest.raises(Stop):
        train(PLAIN, crops, where, stop_at=240)
    caplog.clear()
    network = train(spec, crops, where)
    assert "another training" in caplog.text
    assert same(network, train(spec, crops, files(tmp_path / "again")))


@pytest.mark.parametrize("damage", ["cut short", "empty", "other bytes"])
def test_a_damaged_checkpoint_is_told_and_not_taken_up(
    damage: str,
    plain: Whole,
    crops: NDArray[np.uint8],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    where = files(tmp_path / "cut")
    with pytest.raises(Stop):
        train(PLAIN, crops, where, stop_at=240)
    content = where.checkpoint.read_bytes()
    where.checkpoint.write_bytes(
        {"cut short": content[:-100], "empty": b"", "other bytes": b"x" * 1000}[damage]
    )
    network = train(PLAIN, crops, where)
    assert "starts from the beginning" in caplog.text
    assert same(network, plain.network)


def test_an_absurd_learning_rate_is_reported_as_divergence(
    crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    spec = replace(PLAIN, learning_rate=1e6, layers=4, normalization="none")
    with pytest.raises(TrainingError, match=r"'plain' diverged: .* lower its learning_rate"):
        train(spec, crops, files(tmp_path))


def test_too_few_crops_are_refused(crops: NDArray[np.uint8], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs 320 crops, there are 100"):
        train(PLAIN, crops[:100], files(tmp_path))


@pytest.mark.parametrize(
    "change", [{"images": 7}, {"feature_share": 0.0}, {"precision": "float16"}, {"seed": -1}]
)
def test_bad_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError):
        replace(SETTINGS, **change)  # type: ignore[arg-type]


def test_each_setting_changes_the_digest() -> None:
    changes: tuple[dict[str, object], ...] = (
        {},
        {"images": 328},
        {"batch": 16},
        {"feature_share": 0.5},
        {"feature_net": "vgg"},
        {"precision": "bfloat16"},
        {"seed": 1},
        {"crops_digest": "x"},
    )
    digests = {replace(SETTINGS, **change).digest(PLAIN) for change in changes}  # type: ignore[arg-type]
    assert len(digests | {SETTINGS.digest(EVERYTHING)}) == len(changes) + 1


def test_a_full_disk_is_reported_in_one_line(
    crops: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WorkError, match="free some space"):
        train(PLAIN, crops, files(tmp_path))


@pytest.mark.parametrize(
    ("given", "shifted"),
    [("white_noise", (0.5, 0.5, 0.5)), ("color_removal", (0.5, 0.5, 0.5))],
)
def test_the_color_loss_sees_gray_in_place_of_light(given, shifted, crops) -> None:
    spec = DistorterSpec("any", given, 0.1, layers=2, first_channels=8, max_channels=8)
    trainer = Trainer(spec, SETTINGS, crops, CPU, None)
    light = torch.full((2, 3, 64, 64), 0.8)
    assert float(trainer._color_loss(light, light)) == 0
    gray = light - torch.tensor(shifted).view(1, 3, 1, 1)
    assert float(trainer._color_loss(gray, light)) == pytest.approx(0.5, rel=1e-3)


def test_the_color_loss_leaves_detail_alone(crops: NDArray[np.uint8]) -> None:
    trainer = Trainer(PLAIN, SETTINGS, crops, CPU, None)
    noise = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    target = torch.zeros((2, 3, 64, 64))
    assert float(trainer._color_loss(noise, target)) < 0.1 * float(noise.abs().mean())


def test_a_colorizer_may_choose_colors_of_the_same_luma(crops: NDArray[np.uint8]) -> None:
    spec = replace(PLAIN, corruption="color_removal", strength=1.0)
    red = torch.tensor([0.587, -0.299, 0.0]).view(1, 3, 1, 1).expand(2, 3, 64, 64)
    gray = torch.zeros((2, 3, 64, 64))
    losses = {
        name: float(Trainer(it, SETTINGS, crops, CPU, None)._color_loss(red, gray))
        for name, it in (("denoiser", PLAIN), ("colorizer", spec))
    }
    assert losses["denoiser"] > 0.2
    assert losses["colorizer"] < 1e-6


def test_learning_rates_fall_to_nothing_at_the_end(crops: NDArray[np.uint8]) -> None:
    trainer = Trainer(PLAIN, SETTINGS, crops, CPU, None)
    shares = [trainer._decay(step) for step in range(SETTINGS.steps)]
    assert shares[: round(0.75 * SETTINGS.steps)] == [1.0] * 30
    assert all(a > b > 0 for a, b in pairwise(shares[30:]))
    assert shares[-1] == pytest.approx(0.1)


def test_the_global_generators_are_left_alone(
    crops: NDArray[np.uint8], features: FeatureLoss, tmp_path: Path
) -> None:
    before = torch.get_rng_state()
    train(EVERYTHING, crops, files(tmp_path), features, replace(SETTINGS, images=160))
    assert torch.equal(torch.get_rng_state(), before)


def test_checkpoints_are_written_at_steps_that_end_a_line_of_the_log() -> None:
    assert training.CHECKPOINT_STEPS % training.LOG_STEPS == 0
    with pytest.raises(UserError, match="checkpoint_steps = 30"):
        train_distorter(
            PLAIN,
            SETTINGS,
            np.empty((640, 64, 64, 3), np.uint8),
            TrainingFiles(Path("a"), Path("b")),
            device=CPU,
            features=None,
            checkpoint_steps=30,
        )
