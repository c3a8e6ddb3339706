"""Slow and quiet: one small thing every few days, by somebody who is expected to work here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.incidents.moves import grant_of, group_of, new_key, new_ssh_key
from trailkeep.demo.story.staff import CLI
from trailkeep.demo.story.telling import Plot
from trailkeep.demo.story.writer import DAY, uuid4

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Actor, Record
    from trailkeep.demo.story.staff import Person
    from trailkeep.demo.story.telling import Telling

_DAY_SECONDS = 86_400


def _slow(telling: Telling) -> None:
    victim = telling.somebody("developer")
    # The tool is the one that developers have anyway, and the hours are those of the office.
    quiet = telling.attacker(victim.id, telling.address(), CLI)
    first = new_ssh_key(telling, quiet, f"{victim.username}-desktop")
    telling.tell("new-address", 9, "A developer's principal from a network where it never was.", [first])
    telling.tell("ssh-key", 30, "An SSH key with the developer's name on it.", [first])
    _days(telling, 2, 4)
    key, _ = new_key(telling, quiet, user_id=victim.id)
    telling.tell("key", 25, "An API key without an end.", [key])
    _days(telling, 2, 3)
    _code_of_ones_own(telling, quiet)
    _days(telling, 2, 4)
    _grant(telling, quiet, victim)
    _days(telling, 2, 4)
    _application(telling, quiet)


def _days(telling: Telling, fewest: float, most: float) -> None:
    telling.wait(fewest * _DAY_SECONDS, most * _DAY_SECONDS)


def _code_of_ones_own(telling: Telling, quiet: Actor) -> None:
    project = telling.staff.projects["staging"]
    where: Record = {"project": project, "gap": (60, 900)}
    function = telling.made("serverless_functions_function", "healthcheck")
    cron = telling.made("serverless_functions_cron")
    done = [
        telling.call(
            quiet,
            "serverless-functions",
            "CreateFunction",
            {"name": "healthcheck", "runtime": "go124"},
            function,
            **where,
        ),
        telling.call(
            quiet,
            "serverless-functions",
            "CreateCron",
            {"function_id": function["id"], "schedule": "17 4 * * *"},
            cron,
            **where,
        ),
        telling.call(quiet, "serverless-functions", "DeployFunction", {}, function, **where),
    ]
    telling.tell("function", 37, "A function that runs every night.", done)
    token = telling.call(
        quiet, "serverless-functions", "CreateToken", {"function_id": function["id"]}, function, **where
    )
    telling.tell("token", 33, "A token that calls it.", [token])
    _days(telling, 1, 2)
    server = telling.existing("instance_server", "bastion-staging")
    script = [
        telling.call(quiet, "instance", "SetServerUserData", {"key": "cloud-init"}, server, **where),
        telling.call(quiet, "instance", "ServerAction", {"action": "reboot"}, server, **where),
    ]
    telling.tell("start-script", 36, "A start script, and a reboot as after any update.", script)


def _grant(telling: Telling, quiet: Actor, victim: Person) -> None:
    admin = telling.somebody("security", "owner")
    group = group_of(telling, "operators")
    helpful = telling.comes_to_work(admin)
    body = {"group_id": group["id"], "user_id": victim.id}
    grant = telling.call(helpful, "iam", "AddGroupMember", body, group, gap=(300, 900))
    telling.tell("powerful-group", 40, "An administrator answers a ticket: the developer becomes an operator.", [grant])
    telling.wait(600, 2400)
    key = telling.made("key_manager_key", "app-config")
    body = {"name": "app-config", "usage": {"symmetric_encryption": "aes_256_gcm"}}
    used = telling.call(quiet, "key-manager", "CreateKey", body, key, project=telling.production)
    telling.tell(
        "first-use", 42, "A product that the developer never used, within the hour of the grant.", [grant, used]
    )


def _application(telling: Telling, quiet: Actor) -> None:
    body = {"name": "ci-deploy-v2", "organization_id": telling.writer.organization_id}
    made = telling.made("iam_application", "ci-deploy-v2", known_id=uuid4(telling.rng))
    refused = telling.call(quiet, "iam", "CreateApplication", body, made, status=403)
    telling.wait(4 * 3600, 20 * 3600)
    made = telling.made("iam_application", "ci-deploy-v2", known_id=str(made["id"]))
    created = telling.call(quiet, "iam", "CreateApplication", body, made)
    telling.tell("denied-then-allowed", 22, "Refused one day, allowed the next.", [refused, created])
    telling.tell("application", 28, "An application that looks like the next version of another.", [created])
    _days(telling, 1, 3)
    key, record = new_key(telling, quiet, application_id=made["id"], expires=telling.writer.time(telling.at + 30 * DAY))
    telling.tell("key-for-another", 26, "A key for it that ends, as it should.", [key])
    _days(telling, 1, 2)
    body = {"access_key": record["id"], "expires_at": telling.writer.time(telling.at + 3000 * DAY)}
    longer = telling.call(quiet, "iam", "UpdateAPIKey", body, record)
    telling.tell("key-altered", 27, "And now it does not end for years.", [longer])
    _days(telling, 1, 3)
    policy = grant_of(telling, "ci-v2", ["SecretManagerFullAccess", "InstancesFullAccess"], application_id=made["id"])
    granted = telling.call(quiet, "iam", "CreatePolicy", policy, telling.made("iam_policy", "ci-v2"))
    telling.tell("broad-policy", 39, "Full access to secrets and servers.", [granted])
    _days(telling, 1, 2)
    sleeper = telling.attacker(made["id"], telling.address(), CLI)
    body = {"name": "cache", "project": telling.production}
    awake = telling.call(sleeper, "instance", "CreateVolume", body, telling.made("instance_volume", "cache"))
    telling.tell("blast", 63, "The application wakes up.", [created, key, awake])


PLOTS = {"slow-persistence": Plot(tell=_slow, length=26 * DAY, hour=9.5)}
