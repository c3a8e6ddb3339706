"""The text of the views: over the files of each table, and over those the shapes that join all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from trailkeep.schema import REVISIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from trailkeep.schema import Table
    from trailkeep.timespan import Span


def quote(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def name_of(identifier: str) -> str:
    """`identifier` as a quoted SQL name."""
    return '"' + identifier.replace('"', '""') + '"'


def type_of(arrow: pa.DataType) -> str:
    """The engine's name of an Arrow type that the schema uses."""
    plain = {
        pa.string(): "VARCHAR",
        pa.binary(): "BLOB",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.timestamp("us"): "TIMESTAMP",
    }
    if arrow in plain:
        return plain[arrow]
    if isinstance(arrow, pa.ListType):
        return f"{type_of(arrow.value_type)}[]"
    if isinstance(arrow, pa.StructType):
        fields = ", ".join(f"{name_of(field.name)} {type_of(field.type)}" for field in arrow)
        return f"STRUCT({fields})"
    raise TypeError(f"no type of the engine is known for {arrow}")


def partition_columns(table: Table) -> list[str]:
    """The table's partition keys that its files do not hold as columns."""
    return [key for key in table.partitions if key not in {column.name for column in table.columns}]


def table_view(
    table: Table,
    *,
    in_place: Sequence[Path],
    apart: Iterable[tuple[Path, Mapping[str, str]]],
    span: Span | None,
) -> str:
    """The statement that creates the view of a table over exactly these files.

    The partition values of the files `in_place` are read from their paths; those of the files `apart`, whose path does
    not say them, stand beside each. Without a file the view is empty, with the same names and types.
    """
    columns = ", ".join(name_of(column.name) for column in table.columns)
    keys = partition_columns(table)
    parts: list[str] = []
    if in_place:
        files = ", ".join(quote(str(path)) for path in in_place)
        selected = ", ".join([columns, *map(name_of, keys)])
        options = "hive_partitioning = true, hive_types_autocast = false"
        parts.append(f"SELECT {selected} FROM read_parquet([{files}], {options})")  # noqa: S608 - quoted
    for path, partition in apart:
        constants = "".join(f", {quote(partition.get(key, ''))} AS {name_of(key)}" for key in keys)
        source = f"read_parquet([{quote(str(path))}], hive_partitioning = false)"
        parts.append(f"SELECT {columns}{constants} FROM {source}")  # noqa: S608 - quoted
    if not parts:
        typed = [f"CAST(NULL AS {type_of(column.type)}) AS {name_of(column.name)}" for column in table.columns]
        typed += [f"CAST(NULL AS VARCHAR) AS {name_of(key)}" for key in keys]
        parts.append(f"SELECT {', '.join(typed)} WHERE false")
    body = " UNION ALL ".join(parts)
    if span is not None:
        start, end = (moment.replace(tzinfo=None).isoformat(sep=" ") for moment in (span.start, span.end))
        inside = f"{table.time} >= TIMESTAMP {quote(start)} AND {table.time} < TIMESTAMP {quote(end)}"
        body = f"SELECT * FROM ({body}) WHERE {inside}"  # noqa: S608 - quoted
    where = "parts." if table is REVISIONS else ""
    return f"CREATE VIEW {where}{name_of(table.name)} AS {body}"


EVERY_EVENT = """
CREATE VIEW parts.every_event AS
SELECT
    'api' AS kind, id, recorded_at, organization_id, region, locality, project_id,
    principal_id AS actor_id, CAST(NULL AS VARCHAR) AS actor_name,
    source_ip, user_agent, product_name, service_name,
    method_name AS action,
    CASE
        WHEN status_code IS NULL THEN NULL
        WHEN is_success(status_code) THEN 'success'
        WHEN status_code IN (401, 403) THEN 'denied'
        ELSE 'failure'
    END AS outcome,
    status_code, resources, raw
FROM main.api_events
UNION ALL
SELECT
    'authentication', id, recorded_at, organization_id, region, NULL, NULL,
    list_filter(resources, lambda r: r.type IN ('iam_user', 'account_user'))[1].id, NULL,
    source_ip, user_agent, NULL, NULL,
    concat_ws('/', 'Login', method),
    CASE
        WHEN result IS NULL THEN NULL
        WHEN result = 'success' THEN 'success'
        WHEN result = 'failure' THEN 'denied'
        ELSE 'failure'
    END,
    NULL, resources, raw
FROM main.authentication_events
UNION ALL
SELECT
    'system', id, recorded_at, organization_id, region, locality, project_id,
    NULL, NULL,
    NULL, NULL, product_name, NULL,
    nullif(concat_ws('/', kind, system_name), ''),
    NULL,
    NULL, resources, raw
FROM main.system_events
"""
"""Every event in one shape, with its resources. What is not known of a kind is NULL: a system event has neither an
actor nor an outcome. A login with wrong credentials is ``denied``, as a call that the API answers with 401 is."""

EVENTS = """
CREATE VIEW main.events AS
SELECT
    kind, id, recorded_at, organization_id, region, locality, project_id, actor_id, actor_name, source_ip, user_agent,
    product_name, service_name, action, outcome, status_code,
    list_transform(resources, lambda r: r.id) AS resource_ids,
    raw
FROM parts.every_event
"""

REVISIONS_VIEW = """
CREATE VIEW main.revisions AS
SELECT
    r.kind, r.id, r.recorded_at, r.organization_id, r.region, r.month, r.ledger_seq, r.raw,
    e.ledger_seq AS first_ledger_seq,
    e.raw AS first_raw,
    CASE WHEN json_valid(r.raw) AND json_valid(e.raw) THEN (
        SELECT list(DISTINCT coalesce(later.fullkey, earlier.fullkey) ORDER BY coalesce(later.fullkey, earlier.fullkey))
        FROM json_tree(CASE WHEN json_valid(r.raw) THEN r.raw ELSE 'null' END) AS later
        FULL JOIN json_tree(CASE WHEN json_valid(e.raw) THEN e.raw ELSE 'null' END) AS earlier
            ON later.fullkey = earlier.fullkey
        WHERE later.atom IS DISTINCT FROM earlier.atom OR later.type IS DISTINCT FROM earlier.type
    ) END AS differing_paths
FROM parts.revisions AS r
LEFT JOIN (
    SELECT 'api' AS kind, id, organization_id, region, ledger_seq, raw FROM main.api_events
    UNION ALL
    SELECT 'authentication', id, organization_id, region, ledger_seq, raw FROM main.authentication_events
    UNION ALL
    SELECT 'system', id, organization_id, region, ledger_seq, raw FROM main.system_events
) AS e USING (kind, id, organization_id, region)
"""
"""Each later version beside the first one, with the JSON paths in which the two differ. The paths are NULL where one of
the two is no JSON that the engine takes; compare ``raw`` with ``first_raw`` then."""

EVENT_RESOURCES = """
CREATE VIEW main.event_resources AS
SELECT
    kind, event_id, recorded_at, organization_id, region, locality, project_id, actor_id, actor_name, source_ip,
    user_agent, product_name, service_name, action, outcome, status_code,
    "position",
    resource.id AS resource_id,
    resource.type AS resource_type,
    resource.name AS resource_name,
    resource.created_at AS resource_created_at,
    resource.updated_at AS resource_updated_at,
    resource.deleted_at AS resource_deleted_at,
    resource.info AS resource_info
FROM (
    SELECT * EXCLUDE (id, resources, raw), id AS event_id,
        unnest(resources) AS resource, unnest(range(1, len(resources) + 1)) AS "position"
    FROM parts.every_event
)
"""
"""One row for every event and resource that it acted on; an event without resources has none."""
