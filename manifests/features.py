"""Features beside a dataset: `features/<net>/part-00000.safetensors`, one file a shard.

What a feature net makes of the judged rows, so that linear weights are trained without it. A file
is read in place (memory-mapped); it says what it is of, and `storage/tensors.py` gives it a
checksum, so that damage is an error and never a feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.storage.locations import Location
from bapps_gen.storage.records import parse_record
from bapps_gen.storage.workspace import Layout

FEATURES_VERSION = 1
FEATURES_FOLDER = "features"
FEATURES = Layout("set of features", None)

GAIN = 8192.0
"""By which means of squared differences are multiplied before they are rounded to float16.

They are at most 4, the squared distance of two unit vectors, and mostly far below float16's least
normal number, 6.1e-5. With this they keep its 11 bits from 7.5e-9 to 4.
"""


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """What features are of.

    Args:
        net: name of the feature net.
        settings: what the values depend on besides: digest of its weights, and its dtype.
        channels: of each of its maps.
        spec_digest: digest of the dataset.
        version: of the arrays, FEATURES_VERSION.
    """

    net: str
    settings: Mapping[str, str]
    channels: tuple[int, ...]
    spec_digest: str
    version: int = FEATURES_VERSION


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
    import torch

    from bapps_gen.storage.tensors import write_tensors

    path = features_path(folder, info.net, shard)
    assert isinstance(path, Path)
    tensors = {name: torch.from_numpy(getattr(features, name)) for name in _NAMES}
    write_tensors(path, FEATURES.what, asdict(info), tensors)


def read_features(dataset: Dataset, info: FeatureInfo, shard: int) -> ShardFeatures:
    """The stored features of a shard's judged rows.

    Raises:
        UnusableFeatures: when they are missing, damaged, or not those described.
    """
    from bapps_gen.storage.tensors import read_tensors

    path = _existing(dataset.folder, info.net, shard)
    try:
        header, tensors = read_tensors(path, FEATURES.what)
        held = parse_record(FeatureInfo, header)
        features = ShardFeatures(*(tensors[name].numpy() for name in _NAMES))
    except (WorkError, UserError, KeyError) as error:
        raise UnusableFeatures("damaged") from error
    if held.version != info.version:
        raise UnusableFeatures("of another format")
    if held.spec_digest != info.spec_digest:
        raise UnusableFeatures("of another dataset")
    if held != info:
        raise UnusableFeatures(f"of other settings ({_settings(held)}, not {_settings(info)})")
    return features


def held_features(folder: Location, net: str, shard: int) -> FeatureInfo | None:
    """What a shard's stored features are of; None where there are none or they are damaged."""
    from bapps_gen.storage.tensors import read_header

    try:
        return parse_record(FeatureInfo, read_header(_existing(folder, net, shard), FEATURES.what))
    except (UnusableFeatures, WorkError, UserError):
        return None


_NAMES = tuple(field.name for field in fields(ShardFeatures))


def _existing(folder: Location, net: str, shard: int) -> Path:
    path = features_path(folder, net, shard)
    assert isinstance(path, Path)
    if not path.exists():
        raise UnusableFeatures("missing")
    return path


def _settings(info: FeatureInfo) -> str:
    return " ".join(f"{name} {value}" for name, value in info.settings.items())
