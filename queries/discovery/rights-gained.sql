/* ---
title = "A method that never worked for a principal, was denied, and now works"
description = """
The first success that a principal ever had with a method, in all that is held, after the same method had been denied
to it (403) within the weeks before. Somebody who tries doors found one that opens, or got a key to it in between: see
privilege/grants for the time between first_at and last_at.
"""
question = 22
attack = ["T1098.003"]
severity = "medium"
false_positives = ["A new colleague or program that lacked a permission, asked for it and got it."]
blind_spots = [
    "Methods that had worked before the principal lost the right to them: see discovery/denied-then-allowed.",
    "Denied reads and lists are not logged; history before the archive begins is not known.",
    "Nothing is told of the archive's first days (known_for): every success is a first one then.",
]

[params.within]
type = "duration"
default = "7d"
description = "How long before the success denials count."

[params.known_for]
type = "duration"
default = "7d"
description = "How long the Organization must have been known before the first denial."

[columns]
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
first_at = "The first of the denials."
last_at = "The first success."
denied = "How many denials came before it."
events = "The denials and the success."
known_since = "Since when the principal is known at all: how long the history is that it is compared with."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
event_ids = "The denials and the success, oldest first."

[finding]
summary = "{principal} had {method_name} denied {denied} times since {first_at} and succeeded with it for the first time at {last_at}, from {source_ips}."
key = ["principal_id", "method_name"]

[[next]]
query = "discovery/denied-then-allowed"
why = "Which grants came in between."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH gained AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_at, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
        AND first_success_at >= $since AND first_success_at < $until
        AND first_at <= first_success_at
),
known AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_at
    FROM first_seen
    WHERE subject_type IN ('principal', 'organization') AND dimension = 'activity'
),
calls AS (
    SELECT
        g.subject_id AS principal_id, g.value AS method_name, g.organization_id, g.first_success_at,
        e.id, e.recorded_at, e.status_code, e.source_ip, e.user_agent
    FROM gained AS g
    JOIN api_events AS e ON e.organization_id = g.organization_id AND e.principal_id = g.subject_id
        AND e.method_name = g.value AND e.recorded_at <= g.first_success_at
        AND e.recorded_at >= g.first_success_at - $within
    WHERE e.recorded_at >= $since - $within AND e.recorded_at < $until
        AND (e.status_code = 403 OR (is_success(e.status_code) AND e.recorded_at = g.first_success_at))
)
SELECT
    c.principal_id, c.method_name, min(c.recorded_at) AS first_at, max(c.recorded_at) AS last_at,
    count(*) FILTER (WHERE c.status_code = 403) AS denied, count(*) AS events, min(k.first_at) AS known_since,
    list_sort(list(DISTINCT c.source_ip) FILTER (WHERE c.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT c.user_agent) FILTER (WHERE c.user_agent IS NOT NULL)) AS user_agents,
    list(c.id ORDER BY c.recorded_at, c.id) AS event_ids
FROM calls AS c
JOIN known AS o ON o.organization_id = c.organization_id AND o.subject_type = 'organization'
LEFT JOIN known AS k ON k.organization_id = c.organization_id AND k.subject_id = c.principal_id
    AND k.subject_type = 'principal'
GROUP BY c.organization_id, c.principal_id, c.method_name
HAVING count(*) FILTER (WHERE c.status_code = 403) > 0 AND min(o.first_at) <= min(c.recorded_at) - $known_for
ORDER BY last_at, c.principal_id, c.method_name, c.organization_id
