"""What investigations ask, beyond the saved queries of today: DuckDB and Spark answer alike."""

# ruff: noqa: E501 - SQL has its own lines

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from comparing import compare, sample

from archives import NOW, Archives, a_resource
from trailkeep.analysis import Question
from trailkeep.store import Archive

HOSTILE = [
    "it's",
    'say "no"',
    "back\\slash",
    "\\'; DROP TABLE x; --",
    "per%cent_",
    "line\nfeed",
    "tab\t",
    "é€😀",
    "",
    "$x :y {z} ?",
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Events of many shapes, some of them hostile, over three months and two regions."""
    made = Archives(tmp_path_factory.mktemp("spark") / "data")
    methods = ["CreateServer", "DeleteServer", "CreateAPIKey", "ListUsers", "UpdatePolicy", "AddRules"]
    for number in range(240):
        at = NOW - timedelta(days=number % 70, minutes=7 * number, microseconds=number)
        body: dict[str, Any] = (
            {"application_id": f"app-{number % 5}"} if number % 3 else {"applicationId": f"app-{number % 4}"}
        )
        body |= {"rules": [{"port": number % 7, "name": None}, {"name": f"r{number}"}, "text"], "size": number / 4}
        body |= {"deep": {"b": [1, {"c": True}], "a": None}, "list": ["x", 1, None]}
        made.api(
            at,
            methods[number % len(methods)],
            region=["fr-par", "nl-ams"][number % 2],
            body=body,
            principal_id=None if number % 11 == 0 else f"principal-{number % 6}",
            source_ip=None
            if number % 7 == 0
            else [f"192.0.2.{number % 200}", f"2001:db8::{number:x}", "::ffff:192.0.2.9"][number % 3],
            status_code=[200, 202, 403, 500, None][number % 5],
            user_agent=HOSTILE[number % len(HOSTILE)],
            product_name=["instance", "iam", None][number % 3],
            resources=None if number % 13 == 0 else [a_resource("server", f"r{each}") for each in range(number % 4)],
        )
    for number in range(40):
        at = NOW - timedelta(hours=number)
        made.login(
            at, f"user-{number % 3}", "failure" if number % 4 else "success", source_ip=f"198.51.100.{number % 5}"
        )
    made.system(NOW - timedelta(days=2))
    return made.commit()


PROBES = {
    "sessions by gap": """
        WITH marked AS (
            SELECT principal_id, recorded_at, id,
                CASE WHEN recorded_at - lag(recorded_at) OVER w > INTERVAL '2 hours' THEN 1 ELSE 0 END AS fresh
            FROM api_events WINDOW w AS (PARTITION BY principal_id ORDER BY recorded_at, id)
        ), numbered AS (
            SELECT *, sum(fresh) OVER (PARTITION BY principal_id ORDER BY recorded_at, id ROWS UNBOUNDED PRECEDING) AS session
            FROM marked
        )
        SELECT principal_id, session, count(*) AS events, max(recorded_at) - min(recorded_at) AS lasted,
            epoch(max(recorded_at) - min(recorded_at)) AS seconds, list(id ORDER BY recorded_at DESC, id) AS ids
        FROM numbered GROUP BY ALL ORDER BY principal_id, session
    """,
    "first seen against history": """
        WITH known AS (SELECT DISTINCT principal_id, source_ip FROM api_events WHERE recorded_at < $since)
        SELECT n.principal_id, n.source_ip, min(n.recorded_at) AS first_at, count(*) AS calls
        FROM api_events AS n ANTI JOIN known AS k
            ON k.principal_id IS NOT DISTINCT FROM n.principal_id AND k.source_ip IS NOT DISTINCT FROM n.source_ip
        WHERE n.recorded_at >= $since
        GROUP BY n.principal_id, n.source_ip ORDER BY first_at, n.principal_id, n.source_ip
    """,
    "bursts in a sliding window": """
        SELECT id, principal_id, recorded_at,
            count(*) OVER (PARTITION BY principal_id ORDER BY recorded_at RANGE BETWEEN INTERVAL 6 HOUR PRECEDING AND CURRENT ROW) AS near,
            count(DISTINCT source_ip) OVER (PARTITION BY principal_id) AS addresses,
            count(*) FILTER (WHERE status_code = 403) OVER (PARTITION BY principal_id) AS denied
        FROM api_events QUALIFY near > 1 ORDER BY recorded_at, id
    """,
    "a sequence in order": """
        SELECT a.id, a.principal_id, a.recorded_at, min(b.recorded_at) AS next_at, arg_min(b.method_name, b.recorded_at) AS next_method,
            date_diff('minute', a.recorded_at, min(b.recorded_at)) AS minutes
        FROM api_events AS a JOIN api_events AS b ON a.principal_id = b.principal_id
            AND b.recorded_at > a.recorded_at AND b.recorded_at <= a.recorded_at + $window::INTERVAL
        WHERE a.method_name = 'CreateServer' GROUP BY a.id, a.principal_id, a.recorded_at ORDER BY a.recorded_at, a.id
    """,
    "keys followed through what they made": """
        WITH RECURSIVE chain AS (
            SELECT id, principal_id, recorded_at, 1 AS depth FROM api_events WHERE method_name = 'CreateAPIKey' AND status_code = 200
            UNION ALL
            SELECT e.id, e.principal_id, e.recorded_at, c.depth + 1
            FROM chain AS c JOIN api_events AS e
                ON e.principal_id = c.principal_id AND e.recorded_at > c.recorded_at
                AND e.recorded_at < c.recorded_at + INTERVAL '9 days'
            WHERE c.depth < 3
        )
        SELECT depth, count(DISTINCT id) AS events, min(recorded_at) AS first_at FROM chain GROUP BY depth ORDER BY depth
    """,
    "JSON in both spellings": """
        SELECT id, coalesce(request_body->>'application_id', json_extract_string(request_body, '$.applicationId')) AS app,
            request_body->'deep'->>'b' AS deep, json_extract_string(request_body, '$.rules[*].name') AS names,
            request_body->>'$.list[0]' AS first, json_array_length(request_body, '$.rules') AS rules,
            json_extract_string(request_body, '$.deep') AS whole, TRY_CAST(request_body->>'size' AS DOUBLE) AS size,
            TRY(raw->>'$.id') AS same
        FROM api_events ORDER BY recorded_at, id
    """,
    "events without an address": """
        SELECT source_ip IS NULL AS none, count(*) AS events, count(source_ip) AS addresses, bool_or(status_code = 403) AS denied,
            count(*) FILTER (WHERE NOT ip_in_cidr(source_ip, '192.0.2.0/24')) AS outside,
            count(*) FILTER (WHERE ip_in_cidr(source_ip, '192.0.2.0/24')) AS inside,
            count(*) FILTER (WHERE ip_in_cidr(source_ip, '2001:db8::/64')) AS six
        FROM api_events GROUP BY 1 ORDER BY 1
    """,
    "texts of every kind": r"""
        SELECT id, upper(user_agent) AS upper, length(user_agent) AS length, user_agent LIKE '%\%' AS backslash,
            user_agent ILIKE 'IT''S' AS its, regexp_extract(user_agent, '([a-z]+)\W', 1) AS word,
            regexp_replace(user_agent, '[aeiou]', '*') AS one, regexp_replace(user_agent, '[aeiou]', '*', 'g') AS every,
            regexp_matches(user_agent, '(?i)SAY|feed$') AS matches, string_split(user_agent, ' ')[1] AS head,
            concat('<', user_agent, NULL, '>') AS around, user_agent || NULL AS nothing, split_part(user_agent, '''', 2) AS part,
            substring(user_agent, 2, 3) AS middle, replace(user_agent, '\', '/') AS slashed, strpos(user_agent, 'o') AS place,
            md5(user_agent) AS md5, user_agent_family(user_agent) AS family, verb(method_name) AS verb, contains(user_agent, '''') AS quoted
        FROM api_events ORDER BY recorded_at, id
    """,
    "lists": """
        SELECT id, len(resources) AS n, list_transform(resources, lambda r: r.name) AS names, resources[1].id AS first, resources[-1].name AS last,
            [r.name for r in resources if r.name <> 'r0'] AS some, list_contains(list_transform(resources, lambda r: r.name), 'r1') AS has,
            list_sort(list_distinct(list_transform(resources, lambda r: r.type))) AS types, resources[99].id AS beyond,
            list_filter([1, NULL, 3], lambda x, i: i > 1) AS later, array_to_string(list_transform(resources, lambda r: r.name), '+') AS text
        FROM api_events ORDER BY recorded_at, id
    """,
    "rows of lists": """
        SELECT e.id, r.name, r.type, count(*) OVER (PARTITION BY r.name) AS often
        FROM api_events AS e, unnest(e.resources) AS u(r) ORDER BY e.recorded_at, e.id, r.name
    """,
    "the view of resources": 'SELECT event_id, "position", resource_name FROM event_resources ORDER BY recorded_at, event_id, "position"',
    "time by the clock": """
        SELECT date_trunc('day', recorded_at) AS day, extract(hour FROM recorded_at) AS hour, isodow(recorded_at) AS weekday,
            dayofweek(recorded_at) AS sunday, time_bucket(INTERVAL '6 hours', recorded_at) AS bucket, strftime(recorded_at, '%Y-%m-%d %H:%M') AS text,
            recorded_at::DATE AS date, epoch(recorded_at) AS epoch, date_diff('day', recorded_at, $until) AS days,
            recorded_at + INTERVAL '1 month' AS month_later, recorded_at - to_days(3) AS before, CAST(recorded_at AS VARCHAR) AS written
        FROM api_events ORDER BY recorded_at, id
    """,
    "figures": """
        SELECT principal_id, avg(status_code) AS mean, median(status_code) AS middle, quantile_cont(status_code, 0.9) AS high,
            count(*) * 100.0 / sum(count(*)) OVER () AS share, round(count(*) / 7, 2) AS weekly, max(status_code) - min(status_code) AS spread,
            count(*) // 3 AS thirds, string_agg(DISTINCT method_name, ', ' ORDER BY method_name) AS methods, any_value(product_name) IS NULL AS never,
            arg_max(status_code, recorded_at) AS last_status, first(id ORDER BY recorded_at, id) AS first_id
        FROM api_events GROUP BY principal_id HAVING count(*) > 1 ORDER BY principal_id
    """,
    "one row of each": "SELECT DISTINCT ON (principal_id) principal_id, id, recorded_at FROM api_events ORDER BY principal_id, recorded_at DESC, id",
    "columns left out": "SELECT * EXCLUDE (raw, resources, request_body) FROM api_events ORDER BY recorded_at, id LIMIT 5 OFFSET 3",
    "groups of groups": "SELECT product_name, status_code, count(*) AS n FROM api_events GROUP BY ROLLUP (product_name, status_code) ORDER BY ALL",
    "ledger and coverage": "SELECT l.seq, l.operation, l.started_at, (SELECT count(*) FROM coverage) AS spans FROM ledger AS l ORDER BY l.seq",
    "all kinds": "SELECT kind, action, outcome, count(*) AS n, max(recorded_at) AS last FROM events GROUP BY ALL ORDER BY ALL",
}
GIVEN: dict[str, dict[str, Any]] = {"a sequence in order": {"window": timedelta(hours=30)}}


@pytest.mark.parametrize("name", sample(PROBES))
def test_spark_answers_as_duckdb_does(archive: Archive, name: str) -> None:
    sql = PROBES[name].replace("$window::INTERVAL", "$window")
    question = Question(
        sql=sql,
        given=GIVEN.get(name, {}),
        since="40d" if "$since" in sql else None,
        until="1d" if "$until" in sql else None,
    )
    found = compare(archive, question, NOW)
    assert found.refused is None
    assert found.difference is None
    assert found.rows > 0


def test_values_are_bound_whatever_they_hold(archive: Archive) -> None:
    sql = """
        SELECT id, $one AS one, user_agent = $one AS same, user_agent LIKE concat('%', $one, '%') AS held,
            list_contains($many, user_agent) AS listed, user_agent IN (SELECT unnest($many)) AS found, $none IS NULL AS none
        FROM api_events WHERE user_agent = ANY($many) ORDER BY recorded_at, id
    """
    for one in HOSTILE:
        found = compare(archive, Question(sql=sql, given={"one": one, "many": HOSTILE[:8], "none": None}), NOW)
        assert (found.refused, found.difference) == (None, None), one
        assert found.rows == 192


ADDRESSES = [
    "0.0.0.0", "255.255.255.255", "192.0.2.1", "192.0.2.256", "1.2.3", "01.2.3.4", "::", "::1", "2001:db8::1", "2001:DB8:0:0::1", "1::2::3",
    "::ffff:192.0.2.1", "::192.0.2.1", "12345::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "fe80::1%eth0", "", "text", "1.2.3.4\n",
]  # fmt: skip
NETWORKS = [
    "0.0.0.0/0", "192.0.2.0/24", "192.0.2.1", "192.0.2.1/32", "192.0.2.1/33", "::/0", "::/128", "2001:db8::/32", "2001:db8::1/128", "1::/129",
    "::ffff:192.0.2.0/120", "text", "1.2.3.4/", "1.2.3.4/x", "1:2:3:4:5:6:7:8/127",
]  # fmt: skip


def test_networks_hold_the_same_addresses(archive: Archive) -> None:
    sql = """
        SELECT a, n, ip_in_cidr(a, n) AS inside FROM (SELECT unnest($addresses) AS a), (SELECT unnest($networks) AS n) ORDER BY a, n
    """
    found = compare(archive, Question(sql=sql, given={"addresses": ADDRESSES, "networks": NETWORKS}), NOW)
    assert (found.refused, found.difference) == (None, None)
    assert found.rows == len(ADDRESSES) * len(NETWORKS)


CASTS = {
    "integer": ["1", " 2 ", "x", "", "-3", "99999999999"],
    "timestamp": [
        "2026-01-01",
        "2026-01-01T10:00:00Z",
        "2026-01-01T10:00:00+02:00",
        "2026",
        "x",
        "2026-01-01 10:00:00.1234567",
    ],
    "boolean": ["true", "no", "2"],
}


@pytest.mark.parametrize("kind", CASTS)
def test_a_text_is_the_same_value_or_none(archive: Archive, kind: str) -> None:
    sql = f"SELECT v, TRY_CAST(v AS {kind}) AS value FROM (SELECT unnest($texts) AS v) ORDER BY v"
    found = compare(archive, Question(sql=sql, given={"texts": CASTS[kind]}), NOW)
    assert (found.refused, found.difference) == (None, None)
