"""Features beside a dataset: exact enough, whole or not at all, and of what they say they are."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bapps_gen
from bapps_gen.errors import UserError, WorkError
from bapps_gen.lpips import load_lpips
from bapps_gen.lpips.weights import load_linear
from bapps_gen.manifests.features import GAIN
from bapps_gen.pipelines.metric_training.data import JudgedRows, read_judged
from bapps_gen.pipelines.metric_training.features import (
    FeatureReport,
    StoredFeatures,
    make_features,
    plan_features,
)
from bapps_gen.pipelines.scoring.options import MetricOptions
from bapps_gen.storage.workspace import folder_lock
from support.judged_sets import NET, judged_set, save_net, save_photos

EXACT = MetricOptions("cpu", "float32")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judged set of 70 rows in three shards."""
    folder = tmp_path_factory.mktemp("judged")
    judged_set(save_photos(folder / "photos", range(4)), folder / "set", 70)
    return folder / "set"


@pytest.fixture
def judged(original: Path, tmp_path: Path) -> Path:
    """A copy of it, without features."""
    shutil.copytree(original, tmp_path / "set")
    return tmp_path / "set"


def made(
    rows: JudgedRows, net: str, options: MetricOptions = EXACT, workers: int = 1
) -> tuple[FeatureReport, StoredFeatures]:
    plan = plan_features(rows.parts, net, options, workers)
    report = make_features(plan, workers)
    return report, StoredFeatures(rows, plan.infos[0])


def gathered(features: StoredFeatures, order: Any = None) -> np.ndarray:
    rows = np.arange(len(features)) if order is None else np.asarray(order)
    out = np.empty((len(rows), 2, sum(features.channels)), np.float16)
    features.gather(rows, out)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.glob("features/*/*.safetensors"))
    }


def patches_of(folder: Path) -> list[np.ndarray]:
    rows = list(bapps_gen.open_dataset(folder))
    return [np.stack([getattr(row, name) for row in rows]) for name in ("ref", "p0", "p1")]


def test_linear_weights_times_stored_features_are_the_distances(judged: Path) -> None:
    _, features = made(read_judged([judged]), "alex")
    weights = torch.cat(load_linear("alex", "0.1")).numpy()
    stored = gathered(features).astype(np.float64) @ weights / GAIN
    exact = np.stack([d.numpy() for d in load_lpips("alex").triplet(*patches_of(judged))], 1)
    assert features.channels == (64, 192, 384, 256, 256)
    np.testing.assert_allclose(stored, exact, rtol=5e-4)


def test_barely_visible_differences_keep_their_precision(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ref = rng.integers(80, 170, (4, 64, 64, 3)).astype(np.uint8)
    near = ref.copy()
    near[:, 20, 20] += 1  # one level in one pixel
    (pooled,) = load_lpips("alex").pooled(ref, near)
    exact = pooled.double().numpy()
    rounded = (exact * GAIN).astype(np.float16).astype(np.float64) / GAIN
    weights = torch.cat(load_linear("alex", "0.1")).numpy()
    assert 0 < (exact @ weights).max() < 1e-4
    np.testing.assert_allclose(rounded @ weights, exact @ weights, rtol=1e-3)
    # As they are, most would be lost below float16's least number.
    plain = exact.astype(np.float16).astype(np.float64)
    assert np.abs(plain @ weights / (exact @ weights) - 1).max() > 0.1


def test_effective_positions_lie_between_one_and_all(judged: Path) -> None:
    _, features = made(read_judged([judged]), "alex")
    assert features.positions.shape == (70, 2, 5)
    assert (features.positions >= 1).all()
    assert (features.positions <= [225, 49, 9, 9, 9]).all()


def test_effective_positions_of_a_single_and_of_equal_differences(tmp_path: Path) -> None:
    text = NET.replace("x.abs() + 0.1", "torch.cat([x.abs() + 0.1, 1 - x.abs()], 1)")
    net = bapps_gen.load_metric(save_net(tmp_path, text)).model  # type: ignore[attr-defined]
    ref = np.full((1, 8, 8, 3), 128, np.uint8)
    one = ref.copy()
    one[0, 3, 3] = 250
    _, (single, everywhere, nowhere) = net.pooled_with_positions(ref, one, ref // 2, ref)
    assert single[0, 0] == pytest.approx(1.0)
    assert everywhere[0].tolist() == pytest.approx([64.0, 4.0])
    assert nowhere[0].tolist() == [64.0, 4.0]


def test_one_worker_and_two_write_the_same_bytes(judged: Path, tmp_path: Path) -> None:
    net = save_net(tmp_path)
    made(read_judged([judged]), net, workers=1)
    alone = files(judged)
    shutil.rmtree(judged / "features")
    report, _ = made(read_judged([judged]), net, workers=2)
    assert report == FeatureReport(70, 0)
    assert files(judged) == alone
    assert len(alone) == 3


def test_only_what_is_missing_is_made(judged: Path, tmp_path: Path) -> None:
    rows, net = read_judged([judged]), save_net(tmp_path)
    made(rows, net)
    before = files(judged)
    assert made(rows, net)[0] == FeatureReport(0, 70)
    name = next(path for path in before if path.endswith("part-00001.safetensors"))
    (judged / name).unlink()
    assert made(rows, net)[0] == FeatureReport(30, 40)
    assert files(judged) == before


def test_a_run_that_needs_no_new_features_waits_for_no_other(judged: Path, tmp_path: Path) -> None:
    rows, net = read_judged([judged]), save_net(tmp_path)
    made(rows, net)
    (folder,) = (judged / "features").iterdir()
    with folder_lock(folder):
        assert made(rows, net)[0] == FeatureReport(0, 70)
        next(folder.glob("*.safetensors")).unlink()
        with pytest.raises(UserError, match="is being written by another run"):
            made(rows, net)


def test_features_of_more_judged_rows_complete_those_that_are_there(
    judged: Path, tmp_path: Path
) -> None:
    rows, net = read_judged([judged]), save_net(tmp_path)
    (part,) = rows.parts
    few = JudgedRows((part.take(np.arange(70) % 4 == 0),))
    report, features = made(few, net)
    assert report.made == len(few) == 18
    held = gathered(features)
    assert made(rows, net)[0].made == 70
    assert made(few, net)[0] == FeatureReport(0, 18)
    np.testing.assert_array_equal(gathered(made(few, net)[1]), held)


def test_rows_are_gathered_in_any_order_from_all_files(judged: Path, tmp_path: Path) -> None:
    _, features = made(read_judged([judged]), save_net(tmp_path))
    order = np.random.default_rng(0).permutation(70)
    np.testing.assert_array_equal(gathered(features, order), gathered(features)[order])
    np.testing.assert_array_equal(gathered(features, [69, 0, 0]), gathered(features)[[69, 0, 0]])


def test_features_of_another_net_of_that_name_are_made_again(
    judged: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, net = read_judged([judged]), save_net(tmp_path)
    made(rows, net)
    save_net(tmp_path, NET.replace("0.1", "0.2"))
    assert made(rows, net)[0].made == 70
    assert "of other settings" in caplog.text
    assert caplog.text.count("made again") == 1


def test_a_damaged_file_is_made_again_and_never_read(
    judged: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, net = read_judged([judged]), save_net(tmp_path)
    made(rows, net)
    before = files(judged)
    name = sorted(before)[0]
    for damage in (
        before[name][:-200],
        before[name][:-1] + b"\x55",
        b"",
        b"\xff" * 100,
        before[name].replace(b'"checksum', b'"checksun'),
    ):
        (judged / name).write_bytes(damage)
        plan = plan_features(rows.parts, net, EXACT, 1)
        with pytest.raises(WorkError, match="run the same command again"):
            StoredFeatures(rows, plan.infos[0])
        assert make_features(plan, 1) == FeatureReport(30, 40)
        assert files(judged) == before
    assert "damaged" in caplog.text


def test_automatic_precision_is_that_of_features_that_are_there(judged: Path) -> None:
    rows = read_judged([judged])
    automatic = MetricOptions("cpu", "auto")
    for dtype in ("bfloat16", "float32"):
        shutil.rmtree(judged / "features", ignore_errors=True)
        made(rows, "alex", MetricOptions("cpu", dtype))
        assert plan_features(rows.parts, "alex", automatic, 1).options.dtype == dtype
        assert made(rows, "alex", automatic)[0] == FeatureReport(0, 70)


def test_features_that_are_no_numbers_are_one_line(judged: Path, tmp_path: Path) -> None:
    dark = "x + torch.where(x.mean((1, 2, 3), keepdim=True) < -0.2, torch.nan, 0.0)"
    text = NET.replace("[x.abs()", f"[({dark}).abs()")
    with pytest.raises(UserError, match="map 0 has values that are not finite") as caught:
        made(read_judged([judged]), save_net(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert not files(judged)


def test_patches_too_small_for_a_net_are_refused(judged: Path) -> None:
    rows = read_judged([judged])
    (part,) = rows.parts
    spec = {**part.dataset.info.spec, "patch_size": 16}
    small = replace(part.dataset, info=replace(part.dataset.info, spec=spec))
    with pytest.raises(UserError, match="patch size"):
        plan_features([replace(part, dataset=small)], "alex", EXACT, 1)


def test_other_texts_than_nets_are_refused(judged: Path) -> None:
    with pytest.raises(UserError, match="unknown feature net 'lpips-alex'"):
        plan_features(read_judged([judged]).parts, "lpips-alex", EXACT, 1)


def test_a_dataset_with_features_is_verified_merged_and_exported_as_before(
    judged: Path, tmp_path: Path
) -> None:
    made(read_judged([judged]), save_net(tmp_path))
    assert bapps_gen.verify(judged, workers=1).count == 0
    part = bapps_gen.subset(judged, "row < 5", out=tmp_path / "part")
    assert not (part.folder / "features").exists()
    bapps_gen.export(judged, tmp_path / "folders", format="bapps")
    assert not list((tmp_path / "folders").rglob("features"))
