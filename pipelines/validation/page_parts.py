"""Parts of the reports: one HTML file each, with its styles and pictures inside, and no scripts.

Figures stretch with the page: bars and boxes are placed in percent, so that text keeps its size
from a phone's width to a wide screen's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def page(title: str, style: str, parts: Iterable[str]) -> str:
    """A whole page around its parts, the empty ones left out."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            # An icon of no size, so that no browser asks a server for one.
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title><style>{style}</style></head><body><main>",
            *filter(None, parts),
            "</main></body></html>\n",
        ]
    )


def section(title: str, note: str, body: str) -> str:
    """A card with a heading, a note below it, and a body of HTML."""
    return f"<section><h2>{escape(title)}</h2><p>{escape(note)}</p>{body}</section>"


def ticks(values: Sequence[float], top: float) -> str:
    """Labels along a scale from 0 to `top`."""
    labels = "".join(
        f'<span style="left:{100 * value / top:.2f}%">{value:.3g}</span>' for value in values
    )
    return f'<div class="ticks">{labels}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table of text."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="scroll"><table class="plain"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def number(value: float | None) -> str:
    """A distance with three decimal places; a dash for none."""
    return "–" if value is None else f"{value:.3f}"


def percent(share: float) -> str:
    """A share in percent."""
    if share == 0:
        return "0 %"
    if share < 0.0001:
        return "< 0.01 %"
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{100 * share:.2f} %"


def breakable(name: str) -> str:
    """A name that may be broken after its underscores and plus signs."""
    return escape(name).replace("_", "_<wbr>").replace("+", "+<wbr>")
