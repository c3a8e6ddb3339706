"""The API's answers as status, headers and body, and the JSON shapes of its errors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

REASONS = {
    200: "OK",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer before the wire has its say."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """A request that is answered with an error; it carries the whole answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, answer.body)
        self.answer = answer


def json_answer(value: Any, *, status: int = 200, **headers: str) -> Answer:
    """`value` as compact JSON; in header names an underscore stands for a hyphen."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status=status, body=body, headers=named)


def invalid_argument(
    name: str, reason: Literal["unknown", "required", "format", "constraint"], help_message: str = ""
) -> Refusal:
    """400 as the SDKs parse it: one detail for one argument."""
    detail = {"argument_name": name, "help_message": help_message, "reason": reason}
    error = {"details": [detail], "message": "invalid argument(s)", "type": "invalid_arguments"}
    return Refusal(json_answer(error, status=400))


def denied_authentication(reason: Literal["not_found", "invalid_argument"]) -> Refusal:
    """401: no secret key, or one that nobody has."""
    error = {
        "message": "authentication is denied",
        "method": "api_key",
        "reason": reason,
        "type": "denied_authentication",
    }
    return Refusal(json_answer(error, status=401))


def permission_denied(resource: str, action: str) -> Refusal:
    """403: the key is known and may not do this."""
    error = {
        "details": [{"action": action, "resource": resource}],
        "message": "insufficient permissions",
        "type": "permissions_denied",
    }
    return Refusal(json_answer(error, status=403))


def not_found(resource: str, resource_id: str = "") -> Refusal:
    """404 for a path, a region or a resource."""
    error = {
        "message": "resource is not found",
        "resource": resource,
        "resource_id": resource_id,
        "type": "not_found",
    }
    return Refusal(json_answer(error, status=404))


def unknown_method() -> Refusal:
    """501: the region does not know this call."""
    return Refusal(json_answer({"message": "unknown method", "type": "unknown_method"}, status=501))


def too_many_requests(retry_after: str | None) -> Refusal:
    """429, with the text of its Retry-After or without one."""
    headers = {} if retry_after is None else {"Retry_After": retry_after}
    error = {"message": "too many requests", "type": "too_many_requests"}
    return Refusal(json_answer(error, status=429, **headers))


def gateway_error(status: int, retry_after: str | None) -> Refusal:
    """What a gateway in front of the API says: HTML."""
    title = f"{status} {REASONS.get(status, 'Error')}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>gateway</center>\r\n</body>\r\n</html>\r\n"
    )
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Refusal(Answer(status=status, body=page.encode(), content_type="text/html", headers=headers))
