/* ---
title = "Denied first, allowed later"
description = """
A call that was denied (403) and, within a week, went through for the same principal with the same method. One row for
each such success, with the denials before it and the grants to that principal in between. first_time says that the
method had never worked for it before: then it gained a right, and grant_ids says from which calls; where they are
none, a group that it is in may have gained it, or it asked for less than before. The others are mostly programs that
try again.
"""
question = 22
attack = ["T1098.003"]
severity = "info"
false_positives = [
    "Everything that is denied now and then and tried again: another Project, a resource that was gone, a quota.",
    "Somebody who lacked a permission, asked for it and got it.",
]
blind_spots = [
    "Denied reads and lists are not logged.",
    "Grants to a group that the principal is in, and those of policies that were only changed, are not among grant_ids.",
]

[params.within]
type = "duration"
default = "7d"
description = "How long after a denial a success counts."

[columns]
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
product_name = "The product."
first_at = "The first of the denials."
last_at = "The success."
denied = "How many denials came before it, since the success before that."
events = "The denials and the success."
first_time = "Whether the principal never succeeded with this method before, in all that is held."
granted_by = "Who gave the principal rights in between."
grant_ids = "The calls that gave them, oldest first."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
event_ids = "The denials, oldest first, and the success."
id = "The success."

[finding]
summary = "{principal} was denied {method_name} {denied} times since {first_at} and succeeded at {last_at} from {source_ip}; grants in between: {grant_ids}."
key = ["id"]

[[next]]
query = "privilege/grants"
why = "Who gave what to whom meanwhile."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH denied AS (
    SELECT organization_id, principal_id, coalesce(product_name, '') AS product, method_name, recorded_at, id
    FROM api_events
    WHERE recorded_at >= $since - $within AND recorded_at < $until
        AND status_code = 403
),
tried AS (SELECT DISTINCT organization_id, principal_id, product, method_name FROM denied),
worked AS (
    SELECT
        organization_id, id, recorded_at, principal_id, coalesce(product_name, '') AS product, method_name, source_ip,
        user_agent
    FROM api_events
    WHERE recorded_at >= $since - $within AND recorded_at < $until
        AND is_success(status_code)
),
allowed AS (
    SELECT
        w.organization_id, w.id, w.recorded_at, w.principal_id, w.product, w.method_name, w.source_ip, w.user_agent,
        lag(w.recorded_at) OVER (
            PARTITION BY w.organization_id, w.principal_id, w.product, w.method_name ORDER BY w.recorded_at, w.id
        ) AS previous_at
    FROM worked AS w
    JOIN tried ON tried.organization_id = w.organization_id AND tried.principal_id = w.principal_id
        AND tried.method_name = w.method_name AND tried.product = w.product
),
followed AS (
    SELECT
        a.id, a.organization_id, a.recorded_at, a.principal_id, a.product, a.method_name, a.source_ip, a.user_agent,
        count(*) AS denied, min(d.recorded_at) AS first_denied_at,
        list(d.id ORDER BY d.recorded_at, d.id) AS denied_ids
    FROM allowed AS a
    JOIN denied AS d ON d.organization_id = a.organization_id AND d.principal_id = a.principal_id
        AND d.method_name = a.method_name AND d.product = a.product
        AND d.recorded_at <= a.recorded_at AND d.recorded_at >= a.recorded_at - $within
        AND (a.previous_at IS NULL OR d.recorded_at > a.previous_at)
    WHERE a.recorded_at >= $since
    GROUP BY
        a.id, a.organization_id, a.recorded_at, a.principal_id, a.product, a.method_name, a.source_ip, a.user_agent
),
given AS (
    SELECT
        f.organization_id, f.id, list(g.id ORDER BY g.recorded_at, g.id) AS grant_ids,
        list_sort(list(DISTINCT g.principal_id) FILTER (WHERE g.principal_id IS NOT NULL)) AS granted_by
    FROM followed AS f
    JOIN grants AS g ON g.organization_id = f.organization_id
        AND g.recorded_at >= f.first_denied_at AND g.recorded_at <= f.recorded_at
        AND list_contains(g.grantee_ids, f.principal_id)
    WHERE g.recorded_at >= $since - $within AND g.recorded_at < $until
        AND g.outcome = 'success'
    GROUP BY f.organization_id, f.id
),
methods AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
)
SELECT
    f.principal_id, f.method_name, nullif(f.product, '') AS product_name,
    f.first_denied_at AS first_at, f.recorded_at AS last_at, f.denied, f.denied + 1 AS events,
    coalesce(m.first_success_at >= f.recorded_at, true) AS first_time,
    coalesce(given.granted_by, []) AS granted_by, coalesce(given.grant_ids, []) AS grant_ids,
    f.source_ip, f.user_agent, list_append(f.denied_ids, f.id) AS event_ids, f.id
FROM followed AS f
LEFT JOIN given ON given.organization_id = f.organization_id AND given.id = f.id
LEFT JOIN methods AS m ON m.organization_id = f.organization_id AND m.subject_id = f.principal_id
    AND m.value = f.method_name AND m.subject_type = 'principal' AND m.dimension = 'method'
ORDER BY f.recorded_at, f.id
