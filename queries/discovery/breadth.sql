/* ---
title = "Principals that reached far wider in an hour than they ever do"
description = """
A principal that used many different methods, products or regions within one hour: more than the least that counts,
and several times as many as in any hour of the month before. The row is about the hour that ends with the call that
went beyond; what came after is not in it. Where usual_methods is 0 the principal did nothing in that month.
"""
question = 23
answer = "partly"
attack = ["T1526", "T1580"]
severity = "medium"
false_positives = ["Setting something new up; Terraform with a new part; a person who comes back from a long leave."]
blind_spots = [
    "Reads and lists, with which looking around begins, are not logged.",
    "Whoever looks around for a few minutes a day stays within the hour's limits.",
    "Nothing is told of the archive's first days (known_for): all is new then.",
]

[params.window]
type = "duration"
default = "1h"
description = "The window that slides over the calls."

[params.history]
type = "duration"
default = "30d"
description = "How far back the principal's usual breadth is looked for."

[params.methods]
type = "integer"
default = 10
description = "Fewest different methods that count."

[params.products]
type = "integer"
default = 6
description = "Fewest different products that count."

[params.localities]
type = "integer"
default = 6
description = "Fewest different regions and zones that count."

[params.times]
type = "number"
default = 2.0
description = "How many times the usual it must be."

[params.again]
type = "duration"
default = "1d"
description = "For how long a principal must have kept within limits to be told again."

[params.known_for]
type = "duration"
default = "7d"
description = "How long the Organization must be known before anything is told."

[columns]
principal_id = "Who called: a user or an application, never a key."
first_at = "The first call of the hour."
last_at = "The call that went beyond."
beyond = "What was beyond the usual: methods, products, localities."
events = "Calls in the hour."
denied = "How many of them were denied."
methods_used = "Different methods in the hour."
usual_methods = "The most of them in any hour of the history; 0 where it did nothing."
products_used = "Different products."
usual_products = "The most of them before."
localities_used = "Different regions and zones."
usual_localities = "The most of them before."
methods = "The methods."
products = "The products."
localities = "The regions and zones."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
id = "The call that went beyond."
event_ids = "The events, oldest first."

[finding]
summary = "{principal} used {methods_used} methods (usually {usual_methods} at most), {products_used} products ({usual_products}) and {localities_used} localities ({usual_localities}) within the hour before {last_at}, {denied} of {events} calls denied."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }

[[next]]
query = "discovery/new-regions"
why = "Whether it had been in these regions before."
--- */
WITH calls AS (
    SELECT
        organization_id, principal_id, recorded_at, id, method_name, product_name, locality, status_code, source_ip,
        user_agent
    FROM api_events
    WHERE recorded_at >= $since - $history - $window - $again AND recorded_at < $until
        AND principal_id IS NOT NULL
),
uses AS (
    SELECT organization_id, principal_id, 'methods' AS dimension, method_name AS value, recorded_at, id FROM calls
    UNION ALL
    SELECT organization_id, principal_id, 'products', product_name, recorded_at, id FROM calls
    UNION ALL
    SELECT organization_id, principal_id, 'localities', locality, recorded_at, id FROM calls
),
neighbours AS (
    SELECT
        organization_id, principal_id, dimension, recorded_at, id,
        lag(recorded_at) OVER (PARTITION BY organization_id, principal_id, dimension, value ORDER BY recorded_at, id) AS previous_at,
        lead(recorded_at) OVER (PARTITION BY organization_id, principal_id, dimension, value ORDER BY recorded_at, id) AS next_at
    FROM uses
    WHERE value IS NOT NULL
),
-- A value counts from a use of it until the window after its last use: so all values in the window are counted once.
changes AS (
    SELECT organization_id, principal_id, dimension, recorded_at AS moment, 1 AS change, id
    FROM neighbours
    WHERE previous_at IS NULL OR previous_at < recorded_at - $window
    UNION ALL
    SELECT organization_id, principal_id, dimension, recorded_at + $window, -1, id
    FROM neighbours
    WHERE next_at IS NULL OR next_at > recorded_at + $window
),
counted AS (
    SELECT
        organization_id, principal_id, dimension, moment, change, id,
        sum(change) OVER (
            PARTITION BY organization_id, principal_id, dimension ORDER BY moment, change DESC, id ROWS UNBOUNDED PRECEDING
        ) AS breadth
    FROM changes
),
compared AS (
    SELECT
        organization_id, principal_id, dimension, moment, id, breadth,
        coalesce(max(breadth) OVER (
            PARTITION BY organization_id, principal_id, dimension ORDER BY moment RANGE BETWEEN $history PRECEDING AND $window PRECEDING
        ), 0) AS usual
    FROM counted
    WHERE change = 1
),
beyond AS (
    SELECT organization_id, principal_id, dimension, moment, id
    FROM compared
    WHERE moment >= $since - $again
        AND breadth >= CASE dimension WHEN 'methods' THEN $methods WHEN 'products' THEN $products ELSE $localities END
        AND breadth >= usual * $times
),
begun AS (
    SELECT
        organization_id, principal_id, moment, id,
        begins_burst((organization_id, principal_id), moment, id, $again) AS begins
    FROM (
        SELECT organization_id, principal_id, moment, min(id) AS id
        FROM beyond
        GROUP BY organization_id, principal_id, moment
    )
),
told AS (
    SELECT organization_id, principal_id, moment, id FROM begun WHERE begins AND moment >= $since
),
figures AS (
    SELECT
        t.organization_id, t.principal_id, t.moment,
        coalesce(max(c.breadth) FILTER (WHERE c.dimension = 'methods'), 0) AS usual_methods,
        coalesce(max(c.breadth) FILTER (WHERE c.dimension = 'products'), 0) AS usual_products,
        coalesce(max(c.breadth) FILTER (WHERE c.dimension = 'localities'), 0) AS usual_localities
    FROM told AS t
    LEFT JOIN compared AS c ON c.organization_id = t.organization_id AND c.principal_id = t.principal_id
        AND c.moment >= t.moment - $history
        AND c.moment <= t.moment - $window
    GROUP BY t.organization_id, t.principal_id, t.moment
),
reasons AS (
    SELECT t.organization_id, t.principal_id, t.moment, list_sort(list(DISTINCT b.dimension)) AS beyond
    FROM told AS t
    JOIN beyond AS b ON b.organization_id = t.organization_id AND b.principal_id = t.principal_id
        AND b.moment = t.moment
    GROUP BY t.organization_id, t.principal_id, t.moment
),
known AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_at
    FROM first_seen
    WHERE subject_type = 'organization' AND dimension = 'activity'
)
SELECT
    t.principal_id, min(c.recorded_at) AS first_at, t.moment AS last_at, min(r.beyond) AS beyond,
    count(*) AS events, count(*) FILTER (WHERE is_denied(c.status_code)) AS denied,
    count(DISTINCT c.method_name) AS methods_used, min(f.usual_methods) AS usual_methods,
    count(DISTINCT c.product_name) AS products_used, min(f.usual_products) AS usual_products,
    count(DISTINCT c.locality) AS localities_used, min(f.usual_localities) AS usual_localities,
    list_sort(list(DISTINCT c.method_name) FILTER (WHERE c.method_name IS NOT NULL)) AS methods,
    list_sort(list(DISTINCT c.product_name) FILTER (WHERE c.product_name IS NOT NULL)) AS products,
    list_sort(list(DISTINCT c.locality) FILTER (WHERE c.locality IS NOT NULL)) AS localities,
    list_sort(list(DISTINCT c.source_ip) FILTER (WHERE c.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT c.user_agent) FILTER (WHERE c.user_agent IS NOT NULL)) AS user_agents,
    t.id, list(c.id ORDER BY c.recorded_at, c.id) AS event_ids
FROM told AS t
JOIN figures AS f ON f.organization_id = t.organization_id AND f.principal_id = t.principal_id
    AND f.moment = t.moment
JOIN reasons AS r ON r.organization_id = t.organization_id AND r.principal_id = t.principal_id
    AND r.moment = t.moment
JOIN calls AS c ON c.organization_id = t.organization_id AND c.principal_id = t.principal_id
    AND c.recorded_at <= t.moment AND c.recorded_at >= t.moment - $window
JOIN known AS k ON k.organization_id = t.organization_id AND k.first_at <= t.moment - $known_for
GROUP BY t.organization_id, t.principal_id, t.moment, t.id
ORDER BY t.moment, t.id, t.principal_id, t.organization_id
