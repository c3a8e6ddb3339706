"""Spark reads exactly the live files, wherever the archive lies, and says what is wrong with one."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from comparing import compare, rows_of

from archives import NOW, Archives, empty_archive
from demo_archive import DemoArchive, run
from trailkeep.analysis import Question, Stop
from trailkeep.engines import Dialect, print_query, spark
from trailkeep.engines.spark_session import session_of
from trailkeep.errors import Interrupted, QueryError, TrailkeepError
from trailkeep.queries import discover, load, query_folders
from trailkeep.store import Archive

EVERYTHING = Question(sql="SELECT * EXCLUDE (resources) FROM api_events ORDER BY recorded_at, id")
SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))


def some_events(path: Path) -> Archive:
    made = Archives(path)
    for number in range(6):
        made.api(NOW - timedelta(days=20 * number), "CreateServer", region=["fr-par", "nl-ams"][number % 2])
    return made.commit()


@pytest.mark.parametrize("name", ["a folder", "per%20cent%", "key=value", "organization_id=x", "it's: #1 & é"])
def test_an_archive_is_read_wherever_it_lies(tmp_path: Path, name: str) -> None:
    found = compare(some_events(tmp_path / name / "data"), EVERYTHING, NOW)
    assert (found.refused, found.difference, found.rows) == (None, None, 6)


def test_files_that_are_not_live_are_not_read_and_staged_ones_are(tmp_path: Path) -> None:
    archive = some_events(tmp_path / "data")
    files = sorted(archive.path.glob("api_events/**/*.parquet"))
    files[0].parent.chmod(0o700)
    shutil.copy(files[0], files[0].parent / "zz_stranger.parquet")
    live = next(
        file for file in archive.ledger().live.values() if file.record.path == str(files[1].relative_to(archive.path))
    )
    staged = archive.path / live.staged
    staged.parent.mkdir(parents=True)
    files[1].rename(staged)
    found = compare(archive, EVERYTHING, NOW)
    assert (found.refused, found.difference, found.rows) == (None, None, 6)


# The types of all are compared on the demo's rows.
@pytest.mark.parametrize("name", list(SHIPPED)[::4])
def test_an_archive_that_holds_nothing_gives_the_columns_and_no_row(tmp_path: Path, name: str) -> None:
    saved = load(name, SHIPPED[name].path)
    given = {key: "00000000-0000-4000-8000-000000000000" for key, each in saved.parameters.items() if each.required}
    if any(each.required and each.type != "uuid" for each in saved.parameters.values()):
        given = dict.fromkeys(given, "203.0.113.1")
    if any(each.type == "ioc_file" for each in saved.parameters.values()):
        (tmp_path / "list").write_text("203.0.113.1\n")
        given = dict.fromkeys(given, str(tmp_path / "list"))
    found = compare(empty_archive(tmp_path / "data"), Question.of(saved, given=given), NOW)
    assert (found.refused, found.difference, found.rows) == (None, None, 0)


def test_a_file_that_lost_its_end_is_named(tmp_path: Path) -> None:
    archive = some_events(tmp_path / "data")
    file = min(archive.path.glob("api_events/**/*.parquet"))
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(TrailkeepError, match=file.name) as caught:
        spark.open_result(archive, EVERYTHING, now=NOW)
    assert caught.value.exit_code in (4, 5)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT hash(id) FROM api_events", "hash"),
        ("SELECT * FROM api_events AS a ASOF JOIN api_events AS b ON a.recorded_at >= b.recorded_at", "method"),
        ("SELECT first(id) FROM api_events", "leaves open"),
        ("SELECT regexp_matches(id, '[[:alpha:]]') FROM api_events", "by name"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r", "UNION ALL"),
        ("SELECT request_body->'a' FROM api_events", "JSON as a value"),
        ("SELECT count(*) OVER (ORDER BY id ROWS 1 PRECEDING EXCLUDE CURRENT ROW) FROM api_events", "exclude"),
        ("SELECT now()", "now"),
    ],
)
def test_what_spark_has_not_is_refused_with_its_name(tmp_path: Path, sql: str, told: str) -> None:
    with pytest.raises(QueryError, match="cannot be said") as caught:
        spark.open_result(empty_archive(tmp_path / "data"), Question(sql=sql), now=NOW)
    assert told.lower() in caught.value.message.lower()


def test_the_guard_stands_before_spark_too(tmp_path: Path) -> None:
    archive = empty_archive(tmp_path / "data")
    for sql in ("SELECT * FROM read_text('/etc/passwd')", "DROP TABLE x", "SELECT * FROM 'x.parquet'"):
        with pytest.raises(QueryError, match="refused"):
            spark.open_result(archive, Question(sql=sql), now=NOW)


def test_a_text_that_is_no_json_ends_the_query(tmp_path: Path) -> None:
    made = Archives(tmp_path / "data")
    made.api(NOW, "CreateServer", raw='{"a": ')
    with pytest.raises(QueryError, match="not JSON"):
        spark.open_result(made.commit(), Question(sql="SELECT raw->>'a' AS a FROM api_events"), now=NOW + timedelta(1))


def test_a_query_can_be_stopped(tmp_path: Path) -> None:
    stop = Stop()
    stop()
    with pytest.raises(Interrupted):
        spark.open_result(empty_archive(tmp_path / "data"), EVERYTHING, now=NOW, stop=stop)


def test_what_is_printed_runs_on_a_folder_of_parquet(demo: DemoArchive) -> None:
    saved = load("access/login-failures", SHIPPED["access/login-failures"].path)
    printed = print_query(Question.of(saved), Dialect.SPARK, NOW)
    assert not printed.notes
    values = {"since": "2000-01-01 00:00:00", "until": "2100-01-01 00:00:00", "minimum": 5}
    where = {"table_authentication_events": f"parquet.`{demo.path}/authentication_events`"}
    rows = session_of(None).sql(printed.sql, args=values | where).toArrow()
    expected = rows_of(
        spark.open_result(Archive.open(demo.path), Question.of(saved, since="2000-01-01"), now=NOW.replace(year=2100))
    )
    assert rows.column("source_ip").to_pylist() == [row["source_ip"] for row in expected[1]]


class TestCommandLine:
    def test_bytes_are_those_of_duckdb_and_nothing_else_is_said(self, demo: DemoArchive, tmp_path: Path) -> None:
        asked = (
            "--archive",
            str(demo.path),
            "query",
            "access/login-failures",
            "--format",
            "csv",
            "--until",
            "2100-01-01",
        )
        expected = run(tmp_path, *asked)
        done = run(tmp_path, *asked, "--engine", "spark", "--master", "local[1]")
        assert (done.returncode, done.stdout) == (0, expected.stdout)
        assert done.stderr == expected.stderr
        assert list(tmp_path.iterdir()) == []

    def test_without_java_it_says_so(self, demo: DemoArchive, tmp_path: Path) -> None:
        done = run(
            tmp_path,
            "--archive",
            str(demo.path),
            "query",
            "access/login-failures",
            "--engine",
            "spark",
            PATH=str(tmp_path),
            JAVA_HOME=str(tmp_path),
        )
        assert done.returncode == 2
        assert "needs Java" in done.stderr
        assert "Traceback" not in done.stderr
