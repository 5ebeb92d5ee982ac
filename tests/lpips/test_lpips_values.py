"""LPIPS against its second version in NumPy float64, and the properties of a distance."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bapps_gen.errors import UserError
from bapps_gen.lpips import load_lpips
from bapps_gen.lpips.trunks import TRUNKS, build_trunk
from bapps_gen.lpips.weights import load_trunk_weights

NETS = ("alex", "vgg", "squeeze")


def total(maps):
    return sum(m.mean((1, 2)) for m in maps)


@pytest.fixture(scope="module")
def alex():
    return load_lpips("alex")


@pytest.mark.parametrize("lpips", [True, False])
@pytest.mark.parametrize("version", ["0.1", "0.0"])
@pytest.mark.parametrize("net", NETS)
def test_distances_equal_the_float64_reference(
    net, version, lpips, reference, weights_of, triplets
):
    # Oblong, and odd, which makes SqueezeNet's pooling round up.
    count, height, width = (1, 32, 19) if net == "vgg" else (2, 48, 35)
    ref, noisy, moved = (images[:count, :height, :width] for images in triplets)
    path = weights_of(net)
    model = load_lpips(net, version, lpips, weights=path)
    expected = total(reference(net, load_file(path), ref, moved, version, lpips))
    d0, d1 = model.triplet(ref, noisy, moved)
    assert d1.numpy() == pytest.approx(expected, abs=1e-5)
    expected = total(reference(net, load_file(path), ref, noisy, version, lpips))
    assert d0.numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("lpips", "version"), [(True, "0.1"), (True, "0.0"), (False, "0.1")])
@pytest.mark.parametrize("net", NETS)
def test_squared_distances_of_embeddings_are_the_distances(
    net, version, lpips, weights_of, triplets
):
    count, height, width = (1, 32, 19) if net == "vgg" else (2, 48, 35)
    ref, noisy, moved = (images[:count, :height, :width] for images in triplets)
    model = load_lpips(net, version, lpips, weights=weights_of(net))
    a, b, c = (model.embed(images).double() for images in (ref, noisy, moved))
    for x, y, images in ((a, b, (ref, noisy)), (b, c, (noisy, moved))):
        expected = model.distance(*images).numpy()
        assert (x - y).square().sum(1).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_embeddings_take_what_distances_take(alex, triplets):
    ref, _, _ = triplets
    many = np.concatenate([ref] * 12)  # more than one pass
    actual = alex.embed(many)
    assert actual.shape == (len(many), 31_872)
    assert torch.equal(actual[: len(ref)], actual[-len(ref) :])
    floating = torch.from_numpy(ref).permute(0, 3, 1, 2) / 255
    assert torch.allclose(alex.embed(floating, value_range=(0, 1)), actual[: len(ref)], atol=1e-5)
    assert alex.embed(ref[0]).shape == (1, 31_872)
    assert alex.embed(ref[:0]).shape == (0, 31_872)
    with pytest.raises(UserError, match="images is int64"):
        alex.embed(ref.astype(np.int64))


def test_alex_equals_the_reference_on_64_px_patches(alex, reference, weights_of, triplets):
    ref, noisy, moved = triplets
    weights = load_file(weights_of("alex"))
    for side in (noisy, moved):
        expected = total(reference("alex", weights, ref, side))
        assert alex.distance(ref, side).numpy() == pytest.approx(expected, abs=1e-5)
        assert (expected > 0.01).all()


def test_vgg_with_its_published_weights_equals_the_reference(vgg16, reference, triplets):
    ref, noisy, moved = (images[:2] for images in triplets)
    model = load_lpips("vgg", weights=vgg16)
    weights = load_file(vgg16)
    d0, d1 = model.triplet(ref, noisy, moved)
    assert d0.numpy() == pytest.approx(total(reference("vgg", weights, ref, noisy)), abs=1e-5)
    assert d1.numpy() == pytest.approx(total(reference("vgg", weights, ref, moved)), abs=1e-5)


def test_a_float64_trunk_equals_the_reference_to_rounding(reference, weights_of, triplets):
    ref, noisy, _ = triplets
    model = load_lpips("alex", dtype="float64")
    expected = total(reference("alex", load_file(weights_of("alex")), ref, noisy))
    actual = model.distance(ref, noisy)
    assert actual.dtype == torch.float64
    # The linear weights and the reference's are float32 values; nothing else is rounded.
    assert actual.numpy() == pytest.approx(expected, rel=1e-9)


def test_bfloat16_is_near_float32(alex, triplets):
    ref, noisy, moved = triplets
    low = load_lpips("alex", dtype="bfloat16")
    for exact, rough in zip(
        alex.triplet(ref, noisy, moved), low.triplet(ref, noisy, moved), strict=True
    ):
        assert rough.dtype == torch.float32
        assert rough.numpy() == pytest.approx(exact.numpy(), abs=0.005)
    assert low.distance(ref, ref).tolist() == [0.0] * len(ref)


@pytest.mark.parametrize("net", NETS)
def test_the_distances_of_the_layers_sum_to_the_distance(net, reference, weights_of, triplets):
    ref, noisy, _ = (images[:2, :40, :40] for images in triplets)
    path = weights_of(net)
    model = load_lpips(net, weights=path)
    layers = model.distance(ref, noisy, per_layer=True)
    assert layers.shape == (2, len(TRUNKS[net].taps))
    assert torch.equal(layers.sum(1), model.distance(ref, noisy))
    expected = [m.mean((1, 2)) for m in reference(net, load_file(path), ref, noisy)]
    assert layers.numpy() == pytest.approx(np.stack(expected, 1), abs=1e-5)


def test_spatial_maps_are_the_enlarged_maps_of_the_taps(
    alex, reference, upsample, weights_of, triplets
):
    ref, noisy, _ = (images[:2, :48] for images in triplets)
    weights = load_file(weights_of("alex"))
    maps = [upsample(m, (48, 64)) for m in reference("alex", weights, ref, noisy)]
    actual = alex.distance(ref, noisy, spatial=True)
    assert actual.shape == (2, 48, 64)
    assert actual.numpy() == pytest.approx(sum(maps), abs=1e-5)
    layers = alex.distance(ref, noisy, spatial=True, per_layer=True)
    assert layers.numpy() == pytest.approx(np.stack(maps, 1), abs=1e-5)


def test_spatial_maps_show_where_the_images_differ(alex, triplets):
    ref = triplets[0][:1].repeat(2, 1).repeat(2, 2)
    changed = ref.copy()
    changed[:, :40, :40] = 255 - changed[:, :40, :40]
    actual = alex.distance(ref, changed, spatial=True)[0]
    assert actual[:32, :32].mean() > 10 * actual[96:, 96:].mean()


@pytest.mark.parametrize("net", NETS)
def test_the_distance_is_symmetric_and_zero_on_equal_images(net, weights_of, triplets):
    ref, noisy, _ = triplets
    model = load_lpips(net, weights=weights_of(net))
    there, back = model.distance(ref, noisy), model.distance(noisy, ref)
    assert there.numpy() == pytest.approx(back.numpy(), abs=1e-6)
    assert (there > 0).all()
    assert model.distance(ref, ref.copy()).tolist() == [0.0] * len(ref)


def test_a_triplet_gives_the_distances_of_its_pairs(alex, triplets):
    ref, noisy, moved = triplets
    d0, d1 = alex.triplet(ref, noisy, moved)
    assert d0.numpy() == pytest.approx(alex.distance(ref, noisy).numpy(), abs=1e-6)
    assert d1.numpy() == pytest.approx(alex.distance(ref, moved).numpy(), abs=1e-6)


def test_one_pair_gives_a_vector_of_one(alex, triplets):
    ref, noisy, moved = triplets
    assert alex.distance(ref[:1], noisy[:1]).shape == (1,)
    assert alex.distance(ref[0], noisy[0]).shape == (1,)
    assert [d.shape for d in alex.triplet(ref[0], noisy[0], moved[0])] == [(1,), (1,)]


def test_no_pairs_give_an_empty_vector(alex, triplets):
    none = triplets[0][:0]
    assert alex.distance(none, none).shape == (0,)
    assert alex.distance(none, none, per_layer=True).shape == (0, 5)
    assert alex.distance(none, none, spatial=True).shape == (0, 64, 64)
    assert alex.distance(none, none, spatial=True, per_layer=True).shape == (0, 5, 64, 64)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_a_distance_does_not_depend_on_its_batch(net, weights_of, triplets):
    model = load_lpips(net, weights=weights_of(net))
    ref, noisy, moved = (np.tile(images, (15, 1, 1, 1)) for images in triplets)  # 75: three passes
    together = model.triplet(ref, noisy, moved)
    alone = [model.triplet(ref[i], noisy[i], moved[i]) for i in range(5)]
    for side, actual in enumerate(together):
        single = np.tile([float(pair[side]) for pair in alone], 15)
        assert actual.numpy() == pytest.approx(single, abs=1e-6)
    assert model.distance(ref, moved).numpy() == pytest.approx(together[1].numpy(), abs=1e-6)


def test_gradients_pass_a_numerical_check(triplets):
    model = load_lpips("alex", dtype="float64")
    a, b = (
        torch.from_numpy(images[:1, :31, :33].copy()).permute(0, 3, 1, 2).double() / 255
        for images in triplets[:2]
    )
    # Away from the bounds, so that the check's small steps stay within the range.
    a, b = a * 0.9 + 0.05, b * 0.9 + 0.05
    a.requires_grad_()
    b.requires_grad_()

    def pair(a, b):
        return model.distance(a, b, value_range=(0, 1), per_layer=True)

    assert torch.autograd.gradcheck(pair, (a, b), eps=1e-7, atol=1e-5, rtol=1e-3, fast_mode=True)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_gradients_are_zero_where_the_images_are_equal(net, level, weights_of):
    model = load_lpips(net, weights=weights_of(net))
    a = torch.full((2, 3, 40, 40), level, requires_grad=True)
    model.distance(a, a.detach().clone(), value_range=(0, 1)).sum().backward()
    assert a.grad is not None
    assert torch.equal(a.grad, torch.zeros_like(a))


def test_gradients_are_finite_where_features_vanish(squeeze_weights, triplets, tmp_path):
    from safetensors.torch import save_file

    # Strongly negative offsets silence the last layers at many places: their norms are 0.
    silenced = {
        name: value - 2.0 if name.startswith("features.9") and name.endswith("bias") else value
        for name, value in squeeze_weights.items()
    }
    save_file(silenced, tmp_path / "silenced.safetensors")
    model = load_lpips("squeeze", weights=tmp_path / "silenced.safetensors")
    a, b = (torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1.0 for images in triplets[:2])
    norms = model.trunk(a)[3].square().sum(1)
    assert (norms == 0).any()
    a.requires_grad_()
    model.distance(a, b.clamp(-1, 1), value_range=(-1, 1)).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    assert a.grad.abs().sum() > 0


def test_gradients_lead_downhill(alex, triplets):
    a, b = (torch.from_numpy(images[:2]).permute(0, 3, 1, 2) / 255.0 for images in triplets[:2])
    a.requires_grad_()
    before = alex.distance(a, b, value_range=(0, 1))
    before.sum().backward()
    assert a.grad is not None
    step = 1e-3 / float(a.grad.abs().max())
    after = alex.distance((a - step * a.grad).detach().clamp(0, 1), b, value_range=(0, 1))
    assert (after < before).all()


def test_results_carry_a_graph_only_when_an_image_asks_for_it(alex, triplets):
    a, b = (torch.from_numpy(images[:1]).permute(0, 3, 1, 2) / 255.0 for images in triplets[:2])
    assert not alex.distance(a, b, value_range=(0, 1)).requires_grad
    assert alex.distance(a, b.requires_grad_(), value_range=(0, 1)).requires_grad
    with torch.no_grad():
        assert not alex.distance(a, b, value_range=(0, 1)).requires_grad
    assert not any(value.requires_grad for value in alex.trunk.parameters())


def test_scoring_leaves_the_images_as_they_are(alex, triplets):
    ref, noisy, moved = (images.copy() for images in triplets)
    alex.triplet(ref, noisy, moved)
    for before, after in zip(triplets, (ref, noisy, moved), strict=True):
        assert np.array_equal(before, after)
    a = torch.from_numpy(ref).permute(0, 3, 1, 2) / 255.0
    kept = a.clone()
    alex.distance(a, a.flip(0), value_range=(0, 1))
    assert torch.equal(a, kept)


def test_loading_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    load_lpips("alex")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("net", NETS)
def test_the_smallest_size_is_what_the_layers_accept(net, weights_of):
    trunk = build_trunk(net, load_trunk_weights(net, weights_of(net)))
    side = TRUNKS[net].smallest
    assert len(trunk(torch.zeros(1, 3, side, side))) == len(TRUNKS[net].taps)
    with pytest.raises(RuntimeError):
        trunk(torch.zeros(1, 3, side - 1, side))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images():
    script = """
import resource, sys
import numpy as np
from bapps_gen.lpips import load_lpips
model = load_lpips()
image = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)
model.triplet(image, image, image)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
many = np.tile(image, (12, 1, 1, 1))
assert len(model.triplet(many, many, many)[0]) == 768
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    # The images are 9 MiB; the first layer's features of all of them would be 130 MiB.
    assert float(done.stdout) < 60


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_compiled_metric_gives_the_same_distances(dtype, triplets):
    plain = load_lpips("alex", dtype=dtype)
    compiled = load_lpips("alex", dtype=dtype, compile=True)
    ref, noisy, moved = (np.tile(images, (8, 1, 1, 1)) for images in triplets)
    for count in (1, 32, 40):
        parts = ref[:count], noisy[:count], moved[:count]
        for a, b in zip(plain.triplet(*parts), compiled.triplet(*parts), strict=True):
            assert b.shape == (count,)
            tolerance = 1e-6 if dtype == "float32" else 0.005
            assert b.numpy() == pytest.approx(a.numpy(), abs=tolerance)
