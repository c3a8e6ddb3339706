/* ---
title = "Everything that a principal did, and everything done to it"
description = """
The events of all kinds where the user or application acted, and those where it is among the resources: its logins, the
keys made for it, its own creation.
"""
question = 3
attack = ["T1078.004"]
blind_spots = ["Events do not say which API key was used: two holders of one principal's keys cannot be told apart here."]
[params.principal]
type = "principal"
required = true
description = "The id of the user or application."
--- */
SELECT
    recorded_at, kind, action, outcome, status_code,
    actor_id = $principal AS acted,
    source_ip, user_agent_family(user_agent) AS client, locality, product_name, resource_ids, actor_id, id
FROM events
WHERE recorded_at >= $since AND recorded_at < $until
    AND (actor_id = $principal OR list_contains(resource_ids, $principal))
ORDER BY recorded_at, kind, id
