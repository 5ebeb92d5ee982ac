"""The validation report: one HTML file with its styles and pictures inside, and no scripts.

Figures stretch with the page: bars and boxes are placed in percent, so that text keeps its size
from a phone's width to a wide screen's.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.manifests.rows import Step
from bapps_gen.pipelines.datasets.sheet import describe_steps
from bapps_gen.pipelines.validation.dataset import SEVERITY_BINS, UNKNOWN
from bapps_gen.pipelines.validation.page_parts import (
    breakable,
    number,
    page,
    percent,
    section,
    table,
    ticks,
)
from bapps_gen.pipelines.validation.page_style import STYLE

Found = Mapping[str, Any]

_EXTREMES = (
    ("lowest", "Closest to the reference", "The rows with the smallest distance on either side."),
    (
        "highest",
        "Farthest from the reference",
        "The rows with the largest distance on either side.",
    ),
    (
        "nearest",
        "Nearest to each other",
        "Triplets whose sides are equally far from the reference, both visibly so (LPIPS ≥ 0.1): "
        "the hardest to judge.",
    ),
)


@dataclass(frozen=True, slots=True)
class ReportHead:
    """What the report says of a set beside its numbers.

    Args:
        name: of the dataset.
        facts: (label, text) pairs, such as its kind and digest.
        other: name of the set compared with, or None.
        demands: whether the user set thresholds.
        missed: a line for each that the set misses.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    other: str | None
    demands: bool
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReportPart:
    """All that a report says of one set.

    Args:
        head: names.
        found: what `validate` returned.
        pictures: what `read_patches` returned for the rows among the extremes.
        settings: of the distances.
    """

    head: ReportHead
    found: Found
    pictures: Mapping[int, Found]
    settings: Mapping[str, str]


def render_report(head: ReportHead, found: Found, pictures: Mapping[int, Found]) -> str:
    """The report of one set as HTML; see `report_body`."""
    return page(f"Validation of {head.name}", STYLE, [report_body(head, found, pictures)])


def report_body(head: ReportHead, found: Found, pictures: Mapping[int, Found]) -> str:
    """What the report says of one set.

    Args:
        head: names.
        found: what `validate` returned.
        pictures: what `read_patches` returned for the rows among the extremes.
    """
    sections = [
        _distribution(found, head.other),
        _families(found),
        _atoms(found),
        _severity(found),
        _compositions(found),
        _coverage(found),
        _against(found, head.other),
        *(
            _extreme(found["extremes"][key], title, note, pictures)
            for key, title, note in _EXTREMES
            if key in found["extremes"]
        ),
        _notes(found),
    ]
    return "\n".join([_header(head, found), *filter(None, sections)])


def _header(head: ReportHead, found: Found) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in head.facts
    )
    verdict = ""
    if head.missed:
        lines = "".join(f"<li>{escape(line)}</li>" for line in head.missed)
        verdict = f'<div class="verdict bad"><b>Thresholds missed</b><ul>{lines}</ul></div>'
    elif head.demands:
        verdict = '<div class="verdict good"><b>All thresholds met</b></div>'
    shares, limits, cover = found["shares"], found["limits"], found["coverage"]
    tiles = [
        (f"{found['rows']:,}", "triplets" if "gap" in found else "pairs"),
        (number(found["lpips"]["p50"]), "median LPIPS"),
        (percent(shares["invisible"]), f"sides invisible, LPIPS < {limits['invisible']:g}"),
        (percent(shares["destroyed"]), f"sides destroyed, LPIPS > {limits['destroyed']:g}"),
    ]
    if shares["near_equal"] is not None:
        tiles.append(
            (
                percent(shares["near_equal"]),
                f"near-equal sides, |d0 − d1| < {limits['near']:g}",
            )
        )
    tiles += [
        (percent(shares["duplicate_rows"]), "rows that repeat another"),
        (percent(shares["flat_references"]), f"flat references, luma σ < {limits['flat']:g}"),
    ]
    if cover["used"]:
        tiles.append((f"{cover['used']} / {cover['of']}", "distortions that occur"))
    cells = "".join(
        f'<div class="tile"><b>{value}</b><span>{escape(label)}</span></div>'
        for value, label in tiles
    )
    return (
        f"<header><h1>{escape(head.name)}</h1><dl>{facts}</dl></header>"
        f'{verdict}<div class="tiles">{cells}</div>'
    )


def _distribution(found: Found, other: str | None) -> str:
    limits = found["limits"]
    against = found["against"]
    legend = ""
    if against is not None:
        legend = (
            '<p class="legend"><i class="key mine"></i>this set'
            f'<i class="key theirs"></i>{escape(str(other))}</p>'
        )
    marks = (limits["invisible"], limits["destroyed"])
    body = legend + '<div class="pair">'
    body += _histogram(
        "LPIPS of a side", found["histogram"], against and against["histogram"], marks
    )
    if "gap" in found:
        body += _histogram(
            "|d0 − d1| of a triplet", found["gap_histogram"], None, (limits["near"],)
        )
    quantiles = found["lpips"]
    note = (
        f"Half of all sides lie between {number(quantiles['p25'])} and "
        f"{number(quantiles['p75'])}, nine of ten between {number(quantiles['p05'])} and "
        f"{number(quantiles['p95'])}. Dashed lines mark the limits of invisible, destroyed and "
        "near-equal; the last bar takes everything above."
    )
    return section("Distances", note, body + "</div>")


def _histogram(title: str, mine: Found, theirs: Found | None, marks: Sequence[float]) -> str:
    """Bars, a stepped line for another set, dashed marks; shares of all."""
    shares = _shares(mine["counts"])
    others = _shares(theirs["counts"]) if theirs else []
    tallest = max([*shares, *others, 1e-9])
    count, top = len(shares), mine["top"]
    bars = "".join(
        f'<rect x="{place + 0.06:g}" width="0.88" y="{100 - 100 * share / tallest:.2f}" '
        f'height="{100 * share / tallest:.2f}"><title>{place * top / count:.3f} to '
        f"{(place + 1) * top / count:.3f}: {percent(share)}</title></rect>"
        for place, share in enumerate(shares)
    )
    line = ""
    if others:
        points = " ".join(
            f"{x:g},{100 - 100 * share / tallest:.2f}"
            for place, share in enumerate(others)
            for x in (place, place + 1)
        )
        line = f'<polyline class="theirs" points="{points}"/>'
    dashes = "".join(
        f'<line x1="{mark / top * count:.3f}" x2="{mark / top * count:.3f}" y1="0" y2="100"/>'
        for mark in marks
        if mark < top
    )
    step = 0.25 if top > 1 else 0.2
    scale = ticks([step * k for k in range(int(top / step + 1e-9) + 1)], top)
    return (
        f'<figure class="histogram"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {count} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="histogram of {escape(title)}">{bars}{line}{dashes}</svg>{scale}</figure>'
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(1, sum(counts))
    return [count / total for count in counts]


def _has_distortions(found: Found) -> bool:
    return any(name != UNKNOWN for name in found["families"])


def _families(found: Found) -> str:
    if not _has_distortions(found):
        return ""
    note = (
        "Sides by the families of their steps, in whatever order these were applied. The box holds "
        "the middle half of the sides, the line nine of ten, the tick is the median."
    )
    return section("By family", note, _boxes(found["families"]))


def _atoms(found: Found) -> str:
    atoms = {name: entry for name, entry in found["atoms"].items() if name != UNKNOWN}
    if not atoms:
        return ""
    note = "Sides with this one distortion alone, over all severities drawn."
    return section("By single distortion", note, _boxes(atoms))


def _boxes(groups: Mapping[str, Found]) -> str:
    """Box plots in rows, on one scale."""
    highest = max(entry["p95"] for entry in groups.values())
    step = 0.2 if highest > 0.4 else 0.1 if highest > 0.2 else 0.05
    top = max(step, step * -(-highest // step))
    rows = []
    for name, entry in groups.items():
        low, left, middle, right, high = (
            100 * entry[f"p{q:02d}"] / top for q in (5, 25, 50, 75, 95)
        )
        told = (
            f"{name}: median {number(entry['p50'])}, "
            f"half in {number(entry['p25'])} to {number(entry['p75'])}"
        )
        rows.append(
            f'<div class="name">{breakable(name)}</div>'
            f'<div class="box" title="{escape(told)}">'
            f'<i class="whisker" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
            f'<i class="half" style="left:{left:.2f}%;width:{right - left:.2f}%"></i>'
            f'<i class="median" style="left:{middle:.2f}%"></i></div>'
            f'<div class="value">{number(entry["p50"])}</div>'
            f'<div class="count">{entry["sides"]:,}</div>'
        )
    marks = ticks([step * k for k in range(round(top / step) + 1)], top)
    head = (
        '<div class="name head"></div><div class="head">LPIPS</div>'
        '<div class="value head">median</div><div class="count head">sides</div>'
    )
    return f'<div class="boxes">{head}{"".join(rows)}<div></div>{marks}<div></div><div></div></div>'


def _severity(found: Found) -> str:
    entries = found["severity"]
    if not entries:
        return ""
    highest = max(
        (value for entry in entries.values() for value in entry["bin_medians"] if value), default=1
    )
    cards = []
    for name, entry in entries.items():
        points = [
            (100 * (place + 0.5) / SEVERITY_BINS, 46 - 42 * value / highest)
            for place, value in enumerate(entry["bin_medians"])
            if value is not None
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in points)
        rho = "undefined" if entry["spearman"] is None else f"{entry['spearman']:.2f}"
        cards.append(
            f'<figure class="card"><figcaption>{breakable(name)}</figcaption>'
            f'<svg viewBox="0 0 100 50" role="img" aria-label="median LPIPS of {escape(name)} '
            f'by severity"><line x1="0" x2="100" y1="46" y2="46"/>'
            f'<polyline points="{line}"/>{dots}</svg>'
            f"<div>ρ <b>{rho}</b><span>{entry['sides']:,} sides</span></div></figure>"
        )
    note = (
        "Sides with one distortion: Spearman's ρ of severity and LPIPS, and median LPIPS in fifths "
        f"of severity from 0 to 1, all on one scale up to {number(highest)}. Photos differ in how "
        "much they hide, so ρ stays below 1 even where severity is monotone on every photo."
    )
    return section("Severity against LPIPS", note, f'<div class="cards">{"".join(cards)}</div>')


def _compositions(found: Found) -> str:
    pairs = found["compositions"]
    if not pairs:
        return ""
    known = [atom.name for atom in ATOMS]
    parts = {part for pair in pairs for part in pair.split("+")} | set(found["atoms"])
    parts.discard(UNKNOWN)
    axis = [name for name in known if name in parts]
    axis += sorted(name for name in parts if name not in known)
    singles = {name: entry["p50"] for name, entry in found["atoms"].items()}
    highest = max([entry["median"] for entry in pairs.values()] + [*singles.values(), 1e-9])
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in axis)
    rows = []
    for first in axis:
        cells = []
        for second in axis:
            entry = pairs.get(f"{first}+{second}")
            if first == second and entry is None and first in singles:
                sides = found["atoms"][first]["sides"]
                told = f"{first} alone: {number(singles[first])}, {sides:,} sides"
                cells.append(_cell(singles[first], highest, told, "alone"))
            elif entry is None:
                cells.append("<td></td>")
            else:
                told = (
                    f"{first}, then {second}: {number(entry['median'])}, {entry['sides']:,} sides"
                )
                cells.append(_cell(entry["median"], highest, told, ""))
        rows.append(f'<tr><th scope="row">{escape(first)}</th>{"".join(cells)}</tr>')
    note = (
        "Median LPIPS in hundredths: the row's distortion first, the column's second. Outlined "
        "cells are single distortions; empty ones are no composition or do not occur."
    )
    table = f"<table><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return section("Compositions", note, f'<div class="scroll heat">{table}</div>')


def _cell(value: float, highest: float, told: str, kind: str) -> str:
    share = 100 * value / highest
    kinds = " ".join(filter(None, (kind, "hot" if share > 48 else "")))
    style = f'class="{kinds}" style="--v:{share:.0f}%"'
    return f'<td {style} title="{escape(told)}">{100 * value:.0f}</td>'


def _coverage(found: Found) -> str:
    if not _has_distortions(found):
        return ""
    cover = found["coverage"]
    others = f", and {cover['others_used']} others" if cover["others_used"] else ""
    note = (
        f"{cover['used']} of the {cover['of']} traditional distortions occur{others}; "
        f"{percent(cover['share_of_singles'] or 0)} of sides have a single one. "
        + (
            f"Where one occurs, it does on {cover['median_sides']:g} sides in the median."
            if cover["median_sides"]
            else ""
        )
    )
    listed = (("Least used", cover["least"] if cover["used"] else []), ("Most used", cover["most"]))
    lists = "".join(
        f"<div><h3>{title}</h3>{table(('distortion', 'sides'), rows)}</div>"
        for title, entries in listed
        if (rows := [(entry["distortion"], f"{entry['sides']:,}") for entry in entries])
    )
    return section("Coverage", note, f'<div class="pair">{lists}</div>')


def _against(found: Found, other: str | None) -> str:
    entry = found["against"]
    if entry is None:
        return ""
    note = (
        f"{other} has {entry['rows']:,} rows. Kolmogorov-Smirnov is the largest difference of the "
        "two distribution functions of LPIPS (0 to 1), Wasserstein the mean shift between them in "
        "LPIPS, total variation the share of sides whose distortion would have to change."
    )
    whole = table(
        ("of all sides", "this set", "other set", "distance"),
        [
            (
                "LPIPS, median",
                number(found["lpips"]["p50"]),
                number(entry["lpips"]["p50"]),
                f"KS {entry['ks']:.4f}",
            ),
            (
                "LPIPS, mean",
                number(found["lpips"]["mean"]),
                number(entry["lpips"]["mean"]),
                f"Wasserstein {entry['wasserstein']:.4f}",
            ),
            ("distortions", "", "", f"total variation {entry['use']:.4f}"),
            ("families", "", "", f"total variation {entry['use_families']:.4f}"),
        ],
    )
    groups = table(
        ("family", "median", "other's", "KS", "Wasserstein", "sides", "other's"),
        [
            (
                group["family"],
                number(group["median"]),
                number(group["median_other"]),
                f"{group['ks']:.3f}",
                f"{group['wasserstein']:.4f}",
                f"{group['sides']:,}",
                f"{group['sides_other']:,}",
            )
            for group in entry["families"]
        ],
    )
    return section(f"Against {other}", note, whole + (groups if len(entry["families"]) > 1 else ""))


def _extreme(listed: Sequence[Found], title: str, note: str, pictures: Mapping[int, Found]) -> str:
    cards = [_shown(entry, pictures[entry["row"]]) for entry in listed]
    return section(title, note, f'<div class="sheet">{"".join(cards)}</div>')


def _shown(entry: Found, stored: Found) -> str:
    images = stored["pictures"]
    sides: Sequence[tuple[Step, ...]] = stored["steps"]
    cells = [_picture(images[0], "reference", f"row {entry['row']}", "")]
    for side, (image, distance) in enumerate(zip(images[1:], entry["distances"], strict=True)):
        lines = [breakable(line.strip()) for line in describe_steps(sides[side])]
        told = "".join(
            f"<b>{line}</b>" if place % 2 == 0 else f"<small>{line}</small>"
            for place, line in enumerate(lines)
        )
        cells.append(_picture(image, f"p{side}", f"d{side} {number(distance)}", told))
    return f'<figure class="row">{"".join(cells)}</figure>'


def _picture(png: bytes, name: str, caption: str, told: str) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<div><img alt="{name}" src="data:image/png;base64,{data}" width="64" height="64">'
        f"<em>{escape(caption)}</em>{told}</div>"
    )


def _notes(found: Found) -> str:
    counts = found["counts"]
    identical = found["shares"]["identical_sides"]
    lines = [
        "LPIPS is version 0.1 with the AlexNet trunk, of a side against its reference.",
        "The limits of invisible, destroyed, near-equal and flat are this program's own choices "
        "and can be set; they are no results of experiments with people.",
        f"{counts['duplicate_rows']:,} rows repeat another in all pictures; "
        f"{counts['duplicate_references']:,} references are pixel for pixel those of another row.",
    ]
    if identical is not None:
        lines.append(f"{percent(identical)} of triplets have two identical sides.")
    body = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<section><h2>Notes</h2><ul class="notes">{body}</ul></section>'
