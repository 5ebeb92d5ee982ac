"""MkDocs hooks: reference pages and tables that are made from the code when the site is built."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import generated
from bapps_gen.cli import COMMANDS

MARKER = re.compile(r"<!-- generated: ([a-z ]+) -->")
"""Where a page takes a table of `generated.TABLES`."""

ROOMS = ("cnn_distorters", "distortions", "manifests", "pipelines")
"""Packages that lie beside `bapps_gen` in the repository and within it when installed."""


@event_priority(100)  # before mkdocstrings reads its options
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for each command to the navigation, and say where the package's source is."""
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
    """A copy of the package's source as it is when installed, for mkdocstrings."""
    root = Path(tempfile.mkdtemp(prefix="bapps-gen-docs-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for name in ("bapps_gen", *(f"bapps_gen.{room}" for room in ROOMS)):
        (folder,) = map(Path, import_module(name).__path__)
        for path in folder.rglob("*.py"):
            copy = root / name.replace(".", "/") / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            # What is named "Example" would be a paragraph, not code.
            text = path.read_text("utf-8")
            copy.write_text(re.sub(r"^( +)Example:$", r"\1Examples:", text, flags=re.M), "utf-8")
    return root
