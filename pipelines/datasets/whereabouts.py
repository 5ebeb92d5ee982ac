"""Where things are now that datasets and benchmarks were made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import UserError
from bapps_gen.manifests.benchmark_reader import Benchmark
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.pipelines.datasets.zoo import (
    open_dataset_zoo,
    pinned_distorters,
    roots_of,
    with_plugins,
)
from bapps_gen.pipelines.sources.source import Source

Opener = Callable[[tuple[str, ...]], Source]
"""Opens the images at some paths or URLs."""

Made = TypeVar("Made", Dataset, Benchmark)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where things are now; those of which nothing is said, where they were.

    Args:
        opener: opens the images at some paths or URLs.
        source: photos, or ground truth.
        outputs: outputs of algorithms, by name.
        zoo: folder of the CNN distorters.
        plugins: files with distortions of plugins, which are run only if they are given.
        of_collection: whether all this is of a collection: its photos are no ground truth of sets
            from real algorithms, and zoo and plugins are for the sets that have such distortions.
    """

    opener: Opener
    source: Sequence[str] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    zoo: Path | None = None
    plugins: Sequence[str] = ()
    of_collection: bool = False

    def with_plugins(self, made: Made) -> Made:
        """A dataset or benchmark whose plugins are the files given; raises as `with_plugins`."""
        info = with_plugins(made.info, self.plugins, is_collection=self.of_collection)
        return replace(made, info=info)

    def open_zoo(self, made: Dataset | Benchmark) -> Zoo | None:
        """The zoo, None where there are no CNN distorters; raises as `open_dataset_zoo`."""
        is_for_it = not self.of_collection or pinned_distorters(made.info)
        return open_dataset_zoo(made.info, self.zoo if is_for_it else None)

    def open_images(self, made: Dataset | Benchmark) -> Source:
        """The photos, or the ground truth."""
        return self.opener(tuple(self.source) or roots_of(made.info))

    def check_outputs(self, dataset: Dataset) -> None:
        """Raise UserError unless a dataset has all algorithms of which outputs are given."""
        for name in self.outputs:
            if name not in dataset.info.outputs:
                known = ", ".join(dataset.info.outputs) or "no algorithms"
                raise UserError(
                    f"outputs = {name}=… cannot be used: {dataset.folder} has {known}; leave it out"
                )
