"""Events become rows without a byte of `raw` changed, whatever they hold; what can be read of them is in its column."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trailkeep.api.client import split_body
from trailkeep.events import Arrival, columns_of, identify, same_content, to_rows
from trailkeep.events.arrays import times_to_arrow
from trailkeep.events.fields import MOST_TYPES, Resource, _Reader, _readers, read_event, read_slowly
from trailkeep.events.values import MOST_LEVELS
from trailkeep.schema import EVENT_TABLES, TIMESTAMP
from trailkeep.streams import KINDS, Kind
from trailkeep.timespan import parse_moment

RECORDINGS = Path(__file__).parent / "fixtures" / "recordings"
HEAD = b'{"id":"e1","recorded_at":"2026-01-31T12:00:00.123456789Z",'

RESOURCE = {"id": None, "type": None, "name": None, "created_at": None, "updated_at": None, "deleted_at": None}


def arrival(raw: bytes) -> Arrival:
    arrivals, rejects = identify([raw])
    assert rejects == []
    return arrivals[0]


def row(fields: bytes | dict[str, Any], kind: Kind = "api") -> dict[str, Any]:
    """The row of an event with an id, a time and `fields`, which are JSON members."""
    members = fields if isinstance(fields, bytes) else json.dumps(fields, ensure_ascii=False).encode()[1:-1]
    raw = HEAD + members + b"}"
    found = to_rows(kind, [arrival(raw)]).to_pylist()[0]
    assert found.pop("raw").encode() == raw
    return found


def recorded(name: str) -> tuple[list[bytes], list[dict[str, Any]]]:
    events, token = split_body((RECORDINGS / f"{name}.body.json").read_bytes())
    assert token is None
    raws = [bytes(each) for each in events]
    arrivals, rejects = identify(raws)
    assert rejects == []
    return raws, to_rows("api", arrivals).to_pylist()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# What the API really sent


@pytest.mark.parametrize("name", ["baremetal-reboot", "instance-server-action-2", "secret-manager-create", "empty"])
def test_recorded_events_come_back_byte_for_byte(name: str) -> None:
    body = (RECORDINGS / f"{name}.body.json").read_bytes()
    raws, rows = recorded(name)
    assert [each["raw"].encode() for each in rows] == raws
    assert all(raw in body for raw in raws)
    assert [json.loads(raw) for raw in raws] == json.loads(body)["events"]


def test_a_recorded_event_is_right_in_every_column() -> None:
    _raws, (found,) = recorded("baremetal-reboot")
    del found["raw"]
    assert found == {
        "id": "019b75a5-8563-7260-b230-df204c27a0e0",
        "recorded_at": at("2025-12-31T18:22:20.513444"),
        "locality": "fr-par-2",
        "project_id": "d3520a52-2c75-4ba0-bda8-82dd087f07f2",
        "principal_id": "c6d30243-8c79-4999-867f-e901e6f498e7",
        "source_ip": "86.246.242.201",
        "user_agent": "scaleway-sdk-go/v1.0.0-beta.7+dev (go1.25.3; darwin; arm64) terraform-provider/develop"
        " terraform/terraform-tests",
        "product_name": "baremetal",
        "service_name": "scaleway.baremetal.v1.Api",
        "method_name": "RebootServer",
        "request_id": "40457eeb-b959-428a-a5e3-ca5d8446a1e0",
        "status_code": 200,
        "request_body": '{"bootType":"normal","serverId":"491871c5-aa0d-472c-adfa-10b06050684a","sshKeyIds":[]}',
        "resources": [
            {
                "id": "491871c5-aa0d-472c-adfa-10b06050684a",
                "type": "baremetal_server",
                "name": "TestAccBaremetalServerAction_Basic",
                "created_at": at("2025-12-31T18:10:23.174032"),
                "updated_at": at("2025-12-31T18:22:20.486144"),
                "deleted_at": None,
                "info": '{"description":"updated-description","tags":["terraform-test","scaleway_baremetal_server",'
                '"minimal"]}',
            }
        ],
    }


def test_other_recorded_events_are_right_in_the_columns_where_they_differ() -> None:
    _raws, rows = recorded("instance-server-action-2")
    assert [(each["status_code"], each["request_body"]) for each in rows] == [
        (202, '{"action":"reboot"}'),
        (202, '{"action":"poweron"}'),
    ]
    assert [each["recorded_at"] for each in rows] == [
        at("2026-07-30T12:53:23.053777"),
        at("2026-07-30T12:53:17.098670"),
    ]
    assert rows[0]["resources"][0]["info"] is None
    _raws, (secret,) = recorded("secret-manager-create")
    assert secret["resources"][0]["info"] == '{"path":"/"}'
    assert json.loads(secret["request_body"])["protected"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_rows_have_the_columns_of_their_table_and_no_events_give_no_rows(kind: Kind) -> None:
    schema = EVENT_TABLES[kind].arrow_schema
    schema = schema.remove(schema.get_field_index("ledger_seq"))
    for table in (to_rows(kind, []), to_rows(kind, [arrival(HEAD[:-1] + b"}")])):
        assert table.schema.names == schema.names
        assert table.schema.types == schema.types


def test_authentication_and_system_events_have_their_own_columns() -> None:
    login = row(
        {"result": "failure", "failure_reason": "invalid_mfa", "country_code": "FR", "method": "password"}
        | {
            "origin": "public_api",
            "mfa_type": "totp",
            "source_ip": "2001:db8::1",
            "user_agent": "x",
            "kind": "not here",
        },
        "authentication",
    )
    assert (login["result"], login["failure_reason"], login["country_code"]) == ("failure", "invalid_mfa", "FR")
    assert (login["method"], login["origin"], login["mfa_type"]) == ("password", "public_api", "totp")
    job = row({"source": "s", "system_name": "rotation", "kind": "cron", "product_name": "kms"}, "system")
    assert (job["source"], job["system_name"], job["kind"], job["product_name"]) == ("s", "rotation", "cron", "kms")


# What it may send one day


def test_what_is_absent_null_or_empty_is_null() -> None:
    names = ["locality", "project_id", "source_ip", "user_agent", "product_name", "request_id", "request_body"]
    for found in (
        row(b'"x":1'),
        row(dict.fromkeys(names) | {"principal": None, "resources": None, "status_code": None}),
        row(dict.fromkeys(names[:-1], "") | {"principal": {"id": ""}, "resources": []}),
    ):
        assert found.pop("resources") == []
        assert {name for name, value in found.items() if value is not None} == {"id", "recorded_at"}


def test_an_event_without_a_status_costs_no_time() -> None:
    events = [arrival(HEAD + b'"x":%d}' % number) for number in range(2000)]
    assert to_rows("api", events)["status_code"].null_count == 2000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_agent", 7),
        ("source_ip", ["192.0.2.1"]),
        ("principal", "someone"),
        ("principal", {"id": 5}),
        ("status_code", "200"),
        ("status_code", 200.5),
        ("status_code", True),
        ("resources", {"id": "r"}),
        ("resources", "none"),
    ],
)
def test_an_ill_typed_field_is_null_and_the_others_stay(name: str, value: Any) -> None:
    found = row({"method_name": "CreateServer", "locality": "fr-par", name: value})
    assert (found["method_name"], found["locality"]) == ("CreateServer", "fr-par")
    column = {"principal": "principal_id"}.get(name, name)
    assert found[column] in (None, [])


def test_an_ill_typed_resource_is_a_resource_of_nulls() -> None:
    found = row({"resources": [{"id": "a", "type": "t"}, None, 5, {"id": "b", "created_at": 3}]})
    nothing = RESOURCE | {"info": None}
    assert found["resources"] == [nothing | {"id": "a", "type": "t"}, nothing, nothing, nothing | {"id": "b"}]


@pytest.mark.parametrize("number", [b"99999999999", b"-2147483649", b"9" * 5000, b"1e400"])
def test_a_status_beyond_32_bits_is_null(number: bytes) -> None:
    assert row(b'"status_code":' + number)["status_code"] is None
    assert row(b'"user_agent":1,"status_code":' + number)["status_code"] is None


def test_lone_surrogates_are_replaced_in_columns_and_kept_in_raw() -> None:
    found = row(rb'"user_agent":"a\ud800b","request_body":{"k\udc00":"\ud83d\ude00"},"method_name":"M"')
    assert found["user_agent"] == "a\ufffdb"
    assert json.loads(found["request_body"]) == {"k\ufffd": "😀"}
    assert found["method_name"] == "M"


def test_raw_control_characters_in_strings_are_read() -> None:
    found = row(b'"user_agent":"a\x1b[2Jb\n","request_body":{"a":"\x01"}')
    assert found["user_agent"] == "a\x1b[2Jb\n"
    assert json.loads(found["request_body"]) == {"a": "\x01"}


def test_a_body_of_a_mebibyte_is_kept() -> None:
    body = {"userData": "x" * 2**20}
    assert json.loads(row({"request_body": body})["request_body"]) == body


@pytest.mark.parametrize("depth", [600, 5000])
def test_deep_nesting_is_kept_in_raw(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    found = row(b'"method_name":"M","request_body":{"a":' + deep + b'},"user_agent":"u"')
    assert (found["method_name"], found["user_agent"]) == ("M", "u")


def test_the_last_of_several_same_keys_counts() -> None:
    assert row(b'"method_name":"A","method_name":"B"')["method_name"] == "B"
    assert row(b'"user_agent":1,"method_name":"A","method_name":"B"')["method_name"] == "B"
    assert arrival(b'{"id":"a","id":"b","recorded_at":"2026-01-31T12:00:00Z"}').id == "b"


def test_the_info_of_a_resource_is_under_its_type_or_else_under_the_first_key_that_ends_so() -> None:
    resources = [
        {"type": "iam_user", "iam_user_info": {"email": "a@b"}, "a_info": 1},
        {"type": "new_thing", "b_info": {"b": 1}, "a_info": {"a": 1}},
        {"type": "t", "t_info": None},
        {"type": "t", "t_info": "text"},
        {"type": "t"},
    ]
    expected = ['{"email": "a@b"}', '{"a": 1}', None, '"text"', None]
    for more in ({}, {"user_agent": 5}):
        assert [each["info"] for each in row({"resources": resources} | more)["resources"]] == expected


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456"),
        ("2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00"),
        ("2500-01-01T00:00:00Z", "2500-01-01T00:00:00"),
        ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999"),
        ("0001-01-01T00:00:00+05:00", None),
        ("2026-01-02T03Z", None),
        ("2026-01-02T03:04:05+0100", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-01-02", None),
        ("", None),
    ],
)
def test_a_resource_s_time_does_not_depend_on_the_rows_beside_it(text: str, moment: str | None) -> None:
    plain = HEAD + b'"resources":[{"created_at":"2026-01-01T00:00:00Z"}]}'
    odd = HEAD + json.dumps({"resources": [{"created_at": text}]}).encode()[1:]
    strange = HEAD + b'"resources":[{"created_at":"never"}]}'
    for neighbours in ([odd], [plain, odd], [odd, strange]):
        rows = to_rows("api", [arrival(each) for each in neighbours]).to_pylist()
        found = rows[neighbours.index(odd)]["resources"][0]["created_at"]
        assert found == (at(moment) if moment else None)


time_texts = st.one_of(
    st.sampled_from(
        """2026-01-02T03:04:05.123456Z 1970-01-01T00:00:00Z 2199-12-31T23:59:59.9Z 1969-12-31T23:59:59.123456Z
        2026-02-30T00:00:00.000000Z 2026-01-01T24:00:00.000000Z 2016-12-31T23:59:60.000000Z 2026-13-01T00:00:00Z
        9999-01-01T00:00:00.000000Z 2262-04-12T00:00:00.000000Z 1677-01-01T00:00:00.000000Z never é""".split()
    ),
    st.just(""),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{6})?[Zz0]", fullmatch=True
    ),
    st.text(min_size=27, max_size=27, alphabet="0123456789-T:.Z\u0661"),
)


@given(st.lists(st.none() | time_texts, max_size=6))
def test_times_are_read_alike_together_and_alone(values: list[str | None]) -> None:
    def alone(value: str | None) -> datetime | None:
        try:
            return parse_moment(value).replace(tzinfo=None) if value else None
        except ValueError:
            return None

    column = times_to_arrow(values)
    assert column.type == TIMESTAMP
    assert column.to_pylist() == [alone(value) for value in values]


# What identifies an event


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"null", "JSON object"),
        (b'"text"', "JSON object"),
        (b"[]", "JSON object"),
        (b"{}", "no id"),
        (b'{"id":"","recorded_at":"2026-01-31T12:00:00Z"}', "no id"),
        (b'{"id":5,"recorded_at":"2026-01-31T12:00:00Z"}', "no id"),
        (b'{"id":"a"}', "no recorded_at"),
        (b'{"id":"a","recorded_at":null}', "no recorded_at"),
        (b'{"id":"a","recorded_at":1769860800}', "no recorded_at"),
        (b'{"id":"a","recorded_at":"yesterday"}', "not an RFC 3339 time"),
        (b'{"id":"a","recorded_at":"0001-01-01T00:00:00+05:00"}', "not an RFC 3339 time"),
        (b'{"id":"a","recorded_at":"2026-01-31T12:00:00Z","x":"\xff"}', "not UTF-8"),
    ],
)
def test_what_has_no_id_or_time_is_set_aside_with_its_bytes(raw: bytes, reason: str) -> None:
    good = HEAD[:-1] + b"}"
    arrivals, (reject,) = identify([good, raw, good])
    assert [each.raw for each in arrivals] == [good, good]
    assert reject.raw == raw
    assert reason in reject.reason


def test_an_id_is_read_even_where_the_rest_is_beyond_a_parser() -> None:
    found = arrival(HEAD + rb'"x":"\ud800","y":' + b"[" * 5000 + b"]" * 5000 + b"}")
    assert (found.id, found.recorded_at) == ("e1", at("2026-01-31T12:00:00.123456+00:00"))
    assert arrival(rb'{"id":"\ud800","recorded_at":"2026-01-31T12:00:00Z"}').id == "\ufffd"


# Two versions


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a":1,"b":[1,2]}', b'{"b": [1, 2], "a": 1}', True),
        (b'{"a":1}', b'{"a":2}', False),
        (b'{"b":[1,2]}', b'{"b":[2,1]}', False),
        (b'{"a":1}', b'{"a":true}', False),
        (b'{"a":"1"}', b'{"a":1}', False),
        (b'{"a":null}', b"{}", False),
        (b'{"a":1,"b":' + b"9" * 5000 + b"}", b'{"b":' + b"9" * 5000 + b',"a":1}', True),
        (b'{"a":1,"b":' + b"9" * 5000 + b"}", b'{"b":' + b"9" * 4999 + b'8,"a":1}', False),
        (rb'{"a":"\ud800","b":1}', rb'{"b":1,"a":"\ud800"}', True),
        (b"not json", b"not json", True),
        (b"not json", b"not  json", False),
    ],
)
def test_the_order_of_keys_and_white_space_do_not_make_a_revision(one: bytes, other: bytes, same: bool) -> None:
    assert same_content(one, other) is same
    assert same_content(other, one) is same


# For every event

texts = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),  # lone surrogates among them
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
wild = st.one_of(
    json_values.map(lambda value: json.dumps(value).encode()),
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")),
    st.sampled_from(
        rb"""{"a":1.}|{"a":01}|"\x"|{"a":1e999}|-0|1E+5|"\ud800"|{"\udc00":1}|{"a":NaN}|-Infinity|[1,2,]|{"a":tru}""".split(
            b"|"
        )
    ),
    st.sampled_from([b'"\x01\x1f"', b'"\x7f"', b"[" * 400 + b"]" * 400, b"9" * 400, b'{"a":1,"a":2}', b'"\\u0000"']),
)


@cache
def engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@given(st.lists(st.tuples(wild, wild), min_size=1, max_size=6))
def test_json_columns_are_always_json_to_the_database(pairs: list[tuple[bytes, bytes]]) -> None:
    raws = [HEAD + b'"request_body":%b,"resources":[{"type":"t","t_info":%b}]}' % pair for pair in pairs]
    arrivals, rejects = identify(raws)
    rows = to_rows("api", arrivals)
    infos = [each["info"] for resources in rows["resources"].to_pylist() for each in resources]
    texts = pa.table({"text": pa.array([*rows["request_body"].to_pylist(), *infos], pa.string())})
    con = engine()
    con.register("texts", texts)
    bad = con.execute("SELECT text FROM texts WHERE text IS NOT NULL AND NOT json_valid(text)").fetchall()
    con.execute("SELECT text->>'$.a', json_keys(text::JSON) FROM texts").fetchall()
    con.unregister("texts")
    assert bad == []
    assert [each["raw"].encode() for each in rows.to_pylist()] + [each.raw for each in rejects] == raws


resources = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.none() | texts,
            "type": st.none() | st.sampled_from(["t", "iam_user"]),
            "name": texts,
            "created_at": st.sampled_from(["2026-01-01T00:00:00Z", "never", ""]),
            "t_info": st.none() | st.dictionaries(texts, texts, max_size=2),
            "other_info": texts,
        },
    ),
    max_size=3,
)
plain_events = st.fixed_dictionaries(
    {},
    optional={
        "locality": st.none() | texts,
        "principal": st.none() | st.fixed_dictionaries({}, optional={"id": st.none() | texts, "x": texts}),
        "user_agent": texts,
        "status_code": st.none() | st.integers(),
        "request_body": st.none() | st.dictionaries(texts, st.integers() | texts, max_size=3),
        "resources": st.none() | resources,
        "unknown_field": st.dictionaries(texts, texts, max_size=2),
    },
)


@given(plain_events, st.booleans())
def test_the_fast_and_the_slow_way_agree(event: dict[str, Any], ascii_only: bool) -> None:
    head = {"id": "e1", "recorded_at": "2026-01-31T12:00:00Z"}
    raw = json.dumps(head | event, ensure_ascii=ascii_only).encode()
    _readers["api"].decode(raw)  # the fast way takes it
    fast, slow = read_event("api", raw), read_slowly("api", raw)
    for name in ("locality", "user_agent", "status_code"):
        assert (getattr(fast, name) or None) == (getattr(slow, name) or None)
    assert ((fast.principal and fast.principal.id) or None) == ((slow.principal and slow.principal.id) or None)
    assert bytes(fast.request_body) == bytes(slow.request_body)
    assert len(fast.resources or []) == len(slow.resources or [])
    for one, other in zip(fast.resources or [], slow.resources or [], strict=True):
        for name in Resource.__struct_fields__:
            a, b = getattr(one, name), getattr(other, name)
            if name == "info":
                a, b = ({b"null": b""}.get(bytes(each), bytes(each)) for each in (a, b))
            assert (a or None) == (b or None)


@given(st.lists(st.tuples(plain_events | st.just({}), wild, wild), min_size=1, max_size=6))
def test_what_is_read_of_an_event_depends_on_its_own_bytes_only(
    parts: list[tuple[dict[str, Any], bytes, bytes]],
) -> None:
    """Neither on its neighbours, nor on the types of resources that came before, nor on how many are read at once."""
    raws = [
        HEAD
        + json.dumps(plain).encode()[1:-1]
        + (b"," if plain else b"")
        + b'"request_body":%b,"x":%b}' % (body, other)
        for plain, body, other in parts
    ]
    raws = [each.raw for each in identify(raws)[0]]
    together = columns_of("api", raws).to_pylist()
    again = columns_of("api", raws[::-1]).to_pylist()[::-1]
    _readers["api"] = _Reader("api")
    assert [columns_of("api", [raw]).to_pylist()[0] for raw in raws] == together == again


@pytest.mark.parametrize("known", [(), ("t",), ("a", "t"), ("x_y",)])
@pytest.mark.parametrize(
    ("resources", "infos"),
    [
        (rb'[{"type":"t","t_inf\u006f":1}]', ["1"]),
        (rb'[{"type":"t","t_info":{"a":"\"x_info\""}}]', ['{"a":"\\"x_info\\""}']),
        (rb'[{"type":"t","t_info":1,"t_info":2}]', ["2"]),
        (rb'[{"type":"t","t_info":1},{"type":"a","t_info":2}]', ["1", "2"]),
        (rb'[{"type":"t"},{"type":"a","a_info":2}]', [None, "2"]),
        (rb'[{"type":"t","t_info":null,"a_info":2}]', [None]),
        (rb'[{"type":"t","type":"a","t_info":1,"a_info":2}]', ["2"]),
        (rb'[{"t_info":1},{"type":null,"None_info":3,"a_info":2}]', ["1", "3"]),
        (rb'[{"type":"t","a_info":"\ud800"}]', ['"\ufffd"']),
        (rb'[{"type":"t","":1}]', [None]),
        (rb'[{"type":"t","":1,"t_info":2},{"":3,"a_info":4},{"":5,"b":6}]', ["2", "4", None]),
        (rb'[{"type":"t","t_info":1,"a field of next year":2},{"type":"a","a_info":3}]', ["1", "3"]),
        (rb'[{"type":"t","t_info":1},{"type":"t","x_info":2},{"type":"t","x":{"t_info":3}}]', ["1", "2", None]),
    ],
)
def test_what_describes_a_resource_does_not_depend_on_the_types_known(
    known: tuple[str, ...], resources: bytes, infos: list[str | None]
) -> None:
    raw = HEAD + b'"resources":' + resources + b"}"
    _readers["api"] = _Reader("api", known)
    for read in (columns_of("api", [raw]), columns_of("api", [raw, HEAD + b'"user_agent":1}'])):
        assert [each["info"] for each in read["resources"][0].as_py()] == infos


def test_a_field_that_is_not_known_costs_the_quick_way_and_nothing_else() -> None:
    plain = HEAD + b'"resources":[{"type":"t","t_info":{"a":1}},{"type":"u","name":"n"}]}'
    newer = HEAD + b'"resources":[{"type":"t","t_info":{"a":1},"of_next_year":2}]}'
    _readers["api"] = _Reader("api")
    learned = [columns_of("api", [plain] * 3)["resources"].to_pylist() for _ in range(2)]
    assert (_readers["api"].types, _readers["api"].expects_known) == (("t",), True)
    assert [each["info"] for each in columns_of("api", [plain, newer])["resources"].to_pylist()[1]] == ['{"a":1}']
    assert not _readers["api"].expects_known
    assert [columns_of("api", [plain] * 3)["resources"].to_pylist()] * 2 == learned


def test_many_types_of_resources_are_read_alike_and_only_some_are_remembered() -> None:
    raws = [HEAD + b'"resources":[{"type":"t%d","t%d_info":%d}]}' % (n, n, n) for n in range(3 * MOST_TYPES)]
    for _ in range(3):
        found = columns_of("api", raws)["resources"].to_pylist()
        assert [each[0]["info"] for each in found] == [str(n) for n in range(len(raws))]
    assert len(_readers["api"].types) <= MOST_TYPES


@pytest.mark.parametrize("levels", [MOST_LEVELS - 3, MOST_LEVELS + 3])
def test_how_deep_json_is_read_does_not_depend_on_who_calls(levels: int) -> None:
    deep = b"[" * (levels - 1) + b"]" * (levels - 1)
    raw = HEAD + b'"request_body":' + deep + b',"user_agent":"u"}'

    def called_from(frames: int) -> Any:
        return called_from(frames - 1) if frames else columns_of("api", [raw]).to_pylist()

    assert called_from(0) == called_from(100)
    assert called_from(0)[0]["request_body"] == (deep.decode() if levels < MOST_LEVELS else None)
    assert called_from(0)[0]["user_agent"] == "u"
