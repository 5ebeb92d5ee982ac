"""Training of a zoo of CNN distorters, and of trunks without labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.api._arguments import (
    AnyProgress,
    AnyWorkers,
    LocalPath,
    Photos,
    names,
    open_photos,
    reporting,
    resolve_options,
    resolve_workers,
    stage,
)
from bapps_gen.api.distortions import Zoo, open_zoo
from bapps_gen.errors import WorkError
from bapps_gen.execution.progress import Progress

if TYPE_CHECKING:
    from bapps_gen.pipelines.training.reports import ZooProgress

_THOUSANDTHS = 1000


def train_distorters(
    out: LocalPath,
    *,
    source: Photos = (),
    only: str | Sequence[str] = (),
    specs: LocalPath | None = None,
    preset: str = "quick",
    images: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    gpus_per_distorter: float | None = None,
    vgg: LocalPath | None = None,
    workers: AnyWorkers = None,
    progress: AnyProgress = False,
) -> Zoo:
    """Train a zoo of CNN distorters on photos, or what is missing of it.

    What is finished is kept: the same call goes on after an interruption.

    Args:
        out: folder of the zoo, to create or resume.
        source: photos: folders of images, images, Parquet files or tar shards, or their URLs; ()
            for the color photographs that come with scikit-image.
        only: ids, and ranges of ids such as "010-020"; all where none is given.
        specs: TOML file with distorters of your own, each a [[distorter]] table; None for the 96
            of this package.
        preset: "quick" (about 20 seconds a distorter and core), "standard" (200,000 crops a
            distorter) or "paper" (1.3 million).
        images: crops that each distorter sees, 16 or more, in place of the preset's number.
        epochs: the same in passes over the photos, one crop a photo.
        seed: of the zoo, 0 to 2^63 - 1.
        device: "auto", "cpu" or "cuda".
        precision: "auto" is bfloat16 where the processor has it.
        gpus_per_distorter: share of a GPU that each asks a Ray cluster for, 0 to 1.
        vgg: file of vgg16 weights for the feature loss; None looks in the usual places and takes
            AlexNet's features where there are none.
        workers: distorters trained in parallel; None for one a core, or as many as fit the GPU.
        progress: True for a bar, or a function of (done, total) in thousandths of the whole work.

    Returns:
        The zoo.

    Raises:
        UserError: for an unknown name or a value out of range, or a folder that holds something
            else.
        SourceError: for photos that are missing or too few.
        WorkError: when distorters failed, once all others are trained; it names them.

    Example:
        >>> import bapps_gen
        >>> zoo = bapps_gen.train_distorters("zoo", only="017", images=16, workers=1)
        >>> zoo.ids, zoo["017"].record["images"]
        (('017',), 16)
    """
    from bapps_gen.cnn_distorters.spec import choose_specs, read_specs
    from bapps_gen.cnn_distorters.table import shipped_specs
    from bapps_gen.cnn_distorters.zoo import require_torch

    require_torch()
    from bapps_gen.pipelines.training.devices import default_workers
    from bapps_gen.pipelines.training.devices import resolve_workers as resolve_devices
    from bapps_gen.pipelines.training.distorters import train_zoo
    from bapps_gen.pipelines.training.options import TrainingOptions
    from bapps_gen.pipelines.training.plan import plan_zoo

    options = resolve_options(TrainingOptions, locals())
    known = read_specs(Path(specs)) if specs is not None else shipped_specs()
    chosen = choose_specs(known, names(only))
    where, options = resolve_devices(resolve_workers(workers), options)
    photos = open_photos(source, progress)
    plan = plan_zoo(chosen, photos, options, is_remote=not isinstance(where, int))
    if isinstance(where, int) and workers is None:
        where = default_workers(plan.device, where)
    with (
        stage(progress, "cutting crops", "crops") as cut,
        reporting(progress, "training", "‰") as report,
    ):
        trained = train_zoo(
            Path(out), plan, photos, where, progress=_thousandths(report), crops_progress=cut
        )
    failures = {item.id: item.failure for item in trained.reports if item.failure is not None}
    if failures:
        first = next(iter(failures))
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise WorkError(f"distorter {first}{more} failed: {failures[first]}; the others are kept")
    return open_zoo(out)


def make_trunk(
    out: LocalPath,
    *,
    source: Photos = (),
    net: str = "alex",
    seed: int = 0,
    progress: AnyProgress = False,
) -> Path:
    """Make a network's weights from photos without labels, by stacked k-means.

    After Krähenbühl, Doersch, Donahue and Darrell, "Data-dependent initializations of convolutional
    neural networks" (ICLR 2016). The file is a feature net: load_metric("trunk:FILE").

    Args:
        out: file to write, NAME.safetensors, with torchvision's names of weights.
        source: photos: folders of images, images, Parquet files or tar shards, or their URLs; ()
            for the color photographs that come with scikit-image.
        net: "alex", "vgg" or "squeeze".
        seed: of the choice of photos, crops and first centers, 0 to 2^63 - 1.
        progress: True for bars, or a function of (done, total), called for the crops that are cut
            and for the layers.

    Returns:
        The file.

    Raises:
        UserError: for an unknown net, a bad seed or a file's name of another ending.
        SourceError: for photos that are missing, or none of which can be decoded.
        WorkError: when the file cannot be written.

    Example:
        >>> import bapps_gen
        >>> trunk = bapps_gen.make_trunk("trunk.safetensors", net="squeeze")
        >>> bapps_gen.load_metric(f"trunk:{trunk}").settings["dtype"]
        'float32'
    """
    from bapps_gen.lpips import require_torch
    from bapps_gen.pipelines.training.options import TrunkOptions
    from bapps_gen.pipelines.training.trunks import make_trunk as make

    options = resolve_options(TrunkOptions, locals())
    require_torch("make_trunk needs")
    photos = open_photos(source, progress)
    return make(photos, options, Path(out), partial(reporting, progress))


def _thousandths(report: Progress | None) -> Callable[[ZooProgress], None] | None:
    """Tell of a zoo's progress in thousandths of its work."""
    if report is None:
        return None
    return lambda now: report(round(_THOUSANDTHS * now.share), _THOUSANDTHS)
