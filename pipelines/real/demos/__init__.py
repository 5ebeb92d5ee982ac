"""Demos of real algorithms: ground truth and outputs made from ordinary photos, for four tasks."""

from bapps_gen.pipelines.real.demos.catalog import TASKS, demo_algorithms
from bapps_gen.pipelines.real.demos.folders import DemoFolders, make_demo

__all__ = ["TASKS", "DemoFolders", "demo_algorithms", "make_demo"]
