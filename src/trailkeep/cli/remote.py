"""The API client that the settings describe."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from trailkeep.cli.state import now

if TYPE_CHECKING:
    from datetime import timedelta

    from trailkeep.api import Client
    from trailkeep.config import Settings


def open_client(
    settings: Settings,
    *,
    stop: Event | None = None,
    retries: int | None = None,
    patience: timedelta | None = None,
) -> Client:
    """A client, to be closed by its caller. Raises ConfigError where credentials are missing.

    Setting `stop` ends waiting; `retries` replaces the client's own number of further tries; after `patience` the
    client asks nothing more.
    """
    from trailkeep.api import Client, Pacer
    from trailkeep.api.client import RETRIES

    credentials = settings.credentials()
    return Client(
        base_url=settings.api_url,
        secret_key=credentials.secret_key.reveal(),
        organization_id=credentials.organization_id,
        clock=now,
        pacer=Pacer(stop or Event(), patience_seconds=patience.total_seconds() if patience else None),
        insecure=settings.insecure,
        connections=settings.concurrency,
        retries=RETRIES if retries is None else retries,
    )
