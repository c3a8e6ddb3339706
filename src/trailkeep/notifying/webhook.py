"""Posting to a webhook: once where it is taken, again where that may help, and never a word of the URL."""

from __future__ import annotations

import sys
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from trailkeep import __version__
from trailkeep.config.values import is_loopback
from trailkeep.errors import RemoteError, RemoteUnavailable, RequestRefused

# Importing httpx would import its command line, and with that rich.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trailkeep.config import Secret

TRIES = 5
TIMEOUT_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 60.0
"""What a Retry-After is cut to: the next run tries again anyway."""


def post(
    url: Secret,
    body: bytes,
    *,
    key: str,
    token: Secret | None,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> None:
    """Post JSON until it is taken. Raises RemoteError, without the URL: it is a secret mostly.

    Redirects are not followed: findings go to the host that was named.
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"trailkeep/{__version__}",
        "Idempotency-Key": key,
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token.reveal()}"
    address = httpx.URL(url.reveal())
    with httpx.Client(
        timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=not is_loopback(address.host)
    ) as client:
        for attempt in range(1, TRIES + 1):
            failure = _try(client, address, body, headers)
            if failure is None:
                return
            error, retry_after = failure
            if isinstance(error, RequestRefused) or attempt == TRIES:
                raise error from None
            pause = _seconds(retry_after, clock)
            sleep(min(LONGEST_PAUSE_SECONDS, max(pause, 0.5 * 2 ** (attempt - 1))))


def _try(
    client: httpx.Client, address: httpx.URL, body: bytes, headers: dict[str, str]
) -> tuple[RemoteError, str | None] | None:
    """None where it was taken; else the failure, and the Retry-After that came with it."""
    place = f"the receiver at {address.host}"
    try:
        with client.stream("POST", address, content=body, headers=headers) as response:
            status, retry_after = response.status_code, response.headers.get("Retry-After")
    except (httpx.TransportError, httpx.InvalidURL) as error:
        # The error's own text may hold the URL.
        return RemoteUnavailable(f"{place} could not be reached ({type(error).__name__})"), None
    if 200 <= status < 300:
        return None
    if status == 429 or status >= 500 or status == 408:
        return RemoteUnavailable(f"{place} answered {status}"), retry_after
    return RequestRefused(f"{place} answered {status} and will not take it"), None


def _seconds(retry_after: str | None, clock: Callable[[], datetime]) -> float:
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - clock()).total_seconds())
