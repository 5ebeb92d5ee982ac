"""Training through the net: what is trained, what repeats, and that it learns."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bapps_gen.errors import WorkError
from bapps_gen.metrics.agreement import two_afc_agreement
from bapps_gen.pipelines.metric_training.loop import LoopData, LoopEngine
from bapps_gen.pipelines.metric_training.ranking import initial_linear, initial_ranking
from bapps_gen.pipelines.metric_training.run import Trained, run_epochs
from support.metric_training import judged_patches, small_net, training_options

CPU = torch.device("cpu")
ROWS = 100


def engine(
    rows: int = ROWS, seed: int = 0, compile: bool = False, threads: int = 1, **changes: Any
) -> LoopEngine:
    """An engine over `rows` rows to train on and 60 to validate on."""
    patches, judge = judged_patches(rows + 60, seed)
    options = training_options(**changes)
    data = LoopData(patches, judge[:rows])
    return LoopEngine(
        small_net(), data, options, CPU, options.precision, compile=compile, threads=threads
    )


def train(folder: Path, trained: LoopEngine) -> Trained:
    """All epochs."""
    judge = judged_patches(len(trained.data.patches))[1][trained.rows :]
    folder.mkdir(exist_ok=True)
    return run_epochs(folder, trained, {}, trained.options, trained.rows, judge)


def validated(trained: LoopEngine) -> float:
    """The 2AFC score on the rows of the validation."""
    judge = judged_patches(len(trained.data.patches))[1][trained.rows :]
    return float(two_afc_agreement(*trained.validate(), judge).mean())


def same(one: Any, other: Any) -> bool:
    """Whether tensors by name are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_lin_leaves_the_net_as_it_is_and_tune_trains_it(tmp_path: Path) -> None:
    before = small_net().module.state_dict()
    lin, tune = engine(mode="lin"), engine(mode="tune")
    train(tmp_path / "lin", lin)
    train(tmp_path / "tune", tune)
    assert same(before, dict(lin.trunk.state_dict()))
    assert not any(name.startswith("trunk.") for name in lin.weights())
    for name, value in tune.weights().items():
        if name.startswith("trunk."):
            assert not torch.equal(value, before[name.removeprefix("trunk.")])
    assert min(float(tune.weights()[f"lin{tap}.model.1.weight"].min()) for tap in (0, 1)) >= 0


def test_tune_takes_the_steps_of_a_plain_loop() -> None:
    """Against section 3 of the paper in plain torch: one pass a side, autograd, its own Adam."""
    patches, judge = judged_patches(50)
    weights = np.random.default_rng(5).uniform(0.5, 1.5, 50)
    options = training_options(mode="tune", dropout=0.0, batch=20)
    data = LoopData(patches, judge, weights)
    trained = LoopEngine(small_net(), data, options, CPU, threads=2)
    net = small_net()
    trunk, ranking = net.module.requires_grad_(True), initial_ranking(options.seed)
    linear = [value.requires_grad_() for value in initial_linear(net.channels, options.seed)]
    everything = [*linear, *ranking.parameters(), *trunk.parameters()]
    adam = torch.optim.Adam(everything, betas=(options.beta1, options.beta2), fused=False)
    shift, scale = (torch.tensor(value)[:, None, None] for value in (net.shift, net.scale))
    images = (torch.tensor(patches).movedim(4, 2) / 127.5 - 1 - shift) / scale

    def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        maps = zip(trunk(one), trunk(other), linear, strict=True)
        units = ((F.normalize(a), F.normalize(b), weight) for a, b, weight in maps)
        return sum(((a - b) ** 2 * w[:, None, None]).sum(1).mean((1, 2)) for a, b, w in units)

    for epoch, rate in ((1, 1e-2), (2, 5e-3)):
        order, expected = np.random.default_rng(epoch).permutation(50), []
        for rows in np.split(order, [20, 40]):
            ref, p0, p1 = images[rows].unbind(1)
            d0, d1 = distance(ref, p0), distance(ref, p1)
            x = torch.stack([d0, d1, d0 - d1, d0 / (d1 + 0.1), d1 / (d0 + 0.1)], 1)
            for layer in ranking.layers[:2]:
                x = F.leaky_relu(layer(x), 0.2)
            predicted = torch.sigmoid(ranking.layers[2](x)[:, 0])
            targets, counted = (torch.tensor(v[rows]).float() for v in (judge, weights))
            loss = F.binary_cross_entropy(predicted, targets, weight=counted)
            adam.zero_grad()
            adam.param_groups[0]["lr"] = rate
            loss.backward()
            adam.step()
            for weight in linear:
                weight.data.clamp_(min=0)
            expected.append(loss.item())
        losses = trained.train_epoch(epoch, order, rate, lambda _: None)
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for name, value in trunk.state_dict().items():
        torch.testing.assert_close(trained.weights()[f"trunk.{name}"], value, rtol=0, atol=1e-5)
    for tap, weight in enumerate(linear):
        torch.testing.assert_close(
            trained.weights()[f"lin{tap}.model.1.weight"].flatten(),
            weight.detach(),
            rtol=0,
            atol=1e-5,
        )


@pytest.mark.parametrize("mode", ["lin", "tune"])
def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    tmp_path: Path, mode: str
) -> None:
    one, again, other = (
        train(tmp_path / name, engine(mode=mode, seed=0, **changes)).last
        for name, changes in (("a", {}), ("b", {}), ("c", {"batch": 25}))
    )
    assert same(one, again)
    assert not same(one, other)


def test_weights_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    one, three = (
        train(tmp_path / str(threads), engine(mode="tune", batch=24, threads=threads)).last
        for threads in (1, 3)
    )
    assert same(one, three)


@pytest.mark.parametrize("mode", ["lin", "tune"])
def test_a_training_goes_on_from_its_state_as_if_it_had_not_stopped(
    tmp_path: Path, mode: str
) -> None:
    class Stopped(Exception):
        pass

    def stop(entry: Any) -> None:
        if entry.epoch == 2:
            raise Stopped

    whole = train(tmp_path / "whole", engine(mode=mode))
    folder = tmp_path / "parts"
    folder.mkdir()
    stopped = engine(mode=mode)
    judge = judged_patches(ROWS + 60)[1][ROWS:]
    with pytest.raises(Stopped):
        run_epochs(folder, stopped, {}, stopped.options, ROWS, judge, on_epoch=stop)
    resumed = train(folder, engine(mode=mode))
    assert same(whole.last, resumed.last)
    assert same(whole.best, resumed.best)
    assert [e.loss for e in whole.history] == [e.loss for e in resumed.history]


def test_a_net_of_random_weights_learns_what_observers_look_at(tmp_path: Path) -> None:
    trained = engine(400, mode="tune", epochs=6, decay_epochs=2, learning_rate=3e-3)
    before = validated(trained)
    scores = [entry.val_2afc for entry in train(tmp_path, trained).history]
    assert before < 0.7
    assert max(scores) > 0.8


def test_bfloat16_trains_nearly_the_same(tmp_path: Path) -> None:
    exact, coarse = (
        train(tmp_path / precision, engine(mode="tune", precision=precision))
        for precision in ("float32", "bfloat16")
    )
    losses = [[entry.loss for entry in trained.history] for trained in (exact, coarse)]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.01)
    assert all(value.dtype == torch.float32 for value in coarse.last.values())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_too_little_memory_is_one_line(error: RuntimeError, monkeypatch: Any) -> None:
    trained = engine()

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(trained.distances, "forward", fail)
    with pytest.raises(WorkError, match="too little memory for batches of 20 triplets") as caught:
        trained.train_epoch(1, np.arange(ROWS), 1e-3, lambda _: None)
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_no_number_ends_the_epoch() -> None:
    trained = engine()
    with torch.no_grad():
        trained.ranking.layers[0].bias.fill_(float("nan"))
    losses = trained.train_epoch(1, np.arange(ROWS), 1e-3, lambda _: None)
    assert np.isnan(losses).any()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_compiled_passes_train_the_same_to_rounding(tmp_path: Path) -> None:
    plain, compiled = (
        train(tmp_path / str(chosen), engine(110, mode="tune", compile=chosen))
        for chosen in (False, True)
    )
    for name, value in plain.last.items():
        torch.testing.assert_close(compiled.last[name], value, rtol=1e-3, atol=1e-4)
