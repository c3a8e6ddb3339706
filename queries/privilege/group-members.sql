/* ---
title = "Everybody who was put into a group"
description = """
All calls that put users or applications into a group, or asked for it, whatever the group may do and whoever called:
for the time of an incident, when privilege/powerful-groups leaves out the work of administrators. earlier_days says on
how many days before the caller had done so with success. Denied attempts count.
"""
question = 40
attack = ["T1098.003"]
false_positives = ["Most rows: new colleagues and people who change teams."]
blind_spots = [
    "What a group may do stands in privilege/powerful-groups, as far as it is known.",
    "Members whom SCIM provisions join without such a call.",
]

[params.history]
type = "duration"
default = "365d"
description = "How far back such calls are counted."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who put somebody into the group."
method_name = "AddGroupMember, AddGroupMembers or SetGroupMembers."
outcome = "success, denied or failure."
group_id = "The group; null where the event does not name it."
group_name = "Its name, by the directory."
members = "Whom the call names: SetGroupMembers lists those who were in it before, too."
itself = "Whether the one who called is among them."
earlier_days = "On how many days before the caller had put somebody into a group with success."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[[next]]
query = "scope/principal-origins"
why = "Whether the one who did it acts from there otherwise."
params = { principal = "principal_id" }

[[next]]
query = "scope/resource-history"
why = "Who else was put into the group, and by whom."
params = { resource = "group_id" }
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, outcome, group_id,
        list_filter(grantee_ids, lambda g: g IS DISTINCT FROM group_id) AS members, source_ip, user_agent
    FROM grants
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (method_name IN ('AddGroupMember', 'AddGroupMembers', 'SetGroupMembers')) IS TRUE
),
counted AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN outcome = 'success' THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY organization_id, principal_id
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM calls
),
names AS (SELECT organization_id, id, name FROM groups)
SELECT
    c.recorded_at, c.principal_id, c.method_name, c.outcome, c.group_id, n.name AS group_name, c.members,
    coalesce(list_contains(c.members, c.principal_id), false) AS itself, c.earlier_days, c.source_ip, c.user_agent, c.id
FROM counted AS c
LEFT JOIN names AS n ON n.organization_id = c.organization_id AND n.id = c.group_id
WHERE c.recorded_at >= $since
ORDER BY ALL
