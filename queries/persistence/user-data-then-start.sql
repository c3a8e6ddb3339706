/* ---
title = "User data set, then the server started"
description = """
A server's user data (cloud-init) was set and the server was started or rebooted afterwards, in this order: what the
user data says is then run as root. This is also how every new server begins: compare server_created_at.
"""
question = 36
attack = ["T1059", "T1578.005"]
severity = "info"
false_positives = ["Every new server that has user data: Terraform, autoscaling, the console."]
blind_spots = [
    "What is in the user data is not in the event.",
    "A start by itself, such as by an autoscaler or after a maintenance, may leave no call.",
    "Servers whose id is in neither the resources nor the body.",
    "User data or a start that was denied: see discovery/denied-then-allowed and scope/principal-timeline.",
]

[params.window]
type = "duration"
default = "1d"
description = "How long after the user data a start counts."

[columns]
first_at = "When the user data was first set."
last_at = "When the server was started."
principal_id = "Who set the user data last."
started_by = "Who started the server."
server_id = "The server."
server_name = "Its name."
server_created_at = "When it was made, by the event or by the call that made it; null where neither is known."
locality = "The region or zone."
project_id = "The Project."
set_calls = "How often user data was set."
events = "How many events there are in the row."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
id = "The start."
event_ids = "The calls that set user data, oldest first, and the start."

[finding]
summary = "{principal} set the user data of {server_name} ({server_id}), made at {server_created_at}, and {started_by} started it at {last_at}."
key = ["id"]

[[next]]
query = "scope/resource-history"
why = "The server's life."
params = { resource = "server_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, status_code, source_ip, user_agent, locality,
        project_id,
        coalesce(resource_of(resources, 'instance_server'), body_text(request_body, 'server_id')) AS server_id,
        list_filter(resources, lambda r: r.type = 'instance_server')[1].name AS server_name,
        list_filter(resources, lambda r: r.type = 'instance_server')[1].created_at AS created_at,
        CASE
            WHEN method_name = 'SetServerUserData' THEN 'set'
            WHEN method_name = 'CreateServer' THEN 'created'
            ELSE 'started'
        END AS step
    FROM api_events
    WHERE recorded_at >= $since - $window - $window AND recorded_at < $until
        AND is_success(status_code)
        AND (method_name IN ('SetServerUserData', 'CreateServer', 'ServerAction')) IS TRUE
        -- Without a body nothing says that it was another action.
        AND (
            method_name <> 'ServerAction'
            OR coalesce(body_text(request_body, 'action'), 'poweron') IN ('poweron', 'reboot')
        )
),
starts AS (
    SELECT
        id, recorded_at, organization_id, principal_id, server_id, server_name, source_ip, user_agent, locality,
        project_id,
        lag(recorded_at) OVER (PARTITION BY organization_id, server_id ORDER BY recorded_at, id) AS previous_at
    FROM calls
    WHERE step = 'started' AND server_id IS NOT NULL
),
-- A server that was made shortly before gets its first user data, as it should.
made AS (
    SELECT u.organization_id, u.id, min(c.recorded_at) AS created_at
    FROM calls AS u
    JOIN calls AS c ON c.organization_id = u.organization_id AND c.server_id = u.server_id
        AND c.recorded_at <= u.recorded_at AND c.recorded_at >= u.recorded_at - $window
    WHERE u.step = 'set' AND c.step = 'created'
    GROUP BY u.organization_id, u.id
),
sequences AS (
    SELECT
        s.organization_id, s.id AS start_id, s.recorded_at AS started_at, s.principal_id AS started_by, s.server_id,
        s.server_name, s.locality, s.project_id, u.id, u.recorded_at, u.principal_id, u.source_ip, u.user_agent,
        coalesce(u.created_at, m.created_at) AS created_at
    FROM starts AS s
    JOIN calls AS u ON u.organization_id = s.organization_id AND u.server_id = s.server_id
        AND u.recorded_at <= s.recorded_at AND u.recorded_at >= s.recorded_at - $window
    LEFT JOIN made AS m ON m.organization_id = u.organization_id AND m.id = u.id
    WHERE s.recorded_at >= $since AND u.step = 'set'
        AND (s.previous_at IS NULL OR u.recorded_at > s.previous_at)
)
SELECT
    min(recorded_at) AS first_at, started_at AS last_at,
    list(principal_id ORDER BY recorded_at DESC, id DESC)[1] AS principal_id, started_by, server_id, server_name,
    min(created_at) AS server_created_at, locality, project_id, count(*) AS set_calls, count(*) + 1 AS events,
    list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)) AS user_agents,
    start_id AS id, list_append(list(id ORDER BY recorded_at, id), start_id) AS event_ids
FROM sequences
GROUP BY organization_id, start_id, started_at, started_by, server_id, server_name, locality, project_id
ORDER BY ALL
