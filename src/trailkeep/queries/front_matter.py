"""What a saved query says of itself: the TOML in the comment that its file begins with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trailkeep.config.detections import SEVERITIES
from trailkeep.errors import UsageError
from trailkeep.queries.files import MAX_QUERY_BYTES, read_text
from trailkeep.queries.header import FrontMatter, known_keys
from trailkeep.queries.meaning import read_columns, read_finding, read_next
from trailkeep.queries.parameters import IOC_FILE, STANDARD, TYPES, Parameter, is_type, names_file, read_default
from trailkeep.queries.questions import questions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trailkeep.queries.header import Form
    from trailkeep.queries.meaning import FindingForm, Next

"""From what is merely told to what hands the Organization over."""

ANSWERS = ("yes", "partly", "no")
"""Whether the trail can answer a query's question."""

_BLOCK = re.compile(r"\s*/\*\s*---[ \t]*\r?\n(?P<toml>.*?)^[ \t]*---\s*\*/", re.DOTALL | re.MULTILINE)
_ATTACK = re.compile(r"T\d{4}(\.\d{3})?")
_ALERT = re.compile(r"[A-Za-z][A-Za-z0-9]*")
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
    answer: str = "yes"
    """One of `ANSWERS`. Where it is ``no`` the rows say why, and what else to look at."""
    attack: tuple[str, ...] = ()
    severity: str | None = None
    """Present where a row is a finding."""
    alert: str | None = None
    """Scaleway's own preconfigured alert that the query stands for."""
    false_positives: tuple[str, ...] = ()
    blind_spots: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter]
    """Every parameter, `since` and `until` included, which all queries have."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What each column of the result says, in their order."""
    finding: FindingForm | None = None
    """How a row becomes a finding, where it is one."""
    next: tuple[Next, ...] = ()
    """Where to go from a row."""

    @property
    def stage(self) -> str:
        """The folder that it lies in: where in an investigation it belongs."""
        return self.name.rpartition("/")[0]

    @property
    def sql(self) -> str:
        """The text behind the front matter."""
        block = _BLOCK.match(self.text)
        return self.text[block.end() :].lstrip() if block else self.text


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


_KEYS: dict[str, Form] = {
    "title": "text",
    "description": "text",
    "question": "number",
    "answer": "text",
    "attack": "texts",
    "severity": "text",
    "alert": "text",
    "false_positives": "texts",
    "blind_spots": "texts",
    "params": "tables",
    "columns": "table",
    "finding": "table",
    "next": "array",
}
_PARAMETER_KEYS: dict[str, Form] = {
    "type": "anything",
    "description": "text",
    "default": "anything",
    "required": "boolean",
}


def _build(name: str, path: Path, text: str, written: dict[str, Any], front: FrontMatter, files: bool) -> SavedQuery:
    header = known_keys(written, _KEYS, front, ())
    title = header.get("title", "")
    if not title.strip() and "title" not in written.keys() - header.keys():
        front.problem(("title",), "the front matter has no title")
    elif len(title.splitlines()) > 1:
        front.problem(("title",), "the title has more than one line", "Put the rest into the description.")
    for index, technique in enumerate(header.get("attack", ())):
        if not _ATTACK.fullmatch(technique):
            front.problem(("attack", index), f"{technique!r} is not an ATT&CK technique such as T1098.001")
    _check_words(header, front)
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
        question=header.get("question"),
        answer=header.get("answer", "yes"),
        attack=tuple(header.get("attack", ())),
        severity=header.get("severity"),
        alert=header.get("alert"),
        false_positives=tuple(header.get("false_positives", ())),
        blind_spots=tuple(header.get("blind_spots", ())),
        parameters=parameters,
        columns=read_columns(header.get("columns", {}), front),
        finding=read_finding(header["finding"], front) if "finding" in header else None,
        next=read_next(header.get("next", []), front),
    )


def _check_words(header: dict[str, Any], front: FrontMatter) -> None:
    """Note values that are none of those that a key may have."""
    for key, words in (("severity", SEVERITIES), ("answer", ANSWERS)):
        if (value := header.get(key)) is not None and value not in words:
            front.problem((key,), f"{value!r} is no {key}", f"Write one of: {', '.join(words)}.")
    question = header.get("question")
    if question is not None and question not in questions():
        front.problem(("question",), f"there is no question {question}", f"They are 1 to {max(questions())}.")
    alert = header.get("alert")
    if alert is not None and not _ALERT.fullmatch(alert):
        front.problem(("alert",), f"{alert!r} is not the name of an alert such as ApiKeyCreated")


def _parameter(name: str, written: Any, path: Path, front: FrontMatter, files: bool) -> Parameter | None:
    place = ("params", name)
    if not isinstance(written, dict) or not _NAME.fullmatch(name):
        front.problem(
            place, f"{name!r} is not declared as a parameter", "Write a table [params.name], the name in lower case."
        )
        return None
    before = len(front.problems)
    declared = known_keys(written, _PARAMETER_KEYS, front, place)
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
