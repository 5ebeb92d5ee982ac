"""The file of a trained distorter: its weights under a header, in safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bapps_gen.cnn_distorters.network import UNet
from bapps_gen.cnn_distorters.spec import DistorterSpec, spec_from_values
from bapps_gen.errors import UserError
from bapps_gen.storage.records import parse_record, shown
from bapps_gen.storage.tensors import (
    VersionError,
    damaged,
    read_header,
    read_tensors,
    write_tensors,
)

DISTORTER_KIND = "CNN distorter"


@dataclass(frozen=True, slots=True)
class _Header:
    """What the header of a distorter's file holds beside kind and version."""

    spec: Mapping[str, Any]
    spec_digest: str
    record: Mapping[str, Any]


def weights_of(network: UNet) -> dict[str, Tensor]:
    """What a distorter's file keeps of a network: kernels in float16, whose loss rounding to 8 bits
    hides, and everything small in float32."""
    return {
        name: value.half() if value.ndim == 4 else value.float()
        for name, value in network.state_dict().items()
        if value.dtype != torch.int64  # batch normalization's count of batches
    }


def write_distorter(
    path: Path, spec: DistorterSpec, tensors: Mapping[str, Tensor], record: Mapping[str, Any]
) -> None:
    """Write a distorter's file, whole or not at all.

    Raises:
        WorkError: when it cannot be written.
    """
    header = {"spec": asdict(spec), "spec_digest": spec.digest, "record": record}
    write_tensors(path, DISTORTER_KIND, header, tensors, checksum=False)  # the zoo has its SHA-256


def read_distorter_header(path: Path) -> tuple[DistorterSpec, dict[str, Any]]:
    """Spec and training record of a distorter's file.

    Raises:
        WorkError: when it is missing, damaged or of another version.
    """
    return _parse_header(path, read_header(path, DISTORTER_KIND))


def read_distorter(path: Path) -> tuple[DistorterSpec, dict[str, Any], dict[str, Tensor]]:
    """Spec, training record and weights of a distorter's file.

    Raises:
        WorkError: when it is missing, damaged or of another version, or when the weights are not
            exactly those of the spec.
    """
    header, tensors = read_tensors(path, DISTORTER_KIND)
    spec, record = _parse_header(path, header)
    shapes = _shapes(spec)
    for name in sorted({*shapes, *tensors}):
        if name not in tensors:
            raise damaged(path, f"it lacks {name}")
        if name not in shapes:
            raise damaged(path, f"it has the unknown {name}")
        if tensors[name].shape != shapes[name] or not tensors[name].is_floating_point():
            raise damaged(path, f"{name} has the shape {tuple(tensors[name].shape)}")
    return spec, record, tensors


def _parse_header(path: Path, header: dict[str, Any]) -> tuple[DistorterSpec, dict[str, Any]]:
    try:
        stored = parse_record(_Header, header)
        spec, digest, record = spec_from_values(stored.spec), stored.spec_digest, stored.record
    except UserError as error:
        raise damaged(path, f"its header is not a distorter's ({error})") from error
    if spec.digest != digest:
        raise VersionError(
            f"{path} has a spec of digest {shown(digest)}, which this program reads as "
            f"{spec.digest}; use the version of bapps-gen that wrote it, or train it again"
        )
    return spec, dict(record)


def _shapes(spec: DistorterSpec) -> dict[str, torch.Size]:
    with torch.device("meta"):
        state = UNet(spec).state_dict()
    return {name: value.shape for name, value in state.items() if value.dtype != torch.int64}
