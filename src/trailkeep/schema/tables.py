"""The tables of the archive: every column's name, type, meaning and place in the API's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from trailkeep.streams import Kind

FORMAT = 1
"""The version of the layout on disk, in archive.json and in every segment's metadata."""

TIMESTAMP = pa.timestamp("us")
"""Microseconds of UTC without a zone; the API's nanoseconds stay in ``raw``."""

PARTITION_KEYS = ("organization_id", "region", "month")

RESOURCE = pa.struct(
    [
        pa.field("id", pa.string()),
        pa.field("type", pa.string()),
        pa.field("name", pa.string()),
        pa.field("created_at", TIMESTAMP),
        pa.field("updated_at", TIMESTAMP),
        pa.field("deleted_at", TIMESTAMP),
        pa.field("info", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    name: str
    type: pa.DataType
    description: str
    path: str | None = None
    """Where the value stands in the event's JSON, as a JSON path; None for what Trailkeep adds."""
    nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the archive: a folder of Parquet files with these columns."""

    name: str
    description: str
    columns: tuple[Column, ...]
    partitions: tuple[str, ...] = PARTITION_KEYS
    """Keys that stand in the path and not in the file."""
    order: tuple[str, ...] = ("recorded_at", "id")
    time: str = "recorded_at"
    """The column that a file's first and last moment, and its month, are taken from."""

    @property
    def arrow_schema(self) -> pa.Schema:
        """The schema of the table's files, with each column's description in its metadata."""
        return pa.schema(
            [
                pa.field(c.name, c.type, nullable=c.nullable, metadata={"description": c.description})
                for c in self.columns
            ],
            metadata={"trailkeep.format": str(FORMAT), "trailkeep.table": self.name},
        )

    def empty(self) -> pa.Table:
        """A table of these columns without a row."""
        return self.arrow_schema.empty_table()


_RESERVED = frozenset({"type", "name"})
"""Names that the engine quotes where it writes a type."""


def engine_type(arrow: pa.DataType) -> str:
    """The engine's name of an Arrow type that the schema uses. Raises TypeError for another."""
    plain = {
        pa.string(): "VARCHAR",
        pa.binary(): "BLOB",
        pa.bool_(): "BOOLEAN",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.timestamp("us"): "TIMESTAMP",
    }
    if arrow in plain:
        return plain[arrow]
    if isinstance(arrow, pa.ListType):
        return f"{engine_type(arrow.value_type)}[]"
    if isinstance(arrow, pa.StructType):
        return f"STRUCT({', '.join(f'{_quoted(field.name)} {engine_type(field.type)}' for field in arrow)})"
    raise TypeError(f"no type of the engine is known for {arrow}")


def _quoted(name: str) -> str:
    return f'"{name}"' if name in _RESERVED else name


_ID = Column(
    name="id",
    type=pa.string(),
    path="$.id",
    nullable=False,
    description="The event's id, as the API gave it.",
)
_RECORDED_AT = Column(
    name="recorded_at",
    type=TIMESTAMP,
    path="$.recorded_at",
    nullable=False,
    description="When the event was recorded, UTC, cut to microseconds.",
)
_LOCALITY = Column(
    name="locality",
    type=pa.string(),
    path="$.locality",
    description="The region or zone acted in, such as fr-par-1.",
)
_PROJECT_ID = Column(
    name="project_id",
    type=pa.string(),
    path="$.project_id",
    description="The Project acted in; null where none.",
)
_SOURCE_IP = Column(
    name="source_ip",
    type=pa.string(),
    path="$.source_ip",
    description="The address the call came from; null for all Kubernetes events.",
)
_USER_AGENT = Column(
    name="user_agent", type=pa.string(), path="$.user_agent", description="What the caller said it was."
)
_PRODUCT_NAME = Column(
    name="product_name", type=pa.string(), path="$.product_name", description="The product, such as instance."
)
_RESOURCES = Column(
    name="resources",
    type=pa.list_(RESOURCE),
    path="$.resources",
    description="What was acted on; info is the JSON text of the resource's <type>_info.",
)
_LEDGER_SEQ = Column(
    name="ledger_seq",
    type=pa.int64(),
    nullable=False,
    description="The ledger entry that brought the row into the archive.",
)
_RAW = Column(
    name="raw",
    type=pa.string(),
    path="$",
    nullable=False,
    description="The event's JSON, byte for byte as the API sent it.",
)

API_EVENTS = Table(
    name="api_events",
    description="Calls to Scaleway's API: who changed what, from where, with what result.",
    columns=(
        _ID,
        _RECORDED_AT,
        _LOCALITY,
        _PROJECT_ID,
        Column(
            name="principal_id",
            type=pa.string(),
            path="$.principal.id",
            description="The user or application that called. Never the API key: events do not carry it.",
        ),
        _SOURCE_IP,
        _USER_AGENT,
        _PRODUCT_NAME,
        Column(
            name="service_name",
            type=pa.string(),
            path="$.service_name",
            description="The API's service, such as scaleway.instance.v1.Api.",
        ),
        Column(
            name="method_name",
            type=pa.string(),
            path="$.method_name",
            description="The method called, such as CreateServer.",
        ),
        Column(name="request_id", type=pa.string(), path="$.request_id", description="The id of the API request."),
        Column(
            name="status_code",
            type=pa.int32(),
            path="$.status_code",
            description="The HTTP status answered: 2xx success (202 occurs), 401 and 403 denied.",
        ),
        Column(
            name="request_body",
            type=pa.string(),
            path="$.request_body",
            description="The request's body as JSON text that every parser takes; keys are snake_case or camelCase.",
        ),
        _RESOURCES,
        _LEDGER_SEQ,
        _RAW,
    ),
)

AUTHENTICATION_EVENTS = Table(
    name="authentication_events",
    description="Logins to the console, successful or not; the user is in resources.",
    columns=(
        _ID,
        _RECORDED_AT,
        _SOURCE_IP,
        _USER_AGENT,
        Column(name="result", type=pa.string(), path="$.result", description="success or failure."),
        Column(
            name="failure_reason",
            type=pa.string(),
            path="$.failure_reason",
            description="Why it failed, such as invalid_password or invalid_mfa.",
        ),
        Column(
            name="country_code",
            type=pa.string(),
            path="$.country_code",
            description="The country that Scaleway saw the address in.",
        ),
        Column(
            name="method",
            type=pa.string(),
            path="$.method",
            description="password, authentication_code, oauth2 or saml.",
        ),
        Column(name="origin", type=pa.string(), path="$.origin", description="public_api or admin_api."),
        Column(
            name="mfa_type",
            type=pa.string(),
            path="$.mfa_type",
            description="totp; null where no second factor was used.",
        ),
        _RESOURCES,
        _LEDGER_SEQ,
        _RAW,
    ),
)

SYSTEM_EVENTS = Table(
    name="system_events",
    description="What Scaleway itself did to the Organization's resources.",
    columns=(
        _ID,
        _RECORDED_AT,
        _LOCALITY,
        _PROJECT_ID,
        _PRODUCT_NAME,
        Column(name="source", type=pa.string(), path="$.source", description="Where the action came from."),
        Column(name="system_name", type=pa.string(), path="$.system_name", description="The system that acted."),
        Column(name="kind", type=pa.string(), path="$.kind", description="cron or notification."),
        _RESOURCES,
        _LEDGER_SEQ,
        _RAW,
    ),
)

IAM_LOGS = Table(
    name="iam_logs",
    description="IAM's own log of changes to users, groups, keys and policies: a second record beside the trail.",
    columns=(
        _ID,
        Column(
            name="recorded_at",
            type=TIMESTAMP,
            path="$.created_at",
            nullable=False,
            description="When the change was logged, UTC, cut to microseconds.",
        ),
        Column(name="source_ip", type=pa.string(), path="$.ip", description="The address that the call came from."),
        _USER_AGENT,
        Column(name="action", type=pa.string(), path="$.action", description="created, updated or deleted."),
        Column(
            name="bearer_id",
            type=pa.string(),
            path="$.bearer_id",
            description="The user or application that acted.",
        ),
        Column(
            name="resource_type",
            type=pa.string(),
            path="$.resource_type",
            description="What was acted on: api_key, user, application, group or policy.",
        ),
        Column(name="resource_id", type=pa.string(), path="$.resource_id", description="The id of what was acted on."),
        _LEDGER_SEQ,
        _RAW,
    ),
)

REVISIONS = Table(
    name="revisions",
    description="Later answers for an event that is already held, with other content; the first stays in its table.",
    columns=(
        Column(name="kind", type=pa.string(), nullable=False, description="api, authentication, system or iam."),
        _ID,
        _RECORDED_AT,
        _LEDGER_SEQ,
        _RAW,
    ),
)

QUARANTINE = Table(
    name="quarantine",
    description="What the API sent among its events that is not a JSON object with an id and a time.",
    columns=(
        Column(name="kind", type=pa.string(), nullable=False, description="api, authentication, system or iam."),
        Column(
            name="received_at",
            type=TIMESTAMP,
            nullable=False,
            description="When it was received, by the API's clock.",
        ),
        Column(name="reason", type=pa.string(), nullable=False, description="What is wrong with it."),
        Column(name="sha256", type=pa.string(), nullable=False, description="SHA-256 of its bytes."),
        _LEDGER_SEQ,
        Column(name="raw", type=pa.binary(), nullable=False, description="Its bytes, as the API sent them."),
    ),
    order=("received_at", "sha256"),
    time="received_at",
)

REQUESTS = Table(
    name="requests",
    description="The acquisition log: one row for every page that the API answered.",
    columns=(
        Column(name="run", type=pa.string(), nullable=False, description="The run that asked."),
        Column(
            name="organization_id",
            type=pa.string(),
            nullable=False,
            description="The Organization asked for.",
        ),
        Column(name="kind", type=pa.string(), nullable=False, description="api, authentication, system or iam."),
        Column(name="region", type=pa.string(), nullable=False, description="The region asked."),
        Column(
            name="window_start",
            type=TIMESTAMP,
            nullable=False,
            description="First moment of the window asked for.",
        ),
        Column(
            name="window_end",
            type=TIMESTAMP,
            nullable=False,
            description="The moment after the window's last.",
        ),
        Column(
            name="page",
            type=pa.int32(),
            nullable=False,
            description="The page's number in its window, from 1.",
        ),
        Column(
            name="received_at",
            type=TIMESTAMP,
            nullable=False,
            description="When it was received, by our clock.",
        ),
        Column(name="status", type=pa.int32(), nullable=False, description="The HTTP status."),
        Column(name="request_id", type=pa.string(), description="The API's X-Request-Id."),
        Column(name="server_date", type=TIMESTAMP, description="The API's Date header."),
        Column(name="bytes", type=pa.int64(), nullable=False, description="Length of the body in bytes."),
        Column(name="sha256", type=pa.string(), nullable=False, description="SHA-256 of the body."),
        Column(name="events", type=pa.int32(), nullable=False, description="Events in the body."),
        Column(
            name="attempts",
            type=pa.int32(),
            nullable=False,
            description="Requests that it took, the answered one included.",
        ),
        _LEDGER_SEQ,
    ),
    partitions=("month",),
    order=("received_at", "kind", "region", "window_start", "page"),
    time="received_at",
)

EVENT_TABLES: dict[Kind, Table] = {
    "api": API_EVENTS,
    "authentication": AUTHENTICATION_EVENTS,
    "system": SYSTEM_EVENTS,
    "iam": IAM_LOGS,
}
"""The table of each stream's records, by kind."""

TABLES: dict[str, Table] = {
    table.name: table
    for table in (API_EVENTS, AUTHENTICATION_EVENTS, SYSTEM_EVENTS, IAM_LOGS, REVISIONS, QUARANTINE, REQUESTS)
}
