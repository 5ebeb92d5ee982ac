"""Judgments beside a dataset's shards, taken along to what is made of the dataset, and in words."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
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

RawFile = tuple[str, bytes]
"""Name and content of a file of votes or answers, as it came."""


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
    _write_shards(folder, info, written, ids, judgments)
    for source in sources:
        held = judgements_info(source.folder, source.info.digest)
        if held is not None:
            _copy_votes(source.folder, folder, held)
    write_judgements_info(folder, written)


def bring_judgements(
    folder: Location,
    info: DatasetInfo,
    held: JudgementsInfo,
    judgments: Mapping[str, Judgment],
    name: str,
) -> None:
    """Write the judgments of an exported set beside its rows as they are imported.

    Args:
        folder: of the imported dataset.
        info: of the imported dataset.
        held: what the export says of the judgments.
        judgments: by id, of all rows in their order.
        name: of the set, for the file of answers that is kept of them.
    """
    written = replace(
        held,
        spec_digest=info.digest,
        digest=digest_of([info.digest, held.digest]),
        rows=len(judgments),
        files=keep_raw(folder, [answers_file(info, name, judgments)]),
        in_shards=True,
    )
    _write_shards(folder, info, written, list(judgments), judgments)
    write_judgements_info(folder, written)


def _write_shards(
    folder: Location,
    info: DatasetInfo,
    written: JudgementsInfo,
    ids: Sequence[str],
    judgments: Mapping[str, Judgment],
) -> None:
    make_folder(folder / JUDGEMENTS_FOLDER)
    for shard in range(info.shards):
        own = list(ids[slice(*info.shard_range(shard))])
        fractions, counts = zip(*(judgments.get(name, (None, None)) for name in own), strict=True)
        write_judgements(folder, written, shard, own, fractions, counts)


def answers_file(info: DatasetInfo, name: str, judgments: Mapping[str, Judgment]) -> RawFile:
    """Judgments by id as a CSV file of answers, which `name` and its content name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", judgment_columns(info)[0], "count"])
    writer.writerows([key, *judgments[key]] for key in sorted(judgments))
    data = text.getvalue().encode()
    return f"{name}-{sha256(data)[:8]}.csv", data


def keep_raw(folder: Location, raw: Sequence[RawFile]) -> tuple[tuple[str, str], ...]:
    """Keep files of votes or answers beside a dataset's judgments.

    Another file of the same name that came before stays; the newer one's name gets its SHA-256.

    Args:
        folder: of the dataset.
        raw: the files.

    Returns:
        The names of the copies, with their SHA-256.
    """
    kept, folder = [], folder / JUDGEMENTS_FOLDER / VOTES_FOLDER
    make_folder(folder)
    for name, data in raw:
        digest = sha256(data)
        if (folder / name).exists() and (folder / name).read_bytes() != data:
            stem, dot, suffix = name.rpartition(".")
            name = f"{stem}-{digest[:16]}{dot}{suffix}"
        if not (folder / name).exists():
            with whole_file(folder / name) as temporary:
                temporary.write_bytes(data)
        kept.append((name, digest))
    return tuple(kept)


def sha256(data: bytes) -> str:
    """64 hexadecimal digits of the SHA-256 of a file's content."""
    return hashlib.sha256(data).hexdigest()


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
