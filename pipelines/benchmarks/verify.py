"""Verifying a benchmark: every image's pictures made again from the spec and the photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from bapps_gen.checks import check_range
from bapps_gen.errors import ImageError, UserError, WorkError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.imaging.encode import encode_png, pixel_hash
from bapps_gen.manifests.benchmark import (
    BENCHMARK_NAME,
    MANIFEST_NAME,
    benchmark_schema,
    benchmark_table,
)
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.pipelines.benchmarks.images import BenchmarkContext, image_rows
from bapps_gen.pipelines.benchmarks.plan import BenchmarkPlanner
from bapps_gen.pipelines.benchmarks.spec import BenchmarkSpec, benchmark_spec_from_values
from bapps_gen.pipelines.datasets.verify import PROBLEMS_A_SHARD, VerifyReport
from bapps_gen.pipelines.datasets.whereabouts import Whereabouts
from bapps_gen.pipelines.datasets.zoo import (
    dataset_registry,
    plugins_of,
    recipe_files,
    worker_registry,
)
from bapps_gen.pipelines.rows.render import Image
from bapps_gen.pipelines.sources.relocate import relocate_images
from bapps_gen.seeding import Streams

_ID = "path"


@dataclass(frozen=True)
class VerifyBenchmarkContext:
    """What every worker needs; `made` is what made the pictures, None to look at files alone."""

    benchmark: Benchmark
    rows_per_image: int
    made: BenchmarkContext | None
    tolerance: int = 0


def stored_spec(benchmark: Benchmark) -> BenchmarkSpec:
    """A benchmark's spec.

    Raises:
        WorkError: when it is damaged.
    """
    try:
        return benchmark_spec_from_values(benchmark.info.spec)
    except UserError as error:
        path = benchmark.folder / BENCHMARK_NAME
        raise WorkError(f"{path} is damaged: {error}; restore it from a copy") from None


def verify_benchmark(
    benchmark: Benchmark,
    where: Whereabouts,
    workers: Workers,
    progress: ProgressBars = no_progress,
    *,
    tolerance: int = 0,
    stored_only: bool = False,
) -> VerifyReport:
    """Compare a benchmark with what its spec and photos give.

    Checked are: a row for every picture; every file's size and pixels against its row; and, with
    photos, every picture and every row made again, with equal bytes.

    Args:
        benchmark: open.
        where: things are now that it was made from; photos are found by their content.
        workers: worker processes, or a Ray cluster.
        progress: opens the bar of the distorted pictures.
        tolerance: greatest difference allowed between a picture and the one made again, in levels
            of 255. 0 asks for equal bytes.
        stored_only: check files alone.

    Raises:
        UserError: when the tolerance is not from 0 to 255, a distortion is of another version, or
            something is given that benchmarks do not have.
        WorkError: when the manifest is damaged, or photos are missing.
    """
    check_range("tolerance", tolerance, 0, 255, whole=True)
    if where.outputs:
        raise UserError("outputs are for sets from real algorithms; leave them out")
    benchmark = where.with_plugins(benchmark)
    benchmark.require_whole()
    info, spec = benchmark.info, stored_spec(benchmark)
    columns = benchmark.table(0, info.rows, ["source_path", "source_sha256", "reference"])
    images: dict[str, str] = {}
    names: dict[str, str] = {}
    for row in columns.to_pylist():
        images.setdefault(row["source_path"], row["source_sha256"])
        names.setdefault(row["source_path"], _picture_name(row["reference"], spec))
    per_image, rest = divmod(info.rows, max(1, len(images)))
    if rest or info.images != len(images):
        raise WorkError(
            f"{benchmark.folder / MANIFEST_NAME} is damaged: it has {info.rows} rows of "
            f"{len(images)} images; make the benchmark again"
        )
    made: BenchmarkContext | None = None
    read: tuple[str | Path, ...] = ()
    if not stored_only:
        zoo = where.open_zoo(benchmark)
        # Versions are compared before photos are read.
        BenchmarkPlanner(spec, dataset_registry(info, zoo))
        source = where.open_images(benchmark)
        read = (*source.roots, *recipe_files(plugins_of(info), zoo))
        found = relocate_images(tuple(images.items()), source)
        made = BenchmarkContext(benchmark.folder, spec, info, found, tuple(names.values()), zoo)
    context = VerifyBenchmarkContext(benchmark, per_image, made, tolerance)
    shared = (benchmark.folder / BENCHMARK_NAME, *read)
    report, done = _Problems(), 0
    with progress("verify", "pictures") as advance:
        for found_here in run_jobs(_prepare_verify, context, range(len(images)), workers, shared):
            report.add(found_here)
            done += per_image
            if advance:
                advance(done, info.rows)
    return report.result(info.rows)


def _picture_name(reference: str, spec: BenchmarkSpec) -> str:
    """The name of an image's pictures: that of its reference, less the number of its patch."""
    stem = reference.rpartition("/")[2].removesuffix(".png")
    return stem if spec.patches is None else stem.rpartition("_")[0]


@dataclass(slots=True)
class _Problems:
    """What is wrong, sorted by picture at the end."""

    lines: list[str] = field(default_factory=list)
    count: int = 0
    tolerated: int = 0
    largest: int = 0

    def note(self, line: str) -> None:
        self.count += 1
        if len(self.lines) < PROBLEMS_A_SHARD:
            self.lines.append(line)

    def add(self, other: _Problems) -> None:
        self.lines += other.lines
        self.count += other.count
        self.tolerated += other.tolerated
        self.largest = max(self.largest, other.largest)

    def result(self, rows: int) -> VerifyReport:
        return VerifyReport(
            rows, self.count, tuple(sorted(self.lines)), self.tolerated, self.largest
        )


def _prepare_verify(context: VerifyBenchmarkContext) -> Callable[[int], _Problems]:
    benchmark, made = context.benchmark, context.made
    schema = benchmark_schema(benchmark.info)
    if made is not None:
        registry = worker_registry(benchmark.info, made.zoo)
        planner = BenchmarkPlanner(made.spec, registry)
        streams = Streams()

    def verify_image(image: int) -> _Problems:
        first = image * context.rows_per_image
        stored = benchmark.table(first, first + context.rows_per_image)
        found, bad = _Problems(), set()
        for path, digest, size in _files(stored):
            problem = _file_problem(benchmark, path, digest, size)
            if problem is not None:
                bad.add(path)
                found.note(problem)
        if made is None:
            return found

        def compare(path: str, picture: Image) -> int:
            data = encode_png(picture)
            if path not in bad:
                _compare(benchmark, path, picture, data, context.tolerance, found)
            return len(data)

        try:
            rows = image_rows(made, planner, registry, streams, image, compare)
        except (ImageError, WorkError) as error:
            found.note(f"{made.source.entries[image].name}: {error}")
            return found
        fresh = benchmark_table(rows, schema)
        for row, again in zip(stored.to_pylist(), fresh.to_pylist(), strict=False):
            for line in _row_problems(row, again, tolerant=context.tolerance > 0):
                found.note(line)
        if len(fresh) != len(stored):
            name = made.source.entries[image].name
            found.note(f"{name}: {len(stored)} rows where the spec gives {len(fresh)}")
        return found

    return verify_image


def _files(table: pa.Table) -> Iterator[tuple[str, str, int]]:
    """Path, hash and size of every file that some rows name, each once."""
    for names in (("reference", "reference_hash", "reference_bytes"), ("path", "hash", "bytes")):
        columns = (table[name].to_pylist() for name in names)
        yield from dict.fromkeys(zip(*columns, strict=True))


def _file_problem(benchmark: Benchmark, path: str, digest: str, size: int) -> str | None:
    """What is wrong with a stored file, or None."""
    try:
        if len(benchmark.read(path)) != size:
            return f"{path}: the file is not of the {size} bytes of its row"
        if pixel_hash(benchmark.picture(path)) != digest:
            return f"{path}: the stored picture is not that of its hash"
    except WorkError as error:
        return f"{path}: {error}"
    return None


def _compare(
    benchmark: Benchmark,
    path: str,
    picture: Image,
    data: bytes,
    tolerance: int,
    found: _Problems,
) -> None:
    """Note what differs between a stored file and the picture made again."""
    if benchmark.read(path) == data:
        return
    stored = benchmark.picture(path)
    if stored.shape != picture.shape:
        found.note(f"{path}: its size differs from what the spec and the photo give")
        return
    levels = int(np.abs(stored.astype(np.int16) - picture).max())
    if levels > tolerance or not tolerance:
        found.note(
            f"{path}: its pixels differ by up to {levels} levels from those made again"
            if levels
            else f"{path}: its pixels are as made again, but its bytes differ"
        )
    else:
        found.tolerated += levels > 0
        found.largest = max(found.largest, levels)


_PIXELS = ("hash", "reference_hash", "bytes", "reference_bytes")


def _row_problems(
    stored: Mapping[str, object], fresh: Mapping[str, object], *, tolerant: bool
) -> Iterator[str]:
    """What differs between a stored row and the one made again, but for what was compared."""
    left_out = _PIXELS if tolerant else ()
    for name, value in fresh.items():
        if name not in left_out and stored[name] != value:
            yield f"{stored[_ID]}: {name} differs from what the spec and the photo give"
