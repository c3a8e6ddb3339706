"""What is said of addresses: countries from the registries, networks and cities from the user's own files."""

from __future__ import annotations

import ipaddress
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdb import write_mmdb
from trailkeep.errors import ConfigError
from trailkeep.geo import LABELS, Geo, label_ranges

if TYPE_CHECKING:
    from pathlib import Path

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
