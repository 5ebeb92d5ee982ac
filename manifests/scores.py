"""Distances beside a dataset: `scores/<metric>/part-00000.parquet`, one file a shard, keyed by id.

Pages carry checksums and are read with them, so that damage is an error and never a distance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bapps_gen.errors import UserError, WorkError, first_line
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.parquet import open_parquet, read_metadata
from bapps_gen.manifests.rows import PAIR_PATCHES
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import Layout

Scored = Dataset | Benchmark
"""What has distances: of a benchmark, rows are distorted pictures, and their ids their paths."""

SCORES_FORMAT = 1
SCORES = Layout("set of distances", None)
_METADATA = b"bapps_gen_scores"


@dataclass(frozen=True, slots=True)
class ScoreInfo:
    """What distances are of.

    Args:
        metric: name of the metric.
        version: of the metric.
        settings: what the values depend on beside these, such as the dtype of a network.
        spec_digest: digest of the dataset.
        format_version: SCORES_FORMAT.
    """

    metric: str
    version: int
    settings: Mapping[str, str]
    spec_digest: str
    format_version: int = SCORES_FORMAT


@dataclass(frozen=True, slots=True)
class Scores:
    """Distances of a dataset's rows in order; `d1` is None in a set of JND pairs."""

    info: ScoreInfo
    ids: NDArray[np.object_]
    d0: NDArray[np.float64]
    d1: NDArray[np.float64] | None


def score_path(folder: Location, metric: str, shard: int) -> Location:
    """Where the distances of a shard lie."""
    return folder / "scores" / metric / f"part-{shard:05d}.parquet"


def distance_names(patches: Sequence[str]) -> tuple[str, ...]:
    """The distance columns: d0 and d1 for triplets, d0 alone for JND pairs."""
    return ("d0",) if tuple(patches) == PAIR_PATCHES else ("d0", "d1")


def joined_name(metric: str, name: str) -> str:
    """A distance's column in joined rows, such as "d0_lpips_alex"."""
    return f"{name}_{metric.replace('-', '_')}"


def write_scores(
    folder: Location,
    info: ScoreInfo,
    shard: int,
    ids: Sequence[str],
    distances: Sequence[NDArray[np.float64]],
) -> None:
    """Write the distances of one shard, whole or not at all."""
    meanings = ("distance of ref and p0", "distance of ref and p1")
    fields = [pa.field("id", pa.string(), metadata={"description": "id of the row"})]
    fields += [
        pa.field(f"d{side}", pa.float64(), metadata={"description": meanings[side]})
        for side in range(len(distances))
    ]
    schema = pa.schema(fields, metadata={_METADATA: json.dumps(asdict(info), sort_keys=True)})
    columns = [pa.array(ids, pa.string()), *(pa.array(values) for values in distances)]
    with whole_file(score_path(folder, info.metric, shard)) as path:
        pq.write_table(
            pa.Table.from_arrays(columns, schema=schema),
            path,
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
        )


def score_info(folder: Location, metric: str, shard: int = 0) -> ScoreInfo | None:
    """What a shard's stored distances are of; None where there are none or they are damaged."""
    try:
        with open_parquet(score_path(folder, metric, shard)) as file:
            schema = file.schema_arrow
    except (OSError, pa.ArrowInvalid):
        return None
    return _info_of(schema)


def scored_metrics(folder: Location) -> tuple[str, ...]:
    """The metrics by which a dataset has distances, in alphabetical order.

    Those count whose first shard's distances can be read; the others may still be missing.
    """
    place = folder / "scores"
    if not place.is_dir():
        return ()
    infos = {path.name: score_info(folder, path.name) for path in place.iterdir()}
    return tuple(sorted(name for name, info in infos.items() if info and info.metric == name))


def _info_of(schema: pa.Schema) -> ScoreInfo | None:
    info = read_metadata(schema, _METADATA, ScoreInfo)
    return info if info is not None and info.format_version == SCORES_FORMAT else None


def score_fault(dataset: Scored, info: ScoreInfo, shard: int) -> str | None:
    """Why a shard's stored distances are not those described, or None where they are.

    They are read whole: unlike a shard of pictures they are small.
    """
    try:
        _read_table(dataset, info, shard)
    except _Unusable as fault:
        return str(fault)
    return None


class _Unusable(Exception):
    """Stored distances that cannot be taken; the text completes "… is"."""


def _read_table(dataset: Scored, info: ScoreInfo, shard: int) -> pa.Table:
    path = score_path(dataset.folder, info.metric, shard)
    try:
        with open_parquet(path) as file:
            table = file.read()
    except FileNotFoundError:
        raise _Unusable("missing") from None
    except (OSError, pa.ArrowException) as error:
        raise _Unusable(f"damaged ({first_line(error)})") from None
    stored = _info_of(table.schema)
    first, end = dataset.info.shard_range(shard)
    names = ["id", *distance_names(dataset.info.patches)]
    if stored is None or stored.metric != info.metric or table.schema.names != names:
        raise _Unusable("not of this format")
    if stored.spec_digest != info.spec_digest:
        raise _Unusable("of another dataset")
    if stored.version != info.version:
        raise _Unusable(f"of version {stored.version} of the metric, not {info.version}")
    if dict(stored.settings) != dict(info.settings):
        raise _Unusable(f"of other settings ({_settings(stored)}, not {_settings(info)})")
    if table.num_rows != end - first:
        raise _Unusable(f"of {table.num_rows} rows where {end - first} are expected")
    if any(column.null_count for column in table.columns):
        raise _Unusable("damaged (it has empty entries)")
    if any(pc.any(pc.is_nan(column)).as_py() for column in table.columns[1:]):
        raise _Unusable("damaged (it has distances that are no numbers)")
    return table


def _settings(info: ScoreInfo) -> str:
    return " ".join(f"{name} {value}" for name, value in info.settings.items()) or "none"


def read_scores(dataset: Scored, metric: str) -> Scores:
    """All distances of a dataset by one metric, in row order.

    Raises:
        UserError: when the dataset was not scored by this metric.
        WorkError: when stored distances are missing in part, damaged, or of another dataset.
    """
    ids: list[Any] = []
    parts: list[list[NDArray[np.float64]]] = []
    info = _first_info(dataset, metric)
    for shard in range(dataset.info.shards):
        table = _require(dataset, info, shard)
        ids += table.column("id").to_pylist()
        parts.append([column.to_numpy() for column in table.columns[1:]])
    d0, *others = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Scores(info, np.array(ids, object), d0, others[0] if others else None)


def shard_distances(dataset: Dataset, metric: str, shard: int) -> list[tuple[float, ...]] | None:
    """The distances of each row of a shard, one a side; None where no usable ones are stored."""
    info = score_info(dataset.folder, metric, shard)
    if info is None or info.spec_digest != dataset.info.digest:
        return None
    try:
        _, *columns = _read_table(dataset, info, shard).columns
    except _Unusable:
        return None
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def scored_batches(
    dataset: Dataset,
    metrics: Sequence[str],
    columns: Sequence[str] | None = None,
    size: int = 1000,
) -> Iterator[pa.RecordBatch]:
    """All rows in order with their distances, as Arrow batches of at most `size` rows.

    Distances are further columns such as "d0_lpips_alex" and "d1_lpips_alex"; memory is that of
    one batch and one shard's distances.

    Args:
        metrics: names of metrics that it was scored by.
        columns: columns of the dataset, all by default.

    Raises:
        UserError: when the dataset was not scored by one of the metrics.
        WorkError: when a shard or stored distances are missing, damaged, or of other rows.
    """
    infos = [_first_info(dataset, metric) for metric in metrics]
    for shard in range(dataset.info.shards):
        tables = [_require(dataset, info, shard) for info in infos]
        wanted = None if columns is None else list(dict.fromkeys(["id", *columns]))
        start = 0
        for batch in dataset.shard_batches(shard, wanted, size):
            joined = batch
            for info, table in zip(infos, tables, strict=True):
                part = table.slice(start, batch.num_rows)
                if not part.column("id").combine_chunks().equals(batch.column("id")):
                    raise _unusable(dataset, info, shard, "of rows with other ids")
                for name in distance_names(dataset.info.patches):
                    joined = joined.append_column(
                        joined_name(info.metric, name), part.column(name).combine_chunks()
                    )
            if columns is not None and "id" not in columns:
                joined = joined.drop_columns(["id"])
            yield joined
            start += batch.num_rows


def _first_info(dataset: Scored, metric: str) -> ScoreInfo:
    """What the first stored distances say they are; the others must say the same."""
    for shard in range(dataset.info.shards):
        info = score_info(dataset.folder, metric, shard)
        if info is not None:
            if info.spec_digest != dataset.info.digest:
                raise _unusable(dataset, info, shard, "of another dataset")
            return info
    raise UserError(
        f"{dataset.folder} has no {metric} distances; "
        f"make them with `bapps-gen score {dataset.folder} --metric {metric}`"
    )


def _require(dataset: Scored, info: ScoreInfo, shard: int) -> pa.Table:
    try:
        return _read_table(dataset, info, shard)
    except _Unusable as fault:
        raise _unusable(dataset, info, shard, str(fault)) from None


def _unusable(dataset: Scored, info: ScoreInfo, shard: int, fault: str) -> WorkError:
    return WorkError(
        f"{score_path(dataset.folder, info.metric, shard)} is {fault}; make it again with "
        f"`bapps-gen score {dataset.folder} --metric {info.metric}`"
    )
