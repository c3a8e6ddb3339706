"""What was purged stays gone, and is told apart from what was lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from trailkeep.coverage import missing_in, stream_coverage
from trailkeep.seal import CoverageRecord, Entry
from trailkeep.store import Ledger
from trailkeep.streams import Stream
from trailkeep.sync.plan import Request, plan_stream
from trailkeep.timespan import Span, format_time

NOW = datetime(2026, 6, 1, tzinfo=UTC)
STREAM = Stream(organization_id="0c8f1d5e-6a5b-4d0a-9a53-2f1de1b7c0a4", kind="api", region="fr-par")


def days(count: float) -> datetime:
    return NOW - timedelta(days=count)


def record(start: datetime, end: datetime) -> CoverageRecord:
    return CoverageRecord(
        organization_id=STREAM.organization_id,
        kind=STREAM.kind,
        region=STREAM.region,
        start=format_time(start),
        end=format_time(end),
    )


def ledger_of_a_purge(until: datetime | None = None) -> Ledger:
    """Eighty days read, the first fifty of them purged, or up to another moment."""
    ledger = Ledger("archive")
    ledger.take(
        Entry(
            format=1,
            seq=1,
            previous=None,
            archive_id="archive",
            operation="purge",
            run="run",
            started_at=format_time(days(1)),
            finished_at=format_time(days(1)),
            tool={},
            host="",
            os_user="",
            coverage=[record(days(80), days(1))],
            purged=[record(days(85), until or days(30))],
        )
    )
    return ledger


def request(*, again: bool = False) -> Request:
    return Request(
        organization_id=STREAM.organization_id,
        kinds=("api",),
        regions=("fr-par",),
        overlap=timedelta(hours=1),
        again=again,
    )


def test_a_purged_span_is_neither_covered_nor_a_gap() -> None:
    [known] = stream_coverage(ledger_of_a_purge(), NOW)
    assert known.covered == (Span(days(30), days(1)),)
    assert known.purged == (Span(days(85), days(30)),)
    assert known.gaps == ()


def test_a_sync_does_not_read_a_purged_span_again() -> None:
    [known] = stream_coverage(ledger_of_a_purge(), NOW)
    read = plan_stream(STREAM, known, request(), NOW).read
    assert not any(span.intersection(known.purged[0]) for span in read)
    assert read[0].end == days(85)
    assert read[-1] == Span(days(1) - timedelta(hours=1), NOW)


def test_a_recheck_does_not_read_a_purged_span_again() -> None:
    [known] = stream_coverage(ledger_of_a_purge(), NOW)
    read = plan_stream(STREAM, known, request(again=True), NOW).read
    assert not any(span.intersection(known.purged[0]) for span in read)


def test_the_overlap_stops_at_a_purged_end() -> None:
    [known] = stream_coverage(ledger_of_a_purge(until=days(1)), NOW)
    assert plan_stream(STREAM, known, request(), NOW).read[-1] == Span(days(1), NOW)


def test_an_answer_over_a_purged_span_is_told_to_be_incomplete() -> None:
    missing = missing_in(ledger_of_a_purge(), Span(days(40), days(20)), NOW, open_ended=False)
    assert [(each.span, each.reason) for each in missing] == [(Span(days(40), days(30)), "purged")]
