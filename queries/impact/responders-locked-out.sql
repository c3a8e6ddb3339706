/* ---
title = "Several users locked out at once"
description = """
A principal locked, deleted or took the groups, the password or the second factor from several other users within the
window: more than it did in the weeks before. So responders are kept out while something else happens. Somebody who
leaves is one user, however many calls that takes. Denied attempts count.
"""
question = 62
attack = ["T1531"]
severity = "high"
false_positives = ["Several leave on one day; a clean-up of accounts that was announced; a reorganization of groups."]
blind_spots = [
    "Policies and groups that are deleted: whom that hits the events do not say; see impact/access-removed.",
    "One user locked out at a time, further apart than the window; the only administrator is one user, too.",
    "SetGroupMembers leaves members out without naming them.",
]

[params.minimum]
type = "integer"
default = 2
description = "Fewest different users within a burst."

[params.window]
type = "duration"
default = "1h"
description = "The window that slides over the calls; a burst ends when nothing came for its length."

[params.factor]
type = "number"
default = 2
description = "How many times the principal's own largest number of users before it must be, where there is one."

[params.history]
type = "duration"
default = "30d"
description = "How far back the principal's own bursts are looked at; those of the day before do not count as usual."

[params.lookback]
type = "duration"
default = "1d"
description = "How far before the span the beginning of a burst is looked for."

[columns]
first_at = "The burst's first call."
last_at = "The burst's last call."
principal_id = "Who called; null where the events do not say."
events = "How many calls, denied and failed ones among them."
users = "How many different users were hit."
usual = "The most users of any burst of this principal in the time before; null where there was none."
succeeded = "Calls that succeeded."
denied = "Calls that were denied."
methods = "The calls."
user_ids = "The users that were hit."
user_names = "Their names, as the events have them."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
first_id = "The burst's first event, which tells it from others."
event_ids = "All events of the burst, oldest first."

[finding]
summary = "{principal} locked out or tried to lock out {users} users ({user_names}) with {methods}, {succeeded} calls succeeded, {denied} were denied, from {source_ips}."
key = ["principal_id", "first_id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "impact/access-removed"
why = "Each of the calls, and what else was taken away."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, status_code, source_ip, user_agent,
        coalesce(login_user(resources), body_text(request_body, 'user_id')) AS user_id,
        list_filter(resources, lambda x: x.type IN ('iam_user', 'account_user'))[1].name AS user_name
    FROM api_events
    WHERE recorded_at >= $since - $lookback - $history AND recorded_at < $until
        AND (method_name IN (
            'LockMember', 'LockUser', 'RemoveGroupMember', 'UpdateUserPassword', 'ChangeUserPassword', 'DeleteMFAOTP',
            'DeleteUserMFAOTP', 'UpdateUserUsername', 'ChangeUserEmail', 'DeleteWebAuthnAuthenticator', 'DeleteUser'
        )) IS TRUE
        AND (method_name <> 'DeleteUser' OR coalesce(product_name, 'iam') IN ('iam', 'account'))
),
of_others AS (
    SELECT *, begins_burst((organization_id, principal_id), recorded_at, id, $window) AS begins
    FROM calls
    WHERE user_id IS NULL OR user_id IS DISTINCT FROM principal_id
),
numbered AS (
    SELECT *, burst_number((organization_id, principal_id), recorded_at, id, begins) AS burst
    FROM of_others
),
bursts AS (
    SELECT
        organization_id, principal_id, burst, min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        count(*) AS events, count(DISTINCT coalesce(user_id, id)) AS users,
        count(*) FILTER (WHERE is_success(status_code)) AS succeeded,
        count(*) FILTER (WHERE is_denied(status_code)) AS denied,
        list_sort(list(DISTINCT method_name)) AS methods,
        list_sort(list(DISTINCT user_id) FILTER (WHERE user_id IS NOT NULL)) AS user_ids,
        list_sort(list(DISTINCT user_name) FILTER (WHERE user_name IS NOT NULL)) AS user_names,
        list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips,
        list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)) AS user_agents,
        list(id ORDER BY recorded_at, id) AS event_ids
    FROM numbered
    GROUP BY organization_id, principal_id, burst
),
compared AS (
    SELECT
        *,
        max(users) OVER (
            PARTITION BY organization_id, principal_id
            ORDER BY first_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS usual
    FROM bursts
)
SELECT
    first_at, last_at, principal_id, events, users, usual, succeeded, denied, methods, user_ids, user_names,
    source_ips, user_agents, event_ids[1] AS first_id, event_ids
FROM compared
WHERE last_at >= $since AND users >= $minimum AND users >= $factor * coalesce(usual, 0)
ORDER BY ALL
