"""What runs by itself in a company: fleets that grow and shrink, backups, releases, and the rotation of keys."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from trailkeep.demo.story.filing import file
from trailkeep.demo.story.machines import Machine
from trailkeep.demo.story.seasons import date_of, is_off, summer_time
from trailkeep.demo.story.staff import access_key
from trailkeep.demo.story.writer import DAY, HOUR, MINUTE, SECOND, uuid4

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.staff import Application, Registers, Staff
    from trailkeep.demo.story.writer import Writer

_KEPT_NIGHTS = 14
_DATABASES, _VOLUMES = 6, 8
_WAVE = 10
_UPGRADE = 75 * DAY
"""How often the machines' tools get a new version."""
_SERVICES = ("search", "invoices", "mailer", "thumbnails", "webhooks", "reports", "catalogue")


class Automation:
    """All machines of the company, day by day."""

    def __init__(self, writer: Writer, staff: Staff, registers: Registers, *, scale: float) -> None:
        self.writer = writer
        self.rng = writer.rng
        self.staff = staff
        self.registers = registers
        self.scale = scale
        """How much of the fleets there is, at most 1."""
        self.silent: dict[str, tuple[int, int]] = {}
        """Machines that do nothing from the first until the second moment (nanoseconds)."""
        self.general = {
            "ci-deploy": (0.66, Machine(writer, staff, "ci-deploy", ((6.5, 11.0), (12.0, 17.0)))),
            "kubernetes-operator": (0.22, Machine(writer, staff, "kubernetes-operator", ((0.0, 24.0),))),
            "secret-rotator": (0.12, Machine(writer, staff, "secret-rotator", ((3.0, 3.5), (15.0, 15.5)))),
        }
        self._backups: deque[list[tuple[str, Record]]] = deque()
        self._fleet: list[Record] = []
        self._reviews: list[tuple[int, list[tuple[str, str, Record]]]] = []
        self._services = list(_SERVICES)
        self._builds: deque[Record] = deque()
        self._earlier_backups()
        self._plan()

    def _earlier_backups(self) -> None:
        """The last two weeks before the story begins."""
        for night in range(_KEPT_NIGHTS):
            made = self.writer.begin - (_KEPT_NIGHTS - night) * DAY
            self._backups.append(
                [
                    (product, self.writer.resource(kind, uuid4(self.rng), f"{name}-{number}", created=made))
                    for product, kind, name, count in (
                        ("rdb", "rdb_instance_backup", "nightly", _DATABASES),
                        ("instance", "instance_snapshot", "nightly-volume", _VOLUMES),
                    )
                    for number in range(self._scaled(count))
                ]
            )

    def _plan(self) -> None:
        """The few things that happen on some days of a year only."""
        begin, end, rng = self.writer.begin, self.writer.end, self.rng
        days = [day for day in range(begin - begin % DAY + DAY, end - DAY, DAY) if not is_off(day)]
        yearly = (
            (self._new_service, 6),
            (self._policies_change, 16),
            (self._quota_met, 3),
            (self._staging_ends, 2),
            (self._upgrade_of_clusters, 8),
            (self._exercise, 2),
            (self._keys_rotate, 4),
        )
        self._due: dict[int, list[int]] = {}
        self._rare = [event for event, _ in yearly]
        for number, (_, times) in enumerate(yearly):
            wanted = times * (end - begin) / (365 * DAY)
            for _ in range(int(wanted) + (rng.random() < wanted % 1) if days else 0):
                self._due.setdefault(rng.choice(days), []).append(number)

    def day(self, day: int, calls: int) -> None:
        """One day that begins at `day` (nanoseconds); what is left of `calls` is everyday work."""
        before = self.writer.written
        self._nightly_backup(day)
        self._autoscale(day)
        if not is_off(day):
            self._reviews_of(day)
            for number in self._due.get(day, []):
                self._rare[number](day)
        found = date_of(day)
        if found.weekday() == 1:
            self._golden_image(day)
            self._functions(day)
        if found.day <= 7 and found.weekday() == 0:
            self._api_keys_rotate(day)
        self._vendor(day)
        left = max(0, calls - (self.writer.written - before))
        for share, machine in self.general.values():
            machine.application = self._upgraded(machine.application.name, day)
            machine.work(day, round(left * share))

    def _upgraded(self, name: str, day: int) -> Application:
        application = self.staff.application(name)
        if not application.user_agent:
            return application
        number = (day - self.writer.begin) // _UPGRADE
        agent = application.user_agent.replace("terraform/1.13.1", f"terraform/1.13.{1 + number}")
        agent = agent.replace("2.11.0", f"2.11.{number}").replace("provider/2.60.0", f"provider/2.{60 + number}.0")
        return replace(application, user_agent=agent)

    def call(
        self,
        name: str,
        at: int,
        product: str,
        method: str,
        body: Record,
        *resources: Record,
        status: int = 200,
        locality: str = "fr-par",
        project: str | None = "production",
    ) -> None:
        """One call by the application of this name."""
        first, last = self.silent.get(name, (0, 0))
        if first <= at < last:
            return
        application = self._upgraded(name, at)
        self.writer.api(
            at,
            locality=locality,
            product=product,
            method=method,
            principal=application.id,
            project=self.staff.projects[project] if project else None,
            # Events of Kubernetes carry no address, and only those come from machines without one.
            source_ip=None if product == "kubernetes" else self.rng.choice(application.addresses),
            user_agent=application.user_agent,
            body=body,
            status=status,
            resources=resources,
        )
        if product == "iam" and resources and status < 300 and self.writer.begin <= at < self.writer.end:
            file(self.writer, self.registers, at, method, body, resources[0], application.addresses[0])

    # Every day

    def _nightly_backup(self, day: int) -> None:
        """Every database and volume, one after the other; then what is two weeks old goes."""
        writer, at, tonight = self.writer, day + HOUR + self.rng.randrange(600) * SECOND, []
        for number in range(self._scaled(_DATABASES)):
            at += self.rng.randrange(10, 50) * SECOND
            backup = writer.resource(
                "rdb_instance_backup", uuid4(self.rng), f"nightly-{number}", created=at, updated=at
            )
            body = {"database_name": "rdb", "name": f"nightly-{number}", "expires_at": None}
            self.call("nightly-backup", at, "rdb", "CreateDatabaseBackup", body, backup)
            tonight.append(("rdb", backup))
        for number in range(self._scaled(_VOLUMES)):
            at += self.rng.randrange(3, 20) * SECOND
            snapshot = writer.resource("instance_snapshot", uuid4(self.rng), f"nightly-volume-{number}", created=at)
            body = {"name": f"nightly-volume-{number}", "volume_type": "unified"}
            self.call(
                "nightly-backup", at, "instance", "CreateSnapshot", body, snapshot, status=201, locality="fr-par-1"
            )
            tonight.append(("instance", snapshot))
        self._backups.append(tonight)
        if len(self._backups) <= _KEPT_NIGHTS:
            return
        for product, old in self._backups.popleft():
            at += self.rng.randrange(1, 6) * SECOND
            gone = {**old, "deleted_at": writer.time(at)}
            if product == "rdb":
                self.call("nightly-backup", at, "rdb", "DeleteDatabaseBackup", {}, gone)
            else:
                self.call("nightly-backup", at, "instance", "DeleteSnapshot", {}, gone, status=204, locality="fr-par-1")

    def _autoscale(self, day: int) -> None:
        """The fleet grows in the morning and at times during the day, and shrinks in the evening."""
        share = 0.4 if is_off(day) else 1.0
        self._grow(day + int(self.rng.uniform(6.5, 7.5) * HOUR) - summer_time(day), share)
        if self.rng.random() < 0.4 * share:
            self._grow(day + int(self.rng.uniform(10, 15) * HOUR), 0.5)
        at = day + int(self.rng.uniform(18, 20) * HOUR)
        for server in self._fleet:
            at += self.rng.randrange(1, 12) * SECOND
            gone = {**server, "deleted_at": self.writer.time(at)}
            self.call("autoscaler", at, "instance", "DeleteServer", {}, gone, status=204, locality="fr-par-1")
        self._fleet = []

    def _grow(self, at: int, share: float) -> None:
        for _ in range(self._scaled(_WAVE * share * self.rng.uniform(0.4, 1.4))):
            at += self.rng.randrange(1, 25) * SECOND
            name = f"worker-{self.rng.getrandbits(24):06x}"
            body = {"name": name, "commercial_type": "PRO2-S", "image": "ubuntu_noble", "tags": ["autoscaled"]}
            server = self.writer.resource("instance_server", uuid4(self.rng), name, created=at)
            where: Record = {"locality": "fr-par-1"}
            self.call("autoscaler", at, "instance", "CreateServer", body, server, status=201, **where)
            self.call(
                "autoscaler",
                at + SECOND,
                "instance",
                "SetServerUserData",
                {"key": "cloud-init"},
                server,
                status=204,
                **where,
            )
            self.call(
                "autoscaler",
                at + 2 * SECOND,
                "instance",
                "ServerAction",
                {"action": "poweron"},
                server,
                status=202,
                **where,
            )
            self._fleet.append(server)

    def _reviews_of(self, day: int) -> None:
        """An environment for each change that is being reviewed, and its end some days later."""
        for _ in range(self._scaled(self.rng.randrange(3))):
            at, made = day + int(self.rng.uniform(7, 16) * HOUR), []
            name = f"review-{self.rng.randrange(2000, 9000)}"
            for product, noun, kind, locality in _REVIEW:
                at += self.rng.randrange(1, 9) * SECOND
                thing = self.writer.resource(kind, uuid4(self.rng), name, created=at)
                status = 201 if product == "instance" else 200
                self.call(
                    "ci-deploy",
                    at,
                    product,
                    f"Create{noun}",
                    {"name": name},
                    thing,
                    status=status,
                    locality=locality,
                    project="staging",
                )
                made.append((product, noun, {**thing, "locality": locality}))
            self._reviews.append((day + self.rng.randrange(0, 5) * DAY, made))
        for review in [each for each in self._reviews if each[0] <= day]:
            self._reviews.remove(review)
            self._take_down(day + int(self.rng.uniform(16.1, 18) * HOUR), review[1])

    def _take_down(self, at: int, things: list[tuple[str, str, Record]]) -> None:
        for product, noun, thing in reversed(things):
            at += self.rng.randrange(1, 6) * SECOND
            gone = {name: value for name, value in thing.items() if name != "locality"}
            gone["deleted_at"] = self.writer.time(at)
            status = 204 if product == "instance" else 200
            self.call(
                "ci-deploy",
                at,
                product,
                f"Delete{noun}",
                {},
                gone,
                status=status,
                locality=thing["locality"],
                project="staging",
            )

    def _vendor(self, day: int) -> None:
        """The vendor's daily run turns on the alerts of what is new."""
        at = day + 5 * HOUR + self.rng.randrange(3600) * SECOND
        self.call("metrics-vendor", at, "cockpit", "EnableAlertRules", {"rule_ids": [uuid4(self.rng)]})

    # Every week and month

    def _golden_image(self, day: int) -> None:
        at = day + 4 * HOUR + self.rng.randrange(1800) * SECOND
        server = self.writer.resource("instance_server", uuid4(self.rng), "packer", created=at)
        image = self.writer.resource(
            "instance_image", uuid4(self.rng), f"golden-{date_of(day)}", created=at + 12 * MINUTE
        )
        steps: list[tuple[int, str, Record, Record, int]] = [
            (0, "CreateServer", {"name": "packer", "commercial_type": "PRO2-XS"}, server, 201),
            (1, "ServerAction", {"action": "poweron"}, server, 202),
            (9, "ServerAction", {"action": "poweroff"}, server, 202),
            (12, "CreateImage", {"name": image["name"]}, image, 201),
            (14, "DeleteServer", {}, {**server, "deleted_at": self.writer.time(at + 14 * MINUTE)}, 204),
        ]
        self._builds.append(image)
        if len(self._builds) > 5:
            old = self._builds.popleft()
            steps.append((16, "DeleteImage", {}, {**old, "deleted_at": self.writer.time(at + 16 * MINUTE)}, 204))
        for minutes, method, body, thing, status in steps:
            self.call(
                "image-builder",
                at + minutes * MINUTE,
                "instance",
                method,
                body,
                thing,
                status=status,
                locality="fr-par-1",
            )

    def _functions(self, day: int) -> None:
        at = day + int(self.rng.uniform(8, 15) * HOUR)
        function = self._lasting("serverless_functions_function", self.rng.choice(("checkout", "resize", "notify")))
        for method in ("UpdateFunction", "DeployFunction"):
            self.call("ci-deploy", at, "serverless-functions", method, {"runtime": "python313"}, function)
            at += 20 * SECOND

    def _api_keys_rotate(self, day: int) -> None:
        """Each application gets a new key on the first Monday of a month, and loses the old one a day later."""
        at = day + 6 * HOUR + self.rng.randrange(600) * SECOND
        if at < self.writer.begin:
            return  # of what was before the story only the end of the old keys would be told
        for application in self.staff.applications[:5]:
            at += self.rng.randrange(5, 40) * SECOND
            old = [key["access_key"] for key in self.registers.api_keys if key.get("application_id") == application.id]
            body = {
                "application_id": application.id,
                "description": f"rotation {date_of(day):%Y-%m}",
                "expires_at": self.writer.time(at + 40 * DAY),
            }
            key = self.writer.resource("iam_api_key", access_key(self.rng), None, created=at, updated=at)
            self.call("key-rotator", at, "iam", "CreateAPIKey", body, key, project=None)
            for each in old:
                ended = self.writer.resource("iam_api_key", each, None, deleted=at + DAY)
                self.call("key-rotator", at + DAY, "iam", "DeleteAPIKey", {}, ended, status=204, project=None)

    # Some times in a year

    def _new_service(self, day: int) -> None:
        """A new service gets its application, its key and its narrow policy from the repository, and a way in."""
        if not self._services:
            return
        name, at = self._services.pop(0), day + int(self.rng.uniform(8, 15) * HOUR)
        application = self.writer.resource("iam_application", uuid4(self.rng), name, created=at)
        bearer = {"application_id": application["id"]}
        key = self.writer.resource("iam_api_key", access_key(self.rng), None, created=at + 2 * SECOND)
        policy = self.writer.resource("iam_policy", uuid4(self.rng), name, created=at + 4 * SECOND)
        rules = [
            {
                "permission_set_names": ["ObjectStorageReadOnly", "SecretManagerSecretAccess"],
                "project_ids": [self.staff.projects["production"]],
            }
        ]
        organization = {"organization_id": self.writer.organization_id}
        until = self.writer.time(at + 365 * DAY)
        for product, method, body, thing in (
            ("iam", "CreateApplication", {"name": name, **organization}, application),
            ("iam", "CreateAPIKey", {**bearer, "expires_at": until}, key),
            ("iam", "CreatePolicy", {"name": name, **bearer, **organization, "rules": rules}, policy),
        ):
            self.call("terraform-iam", at, product, method, body, thing, project=None)
            at += 2 * SECOND
        rule = {
            "protocol": "TCP",
            "direction": "inbound",
            "action": "accept",
            "ip_range": "0.0.0.0/0",
            "dest_port_from": 443,
        }
        group = self.writer.resource("instance_security_group", uuid4(self.rng), name, created=at + HOUR)
        for method, body in (("CreateSecurityGroup", {"name": name}), ("CreateSecurityGroupRule", rule)):
            self.call("ci-deploy", at + HOUR, "instance", method, body, group, status=201, locality="fr-par-1")
            at += 2 * SECOND

    def _policies_change(self, day: int) -> None:
        """A change in the repository of policies is applied; at first it is refused now and then."""
        at = day + int(self.rng.uniform(8, 16) * HOUR)
        of_services = [each for each in self.registers.policies if each["name"] in {"image-builder", *_SERVICES}]
        for policy in self.rng.sample(of_services, k=min(len(of_services), self.rng.randrange(1, 4))):
            thing = self.writer.resource("iam_policy", policy["id"], policy["name"], updated=at)
            sets = self.rng.sample(_NARROW_SETS, k=self.rng.randrange(1, 4))
            projects = [self.staff.projects["production"]]
            body = {"policy_id": policy["id"], "rules": [{"permission_set_names": sets, "project_ids": projects}]}
            if self.rng.random() < 0.1:
                self.call("terraform-iam", at, "iam", "SetRules", body, thing, status=403, project=None)
                at += self.rng.randrange(20, 90) * MINUTE
            self.call("terraform-iam", at, "iam", "SetRules", body, thing, project=None)
            at += 3 * SECOND

    def _quota_met(self, day: int) -> None:
        """The fleet wants more than the quota allows, and asks again and again: the API says 403."""
        at = day + int(self.rng.uniform(9, 16) * HOUR)
        for _ in range(self.rng.randrange(8, 32)):
            body = {"name": f"worker-{self.rng.getrandbits(24):06x}", "commercial_type": "PRO2-S"}
            self.call("autoscaler", at, "instance", "CreateServer", body, status=403, locality="fr-par-1")
            at += self.rng.randrange(8, 30) * SECOND

    def _staging_ends(self, day: int) -> None:
        """Staging is taken down as a whole, and made again the next morning."""
        at, things = day + 17 * HOUR, []
        for number in range(self._scaled(26)):
            product, noun, kind, locality = _REVIEW[number % len(_REVIEW)]
            thing = self.writer.resource(kind, uuid4(self.rng), f"staging-{number}", created=at - 80 * DAY)
            things.append((product, noun, {**thing, "locality": locality}))
        self._take_down(at, things)

    def _upgrade_of_clusters(self, day: int) -> None:
        """A new version of Kubernetes: the cluster, its pools, and then node after node."""
        at = day + 9 * HOUR
        cluster, pool = self._lasting("kube_cluster", "main"), self._lasting("kube_pool", "pool")
        self.call(
            "ci-deploy", at, "kubernetes", "UpgradeCluster", {"version": "1.34.2", "upgradePools": False}, cluster
        )
        self.call("ci-deploy", at + 20 * MINUTE, "kubernetes", "UpgradePool", {"version": "1.34.2"}, pool)
        at += 30 * MINUTE
        for number in range(self._scaled(12)):
            at += self.rng.randrange(60, 240) * SECOND
            node = self.writer.resource("kube_node", uuid4(self.rng), f"node-{number}", deleted=at)
            self.call(
                "kubernetes-operator", at, "kubernetes", "DeleteNode", {"skipDrain": False, "replace": True}, node
            )

    def _exercise(self, day: int) -> None:
        """Twice a year the company tries whether its backups come back."""
        at = day + 13 * HOUR
        instance = self._lasting("rdb_instance", "warehouse")
        clone = self.writer.resource("rdb_instance", uuid4(self.rng), "exercise", created=at)
        self.call("ci-deploy", at, "rdb", "CloneInstance", {"name": "exercise"}, instance, clone, project="staging")
        self.call(
            "ci-deploy", at + HOUR, "rdb", "RestoreDatabaseBackup", {"database_name": "rdb"}, clone, project="staging"
        )
        gone = {**clone, "deleted_at": self.writer.time(at + 3 * HOUR)}
        self.call("ci-deploy", at + 3 * HOUR, "rdb", "DeleteInstance", {}, gone, project="staging")

    def _keys_rotate(self, day: int) -> None:
        at = day + 4 * HOUR
        for name in ("volumes", "backups", "app"):
            self.call("ci-deploy", at, "key-manager", "RotateKey", {}, self._lasting("key_manager_key", name))
            at += 5 * SECOND

    def _lasting(self, kind: str, name: str) -> Record:
        """A thing that the company has for good."""
        found = uuid4(Random(f"{self.writer.organization_id} {kind} {name}"))
        return self.writer.resource(kind, found, name, created=self.writer.begin - 60 * DAY)

    def _scaled(self, count: float) -> int:
        return max(1, round(count * self.scale)) if count else 0


_REVIEW = (
    ("instance", "Ip", "instance_ip", "fr-par-1"),
    ("instance", "Server", "instance_server", "fr-par-1"),
    ("rdb", "Database", "rdb_instance", "fr-par"),
    ("load-balancer", "Backend", "load_balancer_backend", "fr-par-1"),
    ("load-balancer", "Frontend", "load_balancer_frontend", "fr-par-1"),
    ("serverless-containers", "Container", "serverless_containers_container", "fr-par"),
)
"""What a review environment consists of: product, noun of the methods, type, locality."""
_NARROW_SETS = (
    "ObjectStorageObjectsRead",
    "ContainersReadOnly",
    "RelationalDatabasesReadOnly",
    "ContainerRegistryFullAccess",
    "SecretManagerReadOnly",
    "InstancesReadOnly",
)
