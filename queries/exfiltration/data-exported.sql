/* ---
title = "Volumes, images and databases exported or shared"
description = """
A snapshot was exported to a bucket, a database backup exported for download, or an image made public. What goes the
same way as on an earlier day is left out: by the same principal or of a thing of the same name, to the same bucket,
with the same program. So is a database backup that was exported for download, to no bucket, by a principal from where and
with what it has long come: exfiltration/every-export has all. Look at the bucket first: it need not be the Organization's own. Denied attempts count.
"""
question = 51
attack = ["T1537", "T1567.002", "T1213.006"]
severity = "medium"
false_positives = [
    "A backup that is exported by design, the first time.",
]
blind_spots = [
    "Reads of Object Storage and downloads of an exported backup are not logged: who fetched it cannot be seen.",
    "Whose a bucket is: names of buckets are the same for all of Scaleway, and foreign ones are taken.",
    "Whoever steals the credentials of automation that exports every night, and exports to the same bucket.",
    "Whoever is at work in the Organization and exports a database backup from the own machine, as for the first time.",
    "Data that leave through a server of one's own, or through a database's connections: no calls of the API.",
]

[params.history]
type = "duration"
default = "365d"
description = "How far back exports are looked at for what is usual."

[params.routine_days]
type = "integer"
default = 1
description = "On how many earlier days the same export makes it usual."

[params.all]
type = "boolean"
default = false
description = "Show what is usual, too."

[params.known_for]
type = "duration"
default = "7d"
description = "For how long a principal must have succeeded from a network, and with a program, for both to be its own."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
product_name = "The product."
method_name = "ExportSnapshot, ExportDatabaseBackup or the like; CreateImage and UpdateImage of an image that is public."
outcome = "success, denied or failure."
bucket = "The bucket, where the body names one; a database backup gets a link for download instead."
object_key = "The object in the bucket."
public = "Whether an image was made readable for everybody."
resource_ids = "What was exported."
resource_names = "The names of it."
project_id = "The Project."
locality = "The region or zone."
earlier_days = "On how many days before the same was done: by the same principal, or by anybody with a thing of this name."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} took data with {method_name}: {resource_names} to {bucket}, from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did before and after: a snapshot made for it, traces cleared."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where the principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "exfiltration/images-made"
why = "Images of disks, which are easy to copy."

[[next]]
query = "exfiltration/copied-sideways"
why = "What else was copied inside of Scaleway."
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, product_name, method_name, status_code, source_ip, user_agent,
        locality, project_id, resources, resource_names(resources) AS names,
        coalesce(body_text(request_body, 'bucket'), body_text(request_body, 'bucket_name')) AS bucket,
        coalesce(body_text(request_body, 'key'), body_text(request_body, 'object_key')) AS object_key,
        coalesce(lower(body_text(request_body, 'public')) = 'true', false) AS public
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (method_name IN (
            'ExportSnapshot', 'ExportSnapshotToObjectStorage', 'ExportDatabaseBackup', 'ExportVolume', 'ExportImage',
            'CreateImage', 'UpdateImage'
        )) IS TRUE
        AND (
            method_name NOT IN ('CreateImage', 'UpdateImage') OR lower(body_text(request_body, 'public')) = 'true'
        )
),
counted AS (
    SELECT
        *,
        greatest(
            count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
                PARTITION BY
                    organization_id, principal_id, product_name, method_name, bucket, public,
                    user_agent_family(user_agent)
                ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
            ),
            -- The same thing goes the same way month by month, whoever's turn it is.
            count(
                DISTINCT CASE WHEN is_success(status_code) AND len(names) > 0 THEN CAST(recorded_at AS DATE) END
            ) OVER (
                PARTITION BY
                    organization_id, product_name, method_name, bucket, public, user_agent_family(user_agent), names
                ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
            )
        ) AS earlier_days
    FROM calls
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
    FROM calls AS c
    LEFT JOIN origins AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id
        AND a.dimension = 'activity'
    WHERE c.recorded_at >= $since AND c.bucket IS NULL AND NOT c.public
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
    recorded_at, principal_id, product_name, method_name, outcome_of(status_code) AS outcome, bucket, object_key,
    public, resource_ids(resources) AS resource_ids, names AS resource_names, project_id, locality,
    earlier_days, source_ip, user_agent, id
FROM counted
WHERE recorded_at >= $since
    AND ($all OR (
        earlier_days < $routine_days
        AND NOT (
            method_name = 'ExportDatabaseBackup' AND is_success(status_code) 
            AND (organization_id, id) IN (SELECT (f.organization_id, f.id) FROM familiar AS f)
        )
    ))
ORDER BY recorded_at, id
