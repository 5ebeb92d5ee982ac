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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--n", "0"), "n = 0"),
        (("--shard-size", "0"), "shard-size = 0"),
        (("--workers", "0"), "workers = 0"),
        (("--seed", "-1"), "seed = -1"),
        (("--scale-range", "0.6", "0.9"), "1, 1/2, 1/3"),
        (("--min-contrast", "2"), "min-contrast = 2"),
        (("--rows-per-image", "3"), "rows-per-image = 3"),
        (("--outputs", "folder"), "outputs = folder is not of the form NAME=DIR"),
        (("--outputs", "=folder"), "outputs = =folder is not of the form NAME=DIR"),
        (("--outputs", "name="), "outputs = name= is not of the form NAME=DIR"),
        (("--outputs", "swap=elsewhere"), "'swap' is "),
        (("--outputs", "a+b=folder"), "'a+b' is no name for an algorithm"),
        (("--outputs", "more=/no/such/folder"), "/no/such/folder"),
        (("--reference", "/no/such/folder"), "/no/such/folder"),
        (("--source", "photos"), "source is for demos; leave it out, or add --demo"),
        (("--demo-images", "5"), "demo-images is for demos; leave it out"),
        (("--demo",), "a demo makes its "),
        (("--families", "noise"), "--families"),
    ],
)
def test_a_wrong_option_is_one_line_and_leaves_nothing(task, tmp_path, capsys, options, words):
    out = tmp_path / "set"
    try:
        code = make_real(task, out, 5, *options)
    except SystemExit as stopped:  # argparse ends the program itself
        code = stopped.code
    err = capsys.readouterr().err
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("names", "words"), [((), "no outputs given"), (("swap",), "number of algorithms = 1")]
)
def test_fewer_than_two_algorithms_are_refused(task, tmp_path, capsys, names, words):
    assert make_real(task, tmp_path / "set", 5, names=names) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "no reference and no outputs given"),
        (("--reference", "truth"), "no outputs given"),
        (("--outputs", "a=a", "b=b"), "no reference given"),
    ],
)
def test_what_is_lacking_of_ground_truth_and_outputs_is_said(tmp_path, capsys, given, words):
    out = tmp_path / "set"
    assert main(["real", "superres", "--n", "5", "--out", str(out), *given]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not out.exists()


def test_a_task_that_is_not_known_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["real", "upscaling", "--n", "5"])
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert "superres" in err
    assert len(err.splitlines()) == 1


def test_no_images_at_all_points_at_the_demo(capsys):
    assert main(["real", "superres", "--n", "5"]) == 2
    assert "or demo to try it" in capsys.readouterr().err


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
    told = capsys.readouterr()
    assert f"ground truth and outputs are in {out}-demo" in told.err
    assert f"12 triplets in {out}" in told.out
    made = sorted(path for path in (tmp_path / "set-demo").rglob("*.png"))
    times = [path.stat().st_mtime_ns for path in made]
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "data",
        "dataset.json",
        "outputs.parquet",
    ]
    (out / "data" / "part-00000.parquet").unlink()
    assert demo("color", out, photos, "--demo-images", "2") == 0
    assert [path.stat().st_mtime_ns for path in made] == times
    assert main(["verify", str(out), "--quiet", "--workers", "1"]) == 0
    info = open_dataset(out).info
    assert len(info.source_images) == 2
    assert info.outputs["levin-dense"] == f"{out}-demo/outputs/levin-dense"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--demo-images", "0"), "demo-images = 0"),
        (("--n", "0"), "n = 0"),
        (("--scale-range", "3", "4"), "scale-range"),
        (("--source", "/no/such/folder"), "/no/such/folder"),
    ],
)
def test_a_wrong_option_is_told_before_the_demo_is_made(tmp_path, capsys, options, words):
    assert demo("color", tmp_path / "set", None, *options, "--quiet") == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_every_demo_runs_out_of_the_box(task, tmp_path, capsys):
    out = tmp_path / "set"
    assert demo(task, out, None, "--demo-images", "2") == 0
    assert "no --source given" in capsys.readouterr().err
    assert main(["verify", str(out), "--quiet", "--workers", "1"]) == 0
    assert open_dataset(out).info.kind == task
    assert len(open_dataset(out).info.outputs) >= 2
