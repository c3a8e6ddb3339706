"""Indicators of compromise as people share them: addresses, networks, ids and texts, defanged or not."""

from __future__ import annotations

import ipaddress
import re
from uuid import UUID

_DEFANGED = (
    (re.compile(r"[\[({]\s*(?:\.|dot)\s*[\])}]", re.IGNORECASE), "."),
    (re.compile(r"\[:\]"), ":"),
    (re.compile(r"\[:?//\]"), "://"),
    (re.compile(r"\[(?:@|at)\]", re.IGNORECASE), "@"),
    (re.compile(r"^h[xX]{2}p(s?)(?=:)", re.IGNORECASE), r"http\1"),
    (re.compile(r"^fxp(s?)(?=:)", re.IGNORECASE), r"ftp\1"),
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LIKE_AN_ADDRESS = re.compile(
    r"\d{1,3}(\.\d{1,3}){2,}(/\d*)?|\d{1,3}(\.\d{1,3}){3}:\d+|\[?[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*\]?(/\d*|:\d+)?",
    re.IGNORECASE,
)


def refang(text: str) -> str:
    """The text as it was before somebody made it safe to share: ``1.2.3[.]4``, ``hxxp://``."""
    for pattern, plain in _DEFANGED:
        text = pattern.sub(plain, text)
    return text


def indicator(written: str) -> str:
    """The one form in which an indicator is compared.

    An address and a network as Python writes them (a network of one address as that address, an IPv4 address mapped
    into IPv6 as IPv4), a UUID in lower case, anything else as it is, refanged. Raises ValueError for what looks like
    an address and is none, and for several in one line: as a text it would never be found, and nobody would know.
    """
    text = refang(written.strip())
    if not text:
        raise ValueError("it is empty")
    if found := _address(text):
        return found
    if _UUID.fullmatch(text):
        return str(UUID(text))
    if _LIKE_AN_ADDRESS.fullmatch(text):
        raise ValueError("it looks like an address and is none; write the address alone, without a port")
    first = re.split(r"[,;\t]", text, maxsplit=1)[0].strip().strip("'\"")
    if first != text and (_address(first) or _UUID.fullmatch(first)):
        raise ValueError("it holds several values; write one indicator a line")
    return text


def _address(text: str) -> str | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if network.num_addresses > 1:
        return str(network)
    address = network.network_address
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
