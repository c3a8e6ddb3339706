/* ---
title = "Everything made and deleted again by the same principal"
description = """
Each thing that one principal made and deleted again within the window, one row each, habits of automation among them:
for the time of an incident, when whoever uses the credentials of automation hides among what it does all day.
earlier_days says on how many days before the principal did the same with the same kind of thing, and same_origin
whether both calls came from one network with one program. Rows with few earlier days, or other origins than the rest,
come first to look at; defence/created-then-deleted tells of the unusual ones by itself.
"""
question = 48
attack = ["T1578.003", "T1070"]
false_positives = ["Most rows: autoscaling, pipelines and tests make and delete all day."]
blind_spots = [
    "What one principal made and another deleted.",
    "Things that end without a call: keys that expire, disks that go with their server.",
    "A creation or deletion whose event does not name the thing.",
]

[params.window]
type = "duration"
default = "24h"
description = "From the creation to the deletion."

[params.history]
type = "duration"
default = "30d"
description = "How far back a principal's habits are counted."

[columns]
recorded_at = "The deletion."
principal_id = "Who made and deleted it."
kind = "What it was, as the calls name it: Server, Volume, APIKey."
resource_id = "Its id."
resource_name = "Its name at the deletion, where the event gives one."
created_at = "When it was made."
lived = "How long it was there."
earlier_days = "On how many earlier days within the history the principal made and deleted such things."
same_origin = "Whether both calls came from one network with one user agent; null where an event does not say."
source_ip = "Where the deletion came from."
user_agent = "What the caller said it was."
created_from = "Where the creation came from."
id = "The deletion."
event_ids = "The creation and the deletion."

[[next]]
query = "scope/resource-history"
why = "What was done with it while it lived."
params = { resource = "resource_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether the principal acts from there otherwise."
params = { principal = "principal_id" }

[[next]]
query = "defence/identities-created-then-deleted"
why = "Identities and credentials among them."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, source_ip, user_agent, resources,
        verb(method_name) = 'Delete' OR method_name = 'ServerAction' AS deletes,
        CASE WHEN method_name IN ('ServerAction', 'BatchCreateServers') THEN 'Server'
            ELSE regexp_replace(method_name, '^(Create|Delete)', '') END AS kind
    FROM api_events
    WHERE recorded_at >= $since - $history - $window AND recorded_at < $until
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
things AS (
    SELECT
        organization_id, principal_id, kind, thing.id AS resource_id, deletes, recorded_at, id,
        min(thing.name) AS resource_name, min(source_ip) AS source_ip, min(user_agent) AS user_agent
    FROM named
    WHERE thing.id IS NOT NULL
    GROUP BY organization_id, principal_id, kind, thing.id, deletes, recorded_at, id
),
pairs AS (
    SELECT
        d.organization_id, d.principal_id, d.kind, d.resource_id, d.resource_name, d.recorded_at, d.id, d.source_ip,
        d.user_agent,
        arg_max(
            {id: m.id, recorded_at: m.recorded_at, source_ip: m.source_ip, user_agent: m.user_agent},
            (m.recorded_at, m.id)
        ) AS creation
    FROM things AS d
    JOIN things AS m ON m.organization_id = d.organization_id AND m.kind = d.kind AND m.resource_id = d.resource_id
        AND m.principal_id IS NOT DISTINCT FROM d.principal_id
        AND m.recorded_at <= d.recorded_at AND m.recorded_at >= d.recorded_at - $window
    WHERE d.deletes AND NOT m.deletes
    GROUP BY
        d.organization_id, d.principal_id, d.kind, d.resource_id, d.resource_name, d.recorded_at, d.id, d.source_ip,
        d.user_agent
),
counted AS (
    SELECT
        *,
        count(DISTINCT CAST(recorded_at AS DATE)) OVER (
            PARTITION BY organization_id, principal_id, kind
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM pairs
)
SELECT
    recorded_at, principal_id, kind, resource_id, resource_name, creation.recorded_at AS created_at,
    recorded_at - creation.recorded_at AS lived, earlier_days,
    ip_network(source_ip) = ip_network(creation.source_ip) AND user_agent = creation.user_agent AS same_origin,
    source_ip, user_agent, creation.source_ip AS created_from, id, [creation.id, id] AS event_ids
FROM counted
WHERE recorded_at >= $since
ORDER BY ALL
