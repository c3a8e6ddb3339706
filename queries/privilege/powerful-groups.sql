/* ---
title = "Members put into powerful groups"
description = """
Somebody was put into a group that may do a lot: a policy gives it broad permission sets, by the directory or by calls
in the trail before that. Denied attempts count. Whoever already was in the group, by the directory of then, is not a
new member when SetGroupMembers lists all of them again; whom it leaves out stands in `removed`. Who has put people into
groups or given rights on an earlier day, and does so again from where and with what this very principal has long come,
is at work: left out unless it puts itself in, or the group governs the Organization or its IAM. privilege/group-members
has all.
"""
question = 40
attack = ["T1098.003"]
severity = "medium"
false_positives = ["New colleagues and people who change teams: ask who wanted it, and whether it is their work hours."]
blind_spots = [
    "A group whose policies are neither in the directory nor in calls within the history: nothing says that it is powerful.",
    "The directory gives a policy's rules as they were known last; what a policy granted in between only calls tell.",
    "An administrator who puts an accomplice into a group that does not govern the Organization, as administrators do.",
    "Members whom SCIM provisions join without such a call.",
]

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are read for what a group may do."

[params.control]
type = "list[text]"
default = ["OrganizationManager", "OrganizationOwner", "IAMManager"]
description = "Permission sets whose groups are always told."

[params.known_for]
type = "duration"
default = "7d"
description = "For how long a principal must have succeeded from a network, and with a program, for both to be its own."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who put somebody into the group."
method_name = "AddGroupMember, AddGroupMembers or SetGroupMembers."
outcome = "success, denied or failure."
group_id = "The group."
group_name = "Its name, by the directory."
members = "The users and applications that the call puts in; those who were in it already are left out."
removed = "Whom SetGroupMembers leaves out, who were in it by the directory of before."
itself = "Whether the one who called is among them."
broad = "The broad permission sets that the group has."
known_from = "Where that is known from: the directory, earlier calls, or both."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} put {members} into the group {group_name} ({group_id}), which has {broad}, from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What else the one who did it did."
params = { principal = "principal_id" }

[[next]]
query = "scope/resource-history"
why = "Who else was put into the group, and by whom."
params = { resource = "group_id" }

[[next]]
query = "privilege/first-use-after-grant"
why = "Whether the new member used the rights at once."
--- */
WITH joinings AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, outcome, group_id,
        list_filter(grantee_ids, lambda g: g IS DISTINCT FROM group_id) AS named, source_ip, user_agent
    FROM grants
    WHERE recorded_at >= $since AND recorded_at < $until
        AND (method_name IN ('AddGroupMember', 'AddGroupMembers', 'SetGroupMembers')) IS TRUE
        AND group_id IS NOT NULL
),
policy_calls AS (
    SELECT organization_id, recorded_at, coalesce(policy_id, id) AS policy_id, grantee_ids, broad
    FROM grants
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (method_name IN ('CreatePolicy', 'UpdatePolicy', 'SetRules')) IS TRUE
        AND outcome = 'success'
),
-- Whom a policy is given to and what it grants are often said by two calls.
given_to AS (
    SELECT DISTINCT organization_id, policy_id, recorded_at AS from_at, grantee_id, 'calls' AS known_from
    FROM (SELECT organization_id, policy_id, recorded_at, unnest(grantee_ids) AS grantee_id FROM policy_calls)
    UNION
    SELECT organization_id, id, created_at, group_id, 'directory'
    FROM policies
    WHERE group_id IS NOT NULL
),
grants_what AS (
    SELECT organization_id, policy_id, recorded_at AS from_at, broad, 'calls' AS known_from
    FROM policy_calls
    WHERE len(broad) > 0
    UNION
    SELECT
        organization_id, id, created_at,
        list_filter(
            flatten(list_transform(rules, lambda r: r.permission_set_names)), lambda s: is_broad_permission(s)
        ),
        'directory'
    FROM policies
),
powers AS (
    SELECT
        j.id, g.known_from AS group_from, w.known_from AS rules_from, unnest(w.broad) AS permission_set
    FROM joinings AS j
    JOIN given_to AS g ON g.organization_id = j.organization_id AND g.grantee_id = j.group_id
    JOIN grants_what AS w ON w.organization_id = g.organization_id AND w.policy_id = g.policy_id
    LEFT JOIN policies AS p ON p.organization_id = g.organization_id AND p.id = g.policy_id
    WHERE (g.from_at IS NULL OR g.from_at <= j.recorded_at)
        AND (w.from_at IS NULL OR w.from_at <= j.recorded_at)
        AND (g.known_from = 'directory' OR g.from_at >= j.recorded_at - $history)
        AND (w.known_from = 'directory' OR w.from_at >= j.recorded_at - $history)
        AND (p.deleted_at IS NULL OR p.deleted_at > j.recorded_at)
),
powerful AS (
    SELECT
        id, list_sort(list(DISTINCT permission_set)) AS broad,
        CASE
            WHEN bool_and(group_from = 'directory' AND rules_from = 'directory') THEN 'directory'
            WHEN bool_and(group_from = 'calls' AND rules_from = 'calls') THEN 'calls'
            ELSE 'both'
        END AS known_from
    FROM powers
    GROUP BY id
),
-- Who was in it before, only as it was seen before: a first look afterwards says the same of all the time before it.
members_before AS (
    SELECT
        j.id, list_distinct(flatten(list(
            list_concat(body_list(h.raw, 'user_ids'), body_list(h.raw, 'application_ids')) ORDER BY h.valid_from
        ))) AS members
    FROM joinings AS j
    JOIN directory_history AS h ON h.organization_id = j.organization_id AND h.id = j.group_id
        AND h.observed_at <= j.recorded_at - INTERVAL 5 MINUTE
        AND (h.valid_to IS NULL OR h.valid_to > j.recorded_at - INTERVAL 5 MINUTE)
    WHERE h.resource = 'groups' AND j.method_name = 'SetGroupMembers'
    GROUP BY j.id
),
names AS (SELECT organization_id, id, name FROM groups),
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
        END AS subject_id
    FROM joinings AS c
    LEFT JOIN origins AS a ON a.organization_id = c.organization_id AND a.subject_id = c.principal_id
        AND a.dimension = 'activity'
),
familiar AS (
    SELECT DISTINCT c.organization_id, c.id
    FROM compared_with AS c
    JOIN origins AS n ON n.organization_id = c.organization_id AND n.subject_id = c.subject_id
        AND n.dimension = 'network' AND n.value = c.network AND n.first_success_at <= c.recorded_at - $known_for
    JOIN origins AS g ON g.organization_id = c.organization_id AND g.subject_id = c.subject_id
        AND g.dimension = 'agent' AND g.value = c.agent AND g.first_success_at <= c.recorded_at - $known_for
),
administrators AS (
    SELECT DISTINCT j.organization_id, j.id
    FROM joinings AS j
    JOIN familiar AS f ON f.organization_id = j.organization_id AND f.id = j.id
    JOIN grants AS g ON g.organization_id = j.organization_id AND g.principal_id = j.principal_id
        AND g.recorded_at <= j.recorded_at - INTERVAL 1 DAY AND g.recorded_at >= j.recorded_at - $history
    WHERE g.recorded_at >= $since - $history AND g.recorded_at < $until AND g.outcome = 'success'
),
found AS (
    SELECT
        j.organization_id, j.recorded_at, j.principal_id, j.method_name, j.outcome, j.group_id, names.name AS group_name,
        list_filter(j.named, lambda m: NOT list_contains(coalesce(b.members, []), m)) AS members,
        list_sort(list_filter(b.members, lambda m: NOT list_contains(j.named, m))) AS removed, len(j.named) AS named,
        p.broad, p.known_from, j.source_ip, j.user_agent, j.id
    FROM joinings AS j
    JOIN powerful AS p ON p.id = j.id
    LEFT JOIN members_before AS b ON b.id = j.id
    LEFT JOIN names ON names.organization_id = j.organization_id AND names.id = j.group_id
)
SELECT
    recorded_at, principal_id, method_name, outcome, group_id, group_name, members, coalesce(removed, []) AS removed,
    coalesce(list_contains(members, principal_id), false) AS itself, broad, known_from, source_ip, user_agent, id
FROM found
WHERE (len(members) > 0 OR len(removed) > 0 OR named = 0)
    AND (
        outcome <> 'success' OR coalesce(list_contains(members, principal_id), false)
        OR len(list_intersect(broad, $control)) > 0
        OR (organization_id, id) NOT IN (SELECT (a.organization_id, a.id) FROM administrators AS a)
    )
ORDER BY ALL
