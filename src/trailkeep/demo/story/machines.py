"""The daily work of the IAM applications, and what Scaleway's own systems do meanwhile."""

from __future__ import annotations

from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING

from trailkeep.demo.story.operations import OPERATIONS, Live, Operation
from trailkeep.demo.story.writer import DAY, HOUR, MINUTE, SECOND, uuid4

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.staff import Application, Staff
    from trailkeep.demo.story.writer import Writer

_REGIONS = ("fr-par", "nl-ams", "pl-waw")
_REGION_SHARES = (0.6, 0.85, 1.0)
_POOL_SIZE = 40
"""A resource is created where a pool is empty and deleted where one is full, so pools stay near this."""
_FAILURES = ((0.012, 404), (0.018, 409), (0.021, 400), (0.0225, 403))
"""Cumulated probability of each status with which an everyday call fails."""


class Machine:
    """One application at work; remembers which resources it has."""

    def __init__(self, writer: Writer, staff: Staff, name: str, hours: tuple[tuple[float, float], ...]) -> None:
        self.writer = writer
        self.application: Application = staff.application(name)
        self.projects = [staff.projects["production"], staff.projects["staging"]]
        self.hours = hours
        """The spans of the day, in hours UTC, in which its bursts begin."""
        self.silent: tuple[int, int] = (0, 0)
        """It does nothing from the first until the second moment (nanoseconds)."""
        self._operations = OPERATIONS[name]
        self._shares = list(accumulate(each.share for each in self._operations))
        self._pools: dict[tuple[str, str], deque[Live]] = {}

    def work(self, day: int, calls: int) -> None:
        """Make about `calls` calls on the day that begins at `day` (nanoseconds)."""
        rng = self.writer.rng
        while calls > 0:
            burst = min(calls, rng.randrange(4, 24))
            first, last = rng.choice(self.hours)
            at = day + int((first + rng.random() * (last - first)) * HOUR)
            region = rng.choices(_REGIONS, cum_weights=_REGION_SHARES)[0]
            for operation in rng.choices(self._operations, cum_weights=self._shares, k=burst):
                if not self.silent[0] <= at < self.silent[1]:
                    self._call(at, operation, region)
                at += rng.randrange(200_000_000, 9 * SECOND)
            calls -= burst

    def _call(self, at: int, operation: Operation, region: str) -> None:
        writer, rng, application = self.writer, self.writer.rng, self.application
        live, status = self._subject(at, operation, region), operation.status
        luck = rng.random()
        if luck < _FAILURES[-1][0]:
            status = next(code for limit, code in _FAILURES if luck < limit)
        failed = status >= 400
        change = operation.effect == "change" and not failed
        resource = writer.resource(
            operation.resource,
            live.id,
            live.name,
            created=live.created,
            # The Instance API leaves updated_at null; the others move it with every call.
            updated=None if operation.product == "instance" else (at if change else live.created),
            deleted=at if operation.effect == "delete" and not failed else None,
            facts=operation.facts(live) if operation.facts else None,
        )
        writer.api(
            at,
            locality=live.locality,
            product=operation.product,
            method=operation.method,
            principal=application.id,
            project=live.project,
            source_ip=rng.choice(application.addresses) if application.addresses else None,
            user_agent=application.user_agent,
            body=operation.body(rng, live),
            status=status,
            resources=[] if failed and operation.effect == "create" else [resource],
        )

    def _subject(self, at: int, operation: Operation, region: str) -> Live:
        """The resource that the call is about: a new one, or one that the pool has."""
        pool = self._pools.setdefault((operation.resource, region), deque(maxlen=_POOL_SIZE))
        if operation.effect == "delete" and pool:
            return pool.popleft()
        if operation.effect == "create" or not pool:
            live = self._created(at, operation, region, existed=operation.effect != "create")
            if operation.effect != "delete":
                pool.append(live)
            return live
        return pool[self.writer.rng.randrange(len(pool))]

    def _created(self, at: int, operation: Operation, region: str, *, existed: bool) -> Live:
        rng = self.writer.rng
        created = at - rng.randrange(10 * DAY, 300 * DAY) if existed else at
        return Live(
            id=uuid4(rng),
            name=f"{operation.prefix}-{rng.getrandbits(24):06x}",
            created=created,
            locality=f"{region}-{1 if region == 'pl-waw' else rng.randrange(1, 3)}" if operation.zonal else region,
            project=self.projects[rng.random() < 0.3],
        )


def machines(writer: Writer, staff: Staff) -> dict[str, tuple[float, Machine]]:
    """Every machine by name, with its share of all machines' calls."""
    all_day = ((0.0, 24.0),)
    plan = {
        "ci-deploy": (0.45, ((6.5, 11.0), (12.0, 17.0))),
        "autoscaler": (0.25, all_day),
        "kubernetes-operator": (0.17, all_day),
        "nightly-backup": (0.06, ((1.0, 2.5),)),
        "secret-rotator": (0.07, ((3.0, 3.5), (15.0, 15.5))),
    }
    return {name: (share, Machine(writer, staff, name, hours)) for name, (share, hours) in plan.items()}


_SYSTEM = (
    ("rdb", "rdb", "scheduled-backup", "cron", "rdb_instance"),
    ("kubernetes", "k8s", "pool-autoheal", "cron", "kube_pool"),
    ("load-balancer", "lb", "certificate-renewal", "cron", "load_balancer_certificate"),
    ("instance", "compute", "maintenance-planned", "notification", "instance_server"),
    ("secret-manager", "secret-manager", "version-expiry", "notification", "secret_manager_secret"),
)


def system_day(writer: Writer, staff: Staff, day: int, calls: int) -> None:
    """What Scaleway does by itself on one day: `calls` cron runs and notifications."""
    rng = writer.rng
    for _ in range(calls):
        product, source, name, kind, resource_type = rng.choice(_SYSTEM)
        region = rng.choices(_REGIONS, cum_weights=_REGION_SHARES)[0]
        at = day + rng.randrange(24) * HOUR + rng.randrange(5) * MINUTE + rng.randrange(SECOND)
        resources: list[Record] = [
            writer.resource(
                resource_type,
                uuid4(rng),
                f"main-{rng.getrandbits(16):04x}",
                created=at - 50 * DAY,
                updated=at,
            )
        ]
        writer.system(
            at,
            locality=f"{region}-1" if product in {"instance", "load-balancer"} else region,
            product=product,
            source=source,
            system_name=name,
            kind="cron" if kind == "cron" else "notification",
            project=staff.projects["production"] if rng.random() < 0.9 else None,
            resources=resources,
        )
