/* ---
title = "API keys for others, by somebody who never made one"
description = """
API keys made, or asked for, whose bearer is somebody else, by a principal that had never made a key for such a bearer
(a user, or an application) in all that is held. known_since says how long that is. This is how a stolen key becomes
one that nobody misses. One row for each principal and kind of bearer, with all such keys of the first day. An old
application that makes a key for an application that it has just made itself, from where such programs always come, sets
up a service: left out, and told by persistence/backdoor-sequence where rights follow that amount to something. So are
old applications in the archive's first days (settled).
"""
question = 26
attack = ["T1098.001"]
severity = "high"
false_positives = [
    "The first time that a new administrator, or a new program that rotates keys, does its work; in an archive's first weeks, everybody's first time.",
]
blind_spots = [
    "Programs and people whose work it is to make keys for others: their keys are in persistence/keys-for-another.",
    "Whoever runs within automation that sets up services: persistence/keys-for-another and persistence/applications-armed have it.",
    "A call whose body is missing does not say for whom the key is.",
]

[params.history]
type = "duration"
default = "3650d"
description = "How far back earlier calls of the principal are looked for."

[params.fresh]
type = "duration"
default = "1d"
description = "Calls this short before do not make it usual: they may be part of the same attack."

[params.known_for]
type = "duration"
default = "7d"
description = "For how long a principal must have succeeded from a network, and with a program, for both to be its own."

[params.settled]
type = "duration"
default = "7d"
description = "For how long after the archive begins nothing is told of applications that were there before it, by the directory."

[columns]
first_at = "The first of the calls."
last_at = "The last of them."
principal_id = "Who called: a user or an application, never a key."
bearer_type = "user or application."
bearer_ids = "Who the keys are for."
access_keys = "The access keys, from the resources; none where the call was denied."
never_expire = "How many of the keys have no expiry."
outcome = "success where a key was made, else denied or failure."
events = "How many events there are in the row."
denied = "How many of them were denied."
known_since = "Since when the principal is known at all: how long the history is that it is compared with."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
first_id = "The first event of the row."
event_ids = "The events, oldest first."

[finding]
summary = "{principal} asked for {events} API keys for others ({bearer_type} {bearer_ids}) from {source_ips} ({outcome}), and had never made one since {known_since}."
key = ["principal_id", "bearer_type", "first_id"]

[[next]]
query = "containment/blast-tree"
why = "What came of it: what the bearers did, and made in their turn."
params = { principal = "principal_id" }

[[next]]
query = "persistence/keys-for-another"
why = "All such keys, one by one."

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
-- Applications for which a key is made by who made them, within the same day.
own_services AS (
    SELECT DISTINCT k.id, k.organization_id, k.recorded_at, k.principal_id, k.source_ip, k.user_agent
    FROM for_another AS k
    JOIN creations AS c ON c.organization_id = k.organization_id AND c.principal_id = k.principal_id
        AND c.made_id = k.application_id AND c.recorded_at <= k.recorded_at AND c.recorded_at >= k.recorded_at - $fresh
    JOIN principals AS p ON p.organization_id = k.organization_id AND p.id = k.principal_id
    WHERE c.recorded_at >= $since - $fresh - $fresh AND c.recorded_at < $until
        AND c.made_type = 'application' AND c.outcome = 'success'
        AND p.type = 'application'
),
-- Where a principal succeeded before, and with what.
origins AS (
    SELECT
        organization_id, subject_id, dimension,
        CASE dimension WHEN 'agent' THEN user_agent_family(value) ELSE value END AS value,
        min(first_success_at) AS first_success_at
    FROM first_seen
    WHERE subject_type IN ('principal', 'organization') AND dimension IN ('activity', 'network', 'agent')
    GROUP BY ALL
),
compared_with AS (
    SELECT
        c.id, c.organization_id, c.recorded_at, ip_network(c.source_ip) AS network,
        user_agent_family(c.user_agent) AS agent,
        CASE
            WHEN a.first_success_at <= c.recorded_at - $known_for THEN c.principal_id
            -- An old program that acts seldom has hardly a history: it counts where the Organization's always come from.
            WHEN p.type = 'application' AND p.created_at <= c.recorded_at - INTERVAL 30 DAY THEN c.organization_id
        END AS subject_id
    FROM own_services AS c
    LEFT JOIN origins AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id
        AND a.dimension = 'activity'
    LEFT JOIN principals AS p ON p.organization_id = c.organization_id AND p.id = c.principal_id
),
familiar AS (
    SELECT DISTINCT c.organization_id, c.id
    FROM compared_with AS c
    JOIN origins AS n ON n.organization_id = c.organization_id AND n.subject_id = c.subject_id
        AND n.dimension = 'network' AND n.value = c.network AND n.first_success_at <= c.recorded_at - $known_for
    JOIN origins AS g ON g.organization_id = c.organization_id AND g.subject_id = c.subject_id
        AND g.dimension = 'agent' AND g.value = c.agent AND g.first_success_at <= c.recorded_at - $known_for
),
unsettled AS (
    SELECT DISTINCT k.organization_id, k.id
    FROM for_another AS k
    JOIN principals AS p ON p.organization_id = k.organization_id AND p.id = k.principal_id
    JOIN origins AS o ON o.organization_id = k.organization_id AND o.subject_id = k.organization_id
    WHERE o.dimension = 'activity' AND p.type = 'application'
        AND p.created_at < o.first_success_at AND k.recorded_at < o.first_success_at + $settled
),
firsts AS (
    SELECT
        *,
        coalesce(sum(CASE WHEN outcome = 'success' THEN 1 ELSE 0 END) OVER (
            PARTITION BY organization_id, principal_id, bearer_type ORDER BY recorded_at
            RANGE BETWEEN $history PRECEDING AND $fresh PRECEDING
        ), 0) AS earlier
    FROM for_another
),
begun AS (
    SELECT
        *, begins_burst((organization_id, principal_id, bearer_type), recorded_at, id, $fresh) AS begins
    FROM firsts
    WHERE earlier = 0
        AND (organization_id, id) NOT IN (SELECT (f.organization_id, f.id) FROM familiar AS f)
        AND (organization_id, id) NOT IN (SELECT (u.organization_id, u.id) FROM unsettled AS u)
),
numbered AS (
    SELECT *, burst_number((organization_id, principal_id, bearer_type), recorded_at, id, begins) AS burst
    FROM begun
),
known AS (
    SELECT organization_id, subject_id, min(first_at) AS first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
    GROUP BY organization_id, subject_id
)
SELECT
    min(n.recorded_at) AS first_at, max(n.recorded_at) AS last_at, n.principal_id, n.bearer_type,
    list_sort(list(DISTINCT n.bearer_id)) AS bearer_ids,
    flatten(list(n.access_keys ORDER BY n.recorded_at, n.id)) AS access_keys,
    count(*) FILTER (WHERE n.expires_at IS NULL) AS never_expire,
    CASE WHEN bool_or(n.outcome = 'success') THEN 'success' WHEN bool_or(n.outcome = 'denied') THEN 'denied'
        ELSE 'failure' END AS outcome,
    count(*) AS events, count(*) FILTER (WHERE n.outcome = 'denied') AS denied, min(k.first_at) AS known_since,
    list_sort(list(DISTINCT n.source_ip) FILTER (WHERE n.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT n.user_agent) FILTER (WHERE n.user_agent IS NOT NULL)) AS user_agents,
    list(n.id ORDER BY n.recorded_at, n.id)[1] AS first_id,
    list(n.id ORDER BY n.recorded_at, n.id) AS event_ids
FROM numbered AS n
LEFT JOIN known AS k ON k.organization_id = n.organization_id AND k.subject_id = n.principal_id
GROUP BY n.organization_id, n.principal_id, n.bearer_type, n.burst
HAVING max(n.recorded_at) >= $since
ORDER BY first_at, n.organization_id, n.principal_id NULLS LAST, n.bearer_type, n.burst
