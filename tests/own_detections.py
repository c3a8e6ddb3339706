"""Small detections of a user's own, for tests."""

HOSTILE = "a'; rm -rf / #\x1b]0;x\x07\n{principal}\u202e" + "x" * 500

DELETES = """/* ---
title = "Servers deleted"
severity = "high"
attack = ["T1485"]
[params.least]
type = "integer"
default = 0
description = "The least status."
[columns]
recorded_at = "When."
[finding]
summary = "{principal} deleted {resource_names} from {source_ip} with {user_agent}."
key = ["id"]
[[next]]
query = "scope/principal-timeline"
why = "What else."
params = { principal = "principal_id" }
--- */
SELECT
    recorded_at, principal_id, organization_id, resource_names(resources) AS resource_names, source_ip, user_agent, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until AND method_name = 'DeleteServer' AND status_code >= $least
ORDER BY recorded_at, id
"""

DENIED = """/* ---
title = "Denied calls of a principal, three within an hour"
severity = "medium"
[params.within]
type = "duration"
default = "1h"
description = "How close together."
[columns]
principal_id = "Who."
[finding]
summary = "{principal} was denied {events} times."
key = ["principal_id", "first_id"]
--- */
WITH calls AS (
    SELECT id, recorded_at, principal_id, source_ip FROM api_events
    WHERE recorded_at >= $since - 10 * $within AND recorded_at < $until AND status_code = 403
),
begun AS (SELECT *, begins_burst(principal_id, recorded_at, id, $within) AS begins FROM calls),
numbered AS (SELECT *, burst_number(principal_id, recorded_at, id, begins) AS burst FROM begun)
SELECT
    principal_id, min(recorded_at) AS first_at, max(recorded_at) AS last_at, count(*) AS events,
    list(id ORDER BY recorded_at, id) AS event_ids, first(id ORDER BY recorded_at, id) AS first_id,
    list_sort(list(DISTINCT source_ip)) AS source_ips
FROM numbered
GROUP BY principal_id, burst
HAVING count(*) >= 3 AND max(recorded_at) >= $since
ORDER BY last_at, principal_id, first_id
"""
