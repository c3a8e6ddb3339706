/* ---
title = "Exports of the Audit Trail deleted or made"
description = """
An export of the trail to a bucket was deleted, changed or made. Whoever deletes one keeps the trail from outliving 90
days, and whoever makes one has all of it copied to a bucket, perhaps not the Organization's own. Denied attempts
count: they show the intention.
"""
question = 43
attack = ["T1685.002"]
severity = "high"
false_positives = [
    "Setting up the export of a region.",
    "Moving an export to another bucket: look for the other call, of the same principal, minutes away.",
]
blind_spots = [
    "A bucket that is emptied, or whose rules make objects expire: Object Storage is not logged.",
    "Whoever takes the right to read the trail away from those who do: see privilege/grants and impact.",
    "What Trailkeep itself has read is safe from this: it reads the API, not the export.",
]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "DeleteExportJob, CreateExportJob or another call about export jobs."
outcome = "success, denied or failure."
job_ids = "The export jobs that the event names."
bucket = "The bucket that the body names."
resource_names = "The names of what was acted on."
locality = "The region: there is one export for each."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
request_body = "The body as it was sent."
id = "The event."

[finding]
summary = "{principal} called {method_name} on the export of the Audit Trail in {locality} from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did while it thought itself unseen."
params = { principal = "principal_id" }

[[next]]
query = "defence/alert-rules-disabled"
why = "Whether the alerts were disabled, too."

[[next]]
query = "defence/cockpit-silenced"
why = "Whether Cockpit was silenced, too."
--- */
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome,
    resources_of(resources, 'audit_trail_export_job') AS job_ids,
    coalesce(
        body_text(request_body, 's3.bucket'), body_text(request_body, 'bucket'), body_text(request_body, 'bucket_name')
    ) AS bucket,
    resource_names(resources) AS resource_names, locality, source_ip, user_agent, request_body, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND (method_name IN (
        'DeleteExportJob', 'CreateExportJob', 'UpdateExportJob', 'DisableExportJob', 'PauseExportJob', 'StopExportJob'
    )) IS TRUE
ORDER BY recorded_at, id
