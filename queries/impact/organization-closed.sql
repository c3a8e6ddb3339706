/* ---
title = "The Organization closed"
description = "Somebody closed the Organization, or tried to: everything in it ends with it. Denied attempts count."
question = 62
attack = ["T1531", "T1485"]
severity = "critical"
false_positives = ["None but a company that leaves: call whoever may do this, by telephone."]
blind_spots = ["What happens after: with the Organization its Audit Trail ends, too."]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it; null where the event does not say."
method_name = "CloseOrganization, or a call of that meaning."
outcome = "success, denied or failure."
resource_ids = "What the event names."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} asked to close the Organization ({method_name}, {outcome}) from {source_ip}."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }
--- */
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome, resource_ids(resources) AS resource_ids,
    source_ip, user_agent, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND (method_name IN ('CloseOrganization', 'DeleteOrganization', 'CloseAccount', 'DeleteAccount')) IS TRUE
ORDER BY recorded_at, id
