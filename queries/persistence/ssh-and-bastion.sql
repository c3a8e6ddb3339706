/* ---
title = "SSH keys added or enabled again, bastions and consoles opened"
description = """
Ways to a shell: an SSH key added to a Project or enabled again, keys read anew by a gateway, an SSH bastion switched
on or opened to more addresses, the remote console (BMC) of a machine opened. An SSH key works on every machine of its
Project that is installed or started later. Denied attempts are among them.
"""
question = 30
attack = ["T1098.004"]
severity = "low"
false_positives = [
    "Colleagues with a new laptop, and offices with a new address: first_time is false for who does it as a rule.",
]
blind_spots = ["What is in authorized_keys on a machine, and who logs in there, is in no trail of Scaleway's."]

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
what = "SSH key added, enabled again or altered (where the body is missing), SSH keys refreshed, bastion enabled, bastion opened, remote console opened."
resource_ids = "The SSH key, gateway or server."
resource_names = "Their names."
ranges = "The addresses that the bastion or console is opened to."
to_the_world = "Whether that is everybody."
project_id = "The Project."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
first_time = "Whether the principal never succeeded with this method before, in all that is held."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal}: {what} ({resource_names}) from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "persistence/from-new-origin"
why = "Whether it came from where the principal never was."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }

[[next]]
query = "scope/address-activity"
why = "Who else came from there."
params = { address = "source_ip" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, project_id, status_code, source_ip, user_agent,
        resources, request_body,
        CASE
            WHEN method_name = 'CreateSSHKey' THEN 'SSH key added'
            WHEN method_name = 'UpdateSSHKey' AND request_body IS NULL THEN 'SSH key altered'
            WHEN method_name = 'UpdateSSHKey' AND body_text(request_body, 'disabled') = 'false'
                THEN 'SSH key enabled again'
            WHEN method_name = 'RefreshSSHKeys' THEN 'SSH keys refreshed'
            WHEN method_name IN ('AddBastionAllowedIPs', 'SetBastionAllowedIPs') THEN 'bastion opened'
            WHEN method_name IN ('CreateGateway', 'UpdateGateway')
                AND body_text(request_body, 'enable_bastion') = 'true' THEN 'bastion enabled'
            WHEN method_name = 'StartBMCAccess' THEN 'remote console opened'
        END AS what
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (method_name IN (
            'CreateSSHKey', 'UpdateSSHKey', 'RefreshSSHKeys', 'AddBastionAllowedIPs', 'SetBastionAllowedIPs',
            'CreateGateway', 'UpdateGateway', 'StartBMCAccess'
        )) IS TRUE
),
methods AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
)
SELECT
    c.recorded_at, c.principal_id, c.method_name, c.what,
    resource_ids(c.resources) AS resource_ids, resource_names(c.resources) AS resource_names,
    list_concat(
        list_concat(body_list(c.request_body, 'ip_ranges'), body_list(c.request_body, 'bastion_allowed_ips')),
        list_filter([body_text(c.request_body, 'ip')], lambda a: a IS NOT NULL)
    ) AS ranges,
    len(world_ranges(c.request_body)) > 0 AS to_the_world, c.project_id,
    outcome_of(c.status_code) AS outcome, c.status_code,
    coalesce(m.first_success_at >= c.recorded_at, true) AS first_time,
    c.source_ip, c.user_agent, c.id
FROM calls AS c
LEFT JOIN methods AS m ON m.organization_id = c.organization_id AND m.subject_id = c.principal_id
    AND m.value = c.method_name AND m.subject_type = 'principal' AND m.dimension = 'method'
WHERE c.what IS NOT NULL
ORDER BY c.recorded_at, c.id
