"""Measure how far the pairs of JND sets are from their references, for the page on severities.

    python benchmarks/jnd.py [--zoo DIR] [--source PHOTOS ...] [--rows 400] [--out DIR]

LPIPS (AlexNet, v0.1) of pairs at fixed severities, of single distortions, of compositions and of
CNN distorters, and its distribution in sets as `bapps-gen jnd` makes them by default and with
--near-threshold. Everything is planned and rendered as in a set. Without --source the color
photographs in the scikit-image wheel are used; the contact sheet always shows these.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.zoo import open_zoo
from bapps_gen.imaging.files import write_image
from bapps_gen.imaging.sheet import SheetRow, draw_sheet
from bapps_gen.lpips import load_lpips
from bapps_gen.manifests.rows import ManifestRow
from bapps_gen.pipelines.datasets.inputs import Inputs
from bapps_gen.pipelines.datasets.request import Request
from bapps_gen.pipelines.datasets.sheet import describe_steps
from bapps_gen.pipelines.datasets.zoo import dataset_registry
from bapps_gen.pipelines.rows.options import NEAR_SEVERITY
from bapps_gen.pipelines.rows.plan import Planner
from bapps_gen.pipelines.rows.renderer import Patches, TripletRenderer, grouped
from bapps_gen.pipelines.rows.spec import TripletSpec, spec_from_values
from bapps_gen.pipelines.sources.cache import ImageCache
from bapps_gen.pipelines.sources.source import Source, open_source

SEVERITIES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0)
QUANTILES = (5, 25, 50, 75, 95)
EDGES = (0.0, 0.003, 0.01, 0.02, 0.03, 0.06, 0.1, 0.2, 0.4)
SHOWN = 8

NOTES = """\
- Severity 0.2, where each atom has a median LPIPS of about 0.03, stands in for just noticeable
  ([calibration](calibration.md)).
- **Compositions** of pairs near the threshold share a severity: the first step has a quarter to
  three quarters of it, sampled uniformly, the second the rest. They are then about as far from the
  reference as single distortions of that severity. Both steps at the full severity, as triplets
  and other pairs may have them, are about twice as far.
- **CNN distorters** of pairs near the threshold have a strength: a pixel of value x becomes
  x + strength·(y − x), y being the network's output. It follows from severity by a power law, as
  parameters of atoms do: 0 at 0, 0.4 at 0.2, 1 (as trained) at 1. The 0.4 was chosen so that the
  median at 0.2 is that of single distortions; from 0.1 to 0.4 the two stay together.
- **Near the threshold**, severities of both families are sampled uniformly from {low:g} to
  {high:g}, half to twice 0.2; `--severity LOW HIGH` gives others. Below 0.1 some distortions
  change nothing anywhere, such as Gaussian blur, and a set with such a row is refused.
- A pair without any difference is tried at other positions in the photos."""

Rows = list[tuple[ManifestRow, Patches]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zoo", type=Path, help="default: the shipped one")
    parser.add_argument("--source", action="append", default=[])
    parser.add_argument("--rows", type=int, default=400, help="at each severity; 6 times in a set")
    parser.add_argument("--out", type=Path, default=Path("docs/pages/explanation"))
    args = parser.parse_args()

    cv2.setNumThreads(0)
    kinds = {
        "traditional": Request("jnd-traditional", 1),
        "cnn": Request("jnd-cnn", 1, zoo=args.zoo),
    }
    near = {name: replace(request, near_threshold=True) for name, request in kinds.items()}
    photos = open_source(args.source)
    metric = load_lpips("alex")

    def distances(rows: Rows) -> NDArray[np.float64]:
        refs, sides = (np.stack([patches[k] for _, patches in rows]) for k in (0, 1))
        return np.asarray(metric.distance(refs, sides), np.float64)

    table = {}
    for label, kind, changes in (
        ("single distortions", "traditional", {"singles": 1.0}),
        ("compositions", "traditional", {"singles": 0.0}),
        ("both steps at it", "traditional", {"singles": 0.0, "near_threshold": False}),
        ("CNN distorters", "cnn", {}),
    ):
        for severity in SEVERITIES:
            fixed = {**changes, "severity": (severity, severity)}
            found = distances(render(near[kind], photos, args.rows, **fixed))
            table[label, severity] = np.quantile(found, (0.25, 0.5, 0.75))
            print(label, severity, table[label, severity].round(4), flush=True)
    sets = {
        f"{name}{label}": distances(render(request, photos, 6 * args.rows))
        for label, requests in (("", kinds), (", near the threshold", near))
        for name, request in requests.items()
    }
    where = "the color photographs in the scikit-image wheel"
    if args.source:
        where = f"{len(photos)} photographs"
    zoo = open_zoo(args.zoo)
    text = page(table, sets, where, len(zoo.ids), args.rows)
    (args.out / "jnd.md").write_text(text, "utf-8")
    shown = [
        SheetRow(patches, ((f"row {row.row}",), *map(describe_steps, row.steps)))
        for request in (*kinds.values(), *near.values())
        for row, patches in render(request, open_source([]), SHOWN)
    ]
    write_image(args.out / "jnd.png", draw_sheet(shown, zoom=2, across=4))
    print(text)


def render(request: Request, source: Source, rows: int, **changes: object) -> Rows:
    """The first rows of a set with some other values in its spec."""
    plan = request.resolve(Inputs(lambda: source))
    spec: TripletSpec = replace(spec_from_values(plan.info.spec), **changes)  # type: ignore[arg-type]
    registry = dataset_registry(plan.info, plan.zoo)
    planner = Planner(spec, registry)
    images = ImageCache(source, step_of=planner.step)
    renderer = TripletRenderer(planner, registry.atoms, source, images, spec.digest)
    plans = sorted(map(planner.row, range(rows)), key=lambda plan: plan.image)
    made = [
        row
        for group in grouped(plans, plan.zoo is not None, 64)
        for row in renderer.render_many(group)
    ]
    return sorted(made, key=lambda item: item[0].row)


def page(
    table: dict[tuple[str, float], NDArray[np.float64]],
    sets: dict[str, NDArray[np.float64]],
    where: str,
    distorters: int,
    rows: int,
) -> str:
    labels = list(dict.fromkeys(label for label, _ in table))
    low, high = NEAR_SEVERITY
    lines = [
        "# JND pairs: how far they are from their references",
        "",
        "Made by `python benchmarks/jnd.py`. The paper publishes no ranges, so all ranges here",
        "are this project's own choice. By default pairs are distorted as one side of a triplet;",
        "`--near-threshold` keeps them near the threshold of noticing.",
        "",
        f"LPIPS is v0.1 with AlexNet, on {where},",
        f"planned and rendered as in a set. The zoo has {distorters} distorters.",
        "",
        f"![{SHOWN} traditional and {SHOWN} CNN pairs, and as many near the threshold](jnd.png)",
        "",
        "## Severity",
        "",
        f"Median LPIPS of {rows} pairs at each severity, quartiles in brackets:",
        "",
        "| severity | " + " | ".join(labels) + " |",
        "|---" * (len(labels) + 1) + "|",
    ]
    for severity in SEVERITIES:
        cells = (
            f"{middle:.3f} ({first:.3f}–{third:.3f})"
            for first, middle, third in (table[label, severity] for label in labels)
        )
        lines.append(f"| {severity:g} | " + " | ".join(cells) + " |")
    lines += [
        "",
        NOTES.format(low=low, high=high),
        "",
        "## The sets",
        "",
        f"LPIPS of the first {6 * rows} pairs of each set, by default and near the threshold:",
        "",
        "| quantile | " + " | ".join(sets) + " |",
        "|---" * (len(sets) + 1) + "|",
    ]
    for percent in QUANTILES:
        cells = (f"{np.percentile(found, percent):.3f}" for found in sets.values())
        lines.append(f"| {percent} % | " + " | ".join(cells) + " |")
    lines += ["", "| LPIPS | " + " | ".join(sets) + " |", "|---" * (len(sets) + 1) + "|"]
    ends = (*EDGES, np.inf)
    for first, end in pairwise(ends):
        label = f"{first:g} to {end:g}" if np.isfinite(end) else f"{first:g} and more"
        shares = (np.mean((found >= first) & (found < end)) for found in sets.values())
        lines.append(
            f"| {label} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
