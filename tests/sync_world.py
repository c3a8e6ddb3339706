"""An emulated API, a laptop and an archive, for tests of syncs that end with exactly the API's events."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx

from trailkeep.api import Client, Pacer
from trailkeep.coverage import StreamCoverage, stream_coverage
from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.demo.serve import serve
from trailkeep.progress import Silent
from trailkeep.schema import EVENT_TABLES, QUARANTINE, REQUESTS, REVISIONS
from trailkeep.store import Archive, Disk, read_segment
from trailkeep.streams import EVENT_KINDS, GLOBAL, Kind, Stream
from trailkeep.sync import Report, Request, Run, run_sync
from trailkeep.timespan import Span, parse_moment, subtract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from trailkeep.progress import Progress

START = datetime(2026, 3, 1, 0, 20, tzinfo=UTC)
"""Twenty minutes into a month, and the retention reaches into the year before."""
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
REGIONS = ("fr-par", "nl-ams")
EVENT_STREAMS: tuple[tuple[Kind, str], ...] = tuple((kind, region) for kind in EVENT_KINDS for region in REGIONS)
LOG: tuple[Kind, str] = ("iam", GLOBAL)


class Hurried(threading.Event):
    """A stop that nobody waits for: time spent waiting passes at once."""

    waited = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += timeout or 0.0
        return self.is_set()

    def clock(self) -> float:
        return time.monotonic() + self.waited


class QuickDisk(Disk):
    """A real disk that is not flushed: nothing here loses its power."""

    def sync_file(self, descriptor: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


@dataclass
class World:
    """An emulated API, a laptop, and an archive. Every look at a clock takes a millisecond."""

    path: Path
    start: datetime = START
    laptop_offset: timedelta = timedelta(0)
    in_process: bool = False
    streams: tuple[tuple[Kind, str], ...] = EVENT_STREAMS
    """What is compared with the truth."""
    emulator: Emulator = field(init=False)
    stop: Hurried = field(default_factory=Hurried)
    numbers: Iterator[int] = field(default_factory=count)
    ticks: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.emulator = Emulator(clock=self.now, regions=REGIONS)

    def now(self) -> datetime:
        """The API's clock."""
        return self.start + next(self.ticks) * timedelta(milliseconds=1)

    def laptop(self) -> datetime:
        return self.now() + self.laptop_offset

    def stream(self, kind: Kind = "api", region: str = "fr-par") -> Stream:
        return Stream(organization_id=self.emulator.organization_id, kind=kind, region=region)

    def add(
        self,
        at: datetime,
        kind: Kind = "api",
        region: str = "fr-par",
        *,
        visible_at: datetime | None = None,
        **more: Any,
    ) -> str:
        """One event at `at`; its id."""
        event_id = f"00000000-0000-4000-8000-{next(self.numbers):012}"
        event = {"id": event_id, "recorded_at": at.isoformat(), "method_name": "CreateServer", "status_code": 200}
        if kind == "iam":
            event = {"id": event_id, "created_at": at.isoformat(), "action": "created", "resource_type": "user"}
        self.emulator.add(kind, region, event | more, visible_at=visible_at)
        return event_id

    def fill(self, *, every: timedelta = 30 * HOUR, kinds: Iterable[Kind] = EVENT_KINDS) -> None:
        """Events over all of the retention, thicker towards now, some at one moment, in every stream."""
        for kind in kinds:
            for region in REGIONS:
                at = self.start - 89 * DAY
                while at < self.start - 2 * HOUR:
                    self.add(at, kind, region)
                    at += every
                for minutes in range(100, 0, -9):
                    self.add(self.start - minutes * MINUTE, kind, region)
        for _ in range(12):
            self.add(self.start - 3 * DAY)

    def request(self, **asked: Any) -> Request:
        defaults = {
            "organization_id": self.emulator.organization_id,
            "kinds": EVENT_KINDS,
            "regions": REGIONS,
            "overlap": HOUR,
        }
        return Request(**defaults | asked)

    @contextmanager
    def client(self, *, retries: int = 3) -> Iterator[Client]:
        served: Any = nullcontext() if self.in_process else serve(self.emulator)
        with (
            served,
            Client(
                base_url="http://localhost" if self.in_process else served.url,
                secret_key=SECRET_KEY,
                organization_id=self.emulator.organization_id,
                clock=self.laptop,
                pacer=Pacer(self.stop, clock=self.stop.clock),
                retries=retries,
                transport=httpx.WSGITransport(app=self.emulator) if self.in_process else None,
            ) as client,
        ):
            yield client

    def sync(
        self,
        *,
        concurrency: int = 4,
        commit_events: int = 50_000,
        progress: Progress | None = None,
        **asked: Any,
    ) -> Report:
        with self.client() as client:
            run = Run(
                archive=self.path,
                client=client,
                clock=self.laptop,
                stop=self.stop,
                progress=progress or Silent(),
                concurrency=concurrency,
                disk=QuickDisk(),
                commit_events=commit_events,
            )
            return run_sync(run, self.request(**asked))

    # What the archive holds

    def rows(self, kind: Kind = "api", region: str = "fr-par") -> list[dict[str, Any]]:
        return self.table(EVENT_TABLES[kind].name, region)

    def table(self, name: str, region: str | None = None) -> list[dict[str, Any]]:
        archive = Archive.open(self.path)
        keys = {"region": region} if region else {}
        return [
            row for file in archive.ledger().files(name, **keys) for row in self._rows_in(archive.locate(file), name)
        ]

    def _rows_in(self, file: Path, table: str) -> list[dict[str, Any]]:
        """The rows of a file, which is read again only where it has changed."""
        stat = file.stat()
        key = (file, stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if key not in self._read:
            self._read[key] = read_segment(file, columns_of(table)).to_pylist()
        return [dict(row) for row in self._read[key]]

    def ids(self, kind: Kind = "api", region: str = "fr-par") -> list[str]:
        return sorted(row["id"] for row in self.rows(kind, region))

    def coverage(self, kind: Kind = "api", region: str = "fr-par") -> StreamCoverage:
        ledger = Archive.open(self.path).ledger()
        return {each.stream: each for each in stream_coverage(ledger, self.now())}[self.stream(kind, region)]

    def check_truth(self, *, bytewise: bool = True) -> None:
        """Exactly the emulator's events, each once."""
        read = bytes if bytewise else normal_of
        for kind, region in self.streams:
            truth = Counter(read(raw) for raw in self.emulator.truth(kind, region))
            held = Counter(read(row["raw"].encode()) for row in self.rows(kind, region))
            assert held == truth, f"{kind} {region}"

    def check_whole(self) -> None:
        """Every committed file is there with its bytes, and at every entry what is claimed was really held."""
        if not Archive.exists(self.path):
            return
        archive = Archive.open(self.path)
        ledger = archive.ledger()
        for file in ledger.live.values():
            assert sha256(archive.locate(file).read_bytes()).hexdigest() == file.record.sha256
        self._check_claims(ledger.entries)
        self._check_asked(ledger.entries)

    def _check_claims(self, entries: list[Any]) -> None:
        for kind, region in self.streams:
            stream = self.stream(kind, region)
            seqs = {row["id"]: row["ledger_seq"] for row in self.rows(kind, region)}
            claimed: list[tuple[Span, int]] = [
                (span, entry.seq) for entry in entries for span in claims_of(entry, stream)
            ]
            for raw in self.visible_at_first.get((kind, region), self.emulator.truth(kind, region)):
                event = json.loads(raw)
                at = parse_moment(event["created_at" if kind == "iam" else "recorded_at"])
                for span, seq in claimed:
                    if at in span:
                        assert seqs.get(event["id"], 10**9) <= seq, f"{stream} claims {span} without {event}"

    visible_at_first: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    _read: dict[tuple[Any, ...], list[dict[str, Any]]] = field(default_factory=dict)

    def _check_asked(self, entries: list[Any]) -> None:
        """Nothing is claimed that no answered request has asked for."""
        for kind, region in self.streams:
            stream = self.stream(kind, region)
            path = (
                f"/{region}/{'events' if kind == 'api' else f'{kind}-events'}"
                if kind != "iam"
                else "/iam/v1alpha1/logs"
            )
            after, before = (
                ("created_after", "created_before") if kind == "iam" else ("recorded_after", "recorded_before")
            )
            asked = [
                Span(parse_moment(each.query[after]), parse_moment(each.query[before]))
                for each in self.emulator.requests
                if each.path.endswith(path) and each.status == 200 and each.query["page_size"] != "1"
            ]
            claimed = [span for entry in entries for span in claims_of(entry, stream)]
            assert subtract(claimed, asked) == []


class OnPage(Silent):
    """Does something whenever a page was taken in, or one with events."""

    def __init__(self, action: Callable[[], object], *, with_events: bool = False) -> None:
        self.action = action
        self.with_events = with_events

    def advance(self, _stream: str, _seconds: float, events: int) -> None:
        if events or not self.with_events:
            self.action()


def columns_of(table: str) -> list[str]:
    for each in (*EVENT_TABLES.values(), REVISIONS, QUARANTINE, REQUESTS):
        if each.name == table:
            return [column.name for column in each.columns]
    raise KeyError(table)


def normal_of(raw: bytes) -> bytes:
    return json.dumps(json.loads(raw), sort_keys=True).encode()


def claims_of(entry: Any, stream: Stream) -> list[Span]:
    return [
        Span(parse_moment(claim.start), parse_moment(claim.end))
        for claim in entry.coverage
        if (claim.kind, claim.region) == (stream.kind, stream.region)
    ]
