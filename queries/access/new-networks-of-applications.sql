/* ---
title = "Applications that appear from a network that is new for them"
description = """
The first events of an application from a network (the /24 of an IPv4 address, the /64 of an IPv6 address) against
everything that the archive holds of it, whatever the span. Machines stay where they are: one that was long seen from
a few networks only, or never with an address at all, and now speaks from another one, has very likely lost a key. A
row is what was done from there within the hour that followed, denied calls included: attackers are denied first.
Where all of that was refused and something later succeeded, that is a second row. Applications that are known from
more than `networks` networks move about, and have no row; nor have those of whom less than `history` is held.
"""
question = 9
attack = ["T1078.004"]
severity = "medium"
false_positives = [
    "A new runner, a new provider, a move to other machines: somebody will know of it.",
    "Principals of whom neither the directory nor any event says that they are people.",
]
blind_spots = [
    "An attacker behind a network that is known already: the office, the same provider's /24, a compromised machine.",
    "Events without an address, all of Kubernetes, are from no network.",
    "The autonomous system (asn, new_asn) is known with the extra geo and its files alone; a country by logins alone.",
]
[params.history]
type = "duration"
default = "14d"
description = "How long the principal must have been known before."
[params.networks]
type = "integer"
default = 3
description = "The most networks that an application may be known from before."
[params.following]
type = "duration"
default = "1h"
description = "How long after the first event those that follow belong to the row."
[columns]
first_at = "When it first came from there; in a second row, when it first succeeded from there."
last_at = "The last event from there within the time that followed."
principal_id = "Who."
what = "first events, or first success after everything had been refused."
outcome = "success where anything succeeded, else denied where anything was denied, else failure."
network = "The network, which is new."
source_ips = "The addresses in it."
new_country = "The country of a login from there, where none of the principal was from there before; else null."
asn = "The autonomous system of the first address; null without the extra geo."
new_asn = "Whether no earlier address of the principal lies in it; null without the extra geo."
kind_of_address = "scaleway: in Scaleway's own ranges, where anybody can rent a server; private, shared, ...; null for others."
events = "How many events within the time that followed."
denied = "How many of them were denied."
actions = "What was done."
user_agents = "With what."
known_networks = "From how many networks the principal was known before."
known_since = "Since when the principal is known at all."
history_days = "How many days that is."
organization_id = "The Organization."
first_event_id = "The first event's id."
event_ids = "The ids of the events, in their order."
[finding]
summary = "{principal} appeared from the network {network} ({source_ips}) with {events} events ({actions}), {denied} of them denied, after {history_days} days from {known_networks} other networks."
key = ["organization_id", "principal_id", "network", "what"]
[[next]]
query = "scope/address-activity"
why = "What else came from the network."
params = { address = "network" }
[[next]]
query = "scope/principal-origins"
why = "Where the principal usually comes from, and with what."
params = { principal = "principal_id" }
[[next]]
query = "access/new-agents-of-applications"
why = "Whether the client is new, too: then hardly anything else explains it."
--- */
WITH networks AS (
    SELECT
        organization_id, subject_id, value, first_at, first_success_at,
        count(*) OVER (PARTITION BY organization_id, subject_id ORDER BY first_at, value ROWS UNBOUNDED PRECEDING) - 1
            AS known_networks
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'network'
),
beginnings AS (
    SELECT organization_id, subject_id, value, known_networks, first_at AS new_at, 'first events' AS what
    FROM networks
    UNION ALL
    SELECT organization_id, subject_id, value, known_networks, first_success_at, 'first success'
    FROM networks
    WHERE first_success_at > first_at + $following
),
acquainted AS (
    SELECT organization_id, subject_id, first_at AS known_since
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
),
news AS (
    SELECT n.organization_id, n.subject_id, n.value, n.known_networks, n.new_at, n.what, a.known_since
    FROM beginnings AS n
    JOIN acquainted AS a ON a.organization_id = n.organization_id AND a.subject_id = n.subject_id
    LEFT JOIN principals AS p ON p.organization_id = n.organization_id AND p.id = n.subject_id
    WHERE n.new_at >= $since - $following AND n.new_at < $until
        AND a.known_since <= n.new_at - $history
        AND p.type IS DISTINCT FROM 'user' AND n.known_networks <= $networks
),
found AS (
    SELECT
        n.organization_id, n.subject_id, n.value, n.what, n.known_networks, n.known_since,
        min(e.recorded_at) AS first_at, max(e.recorded_at) AS last_at,
        bool_or(e.outcome = 'success') AS any_success, bool_or(e.outcome = 'denied') AS any_denied,
        arg_min(e.source_ip, (e.recorded_at, e.id)) AS source_ip,
        list_sort(list(DISTINCT e.source_ip)) AS source_ips,
        count(*) AS events,
        count(*) FILTER (WHERE e.outcome = 'denied') AS denied,
        coalesce(list_sort(list(DISTINCT e.action) FILTER (WHERE e.action IS NOT NULL)), []) AS actions,
        coalesce(list_sort(list(DISTINCT e.user_agent) FILTER (WHERE e.user_agent IS NOT NULL)), []) AS user_agents,
        arg_min(e.id, (e.recorded_at, e.id)) AS first_event_id,
        list(e.id ORDER BY e.recorded_at, e.id) AS event_ids
    FROM events AS e
    JOIN news AS n
        ON n.organization_id = e.organization_id AND n.subject_id = e.actor_id AND n.value = ip_network(e.source_ip)
        AND e.recorded_at >= n.new_at AND e.recorded_at <= n.new_at + $following
    WHERE e.recorded_at >= $since - $following AND e.recorded_at < $until
    GROUP BY n.organization_id, n.subject_id, n.value, n.what, n.known_networks, n.known_since
    HAVING max(e.recorded_at) >= $since
),
countries AS (
    SELECT organization_id, subject_id, value, first_at, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'country'
),
systems AS (
    SELECT organization_id, subject_id, ip_asn(value) AS asn, min(first_at) AS first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'address'
    GROUP BY organization_id, subject_id, ip_asn(value)
)
SELECT
    f.first_at, f.last_at, f.subject_id AS principal_id, f.what,
    CASE WHEN f.any_success THEN 'success' WHEN f.any_denied THEN 'denied' ELSE 'failure' END AS outcome,
    f.value AS network, f.source_ips,
    min(c.value) AS new_country,
    s.asn, s.first_at >= f.first_at AS new_asn,
    ip_label(f.source_ip) AS kind_of_address, f.events, f.denied, f.actions, f.user_agents, f.known_networks,
    f.known_since, CAST(date_diff('day', f.known_since, f.first_at) AS BIGINT) AS history_days, f.organization_id,
    f.first_event_id, f.event_ids
FROM found AS f
LEFT JOIN countries AS c
    ON c.organization_id = f.organization_id AND c.subject_id = f.subject_id
    AND (
        (c.first_at >= f.first_at AND c.first_at <= f.last_at)
        OR (c.first_success_at >= f.first_at AND c.first_success_at <= f.last_at)
    )
LEFT JOIN systems AS s
    ON s.organization_id = f.organization_id AND s.subject_id = f.subject_id AND s.asn = ip_asn(f.source_ip)
GROUP BY ALL
ORDER BY ALL
