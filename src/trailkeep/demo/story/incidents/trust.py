"""Trust turned around: a federation of the attacker's own, a stolen session, a vendor's application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.incidents.moves import EDGE, OLD_FIREFOX, grant_of, group_of, new_key, new_ssh_key
from trailkeep.demo.story.people import session_call
from trailkeep.demo.story.telling import Plot
from trailkeep.demo.story.writer import HOUR, uuid4

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Actor, Record
    from trailkeep.demo.story.telling import Telling


def _federation(telling: Telling) -> None:
    admin = telling.somebody("owner", "security", mfa=True)
    # A page in between took password and code, so that the login has its second factor.
    phisher = telling.attacker(admin.id, telling.address(), telling.rng.choice((EDGE, OLD_FIREFOX)))
    login = telling.logs_in(admin, phisher, mfa=True)
    telling.tell("phished", 9, "An administrator's session from a network where it never was.", login[:1])
    telling.wait(300, 900)
    _trust_another(telling, phisher)
    guest = telling.made("iam_user", "it-support")
    invited = telling.call(phisher, "iam", "CreateUser", {"email": "it-support@mail.example", "tags": []}, guest)
    telling.tell("guest", 28, "A new member with an address elsewhere.", [invited])
    group = group_of(telling, "administrators")
    added = telling.call(phisher, "iam", "AddGroupMembers", {"group_id": group["id"], "user_ids": [guest["id"]]}, group)
    telling.tell("powerful-group", 40, "The guest becomes an administrator.", [added])
    _guest_at_work(telling, guest, invited)
    telling.wait(1800, 5000)
    again = telling.logs_in(admin, phisher, method="password", mfa=True)
    telling.tell("local-password", 17, "A password still opens the door that should be SAML's alone.", again[:1])
    second = [
        telling.call(phisher, "iam", method, {}, telling.user(admin), gap=(10, 40))
        for method in ("StartUserWebAuthnRegistration", "FinishUserWebAuthnRegistration")
    ]
    telling.tell("second-factor", 31, "A passkey of the attacker's for the administrator.", second)


def _trust_another(telling: Telling, phisher: Actor) -> None:
    organization = {"organization_id": telling.writer.organization_id}
    saml = telling.made("iam_saml")
    provider = {"entity_id": "https://idp.example.net/saml", "single_sign_on_url": "https://idp.example.net/sso"}
    certificate = telling.made("iam_saml_certificate")
    scim, token = telling.made("iam_scim"), telling.made("iam_scim_token")
    gap: Record = {"gap": (20, 120)}
    changed = [
        telling.call(phisher, "iam", "EnableOrganizationSaml", organization, saml, **gap),
        telling.call(phisher, "iam", "UpdateSaml", {"saml_id": saml["id"], **provider}, saml, **gap),
        telling.call(
            phisher, "iam", "AddSamlCertificate", {"saml_id": saml["id"], "type": "signing"}, certificate, **gap
        ),
        telling.call(phisher, "iam", "EnableOrganizationScim", organization, scim, **gap),
        telling.call(phisher, "iam", "CreateScimToken", {"scim_id": scim["id"]}, token, **gap),
    ]
    telling.tell("federation", 32, "Logins and users now come from somebody else's identity provider.", changed)


def _guest_at_work(telling: Telling, guest: Record, invited: str) -> None:
    telling.wait(600, 2400)
    person = telling.somebody("owner")
    actor = telling.attacker(guest["id"], telling.address(), EDGE)
    shown = telling.guest(guest)
    login = telling.logs_in(shown, actor, method="saml", mfa=False)
    body = grant_of(telling, "support", ["OrganizationManager", "IAMManager"], user_id=guest["id"])
    policy = telling.call(actor, "iam", "CreatePolicy", body, telling.made("iam_policy", "support"), gap=(60, 300))
    telling.tell("broad-policy", 39, "The guest gives itself everything.", [policy])
    telling.tell("self-escalation", 41, "And does so by its own hand.", [policy])
    key, _ = new_key(telling, actor, user_id=person.id)
    telling.tell("key-for-another", 26, "An API key in the owner's name.", [key])
    telling.tell("blast", 63, "What became of the administrator's invitation.", [invited, login[-1], policy, key])


def _stolen_session(telling: Telling) -> None:
    victim = telling.somebody("sre", mfa=True)
    desk = telling.comes_to_work(victim)
    telling.wait(1500, 3000)
    thief = telling.attacker(victim.id, telling.address(), telling.rng.choice((EDGE, OLD_FIREFOX)))
    renewed = [_renew(telling, thief)]
    jwt = telling.call(thief, "iam", "CreateJWT", {"user_id": victim.id, "renewable": True}, telling.user(victim))
    telling.tell("token", 33, "A token of one's own, before the session ends.", [jwt])
    telling.wait(60, 400)
    _renew(telling, desk)
    key, _ = new_key(telling, thief, user_id=victim.id)
    telling.tell("key", 25, "An API key without an end.", [key])
    _ways_in(telling, thief)
    for _ in range(telling.rng.randrange(2, 4)):
        telling.wait(3400, 3700)
        renewed.append(_renew(telling, thief))
        _renew(telling, desk)
    telling.tell(
        "session-replayed", 18, "The session is renewed from another address and browser than the login's.", renewed
    )
    telling.tell("new-address", 9, "The first call of this user from that network.", renewed[:1])


def _renew(telling: Telling, actor: Actor) -> str:
    person = next(each for each in telling.staff.people if each.id == actor.principal)
    telling.wait(2, 9)
    return telling.noted(
        session_call(
            telling.writer,
            person,
            telling.at,
            "RenewJWT",
            source_ip=str(actor.source_ip),
            user_agent=str(actor.user_agent),
        )
    )


def _ways_in(telling: Telling, thief: Actor) -> None:
    gateway = telling.existing("vpc_gw_gateway", "gateway")
    network = ".".join(str(thief.source_ip).split(".")[:3]) + ".0/24" if "." in str(thief.source_ip) else "0.0.0.0/0"
    where: Record = {"project": telling.production, "gap": (15, 90)}
    keys = [
        new_ssh_key(telling, thief, "workstation"),
        telling.call(thief, "public-gateways", "RefreshSSHKeys", {}, gateway, **where),
        telling.call(
            thief,
            "public-gateways",
            telling.rng.choice(("AddBastionAllowedIPs", "SetBastionAllowedIPs")),
            {"ip_ranges": [network]},
            gateway,
            **where,
        ),
    ]
    telling.tell("bastion", 30, "An SSH key, the bastion takes it, and lets the attacker's network in.", keys)
    rule = {"public_port": 33_890, "private_ip": "10.0.0.4", "private_port": 3389, "protocol": "tcp"}
    opened = telling.call(thief, "public-gateways", "CreatePatRule", rule, telling.made("vpc_gw_pat_rule"), **where)
    telling.tell("port-forwarded", 47, "A port of the gateway leads to an inner server.", [opened])


def _trusted_application(telling: Telling) -> None:
    vendor = telling.machine("metrics-vendor")
    tried = [
        ("secret-manager", "CreateSecretVersion"),
        ("mongodb", "CreateUser"),
        ("serverless-functions", "UpdateFunction"),
        ("iam", "CreateAPIKey"),
    ]
    denied = telling.denied(vendor, tried, 8, gap=(20, 90))
    telling.wait(1200, 3600)
    admin = telling.somebody("owner", "security")
    helpful = telling.comes_to_work(admin)
    sets = ["SecretManagerFullAccess", "FunctionsFullAccess", "MongoDBFullAccess", "VPNFullAccess"]
    body = grant_of(telling, "watchtower-upgrade", sets, application_id=vendor.principal)
    grant = telling.call(helpful, "iam", "CreatePolicy", body, telling.made("iam_policy", "watchtower-upgrade"))
    telling.tell("granted-on-request", 39, "An administrator gives what the vendor's mail asked for.", [grant])
    telling.wait(300, 1200)
    function = telling.existing("serverless_functions_function", "checkout")
    where: Record = {"project": telling.production, "gap": (15, 90)}
    code = [
        telling.call(vendor, "serverless-functions", "UpdateFunction", {"runtime": "python313"}, function, **where),
        telling.call(vendor, "serverless-functions", "DeployFunction", {}, function, **where),
    ]
    telling.tell(
        "denied-then-allowed", 22, "Refused before the grant, allowed after it.", [*denied["UpdateFunction"], code[0]]
    )
    telling.tell("first-use", 42, "A product that it never used, within the hour of the grant.", [grant, code[0]])
    telling.tell("code-changed", 37, "The code of the shop is another.", code)
    _take_everything(telling, vendor)
    owner = telling.somebody("owner")
    support = telling.writer.authentication(
        telling.wait(600, 2000),
        user=owner.record,
        source_ip="2001:db8:5ca1:fff::9",
        user_agent=EDGE,
        country_code="FR",
        method="password",
        origin="admin_api",
    )
    telling.tell("support-login", 19, "Scaleway's own staff look into the account.", [telling.noted(support)])


def _take_everything(telling: Telling, vendor: Actor) -> None:
    rng = telling.rng
    outside = f"198.51.100.{rng.randrange(130, 250)}"
    where: Record = {"project": telling.production, "gap": (5, 40)}
    secrets = []
    for number in range(rng.randrange(12, 20)):
        secret = telling.existing("secret_manager_secret", f"credential-{number}")
        method, body = rng.choice(
            (("AddSecretOwner", {"product": "edge_services"}), ("CreateSecretVersion", {"description": ""}))
        )
        secrets.append(
            telling.call(vendor, "secret-manager", method, body, secret, project=telling.production, gap=(1, 6))
        )
    telling.tell("secrets", 53, "Secret after secret is touched.", secrets)
    telling.tell("breadth", 23, "A watcher's application at work in product after product.", secrets)
    backend = telling.existing("load_balancer_backend", "shop")
    diverted = [
        telling.call(
            vendor,
            "cockpit",
            "CreateExporter",
            {"name": "mirror", "otlp_destination": {"endpoint": f"https://{outside}:4318"}},
            telling.made("observability_exporter", "mirror"),
            **where,
        ),
        telling.call(
            vendor,
            "edge-services",
            "UpdateBackendStage",
            {"scaleway_lb": {"lbs": [{"domain_name": "cdn.example.net"}]}},
            telling.existing("edge_services_backend_stage", None),
            **where,
        ),
        telling.call(vendor, "load-balancer", "UpdateBackend", {"server_ip": [outside]}, backend, **where),
        telling.call(
            vendor,
            "s2s-vpn",
            "CreateConnection",
            {"name": "probe", "customer_gateway_id": uuid4(rng)},
            telling.made("s2s_connection", "probe"),
            **where,
        ),
    ]
    telling.tell("diverted", 56, "Telemetry and customers' traffic now pass through the attacker's machines.", diverted)
    database = telling.existing("mongodb_instance", "sessions")
    users = [
        telling.call(vendor, "mongodb", "CreateUser", {"name": "probe"}, database, **where),
        telling.call(
            vendor, "mongodb", "SetUserRole", {"user_name": "probe", "roles": [{"role": "db_admin"}]}, database, **where
        ),
    ]
    telling.tell("database-user", 38, "A user with all rights in a database.", users)


PLOTS = {
    "federation-backdoor": Plot(tell=_federation, length=6 * HOUR, hour=10.0),
    "stolen-session": Plot(tell=_stolen_session, length=7 * HOUR, hour=8.0),
    "trusted-application": Plot(tell=_trusted_application, length=6 * HOUR, hour=9.0),
}
