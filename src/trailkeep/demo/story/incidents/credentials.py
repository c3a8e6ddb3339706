"""Credentials in the wrong hands: an API key from a public repository, passwords from other breaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.incidents.moves import (
    CURL,
    EDGE,
    GO_HTTP,
    HTTPX,
    OLD_FIREFOX,
    REQUESTS,
    delete_key,
    key_of,
    new_key,
    new_server,
    new_ssh_key,
    start_script,
)
from trailkeep.demo.story.telling import Plot, flat
from trailkeep.demo.story.writer import HOUR

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Actor
    from trailkeep.demo.story.telling import Telling

_PROBES = [
    ("iam", "CreateUser"),
    ("iam", "CreatePolicy"),
    ("iam", "CreateSSHKey"),
    ("secret-manager", "CreateSecretVersion"),
    ("rdb", "ExportDatabaseBackup"),
    ("key-manager", "CreateKey"),
]


def _leaked_ci_key(telling: Telling) -> None:
    rng, ci = telling.rng, telling.staff.application("ci-deploy")
    other = telling.staff.application(rng.choice(("autoscaler", "nightly-backup")))
    thief = telling.attacker(ci.id, telling.address(), rng.choice((REQUESTS, CURL, GO_HTTP, HTTPX)))
    began = _look_around(telling, thief)
    own, _ = new_key(telling, thief, application_id=ci.id)
    telling.tell("own-key", 25, "A second key for the CI's own application, without an end.", [own])
    second, other_key = new_key(telling, thief, application_id=other.id)
    telling.tell("key-for-another", 26, "A key for another application of the Organization.", [second])
    body = {"access_key": other_key["id"], "description": "ci", "expires_at": None}
    changed = telling.call(thief, "iam", "UpdateAPIKey", body, other_key, gap=(20, 50))
    telling.tell("key-altered", 27, "The new key is given a harmless description.", [changed])
    telling.wait(400, 900)
    as_other = telling.attacker(other.id, thief.source_ip, thief.user_agent)
    used = _use_other(telling, as_other)
    telling.tell("blast", 63, "What the other application did with the key that the first made.", [second, used])
    telling.wait(3 * 3600, 4 * 3600)
    responder = telling.comes_to_work(telling.somebody("security"))
    delete_key(telling, responder, key_of(telling, ci.id))
    telling.wait(600, 1500)
    body = {"name": "backup-2", "project": telling.production, "volume_type": "unified"}
    late = telling.call(thief, "instance", "CreateSnapshot", body, telling.made("instance_snapshot", "backup-2"))
    telling.tell("after-containment", 64, "The leaked key is gone; the second one still works.", [late])
    telling.tell("timeline", 3, "Everything that the thief did as the CI.", [*began, own, second, changed, late])


def _look_around(telling: Telling, thief: Actor) -> list[str]:
    probes = list(_PROBES)
    telling.rng.shuffle(probes)
    denied = telling.denied(thief, probes, telling.rng.randrange(24, 40), gap=(0.5, 6))
    first = denied[probes[0][1]][:1]
    everything = flat(denied)
    telling.tell("new-address", 9, "The CI's principal speaks from a network where it never was.", first)
    telling.tell("new-tool", 10, "So far only Terraform, now another program.", first)
    telling.tell("denied-probes", 21, "What a CI never tries, refused again and again within minutes.", everything)
    telling.wait(200, 500)
    allowed = new_ssh_key(telling, thief, "deploy")
    telling.tell(
        "denied-then-allowed", 22, "In another Project the SSH key is taken.", [*denied["CreateSSHKey"], allowed]
    )
    telling.tell("ssh-key", 30, "An SSH key that lets into every new server.", [allowed])
    return [*everything, allowed]


def _use_other(telling: Telling, as_other: Actor) -> str:
    zone = telling.rng.choice(("nl-ams-3", "pl-waw-3", "fr-par-3"))
    created, server = new_server(telling, as_other, f"build-{telling.rng.randrange(90)}", zone, "PRO2-XS")
    telling.tell("same-address", 7, "Two applications from one address.", [created])
    telling.tell("new-zone", 24, "The first server in this zone.", [created])
    telling.tell("start-script", 36, "A start script, then the start.", start_script(telling, as_other, server, zone))
    telling.wait(1200, 3000)
    deleted = telling.call(
        as_other, "instance", "DeleteServer", {}, telling.gone(server), locality=zone, project=telling.production
    )
    telling.tell("cleanup", 48, "The server is deleted by who made it, within the hour.", [created, deleted])
    telling.tell("from-address", 4, "All that came from the thief's address.", [created, deleted])
    return created


def _stuffing_then_takeover(telling: Telling) -> None:
    rng = telling.rng
    victim = telling.somebody("developer", mfa=False, method="password")
    guarded = telling.somebody("sre", "security", mfa=True, method="password")
    at_desk = telling.comes_to_work(victim)
    legitimate = telling.last_login
    telling.wait(900, 1800)
    bot = telling.attacker(victim.id, telling.address(), rng.choice((OLD_FIREFOX, EDGE)))
    address, agent = str(bot.source_ip), str(bot.user_agent)
    everybody = list(telling.staff.people)
    rng.shuffle(everybody)
    sprayed = [telling.fails(person, "invalid_password", address, agent, gap=(2, 14)) for person in everybody[:18]]
    telling.tell("stuffing", 12, "One address tries passwords of eighteen users.", sprayed)
    mine = [telling.fails(victim, "invalid_password", address, agent, gap=(4, 20)) for _ in range(rng.randrange(4, 8))]
    login = telling.logs_in(victim, bot)
    telling.tell("brute-force", 11, "Failures of one user, then a success.", [*mine, login[0]])
    telling.tell("no-second-factor", 14, "The account has no second factor.", login[:1])
    telling.tell("travel", 16, "At the own desk, and within the hour in another country.", [legitimate, login[0]])
    codes = [telling.fails(guarded, "invalid_mfa", address, agent, gap=(15, 40)) for _ in range(rng.randrange(7, 11))]
    telling.tell("second-factor-guessed", 13, "A password is right, and the codes are guessed.", codes)
    _mailbox(telling, agent)
    _take_over(telling, bot, victim.id)
    telling.call(at_desk, "iam", "RenewJWT", {}, telling.user(victim))


def _mailbox(telling: Telling, agent: str) -> None:
    reader = telling.somebody("finance", method="authentication_code")
    mailbox = telling.attacker(reader.id, telling.address(), agent)
    telling.wait(300, 900)
    login = telling.logs_in(reader, mailbox)
    telling.tell("mailbox", 15, "A code from a mailbox, entered in a country where its owner never was.", login[:1])


def _take_over(telling: Telling, bot: Actor, victim_id: str) -> None:
    victim = next(person for person in telling.staff.people if person.id == victim_id)
    user = telling.writer.resource("account_user", victim.id, victim.username)
    email = {"new_email": f"{victim.username}@mail.example"}
    changed = [
        telling.call(bot, "account", "ChangeUserEmail", email, user, gap=(60, 200)),
        telling.call(bot, "account", "ChangeUserPassword", {}, user, gap=(20, 60)),
        telling.call(bot, "iam", telling.rng.choice(("CreateMFAOTP", "CreateUserMFAOTP")), {}, telling.user(victim)),
    ]
    telling.tell("locked-in", 31, "E-mail and password are changed, and a second factor of the attacker's.", changed)
    key, _ = new_key(telling, bot, user_id=victim.id)
    telling.tell("key", 25, "An API key without an end, for the account itself.", [key])
    telling.tell("ssh-key", 30, "An SSH key for production.", [new_ssh_key(telling, bot, "laptop")])
    group = {"id": telling.registers.groups[0]["id"]}
    resource = telling.existing("iam_group", "administrators", known_id=group["id"])
    body = {"group_id": group["id"], "user_id": victim.id}
    refused = [telling.call(bot, "iam", "AddGroupMember", body, resource, status=403) for _ in range(2)]
    telling.tell("escalation-refused", 41, "The account tries to make itself an administrator.", refused)


PLOTS = {
    "leaked-ci-key": Plot(tell=_leaked_ci_key, length=7 * HOUR, hour=3.0),
    "stuffing-takeover": Plot(tell=_stuffing_then_takeover, length=3 * HOUR, hour=14.0),
}
