/* ---
title = "Users, guests and applications created"
description = """
Every attempt to make a user, to invite a guest or to make an application: a name that fits in, and a way back in. A
user with an e-mail address of another domain is an outsider. Denied attempts are among them.
"""
question = 28
attack = ["T1136.003"]
severity = "low"
false_positives = [
    "New colleagues, and Terraform that manages applications: first_time is false for who does it as a rule.",
]
blind_spots = [
    "Users whom SCIM or SAML bring come without a call of a principal: see persistence/federation-changed.",
]

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
made_type = "member, guest, user (where the body does not say which) or application."
made_id = "The new identity; null where the call was denied."
made_name = "Its name, or e-mail address."
outcome = "success, denied (401, 403) or failure."
first_time = "Whether the principal never succeeded with this method before, in all that is held."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} made the {made_type} {made_name} ({made_id}) from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "persistence/backdoor-sequence"
why = "Whether a key and rights followed within minutes."

[[next]]
query = "scope/principal-timeline"
why = "What the new identity did."
params = { principal = "made_id" }

[[next]]
query = "containment/blast-tree"
why = "What came of it all."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, made_id, made_name, outcome, source_ip, user_agent,
        made_type
    FROM creations
    WHERE recorded_at >= $since AND recorded_at < $until
        AND made_type IN ('user', 'application')
),
bodies AS (
    SELECT
        organization_id, id,
        CASE
            WHEN coalesce(
                body_text(request_body, 'member.username'), body_text(request_body, 'member.email'),
                body_text(request_body, 'username')
            ) IS NOT NULL THEN 'member'
            WHEN body_text(request_body, 'email') IS NOT NULL THEN 'guest'
        END AS form,
        coalesce(body_text(request_body, 'member.username'), body_text(request_body, 'member.email')) AS member_name
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (method_name IN ('CreateUser', 'JoinUserConnection')) IS TRUE
),
methods AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
)
SELECT
    c.recorded_at, c.principal_id, c.method_name,
    CASE WHEN c.made_type = 'user' THEN coalesce(b.form, 'user') ELSE c.made_type END AS made_type,
    c.made_id, coalesce(c.made_name, b.member_name) AS made_name, c.outcome,
    coalesce(m.first_success_at >= c.recorded_at, true) AS first_time,
    c.source_ip, c.user_agent, c.id
FROM calls AS c
LEFT JOIN bodies AS b ON b.organization_id = c.organization_id AND b.id = c.id
LEFT JOIN methods AS m ON m.organization_id = c.organization_id AND m.subject_id = c.principal_id
    AND m.value = c.method_name AND m.subject_type = 'principal' AND m.dimension = 'method'
ORDER BY c.recorded_at, c.id
