"""Users' own Python files: loaded, with what is wrong with them on one line.

`mine.py:MyMetric` names what stands under that name in a file.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bapps_gen.errors import UserError

DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Plugin:
    """What stands under a name in a Python file.

    Args:
        path: of the file, absolute.
        name: in the file.
        value: what stands there.
        digest: 16 hexadecimal digits of the SHA-256 of the file.
    """

    path: Path
    name: str
    value: object
    digest: str

    @property
    def given(self) -> str:
        """The text that loads it from any folder."""
        return f"{self.path}:{self.name}"


def load_plugin(text: str, label: str) -> Plugin:
    """What "mine.py:NAME" names.

    The file is run at every call, as it is then, so that a changed one takes effect.

    Args:
        text: the file's path, a colon, and a name in it.
        label: begins errors, such as "metric mine.py:MyMetric".

    Raises:
        UserError: for anything wrong with it.
    """
    file, colon, name = text.rpartition(":")
    if not colon or not name.isidentifier():
        raise UserError(
            f"{label}: it names nothing in the file; write FILE.py:NAME with a class or function"
        )
    path = Path(file)
    module, digest = load_file(path, label)
    if not hasattr(module, name):
        raise UserError(
            f"{label}: {path.name} does not define '{name}'; define it, or correct the name"
        )
    return Plugin(path.absolute(), name, getattr(module, name), digest)


def load_file(path: Path, label: str) -> tuple[ModuleType, str]:
    """The module that a Python file gives, and the first digits of the file's SHA-256.

    Raises:
        UserError: for a file that is missing or no Python file, or that raises.
    """
    if path.suffix != ".py" and path.is_file():
        raise UserError(f"{label}: it is not a Python file; its name must end in .py")
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{label}: no such file; give the path of a Python file") from None
    except OSError as error:
        raise UserError(f"{label}: it cannot be read ({error.strerror})") from None
    # The path is part of the module's name so that two files of one name can be loaded together.
    unique = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"bapps_gen_plugin_{path.stem}_{unique}".replace(".", "_")
    module = ModuleType(name)
    module.__file__ = str(path)
    # Dataclasses and pickle look modules up by name while the file runs.
    sys.modules[name] = module
    try:
        # Not through the import system, whose cached bytecode misses quick changes of a file.
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{label}: {reason(error, path)}") from error
    return module, hashlib.sha256(source).hexdigest()[:DIGEST_DIGITS]


def file_digest(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256.

    Raises:
        OSError: where it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_DIGITS]


def reason(error: BaseException, path: Path | None) -> str:
    """An exception on one line, with the line of that file where it came from."""
    if isinstance(error, SyntaxError) and _is_file(error.filename, path):
        return f"line {error.lineno}: {error.msg}"
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if _is_file(frame.filename, path):
            where = f"line {frame.lineno}: "
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return where + text
    return f"{where}{type(error).__name__}{': ' if text else ''}{text}"


def _is_file(name: str | None, path: Path | None) -> bool:
    return name is not None and path is not None and Path(name).resolve() == path.resolve()
