/* ---
title = "API keys made for another principal"
description = """
Every attempt to make an API key whose bearer is somebody else than the caller, with how often the caller did so
before. A program that rotates keys has many earlier ones for each bearer; a bearer that is new to it is the
exception.
"""
question = 26
attack = ["T1098.001"]
severity = "low"
false_positives = ["Rotation by automation, and administrators who set up applications."]
blind_spots = [
    "A call whose body is missing does not say for whom the key is: see persistence/api-keys-created.",
    "A key for an application that the caller controls is as good as one of its own.",
]

[params.history]
type = "duration"
default = "3650d"
description = "How far back earlier calls of the principal are looked for."

[params.fresh]
type = "duration"
default = "1d"
description = "Calls this short before do not make it usual: they may be part of the same attack."

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
bearer_id = "Who the key is for."
bearer_type = "user or application."
access_keys = "The access keys, from the resources; none where the call was denied."
expires_at = "When the key expires, as asked for; null for never."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
earlier = "How many keys it had made for others of this type before (fresh)."
earlier_for_bearer = "How many of them were for this very bearer."
known_since = "Since when the principal is known at all: how long the history is that it is compared with."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} asked for an API key for the {bearer_type} {bearer_id} from {source_ip} ({outcome}); it had made {earlier} such keys before, {earlier_for_bearer} for this one."
key = ["id"]

[[next]]
query = "containment/blast-tree"
why = "What came of it: what the bearer did, and made in its turn."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-timeline"
why = "What the bearer did since."
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
WITH keys AS (
    SELECT
        id, recorded_at, organization_id, principal_id, source_ip, user_agent,
        outcome_of(status_code) AS outcome, status_code,
        coalesce(
            body_text(request_body, 'application_id'), nullif(body_every(request_body, 'application_id')[1], ''),
            resource_of(resources, 'iam_application')
        ) AS application_id,
        coalesce(
            body_text(request_body, 'user_id'), nullif(body_every(request_body, 'user_id')[1], ''),
            login_user(resources)
        ) AS user_id,
        body_text(request_body, 'expires_at') AS expires_at,
        resources_of(resources, 'iam_api_key') AS access_keys
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND method_name = 'CreateAPIKey'
),
for_another AS (
    SELECT
        *,
        coalesce(application_id, user_id) AS bearer_id,
        CASE WHEN application_id IS NOT NULL THEN 'application' ELSE 'user' END AS bearer_type
    FROM keys
    WHERE coalesce(application_id, user_id) IS DISTINCT FROM principal_id
        AND coalesce(application_id, user_id) IS NOT NULL
),
counted AS (
    SELECT
        *,
        coalesce(sum(CASE WHEN outcome = 'success' THEN 1 ELSE 0 END) OVER (
            PARTITION BY organization_id, principal_id, bearer_type ORDER BY recorded_at
            RANGE BETWEEN $history PRECEDING AND $fresh PRECEDING
        ), 0) AS earlier,
        coalesce(sum(CASE WHEN outcome = 'success' THEN 1 ELSE 0 END) OVER (
            PARTITION BY organization_id, principal_id, bearer_id ORDER BY recorded_at
            RANGE BETWEEN $history PRECEDING AND $fresh PRECEDING
        ), 0) AS earlier_for_bearer
    FROM for_another
),
known AS (
    SELECT organization_id, subject_id, min(first_at) AS first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
    GROUP BY organization_id, subject_id
)
SELECT
    c.recorded_at, c.principal_id, c.bearer_id, c.bearer_type, c.access_keys, c.expires_at, c.outcome, c.status_code,
    c.earlier, c.earlier_for_bearer, k.first_at AS known_since, c.source_ip, c.user_agent, c.id
FROM counted AS c
LEFT JOIN known AS k ON k.organization_id = c.organization_id AND k.subject_id = c.principal_id
WHERE c.recorded_at >= $since
ORDER BY c.recorded_at, c.id
