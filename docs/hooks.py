"""MkDocs hooks: reference pages and tables that are made from the code when the site is built."""

from __future__ import annotations

import logging
import re
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import generated
from bapps_gen.cli import COMMANDS

MARKER = re.compile(r"<!-- generated: ([a-z ]+) -->")
"""Where a page takes a table of `generated.TABLES`."""

ROOMS = ("cnn_distorters", "distortions", "manifests", "pipelines")
"""Packages that lie beside `bapps_gen` in the repository and within it when installed."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for each command to the navigation, and say where the package's source is."""
    logging.getLogger("griffe").setLevel(logging.ERROR)
    commands = _entry(_entry(config.nav, "Reference"), "Commands")
    commands += [{name: f"reference/commands/{name}.md"} for name, *_ in COMMANDS]
    handlers = config.plugins["mkdocstrings"].config.handlers
    handlers.setdefault("python", {})["paths"] = [str(_installed_tree())]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each command."""
    for name, *_ in COMMANDS:
        path = f"reference/commands/{name}.md"
        files.append(File.generated(config, path, content=generated.command_page(name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put the tables in their places."""

    def table(marker: re.Match[str]) -> str:
        if marker[1] not in generated.TABLES:
            raise PluginError(f"{page.file.src_path}: no table '{marker[1]}' is generated")
        return generated.TABLES[marker[1]]()

    return MARKER.sub(table, markdown)


def _entry(nav: Any, title: str) -> Any:
    return next(entry[title] for entry in nav if isinstance(entry, dict) and title in entry)


def _installed_tree() -> Path:
    """A folder with the package as it is when installed, for tools that read source files."""
    root = Path(tempfile.mkdtemp(prefix="bapps-gen-docs-"))
    (root / "bapps_gen").mkdir()
    for path in Path(import_module("bapps_gen").__path__[0]).iterdir():
        (root / "bapps_gen" / path.name).symlink_to(path)
    for room in ROOMS:
        link = root / "bapps_gen" / room
        if not link.exists():
            link.symlink_to(import_module(f"bapps_gen.{room}").__path__[0])
    return root
