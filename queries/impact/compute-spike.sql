/* ---
title = "Far more compute started than usual"
description = """
A principal asked for many machines within the window, as mining and abuse of models do: servers of any product, batches
of them, pools and clusters by the number of their nodes, model deployments. Many is the minimum, and more than its own
bursts of the weeks before, so that autoscaling is left out. Fewer are enough where they have GPUs that nobody in the
Organization asked for in the weeks before, or stand in a zone that is new to the Organization. Denied attempts count: a
quota may have stopped them; what a principal asks for again and again that it got on earlier days, from the same network
and with the same program, is an autoscaler that met its quota, and its denials do not count.
"""
question = 60
attack = ["T1496.001", "T1496.004", "T1578.002"]
severity = "high"
false_positives = [
    "Load tests and migrations; an autoscaler in its first days.",
    "The first GPUs of a team, or its first region: ask it.",
]
blind_spots = [
    "Pools and deployments that scale by themselves up to a limit that was set long ago.",
    "Calls to hosted models with a stolen key (LLMjacking): they leave no event, only the bill tells.",
    "How many machines a batch has is read from its body: one that does not say it counts as one.",
    "An application older than the archive, in the archive's first days (settled): its habits are not known yet, so give settled as 0d to see it.",
    "Denied calls for what the principal got before, from where it always comes.",
    "A pool whose size before is not known counts as one machine, unless it is as large as the minimum by itself.",
    "A spike spread over several principals: see them side by side with scope/shared-origins.",
]

[params.minimum]
type = "integer"
default = 10
description = "Fewest machines within the window."

[params.minimum_unusual]
type = "integer"
default = 3
description = "Fewest machines within the window where GPUs or a zone are new to the Organization."

[params.window]
type = "duration"
default = "1h"
description = "The window that slides over the calls; a burst ends when nothing came for its length."

[params.factor]
type = "number"
default = 2
description = "How many times the principal's own largest burst before it must be, where there is one."

[params.history]
type = "duration"
default = "30d"
description = "How far back the principal's own bursts are looked at; those of the day before do not count as usual."

[params.settled]
type = "duration"
default = "3d"
description = "For how long after the archive begins nothing is told of applications that were there before it, by the directory."

[params.lookback]
type = "duration"
default = "1d"
description = "How far before the span the beginning of a burst is looked for."

[columns]
first_at = "The burst's first call."
last_at = "The burst's last call."
principal_id = "Who called; null where the events do not say."
events = "How many calls, denied and failed ones among them."
machines = "How many machines they asked for, as far as the bodies say it."
most_within_window = "How many machines within the window at most."
usual = "The same of this principal's bursts in the time before; null where there was none."
gpus = "How many of the machines have GPUs, by their type."
new_gpus = "Whether nobody in the Organization asked for GPUs in the time before, though its events are held."
new_localities = "The zones in which nobody in the Organization had called before, though its events are held for weeks."
succeeded = "Calls that succeeded."
denied = "Calls that were denied."
methods = "The calls."
machine_types = "The types asked for."
localities = "The regions and zones."
project_ids = "The Projects."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
first_id = "The burst's first event, which tells it from others."
event_ids = "All events of the burst, oldest first."

[finding]
summary = "{principal} asked for {machines} machines ({gpus} with GPUs; {machine_types}) in {localities} with {events} calls ({succeeded} succeeded, {denied} denied) from {source_ips}."
key = ["principal_id", "first_id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "persistence/user-data-then-start"
why = "Whether what starts on the servers was set in their user data."
--- */
WITH asked AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, status_code, source_ip, user_agent, locality,
        project_id,
        coalesce(
            body_text(request_body, 'commercial_type'), body_text(request_body, 'node_type'),
            body_text(request_body, 'node_type_name'), body_text(request_body, 'offer_id'),
            body_text(request_body, 'type')
        ) AS machine_type,
        CASE
            WHEN method_name = 'CreateCluster' THEN list_sum(list_transform(
                list_filter(
                    json_extract_string(request_body, '$.pools[*].size'), lambda x: TRY_CAST(x AS BIGINT) >= 0
                ),
                lambda x: least(TRY_CAST(x AS BIGINT), 10000)
            ))
            ELSE coalesce(
                TRY_CAST(body_text(request_body, 'size') AS BIGINT), TRY_CAST(body_text(request_body, 'count') AS BIGINT),
                TRY_CAST(body_text(request_body, 'batch_size') AS BIGINT),
                TRY_CAST(body_text(request_body, 'quantity') AS BIGINT),
                TRY_CAST(body_text(request_body, 'min_size') AS BIGINT),
                TRY_CAST(body_text(request_body, 'capacity.min_replicas') AS BIGINT),
                TRY_CAST(body_text(request_body, 'capacity.max_replicas') AS BIGINT),
                nullif(len(body_list(request_body, 'servers')), 0),
                -- One call for several servers: as many as it names, or made.
                CASE WHEN method_name = 'BatchCreateServers' THEN nullif(greatest(
                    len(body_list(request_body, 'server_details')), len(body_list(request_body, 'server_configs')),
                    coalesce(len(resources), 0)
                ), 0) END
            )
        END AS said,
        verb(method_name) = 'Update' AS resizes,
        coalesce(
            list_filter(
                resources, lambda x: regexp_matches(x.type, '(pool|deployment|instance_group)$') AND x.id IS NOT NULL
            )[1].id,
            body_text(request_body, 'pool_id'), body_text(request_body, 'deployment_id'), id
        ) AS pool_id
    FROM api_events
    WHERE recorded_at >= $since - $lookback - $history AND recorded_at < $until
        AND (method_name IN (
            'CreateServer', 'BatchCreateServers', 'CreatePool', 'UpdatePool', 'CreateCluster', 'CreateDeployment',
            'UpdateDeployment', 'CreateGroup', 'UpdateGroup'
        )) IS TRUE
        -- IAM has groups, too.
        AND (method_name NOT IN ('CreateGroup', 'UpdateGroup') OR product_name = 'autoscaling')
),
sized AS (
    SELECT *, CASE WHEN said >= 0 THEN least(said, 10000) END AS number
    FROM asked
),
calls AS (
    SELECT
        *,
        regexp_matches(
            lower(machine_type), '^(gpu|render|h100|h200|b200|b300|gb200|gb300|gh200|l4|l40s|a100|p100|mi[0-9]+x?)([-_]|$)'
        ) AS has_gpu,
        -- A pool that changes counts by how much it grows; a small one whose size before is not known grew somehow.
        CASE WHEN resizes THEN
            number - coalesce(
                lag(number) OVER (PARTITION BY organization_id, pool_id ORDER BY recorded_at, id),
                CASE WHEN number >= $minimum THEN 0 ELSE number - 1 END
            )
        ELSE coalesce(number, 1) END AS machines,
        count(*) FILTER (WHERE is_success(status_code)) OVER (
            PARTITION BY
                organization_id, principal_id, method_name, machine_type, locality, ip_network(source_ip),
                user_agent_family(user_agent)
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS got_before
    FROM sized
    WHERE NOT resizes OR number IS NOT NULL
),
growing AS (
    SELECT
        *,
        sum(machines) OVER (
            PARTITION BY organization_id, principal_id
            ORDER BY recorded_at RANGE BETWEEN $window PRECEDING AND CURRENT ROW
        ) AS within_window,
        begins_burst((organization_id, principal_id), recorded_at, id, $window) AS begins,
        min(recorded_at) FILTER (has_gpu) OVER (PARTITION BY organization_id) AS first_gpu_at
    FROM calls
    WHERE machines > 0 AND NOT (is_denied(status_code) AND got_before > 0)
),
numbered AS (
    SELECT *, burst_number((organization_id, principal_id), recorded_at, id, begins) AS burst
    FROM growing
),
bursts AS (
    SELECT
        organization_id, principal_id, burst, min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        count(*) AS events, CAST(sum(machines) AS BIGINT) AS machines,
        CAST(max(within_window) AS BIGINT) AS most_within_window,
        CAST(coalesce(sum(machines) FILTER (has_gpu), 0) AS BIGINT) AS gpus,
        min(first_gpu_at) AS first_gpu_at,
        count(*) FILTER (WHERE is_success(status_code)) AS succeeded,
        count(*) FILTER (WHERE is_denied(status_code)) AS denied,
        list_sort(list(DISTINCT method_name)) AS methods,
        list_sort(list(DISTINCT machine_type) FILTER (WHERE machine_type IS NOT NULL)) AS machine_types,
        list_sort(list(DISTINCT locality) FILTER (WHERE locality IS NOT NULL)) AS localities,
        list_sort(list(DISTINCT project_id) FILTER (WHERE project_id IS NOT NULL)) AS project_ids,
        list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips,
        list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)) AS user_agents,
        list(id ORDER BY recorded_at, id) AS event_ids
    FROM numbered
    GROUP BY organization_id, principal_id, burst
),
known AS (
    SELECT organization_id, value AS locality, first_at AS known_at
    FROM first_seen
    WHERE subject_type = 'organization' AND dimension = 'locality'
),
held AS (
    SELECT organization_id, first_at AS held_from
    FROM first_seen
    WHERE subject_type = 'organization' AND dimension = 'activity'
),
-- Nobody knows yet what they do every day.
unsettled AS (
    SELECT DISTINCT p.organization_id, p.id, f.first_at + $settled AS settled_at
    FROM principals AS p
    JOIN first_seen AS f ON f.organization_id = p.organization_id
    WHERE f.subject_type = 'organization' AND f.dimension = 'activity'
        AND p.type = 'application' AND p.created_at < f.first_at
),
new_places AS (
    SELECT b.organization_id, b.principal_id, b.burst, list_sort(list(k.locality)) AS new_localities
    FROM bursts AS b
    JOIN known AS k ON k.organization_id = b.organization_id AND list_contains(b.localities, k.locality)
    JOIN held AS h ON h.organization_id = b.organization_id
    WHERE k.known_at >= b.first_at - $lookback AND h.held_from < b.first_at - $history
    GROUP BY b.organization_id, b.principal_id, b.burst
),
compared AS (
    SELECT
        b.*,
        max(b.most_within_window) OVER (
            PARTITION BY b.organization_id, b.principal_id
            ORDER BY b.first_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS usual,
        b.gpus > 0 AND b.first_gpu_at >= b.first_at AND h.held_from < b.first_at - $history AS new_gpus,
        coalesce(p.new_localities, []) AS new_localities
    FROM bursts AS b
    LEFT JOIN held AS h ON h.organization_id = b.organization_id
    LEFT JOIN new_places AS p ON p.organization_id = b.organization_id AND p.burst = b.burst
        AND p.principal_id IS NOT DISTINCT FROM b.principal_id
)
SELECT
    first_at, last_at, principal_id, events, machines, most_within_window, usual, gpus, new_gpus, new_localities,
    succeeded, denied, methods, machine_types, localities, project_ids, source_ips, user_agents,
    event_ids[1] AS first_id, event_ids
FROM compared AS c
WHERE last_at >= $since
    AND (gpus > 0 OR NOT EXISTS (
        SELECT 1 FROM unsettled AS u
        WHERE u.organization_id = c.organization_id AND u.id = c.principal_id AND c.first_at < u.settled_at
    ))
    AND (
        (most_within_window >= $minimum AND most_within_window >= $factor * coalesce(usual, 0))
        OR (most_within_window >= $minimum_unusual AND (new_gpus OR len(new_localities) > 0))
    )
ORDER BY ALL
