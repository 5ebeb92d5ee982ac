"""Training a zoo: distorters in parallel, each resumed from its last checkpoint."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.checkpoint import read_distorter_header, write_distorter
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.table import TABLE_VERSION, shipped_specs
from bapps_gen.cnn_distorters.trainer import TrainingError, TrainingSettings
from bapps_gen.cnn_distorters.training import CHECKPOINT_STEPS, train_distorter
from bapps_gen.cnn_distorters.zoo import ZOO_NAME, distorter_path, open_zoo, write_index
from bapps_gen.errors import UserError, WorkError
from bapps_gen.execution.jobs import RayCluster, Workers, run_jobs
from bapps_gen.execution.progress import Progress
from bapps_gen.imaging.files import write_image
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.pipelines.training.crops import (
    HELD_OUT_PATCHES,
    Crops,
    cut_patches,
    part_images,
    write_crops,
)
from bapps_gen.pipelines.training.folder import (
    CROPS_FOLDER,
    TRAINING_FOLDER,
    sheet_path,
    training_files,
)
from bapps_gen.pipelines.training.held_out import evaluate, finite_tensors
from bapps_gen.pipelines.training.plan import ZooPlan
from bapps_gen.pipelines.training.reports import (
    DistorterReport,
    SeenImages,
    ZooProgress,
    ZooReport,
    reporting,
)
from bapps_gen.storage.workspace import Layout, claim, make_folder
from bapps_gen.version import __version__

logger = logging.getLogger(__name__)

ZOO = Layout("zoo", ZOO_NAME, folders=(TRAINING_FOLDER,), markers=(TRAINING_FOLDER,))
_PROGRESS_NAME = ".progress"


@dataclass(frozen=True, slots=True)
class _Context:
    folder: Path
    plan: ZooPlan
    images: int
    held_out: NDArray[np.uint8]
    source_digest: str
    checkpoint_steps: int


def train_zoo(
    folder: Path,
    plan: ZooPlan,
    source: Source,
    workers: Workers,
    *,
    on_report: Callable[[DistorterReport], None] | None = None,
    progress: Callable[[ZooProgress], None] | None = None,
    crops_progress: Progress | None = None,
    checkpoint_steps: int = CHECKPOINT_STEPS,
) -> ZooReport:
    """Train the distorters of a plan that a folder lacks.

    A distorter that fails is reported and the others go on. What is finished is listed in
    `zoo.json` at once. Stopped at any moment, the same call goes on from the last checkpoints and
    gives the same files, byte for byte on one machine.

    Args:
        folder: the zoo's, made where it is missing.
        plan: of `plan_zoo`, with the same source.
        workers: parallel worker processes, each with one thread on the CPU; 1 works in this one.
            Or a Ray cluster, of `resolve_workers`.
        on_report: called with each report as it comes.
        progress: called about twice a second while there is something to train.
        crops_progress: called with crops cut and crops in all.

    Raises:
        UserError: when the folder holds something else, or a distorter trained differently.
        SourceError: when too few photos can be used.
        WorkError: when a file cannot be written, or a worker dies.
    """
    traces = folder / TRAINING_FOLDER
    with claim(folder, ZOO):
        make_folder(traces)
        kept, missing = _part_done(folder, plan)
        index = _index(folder, plan)
        _remove_checkpoints(folder, kept)
        if not missing:
            write_index(folder, *index)
            _remove_scratch(folder)
            return ZooReport((), kept, {})
        training_images, held_images = part_images(source)
        images = max(plan.settings[spec.id].images for spec in missing)
        failures = write_crops(
            folder / CROPS_FOLDER,
            source,
            training_images,
            plan.crops,
            images,
            replace(workers, num_gpus=0.0) if isinstance(workers, RayCluster) else workers,
            crops_progress,
        )
        held_out = cut_patches(source, held_images, plan.crops, HELD_OUT_PATCHES).patches
        context = _Context(folder, plan, images, held_out, source.digest, checkpoint_steps)
        seen = SeenImages.create(traces / _PROGRESS_NAME, len(plan.specs))
        reports: list[DistorterReport] = []
        with reporting(progress, plan, kept, reports, seen):
            shared = (traces / _PROGRESS_NAME, *([plan.vgg] if plan.vgg else []))
            jobs = plan.longest_first(missing)
            for report in run_jobs(_prepare, context, jobs, workers, shared):
                reports.append(report)
                if report.failure is None:
                    write_index(folder, *index)
                if on_report:
                    on_report(report)
        if all(report.failure is None for report in reports):
            _remove_scratch(folder)
        else:
            (traces / _PROGRESS_NAME).unlink(missing_ok=True)
    return ZooReport(tuple(reports), kept, failures)


def _remove_checkpoints(folder: Path, kept: Iterable[str]) -> None:
    """Remove those of finished distorters, which a kill may have left."""
    for name in kept:
        training_files(folder, name).checkpoint.unlink(missing_ok=True)


def _remove_scratch(folder: Path) -> None:
    """Remove what only training needs, be it of this run or of one that was killed at its end."""
    (folder / TRAINING_FOLDER / _PROGRESS_NAME).unlink(missing_ok=True)
    shutil.rmtree(folder / CROPS_FOLDER, ignore_errors=True)


def _part_done(folder: Path, plan: ZooPlan) -> tuple[tuple[str, ...], tuple[DistorterSpec, ...]]:
    """Ids of distorters that are there, and specs of those to train.

    Raises:
        UserError: when one is there that was trained differently.
    """
    kept, missing = [], []
    for spec in plan.specs:
        path = distorter_path(folder, spec.id)
        if not path.exists():
            missing.append(spec)
            continue
        try:
            _, record = read_distorter_header(path)
        except WorkError as error:
            logger.warning("%s; distorter %s is trained again", error, spec.id)
            missing.append(spec)
            continue
        if record.get("training") != plan.settings[spec.id].digest(spec):
            raise UserError(
                f"{path} was trained differently (another spec, length, seed, precision or "
                "photos); choose another --out, repeat the options it was made with, or delete it"
            )
        kept.append(spec.id)
    return tuple(kept), tuple(missing)


def _index(folder: Path, plan: ZooPlan) -> tuple[tuple[DistorterSpec, ...], int | None]:
    """What `zoo.json` may list: specs from before and of the plan, in order, and a version."""
    specs = {spec.id: spec for spec in plan.specs}
    if (folder / ZOO_NAME).exists():
        with contextlib.suppress(WorkError):  # damaged: made again from the files
            zoo = open_zoo(folder)
            specs |= {name: zoo.spec(name) for name in zoo.ids if name not in specs}
    shipped = shipped_specs()
    order = {spec.id: index for index, spec in enumerate(shipped)}
    ordered = sorted(specs.values(), key=lambda spec: (order.get(spec.id, len(shipped)), spec.id))
    return tuple(ordered), TABLE_VERSION if set(shipped).issuperset(ordered) else None


def _prepare(context: _Context) -> Callable[[str], DistorterReport]:
    """A function that trains one distorter, with networks for its losses of its own."""
    import torch

    from bapps_gen.cnn_distorters.features import FeatureLoss
    from bapps_gen.execution.threads import one_thread

    plan = context.plan
    device = torch.device(plan.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    crops = Crops(context.folder / CROPS_FOLDER, context.images)
    seen = SeenImages(context.folder / TRAINING_FOLDER / _PROGRESS_NAME)
    losses: dict[str, FeatureLoss] = {}
    indices = {spec.id: index for index, spec in enumerate(plan.specs)}

    def features(settings: TrainingSettings) -> FeatureLoss | None:
        if settings.feature_net == "none":
            return None
        if settings.precision not in losses:
            weights = plan.vgg if settings.feature_net == "vgg" else None
            dtype = getattr(torch, settings.precision)
            losses[settings.precision] = FeatureLoss(settings.feature_net, weights, device, dtype)
        return losses[settings.precision]

    def train(name: str) -> DistorterReport:
        spec, settings = plan.specs[indices[name]], plan.settings[name]
        files = training_files(context.folder, name)
        began = time.monotonic()
        try:
            with one_thread():
                network = train_distorter(
                    spec,
                    settings,
                    crops,
                    files,
                    device=device,
                    features=features(settings),
                    progress=lambda images: seen.mark(indices[name], images),
                    checkpoint_steps=context.checkpoint_steps,
                )
                record = _finish(context, spec, network)
        except TrainingError as error:
            files.checkpoint.unlink(missing_ok=True)
            return DistorterReport(name, time.monotonic() - began, None, str(error))
        except RuntimeError as error:  # what torch raises for whatever goes wrong in a network
            reason = f"distorter '{name}' failed: {' '.join(str(error).split())[:300]}"
            return DistorterReport(name, time.monotonic() - began, None, reason)
        return DistorterReport(name, time.monotonic() - began, record)

    return train


def _finish(context: _Context, spec: DistorterSpec, network: Any) -> dict[str, Any]:
    """Evaluate a trained network, and write its files, the distorter's last; gives its record."""
    import torch

    folder, settings = context.folder, context.plan.settings[spec.id]
    tensors = finite_tensors(spec, network)
    held_out, sheet = evaluate(spec, tensors, context.held_out)
    record = {
        "training": settings.digest(spec),
        "images": settings.steps * settings.batch,
        "steps": settings.steps,
        "batch": settings.batch,
        "feature_net": settings.feature_net,
        "feature_share": settings.feature_share,
        "precision": settings.precision,
        "seed": settings.seed,
        "source": context.source_digest,
        "device": torch.device(context.plan.device).type,
        "bapps_gen": __version__,
        "torch": str(torch.__version__),
        "held_out": held_out,
    }
    write_image(sheet_path(folder, spec.id), sheet)
    write_distorter(distorter_path(folder, spec.id), spec, tensors, record)
    training_files(folder, spec.id).checkpoint.unlink(missing_ok=True)
    return record
