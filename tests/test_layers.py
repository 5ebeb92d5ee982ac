"""Imports point downward: cli → pipelines → distortions, cnn_distorters, manifests → errors."""

import ast
from pathlib import Path

import pytest

import bapps_gen.cli
import bapps_gen.distortions
import bapps_gen.manifests
import bapps_gen.pipelines

# what each room may import of the package, beside itself and errors and seeding
ALLOWED = {
    "bapps_gen.cli": None,
    "bapps_gen.pipelines": {
        "bapps_gen.distortions",
        "bapps_gen.cnn_distorters",
        "bapps_gen.manifests",
        "bapps_gen.lpips",
        "bapps_gen.metrics",
        "bapps_gen.pipelines",
    },
    "bapps_gen.pipelines.demos": {
        "bapps_gen.distortions",
        "bapps_gen.manifests",
        "bapps_gen.pipelines",
    },
    "bapps_gen.metrics": {"bapps_gen.metrics", "bapps_gen.lpips"},
    "bapps_gen.lpips": {"bapps_gen.lpips"},
    "bapps_gen.cnn_distorters": {
        "bapps_gen.cnn_distorters",
        "bapps_gen.distortions",
        "bapps_gen.lpips",
        "bapps_gen.manifests",
    },
    "bapps_gen.distortions": {"bapps_gen.distortions"},
    "bapps_gen.manifests": {"bapps_gen.manifests"},
}
BASE = {"bapps_gen", "bapps_gen.errors", "bapps_gen.seeding"}


def modules(room: str) -> list[Path]:
    (folder,) = __import__(room, fromlist=["x"]).__path__
    return sorted(Path(folder).glob("*.py"))


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: import by absolute names"
            names.add(node.module or "")
    return {name for name in names if name.split(".")[0] == "bapps_gen"}


@pytest.mark.parametrize("room", [room for room, allowed in ALLOWED.items() if allowed])
def test_a_room_imports_only_what_lies_below(room):
    for path in modules(room):
        for name in imports(path) - BASE:
            assert ".".join(name.split(".")[:2]) in ALLOWED[room], f"{path.name} imports {name}"


def test_only_the_command_line_prints():
    for room in (room for room, allowed in ALLOWED.items() if allowed):
        for path in modules(room):
            calls = [
                node.func.id
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            ]
            assert "print" not in calls, path.name


def test_errors_and_seeding_import_nothing_of_the_package():
    folder = Path(bapps_gen.__file__).parent
    for name in ("errors.py", "seeding.py"):
        assert imports(folder / name) <= {"bapps_gen.errors"}
