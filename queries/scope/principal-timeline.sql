/* ---
title = "Everything that a principal did, and everything done to it"
description = """
The events of all kinds where the user or application acted, those where it is among the resources (its logins, the
keys made for it, its own creation), and what Scaleway itself did to resources that it acted on within the span, so
that it is not blamed for that. Read it from the first row on: `relation` says which of the three a row is, `outcome`
whether a call was let through. Denied calls are in it; attackers are denied first.
"""
question = 3
attack = ["T1078.004"]
blind_spots = [
    "Events do not say which API key was used: two holders of one principal's keys cannot be told apart here; see scope/principal-origins.",
    "What Scaleway itself did to resources that the principal acted on before the span is left out: begin earlier.",
    "Calls whose resources do not name the principal, such as one that names it in its body only, are not among what was done to it.",
]
[params.principal]
type = "principal"
required = true
description = "The id of the user or application."
[columns]
recorded_at = "When."
kind = "api: a call; authentication: a login; system: what Scaleway itself did."
relation = "acted: it did this; acted upon: it is among the resources; its resource: Scaleway did this to a resource that it acted on."
action = "The method called, Login/METHOD for a login, KIND/SYSTEM for what Scaleway did."
outcome = "success, denied (401, 403, a failed login) or failure; null for what Scaleway did."
status_code = "The HTTP status of a call."
acted = "Whether the principal itself acted."
source_ip = "The address; null for all of Kubernetes and for what Scaleway did."
client = "The family of the user agent, which its caller chooses."
locality = "The region or zone."
product_name = "The product."
resource_ids = "The ids of what was acted on."
actor_id = "Who acted; null where Scaleway did."
user_agent = "The user agent in full."
id = "The event's id."
[[next]]
query = "scope/principal-origins"
why = "Its addresses and user agents: which of these rows belong to somebody else who holds a key."
params = { principal = "actor_id" }
[[next]]
query = "scope/address-activity"
why = "Everything else from the same address, whoever acted."
params = { address = "source_ip" }
[[next]]
query = "containment/blast-tree"
why = "What it created, and what that did next."
params = { principal = "actor_id" }
--- */
WITH touched AS (
    SELECT DISTINCT resource_id
    FROM event_resources
    WHERE recorded_at >= $since AND recorded_at < $until
        AND actor_id = $principal AND kind = 'api' AND resource_id IS NOT NULL AND resource_id <> $principal
),
by_scaleway AS (
    SELECT DISTINCT r.event_id
    FROM event_resources AS r
    JOIN touched ON touched.resource_id = r.resource_id
    WHERE r.recorded_at >= $since AND r.recorded_at < $until
        AND r.kind = 'system'
)
SELECT
    e.recorded_at, e.kind,
    CASE
        WHEN e.actor_id = $principal THEN 'acted'
        WHEN list_contains(e.resource_ids, $principal) THEN 'acted upon'
        ELSE 'its resource'
    END AS relation,
    e.action, e.outcome, e.status_code,
    coalesce(e.actor_id = $principal, false) AS acted,
    e.source_ip, user_agent_family(e.user_agent) AS client, e.locality, e.product_name, e.resource_ids, e.actor_id,
    e.user_agent, e.id
FROM events AS e
LEFT JOIN by_scaleway ON by_scaleway.event_id = e.id AND e.kind = 'system'
WHERE e.recorded_at >= $since AND e.recorded_at < $until
    AND (
        e.actor_id = $principal
        OR list_contains(e.resource_ids, $principal)
        OR by_scaleway.event_id IS NOT NULL
    )
ORDER BY e.recorded_at, e.kind, e.id
