/* ---
title = "A locked or deleted principal still acted"
description = """
A user was locked or deleted, or an application deleted, and calls or logins of it succeeded later than a grace after it,
before anybody unlocked it: containment does not hold. A session, a JWT or a key lives on, or somebody else acts as it.
One row for each measure.
"""
question = 64
attack = ["T1550.001", "T1078.004"]
severity = "critical"
false_positives = ["Work that was under way, in the first minutes: raise the grace.", "The user was invited again."]
blind_spots = [
    "Reads and lists that still work: they leave no event.",
    "A key that was deleted: containment/after-containment has that, since other keys of the principal may be rightful.",
]

[params.grace]
type = "duration"
default = "5m"
description = "How long after the measure acts are still taken for what was under way."

[params.window]
type = "duration"
default = "30d"
description = "How long after the measure acts are counted."

[columns]
first_at = "The first act after the grace."
last_at = "The last one."
principal_id = "Who acted though it was locked or deleted."
measure = "LockMember, LockUser, DeleteUser or DeleteApplication."
measure_at = "When that was."
measured_by = "Who did that."
measure_id = "The event of that call."
events = "How many acts succeeded."
sessions = "How many of them were logins, or renewals of a session in the console."
actions = "What was done."
source_ips = "From where."
user_agents = "What the caller said it was."
event_ids = "The events of the acts, oldest first, at most a hundred."

[finding]
summary = "{principal} did {actions} ({events} events) from {source_ips} after {measure} at {measure_at}."
key = ["measure_id", "principal_id"]

[[next]]
query = "containment/after-containment"
why = "All measures and what came after them."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name,
        coalesce(
            CASE WHEN method_name = 'DeleteApplication' THEN
                coalesce(resource_of(resources, 'iam_application'), body_text(request_body, 'application_id'))
            END,
            login_user(resources), body_text(request_body, 'user_id')
        ) AS subject_id
    FROM api_events
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND is_success(status_code)
        AND (method_name IN (
            'LockMember', 'LockUser', 'UnlockMember', 'UnlockUser', 'DeleteApplication', 'DeleteUser'
        )) IS TRUE
        AND (method_name <> 'DeleteUser' OR coalesce(product_name, 'iam') IN ('iam', 'account'))
),
measures AS (
    SELECT
        m.organization_id, m.id, m.recorded_at, m.principal_id, m.method_name, m.subject_id,
        coalesce(min(u.recorded_at), m.recorded_at + $window) AS ends_at
    FROM calls AS m
    LEFT JOIN calls AS u ON u.organization_id = m.organization_id AND u.subject_id = m.subject_id
        AND u.method_name IN ('UnlockMember', 'UnlockUser') AND u.recorded_at >= m.recorded_at
    WHERE m.method_name NOT IN ('UnlockMember', 'UnlockUser') AND m.subject_id IS NOT NULL
    GROUP BY m.organization_id, m.id, m.recorded_at, m.principal_id, m.method_name, m.subject_id
)
SELECT
    min(a.recorded_at) AS first_at, max(a.recorded_at) AS last_at, m.subject_id AS principal_id, m.method_name AS measure,
    m.recorded_at AS measure_at, m.principal_id AS measured_by, m.id AS measure_id,
    count(*) AS events,
    count(*) FILTER (WHERE a.action = 'RenewJWT' OR starts_with(a.action, 'Login')) AS sessions,
    list_sort(list(DISTINCT a.action)) AS actions,
    list_sort(list(DISTINCT a.source_ip) FILTER (WHERE a.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT a.user_agent) FILTER (WHERE a.user_agent IS NOT NULL)) AS user_agents,
    list(a.id ORDER BY a.recorded_at, a.id)[1:100] AS event_ids
FROM measures AS m
JOIN (
    SELECT organization_id, id, recorded_at, actor_id, action, source_ip, user_agent
    FROM events
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND outcome = 'success'
) AS a ON a.organization_id = m.organization_id AND a.actor_id = m.subject_id
    AND a.recorded_at > m.recorded_at + $grace AND a.recorded_at < m.ends_at
    AND a.recorded_at < m.recorded_at + $window
GROUP BY m.organization_id, m.id, m.recorded_at, m.principal_id, m.method_name, m.subject_id
HAVING max(a.recorded_at) >= $since
ORDER BY ALL
