"""Every saved query that there is, on DuckDB and on Spark: the same rows, or a refusal with its reason."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from comparing import Outcome, compare, sample

from demo_archive import DemoArchive, clock
from trailkeep.analysis import Question, open_result
from trailkeep.queries import discover, load, query_folders
from trailkeep.queries.parameters import item_type
from trailkeep.store import Archive

if TYPE_CHECKING:
    from trailkeep.queries import Parameter

SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))
NOW = clock()
ENOUGH = 4 / 5
OUTCOMES: dict[str, tuple[Outcome, float]] = {}


def value_for(demo: DemoArchive, parameter: Parameter, folder: Path) -> Any:
    """A value that gives rows: of the demo's incident."""
    incident = demo.organization.incident
    if parameter.name == "resource":
        return a_key(demo)
    if item_type(parameter.type) in ("indicator", "ip", "cidr"):
        listed = folder / "indicators.txt"
        listed.write_text("\n".join([*incident.attacker_ips, incident.backdoor_application_id]) + "\n")
        return str(listed) if parameter.type == "ioc_file" else f"@{listed}"
    by_type = {
        "uuid": incident.stolen_application_id,
        "ip": incident.attacker_ips[1],
        "cidr": f"{incident.attacker_ips[1]}/24",
        "timestamp": "30d",
        "duration": "1h",
        "integer": "3",
        "number": "2",
        "boolean": "true",
    }
    return by_type.get(item_type(parameter.type) or parameter.type, incident.stolen_application_id)


def a_key(demo: DemoArchive) -> str:
    question = Question(
        sql="SELECT resource_id FROM event_resources WHERE event_id = $id LIMIT 1",
        given={"id": demo.organization.incident.step("keys-created").event_ids[0]},
    )
    with open_result(Archive.open(demo.path), question, now=NOW) as result:
        return str(next(result.batches()).to_pylist()[0]["resource_id"])


def outcome(demo: DemoArchive, name: str, folder: Path) -> Outcome:
    if name not in OUTCOMES:
        saved = load(name, SHIPPED[name].path)
        given = {key: value_for(demo, each, folder) for key, each in saved.parameters.items() if each.required}
        began = time.monotonic()
        found = compare(Archive.open(demo.path), Question.of(saved, given=given), NOW)
        OUTCOMES[name] = found, time.monotonic() - began
    return OUTCOMES[name][0]


@pytest.mark.parametrize("name", sample(SHIPPED))
def test_spark_gives_the_same_rows_or_none_at_all(demo: DemoArchive, tmp_path: Path, name: str) -> None:
    assert outcome(demo, name, tmp_path).difference is None


def test_four_in_five_run_on_spark(demo: DemoArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = {name: outcome(demo, name, tmp_path) for name in sample(SHIPPED)}
    equal = [name for name, found in outcomes.items() if found.equal]
    lines = [f"\n{len(equal)} of {len(outcomes)} saved queries give the same rows on Spark:"]
    for name, found in outcomes.items():
        told = "same" if found.equal else found.refused or found.difference
        lines.append(f"  {name:45} {found.rows:6} rows {OUTCOMES[name][1]:6.1f} s  {told}")
    with capsys.disabled():
        sys.stdout.write("\n".join([*lines, ""]))
    assert len(equal) >= ENOUGH * len(outcomes)
    # Two empty answers agree about little.
    assert sum(outcomes[name].rows > 0 for name in equal) >= ENOUGH * len(equal)
