"""A query while it runs: its rows on their way to stdout or a file, and what stops it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from trailkeep.analysis import Stop, open_result
from trailkeep.cli import diagnostics, output
from trailkeep.cli.results import ResultFormat, writer_for
from trailkeep.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future
    from datetime import datetime
    from types import FrameType

    import pyarrow as pa

    from trailkeep.analysis import Question
    from trailkeep.store import Archive

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


def deliver(archive: Archive, question: Question, now: datetime, delivery: Delivery) -> int:
    """Run `question` and write its rows; return how many.

    Raises Interrupted at SIGINT or SIGTERM: the query is stopped, and a file that was being written is gone.
    """
    if delivery.output_file is not None:
        _check_target(delivery.output_file, archive.path)
    stop = Stop()
    with ThreadPoolExecutor(max_workers=1) as pool, _sigterm_as_interrupt():
        future = pool.submit(_run, archive, question, now, delivery, stop)
        while True:
            try:
                return future.result(timeout=_LOOK_EVERY_SECONDS)
            except StillRunning:
                if future.done():
                    raise
            except KeyboardInterrupt:
                _stop(stop, future)
                raise Interrupted("the query was stopped") from None


def _stop(stop: Stop, future: Future[int]) -> None:
    """Stop the query and wait for its thread, so that what it was writing is cleared away."""
    while not future.done():
        stop()
        with contextlib.suppress(StillRunning, KeyboardInterrupt):
            future.exception(timeout=_LOOK_EVERY_SECONDS)


def _run(archive: Archive, question: Question, now: datetime, delivery: Delivery, stop: Stop) -> int:
    with open_result(archive, question, now=now, stop=stop) as result:
        counted = _Limited(result.batches(), delivery.limit)
        try:
            with _sink(delivery.output_file) as sink:
                _write(result.schema, counted, sink, delivery)
        except BrokenPipeError:
            # Whoever reads our output has seen enough; what is still buffered must not fail once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return counted.rows
    _say_rows(counted, delivery)
    return counted.rows


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
def _sigterm_as_interrupt() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
