/* ---
title = "What this trail never shows, with what is held instead"
description = """
The kinds of actions that leave no event, whatever was done; for each the query that shows what is held beside it, and how
many events of the asked time it has no answer for by themselves: those without an address, without a principal, without a
request body. To be read before "there is nothing in the trail" is written into a report.
"""
question = 66
blind_spots = ["What Scaleway begins or ceases to log: see limits/not-loggable, which asks the product lists that are held."]

[columns]
number = "The kinds in order, then the counts."
kind = "What cannot be seen."
why = "Why."
look_at = "The query that shows what is held instead."
events = "How many events of the asked time that is; null where it is about what left none."
of_events = "Of how many."

[[next]]
query = "limits/not-loggable"
why = "Which methods could not have been logged in this time."
--- */
WITH kinds AS (
    SELECT number, kind, why, look_at
    FROM (VALUES
        (1, 'secret values read', 'AccessSecretVersion leaves no event', 'limits/secret-reads'),
        (2, 'kubeconfig downloaded', 'GetClusterKubeConfig leaves no event, nor do calls to the cluster itself', 'limits/kubeconfig-downloads'),
        (3, 'Object Storage', 'nothing of buckets and objects is logged', 'limits/object-reads'),
        (4, 'Block Storage', 'nothing of volumes and their snapshots is logged', 'impact/backups-destroyed'),
        (5, 'keys of Key Manager used', 'decrypting, encrypting and signing leave no event', 'impact/encryption-keys-destroyed'),
        (6, 'lists and reads', 'every List and Get is silent, the denied ones, too', 'discovery/denied-bursts'),
        (7, 'API keys', 'events carry no key: what one key did cannot be told from its bearer''s other keys', 'scope/principal-origins'),
        (8, 'addresses of Kubernetes', 'its events carry no source_ip', 'scope/events-without-address'),
        (9, 'inside of servers and databases', 'what happens after a login there is not in this trail', 'persistence/ssh-and-bastion'),
        (10, 'hosted models used', 'calls with a stolen key leave no event', 'impact/compute-spike')
    ) AS v(number, kind, why, look_at)
),
counted AS (
    SELECT
        count(*) AS of_events,
        count(*) FILTER (WHERE source_ip IS NULL) AS without_address,
        count(*) FILTER (WHERE principal_id IS NULL) AS without_principal,
        count(*) FILTER (WHERE request_body IS NULL) AS without_body,
        count(*) FILTER (WHERE len(resource_ids(resources)) = 0) AS without_resources
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
)
SELECT number, kind, why, look_at, CAST(NULL AS BIGINT) AS events, CAST(NULL AS BIGINT) AS of_events
FROM kinds
UNION ALL
SELECT 101, 'calls without an address', 'no condition on an address finds them', 'scope/events-without-address',
    without_address, of_events
FROM counted
UNION ALL
SELECT 102, 'calls without a principal', 'no timeline of anybody has them', 'scope/address-activity', without_principal,
    of_events
FROM counted
UNION ALL
SELECT 103, 'calls without a request body', 'what was asked for is not known', 'scope/principal-timeline', without_body,
    of_events
FROM counted
UNION ALL
SELECT 104, 'calls without resources', 'no history of a resource has them', 'scope/principal-timeline', without_resources,
    of_events
FROM counted
ORDER BY number, kind, why, look_at, events, of_events
