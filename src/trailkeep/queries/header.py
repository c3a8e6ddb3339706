"""The text of a query's front matter: what its TOML says, where it says it, and what is wrong with it."""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING, Any, Literal

from trailkeep.queries.problems import Problem, line_and_column
from trailkeep.queries.toml_places import places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trailkeep.queries.toml_places import Path as Place

_TOML_PLACE = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)")
Form = Literal["text", "number", "boolean", "anything", "texts", "table", "tables", "array"]
"""What a key's value has to be."""

_FORMS: dict[Form, tuple[Callable[[Any], bool], str]] = {
    "text": (lambda value: isinstance(value, str), "text"),
    "number": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "anything": (lambda _value: True, "a value"),
    "texts": (
        lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
        "a list of texts",
    ),
    "table": (lambda value: isinstance(value, dict), "a table [{key}]"),
    "tables": (lambda value: isinstance(value, dict), "tables [{key}.NAME]"),
    "array": (
        lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value),
        "tables [[{key}]]",
    ),
}


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
        self.columns: list[str] = []
        """The names of the columns that it explains, well or not."""
        self.keys: frozenset[str] = frozenset()
        """What stands at its top."""

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
            params, columns = header.get("params"), header.get("columns")
            self.declared = [*params] if isinstance(params, dict) else []
            self.columns = [*columns] if isinstance(columns, dict) else []
            self.keys = frozenset(header)
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


def known_keys(written: dict[str, Any], known: dict[str, Form], front: FrontMatter, table: Place) -> dict[str, Any]:
    """The keys that are known and have values of their forms; problems for the others."""
    good: dict[str, Any] = {}
    for key, value in written.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            guess = f"Did you mean {near[0]}? " if near else ""
            front.problem((*table, key), f"unknown key {key!r}", f"{guess}Known are: {', '.join(known)}.")
            continue
        is_form, words = _FORMS[known[key]]
        if is_form(value):
            good[key] = value
        else:
            front.problem((*table, key), f"{key} must be {words.format(key=key)}")
    return good
