/* ---
title = "What Scaleway itself did to what a principal touched"
description = """
System events, by Scaleway's own schedules and notices, on the resources that a principal's calls name within the span,
with the principal's last call on the resource before: so that nobody is blamed for a rotation, and none is taken for one.
"""
question = 65
false_positives = ["None: it lists."]
blind_spots = [
    "What Scaleway does to a resource under another id than the call named, such as a part of it.",
    "What Scaleway's support does: whether that leaves events is not documented.",
]

[params.principal]
type = "principal"
required = true
description = "Whose resources are looked at."

[columns]
recorded_at = "When Scaleway acted."
system_kind = "cron or notification."
system_name = "Which system."
source = "Where the action came from."
product_name = "The product."
resource_id = "The resource."
resource_type = "Its type."
resource_name = "Its name."
calls = "How many calls of the principal name the resource, within the span."
last_call_at = "The last of them before Scaleway's action; null where all came after it."
last_call = "Its method."
after = "How long after that call Scaleway acted."
locality = "The region or zone."
id = "The system event."

[[next]]
query = "scope/resource-history"
why = "The whole life of the resource."
params = { resource = "resource_id" }
--- */
WITH touched AS (
    SELECT DISTINCT organization_id, resource_id, event_id, recorded_at, action
    FROM event_resources
    WHERE recorded_at >= $since AND recorded_at < $until
        AND kind = 'api' AND actor_id = $principal AND resource_id IS NOT NULL
),
done AS (
    SELECT
        organization_id, id, recorded_at, kind, system_name, source, product_name, locality,
        unnest(list_distinct(list_transform(resources, lambda x: {id: x.id, type: x.type, name: x.name}))) AS resource
    FROM system_events
    WHERE recorded_at >= $since AND recorded_at < $until
)
SELECT
    d.recorded_at, d.kind AS system_kind, d.system_name, d.source, d.product_name,
    d.resource.id AS resource_id, d.resource.type AS resource_type, d.resource.name AS resource_name,
    count(*) AS calls,
    max(t.recorded_at) FILTER (WHERE t.recorded_at <= d.recorded_at) AS last_call_at,
    arg_max(t.action, (t.recorded_at, t.event_id)) FILTER (WHERE t.recorded_at <= d.recorded_at) AS last_call,
    d.recorded_at - max(t.recorded_at) FILTER (WHERE t.recorded_at <= d.recorded_at) AS after,
    d.locality, d.id
FROM done AS d
JOIN touched AS t ON t.organization_id = d.organization_id AND t.resource_id = d.resource.id
GROUP BY
    d.organization_id, d.id, d.recorded_at, d.kind, d.system_name, d.source, d.product_name, d.locality, d.resource.id,
    d.resource.type, d.resource.name
ORDER BY ALL
