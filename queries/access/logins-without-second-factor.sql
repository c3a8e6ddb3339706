/* ---
title = "Logins with a password or a mailed code alone"
description = """
Successful logins for which no second factor was used. Federated logins (SAML, OAuth2) answer for their own and are
left out. As a finding it is one for each user and method, not for each login: an account to be mended, and the first
to look at when a password was stolen.
"""
question = 14
attack = ["T1078.004"]
severity = "low"
false_positives = ["An Organization that does not ask for a second factor."]
blind_spots = [
    "Whether the second factor behind a federated login was asked for is known to the identity provider alone.",
    "An API key needs no second factor: its calls are no logins.",
]
[columns]
recorded_at = "When."
user_id = "Who logged in."
user_name = "What the event called the user."
outcome = "success: only logins that worked are shown."
method = "password or authentication_code; null where the event does not say."
mfa_type = "Null, or a type that Scaleway itself calls unknown."
source_ip = "The address."
country_code = "The country that Scaleway saw it in."
origin = "public_api or admin_api."
user_agent = "The user agent."
id = "The event's id."
[finding]
summary = "{principal} logged in with {method} alone, without a second factor, from {source_ip} ({country_code})."
key = ["user_id", "method"]
[[next]]
query = "scope/principal-origins"
why = "Whether the address is usual for the user."
params = { principal = "user_id" }
[[next]]
query = "scope/principal-timeline"
why = "What was done after the login."
params = { principal = "user_id" }
--- */
SELECT
    recorded_at,
    login_user(resources) AS user_id,
    list_filter(resources, lambda r: r.type IN ('iam_user', 'account_user') AND r.id IS NOT NULL)[1].name AS user_name,
    'success' AS outcome,
    method, mfa_type, source_ip, country_code, origin, user_agent, id
FROM authentication_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND result = 'success'
    AND (mfa_type IS NULL OR mfa_type LIKE 'unknown%')
    AND (method IS NULL OR method NOT IN ('saml', 'oauth2'))
ORDER BY recorded_at, id
