/* ---
title = "What a principal did after its access was taken"
description = """
For each measure that takes access away, done by anybody, what the principal that it was about did afterwards, within the
window: one row for each measure and principal. Measures are keys, sessions, users and applications deleted, members
locked or removed from groups, policies deleted, passwords changed. Events carry no key, so after the deletion of one key
the acts may be those of another, rightful or not; RenewJWT among the methods is a session in the console that is still
open. Compare the origins with those from before.
"""
question = 64
attack = ["T1550.001", "T1078.004"]
false_positives = ["Rotation: the old key is deleted, and the application works on with the new one."]
blind_spots = [
    "Which key or session acted: events do not say it, so this is by principal.",
    "Whose a deleted key was is known from the event, from the call that made it, or from the directory; else it is missing.",
    "Whom a deleted policy or group gave rights to, as far as neither an earlier call nor the directory says it.",
]

[params.window]
type = "duration"
default = "30d"
description = "How long after a measure acts are counted."

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are read for whose a key or a policy is."

[columns]
measure_at = "When the access was taken."
measure = "The call that took it."
measured_by = "Who did."
measure_id = "The event of that call."
principal_id = "Whom it was about."
known_from = "How it is known: the event, the call that made the key or policy, or the directory."
first_at = "What it did afterwards: the first event."
after = "How long after the measure that was."
last_at = "The last event within the window."
events = "How many."
succeeded = "How many of them succeeded: access that was left."
denied = "How many were denied: somebody tried."
sessions = "How many of them were logins, or renewals of a session in the console."
actions = "What was done."
source_ips = "From where."
user_agents = "What the caller said it was."
lifted_at = "When the measure was taken back by UnlockMember; acts after that are not counted."
event_ids = "What it did: its events, oldest first, at most 1000; `events` counts all."

[[next]]
query = "scope/principal-origins"
why = "Whether the acts came from where the principal always acts from."
params = { principal = "principal_id" }

[[next]]
query = "containment/blast-tree"
why = "What else this principal made that is not contained yet."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, product_name, resources, request_body
    FROM api_events
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND is_success(status_code)
        AND (method_name IN (
            'DeleteAPIKey', 'DeleteJWT', 'LockMember', 'LockUser', 'DeleteUser', 'DeleteApplication', 'RemoveGroupMember',
            'DeletePolicy', 'UpdateUserPassword', 'ChangeUserPassword', 'UnlockMember', 'UnlockUser'
        )) IS TRUE
        AND (method_name <> 'DeleteUser' OR coalesce(product_name, 'iam') IN ('iam', 'account'))
),
-- Whom an event itself names.
named AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, resources, request_body,
        list_distinct(list_filter(
            list_concat(
                list_concat(
                    [body_text(request_body, 'user_id'), body_text(request_body, 'application_id')],
                    resources_of(resources, 'account_user')
                ),
                list_concat(resources_of(resources, 'iam_user'), resources_of(resources, 'iam_application'))
            ),
            lambda x: x IS NOT NULL
        )) AS ids
    FROM calls
),
lifted AS (
    SELECT organization_id, recorded_at, unnest(ids) AS subject_id
    FROM named
    WHERE method_name IN ('UnlockMember', 'UnlockUser')
),
keys AS (
    SELECT organization_id, made_id AS access_key, bearer_id, 'the call that made it' AS known_from
    FROM creations
    WHERE recorded_at >= $since - $window - $history AND recorded_at < $until
        AND made_type = 'api_key' AND made_id IS NOT NULL AND bearer_id IS NOT NULL
    UNION ALL
    SELECT organization_id, id, coalesce(user_id, application_id), 'the directory'
    FROM api_keys
    WHERE coalesce(user_id, application_id) IS NOT NULL
),
policies_given AS (
    SELECT organization_id, policy_id, unnest(grantee_ids) AS grantee_id, 'the call that made it' AS known_from
    FROM grants
    WHERE recorded_at >= $since - $window - $history AND recorded_at < $until
        AND outcome = 'success' AND policy_id IS NOT NULL
    UNION ALL
    SELECT organization_id, id, coalesce(user_id, application_id), 'the directory'
    FROM policies
    WHERE coalesce(user_id, application_id) IS NOT NULL
),
measures AS (
    SELECT organization_id, id, recorded_at, principal_id, method_name, unnest(ids) AS subject_id, 'the event' AS known_from
    FROM named
    WHERE method_name NOT IN ('UnlockMember', 'UnlockUser')
    UNION ALL
    SELECT n.organization_id, n.id, n.recorded_at, n.principal_id, n.method_name, k.bearer_id, k.known_from
    FROM named AS n
    JOIN keys AS k ON k.organization_id = n.organization_id
        AND k.access_key = coalesce(resource_of(n.resources, 'iam_api_key'), body_text(n.request_body, 'access_key'))
    WHERE n.method_name = 'DeleteAPIKey'
    UNION ALL
    SELECT n.organization_id, n.id, n.recorded_at, n.principal_id, n.method_name, p.grantee_id, p.known_from
    FROM named AS n
    JOIN policies_given AS p ON p.organization_id = n.organization_id
        AND p.policy_id = coalesce(resource_of(n.resources, 'iam_policy'), body_text(n.request_body, 'policy_id'))
    WHERE n.method_name = 'DeletePolicy'
),
told AS (
    SELECT
        m.organization_id, m.id, m.recorded_at, m.principal_id, m.method_name, m.subject_id,
        -- The event before the call, the call before the directory.
        CASE
            WHEN bool_or(m.known_from = 'the event') THEN 'the event'
            WHEN bool_or(m.known_from = 'the call that made it') THEN 'the call that made it'
            ELSE 'the directory'
        END AS known_from
    FROM measures AS m
    WHERE m.subject_id IS NOT NULL
    GROUP BY m.organization_id, m.id, m.recorded_at, m.principal_id, m.method_name, m.subject_id
),
ended AS (
    SELECT
        t.organization_id, t.id, t.recorded_at, t.principal_id, t.method_name, t.subject_id, t.known_from,
        min(l.recorded_at) AS lifted_at,
        least(t.recorded_at + $window, coalesce(min(l.recorded_at), t.recorded_at + $window)) AS ends_at
    FROM told AS t
    LEFT JOIN lifted AS l ON l.organization_id = t.organization_id AND l.subject_id = t.subject_id
        AND l.recorded_at >= t.recorded_at AND t.method_name IN ('LockMember', 'LockUser')
    GROUP BY t.organization_id, t.id, t.recorded_at, t.principal_id, t.method_name, t.subject_id, t.known_from
),
acts AS (
    SELECT organization_id, id, recorded_at, actor_id, action, outcome, source_ip, user_agent
    FROM events
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND actor_id IS NOT NULL
)
SELECT
    e.recorded_at AS measure_at, e.method_name AS measure, e.principal_id AS measured_by, e.id AS measure_id,
    e.subject_id AS principal_id, e.known_from,
    min(a.recorded_at) AS first_at, min(a.recorded_at) - e.recorded_at AS after, max(a.recorded_at) AS last_at,
    count(*) AS events,
    count(*) FILTER (WHERE a.outcome = 'success') AS succeeded,
    count(*) FILTER (WHERE a.outcome = 'denied') AS denied,
    count(*) FILTER (WHERE a.action = 'RenewJWT' OR starts_with(a.action, 'Login')) AS sessions,
    list_sort(list(DISTINCT a.action)) AS actions,
    list_sort(list(DISTINCT a.source_ip) FILTER (WHERE a.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT a.user_agent) FILTER (WHERE a.user_agent IS NOT NULL)) AS user_agents,
    e.lifted_at,
    list(a.id ORDER BY a.recorded_at, a.id)[1:1000] AS event_ids
FROM ended AS e
JOIN acts AS a ON a.organization_id = e.organization_id AND a.actor_id = e.subject_id
    AND a.recorded_at >= e.recorded_at AND a.recorded_at < e.ends_at AND a.id <> e.id
GROUP BY
    e.organization_id, e.recorded_at, e.method_name, e.principal_id, e.id, e.subject_id, e.known_from, e.lifted_at
HAVING max(a.recorded_at) >= $since
ORDER BY ALL
