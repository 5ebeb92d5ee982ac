"""LPIPS with the features of any network, all of its channels weighted 1.

Zhang et al., CVPR 2018, section 3, before linear weights are learned: features unit-normalized
over channels, squared differences averaged over space and summed over channels and layers.
"""

from __future__ import annotations

from os import PathLike

from bapps_gen.errors import UserError
from bapps_gen.lpips.net_names import NetText, parse_net
from bapps_gen.lpips.nets import load_net
from bapps_gen.metrics.deep import LpipsMetric, metric_over
from bapps_gen.metrics.table import MetricSpec
from bapps_gen.plugins import file_digest


def describe(text: str) -> MetricSpec:
    """The metric that a feature net's text names; nothing is loaded.

    Raises:
        UserError: for a text that names no feature net, or a file that is missing.
    """
    net = parse_net(text)
    for file in net.files:
        if not file.is_file():
            raise UserError(f"feature net {text}: {file} is no file; correct the path")
    given = _absolute(net)
    return MetricSpec(
        net.name,
        1,
        "LPIPS with all weights 1",
        f"bapps_gen.lpips with {net.given}",
        needs_torch=True,
        net=given,
        smallest=net.smallest,
        given=given,
        files=tuple(str(file.absolute()) for file in net.files),
        settings=tuple(("file", file_digest(file)) for file in net.files[:1]),
    )


def load(
    spec: MetricSpec, device: str, dtype: str, weights: str | PathLike[str] | None
) -> LpipsMetric:
    """The metric that `describe` described, with its network."""
    assert spec.net is not None
    return metric_over(load_net(spec.net, weights), device, dtype, extra=dict(spec.settings))


def _absolute(net: NetText) -> str:
    """A net's text with absolute paths, so that it loads the net from any folder."""
    if net.path is None:
        return net.given
    path = net.path.absolute()
    if net.kind == "timm":
        return f"timm:{net.member}@{path}"
    return f"{net.kind}:{path}:{net.member}" if net.member else f"{net.kind}:{path}"
