"""A training that is stopped anywhere and given again makes the same files."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bapps_gen.pipelines.metric_training import run as epochs
from bapps_gen.pipelines.metric_training.patches import PATCHES_NAME
from bapps_gen.pipelines.metric_training.train import train_metric, training_folder
from support.metric_training import short_training


def made(out: Path) -> dict[str, bytes]:
    """The files of a training but for its logs, which have times."""
    names = ("last.safetensors", "training.json")
    return {
        "metric": out.read_bytes(),
        **{name: (training_folder(out) / name).read_bytes() for name in names},
    }


class Stopped(Exception):
    """As if Ctrl-C had been pressed."""


@pytest.mark.parametrize("mode", ["lin", "tune"])
def test_stopped_within_an_epoch(
    judged: Path, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = functools.partial(epochs.run_epochs, save_seconds=0)
    monkeypatch.setattr(epochs, "run_epochs", saving)
    whole, again = (tmp_path / name / "metric.safetensors" for name in ("whole", "again"))
    arguments: Any = ([judged / "set"], [], short_training(judged, mode), 1)
    train_metric(whole, *arguments)

    @contextlib.contextmanager
    def stopping(name: str, unit: str) -> Iterator[Any]:
        def report(done: int, total: int) -> None:
            if name == "train" and done > total / 2:
                raise Stopped

        yield report

    with pytest.raises(Stopped):
        train_metric(again, *arguments, stopping)
    assert not again.exists()
    trained = train_metric(again, *arguments)
    assert len(trained.history) == 3
    assert made(again) == made(whole)
    assert not (training_folder(again) / PATCHES_NAME).exists()
    # The file is kept, and refused for another request.
    assert train_metric(again, *arguments).was_there


KILLED = """\
import functools, os, signal, sys
from bapps_gen.cli import main
from bapps_gen.pipelines.metric_training import loop, run

place, count = sys.argv[1], int(sys.argv[2])
run.run_epochs = functools.partial(run.run_epochs, save_seconds=0)  # after every epoch

def killed_after(function):
    calls = 0
    def wrapper(*arguments):
        nonlocal calls
        value = function(*arguments)
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return value
    return wrapper

if place == "step":
    loop.LoopEngine._step = killed_after(loop.LoopEngine._step)
elif place == "checkpoint":
    run._write_checkpoint = killed_after(run._write_checkpoint)
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.slow
def test_killed_within_epochs_and_between_them(judged: Path, tmp_path: Path) -> None:
    chosen = short_training(judged, "tune")
    words = ["train-metric", str(judged / "set"), "--net", chosen.net, "--mode", "tune"]
    words += ["--epochs", "2", "--decay-epochs", "1", "--batch", "20", "--learning-rate", "1e-3"]
    words += ["--val-fraction", "0.3", "--device", "cpu", "--workers", "1", "--quiet", "--out"]

    def run(place: str, count: int, out: Path) -> int:
        out.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-c", KILLED, place, str(count), *words, str(out)]
        return subprocess.run(command, env=dict(os.environ), check=False).returncode

    whole, again = (tmp_path / name / "metric.safetensors" for name in ("whole", "again"))
    assert run("nowhere", 0, whole) == 0
    # In the first epoch; after it; in the second; after the third, before anything is published.
    for place, count in (("step", 2), ("checkpoint", 1), ("step", 2), ("checkpoint", 2)):
        assert run(place, count, again) == -signal.SIGKILL
        assert not again.exists()
    assert run("nowhere", 0, again) == 0
    assert made(again) == made(whole)
