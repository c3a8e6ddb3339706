"""`trailkeep sync --watch` goes on until it is stopped, and waits longer while it cannot do its work."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import typer

from demo_archive import clock, environment, reaching, run
from forked import PROGRAM, TIMEOUT_SECONDS
from trailkeep.cli.sync import LONGEST_PAUSE, keep_watch
from trailkeep.demo.emulator import Emulator
from trailkeep.demo.faults import ALWAYS, Faults
from trailkeep.demo.serve import serve
from trailkeep.errors import (
    ArchiveDamaged,
    ArchiveLocked,
    AuthenticationFailed,
    ConfigError,
    Interrupted,
    PermissionDenied,
    RemoteUnavailable,
    RequestRefused,
    StoreError,
    TrailkeepError,
)
from trailkeep.store import Archive, Writer
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trailkeep.demo.serve import Served

SECOND = timedelta(seconds=1)


class Hurried(threading.Event):
    """A stop that nobody waits for: the time that would have passed is added up, run by run."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses[-1] += timeout
        return self.is_set()


def watched(*outcomes: Exception | None, pause: timedelta = SECOND) -> list[float]:
    """The pauses after runs that end as said."""
    stop = Hurried()
    remaining = iter(outcomes)

    def once() -> None:
        outcome = next(remaining, STOPPED)
        if outcome is STOPPED:
            raise STOPPED
        stop.pauses.append(0.0)
        if outcome is not None:
            raise outcome

    keep_watch(once, pause, stop)
    return stop.pauses


STOPPED = Interrupted("stopped")
FAILED = RemoteUnavailable("the API cannot be reached")


class TestPauses:
    def test_between_runs_that_work_all_are_alike(self) -> None:
        assert watched(None, None, None, pause=300 * SECOND) == [300, 300, 300]

    def test_while_the_api_fails_each_is_twice_the_last(self) -> None:
        assert watched(None, FAILED, FAILED, FAILED) == [1, 2, 4, 8]

    def test_a_run_that_works_makes_them_short_again(self) -> None:
        assert watched(FAILED, FAILED, None, FAILED) == [2, 4, 1, 2]

    def test_they_grow_to_an_hour(self) -> None:
        assert watched(*[FAILED] * 4, pause=1000 * SECOND) == [2000, 3600, 3600, 3600]

    def test_one_that_was_asked_to_be_longer_stays_as_it_is(self) -> None:
        assert watched(None, FAILED, FAILED, pause=5 * LONGEST_PAUSE) == [18_000] * 3

    def test_an_api_that_is_gone_for_weeks_is_waited_for(self) -> None:
        assert watched(*[FAILED] * 100)[-1] == LONGEST_PAUSE.total_seconds()

    def test_an_archive_that_somebody_else_writes_to_is_waited_for(self) -> None:
        assert watched(ArchiveLocked("busy"), ArchiveLocked("busy"), None) == [2, 4, 1]

    def test_events_that_had_to_be_set_aside_do_not_end_it(self) -> None:
        assert watched(typer.Exit(3), None) == [2, 1]

    def test_what_failed_is_said_with_the_time_of_the_next_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        watched(FAILED, None)
        captured = capsys.readouterr()
        assert captured.err.splitlines() == ["error: the API cannot be reached", "trying again in 2 s"]
        assert captured.out == ""


class TestTheEnd:
    @pytest.mark.parametrize(
        "error",
        [
            AuthenticationFailed("401"),
            PermissionDenied("403"),
            RequestRefused("400"),
            ConfigError("no key"),
            ArchiveDamaged("a hole"),
            StoreError("no space left"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_what_no_pause_mends_is_raised(self, error: TrailkeepError) -> None:
        with pytest.raises(type(error)):
            watched(error)

    def test_a_stop_during_a_run_is_a_quiet_end(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert watched(None) == [1]
        assert capsys.readouterr().err == ""

    def test_a_stop_during_a_pause_begins_no_further_run(self) -> None:
        stop = threading.Event()
        runs: list[float] = []

        def once() -> None:
            runs.append(time.monotonic())
            threading.Timer(0.05, stop.set).start()

        began = time.monotonic()
        keep_watch(once, 60 * SECOND, stop)
        assert len(runs) == 1
        assert time.monotonic() - began < 30

    def test_a_stop_before_the_first_run_makes_none(self) -> None:
        stop = threading.Event()
        stop.set()
        keep_watch(lambda: pytest.fail("a run was made"), SECOND, stop)


# The program itself


class Watcher:
    """A watch in a process of its own, with what it wrote so far."""

    def __init__(self, folder: Path, settings: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, "sync", "--watch", "1s", *arguments],
            cwd=folder,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def line(self) -> str:
        return self.lines.get(timeout=TIMEOUT_SECONDS)

    def line_that(self, fits: Callable[[str], bool]) -> str:
        """The next line that fits."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if fits(line := self.line()):
                return line
        raise AssertionError("no line fits")

    def ended(self, number: int = signal.SIGTERM) -> tuple[int, list[str], str, float]:
        """The exit code after the signal, the lines that were not read yet, stderr, and the seconds it took."""
        began = time.monotonic()
        os.kill(self.process.pid, number)
        code = self.process.wait(timeout=30)
        seconds = time.monotonic() - began
        self._reader.join(timeout=30)
        assert self.process.stderr is not None
        return code, [*self.lines.queue], self.process.stderr.read(), seconds

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)
        self._reader.join(timeout=30)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def watching(folder: Path, served: Served, emulator: Emulator, *arguments: str) -> Iterator[Watcher]:
    watcher = Watcher(folder, reaching(served, emulator.organization_id), *arguments)
    try:
        yield watcher
    finally:
        watcher.close()


@pytest.fixture
def emulator() -> Emulator:
    emulator = Emulator(clock=clock, regions=("fr-par",))
    for number in range(5):
        add(emulator, number)
    return emulator


def add(emulator: Emulator, number: int) -> str:
    event_id = f"00000000-0000-4000-8000-{number:012}"
    event = {"id": event_id, "recorded_at": format_time(clock() - SECOND), "method_name": "CreateServer"}
    emulator.add("api", "fr-par", event)
    return event_id


ONE_REGION = ("--region", "fr-par")


def held(folder: Path) -> int:
    return sum(file.record.rows for file in Archive.open(folder / "data").ledger().files("api_events"))


def test_it_reads_what_is_new_and_sigterm_ends_it_with_0_and_a_sound_archive(
    tmp_path: Path, emulator: Emulator
) -> None:
    with serve(emulator) as served, watching(tmp_path, served, emulator, *ONE_REGION, "--format", "json") as watcher:
        first = json.loads(watcher.line())
        assert first["total"]["new"] == 5
        add(emulator, 5)
        watcher.line_that(lambda line: json.loads(line)["total"]["new"] == 1)
        code, rest, said, seconds = watcher.ended()
        assert code == 0, said
        assert seconds < 5
        assert said == "stopping: committing what was read in full (once more to stop at once)\n"
        for line in rest:
            assert json.loads(line)["total"]["new"] == 0, "a document for each line"
    assert held(tmp_path) == 6
    verified = run(tmp_path, "verify", "--deep")
    assert verified.returncode == 0, verified.stderr


def test_sigint_during_a_long_run_ends_it_with_0_and_keeps_what_was_read(tmp_path: Path, emulator: Emulator) -> None:
    emulator.faults = Faults(latency=ALWAYS, latency_seconds=0.3)
    with serve(emulator) as served, watching(tmp_path, served, emulator, *ONE_REGION) as watcher:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not any(request.status for request in emulator.requests):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        code, _rest, said, seconds = watcher.ended(signal.SIGINT)
    assert code == 0, said
    assert seconds < 5
    if Archive.exists(tmp_path / "data"):
        assert run(tmp_path, "verify", "--deep").returncode == 0
    emulator.faults = Faults()
    with serve(emulator) as served:
        done = run(tmp_path, "sync", *ONE_REGION, **reaching(served, emulator.organization_id))
    assert done.returncode == 0, done.stderr
    assert held(tmp_path) == 5


def test_text_is_a_summary_for_each_run(tmp_path: Path, emulator: Emulator) -> None:
    with serve(emulator) as served, watching(tmp_path, served, emulator, *ONE_REGION) as watcher:
        heads = [watcher.line_that(lambda line: line.startswith("head ")) for _ in range(2)]
        code, *_ = watcher.ended()
    assert code == 0
    assert heads[0] != heads[1], "each run extends the coverage"


def test_a_locked_archive_is_waited_for(tmp_path: Path, emulator: Emulator) -> None:
    with serve(emulator) as served:
        with Writer(tmp_path / "data", clock=clock):
            watcher = Watcher(tmp_path, reaching(served, emulator.organization_id), *ONE_REGION, "--format", "json")
            try:
                assert watcher.process.stderr is not None
                said = [watcher.process.stderr.readline()]
                while not said[-1].startswith("trying again in"):
                    assert said[-1], "the watch has ended"
                    said.append(watcher.process.stderr.readline())
            except BaseException:
                watcher.close()
                raise
        try:
            assert said[0].startswith("error: ")
            assert json.loads(watcher.line())["total"]["new"] == 5
            assert watcher.ended()[0] == 0
        finally:
            watcher.close()


def test_a_key_that_is_refused_ends_it(tmp_path: Path, emulator: Emulator) -> None:
    with serve(emulator) as served:
        settings = reaching(served, emulator.organization_id) | {
            "SCW_SECRET_KEY": "5ca1ab1e-0000-4000-8000-000000000000"
        }
        done = run(tmp_path, "sync", "--watch", "1s", *ONE_REGION, **settings)
    assert done.returncode == 3
    assert "trying again" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--watch", "soon"), "--watch: 'soon' is not a length of time such as 90d, 12h or 30m"),
        (("--watch", "0s"), "The shortest pause is 1s"),
        (("--watch", "5m", "--until", "2026-01-01"), "Leave out --until"),
        (("--watch", "5m", "--recheck", "7d"), "Leave out --since, --until and --watch"),
    ],
)
def test_what_makes_no_watch_is_refused(
    tmp_path: Path, emulator: Emulator, arguments: tuple[str, ...], said: str
) -> None:
    with serve(emulator) as served:
        done = run(tmp_path, "sync", *arguments, **reaching(served, emulator.organization_id))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert emulator.requests == []
