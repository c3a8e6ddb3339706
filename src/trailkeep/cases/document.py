"""YAML as case files are written in: the core schema of YAML 1.2, every value with its line, and nothing executed.

Times, ``on`` and ``off`` are texts as they stand. A key that stands twice, a tag, a file beyond the limits and a text
that aliases blow up are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trailkeep.errors import UsageError
from trailkeep.queries.files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as File

MAX_BYTES = 2 * 2**20
"""The largest case file that is read."""

MAX_VALUES = 200_000
"""The most values of a file, those that aliases repeat counted each time."""

MAX_DEPTH = 64
"""How deep values may lie in each other."""

_TEXT = "tag:yaml.org,2002:str"
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 400

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file says, and where each part of it stands."""

    file: File
    value: Any
    lines: dict[Path, int]
    """The line of each value, from 1."""

    def error(self, path: Path, message: str, hint: str | None = None) -> UsageError:
        """An error at the place of a value, or of the nearest that there is around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return UsageError(f"{self.file}:{self.lines.get(path, 1)}: {message}", hint=hint)


def read_document(file: File) -> Document:
    """Read a file. Raises UsageError with FILE:LINE."""
    return parse_document(file, read_text(file, MAX_BYTES))


def parse_document(file: File, text: str) -> Document:
    """Read the text of a file. Raises UsageError with FILE:LINE."""
    import yaml

    # The parser written in C is ten times as quick.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Reading(file, yaml.parse(text, Loader=loader)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise UsageError(f"{file}:{line}: {error.problem or error.context}", hint="The file is YAML.") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        hint = "Write it as an escape, between double quotes."
        raise UsageError(f"{file}:{line}: a character that YAML does not allow", hint=hint) from None
    except UnicodeEncodeError as error:
        raise UsageError(f"{file}:{text.count(chr(10), 0, error.start) + 1}: half a character") from None


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A value that aliases repeat."""

    value: Any
    count: int
    """How many values it is made of."""


class _Reading:
    """Turns what the parser meets into values: in one pass, no deeper than `MAX_DEPTH`, no more than `MAX_VALUES`."""

    def __init__(self, file: File, events: Iterator[Any]) -> None:
        self._file = file
        self._events = events
        self._lines: dict[Path, int] = {}
        self._anchored: dict[str, _Anchored] = {}
        self._count = 0

    def document(self) -> Document:
        """The only document of the text."""
        import yaml

        value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(event, "a second document begins here")
                value = self._value(next(self._events), (), 0)
        return Document(file=self._file, value=value, lines=self._lines)

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        import yaml

        self._lines.setdefault(path, _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._count
        self._grow(event, 1)
        if event.tag not in (None, "!") and not (isinstance(event, yaml.ScalarEvent) and event.tag == _TEXT):
            raise self._error(event, f"the tag {event.tag} is not allowed", "Write the value without it.")
        if depth > MAX_DEPTH:
            raise self._error(event, f"values lie deeper in each other than {MAX_DEPTH} levels")
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._plain(event) if event.implicit[0] and event.tag is None else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(each := next(self._events), yaml.SequenceEndEvent):
                value.append(self._value(each, (*path, len(value)), depth + 1))
        else:
            value = self._mapping(path, depth)
        if event.anchor is not None:
            self._anchored[event.anchor] = _Anchored(value, self._count - before)
        return value

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        import yaml

        found: dict[str, Any] = {}
        while not isinstance(each := next(self._events), yaml.MappingEndEvent):
            if not isinstance(each, yaml.ScalarEvent) or each.tag not in (None, "!", _TEXT):
                raise self._error(each, "a key must be a text")
            key = str(each.value)
            if key in found:
                raise self._error(each, f"{key!r} stands twice in the same mapping")
            self._lines[*path, key] = _line(each)
            found[key] = self._value(next(self._events), (*path, key), depth + 1)
        return found

    def _alias(self, event: Any) -> Any:
        anchored = self._anchored.get(event.anchor)
        if anchored is None:
            raise self._error(event, f"nothing whole is called &{event.anchor} before this")
        self._grow(event, anchored.count)
        return anchored.value

    def _grow(self, event: Any, count: int) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            raise self._error(event, f"more than {MAX_VALUES} values", "Split the file.")

    def _plain(self, event: Any) -> Any:
        """What an unquoted text stands for, by the core schema."""
        text = str(event.value)
        if text[:1].isalpha() and text not in _WORDS:  # nearly all of them
            return text
        if text in _WORDS:
            return _WORDS[text]
        whole = _INTEGER.fullmatch(text)
        if not whole and not _FLOAT.fullmatch(text):
            return text
        if len(text) > _LONGEST_NUMBER:
            raise self._error(event, "a number of so many digits", "Put it into quotes: then it is a text.")
        if whole:
            # Digits behind a zero are decimal here: base 0 would refuse them.
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))

    def _error(self, event: Any, message: str, hint: str | None = None) -> UsageError:
        return UsageError(f"{self._file}:{_line(event)}: {message}", hint=hint)


def _line(event: Any) -> int:
    """Where what the parser met begins, from 1."""
    return int(event.start_mark.line) + 1
