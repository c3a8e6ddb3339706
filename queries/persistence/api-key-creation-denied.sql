/* ---
title = "Attempts to create an API key that were denied"
description = """
Somebody asked for an API key and was not allowed to (401, 403). With a stolen key this is one of the first things
that are tried; for whom it was to be says what was wanted. Where it came from a new place with a new program,
persistence/from-new-origin tells of it, too.
"""
question = 25
attack = ["T1098.001"]
severity = "low"
alert = "ApiKeyCreationUnauthorized"
false_positives = [
    "Somebody who did not know that it is not theirs to do: a browser, once, and a question to a colleague.",
]
blind_spots = [
    "What a principal may not do and does not try: keys that could be made leave no trace until they are.",
    "Which of the caller's keys was used: events do not carry it.",
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
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} was denied an API key for {bearer_id}, from {source_ip} with {user_agent}."
key = ["id"]

[[next]]
query = "discovery/denied-bursts"
why = "Whether more was tried at the time."

[[next]]
query = "discovery/denied-then-allowed"
why = "Whether it worked later."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
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
        AND is_denied(status_code)
)
SELECT
    recorded_at, principal_id, coalesce(for_application, for_user) AS bearer_id, for_application, for_user,
    CASE WHEN request_body IS NOT NULL
        THEN coalesce(for_application, for_user, principal_id) IS DISTINCT FROM principal_id END AS for_another,
    expires_at, CASE WHEN request_body IS NOT NULL THEN expires_at IS NULL END AS never_expires,
    outcome_of(status_code) AS outcome, status_code,
    source_ip, user_agent, id
FROM created
ORDER BY recorded_at, id
