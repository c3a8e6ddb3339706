"""From the names that a question was asked with to the ids that are bound: of principals, Projects and resources."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from trailkeep.errors import QueryError, UsageError
from trailkeep.hostile import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trailkeep.analysis.question import Prepared
    from trailkeep.analysis.stop import Stop
    from trailkeep.catalog import Limits
    from trailkeep.directory.finding import Found
    from trailkeep.directory.history import History
    from trailkeep.queries import Parameter
    from trailkeep.store import Archive, Ledger

RESOLVED = frozenset({"principal", "project", "resource"})
"""The types of parameters that take a name for an id."""

MAX_CANDIDATES = 20
"""How many of several that a name may mean are listed."""

_PRINCIPALS = ("users", "applications")
_ACCESS_KEY = re.compile(r"SCW[0-9A-Z]{17}", re.IGNORECASE)
_PRINCIPAL_TYPES = ("iam_user", "account_user", "iam_application")
"""The types under which events name principals among their resources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a name may mean."""

    id: str
    kind: str
    name: str | None = None
    access_key: str | None = None
    organization_id: str | None = None

    def __str__(self) -> str:
        name = f" {one_line(self.name)}" if self.name else ""
        key = f", by its API key {one_line(self.access_key)}" if self.access_key else ""
        return f"{self.kind} {one_line(self.id)}{name}{key}"


def resolve(
    archive: Archive, ledger: Ledger, prepared: Prepared, *, limits: Limits | None = None, stop: Stop | None = None
) -> tuple[Prepared, list[str]]:
    """The question with ids in place of names, and a sentence for each name about what it stands for.

    An id is taken as it is. Raises UsageError for a name that stands for nothing, or with all that it may stand for.
    """
    declared = prepared.saved.parameters if prepared.saved else {}
    wanted = {
        name: kind
        for name, value in prepared.parameters.items()
        if value is not None and name.lower() in declared and (kind := _resolved_type(declared[name.lower()]))
    }
    if not wanted:
        return prepared, []
    looking = _Looking(archive, ledger, limits, stop)
    parameters = dict(prepared.parameters)
    for name, kind in wanted.items():
        value = parameters[name]
        find: Callable[[str], str] = lambda written, name=name, kind=kind: looking.id_of(name, kind, written)  # type: ignore[misc]  # noqa: E731
        parameters[name] = [find(each) for each in value] if isinstance(value, list) else find(value)
    return replace(prepared, parameters=parameters), looking.said


def ambiguous(said: str, candidates: Sequence[Candidate]) -> UsageError:
    """The error that a name may mean several things; `said` says which name."""
    places = {each.organization_id for each in candidates} - {None}
    lines = [
        f"  {each}{f' in {each.organization_id}' if len(places) > 1 and each.organization_id else ''}"
        for each in candidates[:MAX_CANDIDATES]
    ]
    if len(candidates) > MAX_CANDIDATES:
        lines.append(f"  and {len(candidates) - MAX_CANDIDATES} more")
    return UsageError("\n".join([f"{said} may mean any of these {len(candidates)}:", *lines]), hint="Give the id.")


def candidate_of(found: Found) -> Candidate:
    """An object of the directory as one that a name may mean."""
    from trailkeep.directory.who import kind_of

    return Candidate(
        id=found.id,
        kind=kind_of(found.resource),
        name=found.name,
        access_key=found.access_key,
        organization_id=found.organization_id,
    )


def _resolved_type(parameter: Parameter) -> str | None:
    from trailkeep.queries.parameters import item_type

    kind = item_type(parameter.type) or parameter.type
    return kind if kind in RESOLVED else None


class _Looking:
    """Looks names up in one state of an archive."""

    def __init__(self, archive: Archive, ledger: Ledger, limits: Limits | None, stop: Stop | None) -> None:
        self.said: list[str] = []
        self._archive = archive
        self._ledger = ledger
        self._limits = limits
        self._stop = stop
        self._read: dict[tuple[str, ...], History] = {}

    def id_of(self, parameter: str, kind: str, written: str) -> str:
        """The id that is meant. Raises UsageError."""
        asked = written.strip()
        identifier = _as_uuid(asked)
        if identifier is not None:
            if kind != "resource" and self._is_unknown(kind, identifier):
                self.said.append(f"{parameter}: {identifier} is in no list of the directory; it is taken as it is")
            return identifier
        candidates = self._in_directory(kind, asked)
        if kind == "resource" or (kind == "principal" and not candidates):
            known = {each.id for each in candidates}
            in_events, by_id = self._in_events(kind, asked)
            candidates = in_events if by_id else [*candidates, *(each for each in in_events if each.id not in known)]
        if not candidates and kind == "resource":
            self.said.append(f"{parameter}: no resource {one_line(asked)!r} was ever seen; it is taken as an id")
            return asked
        # One principal may have been named in events of several types.
        if len({each.id for each in candidates}) != 1:
            raise (
                ambiguous(f"the parameter {parameter}: {one_line(asked)!r}", candidates)
                if candidates
                else self._nothing(parameter, kind, asked)
            )
        (found, *_same) = candidates
        if found.id != asked:
            self.said.append(f"{parameter}: {one_line(asked)} is {found}")
        return found.id

    def _is_unknown(self, kind: str, identifier: str) -> bool:
        lists = ("projects",) if kind == "project" else _PRINCIPALS
        history = self._history(lists)
        return bool(history.lists) and not any(
            rows[0].id == identifier for resource in lists for rows in history.everywhere(resource)
        )

    def _in_directory(self, kind: str, asked: str) -> list[Candidate]:
        from trailkeep.directory.finding import find

        # Keys are many: they are read where a key may be meant, or where nobody is called so.
        fewer = (_PRINCIPALS,) if kind == "principal" and not _ACCESS_KEY.fullmatch(asked) else ()
        for lists in (*fewer, _lists(kind)):
            if found := [each for each in find(self._history(lists), asked) if _fits(kind, each)]:
                return [candidate_of(each) for each in found]
        return []

    def _in_events(self, kind: str, asked: str) -> tuple[list[Candidate], bool]:
        """What events name so among their resources, and whether that is its id, which comes before a name."""
        import duckdb

        from trailkeep.catalog import Needs, open_catalog

        types = "" if kind == "resource" else f"AND resource_type IN {_PRINCIPAL_TYPES}"
        sql = f"""
            SELECT resource_id, max(resource_type), max(resource_name), resource_id = $asked AS by_id
            FROM event_resources WHERE resource_id IS NOT NULL
            AND (resource_id = $asked OR lower(resource_name) = lower($asked)) {types}
            GROUP BY resource_id ORDER BY by_id DESC, max(recorded_at) DESC, resource_id
        """  # noqa: S608 - of our own words
        needs = Needs(tables=frozenset({"event_resources"}))
        with open_catalog(
            self._archive, self._ledger, limits=self._limits, needs=needs, watching=self._stop
        ) as catalog:
            try:
                rows = catalog.connection.execute(sql, {"asked": asked}).fetchall()
            except duckdb.Error as error:
                if self._stop is not None:
                    self._stop.check()
                raise catalog.find_damaged() or QueryError(f"the name could not be looked up: {error}") from error
            finally:
                if self._stop is not None:
                    self._stop.watch(None)
        found = [Candidate(id=row[0], kind=row[1] or "resource", name=row[2]) for row in rows]
        return (found[:1], True) if rows and rows[0][3] else (found, False)

    def _nothing(self, parameter: str, kind: str, asked: str) -> UsageError:
        from trailkeep.directory.finding import nearest

        history = self._history(_lists(kind))
        near = ", ".join(one_line(name) for name in nearest(history, asked))
        hint = "Give the id." if history.lists else "Give the id, or run `trailkeep directory sync` to have the names."
        if near:
            hint = f"Nearest: {near}."
        return UsageError(f"the parameter {parameter}: there was never a {kind} {one_line(asked)!r}", hint=hint)

    def _history(self, lists: tuple[str, ...]) -> History:
        from trailkeep.analysis.directory import directory_of

        if lists not in self._read:
            self._read[lists] = directory_of(self._archive, self._ledger, lists)
        return self._read[lists]


def _lists(kind: str) -> tuple[str, ...]:
    if kind == "project":
        return ("projects",)
    if kind == "principal":
        return (*_PRINCIPALS, "api_keys")
    return ("users", "applications", "groups", "policies", "projects", "ssh_keys")


def _fits(kind: str, found: Any) -> bool:
    """A key without an owner is no principal."""
    return kind != "principal" or found.resource in _PRINCIPALS


def _as_uuid(text: str) -> str | None:
    """The id that `text` is in the API's own form, or None."""
    try:
        parsed = str(UUID(text))
    except ValueError:
        return None
    return parsed if parsed.replace("-", "") == text.lower().replace("-", "") else None
