/* ---
title = "Servers and services stopped or restarted"
description = """
Every call that stops or restarts something that runs: servers, by whichever product, deployments, databases, nodes of
clusters, and pools and containers that are scaled to nothing. Denied attempts count. It lists; impact/mass-stops says
where somebody stopped much at once.
"""
question = 61
attack = ["T1489", "T1529"]
false_positives = ["Schedules that stop test environments at night; maintenance."]
blind_spots = [
    "What is stopped from inside, by a shutdown on the server or with the cluster's own API: no event.",
    "Services that stop because something they need was deleted: see impact/mass-deletes.",
]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
product_name = "The product."
method_name = "The call."
done = "What it asks for: poweroff, stop_in_place, terminate, reboot, stop, restart, pause, scaled to nothing."
outcome = "success, denied or failure."
resource_ids = "What was stopped."
resource_names = "Its names."
locality = "The region or zone."
project_id = "The Project."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "impact/mass-stops"
why = "Whether much was stopped at once."
--- */
SELECT
    recorded_at, principal_id, product_name, method_name,
    CASE
        WHEN method_name = 'ServerAction' THEN body_text(request_body, 'action')
        WHEN verb(method_name) = 'Update' THEN 'scaled to nothing'
        ELSE lower(verb(method_name))
    END AS done,
    outcome_of(status_code) AS outcome,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names,
    locality, project_id, source_ip, user_agent, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND (
        verb(method_name) IN ('Stop', 'Pause', 'Terminate') AND method_name <> 'StopBMCAccess'
        OR method_name IN (
            'RebootServer', 'RebootNode', 'RestartInstance', 'ServerAction', 'UpdatePool', 'UpdateContainer',
            'UpdateFunction', 'UpdateDeployment'
        )
    ) IS TRUE
    AND (
        method_name <> 'ServerAction'
        OR body_text(request_body, 'action') IN ('poweroff', 'stop_in_place', 'terminate', 'reboot')
    )
    AND (
        method_name NOT IN ('UpdatePool', 'UpdateContainer', 'UpdateFunction', 'UpdateDeployment')
        OR coalesce(
            body_text(request_body, 'size'), body_text(request_body, 'max_scale'), body_text(request_body, 'max_size')
        ) = '0'
    )
ORDER BY recorded_at, id
