"""Conventions of command lines: help, short options, suggestions, and the order of options."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest

from bapps_gen.cli import COMMANDS, build_parser, main
from support.datasets import one_line

MAKES_ROWS = ("traditional", "cnn", "mix", "jnd", "real")
EXECUTION = ("--workers", "--engine", "--address", "--quiet")


def parser_of(name: str) -> argparse.ArgumentParser:
    return build_parser(name).commands[name]


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    try:
        code = main(list(words))
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    return one_line(capsys)


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 0
    alone = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    assert alone == capsys.readouterr().out
    assert "train-distorters" in alone


@pytest.mark.parametrize("name", MAKES_ROWS)
def test_the_number_of_rows_has_a_short_option(name):
    actions = parser_of(name)._option_string_actions
    assert actions["-n"] is actions["--n"]


def test_the_short_option_is_the_number_of_rows(capsys):
    assert "n = 0 is not allowed" in refusal(capsys, "traditional", "-n", "0")


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("tradtional", "traditional"), ("train", "train-distorters"), ("datasets", "dataset")],
)
def test_the_nearest_command_is_suggested(capsys, wrong, nearest):
    line = refusal(capsys, wrong, "--n", "5")
    assert f"unknown command '{wrong}'; did you mean '{nearest}'?" in line
    assert "bapps-gen --help" in line


def test_a_command_like_no_other_is_refused_without_a_suggestion(capsys):
    line = refusal(capsys, "qqqqq")
    assert "unknown command 'qqqqq'" in line
    assert "did you mean" not in line


@pytest.mark.parametrize(
    ("words", "unknown", "nearest"),
    [
        (("traditional", "--n", "5", "--sed", "1"), "--sed", "--seed"),
        (("traditional", "--n", "5", "--sed=1"), "--sed", "--seed"),
        (("validate", "x", "--max-k", "1"), "--max-k", "--max-ks"),
        (("show", "x", "--shuffle"), "--shuffle", None),
        (("show", "x", "y"), "y", None),
    ],
)
def test_an_unknown_option_names_the_command_and_the_nearest_option(
    capsys, words, unknown, nearest
):
    line = refusal(capsys, *words)
    assert f"bapps-gen {words[0]}: error: unrecognized arguments: {unknown}" in line
    assert f"see `bapps-gen {words[0]} --help`" in line
    assert ("did you mean" in line) == (nearest is not None)
    assert nearest is None or f"did you mean '{nearest}'?" in line


@pytest.mark.parametrize("name", [name for name, *_ in COMMANDS])
def test_workers_and_ray_are_the_last_group_of_a_command(name):
    parser = parser_of(name)
    options = [action.option_strings[-1] for action in parser._actions if action.option_strings]
    if "--workers" not in options:
        return
    assert tuple(options[-len(EXECUTION) :]) == EXECUTION
    group = parser._action_groups[-1]
    assert group.title == "execution"
    assert [action.option_strings[0] for action in group._group_actions] == list(EXECUTION)


@pytest.mark.parametrize("name", MAKES_ROWS)
def test_the_number_of_rows_and_the_folder_come_first(name):
    actions = [action.dest for action in parser_of(name)._actions if action.option_strings]
    assert actions[1:4] == ["rows", "out", "seed"] or actions[2:5] == ["rows", "out", "seed"]


@pytest.mark.parametrize("name", [*MAKES_ROWS, "collection", "import"])
def test_help_shows_what_matters_before_the_size_of_shards(name):
    _, body = parser_of(name).format_help().split("\n\n", 1)
    first = "--preset" if name == "collection" else "--out"
    positions = [body.index(f"  {option} ") for option in (first, "--shard-size", "--workers")]
    assert positions == sorted(positions)


COMPLETE = r"""
source "$1"; COMP_CWORD=$2; shift 2; COMP_WORDS=("$@"); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
function=$(complete -p bapps-gen | sed 's/.*-F \([^ ]*\).*/\1/')
$function bapps-gen
printf '%s\n' "${COMPREPLY[@]}"
"""
"""What bash does when Tab is pressed: arguments are the script, the word's index, the words."""

SHELLS = ("bash", "zsh", "tcsh")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_and_their_options(capsys, shell):
    with pytest.raises(SystemExit) as stopped:
        main(["--print-completion", shell])
    assert stopped.value.code == 0
    script = capsys.readouterr().out
    for name, *_ in COMMANDS:
        assert name in script
    for option in ("shard-size", "max-ks", "gpus-per-distorter", "jnd", "superres"):
        assert option in script, option


def test_the_bash_completion_works_in_bash(capsys, tmp_path: Path):
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    lines = [("bapps-gen tra", 1, ["traditional", "train-distorters", "train-metric"])]
    lines += [("bapps-gen score --me", 2, ["--metric"])]
    lines += [("bapps-gen jnd --family tra", 3, ["traditional"])]
    for line, word, expected in lines:
        done = subprocess.run(
            ["bash", "-c", COMPLETE, "bash", str(script), str(word), *line.split()],
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        assert sorted(word.strip() for word in done.stdout.splitlines()) == expected


def test_an_unknown_shell_is_refused(capsys):
    assert "fish" in refusal(capsys, "--print-completion", "fish")
