"""Trunks made of photos without labels: files that nets load from."""

from __future__ import annotations

import json
import resource

import numpy as np
import pytest
from safetensors import safe_open
from skimage import data, io

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.errors import SourceError, UserError, WorkError
from bapps_gen.lpips.nets import load_net
from bapps_gen.lpips.trunks import TRUNKS


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "coffee", "chelsea"):
        io.imsave(folder / f"{name}.png", getattr(data, name)()[:280, :300], check_contrast=False)
    return folder


@pytest.fixture(scope="module")
def trunk(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "own.safetensors"
    return bapps_gen.make_trunk(out, source=photos, net="squeeze", seed=3)


def test_the_file_is_a_feature_net(trunk):
    net = load_net(f"trunk:{trunk}")
    assert (net.name, net.channels) == ("trunk-own", TRUNKS["squeeze"].channels)
    ref = data.astronaut()[None, :64, :64]
    metric = bapps_gen.load_metric(f"trunk:{trunk}")
    assert metric.distance(ref, ref)[0] == 0.0
    assert metric.distance(ref, 255 - ref)[0] > 0.1


def test_the_file_says_what_it_is_made_of(trunk):
    with safe_open(trunk, "np") as file:
        note = json.loads(file.metadata()["bapps_gen"])
    assert (note["net"], note["seed"]) == ("squeeze", 3)
    assert "stacked k-means" in note["made by"]
    assert len(note["digest"]) == 16


def test_the_command_makes_the_same_file(trunk, photos, tmp_path, capsys):
    out = tmp_path / "again.safetensors"
    given = ["make-trunk", "--source", str(photos), "--net", "squeeze", "--seed", "3"]
    assert main([*given, "--out", str(out)]) == 0
    assert f"use it: bapps-gen score DATASET --metric trunk:{out}" in capsys.readouterr().out
    with safe_open(trunk, "np") as one, safe_open(out, "np") as two:
        assert one.metadata() == two.metadata()
        for name in ("features.0.weight", "features.12.expand3x3.bias"):
            np.testing.assert_allclose(one.get_tensor(name), two.get_tensor(name), atol=1e-4)


def test_crops_and_layers_report_their_progress(photos, tmp_path):
    calls: list[tuple[int, int]] = []
    bapps_gen.make_trunk(
        tmp_path / "x.safetensors",
        source=photos,
        net="squeeze",
        progress=lambda done, total: calls.append((done, total)),
    )
    for total in {total for _, total in calls}:
        done = [each for each, of in calls if of == total]
        assert done == sorted(done)
        assert done[-1] == total
    assert len({total for _, total in calls}) == 2


def test_photos_that_cannot_be_decoded_are_left_out(photos, tmp_path, caplog):
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "good.png").write_bytes((photos / "coffee.png").read_bytes())
    (folder / "bad.png").write_bytes((photos / "coffee.png").read_bytes()[:4000])
    bapps_gen.make_trunk(tmp_path / "x.safetensors", source=folder, net="squeeze")
    assert "bad.png" in caplog.text
    (folder / "good.png").unlink()
    with pytest.raises(SourceError, match=r"no photo can be decoded, the last being bad\.png"):
        bapps_gen.make_trunk(tmp_path / "y.safetensors", source=folder, net="squeeze")
    assert not (tmp_path / "y.safetensors").exists()


def test_a_disk_that_is_full_is_one_line(photos, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(WorkError, match=r"^cannot write [^\n]*x\.safetensors: [^\n]* space"):
            bapps_gen.make_trunk(tmp_path / "x.safetensors", source=photos, net="squeeze")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("out", "options", "says"),
    [
        ("x.pth", {}, "does not end in .safetensors"),
        ("none/x.safetensors", {}, "none does not exist; create it first"),
        ("x.safetensors", {"net": "resnet"}, "one of alex, vgg, squeeze"),
        ("x.safetensors", {"seed": -1}, "seed = -1"),
    ],
)
def test_what_cannot_be_made_is_one_line(out, options, says, photos, tmp_path):
    with pytest.raises(UserError, match=says):
        bapps_gen.make_trunk(tmp_path / out, source=photos, **options)
