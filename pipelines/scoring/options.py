"""Options of scoring and evaluating, light to import."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bapps_gen.checks import MAX_SEED, Option, check_options, or_list
from bapps_gen.errors import UserError, out_of_range
from bapps_gen.metrics import METRICS, MetricSpec
from bapps_gen.metrics.texts import check_names, load_spec, metric_spec
from bapps_gen.pipelines.rows.options import PATCH_SIZE

if TYPE_CHECKING:
    from bapps_gen.metrics.base import Metric

logger = logging.getLogger(__name__)

_METRIC = Option(
    "names",
    f"any of {', '.join(spec.name for spec in METRICS if not spec.net)}, lpips-NET, "
    "lpips-v0.0-NET and uncalibrated-NET for alex, vgg and squeeze; or others, such as "
    "FILE.py:NAME, FILE.safetensors, FILE.csv, random-NET, timm:NAME and pyiqa:NAME",
    flag="metric",
    metavar="A,B",
)


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """How metrics that need torch are computed; dtype and weights apply to LPIPS alone.

    Args:
        device: "cpu", "cuda", "mps", or "auto" for the first available of cuda, mps, cpu.
        dtype: "float32", "bfloat16", or "auto" for what stored distances have, then bfloat16 where
            the device multiplies it in hardware, and float32 elsewhere.
        weights: file of the trunk's weights, instead of the bundled or downloaded ones.
    """

    device: str = Option("text", "auto, cpu, cuda or mps", default="auto", metavar="NAME").field()
    dtype: str = Option(
        "text",
        "float32; bfloat16, with errors of 0.1 to 0.2 %; or auto: that of stored distances if "
        "there are any, otherwise bfloat16 where the processor or GPU has it in hardware and "
        "float32 elsewhere",
        default="auto",
        metavar="NAME",
    ).field()
    weights: str | None = Option(
        "text",
        "weights of the network, .safetensors or .pth",
        metavar="FILE",
        default_text="bundled for alex, otherwise BAPPS_GEN_WEIGHTS, torch's cache or a download",
    ).field()

    def load(self, spec: MetricSpec) -> Metric:
        """The metric that a record describes.

        Raises:
            UserError: as `bapps_gen.metrics.load_metric`.
        """
        weights = self.weights if spec.takes_dtype else None
        return load_spec(spec, device=self.device, dtype=self.dtype, weights=weights)


def resolve_dtype(
    options: MetricOptions, *, remote: bool, stored: str | None = None
) -> MetricOptions:
    """Options with the dtype that "auto" stands for; a warning where bfloat16 will be slow.

    Args:
        options: of a metric with a network.
        remote: whether machines of a Ray cluster do the work, which may differ: float32 for all.
        stored: dtype of distances that are there, so that those of a dataset agree wherever they
            are completed.

    Raises:
        UserError: when this machine has no such device.
    """
    from bapps_gen.lpips.metric import find_device, native_bfloat16

    if remote:
        return replace(options, dtype=stored or "float32") if options.dtype == "auto" else options
    device = find_device(options.device)
    native = native_bfloat16(device)
    dtype = options.dtype
    if dtype == "auto":
        dtype = stored or ("bfloat16" if native else "float32")
    if dtype == "bfloat16" and not native:
        logger.warning(
            "bfloat16 is emulated on this %s, which may take 20 times as long as float32; "
            "--dtype auto takes it where it is fast",
            "processor" if device.type == "cpu" else "GPU",
        )
    return replace(options, dtype=dtype)


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What a dataset is scored by.

    Args:
        metrics: names of metrics, or texts that name open ones.
    """

    metrics: tuple[str, ...] = _METRIC.field(("lpips-alex",))


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How metrics are evaluated against human judgments.

    Args:
        metrics: names of metrics, or texts that name open ones.
        resamples: number of bootstrap resamples for the 95 % intervals.
        seed: of the bootstrap.
        bilinear: reduce pictures of the original layout as the original loader does.
        patch_size: of sets in the original layout.
    """

    metrics: tuple[str, ...] = _METRIC.field(("l2", "ssim", "ms-ssim", "fsimc", "lpips-alex"))
    resamples: int = Option(
        "integer",
        "resamples of the bootstrap intervals",
        default=1000,
        low=10,
        high=100_000,
        metavar="N",
    ).field()
    seed: int = Option(
        "integer", "seed of the bootstrap", default=0, low=0, high=MAX_SEED, metavar="S"
    ).field()
    bilinear: bool = Option(
        "flag",
        "original layout: reduce 256 px pictures as the original loader does, which blurs them a "
        "little, to compare with published scores",
        default=False,
        default_text="restore the patches exactly",
    ).field()
    patch_size: int = replace(
        PATCH_SIZE,
        help="original layout: height and width of the patches in px, of which pictures may be "
        "nearest-neighbor enlargements",
    ).field()

    def __post_init__(self) -> None:
        check_options(self)


def check_metrics(metrics: Sequence[str], options: MetricOptions) -> tuple[MetricSpec, ...]:
    """The metrics asked for, each once, in the order given.

    Args:
        metrics: names, or texts that name open metrics.
        options: how they are computed.

    Raises:
        UserError: as `metric_spec`; for none at all, two of one name, or weights that do not
            belong to exactly one network.
    """
    specs = tuple(dict.fromkeys(map(metric_spec, metrics)))
    if not specs:
        raise UserError("metric = '' names no metric; write for example --metric lpips-alex,ssim")
    check_names(specs)
    networks = [spec for spec in specs if spec.takes_dtype]
    if options.weights is not None and len(networks) != 1:
        raise UserError(
            f"weights = {options.weights} is of one network, but the metrics name "
            f"{len(networks)}; give one lpips metric with it"
        )
    return specs


def check_patch_size(metrics: Sequence[MetricSpec], patch_size: int) -> None:
    """Raise UserError where a metric takes no patches as small as those of a set."""
    for spec in metrics:
        if patch_size < spec.smallest:
            others = [other.name for other in METRICS if other.smallest <= patch_size]
            raise out_of_range(
                f"patch size for {spec.name}",
                patch_size,
                f"at least {spec.smallest} px",
                f"use {or_list(others)}, or a set of larger patches",
            )
