/* ---
title = "Kubernetes clusters: admin token reset, access list opened"
description = """
Calls after which somebody reaches a cluster who did not before: the admin token was reset (the caller can fetch the
new one, and everybody else's stops working), or addresses were put on the list of those that may reach the cluster's
API. Kubernetes events carry no address: where the caller sat is told only by the principal's other calls. Denied
attempts are among them.
"""
question = 34
attack = ["T1098.001", "T1686.001"]
severity = "medium"
false_positives = ["A rotation of the admin token that was announced; an office or a runner with a new address."]
blind_spots = [
    "Kubernetes events carry no source_ip.",
    "Fetching a kubeconfig is not logged, and what is done inside of a cluster is not either.",
]

[params.before]
type = "duration"
default = "1h"
description = "How far before it the principal's other calls are looked at."

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
method_name = "The method called."
what = "admin token reset, or access list opened."
cluster_id = "The cluster; null where the event does not say it."
resource_names = "What was acted on."
ranges = "The addresses that the body names."
to_the_world = "Whether everybody is among them."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
first_time = "Whether the principal never succeeded with this method before, in all that is held."
other_addresses = "Where the principal's calls to other products came from, within the hour before it."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal}: {what} of the cluster {cluster_id} {ranges} ({outcome}); its other calls came from {other_addresses}."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/resource-history"
why = "What else was done to the cluster."
params = { resource = "cluster_id" }

[[next]]
query = "scope/principal-origins"
why = "Where the principal acts from otherwise."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, method_name, status_code, source_ip, user_agent, resources,
        request_body
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (method_name IN ('ResetClusterAdminToken', 'AddClusterACLRules', 'SetClusterACLRules')) IS TRUE
),
others AS (
    SELECT id, recorded_at, organization_id, principal_id, source_ip
    FROM api_events
    WHERE recorded_at >= $since - $before AND recorded_at < $until
        AND source_ip IS NOT NULL
),
addresses AS (
    SELECT c.organization_id, c.id, list_sort(list(DISTINCT o.source_ip)) AS source_ips
    FROM calls AS c
    JOIN others AS o ON o.organization_id = c.organization_id AND o.principal_id = c.principal_id
        AND o.recorded_at >= c.recorded_at - $before AND o.recorded_at <= c.recorded_at
    GROUP BY c.organization_id, c.id
),
methods AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
)
SELECT
    c.recorded_at, c.principal_id, c.method_name,
    CASE WHEN c.method_name = 'ResetClusterAdminToken' THEN 'admin token reset' ELSE 'access list opened' END AS what,
    coalesce(
        resource_of(c.resources, 'k8s_cluster'), resource_of(c.resources, 'kube_cluster'),
        body_text(c.request_body, 'cluster_id'), resource_ids(c.resources)[1]
    ) AS cluster_id,
    resource_names(c.resources) AS resource_names, body_every(c.request_body, 'ip') AS ranges,
    len(world_ranges(c.request_body)) > 0 AS to_the_world,
    outcome_of(c.status_code) AS outcome, c.status_code,
    coalesce(m.first_success_at >= c.recorded_at, true) AS first_time,
    coalesce(a.source_ips, []) AS other_addresses, c.source_ip, c.user_agent, c.id
FROM calls AS c
LEFT JOIN addresses AS a ON a.organization_id = c.organization_id AND a.id = c.id
LEFT JOIN methods AS m ON m.organization_id = c.organization_id AND m.subject_id = c.principal_id
    AND m.value = c.method_name AND m.subject_type = 'principal' AND m.dimension = 'method'
ORDER BY c.recorded_at, c.id
