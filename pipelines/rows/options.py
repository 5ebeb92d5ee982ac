"""The options that specs of rows, requests for datasets, and benchmarks share, each declared once.

The defaults are this project's own choices; the paper publishes none of these. Imports nothing
heavy, since the command line's help derives from it.
"""

from __future__ import annotations

import math

from bapps_gen.checks import MAX_SEED, MAX_SEVERITY, Option
from bapps_gen.errors import UserError, out_of_range
from bapps_gen.manifests import rows as manifest_rows

BLOCK_ROWS = 1000
"""Images are assigned to rows in blocks of this many rows, whatever the shard size."""

_DIVISORS = tuple(rows for rows in range(1, BLOCK_ROWS + 1) if BLOCK_ROWS % rows == 0)
_SHARD_BYTES_FACTOR = 4  # a shard of large patches may take 100 MB instead of 25

SEED = Option("integer", "seed of the dataset", 0, 0, MAX_SEED, metavar="SEED")

ROWS = Option("integer", "number of rows", low=1, high=10**10, flag="n", metavar="N")

SHARD_SIZE = Option(
    "integer",
    "rows in a Parquet file; rows do not depend on it",
    default=1000,  # about 25 MB a shard; a multiple of the block in which images are assigned
    low=1,
    high=100_000,  # a shard is held in memory while it is made: 2.5 GB at this size
    unit="rows",
    default_text="1000, fewer of patches larger than 128 px",
)

PATCH_SIZE = Option(
    "integer",
    "height and width of the patches in px",
    default=manifest_rows.PATCH_SIZE,
    low=manifest_rows.MIN_PATCH_SIZE,
    high=manifest_rows.MAX_PATCH_SIZE,
    metavar="PX",
)

FIXED_PX = Option(
    "flag",
    "keep the lengths of distortions (blur, displacements, spacing of control points) in px as "
    "they are at 64 px; by default they grow and shrink with the patch",
    default=False,
)

CROP_SHARE = Option(
    "range",
    "side of the square that a patch is cut from, as a share of the photo's shorter side, sampled "
    "uniformly on a logarithmic scale; 0 is a patch at full resolution",
    default=(0.15, 1.0),
    low=0.0,
    high=1.0,
    flag="crop-share",
)
"""Median gradients of references come near those of the paper's examples (measured:
explanation/paper.md in the documentation), and every motif of a photo may be in one."""

SCALE_RANGE = Option(
    "range",
    "instead of --crop-share: scales at which images are read, patch pixels per image pixel; those "
    "of the form 1/k are drawn, with weight 1/k",
    low=1e-3,
    high=1.0,
    flag="scale-range",
)

MIN_CONTRAST = Option(
    "number",
    "smallest standard deviation of a patch's luma, as a share of full scale; flatter patches are "
    "refused, 0 takes all",
    default=0.02,
    low=0.0,
    high=0.5,
    metavar="C",
)

ROWS_PER_IMAGE = Option(
    "integer",
    "rows made from an image before the next one is used",
    default=10,
    low=1,
    high=BLOCK_ROWS,
    metavar="R",
)

FAMILIES = Option("names", "only distortions of these families", (), metavar="A,B")

ATOMS = Option("names", "only these atoms and their compositions", (), metavar="A,B")

COMPOSITIONS = Option(
    "names",
    "these compositions, alone or in addition to --families and --atoms",
    (),
    metavar="A+B,C+D",
)

TYPES = "types"
"""Of SINGLES: sides are sampled uniformly from all single distortions and compositions chosen."""

SINGLES = Option(
    "number",
    "share of sides with one distortion instead of two; 'types' samples uniformly from all "
    "distortions and compositions that are chosen, which makes 6 % of the 328 single",
    default=0.5,
    low=0.0,
    high=1.0,
    words=(TYPES,),
    metavar="S",
    default_text="0.5, where single distortions and compositions are chosen",
)
"""The default is our own choice: four of the six sides that the paper shows in its teaser (figure
1) look like a single distortion, where 'types' makes 6 % of them."""

FOLDING = Option(
    "flag",
    "let linear and cubic warps fold over where their displacement is large enough",
    False,
)

SEVERITY = Option(
    "range",
    "range that severities are drawn from: 0 changes nothing; 0.2 has a median LPIPS of about "
    "0.03, our stand-in for just noticeable, without human data; 1 is strong; up to 2 goes further",
    default=(0.2, 1.0),
    low=0.0,
    high=MAX_SEVERITY,
)

NEAR_SEVERITY = (0.1, 0.4)
"""Severities of JND pairs near the threshold of noticing: half to twice 0.2, which is just
noticeable (own choice, measured: explanation/jnd.md in the documentation). Lower ones leave some
crops unchanged."""

NEAR_THRESHOLD = Option(
    "flag",
    "pairs near the threshold of noticing: severities from 0.1 to 0.4, shared by the two "
    "distortions of a composition; CNN distorters with a strength that follows from severity "
    "rather than as trained",
    default=False,
)

SEQUENCES = Option(
    "number",
    "share of triplets whose sides are a CNN distorter followed by an atom; the others pair a CNN "
    "distorter with a traditional distortion",
    default=0.5,
    low=0.0,
    high=1.0,
    metavar="S",
)

PLUGINS = Option(
    "names",
    "Python file with your own distortions, or the name of an installed entry point; may be "
    "repeated",
    (),
    flag="plugin",
    metavar="FILE.py",
    default_text="none",
    is_place=True,
    is_repeated=True,
)

ZOO = Option(
    "path",
    "folder of trained CNN distorters",
    default=None,
    metavar="DIR",
    default_text="the one that comes with this package",
    is_place=True,
)

DISTORTERS = Option(
    "names",
    "only these CNN distorters: ids and ranges of ids, for example 003,010-020",
    (),
    metavar="IDS",
)


def resolve_shard_size(rows: int | None, patch_size: int) -> int:
    """Rows in a shard of patches of a size: those given, or the default.

    The default is the largest divisor of 1000 whose shard takes 100 MB at most: 250 rows at 256
    px, 50 at 512 px. More may be given up to 2.5 GB.

    Raises:
        UserError: for more.
    """
    if rows is None:
        most = manifest_rows.rows_within(_SHARD_BYTES_FACTOR * SHARD_SIZE.default, patch_size)
        return max(rows for rows in _DIVISORS if rows <= most)
    SHARD_SIZE.check("shard-size", rows)
    most = manifest_rows.rows_within(int(SHARD_SIZE.high or 1), patch_size)
    if rows > most:
        raise out_of_range(
            "shard-size",
            rows,
            f"a whole number from 1 to {most} with patches of {patch_size} px",
            "use a smaller one, since a shard is held in memory while it is made",
        )
    return rows


def reductions_of(scale: tuple[float, float]) -> range:
    """The whole numbers k with a scale of 1/k in a range of scales."""
    low, high = scale
    return range(math.ceil(1 / high - 1e-9), math.floor(1 / low + 1e-9) + 1)


def check_scale(scale: tuple[float, float]) -> None:
    """Raise UserError unless patches can be cut at scales of that range."""
    SCALE_RANGE.check("scale-range", scale)
    if not reductions_of(scale):
        raise out_of_range(
            "scale-range",
            " ".join(f"{value:g}" for value in scale),
            "a range with at least one of 1, 1/2, 1/3 … in it",
            "widen it, for example to 0.25 1",
        )


def check_crop_sizes(
    scale: tuple[float, float] | None, crop_share: tuple[float, float] | None
) -> None:
    """Raise UserError unless one of the two says how large crops are, and allows some."""
    if (scale is None) == (crop_share is None):
        state = "neither is given" if scale is None else "both are given"
        raise UserError(
            "crop-share and scale-range are two ways to say how large crops are, and "
            f"{state}; give one of them"
        )
    if scale is not None:
        check_scale(scale)


CropOptions = dict[str, tuple[float, float] | None]
"""Values of `scale` and `crop_share` by these names, as specs have them."""


def resolve_crop_sizes(
    scale: tuple[float, float] | None,
    crop_share: tuple[float, float] | None,
    default_scale: tuple[float, float] | None = None,
) -> CropOptions:
    """What says how large crops are, from what was asked for; CROP_SHARE's default by itself.

    Args:
        scale, crop_share: as asked for.
        default_scale: used in place of CROP_SHARE where neither is.

    Raises:
        UserError: for both at once, and for a scale range without any 1/k.
    """
    if scale is None and crop_share is None:
        scale = default_scale
        crop_share = CROP_SHARE.default if default_scale is None else None
    check_crop_sizes(scale, crop_share)
    return {"scale": scale, "crop_share": crop_share}


def check_rows_per_image(rows_per_image: int) -> None:
    """Raise UserError unless a block of rows has a whole number of images."""
    ROWS_PER_IMAGE.check("rows-per-image", rows_per_image)
    if BLOCK_ROWS % rows_per_image:
        raise out_of_range(
            "rows-per-image",
            rows_per_image,
            f"a divisor of {BLOCK_ROWS}",
            "use 1, 2, 4, 5, 8, 10, 20, 25, 40, 50 or 100",
        )
