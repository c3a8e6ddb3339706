"""Many questions, answered from one opening of an archive: what they read in common is read once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from trailkeep.analysis.question import prepare
from trailkeep.analysis.resolving import resolve
from trailkeep.analysis.result import Result, needs_of, open_result
from trailkeep.catalog import EXTRA, Needs, open_catalog
from trailkeep.catalog.shared import NOT_LOADED
from trailkeep.coverage import coverage_tables
from trailkeep.errors import TrailkeepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from trailkeep.analysis.question import Prepared, Question
    from trailkeep.analysis.stop import Stop
    from trailkeep.catalog import Catalog, Limits
    from trailkeep.catalog.shared import Listener
    from trailkeep.store import Archive, Ledger
    from trailkeep.timespan import Span


class Together:
    """An archive, opened for many questions; a context manager, since it holds the engine open."""

    def __init__(
        self, archive: Archive, ledger: Ledger, catalog: Catalog | None, needs: Needs, prepared: dict[int, Prepared]
    ) -> None:
        self.ledger = ledger
        """The ledger as it was read: every shared answer is about this state."""
        self._prepared = prepared
        """The questions that are well put, by their places among all."""
        self.problem: TrailkeepError | None = None
        """Why nothing could be read in common, where it was to be."""
        self._archive = archive
        self._catalog = catalog
        self._needs = needs

    @classmethod
    def alone(cls, archive: Archive, questions: Sequence[Question], *, now: datetime) -> Together:
        """The archive with nothing read in common: each question is answered from an opening of its own."""
        return cls(archive, archive.ledger(), None, Needs(), prepared_of(questions, now))

    @property
    def shares(self) -> bool:
        """Whether anything was read in common."""
        return self._catalog is not None

    def tables(self) -> frozenset[str] | None:
        """The tables that the questions name; None where that is not known."""
        named = [each.statement.tables for each in self._prepared.values()]
        return None if None in named or not named else frozenset[str]().union(*filter(None, named))

    def open(
        self,
        question: Question,
        place: int,
        *,
        now: datetime,
        limits: Limits | None,
        stop: Stop,
        alone: bool = False,
    ) -> Result:
        """The answer to a question, by its place among all, or `alone` from an opening of its own.

        What cannot be shared is answered alone in any case. Raises as `open_result` does; close the answer.
        """
        prepared = self._prepared.get(place)
        if self._catalog is None or alone or prepared is None or not self._is_shared(prepared):
            return open_result(self._archive, question, now=now, limits=limits, stop=stop)
        stop.begin()
        catalog = self._catalog.cursor()
        try:
            found, resolved = resolve(self._archive, self.ledger, prepared, limits=limits, stop=stop)
            stop.watch(catalog.connection)
            return Result(found, catalog, self.ledger.head, stop, [], resolved=resolved)
        except BaseException:
            stop.end()
            catalog.close()
            raise

    def close(self) -> None:
        """Let go of the engine and of what was read."""
        if self._catalog is not None:
            self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _is_shared(self, prepared: Prepared) -> bool:
        needs = needs_of(prepared.statement)
        return (
            prepared.span is None
            and needs is not None
            and needs.tables <= self._needs.tables
            and needs.functions <= self._needs.functions
            and (self._needs.names or not needs.names)
        )


def was_not_loaded(error: TrailkeepError) -> bool:
    """Whether a shared answer failed for want of a column; alone the question has an answer."""
    return NOT_LOADED in error.message


def open_together(
    archive: Archive,
    questions: Sequence[Question],
    *,
    now: datetime,
    limits: Limits,
    span: Span,
    listener: Listener,
    stop: Stop,
) -> Together:
    """Open an archive for these questions, with the rows of `span` that they read in common read once.

    A question that is wrong is left out here, and raises its error when it is asked. Raises StoreError, ArchiveDamaged,
    IntegrityViolated, and Interrupted where `stop` was called.
    """
    prepared = prepared_of(questions, now, check_stopped=stop.check)
    needs = needs_in_common(prepared.values())

    def read(ledger: Ledger) -> Together:
        from trailkeep.catalog.planning import plan_shared
        from trailkeep.store import Ledger as EmptyLedger

        wanted = needs.tables & EXTRA
        empty = coverage_tables(EmptyLedger(archive.archive_id), now) if wanted else {}
        statements = [(one.statement.sql, one.parameters) for one in prepared.values() if one.span is None]
        shared = plan_shared(archive, needs, statements, span, extra=empty, listener=listener)
        catalog = open_catalog(
            archive,
            ledger,
            extra=coverage_tables(ledger, now) if wanted else {},
            limits=limits,
            needs=needs,
            watching=stop,
            shared=shared,
        )
        stop.watch(None)
        return Together(archive, ledger, catalog, needs, prepared)

    return archive.read_consistently(read)


def prepared_of(
    questions: Sequence[Question], now: datetime, *, check_stopped: Callable[[], None] = lambda: None
) -> dict[int, Prepared]:
    """Those of the questions that are well put, by their places."""
    prepared: dict[int, Prepared] = {}
    for place, question in enumerate(questions):
        check_stopped()
        with contextlib.suppress(TrailkeepError):
            prepared[place] = prepare(question, now)
    return prepared


def needs_in_common(prepared: Iterable[Prepared]) -> Needs:
    """All that the questions need which can be answered together."""
    common = Needs(names=False)
    for one in prepared:
        wanted = needs_of(one.statement)
        if one.span is None and wanted is not None:
            common = Needs(
                tables=common.tables | wanted.tables,
                functions=common.functions | wanted.functions,
                names=common.names or wanted.names,
            )
    return common
