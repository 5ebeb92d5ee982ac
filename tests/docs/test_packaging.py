"""Files for citing and for containers agree with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from bapps_gen.version import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DOCKERFILE = (ROOT / "docs" / "Dockerfile").read_text("utf-8")


@pytest.fixture(scope="module")
def citation() -> dict:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def test_the_citation_has_what_its_format_asks_for(citation):
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)


def test_the_citation_is_of_this_version_and_of_the_paper_in_the_readme(citation):
    readme = (ROOT / "README.md").read_text("utf-8")
    assert str(citation["version"]) == __version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["title"] in readme
    (paper,) = citation["references"]
    assert paper["title"] in readme
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in readme


def test_the_container_has_every_file_of_the_package_and_the_tested_versions():
    copied = {
        word for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.M) for word in line.split()
    }
    assert all((ROOT / name).exists() for name in copied)
    setuptools = PROJECT["tool"]["setuptools"]
    assert copied >= {"bapps_gen", "pyproject.toml", PROJECT["project"]["readme"]}
    assert copied >= {folder.split("/")[0] for folder in setuptools["package-dir"].values()}
    assert copied >= {name.split("/")[0] for name in PROJECT["project"]["license-files"]}
    assert re.search(r"^RUN pip install .*-c constraints.txt ", DOCKERFILE, re.M)
