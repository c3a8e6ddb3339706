/* ---
title = "Logins from two countries within a time too short to travel"
description = """
Two successful logins of one user, one after the other, from different countries and no further apart than `within`.
Either of the two may be the attacker's: compare both addresses and user agents with those that the user is known by.
The answer is as fine as countries are: two ends of one country are the same place, and a border is crossed in a
minute.
"""
question = 16
answer = "partly"
attack = ["T1078.004"]
severity = "medium"
false_positives = [
    "A VPN that is switched on or off, or whose exit is abroad: name its country in `ignored`.",
    "People who live or work near a border; an address whose country Scaleway got wrong.",
]
blind_spots = [
    "Only logins have a country: what an API key does from elsewhere at the same time is not seen here. See scope/principal-origins.",
    "An attacker in the victim's own country.",
    "Logins for which Scaleway names no country.",
]
[params.within]
type = "duration"
default = "4h"
description = "How long the journey would have had to take at least."
[params.ignored]
type = "list[text]"
default = []
description = "Country codes that say nothing, such as that of a VPN's exit."
[columns]
first_at = "When the user logged in from the first country."
last_at = "When from the second."
user_id = "Who."
outcome = "success: both logins worked."
from_country = "The first country."
to_country = "The second."
minutes_between = "How long the user had to get there."
source_ips = "The two addresses, first and second; an empty text where a login has none."
user_agents = "The two user agents, likewise."
methods = "The two methods, likewise."
mfa_types = "The two second factors, likewise."
events = "2: the two logins."
event_ids = "The ids of the two logins."
id = "The id of the second."
[finding]
summary = "{principal} logged in from {from_country} and {minutes_between} minutes later from {to_country} ({source_ips})."
key = ["id"]
[[next]]
query = "scope/principal-origins"
why = "Which of the two places is the user's own."
params = { principal = "user_id" }
[[next]]
query = "scope/principal-timeline"
why = "What was done in either session."
params = { principal = "user_id" }
--- */
WITH arrivals AS (
    SELECT
        id, recorded_at, organization_id, user_id, country_code,
        coalesce(source_ip, '') AS source_ip, coalesce(user_agent, '') AS user_agent,
        coalesce(method, '') AS method, coalesce(mfa_type, '') AS mfa_type
    FROM logins
    WHERE recorded_at >= $since - $within AND recorded_at < $until
        AND succeeded AND user_id IS NOT NULL AND country_code IS NOT NULL
        AND NOT list_contains($ignored, country_code)
),
paired AS (
    SELECT
        id, recorded_at, user_id, country_code, source_ip, user_agent, method, mfa_type,
        lag(id) OVER (PARTITION BY organization_id, user_id ORDER BY recorded_at, id) AS earlier_id,
        lag(recorded_at) OVER (PARTITION BY organization_id, user_id ORDER BY recorded_at, id) AS earlier_at,
        lag(country_code) OVER (PARTITION BY organization_id, user_id ORDER BY recorded_at, id) AS earlier_country,
        lag(source_ip) OVER (PARTITION BY organization_id, user_id ORDER BY recorded_at, id) AS earlier_ip,
        lag(user_agent) OVER (PARTITION BY organization_id, user_id ORDER BY recorded_at, id) AS earlier_agent,
        lag(method) OVER (PARTITION BY organization_id, user_id ORDER BY recorded_at, id) AS earlier_method,
        lag(mfa_type) OVER (PARTITION BY organization_id, user_id ORDER BY recorded_at, id) AS earlier_mfa
    FROM arrivals
)
SELECT
    earlier_at AS first_at, recorded_at AS last_at, user_id, 'success' AS outcome,
    earlier_country AS from_country, country_code AS to_country,
    CAST(floor(epoch(recorded_at - earlier_at) / 60) AS BIGINT) AS minutes_between,
    [earlier_ip, source_ip] AS source_ips, [earlier_agent, user_agent] AS user_agents,
    [earlier_method, method] AS methods, [earlier_mfa, mfa_type] AS mfa_types,
    2 AS events, [earlier_id, id] AS event_ids, id
FROM paired
WHERE recorded_at >= $since
    AND earlier_country <> country_code
    AND recorded_at - earlier_at <= $within
ORDER BY last_at, id
