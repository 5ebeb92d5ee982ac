"""Files of tensors under a header of JSON values, and never unpickled.

Each is one safetensors file, written whole or not at all: trained distorters and metrics, features,
and the state of a training under way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
import xxhash
from torch import Tensor

from bapps_gen.errors import WorkError, one_line
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import parse_json
from bapps_gen.storage.records import shown

FORMAT_VERSION = 1
"""Of headers and tensor names; a file of another version is refused."""

# One entry only: safetensors writes several in an order that changes from run to run.
_KEY = "bapps_gen"
_CHECKSUM = "checksum"


class VersionError(WorkError):
    """An intact file that another version of this package wrote."""


def write_tensors(
    path: Path,
    kind: str,
    header: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    alone: bool = False,
    checksum: bool = True,
) -> None:
    """Write tensors under a header of JSON values.

    Args:
        alone: as of `whole_file`.
        checksum: whether the header has one of the tensors, so that readers notice a flipped bit;
            for files whose digest is kept elsewhere it is left out.

    Raises:
        WorkError: when the file cannot be written.
    """
    layout = torch.contiguous_format  # contiguous() keeps strides that cannot be viewed as bytes
    plain = {n: v.detach().cpu().clone(memory_format=layout) for n, v in sorted(tensors.items())}
    content = {"kind": kind, "format_version": FORMAT_VERSION, **header}
    if checksum:
        content[_CHECKSUM] = _checksum(plain)
    metadata = {_KEY: json.dumps(content, sort_keys=True, allow_nan=False)}
    data = safetensors.torch.save(plain, metadata)
    with whole_file(path, alone=alone) as temporary:
        temporary.write_bytes(data)


def read_header(path: Path, kind: str) -> dict[str, Any]:
    """The header of a file, without `kind` and version.

    Raises:
        WorkError: when the file is missing, damaged, of another kind or version.
    """
    with _opened(path) as file:
        return _checked_header(path, kind, file.metadata())[0]


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a file, on the CPU; these are memory-mapped.

    Raises:
        WorkError: as `read_header`; also when a tensor is not finite, or was altered.
    """
    with _opened(path) as file:
        header, checksum = _checked_header(path, kind, file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise damaged(path, f"{name} is not finite")
    if checksum not in (None, _checksum(tensors)):
        raise damaged(path, "its checksum differs")
    return header, tensors


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names have a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


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


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = xxhash.xxh3_64()
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _checked_header(
    path: Path, kind: str, metadata: Mapping[str, str] | None
) -> tuple[dict[str, Any], str | None]:
    """The header without what is common to all files, and the checksum where there is one."""
    try:
        header = parse_json((metadata or {})[_KEY])
        actual, version = header.pop("kind"), header.pop("format_version")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WorkError(
            f"{path} has no header of a {kind}: it is another file, or damaged; give the right "
            "file, or copy it again"
        ) from error
    if actual != kind:
        raise WorkError(f"{path} is a {shown(actual)}, not a {kind}; give the right file")
    if version != FORMAT_VERSION:
        raise VersionError(
            f"{path} is of format version {shown(version)}, this program reads {FORMAT_VERSION}; "
            "use the version of bapps-gen that wrote it, or train again"
        )
    return header, header.pop(_CHECKSUM, None)
