"""Imports point downward between rooms, in the order that CONTRIBUTING gives; only cli prints."""

import ast
from pathlib import Path

import pytest

from support.package import MODULES, PACKAGES

# Rooms from the top down. A room may import from rooms of lower lines, and from itself.
ORDER = (
    ("bapps_gen.__main__",),
    ("bapps_gen.cli",),
    ("bapps_gen",),
    ("bapps_gen.api",),
    ("bapps_gen.pipelines.collections",),
    ("bapps_gen.pipelines.comparison",),
    ("bapps_gen.pipelines.validation",),
    ("bapps_gen.pipelines.metric_training",),
    ("bapps_gen.pipelines.benchmarks",),
    ("bapps_gen.pipelines.judging.study",),
    ("bapps_gen.pipelines.judging",),
    ("bapps_gen.pipelines.scoring",),
    ("bapps_gen.pipelines.datasets",),
    ("bapps_gen.pipelines.real.demos",),
    ("bapps_gen.pipelines.real", "bapps_gen.pipelines.training"),
    ("bapps_gen.pipelines.rows",),
    ("bapps_gen.pipelines.sources",),
    ("bapps_gen.cnn_distorters", "bapps_gen.metrics", "bapps_gen.manifests"),
    ("bapps_gen.distortions", "bapps_gen.lpips"),
    ("bapps_gen.execution", "bapps_gen.imaging"),
    ("bapps_gen.storage",),
    ("bapps_gen.seeding",),
    ("bapps_gen.checks", "bapps_gen.plugins"),
    ("bapps_gen.errors", "bapps_gen.version", "bapps_gen.pipelines"),
)
LEVEL = {room: len(ORDER) - line for line, rooms in enumerate(ORDER) for room in rooms}


def room_of(module: str) -> str:
    """The folder of modules that a module lies in; a lone file of `bapps_gen/` is a room."""
    if module in PACKAGES or module.rpartition(".")[0] == "bapps_gen":
        return module
    return module.rpartition(".")[0]


def imported(path: Path) -> set[str]:
    """Modules of this package that a file imports, at any depth."""
    names: set[str] = set()
    if path == MODULES["bapps_gen"]:
        return names  # the public names are imported from above, when they are first used
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: import by absolute names"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in MODULES else node.module or "")
    return {name for name in names if name.split(".")[0] == "bapps_gen"}


def room_arrows() -> dict[tuple[str, str], set[str]]:
    """Every pair of rooms with an import from the first to the second, and the files of it."""
    arrows: dict[tuple[str, str], set[str]] = {}
    for module, path in MODULES.items():
        for name in imported(path):
            pair = room_of(module), room_of(name)
            if pair[0] != pair[1]:
                arrows.setdefault(pair, set()).add(module)
    return arrows


def test_every_module_lies_in_a_room_of_the_order():
    assert {room_of(module) for module in MODULES} <= set(LEVEL)


def test_rooms_import_only_from_rooms_below():
    upward = {
        pair: files for pair, files in room_arrows().items() if LEVEL[pair[0]] <= LEVEL[pair[1]]
    }
    assert not upward


def test_modules_of_a_room_import_each_other_in_no_circle():
    arrows = {name: imported(path) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        circle = (*trail[trail.index(name) :], name) if name in trail else ()
        assert not circle, circle
        if name not in done:
            for other in sorted(arrows.get(name, set())):
                visit(other, (*trail, name))
            done.add(name)

    for name in arrows:
        visit(name, ())


def test_only_the_command_line_prints():
    for module, path in MODULES.items():
        if module.startswith("bapps_gen.cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", module


def test_every_package_is_shipped():
    import tomllib

    root = Path(__file__).parents[1]
    setup = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert sorted(setup["packages"]) == sorted(PACKAGES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_has_at_most_400_lines(module):
    lines = len(MODULES[module].read_text().splitlines())
    assert lines <= 400, lines
