/* ---
title = "Networks opened to the whole world"
description = "Calls whose body names 0.0.0.0/0 or ::/0: rules of security groups, access lists of databases and clusters."
question = 47
attack = ["T1686.001"]
severity = "medium"
false_positives = ["Outbound rules, and web servers that are meant to be reached."]
blind_spots = ["Rules that open a little less than everything, such as two halves of the address space."]
--- */
SELECT
    recorded_at, product_name, method_name, principal_id, status_code, source_ip, user_agent, locality,
    list_transform(resources, lambda r: r.name) AS resource_names,
    request_body, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND verb(method_name) IN ('Create', 'Update', 'Set', 'Add', 'Patch')
    AND (contains(request_body, '"0.0.0.0/0"') OR contains(request_body, '"::/0"'))
ORDER BY recorded_at, id
