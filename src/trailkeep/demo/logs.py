"""IAM's log as the API answers it: numbered pages of a timeline, with a count of all that match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.demo.answers import invalid_argument
from trailkeep.demo.paging import DAY, RETENTION, disturbed, moment, page_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trailkeep.demo.faults import Faults
    from trailkeep.demo.timeline import Timeline

REGION = "global"
"""Where the emulator's methods find the log, as if it were a stream of a region of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request for a page, checked."""

    number: int
    size: int
    descending: bool


def oldest(now: int, faults: Faults) -> int:
    """The first moment that the log still has, in nanoseconds."""
    return 0 if faults.log_days is None else now - faults.log_days * DAY


def page(
    timeline: Timeline, query: Mapping[str, str], *, now: int, faults: Faults, struck: frozenset[str], luck: str
) -> bytes:
    """The body of one page; raises Refusal for an argument that the API would not take."""
    asked = _checked(query, faults)
    found = _matching(timeline, query, now=now, faults=faults)
    if asked.descending:
        found = found[::-1]
    start = (asked.number - 1) * asked.size
    if start >= len(found) > 0 and asked.number > 1:
        if faults.behind_last_page == "refused":
            raise invalid_argument("page", "constraint", "there is no such page")
        if faults.behind_last_page == "last":
            start = (len(found) - 1) // asked.size * asked.size
    if asked.number > 1:
        if "refused_token" in struck:
            raise invalid_argument("page", "constraint", "there is no such page")
        start = max(0, start - faults.repeated_rows)
    end = start + asked.size
    if "empty_page" in struck:
        end = start
    elif "short_page" in struck:
        end = start + max(1, asked.size // 2)
    rows = [timeline.rows[at] for at in found[start:end]]
    if "doubled_row" in struck and len(rows) > 1:
        rows[1] = rows[0]
    rows = disturbed(rows, struck, luck=luck)
    counted = {
        "right": len(found),
        "all": len(timeline.rows),
        "page": len(rows),
        "more": len(found) + 1,
        "fewer": max(0, len(found) - 1),
    }
    total = counted.get(faults.log_total)
    tail = b"]}" if total is None else b'], "total_count":%d}' % total
    return b'{"logs":[' + b", ".join(rows) + tail


def _checked(query: Mapping[str, str], faults: Faults) -> _Asked:
    order = query.get("order_by") or "created_at_desc"
    if order not in {"created_at_asc", "created_at_desc"}:
        raise invalid_argument("order_by", "format", f"unknown value {order!r}")
    text = query.get("page") or "1"
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise invalid_argument("page", "format", "must be a positive integer")
    return _Asked(
        number=1 if faults.ignore_log_page else int(text),
        size=page_size(query, faults),
        descending=order == "created_at_desc" or faults.ignore_order,
    )


def _matching(timeline: Timeline, query: Mapping[str, str], *, now: int, faults: Faults) -> Sequence[int]:
    """Where the records stand that the request selects, oldest first."""
    after = moment(query, "created_after", 0)
    before = moment(query, "created_before", 2**62)
    if faults.refuse_old_bounds and 0 < after < now - RETENTION:
        raise invalid_argument("created_after", "constraint", "cannot be more than 90 days ago")
    if faults.ignore_log_bounds:
        after, before = 0, 2**62
    after += faults.after_bound == "exclusive"
    before += faults.before_bound == "inclusive"
    return timeline.between(max(after, oldest(now, faults)), before)
