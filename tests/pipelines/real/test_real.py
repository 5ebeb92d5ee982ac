"""Sets from real algorithms: the same place everywhere, whatever the workers and the order."""

import json
import os
import random
import shutil
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from bapps_gen.cli import main
from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import run_jobs
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.readers import TripletDataset, iter_triplets
from bapps_gen.metrics import load_metric
from bapps_gen.pipelines.datasets.generate import generate
from bapps_gen.pipelines.datasets.inputs import Inputs
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.real.align import outputs_digest
from bapps_gen.pipelines.real.spec import RealSpec, real_spec_from_values
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.validation.facts import families_of, step_kind
from support.datasets import contents, photo, save_photo
from support.plans import plan_real_row
from support.real_outputs import ALGORITHMS, make_real, save_task

SPEC = RealSpec(
    task="color",
    seed=3,
    images=40,
    reference_digest="ab",
    algorithms=(("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")),
    scale=(0.25, 1.0),
)


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> Path:
    """Ground truth and outputs of four algorithms; do not change it."""
    return save_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def made(task, tmp_path_factory) -> Path:
    """A set of 70 rows at scales of 1 and 1/2; do not change it."""
    out = tmp_path_factory.mktemp("sets") / "set"
    assert make_real(task, out, 70, task="color") == 0
    return out


def algorithm_of(row: dict, side: int) -> str:
    return row[f"distortion{side}"].split(":")[1]


def picture(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1]


# -- the plan


def test_a_row_is_the_same_whatever_was_planned_before():
    expected = [plan_real_row(SPEC, row) for row in range(200)]
    shuffled = random.Random(1).sample(range(200), 200)
    again = {row: plan_real_row(replace(SPEC), row) for row in shuffled}
    assert [again[row] for row in range(200)] == expected


def test_two_different_algorithms_are_drawn_every_ordered_pair_as_often():
    plans = [plan_real_row(SPEC, row) for row in range(12_000)]
    pairs = Counter(tuple(steps[0].distortion for steps in plan.sides) for plan in plans)
    assert len(pairs) == 12
    assert all(first != second for first, second in pairs)
    assert all(abs(count - 1000) < 150 for count in pairs.values())  # 5 standard deviations


def test_every_image_has_its_turn_before_any_has_its_next():
    images = Counter(plan_real_row(SPEC, row).image for row in range(4000))
    assert len(images) == 40
    assert set(images.values()) == {100}


def test_scales_are_one_over_k_with_weight_one_over_k():
    places = [plan_real_row(SPEC, row).crops[0] for row in range(10_000)]
    found = Counter(place.sizes.reduction(place.size, 1000, 64) for place in places)
    total = 1 + 1 / 2 + 1 / 3 + 1 / 4
    assert set(found) == {1, 2, 3, 4}
    assert all(abs(found[k] / 10_000 - 1 / k / total) < 0.02 for k in found)


def test_another_seed_gives_other_rows():
    other = replace(SPEC, seed=4)
    plans = [(plan_real_row(SPEC, row), plan_real_row(other, row)) for row in range(50)]
    assert all(one.crops != two.crops for one, two in plans)


# -- the spec


def test_a_spec_survives_json():
    values = json.loads(json.dumps(SPEC.values()))
    assert real_spec_from_values(values) == SPEC
    assert real_spec_from_values(values).digest == SPEC.digest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "superresolution"}, "did you mean 'superres'"),
        ({"seed": -1}, "seed = -1"),
        ({"images": 0}, "images = 0"),
        ({"algorithms": (("a", "1"),)}, "from 2 to"),
        ({"algorithms": (("a", "1"), ("a", "2"))}, "two algorithms have the name 'a'"),
        ({"algorithms": (("b", "1"), ("a", "2"))}, "not in order"),
        ({"algorithms": (("a", "1"), ("b+c", "2"))}, "'b+c' is no name"),
        ({"algorithms": (("a", "1"), (":", "2"))}, "':' is no name"),
        ({"scale": (0.6, 0.9)}, "1, 1/2, 1/3"),
        ({"min_contrast": 0.7}, "min-contrast = 0.7"),
        ({"min_difference": -0.1}, "min-difference = -0.1"),
        ({"rows_per_image": 7}, "divisor of 1000"),
        ({"plan_version": 9}, "plan_version = 9"),
    ],
)
def test_a_spec_refuses_bad_values_by_name(change, words):
    with pytest.raises(UserError, match=words.replace("(", r"\(").replace("+", r"\+")):
        replace(SPEC, **change)


def test_a_spec_refuses_unknown_and_missing_entries():
    with pytest.raises(UserError, match="did you mean 'seed'"):
        real_spec_from_values({**SPEC.values(), "sed": 1})
    with pytest.raises(UserError, match="seed is missing"):
        real_spec_from_values({key: SPEC.values()[key] for key in SPEC.values() if key != "seed"})


def test_everything_that_rows_depend_on_is_in_the_digest():
    changes = {
        "task": "deblur",
        "seed": 4,
        "images": 41,
        "reference_digest": "cd",
        "algorithms": (("a", "1"), ("b", "2"), ("c", "3"), ("d", "5")),
        "scale": (0.5, 1.0),
        "min_contrast": 0.03,
        "rows_per_image": 20,
        "min_difference": 0.1,
    }
    digests = {replace(SPEC, **{name: value}).digest for name, value in changes.items()}
    assert len(digests | {SPEC.digest}) == len(changes) + 1


def test_rescaling_is_for_frame_interpolation_and_colorization():
    assert {name for name, task in TASKS.items() if task.scale != (1.0, 1.0)} == {
        "frameinterp",
        "color",
    }


# -- the rows


def test_every_patch_is_the_same_place_of_reference_and_outputs(task, made):
    scales = set()
    for row, found in zip(contents(made), iter_triplets(made), strict=True):
        crop, factor = row["crop"], row["crop"]["side"] // 64
        scales.add(row["scale"])
        sides = [algorithm_of(row, side) for side in (0, 1)]
        for name, patch in zip(("gt", *sides), (found.ref, found.p0, found.p1), strict=True):
            whole = picture(task / name / row["source_path"])
            square = whole[crop["y"] :, crop["x"] :][: crop["side"], : crop["side"]]
            means = square.reshape(64, factor, 64, factor, 3).mean(axis=(1, 3))
            assert np.abs(means - patch).max() <= 0.5
    assert scales == {1.0, 0.5}


def test_at_full_scale_a_patch_is_what_its_algorithm_makes_of_the_reference(task, tmp_path):
    assert make_real(task, tmp_path / "set", 40) == 0
    rows = contents(tmp_path / "set")
    assert {row["scale"] for row in rows} == {1.0}
    for row, found in zip(rows, iter_triplets(tmp_path / "set"), strict=True):
        for side, patch in enumerate((found.p0, found.p1)):
            expected = ALGORITHMS[algorithm_of(row, side)](found.ref)
            np.testing.assert_array_equal(patch, expected)


def test_rows_name_the_task_and_the_two_algorithms(made):
    for row in contents(made):
        names = [row["distortion0"], row["distortion1"]]
        assert names[0] != names[1]
        for side, name in enumerate(names):
            (step,) = row[f"steps{side}"]
            expected = {"version": 1, "params": [], "seed": 0, "severity": None}
            assert step == {"distortion": name, **expected}
            assert name in {f"color:{algorithm}" for algorithm in ALGORITHMS}


def test_rows_do_not_depend_on_the_order_of_the_options(task, made, tmp_path):
    backwards = tuple(reversed(ALGORITHMS))
    assert make_real(task, tmp_path / "back", 70, task="color", names=backwards) == 0
    assert contents(tmp_path / "back") == contents(made)


def test_what_is_missing_is_filled_in_the_list_of_outputs_too(task, made, tmp_path):
    out = tmp_path / "set"
    shutil.copytree(made, out)
    (out / "data" / "part-00001.parquet").unlink()
    (out / "outputs.parquet").unlink()
    untouched = (out / "data" / "part-00000.parquet").stat().st_mtime_ns
    assert make_real(task, out, 70, task="color") == 0
    assert contents(out) == contents(made)
    assert (out / "outputs.parquet").read_bytes() == (made / "outputs.parquet").read_bytes()
    assert (out / "data" / "part-00000.parquet").stat().st_mtime_ns == untouched


def color(folder: Path, **options: object) -> Request:
    return Request("color", 70, reference=folder / "gt", outputs=named(folder), **options)


def named(folder: Path) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(folder / name)) for name in ALGORITHMS)


def test_another_algorithm_or_task_is_another_set(task, made, capsys):
    assert make_real(task, made, 70, task="color", names=("halve", "swap")) == 2
    assert "it differs in algorithms" in capsys.readouterr().err
    assert make_real(task, made, 70, task="deblur") == 2
    assert "another spec" in capsys.readouterr().err


def test_the_scale_range_of_the_task_gives_way_to_the_option(task, tmp_path):
    options = ("--scale-range", "0.5", "0.5")
    assert make_real(task, tmp_path / "set", 20, *options) == 0
    assert {row["scale"] for row in contents(tmp_path / "set")} == {0.5}


def test_flat_references_are_refused(tmp_path):
    whole = photo(0, 200, 400)
    whole[:, :200] = 128
    save_photo(tmp_path / "gt" / "a.png", whole)
    for name in ("invert", "halve"):
        save_photo(tmp_path / name / "a.png", ALGORITHMS[name](whole))
    options = ("--min-contrast", "0.1")
    assert make_real(tmp_path, tmp_path / "set", 40, *options, names=("invert", "halve")) == 0
    for found in iter_triplets(tmp_path / "set"):
        assert cv2.cvtColor(found.ref, cv2.COLOR_RGB2GRAY).std() / 255 >= 0.1


def test_crops_where_the_two_outputs_are_equal_are_not_taken(tmp_path, capsys):
    whole = photo(0, 200, 400)
    save_photo(tmp_path / "gt" / "a.png", whole)
    for name, value in (("dim", 2), ("dark", 3)):
        output = whole // 2
        output[:, 300:] = whole[:, 300:] // value  # they differ on the right alone
        save_photo(tmp_path / name / "a.png", output)
    assert make_real(tmp_path, tmp_path / "set", 30, names=("dim", "dark")) == 0
    assert all(row["crop"]["x"] + 64 > 300 for row in contents(tmp_path / "set"))
    cv2.imwrite(str(tmp_path / "dark" / "a.png"), (whole // 2)[..., ::-1])
    save_photo(tmp_path / "dim" / "a.tif", whole // 2)
    (tmp_path / "dim" / "a.png").unlink()
    assert make_real(tmp_path, tmp_path / "none", 5, names=("dim", "dark")) == 2
    err = capsys.readouterr().err
    assert "shows no difference of superres:" in err
    assert len(err.splitlines()) == 1


def still_on_the_left(folder: Path, left: int = 300) -> None:
    """Ground truth, and two outputs that are nearly the same left of a column."""
    whole = photo(0, 200, 400)
    save_photo(folder / "gt" / "a.png", whole)
    for name, shift in (("up", 1), ("down", -1)):
        output = np.clip(whole.astype(int) + shift, 0, 255).astype(np.uint8)
        output[:, left:] = whole[:, left:] // (3 + shift)
        save_photo(folder / name / "a.png", output)


def test_interpolated_crops_that_hardly_differ_are_not_taken(tmp_path, capsys):
    still_on_the_left(tmp_path)
    options = {"task": "frameinterp", "names": ("up", "down")}
    whole_scale = ("--scale-range", "1", "1")
    assert make_real(tmp_path, tmp_path / "set", 30, *whole_scale, **options) == 0
    assert all(row["crop"]["x"] + 64 > 300 for row in contents(tmp_path / "set"))
    for found in iter_triplets(tmp_path / "set"):
        patches = (patch[None] for patch in (found.ref, found.p0, found.p1))
        assert max(load_metric("ssim").triplet(*patches)) >= 0.08
    all_crops = ("--min-difference", "0", *whole_scale)
    assert make_real(tmp_path, tmp_path / "all", 30, *all_crops, **options) == 0
    assert any(row["crop"]["x"] + 64 <= 300 for row in contents(tmp_path / "all"))
    still_on_the_left(tmp_path, left=400)
    assert make_real(tmp_path, tmp_path / "none", 5, **options) == 2
    err = capsys.readouterr().err
    assert "less than min-difference = 0.08 of both from the reference" in err
    assert "give a lower --min-contrast or --min-difference or other photos" in err
    assert len(err.splitlines()) == 1


def test_a_least_difference_is_asked_of_frame_interpolation_alone():
    assert {name for name, task in TASKS.items() if task.min_difference} == {"frameinterp"}


def test_gray_deep_and_rotated_outputs_are_read_as_everywhere(tmp_path):
    from PIL import Image

    whole = photo(0, 150, 260)
    save_photo(tmp_path / "gt" / "a.png", whole)
    gray = cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY)
    (tmp_path / "gray").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "turned").mkdir()
    cv2.imwrite(str(tmp_path / "gray" / "a.png"), gray)
    deep = (255 - whole).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep" / "a.png"), deep[..., ::-1])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, shown upright
    lying = np.ascontiguousarray(np.rot90(whole // 2))
    Image.fromarray(lying).save(tmp_path / "turned" / "a.png", exif=exif)
    names = ("gray", "deep", "turned")
    assert make_real(tmp_path, tmp_path / "set", 30, names=names) == 0
    expected = {
        "gray": lambda ref: np.repeat(cv2.cvtColor(ref, cv2.COLOR_RGB2GRAY)[..., None], 3, 2),
        "deep": lambda ref: 255 - ref,
        "turned": lambda ref: ref // 2,
    }
    rows = contents(tmp_path / "set")
    assert {algorithm_of(row, 0) for row in rows} == set(names)
    for row, found in zip(rows, iter_triplets(tmp_path / "set"), strict=True):
        for side, patch in enumerate((found.p0, found.p1)):
            np.testing.assert_array_equal(patch, expected[algorithm_of(row, side)](found.ref))


# -- damage


def copy_of(task: Path, place: Path) -> Path:
    shutil.copytree(task, place)
    return place


def test_a_broken_output_is_named_and_moves_only_rows_that_needed_it(task, made, tmp_path, capsys):
    folder = copy_of(task, tmp_path / "task")
    broken = folder / "swap" / "scenes" / "0002.png"
    broken.write_bytes(broken.read_bytes()[:-2000])
    out = tmp_path / "set"
    assert make_real(folder, out, 70, task="color") == 0
    assert capsys.readouterr().err.count("skipped swap/scenes/0002.png: damaged") == 1
    assert list(open_dataset(out).info.source_failures) == ["swap/scenes/0002.png"]
    rows = contents(out)
    moved = 0
    for row, whole in zip(rows, contents(made), strict=True):
        needs = "color:swap" in (whole["distortion0"], whole["distortion1"])
        if needs and whole["source_path"] == "scenes/0002.png":
            assert row["source_path"] != "scenes/0002.png"
            moved += 1
        else:
            assert row["ref_hash"] == whole["ref_hash"]
            assert row["p0_hash"] == whole["p0_hash"]
    assert moved


def test_a_broken_reference_is_named_and_left_out(task, tmp_path, capsys):
    folder = copy_of(task, tmp_path / "task")
    (folder / "gt" / "scenes" / "0001.png").write_bytes(b"torn")
    assert make_real(folder, tmp_path / "set", 40) == 0
    assert "skipped scenes/0001.png: not a" in capsys.readouterr().err
    assert "scenes/0001.png" not in {row["source_path"] for row in contents(tmp_path / "set")}


def test_images_smaller_than_a_patch_are_named_and_left_out(task, tmp_path, capsys):
    folder = copy_of(task, tmp_path / "task")
    tiny = photo(9, 40, 200)
    for name in ("gt", *ALGORITHMS):
        made = ALGORITHMS[name](tiny) if name in ALGORITHMS else tiny
        save_photo(folder / name / "scenes" / "tiny.png", made)
    assert make_real(folder, tmp_path / "set", 60) == 0
    assert "skipped scenes/tiny.png: 200×40 px is smaller" in capsys.readouterr().err


def test_no_usable_image_is_an_error(tmp_path, capsys):
    for name in ("gt", "a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"torn " + name.encode())
    assert make_real(tmp_path, tmp_path / "set", 5, names=("a", "b")) == 2
    err = capsys.readouterr().err
    assert "no usable image among 1" in err
    assert "--reference and --outputs" in err


# -- other forms


def test_verify_finds_moved_and_renamed_files_by_content(task, made, tmp_path):
    moved = []
    for name in ("gt", *ALGORITHMS):
        for path in (task / name / "scenes").iterdir():
            target = tmp_path / "moved" / name / f"x{9 - int(path.stem)}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        moved.append(f"{name}={tmp_path / 'moved' / name}")
    options = ["--source", str(tmp_path / "moved" / "gt"), "--outputs", *moved[1:]]
    shutil.copytree(made, tmp_path / "set")
    held = json.loads((tmp_path / "set" / "sources.local.json").read_text())
    held["origin"]["roots"] = ["/gone"]
    held["origin"]["outputs"] = dict.fromkeys(held["origin"]["outputs"], "/gone")
    (tmp_path / "set" / "sources.local.json").write_text(json.dumps(held))
    command = ["verify", str(tmp_path / "set"), "--quiet", "--workers", "1"]
    assert main([*command, *options]) == 0
    assert main(command) == 2  # where it says they were, they are not


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_verify_names_an_output_that_has_changed_or_gone(task, made, tmp_path, capsys, change):
    folder = copy_of(task, tmp_path / "task")
    output = folder / "halve" / "scenes" / "0001.png"
    if change == "gone":
        output.unlink()
    else:
        save_photo(output, photo(77, 140, 300))
    given = ["--source", str(folder / "gt"), "--outputs", f"halve={folder / 'halve'}"]
    assert main(["verify", str(made), "--quiet", "--workers", "1", *given]) == 1
    err = capsys.readouterr().err
    expected = "has changed since" if change == "changed" else "is not in the source, but was when"
    assert f"halve: scenes/0001.png {expected} the dataset was made; give --outputs halve=" in err
    assert len(err.splitlines()) == 1


def test_a_missing_or_strange_list_of_outputs_is_told(made, task, tmp_path, capsys):
    shutil.copytree(made, tmp_path / "set")
    listed = tmp_path / "set" / "outputs.parquet"
    command = ["verify", str(tmp_path / "set"), "--quiet", "--workers", "1"]
    listed.write_bytes(listed.read_bytes()[:-40])
    assert main(command) == 1
    assert make_real(task, tmp_path / "other", 5, names=("halve", "swap")) == 0
    shutil.copy(tmp_path / "other" / "outputs.parquet", listed)
    assert main(command) == 1
    listed.unlink()
    assert main(command) == 1
    recipe = ["export", str(tmp_path / "set"), "--format", "recipe", "--out", str(tmp_path / "r")]
    assert main(recipe) == 1
    lines = capsys.readouterr().err.splitlines()
    for line, words in zip(
        lines, ("damaged", "another dataset", "missing", "missing"), strict=True
    ):
        assert "outputs.parquet" in line
        assert words in line


def test_the_list_of_outputs_has_every_file_in_order(task, made):
    table = pq.read_table(made / "outputs.parquet")
    assert table.num_rows == 4 * len(ALGORITHMS)
    info = open_dataset(made).info
    for name, digest in info.spec["algorithms"]:
        rows = [row for row in table.to_pylist() if row["algorithm"] == name]
        assert [row["source_path"] for row in rows] == [path for path, _ in info.source_images]
        assert outputs_digest([("", row["output_sha256"]) for row in rows]) == digest
    assert info.outputs == {name: name for name in sorted(ALGORITHMS)}
    assert info.origin.outputs == {name: str(task / name) for name in sorted(ALGORITHMS)}


def test_a_replay_takes_outputs_from_other_folders(task, made, tmp_path, capsys):
    recipe = tmp_path / "recipe"
    assert main(["export", str(made), "--format", "recipe", "--out", str(recipe), "--quiet"]) == 0
    folder = copy_of(task, tmp_path / "task")
    places = {name: task / name for name in ALGORITHMS}
    places |= {name: folder / name for name in ("swap", "halve")}
    outputs = [f"{name}={place}" for name, place in places.items()]
    given = ["--source", str(task / "gt"), "--outputs", *outputs]
    command = ["replay", str(recipe), "--quiet", "--workers", "1", *given]
    assert main([*command, "--out", str(tmp_path / "third")]) == 0
    places = open_dataset(tmp_path / "third").info.origin.outputs
    assert places["swap"] == str(folder / "swap")
    assert places["invert"] == str(task / "invert")
    save_photo(folder / "swap" / "scenes" / "0000.png", photo(5))
    assert main([*command, "--out", str(tmp_path / "fourth")]) == 1
    assert "swap: scenes/0000.png has changed" in capsys.readouterr().err


def test_two_images_of_the_same_content_keep_their_own_outputs(tmp_path):
    same = photo(1)
    for name, outputs in {"gt": (1, 1), "a": (2, 3), "b": (4, 5)}.items():
        for image, value in zip(("x", "y"), outputs, strict=True):
            save_photo(tmp_path / name / f"{image}.png", same // value)
    out, recipe, again = (tmp_path / name for name in ("set", "recipe", "again"))
    assert make_real(tmp_path, out, 30, names=("a", "b")) == 0
    assert main(["verify", str(out), "--quiet", "--workers", "1"]) == 0
    assert main(["export", str(out), "--format", "recipe", "--out", str(recipe), "--quiet"]) == 0
    outputs = [f"{name}={tmp_path / name}" for name in ("a", "b")]
    places = ["--source", str(tmp_path / "gt"), "--outputs", *outputs]
    command = ["replay", str(recipe), *places, "--out", str(again)]
    assert main([*command, "--quiet", "--workers", "1"]) == 0
    assert contents(again) == contents(out)


def test_exports_have_the_names_of_the_released_sets(made, tmp_path):
    for name in TASKS:
        assert name in ("superres", "frameinterp", "deblur", "color")
    command = ["export", str(made), "--format", "bapps", "--split", "val", "--quiet"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    place = tmp_path / "2afc" / "val" / "color"
    assert sorted(os.listdir(place)) == ["manifest.csv", "p0", "p1", "ref"]
    for row, found in enumerate(iter_triplets(made)):
        np.testing.assert_array_equal(picture(place / "p1" / f"{row:06d}.png"), found.p1)
    command = ["export", str(made), "--format", "webdataset", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "tars")]) == 0
    assert (tmp_path / "tars" / "color-000000.tar").exists()


def test_info_and_the_sheet_name_the_algorithms(task, made, tmp_path, capsys):
    assert main(["info", str(made), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "color"
    assert set(found["sides_by_atom"]) == {f"color:{name}" for name in ALGORITHMS}
    assert found["outputs"] == f"of 4 algorithms in {task}"
    assert main(["show", str(made), "-o", str(tmp_path / "sheet.png")]) == 0
    assert picture(tmp_path / "sheet.png").std() > 10


def test_readers_take_it_as_any_other_set_of_triplets(made):
    dataset = TripletDataset(made)
    assert len(dataset) == 70
    for index, found in enumerate(iter_triplets(made)):
        np.testing.assert_array_equal(dataset.row(index).p0, found.p0)


def test_validation_groups_by_task_and_by_algorithm():
    assert step_kind("color:swap") == "color:swap"
    assert families_of("color:swap") == "color"
    assert families_of("superres:swap") == "superres"
    assert families_of("cnn:017") == "cnn"
    assert families_of("colour:mine") == "own"


# -- as a library


def test_a_request_is_a_value_that_makes_the_same_set(task, made, tmp_path):
    request = color(task, shard_size=30)
    seen = []
    inputs = Inputs(progress=lambda *_: nullcontext(lambda done, total: seen.append((done, total))))
    plan = request.resolve(inputs)
    assert plan.info == replace(
        open_dataset(made).info, spec=plan.info.spec, outputs=plan.info.outputs
    )
    assert (4, 4) in seen
    assert (20, 20) in seen
    generate(tmp_path / "set", plan, 1)
    assert contents(tmp_path / "set") == contents(made)


def test_a_worker_gets_the_images_by_their_places_and_not_their_pixels(task):
    import pickle

    request = color(task)
    plan = request.resolve(Inputs())
    assert len(pickle.dumps(plan.images)) < 40_000
    (report,) = run_jobs(_count_images, plan.images, [0], 1)
    assert report == 4


def _count_images(images):
    return lambda job: len(images)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "colour"}, "did you mean 'color'"),
        ({"rows": 0}, "n = 0"),
        ({"shard_size": 0}, "shard-size = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"outputs": (("a", "x"),)}, "number of algorithms = 1"),
        ({"outputs": (("a", "x"), ("a", "y"))}, "two algorithms have the name 'a'"),
        ({"scale_range": (2.0, 3.0)}, "scale-range"),
        ({"min_difference": 2.0}, "min-difference = 2"),
        (
            {"patch_size": 300, "demo": True, "reference": None, "outputs": ()},
            "patch-size = 300 is not allowed: it must be at most 256 in a demo",
        ),
    ],
)
def test_a_request_tells_of_a_bad_value_before_anything_is_read(change, words):
    good = {"kind": "color", "rows": 5, "reference": "/none", "outputs": (("a", "x"), ("b", "y"))}
    with pytest.raises(UserError, match=words):
        Request(**{**good, **change})
