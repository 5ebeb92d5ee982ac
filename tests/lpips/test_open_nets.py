"""Feature nets of users' Python files and of timm."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bapps_gen.errors import UserError
from bapps_gen.lpips.nets import load_net
from bapps_gen.metrics import load_metric, metric_spec
from support.nets import lpips_over


def write(tmp_path, body, name="mine.py"):
    (tmp_path / name).write_text(f"import torch\nfrom torch import nn\n\n{body}\n")
    return f"features:{tmp_path}/{name}"


def module(forward, extra=""):
    lines = "\n".join(f"        {line}" for line in forward.splitlines())
    return (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2d(3, 4, 5)\n"
        f"{extra}"
        f"    def forward(self, x):\n{lines}\n"
    )


GOOD = module("return [x, self.conv(x)]")


def compare_black_and_white(given):
    images = np.zeros((2, 64, 64, 3), np.uint8)
    images[1] = 255
    lpips_over(load_net(given)).distance(images, images[::-1].copy())


def refused(given, *parts, act=load_net):
    with pytest.raises(UserError) as caught:
        act(given)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize(
    "maker", ["Net", "ready = Net()", "def made():\n    return Net()", "other = lambda: Net()"]
)
def test_a_module_or_what_makes_one_is_a_net(tmp_path, maker):
    given = write(tmp_path, GOOD + "\n" + (maker if maker != "Net" else ""))
    name = maker.removeprefix("def ").split(" ")[0].split("(")[0]
    net = load_net(f"{given}:{name}")
    assert net.channels == (3, 4)
    assert net.smallest == 5
    assert net.name == f"features-mine-{name}"
    assert (net.shift, net.scale) == ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))


def test_random_weights_of_a_file_are_the_same_each_time(tmp_path):
    given = write(tmp_path, GOOD) + ":Net"
    first, second = load_net(given), load_net(given)
    assert first.digest == second.digest
    for a, b in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_digest_follows_the_file_and_the_weights(tmp_path):
    given = write(tmp_path, GOOD) + ":Net"
    before = load_net(given).digest
    write(tmp_path, GOOD + "\n# changed")
    assert load_net(given).digest != before
    spec = metric_spec(given)
    assert spec.files == (str(tmp_path / "mine.py"),)
    assert load_metric(given).settings["trunk"] == load_net(given).digest


def test_mean_and_std_of_the_module_replace_imagenets(tmp_path):
    given = write(
        tmp_path,
        module(
            "return [x]",
            "        self.mean = [0.5, 0.5, 0.25]\n        self.std = (0.5, 0.25, 1)\n",
        ),
    )
    net = load_net(given + ":Net")
    assert net.shift == (0.0, 0.0, -0.5)
    assert net.scale == (1.0, 0.5, 2.0)
    ref = np.full((1, 8, 8, 3), 255, np.uint8)
    other = np.zeros_like(ref)
    # (1 − .5)/.5, (1 − .5)/.25, (1 − .25)/1 against −1, −2, −.25
    a, b = np.array([1, 2, 0.75]), np.array([-1, -2, -0.25])
    expected = ((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2).sum()
    assert float(lpips_over(net).distance(ref, other)[0]) == pytest.approx(expected, rel=1e-5)


def test_maps_that_a_net_keeps_or_repeats_are_not_written_into(tmp_path):
    given = write(tmp_path, module("self.kept = self.conv(x)\nreturn [x, self.kept, self.kept]"))
    net = load_net(given + ":Net")
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (3, 24, 24, 3), dtype=np.uint8) for _ in range(2))
    layers = lpips_over(net).distance(a, b, per_layer=True)
    assert torch.equal(layers[:, 1], layers[:, 2])
    norms = net.module.net.kept.norm(dim=1)
    assert not torch.allclose(norms, torch.ones_like(norms))


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("Net = 3", ("Net is of type int; give a torch module",)),
        ("def Net():\n    return 3", ("it gave a value of type int; return a torch module",)),
        ("def Net(a):\n    return a", ("it cannot be made without arguments", "TypeError")),
        ("def Net():\n    raise ValueError('no weights')", ("line 5: ValueError: no weights",)),
        ("raise OSError('broken')", ("line 4: OSError: broken",)),
        ("def Net(:", ("line 4: ",)),
        ("other = 1", ("does not define 'Net'",)),
        (
            module("return x"),
            ("it returned a tensor of float32 of shape (2, 3, 64, 64); return a",),
        ),
        (module("return None"), ("it returned a value of type NoneType; return a list",)),
        (module("return []"), ("return a list of feature maps",)),
        (module("return {'a': x}"), ("it returned a value of type dict",)),
        (module("return [x, x.mean((2, 3))]"), ("map 1 is a tensor of float32 of shape (2, 3);",)),
        (module("return [x, 5]"), ("map 1 is a value of type int",)),
        (module("return [x > 0]"), ("map 0 is a tensor of bool",)),
        (module("return [x[:1]]"), ("map 0 is shape (1, 3, 64, 64) for 2 images",)),
        (module("return [x / 0]"), ("map 0 has values that are not finite",)),
        (module("return [self.conv(x) * float('nan')]"), ("map 0 has values that are not finite",)),
        (module("return [x @ x.new_ones(3, 3)]"), ("it fails on images of 64×64 px", "line 9")),
        (GOOD + "    mean = 3", ("mean = 3 must be three numbers",)),
        (GOOD + "    mean = (0, 0, 0)\n    std = (1, 0, 1)", ("std = (1, 0, 1) must be above 0",)),
        (GOOD + "    mean = (0, 0, 0)", ("std = None must be three numbers",)),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, body, parts):
    refused(write(tmp_path, body) + ":Net", *parts)


@pytest.mark.parametrize(
    ("forward", "parts"),
    [
        ("return [x.where(x < 2.2, x * float('inf'))]", ("not finite",)),
        ("return [x] * (1 + (x.std() > 1.9))", ("maps of 3, 3 channels, but 3 when it was tried",)),
        ("assert x.max() < 2.2, 'too bright'\nreturn [x]", ("AssertionError: too bright",)),
    ],
)
def test_what_goes_wrong_only_later_is_one_line_too(tmp_path, forward, parts):
    given = write(tmp_path, module(forward)) + ":Net"
    load_net(given)
    refused(given, *parts, act=compare_black_and_white)


def test_images_below_the_least_size_are_refused(tmp_path):
    net = load_net(write(tmp_path, GOOD) + ":Net")
    small = np.zeros((1, 4, 9, 3), np.uint8)
    with pytest.raises(UserError, match="4x9 is not allowed: it must be at least 5x5"):
        lpips_over(net).distance(small, small)


def test_a_net_of_one_size_takes_that_size(tmp_path):
    given = write(tmp_path, module("assert x.shape[2] == 128, 'one size'\nreturn [x]"))
    net = load_net(given + ":Net")
    assert net.smallest == 128
    right, wrong = (np.zeros((1, side, side, 3), np.uint8) for side in (128, 129))
    assert lpips_over(net).distance(right, right).tolist() == [0.0]
    with pytest.raises(UserError, match=r"it fails on images of 129×129 px: .*one size"):
        lpips_over(net).distance(wrong, wrong)


# timm, which needs torchvision: here in place of it a module of the part that is used


@pytest.fixture
def fake_timm(monkeypatch):
    """A module as timm is, with one model; its weights are those in the file, or none."""
    made = []

    class Pyramid(torch.nn.Module):
        pretrained_cfg = types.MappingProxyType({"mean": (0.5,) * 3, "std": (0.5,) * 3})

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 6, 7, stride=2)

        def forward(self, x):
            return [self.conv(x)]

    def create_model(name, pretrained, features_only, pretrained_cfg_overlay=None):
        from safetensors.torch import load_file

        made.append((name, pretrained, features_only))
        if pretrained_cfg_overlay is None:
            raise RuntimeError("no network\nno weights")
        model = Pyramid()
        model.load_state_dict(load_file(pretrained_cfg_overlay["file"]), strict=False)
        return model

    fake = types.ModuleType("timm")
    fake.__version__ = "0"
    fake.create_model, fake.is_model = create_model, lambda name: name == "pyramid"
    monkeypatch.setitem(sys.modules, "timm", fake)
    return made


def test_a_model_of_timm_takes_its_own_normalization(tmp_path, fake_timm):
    weights = {"conv.weight": torch.rand(6, 3, 7, 7), "conv.bias": torch.zeros(6)}
    save_file(weights, tmp_path / "w.safetensors")
    net = load_net(f"timm:pyramid.a1@{tmp_path}/w.safetensors")
    assert set(fake_timm) == {("pyramid.a1", True, True)}
    assert (net.shift, net.scale) == ((0.0,) * 3, (1.0,) * 3)
    assert (net.channels, net.smallest, net.name) == ((6,), 7, "timm-pyramid.a1-w")
    ref = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    assert (lpips_over(net).distance(ref, 255 - ref) > 0).all()


def test_what_timm_cannot_give_is_one_line(tmp_path, fake_timm, monkeypatch):
    refused("timm:resnet", "timm has no model of that name")
    refused("timm:pyramid", "cannot be made (no network no weights); give a model whose weights")
    refused(f"timm:pyramid@{tmp_path}/none.pth", "none.pth is no file")
    (tmp_path / "bad.safetensors").write_bytes(b"x")
    refused(f"timm:pyramid@{tmp_path}/bad.safetensors", "give weights of that model")
    save_file({"conv.bias": torch.zeros(6)}, tmp_path / "part.safetensors")
    refused(f"timm:pyramid@{tmp_path}/part.safetensors", "lacks some of the model's weights")
    monkeypatch.setitem(sys.modules, "timm", None)
    refused("timm:resnet18", "needs timm, which cannot be imported", "pip install timm")


def test_timm_itself_gives_a_net(tmp_path):
    try:
        import timm
    except Exception as error:  # it needs torchvision, of the same version as torch
        pytest.skip(f"timm cannot be imported: {error}")
    torch.manual_seed(0)
    whole = timm.create_model("resnet18", pretrained=False)
    save_file(whole.state_dict(), tmp_path / "r18.safetensors")
    net = load_net(f"timm:resnet18@{tmp_path}/r18.safetensors")
    assert net.channels == (64, 64, 128, 256, 512)
    ref = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    model = lpips_over(net)
    assert (model.distance(ref, 255 - ref) > 0).all()
    assert model.distance(ref, ref).tolist() == [0.0, 0.0]
    x = torch.rand(1, 3, 64, 64)
    first = torch.relu(whole.bn1.eval()(whole.conv1(x)))
    assert torch.allclose(net.module(x)[0], first, atol=1e-5)
