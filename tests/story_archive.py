"""Stories as archives, made straight from their bytes, and what the saved queries find in them."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from trailkeep.analysis import Question, open_result
from trailkeep.api import Client, Pacer
from trailkeep.catalog import Limits
from trailkeep.catalog.shared import Silent
from trailkeep.config.detections import SEVERITIES
from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.detections.choosing import read_pack
from trailkeep.detections.run import RunStop, run_detections
from trailkeep.events import identify, to_rows
from trailkeep.queries import discover, load, query_folders
from trailkeep.schema import EVENT_TABLES
from trailkeep.seal import CoverageRecord
from trailkeep.store import Archive, Commit, Disk, NewRows, Writer
from trailkeep.sync.directory import Snapshot, take_snapshot
from trailkeep.timespan import format_time, month_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from trailkeep.demo.story import Organization, Step
    from trailkeep.detections.run import Outcome
    from trailkeep.events import Arrival
    from trailkeep.queries import SavedQuery


class QuickDisk(Disk):
    """A real disk that is not flushed: nothing here loses its power."""

    def sync_file(self, descriptor: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


EVENT_IDS = re.compile(r"^ids?$|event_ids?$|^step_ids$")
"""Columns that name events."""
SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))
QUERIES = {found.name: load(found.name, found.path) for found in SHIPPED.values()}


def story_archive(path: Path, organization: Organization) -> Archive:
    """All of the story's events, however old, with coverage of its whole span and the directory of its last moment."""
    begin = organization.now - timedelta(days=organization.days)
    added, coverage = [], []
    for (kind, region), raws in organization.events.items():
        arrivals, rejects = identify(raws)
        assert not rejects
        coverage.append(
            CoverageRecord(
                organization_id=organization.organization_id,
                kind=kind,
                region=region,
                start=format_time(begin),
                end=format_time(organization.now),
            )
        )
        months: dict[str, list[Arrival]] = defaultdict(list)
        for arrival in arrivals:
            months[month_of(arrival.recorded_at)].append(arrival)
        added += [
            NewRows(
                table=EVENT_TABLES[kind],
                partition={"organization_id": organization.organization_id, "region": region, "month": month},
                rows=to_rows(kind, rows),
            )
            for month, rows in months.items()
        ]
    with Writer(path, clock=lambda: organization.now, disk=QuickDisk()) as writer:
        writer.commit(
            Commit(
                operation="sync",
                started_at=organization.now,
                organization_id=organization.organization_id,
                added=added,
                coverage=coverage,
            )
        )
    _look_at_directory(path, organization)
    return Archive.open(path)


def outcomes_over(
    archive: Archive,
    organization: Organization,
    *,
    after: timedelta = timedelta(0),
    severities: Iterable[str] = SEVERITIES,
) -> tuple[Outcome, ...]:
    """What each of the shipped detections of these severities finds in the story, from so long after its beginning."""
    pack = read_pack(SHIPPED, {})
    begin = organization.now - timedelta(days=organization.days) + after
    return run_detections(
        archive,
        [(detection, begin) for detection in pack.detections.values() if detection.severity in severities],
        organization.now,
        now=organization.now,
        limits=Limits(),
        stop=RunStop(),
        listener=Silent(),
        state_of=lambda _finding_id: "new",
    ).outcomes


def _look_at_directory(path: Path, organization: Organization) -> None:
    emulator = Emulator(organization, clock=lambda: organization.now)
    with Client(
        base_url="http://127.0.0.1:1",
        secret_key=SECRET_KEY,
        organization_id=organization.organization_id,
        clock=lambda: organization.now,
        pacer=Pacer(threading.Event()),
        transport=httpx.WSGITransport(app=emulator),  # type: ignore[arg-type]
    ) as client:
        take_snapshot(
            Snapshot(
                archive=path,
                client=client,
                clock=lambda: organization.now,
                organization_id=organization.organization_id,
                regions=organization.regions,
                concurrency=4,
                disk=QuickDisk(),
            )
        )


def ids_in(row: dict[str, Any]) -> list[str]:
    """The events that a row names, in whichever of the columns for it."""
    named = [value for name, value in row.items() if EVENT_IDS.search(name)]
    return [each for value in named for each in ([value] if isinstance(value, str) else value or ())]


def held(organization: Organization) -> dict[str, dict[str, Any]]:
    """Every event of the story by its id."""
    events = (json.loads(raw) for raws in organization.events.values() for raw in raws)
    return {event["id"]: event for event in events}


@dataclass(frozen=True, kw_only=True)
class Stories:
    """All of them in one archive, each in an Organization of its own: so every query runs once for all."""

    archive: Archive
    organizations: dict[str, Organization]
    folder: Path
    now: datetime

    @cached_property
    def events(self) -> dict[str, dict[str, Any]]:
        return {key: event for story in self.organizations.values() for key, event in held(story).items()}

    def steps(self, question: int) -> dict[tuple[str, str], Step]:
        """The steps that ask it, by story and label."""
        return {
            (name, step.label): step
            for name, story in self.organizations.items()
            for step in story.incident.steps  # type: ignore[union-attr]
            if step.question == question
        }

    def not_found(self, question: int) -> dict[str, Any]:
        """The steps that ask it of which no query of the question tells every event, and what is missing."""
        steps = self.steps(question)
        queries = [saved for saved in QUERIES.values() if saved.question == question]
        lost = {each for step in steps.values() for each in step.event_ids}
        asked = ((saved, given) for saved in queries for given in self.fillings(saved, steps))
        for each, values in asked:
            lost -= self.found_by(each, values)
            if not lost:
                break  # further queries can find no more
        missing: dict[str, Any] = {
            f"{name}: {label}": [
                self.events[each].get("method_name", "login") for each in step.event_ids if each in lost
            ]
            for (name, label), step in steps.items()
            if lost.intersection(step.event_ids)
        }
        return missing if queries else {f"question {question}": "no query answers it"}

    def found_by(self, saved: SavedQuery, given: dict[str, str]) -> set[str]:
        """The ids of all events that rows of the query name."""
        with open_result(self.archive, Question.of(saved, given=given), now=self.now) as result:
            names = [name for name in result.schema.names if EVENT_IDS.search(name)]
            return {
                each for batch in result.batches() for row in batch.select(names).to_pylist() for each in ids_in(row)
            }

    def fillings(self, saved: SavedQuery, steps: dict[tuple[str, str], Step]) -> list[dict[str, str]]:
        """One value after the other for the required parameter, where the query has one: by its type."""
        required = [each for each in saved.parameters.values() if each.required]
        if not required:
            return [{}]
        (parameter,) = required
        incidents = [self.organizations[name].incident for name, _ in steps]
        named = (
            resource["id"]
            for step in steps.values()
            for event_id in step.event_ids
            for resource in self.events[event_id]["resources"]
        )
        addresses = [each for incident in incidents for each in incident.attacker_ips]
        principals = [each for incident in incidents for each in incident.principal_ids]
        indicators = self.folder / "indicators.txt"
        indicators.write_text("".join(f"{each}\n" for each in (*addresses, *principals)))
        values = {
            "principal": principals,
            "cidr": addresses,
            "ip": addresses,
            "resource": list(named),
            "ioc_file": [str(indicators)],
        }
        return [{parameter.name: value} for value in dict.fromkeys(values[parameter.type])]
