/* ---
title = "Every copy of data within Scaleway"
description = """
All calls that make data readable in another place without leaving Scaleway: clones, restores, read replicas and their
endpoints, volumes taken off a server and put on one. One row each, the usual ones among them, for the time of an
incident, when exfiltration/copied-sideways leaves out what looks like routine. Denied attempts count.
"""
question = 52
attack = ["T1578", "T1213.006"]
false_positives = ["Most rows: exercises with backups, test environments, disks that move by design."]
blind_spots = [
    "Block Storage is not logged: its volumes move between servers only in the calls of the instances.",
    "Dumps that are made through a database's own connections.",
]

[params.history]
type = "duration"
default = "365d"
description = "How far back such calls are counted."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
product_name = "The product."
method_name = "The call."
outcome = "success, denied or failure."
resource_ids = "What it was about, as the event lists it."
resource_names = "The names of it."
project_id = "The Project."
earlier_days = "On how many days before the principal made the same call with success."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[[next]]
query = "scope/principal-timeline"
why = "What the principal did before and after."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where the principal acts from otherwise."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, product_name, method_name, status_code, source_ip, user_agent,
        project_id, resources
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (method_name IN (
            'DetachServerVolume', 'AttachServerVolume', 'CreateInstanceFromSnapshot', 'CreateReadReplica',
            'CreateReadReplicaEndpoint', 'RestoreDatabaseBackup', 'RestoreDatabaseFromBackup', 'RestoreSnapshot',
            'CloneInstance'
        )) IS TRUE
        AND (method_name <> 'CloneInstance' OR product_name IS DISTINCT FROM 'iam')
),
counted AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY organization_id, principal_id, product_name, method_name
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM calls
)
SELECT
    recorded_at, principal_id, product_name, method_name, outcome_of(status_code) AS outcome,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names, project_id, earlier_days,
    source_ip, user_agent, id
FROM counted
WHERE recorded_at >= $since
ORDER BY recorded_at, id
