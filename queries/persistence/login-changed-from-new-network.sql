/* ---
title = "How a user logs in was changed from a network that is new for the caller"
description = """
A second factor was removed or set up, an e-mail address or a username changed, accounts connected, from a network
(/24 or /64) in which the caller had succeeded with nothing until a few days before: who took over a session or a key
takes over the account for good. Failed logins from there make the network none the less new. Passwords do not count:
they are also changed when somebody is on the way.
"""
question = 31
attack = ["T1556.006", "T1098"]
severity = "medium"
false_positives = ["Somebody with a new phone at a new place."]
blind_spots = [
    "The names of these methods differ between documents: they are known by parts of their names.",
    "Passwords that are reset by a mail, and changes at an identity provider, leave no event here.",
    "An attacker in the principal's own network, or in one that the attacker has used for longer.",
    "Who was made a short time ago (known_for) has no habits that could be broken.",
]

[params.fresh]
type = "duration"
default = "3d"
description = "For how long after the first success from there a network is new."

[params.known_for]
type = "duration"
default = "7d"
description = "How long the caller must have been known before."

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
what = "second factor set up, second factor removed, password, username, e-mail address, accounts connected, unlocked, locked."
target_id = "Whose login it is; null where the event does not say it."
by_another = "Whether the caller is somebody else; null where it is not known whose login it is."
network = "The new network."
network_since = "The first event of the caller from there, failed ones among them."
known_since = "Since when the principal is known at all: how long the history is that it is compared with."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} changed the login of {target_id}: {what}, from {source_ip} ({outcome}), in a network first seen with it at {network_since}."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What was done with the account since."
params = { principal = "target_id" }

[[next]]
query = "access/new-networks"
why = "Other networks that were new."

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
        id, recorded_at, organization_id, principal_id, product_name, method_name, status_code, source_ip, user_agent,
        coalesce(login_user(resources), body_text(request_body, 'user_id')) AS target_id,
        CASE
            -- The steps of a login are named after what they ask for.
            WHEN method_name LIKE '%Login' OR method_name LIKE 'CheckLogin%' THEN NULL
            WHEN regexp_matches(method_name, 'M[Ff][Aa]|O[Tt][Pp]|[Ww]eb[Aa]uthn|Passkey|(Recovery|Backup)Code') THEN
                CASE
                    WHEN regexp_matches(method_name, '^(Delete|Remove|Disable|Reset)') THEN 'second factor removed'
                    ELSE 'second factor set up'
                END
            WHEN contains(method_name, 'Password') THEN 'password'
            WHEN contains(method_name, 'Username') THEN 'username'
            WHEN contains(method_name, 'UserEmail') THEN 'e-mail address'
            WHEN method_name = 'UpdateUser'
                AND array_to_string(body_every(request_body, 'password'), '') <> '' THEN 'password'
            WHEN method_name = 'UpdateUser'
                AND array_to_string(body_every(request_body, 'email'), '') <> '' THEN 'e-mail address'
            WHEN method_name = 'UpdateUser'
                AND array_to_string(body_every(request_body, 'username'), '') <> '' THEN 'username'
            WHEN method_name = 'JoinUserConnection' THEN 'accounts connected'
            WHEN method_name IN ('UnlockMember', 'UnlockUser') THEN 'unlocked'
            WHEN method_name IN ('LockMember', 'LockUser') THEN 'locked'
        END AS what
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (
            regexp_matches(
                method_name,
                'M[Ff][Aa]|O[Tt][Pp]|[Ww]eb[Aa]uthn|Passkey|(Recovery|Backup)Code|Password|Username|UserEmail'
            )
            OR method_name IN (
                'UpdateUser', 'JoinUserConnection', 'UnlockMember', 'UnlockUser', 'LockMember', 'LockUser'
            )
        )
        -- A database's users have passwords, too.
        AND coalesce(product_name, 'iam') IN ('iam', 'account')
),
placed AS (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, status_code, source_ip, user_agent, target_id,
        what, ip_network(source_ip) AS network
    FROM calls
    WHERE what IN (
        'second factor removed', 'second factor set up', 'e-mail address', 'username', 'accounts connected'
    )
),
known AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity' AND value = ''
),
networks AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_at, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'network'
)
SELECT
    p.recorded_at, p.principal_id, p.method_name, p.what, p.target_id, p.target_id <> p.principal_id AS by_another,
    p.network, n.first_at AS network_since, k.first_at AS known_since,
    outcome_of(p.status_code) AS outcome, p.status_code, p.source_ip, p.user_agent, p.id
FROM placed AS p
JOIN known AS k ON k.organization_id = p.organization_id AND k.subject_id = p.principal_id
JOIN networks AS n ON n.organization_id = p.organization_id AND n.subject_id = p.principal_id
    AND n.value = p.network
WHERE k.first_at <= p.recorded_at - $known_for AND coalesce(n.first_success_at >= p.recorded_at - $fresh, true)
ORDER BY p.recorded_at, p.id
