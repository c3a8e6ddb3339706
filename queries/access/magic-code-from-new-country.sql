/* ---
title = "Logins with a mailed code from a country that is new for the user"
description = """
A login with a code sent by e-mail from a country from which no login of the user succeeded before, or only since less
than `new_for`. Whoever logs in with a mailed code reads the user's mail: from a new country that is the sign of a
mailbox in other hands, and then the mailbox is the first thing to secure. Failed attempts are shown too: somebody
asked for a code in the user's name. Users of whom less than `history` is held have no row.
"""
question = 15
attack = ["T1078.004"]
severity = "medium"
false_positives = ["Travel of somebody who logs in by mailed code every day; a VPN exit abroad."]
blind_spots = [
    "An attacker who takes an exit in the victim's own country.",
    "Logins for which Scaleway names no country.",
    "That a code was asked for and never entered leaves a call (InitiateMagicCodeLogin) and no login.",
]
[params.history]
type = "duration"
default = "14d"
description = "How long the user's logins must have been known before."
[params.new_for]
type = "duration"
default = "1d"
description = "How long a country counts as new after its first success."
[columns]
recorded_at = "When."
user_id = "Who."
outcome = "success, or denied for a failed attempt."
failure_reason = "Why it failed; null where it did not."
country_code = "The country, which is new."
known_countries = "From where logins of the user succeeded before that."
source_ip = "The address."
mfa_type = "The second factor; null where none was used."
user_agent = "The user agent."
usual_methods = "The methods with which the user logged in during the `history` before: is a mailed code usual?"
known_since = "Since when logins of the user are known."
history_days = "How many days that is."
organization_id = "The Organization."
id = "The event's id."
[finding]
summary = "A mailed code was used for {principal} from {country_code} ({source_ip}; {outcome}); in {history_days} days only from {known_countries}, with {usual_methods}."
key = ["id"]
[[next]]
query = "scope/principal-timeline"
why = "What was done after the login."
params = { principal = "user_id" }
[[next]]
query = "access/impossible-travel"
why = "Whether the user was elsewhere shortly before."
[[next]]
query = "scope/address-activity"
why = "What else came from the address."
params = { address = "source_ip" }
--- */
WITH countries AS (
    SELECT organization_id, subject_id, value, first_at, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'country'
),
acquainted AS (
    SELECT organization_id, subject_id, min(first_at) AS known_since
    FROM countries
    GROUP BY organization_id, subject_id
),
found AS (
    SELECT
        l.recorded_at, l.organization_id, l.user_id, l.succeeded, l.failure_reason, l.country_code, l.source_ip,
        l.mfa_type,
        l.user_agent, l.id, a.known_since
    FROM logins AS l
    JOIN countries AS c
        ON c.organization_id = l.organization_id AND c.subject_id = l.user_id AND c.value = l.country_code
    JOIN acquainted AS a ON a.organization_id = l.organization_id AND a.subject_id = l.user_id
    WHERE l.recorded_at >= $since AND l.recorded_at < $until
        AND l.method = 'authentication_code'
        AND (c.first_success_at IS NULL OR c.first_success_at >= l.recorded_at - $new_for)
        AND a.known_since <= l.recorded_at - $history
),
known AS (
    SELECT
        f.id,
        list_sort(list(DISTINCT k.value)) AS known_countries
    FROM found AS f
    JOIN countries AS k
        ON k.organization_id = f.organization_id AND k.subject_id = f.user_id
        AND k.first_success_at < f.recorded_at - $new_for
    GROUP BY f.id
),
usual AS (
    SELECT
        f.id,
        list_sort(list(DISTINCT l.method)) AS usual_methods
    FROM found AS f
    JOIN logins AS l
        ON l.user_id = f.user_id AND l.succeeded AND l.method IS NOT NULL
        AND l.recorded_at < f.recorded_at AND l.recorded_at >= f.recorded_at - $history
    WHERE l.recorded_at >= $since - $history AND l.recorded_at < $until
    GROUP BY f.id
)
SELECT
    f.recorded_at, f.user_id, CASE WHEN f.succeeded THEN 'success' ELSE 'denied' END AS outcome, f.failure_reason,
    f.country_code, coalesce(known.known_countries, []) AS known_countries, f.source_ip, f.mfa_type, f.user_agent,
    coalesce(usual.usual_methods, []) AS usual_methods, f.known_since,
    CAST(date_diff('day', f.known_since, f.recorded_at) AS BIGINT) AS history_days, f.organization_id, f.id
FROM found AS f
LEFT JOIN known ON known.id = f.id
LEFT JOIN usual ON usual.id = f.id
ORDER BY ALL
