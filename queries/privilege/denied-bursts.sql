/* ---
title = "Bursts of denied calls"
description = """
A principal that was refused (403) more than 20 times within five minutes, which is Scaleway's own threshold: somebody
tries what a key may do. One row for each burst; a burst ends when nothing was denied for the length of the window.
"""
question = 21
attack = ["T1526", "T1580", "T1069.003"]
severity = "high"
false_positives = ["Automation whose permissions were just taken away."]
blind_spots = ["Denied reads and lists are not logged: the burst may have been longer, or be missing altogether."]
[params.more_than]
type = "integer"
default = 20
description = "Denied calls within the window that are still accepted."
[params.window]
type = "duration"
default = "5m"
description = "The window that slides over the calls."
--- */
WITH denied AS (
    SELECT
        principal_id, recorded_at, id, method_name, product_name, source_ip, user_agent,
        lag(recorded_at) OVER (PARTITION BY principal_id ORDER BY recorded_at, id) AS previous_at
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND status_code = 403
),
numbered AS (
    SELECT
        *,
        sum(CASE WHEN previous_at IS NULL OR recorded_at - previous_at > $window THEN 1 ELSE 0 END)
            OVER (PARTITION BY principal_id ORDER BY recorded_at, id ROWS UNBOUNDED PRECEDING) AS burst,
        count(*) OVER (
            PARTITION BY principal_id ORDER BY recorded_at RANGE BETWEEN $window PRECEDING AND CURRENT ROW
        ) AS within_window
    FROM denied
)
SELECT
    principal_id,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at,
    count(*) AS denied, max(within_window) AS most_within_window,
    list_sort(list(DISTINCT method_name)) AS methods,
    list_sort(list(DISTINCT product_name)) AS products,
    list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)) AS user_agents
FROM numbered
GROUP BY principal_id, burst
HAVING max(within_window) > $more_than
ORDER BY first_at, principal_id NULLS LAST, burst
