"""The options of sets from real algorithms, each declared once. Imports nothing heavy."""

from __future__ import annotations

from bapps_gen.checks import Option
from bapps_gen.pipelines.real.tasks import DEMO_IMAGES

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

DEMO = Option(
    "flag",
    "make ground truth and outputs from photos, with algorithms of OpenCV, SciPy and scikit-image, "
    "in a folder named after --out with '-demo' appended",
    default=False,
)

DEMO_LIMIT = Option(
    "integer",
    "most images that a demo makes",
    low=1,
    high=10**6,
    default_text=str(DEMO_IMAGES),
)
