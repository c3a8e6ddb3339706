"""A saved query in another engine's SQL: one statement that reads again, and nothing of a value in it."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from archives import NOW, Archives, a_resource, empty_archive
from demo_archive import environment, run
from trailkeep import analysis
from trailkeep.analysis import Question
from trailkeep.catalog import open_catalog
from trailkeep.cli.dialects import Dialect as DialectOption
from trailkeep.engines import Dialect, Untranslatable, print_query
from trailkeep.engines.patterns import java_pattern, java_replacement
from trailkeep.errors import QueryError, UsageError
from trailkeep.queries import discover, load, parse, query_folders

if TYPE_CHECKING:
    from trailkeep.engines import Printed

SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))


STEP = int(os.environ.get("TRAILKEEP_DIALECT_STEP", "18"))
"""One of so many pairs of a query and a dialect is printed; 1 for all of them."""

SOME = [
    pytest.param(name, dialect, id=f"{name}-{dialect}")
    for first, name in enumerate(SHIPPED)
    for second, dialect in enumerate(Dialect)
    if (first + second) % STEP == 0
]

NOT_FOR_SPARK = {
    "access/new-networks": "ip_asn reads a database of this machine",
    "access/new-networks-of-applications": "ip_asn reads a database of this machine",
    "access/all-off-hours": "a time zone that is a parameter",
    "access/off-hours": "a time zone that is a parameter",
    "containment/blast-tree": "a recursion that drops what it has had",
    "defence/database-logs-purged": "JSON that is a value of its own",
    "defence/network-opened": "JSON that is a value of its own",
    "exfiltration/secrets-burst": "a length of time in microseconds",
}
"""Saved queries whose Spark text has something doubtful, which is said when it is printed."""


def printed(name: str, dialect: Dialect, **given: str) -> Printed:
    return print_query(Question.of(load(name, SHIPPED[name].path), given=given), dialect, NOW)


def of_sql(sql: str, dialect: Dialect, **given: object) -> Printed:
    return print_query(Question(sql=sql, given=given), dialect, NOW)


@pytest.mark.parametrize(("name", "dialect"), SOME)
def test_what_is_printed_is_one_statement_of_that_dialect(name: str, dialect: Dialect) -> None:
    text = printed(name, dialect).sql
    (tree,) = sqlglot.parse(text, dialect=dialect.value)
    assert isinstance(tree, exp.Query)
    # What only Trailkeep's own connection knows is written out.
    assert not re.search(r"\b(is_success|verb|user_agent_family|ip_in_cidr)\(", text, re.IGNORECASE)
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    assert "events" in ctes or not re.search(r"\bFROM events\b", text)


@pytest.mark.parametrize("name", sorted({*list(SHIPPED)[:: min(4, STEP)], *NOT_FOR_SPARK}))
def test_spark_s_text_of_a_shipped_query_has_nothing_doubtful(name: str) -> None:
    assert bool(printed(name, Dialect.SPARK).notes) == (name in NOT_FOR_SPARK)


def test_nearly_every_query_is_one_for_spark() -> None:
    assert len(NOT_FOR_SPARK) * 10 < len(SHIPPED)


class TestDuckDB:
    @pytest.mark.parametrize("name", ["access/login-failures", "scope/resource-history", "scope/address-activity"])
    def test_the_text_without_views_and_macros_gives_the_same_rows(self, tmp_path: Path, name: str) -> None:
        made = Archives(tmp_path / "data")
        for number in range(30):
            made.login(NOW, f"user {number % 3}", "failure", source_ip=f"192.0.2.{number % 2}")
            made.api(NOW, "CreateServer", resources=[a_resource("server", "one"), a_resource("server", "two")])
        archive = made.commit()
        saved = load(name, SHIPPED[name].path)
        values = {"address": "192.0.2.0/24", "resource": a_resource("server", "two")["id"]}
        given = {key: values[key] for key, each in saved.parameters.items() if each.required}
        question = Question.of(saved, given=given, until="2027-01-01")
        with analysis.open_result(archive, question, now=NOW) as result:
            expected = [row for batch in result.batches() for row in batch.to_pylist()]
            bound = result.parameters
        assert expected
        text = print_query(question, Dialect.DUCKDB, NOW).sql
        plain = duckdb.connect()
        with open_catalog(archive, archive.ledger()) as catalog:
            for table in ("api_events", "authentication_events", "system_events"):
                rows = catalog.connection.sql(f"FROM {table}").to_arrow_table()
                plain.register("rows_of_table", rows)
                plain.execute(f"CREATE TABLE {table} AS FROM rows_of_table")
        assert plain.sql(text, params=bound).to_arrow_table().to_pylist() == expected


class TestParameters:
    @pytest.mark.parametrize(
        ("dialect", "written"),
        [
            (Dialect.DUCKDB, "$minimum"),
            (Dialect.SPARK, ":minimum"),
            (Dialect.BIGQUERY, "@minimum"),
            (Dialect.CLICKHOUSE, "{minimum: Int64}"),
            (Dialect.SNOWFLAKE, ":minimum"),
        ],
    )
    def test_a_name_is_written_as_the_engine_writes_it(self, dialect: Dialect, written: str) -> None:
        body = printed("access/login-failures", dialect).sql.partition("WITH")[2]
        assert written in body

    def test_trino_has_no_names_so_they_are_told_in_their_order(self) -> None:
        sql = "SELECT $b AS x, $a AS y FROM (SELECT $c AS z) WHERE z = $b"
        text = of_sql(sql, Dialect.TRINO, a="1", b="2", c="3").sql
        assert text.count("?") == 4 + 1  # and once in the explanation
        assert re.findall(r"--   (\w) text = \"(\d)\"", text) == [("b", "2"), ("a", "1"), ("c", "3"), ("b", "2")]

    def test_values_and_defaults_are_told_and_a_required_one_may_be_missing(self) -> None:
        text = printed("access/login-failures", Dialect.SPARK, minimum="7").sql
        assert "--   minimum integer = 7\n" in text
        assert '--   since timestamp = "2025-12-01 12:00:00.000000"\n' in text
        assert "--   address text = give a value\n" in printed("scope/address-activity", Dialect.SPARK).sql

    @pytest.mark.parametrize("dialect", Dialect)
    @pytest.mark.parametrize(
        "value", ["x'; DROP TABLE a; --", "a\nDROP TABLE a", "*/ DROP /*", "\\'", "{x} :y $z ?", "\x1b[31m"]
    )
    def test_a_value_stays_on_its_line_of_comment(self, dialect: Dialect, value: str) -> None:
        text = of_sql("SELECT id FROM api_events WHERE id = $v", dialect, v=value).sql
        body = "".join(line for line in text.splitlines() if not line.startswith("--"))
        assert "DROP" not in body
        assert "\x1b" not in text
        (tree,) = sqlglot.parse(text, dialect=dialect.value)
        assert isinstance(tree, exp.Select)

    def test_a_title_stays_in_its_comment(self) -> None:
        saved = parse("x", Path("x.sql"), '/* ---\ntitle = "x"\n--- */\nSELECT 1 AS one')
        # Front matter has one line; other ways to make a query may not.
        saved = dataclasses.replace(saved, title="x\n\u2028DROP TABLE a; -- \x85*/ y")
        text = print_query(Question.of(saved), Dialect.TRINO, NOW).sql
        assert text.startswith("-- x DROP TABLE a; --  * / y\n")
        assert text.endswith("\nSELECT\n  1 AS one\n")

    @pytest.mark.parametrize("dialect", Dialect)
    def test_a_literal_keeps_its_quotes_and_backslashes(self, dialect: Dialect) -> None:
        text = of_sql("SELECT 'it''s \\ ''q' AS x", dialect).sql
        (tree,) = sqlglot.parse(text, dialect=dialect.value)
        assert tree is not None
        assert [each.name for each in tree.find_all(exp.Literal)] == ["it's \\ 'q"]


class TestTables:
    def test_where_a_table_lies_is_a_parameter_where_the_engine_has_such(self) -> None:
        written = {
            Dialect.SPARK: "IDENTIFIER(:table_api_events)",
            Dialect.CLICKHOUSE: "{table_api_events: Identifier}",
            Dialect.SNOWFLAKE: "IDENTIFIER(:table_api_events)",
        }
        for dialect, expected in written.items():
            assert f"FROM {expected}" in of_sql("SELECT id FROM api_events", dialect).sql

    @pytest.mark.parametrize("dialect", Dialect)
    def test_each_table_is_told(self, dialect: Dialect) -> None:
        text = of_sql("SELECT count(*) AS n FROM events, coverage", dialect).sql
        for table in ("api_events", "authentication_events", "system_events"):
            assert re.search(rf"--   {table}: .*ARCHIVE/{table}", text)
        assert "--   coverage: no Parquet in the archive" in text


class TestWhatCannotBeTranslated:
    def test_a_function_of_duckdb_is_named(self) -> None:
        for dialect in (Dialect.SPARK, Dialect.TRINO, Dialect.SNOWFLAKE):
            found = of_sql("SELECT list_cosine_similarity([1.0], [1.0]) AS x", dialect)
            assert any("list_cosine_similarity" in note for note in found.notes)
            assert "list_cosine_similarity" in found.sql.partition("Not translated")[2].partition("\nSELECT")[0]

    def test_a_frame_over_time_is_named_where_there_is_none(self) -> None:
        assert any("RANGE" in note for note in printed("impact/mass-deletes", Dialect.BIGQUERY).notes)

    def test_a_query_that_names_its_own_part_like_a_table_is_refused(self) -> None:
        with pytest.raises(Untranslatable, match="api_events"):
            of_sql("WITH api_events AS (SELECT id FROM main.api_events) SELECT * FROM api_events", Dialect.SPARK)

    @pytest.mark.parametrize("sql", ["DROP TABLE x", "SELECT 1; SELECT 2", "SELECT * FROM read_text('/etc/passwd')"])
    def test_the_guard_stands_before_printing_too(self, sql: str) -> None:
        with pytest.raises(QueryError):
            of_sql(sql, Dialect.SPARK)

    def test_a_value_of_the_wrong_type_is_refused(self) -> None:
        with pytest.raises(UsageError, match="minimum"):
            printed("access/login-failures", Dialect.SPARK, minimum="many")


class TestPatterns:
    @pytest.mark.parametrize(
        ("written", "java"),
        [
            ("^a.b$", r"(?d)^a.b\z"),
            (r"\$$", r"(?d)\$\z"),
            (r"[\s$]\s", r"(?d)[" + r"\t\n\f\r $][" + r"\t\n\f\r ]"),
            ("(?i)x", "(?d)(?iu)x"),
            ("[[a&&b]", r"(?d)[\[a\&\&b]"),
            ("[]a]", r"(?d)[\]a]"),
            ("(?P<n>x)", "(?d)(?<n>x)"),
        ],
    )
    def test_a_pattern_in_java_s_words(self, written: str, java: str) -> None:
        assert java_pattern(written) == java

    @pytest.mark.parametrize("written", ["[[:alpha:]]", r"\pN", "(?U)x", "[a", r"\C", "(?=x)"])
    def test_what_java_might_read_otherwise_is_refused(self, written: str) -> None:
        with pytest.raises(Untranslatable):
            java_pattern(written)

    def test_a_replacement(self) -> None:
        assert java_replacement(r"\1 costs $2 \\") == r"$1 costs \$2 \\"


class TestCommandLine:
    def test_stdout_is_only_the_sql_and_stderr_what_is_doubtful(self, tmp_path: Path) -> None:
        done = run(tmp_path, "query", "scope/address-activity", "--dialect", "snowflake", "--print")
        assert done.returncode == 0
        assert sqlglot.parse_one(done.stdout, dialect="snowflake")
        assert "warning: not translated, or not known to mean the same: ip_in_cidr: IPv4 only\n" in done.stderr

    def test_print_alone_is_duckdb(self, tmp_path: Path) -> None:
        done = run(tmp_path, "query", "--sql", "SELECT verb('GetX') AS v", "--print")
        assert (done.returncode, done.stderr) == (0, "")
        assert duckdb.sql(done.stdout).fetchall() == [("Get",)]

    @pytest.mark.parametrize(
        "options",
        [
            ["--dialect", "spark"],
            ["--print", "--engine", "spark"],
            ["--print", "--output", "x.sql"],
            ["--master", "local[1]"],
            ["--engine", "spark", "--sealed"],
            ["--engine", "spark", "--record", "x.json"],
        ],
    )
    def test_options_without_an_effect_are_refused(self, tmp_path: Path, options: list[str]) -> None:
        done = run(tmp_path, "query", "login-failures", *options)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert list(tmp_path.iterdir()) == []

    def test_without_pyspark_it_says_how_to_get_it(self, tmp_path: Path) -> None:
        empty_archive(tmp_path / "data")
        program = "import sys; sys.modules['pyspark'] = None; from trailkeep.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", program, "query", "login-failures", "--engine", "spark"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2
        assert 'pip install "trailkeep[spark]"' in done.stderr
        assert "Traceback" not in done.stderr

    def test_its_names_of_dialects_are_those_of_the_engines(self) -> None:
        assert [each.value for each in DialectOption] == [each.value for each in Dialect]
