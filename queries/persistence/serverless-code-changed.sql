/* ---
title = "Serverless code, triggers and schedules deployed or changed"
description = """
Functions, containers, jobs and workflows that were made, changed or deployed, and the triggers and schedules that
start them: code that runs later, without anybody logged in, with the rights and the secrets of its namespace. This is
the list; persistence/serverless-newcomers tells what is unusual in it.
"""
question = 37
answer = "partly"
attack = ["T1648"]
false_positives = ["Every deployment."]
blind_spots = [
    "The code itself and an image's content are not in the event.",
    "A container that pulls a tag anew runs other code without a change here.",
]

[columns]
recorded_at = "When the call was recorded."
principal_id = "Who called: a user or an application, never a key."
product_name = "The product."
method_name = "The method called."
resource_ids = "What was acted on."
resource_names = "What was acted on."
image = "The image that the body names."
schedule = "The schedule that the body names."
runs = "The handler or command that the body names."
locality = "The region or zone."
project_id = "The Project."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
first_time = "Whether the principal never succeeded with this method before, in all that is held."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[[next]]
query = "persistence/serverless-newcomers"
why = "Who did such a thing for the first time."

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
        locality, project_id, resources, request_body
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (
            method_name IN ('DeployFunction', 'RedeployContainer', 'CreateCron', 'UpdateCron')
            OR regexp_matches(
                method_name,
                '^(Create|Update)(Function|Container|Trigger|JobDefinition|Job|WorkflowDefinition|WorkflowVersion)$'
            )
            OR method_name IN ('StartJobDefinition', 'StartWorkflowDefinition')
        )
),
methods AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_success_at
    FROM first_seen
    WHERE subject_type = 'principal' AND dimension = 'method'
)
SELECT
    c.recorded_at, c.principal_id, c.product_name, c.method_name, resource_ids(c.resources) AS resource_ids,
    resource_names(c.resources) AS resource_names,
    coalesce(
        body_text(c.request_body, 'image'), body_text(c.request_body, 'registry_image'),
        body_text(c.request_body, 'image_uri')
    ) AS image,
    coalesce(
        body_text(c.request_body, 'schedule'), body_text(c.request_body, 'cron_schedule.schedule')
    ) AS schedule,
    coalesce(
        body_text(c.request_body, 'handler'), body_text(c.request_body, 'command'),
        array_to_string(body_list(c.request_body, 'command'), ' ')
    ) AS runs,
    c.locality, c.project_id, outcome_of(c.status_code) AS outcome, c.status_code,
    coalesce(m.first_success_at >= c.recorded_at, true) AS first_time,
    c.source_ip, c.user_agent, c.id
FROM calls AS c
LEFT JOIN methods AS m ON m.organization_id = c.organization_id AND m.subject_id = c.principal_id
    AND m.value = c.method_name AND m.subject_type = 'principal' AND m.dimension = 'method'
ORDER BY c.recorded_at, c.id
