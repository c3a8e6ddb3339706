"""Reading one value from its text, or raising ValueError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from trailkeep import streams
from trailkeep.config.secret import Secret
from trailkeep.timespan import parse_age

MAX_CONCURRENCY = 64
"""Requests in flight at once; more would only meet the API's rate limit."""

MAX_THREADS = 256
"""Threads of the query engine; more than any machine has cores for."""

MIN_MEMORY_MIB = 64
"""With less the query engine cannot even open an archive of a few years."""

MAX_TIMEOUT = timedelta(days=30)
"""A query that runs longer has been forgotten."""

_SIZE = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(?P<unit>[KMGT]I?B)", re.IGNORECASE)
_SIZE_UNITS = {
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", start=1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", start=1)},
}

_TRUE = frozenset({"1", "t", "true", "y", "yes", "on"})
_FALSE = frozenset({"0", "f", "false", "n", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands, for paths that are relative to it."""

    base: Path | None = None
    """The folder of the file that holds the value; None where it is relative to the working directory."""
    home: Path | None = None
    """What ``~`` stands for."""


def parse_path(text: str, place: Place) -> Path:
    """A path; relative ones start at the place's folder, and a leading ``~`` is its home."""
    if not text.strip() or "\0" in text:
        raise ValueError("a path is not empty")
    if place.home is not None and (text == "~" or text.startswith("~/")):
        return place.home / text[2:]
    return place.base / text if place.base is not None else Path(text)


def parse_region(text: str, _place: Place) -> str:
    """A region's name."""
    return streams.parse_region(text)


def parse_kind(text: str, _place: Place) -> str:
    """A kind of events."""
    kind = text.strip().lower()
    if kind not in streams.KINDS:
        raise ValueError("there is no such kind")
    return kind


def parse_overlap(text: str, _place: Place) -> timedelta:
    """An age, at most as long as the API keeps an event."""
    overlap = parse_age(text)
    if overlap > timedelta(days=streams.RETENTION_DAYS):
        raise ValueError("older events are not there to be read again")
    return overlap


def parse_concurrency(text: str, _place: Place) -> int:
    """How many requests may be in flight."""
    if not re.fullmatch(r"\s*[0-9]{1,4}\s*", text) or not 1 <= int(text) <= MAX_CONCURRENCY:
        raise ValueError("out of range")
    return int(text)


def parse_threads(text: str, _place: Place) -> int:
    """How many threads the query engine may run."""
    if not re.fullmatch(r"\s*[0-9]{1,4}\s*", text) or not 1 <= int(text) <= MAX_THREADS:
        raise ValueError("out of range")
    return int(text)


def parse_size(text: str, _place: Place) -> str:
    """A number of bytes with its unit, such as ``512MiB``; more than none."""
    return _size(text)[0]


def parse_memory(text: str, _place: Place) -> str:
    """A size that the query engine can work with."""
    size, count = _size(text)
    if count < MIN_MEMORY_MIB * 1024**2:
        raise ValueError("too little")
    return size


def _size(text: str) -> tuple[str, int]:
    """A size in its usual spelling, and the bytes that it stands for."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a size")
    unit = next(unit for unit in _SIZE_UNITS if unit.lower() == match["unit"].lower())
    count = int(float(match["number"]) * _SIZE_UNITS[unit])
    if not 0 < count < 1 << 60:
        raise ValueError("out of range")
    return f"{match['number']}{unit}", count


def parse_timeout(text: str, _place: Place) -> timedelta | None:
    """A length of time after which to give up; None for ``none``."""
    if text.strip().lower() == "none":
        return None
    timeout = parse_age(text)
    if not timedelta(seconds=1) <= timeout <= MAX_TIMEOUT:
        raise ValueError("out of range")
    return timeout


def parse_organization_id(text: str, _place: Place) -> str:
    """An Organization's id."""
    return streams.parse_organization_id(text)


def parse_truth(text: str, _place: Place) -> bool:
    """A truth value, as Go and YAML write them."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("neither true nor false")
    return word in _TRUE


def parse_name(text: str, _place: Place) -> str:
    """A name that can be printed."""
    name = text.strip()
    if not name or not name.isprintable():
        raise ValueError("empty or not printable")
    return name


def parse_key(text: str, _place: Place) -> str:
    """What can stand in an HTTP header: visible ASCII without spaces."""
    key = text.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ValueError("not a key")
    return key


def parse_secret(text: str, place: Place) -> Secret:
    """A key that is not to be shown."""
    return Secret(parse_key(text, place))


def parse_api_url(text: str, _place: Place) -> str:
    """The address of an API, without a slash at its end."""
    url = text.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", url) or "\\" in url:
        raise ValueError("not a URL")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("not a web address")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("more than an address")
    return (parts.scheme + url[len(parts.scheme) :]).rstrip("/?#")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself: ``localhost``, 127.0.0.0/8 or ::1."""
    import ipaddress

    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(api_url: str) -> str:
    """The host of a URL that has been read as an `api_url`."""
    return cast("str", urlsplit(api_url).hostname)
