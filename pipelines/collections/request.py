"""What a user asks a collection to be: `CollectionRequest.resolve` gives its spec.

Imports nothing heavy on its own, since the command line's help derives from the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bapps_gen.checks import Option, convert_options
from bapps_gen.errors import UserError
from bapps_gen.pipelines.rows.options import PATCH_SIZE, SEED, SHARD_SIZE, ZOO
from bapps_gen.pipelines.sources.options import VAL_FRACTION

if TYPE_CHECKING:
    from bapps_gen.pipelines.collections.spec import CollectionSpec


def _photos(help: str) -> Any:
    return Option(
        "names",
        f"{help}; may be repeated",
        (),
        metavar="PHOTOS",
        is_place=True,
        is_repeated=True,
    ).field()


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """A collection as a user asks for it; see the help of each option.

    Args:
        spec: TOML file, in place of the preset.
        seed: None for that of the TOML file, or 0.
        source: photos of train and val sets, instead of `train` and `val`.
        real: by name of a set from real algorithms, its options as TOML has them.
        patch_size, shard_size: None for those of the TOML file, or the defaults of datasets.

    Raises:
        UserError: for a value out of range, or options that exclude each other.
    """

    preset: str = Option(
        "text", "bapps: every set of the paper's table 3 with its counts", "bapps", metavar="NAME"
    ).field()
    spec: Path | None = Option(  # noqa: RUF009 (makes a field)
        "path", "a collection described in a TOML file", metavar="FILE.toml", is_place=True
    ).field()
    scale: float = Option(
        "number", "multiply every count, rounded, at least 1", 1.0, metavar="F"
    ).field()
    seed: int | None = replace(
        SEED, help="seed of the collection", default_text="0, or the TOML file's"
    ).field(None)
    train: tuple[str, ...] = _photos(
        "photos of the train sets: folder, image, Parquet file or tar shard"
    )
    val: tuple[str, ...] = _photos(
        "photos of the val sets: folder, image, Parquet file or tar shard"
    )
    source: tuple[str, ...] = _photos("photos of both, divided by their content")
    val_fraction: float = replace(VAL_FRACTION, help="share of --source in val").field()
    real: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    zoo: Path | None = ZOO.field()  # noqa: RUF009 (makes a field)
    patch_size: int | None = PATCH_SIZE.field(None)
    shard_size: int | None = replace(SHARD_SIZE, metavar="ROWS").field(None)

    def __post_init__(self) -> None:
        convert_options(self)
        if self.source and (self.train or self.val):
            raise UserError("source goes without train and val; give the one or the others")
        if self.spec is not None and self.real:
            raise UserError(
                "sets from real algorithms go with a preset; write them into the TOML file"
            )

    def resolve(self) -> CollectionSpec:
        """The collection, with its photos and defaults, scaled.

        Raises:
            UserError: for an unknown name, a bad TOML file, or a value out of range.
        """
        from bapps_gen.pipelines.collections.spec import SourceEntry
        from bapps_gen.pipelines.collections.toml import (
            preset_spec,
            read_collection,
            with_defaults,
        )

        if self.spec is None:
            spec = preset_spec(self.preset, given=self.real)
        else:
            spec = read_collection(self.spec)
        sources = dict(spec.sources)
        for name, paths in (("train", self.train), ("val", self.val)):
            if self.source:
                sources[name] = SourceEntry(self.source, name, self.val_fraction)
            elif paths:
                sources[name] = SourceEntry(paths)
        seed = spec.seed if self.seed is None else self.seed
        defaults: dict[str, Any] = {}
        if self.zoo is not None:
            defaults["zoo"] = str(self.zoo)
        if self.patch_size not in (None, PATCH_SIZE.default):
            defaults["patch_size"] = self.patch_size
        if self.shard_size is not None:
            defaults["shard_size"] = self.shard_size
        return with_defaults(replace(spec, seed=seed, sources=sources), defaults).scaled(self.scale)
