/* ---
title = "Policies that grant a lot"
description = """
A policy was made or changed so that it grants control of the Organization, of IAM or of all of a product; denied
attempts count. A policy that grants a lot and is given to somebody else (UpdatePolicy) is shown with what it grants,
by the directory or by earlier calls. A clone's body does not say what it grants: one is shown unless it is known that
the policy grants little. Full access to single products that the same principal gave on an earlier day, with the same
program, is left out; so is what an application grants from where it always comes from (by its network and its program, for
long enough) as long as it is full access to single products and nothing of `control`: privilege/grants has all.
"""
question = 39
attack = ["T1098.003"]
severity = "high"
false_positives = [
    "Setting up an Organization, or Terraform that manages its policies: the same principal, from where it always comes.",
    "A new administrator: ask who wanted it.",
]
blind_spots = [
    "A principal that joins a group gains the group's policies without a new one: see privilege/powerful-groups.",
    "A permission set that Scaleway adds later and that grants a lot counts only when it is named with permission_sets.",
    "Whoever runs within the automation that manages policies, and grants single products from there.",
    "Many narrow permission sets that together grant a lot.",
]

[params.permission_sets]
type = "list[text]"
default = []
description = "Names of permission sets that count as broad, too."

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are read for what a policy grants."

[params.routine_days]
type = "integer"
default = 1
description = "On how many earlier days the same grant of products, by the same principal, makes it usual."

[params.known_for]
type = "duration"
default = "7d"
description = "For how long a principal must have succeeded from a network, and with a program, for both to be its own."

[params.control]
type = "list[text]"
default = [
    "AllProductsFullAccess", "AuditTrailFullAccess", "InstancesFullAccess", "KeyManagerFullAccess",
    "KubernetesFullAccess", "ObjectStorageFullAccess", "RelationalDatabasesFullAccess", "SecretManagerFullAccess"
]
description = "Full access that is told whoever grants it; sets that end otherwise, as OrganizationManager, always are."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "CreatePolicy, UpdatePolicy, ClonePolicy or SetRules."
outcome = "success, denied or failure."
policy_id = "The policy, where the event names it."
policy_name = "Its name, by the call or else by the directory."
granted = "The broad permission sets that it grants; none where a clone's are not known."
granted_to = "The users, applications and groups that the call names."
known_from = "Where the permission sets stand: in the call itself, in an earlier call, in the directory, or nowhere."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} granted {granted} to {granted_to} with {method_name} from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did, before and after."
params = { principal = "principal_id" }

[[next]]
query = "privilege/self-escalation"
why = "Whether somebody changed rights in their own favour."

[[next]]
query = "privilege/first-use-after-grant"
why = "Whether the new rights were used at once."

[[next]]
query = "containment/blast-tree"
why = "What this principal made, and what that did."
params = { principal = "principal_id" }
--- */
WITH changes AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, outcome, policy_id, grantee_ids, permission_sets,
        list_sort(list_distinct(list_concat(
            broad, list_filter(permission_sets, lambda s: list_contains($permission_sets, s))
        ))) AS named,
        body_text(request_body, 'name') AS new_name, source_ip, user_agent
    FROM grants
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (method_name IN ('CreatePolicy', 'UpdatePolicy', 'ClonePolicy', 'SetRules')) IS TRUE
),
-- What the calls themselves do not say: a policy that is cloned, or given to somebody else.
silent AS (
    SELECT organization_id, id, recorded_at, policy_id
    FROM changes
    WHERE recorded_at >= $since
        AND len(permission_sets) = 0
        AND (method_name = 'ClonePolicy' OR (method_name = 'UpdatePolicy' AND len(grantee_ids) > 0))
),
told_before AS (
    SELECT s.organization_id, s.id, arg_max(c.named, (c.recorded_at, c.id)) AS named
    FROM silent AS s
    JOIN changes AS c ON c.organization_id = s.organization_id AND c.policy_id = s.policy_id
        AND c.recorded_at < s.recorded_at AND c.recorded_at >= s.recorded_at - $history
    WHERE c.outcome = 'success' AND len(c.permission_sets) > 0
    GROUP BY s.organization_id, s.id
),
listed AS (
    SELECT
        organization_id, id, name, valid_from, rules IS NOT NULL AS readable,
        list_filter(
            list_sort(list_distinct(flatten(list_transform(rules, lambda r: r.permission_set_names)))),
            lambda s: is_broad_permission(s) OR list_contains($permission_sets, s)
        ) AS named
    FROM policies
),
known AS (
    SELECT
        c.organization_id, c.recorded_at, c.principal_id, c.method_name, c.outcome, c.policy_id,
        coalesce(c.new_name, l.name) AS policy_name,
        CASE
            WHEN len(c.permission_sets) > 0 OR s.id IS NULL THEN c.named
            WHEN len(t.named) > 0 THEN t.named
            ELSE coalesce(l.named, [])
        END AS granted,
        c.grantee_ids AS granted_to,
        CASE
            WHEN len(c.permission_sets) > 0 THEN 'call'
            WHEN s.id IS NULL THEN 'nowhere'
            WHEN len(t.named) > 0 THEN 'earlier call'
            WHEN len(l.named) > 0 THEN 'directory'
            WHEN t.id IS NOT NULL THEN 'earlier call'
            -- What the directory says holds for the call only if it has been so since before.
            WHEN l.readable AND l.valid_from <= c.recorded_at THEN 'directory'
            ELSE 'nowhere'
        END AS known_from,
        c.source_ip, c.user_agent, c.id
    FROM changes AS c
    LEFT JOIN silent AS s ON s.organization_id = c.organization_id AND s.id = c.id
    LEFT JOIN told_before AS t ON t.organization_id = c.organization_id AND t.id = c.id
    LEFT JOIN listed AS l ON l.organization_id = c.organization_id AND l.id = c.policy_id
    WHERE c.recorded_at >= $since
),
-- Terraform gives the same products to one application after the other. What gives the Organization is never usual.
usual AS (
    SELECT n.id, count(DISTINCT CAST(c.recorded_at AS DATE)) AS earlier_days
    FROM changes AS n
    JOIN changes AS c ON c.organization_id = n.organization_id AND c.principal_id = n.principal_id
        AND c.named = n.named AND user_agent_family(c.user_agent) IS NOT DISTINCT FROM user_agent_family(n.user_agent)
        AND c.recorded_at <= n.recorded_at - INTERVAL 1 DAY AND c.recorded_at >= n.recorded_at - $history
    WHERE n.recorded_at >= $since AND c.outcome = 'success'
        AND len(n.named) > 0
        AND len(list_filter(n.named, lambda s: s NOT LIKE '%FullAccess' OR s = 'AllProductsFullAccess')) = 0
    GROUP BY n.id
),
by_programs AS (
    SELECT c.organization_id, c.id, c.recorded_at, c.principal_id, c.source_ip, c.user_agent
    FROM changes AS c
    JOIN principals AS p ON p.organization_id = c.organization_id AND p.id = c.principal_id
    WHERE c.recorded_at >= $since AND p.type = 'application'
        AND len(c.named) > 0
        AND len(list_filter(c.named, lambda s: s NOT LIKE '%FullAccess' OR list_contains($control, s))) = 0
),
-- Where a principal succeeded before, and with what.
origins AS (
    SELECT
        organization_id, subject_id, dimension,
        CASE dimension WHEN 'agent' THEN user_agent_family(value) ELSE value END AS value,
        min(first_success_at) AS first_success_at
    FROM first_seen
    WHERE subject_type IN ('principal', 'organization') AND dimension IN ('activity', 'network', 'agent')
    GROUP BY ALL
),
compared_with AS (
    SELECT
        c.id, c.organization_id, c.recorded_at, ip_network(c.source_ip) AS network,
        user_agent_family(c.user_agent) AS agent,
        CASE
            WHEN a.first_success_at <= c.recorded_at - $known_for THEN c.principal_id
            -- An old program that acts seldom has hardly a history: it counts where the Organization's always come from.
            WHEN p.type = 'application' AND p.created_at <= c.recorded_at - INTERVAL 30 DAY THEN c.organization_id
        END AS subject_id
    FROM by_programs AS c
    LEFT JOIN origins AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id
        AND a.dimension = 'activity'
    LEFT JOIN principals AS p ON p.organization_id = c.organization_id AND p.id = c.principal_id
),
familiar AS (
    SELECT DISTINCT c.organization_id, c.id
    FROM compared_with AS c
    JOIN origins AS n ON n.organization_id = c.organization_id AND n.subject_id = c.subject_id
        AND n.dimension = 'network' AND n.value = c.network AND n.first_success_at <= c.recorded_at - $known_for
    JOIN origins AS g ON g.organization_id = c.organization_id AND g.subject_id = c.subject_id
        AND g.dimension = 'agent' AND g.value = c.agent AND g.first_success_at <= c.recorded_at - $known_for
)
SELECT
    recorded_at, principal_id, method_name, outcome, policy_id, policy_name, granted, granted_to, known_from,
    source_ip, user_agent, id
FROM known
WHERE (len(granted) > 0 OR (method_name = 'ClonePolicy' AND known_from = 'nowhere'))
    AND id NOT IN (SELECT id FROM usual WHERE earlier_days >= $routine_days)
    AND (organization_id, id) NOT IN (SELECT (f.organization_id, f.id) FROM familiar AS f)
ORDER BY ALL
