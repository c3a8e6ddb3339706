"""Whole syncs whose windows are split while something goes wrong: a kill, a second sync, a storm of refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import stamina

from faulty_disk import CRASH_STEP, Crash, FaultyDisk, UnsyncedDisk
from killing import Killing
from sync_world import Hurried, QuickDisk
from trailkeep.api import Client, Pacer
from trailkeep.coverage import stream_coverage
from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.demo.faults import ALWAYS, Faults, When
from trailkeep.demo.serve import serve
from trailkeep.errors import ExitCode
from trailkeep.progress import Silent
from trailkeep.store import Archive, Disk, Ledger, read_segment
from trailkeep.sync import Report, Request, Run, run_sync
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DENSE = NOW - timedelta(days=20)
EVENTS = 400
"""Most of them in one hour of 90 days, ten on a page: a window is split again and again."""
PAGE = 10
WORKERS = 8
SMALL_PAGES = Faults(max_page_size=PAGE, latency=ALWAYS, latency_seconds=0.002)
KILLS = int(os.environ.get("TRAILKEEP_SPLITS", "12")) // 6


@pytest.fixture
def emulator() -> Emulator:
    emulator = Emulator(clock=lambda: NOW, regions=("fr-par",), faults=SMALL_PAGES)
    for number in range(EVENTS):
        at = DENSE + timedelta(seconds=9 * number) if number % 10 else NOW - timedelta(hours=5 * number + 3)
        emulator.add("api", "fr-par", {"id": f"event-{number:03}", "recorded_at": format_time(at)})
    return emulator


def sync(emulator: Emulator, path: Path, disk: Disk | None = None) -> Report:
    """All of it with eight workers, and a commit for every fifty events."""
    stop = Hurried()
    client = Client(
        base_url="http://127.0.0.1",
        secret_key=SECRET_KEY,
        organization_id=emulator.organization_id,
        clock=lambda: NOW,
        pacer=Pacer(stop, clock=stop.clock),
        transport=httpx.WSGITransport(app=emulator),
    )
    with client:
        run = Run(
            archive=path,
            client=client,
            clock=lambda: NOW,
            stop=stop,
            progress=Silent(),
            concurrency=WORKERS,
            disk=disk or QuickDisk(),
            commit_events=50,
        )
        return run_sync(run, request_for(emulator))


def request_for(emulator: Emulator) -> Request:
    return Request(
        organization_id=emulator.organization_id, kinds=("api",), regions=("fr-par",), overlap=timedelta(hours=1)
    )


def held(path: Path, ledger: Ledger) -> Counter[bytes]:
    rows: Counter[bytes] = Counter()
    for file in ledger.files("api_events"):
        place = Archive(path, ledger.archive_id).locate(file)
        rows.update(raw.encode() for raw in read_segment(place, ["raw"])["raw"].to_pylist())
    return rows


def check_claims(emulator: Emulator, path: Path) -> None:
    """No event is held twice, and none is missing where the ledger says that all was read."""
    ledger = Archive.open(path).ledger()
    rows = held(path, ledger)
    truth = emulator.truth("api", "fr-par")
    assert rows <= Counter(truth)
    covered = [span for each in stream_coverage(ledger, NOW) for span in each.covered]
    for raw in truth:
        at = datetime.fromisoformat(json.loads(raw)["recorded_at"])
        assert raw in rows or not any(at in span for span in covered), f"{raw!r} is claimed, and not there"


def begun(emulator: Emulator) -> int:
    """How many windows were begun: each first page is asked for without a token."""
    return sum("page_token" not in request.query for request in emulator.requests)


def test_a_split_sync_reads_everything_once(emulator: Emulator, tmp_path: Path) -> None:
    sync(emulator, tmp_path / "data")
    assert begun(emulator) > 2 + 3, "no window was split: the tests of this file would test nothing"
    assert held(tmp_path / "data", Archive.open(tmp_path / "data").ledger()) == Counter(emulator.truth("api", "fr-par"))


def test_a_split_sync_that_ends_at_any_operation_is_completed_by_the_next(emulator: Emulator, tmp_path: Path) -> None:
    points, split, ended = 0, 0, True
    while ended:
        base = tmp_path / str(points)
        base.mkdir()
        disk = FaultyDisk(base)
        disk.crash_at = points + 1
        emulator.requests.clear()
        try:
            sync(emulator, base / "data", disk)
            ended = False
        except Crash:
            split += begun(emulator) > 3
        if (base / "data" / "archive.json").exists():
            check_claims(emulator, base / "data")
        if ended:
            sync(emulator, base / "data", UnsyncedDisk())
        ledger = Archive.open(base / "data").ledger()
        assert held(base / "data", ledger) == Counter(emulator.truth("api", "fr-par"))
        points += 12 * CRASH_STEP
    assert split > 1


def test_a_split_sync_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A real process and a real SIGKILL, with the windows of a small story in small pages."""
    with Killing(tmp_path, seed=2) as killing:
        killing.emulator.faults = Faults(max_page_size=2 * PAGE, latency=ALWAYS, latency_seconds=0.002)
        tally = killing.kill(KILLS)
        # A sync of this story begins five windows; three are left in peace, and each kill is followed by another.
        assert begun(killing.emulator) > 5 * (2 * tally.kills + 3), "no window was split"
    assert tally.kills == KILLS


@pytest.mark.parametrize("retry_after", ["none", "seconds", "date"])
@pytest.mark.parametrize("rate", [0.3, 0.7])
def test_a_storm_of_503_costs_time_and_nothing_else(
    emulator: Emulator, tmp_path: Path, retry_after: Any, rate: float
) -> None:
    """With a Retry-After they slow everybody down; without one each is tried again, at most so often."""
    emulator.faults = Faults(
        max_page_size=PAGE,
        server_error=When(rate=rate if retry_after != "none" else rate / 3),
        server_error_statuses=(503,),
        retry_after=retry_after,
    )
    with stamina.set_testing(True, attempts=30):
        report = sync(emulator, tmp_path / "data")
    assert [each.outcome for each in report.streams] == ["read"]
    check_claims(emulator, tmp_path / "data")
    assert held(tmp_path / "data", Archive.open(tmp_path / "data").ledger()) == Counter(emulator.truth("api", "fr-par"))


def test_a_storm_that_outlasts_the_retries_leaves_what_is_claimed(emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults = Faults(
        max_page_size=PAGE,
        server_error=When(requests=range(30, 2000)),
        server_error_statuses=(503,),
        retry_after="none",
    )
    with stamina.set_testing(True, attempts=2):
        report = sync(emulator, tmp_path / "data")
    assert [each.outcome for each in report.streams] == ["failed"]
    check_claims(emulator, tmp_path / "data")
    emulator.faults = SMALL_PAGES
    sync(emulator, tmp_path / "data")
    assert held(tmp_path / "data", Archive.open(tmp_path / "data").ledger()) == Counter(emulator.truth("api", "fr-par"))


def test_of_two_split_syncs_at_once_one_reads_and_the_other_says_so(emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults = Faults(max_page_size=PAGE, latency=ALWAYS, latency_seconds=0.05)
    with serve(emulator) as served:
        environment = {
            **os.environ,
            "SCW_API_URL": served.url,
            "SCW_SECRET_KEY": SECRET_KEY,
            "SCW_DEFAULT_ORGANIZATION_ID": emulator.organization_id,
            "HOME": str(tmp_path),
        }
        command = [sys.executable, "-m", "trailkeep", "--archive", str(tmp_path / "data"), "-q", "sync"]
        command += ["--no-directory", "--region", "fr-par", "--kind", "api", "--concurrency", "8"]
        both = [
            subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        said = [each.communicate(timeout=120)[1].decode() for each in both]
    codes = sorted(each.returncode for each in both)
    # Where one has ended before the other begins to write, both read; at no time do both write.
    assert codes in ([0, int(ExitCode.STORE)], [0, 0]), said
    assert held(tmp_path / "data", Archive.open(tmp_path / "data").ledger()) == Counter(emulator.truth("api", "fr-par"))
    verify = [sys.executable, "-m", "trailkeep", "--archive", str(tmp_path / "data"), "verify", "--deep"]
    assert subprocess.run(verify, cwd=tmp_path, check=False, capture_output=True).returncode == 0
