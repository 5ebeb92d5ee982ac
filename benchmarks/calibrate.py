"""Measure how strong each distortion is at each severity, and draw the page of it.

    python benchmarks/calibrate.py [--source DIR ...] [--patches 300] [--out DIR]

For every atom and severities 0, 0.2 … 1, LPIPS (AlexNet, v0.1) is measured between random 64×64
patches of photographs and their distorted versions, with parameters and noise drawn as in a
generated set. CIEDE2000 and the root mean square error are given as well, since LPIPS hardly
responds to some photometric changes. Without --source the color photographs in the scikit-image
wheel are used; the contact sheet always shows these.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import cv2
import numpy as np
import skimage.color
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bapps_gen.distortions.definition import Distortion, Patch, SeverityParameter
from bapps_gen.distortions.registry import load_registry
from bapps_gen.lpips import load_lpips
from bapps_gen.pipelines.rows.options import CROP_SHARE
from bapps_gen.pipelines.sources.source import open_source
from bapps_gen.seeding import Streams

SEVERITIES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SIZE = 64
FLAT = 8.0
"""Patches with a lower standard deviation (levels) are skipped: they show nothing."""

SHEET_PATCHES = (
    ("astronaut.png", 20, 160),
    ("motorcycle_left.png", 250, 60),
    ("coffee.png", 60, 330),
    ("motorcycle_left.png", 180, 230),
    ("astronaut.png", 300, 120),
    ("rocket.jpg", 240, 270),
    ("chelsea.png", 70, 110),
)
"""(photo, top, left) of squares of SHEET_SIDE px for the contact sheet, shown at 64 px."""

SHEET_SIDE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, nargs="+", help="folders of photographs")
    parser.add_argument("--patches", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/pages/explanation"))
    args = parser.parse_args()

    cv2.setNumThreads(0)
    photos = open_source(args.source or [])
    loaded = list(map(photos.load, range(len(photos))))
    patches = _patches(loaded, args.patches, args.seed)
    atoms = load_registry().atoms
    table = {name: _measure(atom, patches, args.seed) for name, atom in atoms.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    origin = "the color photographs in the scikit-image wheel"
    record = {
        "metric": "LPIPS 0.1 (alex)",
        "patches": len(patches),
        "seed": args.seed,
        "photos": origin if args.source is None else f"{len(photos)} photographs",
        "severities": SEVERITIES,
        "atoms": table,
    }
    (args.out / "calibration.json").write_text(json.dumps(record, indent=1) + "\n")
    page = _page(record, atoms)  # type: ignore[arg-type]
    (args.out / "calibration.md").write_text(page)
    _sheet(list(atoms.values())).save(args.out / "calibration.png", optimize=True)
    print(page)


def _patches(photos: list[Patch], count: int, seed: int) -> NDArray[np.uint8]:
    """Random squares as in sets, reduced to 64×64: uint8 (count, 64, 64, 3)."""
    rng = np.random.default_rng(seed)
    patches: list[Patch] = []
    while len(patches) < count:
        photo = photos[int(rng.integers(len(photos)))]
        height, width = photo.shape[:2]
        low, high = CROP_SHARE.default
        share = low * (high / low) ** rng.random()
        side = max(SIZE, int(share * min(height, width)))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        patch = _reduce(photo[top : top + side, left : left + side])
        if patch.std() >= FLAT:
            patches.append(patch)
    return np.stack(patches)


def _reduce(square: Patch) -> Patch:
    square = np.ascontiguousarray(square)
    return cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _measure(atom: Distortion, patches: NDArray[np.uint8], seed: int) -> dict[str, object]:
    """Quartiles of LPIPS, and medians of CIEDE2000 and RMSE, at each severity."""
    metric = load_lpips("alex")
    rng = np.random.default_rng(seed)
    uniforms = rng.random((len(patches), max(1, len(atom.parameters))))
    streams = Streams()
    rows: dict[str, list[float]] = {
        key: [] for key in ("q25", "median", "q75", "ciede2000", "rmse")
    }
    for severity in SEVERITIES:
        distorted = np.stack(
            [
                atom.apply(patch, atom.draw(severity, list(draw)), streams.at(seed, index, 3))
                for index, (patch, draw) in enumerate(zip(patches, uniforms, strict=True))
            ]
        )
        distance = np.asarray(metric.distance(patches, distorted))
        # CIEDE2000 is slow; one pixel in 16 is enough for a mean.
        lab = [skimage.color.rgb2lab(each[:, ::4, ::4]) for each in (patches, distorted)]
        difference = skimage.color.deltaE_ciede2000(*lab).mean(axis=(1, 2))  # type: ignore[no-untyped-call]
        square = (patches.astype(np.float32) - distorted) ** 2
        values = {
            "q25": np.percentile(distance, 25),
            "median": np.percentile(distance, 50),
            "q75": np.percentile(distance, 75),
            "ciede2000": np.median(difference),
            "rmse": np.median(np.sqrt(square.mean(axis=(1, 2, 3)))),
        }
        for key, value in values.items():
            rows[key].append(round(float(value), 4))
    return {"version": atom.version, **rows}


def _page(
    record: dict[str, dict[str, dict[str, list[float]]]], atoms: dict[str, Distortion]
) -> str:
    lines = [
        "# Calibration of the distortions",
        "",
        "Made by `python benchmarks/calibrate.py`. The paper publishes no ranges, so all are this",
        "project's own. Every parameter that follows severity goes from the value that changes",
        "nothing (severity 0) through a mild end (severity 0.2) to a strong end (severity 1) along",
        "a power law, whose power is at most 0.75 below the mild end.",
        "",
        f"LPIPS is v0.1 with AlexNet, on {record['patches']} random 64×64 patches of",
        f"{record['photos']}, cut as by default: the median, and the quartiles in brackets.",
        "",
        "![Every distortion at severities 0 to 1](calibration.png)",
        "",
        "Each cell shows two patches with different parameters; where a distortion has two",
        "directions, each patch shows one.",
        "",
        "| atom | parameter, mild to strong | "
        + " | ".join(f"{severity:g}" for severity in SEVERITIES[1:])
        + " |",
        "|---|---|" + "---|" * (len(SEVERITIES) - 1),
    ]
    for name, row in record["atoms"].items():
        cells = [
            f"{median:.3f} ({low:.3f}–{high:.3f})"
            for low, median, high in zip(row["q25"], row["median"], row["q75"], strict=True)
        ]
        lines.append(f"| {name} | {_ranges(atoms[name])} | " + " | ".join(cells[1:]) + " |")
    lines += [
        "",
        "## Color difference and error",
        "",
        "Medians over patches of the mean CIEDE2000 color difference, and of the root mean",
        "square error in levels.",
        "",
        "| atom | ΔE00 at 0.2 | ΔE00 at 1 | RMSE at 0.2 | RMSE at 1 |",
        "|---|---|---|---|---|",
    ]
    for name, row in record["atoms"].items():
        color, error = row["ciede2000"], row["rmse"]
        lines.append(
            f"| {name} | {color[1]:.1f} | {color[-1]:.1f} | {error[1]:.1f} | {error[-1]:.1f} |"
        )
    lines += ["", *_NOTES, ""]
    return "\n".join(lines)


_NOTES = (
    "## How the ranges were chosen",
    "",
    "- The aim is a median LPIPS of about 0.03 at severity 0.2 and of about 0.5 at severity 1:",
    '  strong, still recognizable. The first is a stand-in for "just noticeable": it was chosen',
    "  without human data, and people may notice some distortions earlier than others.",
    "- The paper's figure 1 shows Gaussian blurs of σ ≈ 2.7 and 5.5 px and noise of σ ≈ 0.12 to",
    "  0.15 (measured on its pictures), and sides of LPIPS 0.12 to 0.73. The strong ends of blur",
    "  and noise are those.",
    "- LPIPS is less sensitive to lightness, contrast and saturation: their strong ends stop",
    "  where a patch would be nearly all black, white or gray.",
    "- It tolerates displacements, too. Shift, affine warp and homography stop at about a third of",
    "  the patch, beyond which little of it is left; a ghost of more than one half would merely be",
    "  a shift. Linear and cubic warps stretch the patch strongly without folding it over; with",
    "  `--folding`, or `folding=1` of a step, they may do that, too.",
    "- The bilateral filter keeps edges, and past its strong end it would be a Gaussian blur. JPEG",
    "  ends at quality 3, since 2 and 1 leave little but blocks.",
    "- Noise depends on content more than the others: texture masks it, and it shows on smooth",
    "  areas, hence its wide quartiles.",
    "- The checkerboard has periods 2 and 4, the strides that generators have.",
    "- Severities from 1 to 2 may be asked for. They go on along the same power law as far as a",
    "  parameter is allowed to go, and many patches cannot be recognized any more.",
    "- Ranges hold for 64×64 patches; lengths in px grow and shrink with other sizes of patches,",
    "  and stay as they are in whole images.",
)


def _ranges(atom: Distortion) -> str:
    parts = []
    for parameter in atom.parameters:
        if isinstance(parameter, SeverityParameter):
            ranges = ", ".join(f"{mild:g} to {strong:g}" for mild, strong in parameter.range)
            parts.append(f"{parameter.name} {ranges} {parameter.unit}".strip())
    return "; ".join(parts)


def _sheet(atoms: list[Distortion]) -> Image.Image:
    wheel = open_source([])
    photos = {entry.name: wheel.load(index) for index, entry in enumerate(wheel.entries)}
    patches = [
        _reduce(photos[name][top : top + SHEET_SIDE, left : left + SHEET_SIDE])
        for name, top, left in SHEET_PATCHES
    ]
    label, gap, head = 170, 8, 24
    cell = 2 * SIZE + 2
    width = label + len(SEVERITIES) * (cell + gap)
    height = head + len(atoms) * (SIZE + gap)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    streams = Streams()
    for column, severity in enumerate(SEVERITIES):
        x = label + column * (cell + gap) + cell // 2
        draw.text((x, head // 2), f"severity {severity:g}", "black", font, anchor="mm")
    for row, atom in enumerate(atoms):
        y = head + row * (SIZE + gap)
        draw.text((label - 10, y + SIZE // 2), atom.name, "black", font, anchor="rm")
        for column, severity in enumerate(SEVERITIES):
            for side in (0, 1):
                patch = patches[(2 * row + side) % len(patches)]
                # The first number picks the direction; the rest vary from row to row.
                rest = [math.modf(0.37 * (row + 1) + 0.5 * side + 0.29 * at)[0] for at in range(6)]
                params = atom.draw(severity, [0.25 + 0.5 * side, *rest])
                image = atom.apply(patch, params, streams.at(7, 2 * row + side, 3))
                x = label + column * (cell + gap) + side * (SIZE + 2)
                sheet.paste(Image.fromarray(image), (x, y))
    return sheet


if __name__ == "__main__":
    main()
