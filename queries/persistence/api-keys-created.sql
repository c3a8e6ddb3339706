/* ---
title = "API keys created, by whom and for whom"
description = """
Every attempt to create an API key. A key for another principal, or without an expiry, deserves a second look; a
denied attempt says who would have liked one.
"""
question = 25
attack = ["T1098.001"]
severity = "medium"
false_positives = ["Rotation of keys by automation, which makes keys for applications as a rule."]
blind_spots = ["What a key is then used for cannot be told from its bearer's other keys: events do not carry the key."]
--- */
WITH created AS (
    SELECT
        *,
        coalesce(
            json_extract_string(request_body, '$.application_id'), json_extract_string(request_body, '$.applicationId')
        ) AS for_application,
        coalesce(
            json_extract_string(request_body, '$.user_id'), json_extract_string(request_body, '$.userId')
        ) AS for_user,
        coalesce(
            json_extract_string(request_body, '$.expires_at'), json_extract_string(request_body, '$.expiresAt')
        ) AS expires_at
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND method_name = 'CreateAPIKey'
)
SELECT
    recorded_at, principal_id, for_application, for_user,
    coalesce(for_application, for_user, principal_id) IS DISTINCT FROM principal_id AS for_another,
    expires_at, expires_at IS NULL AS never_expires,
    status_code, list_transform(resources, lambda r: r.id) AS access_keys, source_ip, user_agent, id
FROM created
ORDER BY recorded_at, id
