"""Where trunk weights are found, and what happens when they are missing, damaged or wrong."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import load_file, save_file

from bapps_gen.errors import UserError
from bapps_gen.lpips import load_lpips, load_trunk
from bapps_gen.lpips import weights as stored
from bapps_gen.lpips.trunks import TRUNKS, trunk_shapes


def refused(*parts, net="squeeze", **options):
    """Loading fails with one line that contains every part."""
    with pytest.raises(UserError) as caught:
        load_lpips(net, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


@pytest.fixture(autouse=True)
def empty_places(tmp_path, monkeypatch):
    """No folder in the environment, an empty hub cache, and a network that refuses."""
    monkeypatch.delenv("BAPPS_GEN_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(stored, "HUB_URL", "http://127.0.0.1:9/")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on loopback in place of torchvision's; gives its folder."""
    folder = tmp_path / "server"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        monkeypatch.setattr(stored, "HUB_URL", f"http://127.0.0.1:{http.server_port}/")
        yield folder
        http.shutdown()


@pytest.fixture
def published(squeeze_weights, monkeypatch, tmp_path):
    """The bytes of a .pth as torchvision publishes it, and the name with the hash it would have."""
    path = tmp_path / "published.pth"
    classifier = {"classifier.1.weight": torch.ones(10, 512, 1, 1)}
    torch.save(OrderedDict(**squeeze_weights, **classifier), path)
    data = path.read_bytes()
    name = f"squeezenet1_1-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    monkeypatch.setitem(TRUNKS, "squeeze", replace(TRUNKS["squeeze"], hub_file=name))
    return name, data


def test_the_bundled_linear_weights_are_complete_and_not_negative():
    for net, spec in TRUNKS.items():
        for version in ("0.1", "0.0"):
            linear = stored.load_linear(net, version)
            assert [tuple(value.shape) for value in linear] == [(c,) for c in spec.channels]
            assert all(bool((value >= 0).all()) for value in linear)


def test_the_bundled_files_have_the_checksums_of_their_provenance():
    text = (stored.BUNDLED / "PROVENANCE.md").read_text()
    for name, digest in stored.BUNDLED_SHA256.items():
        assert hashlib.sha256((stored.BUNDLED / name).read_bytes()).hexdigest() == digest
        assert digest in text
    for license in ("LICENSE-lpips.txt", "LICENSE-torchvision.txt"):
        assert "Redistribution and use" in (stored.BUNDLED / license).read_text()


def test_a_damaged_bundled_file_is_reported(tmp_path, monkeypatch):
    data = bytearray((stored.BUNDLED / "alexnet.safetensors").read_bytes())
    data[5_000_000] ^= 1
    (tmp_path / "alexnet.safetensors").write_bytes(data)
    monkeypatch.setattr(stored, "BUNDLED", tmp_path)
    refused("alexnet.safetensors", "damaged", "reinstall", net="alex")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_whole_torchvision_pth_loads_without_its_classifier(squeeze_weights, tmp_path, zipped):
    whole = OrderedDict(squeeze_weights, **{"classifier.1.weight": torch.ones(1000, 512, 1, 1)})
    path = tmp_path / "whole.pth"
    torch.save(whole, path, _use_new_zipfile_serialization=zipped)
    trunk = load_trunk("squeeze", path)
    assert list(trunk.state_dict()) == list(trunk_shapes("squeeze"))
    for name, value in trunk.state_dict().items():
        assert torch.equal(value, squeeze_weights[name])


def test_pth_and_safetensors_give_the_same_distances(squeeze_weights, tmp_path, triplets):
    torch.save(squeeze_weights, tmp_path / "w.pth")
    save_file(squeeze_weights, tmp_path / "w.safetensors")
    one, two = (
        load_lpips("squeeze", weights=tmp_path / name).distance(triplets[0], triplets[1])
        for name in ("w.pth", "w.safetensors")
    )
    assert torch.equal(one, two)


def test_half_precision_weights_are_widened(squeeze_weights, tmp_path):
    save_file({k: v.half() for k, v in squeeze_weights.items()}, tmp_path / "half.safetensors")
    trunk = load_trunk("squeeze", tmp_path / "half.safetensors")
    assert {value.dtype for value in trunk.state_dict().values()} == {torch.float32}


def change(weights, kind):
    name = "features.3.squeeze.weight"
    weights = dict(weights)
    if kind == "lacks":
        del weights[name]
    elif kind == "unknown":
        weights["features.99.weight"] = torch.ones(1)
    elif kind == "shape":
        weights[name] = weights[name][:-1]
    elif kind == "nan":
        weights[name] = torch.full_like(weights[name], torch.nan)
    elif kind == "whole numbers":
        weights[name] = weights[name].to(torch.int32)
    return weights


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("lacks", "lacks features.3.squeeze.weight"),
        ("unknown", "unknown features.99.weight"),
        ("shape", "features.3.squeeze.weight of shape (15, 64, 1, 1), not (16, 64, 1, 1)"),
        ("nan", "features.3.squeeze.weight that is not finite"),
        ("whole numbers", "features.3.squeeze.weight that is not finite floating-point"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_loading_is_strict(squeeze_weights, tmp_path, kind, says, suffix):
    path = tmp_path / f"changed{suffix}"
    changed = {name: value.contiguous() for name, value in change(squeeze_weights, kind).items()}
    (torch.save if suffix == ".pth" else save_file)(changed, path)
    refused(str(path), "squeezenet1_1", says, weights=path)


def test_weights_of_another_network_are_refused():
    refused("not squeezenet1_1", "more", weights=stored.BUNDLED / "alexnet.safetensors")


def test_linear_weights_in_a_trunk_file_must_be_those_of_lpips(tmp_path):
    weights = load_file(stored.BUNDLED / "alexnet.safetensors")
    path = tmp_path / "alexnet.safetensors"
    save_file(weights, path)
    load_lpips("alex", weights=path)
    weights["lin2"] = weights["lin2"] * 1.5
    save_file(weights, path)
    refused("lin2 other than LPIPS v0.1's", net="alex", weights=path)


class Command:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path, zipped):
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    torch.save({"x": Command(trace)}, path, _use_new_zipfile_serialization=zipped)
    refused(str(path), "cannot be read", weights=path)
    path.write_bytes(pickle.dumps(Command(trace)))
    refused(str(path), "cannot be read", weights=path)
    assert not trace.exists()


def test_a_pth_that_is_no_state_dict_is_refused(tmp_path):
    for number, value in enumerate(([1, 2], {"state": {"nested": torch.ones(1)}}, torch.ones(2))):
        path = tmp_path / f"{number}.pth"
        torch.save(value, path)
        refused(str(path), "not a state dict", weights=path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_reported_by_name(squeeze_weights, tmp_path, suffix, share):
    path = tmp_path / f"cut{suffix}"
    (torch.save if suffix == ".pth" else save_file)(squeeze_weights, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(str(path), "damaged", weights=path)


def test_a_file_of_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "weights.ckpt").write_bytes(b"x")
    refused("weights.ckpt", ".safetensors or .pth", weights=tmp_path / "weights.ckpt")


def test_a_file_that_is_not_there_is_named(tmp_path):
    refused(str(tmp_path / "none.pth"), "does not exist", weights=tmp_path / "none.pth")


def test_a_file_whose_name_promises_another_checksum_is_refused(published, tmp_path):
    _, data = published
    path = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    path.write_bytes(data)
    refused(str(path), "checksum", "b8a52dc0", weights=path)


@pytest.mark.parametrize(
    "name", ["squeezenet1_1.safetensors", "squeezenet1_1.pth", "squeezenet1_1-best.pth"]
)
def test_weights_are_found_in_the_folder_the_environment_names(
    squeeze_weights, tmp_path, monkeypatch, name
):
    folder = tmp_path / "weights"
    folder.mkdir()
    (save_file if name.endswith("safetensors") else torch.save)(squeeze_weights, folder / name)
    monkeypatch.setenv("BAPPS_GEN_WEIGHTS", str(folder))
    value = load_trunk("squeeze").state_dict()["features.0.weight"]
    assert torch.equal(value, squeeze_weights["features.0.weight"])


def test_another_network_of_a_like_name_is_not_taken_from_the_folder(tmp_path, monkeypatch):
    torch.save({}, tmp_path / "vgg16_bn-6c64b313.pth")
    monkeypatch.setenv("BAPPS_GEN_WEIGHTS", str(tmp_path))
    refused("no weights for vgg16", net="vgg")


def test_the_folder_does_not_change_the_bundled_trunk(tmp_path, monkeypatch):
    (tmp_path / "alexnet.safetensors").write_bytes(b"nonsense")
    monkeypatch.setenv("BAPPS_GEN_WEIGHTS", str(tmp_path))
    load_lpips("alex")


def test_an_environment_that_names_no_folder_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("BAPPS_GEN_WEIGHTS", str(tmp_path / "none"))
    refused("BAPPS_GEN_WEIGHTS", str(tmp_path / "none"), "squeezenet1_1.safetensors")


def test_weights_are_found_in_the_hub_cache(published, tmp_path):
    name, data = published
    checkpoints = tmp_path / "torch_home" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / name).write_bytes(data)
    load_lpips("squeeze")
    (checkpoints / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(str(checkpoints / name), "checksum", "download it again")


def test_missing_weights_say_what_to_do():
    for net, name in (("vgg", "vgg16-397923af.pth"), ("squeeze", "squeezenet1_1-b8a52dc0.pth")):
        refused(name, "--weights", "BAPPS_GEN_WEIGHTS", net=net)


def test_missing_weights_are_downloaded_into_the_hub_cache(published, server, tmp_path):
    name, data = published
    (server / name).write_bytes(data)
    load_lpips("squeeze")
    kept = tmp_path / "torch_home" / "hub" / "checkpoints" / name
    assert kept.read_bytes() == data
    (server / name).unlink()
    load_lpips("squeeze")


def test_a_download_with_a_wrong_checksum_is_refused_and_not_kept(published, server, tmp_path):
    name, data = published
    (server / name).write_bytes(data + b"x")
    refused(name, "wrong checksum")
    assert list((tmp_path / "torch_home" / "hub" / "checkpoints").iterdir()) == []


def test_a_server_without_the_file_is_reported(published, server):
    refused(published[0], "404", "--weights")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"net": "alexnet"}, "did you mean 'alex'"),
        ({"net": "alex", "version": "0.2"}, "0.1 or 0.0"),
        ({"net": "alex", "dtype": "float16"}, "float32"),
        ({"net": "alex", "device": "cuda:77"}, "cuda:77"),
        ({"net": "alex", "device": "toaster"}, "toaster"),
    ],
)
def test_unknown_choices_are_refused(options, says):
    refused(says, **options)


def test_device_auto_takes_what_there_is(triplets):
    model = load_lpips(device="auto")
    expected = "cuda" if torch.cuda.is_available() else model.device.type
    assert model.device.type == expected
    assert model.distance(triplets[0], triplets[1]).device.type == expected
