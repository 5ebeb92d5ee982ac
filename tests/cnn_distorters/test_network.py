"""The networks of all specs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bapps_gen.cnn_distorters.discriminator import build_discriminator
from bapps_gen.cnn_distorters.network import (
    Block,
    InstanceNorm,
    SeededDropout,
    UNet,
    build_network,
    initialize,
)
from bapps_gen.cnn_distorters.spec import (
    NORMALIZATIONS,
    UPSAMPLINGS,
    DistorterSpec,
)
from bapps_gen.cnn_distorters.table import shipped_specs

SPEC = DistorterSpec("a", "null", layers=3, skips=2, first_channels=8, max_channels=16)


def made(spec: DistorterSpec, seed: int = 0) -> UNet:
    network = build_network(spec)
    initialize(network, torch.Generator().manual_seed(seed))
    return network


@pytest.mark.parametrize("spec", shipped_specs(), ids=lambda spec: spec.id)
def test_every_network_runs_on_any_size(spec: DistorterSpec) -> None:
    network = made(spec).eval()
    with torch.no_grad():
        for height, width in ((64, 64), (8, 8), (9, 71)):
            y = network(torch.rand(2, 3, height, width) * 2 - 1)
            assert y.shape == (2, 3, height, width)
            assert bool(torch.isfinite(y).all())
            assert float(y.abs().max()) <= 1


def test_building_and_initializing_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    made(replace(SPEC, normalization="batch"))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_seed_gives_the_same_weights() -> None:
    a, b, c = (made(SPEC, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["encoder.0.conv.weight"], c["encoder.0.conv.weight"])


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("first_stride", [1, 2])
def test_folding_for_rendering_does_not_change_the_function(
    upsampling: str, normalization: str, first_stride: int
) -> None:
    spec = replace(
        SPEC, upsampling=upsampling, normalization=normalization, first_stride=first_stride
    )
    network = made(spec)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                for value in (part.running_mean, part.running_var, part.weight, part.bias):
                    value.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
        network.eval()
        x = torch.rand(2, 3, 24, 40, generator=generator)
        before = network(x)
        for part in network.modules():
            if isinstance(part, Block):
                part.fold()
        assert torch.allclose(network(x), before, atol=1e-5)
        network.decoder[-1].fold_output(squares=True)
        assert torch.allclose(network(x) / 127.5 - 1, before, atol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())


def test_instance_normalization_keeps_patches_of_a_batch_apart() -> None:
    network = made(replace(SPEC, normalization="instance")).train()
    x = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(network(x)[1:2], network(x[1:2]), atol=1e-5)


def test_dropout_follows_its_generator_in_training_and_is_absent_in_rendering() -> None:
    network = made(replace(SPEC, dropout_layers=2))
    layers = [part for part in network.modules() if isinstance(part, SeededDropout)]
    assert len(layers) == 2
    generator = torch.Generator()
    for layer in layers:
        layer.generator = generator
    x = torch.rand(1, 3, 64, 64)

    def run(seed: int) -> torch.Tensor:
        generator.manual_seed(seed)
        return network(x).detach()  # type: ignore[no-any-return]

    network.train()
    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    network.eval()
    assert torch.equal(run(1), run(2))


def test_dropout_keeps_the_mean() -> None:
    layer = SeededDropout().train()
    layer.generator = torch.Generator().manual_seed(0)
    assert float(layer(torch.ones(100_000)).mean()) == pytest.approx(1, abs=0.02)


def test_a_skip_connection_hands_detail_to_the_output() -> None:
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    wide = made(replace(SPEC, skips=0, top_skip=True, first_stride=1))
    narrow = made(replace(SPEC, skips=0, first_stride=1))
    assert wide.decoder[-1].conv.in_channels == 2 * narrow.decoder[-1].conv.in_channels
    wide(x)[0, 0, 32, 32].backward()
    assert x.grad is not None
    assert float(x.grad[0, :, 32, 32].abs().sum()) > 0


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_a_discriminator_scores_overlapping_patches(layers: int) -> None:
    network = build_discriminator(layers)
    initialize(network, torch.Generator().manual_seed(0))
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 1, 64 >> layers, 64 >> layers)


def test_the_shortcut_for_nearest_enlargement_is_the_same_function() -> None:
    block = Block(5, 4, stride=2, upsampling="nearest", normalization="none", activation="relu")
    initialize(block, torch.Generator().manual_seed(0))
    x = torch.rand(2, 5, 7, 9)
    plain = torch.relu(block.conv(torch.nn.functional.interpolate(x, scale_factor=2.0)))
    assert torch.allclose(block(x), plain, atol=1e-5)


def test_instance_normalization_is_torchs() -> None:
    ours, torchs = InstanceNorm(6), torch.nn.InstanceNorm2d(6, affine=True)
    x = torch.rand(3, 6, 10, 14) * 5 + 2
    for channels_last in (False, True):
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        assert torch.allclose(ours(x), torchs(x), atol=1e-5)
    assert ours(x).is_contiguous(memory_format=torch.channels_last)


def test_the_output_is_a_tanh() -> None:
    block = Block(3, 3, stride=1, upsampling="nearest", normalization="none", activation="tanh")
    initialize(block, torch.Generator().manual_seed(0))
    x = torch.randn(2, 3, 9, 9) * 4
    assert torch.allclose(block(x), torch.tanh(block.conv(x)), atol=1e-6)
