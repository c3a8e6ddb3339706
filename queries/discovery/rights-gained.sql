/* ---
title = "A method that never worked for a principal, was denied, and now works"
description = """
The first success that a principal ever had with a method, in all that is held, after the same method had been denied
to it (403) within the weeks before. Somebody who tries doors found one that opens, or got a key to it in between: see
privilege/grants for the time between first_at and last_at. A person who was denied a method or two and succeeds, all of
it from where and with what this very person has long come, asked for the permission and got it: left out, and found with
discovery/denied-then-allowed.
"""
question = 22
attack = ["T1098.003"]
severity = "medium"
false_positives = ["A new colleague or program that lacked a permission, asked for it and got it."]
blind_spots = [
    "Methods that had worked before the principal lost the right to them: see discovery/denied-then-allowed.",
    "Denied reads and lists are not logged; history before the archive begins is not known.",
    "Whoever sits at the victim's own machine, or within the network of it with the same kind of program.",
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

[params.usual_for]
type = "duration"
default = "2d"
description = "For how long a principal must have succeeded from a network, and with a program, for both to be its own."

[params.methods]
type = "integer"
default = 3
description = "From how many methods that a person was denied within the time on it is told in any case."

[columns]
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
first_at = "The first of the denials."
last_at = "The first success."
denied = "How many denials came before it."
events = "The denials and the success."
methods_denied = "How many methods the principal was denied within the time before the success."
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
),
tried AS (
    SELECT g.organization_id, g.subject_id, g.value, count(DISTINCT e.method_name) AS methods_denied
    FROM gained AS g
    JOIN api_events AS e ON e.organization_id = g.organization_id AND e.principal_id = g.subject_id
        AND e.recorded_at <= g.first_success_at AND e.recorded_at >= g.first_success_at - $within
    WHERE e.recorded_at >= $since - $within AND e.recorded_at < $until
        AND e.status_code = 403
    GROUP BY g.organization_id, g.subject_id, g.value
),
-- Where a principal succeeded before, and with what.
origins AS (
    SELECT
        organization_id, subject_id, dimension,
        CASE dimension WHEN 'agent' THEN user_agent_family(value) ELSE value END AS value,
        min(first_success_at) AS first_success_at
    FROM first_seen
    WHERE subject_type IN ('principal', 'organization') AND dimension IN ('activity', 'network', 'agent')
    GROUP BY ALL
),
compared_with AS (
    SELECT
        c.id, c.organization_id, c.recorded_at, ip_network(c.source_ip) AS network,
        user_agent_family(c.user_agent) AS agent,
        CASE
            WHEN a.first_success_at <= c.recorded_at - $usual_for THEN c.principal_id
        END AS subject_id
    FROM calls AS c
    LEFT JOIN origins AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id
        AND a.dimension = 'activity'
),
familiar AS (
    SELECT DISTINCT c.organization_id, c.id
    FROM compared_with AS c
    JOIN origins AS n ON n.organization_id = c.organization_id AND n.subject_id = c.subject_id
        AND n.dimension = 'network' AND n.value = c.network AND n.first_success_at <= c.recorded_at - $usual_for
    JOIN origins AS g ON g.organization_id = c.organization_id AND g.subject_id = c.subject_id
        AND g.dimension = 'agent' AND g.value = c.agent AND g.first_success_at <= c.recorded_at - $usual_for
)
SELECT
    c.principal_id, c.method_name, min(c.recorded_at) AS first_at, max(c.recorded_at) AS last_at,
    count(*) FILTER (WHERE c.status_code = 403) AS denied, count(*) AS events,
    max(t.methods_denied) AS methods_denied, min(k.first_at) AS known_since,
    list_sort(list(DISTINCT c.source_ip) FILTER (WHERE c.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT c.user_agent) FILTER (WHERE c.user_agent IS NOT NULL)) AS user_agents,
    list(c.id ORDER BY c.recorded_at, c.id) AS event_ids
FROM calls AS c
JOIN known AS o ON o.organization_id = c.organization_id AND o.subject_type = 'organization'
LEFT JOIN known AS k ON k.organization_id = c.organization_id AND k.subject_id = c.principal_id
    AND k.subject_type = 'principal'
JOIN tried AS t ON t.organization_id = c.organization_id AND t.subject_id = c.principal_id AND t.value = c.method_name
LEFT JOIN familiar AS f ON f.organization_id = c.organization_id AND f.id = c.id
LEFT JOIN principals AS p ON p.organization_id = c.organization_id AND p.id = c.principal_id
GROUP BY c.organization_id, c.principal_id, c.method_name
HAVING count(*) FILTER (WHERE c.status_code = 403) > 0 AND min(o.first_at) <= min(c.recorded_at) - $known_for
    AND NOT (
        bool_and(f.id IS NOT NULL) AND coalesce(min(p.type) = 'user', false) AND max(t.methods_denied) < $methods
    )
ORDER BY last_at, c.principal_id, c.method_name, c.organization_id
