"""Whatever is made of simulated votes says so; what is made of people's votes does not."""

import json

import pytest

import bapps_gen
from bapps_gen.cli import main
from bapps_gen.manifests.judgements import judgements_info
from support.datasets import make, one_line, photo, save_photo

ROWS = 8


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A dataset that simulated observers judged."""
    folder = tmp_path_factory.mktemp("simulated")
    save_photo(folder / "photos" / "a.png", photo(1))
    assert make(folder / "photos", folder / "set", ROWS) == 0
    votes = folder / "votes.parquet"
    command = ["simulate", str(folder / "set"), "--metric", "l2", "--noise", "0.05", "--judgments"]
    assert main([*command, "3", "--out", str(votes), "--workers", "1"]) == 0
    assert main(["judge", str(folder / "set"), "--votes", str(votes)]) == 0
    return folder / "set"


def test_judgments_say_it(judged):
    dataset = bapps_gen.open_dataset(judged)
    assert judgements_info(judged, dataset.info.digest).simulated
    assert "simulated" in (judged / "README.md").read_text()


def test_info_says_it(judged, capsys):
    assert main(["info", str(judged)]) == 0
    assert "simulated observers" in capsys.readouterr().out


def test_evaluate_says_it_and_has_both_ceilings(judged, capsys):
    command = ["evaluate", str(judged), "--metric", "l2", "--workers", "1", "--resamples", "20"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert f"{ROWS} judged rows, by simulated observers" in out
    assert "\n  human, unbiased " in out
    assert main([*command, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["sets"]
    assert entry["simulated"]
    assert entry["human"]["score"] >= entry["human_unbiased"]["score"]
    (found,) = bapps_gen.evaluate(judged, "l2", resamples=20, workers=1)
    assert found.simulated


def test_validation_says_it(judged, tmp_path):
    found = bapps_gen.validate(judged, out=tmp_path / "r.html", workers=1)
    assert found.values["judgments_simulated"]
    assert "simulated judgments" in found.summary
    page = (tmp_path / "r.html").read_text()
    assert "share of simulated observers who prefer p1" in page
    assert "simulated observers, not by people</dd>" in page


def test_rows_chosen_of_it_say_it(judged, tmp_path, capsys):
    out = tmp_path / "few"
    command = ["select", str(judged), "--rows", "4", "--metrics", "l2,ssim", "--out", str(out)]
    assert main([*command, "--workers", "1"]) == 0
    assert main(["evaluate", str(out), "--metric", "l2", "--workers", "1"]) == 0
    assert "by simulated observers" in capsys.readouterr().out


def test_its_export_says_it(judged, tmp_path, capsys):
    folder = bapps_gen.export(judged, tmp_path / "layout", format="bapps")
    assert main(["evaluate", str(folder), "--metric", "l2", "--workers", "1"]) == 0
    assert f"{ROWS} judged rows, by simulated observers" in capsys.readouterr().out
    tars = bapps_gen.export(judged, tmp_path / "tars", format="webdataset")
    assert json.loads((tars / "judgements.json").read_text())["simulated"]


def test_what_is_imported_from_its_export_says_it(judged, tmp_path, capsys):
    folder, out = tmp_path / "layout", tmp_path / "imported"
    bapps_gen.export(judged, folder, format="bapps")
    (imported,) = bapps_gen.import_original(folder, out, workers=1)
    target = imported.folder
    (line,) = [
        line for line in (judged / "README.md").read_text().splitlines() if "judged |" in line
    ]
    assert "24 votes of" in line
    assert line in (target / "README.md").read_text()
    held = [(row.judge, row.judge_count) for row in bapps_gen.open_dataset(judged).rows()]
    assert [(row.judge, row.judge_count) for row in imported.rows()] == held
    bapps_gen.subset(imported, "row < 4", out=tmp_path / "few")
    capsys.readouterr()
    assert main(["evaluate", str(target), str(tmp_path / "few"), "--metric", "l2"]) == 0
    assert capsys.readouterr().out.count("judged rows, by simulated observers") == 2
    files = {path: path.read_bytes() for path in target.rglob("*.*") if path.is_file()}
    bapps_gen.import_original(folder, out, workers=1)
    assert {path: path.read_bytes() for path in target.rglob("*.*") if path.is_file()} == files


def test_a_dataset_that_its_export_judges_says_it(judged, tmp_path):
    folder = bapps_gen.export(judged, tmp_path / "layout", format="bapps")
    dataset = bapps_gen.subset(judged, "true", out=tmp_path / "again")
    assert bapps_gen.judge(dataset, original=folder, replace=True, workers=1).simulated
    (folder / "judgements.json").unlink()
    assert not bapps_gen.judge(dataset, original=folder, replace=True, workers=1).simulated


def test_a_damaged_description_of_an_export_is_no_reason_to_forget_it(judged, tmp_path, capsys):
    folder = bapps_gen.export(judged, tmp_path / "layout", format="bapps")
    (folder / "judgements.json").write_text("{}")
    for command in (
        ["evaluate", str(folder)],
        ["import", str(folder), "--out", str(tmp_path / "i")],
    ):
        assert main(command) == 1
        assert "judgements.json is damaged" in one_line(capsys)


def test_judgments_by_people_do_not(judged, tmp_path, capsys):
    out = tmp_path / "asked"
    assert main(["subset", str(judged), "--where", "row < 4", "--out", str(out)]) == 0
    dataset = bapps_gen.open_dataset(out)
    answers = {row.id: (0.5, 4) for row in dataset.rows()}
    bapps_gen.judge(dataset, answers=answers, replace=True)
    capsys.readouterr()
    assert main(["evaluate", str(out), "--metric", "l2", "--workers", "1"]) == 0
    assert "simulated" not in capsys.readouterr().out
    assert not bapps_gen.validate(out, workers=1).values["judgments_simulated"]
