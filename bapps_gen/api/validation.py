"""Validating datasets, collections and zoos."""

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
    open_photos,
    reporting,
    resolve_workers,
)
from bapps_gen.checks import options_of, or_list
from bapps_gen.cnn_distorters.zoo import ZOO_NAME, Zoo
from bapps_gen.errors import UserError, unknown_name
from bapps_gen.manifests.collection import Collection, is_collection, open_collection
from bapps_gen.manifests.dataset import Dataset, open_dataset
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
    from bapps_gen.pipelines.validation.html import Report


class ValidateOptions(TypedDict, total=False):
    """Options of `validate`, named as those of the command."""

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
    dataset: AnyPath | Dataset | Collection | Zoo,
    *,
    against: AnyPath | Dataset | Collection | None = None,
    out: LocalPath | None = None,
    device: str = "auto",
    dtype: str = "float32",
    weights: LocalPath | None = None,
    source: Photos = (),
    sheet: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
    **options: Unpack[ValidateOptions],
) -> Validation:
    """Say in numbers, and in a report, whether a dataset, a collection or a zoo is good.

    LPIPS distances that a dataset lacks are computed and kept beside it.

    Args:
        dataset: folder or URL of a dataset or a collection, folder of a zoo, or one that is open;
            `open_zoo()` is the zoo that comes with this package.
        against: another dataset, or collection, to compare with.
        out: HTML report to write; None for none.
        device, dtype, weights: of LPIPS, as in `score`; of datasets and collections.
        source: photos that a zoo is validated on; () for those that come with scikit-image.
        sheet: picture of all distorters of a zoo to write, .png or .webp; None for none.
        workers: parallel worker processes, None for all cores, or a `RayCluster`.
        progress: True for bars, or a function of (done, total), called for each step.
        options: of datasets and collections: `extremes`, rows shown of each extreme (9); what
            counts as `invisible` (0.01) and `destroyed` (0.8) in LPIPS, as `near`, the difference
            of equally distorted sides in LPIPS (0.01), and as `flat`, the standard deviation of
            luma, of full scale (0.02); thresholds, without which nothing is required:
            `max_invisible`, `max_destroyed`, `max_near_equal`, `max_duplicates` and `max_flat`
            are shares from 0 to 1, `min_coverage` a number of distortions up to 328,
            `min_spearman` the rho of severity and LPIPS, and `max_ks`, `max_wasserstein` and
            `max_use` distances to `against`. Of zoos: `patches` (256) and their `seed` (0).

    Returns:
        `values`, all numbers; `missed`, a line for each threshold missed; `passed`; `summary`.

    Raises:
        UserError: for an option out of range or of another kind, or a missing package.
        WorkError: when the dataset is incomplete or damaged, or a file cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> found = bapps_gen.validate(train, out="report.html", max_destroyed=0.5, workers=1)
        >>> found.values["rows"], 0 < found.values["lpips"]["p50"] < 1, found.passed
        (6, True, True)
    """
    for path in (out, sheet):
        if path is not None and not Path(path).parent.is_dir():
            raise UserError(f"the folder {Path(path).parent} does not exist; create it first")
    opened = _opened(dataset)
    processes, bars = resolve_workers(workers), partial(reporting, progress)
    values: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if isinstance(opened, Zoo):
        if against is not None:
            raise UserError("against applies to datasets, not to zoos; leave it out")
        requested = ZooOptions(**_options_of(ZooOptions, values, "zoo"))
        return _validate_zoo(opened, requested, source, out, sheet, processes, progress)
    if source or sheet is not None:
        raise UserError(f"source and sheet apply to zoos; {opened.folder} is none, leave them out")
    wanted = _dataset_options(values, device, dtype, weights)
    other = None if against is None else _opened(against)
    if other is not None and isinstance(other, Collection) != isinstance(opened, Collection):
        raise UserError("against compares a dataset with one, or a collection with one")
    if isinstance(opened, Collection):
        assert other is None or isinstance(other, Collection)
        return _validate_collection(opened, other, wanted, out, processes, bars)
    assert other is None or isinstance(other, Dataset)
    return _validate_dataset(opened, other, wanted, out, processes, bars)


def _opened(given: AnyPath | Dataset | Collection | Zoo) -> Dataset | Collection | Zoo:
    if isinstance(given, Dataset | Collection | Zoo):
        return given
    folder = location_of(given)
    if is_collection(folder):
        return open_collection(folder)
    if isinstance(folder, Path) and (folder / ZOO_NAME).is_file():
        from bapps_gen.cnn_distorters.zoo import open_zoo

        return open_zoo(folder)
    return open_dataset(folder)


def _options_of(record: type[Any], values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The values, where they are all options of a record.

    Raises:
        UserError: for another.
    """
    known = [entry.name for entry, _ in options_of(record)]
    for name in values:
        if name not in known:
            raise unknown_name(f"option of a {what}:", name, known, f"use {or_list(known)}")
    return dict(values)


def _dataset_options(
    values: Mapping[str, Any], device: str, dtype: str, weights: LocalPath | None
) -> ValidationOptions:
    from bapps_gen.pipelines.scoring.options import MetricOptions

    parts: dict[type[Any], dict[str, Any]] = {Limits: {}, Thresholds: {}, ValidationOptions: {}}
    known = {entry.name: record for record in parts for entry, _ in options_of(record)}
    for name, value in values.items():
        if name not in known:
            raise unknown_name("option of a dataset:", name, known, f"use {or_list(known)}")
        parts[known[name]][name] = value
    metric = MetricOptions(device, dtype, None if weights is None else str(weights))
    return ValidationOptions(
        **parts[ValidationOptions],
        limits=Limits(**parts[Limits]),
        thresholds=Thresholds(**parts[Thresholds]),
        metric=metric,
    )


def _validate_dataset(
    dataset: Dataset,
    other: Dataset | None,
    options: ValidationOptions,
    out: LocalPath | None,
    workers: Workers,
    progress: ProgressBars,
) -> Validation:
    from bapps_gen.pipelines.validation.dataset import validate_dataset
    from bapps_gen.pipelines.validation.dataset_page import set_page

    report = validate_dataset(dataset, options, workers, other=other, progress=progress)
    return _finished(report, lambda: set_page(report), out)


def _validate_collection(
    collection: Collection,
    other: Collection | None,
    options: ValidationOptions,
    out: LocalPath | None,
    workers: Workers,
    progress: ProgressBars,
) -> Validation:
    from bapps_gen.pipelines.validation.collection import collection_page, validate_collection

    report = validate_collection(collection, options, workers, against=other, progress=progress)
    return _finished(report, lambda: collection_page(report), out)


def _validate_zoo(
    zoo: Zoo,
    options: ZooOptions,
    source: Photos,
    out: LocalPath | None,
    sheet: LocalPath | None,
    workers: Workers,
    progress: AnyProgress,
) -> Validation:
    from bapps_gen.imaging.files import check_image_name
    from bapps_gen.pipelines.validation.zoo import validate_zoo
    from bapps_gen.pipelines.validation.zoo_page import zoo_page
    from bapps_gen.pipelines.validation.zoo_sheet import write_zoo_sheet

    if sheet is not None:
        check_image_name(Path(sheet))
    photos = open_photos(source, progress)
    report = validate_zoo(zoo, options, photos, workers, partial(reporting, progress))
    if sheet is not None:
        write_zoo_sheet(Path(sheet), report)
    return _finished(report, lambda: zoo_page(report), out)


def _finished(report: Report, page: Callable[[], str], out: LocalPath | None) -> Validation:
    """What `validate` returns, with the page written where one is asked for."""
    if out is not None:
        from bapps_gen.storage.atomic import whole_file

        with whole_file(Path(out)) as path:
            path.write_text(page(), encoding="utf-8")
    return Validation(report.values(), report.missed, report.summary())
