"""Fenced blocks of the README and the site run, page by page, in one folder from top to bottom.

`bapps-gen` commands run in this process with smaller numbers, Python blocks share a namespace, and
blocks that begin with `# NAME.py` or `# NAME.toml` are written to that file. A comment before a
block sets it apart: `<!-- skip: REASON -->` for what needs a cluster, a cloud, packages or hours,
`<!-- slow: REASON -->` for what runs with `pytest -m slow` alone.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bapps_gen.cli import main
from support.datasets import photo, save_photo
from support.once import Once
from support.original_layout import make_2afc

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "pages").rglob("*.md"))]

SMALLER = {
    "--n": 20,
    "--images": 32,
    "--max-side": 48,
    "--patches": 1,
    "--patch-size": 96,
    "--demo-images": 2,
}
"""The most that an option may ask for here."""

EASIER = {"--max-ks": "1", "--min-coverage": "5"}
"""Thresholds for sets of so few rows."""

COUNTS = {"photos": 48, "fivek": 4, "raise": 4, "truth": 3}
"""Photos in each folder that pages speak of."""

FENCE = re.compile(
    r"^(?:<!-- (?P<marker>skip|slow|test-command)(?:: (?P<reason>[^\n]+))? -->\n)?"
    r"```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHELL = re.compile(r"[|&;<>$`]")
QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
FILE = re.compile(r"# ([\w.-]+\.(?:py|toml))\n")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `marker` is "skip", "slow", "test-command" or None."""

    page: Path
    line: int
    language: str
    text: str
    marker: str | None
    reason: str | None

    @property
    def runs(self) -> bool:
        return self.language in ("bash", "python", "toml") and self.marker in (None, "slow")

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}, line {self.line}:\n{self.text}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start("text")) + 1,
            **match.groupdict(),
        )
        for match in FENCE.finditer(text)
    ]


BLOCKS = {page: blocks_of(page) for page in PAGES}
RUN = [page for page in PAGES if any(block.runs for block in BLOCKS[page])]


@pytest.fixture(scope="session")
def world(once: Once) -> Path:
    """What pages assume to be there: photos, outputs of algorithms, a judged set. Do not change."""

    def build(folder: Path) -> None:
        for name, count in COUNTS.items():
            for at in range(count):
                save_photo(folder / name / f"photo{at}.png", picture(name, at))
        for at in range(COUNTS["truth"]):
            truth = picture("truth", at)
            save_photo(folder / "results" / "bicubic" / f"photo{at}.png", 255 - truth)
            save_photo(folder / "results" / "edsr" / f"photo{at}.png", truth // 2)
        save_photo(folder / "photo.jpg", photo(7, 96, 96))
        make_2afc(folder / "dataset" / "2afc" / "val" / "traditional", [0.0, 0.5, 1.0, 0.25])

    return once("world", build)


def picture(folder: str, at: int) -> np.ndarray:
    return photo(100 * list(COUNTS).index(folder) + at, 120, 150)


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a page's blocks run in."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / ".cache")
    for path in world.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix("")).removeprefix("docs/pages/")


@pytest.mark.parametrize("page", RUN, ids=page_name)
def test_blocks_of_a_page_run(page: Path, here: Path) -> None:
    run_page(page, here, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in RUN if any(block.marker == "slow" for block in BLOCKS[page])],
    ids=page_name,
)
def test_slow_blocks_of_a_page_run(page: Path, here: Path) -> None:
    run_page(page, here, slow=True)


def run_page(page: Path, folder: Path, *, slow: bool) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for block in BLOCKS[page]:
        if not block.runs or (block.marker == "slow" and not slow):
            continue
        named = FILE.match(block.text)
        if named:
            (folder / named[1]).write_text(block.text, "utf-8")
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.text, str(block), "exec"), names)
        else:
            for line in block.text.replace("\\\n", " ").splitlines():
                run_line(line, block)


def run_line(line: str, block: Block) -> None:
    words = shlex.split(line, comments=True)
    if not words:
        return
    bare = shlex.split(QUOTED.sub("quoted", line), comments=True)
    if words[0] == "bapps-gen" and not SHELL.search(" ".join(bare)):
        assert main(smaller(words[1:])) == 0, f"{line} in {block}"
        return
    done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{line} in {block}\n{done.stderr}"


def smaller(words: list[str]) -> list[str]:
    """A command's arguments, asking for less."""
    words = list(words)
    for at, word in enumerate(words[:-1]):
        words[at + 1] = EASIER.get(word, words[at + 1])
        most = SMALLER.get(word)
        if most is not None and words[at + 1].isdigit():
            words[at + 1] = str(min(most, int(words[at + 1])))
    return words


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_blocks_say_what_they_are_and_why_they_are_not_run(page: Path) -> None:
    for block in BLOCKS[page]:
        assert block.language in ("bash", "python", "toml", "text", "bibtex"), block
        assert block.marker in (None, "test-command") or block.reason, block


def test_the_readme_is_short_and_has_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.split()) <= 900
    first, *_, last = [block for block in BLOCKS[ROOT / "README.md"] if block.language == "bash"]
    assert first.text.strip().endswith("bapps-gen traditional --n 50000")
    assert last.marker == "test-command"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []
