"""The engine at work on one question: its batches, pulled so that it can be stopped."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from trailkeep import seal
from trailkeep.analysis import Stop, open_result
from trailkeep.errors import ArchiveDamaged, StoreError, UsageError
from trailkeep.reading.working import Worker
from trailkeep.store import Archive as Folder
from trailkeep.store import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import pyarrow as pa

    from trailkeep.analysis import Question, Result
    from trailkeep.catalog import Limits
    from trailkeep.catalog.warm import Engines
    from trailkeep.store import Head, Ledger

_T = TypeVar("_T")

_ATTEMPTS = 3
"""A file may be moved to its place between two looks at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A question and all that it is asked with, so that it can be asked again and mean the same."""

    folder: Folder
    question: Question
    now: datetime
    limits: Limits
    timeout_seconds: float | None
    opened: Callable[[Engine], None]
    """Is told of every engine that begins, so that it can be closed with the archive."""
    engines: Engines
    """Those that are kept from question to question."""


class Engine:
    """One run of a question; closed when it has ended, and safe to close at any time and from any thread."""

    def __init__(self, asking: Asking, at: Snapshot | None = None) -> None:
        """Run up to the first rows; with `at`, on the files that were live then."""
        self._stop = Stop()
        self._worker = Worker(self._stop, asking.timeout_seconds)
        self._result: Result | None = None
        self._closed = False
        self.at: Snapshot
        asking.opened(self)
        self.run(lambda: self._open(asking, at))
        self._batches: Iterator[pa.RecordBatch] = self.result.batches()

    @property
    def result(self) -> Result:
        """What the engine gives, until it is closed."""
        assert self._result is not None
        return self._result

    def pull(self, count: int | None = None) -> list[pa.RecordBatch]:
        """The next `count` batches, or all; fewer where there are no more."""
        return self.run(lambda: list(islice(self._batches, count)))

    def run(self, task: Callable[[], _T]) -> _T:
        """What `task` returns; when anything is raised the engine is closed."""
        if self._closed:
            raise UsageError("the answer is closed", hint="Ask again.")
        try:
            return self._worker.run(task)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop what is running and let go of the engine."""
        self._closed = True
        self._worker.when_idle(self._let_go)

    def _let_go(self) -> None:
        if self._result is not None:
            self._result.close()
            self._result = None

    def _open(self, asking: Asking, at: Snapshot | None) -> None:
        def on(there: Snapshot) -> None:
            self._result = open_result(
                there,
                asking.question,
                now=asking.now,
                limits=asking.limits,
                stop=self._stop,
                engines=asking.engines,
            )
            self.at = there

        if at is None:
            asking.folder.read_consistently(lambda ledger: on(Snapshot(asking.folder, ledger)))
        else:
            _again(asking.folder, at, on)


class Kept(Folder):
    """An archive's folder whose ledger is folded once, for as long as no entry follows the last."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder.path, folder.archive_id)
        self._folded_last: Ledger | None = None

    def ledger(self) -> Ledger:
        """The ledger as it is now; the same as before where it is still the same."""
        held = self._folded_last
        if held is None or held.head is None or not self._ends_at(held.head):
            held = self._folded_last = super().ledger()
        return held

    def _ends_at(self, head: Head) -> bool:
        folder = self.path / layout.LEDGER
        try:
            last = (folder / layout.entry_name(head.seq)).read_bytes()
        except OSError:
            return False
        return seal.entry_hash(last) == head.sha256 and not (folder / layout.entry_name(head.seq + 1)).exists()


class Snapshot(Folder):
    """An archive as it was at one head, whatever has been committed since."""

    def __init__(self, folder: Folder, ledger: Ledger) -> None:
        super().__init__(folder.path, folder.archive_id)
        self._ledger = ledger

    def ledger(self) -> Ledger:
        """The ledger up to that head."""
        return self._ledger

    def read_consistently(self, read: Callable[[Ledger], _T]) -> _T:
        """`read` on that ledger, once: whoever holds this decides what a missing file means."""
        return read(self._ledger)


def _again(folder: Folder, at: Snapshot, on: Callable[[Snapshot], None]) -> None:
    """Ask on the same files once more. Raises StoreError where the archive has replaced them since."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            on(at)
        except (ArchiveDamaged, FileNotFoundError) as error:
            then, head = at.ledger().head, folder.ledger().head
            if head != then:
                raise StoreError(
                    f"the archive has moved on from {then} to {head}, and files of the first are gone",
                    hint="Ask again: the answer is then that of the newer state.",
                ) from error
            if attempt == _ATTEMPTS:
                raise
        else:
            return
