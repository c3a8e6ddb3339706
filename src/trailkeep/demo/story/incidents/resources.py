"""Somebody else's computers: mining with a developer's key, and a cluster taken through its access list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.incidents.moves import GO_HTTP, GPU_TYPES, HTTPX, REQUESTS, new_server, start_script
from trailkeep.demo.story.telling import Plot, flat
from trailkeep.demo.story.writer import HOUR

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Actor, Record
    from trailkeep.demo.story.telling import Telling

_QUOTA_ZONES = ("fr-par-1", "fr-par-2", "nl-ams-1", "nl-ams-2", "pl-waw-1")


def _mining(telling: Telling) -> None:
    rng = telling.rng
    developer = telling.somebody("developer")
    miner = telling.attacker(developer.id, telling.address(), rng.choice((GO_HTTP, REQUESTS, HTTPX)))
    refused = []
    for zone in rng.sample(_QUOTA_ZONES, 4):
        refused += flat(telling.denied(miner, [("instance", "CreateServer")], rng.randrange(2, 5), locality=zone))
    telling.tell("new-tool", 10, "A developer's principal, now with a program of its own.", refused[:1])
    zone = rng.choice(("pl-waw-3", "nl-ams-3", "pl-waw-2"))
    servers = _servers(telling, miner, zone)
    telling.tell("quota-then-allowed", 22, "Refused in zone after zone, then one takes it.", [*refused, servers[0][0]])
    telling.tell("new-zone", 24, "A zone that nobody used before.", [servers[0][0]])
    elsewhere = _elsewhere(telling, miner)
    telling.tell(
        "compute", 60, "GPUs in every product that has them.", [event_id for event_id, _ in servers] + elsewhere
    )
    _serverless(telling, miner)
    rule = {
        "protocol": "TCP",
        "direction": "inbound",
        "action": "accept",
        "ip_range": rng.choice(("0.0.0.0/0", "::/0")),
    }
    group = telling.existing("instance_security_group", "default")
    opened = telling.call(
        miner, "instance", "CreateSecurityGroupRule", rule, group, locality=zone, project=telling.production
    )
    telling.tell("network-opened", 47, "Every port of the miners is open to the world.", [opened])
    notice = telling.scaleway("quota-threshold", "instance", zone, servers[-1][1])
    telling.tell("notice", 65, "Scaleway itself writes about the quota.", [notice])
    telling.wait(2400, 5000)
    tidied = [
        telling.call(
            miner, "instance", "DeleteServer", {}, telling.gone(server), locality=zone, project=telling.production
        )
        for _, server in servers[:2]
    ]
    telling.tell(
        "cleanup", 48, "Two that did not start are deleted again.", [*(each for each, _ in servers[:2]), *tidied]
    )


def _servers(telling: Telling, miner: Actor, zone: str) -> list[tuple[str, Record]]:
    machine_type = telling.rng.choice(GPU_TYPES)
    made, configured = [], []
    for number in range(telling.rng.randrange(9, 16)):
        event_id, server = new_server(telling, miner, f"node{number}", zone, machine_type)
        made.append((event_id, server))
        configured += start_script(telling, miner, server, zone)
    telling.tell("start-scripts", 36, "Each gets a start script and is started.", configured)
    return made


def _elsewhere(telling: Telling, miner: Actor) -> list[str]:
    rng = telling.rng
    macs = telling.made("apple_silicon_server", "mac")
    model = telling.made("gapi_dedicated_deployment", "chat")
    pool = telling.made("kube_pool", "gpu")
    where: Record = {"project": telling.production, "gap": (10, 60)}
    done = [
        telling.call(
            miner,
            "apple-silicon",
            "BatchCreateServers",
            {"count": 4, "type": "M2-L"},
            macs,
            locality="fr-par-1",
            **where,
        ),
        telling.call(
            miner, "generative-apis", "CreateDeployment", {"model_name": "llama-3.3-70b", "min_size": 2}, model, **where
        ),
        telling.call(
            miner,
            "kubernetes",
            "CreatePool",
            {"name": "gpu", "node_type": rng.choice(GPU_TYPES), "size": 6},
            pool,
            **where,
        ),
    ]
    rng.shuffle(done)
    return done


def _serverless(telling: Telling, miner: Actor) -> None:
    container = telling.made("serverless_containers_container", "worker")
    image = f"registry.example.net/{telling.rng.getrandbits(24):06x}/x:latest"
    body = {"name": "worker", "registry_image": image, "min_scale": 20, "cpu_limit": 4000}
    done = [
        telling.call(miner, "serverless-containers", "CreateContainer", body, container, project=telling.production),
        telling.call(
            miner,
            "serverless-containers",
            "CreateTrigger",
            {"name": "tick"},
            telling.made("serverless_containers_trigger", "tick"),
            project=telling.production,
        ),
    ]
    telling.tell("containers", 37, "A foreign image in twenty containers, and a trigger.", done)


def _kubernetes(telling: Telling) -> None:
    operator = telling.staff.application("kubernetes-operator")
    pod = telling.attacker(operator.id, telling.address(), telling.rng.choice((GO_HTTP, "kubectl-scw/0.4", None)))
    cluster = telling.existing("kube_cluster", "main")
    tried = [
        ("kubernetes", method) for method in ("CreateCluster", "AddClusterACLRules", "UpgradeCluster", "DeletePool")
    ]
    denied = telling.denied(pod, tried, telling.rng.randrange(22, 34), gap=(1, 7))
    telling.tell("denied-probes", 21, "Refused again and again, without an address.", flat(denied))
    telling.wait(600, 1800)
    body = {"acls": [{"ip": "0.0.0.0/0", "description": "ci"}]}
    where: Record = {"project": telling.production, "gap": (10, 60)}
    opened = telling.call(pod, "kubernetes", "AddClusterACLRules", body, cluster, **where)
    again = telling.call(pod, "kubernetes", "SetClusterACLRules", body, cluster, **where)
    reset = telling.call(pod, "kubernetes", "ResetClusterAdminToken", {"cluster_id": cluster["id"]}, cluster, **where)
    telling.tell("denied-then-allowed", 22, "Refused before, taken now.", [*denied["AddClusterACLRules"], opened])
    telling.tell(
        "token-and-acl",
        34,
        "The cluster's interface opens to the world, and a new admin token.",
        [opened, again, reset],
    )
    telling.tell("kubeconfig", 35, "The kubeconfig is downloaded: nothing in the trail can show it.")
    pools = [
        telling.call(
            pod,
            "kubernetes",
            "CreatePool",
            {"name": f"burst-{number}", "node_type": telling.rng.choice(GPU_TYPES), "size": 8, "autoscaling": False},
            telling.made("kube_pool", f"burst-{number}"),
            **where,
        )
        for number in range(6)
    ]
    telling.tell("gpu-pools", 60, "Pools of GPU nodes.", pools)
    _from_the_pod(telling, pod)
    telling.wait(1200, 3600)
    deleted = [
        telling.call(
            pod,
            "kubernetes",
            method,
            {},
            telling.gone(telling.existing(kind, f"node-{number}")),
            project=telling.production,
            gap=(1, 8),
        )
        for number in range(telling.rng.randrange(12, 18))
        for method, kind in ((("DeletePool", "kube_pool") if number % 4 == 3 else ("DeleteNode", "kube_node")),)
    ]
    telling.tell("nodes-deleted", 57, "The company's own nodes are deleted.", deleted)
    telling.tell(
        "timeline", 3, "Everything that the pod did, addresses or none.", [opened, again, reset, *pools, *deleted]
    )


def _from_the_pod(telling: Telling, pod: Actor) -> None:
    instance = telling.existing("rdb_instance", "warehouse")
    tried = [
        telling.call(pod, "rdb", method, {"name": "svc"}, instance, status=403, gap=(5, 30))
        for method in ("AddInstanceACLRules", "CreateUser")
    ]
    telling.tell("database-refused", 38, "A user and an access rule of the database: refused.", tried)
    telling.tell("first-address", 9, "The first time that this principal shows an address.", tried[:1])


PLOTS = {
    "mining": Plot(tell=_mining, length=4 * HOUR, hour=23.5),
    "kubernetes-acl-token": Plot(tell=_kubernetes, length=5 * HOUR, hour=16.0),
}
