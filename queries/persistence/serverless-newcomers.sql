/* ---
title = "Somebody deployed or scheduled serverless code for the first time"
description = """
The first call ever, in all that is held, with which a principal made, changed, deployed or scheduled a function, a
container, a job or a workflow. One row for each principal and product, with what else of the kind it did within the
day.
"""
question = 37
answer = "partly"
attack = ["T1648"]
severity = "low"
false_positives = ["New developers and new pipelines."]
blind_spots = ["A pipeline that deploys all day and is used by somebody else: see persistence/from-new-origin."]

[params.history]
type = "duration"
default = "3650d"
description = "How far back earlier calls of the principal are looked for."

[params.within]
type = "duration"
default = "1d"
description = "How much after the first call belongs to the row."

[columns]
first_at = "The first call."
last_at = "The last of those that belong to the row."
principal_id = "Who called: a user or an application, never a key."
product_name = "The product."
methods = "The methods."
outcome = "success where one of them succeeded, else what came of the first."
known_since = "Since when the principal is known at all: how long the history is that it is compared with."
events = "How many events there are in the row."
resource_names = "What was acted on."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
event_ids = "The events, oldest first."

[finding]
summary = "{principal}, known since {known_since}, deployed to {product_name} for the first time: {methods} on {resource_names} from {source_ips} ({outcome})."
key = ["principal_id", "product_name"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, product_name, method_name, status_code, source_ip, user_agent,
        resource_names(resources) AS resource_names,
        min(recorded_at) OVER (PARTITION BY organization_id, principal_id, product_name) AS began_at
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (
            method_name IN ('DeployFunction', 'RedeployContainer', 'CreateCron', 'UpdateCron')
            OR regexp_matches(
                method_name,
                '^(Create|Update)(Function|Container|Trigger|JobDefinition|Job|WorkflowDefinition|WorkflowVersion)$'
            )
            OR method_name IN ('StartJobDefinition', 'StartWorkflowDefinition')
        )
),
known AS (
    SELECT organization_id, subject_id, min(first_at) AS first_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'activity'
    GROUP BY organization_id, subject_id
)
SELECT
    min(c.recorded_at) AS first_at, max(c.recorded_at) AS last_at, c.principal_id, c.product_name,
    list_sort(list(DISTINCT c.method_name)) AS methods,
    CASE WHEN bool_or(is_success(c.status_code)) THEN 'success'
        ELSE list(outcome_of(c.status_code) ORDER BY c.recorded_at, c.id)[1] END AS outcome,
    min(k.first_at) AS known_since, count(*) AS events,
    list_sort(list_distinct(flatten(list(c.resource_names ORDER BY c.recorded_at, c.id)))) AS resource_names,
    list_sort(list(DISTINCT c.source_ip) FILTER (WHERE c.source_ip IS NOT NULL)) AS source_ips,
    list_sort(list(DISTINCT c.user_agent) FILTER (WHERE c.user_agent IS NOT NULL)) AS user_agents,
    list(c.id ORDER BY c.recorded_at, c.id) AS event_ids
FROM calls AS c
LEFT JOIN known AS k ON k.organization_id = c.organization_id AND k.subject_id = c.principal_id
WHERE c.recorded_at <= c.began_at + $within
GROUP BY c.organization_id, c.principal_id, c.product_name
HAVING max(c.recorded_at) >= $since
ORDER BY first_at, c.organization_id, c.principal_id, c.product_name
