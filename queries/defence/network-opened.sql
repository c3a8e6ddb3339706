/* ---
title = "Networks opened to the whole world"
description = """
A rule lets everybody in: its range is the whole address space or nearly (0.0.0.0/0, ::/0, and the halves that add up
to them), a default that accepts, a port forwarded from the public side, or an access list or web firewall taken away.
Rules that drop, rules that only let out, pings, and the ports of web servers are left out. Denied attempts count. The
same opening on things of the same name on an earlier day, as deployments make, is left out. Kubernetes events carry
no source_ip.
"""
question = 47
attack = ["T1686.001"]
severity = "medium"
false_positives = [
    "Services that are meant to be reached on other ports than the web's: mail, VPNs, games.",
    "Databases and clusters whose access list is Scaleway's default: open to all.",
    "A new security group whose default is to accept, as Scaleway's own default is.",
]
blind_spots = [
    "A port of the web can hide anything: -p web_ports= shows those, too.",
    "Ranges a little smaller than an eighth of the address space, and openings for one address of the attacker's.",
    "A server moved into an open security group, or given a public address: no range in the call.",
    "Deleted rules that dropped something: the call does not say what the rule was.",
]

[params.web_ports]
type = "list[integer]"
default = [80, 443]
description = "Ports that may be open to all."

[params.outbound]
type = "boolean"
default = false
description = "Show rules that only let out, too."

[params.history]
type = "duration"
default = "365d"
description = "How far back calls are looked at for what is usual."

[params.routine_days]
type = "integer"
default = 1
description = "On how many earlier days the same makes it usual."

[columns]
recorded_at = "When it was asked for."
principal_id = "Who asked for it."
product_name = "The product."
method_name = "The call."
outcome = "success, denied or failure."
opened = "What happened: range, default policy, port forwarded, access list removed, or web firewall weakened."
direction = "inbound or outbound, where the body says so; else unknown, which is mostly inbound."
ranges = "The ranges that hold the whole world or nearly."
ports = "The ports of these rules, as from-to; empty where the body names none: all of them."
resource_ids = "What was acted on."
resource_names = "The names of it."
locality = "The region or zone."
earlier_days = "On how many days before the same was opened in the same way on things of the same name, by whomever."
source_ip = "Where the call came from; NULL for Kubernetes."
user_agent = "What the caller said it was."
request_body = "The body as it was sent."
id = "The event."

[finding]
summary = "{principal} opened a network ({opened} {ranges}, ports {ports}) with {method_name} on {resource_names} from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What the principal did next, through the opening perhaps."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where the principal acts from otherwise."
params = { principal = "principal_id" }
--- */
WITH calls AS (
    SELECT
        organization_id, id, recorded_at, principal_id, product_name, method_name, status_code, resources, locality,
        source_ip, user_agent, request_body
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (
            -- Cheap, and never narrower than the macros below: a length of 0 to 3 behind a slash, or a known call.
            regexp_matches(request_body, '/\s*0*[0-3]\s*"|\\u00|[fF]{4}:.*/\s*0*9[6-9]\s*"')
            OR method_name IN (
                'CreateSecurityGroup', 'UpdateSecurityGroup', 'SetAcl', 'CreatePatRule', 'UpdatePatRule', 'SetPatRules',
                'DeleteAcl', 'SetAcls', 'DeleteWafStage', 'UpdateWafStage'
            )
        )
        AND (
            verb(method_name) IN ('Create', 'Update', 'Set', 'Add', 'Patch')
            OR method_name IN ('DeleteAcl', 'DeleteWafStage')
        )
),
-- Lists of rules are looked at rule by rule, since each has its own direction, action and ports.
listed AS (
    SELECT
        id, method_name, request_body,
        flatten([
            coalesce(json_extract(request_body, '$.rules[*]'), []),
            coalesce(json_extract(request_body, '$.acls[*]'), []),
            coalesce(json_extract(request_body, '$.acl_rules[*]'), []),
            coalesce(json_extract(request_body, '$.aclRules[*]'), []),
            coalesce(json_extract(request_body, '$.pat_rules[*]'), []),
            coalesce(json_extract(request_body, '$.patRules[*]'), []),
            -- A list of one is sometimes written as that one.
            list_filter(
                coalesce(
                    json_extract(request_body, [
                        '$.rules', '$.acls', '$.acl_rules', '$.aclRules', '$.pat_rules', '$.patRules', '$.rule', '$.acl'
                    ]),
                    []
                ),
                lambda x: json_type(x) = 'OBJECT'
            )
        ]) AS parts
    FROM calls
    WHERE request_body IS NOT NULL
),
rules AS (
    SELECT
        id, method_name,
        CAST(unnest(
            -- A range that stands outside of the lists is not lost: the body is then looked at as a whole.
            CASE
                WHEN len(parts) > 0 AND len(world_ranges(request_body)) <= len(world_ranges(CAST(parts AS VARCHAR)))
                    THEN parts
                ELSE [CAST(request_body AS JSON)]
            END
        ) AS VARCHAR) AS rule
    FROM listed
),
read_rules AS (
    SELECT
        id, method_name, world_ranges(rule) AS ranges,
        lower(coalesce(body_text(rule, 'action.type'), body_text(rule, 'action'))) AS action,
        upper(body_text(rule, 'protocol')) AS protocol,
        CASE
            WHEN lower(body_text(rule, 'direction')) IN ('inbound', 'outbound') THEN lower(body_text(rule, 'direction'))
            -- The rules of a VPC name both sides.
            WHEN body_text(rule, 'source') IS NOT NULL AND body_text(rule, 'destination') IS NOT NULL THEN
                CASE WHEN is_world(body_text(rule, 'source')) THEN 'inbound' ELSE 'outbound' END
            WHEN method_name IN ('CreatePatRule', 'UpdatePatRule', 'SetPatRules') THEN 'inbound'
            ELSE 'unknown'
        END AS direction,
        TRY_CAST(coalesce(
            body_text(rule, 'dest_port_from'), body_text(rule, 'dst_port_low'), body_text(rule, 'private_port')
        ) AS BIGINT) AS port_from,
        TRY_CAST(coalesce(
            body_text(rule, 'dest_port_to'), body_text(rule, 'dst_port_high'), body_text(rule, 'private_port')
        ) AS BIGINT) AS port_to
    FROM rules
),
opening AS (
    SELECT
        id, direction, ranges, port_from, greatest(port_from, port_to) AS port_to,
        CASE WHEN len(ranges) > 0 THEN 'range' ELSE 'port forwarded' END AS opened
    FROM read_rules
    WHERE (
            len(ranges) > 0
            OR (method_name IN ('CreatePatRule', 'UpdatePatRule', 'SetPatRules') AND port_from IS NOT NULL)
        )
        AND coalesce(action NOT IN ('drop', 'deny', 'reject', 'redirect'), true)
        AND coalesce(protocol NOT IN ('ICMP', 'ICMPV6'), true)
        AND (direction <> 'outbound' OR $outbound)
        AND NOT coalesce(
            list_contains($web_ports, port_from) AND greatest(port_from, port_to) = port_from, false
        )
),
open_rules AS (
    SELECT
        id,
        CASE WHEN bool_or(opened = 'range') THEN 'range' ELSE 'port forwarded' END AS opened,
        CASE
            WHEN bool_or(direction = 'inbound') THEN 'inbound'
            WHEN bool_or(direction = 'unknown') THEN 'unknown'
            ELSE 'outbound'
        END AS direction,
        list_sort(list_distinct(flatten(list(ranges ORDER BY ranges)))) AS ranges,
        list_sort(list(DISTINCT
            CASE WHEN port_to > port_from THEN concat(port_from, '-', port_to) ELSE CAST(port_from AS VARCHAR) END
        ) FILTER (WHERE port_from IS NOT NULL)) AS ports
    FROM opening
    GROUP BY id
),
told AS (
    SELECT
        c.organization_id, c.id, c.recorded_at, c.principal_id, c.product_name, c.method_name, c.status_code,
        c.resources, c.locality, c.source_ip, c.user_agent, c.request_body, o.ranges, o.ports, o.direction AS of_rules,
        CASE
            WHEN o.id IS NOT NULL THEN o.opened
            WHEN c.method_name IN ('CreateSecurityGroup', 'UpdateSecurityGroup')
                AND lower(body_text(c.request_body, 'inbound_default_policy')) = 'accept' THEN 'default policy'
            WHEN c.method_name = 'SetAcl' AND lower(body_text(c.request_body, 'default_policy')) = 'accept'
                THEN 'default policy'
            WHEN c.method_name = 'DeleteAcl' THEN 'access list removed'
            WHEN c.method_name = 'SetAcls' AND json_array_length(c.request_body, '$.acls') = 0
                THEN 'access list removed'
            WHEN c.method_name = 'DeleteWafStage' THEN 'web firewall weakened'
            WHEN c.method_name = 'UpdateWafStage'
                AND lower(body_text(c.request_body, 'mode')) IN ('disable', 'disabled', 'log_only', 'off')
                THEN 'web firewall weakened'
        END AS opened
    FROM calls AS c
    LEFT JOIN open_rules AS o ON o.id = c.id
),
counted AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY
                organization_id, product_name, method_name, opened, ranges, ports, resource_names(resources)
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM told
    WHERE opened IS NOT NULL
)
SELECT
    recorded_at, principal_id, product_name, method_name, outcome_of(status_code) AS outcome, opened,
    coalesce(of_rules, 'inbound') AS direction, coalesce(ranges, []) AS ranges, coalesce(ports, []) AS ports,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names, locality, earlier_days,
    source_ip, user_agent, request_body, id
FROM counted
WHERE recorded_at >= $since AND earlier_days < $routine_days
ORDER BY recorded_at, id
