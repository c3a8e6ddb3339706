"""The incident: one night, from a guessed password to mining servers, and the morning after."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trailkeep.demo.story.model import Incident, Step
from trailkeep.demo.story.people import login, session_call
from trailkeep.demo.story.staff import access_key
from trailkeep.demo.story.writer import DAY, HOUR, MINUTE, SECOND, uuid4

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.staff import Registers, Staff
    from trailkeep.demo.story.writer import Writer

STUFFING_IP = "203.0.113.66"
KEY_IP = "198.51.100.23"
BACKDOOR_IP = "2001:db8:bad:1::66"
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_CURL = "curl/8.5.0"
_PYTHON = "python-requests/2.32.3"
LENGTH = 7 * HOUR
"""From the first event to the last."""
_MINERS = 12
BACKUP_SILENCE = 3 * DAY
"""How long the nightly backup stays away afterwards."""


def night_of(begin: int, end: int) -> int:
    """When the incident begins in a story of ``begin <= t < end``, so that all of it fits (nanoseconds)."""
    start = end - min(12 * DAY, int((end - begin) * 0.4))
    night = start - start % DAY + 100 * MINUTE
    return night if begin < night and night + LENGTH < end else max(begin, start)


class _Night:
    """Writes the steps in order and labels them; `at` moves on with every event."""

    def __init__(self, writer: Writer, staff: Staff, registers: Registers, at: int) -> None:
        self.writer = writer
        self.staff = staff
        self.registers = registers
        self.began = self.at = at
        self.rng = writer.rng
        self.victim = staff.person("lmartin")
        self.responder = staff.person("imoreau")
        self.stolen = staff.application("ci-deploy").id
        self.backdoor = uuid4(self.rng)
        self.production = staff.projects["production"]
        self.steps: list[Step] = []
        self.miners: list[tuple[str, str, int]] = []
        self.first_key = access_key(self.rng)
        self.second_key = access_key(self.rng)
        self.policy_id = uuid4(self.rng)

    def tell(self, label: str, question: int, story: str, event_ids: list[str]) -> None:
        """Label events that were just written."""
        self.steps.append(Step(label=label, story=story, question=question, event_ids=tuple(event_ids)))

    def wait(self, shortest: int, longest: int) -> int:
        """Let between so many seconds pass; returns the new time."""
        self.at += self.rng.randrange(shortest * SECOND, longest * SECOND)
        return self.at

    def call(
        self,
        method: str,
        *,
        product: str = "iam",
        locality: str = "fr-par",
        who: str = "",
        source_ip: str = BACKDOOR_IP,
        user_agent: str = _PYTHON,
        body: Record | None = None,
        status: int = 200,
        resources: tuple[Record, ...] = (),
        in_project: bool = False,
    ) -> str:
        """One call of the API, by the backdoor application unless `who` names another principal."""
        return self.writer.api(
            self.at,
            locality=locality,
            product=product,
            method=method,
            principal=who or self.backdoor,
            project=self.production if in_project else None,
            source_ip=source_ip,
            user_agent=user_agent,
            body=body,
            status=status,
            resources=resources,
        )

    def made(self, kind: str, resource_id: str, name: str | None, **facts: str) -> Record:
        """A resource created by the call that is being written."""
        return self.writer.resource(
            kind, resource_id, name, created=self.at, updated=self.at, facts=dict(facts) or None
        )


def incident(writer: Writer, staff: Staff, registers: Registers, at: int) -> Incident:
    """Write the whole incident from `at` on (nanoseconds) and add to `registers` what it left behind."""
    night = _Night(writer, staff, registers, at)
    for scene in (
        _guess_password,
        _probe_with_stolen_key,
        _plant_backdoor,
        _blind_the_defenders,
        _mine,
        _take_data,
        _destroy,
        _respond,
    ):
        scene(night)
    return Incident(
        name="one-night",
        began_at=_moment(night.began),
        ended_at=_moment(night.at),
        stolen_user_id=night.victim.id,
        stolen_application_id=night.stolen,
        backdoor_application_id=night.backdoor,
        principal_ids=(night.victim.id, night.stolen, night.backdoor),
        attacker_ips=(STUFFING_IP, KEY_IP, BACKDOOR_IP),
        steps=tuple(night.steps),
    )


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // SECOND, UTC)


def _guess_password(night: _Night) -> None:
    writer = night.writer
    failed: dict[str, list[str]] = {}
    people = night.staff.people
    for turn in range(26):
        person = people[turn % len(people)] if turn < 16 else night.victim
        event_id = writer.authentication(
            night.wait(3, 14),
            user=person.record,
            source_ip=STUFFING_IP,
            user_agent=_BROWSER,
            country_code="SC",
            method="password",
            failure_reason="invalid_password",
        )
        failed.setdefault(person.username, []).append(event_id)
    everyone = [event_id for event_ids in failed.values() for event_id in event_ids]
    night.tell("stuffing", 12, "One address tries passwords for every user of the Organization.", everyone)
    night.wait(5, 20)
    ids, night.at = login(writer, night.victim, night.at, source_ip=STUFFING_IP, country_code="SC", user_agent=_BROWSER)
    night.tell("brute-force", 11, "Failures for one user, then a success.", [*failed["lmartin"], ids[0]])
    night.tell("login-without-mfa", 14, "The account that fell has no second factor.", ids[:1])
    renewed = session_call(
        writer, night.victim, night.wait(900, 1500), "RenewJWT", source_ip=STUFFING_IP, user_agent=_BROWSER
    )
    night.tell("console-session", 9, "A console session from an address never seen before.", [*ids[1:], renewed])
    night.tell("secret-read", 54, "The CI key is read from a secret: nothing in the trail can show it.", [])


_PROBES = (
    ("iam", "CreateUser"),
    ("iam", "CreateApplication"),
    ("iam", "UpdateUser"),
    ("iam", "CreateSSHKey"),
    ("audit-trail", "DeleteExportJob"),
    ("kubernetes", "ResetClusterAdminToken"),
    ("rdb", "ExportDatabaseBackup"),
    ("instance", "CreateServer"),
)


def _probe_with_stolen_key(night: _Night) -> None:
    night.wait(600, 900)
    denied: dict[str, list[str]] = {}
    for turn in range(27):
        product, method = _PROBES[turn % len(_PROBES)]
        night.wait(2, 9)
        event_id = night.call(
            method,
            product=product,
            locality="fr-par-1" if product == "instance" else "fr-par",
            who=night.stolen,
            source_ip=KEY_IP,
            user_agent=_CURL,
            status=403,
        )
        denied.setdefault(method, []).append(event_id)
    everything = [event_id for event_ids in denied.values() for event_id in event_ids]
    night.tell("denied-probes", 21, "More than twenty denied calls in five minutes.", everything)
    night.tell("new-user-agent", 10, "The CI's principal, so far only Terraform, now uses curl.", everything[:1])
    night.wait(300, 500)
    body = {
        "name": "terraform-sync",
        "description": "state sync",
        "organization_id": night.writer.organization_id,
    }
    created = night.call(
        "CreateApplication",
        who=night.stolen,
        source_ip=KEY_IP,
        user_agent=_CURL,
        body=body,
        resources=(night.made("iam_application", night.backdoor, "terraform-sync"),),
    )
    night.tell(
        "denied-then-allowed",
        22,
        "A method denied before works now.",
        [*denied["CreateApplication"], created],
    )
    night.tell("application-created", 28, "A new application with a harmless name.", [created])


def _plant_backdoor(night: _Night) -> None:
    stolen: Record = {"who": night.stolen, "source_ip": KEY_IP, "user_agent": _CURL}
    created = night.steps[-1].event_ids[0]
    keys = []
    for key in (night.first_key, night.second_key):
        night.wait(20, 60)
        body = {"application_id": night.backdoor, "description": "", "default_project_id": night.production}
        keys.append(night.call("CreateAPIKey", body=body, resources=(night.made("iam_api_key", key, None),), **stolen))
    night.wait(30, 90)
    rules = [{"permission_set_names": ["OrganizationManager"], "organization_id": night.writer.organization_id}]
    grant: Record = {
        "name": "sync",
        "application_id": night.backdoor,
        "rules": rules,
        "organization_id": night.writer.organization_id,
    }
    policy = night.call(
        "CreatePolicy", body=grant, resources=(night.made("iam_policy", night.policy_id, "sync"),), **stolen
    )
    night.tell("keys-created", 25, "Two API keys that never expire.", keys)
    night.tell("keys-for-another", 26, "Their bearer is not who made them.", keys)
    night.tell("broad-policy", 39, "OrganizationManager for the new application.", [policy])
    night.tell("backdoor", 29, "Application, key and policy within minutes.", [created, *keys, policy])
    night.wait(200, 300)
    body = {"name": "sync", "public_key": "ssh-ed25519 AAAA", "project_id": night.production}
    ssh_key = night.call("CreateSSHKey", body=body, resources=(night.made("iam_ssh_key", uuid4(night.rng), "sync"),))
    night.tell("ssh-key", 30, "An SSH key, by the new application from a new address.", [ssh_key])


def _blind_the_defenders(night: _Night) -> None:
    night.wait(60, 120)
    jobs = night.made("audit_trail_export_job", uuid4(night.rng), "to-bucket")
    export = night.call("DeleteExportJob", product="audit-trail", resources=(jobs,))
    night.tell("export-deleted", 43, "The export of the trail to a bucket is deleted.", [export])
    night.wait(10, 30)
    rule = night.made("audit_trail_alert_rule", uuid4(night.rng), "ApiKeyCreated")
    # Audit Trail's own bodies are in camelCase.
    alerts = night.call(
        "DisableAlertRules", product="audit-trail", body={"alertRuleIds": [rule["id"]]}, resources=(rule,)
    )
    night.tell("alerts-disabled", 44, "The preconfigured alert on new API keys is disabled.", [alerts])
    night.wait(10, 30)
    managed = night.call("DisableManagedAlerts", product="cockpit", body={"project_id": night.production})
    night.tell("cockpit-silenced", 45, "Managed alerts are disabled in Cockpit.", [managed])
    night.wait(30, 90)
    group = night.made("instance_security_group", uuid4(night.rng), "default")
    body = {
        "protocol": "TCP",
        "direction": "inbound",
        "action": "accept",
        "ip_range": "0.0.0.0/0",
        "dest_port_from": 22,
    }
    opened = night.call(
        "CreateSecurityGroupRule",
        product="instance",
        locality="fr-par-1",
        body=body,
        status=201,
        resources=(group,),
        in_project=True,
    )
    night.tell("network-opened", 47, "Port 22 is opened to the world.", [opened])


def _mine(night: _Night) -> None:
    calls, configured = [], []
    for number in range(_MINERS):
        night.wait(4, 15)
        server_id, name = uuid4(night.rng), f"render-{number:02}"
        night.miners.append((server_id, name, night.at))
        server = night.writer.resource("instance_server", server_id, name, created=night.at)
        body = {
            "name": name,
            "commercial_type": "H100-2-80G",
            "image": "ubuntu_noble_gpu_os",
            "project": night.production,
        }
        where: Record = {
            "product": "instance",
            "locality": "pl-waw-2",
            "in_project": True,
            "resources": (server,),
        }
        calls.append(night.call("CreateServer", body=body, status=201, **where))
        night.wait(1, 3)
        configured.append(night.call("SetServerUserData", body={"key": "cloud-init"}, status=204, **where))
        night.wait(1, 3)
        configured.append(night.call("ServerAction", body={"action": "poweron"}, status=202, **where))
    night.tell("gpu-servers", 60, "Twelve GPU servers in a zone nobody used before.", calls)
    night.tell("new-zone", 24, "The first call in pl-waw-2.", calls[:1])
    night.tell("user-data", 36, "Start scripts are set, then the servers start.", configured)
    notice = night.writer.system(
        night.wait(60, 200),
        locality="pl-waw-2",
        product="instance",
        source="compute",
        system_name="quota-threshold",
        kind="notification",
        project=night.production,
        resources=[night.writer.resource("instance_server", *night.miners[-1][:2], created=night.miners[-1][2])],
    )
    night.tell("quota-notice", 65, "Scaleway itself warns about the quota: not the attacker's doing.", [notice])


def _take_data(night: _Night) -> None:
    snapshot_id, exported = uuid4(night.rng), []
    instance: Record = {"product": "instance", "locality": "fr-par-1", "in_project": True}
    night.wait(300, 600)
    snapshot = night.made("instance_snapshot", snapshot_id, "sync")
    night.call("CreateSnapshot", body={"name": "sync"}, status=201, resources=(snapshot,), **instance)
    night.wait(60, 200)
    body = {"bucket": "sync-7f3a", "key": "volume.qcow2"}
    exported.append(night.call("ExportSnapshot", body=body, status=202, resources=(snapshot,), **instance))
    night.wait(60, 200)
    backup = night.made("rdb_instance_backup", uuid4(night.rng), "customers")
    exported.append(night.call("ExportDatabaseBackup", product="rdb", resources=(backup,), in_project=True))
    night.tell("data-exported", 51, "A volume and a database leave for a bucket and a download link.", exported)


def _destroy(night: _Night) -> None:
    night.wait(1200, 2400)
    deleted, cleaned = [], []
    for _ in range(14):
        night.wait(1, 6)
        backup = night.writer.resource(
            "rdb_instance_backup", uuid4(night.rng), "nightly", created=night.at - 5 * DAY, deleted=night.at
        )
        deleted.append(night.call("DeleteDatabaseBackup", product="rdb", resources=(backup,), in_project=True))
    night.tell("backups-destroyed", 58, "Database backups are deleted.", deleted)
    for server_id, name, created in night.miners[:3]:
        night.wait(1, 6)
        server = night.writer.resource("instance_server", server_id, name, created=created, deleted=night.at)
        where: Record = {"product": "instance", "locality": "pl-waw-2", "in_project": True}
        cleaned.append(night.call("DeleteServer", status=204, resources=(server,), **where))
    night.tell("cleanup", 48, "Three of the night's servers are deleted by who created them.", cleaned)
    night.tell("mass-delete", 57, "Seventeen deletions in minutes, across products.", deleted + cleaned)
    night.tell("silent-backup", 50, "The nightly backup does not come for three days.", [])


def _respond(night: _Night) -> None:
    writer, responder, records = night.writer, night.responder, night.registers
    night.at = max(night.at, night.began + 5 * HOUR + 30 * MINUTE)
    source_ip = responder.addresses[0]
    _, night.at = login(
        writer, responder, night.at, source_ip=source_ip, country_code="FR", user_agent=responder.browser
    )
    inside: Record = {"who": responder.id, "source_ip": source_ip, "user_agent": responder.browser}
    steps: tuple[tuple[str, Record], ...] = (
        ("DeleteAPIKey", writer.resource("iam_api_key", night.first_key, None, deleted=night.at)),
        ("LockUser", writer.resource("iam_user", night.victim.id, night.victim.username)),
        ("DeletePolicy", writer.resource("iam_policy", night.policy_id, "sync", deleted=night.at)),
    )
    contained = []
    for method, resource in steps:
        night.wait(60, 240)
        contained.append(night.call(method, resources=(resource,), **inside))
    night.tell("containment", 62, "One key and the policy are deleted, the user is locked.", contained)
    night.wait(900, 1500)
    late = night.call("CreateJWT", status=403)
    night.tell("after-containment", 64, "The second key was forgotten and still speaks.", [late])
    _leave_behind(night, records)


def _leave_behind(night: _Night, records: Registers) -> None:
    """What the directory shows afterwards: the application and its second key are still there."""
    made = night.writer.time(night.began + 50 * MINUTE)
    records.applications.append(
        {
            **records.applications[0],
            "id": night.backdoor,
            "name": "terraform-sync",
            "description": "state sync",
            "created_at": made,
            "updated_at": made,
        }
    )
    records.api_keys.append(
        {
            **records.api_keys[0],
            "access_key": night.second_key,
            "application_id": night.backdoor,
            "created_at": made,
            "updated_at": made,
            "creation_ip": KEY_IP,
        }
    )
    for user in records.users:
        if user["id"] == night.victim.id:
            user["locked"] = True
