"""Checking saved queries: each file by itself, and whether its SQL runs on an archive that holds nothing."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep import guard
from trailkeep.analysis import Question, open_result
from trailkeep.errors import QueryError, UsageError
from trailkeep.queries import STANDARD, sample
from trailkeep.queries.checks import check_attack, check_parameters, check_rules
from trailkeep.queries.files import MAX_QUERY_BYTES, read_text
from trailkeep.queries.front_matter import examine
from trailkeep.queries.problems import Problem
from trailkeep.store import Archive, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.queries import QueryFile, SavedQuery


@contextmanager
def empty_archive(now: datetime) -> Iterator[Archive]:
    """An archive that holds nothing, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="trailkeep-check-") as folder:
        path = Path(folder) / "archive"
        with Writer(path, clock=lambda: now):
            pass
        yield Archive.open(path)


def problems_of(found: QueryFile, archive: Archive, now: datetime) -> list[Problem]:
    """All that is wrong with a saved query, in the order of its file; `archive` is one that holds nothing."""
    try:
        text = read_text(found.path, MAX_QUERY_BYTES)
    except UsageError as error:
        return [_located(found.path, error)]
    saved, front = examine(found.name, found.path, text, files=True)
    of_the_sql: list[Problem] = []
    if saved is not None:
        check_attack(saved, front)
        try:
            statement = guard.check(text, source=str(found.path))
        except QueryError as error:
            of_the_sql = [_located(found.path, error)]
        else:
            used = {name.lower() for name in statement.parameters}
            of_the_sql = check_parameters(saved, front, used) + check_rules(saved, used)
            undeclared = used - set(saved.parameters)
            if not front.problems and not undeclared:
                of_the_sql += _run(saved, archive, now)
    problems = [*front.problems, *of_the_sql]
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _run(saved: SavedQuery, archive: Archive, now: datetime) -> list[Problem]:
    """What the engine says to the query, every parameter without a default being given a value of its type."""
    given = {
        name: sample(parameter)
        for name, parameter in saved.parameters.items()
        if parameter.default is None and name not in STANDARD
    }
    try:
        with open_result(archive, Question.of(saved, given=given), now=now) as result:
            for _batch in result.batches():
                pass
    except (QueryError, UsageError) as error:
        return [_located(saved.path, error)]
    return []


def _located(path: Path, error: QueryError | UsageError) -> Problem:
    """An error whose message begins with the file, and mostly with the place in it."""
    match = re.match(rf"{re.escape(str(path))}:(?:(\d+):(\d+):)? ?(.*)", error.message, re.DOTALL)
    if match is None:
        return Problem(path=path, line=0, column=0, message=error.message, hint=error.hint)
    line, column = (int(match[1]), int(match[2])) if match[1] else (0, 0)
    return Problem(path=path, line=line, column=column, message=match[3], hint=error.hint)
