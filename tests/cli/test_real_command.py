"""`bapps-gen real` as a user meets it."""

import pytest

from bapps_gen.cli import main
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.pipelines.real.tasks import TASKS
from support.real_outputs import make_real, save_task


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return save_task(tmp_path_factory.mktemp("task"), images=3)


def test_it_says_what_it_made(task, tmp_path, capsys):
    given = ["--reference", str(task / "gt"), "--workers", "1", "--n", "20"]
    for name in ("swap", "halve"):
        given += ["--outputs", f"{name}={task / name}"]
    assert main(["real", "deblur", *given, "--out", str(tmp_path / "set")]) == 0
    out = capsys.readouterr().out
    assert f"20 triplets in {tmp_path / 'set'} (1 shards" in out
    assert "look at them: bapps-gen show" in out


def test_outputs_are_of_no_use_to_sets_without_algorithms(dataset, task, tmp_path, capsys):
    given = ["--outputs", f"swap={task / 'swap'}"]
    assert main(["verify", str(dataset), *given]) == 2
    assert "has no algorithms; leave it out" in capsys.readouterr().err
    assert make_real(task, tmp_path / "set", 5, names=("halve", "swap")) == 0
    assert main(["verify", str(tmp_path / "set"), "--outputs", "other=x"]) == 2
    assert "has halve, swap; leave it out" in capsys.readouterr().err


def test_a_misaligned_set_is_refused_then_taken_without_what_does_not_fit(tmp_path, capsys):
    folder = save_task(tmp_path / "task", images=3)
    (folder / "swap" / "scenes" / "0001.png").unlink()
    assert make_real(folder, tmp_path / "set", 20) == 2
    err = capsys.readouterr().err
    assert "1 outputs missing" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "set").exists()
    assert make_real(folder, tmp_path / "set", 20, "--skip-misaligned") == 0
    assert "left out scenes/0001.png: no output of swap" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "set")]) == 0
    assert "source images unusable     1" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "set"), "--quiet", "--workers", "1"]) == 0


def demo(task: str, out, photos, *options: str) -> int:
    given = ("--source", str(photos)) if photos else ()
    command = ("real", task, "--demo", "--n", "12", "--out", str(out), "--workers", "1")
    return main([*command, *given, *options])


def test_the_demo_makes_its_images_beside_the_set_and_keeps_them(photos, tmp_path, capsys):
    out = tmp_path / "set"
    assert demo("color", out, photos, "--demo-images", "2") == 0
    printed = capsys.readouterr()
    assert f"ground truth and outputs are in {out}-demo" in printed.err
    assert f"12 triplets in {out}" in printed.out
    made = sorted(path for path in (tmp_path / "set-demo").rglob("*.png"))
    times = [path.stat().st_mtime_ns for path in made]
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "README.md",
        "data",
        "dataset.json",
        "outputs.parquet",
        "sources.local.json",
    ]
    (out / "data" / "part-00000.parquet").unlink()
    assert demo("color", out, photos, "--demo-images", "2") == 0
    assert [path.stat().st_mtime_ns for path in made] == times
    assert main(["verify", str(out), "--quiet", "--workers", "1"]) == 0
    info = open_dataset(out).info
    assert len(info.source_images) == 2
    assert info.origin.outputs["palette"] == f"{out}-demo/outputs/palette"


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_every_demo_runs_out_of_the_box(task, tmp_path, capsys):
    out = tmp_path / "set"
    assert demo(task, out, None, "--demo-images", "2") == 0
    assert "no --source given" in capsys.readouterr().err
    assert main(["verify", str(out), "--quiet", "--workers", "1"]) == 0
    assert open_dataset(out).info.kind == task
    assert len(open_dataset(out).info.origin.outputs) >= 2


def test_a_demo_of_superresolution_is_of_one_factor(photos, tmp_path, capsys):
    options = ("--demo-images", "1", "--demo-factor", "2")
    assert demo("superres", tmp_path / "set", photos, *options) == 0
    assert "zoo-080" in open_dataset(tmp_path / "set").info.origin.outputs
    assert demo("superres", tmp_path / "set", photos, "--demo-images", "1") == 2
    assert "factor = 2, not 4" in capsys.readouterr().err
    assert demo("color", tmp_path / "other", photos, "--demo-factor", "2") == 2
    assert "demo-factor is for superres" in capsys.readouterr().err
