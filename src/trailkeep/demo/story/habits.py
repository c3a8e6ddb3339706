"""What people change by hand on an ordinary day, by role, and how often."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trailkeep.demo.story.filing import file
from trailkeep.demo.story.staff import CLI, access_key
from trailkeep.demo.story.writer import DAY, HOUR, MINUTE, SECOND, uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

    from trailkeep.demo.story.life import Life
    from trailkeep.demo.story.model import Actor, Record
    from trailkeep.demo.story.staff import Person

    Habit = Callable[[Life, Person, Actor, int], None]


def _own(life: Life, kind: str, count: int, name: str) -> Record:
    """One of the things that the company has for good."""
    return life.writer.resource(kind, life.some_id(kind, count), name, created=life.writer.begin - 60 * DAY)


def _preferences(life: Life, person: Person, actor: Actor, at: int) -> None:
    life.call(actor, at, "account", "UpdateUserPreferences", {"theme": "dark"}, life.account(person))


def _password(life: Life, person: Person, actor: Actor, at: int) -> None:
    if person.login_method == "password":
        life.call(actor, at, "account", "ChangeUserPassword", {}, life.account(person))


def _debug_server(life: Life, person: Person, actor: Actor, at: int) -> None:
    """A server for an afternoon, by the command line."""
    rng, shell = life.rng, replace(actor, user_agent=CLI)
    zone = {"PL": "pl-waw-1", "NL": "nl-ams-1"}.get(person.country_code, "fr-par-1")
    name, server_id = f"debug-{person.username}", uuid4(rng)
    body = {
        "name": name,
        "commercial_type": "DEV1-S",
        "image": "ubuntu_noble",
        "project": life.staff.projects["staging"],
    }
    server = life.writer.resource("instance_server", server_id, name, created=at)
    where: Record = {"locality": zone, "project": "staging"}
    life.call(shell, at, "instance", "CreateServer", body, server, status=201, **where)
    life.call(shell, at + 4 * SECOND, "instance", "ServerAction", {"action": "poweron"}, server, status=202, **where)
    ends = at + rng.randrange(30, 300) * MINUTE
    gone = {**server, "deleted_at": life.writer.time(ends)}
    if rng.random() < 0.5:
        life.call(shell, ends, "instance", "ServerAction", {"action": "terminate"}, gone, status=202, **where)
    else:
        life.call(shell, ends, "instance", "DeleteServer", {}, gone, status=204, **where)


def _server_action(life: Life, person: Person, actor: Actor, at: int) -> None:
    production = person.role == "sre" and life.rng.random() < 0.4
    server = _own(life, "instance_server", 12, "app")
    body = {"action": life.rng.choice(("reboot", "reboot", "poweroff", "poweron"))}
    life.call(
        replace(actor, user_agent=CLI),
        at,
        "instance",
        "ServerAction",
        body,
        server,
        status=202,
        locality="fr-par-1",
        project="production" if production else "staging",
    )


def _own_key(life: Life, person: Person, actor: Actor, at: int) -> None:
    """A new API key for oneself that ends, and then the old one goes."""
    body = {
        "user_id": person.id,
        "description": "local work",
        "expires_at": life.writer.time(at + life.rng.choice((30, 90, 180)) * DAY),
    }
    old = [key["access_key"] for key in life.registers.api_keys if key.get("user_id") == person.id]
    key = life.writer.resource("iam_api_key", access_key(life.rng), None, created=at, updated=at)
    iam(life, actor, at, "CreateAPIKey", body, key)
    if old:
        later = at + life.rng.randrange(5, 60) * MINUTE
        ended = life.writer.resource("iam_api_key", old[0], None, deleted=later)
        iam(life, actor, later, "DeleteAPIKey", {}, ended)


def _ssh_key(life: Life, person: Person, actor: Actor, at: int) -> None:
    name = f"{person.username}-{life.rng.choice(('laptop', 'yubikey', 'new'))}"
    body = {"name": name, "public_key": "ssh-ed25519 AAAA", "project_id": life.staff.projects["staging"]}
    iam(life, actor, at, "CreateSSHKey", body, life.writer.resource("iam_ssh_key", uuid4(life.rng), name, created=at))


def _refused(life: Life, _person: Person, actor: Actor, at: int) -> None:
    """Something that one is not allowed to do, tried once, twice, rarely three times."""
    calls = (
        ("instance", "DeleteServer", "fr-par-1"),
        ("instance", "CreateServer", "fr-par-1"),
        ("serverless-containers", "UpdateContainer", "fr-par"),
        ("rdb", "UpdateInstance", "fr-par"),
        ("secret-manager", "CreateSecretVersion", "fr-par"),
        ("iam", "CreateAPIKey", "fr-par"),
    )
    product, method, locality = life.rng.choices(calls, (6, 6, 6, 5, 5, 1))[0]
    for _ in range(life.rng.randrange(1, 4)):
        life.call(actor, at, product, method, {}, status=403, locality=locality, project="production")
        at += life.rng.randrange(5, 90) * SECOND


def _database_rule(life: Life, person: Person, actor: Actor, at: int) -> None:
    """The own address may connect to the warehouse."""
    address = str(actor.source_ip)
    rules = [{"ip": f"{address}/{32 if '.' in address else 128}", "description": person.username}]
    region = "nl-ams" if person.country_code == "NL" else "fr-par"
    warehouse = _own(life, "rdb_instance", 4, "warehouse")
    life.call(
        actor, at, "rdb", "AddInstanceACLRules", {"rules": rules}, warehouse, locality=region, project="analytics"
    )


def _database_work(life: Life, person: Person, actor: Actor, at: int) -> None:
    method, body = life.rng.choice(
        (
            ("CreateDatabase", {"name": f"report_{life.rng.randrange(99)}"}),
            ("CreateDatabase", {"name": f"tmp_{person.username}"}),
            ("SetPrivilege", {"database_name": "reports", "user_name": "bi", "permission": "readonly"}),
            ("CreateUser", {"name": f"bi_{life.rng.randrange(99)}", "is_admin": False}),
            ("RestartInstance", {}),
        )
    )
    life.call(actor, at, "rdb", method, body, _own(life, "rdb_instance", 4, "warehouse"), project="analytics")


def _database_export(life: Life, _person: Person, actor: Actor, at: int) -> None:
    """The figures of the month leave for the accountants."""
    backup = life.writer.resource("rdb_instance_backup", uuid4(life.rng), "month", created=at - 3 * HOUR)
    life.call(actor, at, "rdb", "ExportDatabaseBackup", {}, backup, project="analytics")


def _snapshot(life: Life, _person: Person, actor: Actor, at: int) -> None:
    name = f"before-change-{life.rng.getrandbits(12):03x}"
    snapshot = life.writer.resource("instance_snapshot", uuid4(life.rng), name, created=at)
    where: Record = {"locality": "fr-par-1", "project": "production"}
    life.call(actor, at, "instance", "CreateSnapshot", {"name": name}, snapshot, status=201, **where)
    later = at + life.rng.randrange(2, 30) * HOUR
    life.call(
        actor,
        later,
        "instance",
        "DeleteSnapshot",
        {},
        {**snapshot, "deleted_at": life.writer.time(later)},
        status=204,
        **where,
    )


def _web_rule(life: Life, _person: Person, actor: Actor, at: int) -> None:
    """A web server is open to the world on 443, and the office may log in."""
    port, origin = life.rng.choice(((443, "0.0.0.0/0"), (443, "::/0"), (80, "0.0.0.0/0"), (22, "192.0.2.10/32")))
    body = {"protocol": "TCP", "direction": "inbound", "action": "accept", "ip_range": origin, "dest_port_from": port}
    group = _own(life, "instance_security_group", 6, "web")
    life.call(
        actor,
        at,
        "instance",
        "CreateSecurityGroupRule",
        body,
        group,
        status=201,
        locality="fr-par-1",
        project="production",
    )


def _load_balancer(life: Life, _person: Person, actor: Actor, at: int) -> None:
    backend = _own(life, "load_balancer_backend", 5, "shop")
    method, body = life.rng.choice(
        (
            ("UpdateBackend", {"timeout_server": "30s"}),
            ("UpdateLb", {"description": ""}),
            ("UpdateLb", {"name": "front"}),
        )
    )
    life.call(actor, at, "load-balancer", method, body, backend, locality="fr-par-1", project="production")


def _alert_contact(life: Life, _person: Person, actor: Actor, at: int) -> None:
    body = {"email": {"to": "ops@example.com"}}
    life.call(actor, at, "cockpit", "CreateContactPoint", body, project="production")


def _policy(life: Life, _person: Person, actor: Actor, at: int) -> None:
    """A policy of a team gets one more permission set, or another name."""
    policy = life.rng.choice(list(life.registers.policies))
    resource = life.writer.resource("iam_policy", policy["id"], policy["name"], updated=at)
    iam(life, actor, at, "UpdatePolicy", {"policy_id": policy["id"], "description": "reviewed"}, resource)


def _cluster(life: Life, _person: Person, actor: Actor, at: int) -> None:
    """A pool is upgraded or resized by hand."""
    pool = _own(life, "kube_pool", 4, "pool")
    method, body = life.rng.choice((("UpgradePool", {"version": "1.34.2"}), ("UpdatePool", {"size": 4})))
    life.call(replace(actor, user_agent=CLI), at, "kubernetes", method, body, pool, project="production")


def iam(life: Life, actor: Actor, at: int, method: str, body: Record, resource: Record) -> None:
    """A call of IAM that succeeds, which the directory shows afterwards."""
    status = 204 if method.startswith("Delete") else 200
    life.call(actor, at, "iam", method, body, resource, status=status)
    if life.writer.begin <= at < life.writer.end:
        file(life.writer, life.registers, at, method, body, resource, str(actor.source_ip or ""))


HABITS: dict[str, tuple[tuple[Habit, float], ...]] = {
    "owner": ((_preferences, 10), (_password, 0.3)),
    "security": ((_preferences, 10), (_policy, 2), (_alert_contact, 1), (_password, 0.2), (_own_key, 0.5)),
    "developer": (
        (_server_action, 12),
        (_debug_server, 6),
        (_own_key, 0.7),
        (_ssh_key, 0.7),
        (_refused, 1.5),
        (_database_rule, 2),
        (_preferences, 2),
        (_password, 0.15),
    ),
    "sre": (
        (_server_action, 14),
        (_snapshot, 3),
        (_web_rule, 1.2),
        (_load_balancer, 4),
        (_cluster, 3),
        (_database_work, 3),
        (_refused, 0.7),
        (_own_key, 0.5),
        (_ssh_key, 0.4),
    ),
    "data": ((_database_rule, 6), (_database_work, 4), (_database_export, 0.7), (_preferences, 4), (_refused, 0.5)),
    "finance": ((_preferences, 10),),
}
