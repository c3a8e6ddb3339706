/* ---
title = "API keys whose owner has not acted since"
description = """
API keys that the directory lists now, and whose owner no event shows since a time. Events carry no key: that an owner
acted does not say with which of the keys, so a key that is missing here may be unused all the same.
"""
question = 25
answer = "partly"
attack = ["T1098.001"]
false_positives = ["Keys used only for what leaves no event: lists and reads, Object Storage, most of the products."]
blind_spots = ["Which key was used; calls of products that do not report events; events that were never read."]

[params.unused_since]
type = "timestamp"
default = "90d"
description = "Keys whose owner acted at this time or later are left out."

[columns]
owner_last_acted_at = "The owner's last event that is held; null where there is none."
organization_id = "The Organization."
access_key = "The key."
name = "What it is called."
principal_id = "Whose it is."
principal_name = "What that is called."
principal_type = "user, application or unknown."
created_at = "When the key was made."
expires_at = "When it expires; null for never."
creation_ip = "The address that it was made from."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/resource-history"
why = "The key's life in the trail."
params = { resource = "access_key" }
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
