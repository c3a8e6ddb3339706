"""The days of the people: logging in, a console that renews its session, and a few changes by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.staff import CLI
from trailkeep.demo.story.writer import HOUR, MINUTE, SECOND, uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.staff import Person, Staff
    from trailkeep.demo.story.writer import Writer

_LOGIN_CALLS = {
    "password": "CreatePasswordLogin",
    "oauth2": "CreateOAuth2Login",
    "authentication_code": "CreateMagicCodeLogin",
    "saml": "CreateSamlLogin",
}
_WEEKEND_PRESENCE = 0.06
_WRONG_PASSWORD = 0.06
_WRONG_CODE = 0.04


def login(
    writer: Writer, person: Person, at: int, *, source_ip: str, country_code: str, user_agent: str
) -> tuple[list[str], int]:
    """A successful login, as the authentication event and the calls behind it: their ids, and when it ended."""
    ids = [
        writer.authentication(
            at,
            user=person.record,
            source_ip=source_ip,
            user_agent=user_agent,
            country_code=country_code,
            method=person.login_method,
            mfa=person.mfa,
        )
    ]
    methods = [
        _LOGIN_CALLS[person.login_method],
        *(["CheckLoginMFAOTP"] if person.mfa else []),
        "CommitLogin",
    ]
    for method in methods:
        ids.append(session_call(writer, person, at, method, source_ip=source_ip, user_agent=user_agent))
        at += writer.rng.randrange(SECOND, 6 * SECOND)
    return ids, at


def session_call(writer: Writer, person: Person, at: int, method: str, *, source_ip: str, user_agent: str) -> str:
    """One step of a login, or a renewal of its token; returns the event's id."""
    return writer.api(
        at,
        locality="fr-par",
        product="iam",
        method=method,
        principal=person.id,
        source_ip=source_ip,
        user_agent=user_agent,
        body={"email": f"{person.username}@example.com"} if method == "CreatePasswordLogin" else {},
        resources=[writer.resource("iam_user", person.id, person.username)],
    )


class PeopleAtWork:
    """All people of the staff, day by day; remembers when each was last there."""

    def __init__(self, writer: Writer, staff: Staff, presence: float) -> None:
        self.writer = writer
        self.staff = staff
        self.presence = presence
        """Scales how often people come, for stories with very few events."""
        self.last_login: dict[str, int] = {}

    def day(self, day: int, *, weekend: bool) -> None:
        """One day, which begins at `day` (nanoseconds)."""
        rng = self.writer.rng
        for person in self.staff.people:
            presence = person.presence * (_WEEKEND_PRESENCE if weekend else 1) * self.presence
            if rng.random() < presence:
                begins = day + int((person.begins_at + rng.gauss(0, 0.4)) * HOUR)
                self._working_day(person, begins, hours=2 if weekend else rng.randrange(6, 10))

    def _working_day(self, person: Person, at: int, *, hours: int) -> None:
        writer, rng = self.writer, self.writer.rng
        source_ip = rng.choice(person.addresses)
        if person.login_method == "password" and rng.random() < _WRONG_PASSWORD:
            self._fails(person, at - 20 * SECOND, source_ip, "invalid_password")
        if person.mfa and rng.random() < _WRONG_CODE:
            self._fails(person, at - 12 * SECOND, source_ip, "invalid_mfa")
        _, renewed = login(
            writer,
            person,
            at,
            source_ip=source_ip,
            country_code=person.country_code,
            user_agent=person.browser,
        )
        if writer.begin <= at < writer.end:
            self.last_login[person.id] = at
        end = at + hours * HOUR
        while (renewed := renewed + HOUR + rng.randrange(-20, 20) * SECOND) < end:
            session_call(writer, person, renewed, "RenewJWT", source_ip=source_ip, user_agent=person.browser)
        for _ in range(rng.randrange(4)):
            change = rng.choice(_CHANGES[person.role])
            change(self, person, at + rng.randrange(5 * MINUTE, hours * HOUR), source_ip)

    def _fails(self, person: Person, at: int, source_ip: str, reason: str) -> None:
        self.writer.authentication(
            at,
            user=person.record,
            source_ip=source_ip,
            user_agent=person.browser,
            country_code=person.country_code,
            method=person.login_method,
            failure_reason=reason,
        )

    # Changes by hand

    def _iam(self, person: Person, at: int, source_ip: str, method: str, body: Record, resource: Record) -> None:
        self.writer.api(
            at,
            locality="fr-par",
            product="iam",
            method=method,
            principal=person.id,
            source_ip=source_ip,
            user_agent=person.browser,
            body=body,
            resources=[resource],
        )

    def _own_key(self, person: Person, at: int, source_ip: str) -> None:
        """An API key for oneself that expires, as it should."""
        expires = self.writer.time(at + 30 * 24 * HOUR)
        body = {"user_id": person.id, "description": "local work", "expires_at": expires}
        key = self.writer.resource("iam_api_key", uuid4(self.writer.rng), None, created=at, updated=at)
        self._iam(person, at, source_ip, "CreateAPIKey", body, key)

    def _ssh_key(self, person: Person, at: int, source_ip: str) -> None:
        project = self.staff.projects["staging"]
        body = {"name": f"{person.username}-new", "public_key": "ssh-ed25519 AAAA", "project_id": project}
        key = self.writer.resource(
            "iam_ssh_key", uuid4(self.writer.rng), f"{person.username}-new", created=at, updated=at
        )
        self._iam(person, at, source_ip, "CreateSSHKey", body, key)

    def _group_member(self, person: Person, at: int, source_ip: str) -> None:
        other = self.writer.rng.choice(self.staff.people)
        group = self.writer.resource("iam_group", uuid4(self.writer.rng), "developers", created=at - 90 * 24 * HOUR)
        self._iam(person, at, source_ip, "AddGroupMember", {"user_id": other.id}, group)

    def _server_action(self, person: Person, at: int, source_ip: str) -> None:
        rng = self.writer.rng
        server = self.writer.resource(
            "instance_server", uuid4(rng), f"debug-{rng.getrandbits(16):04x}", created=at - HOUR
        )
        self.writer.api(
            at,
            locality=f"{'pl-waw' if person.country_code == 'PL' else 'fr-par'}-1",
            product="instance",
            method="ServerAction",
            principal=person.id,
            project=self.staff.projects["staging"],
            source_ip=source_ip,
            user_agent=CLI,
            body={"action": rng.choice(("reboot", "poweroff", "poweron"))},
            status=202,
            resources=[server],
        )

    def _database_rule(self, person: Person, at: int, source_ip: str) -> None:
        rng = self.writer.rng
        instance = self.writer.resource("rdb_instance", uuid4(rng), "warehouse", created=at - 24 * HOUR, updated=at)
        self.writer.api(
            at,
            locality="nl-ams" if person.country_code == "NL" else "fr-par",
            product="rdb",
            method="AddInstanceACLRules",
            principal=person.id,
            project=self.staff.projects["analytics"],
            source_ip=source_ip,
            user_agent=person.browser,
            body={"rules": [{"ip": f"{source_ip}/32" if "." in source_ip else f"{source_ip}/128", "description": ""}]},
            resources=[instance],
        )

    def _preferences(self, person: Person, at: int, source_ip: str) -> None:
        self.writer.api(
            at,
            locality="fr-par",
            product="account",
            method="UpdateUserPreferences",
            principal=person.id,
            source_ip=source_ip,
            user_agent=person.browser,
            body={"theme": "dark"},
            resources=[
                self.writer.resource("account_user", person.id, None, facts={"email": f"{person.username}@example.com"})
            ],
        )


_CHANGES: dict[str, tuple[Callable[[PeopleAtWork, Person, int, str], None], ...]] = {
    "owner": (PeopleAtWork._preferences,),
    "security": (PeopleAtWork._group_member, PeopleAtWork._preferences),
    "developer": (
        PeopleAtWork._ssh_key,
        PeopleAtWork._server_action,
        PeopleAtWork._own_key,
        PeopleAtWork._server_action,
    ),
    "sre": (PeopleAtWork._server_action, PeopleAtWork._database_rule, PeopleAtWork._server_action),
    "data": (PeopleAtWork._database_rule, PeopleAtWork._preferences),
    "finance": (PeopleAtWork._preferences,),
}
