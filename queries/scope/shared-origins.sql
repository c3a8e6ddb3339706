/* ---
title = "Who else used the same address, or exactly the same user agent"
description = """
For each address and each user agent of a principal: every other principal that used it too, with what each of them
did with it. `principals` says how many used it altogether: two that share a user agent which nobody else has are
likely one person, two that share the office's address or the newest browser are not. The rarest come first.
"""
question = 7
attack = ["T1078.004"]
blind_spots = [
    "Events without an address share none: all of Kubernetes.",
    "Compared within the asked span only, and user agents letter by letter: a minor version apart is another one.",
]
[params.principal]
type = "principal"
required = true
description = "The id of the user or application."
[columns]
shared = "address or user agent."
value = "The address or the user agent in full."
principals = "How many principals used it in the span, the asked one included."
actor_id = "Another one that did."
organization_id = "The Organization that the other one acted in."
events = "How many events the other one has with it."
denied = "How many of these were denied."
first_at = "The other one's first with it."
last_at = "The other one's last with it."
events_of_principal = "How many the asked principal has with it."
first_at_of_principal = "The asked principal's first with it: who came first?"
first_event_id = "The id of the other one's first event with it."
last_event_id = "The id of the other one's last event with it."
[[next]]
query = "scope/principal-timeline"
why = "What the other one did."
params = { principal = "actor_id" }
[[next]]
query = "scope/principal-origins"
why = "Where the other one usually comes from."
params = { principal = "actor_id" }
--- */
WITH used AS (
    SELECT 'address' AS shared, source_ip AS value, actor_id, organization_id, outcome, recorded_at, id
    FROM events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND source_ip IS NOT NULL AND actor_id IS NOT NULL
    UNION ALL
    SELECT 'user agent', user_agent, actor_id, organization_id, outcome, recorded_at, id
    FROM events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND user_agent IS NOT NULL AND actor_id IS NOT NULL
),
by_principal AS (
    SELECT
        shared, value, actor_id, organization_id,
        count(*) AS events,
        count(*) FILTER (WHERE outcome = 'denied') AS denied,
        min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        arg_min(id, (recorded_at, id)) AS first_event_id, arg_max(id, (recorded_at, id)) AS last_event_id
    FROM used
    GROUP BY shared, value, actor_id, organization_id
),
of_principal AS (
    SELECT shared, value, CAST(sum(events) AS BIGINT) AS events, min(first_at) AS first_at
    FROM by_principal
    WHERE actor_id = $principal
    GROUP BY shared, value
),
popular AS (
    SELECT shared, value, count(DISTINCT actor_id) AS principals
    FROM by_principal
    GROUP BY shared, value
)
SELECT
    o.shared, o.value, p.principals, o.actor_id, o.organization_id, o.events, o.denied, o.first_at, o.last_at,
    mine.events AS events_of_principal, mine.first_at AS first_at_of_principal, o.first_event_id, o.last_event_id
FROM by_principal AS o
JOIN of_principal AS mine ON mine.shared = o.shared AND mine.value = o.value
JOIN popular AS p ON p.shared = o.shared AND p.value = o.value
WHERE o.actor_id <> $principal
ORDER BY p.principals, o.shared, o.value, o.first_at, o.actor_id, o.organization_id
