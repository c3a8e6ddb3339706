"""The breach of docs/playbook.md is worked as the page shows it: every command prints what stands behind it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from demo_archive import ROOT, environment
from trailkeep.demo.story import demo_organization
from trailkeep.queries import discover, query_folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trailkeep.demo.story import Incident, Organization

SCRIPT = ROOT / "docs" / "playbook_outputs.py"
PAGE = (ROOT / "docs" / "playbook.md").read_text(encoding="utf-8")
STAGES = [
    "coverage", "scope", "access", "discovery", "persistence", "privilege", "defence", "exfiltration", "impact",
    "containment", "limits",
]  # fmt: skip


def compared(*pages: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--check", *pages], env=environment(), capture_output=True, text=True, timeout=280
    )


@cache
def organization() -> Organization:
    """The demo Organization at the moment that the page says it is of."""
    moment = re.search(r"made on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC", PAGE)
    assert moment
    return demo_organization(now=datetime.fromisoformat(f"{moment[1]}T{moment[2]}").replace(tzinfo=UTC))


def incident() -> Incident:
    told = organization().incident
    assert told
    return told


def events() -> Iterator[dict[str, Any]]:
    for raws in organization().events.values():
        yield from map(json.loads, raws)


def microseconds(moment: str) -> str:
    """A moment of the API with as many digits as the archive keeps."""
    whole, _, digits = moment.rstrip("Z").partition(".")
    return f"{whole}.{digits[:6]:0<6}Z"


def report() -> str:
    return PAGE.rpartition("## The report")[2]


def test_every_command_prints_what_the_page_shows() -> None:
    done = compared()
    assert done.returncode == 0, done.stderr


def test_an_output_that_is_no_longer_printed_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    asked = "```console\n$ echo printed\n```\n\n```text\n{}\n```\n"
    page.write_text(asked.format("printed"))
    assert compared(str(page)).returncode == 0
    page.write_text(asked.format("printed once"))
    done = compared(str(page))
    assert done.returncode == 1
    assert "-printed once\n+printed\n" in done.stderr
    assert page.read_text() == asked.format("printed once")


def test_a_command_that_fails_is_no_output(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ trailkeep queries show no/such\n```\n\n```text\n```\n")
    done = compared(str(page))
    assert done.returncode == 1
    assert "no/such" in done.stderr


def test_each_block_of_outputs_stands_behind_commands() -> None:
    blocks = re.findall(r"^```(\w*)\n.*?^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert set(blocks) == {"console", "text"}
    assert all(before == "console" for before, block in pairwise(blocks) if block == "text")


def test_every_stage_of_an_investigation_has_its_part() -> None:
    named = re.findall(rf"\b({'|'.join(STAGES)})/[a-z*-]+", PAGE)
    assert set(named) == set(STAGES)
    numbers = [int(number) for number in re.findall(r"^## (\d+)\. ", PAGE, re.MULTILINE)]
    assert numbers == list(range(13))


def test_every_query_that_is_named_is_there() -> None:
    shipped = set(discover(query_folders((), directory=ROOT)))
    named = {
        found[0] for found in re.finditer(rf"\b(?:{'|'.join(STAGES)})/[a-z-]+(?![a-z*-])", PAGE) if "*" not in found[0]
    }
    assert named - shipped == set()


ROW = re.compile(r"^(\S+Z)   (\S+Z) +(\d+)   (.+?)  +(\S+) +(success|denied)$", re.MULTILINE)


def test_the_report_is_all_that_came_from_the_attacker_and_nothing_else() -> None:
    told = {(first, last, int(events), action) for first, last, events, _who, action, _outcome in ROW.findall(report())}
    seen: dict[tuple[str, str, bool], list[str]] = {}
    for event in events():
        if event.get("source_ip") in incident().attacker_ips:
            action = event.get("method_name") or f"Login/{event['method']}"
            denied = event.get("status_code") == 403 or "failure_reason" in event
            seen.setdefault((event["source_ip"], action, denied), []).append(microseconds(event["recorded_at"]))
    assert told == {(min(times), max(times), len(times), action) for (_, action, _), times in seen.items()}


def test_every_step_of_the_incident_has_its_time_on_the_page() -> None:
    times = {event["id"]: event["recorded_at"] for event in events()}
    missing = [
        step.label
        for step in incident().steps
        if step.event_ids and times[step.event_ids[0]][:19] not in PAGE.replace("Z", "").replace(" ", "T")
    ]
    assert not missing
