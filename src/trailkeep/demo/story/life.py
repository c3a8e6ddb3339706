"""A company's year: who comes when and from where, forgotten passwords, journeys, and changes by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from trailkeep.demo.story.company import OFFICE, browser_at
from trailkeep.demo.story.habits import HABITS
from trailkeep.demo.story.model import Actor
from trailkeep.demo.story.people import login, session_call
from trailkeep.demo.story.seasons import is_off, season, summer_time
from trailkeep.demo.story.writer import DAY, HOUR, MINUTE, SECOND, uuid4

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.staff import Person, Registers, Staff
    from trailkeep.demo.story.writer import Writer

_OFF_PRESENCE = 0.04
_WRONG_PASSWORD, _WRONG_CODE, _FORGOTTEN = 0.05, 0.03, 0.003
_ON_CALL = 12 / 365
_OFFICE_DAYS, _MOBILE = 0.55, 0.03
_ROAMING = 0.03
"""How often an open console moves on with its laptop, from the office to a home or the other way round."""
_YEAR = 365 * DAY


@dataclass(slots=True, kw_only=True)
class _Journey:
    """Some days somewhere else."""

    begins: int
    ends: int
    network: str
    country_code: str
    shift: int = 0
    """How much later the working day begins, in nanoseconds."""


@dataclass(slots=True)
class _Calendar:
    """What one person has before."""

    away: list[tuple[int, int]] = field(default_factory=list)
    journeys: list[_Journey] = field(default_factory=list)


class Life:
    """Everybody's days; remembers when each was last there."""

    def __init__(self, writer: Writer, staff: Staff, registers: Registers, presence: float) -> None:
        self.writer = writer
        self.rng = writer.rng
        self.staff = staff
        self.registers = registers
        self.presence = presence
        self.people = list(staff.people)
        """Those who work here now."""
        self.last_login: dict[str, int] = {}
        self.left: dict[str, int] = {}
        """When those who left did so, in nanoseconds: nothing of theirs comes after."""
        self._calendars: dict[str, _Calendar] = {}
        self._plan()

    def _plan(self) -> None:
        """Holidays for all, two journeys within the country, and one abroad where the story is long."""
        span = self.writer.end - self.writer.begin
        for person in self.people:
            calendar = self._calendars[person.id] = _Calendar()
            for _ in range(max(1, round(4 * span / _YEAR))):
                begins = self.writer.begin + int(self.rng.random() * span)
                calendar.away.append((begins, begins + self.rng.choice((5, 7, 14)) * DAY))
        if span >= 60 * DAY:
            travellers = self.rng.sample([each for each in self.people if each.role != "owner"], 3)
            places = (("2001:db8:7a0:1", "", 0), ("2001:db8:7a0:2", "", 0), ("2001:db8:7a0:3", "US", 6 * HOUR))
            for person, (network, country, shift) in zip(travellers, places, strict=True):
                begins = self.writer.begin + int(self.rng.uniform(0.2, 0.9) * span)
                self._calendars[person.id].journeys.append(
                    _Journey(
                        begins=begins,
                        ends=begins + 6 * DAY,
                        network=network,
                        country_code=country or person.country_code,
                        shift=shift,
                    )
                )

    def day(self, day: int) -> None:
        """One day, which begins at `day` (nanoseconds)."""
        off = is_off(day)
        for person in list(self.people):
            calendar = self._calendars.setdefault(person.id, _Calendar())
            journey = next((each for each in calendar.journeys if each.begins <= day < each.ends), None)
            if journey is None and any(first <= day < last for first, last in calendar.away):
                continue
            presence = person.presence * self.presence * season(day) * (_OFF_PRESENCE if off else 1)
            if self.rng.random() < (0.9 if journey and not off else presence):
                begins = day + int((person.begins_at + self.rng.gauss(0, 0.4)) * HOUR) - summer_time(day)
                self._working_day(person, begins + (journey.shift if journey else 0), journey, short=off)
        if self.rng.random() < _ON_CALL * self.presence:
            self._on_call(day)

    # Where somebody is

    def home(self, person: Person, at: int) -> str:
        """The address at home, which some providers change every few weeks."""
        address = person.addresses[-1]
        habit = Random(person.id)
        if ":" not in address or habit.random() < 0.6:
            return address
        lease = (at - self.writer.begin) // (habit.randrange(25, 70) * DAY)
        return (
            address if lease == 0 else f"2001:db8:5ca1:{(habit.randrange(0xE000) + 0x100 + 7 * lease):x}::{lease + 2:x}"
        )

    def _place(self, person: Person, at: int) -> str:
        luck = self.rng.random()
        if luck < _MOBILE:
            return f"2001:db8:4600:{self.rng.randrange(0x10000):x}::1"
        return OFFICE if OFFICE in person.addresses and luck < _OFFICE_DAYS else self.home(person, at)

    # What somebody does

    def _working_day(self, person: Person, at: int, journey: _Journey | None, *, short: bool) -> None:
        rng = self.rng
        place = f"{journey.network}::{rng.randrange(2, 400):x}" if journey else self._place(person, at)
        country = journey.country_code if journey else person.country_code
        actor = Actor(person.id, place, browser_at(person, self.writer.begin, at))
        if person.login_method == "password" and rng.random() < _FORGOTTEN:
            at = self._forgotten(person, actor, at, country)
        if person.login_method == "password" and rng.random() < _WRONG_PASSWORD:
            self._fails(person, actor, at - 20 * SECOND, "invalid_password", country)
        if person.mfa and rng.random() < _WRONG_CODE:
            self._fails(person, actor, at - 12 * SECOND, "invalid_mfa", country)
        self.logs_in(person, actor, at, country)
        end = at + (rng.randrange(1, 3) if short else rng.randrange(1, 9)) * HOUR
        renewed = at
        while (renewed := renewed + HOUR + rng.randrange(-20, 20) * SECOND) < end:
            if rng.random() < _ROAMING / 4:
                actor = Actor(person.id, self._place(person, at), actor.user_agent)
            self.renews(person, actor, renewed)
        for _ in range(rng.randrange(3)):
            habits = HABITS[person.role]
            habit = rng.choices([each for each, _ in habits], [share for _, share in habits])[0]
            habit(self, person, actor, at + rng.randrange(3 * MINUTE, max(end - at, HOUR)))

    def logs_in(self, person: Person, actor: Actor, at: int, country: str | None = None) -> int:
        """A login that succeeds; returns when it is done."""
        _, done = login(
            self.writer,
            person,
            at,
            source_ip=str(actor.source_ip),
            country_code=country or person.country_code,
            user_agent=str(actor.user_agent),
        )
        if self.writer.begin <= at < self.writer.end:
            self.last_login[person.id] = at
        return done

    def renews(self, person: Person, actor: Actor, at: int) -> None:
        """An open console renews its token."""
        session_call(
            self.writer, person, at, "RenewJWT", source_ip=str(actor.source_ip), user_agent=str(actor.user_agent)
        )

    def _fails(self, person: Person, actor: Actor, at: int, reason: str, country: str) -> None:
        self.writer.authentication(
            at,
            user=person.record,
            source_ip=str(actor.source_ip),
            user_agent=str(actor.user_agent),
            country_code=country,
            method=person.login_method,
            failure_reason=reason,
        )

    def _forgotten(self, person: Person, actor: Actor, at: int, country: str) -> int:
        """The password is tried until it is clear that it must be set anew."""
        for _ in range(self.rng.randrange(3, 7)):
            self._fails(person, actor, at, "invalid_password", country)
            at += self.rng.randrange(8, 50) * SECOND
        at += self.rng.randrange(2, 9) * MINUTE
        self.call(actor, at, "account", "ChangeUserPassword", {}, self.account(person))
        return at + MINUTE

    def _on_call(self, day: int) -> None:
        """Something breaks at night."""
        person = self.rng.choice([each for each in self.people if each.role == "sre"])
        at = day + int(self.rng.uniform(0, 4.5) * HOUR)
        actor = Actor(person.id, self.home(person, at), browser_at(person, self.writer.begin, at))
        at = self.logs_in(person, actor, at)
        for _ in range(self.rng.randrange(1, 5)):
            at += self.rng.randrange(60, 600) * SECOND
            server = self.writer.resource(
                "instance_server",
                self.some_id("web", 8),
                f"web-{self.rng.randrange(8)}",
                created=self.writer.begin - DAY,
            )
            self.call(
                actor,
                at,
                "instance",
                "ServerAction",
                {"action": "reboot"},
                server,
                status=202,
                locality="fr-par-1",
                project="production",
            )

    # What habits are written with

    def account(self, person: Person) -> Record:
        """The user as Account's events name one."""
        facts = {"email": f"{person.username}@example.com"}
        return self.writer.resource("account_user", person.id, None, facts=facts)

    def some_id(self, kind: str, count: int) -> str:
        """The id of one of the `count` things of a kind that the company has for good."""
        return uuid4(Random(f"{self.writer.organization_id} {kind} {self.rng.randrange(count)}"))

    def call(
        self,
        actor: Actor,
        at: int,
        product: str,
        method: str,
        body: Record,
        *resources: Record,
        status: int = 200,
        locality: str = "fr-par",
        project: str | None = None,
    ) -> None:
        """One call at a moment; the Project is given by its name."""
        if at >= self.left.get(actor.principal, self.writer.end):
            return
        self.writer.api(
            at,
            locality=locality,
            product=product,
            method=method,
            principal=actor.principal,
            project=self.staff.projects[project] if project else None,
            source_ip=None if product == "kubernetes" else actor.source_ip,
            user_agent=actor.user_agent,
            body=body,
            status=status,
            resources=resources,
        )
