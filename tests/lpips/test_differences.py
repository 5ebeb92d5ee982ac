"""Pooled differences, and the distance as a module that can be trained, against `Lpips`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bapps_gen.errors import UserError
from bapps_gen.lpips import load_lpips
from bapps_gen.lpips.differences import DistanceModule
from bapps_gen.lpips.nets import load_net
from bapps_gen.lpips.weights import load_linear


@pytest.fixture(scope="module")
def alex():
    return load_lpips("alex")


def as_signed(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1


@pytest.mark.parametrize(("net", "channels"), [("alex", 1152), ("vgg", 1472), ("squeeze", 2240)])
def test_linear_weights_times_pooled_differences_are_the_distances(
    net, channels, weights_of, triplets
):
    ref, noisy, moved = (images[:2, :48, :48] for images in triplets)
    plain = load_lpips(net, lpips=False, weights=weights_of(net))
    first, second = plain.pooled(ref, noisy, moved)
    assert first.shape == second.shape == (2, channels)
    for version_of_linear in ("0.1", "0.0"):
        linear = load_linear(net, version_of_linear)
        model = load_lpips(net, weights=weights_of(net))
        model._linear = linear
        expected = model.triplet(ref, noisy, moved)
        for pooled, distance in zip((first, second), expected, strict=True):
            actual = pooled @ torch.cat(linear)
            assert actual.numpy() == pytest.approx(distance.numpy(), rel=1e-5)
    assert first.sum(1).numpy() == pytest.approx(plain.distance(ref, noisy).numpy(), rel=1e-5)


def test_pooled_differences_of_a_float64_trunk_are_the_distances_to_rounding(triplets):
    model = load_lpips("alex", dtype="float64")
    (pooled,) = model.pooled(triplets[0], triplets[1])
    actual = pooled @ torch.cat(load_linear("alex", "0.1")).double()
    assert actual.numpy() == pytest.approx(model.distance(*triplets[:2]).numpy(), rel=1e-13)


def test_pooled_differences_depend_on_no_batch_and_carry_no_graph(alex, triplets):
    ref, noisy, moved = (np.tile(images, (15, 1, 1, 1)) for images in triplets)  # three passes
    together = alex.pooled(ref, noisy, moved)
    alone = alex.pooled(ref[7], noisy[7], moved[7])
    for many, one in zip(together, alone, strict=True):
        assert many.shape == (75, 1152)
        assert many[7].numpy() == pytest.approx(one[0].numpy(), abs=1e-6)
    a, b = as_signed(ref[:1]).requires_grad_(), as_signed(noisy[:1])
    (pooled,) = alex.pooled(a, b, value_range=(-1, 1))
    assert not pooled.requires_grad
    assert [part.shape for part in alex.pooled(ref[:0], noisy[:0])] == [(0, 1152)]
    with pytest.raises(UserError, match="ref and p1 differ in shape"):
        alex.pooled(ref, noisy, moved[:3])


@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
def test_the_module_gives_the_distances_of_the_metric(net, weights_of, triplets):
    images = [part[:2, :40, :48] for part in triplets]
    expected = load_lpips(net, weights=weights_of(net)).triplet(*images)
    module = DistanceModule(load_net(net, weights_of(net)), load_linear(net, "0.1"))
    actual = module(*map(as_signed, images))
    for one, two in zip(actual, expected, strict=True):
        assert one.detach().numpy() == pytest.approx(two.numpy(), abs=1e-6)
    plain = DistanceModule(load_net(net, weights_of(net)), None)
    expected = load_lpips(net, lpips=False, weights=weights_of(net)).triplet(*images)
    for one, two in zip(plain(*map(as_signed, images)), expected, strict=True):
        assert one.detach().numpy() == pytest.approx(two.numpy(), rel=1e-5)


def test_the_module_gives_gradients_to_its_trunk_and_linear_weights(triplets):
    ref, noisy, moved = (as_signed(part[:2]) for part in triplets)
    module = DistanceModule(load_net("alex"), load_linear("alex", "0.1"))
    d0, d1 = module(ref, noisy, moved)
    (d1 - d0).sum().backward()
    assert all(weight.grad is not None for weight in module.linear)
    assert not any(value.grad is not None for value in module.trunk.parameters())
    module.trunk.requires_grad_(True)
    (same,) = module(ref, ref.clone())
    sum(module(ref, noisy, moved), same).sum().backward()
    for value in module.parameters():
        assert value.grad is not None
        assert value.grad.isfinite().all()
    assert sum(float(value.grad.abs().sum()) for value in module.trunk.parameters()) > 0


def test_dropout_sees_the_differences_before_the_linear_weights(triplets):
    ref, noisy = (as_signed(part[:3]) for part in triplets[:2])
    module = DistanceModule(load_net("alex"), load_linear("alex", "0.1"))
    shapes = []

    def halve(difference):
        shapes.append(tuple(difference.shape))
        return difference / 2

    (actual,) = module(ref, noisy, dropout=halve)
    (expected,) = module(ref, noisy)
    assert torch.allclose(actual, expected / 2)
    assert shapes[0] == (1, 3, 15, 15, 64)
    assert len(shapes) == 5
