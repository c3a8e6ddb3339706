/* ---
title = "Principals that act and were never in the directory"
description = """
Who acted in events and was in no look at the directory: made and deleted between two looks, of another Organization,
or from before the first look, if it acted since. The name is what events gave it, where they did. A short life, many
addresses and a first event after the directory's first look make it worse. Organizations whose directory was never
read are left out.
"""
question = 3
attack = ["T1078.004"]
severity = "medium"
false_positives = ["Somebody of another Organization, such as a provider, who was let in for a while."]
blind_spots = [
    "Principals whose last event lies before the first look at the directory have no row: they may just have left.",
    "Where the directory was never read there is no row at all: `trailkeep directory sync` reads it.",
]
[columns]
organization_id = "The Organization."
principal_id = "Who acted."
principal_name = "What events called it; null where none does."
principal_type = "user, application or unknown, as events tell."
first_at = "Its first event in the span."
last_at = "Its last event in the span."
events = "How many events in the span."
denied = "How many of them were denied."
addresses = "How many addresses it acted from."
source_ips = "Which; at most 20, in the order of their text."
directory_since = "When the directory of the Organization was first read."
id = "The id of its first event in the span."
last_event_id = "The id of its last event in the span."
[finding]
summary = "{principal}, who is in no look at the directory, acted {events} times from {source_ips}; {denied} were denied."
key = ["organization_id", "principal_id"]
[[next]]
query = "scope/principal-timeline"
why = "What it did, and who made it."
params = { principal = "principal_id" }
[[next]]
query = "scope/shared-origins"
why = "Who else uses its addresses and user agents: who it really is."
params = { principal = "principal_id" }
--- */
WITH looked AS (
    SELECT organization_id, min(observed_at) AS directory_since
    FROM directory_history
    WHERE resource IN ('users', 'applications')
    GROUP BY organization_id
)
SELECT
    e.organization_id, e.actor_id AS principal_id,
    min(p.name) AS principal_name, min(p.type) AS principal_type,
    min(e.recorded_at) AS first_at, max(e.recorded_at) AS last_at, count(*) AS events,
    count(*) FILTER (WHERE e.outcome = 'denied') AS denied,
    count(DISTINCT e.source_ip) AS addresses,
    coalesce(list_sort(list(DISTINCT e.source_ip) FILTER (WHERE e.source_ip IS NOT NULL)), [])[1:20] AS source_ips,
    min(looked.directory_since) AS directory_since,
    arg_min(e.id, (e.recorded_at, e.id)) AS id, arg_max(e.id, (e.recorded_at, e.id)) AS last_event_id
FROM events AS e
JOIN looked ON looked.organization_id = e.organization_id
LEFT JOIN principals AS p ON p.organization_id = e.organization_id AND p.id = e.actor_id
WHERE e.recorded_at >= $since AND e.recorded_at < $until
    AND e.actor_id IS NOT NULL
    AND p.source IS DISTINCT FROM 'directory'
GROUP BY e.organization_id, e.actor_id
-- Who acted only before the directory was ever read may just have left.
HAVING max(e.recorded_at) >= min(looked.directory_since)
ORDER BY first_at, e.organization_id, principal_id
