"""A user's program against the public names runs; `.ci/run` type-checks it as a user would."""

import runpy
from pathlib import Path

PROGRAM = Path(__file__).parent / "sample_user.py"


def test_a_users_program_runs_and_prints_nothing(tmp_path, capfd):
    runpy.run_path(str(PROGRAM))["main"](tmp_path)
    assert capfd.readouterr() == ("", "")
