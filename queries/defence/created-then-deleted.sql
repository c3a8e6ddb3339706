/* ---
title = "Made and deleted again within hours by the same principal"
description = """
What one principal made and deleted again within the window: somebody tried something, or cleaned up after it. One row
for each burst of such deletions. Automation does nothing else all day: a principal that did the same with the same
kind of thing on several days before is left out.
"""
question = 48
attack = ["T1578.003", "T1070"]
severity = "low"
false_positives = [
    "Somebody who tries something and takes it down in the evening.",
    "New automation, until it has done so on a few days; and all of it where the archive begins.",
]
blind_spots = [
    "What one principal made and another deleted.",
    "Whoever uses the credentials of automation that creates and deletes all day is hidden among it.",
    "Things that end without a call: keys that expire, disks that go with their server.",
]

[params.window]
type = "duration"
default = "12h"
description = "From the creation to the deletion."

[params.gap]
type = "duration"
default = "1h"
description = "How long nothing is deleted before a burst counts as over."

[params.history]
type = "duration"
default = "30d"
description = "How far back a principal's habits are looked at."

[params.routine_days]
type = "integer"
default = 3
description = "On how many earlier days the same makes it a habit."

[columns]
principal_id = "Who made and deleted them."
first_at = "The first creation."
last_at = "The last deletion."
things = "How many things were made and deleted."
kinds = "What kinds of things, as the calls name them: Server, Volume, APIKey."
resource_ids = "Their ids."
resource_names = "Their names at the deletion."
shortest = "The shortest life of one of them."
events = "The calls that made and deleted them."
source_ips = "Where these calls came from; empty for Kubernetes."
user_agents = "What the caller said it was."
outcome = "Always success: a pair is two calls that succeeded."
first_deletion_id = "The burst's first deletion."
event_ids = "The creations and deletions, in their order."

[finding]
summary = "{principal} made and deleted {things} things within hours ({kinds}), from {source_ips}."
key = ["principal_id", "first_deletion_id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did with them in between."
params = { principal = "principal_id" }

[[next]]
query = "defence/identities-created-then-deleted"
why = "Whether identities and credentials are among them."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, source_ip, user_agent, resources,
        verb(method_name) = 'Delete' OR method_name = 'ServerAction' AS deletes,
        CASE method_name
            WHEN 'ServerAction' THEN 'Server'
            WHEN 'BatchCreateServers' THEN 'Server'
            ELSE regexp_replace(method_name, '^(Create|Delete)', '')
        END AS kind
    FROM api_events
    -- Habits are counted in days, so the first of them is read as a whole.
    WHERE recorded_at >= date_trunc('day', $since) - INTERVAL 2 DAY - $history - $window AND recorded_at < $until
        AND is_success(status_code)
        AND (
            verb(method_name) IN ('Create', 'Delete') OR method_name IN ('BatchCreateServers', 'ServerAction')
        ) IS TRUE
        AND (method_name <> 'ServerAction' OR body_text(request_body, 'action') = 'terminate')
),
named AS (
    SELECT
        organization_id, id, recorded_at, principal_id, deletes, kind, source_ip, user_agent, unnest(resources) AS thing
    FROM calls
),
made AS (
    SELECT organization_id, principal_id, kind, thing.id AS resource_id, recorded_at, id, source_ip, user_agent
    FROM named
    WHERE NOT deletes AND thing.id IS NOT NULL
),
deleted AS (
    SELECT
        organization_id, principal_id, kind, thing.id AS resource_id, min(thing.name) AS resource_name, recorded_at, id,
        source_ip, user_agent
    FROM named
    WHERE deletes AND thing.id IS NOT NULL
    GROUP BY organization_id, principal_id, kind, thing.id, recorded_at, id, source_ip, user_agent
),
pairs AS (
    SELECT
        d.organization_id, d.principal_id, d.kind, d.resource_id, d.resource_name, d.recorded_at AS deleted_at,
        d.id AS deletion_id, d.source_ip, d.user_agent,
        arg_max(
            {id: m.id, recorded_at: m.recorded_at, source_ip: m.source_ip, user_agent: m.user_agent},
            (m.recorded_at, m.id)
        ) AS creation
    FROM deleted AS d
    JOIN made AS m ON m.organization_id = d.organization_id AND m.kind = d.kind AND m.resource_id = d.resource_id
        AND m.principal_id IS NOT DISTINCT FROM d.principal_id
        AND m.recorded_at <= d.recorded_at AND m.recorded_at >= d.recorded_at - $window
    GROUP BY ALL
),
habits AS (
    SELECT
        organization_id, principal_id, kind, day,
        count(*) OVER (
            PARTITION BY organization_id, principal_id, kind
            ORDER BY day RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM (
        SELECT DISTINCT organization_id, principal_id, kind, date_trunc('day', deleted_at) AS day FROM pairs
    )
),
unusual AS (
    SELECT p.*
    FROM pairs AS p
    JOIN habits AS h ON h.organization_id = p.organization_id AND h.principal_id IS NOT DISTINCT FROM p.principal_id
        AND h.kind = p.kind AND h.day = date_trunc('day', p.deleted_at)
    WHERE h.earlier_days < $routine_days
        -- A burst that began before the span is told as a whole.
        AND p.deleted_at >= date_trunc('day', $since) - INTERVAL 2 DAY
),
begun AS (
    SELECT
        *,
        begins_burst((organization_id, principal_id), deleted_at, concat(deletion_id, ' ', resource_id), $gap) AS begins
    FROM unusual
),
numbered AS (
    SELECT
        *,
        burst_number(
            (organization_id, principal_id), deleted_at, concat(deletion_id, ' ', resource_id), begins
        ) AS burst
    FROM begun
),
steps AS (
    SELECT
        organization_id, principal_id, burst,
        unnest([
            creation, {id: deletion_id, recorded_at: deleted_at, source_ip: source_ip, user_agent: user_agent}
        ]) AS step
    FROM numbered
),
told_steps AS (
    SELECT
        organization_id, principal_id, burst,
        list(step.id ORDER BY step.recorded_at, step.id) AS event_ids,
        list_sort(list(DISTINCT step.source_ip) FILTER (WHERE step.source_ip IS NOT NULL)) AS source_ips,
        list_sort(list(DISTINCT step.user_agent) FILTER (WHERE step.user_agent IS NOT NULL)) AS user_agents
    FROM (SELECT DISTINCT organization_id, principal_id, burst, step FROM steps)
    GROUP BY organization_id, principal_id, burst
),
bursts AS (
    SELECT
        organization_id, principal_id, burst,
        min(creation.recorded_at) AS first_at, max(deleted_at) AS last_at,
        count(DISTINCT resource_id) AS things,
        list_sort(list(DISTINCT kind)) AS kinds,
        list_sort(list(DISTINCT resource_id)) AS resource_ids,
        list_sort(list(DISTINCT resource_name) FILTER (WHERE resource_name IS NOT NULL)) AS resource_names,
        min(deleted_at - creation.recorded_at) AS shortest,
        arg_min(deletion_id, (deleted_at, deletion_id)) AS first_deletion_id
    FROM numbered
    GROUP BY organization_id, principal_id, burst
    HAVING max(deleted_at) >= $since
)
SELECT
    b.principal_id, b.first_at, b.last_at, b.things, b.kinds, b.resource_ids, b.resource_names, b.shortest,
    len(s.event_ids) AS events, coalesce(s.source_ips, []) AS source_ips, coalesce(s.user_agents, []) AS user_agents,
    'success' AS outcome, b.first_deletion_id, s.event_ids
FROM bursts AS b
JOIN told_steps AS s ON s.organization_id = b.organization_id AND s.burst = b.burst
    AND s.principal_id IS NOT DISTINCT FROM b.principal_id
ORDER BY ALL
