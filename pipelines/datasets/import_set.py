"""Sets in the original folder layout of BAPPS, turned into datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress, ProgressBars, advance
from bapps_gen.imaging.encode import encode_png, pixel_hash
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.manifests.judgements import judgements_info
from bapps_gen.manifests.origin import Origin, published
from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES, Crop, ManifestRow, row_id
from bapps_gen.pipelines.datasets.generate import GenerateReport, RunReport, fill_shards, write_run
from bapps_gen.pipelines.datasets.import_options import ImportOptions
from bapps_gen.pipelines.datasets.judged import bring_judgements
from bapps_gen.pipelines.datasets.listed_judgments import judgment_of, listed_judgments
from bapps_gen.pipelines.datasets.original import TASKS, OriginalSet, find_sets, read_row
from bapps_gen.pipelines.datasets.runs import Run
from bapps_gen.pipelines.rows.options import PATCH_SIZE, ROWS, resolve_shard_size
from bapps_gen.seeding import digest_of
from bapps_gen.storage.locations import Location, file_sha256
from bapps_gen.version import __version__

_HASH_ROWS = 500


def _prepare_hashes(original: OriginalSet) -> Callable[[tuple[int, int]], tuple[int, list[str]]]:
    def hash_rows(rows: tuple[int, int]) -> tuple[int, list[str]]:
        lines = []
        for row in range(*rows):
            for part in range(len(original.files)):
                path = original.path(part, row)
                try:
                    digest = file_sha256(path)
                except OSError as error:
                    raise UserError(f"cannot read {path}: {error.strerror}") from error
                lines.append(f"{TASKS[original.task][part]}/{original.files[part][row]} {digest}")
        return rows[0], lines

    return hash_rows


def files_digest(original: OriginalSet, workers: Workers, progress: Progress | None = None) -> str:
    """32 hexadecimal digits of SHA-256 over the names and SHA-256 of all files of a set."""
    total = len(original.stems)
    ranges = [(first, min(first + _HASH_ROWS, total)) for first in range(0, total, _HASH_ROWS)]
    parts: dict[int, list[str]] = {}
    done = 0
    jobs = run_jobs(_prepare_hashes, original, ranges, workers, (original.folder,))
    for first, lines in jobs:
        parts[first] = lines
        done += len(lines) // len(original.files)
        if progress:
            progress(done, total)
    digest = hashlib.sha256()
    for first in sorted(parts):
        for line in parts[first]:
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:32]


def describe_import(original: OriginalSet, digest: str, options: ImportOptions) -> DatasetInfo:
    """The `dataset.json` of an imported set, from the digest over its files.

    Raises:
        UserError: when there are too many rows.
    """
    ROWS.check("n", len(original.stems))
    spec: dict[str, str | int] = {
        "imported": original.task,
        "set": original.name,
        "split": original.split,
        "files_digest": digest,
    }
    if options.patch_size != PATCH_SIZE.default:
        spec["patch_size"] = options.patch_size
    origin = Origin((str(original.folder),))
    return DatasetInfo(
        kind=f"{original.task}-{original.name}",
        version=__version__,
        spec=spec,
        digest=digest_of(spec),
        rows=len(original.stems),
        shard_rows=resolve_shard_size(options.shard_size, options.patch_size),
        distortions={},
        units={},
        origin=origin,
        **published(origin),
        source_digest=digest,
        source_images=(),
        source_failures={},
        patches=PATCHES if original.task == "2afc" else PAIR_PATCHES,
        split=original.split or None,
    )


@dataclass(frozen=True, slots=True)
class ImportContext:
    """What every worker needs; sent once to each."""

    folder: Location
    info: DatasetInfo
    original: OriginalSet


def import_sets(
    folder: Path,
    out: Location,
    workers: Workers,
    options: ImportOptions,
    *,
    hashing: ProgressBars,
    importing: ProgressBars,
    check: str | None = None,
) -> Iterator[tuple[OriginalSet, Location, GenerateReport]]:
    """Import the set in a folder, or all sets in folders below it; gives each once it is there.

    Args:
        folder: of one set or several.
        out: where the dataset goes; of several sets, each goes to its path below.
        workers: worker processes, or a Ray cluster.
        options: of the datasets.
        hashing, importing: open progress bars for the two steps of each set.
        check: see `fill_shards`.

    Raises:
        UserError, WorkError: as `find_sets` and `import_set`.
    """
    for original in find_sets(folder):
        target = out / original.folder.relative_to(folder)
        with hashing(f"hashing {original.label}", "rows") as progress:
            digest = files_digest(original, workers, progress)
        with importing(f"importing {original.label}", "rows") as progress:
            report = import_set(original, target, workers, digest, options, progress, check)
        yield original, target, report


def import_set(
    original: OriginalSet,
    out: Location,
    workers: Workers,
    digest: str,
    options: ImportOptions,
    progress: Progress | None = None,
    check: str | None = None,
) -> GenerateReport:
    """Turn a set in the original layout into a dataset, or make what is missing; see `fill_shards`.

    For JND, p0 becomes the reference and p1 the distorted patch. Rows are in the order of file
    names, their source is the file's stem with the SHA-256 of the reference's file; there are no
    steps. The number of people asked is not in the layout: it is taken from the `manifest.csv` of
    an export, or stays empty. Where an export's `judgements.json` says who judged, the judgments
    lie beside the rows as those of `judge` do.

    Raises:
        UserError: naming the first file that cannot be used, or as `fill_shards`.
        WorkError: as `fill_shards`.
    """
    info = describe_import(original, digest, options)

    def context(resolved: DatasetInfo) -> ImportContext:
        return ImportContext(out, resolved, original)

    def write_judgements() -> None:
        _bring_judgements(original, out, info)

    return fill_shards(
        out,
        info,
        prepare_import,
        context,
        workers,
        progress,
        write_judgements,
        shared=(original.folder,),
        check=check,
        brings_judgments=True,
    )


def _bring_judgements(original: OriginalSet, folder: Location, info: DatasetInfo) -> None:
    """Write the judgments of an export beside its rows, unless some are there.

    Before the shards, so that simulated observers never pass for people.
    """
    held = original.judged_by
    if held is None or judgements_info(folder, info.digest) is not None:
        return
    listed = listed_judgments(original)
    judgments = {
        row_id(info.digest, row): judgment_of(original, row, listed) for row in range(info.rows)
    }
    bring_judgements(folder, info, held, judgments, original.name)


def prepare_import(context: ImportContext) -> Callable[[Run], RunReport]:
    """A function that reads and writes some shards of an imported set."""
    info, original = context.info, context.original
    listed = listed_judgments(original)

    def make_row(row: int) -> tuple[ManifestRow, tuple[bytes, ...]]:
        patches, data = read_row(original, row, info.patch_size)
        judgment, count = judgment_of(original, row, listed)
        paired = original.task == "jnd"
        made = ManifestRow(
            id=row_id(info.digest, row),
            row=row,
            source_path=original.stems[row],
            source_sha256=hashlib.sha256(data).hexdigest(),
            crop=Crop(0, 0, info.patch_size),
            steps=((),) if paired else ((), ()),
            hashes=tuple(map(pixel_hash, patches)),
            spec_digest=info.digest,
            judge=None if paired else judgment,
            judge_count=None if paired else count,
            same=judgment if paired else None,
            same_count=count if paired else None,
        )
        pngs = tuple(map(encode_png, patches))
        advance(1)
        return made, pngs

    def make_shards(run: Run) -> RunReport:
        made = [make_row(row) for shard in run for row in range(*info.shard_range(shard))]
        write_run(context.folder, info, run, made)
        return RunReport(len(made))

    return make_shards
