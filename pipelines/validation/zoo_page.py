"""The page of a zoo: what each distorter does to the same patches, how strongly, and its kin."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.spec import CORRUPTIONS
from bapps_gen.pipelines.validation.page_parts import number, page, percent, section, table
from bapps_gen.pipelines.validation.zoo_page_style import ZOO_STYLE
from bapps_gen.pipelines.validation.zoo_pictures import draw_strip, magnified, strip_size

Found = Mapping[str, Any]
Images = NDArray[np.uint8]

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
    "color_removal": "Colourisers",
    "downsampling": "Super-resolvers",
}
_UPSAMPLING = {
    "transposed": "transposed convolutions",
    "nearest": "nearest + convolution",
    "bilinear": "bilinear + convolution",
    "subpixel": "sub-pixel",
}
_VERDICTS = {"identity": "identity", "ruin": "ruin", "collapsed": "collapsed"}


def render_zoo_report(name: str, found: Found, inputs: Images, shown: Images) -> str:
    """The page as HTML.

    Args:
        name: of the zoo.
        found: what `judge_zoo` returned.
        inputs: patches shown, uint8 (K, 64, 64, 3).
        shown: outputs for them, uint8 (N, K, 64, 64, 3), in the order of found["distorters"].
    """
    strips = {
        entry["id"]: _data(draw_strip(outputs))
        for entry, outputs in zip(found["distorters"], shown, strict=True)
    }
    thumbs = {
        entry["id"]: _data(draw_strip(outputs[:1]))
        for entry, outputs in zip(found["distorters"], shown, strict=True)
    }
    changes = {
        entry["id"]: (_data(draw_strip(magnified(inputs, outputs, _GAIN))),)
        for entry, outputs in zip(found["distorters"], shown, strict=True)
        if entry["lpips"]["p50"] < _WEAK
    }
    width, height = strip_size(len(inputs))
    style = (
        f"{ZOO_STYLE}.input {{ aspect-ratio: {width} / {height}; "
        f"background-image: url({_data(draw_strip(inputs))}); }}\n"
    )
    size = f'width="{width}" height="{height}"'
    return page(
        f"Validation of {name}",
        style,
        [
            _header(name, found),
            _strength(found),
            _kinship(found, thumbs, _data(draw_strip(inputs[:1]))),
            *_sheets(found, strips, changes, size, len(inputs)),
            _twins(found, strips, size),
            _matrix(found),
            _axes(found),
            _figures(found),
            _notes(found),
        ],
    )


def task_words(spec: Found) -> str:
    """What a distorter is trained for, such as "denoiser, white noise σ 0.1"."""
    strength = spec["strength"]
    return {
        "null": "autoencoder",
        "pink_noise": f"denoiser, pink noise σ {strength:g}",
        "white_noise": f"denoiser, white noise σ {strength:g}",
        "color_removal": f"colouriser, {100 * strength:g} % of colour removed",
        "downsampling": f"super-resolver, ×{strength:g}",
    }[spec["corruption"]]


def network_words(spec: Found) -> str:
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
        {"none": "no normalisation"}.get(
            spec["normalization"], f"{spec['normalization']} normalisation"
        ),
    ]
    losses = [f"ℓ1 × {spec['l1_weight']:g}", f"features × {spec['feature_weight']:g}"]
    if spec["discriminator_layers"]:
        losses.append(
            f"{spec['gan']} GAN × {spec['gan_weight']:g} with "
            f"{_counted(spec['discriminator_layers'], 'layer')}"
        )
    kept = [loss for loss in losses if not loss.endswith(" × 0")]
    return f"{', '.join(parts)}; {' + '.join(kept)}; rate {spec['learning_rate']:g}"


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _data(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def _header(name: str, found: Found) -> str:
    source, summary, pairs = found["source"], found["summary"], found["pairs"]
    roots = ", ".join(source["roots"]) or "photographs that come with scikit-image"
    version = found["table_version"]
    facts = [
        ("fingerprint", found["fingerprint"]),
        ("specs", f"table version {version}" if version else "of the user's own"),
        ("patches", f"{found['patches']:,} of {source['images']:,} photos, seed {found['seed']}"),
        ("photos", roots),
        ("distance", "LPIPS v0.1 alex, float32"),
        ("made with", f"bapps-gen {found['bapps_gen']}, torch {found['torch']}"),
    ]
    listed = "".join(f"<div><dt>{a}</dt><dd>{escape(str(b))}</dd></div>" for a, b in facts)
    if found["missed"]:
        lines = "".join(f"<li>{escape(line)}</li>" for line in found["missed"])
        verdict = f'<div class="verdict bad"><b>Rules broken</b><ul>{lines}</ul></div>'
    else:
        verdict = (
            '<div class="verdict good"><b>No identity, no ruin, '
            "no two that are the same function</b></div>"
        )
    limits, verdicts, medians = found["limits"], summary["verdicts"], summary["median_lpips"]
    tiles = [
        (f"{summary['measured']}", "distorters"),
        (f"{verdicts['identity']}", f"identities, median LPIPS < {limits['identity']:g}"),
        (
            f"{verdicts['ruin'] + verdicts['collapsed']}",
            f"ruins, mean LPIPS > {limits['ruin']:g}, or collapsed",
        ),
        (
            f"{number(medians['min'])} to {number(medians['max'])}",
            "median LPIPS to the input, weakest to strongest",
        ),
    ]
    if pairs:
        same = sum(len(group["ids"]) for group in pairs["same"])
        closest = pairs["closest"][0]
        tiles[3:3] = [(f"{same}", f"share a function, LPIPS < {limits['same']:g} between them")]
        tiles += [
            (number(pairs["median"]), "median LPIPS between two distorters"),
            (number(closest["lpips"]), f"between the closest, {' and '.join(closest['ids'])}"),
            (
                f"{len(pairs['near'])}",
                f"pairs of near duplicates, < {100 * limits['near']:g} % of what they change",
            ),
        ]
    cells = "".join(
        f'<div class="tile"><b>{value}</b><span>{escape(label)}</span></div>'
        for value, label in tiles
    )
    return (
        f"<header><h1>{escape(name)}</h1><dl>{listed}</dl></header>"
        f'{verdict}<div class="tiles">{cells}</div>'
    )


def _kinds_of(found: Found) -> list[str]:
    held = {entry["spec"]["corruption"] for entry in found["distorters"]}
    return [kind for kind in CORRUPTIONS if kind in held]


def _legend(found: Found) -> str:
    keys = "".join(
        f'<span class="{kind}"><i class="key"></i>{_KINDS[kind]}</span>'
        for kind in _kinds_of(found)
    )
    return f'<div class="kinds">{keys}</div>'


def _strength(found: Found) -> str:
    entries = sorted(found["distorters"], key=lambda entry: entry["lpips"]["p50"])
    limits = found["limits"]
    highest = max(*(entry["lpips"]["p95"] for entry in entries), limits["ruin"] * 1.05, 0.2)
    top = 0.2 * np.ceil(highest / 0.2 - 1e-9)

    def y(value: float) -> str:
        return f"{100 - 100 * min(value, top) / top:.2f}"

    columns = []
    for place, entry in enumerate(entries):
        d, x = entry["lpips"], place + 0.5
        told = (
            f"{entry['id']}, {task_words(entry['spec'])}: median {number(d['p50'])}, nine of ten "
            f"in {number(d['p05'])} to {number(d['p95'])}"
        )
        columns.append(
            f'<a href="#d-{escape(entry["id"])}" class="{entry["spec"]["corruption"]}">'
            f"<title>{escape(told)}</title>"
            f'<rect class="whole" x="{place}" width="1" y="0" height="100"/>'
            f'<line x1="{x}" x2="{x}" y1="{y(d["p05"])}" y2="{y(d["p95"])}"/>'
            f'<rect x="{place + 0.15:g}" width="0.7" y="{y(d["p75"])}" '
            f'height="{100 * (min(d["p75"], top) - min(d["p25"], top)) / top:.2f}"/>'
            f'<line class="middle" x1="{place + 0.1:g}" x2="{place + 0.9:g}" '
            f'y1="{y(d["p50"])}" y2="{y(d["p50"])}"/></a>'
        )
    count = len(entries)
    dashes = "".join(
        f'<line class="limit" x1="0" x2="{count}" y1="{y(limits[key])}" y2="{y(limits[key])}"/>'
        for key in ("identity", "ruin")
    )
    marks = "".join(
        f'<span style="top:{y(0.2 * k)}%">{0.2 * k:.1f}</span>' for k in range(round(top / 0.2) + 1)
    )
    note = (
        "LPIPS of the outputs to their input patches, one column a distorter from the weakest to "
        "the strongest: the box holds the middle half of the patches, the line nine of ten, the "
        "tick is the median. Dashed lines: the identity lies below (by its median), a ruin above "
        "(by its mean). A column leads to its distorter."
    )
    body = (
        f'{_legend(found)}<figure class="strength"><div class="scale">{marks}</div>'
        f'<svg viewBox="0 0 {count} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="LPIPS ranges of {count} distorters">{"".join(columns)}{dashes}</svg></figure>'
    )
    return section("Strength", note, body)


def _kinship(found: Found, thumbs: Mapping[str, str], patch: str) -> str:
    if found["pairs"] is None:
        return ""
    kinds = {entry["id"]: entry["spec"]["corruption"] for entry in found["distorters"]}
    words = {entry["id"]: task_words(entry["spec"]) for entry in found["distorters"]}
    groups = (
        f'<div class="kin"><span><img alt="input patch" src="{patch}" width="64" height="64">'
        "input</span></div>"
    )
    groups += "".join(
        '<div class="kin">'
        + "".join(
            f'<a href="#d-{escape(name)}" class="{kinds[name]}" title="{escape(words[name])}">'
            f'<img alt="output of {escape(name)}" src="{thumbs[name]}" width="64" height="64">'
            f"<b>{escape(name)}</b></a>"
            for name in group
        )
        + "</div>"
        for group in found["pairs"]["groups"]
    )
    note = (
        "One patch through every distorter, ordered so that neighbours are alike. Those in one "
        f"frame are within LPIPS {found['limits']['group']:g} of one another on average."
    )
    return section("Likeness", note, f'{_legend(found)}<div class="kinship">{groups}</div>')


def _sheets(
    found: Found,
    strips: Mapping[str, str],
    changes: Mapping[str, Sequence[str]],
    size: str,
    count: int,
) -> list[str]:
    top = max(0.2, *(entry["lpips"]["p95"] for entry in found["distorters"]))
    sections = []
    for kind in _kinds_of(found):
        mine = [entry for entry in found["distorters"] if entry["spec"]["corruption"] == kind]
        inputs = (
            f'<div class="inputs">input<div class="input" role="img" '
            f'aria-label="the {count} input patches"></div></div>'
        )
        again = '<div class="inputs" aria-hidden="true">input<div class="input"></div></div>'
        cards = "".join(
            _card(entry, (strips[entry["id"]], *changes.get(entry["id"], ())), size, top)
            for entry in mine
        )
        sections.append(
            section(
                f"{_KINDS[kind]} ({len(mine)})",
                "The same patches through each. The bar is LPIPS to the input from 0 to "
                f"{number(top)}: median, middle half, nine of ten patches."
                + (
                    f" Where the median is below {_WEAK:g}, the change is shown below the output, "
                    f"{_GAIN} times as strong about grey."
                    if any(entry["id"] in changes for entry in mine)
                    else ""
                ),
                f'<div class="zoo {kind}">{inputs}{again}{cards}</div>',
            )
        )
    return sections


def _card(entry: Found, strips: Sequence[str], size: str, top: float) -> str:
    name, d = entry["id"], entry["lpips"]
    low, left, middle, right, high = (100 * d[f"p{q:02d}"] / top for q in (5, 25, 50, 75, 95))
    fault = ""
    if entry["verdict"] in _VERDICTS:
        fault = f'<span class="fault">{_VERDICTS[entry["verdict"]]}</span>'
    change = ""
    if len(strips) > 1:
        change = (
            f'<img class="strip change" alt="what distorter {escape(name)} changes, '
            f'{_GAIN} times as strong" src="{strips[1]}" {size}>'
        )
    nearest = entry["nearest"]
    kin = ""
    if nearest:
        kin = (
            f'nearest <a href="#d-{escape(nearest["id"])}">{escape(nearest["id"])}</a>, LPIPS '
            f"{number(nearest['lpips'])}; "
        )
    psnr = "no difference" if entry["psnr"] is None else f"PSNR {entry['psnr']:.1f} dB"
    return (
        f'<article class="distorter" id="d-{escape(name)}">'
        f"<h4><b>{escape(name)}</b>{escape(task_words(entry['spec']))}{fault}</h4>"
        f'<div class="reading"><div class="box"><i class="whisker" style="left:{low:.2f}%;'
        f'width:{high - low:.2f}%"></i><i class="half" style="left:{left:.2f}%;'
        f'width:{right - left:.2f}%"></i><i class="median" style="left:{middle:.2f}%"></i></div>'
        f"<div>LPIPS <b>{number(d['p50'])}</b> ({number(d['p05'])} to {number(d['p95'])})</div>"
        f'</div><img class="strip" alt="outputs of distorter {escape(name)}" src="{strips[0]}" '
        f"{size}>{change}"
        f"<p>{escape(network_words(entry['spec']))}</p>"
        f"<p>{kin}{psnr}, clipped {percent(entry['clipped'])}"
        f"{escape(_training(entry['record']))}</p></article>"
    )


def _training(record: Found) -> str:
    """What a training record says, as far as it says it."""
    parts = []
    if "images" in record:
        net = {"vgg": ", VGG features", "alex": ", AlexNet features"}.get(
            record.get("feature_net", ""), ""
        )
        parts.append(f"trained on {record['images']:,} crops in {record.get('precision')}{net}")
    held = record.get("held_out", {}).get("lpips")
    if held:
        parts.append(f"held-out LPIPS {number(held['median'])}")
    return "; " + ", ".join(parts) if parts else ""


def _twins(found: Found, strips: Mapping[str, str], size: str) -> str:
    pairs = found["pairs"]
    if pairs is None:
        return ""
    body = ""
    for title, key in (
        ("By LPIPS between their outputs", "closest"),
        ("By the share of what they change", "closest_by_share"),
    ):
        cards = "".join(_twin(pair, strips, size) for pair in pairs[key][:_PAIRS])
        body += f'<h3>{title}</h3><div class="twins">{cards}</div>'
    note = (
        "The pairs whose outputs differ least. The share is LPIPS between the two of the LPIPS "
        "that the weaker one has to the input: two weak distorters are close without being alike, "
        "two strong ones with a small share do nearly the same. ρ is the correlation of their "
        "changes, pixel by pixel."
    )
    return section("Closest pairs", note, body)


def _twin(pair: Found, strips: Mapping[str, str], size: str) -> str:
    first, second = pair["ids"]
    share = "" if pair["share"] is None else f", share {100 * pair['share']:.0f} %"
    rows = "".join(
        f'<span>{escape(name)}</span><img class="strip" alt="outputs of {escape(name)}" '
        f'src="{strips[name]}" {size}>'
        for name in (first, second)
    )
    return (
        f"<div><h4>{escape(first)} and {escape(second)}: LPIPS {number(pair['lpips'])}{share}, "
        f"ρ {pair['correlation']:.2f}</h4><figure><span>input</span>"
        f'<div class="input" role="img" aria-label="input patches"></div>{rows}</figure></div>'
    )


def _matrix(found: Found) -> str:
    pairs = found["pairs"]
    if pairs is None or len(pairs["ids"]) > MAX_MATRIX:
        return ""
    places = {name: place for place, name in enumerate(pairs["ids"])}
    kinds = {entry["id"]: entry["spec"]["corruption"] for entry in found["distorters"]}
    order = pairs["order"]
    values = np.array(pairs["lpips"])
    top = max(float(np.percentile(values[np.triu_indices(len(values), 1)], 90)), 1e-9)
    head = "".join(
        f'<th scope="col" class="{kinds[name]}"><span>{escape(name)}</span></th>' for name in order
    )
    rows = []
    for name in order:
        cells = []
        for other in order:
            if name == other:
                cells.append('<td class="self"></td>')
                continue
            value = values[places[name], places[other]]
            share = 100 * max(0.0, 1 - value / top)
            hot = ' class="hot"' if share > 55 else ""
            cells.append(
                f'<td{hot} style="--v:{share:.0f}%" title="{escape(name)}, {escape(other)}: '
                f'{value:.3f}">{100 * value:.0f}</td>'
            )
        rows.append(
            f'<tr><th scope="row" class="{kinds[name]}">{escape(name)}</th>{"".join(cells)}</tr>'
        )
    few = " few" if len(order) <= _FEW else ""
    cell = min(20.0, max(9.5, 920 / len(order)))
    note = (
        "Median LPIPS between the outputs of every two distorters, in the order of likeness: dark "
        "is alike, and dark squares on the diagonal are groups. "
        + ("Numbers are hundredths." if few else "Pointing at a cell shows its value.")
    )
    ramp = f'<p class="ramp">0<i></i>{number(top)} or more</p>'
    return section(
        "Every two distorters",
        note,
        f'{_legend(found)}{ramp}<div class="scroll matrix{few}" '
        f'style="--cell:{cell:.1f}px"><table><thead><tr><td class="self">'
        f"</td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>",
    )


def _axes(found: Found) -> str:
    items = "".join(
        f"<dt>{escape(axis.replace('_', ' '))}</dt><dd>"
        + "".join(
            f"<span>{escape(_plain(item['value']))} <i>×{item['distorters']}</i></span>"
            for item in values
        )
        + "</dd>"
        for axis, values in found["axes"].items()
        if values
    )
    note = "The values that the distorters' specs have on each axis, and how many have each."
    return section("Axes", note, f'<dl class="axes">{items}</dl>')


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _figures(found: Found) -> str:
    head = (
        *("id", "task", "median", "mean", "p5", "p95", "PSNR dB", "mean |Δ|", "clipped"),
        *("nearest", "LPIPS to it"),
    )
    rows: list[Sequence[str]] = []
    for entry in found["distorters"]:
        d, nearest = entry["lpips"], entry["nearest"]
        rows.append(
            (
                entry["id"],
                task_words(entry["spec"]),
                *(number(d[key]) for key in ("p50", "mean", "p05", "p95")),
                "–" if entry["psnr"] is None else f"{entry['psnr']:.1f}",
                f"{entry['absolute']:.2f}",
                percent(entry["clipped"]),
                nearest["id"] if nearest else "–",
                number(nearest["lpips"] if nearest else None),
            )
        )
    note = (
        "LPIPS to the input; PSNR of the mean squared error over all patches; mean absolute "
        "difference in levels of 255; share of values at 0 or 255 (the inputs have "
        f"{percent(found['distorters'][0]['clipped_input'])})."
    )
    body = f"<details><summary>Show the table</summary>{table(head, rows)}</details>"
    return section("Figures", note, body)


def _notes(found: Found) -> str:
    limits = found["limits"]
    lines = [
        "Every distorter sees the same patches, and denoisers the same noise: that of patch p has "
        "the seed p.",
        "Two distorters are the same function where the median LPIPS between their outputs is "
        f"below {limits['same']:g} and at most {100 * limits['same_share']:g} % of the weaker "
        f"one's to the input, and near duplicates where it is below {100 * limits['near']:g} % of "
        "that. "
        "These limits are this program's own choices.",
        "A distorter may have been trained on these photos; its own held-out LPIPS is of others.",
        *found["notes"],
    ]
    body = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<section><h2>Notes</h2><ul class="notes">{body}</ul></section>'
