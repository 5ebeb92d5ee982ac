"""A study's folder: made from datasets and a protocol, and opened again.

`study.json`, `trials.parquet` and `pictures.sqlite` are for whoever runs the study; the page and
the server give a browser only what a trial needs.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bapps_gen.errors import UserError, WorkError, first_line
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.parquet import open_parquet
from bapps_gen.pipelines.judging.study.pictures import PICTURES_NAME, opaque_id, write_pictures
from bapps_gen.pipelines.judging.study.plan import Picture, StudySet, plan_sessions
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.pipelines.judging.write import shard_ids
from bapps_gen.seeding import digest_of
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.documents import write_json
from bapps_gen.storage.locations import open_regular
from bapps_gen.storage.records import Count, Digest, Matching, parse_record, read_record
from bapps_gen.storage.workspace import Layout, claim
from bapps_gen.version import __version__

STUDY_NAME = "study.json"
TRIALS_NAME = "trials.parquet"
STUDY_FORMAT = 1
STUDY = Layout("study", STUDY_NAME)

TEXTS = ("consent", "instructions", "thanks")
_LONGEST_TEXT = 1_000_000
_KEY_BYTES = 32

TRIALS_SCHEMA = pa.schema(
    [
        ("session", pa.int32()),
        ("trial", pa.string()),
        ("phase", pa.string()),
        ("dataset", pa.int32()),
        ("row", pa.int64()),
        ("id", pa.string()),
        ("left", pa.string()),
        ("expected", pa.string()),
        ("images", pa.list_(pa.string())),
    ]
)
"""One row a trial, in the order of sessions and, in these, of showing."""


@dataclass(frozen=True, slots=True)
class StudyDataset:
    """A dataset of a study.

    Args:
        name: of its folder.
        kind: as its `dataset.json` has it.
        digest: of its spec.
        rows: number of rows.
        judgments: of each row.
    """

    name: str
    kind: str
    digest: Digest
    rows: Count
    judgments: Count


@dataclass(frozen=True, slots=True)
class StudyInfo:
    """What `study.json` holds. It is not for participants: the key would give ids away.

    Args:
        version: of this package.
        digest: of the protocol, texts, seed and datasets; names the study in votes.
        seed: of the plan.
        key: secret that ids and hashes of people are made with, in hex.
        protocol: its keys and values.
        texts: own texts in Markdown: consent, instructions, thanks; built-in ones are not here.
        datasets: in the order that trials refer to.
        sessions: number of sessions.
        trials: number of trials.
        format_version: STUDY_FORMAT.
    """

    version: str
    digest: Digest
    seed: Count
    key: Annotated[str, Matching(r"[0-9a-f]{64}", "64 hexadecimal digits")]
    protocol: Mapping[str, Any]
    texts: Mapping[str, str]
    datasets: tuple[StudyDataset, ...]
    sessions: Count
    trials: Count
    format_version: int = STUDY_FORMAT


@dataclass(frozen=True, slots=True)
class Study:
    """An opened study; `make_study` and `open_study` give it.

    Args:
        folder: of the study.
        info: what its `study.json` holds, such as `digest`, `sessions`, `trials` and `datasets`. It
            has the key, and is not for participants.
        protocol: how it runs.
    """

    folder: Path
    info: StudyInfo
    protocol: Protocol

    @property
    def key(self) -> bytes:
        """The secret that ids are made with."""
        return bytes.fromhex(self.info.key)

    def trials(self) -> pa.Table:
        """Every trial, with TRIALS_SCHEMA.

        Raises:
            WorkError: when the file is missing or damaged.
        """
        path = self.folder / TRIALS_NAME
        try:
            with open_parquet(path) as file:
                table = file.read()
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, first_line(error)) from None
        if not table.schema.equals(TRIALS_SCHEMA) or table.num_rows != self.info.trials:
            raise _damaged(path, "it is of another study")
        return table

    def wanted(self) -> Counter[str]:
        """How many votes each row is to have, by id.

        Raises:
            WorkError: as `trials`.
        """
        trials = self.trials()
        return Counter(trials["id"].filter(pc.equal(trials["phase"], "test")).to_pylist())


def _damaged(path: Path, problem: str) -> WorkError:
    return WorkError(f"{path} is missing or damaged ({problem}); restore it from a copy")


def make_study(
    folder: Path, datasets: Sequence[Dataset], protocol: Protocol, seed: int = 0
) -> Study:
    """Plan a study of some datasets and write its folder; one that is there already is kept.

    Args:
        folder: to create.
        datasets: all triplets or all pairs, as the protocol's task wants, with pictures.
        protocol: of the study.
        seed: of the plan.

    Raises:
        UserError: for datasets that the task cannot use, or when the folder holds something else or
            another study.
        WorkError: when a dataset is damaged or the disk is full.
    """
    _check_datasets(datasets, protocol)
    texts = {name: _text(getattr(protocol, name)) for name in TEXTS if getattr(protocol, name)}
    entries = tuple(
        StudyDataset(
            dataset.folder.name,
            dataset.info.kind,
            dataset.info.digest,
            dataset.info.rows,
            protocol.judgments_of(dataset.info.split),
        )
        for dataset in datasets
    )
    identity = _identity(protocol, texts, seed, entries)
    with claim(folder, STUDY):
        held = _read_info(folder)
        if held is not None:
            held_identity = _identity(
                Protocol(**held.protocol), held.texts, held.seed, held.datasets
            )
            STUDY.require_same(folder, held_identity, identity)
            return Study(folder, held, protocol)
        key = secrets.token_bytes(_KEY_BYTES)
        trials = _write_plan(folder, datasets, entries, protocol, seed, key)
        info = StudyInfo(
            version=__version__,
            digest=digest_of(identity),
            seed=seed,
            key=key.hex(),
            protocol=_plain(protocol),
            texts=texts,
            datasets=entries,
            sessions=int(trials["session"][-1].as_py()) + 1,
            trials=trials.num_rows,
        )
        write_json(folder / STUDY_NAME, asdict(info))
    return Study(folder, info, protocol)


def _identity(
    protocol: Protocol, texts: Mapping[str, str], seed: int, entries: Sequence[StudyDataset]
) -> dict[str, Any]:
    return {
        **_plain(protocol),
        "texts": dict(texts),
        "seed": seed,
        "datasets": [asdict(entry) for entry in entries],
    }


def _plain(protocol: Protocol) -> dict[str, Any]:
    """A protocol's values without the places of its texts, which are kept themselves."""
    return {name: value for name, value in protocol.values().items() if name not in TEXTS}


def _check_datasets(datasets: Sequence[Dataset], protocol: Protocol) -> None:
    unit = "triplets" if protocol.task == "2afc" else "pairs"
    for dataset in datasets:
        dataset.require_pictures()
        if dataset.info.unit != unit:
            raise UserError(
                f"{dataset.folder} has {dataset.info.unit}, but task = {protocol.task} needs "
                f"{unit}; leave it out or give the other task"
            )
    digests = [dataset.info.digest for dataset in datasets]
    for dataset in datasets:
        if digests.count(dataset.info.digest) > 1:
            raise UserError(f"{dataset.folder} is given twice; give each dataset once")


def _text(path: str) -> str:
    try:
        with open_regular(Path(path)) as file:
            return file.read(_LONGEST_TEXT).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {first_line(error)}; name a Markdown file") from None


def _write_plan(
    folder: Path,
    datasets: Sequence[Dataset],
    entries: Sequence[StudyDataset],
    protocol: Protocol,
    seed: int,
    key: bytes,
) -> pa.Table:
    sets = [StudySet(entry.rows, entry.judgments) for entry in entries]
    columns: dict[str, list[Any]] = {name: [] for name in TRIALS_SCHEMA.names}
    ids = [[name for shard in shard_ids(dataset) for name in shard] for dataset in datasets]
    numbers: dict[Picture, int] = {}
    images: dict[str, int] = {}
    for session, trials in enumerate(plan_sessions(sets, protocol, seed)):
        for place, trial in enumerate(trials):
            shown = []
            for slot, picture in enumerate(trial.pictures):
                identity = opaque_id(key, "image", session, place, slot)
                images[identity] = numbers.setdefault(picture, len(numbers))
                shown.append(identity)
            is_test = trial.phase == "test"
            values = (
                session,
                opaque_id(key, "trial", session, place),
                trial.phase,
                trial.dataset,
                trial.row if is_test else -1,
                ids[trial.dataset][trial.row] if is_test else "",
                trial.left,
                trial.expected,
                shown,
            )
            for name, value in zip(columns, values, strict=True):
                columns[name].append(value)
    write_pictures(folder / PICTURES_NAME, datasets, numbers, images)
    table = pa.Table.from_pydict(columns, schema=TRIALS_SCHEMA)
    with whole_file(folder / TRIALS_NAME) as path:
        pq.write_table(table, path, compression="zstd", write_page_checksum=True)
    return table


def open_study(folder: Path) -> Study:
    """Open a study's folder.

    Raises:
        UserError: when it is not one.
        WorkError: when `study.json` is damaged.
    """
    info = _read_info(folder)
    if info is None:
        raise UserError(f"{folder} is not a study: it has no {STUDY_NAME}; give what --out named")
    try:
        protocol = parse_record(Protocol, dict(info.protocol), "protocol")
    except UserError as error:
        path = folder / STUDY_NAME
        raise WorkError(f"{path} is damaged: {error}; restore it from a copy") from None
    return Study(folder, info, protocol)


def _read_info(folder: Path) -> StudyInfo | None:
    try:
        return read_record(folder / STUDY_NAME, StudyInfo, STUDY_FORMAT)
    except (FileNotFoundError, NotADirectoryError):
        return None
