/* ---
title = "Backups and snapshots deleted, or kept for less time"
description = """
Every call that deletes a snapshot, an image or a backup of a database, sets when one expires, switches a schedule of
backups off, or sets how long they are kept. An expiry close to the call, or a small retention, is a deletion that waits.
Denied attempts count. It lists what clean-ups do every night, too: impact/backups-destroyed-in-bulk says what is unusual.
"""
question = 58
attack = ["T1490"]
severity = "low"
false_positives = ["Clean-ups of old backups by automation: the same principal, address and number every day."]
blind_spots = [
    "Snapshots of Block Storage, and copies in buckets: what happens to them is not logged.",
    "What the retention was before: the call says only what it is now.",
    "Names of fields that are not known here; request_body has them all.",
]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it; null where the event does not say."
product_name = "The product."
method_name = "The call."
done = "deleted, expiry set, schedule off or retention set."
expires_at = "When the backup is to expire, as the body says it."
retention = "How long backups are to be kept, as the body says it, mostly in days."
outcome = "success, denied or failure."
resource_ids = "What it was done to."
resource_names = "Its names."
locality = "The region or zone."
project_id = "The Project."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} called {method_name} on {resource_names} ({done}, {outcome}) from {source_ip}."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "impact/mass-deletes"
why = "Whether it is part of a larger deletion."
--- */
SELECT
    recorded_at, principal_id, product_name, method_name,
    CASE
        WHEN verb(method_name) = 'Delete' THEN 'deleted'
        WHEN lower(body_text(request_body, 'is_backup_schedule_disabled')) = 'true'
            OR lower(body_text(request_body, 'disable_backup')) = 'true'
            OR lower(body_text(request_body, 'is_snapshot_schedule_enabled')) = 'false' THEN 'schedule off'
        WHEN method_name IN ('UpdateDatabaseBackup', 'UpdateSnapshot', 'UpdateBackup') THEN 'expiry set'
        ELSE 'retention set'
    END AS done,
    body_text(request_body, 'expires_at') AS expires_at,
    coalesce(
        body_text(request_body, 'backup_schedule_retention'), body_text(request_body, 'snapshot_retention_days'),
        body_text(request_body, 'backup_retention_days'), body_text(request_body, 'backup_schedule.retention')
    ) AS retention,
    outcome_of(status_code) AS outcome,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names,
    locality, project_id, source_ip, user_agent, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND (
        verb(method_name) IN ('Update', 'Set', 'Patch')
        OR method_name IN ('DeleteSnapshot', 'DeleteDatabaseBackup', 'DeleteImage', 'DeleteBackup')
    ) IS TRUE
    AND (
        method_name IN ('DeleteSnapshot', 'DeleteDatabaseBackup', 'DeleteImage', 'DeleteBackup')
        OR (
            method_name IN ('UpdateDatabaseBackup', 'UpdateSnapshot', 'UpdateBackup')
            AND body_text(request_body, 'expires_at') IS NOT NULL
        )
        OR lower(body_text(request_body, 'is_backup_schedule_disabled')) = 'true'
        OR lower(body_text(request_body, 'disable_backup')) = 'true'
        OR lower(body_text(request_body, 'is_snapshot_schedule_enabled')) = 'false'
        OR coalesce(
            body_text(request_body, 'backup_schedule_retention'), body_text(request_body, 'snapshot_retention_days'),
            body_text(request_body, 'backup_retention_days'), body_text(request_body, 'backup_schedule.retention')
        ) IS NOT NULL
    )
ORDER BY recorded_at, id
