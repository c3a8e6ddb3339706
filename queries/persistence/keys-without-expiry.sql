/* ---
title = "API keys that never expire"
description = """
Every API key in the directory that has no expiry, with whom it belongs to and from where it was created. Keys that
are gone are among them, with the time: who stole one may have used it until then.
"""
question = 25
attack = ["T1098.001"]
false_positives = ["Keys of automation from before the Organization limited how long keys may live."]
blind_spots = ["Keys that came and went between two looks at the directory: see persistence/api-keys-created."]

[columns]
created_at = "When the key was made."
organization_id = "The Organization."
access_key = "The key."
name = "What it is called."
principal_id = "Whose it is."
principal_name = "What that is called."
principal_type = "user, application or unknown."
creation_ip = "The address that it was made from."
deleted_at = "When the directory no longer listed it; null while it does."

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
    k.created_at, k.organization_id, k.id AS access_key, k.name,
    coalesce(k.user_id, k.application_id) AS principal_id, p.name AS principal_name, p.type AS principal_type,
    k.creation_ip, k.deleted_at
FROM api_keys AS k
LEFT JOIN principals AS p
    ON p.organization_id = k.organization_id AND p.id = coalesce(k.user_id, k.application_id)
WHERE k.expires_at IS NULL
ORDER BY ALL
