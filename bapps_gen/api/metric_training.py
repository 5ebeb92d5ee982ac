"""Training of metrics, and their exchange with the `lpips` package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.api._arguments import (
    AnyProgress,
    AnyWorkers,
    LocalPath,
    folders,
    local,
    reporting,
    resolve_options,
    resolve_workers,
)
from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import AnyDataset

if TYPE_CHECKING:
    from bapps_gen.pipelines.metric_training.train import MetricTraining


def train_metric(
    datasets: AnyDataset | Sequence[AnyDataset],
    out: LocalPath,
    *,
    val: AnyDataset | Sequence[AnyDataset] = (),
    net: str = "alex",
    mode: str = "lin",
    weights: LocalPath | None = None,
    start: LocalPath | None = None,
    epochs: int = 5,
    decay_epochs: int = 5,
    batch: int = 50,
    learning_rate: float = 1e-4,
    beta1: float = 0.5,
    beta2: float = 0.999,
    dropout: float = 0.5,
    weight_votes: bool = False,
    val_fraction: float | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    compile: str = "auto",
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> MetricTraining:
    """Train a perceptual metric on judged sets of triplets, as the paper trains LPIPS.

    What is finished is kept: the same call goes on after an interruption, and gives the same file.

    Args:
        datasets: judged datasets of triplets, or folders that contain several.
        out: file of the metric, NAME.safetensors. Logs, a picture of the curves and the weights of
            the last epoch go to NAME.training beside it.
        val: judged datasets to validate on, of other photos; where there are none, some photos of
            `datasets` are held out.
        net: feature net: "alex", "vgg", "squeeze", or another text that names one.
        mode: "lin" trains linear weights over the net's features, "tune" the net as well, "scratch"
            the net from random weights.
        weights: file of the net's weights, instead of one from the default locations.
        start: file of a metric of mode "lin" over the same net, with whose linear weights and
            ranking network "tune" begins; None for random ones.
        epochs: with the full learning rate.
        decay_epochs: after these, over which it falls linearly.
        batch: triplets in a step.
        learning_rate, beta1, beta2: of Adam.
        dropout: share of the differences of features left out before the linear weights, 0 to 0.5.
        weight_votes: weight each row by its number of votes.
        val_fraction: share of the photos held out where there is no `val`; None for 0.1.
        seed: of the order of rows, the initial weights, dropout and the photos held out.
        device: "auto", "cpu", "cuda" or "mps".
        precision: of the net: "float32", "bfloat16" or "auto".
        compile: whether passes of a net that is trained are compiled: "yes", "no" or "auto".
        workers: parallel processes that run the net over the rows; None for all cores.
        progress: True for bars, or a function of (rows done, rows in all), called for the features
            and for the epochs.

    Returns:
        `path` of the file, the `epoch` that its weights are of, its 2AFC score on the validation,
        `val_2afc`, and the `history` of all epochs. `load_metric(path)` loads the metric.

    Raises:
        UserError: for options that do not go together, sets that cannot be trained on, or a file or
            training of another request.
        WorkError: when a shard is damaged, or a file cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=20, out="mine", workers=1)
        >>> votes = bapps_gen.simulate(train, "l2", workers=1)  # no people at hand
        >>> judged = bapps_gen.judge(train, votes=votes)
        >>> trained = bapps_gen.train_metric(train, "mine.safetensors", epochs=1, workers=1)
        >>> trained.header.mode, len(trained.history), 0 <= trained.val_2afc <= 1
        ('lin', 6, True)
    """
    from bapps_gen.pipelines.metric_training.options import MetricTrainingOptions
    from bapps_gen.pipelines.metric_training.train import train_metric as train

    options = resolve_options(MetricTrainingOptions, locals())
    return train(
        Path(out),
        folders(datasets),
        folders(val),
        options,
        resolve_workers(workers),
        partial(reporting, progress),
    )


def convert_metric(metric: LocalPath, out: LocalPath, *, net: str | None = None) -> Path:
    """Convert a trained metric to the format of the `lpips` package, or from it.

    Args:
        metric: a trained metric, .safetensors, or a state dict of the package, .pth.
        out: file to write, of the other kind. `lpips.LPIPS(net="alex", model_path=out)` loads a
            state dict.
        net: of a state dict: "alex", "vgg" or "squeeze".

    Returns:
        The file.

    Raises:
        UserError: for files of other kinds, a net that the package does not have, or a file that
            is there.
        WorkError: when a file is damaged or cannot be written.

    Example:
        >>> import bapps_gen
        >>> train = bapps_gen.make_dataset("traditional", rows=20, out="mine", workers=1)
        >>> judged = bapps_gen.judge(train, votes=bapps_gen.simulate(train, "l2", workers=1))
        >>> trained = bapps_gen.train_metric(train, "mine.safetensors", epochs=1, workers=1)
        >>> bapps_gen.convert_metric("mine.safetensors", "mine.pth").name
        'mine.pth'
        >>> bapps_gen.convert_metric("mine.pth", "back.safetensors", net="alex").name
        'back.safetensors'
    """
    from bapps_gen.metrics.lpips_package import export_lpips, import_lpips

    given, made = local(metric), local(out)
    assert given is not None
    assert made is not None
    kinds = given.suffix, made.suffix
    if kinds == (".safetensors", ".pth"):
        if net is not None:
            raise UserError(f"net = {net} is for state dicts; {given} says its net; leave it out")
        export_lpips(given, made)
    elif kinds == (".pth", ".safetensors"):
        if net is None:
            raise UserError(f"{given} does not say which net it is of; give --net alex")
        import_lpips(given, net, made)
    else:
        raise UserError(
            f"cannot convert {given} to {made}: one must end in .safetensors and the other in .pth"
        )
    return made
