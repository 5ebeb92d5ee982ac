"""Files of votes hold what people answered, and refuse what is no answer."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapps_gen.errors import UserError, WorkError
from bapps_gen.manifests.votes import (
    ANSWERS,
    PHASES,
    VOTES_SCHEMA,
    read_votes,
    votes_table,
    write_votes,
)
from support.votes import vote, votes_of


def table(*changes):
    return pa.Table.from_pylist([vote(**change) for change in changes])


@st.composite
def votes(draw):
    task = draw(st.sampled_from(sorted(ANSWERS)))
    return {
        "task": task,
        "answer": draw(st.sampled_from(ANSWERS[task])),
        "phase": draw(st.sampled_from(PHASES)),
        "left": draw(st.sampled_from(["p0", "p1"])) if task == "2afc" else "",
        "rt_ms": draw(st.none() | st.floats(0, 1e6)),
        "timing_ok": draw(st.none() | st.booleans()),
        "simulated": draw(st.booleans()),
        "row": draw(st.integers(-1, 2**40)),
        "person": draw(st.text("0123456789abcdef", max_size=8)),
    }


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_votes_are_read_as_they_were_written(tmp_path, ending):
    @given(st.lists(votes(), min_size=1, max_size=8))
    @settings(max_examples=25)
    def check(changes):
        written = votes_of(*(vote(**change) for change in changes))
        path = tmp_path / f"votes.{ending}"
        write_votes(path, written)
        assert read_votes([path]).equals(written)
        assert read_votes([path, path]).num_rows == 2 * len(changes)

    check()


def test_further_columns_are_dropped_and_the_order_is_free():
    given_table = table({}).append_column("note", pa.array(["x"]))
    assert votes_table(given_table.select(given_table.column_names[::-1]), "v").schema.equals(
        VOTES_SCHEMA
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "same"}, "v: row 1 has answer = same; it must be p0, p1"),
        ({"task": "3afc"}, "v: row 1 has task = 3afc; it must be 2afc, jnd"),
        ({"phase": "x"}, "v: row 1 has phase = x; it must be test, sentinel, practice"),
        ({"left": "left"}, "v: row 1 has left = left; it must be p0, p1, empty"),
        ({"rt_ms": -1.0}, "v: row 1 has rt_ms = -1.0; it must be at least 0 ms"),
        ({"session": None}, "v: row 1 has no session; give one"),
    ],
)
def test_a_value_that_is_no_answer_is_refused_with_its_row(change, message):
    with pytest.raises(UserError, match="^" + message.replace(".", r"\.")):
        votes_table(table({}, change), "v")


def test_a_missing_column_is_named():
    with pytest.raises(UserError, match="v has no column 'answer'; votes have study, "):
        votes_table(table({}).drop_columns(["answer"]), "v")


def test_a_column_of_another_type_is_named():
    bad = table({}).drop_columns(["row"]).append_column("row", pa.array(["first"]))
    with pytest.raises(UserError, match="v: column 'row' is string, not int64; convert it"):
        votes_table(bad, "v")


def test_a_damaged_or_missing_file_is_one_line(tmp_path):
    path = tmp_path / "votes.parquet"
    with pytest.raises(UserError, match=r"votes\.parquet is missing; name a file of votes"):
        read_votes([path])
    write_votes(path, votes_table(table({}), "v"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(WorkError, match=r"votes\.parquet is damaged"):
        read_votes([path])
