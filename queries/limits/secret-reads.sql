/* ---
title = "Who read the values of secrets: not logged"
description = """
Audit Trail does not log that a secret's value is read. So the first rows say why there is no answer and what to assume,
one says whether the product lists that are held have come to name such a call, and the rest show what is held instead:
who else worked on secrets, was denied there, or was given rights to them in this time.
"""
question = 54
answer = "no"
attack = ["T1555.006"]
blind_spots = [
    "Everything about who read a secret: take each secret that a compromised principal had the right to read for read.",
    "Rights that were given before the span: see the directory, with privilege/policies-broader-than.",
]

[columns]
part = "1 why there is no answer, 2 whether that has changed by the product lists that are held, 3 what is held instead."
what = "The reason, or what the calls of this row have to do with the question."
principal_id = "Who made the calls; null in the other rows, and where the events do not say."
principal_name = "Its name, where one is known."
first_at = "The first of the calls; of the product lists since when they name the method."
last_at = "The last of the calls; of the product lists when they first no longer named it."
events = "How many calls; null in the other rows."
succeeded = "How many of them succeeded."
denied = "How many were denied."
methods = "The calls; of the product lists the methods."
resource_names = "What they were about, at most a hundred names."
source_ips = "Where they came from."
user_agents = "What the caller said it was."

[[next]]
query = "exfiltration/secrets-burst"
why = "Whether somebody went through many secrets with calls that are logged."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "limits/not-loggable"
why = "What else could not be logged in this time."
--- */
WITH reasons AS (
    SELECT CAST(number AS INTEGER) AS number, what
    FROM (VALUES
        (1, 'Audit Trail is not documented to log AccessSecretVersion and AccessSecretVersionByPath: an empty answer would say nothing.'),
        (2, 'Take every secret for read that a compromised principal could read: renew them, and look where each is used.'),
        (3, 'A secret that was used elsewhere leaves traces there: logins with it, calls with keys that were stored in it.'),
        (4, 'Applications and products that own secrets read them, too: ask for the calls that made them owners.')
    ) AS v(number, what)
),
listed AS (
    SELECT
        count(*) AS rows_held,
        list_sort(list(DISTINCT method_name) FILTER (WHERE method_name IN ('AccessSecretVersion', 'AccessSecretVersionByPath'))) AS methods,
        min(listed_from) FILTER (WHERE method_name IN ('AccessSecretVersion', 'AccessSecretVersionByPath')) AS listed_from,
        CASE WHEN count(*) FILTER (WHERE method_name IN ('AccessSecretVersion', 'AccessSecretVersionByPath') AND listed_to IS NULL) = 0
            THEN max(listed_to) FILTER (WHERE method_name IN ('AccessSecretVersion', 'AccessSecretVersionByPath')) END AS listed_to
    FROM loggable_methods
),
calls AS (
    SELECT
        principal_id, recorded_at, id, method_name, status_code, source_ip, user_agent,
        CASE
            WHEN regexp_matches(method_name, '^AccessSecret') THEN 'secrets read: the trail logs it after all'
            WHEN method_name IN ('CreatePolicy', 'UpdatePolicy', 'SetRules') THEN 'gave rights to secrets'
            ELSE 'worked on secrets'
        END AS what,
        unnest(CASE WHEN len(resource_names(resources)) = 0 THEN [NULL] ELSE resource_names(resources) END) AS resource_name
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (
            regexp_matches(method_name, 'Secret(s|Version|Versions|Owner|VersionByPath)?$')
            OR method_name IN ('CreatePolicy', 'UpdatePolicy', 'SetRules')
        ) IS TRUE
        AND (
            method_name NOT IN ('CreatePolicy', 'UpdatePolicy', 'SetRules')
            OR len(list_filter(
                body_every(request_body, 'permission_set_names'),
                lambda x: starts_with(x, 'SecretManager') OR x IN ('AllProductsFullAccess', 'OrganizationManager')
            )) > 0
        )
),
names AS (
    SELECT id, min(name) AS name
    FROM principals
    GROUP BY id
)
SELECT
    1 AS part, concat(number, '. ', what) AS what, CAST(NULL AS VARCHAR) AS principal_id,
    CAST(NULL AS VARCHAR) AS principal_name, CAST(NULL AS TIMESTAMP) AS first_at, CAST(NULL AS TIMESTAMP) AS last_at,
    CAST(NULL AS BIGINT) AS events, CAST(NULL AS BIGINT) AS succeeded, CAST(NULL AS BIGINT) AS denied,
    CAST([] AS VARCHAR[]) AS methods, CAST([] AS VARCHAR[]) AS resource_names, CAST([] AS VARCHAR[]) AS source_ips,
    CAST([] AS VARCHAR[]) AS user_agents
FROM reasons
UNION ALL
SELECT
    2,
    CASE
        WHEN rows_held = 0 THEN 'no product list is held: run trailkeep products, so that it is known what could be logged'
        WHEN listed_from IS NULL THEN 'the product lists that are held name no such method: it leaves no event'
        WHEN listed_to IS NOT NULL THEN 'the product lists named such methods until last_at: look at these events'
        ELSE 'the product lists name such methods now: ask for their events, from first_at on'
    END,
    NULL, NULL, listed_from, listed_to, NULL, NULL, NULL, coalesce(methods, []), [], [], []
FROM listed
UNION ALL
SELECT
    3, c.what, c.principal_id, n.name, min(c.recorded_at), max(c.recorded_at), count(DISTINCT c.id),
    count(DISTINCT c.id) FILTER (WHERE is_success(c.status_code)),
    count(DISTINCT c.id) FILTER (WHERE is_denied(c.status_code)),
    list_sort(list(DISTINCT c.method_name)),
    coalesce(list_sort(list(DISTINCT c.resource_name) FILTER (WHERE c.resource_name IS NOT NULL))[1:100], []),
    coalesce(list_sort(list(DISTINCT c.source_ip) FILTER (WHERE c.source_ip IS NOT NULL)), []),
    coalesce(list_sort(list(DISTINCT c.user_agent) FILTER (WHERE c.user_agent IS NOT NULL)), [])
FROM calls AS c
LEFT JOIN names AS n ON n.id = c.principal_id
GROUP BY c.what, c.principal_id, n.name
ORDER BY ALL
