"""Where the specs of collections come from: the preset of the paper's table 3, and TOML files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bapps_gen.checks import parse_fields
from bapps_gen.errors import UserError, out_of_range, unknown_name
from bapps_gen.pipelines.collections.spec import CollectionSpec, SetEntry, SourceEntry
from bapps_gen.pipelines.datasets.kinds import KINDS
from bapps_gen.pipelines.datasets.request import OPTIONS
from bapps_gen.pipelines.real.tasks import TASKS
from bapps_gen.storage.documents import read_toml
from bapps_gen.storage.records import parse_value

# path, kind, rows: Zhang et al., CVPR 2018, table 3. The paper gives counts in thousands to one
# digit; the paths are those of the released dataset. Train photos were MIT-Adobe FiveK, val photos
# RAISE1k (section 2.2).
BAPPS = (
    ("2afc/train/traditional", "traditional", 56_600),
    ("2afc/train/cnn", "cnn", 38_100),
    ("2afc/train/mix", "mix", 56_600),
    ("2afc/val/traditional", "traditional", 4_700),
    ("2afc/val/cnn", "cnn", 4_700),
    ("2afc/val/superres", "superres", 10_900),
    ("2afc/val/frameinterp", "frameinterp", 1_900),
    ("2afc/val/deblur", "deblur", 9_400),
    ("2afc/val/color", "color", 4_700),
    ("jnd/val/traditional", "jnd-traditional", 4_800),
    ("jnd/val/cnn", "jnd-cnn", 4_800),
)

PRESETS = {"bapps": BAPPS}

REAL = tuple(TASKS)
"""Sets of the outputs of real algorithms, which users run: named as their kinds."""

_LEFT_OUT = (
    "no ground truth and outputs of algorithms were given; "
    "add --real SET:reference=DIR,NAME=DIR,NAME=DIR"
)

_SETS = "set"
_TABLES = ("name", "seed", "source", "defaults", _SETS)
_SET_KEYS = ("path", "kind", "rows", "source", "seed")
_SOURCE_KEYS = ("paths", "split", "val_fraction")


def preset_spec(
    name: str, seed: int = 0, given: Mapping[str, Mapping[str, Any]] | None = None
) -> CollectionSpec:
    """A collection that comes with this package.

    Args:
        name: of PRESETS.
        seed: of the collection.
        given: options by the name of a set; a set of real algorithms is left out without its.

    Raises:
        UserError: for an unknown name of a preset or set.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS, f"presets are {', '.join(PRESETS)}")
    given = given or {}
    real = [path.rsplit("/", 1)[-1] for path, kind, _ in PRESETS[name] if kind in REAL]
    for word in given:
        if word not in real:
            raise unknown_name("real set", word, real, f"real sets are {', '.join(real)}")
    sets, left_out = [], []
    for path, kind, rows in PRESETS[name]:
        options = given.get(path.rsplit("/", 1)[-1])
        if kind in REAL and options is None:
            left_out.append((path, _LEFT_OUT))
        else:
            sets.append(SetEntry(path, kind, rows, options=options or {}))
    return CollectionSpec(name=name, seed=seed, sets=tuple(sets), left_out=tuple(left_out))


def with_defaults(spec: CollectionSpec, defaults: Mapping[str, Any]) -> CollectionSpec:
    """A spec whose sets have further options, each where its kind takes it and it is not given.

    Raises:
        UserError: for an unknown option, or a value of the wrong type.
    """
    for name in defaults:
        if name not in OPTIONS:
            raise unknown_name("default", name, OPTIONS, f"options are {', '.join(OPTIONS)}")
    sets = []
    for entry in spec.sets:
        taken = {name: defaults[name] for name in KINDS[entry.kind].options if name in defaults}
        sets.append(replace(entry, options={**taken, **entry.options}))
    return replace(spec, sets=tuple(sets))


def read_collection(path: Path) -> CollectionSpec:
    """The collection that a TOML file describes.

    Its keys: `name` (the file's by default), `seed` (0), `[source]` with paths by name (a path, a
    list of them, or a table of `paths`, `split` and `val_fraction`), `[defaults]` with options for
    every set that takes them, and a `[[set]]` for each set: `path`, `kind`, `rows`, and where
    wanted `source`, `seed` and the options of its kind. Files and folders are relative to the
    file's own folder.

    Raises:
        UserError: naming the file and the table, when it is missing, is not TOML, or has an unknown
            or missing key or a bad value.
    """
    content = read_toml(path, "that describes a collection")
    try:
        bounded = {name: parse_value(Any, value, name) for name, value in content.items()}
        return _parse(bounded, path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _parse(content: Mapping[str, Any], path: Path) -> CollectionSpec:
    _check_keys(content, _TABLES, "key")
    tables = content.get(_SETS, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError("'set' is no list of tables; write [[set]] above each set")
    for name in ("source", "defaults"):
        if not isinstance(content.get(name, {}), dict):
            raise UserError(f"'{name}' is no table; write [{name}] above its keys")
    folder = path.parent
    sources = {
        name: _source(name, value, folder) for name, value in content.get("source", {}).items()
    }
    given = parse_fields(CollectionSpec, _part(content, ("name", "seed")), "the collection")
    spec = CollectionSpec(
        **{"name": path.stem, "seed": 0, **given},
        sets=tuple(_set(table, number, folder) for number, table in enumerate(tables, 1)),
        sources=sources,
    )
    return with_defaults(spec, _resolved(content.get("defaults", {}), folder))


def _set(table: Mapping[str, Any], number: int, folder: Path) -> SetEntry:
    where = f"set {number}"
    for name in table:  # first, since a key that is missing may be there misspelt
        if name not in _SET_KEYS and name not in OPTIONS:
            known = (*_SET_KEYS, *OPTIONS)
            raise unknown_name(f"key of {where}:", name, known, f"keys are {', '.join(known)}")
    for name in ("path", "kind", "rows"):
        if name not in table:
            raise UserError(f"{where} has no {name}; add it, for example {_EXAMPLE[name]}")
    options = {name: value for name, value in table.items() if name not in _SET_KEYS}
    return SetEntry(
        **parse_fields(SetEntry, _part(table, _SET_KEYS), where),
        options=_resolved(options, folder),
    )


_EXAMPLE = {
    "path": 'path = "2afc/train/traditional"',
    "kind": 'kind = "traditional"',
    "rows": "rows = 1000",
}


def _source(name: str, value: Any, folder: Path) -> SourceEntry:
    where = f"source '{name}'"
    table = value if isinstance(value, dict) else {"paths": value}
    _check_keys(table, _SOURCE_KEYS, f"key of {where}:")
    paths = table.get("paths", [])
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise out_of_range(where, repr(value), "a path or a list of paths", "write them as text")
    part = parse_fields(SourceEntry, _part(table, ("split", "val_fraction")), where)
    return SourceEntry(tuple(_joined(path, folder) for path in paths), **part)


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for name in table:
        if name not in known:
            raise unknown_name(what, name, known, f"keys are {', '.join(known)}")


def _part(table: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name in names}


def _resolved(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Options with their files and folders joined to the folder that they are relative to."""
    return {
        name: _placed(value, folder) if name in OPTIONS and OPTIONS[name].is_place else value
        for name, value in options.items()
    }


def _placed(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {name: _placed(item, folder) for name, item in value.items()}
    if isinstance(value, list):  # of plugins: entry points are no files
        return [
            _placed(item, folder) if isinstance(item, str) and item.endswith(".py") else item
            for item in value
        ]
    return _joined(value, folder) if isinstance(value, str) else value


def _joined(path: str, folder: Path) -> str:
    return path if "://" in path else os.path.abspath(folder / path)
