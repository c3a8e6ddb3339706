/* ---
title = "Applications that use a kind of client that is new for them"
description = """
The first events of an application with a family of user agents (terraform, scaleway-sdk-go, curl, python, browser,
...) against everything that the archive holds of it, whatever the span. A machine runs the same program every day:
one that for weeks was Terraform and now is curl is a key in other hands, and a denied call is as good a sign as one
that worked. A row is what was done with it within the hour that followed. Applications that are known with more than
`families` families have no row; nor have those of whom less than `history` is held.
"""
question = 10
attack = ["T1078.004", "T1059.009"]
severity = "medium"
false_positives = ["A pipeline that is rewritten with another tool; somebody who tries an application's key by hand."]
blind_spots = [
    "The caller chooses the user agent: an attacker who uses the same tool, or says so, is not new.",
    "Events without a user agent have no family. All tools that are not known share the family other.",
    "Another version of the same tool is not new here: see scope/principal-origins for the user agents in full.",
]
[params.history]
type = "duration"
default = "14d"
description = "How long the principal must have been known before."
[params.families]
type = "integer"
default = 3
description = "The most families that an application may be known with before."
[params.following]
type = "duration"
default = "1h"
description = "How long after the first event those that follow belong to the row."
[columns]
first_at = "When it first used such a client."
last_at = "The last event with it within the time that followed."
principal_id = "Who."
client = "The family of the user agent, which is new."
outcome = "success where anything succeeded, else denied where anything was denied, else failure."
user_agents = "The user agents in full."
source_ips = "From where; empty where the events have no address."
new_network = "Whether the principal was never seen from the first address's network before, either; null without an address."
events = "How many events with it within the time that followed."
denied = "How many of them were denied."
actions = "What was done."
known_clients = "The families that it was known with before."
known_since = "Since when the principal is known at all."
history_days = "How many days that is."
first_success_at = "When an event with such a client first succeeded; null where none did yet."
organization_id = "The Organization."
first_event_id = "The first event's id."
event_ids = "The ids of the events, in their order."
[finding]
summary = "{principal} used {client} for the first time: {events} events ({actions}) from {source_ips}, {denied} of them denied; known for {history_days} days with {known_clients}."
key = ["organization_id", "principal_id", "client"]
[[next]]
query = "scope/principal-origins"
why = "Where the principal usually comes from, and with what."
params = { principal = "principal_id" }
[[next]]
query = "scope/shared-origins"
why = "Who else uses exactly this user agent."
params = { principal = "principal_id" }
[[next]]
query = "access/new-networks-of-applications"
why = "Whether the network is new, too: then hardly anything else explains it."
--- */
WITH families AS (
    SELECT
        organization_id, subject_id, value, first_at, first_success_at,
        count(*) OVER (PARTITION BY organization_id, subject_id ORDER BY first_at, value ROWS UNBOUNDED PRECEDING) - 1
            AS known_families
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'family'
),
acquainted AS (
    SELECT organization_id, subject_id, first_at AS known_since
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
),
news AS (
    SELECT n.organization_id, n.subject_id, n.value, n.first_at AS new_at, n.first_success_at, a.known_since
    FROM families AS n
    JOIN acquainted AS a ON a.organization_id = n.organization_id AND a.subject_id = n.subject_id
    LEFT JOIN principals AS p ON p.organization_id = n.organization_id AND p.id = n.subject_id
    WHERE n.first_at >= $since - $following AND n.first_at < $until
        AND a.known_since <= n.first_at - $history
        AND p.type IS DISTINCT FROM 'user' AND n.known_families <= $families
),
found AS (
    SELECT
        n.organization_id, n.subject_id, n.value, n.first_success_at, n.known_since,
        min(e.recorded_at) AS first_at, max(e.recorded_at) AS last_at,
        bool_or(e.outcome = 'success') AS any_success, bool_or(e.outcome = 'denied') AS any_denied,
        list_sort(list(DISTINCT e.user_agent)) AS user_agents,
        ip_network(arg_min(e.source_ip, (e.recorded_at, e.id))) AS network,
        coalesce(list_sort(list(DISTINCT e.source_ip) FILTER (WHERE e.source_ip IS NOT NULL)), []) AS source_ips,
        count(*) AS events,
        count(*) FILTER (WHERE e.outcome = 'denied') AS denied,
        coalesce(list_sort(list(DISTINCT e.action) FILTER (WHERE e.action IS NOT NULL)), []) AS actions,
        arg_min(e.id, (e.recorded_at, e.id)) AS first_event_id,
        list(e.id ORDER BY e.recorded_at, e.id) AS event_ids
    FROM events AS e
    JOIN news AS n
        ON n.organization_id = e.organization_id AND n.subject_id = e.actor_id
        AND n.value = user_agent_family(e.user_agent)
        AND e.recorded_at >= n.new_at AND e.recorded_at <= n.new_at + $following
    WHERE e.recorded_at >= $since - $following AND e.recorded_at < $until
    GROUP BY n.organization_id, n.subject_id, n.value, n.first_success_at, n.known_since
    HAVING max(e.recorded_at) >= $since
),
networks AS (
    SELECT organization_id, subject_id, value, first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'network'
)
SELECT
    f.first_at, f.last_at, f.subject_id AS principal_id, f.value AS client,
    CASE WHEN f.any_success THEN 'success' WHEN f.any_denied THEN 'denied' ELSE 'failure' END AS outcome,
    f.user_agents, f.source_ips,
    networks.first_at >= f.first_at AS new_network,
    f.events, f.denied, f.actions,
    coalesce(list_sort(list(DISTINCT k.value) FILTER (WHERE k.value IS NOT NULL)), []) AS known_clients,
    f.known_since, CAST(date_diff('day', f.known_since, f.first_at) AS BIGINT) AS history_days, f.first_success_at,
    f.organization_id, f.first_event_id, f.event_ids
FROM found AS f
LEFT JOIN networks
    ON networks.organization_id = f.organization_id AND networks.subject_id = f.subject_id
    AND networks.value = f.network
LEFT JOIN families AS k
    ON k.organization_id = f.organization_id AND k.subject_id = f.subject_id AND k.first_at < f.first_at
GROUP BY ALL
ORDER BY ALL
