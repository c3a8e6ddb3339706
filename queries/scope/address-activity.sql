/* ---
title = "Everything that came from an address or a network"
description = """
Events of all kinds from one address or network, whoever acted, in every Organization and region held; denied ones
too. Events without an address cannot match. Where the same actor has such events in the span, `without_address` says
how many, and `include_without_address` shows those in between the actor's first and last event from the address: a
cluster's calls carry no address, whoever makes them.
"""
question = 4
attack = ["T1078.004"]
answer = "partly"
blind_spots = [
    "Events without an address cannot match: all of Kubernetes, and what Scaleway itself did. scope/events-without-address counts them.",
    "An attacker's next address is another one: follow the principals that acted, not the address alone.",
]
[params.address]
type = "cidr"
required = true
description = "An address or a network, IPv4 or IPv6."
[params.include_without_address]
type = "boolean"
default = false
description = "Whether to show events without an address, too, of those who acted from this one, while they did."
[columns]
recorded_at = "When."
kind = "api: a call; authentication: a login."
actor_id = "Who acted."
action = "The method called, or Login/METHOD for a login."
outcome = "success, denied (401, 403, a failed login) or failure."
status_code = "The HTTP status of a call."
source_ip = "The address; null where the event has none and was asked for nevertheless."
client = "The family of the user agent, which its caller chooses."
organization_id = "The Organization."
region = "The region that was asked."
locality = "The region or zone acted in."
product_name = "The product."
resource_ids = "The ids of what was acted on."
without_address = "How many events of the same actor in the asked span carry no address, so that nobody can say where from."
id = "The event's id."
[[next]]
query = "scope/principal-timeline"
why = "What else the actor did, from wherever."
params = { principal = "actor_id" }
[[next]]
query = "scope/principal-origins"
why = "Whether the address is usual for the actor."
params = { principal = "actor_id" }
[[next]]
query = "scope/shared-origins"
why = "Who shares the actor's addresses and user agents."
params = { principal = "actor_id" }
[[next]]
query = "scope/events-without-address"
why = "Whose events carry no address at all."
--- */
WITH held AS (
    SELECT
        recorded_at, kind, actor_id, action, outcome, status_code, source_ip, user_agent, organization_id, region,
        locality, product_name, resource_ids, id
    FROM events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (source_ip IS NULL OR ip_in_cidr(source_ip, $address))
),
matching AS (
    SELECT
        organization_id, actor_id,
        min(recorded_at) AS first_at, max(recorded_at) AS last_at
    FROM held
    WHERE source_ip IS NOT NULL
    GROUP BY organization_id, actor_id
),
unaddressed AS (
    SELECT organization_id, actor_id, count(*) AS without_address
    FROM held
    WHERE source_ip IS NULL AND actor_id IS NOT NULL
    GROUP BY organization_id, actor_id
)
SELECT
    h.recorded_at, h.kind, h.actor_id, h.action, h.outcome, h.status_code, h.source_ip,
    user_agent_family(h.user_agent) AS client, h.organization_id, h.region, h.locality, h.product_name, h.resource_ids,
    coalesce(u.without_address, 0) AS without_address, h.id
FROM held AS h
LEFT JOIN matching AS m ON m.organization_id = h.organization_id AND m.actor_id = h.actor_id
LEFT JOIN unaddressed AS u ON u.organization_id = h.organization_id AND u.actor_id = h.actor_id
WHERE h.source_ip IS NOT NULL
    OR ($include_without_address AND h.recorded_at >= m.first_at AND h.recorded_at <= m.last_at)
ORDER BY h.recorded_at, h.kind, h.id
