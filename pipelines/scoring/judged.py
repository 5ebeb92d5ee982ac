"""Rows that observers judged, with their distances: from datasets and from the original layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.manifests.dataset import INFO_NAME, Dataset, open_dataset
from bapps_gen.manifests.judgements import JUDGMENT_COLUMNS, judgements_info
from bapps_gen.manifests.rows import PATCH_SIZE, rows_within, task_of_patches
from bapps_gen.manifests.scores import read_scores
from bapps_gen.metrics import MetricSpec
from bapps_gen.metrics.agreement import Values
from bapps_gen.metrics.bootstrap import Keys
from bapps_gen.metrics.distance_file import DistanceFile
from bapps_gen.pipelines.datasets.original import OriginalSet, find_sets, read_judgment, read_row
from bapps_gen.pipelines.scoring.distances import check_finite, distances_of
from bapps_gen.pipelines.scoring.options import (
    MetricOptions,
    check_metrics,
    check_patch_size,
)
from bapps_gen.pipelines.scoring.score import (
    files_of,
    kept_threads,
    one_dtype,
    resolve_workers,
    score,
    share_threads,
)
from bapps_gen.storage.locations import Location
from bapps_gen.storage.url import Url

_JOB_ROWS = 200
_DEPTH = 4

SET_GROUPS: Mapping[str, str] = {
    "traditional": "distortions",
    "cnn": "distortions",
    "mix": "distortions",
    "superres": "real",
    "frameinterp": "real",
    "deblur": "real",
    "color": "real",
}
"""Sets by what distorted them, as the paper's Figure 4 divides them: programs that distort on
purpose, or algorithms that are used. Other sets are in neither group."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One set with distances and judgments, each (N,).

    Args:
        name: of the set.
        task: "2afc" or "jnd".
        judgment: fraction of observers who prefer p1, or who say same.
        distances: (d0, d1) by metric, or (d0,) for JND.
        left_out: rows without judgment.
        settings: of each metric.
        counts: number of observers of each row, NaN where unknown; None where no row's is known.
        simulated: whether any of them was simulated.
        kind: what distorted the patches, as the released BAPPS names its sets: "traditional",
            "cnn", "superres" and so on; that of a set made or merged otherwise is its own.
        split: "train", "val" or "test", or None where that is not known.
        index: of the judged rows among all rows of the set, rising.
        photos: the first 8 bytes of the SHA-256 of the photo that each row was cut from, uint64;
            None where that is not known. In the original layout, and sets imported from there, each
            reference counts as a photo.
        source: what the rows were read from; see `bapps_gen.pipelines.scoring.sides` for what
            else is known of them.
        patch_size: height and width of the patches in px.
        bilinear: how pictures of the original layout were read.
    """

    name: str
    task: str
    judgment: Values
    distances: Mapping[str, tuple[Values, ...]]
    left_out: int
    settings: Mapping[str, Mapping[str, str]]
    counts: Values | None = None
    simulated: bool = False
    kind: str = ""
    split: str | None = None
    index: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    photos: Keys | None = None
    source: Dataset | OriginalSet | None = None
    patch_size: int = PATCH_SIZE
    bilinear: bool = False

    @property
    def group(self) -> str | None:
        """Of the kind: "distortions", "real", or None for another."""
        return SET_GROUPS.get(self.kind)


def find_judged(folder: Location) -> list[Dataset | OriginalSet]:
    """The dataset or set in the original layout in a folder, or all in folders below it.

    Raises:
        UserError: when there is none.
    """
    datasets = [open_dataset(below) for below in _dataset_folders(folder, _DEPTH)]
    if datasets:
        return [*datasets]
    if isinstance(folder, Url):
        raise UserError(f"{folder} holds no dataset; give the URL that --out named")
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give that of a dataset, or one that holds some")
    return [*find_sets(folder)]


def _dataset_folders(folder: Location, depth: int) -> list[Location]:
    if (folder / INFO_NAME).is_file():
        return [folder]
    if not depth or not folder.is_dir() or (folder / "p0").is_dir():
        return []
    folders = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    folders.sort(key=lambda path: path.name)
    return [below for path in folders for below in _dataset_folders(path, depth - 1)]


def judged_dataset(
    dataset: Dataset,
    metrics: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    progress: Progress | None = None,
) -> Judged:
    """A dataset's judgments and distances; missing distances are computed and stored beside it.

    Rows that nobody judged are left out and counted.

    Raises:
        UserError: when no row is judged, or as `score`.
        WorkError: as `score`.
    """
    specs = check_metrics(metrics, options)
    task = task_of_patches(dataset.info.patches)
    judgment, counts, photos = read_judgments(dataset)
    is_judged = ~np.isnan(judgment)
    if not is_judged.any():
        raise UserError(
            f"no row of {dataset.folder} has a judgment; judge it first, with `bapps-gen judge`"
        )
    score(dataset, metrics, options, workers, progress, reuse=True)
    distances, settings = {}, {}
    for spec in specs:
        scores = read_scores(dataset, spec.name)
        sides = (scores.d0,) if scores.d1 is None else (scores.d0, scores.d1)
        distances[spec.name] = tuple(values[is_judged] for values in sides)
        settings[spec.name] = scores.info.settings
    left_out = int((~is_judged).sum())
    name = f"{dataset.info.kind} ({dataset.folder})"
    counts = counts[is_judged]
    return Judged(
        name,
        task,
        judgment[is_judged],
        distances,
        left_out,
        settings,
        None if np.isnan(counts).all() else counts,
        is_simulated(dataset),
        dataset.info.kind.removeprefix(f"{task}-"),
        dataset.info.split,
        np.flatnonzero(is_judged),
        None if photos is None else photos[is_judged],
        dataset,
        dataset.info.patch_size,
    )


def read_judgments(dataset: Dataset) -> tuple[Values, Values, Keys | None]:
    """What is known of the judgments of all rows, (N,) each.

    Returns:
        The fraction of observers who prefer p1 or say same, NaN where nobody judged; the number of
        observers, NaN where unknown; and the first 8 bytes of the SHA-256 of the row's photo, None
        for all rows where one is missing.
    """
    columns = JUDGMENT_COLUMNS[task_of_patches(dataset.info.patches)]
    judgments, photos = [], []
    for batch in dataset.batches((*columns, "source_sha256"), 10_000):
        values = [batch.column(name).cast(pa.float64()).to_numpy(False) for name in columns]
        judgments.append(np.stack(values))
        photos.append(_photo_keys(batch.column("source_sha256")))
    judgment, counts = np.concatenate(judgments, axis=1)
    known = [keys for keys in photos if keys is not None]
    return judgment, counts, np.concatenate(known) if len(known) == len(photos) else None


def is_simulated(dataset: Dataset) -> bool:
    """Whether any judgment of a dataset came from simulated observers."""
    info = judgements_info(dataset.folder, dataset.info.digest)
    return info is not None and info.simulated


def _photo_keys(digests: pa.Array) -> Keys | None:
    """The first 8 bytes of SHA-256 digests in hexadecimal; None where one is missing."""
    if digests.null_count:
        return None
    encoded = digests.dictionary_encode()
    keys = [int(digest[:16], 16) for digest in encoded.dictionary.to_pylist()]
    return np.asarray(np.array(keys, np.uint64)[encoded.indices.to_numpy(zero_copy_only=False)])


@dataclass(frozen=True, slots=True)
class _Context:
    original: OriginalSet
    metrics: tuple[MetricSpec, ...]
    options: MetricOptions
    bilinear: bool
    patch_size: int
    threads: int


def judged_original(
    original: OriginalSet,
    metrics: Sequence[str],
    options: MetricOptions,
    workers: Workers,
    *,
    patch_size: int,
    bilinear: bool = False,
    progress: Progress | None = None,
) -> Judged:
    """Judgments and distances of a set in the original layout; nothing is stored.

    Args:
        patch_size: height and width of the patches in px.
        bilinear: reduce pictures to that as the original loader does, for the published numbers;
            see `read_patch`.

    Raises:
        UserError: naming a file that cannot be used, or for bad options.
    """
    specs = check_metrics(metrics, options)
    check_patch_size(specs, patch_size)
    # Loaded here too, so that errors in them come before the pictures are read.
    here, options = one_dtype(specs, options, workers)
    settings = {}
    for spec in specs:
        metric = here.load(spec)
        if isinstance(metric, DistanceFile):
            metric.check_rows(original.stems, len(original.files) - 2)
        settings[spec.name] = metric.settings
    total = len(original.stems)
    last = len(original.files) - 1
    judgment = np.array([read_judgment(original.path(last, row)) for row in range(total)])
    step = rows_within(_JOB_ROWS, patch_size)
    ranges = [(first, min(first + step, total)) for first in range(0, total, step)]
    resolved, processes, threads = resolve_workers(specs, options, workers, len(ranges))
    context = _Context(original, specs, resolved, bilinear, patch_size, threads)
    shared = [original.folder, *files_of(specs, options)]
    parts: dict[int, tuple[Keys, dict[str, tuple[Values, ...]]]] = {}
    done = 0
    with kept_threads(specs):
        for first, photos, distances in run_jobs(
            _prepare_distances, context, ranges, processes, shared
        ):
            parts[first] = photos, distances
            done = min(done + step, total)
            if progress:
                progress(done, total)
    ordered = [parts[first] for first in sorted(parts)]
    joined = {
        spec.name: tuple(
            np.concatenate(values)
            for values in zip(*(part[spec.name] for _, part in ordered), strict=True)
        )
        for spec in specs
    }
    return Judged(
        original.label,
        original.task,
        judgment,
        joined,
        0,
        settings,
        simulated=original.simulated,
        kind=original.name,
        split=original.split or None,
        index=np.arange(total),
        photos=np.concatenate([photos for photos, _ in ordered]),
        source=original,
        patch_size=patch_size,
        bilinear=bilinear,
    )


_Part = tuple[int, Keys, dict[str, tuple[Values, ...]]]


def _prepare_distances(context: _Context) -> Callable[[tuple[int, int]], _Part]:
    share_threads(context.metrics, context.threads)
    metrics = {spec: context.options.load(spec) for spec in context.metrics}
    sides = len(context.original.files) - 2

    def distances(rows: tuple[int, int]) -> _Part:
        read, photos = [], []
        for row in range(*rows):
            pictures, reference = read_row(
                context.original, row, context.patch_size, bilinear=context.bilinear
            )
            read.append(pictures)
            photos.append(int.from_bytes(hashlib.sha256(reference).digest()[:8], "big"))
        patches = tuple(np.stack(part) for part in zip(*read, strict=True))
        ids = context.original.stems[slice(*rows)]
        found = {}
        for spec, metric in metrics.items():
            found[spec.name] = distances_of(metric, ids, patches, sides)
            check_finite(spec, ids, found[spec.name])
        return rows[0], np.array(photos, np.uint64), found

    return distances
