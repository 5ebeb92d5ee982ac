"""Trained metrics to and from the format of the `lpips` package 0.1.4: state dicts in .pth files.

`lpips.LPIPS(net="alex", model_path=FILE)` reads linear weights under "lin0.model.1.weight" and so
on, and those of the trunk under "net.slice1.0.weight" and so on, where the file has them; so do the
files that the original program's training writes (`latest_net_.pth`).
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.errors import UserError, unknown_name
from bapps_gen.lpips.feature_net import require_torch
from bapps_gen.lpips.net_names import SMALLEST, parse_net
from bapps_gen.metrics.trained import (
    TRUNK_PREFIX,
    NetRecord,
    TrainedHeader,
    TrainedMetric,
    linear_key,
    linear_mismatch,
    read_trained,
    trained_net,
    write_trained,
)
from bapps_gen.storage.atomic import whole_file

if TYPE_CHECKING:
    from torch import Tensor

_OTHER_LINEAR = re.compile(r"(?:lins\.(\d+)|lin(\d+))\.model\.[01]\.weight")


def export_lpips(path: Path, out: Path) -> None:
    """Write a trained metric for the `lpips` package.

    The file has the trunk's weights, too, unless these are torchvision's, which the package loads.

    Args:
        path: of the trained metric.
        out: file to write, .pth.

    Raises:
        UserError: for a net that the package does not have, or a file that is there.
        WorkError: when the metric's file is damaged, or the other cannot be written.
    """
    trained = read_trained(path)
    text = parse_net(trained.header.net.given)
    if not text.net:
        raise UserError(
            f"{path} is over {trained.header.net.given}, which the lpips package does not have; "
            f"it has {', '.join(SMALLEST)}"
        )
    _refuse_existing(out)
    import torch

    tensors = {name: value for name, value in trained.tensors.items() if name.startswith("lin")}
    if trained.trunk or text.given not in SMALLEST:
        trunk = trained_net(trained, path).module.state_dict()
        names = {name: package for package, name in _trunk_names(text.net)}
        tensors |= {names[name]: value for name, value in trunk.items()}
    content = io.BytesIO()  # torch reports files that it cannot write in errors of its own
    torch.save({name: value.clone() for name, value in tensors.items()}, content)
    with whole_file(out, alone=True) as temporary:
        temporary.write_bytes(content.getvalue())


def import_lpips(path: Path, net: str, out: Path) -> TrainedMetric:
    """Make a trained metric of a state dict of the `lpips` package.

    Args:
        path: of the state dict, .pth.
        net: "alex", "vgg" or "squeeze"; the trunk's weights are torchvision's where the file has
            none.
        out: file to write, .safetensors.

    Returns:
        The metric.

    Raises:
        UserError: for an unknown net, a file that is no such state dict or of another net, or one
            that is there.
        WorkError: when the file cannot be written.
    """
    if net not in SMALLEST:
        raise unknown_name("net of the lpips package", net, SMALLEST, f"give {', '.join(SMALLEST)}")
    require_torch("trained metrics need")
    if not path.is_file():
        raise UserError(f"{path} does not exist; give a .pth file of the lpips package")
    _refuse_existing(out)
    from bapps_gen.lpips.trunks import TRUNKS
    from bapps_gen.lpips.weights import read_weights

    held = read_weights(path)
    tensors = _linear_of(held)
    channels = TRUNKS[net].channels
    mismatch = linear_mismatch(tensors, channels) or _trunk_mismatch(held, net)
    if mismatch is not None:
        raise UserError(f"{path} is no state dict of LPIPS with {net}: it {mismatch}; check --net")
    if _has_trunk(held):
        for package, name in _trunk_names(net):
            tensors[TRUNK_PREFIX + name] = held[package].float().clone()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    # Which weights the net had in training is not known.
    record = NetRecord(net, net, "", channels, SMALLEST[net])
    header = TrainedHeader(record, "imported", {"sha256": sha256})
    trained = TrainedMetric(header, tensors)
    write_trained(out, trained)
    return trained


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise UserError(f"{out} is there already; choose another file or delete it")


def _linear_of(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Linear weights by their usual names: without dropout, the package counts layers otherwise."""
    tensors: dict[str, Tensor] = {}
    for name, value in held.items():
        match = _OTHER_LINEAR.fullmatch(name)
        if match:
            tensors.setdefault(linear_key(int(match[1] or match[2])), value.float().clone())
    return tensors


def _has_trunk(held: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("net.") for name in held)


def _trunk_mismatch(held: Mapping[str, Tensor], net: str) -> str | None:
    """What is wrong with a trunk's weights, completing "it …"; None where nothing is, or none are
    there."""
    if not _has_trunk(held):
        return None
    from bapps_gen.lpips.trunks import trunk_shapes

    shapes = trunk_shapes(net)
    for package, name in _trunk_names(net):
        if package not in held:
            return f"lacks {package}"
        if held[package].shape != shapes[name]:
            return f"has {package} of shape {tuple(held[package].shape)}, not {tuple(shapes[name])}"
        if not bool(held[package].isfinite().all()):
            return f"has {package} with values that are not finite"
    return None


def _trunk_names(net: str) -> Iterator[tuple[str, str]]:
    """Names of a trunk's weights in the package, which divides the layers at the taps, and here."""
    from bapps_gen.lpips.trunks import TRUNKS, trunk_shapes

    taps = TRUNKS[net].taps
    for name in trunk_shapes(net):
        layer = int(name.split(".")[1])
        part = 1 + sum(layer > tap for tap in taps)
        yield f"net.slice{part}.{name.removeprefix('features.')}", name
