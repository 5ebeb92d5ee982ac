"""Wrong options: one line that names the option, its value and what is allowed; nothing is made."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bapps_gen.cli import main
from support.datasets import one_line, photo, save_photo
from support.original_layout import make_2afc
from support.real_outputs import save_task

COMMANDS = {
    "traditional": "traditional --n 5 --source {photos} --out {out}",
    "cnn": "cnn --n 5 --zoo {zoo} --source {photos} --out {out}",
    "mix": "mix --n 5 --zoo {zoo} --source {photos} --out {out}",
    "jnd-traditional": "jnd --family traditional --n 5 --source {photos} --out {out}",
    "jnd-cnn": "jnd --family cnn --n 5 --zoo {zoo} --source {photos} --out {out}",
    "real": "real color --n 5 --reference {task}/gt --outputs swap={task}/swap "
    "--outputs halve={task}/halve --out {out}",
    "demo": "real color --demo --n 5 --out {out}",
    "benchmark": "benchmark --source {photos} --out {out}",
    "train-distorters": "train-distorters --source {photos} --device cpu --out {out}",
    "export": "export {dataset} --out {out}",
    "score": "score {dataset} --quiet",
    "evaluate": "evaluate {original}",
    "validate": "validate {dataset} --out {out}",
    "validate-zoo": "validate {zoo} --out {out}",
    "distort": "distort {picture} --zoo {zoo} -o {out}.png",
}
TRIPLETS = "traditional cnn mix"
PAIRS = "jnd-traditional jnd-cnn"
SETS = f"{TRIPLETS} {PAIRS} real"
WITH_ATOMS = "traditional mix jnd-traditional"
WITH_ZOO = "cnn mix jnd-cnn"

# (commands, options, words of the line)
WRONG_OPTIONS = [
    (f"{SETS} demo", "--n 0", "n = 0"),
    (SETS, "--n -5", "n = -5"),
    (SETS, "--n many", "--n"),
    (SETS, "--shard-size 0", "shard-size = 0"),
    (f"{SETS} demo", "--patch-size 15", "patch-size = 15"),
    (f"{SETS} evaluate", "--patch-size 513", "patch-size = 513"),
    (SETS, "--patch-size 64.5", "--patch-size"),
    ("benchmark", "--patches 2 --patch-size 8", "patch-size = 8"),
    ("benchmark", "--patch-size 128", "patch-size and fixed-px are for patches"),
    ("benchmark", "--fixed-px", "patch-size and fixed-px are for patches"),
    ("cnn real", "--fixed-px", "--fixed-px"),
    (f"{SETS} benchmark train-distorters score", "--workers 0", "workers = 0"),
    (f"{SETS} benchmark train-distorters", "--seed -1", "seed = -1"),
    (SETS, "--rows-per-image 3", "rows-per-image = 3"),
    (SETS, "--min-contrast 2", "min-contrast = 2"),
    (f"{TRIPLETS} {PAIRS}", "--scale-range 0 1", "scale-range"),
    (f"{TRIPLETS} {PAIRS}", "--crop-share 0.5 0.2", "crop-share = 0.5 0.2"),
    (f"{TRIPLETS} {PAIRS}", "--crop-share 0 1.5", "crop-share"),
    (f"{TRIPLETS} {PAIRS}", "--crop-share 0.2 1 --scale-range 0.5 1", "both are given"),
    ("real", "--scale-range 0.6 0.9", "1, 1/2, 1/3"),
    ("real", "--crop-share 0.2 1", "crop-share"),
    ("demo", "--scale-range 3 4", "scale-range"),
    (f"{TRIPLETS} {PAIRS} demo benchmark train-distorters", "--source /no/such", "/no/such"),
    (TRIPLETS, "--split test", "test"),
    (TRIPLETS, "--val-fraction 2 --split val", "val-fraction"),
    (f"{SETS} benchmark", "--tint red", "--tint"),
    # distortions
    (f"{WITH_ATOMS} benchmark", "--atoms gausian_blur", "did you mean 'gaussian_blur'"),
    (f"{WITH_ATOMS} benchmark", "--families noises", "did you mean 'noise'"),
    (f"{WITH_ATOMS} benchmark", "--plugin nowhere.py", "nowhere.py"),
    ("traditional jnd-traditional", "--singles 1.5", "singles = 1.5"),
    (f"{WITH_ATOMS} jnd-cnn", "--severity 0.9 0.1", "severity = 0.9 0.1"),
    (PAIRS, "--severity 0 3", "severity = 0 3"),
    ("mix", "--sequences 1.5", "sequences = 1.5"),
    ("mix", "--compositions shift+jpeg", "no single atom to follow a CNN distorter"),
    ("real", "--families noise", "--families"),
    # CNN distorters
    (WITH_ZOO, "--distorters 01", "did you mean '001'"),
    (WITH_ZOO, "--distorters 003-001", "unknown distorter '003-001'"),
    ("cnn mix", "--distorters 002", "number of distorters = 1"),
    (WITH_ZOO, "--zoo /no/such/zoo", "no zoo in /no/such/zoo"),
    # JND
    ("jnd-traditional", "--zoo x", "zoo is for cnn, mix or jnd-cnn, and this is"),
    ("jnd-traditional", "--distorters 001", "distorters is for cnn, mix or jnd-cnn"),
    ("jnd-cnn", "--atoms jpeg", "atoms is for traditional, mix or jnd-traditional"),
    ("jnd-cnn", "--families noise", "families is for traditional"),
    ("jnd-cnn", "--compositions pink+jpeg", "compositions is for"),
    ("jnd-cnn", "--singles 0", "singles is for"),
    ("jnd-cnn", "--plugin mine.py", "plugin is for"),
    ("jnd-cnn", "--family mix", "invalid choice: 'mix'"),
    # outputs of algorithms
    ("real", "--outputs folder", "outputs = folder is not of the form NAME=DIR"),
    ("real", "--outputs =folder", "outputs = =folder is not of the form NAME=DIR"),
    ("real", "--outputs name=", "outputs = name= is not of the form NAME=DIR"),
    ("real", "--outputs swap=elsewhere", "'swap' is "),
    ("real", "--outputs a+b=folder", "'a+b' is no name for an algorithm"),
    ("real", "--outputs more=/no/such", "/no/such"),
    ("real", "--reference /no/such", "/no/such"),
    ("real", "--source photos", "source is for demos; leave it out"),
    ("real", "--demo-images 5", "demo-images is for demos; leave it out"),
    ("real", "--demo", "a demo makes its "),
    ("demo", "--demo-images 0", "demo-images = 0"),
    # benchmarks
    ("benchmark", "--levels 0", "levels = 0"),
    ("benchmark", "--levels 101", "levels = 101"),
    ("benchmark", "--levels 3 --severities 1", "not allowed with"),
    ("benchmark", "--severities 0.5,0.2", "severities = 0.5,0.2"),
    ("benchmark", "--severities 0.5,0.5", "rising numbers"),
    ("benchmark", "--severities 0.5,3", "severities = 3"),
    ("benchmark", "--severities nan", "severities = nan"),
    ("benchmark", "--severities low,high", "--severities: 'low,high'"),
    ("benchmark", "--severities ''", "--severities: ''"),
    ("benchmark", "--patches 0", "patches = 0"),
    ("benchmark", "--patches 2 --max-side 100", "--crop-share"),
    ("benchmark", "--crop-share 0.1 1", "give --patches"),
    ("benchmark", "--patches 2 --crop-share 0.1 1 --scale-range 0.5 1", "both are given"),
    ("benchmark", "--max-side 7", "max-side = 7"),
    ("benchmark", "--scale-range 0.5 1", "give --patches"),
    ("benchmark", "--min-contrast 0.1", "give --patches"),
    ("benchmark", "--patches 2 --min-contrast 2", "min-contrast = 2"),
    ("benchmark", "--patches 2 --scale-range 0.6 0.9", "scale-range = 0.6 0.9"),
    ("benchmark", "--compositions jpeg+jpeg", "jpeg+jpeg"),
    ("benchmark", "--zoo nowhere", "choose distorters, or all"),
    ("benchmark", "--zoo nowhere --distorters all", "nowhere"),
    ("benchmark", "--zoo {zoo} --distorters 007", "unknown distorter '007'"),
    # training
    ("train-distorters", "--only 999", "unknown distorter '999'"),
    ("train-distorters", "--preset quik", "did you mean 'quick'"),
    ("train-distorters", "--specs none.toml", "none.toml"),
    # exports
    ("export", "--format bapps --upscale 100", "upscale = 100"),
    ("export", "--format bapps --name ../up", "name = '../up'"),
    ("export", "--format recipe --upscale 256", "goes with the format bapps"),
    # metrics
    ("score", "--metric lpip-alex", "did you mean 'lpips-alex'"),
    ("score", "--metric ,", "names no metric"),
    ("score", "--metric lpips-alex --device tpu9", "device = tpu9"),
    ("score", "--metric lpips-alex --dtype float8", "unknown dtype 'float8'"),
    ("score", "--metric ssim --weights x.pth", "metrics name 0"),
    ("score validate", "--metric nowhere.py:metric", "nowhere.py:metric: no such file"),
    ("score validate", "--metric nowhere.csv", "nowhere.csv: no such file"),
    ("score validate", "--metric nowhere.safetensors", "nowhere.safetensors does not exist"),
    ("score validate", "--metric random-alx", "did you mean"),
    ("score validate", "--metric uncalibrated-vg", "did you mean 'uncalibrated-vgg'"),
    ("score", "--metric lpips-alex --weights /no/such.pth", "/no/such.pth"),
    ("evaluate", "--resamples 3", "resamples = 3"),
    ("evaluate", "--seed -1", "seed = -1"),
    ("evaluate", "--metric vgg", "unknown metric 'vgg'"),
    # validation
    ("validate", "--max-invisible 2", "max-invisible = 2"),
    ("validate", "--invisible -1", "invisible = -1"),
    ("validate", "--metric l2 --max-invisible 0.5", "needs a limit in l2"),
    ("validate-zoo", "--metric l2", "--metric applies to datasets"),
    ("validate", "--extremes 0", "extremes = 0"),
    ("validate", "--max-ks 0.1", "add --against"),
    ("validate validate-zoo", "--out /no/such/r.html", "/no/such does not exist"),
    ("validate", "--against /no/such", "/no/such is not a dataset"),
    ("validate", "--seed 0", "--seed applies to zoos"),
    ("validate", "--sheet z.png", "--sheet applies to zoos"),
    ("validate-zoo", "--patches 7", "patches = 7"),
    ("validate-zoo", "--patches 5000", "patches = 5000"),
    ("validate-zoo", "--seed -1", "seed = -1"),
    ("validate-zoo", "--sheet z.gif", "z.gif"),
    ("validate-zoo", "--source /no/such", "/no/such"),
    ("validate-zoo", "--against x", "--against applies to datasets"),
    ("validate-zoo", "--max-flat 0.1", "--max-flat applies to datasets"),
    ("validate-zoo", "--extremes 3", "--extremes applies to datasets"),
    ("validate-zoo", "--zoo", "two things to validate"),
    # steps on one picture
    ("distort", "--with gausian_blur", "did you mean 'gaussian_blur'"),
    ("distort", "--with jpeg:quality=500", "jpeg:quality = 500"),
    ("distort", "--with jpeg:qualty=5", "no parameter 'qualty'"),
    ("distort", "--with jpeg:subsampling=411", "one of 444, 422, 420"),
    ("distort", "--with jpeg:quality", "not of the form name=value"),
    ("distort", "--with jpeg:quality=high", "jpeg:quality = high"),
    ("distort", "--with gaussian_blur:sigma=nan", "sigma = nan"),
    ("distort", "--with gaussian_blur:severity=3", "severity = 3"),
    ("distort", "--with cnn:03", "unknown CNN distorter '03'; did you mean '003'"),
    ("distort", "--with cnn:", "unknown CNN distorter ''"),
    ("distort", "--with cnn", "unknown distortion 'cnn'"),
    ("distort", "--with cnn:001:sigma=2", "cnn:001 has no parameter 'sigma'; it has strength"),
    ("distort", "--with cnn:001:strength=1.5", "cnn:001:strength = 1.5"),
    ("distort", "--with cnn:001:severity=3", "cnn:001:severity = 3"),
    ("distort", "--with cnn:001:seed=-1", "cnn:001:seed = -1"),
    ("distort", "--with cnn:001:", "nothing after the colon"),
    ("distort", "--with cnn:001+jpeg", "--with cnn:001 --with jpeg"),
]
# (whole command line, words of the line)
WRONG_COMMANDS = [
    ("jnd --n 5 --out {out}", "--family"),
    ("jnd --family traditional --out {out}", "--n"),
    ("real upscaling --n 5 --out {out}", "superres"),
    ("real superres --n 5 --out {out}", "no reference and no outputs given"),
    ("real superres --n 5 --out {out}", "or demo to try it"),
    ("real superres --n 5 --out {out} --reference truth", "no outputs given"),
    ("verify {dataset} --zoo {zoo}", "has no effect: the dataset has no CNN distorters"),
    ("replay {dataset} --zoo {zoo} --out {out}", "has no effect"),
    ("real superres --n 5 --out {out} --outputs a=a b=b", "no reference given"),
    (
        "real superres --n 5 --out {out} --reference {task}/gt --outputs swap={task}/swap",
        "number of algorithms = 1",
    ),
    ("validate --out {out}", "nothing to validate"),
    ("validate /no/such --out {out}", "/no/such is not a dataset, collection, benchmark or zoo"),
    ("validate --zoo /no/such/zoo --out {out}", "no zoo in /no/such/zoo"),
    ("verify {dataset} --outputs swap={task}/swap", "has no algorithms; leave it out"),
    ("distorters --zoo {photos}", "no zoo in"),
    ("evaluate {dataset} --bilinear", "original layout only"),
    ("evaluate {dataset} --patch-size 96", "original layout only"),
    ("import {original} --out {out} --patch-size 8", "patch-size = 8"),
    ("import {original} --out {out} --patch-size 512 --shard-size 2000", "1 to 1562"),
]


@pytest.fixture(scope="module")
def given(photos, dataset, zoo, tmp_path_factory) -> dict[str, Path]:
    """What command lines name; nothing of it is changed."""
    folder = tmp_path_factory.mktemp("given")
    return {
        "photos": photos,
        "dataset": dataset,
        "zoo": zoo,
        "task": save_task(folder / "task", images=3),
        "original": make_2afc(folder / "2afc" / "val" / "cnn", [0.5]),
        "picture": save_photo(folder / "photo.png", photo(0, 90, 133)),
    }


@pytest.mark.parametrize(
    ("command", "words"),
    [
        *(
            pytest.param(f"{COMMANDS[name]} {options}", words, id=f"{name} {options}")
            for names, options, words in WRONG_OPTIONS
            for name in names.split()
        ),
        *(pytest.param(command, words, id=command) for command, words in WRONG_COMMANDS),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_made(
    command, words, given, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(shlex.split(command.format(**given, out=tmp_path / "out")))
    except SystemExit as stopped:  # argparse ends the program itself
        code = stopped.code
    assert code == 2
    assert words in one_line(capsys)
    assert not list(tmp_path.iterdir())
    assert not (given["dataset"] / "scores").exists()
