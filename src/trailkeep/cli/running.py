"""A query while it runs: its rows on their way to stdout or a file, and what stops it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from trailkeep.analysis import Stop, open_result
from trailkeep.cli import diagnostics, output
from trailkeep.cli.results import ResultFormat, writer_for
from trailkeep.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from types import FrameType

    import pyarrow as pa

    from trailkeep.analysis import Question
    from trailkeep.coverage import Missing
    from trailkeep.store import Archive

MISSING_LINES = 5
"""How many uncovered spans are told one by one."""

_LOOK_EVERY_SECONDS = 0.1
"""How often the main thread looks for a signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a result is to be delivered."""

    form: ResultFormat
    output_file: Path | None
    limit: int | None
    asked_limit: bool
    """Whether the user gave the limit, and not the format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What was delivered."""

    rows: int
    missing: list[Missing]
    """Where the archive does not cover what was asked."""


def deliver(archive: Archive, question: Question, now: datetime, delivery: Delivery) -> Delivered:
    """Run `question` and write its rows.

    Raises Interrupted at SIGINT or SIGTERM: the query is stopped, and a file that was being written is gone.
    """
    if delivery.output_file is not None:
        _check_target(delivery.output_file, archive.path)
    stop = Stop()
    work = _Work(lambda: _run(archive, question, now, delivery, stop))
    with _signals() as asked_to_stop:
        work.start()
        while work.is_alive():
            work.join(_LOOK_EVERY_SECONDS)
            if asked_to_stop.is_set():
                stop()
    if asked_to_stop.is_set() and stop.stopped:
        raise Interrupted("the query was stopped")
    return work.result()


class _Work(threading.Thread):
    """The query's own thread, so that the main one can hear signals; its outcome is asked for when it has ended."""

    def __init__(self, task: Callable[[], Delivered]) -> None:
        super().__init__(name="query", daemon=True)
        self._task = task
        self._delivered: Delivered | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Run the task, and keep what comes of it."""
        try:
            self._delivered = self._task()
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            self._error = error

    def result(self) -> Delivered:
        """What the task returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        assert self._delivered is not None
        return self._delivered


def _run(archive: Archive, question: Question, now: datetime, delivery: Delivery, stop: Stop) -> Delivered:
    with open_result(archive, question, now=now, stop=stop) as result:
        counted = _Limited(result.batches(), delivery.limit)
        try:
            with _sink(delivery.output_file) as sink:
                _write(result.schema, counted, sink, delivery)
        except BrokenPipeError:
            output.discard()
            return Delivered(rows=counted.rows, missing=result.missing)
    _say_rows(counted, delivery)
    _say_missing(result.missing)
    return Delivered(rows=counted.rows, missing=result.missing)


def _write(schema: pa.Schema, batches: Iterable[pa.RecordBatch], sink: BinaryIO, delivery: Delivery) -> None:
    terminal = delivery.output_file is None and output.stdout_is_terminal()
    width = shutil.get_terminal_size().columns if terminal else None
    writer = writer_for(delivery.form, sink, schema, width=width, terminal=terminal)
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

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            taken = batch if self._limit is None else batch.slice(0, self._limit - self.rows)
            self.rows += taken.num_rows
            if taken.num_rows:
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


def _say_missing(missing: list[Missing]) -> None:
    """Warn that the answer is about less than was asked."""
    for each in missing[:MISSING_LINES]:
        diagnostics.warn(str(each))
    if len(missing) > MISSING_LINES:
        diagnostics.warn(f"and {len(missing) - MISSING_LINES} more such spans: `trailkeep status` lists the gaps")


@contextlib.contextmanager
def _sink(target: Path | None) -> Iterator[BinaryIO]:
    """Where the bytes go: stdout, or a new file that takes `target`'s name only when it is whole."""
    if target is None:
        yield output.binary_stdout()
        return
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield cast("BinaryIO", file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _unwritable(target, error) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _check_target(target: Path, archive: Path) -> None:
    """Refuse to write where evidence lies."""
    place = target.resolve()
    if place.is_dir():
        raise UsageError(f"{target} is a folder", hint="Name a file with --output.")
    if place.is_relative_to(archive.resolve()):
        raise UsageError(
            f"{target} lies inside the archive {archive}, which holds evidence only",
            hint="Name a file outside it with --output.",
        )


def _unwritable(target: Path, error: OSError) -> UsageError:
    return UsageError(f"{target} cannot be written: {error.strerror or error}", hint="Name another file with --output.")


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
