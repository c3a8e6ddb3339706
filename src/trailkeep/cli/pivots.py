"""Which queries lead on from an answer: told on a terminal, ready to be run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.cli import diagnostics
from trailkeep.errors import UsageError
from trailkeep.queries import discover, find, load
from trailkeep.queries.leading import arguments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trailkeep.analysis import Question
    from trailkeep.cli.running import Delivered


def say_next(question: Question, delivered: Delivered, folders: Sequence[Path]) -> None:
    """Say on a terminal which queries lead on, filled in from the row where there is exactly one; `folders` has them.

    A query that is not there any more is named all the same: it was there when somebody wrote this one.
    """
    leading = question.saved.next if question.saved else ()
    if not leading or not diagnostics.stderr_is_terminal():
        return
    every, told = discover(folders), []
    for each in leading:
        try:
            found = find(each.query, every)
            parameters = load(found.name, found.path).parameters
        except UsageError:
            parameters = {}
        told.append(arguments(each, delivered.only_row, parameters))
    diagnostics.say(f"next: {', '.join(dict.fromkeys(told))}")
