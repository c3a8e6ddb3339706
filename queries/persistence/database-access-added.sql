/* ---
title = "Users, rights, addresses and endpoints added to databases"
description = """
Calls after which somebody reaches a database who did not before: a user made or given another password, privileges or
roles set, addresses put on the access list, an endpoint or a read replica's endpoint added, a replica made a database
of its own. Managed PostgreSQL and MySQL, MongoDB, data warehouses and Redis. Denied attempts are among them.
"""
question = 38
attack = ["T1136", "T1686.001"]
severity = "info"
false_positives = ["Deployments of applications with a database, analysts with a new address."]
blind_spots = ["What is done inside of a database, users made there by SQL among it, is in no trail of Scaleway's."]

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
product_name = "The product."
method_name = "The method called."
what = "user, administrator, privilege, role, addresses, endpoint or replica."
database_id = "The instance or deployment; null where the event does not say it."
resource_names = "What was acted on."
user_name = "The database's user that the body names."
permission = "The privilege or roles that the body names."
ranges = "The addresses that the body names."
to_the_world = "Whether everybody is among them."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
first_time = "Whether the principal never succeeded with this method before, in all that is held."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal}: {what} added to the database {database_id} of {product_name} with {method_name} {user_name}{ranges} from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/resource-history"
why = "What else was done to the database."
params = { resource = "database_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, product_name, method_name, status_code, source_ip, user_agent,
        resources, request_body
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (method_name IN (
            'SetPrivilege', 'SetUserRole', 'AddInstanceACLRules', 'SetInstanceACLRules', 'CreateReadReplica',
            'CreateReadReplicaEndpoint', 'PromoteReadReplica',
            'CreateUser', 'UpdateUser', 'CreateEndpoint', 'MigrateEndpoint', 'AddACLRules', 'SetACLRules',
            'AddAclRules', 'SetAclRules', 'SetEndpoints', 'AddEndpoints'
        )) IS TRUE
        -- IAM and others have methods of some of these names, too.
        AND (
            method_name IN (
                'SetPrivilege', 'SetUserRole', 'AddInstanceACLRules', 'SetInstanceACLRules', 'CreateReadReplica',
                'CreateReadReplicaEndpoint', 'PromoteReadReplica'
            )
            OR regexp_matches(
                lower(concat(product_name, ' ', service_name)), 'rdb|mongo|warehouse|clickhouse|redis|sql|database'
            )
        )
),
methods AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
)
SELECT
    c.recorded_at, c.principal_id, c.product_name, c.method_name,
    CASE
        WHEN c.method_name IN ('CreateUser', 'UpdateUser') THEN
            CASE WHEN body_text(c.request_body, 'is_admin') = 'true' THEN 'administrator' ELSE 'user' END
        WHEN c.method_name = 'SetPrivilege' THEN 'privilege'
        WHEN c.method_name = 'SetUserRole' THEN 'role'
        WHEN contains(lower(c.method_name), 'acl') THEN 'addresses'
        WHEN contains(c.method_name, 'Endpoint') THEN 'endpoint'
        ELSE 'replica'
    END AS what,
    coalesce(
        list_filter(c.resources, lambda r: regexp_matches(r.type, '_(instance|deployment|cluster)$'))[1].id,
        body_text(c.request_body, 'instance_id'), body_text(c.request_body, 'deployment_id'),
        resource_ids(c.resources)[1]
    ) AS database_id,
    resource_names(c.resources) AS resource_names,
    coalesce(
        body_text(c.request_body, 'user_name'),
        CASE WHEN c.method_name IN ('CreateUser', 'UpdateUser') THEN body_text(c.request_body, 'name') END
    ) AS user_name,
    coalesce(
        body_text(c.request_body, 'permission'), nullif(array_to_string(body_every(c.request_body, 'role'), ', '), '')
    ) AS permission,
    body_every(c.request_body, 'ip') AS ranges, len(world_ranges(c.request_body)) > 0 AS to_the_world,
    outcome_of(c.status_code) AS outcome, c.status_code,
    coalesce(m.first_success_at >= c.recorded_at, true) AS first_time,
    c.source_ip, c.user_agent, c.id
FROM calls AS c
LEFT JOIN methods AS m ON m.organization_id = c.organization_id AND m.subject_id = c.principal_id
    AND m.value = c.method_name AND m.subject_type = 'principal' AND m.dimension = 'method'
ORDER BY c.recorded_at, c.id
