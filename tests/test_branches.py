"""A query over ``first_seen`` is given the branches that it can have rows of, and never one too few."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from archives import NOW, Archives
from trailkeep.analysis.branches import branches_of
from trailkeep.analysis.result import needs_of
from trailkeep.catalog import open_catalog
from trailkeep.guard import check

if TYPE_CHECKING:
    from trailkeep.store import Archive

FEW = {
    "SELECT * FROM first_seen WHERE dimension = 'network' AND subject_type = 'principal'": {("principal", "network")},
    "SELECT * FROM first_seen WHERE subject_type = 'project' AND 'method' = dimension": {("project", "method")},
    "SELECT * FROM first_seen AS f WHERE (f.dimension IN ('agent', 'country')) AND f.subject_type = 'organization'": {
        ("organization", "agent"),
        ("organization", "country"),
    },
    "SELECT 1 FROM first_seen s LEFT JOIN first_seen t ON t.dimension = 'address' AND t.value = s.value"
    " WHERE s.dimension = 'country' AND s.subject_type = 'principal'": {
        ("principal", "country"),
        ("principal", "address"),
    },
    "WITH a AS (SELECT value FROM first_seen WHERE dimension = 'locality' AND subject_type IN ('project'))"
    " SELECT * FROM a WHERE EXISTS (SELECT 1 FROM first_seen f WHERE f.dimension = 'product' AND f.value = a.value"
    " AND f.subject_type = 'organization')": {("project", "locality"), ("organization", "product")},
    "SELECT a.value FROM first_seen a SEMI JOIN first_seen b ON a.subject_id = b.subject_id AND b.dimension = 'method'"
    " WHERE dimension = 'address' AND subject_type = 'principal'": {
        ("principal", "address"),
        *((subject, "method") for subject in ("principal", "project", "organization")),
    },
}

ALL = [
    "SELECT * FROM first_seen",
    "SELECT * FROM first_seen WHERE dimension = 'network' OR subject_type = 'principal'",
    "SELECT * FROM first_seen WHERE dimension <> 'network'",
    "SELECT * FROM first_seen WHERE dimension LIKE 'net%'",
    "SELECT * FROM first_seen WHERE lower(dimension) = 'network'",
    "SELECT * FROM first_seen WHERE dimension = value",
    "SELECT * FROM first_seen WHERE NOT (dimension = 'network')",
    "SELECT * FROM (SELECT * FROM first_seen) WHERE dimension = 'network'",
    "SELECT dimension = 'network' FROM first_seen",
    "SELECT count(*) FROM first_seen HAVING max(dimension) = 'network'",
    "SELECT 1 FROM (SELECT 1 AS id) AS a LEFT JOIN (first_seen) ON dimension = 'network'",
    "SELECT 1 FROM first_seen f LEFT JOIN (SELECT 1 AS one) o ON f.dimension = 'network'",
    "SELECT 1 FROM first_seen f FULL JOIN (SELECT 1 AS one) o ON f.dimension = 'network' WHERE f.dimension = 'agent'",
    "SELECT 1 FROM (SELECT 1 AS one) o ANTI JOIN first_seen f ON f.dimension = 'network'",
    "SELECT * FROM first_seen WHERE dimension = 'network' UNION ALL SELECT * FROM first_seen",
    "FROM first_seen",
    "SELECT * FROM first_seen WHERE dimension = 'nothing'",
    (
        "SELECT a.value FROM first_seen a ANTI JOIN first_seen b ON a.subject_id = b.subject_id"
        " AND b.dimension = 'method' WHERE dimension = 'address' AND subject_type = 'principal'"
    ),
    "SELECT count(*) FROM first_seen AS f(o, dimension, i, st) WHERE dimension IN ('principal', 'address')",
    (
        "SELECT dimension, count(*) FROM first_seen UNPIVOT (x FOR dimension IN (dimension AS address, value AS method)"
        ") WHERE dimension = 'address' GROUP BY ALL"
    ),
    "SELECT * FROM first_seen PIVOT (count(*) FOR subject_type IN ('principal')) WHERE dimension = 'address'",
    (
        "SELECT e.method_name, f.value FROM api_events e ASOF JOIN first_seen f ON e.principal_id = f.subject_id"
        " AND e.recorded_at >= f.first_at WHERE f.dimension = 'locality'"
    ),
    (
        "SELECT f.value, t.x FROM first_seen f POSITIONAL JOIN (SELECT 'x' AS x FROM range(2)) t"
        " WHERE f.dimension = 'locality' AND f.subject_type = 'project'"
    ),
    "SELECT count(*) FROM first_seen NATURAL JOIN (SELECT 'agent' AS value) WHERE dimension = 'agent'",
    (
        "SELECT count(*) FROM first_seen f WHERE dimension = 'address' AND EXISTS (SELECT 1 FROM first_seen AS"
        " g(o, st, si, d) WHERE dimension = 'address' AND d = 'method' AND si = f.subject_id)"
    ),
    "SELECT count(*) FROM (SELECT * FROM first_seen WHERE dimension = 'address' USING SAMPLE 2 ROWS (reservoir, 1))",
    "SELECT count(*) FROM first_seen TABLESAMPLE reservoir(100) WHERE dimension = 'address'",
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = Archives(tmp_path_factory.mktemp("branches") / "data")
    for number in range(6):
        at = NOW - timedelta(days=number)
        made.api(at, f"Create{number % 3}", source_ip=f"192.0.2.{number}", user_agent=f"agent {number % 2}")
        made.login(at, "alice", country_code="FR" if number % 2 else "DE")
    return made.commit()


@pytest.mark.parametrize("sql", FEW)
def test_conditions_that_must_hold_leave_few(sql: str) -> None:
    assert branches_of(sql) == FEW[sql]


@pytest.mark.parametrize("sql", ALL)
def test_whatever_is_not_understood_leaves_all(sql: str) -> None:
    found = branches_of(sql)
    assert found is None or len(found) == 20


@pytest.mark.parametrize("sql", [*FEW, *ALL])
def test_the_answer_is_that_of_the_whole_view(archive: Archive, sql: str) -> None:
    needs = needs_of(check(sql))
    assert needs is not None
    answers = []
    for wanted in (needs, None):
        with open_catalog(archive, archive.ledger(), needs=wanted) as catalog:
            answers.append(sorted(map(str, catalog.connection.execute(sql).fetchall())))
    assert answers[0] == answers[1]
