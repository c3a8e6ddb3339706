"""A small writer of MMDB files (MaxMind DB format 2.0), so that tests have one of their own."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_RECORD_BITS = 24
_UINT16, _UINT32, _UINT64 = 5, 6, 9
_NUMBERS = {"node_count": _UINT32, "build_epoch": _UINT64, "autonomous_system_number": _UINT32}
"""The width that a reader wants of each number; two bytes for the others."""


def write_mmdb(path: Path, networks: dict[str, Any], *, database_type: str = "Test") -> Path:
    """Write a database with one record a network, IPv4 and IPv6; the networks must not overlap."""
    nodes: list[list[int | tuple[str, int] | None]] = [[None, None]]
    values = bytearray()
    for cidr, record in networks.items():
        network = ipaddress.ip_network(cidr)
        bits = network.prefixlen + (96 if network.version == 4 else 0)
        number = int(network.network_address)
        at = 0
        for index in range(bits):
            side = number >> (127 - index) & 1
            if index == bits - 1:
                nodes[at][side] = ("value", len(values))
                break
            following = nodes[at][side]
            if following is None:
                nodes.append([None, None])
                following = nodes[at][side] = len(nodes) - 1
            assert isinstance(following, int)
            at = following
        values += _encode(record)
    tree = bytearray()
    for node in nodes:
        for target in node:
            if target is None:
                number = len(nodes)
            elif isinstance(target, tuple):
                number = len(nodes) + 16 + target[1]
            else:
                number = target
            tree += number.to_bytes(_RECORD_BITS // 8, "big")
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "database_type": database_type,
        "description": {"en": "made by a test"},
        "ip_version": 6,
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": _RECORD_BITS,
    }
    path.write_bytes(bytes(tree) + bytes(16) + bytes(values) + b"\xab\xcd\xefMaxMind.com" + _encode(metadata))
    return path


def _encode(value: Any, key: str = "") -> bytes:
    """A value of the data section: text, map, list or unsigned number."""
    if isinstance(value, str):
        content = value.encode()
        return _control(2, len(content)) + content
    if isinstance(value, dict):
        pairs = b"".join(_encode(name) + _encode(item, name) for name, item in value.items())
        return _control(7, len(value)) + pairs
    if isinstance(value, list):
        return _control(11, len(value)) + b"".join(map(_encode, value))
    content = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(_NUMBERS.get(key, _UINT16), len(content)) + content


def _control(kind: int, size: int) -> bytes:
    first, extended = (kind << 5, b"") if kind < 8 else (0, bytes([kind - 7]))
    if size < 29:
        return bytes([first | size]) + extended
    assert size < 285
    return bytes([first | 29]) + extended + bytes([size - 29])
