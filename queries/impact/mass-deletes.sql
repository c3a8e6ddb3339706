/* ---
title = "Many things deleted in a short time"
description = """
A principal deleted, or tried to delete, many different things within the window, in whichever products: more than its
own bursts of the weeks before, so that a clean-up that runs every night is left out. Where all of it is what the
principal deletes as a rule (such things, in the same Project, with the same program from the same network, on several
days before), more still is needed: a test environment that is taken down as a whole. Terminating a server, installing one
anew and releasing an address count as deleting. A burst of denied calls is somebody who would have.
"""
question = 57
attack = ["T1485", "T1490"]
severity = "high"
false_positives = [
    "Terraform that takes down an environment for the first time: one user agent, and things of one Project.",
    "A clean-up that was announced.",
]
blind_spots = [
    "An application older than the archive, in the archive's first days (settled): its habits are not known yet, so give settled as 0d to see it.",
    "Objects deleted from buckets, and volumes and snapshots of Block Storage: not logged.",
    "Deleting slowly: less than the minimum within any window.",
    "Whoever deletes with the identity of a clean-up, from where it runs, no more than routine_factor times what that does anyhow, of such things in such a Project.",
    "A burst that goes on for longer than lookback is told again as a new one.",
]

[params.minimum]
type = "integer"
default = 10
description = "Fewest deletions within the window, and fewest different things."

[params.window]
type = "duration"
default = "10m"
description = "The window that slides over the calls; a burst ends when nothing came for its length."

[params.factor]
type = "number"
default = 2
description = "How many times the principal's own largest burst before it must be, where there is one."

[params.routine_factor]
type = "number"
default = 4
description = "The same where each call is one of a kind that the principal makes as a rule."

[params.routine_days]
type = "integer"
default = 3
description = "On how many earlier days the same call (Project, program, network) makes a rule."

[params.history]
type = "duration"
default = "30d"
description = "How far back the principal's own bursts are looked at; those of the day before do not count as usual."

[params.settled]
type = "duration"
default = "3d"
description = "For how long after the archive begins nothing is told of applications that were there before it, by the directory."

[params.lookback]
type = "duration"
default = "1d"
description = "How far before the span the beginning of a burst is looked for."

[columns]
first_at = "The burst's first call."
last_at = "The burst's last call."
principal_id = "Who called; null where the events do not say."
events = "How many calls, denied and failed ones among them."
things = "How many different things they were about."
most_within_window = "How many calls within the window at most."
usual = "The most of any burst of this principal in the time before; null where there was none."
routine = "Whether each of the calls is one that the principal makes as a rule: the method, the Project, the program and the network."
succeeded = "Calls that succeeded."
denied = "Calls that were denied."
products = "The products."
methods = "The calls."
localities = "The regions and zones."
project_ids = "The Projects."
source_ips = "Where the calls came from, as far as the events say it."
user_agents = "What the caller said it was."
first_id = "The burst's first event, which tells it from others."
event_ids = "All events of the burst, oldest first."

[finding]
summary = "{principal} deleted or tried to delete {things} things in {events} calls ({succeeded} succeeded, {denied} denied) in {products}, from {source_ips}."
key = ["principal_id", "first_id"]

[[next]]
query = "scope/principal-timeline"
why = "What else this principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where this principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "impact/backups-destroyed"
why = "Whether backups and snapshots are among them."
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, method_name, product_name, status_code, source_ip, user_agent,
        locality, project_id, coalesce(resources[1].id, id) AS thing
    FROM api_events
    WHERE recorded_at >= $since - $lookback - $history AND recorded_at < $until
        AND (
            verb(method_name) IN ('Delete', 'Release')
            OR method_name IN ('InstallServer', 'ReinstallServer', 'ServerAction')
        ) IS TRUE
        AND (method_name <> 'ServerAction' OR body_text(request_body, 'action') = 'terminate')
),
marked AS (
    SELECT
        *,
        events_within((organization_id, principal_id), recorded_at, $window) AS within_window,
        begins_burst((organization_id, principal_id), recorded_at, id, $window) AS begins,
        count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY
                organization_id, principal_id, method_name, project_id, ip_network(source_ip),
                user_agent_family(user_agent)
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM calls
),
numbered AS (
    SELECT *, burst_number((organization_id, principal_id), recorded_at, id, begins) AS burst
    FROM marked
),
bursts AS (
    SELECT
        organization_id, principal_id, burst, min(recorded_at) AS first_at, max(recorded_at) AS last_at,
        bool_and(earlier_days >= $routine_days AND source_ip IS NOT NULL AND is_success(status_code)) AS routine,
        count(*) AS events, max(within_window) AS most_within_window, count(DISTINCT thing) AS things,
        count(*) FILTER (WHERE is_success(status_code)) AS succeeded,
        count(*) FILTER (WHERE is_denied(status_code)) AS denied,
        list_sort(list(DISTINCT product_name) FILTER (WHERE product_name IS NOT NULL)) AS products,
        list_sort(list(DISTINCT method_name) FILTER (WHERE method_name IS NOT NULL)) AS methods,
        list_sort(list(DISTINCT source_ip) FILTER (WHERE source_ip IS NOT NULL)) AS source_ips,
        list_sort(list(DISTINCT user_agent) FILTER (WHERE user_agent IS NOT NULL)) AS user_agents,
        list(id ORDER BY recorded_at, id) AS event_ids,
        list_sort(list(DISTINCT locality) FILTER (WHERE locality IS NOT NULL)) AS localities,
        list_sort(list(DISTINCT project_id) FILTER (WHERE project_id IS NOT NULL)) AS project_ids
    FROM numbered
    GROUP BY organization_id, principal_id, burst
),
-- Nobody knows yet what they do every day.
unsettled AS (
    SELECT DISTINCT p.organization_id, p.id, f.first_at + $settled AS settled_at
    FROM principals AS p
    JOIN first_seen AS f ON f.organization_id = p.organization_id
    WHERE f.subject_type = 'organization' AND f.dimension = 'activity'
        AND p.type = 'application' AND p.created_at < f.first_at
),
compared AS (
    SELECT
        *,
        max(most_within_window) OVER (
            PARTITION BY organization_id, principal_id
            ORDER BY first_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS usual
    FROM bursts
)
SELECT
    first_at, last_at, principal_id, events, things, most_within_window, usual, coalesce(routine, false) AS routine, succeeded, denied, products, methods,
    localities, project_ids, source_ips, user_agents, event_ids[1] AS first_id, event_ids
FROM compared AS c
WHERE last_at >= $since
    AND NOT EXISTS (
        SELECT 1 FROM unsettled AS u
        WHERE u.organization_id = c.organization_id AND u.id = c.principal_id AND c.first_at < u.settled_at
    )
    AND most_within_window >= $minimum AND things >= $minimum
    AND most_within_window >= CASE WHEN routine THEN $routine_factor ELSE $factor END * coalesce(usual, 0)
ORDER BY ALL
