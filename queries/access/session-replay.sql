/* ---
title = "Sessions that go on from somewhere else than they began"
description = """
An open console renews its token every hour (RenewJWT). Here that came from an address and a user agent from which
none of the user's logins (CommitLogin) of the last days came: somebody goes on with a session that another machine
began, as with a stolen cookie or token. People carry their machines about, so a renewal from another network counts
only where the user agent changed too, or where the user had never been seen in that network when the session began
and the machine of the login went on where it was, soon after; a browser that updated itself does not count. A row is
all renewals of one session from one place, denied ones among them.
"""
question = 18
answer = "partly"
attack = ["T1550.001", "T1550.004"]
severity = "medium"
false_positives = [
    "A notebook that is carried to a network where its user never was, and back within `beside`.",
    "A VPN that is switched on within a session.",
]
blind_spots = [
    "Events do not name the session: renewals are compared with all logins of the user within `session`, and an attacker who uses the user agent and the network of any of them is not seen.",
    "A stolen token that is used within the hour, and not renewed, leaves calls only: see access/new-networks and access/new-agents.",
    "A copied user agent in another network, when the victim's own console is closed or goes on only later.",
    "Renewals without any login within `session` before are not compared.",
    "That these steps of a login leave events is documented; how they name the user is not.",
]
[params.session]
type = "duration"
default = "7d"
description = "How long a session may last: logins so long before a renewal may have begun it."
[params.beside]
type = "duration"
default = "2h"
description = "Where the user agent is the same: how soon afterwards the machine of the login must go on where it was."
[columns]
first_at = "The first renewal from there, in this session."
last_at = "The last; where only the network differs, when the machine of the login went on after it."
principal_id = "Whose session."
differs = "network and client, network and user agent, network (where the user was never seen before), or client: what no login of the user agrees with."
outcome = "success where any renewal was let through, denied where none was."
events = "How many renewals."
denied = "How many of them were not let through."
source_ip = "Where the renewals came from; null where the events have no address."
user_agent = "The user agent of the renewals."
login_at = "The last login before the first of them."
login_ip = "Where that came from."
login_user_agent = "Its user agent."
new_network = "Whether the user had never been seen in the network of the renewals before that login."
went_on_at = "When the machine of the login was seen to go on where it was, within `beside` after; null where it was not."
login_id = "The id of the login."
first_event_id = "The id of the first renewal."
event_ids = "The ids of the login and of the renewals, in their order."
[finding]
summary = "A session of {principal}, begun from {login_ip} at {login_at}, was renewed {events} times from {source_ip} with {user_agent}: another {differs} ({outcome})."
key = ["principal_id", "first_event_id"]
[[next]]
query = "scope/address-activity"
why = "What was done from there."
params = { address = "source_ip" }
[[next]]
query = "scope/principal-timeline"
why = "What both of them did."
params = { principal = "principal_id" }
[[next]]
query = "scope/shared-origins"
why = "Who else is behind the address or the user agent."
params = { principal = "principal_id" }
--- */
WITH steps AS (
    SELECT
        id, recorded_at, organization_id, method_name, source_ip, user_agent,
        coalesce(principal_id, login_user(resources)) AS principal_id,
        is_success(status_code) AS succeeded,
        ip_network(source_ip) AS network, user_agent_family(user_agent) AS family
    FROM api_events
    WHERE recorded_at >= $since - $session - $session AND recorded_at < $until
        AND (method_name IN ('CommitLogin', 'RenewJWT')) IS TRUE
),
began AS (
    SELECT id, recorded_at, organization_id, principal_id, source_ip, user_agent, network, family
    FROM steps
    WHERE method_name = 'CommitLogin' AND succeeded AND principal_id IS NOT NULL
),
compared AS (
    SELECT
        r.id, r.recorded_at, r.organization_id, r.principal_id, r.source_ip, r.user_agent, r.network, r.succeeded,
        bool_or(r.network IS NOT DISTINCT FROM b.network) AS same_network,
        bool_or(r.user_agent IS NOT DISTINCT FROM b.user_agent) AS same_agent,
        bool_or(r.family IS NOT DISTINCT FROM b.family) AS same_family,
        arg_max(b.id, (b.recorded_at, b.id)) AS login_id
    FROM steps AS r
    JOIN began AS b
        ON b.organization_id = r.organization_id AND b.principal_id = r.principal_id
        AND b.recorded_at <= r.recorded_at AND b.recorded_at >= r.recorded_at - $session
    WHERE r.method_name = 'RenewJWT' AND r.recorded_at >= $since - $session
    GROUP BY r.id, r.recorded_at, r.organization_id, r.principal_id, r.source_ip, r.user_agent, r.network, r.succeeded
),
networks AS (
    SELECT organization_id, subject_id, value, first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'network'
),
-- A machine that is carried elsewhere is no longer where it was: two that go on side by side are two machines.
own AS (
    SELECT organization_id, principal_id, network, recorded_at
    FROM compared
    WHERE same_network
),
beside AS (
    SELECT c.organization_id, c.id, min(own.recorded_at) AS went_on_at
    FROM compared AS c
    JOIN began AS b ON b.organization_id = c.organization_id AND b.id = c.login_id
    JOIN own
        ON own.organization_id = c.organization_id AND own.principal_id = c.principal_id AND own.network = b.network
        AND own.recorded_at > c.recorded_at AND own.recorded_at <= c.recorded_at + $beside
    WHERE NOT c.same_network
    GROUP BY c.organization_id, c.id
),
strange AS (
    SELECT
        c.id, c.recorded_at, c.organization_id, c.principal_id, c.source_ip, c.user_agent, c.succeeded, c.login_id,
        b.recorded_at AS login_at, b.source_ip AS login_ip, b.user_agent AS login_user_agent,
        coalesce(n.first_at >= b.recorded_at, false) AS new_network, beside.went_on_at,
        CASE
            WHEN NOT c.same_network AND NOT c.same_family THEN 'network and client'
            WHEN NOT c.same_network AND NOT c.same_agent THEN 'network and user agent'
            WHEN NOT c.same_network AND n.first_at >= b.recorded_at AND beside.went_on_at IS NOT NULL THEN 'network'
            WHEN NOT c.same_family THEN 'client'
        END AS differs
    FROM compared AS c
    JOIN began AS b ON b.organization_id = c.organization_id AND b.id = c.login_id
    LEFT JOIN beside ON beside.organization_id = c.organization_id AND beside.id = c.id
    LEFT JOIN networks AS n
        ON n.organization_id = c.organization_id AND n.subject_id = c.principal_id AND n.value = c.network
)
SELECT
    min(recorded_at) AS first_at,
    max(CASE WHEN differs = 'network' THEN went_on_at ELSE recorded_at END) AS last_at,
    principal_id,
    min(differs) AS differs,
    CASE WHEN bool_or(succeeded) THEN 'success' ELSE 'denied' END AS outcome,
    count(*) AS events, count(*) FILTER (WHERE NOT coalesce(succeeded, false)) AS denied,
    source_ip, user_agent, login_at, login_ip, login_user_agent, bool_or(new_network) AS new_network,
    max(went_on_at) AS went_on_at, login_id,
    arg_min(id, (recorded_at, id)) AS first_event_id,
    list_concat([login_id], list(id ORDER BY recorded_at, id)) AS event_ids
FROM strange
WHERE differs IS NOT NULL
GROUP BY organization_id, principal_id, source_ip, user_agent, login_id, login_at, login_ip, login_user_agent
HAVING max(CASE WHEN differs = 'network' THEN went_on_at ELSE recorded_at END) >= $since
ORDER BY ALL
