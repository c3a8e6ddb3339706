"""Reading one numbered list in full, although it may change while its pages are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trailkeep.directory import Seen, read_object
from trailkeep.errors import NotOffered, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from trailkeep.api import Client, Listing

PAGE_SIZE = 100

READS = 4
"""How often a list is read that does not add up, before only what was seen is kept."""

SMALLEST_FULL_PAGE = 20
"""A last page with fewer elements is not full at any server: nothing is hidden behind it."""

MOST_PAGES = 10_000
"""Pages of one list that are asked for at most, whatever its total_count says."""


@dataclass(slots=True)
class ListRead:
    """What was seen of one list, by one or more reads."""

    elements: dict[str, Seen] = field(default_factory=dict)
    """By id, each as it was seen last."""
    whole: bool = True
    """Whether the last read had every element that the API counts, each once, and no others."""
    counted: bool = True
    """Whether the API said how many elements there are."""
    pages: int = 0
    """Pages of the last read that held elements. A list of one page cannot have changed while it was read."""
    rejected: int = 0
    """Elements of the last read that are no JSON objects with an id."""
    began_at: datetime | None = None
    at: datetime | None = None
    """When the first and the last answer came, by the API's clock."""
    offset_ms: int | None = None
    """The API's clock minus ours; None where it did not tell."""

    def take(self, other: ListRead) -> None:
        """Add what another, later read has seen."""
        self.elements |= other.elements
        self.whole = self.whole and other.whole
        self.pages = max(self.pages, other.pages)
        self.rejected = max(self.rejected, other.rejected)
        self.began_at = self.began_at or other.began_at
        self.at = max(filter(None, (self.at, other.at)), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedList:
    """A list of the API: ``page`` from 1, ``page_size``, answered with ``total_count``."""

    client: Client
    path: str
    key: str
    """Under what the elements stand in an answer."""
    parameters: Mapping[str, str]
    resource: str
    region: str | None = None
    in_one_answer: bool = False
    """Whether the list knows no pages: then it is complete also where it does not count itself."""

    def read(
        self, side_by_side: int, run: Callable[..., Any], *, retries: int | None = None, to_the_end: bool = False
    ) -> ListRead:
        """Read the list until it adds up, `READS` times at most.

        `run` is ``map``, or that of a pool for `side_by_side` pages at once. With `to_the_end` no page is too short to
        be followed by another. Raises RemoteError and Stopped.
        """
        found = ListRead()
        smallest_full = 1 if to_the_end else SMALLEST_FULL_PAGE
        for _ in range(READS):
            latest = self._read_once(side_by_side, run, retries, smallest_full)
            latest.began_at = found.began_at or latest.began_at
            latest.elements = found.elements | latest.elements
            found = latest
            if found.whole or not found.counted:
                break
        return found

    def _read_once(
        self, side_by_side: int, run: Callable[..., Any], retries: int | None, smallest_full: int
    ) -> ListRead:
        found = ListRead()
        ids: set[str] = set()
        counted = self._take(found, ids, self._page(1, retries))
        totals = {counted[1]}
        received = last = counted[0]
        number = 2
        while not self.in_one_answer and last and number <= MOST_PAGES:
            total = counted[1]
            if total is None:
                total = received + 1
            known = len(ids)
            if received >= total:
                break
            # As many pages as are missing, by the size of the first, and no more at once than may be in flight.
            missing = -(-(total - received) // max(last, 1))
            numbers = range(number, min(number + min(missing, side_by_side), MOST_PAGES + 1))
            number = numbers.stop
            for page in run(lambda each: self._page(each, retries), numbers):
                last, total_now = self._take(found, ids, page)
                received += last
                totals.add(total_now)
                if not last:
                    break
            if len(ids) == known:
                break  # a server that knows no pages sends the same ones again
        found.counted = None not in totals
        whole_total = next(iter(totals)) if len(totals) == 1 else None
        adds_up = whole_total == len(ids) and not found.rejected
        if self.in_one_answer:
            found.whole = not found.rejected and len(ids) == received and whole_total in (None, len(ids))
        else:
            found.whole = adds_up and (last < smallest_full or self._ends(found, ids, number, retries))
        return found

    def _ends(self, found: ListRead, ids: set[str], number: int, retries: int | None) -> bool:
        """Whether the page after the last brings nothing new: a count that is too low would hide the rest."""
        known = len(ids)
        if self._take(found, ids, self._page(number, retries))[0] == 0:
            return True
        if len(ids) > known:
            return False
        # It repeats what was seen, so that only the count tells that this is all; unless it counts what an answer has.
        smallest = self._page(1, retries, size=1)
        return smallest is not None and len(smallest.elements) == 1 and smallest.total == known

    def _page(self, number: int, retries: int | None, *, size: int = PAGE_SIZE) -> Listing | None:
        """A page; None where the API refuses a further one: so it may say that there is none."""
        pages = {} if self.in_one_answer else {"page": str(number), "page_size": str(size)}
        try:
            return self.client.listing(self.path, self.key, {**self.parameters, **pages}, retries=retries)
        except (NotOffered, RequestRefused):
            if number == 1:
                raise
            return None

    def _take(self, found: ListRead, ids: set[str], page: Listing | None) -> tuple[int, int | None]:
        """Add a page; how many elements it has, and how many the whole list has."""
        if page is None:
            return 0, 0
        moment = page.server_date or page.received_at
        found.began_at = moment if found.began_at is None else min(found.began_at, moment)
        found.at = moment if found.at is None else max(found.at, moment)
        if page.server_date is not None and found.offset_ms is None:
            found.offset_ms = round((page.server_date - page.received_at).total_seconds() * 1000)
        found.pages += bool(page.elements)
        for element in page.elements:
            try:
                seen = self._seen(element)
            except ValueError:
                found.rejected += 1
                continue
            ids.add(seen.id)
            found.elements[seen.id] = seen
        return len(page.elements), page.total

    def _seen(self, element: bytes) -> Seen:
        return read_object(self.resource, element, region=self.region)
