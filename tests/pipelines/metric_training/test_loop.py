"""Training through the net: what is trained, what repeats, and that it learns."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bapps_gen.errors import WorkError
from bapps_gen.metrics.agreement import two_afc_agreement
from bapps_gen.pipelines.metric_training.loop import LoopData, LoopEngine
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
