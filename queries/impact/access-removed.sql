/* ---
title = "Access taken from users, applications and groups"
description = """
Every call that takes access away: members locked, users, applications, groups, policies, keys and sessions deleted,
members removed from groups or replaced, passwords and second factors of users changed. With whom it was taken from,
where the event says it. It is what an attacker does to responders, and what responders do to an attacker; denied
attempts count. impact/responders-locked-out says where several were hit at once.
"""
question = 62
attack = ["T1531"]
false_positives = ["Somebody leaves; keys are rotated; Terraform changes policies."]
blind_spots = ["Who is hit by the deletion of a policy or a group: the directory has its members, the event has not."]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "The call."
outcome = "success, denied or failure."
taken_from = "The users and applications that the event names; without the principal itself."
own = "Whether the event names nobody but the principal itself."
resource_ids = "All that the event names: keys, policies, groups."
resource_names = "Its names."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "containment/after-containment"
why = "Whether those whose access was taken still acted."
--- */
WITH calls AS (
    SELECT
        recorded_at, id, principal_id, method_name, status_code, resources, source_ip, user_agent,
        list_sort(list_distinct(list_filter(
            list_concat(
                list_concat(
                    [body_text(request_body, 'user_id'), body_text(request_body, 'application_id')],
                    resources_of(resources, 'account_user')
                ),
                list_concat(resources_of(resources, 'iam_user'), resources_of(resources, 'iam_application'))
            ),
            lambda x: x IS NOT NULL
        ))) AS named
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (method_name IN (
            'LockMember', 'LockUser', 'RemoveGroupMember', 'DeletePolicy', 'DeleteGroup', 'DeleteApplication',
            'DeleteJWT', 'DeleteAPIKey', 'UpdateUserPassword', 'ChangeUserPassword', 'UpdateUserUsername',
            'ChangeUserEmail', 'DeleteMFAOTP', 'DeleteUserMFAOTP', 'DeleteWebAuthnAuthenticator', 'DeleteUser',
            'SetGroupMembers'
        )) IS TRUE
        AND (method_name <> 'DeleteUser' OR coalesce(product_name, 'iam') IN ('iam', 'account'))
)
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome,
    list_filter(named, lambda x: x IS DISTINCT FROM principal_id) AS taken_from,
    len(named) > 0 AND len(list_filter(named, lambda x: x IS DISTINCT FROM principal_id)) = 0 AS own,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names,
    source_ip, user_agent, id
FROM calls
ORDER BY recorded_at, id
