"""Scripts by which a shell completes commands, options, choices and names of files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

FOLDERS = ("DIR", "ZOO", "DATASET", "FOLDER", "RECIPE", "OTHER")
FILES = ("FILE", "FILE.py", "FILE.toml", "PATH", "PHOTOS", "IMAGE")
"""Metavars of arguments that name folders, and of those that name files or folders."""


def completion_script(
    parser: argparse.ArgumentParser, commands: Mapping[str, argparse.ArgumentParser], shell: str
) -> str:
    """The script for bash, zsh or tcsh.

    Args:
        parser: of the whole command line.
        commands: the parsers of its commands, with their options.
    """
    import shtab

    for command in commands.values():
        for action in command._actions:
            if action.metavar in FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
            elif action.metavar in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell)
