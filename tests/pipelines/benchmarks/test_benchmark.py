"""Benchmarks: every distortion at every level, on whole images and on patches."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bapps_gen.cli import main
from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.definition import SeverityParameter
from bapps_gen.distortions.registry import load_registry
from bapps_gen.errors import UserError
from bapps_gen.imaging.encode import pixel_hash
from bapps_gen.imaging.photo import whole_photo
from bapps_gen.manifests.rows import Crop
from bapps_gen.pipelines.benchmarks.names import picture_names
from bapps_gen.pipelines.benchmarks.plan import BenchmarkPlanner, choose_variants
from bapps_gen.pipelines.benchmarks.request import BenchmarkRequest
from bapps_gen.pipelines.benchmarks.spec import BenchmarkSpec
from bapps_gen.pipelines.rows.render import cut_reference, luma_contrast
from support.datasets import one_line, photo, save_photo

REGISTRY = load_registry()
FEW = ("--atoms", "gaussian_white,ghosting,jpeg", "--levels", "3")
AMPLITUDES = (
    *("lightness_shift", "color_shift", "contrast", "saturation", "uniform_white"),
    *("gaussian_white", "pink", "blue", "gaussian_colored", "checkerboard", "gaussian_blur"),
    *("bilateral", "ghosting", "jpeg"),
)


def make(source: Path, out: Path, *options: str, workers: int = 1) -> int:
    """Run `bapps-gen benchmark` in this process."""
    return main(
        [
            *("benchmark", "--quiet", "--source", str(source), "--out", str(out)),
            *("--workers", str(workers), *options),
        ]
    )


def manifest(folder: Path) -> list[dict]:
    return pq.read_table(folder / "manifest.parquet").to_pylist()


def picture(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file that a user sees, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All atoms at 5 levels on six whole images; do not change it."""
    out = tmp_path_factory.mktemp("benchmarks") / "whole"
    assert make(photos, out) == 0
    return out


@pytest.fixture(scope="module")
def few(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three atoms at 3 levels on six whole images; do not change it."""
    out = tmp_path_factory.mktemp("benchmarks") / "few"
    assert make(photos, out, *FEW) == 0
    return out


@pytest.fixture(scope="module")
def patches(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three atoms at 3 levels on 4 patches of each of six images; do not change it."""
    out = tmp_path_factory.mktemp("benchmarks") / "patches"
    assert make(photos, out, *FEW, "--patches", "4") == 0
    return out


# What is written


def test_every_atom_has_every_level_of_every_image(photos, whole):
    names = {f"{path.stem}.png" for path in photos.iterdir()}
    for atom in ATOMS:
        for level in "12345":
            assert set(os.listdir(whole / atom.name / level)) == names
    assert set(os.listdir(whole / "reference")) == names
    rows = manifest(whole)
    assert len(rows) == 6 * 20 * 5
    assert {row["path"] for row in rows} | {row["reference"] for row in rows} == {
        str(path.relative_to(whole)) for path in whole.rglob("*.png")
    }
    assert not (whole / ".rows").exists()
    assert not (whole / ".partial").exists()


def test_references_are_the_images_and_hashes_are_of_the_pictures(photos, whole):
    for row in manifest(whole)[::7]:
        reference, distorted = picture(whole / row["reference"]), picture(whole / row["path"])
        assert np.array_equal(reference, picture(photos / row["source_path"]))
        assert pixel_hash(reference) == row["reference_hash"]
        assert pixel_hash(distorted) == row["hash"]
        assert distorted.shape == (row["height"], row["width"], 3) == reference.shape
        assert (whole / row["path"]).stat().st_size == row["bytes"]
        assert (row["crop"], row["patch"], row["scale"]) == (None, None, 1.0)


@pytest.mark.parametrize("name", AMPLITUDES)
def test_distances_rise_with_the_level(whole, name):
    errors: dict[str, list[float]] = {}
    for row in manifest(whole):
        if row["distortion"] == name:
            reference, distorted = picture(whole / row["reference"]), picture(whole / row["path"])
            error = np.mean((distorted.astype(float) - reference) ** 2)
            errors.setdefault(row["source_path"], []).append(error)
    assert len(errors) == 6
    for distances in errors.values():
        assert distances == sorted(distances)
        assert 0 < distances[0] < distances[-1]


def test_only_parameters_that_follow_severity_change_over_the_levels(whole):
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in manifest(whole):
        groups.setdefault((row["source_path"], row["distortion"]), []).append(row)
    for (_, name), rows in groups.items():
        assert [row["level"] for row in rows] == [1, 2, 3, 4, 5]
        assert [row["severity"] for row in rows] == [0.2, 0.4, 0.6, 0.8, 1.0]
        assert len({row["steps"][0]["seed"] for row in rows}) == 1
        for index, parameter in enumerate(REGISTRY.atom(name).parameters):
            values = [row["steps"][0]["params"][index]["value"] for row in rows]
            if isinstance(parameter, SeverityParameter):
                moves = [abs(value - parameter.identity) for value in values]
                assert moves == sorted(set(moves))
                assert len({value > parameter.identity for value in values}) == 1
            else:
                assert len(set(values)) == 1


def test_free_parameters_differ_between_images_and_seeds(photos, whole, tmp_path):
    def hues(folder: Path) -> set[float]:
        rows = [row for row in manifest(folder) if row["distortion"] == "color_shift"]
        return {row["steps"][0]["params"][1]["value"] for row in rows}

    assert len(hues(whole)) == 6
    options = ("--atoms", "color_shift", "--levels", "1", "--seed", "1")
    assert make(photos, tmp_path / "other", *options) == 0
    assert not hues(whole) & hues(tmp_path / "other")


def test_severity_nought_gives_the_reference(photos, tmp_path):
    out = tmp_path / "out"
    assert make(photos, out, "--atoms", "pink,homography", "--severities", "0,1") == 0
    for row in manifest(out):
        assert (row["hash"] == row["reference_hash"]) == (row["severity"] == 0)


def test_compositions_are_both_steps_at_the_severity_of_the_level(photos, tmp_path):
    out = tmp_path / "out"
    assert make(photos, out, "--compositions", "gaussian_blur+jpeg", "--severities", "0.5") == 0
    rows = manifest(out)
    assert len(rows) == 6
    assert rows[0]["path"] == "gaussian_blur+jpeg/1/photo0.png"
    assert rows[0]["family"] == "blur+compression"
    assert [step["distortion"] for step in rows[0]["steps"]] == ["gaussian_blur", "jpeg"]
    assert [step["severity"] for step in rows[0]["steps"]] == [0.5, 0.5]


def test_levels_of_more_than_nine_sort_by_name(photos, tmp_path):
    assert make(photos, tmp_path / "out", "--atoms", "contrast", "--levels", "10") == 0
    assert sorted(os.listdir(tmp_path / "out" / "contrast"))[::9] == ["01", "10"]


def test_large_images_are_reduced_by_area(tmp_path):
    source = save_photo(tmp_path / "photos" / "large.png", photo(0, 400, 600)).parent
    save_photo(source / "small.png", photo(1, 90, 100))
    assert make(source, tmp_path / "out", *FEW, "--max-side", "200") == 0
    reference = picture(tmp_path / "out" / "reference" / "large.png")
    assert reference.shape == (133, 200, 3)
    large = picture(source / "large.png")
    assert np.array_equal(reference, cv2.resize(large, (200, 133), interpolation=cv2.INTER_AREA))
    scales = {row["source_path"]: row["scale"] for row in manifest(tmp_path / "out")}
    assert scales == {"large.png": pytest.approx(1 / 3), "small.png": 1.0}


# What pictures depend on


def test_pictures_depend_neither_on_other_distortions_nor_levels_nor_images(
    photos, few, whole, tmp_path
):
    alone = tmp_path / "photos"
    alone.mkdir()
    shutil.copy(photos / "photo3.png", alone / "renamed.png")
    assert make(alone, tmp_path / "out", "--atoms", "ghosting", "--severities", "0.6,1") == 0
    made = {row["severity"]: row["hash"] for row in manifest(tmp_path / "out")}
    hashes = {
        row["severity"]: row["hash"]
        for row in manifest(whole)
        if (row["source_path"], row["distortion"]) == ("photo3.png", "ghosting")
    }
    assert made == {severity: hashes[severity] for severity in (0.6, 1.0)}


def test_lost_and_torn_pictures_are_named_and_made_again(photos, few, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(few, out)
    (out / "jpeg" / "2" / "photo1.png").unlink()
    torn = out / "reference" / "photo4.png"
    torn.write_bytes(torn.read_bytes()[:-10])
    assert make(photos, out, *FEW) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "jpeg/2/photo1.png is missing or damaged" in lines[0]
    assert "reference/photo4.png is missing or damaged" in lines[1]
    assert tree(out) == tree(few)


@pytest.mark.parametrize("name", ["manifest.parquet", "manifest.csv", "pairs.csv"])
def test_a_lost_manifest_is_written_again(photos, few, tmp_path, name):
    out = tmp_path / "out"
    shutil.copytree(few, out)
    (out / name).unlink()
    assert make(photos, out, *FEW) == 0
    assert tree(out) == tree(few)


def test_a_damaged_manifest_is_reported_and_made_again(photos, few, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(few, out)
    damaged = out / "manifest.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-50])
    assert make(photos, out, *FEW) == 0
    assert "manifest.parquet is damaged" in one_line(capsys)
    assert tree(out) == tree(few)


# The manifest and its readers


def test_the_manifest_is_plain_parquet_for_pandas_duckdb_and_datasets(few, tmp_path):
    path = few / "manifest.parquet"
    frame = pd.read_parquet(path)
    assert len(frame) == 54
    assert sorted(frame.distortion.unique()) == ["gaussian_white", "ghosting", "jpeg"]
    counted = duckdb.sql(f"select distortion, count(*) from '{path}' group by 1 order by 1")
    assert counted.fetchall() == [("gaussian_white", 18), ("ghosting", 18), ("jpeg", 18)]
    import datasets

    loaded = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path)
    )
    assert loaded[0]["steps"][0]["params"][0]["name"] == "sigma"


def test_the_manifest_says_units_and_meanings(few):
    schema = pq.read_schema(few / "manifest.parquet")
    units = json.loads(schema.field("steps").metadata[b"units"])
    assert units["ghosting.distance"] == "px"
    assert all(field.metadata[b"description"] for field in schema)
    stored = json.loads((few / "benchmark.json").read_text())
    assert stored["units"] == units
    assert stored["distortions"] == {"gaussian_white": 1, "ghosting": 1, "jpeg": 1}
    assert json.loads(schema.metadata[b"bapps_gen"])["spec_digest"] == stored["digest"]
    assert (stored["images"], stored["pictures"]) == (6, 54)


def test_the_csv_has_the_same_values(few):
    frame = pd.read_csv(few / "manifest.csv")
    for row, line in zip(manifest(few), frame.to_dict("records"), strict=True):
        for name in ("path", "reference", "family", "level", "severity", "hash", "source_sha256"):
            assert line[name] == row[name]
        (step,) = row["steps"]
        assert json.loads(line["parameters"]) == {
            f"{step['distortion']}.{pair['name']}": pair["value"] for pair in step["params"]
        }
        assert (int(line["seed"]), line["version"]) == (step["seed"], step["version"])


def test_pairs_name_reference_and_distorted_files_first(few):
    with open(few / "pairs.csv", newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header[:3] == ["ref_name", "dist_name", "severity"]
    assert len(lines) == 54
    for reference, distorted, severity, level, name in lines:
        assert (few / reference).is_file()
        assert distorted.split("/")[:2] == [name, level]
        assert float(severity) == int(level) / 3


def test_metrics_read_the_pairs(few):
    from bapps_gen.metrics import load_metric

    metric = load_metric("ssim")
    pairs = pd.read_csv(few / "pairs.csv")
    pairs["distance"] = [
        metric.distance(picture(few / ref)[None], picture(few / dist)[None])[0]
        for ref, dist in zip(pairs.ref_name, pairs.dist_name, strict=True)
    ]
    means = pairs.groupby(["distortion", "level"]).distance.mean().unstack()
    assert (np.diff(means.to_numpy(), axis=1) > 0).all()


# Patches


def test_patches_are_the_same_for_every_distortion_and_level(photos, patches):
    rows = manifest(patches)
    assert len(rows) == 6 * 4 * 9
    assert len(os.listdir(patches / "reference")) == 24
    crops: dict[tuple[str, int], set[tuple]] = {}
    for row in rows:
        key = (row["source_path"], row["patch"])
        crops.setdefault(key, set()).add((*row["crop"].values(), row["reference_hash"]))
        assert row["reference"] == f"reference/{Path(row['source_path']).stem}_{row['patch']}.png"
    assert len(crops) == 24
    assert all(len(positions) == 1 for positions in crops.values())
    for row in rows[::11]:
        reference = picture(patches / row["reference"])
        assert reference.shape == (64, 64, 3)
        crop = Crop(**row["crop"])
        source = whole_photo(picture(photos / row["source_path"]))
        assert np.array_equal(reference, cut_reference(source, crop, 64))
        assert row["scale"] == crop.scale(64)
        assert luma_contrast(reference) >= 0.02


def test_the_patches_of_an_image_lie_at_different_positions(patches):
    rows = manifest(patches)
    positions = {(row["source_path"], *row["crop"].values()) for row in rows}
    assert len(positions) == 24


def test_more_patches_begin_with_the_fewer(photos, patches, tmp_path):
    assert make(photos, tmp_path / "out", *FEW, "--patches", "6") == 0
    more = {
        (row["source_path"], row["patch"], row["distortion"], row["level"]): row["hash"]
        for row in manifest(tmp_path / "out")
    }
    for row in manifest(patches):
        key = (row["source_path"], row["patch"], row["distortion"], row["level"])
        assert more[key] == row["hash"]


def test_images_without_enough_patches_are_named_and_left_out(tmp_path, capsys):
    source = tmp_path / "photos"
    save_photo(source / "exact.png", photo(0, 64, 64))  # room for one patch
    save_photo(source / "flat.png", np.full((200, 200, 3), 90, np.uint8))
    save_photo(source / "good.png", photo(1))
    save_photo(source / "small.png", photo(1, 63, 300))
    assert make(source, tmp_path / "out", *FEW, "--patches", "2") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "left out exact.png: no position was found for patch 2 of 2" in lines[0]
    assert "flat.png" in lines[1]
    assert "left out small.png: 300×63 px is smaller" in lines[2]
    assert {row["source_path"] for row in manifest(tmp_path / "out")} == {"good.png"}


# Sources


def test_sources_of_all_kinds_are_read_as_by_the_sets(tmp_path):
    source = tmp_path / "photos"
    source.mkdir()
    colour = photo(0, 80, 100)
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    cv2.imwrite(str(source / "deep.png"), colour[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(source / "grey.png"), grey)
    Image.fromarray(colour).convert("CMYK").save(source / "cmyk.jpg", quality=95)
    Image.fromarray(np.dstack([colour, grey])).save(source / "alpha.png")
    assert make(source, tmp_path / "out", *FEW) == 0
    made = tmp_path / "out" / "reference"
    assert np.array_equal(picture(made / "deep.png"), colour)
    assert np.array_equal(picture(made / "grey.png"), np.dstack([grey] * 3))
    assert np.abs(picture(made / "cmyk.png").astype(int) - colour).mean() < 20
    assert len(manifest(tmp_path / "out")) == 4 * 9


def test_broken_images_are_named_left_out_and_listed(photos, few, tmp_path, capsys):
    source = tmp_path / "photos"
    shutil.copytree(photos, source)
    torn = source / "photo2.png"
    torn.write_bytes(torn.read_bytes()[:3000])
    save_photo(source / "tiny.png", photo(0, 7, 50))
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        assert make(source, out, *FEW, workers=workers) == 0
        err = capsys.readouterr().err
        assert err.count("left out photo2.png") == err.count("left out tiny.png") == 1
        stored = json.loads((out / "benchmark.json").read_text())
        assert list(stored["source_failures"]) == ["photo2.png", "tiny.png"]
        assert "50×7 px is smaller than 8×8 px" in stored["source_failures"]["tiny.png"]
        assert (stored["images"], stored["pictures"]) == (5, 45)
    assert tree(tmp_path / "out1") == tree(tmp_path / "out2")
    hashes = {row["path"]: row["hash"] for row in manifest(few)}
    for row in manifest(tmp_path / "out1"):
        assert row["hash"] == hashes[row["path"]]


def test_a_source_with_no_usable_image_is_an_error(tmp_path, capsys):
    save_photo(tmp_path / "photos" / "tiny.png", photo(0, 5, 5))
    assert make(tmp_path / "photos", tmp_path / "out", *FEW) == 2
    assert "no usable image among 1" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_images_of_one_name_keep_their_endings_and_this_is_reported(tmp_path, capsys):
    source = tmp_path / "photos"
    save_photo(source / "a.png", photo(0, 70, 70))
    save_photo(source / "a.jpg", photo(1, 70, 70))
    save_photo(source / "sub" / "a.png", photo(2, 70, 70))
    assert make(source, tmp_path / "out", *FEW) == 0
    err = one_line(capsys)
    assert "a.jpg is not the only image whose pictures would be a.png" in err
    assert "its own are a.jpg.png, and 1 more" in err
    names = {row["source_path"]: row["reference"] for row in manifest(tmp_path / "out")}
    assert names == {
        "a.jpg": "reference/a.jpg.png",
        "a.png": "reference/a.png.png",
        "sub/a.png": "reference/sub/a.png",
    }
    assert (tmp_path / "out" / "jpeg" / "3" / "sub" / "a.png").is_file()


def test_names_are_distinct_whatever_they_are():
    assert picture_names(["x.jpg", "y/x.jpg"]) == ["x", "y/x"]
    assert picture_names(["x.jpg", "X.png"]) == ["x.jpg", "X.png"]
    first, *others = picture_names(["x.jpg", "x.png", "x.jpg.png"])
    assert first.startswith("x.jpg-")
    assert others == ["x.png", "x.jpg.png"]
    assert picture_names(["p.parquet#0", "p.parquet#11"]) == ["p.parquet/0", "p.parquet/11"]
    assert picture_names(["s.tar/../../etc/x.jpg", "/root/x.jpg"]) == ["s.tar/etc/x", "root/x"]
    assert picture_names(["d.png/x.jpg", "d.jpg"]) == ["d.png/x", "d.jpg"]


PART = st.sampled_from(["a", "A", "b", "a.png", "a.jpg", "..", "é", "e\u0301"])


@given(
    st.lists(
        st.builds(
            lambda parts, ending: "/".join(parts) + ending,
            st.lists(PART, min_size=1, max_size=3),
            st.sampled_from([".png", ".jpg", ".jpg.png", ".tif"]),
        ),
        unique=True,
        max_size=8,
    ),
    st.randoms(),
)
def test_names_are_distinct_stay_inside_and_do_not_depend_on_order(names, random):
    made = picture_names(names)
    files = [os.path.normpath(f"{name}.png").casefold() for name in made]
    assert len(set(files)) == len(names)
    for file in files:
        assert not file.startswith(("/", "../"))
        assert not any(other.startswith(f"{file}/") for other in files)
    mixed = list(names)
    random.shuffle(mixed)
    assert dict(zip(mixed, picture_names(mixed), strict=True)) == dict(
        zip(names, made, strict=True)
    )


def test_tar_and_parquet_sources_have_folders_of_their_names(photos, tmp_path):
    source = tmp_path / "photos"
    source.mkdir()
    data = (photos / "photo0.png").read_bytes()
    with tarfile.open(source / "shard.tar", "w") as tar:
        member = tarfile.TarInfo("../up.png")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    images = [{"bytes": (photos / f"photo{number}.png").read_bytes()} for number in (1, 2)]
    pq.write_table(pa.table({"image": images}), source / "rows.parquet")
    assert make(source, tmp_path / "out", "--atoms", "contrast", "--levels", "1") == 0
    assert sorted(row["path"] for row in manifest(tmp_path / "out")) == [
        "contrast/1/rows.parquet/0.png",
        "contrast/1/rows.parquet/1.png",
        "contrast/1/shard.tar/up.png",
    ]


# Choices


def test_the_choice_is_what_is_named_and_nothing_else():
    names = tuple(atom.name for atom in ATOMS)
    assert choose_variants(REGISTRY) == names
    assert choose_variants(REGISTRY, atoms=("jpeg", "shift")) == ("shift", "jpeg")
    assert choose_variants(REGISTRY, families=("blur",)) == ("gaussian_blur", "bilateral")
    assert choose_variants(REGISTRY, compositions=("shift+jpeg",)) == ("shift+jpeg",)
    assert choose_variants(REGISTRY, atoms=("pink",), compositions=("shift+jpeg",)) == (
        "pink",
        "shift+jpeg",
    )
    assert len(choose_variants(REGISTRY, compositions=("all",))) == 308
    assert len(choose_variants(REGISTRY, atoms=("all",), compositions=("all",))) == 328


PLUGIN = """
import numpy as np
from bapps_gen.distortions import Distortion, RandomParameter, SeverityParameter

def turn(patch, params, rng):
    return np.roll(patch, int(params["by"]), 0)

BY = RandomParameter("by", "px", 1.0, (0.0, 64.0), "rows", range=(1.0, 20.0), integer=True)
DISTORTIONS = [Distortion("NAME", 2, "own", "rolls", (BY,), turn, has_identity=False)]
"""


def test_a_distortion_that_no_severity_governs_has_one_level(photos, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN.replace("NAME", "roll"))
    options = ("--plugin", str(tmp_path / "mine.py"), "--atoms", "roll,jpeg")
    assert make(photos, tmp_path / "out", *options) == 0
    rows = manifest(tmp_path / "out")
    assert len(rows) == 6 * (5 + 1)
    rolled = [row for row in rows if row["distortion"] == "roll"]
    assert {(row["level"], row["severity"]) for row in rolled} == {(1, None)}
    assert len({row["steps"][0]["params"][0]["value"] for row in rolled}) > 1
    with open(tmp_path / "out" / "pairs.csv", newline="") as file:
        pairs = {line["dist_name"]: line["severity"] for line in csv.DictReader(file)}
    assert pairs["roll/1/photo0.png"] == ""


def test_a_distortion_called_reference_is_refused(photos, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(PLUGIN.replace("NAME", "reference"))
    assert make(photos, tmp_path / "out", "--plugin", str(tmp_path / "mine.py")) == 2
    assert "rename the distortion" in one_line(capsys)


# Bad input


def test_a_damaged_benchmark_json_is_one_line(photos, few, tmp_path, capsys):
    shutil.copytree(few, tmp_path / "out")
    (tmp_path / "out" / "benchmark.json").write_text("{")
    assert make(photos, tmp_path / "out", *FEW) == 1
    assert "benchmark.json is damaged" in one_line(capsys)
    (tmp_path / "out" / "benchmark.json").write_text('{"format_version": 9}')
    assert make(photos, tmp_path / "out", *FEW) == 1
    assert "format_version = 9 is not 1" in one_line(capsys)


# The command line


def test_what_will_be_made_is_printed_before_and_after(photos, tmp_path, capsys):
    call = ["benchmark", "--source", str(photos), "--out", str(tmp_path / "out"), *FEW]
    assert main([*call, "--workers", "1"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("54 distorted pictures of 6 references, about ")
    assert "are free" in first
    assert "54 distorted pictures of 6 references from 6 images" in rest[0]
    assert main([*call, "--workers", "1"]) == 0
    assert "kept 54 from before" in capsys.readouterr().out


def test_the_estimate_is_near_what_is_written(photos, few):
    from bapps_gen.pipelines.benchmarks.make import estimate
    from bapps_gen.pipelines.sources.source import open_source

    stored = json.loads((few / "benchmark.json").read_text())["spec"]
    request = BenchmarkRequest(levels=3, atoms=stored["choices"])
    expected = estimate(request.resolve(lambda: open_source([photos])))
    assert (expected.pictures, expected.references) == (54, 6)
    written = sum(path.stat().st_size for path in few.rglob("*.png"))
    assert 0.5 < expected.bytes / written < 2


def test_another_version_of_an_atom_is_refused():
    spec = BenchmarkSpec(
        seed=0,
        images=1,
        source_digest="",
        choices=("jpeg",),
        versions=(("jpeg", 7),),
        severities=(1.0,),
    )
    with pytest.raises(UserError, match="jpeg is version 1 here"):
        BenchmarkPlanner(spec, REGISTRY)
