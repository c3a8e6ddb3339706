"""What a saved query says of itself: the TOML in the comment that its file begins with."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trailkeep.errors import UsageError
from trailkeep.queries.files import MAX_QUERY_BYTES, read_text
from trailkeep.queries.parameters import IOC_FILE, STANDARD, TYPES, Parameter, is_type, names_file, read_default
from trailkeep.queries.problems import Problem, line_and_column
from trailkeep.queries.toml_places import places

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trailkeep.queries.toml_places import Path as Place

SEVERITIES = ("info", "low", "medium", "high", "critical")

_BLOCK = re.compile(r"\s*/\*\s*---[ \t]*\r?\n(?P<toml>.*?)^[ \t]*---\s*\*/", re.DOTALL | re.MULTILINE)
_TOML_PLACE = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)")
_LAST_QUESTION = 66
_ATTACK = re.compile(r"T\d{4}(\.\d{3})?")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""Only to see whether a default can be read; what it means then depends on the day it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedQuery:
    """A saved query: its SQL and what it says of itself."""

    name: str
    path: Path
    text: str
    """The whole file: the engine reads the front matter as a comment, and lines count from the file's first."""
    title: str
    description: str = ""
    question: int | None = None
    attack: tuple[str, ...] = ()
    severity: str | None = None
    """Present where a row is a finding."""
    false_positives: tuple[str, ...] = ()
    blind_spots: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter]
    """Every parameter, `since` and `until` included, which all queries have."""

    @property
    def stage(self) -> str:
        """The folder that it lies in: where in an investigation it belongs."""
        return self.name.rpartition("/")[0]


def load(name: str, path: Path) -> SavedQuery:
    """Read a saved query. Raises UsageError with FILE:LINE:COLUMN."""
    return parse(name, path, read_text(path, MAX_QUERY_BYTES))


def parse(name: str, path: Path, text: str) -> SavedQuery:
    """A saved query from the text of its file. Raises UsageError with FILE:LINE:COLUMN for the first problem."""
    saved, front = examine(name, path, text)
    problems = front.problems
    if saved is None or problems:
        raise problems[0].as_error()
    return saved


def examine(name: str, path: Path, text: str, *, files: bool = False) -> tuple[SavedQuery | None, FrontMatter]:
    """A saved query, and its front matter with all that is wrong with it.

    There is no query where the front matter cannot be read; with problems, what they are about is left out of it.
    With `files`, the files that defaults name are read too.
    """
    block = _BLOCK.match(text)
    if block is None:
        front = FrontMatter(path, text, "", 0)
        hint = 'Begin the file with a comment /* --- ... --- */ that holds TOML, at least title = "...".'
        front.problem((), "there is no front matter", hint)
        return None, front
    front = FrontMatter(path, text, block["toml"], block.start("toml"))
    header = front.header()
    return (None if header is None else _build(name, path, text, header, front, files)), front


class FrontMatter:
    """The text of the front matter: what it says, where, and what is wrong with it."""

    def __init__(self, path: Path, whole: str, toml: str, start: int) -> None:
        self._problems: list[Problem] = []
        self._path = path
        self._whole = whole
        self._toml = toml
        self._start = start
        self._places: dict[Place, int] = {}
        self.declared: list[str] = []
        """The names of the parameters that it has tables for."""

    @property
    def problems(self) -> list[Problem]:
        """What was found, in the order of the file."""
        return sorted(self._problems, key=lambda problem: (problem.line, problem.column))

    def header(self) -> dict[str, Any] | None:
        """What the TOML says; None, and a problem, where it is none."""
        try:
            header = tomllib.loads(self._toml.replace("\r\n", "\n"))
            self._places = places(self._toml)
        except tomllib.TOMLDecodeError as error:
            self._toml_problem(str(error))
        except RecursionError:
            self._toml_problem("it is nested too deeply")
        except ValueError as error:  # a number that Python does not convert
            self._toml_problem(str(error))
        else:
            params = header.get("params")
            self.declared = [*params] if isinstance(params, dict) else []
            return header
        return None

    def problem(self, place: Place, message: str, hint: str | None = None) -> None:
        """Note a problem at the place of a key or an element, or of the nearest table around it."""
        while place and place not in self._places:
            place = place[:-1]
        line, column = line_and_column(self._whole, self._start + self._places[place] if place else self._start)
        self._problems.append(Problem(path=self._path, line=line, column=column, message=message, hint=hint))

    def _toml_problem(self, message: str) -> None:
        """The parser's own message, at its place in the file."""
        first = self._whole.count("\n", 0, self._start)
        match = _TOML_PLACE.search(message)
        if match and match[1]:
            line, column = first + int(match[1]), int(match[2])
        elif match:
            line, column = first + self._toml.count("\n") + 1, 1
        else:
            line, column = first + 1, 1
        reason = _TOML_PLACE.sub("", message).strip()
        self._problems.append(
            Problem(path=self._path, line=line, column=column, message=reason, hint="The front matter is TOML.")
        )


_KEYS: dict[str, type] = {
    "title": str,
    "description": str,
    "question": int,
    "attack": list,
    "severity": str,
    "false_positives": list,
    "blind_spots": list,
    "params": dict,
}
_PARAMETER_KEYS: dict[str, type] = {"type": str, "description": str, "default": object, "required": bool}
_WORDS = {
    str: "text",
    int: "a whole number",
    list: "a list of texts",
    dict: "tables [params.NAME]",
    bool: "true or false",
}


def _build(name: str, path: Path, text: str, written: dict[str, Any], front: FrontMatter, files: bool) -> SavedQuery:
    header = _known(written, _KEYS, front, ())
    title = header.get("title", "")
    if not title.strip() and "title" not in written.keys() - header.keys():
        front.problem(("title",), "the front matter has no title")
    elif len(title.splitlines()) > 1:
        front.problem(("title",), "the title has more than one line", "Put the rest into the description.")
    for index, technique in enumerate(header.get("attack", ())):
        if not _ATTACK.fullmatch(technique):
            front.problem(("attack", index), f"{technique!r} is not an ATT&CK technique such as T1098.001")
    severity = header.get("severity")
    if severity is not None and severity not in SEVERITIES:
        front.problem(("severity",), f"{severity!r} is no severity", f"Write one of: {', '.join(SEVERITIES)}.")
    question = header.get("question")
    if question is not None and not 1 <= question <= _LAST_QUESTION:
        front.problem(("question",), f"there is no question {question}", f"They are 1 to {_LAST_QUESTION}.")
    parameters = dict(STANDARD)
    for key, declared in header.get("params", {}).items():
        if parameter := _parameter(key, declared, path, front, files):
            parameters[key] = parameter
    return SavedQuery(
        name=name,
        path=path,
        text=text,
        title=title,
        description=header.get("description", "").strip(),
        question=question,
        attack=tuple(header.get("attack", ())),
        severity=severity,
        false_positives=tuple(header.get("false_positives", ())),
        blind_spots=tuple(header.get("blind_spots", ())),
        parameters=parameters,
    )


def _known(written: dict[str, Any], known: dict[str, type], front: FrontMatter, table: Place) -> dict[str, Any]:
    """The keys that are known and have values of their types; problems for the others."""
    good: dict[str, Any] = {}
    for key, value in written.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            guess = f"Did you mean {near[0]}? " if near else ""
            front.problem((*table, key), f"unknown key {key!r}", f"{guess}Known are: {', '.join(known)}.")
            continue
        wanted = known[key]
        wrong = not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))
        if wanted is list and not wrong:
            wrong = not all(isinstance(item, str) for item in value)
        if wrong:
            front.problem((*table, key), f"{key} must be {_WORDS[wanted]}")
        else:
            good[key] = value
    return good


def _parameter(name: str, written: Any, path: Path, front: FrontMatter, files: bool) -> Parameter | None:
    place = ("params", name)
    if not isinstance(written, dict) or not _NAME.fullmatch(name):
        front.problem(
            place, f"{name!r} is not declared as a parameter", "Write a table [params.name], the name in lower case."
        )
        return None
    before = len(front.problems)
    declared = _known(written, _PARAMETER_KEYS, front, place)
    if not is_type(declared.get("type")):
        wanted = ", ".join([*TYPES, IOC_FILE, "list[text]", "..."])
        front.problem((*place, "type"), f"the parameter {name} has no known type", f"Types are: {wanted}.")
        return None
    if name in STANDARD and declared["type"] != "timestamp":
        front.problem((*place, "type"), f"{name} is always a timestamp")
        return None
    if declared.get("required") and "default" in declared:
        front.problem((*place, "default"), f"{name} is required, so its default would never be used")
    standard = STANDARD.get(name)
    parameter = Parameter(
        name=name,
        type=declared["type"],
        description=declared.get("description", standard.description if standard else ""),
        default=declared.get("default", standard.default if standard else None),
        required=declared.get("required", False),
        folder=path.parent,
    )
    if files or not names_file(parameter):
        try:
            read_default(parameter, _ANY_DAY)
        except UsageError as error:
            reason = f": {error.message}" if names_file(parameter) else ""
            front.problem((*place, "default"), f"the default of {name} cannot be used{reason}", error.hint)
    return parameter if len(front.problems) == before else None
