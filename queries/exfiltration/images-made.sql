/* ---
title = "Images made of disks"
description = """
An image of a server's disk or of a snapshot was made: everything on the disk, ready to be started elsewhere. A
principal that did so on an earlier day with the same program, as pipelines that build machines do, is left out.
Denied attempts count.
"""
question = 51
attack = ["T1578.001", "T1213.006"]
severity = "low"
false_positives = ["Images that are built for deployments, the first time.", "A backup before a change."]
blind_spots = [
    "Who starts a server from the image: its CreateServer names it in the body, see scope/resource-history.",
    "Images that are exported or made public: see exfiltration/data-exported.",
]

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are looked at for what is usual."

[params.routine_days]
type = "integer"
default = 1
description = "On how many earlier days the same makes it usual."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "CreateImage."
outcome = "success, denied or failure."
image_id = "The image."
image_name = "Its name."
resource_ids = "Everything that the event names: the image, its snapshots, its server."
project_id = "The Project."
locality = "The zone."
earlier_days = "On how many days before the same principal made one with the same program."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} made the image {image_name} ({image_id}) of a disk, from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/resource-history"
why = "What became of the image."
params = { resource = "image_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else the principal did."
params = { principal = "principal_id" }
--- */
WITH counted AS (
    SELECT
        id, recorded_at, principal_id, method_name, status_code, source_ip, user_agent, locality, project_id, resources,
        request_body,
        count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY organization_id, principal_id, user_agent_family(user_agent)
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND method_name = 'CreateImage'
)
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome,
    resource_of(resources, 'instance_image') AS image_id,
    coalesce(
        list_filter(resources, lambda x: x.type = 'instance_image')[1].name, body_text(request_body, 'name')
    ) AS image_name,
    resource_ids(resources) AS resource_ids, project_id, locality, earlier_days, source_ip, user_agent, id
FROM counted
WHERE recorded_at >= $since AND earlier_days < $routine_days
ORDER BY recorded_at, id
