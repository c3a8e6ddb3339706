"""The streams of the Audit Trail: their events, and the pages and tokens in which they are read."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Literal

from trailkeep.demo import logs, paging
from trailkeep.demo.answers import invalid_argument
from trailkeep.demo.faults import NEVER
from trailkeep.demo.timeline import Timeline, merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trailkeep.demo.faults import Faults

Kind = Literal["api", "authentication", "system", "iam"]

_WRAPPERS = {"api": "api", "authentication": "auth", "system": "system"}
"""The kinds, and the name under which each is wrapped among combined events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """What a client sent for one page."""

    path: str
    query: Mapping[str, str]
    number: int
    """The request's number, which names a read after its first request."""


class Trail:
    """Every stream of one Organization; thread-safe. All times are nanoseconds since 1970."""

    def __init__(self, regions: Sequence[str], seed: int) -> None:
        self._seed = seed
        self._secret = blake2b(f"token/{seed}".encode(), digest_size=32).digest()
        self._lock = Lock()
        self._ordinals = count()
        self._timelines = {(kind, region): Timeline() for kind in _WRAPPERS for region in regions}
        self._timelines["iam", logs.REGION] = Timeline()
        self._combined: dict[str, tuple[int, Timeline]] = {}
        self._first_tokens: dict[int, str] = {}

    def load(
        self, events: Mapping[tuple[str, str], Sequence[bytes]], times: Mapping[tuple[str, str], Sequence[int]]
    ) -> None:
        """Fill the empty streams, each named by kind and region, with many events at once."""
        first = 0
        for stream, raws in events.items():
            self._timelines[stream].load(times[stream], raws, first)
            first += len(raws)
        self._ordinals = count(first)

    def add(self, kind: str, region: str, raw: bytes, place: int, *, visible_at: int | None) -> None:
        """Put one event at the time `place`, hidden until `visible_at`."""
        with self._lock:
            self._timelines[kind, region].add(place, next(self._ordinals), raw, visible_at=visible_at)

    def replace(self, kind: str, region: str, event_id: str, raw: bytes) -> None:
        """Give the event with this id other bytes; raises KeyError where there is none."""
        with self._lock:
            self._timelines[kind, region].replace(event_id, raw)

    def remove(self, kind: str, region: str, event_id: str) -> None:
        """Forget the event with this id; raises KeyError where there is none."""
        with self._lock:
            self._timelines[kind, region].remove(event_id)

    def truth(self, kind: str, region: str, now: int, *, since: int) -> list[bytes]:
        """Every event visible at `now` and not older than `since`, oldest first."""
        with self._lock:
            timeline = self._timeline(kind, region, now)
            return [timeline.rows[at] for at in timeline.between(since, 2**62)]

    def log_page(self, request: PageRequest, *, now: int, faults: Faults, struck: frozenset[str]) -> bytes:
        """The body of one page of IAM's log; raises Refusal for an argument that the API would not take."""
        with self._lock:
            timeline = self._timeline("iam", logs.REGION, now)
            luck = f"{self._seed}/{request.number}"
            return logs.page(timeline, request.query, now=now, faults=faults, struck=struck, luck=luck)

    def page(
        self,
        region: str,
        kind: str,
        request: PageRequest,
        *,
        now: int,
        faults: Faults,
        struck: frozenset[str],
    ) -> bytes:
        """The body of one page; raises Refusal for an argument that the API would not take."""
        asked = paging.read_query(kind, request.path, request.query, now=now, faults=faults)
        token = self._checked_token(asked, now, faults, struck)
        if token is not None:
            asked = paging.resumed(asked, token)
        with self._lock:
            timeline = self._timeline(kind, region, now)
            found = paging.positions(
                timeline, asked, floor=now - paging.RETENTION, faults=faults, wrapped=kind == "combined"
            )
            start = paging.start_of(found, timeline, token, descending=asked.descending, kind=faults.paging)
            cut = paging.cut(start, len(found), asked.page_size, token=token, faults=faults, struck=struck)
            rows = [timeline.rows[at] for at in found[cut.first : cut.end]]
            cursor: int | None = cut.end
            if faults.paging == "cursor":
                cursor = timeline.keys[found[cut.end - 1]] if cut.end else None
        rows = paging.disturbed(rows, struck, luck=f"{self._seed}/{request.number}")
        if not cut.more:
            return _page_body(rows, None, faults.last_page)
        following = paging.following(asked, token, cursor, number=request.number, now=now)
        return _page_body(rows, self._next_token(asked, following, faults, struck), faults.last_page)

    def _timeline(self, kind: str, region: str, now: int) -> Timeline:
        """One stream's events visible by `now`; call it with the lock held."""
        if kind != "combined":
            timeline = self._timelines[kind, region]
            timeline.reveal(now)
            return timeline
        parts = [(wrapper, self._timeline(each, region, now)) for each, wrapper in _WRAPPERS.items()]
        version = sum(timeline.version for _, timeline in parts)
        if region not in self._combined or self._combined[region][0] != version:
            self._combined[region] = (version, merged(parts))
        return self._combined[region][1]

    def _checked_token(
        self, asked: paging.Asked, now: int, faults: Faults, struck: frozenset[str]
    ) -> paging.Token | None:
        if asked.token is None:
            return None
        token = paging.decode_token(asked.token, self._secret)
        expired = faults.token_seconds is not None and now - token.issued_at > faults.token_seconds * 10**9
        too_far = faults.token_pages is not None and token.page > faults.token_pages
        if expired or too_far or "refused_token" in struck:
            raise invalid_argument("page_token", "constraint", "the page token has expired")
        if token.fingerprint != asked.fingerprint:
            raise invalid_argument("page_token", "constraint", "the page token is for another request")
        return token

    def _next_token(self, asked: paging.Asked, following: paging.Token, faults: Faults, struck: frozenset[str]) -> str:
        """The text of the token that follows, or of the one that a fault leads back to."""
        if "repeated_token" in struck:
            if faults.repeat_leads_to == "first" and following.read in self._first_tokens:
                return self._first_tokens[following.read]
            if asked.token is not None:
                return asked.token
            following = paging.before_first_row(following)
        text = following.encode(self._secret)
        if faults.repeated_token != NEVER:
            self._first_tokens.setdefault(following.read, text)
        return text


def _page_body(rows: list[bytes], token: str | None, last_page: str) -> bytes:
    """The bytes of a page; an empty last one is exactly ``{"events":[]}``."""
    if token is not None:
        tail = b', "next_page_token":"%s"}' % token.encode()
    else:
        tail = {"absent": b"}", "null": b', "next_page_token":null}', "empty": b', "next_page_token":""}'}[last_page]
    return b'{"events":[' + b", ".join(rows) + b"]" + tail
