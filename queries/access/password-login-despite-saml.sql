/* ---
title = "Local logins although single sign-on is enabled"
description = """
Logins with a password or a mailed code while the Organization has SAML enabled: EnableOrganizationSaml was seen and
no DeleteSaml since, or people were seen to log in by SAML. Whoever keeps a local way in goes round the identity
provider, its second factor and its block on people who left. A row is shown where it is unusual: the user has logged
in by SAML before, or this is the user's first local login since SAML was enabled. Failed attempts are shown too.
"""
question = 17
attack = ["T1078.004", "T1556.007"]
severity = "medium"
false_positives = [
    "The account kept for emergencies, when it is tried or needed.",
    "The days after SAML was enabled, until everybody has moved: each user once.",
]
blind_spots = [
    "SAML that was enabled before the archive begins, and by which nobody logged in since, is not known to be enabled.",
    "Users who never stopped using a password are shown once, and then no more.",
    "An API key needs no login at all.",
]
[params.history]
type = "duration"
default = "3650d"
description = "How far back SAML's being enabled and the user's earlier logins are looked for."
[columns]
recorded_at = "When."
user_id = "Who."
outcome = "success, or denied for a failed attempt."
method = "password or authentication_code."
why = "used single sign-on before, or first local login since it was enabled."
saml_enabled_at = "When SAML was last enabled, or, where that was not seen, when somebody first logged in by it."
last_saml_login_at = "When the user last logged in by SAML before this; null where never."
failure_reason = "Why it failed; null where it did not."
mfa_type = "The second factor; null where none was used."
source_ip = "The address."
country_code = "The country that Scaleway saw it in."
user_agent = "The user agent."
organization_id = "The Organization."
id = "The event's id."
[finding]
summary = "{principal} used a local login ({method}, {outcome}) from {source_ip} although SAML is enabled since {saml_enabled_at}: {why}."
key = ["organization_id", "user_id", "source_ip", "outcome"]
[[next]]
query = "scope/principal-timeline"
why = "What was done after the login."
params = { principal = "user_id" }
[[next]]
query = "scope/address-activity"
why = "What else came from the address."
params = { address = "source_ip" }
--- */
WITH changes AS (
    SELECT
        organization_id, recorded_at, id,
        CASE WHEN method_name = 'EnableOrganizationSaml' THEN 'enabled' ELSE 'deleted' END AS what
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (method_name IN ('EnableOrganizationSaml', 'DeleteSaml')) IS TRUE AND is_success(status_code)
),
attempts AS (
    SELECT
        organization_id, recorded_at, id, user_id, succeeded, failure_reason, method, mfa_type, source_ip, country_code,
        user_agent
    FROM logins
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND method IN ('password', 'authentication_code', 'saml')
),
steps AS (
    SELECT
        organization_id, recorded_at, id, what, NULL AS user_id, NULL AS succeeded
    FROM changes
    UNION ALL
    SELECT
        organization_id, recorded_at, id, CASE WHEN method = 'saml' THEN 'saml login' ELSE 'local login' END,
        user_id, succeeded
    FROM attempts
    WHERE method <> 'saml' OR succeeded
),
-- SAML by which somebody logs in is enabled: the first such login stands for a call that was not seen.
followed AS (
    SELECT
        organization_id, recorded_at, id, what, user_id, succeeded,
        max(CASE WHEN what = 'deleted' THEN recorded_at END)
            OVER (PARTITION BY organization_id ORDER BY recorded_at, id ROWS UNBOUNDED PRECEDING) AS deleted_at
    FROM steps
),
states AS (
    SELECT
        organization_id, recorded_at, id, what, user_id, succeeded,
        coalesce(
            max(CASE WHEN what = 'enabled' THEN recorded_at END)
                OVER (PARTITION BY organization_id, deleted_at ORDER BY recorded_at, id ROWS UNBOUNDED PRECEDING),
            min(CASE WHEN what = 'saml login' THEN recorded_at END)
                OVER (PARTITION BY organization_id, deleted_at ORDER BY recorded_at, id ROWS UNBOUNDED PRECEDING)
        ) AS saml_enabled_at,
        max(CASE WHEN what = 'saml login' THEN recorded_at END)
            OVER (PARTITION BY organization_id, user_id ORDER BY recorded_at, id ROWS UNBOUNDED PRECEDING)
            AS last_saml_login_at
    FROM followed
),
histories AS (
    SELECT
        id, user_id, organization_id, recorded_at, saml_enabled_at, last_saml_login_at,
        count(*) FILTER (WHERE succeeded) OVER (
            PARTITION BY organization_id, user_id, saml_enabled_at ORDER BY recorded_at, id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS earlier_local
    FROM states
    WHERE what = 'local login' AND saml_enabled_at IS NOT NULL
)
SELECT
    a.recorded_at, a.user_id, CASE WHEN a.succeeded THEN 'success' ELSE 'denied' END AS outcome, a.method,
    CASE WHEN h.last_saml_login_at IS NOT NULL THEN 'used single sign-on before'
        ELSE 'first local login since it was enabled' END AS why,
    h.saml_enabled_at, h.last_saml_login_at, a.failure_reason, a.mfa_type, a.source_ip, a.country_code, a.user_agent,
    a.organization_id, a.id
FROM attempts AS a
JOIN histories AS h ON h.organization_id = a.organization_id AND h.id = a.id
WHERE a.recorded_at >= $since
    AND (h.last_saml_login_at IS NOT NULL OR coalesce(h.earlier_local, 0) = 0)
ORDER BY ALL
