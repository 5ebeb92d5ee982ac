"""Options of scoring and evaluating, light to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bapps_gen.checks import MAX_SEED, Option, check_options
from bapps_gen.errors import UserError
from bapps_gen.metrics import METRICS, load_metric, metric_spec

if TYPE_CHECKING:
    from bapps_gen.metrics.base import Metric

_METRIC = Option(
    "names", f"any of {', '.join(spec.name for spec in METRICS)}", flag="metric", metavar="A,B"
)


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """How metrics are computed; used by LPIPS only.

    Args:
        device: "cpu", "cuda", "mps", or "auto" for the first available of cuda, mps, cpu.
        dtype: "float32" or "bfloat16".
        weights: file of the trunk's weights, instead of the bundled or downloaded ones.
    """

    device: str = Option("text", "auto, cpu, cuda or mps", default="auto", metavar="NAME").field()
    dtype: str = Option(
        "text",
        "float32, or bfloat16, which is faster where the processor supports it and has errors of "
        "0.1 to 0.2 %",
        default="float32",
        metavar="NAME",
    ).field()
    weights: str | None = Option(
        "text",
        "weights of the network, .safetensors or .pth",
        metavar="FILE",
        default_text="bundled for lpips-alex, otherwise torch's cache or download",
    ).field()

    def load(self, name: str) -> Metric:
        """The metric of that name.

        Raises:
            UserError: as `bapps_gen.metrics.load_metric`.
        """
        if metric_spec(name).net is None:
            return load_metric(name)
        return load_metric(name, device=self.device, dtype=self.dtype, weights=self.weights)


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What a dataset is scored by.

    Args:
        metrics: names of metrics.
    """

    metrics: tuple[str, ...] = _METRIC.field(("lpips-alex",))


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How metrics are evaluated against human judgments.

    Args:
        metrics: names of metrics.
        resamples: number of bootstrap resamples for the 95 % intervals.
        seed: of the bootstrap.
        bilinear: reduce pictures of the original layout as the original loader does.
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
        default_text="restore the 64 px patches exactly",
    ).field()

    def __post_init__(self) -> None:
        check_options(self)


def check_metrics(metrics: Sequence[str], options: MetricOptions) -> tuple[str, ...]:
    """The metrics asked for, each once, in the order given.

    Raises:
        UserError: for an unknown name, none at all, or weights that do not belong to exactly one
            network.
    """
    names = tuple(dict.fromkeys(metrics))
    if not names:
        raise UserError("metric = '' names no metric; write for example --metric lpips-alex,ssim")
    networks = [name for name in names if metric_spec(name).net]
    if options.weights is not None and len(networks) != 1:
        raise UserError(
            f"weights = {options.weights} is of one network, but the metrics name "
            f"{len(networks)}; give one lpips metric with it"
        )
    return names
