/* ---
title = "Everything that came from an address or a network"
description = "Events of all kinds from one address or network, whoever acted, in every Organization and region held."
question = 4
attack = ["T1078.004"]
blind_spots = ["Events without an address cannot match: all of Kubernetes, and what Scaleway itself did."]
[params.address]
type = "cidr"
required = true
description = "An address or a network, IPv4 or IPv6."
--- */
SELECT
    recorded_at, kind, actor_id, action, outcome, status_code, source_ip,
    user_agent_family(user_agent) AS client, organization_id, region, locality, product_name, resource_ids, id
FROM events
WHERE recorded_at >= $since AND recorded_at < $until
    AND source_ip IS NOT NULL
    AND ip_in_cidr(source_ip, $address)
ORDER BY recorded_at, kind, id
