"""Metrics from files and other packages: what they are given, what they return, what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bapps_gen.errors import UserError
from bapps_gen.metrics import load_metric, metric_spec
from bapps_gen.metrics.texts import KINDS, check_names
from bapps_gen.plugins import file_digest
from support.original_layout import patches_of
from support.plugins import write_faults, write_metrics


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_metrics(tmp_path)


@pytest.fixture
def patches() -> list[np.ndarray]:
    """References and two distorted patches of five rows."""
    return [np.stack(part) for part in zip(*map(patches_of, range(5)), strict=True)]


def refusal(text: str, *, of: int = 1) -> str:
    """The one line that describing, loading or using a metric ends with."""
    with pytest.raises(UserError) as caught:
        load_metric(text).distance(*np.zeros((2, of, 64, 64, 3), np.uint8))
    message = str(caught.value)
    assert message.splitlines() == [message]
    return message


# Plugins


@pytest.mark.parametrize("name", ["my_l2", "Called"])
def test_a_copy_of_l2_has_the_distances_of_l2(mine, patches, name):
    expected = load_metric("l2").triplet(*patches)
    actual = load_metric(f"{mine}:{name}").triplet(*patches)
    exact = name == "my_l2"
    for one, two in zip(actual, expected, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, two, rtol=0 if exact else 1e-6)


def test_a_similarity_becomes_a_distance_of_the_same_order(mine, patches):
    ref, p0, p1 = patches
    likeness, l2 = load_metric(f"{mine}:Likeness"), load_metric("l2")
    for dist in (p0, p1):
        np.testing.assert_allclose(likeness.distance(ref, dist), l2.distance(ref, dist) - 1)
    assert likeness.distance(ref, ref).tolist() == [-1.0] * 5


def test_what_a_plugin_writes_into_its_patches_harms_nobody(mine, patches):
    before = [each.copy() for each in patches]
    d0, d1 = load_metric(f"{mine}:spoils").triplet(*patches)
    assert d0.tolist() == d1.tolist() == [1.0] * 5
    for one, two in zip(patches, before, strict=True):
        assert np.array_equal(one, two)


def test_no_patches_have_no_distances(mine):
    none = np.zeros((0, 64, 64, 3), np.uint8)
    for name in ("my_l2", "Likeness", "Called"):
        assert load_metric(f"{mine}:{name}").distance(none, none).shape == (0,)


def test_a_plugin_says_what_it_is(mine, monkeypatch):
    monkeypatch.chdir(mine.parent)
    plain, own = metric_spec("mine.py:my_l2"), metric_spec("mine.py:Likeness")
    assert (plain.name, plain.version, plain.smallest) == ("my_l2", 1, 1)
    assert (own.name, own.version, own.smallest) == ("likeness", 4, 8)
    assert plain.distance == "Root mean squared difference, of full scale."
    assert plain.given == f"{mine}:my_l2"
    assert plain.files == (str(mine),)
    assert dict(plain.settings) == {"file": file_digest(mine)}
    assert not plain.needs_torch
    assert metric_spec("mine.py:Called").needs_torch
    assert load_metric("mine.py:my_l2").settings == {"file": file_digest(mine)}


def test_patches_smaller_than_a_plugin_takes_are_refused(mine):
    small = np.zeros((1, 7, 9, 3), np.uint8)
    with pytest.raises(UserError, match=r"patch size = 7×9 .* at least 8×8"):
        load_metric(f"{mine}:Likeness").distance(small, small)


def test_a_changed_file_takes_effect_at_once(mine, patches):
    ref, p0, _ = patches
    before = load_metric(f"{mine}:my_l2")
    mine.write_text(mine.read_text().replace("/ 255\n", "/ 100\n", 1))  # of the same length
    after = load_metric(f"{mine}:my_l2")
    np.testing.assert_allclose(100 * after.distance(ref, p0), 255 * before.distance(ref, p0))
    assert after.settings != before.settings


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mean_of_all", r"returned shape \(\) for 4 pairs; return \(4,\)"),
        ("maps", r"returned shape \(4, 64, 64\) for 4 pairs"),
        ("words", "a value of type list that is not an array of numbers"),
        ("nothing", "a value of type NoneType that is not an array of numbers"),
        ("raises", "line 23: ZeroDivisionError: division by zero"),
        ("Named", "name = '../../elsewhere' cannot name a folder"),
        ("Versioned", "version = 'one' must be a whole number"),
        ("Ranged", r"value_range = \(1, 0\) must be \(low, high\)"),
        ("Turned", "higher_is_better = 1 must be True or False"),
        ("Asking", "cannot be made without arguments: TypeError: .*scale"),
        ("Idle", "Idle is of type Idle, which compares nothing; give a function"),
        ("three", "three is of type int, which compares nothing"),
        ("l2", "name = 'l2' is that of l2, which comes with the package"),
        ("lpips_alex", "name = 'lpips_alex' is that of lpips-alex"),
        ("four", "faults.py does not define 'four'"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_one_line_that_names_it(tmp_path, name, said):
    import re

    file = write_faults(tmp_path)
    message = refusal(f"{file}:{name}", of=4)
    assert message.startswith(f"metric {file}:{name}: ")
    assert re.search(said, message), message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def (", "line 1: invalid syntax"),
        ("import numpy\nimport nowhere", "line 2: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_run_is_one_line(tmp_path, source, said):
    (tmp_path / "broken.py").write_text(source)
    assert said in refusal(f"{tmp_path}/broken.py:metric")


def test_a_text_without_a_file_or_a_name_is_one_line(tmp_path):
    assert "no such file" in refusal(f"{tmp_path}/nowhere.py:metric")
    assert "write FILE.py:NAME" in refusal(str(write_metrics(tmp_path)))
    assert "write FILE.py:NAME" in refusal(f"{write_metrics(tmp_path)}:a-b")


def test_a_torch_module_has_to_declare_its_range(tmp_path):
    file = tmp_path / "net.py"
    file.write_text("import torch\nclass Net(torch.nn.Module):\n    pass\n")
    assert "declare their range, for example value_range = (0, 1)" in refusal(f"{file}:Net")


def test_a_device_that_is_not_there_is_one_line(mine):
    with pytest.raises(UserError, match=r"^device 'cuda:99' cannot be used: [^\n]*$"):
        load_metric(f"{mine}:Called", device="cuda:99")
    with pytest.raises(
        UserError, match=r"^device = tpu is not allowed: it must be auto, cpu, cuda"
    ):
        load_metric(f"{mine}:Called", device="tpu")


def test_weights_are_for_networks(mine):
    with pytest.raises(UserError, match="my_l2 has no network, leave it out"):
        load_metric(f"{mine}:my_l2", weights="alex.pth")


def test_metrics_of_one_name_are_not_used_together(tmp_path):
    one, two = write_metrics(tmp_path / "one"), write_metrics(tmp_path / "two")
    with pytest.raises(UserError, match="share the name 'my_l2'; give one of them another"):
        check_names([metric_spec(f"{one}:my_l2"), metric_spec(f"{two}:my_l2")])
    check_names([metric_spec(f"{one}:my_l2"), metric_spec(f"{one}:my_l2")])


# LPIPS with any network


def test_uncalibrated_nets_are_lpips_without_linear_weights(patches):
    from bapps_gen.lpips import load_lpips

    expected = load_lpips("alex", lpips=False).distance(*patches[:2])
    actual = load_metric("uncalibrated-alex").distance(*patches[:2])
    np.testing.assert_array_equal(actual, expected.numpy())
    spec = metric_spec("uncalibrated-alex")
    assert (spec.name, spec.net, spec.smallest) == ("uncalibrated-alex", "alex", 31)
    assert spec.takes_dtype


def test_uncalibrated_is_for_the_networks_trained_on_imagenet():
    with pytest.raises(UserError, match="vgg"):
        metric_spec("uncalibrated-resnet")


# pyiqa


def fake_pyiqa(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module as pyiqa is: metrics of (distorted, reference) in [0, 1]."""
    import torch

    class Made(torch.nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.lower_better = CONFIGS[name].get("lower_better", False)
            self.net = torch.nn.Identity()

        def forward(self, dist: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
            assert ref.min() >= 0
            assert ref.max() <= 1
            rising = (ref.mean((1, 2, 3)) - dist.mean((1, 2, 3)))[:, None]
            return rising if self.lower_better else -rising

    CONFIGS = {
        "brighter": {"metric_mode": "FR"},
        "darker": {"metric_mode": "FR", "lower_better": True},
        "nice": {"metric_mode": "NR"},
    }
    fake = ModuleType("pyiqa")
    configs = ModuleType("pyiqa.default_model_configs")
    fake.__dict__.update(
        __version__="9.9", create_metric=lambda name, device: Made(name).to(device)
    )
    configs.__dict__.update(DEFAULT_CONFIGS=CONFIGS)
    monkeypatch.setitem(sys.modules, "pyiqa", fake)
    monkeypatch.setitem(sys.modules, "pyiqa.default_model_configs", configs)


def test_metrics_of_pyiqa_are_distances_from_the_reference(monkeypatch):
    fake_pyiqa(monkeypatch)
    ref, dist = (np.full((2, 16, 16, 3), value, np.uint8) for value in (200, 149))
    for name in ("darker", "brighter"):
        metric = load_metric(f"pyiqa:{name}")
        np.testing.assert_allclose(metric.distance(ref, dist), [0.2, 0.2], atol=1e-6)
        assert metric.settings == {"pyiqa": "9.9"}
    spec = metric_spec("pyiqa:darker")
    assert (spec.name, spec.given, spec.needs_torch) == ("pyiqa-darker", "pyiqa:darker", True)


def test_metrics_that_pyiqa_lacks_or_that_have_no_reference_are_refused(monkeypatch):
    fake_pyiqa(monkeypatch)
    assert "did you mean 'darker'?" in refusal("pyiqa:darkr")
    assert "compares nothing with a reference" in refusal("pyiqa:nice")


def test_where_pyiqa_is_missing_the_remedy_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    assert "run: pip install pyiqa" in refusal("pyiqa:ssim")


def test_pyiqas_own_psnr_is_ours(patches):
    try:
        import pyiqa  # noqa: F401
    except Exception as error:  # what it imports may not fit the torch that is there
        pytest.skip(f"pyiqa cannot be imported: {error}")
    ref, p0, _ = patches
    expected = load_metric("psnr").distance(ref, p0)
    np.testing.assert_allclose(load_metric("pyiqa:psnr").distance(ref, p0), expected, atol=1e-3)


# Texts


def test_every_kind_of_text_names_a_module_that_describes_and_loads():
    from importlib import import_module

    for kind in KINDS:
        module = import_module(f"bapps_gen.metrics.{kind.module}")
        assert callable(module.describe)
        assert callable(module.load)


def test_an_unknown_name_says_how_to_name_ones_own():
    message = refusal("lpips-alx")
    assert "did you mean 'lpips-alex'?" in message
    assert "mine.py:NAME" in message


def test_a_net_from_a_file_has_the_files_digest_among_its_settings(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(
        "import torch\n"
        "class Edges(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return [x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]]\n"
        "net = Edges()\n"
    )
    spec = metric_spec(f"features:{file}:net")
    assert dict(spec.settings) == {"file": file_digest(file)}
    assert spec.files == (str(file),)
    metric = load_metric(spec.given)
    assert metric.settings["file"] == file_digest(file)
    ref, p0, _ = patches_of(0)
    assert metric.distance(ref[None], p0[None])[0] > metric.distance(ref[None], ref[None])[0] == 0


def test_a_class_that_takes_long_to_make_is_not_made_for_every_look_at_it(tmp_path):
    file, made = tmp_path / "slow.py", tmp_path / "made.txt"
    file.write_text(
        "class Slow:\n"
        "    def __init__(self):\n"
        f"        open({str(made)!r}, 'a').write('x')\n"
        "    def distance(self, a, b):\n"
        "        return [0.0] * len(a)\n"
    )
    specs = [metric_spec(f"{file}:Slow") for _ in range(3)]
    assert specs[0] == specs[2]
    assert made.read_text() == "x"
    load_metric(f"{file}:Slow")
    assert made.read_text() == "xx"
