/* ---
title = "Somebody changed how another user logs in, and never did so before"
description = """
A second factor, a password, a username or an e-mail address of a user was changed, or was tried to be, by somebody
else who had never done so to another in all that is held; known_since says how long that is. A second factor that is
removed counts only where the caller had no hand in users, groups and policies before: administrators do it for
colleagues with a new phone. Locking and unlocking do not count.
"""
question = 31
attack = ["T1556.006", "T1098"]
severity = "high"
false_positives = ["The first time that a new administrator helps a colleague who lost a phone or a password."]
blind_spots = [
    "The names of these methods differ between documents: they are known by parts of their names.",
    "Passwords that are reset by a mail, and changes at an identity provider, leave no event here.",
    "Administrators who do it as a rule, or who remove second factors: see persistence/second-factor-and-passwords.",
]

[params.history]
type = "duration"
default = "3650d"
description = "How far back earlier calls of the principal are looked for."

[params.fresh]
type = "duration"
default = "1d"
description = "Calls this short before do not make it usual: they may be part of the same attack."

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
what = "second factor set up, second factor removed, password, username, e-mail address, accounts connected, unlocked, locked."
target_id = "Whose login it is."
earlier = "How many such changes to others it had made before (fresh): 0."
known_since = "Since when the principal is known at all: how long the history is that it is compared with."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} changed the login of another user, {target_id}: {what}, from {source_ip} ({outcome}), and had never done so since {known_since}."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What was done with the account since."
params = { principal = "target_id" }

[[next]]
query = "access/new-networks"
why = "Whether the address is new for the principal."

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
    WHERE recorded_at >= $since - $history AND recorded_at < $until
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
of_others AS (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, what, target_id, status_code, source_ip,
        user_agent,
        coalesce(sum(CASE WHEN is_success(status_code) THEN 1 ELSE 0 END) OVER (
            PARTITION BY organization_id, principal_id
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND $fresh PRECEDING
        ), 0) AS earlier
    FROM calls
    WHERE what IS NOT NULL AND what NOT IN ('locked', 'unlocked')
        AND target_id IS NOT NULL AND principal_id IS DISTINCT FROM target_id
),
administrators AS (
    SELECT organization_id, subject_id, min(first_success_at) AS since_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
        AND value IN (
            'CreateUser', 'DeleteUser', 'LockUser', 'LockMember', 'UnlockUser', 'UnlockMember', 'CreateGroup',
            'AddGroupMember', 'AddGroupMembers', 'SetGroupMembers', 'RemoveGroupMember', 'CreatePolicy',
            'UpdatePolicy', 'SetRules'
        )
    GROUP BY organization_id, subject_id
),
known AS (
    SELECT organization_id, subject_id, min(first_at) AS first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
    GROUP BY organization_id, subject_id
)
SELECT
    c.recorded_at, c.principal_id, c.method_name, c.what, c.target_id, c.earlier, k.first_at AS known_since,
    outcome_of(c.status_code) AS outcome, c.status_code, c.source_ip, c.user_agent, c.id
FROM of_others AS c
LEFT JOIN known AS k ON k.organization_id = c.organization_id AND k.subject_id = c.principal_id
LEFT JOIN administrators AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id
WHERE c.recorded_at >= $since AND c.earlier = 0
    AND (c.what <> 'second factor removed' OR coalesce(a.since_at > c.recorded_at - $fresh, true))
ORDER BY c.recorded_at, c.id
