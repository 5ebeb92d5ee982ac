"""The `dataset.json` of datasets that are about to be made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bapps_gen.cnn_distorters.as_distortions import cnn_name
from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.distortions.registry import Registry
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES
from bapps_gen.pipelines.datasets.zoo import zoo_location
from bapps_gen.pipelines.real.align import AlignedImages
from bapps_gen.pipelines.real.spec import STEP_VERSION, RealSpec, step_name
from bapps_gen.pipelines.rows.spec import TripletSpec
from bapps_gen.pipelines.sources.source import Source
from bapps_gen.version import __version__


def describe_distorted(
    kind: str,
    spec: TripletSpec,
    photos: Source,
    registry: Registry,
    plugins: tuple[str, ...],
    rows: int,
    shard_rows: int,
    zoo: Zoo | None = None,
) -> DatasetInfo:
    """Of a dataset whose rows are distorted here.

    Args:
        kind: its name.
        spec: what its rows depend on.
        photos: that the spec is for.
        registry: all distortions of the spec.
        plugins: that some come from.
        rows: when complete.
        shard_rows: rows in a shard.
        zoo: that the spec's CNN distorters come from, if it has any.
    """
    # In triplets CNN distorters distort as they were trained and have no parameters.
    bare = () if spec.is_jnd else {cnn_name(name) for name, _ in spec.distorters}
    return DatasetInfo(
        kind=kind,
        version=__version__,
        spec=spec.values(),
        digest=spec.digest,
        rows=rows,
        shard_rows=shard_rows,
        distortions=dict(spec.versions),
        units=parameter_units(registry, (name for name, _ in spec.versions if name not in bare)),
        plugins=plugins,
        source_roots=photos.roots,
        source_digest=photos.digest,
        source_images=tuple((entry.name, entry.sha256) for entry in photos.entries),
        source_failures={},
        patches=PAIR_PATCHES if spec.is_jnd else PATCHES,
        zoo=None if zoo is None else zoo_location(zoo),
    )


def describe_real(
    spec: RealSpec,
    images: AlignedImages,
    left_out: Mapping[str, str],
    rows: int,
    shard_rows: int,
) -> DatasetInfo:
    """Of a dataset from real algorithms.

    Args:
        spec: what its rows depend on.
        images: that the spec is for.
        left_out: reasons by name of images that are not among them.
        rows: when complete.
        shard_rows: rows in a shard.
    """
    return DatasetInfo(
        kind=spec.task,
        version=__version__,
        spec=spec.values(),
        digest=spec.digest,
        rows=rows,
        shard_rows=shard_rows,
        distortions={step_name(spec.task, name): STEP_VERSION for name in spec.names},
        units={},
        plugins=(),
        source_roots=images.reference.roots,
        source_digest=spec.reference_digest,
        source_images=tuple((entry.name, entry.sha256) for entry in images.reference.entries),
        source_failures=left_out,
        outputs={
            name: source.roots[0]
            for name, source in zip(images.algorithms, images.outputs, strict=True)
        },
    )


def parameter_units(registry: Registry, names: Iterable[str]) -> dict[str, str]:
    """Unit of every "distortion.parameter" of some distortions."""
    return {
        f"{name}.{parameter.name}": parameter.unit
        for name in names
        for parameter in registry.atom(name).parameters
    }
