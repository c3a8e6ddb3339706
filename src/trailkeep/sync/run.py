"""One run: the API's clock, the plan, workers that read, and one thread that commits what they have proven."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import TYPE_CHECKING

from trailkeep.api import Stopped
from trailkeep.coverage import readable_from, stream_coverage
from trailkeep.errors import (
    AuthenticationFailed,
    Interrupted,
    NotOffered,
    PermissionDenied,
    RemoteError,
    RemoteUnavailable,
    TrailkeepError,
)
from trailkeep.events import Aside
from trailkeep.memory import keep_small, rare_collections, return_free_memory
from trailkeep.schema import QUARANTINE
from trailkeep.seal import StreamRecord
from trailkeep.store import Archive, Commit, Writer
from trailkeep.streams import GLOBAL
from trailkeep.sync.batch import Batch, page_row, record_span
from trailkeep.sync.board import Board
from trailkeep.sync.inbox import Inbox
from trailkeep.sync.plan import EDGE_WINDOW, check_not_future, check_order, cut, plan_stream
from trailkeep.sync.reading import read_window
from trailkeep.sync.report import Report, StreamReport
from trailkeep.sync.window import Piece, Window
from trailkeep.timespan import Span, format_time, span_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    from trailkeep.api import Client, Page
    from trailkeep.progress import Progress
    from trailkeep.seal import CoverageRecord
    from trailkeep.store import Disk
    from trailkeep.streams import Stream
    from trailkeep.sync.plan import Request, StreamPlan

COMMIT_EVENTS = 50_000
COMMIT_BYTES = 22 * 1024 * 1024
COMMIT_EVERY = timedelta(seconds=60)
"""A commit is made at the latest after so many events, so many bytes of pages, or so long."""

LOOK_SECONDS = 0.02
"""How often the collecting thread looks up when no page comes: for a stop, for a due commit, for the workers' end."""

JOIN_SECONDS = 2.0
"""How long the workers, all together, are waited for at the end; one may hang in a request."""

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
    when the API gave nothing at all, Interrupted when it was stopped before that, and StoreError.
    """
    if type(request.since) is type(request.until):
        check_order(request, run.clock())
    Archive.exists(run.archive)  # raises for a folder that is none and may not become one
    probe = _Probe(run)
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
        self.offset: timedelta | None = None
        """The API's clock minus ours; None where its answer did not tell the time."""

    def now(self) -> datetime:
        """The API's clock, or ours where the API does not tell."""
        return self._run.clock() + (self.offset or timedelta(0))

    def ask(self, request: Request) -> None:
        """Ask the first stream that answers. Raises RemoteError where none does, and UsageError for a wrong span."""
        now = self._run.clock()
        self.bounds = Span(now - PROBE_SPAN, now)
        not_offered: NotOffered | None = None
        denied: PermissionDenied | None = None
        silent: dict[str, RemoteUnavailable] = {}
        for stream in request.streams:
            if stream.region in silent:
                continue
            try:
                # Another region is asked once only: most often it is not the region that cannot be reached.
                page = self._run.client.page(stream, self.bounds, size=1, retries=0 if silent else PROBE_RETRIES)
            except NotOffered as error:
                not_offered = error
                continue
            except PermissionDenied as error:
                if stream.region != GLOBAL:
                    raise
                denied = error
                continue
            except RemoteUnavailable as error:
                silent[stream.region] = error
                continue
            except Stopped:
                raise Interrupted("stopped before anything was read") from None
            self.stream, self.page = stream, page
            if page.server_date is not None:
                self.offset = page.server_date - page.received_at
            check_order(request, self.now())
            check_not_future(request, self.now())
            return
        for unavailable in silent.values():
            raise unavailable
        if denied is not None:
            raise denied
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
            plan.stream: StreamReport(
                stream=plan.stream,
                asked=plan.asked,
                unreadable=plan.unreadable,
                denied_before=plan.stream in self._known and self._known[plan.stream].denied_since is not None,
            )
            for plan in self._plans
        }
        edge = readable_from(self._now) + EDGE_WINDOW
        self._windows = _by_turns(
            [
                *(Window(plan.stream, span, beyond=True) for span in plan.beyond),
                *(
                    Window(plan.stream, part, at_edge=part.end <= edge)
                    for span in plan.read
                    for part in cut(span, edge)
                ),
            ]
            for plan in self._plans
        )
        self._board = Board(self._windows)
        self._inbox: Inbox[Piece | _Ended] = Inbox()
        self._first_seq = writer.next_seq
        self._aside = Aside()
        self._batch = Batch(writer.run, self._first_seq, self._aside)
        self._committed_at = self._started_at
        self._committer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="committer")
        self._committing: Future[None] | None = None
        self._recorded: dict[Stream, str] | None = None
        """The outcomes that the ledger has of this run; None before its first commit."""
        self._fatal: TrailkeepError | None = None
        self._report = Report(run=writer.run, streams=list(self._reports.values()), clock_offset=probe.offset)

    def run(self) -> Report:
        """Read everything that is planned, and commit it."""
        if self._probe.stream and self._probe.bounds and self._probe.page:
            self._batch.note_page(
                page_row(self._writer.run, self._probe.stream, self._probe.bounds, 0, self._probe.page)
            )
        for plan in self._plans:
            if plan.read or plan.beyond:
                seconds = sum(span.length.total_seconds() for span in (*plan.read, *plan.beyond))
                self._run.progress.begin(str(plan.stream), seconds)
            else:
                self._reports[plan.stream].outcome = "nothing_to_read"
        workers = [
            threading.Thread(target=self._work, name=f"reader-{number}", daemon=True)
            for number in range(min(self._run.concurrency, max(1, 4 * len(self._windows))) if self._windows else 0)
        ]
        keep_small()
        for worker in workers:
            worker.start()
        try:
            with rare_collections():
                self._collect(workers)
                self._finish()
        finally:
            self._board.stop()
            self._committer.shutdown()
            self._aside.close()
            deadline = time.monotonic() + JOIN_SECONDS
            for worker in workers:
                worker.join(timeout=max(0.0, deadline - time.monotonic()))
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
                    self._board.note(piece)
                    self._inbox.put(piece, piece.page.bytes, self._goes_on)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the collecting thread raises or reports it
                error = failure
            self._board.close(window)
            self._inbox.put(_Ended(window, error), 0, self._goes_on)

    def _goes_on(self) -> bool:
        """Whether the collecting thread still takes in what it is handed."""
        return not self._board.stopped

    def _collect(self, workers: list[threading.Thread]) -> None:
        """Take in pieces until all workers have ended, or the run is stopped; commit from time to time."""
        while not self._run.stop.is_set():
            alive = any(worker.is_alive() for worker in workers)
            item = self._inbox.get(LOOK_SECONDS if alive else 0.0)
            if item is not None:
                self._take(item)
            elif not alive:
                break
            if self._is_due():
                self._start_commit()
        self._board.stop()
        while (item := self._inbox.get(0.0)) is not None:
            self._take(item)
        self._report.interrupted = any(report.outcome == "partial" for report in self._reports.values())

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
        # Only now, or the last two windows of a stream could each be taken for open when the other's end is told.
        self._board.done(item.window)
        if isinstance(item.error, Stopped):
            # It may be told before anybody has looked whether the run is being stopped.
            self._board.give_up(stream)
        elif item.error is not None:
            self._fail(item.window, item.error)
        if not self._board.is_open(stream):
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
        if isinstance(error, PermissionDenied) and self._may_be_denied(window.stream):
            report.outcome, report.status = "denied", 403
            return
        report.outcome, report.error = "failed", report.error or error
        if isinstance(error, AuthenticationFailed) or (
            isinstance(error, PermissionDenied) and window.stream.region != GLOBAL
        ):
            self._fatal = error
            self._board.stop()

    def _may_be_missing(self, stream: Stream) -> bool:
        """Whether a region may go without the stream: not when it was asked for by name, nor when it had it before."""
        known = self._known.get(stream)
        return (
            not self._request.is_named(stream) and not (known and known.covered) and not self._reports[stream].covered
        )

    def _may_be_denied(self, stream: Stream) -> bool:
        """Whether a run may go without the stream where the key may not read it: IAM's log needs a right of its own."""
        return stream.region == GLOBAL and not self._request.is_named(stream)

    def _is_due(self) -> bool:
        return (
            self._batch.events >= self._run.commit_events
            or self._batch.bytes >= COMMIT_BYTES
            or (self._batch.has_claims and self._run.clock() - self._committed_at >= COMMIT_EVERY)
        )

    def _finish(self) -> None:
        """Commit what is left, with the outcome of every stream."""
        if self._batch.has_claims or self._has_news():
            self._start_commit()
        self._await_commit()
        self._report.head = self._writer.ledger.head
        self._report.fatal = self._fatal

    def _has_news(self) -> bool:
        """Whether the ledger lacks something that no batch holds: an outcome, or a loss."""
        outcomes = self._outcomes()
        if self._recorded is not None:
            return self._recorded != outcomes
        known = {
            *((stream, "not_offered") for stream, known in self._known.items() if known.not_offered_since),
            *((stream, "denied") for stream, known in self._known.items() if known.denied_since),
        }
        absent = {(stream, outcome) for stream, outcome in outcomes.items() if outcome in ("not_offered", "denied")}
        return any(plan.unreadable for plan in self._plans) or bool(absent - known)

    def _outcomes(self) -> dict[Stream, str]:
        return {stream: report.outcome for stream, report in self._reports.items()}

    def _start_commit(self) -> None:
        """Hand the batch to the committing thread and begin another, so that reading goes on meanwhile."""
        self._await_commit()
        self._batch.note_committed()
        losses = [
            record_span(plan.stream, span) for plan in self._plans for span in plan.unreadable if self._recorded is None
        ]
        # As they are now: what is taken in while the commit is made belongs to the next one.
        self._recorded = self._outcomes()
        self._committing = self._committer.submit(self._commit, self._batch, self._recorded, losses)
        self._batch = Batch(self._writer.run, self._first_seq, self._aside)
        self._committed_at = self._run.clock()

    def _await_commit(self) -> None:
        if self._committing is not None:
            self._committing.result()
            self._committing = None

    def _commit(self, batch: Batch, outcomes: Mapping[Stream, str], losses: list[CoverageRecord]) -> None:
        rows = batch.rows(self._writer.archive, self._writer.ledger, self._reports.__getitem__, self._covered_before)
        entry = self._writer.commit(
            Commit(
                operation="sync",
                started_at=self._started_at,
                organization_id=self._request.organization_id,
                added=rows,
                coverage=batch.coverage(),
                unreadable=losses,
                streams=[self._record(plan, outcomes[plan.stream]) for plan in self._plans if plan.read],
                counters=self._report.total,
                clock_offset_ms=_milliseconds(self._probe.offset),
            )
        )
        self._report.quarantine_files += [
            record.path for record in entry.files_added if record.path.startswith(f"{QUARANTINE.name}/")
        ]
        return_free_memory()

    def _covered_before(self, stream: Stream) -> Sequence[Span]:
        known = self._known.get(stream)
        return known.covered if known else ()

    def _record(self, plan: StreamPlan, outcome: str) -> StreamRecord:
        stream, report = plan.stream, self._reports[plan.stream]
        asked = self._answerable(plan)
        if outcome == "not_offered" or (outcome == "denied" and not (report.covered or self._covered_before(stream))):
            # Nothing is missing of what was never there to be read.
            asked = None
        return StreamRecord(
            organization_id=stream.organization_id,
            kind=stream.kind,
            region=stream.region,
            outcome=outcome,
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
        for window in self._board.windows.copy():
            if window.stream == plan.stream:
                if window.planned_start <= start < window.start:
                    start = window.start
                if window.clock_end is not None:
                    end = min(end, window.clock_end)
        return span_or_none(start, end)


def _milliseconds(offset: timedelta | None) -> int | None:
    return None if offset is None else round(offset / timedelta(milliseconds=1))


def _by_turns(streams: Iterable[list[Window]]) -> list[Window]:
    """The windows of all streams, the first of each before the second of any."""
    return [window for turn in zip_longest(*streams) for window in turn if window is not None]
