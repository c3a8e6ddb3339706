"""What a saved query says of itself: the TOML in the comment that its file begins with."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trailkeep.errors import UsageError
from trailkeep.queries.parameters import STANDARD, TYPES, Parameter, is_type, read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SEVERITIES = ("info", "low", "medium", "high", "critical")

_BLOCK = re.compile(r"\s*/\*\s*---[ \t]*\r?\n(?P<toml>.*?)^[ \t]*---\s*\*/", re.DOTALL | re.MULTILINE)
_TOML_PLACE = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)")
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
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}") from error
    return parse(name, path, text.removeprefix("\ufeff"))


def parse(name: str, path: Path, text: str) -> SavedQuery:
    """A saved query from the text of its file. Raises UsageError with FILE:LINE:COLUMN."""
    block = _BLOCK.match(text)
    if block is None:
        raise UsageError(
            f"{path}:1:1: there is no front matter",
            hint='Begin the file with a comment /* --- ... --- */ that holds TOML, at least title = "...".',
        )
    source = _Source(path, text[: block.end()], block["toml"], text[: block.start("toml")].count("\n"))
    try:
        header = tomllib.loads(block["toml"].replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise source.toml_error(error) from None
    return _build(name, path, text, header, source)


class _Source:
    """The text of the front matter, to say where in it something stands."""

    def __init__(self, path: Path, whole: str, toml: str, first_line: int) -> None:
        self._path = path
        self._lines = whole.split("\n")
        self._last = first_line + toml.count("\n")
        self._first = first_line

    def error(self, key: str, message: str, hint: str | None = None, *, table: str | None = None) -> UsageError:
        """An error at the place where `key` is set, in the table ``[params.NAME]`` where `table` is given."""
        line, column = self._place(key, table)
        return UsageError(f"{self._path}:{line}:{column}: {message}", hint=hint)

    def toml_error(self, error: tomllib.TOMLDecodeError) -> UsageError:
        """The parser's own error, at its place in the file."""
        message = str(error)
        match = _TOML_PLACE.search(message)
        line, column = (int(match[1]), int(match[2])) if match and match[1] else (self._last - self._first + 1, 1)
        reason = _TOML_PLACE.sub("", message).strip()
        return UsageError(f"{self._path}:{self._first + line}:{column}: {reason}", hint="The front matter is TOML.")

    def _place(self, key: str, table: str | None) -> tuple[int, int]:
        section = None
        for number, line in enumerate(self._lines, start=1):
            if heading := re.match(r"\s*\[\s*params\s*\.\s*\"?(\w+)\"?\s*\]", line):
                section = heading[1]
                if key == section and table is None:
                    return number, len(line) - len(line.lstrip()) + 1
            elif section == table and (found := re.match(rf"(\s*)\"?{re.escape(key)}\"?\s*[=.]", line)):
                return number, len(found[1]) + 1
        return self._first + 1, 1


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


def _build(name: str, path: Path, text: str, header: dict[str, Any], source: _Source) -> SavedQuery:
    _check_keys(header, _KEYS, source, None)
    if not header.get("title"):
        raise source.error("title", "the front matter has no title")
    for technique in header.get("attack", ()):
        if not _ATTACK.fullmatch(technique):
            raise source.error("attack", f"{technique!r} is not an ATT&CK technique such as T1098.001")
    severity = header.get("severity")
    if severity is not None and severity not in SEVERITIES:
        raise source.error("severity", f"{severity!r} is no severity", f"Write one of: {', '.join(SEVERITIES)}.")
    parameters = dict(STANDARD)
    for key, declared in header.get("params", {}).items():
        parameters[key] = _parameter(key, declared, source)
    return SavedQuery(
        name=name,
        path=path,
        text=text,
        title=header["title"],
        description=header.get("description", "").strip(),
        question=header.get("question"),
        attack=tuple(header.get("attack", ())),
        severity=severity,
        false_positives=tuple(header.get("false_positives", ())),
        blind_spots=tuple(header.get("blind_spots", ())),
        parameters=parameters,
    )


def _check_keys(header: dict[str, Any], known: dict[str, type], source: _Source, table: str | None) -> None:
    for key, value in header.items():
        if key not in known:
            raise source.error(key, f"unknown key {key!r}", f"Known are: {', '.join(known)}.", table=table)
        wanted = known[key]
        wrong = not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))
        if wanted is list and not wrong:
            wrong = not all(isinstance(item, str) for item in value)
        if wrong:
            raise source.error(key, f"{key} must be {_WORDS[wanted]}", table=table)


def _parameter(name: str, declared: Any, source: _Source) -> Parameter:
    if not isinstance(declared, dict) or not _NAME.fullmatch(name):
        raise source.error(
            name, f"{name!r} is not declared as a parameter", "Write a table [params.name], the name in lower case."
        )
    _check_keys(declared, _PARAMETER_KEYS, source, name)
    if not is_type(declared.get("type")):
        wanted = ", ".join([*TYPES, "list[text]", "..."])
        raise source.error("type", f"the parameter {name} has no known type", f"Types are: {wanted}.", table=name)
    if name in STANDARD and declared["type"] != "timestamp":
        raise source.error("type", f"{name} is always a timestamp", table=name)
    if declared.get("required") and "default" in declared:
        raise source.error("default", f"{name} is required, so its default would never be used", table=name)
    standard = STANDARD.get(name)
    parameter = Parameter(
        name=name,
        type=declared["type"],
        description=declared.get("description", standard.description if standard else ""),
        default=declared.get("default", standard.default if standard else None),
        required=declared.get("required", False),
    )
    try:
        read(parameter, parameter.default, _ANY_DAY)
    except UsageError as error:
        raise source.error("default", f"the default of {name} cannot be used", error.hint, table=name) from None
    return parameter
