"""What a user asks a set from real algorithms to be, and all that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bapps_gen.checks import check_options
from bapps_gen.errors import UserError
from bapps_gen.execution.progress import Progress
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.pipelines.real.align import AlignedImages, align, outputs_digest
from bapps_gen.pipelines.real.spec import (
    STEP_VERSION,
    RealSpec,
    check_algorithms,
    check_task,
    step_name,
)
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.rows.options import MIN_CONTRAST, ROWS, ROWS_PER_IMAGE, SEED, SHARD_SIZE
from bapps_gen.pipelines.sources.source import Source, open_source
from bapps_gen.version import __version__


@dataclass(frozen=True, slots=True)
class RealRequest:
    """A set from real algorithms as a user asks for it. The defaults are those of `RealSpec`.

    Args:
        task: one of TASKS; the set's kind.
        rows: how many triplets.
        reference: folder, tar or Parquet file of the ground truth.
        outputs: (name, folder or file of its outputs) of each algorithm, in any order.
        seed: of the dataset.
        shard_rows: rows in a Parquet file; rows do not depend on it.
        scale: see `RealSpec`; None for that of the task.
        min_contrast, rows_per_image: see `TripletSpec`.
        skip_misaligned: leave out images without a fitting output of every algorithm.
    """

    task: str
    rows: int = ROWS.field(required=True)
    reference: str
    outputs: tuple[tuple[str, str], ...]
    seed: int = SEED.field()
    shard_rows: int = replace(SHARD_SIZE, flag="shard-size").field()
    scale: tuple[float, float] | None = None
    min_contrast: float = MIN_CONTRAST.field()
    rows_per_image: int = ROWS_PER_IMAGE.field()
    skip_misaligned: bool = False

    def __post_init__(self) -> None:
        check_task(self.task)
        check_options(self)
        check_algorithms(tuple(name for name, _ in self.outputs))
        names = tuple(sorted((name, "") for name, _ in self.outputs))
        self.spec(1, "", names)  # tells of a bad value before anything is read

    def spec(
        self, images: int, reference: str, algorithms: tuple[tuple[str, str], ...]
    ) -> RealSpec:
        """The spec for so many images of that digest, and algorithms with theirs."""
        return RealSpec(
            task=self.task,
            seed=self.seed,
            images=images,
            reference_digest=reference,
            algorithms=algorithms,
            scale=TASKS[self.task].scale if self.scale is None else self.scale,
            min_contrast=self.min_contrast,
            rows_per_image=self.rows_per_image,
        )


@dataclass(frozen=True, slots=True)
class PreparedReal:
    """A request found possible: `generate(folder, prepared.info, prepared.images, …)` makes it."""

    request: RealRequest
    info: DatasetInfo
    images: AlignedImages


def prepare_real(request: RealRequest, progress: Progress | None = None) -> PreparedReal:
    """Read ground truth and outputs, and align them.

    Args:
        request: what is asked for.
        progress: called with files done and in all, again and again from 0: for the ground truth,
            each algorithm, and the comparison of sizes.

    Raises:
        UserError: when two algorithms have the same outputs, or one has the ground truth's.
        SourceError: when files are missing or do not fit; see `align`.
    """
    reference = open_source([request.reference], progress=progress)
    outputs = {name: open_source([path], progress=progress) for name, path in request.outputs}
    images, left_out = align(reference, outputs, skip=request.skip_misaligned, progress=progress)
    files = {name: images.files(place) for place, name in enumerate(images.algorithms)}
    algorithms = tuple((name, outputs_digest(found)) for name, found in files.items())
    assert isinstance(images.reference, Source)
    _check_differing((("the reference", _contents(images.reference)), *algorithms))
    spec = request.spec(len(images), images.reference.digest, algorithms)
    info = DatasetInfo(
        kind=request.task,
        version=__version__,
        spec=spec.values(),
        digest=spec.digest,
        rows=request.rows,
        shard_rows=request.shard_rows,
        distortions={step_name(spec.task, name): STEP_VERSION for name in spec.names},
        units={},
        plugins=(),
        source_roots=reference.roots,
        source_digest=spec.reference_digest,
        source_images=tuple((entry.name, entry.sha256) for entry in images.reference.entries),
        source_failures=left_out,
        outputs={name: outputs[name].roots[0] for name in spec.names},
    )
    return PreparedReal(request, info, images)


def _contents(source: Source) -> str:
    return outputs_digest([(entry.name, entry.sha256) for entry in source.entries])


def _check_differing(digests: tuple[tuple[str, str], ...]) -> None:
    """Raise UserError when two have the same files."""
    seen: dict[str, str] = {}
    for name, digest in digests:
        if digest in seen:
            raise UserError(
                f"{seen[digest]} and {name} have the same files; give each --outputs the folder "
                "of another algorithm"
            )
        seen[digest] = name
