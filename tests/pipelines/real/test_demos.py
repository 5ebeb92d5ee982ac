"""Demos of real algorithms: every algorithm's contract, what it is good for, and the folders."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from bapps_gen.errors import SourceError, UserError, WorkError
from bapps_gen.imaging.encode import decode_png
from bapps_gen.pipelines.real.demos import (
    TASKS,
    catalog,
    color,
    deblur,
    folders,
    make_demo,
)
from bapps_gen.pipelines.real.demos.frameinterp import Frames, Motion
from bapps_gen.pipelines.real.demos.records import Scene
from bapps_gen.pipelines.sources.source import open_source
from bapps_gen.seeding import MAX_SEED, generator
from support.datasets import photo, save_photo

ALGORITHMS = [(task, name) for task in TASKS for name in TASKS[task].algorithms]


@cache
def scene(task: str, seed: int = 3) -> Scene:
    donors = tuple(photo(20 + number, 30, 40) for number in range(TASKS[task].donors))
    return TASKS[task].prepare(photo(seed, 100, 112), donors, generator(seed, 1))


@cache
def output(task: str, name: str) -> np.ndarray:
    return TASKS[task].algorithms[name](scene(task).given)


def arrays(value: Any) -> list[np.ndarray]:
    """Every array that an algorithm gets to see."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [array for part in value.values() for array in arrays(part)]
    if isinstance(value, tuple):
        return [array for part in value for array in arrays(part)]
    names = getattr(value, "__slots__", ())
    return [array for name in names for array in arrays(getattr(value, name))]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else np.inf


def run(task: str, name: str, given: object) -> np.ndarray:
    return TASKS[task].algorithms[name](given)


def smooth_photo(seed: int, height: int, width: int) -> np.ndarray:
    """Texture coarse enough to be followed and to survive a reduction."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (height, width, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


# Contracts


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
def test_an_output_is_a_picture_of_the_size_of_the_ground_truth(task, name):
    made = output(task, name)
    assert made.dtype == np.uint8
    assert made.shape == scene(task).reference.shape
    assert made.flags.c_contiguous


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
def test_an_output_resembles_the_ground_truth_but_is_not_it(task, name):
    error = np.abs(output(task, name).astype(float) - scene(task).reference).mean()
    assert 0.05 < error < 60


@pytest.mark.parametrize("task", TASKS)
def test_no_two_algorithms_of_a_task_make_the_same_picture(task):
    names = tuple(TASKS[task].algorithms)
    for place, one in enumerate(names):
        for other in names[:place]:
            difference = np.abs(output(task, one).astype(int) - output(task, other)).mean()
            assert difference > 0.05, (one, other)


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
def test_an_algorithm_is_repeatable_and_leaves_its_input_as_it_was(task, name):
    given = scene(task).given
    before = [array.copy() for array in arrays(given)]
    assert before
    again = run(task, name, given)
    np.testing.assert_array_equal(again, output(task, name))
    assert not any(np.shares_memory(again, array) for array in arrays(given))
    for array, held in zip(arrays(given), before, strict=True):
        np.testing.assert_array_equal(array, held)


@pytest.mark.parametrize("task", TASKS)
def test_a_scene_depends_on_its_generator_alone_and_leaves_the_photo_as_it_was(task):
    source = photo(3, 100, 112)
    held = source.copy()
    again = TASKS[task].prepare(
        source, tuple(photo(20 + n, 30, 40) for n in range(TASKS[task].donors)), generator(3, 1)
    )
    np.testing.assert_array_equal(source, held)
    np.testing.assert_array_equal(again.reference, scene(task).reference)
    for one, other in zip(arrays(again.given), arrays(scene(task).given), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_flat_photo_of_the_least_size_is_taken(task, name):
    least = TASKS[task].least
    flat = np.full((least, least + 7, 3), 255, np.uint8)
    made = TASKS[task].prepare(flat, (flat,) * bool(TASKS[task].donors), generator(0))
    assert min(made.reference.shape[:2]) >= 64
    out = run(task, name, made.given)
    assert out.shape == made.reference.shape
    assert psnr(out, made.reference) > 30


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
def test_a_grey_photo_gives_a_nearly_grey_output(task, name):
    grey = np.repeat(photo(5, 88, 90).mean(axis=-1, keepdims=True), 3, -1).astype(np.uint8)
    made = TASKS[task].prepare(grey, (grey,) * bool(TASKS[task].donors), generator(0))
    out = run(task, name, made.given).astype(int)
    # deblurring amplifies noise, which is in each channel of its own
    assert np.ptp(out, axis=-1).mean() < (40 if task == "deblur" else 1.5)


def test_the_page_of_the_demos_names_every_task_and_algorithm_and_the_least_sizes():
    page = Path(__file__).parents[3].joinpath("docs/pages/reference/demos.md").read_text("utf-8")
    for task, record in TASKS.items():
        section = page.split(f"\n## {task}\n")[1].split("\n## ")[0]
        named = {name.rsplit("-x", 1)[0] for name in record.algorithms}
        cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        assert {name for cell in cells for name in re.findall("`([^`]+)`", cell)} == named
        row = f"| `{task}` | {len(record.algorithms)} | {record.least}×{record.least} px |"
        assert row in page


# What algorithms are good for


@pytest.mark.parametrize("name", TASKS["superres"].algorithms)
def test_enlarging_recovers_a_smooth_photo(name):
    made = TASKS["superres"].prepare(smooth_photo(1, 144, 144), (), generator(0))
    assert psnr(run("superres", name, made.given), made.reference) > 20


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_better_interpolation_comes_nearer(factor):
    made = TASKS["superres"].prepare(smooth_photo(1, 144, 144), (), generator(0))
    got = [
        psnr(run("superres", f"{name}-x{factor}", made.given), made.reference)
        for name in ("nearest", "bilinear", "bicubic", "lanczos")
    ]
    assert got == sorted(got)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", ["back-projection", "self-example"])
def test_what_uses_the_reduction_agrees_better_with_the_small_photo_than_bicubic(name, factor):
    small = scene("superres").given[factor]

    def disagreement(made: np.ndarray) -> float:
        size = small.shape[1::-1]
        again = PIL.Image.fromarray(made).resize(size, PIL.Image.Resampling.BICUBIC)
        return -psnr(
            np.array(again.convert("L")), np.array(PIL.Image.fromarray(small).convert("L"))
        )

    bicubic = output("superres", f"bicubic-x{factor}")
    assert disagreement(output("superres", f"{name}-x{factor}")) < disagreement(bicubic)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_total_variation_is_least_where_it_is_minimised(factor):
    def variation(name: str) -> float:
        luma = cv2.cvtColor(output("superres", f"{name}-x{factor}"), cv2.COLOR_RGB2GRAY)
        return float(sum(np.abs(np.diff(luma.astype(float), axis=axis)).sum() for axis in (0, 1)))

    assert variation("tv") < min(variation("bicubic"), variation("back-projection"))


@pytest.mark.parametrize("name", ["nearest", "lanczos", "self-example", "tv", "back-projection"])
def test_a_smaller_factor_is_easier(name):
    made = scene("superres")
    got = [
        psnr(run("superres", f"{name}-x{factor}", made.given), made.reference)
        for factor in (2, 3, 4)
    ]
    assert got == sorted(got, reverse=True)


def translated(x: float, y: float) -> tuple[Frames, np.ndarray]:
    """Frames of a photo that moves by (x, y) px, and the middle one."""
    wide = smooth_photo(4, 180, 180)
    motion = Motion((x, y), 0.0, 0.0, (90.0, 90.0))
    inner = (slice(26, 154), slice(26, 154))
    before, after = (
        cv2.warpAffine(wide, motion.matrix(time), (180, 180), flags=cv2.INTER_CUBIC)[inner].copy()
        for time in (-0.5, 0.5)
    )
    return Frames(before, after), wide[inner]


MOTION_COMPENSATED = sorted(set(TASKS["frameinterp"].algorithms) - {"nearest-frame", "blend"})


@pytest.mark.parametrize("name", MOTION_COMPENSATED)
def test_following_a_translation_is_much_better_than_blending(name):
    # within the reach of block matching in frames so small
    frames, middle = translated(6.0, -4.0)
    inner = (slice(16, -16), slice(16, -16))
    blended = psnr(run("frameinterp", "blend", frames)[inner], middle[inner])
    assert psnr(run("frameinterp", name, frames)[inner], middle[inner]) > blended + 6


def test_a_motion_is_undone_by_its_opposite_time():
    motion = Motion((7.0, -3.0), 2.0, 0.0, (40.0, 50.0))
    there, back = (np.vstack([motion.matrix(time), [0, 0, 1]]) for time in (0.5, -0.5))
    centre = there @ [40, 50, 1]
    np.testing.assert_allclose(centre[:2], [43.5, 48.5])
    np.testing.assert_allclose((there @ back)[:2, :2], np.eye(2), atol=1e-12)


def test_still_frames_are_repeated_by_every_interpolation():
    still = smooth_photo(2, 96, 96)
    for name in TASKS["frameinterp"].algorithms:
        assert psnr(run("frameinterp", name, Frames(still, still)), still) > 45, name


def blurred_without_noise() -> tuple[deblur.Blurred, np.ndarray]:
    wide = photo(6, 140, 140)
    kernel = deblur.motion_kernel(7.0, 30.0)
    inner = (slice(10, -10), slice(10, -10))
    image = cv2.filter2D(wide, -1, kernel)[inner].copy()
    return deblur.Blurred(image, kernel), wide[inner]


@pytest.mark.parametrize(
    "name",
    ["wiener", "richardson-lucy-10", "richardson-lucy-30", "tv-deconvolution"],
)
def test_deconvolution_undoes_a_known_blur_without_noise(name):
    blurred, sharp = blurred_without_noise()
    assert psnr(run("deblur", name, blurred), sharp) > psnr(blurred.image, sharp) + 1


def test_more_rounds_of_richardson_lucy_come_nearer_without_noise():
    blurred, sharp = blurred_without_noise()
    few, many = (psnr(run("deblur", f"richardson-lucy-{n}", blurred), sharp) for n in (10, 30))
    assert many > few


@pytest.mark.parametrize(("length", "angle"), [(5.0, 0.0), (9.0, 90.0), (15.0, 37.0)])
def test_a_motion_kernel_is_a_line_of_its_length_and_angle(length, angle):
    kernel = deblur.motion_kernel(length, angle).astype(float)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    side = np.arange(len(kernel)) - len(kernel) // 2
    y, x = np.meshgrid(side, side, indexing="ij")
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    across = y * np.cos(np.radians(angle)) - x * np.sin(np.radians(angle))
    softness = 0.6**2  # the Gaussian adds its variance; a line of length L has L² / 12
    assert (kernel * along**2).sum() == pytest.approx(length**2 / 12 + softness, rel=0.02)
    assert (kernel * across**2).sum() == pytest.approx(softness, rel=0.05)


def patchwork() -> np.ndarray:
    """Four areas, each of one color and of a luma of its own."""
    picture = np.empty((128, 128, 3), np.uint8)
    picture[:64, :64], picture[:64, 64:] = (200, 60, 40), (40, 60, 160)
    picture[64:, :64], picture[64:, 64:] = (60, 190, 90), (240, 220, 120)
    return picture


@pytest.mark.parametrize("name", ["levin-sparse", "levin-dense"])
def test_hints_recover_areas_of_one_color(name):
    made = TASKS["color"].prepare(patchwork(), (patchwork(),), generator(2))
    out = run("color", name, made.given).astype(int)
    error = np.abs(out - made.reference).max(axis=-1)
    assert np.median(error) <= 2
    assert np.mean(error <= 6) > 0.93


def test_more_hints_recover_more_color():
    made = scene("color")
    sparse, dense = (
        psnr(output("color", f"levin-{kind}"), made.reference) for kind in ("sparse", "dense")
    )
    assert dense > sparse > psnr(output("color", "grey"), made.reference)


@pytest.mark.parametrize("name", ["luma-rank", "welsh", "nearest-neighbours"])
def test_a_donor_like_the_photo_gives_the_photos_colors(name):
    made = TASKS["color"].prepare(patchwork(), (patchwork(),), generator(2))
    assert psnr(run("color", name, made.given), made.reference) > 25


@pytest.mark.parametrize("name", TASKS["color"].algorithms)
def test_coloring_keeps_luma(name):
    # of a photo whose colors are pale, so that none is clipped
    pale = (96 + photo(3, 100, 100) / 4).astype(np.uint8)
    made = TASKS["color"].prepare(pale, (pale[::2, ::2],), generator(1))
    luma = color.split_luma(run("color", name, made.given))[0]
    assert np.abs(luma - color.split_luma(made.reference)[0]).max() < 1.6 / 255


# Folders


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The three cheapest algorithms of deblurring stand for all, where folders are looked at."""
    task = TASKS["deblur"]
    cheap = {name: task.algorithms[name] for name in ("blurred", "unsharp-mask", "wiener")}
    monkeypatch.setitem(catalog.TASKS, "deblur", replace(task, algorithms=cheap))
    return tuple(cheap)


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """A folder of photos, two of them in a subfolder with the same name."""
    folder = tmp_path / "photos"
    for number, name in enumerate(["a b.png", "one/same.png", "two/same.png"]):
        save_photo(folder / name, photo(number, 100, 120))
    return folder


@pytest.mark.parametrize("task", TASKS)
def test_a_demo_has_pictures_of_one_name_and_size_in_every_folder(task, some, tmp_path):
    made = make_demo(task, open_source([some]), tmp_path / "demo")
    names = sorted(path.name for path in made.reference.iterdir())
    assert len(names) == 3
    assert sum(name.startswith("same-") for name in names) == 2
    assert made.reference == tmp_path / "demo" / "reference"
    assert tuple(made.outputs) == tuple(TASKS[task].algorithms)
    for algorithm, place in made.outputs.items():
        assert place == tmp_path / "demo" / "outputs" / algorithm
        assert sorted(path.name for path in place.iterdir()) == names
        for name in names:
            reference = decode_png((made.reference / name).read_bytes())
            assert decode_png((place / name).read_bytes()).shape == reference.shape
            assert min(reference.shape[:2]) >= 64


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_demo_is_the_same_with_more_workers_and_after_an_interruption(workers, some, tmp_path):
    source = open_source([some])
    make_demo("superres", source, tmp_path / "one")

    def stop(done: int, total: int) -> None:
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo("superres", source, tmp_path / "two", workers=1, progress=stop)
    held = contents(tmp_path / "two")
    assert 0 < len(held) < len(contents(tmp_path / "one"))
    seen: list[tuple[int, int]] = []
    make_demo(
        "superres", source, tmp_path / "two", workers=workers, progress=lambda *n: seen.append(n)
    )
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert seen[0] == (40, 102)
    assert seen[-1] == (102, 102)


def test_whole_files_are_kept_and_missing_ones_made_again(some, tmp_path):
    source = open_source([some])
    made = make_demo("superres", source, tmp_path / "demo")
    before = contents(tmp_path / "demo")
    lost = next(iter(made.outputs["lanczos-x3"].iterdir()))
    lost.unlink()
    (lost.parent / f".{lost.name}.1.tmp").write_bytes(b"half")
    times = {path: path.stat().st_mtime_ns for path in made.outputs["bicubic-x3"].iterdir()}
    seen: list[tuple[int, int]] = []
    make_demo("superres", source, tmp_path / "demo", progress=lambda *n: seen.append(n))
    assert contents(tmp_path / "demo") == before
    assert seen == [(101, 102), (102, 102)]
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_what_is_made_of_a_photo_does_not_depend_on_its_name_or_neighbours(few, some, tmp_path):
    make_demo("deblur", open_source([some]), tmp_path / "all")
    alone = tmp_path / "alone" / "other.png"
    alone.parent.mkdir()
    alone.write_bytes((some / "a b.png").read_bytes())
    made = make_demo("deblur", open_source([alone]), tmp_path / "one")
    (only,) = made.reference.iterdir()
    digest = only.name.removeprefix("other-")
    for place in ("reference", *(f"outputs/{name}" for name in made.outputs)):
        one = (tmp_path / "one" / place / only.name).read_bytes()
        assert one == (tmp_path / "all" / place / f"a_b-{digest}").read_bytes()


def test_another_seed_gives_another_demo(few, some, tmp_path):
    source = open_source([some])
    one, other = (make_demo("deblur", source, tmp_path / str(n), seed=n) for n in (0, MAX_SEED))
    for path in one.outputs["blurred"].iterdir():
        assert path.read_bytes() != (other.outputs["blurred"] / path.name).read_bytes()


def test_limit_bounds_the_photos_and_copies_count_once(few, some, tmp_path):
    save_photo(some / "copy.png", photo(0, 100, 120))
    source = open_source([some])
    for limit, count in ((2, 2), (24, 3)):
        made = make_demo("deblur", source, tmp_path / str(limit), limit=limit)
        assert len(list(made.reference.iterdir())) == count


def test_a_large_photo_is_reduced_and_a_part_of_it_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "SIDE", 96)
    save_photo(tmp_path / "photos" / "large.png", photo(1, 400, 500))
    made = make_demo("superres", open_source([tmp_path / "photos"]), tmp_path / "demo")
    (path,) = made.reference.iterdir()
    part = decode_png(path.read_bytes())
    assert part.shape == (96, 96, 3)
    halved = cv2.resize(photo(1, 400, 500), (250, 200), interpolation=cv2.INTER_AREA)
    _, _, (x, y), _ = cv2.minMaxLoc(cv2.matchTemplate(halved, part, cv2.TM_SQDIFF))
    np.testing.assert_array_equal(halved[y : y + 96, x : x + 96], part)


@pytest.mark.parametrize("task", TASKS)
def test_photos_that_cannot_be_used_are_left_out_with_the_reason(
    task, some, tmp_path, caplog, monkeypatch
):
    least = TASKS[task].least
    first = dict([*TASKS[task].algorithms.items()][:2])
    monkeypatch.setitem(catalog.TASKS, task, replace(TASKS[task], algorithms=first))
    save_photo(some / "small.png", photo(8, least - 1, 200))
    (some / "broken.png").write_bytes((some / "a b.png").read_bytes()[:500])
    with caplog.at_level(logging.WARNING):
        made = make_demo(task, open_source([some]), tmp_path / "demo")
    assert len(list(made.reference.iterdir())) == 3
    assert f"skipped small.png: 200×{least - 1} px is smaller than" in caplog.text
    assert "skipped broken.png" in caplog.text


def test_coloring_leaves_out_photos_without_color(few, some, tmp_path, caplog, monkeypatch):
    grey = np.repeat(photo(9)[..., :1], 3, axis=-1)
    save_photo(some / "grey.png", grey)
    source = open_source([some])
    cheap = {"grey": color.gray, "guided-filter": color.guided}
    monkeypatch.setitem(catalog.TASKS, "color", replace(TASKS["color"], algorithms=cheap))
    assert len(list(make_demo("deblur", source, tmp_path / "x").reference.iterdir())) == 4
    with caplog.at_level(logging.WARNING):
        made = make_demo("color", source, tmp_path / "demo")
    assert len(list(made.reference.iterdir())) == 3
    assert "skipped grey.png: a photo without color" in caplog.text


def test_no_usable_photo_is_an_error_that_names_the_first(tmp_path):
    save_photo(tmp_path / "photos" / "tiny.png", photo(1, 30, 40))
    with pytest.raises(SourceError, match=r"tiny\.png: 40×30 px is smaller than the 72×72 px"):
        make_demo("superres", open_source([tmp_path / "photos"]), tmp_path / "demo")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed = 0, not 1"),
        ({"limit": 2}, "limit = 24, not 2"),
        ({"task": "color"}, "task = deblur, not color"),
    ],
)
def test_the_folder_of_another_demo_is_refused(few, change, said, some, tmp_path):
    source = open_source([some])
    make_demo("deblur", source, tmp_path / "demo")
    before = contents(tmp_path / "demo")
    task = change.pop("task", "deblur")
    with pytest.raises(UserError, match=said) as caught:
        make_demo(task, source, tmp_path / "demo", **change)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path / "demo") == before


def test_the_folder_of_other_photos_is_refused(few, some, tmp_path):
    make_demo("deblur", open_source([some]), tmp_path / "demo")
    save_photo(some / "new.png", photo(30))
    with pytest.raises(
        UserError, match=r"holds a demo of another spec \(it differs in source_digest\)"
    ):
        make_demo("deblur", open_source([some]), tmp_path / "demo")


def test_folders_that_are_no_demos_are_refused(few, some, tmp_path):
    source = open_source([some])
    save_photo(tmp_path / "mine" / "reference" / "a.png", photo(30))
    with pytest.raises(UserError, match=r"holds files but no demo\.json"):
        make_demo("deblur", source, tmp_path / "mine")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "demo.json").write_text("{")
    with pytest.raises(WorkError, match=r"demo\.json is damaged"):
        make_demo("deblur", source, tmp_path / "bad")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file, not a folder"):
        make_demo("deblur", source, tmp_path / "file")


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        ("superress", {}, "did you mean 'superres'"),
        ("deblur", {"limit": 0}, "limit = 0 is not allowed: it must be 1 or more"),
        ("deblur", {"seed": -1}, "seed = -1 is not allowed"),
        ("deblur", {"workers": 0}, "workers = 0 is not allowed"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(task, options, said, some, tmp_path):
    with pytest.raises(UserError, match=said):
        make_demo(task, open_source([some]), tmp_path / "demo", **options)
    assert not (tmp_path / "demo").exists()


def test_a_full_disk_is_one_line_and_leaves_only_whole_files(few, some, tmp_path, monkeypatch):
    source = open_source([some])
    make_demo("deblur", source, tmp_path / "whole")
    real, written = folders.encode_png, 0

    def fill(picture: np.ndarray) -> bytes:
        nonlocal written
        written += 1
        if written > 7:
            raise OSError(28, "No space left on device")
        return real(picture)

    monkeypatch.setattr(folders, "encode_png", fill)
    with pytest.raises(WorkError, match="No space left on device; free some space"):
        make_demo("deblur", source, tmp_path / "demo")
    monkeypatch.undo()
    held = contents(tmp_path / "demo")
    whole = contents(tmp_path / "whole")
    assert len(held) == 8
    assert all(whole[name] == data for name, data in held.items())


def test_demo_json_says_what_was_made(some, tmp_path):
    source = open_source([some])
    make_demo("frameinterp", source, tmp_path / "demo", limit=1, seed=7)
    held = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert held["task"] == "frameinterp"
    assert (held["seed"], held["limit"]) == (7, 1)
    assert held["source_digest"] == source.digest
