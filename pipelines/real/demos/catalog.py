"""The demo tasks by name."""

from __future__ import annotations

from collections.abc import Mapping

from bapps_gen.errors import unknown_name
from bapps_gen.pipelines.real.demos import color, deblur, frameinterp, superres
from bapps_gen.pipelines.real.demos.records import DemoTask

TASKS: Mapping[str, DemoTask] = {
    "superres": superres.TASK,
    "frameinterp": frameinterp.TASK,
    "deblur": deblur.TASK,
    "color": color.TASK,
}

DEMO_VERSION = 1
"""Raised with every change that makes other pixels, so that a folder never mixes both."""


def find_task(name: str) -> DemoTask:
    """The task of a name.

    Raises:
        UserError: when there is none.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS, f"tasks are {', '.join(TASKS)}")
    return TASKS[name]
