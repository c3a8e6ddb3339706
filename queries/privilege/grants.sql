/* ---
title = "Everything that gave somebody rights"
description = """
Every call that makes or changes a policy or puts a member into a group, with whom it concerns and which permission
sets it names; denied ones included. Read it downwards: rights are given in several steps, by several principals.
"""
question = 39
attack = ["T1098.003"]
false_positives = ["Most of it: this is the list to read, not an alarm."]
blind_spots = [
    "A clone and a membership say nothing about permission sets: look up the policy or the group in the directory.",
    "What SCIM and SAML provision comes without a call of its own.",
]

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
method_name = "The call: a policy's, or a group's."
outcome = "success, denied or failure."
policy_id = "The policy, where the call is about one."
group_id = "The group, where the call is about one."
grantee_ids = "The users, applications and groups that the call names: whom it gives something to."
permission_sets = "The permission sets that the call names."
broad = "Those of them that amount to control of the Organization, of IAM or of all of a product."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
id = "The event."

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "privilege/first-use-after-grant"
why = "Whether what was granted was used at once."
--- */
SELECT
    recorded_at, principal_id, method_name, outcome, policy_id, group_id, grantee_ids, permission_sets, broad,
    source_ip, user_agent, id
FROM grants
WHERE recorded_at >= $since AND recorded_at < $until
ORDER BY recorded_at, id
