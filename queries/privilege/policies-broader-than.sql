/* ---
title = "Policies that grant more than a list"
description = """
Policies in the directory with a permission set that is not on the list of those that are fine, with whom they grant
it to. A policy whose rules could not be read is shown too, with no permission set. It is a look at the state of
things, not at what somebody did: privilege/grants has the calls.
"""
question = 39
attack = ["T1098.003"]
false_positives = ["A permission set that is fine and not on the list yet."]
blind_spots = ["Policies that came and went between two looks at the directory: see privilege/broad-policies."]

[params.allowed]
type = "list[text]"
default = ["AllProductsReadOnly", "AuditTrailReadOnly", "IAMReadOnly", "ProjectReadOnly", "OrganizationReadOnly"]
description = "Names of permission sets that are fine."

[columns]
organization_id = "The Organization."
id = "The policy."
name = "Its name."
user_id = "The user that it grants to."
group_id = "The group that it grants to."
application_id = "The application that it grants to."
beyond = "The permission sets that are not on the list; empty where the rules could not be read."
project_ids = "The Projects that its rules name; none where they hold for the whole Organization."
valid_from = "Since when it has been so, or gone."
deleted_at = "When it was no longer listed; NULL while it is."

[[next]]
query = "scope/resource-history"
why = "Who made and changed the policy."
params = { resource = "id" }
--- */
SELECT
    organization_id, id, name, user_id, group_id, application_id,
    list_sort(list_filter(
        list_distinct(flatten(list_transform(rules, lambda r: r.permission_set_names))),
        lambda s: NOT list_contains($allowed, s)
    )) AS beyond,
    list_sort(list_distinct(flatten(list_transform(rules, lambda r: r.project_ids)))) AS project_ids,
    valid_from, deleted_at
FROM policies
WHERE rules IS NULL
    OR len(list_filter(
        flatten(list_transform(rules, lambda r: r.permission_set_names)), lambda s: NOT list_contains($allowed, s)
    )) > 0
ORDER BY ALL
