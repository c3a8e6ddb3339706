/* ---
title = "Telemetry or traffic led outside"
description = """
Something that leads data elsewhere was made or changed: an exporter of Cockpit, a VPN connection, a link between
networks, a connector of VPCs, the backend or DNS stage of Edge Services, the backend of a load balancer, a route for
everything. `targets` says whereto, as far as the body does. Servers of a load balancer count only where one has a
public address. A principal that did the same on an earlier day is left out. Denied attempts count.
"""
question = 56
attack = ["T1567", "T1133", "T1565.002"]
severity = "medium"
false_positives = [
    "A network that is being built, or a site that moves: it was announced, and its targets are known.",
    "Deployments that swap backends, the first time.",
]
blind_spots = [
    "DNS zones and records outside of Edge Services are no part of this trail.",
    "What goes through the new way, and how much: not logged.",
    "A target that looks like one's own: names and addresses are shown as they were sent.",
    "A load balancer's server with a private address may be the attacker's machine as well.",
    "Routes and certificates of a load balancer, and certificates of Edge Services (TLS stages), which change who may listen.",
]

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
led = "What is led elsewhere: telemetry, network, web traffic or balanced traffic."
targets = "Where it goes, as far as the body says: addresses, hosts, buckets, URLs, networks, other VPCs."
resource_ids = "What was acted on."
resource_names = "The names of it."
project_id = "The Project."
locality = "The region or zone."
earlier_days = "On how many days before the same was done, by the same principal with the same program."
source_ip = "Where the call came from."
user_agent = "What the caller said it was."
request_body = "The body as it was sent."
id = "The event."

[finding]
summary = "{principal} led {led} to {targets} with {method_name} on {resource_names}, from {source_ip} ({outcome})."
key = ["id"]

[[next]]
query = "scope/principal-timeline"
why = "What else the principal did."
params = { principal = "principal_id" }

[[next]]
query = "scope/principal-origins"
why = "Where the principal acts from otherwise."
params = { principal = "principal_id" }

[[next]]
query = "defence/cockpit-silenced"
why = "Whether Cockpit was silenced, too."
--- */
WITH calls AS (
    SELECT
        id, recorded_at, organization_id, principal_id, product_name, method_name, status_code, source_ip, user_agent,
        locality, project_id, resources, request_body,
        CASE
            WHEN method_name IN ('CreateExporter', 'UpdateExporter') THEN 'telemetry'
            WHEN method_name IN (
                'CreateBackendStage', 'UpdateBackendStage', 'CreateDNSStage', 'UpdateDNSStage', 'SetHeadStage',
                'CreateRouteStage', 'UpdateRouteStage', 'AddRouteRules', 'SetRouteRules'
            ) THEN 'web traffic'
            WHEN method_name IN (
                'UpdateBackend', 'CreateBackend', 'SetBackendServers', 'AddBackendServers'
            ) THEN 'balanced traffic'
            ELSE 'network'
        END AS led
    FROM api_events
    WHERE recorded_at >= $since - $history AND recorded_at < $until
        AND (method_name IN (
            'CreateExporter', 'UpdateExporter',
            'CreateConnection', 'UpdateConnection', 'CreateCustomerGateway', 'UpdateCustomerGateway',
            'CreateVpnGateway', 'CreateLink', 'UpdateLink', 'AttachVpc', 'EnableRoutePropagation',
            'AttachRoutingPolicy', 'SetRoutingPolicy', 'UpdateRoutingPolicy', 'RenewConnectionPsk',
            'CreateVPCConnector', 'UpdateVPCConnector',
            'CreateBackendStage', 'UpdateBackendStage', 'CreateDNSStage', 'UpdateDNSStage', 'SetHeadStage',
            'CreateRouteStage', 'UpdateRouteStage', 'AddRouteRules', 'SetRouteRules',
            'UpdateBackend', 'CreateBackend', 'SetBackendServers', 'AddBackendServers', 'CreateRoute', 'UpdateRoute'
        )) IS TRUE
        -- A backend's time-outs and checks lead nothing anywhere.
        AND (
            method_name <> 'UpdateBackend'
            OR request_body IS NULL OR body_text(request_body, 'failover_host') IS NOT NULL
            OR body_text(request_body, 'server_ip') IS NOT NULL
            OR body_text(request_body, 'forward_port') IS NOT NULL
        )
        -- Private addresses come and go with every deployment.
        AND (
            method_name NOT IN ('CreateBackend', 'SetBackendServers', 'AddBackendServers')
            OR len(list_filter(
                list_concat(body_list(request_body, 'server_ip'), body_list(request_body, 'server_ips')),
                lambda a: ip_label(a) IS NULL OR ip_label(a) NOT IN ('private', 'shared', 'loopback', 'link-local')
            )) > 0
        )
        AND (method_name NOT IN ('CreateRoute', 'UpdateRoute') OR len(world_ranges(request_body)) > 0)
),
counted AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN is_success(status_code) THEN CAST(recorded_at AS DATE) END) OVER (
            PARTITION BY organization_id, principal_id, product_name, method_name, user_agent_family(user_agent)
            ORDER BY recorded_at RANGE BETWEEN $history PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS earlier_days
    FROM calls
)
SELECT
    recorded_at, principal_id, product_name, method_name, outcome_of(status_code) AS outcome, led,
    list_sort(list_distinct(list_filter(
        flatten([
            body_every(request_body, 'server_ip'), body_every(request_body, 'server_ips'),
            body_every(request_body, 'endpoint'),
            body_every(request_body, 'url'), body_every(request_body, 'host'),
            body_every(request_body, 'failover_host'),
            body_every(request_body, 'bucket_name'), body_every(request_body, 'bucket'),
            body_every(request_body, 'fqdns'), body_every(request_body, 'ips'),
            body_every(request_body, 'public_ip'), body_every(request_body, 'ipv4_public'),
            body_every(request_body, 'ipv6_public'), body_every(request_body, 'peer_site'),
            body_every(request_body, 'target_vpc_id'), body_every(request_body, 'vpc_id'),
            body_every(request_body, 'lb_id'), body_every(request_body, 'backend_stage_id'),
            body_every(request_body, 'nexthop_resource_id'), body_every(request_body, 'destination')
        ]),
        lambda t: t IS NOT NULL
    ))) AS targets,
    resource_ids(resources) AS resource_ids, resource_names(resources) AS resource_names, project_id, locality,
    earlier_days, source_ip, user_agent, request_body, id
FROM counted
WHERE recorded_at >= $since AND earlier_days < $routine_days
ORDER BY recorded_at, id
