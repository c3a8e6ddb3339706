"""Pages of a timeline: what a request asks for, where a token stands, and the rows between two tokens."""

from __future__ import annotations

import base64
import json
import uuid
from bisect import bisect_right
from dataclasses import dataclass, replace
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any

from trailkeep.demo.answers import invalid_argument
from trailkeep.demo.timeline import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trailkeep.demo.faults import Faults
    from trailkeep.demo.timeline import Timeline

HOUR = 3600 * 10**9
DAY = 24 * HOUR
RETENTION = 90 * DAY
"""Ninety days in nanoseconds, as documented."""

FILTERS = {
    "api": (
        "project_id",
        "resource_type",
        "method_name",
        "status",
        "product_name",
        "service_name",
        "resource_id",
        "principal_id",
        "source_ip",
    ),
    "combined": ("project_id", "resource_type"),
}
"""The filters that a stream knows; it ignores all others, as it ignores any unknown parameter."""

_NO_FILTER = {"", "0", "unknown_type"}
"""Values that SDKs send for a filter that was not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request for a page, checked; times in nanoseconds."""

    after: int
    before: int
    descending: bool
    page_size: int
    token: str | None
    filters: tuple[tuple[str, str], ...]
    fingerprint: str
    """What must be the same in every request of one read: all parameters but the token and the page size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Where a read goes on; a client sees it as opaque text."""

    fingerprint: str
    after: int
    before: int
    """Kept, so that a read whose end was "now" ends there on every page."""
    cursor: int | None
    """The key of the last row sent, or how many rows were sent, or None before the first row."""
    issued_at: int
    page: int
    """The number of the page that the token leads to; the first page is 1."""
    read: int
    """The request with which the read began."""

    def encode(self, secret: bytes) -> str:
        """The token as text that cannot be made up or changed."""
        fields = [
            self.fingerprint,
            self.after,
            self.before,
            self.cursor,
            self.issued_at,
            self.page,
            self.read,
        ]
        content = json.dumps(fields, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(_seal(content, secret) + content).decode().rstrip("=")


def decode_token(text: str, secret: bytes) -> Token:
    """The token that `text` stands for; raises the API's 400 where nobody issued it."""
    refused = invalid_argument("page_token", "constraint", "unknown page token")
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise refused from None
    content = sealed[8:]
    if sealed[:8] != _seal(content, secret):
        raise refused
    fingerprint, after, before, cursor, issued_at, page, read = json.loads(content)
    return Token(
        fingerprint=fingerprint,
        after=after,
        before=before,
        cursor=cursor,
        issued_at=issued_at,
        page=page,
        read=read,
    )


def _seal(content: bytes, secret: bytes) -> bytes:
    return blake2b(content, key=secret, digest_size=8).digest()


def checked_organization(query: Mapping[str, str]) -> str:
    """The organization asked for; raises 400 where it is missing or is no UUID."""
    text = query.get("organization_id", "")
    if not text:
        raise invalid_argument("organization_id", "required")
    try:
        uuid.UUID(text)
    except ValueError:
        raise invalid_argument("organization_id", "format", "must be a UUID") from None
    return text


def read_query(stream: str, path: str, query: Mapping[str, str], *, now: int, faults: Faults) -> Asked:
    """What a request for a page of `stream` asks, with the API's defaults; raises 400."""
    after = moment(query, "recorded_after", now - HOUR)
    if faults.refuse_old_bounds and after < now - RETENTION:
        raise invalid_argument("recorded_after", "constraint", "cannot be more than 90 days ago")
    order = query.get("order_by") or "recorded_at_desc"
    if order not in {"recorded_at_asc", "recorded_at_desc"}:
        raise invalid_argument("order_by", "format", f"unknown value {order!r}")
    bound = {name: text for name, text in query.items() if name not in {"page_token", "page_size"}}
    seed = json.dumps([path, sorted(bound.items())]).encode()
    return Asked(
        after=after,
        before=moment(query, "recorded_before", now),
        descending=order == "recorded_at_desc" or faults.ignore_order,
        page_size=page_size(query, faults),
        token=query.get("page_token") or None,
        filters=tuple((name, query[name]) for name in FILTERS.get(stream, ()) if query.get(name, "") not in _NO_FILTER),
        fingerprint=blake2b(seed, digest_size=8).hexdigest(),
    )


def moment(query: Mapping[str, str], name: str, default: int) -> int:
    """A time of a request in nanoseconds; raises 400 for what is none."""
    text = query.get(name)
    if not text:
        return default
    try:
        return nanoseconds(text)
    except ValueError:
        raise invalid_argument(name, "format", "must be an RFC 3339 time") from None


def page_size(query: Mapping[str, str], faults: Faults) -> int:
    """How many rows a page of this request may have; raises 400."""
    text = query.get("page_size")
    if not text or text == "0":
        return faults.default_page_size
    if not text.isascii() or not text.isdigit():
        raise invalid_argument("page_size", "format", "must be a positive integer")
    size = int(text)
    if size > faults.max_page_size and faults.oversize == "refused":
        raise invalid_argument("page_size", "constraint", f"cannot be above {faults.max_page_size}")
    return min(size, faults.max_page_size)


def accepts(filters: Sequence[tuple[str, str]], *, wrapped: bool) -> Callable[[bytes], bool]:
    """Whether a row passes all `filters`; `wrapped` rows are those of the combined stream."""
    needles = [value.encode() for _, value in filters if value.isascii()]

    def accept(row: bytes) -> bool:
        if not all(needle in row for needle in needles):
            return False
        try:
            event = json.loads(row)
        except (ValueError, RecursionError):
            return False
        if wrapped:
            event = next(iter(event.values()))
        return isinstance(event, dict) and all(value in _values(event, name) for name, value in filters)

    return accept


def _values(event: dict[str, Any], name: str) -> list[str]:
    """The values of an event that a filter compares with, as text."""
    if name.startswith("resource_"):
        resources = event.get("resources")
        key = name.removeprefix("resource_")
        return [str(each.get(key)) for each in resources or [] if isinstance(each, dict)]
    if name == "principal_id":
        return [str((event.get("principal") or {}).get("id"))]
    return [str(event.get("status_code" if name == "status" else name))]


def positions(timeline: Timeline, asked: Asked, *, floor: int, faults: Faults, wrapped: bool) -> Sequence[int]:
    """Where the rows that `asked` selects stand, in the order asked; `floor` is the retention's edge."""
    after = asked.after + (faults.after_bound == "exclusive")
    before = asked.before + (faults.before_bound == "inclusive")
    found: Sequence[int] = timeline.between(max(after, floor), before)
    if asked.filters and isinstance(found, range):
        found = timeline.matching(found, accepts(asked.filters, wrapped=wrapped))
    return found[::-1] if asked.descending else found


def start_of(found: Sequence[int], timeline: Timeline, token: Token | None, *, descending: bool, kind: str) -> int:
    """How many of `found` lie before the page that `token` leads to."""
    if token is None or token.cursor is None:
        return 0
    if kind == "offset":
        return min(token.cursor, len(found))
    if descending:
        return bisect_right(found, -token.cursor, key=lambda at: -timeline.keys[at])
    return bisect_right(found, token.cursor, key=lambda at: timeline.keys[at])


def resumed(asked: Asked, token: Token) -> Asked:
    """What was asked, with the bounds that the read began with."""
    return replace(asked, after=token.after, before=token.before)


def following(asked: Asked, token: Token | None, cursor: int | None, *, number: int, now: int) -> Token:
    """The token for the page after the one that `token` led to; `number` is the request being answered."""
    return Token(
        fingerprint=asked.fingerprint,
        after=asked.after,
        before=asked.before,
        cursor=cursor,
        issued_at=now,
        page=token.page + 1 if token else 2,
        read=token.read if token else number,
    )


def before_first_row(token: Token) -> Token:
    """A token of the same read that leads to its first page."""
    return replace(token, cursor=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The rows of one page as ``first <= n < end`` among all that match, and whether a token follows."""

    first: int
    end: int
    more: bool


def cut(start: int, total: int, page_size: int, *, token: Token | None, faults: Faults, struck: frozenset[str]) -> Cut:
    """Where a page that would begin at `start` of `total` rows begins and ends, faults included."""
    if "empty_page" in struck:
        return Cut(first=start, end=start, more=True)
    first = start
    if token is not None and faults.repeated_rows:
        # At least one new row a page, or the read would never end.
        first = max(0, start - min(faults.repeated_rows, page_size - 1))
    end = min(total, first + page_size)
    if "short_page" in struck:
        end = min(end, start + max(1, page_size // 2))
    more = end < total or (faults.trailing_page and start < total)
    return Cut(first=first, end=end, more=more)


def disturbed(rows: list[bytes], struck: frozenset[str], *, luck: str) -> list[bytes]:
    """The rows of a page with one left out or in another order, as the faults that struck want it."""
    if "omitted_row" in struck and rows:
        rows = rows.copy()
        del rows[Random(luck).randrange(len(rows))]
    if "shuffled" in struck:
        rows = Random(luck).sample(rows, len(rows))
    return rows
