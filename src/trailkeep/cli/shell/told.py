"""Which holes in the coverage the user has been told of: once is enough."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.timespan import Span, subtract

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trailkeep.coverage import Missing
    from trailkeep.streams import Stream

SLACK = timedelta(hours=1)
"""A hole that grew by less than this since it was told, because time goes on, is the same hole."""


class Told:
    """The holes that were told, by stream and reason."""

    def __init__(self) -> None:
        self._spans: dict[tuple[Stream | None, str], list[Span]] = {}

    def news(self, missing: Iterable[Missing]) -> list[Missing]:
        """Those of `missing` that were not told yet; they are taken as told from now on."""
        new: list[Missing] = []
        for each in missing:
            spans = self._spans.setdefault((each.stream, each.reason), [])
            left = sum((part.length for part in subtract([each.span], spans)), timedelta())
            if left >= min(SLACK, each.span.length):
                new.append(each)
                spans.append(each.span)
        return new
