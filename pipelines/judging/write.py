"""Judgments written beside a dataset's shards and as copies in them, with votes as they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import DATASET, Dataset
from bapps_gen.manifests.judgements import (
    JUDGEMENTS,
    JUDGEMENTS_FOLDER,
    VOTES_FOLDER,
    JudgementsInfo,
    judgements_info,
    write_judgements,
    write_judgements_info,
)
from bapps_gen.manifests.shard_judgements import Judgment, copy_judgments, judgments_beside
from bapps_gen.pipelines.datasets.card import write_dataset_card
from bapps_gen.pipelines.datasets.judged import RawFile, keep_raw, sha256
from bapps_gen.seeding import digest_of
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import claim


def read_raw(files: Sequence[Location]) -> list[RawFile]:
    """Files as they are."""
    return [(path.name, path.read_bytes()) for path in files]


def raw_votes(votes: pa.Table) -> RawFile:
    """Votes that come from no file, as a Parquet file that their content names."""
    sink = pa.BufferOutputStream()
    pq.write_table(votes, sink, compression="zstd", write_page_checksum=True)
    data = sink.getvalue().to_pybytes()
    return f"votes-{sha256(data)[:8]}.parquet", data


def write_judgments(
    dataset: Dataset,
    info: JudgementsInfo,
    judgments: Mapping[str, Judgment],
    raw: Sequence[RawFile],
    *,
    replaces: bool = False,
) -> JudgementsInfo:
    """Write the judgments of a dataset's rows, what they are, and the data card; kill-safe.

    Copies go into the shards, shard by shard, unless `info.in_shards` is False: into columns that
    are empty or hold earlier copies. Judgments that the shards have themselves stay.

    Args:
        dataset: the dataset, whole.
        info: what the judgments are, but for the files.
        judgments: by id; the other rows have none.
        raw: files of votes or answers, kept in `judgements/votes/`.
        replaces: whether earlier judgments may go of which these are no continuation.

    Returns:
        What was written.

    Raises:
        UserError: when there is a row that the dataset does not have, or earlier judgments of
            other files would go.
        WorkError: when a shard is damaged or the disk is full.
    """
    shards = shard_ids(dataset)
    require_known(dataset, set(judgments) - {name for ids in shards for name in ids})
    folder = dataset.folder / JUDGEMENTS_FOLDER
    with claim(dataset.folder, DATASET), claim(folder, JUDGEMENTS):
        if not replaces:
            _refuse_replacing(dataset, judgments, raw)
        files = keep_raw(dataset.folder, raw)
        digest = digest_of({"filter": dict(info.filter), "files": [list(entry) for entry in files]})
        info = replace(info, files=files, digest=digest)
        for shard, ids in enumerate(shards):
            found = [judgments.get(name, (None, None)) for name in ids]
            copied = {name: judgments[name] for name in ids if name in judgments}
            copy_judgments(dataset.folder, dataset.info, shard, copied if info.in_shards else {})
            fractions, counts = zip(*found, strict=True)
            write_judgements(dataset.folder, info, shard, ids, fractions, counts)
        write_judgements_info(dataset.folder, info)
        write_dataset_card(dataset.folder, dataset.info, complete=True)
    return info


def shard_ids(dataset: Dataset) -> list[list[str]]:
    """The ids of each shard's rows.

    Raises:
        WorkError: when a shard is missing or damaged.
    """
    return [
        [
            name
            for batch in dataset.shard_batches(shard, ["id"], 10_000)
            for name in batch["id"].to_pylist()
        ]
        for shard in range(dataset.info.shards)
    ]


def require_known(dataset: Dataset, unknown: set[str]) -> None:
    """Raise UserError when there are ids that a dataset does not have."""
    if unknown:
        raise UserError(
            f"{len(unknown)} rows with votes are not in {dataset.folder}, the first with id "
            f"{min(unknown)}; give votes on this dataset"
        )


def _refuse_replacing(
    dataset: Dataset, judgments: Mapping[str, Judgment], raw: Sequence[RawFile]
) -> None:
    """Raise UserError when rows would lose judgments of files that are not among those given."""
    held = judgements_info(dataset.folder, dataset.info.digest)
    given = {sha256(data) for _, data in raw}
    missing = [name for name, digest in held.files if digest not in given] if held else []
    if not missing:
        return
    lost = sum(
        name not in judgments
        for shard in range(dataset.info.shards)
        for name in judgments_beside(dataset.folder, dataset.info, shard)
    )
    if lost:
        names = ", ".join(missing)
        raise UserError(
            f"{lost} rows of {dataset.folder} are judged by {names}, which were not given, and "
            f"would lose that; give them too (copies are in "
            f"{dataset.folder / JUDGEMENTS_FOLDER / VOTES_FOLDER}), or --replace"
        )
