"""Running a case: its archive is built, the query asked, and the answer compared."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trailkeep.analysis import Question, open_result
from trailkeep.cases.building import build
from trailkeep.cases.comparing import differences
from trailkeep.catalog import Limits
from trailkeep.errors import TrailkeepError
from trailkeep.queries import bind, time_span

if TYPE_CHECKING:
    from trailkeep.cases.model import Case
    from trailkeep.queries import SavedQuery
    from trailkeep.store import Archive
    from trailkeep.timespan import Span

_LIMITS = Limits(threads=1)
"""An archive of a few rows needs no more, and starting threads takes longer than reading it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a case."""

    case: Case
    differences: tuple[str, ...] = ()
    """A line each: what tells the answer from the one that is wanted, or why there was none."""

    @property
    def passed(self) -> bool:
        """Whether the answer was the one that is wanted."""
        return not self.differences


def run_case(saved: SavedQuery, case: Case, folder: Path) -> Outcome:
    """Run `case` of `saved`, in an archive made in `folder`, which does not exist yet."""
    try:
        archive = build(case, _span(saved, case), folder)
        rows, columns = _answer(archive, saved, case)
    except TrailkeepError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return Outcome(case=case, differences=(f"{error.message}{hint}",))
    return Outcome(case=case, differences=tuple(differences(case.rows, case.row_lines, rows, columns)))


def run_alone(saved: SavedQuery, case: Case) -> Outcome:
    """Run `case` in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="trailkeep-case-", ignore_cleanup_errors=True) as folder:
        return run_case(saved, case, Path(folder) / "archive")


def _span(saved: SavedQuery, case: Case) -> Span:
    """What the case asks about. Raises UsageError for parameters that do not fit."""
    return time_span(bind(saved.parameters, case.given, case.now))


def _answer(archive: Archive, saved: SavedQuery, case: Case) -> tuple[list[dict[str, Any]], list[str]]:
    question = Question.of(saved, given=case.given)
    rows: list[dict[str, Any]] = []
    with open_result(archive, question, now=case.now, limits=_LIMITS) as result:
        for batch in result.batches():
            rows += batch.to_pylist()
        return rows, list(result.schema.names)
