/* ---
title = "Failed logins by address"
description = """
Addresses with many failed logins. Few users and many failures is guessing, many users is spraying or stuffing;
`successes` from the same address says whether it worked.
"""
question = 12
attack = ["T1110.001", "T1110.003", "T1110.004"]
severity = "medium"
false_positives = ["An office behind one address whose people mistype their passwords."]
blind_spots = ["An attacker who changes the address with every attempt stays below the threshold."]
[params.minimum]
type = "integer"
default = 5
description = "Fewest failures of one address."
--- */
WITH logins AS (
    SELECT
        id, recorded_at, source_ip, country_code, result, failure_reason,
        list_filter(resources, lambda r: r.type IN ('iam_user', 'account_user'))[1].id AS user_id
    FROM authentication_events
    WHERE recorded_at >= $since AND recorded_at < $until
)
SELECT
    source_ip,
    count(*) FILTER (WHERE result = 'failure') AS failures,
    count(DISTINCT user_id) FILTER (WHERE result = 'failure') AS users,
    count(*) FILTER (WHERE result = 'success') AS successes,
    count(*) FILTER (WHERE failure_reason = 'invalid_mfa') AS second_factor_failures,
    min(recorded_at) FILTER (WHERE result = 'failure') AS first_at,
    max(recorded_at) FILTER (WHERE result = 'failure') AS last_at,
    list_sort(list(DISTINCT country_code) FILTER (WHERE country_code IS NOT NULL)) AS countries
FROM logins
GROUP BY source_ip
HAVING count(*) FILTER (WHERE result = 'failure') >= $minimum
ORDER BY failures DESC, source_ip NULLS LAST
