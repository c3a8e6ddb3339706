/* ---
title = "What is held day by day, for each kind and region"
description = """
One row for each day (UTC) of each stream that was ever asked for: how much of the day was read in full, and how many
events and principals it has. A day that is held with no event is quiet; one that is missing may have had anything. A
stream that goes quiet while the others go on is worth a question: see defence/, and whether an automation stopped.
"""
question = 1
blind_spots = [
    "Streams that were never asked for have no row: see coverage/missing-windows.",
    "A day that is held in full holds what Scaleway logs, and no read, list or access to an object.",
]
[columns]
organization_id = "The Organization."
kind = "The kind of events: api, authentication, system, or iam for IAM's own log."
region = "The region that was asked."
day = "The day's first moment, UTC; the first and the last day may be asked for in part."
state = "held, partly held, missing, or not offered by the region."
asked_hours = "How much of the day lies in the asked span."
held_hours = "How much of that was read in full."
events = "How many events of it are held."
principals = "How many users and applications acted in them."
first_event_at = "The first of them."
last_event_at = "The last of them."
[[next]]
query = "coverage/missing-windows"
why = "The missing spans to the microsecond, and why they are."
--- */
WITH days AS (
    SELECT date_trunc('day', $since) + INTERVAL 1 DAY * number AS day
    FROM (SELECT unnest(range(0, CAST(date_diff('day', $since, $until) AS BIGINT) + 1)) AS number) AS numbered
),
asked AS (
    SELECT
        s.organization_id, s.kind, s.region, s.not_offered_at, days.day,
        greatest(days.day, $since) AS start_at,
        least(days.day + INTERVAL 1 DAY, $until) AS end_at
    FROM streams AS s
    CROSS JOIN days
    WHERE days.day < $until
),
held AS (
    SELECT
        a.organization_id, a.kind, a.region, a.day,
        sum(epoch(least(c.end_at, a.end_at) - greatest(c.start_at, a.start_at))) AS held_seconds
    FROM asked AS a
    JOIN coverage AS c
        ON c.organization_id = a.organization_id AND c.kind = a.kind AND c.region = a.region
        AND c.start_at < a.end_at AND c.end_at > a.start_at
    GROUP BY a.organization_id, a.kind, a.region, a.day
),
happened AS (
    SELECT organization_id, kind, region, recorded_at, actor_id
    FROM events
    WHERE recorded_at >= $since AND recorded_at < $until
    UNION ALL
    SELECT organization_id, 'iam', region, recorded_at, bearer_id
    FROM iam_logs
    WHERE recorded_at >= $since AND recorded_at < $until
),
counted AS (
    SELECT
        organization_id, kind, region, date_trunc('day', recorded_at) AS day,
        count(*) AS events, count(DISTINCT actor_id) AS principals,
        min(recorded_at) AS first_event_at, max(recorded_at) AS last_event_at
    FROM happened
    GROUP BY organization_id, kind, region, date_trunc('day', recorded_at)
)
SELECT
    a.organization_id, a.kind, a.region, a.day,
    CASE
        WHEN held.held_seconds >= epoch(a.end_at - a.start_at) THEN 'held'
        WHEN held.held_seconds > 0 THEN 'partly held'
        WHEN a.not_offered_at IS NOT NULL THEN 'not offered'
        ELSE 'missing'
    END AS state,
    round(epoch(a.end_at - a.start_at) / 3600, 2) AS asked_hours,
    coalesce(round(held.held_seconds / 3600, 2), 0) AS held_hours,
    coalesce(counted.events, 0) AS events, coalesce(counted.principals, 0) AS principals,
    counted.first_event_at, counted.last_event_at
FROM asked AS a
LEFT JOIN held
    ON held.organization_id = a.organization_id AND held.kind = a.kind AND held.region = a.region AND held.day = a.day
LEFT JOIN counted
    ON counted.organization_id = a.organization_id AND counted.kind = a.kind
    AND counted.region = a.region AND counted.day = a.day
ORDER BY ALL
