"""The report of a zoo as HTML: what each distorter does to the same patches, and its likes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bapps_gen.cnn_distorters.spec import CORRUPTIONS
from bapps_gen.pipelines.validation.figures import box
from bapps_gen.pipelines.validation.html import data_uri, render
from bapps_gen.pipelines.validation.zoo import ZooReport, shift_words
from bapps_gen.pipelines.validation.zoo_sheet import draw_strip, magnified, strip_size

MAX_MATRIX = 200
"""Distorters beyond which the matrix would make the page heavy; it is in the JSON."""
_FEW = 24
_PAIRS = 8
_WEAK = 0.1  # median LPIPS below which changes are shown magnified, too
_GAIN = 4

_KINDS = {
    "null": "Autoencoders",
    "pink_noise": "Denoisers, pink noise",
    "white_noise": "Denoisers, white noise",
    "color_removal": "Colorizers",
    "downsampling": "Super-resolvers",
}
_UPSAMPLING = {
    "transposed": "transposed convolutions",
    "nearest": "nearest + convolution",
    "bilinear": "bilinear + convolution",
    "subpixel": "sub-pixel",
}
_FEATURES = {"vgg": ", VGG features", "alex": ", AlexNet features"}


def zoo_page(report: ZooReport) -> str:
    """The report of a zoo as HTML."""
    result = report.result
    cards = {
        entry["id"]: _card(report, entry, index) for index, entry in enumerate(result["distorters"])
    }
    kinds = {
        kind: [card for card in cards.values() if card["kind"] == kind] for kind in CORRUPTIONS
    }
    width, height = strip_size(len(report.inputs))
    return render(
        "zoo.html.j2",
        name=report.name,
        facts=_facts(result),
        result=result,
        pairs=result["pairs"],
        cards=cards,
        kinds={kind: (_KINDS[kind], listed) for kind, listed in kinds.items() if listed},
        input=data_uri(draw_strip(report.inputs)),
        thumbnail=data_uri(draw_strip(report.inputs[:1])),
        width=width,
        height=height,
        top=_bar_top(result),
        gain=_GAIN,
        weak=_WEAK,
        shown_pairs=_PAIRS,
        strength=_strength(result),
        matrix=_matrix(result),
        few=_FEW,
        axes={
            axis.replace("_", " "): [(_plain(item["value"]), item["distorters"]) for item in values]
            for axis, values in result["axes"].items()
            if values
        },
    )


def task_words(spec: Mapping[str, Any]) -> str:
    """What a distorter is trained for, such as "denoiser, white noise σ 0.1"."""
    strength = spec["strength"]
    return {
        "null": "autoencoder",
        "pink_noise": f"denoiser, pink noise σ {strength:g}",
        "white_noise": f"denoiser, white noise σ {strength:g}",
        "color_removal": f"colorizer, {100 * strength:g} % of color removed",
        "downsampling": f"super-resolver, ×{strength:g}",
    }[spec["corruption"]]


def network_words(spec: Mapping[str, Any]) -> str:
    """Network, discriminator and losses of a spec in one sentence."""
    skips = _counted(spec["skips"], "skip")
    if spec["top_skip"]:
        skips = f"{skips} and the highest" if spec["skips"] else "the highest skip"
    parts = [
        _counted(spec["layers"], "layer"),
        f"{spec['first_channels']} to {spec['max_channels']} channels",
        f"first stride {spec['first_stride']}",
        skips,
        *([f"dropout in {spec['dropout_layers']}"] if spec["dropout_layers"] else []),
        _UPSAMPLING[spec["upsampling"]],
        f"{spec['normalization'].replace('none', 'no')} normalization",
    ]
    losses = [f"ℓ1 × {spec['l1_weight']:g}", f"features × {spec['feature_weight']:g}"]
    if spec["discriminator_layers"]:
        losses.append(
            f"{spec['gan']} GAN × {spec['gan_weight']:g} with "
            f"{_counted(spec['discriminator_layers'], 'layer')}"
        )
    kept = [loss for loss in losses if not loss.endswith(" × 0")]
    return f"{', '.join(parts)}; {' + '.join(kept)}; rate {spec['learning_rate']:g}"


def training_words(record: Mapping[str, Any]) -> str:
    """What a training record says, as far as it says it, after a semicolon."""
    parts = []
    if "images" in record:
        features = _FEATURES.get(record.get("feature_net", ""), "")
        crops = f"trained on {record['images']:,} crops in {record.get('precision')}"
        parts.append(f"{crops}{features}")
    held_out = record.get("held_out", {}).get("lpips")
    if held_out:
        parts.append(f"held-out LPIPS {held_out['median']:.3f}")
    return "; " + ", ".join(parts) if parts else ""


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _facts(result: Mapping[str, Any]) -> dict[str, str]:
    source, version = result["source"], result["table_version"]
    return {
        "fingerprint": result["fingerprint"],
        "specs": f"table version {version}" if version else "the user's own",
        "patches": f"{result['patches']:,} of {source['images']:,} photos, seed {result['seed']}",
        "photos": ", ".join(source["roots"]) or "photographs that come with scikit-image",
        "distance": "LPIPS v0.1 alex, float32",
        "made with": f"bapps-gen {result['bapps_gen']}, torch {result['torch']}",
    }


def _bar_top(result: Mapping[str, Any]) -> float:
    return float(max(0.2, *(entry["lpips"]["p95"] for entry in result["distorters"])))


def _card(report: ZooReport, entry: Mapping[str, Any], index: int) -> dict[str, Any]:
    """One distorter: its pictures, and what is said of it."""
    outputs, change = report.outputs[index], None
    if entry["lpips"]["p50"] < _WEAK:
        change = data_uri(draw_strip(magnified(report.inputs, outputs, _GAIN)))
    return {
        **entry,
        "kind": entry["spec"]["corruption"],
        "strip": data_uri(draw_strip(outputs)),
        "thumbnail": data_uri(draw_strip(outputs[:1])),
        "change": change,
        "box": box(entry["lpips"], _bar_top(report.result)),
        "task_words": task_words(entry["spec"]),
        "shift_words": f"changes {shift_words(entry)}",
        "network_words": network_words(entry["spec"]),
        "training_words": training_words(entry["record"]),
    }


def _strength(result: Mapping[str, Any]) -> dict[str, Any]:
    """A column for each distorter from the weakest to the strongest, on a scale from 0."""
    entries = sorted(result["distorters"], key=lambda entry: entry["lpips"]["p50"])
    limits = result["limits"]
    highest = max(*(entry["lpips"]["p95"] for entry in entries), limits["ruin"] * 1.05, 0.2)
    top = 0.2 * math.ceil(highest / 0.2 - 1e-9)

    def height(value: float) -> float:
        return float(100 - 100 * min(value, top) / top)

    columns = [
        (entry["id"], {key: height(value) for key, value in entry["lpips"].items()})
        for entry in entries
    ]
    ticks = [(0.2 * k, height(0.2 * k)) for k in range(round(top / 0.2) + 1)]
    marks = [height(limits[key]) for key in ("identity", "ruin")]
    return {"columns": columns, "ticks": ticks, "marks": marks}


def _matrix(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Median LPIPS between every two distorters in the order of likeness."""
    pairs = result["pairs"]
    if pairs is None or len(pairs["ids"]) > MAX_MATRIX:
        return None
    index = {name: k for k, name in enumerate(pairs["ids"])}
    values = np.array(pairs["lpips"])
    top = max(float(np.percentile(values[np.triu_indices(len(values), 1)], 90)), 1e-9)
    order = pairs["order"]

    def cell(name: str, other: str) -> dict[str, Any] | None:
        value = float(values[index[name], index[other]])
        share = 100 * max(0.0, 1 - value / top)
        return None if name == other else {"id": other, "value": value, "share": share}

    return {
        "order": order,
        "rows": [(name, [cell(name, other) for other in order]) for name in order],
        "top": top,
        "cell": min(20.0, max(9.5, 920 / len(order))),
    }


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
