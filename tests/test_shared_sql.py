"""The macros and views that queries share: hostile bodies, addresses in every spelling, bursts, and first sightings."""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import NOW, ORGANIZATION, Archives, a_resource, an_id, empty_archive
from trailkeep.catalog import Catalog, open_catalog
from trailkeep.catalog.first_seen import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    archive = empty_archive(tmp_path_factory.mktemp("empty") / "archive")
    with open_catalog(archive, archive.ledger()) as opened:
        yield opened


def rows(catalog: Catalog, sql: str, **values: Any) -> list[dict[str, Any]]:
    return catalog.connection.sql(sql, params=values or None).to_arrow_table().to_pylist()  # type: ignore[no-any-return,union-attr]


def column(catalog: Catalog, expression: str, bodies: list[Any]) -> list[Any]:
    """The value of an expression over `body` for each of these JSON texts, as a column of a table."""
    catalog.connection.register("given", pa.table({"n": range(len(bodies)), "body": pa.array(bodies, pa.string())}))
    return [row["v"] for row in rows(catalog, f"SELECT {expression} AS v FROM given ORDER BY n")]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
NAMES = st.sampled_from(
    ["user_ids", "userIds", "user_id", "permission_set_names", "permissionSetNames", "a.b", '"', ""]
)
JSON = st.recursive(
    SCALARS | st.sampled_from(["0.0.0.0/0", " ::0/00", "not 0.0.0.0/0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _every(value: Any, names: set[str]) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name in names:
                yield from each if isinstance(each, list) else [each]
            yield from _every(each, names)
    elif isinstance(value, list):
        for each in value:
            yield from _every(each, names)


class TestBodies:
    @settings(max_examples=150, deadline=None)
    @given(body=JSON)
    def test_no_body_is_an_error_and_every_list_is_a_list(self, catalog: Catalog, body: Any) -> None:
        text = json.dumps(body, ensure_ascii=False)
        if not _encodable(text) or "\x00" in text:
            return
        expression = (
            "{t: body_text(body, 'user_id'), l: body_list(body, 'user_ids'),"
            " e: body_every(body, 'permission_set_names'), w: world_ranges(body), b: broad_permissions(body)}"
        )
        (found,) = column(catalog, expression, [text])
        assert found["t"] != ""
        for name in "lewb":
            assert None not in found[name]
        wanted = {
            each for each in _every(body, {"permission_set_names", "permissionSetNames"}) if isinstance(each, str)
        }
        assert wanted <= set(found["e"])
        assert found["e"] == sorted(found["e"], key=lambda each: each.encode())
        own = body.get("user_ids", []) if isinstance(body, dict) else []
        camel = body.get("userIds", []) if isinstance(body, dict) else []
        texts = [each for listed in (own, camel) if isinstance(listed, list) for each in listed]
        assert [each for each in texts if isinstance(each, str)] == [
            each for each in found["l"] if each in {text for text in texts if isinstance(text, str)}
        ]

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ('{"user_id": "a", "userId": "b"}', "a"),
            ('{"user_id": "", "userId": "b"}', "b"),
            ('{"user_id": null, "userId": "b"}', "b"),
            ('{"user_id": 5}', "5"),
            ('{"user_id": ["a"]}', '["a"]'),
            ('{"x": {"user_id": "a"}}', None),
            ('{"user.id": "a", "USER_ID": "b"}', None),
            ('"user_id"', None),
            ("null", None),
            (None, None),
        ],
    )
    def test_a_text(self, catalog: Catalog, body: str | None, text: str | None) -> None:
        assert column(catalog, "body_text(body, 'user_id')", [body]) == [text]

    @pytest.mark.parametrize(
        ("body", "texts"),
        [
            ('{"user_ids": ["b", "a", "b"]}', ["b", "a", "b"]),
            ('{"user_ids": [], "userIds": ["c"]}', ["c"]),
            ('{"user_ids": "a"}', []),
            ('{"user_ids": {"0": "a"}}', []),
            ('{"user_ids": [null, 1, ["x"]]}', ["1", '["x"]']),
            ('{"x": {"user_ids": ["a"]}}', []),
            (None, []),
        ],
    )
    def test_a_list(self, catalog: Catalog, body: str | None, texts: list[str]) -> None:
        assert column(catalog, "body_list(body, 'user_ids')", [body]) == [texts]

    @pytest.mark.parametrize(
        ("network", "world"),
        [
            *((text, True) for text in ("0.0.0.0/0", "128.0.0.0/1", "10.1.2.3/3", "::/0", "2000::/3", "0::0/000")),
            *((text, True) for text in (" 0.0.0.0/0\t", "0.0.0.0 / 0", "::0.0.0.0/0", "::FFFF:0.0.0.0/96")),
            *((text, False) for text in ("10.0.0.0/8", "0.0.0.0/4", "::/4", "0.0.0.0", "::", "1/2", "x/0", "/0", "")),
            *((text, False) for text in ("0.0.0.0/30", "0.0.0.0/-1", "256.0.0.0/0", "0.0.0.0/0/0", "::ffff:0:0/100")),
        ],
    )
    def test_the_whole_world(self, catalog: Catalog, network: str, *, world: bool) -> None:
        assert column(catalog, "is_world(body)", [network]) == [world]
        inside = json.dumps({"rules": [{"ip": network}]})
        assert column(catalog, "world_ranges(body)", [inside]) == [[network.strip()] if world else []]

    def test_ranges_are_found_however_json_writes_them_and_not_inside_of_texts(self, catalog: Catalog) -> None:
        bodies = [
            r'{"ip": "0.0.0.0\/0", "other": "\u0030.0\u002e0.0\u002F0"}',
            r'{"note": "we closed \"0.0.0.0/0\" again", "also": "0.0.0.0/0 "}',
            '["::/0", ["::/0", {"128.0.0.0/1": 1}]]',
            json.dumps({"deep": "[" * 20000}),
        ]
        assert column(catalog, "world_ranges(body)", bodies) == [
            ["0.0.0.0/0"],
            ["0.0.0.0/0"],
            ["128.0.0.0/1", "::/0"],
            [],
        ]

    def test_an_alias_of_a_table_is_not_taken_for_what_a_macro_names(self, catalog: Catalog) -> None:
        event = """SELECT '{"userIds": ["u"], "permission_set_names": ["IAMManager"], "ip": "::/0"}' AS body,
            [{'id': 'i', 'type': 'iam_user', 'name': 'n'}] AS resources, '2001:db8::1' AS ip"""
        answers = []
        for alias in ("e", "r", "t", "a", "b", "g", "j", "n", "p", "x", "ip", "name", "kind", "body", "resources"):
            of = f"resource_of({alias}.resources, 'iam_user'), resources_of({alias}.resources, 'iam_user')"
            also = f"login_user({alias}.resources), resource_ids({alias}.resources), resource_names({alias}.resources)"
            body = f"body_list({alias}.body, 'user_ids'), body_every({alias}.body, 'permission_set_names')"
            also += f", broad_permissions({alias}.body), world_ranges({alias}.body)"
            rest = f"ip_network({alias}.ip), ip_label({alias}.ip), ip_in_cidr({alias}.ip, '2001:db8::/32')"
            sql = f"SELECT {of}, {also}, {body}, {rest} FROM ({event}) AS {alias}"
            answers.append(list(rows(catalog, sql)[0].values()))
        assert answers == [answers[0]] * len(answers)
        assert answers[0][:2] == ["i", ["i"]]


class TestNetworks:
    @settings(max_examples=200, deadline=None)
    @given(number=st.integers(0, 2**128 - 1), keep=st.integers(0, 128), upper=st.booleans(), full=st.booleans())
    def test_it_is_what_python_says(self, catalog: Catalog, number: int, keep: int, *, upper: bool, full: bool) -> None:
        address = ipaddress.IPv6Address(number >> keep << keep)
        text = address.exploded if full else str(address)
        mapped = address.ipv4_mapped
        wanted = ipaddress.ip_network(f"{mapped or address}/{24 if mapped else 64}", strict=False)
        assert column(catalog, "ip_network(body)", [text.upper() if upper else text]) == [str(wanted)]

    @settings(max_examples=50, deadline=None)
    @given(number=st.integers(0, 2**32 - 1))
    def test_an_ipv4_address_has_one_network_in_both_spellings(self, catalog: Catalog, number: int) -> None:
        address = ipaddress.IPv4Address(number)
        wanted = str(ipaddress.ip_network(f"{address}/24", strict=False))
        assert column(catalog, "ip_network(body)", [str(address), f"::ffff:{address}"]) == [wanted, wanted]

    def test_what_is_no_address_has_none(self, catalog: Catalog) -> None:
        assert set(
            column(catalog, "ip_network(body)", [None, "", "x", "1.2.3", "01.2.3.4", "::1::", "fe80::1%eth0"])
        ) == {None}


class TestWindows:
    def test_bursts_slide_keep_the_edge_and_lose_no_null(self, catalog: Catalog) -> None:
        gap = timedelta(minutes=5)
        moments = [NOW, NOW + gap, NOW + 2 * gap + MICROSECOND, NOW + 2 * gap + MICROSECOND]
        given = pa.table(
            {
                "who": ["a"] * 4 + [None] * 2,
                "moment": pa.array([each.replace(tzinfo=None) for each in [*moments, NOW, NOW + gap]]),
                "id": [*"124356"],
            }
        )
        catalog.connection.register("given", given)
        found = rows(
            catalog,
            """
            SELECT *, burst_number(who, moment, id, begins) AS burst FROM (
                SELECT *, begins_burst(who, moment, id, INTERVAL 5 MINUTE) AS begins,
                    events_within(who, moment, INTERVAL 5 MINUTE) AS within
                FROM given
            ) ORDER BY id
            """,
        )
        assert [(row["id"], row["begins"], row["within"], row["burst"]) for row in found] == [
            ("1", True, 1, 1),
            ("2", False, 2, 1),
            ("3", True, 2, 2),
            ("4", False, 2, 2),
            ("5", True, 1, 1),
            ("6", False, 2, 1),
        ]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    made = Archives(tmp_path_factory.mktemp("filled") / "archive")
    made.api(NOW - 40 * MINUTE, "CreateServer", id="old", status_code=403, source_ip="2001:db8::1")
    made.api(NOW, "CreateServer", id="new", source_ip="2001:db8::2", user_agent="curl/8")
    made.api(NOW, "ListX", id="nobody", principal_id=None, source_ip=None, user_agent=None, project_id=None)
    made.login(NOW - MINUTE, "alice", "failure", id="in", country_code="FR", source_ip="192.0.2.9")
    made.login(NOW, None, "pending", id="who", country_code=None, source_ip=None)
    policy = a_resource("iam_policy", "policy")
    group = a_resource("iam_group", "group")
    body = {"applicationId": "app", "rules": [{"permissionSetNames": ["IAMManager", "InstancesReadOnly"]}]}
    made.api(NOW, "CreatePolicy", id="policy", body=body, resources=[policy])
    made.api(NOW, "AddGroupMembers", id="member", body={"user_ids": ["b", "a"]}, resources=[group])
    made.api(NOW, "UpdatePolicy", id="bare", request_body=None, resources=None, status_code=403)
    made.api(
        NOW,
        "CreateAPIKey",
        id="key",
        body={"user_id": "bob", "expires_at": "x"},
        product_name="iam",
        resources=[{"id": "SCWKEY", "type": "iam_api_key", "name": "k"}],
    )
    made.api(
        NOW,
        "CreateUser",
        id="person",
        body={"email": "e"},
        product_name="iam",
        resources=[a_resource("iam_user", "eve")],
    )
    made.api(
        NOW, "CreateUser", id="database", body={"name": "d"}, product_name="rdb", service_name="scaleway.rdb.v1.Api"
    )
    made.api(NOW, "CreateToken", id="token", request_body="[1]", product_name="cockpit", status_code=None)
    archive = made.commit()
    with open_catalog(archive, archive.ledger()) as opened:
        yield opened


class TestViews:
    def test_logins_say_who_and_whether_it_worked(self, filled: Catalog) -> None:
        found = rows(filled, "SELECT id, user_id, succeeded, country_code FROM logins ORDER BY id")
        assert found == [
            {"id": "in", "user_id": an_id("alice"), "succeeded": False, "country_code": "FR"},
            {"id": "who", "user_id": None, "succeeded": False, "country_code": None},
        ]

    def test_grants_say_what_is_given_to_whom(self, filled: Catalog) -> None:
        found = {row["id"]: row for row in rows(filled, "FROM grants")}
        assert found.keys() == {"policy", "member", "bare"}
        assert found["policy"]["grantee_ids"] == ["app"]
        assert found["policy"]["policy_id"] == an_id("policy")
        assert found["policy"]["permission_sets"] == ["IAMManager", "InstancesReadOnly"]
        assert found["policy"]["broad"] == ["IAMManager"]
        assert found["member"]["grantee_ids"] == ["a", "b"]
        assert found["member"]["group_id"] == an_id("group")
        bare = found["bare"]
        assert (bare["outcome"], bare["grantee_ids"], bare["permission_sets"], bare["policy_id"]) == (
            "denied",
            [],
            [],
            None,
        )

    def test_creations_say_what_was_made_for_whom(self, filled: Catalog) -> None:
        found = {row["id"]: row for row in rows(filled, "FROM creations")}
        assert {name: (row["made_type"], row["made_id"], row["bearer_id"]) for name, row in found.items()} == {
            "key": ("api_key", "SCWKEY", "bob"),
            "person": ("user", an_id("eve"), an_id("eve")),
            "database": ("database_user", None, None),
            "token": ("token", None, None),
        }
        assert found["key"]["expires_at"] == "x"
        assert found["person"]["made_name"] == "e"
        assert found["token"]["outcome"] is None


class TestFirstSeen:
    def test_it_is_the_history_of_what_is_held_with_denied_ones_and_without_nulls(self, filled: Catalog) -> None:
        sql = """
            SELECT dimension, value, first_at, events, first_success_at IS NULL AS never
            FROM first_seen
            WHERE subject_type = 'principal' AND subject_id = $who AND dimension IN ('address', 'network')
            ORDER BY ALL
        """
        found = rows(filled, sql, who=an_id("alice"))
        old, at = (NOW - 40 * MINUTE).replace(tzinfo=None), NOW.replace(tzinfo=None)
        before = (NOW - MINUTE).replace(tzinfo=None)
        assert [tuple(row.values()) for row in found] == [
            ("address", "192.0.2.1", at, 7, False),
            ("address", "192.0.2.9", before, 1, True),
            ("address", "2001:db8::1", old, 1, True),
            ("address", "2001:db8::2", at, 1, False),
            ("network", "192.0.2.0/24", before, 8, False),
            ("network", "2001:db8::/64", old, 2, False),
        ]
        assert not rows(filled, "FROM first_seen WHERE value IS NULL OR subject_id IS NULL")

    def test_each_subject_has_its_dimensions_and_countries_are_those_of_logins(self, filled: Catalog) -> None:
        pairs = {
            (row["s"], row["d"]) for row in rows(filled, "SELECT subject_type AS s, dimension AS d FROM first_seen")
        }
        assert pairs == {(subject, each) for subject, dimensions in DIMENSIONS.items() for each in dimensions}
        assert [
            (row["subject_id"], row["value"])
            for row in rows(filled, "FROM first_seen WHERE dimension = 'country' ORDER BY ALL")
        ] == [(ORGANIZATION, "FR"), (an_id("alice"), "FR")]

    def test_with_literals_only_the_columns_that_are_needed_are_read(self, filled: Catalog) -> None:
        question = (
            "FROM first_seen WHERE subject_type = 'project' AND dimension = 'method' AND first_at >= '2026-01-01'"
        )
        ((_, plan),) = filled.connection.execute(f"EXPLAIN (FORMAT json) {question}").fetchall()
        assert len(re.findall(r'"name": "READ_PARQUET', plan)) == 1
        for unneeded in ("source_ip", "user_agent", "resources", "request_body", "raw"):
            assert unneeded not in plan, unneeded


def test_a_view_of_calls_reads_only_the_files_of_its_span(tmp_path: Path) -> None:
    made = Archives(tmp_path / "archive")
    for days in (0, 40, 80):
        made.api(NOW - timedelta(days=days), "CreateAPIKey", body={"user_id": "u"})
    archive = made.commit()
    with open_catalog(archive, archive.ledger()) as opened:
        sql = "FROM creations WHERE recorded_at >= TIMESTAMP '2026-02-20' AND recorded_at < TIMESTAMP '2026-03-02'"
        plan = str(opened.connection.execute(f"EXPLAIN ANALYZE {sql}").fetchall())
        assert "recorded_at>=" in plan.replace(" ", "")
        assert len(rows(opened, sql)) == 1
