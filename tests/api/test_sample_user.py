"""A user's program against the public names runs; `.ci/run` type-checks it as a user would."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "sample_user.py"


def test_a_users_program_runs_and_prints_nothing(tmp_path):
    program = f"import sys; sys.path.insert(0, {str(PROGRAM.parent)!r}); import sample_user; "
    program += f"from pathlib import Path; sample_user.main(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
