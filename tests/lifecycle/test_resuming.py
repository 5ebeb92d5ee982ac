"""Whatever is made can be stopped in any way and at any moment, and ends up as made in one go."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bapps_gen.storage.workspace import folder_lock
from support.datasets import one_line
from support.killing import run_until_killed
from support.subjects import SUBJECTS, Inputs, Subject, over, visible

FORKING = [subject for subject in SUBJECTS if subject.forks]
# For the other kinds with CNN distorters, and for pairs, "mix" stands in the quick suite.
KILLED = ("traditional", "mix", "color", "imported-2afc", "benchmark", "collection", "scores")


def stamps(paths: list[Path]) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in paths}


def whole_pieces(subject: Subject, out: Path, made: Path) -> int:
    """How many pieces are there; every file has to be as it will be in the end."""
    whole = subject.files(made)
    for name, data in subject.files(out).items():
        assert data == whole[name], name
    if subject.summary and (out / subject.summary).exists():
        return len(whole)
    return len(subject.finished(out))


def assert_same(subject: Subject, out: Path, made: Path) -> None:
    assert subject.files(out) == subject.files(made)
    assert not list(out.rglob(".*.tmp"))


@over(SUBJECTS)
def test_the_same_command_again_changes_nothing(subject, inputs, copy):
    kept = [*subject.finished(copy).values(), *copy.rglob("*.png")]
    before = stamps(kept)
    files = subject.files(copy)
    assert subject.make(inputs, copy) == 0
    assert stamps(kept) == before
    assert subject.files(copy) == files


@over(SUBJECTS)
@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_a_lost_piece_is_made_again_and_the_others_are_kept(
    subject, inputs, made, copy, damage, capsys
):
    kept = stamps(list(copy.glob(subject.kept)))
    assert kept
    if damage == "missing":
        (copy / subject.lost).unlink()
    else:
        (copy / subject.lost).write_bytes((made / subject.lost).read_bytes()[:-10])
    assert subject.make(inputs, copy) == 0
    said = capsys.readouterr().err
    if damage == "cut short":
        assert Path(subject.lost).stem in said
        assert len(said.splitlines()) == 1
    assert stamps(list(kept)) == kept
    assert_same(subject, copy, made)


@over(FORKING, quick=KILLED)
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_files(
    subject, inputs, made, start, tmp_path
):
    out = start(subject, tmp_path / "out")
    words = subject.command(inputs, out)
    counts = []
    for turn in range(50):
        renames = 1 + turn // 2 if turn < 6 else 3 + (turn - 5) ** 2  # to get on in the end
        code = run_until_killed(words, renames, before=turn % 2 == 0)
        if code is not None:
            break
        counts.append(whole_pieces(subject, out, made))
    assert code == 0
    assert counts == sorted(counts), "whole pieces were lost"
    assert len(set(counts)) > 1, "it was never killed between pieces"
    assert_same(subject, out, made)


@over(SUBJECTS)
def test_ctrl_c_keeps_what_is_whole_and_says_how_to_resume(
    subject, inputs, made, start, tmp_path, monkeypatch, capsys
):
    out, rename = start(subject, tmp_path / "out"), os.replace

    def replace(*paths: object) -> None:
        rename(*paths)
        if subject.finished(out):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace)
    assert subject.make(inputs, out) == 130
    monkeypatch.undo()
    resume, stopped = capsys.readouterr().err.splitlines()
    assert "run the same command again to resume" in resume
    assert stopped == "bapps-gen: stopped"
    assert not list(out.rglob(".*.tmp"))
    assert whole_pieces(subject, out, made) == 1
    kept = stamps([out / name for name in subject.files(out)])
    assert subject.make(inputs, out) == 0
    assert stamps(list(kept)) == kept
    assert_same(subject, out, made)


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file can have more than `limit` bytes, as if the disk had filled up."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


def fail_on_a_full_disk(
    subject: Subject,
    inputs: Inputs,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    workers: int = 1,
) -> None:
    with full_disk(subject.limit):
        assert subject.make(inputs, out, "--workers", workers) == 1
    said = capsys.readouterr().err
    assert "free some space" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert not subject.finished(out)
    assert not list(out.rglob(".*.tmp"))


@over(SUBJECTS)
def test_a_full_disk_is_said_and_the_run_resumes(subject, inputs, made, start, tmp_path, capsys):
    out = start(subject, tmp_path / "out")
    fail_on_a_full_disk(subject, inputs, out, capsys)
    assert subject.make(inputs, out) == 0
    assert_same(subject, out, made)


@over(SUBJECTS)
def test_a_second_run_in_the_same_folder_is_refused(subject, inputs, start, tmp_path, capsys):
    out = start(subject, tmp_path / "out")
    (out / subject.locked).mkdir(parents=True, exist_ok=True)
    before = visible(out)
    with folder_lock(out / subject.locked):
        assert subject.make(inputs, out) == 2
    assert "another run" in one_line(capsys)
    assert visible(out) == before


@over([subject for subject in SUBJECTS if subject.others])
def test_something_else_in_the_same_folder_is_refused_and_says_in_what(
    subject, inputs, made, capsys
):
    before = stamps(visible(made))
    for options, words in subject.others:
        assert subject.make(inputs, made, *options) == 2
        assert words in one_line(capsys)
    assert stamps(visible(made)) == before


@over([subject for subject in SUBJECTS if not subject.takes])
def test_a_folder_of_something_else_is_not_touched(subject, inputs, tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    assert subject.make(inputs, tmp_path) == 2
    assert str(tmp_path) in one_line(capsys)
    assert os.listdir(tmp_path) == ["letter.txt"]


@over([subject for subject in SUBJECTS if not subject.takes])
def test_a_file_in_the_way_is_one_line(subject, inputs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert subject.make(inputs, out) == 2
        assert "file" in one_line(capsys)


# With worker processes


def launch(subject: Subject, inputs: Inputs, out: Path, *options: object) -> subprocess.Popen:
    """The command with two workers, in a group of processes of its own."""
    words = subject.command(inputs, out, "--workers", 2, *options)
    return subprocess.Popen(
        [sys.executable, "-m", "bapps_gen", *words],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": "/"},
        start_new_session=True,
        # Tests that run in the background of a shell ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_pieces(subject: Subject, out: Path, running: subprocess.Popen, pieces: int) -> None:
    while len(subject.finished(out)) < pieces and running.poll() is None:
        time.sleep(0.01)


@over(SUBJECTS, quick=("traditional", "mix"))
def test_workers_make_the_same_files(subject, inputs, made, start, tmp_path):
    out = start(subject, tmp_path / "out")
    assert subject.make(inputs, out, "--workers", 2) == 0
    assert_same(subject, out, made)


@over(SUBJECTS, quick=("traditional",))
def test_workers_on_a_full_disk_say_so(subject, inputs, start, tmp_path, capsys):
    fail_on_a_full_disk(subject, inputs, start(subject, tmp_path / "out"), capsys, workers=2)


@over(SUBJECTS, quick=("traditional",))
def test_killed_workers_leave_whole_pieces_and_the_run_resumes(
    subject, inputs, made, start, tmp_path
):
    out = start(subject, tmp_path / "out")
    for pieces in (1, 2):
        running = launch(subject, inputs, out)
        wait_for_pieces(subject, out, running, pieces)
        running.send_signal(signal.SIGKILL)  # the workers end with their parent
        running.communicate()
        assert whole_pieces(subject, out, made) > 0
    deadline = time.monotonic() + 300
    while (code := subject.make(inputs, out)) == 2 and time.monotonic() < deadline:
        time.sleep(0.1)  # a worker still holds the folder
    assert code == 0
    assert_same(subject, out, made)


@over(SUBJECTS, quick=("traditional",))
def test_ctrl_c_stops_workers_cleanly(subject, inputs, made, start, tmp_path):
    out = start(subject, tmp_path / "out")
    more = ("--n", 5000) if subject.counted else ()
    running = launch(subject, inputs, out, *more)
    wait_for_pieces(subject, out, running, 1)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does, to every process
    _, err = running.communicate(timeout=300)
    if not subject.counted and running.returncode == 0:
        return  # it had finished
    assert running.returncode == 130, err
    assert "run the same command again to resume" in err
    assert "Traceback" not in err
    assert not list(out.rglob(".*.tmp"))
    assert not (out / ".partial").exists()
