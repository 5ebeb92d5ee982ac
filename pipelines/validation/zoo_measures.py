"""What the distorters of a zoo do to the same patches: outputs, their LPIPS, and all pairs'."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.color_shift import sum_shifts
from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import UserError, WorkError
from bapps_gen.execution.jobs import Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.execution.threads import one_thread
from bapps_gen.manifests.rows import PATCH_SIZE
from bapps_gen.pipelines.datasets.zoo import recipe_files
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.pipelines.training.crops import CropPlan, CutPatches, cut_patches
from bapps_gen.pipelines.validation.options import ZooOptions

logger = logging.getLogger(__name__)

Values = NDArray[np.float64]

_JOB_PATCHES = 8  # those of one rendering pass


def rounded(value: Any) -> float:
    """As JSON has it: sums may differ in their last bits from one library to the next."""
    return round(float(value), 6)


@dataclass(frozen=True, slots=True)
class ZooMeasures:
    """What was measured of N distorters on P patches; pairs are in the order of `pair_indices`.

    Args:
        ids: of the distorters, in the zoo's order, (N,).
        lpips: LPIPS (alex) of each output to its patch, (P, N).
        squared: mean squared difference to the patch, in levels of 255, (P, N).
        absolute: mean absolute difference, in levels, (P, N).
        clipped: share of values at 0 or 255, of the patch and of each output, (P, 1 + N).
        flatness: mean deviation over an output's pixels, in levels, (P, N).
        sameness: mean deviation from patch to patch at each pixel, in levels, (jobs, N).
        color_sums: of `sum_shifts`, (N, COLOR_SUMS).
        pairs: LPIPS between the outputs of two distorters, (P, N · (N - 1) / 2).
        products: scalar products of the distorters' changes to the patches, of all pixels, (N, N).
        shown: outputs for the patches to be shown, uint8 (N, K, 64, 64, 3).
    """

    ids: tuple[str, ...]
    lpips: Values
    squared: Values
    absolute: Values
    clipped: Values
    flatness: Values
    sameness: Values
    color_sums: Values
    pairs: Values
    products: Values
    shown: NDArray[np.uint8]


def pair_indices(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and second member of all pairs: (0, 1), (0, 2), …, (1, 2), …"""
    return np.triu_indices(count, 1)


def sample_patches(source: Source, options: ZooOptions) -> CutPatches:
    """Patches of a source, by the crop rule of held-out patches: as large as of triplets, not flat.

    Raises:
        SourceError: when the photos give too few.
    """
    plan = CropPlan(source.digest, options.seed)
    cut = cut_patches(source, tuple(range(len(source))), plan, options.patches)
    for name, reason in cut.failures.items():
        logger.warning("skipped %s: %s", name, reason)
    return cut


def pick_shown(cut: CutPatches, count: int) -> tuple[int, ...]:
    """Indices of patches to show: of different images in turn, the most detailed and colorful.

    That is the geometric mean of the mean absolute difference of neighboring pixels and of the
    deviation of a* and b* (own choice); what distorters do shows best there.
    """
    ranked: dict[int, list[int]] = {}
    scores = [_eventfulness(patch) for patch in cut.patches]
    for index in sorted(range(len(scores)), key=lambda index: (-scores[index], index)):
        ranked.setdefault(cut.images[index], []).append(index)
    turns = sorted(ranked)
    picked: list[int] = []
    while len(picked) < min(count, len(scores)):
        picked += [ranked[image].pop(0) for image in turns if ranked[image]]
    return tuple(picked[:count])


def _eventfulness(patch: NDArray[np.uint8]) -> float:
    import cv2

    levels = patch.astype(np.float32)
    detail = np.abs(np.diff(levels, axis=0)).mean() + np.abs(np.diff(levels, axis=1)).mean()
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    return round(float(np.sqrt(detail * np.hypot(*lab[:, 1:].astype(np.float64).std(0)))), 3)


def check_distorters(zoo: Zoo) -> dict[str, str]:
    """Load all networks of a zoo; by id, why some cannot be used.

    Raises:
        UserError: when the zoo is empty.
        WorkError: when none can be used.
    """
    if not zoo.ids:
        raise UserError(
            f"the zoo {zoo.folder} has no distorters; train some with "
            f"`bapps-gen train-distorters --out {zoo.folder}`"
        )
    nothing = np.empty((0, PATCH_SIZE, PATCH_SIZE, 3), np.uint8)
    failures = {}
    for name in zoo.ids:
        try:
            zoo.render(name, nothing, ())
        except WorkError as error:
            failures[name] = str(error)
    if len(failures) == len(zoo.ids):
        first = next(iter(failures.values()))
        raise WorkError(f"none of {len(failures)} distorters can be used, for example: {first}")
    return failures


def measure_zoo(
    zoo: Zoo,
    ids: Sequence[str],
    patches: NDArray[np.uint8],
    shown: Sequence[int],
    workers: Workers,
    progress: Progress | None = None,
) -> ZooMeasures:
    """Distort the same patches with all distorters, and compare.

    Patch p has the noise seed p for every distorter, so that two denoisers get the same noise.
    The result does not depend on the number of workers.

    Args:
        zoo: where the distorters are.
        ids: of those to measure.
        patches: uint8 (P, 64, 64, 3).
        shown: indices of patches whose outputs are kept.
        workers: worker processes, or a Ray cluster.
        progress: called with patches done and patches in all.

    Raises:
        WorkError: when a distorter's file is missing or damaged.
    """
    context = _Context(zoo, tuple(ids), patches, frozenset(shown))
    jobs = [
        tuple(range(start, min(start + _JOB_PATCHES, len(patches))))
        for start in range(0, len(patches), _JOB_PATCHES)
    ]
    parts: dict[int, ZooMeasures] = {}
    outputs: dict[int, NDArray[np.uint8]] = {}
    done = 0
    for indices, part in run_jobs(_prepare, context, jobs, workers, recipe_files((), zoo)):
        parts[indices[0]] = part
        kept = (index for index in indices if index in context.shown)
        outputs |= dict(zip(kept, part.shown.swapaxes(0, 1), strict=True))
        done += len(indices)
        if progress:
            progress(done, len(patches))
    ordered = [parts[job[0]] for job in jobs]

    def joined(name: str) -> Values:
        return np.concatenate([getattr(part, name) for part in ordered])

    return ZooMeasures(
        ids=tuple(ids),
        lpips=joined("lpips"),
        squared=joined("squared"),
        absolute=joined("absolute"),
        clipped=joined("clipped"),
        flatness=joined("flatness"),
        sameness=joined("sameness"),
        color_sums=np.sum([part.color_sums for part in ordered], 0),
        pairs=joined("pairs"),
        products=np.sum([part.products for part in ordered], 0),
        shown=np.stack([outputs[index] for index in shown], 1),
    )


@dataclass(frozen=True, slots=True)
class _Context:
    zoo: Zoo
    ids: tuple[str, ...]
    patches: NDArray[np.uint8]
    shown: frozenset[int]


_Work = tuple[tuple[int, ...], ZooMeasures]


def _prepare(context: _Context) -> Callable[[tuple[int, ...]], _Work]:
    import torch

    from bapps_gen.lpips import load_lpips

    metric = load_lpips("alex")
    first, second = pair_indices(len(context.ids))

    def measure(indices: tuple[int, ...]) -> _Work:
        patches = context.patches[list(indices)]
        # (N, P, 64, 64, 3)
        outputs = np.stack([context.zoo.render(name, patches, indices) for name in context.ids])
        lpips, pairs, squared, absolute = [], [], [], []
        clipped, flatness, products = [], [], []
        with one_thread():
            for index, patch in enumerate(patches):
                mine = outputs[:, index]
                vectors = metric.embed(np.concatenate([patch[None], mine])).double()
                # From the patch, so that no digits are lost to what all outputs share.
                vectors = vectors[1:] - vectors[:1]
                gram = (vectors @ vectors.T).numpy()
                square = gram.diagonal()
                lpips.append(square)
                between = square[first] + square[second] - 2 * gram[first, second]
                pairs.append(np.maximum(between, 0.0))
                change = torch.from_numpy(mine.reshape(len(mine), -1).astype(np.float64))
                change -= torch.from_numpy(patch.reshape(-1).astype(np.float64))
                products.append((change @ change.T).numpy())
                squared.append(products[-1].diagonal() / change.shape[1])
                absolute.append(change.abs().mean(1).numpy())
                both = np.concatenate([patch[None], mine])
                clipped.append(((both == 0) | (both == 255)).mean((1, 2, 3)))
                flatness.append(mine.std((1, 2)).mean(1))
        return indices, ZooMeasures(
            ids=context.ids,
            lpips=np.stack(lpips),
            squared=np.stack(squared),
            absolute=np.stack(absolute),
            clipped=np.stack(clipped),
            flatness=np.stack(flatness),
            sameness=np.array([[output.std(0).mean() for output in outputs]]),
            color_sums=np.stack([sum_shifts(patches, output) for output in outputs]),
            pairs=np.stack(pairs),
            products=np.sum(products, 0),
            shown=outputs[:, [index in context.shown for index in indices]],
        )

    return measure
