/* ---
title = "Second factors, passwords, usernames and e-mail addresses changed"
description = """
Whatever changes how a user logs in: a second factor set up or removed, a password, a username or an e-mail address
changed, accounts connected, a user locked or unlocked; by the user or by another. Who holds a session can take over
the account for good by one of these. Denied attempts are among them.
"""
question = 31
attack = ["T1556.006", "T1098"]
severity = "low"
false_positives = ["New phones and forgotten passwords; administrators who help."]
blind_spots = [
    "The names of these methods differ between documents: they are known by parts of their names.",
    "Passwords that are reset by a mail, and changes at an identity provider, leave no event here.",
]

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
what = "second factor set up, second factor removed, password, username, e-mail address, accounts connected, unlocked, locked."
target_id = "Whose login it is; null where the event does not say it."
by_another = "Whether the caller is somebody else; null where it is not known whose login it is."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} changed the login of {target_id}: {what}, from {source_ip} ({outcome})."
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
)
SELECT
    recorded_at, principal_id, method_name, what, target_id, target_id <> principal_id AS by_another,
    outcome_of(status_code) AS outcome, status_code, source_ip, user_agent, id
FROM calls
WHERE what IS NOT NULL
ORDER BY recorded_at, id
