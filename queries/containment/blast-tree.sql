/* ---
title = "What a principal created, and what that did and created in turn"
description = """
The tree that grows from one principal: the users and applications that it made, the users and applications that it made
keys or sessions for, the users whose password it set; then what those made and took in turn, from that moment on. One
row for each principal, call and outcome, with the way on which the principal was reached; a principal that did nothing
has a row without a call. Whoever is named here may act for the attacker until it is shut off.
"""
question = 63
attack = ["T1098.001", "T1136.003"]
false_positives = ["An administrator makes keys for whole teams, whose ordinary work is then all here: look at origins."]
blind_spots = [
    "Events carry no key: what a principal did includes what its rightful bearer did with other keys.",
    "Keys that were stolen rather than made, SSH keys, tokens of products and users of databases: no principal of IAM.",
    "Rights that were given to a principal that was there before: see privilege/grants.",
    "The calls of principals that were reached before they were made known to the trail, or by what it does not log.",
]

[params.principal]
type = "principal"
required = true
description = "Who the tree begins with."

[params.depth]
type = "integer"
default = 10
description = "How many steps away from the principal is looked."

[columns]
depth = "Steps from the principal asked for, which is 0."
path = "The principals on the way, from the first to this one."
principal_id = "Who acted."
principal_name = "Its name, where one is known."
reached_at = "Since when its acts are counted: when it was made, or got the key; the span's begin for the first."
reached_by = "The call that reached it: CreateUser, CreateApplication, CreateAPIKey, ...; null for the first."
reached_event_id = "The event of that call."
product_name = "What it did: the product."
action = "The call, or Login/METHOD; null where it did nothing."
outcome = "success, denied or failure."
events = "How often."
first_at = "The first of them."
last_at = "The last of them."
source_ips = "Where they came from."
user_agents = "What the callers said they were."
event_ids = "The events, oldest first, at most a hundred."

[[next]]
query = "containment/after-containment"
why = "Whether any of them acted after its access was taken."

[[next]]
query = "scope/principal-timeline"
why = "Everything that one of them did."
params = { principal = "principal_id" }
--- */
WITH RECURSIVE made AS (
    SELECT organization_id, recorded_at, id, principal_id, method_name, made_type, made_id, bearer_id
    FROM creations
    WHERE recorded_at >= $since AND recorded_at < $until
        AND outcome = 'success'
),
-- Two ends of one call: the user that is made, and the user that a key is for.
taken AS (
    SELECT
        recorded_at, id, principal_id, method_name,
        coalesce(login_user(resources), body_text(request_body, 'user_id')) AS reached_id
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (method_name IN ('UpdateUserPassword', 'ChangeUserPassword', 'ChangeUserEmail', 'UpdateUserUsername')) IS TRUE
        AND is_success(status_code)
),
edges AS (
    SELECT recorded_at, id, principal_id, method_name, bearer_id AS reached_id
    FROM made
    WHERE bearer_id IS NOT NULL AND bearer_id <> principal_id
    UNION
    SELECT recorded_at, id, principal_id, method_name, reached_id
    FROM taken
    WHERE reached_id IS NOT NULL AND reached_id <> principal_id
),
-- Without paths: as a set of moments it ends, and stays small, however often principals make keys for one another.
reached AS (
    SELECT CAST($principal AS VARCHAR) AS principal_id, CAST($since AS TIMESTAMP) AS since_at, 0 AS depth
    UNION
    SELECT e.reached_id, e.recorded_at, r.depth + 1
    FROM reached AS r
    JOIN edges AS e ON e.principal_id = r.principal_id AND e.recorded_at >= r.since_at
    WHERE r.depth < $depth AND e.reached_id <> $principal
),
first_reached AS (
    SELECT principal_id, since_at, min(depth) AS depth
    FROM reached
    WHERE (principal_id, since_at) IN (SELECT (principal_id, min(since_at)) FROM reached GROUP BY principal_id)
    GROUP BY principal_id, since_at
),
-- Of several ways to a principal the earliest call counts, of several at one moment the shortest way.
parents AS (
    SELECT
        f.principal_id, f.since_at,
        arg_min(
            {id: e.id, who: e.principal_id, method_name: e.method_name}, (r.depth, e.id, e.principal_id)
        ) AS parent
    FROM first_reached AS f
    JOIN edges AS e ON e.reached_id = f.principal_id AND e.recorded_at = f.since_at
    JOIN reached AS r ON r.principal_id = e.principal_id AND r.since_at <= e.recorded_at
    WHERE f.principal_id <> $principal
    GROUP BY f.principal_id, f.since_at
),
tree AS (
    SELECT
        CAST($principal AS VARCHAR) AS principal_id, CAST($since AS TIMESTAMP) AS since_at, 0 AS depth,
        [CAST($principal AS VARCHAR)] AS path, CAST(NULL AS VARCHAR) AS method_name, CAST(NULL AS VARCHAR) AS event_id
    UNION ALL
    SELECT
        p.principal_id, p.since_at, t.depth + 1, list_append(t.path, p.principal_id), p.parent.method_name, p.parent.id
    FROM tree AS t
    JOIN parents AS p ON p.parent.who = t.principal_id
    WHERE NOT list_contains(t.path, p.principal_id)
),
acts AS (
    SELECT
        t.principal_id, a.product_name, a.action, a.outcome,
        count(*) AS events, min(a.recorded_at) AS first_at, max(a.recorded_at) AS last_at,
        list_sort(list(DISTINCT a.source_ip) FILTER (WHERE a.source_ip IS NOT NULL)) AS source_ips,
        list_sort(list(DISTINCT a.user_agent) FILTER (WHERE a.user_agent IS NOT NULL)) AS user_agents,
        list(a.id ORDER BY a.recorded_at, a.id)[1:100] AS event_ids
    FROM tree AS t
    JOIN (
        SELECT id, recorded_at, actor_id, product_name, action, outcome, source_ip, user_agent
        FROM events
        WHERE recorded_at >= $since AND recorded_at < $until
    ) AS a ON a.actor_id = t.principal_id AND a.recorded_at >= t.since_at
    GROUP BY t.principal_id, a.product_name, a.action, a.outcome
),
names AS (
    SELECT id, min(name) AS name
    FROM principals
    GROUP BY id
)
SELECT
    t.depth, t.path, t.principal_id, n.name AS principal_name, t.since_at AS reached_at, t.method_name AS reached_by,
    t.event_id AS reached_event_id,
    a.product_name, a.action, a.outcome, coalesce(a.events, 0) AS events, a.first_at, a.last_at, a.source_ips,
    a.user_agents, a.event_ids
FROM tree AS t
LEFT JOIN acts AS a ON a.principal_id = t.principal_id
LEFT JOIN names AS n ON n.id = t.principal_id
ORDER BY ALL
