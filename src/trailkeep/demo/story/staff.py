"""Who and what works in the Organization: people, IAM applications, and the records that name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.demo.story.writer import DAY, uuid4

if TYPE_CHECKING:
    from random import Random

    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.writer import Writer

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/26.0 Safari/605.1.15"
)
TERRAFORM = "scaleway-sdk-go/v1.0.0-beta.36 (go1.26.1; linux; amd64) terraform-provider/2.60.0 terraform/1.13.1"
CLI = "scaleway-cli/2.41.0 (go1.26.1; darwin; arm64) scaleway-sdk-go/v1.0.0-beta.36 (go1.26.1; darwin; arm64)"
GO_SDK = "scaleway-sdk-go/v1.0.0-beta.35 (go1.25.3; linux; amd64)"
PYTHON_SDK = "scaleway-sdk-python/2.11.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the console. Addresses are of the ranges reserved for documentation."""

    id: str
    username: str
    first_name: str
    last_name: str
    role: str
    addresses: tuple[str, ...]
    country_code: str
    browser: str
    login_method: str
    mfa: bool
    begins_at: float
    """The hour, UTC, around which the working day begins."""
    presence: float
    """How probable a login is on a working day."""

    @property
    def record(self) -> Record:
        """The little that events need to name the user."""
        return {"id": self.id, "username": self.username}


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A machine with an API key."""

    id: str
    name: str
    description: str
    addresses: tuple[str, ...]
    user_agent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Everyone and everything at work, and the projects they work in."""

    people: tuple[Person, ...]
    applications: tuple[Application, ...]
    projects: dict[str, str]
    """Ids by name; the default Project has the Organization's own id."""

    def person(self, username: str) -> Person:
        """The person with this username."""
        return next(each for each in self.people if each.username == username)

    def application(self, name: str) -> Application:
        """The application with this name."""
        return next(each for each in self.applications if each.name == name)


_OFFICE = "192.0.2.10"
_HOME_V6 = "2001:db8:5ca1:1::17"
_PEOPLE = (
    # username, first and last name, role, addresses, country, browser, login, mfa, begins at, presence
    ("cdubois", "Claire", "Dubois", "owner", (_OFFICE,), "FR", SAFARI, "password", True, 7.5, 0.5),
    ("imoreau", "Inès", "Moreau", "security", (_OFFICE, _HOME_V6), "FR", FIREFOX, "password", True, 7.0, 0.9),
    (
        "lmartin",
        "Léa",
        "Martin",
        "developer",
        (_OFFICE, "192.0.2.77"),
        "FR",
        CHROME,
        "password",
        False,
        8.0,
        0.9,
    ),
    ("hbernard", "Hugo", "Bernard", "developer", (_OFFICE,), "FR", FIREFOX, "oauth2", False, 8.5, 0.85),
    ("mleroy", "Marc", "Leroy", "sre", (_OFFICE, "192.0.2.91"), "FR", CHROME, "password", True, 6.5, 0.9),
    ("tnowak", "Tomasz", "Nowak", "sre", ("192.0.2.140",), "PL", FIREFOX, "password", True, 6.0, 0.9),
    ("jdevries", "Jan", "de Vries", "data", ("192.0.2.170",), "NL", CHROME, "password", True, 7.5, 0.8),
    (
        "apetit",
        "Amélie",
        "Petit",
        "finance",
        (_OFFICE,),
        "FR",
        CHROME,
        "authentication_code",
        False,
        8.0,
        0.25,
    ),
)

_APPLICATIONS = (
    ("ci-deploy", "Deploys production and staging from CI", ("192.0.2.200", "192.0.2.201"), TERRAFORM),
    ("autoscaler", "Grows and shrinks the worker fleet", ("192.0.2.210",), GO_SDK),
    ("kubernetes-operator", "Keeps the node pools in shape", (), None),
    ("nightly-backup", "Databases and volumes, every night", ("192.0.2.220",), PYTHON_SDK),
    ("secret-rotator", "Rotates credentials in Secret Manager", ("2001:db8:5ca1:2::9",), PYTHON_SDK),
)


def hire(rng: Random, organization_id: str) -> Staff:
    """The same people and machines with ids from `rng`."""
    people = tuple(
        Person(
            id=uuid4(rng),
            username=username,
            first_name=first,
            last_name=last,
            role=role,
            addresses=addresses,
            country_code=country,
            browser=browser,
            login_method=login,
            mfa=mfa,
            begins_at=begins,
            presence=presence,
        )
        for username, first, last, role, addresses, country, browser, login, mfa, begins, presence in _PEOPLE
    )
    applications = tuple(
        Application(id=uuid4(rng), name=name, description=text, addresses=addresses, user_agent=agent)
        for name, text, addresses, agent in _APPLICATIONS
    )
    projects = {"default": organization_id} | {name: uuid4(rng) for name in ("production", "staging", "analytics")}
    return Staff(people=people, applications=applications, projects=projects)


def access_key(rng: Random) -> str:
    """A made-up access key: SCW and 17 letters or digits."""
    return "SCW" + "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=17))


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """The IAM and Account records of the staff, before the incident adds its own."""

    users: list[Record]
    applications: list[Record]
    groups: list[Record]
    api_keys: list[Record]
    policies: list[Record]
    rules: dict[str, list[Record]]
    projects: list[Record]
    ssh_keys: list[Record]


def register(staff: Staff, writer: Writer) -> Registers:
    """The records of `staff`, all made in the two years before the story begins."""
    clerk = _Clerk(staff, writer)
    groups = [
        clerk.group("administrators", ("owner", "security")),
        clerk.group("operators", ("sre",)),
        clerk.group("developers", ("developer", "data")),
        clerk.group("billing", ("finance",)),
    ]
    policies, rules = clerk.policies(groups)
    return Registers(
        users=[clerk.user(person) for person in staff.people],
        applications=[clerk.application(each) for each in staff.applications],
        groups=groups,
        api_keys=[clerk.api_key(each.id, user=False) for each in staff.applications]
        + [clerk.api_key(person.id, user=True) for person in staff.people if person.role in {"sre", "developer"}],
        policies=policies,
        rules=rules,
        projects=[clerk.project(name, project_id) for name, project_id in staff.projects.items()],
        ssh_keys=[clerk.ssh_key(person) for person in staff.people if person.role in {"sre", "developer"}],
    )


class _Clerk:
    """Writes records with dates before the story begins."""

    def __init__(self, staff: Staff, writer: Writer) -> None:
        self.staff = staff
        self.writer = writer
        self.rng = writer.rng
        self.organization_id = writer.organization_id

    def _dates(self) -> Record:
        created = self.writer.begin - self.rng.randrange(20, 700) * DAY - self.rng.randrange(DAY)
        text = self.writer.time(created)
        return {"created_at": text, "updated_at": text}

    def user(self, person: Person) -> Record:
        email = f"{person.username}@example.com"
        return {
            "id": person.id,
            "email": email,
            "username": person.username,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "phone_number": "",
            "locale": "fr_FR" if person.country_code == "FR" else "en_US",
            "organization_id": self.organization_id,
            "deletable": person.role != "owner",
            **self._dates(),
            "last_login_at": None,
            "type": "owner" if person.role == "owner" else "member",
            "two_factor_enabled": person.mfa,
            "status": "activated",
            "mfa": person.mfa,
            "account_root_user_id": uuid4(self.rng),
            "tags": [person.role],
            "locked": False,
        }

    def application(self, application: Application) -> Record:
        return {
            "id": application.id,
            "name": application.name,
            "description": application.description,
            **self._dates(),
            "organization_id": self.organization_id,
            "editable": True,
            "deletable": True,
            "managed": False,
            "nb_api_keys": 1,
            "tags": [],
        }

    def group(self, name: str, roles: tuple[str, ...]) -> Record:
        return {
            "id": uuid4(self.rng),
            **self._dates(),
            "organization_id": self.organization_id,
            "name": name,
            "description": "",
            "user_ids": [person.id for person in self.staff.people if person.role in roles],
            "application_ids": [],
            "tags": [],
            "editable": True,
            "deletable": True,
            "managed": False,
            "all_users": False,
            "all_applications": False,
        }

    def api_key(self, bearer_id: str, *, user: bool) -> Record:
        return {
            "access_key": access_key(self.rng),
            "secret_key": None,
            "application_id" if not user else "user_id": bearer_id,
            "description": "",
            **self._dates(),
            "expires_at": None,
            "default_project_id": self.staff.projects["production"],
            "editable": True,
            "deletable": True,
            "managed": False,
            "creation_ip": "192.0.2.10",
        }

    def policies(self, groups: list[Record]) -> tuple[list[Record], dict[str, list[Record]]]:
        grants = [
            (group["name"], {"group_id": group["id"]}, permissions)
            for group, permissions in zip(
                groups,
                (
                    ["OrganizationManager"],
                    ["AllProductsFullAccess"],
                    ["AllProductsReadOnly"],
                    ["BillingReadOnly"],
                ),
                strict=True,
            )
        ]
        machine_sets = {
            "ci-deploy": ["AllProductsFullAccess", "IAMManager"],
            "autoscaler": ["InstancesFullAccess"],
            "kubernetes-operator": ["KubernetesFullAccess"],
            "nightly-backup": ["RelationalDatabasesFullAccess", "InstancesFullAccess"],
            "secret-rotator": ["SecretManagerFullAccess"],
            "terraform-iam": ["IAMManager"],
            "key-rotator": ["IAMManager"],
            "metrics-vendor": ["ObservabilityFullAccess", "AllProductsReadOnly", "EdgeServicesFullAccess"],
            "image-builder": ["InstancesFullAccess"],
        }
        grants += [
            (each.name, {"application_id": each.id}, machine_sets[each.name]) for each in self.staff.applications
        ]
        policies = [self.policy(name, bearer, sets) for name, bearer, sets in grants]
        rules = {
            policy["id"]: [self.rule(sets, organization=sets == ["OrganizationManager"])]
            for policy, (_, _, sets) in zip(policies, grants, strict=True)
        }
        return policies, rules

    def policy(self, name: str, bearer: Record, sets: list[str]) -> Record:
        return {
            "id": uuid4(self.rng),
            "name": name,
            "description": "",
            "organization_id": self.organization_id,
            **self._dates(),
            "editable": True,
            "deletable": True,
            "managed": False,
            "nb_rules": 1,
            "nb_scopes": 1,
            "nb_permission_sets": len(sets),
            "tags": [],
            **bearer,
        }

    def rule(self, sets: list[str], *, organization: bool) -> Record:
        scope: Record = (
            {"organization_id": self.organization_id}
            if organization
            else {"project_ids": list(self.staff.projects.values())}
        )
        return {
            "id": uuid4(self.rng),
            "permission_set_names": sets,
            "permission_sets_scope_type": "organization" if organization else "projects",
            "condition": "",
            **scope,
        }

    def project(self, name: str, project_id: str) -> Record:
        return {
            "id": project_id,
            "name": name,
            "organization_id": self.organization_id,
            **self._dates(),
            "description": "",
            "status": "ready",
        }

    def ssh_key(self, person: Person) -> Record:
        # The shape of an Ed25519 key; no private half exists.
        body = "".join(self.rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=43))
        return {
            "id": uuid4(self.rng),
            "name": f"{person.username}-laptop",
            "public_key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{body} {person.username}@example.com",
            "fingerprint": f"256 SHA256:{body[::-1]} {person.username}@example.com (ssh-ed25519)",
            **self._dates(),
            "organization_id": self.organization_id,
            "project_id": self.staff.projects["production"],
            "disabled": False,
        }
