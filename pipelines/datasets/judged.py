"""Judgments beside a dataset's shards, taken along to what is made of the dataset, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bapps_gen.errors import BappsGenError, WorkError
from bapps_gen.manifests.dataset import Dataset, DatasetInfo
from bapps_gen.manifests.judgements import (
    JUDGEMENTS_FOLDER,
    JUDGEMENTS_NAME,
    VOTES_FOLDER,
    JudgementsInfo,
    judgements_info,
    judgements_path,
    write_judgements,
    write_judgements_info,
)
from bapps_gen.manifests.shard_judgements import Judgment, judgment_columns, judgments_beside
from bapps_gen.seeding import digest_of
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import Location
from bapps_gen.storage.url import Url
from bapps_gen.storage.workspace import make_folder


def copy_judgements(dataset: Dataset, folder: Location) -> None:
    """Copy the judgments beside a dataset to a folder for the same rows, unless it has some.

    Raises:
        WorkError: when they are of another dataset, or cannot be copied.
    """
    held, info = judgements_info(dataset.folder, dataset.info.digest), dataset.info
    if held is None or (folder / JUDGEMENTS_FOLDER / JUDGEMENTS_NAME).exists():
        return
    make_folder(folder / JUDGEMENTS_FOLDER)
    for shard in range(info.shards):
        _copy(judgements_path(dataset.folder, shard), judgements_path(folder, shard))
    _copy_votes(dataset.folder, folder, held)
    write_judgements_info(folder, held)


def carry_judgements(
    folder: Location, info: DatasetInfo, ids: Sequence[str], sources: Sequence[Dataset]
) -> None:
    """Write the judgments that lie beside datasets for rows that were chosen from these.

    Args:
        folder: of the chosen rows.
        info: of the chosen rows.
        ids: of them, in order.
        sources: the datasets.
    """
    described: list[JudgementsInfo] = []
    judgments: dict[str, Judgment] = {}
    for source in sources:
        held = judgements_info(source.folder, source.info.digest)
        if held is None:
            continue
        described.append(held)
        for shard in range(source.info.shards):
            judgments |= judgments_beside(source.folder, source.info, shard)
    judgments = {name: judgments[name] for name in ids if name in judgments}
    if not judgments:
        return
    first = described[0]
    same = all(held.filter == first.filter for held in described)
    written = replace(
        first,
        spec_digest=info.digest,
        digest=digest_of([info.digest, *(held.digest for held in described)]),
        filter=first.filter if same else {},
        votes=sum(count or 0 for _, count in judgments.values()),
        left_out={},
        people=0,  # of those who judged rows of the sources, it is not known who judged these
        rows=len(judgments),
        simulated=any(held.simulated for held in described),
        files=tuple(dict.fromkeys(file for held in described for file in held.files)),
        in_shards=True,
    )
    make_folder(folder / JUDGEMENTS_FOLDER)
    for shard in range(info.shards):
        own = list(ids[slice(*info.shard_range(shard))])
        fractions, counts = zip(*(judgments.get(name, (None, None)) for name in own), strict=True)
        write_judgements(folder, written, shard, own, fractions, counts)
    for source in sources:
        held = judgements_info(source.folder, source.info.digest)
        if held is not None:
            _copy_votes(source.folder, folder, held)
    write_judgements_info(folder, written)


def _copy_votes(source: Location, folder: Location, held: JudgementsInfo) -> None:
    for name, _ in held.files:
        path = source / JUDGEMENTS_FOLDER / VOTES_FOLDER / name
        if path.exists():
            make_folder(folder / JUDGEMENTS_FOLDER / VOTES_FOLDER)
            _copy(path, folder / JUDGEMENTS_FOLDER / VOTES_FOLDER / name)


def _copy(source: Location, target: Location) -> None:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise WorkError(f"cannot read {source} ({error}); restore it from a copy") from None
    with whole_file(target) as temporary:
        temporary.write_bytes(data)


def judged_by(held: JudgementsInfo) -> str:
    """Who judged, such as "600 votes of 40 people"; empty where that is not known."""
    people = f" of {held.people:,} people" if held.people else ""
    votes = f"{held.votes:,} votes{people}" if held.votes else ""
    if not held.simulated:
        return votes
    observers = f" of {held.people:,} simulated observers" if held.people else ", simulated"
    return f"{held.votes:,} votes{observers}, not by people"


def describe_judgments(folder: Location, info: DatasetInfo) -> str:
    """How many rows are judged and by whom, in words; empty where none is, or it cannot be read."""
    try:
        held = judgements_info(folder, info.digest)
        if isinstance(folder, Url):
            rows = held.rows if held else 0  # reading all shards would take long
        else:
            rows = sum(_judged(Dataset(folder, info)))
    except BappsGenError:
        return ""
    if not rows:
        return ""
    by = judged_by(held) if held else ""
    return f"{rows:,} of {info.rows:,} rows{', by ' + by if by else ''}"


def _judged(dataset: Dataset) -> Iterator[int]:
    column = judgment_columns(dataset.info)[0]
    for batch in dataset.batches([column], 10_000):
        yield batch.num_rows - batch.column(column).null_count
