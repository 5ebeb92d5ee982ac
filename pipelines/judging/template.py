"""A CSV file to fill in judgments: ids of a dataset's rows, with what judgments there are."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from bapps_gen.errors import WorkError
from bapps_gen.manifests.dataset import Dataset, SelectionInfo, shard_path
from bapps_gen.manifests.rows import row_id
from bapps_gen.manifests.shard_judgements import (
    Judgment,
    held_judgments,
    judgment_columns,
    judgments_beside,
)
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import Location


def write_template(dataset: Dataset, path: Location) -> int:
    """Write `id,judge,count`, or `id,same,count`, for every row of a dataset.

    Of missing and damaged shards as much is written as can be read: judgments may be all that is
    left of them.

    Args:
        dataset: whole or not.
        path: of the CSV file.

    Returns:
        How many rows have judgments.

    Raises:
        WorkError: when it cannot be written, or ids cannot be known.
    """
    judged = 0
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", judgment_columns(dataset.info)[0], "count"])
        for shard in range(dataset.info.shards):
            known = judgments_of(dataset, shard)
            for name in _ids(dataset, shard):
                fraction, count = known.get(name, (None, None))
                judged += fraction is not None
                writer.writerow([name, fraction, count])
    return judged


def judgments_of(dataset: Dataset, shard: int) -> dict[str, Judgment]:
    """The judgments of a shard's rows, by id: those beside it before its own."""
    held = held_judgments(shard_path(dataset.folder, shard), dataset.info)
    return {**(held.rows if held else {}), **judgments_beside(dataset.folder, dataset.info, shard)}


def _ids(dataset: Dataset, shard: int) -> Iterator[str]:
    try:
        for batch in dataset.shard_batches(shard, ["id"], 10_000):
            yield from batch["id"].to_pylist()
    except WorkError:
        info = dataset.info
        if isinstance(info, SelectionInfo):  # its rows have ids of other datasets
            raise
        for row in range(*info.shard_range(shard)):
            yield row_id(info.digest, row)
