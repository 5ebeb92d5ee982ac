"""How long and how thoroughly distorters are trained: presets and options.

Imports nothing heavy, since the command line's help derives from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bapps_gen.checks import Option, convert_options
from bapps_gen.errors import UserError, unknown_name
from bapps_gen.pipelines.rows.options import SEED


@dataclass(frozen=True, slots=True)
class Preset:
    """How long and how thoroughly distorters are trained.

    Args:
        images: most crops that a distorter sees.
        seconds: budget of one distorter on one core, by `seconds_per_image`; None for no bound.
            It turns into a number of images before training, so it does not affect
            repeatability.
        batch: crops in a step.
        feature_share: share of each batch with a feature loss.
        summary: in words.
    """

    images: int
    seconds: float | None
    batch: int
    feature_share: float
    summary: str


PRESETS: Mapping[str, Preset] = {
    "quick": Preset(32_000, 20.0, 16, 0.0625, "about 20 seconds per distorter and core"),
    "standard": Preset(200_000, None, 16, 0.25, "200,000 crops per distorter"),
    "paper": Preset(1_300_000, None, 16, 1.0, "1.3 million crops per distorter, ImageNet once"),
}

GPU_SHARE = 0.125
"""Of a GPU, for each distorter on a Ray cluster: eight take about 20 GB. Our own choice."""

VGG = Option(
    "path",
    "vgg16 weights for the feature loss, .safetensors or .pth",
    metavar="FILE",
    default_text="from the folder in BAPPS_GEN_WEIGHTS or torch's cache; AlexNet's features where "
    "there are none",
    is_place=True,
)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a zoo is trained; see the help of each option.

    Raises:
        UserError: for an unknown name, a value out of range, or two that exclude each other.
    """

    preset: str = Option(
        "text",
        "; ".join(f"{name}: {preset.summary}" for name, preset in PRESETS.items()),
        "quick",
        metavar="NAME",
    ).field()
    images: int | None = Option(
        "integer",
        "crops that each distorter sees",
        low=1,
        metavar="N",
        default_text="the preset's",
        remedy="raise it",
    ).field()
    epochs: int | None = Option(
        "integer",
        "the same in passes over the photos, with one crop per photo and pass",
        low=1,
        metavar="E",
        default_text="the preset's",
        remedy="raise it",
    ).field()
    seed: int = replace(SEED, help="seed of the zoo").field()
    device: str = Option(
        "text",
        "auto (CUDA where there is a GPU), cpu or cuda",
        "auto",
        metavar="NAME",
    ).field()
    precision: str = Option(
        "text",
        "auto is bfloat16 where the processor has it",
        "auto",
        choices=("auto", "bfloat16", "float32"),
    ).field()
    gpus_per_distorter: float | None = Option(
        "number",
        "share of a GPU that each distorter asks a Ray cluster for",
        low=0.0,
        high=1.0,
        metavar="F",
        default_text=f"{GPU_SHARE} with --device cuda, 0 on the CPU",
        remedy="0.25 lets four share one",
    ).field()
    vgg: Path | None = VGG.field()  # noqa: RUF009  (as all options are)

    def __post_init__(self) -> None:
        convert_options(self)
        if self.preset not in PRESETS:
            raise unknown_name("preset", self.preset, PRESETS, f"use {', '.join(PRESETS)}")
        if self.images is not None and self.epochs is not None:
            raise UserError("--images and --epochs set the same thing; give one of them")
        if self.vgg is not None and not self.vgg.is_file():
            raise UserError(f"vgg16 weights {self.vgg} are not there; name a .safetensors or .pth")


@dataclass(frozen=True, slots=True)
class TrunkOptions:
    """How a trunk is made; see the help of each option."""

    net: str = Option("text", "architecture", "alex", choices=("alex", "vgg", "squeeze")).field()
    seed: int = replace(SEED, help="of the choice of photos, crops and first centers").field()

    def __post_init__(self) -> None:
        convert_options(self)
