"""The notebook: well formed, without outputs, and its cells run from top to bottom."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "pages" / "tutorials" / "first-set.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[dict]:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    return notebook["cells"]


def test_cells_are_well_formed_and_have_no_outputs(cells):
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    for cell in cells:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source", *code}
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_notebook_installs_the_clone_that_it_lies_in(cells):
    installs = [line for cell in cells for line in cell["source"] if line.startswith("%")]
    (line,) = installs
    words = line.split()
    assert words[:2] == ["%pip", "install"]
    constraints, clone = (NOTEBOOK.parent / word for word in words[-2:])
    assert constraints.resolve() == ROOT / "constraints.txt"
    assert clone.resolve() == ROOT


def test_cells_run_from_top_to_bottom(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    names: dict[str, object] = {"__name__": "notebook"}
    printed = io.StringIO()
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and not source.startswith("%"):
            with contextlib.redirect_stdout(printed):
                exec(compile(source, cell["id"], "exec"), names)
    assert "200 triplets" in printed.getvalue()
    assert list(tmp_path.glob("first/data/*.parquet"))
