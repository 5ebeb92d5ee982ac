"""Which part of the photos sets are made from, light to import."""

from __future__ import annotations

from dataclasses import dataclass

from bapps_gen.checks import Option

SPLITS = ("train", "val")

SPLIT = Option("text", "use only this part of the photos, divided by their content", choices=SPLITS)

VAL_FRACTION = Option("number", "share of photos in val", 0.1, metavar="F")


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """The part of the photos that a set is made from; `open_source` checks them."""

    split: str | None = SPLIT.field()
    val_fraction: float = VAL_FRACTION.field()
