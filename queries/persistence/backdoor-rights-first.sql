/* ---
title = "A new application with rights and then a key within minutes"
description = """
What persistence/backdoor-sequence looks for, with the rights before the key, as the console does it: one principal
makes an application, gives it a policy or a place in a group, and then makes an API key for it, all within the
window. Grants and keys must name the application. outcome is denied where the grant or the key was only tried. Who
makes applications as a rule is told only where the rights amount to control of the Organization or of IAM.
"""
question = 29
attack = ["T1136.003", "T1098.003", "T1098.001"]
severity = "high"
false_positives = ["Somebody who sets up a new application in the console, in one go: ask who needed it."]
blind_spots = [
    "Steps further apart than the window, or by several principals: see persistence/applications-armed.",
    "Grants and keys whose bodies are missing.",
]

[params.window]
type = "duration"
default = "15m"
description = "From the application to the last of the other steps."

[params.history]
type = "duration"
default = "3650d"
description = "How far back earlier calls of the principal are looked for."

[params.fresh]
type = "duration"
default = "1d"
description = "Calls this short before do not make it usual: they may be part of the same attack."

[params.control]
type = "list[text]"
default = ["OrganizationManager", "OrganizationOwner", "IAMManager", "AllProductsFullAccess"]
description = "Permission sets that are told whoever grants them."

[columns]
first_at = "When the application was made."
last_at = "The last step within the window."
principal_id = "Who called: a user or an application, never a key."
application_id = "The new application."
application_name = "Its name."
earlier = "How many applications it had made before (fresh)."
policies = "Policies and memberships given to it, or asked for."
keys = "Keys made for it after the first of them, or asked for."
permission_sets = "The permission sets that the grants name."
outcome = "success where rights and then a key were given, denied where one of them was only tried."
events = "How many events there are in the row."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The making of the application."
event_ids = "The events, oldest first."

[finding]
summary = "{principal} made the application {application_name} ({application_id}), {policies} grants and {keys} API keys for it within minutes, from {source_ip} ({outcome}): {permission_sets}."
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

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH applications AS (
    SELECT id, recorded_at, organization_id, principal_id, made_id, made_name, source_ip, user_agent
    FROM creations
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND made_type = 'application' AND outcome = 'success' AND made_id IS NOT NULL
),
keys AS (
    SELECT id, recorded_at, organization_id, principal_id, bearer_id, outcome
    FROM creations
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND made_type = 'api_key' AND outcome IN ('success', 'denied')
),
rights AS (
    SELECT id, recorded_at, organization_id, principal_id, grantee_ids, permission_sets, outcome
    FROM grants
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND outcome IN ('success', 'denied')
),
right_steps AS (
    SELECT a.organization_id, a.id AS application_event, r.id, r.recorded_at, r.outcome, r.permission_sets
    FROM applications AS a
    JOIN rights AS r ON r.organization_id = a.organization_id AND r.principal_id = a.principal_id
        AND r.recorded_at >= a.recorded_at AND r.recorded_at <= a.recorded_at + $window
        AND list_contains(r.grantee_ids, a.made_id)
),
first_rights AS (
    SELECT
        organization_id, application_event, min(recorded_at) AS first_at,
        min(recorded_at) FILTER (WHERE outcome = 'success') AS first_success_at
    FROM right_steps
    GROUP BY organization_id, application_event
),
key_steps AS (
    SELECT
        f.organization_id, f.application_event, k.id, k.recorded_at,
        k.outcome = 'success' AND coalesce(k.recorded_at >= f.first_success_at, false) AS complete,
        k.recorded_at > f.first_at AS after_rights
    FROM applications AS a
    JOIN first_rights AS f ON f.organization_id = a.organization_id AND f.application_event = a.id
    JOIN keys AS k ON k.organization_id = a.organization_id AND k.principal_id = a.principal_id
        AND k.recorded_at >= a.recorded_at AND k.recorded_at <= a.recorded_at + $window AND k.bearer_id = a.made_id
),
-- Where a key came first, it is the other sequence.
rights_first AS (
    SELECT organization_id, application_event
    FROM key_steps
    GROUP BY organization_id, application_event
    HAVING bool_and(after_rights)
),
earlier AS (
    SELECT a.organization_id, a.id, count(*) AS earlier
    FROM applications AS a
    JOIN creations AS c ON c.organization_id = a.organization_id AND c.principal_id = a.principal_id
        AND c.recorded_at <= a.recorded_at - $fresh AND c.recorded_at >= a.recorded_at - $history
    WHERE c.recorded_at >= $since - $window - $history AND c.recorded_at < $until
        AND c.made_type = 'application' AND c.outcome = 'success'
    GROUP BY a.organization_id, a.id
),
steps AS (
    SELECT organization_id, application_event, id, recorded_at, 1 AS is_key, complete, [] AS permission_sets
    FROM key_steps
    UNION ALL
    SELECT organization_id, application_event, id, recorded_at, 0, false, permission_sets FROM right_steps
)
SELECT
    a.recorded_at AS first_at, max(s.recorded_at) AS last_at, a.principal_id,
    a.made_id AS application_id, a.made_name AS application_name, coalesce(min(e.earlier), 0) AS earlier,
    count(*) FILTER (WHERE s.is_key = 0) AS policies,
    count(*) FILTER (WHERE s.is_key = 1) AS keys,
    list_sort(list_distinct(flatten(list(s.permission_sets ORDER BY s.recorded_at, s.id)))) AS permission_sets,
    CASE WHEN bool_or(s.complete) THEN 'success' ELSE 'denied' END AS outcome,
    count(*) + 1 AS events, a.source_ip, a.user_agent, a.id,
    list_prepend(a.id, list(s.id ORDER BY s.recorded_at, s.id)) AS event_ids
FROM applications AS a
JOIN rights_first AS r ON r.organization_id = a.organization_id AND r.application_event = a.id
JOIN steps AS s ON s.organization_id = a.organization_id AND s.application_event = a.id
LEFT JOIN earlier AS e ON e.organization_id = a.organization_id AND e.id = a.id
GROUP BY a.organization_id, a.id, a.recorded_at, a.principal_id, a.made_id, a.made_name, a.source_ip, a.user_agent
HAVING count(*) FILTER (WHERE s.is_key = 1) > 0 AND max(s.recorded_at) >= $since
    AND (
        min(e.earlier) IS NULL
        OR len(list_intersect(flatten(list(s.permission_sets ORDER BY s.recorded_at, s.id)), $control)) > 0
    )
ORDER BY first_at, a.id, a.organization_id
