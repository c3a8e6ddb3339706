/* ---
title = "API keys whose owner has not acted since"
description = """
API keys that the directory lists now, and whose owner no event shows since a time. Events carry no key: that an owner
acted does not say with which of the keys, so a key that is missing here may be unused all the same.
"""
attack = ["T1098.001"]
severity = "low"
false_positives = ["Keys used only for what leaves no event: lists and reads, Object Storage, most of the products."]
blind_spots = ["Which key was used; calls of products that do not report events; events that were never read."]
[params.unused_since]
type = "timestamp"
default = "90d"
description = "Keys whose owner acted at this time or later are left out."
--- */
SELECT
    p.last_acted_at AS owner_last_acted_at, k.organization_id, k.id AS access_key, k.name,
    coalesce(k.user_id, k.application_id) AS principal_id, p.name AS principal_name, p.type AS principal_type,
    k.created_at, k.expires_at, k.creation_ip
FROM api_keys AS k
LEFT JOIN principals AS p
    ON p.organization_id = k.organization_id AND p.id = coalesce(k.user_id, k.application_id)
WHERE k.deleted_at IS NULL AND (p.last_acted_at IS NULL OR p.last_acted_at < $unused_since)
ORDER BY ALL
