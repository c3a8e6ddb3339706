"""What SQL sees: every table and view, with each column's type as the engine names it, its meaning and JSON path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.schema.calls import CREATIONS, FIRST_SEEN, GRANTS, LOGINS
from trailkeep.schema.directory import OF_VERSIONS, directory_table
from trailkeep.schema.relation import Relation, SqlColumn
from trailkeep.schema.relation import column as _column
from trailkeep.schema.relation import view as _view
from trailkeep.schema.tables import REVISIONS, TABLES, engine_type

if TYPE_CHECKING:
    from trailkeep.schema.tables import Table

__all__ = ["COVERAGE", "CURRENT", "EVENTS", "GAPS", "RELATIONS", "STREAMS", "Relation", "SqlColumn"]


_ORGANIZATION = _column("organization_id", "VARCHAR", "The Organization; from the file's path.")
_PARTITIONS = {
    "organization_id": _ORGANIZATION,
    "region": _column("region", "VARCHAR", "The region that was asked; from the file's path."),
    "month": _column("month", "VARCHAR", "The UTC month, such as 2026-01; from the file's path."),
}
_REGION = _PARTITIONS["region"]
_KIND = _column("kind", "VARCHAR", "api, authentication, system or iam.")
_STREAM = (
    _column("organization_id", "VARCHAR", "The Organization."),
    _KIND,
    _column("region", "VARCHAR", "The region."),
)


def _of_table(table: Table) -> Relation:
    held = tuple(
        SqlColumn(name=column.name, type=engine_type(column.type), description=column.description, path=column.path)
        for column in table.columns
    )
    names = {column.name for column in table.columns}
    keys = tuple(_PARTITIONS[key] for key in table.partitions if key not in names)
    return Relation(name=table.name, description=table.description, columns=(*held, *keys), stored=True)


_SHAPE = (
    _column("organization_id", "VARCHAR", "The Organization."),
    _REGION,
    _column("locality", "VARCHAR", "The region or zone acted in; null for logins.", "$.locality"),
    _column("project_id", "VARCHAR", "The Project acted in; null for logins, and where none.", "$.project_id"),
    _column(
        "actor_id",
        "VARCHAR",
        "Who acted: the principal of a call ($.principal.id), the user among the resources of a login; null where"
        " Scaleway itself did.",
    ),
    _column(
        "actor_name",
        "VARCHAR",
        "What the actor was called as of the event's time, by the directory, else by the events; the earliest known"
        " name before that. Null where none is known.",
    ),
    _column(
        "actor_type",
        "VARCHAR",
        "user, application, deleted (missing from the directory by the event's time) or unknown; null where nobody"
        " acted.",
    ),
    _column("source_ip", "VARCHAR", "The address; null for Kubernetes and system events.", "$.source_ip"),
    _column("user_agent", "VARCHAR", "What the caller said it was; null for system events.", "$.user_agent"),
    _column("product_name", "VARCHAR", "The product; null for logins.", "$.product_name"),
    _column("service_name", "VARCHAR", "The API's service; only for calls.", "$.service_name"),
    _column(
        "action",
        "VARCHAR",
        "What was done: a call's method ($.method_name), Login/METHOD for a login, KIND/SYSTEM for a system event.",
    ),
    _column(
        "outcome",
        "VARCHAR",
        "success (2xx), denied (401, 403, a failed login) or failure; null where it is not known: system events.",
    ),
    _column("status_code", "INTEGER", "The HTTP status; only for calls.", "$.status_code"),
)
_EVENT_ID = "The event's id, as the API gave it."
_RECORDED_AT = _column("recorded_at", "TIMESTAMP", "When it was recorded, UTC, cut to microseconds.", "$.recorded_at")

EVENTS = _view(
    "events",
    "The events of all kinds in one shape.",
    _KIND,
    _column("id", "VARCHAR", _EVENT_ID, "$.id"),
    _RECORDED_AT,
    *_SHAPE,
    _column("resource_ids", "VARCHAR[]", "The ids of what was acted on, in the event's order.", "$.resources[*].id"),
    _column("raw", "VARCHAR", "The event's JSON, byte for byte as the API sent it.", "$"),
)

EVENT_RESOURCES = _view(
    "event_resources",
    "One row for every event and resource that it acted on; an event without resources has none.",
    _KIND,
    _column("event_id", "VARCHAR", _EVENT_ID, "$.id"),
    _RECORDED_AT,
    *_SHAPE,
    _column("position", "BIGINT", "The resource's place in the event, from 1."),
    _column("resource_id", "VARCHAR", "Mostly a UUID; for an API key its access key.", "$.resources[*].id"),
    _column("resource_type", "VARCHAR", "Its type, such as instance_server.", "$.resources[*].type"),
    _column("resource_name", "VARCHAR", "Its name.", "$.resources[*].name"),
    _column("resource_created_at", "TIMESTAMP", "When it was made.", "$.resources[*].created_at"),
    _column("resource_updated_at", "TIMESTAMP", "When it was last changed.", "$.resources[*].updated_at"),
    _column("resource_deleted_at", "TIMESTAMP", "When it was deleted.", "$.resources[*].deleted_at"),
    _column("resource_info", "VARCHAR", "What else is said of it, as JSON text.", "$.resources[*].<type>_info"),
)

REVISIONS_VIEW = Relation(
    name="revisions",
    description=REVISIONS.description,
    stored=True,
    columns=(
        _KIND,
        _column("id", "VARCHAR", _EVENT_ID, "$.id"),
        _RECORDED_AT,
        *_PARTITIONS.values(),
        _column("ledger_seq", "BIGINT", "The ledger entry that brought the later version."),
        _column("raw", "VARCHAR", "The later version's JSON, byte for byte.", "$"),
        _column("first_ledger_seq", "BIGINT", "The ledger entry that brought the first version."),
        _column("first_raw", "VARCHAR", "The first version's JSON, byte for byte."),
        _column(
            "differing_paths",
            "VARCHAR[]",
            "The JSON paths in which the two differ; null where one is no JSON that the engine takes.",
        ),
    ),
)

COVERAGE = _view(
    "coverage",
    "Spans that were read in full, by stream.",
    *_STREAM,
    _column("start_at", "TIMESTAMP", "The span's first moment, UTC."),
    _column("end_at", "TIMESTAMP", "The moment after its last."),
)

GAPS = _view(
    "gaps",
    "Spans that were not read, by stream.",
    *COVERAGE.columns,
    _column("reason", "VARCHAR", "unread: a sync will read it; unreadable: it fell behind what the API still has."),
)

STREAMS = _view(
    "streams",
    "One row for each stream that was ever asked for.",
    *_STREAM,
    _column("last_read_at", "TIMESTAMP", "When it was last read."),
    _column("not_offered_at", "TIMESTAMP", "When the region last said that it has no such stream; null where it has."),
)

LEDGER = _view(
    "ledger",
    "The commits: one row for every entry of the ledger.",
    _column("seq", "BIGINT", "The entry's number, gap-free from 1."),
    _column("sha256", "VARCHAR", "SHA-256 of the entry's bytes, which the next entry repeats."),
    _column("operation", "VARCHAR", "What was done: init, sync, repair, purge or note."),
    _column("run", "VARCHAR", "The run that did it."),
    _column("started_at", "TIMESTAMP", "When it began, UTC."),
    _column("finished_at", "TIMESTAMP", "When it was committed, UTC."),
    _column("organization_id", "VARCHAR", "The Organization; null where it is about none."),
    _column("trailkeep_version", "VARCHAR", "The version that wrote it."),
    _column("host", "VARCHAR", "The machine that wrote it."),
    _column("os_user", "VARCHAR", "The account that wrote it."),
    _column("files_added", "BIGINT", "Files that it added."),
    _column("files_removed", "BIGINT", "Files that it removed."),
    _column("rows_added", "BIGINT", "Rows of the files that it added."),
    _column("bytes_added", "BIGINT", "Bytes of the files that it added."),
    _column("fetched", "BIGINT", "Events that the API sent."),
    _column("new", "BIGINT", "Events that were not held before."),
    _column("duplicate", "BIGINT", "Events that were held already."),
    _column("revised", "BIGINT", "Events that were held with other content."),
    _column("clock_offset_ms", "BIGINT", "How far our clock was from the API's, in milliseconds."),
    _column("counters", "VARCHAR", "Every counter of the entry, as JSON text."),
)

_ID = _column("id", "VARCHAR", "Its id, as events have it; for an API key the access key.")
_OF_ORGANIZATION = _column("organization_id", "VARCHAR", "The Organization.")
_OBSERVED = (
    _column("ledger_seq", "BIGINT", "The ledger entry that brought the version."),
    _column("raw", "VARCHAR", "The object's JSON as the API sent it, without any secret.", "$"),
)
_PRINCIPAL = (
    _column("id", "VARCHAR", "The actor_id of events."),
    _OF_ORGANIZATION,
    _column("type", "VARCHAR", "user or application; unknown for who is known by nothing but an id."),
    _column("name", "VARCHAR", "The name, a user's e-mail address where there is none."),
    _column("email", "VARCHAR", "A user's e-mail address."),
    _column("status", "VARCHAR", "Whether a user's invitation was accepted."),
)
_SOURCE = "directory, or events: from the names among their resources, where the directory has none."

PRINCIPALS = _view(
    "principals",
    "Users and applications as they were known last: from the directory, and who only events tell of.",
    *_PRINCIPAL,
    _column("created_at", "TIMESTAMP", "When it was created."),
    _column("valid_from", "TIMESTAMP", "Since when it has been so."),
    _column("deleted_at", "TIMESTAMP", "When the directory no longer listed it; null while it does."),
    _column("first_acted_at", "TIMESTAMP", "Its first event that is held."),
    _column("last_acted_at", "TIMESTAMP", "Its last event that is held."),
    _column("events", "BIGINT", "How many events are held in which it acted."),
    _column("source", "VARCHAR", "directory, or events for who was never in the directory that is held."),
)

PRINCIPAL_HISTORY = _view(
    "principal_history",
    "Users and applications over time, one row for each version.",
    *_PRINCIPAL,
    _column("valid_from", "TIMESTAMP", "From when on it was so, as far as is known."),
    _column("valid_to", "TIMESTAMP", "Until when; null for what holds now."),
    _column("gone_at", "TIMESTAMP", "valid_to, where the directory no longer listed it then."),
    _column("source", "VARCHAR", _SOURCE),
)

RESOURCES_SEEN = _view(
    "resources_seen",
    "One row for every resource id that an event names.",
    _column("id", "VARCHAR", "The resource's id."),
    _OF_ORGANIZATION,
    _column("type", "VARCHAR", "Its latest type."),
    _column("name", "VARCHAR", "Its latest name."),
    _column("first_seen_at", "TIMESTAMP", "The first event that names it."),
    _column("last_seen_at", "TIMESTAMP", "The last event that names it."),
    _column("events", "BIGINT", "How many events name it."),
    _column(
        "last_deleted_at",
        "TIMESTAMP",
        "The last sign of a deletion: its deleted_at, or a call Delete... on it that succeeded. Such a call may have"
        " deleted a part of it.",
    ),
    _column("deleted_at", "TIMESTAMP", "last_deleted_at, where no call has succeeded on it since; else null."),
)

DIRECTORY_HISTORY = _view(
    "directory_history",
    "Every version of every object of the directory.",
    _column("resource", "VARCHAR", "users, applications, groups, api_keys, policies, ssh_keys, projects or products."),
    _ID,
    _OF_ORGANIZATION,
    _column("name", "VARCHAR", "What it was called."),
    _column("valid_from", "TIMESTAMP", "From when on it is known to have been so."),
    _column("valid_to", "TIMESTAMP", "Until when; null for what holds now."),
    _column("change", "VARCHAR", "What began the version: first, changed or back."),
    _column("gone_at", "TIMESTAMP", "valid_to, where it was no longer listed then."),
    _column("observed_at", "TIMESTAMP", "When the list was read that shows the version."),
    _column("last_seen_at", "TIMESTAMP", "When it was last recorded as listed; only with gone_at."),
    *_OBSERVED,
)

LOGGABLE_METHODS = _view(
    "loggable_methods",
    "Since when and until when a method was on the list of those that leave events.",
    _OF_ORGANIZATION,
    _column("region", "VARCHAR", "The region that lists it."),
    _column("product_name", "VARCHAR", "The product, as events have it."),
    _column("service_name", "VARCHAR", "The API's service."),
    _column("method_name", "VARCHAR", "The method."),
    _column("listed_from", "TIMESTAMP", "When it was first seen on the list."),
    _column("listed_to", "TIMESTAMP", "When it was first missing; null where it is listed now."),
    _column(
        "at_the_latest",
        "BOOLEAN",
        "Whether listed_from is the first look at the region's list: the method may have been on it long before.",
    ),
)


def _current(resource: str) -> Relation:
    """The view of what holds now of a resource of the directory."""
    table = directory_table(resource)
    typed = tuple(
        SqlColumn(name=column.name, type=engine_type(column.type), description=column.description, path=column.path)
        for column in table.columns
        if column.name not in OF_VERSIONS
    )
    return _view(
        resource,
        f"The {resource.replace('_', ' ').replace('api', 'API').replace('ssh', 'SSH')} as they were known last, the"
        " deleted ones among them.",
        _ID,
        _OF_ORGANIZATION,
        *typed,
        _column("valid_from", "TIMESTAMP", "Since when it has been so, or gone."),
        _column("deleted_at", "TIMESTAMP", "When it was no longer listed; null while it is."),
        _column("last_seen_at", "TIMESTAMP", "When it was last recorded as listed; only with deleted_at."),
        _column("first_seen_at", "TIMESTAMP", "When a list showed it first."),
        _column("observed_at", "TIMESTAMP", "When the list was read that shows this version."),
        *_OBSERVED,
    )


CURRENT = ("projects", "api_keys", "groups", "policies", "ssh_keys")
"""The resources that have a view of what holds now."""

_STORED = {name: _of_table(table) for name, table in TABLES.items()}

_FIRST = {
    relation.name: relation
    for relation in (
        EVENTS,
        EVENT_RESOURCES,
        LOGINS,
        GRANTS,
        CREATIONS,
        FIRST_SEEN,
        _STORED["api_events"],
        _STORED["authentication_events"],
        _STORED["system_events"],
        REVISIONS_VIEW,
        PRINCIPALS,
        PRINCIPAL_HISTORY,
        *map(_current, CURRENT),
        RESOURCES_SEEN,
        DIRECTORY_HISTORY,
        LOGGABLE_METHODS,
        _STORED["quarantine"],
        COVERAGE,
        GAPS,
        STREAMS,
        _STORED["requests"],
        LEDGER,
    )
}

RELATIONS: dict[str, Relation] = {**_FIRST, **{name: table for name, table in _STORED.items() if name not in _FIRST}}
"""Every table and view, those that are asked most often first."""
