"""Training metrics by command: repeatable, resumed anywhere, and refused in one line."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.metrics.trained import read_trained
from bapps_gen.pipelines.metric_training import run as run_module
from bapps_gen.pipelines.metric_training import train as train_module
from bapps_gen.pipelines.metric_training.logs import Epoch
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.metric_training.train import train_metric
from bapps_gen.storage import atomic
from support.datasets import one_line
from support.judged_sets import NET, judged_set, save_net, save_photos
from support.killing import run_until_change

FELT = {"metric": "lpips-alex", "noise": 0.005}
"""Of observers that feel LPIPS with AlexNet."""

SHORT = ("--epochs", "2", "--decay-epochs", "2", "--batch", "16", "--learning-rate", "0.01")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Judged sets: train of 80 rows, val of 40 of other photos."""
    folder = tmp_path_factory.mktemp("judged")
    judged_set(save_photos(folder / "photos", range(4)), folder / "train", 80)
    judged_set(save_photos(folder / "other", range(10, 13)), folder / "val", 40)
    return folder


@pytest.fixture
def work(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of both and a small net in mine.py, as the current folder."""
    for name in ("train", "val"):
        shutil.copytree(sets / name, tmp_path / name)
    save_net(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(out: str, *more: str) -> list[str]:
    return [
        *("train-metric", "train", "--val", "val", "--net", "features:mine.py:net"),
        *("--workers", "1", "--quiet", "--device", "cpu", *SHORT, "--out", out, *more),
    ]


def train(out: str, *more: str) -> int:
    return main(words(out, *more))


def written(out: str) -> tuple[bytes, bytes]:
    """The files with the best and the last weights."""
    path = Path(out)
    return path.read_bytes(), (path.with_suffix(".training") / "last.safetensors").read_bytes()


@pytest.fixture
def whole(work: Path) -> tuple[bytes, bytes]:
    """What a training writes that nothing interrupts."""
    assert train("whole.safetensors") == 0
    return written("whole.safetensors")


def test_the_same_command_writes_the_same_bytes(whole: Any) -> None:
    assert train("again.safetensors") == 0
    assert written("again.safetensors") == whole
    assert train("other.safetensors", "--seed", "1") == 0
    assert written("other.safetensors") != whole


def stop_after(epochs: int) -> Callable[[Epoch], None]:
    def stop(epoch: Epoch) -> None:
        if epoch.epoch == epochs:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("mode", ["lin", "tune"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_a_training_interrupted_after_any_epoch_ends_with_the_same_files(
    work: Path, mode: str, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module.run_epochs, "__defaults__", (None, None, "", 0.0))
    options = MetricTrainingOptions(
        "features:mine.py:net",
        mode,
        epochs=2,
        decay_epochs=2,
        batch=16,
        learning_rate=0.01,
        device="cpu",
        precision="float32",
    )
    sets = [work / "train"], [work / "val"], options, 1
    train_metric(work / "whole.safetensors", *sets)
    with pytest.raises(KeyboardInterrupt):
        train_metric(work / "cut.safetensors", *sets, on_epoch=stop_after(epochs))
    assert not (work / "cut.safetensors").exists()
    seen: list[int] = []
    trained = train_metric(
        work / "cut.safetensors", *sets, on_epoch=lambda epoch: seen.append(epoch.epoch)
    )
    assert seen == list(range(epochs + 1, 5))
    assert written("cut.safetensors") == written("whole.safetensors")
    assert [entry["epoch"] for entry in trained.history] == [1, 2, 3, 4]
    table = list(csv.DictReader((work / "cut.training" / "metrics.csv").open()))
    assert [row["epoch"] for row in table] == ["1", "2", "3", "4"]


def test_a_training_killed_at_any_change_on_disk_ends_with_the_same_files(
    whole: tuple[bytes, bytes], work: Path
) -> None:
    places = {"train", "val", "count.safetensors", "killed.safetensors"}

    def absolute(out: str) -> list[str]:
        return [str(work / word) if word in places else word for word in words(out)]

    for folder in work.glob("*/features"):
        shutil.rmtree(folder)
    code, changes = run_until_change(absolute("count.safetensors"), work, None)
    assert (code, changes > 10) == (0, True)
    for folder in work.glob("*/features"):
        shutil.rmtree(folder)
    for limit in range(changes):
        code, _ = run_until_change(absolute("killed.safetensors"), work, limit)
        if code == 0:
            break
    assert train("killed.safetensors") == 0
    assert written("killed.safetensors") == whole
    assert not list(work.rglob(".*.tmp"))
    assert not list(work.rglob("checkpoint.safetensors"))


def test_ctrl_c_says_how_to_go_on(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_write_checkpoint", interrupted)
        assert train("mine.safetensors") == 130
    err = capsys.readouterr().err
    assert "are kept in mine.training; run the same command again to resume" in err
    assert train("mine.safetensors") == 0


def test_another_request_over_an_unfinished_training_is_refused(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "write_trained", stop_after)
        patch.setattr(
            run_module, "two_afc_agreement", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert train("mine.safetensors") == 130
    capsys.readouterr()
    assert train("mine.safetensors", "--seed", "7") == 2
    assert "seed = 0, not 7" in one_line(capsys)
    assert train("mine.safetensors") == 0


def test_a_finished_file_is_kept_and_never_overwritten(
    whole: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("whole.safetensors") == 0
    assert train("whole.safetensors", "--epochs", "3") == 2
    assert "epochs = 2, not 3" in one_line(capsys)
    Path("notes.safetensors").write_text("mine")
    assert train("notes.safetensors") == 1
    assert "notes.safetensors is damaged" in one_line(capsys)
    assert written("whole.safetensors") == whole


def test_other_judgments_are_another_training(
    whole: Any, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    votes = bapps_gen.simulate(work / "train", "ssim", judgments=3, noise=0.01, workers=1)
    bapps_gen.judge(work / "train", votes=votes, in_shards=False, replace=True)
    assert train("whole.safetensors") == 2
    assert "differs in train" in one_line(capsys)


def test_a_disk_that_is_full_is_one_line_and_the_training_goes_on_afterwards(
    whole: tuple[bytes, bytes],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = os.replace

    def full(source: Any, target: Any) -> None:
        if str(target).endswith(("checkpoint.safetensors", "mine.safetensors")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "replace", full)
        assert train("mine.safetensors") == 1
    assert "No space left on device; free some space" in one_line(capsys)
    assert train("mine.safetensors") == 0
    assert written("mine.safetensors") == whole


def test_a_damaged_checkpoint_is_one_line(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_logs", stop_after(0))
        patch.setattr(run_module, "_points", lambda *_: ())
        patch.setattr(run_module, "write_logs", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert train("mine.safetensors") == 130
    capsys.readouterr()
    path = Path("mine.training/checkpoint.safetensors")
    path.write_bytes(path.read_bytes()[:-10])
    assert train("mine.safetensors") == 1
    assert "checkpoint.safetensors is damaged" in one_line(capsys)


def test_training_improves_agreement_with_people_it_has_not_seen(tmp_path: Path) -> None:
    train, val = (
        judged_set(save_photos(tmp_path / f"{name}-photos", seeds), tmp_path / name, rows, **felt)
        for name, seeds, rows, felt in (
            ("train", range(6), 300, FELT),
            ("val", range(10, 13), 120, FELT),
        )
    )
    trained = bapps_gen.train_metric(
        train, tmp_path / "mine.safetensors", val=val, epochs=60, learning_rate=1e-3, workers=1
    )
    (found,) = bapps_gen.evaluate(
        val.folder, ["uncalibrated-alex", tmp_path / "mine.safetensors"], resamples=10, workers=1
    )
    before, after = (estimate.value for estimate in found.metrics.values())
    assert after > before + 0.02
    assert after == pytest.approx(trained.val_2afc, abs=0.01)
    assert trained.simulated


def test_the_file_holds_the_best_epoch_and_the_folder_the_last(whole: Any) -> None:
    best, last = (
        read_trained(path)
        for path in (Path("whole.safetensors"), Path("whole.training/last.safetensors"))
    )
    assert best.header.scores is not None
    assert last.header.scores is not None
    history = best.header.scores.history
    scores = [entry["val_2afc"] for entry in history]
    assert best.header.scores.val_2afc == max(scores)
    assert best.header.scores.epoch == 1 + scores.index(max(scores))
    assert last.header.scores.epoch == 4
    assert all((value >= 0).all() for value in [*best.linear, *last.linear])
    assert best.header.mode == "lin"
    assert best.header.spec["batch"] == 16
    assert [part.rows for part in best.header.train] == [80]
    assert [part.simulated for part in best.header.val] == [True]
    assert set(best.ranking) >= {"layers.0.weight", "layers.2.bias"}


def test_logs_are_a_table_lines_events_and_a_picture(whole: Any) -> None:
    folder = Path("whole.training")
    table = list(csv.DictReader((folder / "metrics.csv").open()))
    rates = [float(row["learning_rate"]) for row in table]
    assert rates == [0.01, 0.01, 0.01, 0.005]
    assert [int(row["step"]) for row in table] == [5, 10, 15, 20]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {line["tag"] for line in lines} == {"train/loss", "train/learning_rate", "val/2afc"}
    scores = [line["value"] for line in lines if line["tag"] == "val/2afc"]
    assert scores == [float(row["val_2afc"]) for row in table]
    assert all(set(line) == {"step", "wall_time", "tag", "value"} for line in lines)
    times = [line["wall_time"] for line in lines]
    assert times == sorted(times)
    (events,) = folder.glob("*tfevents*")
    assert events.read_bytes().count(b"val/2afc") == 4
    with Image.open(folder / "curves.png") as picture:
        assert picture.size == (880, 344)


def test_votes_weigh_rows_where_that_is_asked(whole: tuple[bytes, bytes], work: Path) -> None:
    # Every row has three votes: the weights are 1, and only the request differs.
    assert train("weighed.safetensors", "--weight-votes") == 0
    plain, weighed = (read_trained(work / f"{name}.safetensors") for name in ("whole", "weighed"))
    assert all(map(torch.equal, plain.linear, weighed.linear))
    assert weighed.header.spec["weight_votes"] is True


def test_photos_are_held_out_where_no_sets_to_validate_on_are_named(work: Path) -> None:
    trained = bapps_gen.train_metric(
        "train", "mine.safetensors", net="features:mine.py:net", epochs=1, workers=1
    )
    assert trained.train_rows + trained.val_rows == 80
    assert trained.val_rows > 0


def test_a_set_of_equal_votes_is_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = bapps_gen.open_dataset(work / "train")
    answers = {row.id: 0.0 for row in made.rows()}
    bapps_gen.judge(made, answers=answers, in_shards=False, replace=True)
    assert train("mine.safetensors") == 2
    assert "has judge = 0, from which nothing can be learned" in one_line(capsys)
    assert not Path("mine.training").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--net", "alexx"), "unknown feature net 'alexx'; did you mean 'alex'?"),
        (("--mode", "line"), "invalid choice: 'line'"),
        (("--device", "cuda:99"), "device 'cuda:99' cannot be used"),
        (("--out", "mine.pth"), "does not end in .safetensors"),
        (("--out", "ssim.safetensors"), "name = 'ssim' is that of ssim"),
        (("--val-fraction", "0.2"), "val-fraction = 0.2 is for trainings without --val"),
        (("--dropout", "0.9"), "dropout = 0.9 is not allowed"),
        (("--epochs", "0", "--decay-epochs", "0"), "epochs = 0 is not allowed"),
        (("--weights", "none.pth"), "none.pth"),
        (("--val", "train"), "are both in"),
    ],
)
def test_wrong_options_are_one_line_and_make_nothing(
    work: Path, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = train("mine.safetensors", *more)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == 2
    assert message in one_line(capsys)
    assert not list(work.glob("*.training"))


def test_features_that_are_no_numbers_are_one_line(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark = "x + torch.where(x.mean((1, 2, 3), keepdim=True) < -0.2, torch.nan, 0.0)"
    save_net(work, NET.replace("[x.abs()", f"[({dark}).abs()"))
    assert train("mine.safetensors") == 2
    assert "values that are not finite; correct the net" in one_line(capsys)


def test_a_loss_that_is_no_number_is_one_line(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bapps_gen.pipelines.metric_training.fast import FastLin

    monkeypatch.setattr(FastLin, "train_epoch", lambda *_: np.array([0.7, np.nan]))
    with pytest.raises(UserError, match="the loss of epoch 1 is not a finite number"):
        train_metric(
            work / "mine.safetensors",
            [work / "train"],
            [work / "val"],
            MetricTrainingOptions("features:mine.py:net", device="cpu"),
            1,
        )
