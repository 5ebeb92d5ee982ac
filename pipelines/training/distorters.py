"""Training a zoo: distorters side by side, resumed where they were left."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.checkpoint import read_distorter_header, weights_of, write_distorter
from bapps_gen.cnn_distorters.rendering import render_network, rendering_network
from bapps_gen.cnn_distorters.spec import DistorterSpec
from bapps_gen.cnn_distorters.table import TABLE_VERSION, shipped_specs
from bapps_gen.cnn_distorters.trainer import TrainingError, TrainingSettings
from bapps_gen.cnn_distorters.training import (
    CHECKPOINT_STEPS,
    TrainingFiles,
    native_bfloat16,
    train_distorter,
)
from bapps_gen.cnn_distorters.verdict import classify, collapse_of
from bapps_gen.cnn_distorters.zoo import ZOO_NAME, distorter_path, open_zoo, write_index
from bapps_gen.errors import UserError, WorkError, out_of_range, unknown_name
from bapps_gen.execution.jobs import RayCluster, Workers, run_jobs
from bapps_gen.imaging.files import write_image
from bapps_gen.imaging.sheet import SheetRow, draw_sheet
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.pipelines.training.crops import CropPlan, Crops, cut_crops, cut_held_out, part_images
from bapps_gen.seeding import Streams
from bapps_gen.storage.atomic import write_error
from bapps_gen.storage.workspace import Layout, claim, make_folder
from bapps_gen.version import __version__

logger = logging.getLogger(__name__)

TRAINING_FOLDER = "training"
ZOO = Layout("zoo", ZOO_NAME, folders=(TRAINING_FOLDER,), markers=(TRAINING_FOLDER,))
CROPS_FOLDER = ".crops"
_PROGRESS_NAME = ".progress"
_POLL_SECONDS = 0.5

_SHEET_PATCHES = 12
_GPU_BYTES = 2_500_000_000
_GPU_WORKERS = 16
GPU_SHARE = 0.125
"""Of a GPU, for each distorter on a Ray cluster: eight take about 20 GB. Our own choice."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How long and how thoroughly distorters are trained.

    Args:
        images: crops a distorter sees at most.
        seconds: budget of one distorter on one core, by `seconds_per_image`; None for no bound.
            It turns into a number of images before training, so it changes nothing in
            repeatability.
        batch: crops in a step.
        feature_share: share of each batch with a feature loss.
        summary: for people.
    """

    images: int
    seconds: float | None
    batch: int
    feature_share: float
    summary: str


PRESETS: Mapping[str, Preset] = {
    "quick": Preset(32_000, 62.0, 16, 0.125, "about a minute a distorter and core"),
    "standard": Preset(200_000, None, 16, 0.25, "200,000 crops a distorter"),
    "paper": Preset(1_300_000, None, 16, 1.0, "1.3 million crops a distorter, as ImageNet once"),
}
MIN_QUICK_IMAGES = 4_000


@dataclass(frozen=True, slots=True)
class ZooPlan:
    """A zoo to be trained.

    Args:
        specs: the distorters, in the zoo's order.
        settings: of each, by id.
        table_version: TABLE_VERSION if they are all of this package's table.
        device: "cpu" or a CUDA device.
        vgg: file of vgg16 weights for the feature loss; None for AlexNet's features.
        crops: what crops are cut.
    """

    specs: tuple[DistorterSpec, ...]
    settings: Mapping[str, TrainingSettings]
    table_version: int | None
    device: str
    vgg: Path | None
    crops: CropPlan


@dataclass(frozen=True, slots=True)
class DistorterReport:
    """What became of one distorter.

    Args:
        id: its id.
        seconds: training and evaluation.
        record: of its file; None if it failed.
        failure: why, if it failed.
    """

    id: str
    seconds: float
    record: Mapping[str, Any] | None
    failure: str | None = None

    @property
    def verdict(self) -> str:
        """ "ok", "identity", "ruin" or "failed"."""
        return "failed" if self.record is None else str(self.record["held_out"]["verdict"])


@dataclass(frozen=True, slots=True)
class ZooProgress:
    """How far a whole zoo is.

    Args:
        share: of the work of all wanted distorters, those from before included, in [0, 1].
        finished: distorters trained, from before or now.
        failed: distorters that failed.
        total: distorters wanted.
        images: crops seen in this run.
    """

    share: float
    finished: int
    failed: int
    total: int
    images: int


@dataclass(frozen=True, slots=True)
class ZooReport:
    """What a run did: reports of distorters tried now, and ids of those there before."""

    reports: tuple[DistorterReport, ...]
    kept: tuple[str, ...]
    source_failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Context:
    folder: Path
    plan: ZooPlan
    images: int
    held_out: NDArray[np.uint8]
    source_digest: str
    checkpoint_steps: int


def seconds_per_image(spec: DistorterSpec, feature_share: float, feature_net: str) -> float:
    """About how long training takes on one core with native bfloat16, by measurement.

    A fit to the distorters of the table, good to 15 % on average. It only decides how many crops
    a preset with a time budget gives to which distorter, and the order of work.
    """
    from bapps_gen.cnn_distorters.network import count_flops

    features = {"vgg": 18.0, "alex": 1.6}[feature_net] * feature_share
    return 1e-3 * (
        0.6
        + 0.015 * count_flops(spec) / 1e6
        + (0.55 if spec.discriminator_layers else 0.0)
        + (features if spec.feature_weight else 0.0)
    )


def choose_specs(
    known: Sequence[DistorterSpec], only: Sequence[str] = ()
) -> tuple[DistorterSpec, ...]:
    """The specs of some ids, or ranges of ids such as "010-020"; all where none is given.

    Raises:
        UserError: for an unknown id.
    """
    ids = [spec.id for spec in known]
    chosen = set()
    for word in only:
        first, dash, last = word.partition("-")
        if word in ids:
            chosen.add(word)
        elif dash and first in ids and last in ids and ids.index(first) <= ids.index(last):
            chosen.update(ids[ids.index(first) : ids.index(last) + 1])
        else:
            raise unknown_name("distorter", word, ids, "use ids, or ranges of ids like 010-020")
    return tuple(spec for spec in known if not only or spec.id in chosen)


def plan_zoo(
    specs: Sequence[DistorterSpec],
    source: Source,
    *,
    preset: str = "quick",
    images: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    vgg: Path | None = None,
) -> ZooPlan:
    """Settle how a zoo is trained.

    Args:
        specs: the distorters.
        source: photos; some are held out.
        preset: one of PRESETS.
        images: crops each distorter sees, in place of the preset's number.
        epochs: the same, in passes over the photos, with one crop a photo and pass.
        seed: of the zoo.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        precision: "auto" (bfloat16 where it is native), "bfloat16" or "float32".
        vgg: weights of vgg16; None looks where `load_lpips` does, without downloading, and goes
            on with AlexNet's features if there are none.

    Raises:
        UserError: for an unknown name or a value out of range.
        SourceError: for too few photos.
    """
    from bapps_gen.lpips import find_trunk
    from bapps_gen.lpips.metric import find_device

    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS, f"use {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    if images is not None and epochs is not None:
        raise UserError("--images and --epochs say the same thing; give one of them")
    for name, value in (("images", images), ("epochs", epochs)):
        if value is not None and value < 1:
            raise out_of_range(name, value, "1 or more", "raise it")
    training_images, _ = part_images(source)
    if epochs is not None:
        images = epochs * len(training_images)
    if images is not None:
        if images < chosen.batch:
            raise UserError(
                f"{images} crops are too few: a batch has {chosen.batch}; give more photos, or "
                f"--images {chosen.batch} or more"
            )
        chosen = replace(chosen, images=images, seconds=None)
    place = find_device(device)
    if place.type == "mps":
        place = find_device("cpu")
    if precision == "auto":
        precision = "bfloat16" if native_bfloat16(place) else "float32"
    if vgg is not None and not vgg.is_file():
        raise UserError(f"vgg16 weights {vgg} are not there; name a .safetensors or .pth file")
    vgg = vgg or find_trunk("vgg")
    feature_net = "alex" if vgg is None else "vgg"
    crops = CropPlan(source.digest, seed)

    def settings(spec: DistorterSpec) -> TrainingSettings:
        count = chosen.images
        if chosen.seconds is not None:
            cost = seconds_per_image(spec, chosen.feature_share, feature_net)
            count = min(count, max(MIN_QUICK_IMAGES, int(chosen.seconds / cost)))
        return TrainingSettings(
            images=count // chosen.batch * chosen.batch,
            batch=chosen.batch,
            feature_share=chosen.feature_share if spec.feature_weight else 1.0,
            feature_net=feature_net if spec.feature_weight else "none",
            precision=precision,
            seed=seed,
            crops_digest=crops.digest,
        )

    ours = set(shipped_specs())
    return ZooPlan(
        specs=tuple(specs),
        settings={spec.id: settings(spec) for spec in specs},
        table_version=TABLE_VERSION if ours.issuperset(specs) else None,
        device=str(place),
        vgg=vgg,
        crops=crops,
    )


def default_workers(device: str, cores: int) -> int:
    """How many distorters to train side by side: one a core; on a GPU as many as fit there."""
    if not device.startswith("cuda"):
        return cores
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_GPU_WORKERS, cores, int(free // _GPU_BYTES)))


def settle_cluster(
    cluster: RayCluster, device: str, precision: str, gpus: float | None = None
) -> tuple[RayCluster, str, str]:
    """A Ray cluster for training, with the device and the precision that its workers have.

    Args:
        cluster: where to train.
        device: "auto" (CUDA where the cluster has GPUs), "cpu" or "cuda".
        precision: "auto" asks a worker whether bfloat16 is native there.
        gpus: share of a GPU for each distorter; None takes GPU_SHARE on CUDA.

    Raises:
        UserError: for a bad value, or GPUs that the cluster does not have.
    """
    from bapps_gen.execution.ray_cluster import capacity, resolve_device

    if gpus is not None and not 0 <= gpus <= 1:
        raise out_of_range("gpus-per-distorter", gpus, "from 0 to 1", "0.25 lets four share one")
    if device == "auto" and gpus is not None:
        device = "cuda" if gpus else "cpu"
    device = resolve_device(cluster, device)
    if gpus is None:
        gpus = GPU_SHARE if device == "cuda" else 0.0
    if bool(gpus) != (device == "cuda"):
        raise UserError(
            f"gpus-per-distorter = {gpus:g} does not go with device = {device}; "
            "give --device cuda with a share above 0, or --device cpu without"
        )
    cluster = replace(cluster, num_gpus=gpus)
    capacity(cluster)
    if precision == "auto":
        (precision,) = run_jobs(_prepare_precision, device, [None], cluster)
    return cluster, device, precision


def _prepare_precision(device: str) -> Callable[[None], str]:
    from bapps_gen.lpips.metric import find_device

    return lambda _: "bfloat16" if native_bfloat16(find_device(device)) else "float32"


def train_zoo(
    folder: Path,
    plan: ZooPlan,
    source: Source,
    workers: Workers,
    *,
    on_report: Callable[[DistorterReport], None] | None = None,
    progress: Callable[[ZooProgress], None] | None = None,
    crops_progress: Callable[[int, int], None] | None = None,
    checkpoint_steps: int = CHECKPOINT_STEPS,
) -> ZooReport:
    """Train the distorters of a plan that a folder lacks.

    A distorter that fails is reported and the others go on. What is finished is listed in
    `zoo.json` at once. Stopped at any moment, the same call goes on from the last checkpoints and
    gives the same files, byte for byte on one machine.

    Args:
        folder: the zoo's, made where it is missing.
        plan: of `plan_zoo`, with the same source.
        source: photos.
        workers: processes side by side, each with one thread on the CPU; 1 works in this one. Or
            a Ray cluster, of `settle_cluster`.
        on_report: called with each report as it comes.
        progress: called about twice a second while there is something to train.
        crops_progress: called with crops cut and crops in all.
        checkpoint_steps: steps between checkpoints.

    Raises:
        UserError: when the folder holds something else, or a distorter trained otherwise.
        SourceError: when too few photos can be used.
        WorkError: when a file cannot be written, or a worker dies.
    """
    traces = folder / TRAINING_FOLDER
    with claim(folder, ZOO):
        make_folder(traces)
        kept, todo = _part_done(folder, plan)
        listed = _listed(folder, plan)
        if not todo:
            write_index(folder, *listed)
            return ZooReport((), kept, {})
        training_images, held_images = part_images(source)
        images = max(plan.settings[spec.id].images for spec in todo)
        failures = cut_crops(
            folder / CROPS_FOLDER,
            source,
            training_images,
            plan.crops,
            images,
            replace(workers, num_gpus=0.0) if isinstance(workers, RayCluster) else workers,
            crops_progress,
        )
        held_out = cut_held_out(source, held_images, plan.crops)
        context = _Context(folder, plan, images, held_out, source.digest, checkpoint_steps)
        jobs = _longest_first(todo, plan)
        seen = _SeenImages.create(traces / _PROGRESS_NAME, len(plan.specs))
        reports: list[DistorterReport] = []
        with _reporting(progress, plan, kept, reports, seen):
            shared = (traces / _PROGRESS_NAME, *([plan.vgg] if plan.vgg else []))
            for report in run_jobs(_prepare, context, jobs, workers, shared):
                reports.append(report)
                if report.failure is None:
                    write_index(folder, *listed)
                if on_report:
                    on_report(report)
        (traces / _PROGRESS_NAME).unlink(missing_ok=True)
        if all(report.failure is None for report in reports):
            shutil.rmtree(folder / CROPS_FOLDER, ignore_errors=True)
    return ZooReport(tuple(reports), kept, failures)


def _part_done(folder: Path, plan: ZooPlan) -> tuple[tuple[str, ...], tuple[DistorterSpec, ...]]:
    """Ids of distorters that are there, and specs of those to train.

    Raises:
        UserError: when one is there that was trained otherwise.
    """
    kept, todo = [], []
    for spec in plan.specs:
        path = distorter_path(folder, spec.id)
        if not path.exists():
            todo.append(spec)
            continue
        try:
            _, record = read_distorter_header(path)
        except WorkError as error:
            logger.warning("%s; distorter %s is trained again", error, spec.id)
            todo.append(spec)
            continue
        if record.get("training") != plan.settings[spec.id].digest(spec):
            raise UserError(
                f"{path} was trained otherwise (another spec, length, seed, precision or photos); "
                "choose another --out, repeat the options it was made with, or delete it"
            )
        kept.append(spec.id)
    return tuple(kept), tuple(todo)


def _listed(folder: Path, plan: ZooPlan) -> tuple[tuple[DistorterSpec, ...], int | None]:
    """The specs that `zoo.json` may list: those of before and the wanted ones, in order."""
    specs = {spec.id: spec for spec in plan.specs}
    if (folder / ZOO_NAME).exists():
        with contextlib.suppress(WorkError):  # damaged: made again from the files
            zoo = open_zoo(folder)
            specs |= {name: zoo.spec(name) for name in zoo.ids if name not in specs}
    ours = shipped_specs()
    known = {spec.id: place for place, spec in enumerate(ours)}
    ordered = sorted(specs.values(), key=lambda spec: (known.get(spec.id, len(ours)), spec.id))
    return tuple(ordered), TABLE_VERSION if set(ours).issuperset(ordered) else None


def _longest_first(todo: Iterable[DistorterSpec], plan: ZooPlan) -> list[str]:
    """Ids by falling cost, so that no long one is left to run alone at the end."""
    return [spec.id for spec in sorted(todo, key=lambda spec: (-_cost(spec, plan), spec.id))]


def _cost(spec: DistorterSpec, plan: ZooPlan) -> float:
    settings = plan.settings[spec.id]
    net = settings.feature_net if spec.feature_weight else "alex"
    return settings.images * seconds_per_image(spec, settings.feature_share, net)


class _SeenImages:
    """Numbers of crops seen, one for each distorter, in a small file that workers share.

    Written and read as bytes of a file, not mapped: on a network file system, nodes that map the
    same page undo each other's numbers.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def counts(self) -> NDArray[np.int64]:
        return np.fromfile(self._path, np.int64)

    def mark(self, place: int, images: int) -> None:
        # Only shown to people: no reason to stop a training.
        with contextlib.suppress(OSError), open(self._path, "r+b", buffering=0) as file:
            file.seek(place * 8)
            file.write(np.int64(images).tobytes())

    @classmethod
    def create(cls, path: Path, count: int) -> _SeenImages:
        try:
            np.zeros(count, np.int64).tofile(path)
        except OSError as error:
            raise write_error(path, error) from error
        return cls(path)


@contextlib.contextmanager
def _reporting(
    progress: Callable[[ZooProgress], None] | None,
    plan: ZooPlan,
    kept: Sequence[str],
    reports: Sequence[DistorterReport],
    seen: _SeenImages,
) -> Iterator[None]:
    """Call `progress` from a thread: in one process, training leaves no time between."""
    if progress is None:
        yield
        return
    costs = np.array([_cost(spec, plan) for spec in plan.specs])
    images = np.array([plan.settings[spec.id].images for spec in plan.specs])
    done_before = np.array([spec.id in kept for spec in plan.specs])
    places = {spec.id: place for place, spec in enumerate(plan.specs)}
    over = threading.Event()

    def tell() -> None:
        counts = seen.counts()
        shares = np.where(done_before, 1.0, counts / images)
        for report in tuple(reports):
            shares[places[report.id]] = 1.0
        failed = sum(report.failure is not None for report in tuple(reports))
        progress(
            ZooProgress(
                share=float((shares * costs).sum() / costs.sum()),
                finished=len(kept) + len(reports) - failed,
                failed=failed,
                total=len(plan.specs),
                images=int(counts.sum()),
            )
        )

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            tell()

    thread = threading.Thread(target=watch, daemon=True)
    tell()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        tell()


def _prepare(context: _Context) -> Callable[[str], DistorterReport]:
    """A function that trains one distorter, with networks for its losses of its own."""
    import torch

    from bapps_gen.cnn_distorters.features import FeatureLoss
    from bapps_gen.cnn_distorters.rendering import one_thread

    plan = context.plan
    device = torch.device(plan.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    crops = Crops(context.folder / CROPS_FOLDER, context.images)
    seen = _SeenImages(context.folder / TRAINING_FOLDER / _PROGRESS_NAME)
    losses: dict[str, FeatureLoss] = {}
    places = {spec.id: place for place, spec in enumerate(plan.specs)}

    def features(settings: TrainingSettings) -> FeatureLoss | None:
        if settings.feature_net == "none":
            return None
        if settings.precision not in losses:
            weights = plan.vgg if settings.feature_net == "vgg" else None
            dtype = getattr(torch, settings.precision)
            losses[settings.precision] = FeatureLoss(settings.feature_net, weights, device, dtype)
        return losses[settings.precision]

    def train(name: str) -> DistorterReport:
        spec, settings = plan.specs[places[name]], plan.settings[name]
        files = training_files(context.folder, name)
        began = time.monotonic()

        def progress(images: int) -> None:
            seen.mark(places[name], images)

        try:
            with one_thread():
                network = train_distorter(
                    spec,
                    settings,
                    crops,
                    files,
                    device=device,
                    features=features(settings),
                    progress=progress,
                    checkpoint_steps=context.checkpoint_steps,
                )
                record = _finish(context, spec, network)
        except TrainingError as error:
            files.checkpoint.unlink(missing_ok=True)
            return DistorterReport(name, time.monotonic() - began, None, str(error))
        except RuntimeError as error:  # torch's word for whatever goes wrong in a network
            reason = f"distorter '{name}' failed: {' '.join(str(error).split())[:300]}"
            return DistorterReport(name, time.monotonic() - began, None, reason)
        return DistorterReport(name, time.monotonic() - began, record)

    return train


def training_files(folder: Path, name: str) -> TrainingFiles:
    """Where a zoo keeps the traces of a distorter's training."""
    traces = folder / TRAINING_FOLDER
    return TrainingFiles(traces / f"{name}.checkpoint", traces / f"{name}.losses.jsonl")


def sheet_path(folder: Path, name: str) -> Path:
    """The contact sheet of a distorter."""
    return folder / TRAINING_FOLDER / f"{name}.png"


def _finish(context: _Context, spec: DistorterSpec, network: Any) -> dict[str, Any]:
    """Judge a trained network by held-out patches, and write its files, the distorter's last."""
    import torch

    from bapps_gen.cnn_distorters.corruption import corrupt
    from bapps_gen.lpips import load_lpips

    folder, settings = context.folder, context.plan.settings[spec.id]
    files = training_files(folder, spec.id)
    tensors = weights_of(network)
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(f"distorter '{spec.id}' diverged: {name} is beyond float16")
    # What is judged is what is kept: rounded weights, as every user will have them.
    patches, seeds, streams = context.held_out, range(len(context.held_out)), Streams()
    outputs = render_network(rendering_network(spec, tensors), spec, patches, seeds, streams)
    _refuse_collapse(spec, outputs)
    metric = load_lpips("alex")
    distances = metric.distance(patches, outputs).double().numpy()
    corrupted = corrupt(spec, patches, seeds, streams)
    entered = metric.distance(patches, corrupted).double().numpy()
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
        "held_out": {
            "patches": len(patches),
            "lpips": _statistics(distances),
            "lpips_corrupted": _statistics(entered),
            "verdict": classify(distances),
        },
    }
    shown = [
        SheetRow(
            (patches[place], corrupted[place], outputs[place]),
            (("held-out",), (spec.corruption,), (spec.id, f"  LPIPS {distances[place]:.3f}")),
        )
        for place in range(min(_SHEET_PATCHES, len(patches)))
    ]
    write_image(sheet_path(folder, spec.id), draw_sheet(shown, zoom=2, across=3))
    write_distorter(distorter_path(folder, spec.id), spec, tensors, record)
    files.checkpoint.unlink(missing_ok=True)
    return record


def _statistics(values: NDArray[np.float64]) -> dict[str, float]:
    found = (values.min(), np.median(values), values.mean(), values.max())
    names = ("min", "median", "mean", "max")
    return {name: round(float(value), 5) for name, value in zip(names, found, strict=True)}


def _refuse_collapse(spec: DistorterSpec, outputs: NDArray[np.uint8]) -> None:
    """Raise TrainingError when outputs are flat, or the same for every patch."""
    what = collapse_of(outputs)
    if what is not None:
        raise TrainingError(
            f"distorter '{spec.id}' collapsed: its outputs are {what}; lower its learning_rate "
            f"({spec.learning_rate:g}) or its gan_weight ({spec.gan_weight:g})"
        )


def losses_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """The loss log of a distorter: step, images and mean losses, in order."""
    path = training_files(folder, name).losses
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
