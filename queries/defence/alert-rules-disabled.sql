/* ---
title = "Alert rules of the Audit Trail disabled"
description = """
The alerts that Scaleway itself sends about the trail were disabled, deleted or changed. The API knows such calls, but
Scaleway's documentation does not list them among those that leave events: rows are proof, their absence is none.
"""
question = 44
answer = "partly"
attack = ["T1685"]
severity = "high"
false_positives = ["Alerts that are tuned: SetEnabledAlertRules names those that stay, read the body."]
blind_spots = [
    "That these calls leave events is not documented: compare the alert rules in the console with what they should be.",
    "Where alerts go to is set elsewhere: a mail rule or a changed contact silences them as well.",
]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "The call."
outcome = "success, denied or failure."
rule_ids = "The alert rules that the resources and the body name."
rule_names = "The names of what was acted on."
locality = "The region."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
request_body = "The body as it was sent."
id = "The event."

[finding]
summary = "{principal} called {method_name} on alert rules of the Audit Trail ({rule_names}) from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did that the alerts would have told."
params = { principal = "principal_id" }

[[next]]
query = "defence/audit-trail-tampering"
why = "Whether the export of the trail was touched, too."
--- */
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome,
    list_sort(list_distinct(list_concat(
        list_concat(
            resources_of(resources, 'audit_trail_alert_rule'), resources_of(resources, 'audit_trail_custom_alert_rule')
        ),
        list_concat(
            body_list(request_body, 'alert_rule_ids'), body_list(request_body, 'enabled_alert_rule_ids')
        )
    ))) AS rule_ids,
    resource_names(resources) AS rule_names, locality, source_ip, user_agent, request_body, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND (method_name IN (
        'DisableCustomAlertRules', 'SetEnabledCustomAlertRules', 'DeleteCustomAlertRule', 'UpdateCustomAlertRule',
        'DisableAlertRules', 'SetEnabledAlertRules'
    )) IS TRUE
    -- Cockpit has a call of the same name: see defence/cockpit-silenced.
    AND (method_name NOT IN ('DisableAlertRules', 'SetEnabledAlertRules') OR product_name IS DISTINCT FROM 'cockpit')
ORDER BY recorded_at, id
