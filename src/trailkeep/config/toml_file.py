"""Reading trailkeep.toml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trailkeep.config.declared import SETTINGS, Setting
from trailkeep.config.given import Given
from trailkeep.config.values import Place
from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.config.detections import Tuning
    from trailkeep.config.files import Content
    from trailkeep.config.receivers import Receiver

_BY_KEY = {setting.toml_key: setting for setting in SETTINGS if setting.toml_key is not None}
_ELSEWHERE = {setting.name: setting for setting in SETTINGS if setting.toml_key is None}
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")
_DETECTIONS = "detections"
_NOTIFY = "notify"
_TYPE_NAMES = {str: "text in quotes", int: "a whole number", bool: "true or false"}


def read_toml(content: Content, *, base: Path, home: Path | None) -> dict[str, Given]:
    """The settings that the file gives, by name; each has been checked.

    Raises ConfigError with FILE:LINE for what is not TOML, an unknown key, an ill-typed or impossible value,
    and a secret, which has no place in a file that tends to be committed.
    """
    document = _document(content)
    given: dict[str, Given] = {}
    for key, value in document.items():
        if key in (_DETECTIONS, _NOTIFY):
            continue
        line = _line_of(key, content.lines)
        where = content.shown if line is None else f"{content.shown}:{line}"
        setting = _BY_KEY.get(key)
        if setting is None:
            raise _unknown(key, where)
        one = Given(
            setting=setting,
            texts=_texts(setting, value, where),
            origin=where,
            where=where,
            place=Place(base=base, home=home),
            from_file=True,
        )
        one.value()
        given[setting.name] = one
    return given


def read_tunings_in(content: Content, *, base: Path) -> dict[str, Tuning]:
    """How the file tunes detections, by the names that it gives them. Raises ConfigError with FILE:LINE."""
    document = _document(content)
    if _DETECTIONS not in document:
        return {}
    from trailkeep.config.detections import line_of, read_tunings

    def where(name: str | None, key: str | None) -> str:
        exact = None if name is None else line_of(content.lines, _DETECTIONS, name, key)
        line = exact or _line_of(_DETECTIONS, content.lines)
        return content.shown if line is None else f"{content.shown}:{line}"

    return read_tunings(document[_DETECTIONS], where, base)


def read_receivers_in(content: Content, *, base: Path, home: Path | None, asked_for: bool) -> dict[str, Receiver]:
    """Who the file says is told of findings, by name. Raises ConfigError with FILE:LINE."""
    document = _document(content)
    if _NOTIFY not in document:
        return {}
    from trailkeep.config.detections import line_of
    from trailkeep.config.receivers import read_receivers

    def where(name: str | None) -> str:
        exact = None if name is None else line_of(content.lines, _NOTIFY, name, None)
        line = exact or _line_of(_NOTIFY, content.lines)
        return content.shown if line is None else f"{content.shown}:{line}"

    return read_receivers(document[_NOTIFY], where, Place(base=base, home=home), asked_for=asked_for)


def _document(content: Content) -> dict[str, Any]:
    # The parser's own errors quote the file, so they end here and are not even the context of ours.
    document, position = _parsed(content.text)
    if document is not None:
        return document
    at = _POSITION.search(position)
    if at is not None:
        raise content.malformed("TOML", int(at[1]), int(at[2]))
    # The parser reached the end: what it waited for is missing after the last line that holds anything.
    raise content.malformed("TOML", content.text.rstrip().count("\n") + 1)


def _parsed(text: str) -> tuple[dict[str, Any] | None, str]:
    """The document, or what the parser said."""
    import tomllib

    try:
        return tomllib.loads(text), ""
    except (ValueError, RecursionError) as error:
        return None, str(error)


def _line_of(key: str, lines: tuple[str, ...]) -> int | None:
    """The line (from 1) on which a top-level key or table begins; None for a key written with escapes.

    A line counts only where everything before it is a whole document, so that it is not inside a value.
    """
    start = re.compile(rf"\s*(?:\[\[?\s*)?(['\"]?){re.escape(key)}\1\s*[\].=]")
    for number, line in enumerate(lines, start=1):
        if start.match(line) and _parsed("\n".join(lines[: number - 1]))[0] is not None:
            return number
    return None


def _texts(setting: Setting, value: object, where: str) -> tuple[str, ...]:
    many = setting.separator is not None
    items = value if many and isinstance(value, list) else [value]
    if (many and not isinstance(value, list)) or any(type(item) is not setting.toml_type for item in items):
        type_name = _TYPE_NAMES[setting.toml_type]
        wanted = f"a list in brackets, each {type_name}" if many else type_name
        raise ConfigError(f"{where}: {setting.name} must be {setting.expects}, written as {wanted}")
    return tuple(str(item) for item in items)


def _unknown(key: str, where: str) -> ConfigError:
    import difflib

    if "secret" in key.lower() or key.lower() in _ELSEWHERE:
        return ConfigError(
            f"{where}: keys are not taken from trailkeep.toml, which tends to be committed or shared",
            hint="put the secret key into the environment (SCW_SECRET_KEY) or the scw CLI's config file"
            " (`scw init`), and replace it if this file has left your machine",
        )
    # A key is part of the file too: only what looks like a setting's name is repeated.
    named = f"{key!r} is not a setting" if re.fullmatch(r"[A-Za-z_]{1,40}", key) else "this key is not a setting"
    near = difflib.get_close_matches(key.lower().replace("-", "_"), _BY_KEY, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(_BY_KEY)}"
    return ConfigError(f"{where}: {named}", hint=hint)
