"""Validation of a zoo: its figures, the rules on planted faults, and its page in a browser."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bapps_gen.cli import main
from bapps_gen.cnn_distorters.checkpoint import read_distorter, weights_of, write_distorter
from bapps_gen.cnn_distorters.color_shift import COLOR_SUMS
from bapps_gen.cnn_distorters.network import UNet, build_network, initialize
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.verdict import VERDICTS, ZooLimits
from bapps_gen.cnn_distorters.zoo import (
    SHIPPED,
    ZOO_NAME,
    Zoo,
    distorter_path,
    open_zoo,
    write_index,
)
from bapps_gen.errors import SourceError
from bapps_gen.lpips import load_lpips
from bapps_gen.pipelines.sources.source import open_source
from bapps_gen.pipelines.validation.options import ZooOptions
from bapps_gen.pipelines.validation.zoo import judge_zoo
from bapps_gen.pipelines.validation.zoo_likeness import compare_pairs
from bapps_gen.pipelines.validation.zoo_measures import (
    ZooMeasures,
    measure_zoo,
    pair_indices,
    pick_shown,
    sample_patches,
)
from bapps_gen.pipelines.validation.zoo_sheet import magnified, strip_size
from support.browser import needs_chromium, seen_in
from support.datasets import one_line, photo, save_photo

needs_shipped_zoo = pytest.mark.skipif(
    not (SHIPPED / ZOO_NAME).is_file(), reason="no trained zoo comes with this version"
)

KNOTS = 16
PATCHES = 16
PIXELWISE = {"layers": 1, "first_stride": 1, "first_channels": 3 * KNOTS, "max_channels": 3 * KNOTS}

IDENTITY = DistorterSpec("same", "null", **PIXELWISE)
NOISY = DistorterSpec("noisy", "white_noise", 0.1, **PIXELWISE)
COARSE = DistorterSpec("coarse", "downsampling", 3, **PIXELWISE)
GREY = DistorterSpec("grey", "color_removal", 0.9, **PIXELWISE)
RUIN = DistorterSpec("ruin", "white_noise", 0.5, **PIXELWISE)
FLAT = DistorterSpec("flat", "pink_noise", 0.1, **PIXELWISE)
DIM = DistorterSpec("dim", "downsampling", 2, **PIXELWISE)
HEALTHY = (NOISY, COARSE, GREY)


def set_identity(network: UNet) -> None:
    """Weights that hand every value through: hinges of it that add up to atanh, then tanh."""
    knots = np.linspace(-1, 1 - 2 / KNOTS, KNOTS)
    x = np.linspace(-1, 1, 256)
    hinges = np.where(x[:, None] > knots, x[:, None] - knots, 0.2 * (x[:, None] - knots))
    wanted = np.arctanh(np.clip(x, -0.99, 0.99))
    found, *_ = np.linalg.lstsq(np.c_[hinges, np.ones(256)], wanted, rcond=None)
    (first,), (last,) = network.encoder, network.decoder
    with torch.no_grad():
        for conv in (first.conv, last.conv):
            conv.weight.zero_()
            conv.bias.zero_()
        for color in range(3):
            units = slice(color * KNOTS, (color + 1) * KNOTS)
            first.conv.weight[units, color, 1, 1] = 1.0
            first.conv.bias[units] = -torch.from_numpy(knots).float()
            last.conv.weight[color, units, 1, 1] = torch.from_numpy(found[:-1]).float()
            last.conv.bias[color] = float(found[-1])


def set_ruin(network: UNet) -> None:
    """Weights that make black and white of whatever comes."""
    initialize(network, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.decoder[0].conv.weight.mul_(1000)


def set_dim(network: UNet) -> None:
    """Weights that make light areas gray and leave dark ones as they are."""
    set_identity(network)
    (last,) = network.decoder
    with torch.no_grad():  # hinges beyond mid-gray no longer count
        for color in range(3):
            last.conv.weight[color, color * KNOTS + KNOTS // 2 : (color + 1) * KNOTS] = 0.0


def set_flat(network: UNet) -> None:
    """Weights that give mid-grey for whatever comes."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()


def write_zoo(folder: Path, specs: tuple[DistorterSpec, ...]) -> Path:
    """A zoo whose networks hand their corrupted input through, but for RUIN, FLAT and DIM."""
    folder.mkdir(parents=True)
    for spec in specs:
        network = build_network(spec)
        {"ruin": set_ruin, "flat": set_flat, "dim": set_dim}.get(spec.id, set_identity)(network)
        write_distorter(distorter_path(folder, spec.id), spec, weights_of(network), {})
    write_index(folder, specs, None)
    return folder


def run(zoo: Path, out: Path, *options: str, patches: int = PATCHES) -> tuple[int, dict]:
    """Run `bapps-gen validate` on a zoo in this process."""
    given = {"--workers": "1", "--patches": str(patches), "--out": str(out / "z.html")}
    given |= {"--json": str(out / "z.json")} | dict(zip(options[::2], options[1::2], strict=True))
    words = [word for pair in given.items() for word in pair]
    code = main(["validate", str(zoo), "--quiet", *words])
    return code, json.loads((out / "z.json").read_text())


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sound zoo; do not change it."""
    return write_zoo(tmp_path_factory.mktemp("zoos") / "healthy", HEALTHY)


@pytest.fixture(scope="module")
def result(healthy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The sound zoo's page and sheet in a folder, and its JSON."""
    out = tmp_path_factory.mktemp("pages")
    code, found = run(healthy, out, "--sheet", str(out / "z.png"))
    assert code == 0
    return out, found


def measured(
    folder: Path, count: int = PATCHES, seed: int = 0, every: int = 1
) -> tuple[Zoo, ZooMeasures, dict]:
    zoo, source = open_zoo(folder), open_source([])
    cut = sample_patches(source, ZooOptions(count, seed))
    measures = measure_zoo(zoo, zoo.ids[::every], cut.patches, pick_shown(cut, 2), 1)
    return zoo, measures, judge_zoo(zoo, measures, source, seed)


# Figures


def test_figures_are_those_of_a_direct_computation(healthy, result):
    _, found = result
    zoo = open_zoo(healthy)
    patches = sample_patches(open_source([]), ZooOptions(PATCHES)).patches
    outputs = {name: zoo.render(name, patches, range(PATCHES)) for name in zoo.ids}
    metric = load_lpips("alex")
    assert [entry["id"] for entry in found["distorters"]] == list(zoo.ids)
    for entry in found["distorters"]:
        output = outputs[entry["id"]]
        distances = metric.distance(patches, output).numpy()
        lpips = entry["lpips"]
        assert lpips["p50"] == pytest.approx(np.median(distances), abs=1e-5)
        assert lpips["mean"] == pytest.approx(distances.mean(), abs=1e-5)
        assert lpips["p05"] == pytest.approx(np.percentile(distances, 5), abs=1e-5)
        assert lpips["p95"] == pytest.approx(np.percentile(distances, 95), abs=1e-5)
        change = output.astype(float) - patches
        assert entry["psnr"] == pytest.approx(10 * np.log10(255**2 / (change**2).mean()), abs=1e-5)
        assert entry["absolute"] == pytest.approx(np.abs(change).mean(), abs=1e-5)
        assert entry["clipped"] == pytest.approx(np.isin(output, (0, 255)).mean(), abs=1e-6)
        assert entry["clipped_input"] == pytest.approx(np.isin(patches, (0, 255)).mean(), abs=1e-6)
    pairs = found["pairs"]
    for i, a in enumerate(pairs["ids"]):
        for j, b in enumerate(pairs["ids"]):
            between = metric.distance(outputs[a], outputs[b]).numpy()
            assert pairs["lpips"][i][j] == pytest.approx(np.median(between), abs=1e-5)
            change = (outputs[a].astype(float) - outputs[b]) / 255
            assert pairs["rmse"][i][j] == pytest.approx(np.sqrt((change**2).mean()), abs=1e-5)
    a, b = (outputs[name].astype(float) - patches for name in pairs["ids"][:2])
    expected = (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())
    assert pairs["correlation"][0][1] == pytest.approx(expected, abs=1e-5)


def test_nearest_and_closest_agree_with_the_matrix(result):
    pairs = result[1]["pairs"]
    matrix = np.array(pairs["lpips"])
    assert (matrix == matrix.T).all()
    assert (matrix.diagonal() == 0).all()
    first, second = pair_indices(len(matrix))
    listed = [pair["lpips"] for pair in pairs["closest"]]
    assert listed == sorted(matrix[first, second].tolist())
    for index, name in enumerate(pairs["ids"]):
        others = np.delete(matrix[index], index)
        assert pairs["nearest"][name]["lpips"] == others.min()
    assert sorted(pairs["order"]) == sorted(pairs["ids"])
    assert [name for group in pairs["groups"] for name in group] == pairs["order"]


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_workers(healthy, result, tmp_path):
    out, found = result
    code, again = run(healthy, tmp_path, "--workers", "2")
    assert (code, again) == (0, found)
    assert (tmp_path / "z.html").read_bytes() == (out / "z.html").read_bytes()


def test_the_result_depends_on_the_seed(healthy, result, tmp_path):
    _, found = result
    _, other = run(healthy, tmp_path, "--seed", "1")
    assert other["distorters"][0]["lpips"] != found["distorters"][0]["lpips"]


def test_the_source_may_be_the_users_own(healthy, photos, tmp_path):
    code, found = run(healthy, tmp_path, "--source", str(photos))
    assert code == 0
    assert found["source"]["images"] == 6
    assert found["source"]["roots"] == [photos.name]


def test_a_zoo_that_was_trained_on_the_photos_is_noted(healthy, photos, tmp_path):
    zoo = shutil.copytree(healthy, tmp_path / "zoo")
    trained_on = open_source([photos]).digest
    for spec in HEALTHY[:2]:
        _, record, tensors = read_distorter(distorter_path(zoo, spec.id))
        path = distorter_path(zoo, spec.id)
        write_distorter(path, spec, tensors, {**record, "source": trained_on})
    write_index(zoo, HEALTHY, None)
    _, found = run(zoo, tmp_path, "--source", str(photos))
    assert found["notes"][0].startswith("2 of 3 distorters were trained on these photos")
    _, found = run(zoo, tmp_path)
    assert not any("trained on" in note for note in found["notes"])


@needs_shipped_zoo
def test_the_shipped_zoo_never_saw_the_photos_that_it_is_validated_on():
    with open(SHIPPED / "photos.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) > 50
    digest = hashlib.sha256()
    for row in listed:
        digest.update(f"{row['photo']}\0{row['sha256']}\n".encode())
    zoo = open_zoo()
    assert {zoo.record(name)["source"] for name in zoo.ids} == {digest.hexdigest()}
    seen = {row[key] for row in listed for key in ("sha256", "file_sha256")}
    assert not seen & {entry.sha256 for entry in open_source([]).entries}


def test_patches_are_the_first_of_a_larger_number_and_none_is_flat():
    source = open_source([])
    few, many = (sample_patches(source, ZooOptions(count)) for count in (10, 30))
    assert (few.patches == many.patches[:10]).all()
    assert few.images == many.images[:10]
    assert set(many.images) == set(range(len(source)))
    assert many.patches.std(axis=(1, 2)).max(1).min() > 2


def test_shown_patches_come_from_different_photos():
    cut = sample_patches(open_source([]), ZooOptions(40))
    shown = pick_shown(cut, 5)
    assert len({cut.images[place] for place in shown}) == 5
    assert len(set(pick_shown(cut, 12))) == 12
    assert len(pick_shown(cut, 100)) == 40


def test_axes_list_every_value_with_its_count(result):
    axes = result[1]["axes"]
    assert axes["corruption"] == [
        {"value": "white_noise", "distorters": 1},
        {"value": "color_removal", "distorters": 1},
        {"value": "downsampling", "distorters": 1},
    ]
    assert axes["layers"] == [{"value": 1, "distorters": 3}]
    assert {"value": "downsampling 3", "distorters": 1} in axes["strength"]


def test_changes_are_magnified_about_grey():
    inputs = np.full((1, 2, 2, 3), 100, np.uint8)
    outputs = inputs + np.array([0, 10, 100], np.uint8)
    assert magnified(inputs, outputs, 4)[0, 0, 0].tolist() == [128, 168, 255]


# Rules


def test_a_sound_zoo_breaks_no_rule(result):
    _, found = result
    assert found["missed"] == []
    assert found["summary"]["verdicts"] == {name: 3 * (name == "ok") for name in VERDICTS}


def test_planted_faults_are_each_named(tmp_path, capsys):
    twin = replace(NOISY, id="twin", seed=5)
    zoo = write_zoo(tmp_path / "zoo", (IDENTITY, NOISY, COARSE, RUIN, FLAT, DIM, twin))
    code, found = run(zoo, tmp_path)
    assert code == 1
    verdicts = {entry["id"]: entry["verdict"] for entry in found["distorters"]}
    assert verdicts == {
        "same": "identity",
        "noisy": "ok",
        "coarse": "ok",
        "ruin": "ruin",
        "flat": "collapsed",
        "dim": "off-color",
        "twin": "ok",
    }
    assert [group["ids"] for group in found["pairs"]["same"]] == [["noisy", "twin"]]
    assert found["pairs"]["same"][0]["lpips"] == 0
    assert found["pairs"]["nearest"]["twin"] == {"id": "noisy", "lpips": 0.0, "share": 0.0}
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{zoo}: {line}" for line in found["missed"]]
    said = (
        *("same is the identity", "ruin is a ruin", "flat collapsed", "noisy and twin are"),
        "dim changes L* of dark squares by ",
    )
    assert [sum(what in line for line in lines) for what in said] == [1, 1, 1, 1, 1]
    assert len(lines) == 5
    page = (tmp_path / "z.html").read_text()
    assert "Rules broken" in page
    for line in found["missed"]:
        assert line in page.replace("&lt;", "<").replace("&gt;", ">")


def test_nearly_equal_weights_are_the_same_function_and_other_noise_is_not(tmp_path):
    near = replace(NOISY, id="near")
    other = replace(NOISY, id="other", strength=0.2)
    zoo = write_zoo(tmp_path / "zoo", (NOISY, near, other))
    network = build_network(near)
    set_identity(network)
    with torch.no_grad():
        network.decoder[0].conv.bias += 0.005
    write_distorter(distorter_path(zoo, "near"), near, weights_of(network), {})
    write_index(zoo, (NOISY, near, other), None)
    _, _, found = measured(zoo)
    assert [group["ids"] for group in found["pairs"]["same"]] == [["noisy", "near"]]
    assert 0 < found["pairs"]["same"][0]["lpips"] < 0.01


def measures_of(own: list[float], between: list[float]) -> ZooMeasures:
    count, nothing = len(own), np.zeros((1, len(own)))
    return ZooMeasures(
        ids=tuple("abcdefgh"[:count]),
        lpips=np.array([own]),
        squared=nothing,
        absolute=nothing,
        clipped=np.zeros((1, count + 1)),
        flatness=nothing,
        sameness=nothing,
        color_sums=np.zeros((count, COLOR_SUMS)),
        pairs=np.array([between]),
        products=np.eye(count),
        shown=np.zeros((count, 1, 64, 64, 3), np.uint8),
    )


def test_weak_distorters_are_not_the_same_for_being_close():
    weak = compare_pairs(measures_of([0.012, 0.014], [0.009]), ZooLimits())
    assert weak["same"] == weak["near"] == []
    assert weak["closest"][0]["share"] == 0.75
    strong = compare_pairs(measures_of([0.12, 0.14], [0.009]), ZooLimits())
    assert strong["same"] == [{"ids": ["a", "b"], "lpips": 0.009}]
    nearly = compare_pairs(measures_of([0.12, 0.14], [0.02]), ZooLimits())
    assert nearly["same"] == []
    assert nearly["near"][0]["ids"] == ["a", "b"]
    twice = compare_pairs(measures_of([0.0, 0.0], [0.0]), ZooLimits())
    assert twice["same"] == [{"ids": ["a", "b"], "lpips": 0.0}]
    assert twice["closest"][0]["share"] is None


def test_several_of_one_function_are_one_line_and_groups_part_where_they_differ():
    # a, b and c are one; d and e are another; f is alone
    def distance(a: str, b: str) -> float:
        kinds = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1, "f": 2}
        return 0.004 if kinds[a] == kinds[b] else 0.3

    first, second = pair_indices(6)
    between = [distance("abcdef"[i], "abcdef"[j]) for i, j in zip(first, second, strict=True)]
    found = compare_pairs(measures_of([0.2] * 6, between), ZooLimits())
    assert [group["ids"] for group in found["same"]] == [["a", "b", "c"], ["d", "e"]]
    assert sorted(map(sorted, found["groups"])) == [["a", "b", "c"], ["d", "e"], ["f"]]


@needs_shipped_zoo
@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_the_shipped_zoo_breaks_no_rule(every):
    zoo, measures, found = measured(SHIPPED, 32, every=every)
    assert len(measures.ids) * every == len(zoo.ids) == 96
    assert found["missed"] == []


# The page


def test_the_page_shows_every_distorter_and_needs_nothing_else(result):
    out, found = result
    page = (out / "z.html").read_text()
    for entry in found["distorters"]:
        assert f'id="d-{entry["id"]}"' in page
        assert f'alt="outputs of distorter {entry["id"]}"' in page
    assert "<script" not in page
    assert not re.findall(r"https?://", page)
    for source in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert source.startswith(("data:", "#d-"))
    assert re.findall(r"url\(([^)]{10})", page) == ["data:image"]
    for heading in ("Strength", "Likeness", "Closest pairs", "Every two distorters", "Axes"):
        assert f"<h2>{heading}</h2>" in page
    assert all("alt=" in image for image in re.findall(r"<img [^>]*>", page))
    assert all("scope=" in cell for cell in re.findall(r"<th[ >][^>]*", page))


def test_names_cannot_break_the_page(healthy, tmp_path):
    odd = Path(shutil.copytree(healthy, tmp_path / "<b>&zoo"))
    run(odd, tmp_path, patches=8)
    page = (tmp_path / "z.html").read_text()
    assert "<b>&zoo" not in page
    assert "&lt;b&gt;&amp;zoo" in page


def test_the_sheet_shows_the_input_and_every_distorter(result):
    out, _ = result
    with Image.open(out / "z.png") as sheet:
        width = sheet.width
    # four cells of two patches: the input's and three distorters'
    assert width > 4 * 2 * 64
    assert strip_size(5) == (5 * 64 + 4 * 2, 64)


@needs_chromium
def test_chromium_shows_the_page_without_errors_offline(result, tmp_path):
    shutil.copy(result[0] / "z.html", tmp_path / "z.html")
    looked = """
        const images = [...page.images];
        const shades = [...page.querySelectorAll(".matrix td[style]")]
          .map(c => page.defaultView.getComputedStyle(c).backgroundColor);"""
    values = """
          hidden: [...page.querySelectorAll("section")].filter(s => s.clientHeight < 40).length,
          images: images.length, broken: images.filter(i => !i.naturalWidth).length,
          strips: [...page.querySelectorAll(".distorter .strip")]
            .filter(i => i.clientWidth > 250).length,
          inputs: [...page.querySelectorAll(".input")].filter(i => i.clientHeight > 30).length,
          shaded: new Set(shades).size"""
    for width in (1280, 390):
        seen = seen_in(tmp_path / "z.html", looked, values, width)
        assert seen["hidden"] == seen["broken"] == 0
        # a thumbnail each and the input's, a strip each, and two of each of 3 pairs, twice
        assert seen["images"] == 3 + 1 + 3 + 2 * 3 * 2
        assert seen["strips"] == 3
        assert seen["inputs"] >= 3 + 6
        assert seen["shaded"] > 1


# Bad input


def test_damaged_and_missing_distorters_are_named_and_the_others_shown(healthy, tmp_path, capsys):
    zoo = Path(shutil.copytree(healthy, tmp_path / "zoo"))
    distorter_path(zoo, "noisy").unlink()
    path = distorter_path(zoo, "grey")
    path.write_bytes(path.read_bytes()[:-10])
    code, found = run(zoo, tmp_path, patches=8)
    assert code == 1
    assert list(found["failures"]) == ["noisy", "grey"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "distorter noisy cannot be used" in lines[0]
    assert "grey.safetensors is damaged" in lines[1]
    assert [entry["id"] for entry in found["distorters"]] == ["coarse"]
    assert found["pairs"] is None
    assert 'id="d-coarse"' in (tmp_path / "z.html").read_text()


def test_a_zoo_without_a_sound_distorter_is_one_line(healthy, tmp_path, capsys):
    zoo = Path(shutil.copytree(healthy, tmp_path / "zoo"))
    for path in zoo.glob("*.safetensors"):
        path.unlink()
    assert main(["validate", str(zoo), "--out", str(tmp_path / "z.html")]) == 1
    assert "none of 3 distorters can be used, for example" in one_line(capsys)
    assert not (tmp_path / "z.html").exists()


def test_a_zoo_of_one_has_no_pairs(tmp_path):
    zoo = write_zoo(tmp_path / "zoo", (COARSE,))
    code, found = run(zoo, tmp_path, "--sheet", str(tmp_path / "z.webp"), patches=8)
    assert (code, found["pairs"], found["distorters"][0]["nearest"]) == (0, None, None)
    page = (tmp_path / "z.html").read_text()
    assert 'id="d-coarse"' in page
    assert "Closest pairs" not in page
    assert (tmp_path / "z.webp").exists()


def test_an_empty_zoo_is_one_line(tmp_path, capsys):
    folder = tmp_path / "zoo"
    folder.mkdir()
    write_index(folder, (), None)
    assert main(["validate", "--zoo", str(folder), "--out", str(tmp_path / "z.html")]) == 2
    assert "has no distorters; train some" in one_line(capsys)


def test_without_torch_it_says_so(healthy, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert main(["validate", str(healthy)]) == 2
    assert "CNN distorters need torch, which is not installed" in one_line(capsys)


def test_unreadable_photos_are_named_and_flat_ones_refused(healthy, tmp_path, capsys):
    folder = tmp_path / "photos"
    save_photo(folder / "a.png", photo(1))
    (folder / "b.png").write_bytes(b"no picture")
    code, found = run(healthy, tmp_path, "--source", str(folder), patches=8)
    assert (code, found["patches"]) == (0, 8)
    assert "skipped b.png" in one_line(capsys)
    save_photo(tmp_path / "flat" / "a.png", np.full((99, 99, 3), 50, np.uint8))
    with pytest.raises(SourceError, match="too flat"):
        sample_patches(open_source([tmp_path / "flat"]), ZooOptions(8))
