/* ---
title = "The life of a resource: who created, changed and deleted it"
description = "Every event, of any kind, that names the resource; denied attempts included."
question = 5
[params.resource]
type = "resource"
required = true
description = "The resource's id as events give it: mostly a UUID, for an API key its access key."
--- */
SELECT
    recorded_at, kind, action, outcome, status_code, actor_id, source_ip,
    resource_type, resource_name, resource_created_at, resource_deleted_at, locality, event_id
FROM event_resources
WHERE recorded_at >= $since AND recorded_at < $until
    AND resource_id = $resource
ORDER BY recorded_at, kind, event_id, "position"
