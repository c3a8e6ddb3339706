"""Checking saved queries: each file by itself, and whether its SQL runs on an archive that holds nothing."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep import guard
from trailkeep.analysis import Question, open_result
from trailkeep.errors import QueryError, UsageError
from trailkeep.queries import STANDARD, find, load, sample
from trailkeep.queries.checks import check_attack, check_parameters, check_rules
from trailkeep.queries.files import MAX_QUERY_BYTES, read_text
from trailkeep.queries.front_matter import examine
from trailkeep.queries.problems import Problem
from trailkeep.queries.results import check_next, check_result, check_severity
from trailkeep.store import Archive, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import pyarrow as pa

    from trailkeep.queries import QueryFile, SavedQuery
    from trailkeep.queries.header import FrontMatter
    from trailkeep.queries.results import ColumnType


@contextmanager
def empty_archive(now: datetime) -> Iterator[Archive]:
    """An archive that holds nothing, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="trailkeep-check-") as folder:
        path = Path(folder) / "archive"
        with Writer(path, clock=lambda: now):
            pass
        yield Archive.open(path)


def problems_of(
    found: QueryFile, archive: Archive, now: datetime, others: Mapping[str, QueryFile] | None = None
) -> list[Problem]:
    """All that is wrong with a saved query, in the order of its file; `archive` is one that holds nothing.

    `others` are the queries that it may lead to, itself among them; None where that is not looked at.
    """
    try:
        text = read_text(found.path, MAX_QUERY_BYTES)
    except UsageError as error:
        return [_located(found.path, error)]
    saved, front = examine(found.name, found.path, text, files=True)
    of_the_sql: list[Problem] = []
    if saved is not None:
        check_attack(saved, front)
        check_severity(saved, front)
        if others is not None:
            check_next(saved, front, lambda name: _found(name, others))
        try:
            statement = guard.check(text, source=str(found.path))
        except QueryError as error:
            of_the_sql = [_located(found.path, error)]
        else:
            used = {name.lower() for name in statement.parameters}
            of_the_sql = check_parameters(saved, front, used) + check_rules(saved, used)
            undeclared = used - set(saved.parameters)
            if not undeclared and len(saved.parameters) == len({*STANDARD, *front.declared}):
                of_the_sql += _run(saved, front, archive, now)
    problems = [*front.problems, *of_the_sql]
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _found(name: str, others: Mapping[str, QueryFile]) -> SavedQuery | str:
    """The query of that name, or why there is none."""
    try:
        found = find(name, dict(others))
        state = found.path.stat()
        return _loaded(found.name, found.path, state.st_mtime_ns, state.st_size)
    except UsageError as error:
        return error.message
    except OSError as error:
        return f"{found.path}: {error.strerror or error}"


@lru_cache(maxsize=1024)
def _loaded(name: str, path: Path, _changed_at: int, _size: int) -> SavedQuery:
    """A query that others lead to: many lead to the same few."""
    return load(name, path)


def _run(saved: SavedQuery, front: FrontMatter, archive: Archive, now: datetime) -> list[Problem]:
    """What the engine says to the query, every parameter without a default being given a value of its type.

    Where it runs, what the front matter says of its rows is held against its columns.
    """
    given = {
        name: sample(parameter)
        for name, parameter in saved.parameters.items()
        if parameter.default is None and name not in STANDARD
    }
    try:
        with open_result(archive, Question.of(saved, given=given), now=now) as result:
            check_result(saved, front, {field.name: _type_of(field.type) for field in result.schema})
            for _batch in result.batches():
                pass
    except (QueryError, UsageError) as error:
        return [_located(saved.path, error)]
    return []


def _type_of(kind: pa.DataType) -> ColumnType:
    import pyarrow.types as types

    if types.is_timestamp(kind):
        return "time"
    if types.is_integer(kind) or types.is_decimal(kind):
        return "count"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_list(kind) and types.is_string(kind.value_type):
        return "texts"
    return "other"


def _located(path: Path, error: QueryError | UsageError) -> Problem:
    """An error whose message begins with the file, and mostly with the place in it."""
    match = re.match(rf"{re.escape(str(path))}:(?:(\d+):(\d+):)? ?(.*)", error.message, re.DOTALL)
    if match is None:
        return Problem(path=path, line=0, column=0, message=error.message, hint=error.hint)
    line, column = (int(match[1]), int(match[2])) if match[1] else (0, 0)
    return Problem(path=path, line=line, column=column, message=match[3], hint=error.hint)
