"""What is indexed: the kinds of values, and the columns that hold them."""

from __future__ import annotations

RESOURCE_IDS = "resource_ids"
"""What stands for the ids of an event's resources among the columns."""

LOGIN_USER = "user_id"
"""What stands for the user of a login, who is one of its resources."""

KINDS = ("address", "agent", "method", "principal", "request", "resource")

COLUMNS: dict[str, dict[str, str]] = {
    "api_events": {
        "source_ip": "address",
        "user_agent": "agent",
        "method_name": "method",
        "principal_id": "principal",
        "request_id": "request",
        RESOURCE_IDS: "resource",
    },
    "authentication_events": {
        "source_ip": "address",
        "user_agent": "agent",
        LOGIN_USER: "principal",
        RESOURCE_IDS: "resource",
    },
    "system_events": {RESOURCE_IDS: "resource"},
    "iam_logs": {
        "source_ip": "address",
        "user_agent": "agent",
        "bearer_id": "principal",
        "resource_id": "resource",
    },
}
"""The kind of each column's values, by the stored table's name; an event has at most one value of a column but for
`RESOURCE_IDS`."""

FORMAT = 1
"""Changes with these columns, with the hash, and with the layout of the files: another is not read."""
