"""What is said of addresses: countries from the registries, networks and cities from the user's own files."""

from __future__ import annotations

import ipaddress
import sys
from functools import cache
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import NOW, empty_archive
from mmdb import write_mmdb
from trailkeep.analysis import Question, open_result
from trailkeep.catalog import Limits, addresses
from trailkeep.catalog.macros import statements
from trailkeep.errors import ConfigError, QueryError
from trailkeep.geo import LABELS, Geo, label_ranges

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.store import Archive

NETWORKS = {
    "51.15.0.0/16": {"autonomous_system_number": 12876, "autonomous_system_organization": "Scaleway S.a.s."},
    "192.0.2.0/24": {"city": {"names": {"en": "Lille", "fr": "Lille"}}, "country": {"iso_code": "FR"}},
    "2001:db8:5ca1::/48": {"asn": "AS64500", "as_name": "Example", "city": "Gdańsk", "country_code": "PL"},
    "198.51.100.7/32": {"asn": "AS64501"},
}


@pytest.fixture(scope="module")
def geo(tmp_path_factory: pytest.TempPathFactory) -> Geo:
    return Geo([write_mmdb(tmp_path_factory.mktemp("geo") / "own.mmdb", NETWORKS)])


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("8.8.8.8", "US"),
        ("51.15.1.1", "FR"),
        ("2001:bc8::1", "FR"),
        ("::ffff:8.8.8.8", "US"),
        ("192.0.2.9", "FR"),  # no registry has it, the user's file does
        ("2001:db8:5ca1::9", "PL"),
        ("10.0.0.1", None),
        ("no address", None),
        ("", None),
    ],
)
def test_the_country_is_the_registry_s_or_the_file_s(geo: Geo, address: str, country: str | None) -> None:
    assert geo.country(address) == country


@pytest.mark.parametrize(
    ("address", "asn", "city"),
    [
        ("51.15.200.1", "AS12876 Scaleway S.a.s.", None),
        ("192.0.2.1", None, "Lille"),
        ("2001:db8:5ca1:7::1", "AS64500 Example", "Gdańsk"),
        ("198.51.100.7", "AS64501", None),
        ("198.51.100.8", None, None),
        ("x", None, None),
    ],
)
def test_networks_and_cities_come_from_the_file_in_either_common_shape(
    geo: Geo, address: str, asn: str | None, city: str | None
) -> None:
    assert (geo.asn(address), geo.city(address)) == (asn, city)


def test_without_files_and_without_the_extra_everything_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iptocc", None)
    plain = Geo()
    for function in ("ip_country", "ip_asn", "ip_city"):
        assert plain.answers(function, ["8.8.8.8", None, "x"]) == [None, None, None]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"no database")
    for path in (broken, tmp_path / "missing.mmdb", tmp_path):
        with pytest.raises(ConfigError, match=path.name):
            Geo([path])
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(ConfigError, match="broken") as caught:
        Geo([broken])
    assert "trailkeep[geo]" in str(caught.value.hint)


@given(st.one_of(st.text(), st.ip_addresses().map(str)))
def test_no_text_makes_it_fail(text: str) -> None:
    unknown = Geo()
    for function in ("ip_country", "ip_asn", "ip_city"):
        (answer,) = unknown.answers(function, [text])
        assert answer is None or isinstance(answer, str)


def test_the_labelled_ranges_are_well_formed_and_hold_the_special_addresses() -> None:
    ranges = label_ranges()
    assert {label for _, _, label in ranges} == set(LABELS)
    assert all(first <= last for first, last, _ in ranges)
    for text in ("10.1.2.3", "127.0.0.1", "169.254.1.1", "::1", "fe80::1", "fc00::1", "224.0.0.1", "240.0.0.1"):
        address = ipaddress.ip_address(text)
        number = int(address) + (0xFFFF << 32 if address.version == 4 else 0)
        assert any(first <= number <= last for first, last, _ in ranges)


# In SQL


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return empty_archive(tmp_path_factory.mktemp("empty") / "data")


@pytest.fixture(scope="module")
def own_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mmdb(tmp_path_factory.mktemp("geo") / "own.mmdb", NETWORKS)


def asked(archive: Archive, sql: str, *, sealed: bool = False, mmdb: tuple[Path, ...] = (), **given: object) -> object:
    limits = Limits(sealed=sealed, mmdb=mmdb)
    with open_result(archive, Question(sql=sql, given=given), now=NOW, limits=limits) as result:
        return [tuple(row.values()) for batch in result.batches() for row in batch.to_pylist()]


@pytest.mark.parametrize("sealed", [False, True])
def test_sql_asks_for_countries_networks_and_cities(empty: Archive, own_file: Path, *, sealed: bool) -> None:
    sql = "SELECT ip_country(a), ip_asn(a), ip_city(a) FROM (SELECT unnest($l::VARCHAR[]) AS a)"
    given = ["8.8.8.8", "51.15.200.1", "192.0.2.1", None, "", "no address\x1b[2J", "::ffff:8.8.8.8"]
    assert asked(empty, sql, sealed=sealed, mmdb=(own_file,), l=given) == [
        ("US", None, None),
        ("FR", "AS12876 Scaleway S.a.s.", None),
        ("FR", None, "Lille"),
        (None, None, None),
        (None, None, None),
        (None, None, None),
        ("US", None, None),
    ]


def test_each_address_is_asked_once_however_often_it_occurs(empty: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str | None] = []
    answers = Geo.answers

    def spied(self: Geo, function: str, given: list[str | None]) -> list[str | None]:
        looked_up.extend(given)
        return answers(self, function, given)

    monkeypatch.setattr(Geo, "answers", spied)
    sql = "SELECT ip_country(CASE WHEN i % 2 = 0 THEN '8.8.8.8' ELSE '51.15.1.1' END) AS c FROM range(2000) AS r(i)"
    rows = asked(empty, f"SELECT c, count(*) FROM ({sql}) GROUP BY c ORDER BY c")
    assert rows == [("FR", 1000), ("US", 1000)]
    assert sorted(map(str, looked_up)) == ["51.15.1.1", "8.8.8.8"]


def test_without_the_extra_the_functions_are_there_and_know_nothing(
    empty: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "find_spec", lambda _name: None)
    assert asked(empty, "SELECT ip_country('8.8.8.8'), ip_asn('8.8.8.8'), ip_city(NULL)") == [(None, None, None)]
    assert asked(empty, "SELECT ip_label('10.0.0.1')") == [("private",)]
    with pytest.raises(QueryError, match="address"):
        asked(empty, "SELECT ip_country(address)")


def test_a_file_of_the_settings_that_cannot_be_read_matters_to_who_asks_of_it_only(
    empty: Archive, tmp_path: Path
) -> None:
    missing = (tmp_path / "missing.mmdb",)
    assert asked(empty, "SELECT 1, ip_label('::1')", mmdb=missing) == [(1, "loopback")]
    with pytest.raises(ConfigError, match=r"missing\.mmdb"):
        asked(empty, "SELECT ip_asn('8.8.8.8')", mmdb=missing)


@given(st.one_of(st.ip_addresses().map(str), st.sampled_from(["", "x", "::", "0.0.0.0", "256.1.1.1", "10.0.0.1/8"])))
def test_the_label_of_the_macro_is_the_first_range_that_holds_the_address(text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        expected = None
    else:
        number = int(address) + (0xFFFF << 32 if address.version == 4 else 0)
        expected = next((label for first, last, label in label_ranges() if first <= number <= last), None)
    assert labelled(text) == expected


def labelled(text: str) -> object:
    return _connection().execute("SELECT ip_label($1)", [text]).fetchall()[0][0]


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for statement in statements():
        connection.execute(statement)
    return connection
