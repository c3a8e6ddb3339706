"""What is asked of an archive: SQL, the values of its parameters, and the span that it may look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trailkeep import guard
from trailkeep.errors import UsageError
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from trailkeep.queries import SavedQuery

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query and what was given with it; `since` and `until` are as users write times."""

    sql: str
    saved: SavedQuery | None = None
    """The saved query whose text `sql` is; None for SQL of the moment."""
    given: Mapping[str, Any] = field(default_factory=dict)
    since: str | datetime | None = None
    until: str | datetime | None = None

    @property
    def is_bare(self) -> bool:
        """Whether it is SQL and nothing else."""
        return self.saved is None and not self.given and self.since is None and self.until is None

    @classmethod
    def of(cls, saved: SavedQuery, **asked: Any) -> Question:
        """The question that a saved query asks."""
        return cls(sql=saved.text, saved=saved, **asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A question that may be run: checked SQL, the values to bind, and the span of the event tables."""

    statement: guard.Statement
    parameters: dict[str, Any]
    """By the names that the SQL uses."""
    span: Span | None
    """What the event tables are limited to; None where the SQL sets the bounds itself, or nobody did."""
    saved: SavedQuery | None
    asked: Span | None
    """The span that the question is about; None where it is about everything that is held."""
    open_ended: bool
    """Whether that span ends at the question's now because nobody named an end."""


def prepare(question: Question, now: datetime, *, parser: duckdb.DuckDBPyConnection | None = None) -> Prepared:
    """Check the SQL and bind its parameters; `now` is what ages count back from.

    Raises QueryError for SQL that may not run, UsageError for parameters that do not fit.
    """
    source = str(question.saved.path) if question.saved else None
    statement = guard.check(question.sql, source=source, parser=parser)
    if question.is_bare and not statement.parameters:
        return Prepared(statement=statement, parameters={}, span=None, saved=None, asked=None, open_ended=True)

    from trailkeep.queries import STANDARD, bind, time_span

    times = {name: value for name in STANDARD if (value := getattr(question, name)) is not None}
    if twice := sorted(times.keys() & question.given.keys()):
        raise UsageError(f"{twice[0]} is given twice", hint=f"Use --{twice[0]} or -p {twice[0]}=, not both.")
    given = {**question.given, **times}
    used = {name.lower(): name for name in statement.parameters}
    if question.saved is None:
        _check_used(used, question.given)
        # SQL of the moment declares nothing: what is given is bound as it is.
        bound = {**given, **bind(STANDARD, {name: given[name] for name in STANDARD if name in given}, now)}
    else:
        bound = bind(question.saved.parameters, given, now)
    if missing := sorted(used.keys() - bound.keys()):
        raise _not_declared(missing[0], question.saved)
    bounded = given.keys() & STANDARD.keys()
    span: Span | None = None
    asked: Span | None = None
    if bounded or used.keys() & STANDARD.keys() or question.saved:
        asked = time_span(bound)
        if bounded - used.keys():
            span = asked if "since" in given or "since" in used or question.saved else Span(_BEGINNING, asked.end)
    return Prepared(
        statement=statement,
        parameters={written: bound[name] for name, written in used.items()},
        span=span,
        saved=question.saved,
        asked=asked,
        open_ended="until" not in given,
    )


def _check_used(used: Mapping[str, str], given: Mapping[str, Any]) -> None:
    from trailkeep.queries import STANDARD

    for name in given:
        if name.lower() not in used and name not in STANDARD:
            raise UsageError(f"the SQL has no parameter ${name}", hint=f"Write ${name} in it where the value belongs.")


def _not_declared(name: str, saved: SavedQuery | None) -> UsageError:
    if saved is None:
        return UsageError(f"the parameter {name} is missing", hint=f"Add -p {name}=VALUE.")
    return UsageError(
        f"{saved.path}: the SQL uses ${name}, which the front matter does not declare",
        hint=f"Add a table [params.{name}] with its type.",
    )
