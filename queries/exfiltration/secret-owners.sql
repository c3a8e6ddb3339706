/* ---
title = "Products made owners of a secret"
description = """
A secret was given to one of Scaleway's products, which reads it from then on without an event: Edge Services with a
certificate, for instance. Whoever commands the product, commands the secret. Denied attempts count.
"""
question = 53
answer = "partly"
attack = ["T1555.006"]
severity = "low"
false_positives = ["Edge Services and load balancers that take their certificate from a secret: it is how they do."]
blind_spots = ["What the product then does with the secret is not logged, and neither is reading it directly."]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "AddSecretOwner."
outcome = "success, denied or failure."
secret_id = "The secret."
secret_name = "Its name."
owner = "The product that became an owner, as the body names it."
project_id = "The Project."
locality = "The region."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} made {owner} an owner of the secret {secret_name} ({secret_id}) from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/resource-history"
why = "What else was done to the secret."
params = { resource = "secret_id" }

[[next]]
query = "scope/principal-timeline"
why = "What else the principal did."
params = { principal = "principal_id" }
--- */
SELECT
    recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome,
    coalesce(
        resource_of(resources, 'secret_manager_secret'), body_text(request_body, 'secret_id'), resources[1].id
    ) AS secret_id,
    coalesce(
        list_filter(resources, lambda r: r.type = 'secret_manager_secret')[1].name, resources[1].name
    ) AS secret_name,
    coalesce(body_text(request_body, 'product'), body_text(request_body, 'product_name')) AS owner,
    project_id, locality, source_ip, user_agent, id
FROM api_events
WHERE recorded_at >= $since AND recorded_at < $until
    AND method_name = 'AddSecretOwner'
ORDER BY recorded_at, id
