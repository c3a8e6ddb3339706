/* ---
title = "What is held, and what is missing, stream by stream"
description = """
Every span of the asked time that was read in full, with its number of events, and every span that was not: unread, or
unreadable because it fell behind the API's 90 days. Read this before anything else: an empty answer from a span that
was never read proves nothing, and a span that is held without any event is silence that was looked at.
"""
question = 1
blind_spots = [
    "What Scaleway does not log is missing from a span that is held in full: reads, lists, Object Storage.",
    "Streams that were never asked for have no row here: see coverage/missing-windows.",
]
[params.since]
type = "timestamp"
default = "90d"
description = "From this moment on."
[columns]
organization_id = "The Organization."
kind = "The kind of events: api, authentication, system, or iam for IAM's own log."
region = "The region that was asked."
state = "held: read in full; missing: not read; not offered: the region answered that it has no such stream."
reason = "Why it is missing: unread (a sync will read it) or unreadable (it is behind the API's 90 days for good)."
start_at = "Where the span begins, cut to what was asked."
end_at = "The moment after its last."
events = "How many events of it are held. What lies in a missing span was read before the span could be proven whole."
first_event_at = "The first of them."
last_event_at = "The last of them."
[[next]]
query = "coverage/by-day"
why = "The same, day by day: where a stream went quiet."
[[next]]
query = "coverage/missing-windows"
why = "Only what was never read, with what was never asked for."
[[next]]
query = "coverage/integrity"
why = "Which commits brought these events, and whether their counts agree."
--- */
WITH spans AS (
    SELECT organization_id, kind, region, 'held' AS state, NULL AS reason, start_at, end_at FROM coverage
    UNION ALL
    SELECT organization_id, kind, region, 'missing', reason, start_at, end_at FROM gaps
    UNION ALL
    -- A stream that its region does not have is missing all along, and nobody's fault.
    SELECT organization_id, kind, region, 'not offered', 'the region answered that it has none', $since, $until
    FROM streams
    WHERE not_offered_at IS NOT NULL
),
asked AS (
    SELECT
        organization_id, kind, region, state, reason,
        greatest(start_at, $since) AS start_at,
        least(end_at, $until) AS end_at
    FROM spans
    WHERE start_at < $until AND end_at > $since
),
counted AS (
    SELECT kind, organization_id, region, recorded_at
    FROM events
    WHERE recorded_at >= $since AND recorded_at < $until
    UNION ALL
    SELECT 'iam', organization_id, region, recorded_at
    FROM iam_logs
    WHERE recorded_at >= $since AND recorded_at < $until
)
SELECT
    asked.organization_id, asked.kind, asked.region, asked.state, asked.reason, asked.start_at, asked.end_at,
    count(counted.recorded_at) AS events,
    min(counted.recorded_at) AS first_event_at, max(counted.recorded_at) AS last_event_at
FROM asked
LEFT JOIN counted
    ON counted.kind = asked.kind
    AND counted.organization_id = asked.organization_id
    AND counted.region = asked.region
    AND counted.recorded_at >= asked.start_at
    AND counted.recorded_at < asked.end_at
GROUP BY ALL
ORDER BY ALL
