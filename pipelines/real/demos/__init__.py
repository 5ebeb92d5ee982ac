"""Demos of real algorithms: ground truth and outputs made from ordinary photos, for four tasks."""

from bapps_gen.pipelines.real.demos.catalog import find_task
from bapps_gen.pipelines.real.demos.folders import DemoFolders, make_demo

__all__ = ["DemoFolders", "find_task", "make_demo"]
