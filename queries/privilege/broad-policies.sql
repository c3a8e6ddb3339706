/* ---
title = "Policies that grant a lot"
description = """
Policies made or changed with permission sets that amount to control of the Organization, denied attempts included.
A clone is always shown: its body does not say what it grants.
"""
question = 39
attack = ["T1098.003"]
severity = "high"
false_positives = ["Setting up an Organization, or Terraform that manages its policies."]
blind_spots = ["A principal that joins a group gains the group's policies without a new one: see AddGroupMember."]
[params.permission_sets]
type = "list[text]"
default = [
    "OrganizationManager", "AllProductsFullAccess", "IAMManager", "ProjectManager", "BillingManager",
    "SecretManagerFullAccess", "AuditTrailFullAccess", "InstancesFullAccess", "ObjectStorageFullAccess",
]
description = "Names of permission sets that count as broad."
--- */
WITH grants AS (
    SELECT
        *,
        list_filter($permission_sets, lambda s: contains(request_body, concat('"', s, '"'))) AS granted
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND method_name IN ('CreatePolicy', 'UpdatePolicy', 'ClonePolicy', 'SetRules')
)
SELECT
    recorded_at, method_name, principal_id, granted,
    coalesce(json_extract_string(request_body, '$.name'), resources[1].name) AS policy_name,
    coalesce(
        json_extract_string(request_body, '$.application_id'), json_extract_string(request_body, '$.applicationId'),
        json_extract_string(request_body, '$.user_id'), json_extract_string(request_body, '$.userId'),
        json_extract_string(request_body, '$.group_id'), json_extract_string(request_body, '$.groupId')
    ) AS granted_to,
    status_code, source_ip, user_agent, id
FROM grants
WHERE len(granted) > 0 OR method_name = 'ClonePolicy'
ORDER BY recorded_at, id
