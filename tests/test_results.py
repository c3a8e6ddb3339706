"""The bytes of every result format."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from trailkeep.cli.results import BINARY, ResultFormat, writer_for
from trailkeep.cli.results.delimited import without_formula
from trailkeep.cli.results.values import iso_duration, plain

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egpj.\x7f\u2028\r\nnext\tcell"

GOLDEN = Path(__file__).parent / "golden"
FILES: dict[str, tuple[ResultFormat, dict[str, Any]]] = {
    "hostile.csv": (ResultFormat.CSV, {}),
    "hostile-terminal.csv": (ResultFormat.CSV, {"terminal": True}),
    "hostile-spreadsheet.csv": (ResultFormat.CSV, {"spreadsheet_safe": True}),
    "hostile.json": (ResultFormat.JSON, {}),
    "hostile.ndjson": (ResultFormat.NDJSON, {}),
    "hostile.md": (ResultFormat.MARKDOWN, {}),
    "hostile.txt": (ResultFormat.TABLE, {}),
    "hostile-120.txt": (ResultFormat.TABLE, {"width": 120}),
    "hostile-20.txt": (ResultFormat.TABLE, {"width": 20}),
    "hostile-full.txt": (ResultFormat.TABLE, {"width": 320, "full": True}),
    "hostile-vertical.txt": (ResultFormat.TABLE, {"vertical": True}),
    "hostile-vertical-40.txt": (ResultFormat.TABLE, {"vertical": True, "width": 40}),
    "hostile.parquet": (ResultFormat.PARQUET, {}),
    "hostile.arrow": (ResultFormat.ARROW, {}),
}
"""`python tests/test_results.py` writes them anew; look at the difference before it is kept."""

SMALL = """
SELECT * FROM (VALUES
    (1, 'plain', TIMESTAMP '2026-01-31 12:00:00.5', true, 1.50, ['a', NULL, '']),
    (2, '', NULL, false, -0.01, []),
    (9007199254740993, NULL, TIMESTAMP 'infinity', NULL, NULL, NULL),
    (-1, 'a,"b"|<i>&*', TIMESTAMP '1969-12-31 23:59:59.999999', true, 0.00, ['x']),
) AS t(number, text, "at", flag, amount, list)
"""


def answer(sql: str) -> pa.Table:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'Europe/Paris'")
        return connection.sql(sql).to_arrow_table()  # type: ignore[no-any-return,union-attr]


def written(form: ResultFormat, table: pa.Table, *, rows: int = 2, **options: Any) -> bytes:
    sink = io.BytesIO()
    writer = writer_for(form, sink, table.schema, **options)
    for batch in table.to_batches(max_chunksize=rows):
        writer.write(batch)
    writer.close()
    return sink.getvalue()


@pytest.fixture(scope="module")
def hostile() -> pa.Table:
    return answer((GOLDEN / "hostile.sql").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [name for name, (form, _options) in FILES.items() if form not in BINARY])
def test_the_bytes_of_a_format(hostile: pa.Table, name: str) -> None:
    form, options = FILES[name]
    assert written(form, hostile, **options).decode() == (GOLDEN / name).read_bytes().decode()


class TestBinaryFormats:
    """Parquet names the library's version in its footer, so its bytes are compared with those of the same library."""

    @pytest.mark.parametrize("name", ["hostile.parquet", "hostile.arrow"])
    def test_a_kept_file_and_a_new_one_hold_the_same(self, hostile: pa.Table, name: str) -> None:
        kept, new = (GOLDEN / name).read_bytes(), written(FILES[name][0], hostile)
        again, before = (written(ResultFormat.NDJSON, read_back(FILES[name][0], content)) for content in (new, kept))
        assert again == before
        if FILES[name][0] is ResultFormat.ARROW or f"version {pa.__version__}".encode() in kept:
            assert new == kept

    @pytest.mark.parametrize("form", BINARY)
    def test_batches_of_any_size_are_the_same_bytes(self, form: ResultFormat) -> None:
        table = answer(
            "SELECT i, nullif(i % 3, 0) AS n, nullif(i || 'x', '4x') AS s, CASE WHEN i % 5 > 0 THEN [i, NULL] END AS l"
            " FROM range(70000) t(i) ORDER BY i"
        )
        assert len({written(form, table, rows=rows) for rows in (70_000, 8_192, 777)}) == 1

    def test_what_lay_in_memory_under_a_null_is_not_written(self) -> None:
        batch = pa.record_batch(
            [
                pa.Array.from_buffers(
                    pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(b"\1" + b"\0" * 7 + b"password")]
                ),
                pa.Array.from_buffers(
                    pa.string(),
                    2,
                    [pa.py_buffer(b"\x01"), pa.py_buffer(struct.pack("3i", 0, 1, 9)), pa.py_buffer(b"apassword")],
                ),
            ],
            names=["number", "text"],
        )
        for form in BINARY:
            content = written(form, pa.Table.from_batches([batch]))
            assert b"password" not in content
            assert read_back(form, content).to_pylist() == [{"number": 1, "text": "a"}, {"number": None, "text": None}]

    def test_arrow_keeps_every_type(self, hostile: pa.Table) -> None:
        read = read_back(ResultFormat.ARROW, written(ResultFormat.ARROW, hostile))
        assert [str(kind).replace("UTC", "Europe/Paris") for kind in read.schema.types] == [
            str(kind) for kind in hostile.schema.types
        ]

    def test_an_arrow_file_that_was_cut_is_refused(self, hostile: pa.Table) -> None:
        content = written(ResultFormat.ARROW, hostile)
        for length in (len(content) - 1, len(content) // 2, 8):
            with pytest.raises(pa.ArrowInvalid):
                read_back(ResultFormat.ARROW, content[:length])


def read_back(form: ResultFormat, content: bytes) -> pa.Table:
    if form is ResultFormat.ARROW:
        return pa.ipc.open_file(pa.BufferReader(content)).read_all()
    return pq.read_table(io.BytesIO(content))


def test_parquet_keeps_types_and_values() -> None:
    table = answer(SMALL)
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
        ("0.1::FLOAT", 0.1),
        ("'nan'::FLOAT", "NaN"),
        ("123456789012345678901234567890123456789012345::BIGNUM", 123456789012345678901234567890123456789012345),
        ("-5::BIGNUM", -5),
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

    @pytest.mark.parametrize("form", [form for form in ResultFormat if form not in BINARY])
    def test_no_control_character_reaches_a_terminal(self, form: ResultFormat) -> None:
        for options in ({}, {"full": True}, {"vertical": True}) if form is ResultFormat.TABLE else ({},):
            self.check(form, written(form, self.table, terminal=True, width=200, **options).decode())

    @staticmethod
    def check(form: ResultFormat, text: str) -> None:
        left = {c for c in text if (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u202e") and c not in "\n\t"}
        # The bold letters of its header are the only escapes of a table.
        assert left <= ({"\x1b"} if form is ResultFormat.TABLE else set())
        assert text.replace("\x1b[1m", "").replace("\x1b[0m", "").count("\x1b") == 0
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

    def test_times_numbers_and_ids_stay_whole_and_text_is_cut(self) -> None:
        identifier = "6170692e-7363-616c-6577-61792e636f6d"
        table = answer(
            f"SELECT TIMESTAMP '2026-01-31 12:00:00' AS at, '{identifier}' AS id, 1234567890 AS n,"
            " repeat('long text ', 20) AS text, '192.0.2.1' AS ip"
        )
        row = written(ResultFormat.TABLE, table, width=120).decode().splitlines()[2]
        assert len(row) <= 120
        at, whole, number, text, ip = re.split(" {3,}", row)
        assert (at, whole, number, ip) == ("2026-01-31T12:00:00.000000Z", identifier, "1234567890", "192.0.2.1")
        assert re.fullmatch("(long text )+.{0,9}…", text)

    @pytest.mark.parametrize("width", [1, 5, 20, 80])
    def test_no_line_is_wider_than_the_terminal(self, hostile: pa.Table, width: int) -> None:
        text = written(ResultFormat.TABLE, hostile, width=width).decode()
        assert max(map(cell_len, text.splitlines())) <= width

    @pytest.mark.parametrize("options", [{"full": True}, {"vertical": True}])
    @pytest.mark.parametrize("width", [20, 79, None])
    def test_nothing_is_left_out_of_a_full_table(self, options: dict[str, bool], width: int | None) -> None:
        value = "".join(f"<{number}>" for number in range(1000))
        table = pa.table({"a": [value, "x"], "b": ["y", value]})
        lines = written(ResultFormat.TABLE, table, width=width, **options).decode().splitlines()
        assert "…" not in "".join(lines)
        if width is not None:
            assert max(map(len, lines)) <= width
        if options.get("vertical"):
            body = [line.partition(" │ ")[2] for line in lines]
            assert "".join(body) == f"{value}y" + f"x{value}"
        elif width is None:
            assert [line.split() for line in lines[2:]] == [[value, "y"], ["x", value]]
        else:
            cut = lines[0].index("b")
            assert "".join(line[: cut - 3].strip() for line in lines[2:]) == value + "x"
            assert "".join(line[cut:].strip() for line in lines[2:]) == "y" + value

    def test_a_thousand_columns(self, capsys: pytest.CaptureFixture[str]) -> None:
        table = pa.table({f"column_{number}": [number] for number in range(1000)})
        full = written(ResultFormat.TABLE, table, width=80, full=True).decode()
        assert [line.split() for line in full.splitlines()[1:]] == [
            [f"column_{number}", "│", str(number)] for number in range(1000)
        ]
        assert "below each other" in capsys.readouterr().err
        for form in ResultFormat:
            assert b"999" in written(form, table)

    def test_a_long_value_in_a_pipe_is_cut_and_that_is_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        table = pa.table({"a": ["x" * 600]})
        assert written(ResultFormat.TABLE, table).decode().count("x") == 499
        assert "--full" in capsys.readouterr().err
        assert written(ResultFormat.TABLE, table, full=True).decode().count("x") == 600
        assert capsys.readouterr().err == ""

    def test_json_below_each_other_keeps_its_keys_and_digits(self) -> None:
        text = '{"b":1.000000000000000000000001,"a":1,"a":"\\u001b","n":[]}'
        lines = written(ResultFormat.TABLE, pa.table({"raw": [text]}), vertical=True).decode().splitlines()
        assert "".join(line.partition("│")[2].replace(" ", "") for line in lines[1:]) == text

    @pytest.mark.parametrize(
        "text", ["[" * 1000 + "]" * 1000, "{not json}", '["a\nb"]', "[1] trailing", '{"a": "' + "x" * 70_000 + '"}']
    )
    def test_what_is_no_small_json_stays_one_value(self, text: str) -> None:
        lines = written(ResultFormat.TABLE, pa.table({"raw": [text]}), vertical=True).decode().splitlines()
        assert len(lines) == 2
        assert lines[1] == "raw │ " + text.replace("\n", "\\n")

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


@pytest.mark.parametrize("form", BINARY)
def test_no_rows_in_a_binary_format_still_have_columns(form: ResultFormat) -> None:
    table = pa.table({"a": pa.array([], pa.string())})
    assert read_back(form, written(form, table)).schema.names == ["a"]


class TestNullAndTheEmptyString:
    @pytest.mark.parametrize("form", ResultFormat)
    @pytest.mark.parametrize("other", [{}, {"b": ["x", "x"]}])
    def test_they_differ_in_every_format(self, form: ResultFormat, other: dict[str, list[str]]) -> None:
        null, empty = (
            written(form, pa.table({"a": pa.array([value, "."], pa.string()), **other})) for value in (None, "")
        )
        assert null != empty

    LONE = pa.table({"a": pa.array(["x", None, "", "NULL", None], pa.string())})

    def test_one_column_of_csv_has_as_many_rows_for_every_reader(self, tmp_path: Path) -> None:
        import pandas as pd

        file = tmp_path / "lone.csv"
        file.write_bytes(written(ResultFormat.CSV, self.LONE))
        with file.open(newline="", encoding="utf-8") as opened:
            assert [row["a"] for row in csv.DictReader(opened)] == ["x", "NULL", "", "NULL", "NULL"]
        with duckdb.connect() as connection:
            read = connection.execute(
                "SELECT a FROM read_csv($1, header := true, nullstr := 'NULL', allow_quoted_nulls := false)",
                [str(file)],
            ).fetchall()
        assert read == [("x",), (None,), ("",), ("NULL",), (None,)]
        assert len(pd.read_csv(file)) == 5
        told = pd.read_csv(file, keep_default_na=False, na_values=["NULL"])["a"]
        assert told.isna().tolist() == [False, True, False, True, True]

    def test_several_columns_of_csv_are_told_apart_by_those_who_can(self, tmp_path: Path) -> None:
        file = tmp_path / "two.csv"
        file.write_bytes(written(ResultFormat.CSV, self.LONE.append_column("b", self.LONE["a"])))
        with duckdb.connect() as connection:
            read = connection.execute(
                "SELECT a FROM read_csv($1, header := true, allow_quoted_nulls := false)", [str(file)]
            ).fetchall()
        assert read == [("x",), (None,), ("",), ("NULL",), (None,)]


class TestSpreadsheets:
    @pytest.mark.parametrize(
        ("text", "safe"),
        [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1+1", "'+1+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            ("\rx", "'\rx"),
            ("\uff1d1", "'\uff1d1"),
            ("\uff201", "'\uff201"),
            ("  =1", "'  =1"),
            ("\u200b=1", "'\u200b=1"),
            ('"=1', "'\"=1"),
            ("agent;=1", "agent;'=1"),
            ("agent\n =1", "agent\n' =1"),
            ("-infinity", "'-infinity"),
            ("-5", "-5"),
            ("+5.25", "+5.25"),
            ("-1e+300", "-1e+300"),
            ("a=b", "a=b"),
            ("Mozilla/5.0 (X11; Linux)", "Mozilla/5.0 (X11; Linux)"),
            ("a\r\nb", "a\r\nb"),
            ("", ""),
        ],
    )
    def test_no_text_begins_a_formula_and_numbers_stay_numbers(self, text: str, safe: str) -> None:
        assert without_formula(text) == safe

    @pytest.mark.parametrize("unit", ["\n", " ", "; ", "=", ";="])
    def test_a_megabyte_of_blanks_takes_no_long_time(self, unit: str) -> None:
        assert without_formula(unit * (1_000_000 // len(unit))).count("'") <= 500_000

    def test_names_of_columns_are_texts_too(self) -> None:
        assert written(ResultFormat.CSV, pa.table({"=1+1": [-5]}), spreadsheet_safe=True) == b"'=1+1\n-5\n"


if __name__ == "__main__":
    table = answer((GOLDEN / "hostile.sql").read_text(encoding="utf-8"))
    for name, (form, options) in FILES.items():
        (GOLDEN / name).write_bytes(written(form, table, **options))
