/* ---
title = "Volumes, images and databases exported or shared"
description = "Exports of snapshots and database backups, with the bucket where the body names one. Denied ones included."
question = 51
attack = ["T1537", "T1567.002", "T1213.006"]
severity = "medium"
false_positives = ["Backups that are exported by design: look for buckets and principals that are new."]
blind_spots = ["Reads of Object Storage are not logged: what was taken out of a bucket cannot be seen here."]
--- */
SELECT
    recorded_at, product_name, method_name, principal_id, status_code,
    json_extract_string(request_body, '$.bucket') AS bucket,
    json_extract_string(request_body, '$.key') AS object_key,
    list_transform(resources, lambda r: r.name) AS resource_names,
    source_ip, user_agent, locality, project_id, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND method_name IN ('ExportSnapshot', 'ExportDatabaseBackup', 'ExportSnapshotToObjectStorage')
ORDER BY recorded_at, id
