"""Plain CSV files of answers are read in every form, and what is no answer is named by line."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapps_gen.errors import UserError
from bapps_gen.manifests.answers import Answer, read_answers


def read(tmp_path, *texts):
    paths = []
    for index, text in enumerate(texts):
        paths.append(tmp_path / f"answers-{index}.csv")
        paths[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_answers(paths)


@pytest.mark.parametrize(
    "text",
    [
        "id,judge,count\nr0,0.5,4\nr1,,\nr2,1,\n",
        "id;judge;count\r\nr0;0.5;4\r\nr1;;\r\nr2;1;\r\n",
        b"\xef\xbb\xbfid\tjudge\tcount\nr0\t.5\t4.0\nr1\t\t\nr2\t1.0\t\n",
        "note,judge_count,judge,id\nhe said: fine,4,0.5,r0\n\n,,,r1\n,,1,r2",
        'id,judge,count\n"r0"," 0.5 ",4\nr1,,7\nr2,1,\n',
    ],
)
def test_fractions_are_read_in_every_form_of_csv(tmp_path, text):
    answers = read(tmp_path, text)
    assert answers.judgments == {"r0": (0.5, 4), "r2": (1.0, None)}
    assert (answers.single, answers.tasks) == ((), {"2afc"})


def test_pairs_have_the_fraction_of_same(tmp_path):
    answers = read(tmp_path, "id,same,count\nr0,0.25,4\n")
    assert (answers.judgments, answers.tasks) == ({"r0": (0.25, 4)}, {"jnd"})


def test_single_answers_are_read_line_by_line(tmp_path):
    answers = read(tmp_path, "id,answer,person\nr0,p1,Ada\nr0,p0,\n", "id,answer\nr1,p1\n")
    assert answers.single == (Answer("r0", "p1", "Ada"), Answer("r0", "p0"), Answer("r1", "p1"))
    assert answers.tasks == {"2afc"}


def test_several_files_are_one(tmp_path):
    answers = read(tmp_path, "id,judge,count\nr0,0.5,2\n", "id,judge\nr1,1\n")
    assert answers.judgments == {"r0": (0.5, 2), "r1": (1.0, None)}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["id,judge\nr0,1.5\n"],
            r"answers-0\.csv: line 2 has judge = 1\.5; .* fraction from 0 to 1",
        ),
        (["id,judge\nr0,nan\n"], r"line 2 has judge = nan"),
        (["id,judge\nr0,yes\n"], r"line 2 has judge = yes"),
        (["id,judge,count\nr0,1,0\n"], r"line 2 has count = 0; .* at least 1, or empty"),
        (["id,judge,count\nr0,1,2.5\n"], r"line 2 has count = 2\.5"),
        (["id,judge\n\nr0,1\nr0,1\n"], r"line 4 gives id r0 again"),
        (["id,judge\nr0,1\n", "id,judge\nr0,1\n"], r"answers-1\.csv: line 2 gives id r0 again"),
        (["id,judge\nr0\n"], r"line 2 has 1 values for 2 columns"),
        (["id,judge\n,1\n"], r"line 2 has no id"),
        (["id,answer\nr0,left\n"], r"line 2 has answer = left; it must be p0 or p1"),
        (["id,vote\nr0,1\n"], r"has the columns id, vote; it must have 'id,judge,count'"),
        (["id,judge,same\nr0,1,1\n"], r"has the columns id, judge, same"),
        ([""], r"has the columns ; it must have"),
        ([b"\xff\xfe\x00"], r"cannot read .* save it as UTF-8"),
        (["id,judge\nr0,1\n", "id,answer\nr1,p0\n"], r"fractions \(judge\) and single answers"),
        (['id,judge\n"r0,1\n'], r"is no CSV"),
    ],
)
def test_what_is_no_answer_is_named(tmp_path, texts, message):
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, *texts)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv is missing"):
        read_answers([tmp_path / "none.csv"])


judgments = st.dictionaries(
    st.text("abc0-", min_size=1, max_size=5),
    st.tuples(st.floats(0, 1), st.none() | st.integers(1, 1000)),
    max_size=10,
)


@given(judgments, st.sampled_from(",;\t"))
@settings(max_examples=60)
def test_what_was_written_is_read(tmp_path_factory, held, separator):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(["id", "judge", "count"])
    writer.writerows([name, *judgment] for name, judgment in held.items())
    assert read(tmp_path_factory.mktemp("answers"), text.getvalue()).judgments == held
