"""The table of 96."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from bapps_gen.cnn_distorters.network import UNet
from bapps_gen.cnn_distorters.spec import CORRUPTIONS, GANS, NORMALIZATIONS, UPSAMPLINGS
from bapps_gen.cnn_distorters.table import TABLE_VERSION, shipped_specs

AXES = {
    "corruption": set(CORRUPTIONS),
    "layers": {2, 3, 4, 5},
    "skips": {0, 1, 2, 3, 4},
    "dropout_layers": {0, 1, 2},
    "top_skip": {False, True},
    "upsampling": set(UPSAMPLINGS),
    "normalization": set(NORMALIZATIONS),
    "first_stride": {1, 2},
    "first_channels": {8, 12, 16, 24},
    "max_channels": {24, 32, 48, 64, 96},
    "discriminator_layers": {0, 1, 2, 3},
    "l1_weight": {0.0, 0.1, 0.3, 1.0},
    "feature_weight": {0.0, 0.1, 0.3, 1.0},
    "gan_weight": {0.0, 0.005, 0.01, 0.03},
    "gan": set(GANS),
    "learning_rate": {7e-4, 1.5e-3, 3e-3},
}


def test_there_are_96_distinct_distorters_with_stable_ids() -> None:
    specs = shipped_specs()
    assert [spec.id for spec in specs] == [f"{number:03d}" for number in range(96)]
    assert len({spec.digest for spec in specs}) == 96


@pytest.mark.parametrize("axis", AXES)
def test_every_value_of_an_axis_occurs(axis: str) -> None:
    assert {getattr(spec, axis) for spec in shipped_specs()} == AXES[axis]


def test_every_task_of_the_paper_occurs_often() -> None:
    tasks = Counter(spec.task for spec in shipped_specs())
    assert set(tasks) == {"autoencoding", "denoising", "colorization", "superresolution"}
    assert min(tasks.values()) >= 12


def test_both_kinds_of_gan_are_trained() -> None:
    assert {spec.gan for spec in shipped_specs() if spec.discriminator_layers} == set(GANS)


def test_all_weights_fit_30_megabytes_in_float16() -> None:
    with torch.device("meta"):
        networks = [UNet(spec) for spec in shipped_specs()]
    weights = sum(weight.numel() for network in networks for weight in network.parameters())
    assert 2 * weights < 25e6


def test_the_table_is_the_one_that_its_version_names() -> None:
    from bapps_gen.seeding import digest_of

    digest = digest_of({spec.id: spec.digest for spec in shipped_specs()})
    assert {TABLE_VERSION: digest} == {2: "8642b92a09e9634bb9e6f72c58d4bdfd"}
