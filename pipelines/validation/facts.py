"""What validation reads of a set's rows: distances, distortions, contrast, hashes, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.as_distortions import CNN_FAMILY
from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.compositions import COMPOSITIONS
from bapps_gen.distortions.steps import CNN_PREFIX
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.manifests.dataset import INFO_NAME, Dataset
from bapps_gen.manifests.scores import read_scores
from bapps_gen.metrics import MetricSpec
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.pipelines.rows.render import luma_contrast
from bapps_gen.pipelines.scoring.distances import batch_patches
from bapps_gen.pipelines.scoring.options import MetricOptions
from bapps_gen.pipelines.scoring.score import score
from bapps_gen.pipelines.validation.options import LPIPS

Values = NDArray[np.float64]

UNKNOWN = "unknown"
TRADITIONAL = (
    *(atom.name for atom in ATOMS),
    *(f"{first}+{second}" for first, second in COMPOSITIONS),
)
FAMILIES = {atom.name: atom.family for atom in ATOMS}


@dataclass(frozen=True, slots=True)
class Facts:
    """What validation needs of a set's rows; a row has one side, or two in triplets.

    Args:
        distances: of each side, finite, (rows, sides).
        choice: index into `choices` of each side's distortion, (rows, sides).
        choices: ids of the distortions that occur, such as "jpeg" or "gaussian_blur+jpeg".
        severity: severity of sides with a single step, NaN elsewhere, (rows, sides).
        contrast: standard deviation of each reference's luma, of full scale, (rows,).
        hashes: 128-bit pixel hashes of each row's pictures, void of 16 bytes, (rows, pictures).
        judgment: fraction of people that prefer p1, or say same; NaN where none did, (rows,).
        parameters: values by "distortion.parameter" of all steps; CNN distorters are one, "cnn".
        metric: own name of the metric of the distances.
    """

    distances: Values
    choice: NDArray[np.intp]
    choices: tuple[str, ...]
    severity: Values
    contrast: NDArray[np.float64]
    hashes: NDArray[np.void]
    judgment: Values | None = None
    parameters: Mapping[str, Values] = field(default_factory=dict)
    metric: str = LPIPS


@dataclass(frozen=True, slots=True)
class _ShardFacts:
    shard: int
    choice: tuple[tuple[str, ...], ...]
    severity: Values
    contrast: Values
    hashes: NDArray[np.void]
    judgment: Values
    parameters: Mapping[str, list[float]]


def gather(
    dataset: Dataset,
    spec: MetricSpec,
    options: MetricOptions,
    workers: Workers,
    progress: Progress | None = None,
    score_progress: Progress | None = None,
) -> tuple[Facts, Mapping[str, str]]:
    """The facts of a set, and the settings of its distances, which are computed where missing.

    Distances of −∞, which PSNR gives equal patches, count as the smallest finite one.

    Raises:
        UserError: for a recipe, which has no pictures, or bad options.
        WorkError: when the set or its distances are damaged.
    """
    score(dataset, [spec.given], options, workers, score_progress, reuse=True)
    scores = read_scores(dataset, spec.name)
    shards = range(dataset.info.shards)
    parts: dict[int, _ShardFacts] = {}
    done = 0
    shared = (dataset.folder / INFO_NAME,)
    for part in run_jobs(_prepare_gather, dataset, shards, workers, shared):
        parts[part.shard] = part
        done += len(part.contrast)
        if progress:
            progress(done, dataset.info.rows)
    ordered = [parts[shard] for shard in shards]
    names = sorted({name for part in ordered for side in part.choice for name in side})
    index = {name: k for k, name in enumerate(names)}
    choice = np.concatenate(
        [np.array([[index[name] for name in side] for side in part.choice]).T for part in ordered]
    )
    sides = (scores.d0,) if scores.d1 is None else (scores.d0, scores.d1)
    facts = Facts(
        distances=finite(np.stack(sides, 1)),
        choice=choice,
        choices=tuple(names),
        severity=np.concatenate([part.severity for part in ordered]),
        contrast=np.concatenate([part.contrast for part in ordered]),
        hashes=np.concatenate([part.hashes for part in ordered]),
        judgment=np.concatenate([part.judgment for part in ordered]),
        parameters={
            name: np.concatenate([part.parameters.get(name, []) for part in ordered])
            for name in sorted({name for part in ordered for name in part.parameters})
        },
        metric=spec.name,
    )
    return facts, scores.info.settings


def finite(distances: Values) -> Values:
    """Distances with the smallest finite one in place of −∞."""
    known = np.isfinite(distances)
    return distances if known.all() else np.where(known, distances, distances[known].min(initial=0))


def describe_metric(spec: MetricSpec, settings: Mapping[str, str]) -> str:
    """What a report says that its distances are."""
    what = "LPIPS v0.1 alex" if spec.name == LPIPS else f"{spec.name}: {spec.distance}"
    if not spec.takes_dtype:
        return what
    return f"{what}, {settings.get('dtype', 'float32')}"


def _prepare_gather(dataset: Dataset) -> Callable[[int], _ShardFacts]:
    patches = dataset.info.patches
    sides = len(patches) - 1
    columns = [f"{kind}{side}" for side in range(sides) for kind in ("distortion", "steps")]
    judged = "judge" if sides == 2 else "same"
    columns += ["id", "ref", judged, *(f"{name}_hash" for name in patches)]

    def gather_shard(shard: int) -> _ShardFacts:
        choice: list[list[str]] = [[] for _ in range(sides)]
        severity: list[list[float]] = [[] for _ in range(sides)]
        contrast: list[float] = []
        hashes: list[list[bytes]] = [[] for _ in patches]
        judgment: list[Values] = []
        parameters: dict[str, list[float]] = {}
        for batch in dataset.shard_batches(shard, columns):
            for side in range(sides):
                choice[side] += batch.column(f"distortion{side}").to_pylist()
                for steps in batch.column(f"steps{side}").to_pylist():
                    single = steps[0]["severity"] if len(steps) == 1 else None
                    severity[side].append(np.nan if single is None else single)
                    for step in steps:
                        kind = step_kind(step["distortion"])
                        for pair in step["params"]:
                            name = f"{kind}.{pair['name']}"
                            parameters.setdefault(name, []).append(pair["value"])
            judgment.append(batch.column(judged).to_numpy(zero_copy_only=False))
            contrast += map(luma_contrast, batch_patches(batch, "ref", dataset.info.patch_size))
            for column, name in zip(hashes, patches, strict=True):
                column += map(bytes.fromhex, batch.column(f"{name}_hash").to_pylist())
        return _ShardFacts(
            shard,
            tuple(tuple(name or UNKNOWN for name in names) for names in choice),
            np.array(severity, np.float64).T,
            np.array(contrast),
            np.stack([np.array(column, "V16") for column in hashes], 1),
            np.concatenate(judgment).astype(np.float64),
            parameters,
        )

    return gather_shard


def step_kind(step: str) -> str:
    """The kind of a step: itself, but "cnn" for every CNN distorter such as "cnn:017"."""
    return CNN_FAMILY if step.startswith(CNN_PREFIX) else step


def family_of(step: str) -> str:
    """The family of a step: of the table, "cnn", "own" for a plugin's, "unknown" for none.

    That of a real algorithm, such as "superres:bicubic", is its task.
    """
    kind = step_kind(step)
    task = kind.split(":", 1)[0]
    return FAMILIES.get(kind, task if task in (CNN_FAMILY, UNKNOWN, *TASKS) else "own")


def families_of(choice: str) -> str:
    """The families of a distortion in alphabetical order, such as "blur + noise"."""
    return " + ".join(sorted(family_of(step) for step in choice.split("+")))
