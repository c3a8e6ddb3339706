"""Puts the story together: the same arguments always give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from trailkeep.demo.names import INCIDENTS, NO_INCIDENT
from trailkeep.demo.story.automation import Automation
from trailkeep.demo.story.company import company
from trailkeep.demo.story.incident import BACKUP_SILENCE, LENGTH, night_of
from trailkeep.demo.story.incident import incident as tell_one_night
from trailkeep.demo.story.incidents import PLOTS, SILENCED
from trailkeep.demo.story.life import Life
from trailkeep.demo.story.machines import machines, system_day
from trailkeep.demo.story.model import Organization
from trailkeep.demo.story.people import PeopleAtWork
from trailkeep.demo.story.products import product_list
from trailkeep.demo.story.seasons import is_off
from trailkeep.demo.story.staff import hire, register
from trailkeep.demo.story.telling import Telling, begin_of
from trailkeep.demo.story.turnover import Turnover
from trailkeep.demo.story.writer import DAY, Writer, uuid4
from trailkeep.demo.timeline import nanoseconds_of

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.demo.story.machines import Machine
    from trailkeep.demo.story.model import Incident, Record
    from trailkeep.demo.story.staff import Registers, Staff
    from trailkeep.demo.story.telling import Plot

REGIONS = ("fr-par", "nl-ams", "pl-waw")
EVENTS_PER_DAY = 280
"""By default: about 25,000 events in 90 days."""
_WEEKDAY, _WEEKEND = 1.15, 0.62
_COMPANY_WEEKDAY, _COMPANY_OFF = 1.22, 0.72
_SYSTEM_SHARE = 0.05
_PEOPLE_NEED = 200
_COMPANY_NEEDS = 120
"""With fewer events a day than these, people come less often."""


def demo_organization(
    *,
    now: datetime,
    days: int = 90,
    seed: int = 1,
    events_per_day: int | None = None,
    organization_id: str | None = None,
    incident: str | None = INCIDENTS[0],
) -> Organization:
    """The Organization as it is at `now`, with the last `days` days of its trail.

    `events_per_day` is the aim for all kinds together on an average day; people and the incident are what
    they are, so machines make up the rest. `incident` is one of `INCIDENTS`, or None (or "none") for a company
    at its ordinary work. Raises ValueError for a span of less than a day and for an incident that is not known.
    """
    if days < 1:
        raise ValueError("a story needs at least one day")
    if incident not in {None, NO_INCIDENT, *INCIDENTS}:
        raise ValueError(f"there is no incident {incident!r}; known are {', '.join(INCIDENTS)}")
    rng = Random(seed)
    end = nanoseconds_of(now)
    organization = organization_id or uuid4(rng)
    writer = Writer(organization, rng, begin=end - days * DAY, end=end)
    busy = events_per_day or EVENTS_PER_DAY
    told = _one_night(writer, busy) if incident == INCIDENTS[0] else _company(writer, busy, incident)
    events, times = writer.finished(REGIONS)
    registers = told.registers
    return Organization(
        organization_id=organization,
        now=now,
        days=days,
        regions=REGIONS,
        users=registers.users,
        applications=registers.applications,
        groups=registers.groups,
        api_keys=registers.api_keys,
        policies=registers.policies,
        rules=registers.rules,
        projects=registers.projects,
        ssh_keys=registers.ssh_keys,
        logs=sorted(writer.logs, key=lambda log: str(log["created_at"]), reverse=True),
        products={region: product_list(region) for region in REGIONS},
        export_jobs=_export_jobs(writer),
        events=events,
        times=times,
        incident=told.incident,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    registers: Registers
    incident: Incident | None


def _one_night(writer: Writer, events_per_day: int) -> _Told:
    """The small Organization of the tour and its night."""
    staff = hire(writer.rng, writer.organization_id)
    registers = register(staff, writer)
    night = night_of(writer.begin, writer.end)
    _entered(writer, registers, _everyday(writer, staff, night, events_per_day))
    return _Told(registers, tell_one_night(writer, staff, registers, night))


def _company(writer: Writer, events_per_day: int, incident: str | None) -> _Told:
    """A company at work, and one of the other incidents in it, or none."""
    staff = company(writer.rng, writer.organization_id)
    registers = register(staff, writer)
    plot = PLOTS.get(incident or NO_INCIDENT)
    at, pace = begin_of(plot, writer.begin, writer.end) if plot else (0, 1.0)
    life = Life(writer, staff, registers, presence=min(1.0, events_per_day / _COMPANY_NEEDS))
    automation = Automation(writer, staff, registers, scale=min(1.0, events_per_day / EVENTS_PER_DAY))
    if plot and incident in SILENCED:
        automation.silent[SILENCED[incident]] = (at + plot.length // 2, at + plot.length + BACKUP_SILENCE)
    turnover = Turnover(life)
    told: Incident | None = None
    for day in range(writer.begin - writer.begin % DAY, writer.end, DAY):
        if plot and told is None and at < day + DAY:
            # In its place among the days, so that the directory is as it was then.
            told = _tell(writer, replace(staff, people=tuple(life.people)), registers, incident or "", plot, at, pace)
        wanted = round(events_per_day * (_COMPANY_OFF if is_off(day) else _COMPANY_WEEKDAY))
        before = writer.written
        turnover.day(day)
        life.day(day)
        by_system = round(wanted * _SYSTEM_SHARE)
        system_day(writer, staff, day, by_system)
        automation.day(day, max(0, wanted - by_system - (writer.written - before)))
    _entered(writer, registers, life.last_login)
    return _Told(registers, told)


def _tell(writer: Writer, staff: Staff, registers: Registers, name: str, plot: Plot, at: int, pace: float) -> Incident:
    telling = Telling(writer, staff, registers, name=name, at=at, pace=pace)
    plot.tell(telling)
    return telling.finished()


def _entered(writer: Writer, registers: Registers, last_login: dict[str, int]) -> None:
    """Enter when each user was last there."""
    for user in registers.users:
        if user["id"] in last_login:
            user["last_login_at"] = writer.time(last_login[user["id"]])


def _everyday(writer: Writer, staff: Staff, night: int, events_per_day: int) -> dict[str, int]:
    """Write the ordinary days and return when each person last logged in (nanoseconds)."""
    people = PeopleAtWork(writer, staff, presence=min(1.0, events_per_day / _PEOPLE_NEED))
    at_work = machines(writer, staff)
    at_work["nightly-backup"][1].silent = (night + LENGTH, night + LENGTH + BACKUP_SILENCE)
    for day in range(writer.begin - writer.begin % DAY, writer.end, DAY):
        # 1 January 1970 was a Thursday.
        weekend = (day // DAY + 3) % 7 >= 5
        wanted = round(events_per_day * (_WEEKEND if weekend else _WEEKDAY))
        before = writer.written
        people.day(day, weekend=weekend)
        by_system = round(wanted * _SYSTEM_SHARE)
        system_day(writer, staff, day, by_system)
        left = max(0, wanted - by_system - (writer.written - before))
        _machines_day(at_work, day, left)
    return people.last_login


def _machines_day(at_work: dict[str, tuple[float, Machine]], day: int, calls: int) -> None:
    for share, machine in at_work.values():
        machine.work(day, round(calls * share))


def _export_jobs(writer: Writer) -> dict[str, list[Record]]:
    """One job that is left, in nl-ams: the one in fr-par fell in the incident."""
    job: Record = {
        "id": uuid4(writer.rng),
        "organization_id": writer.organization_id,
        "name": "to-bucket",
        "tags": [],
        "created_at": writer.time(writer.begin - 100 * DAY),
        "last_run_at": writer.time(writer.end - writer.end % DAY),
        "last_status": {"code": "success"},
        "s3": {"bucket": "audit-archive", "region": "nl-ams", "prefix": "trail", "project_id": None},
    }
    return {"nl-ams": [job]}
