"""The defenders first: the trail and its alarms are put out, or the people are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.incidents.moves import (
    EDGE,
    OLD_CLI,
    delete_key,
    grant_of,
    group_of,
    key_of,
    lock,
    new_key,
)
from trailkeep.demo.story.telling import Plot
from trailkeep.demo.story.writer import HOUR, uuid4

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Actor, Record
    from trailkeep.demo.story.staff import Person
    from trailkeep.demo.story.telling import Telling


def _log_tampering(telling: Telling) -> None:
    somebody = telling.somebody("security", "owner")
    burglar = telling.attacker(somebody.id, telling.address(), OLD_CLI)
    _blind_the_trail(telling, burglar)
    _blind_cockpit(telling, burglar)
    _open_the_doors(telling, burglar)
    backup = telling.staff.application("nightly-backup")
    delete_key(telling, burglar, key_of(telling, backup.id))
    telling.tell("silent-backup", 50, "With its key gone the nightly backup does not come any more.")
    telling.wait(900, 2400)
    _settle(telling, burglar)


def _blind_the_trail(telling: Telling, burglar: Actor) -> None:
    job = telling.existing("audit_trail_export_job", "to-bucket")
    refused = [
        telling.call(burglar, "audit-trail", "DeleteExportJob", {}, job, status=403, locality="nl-ams", gap=(3, 30))
        for _ in range(2)
    ]
    telling.tell("new-address", 9, "An administrator from a network where it never was.", refused[:1])
    deleted = telling.call(burglar, "audit-trail", "DeleteExportJob", {}, telling.gone(job), gap=(30, 120))
    telling.tell(
        "export-deleted",
        43,
        "The export of the trail is deleted: refused in one region, done in another.",
        [*refused, deleted],
    )
    telling.tell("denied-then-allowed", 22, "The same method, another region.", [*refused, deleted])
    rules = [telling.existing("audit_trail_alert_rule", name) for name in ("ApiKeyCreated", "ApiKeyDeleted")]
    method, body = telling.rng.choice(
        (
            ("DisableAlertRules", {"alert_rule_ids": [rule["id"] for rule in rules]}),
            ("SetEnabledAlertRules", {"enabled_alert_rule_ids": []}),
        )
    )
    alerts = telling.call(burglar, "audit-trail", method, body, *rules, gap=(10, 60))
    telling.tell("alerts-off", 44, "The preconfigured alerts are off.", [alerts])


def _blind_cockpit(telling: Telling, burglar: Actor) -> None:
    project = {"project_id": telling.production}
    calls: list[tuple[str, str | None]] = [
        ("DisableManagedAlerts", None),
        ("DisableAlertManager", None),
        ("DeleteContactPoint", None),
        ("DeleteExporter", "observability_exporter"),
        ("DeleteDataSource", "observability_datasource"),
    ]
    telling.rng.shuffle(calls)
    done = []
    for method, kind in calls:
        resources = [telling.gone(telling.existing(kind, "main"))] if kind else []
        done.append(
            telling.call(burglar, "cockpit", method, project, *resources, project=telling.production, gap=(4, 40))
        )
    telling.tell(
        "cockpit-silenced", 45, "Nobody will be called: alerts, contacts, exporters and sources are gone.", done
    )
    instance = telling.existing("rdb_instance", "customers")
    purged = telling.call(burglar, "rdb", "PurgeInstanceLogs", {}, instance, project=telling.production, gap=(30, 90))
    telling.tell("logs-purged", 46, "The database's logs are emptied.", [purged])


def _open_the_doors(telling: Telling, burglar: Actor) -> None:
    world = telling.rng.choice(("0.0.0.0/0", "::/0"))
    where: Record = {"project": telling.production, "gap": (5, 60)}
    waf = telling.gone(telling.existing("edge_services_waf_stage", None))
    acl = telling.gone(telling.existing("load_balancer_acl", "office-only"))
    rules = {"rules": [{"protocol": "ANY", "source": world, "action": "accept"}], "default_policy": "accept"}
    security = telling.existing("instance_security_group", "default")
    opened = [
        telling.call(burglar, "edge-services", "DeleteWafStage", {}, waf, **where),
        telling.call(burglar, "load-balancer", "DeleteAcl", {}, acl, **where),
        telling.call(burglar, "vpc", "SetAcl", rules, telling.existing("vpc_acl", None), **where),
        telling.call(
            burglar, "instance", "UpdateSecurityGroup", {"inbound_default_policy": "accept"}, security, **where
        ),
    ]
    telling.tell("network-opened", 47, "Firewall, access lists and security group let everybody in.", opened[:3])


def _settle(telling: Telling, burglar: Actor) -> None:
    backdoor = uuid4(telling.rng)
    made = telling.made("iam_application", "drift-detector", known_id=backdoor)
    organization = {"organization_id": telling.writer.organization_id}
    created = telling.call(burglar, "iam", "CreateApplication", {"name": "drift-detector", **organization}, made)
    key, _ = new_key(telling, burglar, application_id=backdoor)
    body = grant_of(telling, "drift", ["AllProductsFullAccess", "IAMManager"], application_id=backdoor)
    policy = telling.call(burglar, "iam", "CreatePolicy", body, telling.made("iam_policy", "drift"), gap=(20, 120))
    telling.tell("backdoor", 29, "Application, key and policy within minutes.", [created, key, policy])
    telling.tell("application", 28, "A new application with a harmless name.", [created])
    telling.tell("broad-policy", 39, "It may do nearly everything.", [policy])
    telling.wait(1800, 4000)
    settler = telling.attacker(backdoor, telling.address(), OLD_CLI)
    exporter = telling.made("observability_exporter", "archive")
    target = {"name": "archive", "datadog_destination": {"endpoint": "https://intake.example.net"}}
    diverted = telling.call(settler, "cockpit", "CreateExporter", target, exporter, project=telling.production)
    telling.tell("diverted", 56, "What the Organization logs goes to the attacker.", [diverted])
    telling.tell("blast", 63, "The new application speaks.", [created, key, diverted])


def _responders_locked_out(telling: Telling) -> None:
    owner = telling.somebody("owner")
    lord = telling.attacker(owner.id, telling.address(), EDGE)
    login = telling.logs_in(owner, lord, method="authentication_code", mfa=False)
    telling.tell("mailbox", 15, "A code from the owner's mailbox, in a country where the owner never was.", login[:1])
    telling.tell("no-second-factor", 14, "The code of the mail was enough.", login[:1])
    defenders = [person for person in telling.staff.people if person.role in {"security", "sre"}]
    telling.rng.shuffle(defenders)
    _take_their_factors(telling, lord, defenders[:3])
    _push_them_out(telling, lord, defenders)
    _keep_the_keys(telling, lord, owner)
    account = telling.existing("account_organization", None, known_id=telling.writer.organization_id)
    telling.wait(600, 1500)
    closing = telling.call(lord, "account", "CloseOrganization", {}, account, status=403)
    telling.tell("closing", 62, "The attempt to close the Organization is refused.", [closing])


def _take_their_factors(telling: Telling, lord: Actor, defenders: list[Person]) -> None:
    method = telling.rng.choice(("DeleteMFAOTP", "DeleteUserMFAOTP"))
    done = []
    for person in defenders:
        done.append(telling.call(lord, "iam", method, {"user_id": person.id}, telling.user(person), gap=(5, 30)))
        done.append(
            telling.call(lord, "iam", "UpdateUserPassword", {"user_id": person.id}, telling.user(person), gap=(5, 30))
        )
    telling.tell("factors-taken", 31, "Second factors and passwords of the defenders are taken.", done)
    telling.tell("off-hours", 20, "The owner at work in the middle of the night.", done[:2])


def _push_them_out(telling: Telling, lord: Actor, defenders: list[Person]) -> None:
    out = [lock(telling, lord, person) for person in defenders]
    group = group_of(telling, "operators")
    for person in defenders[:2]:
        body = {"group_id": group["id"], "user_id": person.id}
        out.append(telling.call(lord, "iam", "RemoveGroupMember", body, group, gap=(3, 20)))
    policy = next(each for each in telling.registers.policies if each["name"] == "operators")
    out.append(
        telling.call(
            lord,
            "iam",
            "DeletePolicy",
            {},
            telling.gone(telling.existing("iam_policy", "operators", known_id=policy["id"])),
        )
    )
    last = defenders[-1]
    out.append(telling.call(lord, "iam", "DeleteUser", {}, telling.gone(telling.user(last)), gap=(10, 30)))
    telling.tell("locked-out", 62, "Everybody who could answer is locked, out of the group, or gone.", out)


def _keep_the_keys(telling: Telling, lord: Actor, owner: Person) -> None:
    key, _ = new_key(telling, lord, user_id=owner.id)
    telling.tell("key", 25, "An API key of the owner, without an end.", [key])
    body = {"email": "night@mail.example", "tags": []}
    helper = telling.made("iam_user", "night-shift")
    invited = telling.call(lord, "iam", "CreateUser", body, helper, gap=(30, 90))
    telling.tell("guest", 28, "A helper with an address elsewhere.", [invited])
    group = group_of(telling, "administrators")
    body = {"group_id": group["id"], "user_ids": [owner.id, helper["id"]], "application_ids": []}
    alone = telling.call(lord, "iam", "SetGroupMembers", body, group, gap=(20, 60))
    telling.tell("administrators", 40, "The administrators are now the owner and the helper alone.", [alone])
    grant = grant_of(telling, "emergency", ["OrganizationOwner"], user_id=owner.id)
    policy = telling.call(lord, "iam", "CreatePolicy", grant, telling.made("iam_policy", "emergency"), gap=(10, 60))
    telling.tell("self", 41, "And the account gives itself what it might lose with the group.", [policy])
    telling.tell("broad-policy", 39, "Everything, on the whole Organization.", [policy])


PLOTS = {
    "log-tampering-first": Plot(tell=_log_tampering, length=4 * HOUR, hour=2.0),
    "responder-lock-out": Plot(tell=_responders_locked_out, length=3 * HOUR, hour=1.5),
}
SILENCED = {"log-tampering-first": "nightly-backup"}
"""Automations that stop with the incident."""
