"""The emulator in a process of its own, with uneven events: nine of ten in one day, most of them in one region.

Run as ``python bench/uneven.py EVENTS LATENCY_SECONDS [FAULT=VALUE ...]`` it serves until its standard input ends.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from trailkeep.demo.emulator import Emulator

NOW = datetime(2026, 6, 1, tzinfo=UTC)
"""What the emulator's clock says, for ever."""
BUSY_DAY = NOW - timedelta(days=37)
IN_BUSY_DAY = 0.9
KEPT = timedelta(days=90)
SHARES = {("api", "fr-par"): 0.86, ("api", "nl-ams"): 0.06, ("api", "pl-waw"): 0.04, ("authentication", "fr-par"): 0.04}
"""Which stream an event is in."""
_ASKED = "/asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A served emulator."""

    url: str
    organization_id: str
    secret_key: str
    access_key: str


def events(count: int, seed: int = 1) -> dict[tuple[str, str], list[tuple[int, bytes]]]:
    """About `count` of the story's events with other times, as pairs of nanoseconds and bytes in order, by stream."""
    from trailkeep.demo.story import demo_organization

    luck = Random(seed)
    organization = demo_organization(now=NOW)
    made: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
    for stream, share in SHARES.items():
        models = [json.loads(raw) for raw in organization.events[stream[0], "fr-par"]]
        rows = []
        for number in range(round(count * share)):
            if luck.random() < IN_BUSY_DAY:
                at = BUSY_DAY + timedelta(days=1) * luck.random()
            else:
                at = NOW - timedelta(minutes=1) - (KEPT - timedelta(hours=2)) * luck.random()
            event = models[number % len(models)]
            event["id"] = str(uuid.UUID(int=luck.getrandbits(128), version=4))
            event["recorded_at"] = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            nanoseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
            rows.append((nanoseconds, json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()))
        made[stream] = sorted(rows)
    return made


@contextlib.contextmanager
def served(count: int, latency_seconds: float, *faults: str) -> Iterator[Api]:
    """An emulator of about `count` events in another process, which ends with the block."""
    command = [sys.executable, __file__, str(count), str(latency_seconds), *faults]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Api(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait()


def asked(api: Api) -> dict[str, float]:
    """What the emulator was asked so far: requests, answers, refusals, connections, and how many seconds that took."""
    with urllib.request.urlopen(f"{api.url}{_ASKED}") as answer:
        return json.load(answer)


class _Counting:
    """The emulator, with a page of its own that tells what it was asked."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.connections: set[tuple[str, str]] = set()
        self.times: list[float] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != _ASKED:
            self.times.append(time.monotonic())
            self.connections.add((environ["REMOTE_ADDR"], environ["REMOTE_PORT"]))
            return self.emulator(environ, start_response)
        statuses = [request.status for request in self.emulator.requests]
        told = {
            "requests": len(statuses),
            "answered": statuses.count(200),
            "refused": statuses.count(429),
            "connections": len(self.connections),
            "seconds": max(self.times) - min(self.times) if self.times else 0.0,
        }
        body = json.dumps(told).encode()
        start_response("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "application/json")])
        return [body]


def main() -> None:
    """Serve until nobody holds the other end of the standard input."""
    from trailkeep.cli.emulator import parse_faults
    from trailkeep.demo.emulator import Emulator
    from trailkeep.demo.serve import serve

    count, latency_seconds, *faults = sys.argv[1:]
    slow = ["latency=always", f"latency_seconds={latency_seconds}"] if float(latency_seconds) else []
    emulator = Emulator(clock=lambda: NOW, faults=parse_faults([*slow, *faults]))
    emulator.load(events(int(count)))
    with serve(_Counting(emulator)) as server:
        print(
            json.dumps(
                {
                    "url": server.url,
                    "organization_id": emulator.organization_id,
                    "secret_key": emulator.secret_key,
                    "access_key": emulator.access_key,
                }
            ),
            flush=True,
        )
        sys.stdin.read()


if __name__ == "__main__":
    main()
