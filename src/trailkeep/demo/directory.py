"""The IAM and Account lists of the emulated Organization: numbered pages with a total count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trailkeep.demo.answers import (
    Answer,
    invalid_argument,
    json_answer,
    not_found,
    permission_denied,
)
from trailkeep.demo.paging import checked_organization

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trailkeep.demo.story import Organization

Record = dict[str, Any]

_IAM = "/iam/v1alpha1/"
_PROJECTS = "/account/v3/projects"
_DEFAULT_PAGE_SIZE = 20
_MAX_PAGE_SIZE = 100
_RESOURCES = {
    "users": "user",
    "applications": "application",
    "groups": "group",
    "api-keys": "api_key",
    "policies": "policy",
    "rules": "rule",
    "ssh-keys": "ssh_key",
}

ALERT_RULES: list[Record] = [
    {
        "id": f"a1e27000-0000-4000-8000-00000000000{number}",
        "name": name,
        "description": text,
        "status": "enabled",
    }
    for number, (name, text) in enumerate(
        [
            ("ApiKeyCreated", "An API key was created"),
            ("ApiKeyCreationUnauthorized", "The creation of an API key was denied"),
            ("ApiKeyDeleted", "An API key was deleted"),
            ("ApiKeyDeletionUnauthorized", "The deletion of an API key was denied"),
            ("HttpForbiddenErrorRateHigh", "More than 20 calls were denied within five minutes"),
        ]
    )
]


@dataclass(slots=True, kw_only=True)
class Directory:
    """The records behind each list, by the name they have in the answer; changeable at any time."""

    users: list[Record] = field(default_factory=list)
    applications: list[Record] = field(default_factory=list)
    groups: list[Record] = field(default_factory=list)
    api_keys: list[Record] = field(default_factory=list)
    policies: list[Record] = field(default_factory=list)
    rules: dict[str, list[Record]] = field(default_factory=dict)
    """By policy id."""
    ssh_keys: list[Record] = field(default_factory=list)
    projects: list[Record] = field(default_factory=list)
    export_jobs: dict[str, list[Record]] = field(default_factory=dict)
    """By region."""

    @classmethod
    def of(cls, organization: Organization | None) -> Directory:
        """The Organization's records as lists of their own; empty ones without an Organization."""
        if organization is None:
            return cls()
        return cls(
            users=list(organization.users),
            applications=list(organization.applications),
            groups=list(organization.groups),
            api_keys=list(organization.api_keys),
            policies=list(organization.policies),
            rules={policy_id: list(rules) for policy_id, rules in organization.rules.items()},
            ssh_keys=list(organization.ssh_keys),
            projects=list(organization.projects),
            export_jobs={region: list(jobs) for region, jobs in organization.export_jobs.items()},
        )

    def answer(self, path: str, query: Mapping[str, str], *, organization_id: str, denied: Collection[str]) -> Answer:
        """One page of the list at `path`; raises Refusal for what is unknown, missing or denied."""
        name = path.removeprefix(_IAM)
        if path == _PROJECTS:
            resource, permission, key = "project", "ProjectReadOnly", "projects"
        elif path.startswith(_IAM) and name in _RESOURCES:
            resource, permission, key = _RESOURCES[name], "IAMReadOnly", name.replace("-", "_")
        else:
            raise not_found("path", path)
        if permission in denied or path.rpartition("/")[2] in denied:
            raise permission_denied(resource, "read")
        if key == "rules":
            return list_answer(key, self._rules_of(query), query)
        if checked_organization(query) != organization_id:
            raise permission_denied(resource, "read")
        records: list[Record] = getattr(self, key)
        if key == "ssh_keys" and query.get("disabled") != "true":
            records = [record for record in records if not record.get("disabled")]
        return list_answer(key, records, query)

    def _rules_of(self, query: Mapping[str, str]) -> list[Record]:
        policy_id = query.get("policy_id")
        if not policy_id:
            raise invalid_argument("policy_id", "required")
        if policy_id not in self.rules:
            raise not_found("policy", policy_id)
        return self.rules[policy_id]


def list_answer(key: str, records: Sequence[Record], query: Mapping[str, str]) -> Answer:
    """One numbered page of `records`, from page 1, with the count of all."""
    page = _positive(query, "page", 1)
    size = min(_positive(query, "page_size", _DEFAULT_PAGE_SIZE), _MAX_PAGE_SIZE)
    rows = list(records[(page - 1) * size : page * size])
    return json_answer({key: rows, "total_count": len(records)})


def _positive(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name) or str(default)
    if not text.isascii() or not text.isdigit():
        raise invalid_argument(name, "format", "must be a positive integer")
    return int(text) or default
