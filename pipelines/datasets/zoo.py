"""The zoo of CNN distorters that a dataset was made with: where it is, and that it is the one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bapps_gen.cnn_distorters.as_distortions import load_networks, with_zoo
from bapps_gen.cnn_distorters.spec import choose_specs
from bapps_gen.cnn_distorters.zoo import SHIPPED, ZOO_NAME, Zoo, open_zoo
from bapps_gen.distortions.registry import Registry, load_registry
from bapps_gen.errors import UserError
from bapps_gen.manifests.benchmark import BenchmarkInfo
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.manifests.origin import ORIGIN_NAME, require_roots, resolve_plugins
from bapps_gen.storage.records import parse_value

Made = DatasetInfo | BenchmarkInfo


def plugins_of(info: Made) -> tuple[str, ...]:
    """The plugins that a dataset or benchmark was made with; see `resolve_plugins`."""
    return resolve_plugins(info.plugins, info.plugin_files)


def roots_of(info: Made) -> tuple[str, ...]:
    """Where the images of a dataset or benchmark were; see `require_roots`."""
    return require_roots(info.origin, info.sources)


def with_plugins(info: Made, given: Sequence[str], *, is_collection: bool = False) -> Any:
    """A description with the plugins that a user gave.

    Args:
        info: of a dataset or benchmark.
        given: files and entry points.
        is_collection: whether they are for some sets of a collection and may be for none of this.

    Raises:
        UserError: when it has no plugin, or one that was not given, or another file.
    """
    if given and not info.plugins and not is_collection:
        raise UserError("plugin has no effect: no distortion of a plugin occurs; leave it out")
    resolve_plugins(info.plugins, given)
    return replace(info, plugin_files=tuple(given))


def zoo_location(zoo: Zoo) -> str | None:
    """Where a zoo is, as in `sources.local.json`: an absolute path, None for the shipped one."""
    return None if zoo.folder == SHIPPED else os.path.abspath(zoo.folder)


def pinned_distorters(info: Made) -> tuple[tuple[str, str], ...]:
    """(id, digest) of the CNN distorters that a dataset or benchmark is made with, if any."""
    pinned: tuple[tuple[str, str], ...] = parse_value(
        tuple[tuple[str, str], ...], info.spec.get("distorters", []), "spec.distorters"
    )
    return pinned


def open_dataset_zoo(info: Made, folder: Path | None = None) -> Zoo | None:
    """The zoo that a dataset was made with, or None where it has no CNN distorters.

    Args:
        folder: where the zoo is now; None looks where the dataset says it was.

    Raises:
        UserError: when there is no zoo, or one with other distorters, or one is given for nothing.
        WorkError: when its index is damaged.
    """
    pinned = pinned_distorters(info)
    if not pinned:
        if folder is not None:
            raise UserError(
                f"zoo = {folder} has no effect: the dataset has no CNN distorters; leave it out"
            )
        return None
    if folder is None and info.zoo is not None:
        if info.origin is None or info.origin.zoo is None:
            raise UserError(
                f"where the zoo '{info.zoo}' lies is not known here: there is no {ORIGIN_NAME}; "
                "give --zoo"
            )
        folder = Path(info.origin.zoo)
        if not (folder / ZOO_NAME).exists():
            raise UserError(
                f"the zoo {folder} that the dataset was made with is not there; "
                "give --zoo with the folder that it is in now"
            )
    zoo = open_zoo(folder)
    for name, digest in pinned:
        if name not in zoo.entries:
            what = f"it has no distorter '{name}'"
        elif zoo.digest(name) != digest:
            what = f"its distorter '{name}' has the digest {zoo.digest(name)}, not {digest}"
        else:
            continue
        raise UserError(
            f"{zoo.folder} is not the zoo that the dataset was made with: {what}; "
            "give --zoo with the one that it was made with"
        )
    return zoo


def recipe_files(plugins: Sequence[str], zoo: Zoo | None) -> tuple[str | Path, ...]:
    """Files, besides images, that pixels depend on: plugins, and the index of a user's own zoo.

    On a Ray cluster every node must have the same ones; see `run_jobs`. The shipped zoo is part
    of the package, and names of entry points are not files.
    """
    if zoo is None or zoo_location(zoo) is None:
        return tuple(plugins)
    return *plugins, zoo.folder / ZOO_NAME


def dataset_registry(info: Made, zoo: Zoo | None = None) -> Registry:
    """Everything that a dataset's rows, or a benchmark's pictures, are made with.

    Args:
        zoo: of `open_dataset_zoo`; None opens it where the dataset says it was.

    Raises:
        UserError: when a plugin cannot be used, or as `open_dataset_zoo`.
        WorkError: as `open_dataset_zoo`.
    """
    registry = load_registry(plugins_of(info))
    zoo = zoo or open_dataset_zoo(info)
    if zoo is None:
        return registry
    return with_zoo(registry, zoo, (name for name, _ in pinned_distorters(info)))


def worker_registry(info: Made, zoo: Zoo | None = None) -> Registry:
    """As `dataset_registry`, with all networks loaded: a damaged file is reported before the work.

    Raises:
        WorkError: when a distorter's file is missing or damaged.
    """
    registry = dataset_registry(info, zoo)
    load_networks(registry, (name for name, _ in pinned_distorters(info)))
    return registry


def choose_distorters(
    folder: Path | None, chosen: Sequence[str] = ()
) -> tuple[Zoo, tuple[str, ...]]:
    """A zoo, and the ids of some of its distorters in its order.

    Args:
        folder: of the zoo; None for the shipped one.
        chosen: ids and ranges of ids such as "010-020"; all if empty.

    Raises:
        UserError: for a missing zoo or an unknown id.
        WorkError: when the zoo's index is damaged.
    """
    zoo = open_zoo(folder)
    specs = choose_specs([zoo.spec(name) for name in zoo.ids], chosen)
    return zoo, tuple(spec.id for spec in specs)
