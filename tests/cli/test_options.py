"""Options declared once as metadata of dataclass fields: checks, and the command line from them."""

# ruff: noqa: RUF009 (the calls make fields)

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from bapps_gen.checks import Option, check_options, convert_options, parse_fields
from bapps_gen.cli._options import add_options, values_of
from bapps_gen.errors import UserError

COUNT = Option("integer", "how many", 3, 1, 10, unit="rows")
SHARE = Option("number", "a share, in %", None, 0.0, 1.0, default_text="all of them")
SPAN = Option("range", "from where to where", (0.25, 1.0), 0.0, 1.0, flag="span")
MODE = Option("text", "how", "fast", choices=("fast", "slow"))
WORDS = Option("names", "some words", ())
FILES = Option("names", "some files", (), flag="file", is_repeated=True)
FOLDER = Option("path", "where", None, metavar="DIR")
ALL = Option("flag", "take all", False)
PARTS = Option("table", "the parts", ())


@dataclass(frozen=True)
class Settings:
    name: str
    count: int = COUNT.field(required=True)
    share: float | None = SHARE.field()
    a_span: tuple[float, float] = SPAN.field()
    mode: str = MODE.field()
    words: tuple[str, ...] = WORDS.field()
    files: tuple[str, ...] = FILES.field()
    folder: Path | None = FOLDER.field()
    all: bool = ALL.field()
    parts: tuple[tuple[str, str], ...] = PARTS.field()

    def __post_init__(self) -> None:
        convert_options(self)


NAMES = ("count", "share", "a_span", "mode", "words", "files", "folder", "all", "parts")


def parse(*words: str, **changes: dict[str, object]) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_options(parser, Settings, *NAMES, **changes)
    return values_of(parser.parse_args(words), Settings)


def test_only_options_that_were_given_are_values():
    assert parse("--count", "2") == {"count": 2}


def test_the_command_line_gives_every_type_of_option():
    line = (
        "--count 2 --share .5 --span 0 1 --mode slow --words a,b --file x --file y --folder f "
        "--all --parts p=d1 q=d2 --parts r=d3"
    )
    given = parse(*line.split())
    assert Settings(name="x", **given) == Settings(
        name="x",
        count=2,
        share=0.5,
        a_span=(0.0, 1.0),
        mode="slow",
        words=("a", "b"),
        files=("x", "y"),
        folder=Path("f"),
        all=True,
        parts=(("p", "d1"), ("q", "d2"), ("r", "d3")),
    )


def test_names_may_be_given_in_one_list_or_several():
    assert parse("--count", "2", "--words", "a,b", "--words", "c")["words"] == ("a", "b", "c")


def test_help_states_unit_and_default_and_what_a_command_changes():
    parser = argparse.ArgumentParser()
    add_options(parser, Settings, *NAMES, mode={"default": "slow", "help": "how exactly"})
    help = " ".join(parser.format_help().split())
    assert "--count ROWS how many --share" in help
    assert "a share, in % (default: all of them)" in help
    assert "--span LOW HIGH from where to where (default: 0.25 1)" in help
    assert "--mode {fast,slow} how exactly (default: slow)" in help
    assert "--words A,B some words --file A,B" in help


def test_a_required_option_is_asked_for(capsys):
    with pytest.raises(SystemExit):
        parse()
    assert "--count" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 11}, "count = 11 is not allowed: it must be a whole number from 1 to 10"),
        ({"count": 2.5}, "count = 2.5 is not allowed: it must be a whole number"),
        ({"count": True}, "count = True"),
        ({"share": 1.5}, "share = 1.5 is not allowed: it must be a number from 0 to 1"),
        ({"share": float("nan")}, "share = nan"),
        ({"a_span": [1, 0]}, "span = 1 0 is not allowed: it must be two numbers from 0 to 1"),
        ({"a_span": [0.1, 0.2, 0.3]}, "span = "),
        ({"a_span": "01"}, "span = "),
        ({"mode": "fats"}, "did you mean 'fast'"),
        ({"words": "ab"}, "words = 'ab' is not allowed: it must be a list of names"),
        ({"all": 1}, "all = 1 is not allowed: it must be true or false"),
        ({"parts": "x"}, "parts = 'x'"),
        ({"folder": 7}, "folder = 7"),
    ],
)
def test_a_bad_value_is_one_line_with_name_value_and_what_is_allowed(values, message):
    with pytest.raises(UserError) as caught:
        Settings(name="x", **{"count": 1, **values})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_from_python_get_the_type_of_their_option():
    settings = Settings(name="x", count=1, a_span=[0, 1], parts={"p": "d"}, folder="f")
    assert settings.a_span == (0.0, 1.0)
    assert all(isinstance(value, float) for value in settings.a_span)
    assert settings.parts == (("p", "d"),)
    assert settings.folder == Path("f")
    check_options(settings)


def test_values_from_toml_are_of_the_type_of_their_option():
    plain = {"count": 2, "a_span": [0, 1], "parts": {"p": "d"}}
    parsed = parse_fields(Settings, plain, "set 'x'")
    assert parsed == {"count": 2, "a_span": (0.0, 1.0), "parts": (("p", "d"),)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 2}, "unknown option of set 'x': 'cuont'; did you mean 'count'"),
        ({"count": "2"}, "set 'x': count = '2' is not allowed: it must be a whole number"),
    ],
)
def test_a_bad_entry_of_a_toml_file_names_the_place(values, message):
    with pytest.raises(UserError) as caught:
        parse_fields(Settings, values, "set 'x'")
    assert message in str(caught.value)
