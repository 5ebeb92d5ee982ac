"""The Parquet schema of triplets, in Hugging Face's image convention, and rows to and from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES, Crop, ManifestRow, Step, distortion_id

FORMAT_VERSION = 1
"""Raised when columns change their meaning."""

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
STEPS = pa.list_(
    pa.struct(
        [
            ("distortion", pa.string()),
            ("version", pa.int32()),
            ("params", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))),
            ("seed", pa.int64()),
            ("severity", pa.float64()),
        ]
    )
)
CROP = pa.struct([("x", pa.int32()), ("y", pa.int32()), ("side", pa.int32())])

# name, type, unit or meaning; the order of the columns in every file
_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("id", pa.string(), "unique over datasets: spec digest and row"),
    ("row", pa.int64(), "row index in the dataset"),
    ("ref", IMAGE, "reference patch x, PNG"),
    ("p0", IMAGE, "distorted patch x0, PNG"),
    ("p1", IMAGE, "distorted patch x1, PNG"),
    ("distortion0", pa.string(), "names of p0's steps joined by +"),
    ("distortion1", pa.string(), "names of p1's steps joined by +"),
    ("steps0", STEPS, "steps of p0 in the order applied"),
    ("steps1", STEPS, "steps of p1 in the order applied"),
    ("source_path", pa.string(), "name of the source image in its source"),
    ("source_sha256", pa.string(), "SHA-256 of the source image's encoded bytes"),
    ("scale", pa.float64(), "patch pixels per source pixel"),
    ("crop", CROP, "px of the source image after EXIF rotation"),
    ("ref_hash", pa.string(), "XXH3-128 of raw RGB bytes"),
    ("p0_hash", pa.string(), "XXH3-128 of raw RGB bytes"),
    ("p1_hash", pa.string(), "XXH3-128 of raw RGB bytes"),
    ("spec_digest", pa.string(), "digest of the dataset's spec"),
    ("judge", pa.float32(), "fraction of judges that prefer p1"),
    ("judge_count", pa.int32(), "number of judges"),
    ("same", pa.float32(), "fraction of judges that call ref and p0 the same"),
    ("same_count", pa.int32(), "number of judges"),
)
_PLAIN = (
    *("id", "row", "source_path", "source_sha256", "spec_digest"),
    *("judge", "judge_count", "same", "same_count"),
)
"""Columns that are fields of `ManifestRow` as they are."""
_TRIPLETS_ONLY = ("p1", "distortion1", "steps1", "p1_hash", "judge", "judge_count")
_PAIRS_ONLY = ("same", "same_count")


def column_names(patches: Sequence[str], pictures: bool = True) -> tuple[str, ...]:
    """Names of the columns of a set of triplets (PATCHES) or of JND pairs (PAIR_PATCHES)."""
    left_out = _TRIPLETS_ONLY if tuple(patches) == PAIR_PATCHES else _PAIRS_ONLY
    return tuple(
        name
        for name, _, _ in _COLUMNS
        if name not in left_out and (pictures or name not in PATCHES)
    )


def _feature(kind: pa.DataType) -> Any:
    """Hugging Face's description of a type, as `datasets` stores it in Parquet metadata."""
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    names = {"double": "float64", "float": "float32"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}


def card_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The types of columns as data cards have them, under `features`."""
    return [_card_feature(field.name, _feature(field.type)) for field in schema]


def _card_feature(name: str, feature: dict[str, Any]) -> dict[str, Any]:
    kind = feature.get("_type")
    if kind is None:
        return {"name": name, "struct": _card_fields(feature)}
    if kind == "List":
        return {"name": name, "list": _card_fields(feature["feature"])}
    return {"name": name, "dtype": "image" if kind == "Image" else feature["dtype"]}


def _card_fields(struct: dict[str, Any]) -> list[dict[str, Any]]:
    return [_card_feature(name, feature) for name, feature in struct.items()]


def described_fields(
    columns: Iterable[tuple[str, pa.DataType, str]], units: Mapping[str, str]
) -> list[pa.Field]:
    """Fields of (name, type, meaning), with units of parameters in those of steps."""
    fields = []
    for name, kind, meaning in columns:
        notes = {"description": meaning}
        if kind == STEPS:
            notes["units"] = json.dumps(dict(sorted(units.items())))
        fields.append(pa.field(name, kind, metadata=notes))
    return fields


def manifest_schema(
    units: Mapping[str, str],
    metadata: Mapping[str, str | int],
    patches: Sequence[str] = PATCHES,
    pictures: bool = True,
) -> pa.Schema:
    """The schema of a dataset's shards, or of a recipe's (no picture columns).

    Args:
        units: unit of each "distortion.parameter", kept in the metadata of the step columns.
        metadata: further entries for the schema's metadata, under "bapps_gen".
        patches: PATCHES for triplets, PAIR_PATCHES for JND pairs.
        pictures: whether the patches are columns.
    """
    names = column_names(patches, pictures)
    fields = described_fields((column for column in _COLUMNS if column[0] in names), units)
    features = {field.name: _feature(field.type) for field in fields}
    own = {"format_version": FORMAT_VERSION, **metadata}
    return pa.schema(
        fields,
        metadata={
            "huggingface": json.dumps({"info": {"features": features}}),
            "bapps_gen": json.dumps(own, sort_keys=True),
        },
    )


def _steps_array(sides: Sequence[tuple[Step, ...]]) -> pa.Array:
    """Steps as nested Arrow arrays, built flat because `pa.array` of dicts costs ten times more."""
    steps = [step for side in sides for step in side]
    params = [pair for step in steps for pair in step.params]
    pairs = pa.StructArray.from_arrays(
        [
            pa.array([name for name, _ in params], pa.string()),
            pa.array([value for _, value in params], pa.float64()),
        ],
        fields=list(STEPS.value_type.field("params").type.value_type),
    )
    param_ends = accumulate((len(step.params) for step in steps), initial=0)
    records = pa.StructArray.from_arrays(
        [
            pa.array([step.distortion for step in steps], pa.string()),
            pa.array([step.version for step in steps], pa.int32()),
            pa.ListArray.from_arrays(pa.array(param_ends, pa.int32()), pairs),
            pa.array([step.seed for step in steps], pa.int64()),
            pa.array([step.severity for step in steps], pa.float64()),
        ],
        fields=list(STEPS.value_type),
    )
    step_ends = accumulate((len(side) for side in sides), initial=0)
    return pa.ListArray.from_arrays(pa.array(step_ends, pa.int32()), records)


def _binary_array(values: Sequence[bytes]) -> pa.Array:
    """Bytes as an Arrow array, copied once; `pa.array` grows its buffer as it goes."""
    ends = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(value) for value in values], out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:
        return pa.array(values, pa.binary())  # says itself what is too large
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def _images_array(rows: Sequence[ManifestRow], name: str, pngs: Sequence[bytes]) -> pa.Array:
    return pa.StructArray.from_arrays(
        [
            _binary_array(pngs),
            pa.array([f"{row.row:08d}_{name}.png" for row in rows], pa.string()),
        ],
        fields=list(IMAGE),
    )


def rows_table(
    rows: Sequence[ManifestRow],
    pngs: Sequence[Sequence[bytes]] | None,
    schema: pa.Schema,
    patch_size: int,
) -> pa.Table:
    """An Arrow table of rows; `pngs` holds the PNG files of each row, or None in a recipe."""
    columns: dict[str, pa.Array] = {
        name: pa.array([getattr(row, name) for row in rows], schema.field(name).type)
        for name in _PLAIN
        if name in schema.names
    }
    columns["scale"] = pa.array([row.crop.scale(patch_size) for row in rows], pa.float64())
    columns["crop"] = pa.StructArray.from_arrays(
        [
            pa.array([getattr(row.crop, name) for row in rows], pa.int32())
            for name in ("x", "y", "side")
        ],
        fields=list(CROP),
    )
    patches = [name for name in PATCHES if f"{name}_hash" in schema.names]
    for side in range(len(patches) - 1):
        ids = [distortion_id(row.steps[side]) for row in rows]
        columns[f"distortion{side}"] = pa.array(ids, pa.string())
        columns[f"steps{side}"] = _steps_array([row.steps[side] for row in rows])
    for index, name in enumerate(patches):
        columns[f"{name}_hash"] = pa.array([row.hashes[index] for row in rows], pa.string())
        if pngs is not None:
            columns[name] = _images_array(rows, name, [files[index] for files in pngs])
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _steps(stored: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(
        Step(**{**step, "params": tuple((pair["name"], pair["value"]) for pair in step["params"])})
        for step in stored
    )


def table_rows(table: pa.Table | pa.RecordBatch) -> list[ManifestRow]:
    """The rows of a table or batch that has at least all columns but the pictures."""
    patches = [name for name in PATCHES if f"{name}_hash" in table.schema.names]
    plain = [name for name in _PLAIN if name in table.schema.names]
    stored_names = [name for name in table.schema.names if name not in PATCHES]
    return [
        ManifestRow(
            **{name: stored[name] for name in plain},
            crop=Crop(**stored["crop"]),
            steps=tuple(_steps(stored[f"steps{side}"]) for side in range(len(patches) - 1)),
            hashes=tuple(stored[f"{name}_hash"] for name in patches),
        )
        for stored in table.select(stored_names).to_pylist()
    ]
