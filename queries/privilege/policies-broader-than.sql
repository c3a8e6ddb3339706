/* ---
title = "Policies that grant more than a list"
description = """
Policies in the directory with a permission set that is not on the list of those that are fine, with whom they grant it
to. A policy whose rules could not be read is shown too, with no permission set.
"""
attack = ["T1098.003"]
severity = "medium"
false_positives = ["A permission set that is fine and not on the list yet."]
blind_spots = ["Policies that came and went between two looks at the directory: see privilege/broad-policies."]
[params.allowed]
type = "list[text]"
default = ["AllProductsReadOnly", "AuditTrailReadOnly", "IAMReadOnly", "ProjectReadOnly", "OrganizationReadOnly"]
description = "Names of permission sets that are fine."
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
