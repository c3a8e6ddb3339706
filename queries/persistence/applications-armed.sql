/* ---
title = "New applications that got a key and rights, in any order and by anybody"
description = """
An application that was made, and that calls which name it gave an API key and rights, within days: whoever made which
step, and in whichever order. It is what persistence/backdoor-sequence looks for, done slowly or by several hands.
Only what succeeded counts.
"""
question = 29
attack = ["T1136.003", "T1098.001", "T1098.003"]
severity = "low"
false_positives = [
    "How every new application is set up: the rows are the list of new machines, to be known one by one.",
]
blind_spots = ["Rights that come through a group's later policies; keys and grants whose bodies name nobody."]

[params.window]
type = "duration"
default = "30d"
description = "From the application to the last of the other steps."

[columns]
first_at = "When the application was made."
last_at = "The last step within the window."
principal_id = "Who made the application."
application_id = "The new application."
application_name = "Its name."
keyed_by = "Who made its keys."
granted_by = "Who gave it rights."
keys = "Keys made for it."
policies = "Policies and memberships given to it."
permission_sets = "The permission sets that these name."
events = "How many events there are in the row."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
id = "The making of the application."
event_ids = "The events, oldest first."

[finding]
summary = "The application {application_name} ({application_id}), made by {principal} at {first_at}, got {keys} API keys from {keyed_by} and {policies} grants from {granted_by}: {permission_sets}."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What the new application did."
params = { principal = "application_id" }

[[next]]
query = "containment/blast-tree"
why = "What came of it all."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }
--- */
WITH applications AS (
    SELECT id, recorded_at, organization_id, principal_id, made_id, made_name, source_ip, user_agent
    FROM creations
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND made_type = 'application' AND outcome = 'success' AND made_id IS NOT NULL
),
keys AS (
    SELECT id, recorded_at, organization_id, principal_id, bearer_id, source_ip, user_agent
    FROM creations
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND made_type = 'api_key' AND outcome = 'success'
),
rights AS (
    SELECT id, recorded_at, organization_id, principal_id, grantee_ids, permission_sets, source_ip, user_agent
    FROM grants
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND outcome = 'success'
),
given AS (
    SELECT
        id, recorded_at, organization_id, principal_id, unnest(grantee_ids) AS grantee_id, permission_sets, source_ip,
        user_agent
    FROM rights
),
steps AS (
    SELECT
        a.organization_id, a.id AS application_event, a.id, a.recorded_at, 'application' AS step, a.principal_id,
        [] AS permission_sets, a.source_ip, a.user_agent
    FROM applications AS a
    UNION ALL
    SELECT a.organization_id, a.id, k.id, k.recorded_at, 'key', k.principal_id, [], k.source_ip, k.user_agent
    FROM applications AS a
    JOIN keys AS k ON k.organization_id = a.organization_id AND k.bearer_id = a.made_id
        AND k.recorded_at >= a.recorded_at AND k.recorded_at <= a.recorded_at + $window
    UNION ALL
    SELECT
        a.organization_id, a.id, g.id, g.recorded_at, 'grant', g.principal_id, g.permission_sets, g.source_ip,
        g.user_agent
    FROM applications AS a
    JOIN given AS g ON g.organization_id = a.organization_id AND g.grantee_id = a.made_id
        AND g.recorded_at >= a.recorded_at AND g.recorded_at <= a.recorded_at + $window
)
SELECT
    a.recorded_at AS first_at, max(s.recorded_at) AS last_at, a.principal_id,
    a.made_id AS application_id, a.made_name AS application_name,
    list_sort(list(DISTINCT s.principal_id) FILTER (WHERE s.step = 'key' AND s.principal_id IS NOT NULL)) AS keyed_by,
    list_sort(
        list(DISTINCT s.principal_id) FILTER (WHERE s.step = 'grant' AND s.principal_id IS NOT NULL)
    ) AS granted_by,
    count(*) FILTER (WHERE s.step = 'key') AS keys,
    count(*) FILTER (WHERE s.step = 'grant') AS policies,
    list_sort(list_distinct(flatten(list(s.permission_sets ORDER BY s.recorded_at, s.id)))) AS permission_sets,
    count(*) AS events,
    list_sort(list(DISTINCT s.source_ip) FILTER (WHERE s.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT s.user_agent) FILTER (WHERE s.user_agent IS NOT NULL)) AS user_agents,
    a.id, list(s.id ORDER BY s.recorded_at, s.id) AS event_ids
FROM applications AS a
JOIN steps AS s ON s.organization_id = a.organization_id AND s.application_event = a.id
GROUP BY a.organization_id, a.id, a.recorded_at, a.principal_id, a.made_id, a.made_name
HAVING count(*) FILTER (WHERE s.step = 'key') > 0 AND count(*) FILTER (WHERE s.step = 'grant') > 0
    AND max(s.recorded_at) >= $since
ORDER BY first_at, a.id, a.organization_id
