/* ---
title = "Logins that came by Scaleway's own administration"
description = """
Logins, failed or not, whose origin is admin_api, or any other than the public API. What stands behind it is not
documented: Scaleway's support, or a way inside of Scaleway. It should be rare, and somebody should have asked for it:
find the ticket, or ask Scaleway with the event's id.
"""
question = 19
answer = "partly"
attack = ["T1199"]
severity = "medium"
false_positives = ["Support that was asked for."]
blind_spots = [
    "What Scaleway's staff does without logging in as a user leaves no login.",
    "Logins whose event names no origin are left out.",
]
[columns]
recorded_at = "When."
user_id = "As whom."
outcome = "success, or denied for a failed attempt."
origin = "admin_api, or whatever else it says."
method = "How."
mfa_type = "The second factor; null where none was used."
failure_reason = "Why it failed; null where it did not."
source_ip = "The address; null where the event has none."
country_code = "The country that Scaleway saw it in."
user_agent = "The user agent."
organization_id = "The Organization."
id = "The event's id, which Scaleway's support needs."
[finding]
summary = "A login as {principal} came by {origin} from {source_ip} ({outcome})."
key = ["id"]
[[next]]
query = "scope/principal-timeline"
why = "What was done as that user."
params = { principal = "user_id" }
[[next]]
query = "scope/address-activity"
why = "What else came from the address."
params = { address = "source_ip" }
--- */
SELECT
    recorded_at, user_id, CASE WHEN succeeded THEN 'success' ELSE 'denied' END AS outcome, origin, method, mfa_type,
    failure_reason, source_ip, country_code, user_agent, organization_id, id
FROM logins
WHERE recorded_at >= $since AND recorded_at < $until
    AND origin <> 'public_api' AND origin NOT LIKE 'unknown%'
ORDER BY recorded_at, id
