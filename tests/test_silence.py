"""An archive that nobody feeds says so, and so does one that was never fed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from test_purged_spans import NOW, record
from trailkeep.coverage import GapReason, missing_in, readable_from, stream_coverage
from trailkeep.seal import Entry
from trailkeep.store import Ledger
from trailkeep.timespan import Span


def ledger_read_until(end: datetime) -> Ledger:
    ledger = Ledger("archive")
    ledger.take(
        Entry(
            format=1,
            seq=1,
            previous=None,
            archive_id="archive",
            operation="sync",
            run="run",
            started_at="2026-01-01T00:00:00.000000Z",
            finished_at="2026-01-01T00:00:00.000000Z",
            tool={},
            host="",
            os_user="",
            coverage=[record(end - timedelta(days=10), end)],
        )
    )
    return ledger


def test_what_fell_behind_the_edge_since_the_last_sync_is_a_gap() -> None:
    last = NOW - timedelta(days=100)
    [known] = stream_coverage(ledger_read_until(last), NOW)
    assert [(gap.span, gap.reason) for gap in known.gaps] == [(Span(last, readable_from(NOW)), GapReason.UNREADABLE)]


def test_the_oldest_unread_moment_is_one_that_can_still_be_read() -> None:
    [known] = stream_coverage(ledger_read_until(NOW - timedelta(days=100)), NOW)
    assert known.oldest_unread() == readable_from(NOW)


def test_a_recent_silence_is_no_gap_yet() -> None:
    last = NOW - timedelta(days=20)
    [known] = stream_coverage(ledger_read_until(last), NOW)
    assert known.gaps == ()
    assert known.oldest_unread() == last


def test_an_answer_from_an_archive_that_was_never_fed_is_told_to_be_incomplete() -> None:
    asked = Span(datetime(2026, 1, 1, tzinfo=UTC), NOW)
    [missing] = missing_in(Ledger("archive"), asked, NOW, open_ended=True)
    assert str(missing).startswith("every stream: 2026-01-01")
    assert str(missing).endswith("it was never read")
