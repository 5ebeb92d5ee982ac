"""Training a metric: from judged sets to a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
    TrainingScores,
    read_trained_header,
    write_trained,
)
from bapps_gen.pipelines.metric_training.data import TrainingRows, read_rows
from bapps_gen.pipelines.metric_training.engine import Engine, Plan
from bapps_gen.pipelines.metric_training.logs import Epoch, best_of
from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
from bapps_gen.pipelines.metric_training.patches import PATCHES_NAME
from bapps_gen.pipelines.metric_training.through_net import plan_loop
from bapps_gen.pipelines.scoring.options import MetricOptions
from bapps_gen.storage.documents import read_json, write_json
from bapps_gen.storage.locations import Location
from bapps_gen.storage.workspace import Layout, claim

if TYPE_CHECKING:
    from torch import Tensor

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
        header: what the file says: net, mode, spec, data, scores.
        was_there: whether the file had been written before.
    """

    path: Path
    header: TrainedHeader
    was_there: bool

    @property
    def folder(self) -> Path:
        """Of the weights of the last epoch, logs and curves."""
        return training_folder(self.path)

    @property
    def train_rows(self) -> int:
        """Judged rows that were trained on."""
        return sum(part.rows for part in self.header.train)

    @property
    def val_rows(self) -> int:
        """Judged rows of the validation."""
        return sum(part.rows for part in self.header.val)

    @property
    def simulated(self) -> bool:
        """Whether simulated observers judged any."""
        return self.header.simulated

    @property
    def epoch(self) -> int:
        """The epoch that the weights are of."""
        return self._scores.epoch

    @property
    def val_2afc(self) -> float:
        """2AFC score of that epoch on the rows of the validation, 0 to 1."""
        return self._scores.val_2afc

    @property
    def history(self) -> tuple[Mapping[str, Any], ...]:
        """For every epoch its number, steps, learning rate, loss and 2AFC score."""
        return self._scores.history

    @property
    def _scores(self) -> TrainingScores:
        assert self.header.scores is not None  # of every metric that was trained here
        return self.header.scores


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
    rows = read_rows(train, val, options)
    folder = training_folder(out)
    if options.mode == "lin":
        plan = _plan_lin(rows, options, workers, progress)
    else:
        plan = plan_loop(rows, options, folder, workers, progress)
    spec = {
        "version": TRAINING_VERSION,
        "net": plan.net.name,
        "net_digest": plan.net.digest,
        **plan.settings,
        **options.values(),
    }
    sets, val_sets = (
        tuple(part.description() for part in side.parts) for side in (rows.train, rows.val)
    )
    header = TrainedHeader(plan.net, options.mode, spec, sets, val_sets)
    if out.exists():
        held = read_trained_header(out)
        Layout("trained metric", None).require_same(out, _request(held), _request(header))
        _remove_scratch(folder)  # of a run that was killed at its very end
        return MetricTraining(out, held, was_there=True)
    with claim(folder, TRAINING):
        _describe(folder, _request(header))
        from bapps_gen.pipelines.metric_training.run import run_epochs

        engine = plan.engine()
        with progress("train", "rows") as report:
            trained = run_epochs(
                folder,
                engine,
                _request(header),
                options,
                len(rows.train),
                rows.val.judge,
                report,
                on_epoch,
                _caption(header),
            )

        def write(path: Path, epoch: Epoch, tensors: Mapping[str, Tensor]) -> TrainedHeader:
            scored = replace(header, scores=_scores(epoch, trained.history))
            write_trained(path, TrainedMetric(scored, tensors))
            return scored

        write(folder / LAST_NAME, trained.history[-1], trained.last)
        scored = write(out, best_of(trained.history), trained.best)
        _remove_scratch(folder)
    return MetricTraining(out, scored, was_there=False)


def _request(header: TrainedHeader) -> dict[str, Any]:
    """All that the weights depend on, as plain values."""
    sets = {"train": header.train, "val": header.val}
    parts = {name: [asdict(part) for part in side] for name, side in sets.items()}
    return {**header.spec, **parts}


def _remove_scratch(folder: Path) -> None:
    """Remove what only a training under way needs."""
    from bapps_gen.pipelines.metric_training.run import CHECKPOINT_NAME

    for name in (CHECKPOINT_NAME, PATCHES_NAME):
        (folder / name).unlink(missing_ok=True)


def _caption(header: TrainedHeader) -> str:
    train, val = (sum(part.rows for part in side) for side in (header.train, header.val))
    people = "simulated observers" if header.simulated else "people"
    return (
        f"{header.mode} over {header.net.name}: trained on {train:,} rows, validated on {val:,}, "
        f"judged by {people}"
    )


def _check_out(out: Path) -> None:
    if out.suffix != SUFFIX or out.stem == SUFFIX:
        raise UserError(f"out = {out} does not end in {SUFFIX}; give a file such as mine{SUFFIX}")
    if out.is_dir():
        raise UserError(f"out = {out} is a folder; give a file such as mine{SUFFIX}")
    check_name(out.stem, str(out))


def _plan_lin(
    rows: TrainingRows, options: MetricTrainingOptions, workers: Workers, progress: ProgressBars
) -> Plan:
    """A training over stored features, which are made first where they are missing."""
    from bapps_gen.pipelines.metric_training.features import (
        StoredFeatures,
        make_features,
        plan_features,
    )

    metric_options = MetricOptions(options.device, options.precision, options.weights)
    plan = plan_features(rows.parts, options.net, metric_options, workers)
    info = plan.infos[0]

    def engine() -> Engine:
        from bapps_gen.pipelines.metric_training.fast import FastLin

        with progress("features", "rows") as report:
            make_features(plan, workers, report)
        train, val = (StoredFeatures(side, info) for side in (rows.train, rows.val))
        return FastLin(train, val, rows.train.judge, rows.weights, options)

    given = plan.metric.net or options.net
    net = NetRecord(given, info.net, info.settings["trunk"], info.channels, plan.smallest)
    return Plan(net, {"precision": info.settings["dtype"]}, engine)


def _describe(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Write what is trained, or see that it is what a run before began."""
    path = folder / TRAINING_NAME
    try:
        held = read_json(path)
    except FileNotFoundError:
        write_json(path, wanted)
        return
    TRAINING.require_same(folder, held if isinstance(held, dict) else {}, wanted)


def _scores(epoch: Epoch, history: Sequence[Epoch]) -> TrainingScores:
    names = ("epoch", "steps", "rate", "loss", "val_2afc")
    entries = tuple({name: getattr(each, name) for name in names} for each in history)
    return TrainingScores(epoch.epoch, epoch.val_2afc, entries)
