/* ---
title = "Every principal's first events from each network"
description = """
The first events of each principal, people and applications, from a network (the /24 of an IPv4 address, the /64 of an
IPv6 address) that it was never seen in before, in all that is held: what it did within `following`. For the time of an
incident: access/new-networks and access/new-networks-of-applications leave out whom they have not known for long.
known_days says how long the history is that a row is compared with; 0 is a principal's own beginning. Denied calls and
failed logins count.
"""
question = 9
attack = ["T1078.004"]
false_positives = ["Most rows: travel, home, a telephone's hotspot, new colleagues, the archive's first days."]
blind_spots = [
    "An attacker behind a network that is known already: the office, the same provider's /24, a compromised machine.",
    "Events without an address, all of Kubernetes, are from no network.",
]

[params.following]
type = "duration"
default = "1h"
description = "How long after the first event from there events are among the row's."

[columns]
first_at = "The first event from there."
last_at = "The last within `following`."
principal_id = "Who."
network = "The new network."
source_ips = "The addresses."
events = "How many events."
denied = "How many of them were denied: failed logins among them."
actions = "What was done."
user_agents = "With what."
known_since = "The principal's first event that is held."
known_days = "How many days before the row that was."
organization_id = "The Organization."
event_ids = "The events, oldest first."

[[next]]
query = "scope/principal-origins"
why = "Where the principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "scope/address-activity"
why = "Who else came from there."
params = { address = "network" }
--- */
WITH news AS (
    SELECT organization_id, subject_id, value, first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'network' AND first_at >= $since - $following AND first_at < $until
),
acquainted AS (
    SELECT organization_id, subject_id, first_at AS known_since
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
)
SELECT
    min(e.recorded_at) AS first_at, max(e.recorded_at) AS last_at, n.subject_id AS principal_id, n.value AS network,
    list_sort(list(DISTINCT e.source_ip)) AS source_ips,
    count(*) AS events, count(*) FILTER (WHERE e.outcome = 'denied') AS denied,
    coalesce(list_sort(list(DISTINCT e.action) FILTER (WHERE e.action IS NOT NULL)), []) AS actions,
    coalesce(list_sort(list(DISTINCT e.user_agent) FILTER (WHERE e.user_agent IS NOT NULL)), []) AS user_agents,
    a.known_since, CAST(date_diff('day', a.known_since, n.first_at) AS BIGINT) AS known_days, n.organization_id,
    list(e.id ORDER BY e.recorded_at, e.id) AS event_ids
FROM events AS e
JOIN news AS n ON n.organization_id = e.organization_id AND n.subject_id = e.actor_id
    AND n.value = ip_network(e.source_ip)
    AND e.recorded_at >= n.first_at AND e.recorded_at <= n.first_at + $following
JOIN acquainted AS a ON a.organization_id = n.organization_id AND a.subject_id = n.subject_id
WHERE e.recorded_at >= $since - $following AND e.recorded_at < $until
GROUP BY n.organization_id, n.subject_id, n.value, n.first_at, a.known_since
HAVING max(e.recorded_at) >= $since
ORDER BY ALL
