"""A user's own distortions, from a Python file or an entry point, checked before use."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import numpy as np

from bapps_gen.distortions.definition import Distortion, Patch, check_distortion
from bapps_gen.errors import UserError, unknown_name
from bapps_gen.plugins import load_file, reason
from bapps_gen.seeding import generator

ENTRY_POINT_GROUP = "bapps_gen.distortions"

_TRIAL_SEVERITIES = (0.0, 0.5, 1.0)


def load_plugin(plugin: str) -> tuple[Distortion, ...]:
    """The distortions that a plugin defines, each checked and tried on a small image.

    Args:
        plugin: path of a Python file that defines `DISTORTIONS`, a list of records; or the name
            of an entry point in the group "bapps_gen.distortions" that gives such a list or a
            module with one.

    Raises:
        UserError: for anything wrong with it, on one line that names the plugin.
    """
    label = f"plugin {plugin}"
    path = Path(plugin)
    if path.suffix == ".py" or path.exists() or len(path.parts) > 1:
        content: object = load_file(path, label)[0]
    else:
        content = _from_entry_point(plugin, label)
    records = _records(content, label)
    for record in records:
        _try(record, label)
    return records


def _from_entry_point(name: str, label: str) -> object:
    points = entry_points(group=ENTRY_POINT_GROUP)
    if name not in points.names:
        known = sorted(points.names)
        listed = f"installed: {', '.join(known)}" if known else "none is installed"
        remedy = f"give the path of a Python file or an entry point's name ({listed})"
        raise unknown_name("plugin", name, known, remedy)
    try:
        content: object = points[name].load()
    except (Exception, SystemExit) as error:
        raise UserError(f"{label}: {reason(error, None)}") from error
    return content


def _records(content: object, label: str) -> tuple[Distortion, ...]:
    listed = (
        content if isinstance(content, (list, tuple)) else getattr(content, "DISTORTIONS", None)
    )
    if listed is None:
        raise UserError(
            f"{label}: it defines no DISTORTIONS; add DISTORTIONS = [Distortion(...), ...]"
        )
    if not isinstance(listed, (list, tuple)) or not listed:
        raise UserError(
            f"{label}: DISTORTIONS must be a list of at least one Distortion, "
            f"not {_describe(listed)}"
        )
    for item in listed:
        if not isinstance(item, Distortion):
            raise UserError(
                f"{label}: DISTORTIONS holds {_describe(item)}; every item must be a "
                "bapps_gen.distortions.Distortion"
            )
        try:
            check_distortion(item)
        except UserError as error:
            raise UserError(f"{label}: {error}") from error
    names = [record.name for record in listed]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{label}: it defines '{name}' twice; give each its own name")
    return tuple(listed)


def _try(record: Distortion, label: str) -> None:
    """Apply a record at three severities to a small image and check the contract."""
    label = f"{label}: {record.name}"
    y, x = np.mgrid[:16, :24]
    image: Patch = np.stack((8 * x + 3 * y, 12 * y + x, 200 - 5 * x), axis=-1).astype(np.uint8)
    for severity in _TRIAL_SEVERITIES:
        params = record.draw(severity, [0.5] * len(record.parameters))
        first = _apply(record, image, params, label)
        if not np.array_equal(first, _apply(record, image, params, label)):
            raise UserError(
                f"{label}: gave two different results for the same parameters and seed; "
                "draw every random number from the generator that the function is given"
            )
        if severity == 0 and record.has_identity and not np.array_equal(first, image):
            raise UserError(
                f"{label}: changes the image at severity 0; return an unchanged copy there, "
                "or set has_identity=False"
            )


def _apply(record: Distortion, image: Patch, params: dict[str, float], label: str) -> Patch:
    given = image.copy()
    try:
        result: object = record.apply(given, params, generator(0))
    except Exception as error:
        code = getattr(record.function, "__code__", None)
        why = reason(error, Path(code.co_filename) if code else None)
        raise UserError(f"{label}: failed on a trial image: {why}") from error
    if not np.array_equal(given, image):
        raise UserError(f"{label}: writes into its input; work on a copy")
    if (
        not isinstance(result, np.ndarray)
        or result.dtype != np.uint8
        or result.shape != image.shape
    ):
        raise UserError(
            f"{label}: returned {_describe(result)} for an image of shape {image.shape}; "
            "return a uint8 array of the input's shape"
        )
    if np.shares_memory(result, given):
        raise UserError(f"{label}: returned its input or a view of it; return a copy")
    return result


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    return f"a value of type {type(value).__name__}"
