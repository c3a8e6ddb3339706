"""What is known of a principal at a moment: names, groups, policies, permissions and keys, each with its spells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from trailkeep.directory.finding import names_of
from trailkeep.directory.history import unknowns
from trailkeep.directory.spells import Row, Spell, shared, spells_where, state_at, version_at
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trailkeep.directory.finding import Found
    from trailkeep.directory.history import History

_BEARS = {"users": "user_id", "applications": "application_id", "groups": "group_id"}
"""The column of a policy that names whom it grants to."""
_MEMBERS = {"users": ("user_ids", "all_users"), "applications": ("application_ids", "all_applications")}
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_KINDS = {"api_keys": "API key", "ssh_keys": "SSH key", "policies": "policy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Granting:
    """A policy that reaches the principal, itself or by a group."""

    policy: list[Row]
    group: list[Row] | None
    spells: list[Spell]


def kind_of(resource: str) -> str:
    """What one object of a list is called."""
    return _KINDS.get(resource) or resource.removesuffix("s")


def describe(history: History, found: Found, moment: datetime) -> dict[str, Any]:
    """All that the directory tells of an object, as JSON values; ``state`` is as of the moment.

    ``state`` is ``known``; ``earliest``, where the directory was looked at later only, and nothing says that it was
    otherwise; or null, where it was not so. ``spells`` tell when it was so: ``from`` and ``to`` are half-open,
    ``not_before`` is how early it may have begun, ``last_seen`` the last look that still showed it.
    """
    return _Telling(history, found, moment).all()


class _Telling:
    def __init__(self, history: History, found: Found, moment: datetime) -> None:
        self._history = history
        self._found = found
        self._moment = moment
        self._rows = history.rows(found.resource, found.organization_id, found.id)
        self._there = spells_where(self._rows, lambda _row: True)
        self._notes = unknowns(history, found.organization_id, moment)

    def all(self) -> dict[str, Any]:
        found = self._found
        memberships = self._memberships()
        granting = [*self._direct(), *self._by_groups(memberships)]
        version = (version_at(self._rows, self._moment) or self._rows[0]) if self._rows else None
        return {
            "as_of": format_time(self._moment),
            "kind": kind_of(found.resource),
            "id": found.id,
            "organization_id": found.organization_id,
            "name": version.text("name") if version else None,
            "matched_by": found.by,
            "access_key": found.access_key,
            **self._states(self._there),
            "presence": self._presence(),
            "fields": _fields(version) if version else {},
            "names": self._names(),
            "members": self._members() if found.resource == "groups" else [],
            "groups": [
                {**self._named(rows), **self._states(spells), "everybody": _everybody(rows, found.resource)}
                for rows, spells in memberships
            ],
            "policies": [self._policy(each) for each in granting],
            "permissions": [each for one in granting for each in self._permissions(one)],
            "api_keys": self._keys(),
            "ssh_keys": self._ssh_keys(),
            "not_known": list(dict.fromkeys(self._notes)),
        }

    def _presence(self) -> str:
        """``there``, ``earliest known``, ``gone``, ``not yet`` or ``never seen``, at the moment."""
        if not self._there:
            return "never seen"
        state = state_at(self._there, self._moment)
        if state is not None:
            return "there" if state == "known" else "earliest known"
        return "not yet" if self._moment < self._there[0].start else "gone"

    def _names(self) -> list[dict[str, Any]]:
        """What it was called, the oldest first."""
        told = []
        for name in dict.fromkeys(tuple(names_of(row)) for row in self._rows):
            spells = spells_where(self._rows, partial(_is_called, name))
            told.append({"names": list(dict.fromkeys(name)), **self._states(spells)})
        return told

    def _memberships(self) -> list[tuple[list[Row], list[Spell]]]:
        """The groups that it was ever in."""
        columns = _MEMBERS.get(self._found.resource)
        if columns is None:
            return []
        listed, everybody = columns
        groups = []
        for rows in self._history.of("groups", self._found.organization_id):
            spells = spells_where(
                rows, lambda row: bool(row.fields[everybody]) or self._found.id in (row.fields[listed] or ())
            )
            if within := self._while_there(spells):
                groups.append((rows, within))
        return sorted(groups, key=lambda each: _order(each[0]))

    def _direct(self) -> list[_Granting]:
        if self._found.resource == "policies":
            return [_Granting(policy=self._rows, group=None, spells=self._there)]
        column = _BEARS.get(self._found.resource)
        return [] if column is None else list(self._granted_by(column, self._found.id, None, None))

    def _by_groups(self, memberships: Iterable[tuple[list[Row], list[Spell]]]) -> list[_Granting]:
        return [
            each for group, spells in memberships for each in self._granted_by("group_id", group[0].id, group, spells)
        ]

    def _granted_by(
        self, column: str, identifier: str, group: list[Row] | None, member: list[Spell] | None
    ) -> Iterable[_Granting]:
        policies = self._history.of("policies", self._found.organization_id)
        for rows in sorted(policies, key=_order):
            spells = spells_where(rows, lambda row: row.text(column) == identifier)
            within = self._while_there(spells) if member is None else shared(spells, member)
            if within:
                yield _Granting(policy=rows, group=group, spells=within)

    def _while_there(self, spells: list[Spell]) -> list[Spell]:
        """The spells up to the principal's end: what names it shows that it was there before it was seen itself."""
        if not self._there:
            return spells
        wide = [
            Spell(
                start=spell.not_before or _BEGINNING,
                not_before=spell.not_before,
                end=spell.end,
                last_seen=spell.last_seen,
            )
            for spell in self._there
        ]
        return shared(spells, wide)

    def _policy(self, granting: _Granting) -> dict[str, Any]:
        if any(row.fields["rules"] is None and row.is_there for row in granting.policy):
            self._notes.append(f"policy {granting.policy[-1].id}: its rules could not be read at some time")
        return {**self._named(granting.policy), **self._states(granting.spells), "via_group": self._group(granting)}

    def _group(self, granting: _Granting) -> dict[str, Any] | None:
        return None if granting.group is None else self._named(granting.group)

    def _permissions(self, granting: _Granting) -> list[dict[str, Any]]:
        """Each permission set that the policy grants, with where it applies."""
        grants = dict.fromkeys(grant for row in granting.policy for grant in _grants(row))
        told = []
        for grant in sorted(grants, key=str):
            spells = spells_where(granting.policy, partial(_does_grant, grant))
            if both := shared(spells, granting.spells):
                permission, scope, projects, condition = grant
                told.append(
                    {
                        "permission_set": permission,
                        "scope": scope,
                        "projects": [self._project(project) for project in projects],
                        "condition": condition,
                        "policy": self._named(granting.policy),
                        "via_group": self._group(granting),
                        **self._states(both),
                    }
                )
        return told

    def _members(self) -> list[dict[str, Any]]:
        told = []
        for resource, (column, _for_all) in _MEMBERS.items():
            for identifier in dict.fromkeys(one for row in self._rows for one in row.fields[column] or ()):
                spells = spells_where(self._rows, partial(_lists, column, identifier))
                rows = self._history.rows(resource, self._found.organization_id, identifier)
                name = rows[-1].text("name") if rows else None
                told.append({"kind": kind_of(resource), "id": identifier, "name": name, **self._states(spells)})
        return sorted(told, key=lambda each: (each["kind"], each["name"] or "", each["id"]))

    def _own_keys(self) -> list[list[Row]]:
        found = self._found
        if found.resource == "api_keys":
            return [self._rows]
        column = _BEARS.get(found.resource)
        keys = self._history.of("api_keys", found.organization_id) if column and column != "group_id" else []
        return [rows for rows in keys if any(row.text(column or "") == found.id for row in rows)]

    def _keys(self) -> list[dict[str, Any]]:
        told = []
        for rows in sorted(self._own_keys(), key=lambda rows: (rows[0].moment("created_at") or _BEGINNING, rows[0].id)):
            row = version_at(rows, self._moment) or rows[0]
            expires_at = row.moment("expires_at")
            told.append(
                {
                    "access_key": row.id,
                    "description": row.text("description"),
                    "created_at": _time(row.moment("created_at")),
                    "creation_ip": row.text("creation_ip"),
                    "expires_at": _time(expires_at),
                    "expired": expires_at is not None and expires_at <= self._moment,
                    "default_project": self._project(row.text("default_project_id")),
                    **self._states(spells_where(rows, lambda _row: True)),
                }
            )
        return told

    def _ssh_keys(self) -> list[dict[str, Any]]:
        """An SSH key belongs to a Project: those of the Projects that the principal's keys are for."""
        if self._found.resource == "ssh_keys":
            keys = [self._rows]
        else:
            projects = {row.text("default_project_id") for rows in self._own_keys() for row in rows} - {None}
            every = self._history.of("ssh_keys", self._found.organization_id) if projects else []
            keys = [rows for rows in every if any(row.text("project_id") in projects for row in rows)]
        told = []
        for rows in sorted(keys, key=_order):
            row = version_at(rows, self._moment) or rows[0]
            told.append(
                {
                    **self._named(rows),
                    "fingerprint": row.text("fingerprint"),
                    "project": self._project(row.text("project_id")),
                    "disabled": row.fields.get("disabled"),
                    "created_at": _time(row.moment("created_at")),
                    **self._states(spells_where(rows, lambda _row: True)),
                }
            )
        return told

    def _named(self, rows: list[Row]) -> dict[str, Any]:
        row = version_at(rows, self._moment) or rows[0]
        return {"id": row.id, "name": row.text("name")}

    def _project(self, identifier: str | None) -> dict[str, Any] | None:
        if identifier is None:
            return None
        rows = self._history.rows("projects", self._found.organization_id, identifier)
        return self._named(rows) if rows else {"id": identifier, "name": None}

    def _states(self, spells: Sequence[Spell]) -> dict[str, Any]:
        return {
            "state": state_at(spells, self._moment),
            "spells": [
                {
                    "from": _time(spell.start),
                    "not_before": _time(spell.not_before),
                    "to": _time(spell.end),
                    "last_seen": _time(spell.last_seen),
                }
                for spell in spells
            ],
        }


_Grant = tuple[str, str, tuple[str, ...], str | None]
"""A permission set, the kind of its scope, the Projects, and the condition."""


def _grants(row: Row) -> list[_Grant]:
    grants: list[_Grant] = []
    for rule in row.fields["rules"] or ():
        projects = tuple(sorted(rule["project_ids"] or ()))
        scope = "projects" if projects else "organization" if rule["organization_id"] else "not known"
        grants += [(name, scope, projects, rule["condition"]) for name in rule["permission_set_names"] or ()]
    return grants


def _does_grant(grant: _Grant, row: Row) -> bool:
    return grant in _grants(row)


def _is_called(names: tuple[str, ...], row: Row) -> bool:
    return tuple(names_of(row)) == names


def _lists(column: str, identifier: str, row: Row) -> bool:
    return identifier in (row.fields[column] or ())


def _everybody(rows: list[Row], resource: str) -> bool:
    return bool(rows[-1].fields[_MEMBERS[resource][1]])


def _fields(row: Row) -> dict[str, Any]:
    """The columns that say something, times as text."""
    return {
        name: _time(value) if isinstance(value, datetime) else value
        for name, value in sorted(row.fields.items())
        if value is not None and name not in ("name", "rules")
    }


def _order(rows: list[Row]) -> tuple[str, str]:
    return rows[-1].text("name") or "", rows[-1].id


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
