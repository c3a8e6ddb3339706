"""The IAM policy that a sync needs, as the API's request body and as the commands that create it."""

from __future__ import annotations

import json
import shlex
from typing import Any, Literal

PERMISSION_SETS = ("AuditTrailReadOnly", "IAMReadOnly", "ProjectReadOnly")
"""The events; the names of users and applications; the names of Projects. Each of them only reads, and each has
Organization scope (https://www.scaleway.com/en/docs/iam/reference-content/permission-sets/)."""

MAX_NAME_LENGTH = 64
"""What the API takes as a policy's name, in characters."""

_DESCRIPTION = "Lets Trailkeep read the Audit Trail and the names in it. Changes nothing."
_PATH = "/iam/v1alpha1/policies"
_NEXT = " \\\n  "

Principal = Literal["user_id", "application_id"]


def request_body(*, organization_id: str, principal: Principal, principal_id: str, name: str) -> dict[str, Any]:
    """The body of ``POST /iam/v1alpha1/policies``."""
    return {
        "name": name,
        "description": _DESCRIPTION,
        "organization_id": organization_id,
        principal: principal_id,
        "rules": [
            {
                "permission_set_names": list(PERMISSION_SETS),
                "organization_id": organization_id,
                "condition": "",
            }
        ],
    }


def curl_command(body: dict[str, Any], api_url: str) -> str:
    """A POSIX shell command that sends the body with the secret key of the environment, which it only names."""
    arguments = [
        "curl --fail-with-body --request POST",
        '--header "X-Auth-Token: $SCW_SECRET_KEY"',
        "--header 'Content-Type: application/json'",
        f"--data {shlex.quote(json.dumps(body))}",
        shlex.quote(api_url + _PATH),
    ]
    return _NEXT.join(arguments)


def scw_command(body: dict[str, Any]) -> str:
    """The same as a command of the scw CLI, for a POSIX shell."""
    return _NEXT.join(["scw iam policy create", *(shlex.quote(argument) for argument in _arguments(body))])


def _arguments(value: Any, path: str = "") -> list[str]:
    """A request's fields as the scw CLI writes them: ``rules.0.organization-id=...``; empty ones are left out."""
    if isinstance(value, dict):
        inside = [(key.replace("_", "-"), item) for key, item in value.items()]
    elif isinstance(value, list):
        inside = [(str(index), item) for index, item in enumerate(value)]
    else:
        return [f"{path}={value}"] if value != "" else []
    return [found for key, item in inside for found in _arguments(item, f"{path}.{key}" if path else key)]
