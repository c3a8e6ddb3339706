/* ---
title = "Every login with a mailed code"
description = """
Logins with a code sent by e-mail, one row each, failed ones among them, and whether the user was ever let in from that
country before. Whoever logs in so reads the user's mail. For the time of an incident:
access/magic-code-from-new-country leaves out users of whom little is known, and countries that are not new.
"""
question = 15
attack = ["T1078.004"]
false_positives = ["Most rows: people who log in by mailed code every day."]
blind_spots = [
    "That a code was asked for and never entered leaves a call (InitiateMagicCodeLogin) and no login.",
    "An attacker who takes an exit in the victim's own country.",
]

[columns]
recorded_at = "When it was tried."
user_id = "Whose account."
outcome = "success or denied."
failure_reason = "Why it failed, as Scaleway says it."
country_code = "The country that Scaleway saw it in."
country_first_at = "When the user was first let in from that country; null for never."
source_ip = "The address."
user_agent = "With what."
organization_id = "The Organization."
id = "The event."

[[next]]
query = "scope/principal-timeline"
why = "What was done after it."
params = { principal = "user_id" }

[[next]]
query = "scope/principal-origins"
why = "Where the user comes from otherwise."
params = { principal = "user_id" }
--- */
WITH countries AS (
    SELECT organization_id, subject_id, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'country'
)
SELECT
    l.recorded_at, l.user_id, CASE WHEN l.succeeded THEN 'success' ELSE 'denied' END AS outcome, l.failure_reason,
    l.country_code, c.first_success_at AS country_first_at, l.source_ip, l.user_agent, l.organization_id, l.id
FROM logins AS l
LEFT JOIN countries AS c ON c.organization_id = l.organization_id AND c.subject_id = l.user_id
    AND c.value = l.country_code
WHERE l.recorded_at >= $since AND l.recorded_at < $until AND l.method = 'authentication_code'
ORDER BY ALL
