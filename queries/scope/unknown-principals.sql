/* ---
title = "Principals that act and were never in the directory"
description = """
Who acted in events and was in no look at the directory: made and deleted between two looks, of another Organization,
or from before the first look. The name is what events gave it, where they did.
"""
question = 3
attack = ["T1078.004"]
severity = "medium"
false_positives = ["Everybody, where the directory was never read: compare with trailkeep status."]
blind_spots = ["Principals that were deleted before the first look at the directory look the same as short-lived ones."]
--- */
SELECT
    e.organization_id, e.actor_id AS principal_id,
    min(p.name) AS principal_name, min(p.type) AS principal_type,
    min(e.recorded_at) AS first_seen, max(e.recorded_at) AS last_seen, count(*) AS events,
    count(DISTINCT e.source_ip) AS addresses
FROM events AS e
LEFT JOIN principals AS p ON p.organization_id = e.organization_id AND p.id = e.actor_id
WHERE e.recorded_at >= $since AND e.recorded_at < $until
    AND e.actor_id IS NOT NULL
    AND p.source IS DISTINCT FROM 'directory'
GROUP BY e.organization_id, e.actor_id
ORDER BY first_seen, e.organization_id, principal_id
