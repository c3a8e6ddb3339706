/* ---
title = "Logs and alerts deleted, disabled or diverted"
description = """
Calls that make the Organization see less: export jobs and alert rules of Audit Trail, alerting, exporters and data
sources of Cockpit, and purged database logs. Denied attempts are included: they show the intention.
"""
question = 43
attack = ["T1685", "T1685.002"]
severity = "high"
false_positives = ["Moving an export or an alert to another bucket or contact: look for the call that makes the new one."]
blind_spots = ["Alert rules of Audit Trail: that their changes are logged is not documented."]
--- */
SELECT
    recorded_at, product_name, method_name, principal_id, status_code,
    CASE WHEN is_success(status_code) THEN 'done' WHEN status_code IN (401, 403) THEN 'denied' ELSE 'failed' END
        AS attempt,
    source_ip, user_agent, locality,
    list_transform(resources, lambda r: r.name) AS resource_names,
    request_body, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND (
        method_name IN (
            'DeleteExportJob', 'CreateExportJob', 'DisableAlertRules', 'SetEnabledAlertRules',
            'DisableCustomAlertRules', 'SetEnabledCustomAlertRules', 'DeleteCustomAlertRule', 'UpdateCustomAlertRule',
            'PurgeInstanceLogs'
        )
        OR (product_name = 'cockpit' AND method_name IN (
            'DisableAlertManager', 'DisableManagedAlerts', 'DeleteContactPoint', 'DeleteExporter', 'CreateExporter',
            'UpdateExporter', 'DeleteDataSource'
        ))
    )
ORDER BY recorded_at, id
