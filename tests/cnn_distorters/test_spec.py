"""Specs: validation, digests and TOML."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bapps_gen.cnn_distorters.spec import DistorterSpec, read_specs, spec_from_values
from bapps_gen.errors import UserError

SOUND = DistorterSpec("mine", "white_noise", 0.1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"corruption": "pink_nose"}, "did you mean 'pink_noise'"),
        ({"upsampling": "nearst"}, "did you mean 'nearest'"),
        ({"normalization": "batchnorm"}, "did you mean 'batch'"),
        ({"gan": "hinges"}, "did you mean 'hinge'"),
        ({"strength": 0.9}, "strength = 0.9 is not allowed"),
        ({"strength": float("nan")}, "strength = NaN"),
        ({"corruption": "null"}, "strength = 0.1"),
        ({"corruption": "downsampling", "strength": 2.5}, "whole number"),
        ({"layers": 0}, "layers = 0"),
        ({"layers": 6}, "at most 5 with first_stride 2"),
        ({"layers": True}, "layers = true"),
        ({"skips": 4}, "from 0 to 3"),
        ({"dropout_layers": 4}, "from 0 to 3"),
        ({"top_skip": 1}, "true or false"),
        ({"first_stride": 3}, "from 1 to 2"),
        ({"max_channels": 8}, "from 16 to 512"),
        ({"l1_weight": 0.0}, "resembles the input"),
        ({"gan_weight": 0.1}, "discriminator"),
        ({"discriminator_layers": 2}, "gan_weight = 0.0"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"learning_rate": "fast"}, "learning_rate = fast"),
        ({"seed": -1}, "seed = -1"),
        ({"id": "Über"}, "id = Über"),
        ({"id": "../up"}, "id = ../up"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_it(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        spec_from_values({**asdict(SOUND), **change})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_error_names_the_distorter() -> None:
    with pytest.raises(UserError, match="distorter 'mine'"):
        replace(SOUND, layers=9)


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match="did you mean 'learning_rate'"):
        spec_from_values({**asdict(SOUND), "learning_rat": 1})


def test_values_make_the_same_spec_again() -> None:
    assert spec_from_values(asdict(SOUND)) == SOUND


def test_the_digest_depends_on_every_value_and_not_on_how_it_is_written() -> None:
    sound = DistorterSpec("mine", "downsampling", 2)
    assert sound.digest == DistorterSpec("mine", "downsampling", 2.0).digest
    changes: dict[str, object] = {
        "id": "yours",
        "corruption": "color_removal",
        "strength": 3,
        "layers": 3,
        "skips": 1,
        "dropout_layers": 1,
        "top_skip": True,
        "upsampling": "bilinear",
        "normalization": "batch",
        "first_stride": 1,
        "first_channels": 8,
        "max_channels": 48,
        "l1_weight": 2,
        "feature_weight": 1,
        "gan": "bce",
        "learning_rate": 1e-4,
        "seed": 1,
    }
    digests = {sound.digest}
    for name, value in changes.items():
        other = {**asdict(sound), name: value}
        if name == "corruption":
            other["strength"] = 1.0
        digests.add(spec_from_values(other).digest)
    digests.add(replace(sound, discriminator_layers=1, gan_weight=0.1).digest)
    digests.add(replace(sound, discriminator_layers=1, gan_weight=0.2).digest)
    digests.add(replace(sound, discriminator_layers=2, gan_weight=0.2).digest)
    assert len(digests) == len(changes) + 4


def test_skips_begin_at_the_innermost_level_and_the_top_one_can_be_forced() -> None:
    spec = DistorterSpec("a", "null", layers=5, skips=2)
    assert spec.skip_levels == (2, 3)
    assert replace(spec, top_skip=True).skip_levels == (0, 2, 3)
    assert replace(spec, skips=4).skip_levels == (0, 1, 2, 3)
    assert replace(spec, layers=1, skips=0, top_skip=True).skip_levels == ()


def test_toml_gives_specs_in_order(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(
        '[[distorter]]\nid = "b"\ncorruption = "white_noise"\nstrength = 0.1\n'
        '[[distorter]]\nid = "a"\ncorruption = "null"\nlayers = 2\nlearning_rate = 1\n'
    )
    assert read_specs(path) == (
        DistorterSpec("b", "white_noise", 0.1),
        DistorterSpec("a", "null", layers=2, learning_rate=1.0),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no \\[\\[distorter\\]\\] table"),
        ("distorter = 3", "no \\[\\[distorter\\]\\] table"),
        ("[[distorter]\n", "is not valid TOML"),
        ('[[distorters]]\nid = "a"', "did you mean 'distorter'"),
        ('[[distorter]]\nid = "a"', "corruption is missing"),
        ('[[distorter]]\ncorruption = "null"', "id is missing"),
        ('[[distorter]]\nid = "a"\ncorruption = "nul"', "my.toml: .*did you mean 'null'"),
        ('[[distorter]]\nid = "a"\ncorruption = ["null"]', "corruption = a list"),
        ('[[distorter]]\nid = "a"\ncorruption = "null"\n' * 2, "two distorters with the id 'a'"),
    ],
)
def test_bad_toml_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_specs(path)
    assert "\n" not in str(caught.value)


def test_a_missing_toml_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none\\.toml"):
        read_specs(tmp_path / "none.toml")
