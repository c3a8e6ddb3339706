/* ---
title = "Logins with a password or a mailed code alone"
description = "Successful logins for which no second factor was used. Federated logins answer for their own."
question = 14
attack = ["T1078.004"]
severity = "low"
false_positives = ["An Organization that does not ask for a second factor."]
--- */
SELECT
    recorded_at,
    list_filter(resources, lambda r: r.type IN ('iam_user', 'account_user'))[1].id AS user_id,
    list_filter(resources, lambda r: r.type IN ('iam_user', 'account_user'))[1].name AS user_name,
    method, mfa_type, source_ip, country_code, origin, user_agent, id
FROM authentication_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND result = 'success'
    AND (mfa_type IS NULL OR mfa_type LIKE 'unknown%')
    AND (method IS NULL OR method NOT IN ('saml', 'oauth2'))
ORDER BY recorded_at, id
