"""Studies: planned from datasets, exported, and their votes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from bapps_gen.api._arguments import LocalPath, local, several
from bapps_gen.api.datasets import AnyDataset, open_dataset
from bapps_gen.manifests.collection import Collection, is_collection, open_collection
from bapps_gen.pipelines.judging.study.protocol import Protocol, protocol_of
from bapps_gen.pipelines.judging.study.study import Study
from bapps_gen.pipelines.judging.study.study import make_study as write_study
from bapps_gen.pipelines.judging.study.study import open_study as open_folder
from bapps_gen.storage.locations import location_of
from bapps_gen.storage.url import Url

if TYPE_CHECKING:
    from bapps_gen.manifests.dataset import Dataset


def make_study(
    datasets: AnyDataset | Collection | Sequence[AnyDataset | Collection],
    *,
    out: LocalPath,
    protocol: LocalPath | Protocol | None = None,
    seed: int = 0,
    **options: Any,
) -> Study:
    """Plan a study of datasets, and write its folder.

    `bapps-gen study serve` runs it; `export_study` writes it for other places.

    Args:
        datasets: folders or URLs of datasets, or open ones; of collections, all sets of the task.
        out: folder of the study, new or empty; the same study there is opened.
        protocol: TOML file with the protocol, or a `Protocol`; None for that of the paper's
            section 2.2.
        seed: of the plan.
        options: values of the protocol, instead of those of the file, such as `trials=50`, or
            `task="jnd"`. The task follows from the rows where nothing says it.

    Returns:
        The study: `folder`, `info`, `protocol`, and `trials()`, a table of all that is planned.

    Raises:
        UserError: for values that are not allowed, datasets that the task cannot use, or when `out`
            holds something else.
        WorkError: when a dataset is incomplete or damaged, or `out` cannot be written.

    Example:
        >>> import bapps_gen
        >>> asked = bapps_gen.make_dataset("traditional", rows=6, out="asked", workers=1)
        >>> study = bapps_gen.make_study(asked, out="study", trials=3, sentinels=2, judgments=2)
        >>> study.info.sessions, study.info.trials, study.protocol.question
        (4, 20, 'Which is more similar to the one in the middle?')
    """
    from bapps_gen.pipelines.judging.judge import task_of

    opened, are_sets = _open_all(datasets)
    if not isinstance(protocol, Protocol):
        protocol = protocol_of(local(protocol), options, task_of(opened[0]))
    elif options:
        protocol = Protocol(**{**protocol.values(), **options})
    # Of a collection the sets of the task are meant; a single dataset of the other is an error.
    fitting = [dataset for dataset in opened if task_of(dataset) == protocol.task]
    return write_study(Path(out), opened if are_sets else fitting or opened, protocol, seed)


def open_study(folder: LocalPath) -> Study:
    """Open a study that was made.

    Args:
        folder: of the study.

    Returns:
        The study, as `make_study` gives it.

    Raises:
        UserError: when it is none.
        WorkError: when it is damaged.

    Example:
        >>> import bapps_gen
        >>> data = bapps_gen.make_dataset("traditional", rows=6, out="data", workers=1)
        >>> made = bapps_gen.make_study(data, out="opened", trials=6)
        >>> study = bapps_gen.open_study("opened")
        >>> study.protocol.task, study.trials().num_rows == study.info.trials
        ('2afc', True)
    """
    return open_folder(Path(folder))


def study_votes(
    study: LocalPath | Study, results: LocalPath | Sequence[LocalPath] = ()
) -> pa.Table:
    """The votes of a study: those that its server stored, and those in results of its exports.

    Args:
        study: its folder, or the open study; its server may be running.
        results: files that people saved, results of JATOS as text or archive, tables of Mechanical
            Turk. A vote that is in several of them counts once.

    Returns:
        An Arrow table with a row for each vote, as it came, in the order of time; `judge` takes it.

    Raises:
        UserError: when a file holds no results of this study, or was changed.
        WorkError: when the study or its database is damaged.

    Example:
        >>> import bapps_gen
        >>> rows = bapps_gen.make_dataset("traditional", rows=6, out="rows", workers=1)
        >>> votes = bapps_gen.study_votes(bapps_gen.make_study(rows, out="new", trials=6))
        >>> votes.num_rows, votes.column_names[:4]
        (0, ['study', 'session', 'person', 'trial'])
    """
    from bapps_gen.pipelines.judging.study.results import study_votes as read

    files = [results] if isinstance(results, str | os.PathLike) else results
    return read(_opened(study), [Path(file) for file in files])


def export_study(
    study: LocalPath | Study,
    out: LocalPath,
    *,
    format: Literal["jatos", "mturk", "static"],
    url: str | None = None,
) -> Path:
    """Write a study for JATOS, Mechanical Turk or any web host; needs the extra `study`.

    Args:
        study: its folder, or the open study.
        out: folder to create, or the .jzip file of JATOS.
        format: jatos gives a study archive to import there; mturk a page for a web host of yours,
            with a batch of HITs that show it; static a page for any web host or disk, whose votes
            people save as files.
        url: of mturk, the HTTPS address that the folder `site` is going to have.

    Returns:
        What was written.

    Raises:
        UserError: for an address that does not fit, or when `out` holds something else.
        WorkError: when the study is damaged, or `out` cannot be written.

    Example:
        >>> import bapps_gen
        >>> triplets = bapps_gen.make_dataset("traditional", rows=6, out="triplets", workers=1)
        >>> study = bapps_gen.make_study(triplets, out="shared", trials=6, judgments=1)
        >>> out = bapps_gen.export_study(study, "static", format="static")
        >>> (out / "index.html").is_file(), len(list((out / "sessions").iterdir()))
        (True, 1)
    """
    from bapps_gen.pipelines.judging.study.export import export_study as write

    write(_opened(study), format, Path(out), url)
    return Path(out)


def _opened(study: LocalPath | Study) -> Study:
    return study if isinstance(study, Study) else open_folder(Path(study))


def _open_all(given: Any) -> tuple[list[Dataset], bool]:
    """The datasets of all that is given, and whether no collection is among them."""
    datasets: list[Dataset] = []
    are_sets = True
    for one in several(given):
        if isinstance(one, str | os.PathLike | Url) and is_collection(location_of(one)):
            one = open_collection(location_of(one))
        if isinstance(one, Collection):
            are_sets = False
            datasets += [open_dataset(dataset) for _, dataset in one.datasets()]
        else:
            datasets.append(open_dataset(one))
    return datasets, are_sets
