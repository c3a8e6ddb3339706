"""From a directory object's bytes to its columns: its id, no secret, and whether two versions say the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trailkeep.schema import DIRECTORY, DIRECTORY_TABLES, TIMESTAMP, Table
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESOURCES = tuple(name.removeprefix(f"{DIRECTORY}/") for name in DIRECTORY_TABLES)
"""The lists that the directory is made of, in the order in which they are read."""

_IDENTIFIERS = {"api_keys": "access_key", "products": "name"}
"""The field that names an object, where it is not ``id``."""

_USE = {"users": "last_login_at"}
"""The field that changes whenever an object is used: alone it makes no version."""

_UPDATED_BY_USE = timedelta(minutes=1)
"""How near to a use an update is taken to be nothing but that use; whether the API updates then is not known."""

_SETS = frozenset(
    {"application_ids", "methods", "permission_set_names", "project_ids", "rules", "services", "tags", "user_ids"}
)
"""Lists whose order says nothing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An object as a list showed it."""

    id: str
    raw: bytes
    """Its JSON as the API sent it, but for secrets."""
    rules_raw: bytes | None = None
    """For a policy: the JSON array of its rules; None where they could not be read."""
    region: str | None = None
    """For a product: the region that lists it."""


def read_object(resource: str, raw: bytes, *, region: str | None = None, rules: Sequence[bytes] | None = None) -> Seen:
    """What a list of `resource` shows as one of its elements, without any secret.

    Raises ValueError, which repeats nothing of it, for what is not a JSON object with an id.
    """
    raw, value = _read(raw)
    identifier = _text(value.get(_IDENTIFIERS.get(resource, "id")))
    if identifier is None:
        raise ValueError("it has no id")
    if resource == "products":
        identifier = f"{region}/{identifier}"
    rules_raw = None if rules is None else b"[" + b",".join(_read(rule)[0] for rule in rules) + b"]"
    return Seen(id=identifier, raw=raw, rules_raw=rules_raw, region=region)


def same_version(resource: str, one: Seen, other: Seen) -> bool:
    """Whether the later sight of an object, `other`, says what `one` says.

    Compared as JSON: the order of keys does not count, nor that of lists which are sets. What changes with every use
    of an object makes no version. Rules that could not be read now are not compared.
    """
    if other.rules_raw is not None and not _same_rules(one, other):
        return False
    if one.raw == other.raw:
        return True
    first, second = _read(one.raw)[1], _read(other.raw)[1]
    different = {
        key
        for key in first.keys() | second.keys()
        if (key in first) != (key in second) or _canonical(first.get(key), key) != _canonical(second.get(key), key)
    }
    different.discard(_USE.get(resource, ""))
    return not different or (different == {"updated_at"} and _is_use(resource, second))


def rows_of_objects(resource: str, objects: Sequence[Seen]) -> pa.Table:
    """The columns of the resource's table that follow from the objects alone, one row each, in their order."""
    table = DIRECTORY_TABLES[f"{DIRECTORY}/{resource}"]
    values = [_read(each.raw)[1] for each in objects]
    columns: dict[str, pa.Array] = {
        "id": pa.array([each.id for each in objects], pa.string()),
        "raw": pa.array([each.raw.decode() for each in objects], pa.string()),
    }
    for column in table.columns:
        if column.name == "region":
            columns["region"] = pa.array([each.region for each in objects], pa.string())
        elif column.name == "rules":
            columns["rules"] = pa.array([_structs(rules_of(each), column.type) for each in objects], column.type)
        elif column.name == "rules_raw":
            texts = [None if each.rules_raw is None else each.rules_raw.decode() for each in objects]
            columns["rules_raw"] = pa.array(texts, pa.string())
        elif column.path is not None and column.name not in columns:
            columns[column.name] = _column([value.get(column.path[2:]) for value in values], column.type)
    if resource == "users":
        columns["name"] = pa.array([name_of("users", each) for each in objects], pa.string())
    return pa.table({name: columns[name] for name in _follow_from_raw(table) if name in columns})


def moment_of(value: object) -> datetime | None:
    """The moment that a JSON value names, or None; the year 1 is how Go writes that there is none."""
    text = _text(value)
    try:
        moment = parse_moment(text) if text else None
    except (ValueError, OverflowError):
        return None
    return None if moment is None or moment.year == 1 else moment


def name_of(resource: str, seen: Seen) -> str | None:
    """What an object is called: the column ``name``."""
    fields = fields_of(seen)
    if resource == "users":
        return _text(fields.get("username")) or _text(fields.get("email"))
    return _text(fields.get("description" if resource == "api_keys" else "name"))


def rules_of(seen: Seen) -> list[Any] | None:
    """A policy's rules; None where they were not readable, and for what is no policy."""
    return None if seen.rules_raw is None else list(json.loads(seen.rules_raw, strict=False, parse_int=_number))


def fields_of(seen: Seen) -> dict[str, Any]:
    """The object's fields."""
    return _read(seen.raw)[1]


def moments_or_nulls(moments: Sequence[datetime | None]) -> pa.Array:
    """UTC moments as a column, exact to the microsecond."""
    numbers = [None if moment is None else (moment - _EPOCH) // _MICROSECOND for moment in moments]
    return pa.array(numbers, pa.int64()).view(TIMESTAMP)


def _follow_from_raw(table: Table) -> list[str]:
    return [name for name in table.arrow_schema.names if name != "ledger_seq"]


def _read(raw: bytes) -> tuple[bytes, dict[str, Any]]:
    """An element's bytes without secrets, and its fields. Raises ValueError where it is no object."""
    try:
        text = raw.decode()
        suspicious = b"secret" in raw.lower() or b"\\u" in raw
        if not suspicious:
            value = json.loads(text, strict=False, parse_int=_number)
        else:
            secrets = _Secrets()
            value = json.loads(text, strict=False, parse_int=_number, object_pairs_hook=secrets.left_out)
            if secrets.found:
                raw = json.dumps(value, separators=(",", ":")).encode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except (ValueError, RecursionError):
        raise ValueError("it cannot be read as JSON") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return raw, value


class _Secrets:
    """Leaves the values of secret keys out, at any depth, and where a key stands twice, too."""

    def __init__(self) -> None:
        self.found = False

    def left_out(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """The members of an object, each secret replaced by null."""
        members: dict[str, Any] = {}
        for key, value in pairs:
            secret = key.replace("_", "").replace("-", "").lower() == "secretkey" and value is not None
            self.found = self.found or secret
            members[key] = None if secret else self._unwrapped(value)
        return members

    def _unwrapped(self, value: Any) -> Any:
        """The value; where it is the text of JSON that holds a secret, without that."""
        if isinstance(value, list):
            return [self._unwrapped(each) for each in value]
        if not isinstance(value, str) or "{" not in value:
            return value
        inner = _Secrets()
        try:
            kept = json.loads(value, strict=False, parse_int=_number, object_pairs_hook=inner.left_out)
        except (ValueError, RecursionError):
            return value
        self.found = self.found or inner.found
        return json.dumps(kept, separators=(",", ":")) if inner.found else value


def _is_use(resource: str, fields: dict[str, Any]) -> bool:
    """Whether an object's last update was no more than its last use."""
    used, updated = moment_of(fields.get(_USE.get(resource, ""))), moment_of(fields.get("updated_at"))
    return used is not None and updated is not None and abs(updated - used) <= _UPDATED_BY_USE


def _same_rules(one: Seen, other: Seen) -> bool:
    if one.rules_raw is None or one.rules_raw == other.rules_raw:
        return one.rules_raw == other.rules_raw
    return _canonical(rules_of(one), "rules") == _canonical(rules_of(other), "rules")


def _canonical(value: object, key: str) -> str:
    """Text that is the same for values that say the same."""
    try:
        return json.dumps(_unordered(value, key), sort_keys=True)
    except RecursionError:
        return json.dumps(value, sort_keys=True)


def _unordered(value: object, key: str = "") -> object:
    if isinstance(value, dict):
        return {name: _unordered(member, name) for name, member in value.items()}
    if isinstance(value, list):
        members = [_unordered(member) for member in value]
        return sorted(members, key=lambda each: json.dumps(each, sort_keys=True)) if key in _SETS else members
    return value


def _column(values: list[object], kind: pa.DataType) -> pa.Array:
    if kind == TIMESTAMP:
        return moments_or_nulls([moment_of(value) for value in values])
    read: Callable[[object], object] = _text
    if pa.types.is_boolean(kind):
        read = _truth
    elif pa.types.is_integer(kind):
        read = _int64
    elif pa.types.is_list(kind):
        if pa.types.is_struct(kind.value_type):
            return pa.array([_structs(value, kind) for value in values], kind)
        read = _strings
    return pa.array([read(value) for value in values], kind)


def _structs(value: object, kind: pa.DataType) -> list[dict[str, object]] | None:
    """A list of objects, each with the fields of the column's struct; what is no object is left out."""
    if not isinstance(value, list):
        return None
    fields = list(kind.value_type)  # type: ignore[attr-defined]
    return [
        {field.name: (_strings if pa.types.is_list(field.type) else _text)(each.get(field.name)) for field in fields}
        for each in value
        if isinstance(each, dict)
    ]


def _text(value: object) -> str | None:
    """A text that is there, with U+FFFD for lone surrogates, which cannot be stored; ``raw`` keeps them."""
    if not isinstance(value, str) or not value:
        return None
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _strings(value: object) -> list[str] | None:
    if not isinstance(value, list):
        return None
    return [text for each in value if (text := _text(each)) is not None]


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _int64(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value if whole else None  # type: ignore[return-value]


def _number(text: str) -> int | str:
    """An integer, or its digits where Python refuses to convert so many."""
    try:
        return int(text)
    except ValueError:
        return text
