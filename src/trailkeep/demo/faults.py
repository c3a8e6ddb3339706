"""The ways in which the emulated API can misbehave, and when."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Which requests a fault strikes: those that any of the conditions names; without one, none.

    Ordinals start at 1 when the faults are set, and count the requests whose path contains `path`.
    A retry is a request like any other, so ``When(first=2)`` lets a third attempt through.
    """

    rate: float = 0.0
    """Probability, drawn from the emulator's seed and the ordinal."""
    requests: Collection[int] = ()
    """These ordinals."""
    every: int = 0
    """Every n-th."""
    first: int = 0
    """The first n."""
    path: str = ""
    """Only requests whose path contains this, such as ``nl-ams`` or ``/system-events``."""

    def strikes(self, ordinal: int, chance: float) -> bool:
        """Whether the request with this ordinal is struck; `chance` is uniform in [0, 1)."""
        return (
            ordinal in self.requests
            or ordinal <= self.first
            or (self.every > 0 and ordinal % self.every == 0)
            or chance < self.rate
        )


NEVER = When()
ALWAYS = When(every=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Everything that can go wrong, all off by default; several can strike one request.

    Where the real API's behaviour is unknown (bounds, page sizes, tokens) the choice is here too, with
    the most likely one as default.
    """

    # Time
    latency: When = NEVER
    latency_seconds: float = 0.05
    slow_body: When = NEVER
    """The body trickles out over `slow_body_seconds`."""
    slow_body_seconds: float = 0.2
    clock_skew: timedelta = timedelta(0)
    """How far the `Date` header is ahead of the emulator's clock."""
    no_date: When = NEVER
    """The answer has no `Date` header."""

    # Refusals
    rate_limit: When = NEVER
    """429."""
    requests_per_second: float | None = None
    """429 for whatever exceeds this, by a token bucket in real time that holds one second's worth."""
    retry_after: Literal["seconds", "http-date", "none"] = "seconds"
    """The form of `Retry-After` on 429 and 503."""
    retry_after_seconds: int = 1
    server_error: When = NEVER
    """An HTML page with one of `server_error_statuses`."""
    server_error_statuses: tuple[int, ...] = (500, 502, 503, 504)
    revoked_key: When = NEVER
    """401, as if the key had just been deleted."""
    denied_permissions: Collection[str] = ()
    """403 for what needs one of these permission sets: AuditTrailReadOnly, IAMReadOnly, ProjectReadOnly."""
    denied_lists: Collection[str] = ()
    """403 for these lists of the directory, as their paths name them: groups, api-keys, rules, projects."""
    absent_regions: Collection[str] = ()
    """404 for the Audit Trail of these regions."""
    absent_streams: Collection[str] = ()
    """501 for these: ``system-events``, ``nl-ams/system-events`` for one region only, or ``logs`` for IAM's log."""
    redirect: When = NEVER
    """307 to the same path and query under `redirect_to`."""
    redirect_to: str = "http://127.0.0.2:9"

    # Connection
    reset: When = NEVER
    reset_after_bytes: int = 0
    """How much of the body is sent before the reset; 0 resets before the headers."""
    truncate: When = NEVER
    """Half of the body, then the end of the connection."""
    truncate_form: Literal["length", "chunked"] = "length"

    # Bodies
    invalid_json: When = NEVER
    """Status 200, a right Content-Length, and a body that stops in the middle."""
    not_a_page: When = NEVER
    """Status 200 and JSON that is not a page of events."""
    sorted_keys: When = NEVER
    """The same events with their keys in another order and other white space."""

    # Pages
    default_page_size: int = 20
    max_page_size: int = 100
    oversize: Literal["clamped", "refused"] = "clamped"
    """What a larger page_size meets."""
    token_seconds: float | None = None
    """A page token older than this, by the emulator's clock, is refused."""
    token_pages: int | None = None
    """A read may take this many pages; the token for the next one is refused."""
    paging: Literal["cursor", "offset"] = "cursor"
    """A token either names the last row, or counts rows and shifts when an event appears before them."""
    repeated_token: When = NEVER
    """next_page_token leads back to `repeat_leads_to`; the page itself is as it should be."""
    repeat_leads_to: Literal["asked", "first"] = "asked"
    """The token that was asked with, or the first one of the read."""
    refused_token: When = NEVER
    """400 for a page token that is good; requests without one are not struck."""
    last_page: Literal["absent", "null", "empty"] = "absent"
    """How the last page says that it is the last."""
    trailing_page: bool = False
    """The last page with rows has a token too, which leads to an empty page."""
    empty_page: When = NEVER
    """No rows, and a token that goes on where this page would have begun."""
    short_page: When = NEVER
    """Half of the rows that would have fitted, and a token that goes on after them."""

    wrong_total_count: When = NEVER
    """A list of the directory says that it has one element more than it has."""

    # The numbered pages of IAM's log
    log_days: int | None = None
    """How many days the log goes back; for ever where it is None."""
    log_total: Literal["right", "all", "page", "more", "fewer", "absent"] = "right"
    """What total_count says: of the query, of the whole log, of the page, one too many or too few, or nothing."""
    ignore_log_bounds: bool = False
    """created_after and created_before change nothing."""
    ignore_log_page: bool = False
    """Every page is the first."""
    behind_last_page: Literal["empty", "refused", "last"] = "empty"
    """What a page with too high a number is answered with: no rows, 400, or the last page once more."""
    doubled_row: When = NEVER
    """The page's second row gives way to another copy of its first; asked again, it is there."""

    # Rows
    after_bound: Literal["inclusive", "exclusive"] = "inclusive"
    before_bound: Literal["inclusive", "exclusive"] = "exclusive"
    refuse_old_bounds: bool = False
    """400 for a recorded_after before the retention's edge."""
    ignore_order: bool = False
    """Always newest first."""
    shuffled: When = NEVER
    """The rows of the page in any order."""
    repeated_rows: int = 0
    """A page begins with the last k rows of the one before it."""
    omitted_row: When = NEVER
    """One row of the page is missing; asked again, it is there."""


_STRIKING = tuple(each.name for each in fields(Faults) if each.type == "When")


@dataclass(slots=True)
class Injector:
    """Decides, for one assignment of `Faults`, what strikes which request; for one thread at a time."""

    faults: Faults
    seed: int
    _seen: Counter[str] = field(default_factory=Counter)
    _armed: list[tuple[str, When]] = field(init=False)

    def __post_init__(self) -> None:
        conditions = ((name, getattr(self.faults, name)) for name in _STRIKING)
        self._armed = [(name, when) for name, when in conditions if when != NEVER]

    def strike(self, path: str) -> frozenset[str]:
        """The names of the faults that strike the next request, which asks for `path`."""
        struck = []
        for name, when in self._armed:
            if when.path not in path:
                continue
            self._seen[name] += 1
            ordinal = self._seen[name]
            if when.strikes(ordinal, chance(self.seed, name, ordinal)):
                struck.append(name)
        return frozenset(struck)


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone, so that no thread's turn changes another's luck."""
    digest = blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
