"""What is known offline about an address: a label for special ranges, and with the extra `geo` its country and network.

The country is the one that the address block is registered in (iptocc, data of the regional registries), which is not
where its user sits. Networks and cities come from MMDB files of the user's own.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_V4_MAPPED = 0xFFFF << 32

_REMEMBERED = 65_536
"""Addresses whose answers are kept: a trail names the same few over and over."""

SCALEWAY_RANGES = (
    "51.15.0.0/16 51.158.0.0/15 62.4.0.0/19 62.210.0.0/16 78.232.0.0/16 151.115.0.0/16 163.172.0.0/16 195.154.0.0/16 "
    "212.47.224.0/19 212.83.128.0/18 212.129.0.0/18 2001:bc8::/32"
).split()
"""Scaleway's own well-known ranges, from its page on network information (2026-10). Anybody can rent a server there."""

_LABELS: tuple[tuple[str, str], ...] = (
    # The narrower range stands before the wider one. From IANA's special-purpose registries.
    ("unspecified", "0.0.0.0/32 ::/128"),
    ("loopback", "127.0.0.0/8 ::1/128"),
    ("private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"),
    ("shared", "100.64.0.0/10"),
    ("link-local", "169.254.0.0/16 fe80::/10"),
    ("documentation", "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
    ("benchmarking", "198.18.0.0/15 2001:2::/48"),
    ("multicast", "224.0.0.0/4 ff00::/8"),
    ("reserved", "0.0.0.0/8 192.0.0.0/24 240.0.0.0/4 100::/64 5f00::/16"),
    ("scaleway", " ".join(SCALEWAY_RANGES)),
)

LABELS = tuple(label for label, _ in _LABELS)
"""Every label that the macro `ip_label` gives."""


def label_ranges() -> list[tuple[int, int, str]]:
    """First and last address of every labelled range as numbers of 128 bits, IPv4 in its IPv6-mapped form."""
    ranges: list[tuple[int, int, str]] = []
    for label, written in _LABELS:
        for network in map(ipaddress.ip_network, written.split()):
            mapped = _V4_MAPPED if network.version == 4 else 0
            ranges.append((mapped + int(network.network_address), mapped + int(network.broadcast_address), label))
    return ranges


def parse_address(text: str) -> Address | None:
    """The address that `text` is, an IPv4-mapped IPv6 address as IPv4; None where it is none."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


class Geo:
    """Answers about addresses; every answer is None where nothing is known.

    `mmdb` are the user's MMDB files, the first that knows an address wins. Raises ConfigError, with the file's name,
    for one that cannot be read, and where there are files but no reader for them.
    """

    def __init__(self, mmdb: Sequence[Path] = ()) -> None:
        self._readers = [_open(path) for path in mmdb]
        self._country_code = _country_codes()
        self._answers: dict[str, Callable[[str], str | None]] = {
            "ip_country": lru_cache(_REMEMBERED)(self.country),
            "ip_asn": lru_cache(_REMEMBERED)(self.asn),
            "ip_city": lru_cache(_REMEMBERED)(self.city),
        }

    def country(self, text: str) -> str | None:
        """The ISO 3166 code, two capital letters, of the country that the address is registered in."""
        address = parse_address(text)
        if address is None:
            return None
        if self._country_code is not None and (code := self._country_code(str(address))):
            return str(code)
        return _text(self._first(address, ("country", "iso_code")) or self._first(address, ("country_code",)))

    def asn(self, text: str) -> str | None:
        """The autonomous system, such as ``AS12876 Scaleway S.a.s.``."""
        address = parse_address(text)
        if address is None:
            return None
        number = self._first(address, ("autonomous_system_number",)) or self._first(address, ("asn",))
        if number is None:
            return None
        name = self._first(address, ("autonomous_system_organization",)) or self._first(address, ("as_name",))
        return f"AS{str(number).upper().removeprefix('AS')}{f' {name}' if name else ''}"

    def city(self, text: str) -> str | None:
        """The city's English name."""
        address = parse_address(text)
        if address is None:
            return None
        return _text(self._first(address, ("city", "names", "en")) or self._first(address, ("city",)))

    def answers(self, function: str, addresses: Iterable[str | None]) -> list[str | None]:
        """What the SQL function of that name gives for each address. Raises KeyError for an unknown function."""
        answer = self._answers[function]
        return [None if address is None else answer(address) for address in addresses]

    def _first(self, address: Address, path: tuple[str, ...]) -> Any:
        for reader in self._readers:
            try:
                value = reader.get(address)
            except ValueError:  # an IPv6 address in a database of IPv4
                continue
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None and not isinstance(value, (dict, list)):
                return value
        return None


FUNCTIONS: dict[str, str] = {
    "ip_country": "The country, two letters, that an address is registered in; NULL without the extra geo.",
    "ip_asn": "The autonomous system of an address, from the MMDB files of the settings; NULL without one.",
    "ip_city": "The city of an address, from the MMDB files of the settings; NULL without one.",
}
"""The SQL functions that `Geo.answers` answers, each VARCHAR -> VARCHAR, and what they give."""


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _country_codes() -> Callable[[str], str | None] | None:
    try:
        import iptocc
    except ImportError:
        return None
    lookup: Callable[[str], str | None] = iptocc.country_code
    return lookup


def _open(path: Path) -> Any:
    try:
        import maxminddb
    except ImportError:
        raise ConfigError(
            f"{path} cannot be read without the reader for MMDB files", hint='Install it: pip install "trailkeep[geo]".'
        ) from None
    try:
        return maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError, ValueError) as error:
        raise ConfigError(f"{path} is no MMDB file that can be read: {error}", hint="Correct `mmdb`.") from error
