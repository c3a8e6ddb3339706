/* ---
title = "API keys created, by whom and for whom"
description = """
Every attempt to create an API key. A key for another principal, or without an expiry, deserves a second look; a
denied attempt says who would have liked one. What a key is used for later is told by its bearer: see
containment/blast-tree.
"""
question = 25
attack = ["T1098.001"]
severity = "info"
alert = "ApiKeyCreated"
false_positives = [
    "Rotation of keys by automation, which makes keys for applications as a rule; people's own keys for their work.",
]
blind_spots = [
    "What a key is then used for cannot be told from its bearer's other keys: events do not carry the key.",
]

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
bearer_id = "The user or application that the key is for; null where nothing says it."
for_application = "The application that the key is for."
for_user = "The user that the key is for."
for_another = "Whether that is somebody else than the caller; null where the body is missing."
expires_at = "When the key expires, as asked for."
never_expires = "Whether no expiry was asked for; null where the body is missing."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
access_keys = "The access keys, from the resources; none where the call was denied."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} asked for an API key for {bearer_id} from {source_ip} ({outcome}): {access_keys}."
key = ["id"]

[[next]]
query = "persistence/keys-for-another"
why = "Whether keys for others are usual for this principal."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }

[[next]]
query = "containment/blast-tree"
why = "What came of it: what the bearer did, and made in its turn."
params = { principal = "principal_id" }
--- */
WITH created AS (
    SELECT
        recorded_at, principal_id, status_code, source_ip, user_agent, id, resources, request_body,
        coalesce(
            body_text(request_body, 'application_id'), nullif(body_every(request_body, 'application_id')[1], '')
        ) AS for_application,
        coalesce(body_text(request_body, 'user_id'), nullif(body_every(request_body, 'user_id')[1], '')) AS for_user,
        body_text(request_body, 'expires_at') AS expires_at
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND method_name = 'CreateAPIKey'
)
SELECT
    recorded_at, principal_id, coalesce(for_application, for_user) AS bearer_id, for_application, for_user,
    CASE WHEN request_body IS NOT NULL
        THEN coalesce(for_application, for_user, principal_id) IS DISTINCT FROM principal_id END AS for_another,
    expires_at, CASE WHEN request_body IS NOT NULL THEN expires_at IS NULL END AS never_expires,
    outcome_of(status_code) AS outcome, status_code, resources_of(resources, 'iam_api_key') AS access_keys,
    source_ip, user_agent, id
FROM created
ORDER BY recorded_at, id
