"""The guard: what may run, and that what may run can neither write nor read outside the archive."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import NOW, Archives, a_resource
from corpus import Case, cases
from trailkeep.analysis import Question, open_result
from trailkeep.catalog import Limits, open_catalog
from trailkeep.errors import ExitCode, QueryError, TrailkeepError
from trailkeep.guard import MAX_SQL_CHARACTERS, check, may_be_objected_to, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trailkeep.store import Archive

SECRET = "the-secret-beside-the-archive"
CASES = cases()


def fingerprint(folder: Path) -> dict[str, str]:
    """Every path below `folder` with its mode and content."""
    return {
        path.relative_to(folder).as_posix(): f"{path.stat().st_mode:o} "
        + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    rows = Archives(tmp_path / "archive")
    rows.api(NOW, "CreateServer", resources=[a_resource("instance_server", "web")], body={"name": "web"})
    rows.login(NOW, "alice")
    rows.system(NOW)
    return rows.commit()


@pytest.fixture
def places(archive: Archive, tmp_path: Path) -> dict[str, str]:
    outside = tmp_path / "outside.csv"
    outside.write_text(f"a,b\n{SECRET},{SECRET}\n")
    live = next((archive.path / "api_events").rglob("*.parquet"))
    return {"archive": str(archive.path), "live": str(live), "outside": str(outside)}


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    assert len(CASES) >= 200
    assert sum(case.accept for case in CASES) >= 70


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"line-{case.line}")
def test_the_verdict_is_the_corpus_s(case: Case) -> None:
    sql = case.sql(archive="/srv/archive", live="/srv/archive/api_events/x.parquet", outside="/srv/secret.csv")
    if case.accept:
        assert check(sql).sql
        return
    with pytest.raises(QueryError) as caught:
        check(sql)
    assert caught.value.exit_code == ExitCode.QUERY
    assert caught.value.hint


def rows_of_all(archive: Archive, statements: list[str]) -> Iterator[str]:
    """What one connection gives for each of them, one after another."""
    with open_catalog(archive, archive.ledger(), limits=Limits(memory="256MiB", threads=1)) as catalog:
        for sql in statements:
            yield str(catalog.connection.sql(sql).to_arrow_table().to_pydict())


def test_nothing_that_is_accepted_changes_the_connection_for_the_next(
    archive: Archive, places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "cwd"
    beside.mkdir()
    (beside / "x.csv").write_text(f"a\n{SECRET}\n")
    monkeypatch.chdir(beside)
    before = fingerprint(tmp_path)
    accepted = [check(case.sql(**places)).sql for case in CASES if case.accept]
    for rows, sql in zip(rows_of_all(archive, accepted), accepted, strict=True):
        assert SECRET not in rows, sql
    assert fingerprint(tmp_path) == before


@pytest.mark.parametrize("sealed", [False, True])
def test_nothing_that_is_accepted_changes_a_byte_or_reads_outside(
    archive: Archive, places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sealed: bool
) -> None:
    beside = tmp_path / "cwd"
    beside.mkdir()
    (beside / "x.csv").write_text(f"a\n{SECRET}\n")
    monkeypatch.chdir(beside)
    before = fingerprint(tmp_path)
    ran = 0
    # On a connection of its own, as it is asked; all of them run on one connection above.
    cases = CASES[sealed::4]
    for case in cases:
        try:
            statement = check(case.sql(**places))
        except QueryError:
            continue
        # By its checked text, as everything is run.
        question = Question(sql=statement.sql)
        with open_result(
            archive, question, now=NOW, limits=Limits(memory="256MiB", threads=1, sealed=sealed)
        ) as result:
            for batch in result.batches():
                assert SECRET not in str(batch.to_pydict()), case.text
        ran += 1
    assert ran == sum(case.accept for case in cases)
    assert fingerprint(tmp_path) == before


def verdict(sql: str) -> str:
    try:
        return check(sql).sql
    except QueryError as error:
        return f"refused: {error.message}"


STEP = int(os.environ.get("TRAILKEEP_GUARD_STEP", "4"))
"""Of so many texts of the corpus one is given to both parsers; 1 for all of them."""


def test_the_second_parser_is_asked_wherever_it_would_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving it out where the text has nothing that it could object to changes no verdict."""
    texts = [
        case.sql(archive="/srv/archive", live="/srv/a.parquet", outside="/srv/secret.csv") for case in CASES[::STEP]
    ]
    quick = [verdict(text) for text in texts]
    assert sum(not may_be_objected_to(text) for text in texts) > 20
    monkeypatch.setattr("trailkeep.guard.checking.may_be_objected_to", lambda _sql: True)
    monkeypatch.setattr("trailkeep.guard.checking._ACCEPTED", {})
    assert [verdict(text) for text in texts] == quick


_WORDS = (
    "SELECT FROM WHERE WITH AS a b events ledger ( ) , * 1 'x' 'x.csv' '/etc/passwd' \"y.csv\" = IN NOT GLOB LIKE "
    "JOIN ON COPY DELETE INSERT INTO UPDATE SET DROP VIEW TO REPLACE read_text getenv glob range unnest /* */ -- \n ; "
    "$$ . e.x UNION ALL PIVOT USING count(*) GROUP BY LATERAL VALUES DESCRIBE SHOW x.csv read_csv('x') x: [ ] { } \\"
).split(" ")


@given(words=st.lists(st.sampled_from(_WORDS), min_size=1, max_size=12))
def test_no_sequence_of_words_passes_for_want_of_the_second_parser(words: list[str]) -> None:
    for text in (
        " ".join(words),
        f"SELECT * FROM events WHERE {' '.join(words)}",
        f"FROM (SELECT 1) a, {' '.join(words)}",
    ):
        if not may_be_objected_to(text):
            quick = verdict(text)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("trailkeep.guard.checking.may_be_objected_to", lambda _sql: True)
                patch.setattr("trailkeep.guard.checking._ACCEPTED", {})
                assert verdict(text) == quick


def test_a_statement_tells_what_it_needs_to_know_of_the_archive() -> None:
    statement = check("WITH a AS (FROM events) SELECT verb(action) FROM a, range(3)")
    assert statement.common == {"a"}
    assert {"verb", "range"} <= statement.functions
    assert statement.is_select
    assert not statement.asks_what_there_is
    for text in ("SHOW TABLES", "FROM duckdb_views()", "DESCRIBE events", "PIVOT events ON kind USING count(*)"):
        assert check(text).asks_what_there_is
    assert not check("EXPLAIN SELECT 1").is_select


def test_statements_are_checked_on_several_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: check(f"SELECT {n}").sql, range(200))) == [f"SELECT {n}" for n in range(200)]


def test_the_locked_connection_alone_keeps_sql_inside(archive: Archive, places: dict[str, str], tmp_path: Path) -> None:
    """The last layer, without those before it: nothing outside the live files is read or written."""
    from trailkeep.catalog import open_catalog

    before = fingerprint(tmp_path)
    statements = [
        f"FROM read_text('{places['outside']}')",
        f"FROM '{places['outside']}'",
        f"FROM glob('{places['archive']}/*')",
        f"COPY (SELECT 1) TO '{tmp_path}/new.csv'",
        f"COPY (SELECT 1) TO '{places['archive']}/new.parquet'",
        f"ATTACH '{tmp_path}/x.db'",
        f"EXPORT DATABASE '{tmp_path}/export'",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/']",
        "INSTALL httpfs",
        "FROM places",
    ]
    import duckdb

    with open_catalog(archive, archive.ledger()) as catalog:
        for sql in statements:
            with pytest.raises(duckdb.Error):
                catalog.connection.sql(sql).fetchall()  # type: ignore[union-attr]
    assert fingerprint(tmp_path) == before


def test_a_python_variable_is_not_a_table(archive: Archive) -> None:
    import pyarrow as pa

    leaked = pa.table({"secret": [SECRET]})
    with pytest.raises(QueryError, match="there is no table 'leaked'"):
        open_result(archive, Question(sql="SELECT * FROM leaked"), now=NOW)
    assert leaked.num_rows == 1


def test_a_text_longer_than_the_limit_is_refused_unparsed() -> None:
    with pytest.raises(QueryError, match="characters, more than"):
        check("SELECT '" + "x" * MAX_SQL_CHARACTERS + "'")


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(QueryError, match="not valid Unicode"):
        check("SELECT '\ud800'")


def test_a_syntax_error_says_where() -> None:
    with pytest.raises(QueryError, match=r"^line 3, column 7: syntax error"):
        check("SELECT 1,\n\n  2 + FROM FROM t")
    with pytest.raises(QueryError, match=r"^q\.sql:1:8: syntax error"):
        check("SELECT , 1", source="q.sql")


def test_a_refusal_names_the_file() -> None:
    with pytest.raises(QueryError, match=r"^q\.sql: the SQL was refused: this is a DROP statement"):
        check("DROP TABLE x", source="q.sql")


def test_parameters_and_tables_are_reported() -> None:
    statement = check("WITH a AS (FROM events) SELECT $x, $since FROM a JOIN main.ledger ON seq = $x")
    assert statement.parameters == {"x", "since"}
    assert statement.tables is not None
    assert {"events", "ledger"} <= statement.tables


def test_an_explain_is_rebuilt_around_the_checked_text() -> None:
    assert check("/* a */ explain /* b */ analyze select 1").sql == "EXPLAIN ANALYZE select 1"
    assert check("EXPLAIN (ANALYZE, FORMAT json) SELECT 1").sql == "EXPLAIN (ANALYZE, FORMAT json) SELECT 1"


def test_checking_asks_nothing_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check("FROM events")
    with pytest.raises(TrailkeepError):
        check("COPY (SELECT 1) TO 'x.csv'")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.parametrize(
    ("sql", "message", "place"),
    [
        ("select a", "Binder Error: x\n\nLINE 1: select a\n               ^", (1, 8)),
        ("a\nbb cc", "x\nLINE 2: bb cc\n           ^", (2, 4)),
        ("a", "no place", None),
        ("a", "x\nLINE 9: a\n        ^", None),
    ],
)
def test_a_place_is_read_from_the_engine_s_message(sql: str, message: str, place: tuple[int, int] | None) -> None:
    assert place_of(sql, message) == place
