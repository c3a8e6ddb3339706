"""The tables of the directory: versions of who and what the ids in events are, one row for each change of an object."""

from __future__ import annotations

import pyarrow as pa

from trailkeep.schema.tables import TABLES, TIMESTAMP, Column, Table

DIRECTORY = "directory"
"""The folder that holds these tables, and what their names begin with."""

STRINGS = pa.list_(pa.string())

RULE = pa.struct(
    [
        pa.field("id", pa.string()),
        pa.field("permission_set_names", STRINGS),
        pa.field("project_ids", STRINGS),
        pa.field("organization_id", pa.string()),
        pa.field("condition", pa.string()),
    ]
)
"""One rule of a policy."""

SERVICE = pa.struct([pa.field("name", pa.string()), pa.field("methods", STRINGS)])
"""One service of a product, with the methods that leave an event."""

_CHANGE = Column(
    name="change",
    type=pa.string(),
    nullable=False,
    description="first: never seen before; changed; gone: no longer listed; back: listed again.",
)
_BEFORE = (
    Column(
        name="observed_at",
        type=TIMESTAMP,
        nullable=False,
        description="When the list was read that shows this version, by the API's clock.",
    ),
    Column(
        name="valid_from",
        type=TIMESTAMP,
        nullable=False,
        description="From when the object is known to have been so; up to the valid_from of its next row.",
    ),
    Column(
        name="last_seen_at",
        type=TIMESTAMP,
        description="For gone: when it was last recorded as listed. It went between then and observed_at.",
    ),
    _CHANGE,
)
_CREATED_AT = Column(name="created_at", type=TIMESTAMP, path="$.created_at", description="When it was created.")
_UPDATED_AT = Column(name="updated_at", type=TIMESTAMP, path="$.updated_at", description="When it was last changed.")
_AFTER = (
    Column(
        name="ledger_seq",
        type=pa.int64(),
        nullable=False,
        description="The ledger entry that brought the row; an object's rows follow each other in its order.",
    ),
    Column(
        name="raw",
        type=pa.string(),
        path="$",
        nullable=False,
        description="The object's JSON as the API sent it, without any secret; for gone, the last that was known.",
    ),
)


def _id(description: str, path: str | None = "$.id") -> Column:
    return Column(name="id", type=pa.string(), path=path, nullable=False, description=description)


def _text(name: str, description: str, path: str | None = None) -> Column:
    return Column(name=name, type=pa.string(), path=path or f"$.{name}", description=description)


def _truth(name: str, description: str) -> Column:
    return Column(name=name, type=pa.bool_(), path=f"$.{name}", description=description)


def _count(name: str, description: str) -> Column:
    return Column(name=name, type=pa.int64(), path=f"$.{name}", description=description)


def _strings(name: str, description: str) -> Column:
    return Column(name=name, type=STRINGS, path=f"$.{name}", description=description)


def _time(name: str, description: str) -> Column:
    return Column(name=name, type=TIMESTAMP, path=f"$.{name}", description=description)


def _table(resource: str, description: str, identifier: Column, *columns: Column, dated: bool = True) -> Table:
    dates = (_CREATED_AT, _UPDATED_AT) if dated else ()
    return Table(
        name=f"{DIRECTORY}/{resource}",
        description=description,
        columns=(identifier, *_BEFORE, *columns, *dates, *_AFTER),
        partitions=("organization_id", "month"),
        order=("observed_at", "id"),
        time="observed_at",
    )


_DESCRIPTION = _text("description", "What its owner wrote about it.")
_TAGS = _strings("tags", "Its tags.")
_MANAGED = _truth("managed", "Whether Scaleway manages it.")
_USER_ID = _text("user_id", "The user that it belongs to.")
_APPLICATION_ID = _text("application_id", "The application that it belongs to.")

USERS = _table(
    "users",
    "Versions of the Organization's users.",
    _id("The user's id: the principal_id of events."),
    _text("name", "The user's name: username, else the e-mail address.", "$.username"),
    _text("email", "The e-mail address."),
    _text("username", "The username."),
    _text("first_name", "The first name."),
    _text("last_name", "The last name."),
    _text("type", "owner, guest or member."),
    _text("status", "Whether the invitation was accepted."),
    _truth("mfa", "Whether a second factor is set up."),
    _truth("locked", "Whether the user may not log in."),
    _time("last_login_at", "The last login when this version was recorded; a login alone makes no version."),
    _text("account_root_user_id", "The Scaleway account behind the user."),
    _TAGS,
)
APPLICATIONS = _table(
    "applications",
    "Versions of the Organization's applications.",
    _id("The application's id: the principal_id of events."),
    _text("name", "Its name."),
    _DESCRIPTION,
    _MANAGED,
    _count("nb_api_keys", "How many API keys it has."),
    _TAGS,
)
GROUPS = _table(
    "groups",
    "Versions of the groups, with their members.",
    _id("The group's id."),
    _text("name", "Its name."),
    _DESCRIPTION,
    _strings("user_ids", "The users in it."),
    _strings("application_ids", "The applications in it."),
    _truth("all_users", "Whether it stands for all users."),
    _truth("all_applications", "Whether it stands for all applications."),
    _MANAGED,
    _TAGS,
)
API_KEYS = _table(
    "api_keys",
    "Versions of the API keys; never their secrets.",
    _id("The access key.", "$.access_key"),
    _text("name", "The key's description.", "$.description"),
    _text("access_key", "The access key, which is no secret."),
    _USER_ID,
    _APPLICATION_ID,
    _DESCRIPTION,
    _text("default_project_id", "The Project that its calls go to by default."),
    _text("creation_ip", "The address that created it."),
    _time("expires_at", "When it ends; null where it never does."),
    _MANAGED,
)
POLICIES = _table(
    "policies",
    "Versions of the policies, with their rules.",
    _id("The policy's id."),
    _text("name", "Its name."),
    _DESCRIPTION,
    _text("user_id", "The user that it grants to."),
    _text("group_id", "The group that it grants to."),
    _text("application_id", "The application that it grants to."),
    _truth("no_principal", "Whether it grants to nobody."),
    _count("nb_rules", "How many rules it has."),
    _MANAGED,
    _TAGS,
    Column(name="rules", type=pa.list_(RULE), description="What it grants, and where; null where it was not readable."),
    Column(name="rules_raw", type=pa.string(), description="The rules' JSON as the API sent it, in one array."),
)
SSH_KEYS = _table(
    "ssh_keys",
    "Versions of the SSH keys.",
    _id("The key's id."),
    _text("name", "Its name."),
    _text("fingerprint", "Its fingerprint."),
    _text("public_key", "The public key."),
    _text("project_id", "The Project whose machines take it."),
    _truth("disabled", "Whether it is disabled."),
)
PROJECTS = _table(
    "projects",
    "Versions of the Projects.",
    _id("The Project's id."),
    _text("name", "Its name."),
    _DESCRIPTION,
    _text("status", "What state it is in."),
)
PRODUCTS = _table(
    "products",
    "Versions of what leaves events: the products, services and methods that the API reports as integrated.",
    _id("<region>/<name>.", None),
    _text("name", "The product's name, as events have it."),
    Column(name="region", type=pa.string(), nullable=False, description="The region that was asked."),
    _text("title", "Its name for people."),
    Column(name="services", type=pa.list_(SERVICE), path="$.services", description="Its services and their methods."),
    dated=False,
)

DIRECTORY_TABLES: dict[str, Table] = {
    table.name: table for table in (USERS, APPLICATIONS, GROUPS, API_KEYS, POLICIES, SSH_KEYS, PROJECTS, PRODUCTS)
}
"""The directory's tables by name, such as ``directory/users``."""

OF_VERSIONS = frozenset({"id", "observed_at", "valid_from", "last_seen_at", "change", "ledger_seq", "raw"})
"""The columns that every table of the directory has, and that say nothing of its own of an object."""

STORED_TABLES: dict[str, Table] = {**TABLES, **DIRECTORY_TABLES}
"""Every table that the archive stores."""


def directory_table(resource: str) -> Table:
    """The table of a resource such as ``users``."""
    return DIRECTORY_TABLES[f"{DIRECTORY}/{resource}"]
