/* ---
title = "Encryption keys disabled, deleted, or their material replaced"
description = """
A key of Key Manager was disabled or deleted, its material deleted, or other material imported into one that was in use:
what is encrypted with it can then no longer be read. Importing into a key that was made within a day before is how such
a key begins, and is left out. Denied attempts count; undone_at says whether somebody took it back.
"""
question = 59
attack = ["T1485", "T1486", "T1490"]
severity = "high"
false_positives = ["A key that is retired after what it encrypted was moved: see whether another one was made before."]
blind_spots = [
    "What the key encrypted, and who used it: decrypting and encrypting leave no event.",
    "A key that was rotated: the old material can still decrypt.",
]

[params.setup]
type = "duration"
default = "1d"
description = "How long after a key was made material may be imported into it without a row."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it; null where the event does not say."
method_name = "DisableKey, DeleteKey, DeleteKeyMaterial or ImportKeyMaterial."
outcome = "success, denied or failure."
key_id = "The key; null where the event does not name it."
key_name = "Its name."
undone_at = "The first EnableKey, RestoreKey or import after it that succeeded, within the span; null where there is none."
undone_by = "Who did that."
locality = "The region."
project_id = "The Project."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} called {method_name} on the key {key_name} ({key_id}) from {source_ip} ({outcome})."
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
query = "scope/resource-history"
why = "The life of the key."
params = { resource = "key_id" }

[[next]]
query = "defence/protection-removed"
why = "Whether its protection was taken away before."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, status_code, locality, project_id, source_ip,
        user_agent,
        coalesce(
            resource_of(resources, 'key_manager_key'), body_text(request_body, 'key_id'), resources[1].id
        ) AS key_id,
        resources[1].name AS key_name
    FROM api_events
    WHERE recorded_at >= $since - $setup AND recorded_at < $until
        AND (method_name IN (
            'CreateKey', 'DisableKey', 'DeleteKey', 'DeleteKeyMaterial', 'ImportKeyMaterial', 'EnableKey', 'RestoreKey'
        )) IS TRUE
),
made AS (
    SELECT organization_id, key_id, recorded_at AS made_at
    FROM calls
    WHERE method_name = 'CreateKey' AND is_success(status_code) AND key_id IS NOT NULL
),
undone AS (
    SELECT d.id, arg_min({moment: u.recorded_at, who: u.principal_id}, (u.recorded_at, u.id)) AS undo
    FROM calls AS d
    JOIN calls AS u ON u.organization_id = d.organization_id AND u.key_id = d.key_id
        AND (u.recorded_at, u.id) > (d.recorded_at, d.id) AND is_success(u.status_code)
        AND (
            (d.method_name = 'DisableKey' AND u.method_name = 'EnableKey')
            OR (d.method_name = 'DeleteKey' AND u.method_name = 'RestoreKey')
            OR (d.method_name = 'DeleteKeyMaterial' AND u.method_name = 'ImportKeyMaterial')
        )
    WHERE is_success(d.status_code)
    GROUP BY d.id
)
SELECT
    c.recorded_at, c.principal_id, c.method_name, outcome_of(c.status_code) AS outcome, c.key_id, c.key_name,
    u.undo.moment AS undone_at, u.undo.who AS undone_by,
    c.locality, c.project_id, c.source_ip, c.user_agent, c.id
FROM calls AS c
LEFT JOIN undone AS u ON u.id = c.id
WHERE c.recorded_at >= $since
    AND (
        c.method_name IN ('DisableKey', 'DeleteKey', 'DeleteKeyMaterial')
        OR (
            c.method_name = 'ImportKeyMaterial'
            AND NOT EXISTS (
                SELECT 1 FROM made AS m
                WHERE m.organization_id = c.organization_id AND m.key_id = c.key_id
                    AND m.made_at <= c.recorded_at AND m.made_at >= c.recorded_at - $setup
            )
        )
    )
ORDER BY ALL
