/* ---
title = "Windows that were never read, and streams that were never asked for"
description = """
Every part of the asked span that no complete reading covers, for each stream: before the first reading, between two,
after the last, and all of it where the stream was never read. Besides, every kind that was never asked of a region
that other kinds were asked of. No row means that all that was asked for was read in full.
"""
question = 1
blind_spots = [
    "A region that no kind was ever asked of is unknown here: compare with the regions that the Organization uses.",
    "What was deleted on purpose shows as missing: coverage/integrity names the purges.",
]
[columns]
organization_id = "The Organization."
kind = "The kind of events: api, authentication, system, or iam for IAM's own log."
region = "The region."
place = "never asked for, never read, before the first reading, between two readings, or after the last reading."
reason = "unreadable: behind the API's 90 days for good; unread: a sync may still read it; not offered: the region answered that it has no such stream; not asked: no run set out to read it."
start_at = "The first moment that is missing."
end_at = "The moment after the last that is missing."
hours = "How long that is."
last_read_at = "When the stream was last read; null where it never was."
[[next]]
query = "coverage/what-is-held"
why = "What is held around it."
--- */
WITH wanted AS (
    SELECT s.organization_id, s.kind, s.region, s.last_read_at, s.not_offered_at, true AS was_asked FROM streams AS s
    UNION ALL
    -- Each kind of the trail exists in each region: one that nobody asked for is a hole that no gap tells of.
    SELECT every_region.organization_id, every_kind.kind, every_region.region, NULL, NULL, false
    FROM (SELECT DISTINCT organization_id, region FROM streams WHERE kind <> 'iam') AS every_region
    CROSS JOIN (SELECT unnest(['api', 'authentication', 'system']) AS kind) AS every_kind
    WHERE NOT EXISTS (
        SELECT 1 FROM streams AS known
        WHERE known.organization_id = every_region.organization_id
            AND known.region = every_region.region
            AND known.kind = every_kind.kind
    )
),
held AS (
    SELECT
        organization_id, kind, region,
        greatest(start_at, $since) AS start_at, least(end_at, $until) AS end_at
    FROM coverage
    WHERE start_at < $until AND end_at > $since
),
ever AS (
    SELECT organization_id, kind, region, min(start_at) AS first_at, max(end_at) AS last_at
    FROM coverage
    GROUP BY organization_id, kind, region
),
-- What is held, with nothing at both ends of the asked span: what lies between two neighbours is missing.
borders AS (
    SELECT organization_id, kind, region, start_at, end_at FROM held
    UNION ALL
    SELECT organization_id, kind, region, $since, $since FROM wanted
    UNION ALL
    SELECT organization_id, kind, region, $until, $until FROM wanted
),
between_borders AS (
    SELECT
        organization_id, kind, region, end_at AS missing_from,
        lead(start_at) OVER (PARTITION BY organization_id, kind, region ORDER BY start_at, end_at) AS missing_to
    FROM borders
)
SELECT
    w.organization_id, w.kind, w.region,
    CASE
        WHEN NOT w.was_asked THEN 'never asked for'
        WHEN ever.first_at IS NULL THEN 'never read'
        WHEN b.missing_to <= ever.first_at THEN 'before the first reading'
        WHEN b.missing_from >= ever.last_at THEN 'after the last reading'
        ELSE 'between two readings'
    END AS place,
    CASE
        WHEN NOT w.was_asked THEN 'not asked'
        WHEN w.not_offered_at IS NOT NULL THEN 'not offered'
        ELSE coalesce(string_agg(DISTINCT gaps.reason, ', ' ORDER BY gaps.reason), 'not asked')
    END AS reason,
    b.missing_from AS start_at, b.missing_to AS end_at,
    round(epoch(b.missing_to - b.missing_from) / 3600, 2) AS hours,
    w.last_read_at
FROM between_borders AS b
JOIN wanted AS w ON w.organization_id = b.organization_id AND w.kind = b.kind AND w.region = b.region
LEFT JOIN ever ON ever.organization_id = b.organization_id AND ever.kind = b.kind AND ever.region = b.region
LEFT JOIN gaps
    ON gaps.organization_id = b.organization_id AND gaps.kind = b.kind AND gaps.region = b.region
    AND gaps.start_at < b.missing_to AND gaps.end_at > b.missing_from
WHERE b.missing_to > b.missing_from
GROUP BY
    w.organization_id, w.kind, w.region, w.was_asked, w.not_offered_at, w.last_read_at,
    ever.first_at, ever.last_at, b.missing_from, b.missing_to
ORDER BY ALL
