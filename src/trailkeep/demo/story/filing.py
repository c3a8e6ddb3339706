"""The directory follows what is done: who is made, locked or deleted by a call is so in the IAM lists afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.demo.story.writer import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

    from trailkeep.demo.story.model import Record
    from trailkeep.demo.story.staff import Registers
    from trailkeep.demo.story.writer import Writer


def file(writer: Writer, registers: Registers, at: int, method: str, body: Record, resource: Record, ip: str) -> None:
    """Enter one call of IAM that succeeded, its body in snake_case, and the first resource it names."""
    if method in _FILED:
        _FILED[method](_Entry(writer, registers, writer.time(at), body, resource, ip))


class _Entry:
    def __init__(
        self, writer: Writer, registers: Registers, moment: str, body: Record, resource: Record, ip: str
    ) -> None:
        self.writer = writer
        self.registers = registers
        self.body = body
        self.id = str(resource["id"])
        self.name = resource["name"]
        self.ip = ip
        self.dates = {"created_at": moment, "updated_at": moment}
        self.moment = moment

    def key(self) -> None:
        bearer = {name: self.body[name] for name in ("user_id", "application_id") if self.body.get(name)}
        kept = {
            name: value
            for name, value in self.registers.api_keys[0].items()
            if name not in {"user_id", "application_id"}
        }
        self.registers.api_keys.append(
            {
                **kept,
                **self.dates,
                **bearer,
                "access_key": self.id,
                "expires_at": self.body.get("expires_at"),
                "creation_ip": self.ip,
            }
        )

    def changed_key(self) -> None:
        for key in self.registers.api_keys:
            if key["access_key"] == self.id:
                key |= {"expires_at": self.body.get("expires_at", key["expires_at"]), "updated_at": self.moment}

    def application(self) -> None:
        model = self.registers.applications[0]
        self.registers.applications.append({**model, **self.dates, "id": self.id, "name": self.name, "description": ""})

    def user(self) -> None:
        email = str(self.body.get("email", ""))
        self.registers.users.append(
            {
                **self.registers.users[-1],
                **self.dates,
                "id": self.id,
                "email": email,
                "username": self.name,
                "first_name": self.body.get("first_name", ""),
                "last_name": self.body.get("last_name", ""),
                "last_login_at": None,
                "type": "member",
                "two_factor_enabled": False,
                "mfa": False,
                "locked": False,
                "account_root_user_id": uuid4(self.writer.rng),
                "tags": [],
            }
        )

    def policy(self) -> None:
        rules = [
            {
                "id": uuid4(self.writer.rng),
                "permission_sets_scope_type": "organization",
                "condition": "",
                **rule,
            }
            for rule in self.body.get("rules", [])
        ]
        bearer = {name: self.body[name] for name in ("user_id", "group_id", "application_id") if self.body.get(name)}
        model = {
            name: value
            for name, value in self.registers.policies[0].items()
            if name not in {"user_id", "group_id", "application_id"}
        }
        self.registers.policies.append(
            {**model, **self.dates, **bearer, "id": self.id, "name": self.name, "nb_rules": len(rules)}
        )
        self.registers.rules[self.id] = rules

    def end_of_policy(self) -> None:
        self.registers.policies[:] = [each for each in self.registers.policies if each["id"] != self.id]
        self.registers.rules.pop(self.id, None)

    def end_of_key(self) -> None:
        self.registers.api_keys[:] = [each for each in self.registers.api_keys if each["access_key"] != self.id]

    def end_of_user(self) -> None:
        self.registers.users[:] = [each for each in self.registers.users if each["id"] != self.id]
        for group in self.registers.groups:
            group["user_ids"] = [each for each in group["user_ids"] if each != self.id]

    def lock(self) -> None:
        for user in self.registers.users:
            if user["id"] == self.id:
                user |= {"locked": True, "updated_at": self.moment}

    def members(self) -> None:
        added = [*self.body.get("user_ids", []), *([self.body["user_id"]] if "user_id" in self.body else [])]
        for group in self.registers.groups:
            if group["id"] == self.id:
                group |= {"user_ids": list(dict.fromkeys([*group["user_ids"], *added])), "updated_at": self.moment}

    def all_members(self) -> None:
        for group in self.registers.groups:
            if group["id"] == self.id:
                group |= {"user_ids": list(self.body.get("user_ids", [])), "updated_at": self.moment}

    def end_of_member(self) -> None:
        for group in self.registers.groups:
            if group["id"] == self.id:
                left = [each for each in group["user_ids"] if each != self.body.get("user_id")]
                group |= {"user_ids": left, "updated_at": self.moment}


_FILED: dict[str, Callable[[_Entry], None]] = {
    "CreateAPIKey": _Entry.key,
    "UpdateAPIKey": _Entry.changed_key,
    "DeleteAPIKey": _Entry.end_of_key,
    "CreateApplication": _Entry.application,
    "CreateUser": _Entry.user,
    "DeleteUser": _Entry.end_of_user,
    "LockUser": _Entry.lock,
    "LockMember": _Entry.lock,
    "CreatePolicy": _Entry.policy,
    "DeletePolicy": _Entry.end_of_policy,
    "AddGroupMember": _Entry.members,
    "AddGroupMembers": _Entry.members,
    "SetGroupMembers": _Entry.all_members,
    "RemoveGroupMember": _Entry.end_of_member,
}
