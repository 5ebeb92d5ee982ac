"""Trained metrics as files: loaded like built-in ones, and exchanged with the lpips package."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import UserError, WorkError
from bapps_gen.lpips.nets import load_net
from bapps_gen.lpips.trunks import Trunk
from bapps_gen.lpips.weights import load_linear
from bapps_gen.metrics import metric_spec
from bapps_gen.metrics.trained import (
    NetRecord,
    TrainedHeader,
    TrainedMetric,
    TrainingScores,
    TrainingSet,
    linear_key,
    read_trained,
    write_trained,
)

PATCHES = np.random.default_rng(0).integers(0, 256, (3, 2, 64, 64, 3), np.uint8)


def trained(mode: str = "lin", digest: str | None = None) -> TrainedMetric:
    """LPIPS v0.1 over AlexNet as if it had been trained here."""
    net = load_net("alex")
    record = NetRecord("alex", "alex", net.digest if digest is None else digest, net.channels, 31)
    header = TrainedHeader(record, mode, {"epochs": 5}, scores=TrainingScores(3, 0.7, ()))
    tensors = {
        linear_key(tap): weight.view(1, -1, 1, 1)
        for tap, weight in enumerate(load_linear("alex", "0.1"))
    }
    tensors["ranking.layers.0.bias"] = torch.ones(3)
    if mode == "tune":
        state = net.module.state_dict()
        tensors |= {f"trunk.{name}": 1.01 * value for name, value in state.items()}
    return TrainedMetric(header, tensors)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    write_trained(path, trained())
    return path


def distances(name: str | Path) -> np.ndarray:
    return bapps_gen.load_metric(str(name)).distance(PATCHES[0], PATCHES[1])


def test_a_file_is_read_as_it_was_written(file: Path) -> None:
    held, wanted = read_trained(file), trained()
    assert held.header == wanted.header
    assert held.digest == wanted.digest
    assert set(held.tensors) == set(wanted.tensors)
    assert list(held.ranking) == ["layers.0.bias"]
    assert not held.trunk


def test_a_file_is_a_metric_of_its_name(file: Path) -> None:
    np.testing.assert_array_equal(distances(file), distances("lpips-alex"))
    spec = metric_spec(file)
    assert (spec.name, spec.net, spec.smallest) == ("mine", "alex", 31)
    settings = bapps_gen.load_metric(file).settings
    assert settings["weights"] == trained().digest


def test_info_says_what_a_metric_was_trained_on(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = trained()
    rows = TrainingSet("traditional", "d" * 32, "e" * 32, 70, None, simulated=True)
    scores = TrainingScores(3, 0.7123, ({},) * 10)
    header = replace(held.header, train=(rows,), val=(replace(rows, rows=8),), scores=scores)
    write_trained(file, replace(held, header=header))
    assert main(["info", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"lin over alex (weights {header.net.digest})\n")
    assert f"trained on 70 rows of traditional, digest {'d' * 32}, judged by simulated" in out
    assert "validated on 8 rows" in out
    assert "2AFC 71.23 % after epoch 3 of 10\noptions: epochs 5\n" in out
    assert main(["info", "--json", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["epoch"] == 3


def test_a_trained_net_is_loaded_without_that_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "tuned.safetensors"
    write_trained(path, trained("tune"))
    assert not np.allclose(distances(path), distances("lpips-alex"), rtol=1e-4)
    with pytest.raises(UserError, match="has its net's weights; leave it out"):
        bapps_gen.load_metric(path, weights="alexnet.pth")


def test_distances_of_a_file_that_changed_are_made_again(file: Path, dataset: Path) -> None:
    first = dict(metric_spec(file).settings)
    changed = trained()
    tensors = {**changed.tensors, linear_key(0): torch.zeros(1, 64, 1, 1)}
    write_trained(file, TrainedMetric(changed.header, tensors))
    assert dict(metric_spec(file).settings) != first


def test_another_net_than_in_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    write_trained(path, trained(digest="0" * 16))
    with pytest.raises(UserError, match="with weights of digest 0000000000000000, but these are"):
        bapps_gen.load_metric(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (linear_key(0), None, "lacks lin0.model.1.weight"),
        (linear_key(1), torch.ones(1, 3, 1, 1), "has lin1.model.1.weight of shape"),
        (linear_key(2), torch.full((1, 384, 1, 1), -1.0), "values that are not numbers of at"),
        (linear_key(2), torch.full((1, 384, 1, 1), torch.nan), "is not finite"),
        (linear_key(5), torch.ones(1, 3, 1, 1), "of more maps than the net's 5"),
    ],
)
def test_damaged_weights_are_one_line(
    tmp_path: Path, name: str, value: torch.Tensor | None, message: str
) -> None:
    tensors = {**trained().tensors, name: value}
    if value is None:
        del tensors[name]
    path = tmp_path / "mine.safetensors"
    write_trained(path, replace(trained(), tensors=tensors))
    with pytest.raises(WorkError, match=message):
        bapps_gen.load_metric(path)


def test_a_flipped_bit_of_a_weight_is_noticed(file: Path) -> None:
    held = bytearray(file.read_bytes())
    held[-2] ^= 1
    file.write_bytes(held)
    with pytest.raises(WorkError, match="is damaged: its checksum differs"):
        bapps_gen.load_metric(file)


def test_files_that_are_no_trained_metrics_are_one_line(tmp_path: Path) -> None:
    import bapps_gen.lpips.weights as weights

    with pytest.raises(UserError, match="does not exist"):
        bapps_gen.load_metric(tmp_path / "none.safetensors")
    with pytest.raises(WorkError, match="has no header of a trained metric"):
        bapps_gen.load_metric(weights.BUNDLED / weights.LINEAR_FILE)


@pytest.mark.parametrize("mode", ["lin", "tune"])
def test_a_metric_goes_to_the_package_and_back(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "mine.safetensors"
    write_trained(path, trained(mode))
    bapps_gen.convert_metric(path, tmp_path / "mine.pth")
    bapps_gen.convert_metric(tmp_path / "mine.pth", tmp_path / "back.safetensors", net="alex")
    np.testing.assert_allclose(distances(tmp_path / "back.safetensors"), distances(path), 1e-6)
    held = torch.load(tmp_path / "mine.pth", weights_only=True)
    slices = {
        *("net.slice1.0", "net.slice2.3", "net.slice3.6", "net.slice4.8", "net.slice5.10"),
    }
    expected = {linear_key(tap) for tap in range(5)}
    if mode == "tune":
        expected |= {f"{name}.{kind}" for name in slices for kind in ("weight", "bias")}
    assert set(held) == expected
    assert held["lin3.model.1.weight"].shape == (1, 256, 1, 1)


@pytest.mark.parametrize("net", ["vgg", "squeeze"])
def test_layers_are_divided_at_the_taps_as_in_the_package(net: str) -> None:
    from bapps_gen.lpips.trunks import TRUNKS
    from bapps_gen.metrics.lpips_package import _trunk_names

    names = dict(_trunk_names(net))
    assert set(names.values()) == set(Trunk(TRUNKS[net]).state_dict())
    expected = {
        "vgg": ("net.slice3.14.bias", "net.slice4.17.weight", "net.slice5.28.weight"),
        "squeeze": (
            "net.slice1.0.bias",
            "net.slice2.4.squeeze.weight",
            "net.slice7.12.squeeze.bias",
        ),
    }
    assert set(expected[net]) <= set(names)


def test_names_of_a_net_without_dropout_are_understood(file: Path, tmp_path: Path) -> None:
    held = {
        name.replace("model.1", "model.0"): value
        for name, value in trained().tensors.items()
        if name.startswith("lin")
    }
    torch.save(held, tmp_path / "plain.pth")
    bapps_gen.convert_metric(tmp_path / "plain.pth", tmp_path / "back.safetensors", net="alex")
    np.testing.assert_array_equal(distances(tmp_path / "back.safetensors"), distances(file))


def test_conversions_that_cannot_be_made_are_one_line(file: Path, tmp_path: Path) -> None:
    state = bapps_gen.convert_metric(file, tmp_path / "mine.pth")
    cases = [
        ((file, tmp_path / "a.txt", None), "one must end in .safetensors and the other in .pth"),
        ((file, state, None), "is there already"),
        ((file, tmp_path / "a.pth", "alex"), "is for state dicts"),
        ((state, tmp_path / "a.safetensors", None), "does not say which net it is of"),
        ((state, tmp_path / "a.safetensors", "vgg"), "no state dict of LPIPS with vgg"),
        ((state, tmp_path / "a.safetensors", "resnet"), "unknown net of the lpips package"),
        ((tmp_path / "no.pth", tmp_path / "a.safetensors", "alex"), "does not exist"),
    ]
    for (source, target, net), message in cases:
        with pytest.raises(UserError, match=message) as caught:
            bapps_gen.convert_metric(source, target, net=net)
        assert "\n" not in str(caught.value)


def test_files_of_the_package_that_cannot_be_written_or_read_are_one_line(
    file: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(WorkError, match=r"^cannot write [^\n]*a\.pth: Not a directory; [^\n]*$"):
        bapps_gen.convert_metric(file, tmp_path / "taken" / "a.pth")
    junk = tmp_path / "junk.pth"
    junk.write_bytes(pickle.dumps(print))
    with pytest.raises(UserError, match=r"damaged or not a plain state dict; replace it$"):
        bapps_gen.convert_metric(junk, tmp_path / "a.safetensors", net="alex")
    assert not recwarn.list
    assert not (tmp_path / "a.safetensors").exists()


def test_exports_of_a_metric_have_the_same_bytes(file: Path, tmp_path: Path) -> None:
    one, two = (bapps_gen.convert_metric(file, tmp_path / name) for name in ("1.pth", "2.pth"))
    assert one.read_bytes() == two.read_bytes()


def test_the_package_itself_gives_the_same_distances(file: Path, tmp_path: Path) -> None:
    lpips = pytest.importorskip("lpips")  # with torchvision, which loads its own weights
    if not (Path(torch.hub.get_dir()) / "checkpoints" / "alexnet-owt-7be5be79.pth").exists():
        pytest.skip("torchvision's AlexNet is not here")
    state = bapps_gen.convert_metric(file, tmp_path / "mine.pth")
    package = lpips.LPIPS(net="alex", model_path=str(state), verbose=False)
    first, second = (
        torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1 for images in PATCHES[:2]
    )
    with torch.no_grad():
        theirs = package(first, second).flatten().numpy()
    np.testing.assert_allclose(distances(file), theirs, rtol=1e-5)


NET_FILE = """
import pathlib
import torch

pathlib.Path(__file__).with_suffix(".ran").touch()


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return [self.layer(x).relu()]
"""


def test_a_net_from_a_python_file_runs_only_where_it_is_named(tmp_path: Path) -> None:
    code = tmp_path / "net.py"
    code.write_text(NET_FILE)
    given = f"features:{code}:Net"
    net = load_net(given)
    record = NetRecord(given, net.name, net.digest, net.channels, net.smallest)
    header = replace(trained().header, net=record)
    path = tmp_path / "own.safetensors"
    write_trained(path, TrainedMetric(header, {linear_key(0): torch.ones(1, 4, 1, 1)}))
    code.with_suffix(".ran").unlink()
    with pytest.raises(UserError, match=r"runs only where you name it; give .*@features:FILE.py"):
        metric_spec(path)
    assert not code.with_suffix(".ran").exists()
    np.testing.assert_allclose(distances(f"{path}@{given}"), distances(given), rtol=1e-6)
    assert metric_spec(f"{path}@{given}").name == "own"
    moved = code.rename(tmp_path / "moved.py")
    np.testing.assert_allclose(
        distances(f"{path}@features:{moved}:Net"), distances(f"features:{moved}:Net"), rtol=1e-6
    )
    moved.write_text(NET_FILE + "\n# changed\n")
    with pytest.raises(UserError, match="with weights of digest"):
        distances(f"{path}@features:{moved}:Net")
