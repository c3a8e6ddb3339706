/* ---
title = "Many secrets touched in a short time"
description = """
A principal touched many different secrets within the window: more than its own bursts of the weeks before, so that a
rotation that does so every night is left out. Reading a secret leaves no event, so this is what can be seen of
somebody who goes through them: versions made, enabled, disabled or deleted, secrets changed, and whatever was denied.
"""
question = 53
answer = "partly"
attack = ["T1555.006"]
severity = "medium"
false_positives = [
    "The first run of a rotation, or one of more secrets than before.",
    "An environment that is set up or taken down with all its secrets.",
]
blind_spots = [
    "Values that are read, and lists of secrets: not logged. An attacker who only reads leaves nothing here.",
    "Whoever goes through fewer secrets than the principal's own rotation does.",
    "Secrets that are not in Secret Manager: in environment variables, user data, containers.",
]

[params.minimum]
type = "integer"
default = 10
description = "Fewest different secrets within the window."

[params.window]
type = "duration"
default = "10m"
description = "The window that slides over the calls."

[params.factor]
type = "number"
default = 2
description = "How many times the principal's own largest number before it must be, where there is one."

[params.history]
type = "duration"
default = "30d"
description = "How far back a principal's own bursts are looked at."

[columns]
principal_id = "Who touched them; NULL where the events do not say."
first_at = "The burst's first call."
last_at = "The burst's last call."
events = "How many calls."
secrets = "How many different secrets in the whole burst."
most_within_window = "How many different secrets within the window at most."
usual = "The same of the principal in the time before; NULL where it did nothing of the kind."
succeeded = "Calls that succeeded."
denied = "Calls that were denied."
methods = "The calls."
resource_names = "Names of the secrets."
source_ips = "Where the calls came from."
user_agents = "What the caller said it was."
outcome = "success where a call succeeded, denied where all others were, else failure."
first_id = "The burst's first event."
event_ids = "All events of the burst, in their order."

[finding]
summary = "{principal} touched {secrets} secrets in {events} calls ({methods}), at most {most_within_window} within the window where {usual} is usual, from {source_ips}."
key = ["principal_id", "first_id"]

[[next]]
query = "scope/principal-origins"
why = "Where the principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-timeline"
why = "What the principal did besides."
params = { principal = "principal_id" }

[[next]]
query = "exfiltration/secret-owners"
why = "Whether a product was made an owner of a secret."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, status_code, source_ip, user_agent,
        coalesce(
            resource_of(resources, 'secret_manager_secret'), body_text(request_body, 'secret_id'), resources[1].id
        ) AS secret_id,
        coalesce(
            list_filter(resources, lambda r: r.type = 'secret_manager_secret')[1].name, resources[1].name
        ) AS secret_name
    FROM api_events
    WHERE recorded_at >= $since - INTERVAL 1 DAY - $history AND recorded_at < $until
        AND regexp_matches(method_name, 'Secret(Version|s|Owner|VersionByPath)?$')
),
-- How many different secrets a window holds is a sum: each call counts from its moment on, until the next call of the
-- same secret takes over or the window has passed.
lasting AS (
    SELECT
        organization_id, principal_id, id, recorded_at,
        lead(recorded_at) OVER (
            PARTITION BY organization_id, principal_id, secret_id ORDER BY recorded_at, id
        ) AS next_at
    FROM calls
    WHERE secret_id IS NOT NULL
),
changes AS (
    SELECT organization_id, principal_id, id, recorded_at AS moment, false AS after_it, 1 AS change
    FROM lasting
    UNION ALL
    SELECT
        organization_id, principal_id, NULL, least(next_at, recorded_at + $window),
        coalesce(next_at > recorded_at + $window, true), -1
    FROM lasting
),
held AS (
    SELECT
        organization_id, id,
        sum(change) OVER (PARTITION BY organization_id, principal_id ORDER BY moment, after_it) AS within_window
    FROM changes
),
counted AS (
    SELECT
        c.organization_id, c.id, c.recorded_at, c.principal_id, c.method_name, c.status_code, c.source_ip,
        c.user_agent, c.secret_id, c.secret_name, coalesce(h.within_window, 0) AS within_window,
        begins_burst((c.organization_id, c.principal_id), c.recorded_at, c.id, $window) AS begins
    FROM calls AS c
    LEFT JOIN held AS h ON h.organization_id = c.organization_id AND h.id = c.id
),
numbered AS (
    SELECT *, burst_number((organization_id, principal_id), recorded_at, id, begins) AS burst
    FROM counted
),
bursts AS (
    SELECT
        organization_id, principal_id, burst, min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        CAST(max(within_window) AS BIGINT) AS most_within_window
    FROM numbered
    GROUP BY organization_id, principal_id, burst
),
compared AS (
    SELECT
        *,
        max(most_within_window) OVER (
            PARTITION BY organization_id, principal_id
            ORDER BY first_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
        ) AS usual
    FROM bursts
),
unusual AS (
    SELECT * FROM compared
    WHERE last_at >= $since
        AND most_within_window >= $minimum AND most_within_window >= $factor * coalesce(usual, 0)
)
SELECT
    u.principal_id, u.first_at, u.last_at, count(*) AS events, count(DISTINCT n.secret_id) AS secrets,
    u.most_within_window, u.usual,
    count(*) FILTER (WHERE is_success(n.status_code)) AS succeeded,
    count(*) FILTER (WHERE is_denied(n.status_code)) AS denied,
    list_sort(list(DISTINCT n.method_name)) AS methods,
    list_sort(list(DISTINCT n.secret_name) FILTER (WHERE n.secret_name IS NOT NULL)) AS resource_names,
    list_sort(list(DISTINCT n.source_ip) FILTER (WHERE n.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT n.user_agent) FILTER (WHERE n.user_agent IS NOT NULL)) AS user_agents,
    CASE
        WHEN bool_or(is_success(n.status_code)) THEN 'success'
        WHEN bool_and(is_denied(n.status_code)) THEN 'denied'
        ELSE 'failure'
    END AS outcome,
    arg_min(n.id, (n.recorded_at, n.id)) AS first_id,
    list(n.id ORDER BY n.recorded_at, n.id) AS event_ids
FROM unusual AS u
JOIN numbered AS n ON n.organization_id = u.organization_id AND n.burst = u.burst
    AND n.principal_id IS NOT DISTINCT FROM u.principal_id
GROUP BY u.organization_id, u.principal_id, u.burst, u.first_at, u.last_at, u.most_within_window, u.usual
ORDER BY ALL
