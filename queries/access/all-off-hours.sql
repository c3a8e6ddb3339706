/* ---
title = "Everything that people did outside of working hours"
description = """
What each person did outside of working hours or at a weekend, by the time zone given, one row for each person and day,
whatever is usual for them: for the time of an incident, when whoever always begins at six, or was on call, hides what
was done with their credentials. A day begins with the working hours, so a night belongs to the day before.
baseline_share says what part of the person's own events before lies in such hours, and same_hour what part of them
lies in the very hours of the day, of the zone, of this row; access/off-hours tells of the unusual ones by itself.
Failed logins and the renewals of an open console are among the rows. Who is not known to be an application counts as
a person.
"""
question = 20
attack = ["T1078.004"]
false_positives = ["Most rows: people begin early, stay late, travel and are on call. Holidays are not known."]
blind_spots = [
    "An attacker who keeps the victim's hours.",
    "Failed logins may be anybody's.",
]
[params.zone]
type = "text"
default = "Europe/Paris"
description = "The time zone in which people work, as the IANA database names it."
[params.from_hour]
type = "integer"
default = 7
description = "The hour of the day at which work begins."
[params.to_hour]
type = "integer"
default = 20
description = "The hour of the day from which on it is over."
[params.baseline]
type = "duration"
default = "60d"
description = "How much of the person's own history before the row's first event is compared."
[columns]
first_at = "The first event outside of working hours, UTC."
last_at = "The last, UTC."
local_from = "first_at in the time zone."
local_to = "last_at in the time zone."
actor_id = "Who."
events = "How many events."
denied = "How many of them were denied: failed logins among them."
actions = "What was done."
source_ips = "From where."
user_agents = "With what."
baseline_events = "How many events of the person the baseline has."
baseline_share = "What part of them was outside of working hours; null where there are none."
same_hour = "What part of them was at an hour of the day at which something of this row was; null where there are none."
organization_id = "The Organization."
event_ids = "The ids of the events, in their order."
[[next]]
query = "scope/principal-timeline"
why = "What was done in full."
params = { principal = "actor_id" }
[[next]]
query = "scope/principal-origins"
why = "Whether addresses and clients are usual for the person."
params = { principal = "actor_id" }
--- */
WITH acts AS (
    SELECT
        e.id, e.recorded_at, e.organization_id, e.actor_id, e.action, e.outcome, e.source_ip, e.user_agent,
        e.recorded_at AT TIME ZONE 'UTC' AT TIME ZONE $zone AS local_at
    FROM events AS e
    LEFT JOIN principals AS p ON p.organization_id = e.organization_id AND p.id = e.actor_id
    WHERE e.recorded_at >= $since - $baseline - INTERVAL 4 DAY AND e.recorded_at < $until
        AND e.actor_id IS NOT NULL
        AND p.type IS DISTINCT FROM 'application'
),
placed AS (
    SELECT
        *,
        isodow(local_at) >= 6 OR hour(local_at) < $from_hour OR hour(local_at) >= $to_hour AS off_hours,
        CAST(local_at - INTERVAL 1 HOUR * $from_hour AS DATE) AS working_day
    FROM acts
),
days AS (
    SELECT
        organization_id, actor_id, working_day,
        min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        min(local_at) AS local_from, max(local_at) AS local_to,
        count(*) AS events,
        count(*) FILTER (WHERE outcome = 'denied') AS denied,
        list_sort(list(DISTINCT hour(local_at))) AS hours,
        coalesce(list_sort(list(DISTINCT action) FILTER (WHERE action IS NOT NULL)), []) AS actions,
        coalesce(list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)), []) AS source_ips,
        coalesce(list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)), []) AS user_agents,
        list(id ORDER BY recorded_at, id) AS event_ids
    FROM placed
    WHERE off_hours
    GROUP BY organization_id, actor_id, working_day
    HAVING max(recorded_at) >= $since
),
before AS (
    SELECT
        d.organization_id, d.actor_id, d.working_day, count(*) AS baseline_events,
        count(*) FILTER (WHERE p.off_hours) AS off_hours,
        count(*) FILTER (WHERE list_contains(d.hours, hour(p.local_at))) AS same_hour
    FROM days AS d
    JOIN placed AS p ON p.organization_id = d.organization_id AND p.actor_id = d.actor_id
        AND p.recorded_at < d.first_at AND p.recorded_at >= d.first_at - $baseline
    GROUP BY d.organization_id, d.actor_id, d.working_day
)
SELECT
    d.first_at, d.last_at, d.local_from, d.local_to, d.actor_id, d.events, d.denied, d.actions, d.source_ips,
    d.user_agents, coalesce(b.baseline_events, 0) AS baseline_events,
    round(b.off_hours / b.baseline_events, 4) AS baseline_share, round(b.same_hour / b.baseline_events, 4) AS same_hour,
    d.organization_id, d.event_ids
FROM days AS d
LEFT JOIN before AS b ON b.organization_id = d.organization_id AND b.actor_id = d.actor_id
    AND b.working_day = d.working_day
ORDER BY ALL
