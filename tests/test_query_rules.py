"""The rules of saved queries: bounded in time, totally ordered, the same answer each time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trailkeep.queries.attack import mistake, techniques
from trailkeep.queries.bounds import unbounded
from trailkeep.queries.order import unordered
from trailkeep.queries.problems import line_and_column
from trailkeep.queries.repeatable import unrepeatable
from trailkeep.queries.row_keys import KEYS
from trailkeep.queries.tree import syntax_tree
from trailkeep.schema.relations import RELATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUNDS = "recorded_at >= $since AND recorded_at < $until"
TIMES = frozenset({"since", "until", "moment"})


def bounds_of(sql: str) -> list[str]:
    return [finding.message for finding in unbounded(syntax_tree(sql), TIMES)]


def is_total(sql: str) -> bool:
    return not unordered(syntax_tree(sql))


class TestTimeBounds:
    @pytest.mark.parametrize(
        "sql",
        [
            f"FROM api_events WHERE {BOUNDS}",
            "FROM api_events WHERE $since <= recorded_at AND $until > recorded_at",
            "SELECT 1 FROM events AS e WHERE (e.recorded_at >= $since - INTERVAL 1 DAY) AND e.recorded_at < $until",
            f"WITH e AS (SELECT * FROM events WHERE {BOUNDS}) SELECT * FROM e WHERE recorded_at > $x",
            f"WITH events AS (SELECT * FROM events WHERE {BOUNDS}) FROM events",
            (
                "SELECT 1 FROM api_events a JOIN events b ON b.recorded_at >= $since AND b.recorded_at < $until"
                " WHERE a.recorded_at >= $since AND a.recorded_at < $moment"
            ),
            "SELECT 1 FROM x LEFT JOIN events b ON b.recorded_at >= $since AND b.recorded_at < $until",
            "SELECT * FROM coverage",
            f"SELECT (SELECT count(*) FROM events WHERE {BOUNDS})",
        ],
    )
    def test_both_bounds_where_the_table_is_named(self, sql: str) -> None:
        assert bounds_of(sql) == []

    @pytest.mark.parametrize(
        ("sql", "said"),
        [
            ("FROM api_events", "no recorded_at >= $since and no recorded_at < $until"),
            ("FROM events WHERE recorded_at >= $since", "no recorded_at < $until"),
            (f"FROM events WHERE {BOUNDS} OR true", "no recorded_at >= $since"),
            (f"FROM events WHERE NOT ({BOUNDS})", "no recorded_at >= $since"),
            ("FROM events WHERE recorded_at BETWEEN $since AND $until", "BETWEEN counts the end too"),
            ("FROM events WHERE recorded_at > $since AND recorded_at < $until", "leaves out the first moment"),
            ("FROM events WHERE recorded_at >= $since AND recorded_at <= $until", "counts the end too"),
            ("FROM events WHERE recorded_at >= now() AND recorded_at < $until", "no recorded_at >= $since"),
            ("FROM events WHERE recorded_at >= $other AND recorded_at < $until", "no recorded_at >= $since"),
            ("FROM events WHERE recorded_at >= '2026-01-01' AND recorded_at < $until", "no recorded_at >= $since"),
            (f"SELECT * FROM (SELECT * FROM events) WHERE {BOUNDS}", "no recorded_at >= $since"),
            (f"WITH e AS (FROM main.events) FROM e WHERE {BOUNDS}", "no recorded_at >= $since"),
            (
                (
                    "SELECT 1 FROM api_events a JOIN events b ON a.id = b.id"
                    " WHERE a.recorded_at >= $since AND a.recorded_at < $until"
                ),
                "events is not bounded",
            ),
            (
                "SELECT 1 FROM events b LEFT JOIN x ON b.recorded_at >= $since AND b.recorded_at < $until",
                "events is not bounded",
            ),
            (
                (
                    "SELECT 1 FROM events e WHERE e.recorded_at >= $since AND e.recorded_at < $until"
                    " AND EXISTS (SELECT 1 FROM events f WHERE f.id = e.id AND f.recorded_at >= e.recorded_at)"
                ),
                "events is not bounded",
            ),
            ("SUMMARIZE events", "events is not bounded in time: it is read as a whole"),
            ("PIVOT events ON kind USING count(*)", "it is read as a whole"),
        ],
    )
    def test_what_is_missing_is_said(self, sql: str, said: str) -> None:
        (message,) = bounds_of(sql)
        assert said in message

    def test_the_place_is_the_table(self) -> None:
        sql = "SELECT 'é日'\r\n,\t1 FROM\r\n\tapi_events"
        (finding,) = unbounded(syntax_tree(sql), TIMES)
        assert line_and_column(sql, finding.offset) == (3, 2)

    def test_another_table_of_the_name_of_a_view_is_not_taken_for_it(self) -> None:
        sql = f"WITH a AS (FROM events), events AS (FROM api_events WHERE {BOUNDS}) FROM a"
        assert len(bounds_of(sql)) == 1


class TestTotalOrder:
    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT count(*) AS n, max(recorded_at) FROM events",
            "SELECT 1 AS one",
            "SELECT a, b FROM x ORDER BY ALL",
            "SELECT a, b FROM x ORDER BY b, a",
            "SELECT a, b + 1 AS c FROM x ORDER BY 2 DESC, 1",
            "SELECT recorded_at, id FROM api_events ORDER BY recorded_at DESC, id",
            "SELECT recorded_at, e.id AS i FROM events e ORDER BY i",
            "SELECT * FROM api_events ORDER BY recorded_at, id",
            "FROM event_resources ORDER BY recorded_at, event_id, position",
            "SELECT principal_id, count(*) FROM api_events GROUP BY ALL ORDER BY count(*) DESC, principal_id",
            "SELECT principal_id AS p, count(*) FROM api_events GROUP BY 1 ORDER BY p",
            "SELECT date_trunc('day', recorded_at) AS day, count(*) FROM events GROUP BY day ORDER BY day",
            "SELECT DISTINCT kind, region FROM events ORDER BY region, kind",
            "WITH e AS (SELECT id AS i, principal_id FROM api_events) SELECT * FROM e ORDER BY i",
            "WITH e AS (SELECT * FROM api_events) SELECT recorded_at FROM e ORDER BY recorded_at, id",
            (
                "WITH p AS (SELECT principal_id, count(*) AS n FROM api_events GROUP BY ALL)"
                " SELECT e.id, p.n FROM api_events e LEFT JOIN p ON p.principal_id = e.principal_id ORDER BY e.id"
            ),
            "SELECT a.id, b.id FROM api_events a JOIN events b ON a.source_ip = b.source_ip ORDER BY a.id, b.id",
            "SELECT a.id FROM api_events a JOIN events b ON a.id = b.id ORDER BY b.id",
            "SELECT id FROM api_events a SEMI JOIN events b ON a.source_ip = b.source_ip ORDER BY id",
            "SELECT a.id, count(*) FROM events a JOIN x b USING (source_ip) GROUP BY a.id, a.kind ORDER BY a.id",
            "(SELECT a FROM x UNION SELECT b FROM y) ORDER BY a",
            "SELECT seq FROM ledger ORDER BY seq",
        ],
    )
    def test_what_decides_the_place_of_every_row(self, sql: str) -> None:
        assert is_total(sql)

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT id FROM api_events",
            "SELECT recorded_at, principal_id, region FROM api_events ORDER BY recorded_at, principal_id",
            "SELECT id, region FROM api_events ORDER BY lower(id)",
            "SELECT event_id, recorded_at, resource_id FROM event_resources ORDER BY recorded_at, event_id",
            "SELECT id, unnest(resource_ids) AS r, kind FROM events ORDER BY id",
            "SELECT a.id, b.kind FROM api_events a JOIN events b ON a.source_ip = b.source_ip ORDER BY a.id",
            "SELECT a.id, b.kind FROM events b LEFT JOIN api_events a ON a.id = b.id ORDER BY a.id",
            "SELECT region, kind, count(*) AS n FROM events GROUP BY ALL ORDER BY n DESC, region",
            "SELECT region, kind, count(*) AS n FROM events GROUP BY ROLLUP (region, kind) ORDER BY region, kind",
            "SELECT id, kind FROM (SELECT id, kind FROM events UNION ALL SELECT id, kind FROM events) ORDER BY id",
            "WITH RECURSIVE r AS (SELECT 1 AS id, 2 AS b UNION ALL FROM r) SELECT id, b FROM r ORDER BY id",
            "WITH api_events AS (SELECT 1 AS id, unnest([1, 2]) AS x) SELECT id, x FROM api_events ORDER BY id",
            "SELECT id, u.r FROM events, unnest(resource_ids) AS u(r) ORDER BY id",
            "SELECT id, count(*) OVER () AS n, kind FROM x ORDER BY id",
            "SELECT id AS kind, kind AS id, region FROM events ORDER BY id",
        ],
    )
    def test_what_leaves_rows_that_tie(self, sql: str) -> None:
        assert not is_total(sql)

    def test_the_place_is_the_order_or_the_select(self) -> None:
        sql = "WITH a AS (\nSELECT 1 FROM z)\nSELECT x, y\nFROM a\nORDER BY x"
        (finding,) = unordered(syntax_tree(sql))
        assert line_and_column(sql, finding.offset)[0] == 5
        (finding,) = unordered(syntax_tree(sql.partition("ORDER")[0]))
        assert line_and_column(sql, finding.offset)[0] == 3

    def test_a_key_names_columns_that_there_are(self) -> None:
        for name, key in KEYS.items():
            assert key <= {column.name for column in RELATIONS[name].columns}


COLUMNS = ("id", "region", "source_ip")
ORDERED = st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=3, unique=True)


@st.composite
def ordered_queries(draw: st.DrawFn) -> str:
    """Queries over two tables with many ties, ordered by some of what they name."""
    columns = draw(ORDERED)
    shape = draw(st.sampled_from(["plain", "named", "grouped", "joined", "left", "distinct", "grouped join"]))
    if shape == "plain":
        return f"SELECT {', '.join(columns)} FROM api_events ORDER BY {', '.join(draw(ORDERED))}"
    if shape == "named":
        inner = draw(ORDERED)
        assume(set(columns) <= set(inner))
        selected = f"SELECT {', '.join(inner)} FROM events"
        order = draw(st.lists(st.sampled_from(inner), min_size=1, unique=True))
        return f"WITH e AS ({selected}) SELECT {', '.join(columns)} FROM e ORDER BY {', '.join(order)}"
    if shape == "grouped":
        order = draw(st.lists(st.sampled_from([*columns, "n"]), min_size=1, unique=True))
        return f"SELECT {', '.join(columns)}, count(*) AS n FROM events GROUP BY ALL ORDER BY {', '.join(order)}"
    if shape == "distinct":
        order = draw(st.lists(st.sampled_from(columns), min_size=1, unique=True))
        return f"SELECT DISTINCT {', '.join(columns)} FROM events ORDER BY {', '.join(order)}"
    qualified = [f"{table}.{column}" for table in "ab" for column in COLUMNS]
    order = draw(st.lists(st.sampled_from(qualified), min_size=1, max_size=4, unique=True))
    on = draw(st.sampled_from(COLUMNS))
    join = "LEFT JOIN" if shape == "left" else "JOIN"
    source = f"api_events a {join} events b ON a.{on} = b.{on}"
    if shape == "grouped join":
        grouped = draw(st.lists(st.sampled_from(qualified), min_size=1, max_size=4, unique=True))
        order = draw(st.lists(st.sampled_from(grouped), min_size=1, unique=True))
        selected = ", ".join(f"{each} AS {each.replace('.', '_')}" for each in grouped)
        return (
            f"SELECT {selected}, count(*) AS n FROM {source} GROUP BY {', '.join(grouped)} ORDER BY {', '.join(order)}"
        )
    return f"SELECT a.id AS x, a.region AS y, b.id AS z, b.source_ip AS w FROM {source} ORDER BY {', '.join(order)}"


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


@given(sql=ordered_queries().filter(is_total), seed=st.integers(0, 2**16))
def test_an_order_that_is_called_total_gives_the_same_rows_however_they_lie(
    engine: duckdb.DuckDBPyConnection, sql: str, seed: int
) -> None:
    chance = random.Random(seed)
    rows = [f"('{n}', '{chance.choice('xy')}', '{chance.choice('pq')}')" for n in range(8)]
    results = []
    for lying in (rows, rows[::-1]):
        for table in ("api_events", "events"):
            values = f"(VALUES {', '.join(lying)}) AS v (id, region, source_ip)"
            engine.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {values}")
        results.append(engine.execute(sql).fetchall())
    assert results[0] == results[1]


class TestTheSameAnswerEachTime:
    @pytest.mark.parametrize(
        ("sql", "said"),
        [
            ("SELECT now()", "now is another moment"),
            ("SELECT current_date", "current_date is another moment"),
            ("SELECT random()", "another value"),
            ("SELECT uuid()", "another value"),
            ("SELECT list(a) FROM x", "without ORDER BY takes the rows in any order"),
            ("SELECT string_agg(a, ',') FROM x", "without ORDER BY"),
            ("SELECT any_value(a) FROM x", "without ORDER BY"),
            ("SELECT first(a) FROM x", "without ORDER BY"),
            ("SELECT len(list(a)) FROM x", "without ORDER BY"),
            ("SELECT row_number() OVER (PARTITION BY a) FROM x", "without ORDER BY takes any order"),
            ("SELECT * FROM (SELECT a FROM x LIMIT 3) ORDER BY ALL", "LIMIT without ORDER BY"),
            ("SELECT a FROM x USING SAMPLE 5 ORDER BY ALL", "a sample"),
        ],
    )
    def test_what_differs_from_run_to_run(self, sql: str, said: str) -> None:
        assert any(said in finding.message for finding in unrepeatable(syntax_tree(sql)))

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT list(a ORDER BY b) FROM x",
            "SELECT list_sort(list(DISTINCT a) FILTER (WHERE a IS NOT NULL)) FROM x",
            "SELECT lag(a) OVER (ORDER BY b), row_number() OVER w FROM x WINDOW w AS (ORDER BY a)",
            "SELECT a FROM x ORDER BY a LIMIT 3",
            "SELECT string_agg(a, ',' ORDER BY a) FROM x",
            "SELECT count(*), sum(a), min(b), count(DISTINCT c) FROM x",
        ],
    )
    def test_what_does_not(self, sql: str) -> None:
        assert unrepeatable(syntax_tree(sql)) == []


class TestAttack:
    def test_an_id_of_the_list_is_none(self) -> None:
        assert mistake("T1098.001") is None
        assert len(techniques()) > 600

    @pytest.mark.parametrize(
        ("technique", "hint"),
        [
            ("T1562.008", "Write T1685.002 (Disable or Modify Cloud Log)"),
            ("T1562.001", "Did you mean T1685 ("),
            ("T1098.100", "Did you mean T1098.00"),
            ("T1O98", "pinned"),
        ],
    )
    def test_another_names_what_to_write(self, technique: str, hint: str) -> None:
        wrong = mistake(technique)
        assert wrong is not None
        assert "ATT&CK v19 has no" in wrong[0]
        assert hint in wrong[1]

    def test_what_an_id_moved_to_is_on_the_list(self) -> None:
        for technique in techniques().values():
            assert technique.moved_to is None or mistake(technique.moved_to) is None


def test_places_are_counted_in_characters() -> None:
    assert line_and_column("é\r\n\tx", 4) == (2, 2)
