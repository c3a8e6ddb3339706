/* ---
title = "Logins that succeeded after failures"
description = """
A successful login after several failed ones of the same user, or of anybody from the same address, shortly before: a
password that was guessed, or was among those tried. Where the user has logged in from that very address before, the
likelier story is somebody who mistyped, so only the user's own failures count then, and more of them are needed. Each
row is one login, with the failures that led to it.
"""
question = 11
attack = ["T1110.001", "T1078.004"]
severity = "high"
false_positives = [
    "Somebody who forgot the password and remembered it, at an address where they had not been before.",
    "The first days of an archive, and of a new colleague: no address is known then.",
]
blind_spots = [
    "Guessing slower than the window, from changing addresses, for changing users.",
    "Guessing from the victim's own address, up to known_failures.",
    "A password that was right at the first try: see access/new-networks and access/new-countries.",
]
[params.failures]
type = "integer"
default = 3
description = "Fewest failures before the success, where the user never logged in from the address before."
[params.known_failures]
type = "integer"
default = 10
description = "Fewest failures of the user's own, where the user did."
[params.window]
type = "duration"
default = "10m"
description = "How long before the success failures count."
[params.history]
type = "duration"
default = "3650d"
description = "How far back earlier logins from the address are looked for."
[columns]
recorded_at = "When the login succeeded."
user_id = "Who logged in."
outcome = "success: this row is about a login that worked; its failures are among event_ids."
source_ip = "The address of the login that succeeded."
country_code = "The country that Scaleway saw it in."
new_address = "Whether the user had never logged in from it before the window."
method = "password, authentication_code, ..."
mfa_type = "The second factor; null where none was used."
user_agent = "The user agent of the login that succeeded."
failures = "How many failures led to it: of the user, or from the address."
own_failures = "How many of them are the user's own, from wherever."
users = "How many different users they tried."
first_failure_at = "The first of them."
events = "All events of the row: the failures and the login."
id = "The id of the login that succeeded."
event_ids = "The ids of the failures in their order, and of the login."
[finding]
summary = "{principal} logged in from {source_ip} ({country_code}) after {failures} failures for {users} users since {first_failure_at}; second factor: {mfa_type}."
key = ["id"]
[[next]]
query = "scope/principal-timeline"
why = "What the user did after the login."
params = { principal = "user_id" }
[[next]]
query = "scope/address-activity"
why = "What else came from the address."
params = { address = "source_ip" }
[[next]]
query = "access/session-replay"
why = "Whether the session went on elsewhere."
--- */
WITH attempts AS (
    SELECT
        id, recorded_at, organization_id, user_id, source_ip, user_agent, country_code, method, mfa_type, result,
        succeeded
    FROM logins
    WHERE recorded_at >= $since - $window AND recorded_at < $until
),
failed AS (
    SELECT id, recorded_at, organization_id, source_ip, user_id FROM attempts WHERE result <> 'success'
),
-- Whether an address is the user's own is told by whole logins alone: the calls of a login that fails at its second
-- factor succeed, too.
known AS (
    SELECT organization_id, user_id, source_ip, min(recorded_at) AS first_login_at
    FROM logins
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND succeeded
    GROUP BY organization_id, user_id, source_ip
),
entered AS (
    SELECT
        a.id, a.recorded_at, a.organization_id, a.user_id, a.source_ip, a.user_agent, a.country_code, a.method,
        a.mfa_type,
        known.first_login_at IS NULL OR known.first_login_at >= a.recorded_at - $window AS new_address
    FROM attempts AS a
    LEFT JOIN known ON known.organization_id = a.organization_id AND known.user_id = a.user_id
        AND known.source_ip = a.source_ip
    WHERE a.succeeded AND a.recorded_at >= $since
),
related AS (
    SELECT e.organization_id, e.id AS success_id, f.id AS failure_id, f.recorded_at AS failed_at, f.user_id
    FROM entered AS e
    JOIN failed AS f ON f.organization_id = e.organization_id AND f.user_id = e.user_id
        AND f.recorded_at >= e.recorded_at - $window AND f.recorded_at <= e.recorded_at
    UNION
    SELECT e.organization_id, e.id, f.id, f.recorded_at, f.user_id
    FROM entered AS e
    JOIN failed AS f ON f.organization_id = e.organization_id AND f.source_ip = e.source_ip
        AND f.recorded_at >= e.recorded_at - $window AND f.recorded_at <= e.recorded_at
    WHERE e.new_address
),
counted AS (
    SELECT
        e.organization_id, e.id AS success_id,
        count(*) AS failures,
        count(*) FILTER (WHERE r.user_id = e.user_id) AS own_failures,
        count(DISTINCT r.user_id) AS users,
        min(r.failed_at) AS first_failure_at,
        list(r.failure_id ORDER BY r.failed_at, r.failure_id) AS failure_ids
    FROM entered AS e
    JOIN related AS r ON r.organization_id = e.organization_id AND r.success_id = e.id
    GROUP BY e.organization_id, e.id
)
SELECT
    e.recorded_at, e.user_id, 'success' AS outcome, e.source_ip, e.country_code, e.new_address, e.method, e.mfa_type,
    e.user_agent, c.failures, c.own_failures, c.users, c.first_failure_at, c.failures + 1 AS events, e.id,
    list_concat(c.failure_ids, [e.id]) AS event_ids
FROM entered AS e
JOIN counted AS c ON c.organization_id = e.organization_id AND c.success_id = e.id
WHERE (e.new_address AND c.failures >= $failures) OR c.failures >= $known_failures
ORDER BY e.recorded_at, e.id
