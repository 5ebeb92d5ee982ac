"""The spec of a collection: its sets, their photos, and a seed for each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bapps_gen.checks import Option, or_list, parse_fields
from bapps_gen.errors import UserError, out_of_range, unknown_name
from bapps_gen.manifests.dataset import SPLITS as COLLECTION_SPLITS
from bapps_gen.pipelines.datasets.kinds import KINDS
from bapps_gen.pipelines.datasets.request import OPTIONS, Request
from bapps_gen.pipelines.rows.options import ROWS, SEED
from bapps_gen.pipelines.sources.options import SPLIT, SPLITS, VAL_FRACTION
from bapps_gen.pipelines.sources.source import check_split
from bapps_gen.seeding import digest_of, named_seed

TASKS = ("2afc", "jnd")
MAX_SCALE = 1000.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """Photos that sets are made from.

    Args:
        paths: folders, images, Parquet files or tar shards.
        split: "train" or "val" takes that part of them, by content; see `open_source`.
        val_fraction: share of contents in val.
    """

    paths: tuple[str, ...]
    split: str | None = SPLIT.field()
    val_fraction: float = VAL_FRACTION.field()

    def __post_init__(self) -> None:
        if not self.paths:
            raise UserError("a source of photos has no path; give at least one")
        check_split(self.split, self.val_fraction)


@dataclass(frozen=True, slots=True)
class SetEntry:
    """One set of a collection.

    Args:
        path: its folder, "TASK/SPLIT/NAME" as in the original: "2afc/train/traditional".
        kind: name of one of `datasets.kinds.KINDS`.
        rows: triplets or pairs.
        source: name of its photos among the collection's sources; the split's where None.
        seed: of the set; None derives it from the collection's seed and `path`.
        options: of `datasets.request.OPTIONS`, as plain values.
    """

    path: str = Option("text", "its folder").field(required=True)
    kind: str = Option("text", "of set").field(required=True)
    rows: int = ROWS.field(required=True)
    source: str | None = Option("text", "of its photos").field()
    seed: int | None = SEED.field(None)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"set '{self.path}'"
        parts = self.path.split("/")
        if len(parts) != 3 or not _NAME.fullmatch(parts[2]):
            raise out_of_range(
                "path of a set",
                repr(self.path),
                "TASK/SPLIT/NAME, the name of letters, digits, '_', '-' and '.'",
                "write for example 2afc/train/traditional",
            )
        for what, word, known in (
            ("task", parts[0], TASKS),
            ("split", parts[1], COLLECTION_SPLITS),
            ("kind", self.kind, tuple(KINDS)),
        ):
            if word not in known:
                raise unknown_name(f"{what} of {where}:", str(word), known, f"use {or_list(known)}")
        kind = KINDS[self.kind]
        if kind.task != self.task:
            raise UserError(
                f"{where}: kind '{self.kind}' belongs to {kind.task}; "
                f'write path = "{kind.task}/{self.split}/{self.name}"'
            )
        ROWS.check(f"{where}: rows", self.rows)
        if self.seed is not None:
            SEED.check(f"{where}: seed", self.seed)
        for name in self.options:
            if name not in kind.options:
                raise unknown_name(
                    f"option of kind '{self.kind}' of {where}:",
                    name,
                    kind.options,
                    f"use {or_list(sorted(kind.options))}",
                )
        parse_fields(Request, self.options, where)
        if self.source is not None and not self.photos:
            raise UserError(f"{where}: kind '{self.kind}' takes no photos; leave out its source")

    @property
    def demo(self) -> bool:
        """Whether ground truth and outputs are to be made from photos first."""
        return bool(self.options.get("demo"))

    @property
    def photos(self) -> bool:
        """Whether it is made from a source of photos."""
        return self.demo or not KINDS[self.kind].has_outputs

    @property
    def task(self) -> str:
        """ "2afc" or "jnd"."""
        return self.path.split("/")[0]

    @property
    def split(self) -> str:
        """ "train", "val" or "test"."""
        return self.path.split("/")[1]

    @property
    def name(self) -> str:
        """The set's name within its task and split."""
        return self.path.split("/")[2]

    @property
    def source_name(self) -> str:
        """Name of the source that it is made from."""
        return self.source or self.split

    def request(self, seed: int) -> Request:
        """What it asks for, with a seed.

        Raises:
            UserError: for a value out of range, or options that do not go together.
        """
        options = parse_fields(Request, self.options, f"set '{self.path}'")
        return Request(self.kind, self.rows, seed, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSpec:
    """What a collection is.

    Args:
        name: of the collection.
        seed: that the sets' seeds are derived from.
        sets: in the order in which they are made.
        sources: photos by name.
        left_out: (path, reason) of sets that belong to it but cannot be asked for.
        scale: factor that the counts have been multiplied by, for the card.
    """

    name: str = Option("text", "of the collection").field(required=True)
    seed: int = SEED.field(required=True)
    sets: tuple[SetEntry, ...]
    sources: Mapping[str, SourceEntry] = field(default_factory=dict)
    left_out: tuple[tuple[str, str], ...] = ()
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise out_of_range(
                "name of the collection",
                repr(self.name),
                "of letters, digits, '_', '-' and '.'",
                "rename it",
            )
        SEED.check("seed", self.seed)
        if not self.sets:
            raise UserError(f"the collection '{self.name}' has no set; describe at least one")
        folded: dict[str, str] = {}
        for entry in self.sets:
            # Folders that differ in case alone are one on some systems.
            other = folded.setdefault(entry.path.lower(), entry.path)
            if other is not entry.path:
                raise UserError(
                    f"the collection '{self.name}' has two sets at '{entry.path}'; rename one"
                )

    def seed_of(self, entry: SetEntry) -> int:
        """The seed of a set: its own, or one that depends on this seed and its path alone."""
        return named_seed(self.seed, entry.path) if entry.seed is None else entry.seed

    def source_of(self, entry: SetEntry) -> SourceEntry:
        """The photos of a set.

        Raises:
            UserError: when none are given under that name.
        """
        name = entry.source_name
        if name in self.sources:
            return self.sources[name]
        if self.sources and name not in COLLECTION_SPLITS:
            raise unknown_name(
                f"source of set '{entry.path}':", name, self.sources, f"use {or_list(self.sources)}"
            )
        option = f"--{name} PHOTOS" if name in SPLITS else f"{name} under [source] of a TOML file"
        other = ", or --source PHOTOS to part one collection of photos" if name in SPLITS else ""
        raise UserError(f"set '{entry.path}' needs photos; give {option}{other}")

    def scaled(self, factor: float) -> CollectionSpec:
        """With every count multiplied, rounded to the nearest (halves up), and at least 1.

        Raises:
            UserError: when the factor is out of range.
        """
        if not 0.0 < factor <= MAX_SCALE:
            raise out_of_range(
                "scale", factor, f"above 0 and at most {MAX_SCALE:g}", "0.01 makes a hundredth"
            )
        sets = tuple(
            replace(entry, rows=max(1, math.floor(entry.rows * factor + 0.5)))
            for entry in self.sets
        )
        return replace(self, sets=sets, scale=self.scale * factor)

    def chosen(self, names: Sequence[str]) -> tuple[SetEntry, ...]:
        """The sets that some names stand for; all without names.

        A name is a set's path, the beginning of it ("2afc/val"), or any part of it ("jnd", "val",
        "traditional").

        Raises:
            UserError: for a name that stands for no set, with the nearest that does.
        """
        kept: set[str] = set()
        for name in names:
            paths = [entry.path for entry in self.sets if _is_meant(name, entry.path)]
            reasons = [why for path, why in self.left_out if _is_meant(name, path)]
            if not paths and reasons:
                raise UserError(f"'{name}' is left out of the collection: {reasons[0]}")
            if not paths:
                every = [entry.path for entry in self.sets]
                known = {word for path in every for word in (path, *path.split("/"))}
                raise unknown_name("set", name, sorted(known), f"sets are {', '.join(every)}")
            kept.update(paths)
        return tuple(entry for entry in self.sets if not names or entry.path in kept)

    def values(self) -> dict[str, Any]:
        """Plain values, from which another could make the same collection of the same photos."""
        return {
            "name": self.name,
            "seed": self.seed,
            "scale": self.scale,
            "sets": [
                {
                    "path": entry.path,
                    "kind": entry.kind,
                    "rows": entry.rows,
                    "seed": self.seed_of(entry),
                    "source": entry.source_name if entry.photos else None,
                    "options": {name: _plain(value) for name, value in entry.options.items()},
                }
                for entry in self.sets
            ],
        }

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of SHA-256 over the canonical JSON of its values.

        Shard sizes and the locations of zoos and plugins do not count: rows do not depend on them.
        """
        values = self.values()
        for entry in values["sets"]:
            entry["options"] = {
                name: value
                for name, value in entry["options"].items()
                if name != "shard_size" and not OPTIONS[name].is_place
            }
        return digest_of(values)


def _is_meant(name: str, path: str) -> bool:
    return name in path.split("/") or f"{path}/".startswith(f"{name.rstrip('/')}/")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value
