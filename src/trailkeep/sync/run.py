"""One run: the API's clock, the plan, workers that read, and one thread that commits what they have proven."""

from __future__ import annotations

import gc
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import TYPE_CHECKING

from trailkeep.api import Stopped
from trailkeep.coverage import stream_coverage
from trailkeep.errors import (
    AuthenticationFailed,
    NotOffered,
    PermissionDenied,
    RemoteError,
    TrailkeepError,
)
from trailkeep.schema import QUARANTINE
from trailkeep.seal import StreamRecord
from trailkeep.store import Archive, Commit, Writer
from trailkeep.sync.batch import Batch, page_row, record_span
from trailkeep.sync.board import Board
from trailkeep.sync.plan import check_not_future, check_order, plan_stream
from trailkeep.sync.report import Report, StreamReport
from trailkeep.sync.window import Piece, Window, read_window
from trailkeep.timespan import Span, format_time, span_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    from trailkeep.api import Client, Page
    from trailkeep.progress import Progress
    from trailkeep.store import Disk
    from trailkeep.streams import Stream
    from trailkeep.sync.plan import Request, StreamPlan

COMMIT_EVENTS = 50_000
COMMIT_BYTES = 64 * 1024 * 1024
COMMIT_EVERY = timedelta(seconds=60)
"""A commit is made at the latest after so many events, so many bytes of pages, or so long."""

COLLECT_EVERY = 5_000
"""Allocations between two looks of the garbage collector while events are read; Python's own figure is 700."""

QUEUED_PIECES = 64
"""How many pages may wait for the committing thread before the workers do."""

PROBE_RETRIES = 3
"""Tries of the first request: who cannot be reached at all is told soon."""

PROBE_SPAN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A worker's last word on a window."""

    window: Window
    error: Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The collaborators of a run: everything from outside comes through here."""

    archive: Path
    client: Client
    clock: Callable[[], datetime]
    stop: threading.Event
    """Set from outside to end the run early; what is proven by then is committed."""
    progress: Progress
    concurrency: int
    disk: Disk | None = None
    commit_events: int = COMMIT_EVENTS


def run_sync(run: Run, request: Request) -> Report:
    """Read what `request` asks into the archive, and say what came of it.

    The archive is not touched before the API has answered once. A stream that fails is reported in its place, and the
    others go on; a refused key ends the run, after what was proven has been committed. Raises UsageError, RemoteError
    when the API gave nothing at all, and StoreError.
    """
    check_order(request)
    probe = _Probe(run)
    if Archive.exists(run.archive):
        with Writer(run.archive, clock=run.clock, disk=run.disk) as writer:
            probe.ask(request)
            return _Syncing(run, request, writer, probe).run()
    probe.ask(request)
    with Writer(run.archive, clock=run.clock, disk=run.disk) as writer:
        return _Syncing(run, request, writer, probe).run()


class _Probe:
    """The first request of a run: whether the API answers at all, and what time it is there."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.stream: Stream | None = None
        self.bounds: Span | None = None
        self.page: Page | None = None
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """The API's clock."""
        return self._run.clock() + self.offset

    def ask(self, request: Request) -> None:
        """Ask the first stream that is offered. Raises RemoteError where none is, and UsageError for a future span."""
        now = self._run.clock()
        self.bounds = Span(now - PROBE_SPAN, now)
        not_offered: NotOffered | None = None
        for stream in request.streams:
            try:
                page = self._run.client.page(stream, self.bounds, size=1, retries=PROBE_RETRIES)
            except NotOffered as error:
                not_offered = error
                continue
            self.stream, self.page = stream, page
            if page.server_date is not None:
                self.offset = page.server_date - page.received_at
            check_not_future(request, self.now())
            return
        raise RemoteError(
            f"none of the streams asked for is offered: {not_offered.message if not_offered else 'none was asked for'}",
            hint="Check the regions (--region, TRAILKEEP_REGIONS) and SCW_API_URL.",
        )


class _Syncing:
    """A run while it goes on.

    The thread that calls `run` collects what the workers read; one other thread commits, one batch at a time.
    """

    def __init__(self, run: Run, request: Request, writer: Writer, probe: _Probe) -> None:
        self._run = run
        self._writer = writer
        self._probe = probe
        self._request = request
        self._started_at = run.clock()
        # The API tells its time to the second, so a run's end is a whole second that every server has passed.
        self._now = probe.now().replace(microsecond=0)
        self._known = {each.stream: each for each in stream_coverage(writer.ledger, self._now)}
        self._plans = [plan_stream(stream, self._known.get(stream), request, self._now) for stream in request.streams]
        self._reports = {
            plan.stream: StreamReport(stream=plan.stream, asked=plan.asked, unreadable=plan.unreadable)
            for plan in self._plans
        }
        self._windows = _by_turns([Window(plan.stream, span) for span in plan.read] for plan in self._plans)
        self._board = Board(self._windows)
        self._pieces: queue.Queue[Piece | _Ended] = queue.Queue(QUEUED_PIECES)
        self._first_seq = writer.next_seq
        self._batch = Batch(writer.run, self._first_seq)
        self._committed_at = self._started_at
        self._committer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="committer")
        self._committing: Future[None] | None = None
        self._lost_recorded = False
        self._fatal: TrailkeepError | None = None
        self._report = Report(run=writer.run, streams=list(self._reports.values()), clock_offset=probe.offset)

    def run(self) -> Report:
        """Read everything that is planned, and commit it."""
        if self._probe.stream and self._probe.bounds and self._probe.page:
            self._batch.note_page(
                page_row(self._writer.run, self._probe.stream, self._probe.bounds, 0, self._probe.page)
            )
        for plan in self._plans:
            if plan.read:
                self._run.progress.begin(str(plan.stream), sum(span.length.total_seconds() for span in plan.read))
            else:
                self._reports[plan.stream].outcome = "nothing_to_read"
        workers = [
            threading.Thread(target=self._work, name=f"reader-{number}", daemon=True)
            for number in range(min(self._run.concurrency, max(1, 4 * len(self._windows))) if self._windows else 0)
        ]
        for worker in workers:
            worker.start()
        try:
            with _rare_collections():
                self._collect(workers)
                self._finish()
        finally:
            self._board.stop()
            self._committer.shutdown()
            for worker in workers:
                worker.join(timeout=1.0)
        return self._report

    def _work(self) -> None:
        """Read windows until there are no more; what goes wrong is told to the collecting thread."""
        while (window := self._board.take()) is not None:
            error: Exception | None = None
            try:
                pieces = read_window(
                    self._run.client,
                    window,
                    self._probe.now,
                    lambda: self._board.goes_on(window.stream),
                )
                for piece in pieces:
                    self._hand_over(piece)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the collecting thread raises or reports it
                error = failure
            self._hand_over(_Ended(window, error))
            self._board.done(window)

    def _hand_over(self, item: Piece | _Ended) -> None:
        while True:
            try:
                return self._pieces.put(item, timeout=0.2)
            except queue.Full:
                if not any(self._board.goes_on(plan.stream) for plan in self._plans):
                    return None

    def _collect(self, workers: list[threading.Thread]) -> None:
        """Take in pieces until all workers have ended, or the run is stopped; commit from time to time."""
        while not self._run.stop.is_set():
            alive = any(worker.is_alive() for worker in workers)
            try:
                self._take(self._pieces.get(timeout=0.1) if alive else self._pieces.get_nowait())
            except queue.Empty:
                if not alive:
                    return
            if self._is_due():
                self._start_commit()
        self._board.stop()
        self._report.interrupted = True
        while not self._pieces.empty():
            self._take(self._pieces.get_nowait())

    def _take(self, item: Piece | _Ended) -> None:
        stream = item.window.stream
        report = self._reports[stream]
        if isinstance(item, Piece):
            self._batch.add(item, report)
            if item.proven is not None:
                report.covered.append(item.proven)
            seconds = item.proven.length.total_seconds() if item.proven else 0.0
            self._run.progress.advance(str(stream), seconds, len(item.arrivals))
            return
        if item.error is not None and not isinstance(item.error, Stopped):
            self._fail(item.window, item.error)
        if not self._board.is_open(stream, besides=item.window):
            if report.outcome == "partial" and self._board.goes_on(stream):
                report.outcome = "read"
            self._run.progress.end(str(stream), report.outcome)

    def _fail(self, window: Window, error: Exception) -> None:
        """Account for what ended the reading of a window."""
        report = self._reports[window.stream]
        self._board.give_up(window.stream)
        if not isinstance(error, RemoteError):
            raise error
        if isinstance(error, NotOffered):
            report.status = error.status
            if self._may_be_missing(window.stream):
                report.outcome = "not_offered"
                return
        report.outcome, report.error = "failed", report.error or error
        if isinstance(error, AuthenticationFailed | PermissionDenied):
            self._fatal = error
            self._board.stop()

    def _may_be_missing(self, stream: Stream) -> bool:
        """Whether a region may go without the stream: not when it was asked for by name, nor when it had it before."""
        known = self._known.get(stream)
        return (
            stream.region not in self._request.named_regions
            and not (known and known.covered)
            and not self._reports[stream].covered
        )

    def _is_due(self) -> bool:
        return (
            self._batch.events >= self._run.commit_events
            or self._batch.bytes >= COMMIT_BYTES
            or (self._batch.has_claims and self._run.clock() - self._committed_at >= COMMIT_EVERY)
        )

    def _finish(self) -> None:
        """Commit what is left, with the outcome of every stream."""
        if self._batch.has_claims or any(plan.unreadable for plan in self._plans):
            self._start_commit()
        self._await_commit()
        self._report.head = self._writer.ledger.head
        self._report.fatal = self._fatal

    def _start_commit(self) -> None:
        """Hand the batch to the committing thread and begin another, so that reading goes on meanwhile."""
        self._await_commit()
        self._batch.note_committed()
        self._committing = self._committer.submit(self._commit, self._batch)
        self._batch = Batch(self._writer.run, self._first_seq)
        self._committed_at = self._run.clock()

    def _await_commit(self) -> None:
        if self._committing is not None:
            self._committing.result()
            self._committing = None

    def _commit(self, batch: Batch) -> None:
        rows = batch.rows(self._writer.archive, self._writer.ledger, self._reports.__getitem__)
        entry = self._writer.commit(
            Commit(
                operation="sync",
                started_at=self._started_at,
                organization_id=self._request.organization_id,
                added=rows,
                coverage=batch.coverage(),
                unreadable=[
                    record_span(plan.stream, span)
                    for plan in self._plans
                    for span in plan.unreadable
                    if not self._lost_recorded
                ],
                streams=[self._record(plan) for plan in self._plans if plan.read],
                counters=self._report.total,
                clock_offset_ms=round(self._probe.offset / timedelta(milliseconds=1)),
            )
        )
        self._lost_recorded = True
        self._report.quarantine_files += [
            record.path for record in entry.files_added if record.path.startswith(f"{QUARANTINE.name}/")
        ]

    def _record(self, plan: StreamPlan) -> StreamRecord:
        report = self._reports[plan.stream]
        asked = self._answerable(plan) if report.outcome != "not_offered" else None
        return StreamRecord(
            organization_id=plan.stream.organization_id,
            kind=plan.stream.kind,
            region=plan.stream.region,
            outcome=report.outcome,
            start=format_time(asked.start) if asked else None,
            end=format_time(asked.end) if asked else None,
            status=report.status,
            counters=dict(report.counters),
        )

    def _answerable(self, plan: StreamPlan) -> Span | None:
        """What was asked, without what left the API's retention before its turn, and what its clock had not reached."""
        if plan.asked is None:
            return None
        start, end = plan.asked.start, plan.asked.end
        for window in self._windows:
            if window.stream == plan.stream:
                if window.planned_start <= start < window.start:
                    start = window.start
                if window.clock_end is not None:
                    end = min(end, window.clock_end)
        return span_or_none(start, end)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often: a batch is 50,000 live tuples, and none of them is in a cycle."""
    usual = gc.get_threshold()
    gc.set_threshold(int(__import__("os").environ.get("GCT", "50000")), *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _by_turns(streams: Iterable[list[Window]]) -> list[Window]:
    """The windows of all streams, the first of each before the second of any."""
    return [window for turn in zip_longest(*streams) for window in turn if window is not None]
