"""Reports as HTML, from the Jinja2 templates and style sheets in `templates/`.

A report is one self-contained file: styles and pictures are inside, there are no scripts, and all
text is escaped by Jinja2's autoescape. Figures stretch with the page: bars and boxes are placed in
percent, so that text keeps its size from a phone's width to a wide screen's.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bapps_gen.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


class Report(Protocol):
    """What the reports of datasets, collections and zoos have in common."""

    @property
    def missed(self) -> tuple[str, ...]:
        """A line for each threshold that is missed, or rule that is broken."""

    def values(self) -> dict[str, Any]:
        """The report as plain values for JSON, without pictures."""

    def summary(self) -> str:
        """The main numbers on one line."""


TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """A page from a template and its values.

    Raises:
        UserError: when Jinja2 is not installed.
    """
    return environment().get_template(template).render(**values)


@cache
def environment() -> Environment:
    """Where templates are found, with the filters that they use.

    Raises:
        UserError: when Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise UserError(
            f"reports need {error.name}, which is not installed; "
            "run: pip install 'bapps-gen[torch]'"
        ) from error
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "breakable": breakable,
        "count": count,
        "data_uri": data_uri,
        "general": general,
        "number": number,
        "percent": percent,
        "position": position,
        "short": short,
    }
    return templates


def number(value: float | None) -> str:
    """A distance with three decimal places; a dash for none."""
    return "–" if value is None else f"{value:.3f}"


def percent(share: float | None) -> str:
    """A share in percent; a dash for none."""
    if share is None:
        return "–"
    if share == 0:
        return "0 %"
    if share < 0.0001:
        return "< 0.01 %"
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{100 * share:.2f} %"


def count(value: int) -> str:
    """A whole number with separators of thousands."""
    return f"{value:,}"


def general(value: float) -> str:
    """A number without trailing zeros."""
    return f"{value:g}"


def short(value: float) -> str:
    """A number with three significant digits."""
    return f"{'−' if value < 0 else ''}{abs(value):.3g}"


def position(value: float) -> str:
    """A coordinate or length in a figure, with at most two decimal places."""
    return f"{round(value, 2):g}"


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores and plus signs."""
    from markupsafe import Markup, escape

    return Markup(str(escape(name)).replace("_", "_<wbr>").replace("+", "+<wbr>"))


def data_uri(picture: bytes) -> str:
    """A PNG or WebP file as an address that holds it."""
    kind = "png" if picture.startswith(b"\x89PNG") else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
