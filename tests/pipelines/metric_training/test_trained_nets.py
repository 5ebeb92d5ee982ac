"""Trained nets as metrics, from weights of their own and from random ones; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bapps_gen.errors import UserError
from bapps_gen.lpips.nets import load_net
from bapps_gen.metrics import load_metric
from bapps_gen.metrics.agreement import two_afc_agreement
from bapps_gen.metrics.trained import read_trained
from bapps_gen.pipelines.metric_training.data import hold_out, read_judged
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.metric_training.patches import decode_patches
from bapps_gen.pipelines.metric_training.through_net import net_to_train
from bapps_gen.pipelines.metric_training.train import train_metric
from support.metric_training import short_training


@pytest.mark.parametrize("mode", ["lin", "tune"])
def test_the_metric_has_the_score_that_its_training_names(
    judged: Path, tmp_path: Path, mode: str
) -> None:
    options = replace(short_training(judged, mode), precision="float32")
    out = tmp_path / "mine.safetensors"
    trained = train_metric(out, [judged / "set"], [], options, 1)
    assert bool(read_trained(out).trunk) == (mode == "tune")
    _, held = hold_out(read_judged([judged / "set"]), options.val_fraction, options.seed)
    patches = decode_patches(tmp_path / "patches.u8", held.parts, 1)
    d0, d1 = load_metric(f"{out}@{options.net}").triplet(*(patches[:, side] for side in range(3)))
    assert two_afc_agreement(d0, d1, held.judge).mean() == pytest.approx(trained.val_2afc, abs=0.01)


def test_tune_goes_on_from_a_metric_of_lin(judged: Path, tmp_path: Path) -> None:
    lin, plain, begun = (tmp_path / f"{name}.safetensors" for name in ("lin", "plain", "begun"))
    first = short_training(judged, "lin")
    train_metric(lin, [judged / "set"], [], first, 1)
    tune = replace(short_training(judged, "tune"), learning_rate=1e-7)
    train_metric(plain, [judged / "set"], [], tune, 1)
    options = replace(tune, start=str(lin))
    trained = train_metric(begun, [judged / "set"], [], options, 1)
    # With next to no learning rate all weights but the net's are those of the start.
    weights = [read_trained(path).tensors for path in (lin, begun, plain)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-4)
    assert not torch.allclose(weights[2]["lin0.model.1.weight"], weights[0]["lin0.model.1.weight"])
    assert "start" in trained.header.spec
    with pytest.raises(UserError, match="is of mode tune over"):
        train_metric(
            tmp_path / "x.safetensors", [judged / "set"], [], replace(tune, start=str(plain)), 1
        )
    with pytest.raises(UserError, match="goes with mode = tune alone"):
        replace(first, start=str(lin))


def test_scratch_begins_with_random_weights_that_follow_from_the_seed() -> None:
    options = MetricTrainingOptions(net="alex", mode="scratch", seed=3)
    first, again = net_to_train(options), net_to_train(options)
    other = net_to_train(replace(options, seed=4))
    weights = [dict(net.module.state_dict()) for net in (first, again, other)]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
        assert name.endswith("bias") or not torch.equal(value, weights[2][name])
    assert (first.given, first.name) == ("alex", "alex")
    assert first.digest != load_net("alex").digest
    assert net_to_train(replace(options, mode="tune")).digest == load_net("alex").digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": "features:{}/net.py:Net"}, "comes with its own, from which --mode tune begins"),
        ({"weights": "alex.pth"}, "does not go with mode = scratch"),
        (
            {"mode": "tune", "net": "features:{}/net.py:Net", "device": "cuda:9"},
            "device 'cuda:9' cannot be used",
        ),
    ],
)
def test_what_training_cannot_begin_with_is_one_line(
    judged: Path, tmp_path: Path, changes: Any, message: str
) -> None:
    changes = {name: value.format(judged) for name, value in changes.items()}
    options = MetricTrainingOptions(**({"mode": "scratch", "device": "cpu"} | changes))
    with pytest.raises(UserError, match=message) as caught:
        train_metric(tmp_path / "mine.safetensors", [judged / "set"], [], options, 1)
    assert "\n" not in str(caught.value)


def test_patches_that_are_too_small_for_a_net_are_refused(judged: Path, tmp_path: Path) -> None:
    options = MetricTrainingOptions(net="alex", mode="tune", device="cpu")
    with pytest.raises(UserError, match="patch size for uncalibrated-alex = 16"):
        train_metric(tmp_path / "mine.safetensors", [judged / "set"], [], options, 1)


def test_compiling_what_runs_once_is_refused() -> None:
    with pytest.raises(UserError, match="does not go with mode = lin"):
        MetricTrainingOptions(mode="lin", compile="yes")
