/* ---
title = "A new application with a key and rights within minutes"
description = """
One principal creates an application, then an API key for it, then a policy for it or a place in a group, all within
the window: a new identity of one's own, ready to use. Steps that name another application, a user or a group do not
count; those that name nobody may be about it and do. outcome is denied where a step was only tried: the wish is the
same. Who makes applications as a rule, as Terraform does, is told only where the rights amount to control of the
Organization or of IAM; and so is an old application that does it from where such programs always come, unless one of
the rights is broad: it sets up a service. persistence/applications-armed has every application.
"""
question = 29
attack = ["T1136.003", "T1098.001", "T1098.003"]
severity = "high"
false_positives = [
    "The first application that a new Terraform, or a new administrator, sets up: it is done in just this way.",
]
blind_spots = [
    "Narrow rights, given by whoever runs within old automation, from its network and with its program.",
    "Rights that are less than control, given by who makes applications as a rule.",
    "A key or a policy for an application that existed before; steps further apart than the window, in another order or by several principals: see persistence/applications-armed.",
    "A policy for a group that the application joined before: its joining is the step that counts.",
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

[params.known_for]
type = "duration"
default = "7d"
description = "For how long a principal must have succeeded from a network, and with a program, for both to be its own."

[columns]
first_at = "When the application was made."
last_at = "The last step within the window."
principal_id = "Who called: a user or an application, never a key."
application_id = "The new application."
application_name = "Its name."
earlier = "How many applications it had made before (fresh)."
keys = "Keys made for it, or asked for."
policies = "Policies and memberships given to it after its first key, or asked for."
permission_sets = "The permission sets that these name."
outcome = "success where a key and then rights were given, denied where one of them was only tried."
events = "How many events there are in the row."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The making of the application."
step_ids = "The other events, oldest first."
event_ids = "The events, oldest first."

[finding]
summary = "{principal} made the application {application_name} ({application_id}), {keys} API keys and {policies} grants for it within minutes, from {source_ip} ({outcome}): {permission_sets}."
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
        AND made_type = 'application' AND outcome = 'success'
),
keys AS (
    SELECT id, recorded_at, organization_id, principal_id, bearer_id, outcome
    FROM creations
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND made_type = 'api_key' AND outcome IN ('success', 'denied')
),
rights AS (
    SELECT
        id, recorded_at, organization_id, principal_id, grantee_ids, permission_sets, outcome,
        -- A new name or description of a policy is no grant.
        len(grantee_ids) = 0 AND method_name <> 'UpdatePolicy' AS names_nobody
    FROM grants
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND outcome IN ('success', 'denied')
),
key_steps AS (
    SELECT a.organization_id, a.id AS application_event, k.id, k.recorded_at, k.outcome
    FROM applications AS a
    JOIN keys AS k ON k.organization_id = a.organization_id AND k.principal_id = a.principal_id
        AND k.recorded_at >= a.recorded_at AND k.recorded_at <= a.recorded_at + $window
        AND (k.bearer_id IS NULL OR a.made_id IS NULL OR k.bearer_id = a.made_id)
),
first_keys AS (
    SELECT
        organization_id, application_event, min(recorded_at) AS first_at,
        min(recorded_at) FILTER (WHERE outcome = 'success') AS first_success_at
    FROM key_steps
    GROUP BY organization_id, application_event
),
right_steps AS (
    SELECT
        f.organization_id, f.application_event, r.id, r.recorded_at, r.permission_sets,
        r.outcome = 'success' AND coalesce(r.recorded_at >= f.first_success_at, false) AS complete
    FROM applications AS a
    JOIN first_keys AS f ON f.organization_id = a.organization_id AND f.application_event = a.id
    JOIN rights AS r ON r.organization_id = a.organization_id AND r.principal_id = a.principal_id
        AND r.recorded_at >= f.first_at AND r.recorded_at <= a.recorded_at + $window
        AND (list_contains(r.grantee_ids, a.made_id) OR r.names_nobody OR a.made_id IS NULL)
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
by_programs AS (
    SELECT DISTINCT a.id, a.organization_id, a.recorded_at, a.principal_id, a.source_ip, a.user_agent
    FROM applications AS a
    JOIN principals AS p ON p.organization_id = a.organization_id AND p.id = a.principal_id
    WHERE p.type = 'application'
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
            WHEN a.first_success_at <= c.recorded_at - $known_for THEN c.principal_id
            -- An old program that acts seldom has hardly a history: it counts where the Organization's always come from.
            WHEN p.type = 'application' AND p.created_at <= c.recorded_at - INTERVAL 30 DAY THEN c.organization_id
        END AS subject_id
    FROM by_programs AS c
    LEFT JOIN origins AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id
        AND a.dimension = 'activity'
    LEFT JOIN principals AS p ON p.organization_id = c.organization_id AND p.id = c.principal_id
),
familiar AS (
    SELECT DISTINCT c.organization_id, c.id
    FROM compared_with AS c
    JOIN origins AS n ON n.organization_id = c.organization_id AND n.subject_id = c.subject_id
        AND n.dimension = 'network' AND n.value = c.network AND n.first_success_at <= c.recorded_at - $known_for
    JOIN origins AS g ON g.organization_id = c.organization_id AND g.subject_id = c.subject_id
        AND g.dimension = 'agent' AND g.value = c.agent AND g.first_success_at <= c.recorded_at - $known_for
),
steps AS (
    SELECT organization_id, application_event, id, recorded_at, 1 AS is_key, false AS complete, [] AS permission_sets
    FROM key_steps
    UNION ALL
    SELECT organization_id, application_event, id, recorded_at, 0, complete, permission_sets FROM right_steps
)
SELECT
    a.recorded_at AS first_at, max(s.recorded_at) AS last_at, a.principal_id,
    a.made_id AS application_id, a.made_name AS application_name, coalesce(min(e.earlier), 0) AS earlier,
    count(*) FILTER (WHERE s.is_key = 1) AS keys,
    count(*) FILTER (WHERE s.is_key = 0) AS policies,
    list_sort(list_distinct(flatten(list(s.permission_sets ORDER BY s.recorded_at, s.id)))) AS permission_sets,
    CASE WHEN bool_or(s.complete) THEN 'success' ELSE 'denied' END AS outcome,
    count(*) + 1 AS events, a.source_ip, a.user_agent, a.id,
    list(s.id ORDER BY s.recorded_at, s.id) AS step_ids,
    list_prepend(a.id, list(s.id ORDER BY s.recorded_at, s.id)) AS event_ids
FROM applications AS a
JOIN steps AS s ON s.organization_id = a.organization_id AND s.application_event = a.id
LEFT JOIN earlier AS e ON e.organization_id = a.organization_id AND e.id = a.id
GROUP BY a.organization_id, a.id, a.recorded_at, a.principal_id, a.made_id, a.made_name, a.source_ip, a.user_agent
HAVING count(*) FILTER (WHERE s.is_key = 1) > 0 AND count(*) FILTER (WHERE s.is_key = 0) > 0
    AND max(s.recorded_at) >= $since
    AND (
        (
            min(e.earlier) IS NULL
            AND NOT (
                (a.organization_id, a.id) IN (SELECT (f.organization_id, f.id) FROM familiar AS f)
                AND bool_and(len(list_filter(s.permission_sets, lambda x: is_broad_permission(x))) = 0)
            )
        )
        OR len(list_intersect(flatten(list(s.permission_sets ORDER BY s.recorded_at, s.id)), $control)) > 0
    )
ORDER BY first_at, a.id, a.organization_id
