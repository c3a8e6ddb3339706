"""The text of the views of who and what the ids in events are: versions of the directory, and names from events."""

from __future__ import annotations

from trailkeep import schema
from trailkeep.schema.directory import OF_VERSIONS
from trailkeep.schema.relations import CURRENT

BEGINNING = "TIMESTAMP '0001-01-01'"
"""From when on the first name that is known of a principal counts: the best known for everything before it."""

TYPES = "('iam_user', 'account_user', 'iam_application')"
"""The types of resources whose name is that of a principal."""

EVENT_NAMES_EMPTY = """
CREATE VIEW parts.event_names AS
SELECT
    CAST(NULL AS VARCHAR) AS organization_id, CAST(NULL AS VARCHAR) AS id, CAST(NULL AS VARCHAR) AS type,
    CAST(NULL AS VARCHAR) AS name, CAST(NULL AS TIMESTAMP) AS first_at, CAST(NULL AS TIMESTAMP) AS last_at
WHERE false
"""


def names_in(rows: str, more: str = "") -> str:
    """The names that the resources of events give to principals, each with its first and last time in a month.

    `rows` has organization_id, recorded_at and resources; `more` are further columns to group by, each with a comma.
    """
    return f"""
SELECT
    {more}organization_id, resource.id AS id,
    CASE WHEN resource.type = 'iam_application' THEN 'application' ELSE 'user' END AS type,
    nullif(resource.name, '') AS name,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at
FROM (
    SELECT {more}organization_id, recorded_at,
        unnest(list_filter(resources, lambda r: r.type IN {TYPES} AND r.id IS NOT NULL)) AS resource
    FROM ({rows})
)
GROUP BY {more}organization_id, resource.id,
    CASE WHEN resource.type = 'iam_application' THEN 'application' ELSE 'user' END,
    nullif(resource.name, ''), date_trunc('month', recorded_at)
"""  # noqa: S608 - our own text


_EVERY_RESOURCE = " UNION ALL ".join(
    f"SELECT organization_id, recorded_at, resources FROM main.{table}"  # noqa: S608 - the schema's own names
    for table in ("api_events", "authentication_events", "system_events")
)

EVENT_NAMES = f"CREATE VIEW parts.event_names AS {names_in(_EVERY_RESOURCE)}"
"""The names from events where nobody collects them: reads every event whenever it is asked."""

DIRECTORY_PRINCIPALS = """
CREATE VIEW parts.directory_principals AS
SELECT
    organization_id, id, 'user' AS type, name, email, status, created_at, valid_from, change = 'gone' AS gone,
    observed_at, last_seen_at
FROM parts.directory_users
UNION ALL
SELECT
    organization_id, id, 'application', name, NULL, NULL, created_at, valid_from, change = 'gone',
    observed_at, last_seen_at
FROM parts.directory_applications
"""

PRINCIPAL_VERSIONS = """
CREATE VIEW parts.principal_versions AS
WITH points AS (
    SELECT organization_id, id, type, name, email, status, created_at, valid_from, gone, 'directory' AS source
    FROM parts.directory_principals
    UNION ALL
    SELECT
        n.organization_id, n.id, coalesce(d.type, n.type), n.name, NULL, NULL, NULL, n.seen_at,
        coalesce(d.gone, false), 'events'
    FROM (
        SELECT organization_id, id, type, name, unnest([first_at, last_at]) AS seen_at FROM parts.event_names
    ) AS n
    ASOF LEFT JOIN parts.directory_principals AS d
        ON n.organization_id = d.organization_id AND n.id = d.id AND n.seen_at >= d.valid_from
    WHERE d.id IS NULL OR d.gone OR d.name IS NULL
),
named AS (
    SELECT
        * EXCLUDE (name),
        coalesce(
            last_value(name IGNORE NULLS) OVER (before ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
            first_value(name IGNORE NULLS) OVER (before ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
        ) AS name,
        bool_or(source = 'directory') OVER (PARTITION BY organization_id, id) AS in_directory
    FROM points
    WINDOW before AS (PARTITION BY organization_id, id ORDER BY valid_from, source, type, points.name)
),
numbered AS (
    SELECT
        *,
        source = 'events' AND coalesce(
            lag(name) OVER before IS NOT DISTINCT FROM name AND lag(gone) OVER before = gone
                AND lag(type) OVER before = type, false
        ) AS again
    FROM named
    WINDOW before AS (PARTITION BY organization_id, id ORDER BY valid_from, source, type, name)
)
SELECT
    organization_id, id, type, name, email, status, created_at, valid_from, gone, source, in_directory,
    row_number() OVER versions AS number,
    lead(valid_from) OVER versions AS valid_to,
    lead(gone) OVER versions AS gone_next
FROM numbered
WHERE NOT again
WINDOW versions AS (PARTITION BY organization_id, id ORDER BY valid_from, source, type, name)
"""
"""What is known of every principal, one row from each change on. The directory counts wherever it has a name; before,
after and where it has none, the names in events do."""

ACTORS = f"""
CREATE VIEW parts.actors AS
WITH known AS (
    SELECT organization_id, id, {BEGINNING} AS since, 0 AS number, name, type
    FROM parts.principal_versions
    WHERE number = 1
    UNION ALL
    SELECT organization_id, id, valid_from, number, name, CASE WHEN gone THEN 'deleted' ELSE type END
    FROM parts.principal_versions
),
changes AS (
    SELECT *
    FROM known
    WINDOW versions AS (PARTITION BY organization_id, id ORDER BY number)
    QUALIFY number = 0
        OR lag(name) OVER versions IS DISTINCT FROM name
        OR lag(type) OVER versions IS DISTINCT FROM type
)
SELECT
    id, min(organization_id) AS organization_id, min(name) AS name, min(type) AS type,
    CASE WHEN count(*) > 1 THEN
        list({{organization_id: organization_id, since: since, name: name, type: type}}
            ORDER BY organization_id, number)
    END AS versions
FROM changes
GROUP BY id
"""  # noqa: S608 - our own text
"""One row for each id that is known, so that the join is one of plain equality. Nearly every id has one name, in one
Organization: those have no list of versions."""


def _of_actor(field: str) -> str:
    """What is known of the event `e`'s actor `a` as of the event's time."""
    return f"""CASE
            WHEN a.versions IS NULL THEN CASE WHEN a.organization_id = e.organization_id THEN a.{field} END
            ELSE list_filter(
                a.versions, lambda v: v.organization_id = e.organization_id AND v.since <= e.recorded_at
            )[-1].{field}
        END"""


ACTOR_NAME = f"{_of_actor('name')} AS actor_name"
ACTOR_TYPE = f"CASE WHEN e.actor_id IS NOT NULL THEN coalesce({_of_actor('type')}, 'unknown') END AS actor_type"
JOIN_ACTORS = "LEFT JOIN parts.actors AS a ON a.id = e.actor_id"


def without_names(view: str) -> str:
    """The text of a view of events with nobody's name, and without the join that gives it."""
    for column, name in ((ACTOR_NAME, "actor_name"), (ACTOR_TYPE, "actor_type")):
        view = view.replace(column, f"CAST(NULL AS VARCHAR) AS {name}")
    return view.replace(JOIN_ACTORS, "")


PRINCIPAL_HISTORY = """
CREATE VIEW main.principal_history AS
SELECT
    id, organization_id, type, name, email, status, valid_from, valid_to,
    CASE WHEN gone_next THEN valid_to END AS gone_at,
    source
FROM parts.principal_versions
WHERE NOT gone
"""

PRINCIPALS = """
CREATE VIEW main.principals AS
SELECT
    id, organization_id, coalesce(v.type, 'unknown') AS type, v.name, v.email, v.status,
    v.created_at, v.valid_from, v.deleted_at,
    acted.first_acted_at, acted.last_acted_at, coalesce(acted.events, 0) AS events,
    CASE WHEN v.in_directory THEN 'directory' ELSE 'events' END AS source
FROM (
    SELECT
        organization_id, id, type, name,
        last_value(email IGNORE NULLS) OVER so_far AS email,
        last_value(status IGNORE NULLS) OVER so_far AS status,
        last_value(created_at IGNORE NULLS) OVER so_far AS created_at,
        valid_from, in_directory,
        CASE WHEN gone THEN max(valid_from) FILTER (source = 'directory') OVER so_far END AS deleted_at
    FROM parts.principal_versions
    WINDOW so_far AS (
        PARTITION BY organization_id, id ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
    QUALIFY valid_to IS NULL AND gone_next IS NULL
) AS v
FULL JOIN (
    SELECT
        organization_id, actor_id AS id, min(recorded_at) AS first_acted_at, max(recorded_at) AS last_acted_at,
        count(*) AS events
    FROM parts.every_event
    WHERE actor_id IS NOT NULL
    GROUP BY organization_id, actor_id
) AS acted USING (organization_id, id)
"""

RESOURCES_SEEN = """
CREATE VIEW main.resources_seen AS
SELECT
    id, organization_id,
    max_by(type, place) FILTER (type IS NOT NULL) AS type,
    max_by(name, place) FILTER (name IS NOT NULL) AS name,
    min(recorded_at) AS first_seen_at, max(recorded_at) AS last_seen_at,
    count(*) FILTER (first_place) AS events,
    max(deleted) AS last_deleted_at,
    CASE WHEN max(deleted) >= coalesce(max(recorded_at) FILTER (deleted IS NULL AND outcome = 'success'), max(deleted))
        THEN max(deleted) END AS deleted_at
FROM (
    SELECT
        organization_id, recorded_at, outcome, resource.id AS id, resource.type AS type,
        nullif(resource.name, '') AS name,
        {recorded_at: recorded_at, event_id: event_id, "position": "position"} AS place,
        list_position(ids, resource.id) = "position" AS first_place,
        CASE
            WHEN resource.deleted_at IS NOT NULL THEN greatest(resource.deleted_at, recorded_at)
            WHEN kind = 'api' AND outcome = 'success' AND verb(action) = 'Delete' THEN recorded_at
        END AS deleted
    FROM (
        SELECT
            kind, id AS event_id, organization_id, recorded_at, outcome, action,
            list_transform(resources, lambda r: r.id) AS ids,
            unnest(resources) AS resource, unnest(range(1, len(resources) + 1)) AS "position"
        FROM parts.every_event
    )
    WHERE resource.id IS NOT NULL
)
GROUP BY organization_id, id
"""

_HISTORY_COLUMNS = "id, organization_id, name, valid_from, change, observed_at, last_seen_at, ledger_seq, raw"


def _history() -> str:
    resources = [name.partition("/")[2] for name in schema.DIRECTORY_TABLES]
    rows = " UNION ALL ".join(
        f"SELECT '{resource}' AS resource, {_HISTORY_COLUMNS} FROM parts.directory_{resource}"  # noqa: S608 - own names
        for resource in resources
    )
    return f"""
CREATE VIEW main.directory_history AS
SELECT
    resource, id, organization_id, name, valid_from, valid_to, change, gone_at, observed_at,
    CASE WHEN gone_at IS NOT NULL THEN seen_until END AS last_seen_at,
    ledger_seq, raw
FROM (
    SELECT
        *,
        lead(valid_from) OVER versions AS valid_to,
        CASE WHEN lead(change) OVER versions = 'gone' THEN lead(valid_from) OVER versions END AS gone_at,
        lead(last_seen_at) OVER versions AS seen_until
    FROM ({rows})
    WINDOW versions AS (PARTITION BY resource, organization_id, id ORDER BY ledger_seq, valid_from)
)
WHERE change <> 'gone'
"""  # noqa: S608 - the schema's own names


def _current(resource: str) -> str:
    columns = schema.directory_table(resource).columns
    typed = ", ".join(column.name for column in columns if column.name not in OF_VERSIONS)
    return f"""
CREATE VIEW main.{resource} AS
SELECT
    id, organization_id, {typed}, valid_from,
    CASE WHEN change = 'gone' THEN valid_from END AS deleted_at,
    CASE WHEN change = 'gone' THEN last_seen_at END AS last_seen_at,
    min(observed_at) OVER (PARTITION BY organization_id, id) AS first_seen_at,
    observed_at, ledger_seq, raw
FROM parts.directory_{resource}
QUALIFY row_number() OVER (PARTITION BY organization_id, id ORDER BY ledger_seq DESC, valid_from DESC) = 1
"""  # noqa: S608 - the schema's own names


LOGGABLE_METHODS = """
CREATE VIEW main.loggable_methods AS
WITH versions AS (
    SELECT
        organization_id, region, id, name, services, change, valid_from, observed_at,
        row_number() OVER by_product AS number,
        lead(valid_from) OVER by_product AS valid_to,
        observed_at = min(observed_at) OVER (PARTITION BY organization_id, region) AS first_look
    FROM parts.directory_products
    WINDOW by_product AS (PARTITION BY organization_id, id ORDER BY ledger_seq, valid_from)
),
services AS (
    SELECT * EXCLUDE (services), unnest(services) AS service FROM versions WHERE change <> 'gone'
),
methods AS (
    SELECT DISTINCT
        organization_id, region, name AS product_name, service.name AS service_name, method_name, number,
        valid_from, valid_to, first_look
    FROM (SELECT *, unnest(service.methods) AS method_name FROM services)
),
runs AS (
    SELECT
        *,
        number - row_number() OVER (
            PARTITION BY organization_id, region, product_name, service_name, method_name ORDER BY number
        ) AS run
    FROM methods
)
SELECT
    organization_id, region, product_name, service_name, method_name,
    min(valid_from) AS listed_from,
    CASE WHEN count(valid_to) = count(*) THEN max(valid_to) END AS listed_to,
    bool_or(first_look) AS at_the_latest
FROM runs
GROUP BY organization_id, region, product_name, service_name, method_name, run
"""

OF_DIRECTORY = {
    "main.directory_history": _history(),
    **{f"main.{resource}": _current(resource) for resource in CURRENT},
    "main.loggable_methods": LOGGABLE_METHODS,
}
"""The views over the directory alone."""
