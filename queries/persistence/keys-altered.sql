/* ---
title = "API keys whose expiry or default Project was changed"
description = """
Calls that gave an API key another expiry, or none, or another default Project: a key that was to end lives on.
Changes of the description alone are left out. changed says what the body names; where the body is missing all is
possible.
"""
question = 27
attack = ["T1098.001"]
severity = "low"
false_positives = ["Keys that are prolonged because their replacement is late."]
blind_spots = [
    "What the expiry was before is not in the event: see the directory (api_keys) and the call that made the key.",
    "Whose a key is, is known only from the directory or from the call that made it.",
]

[params.history]
type = "duration"
default = "3650d"
description = "How far back the making of the key is looked for."

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
access_key = "The key; null where the event does not say it."
bearer_id = "Whose it is: by the directory, else by the call that made it; null where neither knows."
of_another = "Whether that is somebody else than the caller; null where it is not known."
changed = "What the call changed: expires_at, default_project_id; unknown where the body is missing."
expires_at = "The new expiry; null where the body sets it to none, or does not name it."
default_project_id = "The new default Project."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} changed {changed} of the API key {access_key} of {bearer_id} from {source_ip} ({outcome}); it now expires at {expires_at}."
key = ["id"]

[[next]]
query = "scope/resource-history"
why = "The key's life."
params = { resource = "access_key" }

[[next]]
query = "scope/principal-timeline"
why = "What its bearer did since."
params = { principal = "bearer_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH altered AS (
    SELECT
        recorded_at, organization_id, principal_id, status_code, source_ip, user_agent, id,
        coalesce(resource_of(resources, 'iam_api_key'), body_text(request_body, 'access_key')) AS access_key,
        -- An expiry that is taken away is a null: the field is named and has no text.
        CASE
            WHEN request_body IS NULL THEN ['unknown']
            ELSE list_filter([
                CASE WHEN regexp_matches(request_body, '"(expires_at|expiresAt)"\s*:') THEN 'expires_at' END,
                CASE WHEN regexp_matches(request_body, '"(default_project_id|defaultProjectId)"\s*:')
                    THEN 'default_project_id' END
            ], lambda f: f IS NOT NULL)
        END AS changed,
        body_text(request_body, 'expires_at') AS expires_at,
        body_text(request_body, 'default_project_id') AS default_project_id
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND method_name = 'UpdateAPIKey'
),
-- Whose the key is: by the directory, else by the call that made it.
listed AS (
    SELECT organization_id, id AS access_key, min(coalesce(user_id, application_id)) AS bearer_id
    FROM api_keys
    GROUP BY organization_id, id
),
made AS (
    SELECT organization_id, made_id AS access_key, min(bearer_id) AS bearer_id
    FROM creations
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND made_type = 'api_key' AND outcome = 'success' AND made_id IS NOT NULL
    GROUP BY organization_id, made_id
)
SELECT
    a.recorded_at, a.principal_id, a.access_key, coalesce(l.bearer_id, m.bearer_id) AS bearer_id,
    coalesce(l.bearer_id, m.bearer_id) <> a.principal_id AS of_another, a.changed, a.expires_at, a.default_project_id,
    outcome_of(a.status_code) AS outcome, a.status_code, a.source_ip, a.user_agent, a.id
FROM altered AS a
LEFT JOIN listed AS l ON l.organization_id = a.organization_id AND l.access_key = a.access_key
LEFT JOIN made AS m ON m.organization_id = a.organization_id AND m.access_key = a.access_key
WHERE len(a.changed) > 0
ORDER BY a.recorded_at, a.id
