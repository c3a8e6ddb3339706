"""Who is told of findings: the tables ``[notify.NAME]`` of trailkeep.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trailkeep.config.detections import SEVERITIES
from trailkeep.config.secret import Secret
from trailkeep.config.values import Place, host_of, is_loopback, parse_path
from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DEFAULT_SEVERITY = "medium"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SYSLOG_PORT = 514


class ReceiverType(StrEnum):
    """How a receiver takes findings."""

    WEBHOOK = "webhook"
    SLACK = "slack"
    FILE = "file"
    SYSLOG = "syslog"


_KEYS = {
    ReceiverType.WEBHOOK: ("url", "url_env", "token_env"),
    ReceiverType.SLACK: ("url_env", "url"),
    ReceiverType.FILE: ("path",),
    ReceiverType.SYSLOG: ("address",),
}
_COMMON = ("type", "severity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One receiver of findings. What is secret about it stays in the environment until it is used."""

    name: str
    type: ReceiverType
    severity: str = DEFAULT_SEVERITY
    """The least severe finding that it is told of."""
    url: str | None = None
    """Where a webhook listens, where that is no secret."""
    url_env: str | None = None
    """The environment variable that holds the URL."""
    token_env: str | None = None
    """The environment variable that holds what is sent as ``Authorization: Bearer``."""
    path: Path | None = None
    """The file that findings are added to, a line each."""
    address: str | None = None
    """Where syslog listens: the path of a socket, ``udp://HOST:PORT`` or ``tcp://HOST:PORT``."""
    where: str = ""
    """FILE:LINE of its table, for errors."""

    def secret_url(self, environ: Mapping[str, str]) -> Secret:
        """The URL to send to. Raises ConfigError where the variable is not set, or holds none that may be used."""
        if self.url_env is None:
            return Secret(self.url or "")
        value = self._variable(self.url_env, environ)
        if problem := url_problem(value):
            raise ConfigError(f"environment variable {self.url_env}: {problem}", hint=f"It is used by {self.where}.")
        return Secret(value)

    def token(self, environ: Mapping[str, str]) -> Secret | None:
        """The bearer token; None where it needs none. Raises ConfigError where its variable is not set."""
        return None if self.token_env is None else Secret(self._variable(self.token_env, environ))

    def _variable(self, name: str, environ: Mapping[str, str]) -> str:
        value = environ.get(name, "").strip()
        if not value or not value.isascii() or not value.isprintable():
            what = "holds characters that no URL or token has" if value else "is not set"
            raise ConfigError(
                f"{self.where}: the environment variable {name} {what}",
                hint=f"Set it where `trailkeep detect --notify` runs; {self.name} cannot be told of anything without.",
            )
        return value


def read_receivers(
    tables: object, where: Callable[[str | None], str], place: Place, *, asked_for: bool
) -> dict[str, Receiver]:
    """The receivers of ``[notify.*]``, by name; `where` gives FILE:LINE of one, or of all for None.

    A file that was not `asked_for` merely lies in the working directory, and may not name hosts to send to. Raises
    ConfigError, and never repeats a value.
    """
    if not isinstance(tables, dict):
        raise ConfigError(f"{where(None)}: notify is a set of tables [notify.NAME]")
    return {name: _receiver(name, table, where(name), place, asked_for) for name, table in tables.items()}


def _receiver(name: str, table: object, where: str, place: Place, asked_for: bool) -> Receiver:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: a receiver's name has letters, digits, _ and -, at most 64 of them")
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: notify.{name} must be a table [notify.{name}]")
    written = table.get("type")
    kind = next((each for each in ReceiverType if each == written), None)
    if kind is None:
        raise ConfigError(f"{where}: the type of notify.{name} must be one of {', '.join(ReceiverType)}")
    known = (*_COMMON, *_KEYS[kind])
    for key, value in table.items():
        if key not in known:
            shown = repr(key) if re.fullmatch(r"[A-Za-z_]{1,40}", key) else "a key"
            raise ConfigError(f"{where}: a receiver of type {kind} has no {shown}", hint=f"Known: {', '.join(known)}.")
        if not isinstance(value, str):
            raise ConfigError(f"{where}: {key} of notify.{name} must be text in quotes")
    severity = table.get("severity", DEFAULT_SEVERITY)
    if severity not in SEVERITIES:
        raise ConfigError(f"{where}: the severity of notify.{name} must be one of {', '.join(SEVERITIES)}")
    values = _values(name, kind, table, where, place)
    address = values.get("url") or values.get("address") or ""
    if "://" in address and not asked_for and not is_loopback(host_of(address)):
        raise ConfigError(
            f"{where}: notify.{name} sends findings to another machine, and this file was not asked for",
            hint="give the file by name (--config trailkeep.toml or TRAILKEEP_CONFIG) if you trust it, or use url_env",
        )
    return Receiver(name=name, type=kind, severity=severity, where=where, **values)


def _values(name: str, kind: ReceiverType, table: dict[str, str], where: str, place: Place) -> dict[str, Any]:
    if kind is ReceiverType.FILE:
        return {"path": _path(name, table.get("path", ""), where, place)}
    if kind is ReceiverType.SYSLOG:
        address = table.get("address", "/dev/log")
        if problem := _address_problem(address):
            raise ConfigError(f"{where}: the address of notify.{name} {problem}")
        return {"address": address}
    if ("url" in table) == ("url_env" in table):
        raise ConfigError(
            f"{where}: notify.{name} needs url_env, the environment variable that holds the URL",
            hint="Such an URL is a secret mostly: whoever has it can write there."
            if kind is ReceiverType.SLACK
            else None,
        )
    for key in ("url_env", "token_env"):
        if key in table and not _VARIABLE.fullmatch(table[key]):
            raise ConfigError(f"{where}: {key} of notify.{name} must be the name of an environment variable")
    if "url" in table:
        if problem := url_problem(table["url"]):
            raise ConfigError(f"{where}: the url of notify.{name} {problem}")
        if kind is ReceiverType.SLACK and not is_loopback(host_of(table["url"])):
            raise ConfigError(
                f"{where}: the URL of a Slack webhook is a secret, and this file tends to be committed or shared",
                hint="Put it into an environment variable and name that: url_env.",
            )
    return {key: table[key] for key in ("url", "url_env", "token_env") if key in table}


def _path(name: str, text: str, where: str, place: Place) -> Path:
    try:
        return parse_path(text, place)
    except ValueError as error:
        raise ConfigError(f"{where}: the path of notify.{name}: {error}") from None


def url_problem(url: str) -> str | None:
    """What is wrong with an URL to send findings to, in words that follow its name; None where nothing is."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not host:
        return "is no http or https URL"
    if parts.username or parts.password:
        return "holds a user or a password: use token_env"
    if parts.scheme == "http" and not is_loopback(host):
        return "is plain http, which would show the findings to the network"
    return None


def _address_problem(address: str) -> str | None:
    if address.startswith("/") and "\0" not in address:
        return None
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is no address"
    if parts.scheme not in ("udp", "tcp") or not host or parts.path not in ("", "/"):
        return "must be the path of a socket, udp://HOST:PORT or tcp://HOST:PORT"
    return None


def syslog_place(address: str) -> tuple[str, int]:
    """Host and port of a syslog address that is none of a socket."""
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or _SYSLOG_PORT
