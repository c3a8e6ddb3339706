/* ---
title = "People at work when they usually are not"
description = """
What a person did outside of working hours or at a weekend, by the time zone given, where that is unusual for this
very person: of the events of the `baseline` before, at most `share` lie in such hours. One row for each person and
day; a day begins with the working hours, so a night belongs to the day before. Holidays are not known. The hourly
renewal of an open console (RenewJWT) is left out, for nobody is at work for it, and so are failed logins, which may
be anybody's.
"""
question = 20
attack = ["T1078.004"]
severity = "low"
false_positives = ["An incident, a release, a deadline, a journey to another time zone."]
blind_spots = [
    "Who is a person is known from the directory and from the names in events; where both are silent nobody is.",
    "Applications work at all hours: see access/new-networks-of-applications.",
    "Somebody whose own key runs automation has no hours, and no row.",
    "An attacker who keeps the victim's hours.",
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
description = "How much of the person's own history is compared."
[params.least]
type = "integer"
default = 10
description = "Fewest events in that history: of whom less is known has no row."
[params.share]
type = "number"
default = 0.1
description = "The largest part of that history that may lie in such hours."
[columns]
first_at = "The first event outside of working hours, UTC."
last_at = "The last, UTC."
local_from = "first_at in the time zone."
local_to = "last_at in the time zone."
actor_id = "Who."
outcome = "success where anything succeeded, denied where nothing did."
events = "How many events."
denied = "How many of them were denied."
actions = "What was done."
source_ips = "From where."
user_agents = "With what."
baseline_events = "How many events of the person the baseline has."
baseline_share = "What part of them was in such hours."
organization_id = "The Organization."
first_event_id = "The id of the first event."
event_ids = "The ids of the events, in their order."
[finding]
summary = "{principal} did {events} things between {local_from} and {local_to} local time, from {source_ips}; usually a part of {baseline_share} of {baseline_events} events is in such hours."
key = ["organization_id", "actor_id", "first_event_id"]
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
    JOIN principals AS p ON p.organization_id = e.organization_id AND p.id = e.actor_id
    WHERE e.recorded_at >= $since - $baseline - INTERVAL 2 DAY AND e.recorded_at < $until
        AND p.type = 'user'
        AND e.action IS DISTINCT FROM 'RenewJWT'
        -- Who fails to log in may be anybody.
        AND (e.kind <> 'authentication' OR e.outcome IS DISTINCT FROM 'denied')
),
placed AS (
    SELECT
        *,
        isodow(local_at) >= 6 OR hour(local_at) < $from_hour OR hour(local_at) >= $to_hour AS off_hours,
        CAST(local_at - INTERVAL 1 HOUR * $from_hour AS DATE) AS working_day
    FROM acts
),
compared AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY organization_id,
            actor_id ORDER BY recorded_at RANGE BETWEEN $baseline PRECEDING AND CURRENT ROW
        ) AS events_before,
        count(*) FILTER (WHERE off_hours) OVER (
            PARTITION BY organization_id,
            actor_id ORDER BY recorded_at RANGE BETWEEN $baseline PRECEDING AND CURRENT ROW
        ) AS off_hours_before
    FROM placed
),
-- What came before the first event of such a day, without that event itself.
days AS (
    SELECT
        organization_id, actor_id, working_day,
        min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        min(local_at) AS local_from, max(local_at) AS local_to,
        bool_or(outcome = 'success') AS any_success,
        count(*) AS events,
        count(*) FILTER (WHERE outcome = 'denied') AS denied,
        coalesce(list_sort(list(DISTINCT action) FILTER (WHERE action IS NOT NULL)), []) AS actions,
        coalesce(list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)), []) AS source_ips,
        coalesce(list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)), []) AS user_agents,
        arg_min(events_before, (recorded_at, id)) - 1 AS baseline_events,
        arg_min(off_hours_before, (recorded_at, id)) - 1 AS baseline_off_hours,
        arg_min(id, (recorded_at, id)) AS first_event_id,
        list(id ORDER BY recorded_at, id) AS event_ids
    FROM compared
    WHERE off_hours
    GROUP BY organization_id, actor_id, working_day
    HAVING max(recorded_at) >= $since
)
SELECT
    first_at, last_at, local_from, local_to, actor_id,
    CASE WHEN any_success THEN 'success' ELSE 'denied' END AS outcome,
    events, denied, actions, source_ips, user_agents, baseline_events,
    round(baseline_off_hours / baseline_events, 4) AS baseline_share,
    organization_id, first_event_id, event_ids
FROM days
WHERE baseline_events >= $least AND baseline_off_hours <= $share * baseline_events
ORDER BY ALL
