"""The modules of the package, as files."""

from pathlib import Path


def modules() -> dict[str, Path]:
    """Every module of the package by name."""
    found: dict[str, Path] = {}
    rooms = ("pipelines", "manifests", "distortions", "cnn_distorters")
    for package in ("bapps_gen", *(f"bapps_gen.{room}" for room in rooms)):
        (folder,) = __import__(package, fromlist=["x"]).__path__
        for path in Path(folder).rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}
