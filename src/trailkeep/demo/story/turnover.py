"""People come and go in a year: invitations, first days, last days, and second factors that are set anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.company import NEWCOMERS, browser_at, employ
from trailkeep.demo.story.habits import iam
from trailkeep.demo.story.model import Actor
from trailkeep.demo.story.seasons import is_off
from trailkeep.demo.story.staff import access_key
from trailkeep.demo.story.writer import DAY, HOUR, MINUTE, SECOND, uuid4

if TYPE_CHECKING:
    from trailkeep.demo.story.life import Life
    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.staff import Person

_JOIN, _LEAVE, _NEW_PHONE, _LOST_PHONE, _RIGHTS = 8, 5, 7, 2, 4
"""How many in a year: newcomers, farewells, second factors by oneself and by an administrator, new duties."""
_GROUPS = {"developer": "developers", "data": "developers", "sre": "operators", "finance": "billing"}


class Turnover:
    """Decides on which days what happens, and writes it when the day comes."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.rng = life.rng
        self._newcomers = list(NEWCOMERS)
        self._due: dict[int, list[str]] = {}
        begin, end = life.writer.begin, life.writer.end
        days = [day for day in range(begin - begin % DAY + DAY, end - DAY, DAY) if not is_off(day)]
        plan = (("join", _JOIN), ("leave", _LEAVE), ("phone", _NEW_PHONE), ("lost", _LOST_PHONE), ("duty", _RIGHTS))
        for name, yearly in plan:
            wanted = yearly * (end - begin) / (365 * DAY)
            for _ in range(int(wanted) + (self.rng.random() < wanted % 1) if days else 0):
                self._due.setdefault(self.rng.choice(days), []).append(name)

    def day(self, day: int) -> None:
        """What is due on the day that begins at `day` (nanoseconds)."""
        for name in self._due.get(day, []):
            admin = self.rng.choice([each for each in self.life.people if each.role == "security"])
            at = day + int(self.rng.uniform(8.5, 12) * HOUR)
            actor = Actor(admin.id, admin.addresses[0], browser_at(admin, self.life.writer.begin, at))
            at = self.life.logs_in(admin, actor, at) + self.rng.randrange(60, 600) * SECOND
            {"join": self._join, "leave": self._leave, "phone": self._phone, "lost": self._lost, "duty": self._duty}[
                name
            ](actor, at)

    def _member(self, actor: Actor, at: int, method: str, person: Person, group_name: str) -> None:
        group = next(each for each in self.life.registers.groups if each["name"] == group_name)
        resource = self.life.writer.resource("iam_group", group["id"], group_name, updated=at)
        iam(self.life, actor, at, method, {"group_id": group["id"], "user_id": person.id}, resource)

    def _join(self, admin: Actor, at: int) -> None:
        if not self._newcomers:
            return
        life, writer = self.life, self.life.writer
        person = employ(self.rng, *self._newcomers.pop(0))
        body = {
            "organization_id": writer.organization_id,
            "email": f"{person.username}@example.com",
            "first_name": person.first_name,
            "last_name": person.last_name,
        }
        iam(life, admin, at, "CreateUser", body, writer.resource("iam_user", person.id, person.username, created=at))
        self._member(admin, at + 40 * SECOND, "AddGroupMember", person, _GROUPS.get(person.role, "administrators"))
        life.people.append(person)
        mine = Actor(person.id, person.addresses[0], browser_at(person, writer.begin, at))
        first = life.logs_in(person, mine, at + self.rng.randrange(2, 28) * HOUR // 10)
        if person.mfa:
            self._enrol(mine, person, first + 2 * MINUTE)
        if person.role in {"developer", "sre"}:
            self._first_keys(mine, person, first + 20 * MINUTE)

    def _first_keys(self, mine: Actor, person: Person, at: int) -> None:
        life, writer = self.life, self.life.writer
        name = f"{person.username}-laptop"
        body: Record = {"name": name, "public_key": "ssh-ed25519 AAAA", "project_id": life.staff.projects["staging"]}
        iam(life, mine, at, "CreateSSHKey", body, writer.resource("iam_ssh_key", uuid4(self.rng), name, created=at))
        at += 4 * MINUTE
        body = {"user_id": person.id, "description": "cli", "expires_at": writer.time(at + 90 * DAY)}
        iam(
            life, mine, at, "CreateAPIKey", body, writer.resource("iam_api_key", access_key(self.rng), None, created=at)
        )

    def _enrol(self, mine: Actor, person: Person, at: int) -> None:
        user = self.life.writer.resource("iam_user", person.id, person.username)
        for method in ("CreateUserMFAOTP", "ValidateUserMFAOTP"):
            iam(self.life, mine, at, method, {"user_id": person.id}, user)
            at += 30 * SECOND

    def _leave(self, admin: Actor, at: int) -> None:
        life, writer = self.life, self.life.writer
        # Those of the small story stay, so that every incident finds whom it needs.
        staying = {each.id for each in life.staff.people[:8]} | {admin.principal}
        candidates = [each for each in life.people if each.id not in staying and each.role != "security"]
        person = self.rng.choice(candidates)
        life.people.remove(person)
        life.left[person.id] = at
        user = writer.resource("iam_user", person.id, person.username, updated=at)
        iam(life, admin, at, "LockMember", {"user_id": person.id}, user)
        self._member(admin, at + 30 * SECOND, "RemoveGroupMember", person, _GROUPS.get(person.role, "administrators"))
        at += 60 * SECOND
        for key in [each for each in life.registers.api_keys if each.get("user_id") == person.id]:
            ended = writer.resource("iam_api_key", key["access_key"], None, deleted=at)
            iam(life, admin, at, "DeleteAPIKey", {}, ended)
            at += 15 * SECOND
        if self.rng.random() < 0.6:
            # The account stays, locked, for whoever reads the trail later.
            return
        later = at + self.rng.randrange(1, 20) * DAY
        iam(life, admin, later, "DeleteUser", {}, {**user, "deleted_at": writer.time(later)})

    def _phone(self, _admin: Actor, at: int) -> None:
        """A new phone, and its owner moves the second factor."""
        person = self.rng.choice([each for each in self.life.people if each.mfa])
        mine = Actor(person.id, person.addresses[0], browser_at(person, self.life.writer.begin, at))
        at = self.life.logs_in(person, mine, at + 2 * MINUTE)
        user = self.life.writer.resource("iam_user", person.id, person.username)
        iam(self.life, mine, at, "DeleteUserMFAOTP", {"user_id": person.id}, user)
        self._enrol(mine, person, at + MINUTE)

    def _lost(self, admin: Actor, at: int) -> None:
        """A lost phone: an administrator takes the second factor away, and its owner sets up another."""
        person = self.rng.choice([each for each in self.life.people if each.mfa and each.id != admin.principal])
        user = self.life.writer.resource("iam_user", person.id, person.username)
        iam(self.life, admin, at, "DeleteUserMFAOTP", {"user_id": person.id}, user)
        mine = Actor(person.id, person.addresses[0], browser_at(person, self.life.writer.begin, at))
        self._enrol(mine, person, at + self.rng.randrange(10, 50) * MINUTE)

    def _duty(self, admin: Actor, at: int) -> None:
        """Somebody takes over another duty."""
        person = self.rng.choice([each for each in self.life.people if each.role in {"developer", "data"}])
        self._member(admin, at, "AddGroupMember", person, "operators")
