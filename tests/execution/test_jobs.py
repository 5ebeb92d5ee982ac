"""Mapping jobs over local processes: what holds whatever the jobs are."""

import os
import signal
import subprocess
import sys
import time

import pytest

from bapps_gen.execution.jobs import run_jobs
from support.datasets import prepare_signal

JOBS = """
import os
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])


def arrive():
    # Where a worker imports its modules and unpickles its context, before any code of the pool.
    (FOLDER / f"starting-{os.getpid()}").touch()
    while not (FOLDER / "go on").exists():
        time.sleep(0.01)


class SlowToArrive:
    def __reduce__(self):
        return arrive, ()


def prepare(context):
    return str
"""

PROGRAM = """
import sys

from bapps_gen.execution.jobs import run_jobs
from jobs_of_program import SlowToArrive, prepare

try:
    print(sorted(run_jobs(prepare, SlowToArrive(), [1, 2, 3], 2)))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def starting(tmp_path):
    """A program whose workers have begun to start but not arrived, and one of these workers."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "jobs_of_program.py").write_text(JOBS)
    running = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (begun := list(tmp_path.glob("starting-*"))) and running.poll() is None:
        time.sleep(0.01)
    yield running, int(begun[0].name.partition("-")[2])
    running.kill()
    running.communicate()


def test_a_worker_that_is_starting_leaves_ctrl_c_to_its_parent(starting, tmp_path):
    running, worker = starting
    os.kill(worker, signal.SIGINT)
    (tmp_path / "go on").touch()
    out, err = running.communicate(timeout=300)
    assert (running.returncode, err) == (0, "")
    assert out == "['1', '2', '3']\n"


def test_ctrl_c_while_workers_start_ends_them_without_a_word(starting):
    running, _ = starting
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does, to every process
    _, err = running.communicate(timeout=300)
    assert (running.returncode, err) == (130, "")


def test_this_process_still_hears_ctrl_c_once_workers_have_started():
    results = run_jobs(prepare_signal, 0, [signal.SIGINT] * 4, 2)
    assert next(results) is None  # ignored in a worker
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    results.close()
