"""The kinds of sets that a collection may have: their options, and how each is prepared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bapps_gen.checks import check_range
from bapps_gen.cnn_distorters.zoo import Zoo
from bapps_gen.errors import UserError, out_of_range
from bapps_gen.execution.jobs import Workers
from bapps_gen.manifests.dataset import DatasetInfo
from bapps_gen.pipelines.datasets.request import SetRequest, prepare_set
from bapps_gen.pipelines.real.align import AlignedImages
from bapps_gen.pipelines.real.request import RealRequest, prepare_real
from bapps_gen.pipelines.real.tasks import DEMO_IMAGES
from bapps_gen.pipelines.sources.source import Source


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a set, as a TOML file gives it.

    Args:
        field: its name in the request that the set is prepared from.
        convert: makes the request's value of TOML's; ValueError or TypeError where it cannot.
        allowed: what is allowed, for people.
        places: whether it names files or folders, which a TOML file gives relative to its own.
    """

    field: str
    convert: Callable[[Any], Any]
    allowed: str
    places: bool = False


@dataclass(frozen=True, slots=True)
class ReadySet:
    """A set that can be made: what `generate` takes."""

    info: DatasetInfo
    images: Source | AlignedImages
    zoo: Zoo | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """What a set is made ready with.

    Args:
        photos: None for a set that takes none.
        demo_folder: where a demo of real algorithms goes.
        workers: processes for that, or the cluster.
    """

    photos: Source | None
    demo_folder: Path
    workers: Workers = 1


Ready = Callable[[Means], ReadySet]
"""Makes a set ready. Only a demo makes pixels for that."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of set.

    Args:
        task: "2afc" for triplets, "jnd" for pairs.
        options: names of those in OPTIONS that it takes.
        prepare: checks what can be told without photos of (kind, rows, seed, fields of the
            request), and gives the function that makes all ready, given the photos.
        photos: whether it is always made from a source of photos.
    """

    task: str
    options: tuple[str, ...]
    prepare: Callable[[str, int, int, Mapping[str, Any]], Ready]
    photos: bool = True


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError
    return tuple(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, list):
        raise TypeError
    low, high = map(_number, value)
    return low, high


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _path(value: Any) -> Path:
    return Path(_text(value))


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _outputs(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise TypeError
    return tuple((name, _text(place)) for name, place in value.items())


OPTIONS = {
    "scale_range": Option("scale", _pair, "a list of two numbers"),
    "min_contrast": Option("min_contrast", _number, "a number"),
    "rows_per_image": Option("rows_per_image", _whole, "a whole number"),
    "shard_size": Option("shard_rows", _whole, "a whole number"),
    "families": Option("families", _names, "a list of names"),
    "atoms": Option("atoms", _names, "a list of names"),
    "compositions": Option("compositions", _names, "a list of names"),
    "singles": Option("singles", _number, "a number"),
    "severity": Option("severity", _pair, "a list of two numbers"),
    "plugins": Option("plugins", _names, "a list of files or entry points", True),
    "zoo": Option("zoo", _path, "a folder", True),
    "distorters": Option("distorters", _names, "a list of ids"),
    "sequences": Option("sequences", _number, "a number"),
    "reference": Option("reference", _text, "a folder, tar or Parquet file", True),
    "outputs": Option("outputs", _outputs, 'a table such as { mine = "DIR", other = "DIR" }', True),
    "skip_misaligned": Option("skip_misaligned", _truth, "true or false"),
    "demo": Option("demo", _truth, "true or false"),
    "demo_images": Option("demo_images", _whole, "a whole number"),
}
"""Named as the options of the commands that make one set."""


def _prepare_photos(kind: str, rows: int, seed: int, values: Mapping[str, Any]) -> Ready:
    prepared = prepare_set(SetRequest(kind, rows, seed, **values))

    def ready(means: Means) -> ReadySet:
        assert means.photos is not None
        return ReadySet(prepared.describe(means.photos), means.photos, prepared.zoo)

    return ready


def _prepare_outputs(kind: str, rows: int, seed: int, values: Mapping[str, Any]) -> Ready:
    given = dict(values)
    demo, limit = given.pop("demo", False), given.pop("demo_images", DEMO_IMAGES)
    if demo:
        given |= {"reference": "", "outputs": (("a", ""), ("b", ""))}
    elif "demo_images" in values:
        raise UserError("demo_images goes with a demo alone; add demo = true, or leave it out")
    for name in ("reference", "outputs"):
        if name not in given:
            raise UserError(
                f"no {name} given: name the ground truth and the outputs of at least two "
                "algorithms, or set demo = true to try it"
            )
        if demo and name in values:
            raise UserError(f"a demo makes its {name} itself; leave out {name}, or demo")
    check_range("demo_images", limit, 1, 10**6, whole=True)
    request = RealRequest(kind, rows, seed=seed, **given)

    def ready(means: Means) -> ReadySet:
        asked = request
        if demo:
            from bapps_gen.pipelines.real.demos import make_demo

            assert means.photos is not None
            made = make_demo(
                kind,
                means.photos,
                means.demo_folder,
                limit=limit,
                seed=seed,
                workers=means.workers,
            )
            outputs = tuple((name, str(place)) for name, place in made.outputs.items())
            asked = replace(request, reference=str(made.reference), outputs=outputs)
        prepared = prepare_real(asked)
        return ReadySet(prepared.info, prepared.images)

    return ready


_PHOTOS = ("scale_range", "min_contrast", "rows_per_image", "shard_size")
_TRADITIONAL = (*_PHOTOS, "families", "atoms", "compositions", "singles", "severity", "plugins")
_CNN = (*_PHOTOS, "zoo", "distorters")
_REAL = (*_PHOTOS, "reference", "outputs", "skip_misaligned", "demo", "demo_images")

KINDS = {
    "traditional": Kind("2afc", _TRADITIONAL, _prepare_photos),
    "cnn": Kind("2afc", _CNN, _prepare_photos),
    "mix": Kind("2afc", (*_TRADITIONAL, "zoo", "distorters", "sequences"), _prepare_photos),
    "superres": Kind("2afc", _REAL, _prepare_outputs, photos=False),
    "frameinterp": Kind("2afc", _REAL, _prepare_outputs, photos=False),
    "deblur": Kind("2afc", _REAL, _prepare_outputs, photos=False),
    "color": Kind("2afc", _REAL, _prepare_outputs, photos=False),
    "jnd-traditional": Kind("jnd", _TRADITIONAL, _prepare_photos),
    "jnd-cnn": Kind("jnd", (*_CNN, "severity"), _prepare_photos),
}


def option_value(name: str, value: Any, where: str) -> Any:
    """An option's value as a request has it.

    Raises:
        UserError: when it is of the wrong type; ranges are checked when the set is prepared.
    """
    option = OPTIONS[name]
    try:
        return option.convert(value)
    except (TypeError, ValueError):
        raise out_of_range(f"{where}: {name}", repr(value), option.allowed, "mend it") from None
