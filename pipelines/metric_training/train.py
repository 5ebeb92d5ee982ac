"""Training a metric: from judged sets to a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.errors import UserError
from bapps_gen.execution.jobs import Workers
from bapps_gen.execution.progress import ProgressBars, no_progress
from bapps_gen.lpips.feature_net import require_torch
from bapps_gen.metrics.texts import check_name
from bapps_gen.metrics.trained import (
    SUFFIX,
    NetRecord,
    TrainedHeader,
    TrainedMetric,
    read_trained_header,
    write_trained,
)
from bapps_gen.pipelines.metric_training.data import (
    JudgedRows,
    check_apart,
    check_votes,
    hold_out,
    read_judged,
)
from bapps_gen.pipelines.metric_training.features import net_metric
from bapps_gen.pipelines.metric_training.logs import Epoch
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.metric_training.patches import PATCHES_NAME
from bapps_gen.pipelines.scoring.options import MetricOptions, check_patch_size
from bapps_gen.storage.documents import read_json, write_json
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import Layout, claim

if TYPE_CHECKING:
    from torch import Tensor

    from bapps_gen.pipelines.metric_training.engine import Engine
    from bapps_gen.pipelines.metric_training.run import Trained

TRAINING_VERSION = 2
"""Raised with every change that gives other weights."""

TRAINING_NAME = "training.json"
LAST_NAME = "last.safetensors"
TRAINING = Layout("training", TRAINING_NAME)


@dataclass(frozen=True, slots=True)
class MetricTraining:
    """A trained metric and what is known of its training.

    Args:
        path: its file, with the weights of the best epoch.
        folder: of the weights of the last epoch, logs and curves.
        header: what the file says: net, mode, spec, data, scores.
        train_rows, val_rows: that were judged.
        simulated: whether simulated observers judged any.
        was_there: whether the file had been written before.
    """

    path: Path
    folder: Path
    header: TrainedHeader
    train_rows: int
    val_rows: int
    simulated: bool
    was_there: bool

    @property
    def epoch(self) -> int:
        """The epoch that the weights are of."""
        return int(self.header.scores["epoch"])

    @property
    def val_2afc(self) -> float:
        """2AFC score of that epoch on the rows of the validation, 0 to 1."""
        return float(self.header.scores["val_2afc"])

    @property
    def history(self) -> tuple[Mapping[str, Any], ...]:
        """For every epoch its number, steps, learning rate, loss and 2AFC score."""
        return tuple(self.header.scores["history"])


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be trained: a net, judged rows, and how an engine for them is made."""

    net: NetRecord
    precision: Mapping[str, str]
    engine: Callable[[], Engine]


def training_folder(out: Path) -> Path:
    """Where a training keeps checkpoints and logs."""
    return out.with_suffix(".training")


def train_metric(
    out: Path,
    train: Sequence[Location],
    val: Sequence[Location],
    options: MetricTrainingOptions,
    workers: Workers,
    progress: ProgressBars = no_progress,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> MetricTraining:
    """Train a metric on judged sets, or go on where a run was interrupted.

    The same request gives the same file, interrupted or not. A file that is there is kept where
    it is of the same request.

    Args:
        out: file of the metric, NAME.safetensors; NAME.training beside it is made, too.
        train: judged sets of triplets, or folders that contain several.
        val: to validate on; photos are held out of the sets to train on where there are none.
        options: net, mode and the rest.
        workers: for features: worker processes, or a Ray cluster.
        progress: opens a bar for each step of the work.
        on_epoch: called with each epoch that ends.

    Raises:
        UserError: for options that do not go together, sets that cannot be trained on, a file that
            is there and of another request, or a training of another request under way.
        WorkError: when a shard is damaged, or a file cannot be written.
    """
    _check_out(out)
    require_torch("train-metric needs")
    rows, val_rows = _read(train, val, options)
    row_weights = rows.vote_weights() if options.weight_votes else None
    folder = training_folder(out)
    if options.mode == "lin":
        planned = _plan_lin(rows, val_rows, row_weights, options, workers, progress)
    else:
        planned = _plan_loop(rows, val_rows, row_weights, options, folder, workers, progress)
    spec = {
        "version": TRAINING_VERSION,
        "net": planned.net.name,
        "net_digest": planned.net.digest,
        **planned.precision,
        **options.values(),
    }
    data = {
        "train": [part.description() for part in rows.parts],
        "val": [part.description() for part in val_rows.parts],
    }

    def finished(header: TrainedHeader, was_there: bool) -> MetricTraining:
        simulated = rows.simulated or val_rows.simulated
        sizes = len(rows), len(val_rows)
        return MetricTraining(out, folder, header, *sizes, simulated, was_there)

    if out.exists():
        held = read_trained_header(out)
        same = {"train": list(held.train), "val": list(held.val)}
        _require_same(out, {**held.spec, **same}, {**spec, **data})
        _remove_scratch(folder)  # of a run that was killed at its very end
        return finished(held, was_there=True)
    with claim(folder, TRAINING):
        _describe(folder, {**spec, **data})
        from bapps_gen.pipelines.metric_training.run import run_epochs

        engine = planned.engine()
        with progress("train", "rows") as report:
            trained = run_epochs(
                folder,
                engine,
                {**spec, **data},
                options,
                len(rows),
                val_rows.judge,
                report,
                on_epoch,
                _caption(planned.net, rows, val_rows, options),
            )

        def write(path: Path, epoch: Epoch, tensors: Mapping[str, Tensor]) -> TrainedHeader:
            header = TrainedHeader(
                planned.net,
                options.mode,
                spec,
                tuple(data["train"]),
                tuple(data["val"]),
                _scores(epoch, trained),
            )
            write_trained(path, TrainedMetric(header, tensors))
            return header

        write(folder / LAST_NAME, trained.history[-1], trained.last)
        header = write(out, trained.best_epoch, trained.best)
        _remove_scratch(folder)
    return finished(header, was_there=False)


def _remove_scratch(folder: Path) -> None:
    """Remove what only a training under way needs."""
    from bapps_gen.pipelines.metric_training.run import CHECKPOINT_NAME

    for name in (CHECKPOINT_NAME, PATCHES_NAME):
        (folder / name).unlink(missing_ok=True)


def _caption(
    net: NetRecord, rows: JudgedRows, val_rows: JudgedRows, options: MetricTrainingOptions
) -> str:
    people = "simulated observers" if rows.simulated or val_rows.simulated else "people"
    return (
        f"{options.mode} over {net.name}: trained on {len(rows):,} rows, validated on "
        f"{len(val_rows):,}, judged by {people}"
    )


def _check_out(out: Path) -> None:
    if out.suffix != SUFFIX or out.stem == SUFFIX:
        raise UserError(f"out = {out} does not end in {SUFFIX}; give a file such as mine{SUFFIX}")
    if out.is_dir():
        raise UserError(f"out = {out} is a folder; give a file such as mine{SUFFIX}")
    check_name(out.stem, str(out))


def _read(
    train: Sequence[Location], val: Sequence[Location], options: MetricTrainingOptions
) -> tuple[JudgedRows, JudgedRows]:
    """The judged rows to train and to validate on, with no photos in common."""
    rows = read_judged(train)
    if not val:
        rows, held_out = hold_out(rows, options.val_fraction, options.seed)
        check_votes(rows)
        return rows, held_out
    if options.val_fraction is not None:
        raise UserError(
            f"val-fraction = {options.val_fraction:g} is for trainings without --val; leave one "
            "of them out"
        )
    val_rows = read_judged(val)
    check_apart(rows, val_rows)
    if val_rows.patch_size != rows.patch_size:
        raise UserError(
            f"the sets to train on have patches of {rows.patch_size} px and those to validate on "
            f"of {val_rows.patch_size} px; give sets of one size"
        )
    check_votes(rows)
    return rows, val_rows


def _plan_lin(
    rows: JudgedRows,
    val_rows: JudgedRows,
    row_weights: Any,
    options: MetricTrainingOptions,
    workers: Workers,
    progress: ProgressBars,
) -> _Plan:
    from bapps_gen.pipelines.metric_training.features import (
        StoredFeatures,
        make_features,
        plan_features,
    )

    metric_options = MetricOptions(options.device, options.precision, options.weights)
    parts = [*rows.parts, *val_rows.parts]
    plan = plan_features(parts, options.net, metric_options, workers)
    info = plan.infos[0]

    def engine() -> Engine:
        from bapps_gen.pipelines.metric_training.fast import FastLin

        with progress("features", "rows") as report:
            make_features(plan, workers, report)
        stored = StoredFeatures(rows, info), StoredFeatures(val_rows, info)
        return FastLin(*stored, rows.judge, row_weights, options)

    given = plan.metric.net or options.net
    net = NetRecord(given, info.net, info.settings["trunk"], info.channels, plan.smallest)
    return _Plan(net, {"precision": info.settings["dtype"]}, engine)


def _plan_loop(
    rows: JudgedRows,
    val_rows: JudgedRows,
    row_weights: Any,
    options: MetricTrainingOptions,
    folder: Path,
    workers: Workers,
    progress: ProgressBars,
) -> _Plan:
    from bapps_gen.pipelines.metric_training.through_net import (
        begun_metric,
        loop_engine,
        net_to_train,
        resolve_precision,
        start_digest,
    )

    net = net_to_train(options)
    check_patch_size([replace(net_metric(options.net), smallest=net.smallest)], rows.patch_size)
    precision = {"precision": resolve_precision(options)}
    start = begun_metric(net, options)
    if start:
        precision["start"] = start_digest(start)
    record = NetRecord(net.given, net.name, net.digest, net.channels, net.smallest)
    return _Plan(
        record,
        precision,
        lambda: loop_engine(
            net, rows, val_rows, row_weights, options, folder, workers, progress, start
        ),
    )


def _describe(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Write what is trained, or see that it is what a run before began."""
    path = folder / TRAINING_NAME
    try:
        held = read_json(path)
    except FileNotFoundError:
        write_json(path, wanted)
        return
    TRAINING.require_same(folder, held if isinstance(held, dict) else {}, wanted)


def _require_same(path: Path, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    Layout("trained metric", None).require_same(path, held, wanted)


def _scores(epoch: Epoch, trained: Trained) -> dict[str, Any]:
    names = ("epoch", "steps", "rate", "loss", "val_2afc")
    return {
        "epoch": epoch.epoch,
        "val_2afc": epoch.val_2afc,
        "history": [{name: getattr(each, name) for name in names} for each in trained.history],
    }
