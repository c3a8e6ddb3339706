"""The bytes of every result format."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trailkeep.cli.results import ResultFormat, writer_for
from trailkeep.cli.results.values import iso_duration, plain

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egpj.\x7f\u2028\r\nnext\tcell"

GOLDEN = """
SELECT * FROM (VALUES
    (1, 'plain', TIMESTAMP '2026-01-31 12:00:00.5', true, 1.50, ['a', NULL, '']),
    (2, '', NULL, false, -0.01, []),
    (9007199254740993, NULL, TIMESTAMP 'infinity', NULL, NULL, NULL),
    (-1, 'a,"b"|<i>&*', TIMESTAMP '1969-12-31 23:59:59.999999', true, 0.00, ['x']),
) AS t(number, text, "at", flag, amount, list)
"""

EXPECTED = {
    ResultFormat.CSV: (
        "number,text,at,flag,amount,list\n"
        '1,plain,2026-01-31T12:00:00.500000Z,true,1.50,"[""a"",null,""""]"\n'
        '2,"",,false,-0.01,[]\n'
        "9007199254740993,,infinity,,,\n"
        '-1,"a,""b""|<i>&*",1969-12-31T23:59:59.999999Z,true,0.00,"[""x""]"\n'
    ),
    ResultFormat.NDJSON: (
        '{"number":1,"text":"plain","at":"2026-01-31T12:00:00.500000Z","flag":true,"amount":1.50,"list":["a",null,""]}\n'
        '{"number":2,"text":"","at":null,"flag":false,"amount":-0.01,"list":[]}\n'
        '{"number":9007199254740993,"text":null,"at":"infinity","flag":null,"amount":null,"list":null}\n'
        '{"number":-1,"text":"a,\\"b\\"|<i>&*","at":"1969-12-31T23:59:59.999999Z","flag":true,"amount":0.00,"list":["x"]}\n'
    ),
    ResultFormat.JSON: (
        "[\n"
        '{"number":1,"text":"plain","at":"2026-01-31T12:00:00.500000Z","flag":true,"amount":1.50,"list":["a",null,""]},\n'
        '{"number":2,"text":"","at":null,"flag":false,"amount":-0.01,"list":[]},\n'
        '{"number":9007199254740993,"text":null,"at":"infinity","flag":null,"amount":null,"list":null},\n'
        '{"number":-1,"text":"a,\\"b\\"|<i>&*","at":"1969-12-31T23:59:59.999999Z","flag":true,"amount":0.00,"list":["x"]}\n'
        "]\n"
    ),
    ResultFormat.MARKDOWN: (
        "| number | text | at | flag | amount | list |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        '| 1 | plain | 2026-01-31T12:00:00.500000Z | true | 1.50 | \\["a",null,""\\] |\n'
        '| 2 | "" |  | false | -0.01 | \\[\\] |\n'
        "| 9007199254740993 |  | infinity |  |  |  |\n"
        '| -1 | a,"b"\\|&lt;i&gt;&amp;\\* | 1969-12-31T23:59:59.999999Z | true | 0.00 | \\["x"\\] |\n'
    ),
    ResultFormat.TABLE: (
        "          number   text          at                            flag    amount   list\n"
        "─────────────────────────────────────────────────────────────────────────────────────────────\n"
        '               1   plain         2026-01-31T12:00:00.500000Z   true      1.50   ["a",null,""]\n'
        '               2   ""                                          false    -0.01   []\n'
        "9007199254740993                 infinity\n"
        '              -1   a,"b"|<i>&*   1969-12-31T23:59:59.999999Z   true      0.00   ["x"]\n'
    ),
}


def answer(sql: str) -> pa.Table:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'Europe/Paris'")
        return connection.sql(sql).to_arrow_table()  # type: ignore[no-any-return,union-attr]


def written(form: ResultFormat, table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    writer = writer_for(form, sink, table.schema, **options)
    for batch in table.to_batches(max_chunksize=2):
        writer.write(batch)
    writer.close()
    return sink.getvalue()


@pytest.mark.parametrize("form", EXPECTED)
def test_the_bytes_of_a_format(form: ResultFormat) -> None:
    assert written(form, answer(GOLDEN)).decode() == EXPECTED[form]


def test_parquet_keeps_types_and_values() -> None:
    table = answer(GOLDEN)
    read = pq.read_table(io.BytesIO(written(ResultFormat.PARQUET, table)))
    assert read.schema.types == table.schema.types
    assert read.drop(["at"]).to_pylist() == table.drop(["at"]).to_pylist()
    assert read["at"].cast(pa.int64()).to_pylist() == table["at"].cast(pa.int64()).to_pylist()


def test_parquet_of_types_that_it_lacks_is_text() -> None:
    table = answer(
        "SELECT INTERVAL 90 MINUTE AS i, [INTERVAL 1 DAY] AS l, 5::BIGNUM IS NULL AS n, now() AS t, NULL AS z"
    )
    (row,) = pq.read_table(io.BytesIO(written(ResultFormat.PARQUET, table))).to_pylist()
    assert (row["i"], row["l"], row["n"], row["z"]) == ("PT5400S", '["P1D"]', False, None)
    assert str(row["t"].tzinfo) == "UTC"


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("TIMESTAMPTZ '2026-01-31 12:00:00+02:00'", "2026-01-31T10:00:00.000000Z"),
        ("TIMESTAMP_NS '2026-01-31 12:00:00.123456789'", "2026-01-31T12:00:00.123456789Z"),
        ("TIMESTAMP_S '2026-01-31 12:00:00'", "2026-01-31T12:00:00Z"),
        ("'-infinity'::TIMESTAMP", "-infinity"),
        ("DATE '2026-01-31'", "2026-01-31"),
        ("'infinity'::DATE", "infinity"),
        ("TIME '12:00:00.5'", "12:00:00.500000"),
        ("INTERVAL '1 month 2 days 3.5 seconds'", "P1M2DT3.5S"),
        ("'NaN'::DOUBLE", "NaN"),
        ("'-inf'::FLOAT", "-Infinity"),
        ("0.1::DOUBLE", 0.1),
        ("1e300::DOUBLE", 1e300),
        ("sum(9223372036854775807)", 9223372036854775807),
        ("9223372036854775807::HUGEINT * 100", 922337203685477580700),
        ("18446744073709551615::UBIGINT", 18446744073709551615),
        ("1.10", Decimal("1.10")),
        ("'\\x00\\xFF'::BLOB", "00ff"),
        ("'6170692e-7363-616c-6577-61792e636f6d'::UUID", "6170692e-7363-616c-6577-61792e636f6d"),
        ("'a'::ENUM('a', 'b')", "a"),
        ("{'a': 1, 'b': {'c': DATE '2026-01-31'}}", {"a": 1, "b": {"c": "2026-01-31"}}),
        ("NULL::STRUCT(a INT)", None),
        ("MAP {'k': [1, NULL]}", {"k": [1, None]}),
        ("MAP {1: 'a'}", [{"key": 1, "value": "a"}]),
        ("[[1], NULL, []]", [[1], None, []]),
        ("union_value(num := 2)", 2),
        ("[{'a': TIMESTAMP '2026-01-31 00:00:00'}]", [{"a": "2026-01-31T00:00:00.000000Z"}]),
        ("NULL", None),
    ],
)
def test_a_value_is_written_one_way(sql: str, value: Any) -> None:
    table = answer(f"SELECT {sql} AS v")
    (found,) = [item for chunk in table["v"].chunks for item in plain(chunk)]
    assert found == value
    assert type(found) is type(value)
    line = written(ResultFormat.NDJSON, table)
    assert json.loads(line, parse_float=Decimal if isinstance(value, Decimal) else float)["v"] == value


def test_slices_of_nested_columns_are_their_own_rows() -> None:
    table = answer("SELECT i, [i, i] AS l, {'a': i} AS s, MAP {'k': i} AS m FROM range(10) t(i)")
    sliced = table.combine_chunks().slice(7, 2)
    lines = [json.loads(line) for line in written(ResultFormat.NDJSON, sliced).splitlines()]
    assert lines == [{"i": i, "l": [i, i], "s": {"a": i}, "m": {"k": i}} for i in (7, 8)]


@pytest.mark.parametrize("nanoseconds", [0, -1, 10**9, 3_600 * 10**9])
def test_a_length_of_time_keeps_its_sign(nanoseconds: int) -> None:
    expected = {0: "PT0S", -1: "PT-0.000000001S", 10**9: "PT1S", 3_600 * 10**9: "PT3600S"}
    assert iso_duration(0, 0, nanoseconds) == expected[nanoseconds]


class TestHostileText:
    """Nothing that an attacker wrote into an event reaches a terminal as anything but text."""

    table = pa.table({"text": [HOSTILE], "column\x1b[2J": ["<script>alert(1)</script>"]})

    @pytest.mark.parametrize("form", [form for form in ResultFormat if form is not ResultFormat.PARQUET])
    def test_no_control_character_reaches_a_terminal(self, form: ResultFormat) -> None:
        text = written(form, self.table, terminal=True, width=200).decode()
        left = {c for c in text if (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u202e") and c not in "\n\t"}
        # Rich's own colours are the only escapes of a table.
        assert left <= ({"\x1b"} if form is ResultFormat.TABLE else set())
        assert "\x1b]" not in text
        assert "\x1b[2J" not in text

    def test_json_says_what_was_there(self) -> None:
        (row,) = json.loads(written(ResultFormat.JSON, self.table))
        assert row["text"] == HOSTILE
        assert row["column\x1b[2J"] == "<script>alert(1)</script>"

    def test_a_csv_file_says_what_was_there(self) -> None:
        text = written(ResultFormat.CSV, self.table).decode()
        (_, row) = csv.reader(io.StringIO(text, newline=""))
        assert row == [HOSTILE, "<script>alert(1)</script>"]

    def test_markdown_holds_no_markup_and_one_line_a_row(self) -> None:
        text = written(ResultFormat.MARKDOWN, pa.table({"t": ["[x](http://evil) `a` <b>\n|c|"]})).decode()
        assert text.splitlines()[2] == r"| \[x\](http://evil) \`a\` &lt;b&gt;<br>\|c\| |"

    def test_a_table_has_one_line_a_row(self) -> None:
        assert written(ResultFormat.TABLE, self.table).decode().count("\n") == 3


class TestTables:
    def test_a_wide_value_is_cut_to_the_terminal(self) -> None:
        text = written(ResultFormat.TABLE, pa.table({"a": ["x" * 1000], "b": ["y"]}), width=40).decode()
        assert max(map(len, text.splitlines())) <= 40
        assert "…" in text

    def test_columns_that_do_not_fit_are_named_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        table = pa.table({f"column_{number}": ["value " * 3] for number in range(12)})
        text = written(ResultFormat.TABLE, table, width=60).decode()
        assert max(map(len, text.splitlines())) <= 60
        assert "column_0" in text.replace("…", "n_0")
        assert "column_11" in capsys.readouterr().err

    def test_a_value_of_a_megabyte_is_cut(self) -> None:
        assert len(written(ResultFormat.TABLE, pa.table({"a": ["x" * 1_000_000]}))) < 5_000

    def test_wide_characters_keep_their_columns(self) -> None:
        text = written(ResultFormat.TABLE, pa.table({"a": ["日本", "x"], "b": ["1", "2"]})).decode()
        assert text.splitlines()[2:] == ["日本   1", "x      2"]


@pytest.mark.parametrize(
    ("form", "empty"),
    [
        (ResultFormat.CSV, "a\n"),
        (ResultFormat.JSON, "[]\n"),
        (ResultFormat.NDJSON, ""),
        (ResultFormat.MARKDOWN, "| a |\n| --- |\n"),
        (ResultFormat.TABLE, "a\n─\n"),
    ],
)
def test_no_rows(form: ResultFormat, empty: str) -> None:
    assert written(form, pa.table({"a": pa.array([], pa.string())})).decode() == empty


def test_no_rows_in_parquet_still_have_columns() -> None:
    table = pa.table({"a": pa.array([], pa.string())})
    assert pq.read_table(io.BytesIO(written(ResultFormat.PARQUET, table))).schema.names == ["a"]
