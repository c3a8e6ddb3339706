"""What the shipped queries take of the rows that they do not want: nothing but the columns that say so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from archives import Archives, a_resource, an_id
from trailkeep.analysis import Question
from trailkeep.analysis.explaining import explain
from trailkeep.catalog import Limits
from trailkeep.catalog.conditions import EVERYTHING, Box, Texts
from trailkeep.catalog.pushed import Stand, boxes_of
from trailkeep.queries import discover, load, query_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.store import Archive

NOW = datetime(2026, 4, 1, tzinfo=UTC)
NAMES = (
    "containment/after-containment",
    "exfiltration/every-copy",
    "exfiltration/every-export",
    "impact/access-removed",
    "impact/mass-stops",
    "impact/organization-closed",
    "persistence/tokens-minted",
    "privilege/grants",
)
"""Queries that take bodies or resources of a few methods, each in another way."""
SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))
STAND = Stand(table="api_events", name="parts.s_api", columns={"s_method": "method_name"}, time="recorded_at")
WANTED = (Box(texts={"method_name": Texts(among=frozenset({"A", "B"}))}),)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """One file of each kind, with methods before and after all that a query names."""
    making = Archives(tmp_path_factory.mktemp("scans") / "archive")
    at = datetime(2026, 3, 1, tzinfo=UTC)
    for method, status_code in (("A", 200), ("zz", 403)):
        making.api(
            at,
            method,
            "fr-par",
            principal_id=an_id("u"),
            status_code=status_code,
            body={"method": method},
            resources=[a_resource("server", "one")],
        )
    making.add("system", "fr-par", at, {"kind": "cron", "system_name": "rotation"})
    making.login(at, "u", "success")
    return making.commit()


def nodes(tree: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    waiting = [*tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.get("children") or ())


def listed(told: str | list[str] | None) -> list[str]:
    return told if isinstance(told, list) else [told] if told else []


@pytest.mark.parametrize("name", NAMES)
def test_a_list_of_methods_is_compared_while_scanning(archive: Archive, name: str) -> None:
    """Otherwise the engine makes a join of the list, and decodes bodies and resources of every row for it."""
    saved = load(name, SHIPPED[name].path)
    told = explain(archive, Question.of(saved), now=NOW, limits=Limits(threads=1))
    scans = [node["extra_info"] for node in nodes(told.tree) if node["name"] == "READ_PARQUET"]
    wide = [
        each for each in scans if {"request_body", "resources"} & {*each["Projections"]} and "method_name" in str(each)
    ]
    kept = [[line for line in listed(each.get("Filters")) if "optional" not in line] for each in wide]
    assert kept
    assert [each for each in kept if "method_name" not in str(each)] == []


@pytest.mark.parametrize(
    "text",
    [
        "((s_method IN ('A', 'B')) IS NOT DISTINCT FROM true)",
        "(s_method IN ('A', 'B')) IS NOT DISTINCT FROM true",
        "(s_method IN ('A', 'B')) IS NOT DISTINCT FROM true\noptional: (s_method IN ('A', 'B', 'C'))",
    ],
)
def test_what_is_true_is_a_condition(text: str) -> None:
    assert boxes_of(text, STAND) == WANTED


@pytest.mark.parametrize(
    "text",
    [
        "((s_method IN ('A', 'B')) IS DISTINCT FROM true)",
        "((s_method IN ('A', 'B')) IS NOT DISTINCT FROM false)",
        "((s_method IN ('A', 'B')) IS NOT DISTINCT FROM NULL)",
        "((s_method IN ('A', 'B')) IS NOT DISTINCT FROM s_other)",
        "(NOT ((s_method IN ('A', 'B')) IS NOT DISTINCT FROM true))",
        "(((s_method IN ('A', 'B')) OR starts_with(s_method, 'x')) IS NOT DISTINCT FROM true)",
        "(s_method IS NOT DISTINCT FROM true)",
        "('(s_method IN (''A''))' IS NOT DISTINCT FROM true)",
        "((s_method IN ('A', 'B')) IS NOT DISTINCT FROM true AND true OR true)",
    ],
)
def test_anything_else_that_looks_like_it_is_none(text: str) -> None:
    assert boxes_of(text, STAND) == EVERYTHING
