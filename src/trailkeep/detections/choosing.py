"""Which detections there are, how they are tuned, and which of them are asked for."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trailkeep.detections.finding import plain
from trailkeep.errors import ConfigError, TrailkeepError, UsageError
from trailkeep.queries import SEVERITIES, STANDARD, SavedQuery, load
from trailkeep.queries.parameters import bind, item_type, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trailkeep.config.detections import Tuning
    from trailkeep.queries import Parameter, QueryFile

_ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""Ages in parameters are counted back from it where only their being the same matters."""

_SEVERITY = re.compile(rb"^\s*severity\s*=", re.MULTILINE)
_DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A saved query whose rows are findings, as it is to be run."""

    saved: SavedQuery
    severity: str
    given: Mapping[str, Any] = field(default_factory=dict)
    """The parameters that are not left at their defaults."""
    enabled: bool = True
    disabled_in: str = ""
    """FILE:LINE of what disables it."""

    @property
    def name(self) -> str:
        """The full name of the query."""
        return self.saved.name

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters in force, but for the span, as they were written."""
        declared = {name: each for name, each in self.saved.parameters.items() if name not in STANDARD}
        return {name: self.given.get(name, each.default) for name, each in declared.items()}

    def digest(self, vocabulary: str) -> str:
        """The same as long as it finds the same: its text, its parameters, and the views and macros it is made of."""
        try:
            bound = bind(self.saved.parameters, self.given, _ANY_DAY)
        except TrailkeepError:
            bound = dict(self.given)
        values = {name: plain(value) for name, value in bound.items() if name not in STANDARD}
        said = json.dumps([self.saved.text, values, vocabulary], sort_keys=True, default=str)
        return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_DIGITS]

    def trying(self, given: Mapping[str, Any]) -> Detection:
        """The same with other values of some parameters."""
        return replace(self, given={**self.given, **given})


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A query that says it is a detection and cannot be read."""

    name: str
    error: TrailkeepError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Every detection there is, by name, and what is in the way of others."""

    detections: Mapping[str, Detection]
    queries: Mapping[str, SavedQuery]
    """Every query that can be read, by its full name and by its last part where that means one."""
    broken: tuple[Broken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is asked for."""

    severity: str | None = None
    """The least severe that counts."""
    stages: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    """Names, or patterns with ``*``, ``?`` and ``[...]``."""
    exclude: tuple[str, ...] = ()


def read_pack(files: Mapping[str, QueryFile], tunings: Mapping[str, Tuning]) -> Pack:
    """Read all queries and tune the detections among them.

    Raises ConfigError, with FILE:LINE, for a table that tunes no detection, or a parameter that it has not.
    """
    queries: dict[str, SavedQuery] = {}
    broken: list[Broken] = []
    for name, file in files.items():
        try:
            queries[name] = load(name, file.path)
        except TrailkeepError as error:
            if _says_severity(file.path):
                broken.append(Broken(name=name, error=error))
    # What has a severity and does not say how its rows are findings is none yet.
    found = {
        name: Detection(saved=saved, severity=saved.severity)
        for name, saved in queries.items()
        if saved.severity is not None and saved.finding is not None
    }
    names = {*found, *(each.name for each in broken)}
    tuned: dict[str, str] = {}
    for tuning in tunings.values():
        name = _tuned_name(tuning, names, queries)
        if name in tuned:
            raise ConfigError(f"{tuning.where}: {name} is tuned in {tuned[name]}, too")
        tuned[name] = tuning.where
        if name in found:
            found[name] = _tuned(found[name], tuning)
    return Pack(detections=found, queries=_by_short_names(queries), broken=tuple(broken))


def choose(pack: Pack, choice: Choice) -> tuple[list[Detection], list[Broken]]:
    """The detections that are asked for, the most severe first, and those of them that cannot be read.

    What is disabled is left out unless `choice.only` names it. Raises UsageError for a name or a stage that there is
    not, and where nothing is left.
    """
    names = [*pack.detections, *(each.name for each in pack.broken)]
    _check_stages(choice.stages, names)
    only = {name for written in choice.only for name in _named(written, names, pack)}
    exclude = {name for written in choice.exclude for name in _named(written, names, pack)}
    exact = {name for written in choice.only if not _is_pattern(written) for name in _named(written, names, pack)}
    least = SEVERITIES.index(choice.severity) if choice.severity else 0

    def is_asked_for(name: str) -> bool:
        return (
            (not choice.only or name in only)
            and name not in exclude
            and (not choice.stages or name.rpartition("/")[0] in choice.stages)
        )

    chosen = [
        each
        for name, each in pack.detections.items()
        if is_asked_for(name) and SEVERITIES.index(each.severity) >= least and (each.enabled or name in exact)
    ]
    broken = [each for each in pack.broken if is_asked_for(each.name)]
    if not chosen and not broken:
        raise UsageError("no detection is asked for", hint="`trailkeep detect list` shows those that there are.")
    return sorted(chosen, key=lambda each: (-SEVERITIES.index(each.severity), each.name)), broken


def given_to(detections: Sequence[Detection], written: Mapping[str, str]) -> list[Detection]:
    """The detections with these values of the parameters that they have.

    Raises UsageError for a parameter that none of them has, and for a value that does not fit.
    """
    known = sorted({name for each in detections for name in each.parameters})
    for name in written:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            guess = f"Did you mean {near[0]}? " if near else ""
            hint = f"{guess}There is: {', '.join(known)}." if known else "None of them has parameters."
            raise UsageError(f"no detection that is asked for has a parameter {name!r}", hint=hint)
    trying = []
    for each in detections:
        own = {name: value for name, value in written.items() if name in each.parameters}
        for name, value in own.items():
            read(each.saved.parameters[name], value, _ANY_DAY)
        trying.append(each.trying(own))
    return trying


def _tuned_name(tuning: Tuning, names: set[str], queries: Mapping[str, SavedQuery]) -> str:
    """The detection that a table means."""
    written = tuning.name
    full = [name for name in sorted(names) if written in (name, name.rpartition("/")[2])]
    if written in names:
        return written
    if len(full) == 1:
        return full[0]
    # What stands in a settings file is only repeated where it looks like a name.
    shown = repr(written) if re.fullmatch(r"[A-Za-z0-9_/-]{1,80}", written) else "this"
    if full:
        raise ConfigError(f"{tuning.where}: {shown} is the name of several", hint=f"Write one of: {', '.join(full)}.")
    if any(written in (name, name.rpartition("/")[2]) for name in queries):
        raise ConfigError(f"{tuning.where}: the query {shown} is no detection: it has no severity")
    raise ConfigError(f"{tuning.where}: there is no detection {shown}", hint=_near(written, names))


def _tuned(detection: Detection, tuning: Tuning) -> Detection:
    declared = {name: each for name, each in detection.saved.parameters.items() if name not in STANDARD}
    given: dict[str, Any] = {}
    for name, value in tuning.parameters.items():
        where = tuning.places.get(name, tuning.where)
        if name not in declared:
            shown = repr(name) if re.fullmatch(r"[A-Za-z_]{1,40}", name) else "this"
            near = difflib.get_close_matches(name, [*declared, "enabled", "severity"], n=1)
            guess = f"Did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"{where}: the detection {detection.name} has no parameter {shown}",
                hint=f"{guess}There is: {', '.join([*sorted(declared), 'enabled', 'severity'])}.",
            )
        given[name] = _value(declared[name], value, tuning, where, detection.name)
    return replace(
        detection,
        severity=tuning.severity or detection.severity,
        given=given,
        enabled=tuning.enabled,
        disabled_in="" if tuning.enabled else tuning.places.get("enabled", tuning.where),
    )


def _value(parameter: Parameter, value: Any, tuning: Tuning, where: str, detection: str) -> Any:
    """The value as it is to be bound; files that it names are looked for beside the settings file."""
    written: Any = value
    is_list = item_type(parameter.type) is not None
    if is_list and isinstance(value, str) and tuning.folder is not None:
        if value.startswith("@") and not value.startswith("@@"):
            written = tuning.folder / value[1:]
        elif parameter.type == "ioc_file":
            written = tuning.folder / value
    try:
        # A table is no value of any type, and would be taken for a list of its keys.
        read(parameter, [None] if isinstance(written, dict) else written, _ANY_DAY)
    except UsageError as error:
        reason = f": {error.message}" if isinstance(written, Path) else ""
        raise ConfigError(
            f"{where}: the parameter {parameter.name} of {detection} cannot be this{reason}",
            hint=f"It wants {parameter.wanted}.",
        ) from None
    return written


def _check_stages(stages: Sequence[str], names: Iterable[str]) -> None:
    known = sorted({name.rpartition("/")[0] for name in names if "/" in name})
    for stage in stages:
        if stage not in known:
            near = difflib.get_close_matches(stage, known, n=1)
            guess = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(f"no detection is of a stage {stage!r}", hint=f"{guess}Stages are: {', '.join(known)}.")


def _is_pattern(written: str) -> bool:
    return any(character in written for character in "*?[")


def _named(written: str, names: Sequence[str], pack: Pack) -> list[str]:
    """The detections that a name or a pattern means; a pattern without a stage is about the last part of names."""
    if written in names:
        return [written]
    if _is_pattern(written):
        found = [
            name
            for name in names
            if fnmatch.fnmatchcase(name, written) or fnmatch.fnmatchcase(name.rpartition("/")[2], written)
        ]
        if not found:
            raise UsageError(f"no detection has a name like {written!r}", hint=_near(written, names))
        return found
    found = [name for name in names if name.rpartition("/")[2] == written]
    if len(found) == 1:
        return found
    if found:
        raise UsageError(f"{written!r} is the name of several detections", hint=f"Write one of: {', '.join(found)}.")
    if written in pack.queries:
        raise UsageError(
            f"the query {written!r} is no detection: its rows are no findings", hint=f"Run `trailkeep query {written}`."
        )
    raise UsageError(f"there is no detection {written!r}", hint=_near(written, names))


def _near(written: str, names: Iterable[str]) -> str:
    short = {name.rpartition("/")[2]: name for name in names}
    near = dict.fromkeys(
        short.get(each, each) for each in difflib.get_close_matches(written, [*names, *short], n=4, cutoff=0.5)
    )
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{guess}`trailkeep detect list` shows them."


def _by_short_names(queries: Mapping[str, SavedQuery]) -> dict[str, SavedQuery]:
    short: dict[str, list[SavedQuery]] = {}
    for name, saved in queries.items():
        short.setdefault(name.rpartition("/")[2], []).append(saved)
    return {**{name: found[0] for name, found in short.items() if len(found) == 1}, **queries}


def _says_severity(path: Path) -> bool:
    """Whether a file that cannot be read as a query was meant to be a detection; one that cannot be read at all is."""
    try:
        with path.open("rb") as file:
            return _SEVERITY.search(file.read(1 << 20)) is not None
    except OSError:
        return True
