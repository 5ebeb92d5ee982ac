"""The frame of reports: templates that ship, text that is escaped, and one line without Jinja2."""

from __future__ import annotations

import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from bapps_gen.errors import UserError
from bapps_gen.pipelines.validation.html import (
    TEMPLATES,
    breakable,
    data_uri,
    environment,
    number,
    percent,
    position,
)

ROOT = Path(__file__).parents[3]
NAMES = sorted(path.name for path in TEMPLATES.iterdir())


def test_every_template_and_style_sheet_is_package_data():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = setup["package-data"]["bapps_gen.pipelines.validation"]
    assert NAMES
    for name in NAMES:
        assert any(fnmatch(f"templates/{name}", pattern) for pattern in patterns)


@pytest.mark.parametrize("name", NAMES)
def test_every_template_and_style_sheet_compiles(name):
    environment().get_template(name)


def test_text_is_escaped_and_names_can_be_broken():
    assert str(breakable("<b>_x+y")) == "&lt;b&gt;_<wbr>x+<wbr>y"
    template = environment().from_string("{{ text }} {{ text|breakable }}")
    assert template.render(text="<&>_") == "&lt;&amp;&gt;_ &lt;&amp;&gt;_<wbr>"


def test_numbers_are_short():
    assert [number(None), number(0.12345)] == ["–", "0.123"]
    shares = [percent(share) for share in (None, 0, 0.00001, 0.00123, 0.25)]
    assert shares == ["–", "0 %", "< 0.01 %", "0.12 %", "25.0 %"]
    assert [position(value) for value in (50.0, 12.345678, 0)] == ["50", "12.35", "0"]


def test_pictures_are_embedded_by_their_type():
    assert data_uri(b"\x89PNG...").startswith("data:image/png;base64,")
    assert data_uri(b"RIFF....WEBP").startswith("data:image/webp;base64,")


def test_without_jinja_it_says_so(monkeypatch):
    environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match=r"reports need jinja2.*pip install 'bapps-gen\[torch\]'"):
        environment()
    environment.cache_clear()
