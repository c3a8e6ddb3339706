"""The questions that an investigator asks of the trail, and whether it can answer them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATUSES = {"A": "yes", "P": "partly", "N": "no"}
"""Whether the trail answers a question, by the letter in the list."""

_FILE = Path(__file__).with_name("questions.tsv")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvestigatorsQuestion:
    """One question of the list."""

    number: int
    stage: str
    """Where in an investigation it is asked: the folder of the queries that answer it."""
    answer: str
    """``yes``, ``partly`` or ``no``: whether the trail can answer it at all."""
    text: str


@cache
def questions() -> dict[int, InvestigatorsQuestion]:
    """Every question by its number, in the order in which they are asked."""
    found = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            number, stage, status, text = line.split("\t")
            found[int(number)] = InvestigatorsQuestion(
                number=int(number), stage=stage, answer=STATUSES[status], text=text
            )
    return found
