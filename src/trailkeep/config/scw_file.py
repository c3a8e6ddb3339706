"""Reading the scw CLI's config file by the rules of the official Go SDK."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailkeep.config.declared import SETTINGS
from trailkeep.config.given import Given
from trailkeep.config.values import Place
from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    import yaml

    from trailkeep.config.files import Content

ROOT_PROFILE = "default"
"""The name by which the SDK calls the root of the file; a profile of that name is never looked up."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_FIELDS = {setting.scw_key: setting for setting in SETTINGS if setting.scw_key not in {None, "active_profile"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScwFile:
    """The file's fields with the lines (from 1) they stand on; its repr shows no field."""

    shown: str
    root: dict[str, tuple[str, int]] = field(repr=False)
    profiles: dict[str, dict[str, tuple[str, int]]] = field(repr=False)
    active_profile: tuple[str, int] | None

    def given(self, profile: str | None, named_by: str) -> dict[str, Given]:
        """The settings that the root gives, and over it, field by field, the profile of this name.

        `named_by` says who chose the profile. Raises ConfigError where there is no such profile.
        """
        layers = [(self.root, self.shown)]
        if profile is not None and profile != ROOT_PROFILE:
            if profile not in self.profiles:
                names = ", ".join(sorted(self.profiles))
                hint = f"it has {names}" if names else "it has no profiles; `scw init -p NAME` makes one"
                raise ConfigError(f"{named_by}: {self.shown} has no profile {profile!r}", hint=hint)
            layers.append((self.profiles[profile], f"{self.shown} profile {profile}"))
        return {
            setting.name: Given(
                setting=setting,
                texts=(fields[key][0],),
                origin=origin,
                where=f"{self.shown}:{fields[key][1]}",
                place=Place(),
                from_file=True,
            )
            for fields, origin in layers
            for key, setting in _FIELDS.items()
            if key in fields
        }


def read_scw(content: Content) -> ScwFile:
    """Read the file. Raises ConfigError with FILE:LINE and no content for what cannot be such a file."""
    root = _composed(content)
    if root is None or _is_null(root):
        return ScwFile(shown=content.shown, root={}, profiles={}, active_profile=None)
    top = _mapping(root, content)
    profiles = {}
    if "profiles" in top and not _is_null(top["profiles"]):
        for name, node in _mapping(top.pop("profiles"), content).items():
            profiles[name] = {} if _is_null(node) else _scalars(_mapping(node, content), content)
    fields = _scalars(top, content)
    return ScwFile(shown=content.shown, root=fields, profiles=profiles, active_profile=fields.get("active_profile"))


def _composed(content: Content) -> yaml.Node | None:
    """The document as nodes: every scalar is text, no tag is followed, no number or date is guessed."""
    node, place = _parsed(content.text)
    if place is None:
        return node
    # Raised here and not while the parser's error is handled: that one quotes the line it failed on.
    raise content.malformed("YAML", *place)


def _parsed(text: str) -> tuple[yaml.Node | None, tuple[int, ...] | None]:
    """The document, or the line and, where known, the column (both from 1) at which it stops being YAML."""
    import yaml

    try:
        return yaml.compose(text, Loader=yaml.BaseLoader), None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return None, (1,) if mark is None else (mark.line + 1, mark.column + 1)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        return None, (before.count("\n") + 1, error.position - before.rfind("\n"))
    except (yaml.YAMLError, RecursionError, ValueError):
        return None, (1,)


def _mapping(node: yaml.Node, content: Content) -> dict[str, yaml.Node]:
    """A mapping's entries by key; of a key that is there twice the last one counts, as in the SDK."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise content.malformed("a config file of the scw CLI: here must be keys and values", _line(node))
    entries = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise content.malformed("a config file of the scw CLI: here must be a plain key", _line(key))
        if key.value == "<<" and key.style is None:
            raise content.malformed("a config file that Trailkeep reads: it takes no merge keys", _line(key))
        entries[str(key.value)] = value
    return entries


def _scalars(entries: dict[str, yaml.Node], content: Content) -> dict[str, tuple[str, int]]:
    """The known fields that hold something; what this version does not know is left alone."""
    import yaml

    fields = {}
    for key, node in entries.items():
        if (key not in _FIELDS and key != "active_profile") or _is_null(node):
            continue
        if not isinstance(node, yaml.ScalarNode):
            raise content.malformed(f"a config file of the scw CLI: {key} must be text", _line(node))
        fields[key] = (str(node.value), _line(node))
    return fields


def _is_null(node: yaml.Node) -> bool:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        return False
    return not node.value or (node.style is None and node.value in _NULLS)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
