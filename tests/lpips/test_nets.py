"""Feature nets of every kind: what their texts say, and what holds of the distances over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bapps_gen.errors import UserError
from bapps_gen.lpips import load_lpips, load_trunk
from bapps_gen.lpips.alexnet_forms import FORMS
from bapps_gen.lpips.made_weights import CROP_SIDES, cut_crops, gaussian_weights, kmeans_weights
from bapps_gen.lpips.net_names import NET_KINDS, SMALLEST, is_net, parse_net
from bapps_gen.lpips.nets import load_net
from bapps_gen.lpips.trunks import TRUNKS
from bapps_gen.metrics import load_metric, metric_spec
from support.nets import lpips_over, random_blobs, state_dict

PLUGIN = """
import torch

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 5, 3, stride=2)
        self.second = torch.nn.Conv2d(5, 7, 3, stride=2)

    def forward(self, x):
        a = torch.relu(self.first(x))
        return [a, self.second(a)]

def net():
    return Small()

ready = Small()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a file of each kind that nets are loaded from."""
    folder = tmp_path_factory.mktemp("nets")
    save_file(gaussian_weights("squeeze", 5), folder / "trunk.safetensors")
    save_file(state_dict(random_blobs()), folder / "caffe.safetensors")
    (folder / "mine.py").write_text(PLUGIN)
    return folder


TEXTS = [
    "alex",
    "random-alex",
    "random-squeeze:7",
    "kmeans-alex",
    "trunk:{}/trunk.safetensors",
    *(f"{kind}:{{}}/caffe.safetensors" for kind in FORMS),
    "features:{}/mine.py:net",
    "features:{}/mine.py:Small",
]


@pytest.fixture(scope="module", autouse=True)
def torch_home(tmp_path_factory):
    """A cache of torch's of its own, in which k-means weights are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch_home")))
        yield


@pytest.fixture(scope="module", params=TEXTS)
def net(request, folder):
    return load_net(request.param.format(folder))


class TestEveryNet:
    def test_its_channels_and_least_size_are_those_of_its_maps(self, net):
        side = net.smallest
        maps = net.module(torch.zeros(2, 3, side, side + 3))
        assert tuple(part.shape[1] for part in maps) == net.channels
        assert all(len(part) == 2 and part.ndim == 4 for part in maps)
        with pytest.raises((RuntimeError, UserError)):
            net.module(torch.zeros(2, 3, side - 1, side))

    def test_its_text_names_it(self, net):
        text = parse_net(net.given)
        assert is_net(net.given)
        assert text.name == net.name
        assert text.smallest in (1, net.smallest)
        assert metric_spec(net.given if net.name != "alex" else "uncalibrated-alex").needs_torch

    def test_it_is_frozen_and_in_evaluation_mode(self, net):
        assert not net.module.training
        assert not any(value.requires_grad for value in net.module.parameters())

    def test_distances_are_finite_symmetric_and_zero_of_equal_images(self, net, triplets):
        ref, noisy, _ = triplets
        model = lpips_over(net)
        there, back = model.distance(ref, noisy), model.distance(noisy, ref)
        assert there.isfinite().all()
        assert (there > 0).all()
        assert there.numpy() == pytest.approx(back.numpy(), rel=1e-4, abs=1e-6)
        assert model.distance(ref, ref.copy()).tolist() == [0.0] * len(ref)

    def test_a_distance_does_not_depend_on_its_batch(self, net, triplets):
        ref, noisy, _ = (np.tile(images, (8, 1, 1, 1)) for images in triplets)  # two passes
        model = lpips_over(net)
        alone = model.distance(ref[3], noisy[3])
        many = model.distance(ref, noisy)
        assert many[3::5].numpy() == pytest.approx(float(alone[0]), rel=1e-4)

    def test_loading_it_again_gives_the_same_distances(self, net, triplets):
        again = load_net(net.given)
        assert again.digest == net.digest
        actual = lpips_over(again).distance(*triplets[:2])
        assert actual.numpy() == pytest.approx(
            lpips_over(net).distance(*triplets[:2]).numpy(), rel=1e-4
        )

    def test_gradients_are_finite_of_equal_and_of_constant_images(self, net, triplets):
        model = lpips_over(net)
        photo = torch.from_numpy(triplets[0][:1]).permute(0, 3, 1, 2) / 255.0
        flat = [torch.full((1, 3, 64, 64), level) for level in (0.0, 0.5, 1.0)]
        for image in (photo, *flat):
            for other in (image.clone(), flat[0]):
                given = image.clone().requires_grad_()
                model.distance(given, other, value_range=(0, 1)).sum().backward()
                assert given.grad is not None
                assert given.grad.isfinite().all()

    def test_pooled_differences_sum_to_the_distance(self, net, triplets):
        model = lpips_over(net)
        (pooled,) = model.pooled(*triplets[:2])
        assert pooled.shape == (5, sum(net.channels))
        assert pooled.sum(1).numpy() == pytest.approx(
            model.distance(*triplets[:2]).numpy(), rel=1e-4
        )


def test_a_weight_of_one_is_twice_one_minus_the_cosine(triplets):
    ref, noisy, _ = triplets
    net = load_net("alex")
    shift, scale = (torch.tensor(value).view(3, 1, 1) for value in (net.shift, net.scale))
    maps = [
        net.module((torch.from_numpy(part).permute(0, 3, 1, 2) / 127.5 - 1 - shift) / scale)
        for part in (ref, noisy)
    ]
    cosines = [torch.cosine_similarity(a, b, dim=1) for a, b in zip(*maps, strict=True)]
    expected = sum((2 * (1 - cosine)).mean((1, 2)) for cosine in cosines)
    actual = load_metric("uncalibrated-alex").distance(ref, noisy)
    assert actual == pytest.approx(expected.numpy(), rel=1e-4)
    assert actual == pytest.approx(load_lpips("alex", lpips=False).distance(ref, noisy).numpy())


def test_lpips_0_0_is_a_metric_of_the_table(triplets):
    actual = load_metric("lpips-v0.0-alex").distance(*triplets[:2])
    expected = load_lpips("alex", "0.0").distance(*triplets[:2])
    assert actual == pytest.approx(expected.numpy())
    other = load_metric("lpips-alex").distance(*triplets[:2])
    assert not np.allclose(actual, other, rtol=0.01)
    spec = metric_spec("lpips-v0.0-squeeze")
    assert (spec.net, spec.smallest) == ("squeeze", 17)


@pytest.mark.parametrize("net", list(TRUNKS))
def test_random_weights_are_gaussian_and_those_of_their_seed(net):
    weights = gaussian_weights(net, 3)
    assert list(weights) == list(load_trunk("alex").state_dict()) or net != "alex"
    for name, value in weights.items():
        if name.endswith("bias"):
            assert not value.any()
            continue
        inputs = value[0].numel()
        assert float(value.mean()) == pytest.approx(0, abs=6 * (2 / inputs / value.numel()) ** 0.5)
        if value.numel() > 10_000:
            assert float(value.std()) == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
            kurtosis = float((value / value.std()).pow(4).mean())
            assert kurtosis == pytest.approx(3, abs=0.3)
    again, other = gaussian_weights(net, 3), gaussian_weights(net, 4)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    first = next(iter(weights))
    assert not torch.equal(weights[first], other[first])


def test_seeds_of_random_nets_differ_in_distances_and_digest(triplets):
    nets = [load_net(text) for text in ("random-alex", "random-alex:1", "random-alex:2")]
    assert [net.name for net in nets] == ["random-alex-0", "random-alex-1", "random-alex-2"]
    distances = [float(lpips_over(net).distance(*triplets[:2])[0]) for net in nets]
    assert len({round(value, 6) for value in distances}) == 3
    assert len({net.digest for net in nets}) == 3
    assert load_net("random-alex:0").digest == nets[0].digest


def test_the_scale_of_random_weights_has_no_effect(triplets):
    net = load_net("random-alex:1")
    before = lpips_over(net).distance(*triplets[:2])
    for value in net.module.parameters():
        value.mul_(3.0)
    after = lpips_over(net).distance(*triplets[:2])
    assert after.numpy() == pytest.approx(before.numpy(), rel=1e-4)


def test_making_weights_draws_nothing_from_the_global_generator(folder):
    before = torch.get_rng_state()
    for text in ("random-squeeze", f"features:{folder}/mine.py:net"):
        load_net(text)
    kmeans_weights("squeeze", np.arange(96 * 96 * 3).reshape(1, 96, 96, 3).astype(np.uint8))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def kmeans():
    return load_net("kmeans-alex")


def test_kmeans_gives_every_channel_unit_variance_over_photos(kmeans):
    from bapps_gen.lpips.made_weights import builtin_crops

    crops = torch.from_numpy(builtin_crops("alex")).permute(0, 3, 1, 2) / 127.5 - 1
    shift, scale = (torch.tensor(value).view(3, 1, 1) for value in (kmeans.shift, kmeans.scale))
    x = (crops - shift) / scale
    first = kmeans.module.features[0](x)
    spread = first.std((0, 2, 3))
    assert float(spread.median()) == pytest.approx(1, abs=0.1)
    assert float(first.mean((0, 2, 3)).abs().median()) < 0.3
    # Its filters are oriented edges and colors rather than noise: neighbors are correlated.
    filters = kmeans.module.features[0].weight
    smooth = float((filters[..., 1:] * filters[..., :-1]).sum() / filters.square().sum())
    noise = load_net("random-alex").module.features[0].weight
    assert (
        smooth > 0.2 > abs(float((noise[..., 1:] * noise[..., :-1]).sum() / noise.square().sum()))
    )


def test_kmeans_weights_are_kept_and_made_again_where_they_are_damaged(kmeans, monkeypatch):
    (kept,) = (Path(torch.hub.get_dir()) / "checkpoints").iterdir()
    assert kept.name == f"bapps-gen-kmeans-alex_{kmeans.digest}.safetensors"
    before = kept.read_bytes()
    with monkeypatch.context() as patch:
        for what in ("kmeans_weights", "read_image"):
            patch.setattr(f"bapps_gen.lpips.made_weights.{what}", None)
        again = load_net("kmeans-alex")
    for a, b in zip(kmeans.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(a, b)
    made = dict(kmeans.module.state_dict())
    monkeypatch.setattr("bapps_gen.lpips.made_weights.kmeans_weights", lambda *_: made)
    kept.unlink()  # not written over: the net's weights are mapped from it
    kept.write_bytes(before[:1000])
    load_net("kmeans-alex")
    assert kept.read_bytes() == before


def test_kmeans_depends_on_photos_and_seed():
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (120, 150, 3), dtype=np.uint8) for _ in range(2)]
    crops = cut_crops(photos, "squeeze", 8)
    assert crops.shape == (8, CROP_SIDES["squeeze"], CROP_SIDES["squeeze"], 3)
    made = kmeans_weights("squeeze", crops)
    again = kmeans_weights("squeeze", crops)
    other = kmeans_weights("squeeze", crops, seed=1)
    name = "features.4.expand3x3.weight"
    assert torch.equal(made[name], again[name])
    assert not torch.allclose(made[name], other[name], atol=1e-3)
    assert all(value.isfinite().all() for value in made.values())
    with pytest.raises(UserError, match="all crops are of one color"):
        kmeans_weights("squeeze", np.full_like(crops, 9))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("random-vgg:12", "random-vgg-12"),
        ("kmeans-squeeze", "kmeans-squeeze"),
        ("trunk:some/where/my weights.safetensors", "trunk-my-weights"),
        ("puzzle:a.caffemodel", "puzzle-a"),
        ("split-brain:b.pth", "split-brain-b"),
        ("features:/x/mine.py:Net", "features-mine-Net"),
        ("timm:resnet18.a1_in1k", "timm-resnet18.a1_in1k"),
        ("timm:resnet18@/w/r18.pth", "timm-resnet18-r18"),
    ],
)
def test_names_are_fit_for_paths(text, name):
    parsed = parse_net(text)
    assert parsed.name == name
    assert is_net(text)
    assert "/" not in name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alexx", "did you mean 'alex'"),
        ("random-alx", "did you mean 'random-alex'"),
        ("random-alex:x", "seed of random-alex:x = x is not allowed"),
        ("random-alex:-1", "seed of random-alex:-1 = -1 is not allowed"),
        ("random-alex:99999999999999999999", "is not allowed"),
        ("random-alex:", "is not allowed"),
        ("kmeans-alex:1", "does not take"),
        ("trunk:", "names no file; give trunk:FILE"),
        ("features:mine.py", "give features:FILE.py:NAME"),
        ("timm:", "give timm:MODEL"),
        ("trunk:none.pth", "weights file none.pth does not exist"),
        ("puzzle:none.pth", "weights file none.pth does not exist"),
        ("features:none.py:net", "no such file"),
    ],
)
def test_texts_that_name_no_net_are_one_line(text, says):
    with pytest.raises(UserError) as caught:
        load_net(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_lpips_says_where_other_nets_are():
    with pytest.raises(UserError, match=r"is load_metric\('random-alex:1'\)\.model$"):
        load_lpips("random-alex:1")
    with pytest.raises(UserError, match="did you mean 'alex'") as caught:
        load_lpips("alexx")
    assert "load_metric" not in str(caught.value)


def test_weights_are_for_the_networks_trained_on_imagenet(tmp_path):
    with pytest.raises(UserError, match="random-alex has its own weights, leave it out"):
        load_net("random-alex", tmp_path / "x.pth")


def test_a_trunk_file_says_which_network_it_is(folder, tmp_path):
    net = load_net(f"trunk:{folder}/trunk.safetensors")
    assert net.channels == TRUNKS["squeeze"].channels
    assert net.smallest == SMALLEST["squeeze"]
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="is of none of alex, vgg, squeeze"):
        load_net(f"trunk:{tmp_path}/other.safetensors")


def test_kinds_are_described_once_each():
    names = [kind.name for kind in NET_KINDS]
    assert len(set(names)) == len(names)
    assert set(FORMS) <= set(names)
    assert all(TRUNKS[net].smallest == side for net, side in SMALLEST.items())
