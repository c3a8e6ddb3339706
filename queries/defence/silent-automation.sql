/* ---
title = "Automation that was there day after day and fell silent"
description = """
A principal that called day after day, weekends included, and then not at all for longer than it ever paused before:
backups that no longer run, a scanner that was switched off. It is shown only where the trail of all regions in which
it acted was read in full over the silence: a gap of the archive is no silence. A row is dated by the moment from
which the silence was too long.
"""
question = 50
answer = "partly"
attack = ["T1685"]
severity = "medium"
false_positives = [
    "Automation that was taken down or moved to another principal on purpose: see deleted_at, and who came instead.",
    "A holiday, for automation that only people set off.",
]
blind_spots = [
    "Automation that works on weekdays only, or less than nearly every day, has no habit that could be missed here.",
    "Automation that only reads: reads are not logged, so it was never there.",
    "One job of several of the same principal: it goes on talking.",
]

[params.baseline]
type = "duration"
default = "14d"
description = "How many days before its last call a principal's habit is taken from."

[params.share]
type = "number"
default = 0.9
description = "On what share of these days it must have called."

[params.silence]
type = "duration"
default = "36h"
description = "The shortest silence that counts."

[params.factor]
type = "number"
default = 2
description = "How many times its longest pause of these days the silence must be."

[columns]
principal_id = "Who fell silent."
principal_name = "Its name, by the directory."
first_at = "Its last call before the silence."
last_at = "From when on the silence was too long."
next_at = "Its next call, before the end of the asked span; NULL where there is none."
events = "How often it called in the days before."
days = "On how many of these days it called."
longest_pause = "Its longest pause in them."
last_method = "The last call's method."
regions = "The regions in which it acted, all read in full over the silence."
deleted_at = "When the directory no longer listed it; NULL where it does, or never did."
source_ip = "Where the last call came from."
user_agent = "What the caller said it was."
outcome = "success, denied or failure: of the last call. Automation that was denied last may have lost its rights."
id = "The last call."

[finding]
summary = "{principal} fell silent after {first_at}, having called on {days} of the days before and never paused longer than {longest_pause}."
key = ["principal_id", "id"]

[[next]]
query = "scope/principal-timeline"
why = "What it did before, and whether it came back."
params = { principal = "principal_id" }

[[next]]
query = "scope/resource-history"
why = "Who did something to it: deleted its key, took its rights, locked it."
params = { resource = "principal_id" }
--- */
WITH hours AS (
    -- Pauses of less than an hour decide nothing, so an hour's calls are one row.
    SELECT
        organization_id, principal_id, date_trunc('hour', recorded_at) AS hour,
        min(recorded_at) AS first_at, max(recorded_at) AS last_at, count(*) AS events,
        arg_max(
            {id: id, method_name: method_name, status_code: status_code, source_ip: source_ip, user_agent: user_agent},
            (recorded_at, id)
        ) AS last_call
    FROM api_events
    WHERE recorded_at >= $since - 3 * $baseline AND recorded_at < $until
        AND principal_id IS NOT NULL
        -- Whoever is at a console is a person, and people have holidays.
        AND coalesce(method_name NOT LIKE '%Login%' AND method_name <> 'RenewJWT', true)
    GROUP BY ALL
),
paused AS (
    SELECT
        organization_id, principal_id, first_at, last_at, events, last_call,
        first_at - lag(last_at) OVER by_time AS pause,
        lead(first_at) OVER by_time AS next_at
    FROM hours
    WINDOW by_time AS (PARTITION BY organization_id, principal_id ORDER BY hour)
),
-- Whoever may have fallen silent: nothing within the shortest silence.
candidates AS (
    SELECT organization_id, principal_id, last_at, next_at, last_call
    FROM paused
    WHERE (next_at IS NULL OR next_at > last_at + $silence)
        AND last_at < $until - $silence AND last_at >= $since - $baseline
),
habits AS (
    SELECT
        c.organization_id, c.principal_id, c.last_at, c.next_at, c.last_call,
        CAST(sum(p.events) AS BIGINT) AS events,
        count(DISTINCT CAST(p.last_at AS DATE)) AS days,
        max(p.pause) FILTER (WHERE p.first_at - p.pause >= c.last_at - $baseline) AS longest_pause
    FROM candidates AS c
    JOIN paused AS p ON p.organization_id = c.organization_id AND p.principal_id = c.principal_id
        AND p.last_at <= c.last_at AND p.last_at > c.last_at - $baseline
    GROUP BY c.organization_id, c.principal_id, c.last_at, c.next_at, c.last_call
),
silent AS (
    SELECT
        organization_id, principal_id, last_at, next_at, last_call, events, days, longest_pause,
        last_at + least(greatest($silence, $factor * longest_pause), $baseline) AS missed_at
    FROM habits
    WHERE days >= $share * epoch($baseline) / 86400
),
missed AS (
    SELECT * FROM silent
    WHERE missed_at >= $since AND missed_at < $until AND (next_at IS NULL OR next_at > missed_at)
),
acted_in AS (
    SELECT DISTINCT m.organization_id, m.principal_id, m.last_at, m.missed_at, e.region
    FROM missed AS m
    JOIN api_events AS e ON e.organization_id = m.organization_id AND e.principal_id = m.principal_id
        AND e.recorded_at >= $since - 3 * $baseline AND e.recorded_at < $until
        AND e.recorded_at > m.last_at - $baseline AND e.recorded_at <= m.last_at
),
covered AS (
    SELECT
        a.organization_id, a.principal_id, a.last_at, list_sort(list(DISTINCT a.region)) AS regions,
        count(DISTINCT a.region) AS acted, count(DISTINCT c.region) AS held
    FROM acted_in AS a
    LEFT JOIN coverage AS c ON c.organization_id = a.organization_id AND c.region = a.region AND c.kind = 'api'
        AND c.start_at <= a.last_at AND c.end_at >= a.missed_at
    GROUP BY a.organization_id, a.principal_id, a.last_at
),
names AS (
    SELECT
        organization_id, id, arg_max({name: name, deleted_at: gone_at}, (ledger_seq, valid_from)) AS known
    FROM directory_history
    WHERE resource IN ('users', 'applications')
    GROUP BY organization_id, id
)
SELECT
    m.principal_id, n.known.name AS principal_name, m.last_at AS first_at, m.missed_at AS last_at, m.next_at, m.events,
    m.days, m.longest_pause, m.last_call.method_name AS last_method, c.regions, n.known.deleted_at AS deleted_at,
    m.last_call.source_ip AS source_ip, m.last_call.user_agent AS user_agent,
    outcome_of(m.last_call.status_code) AS outcome, m.last_call.id AS id
FROM missed AS m
JOIN covered AS c ON c.organization_id = m.organization_id AND c.principal_id = m.principal_id AND c.last_at = m.last_at
LEFT JOIN names AS n ON n.organization_id = m.organization_id AND n.id = m.principal_id
WHERE c.held = c.acted
ORDER BY ALL
