"""What the ledger's entries add up to: covered spans, gaps with their reason, and what is still to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trailkeep.coverage import Gap, GapReason, StreamCoverage, coverage_tables, readable_from, stream_coverage
from trailkeep.seal import CoverageRecord, Entry, StreamRecord
from trailkeep.store import Ledger
from trailkeep.streams import Stream
from trailkeep.timespan import Span, format_time, intersect, subtract, union

ORGANIZATION = "11111111-1111-4111-8111-111111111111"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EDGE = readable_from(NOW)


@dataclass
class Entries:
    """A ledger whose entries say as much as coverage asks for."""

    ledger: Ledger = field(default_factory=lambda: Ledger("a"))

    def add(
        self,
        *covered: Span,
        asked: Span | None = None,
        lost: tuple[Span, ...] = (),
        outcome: str = "read",
        run: str | None = None,
        region: str = "fr-par",
    ) -> None:
        seq = len(self.ledger.entries) + 1
        keys: dict[str, Any] = {"organization_id": ORGANIZATION, "kind": "api", "region": region}

        def record(span: Span) -> CoverageRecord:
            return CoverageRecord(**keys, start=format_time(span.start), end=format_time(span.end))

        bounds: dict[str, Any] = {"start": format_time(asked.start), "end": format_time(asked.end)} if asked else {}
        self.ledger.take(
            Entry(
                format=1,
                seq=seq,
                previous=None,
                archive_id="a",
                operation="sync",
                run=run or str(seq),
                started_at=format_time(NOW),
                finished_at=f"finished {seq}",
                tool={},
                host="h",
                os_user="u",
                coverage=[record(span) for span in covered],
                unreadable=[record(span) for span in lost],
                streams=[StreamRecord(**keys, outcome=outcome, **bounds)] if asked or outcome != "read" else [],
            )
        )

    def coverage(self, now: datetime = NOW) -> StreamCoverage:
        (found,) = stream_coverage(self.ledger, now)
        return found


def days(start: int, end: int) -> Span:
    """A span in days after the edge of the retention."""
    return Span(EDGE + timedelta(days=start), EDGE + timedelta(days=end))


def unread(*spans: Span) -> tuple[Gap, ...]:
    return tuple(Gap(span=span, reason=GapReason.UNREAD) for span in spans)


def unreadable(*spans: Span) -> tuple[Gap, ...]:
    return tuple(Gap(span=span, reason=GapReason.UNREADABLE) for span in spans)


def test_an_empty_ledger_covers_nothing() -> None:
    assert stream_coverage(Entries().ledger, NOW) == []
    tables = coverage_tables(Entries().ledger, NOW)
    assert {name: table.num_rows for name, table in tables.items()} == {"coverage": 0, "gaps": 0, "streams": 0}


def test_spans_of_several_entries_join() -> None:
    ledger = Entries()
    ledger.add(days(1, 3), asked=days(1, 9))
    ledger.add(days(3, 5))
    ledger.add(days(4, 9))
    found = ledger.coverage()
    assert found.covered == (days(1, 9),)
    assert found.gaps == ()
    assert found.end == found.oldest_unread() == days(1, 9).end
    assert found.last_read_at == "finished 3"


def test_what_lies_between_covered_spans_is_a_gap() -> None:
    ledger = Entries()
    ledger.add(days(1, 3), days(5, 6), days(8, 9))
    found = ledger.coverage()
    assert found.gaps == unread(days(3, 5), days(6, 8))
    assert found.oldest_unread() == days(3, 5).start
    assert found.end == days(8, 9).end


def test_what_was_asked_and_not_read_is_a_gap() -> None:
    ledger = Entries()
    ledger.add(days(1, 3), asked=days(0, 9), outcome="partial")
    assert ledger.coverage().gaps == unread(days(0, 1), days(3, 9))


def test_a_gap_is_unreadable_as_far_as_it_lies_behind_the_retention() -> None:
    ledger = Entries()
    ledger.add(days(-20, -10), days(5, 6))
    assert ledger.coverage().gaps == (*unreadable(days(-10, 0)), *unread(days(0, 5)))
    assert ledger.coverage().oldest_unread() == EDGE
    later = ledger.coverage(NOW + timedelta(days=30)).gaps
    assert later == (*unreadable(days(-10, 5)), *unreadable(days(6, 30)))


def test_an_archive_that_begins_a_little_later_than_asked_has_lost_nothing() -> None:
    """A first run that failed and was repeated within the hour would otherwise be an alarm for ever."""
    begun = Span(EDGE + timedelta(minutes=5), NOW)
    ledger = Entries()
    ledger.add(asked=Span(EDGE, NOW), outcome="failed")
    ledger.add(begun, asked=begun)
    later = NOW + timedelta(minutes=20)
    assert ledger.coverage(later).gaps == ()
    longer = Entries()
    longer.add(asked=Span(EDGE - timedelta(hours=2), NOW), outcome="failed")
    longer.add(begun, asked=begun)
    assert longer.coverage(later).gaps == unreadable(Span(EDGE - timedelta(hours=2), begun.start))
    inside = Entries()
    inside.add(Span(EDGE, EDGE + timedelta(minutes=1)), begun)
    assert inside.coverage(later).gaps == unreadable(Span(EDGE + timedelta(minutes=1), begun.start))


def test_what_was_recorded_as_lost_stays_lost_whatever_the_clock_says() -> None:
    ledger = Entries()
    ledger.add(days(-20, -10), days(5, 6), lost=(days(-10, 0),))
    earlier = NOW - timedelta(days=30)
    assert ledger.coverage(earlier).gaps == (*unreadable(days(-10, 0)), *unread(days(0, 5)))
    assert ledger.coverage().recorded_unreadable == (days(-10, 0),)


def test_what_was_lost_and_later_came_otherwise_is_no_gap() -> None:
    ledger = Entries()
    ledger.add(days(-20, -10), days(5, 6), lost=(days(-10, 0),))
    ledger.add(days(-10, 5))
    assert ledger.coverage().gaps == ()


def test_a_run_s_last_word_on_what_it_set_out_to_read_counts() -> None:
    """The retention moves on during a first run: what left it before its turn was never there to be read."""
    ledger = Entries()
    ledger.add(asked=days(0, 9), outcome="partial", run="one")
    ledger.add(Span(days(0, 9).start + timedelta(seconds=9), days(0, 9).end), run="one", outcome="read")
    ledger.add(asked=Span(days(0, 9).start + timedelta(seconds=9), days(0, 9).end), run="one")
    assert ledger.coverage().gaps == ()


def test_a_stream_is_not_offered_until_it_is_read() -> None:
    ledger = Entries()
    ledger.add(outcome="not_offered")
    assert ledger.coverage().not_offered_since == "finished 1"
    assert ledger.coverage().gaps == ()
    assert ledger.coverage().oldest_unread() is None
    ledger.add(days(1, 2), asked=days(1, 2))
    assert ledger.coverage().not_offered_since is None


def test_streams_are_told_apart() -> None:
    ledger = Entries()
    ledger.add(days(1, 2))
    ledger.add(days(2, 3), region="nl-ams")
    covered = {each.stream: each.covered for each in stream_coverage(ledger.ledger, NOW)}
    assert covered == {
        Stream(organization_id=ORGANIZATION, kind="api", region="fr-par"): (days(1, 2),),
        Stream(organization_id=ORGANIZATION, kind="api", region="nl-ams"): (days(2, 3),),
    }


def test_the_tables_say_the_same() -> None:
    ledger = Entries()
    ledger.add(days(1, 3), days(5, 6))
    tables = coverage_tables(ledger.ledger, NOW)
    start = days(1, 3).start.replace(tzinfo=None)
    assert tables["coverage"].to_pylist()[0] == {
        "organization_id": ORGANIZATION,
        "kind": "api",
        "region": "fr-par",
        "start_at": start,
        "end_at": start + timedelta(days=2),
    }
    assert [row["reason"] for row in tables["gaps"].to_pylist()] == ["unread"]


span_lists = st.lists(
    st.tuples(st.integers(-30, 80), st.integers(1, 20)).map(lambda pair: days(pair[0], pair[0] + pair[1])), max_size=5
)


@given(span_lists, span_lists, span_lists)
def test_covered_spans_and_gaps_tile_all_that_was_asked_or_read(
    covered: list[Span], asked: list[Span], lost: list[Span]
) -> None:
    ledger = Entries()
    ledger.add(*covered, lost=tuple(lost))
    for span in asked:
        ledger.add(asked=span)
    for found in stream_coverage(ledger.ledger, NOW):
        gaps = [gap.span for gap in found.gaps]
        assert intersect(gaps, found.covered) == []
        assert list(found.covered) == union(covered)
        assert subtract(asked, [*found.covered, *gaps]) == []
        assert len(union([*found.covered, *gaps])) <= 1
        behind = [gap.span for gap in found.gaps if gap.reason is GapReason.UNREAD and gap.span.start < EDGE]
        assert behind == []
