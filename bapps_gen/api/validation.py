"""Validating datasets, collections, benchmarks and zoos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from bapps_gen.api._arguments import (
    AnyPath,
    AnyProgress,
    AnyWorkers,
    LocalPath,
    Photos,
    local,
    open_photos,
    reporting,
    resolve_workers,
)
from bapps_gen.api.scoring import metric_options
from bapps_gen.checks import options_of, or_list
from bapps_gen.cnn_distorters.zoo import ZOO_NAME, Zoo
from bapps_gen.errors import UserError, unknown_name
from bapps_gen.manifests.benchmark_reader import Benchmark, find_benchmark
from bapps_gen.manifests.collection import Collection, is_collection, open_collection
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, open_dataset
from bapps_gen.pipelines.validation.options import (
    Limits,
    Thresholds,
    ValidationOptions,
    ZooOptions,
)
from bapps_gen.storage.locations import location_of

if TYPE_CHECKING:
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.execution.progress import ProgressBars
    from bapps_gen.pipelines.sources.source import Source
    from bapps_gen.pipelines.validation.dataset import SetReport
    from bapps_gen.pipelines.validation.html import Report


class ValidateOptions(TypedDict, total=False):
    """Options of `validate`, named as those of the command."""

    metric: str
    extremes: int
    invisible: float
    destroyed: float
    near: float
    flat: float
    max_invisible: float
    max_destroyed: float
    max_near_equal: float
    max_duplicates: float
    max_flat: float
    min_coverage: int
    min_spearman: float
    max_ks: float
    max_wasserstein: float
    max_use: float
    patches: int
    seed: int


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found; `validate` gives it.

    Args:
        values: all numbers as plain values, as `bapps-gen validate --json` writes them.
        missed: a line for each threshold that is missed, and for each set or distorter that is
            of no use.
        summary: the main numbers on one line.
    """

    values: Mapping[str, Any]
    missed: tuple[str, ...]
    summary: str

    @property
    def passed(self) -> bool:
        """Whether nothing is missed."""
        return not self.missed


def validate(
    dataset: AnyPath | Dataset | Collection | Benchmark | Zoo,
    *,
    against: AnyPath | Dataset | Collection | None = None,
    out: LocalPath | None = None,
    device: str = "auto",
    dtype: str = "auto",
    weights: LocalPath | None = None,
    source: Photos = (),
    sheet: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    **options: Unpack[ValidateOptions],
) -> Validation:
    """Say in numbers, and in a report, whether a dataset, collection, benchmark or zoo is good.

    Distances that a dataset or benchmark lacks are computed and kept beside it.

    Args:
        dataset: folder or URL of a dataset or a collection, folder of a benchmark or a zoo, or one
            that is open; `open_zoo()` is the zoo that comes with this package.
        against: another dataset, or collection, to compare with.
        out: HTML report to write; None for none.
        device, dtype, weights: of the metric, as in `score`; of datasets and collections.
        source: photos that a zoo is validated on; () for those that come with scikit-image.
        sheet: picture of all distorters of a zoo to write, .png or .webp; None for none.
        workers: parallel worker processes, None for all cores, or a `RayCluster`.
        progress: True for bars, or a function of (done, total), called for each step.
        options: of datasets and collections: `metric` of the distances, a name or a text as in
            `score` ("lpips-alex"); `extremes`, rows shown of each extreme (9); the distances that
            count as `invisible` (0.01 of lpips-alex, none of other metrics) and `destroyed` (0.8
            likewise), as `near`, the difference of equally distorted sides (0.01 likewise), and as
            `flat`, the standard deviation of luma, of full scale (0.02); thresholds, without which
            nothing is required:
            `max_invisible`, `max_destroyed`, `max_near_equal`, `max_duplicates` and `max_flat`
            are shares from 0 to 1, `min_coverage` a number of distortions up to 328,
            `min_spearman` the rho of severity and distance, and `max_ks`, `max_wasserstein` and
            `max_use` distances to `against`. Of benchmarks: `metric`, `invisible`, `destroyed`,
            `max_invisible`, `max_destroyed` and `min_spearman` of these. Of zoos: `patches`
            (256) and their `seed` (0).

    Returns:
        `values`, all numbers; `missed`, a line for each threshold missed; `passed`; `summary`.

    Raises:
        UserError: for an option out of range or of another kind, or a missing package.
        WorkError: when the dataset is incomplete or damaged, or a file cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> found = bapps_gen.validate(train, out="report.html", max_destroyed=0.5, workers=1)
        >>> found.values["rows"], 0 < found.values["distance"]["p50"] < 1, found.passed
        (6, True, True)
    """
    opened = open_any(dataset)
    values: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    requested: ValidationOptions | ZooOptions
    if isinstance(opened, Zoo):
        if against is not None:
            raise UserError("against applies to datasets, not to zoos; leave it out")
        requested = ZooOptions(**_sorted_options(values, "zoo", ZooOptions)[ZooOptions])
    else:
        if source or sheet is not None:
            raise UserError(
                f"source and sheet apply to zoos; {opened.folder} is none, leave them out"
            )
        parts = _sorted_options(values, "dataset", Limits, Thresholds, ValidationOptions)
        requested = ValidationOptions(
            **parts[ValidationOptions],
            limits=Limits(**parts[Limits]),
            thresholds=Thresholds(**parts[Thresholds]),
            metric_options=metric_options(device, dtype, weights),
        )
    report = run_validation(
        opened,
        requested,
        resolve_workers(workers),
        partial(reporting, progress),
        other=None if against is None else open_any(against),
        photos=partial(open_photos, source, progress),
        out=local(out),
        sheet=local(sheet),
    )
    return Validation(report.values(), report.missed, report.summary())


Validated = Dataset | Collection | Benchmark | Zoo
"""What can be validated."""


def open_any(given: AnyPath | Validated) -> Validated:
    """What is in a folder; one that is open is returned as it is."""
    if isinstance(given, Dataset | Collection | Benchmark | Zoo):
        return given
    folder = location_of(given)
    if is_collection(folder):
        return open_collection(folder)
    benchmark = find_benchmark(folder)
    if benchmark is not None:
        return benchmark
    if isinstance(folder, Path) and (folder / ZOO_NAME).is_file():
        from bapps_gen.cnn_distorters.zoo import open_zoo

        return open_zoo(folder)
    if isinstance(folder, Path) and not any(
        any(folder.glob(pattern)) for pattern in (INFO_NAME, f"*/*/*/{INFO_NAME}")
    ):
        lacking = "it holds none of these" if folder.exists() else "there is nothing of that name"
        raise UserError(
            f"{folder} is not a dataset, collection, benchmark or zoo: {lacking}; give the folder "
            "that --out named once something is made in it, or --zoo for the zoo of this package"
        )
    return open_dataset(folder)


def _sorted_options(
    values: Mapping[str, Any], what: str, *records: type[Any]
) -> dict[type[Any], dict[str, Any]]:
    """The values by the record that each is an option of.

    Raises:
        UserError: for one of none of the records.
    """
    parts: dict[type[Any], dict[str, Any]] = {record: {} for record in records}
    known = {entry.name: record for record in records for entry, _ in options_of(record)}
    for name, value in values.items():
        if name not in known:
            raise unknown_name(f"option of a {what}:", name, known, f"use {or_list(known)}")
        parts[known[name]][name] = value
    return parts


def run_validation(
    opened: Validated,
    options: ValidationOptions | ZooOptions,
    workers: Workers,
    progress: ProgressBars,
    *,
    photos: Callable[[], Source],
    other: Validated | None = None,
    out: Path | None = None,
    sheet: Path | None = None,
    on_report: Callable[[SetReport], None] = lambda report: None,
) -> Report:
    """Validate what is open, and write the page, and the sheet of a zoo, where they are asked for.

    Args:
        opened: what to validate.
        options: of its kind.
        workers: worker processes, or a Ray cluster.
        progress: opens a progress bar for a step of the work.
        photos: opens those that a zoo is validated on.
        other: what to compare with.
        out: HTML page.
        sheet: picture of a zoo's distorters.
        on_report: called with the report of each set of a collection.
    """
    _check_files(out, sheet)
    report: Report
    page: Callable[[], str]
    if isinstance(opened, Zoo):
        from bapps_gen.pipelines.validation.zoo import validate_zoo
        from bapps_gen.pipelines.validation.zoo_page import zoo_page
        from bapps_gen.pipelines.validation.zoo_sheet import write_zoo_sheet

        assert isinstance(options, ZooOptions)
        report = validate_zoo(opened, options, photos(), workers, progress)
        page = partial(zoo_page, report)
        if sheet is not None:
            write_zoo_sheet(sheet, report)
    elif isinstance(opened, Benchmark):
        from bapps_gen.pipelines.validation.benchmark import (
            benchmark_page,
            check_benchmark_thresholds,
            validate_benchmark,
        )

        assert isinstance(options, ValidationOptions)
        check_benchmark_thresholds(options.thresholds, compared=other is not None)
        report = validate_benchmark(opened, options, workers, progress=progress)
        page = partial(benchmark_page, report)
    elif isinstance(opened, Collection):
        from bapps_gen.pipelines.validation.collection import collection_page, validate_collection

        assert isinstance(options, ValidationOptions)
        if not (other is None or isinstance(other, Collection)):
            raise UserError(_OTHER_KIND)
        report = validate_collection(
            opened, options, workers, against=other, progress=progress, on_report=on_report
        )
        page = partial(collection_page, report)
    else:
        from bapps_gen.pipelines.validation.dataset import validate_dataset
        from bapps_gen.pipelines.validation.dataset_page import set_page

        assert isinstance(options, ValidationOptions)
        if not (other is None or isinstance(other, Dataset)):
            raise UserError(_OTHER_KIND)
        report = validate_dataset(opened, options, workers, other=other, progress=progress)
        page = partial(set_page, report)
    if out is not None:
        from bapps_gen.storage.atomic import whole_file

        with whole_file(out, alone=True) as path:
            path.write_text(page(), encoding="utf-8")
    return report


_OTHER_KIND = "against compares a dataset with one, or a collection with one"


def _check_files(out: Path | None, sheet: Path | None) -> None:
    """Raise UserError, before anything is computed, for files that could not be written."""
    if out is not None:
        from bapps_gen.pipelines.validation.html import environment

        environment()
        check_parent(out)
    if sheet is not None:
        from bapps_gen.imaging.files import check_image_name

        check_image_name(sheet)


def check_parent(path: Path) -> None:
    """Raise UserError unless a file's folder exists."""
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist; create it first")
