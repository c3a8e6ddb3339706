/* ---
title = "Since when each product's methods have been loggable"
description = """
What Scaleway's own list said could leave an event, by product and region, and since when and until when the list that
is held said so; beside it, how many events of these methods the asked span has. A method that became loggable within
the span has no events from before, whatever was done with it. Methods with events that are on no list that is held
are shown too: the list is then newer, or incomplete.
"""
question = 1
blind_spots = [
    "The list is only known from the first time it was read: at_the_latest says that a method may be on it for longer.",
    "A method that is on no list leaves no event at all, and no trace here: reads, lists, Object Storage.",
]
[columns]
organization_id = "The Organization."
region = "The region whose list it is."
product_name = "The product, as events name it."
state = "listed, no longer listed, or not on the list: there are events of it and no list that is held names it."
listed_from = "When the list was first seen to name these methods."
listed_to = "When it first no longer did; null where it does."
at_the_latest = "Whether listed_from is the first look at that list, so that they may be loggable for longer."
in_the_span = "Whether they came to the list or left it within the asked span: a part of it is then blind."
methods = "How many methods that is."
method_names = "Which."
events = "How many events of them the asked span has."
first_event_at = "The first of these."
[[next]]
query = "coverage/what-is-held"
why = "Whether the streams themselves were read."
--- */
WITH seen AS (
    SELECT
        organization_id, region, product_name, method_name,
        count(*) AS events, min(recorded_at) AS first_event_at
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
    GROUP BY organization_id, region, product_name, method_name
),
-- Two services of a product may have a method of the same name: its events are counted once.
listed AS (
    SELECT
        organization_id, region, product_name, method_name,
        min(listed_from) AS listed_from,
        CASE WHEN count(*) = count(listed_to) THEN max(listed_to) END AS listed_to,
        bool_or(at_the_latest) AS at_the_latest
    FROM loggable_methods
    GROUP BY organization_id, region, product_name, method_name
),
told AS (
    SELECT
        l.organization_id, l.region, l.product_name, l.method_name, l.listed_from, l.listed_to, l.at_the_latest,
        CASE WHEN l.listed_to IS NULL THEN 'listed' ELSE 'no longer listed' END AS state,
        s.events, s.first_event_at
    FROM listed AS l
    LEFT JOIN seen AS s
        ON s.organization_id = l.organization_id AND s.region = l.region
        AND s.product_name = l.product_name AND s.method_name = l.method_name
    UNION ALL
    SELECT
        s.organization_id, s.region, s.product_name, s.method_name, NULL, NULL, NULL,
        'not on the list', s.events, s.first_event_at
    FROM seen AS s
    WHERE NOT EXISTS (
        SELECT 1 FROM listed AS l
        WHERE l.organization_id = s.organization_id AND l.region = s.region
            AND l.product_name IS NOT DISTINCT FROM s.product_name AND l.method_name IS NOT DISTINCT FROM s.method_name
    )
)
SELECT
    organization_id, region, product_name, state, listed_from, listed_to, at_the_latest,
    coalesce(
        (NOT at_the_latest AND listed_from >= $since AND listed_from < $until)
        OR (listed_to >= $since AND listed_to < $until),
        false
    ) AS in_the_span,
    count(*) AS methods,
    list_sort(list(DISTINCT method_name) FILTER (WHERE method_name IS NOT NULL)) AS method_names,
    CAST(coalesce(sum(events), 0) AS BIGINT) AS events,
    min(first_event_at) AS first_event_at
FROM told
GROUP BY organization_id, region, product_name, state, listed_from, listed_to, at_the_latest
ORDER BY ALL
