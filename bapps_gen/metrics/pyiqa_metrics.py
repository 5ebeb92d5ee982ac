"""Full-reference metrics of pyiqa (IQA-PyTorch), where it is installed: `pyiqa:NAME`.

They get RGB in [0, 1]. Values of those that are higher for more alike images are negated.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from bapps_gen.errors import UserError, one_line, unknown_name
from bapps_gen.lpips.feature_net import weights_digest
from bapps_gen.metrics.foreign import ForeignMetric, tensors_on
from bapps_gen.metrics.table import MetricSpec

PREFIX = "pyiqa:"


def describe(text: str) -> MetricSpec:
    """The metric that a text such as "pyiqa:vif" names.

    Raises:
        UserError: where pyiqa is missing, has no metric of that name, or one without a reference.
    """
    name = text.removeprefix(PREFIX)
    pyiqa, configs = _import(text)
    config = configs.get(name)
    known = [each for each, other in configs.items() if other.get("metric_mode") == "FR"]
    if config is None:
        raise unknown_name("pyiqa metric", name, known, "pyiqa.list_models('FR') has all of them")
    if name not in known:
        raise UserError(
            f"metric {text}: it compares nothing with a reference; choose one of "
            "pyiqa.list_models('FR')"
        )
    version = str(pyiqa.__version__)
    is_distance = config.get("lower_better", False)
    return MetricSpec(
        f"pyiqa-{name}",
        1,
        name if is_distance else f"−{name}",
        f"pyiqa {version}",
        needs_torch=True,
        given=text,
        settings=(("pyiqa", version),),
    )


def load(
    spec: MetricSpec, device: str, dtype: str, weights: str | PathLike[str] | None
) -> ForeignMetric:
    """The metric that `describe` described, made; pyiqa downloads its weights where it has some.

    Raises:
        UserError: where the device is missing, or pyiqa cannot make the metric.
    """
    label = f"metric {spec.given}"
    pyiqa, _ = _import(spec.given)
    target, tensors = tensors_on(device, (0.0, 1.0), label)
    try:
        metric: Any = pyiqa.create_metric(spec.given.removeprefix(PREFIX), device=target)
    except (Exception, SystemExit) as error:
        raise UserError(f"{label}: pyiqa cannot make it ({one_line(error)})") from error

    def compare(ref: Any, dist: Any) -> object:
        values = metric(dist, ref)
        values = values[0] if isinstance(values, tuple) else values
        return values.reshape(-1)

    # Of a metric without weights the digest would be that of nothing.
    weights_of = {"weights": weights_digest(metric.net)} if metric.net.state_dict() else {}
    return ForeignMetric(
        label,
        compare,
        tensors,
        needs_torch=True,
        is_similarity=not metric.lower_better,
        settings=dict(spec.settings) | weights_of,
    )


def _import(text: str) -> tuple[Any, Mapping[str, Mapping[str, Any]]]:
    """pyiqa and its metrics by name.

    Raises:
        UserError: where it cannot be imported.
    """
    try:
        import pyiqa
        from pyiqa.default_model_configs import DEFAULT_CONFIGS
    except Exception as error:  # pyiqa and torchvision raise RuntimeError, too
        raise UserError(
            f"metric {text}: pyiqa cannot be imported ({one_line(error)}); run: pip install pyiqa"
        ) from error
    return pyiqa, DEFAULT_CONFIGS
