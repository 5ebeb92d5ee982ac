"""Features beside a dataset: `features/<net>/part-00000.safetensors`, one file a shard.

What a feature net makes of the judged rows, so that linear weights are trained without it. A file
is read in place (memory-mapped); it says what it is of and has a checksum, so that damage is an
error and never a feature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import parse_json
from bapps_gen.storage.locations import Location, open_regular
from bapps_gen.storage.records import parse_record
from bapps_gen.storage.workspace import Layout

FEATURES_FORMAT = 1
FEATURES_FOLDER = "features"
FEATURES = Layout("set of features", None)

GAIN = 8192.0
"""By which means of squared differences are multiplied before they are rounded to float16.

They are at most 4, the squared distance of two unit vectors, and mostly far below float16's least
normal number, 6.1e-5. With this they keep its 11 bits from 7.5e-9 to 4.
"""

_KEY = "bapps_gen"
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """What features are of.

    Args:
        net: name of the feature net.
        settings: what the values depend on besides: digest of its weights, and its dtype.
        channels: of each of its maps.
        spec_digest: digest of the dataset.
        format_version: FEATURES_FORMAT.
    """

    net: str
    settings: Mapping[str, str]
    channels: tuple[int, ...]
    spec_digest: str
    format_version: int = FEATURES_FORMAT


@dataclass(frozen=True, slots=True)
class ShardFeatures:
    """Features of some rows of a shard, (n,) of them, memory-mapped.

    Args:
        rows: their numbers in the dataset, ascending.
        means: means over positions of squared differences from the reference, of p0 and of p1,
            times GAIN, float16 (n, 2, channels).
        positions: effective number of positions of each map, float16 (n, 2, maps).
    """

    rows: NDArray[np.int64]
    means: NDArray[np.float16]
    positions: NDArray[np.float16]


class UnusableFeatures(Exception):
    """Stored features that cannot be taken; the text completes "… is"."""


@dataclass(frozen=True, slots=True)
class _Content:
    info: FeatureInfo
    checksum: str


def features_path(folder: Location, net: str, shard: int) -> Location:
    """Where the features of a shard lie."""
    return folder / FEATURES_FOLDER / net / f"part-{shard:05d}.safetensors"


def write_features(
    folder: Location, info: FeatureInfo, shard: int, features: ShardFeatures
) -> None:
    """Write the features of one shard, whole or not at all.

    Raises:
        WorkError: when they cannot be written.
    """
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {
        "means": features.means,
        "positions": features.positions,
        "rows": features.rows,
    }
    data = save(tensors)  # once to know the bytes, whose checksum goes into the header
    content = {"info": asdict(info), "checksum": _checksum(data[_start(data) :])}
    data = save(tensors, {_KEY: json.dumps(content, sort_keys=True)})
    with whole_file(features_path(folder, info.net, shard)) as path:
        path.write_bytes(data)


def read_features(dataset: Dataset, info: FeatureInfo, shard: int) -> ShardFeatures:
    """The stored features of a shard's judged rows.

    Raises:
        UnusableFeatures: when they are missing, damaged, or not those described.
    """
    path = features_path(dataset.folder, info.net, shard)
    assert isinstance(path, Path)
    header, start = _read_header(path)
    held = _content(header)
    if held.info.format_version != info.format_version:
        raise UnusableFeatures("of another format")
    if held.info.spec_digest != info.spec_digest:
        raise UnusableFeatures("of another dataset")
    if held.info != info:
        raise UnusableFeatures(f"of other settings ({_settings(held.info)}, not {_settings(info)})")
    size = path.stat().st_size
    mapped = np.memmap(path, np.uint8, "r")
    if _checksum(mapped[start:]) != held.checksum:
        raise UnusableFeatures("damaged (its checksum differs)")
    try:
        arrays = {name: _array(path, name, header[name], start, size) for name in _DTYPES}
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableFeatures("damaged (it lacks arrays)") from error
    return ShardFeatures(arrays["rows"], arrays["means"], arrays["positions"])


def held_features(folder: Location, net: str, shard: int) -> FeatureInfo | None:
    """What a shard's stored features are of; None where there are none or they are damaged."""
    path = features_path(folder, net, shard)
    assert isinstance(path, Path)
    try:
        return _content(_read_header(path)[0]).info
    except UnusableFeatures:
        return None


_DTYPES: Mapping[str, tuple[str, type[Any]]] = {
    "means": ("F16", np.float16),
    "positions": ("F16", np.float16),
    "rows": ("I64", np.int64),
}


def _start(data: bytes) -> int:
    """Where the arrays begin: behind the header and its length."""
    return 8 + int.from_bytes(data[:8], "little")


def _checksum(data: Any) -> str:
    return xxhash.xxh3_64_hexdigest(data)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """A safetensors file's header, and where its arrays begin."""
    try:
        with open_regular(path) as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= _LONGEST_HEADER:
                raise UnusableFeatures("damaged (it has no header)")
            header = parse_json(file.read(length))
    except FileNotFoundError:
        raise UnusableFeatures("missing") from None
    except (OSError, ValueError) as error:
        raise UnusableFeatures("damaged (its header cannot be read)") from error
    if not isinstance(header, dict):
        raise UnusableFeatures("damaged (its header is no table)")
    return header, 8 + length


def _content(header: Mapping[str, Any]) -> _Content:
    try:
        return parse_record(_Content, parse_json(header["__metadata__"][_KEY]))
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise UnusableFeatures("not of this format") from error


def _array(path: Path, name: str, entry: Mapping[str, Any], start: int, size: int) -> Any:
    code, dtype = _DTYPES[name]
    first, end = entry["data_offsets"]
    if entry["dtype"] != code or start + end > size:
        raise ValueError(name)
    return np.memmap(path, dtype, "r", start + first, tuple(entry["shape"]))


def _settings(info: FeatureInfo) -> str:
    return " ".join(f"{name} {value}" for name, value in info.settings.items())
