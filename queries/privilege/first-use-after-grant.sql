/* ---
title = "Products used for the first time soon after a grant"
description = """
A principal used a product successfully for the first time in the archive's whole history, within the window after a
grant that concerns it: a policy or a membership for itself, or a policy for a group that it is in. Whoever gives
themselves rights uses them at once. `tried_at` says that it had tried before and failed.
"""
question = 42
attack = ["T1098.003", "T1078.004"]
severity = "low"
false_positives = [
    "New colleagues and new automation: their first hour is all of this.",
    "Work that waited for the rights, which is what rights are for.",
]
blind_spots = [
    "Reads are not logged: whoever only looks at the product uses it unseen.",
    "What the archive does not reach back to counts as never done.",
    "An attacker who waits longer than the window.",
]

[params.window]
type = "duration"
default = "1h"
description = "From the grant to the first use."

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are read for who was put into which group."

[columns]
principal_id = "Who got rights and used them."
product_name = "The product that it had never used with success."
method_name = "The first call of it."
first_at = "The first of the grants within the window before."
last_at = "The first use: the call that succeeded."
tried_at = "When it had first called the product without success; NULL where it had not."
known_since = "When the principal was first seen to do anything: compare it with first_at."
events = "The grants and the first use."
grant_methods = "The calls that gave it rights."
granted_by = "Who made them."
permission_sets = "The permission sets that they name."
source_ip = "Where the first use came from."
user_agent = "What the caller said it was."
outcome = "Always success: of the use."
event_ids = "The grants in their order, then the first use."
id = "The first use."

[finding]
summary = "{principal} used {product_name} for the first time ({method_name} from {source_ip}) soon after {grant_methods} by {granted_by}."
key = ["principal_id", "product_name", "id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did with it."
params = { principal = "principal_id" }

[[next]]
query = "privilege/grants"
why = "All grants of the time."

[[next]]
query = "discovery/denied-then-allowed"
why = "What it was denied before."
--- */
WITH firsts AS (
    SELECT organization_id, subject_id AS principal_id, value AS product_name, first_at AS tried_at, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'product'
        AND first_success_at >= $since AND first_success_at < $until
),
calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, group_id, grantee_ids, permission_sets
    FROM grants
    WHERE recorded_at >= $since - $window - $history AND recorded_at < $until
        AND outcome = 'success'
),
named AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, group_id, permission_sets,
        unnest(grantee_ids) AS grantee_id
    FROM calls
),
given AS (SELECT * FROM named WHERE recorded_at >= $since - $window),
concerned AS (
    SELECT organization_id, id, grantee_id AS principal_id FROM given
    UNION
    SELECT g.organization_id, g.id, m.grantee_id
    FROM given AS g
    JOIN named AS m ON m.organization_id = g.organization_id AND m.group_id = g.grantee_id
        AND m.recorded_at < g.recorded_at AND m.recorded_at >= g.recorded_at - $history
    WHERE m.method_name IN ('AddGroupMember', 'AddGroupMembers', 'SetGroupMembers')
    UNION
    SELECT organization_id, id, unnest(members)
    FROM (
        SELECT
            g.organization_id, g.id,
            list_concat(body_list(h.raw, 'user_ids'), body_list(h.raw, 'application_ids')) AS members
        FROM given AS g
        JOIN directory_history AS h ON h.organization_id = g.organization_id AND h.id = g.grantee_id
            AND h.valid_from <= g.recorded_at AND (h.valid_to IS NULL OR h.valid_to > g.recorded_at)
        WHERE h.resource = 'groups'
    )
),
matched AS (
    SELECT DISTINCT
        f.organization_id, f.principal_id, f.product_name, f.tried_at, f.first_success_at,
        c.id AS grant_id, c.recorded_at AS granted_at, c.principal_id AS granted_by, c.method_name AS grant_method,
        c.permission_sets
    FROM firsts AS f
    JOIN concerned AS w ON w.organization_id = f.organization_id AND w.principal_id = f.principal_id
    JOIN calls AS c ON c.id = w.id
        AND c.recorded_at < f.first_success_at AND c.recorded_at >= f.first_success_at - $window
),
told AS (
    SELECT
        organization_id, principal_id, product_name, tried_at, first_success_at,
        min(granted_at) AS first_at,
        list(grant_id ORDER BY granted_at, grant_id) AS grant_ids,
        list_sort(list(DISTINCT grant_method)) AS grant_methods,
        list_sort(list(DISTINCT granted_by) FILTER (WHERE granted_by IS NOT NULL)) AS granted_by,
        list_sort(list_distinct(flatten(list(permission_sets ORDER BY granted_at, grant_id)))) AS permission_sets
    FROM matched
    GROUP BY organization_id, principal_id, product_name, tried_at, first_success_at
),
uses AS (
    SELECT
        organization_id, principal_id, product_name, recorded_at,
        arg_min({id: id, method_name: method_name, source_ip: source_ip, user_agent: user_agent}, id) AS call
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND is_success(status_code)
        AND principal_id IN (SELECT principal_id FROM told)
        AND recorded_at IN (SELECT first_success_at FROM told)
        -- The steps of a login are calls of iam as well, and what everybody begins with.
        AND coalesce(method_name NOT LIKE '%Login%' AND method_name <> 'RenewJWT', true)
    GROUP BY organization_id, principal_id, product_name, recorded_at
),
known AS (
    SELECT organization_id, subject_id AS principal_id, first_at AS known_since
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
)
SELECT
    t.principal_id, t.product_name, u.call.method_name AS method_name, t.first_at, t.first_success_at AS last_at,
    CASE WHEN t.tried_at < t.first_success_at THEN t.tried_at END AS tried_at, k.known_since,
    len(t.grant_ids) + 1 AS events, t.grant_methods, t.granted_by, t.permission_sets,
    u.call.source_ip AS source_ip, u.call.user_agent AS user_agent, 'success' AS outcome,
    list_append(t.grant_ids, u.call.id) AS event_ids, u.call.id AS id
FROM told AS t
JOIN uses AS u ON u.organization_id = t.organization_id AND u.principal_id = t.principal_id
    AND u.product_name = t.product_name AND u.recorded_at = t.first_success_at
LEFT JOIN known AS k ON k.organization_id = t.organization_id AND k.principal_id = t.principal_id
ORDER BY ALL
