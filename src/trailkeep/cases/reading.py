"""A case file, read and checked: every mistake in it is an error with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.cases.document import Document, Path, read_document
from trailkeep.cases.events import events_of
from trailkeep.cases.model import Case, CaseEvent, CaseFile, Claim
from trailkeep.cases.moments import NOW, SINCE, UNTIL, WANTED, as_sent, is_of_day, moment
from trailkeep.cases.sightings import sighting_of
from trailkeep.queries.parameters import item_type
from trailkeep.streams import GLOBAL, KINDS
from trailkeep.timespan import span_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path as File

    from trailkeep.errors import UsageError
    from trailkeep.queries import Parameter

MAX_EVENTS = 100_000
"""The most events of one case."""

OUTCOMES = ("read", "unreadable", "purged", "not_offered", "denied")
"""What can have come of reading a span of a stream."""

_KEYS = ("name", "params", "events", "directory", "coverage", "rows")
_COVERAGE_KEYS = ("kind", "region", "from", "to", "outcome")


def read_cases(file: File, declared: Mapping[str, Parameter]) -> CaseFile:
    """The cases of a file for a query with these parameters. Raises UsageError with FILE:LINE."""
    reading = _Reading(read_document(file), declared)
    return CaseFile(path=file, cases=tuple(reading.cases()))


class _Reading:
    def __init__(self, document: Document, declared: Mapping[str, Parameter]) -> None:
        self._document = document
        self._declared = declared

    def cases(self) -> Iterator[Case]:
        """Every case of the file."""
        written = self._document.value
        if not isinstance(written, dict) or [*written] != ["cases"] or not isinstance(written["cases"], list):
            raise self._document.error((), "a case file holds one list", "Begin it with cases: and - name: ... below.")
        if not written["cases"]:
            raise self._document.error(("cases",), "there is no case in it")
        names: set[str] = set()
        for index, each in enumerate(written["cases"]):
            case = self._case(each, ("cases", index))
            if case.name in names:
                raise self._document.error(("cases", index, "name"), f"two cases are called {case.name!r}")
            names.add(case.name)
            yield case

    def _case(self, written: Any, place: Path) -> Case:
        fail = self._fail(place)
        if not isinstance(written, dict):
            raise fail("", "a case is a mapping", "Write - name: ..., events: [...], rows: [...].")
        if unknown := [key for key in written if key not in _KEYS]:
            raise fail(unknown[0], f"unknown key {unknown[0]!r}", f"Known are: {', '.join(_KEYS)}.")
        name = written.get("name")
        if not isinstance(name, str) or not name.strip():
            raise fail("name", "a case has no name", "Say in a few words what it shows.")
        if "rows" not in written:
            raise fail("", "a case has no rows", "Write the whole answer; rows: [] where there is none.")
        rows = self._mappings(written, "rows", place)
        given, now = self._params(written, place)
        return Case(
            name=" ".join(name.split()),
            line=self._document.lines.get(place, 1),
            given=given,
            now=now,
            events=tuple(self._events(written, place)),
            directory=tuple(
                sighting_of(each, self._fail((*place, "directory", index)))
                for index, each in enumerate(self._mappings(written, "directory", place))
            ),
            coverage=self._coverage(written, place, given),
            rows=tuple(rows),
            row_lines=tuple(self._document.lines.get((*place, "rows", index), 1) for index in range(len(rows))),
        )

    def _events(self, written: dict[str, Any], place: Path) -> Iterator[CaseEvent]:
        taken: set[tuple[str, str]] = set()
        for index, each in enumerate(self._mappings(written, "events", place)):
            for event in events_of(each, self._fail((*place, "events", index))):
                if (event.stream.kind, event.id) in taken:
                    raise self._document.error((*place, "events", index), f"two events have the id {event.id!r}")
                taken.add((event.stream.kind, event.id))
                if len(taken) > MAX_EVENTS:
                    raise self._document.error((*place, "events"), f"more than {MAX_EVENTS} events")
                yield event

    def _params(self, written: dict[str, Any], place: Path) -> tuple[dict[str, Any], datetime]:
        """The values of parameters, and the case's now, which stands among them."""
        fail = self._fail((*place, "params"))
        params = written.get("params")
        if params is not None and not isinstance(params, dict):
            raise fail("", "params must be a mapping", "Write {since: 2026-03-01, ...}.")
        given: dict[str, Any] = {"since": SINCE, "until": UNTIL, **(params or {})}
        now = NOW
        if "now" in given and "now" not in self._declared:
            now = self._moment(given.pop("now"), fail, "now")
        for name, value in given.items():
            parameter = self._declared.get(name)
            if parameter is None:
                raise fail(name, f"the query has no parameter {name!r}", f"It has: {', '.join(self._declared)}.")
            kind = item_type(parameter.type) or parameter.type
            if kind == "timestamp":
                given[name] = [_timed(each) for each in value] if isinstance(value, list) else _timed(value)
        return given, now

    def _coverage(self, written: dict[str, Any], place: Path, given: dict[str, Any]) -> tuple[Claim, ...] | None:
        if written.get("coverage") is None:
            return None
        claims = []
        for index, each in enumerate(self._mappings(written, "coverage", place)):
            fail = self._fail((*place, "coverage", index))
            if unknown := [key for key in each if key not in _COVERAGE_KEYS]:
                raise fail(unknown[0], f"unknown key {unknown[0]!r}", f"Known are: {', '.join(_COVERAGE_KEYS)}.")
            kind, outcome = each.get("kind", "api"), each.get("outcome", "read")
            if kind not in KINDS:
                raise fail("kind", f"{kind!r} is no kind", f"Write one of: {', '.join(KINDS)}.")
            if outcome not in OUTCOMES:
                raise fail("outcome", f"{outcome!r} is no outcome", f"Write one of: {', '.join(OUTCOMES)}.")
            span = span_or_none(
                self._moment(each.get("from", given["since"]), fail, "from"),
                self._moment(each.get("to", given["until"]), fail, "to"),
            )
            if span is None:
                raise fail("from", "from is not before to")
            region = GLOBAL if kind == "iam" else str(each.get("region", "fr-par"))
            claims.append(Claim(kind=kind, region=region, outcome=outcome, span=span))
        return tuple(claims)

    def _moment(self, written: Any, fail: Callable[..., UsageError], key: str) -> datetime:
        try:
            return moment(written)
        except ValueError:
            raise fail(key, f"{written!r} is no time", f"Write {WANTED}.") from None

    def _mappings(self, written: dict[str, Any], key: str, place: Path) -> list[dict[str, Any]]:
        value = written.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._document.error((*place, key), f"{key} must be a list")
        for index, each in enumerate(value):
            if not isinstance(each, dict):
                raise self._document.error((*place, key, index), f"each of {key} is a mapping", "Write {key: value}.")
        return value

    def _fail(self, place: Path) -> Callable[..., UsageError]:
        def fail(key: str, message: str, hint: str | None = None) -> UsageError:
            return self._document.error((*place, key) if key else place, message, hint)

        return fail


def _timed(written: Any) -> Any:
    """A time of day as the moment that it is; everything else as a query takes it."""
    return as_sent(written) if isinstance(written, str) and is_of_day(written) else written
