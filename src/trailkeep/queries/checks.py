"""What a saved query must be, besides running: bounded in time, totally ordered, true to what it declares."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from trailkeep.queries.attack import mistake
from trailkeep.queries.parameters import STANDARD
from trailkeep.queries.problems import Problem, line_and_column

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from trailkeep.queries.front_matter import SavedQuery
    from trailkeep.queries.header import FrontMatter


def check_attack(saved: SavedQuery, front: FrontMatter) -> None:
    """Note ATT&CK ids that the pinned list does not have."""
    for index, technique in enumerate(saved.attack):
        if wrong := mistake(technique):
            front.problem(("attack", index), *wrong)


def check_parameters(saved: SavedQuery, front: FrontMatter, used: AbstractSet[str]) -> list[Problem]:
    """Note declared parameters that the SQL, whose parameters are `used`, does not name; return the reverse."""
    declared = front.declared
    for name in declared:
        if name not in used:
            front.problem(("params", name), f"the SQL does not use ${name}", "Use it, or remove its table.")
    return [
        _problem(
            saved,
            _offset_of_parameter(saved.text, name),
            f"${name} is not declared",
            f"Add a table [params.{name}] with its type to the front matter.",
        )
        for name in sorted(used - set(declared) - STANDARD.keys())
    ]


def check_rules(saved: SavedQuery, used: AbstractSet[str]) -> list[Problem]:
    """Where the SQL breaks the rules of time bounds, total order and repeatable answers; `used` are its parameters."""
    from trailkeep.queries.bounds import reads_events, unbounded
    from trailkeep.queries.order import unordered
    from trailkeep.queries.repeatable import unrepeatable
    from trailkeep.queries.tree import syntax_tree

    tree = syntax_tree(saved.text)
    if tree is None:
        message = "the SQL cannot be read well enough to check its time bounds and its order"
        return [_problem(saved, _beginning(saved.text), message, "Write it plainer: SELECT, joins, WITH.")]
    moments = {name for name, parameter in saved.parameters.items() if parameter.type == "timestamp"}
    findings = unbounded(tree, moments)
    unused = " and ".join(f"${name}" for name in STANDARD if name not in used)
    if not findings and unused and (table := reads_events(tree)):
        findings = [replace(table, message=f"{table.message} is read without {unused}", hint="All queries have them.")]
    findings += unordered(tree) + unrepeatable(tree)
    return [_problem(saved, finding.offset, finding.message, finding.hint) for finding in findings]


def _problem(saved: SavedQuery, offset: int, message: str, hint: str | None) -> Problem:
    line, column = line_and_column(saved.text, offset)
    return Problem(path=saved.path, line=line, column=column, message=message, hint=hint)


def _beginning(text: str) -> int:
    """Where the SQL begins, behind the front matter."""
    match = re.match(r"\s*/\*.*?\*/\s*", text, re.DOTALL)
    return match.end() if match and match.end() < len(text) else 0


def _offset_of_parameter(text: str, name: str) -> int:
    """Where the SQL first names a parameter, outside of comments and texts."""
    start = _beginning(text)
    pattern = re.compile(
        rf"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|(?P<found>\${re.escape(name)}\b)", re.DOTALL | re.IGNORECASE
    )
    return next((match.start() for match in pattern.finditer(text, start) if match["found"]), start)
