"""The command line: `bapps-gen COMMAND`. Only this package prints."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from bapps_gen.cli._terminal import escaping
from bapps_gen.errors import BappsGenError, nearest, one_line, unknown_name
from bapps_gen.version import __version__

# name, module (imported only when the command is called, so that help starts fast), help
COMMANDS = (
    ("traditional", "traditional", "make triplets with traditional distortions"),
    ("cnn", "cnn", "make triplets with CNN distorters"),
    ("mix", "mix", "make triplets with CNN distorters and traditional distortions"),
    ("jnd", "jnd", "make pairs of a reference and a distorted patch, for JND judgments"),
    ("real", "real", "make triplets from the outputs of real algorithms"),
    ("collection", "collection", "make many sets: all of BAPPS, or a collection of your own"),
    ("benchmark", "benchmark", "make every distortion at every level, on images or patches"),
    ("distortions", "distortions", "list the distortions with their parameters"),
    ("distort", "distort", "distort one image of any size"),
    ("distorters", "distorters", "list the CNN distorters of a zoo"),
    ("train-distorters", "train_distorters", "train a zoo of CNN distorters on photos"),
    ("show", "show", "draw a contact sheet of a dataset's rows"),
    ("info", "info", "describe a dataset, a collection or a trained metric"),
    ("verify", "verify", "make rows again and compare them with what is stored"),
    ("validate", "validate", "report on a dataset, collection, benchmark or zoo"),
    ("subset", "subset", "write the rows of a dataset for which a condition holds"),
    ("merge", "merge", "write the rows of several datasets as one"),
    ("export", "export", "write a dataset as folders, tar shards or a recipe"),
    ("replay", "replay", "make a dataset again from a recipe and the photos"),
    ("import", "import_", "turn sets in the original folder layout into datasets"),
    ("study", "study", "ask people: make a study of datasets, run it, collect the votes"),
    ("judge", "judge", "turn votes into the judgments of a dataset's rows"),
    ("simulate", "simulate", "let simulated observers judge by a metric"),
    ("select", "select", "choose the rows that are worth judging"),
    ("score", "score", "compute and store distances of a dataset's or benchmark's rows"),
    ("evaluate", "evaluate", "compare metrics with human judgments or with severities"),
    ("train-metric", "train_metric", "train a perceptual metric on judged sets"),
    ("convert-metric", "convert_metric", "convert a trained metric to or from the lpips package"),
    ("make-trunk", "make_trunk", "make a network's weights from photos without labels"),
)

ALIASES = {"dataset": "collection"}
"""Former names of commands, which still work."""

EVERY = "*"
"""In place of a command's name: every command, with its options."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 + SIGINT)."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line.

    Args:
        commands: of the whole command line: the parsers of its commands by name and alias.
    """

    commands: Mapping[str, Parser]

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        end = "" if message.endswith("?") else ";"
        self.exit(2, f"{self.prog}: error: {message}{end} see `{self.prog} --help`\n")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Refuse arguments that the parser does not know, with the nearest option."""
        option = next((word.partition("=")[0] for word in unknown if word.startswith("--")), "")
        near = nearest(option[2:], [name[2:] for name in self._option_string_actions])
        guess = f"; did you mean '--{near}'?" if near else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{guess}")


class _PrintCompletion(argparse.Action):
    """Prints a script for a shell, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any) -> NoReturn:
        from bapps_gen.cli._completion import completion_script

        every = build_parser(EVERY)
        print(completion_script(every, every.commands, arguments[1]))
        parser.exit()


def build_parser(chosen: str | None) -> Parser:
    """The parser; of the commands only the chosen one, or EVERY one, gets its arguments."""
    chosen = ALIASES.get(chosen or "", chosen)
    parser = Parser(
        prog="bapps-gen",
        description="Regenerate and extend BAPPS, the perceptual patch similarity dataset.",
        epilog="`bapps-gen COMMAND --help` explains a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=("bash", "zsh", "tcsh"),
        help="print a script that completes commands and options in this shell",
    )
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for name, module, summary in COMMANDS:
        command = commands.add_parser(
            name,
            aliases=[alias for alias, command in ALIASES.items() if command == name],
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            allow_abbrev=False,
        )
        if chosen in (name, EVERY):
            loaded = importlib.import_module(f"bapps_gen.cli.{module}")
            loaded.add_arguments(command)
            command.set_defaults(run=loaded.run, parser=command)
    parser.commands = commands.choices
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 failed work, 2 user's mistake, 130 Ctrl-C."""
    with escaping():
        return _run(list(sys.argv[1:] if arguments is None else arguments))


def _run(given: list[str]) -> int:
    chosen = next((word for word in given if not word.startswith("-")), None)
    _log_to_stderr()
    with contextlib.suppress(ValueError):  # not in the main thread, when called from a program
        signal.signal(signal.SIGTERM, _terminated)
    try:
        parser = build_parser(chosen)
        if not given:
            parser.print_help()
            return 0
        if chosen == given[0] and chosen not in parser.commands:
            remedy = "`bapps-gen --help` lists the commands"
            raise unknown_name("command", chosen, parser.commands, remedy)
        options, unknown = parser.parse_known_args(given)
        if unknown:
            options.parser.refuse(unknown)
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except BappsGenError as error:
        print(f"bapps-gen: error: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("bapps-gen: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        print(f"bapps-gen: error: {name}{error.strerror or error}", file=sys.stderr)
        return 1
    finally:
        # Not imported for this: a command that used no workers has nothing to let go of.
        executors = sys.modules.get("bapps_gen.execution.jobs")
        if executors is not None:
            executors.disconnect()


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


class _StderrHandler(logging.Handler):
    """Log lines in the form of error lines, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        message = " ".join(record.getMessage().split())
        line = f"bapps-gen: {record.levelname.lower()}: {message}"
        bar = sys.modules.get("tqdm")
        if bar is not None:
            bar.tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)


def _log_to_stderr() -> None:
    logger = logging.getLogger("bapps_gen")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    for name in ("asyncio", "adlfs", "fsspec", "gcsfs", "s3fs"):
        # What they log of failures, tracebacks among it, they also raise, and it is reported once.
        logging.getLogger(name).addHandler(logging.NullHandler())
