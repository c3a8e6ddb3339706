"""How an incident is told: who acts from where, time that passes, calls that leave events, and labels for them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trailkeep.demo.story.company import browser_at
from trailkeep.demo.story.filing import file
from trailkeep.demo.story.model import Actor, Incident, Step
from trailkeep.demo.story.people import login
from trailkeep.demo.story.staff import access_key
from trailkeep.demo.story.writer import DAY, HOUR, SECOND, uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.staff import Person, Registers, Staff
    from trailkeep.demo.story.writer import Writer

_CAMEL = frozenset({"kubernetes", "autoscaling", "baremetal", "apple-silicon", "audit-trail"})
_SNAKE = frozenset({"instance", "secret-manager"})
"""Products whose spelling of bodies is known; of the others it is not, so that it differs from story to story."""
_ZONAL = frozenset({"instance", "load-balancer", "baremetal", "apple-silicon", "public-gateways"})
_COUNTRIES = ("SC", "MD", "VN", "BR", "NG", "KZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One incident that can be told."""

    tell: Callable[[Telling], None]
    length: int
    """At most so long, in nanoseconds."""
    hour: float
    """The hour of day, UTC, at which it begins where there is room."""


def begin_of(plot: Plot, begin: int, end: int) -> tuple[int, float]:
    """When the plot begins in a story of ``begin <= t < end``, and the pace (at most 1) at which all of it fits."""
    room = end - begin
    if plot.length > room // 2:
        start, pace = end - int(room * 0.55), 0.5 * room / plot.length
    else:
        start, pace = end - max(plot.length + plot.length // 10, min(12 * DAY, int(room * 0.4))), 1.0
    same_day = start - start % DAY + int(plot.hour * HOUR)
    fits = begin < same_day and same_day + int(plot.length * pace) < end
    return (same_day if fits else start), pace


class Telling:
    """Writes the steps of one incident in order and labels them; `at` moves on with every event."""

    def __init__(
        self, writer: Writer, staff: Staff, registers: Registers, *, name: str, at: int, pace: float = 1.0
    ) -> None:
        self.writer = writer
        self.staff = staff
        self.registers = registers
        self.rng = writer.rng
        self.name = name
        self.began = self.at = at
        self.pace = pace
        self.production = staff.projects["production"]
        self.country = self.rng.choice(_COUNTRIES)
        self.last_login = ""
        """The event of the last time that one of the staff came to work."""
        self.steps: list[Step] = []
        self._written: dict[str, int] = {}
        self._principals: dict[str, None] = {}
        self._addresses: dict[str, None] = {}
        self._camel = {
            product: self.rng.random() < 0.5 for product in ("iam", "rdb", "cockpit", "vpc", "edge-services")
        }

    # Who is there

    def attacker(self, principal: str, source_ip: str | None, user_agent: str | None) -> Actor:
        """The attacker as this principal, from an address that nobody else has."""
        self._principals.setdefault(principal)
        if source_ip is not None:
            self._addresses.setdefault(source_ip)
        return Actor(principal, source_ip, user_agent)

    def insider(self, person: Person, user_agent: str | None = None) -> Actor:
        """One of the staff, at the own desk, with bad intentions."""
        self._principals.setdefault(person.id)
        return Actor(person.id, person.addresses[-1], user_agent or browser_at(person, self.writer.begin, self.at))

    def machine(self, name: str) -> Actor:
        """One of the applications, from where it always comes and with its own tool, in other hands."""
        application = self.staff.application(name)
        self._principals.setdefault(application.id)
        return Actor(application.id, (application.addresses or (None,))[0], application.user_agent)

    def address(self) -> str:
        """An address that nobody has had: of a hosting company, or now and then of version 6."""
        while True:
            number = self.rng.randrange(2, 120)
            shapes = (f"198.51.100.{number}", f"203.0.113.{number}", f"2001:db8:bad:{number:x}::{number * 7:x}")
            found = self.rng.choices(shapes, (4, 4, 1))[0]
            if found not in self._addresses:
                return found

    def somebody(self, *roles: str, mfa: bool | None = None, method: str | None = None) -> Person:
        """Anybody of the staff with one of these roles; the least that a demo Organization has fits every question."""
        return self.rng.choice(
            [
                person
                for person in self.staff.people
                if person.role in roles
                and (mfa is None or person.mfa == mfa)
                and (method is None or person.login_method == method)
            ]
        )

    # Time

    def wait(self, shortest: float, longest: float) -> int:
        """Let between so many seconds pass, fewer where the story is short; returns the new time."""
        self.at += max(1000, int(self.rng.uniform(shortest, longest) * SECOND * self.pace))
        return self.at

    # What happens

    def call(
        self,
        actor: Actor,
        product: str,
        method: str,
        body: Record | None = None,
        *resources: Record,
        status: int | None = None,
        locality: str = "fr-par",
        project: str | None = None,
        gap: tuple[float, float] = (2, 8),
    ) -> str:
        """One call after a gap in seconds; the body is given in snake_case and written as the product spells it."""
        before = self.writer.time(self.at)
        now = self.writer.time(self.wait(*gap))
        # What is made or deleted by the call carries its time.
        dated = [{name: now if value == before else value for name, value in each.items()} for each in resources]
        if product in _ZONAL and locality[-1] not in "123":
            locality += "-1"
        camel = product in _CAMEL or (product not in _SNAKE and self._camel.get(product, False))
        event_id = self.writer.api(
            self.at,
            locality=locality,
            product=product,
            method=method,
            principal=actor.principal,
            project=project,
            # Events of Kubernetes carry no address.
            source_ip=None if product == "kubernetes" else actor.source_ip,
            user_agent=actor.user_agent,
            body=in_camel_case(body) if camel and body else body,
            status=_status_of(product, method) if status is None else status,
            resources=[] if status and status >= 400 and method.startswith("Create") else dated,
        )
        if product == "iam" and resources and (status or 200) < 300:
            file(self.writer, self.registers, self.at, method, body or {}, resources[0], actor.source_ip or "")
        return self.noted(event_id)

    def denied(
        self,
        actor: Actor,
        calls: Sequence[tuple[str, str]],
        times: int = 1,
        *,
        gap: tuple[float, float] = (1, 9),
        locality: str = "fr-par",
    ) -> dict[str, list[str]]:
        """`times` refused calls of these (product, method), in turn; their ids by method."""
        found: dict[str, list[str]] = {}
        for turn in range(times):
            product, method = calls[turn % len(calls)]
            found.setdefault(method, []).append(
                self.call(actor, product, method, status=403, gap=gap, locality=locality)
            )
        return found

    def fails(self, person: Person, reason: str, source_ip: str, user_agent: str, *, gap: tuple[float, float]) -> str:
        """One login that is refused."""
        event_id = self.writer.authentication(
            self.wait(*gap),
            user=person.record,
            source_ip=source_ip,
            user_agent=user_agent,
            country_code=self.country,
            method="password" if person.login_method == "oauth2" else person.login_method,
            failure_reason=reason,
        )
        return self.noted(event_id)

    def logs_in(
        self,
        person: Person,
        actor: Actor,
        *,
        method: str | None = None,
        mfa: bool | None = None,
        country: str | None = None,
    ) -> list[str]:
        """A login that succeeds: the authentication event, then the calls behind it."""
        shown = replace(person, login_method=method or person.login_method, mfa=person.mfa if mfa is None else mfa)
        ids, self.at = login(
            self.writer,
            shown,
            self.at,
            source_ip=str(actor.source_ip),
            country_code=country or self.country,
            user_agent=str(actor.user_agent),
        )
        return [self.noted(each) for each in ids]

    def comes_to_work(self, person: Person) -> Actor:
        """One of the staff logs in from where that is usual."""
        actor = Actor(person.id, person.addresses[0], browser_at(person, self.writer.begin, self.at))
        self.last_login = self.logs_in(person, actor, country=person.country_code)[0]
        return actor

    # Things

    def made(self, kind: str, name: str | None = None, *, known_id: str | None = None, **facts: str) -> Record:
        """A resource that comes into being with the call that is being written."""
        return self.writer.resource(
            kind, known_id or uuid4(self.rng), name, created=self.at, updated=self.at, facts=dict(facts) or None
        )

    def existing(self, kind: str, name: str | None, *, days: int = 200, known_id: str | None = None) -> Record:
        """A resource that has been there for a while."""
        age = self.rng.randrange(20, days) * DAY
        return self.writer.resource(kind, known_id or uuid4(self.rng), name, created=self.at - age, updated=self.at)

    def gone(self, record: Record) -> Record:
        """The resource as the call shows it that deletes it."""
        return {**record, "deleted_at": self.writer.time(self.at)}

    def key(self) -> Record:
        """A new API key."""
        return self.made("iam_api_key", known_id=access_key(self.rng))

    def guest(self, user: Record) -> Person:
        """A user made in the incident, as somebody who can log in."""
        model = self.staff.people[0]
        return replace(model, id=user["id"], username=str(user["name"]))

    def user(self, person: Person) -> Record:
        """A user as events name one."""
        return self.writer.resource("iam_user", person.id, person.username)

    # Labels

    def tell(self, label: str, question: int, story: str, event_ids: Sequence[str] = ()) -> None:
        """Label events that were written."""
        ids = tuple(sorted(event_ids, key=self._written.__getitem__))
        self.steps.append(Step(label=label, story=story, question=question, event_ids=ids))

    def scaleway(self, system_name: str, product: str, locality: str, *resources: Record) -> str:
        """A notification by Scaleway itself, some minutes later."""
        event_id = self.writer.system(
            self.wait(300, 900),
            locality=locality,
            product=product,
            source="compute",
            system_name=system_name,
            kind="notification",
            project=self.production,
            resources=resources,
        )
        return self.noted(event_id)

    def noted(self, event_id: str) -> str:
        """Remember the order of an event; returns its id."""
        self._written[event_id] = len(self._written)
        return event_id

    def finished(self) -> Incident:
        """The incident as it was told."""
        return Incident(
            name=self.name,
            began_at=_moment(self.began),
            ended_at=_moment(self.at),
            principal_ids=tuple(self._principals),
            attacker_ips=tuple(self._addresses),
            steps=tuple(self.steps),
        )


def flat(found: dict[str, list[str]]) -> list[str]:
    """All ids of what was denied, in the order of the methods."""
    return [event_id for event_ids in found.values() for event_id in event_ids]


def in_camel_case(value: object) -> Record:
    """The same body with keys in camelCase."""
    return _camel(value)  # type: ignore[return-value]


def _camel(value: object) -> object:
    if isinstance(value, dict):
        return {re.sub(r"_([a-z0-9])", lambda at: at[1].upper(), key): _camel(each) for key, each in value.items()}
    return [_camel(each) for each in value] if isinstance(value, list) else value


def _status_of(product: str, method: str) -> int:
    if method in {"ServerAction", "ExportSnapshot"}:
        return 202
    if product == "instance":
        return 201 if method.startswith("Create") else 204 if method.startswith(("Delete", "SetServer")) else 200
    return 204 if product == "iam" and method.startswith("Delete") else 200


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // SECOND, UTC)
