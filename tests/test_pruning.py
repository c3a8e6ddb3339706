"""Which files a statement opens: those that can hold rows of use to it, and never one fewer."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from archives import Archives, a_resource, an_id, empty_archive
from trailkeep import schema
from trailkeep.analysis import Question, Stop
from trailkeep.analysis.explaining import Explanation, explain
from trailkeep.analysis.question import prepare
from trailkeep.analysis.result import asked_of, needs_of, open_for
from trailkeep.catalog import Catalog, Limits, open_catalog
from trailkeep.catalog.conditions import EVERYTHING, MAX_BOXES, Box, Texts, both, either, hull
from trailkeep.catalog.present import may_lose_its_zone
from trailkeep.catalog.pushed import Stand, boxes_of, conditions_of
from trailkeep.catalog.views import of_use
from trailkeep.cli.explaining import explain as write
from trailkeep.cli.results import ResultFormat
from trailkeep.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.store import Archive

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS = 10
"""From March 2025 on."""
LIMITS = Limits(memory="300MB", threads=1)

STAND = Stand(
    table="api_events",
    name="parts.s_api_events",
    columns={
        "s_id": "id",
        "s_recorded_at": "recorded_at",
        "s_source_ip": "source_ip",
        "s_region": "region",
        "s_resource_ids": "resource_ids",
        "s_resource": "resource",
    },
    time="recorded_at",
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Ten months of a few events of each kind, in two regions: 50 files."""
    making = Archives(tmp_path_factory.mktemp("pruning") / "archive")
    for month in range(MONTHS):
        for day in (1, 14, 28):
            at = datetime(2025, 3 + month, day, 12, 30, tzinfo=UTC)
            first = datetime(2025, 3 + month, 1, tzinfo=UTC)
            for region in ("fr-par", "nl-ams"):
                more: dict[str, Any] = {"source_ip": None} if day == 28 else {"source_ip": f"192.0.2.{month}"}
                making.api(
                    at if day > 1 else first,
                    "CreateServer" if day == 1 else "DeleteServer",
                    region,
                    principal_id=an_id(f"user {month % 3}"),
                    resources=[a_resource("instance_server", f"server {month}"), a_resource("disk", f"disk {day}")],
                    status_code=403 if day == 14 else 200,
                    **more,
                )
                making.add("system", region, at, {"kind": "cron", "system_name": "rotation"})
            making.login(at + timedelta(microseconds=day), f"user {month % 3}", "success" if day > 1 else "failure")
    making.add("iam", "fr-par", datetime(2025, 5, 5, tzinfo=UTC), {"action": "created"})
    return making.commit()


@pytest.fixture(scope="module")
def whole(archive: Archive) -> Iterator[Catalog]:
    """The archive with nothing left out."""
    with open_catalog(archive, archive.ledger(), limits=LIMITS) as catalog:
        yield catalog


def opened(archive: Archive, sql: str, parameters: dict[str, Any]) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """The answer with the files that are needed, and how many these are of each table."""
    prepared = prepare(Question(sql=sql, given=parameters), NOW)
    statement = prepared.statement
    with open_catalog(
        archive,
        archive.ledger(),
        limits=LIMITS,
        needs=needs_of(statement),
        asked=asked_of(prepared),
    ) as catalog:
        rows = catalog.connection.execute(statement.sql, prepared.parameters or None).fetchall()
        counts: dict[str, int] = {}
        for file in catalog.files.values():
            counts[file.table] = counts.get(file.table, 0) + 1
        return rows, counts


def same(archive: Archive, whole: Catalog, sql: str, **parameters: Any) -> dict[str, int]:
    """Ask with and without files left out, which makes no difference; gives how many files stayed."""
    rows, counts = opened(archive, sql, parameters)
    prepared = prepare(Question(sql=sql, given=parameters), NOW)
    wanted = whole.connection.execute(prepared.statement.sql, prepared.parameters or None).fetchall()
    assert sorted(map(repr, rows)) == sorted(map(repr, wanted))
    return counts


MAY = "recorded_at >= TIMESTAMP '2025-05-01' AND recorded_at < TIMESTAMP '2025-06-01'"
API, TWICE, EACH = (
    {"api_events": 2},
    {"api_events": 4},
    {"api_events": 2, "authentication_events": 1, "system_events": 2},
)
GIVEN = {
    "a": datetime.fromisoformat("2025-05-01"),
    "b": datetime.fromisoformat("2025-05-31"),
    "m": "2025-05",
    "nothing": None,
    "days": 1,
}
COUNTED = {
    f"SELECT id FROM api_events WHERE {MAY}": API,
    f"SELECT * FROM events WHERE {MAY}": EACH,
    "SELECT id FROM api_events WHERE month = '2025-05'": API,
    "SELECT id FROM api_events WHERE month >= '2025-05' AND month < '2025-07'": TWICE,
    "SELECT id FROM api_events WHERE month LIKE '2025-05%'": API,
    "SELECT id FROM api_events WHERE region = 'fr-par' AND month IN ('2025-05', '2025-06')": API,
    "SELECT id FROM events WHERE region = 'fr-par' AND kind = 'system'": {"system_events": MONTHS},
    "SELECT id FROM events WHERE region = 'it-mil'": {},
    "SELECT id FROM api_events WHERE recorded_at::DATE = '2025-05-14'": API,
    "SELECT id FROM api_events WHERE date_trunc('month', recorded_at) = '2025-05-01'": API,
    "SELECT id FROM api_events WHERE year(recorded_at) = 2024": {},
    "SELECT id FROM api_events WHERE recorded_at BETWEEN $a AND $b": API,
    "SELECT id FROM api_events WHERE recorded_at >= $a AND recorded_at < $a + INTERVAL 1 MONTH": API,
    "SELECT id FROM api_events WHERE month = $m": API,
    "SELECT id FROM api_events WHERE month = $nothing": {},
    f"WITH e AS (SELECT * FROM events) SELECT id FROM e WHERE {MAY}": EACH,
    f"WITH e AS MATERIALIZED (FROM events WHERE {MAY}) SELECT a.id FROM e a JOIN e b USING (id)": EACH,
    f"WITH e AS (FROM api_events WHERE {MAY}), f AS (FROM e) SELECT id FROM f WHERE id IN (SELECT id FROM e)": API,
    f"SELECT (SELECT count(*) FROM api_events b WHERE b.raw <> a.id AND {MAY}) FROM (SELECT 'x' AS id) a": API,
    f"SELECT id FROM (FROM event_resources WHERE {MAY}) JOIN (FROM api_events WHERE {MAY}) ON id = event_id": EACH,
    f"SELECT event_id FROM event_resources WHERE {MAY}": EACH,
    f"SELECT user_id FROM logins WHERE {MAY}": {"authentication_events": 1},
    "SELECT id FROM api_events WHERE month = '2025-03' OR month = '2025-12'": TWICE,
    "SELECT id FROM api_events WHERE recorded_at < '2025-04-01' OR recorded_at > '2025-12-01'": TWICE,
    f"SELECT id FROM api_events WHERE {MAY} UNION ALL SELECT id FROM api_events WHERE month = '2025-09'": TWICE,
    "SELECT id FROM api_events WHERE recorded_at >= '2025-05-28 12:30:00.000001' AND month = '2025-05'": {},
    "SELECT id FROM api_events WHERE recorded_at = '2025-05-28 12:30:00'": API,
    "SELECT id FROM api_events WHERE recorded_at < now()::TIMESTAMP - INTERVAL 1000 YEAR": {},
    "SELECT id FROM api_events WHERE recorded_at > now() - INTERVAL 1 HOUR": {},
    "SELECT id FROM events WHERE recorded_at >= current_timestamp - INTERVAL '1 hour'": {},
    "SELECT event_id FROM event_resources e WHERE e.recorded_at BETWEEN now() - INTERVAL ($days) DAY AND now()": {},
    "WITH e AS (FROM logins WHERE now() - INTERVAL 1 DAY < recorded_at) SELECT * FROM e": {},
    "SELECT id FROM events WHERE recorded_at::DATE = now()::DATE AND region = 'fr-par'": {},
    "SELECT id FROM api_events WHERE recorded_at >= date_trunc('day', now()) - INTERVAL 1 DAY": {},
    "SELECT id FROM api_events WHERE recorded_at >= current_date - 1": {},
    "SELECT id FROM api_events WHERE recorded_at >= today()": {},
    f"SELECT id FROM api_events WHERE recorded_at < now() AND {MAY}": API,
}


@pytest.mark.parametrize("sql", COUNTED)
def test_only_files_of_use_are_opened(archive: Archive, whole: Catalog, sql: str) -> None:
    assert (
        same(archive, whole, sql, **{name: value for name, value in GIVEN.items() if f"${name}" in sql}) == COUNTED[sql]
    )


COMPARED = [
    "recorded_at > now()",
    "now() <= e.recorded_at",
    "recorded_at > NOW ( ) - INTERVAL 7 DAY + to_hours(3)",
    "recorded_at::DATE = date_trunc('month', transaction_timestamp())",
    "recorded_at BETWEEN now() - INTERVAL ($days) DAY AND get_current_timestamp()::TIMESTAMP",
    "recorded_at < '2025-05-01' OR (recorded_at > now() - INTERVAL '90 minutes' AND id IN (SELECT 'now()'))",
]
USED_OTHERWISE = [
    "recorded_at > now() AT TIME ZONE 'Asia/Tokyo'",
    "now()::VARCHAR LIKE '%+00'",
    "typeof(now()) = 'TIMESTAMP'",
    "recorded_at > now() AND age(now()) > INTERVAL 1 DAY",
    "recorded_at > now() - INTERVAL '1 month 40 days'",
    "recorded_at > now() - recorded_at",
    "recorded_at > now() - $interval",
    "recorded_at > now() - to_days(extract(hour FROM recorded_at)::INTEGER)",
    "recorded_at IN (now(), now())",
    "recorded_at BETWEEN now() - INTERVAL 9 YEAR AND '2025-05-10 12:00:00+05'",
    "recorded_at > date_trunc('week', now())",
    "recorded_at > greatest(now(), now())",
    "user_agent > now()",
    "'2025-05-10 12:00:00+05' < now()",
    "TRY_CAST(recorded_at AS DATE) > now()",
    "recorded_at.x > now()",
    "recorded_at > now() AND len(list_filter(['x'], lambda recorded_at: recorded_at > now()::VARCHAR)) = 0",
    "recorded_at > now() AND id IN (SELECT recorded_at FROM (SELECT '2025-05-10 12:00:00+05' AS recorded_at))",
    "recorded_at > now() AND id IN (SELECT a FROM (VALUES ('2025')) AS t(recorded_at))",
    "recorded_at > now() AND id IN (SELECT COLUMNS('id') FROM api_events)",
    "recorded_at > now() AND id IN (SELECT unnest({'recor' || 'ded_at': 'x'}))",
]


@pytest.mark.parametrize(
    ("term", "plain"), [*((each, True) for each in COMPARED), *((each, False) for each in USED_OTHERWISE)]
)
def test_the_present_time_loses_its_zone_where_it_is_only_compared(term: str, *, plain: bool) -> None:
    sql = f"SELECT id, max(recorded_at) AS last FROM (SELECT * FROM events) AS e WHERE {term} GROUP BY id"
    [(tree,)] = duckdb.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchall()
    assert may_lose_its_zone(tree) is plain


@pytest.mark.parametrize("tree", ["", "{", "[]", "null", '{"error": true}', '{"error": false}', "[" * 100_000])
def test_a_tree_that_is_none_loses_nothing(tree: str) -> None:
    assert not may_lose_its_zone(tree)


def test_the_present_time_has_its_zone_again_when_the_statement_is_run(archive: Archive) -> None:
    prepared = prepare(Question(sql="SELECT id FROM api_events WHERE recorded_at > now() - INTERVAL 1 DAY"), NOW)
    with open_for(archive, archive.ledger(), prepared, NOW, LIMITS, Stop()) as catalog:
        assert not catalog.files
        for name in ("now()", "current_timestamp", "transaction_timestamp()"):
            [(kind,)] = catalog.connection.execute(f"SELECT typeof({name})").fetchall()
            assert kind == "TIMESTAMP WITH TIME ZONE"


def test_a_plan_too_deep_to_be_read_leaves_out_nothing(archive: Archive, whole: Catalog) -> None:
    steps = (f", a{step} AS (SELECT id FROM a{step - 1} LIMIT {1000 - step})" for step in range(1, 600))
    sql = f"WITH a0 AS (SELECT id FROM api_events WHERE month = '2025-05'){''.join(steps)} SELECT id FROM a599"
    assert same(archive, whole, sql) == {"api_events": 2 * MONTHS}


def test_an_explain_opens_what_its_query_does(archive: Archive) -> None:
    assert opened(archive, f"EXPLAIN SELECT id FROM api_events WHERE {MAY}", {})[1] == API


CORPUS = Path(__file__).with_name("pruning_corpus.sql").read_text(encoding="utf-8").splitlines()
HOSTILE = [
    re.sub(r"\{([a-z]+ \d+)\}", lambda found: an_id(found[1]), line).replace("\\n", "\n")
    for line in CORPUS
    if not line.startswith("--")
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_leaving_out_files_leaves_out_no_row(archive: Archive, whole: Catalog, sql: str) -> None:
    same(archive, whole, sql)


moments = st.sampled_from(
    [
        "2025-03-01",
        "2025-05-01",
        "2025-05-14 12:30:00",
        "2025-07-28 12:30:00.000028",
        "2025-12-28 12:30:00",
        "2027-01-01",
    ]
).map(lambda text: f"TIMESTAMP '{text}'")
signs = st.sampled_from(["=", "<", "<=", ">", ">=", "<>", "IS DISTINCT FROM"])
leaves = st.one_of(
    st.tuples(signs, moments).map(lambda each: f"t {each[0]} {each[1]}"),
    st.tuples(signs, moments).map(lambda each: f"{each[1]} {each[0]} t"),
    st.tuples(moments, moments).map(lambda each: f"t BETWEEN {each[0]} AND {each[1]}"),
    st.tuples(st.sampled_from(["hour", "day", "month", "year"]), signs, moments).map(
        lambda each: f"date_trunc('{each[0]}', t) {each[1]} {each[2]}"
    ),
    st.tuples(signs, st.sampled_from(["2025-05-14", "2025-08-01"])).map(lambda each: f"t::DATE {each[0]} '{each[1]}'"),
    signs.map(lambda sign: f"t {sign} $at"),
    signs.map(lambda sign: f"t {sign} TIMESTAMPTZ '2025-06-01 01:00:00+02'"),
    signs.map(lambda sign: f"month(t) {sign} 6"),
    st.tuples(signs, st.sampled_from(["fr-par", "nl-ams", "", "z"])).map(lambda each: f"r {each[0]} '{each[1]}'"),
    st.tuples(signs, st.sampled_from(["192.0.2.3", "x'y"])).map(
        lambda each: f"ip {each[0]} '{each[1].replace(chr(39), chr(39) * 2)}'"
    ),
    st.sampled_from(
        [
            *("ip IS NULL", "ip IS NOT NULL", "t IS NULL", "r IN ('fr-par', NULL)", "ip NOT IN ('192.0.2.3', NULL)"),
            *(
                "NULL",
                "true",
                "false",
                "t > NULL",
                "r LIKE 'fr%'",
                "k = 'api'",
                "k <> 'api'",
                "ip = CAST(NULL AS TEXT)",
            ),
            *("coalesce(ip, r) > 'b'", "len(ids) > 1", "t IN (TIMESTAMP '2025-05-14 12:30:00', NULL)"),
            f"list_contains(ids, '{an_id('server 4')}')",
            f"list_has_any(ids, ['{an_id('server 4')}', NULL])",
        ]
    ),
)
predicates = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda each: f"({each[0]} {each[1]} {each[2]})"),
        inner.map(lambda each: f"NOT ({each})"),
        inner.map(lambda each: f"({each}) IS NOT TRUE"),
        st.tuples(inner, inner, inner).map(lambda each: f"CASE WHEN {each[0]} THEN {each[1]} ELSE {each[2]} END"),
    ),
    max_leaves=4,
)
EVENTS = "(SELECT id AS i, recorded_at AS t, region AS r, source_ip AS ip, kind AS k, resource_ids AS ids FROM events)"
SHAPES = [
    "SELECT i, t FROM {e} WHERE {p}",
    "WITH e AS ({f}) SELECT a.i FROM e a JOIN (SELECT * FROM e WHERE {q}) b USING (i) WHERE a.{p1} OR {p2}",
    "WITH e AS MATERIALIZED ({f}) SELECT i FROM e WHERE {p} UNION ALL SELECT r FROM e WHERE {q}",
    "SELECT a.i, b.i FROM {e} a LEFT JOIN (SELECT * FROM {e} WHERE {q}) b ON a.t = b.t WHERE a.k = 'api'",
    "SELECT x.i, y.i FROM (FROM {e} WHERE {p}) x FULL JOIN (FROM {e} WHERE {q}) y ON x.t > y.t AND x.r = y.r",
    "SELECT i, n FROM (SELECT *, row_number() OVER (PARTITION BY r ORDER BY t, i) AS n FROM {e} WHERE {p}) WHERE {q}",
    "SELECT i FROM {e} WHERE {p} QUALIFY row_number() OVER (PARTITION BY k ORDER BY t DESC, i) <= 2",
    "SELECT r, t, count(*) FROM {e} WHERE {p} GROUP BY ALL HAVING t > TIMESTAMP '2025-06-01'",
    "SELECT i FROM {e} WHERE i IN (SELECT i FROM {e} WHERE {p}) AND NOT EXISTS (FROM {e} WHERE {q} AND k = 'api')",
    "SELECT o.i, (SELECT max(t) FROM {e} WHERE ({p}) AND i = o.i) FROM {e} o WHERE o.k = 'system'",
    "(SELECT i FROM {e} WHERE {p}) EXCEPT (SELECT i FROM {e} WHERE {q})",
    "SELECT DISTINCT ON (r) r, i FROM {e} WHERE {p} ORDER BY r, t, i",
    "SELECT i FROM {e} WHERE {p} ORDER BY t DESC, i LIMIT 3",
    "SELECT count(*) FILTER ({p}), count(*) FROM {e} WHERE {q}",
    "SELECT i FROM (SELECT i, r AS ip, t + INTERVAL 30 DAY AS t, ip AS r, k, ids FROM {e}) WHERE {p}",
]


@given(
    shape=st.sampled_from(SHAPES),
    one=predicates,
    other=predicates,
    at=st.sampled_from([None, "2025-05-14T12:30:00", "2025-06-01T00:00:00+02:00", "9999-12-31"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(shape=SHAPES[0], one="(t > $at OR ip = 'x''y')", other="true", at=None)
def test_whatever_is_asked_no_row_is_left_out(
    archive: Archive, whole: Catalog, shape: str, one: str, other: str, at: str | None
) -> None:
    sql = shape.format(
        e=EVENTS, f=f"FROM {EVENTS}", p=one, q=other, p1="t > TIMESTAMP '2025-06-01'", p2="a.r = 'fr-par'"
    )
    parameters = {"at": at and datetime.fromisoformat(at)} if "$at" in sql else {}
    same(archive, whole, sql, **parameters)


SINCE = datetime(2025, 5, 1, tzinfo=UTC)
READ_AS = {
    "(s_recorded_at >= '2025-05-01 00:00:00'::TIMESTAMP)": (Box(since=SINCE),),
    "((s_recorded_at > '2025-05-01 00:00:00'::TIMESTAMP) AND (s_region = 'a'))": (
        Box(since=SINCE, texts={"region": Texts(among=frozenset("a"))}),
    ),
    "((s_region = 'a') OR (s_region IN ('b', 'c''d')))": (
        Box(texts={"region": Texts(among=frozenset("a"))}),
        Box(texts={"region": Texts(among=frozenset({"b", "c'd"}))}),
    ),
    "optional: (s_region <= 'a')": (Box(texts={"region": Texts(before="a\0")}),),
    "(s_recorded_at BETWEEN '2025-05-01 00:00:00'::TIMESTAMP AND '2025-05-01 00:00:00'::TIMESTAMP)": (
        Box(since=SINCE, until=SINCE + timedelta(microseconds=1)),
    ),
    "list_contains(s_resource_ids, 'x')": (Box(texts={"resource_ids": Texts(among=frozenset("x"))}),),
    "(struct_extract(s_resource, 'id') = 'x')": (Box(texts={"resource_ids": Texts(among=frozenset("x"))}),),
    "(s_region = 'a')\n(s_id = 'b c')": (
        Box(texts={"region": Texts(among=frozenset("a")), "id": Texts(among=frozenset({"b c"}))}),
    ),
    "((s_region = 'a') AND (s_region = 'b'))": (),
}
NOT_READ = [
    "(region = 'a')",
    "((s_region = 'a') OR (unknown > 5))",
    "((s_region = 'a') OR optional: Dynamic Filter (s_id))",
    "(NOT (s_region = 'a'))",
    "(s_region != 'a')",
    "((s_region = 'a') IS DISTINCT FROM false)",
    "((s_region = 'a') = (s_id = 'b'))",
    "(s_region = 'a'::BLOB)",
    # Of a text's lines the engine leaves out those that are empty.
    "(s_region = 'a\nb')",
    "(s_region IN ('a', '\n'))",
    "(s_region >= '\na')",
    "(s_region = NULL)",
    "(s_region IN ('a', NULL))",
    "(s_recorded_at > 'infinity'::TIMESTAMP)",
    "(s_recorded_at > '0044-03-15 (BC) 00:00:00'::TIMESTAMP)",
    "(s_recorded_at > '290000-01-01 00:00:00'::TIMESTAMP)",
    "(s_recorded_at > '2025-05-01'::DATE)",
    "(s_recorded_at > 'x')",
    "(s_recorded_at <= '9999-12-31 23:59:59.999999'::TIMESTAMP)",
    "CASE WHEN ((s_region = 'a')) THEN (true) ELSE (s_id = 'b') END",
    "(list_filter(s_resource_ids, lambda x: (s_region = 'a')) = 'b')",
    "(s_region = 'a') OR",
    "OR (s_region = 'a')",
    "((s_region = 'a')",
    "(s_region = 'a'))",
    "[(s_region = 'a')]",
    "(s_region = 'a",
    "(\"s_region\" = 'a')",
    "((s_region = 'a') AND (s_id = 'b') OR (s_id = 'c'))",
    "(\x00s_region = 'a')",
    "(list_has_all(s_resource_ids, ['x']))",
    "(list_contains(s_region, 'x'))",
    "(struct_extract(s_resource, 'type') = 'x')",
    "(s_resource_ids = 'x')",
]


@pytest.mark.parametrize("text", READ_AS)
def test_a_condition_is_read(text: str) -> None:
    assert boxes_of(text, STAND) == READ_AS[text]


@pytest.mark.parametrize("text", NOT_READ)
def test_what_is_not_understood_is_no_condition(text: str) -> None:
    assert boxes_of(text, STAND) == EVERYTHING


def test_a_plan_with_an_unknown_operator_says_nothing() -> None:
    scan = {"name": "SEQ_SCAN", "extra_info": {"Table": "memory.parts.s_api_events", "Filters": "(s_region = 'a')"}}
    known = json.dumps([{"name": "FILTER", "children": [scan]}])
    assert conditions_of(known, [STAND]) == {"api_events": (Box(texts={"region": Texts(among=frozenset("a"))}),)}
    assert conditions_of(json.dumps([{"name": "NEW_JOIN", "children": [scan]}]), [STAND]) == {}
    assert conditions_of(json.dumps([{"name": "DUMMY_SCAN"}]), [STAND]) == {"api_events": ()}
    twice = json.dumps([{"name": "UNION", "children": [scan, {**scan, "extra_info": {"Table": "parts.s_api_events"}}]}])
    assert conditions_of(twice, [STAND]) == {"api_events": EVERYTHING}


def test_many_alternatives_become_one_that_takes_them_all() -> None:
    boxes = [
        (Box(since=SINCE + timedelta(days=day), texts={"region": Texts(among=frozenset({str(day)}))}),)
        for day in range(40)
    ]
    (one,) = either(boxes)
    assert len(boxes) > MAX_BOXES
    assert one == Box(since=SINCE, texts={"region": Texts(among=frozenset(map(str, range(40))))})
    assert hull((Box(since=SINCE), Box(until=SINCE))) == Box()
    assert both(either(boxes[:2]), (Box(until=SINCE + timedelta(days=1)),)) == (
        Box(since=SINCE, until=SINCE + timedelta(days=1), texts={"region": Texts(among=frozenset("0"))}),
    )


def explained(archive: Archive, sql: str, **asked: Any) -> Explanation:
    return explain(archive, Question(sql=sql, **asked), now=NOW, limits=LIMITS)


class TestExplain:
    def test_it_counts_files_row_groups_and_what_left_files_out(self, archive: Archive) -> None:
        (read,) = explained(archive, f"SELECT id FROM api_events WHERE {MAY} AND region = 'fr-par'").tables
        assert (read.table, read.files, read.files_there) == ("api_events", 1, 2 * MONTHS)
        assert (read.row_groups, read.row_groups_there) == (1, 1)
        assert 0 < read.bytes < read.bytes_there
        assert read.left_out_by == {"partition": MONTHS, "time": MONTHS - 1}

    def test_row_groups_are_ruled_out_by_their_footers(self, archive: Archive) -> None:
        asked = explained(archive, "SELECT id FROM api_events WHERE user_agent = 'nobody'", since="2025-05-01")
        (read,) = asked.tables
        assert read.row_groups == 0
        assert read.left_out_by["time"] >= 4

    def test_tables_that_are_not_asked_are_said(self, archive: Archive) -> None:
        tables = {each.table: each for each in explained(archive, "FROM events WHERE kind = 'authentication'").tables}
        assert tables["authentication_events"].files == MONTHS
        assert tables["api_events"].left_out_by == {"not read at all": 2 * MONTHS}

    def test_it_says_what_an_explain_in_sql_would(self, archive: Archive) -> None:
        one = explained(archive, f"SELECT id FROM api_events WHERE {MAY}")
        assert explained(archive, f"EXPLAIN SELECT id FROM api_events WHERE {MAY}") == one
        assert "Read Parquet" in one.plan
        assert one.tree[0]["name"]

    @pytest.mark.parametrize(
        ("sql", "error"), [("SELECT nope FROM events", "nope"), ("PIVOT events ON kind USING count(*)", "PIVOT")]
    )
    def test_what_cannot_be_planned_is_an_error(self, archive: Archive, sql: str, error: str) -> None:
        with pytest.raises(QueryError, match=error):
            explained(archive, sql)

    def test_it_is_written_as_text_and_as_json(self, archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
        question = Question(sql=f"SELECT 'a\x1b[2J' FROM api_events WHERE {MAY}")
        write(archive, question, NOW, LIMITS, form=ResultFormat.TABLE, stop=Stop())
        text = capsys.readouterr().out
        assert text.splitlines()[1].split()[:3] == ["api_events", "2", "20"]
        assert "\x1b" not in text
        write(archive, question, NOW, LIMITS, form=ResultFormat.JSON, stop=Stop())
        told = json.loads(capsys.readouterr().out)
        assert told["tables"][0]["files"] == 2
        assert told["plan"]

    def test_an_empty_archive_has_nothing_to_read(self, tmp_path: Path) -> None:
        empty = empty_archive(tmp_path / "empty")
        assert [each.files_there for each in explained(empty, "FROM events").tables] == [0, 0, 0]
        assert explained(empty, "SELECT 1").tables == ()


def test_lists_of_values_are_conditions_of_the_scan(archive: Archive, whole: Catalog) -> None:
    # Of IN alone the engine makes none, and decodes every column of every row.
    sql = "SELECT id, resources FROM api_events WHERE status_code > 0 AND user_agent IN ('a', 'b''c', 'x')"
    same(archive, whole, sql)
    table = schema.API_EVENTS
    taken = (Box(texts={"user_agent": Texts(among=frozenset({"a", "b'c"})), "region": Texts(among=frozenset("xy"))}),)
    assert of_use(table, taken) == ["(\"user_agent\" IN ('a', 'b''c')) IS TRUE"]
    assert of_use(table, (*taken, Box(since=SINCE))) == []
    assert of_use(table, (Box(texts={"user_agent": Texts(among=frozenset({"a", "b\0"}))}),)) == []
    assert of_use(table, ()) == []
