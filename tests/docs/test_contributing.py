"""CONTRIBUTING says what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_layers import ORDER

from support.package import MODULES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_rooms_are_listed_in_the_order_of_imports():
    cells = re.findall(r"^\| (`bapps_gen[^|]*) \|", TEXT, re.MULTILINE)
    assert [tuple(re.findall("`([^`]+)`", cell)) for cell in cells] == list(ORDER)


def test_only_the_room_of_execution_imports_ray():
    pattern = re.compile(r"^\s*(import ray\b|from ray\b)", re.MULTILINE)
    rooms = {
        name.rpartition(".")[0]
        for name, path in MODULES.items()
        if pattern.search(path.read_text())
    }
    assert rooms == {"bapps_gen.execution"}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./]+\.(?:py|md|yml))`", TEXT))))
def test_every_file_that_is_named_exists(path):
    folders = (ROOT, ROOT / "bapps_gen")
    assert any((folder / path).is_file() for folder in folders), path
