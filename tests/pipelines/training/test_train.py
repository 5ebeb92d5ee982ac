"""Training a zoo: in parallel, resumed, and with failures reported."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bapps_gen.cli import main
from bapps_gen.cnn_distorters.spec import DistorterSpec, choose_specs
from bapps_gen.cnn_distorters.table import TABLE_VERSION, shipped_specs
from bapps_gen.cnn_distorters.verdict import ZooLimits, classify
from bapps_gen.cnn_distorters.zoo import distorter_path, open_zoo
from bapps_gen.errors import SourceError, UserError
from bapps_gen.pipelines.sources.source import Source, open_source
from bapps_gen.pipelines.training import crops as crops_module
from bapps_gen.pipelines.training import distorters as train_module
from bapps_gen.pipelines.training import held_out as held_out_module
from bapps_gen.pipelines.training.crops import (
    HELD_OUT_PATCHES,
    CropPlan,
    Crops,
    cut_patches,
    part_images,
    write_crops,
)
from bapps_gen.pipelines.training.distorters import train_zoo
from bapps_gen.pipelines.training.folder import CROPS_FOLDER, sheet_path, training_files
from bapps_gen.pipelines.training.options import TrainingOptions
from bapps_gen.pipelines.training.plan import ZooPlan, plan_zoo, seconds_per_image
from bapps_gen.pipelines.training.reports import ZooProgress
from bapps_gen.seeding import SLOT_TRAINING_CROPS

TINY = DistorterSpec(
    "tiny", "white_noise", 0.1, layers=2, first_channels=8, max_channels=8, learning_rate=2e-3
)
ABSURD = DistorterSpec("absurd", "null", layers=4, first_channels=8, learning_rate=1e6)


def planned(specs: Sequence[DistorterSpec], source: Source, **options: object) -> ZooPlan:
    chosen = TrainingOptions(**{"device": "cpu", **options})  # type: ignore[arg-type]
    return plan_zoo(specs, source, chosen)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.*")) if path.is_file()}


def train(
    folder: Path, source: Source, specs: list[DistorterSpec], images: int = 160, **more: object
):  # type: ignore[no-untyped-def]
    plan = planned(specs, source, images=images)
    return train_zoo(folder, plan, source, 1, **more)  # type: ignore[arg-type]


def test_a_zoo_has_weights_losses_and_a_contact_sheet_of_each(trained: Path) -> None:
    for name in open_zoo(trained).ids:
        assert distorter_path(trained, name).exists()
        log = training_files(trained, name).losses.read_text()
        lines = [json.loads(line) for line in log.splitlines()]
        assert [line["images"] for line in lines] == [320, 640]
        assert all(np.isfinite(line["l1"]) for line in lines)
        assert cv2.imread(str(sheet_path(trained, name))).std() > 10
    assert not (trained / CROPS_FOLDER).exists()
    assert not list(trained.rglob("*.checkpoint"))
    assert not list(trained.rglob("*.tmp"))


def test_the_record_says_how_a_distorter_was_made(trained: Path, source: Source) -> None:
    record = open_zoo(trained).record("full")
    assert record["source"] == source.digest
    assert (record["steps"], record["batch"]) == (40, 16)
    assert record["precision"] in ("bfloat16", "float32")
    assert record["device"] == "cpu"
    lpips = record["held_out"]["lpips"]
    assert lpips["min"] <= lpips["median"] <= lpips["max"]
    assert record["held_out"]["patches"] == 64
    assert set(record["held_out"]["color_shift"]) == {"lightness", "cast"}
    assert open_zoo(trained).record("tiny")["feature_net"] == "none"


@pytest.mark.slow
def test_workers_do_not_change_the_files(trained: Path, source: Source, tmp_path: Path) -> None:
    zoo = open_zoo(trained)
    plan = planned([zoo.spec("tiny"), zoo.spec("full")], source, images=640)
    train_zoo(tmp_path / "zoo", plan, source, 2)
    assert content(tmp_path / "zoo") == content(trained)


def test_what_is_there_is_kept_and_what_is_missing_is_made(
    zoo_copy: Path, trained: Path, source: Source
) -> None:
    zoo = open_zoo(zoo_copy)
    distorter_path(zoo_copy, "tiny").unlink()
    report = train(zoo_copy, source, [zoo.spec("tiny"), zoo.spec("full")], images=640)
    assert report.kept == ("full",)
    assert [item.id for item in report.reports] == ["tiny"]
    assert content(zoo_copy) == content(trained)


def test_more_distorters_join_those_of_before(zoo_copy: Path, source: Source) -> None:
    train(zoo_copy, source, [replace(TINY, id="third")])
    assert open_zoo(zoo_copy).ids == ("full", "third", "tiny")


@pytest.mark.parametrize("change", ["images", "seed", "spec", "source"])
def test_a_zoo_of_another_training_is_refused(
    change: str, zoo_copy: Path, source: Source, photographs: Path, tmp_path: Path
) -> None:
    spec = open_zoo(zoo_copy).spec("tiny")
    other = source
    if change == "spec":
        spec = replace(spec, strength=0.2)
    if change == "source":
        shutil.copytree(photographs, tmp_path / "fewer")
        next((tmp_path / "fewer").glob("coffee*")).unlink()
        other = open_source([tmp_path / "fewer"])
    images = 656 if change == "images" else 640
    plan = planned([spec], other, images=images, seed=int(change == "seed"))
    before = content(zoo_copy)
    with pytest.raises(UserError, match="was trained differently"):
        train_zoo(zoo_copy, plan, other, 1)
    assert content(zoo_copy) == before


def test_one_failing_distorter_does_not_stop_the_others(source: Source, tmp_path: Path) -> None:
    heard = []
    report = train(tmp_path / "zoo", source, [ABSURD, TINY], on_report=heard.append)
    failures = {item.id: item.failure for item in report.reports}
    assert "diverged" in failures["absurd"]
    assert failures["tiny"] is None
    assert tuple(heard) == report.reports
    assert open_zoo(tmp_path / "zoo").ids == ("tiny",)
    assert not distorter_path(tmp_path / "zoo", "absurd").exists()


def test_an_error_inside_torch_is_reported_in_one_line_and_the_others_go_on(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train_module.train_distorter

    def broken(spec: DistorterSpec, *args: object, **more: object) -> object:
        if spec.id == "broken":
            torch.zeros(2) @ torch.zeros(3)
        return real(spec, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(train_module, "train_distorter", broken)
    report = train(tmp_path / "zoo", source, [replace(TINY, id="broken"), TINY])
    failures = {item.id: item.failure for item in report.reports}
    assert failures["tiny"] is None
    assert "'broken' failed: inconsistent tensor size" in failures["broken"]
    assert "\n" not in failures["broken"]


def test_a_network_that_gives_one_colour_is_reported_as_collapsed(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train_module.train_distorter

    def emptied(*args: object, **more: object) -> object:
        network = real(*args, **more)  # type: ignore[arg-type]
        for value in network.parameters():
            value.data.zero_()
        return network

    monkeypatch.setattr(train_module, "train_distorter", emptied)
    report = train(tmp_path / "zoo", source, [TINY], images=16)
    assert "collapsed: its outputs are flat" in str(report.reports[0].failure)


def test_a_ruin_is_reported_and_kept(
    source: Source,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strict = functools.partial(classify, limits=ZooLimits(ruin=0.05))
    monkeypatch.setattr(held_out_module, "classify", strict)
    arguments = command(tmp_path / "zoo", photographs, "--only", "092", "--images", "16")
    assert main([*arguments, "--workers", "1"]) == 0
    assert "of little use, look at their sheets: 092" in capsys.readouterr().out
    assert open_zoo(tmp_path / "zoo").record("092")["held_out"]["verdict"] == "ruin"


def test_what_a_kill_left_after_the_last_distorter_goes_with_the_next_run(
    zoo_copy: Path, source: Source
) -> None:
    whole = {path.relative_to(zoo_copy) for path in zoo_copy.rglob("*")}
    (zoo_copy / CROPS_FOLDER).mkdir()
    (zoo_copy / CROPS_FOLDER / "part-00000.npy").write_bytes(b"any")
    (zoo_copy / "training" / ".progress").write_bytes(b"any")
    training_files(zoo_copy, "tiny").checkpoint.write_bytes(b"any")
    zoo = open_zoo(zoo_copy)
    report = train(zoo_copy, source, [zoo.spec(name) for name in zoo.ids], images=640)
    assert report.reports == ()
    assert {path.relative_to(zoo_copy) for path in zoo_copy.rglob("*")} == whole


def test_progress_rises_to_the_whole(source: Source, tmp_path: Path) -> None:
    heard: list[ZooProgress] = []
    train(tmp_path / "zoo", source, [TINY, replace(TINY, id="other")], progress=heard.append)
    shares = [item.share for item in heard]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert (heard[-1].finished, heard[-1].failed, heard[-1].total) == (2, 0, 2)
    assert heard[-1].images == 320


def test_a_folder_with_other_files_is_refused(source: Source, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files but no zoo"):
        train(tmp_path, source, [TINY])


def test_ids_and_ranges_of_ids_are_chosen_in_the_order_of_the_table() -> None:
    known = shipped_specs()
    chosen = choose_specs(known, ["010-012", "003", "011"])
    assert [spec.id for spec in chosen] == ["003", "010", "011", "012"]
    assert choose_specs(known) == known
    for word in ("96", "020-010", "010-", "x"):
        with pytest.raises(UserError, match="unknown distorter"):
            choose_specs(known, [word])


def test_the_quick_preset_gives_slower_networks_fewer_images(source: Source) -> None:
    plan = planned(shipped_specs(), source, preset="quick")
    images = {name: settings.images for name, settings in plan.settings.items()}
    assert len(set(images.values())) > 10
    assert min(images.values()) >= 4000
    costs = [
        images[spec.id] * seconds_per_image(spec, plan.settings[spec.id].feature_share, "alex")
        for spec in shipped_specs()
        if images[spec.id] > 4000
    ]
    assert max(costs) <= 62.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "slow"}, "unknown preset"),
        ({"images": 0}, "images = 0"),
        ({"epochs": -1}, "epochs = -1"),
        ({"images": 15}, "too few: a batch has 16"),
        ({"epochs": 1}, "too few: a batch has 16"),
        ({"images": 100, "epochs": 1}, "give one of them"),
        ({"device": "tpu"}, "device = tpu"),
        ({"vgg": Path("none.pth")}, "are not there"),
    ],
)
def test_a_bad_option_is_refused_in_one_line(
    options: dict[str, object], words: str, source: Source
) -> None:
    with pytest.raises(UserError) as caught:
        planned([TINY], source, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_epochs_count_the_photos_that_are_not_held_out(source: Source) -> None:
    kept, held = part_images(source)
    assert (len(kept), len(held)) == (7, 1)
    plan = planned([TINY], source, epochs=5)
    assert plan.settings["tiny"].images == 32


def test_one_photo_is_too_few_even_if_there_are_copies(photographs: Path, tmp_path: Path) -> None:
    photo = next(photographs.glob("*.png"))
    for name in ("a.png", "b.png"):
        shutil.copy(photo, tmp_path / name)
    with pytest.raises(SourceError, match="at least 2 different ones"):
        planned([TINY], open_source([tmp_path]))


def test_copies_of_a_photo_fall_into_one_part(photographs: Path, tmp_path: Path) -> None:
    for path in photographs.glob("*.png"):
        shutil.copy(path, tmp_path / path.name)
        shutil.copy(path, tmp_path / f"copy-{path.name}")
    source = open_source([tmp_path])
    kept, held = part_images(source)
    hashes = [entry.sha256 for entry in source.entries]
    assert not {hashes[index] for index in kept} & {hashes[index] for index in held}
    assert len(kept) + len(held) == len(source) == 16


class TestCrops:
    def cut(self, folder: Path, source: Source, count: int, workers: int = 1) -> np.ndarray:
        kept, _ = part_images(source)
        write_crops(folder, source, kept, CropPlan(source.digest, 0), count, workers)
        return Crops(folder, count)[np.arange(count)]

    @pytest.fixture(autouse=True)
    def _small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(crops_module, "PART_CROPS", 50)

    def test_a_crop_does_not_depend_on_their_number(self, source: Source, tmp_path: Path) -> None:
        many = self.cut(tmp_path / "many", source, 130)
        few = self.cut(tmp_path / "few", source, 60)
        assert np.array_equal(many[:60], few)
        assert len({crop.tobytes() for crop in many}) > 120

    def test_crops_can_be_added_to(self, source: Source, tmp_path: Path) -> None:
        self.cut(tmp_path / "a", source, 60)
        grown = self.cut(tmp_path / "a", source, 130)
        assert np.array_equal(grown, self.cut(tmp_path / "b", source, 130))

    def test_every_photo_has_its_turn(self, source: Source) -> None:
        kept, _ = part_images(source)
        cutter = crops_module._Cutter(source, kept, CropPlan(source.digest, 0), SLOT_TRAINING_CROPS)
        turns = [cutter.image_of(number) for number in range(2 * len(kept))]
        assert sorted(turns[: len(kept)]) == sorted(turns[len(kept) :]) == sorted(kept)

    def test_a_broken_photo_is_named_and_the_next_takes_its_turn(
        self, photographs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "photos"
        shutil.copytree(photographs, folder)
        source = open_source([folder])
        kept, _ = part_images(source)
        broken = folder / source.entries[kept[0]].name
        broken.write_bytes(broken.read_bytes()[:2000])
        small = folder / source.entries[kept[1]].name
        cv2.imwrite(str(small), np.zeros((40, 90, 3), np.uint8))
        changed = open_source([folder])
        kept = tuple(
            index
            for index, entry in enumerate(changed.entries)
            if entry.name != source.entries[7].name
        )
        failures = write_crops(
            tmp_path / "crops", changed, kept, CropPlan(changed.digest, 0), 60, 1
        )
        assert set(failures) == {broken.name, small.name}
        assert f"skipped {broken.name}" in caplog.text
        assert "smaller than" in failures[small.name]
        assert len(Crops(tmp_path / "crops", 60)) == 60

    def test_one_sound_photo_takes_every_turn_of_a_broken_one(
        self, photographs: Path, tmp_path: Path
    ) -> None:
        shutil.copy(photographs / "coffee-0.png", tmp_path / "a.png")
        (tmp_path / "b.png").write_bytes(b"no picture")
        source = open_source([tmp_path])
        cutter = crops_module._Cutter(
            source, (0, 1), CropPlan(source.digest, 0), SLOT_TRAINING_CROPS
        )
        for number in range(20):  # in some passes the broken one is the last, in some the first
            cutter.cut(number)
        assert list(cutter.failures) == ["b.png"]

    def test_photos_that_are_all_broken_are_an_error(self, tmp_path: Path) -> None:
        for name in ("a", "b", "c"):
            (tmp_path / f"{name}.png").write_bytes(name.encode() * 50)
        with pytest.raises(SourceError, match="none of 2 images can be used, for example"):
            self.cut(tmp_path / "crops", open_source([tmp_path]), 60)

    def test_flat_photos_cannot_be_held_out(self, tmp_path: Path) -> None:
        for name, level in (("a", 10), ("b", 20)):
            cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((99, 99, 3), level, np.uint8))
        source = open_source([tmp_path])
        _, held = part_images(source)
        with pytest.raises(SourceError, match="too flat"):
            cut_patches(source, held, CropPlan(source.digest, 0), HELD_OUT_PATCHES)


def command(out: Path, photographs: Path, *more: str) -> list[str]:
    return [
        *("train-distorters", "--source", str(photographs), "--out", str(out)),
        *("--device", "cpu", *more),
    ]


def test_the_command_trains_and_lists(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "zoo"
    arguments = command(out, photographs, "--only", "034,092", "--images", "32", "--workers", "1")
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 distorters are in" in printed
    assert "034: 32 images in" in printed
    assert main(["distorters", "--zoo", str(out)]) == 0
    listed = capsys.readouterr().out
    assert "2 distorters in" in listed
    assert f"table version {TABLE_VERSION}" in listed
    assert main(["distorters", "--zoo", str(out), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [item["id"] for item in table["distorters"]] == ["034", "092"]
    assert table["distorters"][0]["record"]["images"] == 32
    assert table["fingerprint"] == open_zoo(out).fingerprint


def test_the_command_lists_the_96_specs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distorters", "--specs"]) == 0
    assert "96 specs of this package" in capsys.readouterr().out


def test_the_command_exits_with_1_when_a_distorter_failed_and_keeps_the_others(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = tmp_path / "my.toml"
    specs.write_text(
        '[[distorter]]\nid = "good"\ncorruption = "null"\nlayers = 2\nfirst_channels = 8\n'
        '[[distorter]]\nid = "bad"\ncorruption = "null"\nlearning_rate = 1e6\n'
    )
    out = tmp_path / "zoo"
    arguments = command(
        out, photographs, "--specs", str(specs), "--images", "160", "--quiet", "--workers", "1"
    )
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "distorter 'bad' diverged" in captured.err
    assert "1 distorters failed: bad" in captured.err
    assert open_zoo(out).ids == ("good",)


@pytest.mark.slow
def test_a_zoo_killed_at_random_moments_ends_with_the_same_files(
    photographs: Path, tmp_path: Path
) -> None:
    def start(out: Path) -> subprocess.Popen[bytes]:
        arguments = command(
            out, photographs, "--only", "034,092,090", "--images", "9600", "--workers", "2"
        )
        return subprocess.Popen(
            [sys.executable, "-m", "bapps_gen", *arguments],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    assert start(tmp_path / "whole").wait() == 0
    rng = np.random.default_rng(0)
    for _ in range(20):
        process = start(tmp_path / "cut")
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert process.wait(rng.uniform(8, 30)) == 0
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(1)  # workers die with their parent
    else:
        pytest.fail("it never came to an end")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
