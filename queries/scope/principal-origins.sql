/* ---
title = "Where a principal acted from, and with what"
description = """
Addresses and user agents of one principal, with the first and the last time and the number of calls. Since events
carry no API key, this is how the holders of a leaked key are told apart: look for a row that begins late, was denied
much, or has a client and a network of its own.
"""
question = 6
attack = ["T1078.004"]
blind_spots = [
    "Kubernetes events carry no address: they stand in the row without a source_ip.",
    "A user agent is what its caller says; an attacker behind the victim's own address looks like the victim.",
]
[params.principal]
type = "principal"
required = true
description = "The id of the user or application."
[columns]
source_ip = "The address; null for events that carry none."
user_agent = "The user agent in full; null where there is none."
client = "Its family."
network = "The /24 or, for IPv6, the /64 of the address."
kind_of_address = "scaleway: in Scaleway's own ranges, where anybody can rent a server; private, shared, ...; null for others."
first_at = "The first time in the span."
last_at = "The last time in the span."
calls = "Events, logins among them."
denied = "How many of them were denied."
actions = "How many different things were done."
logins = "How many of the events are logins, failed ones among them."
first_event_id = "The first event's id."
last_event_id = "The last event's id."
actor_id = "The principal that was asked about."
[[next]]
query = "scope/address-activity"
why = "Who else acted from that address."
params = { address = "source_ip" }
[[next]]
query = "scope/shared-origins"
why = "Who else used any of them."
params = { principal = "actor_id" }
[[next]]
query = "access/new-networks"
why = "Which of them are new against the whole history."
--- */
SELECT
    source_ip, user_agent,
    user_agent_family(user_agent) AS client, ip_network(source_ip) AS network, ip_label(source_ip) AS kind_of_address,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at,
    count(*) AS calls,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(DISTINCT action) AS actions,
    count(*) FILTER (WHERE kind = 'authentication') AS logins,
    arg_min(id, (recorded_at, id)) AS first_event_id, arg_max(id, (recorded_at, id)) AS last_event_id,
    min(actor_id) AS actor_id
FROM events
WHERE recorded_at >= $since AND recorded_at < $until
    AND actor_id = $principal
GROUP BY source_ip, user_agent
ORDER BY first_at, source_ip NULLS LAST, user_agent NULLS LAST
