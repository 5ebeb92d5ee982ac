"""Files of weights: a trained distorter's, and the state of a training under way.

Each is one safetensors file with a header, written whole or not at all, and never unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bapps_gen.cnn_distorters.network import UNet
from bapps_gen.cnn_distorters.spec import DistorterSpec, spec_from_values
from bapps_gen.errors import UserError, WorkError, one_line
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import parse_json
from bapps_gen.storage.records import parse_record, shown

DISTORTER_KIND = "CNN distorter"
FORMAT_VERSION = 1
"""Of headers and tensor names; a file of another version is refused."""

# One entry only: safetensors writes several in an order that changes from run to run.
_KEY = "bapps_gen"


@dataclass(frozen=True, slots=True)
class _Header:
    """What the header of a distorter's file holds beside kind and version."""

    spec: Mapping[str, Any]
    spec_digest: str
    record: Mapping[str, Any]


class VersionError(WorkError):
    """An intact file that another version of this package wrote."""


def write_tensors(
    path: Path, kind: str, header: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write tensors under a header of JSON values.

    Raises:
        WorkError: when the file cannot be written.
    """
    content = {"kind": kind, "format_version": FORMAT_VERSION, **header}
    metadata = {_KEY: json.dumps(content, sort_keys=True, allow_nan=False)}
    plain = {name: value.detach().cpu().contiguous() for name, value in sorted(tensors.items())}
    data = safetensors.torch.save(plain, metadata)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def read_header(path: Path, kind: str) -> dict[str, Any]:
    """The header of a file, without `kind` and version.

    Raises:
        WorkError: when the file is missing, damaged, of another kind or version.
    """
    with _opened(path) as file:
        return _checked_header(path, kind, file.metadata())


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a file, on the CPU.

    Raises:
        WorkError: as `read_header`; also when a tensor is not finite.
    """
    with _opened(path) as file:
        header = _checked_header(path, kind, file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise damaged(path, f"{name} is not finite")
    return header, tensors


def damaged(path: Path, what: str) -> WorkError:
    """The error for a file that is damaged."""
    return WorkError(f"{path} is damaged: {what}; delete it and train it again, or copy it again")


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise WorkError(f"{path} is missing; train it again, or copy it again")
    try:
        return safetensors.safe_open(path, framework="pt", device="cpu")
    except (safetensors.SafetensorError, OSError) as error:
        raise damaged(path, one_line(error)) from error


def _checked_header(path: Path, kind: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        header = parse_json((metadata or {})[_KEY])
        actual, version = header.pop("kind"), header.pop("format_version")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, f"it has no header of a {kind}") from error
    if actual != kind:
        raise WorkError(f"{path} is a {shown(actual)}, not a {kind}; give the right file")
    if version != FORMAT_VERSION:
        raise VersionError(
            f"{path} is of format version {shown(version)}, this program reads {FORMAT_VERSION}; "
            "use the version of bapps-gen that wrote it, or train again"
        )
    return header  # type: ignore[no-any-return]


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
    write_tensors(path, DISTORTER_KIND, header, tensors)


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
