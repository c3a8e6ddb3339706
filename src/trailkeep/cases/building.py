"""The archive of a case: made by the same code as that of a sync, in a folder of its own."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING

from trailkeep.cases.events import ORGANIZATION
from trailkeep.directory import (
    RESOURCES,
    Change,
    Observation,
    Seen,
    Version,
    changes,
    read_object,
    rows_of_changes,
)
from trailkeep.errors import UsageError
from trailkeep.events import identify, to_rows
from trailkeep.schema import DIRECTORY, DIRECTORY_TABLES, EVENT_TABLES
from trailkeep.seal import CoverageRecord, DirectoryRecord, StreamRecord
from trailkeep.store import Archive, Commit, Disk, NewRows, Writer
from trailkeep.streams import EVENT_KINDS, Stream, streams_of
from trailkeep.timespan import Span, format_time, month_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from trailkeep.cases.model import Case, CaseEvent, Sighting
    from trailkeep.events import Arrival

RUN = "case"


class _Volatile(Disk):
    """A disk whose files need not outlive the machine: the folder is gone in a moment."""

    def sync_file(self, descriptor: int) -> None:
        """Not waited for."""

    def sync_directory(self, path: Path) -> None:
        """Not waited for."""


def build(case: Case, span: Span, folder: Path) -> Archive:
    """The archive of `case` in `folder`; `span` is what it asks about, which is covered unless the case says."""
    with Writer(folder, clock=lambda: case.now, disk=_Volatile(), run=RUN, indexed=False) as writer:
        for organization_id in dict.fromkeys(each.organization_id for each in case.directory):
            _Looks(writer, organization_id).take(
                [each for each in case.directory if each.organization_id == organization_id]
            )
        _commit_events(writer, case, span)
    return Archive.open(folder)


def _commit_events(writer: Writer, case: Case, span: Span) -> None:
    by_stream: dict[Stream, list[CaseEvent]] = defaultdict(list)
    for event in case.events:
        by_stream[event.stream].append(event)
    organizations = dict.fromkeys([*(stream.organization_id for stream in by_stream)]) or {ORGANIZATION: None}
    for organization_id in organizations:
        own = {stream: events for stream, events in by_stream.items() if stream.organization_id == organization_id}
        added = [rows for stream, events in sorted(own.items()) for rows in _rows(stream, events)]
        commit = Commit(
            operation="sync",
            started_at=case.now,
            organization_id=organization_id,
            added=added,
            counters=dict.fromkeys(("fetched", "new"), sum(map(len, own.values()))),
        )
        _claim(commit, case, organization_id, own, span)
        writer.commit(commit)


def _rows(stream: Stream, events: Iterable[CaseEvent]) -> Iterator[NewRows]:
    """The rows of a stream, by month."""
    arrivals, rejects = identify((event.raw for event in events), stream.kind)
    if rejects:
        raise UsageError(f"one of the events is none: {rejects[0].reason}", hint="Correct what `more` merges into it.")
    months: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        months[month_of(arrival.recorded_at)].append(arrival)
    for month, some in sorted(months.items()):
        partition = {"organization_id": stream.organization_id, "region": stream.region, "month": month}
        yield NewRows(table=EVENT_TABLES[stream.kind], partition=partition, rows=to_rows(stream.kind, some))


def _claim(commit: Commit, case: Case, organization_id: str, streams: Iterable[Stream], span: Span) -> None:
    """Let the commit say what was read: all of the asked span, unless the case says what."""
    if case.coverage is None:
        regions = dict.fromkeys(["fr-par", *(each.region for each in streams if each.kind in EVENT_KINDS)])
        for stream in streams_of(organization_id, [*EVENT_KINDS, "iam"], regions):
            commit.coverage.append(_covered(stream, span))
            commit.streams.append(_asked(stream, span, "read"))
        return
    for claim in case.coverage:
        stream = Stream(organization_id=organization_id, kind=claim.kind, region=claim.region)
        if claim.outcome in ("not_offered", "denied"):
            commit.streams.append(_asked(stream, None, claim.outcome))
            continue
        kept = {"read": commit.coverage, "unreadable": commit.unreadable, "purged": commit.purged}[claim.outcome]
        kept.append(_covered(stream, claim.span))
        commit.streams.append(_asked(stream, span, "read"))


def _covered(stream: Stream, span: Span) -> CoverageRecord:
    return CoverageRecord(
        organization_id=stream.organization_id,
        kind=stream.kind,
        region=stream.region,
        start=format_time(span.start),
        end=format_time(span.end),
    )


def _asked(stream: Stream, span: Span | None, outcome: str) -> StreamRecord:
    return StreamRecord(
        organization_id=stream.organization_id,
        kind=stream.kind,
        region=stream.region,
        outcome=outcome,
        start=format_time(span.start) if span else None,
        end=format_time(span.end) if span else None,
    )


class _Looks:
    """Looks at the directory of one Organization, one after the other."""

    def __init__(self, writer: Writer, organization_id: str) -> None:
        self._writer = writer
        self._organization_id = organization_id
        self._held: dict[str, dict[str, Version]] = {resource: {} for resource in RESOURCES}
        self._seen: dict[str, dict[str, Seen]] = {resource: {} for resource in RESOURCES}
        self._before: datetime | None = None

    def take(self, sightings: list[Sighting]) -> None:
        """Commit a look for each moment at which something was seen."""
        for at, some in groupby(sorted(sightings, key=lambda each: each.at), key=lambda each: each.at):
            for each in some:
                seen = read_object(each.resource, each.raw, region=each.region, rules=each.rules)
                self._seen[each.resource].pop(seen.id, None)
                if not each.gone:
                    self._seen[each.resource][seen.id] = seen
            self._commit(at)
            self._before = at

    def _commit(self, at: datetime) -> None:
        observation = Observation(at=at, looked_at=self._before, listed_at=self._before)
        added: list[NewRows] = []
        for resource in RESOURCES:
            held, seen = self._held[resource], self._seen[resource]
            if made := list(changes(resource, held, seen, observation, whole=True)):
                added.append(self._new_rows(resource, made))
                held.update({each.seen.id: self._version(each) for each in made})
        self._writer.commit(
            Commit(
                operation="directory",
                started_at=at,
                organization_id=self._organization_id,
                added=[*added],
                directory=[
                    self._record(resource, region, at) for resource in RESOURCES for region in self._regions(resource)
                ],
            )
        )

    def _version(self, change: Change) -> Version:
        return Version(
            seen=change.seen,
            change=change.change,
            observed_at=change.observed_at,
            valid_from=change.valid_from,
            seq=self._writer.next_seq,
        )

    def _new_rows(self, resource: str, made: list[Change]) -> NewRows:
        partition = {"organization_id": self._organization_id, "month": month_of(made[0].observed_at)}
        return NewRows(
            table=DIRECTORY_TABLES[f"{DIRECTORY}/{resource}"], partition=partition, rows=rows_of_changes(resource, made)
        )

    def _regions(self, resource: str) -> list[str | None]:
        """Where a list is read: products in each of the regions that a case names."""
        return [*dict.fromkeys(each.region for each in self._seen[resource].values())] or [None]

    def _record(self, resource: str, region: str | None, at: datetime) -> DirectoryRecord:
        return DirectoryRecord(
            organization_id=self._organization_id,
            resource=resource,
            region=region,
            outcome="read",
            began_at=format_time(at),
            at=format_time(at),
            objects=sum(each.region == region for each in self._seen[resource].values()),
        )
