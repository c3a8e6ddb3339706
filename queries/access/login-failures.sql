/* ---
title = "Failed logins by address"
description = """
Addresses with many failed logins. Few users and many failures is guessing, many users is spraying or stuffing;
`successes` from the same address says whether it worked. This is the overview, by the whole span; access/spraying and
access/second-factor-bursts are the detections.
"""
question = 12
attack = ["T1110.001", "T1110.003", "T1110.004"]
false_positives = ["An office behind one address whose people mistype their passwords."]
blind_spots = [
    "An attacker who changes the address with every attempt stays below the threshold.",
    "Attempts for users whom the Organization does not have leave no event in it.",
]
[params.minimum]
type = "integer"
default = 5
description = "Fewest failures of one address."
[columns]
source_ip = "The address; null for failures without one."
failures = "How many logins failed."
users = "For how many different users."
successes = "How many logins from there succeeded."
second_factor_failures = "How many failed at the second factor: the password was right."
first_at = "The first failure."
last_at = "The last failure."
countries = "The countries that Scaleway saw the address in."
user_ids = "The users whose logins failed."
methods = "The methods tried."
first_event_id = "The id of the first failure."
last_event_id = "The id of the last failure."
[[next]]
query = "access/failed-then-success"
why = "Which of the successes came right after failures."
[[next]]
query = "scope/address-activity"
why = "What else came from the address."
params = { address = "source_ip" }
--- */
SELECT
    source_ip,
    count(*) FILTER (WHERE result <> 'success') AS failures,
    count(DISTINCT user_id) FILTER (WHERE result <> 'success') AS users,
    count(*) FILTER (WHERE succeeded) AS successes,
    count(*) FILTER (WHERE failure_reason = 'invalid_mfa') AS second_factor_failures,
    min(recorded_at) FILTER (WHERE result <> 'success') AS first_at,
    max(recorded_at) FILTER (WHERE result <> 'success') AS last_at,
    coalesce(list_sort(list(DISTINCT country_code) FILTER (WHERE country_code IS NOT NULL)), []) AS countries,
    coalesce(list_sort(list(DISTINCT user_id) FILTER (WHERE result <> 'success' AND user_id IS NOT NULL)), [])
        AS user_ids,
    coalesce(list_sort(list(DISTINCT method) FILTER (WHERE result <> 'success' AND method IS NOT NULL)), []) AS methods,
    arg_min(id, (recorded_at, id)) FILTER (WHERE result <> 'success') AS first_event_id,
    arg_max(id, (recorded_at, id)) FILTER (WHERE result <> 'success') AS last_event_id
FROM logins
WHERE recorded_at >= $since AND recorded_at < $until
GROUP BY source_ip
HAVING count(*) FILTER (WHERE result <> 'success') >= $minimum
ORDER BY failures DESC, source_ip NULLS LAST
