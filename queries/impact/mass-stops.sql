/* ---
title = "Many services stopped in a short time"
description = """
A principal stopped or restarted, or tried to, many different servers, deployments, databases or nodes within the window:
more than its own bursts of the weeks before, so that a schedule that stops a test environment every evening is left out.
"""
question = 61
attack = ["T1489", "T1529"]
severity = "high"
false_positives = ["Maintenance that was announced; an environment that is put to sleep for the first time."]
blind_spots = [
    "What is stopped from inside, by a shutdown on the server or with the cluster's own API: no event.",
    "Stopping slowly: less than the minimum within any window; impact/services-stopped lists every stop.",
]

[params.minimum]
type = "integer"
default = 5
description = "Fewest stops within the window, and fewest different things."

[params.window]
type = "duration"
default = "10m"
description = "The window that slides over the calls; a burst ends when nothing came for its length."

[params.factor]
type = "number"
default = 2
description = "How many times the principal's own largest burst before it must be, where there is one."

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
things = "How many different things they were about."
most_within_window = "How many calls within the window at most."
usual = "The most of any burst of this principal in the time before; null where there was none."
succeeded = "Calls that succeeded."
denied = "Calls that were denied."
products = "The products."
methods = "The calls."
resource_names = "Names of what was stopped."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
first_id = "The burst's first event, which tells it from others."
event_ids = "All events of the burst, oldest first."

[finding]
summary = "{principal} stopped or tried to stop {things} services in {events} calls ({succeeded} succeeded, {denied} denied) in {products}, from {source_ips}."
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
query = "impact/services-stopped"
why = "Each of the calls."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, product_name, status_code, source_ip, user_agent,
        coalesce(resources[1].id, id) AS thing, resources[1].name AS thing_name
    FROM api_events
    WHERE recorded_at >= $since - $lookback - $history AND recorded_at < $until
        AND (
            verb(method_name) IN ('Stop', 'Pause', 'Terminate') AND method_name <> 'StopBMCAccess'
            OR method_name IN (
                'RebootServer', 'RebootNode', 'RestartInstance', 'ServerAction', 'UpdatePool', 'UpdateContainer',
                'UpdateFunction', 'UpdateDeployment'
            )
        ) IS TRUE
        AND (
            method_name <> 'ServerAction'
            OR body_text(request_body, 'action') IN ('poweroff', 'stop_in_place', 'terminate', 'reboot')
        )
        AND (
            method_name NOT IN ('UpdatePool', 'UpdateContainer', 'UpdateFunction', 'UpdateDeployment')
            OR coalesce(
                body_text(request_body, 'size'), body_text(request_body, 'max_scale'), body_text(request_body, 'max_size')
            ) = '0'
        )
),
marked AS (
    SELECT
        *,
        events_within((organization_id, principal_id), recorded_at, $window) AS within_window,
        begins_burst((organization_id, principal_id), recorded_at, id, $window) AS begins
    FROM calls
),
numbered AS (
    SELECT *, burst_number((organization_id, principal_id), recorded_at, id, begins) AS burst
    FROM marked
),
bursts AS (
    SELECT
        organization_id, principal_id, burst, min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        count(*) AS events, max(within_window) AS most_within_window, count(DISTINCT thing) AS things,
        count(*) FILTER (WHERE is_success(status_code)) AS succeeded,
        count(*) FILTER (WHERE is_denied(status_code)) AS denied,
        list_sort(list(DISTINCT product_name) FILTER (WHERE product_name IS NOT NULL)) AS products,
        list_sort(list(DISTINCT method_name) FILTER (WHERE method_name IS NOT NULL)) AS methods,
        list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips,
        list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)) AS user_agents,
        list(id ORDER BY recorded_at, id) AS event_ids,
        list_sort(list(DISTINCT thing_name) FILTER (WHERE thing_name IS NOT NULL)) AS resource_names
    FROM numbered
    GROUP BY organization_id, principal_id, burst
),
compared AS (
    SELECT
        *,
        max(most_within_window) OVER (
            PARTITION BY organization_id, principal_id
            ORDER BY first_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS usual
    FROM bursts
)
SELECT
    first_at, last_at, principal_id, events, things, most_within_window, usual, succeeded, denied, products, methods,
    resource_names, source_ips, user_agents, event_ids[1] AS first_id, event_ids
FROM compared
WHERE last_at >= $since
    AND most_within_window >= $minimum AND things >= $minimum
    AND most_within_window >= $factor * coalesce(usual, 0)
ORDER BY ALL
