/* ---
title = "A new application with a key and a policy within minutes"
description = """
One principal creates an application, an API key for it and a policy, all within the window: a new identity of one's
own, ready to use. Only calls that succeeded count.
"""
question = 29
attack = ["T1136.003", "T1098.001", "T1098.003"]
severity = "high"
false_positives = ["Terraform and the like set up applications in just this way: compare with who usually does."]
blind_spots = ["A key or a policy for an application that existed before; steps further apart than the window."]
[params.window]
type = "duration"
default = "15m"
description = "From the application to the last of the other steps."
--- */
WITH calls AS (
    SELECT
        id, recorded_at, principal_id, method_name, source_ip, user_agent, resources,
        coalesce(
            json_extract_string(request_body, '$.application_id'), json_extract_string(request_body, '$.applicationId')
        ) AS application_id
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until + $window
        AND method_name IN ('CreateApplication', 'CreateAPIKey', 'CreatePolicy', 'ClonePolicy', 'SetRules')
        AND is_success(status_code)
),
applications AS (
    SELECT
        id, recorded_at, principal_id, source_ip, user_agent,
        list_filter(resources, lambda r: r.type = 'iam_application')[1].id AS application_id,
        list_filter(resources, lambda r: r.type = 'iam_application')[1].name AS application_name
    FROM calls
    WHERE method_name = 'CreateApplication' AND recorded_at < $until
),
steps AS (
    SELECT a.id AS application_event, c.id, c.recorded_at, c.method_name
    FROM applications AS a
    JOIN calls AS c ON c.principal_id = a.principal_id
        AND c.recorded_at >= a.recorded_at AND c.recorded_at <= a.recorded_at + $window
        AND c.method_name <> 'CreateApplication'
        -- A call that names another application belongs to that one.
        AND (c.application_id IS NULL OR a.application_id IS NULL OR c.application_id = a.application_id)
)
SELECT
    a.recorded_at, a.principal_id, a.application_id, a.application_name,
    count(*) FILTER (WHERE s.method_name = 'CreateAPIKey') AS keys,
    count(*) FILTER (WHERE s.method_name <> 'CreateAPIKey') AS policies,
    max(s.recorded_at) AS last_step_at,
    a.source_ip, a.user_agent, a.id,
    list(s.id ORDER BY s.recorded_at, s.id) AS step_ids
FROM applications AS a
JOIN steps AS s ON s.application_event = a.id
GROUP BY a.recorded_at, a.principal_id, a.application_id, a.application_name, a.source_ip, a.user_agent, a.id
HAVING count(*) FILTER (WHERE s.method_name = 'CreateAPIKey') > 0
    AND count(*) FILTER (WHERE s.method_name <> 'CreateAPIKey') > 0
ORDER BY a.recorded_at, a.id
