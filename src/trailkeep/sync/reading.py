"""Reading one window of a stream, page by page."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from trailkeep.coverage import readable_from
from trailkeep.errors import RequestRefused, TokenRefused
from trailkeep.sync.cursor import MARGIN
from trailkeep.sync.numbers import NumberCursor
from trailkeep.sync.tokens import TokenCursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from trailkeep.api import Client
    from trailkeep.sync.window import Piece, Window

REFUSED_EDGE_MARGIN = timedelta(minutes=1)
"""How far inside the retention reading starts where the API refused a bound that is nearer to its edge."""


def read_window(
    client: Client, window: Window, server_now: Callable[[], datetime], goes_on: Callable[[], bool]
) -> Iterator[Piece]:
    """Read `window` to its end. Raises a RemoteError where the API does not let that happen.

    Stops quietly, with what was proven, when `goes_on` answers no.
    """
    edge = window.start - MARGIN if window.beyond else readable_from(server_now())
    window.start = window.proven = max(window.start, edge)
    if window.start >= window.end:
        return
    cursor = _cursor(window, edge, server_now())
    moved = False
    while goes_on():
        try:
            page = client.page(window.stream, cursor.bounds, cursor.token, size=cursor.size)
        except TokenRefused as error:
            cursor.restart(error)
            continue
        except RequestRefused:
            if isinstance(cursor, NumberCursor) and cursor.looks_back:
                cursor.look_no_further()
                continue
            if window.beyond:
                return
            # While the request waited, its bound may have left the retention, which the API may refuse.
            edge = readable_from(server_now()) + REFUSED_EDGE_MARGIN
            if moved or cursor.has_read or window.start >= edge:
                raise
            window.start = window.proven = edge
            moved = True
            if window.start >= window.end:
                return
            cursor = _cursor(window, edge, server_now())
            continue
        yield cursor.take(page)
        if cursor.finished:
            return


def _cursor(window: Window, edge: datetime, now: datetime) -> NumberCursor | TokenCursor:
    return (NumberCursor if window.stream.kind == "iam" else TokenCursor)(window, edge, now)
