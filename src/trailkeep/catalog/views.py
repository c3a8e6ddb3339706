"""The text of the views: over the files of each table, and over those the shapes that join all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.catalog import people
from trailkeep.catalog.calls import OF_CALLS
from trailkeep.catalog.conditions import hull
from trailkeep.catalog.first_seen import FIRST_SEEN
from trailkeep.catalog.quoting import name_of, quote
from trailkeep.schema import DIRECTORY_TABLES, REVISIONS
from trailkeep.schema import engine_type as type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from trailkeep.catalog.conditions import Boxes
    from trailkeep.schema import Table
    from trailkeep.timespan import Span


def arrow_schema(table: Table) -> pa.Schema:
    """How Arrow is to read the table's files."""
    import pyarrow as pa

    return pa.schema([(column.name, column.type) for column in table.columns])


def partition_columns(table: Table) -> list[str]:
    """The table's partition keys that its files do not hold as columns."""
    return [key for key in table.partitions if key not in {column.name for column in table.columns}]


def parquet_parts(
    table: Table, *, in_place: Sequence[str | Path], apart: Iterable[tuple[str | Path, Mapping[str, str]]]
) -> list[str]:
    """The selections of a table's rows where the engine itself reads these files.

    The partition values of the files `in_place` are read from their paths; those of the files `apart`, whose path does
    not say them, stand beside each.
    """
    keys = partition_columns(table)
    parts: list[str] = []
    if in_place:
        files = ", ".join(quote(str(path)) for path in in_place)
        selected = ", ".join([_columns(table), *map(name_of, keys)])
        options = "hive_partitioning = true, hive_types_autocast = false"
        parts.append(f"SELECT {selected} FROM read_parquet([{files}], {options})")  # noqa: S608 - quoted
    for path, partition in apart:
        source = f"read_parquet([{quote(str(path))}], hive_partitioning = false)"
        parts.append(partition_part(table, source, partition))
    return parts


def partition_part(table: Table, source: str, partition: Mapping[str, str]) -> str:
    """The selection of the rows of `source`, which is one partition and does not say which."""
    constants = "".join(f", {quote(partition.get(key, ''))} AS {name_of(key)}" for key in partition_columns(table))
    return f"SELECT {_columns(table)}{constants} FROM {source}"  # noqa: S608 - quoted


def _columns(table: Table) -> str:
    return ", ".join(name_of(column.name) for column in table.columns)


def table_view(
    table: Table,
    *,
    in_place: Sequence[str | Path],
    apart: Iterable[tuple[str | Path, Mapping[str, str]]],
    span: Span | None,
) -> str:
    """The statement that creates the view of a table over exactly these files, as `parquet_parts` reads them."""
    return view_of(table, parquet_parts(table, in_place=in_place, apart=apart), span=span)


def view_of(table: Table, parts: Sequence[str], *, span: Span | None) -> str:
    """The statement that creates the view of a table that is made of these selections.

    Without one the view is empty, with the same names and types.
    """
    schema, _, name = full_name(table).partition(".")
    return f"CREATE VIEW {schema}.{name_of(name)} AS {rows_of(table, parts, span=span)}"


def rows_of(table: Table, parts: Sequence[str], *, span: Span | None) -> str:
    """The selection of the rows in a span of a table that is made of these selections."""
    body = selection_of(table, parts)
    return body if span is None else f"SELECT * FROM ({body}) WHERE {within(table, [span])}"  # noqa: S608 - quoted


def within(table: Table, spans: Iterable[Span]) -> str:
    """The condition that a row's time is in one of these spans, at least one."""
    bounds = ((span.start.replace(tzinfo=None), span.end.replace(tzinfo=None)) for span in spans)
    return " OR ".join(
        f"({table.time} >= TIMESTAMP {quote(start.isoformat(sep=' '))}"
        f" AND {table.time} < TIMESTAMP {quote(end.isoformat(sep=' '))})"
        for start, end in bounds
    )


MOST_TEXTS = 200
"""A condition with more texts than that is left to the statement."""


def of_use(table: Table, boxes: Boxes) -> list[str]:
    """What holds for every row of the table that one of `boxes` takes, as far as it spares work to say so at the scan.

    The statement says it again. But of ``IN`` the engine makes no condition of the scan itself, and so decodes all
    columns of every row (DuckDB 2.0; measured on ten million events: three to six times the work).
    """
    if not boxes:
        return []
    own = {column.name for column in table.columns}
    terms = []
    for name, texts in hull(boxes).texts.items():
        among = sorted(texts.among or ())
        if name in own and 1 < len(among) <= MOST_TEXTS and not any("\0" in text for text in among):
            terms.append(f"({name_of(name)} IN ({', '.join(map(quote, among))})) IS TRUE")
    return terms


def selection_of(table: Table, parts: Sequence[str]) -> str:
    """The rows of these selections together; without one none, with the table's names and types."""
    if not parts:
        typed = [f"CAST(NULL AS {type_of(column.type)}) AS {name_of(column.name)}" for column in table.columns]
        typed += [f"CAST(NULL AS VARCHAR) AS {name_of(key)}" for key in partition_columns(table)]
        parts = [f"SELECT {', '.join(typed)} WHERE false"]
    return " UNION ALL ".join(parts)


def full_name(table: Table) -> str:
    """Where a table's own view stands: what SQL sees of revisions and of the directory is made of theirs."""
    hidden = table is REVISIONS or table.name in DIRECTORY_TABLES
    return f"{'parts' if hidden else 'main'}.{table.name.replace('/', '_')}"


EVERY_EVENT = """
CREATE VIEW parts.every_event AS
SELECT
    'api' AS kind, id, recorded_at, organization_id, region, locality, project_id,
    principal_id AS actor_id,
    source_ip, user_agent, product_name, service_name,
    method_name AS action,
    outcome_of(status_code) AS outcome,
    status_code, resources, raw
FROM main.api_events
UNION ALL
SELECT
    'authentication', id, recorded_at, organization_id, region, NULL, NULL,
    login_user(resources),
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
    NULL,
    NULL, NULL, product_name, NULL,
    nullif(concat_ws('/', kind, system_name), ''),
    NULL,
    NULL, resources, raw
FROM main.system_events
"""
"""Every event in one shape, with its resources. What is not known of a kind is NULL: a system event has neither an
actor nor an outcome. A login with wrong credentials is ``denied``, as a call that the API answers with 401 is."""

EVENTS = f"""
CREATE VIEW main.events AS
SELECT
    e.kind, e.id, e.recorded_at, e.organization_id, e.region, e.locality, e.project_id, e.actor_id,
    {people.ACTOR_NAME},
    {people.ACTOR_TYPE},
    e.source_ip, e.user_agent, e.product_name, e.service_name, e.action, e.outcome, e.status_code,
    list_transform(e.resources, lambda r: r.id) AS resource_ids,
    e.raw
FROM parts.every_event AS e
{people.JOIN_ACTORS}
"""  # noqa: S608 - our own text

REVISIONS_VIEW = """
CREATE VIEW main.revisions AS
SELECT
    r.kind, r.id, r.recorded_at, r.organization_id, r.region, r.month, r.ledger_seq, r.raw,
    e.ledger_seq AS first_ledger_seq,
    e.raw AS first_raw,
    CASE WHEN json_valid(r.raw) AND json_valid(e.raw) THEN nullif(list_sort(list_distinct(list_concat((
        SELECT list(later.fullkey) FROM json_tree(CASE WHEN json_valid(r.raw) THEN r.raw ELSE 'null' END) AS later
        LEFT JOIN json_tree(CASE WHEN json_valid(e.raw) THEN e.raw ELSE 'null' END) AS earlier
            ON later.fullkey = earlier.fullkey
        WHERE later.atom IS DISTINCT FROM earlier.atom OR later.type IS DISTINCT FROM earlier.type
    ), (
        SELECT list(earlier.fullkey) FROM json_tree(CASE WHEN json_valid(e.raw) THEN e.raw ELSE 'null' END) AS earlier
        LEFT JOIN json_tree(CASE WHEN json_valid(r.raw) THEN r.raw ELSE 'null' END) AS later
            ON later.fullkey = earlier.fullkey
        WHERE later.atom IS DISTINCT FROM earlier.atom OR later.type IS DISTINCT FROM earlier.type
    )))), []) END AS differing_paths
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
# Twice a LEFT JOIN, since engines before 2.0, which `trailkeep connect` serves, take no FULL JOIN in such a place.

EVENT_RESOURCES = f"""
CREATE VIEW main.event_resources AS
SELECT
    e.kind, e.event_id, e.recorded_at, e.organization_id, e.region, e.locality, e.project_id, e.actor_id,
    {people.ACTOR_NAME},
    {people.ACTOR_TYPE},
    e.source_ip, e.user_agent, e.product_name, e.service_name, e.action, e.outcome, e.status_code,
    e."position",
    e.resource.id AS resource_id,
    e.resource.type AS resource_type,
    e.resource.name AS resource_name,
    e.resource.created_at AS resource_created_at,
    e.resource.updated_at AS resource_updated_at,
    e.resource.deleted_at AS resource_deleted_at,
    e.resource.info AS resource_info
FROM (
    SELECT * EXCLUDE (id, resources, raw), id AS event_id,
        unnest(resources) AS resource, unnest(range(1, len(resources) + 1)) AS "position"
    FROM parts.every_event
) AS e
{people.JOIN_ACTORS}
"""  # noqa: S608 - our own text
"""One row for every event and resource that it acted on; an event without resources has none."""
# The names are joined after the lists are taken apart, so that what is taken apart is narrow.


OF_VIEWS = {
    "parts.every_event": EVERY_EVENT,
    "parts.directory_principals": people.DIRECTORY_PRINCIPALS,
    "parts.principal_versions": people.PRINCIPAL_VERSIONS,
    "parts.actors": people.ACTORS,
    "main.events": EVENTS,
    "main.event_resources": EVENT_RESOURCES,
    **OF_CALLS,
    "main.first_seen": FIRST_SEEN,
    "main.revisions": REVISIONS_VIEW,
    "main.principals": people.PRINCIPALS,
    "main.principal_history": people.PRINCIPAL_HISTORY,
    "main.resources_seen": people.RESOURCES_SEEN,
    **people.OF_DIRECTORY,
}
"""The views that are made of views, by their full names, in an order in which they can be created; besides the tables
they are made of ``parts.event_names``, which `trailkeep.catalog.event_names` collects."""

WITHOUT_NAMES = OF_VIEWS | {
    name: people.without_names(OF_VIEWS[name]) for name in ("main.events", "main.event_resources")
}
"""The same for a statement that asks for neither ``actor_name`` nor ``actor_type``: it reads nothing for them."""


def place_of(name: str) -> str:
    """The full name of a table or view that is known by its name alone."""
    return f"parts.{name}" if f"parts.{name}" in OF_VIEWS else f"main.{name}"
