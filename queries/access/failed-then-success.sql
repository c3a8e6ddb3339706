/* ---
title = "Logins that succeeded after failures"
description = "A successful login after several failed ones of the same user, or from the same address, shortly before."
question = 11
attack = ["T1110.001", "T1078.004"]
severity = "high"
false_positives = ["Somebody who forgot the password, and remembered it."]
blind_spots = ["Guessing slower than the window, from changing addresses, for changing users."]
[params.failures]
type = "integer"
default = 3
description = "Fewest failures before the success."
[params.window]
type = "duration"
default = "10m"
description = "How long before the success failures count."
--- */
WITH logins AS (
    SELECT
        id, recorded_at, source_ip, user_agent, country_code, method, mfa_type, result,
        list_filter(resources, lambda r: r.type IN ('iam_user', 'account_user'))[1].id AS user_id
    FROM authentication_events
    WHERE recorded_at >= $since - $window AND recorded_at < $until
),
failed AS (SELECT id, recorded_at, source_ip, user_id FROM logins WHERE result = 'failure'),
succeeded AS (SELECT * FROM logins WHERE result = 'success' AND recorded_at >= $since),
related AS (
    SELECT s.id AS success_id, f.id AS failure_id, f.recorded_at AS failed_at
    FROM succeeded AS s
    JOIN failed AS f ON f.user_id = s.user_id
        AND f.recorded_at >= s.recorded_at - $window AND f.recorded_at <= s.recorded_at
    UNION
    SELECT s.id, f.id, f.recorded_at
    FROM succeeded AS s
    JOIN failed AS f ON f.source_ip = s.source_ip
        AND f.recorded_at >= s.recorded_at - $window AND f.recorded_at <= s.recorded_at
)
SELECT
    s.recorded_at, s.user_id, s.source_ip, s.country_code, s.method, s.mfa_type, s.user_agent,
    count(*) AS failures, min(related.failed_at) AS first_failure_at, s.id
FROM succeeded AS s
JOIN related ON related.success_id = s.id
GROUP BY ALL
HAVING count(*) >= $failures
ORDER BY s.recorded_at, s.id
