/* ---
title = "Data copied sideways: clones, restores, replicas, moved volumes"
description = """
Data were made readable in another place without leaving Scaleway: a database cloned, a backup or snapshot restored
elsewhere, a read replica or an endpoint for one made, a volume taken off one server and put on another. Whoever
cannot read the original reads the copy. A principal that did the same on an earlier day is left out, and so is an
application that clones or restores from where and with what it has long come: exfiltration/every-copy has all. Denied
attempts count.
"""
question = 52
attack = ["T1578", "T1213.006"]
severity = "medium"
false_positives = [
    "A test environment that is filled from production, the first time.",
    "A rescue: a volume put on another server because its own does not start.",
]
blind_spots = [
    "Block Storage is not logged: its volumes move between servers only in the calls of the instances.",
    "A volume that is put on a server with UpdateServer, whose body has all volumes of the server.",
    "A server that is created with a volume or from a snapshot: see scope/resource-history of the snapshot.",
    "Clones and restores by whoever runs within automation, with its program and from its network.",
    "Dumps that are made through a database's own connections.",
]

[params.window]
type = "duration"
default = "24h"
description = "From taking a volume off, or making a replica, to the second step."

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are looked at for what is usual."

[params.routine_days]
type = "integer"
default = 1
description = "On how many earlier days the same makes it usual."

[params.known_for]
type = "duration"
default = "7d"
description = "For how long a principal must have succeeded from a network, and with a program, for both to be its own."

[columns]
recorded_at = "When the copy was asked for; of several steps, the last."
principal_id = "Who asked for it."
product_name = "The product."
method_name = "The call."
outcome = "success, denied or failure."
how = "clone, restore, read replica, replica endpoint, or moved volume."
from_id = "Where the data were: the database, the snapshot or backup, the server that had the volume."
to_id = "Where they are now, where the event says so."
resource_ids = "What was acted on."
resource_names = "The names of it."
project_id = "The Project."
locality = "The region or zone."
earlier_days = "On how many days before the same was done, by the same principal with the same program."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
event_ids = "The steps: taking off and putting on, replica and endpoint; else the one call."
id = "The last step."

[finding]
summary = "{principal} copied data sideways ({how}, {method_name}) from {from_id} to {to_id}: {resource_names}, from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did with the copy."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where the principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "defence/network-opened"
why = "Whether the copy was opened to the outside."
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, product_name, method_name, status_code, source_ip, user_agent,
        locality, project_id, resources, request_body,
        coalesce(body_text(request_body, 'volume_id'), resource_of(resources, 'instance_volume')) AS volume_id,
        coalesce(body_text(request_body, 'server_id'), resource_of(resources, 'instance_server')) AS server_id,
        coalesce(
            body_text(request_body, 'read_replica_id'), resource_of(resources, 'rdb_read_replica'),
            resource_of(resources, 'rdb_instance_read_replica')
        ) AS replica_id
    FROM api_events
    WHERE recorded_at >= $since - $history - $window AND recorded_at < $until
        AND (method_name IN (
            'DetachServerVolume', 'AttachServerVolume', 'CreateInstanceFromSnapshot', 'CreateReadReplica',
            'CreateReadReplicaEndpoint', 'RestoreDatabaseBackup', 'RestoreDatabaseFromBackup', 'RestoreSnapshot',
            'CloneInstance'
        )) IS TRUE
        -- A clone of a policy or of a workflow is none of data.
        AND (method_name <> 'CloneInstance' OR product_name IS DISTINCT FROM 'iam')
),
-- A volume goes from where it was taken off last; back to the same server is no copy.
moves AS (
    SELECT a.id, arg_max({id: d.id, server_id: d.server_id}, (d.recorded_at, d.id)) AS before
    FROM calls AS a
    JOIN calls AS d ON d.organization_id = a.organization_id AND d.volume_id = a.volume_id
        AND d.recorded_at <= a.recorded_at AND d.recorded_at >= a.recorded_at - $window
    WHERE a.method_name = 'AttachServerVolume'
        AND d.method_name = 'DetachServerVolume' AND is_success(d.status_code) AND d.id <> a.id
    GROUP BY a.id
),
replicas AS (
    SELECT e.id, arg_max({id: r.id, server_id: r.replica_id}, (r.recorded_at, r.id)) AS before
    FROM calls AS e
    JOIN calls AS r ON r.organization_id = e.organization_id AND r.replica_id = e.replica_id
        AND r.recorded_at <= e.recorded_at AND r.recorded_at >= e.recorded_at - $window
    WHERE e.method_name = 'CreateReadReplicaEndpoint'
        AND r.method_name = 'CreateReadReplica' AND is_success(r.status_code)
    GROUP BY e.id
),
copies AS (
    SELECT
        c.id, c.recorded_at, c.organization_id, c.principal_id, c.product_name, c.method_name, c.status_code,
        c.source_ip, c.user_agent, c.locality, c.project_id, c.resources,
        CASE c.method_name
            WHEN 'CloneInstance' THEN 'clone'
            WHEN 'CreateReadReplica' THEN 'read replica'
            WHEN 'CreateReadReplicaEndpoint' THEN 'replica endpoint'
            WHEN 'AttachServerVolume' THEN 'moved volume'
            ELSE 'restore'
        END AS how,
        CASE
            WHEN moves.id IS NOT NULL THEN moves.before.server_id
            WHEN c.replica_id IS NOT NULL AND c.method_name = 'CreateReadReplicaEndpoint' THEN c.replica_id
            ELSE coalesce(
                body_text(c.request_body, 'snapshot_id'), body_text(c.request_body, 'backup_id'),
                body_text(c.request_body, 'database_backup_id'), resource_of(c.resources, 'rdb_instance_backup'),
                resource_of(c.resources, 'rdb_instance_snapshot'), resource_of(c.resources, 'mongodb_snapshot'),
                CASE WHEN c.method_name IN ('CloneInstance', 'CreateReadReplica')
                    THEN coalesce(body_text(c.request_body, 'instance_id'), c.resources[1].id) END
            )
        END AS from_id,
        CASE
            WHEN moves.id IS NOT NULL THEN c.server_id
            WHEN c.method_name = 'RestoreDatabaseBackup' THEN body_text(c.request_body, 'instance_id')
            WHEN c.method_name = 'RestoreDatabaseFromBackup' THEN body_text(c.request_body, 'database_id')
            WHEN c.method_name = 'CreateReadReplica' THEN c.replica_id
            WHEN c.method_name = 'CreateInstanceFromSnapshot' THEN
                coalesce(resource_of(c.resources, 'rdb_instance'), body_text(c.request_body, 'instance_name'))
            WHEN c.method_name = 'RestoreSnapshot' THEN
                coalesce(resource_of(c.resources, 'mongodb_instance'), body_text(c.request_body, 'instance_name'))
            WHEN c.method_name = 'CloneInstance' THEN body_text(c.request_body, 'name')
        END AS to_id,
        CASE
            WHEN moves.id IS NOT NULL THEN [moves.before.id, c.id]
            WHEN replicas.id IS NOT NULL THEN [replicas.before.id, c.id]
            ELSE [c.id]
        END AS event_ids
    FROM calls AS c
    LEFT JOIN moves ON moves.id = c.id
    LEFT JOIN replicas ON replicas.id = c.id
    WHERE c.method_name <> 'DetachServerVolume'
        AND (
            c.method_name <> 'AttachServerVolume'
            OR (moves.id IS NOT NULL AND coalesce(moves.before.server_id <> c.server_id, true))
        )
),
counted AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY organization_id, principal_id, product_name, method_name, user_agent_family(user_agent)
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM copies
),
programs AS (SELECT DISTINCT organization_id, id FROM principals WHERE type = 'application'),
by_programs AS (
    SELECT c.id, c.organization_id, c.recorded_at, c.principal_id, c.source_ip, c.user_agent
    FROM copies AS c
    JOIN programs AS p ON p.organization_id = c.organization_id AND p.id = c.principal_id
    WHERE c.recorded_at >= $since AND c.how IN ('clone', 'restore') AND is_success(c.status_code)
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
        END AS subject_id
    FROM by_programs AS c
    LEFT JOIN origins AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id
        AND a.dimension = 'activity'
),
familiar AS (
    SELECT DISTINCT c.organization_id, c.id
    FROM compared_with AS c
    JOIN origins AS n ON n.organization_id = c.organization_id AND n.subject_id = c.subject_id
        AND n.dimension = 'network' AND n.value = c.network AND n.first_success_at <= c.recorded_at - $known_for
    JOIN origins AS g ON g.organization_id = c.organization_id AND g.subject_id = c.subject_id
        AND g.dimension = 'agent' AND g.value = c.agent AND g.first_success_at <= c.recorded_at - $known_for
)
SELECT
    recorded_at, principal_id, product_name, method_name, outcome_of(status_code) AS outcome, how, from_id, to_id,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names, project_id, locality,
    earlier_days, source_ip, user_agent, event_ids, id
FROM counted
WHERE recorded_at >= $since AND earlier_days < $routine_days
    AND (organization_id, id) NOT IN (SELECT (f.organization_id, f.id) FROM familiar AS f)
ORDER BY ALL
