"""Shards written to a dataset's folder."""

from __future__ import annotations

from collections.abc import Sequence

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
) -> None:
    """Write one shard, whole or not at all; `pngs` is None in a recipe."""
    schema = info.schema()
    table = rows_table(rows, pngs, schema, info.patch_size)
    # PNG does not shrink further; only columns with few different values gain from dictionaries.
    repeated = ["source_path", "source_sha256", "spec_digest"]
    for side in range(len(info.patches) - 1):
        steps = f"steps{side}.list.element"
        repeated += [
            f"distortion{side}",
            f"{steps}.distortion",
            f"{steps}.params.list.element.name",
        ]
    with whole_file(shard_path(folder, shard)) as path:
        pq.write_table(
            table,
            path,
            row_group_size=info.row_group_rows,
            compression="none" if info.pictures else "zstd",
            use_dictionary=repeated,
            write_statistics=["id", "row"],
            write_page_checksum=True,
        )
