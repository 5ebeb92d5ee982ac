"""What a request for a dataset is resolved with, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bapps_gen.errors import UserError
from bapps_gen.execution.progress import ProgressBars, no_progress

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.zoo import Zoo
    from bapps_gen.execution.jobs import Workers
    from bapps_gen.manifests.dataset import DatasetInfo
    from bapps_gen.pipelines.datasets.kind import RowImages
    from bapps_gen.pipelines.sources.source import Source
    from bapps_gen.storage.locations import Location


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a request is resolved with.

    Args:
        photos: opens them; called once everything is checked that can be without them. None for a
            set from the outputs of algorithms.
        demo_folder: where a demo of real algorithms goes.
        workers: processes for the demo, or a cluster.
        progress: reports on the demo, and on the reading of ground truth and outputs.
        split: that the photos are, such as "val"; None where they are not divided.
    """

    photos: Callable[[], Source] | None = None
    demo_folder: Path | None = None
    workers: Workers = 1
    progress: ProgressBars = no_progress
    split: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """What will be made, with nothing left to ask: `generate` takes it.

    Args:
        info: the `dataset.json`.
        images: photos, or ground truth with the outputs of algorithms.
        zoo: that the CNN distorters come from, if there are any.
    """

    info: DatasetInfo
    images: RowImages
    zoo: Zoo | None = None


def demo_folder_of(out: Location) -> Path:
    """Where the demo of a dataset goes: next to its folder, which then holds the dataset alone.

    Raises:
        UserError: when the dataset's folder is a URL.
    """
    if not isinstance(out, Path):
        raise UserError(
            f"{out} is a URL, and a demo is made next to --out; give a local folder, or make the "
            "demo first and give its folders as reference and outputs"
        )
    return Path(f"{os.path.abspath(out)}-demo")
