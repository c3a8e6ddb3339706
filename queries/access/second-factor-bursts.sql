/* ---
title = "Second factors that failed again and again"
description = """
A user whose logins failed at the second factor several times within a sliding window. Whoever gets that far knows the
password. From an address where the user has logged in before it is likelier a clock that runs wrong or a new phone;
from a new one, change the password at once. A row is one burst, which ends when no second factor failed for the
length of the window.
"""
question = 13
attack = ["T1110.001", "T1078.004"]
severity = "medium"
false_positives = ["A phone whose clock is off, or that was replaced: one address, which the user knows."]
blind_spots = [
    "An attacker with many passwords who tries one code for each user: see access/spraying.",
    "That the reason is spelled invalid_mfa is known of today's API; any reason that names mfa counts.",
]
[params.failures]
type = "integer"
default = 3
description = "Fewest failures within the window."
[params.window]
type = "duration"
default = "10m"
description = "The window that slides over the failures of a user."
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
last_at = "The last failure of the burst, or the login that followed, whichever is later."
user_id = "The user whose password is known to somebody; null where the events name none."
outcome = "success where a login from one of the addresses followed, else denied."
events = "How many failures."
most_within_window = "The most within one window."
source_ips = "The addresses."
new_address = "Whether the user had not logged in before from one of them."
countries = "The countries that Scaleway saw them in."
user_agents = "The user agents."
logged_in_at = "The user's first successful login from one of these addresses, within the burst or the window after it."
first_event_id = "The id of the first failure."
event_ids = "The ids of the failures in their order, then of the login that followed."
[finding]
summary = "The second factor of {principal} failed {events} times between {first_at} and {last_at} from {source_ips} (new to the user: {new_address}); logged in: {logged_in_at}."
key = ["user_id", "first_event_id"]
[[next]]
query = "access/failed-then-success"
why = "Whether a login succeeded afterwards."
[[next]]
query = "scope/principal-timeline"
why = "What was done with the account."
params = { principal = "user_id" }
[[next]]
query = "scope/principal-origins"
why = "Which addresses are the user's."
params = { principal = "user_id" }
--- */
WITH entered AS (
    SELECT id, organization_id, user_id, source_ip, recorded_at
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
    SELECT id, recorded_at, organization_id, user_id, source_ip, user_agent, country_code
    FROM logins
    WHERE recorded_at >= $since - $lookback AND recorded_at < $until
        AND result <> 'success'
        AND contains(lower(failure_reason), 'mfa')
),
spaced AS (
    SELECT
        f.id, f.recorded_at, f.organization_id, f.user_id, f.source_ip, f.user_agent, f.country_code,
        known.first_login_at IS NULL OR known.first_login_at > f.recorded_at AS new_address,
        begins_burst((f.organization_id, f.user_id), f.recorded_at, f.id, $window) AS begins,
        events_within((f.organization_id, f.user_id), f.recorded_at, $window) AS within_window
    FROM failed AS f
    LEFT JOIN known ON known.organization_id = f.organization_id AND known.user_id = f.user_id
        AND known.source_ip = f.source_ip
),
numbered AS (
    SELECT *, burst_number((organization_id, user_id), recorded_at, id, begins) AS burst FROM spaced
),
bursts AS (
    SELECT
        organization_id, user_id, burst,
        min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        count(*) AS events, max(within_window) AS most_within_window,
        coalesce(list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)), []) AS source_ips,
        bool_or(new_address) AS new_address,
        coalesce(list_sort(list(DISTINCT country_code) FILTER (WHERE country_code IS NOT NULL)), []) AS countries,
        coalesce(list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)), []) AS user_agents,
        arg_min(id, (recorded_at, id)) AS first_event_id,
        list(id ORDER BY recorded_at, id) AS event_ids
    FROM numbered
    GROUP BY organization_id, user_id, burst
    HAVING max(within_window) >= $failures AND max(recorded_at) >= $since - $window
),
followed AS (
    SELECT
        b.organization_id, b.user_id, b.burst, min(e.recorded_at) AS logged_in_at,
        arg_min(e.id, (e.recorded_at, e.id)) AS login_id
    FROM bursts AS b
    JOIN entered AS e ON e.organization_id = b.organization_id AND e.user_id = b.user_id
        AND list_contains(b.source_ips, e.source_ip)
        AND e.recorded_at >= b.first_at AND e.recorded_at <= b.last_at + $window
    GROUP BY b.organization_id, b.user_id, b.burst
)
SELECT
    b.first_at, greatest(b.last_at, coalesce(f.logged_in_at, b.last_at)) AS last_at, b.user_id,
    CASE WHEN f.login_id IS NULL THEN 'denied' ELSE 'success' END AS outcome,
    b.events, b.most_within_window, b.source_ips, b.new_address, b.countries, b.user_agents, f.logged_in_at,
    b.first_event_id,
    list_concat(b.event_ids, CASE WHEN f.login_id IS NULL THEN [] ELSE [f.login_id] END) AS event_ids
FROM bursts AS b
LEFT JOIN followed AS f ON f.organization_id = b.organization_id AND f.user_id = b.user_id AND f.burst = b.burst
WHERE b.last_at >= $since OR f.logged_in_at >= $since
ORDER BY ALL
