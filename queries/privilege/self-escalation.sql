/* ---
title = "Principals that changed rights in their own favour"
description = """
Somebody gave rights to itself: put itself into a group, made or changed a policy for itself or for a group that it is
in, changed the rules of its own policy, or made its own API key live longer. Groups and policies are its own by the
directory of then, or by earlier calls. Denied attempts count: they show the wish.
"""
question = 41
attack = ["T1098.003"]
severity = "high"
false_positives = [
    "An owner who sets up an Organization; whoever owns it gains nothing by it.",
    "Terraform whose own policy is among those that it manages.",
]
blind_spots = [
    "Rights given to a second identity of the same person, such as an application made for it: see containment/blast-tree.",
    "Groups of all users or all applications name nobody: their members are not counted as in them.",
    "Without the directory, only memberships and policies from calls within the history are known.",
]

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are read for what was a principal's own."

[params.longest]
type = "duration"
default = "100d"
description = "How long a key may live on from the call; making one's own key live longer is shown."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who changed its own rights."
method_name = "The call."
outcome = "success, denied or failure."
how = "What made it its own: joined a group, granted to itself, granted to its own group, changed its own policy, prolonged its own key."
policy_id = "The policy, where the call is about one."
group_id = "The group, where the call is about one."
access_key = "The API key, where the call is about one."
permission_sets = "The permission sets that the call names."
broad = "The broad ones among them."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{principal} changed its own rights with {method_name}: {how} {permission_sets}, from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-origins"
why = "Whether it was the principal itself: where it acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-timeline"
why = "What it did with the new rights."
params = { principal = "principal_id" }

[[next]]
query = "discovery/denied-then-allowed"
why = "Whether it was denied something before that works now."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, outcome, policy_id, group_id, grantee_ids,
        permission_sets, broad, source_ip, user_agent
    FROM grants
    WHERE recorded_at >= $since - $history AND recorded_at < $until
),
changes AS (SELECT * FROM calls WHERE recorded_at >= $since AND principal_id IS NOT NULL),
-- Who was in which group shortly before a change: a look at the directory may show what this very call did.
listed_members AS (
    SELECT
        c.id, h.id AS group_id,
        -- A first look afterwards says the same of all the time before it.
        bool_or(h.observed_at <= c.recorded_at - INTERVAL 5 MINUTE) AS seen_before
    FROM changes AS c
    JOIN directory_history AS h ON h.organization_id = c.organization_id
        AND h.valid_from <= c.recorded_at - INTERVAL 5 MINUTE
        AND (h.valid_to IS NULL OR h.valid_to > c.recorded_at - INTERVAL 5 MINUTE)
    WHERE h.resource = 'groups'
        AND list_contains(
            list_concat(body_list(h.raw, 'user_ids'), body_list(h.raw, 'application_ids')), c.principal_id
        )
    GROUP BY c.id, h.id
),
joined AS (
    SELECT organization_id, recorded_at, group_id, unnest(grantee_ids) AS member_id
    FROM calls
    WHERE outcome = 'success' AND group_id IS NOT NULL
        AND method_name IN ('AddGroupMember', 'AddGroupMembers', 'SetGroupMembers')
),
own_groups AS (
    SELECT id, group_id FROM listed_members
    UNION
    SELECT c.id, j.group_id
    FROM changes AS c
    JOIN joined AS j ON j.organization_id = c.organization_id AND j.member_id = c.principal_id
        AND j.recorded_at < c.recorded_at AND j.recorded_at >= c.recorded_at - $history
),
-- Whom policies are given to, before each change.
holders AS (
    SELECT
        organization_id, id AS policy_id, created_at AS from_at,
        unnest([user_id, application_id, group_id]) AS holder_id,
        'directory' AS known_from
    FROM policies
    UNION
    SELECT organization_id, policy_id, recorded_at, unnest(grantee_ids), 'calls'
    FROM calls
    WHERE outcome = 'success' AND policy_id IS NOT NULL AND method_name IN ('CreatePolicy', 'UpdatePolicy')
),
own_policies AS (
    SELECT c.id
    FROM changes AS c
    JOIN holders AS h ON h.organization_id = c.organization_id AND h.policy_id = c.policy_id
    LEFT JOIN own_groups AS g ON g.id = c.id AND g.group_id = h.holder_id
    WHERE (h.holder_id = c.principal_id OR g.id IS NOT NULL)
        AND (h.from_at IS NULL OR h.from_at < c.recorded_at)
        AND (h.known_from = 'directory' OR h.from_at >= c.recorded_at - $history)
    GROUP BY c.id
),
own_group_named AS (
    SELECT c.id
    FROM changes AS c
    JOIN own_groups AS g ON g.id = c.id
    WHERE list_contains(c.grantee_ids, g.group_id)
    GROUP BY c.id
),
rights AS (
    SELECT
        c.id, c.recorded_at, c.principal_id, c.method_name, c.outcome, c.policy_id, c.group_id, NULL AS access_key,
        c.permission_sets, c.broad, c.source_ip, c.user_agent,
        CASE
            WHEN c.method_name IN ('AddGroupMember', 'AddGroupMembers', 'SetGroupMembers') THEN
                CASE WHEN list_contains(c.grantee_ids, c.principal_id) AND m.id IS NULL THEN 'joined a group' END
            WHEN c.method_name NOT IN ('CreatePolicy', 'UpdatePolicy', 'ClonePolicy', 'SetRules') THEN NULL
            WHEN list_contains(c.grantee_ids, c.principal_id) THEN 'granted to itself'
            WHEN n.id IS NOT NULL THEN 'granted to its own group'
            -- A new name of a policy gives nothing to anybody.
            WHEN o.id IS NOT NULL AND c.method_name <> 'UpdatePolicy' THEN 'changed its own policy'
        END AS how
    FROM changes AS c
    LEFT JOIN listed_members AS m ON m.id = c.id AND m.group_id = c.group_id AND m.seen_before
    LEFT JOIN own_policies AS o ON o.id = c.id
    LEFT JOIN own_group_named AS n ON n.id = c.id
),
prolonged AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, outcome_of(status_code) AS outcome,
        coalesce(
            resource_of(resources, 'iam_api_key'), body_text(request_body, 'access_key')
        ) AS access_key,
        source_ip, user_agent
    FROM api_events
    WHERE recorded_at >= $since AND recorded_at < $until
        AND method_name = 'UpdateAPIKey'
        AND (contains(request_body, '"expires_at"') OR contains(request_body, '"expiresAt"'))
        AND coalesce(TRY_CAST(body_text(request_body, 'expires_at') AS TIMESTAMP) > recorded_at + $longest, true)
),
bearers AS (
    SELECT organization_id, id AS access_key, coalesce(user_id, application_id) AS bearer_id FROM api_keys
    UNION
    SELECT organization_id, made_id, bearer_id
    FROM creations
    WHERE recorded_at >= $since - $history AND recorded_at < $until AND made_type = 'api_key' AND outcome = 'success'
),
own_keys AS (
    SELECT
        p.id, p.recorded_at, p.principal_id, p.method_name, p.outcome, p.access_key, p.source_ip, p.user_agent
    FROM prolonged AS p
    JOIN bearers AS b ON b.organization_id = p.organization_id AND b.access_key = p.access_key
        AND b.bearer_id = p.principal_id
)
SELECT
    recorded_at, principal_id, method_name, outcome, how, policy_id, group_id, access_key, permission_sets, broad,
    source_ip, user_agent, id
FROM rights
WHERE how IS NOT NULL
UNION
SELECT
    recorded_at, principal_id, method_name, outcome, 'prolonged its own key', NULL, NULL, access_key, [], [],
    source_ip, user_agent, id
FROM own_keys
ORDER BY ALL
