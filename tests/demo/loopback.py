"""Two clients for an emulator on loopback, the official SDK and bare http.client, and the events they are given."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from scaleway import Client

from trailkeep.demo.emulator import ACCESS_KEY, SECRET_KEY, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.demo.serve import Served

NOW = datetime(2026, 9, 1, 13, 5, 7, tzinfo=UTC)


@dataclass(slots=True)
class Answered:
    """What came back over the wire."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def page(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.page["events"]]


class RawClient:
    """One keep-alive connection, opened again after it broke."""

    def __init__(self, served: Served, emulator: Emulator) -> None:
        self.emulator = emulator
        self.connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=5)

    def get(self, path: str, *, key: str | None = SECRET_KEY, **query: Any) -> Answered:
        headers = {} if key is None else {"X-Auth-Token": key}
        text = urlencode(query)
        try:
            self.connection.request("GET", f"{path}?{text}" if text else path, headers=headers)
            answer = self.connection.getresponse()
            return Answered(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def events(self, region: str = "fr-par", stream: str = "events", **query: Any) -> Answered:
        asked: dict[str, Any] = {"organization_id": self.emulator.organization_id} | query
        return self.get(f"/audit-trail/v1alpha1/regions/{region}/{stream}", **asked)

    def pages(self, limit: int = 1000, **query: Any) -> Iterator[Answered]:
        """All pages of one read, each asked with the token of the one before."""
        token: dict[str, Any] = {}
        for _ in range(limit):
            answered = self.events(**query, **token)
            yield answered
            following = answered.page.get("next_page_token")
            if not following:
                return
            token = {"page_token": following}
        raise AssertionError(f"no last page among {limit}")

    def read(self, **query: Any) -> list[str]:
        """The ids of all pages of one read."""
        return [event_id for page in self.pages(**query) for event_id in page.ids]


def sdk_client(served: Served, emulator: Emulator, *, secret_key: str = SECRET_KEY) -> Client:
    return Client(
        access_key=ACCESS_KEY,
        secret_key=secret_key,
        api_url=served.url,
        default_organization_id=emulator.organization_id,
        default_region="fr-par",
    )


def event(number: int, recorded_at: datetime, **more: object) -> dict[str, Any]:
    """A plain api event with an id that says its number."""
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "recorded_at": recorded_at.isoformat(),
        "principal": {"id": "p"},
        **more,
    }
