/* ---
title = "Attempts to delete an API key that were denied"
description = """
Somebody tried to delete an API key and was not allowed to (401, 403): to lock its holder out, or to remove a trace.
"""
question = 25
attack = ["T1531"]
severity = "low"
alert = "ApiKeyDeletionUnauthorized"
false_positives = ["Somebody tidying up what is not theirs; automation that lacks the permission."]
blind_spots = [
    "Whose a key was is not in the event: without the directory, and without the call that made the key, it is not known.",
]

[params.history]
type = "duration"
default = "3650d"
description = "How far back the making of the key is looked for."

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
access_key = "The key; null where the event does not say it."
bearer_id = "Whose it was: by the directory, else by the call that made it; null where neither knows."
of_another = "Whether that is somebody else than the caller; null where it is not known."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} was denied the deletion of the API key {access_key} of {bearer_id}, from {source_ip}."
key = ["id"]

[[next]]
query = "discovery/denied-bursts"
why = "Whether more was tried at the time."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH deleted AS (
    SELECT
        recorded_at, organization_id, principal_id, status_code, source_ip, user_agent, id,
        coalesce(resource_of(resources, 'iam_api_key'), body_text(request_body, 'access_key')) AS access_key
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND method_name = 'DeleteAPIKey'
        AND is_denied(status_code)
),
-- Whose the key was: by the directory, else by the call that made it.
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
    d.recorded_at, d.principal_id, d.access_key, coalesce(l.bearer_id, m.bearer_id) AS bearer_id,
    coalesce(l.bearer_id, m.bearer_id) <> d.principal_id AS of_another,
    outcome_of(d.status_code) AS outcome, d.status_code, d.source_ip, d.user_agent, d.id
FROM deleted AS d
LEFT JOIN listed AS l ON l.organization_id = d.organization_id AND l.access_key = d.access_key
LEFT JOIN made AS m ON m.organization_id = d.organization_id AND m.access_key = d.access_key
ORDER BY d.recorded_at, d.id
