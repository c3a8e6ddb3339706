"""`trailkeep sync --recheck` finds what the API had not shown and what has changed, and takes nothing away."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from demo_archive import clock, reaching, run
from trailkeep.demo.emulator import Emulator
from trailkeep.demo.serve import serve
from trailkeep.seal import Entry
from trailkeep.store import Archive
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trailkeep.demo.serve import Served

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class World:
    """An emulated API whose clock can be moved on, and an archive in ``data``."""

    folder: Path
    ahead: timedelta = timedelta(0)
    began: datetime = field(default_factory=clock)
    emulator: Emulator = field(init=False)
    served: Served = field(init=False)

    def __post_init__(self) -> None:
        self.emulator = Emulator(clock=lambda: clock() + self.ahead, regions=("fr-par",))

    def add(self, number: int, age: timedelta, *, visible_in: timedelta | None = None, **more: Any) -> str:
        event_id = f"00000000-0000-4000-8000-{number:012}"
        event = {"id": event_id, "recorded_at": format_time(self.began - age), "method_name": "CreateServer"}
        visible_at = None if visible_in is None else self.began + visible_in
        self.emulator.add("api", "fr-par", event | more, visible_at=visible_at)
        return event_id

    def change(self, event_id: str, age: timedelta, **content: Any) -> None:
        event = {"id": event_id, "recorded_at": format_time(self.began - age), "method_name": "CreateServer"}
        self.emulator.replace("api", "fr-par", event_id, json.dumps(event | content).encode())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = reaching(self.served, self.emulator.organization_id)
        return run(self.folder, *arguments, TRAILKEEP_REGIONS="fr-par", TRAILKEEP_KINDS="api", **settings)

    def sync(self, *arguments: str) -> dict[str, Any]:
        """The report's totals."""
        done = self.run("sync", "--format", "json", *arguments)
        assert done.returncode == 0, done.stderr
        total: dict[str, Any] = json.loads(done.stdout)["total"]
        return total

    def query(self, sql: str) -> list[dict[str, Any]]:
        done = run(self.folder, "query", "--sql", sql, "--format", "json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def entries(self) -> tuple[Entry, ...]:
        return tuple(Archive.open(self.folder / "data").ledger().entries)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    with serve(world.emulator) as world.served:
        yield world


def test_an_event_that_appeared_late_is_found_and_counted_as_late(world: World) -> None:
    world.add(1, 3 * DAY)
    hidden = world.add(2, 3 * DAY, visible_in=HOUR)
    assert world.sync()["new"] == 1
    world.ahead = 2 * HOUR
    assert world.sync()["new"] == 0, "it lies before the overlap"
    added = world.add(3, 5 * DAY)
    too_old = world.add(4, 8 * DAY)
    total = world.sync("--recheck", "7d")
    assert (total["new"], total["late"], total["revised"], total["duplicate"]) == (2, 2, 0, 1)
    held = {row["id"] for row in world.query("SELECT id FROM api_events")}
    assert {hidden, added} <= held
    assert too_old not in held
    total = world.sync("--recheck", "7d")
    assert (total["new"], total["late"], total["duplicate"]) == (0, 0, 3)
    assert not [entry for entry in world.entries() if entry.files_removed]
    assert run(world.folder, "verify", "--deep").returncode == 0


def test_a_span_with_two_ends_is_read_and_nothing_else(world: World) -> None:
    world.add(1, 10 * DAY)
    world.sync()
    before, inside, at_the_end = (world.add(number, age * DAY) for number, age in ((2, 9), (3, 8), (4, 7)))
    start, end = (format_time(world.began - age * DAY) for age in (9, 7))
    world.emulator.requests.clear()
    assert world.sync("--recheck", f"{start}/{end}")["late"] == 2
    assert {row["id"] for row in world.query("SELECT id FROM events ORDER BY 1")} >= {before, inside}
    assert world.sync("--recheck", "8d/6d")["late"] == 1, "an age counts back at either end"
    assert at_the_end in {row["id"] for row in world.query("SELECT id FROM events")}


def test_the_summary_says_what_had_been_missing_and_what_has_changed(world: World) -> None:
    first = world.add(1, 2 * DAY)
    world.sync()
    world.add(2, DAY)
    world.change(first, 2 * DAY, status_code=500)
    done = world.run("sync", "--recheck", "7d")
    assert done.returncode == 0, done.stderr
    assert "recheck: 1 events had been missing, 1 have changed" in done.stdout.splitlines()


FIRST: dict[str, Any] = {
    "status_code": 200,
    "source_ip": "192.0.2.1",
    "request_body": {"name": "web", "tags": ["a", "b"], "deep": {"er": {"n": 1, "same": True}}},
    "resources": [{"id": "r1", "type": "instance_server"}, {"id": "r2", "type": "instance_volume"}],
    "gone": {"with": "all"},
    "null": None,
}
SECOND: dict[str, Any] = {
    "status_code": 202,
    "source_ip": "192.0.2.1",
    "request_body": {"name": "web", "tags": ["a", "c", "d"], "deep": {"er": {"n": 2, "same": True}}},
    "resources": [{"id": "r1", "type": "instance_server"}, {"id": "r2", "type": "instance_image"}],
    "added": {"list": [1]},
    "null": "",
    "a.b": 1,
}
DIFFERING = [
    '$."a.b"',
    "$.added",
    "$.added.list",
    "$.added.list[0]",
    "$.gone",
    "$.gone.with",
    "$.null",
    "$.request_body.deep.er.n",
    "$.request_body.tags[1]",
    "$.request_body.tags[2]",
    "$.resources[1].type",
    "$.status_code",
]


def test_a_changed_event_is_a_revision_once_beside_the_first(world: World) -> None:
    changed = world.add(1, 2 * DAY, **FIRST)
    same = world.add(2, 2 * DAY, **FIRST)
    unparsable = world.add(3, 2 * DAY)
    world.sync()
    before = world.query("SELECT id, raw, ledger_seq FROM api_events ORDER BY id")
    world.change(changed, 2 * DAY, **SECOND)
    world.change(same, 2 * DAY, **dict(reversed(FIRST.items())))
    world.change(unparsable, 2 * DAY, user_agent="\ud800")

    assert world.sync("--recheck", "7d")["revised"] == 2
    assert world.sync("--recheck", "7d")["revised"] == 0, "it is known by now"

    assert world.query("SELECT id, raw, ledger_seq FROM api_events ORDER BY id") == before
    first, second = world.query(
        "SELECT id, raw, first_raw, ledger_seq > first_ledger_seq AS later, differing_paths FROM revisions ORDER BY id"
    )
    assert (first["id"], second["id"]) == (changed, unparsable)
    assert first["later"]
    assert first["first_raw"] == before[0]["raw"]
    assert json.loads(first["raw"])["status_code"] == 202
    assert first["differing_paths"] == DIFFERING
    assert second["differing_paths"] is None, "the engine takes no lone surrogate"
    assert not [entry for entry in world.entries() if entry.files_removed]
    assert run(world.folder, "verify", "--deep").returncode == 0


def test_content_that_comes_back_is_no_further_revision(world: World) -> None:
    event_id = world.add(1, 2 * DAY, status_code=200)
    world.sync()
    for status, revised in ((500, 1), (200, 0), (500, 0), (503, 1)):
        world.change(event_id, 2 * DAY, status_code=status)
        assert world.sync("--recheck", "7d")["revised"] == revised, status
    found = world.query("SELECT json_extract(raw, '$.status_code') AS status FROM revisions ORDER BY ledger_seq")
    assert [str(row["status"]) for row in found] == ["500", "503"]


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ("last week", "write 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 90d, 12h, 30m"),
        ("7d/", "write START/END, or an age such as 7d"),
        ("/2026-01-01", "write 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 90d, 12h, 30m"),
        ("2026-01-31/2026-01-01", "is not before"),
        ("1d/2d", "is not before"),
        ("2026-13-01", "write 2026-01-31T12:00:00Z"),
        ("2026-01-01T00:00:00/2026-01-02", "write 2026-01-31T12:00:00Z"),
        ("2999-01-01", "is in the future"),
        ("", "write 2026-01-31T12:00:00Z"),
    ],
)
def test_what_is_no_span_is_refused_with_what_is_accepted(world: World, span: str, said: str) -> None:
    done = world.run("sync", "--recheck", span)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said in done.stderr
    assert not Archive.exists(world.folder / "data")


@pytest.mark.parametrize("more", [("--since", "2d"), ("--until", "1d"), ("--watch", "5m")])
def test_it_names_its_own_span(world: World, more: tuple[str, str]) -> None:
    done = world.run("sync", "--recheck", "7d", *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Leave out --since, --until and --watch" in done.stderr
    assert world.emulator.requests == []
