"""A query while it runs: its rows on their way to stdout or a file, and what stops it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Protocol, TypeVar, cast

from trailkeep.analysis import Stop, open_result
from trailkeep.cli import diagnostics, output
from trailkeep.cli.naming import Names
from trailkeep.cli.results import BINARY, ResultFormat, target, writer_for
from trailkeep.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path
    from types import FrameType

    import pyarrow as pa

    from trailkeep.analysis import Question
    from trailkeep.catalog import Limits
    from trailkeep.coverage import Missing
    from trailkeep.errors import TrailkeepError
    from trailkeep.store import Archive, Head
    from trailkeep.timespan import Span

_T = TypeVar("_T")

MISSING_LINES = 5
"""How many uncovered spans are told one by one."""

_LOOK_EVERY_SECONDS = 0.1
"""How often the main thread looks for a signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What shows the result: a table is laid out for it."""

    terminal: bool
    width: int | None
    """None where nothing limits it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a result is to be delivered."""

    form: ResultFormat
    output_file: Path | None = None
    limit: int | None = None
    asked_limit: bool = False
    """Whether the user gave the limit, and not the format."""
    full: bool = False
    vertical: bool = False
    names: bool = False
    """Whether a table shows the names of principals and Projects beside their ids."""
    spreadsheet_safe: bool = False
    screen: Screen | None = None
    """None for what stdout is."""
    measured: bool = False
    """Whether the bytes are counted and hashed, for a record."""
    talk: bool = True
    """Whether stderr hears how many rows there were, and what is missing from them."""
    limits: Limits | None = None
    """None for the engine's own defaults."""
    opened: Callable[..., Any] | None = None
    """What opens the result, as `open_result` does; None for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What was delivered."""

    rows: int
    cut: bool
    """Whether the limit kept rows back."""
    whole: bool
    """Whether all of it was taken: a reader of stdout may stop early."""
    missing: list[Missing]
    """Where the archive does not cover what was asked."""
    schema: pa.Schema
    screen: Screen
    parameters: dict[str, Any]
    """The values that were bound, by the names in the SQL."""
    span: Span | None
    """What the event tables were limited to."""
    asked: Span | None
    """What the question was about."""
    head: Head | None
    """The ledger's newest entry when the archive was read."""
    bytes: int | None
    """How long the result is, where it was measured,"""
    sha256: str | None
    """and its hash."""
    only_row: dict[str, Any] | None = None
    """The row, where there is exactly one."""


def deliver(
    archive: Archive, question: Question, now: datetime, delivery: Delivery, stop: Stop | None = None
) -> Delivered:
    """Run `question` and write its rows; `stop` may carry a time limit.

    Raises Interrupted at SIGINT or SIGTERM: the query is stopped, and a file that was being written is gone.
    """
    if delivery.output_file is not None:
        target.check(delivery.output_file, archive.path)
    ending = stop or Stop()
    return attended(lambda: _run(archive, question, now, delivery, ending), ending)


class Stopping(Protocol):
    """What ends work on another thread."""

    @property
    def stopped(self) -> bool:
        """Whether it was told to end."""

    def __call__(self) -> None:
        """Tell it to end; again and again, until it has."""

    def overdue(self) -> bool:
        """Whether nobody need wait for it any longer."""

    def error(self) -> TrailkeepError:
        """Why it ended early."""


def attended(task: Callable[[], _T], stop: Stopping) -> _T:
    """What `task` returns, done on a thread of its own so that this one hears signals.

    Raises what it raises, and Interrupted at SIGINT or SIGTERM, after `stop` was called.
    """
    work = _Work(task)
    with _signals() as asked_to_stop:
        work.start()
        while work.is_alive():
            work.join(_LOOK_EVERY_SECONDS)
            if asked_to_stop.is_set():
                stop()
            if stop.overdue():
                raise stop.error()
    if asked_to_stop.is_set() and stop.stopped:
        raise Interrupted("the query was stopped")
    return work.result()


class _Work(threading.Thread, Generic[_T]):
    """The query's own thread, so that the main one can hear signals; its outcome is asked for when it has ended."""

    def __init__(self, task: Callable[[], _T]) -> None:
        super().__init__(name="query", daemon=True)
        self._task = task
        self._done: list[_T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Run the task, and keep what comes of it."""
        try:
            self._done.append(self._task())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            self._error = error

    def result(self) -> _T:
        """What the task returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._done[0]


def _run(archive: Archive, question: Question, now: datetime, delivery: Delivery, stop: Stop) -> Delivered:
    screen = delivery.screen or _screen(delivery)
    whole, size, digest = True, None, None
    text = delivery.form not in BINARY
    opened = delivery.opened or open_result
    with opened(archive, question, now=now, limits=delivery.limits, stop=stop, plain=text) as result:
        for sentence in result.resolved:
            diagnostics.say(sentence)
        counted = _Limited(result.batches(), delivery.limit)
        named = delivery.names and delivery.form is ResultFormat.TABLE
        names = Names(archive, result.head) if named else None
        try:
            with target.opened(delivery.output_file) as sink:
                if delivery.measured:
                    measured = target.Measured(sink)
                    _write(result.schema, counted, cast("BinaryIO", measured), delivery, screen, names)
                    size, digest = measured.bytes, measured.sha256
                else:
                    _write(result.schema, counted, sink, delivery, screen, names)
        except BrokenPipeError:
            output.discard()
            whole = False
    if whole and delivery.talk:
        _say_rows(counted, delivery)
        say_missing(result.missing)
    return Delivered(
        rows=counted.rows,
        cut=counted.cut,
        whole=whole,
        missing=result.missing,
        schema=result.schema,
        screen=screen,
        parameters=result.parameters,
        span=result.span,
        asked=result.asked,
        head=result.head,
        bytes=size,
        sha256=digest,
        only_row=counted.only_row if whole and not counted.cut else None,
    )


def _screen(delivery: Delivery) -> Screen:
    file = delivery.output_file
    terminal = output.stdout_is_terminal() if file is None else target.is_terminal(file)
    return Screen(terminal=terminal, width=shutil.get_terminal_size().columns if terminal else None)


def _write(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    sink: BinaryIO,
    delivery: Delivery,
    screen: Screen,
    names: Names | None,
) -> None:
    writer = writer_for(
        delivery.form,
        sink,
        schema,
        width=screen.width,
        terminal=screen.terminal,
        full=delivery.full,
        vertical=delivery.vertical,
        names=names,
        spreadsheet_safe=delivery.spreadsheet_safe,
    )
    for batch in batches:
        writer.write(batch)
    writer.close()
    sink.flush()


class _Limited:
    """The batches up to a number of rows."""

    def __init__(self, batches: Iterator[pa.RecordBatch], limit: int | None) -> None:
        self._batches = batches
        self._limit = limit
        self.rows = 0
        self.cut = False
        """Whether there are more rows than those."""
        self._first: pa.RecordBatch | None = None

    @property
    def only_row(self) -> dict[str, Any] | None:
        """The row, where there was exactly one."""
        if self._first is None or self.rows != 1:
            return None
        return {name: self._first[at].to_pylist()[0] for at, name in enumerate(self._first.schema.names)}

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            taken = batch if self._limit is None else batch.slice(0, self._limit - self.rows)
            self.rows += taken.num_rows
            if taken.num_rows:
                self._first = self._first or (taken if taken.num_rows == 1 else None)
                yield taken
            if taken.num_rows < batch.num_rows:
                self.cut = True
                return


def _say_rows(counted: _Limited, delivery: Delivery) -> None:
    rows = f"{counted.rows:,} row{'' if counted.rows == 1 else 's'}"
    if counted.cut and delivery.asked_limit:
        diagnostics.say(f"cut at {rows}, as --limit says; there are more")
    elif counted.cut:
        diagnostics.say(f"cut at {rows}; there are more: add --limit N, or --format csv or ndjson for all of them")
    elif delivery.output_file is not None:
        diagnostics.say(f"wrote {rows} to {delivery.output_file}")
    elif delivery.form is ResultFormat.TABLE:
        diagnostics.say(rows)


def say_blind_spots(question: Question, delivered: Delivered) -> None:
    """Say what the answer cannot show, a line each; an empty one proves only so much."""
    for blind_spot in question.saved.blind_spots if question.saved else ():
        said = "no row does not rule this out" if delivered.rows == 0 else "blind spot"
        diagnostics.say(f"{said}: {' '.join(blind_spot.split())}")


def say_missing(missing: list[Missing]) -> None:
    """Warn that the answer is about less than was asked."""
    for each in missing[:MISSING_LINES]:
        diagnostics.warn(str(each))
    if len(missing) > MISSING_LINES:
        diagnostics.warn(f"and {len(missing) - MISSING_LINES} more such spans: `trailkeep status` lists the gaps")


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set: an exception at any moment could leave the query running behind us."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
