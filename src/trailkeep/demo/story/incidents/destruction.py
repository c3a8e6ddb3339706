"""What is taken and destroyed: by somebody who leaves the company, and by extortionists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.incidents.moves import lock
from trailkeep.demo.story.staff import CLI, PYTHON_SDK
from trailkeep.demo.story.telling import Plot
from trailkeep.demo.story.writer import DAY, HOUR

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Actor, Record
    from trailkeep.demo.story.telling import Telling


def _insider_deletion(telling: Telling) -> None:
    person = telling.somebody("sre")
    desk = telling.insider(person)
    telling.logs_in(person, desk, country=person.country_code)
    shell = telling.insider(person, CLI)
    telling.wait(300, 900)
    unprotected = _unprotect(telling, shell)
    telling.tell("off-hours", 20, "Work at night by somebody who never works at night.", unprotected[:3])
    backups = _destroy_backups(telling, shell)
    database, rest = _delete_production(telling, shell)
    telling.tell("mass-delete", 57, "Dozens of deletions within minutes, across products.", [*backups, *rest])
    telling.tell("life-of-a-database", 5, "The end of the production database.", [database])
    _stop_what_is_left(telling, shell)
    telling.wait(7 * 3600, 9 * 3600)
    responder = telling.comes_to_work(telling.somebody("security"))
    locked = [lock(telling, responder, person)]
    group = telling.registers.groups[1]
    resource = telling.existing("iam_group", "operators", known_id=group["id"])
    body = {"group_id": group["id"], "user_id": person.id}
    locked.append(telling.call(responder, "iam", "RemoveGroupMember", body, resource, gap=(20, 90)))
    telling.tell("containment", 62, "The user is locked and leaves the group.", locked)
    telling.wait(300, 1200)
    late = telling.call(shell, "iam", "CreateJWT", {}, status=403)
    telling.tell("after-containment", 64, "The API key on the own laptop is tried again.", [late])


def _unprotect(telling: Telling, shell: Actor) -> list[str]:
    done = []
    for name in ("database-root", "signing"):
        secret = telling.existing("secret_manager_secret", name)
        for method in ("UnprotectSecret", "DeleteSecret"):
            last = telling.gone(secret) if method == "DeleteSecret" else secret
            done.append(telling.call(shell, "secret-manager", method, {}, last, project=telling.production))
    keys = [telling.existing("key_manager_key", name) for name in ("volumes", "backups")]
    done += [telling.call(shell, "key-manager", "UnprotectKey", {}, key, project=telling.production) for key in keys]
    telling.tell("protection-removed", 49, "Secrets and keys lose their protection, and secrets are deleted.", done)
    ended = [
        telling.call(shell, "key-manager", "DisableKey", {}, keys[0], project=telling.production),
        telling.call(shell, "key-manager", "DeleteKey", {}, telling.gone(keys[1]), project=telling.production),
    ]
    telling.tell("keys-destroyed", 59, "One key is disabled, and one deleted.", ended)
    return done


def _destroy_backups(telling: Telling, shell: Actor) -> list[str]:
    rng, ended = telling.rng, []
    soon = {"expires_at": telling.writer.time(telling.at + HOUR)}
    kept = telling.existing("rdb_instance_backup", "monthly")
    cut = telling.call(shell, "rdb", "UpdateDatabaseBackup", soon, kept, project=telling.production)
    for _ in range(rng.randrange(9, 15)):
        backup = telling.gone(telling.existing("rdb_instance_backup", "nightly"))
        ended.append(
            telling.call(shell, "rdb", "DeleteDatabaseBackup", {}, backup, project=telling.production, gap=(1, 7))
        )
    for _ in range(rng.randrange(5, 9)):
        snapshot = telling.gone(telling.existing("instance_snapshot", "nightly-volume"))
        ended.append(
            telling.call(shell, "instance", "DeleteSnapshot", {}, snapshot, project=telling.production, gap=(1, 5))
        )
    telling.tell("backups-destroyed", 58, "The last monthly backup ends soon, the others at once.", [cut, *ended])
    return ended


def _delete_production(telling: Telling, shell: Actor) -> tuple[str, list[str]]:
    things: list[tuple[str, str, Record]] = [
        ("instance", "DeleteServer", telling.existing("instance_server", f"web-{number}")) for number in range(6)
    ]
    things += [
        ("load-balancer", "DeleteLb", telling.existing("load_balancer_lb", "front")),
        ("vpc", "DeletePrivateNetwork", telling.existing("vpc_private_network", "inside")),
    ]
    telling.rng.shuffle(things)
    ids = [
        telling.call(shell, product, method, {}, telling.gone(thing), project=telling.production, gap=(2, 9))
        for product, method, thing in things
    ]
    database = telling.gone(telling.existing("rdb_instance", "warehouse"))
    end = telling.call(shell, "rdb", "DeleteInstance", {}, database, project=telling.production)
    return end, [*ids, end]


def _stop_what_is_left(telling: Telling, shell: Actor) -> None:
    stopped = []
    for number in range(telling.rng.randrange(4, 8)):
        server = telling.existing("instance_server", f"worker-{number}")
        action = {"action": telling.rng.choice(("poweroff", "stop_in_place"))}
        stopped.append(
            telling.call(shell, "instance", "ServerAction", action, server, project=telling.production, gap=(2, 9))
        )
    for number in range(2):
        metal = telling.existing("baremetal_server", f"metal-{number}")
        stopped.append(telling.call(shell, "baremetal", "StopServer", {}, metal, project=telling.production))
    telling.tell("services-stopped", 61, "What is not deleted is switched off.", stopped)


def _export_and_wipe(telling: Telling) -> None:
    backup = telling.staff.application("nightly-backup")
    # The same program as the backup itself: only the address and the deeds differ.
    thief = telling.attacker(backup.id, telling.address(), PYTHON_SDK)
    first = _copy_sideways(telling, thief)
    telling.tell("new-address", 9, "The backup's principal speaks from a network where it never was.", [first])
    _open_the_database(telling, thief)
    _carry_out(telling, thief)
    telling.tell("objects-read", 55, "Whole buckets are read: nothing in the trail can show it.")
    telling.wait(20 * 3600, 26 * 3600)
    _extort(telling, thief)


def _copy_sideways(telling: Telling, thief: Actor) -> str:
    project = telling.production
    instance = telling.existing("rdb_instance", "customers")
    clone = telling.made("rdb_instance", "customers-clone")
    volume = telling.existing("instance_volume", "data")
    server, another = telling.existing("instance_server", "db-1"), telling.existing("instance_server", "batch-1")
    replica = telling.made("rdb_instance_read_replica")
    copied = [
        telling.call(thief, "rdb", "CloneInstance", {"name": "customers-clone"}, instance, clone, project=project),
        telling.call(thief, "rdb", "CreateReadReplica", {"instance_id": instance["id"]}, replica, project=project),
        telling.call(thief, "rdb", "CreateReadReplicaEndpoint", {"direct_access": {}}, replica, project=project),
        telling.call(thief, "instance", "DetachServerVolume", {"volume_id": volume["id"]}, server, project=project),
        telling.call(thief, "instance", "AttachServerVolume", {"volume_id": volume["id"]}, another, project=project),
    ]
    telling.tell("copied-sideways", 52, "A clone, a replica with an endpoint, and a volume at another server.", copied)
    return copied[0]


def _open_the_database(telling: Telling, thief: Actor) -> None:
    instance = telling.existing("rdb_instance", "customers")
    open_to_all = {"rules": [{"ip": "0.0.0.0/0", "description": "vpn"}]}
    account = {"name": "report", "is_admin": True}
    privilege = {"database_name": "rdb", "user_name": "report", "permission": "all"}
    where: Record = {"project": telling.production, "gap": (5, 60)}
    done = [
        telling.call(thief, "rdb", "CreateUser", account, instance, status=403, **where),
        telling.call(thief, "rdb", "CreateUser", {**account, "is_admin": False}, instance, **where),
        telling.call(thief, "rdb", "SetPrivilege", privilege, instance, **where),
        telling.call(
            thief,
            "rdb",
            telling.rng.choice(("AddInstanceACLRules", "SetInstanceACLRules")),
            open_to_all,
            instance,
            **where,
        ),
        telling.call(thief, "rdb", "CreateEndpoint", {"load_balancer": {}}, instance, **where),
    ]
    telling.tell("database-opened", 38, "A user of one's own, all privileges, and the whole world may connect.", done)
    telling.tell("denied-then-allowed", 22, "Not as administrator, but as another user.", done[:2])


def _carry_out(telling: Telling, thief: Actor) -> None:
    project, exported = telling.production, []
    bucket = f"b-{telling.rng.getrandbits(32):08x}"
    for number in range(telling.rng.randrange(2, 5)):
        snapshot = telling.existing("instance_snapshot", "nightly-volume")
        body = {"bucket": bucket, "key": f"v{number}.qcow2"}
        exported.append(
            telling.call(thief, "instance", "ExportSnapshot", body, snapshot, project=project, gap=(60, 300))
        )
    for name in ("customers", "ledger"):
        copy = telling.existing("rdb_instance_backup", name)
        exported.append(telling.call(thief, "rdb", "ExportDatabaseBackup", {}, copy, project=project, gap=(60, 300)))
    image = telling.made("instance_image", "golden")
    exported.append(telling.call(thief, "instance", "CreateImage", {"name": "golden"}, image, project=project))
    telling.tell("exported", 51, "Volumes, databases and an image leave.", exported)


def _extort(telling: Telling, thief: Actor) -> None:
    project, ended = telling.production, []
    key = telling.existing("key_manager_key", "volumes")
    refused = [
        telling.call(thief, "key-manager", method, {}, key, status=403, project=project)
        for method in ("DisableKey", "ImportKeyMaterial", "DeleteKeyMaterial")
    ]
    telling.tell("keys-refused", 59, "The keys of the volumes cannot be taken: refused.", refused)
    kinds = (
        ("rdb", "DeleteDatabaseBackup", "rdb_instance_backup"),
        ("rdb", "DeleteSnapshot", "rdb_instance_snapshot"),
        ("instance", "DeleteSnapshot", "instance_snapshot"),
    )
    for turn in range(telling.rng.randrange(24, 40)):
        product, method, kind = kinds[turn % 3]
        thing = telling.gone(telling.existing(kind, f"nightly-{turn}"))
        ended.append(telling.call(thief, product, method, {}, thing, project=project, gap=(0.3, 2)))
    telling.tell("backups-destroyed", 58, "Every copy that could bring the data back.", ended)
    volumes = []
    for number in range(telling.rng.randrange(5, 9)):
        server = telling.existing("instance_server", f"app-{number}")
        ended.append(
            telling.call(
                thief, "instance", "ServerAction", {"action": "terminate"}, server, project=project, gap=(1, 3)
            )
        )
        volumes.append(ended[-1])
    instance = telling.gone(telling.existing("rdb_instance", "customers"))
    ended.append(telling.call(thief, "rdb", "DeleteInstance", {}, instance, project=project))
    telling.tell("wiped", 57, "Backups, servers and the database within minutes, by a program.", ended)
    telling.tell("services-stopped", 61, "Servers are terminated.", volumes)


PLOTS = {
    "insider-deletion": Plot(tell=_insider_deletion, length=14 * HOUR, hour=21.5),
    "export-and-wipe": Plot(tell=_export_and_wipe, length=2 * DAY, hour=1.0),
}
