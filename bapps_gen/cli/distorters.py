"""`bapps-gen distorters`: the CNN distorters of a zoo, with their specs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bapps_gen.cli._collections import table_text
from bapps_gen.cli._options import add_options
from bapps_gen.pipelines.datasets.request import Request

if TYPE_CHECKING:
    from bapps_gen.cnn_distorters.spec import DistorterSpec
    from bapps_gen.cnn_distorters.zoo import Zoo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_options(parser, Request, "zoo")
    parser.add_argument(
        "--specs", action="store_true", help="list the 96 specs of this package, trained or not"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, with training records")


def run(options: argparse.Namespace) -> int:
    """Print the distorters."""
    from bapps_gen.cnn_distorters.table import TABLE_VERSION, shipped_specs
    from bapps_gen.cnn_distorters.zoo import open_zoo

    zoo: Zoo | None = None
    version: int | None = TABLE_VERSION
    specs = shipped_specs()
    if not options.specs:
        zoo = open_zoo(options.zoo)
        specs, version = tuple(map(zoo.spec, zoo.ids)), zoo.table_version
    if options.json:
        print(json.dumps(_content(zoo, specs, version), indent=1))
        return 0
    print(table_text(_HEADER, [_cells(spec, zoo) for spec in specs]))
    where = "specs of this package" if zoo is None else f"distorters in {zoo.folder}"
    print(f"\n{len(specs)} {where}" + (f", table version {version}" if version else ""))
    return 0


_HEADER = (
    "id",
    "task",
    "corruption",
    "layers",
    "skips",
    "dropout",
    "upsampling",
    "norm",
    "stride",
    "channels",
    "D",
    "l1/feature/gan",
    "rate",
    "LPIPS",
)


def _cells(spec: DistorterSpec, zoo: Zoo | None) -> tuple[str, ...]:
    gan = f"{spec.gan_weight:g} {spec.gan}" if spec.discriminator_layers else "-"
    return (
        spec.id,
        spec.task,
        spec.corruption + (f" {spec.strength:g}" if spec.strength else ""),
        str(spec.layers),
        f"{spec.skips}" + ("+top" if spec.top_skip else ""),
        str(spec.dropout_layers),
        spec.upsampling,
        spec.normalization,
        str(spec.first_stride),
        f"{spec.first_channels}-{spec.max_channels}",
        str(spec.discriminator_layers),
        f"{spec.l1_weight:g} / {spec.feature_weight:g} / {gan}",
        f"{spec.learning_rate:g}",
        "" if zoo is None else _lpips(zoo.record(spec.id)),
    )


def _lpips(record: Any) -> str:
    """Median over held-out patches, with the lowest and highest."""
    lpips = record.get("held_out", {}).get("lpips")
    if not lpips:
        return "?"
    return f"{lpips['median']:.3f} ({lpips['min']:.3f}-{lpips['max']:.3f})"


def _content(
    zoo: Zoo | None, specs: tuple[DistorterSpec, ...], version: int | None
) -> dict[str, Any]:
    listed = []
    for spec in specs:
        item = {**asdict(spec), "task": spec.task, "spec_digest": spec.digest}
        if zoo is not None:
            item |= {"digest": zoo.digest(spec.id), "record": dict(zoo.record(spec.id))}
        listed.append(item)
    return {
        "zoo": None if zoo is None else str(zoo.folder),
        "fingerprint": None if zoo is None else zoo.fingerprint,
        "table_version": version,
        "distorters": listed,
    }
