"""Tables and pages of the site that are made from the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import bapps_gen
import generated
from bapps_gen.cli import COMMANDS, build_parser, main
from bapps_gen.distortions.registry import load_registry
from bapps_gen.manifests.rows import PAIR_PATCHES, PATCHES
from bapps_gen.manifests.schema import column_names
from bapps_gen.metrics import METRICS

PAGES = Path(__file__).parents[2] / "docs" / "pages"


def cells(table: str) -> list[list[str]]:
    """Rows of Markdown tables without their heads."""
    lines = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    assert len({len(line) for line in lines}) == 1, table
    heads = [at - 1 for at, line in enumerate(lines) if set("".join(line)) == {"-"}]
    return [line for at, line in enumerate(lines) if not {at, at - 1} & set(heads)]


@pytest.mark.parametrize("name", generated.TABLES)
def test_every_row_of_a_table_says_what_it_is_about(name):
    table = generated.TABLES[name]()
    if name != "compositions":
        assert all(row[-1] for row in cells(table)), table


def test_every_table_has_its_place_on_a_page():
    pages = "".join(page.read_text("utf-8") for page in PAGES.rglob("*.md"))
    assert set(re.findall(r"<!-- generated: ([a-z ]+) -->", pages)) == set(generated.TABLES)


def test_the_tables_name_every_key_of_a_dataset(dataset, tmp_path):
    assert main(["jnd", "--family", "cnn", "--n", "2", "--quiet", "--out", str(tmp_path)]) == 0
    for folder in (dataset, tmp_path):
        stored = json.loads((folder / "dataset.json").read_text())
        assert set(stored) == keys("dataset keys")
        assert set(stored["spec"]) <= keys("spec keys")


def keys(table: str) -> set[str]:
    return {row[0].strip("`") for row in cells(generated.TABLES[table]())}


def test_the_python_reference_has_every_public_name():
    page = (PAGES / "reference" / "python.md").read_text("utf-8")
    assert sorted(re.findall(r"^::: bapps_gen\.(\w+)$", page, re.M)) == sorted(bapps_gen.__all__)


def test_the_tables_name_every_column_metric_and_atom():
    columns = {row[0].strip("`") for row in cells(generated.TABLES["columns"]())}
    assert columns == {*column_names(PATCHES), *column_names(PAIR_PATCHES)}
    metrics = [row[0].strip("`") for row in cells(generated.TABLES["metrics"]())]
    assert metrics == [spec.name for spec in METRICS]
    atoms = [row[0].strip("`") for row in cells(generated.TABLES["distortions"]()) if row[0]]
    assert atoms == list(load_registry().atoms)


@pytest.mark.parametrize("name", [name for name, *_ in COMMANDS])
def test_the_page_of_a_command_has_every_option(name):
    page = generated.command_page(name)
    parser = build_parser(name).commands[name]
    (*parts,) = (action for action in parser._actions if isinstance(action.choices, dict))
    parsers = [parser, *(one for part in parts for one in part.choices.values())]
    for action in (action for one in parsers for action in one._actions):
        if action in parts:
            for word in action.choices:
                assert f"## bapps-gen {name} {word}" in page
                assert re.search(rf"^\| `{word}` \| .{{5,}}\|$", page, re.M)
        elif action.dest != "help":
            first = (*action.option_strings, action.metavar or action.dest.upper())[0]
            first = first.replace("|", "¦")  # which tables can hold
            assert re.search(rf"^\| `{re.escape(first)}\b[^|]*\| .{{5,}}\|$", page, re.M), first
