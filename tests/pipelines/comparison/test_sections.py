"""The closer look in reports that the command and the function write."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.metrics import metric_spec
from bapps_gen.metrics.trained import (
    NetRecord,
    TrainedHeader,
    TrainedMetric,
    TrainingScores,
    write_trained,
)
from bapps_gen.pipelines.comparison.network import network_predictions
from support.datasets import one_line

torch = pytest.importorskip("torch")


def report(judged: Path, out: Path, metrics: str, *options: str) -> dict:
    """The JSON file of a report on both sets."""
    command = ["evaluate", str(judged), "--metrics", metrics, "--out", str(out), "--quiet"]
    assert main([*command, "--resamples", "20", "--workers", "1", *options]) == 0
    return json.loads(out.with_suffix(".json").read_text())


def trained(path: Path, ranking: bool = True) -> Path:
    """A trained metric over AlexNet with untrained weights."""
    from bapps_gen.lpips import load_lpips
    from bapps_gen.pipelines.metric_training.ranking import initial_ranking

    channels = (64, 192, 384, 256, 256)
    net = NetRecord("alex", "alex", load_lpips("alex").net.digest, channels, 31)
    tensors = {
        f"lin{tap}.model.1.weight": torch.full((1, count, 1, 1), 1 / count)
        for tap, count in enumerate(channels)
    }
    if ranking:
        weights = initial_ranking(0).state_dict()
        tensors |= {f"ranking.{name}": value.clone() for name, value in weights.items()}
    header = TrainedHeader(net, "lin", {}, scores=TrainingScores(1, 0.7, ()))
    write_trained(path, TrainedMetric(header, tensors))
    return path


def test_a_report_has_every_section_with_its_numbers(judged, tmp_path):
    found = report(judged, tmp_path / "r.html", "l2,ssim", "--references", "2")
    assert found["triplets"]["simulated"]
    assert found["pairs"]["simulated"]
    assert set(found["triplets"]["calibration"]) == {"l2", "ssim"}
    assert found["sensitivity"]["l2"]["references"] == 2
    page = (tmp_path / "r.html").read_text()
    headings = (
        "By distortion (triplets)",
        "By distortion (JND pairs)",
        "By difference of distances",
        "Psychometric functions (triplets)",
        "Psychometric functions (JND pairs)",
        "Calibration (triplets)",
        "Where metrics disagree (triplets)",
        "Where metrics disagree with simulated observers (triplets)",
        "Sensitivity to severity",
    )
    for heading in headings:
        assert f"<h2>{heading}</h2>" in page, heading
    assert str(judged) not in page.split("<h3>One JND by set</h3>")[-1]


def test_sheets_and_sensitivity_can_be_left_out(judged, tmp_path):
    out = tmp_path / "r.html"
    found = report(judged, out, "l2,ssim", "--references", "0", "--examples", "0")
    assert "sensitivity" not in found
    assert found["triplets"]["disagreement"][0]["examples"]
    page = out.read_text()
    assert "Sensitivity to severity" not in page
    assert "data:image" not in page.replace('href="data:,"', "")


def test_the_function_takes_the_same_options(judged, tmp_path):
    first = report(judged, tmp_path / "a.html", "l2", "--references", "2", "--examples", "1")
    bapps_gen.evaluate(
        judged, "l2", resamples=20, out=tmp_path / "b.html", references=2, examples=1, workers=1
    )
    assert json.loads((tmp_path / "b.json").read_text()) == first
    assert (tmp_path / "a.html").read_text() == (tmp_path / "b.html").read_text()


@pytest.mark.parametrize(("option", "value"), [("examples", "101"), ("references", "-1")])
def test_values_out_of_range_are_refused_in_one_line(judged, tmp_path, capsys, option, value):
    command = ["evaluate", str(judged), "--out", str(tmp_path / "r.html"), f"--{option}", value]
    assert main(command) == 2
    assert f"{option} = {value}" in one_line(capsys)


def test_own_metrics_and_files_of_distances_are_looked_at_too(judged, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def mean(a, b):\n"
        "    'Difference of means.'\n"
        "    return np.abs(a.mean((1, 2, 3)) - b.mean((1, 2, 3)))\n"
    )
    triplets = bapps_gen.open_dataset(judged / "2afc")
    lines = [f"{triplet.id},{k % 7},{k % 5}" for k, triplet in enumerate(triplets)]
    (tmp_path / "far.csv").write_text("\n".join(["id,d0,d1", *lines]) + "\n")
    metrics = f"{tmp_path / 'mine.py'}:mean,{tmp_path / 'far.csv'}"
    found = report(judged / "2afc", tmp_path / "r.html", metrics, "--references", "2")
    names = set(found["triplets"]["psychometric"])
    assert "far" in names
    assert len(names) == 2
    assert set(found["sensitivity"]) == names - {"far"}


def test_the_ranking_network_of_a_trained_metric_is_calibrated_beside_its_curve(judged, tmp_path):
    metric = trained(tmp_path / "mine.safetensors")
    found = report(judged / "2afc", tmp_path / "r.html", f"l2,{metric}", "--references", "0")
    assert list(found["triplets"]["calibration_of_networks"]) == ["mine"]
    assert "mine, its network" in (tmp_path / "r.html").read_text()


def test_predictions_of_networks_are_probabilities_and_others_have_none(tmp_path):
    spec = metric_spec(trained(tmp_path / "mine.safetensors"))
    d0, d1 = np.random.default_rng(0).random((2, 30)) * 1e6
    predicted = network_predictions(spec, d0, d1)
    assert predicted.shape == (30,)
    assert ((predicted >= 0.001) & (predicted <= 0.999)).all()
    assert network_predictions(metric_spec("l2"), d0, d1) is None
    bare = metric_spec(trained(tmp_path / "bare.safetensors", ranking=False))
    assert network_predictions(bare, d0, d1) is None


def test_every_key_of_the_numbers_is_on_the_reference_page(judged, tmp_path):
    found = report(judged, tmp_path / "r.html", "l2,ssim", "--references", "2")
    parts = {name: found[name] for name in ("triplets", "pairs", "sensitivity")}
    page = Path("docs/pages/reference/closer-look.md").read_text()
    words = set(re.findall(r"[a-z_0-9]+", page))
    atoms = {atom.name for atom in ATOMS}
    missing = {
        key
        for key in keys_of(parts)
        if key not in words | atoms | {"l2", "ssim"} and "(" not in key  # names of sets
    }
    assert not missing


def keys_of(values: object) -> set[str]:
    """All keys of dictionaries at any depth."""
    if isinstance(values, dict):
        return set(values) | {key for each in values.values() for key in keys_of(each)}
    if isinstance(values, list):
        return {key for each in values for key in keys_of(each)}
    return set()
