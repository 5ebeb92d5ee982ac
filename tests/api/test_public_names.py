"""The public names: whole, documented, imported when they are used, and true in their examples."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pydoc
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import bapps_gen
from bapps_gen.pipelines.sources.source import BUILTIN_IMAGES

NAMES = sorted(bapps_gen.__all__)
CALLABLES = [
    name
    for name in NAMES
    if not (
        inspect.isclass(getattr(bapps_gen, name))
        and issubclass(getattr(bapps_gen, name), Exception)
    )
]
# Records that functions give and nobody makes.
RECORDS = {
    *(
        "Benchmark",
        "Collection",
        "DatasetInfo",
        "Distortion",
        "Evaluation",
        "JudgementsInfo",
        "ManifestRow",
        "Metric",
        "MetricTraining",
    ),
    *("Pair", "RandomParameter", "RayCluster", "Scores", "SeverityCurve"),
    *("SeverityParameter", "Study", "Triplet"),
    *("Validation", "VerifyReport", "Zoo"),
}


def fresh(program: str) -> str:
    """What a program prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_public_name_is_there_once():
    homes = [name for names in bapps_gen._HOMES.values() for name in names.split()]
    assert sorted(homes) == NAMES
    assert set(NAMES) <= set(dir(bapps_gen))
    for home, names in bapps_gen._HOMES.items():
        module = importlib.import_module(f"bapps_gen.{home}")
        for name in names.split():
            assert getattr(bapps_gen, name) is getattr(module, name)


def test_type_checkers_see_the_names_where_they_are():
    import ast

    tree = ast.parse(Path(bapps_gen.__file__).read_text())
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        node.module.removeprefix("bapps_gen."): sorted(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert seen == {home: sorted(names.split()) for home, names in bapps_gen._HOMES.items()}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'distrot'"):
        bapps_gen.distrot  # noqa: B018


def test_importing_the_package_imports_nothing_else():
    loaded = fresh(
        "import sys; before = set(sys.modules); import bapps_gen; "
        "print(*sorted(set(sys.modules) - before))"
    )
    assert loaded.split() == ["bapps_gen"]


@pytest.mark.parametrize("name", ["distort", "make_dataset", "open_dataset", "score", "Zoo"])
def test_a_name_imports_no_heavy_library(name):
    heavy = {"torch", "pandas", "ray", "jinja2", "skimage", "fsspec", "matplotlib"}
    loaded = fresh(f"import sys, bapps_gen; bapps_gen.{name}; print(*sys.modules)")
    assert not heavy & set(loaded.split())


def test_help_shows_every_public_name():
    text = pydoc.plain(pydoc.render_doc(bapps_gen))
    for name in NAMES:
        assert name in text


@pytest.mark.parametrize("name", CALLABLES)
def test_a_public_function_says_what_it_takes_gives_and_raises(name):
    value = getattr(bapps_gen, name)
    text = inspect.getdoc(value)
    assert text
    if name in RECORDS:
        return
    assert "Example:" in text
    if inspect.isfunction(value):
        assert "Returns:" in text or "Yields:" in text or name == "write_image"
        for parameter in inspect.signature(value).parameters:
            assert parameter in text.partition("Args:")[2].partition("Returns:")[0]
        assert "Raises:" in text or name.startswith("list_")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, where examples run one after another."""
    import skimage

    place = tmp_path_factory.mktemp("examples")
    (place / "photos").mkdir()
    for name in BUILTIN_IMAGES:
        shutil.copy(Path(skimage.__file__).parent / "data" / name, place / "photos")
    return place


@pytest.mark.parametrize("name", CALLABLES)
def test_examples_run_as_they_are_written(name, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    value = getattr(bapps_gen, name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        for example in finder.find(value, name, globs={}):
            runner.run(example)
    assert runner.failures == 0, capsys.readouterr().out
    assert runner.tries or name in RECORDS
