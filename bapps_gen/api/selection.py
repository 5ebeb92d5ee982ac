"""Subsets of datasets, and datasets merged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bapps_gen.api._arguments import AnyProgress, LocalPath, reporting
from bapps_gen.api.datasets import AnyDataset, Dataset, open_dataset
from bapps_gen.errors import UserError
from bapps_gen.manifests.rows import ManifestRow


def subset(
    dataset: AnyDataset,
    where: str | Callable[[ManifestRow], bool],
    *,
    out: LocalPath,
    progress: AnyProgress = False,
) -> Dataset:
    """Write the rows of a dataset for which a condition holds as a dataset of their own.

    Rows keep their ids, pictures, judgments and distances, and are verified and replayed as those
    of the whole dataset are.

    Args:
        dataset: its folder, its URL, or the open dataset; a recipe gives a recipe.
        where: a condition in SQL, such as "distortion0 = 'jpeg' AND severity0 < 0.5", which needs
            DuckDB; or a function of a row. Columns are those of the rows without pictures;
            `severity0` and `severity1`, the highest severity of a side's steps; and distances by
            the metrics that the dataset was scored by, such as `d0_lpips_alex`.
        out: folder of the subset, new or empty.
        progress: True for a bar, or a function of (rows done, rows in all).

    Returns:
        The subset, open.

    Raises:
        UserError: when the condition is none, or holds for no row; or `out` is in use.
        WorkError: when the dataset is incomplete or damaged, or `out` cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> few = bapps_gen.subset(train, "row < 4 AND len(steps0) >= 1", out="four")
        >>> len(few), few[3].id == train[3].id
        (4, True)
        >>> len(bapps_gen.subset(few, lambda row: row.row > 0, out="three"))
        3
    """
    from bapps_gen.pipelines.datasets.selection import write_subset
    from bapps_gen.pipelines.datasets.where import row_filter, sql_filter

    opened = open_dataset(dataset)
    if isinstance(where, str):
        choose, described = sql_filter(where), where
    else:
        choose, described = row_filter(where), f"{getattr(where, '__name__', 'a function')}(row)"
    with reporting(progress, "subset", "rows") as report:
        write_subset(opened, choose, Path(out), described, report)
    return open_dataset(Path(out))


def merge(
    datasets: Sequence[AnyDataset], *, out: LocalPath, progress: AnyProgress = False
) -> Dataset:
    """Write the rows of several datasets as one dataset, in their order.

    Rows keep their ids, pictures and judgments, and distances that all of the datasets have; they
    are verified and replayed as those of the datasets that they were made as.

    Args:
        datasets: two or more, their folders, URLs, or open ones; of any kinds, but all of triplets
            or all of pairs, and all with pictures or all recipes.
        out: folder of the merged dataset, new or empty.
        progress: True for a bar, or a function of (rows done, rows in all).

    Returns:
        The merged dataset, open.

    Raises:
        UserError: when they cannot be one dataset, or have a row in common; or `out` is in use.
        WorkError: when a dataset is incomplete or damaged, or `out` cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=6, out="train", workers=1)
        >>> more = bapps_gen.make_dataset("traditional", rows=4, seed=1, out="others", workers=1)
        >>> both = bapps_gen.merge([train, more], out="both")
        >>> len(both), both[6].id == more[0].id
        (10, True)
    """
    from bapps_gen.pipelines.datasets.selection import write_merged

    if isinstance(datasets, str):
        raise UserError("datasets is one path; give a list of two or more")
    opened = [open_dataset(dataset) for dataset in datasets]
    with reporting(progress, "merge", "rows") as report:
        write_merged(opened, Path(out), report)
    return open_dataset(Path(out))
