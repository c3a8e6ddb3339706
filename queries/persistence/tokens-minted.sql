/* ---
title = "Tokens minted: JWTs, and tokens of serverless, Cockpit and SCIM"
description = """
Every attempt to make a token that works by itself: a JWT of a user, a token for private functions and containers, a
Cockpit token that reads or writes metrics and logs, a SCIM token. They outlive the session or the key that made them.
Renewals of a console's token (RenewJWT) are not among them.
"""
question = 33
attack = ["T1550.001"]
severity = "low"
false_positives = [
    "Collectors and functions that get a token when they are set up: first_time is false for who does it as a rule.",
]
blind_spots = ["What a token is used for is in no event: events name the principal, and some products none at all."]

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
product_name = "The product."
made_id = "The token's id; null where the event does not say it."
made_name = "Its name."
bearer_id = "Who can act with it, where the event says it."
expires_at = "When it is to expire, as asked for."
outcome = "success, denied (401, 403) or failure."
first_time = "Whether the principal never succeeded with this method before, in all that is held."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} made a token with {method_name} of {product_name} ({made_name}) from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }

[[next]]
query = "scope/address-activity"
why = "Who else came from there."
params = { address = "source_ip" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, product_name, made_id, made_name, bearer_id,
        expires_at, outcome, source_ip, user_agent
    FROM creations
    WHERE recorded_at >= $since AND recorded_at < $until
        AND made_type = 'token'
),
methods AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
)
SELECT
    c.recorded_at, c.principal_id, c.method_name, c.product_name, c.made_id, c.made_name, c.bearer_id, c.expires_at,
    c.outcome,
    coalesce(m.first_success_at >= c.recorded_at, true) AS first_time,
    c.source_ip, c.user_agent, c.id
FROM calls AS c
LEFT JOIN methods AS m ON m.organization_id = c.organization_id AND m.subject_id = c.principal_id
    AND m.value = c.method_name AND m.subject_type = 'principal' AND m.dimension = 'method'
ORDER BY c.recorded_at, c.id
