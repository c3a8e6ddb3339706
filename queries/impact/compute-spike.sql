/* ---
title = "Much compute created in a short time"
description = """
A principal that created many servers, pools, clusters or model deployments within the window, as mining and abuse of
models do; with the zones and types asked for. Denied attempts count: a quota may have stopped them.
"""
question = 60
attack = ["T1496.001", "T1496.004", "T1578.002"]
severity = "high"
false_positives = ["Load tests, and autoscaling by automation of your own."]
blind_spots = [
    "One pool or one batch can hold many machines: `calls` counts calls.",
    "Pools that grow (UpdatePool) are left out: autoscaling does nothing else all day.",
]
[params.minimum]
type = "integer"
default = 10
description = "Fewest calls within the window."
[params.window]
type = "duration"
default = "1h"
description = "The window that slides over the calls."
--- */
WITH creations AS (
    SELECT
        principal_id, recorded_at, id, method_name, product_name, source_ip, user_agent, status_code, locality,
        coalesce(
            json_extract_string(request_body, '$.commercial_type'), json_extract_string(request_body, '$.commercialType'),
            json_extract_string(request_body, '$.node_type'), json_extract_string(request_body, '$.nodeType'),
            json_extract_string(request_body, '$.type')
        ) AS machine_type,
        lag(recorded_at) OVER (PARTITION BY principal_id ORDER BY recorded_at, id) AS previous_at
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND method_name IN (
            'CreateServer', 'BatchCreateServers', 'CreatePool', 'CreateCluster', 'CreateDeployment'
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
    FROM creations
)
SELECT
    principal_id,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at,
    count(*) AS calls, max(within_window) AS most_within_window,
    count(*) FILTER (WHERE is_success(status_code)) AS succeeded,
    count(*) FILTER (WHERE status_code IN (401, 403)) AS denied,
    list_sort(list(DISTINCT locality) FILTER (WHERE locality IS NOT NULL)) AS localities,
    list_sort(list(DISTINCT machine_type) FILTER (WHERE machine_type IS NOT NULL)) AS machine_types,
    list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips
FROM numbered
GROUP BY principal_id, burst
HAVING max(within_window) >= $minimum
ORDER BY first_at, principal_id NULLS LAST, burst
