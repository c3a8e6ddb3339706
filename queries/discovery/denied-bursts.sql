/* ---
title = "Bursts of denied calls"
description = """
A principal that was refused (403) more than 20 times within five minutes, which is Scaleway's own threshold: somebody
tries what a key may do. One row for each burst; a burst ends when nothing was denied for the length of the window.
Many methods are probing, one method over and over is a program that lacks a permission. Calls that nobody is named
for are a burst of their own.
"""
question = 21
answer = "partly"
attack = ["T1526", "T1580", "T1069.003"]
severity = "high"
alert = "HttpForbiddenErrorRateHigh"
false_positives = [
    "Automation whose permissions were just taken away, or never given: one method, one user agent, the address it always has.",
]
blind_spots = [
    "Denied reads and lists are not logged: the burst may have been longer, or be missing altogether.",
    "A burst that goes on for longer than lookback is told again as a new one.",
]

[params.more_than]
type = "integer"
default = 20
description = "Denied calls within the window that are still accepted."

[params.window]
type = "duration"
default = "5m"
description = "The window that slides over the calls."

[params.lookback]
type = "duration"
default = "1d"
description = "How far before the span the beginning of a burst is looked for."

[columns]
principal_id = "Who called: a user or an application, never a key."
first_at = "The first denied call of the burst."
last_at = "The last one."
events = "Denied calls in the burst."
most_within_window = "The most of them within the window."
methods = "The methods that were tried."
products = "Their products."
localities = "The regions and zones."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
first_id = "The first event of the burst."
event_ids = "The events, oldest first."

[finding]
summary = "{principal} was denied {events} times, {most_within_window} of them within the window, with the methods {methods} from {source_ips}."
key = ["principal_id", "first_id"]

[[next]]
query = "discovery/denied-then-allowed"
why = "Whether something that was denied worked later."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it was the principal itself: where it acts from otherwise."
params = { principal = "principal_id" }
--- */
WITH denied AS (
    SELECT
        organization_id, principal_id, recorded_at, id, method_name, product_name, locality, source_ip, user_agent,
        events_within((organization_id, principal_id), recorded_at, $window) AS within_window,
        begins_burst((organization_id, principal_id), recorded_at, id, $window) AS begins
    FROM api_events
    WHERE recorded_at >= $since - $lookback AND recorded_at < $until
        AND status_code = 403
),
numbered AS (
    SELECT *, burst_number((organization_id, principal_id), recorded_at, id, begins) AS burst
    FROM denied
)
SELECT
    principal_id,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at,
    count(*) AS events, max(within_window) AS most_within_window,
    list_sort(list(DISTINCT method_name)) AS methods,
    list_sort(list(DISTINCT product_name)) AS products,
    list_sort(list(DISTINCT locality) FILTER (WHERE locality IS NOT NULL)) AS localities,
    list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)) AS user_agents,
    list(id ORDER BY recorded_at, id)[1] AS first_id,
    list(id ORDER BY recorded_at, id) AS event_ids
FROM numbered
GROUP BY organization_id, principal_id, burst
HAVING max(within_window) > $more_than AND max(recorded_at) >= $since
ORDER BY first_at, organization_id, principal_id NULLS LAST, burst
