"""The demo tasks by name."""

from __future__ import annotations

from bapps_gen.errors import unknown_name
from bapps_gen.pipelines.real.demos import color, deblur, frameinterp
from bapps_gen.pipelines.real.demos.records import DemoTask
from bapps_gen.pipelines.real.demos.superres import superres_task
from bapps_gen.pipelines.real.options import DEMO_FACTOR
from bapps_gen.pipelines.real.tasks import TASKS

DEMO_VERSION = 2
"""Raised with every change that makes other pixels, so that a folder never mixes both."""


def find_task(name: str, factor: int = DEMO_FACTOR.default) -> DemoTask:
    """The task of a name; super-resolution is one by a factor.

    Raises:
        UserError: when there is none.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS, f"tasks are {', '.join(TASKS)}")
    if name == "superres":
        return superres_task(factor)
    return {"frameinterp": frameinterp.TASK, "deblur": deblur.TASK, "color": color.TASK}[name]
