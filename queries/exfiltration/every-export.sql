/* ---
title = "Every export of volumes, images and databases"
description = """
All calls that export a snapshot, a volume, an image or a database backup, or make an image public, one row each, the
usual ones among them: for the time of an incident, when exfiltration/data-exported leaves out what looks like routine.
earlier_days says on how many days before the principal exported in this way to the same bucket. Denied attempts count.
"""
question = 51
attack = ["T1537", "T1567.002", "T1213.006"]
false_positives = ["Most rows: backups that are exported by design."]
blind_spots = [
    "Reads of Object Storage and downloads of an exported backup are not logged: who fetched it cannot be seen.",
    "Data that leave through a server of one's own, or through a database's connections: no calls of the API.",
]

[params.history]
type = "duration"
default = "365d"
description = "How far back exports are counted."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "The call."
outcome = "success, denied or failure."
bucket = "The bucket, where the body names one; a database backup gets a link for download instead."
resource_ids = "What was exported."
resource_names = "The names of it."
project_id = "The Project."
earlier_days = "On how many days before the principal did so with success, to the same bucket."
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
        id, recorded_at, organization_id, principal_id, method_name, status_code, source_ip, user_agent, project_id,
        resources, coalesce(body_text(request_body, 'bucket'), body_text(request_body, 'bucket_name')) AS bucket
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (starts_with(method_name, 'Export') OR method_name IN ('CreateImage', 'UpdateImage')) IS TRUE
        AND (
            method_name NOT IN ('CreateImage', 'UpdateImage') OR lower(body_text(request_body, 'public')) = 'true'
        )
),
counted AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY organization_id, principal_id, method_name, bucket
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM calls
)
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome, bucket,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names, project_id, earlier_days,
    source_ip, user_agent, id
FROM counted
WHERE recorded_at >= $since
ORDER BY recorded_at, id
