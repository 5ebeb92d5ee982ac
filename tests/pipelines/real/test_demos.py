"""Demos of real algorithms: every algorithm's contract, what it is good for, and the folders."""

from __future__ import annotations

import json
import logging
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
    blind,
    color,
    deblur,
    find_task,
    folders,
    make_demo,
    networks,
    superres,
)
from bapps_gen.pipelines.real.demos.frameinterp import Frames, Motion
from bapps_gen.pipelines.real.demos.records import DemoTask, Scene
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.sources.source import open_source
from bapps_gen.seeding import MAX_SEED, generator
from support.datasets import photo, save_photo

VARIANTS: dict[str, DemoTask] = {
    **{f"superres-x{factor}": find_task("superres", factor) for factor in (2, 3, 4)},
    **{task: find_task(task) for task in TASKS if task != "superres"},
}
ALGORITHMS = [(task, name) for task, record in VARIANTS.items() for name in record.algorithms]


@cache
def scene(task: str, seed: int = 3) -> Scene:
    donors = tuple(photo(20 + number, 30, 40) for number in range(VARIANTS[task].donors))
    return VARIANTS[task].prepare(photo(seed, 108, 120), donors, generator(seed, 1))


@cache
def output(task: str, name: str) -> np.ndarray:
    return run(task, name, scene(task).given)


def arrays(value: Any) -> list[np.ndarray]:
    """Every array that an algorithm gets to see."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, tuple):
        return [array for part in value for array in arrays(part)]
    names = getattr(value, "__slots__", ())
    return [array for name in names for array in arrays(getattr(value, name))]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else np.inf


def run(task: str, name: str, given: object) -> np.ndarray:
    return VARIANTS[task].algorithms[name].run(given)


def smooth_photo(seed: int, height: int, width: int) -> np.ndarray:
    """Texture coarse enough to be followed and to survive a reduction."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (height, width, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


def plates(height: int, width: int) -> np.ndarray:
    """Overlapping plates of one color each: sharp edges in every direction, as in buildings."""
    rng = np.random.default_rng(5)
    picture = np.full((height, width, 3), 128, np.uint8)
    for _ in range(120):
        center = (int(rng.integers(width)), int(rng.integers(height)))
        size = tuple(map(float, rng.integers(10, 50, 2)))
        corners = cv2.boxPoints((center, size, float(rng.integers(90))))
        cv2.fillPoly(picture, [np.intp(corners)], rng.integers(20, 236, 3).tolist())
    return picture


# Contracts


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
def test_an_output_is_a_picture_of_the_size_of_the_ground_truth(task, name):
    made = output(task, name)
    assert made.dtype == np.uint8
    assert made.shape == scene(task).reference.shape
    assert made.flags.c_contiguous


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
def test_an_output_resembles_the_ground_truth_but_is_not_it(task, name):
    assert 8 < psnr(output(task, name), scene(task).reference) < 60


@pytest.mark.parametrize("task", VARIANTS)
def test_no_two_algorithms_of_a_task_make_the_same_picture(task):
    names = tuple(VARIANTS[task].algorithms)
    for index, one in enumerate(names):
        for other in names[:index]:
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


@pytest.mark.parametrize("task", VARIANTS)
def test_a_scene_depends_on_its_generator_alone_and_leaves_the_photo_as_it_was(task):
    source = photo(3, 108, 120)
    held = source.copy()
    donors = tuple(photo(20 + n, 30, 40) for n in range(VARIANTS[task].donors))
    again = VARIANTS[task].prepare(source, donors, generator(3, 1))
    np.testing.assert_array_equal(source, held)
    np.testing.assert_array_equal(again.reference, scene(task).reference)
    for one, other in zip(arrays(again.given), arrays(scene(task).given), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_flat_photo_of_the_least_size_is_taken(task, name):
    least = VARIANTS[task].least
    flat = np.full((least, least + 7, 3), 255, np.uint8)
    made = VARIANTS[task].prepare(flat, (flat,) * bool(VARIANTS[task].donors), generator(0))
    assert min(made.reference.shape[:2]) >= 64
    out = run(task, name, made.given)
    assert out.shape == made.reference.shape
    # a network's colors of a flat photo are its own
    assert psnr(out, made.reference) > (8 if name.startswith("zoo-") else 28)


@pytest.mark.parametrize(("task", "name"), [pair for pair in ALGORITHMS if pair[0] != "color"])
def test_a_gray_photo_gives_a_nearly_gray_output(task, name):
    gray = np.repeat(photo(5, 108, 108).mean(axis=-1, keepdims=True), 3, -1).astype(np.uint8)
    made = VARIANTS[task].prepare(gray, (), generator(0))
    out = run(task, name, made.given).astype(int)
    # deblurring amplifies noise, which is in each channel of its own
    assert np.ptp(out, axis=-1).mean() < {"deblur": 40, "frameinterp": 1.5}.get(task, 10)


@pytest.mark.parametrize(("task", "name"), ALGORITHMS)
def test_every_algorithm_has_a_source(task, name):
    assert len(VARIANTS[task].algorithms[name].source) > 10


@pytest.mark.parametrize("task", VARIANTS)
def test_a_task_that_uses_networks_names_them(task):
    used = [name for name in VARIANTS[task].algorithms if name.startswith("zoo-")]
    assert used == list(map(networks.network_name, VARIANTS[task].networks))
    for network in VARIANTS[task].networks:
        spec = networks.open_zoo().spec(network)
        expected = {"color": ("color_removal", 1.0)}
        expected |= {f"superres-x{factor}": ("downsampling", factor) for factor in (2, 3, 4)}
        assert (spec.corruption, spec.strength) == expected[task]


# What is hard about them


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_reduced_photo_is_of_its_factor_and_centered(factor):
    small = superres.reduce_unknown(photo(1, 120, 240), factor, generator(0))
    assert small.shape == (120 // factor, 240 // factor, 3)
    # the left half of a step stays darker by as much as the right half is brighter
    step = np.full((120, 240, 3), 55, np.uint8)
    step[:, 120:] = 200
    reduced = np.mean([superres.reduce_unknown(step, factor, generator(n)) for n in range(20)], 0)
    np.testing.assert_allclose(reduced + reduced[:, ::-1], 255, atol=6)


def test_photos_are_reduced_in_different_ways():
    picture = smooth_photo(0, 96, 96)
    made = [superres.reduce_unknown(picture, 3, generator(n)) for n in range(6)]
    for index, one in enumerate(made):
        for other in made[:index]:
            assert np.abs(one.astype(int) - other).mean() > 0.3


def test_a_kernel_along_one_axis_is_a_line():
    wide = superres.gaussian_kernel(4.0, 0.5, 0.0)
    assert wide.sum() == pytest.approx(1, abs=1e-5)
    x = np.arange(len(wide)) - len(wide) // 2
    assert np.sqrt((wide.sum(axis=0) * x**2).sum()) == pytest.approx(4.0, rel=0.05)
    assert np.sqrt((wide.sum(axis=1) * x**2).sum()) == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(superres.gaussian_kernel(4.0, 0.5, np.pi / 2), wide.T, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_shake_is_a_connected_path_of_its_extent_about_its_center(seed):
    kernel = deblur.shake_kernel(11.0, generator(seed)).astype(float)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    side = np.arange(len(kernel)) - len(kernel) // 2
    assert (kernel.sum(axis=0) * side).sum() == pytest.approx(0, abs=0.05)
    assert (kernel.sum(axis=1) * side).sum() == pytest.approx(0, abs=0.05)
    held = kernel > kernel.max() / 50
    assert cv2.connectedComponents(held.astype(np.uint8))[0] == 2
    extent = max(np.ptp(np.flatnonzero(held.any(axis=axis))) for axis in (0, 1))
    assert 9 <= extent <= 15


def test_a_deblurring_algorithm_sees_the_blurred_photo_alone():
    assert [array.shape for array in arrays(scene("deblur").given)] == [
        scene("deblur").reference.shape
    ]


def test_a_coloring_algorithm_sees_nothing_of_the_colors():
    picture = (64 + photo(3, 100, 100) / 2).astype(np.uint8)
    luma = np.rint(color.split_luma(picture)[0] * 255).astype(np.uint8)
    donors = (photo(4),)
    colored, gray = (
        color.prepare(part, donors, generator(1)).given
        for part in (picture, np.repeat(luma[..., None], 3, axis=-1))
    )
    np.testing.assert_array_equal(colored.luma, gray.luma)
    assert len(arrays(colored)) == 2


# What algorithms are good for


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_enlarging_recovers_a_smooth_photo(factor):
    record = VARIANTS[f"superres-x{factor}"]
    made = record.prepare(smooth_photo(1, 144, 144), (), generator(0))
    for name, algorithm in record.algorithms.items():
        assert psnr(algorithm.run(made.given), made.reference) > 17, name


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_back_projection_agrees_better_with_the_small_photo_than_bicubic(factor):
    small = scene(f"superres-x{factor}").given.image

    def disagreement(name: str) -> float:
        made = PIL.Image.fromarray(output(f"superres-x{factor}", name))
        again = made.resize(small.shape[1::-1], PIL.Image.Resampling.BICUBIC)
        return -psnr(
            np.array(again.convert("L")), np.array(PIL.Image.fromarray(small).convert("L"))
        )

    assert disagreement("back-projection") < disagreement("bicubic")


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_total_variation_is_least_where_it_is_minimized(factor):
    def variation(name: str) -> float:
        luma = cv2.cvtColor(output(f"superres-x{factor}", name), cv2.COLOR_RGB2GRAY)
        return float(sum(np.abs(np.diff(luma.astype(float), axis=axis)).sum() for axis in (0, 1)))

    assert variation("tv") < min(variation("bicubic"), variation("back-projection"))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_network_is_given_the_small_photo_enlarged(factor, monkeypatch):
    seen = []
    monkeypatch.setattr(
        superres, "network_output", lambda image, network: seen.append(image) or image
    )
    small = scene(f"superres-x{factor}").given
    superres.by_network(small, "any")
    means = cv2.resize(seen[0], small.image.shape[1::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(means, small.image)


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


@pytest.mark.parametrize("name", sorted(set(VARIANTS["frameinterp"].algorithms) - {"blend"}))
def test_following_a_translation_is_much_better_than_blending(name):
    # within the reach of block matching in frames so small
    frames, middle = translated(6.0, -4.0)
    inner = (slice(16, -16), slice(16, -16))
    blended = psnr(run("frameinterp", "blend", frames)[inner], middle[inner])
    assert psnr(run("frameinterp", name, frames)[inner], middle[inner]) > blended + 6


def test_a_motion_is_undone_by_its_opposite_time():
    motion = Motion((7.0, -3.0), 2.0, 0.0, (40.0, 50.0))
    there, back = (np.vstack([motion.matrix(time), [0, 0, 1]]) for time in (0.5, -0.5))
    center = there @ [40, 50, 1]
    np.testing.assert_allclose(center[:2], [43.5, 48.5])
    np.testing.assert_allclose((there @ back)[:2, :2], np.eye(2), atol=1e-12)


def test_still_frames_are_repeated_by_every_interpolation():
    still = smooth_photo(2, 96, 96)
    for name in VARIANTS["frameinterp"].algorithms:
        assert psnr(run("frameinterp", name, Frames(still, still)), still) > 45, name


def shaken(extent: float, seed: int) -> tuple[deblur.Blurred, np.ndarray, np.ndarray]:
    """Sharp plates blurred by a shake: what is seen, the ground truth, and the kernel."""
    wide = plates(340, 340)
    kernel = deblur.shake_kernel(extent, generator(seed))
    inner = (slice(20, -20), slice(20, -20))
    return (
        deblur.Blurred(cv2.filter2D(wide, -1, np.flip(kernel))[inner].copy()),
        wide[inner],
        kernel,
    )


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Largest normalized correlation of two kernels over all shifts."""
    side = 48
    spectra = [np.fft.fft2(kernel, (side, side)) for kernel in (one, other)]
    correlation = np.fft.ifft2(spectra[0] * spectra[1].conj()).real.max()
    return float(correlation / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("estimate", [blind.kernel_by_edges, blind.kernel_by_sparsity])
def test_a_shake_is_estimated_from_sharp_edges(estimate):
    found = []
    for seed in range(3):
        blurred, _, kernel = shaken(11.0, seed)
        estimated = estimate(color.split_luma(blurred.image)[0])
        assert estimated.sum() == pytest.approx(1, abs=1e-5)
        found.append(overlap(estimated, kernel))
    line = cv2.getGaussianKernel(blind.SUPPORT, 3.0)
    guess = [overlap(line @ line.T, shaken(11.0, seed)[2]) for seed in range(3)]
    assert np.mean(found) > np.mean(guess) + 0.1


@pytest.mark.parametrize("name", ["edges", "sparse"])
def test_blind_deconvolution_restores_sharp_edges(name):
    gains = []
    for seed in range(3):
        blurred, sharp, _ = shaken(9.0, seed)
        gains.append(psnr(run("deblur", name, blurred), sharp) - psnr(blurred.image, sharp))
    assert np.median(gains) > 0.5


@pytest.mark.parametrize("angle", [0.0, 40.0, 90.0, 130.0])
def test_a_straight_motion_is_found(angle):
    offsets = np.linspace(-5, 5, 80)[:, None]
    along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    kernel = blind.trajectory_kernel(offsets * along, 11)
    luma = np.random.default_rng(0).normal(0.5, 0.2, (200, 200)).astype(np.float32)
    found = blind.kernel_of_line(cv2.filter2D(luma, -1, np.flip(kernel)))
    assert overlap(found, kernel) > 0.75


def patchwork() -> np.ndarray:
    """Four areas, each of one color and of a luma of its own."""
    picture = np.empty((128, 128, 3), np.uint8)
    picture[:64, :64], picture[:64, 64:] = (200, 60, 40), (40, 60, 160)
    picture[64:, :64], picture[64:, 64:] = (60, 190, 90), (240, 220, 120)
    return picture


@pytest.mark.parametrize("name", ["palette", "example"])
def test_a_donor_like_the_photo_gives_the_photos_colors(name):
    made = VARIANTS["color"].prepare(patchwork(), (patchwork(),), generator(2))
    assert psnr(run("color", name, made.given), made.reference) > 25


@pytest.mark.parametrize("name", VARIANTS["color"].algorithms)
def test_coloring_keeps_luma(name):
    # of a photo and donors whose colors are pale, so that none is clipped
    pale = (96 + photo(3, 100, 100) / 4).astype(np.uint8)
    made = VARIANTS["color"].prepare(pale, (pale[::2, ::2],), generator(1))
    luma = color.split_luma(run("color", name, made.given))[0]
    away = np.abs(luma - color.split_luma(made.reference)[0])
    assert np.quantile(away, 0.99) < 2 / 255


# Folders


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def keep(monkeypatch: pytest.MonkeyPatch, task: str, names: tuple[str, ...]) -> None:
    """Some algorithms of a task stand for all, where folders are looked at."""

    def found(name: str, factor: int = 4) -> DemoTask:
        record = find_task(name, factor)
        if name != task:
            return record
        kept = {algorithm: record.algorithms[algorithm] for algorithm in names}
        return replace(record, algorithms=kept, networks=())

    monkeypatch.setattr(folders, "find_task", found)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cheapest algorithms of deblurring."""
    keep(monkeypatch, "deblur", ("unsharp-mask", "wiener-line"))


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
    assert tuple(made.outputs) == tuple(find_task(task).algorithms)
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
        if done == 8:
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
    assert seen[0] == (8, 24)
    assert seen[-1] == (24, 24)


def test_whole_files_are_kept_and_missing_ones_made_again(some, tmp_path):
    source = open_source([some])
    made = make_demo("superres", source, tmp_path / "demo")
    before = contents(tmp_path / "demo")
    lost = next(iter(made.outputs["bicubic"].iterdir()))
    lost.unlink()
    (lost.parent / f".{lost.name}.1.tmp").write_bytes(b"half")
    times = {path: path.stat().st_mtime_ns for path in made.outputs["tv"].iterdir()}
    seen: list[tuple[int, int]] = []
    make_demo("superres", source, tmp_path / "demo", progress=lambda *n: seen.append(n))
    assert contents(tmp_path / "demo") == before
    assert seen == [(23, 24), (24, 24)]
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_what_is_made_of_a_photo_does_not_depend_on_its_name_or_neighbors(few, some, tmp_path):
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
    for path in one.outputs["unsharp-mask"].iterdir():
        assert path.read_bytes() != (other.outputs["unsharp-mask"] / path.name).read_bytes()


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
    least = find_task(task).least
    keep(monkeypatch, task, tuple(find_task(task).algorithms)[:2])
    save_photo(some / "small.png", photo(8, least - 1, 200))
    (some / "broken.png").write_bytes((some / "a b.png").read_bytes()[:500])
    with caplog.at_level(logging.WARNING):
        made = make_demo(task, open_source([some]), tmp_path / "demo")
    assert len(list(made.reference.iterdir())) == 3
    assert f"skipped small.png: 200×{least - 1} px is smaller than" in caplog.text
    assert "skipped broken.png" in caplog.text


def test_coloring_leaves_out_photos_without_color(few, some, tmp_path, caplog, monkeypatch):
    gray = np.repeat(photo(9)[..., :1], 3, axis=-1)
    save_photo(some / "gray.png", gray)
    source = open_source([some])
    assert len(list(make_demo("deblur", source, tmp_path / "x").reference.iterdir())) == 4
    keep(monkeypatch, "color", ("palette", "example"))
    with caplog.at_level(logging.WARNING):
        made = make_demo("color", source, tmp_path / "demo")
    assert len(list(made.reference.iterdir())) == 3
    assert "skipped gray.png: a photo without color" in caplog.text


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
        ("deblur", {"limit": 0}, "limit = 0 is not allowed"),
        ("deblur", {"seed": -1}, "seed = -1 is not allowed"),
        ("superres", {"factor": 5}, "factor = 5 is not allowed"),
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
    assert not {"factor", "networks"} & set(held)


def test_demo_json_of_a_task_with_networks_has_their_digests(few, some, tmp_path):
    make_demo("superres", open_source([some]), tmp_path / "demo", limit=1, factor=2)
    held = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert held["factor"] == 2
    zoo = networks.open_zoo()
    assert held["networks"] == {
        name: zoo.digest(name) for name in find_task("superres", 2).networks
    }


def test_a_demo_of_other_networks_is_refused(some, tmp_path, monkeypatch):
    keep(monkeypatch, "color", ("palette", "example"))
    monkeypatch.setattr(folders, "network_digests", lambda names: {"060": "a"})
    record = replace(folders.find_task("color"), networks=("060",))
    monkeypatch.setattr(folders, "find_task", lambda *_: record)
    make_demo("color", open_source([some]), tmp_path / "demo")
    monkeypatch.setattr(folders, "network_digests", lambda names: {"060": "b"})
    with pytest.raises(UserError, match="networks"):
        make_demo("color", open_source([some]), tmp_path / "demo")


def test_without_torch_a_demo_with_networks_says_what_it_needs(some, tmp_path, monkeypatch):
    networks._zoo.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(UserError, match="torch"):
        make_demo("superres", open_source([some]), tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
    make_demo("frameinterp", open_source([some]), tmp_path / "other", limit=1)
