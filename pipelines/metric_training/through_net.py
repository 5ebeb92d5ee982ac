"""What training through the net needs: the net, its device, and patches to read."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.lpips import NETS
from bapps_gen.lpips.feature_net import tensors_digest
from bapps_gen.metrics.trained import NetRecord, TrainedMetric, read_trained
from bapps_gen.pipelines.metric_training.data import TrainingRows
from bapps_gen.pipelines.metric_training.engine import Engine, Plan
from bapps_gen.pipelines.metric_training.features import net_metric
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.metric_training.patches import PATCHES_NAME, decode_patches
from bapps_gen.pipelines.scoring.options import check_patch_size

if TYPE_CHECKING:
    from bapps_gen.lpips.feature_net import FeatureNet


def net_to_train(options: MetricTrainingOptions) -> FeatureNet:
    """The net with the weights that training begins with, on the CPU.

    Those of "scratch" are Gaussian (He et al., ICCV 2015), drawn by the seed of the training.

    Raises:
        UserError: for a net that cannot be loaded, or scratch with one that has no plan of its own.
    """
    from bapps_gen.lpips.nets import load_net

    if options.mode != "scratch":
        return load_net(options.net, options.weights, progress=True)
    if options.net not in NETS:
        raise UserError(
            f"mode = scratch makes the weights of {', '.join(NETS)}; {options.net} comes with its "
            "own, from which --mode tune begins"
        )
    if options.weights is not None:
        raise UserError(
            f"weights = {options.weights} does not go with mode = scratch, which begins with "
            "random ones; leave it out, or give --mode tune"
        )
    made = load_net(f"random-{options.net}:{options.seed}")
    return replace(made, name=options.net, given=options.net)


def begun_metric(net: FeatureNet, options: MetricTrainingOptions) -> TrainedMetric | None:
    """The metric of `options.start`, where one is given.

    Raises:
        UserError: for one of another mode or over another net.
        WorkError: when its file is damaged.
    """
    if options.start is None:
        return None
    start = read_trained(Path(options.start))
    if start.header.mode != "lin" or start.header.net.digest != net.digest:
        raise UserError(
            f"start = {options.start} is of mode {start.header.mode} over "
            f"{start.header.net.name}; give a metric of --mode lin over {net.name} as it is here"
        )
    return start


def resolve_precision(options: MetricTrainingOptions) -> str:
    """The precision of the net: "auto" is bfloat16 where the device has it in hardware.

    Raises:
        UserError: for a device that this machine does not have.
    """
    from bapps_gen.lpips.metric import find_device, native_bfloat16

    device = find_device(options.device)
    if options.precision != "auto":
        return options.precision
    return "bfloat16" if native_bfloat16(device) else "float32"


def resolve_compile(options: MetricTrainingOptions) -> bool:
    """Whether passes are compiled: by "auto" on a GPU, where there is a compiler for C."""
    from bapps_gen.lpips.metric import find_device

    if options.compile != "auto":
        return options.compile == "yes"
    has_compiler = any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang"))
    return find_device(options.device).type == "cuda" and has_compiler


def plan_loop(
    rows: TrainingRows,
    options: MetricTrainingOptions,
    folder: Path,
    workers: Workers,
    progress: ProgressBars = no_progress,
) -> Plan:
    """A training through the net, on patches that are decoded into the training's folder.

    Args:
        rows: to train and to validate on.
        options: of the training.
        folder: of the training, which the caller holds when the engine is made.
        workers: parallel processes that decode, and threads that train on the CPU.
        progress: opens a bar for the patches.

    Raises:
        UserError: for a net, a start or a device that cannot be used, patches too small for the
            net, or a Ray cluster. Making the engine:
        WorkError: when a shard is damaged, or the disk or memory is too small.
    """
    from bapps_gen.lpips.metric import find_device

    if not isinstance(workers, int):
        raise UserError(f"mode = {options.mode} trains on one machine; leave out --engine ray")
    net, device = net_to_train(options), find_device(options.device)
    check_patch_size(
        [replace(net_metric(options.net), smallest=net.smallest)], rows.train.patch_size
    )
    precision, start = resolve_precision(options), begun_metric(net, options)
    settings = {"precision": precision}
    if start:
        settings["start"] = tensors_digest(start.tensors, 32)

    def engine() -> Engine:
        from bapps_gen.pipelines.metric_training.loop import LoopData, LoopEngine

        with progress("decode", "rows") as report:
            patches = decode_patches(folder / PATCHES_NAME, rows.parts, workers, report)
        return LoopEngine(
            net,
            LoopData(patches, rows.train.judge, rows.weights),
            options,
            device,
            precision,
            compile=resolve_compile(options),
            threads=workers,
            start=start,
        )

    record = NetRecord(net.given, net.name, net.digest, net.channels, net.smallest)
    return Plan(record, settings, engine)
