/* ---
title = "One address that failed to log in as many users"
description = """
An address from which the logins of many different users failed within a sliding window: passwords sprayed over
everybody, or a list of stolen pairs being tried. Only users count who had never logged in from that address before,
so an office whose people mistype is no attack. A row is one burst, which ends when such failures stopped for the
length of the window; `taken_over` names who of the tried then logged in from there.
"""
question = 12
attack = ["T1110.003", "T1110.004"]
severity = "high"
false_positives = [
    "A new office, VPN exit or conference network, on the first morning.",
    "The first days of an archive: no address is known then.",
]
blind_spots = [
    "An attacker who changes the address with every attempt: see access/login-failures over a longer span.",
    "Spraying from an address from which the tried users log in themselves, such as the office.",
    "Attempts for users whom the Organization does not have leave no event in it.",
    "Spraying slower than the window.",
]
[params.users]
type = "integer"
default = 5
description = "Fewest different users within the window."
[params.window]
type = "duration"
default = "1h"
description = "The window that slides over the failures of an address."
[params.lookback]
type = "duration"
default = "2d"
description = "How far before the span a burst may have begun that ends in it."
[params.history]
type = "duration"
default = "3650d"
description = "How far back earlier logins from the address are looked for."
[columns]
first_at = "The first failure of the burst."
last_at = "The last failure of the burst, or the last login of who was taken over, whichever is later."
user_id = "The first of the tried who then logged in from there; null where nobody did."
source_ip = "The address, of an IPv6 network (/64), which counts as one, the first; null for failures without one."
outcome = "success where somebody was taken over, denied where all failed."
events = "How many failures."
users = "How many different users were tried."
most_users_within_window = "The most different users within one window."
user_ids = "Who was tried."
taken_over = "Who of them then logged in from the address: within the burst, or within the window after it."
second_factor_failures = "How many failed at the second factor: the password was right."
countries = "The countries that Scaleway saw the address in."
methods = "The methods tried."
user_agents = "The user agents."
first_event_id = "The id of the first failure."
event_ids = "The ids of the failures in their order, then of the logins of who was taken over."
[finding]
summary = "{events} logins as {users} different users failed from {source_ip} between {first_at} and {last_at}; taken over: {taken_over}."
key = ["source_ip", "first_event_id"]
[[next]]
query = "access/failed-then-success"
why = "Whether one of them worked."
[[next]]
query = "scope/address-activity"
why = "What else came from the address."
params = { address = "source_ip" }
[[next]]
query = "scope/principal-timeline"
why = "What was done with the account that fell."
params = { principal = "user_id" }
--- */
WITH entered AS (
    SELECT
        id, organization_id, user_id, source_ip, recorded_at,
        CASE WHEN contains(ip_network(source_ip), ':') THEN ip_network(source_ip) ELSE source_ip END AS origin
    FROM logins
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND succeeded
),
known AS (
    SELECT organization_id, user_id, source_ip, min(recorded_at) AS first_login_at
    FROM entered
    GROUP BY organization_id, user_id, source_ip
),
failed AS (
    SELECT
        l.id, l.recorded_at, l.organization_id, l.source_ip, l.user_id, l.user_agent, l.country_code, l.method,
        l.failure_reason,
        -- Whoever has one address of a /64 has them all, and another for each attempt.
        CASE WHEN contains(ip_network(l.source_ip), ':') THEN ip_network(l.source_ip) ELSE l.source_ip END AS origin,
        -- Whoever is not named is one somebody.
        coalesce(l.user_id, '') AS tried
    FROM logins AS l
    LEFT JOIN known ON known.organization_id = l.organization_id AND known.user_id = l.user_id
        AND known.source_ip = l.source_ip
    WHERE l.recorded_at >= $since - $lookback AND l.recorded_at < $until
        AND l.result <> 'success'
        AND (known.first_login_at IS NULL OR known.first_login_at > l.recorded_at)
),
spaced AS (
    SELECT
        *,
        begins_burst((organization_id, origin), recorded_at, id, $window) AS begins,
        lag(recorded_at) OVER (PARTITION BY organization_id, origin, tried ORDER BY recorded_at, id) AS previous_at,
        lead(recorded_at) OVER (PARTITION BY organization_id, origin, tried ORDER BY recorded_at, id) AS next_at
    FROM failed
),
numbered AS (
    SELECT *, burst_number((organization_id, origin), recorded_at, id, begins) AS burst FROM spaced
),
-- A user counts from a first failure until the window has passed since the last: how many do at a moment is how many
-- different users failed within the window before it.
edges AS (
    SELECT organization_id, origin, recorded_at AS moment, 0 AS leaves, id, 1 AS change
    FROM spaced
    WHERE previous_at IS NULL OR recorded_at - previous_at > $window
    UNION ALL
    SELECT organization_id, origin, recorded_at + $window, 1, id, -1
    FROM spaced
    WHERE next_at IS NULL OR next_at - recorded_at > $window
),
at_once AS (
    SELECT
        organization_id, id, leaves,
        sum(change) OVER (
            PARTITION BY organization_id, origin ORDER BY moment, leaves, id ROWS UNBOUNDED PRECEDING
        ) AS users
    FROM edges
),
bursts AS (
    SELECT
        n.organization_id, n.origin, n.burst, arg_min(n.source_ip, (n.recorded_at, n.id)) AS source_ip,
        min(n.recorded_at) AS first_at, max(n.recorded_at) AS last_at,
        count(*) AS events,
        count(DISTINCT n.tried) AS users,
        CAST(max(a.users) AS BIGINT) AS most_users_within_window,
        coalesce(list_sort(list(DISTINCT n.user_id) FILTER (WHERE n.user_id IS NOT NULL)), []) AS user_ids,
        count(*) FILTER (WHERE n.failure_reason = 'invalid_mfa') AS second_factor_failures,
        coalesce(list_sort(list(DISTINCT n.country_code) FILTER (WHERE n.country_code IS NOT NULL)), []) AS countries,
        coalesce(list_sort(list(DISTINCT n.method) FILTER (WHERE n.method IS NOT NULL)), []) AS methods,
        coalesce(list_sort(list(DISTINCT n.user_agent) FILTER (WHERE n.user_agent IS NOT NULL)), []) AS user_agents,
        arg_min(n.id, (n.recorded_at, n.id)) AS first_event_id,
        list(n.id ORDER BY n.recorded_at, n.id) AS event_ids
    FROM numbered AS n
    LEFT JOIN at_once AS a ON a.organization_id = n.organization_id AND a.id = n.id AND a.leaves = 0
    GROUP BY n.organization_id, n.origin, n.burst
    HAVING max(a.users) >= $users AND max(n.recorded_at) >= $since - $window
),
fell AS (
    SELECT
        b.organization_id, b.origin, b.burst,
        arg_min(e.user_id, (e.recorded_at, e.user_id)) AS user_id,
        list_sort(list(DISTINCT e.user_id)) AS taken_over,
        max(e.recorded_at) AS last_login_at,
        list(e.id ORDER BY e.recorded_at, e.id) AS login_ids
    FROM bursts AS b
    JOIN entered AS e ON e.organization_id = b.organization_id AND e.origin = b.origin
        AND list_contains(b.user_ids, e.user_id)
        AND e.recorded_at >= b.first_at AND e.recorded_at <= b.last_at + $window
    GROUP BY b.organization_id, b.origin, b.burst
)
SELECT
    b.first_at, greatest(b.last_at, coalesce(fell.last_login_at, b.last_at)) AS last_at, fell.user_id, b.source_ip,
    CASE WHEN fell.user_id IS NULL THEN 'denied' ELSE 'success' END AS outcome,
    b.events, b.users, b.most_users_within_window, b.user_ids, coalesce(fell.taken_over, []) AS taken_over,
    b.second_factor_failures, b.countries, b.methods, b.user_agents, b.first_event_id,
    list_concat(b.event_ids, coalesce(fell.login_ids, [])) AS event_ids
FROM bursts AS b
LEFT JOIN fell ON fell.organization_id = b.organization_id AND fell.origin = b.origin AND fell.burst = b.burst
WHERE b.last_at >= $since OR fell.last_login_at >= $since
ORDER BY ALL
