"""Files as text: every value is what the file writes, and what cannot be read is refused with its place."""

import io
import json
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from qcrd.errors import DataError
from qcrd.tasks.own.formats import READERS, Number, read

TEXTS = ["1960-07-20", "007", "2.50", "NA", "null", "1e3", "true", "  x ", "a\u2028b", "2020-01-01T00:00:00Z"]


def rows(content, suffix=".jsonl", name="a"):
    content = content.encode() if isinstance(content, str) else content
    return [row.fields for row in read(f"{name}{suffix}", suffix, content)]


def table(**columns):
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def written(form, values):
    if form == ".parquet":
        return table(x=values, y=["z"] * len(values))
    if form in (".csv", ".tsv"):
        comma = "," if form == ".csv" else "\t"
        return "\n".join([f"x{comma}y", *(f'"{value}"{comma}z' for value in values)])
    objects = [{"x": value, "y": "z"} for value in values]
    return json.dumps(objects) if form == ".json" else "\n".join(map(json.dumps, objects))


@pytest.mark.parametrize("form", READERS)
def test_a_text_in_a_file_is_that_text(form):
    assert [row["x"] for row in rows(written(form, TEXTS), form)] == TEXTS


@examples(50)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_json_and_parquet_give_back_any_text(values):
    for form in (".json", ".jsonl", ".parquet"):
        assert [row["x"] for row in rows(written(form, values), form)] == values


@pytest.mark.parametrize("number", ["2.50", "12345678901234567890123", "1e400", "-0", "0.1"])
def test_a_number_of_json_keeps_its_digits(number):
    (row,) = rows(f'{{"x": [{number}]}}')
    assert row == {"x": [number]} and isinstance(row["x"][0], Number)


def test_typed_columns_are_written_as_text_files_would_write_them():
    content = table(
        whole=[1.0, None], half=[0.5, float("nan")], big=[2**62, 0], yes=[True, None],
        day=[date(1960, 7, 20), None], exact=[Decimal("2.50"), None], when=[datetime(2020, 1, 1), None],
    )  # fmt: skip
    first, second = rows(content, ".parquet")
    when = first.pop("when")
    assert first == {"whole": "1", "half": "0.5", "big": str(2**62), "yes": True, "day": "1960-07-20",
                     "exact": "2.50"}  # fmt: skip
    assert isinstance(when, datetime)  # which no text is: refused where it is meant as one
    assert second["half"] is None and first["whole"].whole and not first["half"].whole


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    for form, text in ((".csv", "x,y\n1,2\n"), (".jsonl", '{"x": "1"}'), (".json", '[{"x": "1"}]')):
        assert rows(b"\xef\xbb\xbf" + text.encode(), form)[0]["x"] == "1"


@pytest.mark.parametrize(
    "text",
    [
        '[{"x": 1}, {"x": 2}]',
        '{"x": 1}\n{"x": 2}\n',
        '{"version": "1", "data": [{"x": 1}, {"x": 2}], "splits": ["a"]}',
        '{\n "data": [\n  {"x": 1},\n  {"x": 2}\n ]\n}',
    ],
)
def test_json_is_a_list_an_object_with_one_or_lines(text):
    assert rows(text, ".json") == [{"x": "1"}, {"x": "2"}]


def test_what_an_object_leaves_out_is_null():
    assert rows('{"x": "a"}\n\n{"y": "b"}') == [{"x": "a", "y": None}, {"x": None, "y": "b"}]


@pytest.mark.parametrize(
    ("suffix", "content", "says"),
    [
        (".jsonl", '{"x": 1}\n{"x": }', r"a\.jsonl, line 2, column 7: not JSON \(Expecting value\)"),
        (".jsonl", '{"x": 1}\n[2]', "line 2: a list; expected one JSON object per line"),
        (".jsonl", '{"x": 1}\n"b"', "line 2: a text; expected"),
        (".jsonl", '{"x": 1, "x": 2}', "line 1: the key 'x' is there twice"),
        (".jsonl", '{"x": NaN}', "line 1: NaN is not valid in JSON; write null"),
        (".jsonl", '{"x": "a\nb"}', "line 1, column 7"),
        (".json", '[\n {"x": 1},\n {"x" 2}\n]', r"a\.json, line 3, column 7: not JSON"),
        (".json", '{"a": [{"x": 1}], "b": [{"x": 2}]}', r"several lists of objects \(a, b\)"),
        (".json", '{"a": 1}', "holds an object; expected a list of objects"),
        (".json", '[{"x": 1}, 7]', "row 1: a number; expected a JSON object"),
        (".json", "[" * 100_000, "a.json"),
        (".csv", "x,y\n1,2\n3,4,5\n", r"line 3 has 3 fields, the header 2 \(x, y\); put .* comma"),
        (".csv", "x,y\n1\n", "line 2 has 1 fields, the header 2"),
        (".csv", 'x,y\n"a\nb",2\n1,2,3\n', "line 4 has 3 fields"),
        (".csv", "x,y,x\n1,2,3\n", "line 1: the column 'x' is there twice"),
        (".csv", 'x,y\n"a"b,2\n', "line 2: not CSV"),
        (".csv", 'x,y\n1,2\n"a,2\n3,4\n', "line 3: not CSV"),
        (".tsv", "x\ty\n1\t2\t3\n", "line 2 has 3 fields.* tab"),
        (".parquet", b"PAR1", "is not a complete Parquet file"),
        (".jsonl", b'{"x": 1}\n{"x": "caf\xc3\xa9 caf\xe9"}', "line 2, column 16: the byte 0xe9 is not"),
        (".csv", b"\xef\xbb\xbfx\n\xff\n", "line 2, column 1: the byte 0xff is not valid UTF-8"),
        (".jsonl", '{"x": 1}'.encode("utf-16"), "is UTF-16; save it as UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place_and_cause(suffix, content, says):
    with pytest.raises(DataError, match=says):
        rows(content, suffix)


def test_a_column_of_parquet_that_is_there_twice_is_refused():
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), file)
    with pytest.raises(DataError, match="the column 'x' is there twice"):
        rows(file.getvalue(), ".parquet")


def test_quotes_commas_and_lines_within_quotes_belong_to_the_field():
    assert rows('x,y\r\n"a, ""b""\nc",2\r\n\r\n,3\r\n', ".csv") == [
        {"x": 'a, "b"\nc', "y": "2"},
        {"x": "", "y": "3"},
    ]
    assert len(rows(f"x,y\n{'long ' * 100_000},2\n", ".csv")[0]["x"]) == 500_000
