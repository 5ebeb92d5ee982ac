"""The options of sets from real algorithms, each declared once. Imports nothing heavy."""

from __future__ import annotations

from bapps_gen.checks import Option

REFERENCE = Option(
    "text",
    "ground truth: folder of images, tar or Parquet file",
    metavar="DIR",
    is_place=True,
)

OUTPUTS = Option(
    "table",
    "an algorithm's name and its outputs, in a folder or file like that of the reference; at "
    "least two, here or in further --outputs",
    (),
    is_place=True,
)

SKIP_MISALIGNED = Option(
    "flag",
    "leave out images that lack an output or have one of another size, and name them, rather than "
    "refuse them all",
    default=False,
)

MIN_DIFFERENCE = Option(
    "number",
    "smallest 1 − SSIM between the reference and the side that differs more; where both differ "
    "less, another crop is taken, 0 takes all",
    default=0.0,
    low=0.0,
    high=0.5,
    metavar="D",
)

DEMO = Option(
    "flag",
    "make ground truth and outputs from photos, with published algorithms and the package's own "
    "networks, in a folder named after --out with '-demo' appended",
    default=False,
)

DEMO_LIMIT = Option(
    "integer",
    "most images that a demo makes",
    default=24,
    low=1,
    high=10**6,
    default_text="24",
)

DEMO_FACTOR = Option(
    "integer",
    "factor by which the demo of superres reduces photos, and algorithms enlarge them",
    default=4,
    low=2,
    high=4,
    default_text="4",
)
