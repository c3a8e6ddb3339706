/* ---
title = "Cockpit silenced: alerts, contacts, exporters, data sources"
description = """
Alerting of Cockpit was disabled, a contact point removed or changed, an exporter or a data source deleted, or a data
source told how long to keep. Monitoring sees and says less from then on. Denied attempts count. A principal that did
the same on an earlier day, as a vendor's tool does that sets everything anew each day, is left out.
"""
question = 45
attack = ["T1685", "T1685.002"]
severity = "medium"
false_positives = [
    "Maintenance that silences alerts for an hour, and a project that is taken down with all it has.",
    "A contact who left: look who was put in their place.",
]
blind_spots = [
    "Alerts and silences that are set inside of Grafana or through its API are not Scaleway's calls.",
    "Agents that are stopped on the machines send nothing either.",
]

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are looked at for what is usual."

[params.routine_days]
type = "integer"
default = 1
description = "On how many earlier days the same makes it usual."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "The call."
outcome = "success, denied or failure."
what = "What became silent: alerts, contacts, exports or data."
resource_ids = "What was acted on."
resource_names = "The names of it."
project_id = "The Project."
locality = "The region."
earlier_days = "On how many days before the same principal did the same, with the same program."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
request_body = "The body as it was sent."
id = "The event."

[finding]
summary = "{principal} silenced {what} of Cockpit with {method_name} ({resource_names}) in {locality} from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did while nobody was told."
params = { principal = "principal_id" }

[[next]]
query = "exfiltration/traffic-diverted"
why = "Whether telemetry is sent elsewhere instead."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, status_code, resources, project_id, locality,
        source_ip, user_agent, request_body, body_text(request_body, 'retention_days') AS retention
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        -- The Audit Trail has a call DisableAlertRules, too: see defence/alert-rules-disabled.
        AND (product_name = 'cockpit' OR (product_name IS NULL AND method_name <> 'DisableAlertRules'))
        AND (method_name IN (
            'DisableAlertManager', 'DisableManagedAlerts', 'DisableAlertRules', 'DeleteContactPoint',
            'UpdateContactPoint', 'DeleteExporter', 'DeleteDataSource', 'UpdateDataSource'
        )) IS TRUE
        AND (method_name <> 'UpdateDataSource' OR body_text(request_body, 'retention_days') IS NOT NULL)
),
counted AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY organization_id, principal_id, method_name, retention, user_agent_family(user_agent)
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM calls
)
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome,
    CASE
        WHEN contains(method_name, 'ContactPoint') THEN 'contacts'
        WHEN contains(method_name, 'Exporter') THEN 'exports'
        WHEN contains(method_name, 'DataSource') THEN 'data'
        ELSE 'alerts'
    END AS what,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names, project_id, locality,
    earlier_days, source_ip, user_agent, request_body, id
FROM counted
WHERE recorded_at >= $since AND earlier_days < $routine_days
ORDER BY recorded_at, id
