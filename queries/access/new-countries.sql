/* ---
title = "Logins from a country that is new for the user"
description = """
The first successful login of a user from a country from which no login of that user ever succeeded before, against
everything that the archive holds, with how long that is. Users of whom less than `history` is held have no row.
Logins with a mailed code are in access/magic-code-from-new-country; failed logins from anywhere are in
access/login-failures.
"""
question = 9
attack = ["T1078.004"]
severity = "medium"
false_positives = ["Travel, a VPN exit abroad, an address that was sold to another country."]
blind_spots = [
    "The country is what Scaleway saw, and only logins have one: calls with an API key have none.",
    "An attacker who takes an exit in the victim's own country.",
    "Logins for which Scaleway names no country.",
]
[params.history]
type = "duration"
default = "14d"
description = "How long the user's logins must have been known before."
[columns]
recorded_at = "When the user first logged in from there."
user_id = "Who."
outcome = "success."
country_code = "The country, which is new."
known_countries = "From where logins of the user succeeded before."
source_ip = "The address."
method = "password, oauth2, saml, ..."
mfa_type = "The second factor; null where none was used."
user_agent = "The user agent."
new_client = "Whether the user was never seen with that family of user agents before, either."
known_since = "Since when logins of the user are known."
history_days = "How many days that is."
organization_id = "The Organization."
id = "The event's id."
[finding]
summary = "{principal} logged in from {country_code} ({source_ip}) for the first time, with {method}; in {history_days} days only from {known_countries}."
key = ["organization_id", "user_id", "country_code"]
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
families AS (
    SELECT organization_id, subject_id, value, first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'family'
),
found AS (
    SELECT
        l.recorded_at, l.organization_id, l.user_id, l.country_code, l.source_ip, l.method, l.mfa_type, l.user_agent,
        l.id,
        row_number() OVER (PARTITION BY l.organization_id, l.user_id, l.country_code ORDER BY l.id) AS place
    FROM logins AS l
    JOIN countries AS c
        ON c.organization_id = l.organization_id AND c.subject_id = l.user_id
        AND c.value = l.country_code AND c.first_success_at = l.recorded_at
    WHERE l.recorded_at >= $since AND l.recorded_at < $until
        AND l.succeeded AND l.method IS DISTINCT FROM 'authentication_code'
)
SELECT
    f.recorded_at, f.user_id, 'success' AS outcome, f.country_code,
    coalesce(list_sort(list(DISTINCT k.value) FILTER (WHERE k.value IS NOT NULL)), []) AS known_countries,
    f.source_ip, f.method, f.mfa_type, f.user_agent,
    families.first_at >= f.recorded_at AS new_client,
    a.known_since, CAST(date_diff('day', a.known_since, f.recorded_at) AS BIGINT) AS history_days,
    f.organization_id, f.id
FROM found AS f
JOIN acquainted AS a ON a.organization_id = f.organization_id AND a.subject_id = f.user_id
LEFT JOIN countries AS k
    ON k.organization_id = f.organization_id AND k.subject_id = f.user_id AND k.first_success_at < f.recorded_at
LEFT JOIN families
    ON families.organization_id = f.organization_id AND families.subject_id = f.user_id
    AND families.value = user_agent_family(f.user_agent)
WHERE f.place = 1 AND a.known_since <= f.recorded_at - $history
GROUP BY ALL
ORDER BY ALL
