/* ---
title = "Federation and login rules changed: SAML, certificates, SCIM"
description = """
Calls that change whom the Organization trusts to say who somebody is: SAML switched on, changed or deleted, a
certificate added or deleted, SCIM switched on or off, a SCIM token made, the ways to log in or the security settings
changed. Whoever holds a trusted certificate can log in as anybody. Denied attempts are among them.
"""
question = 32
attack = ["T1484.002", "T1556.007"]
severity = "high"
false_positives = [
    "The yearly change of a certificate, and the day that single sign-on is set up: both are announced.",
]
blind_spots = [
    "What the identity provider itself does: users and groups that it brings are not made by a principal here.",
    "Not every one of these methods is documented as logged: they are known by parts of their names.",
]

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
what = "What is changed: SAML, certificate, SCIM, SCIM token, login methods, security settings."
change = "added, changed or removed."
resource_ids = "What was acted on."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
first_time = "Whether the principal never succeeded with this method before, in all that is held."
request_body = "What was asked for, such as the identity provider's address."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal}: {what} {change} with {method_name} from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "access/new-networks"
why = "Who logged in from elsewhere since."

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
        id, recorded_at, organization_id, principal_id, method_name, status_code, source_ip, user_agent, resources,
        request_body,
        CASE
            WHEN contains(lower(method_name), 'certificate') THEN 'certificate'
            WHEN contains(lower(method_name), 'saml') THEN 'SAML'
            WHEN contains(lower(method_name), 'scimtoken') THEN 'SCIM token'
            WHEN contains(lower(method_name), 'scim') THEN 'SCIM'
            WHEN contains(method_name, 'LoginMethods') THEN 'login methods'
            ELSE 'security settings'
        END AS what,
        CASE
            WHEN verb(method_name) IN ('Delete', 'Disable', 'Remove') THEN 'removed'
            WHEN verb(method_name) IN ('Create', 'Add', 'Enable') THEN 'added'
            ELSE 'changed'
        END AS change
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (
            -- InitiateSamlLogin and CreateSamlLogin are steps of a login.
            (regexp_matches(method_name, 'S[Aa][Mm][Ll]|S[Cc][Ii][Mm]') AND NOT method_name LIKE '%Login')
            OR method_name IN ('UpdateOrganizationLoginMethods', 'UpdateOrganizationSecuritySettings')
        )
),
methods AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
)
SELECT
    c.recorded_at, c.principal_id, c.method_name, c.what, c.change, resource_ids(c.resources) AS resource_ids,
    outcome_of(c.status_code) AS outcome, c.status_code,
    coalesce(m.first_success_at >= c.recorded_at, true) AS first_time,
    c.request_body, c.source_ip, c.user_agent, c.id
FROM calls AS c
LEFT JOIN methods AS m ON m.organization_id = c.organization_id AND m.subject_id = c.principal_id
    AND m.value = c.method_name AND m.subject_type = 'principal' AND m.dimension = 'method'
ORDER BY c.recorded_at, c.id
