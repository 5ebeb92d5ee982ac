"""AlexNets of self-supervised publications, from files in their layouts with random weights.

The expected maps are computed a second time here, layer by layer with torch's functions, from
what the publications' prototxt files say.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from bapps_gen.errors import UserError
from bapps_gen.lpips.alexnet_forms import FORMS, to_lab
from bapps_gen.lpips.nets import load_net
from support.nets import SHAPES, caffemodel, convolution_layers, random_blobs, state_dict

# The networks a second time.


def maps(kind, blobs, rgb, lrn, norms=None, data_lab=None):
    """Maps of RGB images, float64 in [0, 255], as Caffe computes them."""
    if kind == "puzzle":
        x = rgb.flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1)
    elif kind == "bigan":
        x = (rgb.flip(1) - 127.5) / 127.5
    elif kind == "video":
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        x = (rgb / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    else:
        from skimage.color import rgb2lab

        lab = rgb2lab(rgb.permute(0, 2, 3, 1).numpy() / 255)
        x = torch.from_numpy(lab).permute(0, 3, 1, 2)
        gain, offset = data_lab or ((1, 1, 1), (-50, 0, 0))
        x = x * torch.tensor(gain).view(3, 1, 1) + torch.tensor(offset).view(3, 1, 1)
    x = x.double()
    out = []
    for number, (weight, bias) in enumerate(blobs):
        weight, bias = torch.from_numpy(weight).double(), torch.from_numpy(bias).double()
        groups = x.shape[1] // weight.shape[1]
        stride, padding = ((4, 0), (1, 2), (1, 1), (1, 1), (1, 1))[number]
        x = F.conv2d(x, weight, bias, stride, padding, groups=groups)
        if norms:
            mean, variance, gain, offset = (torch.from_numpy(v).double() for v in norms[number])
            x = F.batch_norm(x, mean, variance, gain, offset, eps=1e-5)
        x = torch.where(x > 0, x, 0.2 * x) if kind == "bigan" else x.clamp_min(0)
        out.append(x)
        if number < 2:
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            if lrn:
                squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
                total = sum(squares[:, k : k + x.shape[1]] for k in range(5))
                x = x / (1 + 1e-4 / 5 * total) ** 0.75
    return out


@pytest.fixture(scope="module")
def rgb():
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 51, 64)).astype(np.float64)
    return torch.from_numpy(pixels)


def assert_maps(net, expected, rgb):
    shift, scale = (torch.tensor(value).view(3, 1, 1) for value in (net.shift, net.scale))
    actual = net.module(((rgb.float() / 127.5 - 1) - shift) / scale)
    for part, other in zip(actual, expected, strict=True):
        spread = float(other.abs().max())
        assert part.shape == other.shape
        np.testing.assert_allclose(part.numpy(), other.numpy(), atol=3e-5 * spread)


LRN = {"puzzle": True, "bigan": False, "split-brain": False, "video": True}


@pytest.mark.parametrize("kind", list(FORMS))
@pytest.mark.parametrize("suffix", ["caffemodel", "old.caffemodel", "safetensors", "pth"])
def test_maps_are_those_of_the_published_network(kind, suffix, tmp_path, rgb):
    blobs = random_blobs()
    path = tmp_path / f"net.{suffix}"
    if suffix.endswith("caffemodel"):
        fc = ("fc6", "InnerProduct", [np.zeros((4, 8)), np.zeros(4)])
        layers = [("data", "Input", []), *convolution_layers(blobs), ("relu1", "ReLU", []), fc]
        path.write_bytes(caffemodel(layers, old=suffix.startswith("old")))
    elif suffix == "safetensors":
        save_file(state_dict(blobs), path)
    else:
        torch.save(state_dict(blobs), path)
    net = load_net(f"{kind}:{path}")
    assert net.channels == (96, 256, 384, 384, 256)
    assert_maps(net, maps(kind, blobs, rgb, LRN[kind]), rgb)


@pytest.mark.parametrize(
    "form",
    ["conv{}_s1", "features.conv{}", (0, 3, 6, 8, 10), (0, 4, 8, 10, 12)],
    ids=["training network", "named", "torch", "torch with LRN"],
)
def test_names_of_other_programs_are_known(form, tmp_path, rgb):
    blobs = random_blobs()
    tensors = state_dict(blobs, form if isinstance(form, str) else "{}")
    if not isinstance(form, str):
        numbers = dict(zip("12345", form, strict=True))
        tensors = {f"features.{numbers[name[0]]}{name[1:]}": v for name, v in tensors.items()}
    tensors["fc6.weight"] = torch.zeros(4, 8)
    save_file(tensors, tmp_path / "net.safetensors")
    net = load_net(f"puzzle:{tmp_path}/net.safetensors")
    assert_maps(net, maps("puzzle", blobs, rgb, True), rgb)


def random_norms(seed=2):
    rng = np.random.default_rng(seed)
    return [
        tuple(
            draw.astype(np.float32)
            for draw in (
                rng.normal(0, 0.3, shape[0]),
                rng.uniform(0.5, 2, shape[0]),
                rng.normal(1, 0.3, shape[0]),
                rng.normal(0, 0.2, shape[0]),
            )
        )
        for shape in SHAPES
    ]


@pytest.mark.parametrize("where", ["caffe", "torch", "beside"])
def test_batch_normalization_is_folded_into_the_convolutions(where, tmp_path, rgb):
    blobs, norms = random_blobs(), random_norms()
    path = tmp_path / "net.safetensors"
    if where == "caffe":  # sums with their factor, then a layer of gains and offsets
        path = tmp_path / "net.caffemodel"
        layers = []
        for number, (layer, norm) in enumerate(
            zip(convolution_layers(blobs), norms, strict=True), 1
        ):
            mean, variance, gain, offset = norm
            sums = [mean * 7, variance * 7, np.array([7.0])]
            layers += [layer, (f"bn{number}", "BatchNorm", sums)]
            layers.append((f"scale{number}", "Scale", [gain, offset]))
        path.write_bytes(caffemodel(layers))
    else:
        tensors = {}
        for number, (pair, norm) in enumerate(zip(blobs, norms, strict=True), 1):
            place = (0, 4, 8, 11, 14)[number - 1]
            name = f"features.{place}" if where == "torch" else f"conv{number}"
            after = f"features.{place + 1}" if where == "torch" else f"bn{number}"
            values = dict(zip(("weight", "bias"), pair, strict=True))
            tensors |= {f"{name}.{kind}": value for kind, value in values.items()}
            kinds = ("running_mean", "running_var", "weight", "bias")
            tensors |= {f"{after}.{kind}": v for kind, v in zip(kinds, norm, strict=True)}
        save_file({name: torch.from_numpy(value) for name, value in tensors.items()}, path)
    net = load_net(f"video:{path}")
    # With batch normalization there is no response normalization.
    assert_maps(net, maps("video", blobs, rgb, False, norms), rgb)


def test_split_brains_first_layer_is_that_in_the_file_and_is_not_trained(tmp_path, rgb):
    blobs = random_blobs()
    gain, offset = np.array([0.5, 1.0, 2.0]), np.array([-20.0, 3.0, -4.0])
    first = ("data_lab", "Convolution", [gain.reshape(3, 1, 1, 1), offset])
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel([first, *convolution_layers(blobs)]))
    net = load_net(f"split-brain:{path}")
    expected = maps("split-brain", blobs, rgb, False, data_lab=(gain, offset))
    assert_maps(net, expected, rgb)
    assert all(name.startswith("convolutions.") for name, _ in net.module.named_parameters())


def test_groups_are_those_of_the_file(tmp_path, rgb):
    shapes = (
        (96, 3, 11, 11),
        (256, 96, 5, 5),
        (384, 256, 3, 3),
        (384, 384, 3, 3),
        (256, 384, 3, 3),
    )
    blobs = random_blobs(shapes=shapes)
    save_file(state_dict(blobs), tmp_path / "net.safetensors")
    net = load_net(f"bigan:{tmp_path}/net.safetensors")
    assert_maps(net, maps("bigan", blobs, rgb, False), rgb)


def test_lab_is_scikit_images_and_its_gradients_are_finite():
    from skimage.color import rgb2lab

    image = np.random.default_rng(0).uniform(0, 1, (9, 8, 3))
    image[0, :4] = [[0, 0, 0], [1, 1, 1], [0.04045] * 3, [1, 0, 0]]
    x = (torch.from_numpy(image).permute(2, 0, 1)[None] * 2 - 1).requires_grad_()
    actual = to_lab(x)
    assert np.abs(actual[0].permute(1, 2, 0).detach().numpy() - rgb2lab(image)).max() < 1e-9
    actual.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda t: t.pop("conv3.weight"),
            "lacks five convolutions under one of these names: conv1",
        ),
        (lambda t: t.update({"conv2.weight": torch.zeros(256, 50, 5, 5)}), "conv2.weight of shape"),
        (lambda t: t.update({"conv1.weight": torch.zeros(96, 1, 11, 11)}), "conv1.weight of shape"),
        (
            lambda t: t.update({"conv5.weight": torch.zeros(256, 192, 5, 5)}),
            "conv5.weight of shape",
        ),
        (
            lambda t: t.update({"conv4.bias": torch.zeros(7)}),
            "conv4.bias of shape (7,), not (384,)",
        ),
        (
            lambda t: t.update({"conv1.bias": torch.full((96,), torch.nan)}),
            "conv1.bias that is not",
        ),
        (lambda t: t.update({"bn2.running_mean": torch.zeros(256)}), "has bn2 of other sizes"),
        (
            lambda t: t.update({"data_lab.weight": torch.zeros(6, 1, 1, 1)}),
            "data_lab of shape (6, 1, 1, 1)",
        ),
    ],
)
def test_files_of_other_networks_are_one_line(change, says, tmp_path):
    tensors = state_dict(random_blobs())
    change(tensors)
    save_file(tensors, tmp_path / "net.safetensors")
    with pytest.raises(UserError) as caught:
        load_net(f"split-brain:{tmp_path}/net.safetensors")
    message = str(caught.value)
    assert "\n" not in message
    assert says in message


def test_damaged_caffe_files_are_one_line(tmp_path):
    whole = caffemodel(convolution_layers(random_blobs()))
    path = tmp_path / "net.caffemodel"
    rng = np.random.default_rng(0)
    for content in (b"", b"\x00", b"hello world", whole[:-1], whole[:5000], rng.bytes(3000)):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            load_net(f"puzzle:{path}")
        assert "\n" not in str(caught.value)
        assert "net.caffemodel" in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        load_net(f"puzzle:{tmp_path}/none.caffemodel")
