/* ---
title = "First use of a region or zone by the Organization, a Project or a principal"
description = """
The first call, in all that is held, in a region or zone by somebody who has been known for a while: a principal, a
Project, or the whole Organization. New for the Organization is the strongest: nobody looks at a region that nobody
uses. Denied calls count. One call may be new for all three, and is then three rows.
"""
question = 24
attack = ["T1535"]
severity = "low"
false_positives = ["People who help out in another region; a Project that grows."]
blind_spots = [
    "Who was made a short time ago (known_for) has no habits that could be broken: see discovery/region-new-to-organization.",
    "A history that begins with the archive: what was used before it is not known.",
]

[params.known_for]
type = "duration"
default = "7d"
description = "How long a subject must have been known before."

[columns]
recorded_at = "When the call was recorded."
subject_type = "For whom it is new: principal, project or organization."
subject_id = "Its id."
locality = "The region or zone."
known_since = "Since when the subject is known at all: how long the history is that this is new to."
principal_id = "Who called: a user or an application, never a key."
product_name = "The product."
method_name = "The method called."
outcome = "success, denied (401, 403) or failure."
status_code = "The HTTP status that was answered."
source_ip = "Where the call came from; null where the event does not say it."
user_agent = "What the caller said it was."
id = "The event."

[finding]
summary = "{locality} was used for the first time by the {subject_type} {subject_id}, known since {known_since}: {principal} called {method_name} from {source_ip} ({outcome})."
key = ["subject_type", "subject_id", "locality"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Whether it acts from there otherwise."
params = { principal = "principal_id" }

[[next]]
query = "impact/compute-spike"
why = "Whether much was created there."
--- */
WITH known AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_at
    FROM first_seen
    WHERE dimension = 'activity'
),
news AS (
    SELECT organization_id, subject_type, subject_id, dimension, value, first_at
    FROM first_seen
    WHERE dimension = 'locality' AND first_at >= $since AND first_at < $until
),
found AS (
    SELECT
        n.subject_type, n.subject_id, n.value AS locality, k.first_at AS known_since,
        e.id, e.recorded_at, e.principal_id, e.product_name, e.method_name, e.status_code, e.source_ip, e.user_agent,
        row_number() OVER (
            PARTITION BY n.organization_id, n.subject_type, n.subject_id, n.value ORDER BY e.id
        ) AS place
    FROM news AS n
    JOIN known AS k ON k.organization_id = n.organization_id AND k.subject_type = n.subject_type
        AND k.subject_id = n.subject_id AND k.first_at <= n.first_at - $known_for
    JOIN api_events AS e ON e.organization_id = n.organization_id AND e.locality = n.value
        AND e.recorded_at = n.first_at
        AND n.subject_id = CASE n.subject_type
            WHEN 'principal' THEN e.principal_id WHEN 'project' THEN e.project_id ELSE e.organization_id END
    WHERE e.recorded_at >= $since AND e.recorded_at < $until
)
SELECT
    recorded_at, subject_type, subject_id, locality, known_since, principal_id, product_name, method_name,
    outcome_of(status_code) AS outcome, status_code, source_ip, user_agent, id
FROM found
WHERE place = 1
ORDER BY ALL
