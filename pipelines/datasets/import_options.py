"""How sets in the original layout are imported; imports nothing heavy, for the command's help."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bapps_gen.checks import check_options
from bapps_gen.pipelines.rows.options import PATCH_SIZE, SHARD_SIZE, resolve_shard_size


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How sets are imported.

    Args:
        shard_size: rows in a shard; None for the default of the size of patches.
        patch_size: height and width of the patches in px, of which pictures may be
            nearest-neighbor enlargements.
    """

    shard_size: int | None = SHARD_SIZE.field(None)
    patch_size: int = replace(
        PATCH_SIZE,
        help="height and width of the patches in px, of which pictures may be nearest-neighbor "
        "enlargements, as the released ones are",
    ).field()

    def __post_init__(self) -> None:
        check_options(self)
        resolve_shard_size(self.shard_size, self.patch_size)
