/* ---
title = "Ways back in, made from where the principal never was and with a program it never used"
description = """
A principal that has been known for a while made, changed or gave away credentials, identities or rights from a
network (/24 or /64) and with a user agent that were both new for it: within a day of the first that succeeded from
there. A CI's key in somebody's hands looks like this, and so does a session in another browser. One row for each
principal, network and user agent. Denied attempts count.
"""
question = 28
attack = ["T1098.001", "T1136.003", "T1078.004"]
severity = "high"
false_positives = ["Somebody with a new laptop at a new place who renews a key or an SSH key there on the first day."]
blind_spots = [
    "An attacker who says the same user agent, or comes through the same network, is not told from the principal.",
    "Who was made a short time ago (known_for) has no habits that could be broken.",
    "Events without an address or a user agent, all of Kubernetes, cannot be compared.",
    "Passwords, and addresses let into databases and clusters, do not count: a new place is a reason for them.",
]

[params.fresh]
type = "duration"
default = "1d"
description = "For how long after the first event from there that succeeded an origin is new."

[params.known_for]
type = "duration"
default = "7d"
description = "How long the principal must have been known before."

[columns]
first_at = "The first of the calls."
last_at = "The last of them."
principal_id = "Who called: a user or an application, never a key."
network = "The new network."
user_agent = "The new user agent."
source_ips = "The addresses."
methods = "The methods."
outcome = "success where one of the calls succeeded, else denied or failure."
events = "How many events there are in the row."
denied = "How many of them were denied."
known_since = "Since when the principal is known at all: how long the history is that it is compared with."
resource_names = "What was acted on."
event_ids = "The events, oldest first."

[finding]
summary = "{principal}, known since {known_since}, called {methods} from {source_ips} with {user_agent}, both new for it, {denied} of {events} calls denied."
key = ["principal_id", "network", "user_agent"]

[[next]]
query = "scope/principal-origins"
why = "Where it acts from otherwise, and with what."
params = { principal = "principal_id" }

[[next]]
query = "scope/address-activity"
why = "Who else came from there."
params = { address = "network" }

[[next]]
query = "containment/blast-tree"
why = "What came of it."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, status_code, source_ip, user_agent,
        ip_network(source_ip) AS network, resource_names(resources) AS resource_names
    FROM api_events
    WHERE recorded_at >= $since - $fresh AND recorded_at < $until
        AND source_ip IS NOT NULL AND user_agent IS NOT NULL
        AND (method_name IN (
            'CreateAPIKey', 'UpdateAPIKey', 'CreateSSHKey', 'UpdateSSHKey', 'CreateApplication', 'CreateUser',
            'CreatePolicy', 'UpdatePolicy', 'ClonePolicy', 'SetRules', 'AddGroupMember', 'AddGroupMembers',
            'SetGroupMembers', 'CreateJWT', 'CreateToken', 'CreateScimToken', 'EnableOrganizationScim',
            'EnableOrganizationSaml', 'UpdateSaml', 'AddSamlCertificate', 'UpdateOrganizationLoginMethods',
            'UpdateOrganizationSecuritySettings', 'JoinUserConnection', 'UnlockMember', 'UnlockUser',
            'CreateMFAOTP', 'CreateUserMFAOTP', 'DeleteMFAOTP', 'DeleteUserMFAOTP', 'ChangeUserEmail',
            'UpdateUserUsername', 'ResetClusterAdminToken', 'SetServerUserData', 'StartBMCAccess', 'SetPrivilege',
            'SetUserRole', 'AddSecretOwner', 'CreateCron', 'CreateTrigger'
        )) IS TRUE
),
known AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
),
networks AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'network'
),
agents AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'agent'
)
SELECT
    min(c.recorded_at) AS first_at, max(c.recorded_at) AS last_at, c.principal_id, c.network, c.user_agent,
    list_sort(list(DISTINCT c.source_ip)) AS source_ips,
    list_sort(list(DISTINCT c.method_name)) AS methods,
    CASE WHEN bool_or(is_success(c.status_code)) THEN 'success' WHEN bool_or(is_denied(c.status_code)) THEN 'denied'
        ELSE 'failure' END AS outcome,
    count(*) AS events, count(*) FILTER (WHERE is_denied(c.status_code)) AS denied, min(k.first_at) AS known_since,
    list_sort(list_distinct(flatten(list(c.resource_names ORDER BY c.recorded_at, c.id)))) AS resource_names,
    list(c.id ORDER BY c.recorded_at, c.id) AS event_ids
FROM calls AS c
JOIN known AS k ON k.organization_id = c.organization_id AND k.subject_id = c.principal_id
JOIN networks AS n ON n.organization_id = c.organization_id AND n.subject_id = c.principal_id AND n.value = c.network
JOIN agents AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id AND a.value = c.user_agent
-- Failed logins and denied calls make no origin a usual one.
WHERE coalesce(n.first_success_at >= c.recorded_at - $fresh, true)
    AND coalesce(a.first_success_at >= c.recorded_at - $fresh, true)
    AND k.first_at <= c.recorded_at - $known_for
GROUP BY c.organization_id, c.principal_id, c.network, c.user_agent
HAVING max(c.recorded_at) >= $since
ORDER BY first_at, c.organization_id, c.principal_id, c.network, c.user_agent
