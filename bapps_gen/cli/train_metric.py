"""`bapps-gen train-metric`: a perceptual metric, trained on judged sets."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from bapps_gen.cli._options import (
    add_local_out,
    add_options,
    add_several,
    add_workers,
    progress_bar,
    record_of,
    resumable,
    workers_of,
)

if TYPE_CHECKING:
    from bapps_gen.pipelines.metric_training.logs import Epoch
    from bapps_gen.pipelines.metric_training.train import MetricTraining

_LINES = 20
"""About as many epochs are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions

    add_several(parser, "datasets", "judged dataset of triplets, or folder that contains several")
    add_several(
        parser,
        "--val",
        "judged datasets of other photos to validate on (default: hold out some photos of the "
        "training sets)",
    )
    add_local_out(
        parser,
        "metric.safetensors",
        "FILE",
        "file to write, NAME.safetensors; logs and checkpoints go to NAME.training",
    )
    add_options(parser, MetricTrainingOptions, "net", "mode", "weights", "start", "val_fraction")
    how = parser.add_argument_group("how")
    names = ("epochs", "decay_epochs", "batch", "learning_rate", "beta1", "beta2", "dropout")
    machine = ("seed", "device", "precision", "compile")
    add_options(how, MetricTrainingOptions, *names, "weight_votes", *machine)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Train, or go on where an interrupted run was."""
    from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
    from bapps_gen.pipelines.metric_training.train import train_metric, training_folder

    asked = record_of(options, MetricTrainingOptions)
    workers = workers_of(options)
    every = max(1, asked.total_epochs // _LINES)
    began = time.monotonic()

    def print_epoch(epoch: Epoch) -> None:
        from tqdm import tqdm

        if epoch.epoch % every == 0 or epoch.epoch == asked.total_epochs:
            tqdm.write(
                f"epoch {epoch.epoch} of {asked.total_epochs}: loss {epoch.loss:.4f}, 2AFC "
                f"{100 * epoch.val_2afc:.2f} %",
                file=sys.stdout,
            )
            sys.stdout.flush()

    with resumable("features and the last checkpoint", training_folder(options.out)):
        trained = train_metric(
            options.out,
            options.datasets,
            options.val,
            asked,
            workers,
            partial(progress_bar, options.quiet),
            None if options.quiet else print_epoch,
        )
    if not options.quiet:
        print(_summary(trained, time.monotonic() - began, held_out=not options.val))
    return 0


def _summary(trained: MetricTraining, seconds: float, *, held_out: bool) -> str:
    """What was trained, and how well it agrees with people."""
    header = trained.header
    people = "simulated observers" if trained.simulated else "people"
    apart = " of held-out photos" if held_out else ""
    lines = [
        f"{header.mode} over {header.net.name}: trained on {trained.train_rows} rows, validated on "
        f"{trained.val_rows}{apart}, judged by {people}",
        f"best 2AFC {100 * trained.val_2afc:.2f} % after epoch {trained.epoch} of "
        f"{len(trained.history)}, last {100 * trained.history[-1]['val_2afc']:.2f} %",
    ]
    if trained.was_there:
        lines.append(f"{trained.path} was there already, of the same training")
    else:
        lines.append(
            f"wrote {trained.path} in {seconds:.1f} s; logs, curves.png and the weights of the "
            f"last epoch are in {trained.folder}"
        )
    return "\n".join(lines)
