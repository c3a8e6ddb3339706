/* ---
title = "Where a principal acted from, and with what"
description = """
Addresses and user agents of one principal, with the first and the last time and the number of calls. Since events carry
no API key, this is how the holders of a leaked key are told apart.
"""
question = 6
attack = ["T1078.004"]
blind_spots = ["Kubernetes events carry no address: they stand in the row without a source_ip."]
[params.principal]
type = "principal"
required = true
description = "The id of the user or application."
--- */
SELECT
    source_ip, user_agent,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at,
    count(*) AS calls,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(DISTINCT action) AS actions
FROM events
WHERE recorded_at >= $since AND recorded_at < $until
    AND actor_id = $principal
GROUP BY source_ip, user_agent
ORDER BY first_at, source_ip NULLS LAST, user_agent NULLS LAST
