"""The comparison's page, tables and numbers, and how the command and the function write them."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.pipelines.comparison.page import comparison_page
from bapps_gen.pipelines.comparison.tables import (
    SIMULATED,
    csv_text,
    latex,
    latex_text,
    markdown_text,
)
from support.datasets import make, one_line, put_values
from support.judged import NOISE, collection, compared, judged_set
from support.once import Once
from support.original_layout import make_2afc, make_jnd

SUFFIXES = (".html", ".json", ".csv", ".md", ".tex")


@pytest.fixture(scope="module")
def sets(once: Once) -> Path:
    """Two judged sets of triplets and one of pairs in the original layout."""

    def build(folder: Path) -> None:
        rng = np.random.default_rng(2)
        for name in ("traditional", "superres"):
            make_2afc(folder / "2afc" / "val" / name, list(rng.integers(0, 6, 14) / 5), (64,))
        make_jnd(folder / "jnd" / "val" / "cnn", [np.full((1,), k % 4 / 3) for k in range(6)])

    return once("compared-sets", build)


def run(sets: Path, out: Path, *options: str) -> int:
    command = ["evaluate", str(sets / "2afc"), str(sets / "jnd"), "--out", str(out), "--quiet"]
    few = ("--resamples", "20", "--references", "0", "--examples", "1")
    return main([*command, *few, "--workers", "1", *options])


def test_the_csv_file_reads_back_to_the_numbers_of_the_json_file():
    comparison = compared(collection())
    values = json.loads(json.dumps(comparison.values(), allow_nan=False))
    rows = list(csv.DictReader(io.StringIO(csv_text(comparison))))
    known = {(entry["task"], entry["set"]): entry for entry in values["sets"]}
    known |= {(entry["task"], entry["group"]): entry for entry in values["means"]}
    for row in rows:
        entry = known[row["task"], row["of"]]
        name = row["metric"]
        score = entry[name] if row["family"] == "people" else entry["metrics"][name]
        assert [float(row[key]) for key in ("value", "low", "high")] == [
            score[key] for key in ("score", "low", "high")
        ]
    of_metrics = [row for row in rows if row["family"] != "people"]
    assert len(of_metrics) == len(NOISE) * len(known)
    assert {row["family"] for row in rows} == {"people", "low-level", "lpips-lin"}


def test_the_page_and_the_tables_have_the_numbers_of_the_csv_file():
    comparison = compared(collection())
    rows = csv.DictReader(io.StringIO(csv_text(comparison)))
    known: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        score = f"{100 * float(row['value']):.1f}"
        known.setdefault((row["task"], row["metric"]), []).append(score)
    page = comparison_page(comparison)
    for name in NOISE:
        texts = {
            "md": re.findall(rf"^\| {name} \| (.*)$", markdown_text(comparison), re.M),
            "tex": re.findall(rf"^{name} & (.*)$", latex_text(comparison), re.M),
            "html": re.findall(rf"<tr><td>{name}</td>(<td>.*)</tr>", page)[:2],
        }
        for lines in texts.values():
            numbers = [
                re.findall(r"\d+\.\d", re.sub(r"\([^)]*\)", "", line))[: len(known[task, name])]
                for task, line in zip(("2afc", "jnd"), lines, strict=True)
            ]
            assert numbers == [known[task, name] for task in ("2afc", "jnd")]


def test_undefined_scores_are_dashes_in_tables_and_empty_in_csv():
    judged = judged_set(task="jnd")
    comparison = compared([replace(judged, judgment=np.zeros(120))])
    assert "| l2 | – |" in markdown_text(comparison)
    assert r"l2 & -- \\" in latex_text(comparison)
    (row, *_) = csv.DictReader(io.StringIO(csv_text(comparison)))
    assert (row["value"], row["low"], row["high"]) == ("", "", "")
    assert "–" in comparison_page(comparison)


def test_tables_have_people_first_and_the_best_metric_in_bold():
    text = markdown_text(compared([judged_set()]))
    lines = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines()[2:]]
    assert lines[:2] == ["human", "human, unbiased"]
    assert re.findall(r"\*\*.*?\*\*", text) == re.findall(r"(?<=lpips-alex \| )\*\*.*?\*\*", text)
    assert len(re.findall(r"\*\*", text)) == 2


def test_latex_is_escaped_and_balanced():
    assert latex("a_b & 50 % #1 {x} $y$ \\z ~^") == (
        r"a\_b \& 50 \% \#1 \{x\} \$y\$ \textbackslash{}z \textasciitilde{}\textasciicircum{}"
    )
    assert latex("[0.1] *") == "{[}0.1{]} {*}"  # after \\\\, LaTeX takes [ and * for its options
    text = latex_text(compared([replace(judged_set(), kind="my_set & co", name="x")]))
    assert r"my\_set \& co" in text
    assert text.count("{") == text.count("}")
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [
        line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {1}
    for rule in ("toprule", "midrule", "bottomrule"):
        assert f"\\{rule}" in text


def test_names_are_text_on_the_page_and_nothing_else():
    hostile = "<script>alert(1)</script>"
    page = comparison_page(compared([replace(judged_set(), kind=hostile)]))
    assert hostile not in page
    assert "&lt;script&gt;" in page
    assert "http" not in re.sub(r'href="data:,"', "", page)
    assert "<script" not in page


def test_every_figure_and_table_says_that_observers_were_simulated():
    people = compared(collection())
    some = collection()
    some[0] = replace(some[0], simulated=True)
    simulated = compared(some)
    page = comparison_page(simulated)
    assert "imulated" not in comparison_page(people).split("</style>")[1]
    figures = re.findall(r"<figure.*?</figure>", page, re.S)
    assert len(figures) == 11  # 3 means and 4 sets of triplets, 1 and 2 of pairs, both tests
    assert all("simulated observers" in figure for figure in figures)
    sections = re.findall(r"<section.*?</section>", page, re.S)
    assert len(sections) == 8
    assert all("imulated observers" in section for section in sections[:-1])
    for text in (markdown_text(simulated), latex_text(simulated)):
        assert SIMULATED in text
    assert SIMULATED not in markdown_text(people)
    rows = csv.DictReader(io.StringIO(csv_text(simulated)))
    marked = {row["title"] for row in rows if row["simulated"] == "1"}
    assert marked == {"All sets", "Distortions", "Traditional"}
    assert simulated.values()["simulated"]


def test_links_of_the_contents_lead_somewhere():
    page = comparison_page(compared(collection()))
    links = re.findall(r'href="#([^"]*)"', page)
    assert len(links) == 8
    for link in links:
        assert page.count(f'id="{link}"') == 1


def test_one_metric_and_one_set_have_a_page_without_comparisons():
    page = comparison_page(compared([judged_set(noise={"l2": 0.1})]))
    assert "are real" not in page
    assert "Do both tests agree" not in page
    assert "Traditional" in page


def test_the_command_writes_the_page_and_its_files(sets, tmp_path, capsys):
    assert run(sets, tmp_path / "report.html", "--metrics", "l2", "--metric", "ssim") == 0
    out = capsys.readouterr().out
    assert "2AFC: mean over 2 sets" in out
    assert out.endswith(f"report: {tmp_path / 'report.html'}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"report{suffix}" for suffix in SUFFIXES
    )
    values = json.loads((tmp_path / "report.json").read_text())
    assert [entry["name"] for entry in values["metrics"]] == ["l2", "ssim"]
    assert [entry["task"] for entry in values["sets"]] == ["2afc", "2afc", "jnd"]
    assert values["correlation"]["pearson"] is None
    page = (tmp_path / "report.html").read_text()
    assert "three or more" in page
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run(sets, tmp_path / "report.html", "--metric", "l2,ssim") == 0  # over its own files
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_the_function_writes_the_same_as_the_command(sets, tmp_path):
    assert run(sets, tmp_path / "one.html", "--metric", "l2,ssim") == 0
    folders = [sets / "2afc", sets / "jnd"]
    few = {"resamples": 20, "references": 0, "examples": 1}
    out = tmp_path / "two.html"
    found = bapps_gen.evaluate(folders, ["l2", "ssim"], **few, out=out, workers=1)
    assert [entry.task for entry in found] == ["2afc", "2afc", "jnd"]
    for suffix in SUFFIXES:
        one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two


def test_a_set_that_is_named_twice_counts_once(sets, tmp_path, capsys):
    command = ["evaluate", str(sets / "2afc"), str(sets), "--metric", "l2", "--quiet", "--json"]
    assert main([*command, "--resamples", "10", "--workers", "1"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert len(values["sets"]) == 3


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("report.json", "not a page"),
        ("nowhere/report.html", "does not exist"),
        ("README.html", "README.md is there"),
        ("folder.html", "folder.html is a folder"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_any_work(
    sets, tmp_path, capsys, out, message
):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "folder.html").mkdir()
    assert run(sets, tmp_path / out, "--metric", "l2") == 2
    assert message in one_line(capsys)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "folder.html"]


def test_a_benchmark_is_evaluated_by_itself_and_without_a_page(sets, tmp_path, photos, capsys):
    folder = tmp_path / "benchmark"
    command = ["benchmark", "--source", str(photos), "--patches", "1", "--levels", "1"]
    command += ["--atoms", "jpeg", "--compositions", "", "--distorters", ""]
    assert main([*command, "--out", str(folder), "--quiet", "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(folder), str(sets)]) == 2
    assert "evaluate it by itself" in one_line(capsys)
    assert main(["evaluate", str(folder), "--out", str(tmp_path / "report.html")]) == 2
    assert "out is for judged sets" in one_line(capsys)
    with pytest.raises(bapps_gen.UserError, match="out = "):
        bapps_gen.evaluate(bapps_gen.open_benchmark(folder), out=tmp_path / "report.html")


@pytest.fixture(scope="module")
def sizes(photos: Path, once: Once) -> Path:
    """Judged sets of patches of 16 and of 32 px."""

    def build(folder: Path) -> None:
        for size in ("16", "32"):
            out = folder / size
            assert make(photos, out, 12, "--patch-size", size, "--scale-range", "0.5", "1") == 0
            put_values(out, 0, "judge", {row: row % 6 / 5 for row in range(12)})

    return once("compared-sizes", build)


def test_sets_of_several_patch_sizes_are_compared(sizes, tmp_path):
    few = {"resamples": 20, "references": 0, "examples": 1}
    found = bapps_gen.evaluate(sizes, ["l2", "ssim"], **few, out=tmp_path / "r.html", workers=1)
    assert len(found) == 2
    values = json.loads((tmp_path / "r.json").read_text())
    assert [entry["rows"] for entry in values["sets"]] == [12, 12]
    assert {entry["resampled"] for entry in values["sets"]} == {"rows"}
    assert "fewer than 10 photos" in (tmp_path / "r.html").read_text()


def test_a_metric_that_takes_no_patches_of_one_size_is_refused_before_any_work(
    sizes, tmp_path, capsys
):
    command = ["evaluate", str(sizes / "32"), str(sizes / "16"), "--metric", "l2-lab,lpips-alex"]
    assert main([*command, "--out", str(tmp_path / "report.html"), "--workers", "1"]) == 2
    assert "patch size for lpips-alex = 16" in one_line(capsys)
    assert not (sizes / "32" / "scores" / "l2-lab").exists()
    assert not list(tmp_path.iterdir())


def test_a_set_that_nobody_judged_is_named(sets, dataset, tmp_path, capsys):
    command = ["evaluate", str(dataset), "--metric", "l2", "--out", str(tmp_path / "report.html")]
    assert main([*command, "--quiet"]) == 2
    assert f"no row of {dataset} has a judgment" in one_line(capsys)
    assert not list(tmp_path.iterdir())
