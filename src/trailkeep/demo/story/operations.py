"""The kinds of calls that the story's machines make, by machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from trailkeep.demo.story.model import Record


@dataclass(frozen=True, slots=True)
class Live:
    """A resource that exists."""

    id: str
    name: str
    created: int
    """Nanoseconds since 1970."""
    locality: str
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One kind of call, and what it does to the resource it names."""

    share: float
    """Weight among the machine's operations."""
    product: str
    method: str
    resource: str
    effect: Literal["create", "change", "delete"] = "change"
    status: int = 200
    zonal: bool = False
    prefix: str = "main"
    """What the names of created resources begin with."""
    body: Callable[[Random, Live], Record]
    facts: Callable[[Live], Record] | None = None


def _nothing(_rng: Random, _live: Live) -> Record:
    return {}


def _server(rng: Random, live: Live) -> Record:
    return {
        "name": live.name,
        "commercial_type": rng.choice(("PRO2-S", "PRO2-M", "GP1-S", "PLAY2-NANO")),
        "image": "ubuntu_noble",
        "dynamic_ip_required": False,
        "project": live.project,
        "tags": ["managed"],
    }


def _action(rng: Random, _live: Live) -> Record:
    return {"action": rng.choice(("poweron", "poweroff", "reboot"))}


def _backend(rng: Random, live: Live) -> Record:
    return {
        "backend_id": live.id,
        "server_ip": [f"10.0.{rng.randrange(8)}.{rng.randrange(2, 250)}" for _ in range(3)],
    }


def _container(rng: Random, live: Live) -> Record:
    image = f"registry.example.com/{live.name}:{rng.getrandbits(28):07x}"
    return {"container_id": live.id, "image": image, "redeploy": True, "min_scale": rng.randrange(3)}


def _secret_version(rng: Random, live: Live) -> Record:
    return {
        "secret_id": live.id,
        "description": f"rotation {rng.randrange(10_000)}",
        "disable_previous": True,
    }


def _backup(_rng: Random, live: Live) -> Record:
    return {"instance_id": live.id, "database_name": "rdb", "name": live.name, "expires_at": None}


# Kubernetes, autoscaling and Elastic Metal write their bodies in camelCase.


def _pool(rng: Random, live: Live) -> Record:
    return {"poolId": live.id, "size": rng.randrange(3, 12), "autoscaling": True}


def _node(_rng: Random, live: Live) -> Record:
    return {"nodeId": live.id, "skipDrain": False, "replace": True}


def _reboot(_rng: Random, live: Live) -> Record:
    return {"bootType": "normal", "serverId": live.id, "sshKeyIds": []}


def _group(rng: Random, live: Live) -> Record:
    return {"instanceGroupId": live.id, "capacity": {"minReplicas": 2, "maxReplicas": rng.randrange(4, 20)}}


def _named(live: Live) -> Record:
    return {"id": live.id, "name": live.name}


_SERVER: dict[str, Any] = {
    "product": "instance",
    "resource": "instance_server",
    "zonal": True,
    "prefix": "worker",
}
_SECRET: dict[str, Any] = {
    "product": "secret-manager",
    "resource": "secret_manager_secret",
    "prefix": "credential",
    "facts": lambda _live: {"path": "/"},
}
_NODE: dict[str, Any] = {"product": "kubernetes", "resource": "kube_node", "prefix": "node", "facts": _named}
_BACKUP: dict[str, Any] = {"product": "rdb", "resource": "rdb_instance_backup", "prefix": "nightly"}
_SNAPSHOT: dict[str, Any] = {
    "product": "instance",
    "resource": "instance_snapshot",
    "zonal": True,
    "prefix": "nightly-volume",
}

OPERATIONS: dict[str, tuple[Operation, ...]] = {
    "ci-deploy": (
        Operation(share=10, method="CreateServer", effect="create", status=201, body=_server, **_SERVER),
        Operation(share=12, method="ServerAction", status=202, body=_action, **_SERVER),
        Operation(
            share=8,
            method="UpdateServer",
            body=lambda _rng, live: {"name": live.name, "tags": ["v2"]},
            **_SERVER,
        ),
        Operation(share=9, method="DeleteServer", effect="delete", status=204, body=_nothing, **_SERVER),
        Operation(
            share=14,
            product="serverless-containers",
            method="UpdateContainer",
            resource="serverless_containers_container",
            prefix="api",
            body=_container,
        ),
        Operation(
            share=10,
            product="load-balancer",
            method="SetBackendServers",
            resource="load_balancer_backend",
            zonal=True,
            prefix="backend",
            body=_backend,
            facts=lambda live: {"lb_id": live.id, "name": live.name},
        ),
        Operation(share=6, method="CreateSecretVersion", body=_secret_version, **_SECRET),
        Operation(
            share=5,
            product="vpc",
            method="UpdatePrivateNetwork",
            resource="vpc_private_network",
            prefix="network",
            body=lambda _rng, live: {"name": live.name, "tags": []},
            facts=lambda live: {"vpc_id": live.id, "push_default_route": False},
        ),
        Operation(
            share=2,
            product="baremetal",
            method="RebootServer",
            resource="baremetal_server",
            zonal=True,
            prefix="metal",
            body=_reboot,
            facts=lambda live: {"description": live.name, "tags": ["managed"]},
        ),
    ),
    "autoscaler": (
        Operation(share=5, method="CreateServer", effect="create", status=201, body=_server, **_SERVER),
        Operation(share=6, method="ServerAction", status=202, body=_action, **_SERVER),
        Operation(share=5, method="DeleteServer", effect="delete", status=204, body=_nothing, **_SERVER),
        Operation(
            share=2,
            product="autoscaling",
            method="UpdateGroup",
            resource="autoscaling_group",
            zonal=True,
            prefix="group",
            body=_group,
        ),
    ),
    "kubernetes-operator": (
        Operation(
            share=4,
            product="kubernetes",
            method="UpdatePool",
            resource="kube_pool",
            prefix="pool",
            body=_pool,
        ),
        Operation(share=3, method="RebootNode", body=_node, **_NODE),
        Operation(share=3, method="DeleteNode", effect="delete", body=_node, **_NODE),
    ),
    "nightly-backup": (
        Operation(share=4, method="CreateDatabaseBackup", effect="create", body=_backup, **_BACKUP),
        Operation(share=3, method="DeleteDatabaseBackup", effect="delete", body=_nothing, **_BACKUP),
        Operation(
            share=3,
            method="CreateSnapshot",
            effect="create",
            status=201,
            body=lambda _rng, live: {"name": live.name, "project": live.project, "volume_type": "unified"},
            **_SNAPSHOT,
        ),
        Operation(share=2, method="DeleteSnapshot", effect="delete", status=204, body=_nothing, **_SNAPSHOT),
    ),
    "secret-rotator": (
        Operation(share=5, method="CreateSecretVersion", body=_secret_version, **_SECRET),
        Operation(share=3, method="DisableSecretVersion", body=lambda _rng, _live: {"revision": "latest"}, **_SECRET),
        Operation(
            share=1,
            method="CreateSecret",
            effect="create",
            body=lambda _rng, live: {
                "name": live.name,
                "path": "/",
                "project_id": live.project,
                "type": "opaque",
            },
            **_SECRET,
        ),
    ),
}
