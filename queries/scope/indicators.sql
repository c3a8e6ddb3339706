/* ---
title = "Which indicators of a list occur: addresses, networks, ids, names, user agents"
description = """
One row for each indicator of the list, each place where it was seen, and each value there: how often, and from when
to when. Addresses lie in the networks of the list, user agents hold its texts in any case; ids and names of
principals, projects and resources equal them. What is not in the answer was not seen. The list is a file with one
indicator a line, defanged ones (192.0.2[.]1) included.
"""
question = 8
attack = ["T1078.004"]
blind_spots = [
    "Events without an address, all of Kubernetes and what Scaleway itself did, match no address.",
    "Bodies of requests are not searched: a domain or an URL is found only in a user agent or a name.",
]
[params.indicators]
type = "ioc_file"
required = true
description = "The list of indicators."
[columns]
indicator = "The indicator, as the list has it."
seen_as = "Where it was seen: address, principal, user agent, project, resource or resource name."
seen = "The value there: an address in the indicator's network, a user agent that holds its text."
first_at = "The first event with it in the span."
last_at = "The last one."
events = "How many."
denied = "How many of them were denied."
principals = "How many principals acted in them."
first_event_id = "The first event's id."
last_event_id = "The last event's id."
[[next]]
query = "scope/address-activity"
why = "Where an address was seen: every event from it."
params = { address = "seen" }
[[next]]
query = "scope/principal-timeline"
why = "Where a principal was seen: everything that it did."
params = { principal = "seen" }
[[next]]
query = "scope/resource-history"
why = "Where a resource was seen: its life."
params = { resource = "seen" }
--- */
WITH indicators AS (
    SELECT DISTINCT listed.indicator FROM (SELECT unnest($indicators) AS indicator) AS listed
),
held AS (
    SELECT recorded_at, id, outcome, actor_id, source_ip, user_agent, project_id
    FROM events
    WHERE recorded_at >= $since AND recorded_at < $until
),
named AS (
    SELECT recorded_at, outcome, actor_id, kind, event_id, resource_id, resource_name
    FROM event_resources
    WHERE recorded_at >= $since AND recorded_at < $until
),
seen AS (
    SELECT
        'address' AS seen_as, source_ip AS seen, min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        count(*) AS events, count(*) FILTER (WHERE outcome = 'denied') AS denied,
        count(DISTINCT actor_id) AS principals,
        arg_min(id, (recorded_at, id)) AS first_event_id, arg_max(id, (recorded_at, id)) AS last_event_id
    FROM held
    GROUP BY source_ip
    UNION ALL
    SELECT
        'principal', actor_id, min(recorded_at), max(recorded_at),
        count(*), count(*) FILTER (WHERE outcome = 'denied'), count(DISTINCT actor_id),
        arg_min(id, (recorded_at, id)), arg_max(id, (recorded_at, id))
    FROM held
    GROUP BY actor_id
    UNION ALL
    SELECT
        'user agent', user_agent, min(recorded_at), max(recorded_at),
        count(*), count(*) FILTER (WHERE outcome = 'denied'), count(DISTINCT actor_id),
        arg_min(id, (recorded_at, id)), arg_max(id, (recorded_at, id))
    FROM held
    GROUP BY user_agent
    UNION ALL
    SELECT
        'project', project_id, min(recorded_at), max(recorded_at),
        count(*), count(*) FILTER (WHERE outcome = 'denied'), count(DISTINCT actor_id),
        arg_min(id, (recorded_at, id)), arg_max(id, (recorded_at, id))
    FROM held
    GROUP BY project_id
    UNION ALL
    SELECT
        'resource', resource_id, min(recorded_at), max(recorded_at),
        count(DISTINCT event_id), count(DISTINCT event_id) FILTER (WHERE outcome = 'denied'), count(DISTINCT actor_id),
        arg_min(event_id, (recorded_at, event_id)), arg_max(event_id, (recorded_at, event_id))
    FROM named
    GROUP BY resource_id
    UNION ALL
    SELECT
        'resource name', resource_name, min(recorded_at), max(recorded_at),
        count(DISTINCT event_id), count(DISTINCT event_id) FILTER (WHERE outcome = 'denied'), count(DISTINCT actor_id),
        arg_min(event_id, (recorded_at, event_id)), arg_max(event_id, (recorded_at, event_id))
    FROM named
    GROUP BY resource_name
),
-- Each way to match is a join of its own: the first, which has the most to compare, compares only what is alike.
found AS (
    SELECT indicators.indicator, seen.seen_as, seen.seen
    FROM seen
    JOIN indicators ON lower(indicators.indicator) = lower(seen.seen)
    UNION
    SELECT indicators.indicator, seen.seen_as, seen.seen
    FROM seen
    JOIN indicators ON ip_in_cidr(seen.seen, indicators.indicator)
    WHERE seen.seen_as = 'address'
        -- IPv4 addresses that are alike were found above; one IPv6 address can be written in several ways.
        AND (contains(indicators.indicator, '/') OR contains(indicators.indicator, ':') OR contains(seen.seen, ':'))
    UNION
    SELECT indicators.indicator, seen.seen_as, seen.seen
    FROM seen
    JOIN indicators ON contains(lower(seen.seen), lower(indicators.indicator))
    WHERE seen.seen_as = 'user agent'
)
SELECT
    found.indicator, seen.seen_as, seen.seen, seen.first_at, seen.last_at, seen.events, seen.denied, seen.principals,
    seen.first_event_id, seen.last_event_id
FROM found
JOIN seen ON seen.seen_as = found.seen_as AND seen.seen = found.seen
ORDER BY ALL
