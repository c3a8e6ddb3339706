/* ---
title = "Events that carry no address, by who acted"
description = """
What no search for an address can find: all of Kubernetes, and whatever else came without a source address. One row
for each actor and product. Take it along when an address is cleared or blamed: these events are from somewhere, too.
"""
question = 4
answer = "partly"
attack = ["T1078.004"]
blind_spots = ["Where these events came from is in no event: ask the cluster's own audit log."]
[columns]
organization_id = "The Organization."
kind = "api or authentication."
actor_id = "Who acted; null where the event names nobody."
product_name = "The product; null for logins."
events = "How many events."
denied = "How many of them were denied."
share = "Their part of all events of this actor and kind in the span: 1 where it never shows an address."
actions = "What was done."
user_agents = "The user agents, where there are any."
first_at = "The first."
last_at = "The last."
first_event_id = "The first one's id."
last_event_id = "The last one's id."
[[next]]
query = "scope/principal-timeline"
why = "What the actor did around them."
params = { principal = "actor_id" }
--- */
WITH held AS (
    SELECT
        organization_id, kind, actor_id, product_name, action, outcome, source_ip, user_agent, recorded_at, id,
        count(*) OVER (PARTITION BY organization_id, kind, actor_id) AS of_actor
    FROM events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND kind <> 'system'
)
SELECT
    organization_id, kind, actor_id, product_name,
    count(*) AS events,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    round(count(*) / max(of_actor), 4) AS share,
    coalesce(list_sort(list(DISTINCT action) FILTER (WHERE action IS NOT NULL)), []) AS actions,
    coalesce(list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)), []) AS user_agents,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at,
    arg_min(id, (recorded_at, id)) AS first_event_id, arg_max(id, (recorded_at, id)) AS last_event_id
FROM held
WHERE source_ip IS NULL
GROUP BY organization_id, kind, actor_id, product_name
ORDER BY events DESC, organization_id, kind, actor_id NULLS LAST, product_name NULLS LAST
