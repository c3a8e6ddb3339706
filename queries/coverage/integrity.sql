/* ---
title = "Whether the rows of a span are those that the ledger says came"
description = """
Every commit that brought events of the asked span, with the events that it said were new and the rows of it that are
held now, over its whole time and not only the asked one. A commit whose counts differ, a number that is missing
between two commits, rows that no commit brought, and every purge are shown as such. This is what SQL can see of it,
and it is no proof: `trailkeep verify` computes every digest again and compares the head, and is.
"""
question = 2
answer = "partly"
blind_spots = [
    "This counts rows and compares no digest. `trailkeep verify` is the proof: of every file, every event and the chain.",
    "A ledger whose tail was cut off, or that was rewritten whole, looks sound from inside: compare its head with one kept elsewhere (`trailkeep verify --expect-head`).",
    "Rows further from the span than `reach` are not counted, and a commit of such rows then seems to hold too few.",
]
[params.reach]
type = "duration"
default = "3650d"
description = "How far before and after the span the rows of its commits are counted."
[columns]
seq = "The commit's number in the ledger; null for rows that no commit brought."
operation = "What it did: sync, import, purge, ..."
finished_at = "When it was committed."
organization_id = "The Organization it was about."
verdict = "counts agree, fewer rows than it brought, more rows than it brought, numbers missing before it, purge, brought by no commit, or not counted: the commit names no number."
new_events = "How many events it said were new."
rows_held = "How many rows that it brought are held now."
rows_in_span = "How many of these lie in the asked span."
revisions_in_span = "Later versions, with other content, that it brought of events of the span: see the table revisions."
first_event_at = "Its first row in the span."
last_event_at = "Its last row in the span."
host = "The machine that wrote the commit."
os_user = "The account that wrote it."
run = "The run that wrote it: the key to the table requests."
sha256 = "SHA-256 of the commit's entry, which the next one repeats."
[[next]]
query = "coverage/what-is-held"
why = "Whether the span was read in full in the first place."
--- */
WITH held AS (
    SELECT ledger_seq, recorded_at FROM api_events
    WHERE recorded_at >= $since - $reach AND recorded_at < $until + $reach
    UNION ALL
    SELECT ledger_seq, recorded_at FROM authentication_events
    WHERE recorded_at >= $since - $reach AND recorded_at < $until + $reach
    UNION ALL
    SELECT ledger_seq, recorded_at FROM system_events
    WHERE recorded_at >= $since - $reach AND recorded_at < $until + $reach
    UNION ALL
    SELECT ledger_seq, recorded_at FROM iam_logs
    WHERE recorded_at >= $since - $reach AND recorded_at < $until + $reach
),
counted AS (
    SELECT
        ledger_seq,
        count(*) AS rows_held,
        count(*) FILTER (WHERE recorded_at >= $since AND recorded_at < $until) AS rows_in_span,
        min(recorded_at) FILTER (WHERE recorded_at >= $since AND recorded_at < $until) AS first_event_at,
        max(recorded_at) FILTER (WHERE recorded_at >= $since AND recorded_at < $until) AS last_event_at
    FROM held
    GROUP BY ledger_seq
),
revised AS (
    SELECT ledger_seq, count(*) AS revisions_in_span
    FROM revisions
    WHERE recorded_at >= $since AND recorded_at < $until
    GROUP BY ledger_seq
),
entries AS (
    SELECT
        seq, operation, finished_at, organization_id, "new" AS new_events, host, os_user, run, sha256,
        seq - lag(seq) OVER (ORDER BY seq) AS step
    FROM ledger
),
-- Rows of no commit have a row here, too.
compared AS (
    SELECT
        e.seq, e.operation, e.finished_at, e.organization_id, e.new_events, e.host, e.os_user, e.run, e.sha256, e.step,
        coalesce(c.rows_held, 0) AS rows_held, coalesce(c.rows_in_span, 0) AS rows_in_span,
        coalesce(r.revisions_in_span, 0) AS revisions_in_span, c.first_event_at, c.last_event_at
    FROM entries AS e
    LEFT JOIN counted AS c ON c.ledger_seq = e.seq
    LEFT JOIN revised AS r ON r.ledger_seq = e.seq
    UNION ALL
    SELECT
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        c.rows_held, c.rows_in_span, 0, c.first_event_at, c.last_event_at
    FROM counted AS c
    WHERE NOT EXISTS (SELECT 1 FROM entries AS e WHERE e.seq = c.ledger_seq)
)
SELECT
    seq, operation, finished_at, organization_id,
    CASE
        WHEN seq IS NULL THEN 'brought by no commit'
        WHEN step > 1 THEN 'numbers missing before it'
        WHEN operation = 'purge' THEN 'purge'
        WHEN new_events IS NULL THEN 'not counted'
        WHEN rows_held < new_events THEN 'fewer rows than it brought'
        WHEN rows_held > new_events THEN 'more rows than it brought'
        ELSE 'counts agree'
    END AS verdict,
    new_events, rows_held, rows_in_span, revisions_in_span, first_event_at, last_event_at, host, os_user, run, sha256
FROM compared
WHERE rows_in_span > 0 OR revisions_in_span > 0 OR step > 1 OR operation = 'purge'
ORDER BY ALL
