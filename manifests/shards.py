"""Shards written to a dataset's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from bapps_gen.manifests.dataset import DatasetInfo, shard_path
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.manifests.schema import rows_table
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import Location


def write_shard(
    folder: Location,
    info: DatasetInfo,
    shard: int,
    rows: Sequence[ManifestRow],
    pngs: Sequence[Sequence[bytes]] | None,
    schema: pa.Schema | None = None,
) -> None:
    """Write one shard, whole or not at all; `pngs` is None in a recipe.

    Args:
        schema: that of the dataset, with further metadata.
    """
    schema = schema or info.schema()
    with shard_writer(folder, info, shard, schema) as write:
        write(rows_table(rows, pngs, schema, info.patch_size))


@contextlib.contextmanager
def shard_writer(
    folder: Location, info: DatasetInfo, shard: int, schema: pa.Schema
) -> Iterator[Callable[[pa.Table], None]]:
    """A function that writes tables of rows, whole row groups but for the last, to a shard."""
    # PNG does not shrink further; only columns with few different values gain from dictionaries.
    repeated = ["source_path", "source_sha256", "spec_digest"]
    for side in range(len(info.patches) - 1):
        steps = f"steps{side}.list.element"
        repeated += [
            f"distortion{side}",
            f"{steps}.distortion",
            f"{steps}.params.list.element.name",
        ]
    with (
        whole_file(shard_path(folder, shard)) as path,
        pq.ParquetWriter(
            path,
            schema,
            compression="none" if info.pictures else "zstd",
            use_dictionary=repeated,
            write_statistics=["id", "row"],
            write_page_checksum=True,
        ) as writer,
    ):
        yield lambda table: writer.write_table(table, info.row_group_rows)
