/* ---
title = "Identities and credentials made and deleted again within hours"
description = """
A user, an application, a group, a policy, an API key or an SSH key that the same principal made and deleted again
within the window: used for something and cleared away, so that the directory never shows it. Look what it did while
it lived. A principal that did so on several days before, as pipelines with keys of their own do, is left out.
"""
question = 48
attack = ["T1070", "T1098.001", "T1136.003"]
severity = "medium"
false_positives = [
    "A key that was made by mistake, or shown to the wrong people and replaced at once.",
    "A new pipeline that makes a key for each run, until it has done so on a few days.",
]
blind_spots = [
    "What one principal made and another deleted: see persistence and containment/blast-tree.",
    "A key that merely expires soon: see persistence/api-keys-created.",
]

[params.window]
type = "duration"
default = "24h"
description = "From the creation to the deletion."

[params.history]
type = "duration"
default = "30d"
description = "How far back a principal's habits are looked at."

[params.routine_days]
type = "integer"
default = 3
description = "On how many earlier days the same makes it a habit."

[columns]
recorded_at = "The deletion."
principal_id = "Who made and deleted it."
kind = "What it was, as the calls name it: User, Application, Group, Policy, APIKey, SSHKey."
resource_id = "Its id; of an API key the access key."
resource_name = "Its name, where the events give one."
created_at = "When it was made."
lived = "How long it was there."
outcome = "Always success: of both calls."
source_ip = "Where the deletion came from."
user_agent = "What the caller said it was."
created_from = "Where the creation came from."
event_ids = "The creation and the deletion."
id = "The deletion."

[finding]
summary = "{principal} made {kind} {resource_id} ({resource_name}) and deleted it after {lived}, from {source_ip}."
key = ["id", "resource_id"]

[[next]]
query = "scope/resource-history"
why = "What was done to it and, for a user or an application, what it did."
params = { resource = "resource_id" }

[[next]]
query = "scope/principal-timeline"
why = "What the one who made it did meanwhile."
params = { principal = "principal_id" }

[[next]]
query = "containment/blast-tree"
why = "What it made in turn."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, verb(method_name) = 'Delete' AS deletes,
        regexp_replace(method_name, '^(Create|Delete)', '') AS kind, source_ip, user_agent, unnest(resources) AS thing
    FROM api_events
    -- Habits are counted in days, so the first of them is read as a whole.
    WHERE recorded_at >= date_trunc('day', $since) - $history - $window AND recorded_at < $until
        AND product_name IS DISTINCT FROM 'rdb' AND product_name IS DISTINCT FROM 'mongodb'
        AND product_name IS DISTINCT FROM 'data-warehouse' AND product_name IS DISTINCT FROM 'autoscaling'
        AND (method_name IN (
            'CreateUser', 'CreateApplication', 'CreateGroup', 'CreatePolicy', 'CreateAPIKey', 'CreateSSHKey',
            'CreateScimToken', 'DeleteUser', 'DeleteApplication', 'DeleteGroup', 'DeletePolicy', 'DeleteAPIKey',
            'DeleteSSHKey', 'DeleteScimToken'
        )) IS TRUE
        AND is_success(status_code)
),
things AS (
    SELECT
        organization_id, id, recorded_at, principal_id, deletes, kind, source_ip, user_agent, thing.id AS resource_id,
        min(thing.name) AS resource_name
    FROM calls
    WHERE thing.id IS NOT NULL
    GROUP BY ALL
),
pairs AS (
    SELECT
        d.organization_id, d.recorded_at, d.principal_id, d.kind, d.resource_id, d.source_ip, d.user_agent, d.id,
        arg_max(
            {
                id: m.id, recorded_at: m.recorded_at, source_ip: m.source_ip,
                resource_name: coalesce(d.resource_name, m.resource_name)
            },
            (m.recorded_at, m.id)
        ) AS creation
    FROM things AS d
    JOIN things AS m ON m.organization_id = d.organization_id AND m.kind = d.kind AND m.resource_id = d.resource_id
        AND m.principal_id IS NOT DISTINCT FROM d.principal_id
        AND m.recorded_at <= d.recorded_at AND m.recorded_at >= d.recorded_at - $window
    WHERE d.deletes AND NOT m.deletes
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
        SELECT DISTINCT organization_id, principal_id, kind, date_trunc('day', recorded_at) AS day FROM pairs
    )
)
SELECT
    p.recorded_at, p.principal_id, p.kind, p.resource_id, p.creation.resource_name AS resource_name,
    p.creation.recorded_at AS created_at, p.recorded_at - p.creation.recorded_at AS lived, 'success' AS outcome,
    p.source_ip, p.user_agent, p.creation.source_ip AS created_from, [p.creation.id, p.id] AS event_ids, p.id
FROM pairs AS p
JOIN habits AS h ON h.organization_id = p.organization_id AND h.principal_id IS NOT DISTINCT FROM p.principal_id
    AND h.kind = p.kind AND h.day = date_trunc('day', p.recorded_at)
WHERE p.recorded_at >= $since AND h.earlier_days < $routine_days
ORDER BY ALL
