/* ---
title = "The life of a resource: who created, changed and deleted it"
description = """
Every event, of any kind, that names the resource, denied attempts included, with what it did to it. Calls that name
its id only in their body are shown too: what was attached to it, granted on it, or copied from it, and attempts that
were denied, whose events name no resource.
"""
question = 5
attack = ["T1578"]
blind_spots = [
    "Who read it is not logged: secrets, objects, backups downloaded by a link made earlier.",
    "What it was made from and what was made of it have lives of their own: follow the ids in the bodies.",
    "Life before the archive's first event is known only by the time at which it was made, in resource_created_at.",
]
[params.resource]
type = "resource"
required = true
description = "The resource's id as events give it: mostly a UUID, for an API key its access key."
[columns]
recorded_at = "When."
kind = "api: a call; authentication: a login; system: what Scaleway itself did."
step = "created, changed, deleted (the call's first word, and that it succeeded), attempted (denied or failed), or touched."
action = "The method called, Login/METHOD for a login, KIND/SYSTEM for what Scaleway did."
outcome = "success, denied or failure; null for what Scaleway did."
status_code = "The HTTP status of a call."
actor_id = "Who acted; null where Scaleway did."
source_ip = "The address; null for all of Kubernetes and for what Scaleway did."
client = "The family of the user agent."
named_in = "resources, or body: only the call's body names it."
resource_type = "What the event says it is."
resource_name = "What it was called then."
resource_created_at = "When it was made, as the event says."
resource_deleted_at = "When it was deleted, as the event says."
locality = "The region or zone."
product_name = "The product."
request_body = "The call's body, which says what was changed to what."
event_id = "The event's id."
[[next]]
query = "scope/principal-timeline"
why = "What else the actor did."
params = { principal = "actor_id" }
[[next]]
query = "scope/address-activity"
why = "What else came from the same address."
params = { address = "source_ip" }
--- */
WITH named AS (
    SELECT
        recorded_at, kind, action, outcome, status_code, actor_id, source_ip, user_agent, resource_type, resource_name,
        resource_created_at, resource_deleted_at, locality, product_name, event_id, "position"
    FROM event_resources
    WHERE recorded_at >= $since AND recorded_at < $until
        AND resource_id = $resource
),
calls AS (
    SELECT
        recorded_at, method_name, status_code, principal_id, source_ip, user_agent, locality, product_name,
        request_body, id
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        -- As one text of the body, in whichever field.
        AND contains(request_body, concat('"', $resource, '"'))
),
told AS (
    SELECT
        n.recorded_at, n.kind, n.action, n.outcome, n.status_code, n.actor_id, n.source_ip, n.user_agent,
        'resources' AS named_in, n.resource_type, n.resource_name, n.resource_created_at, n.resource_deleted_at,
        n.locality, n.product_name, b.request_body, n.event_id, n."position"
    FROM named AS n
    LEFT JOIN (
        SELECT id, request_body
        FROM api_events
        WHERE recorded_at >= $since AND recorded_at < $until
            AND list_contains(resource_ids(resources), $resource)
    ) AS b ON b.id = n.event_id AND n.kind = 'api'
    UNION ALL
    SELECT
        c.recorded_at, 'api', c.method_name, outcome_of(c.status_code), c.status_code, c.principal_id, c.source_ip,
        c.user_agent, 'body', NULL, NULL, NULL, NULL, c.locality, c.product_name, c.request_body, c.id, 0
    FROM calls AS c
    WHERE NOT EXISTS (SELECT 1 FROM named AS n WHERE n.event_id = c.id AND n.kind = 'api')
)
SELECT
    recorded_at, kind,
    CASE
        WHEN outcome IN ('denied', 'failure') THEN 'attempted'
        WHEN named_in = 'body' OR kind <> 'api' THEN 'touched'
        WHEN verb(action) = 'Create' THEN 'created'
        WHEN verb(action) = 'Delete' THEN 'deleted'
        WHEN action = 'ServerAction' AND body_text(request_body, 'action') = 'terminate' THEN 'deleted'
        ELSE 'changed'
    END AS step,
    action, outcome, status_code, actor_id, source_ip, user_agent_family(user_agent) AS client, named_in,
    resource_type, resource_name, resource_created_at, resource_deleted_at, locality, product_name, request_body,
    event_id
FROM told
ORDER BY ALL
