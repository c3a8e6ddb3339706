"""From what a person writes, a name, an e-mail address, an id or an access key, to the objects that it may mean."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.directory.spells import Row, spells_where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.directory.history import History
    from trailkeep.directory.spells import Spell

PRINCIPALS = ("users", "applications")
_OTHERS = ("groups", "policies", "projects", "ssh_keys", "api_keys")
_NAMES = ("name", "email", "username")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One object that was meant, or may have been."""

    resource: str
    organization_id: str
    id: str
    by: str
    """``id``, ``access key`` or ``name``."""
    name: str | None
    """What it was called last."""
    access_key: str | None = None
    """The key that led to it."""
    spells: tuple[Spell, ...] = ()
    """When it bore the name; when it was there at all, where it was not asked for by name."""


def find(history: History, asked: str) -> list[Found]:
    """What `asked` may mean: an id before an access key before a name, and a principal before anything else of a name.

    A name counts as soon as it was ever borne: whoever has it now may not be who had it then.
    """
    wanted = asked.strip()
    by_id = [found for found in _by_id(history, wanted) if found.resource != "api_keys"]
    if by_id:
        return by_id
    if by_key := [_of_key(history, rows, "access key") for rows in _objects(history, "api_keys", wanted)]:
        return by_key
    for resources in (PRINCIPALS, _OTHERS):
        if named := [found for resource in resources for found in _named(history, resource, wanted)]:
            return list(dict.fromkeys(named))
    return []


def nearest(history: History, asked: str, count: int = 5) -> list[str]:
    """The names, e-mail addresses and ids that look most like `asked`."""
    known: dict[str, str] = {}
    for resource in (*PRINCIPALS, *_OTHERS):
        for rows in history.everywhere(resource):
            if len(known) < _LOOKED_THROUGH:
                known |= {name.casefold(): name for row in rows for name in names_of(row)}
    near = difflib.get_close_matches(asked.strip().casefold(), known, n=count, cutoff=0.6)
    return [known[name] for name in near]


_LOOKED_THROUGH = 20_000
"""Names that are compared, those of principals first."""


def names_of(row: Row) -> Iterator[str]:
    """What an object is called in one version: name, e-mail address, username, and first and last name."""
    for column in _NAMES:
        if text := row.text(column):
            yield text
    if whole := " ".join(filter(None, (row.text("first_name"), row.text("last_name")))):
        yield whole


def owner_of(row: Row) -> tuple[str, str] | None:
    """The list and the id of the principal that an API key belongs to."""
    if user := row.text("user_id"):
        return "users", user
    application = row.text("application_id")
    return ("applications", application) if application else None


def _by_id(history: History, wanted: str) -> Iterator[Found]:
    for resource in (*PRINCIPALS, *_OTHERS):
        for rows in _objects(history, resource, wanted):
            yield _found(rows, "id", tuple(spells_where(rows, lambda _row: True)))


def _objects(history: History, resource: str, identifier: str) -> list[list[Row]]:
    """The objects of that id, one in each Organization that has it."""
    folded = identifier.casefold()
    return [rows for rows in history.everywhere(resource) if rows[0].id.casefold() == folded]


def _named(history: History, resource: str, wanted: str) -> Iterator[Found]:
    folded = wanted.casefold()

    def bears(row: Row) -> bool:
        return any(name.casefold() == folded for name in names_of(row))

    for rows in history.everywhere(resource):
        if any(map(bears, rows)):
            if resource == "api_keys":
                yield _of_key(history, rows, "name")
            else:
                yield _found(rows, "name", tuple(spells_where(rows, bears)))


def _of_key(history: History, rows: list[Row], by: str) -> Found:
    """Whose key it is; the key itself where it does not say."""
    spells = tuple(spells_where(rows, lambda _row: True))
    owner = owner_of(rows[-1])
    if owner is None:
        return _found(rows, by, spells)
    resource, identifier = owner
    own = history.rows(resource, rows[-1].organization_id, identifier)
    return Found(
        resource=resource,
        organization_id=rows[-1].organization_id,
        id=identifier,
        by=by,
        name=own[-1].text("name") if own else None,
        access_key=rows[-1].id,
        spells=spells,
    )


def _found(rows: list[Row], by: str, spells: tuple[Spell, ...]) -> Found:
    last = rows[-1]
    return Found(
        resource=last.resource,
        organization_id=last.organization_id,
        id=last.id,
        by=by,
        name=last.text("name"),
        spells=spells,
    )
