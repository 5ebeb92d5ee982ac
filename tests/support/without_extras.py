"""A program that runs command lines where no extra is installed, and says what they import.

It reads JSON from stdin, a list of [name, words], and prints for each name the exit code, what was
printed, the extras that were asked for, and the packages that were imported. The words may be
"python" and a line to execute.
"""

import contextlib
import io
import json
import sys
from importlib.abc import MetaPathFinder

EXTRAS = (
    *("torch", "pandas", "fsspec", "s3fs", "ray", "jinja2"),
    *("starlette", "uvicorn", "markdown_it"),
)
HEAVY = ("numpy", "cv2", "pyarrow", "scipy", "skimage")


class NotInstalled(MetaPathFinder):
    """Finds none of EXTRAS, and notes which were asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in EXTRAS:
            self.asked.add(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def run(words: list[str]) -> object:
    """The exit code of a command line."""
    from bapps_gen.cli import main

    try:
        return main(words)
    except SystemExit as stopped:
        return stopped.code


if __name__ == "__main__":
    finder = NotInstalled()
    sys.meta_path.insert(0, finder)
    results = {}
    for name, words in json.load(sys.stdin):
        finder.asked.clear()
        with (
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            if words[0] == "python":
                exec(words[1], {})
                code: object = 0
            else:
                code = run(words)
        imported = [package for package in HEAVY if package in sys.modules]
        results[name] = (code, out.getvalue(), err.getvalue(), sorted(finder.asked), imported)
    print(json.dumps(results))
