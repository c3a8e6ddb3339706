"""A company of middle size: the people and machines of the small story, and more of both."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from trailkeep.demo.story.staff import (
    CHROME,
    FIREFOX,
    PYTHON_SDK,
    SAFARI,
    TERRAFORM,
    Application,
    Person,
    Staff,
    hire,
)
from trailkeep.demo.story.writer import DAY, uuid4

if TYPE_CHECKING:
    from random import Random

OFFICE = "192.0.2.10"
PACKER = "packer-plugin-scaleway/1.4.1 (go1.25.3; linux; amd64) scaleway-sdk-go/v1.0.0-beta.35"
VENDOR = "watchtower-collector/7.3"

_COLLEAGUES = (
    # first and last name, role, country
    ("Nora", "Lambert", "developer", "FR"),
    ("Yanis", "Roux", "developer", "FR"),
    ("Elif", "Kaya", "developer", "FR"),
    ("Paul", "Garnier", "developer", "FR"),
    ("Zofia", "Wrona", "developer", "PL"),
    ("Daan", "Bakker", "developer", "NL"),
    ("Emma", "Gagnon", "developer", "CA"),
    ("Lucie", "Faure", "sre", "FR"),
    ("Pieter", "Smit", "sre", "NL"),
    ("Adam", "Mazur", "data", "PL"),
    ("Chloé", "Renard", "data", "FR"),
    ("Victor", "Blanc", "security", "FR"),
    ("Sarah", "Colin", "finance", "FR"),
)
NEWCOMERS = (
    ("Tom", "Vidal", "developer", "FR"),
    ("Anna", "Kowal", "developer", "PL"),
    ("Rémi", "Perrin", "sre", "FR"),
    ("Maud", "Giraud", "data", "FR"),
    ("Lars", "Visser", "developer", "NL"),
    ("Inga", "Zielin", "data", "PL"),
    ("Samir", "Haddad", "developer", "FR"),
    ("Julie", "Caron", "security", "FR"),
)
_MACHINES = (
    ("terraform-iam", "Applies the repository of users, groups and policies", ("192.0.2.202",), TERRAFORM),
    ("key-rotator", "Gives every application a new API key each month", ("192.0.2.203",), PYTHON_SDK),
    ("image-builder", "Builds the golden image every week", ("192.0.2.204",), PACKER),
    ("metrics-vendor", "Watchtower, the monitoring service", ("2001:db8:7ea:1::44",), VENDOR),
)
_BEGINS_AT = {"FR": 8.0, "PL": 7.0, "NL": 7.5, "CA": 13.5}
"""The hour, UTC and in winter, around which the working day begins."""


def company(rng: Random, organization_id: str) -> Staff:
    """The whole staff, with ids, habits and homes from `rng`."""
    small = hire(rng, organization_id)
    people = [*small.people, *(employ(rng, *each) for each in _COLLEAGUES)]
    machines = [
        Application(id=uuid4(rng), name=name, description=text, addresses=addresses, user_agent=agent)
        for name, text, addresses, agent in _MACHINES
    ]
    return replace(small, people=tuple(people), applications=(*small.applications, *machines))


def employ(rng: Random, first: str, last: str, role: str, country: str) -> Person:
    """Somebody new; in France there is an office, and everybody has a home."""
    home = f"2001:db8:5ca1:{rng.randrange(0x100, 0xFFFF):x}::{rng.randrange(2, 0xFFF):x}"
    method = rng.choices(("password", "oauth2", "authentication_code"), (7, 2, 1 if role == "finance" else 0))[0]
    return Person(
        id=uuid4(rng),
        username=f"{first[0]}{last}".lower().replace("é", "e"),
        first_name=first,
        last_name=last,
        role=role,
        addresses=(OFFICE, home) if country == "FR" else (home,),
        country_code=country,
        browser=rng.choice((CHROME, FIREFOX, SAFARI)),
        login_method=method,
        mfa=method == "password" and (role in {"sre", "security"} or rng.random() < 0.7),
        begins_at=_BEGINS_AT[country] + rng.uniform(-0.7, 1.0),
        presence=0.2 if role == "finance" else rng.uniform(0.35, 0.75),
    )


def browser_at(person: Person, begin: int, at: int) -> str:
    """The browser after its updates, one a month since `begin` (nanoseconds)."""
    months = max(0, at - begin) // (30 * DAY)
    return re.sub(r"(Chrome/|rv:|Firefox/)(\d+)", lambda found: f"{found[1]}{int(found[2]) + months}", person.browser)
