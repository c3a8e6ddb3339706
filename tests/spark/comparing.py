"""One question asked of both engines."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trailkeep import analysis
from trailkeep.engines import Untranslatable, spark

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from trailkeep.analysis import Question
    from trailkeep.store import Archive

SAMPLE = int(os.environ.get("TRAILKEEP_SPARK_SAMPLE", "0"))
"""How many of a test's many cases run; 0 for all."""


def sample(cases: Iterable[str]) -> list[str]:
    """The cases that run: all, or some that are evenly spread, the first and the last among them."""
    every = list(cases)
    if not 1 < SAMPLE < len(every):
        return every
    return [every[round(number * (len(every) - 1) / (SAMPLE - 1))] for number in range(SAMPLE)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the engines agree."""

    rows: int
    refused: str | None = None
    """Why the question cannot be asked of Spark."""
    difference: str | None = None
    """The first difference between the rows."""

    @property
    def equal(self) -> bool:
        return self.refused is None and self.difference is None


def compare(archive: Archive, question: Question, now: datetime) -> Outcome:
    expected = rows_of(analysis.open_result(archive, question, now=now))
    try:
        given = rows_of(spark.open_result(archive, question, now=now))
    except Untranslatable as error:
        return Outcome(rows=len(expected[1]), refused=error.reason)
    return Outcome(rows=len(expected[1]), difference=_difference(expected, given))


def rows_of(result: Any) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Names and types of the columns, and the rows in their order."""
    with result:
        columns = [(field.name, str(field.type)) for field in result.schema]
        return columns, [row for batch in result.batches() for row in batch.to_pylist()]


def _difference(expected: Any, given: Any) -> str | None:
    if expected[0] != given[0]:
        return f"columns {expected[0]} and {given[0]}"
    if len(expected[1]) != len(given[1]):
        return f"{len(expected[1])} rows and {len(given[1])}"
    for number, (one, other) in enumerate(zip(expected[1], given[1], strict=True), start=1):
        if (left := normal(one)) != (right := normal(other)):
            names = [name for name in one if left[name] != right[name]]
            return f"row {number}, {names[0]}: {one[names[0]]!r} and {other[names[0]]!r}"
    return None


def normal(value: Any) -> Any:
    """A value without what is no difference: whole numbers of any type, and the last digits of a sum of fractions."""
    if isinstance(value, dict):
        return {key: normal(each) for key, each in value.items()}
    if isinstance(value, list):
        return [normal(each) for each in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.12g}")
    return value
