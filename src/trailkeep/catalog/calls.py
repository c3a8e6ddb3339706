"""The text of the views of what an investigator looks for first: logins, grants of rights, and new credentials.

Each is made row by row, so that bounds in time reach the files, and denied calls are in it as those that succeeded are.
The engine makes a condition of the scan itself of `(... IN (...)) IS TRUE`, and so takes bodies and resources of the
rows it holds for alone; of a plain `IN` it does not, and decodes those of every row.
"""

from __future__ import annotations

LOGINS = """
CREATE VIEW main.logins AS
SELECT
    id, recorded_at, organization_id,
    login_user(resources) AS user_id,
    result,
    result IS NOT DISTINCT FROM 'success' AS succeeded,
    failure_reason, method, mfa_type, origin, country_code, source_ip, user_agent
FROM main.authentication_events
"""

GRANTS = """
CREATE VIEW main.grants AS
SELECT
    id, recorded_at, organization_id, principal_id, method_name,
    outcome_of(status_code) AS outcome,
    coalesce(resource_of(resources, 'iam_policy'), body_text(request_body, 'policy_id')) AS policy_id,
    coalesce(
        resource_of(resources, 'iam_group'), body_text(request_body, 'group_id'),
        nullif(body_every(request_body, 'group_id')[1], '')
    ) AS group_id,
    list_sort(list_distinct(list_filter(
        list_concat(
            list_concat(
                list_append(
                    list_concat(body_every(request_body, 'user_id'), body_every(request_body, 'application_id')),
                    CASE WHEN method_name NOT IN ('AddGroupMember', 'AddGroupMembers', 'SetGroupMembers') THEN
                        coalesce(
                            nullif(body_every(request_body, 'group_id')[1], ''), resource_of(resources, 'iam_group')
                        )
                    END
                ),
                list_concat(body_every(request_body, 'user_ids'), body_every(request_body, 'application_ids'))
            ),
            list_concat(
                list_concat(resources_of(resources, 'iam_user'), resources_of(resources, 'account_user')),
                resources_of(resources, 'iam_application')
            )
        ),
        lambda g: g <> ''
    ))) AS grantee_ids,
    body_every(request_body, 'permission_set_names') AS permission_sets,
    broad_permissions(request_body) AS broad,
    source_ip, user_agent, request_body
FROM main.api_events
WHERE (method_name IN (
    'CreatePolicy', 'UpdatePolicy', 'ClonePolicy', 'SetRules', 'AddGroupMember', 'AddGroupMembers', 'SetGroupMembers'
)) IS TRUE
"""

CREATIONS = """
CREATE VIEW main.creations AS
SELECT
    id, recorded_at, organization_id, principal_id, method_name, product_name,
    outcome_of(status_code) AS outcome,
    made_type,
    CASE made_type
        WHEN 'user' THEN login_user(resources)
        WHEN 'application' THEN resource_of(resources, 'iam_application')
        WHEN 'api_key' THEN coalesce(resource_of(resources, 'iam_api_key'), body_text(request_body, 'access_key'))
        WHEN 'ssh_key' THEN coalesce(
            resource_of(resources, 'iam_ssh_key'),
            list_filter(resources, lambda r: contains(r.type, 'ssh_key') AND r.id IS NOT NULL)[1].id
        )
        WHEN 'token' THEN list_filter(
            resources, lambda r: regexp_matches(r.type, 'token|jwt') AND r.id IS NOT NULL
        )[1].id
        ELSE list_filter(resources, lambda r: regexp_matches(r.type, '_user$') AND r.id IS NOT NULL)[1].id
    END AS made_id,
    coalesce(
        body_text(request_body, 'name'), body_text(request_body, 'email'), body_text(request_body, 'username'),
        nullif(list_filter(resources, lambda r: CASE made_type
            WHEN 'token' THEN regexp_matches(r.type, 'token|jwt')
            WHEN 'database_user' THEN regexp_matches(r.type, '_user$')
            WHEN 'user' THEN r.type IN ('iam_user', 'account_user')
            ELSE contains(r.type, made_type) END)[1].name, '')
    ) AS made_name,
    CASE
        WHEN made_type = 'user' THEN login_user(resources)
        WHEN made_type = 'application' THEN resource_of(resources, 'iam_application')
        WHEN made_type = 'api_key' OR method_name = 'CreateJWT' THEN coalesce(
            body_text(request_body, 'application_id'), body_text(request_body, 'user_id'),
            nullif(body_every(request_body, 'application_id')[1], ''),
            nullif(body_every(request_body, 'user_id')[1], ''),
            resource_of(resources, 'iam_application'), login_user(resources)
        )
    END AS bearer_id,
    body_text(request_body, 'expires_at') AS expires_at,
    source_ip, user_agent, resources
FROM (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, product_name, status_code, request_body,
        source_ip, user_agent, resources,
        CASE
            WHEN method_name = 'CreateApplication' THEN 'application'
            WHEN method_name = 'CreateAPIKey' THEN 'api_key'
            WHEN method_name = 'CreateSSHKey' THEN 'ssh_key'
            WHEN method_name IN ('CreateJWT', 'CreateToken', 'CreateScimToken') THEN 'token'
            WHEN method_name = 'CreateUser' AND coalesce(product_name, 'iam') NOT IN ('iam', 'account')
                AND coalesce(service_name, '') NOT LIKE 'scaleway.iam.%' THEN 'database_user'
            ELSE 'user'
        END AS made_type
    FROM main.api_events
    WHERE (method_name IN (
        'CreateUser', 'JoinUserConnection', 'CreateApplication', 'CreateAPIKey', 'CreateSSHKey', 'CreateJWT',
        'CreateToken', 'CreateScimToken'
    )) IS TRUE
)
"""

OF_CALLS = {"main.logins": LOGINS, "main.grants": GRANTS, "main.creations": CREATIONS}
"""These views, by their full names."""
