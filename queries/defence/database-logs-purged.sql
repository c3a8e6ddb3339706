/* ---
title = "Logs of databases purged, or no longer written"
description = """
The logs of a managed database were purged, or its settings changed so that it no longer writes down who connects and
what is asked. What was taken out of the database is hard to find out after that. Denied attempts count.
"""
question = 46
attack = ["T1685.002"]
severity = "medium"
false_positives = ["Logs that fill the volume: the same principal purges them again and again.", "Tuning for speed."]
blind_spots = [
    "Logs that a database user turns off with SQL: no call of the API.",
    "SetInstanceSettings resets what it does not name, and a default may be to write nothing: only what is named counts.",
]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "The call."
outcome = "success, denied or failure."
what = "purged, or no longer written."
settings = "The settings about logs that were turned off or deleted."
resource_ids = "The databases."
resource_names = "Their names."
project_id = "The Project."
locality = "The region."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "Logs of the database {resource_names} were {what} by {principal} from {source_ip} ({method_name}, {outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did with the database before."
params = { principal = "principal_id" }

[[next]]
query = "exfiltration/copied-sideways"
why = "Whether its data were copied."

[[next]]
query = "exfiltration/data-exported"
why = "Whether its backups were exported."
--- */
WITH calls AS (
    SELECT
        id, recorded_at, principal_id, method_name, status_code, resources, project_id, locality, source_ip, user_agent,
        CASE WHEN method_name = 'DeleteInstanceSettings' THEN body_list(request_body, 'setting_names')
        ELSE
            list_transform(
                list_filter(
                    list_append(
                        coalesce(json_extract(request_body, '$.settings[*]'), []), json_extract(request_body, '$.settings')
                    ),
                    lambda s: regexp_full_match(
                        coalesce(lower(body_text(s, 'value')), ''), 'off|none|false|no|0|-1|disabled|ddl'
                    )
                ),
                lambda s: body_text(s, 'name')
            )
        END AS turned_off
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (method_name IN (
            'PurgeInstanceLogs', 'SetInstanceSettings', 'AddInstanceSettings', 'DeleteInstanceSettings'
        )) IS TRUE
),
named AS (
    SELECT
        id, recorded_at, principal_id, method_name, status_code, resources, project_id, locality, source_ip, user_agent,
        list_sort(list_filter(turned_off, lambda n: regexp_full_match(
            lower(n),
            'log_(connections|disconnections|statement|hostname)|pgaudit.*|audit_log.*|server_audit.*|general_log'
        ))) AS settings
    FROM calls
)
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome,
    CASE WHEN method_name = 'PurgeInstanceLogs' THEN 'purged' ELSE 'no longer written' END AS what,
    settings, resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names, project_id,
    locality, source_ip, user_agent, id
FROM named
WHERE method_name = 'PurgeInstanceLogs' OR len(settings) > 0
ORDER BY recorded_at, id
