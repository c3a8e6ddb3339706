/* ---
title = "Protection against deletion removed, and what was then deleted"
description = """
The protection of a secret, a key or a server was taken away: the step before its end. A second row comes when the
thing is then deleted or disabled within the window, with both events. Denied attempts count.
"""
question = 49
attack = ["T1490", "T1485"]
severity = "medium"
false_positives = ["Something that is taken down on purpose: the same principal protects and unprotects what it manages."]
blind_spots = [
    "Buckets with object lock, and databases: their protection is not taken away by such a call.",
    "Names of fields that are not known: `protected`, `is_protected` and `deletion_protection` are.",
]

[params.window]
type = "duration"
default = "7d"
description = "How long after its protection a thing that is deleted is shown."

[columns]
recorded_at = "When the protection was removed, or the thing deleted."
step = "unprotected, or deleted."
principal_id = "Who made this call."
method_name = "The call."
outcome = "success, denied or failure."
resource_id = "The secret, key or server."
resource_name = "Its name."
unprotected_at = "When the protection was removed."
unprotected_by = "Who removed it."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
locality = "The region or zone."
event_ids = "The removal of the protection, then the deletion where there is one."
id = "The event of this row."

[finding]
summary = "{resource_name} ({resource_id}) was {step} by {principal} with {method_name} from {source_ip} ({outcome}); its protection ended at {unprotected_at}."
key = ["id", "resource_id"]

[[next]]
query = "scope/resource-history"
why = "The life of the thing."
params = { resource = "resource_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }
--- */
WITH removals AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, status_code, source_ip, user_agent, locality,
        resources,
        coalesce(
            CASE method_name
                WHEN 'UnprotectSecret' THEN
                    coalesce(resource_of(resources, 'secret_manager_secret'), body_text(request_body, 'secret_id'))
                WHEN 'UnprotectKey' THEN
                    coalesce(resource_of(resources, 'key_manager_key'), body_text(request_body, 'key_id'))
                ELSE resource_of(resources, 'instance_server')
            END,
            resources[1].id
        ) AS resource_id
    FROM api_events
    WHERE recorded_at >= $since - $window AND recorded_at < $until
        AND (
            verb(method_name) IN ('Update', 'Set', 'Patch') OR method_name IN ('UnprotectSecret', 'UnprotectKey')
        ) IS TRUE
        AND (
            method_name IN ('UnprotectSecret', 'UnprotectKey')
            OR (
                contains(request_body, 'rotect')
                AND lower(coalesce(
                    body_text(request_body, 'protected'), body_text(request_body, 'is_protected'),
                    body_text(request_body, 'deletion_protection')
                )) = 'false'
            )
        )
),
ends AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, status_code, source_ip, user_agent, locality,
        unnest(list_distinct(list_append(
            resource_ids(resources),
            coalesce(body_text(request_body, 'secret_id'), body_text(request_body, 'key_id'))
        ))) AS resource_id
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (verb(method_name) = 'Delete' OR method_name IN ('DisableKey', 'ServerAction')) IS TRUE
        AND (method_name <> 'ServerAction' OR body_text(request_body, 'action') = 'terminate')
),
ended AS (
    SELECT
        e.organization_id, e.id, e.recorded_at, e.principal_id, e.method_name, e.status_code, e.source_ip, e.user_agent,
        e.locality, e.resource_id,
        arg_max(
            {
                id: r.id, recorded_at: r.recorded_at, principal_id: r.principal_id,
                name: list_filter(r.resources, lambda x: x.id = r.resource_id)[1].name
            },
            (r.recorded_at, r.id)
        ) AS removal
    FROM ends AS e
    JOIN removals AS r ON r.organization_id = e.organization_id AND r.resource_id = e.resource_id
        AND r.recorded_at <= e.recorded_at AND r.recorded_at >= e.recorded_at - $window
    WHERE is_success(r.status_code)
    GROUP BY ALL
)
SELECT
    recorded_at, 'unprotected' AS step, principal_id, method_name, outcome_of(status_code) AS outcome, resource_id,
    list_filter(resources, lambda x: x.id = resource_id)[1].name AS resource_name,
    recorded_at AS unprotected_at, principal_id AS unprotected_by, source_ip, user_agent, locality,
    [id] AS event_ids, id
FROM removals
WHERE recorded_at >= $since
UNION ALL
SELECT
    recorded_at, 'deleted', principal_id, method_name, outcome_of(status_code), resource_id, removal.name,
    removal.recorded_at, removal.principal_id, source_ip, user_agent, locality, [removal.id, id], id
FROM ended
ORDER BY ALL
