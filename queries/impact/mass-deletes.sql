/* ---
title = "Many deletions in a short time"
description = """
A principal that deleted, or tried to delete, many things within the window, across products. Terminating a server
counts as deleting it. One row for each burst; a burst ends when nothing was deleted for the length of the window.
"""
question = 57
attack = ["T1485", "T1490"]
severity = "high"
false_positives = ["Terraform destroying a test environment; a clean-up that was announced."]
blind_spots = ["Objects deleted from buckets are not logged."]
[params.minimum]
type = "integer"
default = 10
description = "Fewest deletions within the window."
[params.window]
type = "duration"
default = "10m"
description = "The window that slides over the calls."
--- */
WITH deletions AS (
    SELECT
        principal_id, recorded_at, id, method_name, product_name, source_ip, user_agent, status_code,
        lag(recorded_at) OVER (PARTITION BY principal_id ORDER BY recorded_at, id) AS previous_at
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (
            verb(method_name) = 'Delete'
            OR (method_name = 'ServerAction' AND json_extract_string(request_body, '$.action') = 'terminate')
        )
),
numbered AS (
    SELECT
        *,
        sum(CASE WHEN previous_at IS NULL OR recorded_at - previous_at > $window THEN 1 ELSE 0 END)
            OVER (PARTITION BY principal_id ORDER BY recorded_at, id ROWS UNBOUNDED PRECEDING) AS burst,
        count(*) OVER (
            PARTITION BY principal_id ORDER BY recorded_at RANGE BETWEEN $window PRECEDING AND CURRENT ROW
        ) AS within_window
    FROM deletions
)
SELECT
    principal_id,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at,
    count(*) AS deletions, max(within_window) AS most_within_window,
    count(*) FILTER (WHERE is_success(status_code)) AS succeeded,
    count(*) FILTER (WHERE status_code IN (401, 403)) AS denied,
    list_sort(list(DISTINCT product_name)) AS products,
    list_sort(list(DISTINCT method_name)) AS methods,
    list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips
FROM numbered
GROUP BY principal_id, burst
HAVING max(within_window) >= $minimum
ORDER BY first_at, principal_id NULLS LAST, burst
