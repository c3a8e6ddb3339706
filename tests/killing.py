"""Processes that sync from an emulator and are killed with SIGKILL at random moments.

Run as a script, this file is the one that forks: its children start at once, with everything imported. Every line that
it reads says what to sync and when to kill it; every line that it writes says what came of that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from faulty_disk import UnsyncedDisk
from trailkeep.api import Client, Pacer
from trailkeep.coverage import stream_coverage
from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.demo.serve import serve
from trailkeep.demo.story import demo_organization
from trailkeep.errors import ArchiveMissing
from trailkeep.progress import Silent
from trailkeep.schema import EVENT_TABLES
from trailkeep.store import Archive, Disk, Ledger
from trailkeep.sync import Request, Run, run_sync
from trailkeep.sync.plan import plan_stream
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

NOW = datetime(2026, 9, 2, 13, 5, 7, tzinfo=UTC)
OVERLAP = timedelta(hours=1)
COMMIT_EVENTS = 50
PAGE = 100
KILLS_BEFORE_A_NEW_ARCHIVE = 4


def request_for(organization_id: str) -> Request:
    return Request(
        organization_id=organization_id, kinds=("api", "authentication"), regions=("fr-par",), overlap=OVERLAP
    )


@dataclass(slots=True)
class Tally:
    """What a number of kills met."""

    kills: int = 0
    archives: int = 0
    before_the_archive: int = 0
    """Kills that left no archive at all."""
    unfinished: int = 0
    """Kills that left something in the staging folder."""
    committed_unfinished: int = 0
    """Those of them behind a commit point."""
    refetched: int = 0
    """Events that had to be fetched again, over all kills."""


class Killing:
    """An emulator with a small story, and a process that forks the ones that are killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._rng = Random(seed)
        organization = demo_organization(now=NOW, days=1, seed=seed, events_per_day=600)
        self.emulator = Emulator(organization, clock=lambda: NOW)
        self.tally = Tally()

    def __enter__(self) -> Self:
        self._served = serve(self.emulator)
        self._forker = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forker.communicate()
        self._served.close()

    def kill(self, kills: int) -> Tally:
        """Kill so many syncs, and check after each that nothing was lost or doubled."""
        whole = self._folder / "whole"
        seconds = min(self._sync(whole / str(number))["seconds"] for number in range(3))
        self._check_truth(whole / "0")
        shutil.rmtree(whole)
        while self.tally.kills < kills:
            archive = self._folder / f"archive-{self.tally.archives}"
            self.tally.archives += 1
            for _ in range(min(KILLS_BEFORE_A_NEW_ARCHIVE, kills - self.tally.kills)):
                if not self._sync(archive, kill_after=self._rng.uniform(0, seconds))["killed"]:
                    break
                self.tally.kills += 1
                self._check_after_kill(archive)
            shutil.rmtree(archive, ignore_errors=True)
        return self.tally

    def _sync(self, archive: Path, kill_after: float | None = None, *, flush: bool = True) -> dict[str, Any]:
        assert self._forker.stdin
        assert self._forker.stdout
        order = {
            "archive": str(archive),
            "url": self._served.url,
            "organization_id": self.emulator.organization_id,
            "kill_after": kill_after,
            # Four in five are killed while they write: they spend more time on getting ready.
            "once_there_is": "ledger" if self._rng.random() < 0.8 else "",
            "flush": flush,
        }
        self._forker.stdin.write(json.dumps(order) + "\n")
        self._forker.stdin.flush()
        outcome: dict[str, Any] = json.loads(self._forker.stdout.readline())
        assert outcome["killed"] or outcome["status"] == 0, outcome
        return outcome

    def _check_after_kill(self, archive: Path) -> None:
        try:
            ledger = Archive.open(archive).ledger()
        except ArchiveMissing:
            self.tally.before_the_archive += 1
            ledger = Ledger("")
        else:
            staging = archive / ".staging"
            left = [each.name for each in staging.iterdir()] if staging.is_dir() else []
            self.tally.unfinished += bool(left)
            committed = {f"{entry.seq:08d}-{entry.run}" for entry in ledger.entries}
            self.tally.committed_unfinished += bool(committed & set(left))
        held = dict(self._held(archive, ledger))
        mended = self._folder / "mended"
        if archive.exists():
            shutil.copytree(archive, mended)
        report = self._sync(mended, flush=False)["report"]
        self._check_truth(mended)
        truth = self._truth()
        missing = sum(len(truth[kind]) - held.get(kind, Counter()).total() for kind in truth)
        refetched = report["fetched"] - missing
        assert 0 <= refetched <= self._may_be_refetched(ledger), (refetched, missing, report)
        self.tally.refetched += refetched
        shutil.rmtree(mended)

    def _check_truth(self, archive: Path) -> None:
        """The archive holds exactly the emulator's events, each once, and no other file."""
        ledger = Archive.open(archive).ledger()
        held = dict(self._held(archive, ledger))
        for kind, events in self._truth().items():
            assert held[kind] == Counter(events)
        assert list((archive / ".staging").iterdir()) == []
        assert {file.relative_to(archive).as_posix() for file in archive.glob("*/**/*.parquet")} == set(ledger.live)

    def _truth(self) -> dict[str, list[bytes]]:
        return {kind: self.emulator.truth(kind, "fr-par") for kind in ("api", "authentication")}

    def _held(self, path: Path, ledger: Ledger) -> Iterator[tuple[str, Counter[bytes]]]:
        """The events that a reader finds, by kind, from files whose hashes match."""
        for kind in ("api", "authentication"):
            events: Counter[bytes] = Counter()
            for file in ledger.files(EVENT_TABLES[kind].name):  # type: ignore[index]
                place = Archive(path, ledger.archive_id).locate(file)
                assert hashlib.sha256(place.read_bytes()).hexdigest() == file.record.sha256
                raws = pq.read_table(place, columns=["raw"], partitioning=None)["raw"].to_pylist()
                events.update(raw.encode() for raw in raws)
            yield kind, events

    def _may_be_refetched(self, ledger: Ledger) -> int:
        """For each span to be read: the events in the overlap before it, and one page."""
        known = {each.stream: each for each in stream_coverage(ledger, NOW)}
        request = request_for(self.emulator.organization_id)
        allowed = 0
        for stream in request.streams:
            times = [parse_moment(json.loads(raw)["recorded_at"]) for raw in self._truth()[stream.kind]]
            covered = known[stream].covered if stream in known else ()
            for read in plan_stream(stream, known.get(stream), request, NOW).read:
                overlaps = [overlap for span in covered if (overlap := span.intersection(read))]
                allowed += PAGE + sum(1 for at in times if any(at in overlap for overlap in overlaps))
                assert all(overlap.length <= OVERLAP for overlap in overlaps)
        return allowed


def sync_once(order: dict[str, Any]) -> dict[str, int]:
    """One sync, in the process that is to be killed."""
    stop = threading.Event()
    with Client(
        base_url=order["url"],
        secret_key=SECRET_KEY,
        organization_id=order["organization_id"],
        clock=lambda: NOW,
        pacer=Pacer(stop),
    ) as client:
        run = Run(
            archive=Path(order["archive"]),
            client=client,
            clock=lambda: NOW,
            stop=stop,
            progress=Silent(),
            concurrency=2,
            commit_events=COMMIT_EVENTS,
            disk=Disk() if order["flush"] else UnsyncedDisk(),
        )
        return run_sync(run, request_for(order["organization_id"])).total


def fork_for(order: dict[str, Any]) -> dict[str, Any]:
    """Let a child do what `order` says, and kill it when its time has come."""
    reader, writer = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, json.dumps(sync_once(order)).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    os.close(writer)
    ended = 0
    if order["kill_after"] is not None:
        awaited = Path(order["archive"], order["once_there_is"]) if order["once_there_is"] else None
        counted_from = began
        while not ended and (awaited or time.monotonic() - counted_from < order["kill_after"]):
            if awaited and awaited.exists():
                awaited, counted_from = None, time.monotonic()
            time.sleep(0.0005)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
    if not ended:
        ended, status = os.waitpid(child, 0)
    seconds = time.monotonic() - began
    with os.fdopen(reader, "rb") as report:
        said = report.read()
    killed = os.WIFSIGNALED(status)
    return {"killed": killed, "status": status, "seconds": seconds, "report": json.loads(said or b"null")}


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(fork_for(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
