/* ---
title = "Backups destroyed as the principal never did, or no longer made"
description = """
A principal deleted, or tried to delete, several different backups or snapshots within the window, more than its own
bursts of the weeks before; or it switched a schedule of backups off. What comes before ransom is asked for. Denied
attempts count.
"""
question = 58
attack = ["T1490"]
severity = "high"
false_positives = [
    "A clean-up that runs for the first time, or an environment that is taken down with its backups.",
    "A database that is about to be deleted, whose backups are switched off before.",
]
blind_spots = [
    "An application older than the archive, in the archive's first days (settled): its habits are not known yet, so give settled as 0d to see it.",
    "Snapshots of Block Storage, and copies in buckets: what happens to them is not logged.",
    "Backups that are kept for less time: impact/backups-destroyed has those calls.",
    "Fewer at a time than the minimum.",
]

[params.minimum]
type = "integer"
default = 3
description = "Fewest deletions within the window, and fewest different backups."

[params.window]
type = "duration"
default = "1h"
description = "The window that slides over the calls; a burst ends when nothing came for its length."

[params.factor]
type = "number"
default = 2
description = "How many times the principal's own largest burst before it must be, where there is one."

[params.history]
type = "duration"
default = "30d"
description = "How far back the principal's own bursts are looked at; those of the day before do not count as usual."

[params.settled]
type = "duration"
default = "3d"
description = "For how long after the archive begins nothing is told of applications that were there before it, by the directory."

[params.lookback]
type = "duration"
default = "1d"
description = "How far before the span the beginning of a burst is looked for."

[columns]
first_at = "The burst's first call."
last_at = "The burst's last call."
principal_id = "Who called; null where the events do not say."
events = "How many calls, denied and failed ones among them."
things = "How many different things they were about."
most_within_window = "How many calls within the window at most."
usual = "The most of any burst of this principal in the time before; null where there was none."
succeeded = "Calls that succeeded."
denied = "Calls that were denied."
products = "The products."
methods = "The calls."
schedules_off = "Calls that switch a schedule of backups off; one is enough for a row."
resource_names = "Names of what it was done to."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
first_id = "The burst's first event, which tells it from others."
event_ids = "All events of the burst, oldest first."

[finding]
summary = "{principal} destroyed or tried to destroy {things} backups or their schedules in {events} calls ({succeeded} succeeded, {denied} denied) in {products}, from {source_ips}."
key = ["principal_id", "first_id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "impact/backups-destroyed"
why = "Each of the calls, with what it says."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, product_name, status_code, source_ip, user_agent,
        coalesce(resources[1].id, id) AS thing, resources[1].name AS thing_name,
        verb(method_name) <> 'Delete' AS is_schedule
    FROM api_events
    WHERE recorded_at >= $since - $lookback - $history AND recorded_at < $until
        AND (
            verb(method_name) IN ('Update', 'Set', 'Patch')
            OR method_name IN ('DeleteSnapshot', 'DeleteDatabaseBackup', 'DeleteImage', 'DeleteBackup')
        ) IS TRUE
        AND (
            method_name IN ('DeleteSnapshot', 'DeleteDatabaseBackup', 'DeleteImage', 'DeleteBackup')
            OR lower(body_text(request_body, 'is_backup_schedule_disabled')) = 'true'
            OR lower(body_text(request_body, 'disable_backup')) = 'true'
            OR lower(body_text(request_body, 'is_snapshot_schedule_enabled')) = 'false'
        )
),
marked AS (
    SELECT
        *,
        events_within((organization_id, principal_id), recorded_at, $window) AS within_window,
        begins_burst((organization_id, principal_id), recorded_at, id, $window) AS begins
    FROM calls
),
numbered AS (
    SELECT *, burst_number((organization_id, principal_id), recorded_at, id, begins) AS burst
    FROM marked
),
bursts AS (
    SELECT
        organization_id, principal_id, burst, min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        count(*) AS events, max(within_window) AS most_within_window, count(DISTINCT thing) AS things,
        count(*) FILTER (WHERE is_success(status_code)) AS succeeded,
        count(*) FILTER (WHERE is_denied(status_code)) AS denied,
        list_sort(list(DISTINCT product_name) FILTER (WHERE product_name IS NOT NULL)) AS products,
        list_sort(list(DISTINCT method_name) FILTER (WHERE method_name IS NOT NULL)) AS methods,
        list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips,
        list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)) AS user_agents,
        list(id ORDER BY recorded_at, id) AS event_ids,
        count(*) FILTER (WHERE is_schedule) AS schedules_off,
        list_sort(list(DISTINCT thing_name) FILTER (WHERE thing_name IS NOT NULL)) AS resource_names
    FROM numbered
    GROUP BY organization_id, principal_id, burst
),
-- Nobody knows yet what they do every day.
unsettled AS (
    SELECT DISTINCT p.organization_id, p.id, f.first_at + $settled AS settled_at
    FROM principals AS p
    JOIN first_seen AS f ON f.organization_id = p.organization_id
    WHERE f.subject_type = 'organization' AND f.dimension = 'activity'
        AND p.type = 'application' AND p.created_at < f.first_at
),
compared AS (
    SELECT
        *,
        max(most_within_window) OVER (
            PARTITION BY organization_id, principal_id
            ORDER BY first_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS usual
    FROM bursts
)
SELECT
    first_at, last_at, principal_id, events, things, most_within_window, usual, succeeded, denied, products, methods,
    schedules_off, resource_names, source_ips, user_agents, event_ids[1] AS first_id, event_ids
FROM compared AS c
WHERE last_at >= $since
    AND NOT EXISTS (
        SELECT 1 FROM unsettled AS u
        WHERE u.organization_id = c.organization_id AND u.id = c.principal_id AND c.first_at < u.settled_at
    )
    AND (
        schedules_off > 0
        OR (
            most_within_window >= $minimum AND things >= $minimum
            AND most_within_window >= $factor * coalesce(usual, 0)
        )
    )
ORDER BY ALL
