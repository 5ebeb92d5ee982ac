"""Patches of other sizes than 64 px: every kind of set, and everything that reads one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.imaging.encode import decode_png
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.rows import renderer
from bapps_gen.pipelines.rows.options import resolve_shard_size
from support.datasets import contents, make, one_line, photo, save_photo, shard_file, verify
from support.once import Once
from support.real_outputs import save_task
from support.subjects import COUNTED, Inputs, over

PICTURES = ("ref", "p0", "p1")


@pytest.fixture(scope="session")
def large_inputs(zoo: Path, once: Once) -> Inputs:
    """Photos and outputs of algorithms with room for 512 px."""

    def save_photos(folder: Path) -> None:
        for seed in range(2):
            save_photo(folder / f"photo{seed}.png", photo(seed, 520, 560))

    def save_outputs(folder: Path) -> None:
        save_task(folder, images=2, height=520, width=560)

    large, task = once("large_photos", save_photos), once("large_task", save_outputs)
    return Inputs(large, large, zoo, task, large, large, large, large)


@pytest.fixture(scope="module")
def large_set(large_inputs, tmp_path_factory) -> Path:
    """Three triplets of 224 px; do not change it."""
    folder = tmp_path_factory.mktemp("large") / "set"
    assert make(large_inputs.photos, folder, 3, "--patch-size", "224") == 0
    return folder


def sizes_of(folder: Path) -> set[tuple[int, ...]]:
    """Shapes of the pictures of a dataset."""
    return {
        decode_png(row[name]["bytes"]).shape
        for row in contents(folder)
        for name in PICTURES
        if name in row
    }


def check_whole_life(subject, inputs: Inputs, size: int, folder: Path, rows: int) -> None:
    """Make a set, verify it, export its recipe, and make it again from that."""
    made, recipe, again = folder / "set", folder / "recipe", folder / "again"
    asked = ("--n", rows, "--patch-size", size, "--shard-size", rows - 1)
    assert subject.make(inputs, made, *asked) == 0
    assert sizes_of(made) == {(size, size, 3)}
    assert open_dataset(made).info.patch_size == size
    assert f"{size}×{size} patches" in (made / "README.md").read_text()
    for row in contents(made):
        assert row["scale"] == size / row["crop"]["side"] <= 1
    assert verify(made) == 0
    assert main(["export", str(made), "--format", "recipe", "--out", str(recipe), "--quiet"]) == 0
    words = [*map(str, subject.replay(inputs)), "--quiet", "--workers", "1"]
    assert main(["replay", str(recipe), "--out", str(again), *words]) == 0
    assert contents(again) == contents(made)


@pytest.mark.parametrize("size", [16, 17, 96])
@over(COUNTED)
def test_a_set_of_every_kind_lives_at_every_size(subject, size, inputs, tmp_path):
    check_whole_life(subject, inputs, size, tmp_path, 6)


@over(COUNTED, quick=("traditional", "jnd-cnn", "color"))
def test_a_set_of_every_kind_lives_at_224_px(subject, large_inputs, tmp_path):
    check_whole_life(subject, large_inputs, 224, tmp_path, 3)


@over(COUNTED, quick=())
def test_a_set_of_every_kind_lives_at_512_px(subject, large_inputs, tmp_path):
    check_whole_life(subject, large_inputs, 512, tmp_path, 3)


@over([subject for subject in COUNTED if subject.name in ("traditional", "cnn")])
def test_rows_of_large_patches_do_not_depend_on_shards_or_groups(
    subject, large_inputs, tmp_path, monkeypatch
):
    asked = ("--n", 7, "--patch-size", 200)
    assert subject.make(large_inputs, tmp_path / "a", *asked, "--shard-size", 3) == 0
    monkeypatch.setattr(renderer, "CNN_GROUP_ROWS", 20)  # two rows of this size
    assert subject.make(large_inputs, tmp_path / "b", *asked, "--shard-size", 7) == 0
    assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_64_px_is_the_default_and_leaves_no_trace(photos, tmp_path):
    assert make(photos, tmp_path / "plain", 5) == 0
    assert make(photos, tmp_path / "asked", 5, "--patch-size", "64", "--fixed-px") == 0
    info = open_dataset(tmp_path / "plain").info
    assert info.patch_size == 64
    assert not {"patch_size", "fixed_px"} & set(info.spec)
    assert open_dataset(tmp_path / "asked").info.digest == info.digest
    assert contents(tmp_path / "asked") == contents(tmp_path / "plain")


def test_a_set_of_another_size_is_not_written_over(photos, tmp_path, capsys):
    assert make(photos, tmp_path / "set", 5) == 0
    assert make(photos, tmp_path / "set", 5, "--patch-size", "96") == 2
    assert "patch_size" in one_line(capsys)


def test_photos_smaller_than_a_patch_are_left_out_with_their_size(photos, tmp_path, capsys):
    assert make(photos, tmp_path / "set", 5, "--patch-size", "224") == 2
    line = one_line(capsys)
    assert "220×160 px is smaller than a 224×224 patch" in line
    assert "whole images of at least 224×224 px" in line


def test_a_shards_metadata_say_the_size(large_set, dataset):
    def said(folder: Path) -> dict:
        return json.loads(pq.read_schema(shard_file(folder, 0)).metadata[b"bapps_gen"])

    assert said(large_set)["patch_size"] == 224
    assert "patch_size" not in said(dataset)


def test_shards_row_groups_and_batches_have_fewer_rows_of_large_patches(large_inputs, tmp_path):
    for size, rows in ((64, 1000), (128, 1000), (224, 250), (256, 250), (512, 50)):
        assert resolve_shard_size(None, size) == rows
    folder = tmp_path / "set"
    assert make(large_inputs.photos, folder, 9, "--patch-size", "256") == 0
    file = pq.ParquetFile(shard_file(folder, 0))
    groups = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert groups == [6, 3]
    opened = open_dataset(folder)
    assert [batch.num_rows for batch in opened.batches(size=1000)] == [9]
    assert [batch.num_rows for batch in opened.batches(["ref"])] == [6, 3]
    assert [batch.num_rows for batch in opened.batches(["id"], size=1000)] == [9]


def test_a_shard_that_would_not_fit_into_memory_is_refused(large_inputs, tmp_path, capsys):
    asked = ("--patch-size", "512", "--shard-size", "1563")
    assert make(large_inputs.photos, tmp_path / "set", 5, *asked) == 2
    assert "shard-size = 1563 is not allowed" in (line := one_line(capsys))
    assert "1 to 1562 with patches of 512 px" in line


def test_readers_give_arrays_of_the_sets_size(large_set):
    from torch.utils.data import DataLoader

    triplets = list(bapps_gen.iter_triplets(large_set))
    assert [triplet.p1.shape for triplet in triplets] == [(224, 224, 3)] * 3
    data = bapps_gen.TripletDataset(large_set)
    assert np.array_equal(data.row(2).ref, triplets[2].ref)
    (batch,) = DataLoader(data, batch_size=3)
    assert batch["p0"].shape == (3, 3, 224, 224)


def test_large_patches_are_scored_validated_and_shown(large_set, tmp_path, capsys):
    for words in (
        ("score", "--metric", "lpips-alex,ssim,ms-ssim,fsimc", "--quiet", "--workers", "1"),
        ("validate", "--out", tmp_path / "report.html", "--quiet", "--workers", "1"),
        ("show", "-o", tmp_path / "sheet.png"),
        ("info",),
    ):
        command, *options = map(str, words)
        assert main([command, str(large_set), *options]) == 0, capsys.readouterr().err
    page = (tmp_path / "report.html").read_text()
    assert "224×224 px" in page
    assert "--cell: 224px" in page
    sheet = bapps_gen.read_image(tmp_path / "sheet.png")
    assert sheet.shape[1] > 6 * 224  # two triplets across, not enlarged


def test_a_metric_that_takes_no_patches_so_small_is_refused(photos, tmp_path, capsys):
    folder = tmp_path / "set"
    assert make(photos, folder, 4, "--patch-size", "16") == 0
    for words in (("score",), ("validate", "--out", str(tmp_path / "report"))):
        assert main([words[0], str(folder), *words[1:], "--quiet", "--workers", "1"]) == 2
        line = one_line(capsys)
        assert "patch size for lpips-alex = 16 is not allowed: it must be at least 31 px" in line
        assert "use l2, l2-lab, psnr, psnr-lab, ssim, ms-ssim, fsimc, l2-lab-upstream" in line
        assert "or uncalibrated-vgg, or a set of larger patches" in line
    small = ["l2", "l2-lab", "psnr", "psnr-lab", "ssim", "ms-ssim", "fsimc"]
    scores = bapps_gen.score(folder, small, workers=1)
    assert all(np.isfinite(scores[name].d0).all() for name in small)


def test_every_metric_takes_the_smallest_patch_it_names_and_none_smaller():
    rng = np.random.default_rng(0)
    for spec in bapps_gen.list_metrics():
        if spec.net in (None, "alex"):  # whose weights come with the package
            metric = bapps_gen.load_metric(spec.name)
            first, second = rng.integers(0, 256, (2, 1, spec.smallest, spec.smallest, 3), np.uint8)
            assert np.isfinite(metric.distance(first, second)).all()
            if spec.smallest > 1:
                with pytest.raises(bapps_gen.UserError, match=f"at least {spec.smallest}"):
                    metric.distance(first[:, 1:, 1:], second[:, 1:, 1:])


def test_large_patches_are_exported_enlarged_and_imported_again(large_set, tmp_path, capsys):
    for upscale in (224, 448):
        out = tmp_path / str(upscale)
        folder = bapps_gen.export(large_set, out, format="bapps", upscale=upscale)
        assert bapps_gen.read_image(folder / "ref" / "000000.png").shape == (upscale, upscale, 3)
        (folder / "judge").mkdir()
        for row in range(3):
            np.save(folder / "judge" / f"{row:06d}.npy", np.float32([0.5]))
        (imported,) = bapps_gen.import_original(
            folder, tmp_path / f"from{upscale}", patch_size=224, workers=1
        )
        for made, back in zip(contents(large_set), contents(imported.folder), strict=True):
            assert [back[f"{name}_hash"] for name in PICTURES] == [
                made[f"{name}_hash"] for name in PICTURES
            ]
        assert imported.info.patch_size == 224
        assert verify(imported.folder) == 0
    (result,) = bapps_gen.evaluate(folder, ["l2"], patch_size=224, resamples=10, workers=1)
    assert result.rows == 3
    assert main(["import", str(folder), "--out", str(tmp_path / "64"), "--workers", "1"]) == 2
    assert "(--patch-size 448 takes it as it is)" in capsys.readouterr().err
    with pytest.raises(bapps_gen.UserError, match="a multiple of 224 up to 4096; use 224"):
        bapps_gen.export(large_set, tmp_path / "256", format="bapps", upscale=256)
    assert bapps_gen.export(large_set, tmp_path / "tars", format="webdataset").is_dir()


def test_parts_of_sets_keep_their_size_and_other_sizes_are_not_merged(large_set, photos, tmp_path):
    asked = ("--where", "row < 2", "--out", str(tmp_path / "few"), "--quiet")
    assert main(["subset", str(large_set), *asked]) == 0
    assert open_dataset(tmp_path / "few").info.patch_size == 224
    assert sizes_of(tmp_path / "few") == {(224, 224, 3)}
    assert verify(tmp_path / "few", "--stored-only") == 0
    assert make(photos, tmp_path / "small", 4, "--patch-size", "96") == 0
    with pytest.raises(bapps_gen.UserError, match="merge sets of one size"):
        bapps_gen.merge([large_set, tmp_path / "small"], out=tmp_path / "both")


def test_a_benchmarks_patches_have_the_size_asked_for(large_inputs, tmp_path):
    made = {
        fixed: bapps_gen.make_benchmark(
            source=large_inputs.photos,
            atoms=["gaussian_blur"],
            severities=[1.0],
            patches=2,
            patch_size=128,
            fixed_px=fixed,
            out=tmp_path / str(fixed),
            workers=1,
        )
        for fixed in (False, True)
    }
    sigmas = {}
    for fixed, benchmark in made.items():
        row = next(iter(benchmark))
        assert bapps_gen.read_image(benchmark.folder / row["path"]).shape == (128, 128, 3)
        assert main(["verify", str(benchmark.folder), "--quiet", "--workers", "1"]) == 0
        sigmas[fixed] = row["steps"][0]["params"][0]["value"]
    assert sigmas[False] == 2 * sigmas[True]


def test_a_collection_takes_a_size_for_all_sets_and_for_each(photos, tmp_path):
    table = tmp_path / "sets.toml"
    table.write_text(
        '[[set]]\npath = "2afc/train/a"\nkind = "traditional"\nrows = 3\n'
        '[[set]]\npath = "2afc/train/b"\nkind = "traditional"\nrows = 3\npatch_size = 32\n'
    )
    made = bapps_gen.make_collection(
        spec=table, train=photos, patch_size=96, out=tmp_path / "out", workers=1
    )
    sizes = [made[f"2afc/train/{name}"].info.patch_size for name in "ab"]
    assert sizes == [96, 32]
    assert "of 32×32 and 96×96 patches" in (tmp_path / "out" / "README.md").read_text()
    assert bapps_gen.contact_sheet(made, count=4).ndim == 3


@pytest.mark.parametrize("value", ["big", 15, 513, True, None])
def test_a_damaged_size_is_named_in_one_line(dataset, tmp_path, capsys, value):
    folder = tmp_path / "set"
    shutil.copytree(dataset, folder)
    info = json.loads((folder / "dataset.json").read_text())
    info["spec"]["patch_size"] = value
    (folder / "dataset.json").write_text(json.dumps(info))
    for words in (["info"], ["verify", "--quiet"], ["export", "--format", "webdataset"]):
        more = ["--out", str(tmp_path / "out")] if words[0] == "export" else []
        assert main([words[0], str(folder), *words[1:], *more]) == 1
        assert "patch_size" in one_line(capsys)


@pytest.mark.slow
def test_memory_stays_bounded_at_512_px(large_inputs, tmp_path):
    script = (
        "import resource, sys\n"
        "from bapps_gen.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    words = ["traditional", "--n", "60", "--patch-size", "512", "--out", str(tmp_path / "set")]
    words += ["--source", str(large_inputs.photos), "--workers", "1", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 900  # MB; all 60 rows as arrays would take as much again
